/* GPT-2: learned positions, layer norm, fused q/k/v, biases everywhere, GELU in its tanh form. */
#include "models/shape.h"

const struct arch arch_gpt2 = {
    .name = "gpt2",
    .description = "GPT-2: learned positions, layer norm, fused q/k/v",
    .norm = NORM_LAYER,
    .act = FN_GELU_TANH,
    .pos = POS_LEARNED,
    .causal = 1,
    .fused_qkv = 1,
    .vecs = VEC_BIT(ATTN_NORM) | VEC_BIT(ATTN_NORM_B) | VEC_BIT(Q_B) | VEC_BIT(K_B) | VEC_BIT(V_B) | VEC_BIT(O_B) |
            VEC_BIT(FFN_NORM) | VEC_BIT(FFN_NORM_B) | VEC_BIT(UP_B) | VEC_BIT(DOWN_B) | VEC_BIT(OUT_NORM) |
            VEC_BIT(OUT_NORM_B),
};
