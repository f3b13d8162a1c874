/* product.c - matrix products of one input, rows split over threads. */
#include <omp.h>

#include "priv.h"

/* Row at which part i of n begins: multiples of 32, so that a thread's rows hold whole groups of the next product. */
static int split(int rows, int i, int n) {
    int pieces = (rows + ORDER_GROUP - 1) / ORDER_GROUP;
    int at = (int)((int64_t)pieces * i / n) * ORDER_GROUP;
    return at < rows ? at : rows;
}

static void run_share(const struct act *a, const struct product *p, int n, int i, int threads) {
    for (int j = 0; j < n; j++) {
        int row0 = split(p[j].w->rows, i, threads), row1 = split(p[j].w->rows, i + 1, threads);
        if (row0 < row1) mat_mul(p[j].w, a, row0, row1, p[j].y, p[j].ldy, p[j].ldnode);
    }
}

/* Products that read the input in the same form: all integer with one static step, or with none. */
static int same_input(const struct product *p, int n) {
    int end = 1;
    while (end < n && p[end].w->act_step == p[0].w->act_step) end++;
    return end;
}

static int all_float(const struct product *p, int n) {
    for (int i = 0; i < n; i++)
        if (!p[i].w->type->is_float) return 0;
    return 1;
}

void products_run(struct decoder *dec, const struct product_input *in, const struct product *p, int n,
                  product_finish *finish, int layer) {
    int rows = p[0].w->rows;
    for (int first = 0; first < n;) {
        int count = same_input(p + first, n - first), last = first + count == n;
        struct act a;
        enum act_bits bits = all_float(p + first, count) ? ACT_F32 : in->bits;
        act_init(&a, bits, bits == ACT_F32 ? 0 : p[first].w->act_step, in->groups->g, in->groups->n, in->x, in->ldx,
                 in->n_tokens, dec->priv->act);
#pragma omp parallel num_threads(dec->opts.threads) if (dec->opts.threads > 1)
        {
            int i = omp_get_thread_num(), threads = omp_get_num_threads();
            run_share(&a, p + first, count, i, threads);
            int row0 = split(rows, i, threads), row1 = split(rows, i + 1, threads);
            if (finish && last && row0 < row1) finish(dec, layer, in->n_tokens, row0, row1);
        }
        first += count;
    }
}
