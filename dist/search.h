/* search.h - plan --search: every way to split a model over a described cluster, priced in closed form, and the best of
 * them simulated. */
#ifndef DIST_SEARCH_H
#define DIST_SEARCH_H

#include "dist/app.h"

/* All products tp x pp x dp that use at most the cards of --cluster (or --ranks), each also with a stage of tp or 2 tp
 * cards for the output layer alone, and, where it does not fit so, with the embedding on the host; with micro-batches,
 * bit-exact all-reduces (--approximate: all), cache types (--kv: those of the list), for the job of --users, --prompt
 * and --generate, and the same for one user. Layers are dealt by time (plan_balance). Prints those that nothing beats
 * in latency, throughput, energy and number of cards together, each simulated beside its estimate; and for the others
 * why they lose. Where cards share links, an estimate counts as a bound: the best by their bounds are simulated until
 * all of the best have been, or many have. Ctrl-C ends it early with what there is. Collective; rank 0 works and
 * prints. */
int search_plans(struct app *app, struct diag *d);

#endif
