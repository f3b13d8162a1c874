#include "kernels/clones.h"
#include "kernels/round.h"
#include "models/kernels.h"

static size_t align64(size_t n) {
    return (n + 63) & ~(size_t)63;
}

size_t act_bytes(enum act_bits bits, int n_tokens, int n_groups) {
    size_t n = (size_t)n_tokens * (size_t)n_groups;
    if (bits == ACT_F32) return 0;
    return align64(32 * n) + align64(64 * n) + align64(2 * sizeof(int32_t) * n) + 2 * align64(sizeof(int32_t) * n) +
           align64(sizeof(float) * n);
}

void act_place(struct act *a, enum act_bits bits, float act_step, const struct order_group *groups, int n_groups,
               const float *x, size_t ldx, int n_tokens, void *buf) {
    size_t n = (size_t)n_tokens * (size_t)n_groups;
    uint8_t *at = buf;
    *a = (struct act){.bits = bits,
                      .n_tokens = n_tokens,
                      .n_groups = n_groups,
                      .groups = groups,
                      .x = x,
                      .ldx = ldx,
                      .act_step = act_step};
    if (bits == ACT_F32) return;
    a->q = (int8_t(*)[32])at;
    a->split = (uint8_t(*)[2][32])(at += align64(32 * n));
    a->sum = (int32_t(*)[2])(at += align64(64 * n));
    a->total = (int32_t *)(at += align64(2 * sizeof(int32_t) * n));
    a->below = (int32_t *)(at += align64(sizeof(int32_t) * n));
    a->scale = (float *)(at += align64(sizeof(int32_t) * n));
}

/* restrict: bytes could be anything, a's pointers too, and nothing would be done side by side */
INLINE int32_t split_signs(const int8_t *restrict q, uint8_t *restrict magnitude, uint8_t *restrict negative) {
    int32_t below = 0;
    for (int i = 0; i < 32; i++) {
        magnitude[i] = (uint8_t)(q[i] < 0 ? -q[i] : q[i]);
        negative[i] = q[i] < 0 ? 255 : 0;
        below += q[i] < 0 ? -q[i] : 0;
    }
    return below;
}

INLINE void quantize_one(const struct act *a, const struct order_group *g, const float *x, size_t at) {
    int8_t *q = a->q[at];
    int n = g->end - g->begin, offset = g->begin % ORDER_GROUP;
    memset(q, 0, 32);
    if (a->act_step != 0)
        a->scale[at] =
            static_group(x, n, a->act_step, a->bits == ACT_I8 ? -128 : -8, a->bits == ACT_I8 ? 127 : 7, q + offset);
    else
        a->scale[at] = quant_group(x, n, a->bits == ACT_I8 ? 127 : 7, q + offset);
    for (int h = 0; h < 2; h++) {
        int32_t sum = 0;
        for (int i = 0; i < 16; i++)
            sum += q[16 * h + i];
        a->sum[at][h] = sum;
    }
    a->total[at] = a->sum[at][0] + a->sum[at][1];
    a->below[at] = split_signs(q, a->split[at][0], a->split[at][1]);
}

CLONED(void, act_quantize, (struct act * a, int tile0, int tile1), (a, tile0, tile1)) {
    if (a->bits == ACT_F32 || !a->n_groups) return;
    int first_col = a->groups[0].begin;
    for (int t = tile0 * ACT_TILE; t < tile1 * ACT_TILE && t < a->n_tokens; t++) {
        int start = t / ACT_TILE * ACT_TILE, nt = a->n_tokens - start < ACT_TILE ? a->n_tokens - start : ACT_TILE;
        for (int g = 0; g < a->n_groups; g++) {
            size_t at = (size_t)start * (size_t)a->n_groups + (size_t)g * (size_t)nt + (size_t)(t - start);
            quantize_one(a, &a->groups[g], a->x + (size_t)t * a->ldx + (a->groups[g].begin - first_col), at);
        }
    }
}

void act_init(struct act *a, enum act_bits bits, float act_step, const struct order_group *groups, int n_groups,
              const float *x, size_t ldx, int n_tokens, void *buf) {
    act_place(a, bits, act_step, groups, n_groups, x, ldx, n_tokens, buf);
    act_quantize(a, 0, act_tiles(a));
}
