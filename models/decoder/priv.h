/* priv.h - what the files of this folder share.
 *
 * One shard lives in three blocks of memory: weights (packed matrices, vectors, row steps), cache and work. The same
 * functions that carve them from memory measure them for the plan, with no memory behind. */
#ifndef MODELS_DECODER_PRIV_H
#define MODELS_DECODER_PRIV_H

#include <stdatomic.h>

#include "base/text.h"
#include "models/decoder.h"
#include "models/synth.h"

enum { LAYER_MATS = ROLE_DOWN - ROLE_Q + 1 };

struct decoder_layer {
    struct mat mat[LAYER_MATS]; /* by role - ROLE_Q; rows == 0 where the shard holds none */
    const float *vec[VEC_COUNT]; /* NULL where the model has none */
    struct kv_cache *kv; /* [n_seqs]; an encoder's layers share one set */
};

struct group_list {
    struct order_group *g;
    int n;
};

struct memory {
    void *at;
    size_t mapped; /* bytes, where it is a mapping of its own; else 0 */
    int watched; /* huge pages were asked for, and may be slow to come */
    atomic_int slow, small; /* huge pages that were; small ones are taken since */
};

struct decoder_priv {
    struct decoder_layer *layers; /* [layer1 - layer0] */
    struct mat embed, pos_embed, type_embed; /* read by rows; data is NULL where they are synthetic */
    struct mat head;
    const float *vec[VEC_COUNT];
    struct group_list model, heads, ffn; /* groups of the K axes: d_model, this shard's heads, its FFN columns */
    int *kv_of; /* [heads] row of the cache that a head reads */
    int *visible; /* [max_tokens] positions each token sees */
    int *seq_len; /* [n_seqs] */
    float *x; /* [max_tokens][d_model] normed input */
    const float *in; /* input of the sublayer at work: x, or the residual stream (post-norm) */
    float *q, *k, *v, *o; /* [max_tokens][heads or kv heads][head_dim] */
    float *gate, *up; /* [max_tokens][ffn columns]; the product lies in `up` */
    void *act; /* quantized activations of one product */
    float *cos, *sin; /* [n_ctx][rope_dim/2] */
    float *row, *stored_row; /* [d_model] of the embedding step */
    float *h, *part[2]; /* [max_tokens][d_model], of decoder_forward: whole shards only */
    struct memory weights_mem, kv_mem, work_mem;
    size_t packed_bytes; /* of weights_mem */
};

/* A measuring tape, or with base != NULL a block to carve from: pieces of whole 64 bytes. */
struct arena {
    uint8_t *base;
    size_t used;
};
void *arena_take(struct arena *a, size_t bytes);
size_t round_up64(size_t n);

/* Memory aligned to 64 bytes or, when large, to huge pages, which are asked for; with set_aside, those that the system
 * keeps for programs that name them come first. `what` is for the message. */
int memory_reserve(struct memory *m, size_t bytes, int set_aside, const char *what, struct diag *d);
/* To be called by the thread that is about to write to [at, at + bytes) for the first time. */
void memory_touch(struct memory *m, const void *at, size_t bytes);
/* Joins small pages that were taken for haste. */
void memory_settle(struct memory *m, const volatile int *stop);
void memory_release(struct memory *m);
/* How much of a large block lies on huge pages now, as the system tells. */
size_t memory_huge_bytes(const struct memory *m);

/* One past the last column as stored, and first column as stored, of a part: whole blocks, at least 32 columns. */
void part_stored_cols(const struct model_shape *s, enum role role, int layer, const struct shard_part *p, int *col0,
                      int *col1);

/* Embeddings: read by single rows, never multiplied. */
int role_is_table(enum role role);

/* Bytes of a matrix as the decoder keeps it. */
size_t mat_bytes(const struct tensor_type *type, int rows, int cols);

/* True if a shard holds a vector at all. */
int shard_has_vec(const struct model_shape *s, const struct shard_spec *spec, enum vec vec);

/* The same shard with empty ranges as zeros, and no heads or columns where it has no layers. */
struct shard_spec shard_normal(const struct shard_spec *spec);

/* Derived ranges of a shard. */
void shard_ranges(const struct model_shape *s, const struct shard_spec *spec, int *kv_head0, int *kv_head1, int *ffn0,
                  int *ffn1);
int shard_is_whole(const struct model_shape *s, const struct shard_spec *spec);

/* Places all of work, or measures it. Only spec, shape and opts of dec are read. */
void work_carve(struct decoder *dec, struct decoder_priv *p, struct arena *a);
void kv_carve(struct decoder *dec, struct decoder_priv *p, struct arena *a);

/* Loads all matrices and vectors: maps, copies or generates. */
int weights_load(struct decoder *dec, const struct gguf *g, struct diag *d);

/* The matrix of a role in a layer (0 for roles of the model). */
struct mat *decoder_mat(struct decoder *dec, enum role role, int layer);

/* A synthetic matrix with `cols` columns of which [col0, col1) are kept; row 0 is row0 of the stored tensor. */
struct synth_piece {
    const struct tensor_type *type;
    const char *tensor;
    uint64_t seed;
    int64_t row0;
    int cols, col0, col1;
    float *steps; /* of the rows, per-channel types; NULL: not wanted */
};
/* Row `row`, as stored, at dst; its step is noted, and returned. scratch: cols floats. */
float synth_store(const struct synth_piece *p, int row, uint8_t *dst, float *scratch);

/* First row of share i of n when rows are split over threads: a multiple of 32, so that threads write whole cache lines
 * and own whole panels. */
int rows_split(int rows, int i, int n);

/* Products of one quantized input, rows split over the threads; y[node*ldnode + t*ldy + row]. */
struct product {
    const struct mat *w;
    float *y;
    size_t ldy, ldnode;
};
/* Input of a product: x[t*ldx + column - first column of the groups]. */
struct product_input {
    enum act_bits bits;
    const struct group_list *groups;
    const float *x;
    size_t ldx;
    int n_tokens;
};
void products_run(struct decoder *dec, const struct product_input *in, const struct product *p, int n);

#endif
