/* parts.h - what the files of partition share. */
#ifndef PARTITION_PARTS_H
#define PARTITION_PARTS_H

#include <stddef.h>

#include "partition/plan.h"

/* ---- strategy.c ---- */

/* dp replicas of pp stages of tp * kvp ranks, with its canonical text. */
void strategy_regular(struct strategy *st, int dp, int tp, int kvp, int pp);
/* tp, pp and text from the list of stages, host and dp. ERR_USAGE if it is too large. */
int strategy_finish(struct strategy *st, struct diag *d);
/* All stages alike and their layers left to plan_make. */
int strategy_is_regular(const struct strategy *st);
/* Largest divisor of n that is at most max (1 at least). */
int largest_divisor(int n, int max);

/* ---- store.c: memory and shared parts of a plan ---- */

/* A rank's part in one all-reduce of its stage, counted from its schedule for one token. */
struct plan_reduce {
    size_t bytes; /* kept by its collective */
    int64_t messages, sent_bytes, extra_bytes, adds;
};

/* The algorithm of an all-reduce, and why. */
struct plan_algo {
    char name[64], why[160];
    enum coll_label label;
};

/* How `size` ranks split a layer: shared by all stages of that size whose ranks have the same speeds. */
struct plan_group {
    int size;
    const uint64_t *speed; /* [size]; NULL: equal */
    int *head_begin, *ffn_begin; /* [size+1] */
    struct plan_reduce *attn, *ffn, *merge; /* [size]; merge: zeros unless kvp > 1 */
    struct plan_algo attn_algo, ffn_algo;
    int joined; /* both sums of a layer meet in one all-reduce, counted as the FFN's; attn is zero */
    const struct plan_block **layer; /* [size][n_kinds] one block for each kind of layer, made when first asked for */
    struct plan_call **calls; /* [size] plan_events', each malloc'ed */
    struct coll_kept *attn_kept, *ffn_kept; /* plan_suits_net's */
};

/* The events of one rank of a group in a collective. */
struct plan_call {
    enum step_kind kind;
    size_t n;
    struct coll_event *event; /* [count]; NULL: as rows */
    struct events_row *row; /* [n_rows], or NULL: not yet */
    int count, n_rows;
    struct plan_call *next;
};

struct plan_store {
    void **mem; /* every allocation of the plan's parts */
    int n_mem, cap_mem;
    struct plan_group **groups;
    const struct plan_group **group_of; /* [n_stages] */
    int n_groups;
    struct plan_block **blocks; /* distinct ones */
    int n_blocks, cap_blocks;
    int *layer_kind; /* [n_layers]: layers with the same types and syncs have the same kind, numbered from 0 */
    int n_kinds;
    int *domain; /* [largest stage] opts.domain_ranks neighbours have one number; NULL: as the link says */
    int *kvp_begin; /* [kvp+1] 0, 1, ..., kvp: each rank brings one leaf to the merge */
};

/* n zeroed items that live as long as the plan; NULL without memory. */
void *plan_alloc(const struct plan *p, size_t n, size_t item);
/* The same of what malloc gave; freed, and NULL, without memory. */
void *plan_keep(const struct plan *p, void *at);
/* The plan's copy of a block, one for all equal ones; NULL without memory. */
const struct plan_block *plan_intern(struct plan *p, const struct plan_block *b);
int plan_block_index(const struct plan *p, const struct plan_block *b);

/* ---- split.c ---- */

/* First layers of the stages: begin[n_stages+1]. rate[n_stages]: of its ranks together, in millionths of a card's. */
int split_layers(const struct model_shape *s, const struct strategy *st, const int64_t *rate, int *begin,
                 struct diag *d);
/* The same with other costs of a stage that holds layers [a, b) than bytes: the largest is as small as can be, then the
 * sum of squares. stage_layers as they can be (plan_make checks). ERR_PLAN where every split costs SPLIT_NEVER. */
#define SPLIT_NEVER INT64_MAX
typedef int64_t split_cost(void *user, int stage, int a, int b);
int split_by(const struct model_shape *s, const struct strategy *st, split_cost *cost, void *user, int *begin,
             struct diag *d);
/* n things in a row to parts that hold neighbours: the largest cost is as small as can be, then the sum of `tie` (NULL:
 * of squared costs), then earlier parts have more. begin[parts+1]. ERR_MEMORY, or ERR_PLAN where there is no split. */
struct split_job {
    int n, parts;
    const int *given; /* [parts] things of a part, or -1; NULL: none is given */
    int least; /* of a part that is not given */
    split_cost *cost, *tie;
    void *user;
};
int split_linear(const struct split_job *j, int64_t *largest, int *begin);
/* First part of rank i when n parts go to `size` ranks; the last ranks get the parts over. */
int split_begin(int n, int size, int i);
/* The same for FFN leaves: at 2^k ranks whole subtrees (base/pairtree.h), else the first ranks get the parts over, as
 * the last ones have more heads. */
int split_leaves(int n, int size, int i);
/* begin[size+1]. With kvp > 1 the heads of size / kvp shards, each dealt to kvp ranks: -1 unless that is even. */
int split_heads(const struct model_shape *s, int size, int kvp, int *begin);
/* KV heads that heads [head0, head1) read, `share` of which read one. */
int split_kv_heads(int head0, int head1, int share);
/* Numbers the kinds of layers: kind[n_layers]; returns how many there are. */
int split_layer_kinds(const struct model_shape *s, int *kind);
int64_t layer_bytes(const struct model_shape *s, int layer);
int64_t head_bytes(const struct model_shape *s);

/* ---- speeds.c: shares of ranks with unequal speeds; begin[size+1] holds the even ones before ---- */

enum { SPEED_ONE = 1000000 }; /* speeds are in millionths */
/* depth 0, or whole subtrees so deep below the root of the canonical tree. ERR_MEMORY. */
int speeds_heads(const struct model_shape *s, const uint64_t *speed, int size, int depth, int *begin);
int speeds_leaves(int d_ffn, const uint64_t *speed, int size, int depth, int *begin);
int speeds_rows(int n, const uint64_t *speed, int size, int *begin);

/* ---- sync.c ---- */

enum plan_sync sync_of(const struct plan *p, const struct plan_group *g, int layer);
/* Layers of a stage whose all-reduce after attention is dropped: none where one rank has whole sums. */
int sync_drops(const struct plan *p, const struct plan_stage *stage);
/* Sums of its heads that a rank has (1 at least: zeros). */
int sync_own_sums(const struct plan *p, const struct plan_rank *r);
/* True if the two sums of a layer can be one all-reduce in a group that splits heads and leaves as `stage` does. */
int sync_joins(const struct plan *p, const struct plan_stage *stage);
/* Fills in p->drop_sync from opts.drop_sync. */
int sync_read(struct plan *p, struct diag *d);
/* ERR_PLAN where a rank could not pass its attention sum on. */
int sync_check(const struct plan *p, const struct plan_stage *stage, struct diag *d);

/* ---- cost.c: steps with their costs; blocks start zeroed ---- */

void cost_layer(struct plan_block *b, const struct plan *p, const struct plan_rank *r, int layer,
                const struct plan_group *g);
void cost_prologue(struct plan_block *b, const struct plan *p, const struct plan_rank *r);
void cost_epilogue(struct plan_block *b, const struct plan *p, const struct plan_rank *r);
/* Counts only sampled tokens. */
int step_is_sampled(enum step_kind kind);
/* Bytes of one position of the cache: keys and values of n_kv heads in one layer. */
int64_t kv_position_bytes(const struct model_shape *s, enum kv_type type, int n_kv);
/* Bytes of a role's matrix that a rank holds in a layer, as stored. */
int64_t shard_role_bytes(const struct model_shape *s, const struct shard_spec *spec, enum role role, int layer);

/* ---- memory.c ---- */

int64_t plan_rank_bytes(const struct plan_rank *r);
int plan_check_memory(const struct plan *p, struct diag *d);

/* ---- plan.c ---- */

/* One decode step of one sequence whose cache is full, in one replica; `most` (may be NULL) receives the rank that
 * reads most. */
void plan_token_totals(const struct plan *p, struct plan_totals *out, int *most);

/* ---- events.c ---- */

/* Frees what plan_events has made for the group. */
void plan_calls_free(const struct plan_group *g);

/* ---- hash.c ---- */

uint64_t plan_hash(const struct plan *p);

static inline const struct plan_group *plan_group_of(const struct plan *p, int stage) {
    return p->store->group_of[stage];
}

#endif
