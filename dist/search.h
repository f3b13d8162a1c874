/* search.h - plan --search: every way to split a model over a described cluster, priced in closed form. */
#ifndef DIST_SEARCH_H
#define DIST_SEARCH_H

#include "dist/app.h"

/* All products tp x pp x dp that use at most the cards of --cluster (or --ranks), with micro-batches and cache types,
 * for the job of --users, --prompt and --generate. Prints those that nothing beats in latency, throughput, energy and
 * number of cards together, each simulated beside its estimate; and for the others why they lose. Ctrl-C ends it early
 * with what there is. Collective; rank 0 works and prints. */
int search_plans(struct app *app, struct diag *d);

#endif
