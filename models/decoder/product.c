/* product.c - matrix products of one input, rows split over threads. */
#include <omp.h>

#include "priv.h"

int rows_split(int rows, int i, int n) {
    int pieces = (rows + ORDER_GROUP - 1) / ORDER_GROUP;
    int at = (int)((int64_t)pieces * i / n) * ORDER_GROUP;
    return at < rows ? at : rows;
}

static void run_share(const struct act *a, const struct product *p, int n, int i, int threads) {
    for (int j = 0; j < n; j++) {
        int row0 = rows_split(p[j].w->rows, i, threads), row1 = rows_split(p[j].w->rows, i + 1, threads);
        if (row0 < row1) mat_mul(p[j].w, a, row0, row1, p[j].y, p[j].ldy, p[j].ldnode);
    }
}

/* Products that read the input in the same form: all integer with one static step of as many bits, or with none. */
static int same_input(const struct product *p, int n) {
    int end = 1;
    while (end < n && p[end].w->act_step == p[0].w->act_step && p[end].w->act_bits == p[0].w->act_bits)
        end++;
    return end;
}

static int all_float(const struct product *p, int n) {
    for (int i = 0; i < n; i++)
        if (!p[i].w->type->is_float) return 0;
    return 1;
}

/* Quantizes the input, then multiplies: one region, in which the threads meet once. */
static void run_same(struct decoder *dec, const struct product_input *in, const struct product *p, int n) {
    enum act_bits bits = all_float(p, n) ? ACT_F32 : in->bits;
    if (bits == ACT_I4 && p[0].w->act_bits == 8) bits = ACT_I8;
    struct act a;
    act_place(&a, bits, bits == ACT_F32 ? 0 : p[0].w->act_step, in->groups->g, in->groups->n, in->x, in->ldx,
              in->n_tokens, dec->priv->act);
    int tiles = bits == ACT_F32 ? 0 : act_tiles(&a);
    if (tiles == 1) act_quantize(&a, 0, 1);
#pragma omp parallel num_threads(dec->opts.threads) if (dec->opts.threads > 1)
    {
        if (tiles > 1) {
#pragma omp for schedule(static)
            for (int tile = 0; tile < tiles; tile++)
                act_quantize(&a, tile, tile + 1);
        }
        run_share(&a, p, n, omp_get_thread_num(), omp_get_num_threads());
    }
}

void products_run(struct decoder *dec, const struct product_input *in, const struct product *p, int n) {
    for (int first = 0, count; first < n; first += count) {
        count = same_input(p + first, n - first);
        run_same(dec, in, p + first, count);
    }
}
