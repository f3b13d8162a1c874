/* plan_hosts.h - plan --hosts: a plan mapped to hosts that need not be there. */
#ifndef DIST_PLAN_HOSTS_H
#define DIST_PLAN_HOSTS_H

#include "dist/app.h"

/* Prints where each rank of the plan, which is taken over, would be on --hosts, what crosses, and how to start that;
 * writes --rankfile. Rank 0, local. */
int plan_hosts(const struct app *app, struct plan *p, struct diag *d);

#endif
