/* forward.c - the one-rank reference: all steps in order on a shard that holds everything. */
#include <string.h>

#include "priv.h"

/* One layer in place; the two sums are whole, so a part is the root. */
static void run_layer(struct decoder *dec, int layer, const struct token_batch *b, float *h) {
    float *attn = dec->priv->part[0], *ffn = dec->shape.parallel_block ? dec->priv->part[1] : attn;
    decoder_attention(dec, layer, b, h, attn);
    if (dec->shape.parallel_block) decoder_ffn(dec, layer, b, h, ffn);
    decoder_attention_add(dec, layer, b->n, h, attn);
    if (!dec->shape.parallel_block) decoder_ffn(dec, layer, b, h, ffn);
    decoder_ffn_add(dec, layer, b->n, h, ffn);
}

/* Rows of h that are wanted, packed; their number. */
static int gather(struct decoder *dec, int n, const unsigned char *want, const float *h, float *packed) {
    size_t d = (size_t)dec->shape.d_model;
    int count = 0;
    for (int t = 0; t < n; t++)
        if (!want || want[t]) memcpy(packed + (size_t)count++ * d, h + (size_t)t * d, d * sizeof *h);
    return count;
}

void decoder_forward(struct decoder *dec, const struct token_batch *b, const unsigned char *want, float *logits,
                     float *h) {
    struct decoder_priv *p = dec->priv;
    decoder_embed(dec, b, p->h);
    for (int l = 0; l < dec->shape.n_layers; l++)
        run_layer(dec, l, b, p->h);
    if (h) memcpy(h, p->h, (size_t)b->n * (size_t)dec->shape.d_model * sizeof *h);
    if (!logits) return;
    int n = gather(dec, b->n, want, p->h, p->part[0]);
    decoder_out_norm(dec, n, p->part[0]);
    decoder_head(dec, n, p->part[0], logits);
}
