/* BERT: encoder. Learned positions and token types (type 0 is used), layer norm after each sum and after the embedding,
 * bidirectional attention, exact GELU, no output layer: the result is the last hidden states. */
#include "models/shape.h"

const struct arch arch_bert = {
    .name = "bert",
    .description = "BERT encoder: bidirectional, layer norm after each sum",
    .norm = NORM_LAYER,
    .act = FN_GELU_ERF,
    .pos = POS_LEARNED,
    .post_norm = 1,
    .vecs = VEC_BIT(EMBED_NORM) | VEC_BIT(EMBED_NORM_B) | VEC_BIT(ATTN_NORM) | VEC_BIT(ATTN_NORM_B) | VEC_BIT(Q_B) |
            VEC_BIT(K_B) | VEC_BIT(V_B) | VEC_BIT(O_B) | VEC_BIT(FFN_NORM) | VEC_BIT(FFN_NORM_B) | VEC_BIT(UP_B) |
            VEC_BIT(DOWN_B),
};
