/* Qwen 3, dense: rotary halves, an RMS norm on each q and k head, head_dim of its own (attention.key_length). */
#include "models/shape.h"

const struct arch arch_qwen3 = {
    .name = "qwen3",
    .description = "Qwen 3, dense: norms on q and k heads",
    .norm = NORM_RMS,
    .act = FN_SILU,
    .pos = POS_ROPE_HALVES,
    .ffn_gated = 1,
    .causal = 1,
    .vecs = VEC_BIT(ATTN_NORM) | VEC_BIT(FFN_NORM) | VEC_BIT(OUT_NORM) | VEC_BIT(Q_NORM) | VEC_BIT(K_NORM),
    .optional_vecs = VEC_BIT(Q_B) | VEC_BIT(K_B) | VEC_BIT(V_B) | VEC_BIT(O_B) | VEC_BIT(ROPE_FACTORS),
};
