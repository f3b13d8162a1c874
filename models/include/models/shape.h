/* shape.h - what a decoder (or encoder) looks like: all a plan needs to know of a model, without weights.
 *
 * Filled from GGUF metadata by the architecture's row (archs/), or from a preset. Plain data; copied freely; it holds
 * no pointers, so its bytes can be broadcast and hashed (unused bytes are zero). */
#ifndef MODELS_SHAPE_H
#define MODELS_SHAPE_H

#include <stdint.h>

#include "models/gguf.h"
#include "models/tensor_type.h"

enum norm_kind { NORM_RMS, NORM_LAYER };
enum act_fn { FN_SILU, FN_GELU_TANH, FN_GELU_ERF };
enum pos_kind { POS_ROPE_PAIRS, POS_ROPE_HALVES, POS_LEARNED, POS_NONE }; /* pairs (2i,2i+1) | halves (i, i+n/2) */
enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_FACTORS }; /* factors: rope_freqs.weight (Llama 3.1) */

/* clang-format off */
/* The weight matrices of a layer and of the model, by role. A role is a tensor, or a range of its rows (a fused
 * attn_qkv serves three roles). */
#define ROLE_LIST(X) X(EMBED) X(POS_EMBED) X(TYPE_EMBED) X(Q) X(K) X(V) X(O) X(GATE) X(UP) X(DOWN) X(HEAD)
enum role {
#define X(name) ROLE_##name,
    ROLE_LIST(X)
#undef X
    ROLE_COUNT
};

/* Small vectors kept whole on each rank that uses them. In a post-norm model ATTN_NORM and FFN_NORM are the norms that
 * follow the sums. The last five of a layer are static steps of mode a4 (rules 6 and 8 of order.h), learned with the
 * weights: of each query head, KV head, KV head, weights of each query head, and one of SiLU. */
#define VEC_LIST(X)                                                                                                    \
    X(EMBED_NORM) X(EMBED_NORM_B) X(ATTN_NORM) X(ATTN_NORM_B) X(Q_NORM) X(K_NORM) X(Q_B) X(K_B) X(V_B) X(O_B)          \
    X(FFN_NORM) X(FFN_NORM_B) X(GATE_B) X(UP_B) X(DOWN_B) X(Q_STEP) X(K_STEP) X(V_STEP) X(WEIGHT_STEP)                  \
    X(SILU_STEP) X(OUT_NORM) X(OUT_NORM_B) X(HEAD_B) X(ROPE_FACTORS)
enum vec {
#define X(name) VEC_##name,
    VEC_LIST(X)
#undef X
    VEC_COUNT
};
/* clang-format on */

enum { SHAPE_MAX_LAYERS = 256, SHAPE_NAME_LEN = 64 };

struct model_shape {
    char name[64], arch[32];
    int32_t n_layers, d_model, n_heads, n_kv_heads, head_dim, d_ffn, n_vocab, n_ctx; /* n_ctx: trained context */
    int32_t norm, act, pos, scaling; /* enums above */
    int32_t ffn_gated; /* act(gate) * up, else act(up) */
    int32_t parallel_block; /* attention and FFN both read the layer's input: h + attn(n1(h)) + ffn(n2(h)) */
    int32_t qk_norm; /* RMS norm of each q and k head (qwen3) */
    int32_t causal; /* 0: encoder */
    int32_t post_norm; /* bert: h = norm(h + f(h)), and a norm after the embedding */
    int32_t tied_head; /* output layer shares the embedding */
    int32_t fused_qkv; /* q, k and v are row ranges of one stored tensor */
    int32_t rope_dim, n_positions; /* n_positions: rows of a learned position table, else 0 */
    int32_t n_types; /* rows of the token type table (row 0 is used), else 0 */
    int32_t ctx_limit; /* longer contexts cannot be computed: the position table's rows, or the width of a
                          sliding window (up to it full attention is the same thing); 0: no limit */
    uint32_t has_vec; /* bit VEC_x: the model has that vector (all layers alike) */
    float norm_eps;
    float embed_scale, residual_scale, attn_scale, logit_scale; /* 1 and 1/sqrt(head_dim) unless the model says so;
                                                                   logits are multiplied by logit_scale */
    double rope_base, rope_factor; /* linear scaling divides positions by rope_factor */
    int32_t role_type[ROLE_COUNT]; /* index in tensor_types[] of the role's storage type, of the first layer where
                                      layers differ; -1 if no such role */
    int64_t role_bytes[ROLE_COUNT]; /* bytes of the role over all layers, as stored, row steps included. A tied HEAD
                                       has the embedding's: they are read there, and stored once */
    int8_t layer_type[SHAPE_MAX_LAYERS][ROLE_COUNT]; /* the same index, layer by layer: mixed files (Q4_K_M); roles
                                                        of the model stand in row 0 */
};

/* An architecture: one file in archs/, one word in its list. The fields are what all its models share; read fills in
 * the metadata keys of its own after the common ones (NULL if it has none). */
struct arch {
    const char *name; /* general.architecture */
    const char *description;
    enum norm_kind norm;
    enum act_fn act;
    enum pos_kind pos;
    int ffn_gated, causal, post_norm, fused_qkv, parallel_block;
    uint32_t vecs; /* VEC_BIT of those that every model has */
    uint32_t optional_vecs; /* of those that a model has in all its layers or in none */
    int (*read)(struct model_shape *s, const struct gguf *g, struct diag *d);
};
#define VEC_BIT(v) ((uint32_t)1 << VEC_##v)
#define VEC_STEPS (VEC_BIT(Q_STEP) | VEC_BIT(K_STEP) | VEC_BIT(V_STEP) | VEC_BIT(WEIGHT_STEP) | VEC_BIT(SILU_STEP))
extern const struct arch *const archs[]; /* ended by NULL */
const struct arch *arch_find(const char *name);

/* "Q", "DOWN": for tables. Roles and vectors of a layer, as opposed to the model's. Local. */
const char *role_name(enum role role);
int role_in_layer(enum role role);
int vec_in_layer(enum vec vec);
int vec_is_step(enum vec vec);

/* Name of the tensor that holds a role or vector ("blk.3.attn_q.weight") in name[SHAPE_NAME_LEN]. Returns the first of
 * its rows (elements) that the role uses, or -1 if the model has no such thing. Local. */
int shape_role_tensor(const struct model_shape *s, enum role role, int layer, char *name);
int shape_vec_tensor(const struct model_shape *s, enum vec vec, int layer, char *name);

/* Rows and columns of a role's whole matrix (0 if absent), and length of a vector (0 if absent). Local. */
void shape_role_size(const struct model_shape *s, enum role role, int *rows, int *cols);
int shape_vec_size(const struct model_shape *s, enum vec vec);

/* Storage type of a role in a layer (0 for roles of the model); NULL if the model has no such role. Local. */
const struct tensor_type *shape_type(const struct model_shape *s, enum role role, int layer);

/* Bytes as stored of rows [row0, row1) and columns [col0, col1) of a role: the whole blocks that they touch (at least
 * pieces of 32 columns), and the steps of those rows where the type has them. Local. */
size_t shape_part_bytes(const struct model_shape *s, enum role role, int layer, int row0, int row1, int col0, int col1);

/* Reads and checks a model's shape: every tensor present, of the right size and a supported type, and none that the
 * engine would not use. Local. */
int shape_read(struct model_shape *s, const struct gguf *g, struct diag *d);

/* Checks the numbers of a shape against each other, however it came about. Local. */
int shape_check(const struct model_shape *s, struct diag *d);

/* Gives every matrix the storage type `quant` (embedding and output layer `head_quant`, NULL for the same) or the type
 * that stands in for it where rows do not divide (tensor_type_for_cols); position and token type tables stay at 16
 * bits. Fills in role_bytes. Local. */
void shape_set_types(struct model_shape *s, const struct tensor_type *quant, const struct tensor_type *head_quant);

/* The type, or what llama.cpp stores in its place if rows of `cols` do not divide into its blocks: Q4_K -> Q5_0,
 * Q5_K -> Q5_1, Q6_K -> Q8_0 where cols % 32 == 0, and F16 for all others. Local. */
const struct tensor_type *tensor_type_for_cols(const struct tensor_type *type, int64_t cols);

/* Presets with synthetic weights: one row each, from public model cards. Quant NULL takes the row's default. */
struct preset {
    const char *name, *description, *arch;
    const char *quant, *head_quant; /* default storage type; that of embedding and output layer (NULL: the same) */
    const char *mode, *hidden; /* what the model computes in, and holds hidden states in, with these types ("w4a4",
                                  "fp16"); NULL: as any other */
    int n_layers, d_model, n_heads, n_kv_heads, d_ffn, n_vocab, n_ctx;
    int head_dim; /* 0: d_model / n_heads */
    int tied_head;
    double rope_base;
    float norm_eps;
};
extern const struct preset *const presets[]; /* ended by NULL */
const struct preset *preset_find(const char *name);

/* Shape of a preset. n_ctx > 0 asks for a context: learned position tables get as many rows (bert with 4096 positions);
 * 0 keeps the model's own. Local. */
int preset_shape(struct model_shape *s, const char *name, const char *quant, int n_ctx, struct diag *d);

/* The fields that an architecture gives to all its models, and neutral multipliers: where tests and presets start. */
void shape_init(struct model_shape *s, const struct arch *arch);

/* Parameters of the model (embedding counted once when tied). */
int64_t shape_params(const struct model_shape *s);

#endif
