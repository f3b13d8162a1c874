/* simulate.h - a plan on a described cluster in virtual time alone: no weights, no MPI, all ranks in this process.
 *
 * Each rank does the passes of its replica's trace step by step, as the engine does, with the same clocks (card.h,
 * price.h); messages are stamps. Where links are private to a sender, a clock depends on the program alone, and the
 * order in which ranks walk does not show. Media that senders share are given in the order of dist/media.h,
 * once nobody can walk on. The result equals, picosecond by picosecond and share by share, that of an engine which
 * really runs the trace (engine_emulate).
 *
 * What a stage does to clocks does not depend on the hour: where links are private and the same layer, or stage, comes
 * with the same work and the same times relative to each other again, in the next layer, stage, pass or replica, its
 * effect is known, and applied at once. That is exact too. */
#ifndef DIST_SIMULATE_H
#define DIST_SIMULATE_H

#include "dist/record.h"

struct simulation {
    int n_ranks;
    struct net_clock *clock; /* [n_ranks] at the end */
    /* [dp][trace.n]: when stage 0 (its first rank) had the pass's sampled tokens; 0 where it returned none */
    struct net_stamp **taken;
    uint64_t events; /* steps, messages and work inside collectives */
    uint64_t events_skipped; /* of those, the ones whose effect was known */
};

/* Clocks stay below this, or a job is refused: a sum of two times never overflows. 26 days. */
#define SIM_MOST_PS (UINT64_C(1) << 61)
/* ERR_PLAN: a job takes so long. Local. */
int simulation_check(uint64_t ps, struct diag *d);

/* trace[replica]. ERR_PLAN as virtual_rank_init and virtual_frame, or where a clock passes 26 days; ERR_INTERNAL where
 * ranks would wait for ever, with rank and peer. Freed by simulation_fini. Local. */
int simulate(struct simulation *out, const struct plan *p, const struct cluster *c, const struct trace *trace,
             struct diag *d);
/* The same; rec, of as many ranks, gets what they do when (NULL: nobody does). Every event
 * of every rank is walked, one by one: what simulate is tested against, and what it does where media are shared. */
int simulate_recorded(struct simulation *out, const struct plan *p, const struct cluster *c, const struct trace *trace,
                      struct recording *rec, struct diag *d);
void simulation_fini(struct simulation *s);

/* The trace of a job of fixed lengths on replica `replica`: every sequence generates n_new tokens. Freed by trace_fini.
 * Local. */
struct engine_job;
int trace_fixed(struct trace *out, const struct plan *p, const struct engine_job *job, int replica, struct diag *d);

#endif
