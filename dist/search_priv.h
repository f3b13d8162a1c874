/* search_priv.h - what a search has found, for search_report.c. */
#ifndef DIST_SEARCH_PRIV_H
#define DIST_SEARCH_PRIV_H

#include "dist/app.h"
#include "dist/virtual.h"

struct found {
    int tp, pp, dp, out, host; /* out: cards of a stage for the output layer alone, or 0; host: 1: it embeds */
    int users, micro, cards;
    char strategy[256], kv[8];
    char algo[64]; /* --allreduce; "auto": another one after attention than after the FFN, or none */
    char why[640]; /* why it is not among the best; empty for these */
    int refused;
    enum coll_label label, most; /* of its sums; the worst that is looked for */
    double latency_ms, throughput, energy_mJ;
    double simulated_ms; /* latency_ms of a simulation; 0: there was none */
    enum net_share binds; /* the greatest share of its time, as a part of it: */
    double binds_part;
};

struct search {
    struct app app; /* the command line, changed from plan to plan */
    struct cluster apart; /* the cluster with links of their own for all cards, which only make it faster */
    const struct model *m;
    int tokens, most, users; /* of the prompt; cards; --users */
    int shared; /* some of the cluster's links are shared: what is estimated of a plan is a bound, its best it reaches
                 */
    struct found *found;
    int n, cap;
    int n_best, n_refused, n_open,
        n_simulated; /* once judged; n_open: of the best, those known by their bounds alone */
    long estimates;
    double seconds; /* of all estimates */
    struct plan *plan; /* at hand, with its traces, which the next one may share */
    struct trace *trace;
    int trace_users, trace_dp, trace_micro;
    long trace_chunk, chunk; /* chunk: to begin a plan with */
};

void search_print(const struct search *s);
void search_json(const struct search *s);

#endif
