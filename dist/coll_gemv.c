/* coll_gemv.c - the product that an all-reduce stands behind in a decoder: Q4_0 weights, int8 activations, one token,
 * the project's own kernels. Blocks of weights hold a -8, those of activations a 127, so that scales are 1 and all
 * results are integers: their sum over ranks is exact in every order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "coll_bench.h"
#include "collectives/agree.h"

enum { COLS = 4096, MAX_COLS = 65536, GROUP = 32 };

static int make_rows(struct coll_gemv *g, int cols, uint64_t seed) {
    const struct tensor_type *type = g->w.type;
    size_t bytes = tensor_type_row_bytes(type, cols), rows = (g->n + MAT_PANEL - 1) / MAT_PANEL * MAT_PANEL;
    float *x = malloc((size_t)cols * sizeof *x);
    if (posix_memalign(&g->rows, 64, bytes * rows + 64)) g->rows = NULL;
    if (posix_memalign(&g->panels, 64, mat_panels_bytes(type, (int)g->n, cols) + 64)) g->panels = NULL;
    for (size_t r = 0; x && g->rows && g->panels && r < g->n; r++) {
        for (int c = 0; c < cols; c++)
            x[c] = c % GROUP ? (float)((int)(rng_u64(seed + r, (uint64_t)c) % 15) - 7) : -8;
        type->quantize(x, 0, (char *)g->rows + r * bytes, cols);
    }
    free(x);
    if (!x || !g->rows || !g->panels) return -1;
    mat_pack(type, g->rows, bytes, (int)g->n, cols, g->panels);
    free(g->rows);
    g->rows = NULL;
    g->w.data = g->panels;
    g->w.stride = bytes * MAT_PANEL;
    g->w.in_panels = 1;
    g->bytes = bytes * g->n;
    return mat_prepare(&g->w);
}

static int make_input(struct coll_gemv *g, int cols) {
    int n = order_group_count(&g->w.axis, 0, g->w.axis.n_leaves);
    g->groups = malloc(sizeof *g->groups * (size_t)n);
    g->x = malloc(sizeof *g->x * (size_t)cols);
    if (posix_memalign(&g->buf, 64, act_bytes(ACT_I8, 1, n) + 64)) g->buf = NULL;
    if (!g->groups || !g->x || !g->buf) return -1;
    order_groups(&g->w.axis, 0, g->w.axis.n_leaves, g->groups);
    for (int c = 0; c < cols; c++)
        g->x[c] = c % GROUP ? (float)((int)(rng_u64(3, (uint64_t)c) % 255) - 127) : 127;
    act_init(&g->a, ACT_I8, 0, g->groups, n, g->x, (size_t)cols, 1, g->buf);
    return 0;
}

static int make(struct coll_gemv *g, const struct link *l, size_t bytes) {
    const struct tensor_type *type = tensor_type_find("Q4_0");
    size_t cols = bytes && g->n ? bytes / g->n * GROUP / tensor_type_row_bytes(type, GROUP) : COLS;
    cols = cols < GROUP ? GROUP : cols > MAX_COLS ? MAX_COLS : cols / GROUP * GROUP;
    g->w = (struct mat){.type = type, .rows = (int)g->n, .axis = order_axis_runs((int)cols)};
    g->w.leaf1 = g->w.axis.n_leaves;
    void *mem = NULL;
    if (posix_memalign(&mem, 64, 2 * (g->n + 16) * sizeof *g->y)) return -1;
    g->y = mem;
    g->want = g->y + (g->n + 15) / 16 * 16;
    return make_rows(g, (int)cols, (uint64_t)l->rank << 32) || make_input(g, (int)cols);
}

/* All ranks' results, once. */
static int add_all(struct coll_gemv *g, struct link *l, struct diag *d) {
    float *all = malloc(g->n * sizeof *all * (size_t)l->size + 1);
    int rc = err_agree(l, all ? 0 : diag_set(d, ERR_MEMORY, "--context: no memory for %zu results", g->n), d), bad = 0;
    if (!rc) {
        coll_gemv_run(g, g->y);
        agree_allgather(l, g->y, g->n * sizeof *all, all);
        for (size_t i = 0; i < g->n; i++) {
            double sum = 0, size = 0;
            for (int r = 0; r < l->size; r++) {
                sum += all[(size_t)r * g->n + i];
                size += fabs((double)all[(size_t)r * g->n + i]);
            }
            g->want[i] = (float)sum;
            bad |= sum != nearbyint(sum) || size > 0x1p24;
        }
        rc = err_agree(l, bad ? diag_set(d, ERR_INTERNAL, "--context: the product is not exact") : 0, d);
    }
    free(all);
    return rc;
}

int coll_gemv_init(struct coll_gemv *g, struct link *l, size_t n, size_t bytes, struct diag *d) {
    *g = (struct coll_gemv){.n = n};
    int rc = make(g, l, bytes) ? diag_set(d, ERR_MEMORY, "--context: no memory for the weights of %zu rows", n) : 0;
    rc = err_agree(l, rc, d);
    if (!rc) rc = add_all(g, l, d);
    if (rc) coll_gemv_fini(g);
    return rc;
}

void coll_gemv_run(const struct coll_gemv *g, float *y) {
    if (g->n) mat_mul(&g->w, &g->a, 0, (int)g->n, y, g->n, g->n);
}

uint64_t coll_gemv_wrong(const struct coll_gemv *g, const float *got) {
    uint64_t wrong = 0;
    for (size_t i = 0; i < g->n; i++)
        wrong += got[i] != g->want[i];
    return wrong;
}

void coll_gemv_fini(struct coll_gemv *g) {
    free(g->rows), free(g->panels), free(g->buf);
    free(g->groups), free(g->x), free(g->y);
    *g = (struct coll_gemv){0};
}
