/* engine_priv.h - what the files of the engine share. */
#ifndef DIST_ENGINE_PRIV_H
#define DIST_ENGINE_PRIV_H

#include "collectives/coll.h"
#include "dist/engine.h"
#include "models/decoder.h"

#define ENGINE_TAGS(X)                                                                                                 \
    X(TAG_NONE, "nothing")                                                                                             \
    X(TAG_HIDDEN, "hidden states")                                                                                     \
    X(TAG_TOKEN, "sampled tokens")                                                                                     \
    X(TAG_ATTN_MERGE, "partial attention over positions")                                                              \
    X(TAG_ATTN_REDUCE, "sums of the attention output")                                                                 \
    X(TAG_FFN_REDUCE, "sums of the feed-forward")                                                                      \
    X(TAG_CREDIT, "room for hidden states")                                                                            \
    X(TAG_RESULT, "results of a replica")
enum engine_tag {
#define X(name, text) name,
    ENGINE_TAGS(X)
#undef X
};

/* Header of a pass: what travels in front of the hidden states. Then n entries of struct pass_token. */
struct pass_header {
    int32_t n; /* tokens; 0: this micro-batch has ended */
    int32_t micro; /* micro-batch */
    int32_t n_want; /* tokens whose logits are wanted */
    int32_t prefill; /* prompt tokens (statistics) */
    uint64_t sampled; /* n == 0: hash of all tokens stage 0 received for the micro-batch */
};
struct pass_token {
    int32_t id, slot, pos, want; /* slot: sequence within the replica */
};

/* Why the sampling ranks end a job early, as bits. */
enum stop { STOP_ASKED = 1, STOP_NAN = 2 };

/* Sampled tokens on their way back to stage 0: header, then n of struct token_entry. The last stage, which knows the
 * drafts from the pass and what it sampled, leaves out those that follow a draft it did not sample. */
struct token_header {
    int32_t micro, n;
    int32_t stop; /* enum stop */
    int32_t unused;
};
struct token_entry {
    int32_t id, slot, pos, unused;
    uint64_t logit_hash;
};

/* A sequence as stage 0 sees it. */
struct seq_state {
    int fed; /* prompt tokens fed */
    int n_out; /* tokens generated */
    int last; /* last generated token */
    int ready; /* has a token to feed */
    int drafted; /* drafts in its pass under way */
    int done;
};

struct send_buffer {
    char *bytes;
    struct link_request *req; /* one a receiver */
    int n_req;
};

struct engine {
    const struct plan *plan;
    const struct plan_rank *me;
    const struct plan_stage *stage;
    struct link *world, *replica, *group; /* group: the ranks of my stage */
    struct link *sharers; /* of these, the ranks that share my cache; NULL: none does */
    int replica_first; /* world rank of the replica's rank 0 */
    struct decoder *dec;
    struct coll *attn_reduce, *ffn_reduce; /* NULL in a stage of one rank or without layers; the first also where
                                              layers have one for both products */
    struct coll *attn_merge; /* NULL likewise, and where no other rank shares my cache */

    /* workspace, one allocation: plan_layout */
    void *work;
    float *h; /* [max_tokens][d_model] */
    float *sum; /* [max_tokens][d_model] of a product, where no other rank has a part of it; or PLAN_PART_SUM's two */
    float *attn; /* where the layer's attention product lies */
    const float *root; /* the last sum: that, or a collective's result */
    float *wanted; /* [max_logits][d_model] */
    float *logits; /* [max_logits][my vocabulary rows] */
    char *gather_mine, *gather_all; /* candidate exchange */
    struct candidate *pool; /* [group size * top_candidates] */
    char *recv_bytes; /* one message: header, tokens, hidden states */
    size_t message_cap;
    struct send_buffer *ring; /* messages under way; as many passes may run ahead of the next stage */
    int n_ring, ring_at;
    struct pass_header head;
    struct pass_token *tok; /* [max_tokens] */
    int *id, *slot, *pos; /* the same as arrays, for the decoder */
    struct token_header sampled_head;
    struct token_entry *sampled; /* [max_logits] */

    /* the job */
    const struct engine_job *job;
    struct engine_result *result;
    struct seq_state *seq; /* [slots], stage 0 */
    int n_slots; /* sequences of this replica in this job */
    uint64_t fed_hash; /* of all tokens seen in passes: must be equal on all ranks of the replica */
    uint64_t *sampled_hash; /* [n_micro] of all sampled tokens */
    int *micro_done;
    int *micro_waits; /* stage 0: a token message is due before the next pass */
    int stopping, mismatch;
    struct emulation *emulation; /* NULL: real time alone */
    double t_start, t_prefill_end;
    int first_tokens; /* sequences that have their first token */
    struct engine_stats *stats; /* of the pass's phase */
    engine_watcher *watcher; /* NULL: none */
    void *watcher_user;
};

/* Global number of the sequence in a slot of this replica. */
int engine_seq_of_slot(const struct engine *e, int slot);
int engine_is_first_stage(const struct engine *e);
int engine_is_last_stage(const struct engine *e);

/* schedule.c: what stage 0 decides. */
void schedule_start(struct engine *e);
/* Fills e->head and e->tok for the next pass of a micro-batch. */
void schedule_compose(struct engine *e, int micro);
/* The same for an encoder: all tokens of one sequence. */
void schedule_whole(struct engine *e, int slot);
/* Takes sampled tokens (e->sampled_head, e->sampled) into the sequences and the result. */
void schedule_take(struct engine *e);

/* Positions that the tokens of the pass see: of the cache, where those of a sequence share it, and each for itself. */
void engine_context(const struct engine *e, int64_t *read, int64_t *sum);

/* emulate.c: what moves the clock; each does nothing where the engine does not emulate. */
void emulation_begin(struct engine *e); /* of a job, if all agree: an arbiter waits for messages */
int emulation_start(struct engine *e, struct diag *d); /* of a job: the first message is near */
void emulation_go(struct engine *e); /* where real time is paced: waits for the moment at which all clocks begin */
void emulation_next(struct engine *e); /* a pass is about to be composed or received */
void emulation_pass(struct engine *e); /* a pass has been composed or received */
void emulation_step(struct engine *e, const struct plan_step *step, int layer); /* is about to run */
void emulation_received(struct engine *e, size_t bytes); /* hidden states */
void emulation_room(struct engine *e, int receiver, size_t bytes); /* before they are sent to one of n_send_to ranks */
void emulation_drain(struct engine *e); /* the job's last message has been received */
/* Stage 0 has the tokens of the micro-batch's last pass; before it does anything with them. */
void emulation_take(struct engine *e, int micro);
int emulation_stop(struct engine *e, struct diag *d); /* of a job; its result gets what there is. ERR_MEMORY */
void emulation_end(struct engine *e); /* of a job that may not have begun: the arbiter waits for no more */
void emulation_free(struct engine *e);

/* steps.c: one function for each kind of step. */
extern void (*const step_run[STEP_COUNT])(struct engine *e, int layer);

#endif
