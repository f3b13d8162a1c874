/* plan.h - (model shape, strategy, ranks) -> an immutable plan: who holds what and does which steps in which order.
 *
 *   struct strategy st;  strategy_parse(&st, "tp2xpp2", &d);
 *   struct plan *p;      plan_make(&p, &shape, &st, n_ranks, &opts, &d);
 *   plan_print(p, stdout, 0); plan_free(p);
 *
 * plan_make is pure: the same bytes on every rank (plan->hash is compared). Nothing here needs MPI or weights. A plan
 * is data with several interpreters: execution (dist), emulation, simulation, closed form. All functions are local.
 *
 * Layout of ranks: replica by replica; inside a replica stage by stage; inside a stage by tp index. A stage is a group
 * of ranks that splits every layer it holds by heads, FFN leaves and, in the last stage, vocabulary rows. Stages have
 * their own sizes. Stage s passes hidden states to stage s + 1: rank j of the receiving stage gets them from rank
 * j mod size(s) of the sending one. The last stage samples and returns tokens to stage 0 (loop-back) by the same rule.
 */
#ifndef PARTITION_PLAN_H
#define PARTITION_PLAN_H

#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "collectives/coll.h"
#include "models/decoder.h"

enum { PLAN_MAX_STAGES = 1024, PLAN_MAX_RANKS = 65536 };

/* What messages hold besides vectors: the engine's structs have these sizes (it asserts so).
 *   hidden states  header, T token entries (id, sequence, position, wanted), T vectors of d_model in the form of
 *                  opts.decoder.hidden: plan_hidden_bytes
 *   sampled tokens header, S entries (id, sequence, position, hash of its logits)
 *   an offer       header, S times (hash of the rank's logits, top_candidates candidates); the last stage all-gathers
 * A pass without tokens, a header alone, ends a micro-batch: costs leave it out. */
enum {
    PLAN_HEADER_BYTES = 24,
    PLAN_TOKEN_BYTES = 16,
    PLAN_SAMPLED_HEADER_BYTES = 16,
    PLAN_SAMPLED_BYTES = 24,
    PLAN_OFFER_HEADER_BYTES = 8,
    PLAN_OFFER_BYTES = 8,
    PLAN_CANDIDATE_BYTES = 8 /* logit (binary32) and token id (int32) */
};

/* A parallelism strategy as asked for. */
struct strategy {
    char text[256]; /* canonical spelling: "1", "tp2", "tp2xpp2", "tp2xkvp2", "dp2xtp2xpp2", "stages:1*14/1,2/0xdp2" */
    int tp, pp, dp; /* tp: ranks of the largest stage (kvp included); pp: number of stages; dp: replicas */
    int kvp; /* ranks that share one KV cache by position: 1 but for a spelling with kvp */
    int host; /* stage 0 is a host: it embeds tokens and holds no layer */
    int n_stages; /* == pp */
    int stage_size[PLAN_MAX_STAGES];
    int stage_layers[PLAN_MAX_STAGES]; /* layers of a stage, or -1: chosen by plan_make (even by bytes, at least one) */
};

/* Parses a spelling:  "1" | part ("x" part)*  with part = "tp" N | "kvp" N | "pp" N | "dp" N, each at most once, or
 * "stages:" item ("," item)* ["xdp" N], item = SIZE ["*" REPEAT] ["/" LAYERS] | "host" (first only):
 * "stages:1*14/1,2/0" is 14 stages of one card with one layer each and an output stage of two cards with none.
 * ERR_USAGE names the offending part. */
int strategy_parse(struct strategy *st, const char *text, struct diag *d);
/* Ranks a strategy needs. */
int strategy_ranks(const struct strategy *st);
/* The default for n ranks: tensor parallelism over the largest divisor of n that is at most n_kv_heads (KV heads need
 * not be replicated, every synchronisation stays as small as possible), the rest as pipeline stages, at most one a
 * layer; where that cannot use all ranks, replicas. `why` receives one sentence. */
int strategy_default(struct strategy *st, const struct model_shape *s, int n_ranks, char *why, size_t cap,
                     struct diag *d);
/* What the command line takes: NULL or "auto" is the default, a kind's name ("tp") is that kind over all n ranks, else
 * a spelling. `why` (may be NULL) receives one sentence on where the choice comes from. */
int strategy_choose(struct strategy *st, const char *text, const struct model_shape *s, int n_ranks, char *why,
                    size_t cap, struct diag *d);

/* A kind of strategy: one file in strategies/, one word in its list. */
struct strategy_kind {
    const char *name, *spelling, *description;
    int hosts; /* of its ranks: not counted where cards are */
    /* The strategy of this kind that uses all n ranks; ERR_PLAN, with the reason, if there is none. */
    int (*spread)(struct strategy *st, const struct model_shape *s, int n_ranks, struct diag *d);
    int (*matches)(const struct strategy *st); /* st is of this kind; dp, kvp and northpole match beside another */
    const char *split; /* one sentence: what is split, and what a token pays for it */
};
extern const struct strategy_kind *const strategy_kinds[]; /* ended by NULL */
const struct strategy_kind *strategy_kind_find(const char *name);

/* Steps, in the words of the field. */
#define STEP_LIST(X)                                                                                                   \
    X(RECV_HIDDEN, "recv") /* hidden states from the stage before */                                                   \
    X(EMBED, "embed")                                                                                                  \
    X(ATTN_NORM, "norm")                                                                                               \
    X(QKV, "matmul") /* q, k, v products, bias, q/k norm */                                                            \
    X(ROPE, "rope") /* rotation and cache store */                                                                     \
    X(ATTENTION, "attention")                                                                                          \
    X(ATTN_MERGE, "merge") /* of partial attention over positions, where ranks share a cache */                        \
    X(ATTN_OUT, "matmul") /* O product -> subtree sums */                                                              \
    X(ATTN_REDUCE, "allreduce")                                                                                        \
    X(ATTN_ADD, "residual")                                                                                            \
    X(FFN_NORM, "norm")                                                                                                \
    X(FFN_UP, "matmul") /* gate and up */                                                                              \
    X(FFN_ACT, "activation")                                                                                           \
    X(FFN_DOWN, "matmul") /* -> subtree sums */                                                                        \
    X(FFN_REDUCE, "allreduce")                                                                                         \
    X(FFN_ADD, "residual")                                                                                             \
    X(SEND_HIDDEN, "send")                                                                                             \
    X(OUT_NORM, "norm")                                                                                                \
    X(HEAD, "matmul")                                                                                                  \
    X(SAMPLE, "sample") /* candidates to all of the stage, pick */                                                     \
    X(SEND_TOKEN, "send") /* loop-back to stage 0 */                                                                   \
    X(RECV_TOKEN, "recv")
enum step_kind {
#define X(name, kind) STEP_##name,
    STEP_LIST(X)
#undef X
        STEP_COUNT
};
const char *step_name(enum step_kind kind); /* "ATTN_OUT" in lower case: "attn_out" */
const char *step_class(enum step_kind kind); /* "matmul" */

enum precision { PREC_F32, PREC_I8, PREC_I4, PREC_COUNT };

/* What a step costs one rank, exactly, in a pass of one micro-batch: T tokens of which token i sees ctx_i positions, C
 * = sum of ctx_i. The steps from OUT_NORM on and RECV_TOKEN count only the S tokens whose logits are wanted: there T is
 * S, and a pass with S = 0 skips them; SEND_TOKEN counts those of them that were not refused. A multiply and its add
 * are two operations; cost.c says what is counted of the elementwise steps. */
struct step_cost {
    int64_t weight_bytes; /* matrices as stored (scales included) and vectors, read once a pass */
    int64_t row_bytes_per_tok; /* x T: rows of the embedding */
    int64_t kv_bytes_per_tok; /* x T: written to the cache, scales included; of a cache shared by position the mean over
                                 its ranks, rounded down, also of what is read of it */
    int64_t kv_bytes_per_ctx; /* x C: read from the cache, once however many query heads share a KV head */
    int64_t ops_per_tok[PREC_COUNT]; /* x T */
    int64_t ops_per_ctx[PREC_COUNT]; /* x C */
    int64_t messages; /* sent by this rank; through shared memory: published */
    int64_t sent_bytes; /* independent of T (headers) */
    int64_t sent_bytes_per_tok; /* x T. An algorithm that cuts vectors into parts ends these at lines of 64 bytes: exact
                                   for T = 1, and for all T where the stage's size divides the lines of a vector */
    int64_t extra_bytes_per_tok; /* of those: what a cut tree adds, vectors beyond the first in one message */
};

struct plan_step {
    enum step_kind kind;
    struct step_cost cost;
};

/* A list of steps: the prologue or epilogue of a rank, or one layer. */
enum { PLAN_BLOCK_STEPS = 16 };
struct plan_block {
    int n;
    struct plan_step step[PLAN_BLOCK_STEPS];
};

enum rank_role { RANK_CARD, RANK_HOST };

struct plan_rank {
    enum rank_role role;
    int replica, stage, tp_index;
    struct shard_spec shard;
    int kv_head0, kv_head1; /* KV heads held; empty (0, 0) without query heads */
    int ffn0, ffn1; /* FFN columns held */
    struct shard_bytes bytes; /* what decoder_open will hold */
    size_t engine_bytes; /* and the engine's own buffers and collectives: plan_engine_bytes */
    /* A pass runs prologue, layers[0 .. layer1-layer0) in order, epilogue. Equal blocks are stored once in the plan:
     * the layers of a file with mixed types point to as many blocks as there are combinations of types. */
    const struct plan_block *prologue, *epilogue;
    const struct plan_block *const *layers;
    int recv_from; /* world rank that sends hidden states, -1 for stage 0 */
    int send_to_first, send_to_step, n_send_to; /* world ranks first, first+step, ...: receivers of hidden states */
    int token_from; /* stage 0 of several: world rank that sends tokens, else -1 */
    int token_to_first, token_to_step, n_token_to; /* last stage of several: receivers of sampled tokens */
};

struct plan_stage {
    int first; /* rank within the replica */
    int size, layer0, layer1;
    const int *head_begin; /* [size+1] heads = leaves of the attention output */
    const int *ffn_begin; /* [size+1] leaves of FFN down */
    const int *vocab_begin; /* [size+1], all zero unless the last stage of a model with an output layer */
};

struct estimate_kept;
struct plan_opts {
    struct decoder_opts decoder; /* precisions, kv type, n_seqs, n_ctx, max_tokens */
    size_t mem_bytes; /* memory a rank may use; 0: not limited */
    int n_micro; /* micro-batches in flight (1 without pipelining of sequences) */
    int top_candidates; /* candidates a rank offers per sampled token: 1 greedy, k for top-k, 0: all. The plan
                           lowers it to the most vocabulary rows that one rank holds */
    int max_logits; /* most sampled tokens of one pass; 0: min(max_tokens, n_seqs) */
    const char *allreduce; /* algorithm of the all-reduces; NULL or "auto": the fastest of the bit-exact ones, for each
                              stage size and product, priced for the tokens of a decode pass */
    enum coll_transport transport; /* of the all-reduces */
    const struct net *net; /* what their choice and prediction reckon with; NULL: net_default. Outlives the plan */
    int domain_ranks; /* so many neighbours of a stage are one domain of two-level algorithms; 0: as the link says */
    const struct coll_wire *wire; /* how their values travel: all results are approximate; NULL: as they are */
    const char
        *drop_sync; /* layers whose all-reduce after attention is left out, "0,3-7" or "all"; NULL or "none": none.
                       Without effect in stages of one rank, which have none; elsewhere results are approximate */
    const uint64_t *speed; /* [ranks of a replica] of each rank's card, in millionths, at least 1: shares of layers,
                              heads, FFN leaves and vocabulary rows follow it; NULL: equal. plan_make copies it */
    int cut_depth; /* of shares that follow speeds: only whole subtrees so deep in the canonical trees of heads and
                      leaves, so that ranks have fewer sums to exchange; 0: any */
    struct estimate_kept *kept; /* what its estimates share with those of other plans (estimate.h); NULL: nothing */
};

struct plan {
    struct model_shape shape;
    struct strategy strategy;
    struct plan_opts opts; /* with the defaults filled in */
    int n_ranks, ranks_per_replica, n_stages;
    struct plan_stage *stages; /* [n_stages] */
    struct plan_rank *ranks; /* [n_ranks] */
    uint8_t drop_sync[SHAPE_MAX_LAYERS]; /* 1: opts.drop_sync names this layer */
    uint64_t hash; /* of everything a rank must agree on */
    struct plan_store *store; /* owns what stages and ranks point to */
};

/* Makes and checks a plan. Errors (ERR_PLAN) show the arithmetic: ranks needed and given, bytes held and allowed on the
 * first rank that does not fit, layers and stages. Any split works: of n things rank i of a stage gets
 * [floor(i*n/size), floor((i+1)*n/size)) vocabulary rows and heads, and FFN leaves with ceil, so that what is left over
 * goes to different ranks. Heads are dealt in whole KV groups, or singly (KV heads are then replicated) where that
 * gives the heaviest rank fewer weights and no more cache. A rank may own nothing of a layer. Where opts.speed differs
 * in a stage, its shares of attention rows, FFN columns and vocabulary rows are those whose largest quotient of work
 * and speed is least of all such splits, the even ones where these are as good; of others those with fewest subtrees.
 * Ranks that share caches (kvp) keep even shares. The same place of all replicas has one share. With kvp K the heads
 * are dealt to size / K shards in this way, and those of a shard evenly to its K ranks, who hold the shard's q, k and v
 * rows each, and 1/K of the positions. */
int plan_make(struct plan **out, const struct model_shape *s, const struct strategy *st, int n_ranks,
              const struct plan_opts *o, struct diag *d);
/* Whether opts.net, whose numbers may have changed since, would let plan_make choose the same algorithms: 1 or 0. It
 * reads nothing else of the links, so the plan is then the same but for plan_coll_why. */
int plan_suits_net(const struct plan *p);
void plan_free(struct plan *p); /* NULL accepted */

/* How the two row-parallel sums of a layer, attention output and FFN down, meet.
 *   two      an all-reduce each; in a stage of one rank nothing meets
 *   joined   parallel blocks: one all-reduce (STEP_FFN_REDUCE) of 2 T d_model elements, first all of the attention's,
 * then the FFN's; no STEP_ATTN_REDUCE. The same bits. Where the ranks' places in the two trees of leaves differ it
 *            cannot be had: two
 *   dropped  STEP_ATTN_ADD adds the rank's own part of the attention's sum, for its FFN alone; STEP_FFN_REDUCE carries
 *            both sums as one vector, which STEP_FFN_ADD adds to the layer's input: the same on all ranks again */
enum plan_sync { SYNC_TWO, SYNC_JOINED, SYNC_DROPPED };
enum plan_sync plan_sync(const struct plan *p, int rank, int layer);

/* A rank's all-reduce (kind STEP_ATTN_REDUCE or STEP_FFN_REDUCE) among the ranks of its stage, numbered by tp index:
 * with the algorithm that the plan has chosen; what the spec points to is the plan's. The caller sets the tag.
 * STEP_ATTN_MERGE: the reduce-scatter of [heads][tokens] elements of attn_merge among the kvp ranks that share its
 * cache, numbered by tp index mod kvp; part i is the heads of rank i. Merged along the canonical tree of the ranks, so
 * that results depend on kvp alone. */
void plan_coll(const struct plan *p, int rank, enum step_kind kind, struct coll_spec *out);
/* What the rank does in it with n elements (price.h); STEP_SAMPLE: in the all-gather of n bytes of each rank of the
 * stage. The plan's own, made when first asked for: by one thread at a time. */
int plan_events(const struct plan *p, int rank, enum step_kind kind, size_t n, const struct coll_event **event,
                int *count, struct diag *d);
/* Called where what plan_events gave of a rank is no longer read: in stages of more than PLAN_KEPT_RANKS ranks, where
 * all ranks' events may be as many as pairs of ranks, they are put away, in rows of messages that are alike, until they
 * are asked for again. Local. */
enum { PLAN_KEPT_RANKS = 256 };
void plan_events_done(const struct plan *p, int rank);
/* Elements of that collective in a pass of so many tokens, of which `wanted` are sampled; STEP_SAMPLE: bytes. */
size_t plan_coll_elems(const struct plan *p, int rank, enum step_kind kind, int layer, int64_t tokens, int64_t wanted);
/* The worst label of the collectives of any stage: BIT_EXACT results equal those of one rank. */
enum coll_label plan_label(const struct plan *p);
/* Why that algorithm: the plan's text. */
const char *plan_coll_why(const struct plan *p, int rank, enum step_kind kind);
/* Its schedule; caller frees with sched_fini. A stage of one rank has a schedule without messages, the MPI library's
 * own algorithm has none: ERR_UNSUPPORTED. */
int plan_schedule(const struct plan *p, int rank, enum step_kind kind, struct sched *out, struct diag *d);

/* The one workspace of the engine on a rank. Its parts, in order, each starting at a multiple of 64 bytes and sized for
 * the largest pass (M = max_tokens, L = max_logits); parts that a rank does not need are empty. */
#define PLAN_PART_LIST(X)                                                                                              \
    X(HIDDEN) /* [M][d_model] residual stream */                                                                       \
    X(SUM) /* [M][d_model] sum of a product, where the stage is one rank: others have collectives for it. With dropped \
              syncs: residual stream of this rank's FFN, then the sums of its heads [nodes, 1 at least][M][d_model] */ \
    X(TOKENS) /* [M] token entries of a message */                                                                     \
    X(IDS) /* [3][M] int: id, sequence, position, as the decoder takes them */                                         \
    X(SAMPLED) /* [L] sampled entries */                                                                               \
    X(WANTED) /* [L][d_model] last stage: hidden states whose logits are wanted */                                     \
    X(LOGITS) /* [L][vocabulary rows of this rank] */                                                                  \
    X(OFFER) /* this rank's offer */                                                                                   \
    X(OFFERS) /* [size of the stage] offers of all */                                                                  \
    X(POOL) /* [size of the stage * top_candidates] candidates of one token */                                         \
    X(SEND) /* [n_send] messages under way, send_stride bytes each */                                                  \
    X(REQUESTS) /* [n_send][receivers] struct link_request */                                                          \
    X(RECV) /* one message, recv_bytes long */                                                                         \
    X(BOOKS) /* PLAN_BOOK_BYTES for each sequence and each micro-batch: the engine's notes */
enum plan_part {
#define X(name) PLAN_PART_##name,
    PLAN_PART_LIST(X)
#undef X
        PLAN_PART_COUNT
};
enum { PLAN_BOOK_BYTES = 64 };
struct plan_layout {
    size_t at[PLAN_PART_COUNT + 1]; /* offsets; the last one is the total */
    size_t send_stride, recv_bytes;
    int n_send; /* n_micro + 1 in a pipeline: no send ever waits for a rank that waits for us */
};
void plan_layout(const struct plan *p, int rank, struct plan_layout *out);
/* The total, and the most that the rank's collectives keep (coll_bytes), with any transport. */
size_t plan_engine_bytes(const struct plan *p, int rank);

/* One pass of a micro-batch: T tokens, S of them sampled, C = sum over the tokens of positions seen. */
struct plan_pass {
    int64_t tokens, sampled, ctx_sum;
    int64_t refused; /* of the sampled: drafts, and what follows them, that the last stage refused: not returned */
};

/* A message of hidden states of T tokens. */
int64_t plan_hidden_bytes(const struct plan *p, int64_t tokens);

/* Totals of one rank, or of all (rank < 0; each replica then runs the pass), for a pass. */
struct plan_totals {
    double weight_bytes, kv_bytes, ops[PREC_COUNT], messages, sent_bytes, extra_bytes;
    double steps; /* walked */
};
void plan_totals(const struct plan *p, int rank, const struct plan_pass *pass, struct plan_totals *out);

/* Any number of passes together: all costs are linear in these. */
struct plan_work {
    int64_t passes, tokens, ctx_sum; /* of all passes: tokens, and sum over them of the positions each sees */
    int64_t ctx_read; /* sum over the passes and their sequences of the positions that the last token sees: what has to
                         be read of the cache where the tokens of a sequence share it. ctx_sum counts it a token */
    int64_t sampled_passes, sampled; /* passes with tokens whose logits are wanted; those tokens */
    int64_t refused; /* of these, not returned to stage 0 (drafts); the ranks of the last stage know */
};
/* What one rank does in them, by kind of step. The cache counts ctx_read times, not ctx_sum times. */
void plan_step_totals(const struct plan *p, int rank, const struct plan_work *w, struct plan_totals out[STEP_COUNT]);

/* Bytes of weights held more than once in a replica, by cause: `model` is what one rank alone would hold. */
struct plan_replication {
    int64_t model, held; /* one copy; sum over the ranks of a replica */
    /* of held - model: embedding (and position) tables; K and V rows (with kvp Q rows too); vectors, and blocks of a
     * weight format that a column split leaves on both sides */
    int64_t embedding, kv_heads, other;
};
void plan_replication(const struct plan *p, struct plan_replication *out);

/* The plan as a table a person can check: strategy and why, model, ranks with layers, heads, KV heads, FFN columns,
 * vocabulary rows, memory by part; what is replicated; with `steps`, the cost of each step of each distinct rank kind;
 * then messages and bytes per token. More than 16 ranks are grouped by equal amounts. */
void plan_print(const struct plan *p, FILE *out, int steps);
/* The same as JSON text (malloc'ed; NULL without memory), units in the key names. */
char *plan_json(const struct plan *p);

#endif
