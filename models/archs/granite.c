/* Granite 3: Llama with four multipliers in the metadata, 0 for none. The file's logit_scale divides; ours multiplies.
 */
#include "archs.h"

static int read_multipliers(struct model_shape *s, const struct gguf *g, struct diag *d) {
    double embed, residual, attention, logit;
    int rc = arch_float(s, g, "embedding_scale", 0, 1, &embed, d);
    if (!rc) rc = arch_float(s, g, "residual_scale", 0, 1, &residual, d);
    if (!rc) rc = arch_float(s, g, "attention.scale", 0, 0, &attention, d);
    if (!rc) rc = arch_float(s, g, "logit_scale", 0, 1, &logit, d);
    if (rc) return rc;
    if (logit == 0) return diag_set(d, ERR_FORMAT, "%s: granite.logit_scale is 0; logits are divided by it", g->path);
    if (embed != 0) s->embed_scale = (float)embed;
    if (residual != 0) s->residual_scale = (float)residual;
    if (attention != 0) s->attn_scale = (float)attention;
    s->logit_scale = (float)(1 / logit);
    return 0;
}

const struct arch arch_granite = {
    .name = "granite",
    .description = "IBM Granite 3: embedding, residual, attention and logit multipliers",
    .norm = NORM_RMS,
    .act = FN_SILU,
    .pos = POS_ROPE_PAIRS,
    .ffn_gated = 1,
    .causal = 1,
    .vecs = VEC_BIT(ATTN_NORM) | VEC_BIT(FFN_NORM) | VEC_BIT(OUT_NORM),
    .optional_vecs = VEC_BIT(Q_B) | VEC_BIT(K_B) | VEC_BIT(V_B) | VEC_BIT(O_B) | VEC_BIT(GATE_B) | VEC_BIT(UP_B) |
                     VEC_BIT(DOWN_B) | VEC_BIT(ROPE_FACTORS) | VEC_STEPS,
    .read = read_multipliers,
};
