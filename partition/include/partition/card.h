/* card.h - what the steps of a plan cost on a described card, in integer picoseconds.
 *
 * A card has memory levels, innermost first, and rates of arithmetic. The bytes of a rank are placed on the levels once
 * (card_place): work space, then the cache, the layers' weights in order, embedding and output layer, each as a whole
 * on the innermost level that still has room, as each of their steps reads them from one level; or the cache after the
 * weights, where a token then reads for a shorter time with the context full: a pass reads all weights, but of the
 * cache its micro-batch's part alone. A level that is `whole`, such as a processor's cache, has room for all that the
 * rank's passes read or for nothing: what is read in one order again and again throws itself out. A pass then takes,
 * step by step, with T tokens (from OUT_NORM on the S wanted ones), C positions read of the cache and X seen,
 *
 *   memory  = [bytes / bandwidth] of each level that it reads, and that level's latency once; where ranks work one
 * after the other, as one rank and a pipeline with one micro-batch do, with the bandwidth of one alone compute = [ops /
 * rate] of each precision, one after the other, [/ efficiency] of the kind of step t       = max(memory, compute) +
 * step overhead + that of the kind of step
 *
 * Beside the overhead of a step there are those of what programs do around the arithmetic, each paid by the rank that
 * does it, with the numbers of its own card or, on a host, of the host:
 *
 *   pass      every rank, once before the first step of a pass
 *   token     the ranks of stage 0, for each of the T tokens, behind STEP_EMBED: tokenizing, preparing input
 *   sequence  the cards of the last stage, for each of the S wanted tokens, in front of what STEP_SAMPLE sends:
 *             sampling, scheduling; a host, for each token that comes back to it, before it counts as there
 *             (card_spend_taken): detokenizing, scheduling. Given for both, both pay
 *
 * A card may be slower, or faster, than described (cluster.h, exceptions): each duration of its passes and steps, that
 * is memory, compute, or an overhead, becomes [duration / speed].
 *
 * (a roofline a step: Williams, Waterman and Patterson 2009), [ ] rounded as pico.h says. The greater of the two goes
 * to the clock's share of memory or compute, memory where they are equal; overheads go to overhead. Steps that are
 * messages take nothing here: link_time.h and price.h count those, with the sums and merges inside collectives. */
#ifndef PARTITION_CARD_H
#define PARTITION_CARD_H

#include "collectives/price.h"
#include "partition/plan.h"

/* Levels of a description, and with the one that a study puts behind them. */
enum { CARD_MAX_LEVELS = 4, CARD_ROOM = CARD_MAX_LEVELS + 1 };

struct card_level {
    char name[32];
    uint64_t bytes; /* capacity; 0: not limited */
    int whole; /* 1: holds all that the rank's passes read, or nothing */
    struct pico_rate G; /* ps a byte, efficiency included */
    struct pico_rate alone; /* the same for a rank that works while no other one does; den 0: G */
    uint64_t efficiency; /* the share of the bandwidth in the file that is reached, in millionths; 0: not given */
    uint64_t latency_ps; /* of the first byte of a step */
    double pJ_per_B;
};

/* What is different for a kind of step. */
struct card_step {
    struct pico_rate slow; /* of its arithmetic: ps a ps at the card's rates; den 0: 1 */
    uint64_t overhead_ps; /* besides that of each step */
};

struct card {
    char name[64];
    int n_levels;
    struct card_level level[CARD_ROOM];
    struct pico_rate op[PREC_COUNT]; /* ps an operation, efficiency included; den 0: it has none such, and plans that
                                        need them are refused */
    uint64_t op_efficiency; /* as a level's */
    uint64_t step_ps, pass_ps; /* overhead of a step that reads or computes, and of a pass */
    struct card_step step[STEP_COUNT];
    uint64_t token_ps, sequence_ps; /* of a token that is embedded, and of one that is sampled or taken */
    uint64_t frame_bytes; /* frame buffer: room for messages that come (place.h); 0: not limited */
    double idle_W, active_W; /* while waiting and while working, without what bytes and operations take by themselves */
    double pJ_per_op[PREC_COUNT];
    double transistors; /* 0: not known */
};

/* What a rank has of its card: on which level its bytes lie, and how long steps take there. */
struct card_place {
    struct pico_rate slow; /* ps a described ps; den 0: 1 */
    uint8_t alone; /* 1: the plan's ranks work one after the other */
    uint8_t kv, ends; /* cache and work space; embedding, output layer and its norm */
    uint8_t layer[SHAPE_MAX_LAYERS]; /* by layer of the model */
};

/* Places a rank's bytes; slow is the caller's to set. A card without levels has room for all and takes no time for
 * memory: a host of which only the overheads are known. ERR_PLAN where they do not fit, with the arithmetic, or where
 * the card lacks a precision. */
int card_place(struct card_place *out, const struct card *c, const struct plan *p, int rank, struct diag *d);

/* One pass, as steps see it. */
struct card_pass {
    int64_t tokens, wanted; /* T, S */
    int64_t ctx_read, ctx_sum; /* C, X: plan_work */
};

/* Whether a step is messages alone, which take nothing here. */
int card_is_message(enum step_kind kind);

/* Advances a clock by a pass's overhead, by one of its steps, and by what a rank of stage 0 does with so many tokens
 * that came back: nothing on a card. layer: of the model, -1 at both ends. Local. */
void card_spend_pass(struct net_clock *clock, const struct card *c, const struct card_place *place);
void card_spend_taken(struct net_clock *clock, const struct card *c, enum rank_role role, int64_t tokens);
void card_spend_step(struct net_clock *clock, const struct card *c, const struct card_place *place,
                     const struct plan_step *step, int layer, const struct card_pass *pass);

#endif
