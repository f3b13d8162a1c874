/* kernels.h - matrix products, norms and attention in the canonical order (order.h).
 *
 * The portable C kernels define the bits; other rows of the kernel table are faster and bit-identical. Nothing here
 * allocates, communicates or fails: sizes are checked when a matrix is set up. All functions are local and
 * reentrant. */
#ifndef MODELS_KERNELS_H
#define MODELS_KERNELS_H

#include "models/order.h"
#include "models/tensor_type.h"

/* A shard of a weight matrix: some rows, some leaves of its K axis. A view: nothing is owned. Rows lie as in the file,
 * or 16 together in panels (mat_pack), which is how the fast kernels read quantized formats; results are the same. */
struct mat {
    const struct tensor_type *type;
    int rows; /* rows of this shard */
    const uint8_t *data; /* row 0, at the block (32-column piece for block <= 32, 256 for K formats) of first column */
    size_t stride; /* bytes from row to row, or from panel to panel */
    int in_panels;
    int first_col; /* column of the whole matrix at which data starts: a multiple of max(block, 1) */
    struct order_axis axis;
    int leaf0, leaf1; /* leaves of the axis this shard holds: columns [leaf_begin(leaf0), leaf_begin(leaf1)) */
    const float *row_step; /* per-channel types: [rows], else NULL */
    float act_step; /* static activation step, or 0 for dynamic scales */
    int act_bits; /* 8: that step is one of int8, in mode a4 too; else 0. For whoever quantizes: products do not look */
    const float *bias; /* [rows] or NULL; not applied by mat_mul (it applies to the root) */
    int n_nodes; /* maximal subtrees of the shard's leaves: what mat_mul returns per row */
};

enum act_bits { ACT_F32 = 0, ACT_I8 = 8, ACT_I4 = 4 }; /* a16, a8, a4 */

enum { ACT_TILE = 16 }; /* tokens that a kernel handles together */

/* Activations of n_tokens tokens over the groups of leaves [leaf0, leaf1), ready for a product. Tokens lie in tiles of
 * ACT_TILE, of which the last may be smaller; tile k starts at element k * ACT_TILE * n_groups of each array, and nt is
 * its number of tokens. q holds each group as 32 bytes, placed at the group's offset in its 32-column piece and zero
 * elsewhere, so a kernel always handles whole pieces. Buffers belong to the caller: sizes from act_bytes. */
struct act {
    enum act_bits bits;
    int n_tokens, n_groups;
    const struct order_group *groups; /* [n_groups] */
    const float *x; /* [n_tokens][ldx], x[t*ldx + (c - first column of leaf0)] */
    size_t ldx;
    int8_t (*q)[32]; /* per tile: [n_groups][nt] */
    int32_t (*sum)[2]; /* the same: sums of the piece's two halves of 16 columns */
    int32_t *total; /* the same: of the whole piece */
    uint8_t (*split)[2][32]; /* the same: |q|, and 255 where q < 0, for products of unsigned with signed bytes */
    int32_t *below; /* the same: minus the sum of the negative q */
    float *scale; /* the same */
    float act_step; /* static step used, or 0 */
};

/* Bytes of the buffer that act_init carves the arrays from. */
size_t act_bytes(enum act_bits bits, int n_tokens, int n_groups);
/* Sets up a over buf (aligned to 64) and quantizes x (rule 6). x must stay valid: float products read it. */
void act_init(struct act *a, enum act_bits bits, float act_step, const struct order_group *groups, int n_groups,
              const float *x, size_t ldx, int n_tokens, void *buf);
/* The two halves of act_init, for callers that share the tokens of a call among threads: tiles [tile0, tile1). */
void act_place(struct act *a, enum act_bits bits, float act_step, const struct order_group *groups, int n_groups,
               const float *x, size_t ldx, int n_tokens, void *buf);
void act_quantize(struct act *a, int tile0, int tile1);
static inline int act_tiles(const struct act *a) {
    return (a->n_tokens + ACT_TILE - 1) / ACT_TILE;
}

struct attn_args;

/* One implementation of the hot loops. */
struct kernel_set {
    const char *name; /* "portable", "avx2", ... */
    int (*available)(void); /* on this CPU */
    void (*mat_mul)(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy, size_t ldnode);
    void (*attention)(const struct attn_args *args);
};

/* y[node*ldnode + t*ldy + row] = sum of maximal subtree `node` (0..w->n_nodes-1) of row `row` and token t,
 * for rows [row0, row1). Work is proportional to the rows, so callers split rows over threads; row0 of a matrix in
 * panels is a multiple of MAT_PANEL. For quantized types with a->bits == ACT_F32, and for float types whatever a->bits,
 * the float rule is used. w with no leaves writes nothing. */
void mat_mul(const struct mat *w, const struct act *x, int row0, int row1, float *y, size_t ldy, size_t ldnode);

/* Fills in n_nodes and checks that the shard is coherent; 0 or -1. Per-channel types need row_step; act_step is theirs
 * alone, and a leaf with it has at most MAT_STATIC_COLS columns, so that its integer sum fits 32 bits. */
enum { MAT_STATIC_COLS = 131071, MAT_MAX_LEAVES = 4096 };
int mat_prepare(struct mat *w);

/* Panels. 16 rows are stored together, block after block. A block of a panel has first, where the size of the format's
 * block is no whole number of 32-bit words, the odd 16-bit number (type->half_at) of the 16 rows, then word after word
 * of the rest, each for the 16 rows:
 *
 *     Q4_0     d of rows 0-15 | columns 0-3, 16-19 of rows 0-15 | columns 4-7, 20-23 of rows 0-15 | ...
 *
 * so that a vector of 32-bit lanes has rows as lanes, and a product reads memory in one sequence. Rows past the last
 * are zeros. Formats that keep high bits apart are put into the order in which they are used (type->order). Only
 * quantized types have panels. */
enum { MAT_PANEL = TYPE_ROWS };
size_t mat_panels_bytes(const struct tensor_type *type, int rows, int cols); /* of a whole matrix or a column shard */
/* Packs n_rows rows of cols columns, `stride` bytes apart, into panels from dst (aligned to 32) on. */
void mat_pack(const struct tensor_type *type, const uint8_t *src, size_t stride, int n_rows, int cols, uint8_t *dst);
/* The block of a row, as stored in the file, that holds column col (counted from w->first_col); and back, where the
 * matrix lies in memory that may be written. Block: type->block_bytes, at most 256. */
void mat_block_get(const struct mat *w, int row, int col, uint8_t *block);
void mat_block_put(const struct mat *w, int row, int col, const uint8_t *block);
/* The canonical floats of the first n columns of a row; w->first_col is 0. Local. */
void mat_row_floats(const struct mat *w, int row, int n, float *dst);

/* Norms: y[i] over n values; weight and bias [n] (bias may be NULL). y may be x. */
void norm_rms(float *y, const float *x, const float *weight, int n, float eps);
void norm_layer(float *y, const float *x, const float *weight, const float *bias, int n, float eps);

/* Key/value cache of one layer and one sequence for the heads of one shard. */
enum kv_type { KV_F16, KV_I8, KV_I4 };
struct kv_cache {
    enum kv_type type;
    int n_kv_heads, head_dim, n_ctx;
    /* f16: [n_kv_heads][n_ctx][head_dim] uint16_t. i8/i4: q as [..][head_dim] int8 / two to a byte (j low, j+1
     * high, + 8), scale one float per 32 of head_dim: [n_kv_heads][ceil(head_dim/32)][n_ctx] */
    void *k, *v;
    float *k_scale, *v_scale;
    const float *k_step, *v_step; /* NULL, or of i4 [n_kv_heads]: static steps, which become the scales */
};
size_t kv_cache_bytes(enum kv_type type, int n_kv_heads, int head_dim, int n_ctx); /* all four arrays */
void kv_cache_place(struct kv_cache *c, void *buf); /* buf of that size, aligned to 64 */
/* Stores k and v [n_kv_heads][head_dim] at a position. */
void kv_cache_put(struct kv_cache *c, int pos, const float *k, const float *v);

enum { ATTN_MAX_HEAD_DIM = 1024 };

/* Queries of one sequence. Each is computed as if alone; together they read the cache once. */
struct attn_args {
    const struct kv_cache *cache;
    const float *q; /* [n_queries][n_heads][head_dim], after rope; queries ld floats apart */
    float *out; /* the same shape */
    size_t ld;
    int n_queries;
    int n_heads; /* query heads of this shard */
    const int *kv_of; /* [n_heads] row of the cache each query head reads; heads that read one lie together */
    const int *n_visible; /* [n_queries] >= 1: positions 0..n_visible-1 are seen */
    float scale;
    enum act_bits bits; /* mode: ACT_I4 uses integer products where the cache is integer */
    const float *q_step, *w_step; /* NULL, or [n_heads] in mode a4 on a cache with static steps: those of queries and
                                     weights (rule 8) */
    /* NULL, or in place of out what attn_merge joins (collectives/op.h): an element {m, l, o[head_dim]}, o not divided
     * by l, of head h and query i at partial[h * partial_ld + i]. n_visible may then be 0: {-inf, 0, 0...}. */
    float *partial;
    size_t partial_ld; /* elements from head to head */
};
void attention(const struct attn_args *args);

/* Rotary embedding in place on n_heads heads: pairs (2i, 2i+1) if interleaved else (i, i + rope_dim/2), cs[i] and
 * sn[i] for i < rope_dim/2. Dimensions past rope_dim stay. */
void rope_apply(float *x, int n_heads, int head_dim, int rope_dim, int interleaved, const float *cs, const float *sn);

/* The kernel table, fastest first, ended by NULL, and a switch for tests and --kernels: NULL or "auto" picks the
 * fastest available; unknown or unavailable names return -1. Not thread-safe: call before work starts. */
extern const struct kernel_set *const kernel_sets[];
int kernels_select(const char *name);
const char *kernels_selected(void);

#endif
