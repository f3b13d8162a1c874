/* estimate.h - a job's time on a described cluster in closed form: no pass is walked.
 *
 *   struct estimator *e;  estimator_new(&e, plan, cluster, &d);
 *   struct estimate est;  estimator_run(e, &(struct estimate_job){28, 1024, 1024, 256}, &est, &d);
 *   estimator_free(e);
 *
 * All sequences have equal lengths; none ends early and nothing is drafted (what trace_fixed makes). A pass of T
 * tokens, S of them wanted, that reads C cached positions and sees X takes stage s, all of whose ranks begin together,
 *
 *   t_s = pass overhead + sum over equal blocks of their number x block + send and receive overheads     ps
 *         block: rank r has its steps (card.h) and meets the others in collectives, from which it comes when the last
 * of those it waits for has sent: max over i of (i's time + way(i, r)), way from a walk of the collective's events
 *         (coll_events) with i later than all others; ports are busy on. Blocks go on until all ranks take equally
 *         long; from there on each takes the mean of a circle of ranks that wait for each other
 *         at least what a message takes until its credit is back, over as many as a frame buffer has room for (place.h)
 *   w_s = that, up to the moment at which the next stage has the hidden states, or stage 0 the tokens
 *
 * and M micro-batches in flight a round, where every one makes a pass:
 *
 *   round of decoding   max(sum of w_s, M x slowest t_s)      a micro-batch's next pass needs its tokens; a stage is
 *                                                             busy with one pass at a time
 *   round of a prompt   M x slowest t_s
 *   job                 fill, rounds, drain: the longest of the paths that run along one stage within a kind of rounds
 *                       and step to later stages in its first and its last round, by a recursion over the stages
 *
 * (the event graph of a flow shop with a feedback loop, whose rate is its greatest cycle mean, and so are the blocks:
 * Baccelli, Cohen, Olsder and Quadrat 1992, "Synchronization and Linearity", chapters 2 and 3.) M may be of two sizes,
 * as sequences are dealt. Chunks of prompts are rounds of equal tokens whose contexts grow evenly, and so are generated
 * tokens: t_s is convex and nearly everywhere linear in the round. Arithmetic series of its pieces are summed; a piece
 * is found by halving, and is linear where its middle is at most 2^-14 of its value off.
 *
 * Not in it: headers of empty passes, how far the ranks of a stage begin apart, a port of a second tier that is busy on
 * after a collective, stages of more than 64 ranks whose ranks are unequal (all come from a collective as if they had
 * begun it with the last). dist/simulate.h walks all of it; tests/dist/test_estimate.c compares: with up to 16 ranks
 * 95 % of totals are within 0.5 %. All functions are local. */
#ifndef PARTITION_ESTIMATE_H
#define PARTITION_ESTIMATE_H

#include "partition/cluster.h"
#include "partition/plan.h"

struct estimate_job {
    int n_seqs; /* of all replicas */
    int prompt_len, n_new; /* tokens of each */
    int chunk; /* most prompt tokens of a sequence in one pass */
};

/* What a round of decoding waits for. */
enum estimate_bound {
    BOUND_LOOP, /* the sum of the stages: more micro-batches would fit */
    BOUND_STAGE /* the slowest stage */
};

struct estimate {
    struct net_stamp prefill; /* until the last sequence has its first token; shares are those of its critical path */
    struct net_stamp total; /* until the last token */
    uint64_t decode_ps, token_ps; /* total - prefill; of each of the n_new - 1 tokens in it, the mean */
    enum estimate_bound bound; /* in the last round; of the slowest replica */
    int slowest_stage; /* in it */
};

/* What estimates of a plan on a cluster share: cards, tiers, costs of passes and of collectives by tokens, as they come
 * up. Both outlive it. One thread. ERR_PLAN as virtual_rank_init and virtual_frame, and where cards share links. */
struct estimator;
int estimator_new(struct estimator **out, const struct plan *p, const struct cluster *c, struct diag *d);
/* ERR_PLAN: more sequences than the plan has room for, or a prompt beyond its context. */
int estimator_run(struct estimator *e, const struct estimate_job *job, struct estimate *out, struct diag *d);
void estimator_free(struct estimator *e); /* NULL accepted */

/* What estimates of many plans of one model have in common: times of collectives, of some MB in stages of a few
 * ranks, 200 MB in ones of 64. For plan_opts.kept; outlives these plans. One thread. NULL without memory, which costs
 * time alone. */
struct estimate_kept;
struct estimate_kept *estimate_kept_new(void);
void estimate_kept_free(struct estimate_kept *k); /* NULL accepted */

/* One estimate. */
int plan_estimate(struct estimate *out, const struct plan *p, const struct cluster *c, const struct estimate_job *job,
                  struct diag *d);

/* Deals the layers of p's pipeline again, so that its slowest stage takes as little time for such a pass as can be,
 * then the others evenly: steps (card.h) of the slowest rank on the levels where its layers would lie, and
 * all-reduces with all ranks in step; what a stage sends takes all of them about as long. Exact where stages with
 * layers are equally large and share them alike, others are left as they are; layers that p's strategy gives stay.
 * *out: the strategy, p's own where nothing is better. ERR_PLAN as estimator_new. */
int plan_balance(struct strategy *out, const struct plan *p, const struct cluster *c, const struct card_pass *pass,
                 struct diag *d);

/* Another plan of the same ranks, made with the same options o as p, whose shares of layers, heads, FFN leaves and
 * vocabulary rows follow the speeds of c's cards (opts.speed; of replicas the slowest card of each place), with the
 * opts.cut_depth that is fastest: fewer cuts mean fewer messages. *out: NULL where the cards are equal, where p, whose
 * opts.speed is NULL, is estimated to take no longer (a job that fills its sequences, half of the context a prompt;
 * links that cards share taken as private), where no such plan fits, and for encoders. The caller frees *out.
 * ERR_MEMORY. Local. */
int plan_share(struct plan **out, const struct plan *p, const struct plan_opts *o, const struct cluster *c,
               struct diag *d);

#endif
