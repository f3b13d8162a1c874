/* plan_hosts.h - plan --hosts: a plan mapped to hosts that need not be there. */
#ifndef DIST_PLAN_HOSTS_H
#define DIST_PLAN_HOSTS_H

#include "dist/app.h"
#include "hosts.h"

/* Prints where each rank of the plan would be on the hosts of --hosts, what crosses, and how to start that;
 * writes --rankfile. Rank 0, local. */
int plan_hosts(const struct app *app, const struct hosts *hosts, const struct plan *p, struct diag *d);

#endif
