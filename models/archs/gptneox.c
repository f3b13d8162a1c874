/* GPT-NeoX and Pythia: attention and FFN in parallel, rotary halves over a part of each head, fused q/k/v (stored as
 * all q, all k, all v), GELU in its exact form, as the published models define it. */
#include "archs.h"

static int read_block(struct model_shape *s, const struct gguf *g, struct diag *d) {
    char key[128];
    int parallel;
    int rc = gguf_get_bool(g, arch_key(s, "use_parallel_residual", key), 1, &parallel, d);
    s->parallel_block = parallel != 0;
    return rc;
}

const struct arch arch_gptneox = {
    .name = "gptneox",
    .description = "GPT-NeoX, Pythia: attention and FFN in parallel",
    .norm = NORM_LAYER,
    .act = FN_GELU_ERF,
    .pos = POS_ROPE_HALVES,
    .causal = 1,
    .fused_qkv = 1,
    .parallel_block = 1,
    .vecs = VEC_BIT(ATTN_NORM) | VEC_BIT(ATTN_NORM_B) | VEC_BIT(Q_B) | VEC_BIT(K_B) | VEC_BIT(V_B) | VEC_BIT(O_B) |
            VEC_BIT(FFN_NORM) | VEC_BIT(FFN_NORM_B) | VEC_BIT(UP_B) | VEC_BIT(DOWN_B) | VEC_BIT(OUT_NORM) |
            VEC_BIT(OUT_NORM_B),
    .read = read_block,
};
