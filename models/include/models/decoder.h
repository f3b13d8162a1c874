/* decoder.h - one rank's shard of a model, and the steps of a forward pass on it.
 *
 * A plan step calls one function here. A shard that holds everything, driven in order by decoder_forward, is the
 * one-rank reference. Row-parallel products return the sums of the shard's maximal subtrees; the caller adds them along
 * the tree (collectives), then calls the step that follows. All functions are local; after decoder_open nothing
 * allocates. Row loops are split over `threads` OpenMP threads. */
#ifndef MODELS_DECODER_H
#define MODELS_DECODER_H

#include "models/kernels.h"
#include "models/shape.h"

/* What a shard holds. Empty ranges are allowed (a rank may own no head and no FFN column). */
struct shard_spec {
    int layer0, layer1; /* layers */
    int head0, head1; /* query heads; their KV heads follow: head / (n_heads / n_kv_heads) */
    int ffn_leaf0, ffn_leaf1; /* leaves of order_axis_runs(d_ffn): FFN columns */
    int vocab0, vocab1; /* rows of the output layer; empty unless this rank has a part of it */
    int embed; /* holds (reads) the embedding */
    int final_norm; /* holds the output norm */
    /* A cache shared by position (0 or 1 shards: not): this shard is number kv_shard of kv_shards neighbours with as
     * many heads each. All of them compute the queries, keys and values of the heads of all; each keeps and attends to
     * blocks of ORDER_KV_BLOCK positions in turns; head0..head1 are those whose merged attention goes into its O
     * product. */
    int kv_shard, kv_shards;
};

/* The residual stream's form: what decoder_embed and decoder_ffn_add round each token's vector to, and what travels
 * between stages. fp16, or groups of 32 values with one binary16 scale: int8 (Q8_0), int4 (Q4_0). */
enum hidden_form { HIDDEN_F32, HIDDEN_F16, HIDDEN_I8, HIDDEN_I4, HIDDEN_FORMS };
/* Of n values. decode(encode(x)) is what round makes of x; rounding it again changes nothing. Greater magnitudes than
 * binary16 has become infinite (fp16), or their group NaN. Local. */
size_t hidden_bytes(enum hidden_form f, int n);
void hidden_encode(enum hidden_form f, const float *x, int n, void *out);
void hidden_decode(enum hidden_form f, const void *in, int n, float *x);
void hidden_round(enum hidden_form f, float *x, int n);

struct decoder_opts {
    enum act_bits linear_bits, head_bits; /* activations into linear layers and into the output layer */
    int silu_bits; /* 8: the SiLU result is rounded to int8 per group before the gate product (NorthPole); 0: not */
    enum kv_type kv;
    enum hidden_form hidden;
    int n_seqs, n_ctx; /* cache: sequences and positions each */
    int max_tokens; /* most tokens of one call */
    int threads; /* >= 1 */
    uint64_t seed; /* of synthetic weights */
    const char *cache_dir; /* folder that keeps packed weights for later starts; NULL or empty: none */
    /* Called between matrices while decoder_open loads; nonzero stops it (ERR_INTERRUPTED). May be NULL. */
    int (*progress)(void *arg, size_t bytes_done, size_t bytes);
    void *progress_arg;
};

/* Tokens of one call: token i belongs to sequence seq[i] at position pos[i]; tokens of one sequence come in order. An
 * encoder needs all tokens of a sequence in one call. */
struct token_batch {
    int n;
    const int *id, *seq, *pos;
};

/* What the folder of packed weights was good for. */
enum cache_use { CACHE_NONE, CACHE_READ, CACHE_WRITTEN };

struct decoder {
    struct model_shape shape;
    struct shard_spec spec;
    struct decoder_opts opts;
    int q_head0, q_head1; /* query heads computed: shard_query_heads */
    int kv_head0, kv_head1; /* KV heads held */
    int ffn0, ffn1; /* FFN columns held */
    int attn_nodes, ffn_nodes; /* maximal subtrees the two row-parallel products return (0 if nothing is held) */
    size_t weight_bytes, kv_bytes, work_bytes; /* what this shard holds: the same numbers that the plan computes */
    enum cache_use cache;
    char cache_note[512]; /* what was wrong with the cache and what was done, or empty: it never fails a load */
    struct decoder_priv *priv;
};

/* The shard that holds everything. */
void shard_whole(const struct model_shape *s, struct shard_spec *spec);

/* Query heads that a shard computes and attends with: head0..head1, or those of all shards that share its cache. */
void shard_query_heads(const struct shard_spec *spec, int *head0, int *head1);

/* How many of the first n positions of a sequence lie in the shard's cache: position n does, at that place, if one more
 * of the first n + 1 do. Local. */
int shard_kv_count(const struct shard_spec *spec, int n);

/* The part of a role's matrix in a layer (0 for roles of the model) that a shard holds: rows, and leaves of the K axis
 * with the columns they cover. Returns 0 if it holds none of it. Local. */
struct shard_part {
    int row0, row1, col0, col1;
    struct order_axis axis;
    int leaf0, leaf1;
};
int shard_part(const struct model_shape *s, const struct shard_spec *spec, enum role role, int layer,
               struct shard_part *p);

/* Bytes that decoder_open will hold for a shard; used by the plan, so both are one number. Each matrix and vector is
 * rounded up to 64 bytes, quantized matrices to whole panels of 16 rows. Weights include the embedding, which stays in
 * the file or is generated by rows; rows of it that are also the shard's output layer (tied) count once. Work:
 * activations, rope tables and the tables of the shard itself. Local. */
struct shard_bytes {
    size_t weights, kv, work;
};
void shard_bytes(const struct model_shape *s, const struct shard_spec *spec, const struct decoder_opts *o,
                 struct shard_bytes *out);

/* What one role's matrix in a layer adds to the weights. Local. */
size_t shard_part_bytes(const struct model_shape *s, const struct shard_spec *spec, enum role role, int layer);

/* Opens the shard of a file (g must stay open), or generates it in place from opts->seed when g is NULL: the same
 * floats however sharded. Weights are packed into memory of the decoder's own, on huge pages where the system has them;
 * the pages of the mapping that were read are let go. Local. */
int decoder_open(struct decoder **out, const struct model_shape *s, const struct gguf *g, const struct shard_spec *spec,
                 const struct decoder_opts *o, struct diag *d);
void decoder_close(struct decoder *dec); /* NULL accepted */

/* Where the weights came to lie, measured (/proc/self/smaps): the huge pages that were asked for are not always given.
 * Small models have none. Takes milliseconds. */
struct decoder_memory {
    size_t packed, huge; /* bytes of the packed weights; of these, on huge pages */
    size_t cached; /* of these, read from the cache */
};
void decoder_memory(const struct decoder *dec, struct decoder_memory *out);

/* Where the load took small pages because huge ones came too slowly (a virtual machine short of memory from its host),
 * joins them to huge ones now; takes a second per gigabyte or so. Another thread than the one that computes may call
 * it; ends early once *stop is not 0. stop may be NULL. */
void decoder_settle(struct decoder *dec, const volatile int *stop);

/* Checks a batch against vocabulary, sequences, positions and max_tokens: the steps below rely on it. Local. */
int decoder_check_batch(const struct decoder *dec, const struct token_batch *b, struct diag *d);

/* The steps. h is the residual stream [n][d_model]; parts are [nodes][n][d_model] sums of subtrees. */
void decoder_embed(struct decoder *dec, const struct token_batch *b, float *h);
/* Attention, one function a plan step; between them the activations stay in the decoder. h is not changed. */
void decoder_attn_norm(struct decoder *dec, int layer, int n, const float *h);
void decoder_qkv(struct decoder *dec, int layer, int n); /* q, k, v products */
void decoder_rope_store(struct decoder *dec, int layer, const struct token_batch *b); /* bias, norms, rope, cache */
/* partial: NULL, or with a cache shared by position [q_head1 - q_head0][n] elements of attn_merge, {m, l, o[head_dim]};
 * merged with those of the other shards they go to decoder_merged, which reads this shard's heads. */
void decoder_attend(struct decoder *dec, int layer, const struct token_batch *b, float *partial);
void decoder_merged(struct decoder *dec, int n, const float *merged);
void decoder_attn_out(struct decoder *dec, int layer, int n, float *parts); /* O product */
/* The FFN likewise. In a parallel block decoder_ffn_norm reads the layer's input: call it before decoder_attention_add.
 */
void decoder_ffn_norm(struct decoder *dec, int layer, int n, const float *h);
void decoder_ffn_up(struct decoder *dec, int layer, int n); /* up and gate products */
void decoder_ffn_act(struct decoder *dec, int layer, int n);
void decoder_ffn_down(struct decoder *dec, int layer, int n, float *parts);
/* All steps of attention: norm, q k v, rope, cache, attention, O product -> parts [attn_nodes][n][d_model]. */
void decoder_attention(struct decoder *dec, int layer, const struct token_batch *b, const float *h, float *parts);
/* All steps of the FFN: norm, gate/up, activation, down product -> parts [ffn_nodes][n][d_model]. */
void decoder_ffn(struct decoder *dec, int layer, const struct token_batch *b, const float *h, float *parts);
/* h += root of the attention (or FFN) product, with bias, multiplier, and the post-norm where the model has one. In a
 * parallel block the attention root is added first, then the FFN's; decoder_ffn must then read the layer's input. */
void decoder_attention_add(struct decoder *dec, int layer, int n, float *h, const float *root);
void decoder_ffn_add(struct decoder *dec, int layer, int n, float *h, const float *root);
/* Where the all-reduce after attention is left out (tensor parallelism, approximate): own = h + the sum of this shard's
 * parts alone, with bias and multiplier: what its FFN is to read. parts [attn_nodes, 1 at least][n][d_model] become
 * that one sum; the shard with head 0 adds the bias to it. decoder_own_carry adds it to the FFN's parts, whose root
 * over all shards is then due to decoder_ffn_add on the unchanged h. */
void decoder_own_add(struct decoder *dec, int layer, int n, const float *h, float *parts, float *own);
void decoder_own_carry(const struct decoder *dec, int n, const float *own_sum, float *ffn_parts);
/* Final norm in place, then the shard's rows of the output layer: logits [n][vocab1-vocab0]. */
void decoder_out_norm(struct decoder *dec, int n, float *h);
void decoder_head(struct decoder *dec, int n, const float *x, float *logits);

/* One-rank forward pass of a batch through all layers, on a shard that holds everything; logits [n][n_vocab] for the
 * tokens with want[i] != 0 (NULL: all), packed in order. h receives the last hidden states [n][d_model], before the
 * output norm. Either may be NULL; an encoder has no logits. */
void decoder_forward(struct decoder *dec, const struct token_batch *b, const unsigned char *want, float *logits,
                     float *h);

/* Flips one bit of one weight of this shard (test of the verification), in a copy where it is a view of a file; `which`
 * selects it. Returns 0, or -1 if the shard holds no matrix of a layer or of the output. */
int decoder_flip_weight(struct decoder *dec, uint64_t which);

#endif
