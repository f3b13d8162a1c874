/* virtual_report.h - what virtual clocks say of a job, in the words of the published tables. */
#ifndef DIST_VIRTUAL_REPORT_H
#define DIST_VIRTUAL_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "dist/simulate.h"
#include "virtual_energy.h"

/* Times and rates of a job on all replicas, which begin together. Per token means: for a user, so that users /
 * throughput is the latency (HPEC 2024 divides prompt and generation by the tokens of a user). */
struct virtual_summary {
    const char *kind; /* "emulated", "simulated", "estimated" */
    int users, cards;
    int64_t prompt_tokens, tokens; /* fed; generated */
    uint64_t prefill_ps, total_ps; /* until the last first token, and the last token */
    double latency_ms, decode_ms; /* per token: prefill included; after the first tokens */
    double throughput; /* tokens/s */
    struct net_stamp critical; /* what the last token's time is made of */
    double light_ms; /* latency_ms of the same plan with free links and without overheads; 0: not known */
    uint64_t card_bytes; /* most that one card holds */
    struct virtual_energy energy; /* modelled */
    double power_W; /* of the cards, modelled; without the host */
};

/* All but cards, energy, power and light, of dp replicas. Local. */
void virtual_job_times(struct virtual_summary *out, const char *kind, int dp, int users, const struct trace *trace,
                       struct net_stamp *const *taken);
/* All but energy, power and light. taken[replica][trace[replica].n]. Local. */
void virtual_times(struct virtual_summary *out, const char *kind, const struct plan *p, int users,
                   const struct trace *trace, struct net_stamp *const *taken);
/* All but light. ERR_MEMORY; ERR_PLAN as simulation_check. Local. */
int virtual_summarize(struct virtual_summary *out, const char *kind, const struct plan *p, const struct cluster *c,
                      int users, const struct trace *trace, struct net_stamp *const *taken, struct diag *d);
/* The same in closed form, of a job of equal lengths (sim_job). ERR_MEMORY, or as estimator_new. Local. */
int virtual_estimate(struct virtual_summary *out, const struct plan *p, const struct cluster *c, int users, int chunk,
                     const struct trace *trace, struct diag *d);
/* Makes links and overheads of a cluster take no time. Local. */
void virtual_set_light(struct cluster *c);
/* Fills in light_ms by a simulation. Local. */
int virtual_light(struct virtual_summary *s, const struct plan *p, const struct cluster *c, const struct trace *trace,
                  struct diag *d);
/* From the token before, of the same micro-batch, to the last token. Local. */
struct virtual_window {
    int replica, pass; /* which brings the last token */
    uint64_t from_ps, to_ps;
};
void virtual_last_pass(struct virtual_window *out, const struct plan *p, const struct trace *trace,
                       struct net_stamp *const *taken);
/* Of these, what a plan is not needed for. */
void virtual_print_times(const struct virtual_summary *s, FILE *out);
void virtual_print_path(const struct virtual_summary *s, FILE *out);
json_t *virtual_json_times(const struct virtual_summary *s);
void virtual_print(const struct virtual_summary *s, const struct plan *p, const struct cluster *c, FILE *out);
json_t *virtual_json(const struct virtual_summary *s, const struct plan *p, const struct cluster *c);
/* Adds "energy_by_rank_mJ_per_tok" to it: all terms of each rank; neighbours with the same are one row. ERR_MEMORY.
 * Local. */
int virtual_json_ranks(json_t *o, const struct virtual_summary *s, const struct plan *p, const struct cluster *c,
                       const struct trace *trace, struct diag *d);

#endif
