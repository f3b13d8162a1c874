/* Llama 1 to 3, TinyLlama, SmolLM, Mistral: RMS norm, rotary pairs, grouped-query attention, gated SiLU. Writers of
 * this architecture have already permuted the rows of Q and K for the (2i, 2i+1) pairs. */
#include "models/shape.h"

const struct arch arch_llama = {
    .name = "llama",
    .description = "Llama 1-3 with rope scaling, TinyLlama, SmolLM, Mistral",
    .norm = NORM_RMS,
    .act = FN_SILU,
    .pos = POS_ROPE_PAIRS,
    .ffn_gated = 1,
    .causal = 1,
    .vecs = VEC_BIT(ATTN_NORM) | VEC_BIT(FFN_NORM) | VEC_BIT(OUT_NORM),
    .optional_vecs = VEC_BIT(Q_B) | VEC_BIT(K_B) | VEC_BIT(V_B) | VEC_BIT(O_B) | VEC_BIT(GATE_B) | VEC_BIT(UP_B) |
                     VEC_BIT(DOWN_B) | VEC_BIT(ROPE_FACTORS) | VEC_STEPS,
};
