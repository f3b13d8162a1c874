/* Qwen 2 and 2.5: rotary halves, biases on q, k and v. */
#include "models/shape.h"

const struct arch arch_qwen2 = {
    .name = "qwen2",
    .description = "Qwen 2 and 2.5: biases on q, k, v",
    .norm = NORM_RMS,
    .act = FN_SILU,
    .pos = POS_ROPE_HALVES,
    .ffn_gated = 1,
    .causal = 1,
    .vecs = VEC_BIT(ATTN_NORM) | VEC_BIT(FFN_NORM) | VEC_BIT(OUT_NORM) | VEC_BIT(Q_B) | VEC_BIT(K_B) | VEC_BIT(V_B),
    .optional_vecs = VEC_BIT(HEAD_B) | VEC_BIT(ROPE_FACTORS),
};
