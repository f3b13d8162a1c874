/* engine.h - executes a plan: real kernels, real messages, wall clock.
 *
 *   engine_init(&e, plan, gguf, world, -1, &d);                   collective: every rank of the plan
 *   engine_generate(e, &job, &result, &d);                        collective
 *   engine_free(e);
 *
 * Each rank walks its plan's steps once per pass. A pass carries one micro-batch: the tokens of some sequences,
 * prompt chunks first, then one token a sequence, with drafts of what may follow it where the job wants some: stage 0,
 * which knows the sequence, drafts; the last stage samples after the token and each draft until it samples another than
 * the next draft, and returns what it sampled. Cache positions of refused drafts are written again. All stages see the
 * passes in one order: chunk by chunk or token by token, micro-batch by micro-batch (the schedule of GPipe, with the
 * sampled tokens looped back to stage 0), so the pipeline is full as soon as there are as many micro-batches as stages.
 * Stage 0 decides what a pass holds; the header of each hidden-state message tells the later stages, so every rank
 * knows every token and all agree (checked). Steps never allocate; a transport failure ends the job naming the ranks
 * and what the message carries. */
#ifndef DIST_ENGINE_H
#define DIST_ENGINE_H

#include <stdint.h>

#include "base/diag.h"
#include "collectives/coll.h"
#include "collectives/link.h"
#include "dist/draft.h"
#include "dist/record.h"
#include "dist/replay.h"
#include "dist/sampler.h"
#include "dist/virtual.h"
#include "partition/plan.h"

/* Time and traffic of one rank, by step kind, since the last reset. */
struct engine_stats {
    double seconds[STEP_COUNT]; /* time inside each kind of step */
    double wait_seconds[STEP_COUNT]; /* of that, time waiting for a message */
    uint64_t messages, sent_bytes; /* sent by this rank */
    struct plan_work work; /* passes walked and what was in them */
    double busy_seconds; /* whole passes, from first to last step */
};

/* What to generate. Prompts are token ids; the arrays belong to the caller and are read on every rank (identical). */
struct engine_job {
    int n_seqs;
    const int *const *prompt; /* [n_seqs] ids */
    const int *prompt_len; /* [n_seqs], each >= 1 */
    int n_new; /* most tokens to generate per sequence */
    int chunk; /* most prompt tokens of a sequence in one pass */
    struct sampler_params sampling;
    struct draft_params draft; /* zeros: none. A plan with little room for logits or tokens makes drafts shorter */
    const int *end_ids; /* tokens that end a sequence */
    int n_end_ids;
    /* Called on world rank 0 as tokens arrive, in order within a sequence; NULL for none. */
    void (*on_token)(void *user, int seq, int index, int id);
    void *user;
    const volatile int *stop; /* becomes nonzero to end early (checked on the sampling ranks); may be NULL */
};

struct engine_result {
    int n_seqs, n_new;
    int *n_out; /* [n_seqs] generated tokens */
    int *out; /* [n_seqs][n_new] ids */
    uint64_t *logit_hash; /* [n_seqs][n_new]: hash_floats of all logits each token was drawn from */
    int interrupted;
    /* where tokens arrive (stage 0): start to last first token; from there on */
    double prefill_seconds, decode_seconds;
    uint64_t prefill_tokens, decode_tokens; /* decode: all tokens after each sequence's first */
    struct draft_stats drafts; /* of all sequences, if the job drafts */
    struct engine_stats prefill, decode; /* this rank */
    /* where the engine emulates; times are 0 where a medium is fluid: engine_traces has them */
    struct net_clock clock; /* this rank's at the end */
    struct trace trace; /* on the first rank of a replica: its passes */
    struct net_stamp *taken; /* [trace.n] when it had the pass's sampled tokens; 0 where there were none */
};

struct engine;

/* Opens this rank's shard and allocates all the plan says. g is NULL for synthetic weights. Collective over world,
 * whose size is plan->n_ranks. flip >= 0 flips one bit of one weight of rank `flip` (test of the verification). */
int engine_init(struct engine **out, const struct plan *p, const struct gguf *g, struct link *world, int flip,
                struct diag *d);
/* From here on a rank that waits longer than this for another one of its replica ends the job; other replicas may take
 * as long as their texts do. Unlimited after engine_init, unless world has a limit. Local. */
void engine_limit_waits(struct engine *e, double seconds);
void engine_free(struct engine *e); /* collective when e is not NULL on all ranks */

/* How the collectives of this rank's group were set up, told by the group's first rank: their number, 0 to 3. Local. */
int engine_colls(const struct engine *e, struct coll_info out[3]);

/* Where the weights of all ranks came to lie (decoder_memory), summed. Collective. */
void engine_memory(struct engine *e, struct decoder_memory *out);

/* decoder_settle of this rank. Local. */
void engine_settle(struct engine *e, const volatile int *stop);

/* From here on each step is told as it ends, with its begin and end in seconds (engine_now). Local. */
typedef void engine_watcher(void *user, enum step_kind kind, int prefill, double begin, double end);
void engine_watch(struct engine *e, engine_watcher *watcher, void *user);

/* From here on jobs run in virtual time too, each rank as its card of the cluster (virtual.h): executed steps and
 * stamps of messages move a clock beside the work. ERR_PLAN, also where the plan's all-reduces may go through shared
 * memory (COLL_TRANSPORT_LINK is needed) and for encoders. Where cards share links (virtual_media) bus joins world's
 * ranks, in their order, and one more, which serves each job by arbiter_run; else it is NULL. c and bus outlive the
 * engine. Collective over world. */
int engine_emulate(struct engine *e, const struct cluster *c, struct link *bus, struct diag *d);

/* From here on real time follows the virtual time of an engine that emulates: a rank that is ahead sleeps before its
 * next message, or token, and time that the work itself takes beyond the described counts as overhead. The ranks share
 * a machine. ERR_UNSUPPORTED where cards share links. Collective over world. */
int engine_pace(struct engine *e, struct diag *d);

/* From here on what jobs execute is logged (replay.h). Of an engine that emulates; where a medium is fluid it is logged
 * anyway. Local. */
void engine_log(struct engine *e);

/* Brings the traces of all replicas, and their times, to world rank 0: [dp] each, to be freed by trace_fini and free;
 * elsewhere they stay empty. So with the log, if there is one; where a medium is fluid, times are those of its replay.
 * Of an engine that emulates. Collective over world. */
int engine_traces(struct engine *e, const struct engine_result *r, struct trace *trace, struct net_stamp **taken,
                  struct diag *d);

/* The log of the last job whose traces have been brought, on world rank 0 and until the next job; elsewhere NULL. Of an
 * engine that logs. Local. */
const struct op_log *engine_operations(const struct engine *e);

/* From here on what jobs do between the two times is recorded as well. Of an engine that emulates. Local. */
void engine_record(struct engine *e, uint64_t from_ps, uint64_t to_ps);
/* Brings what the last job recorded on all ranks to world rank 0, once, after engine_traces; elsewhere it stays empty.
 * ERR_PLAN as recording_check. Freed by recording_fini. Of an engine that records. Collective over world. */
int engine_recording(struct engine *e, struct recording *out, struct diag *d);

/* What the lowest rank that had trouble with its cache of weights says; 0 if none had. Collective. */
int engine_cache_note(struct engine *e, char *note, size_t cap);

/* Runs a job from empty caches. An encoder generates nothing: logit_hash[s * n_new] is then the hash_floats of sequence
 * s's last hidden states [tokens][d_model]. Collective; the result is complete on world rank 0 and agreed (token ids of
 * all ranks compared). Free with engine_result_fini. */
int engine_generate(struct engine *e, const struct engine_job *job, struct engine_result *r, struct diag *d);
void engine_result_fini(struct engine_result *r);

double engine_now(void); /* seconds of a monotonic clock */

#endif
