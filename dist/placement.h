/* placement.h - --map: which rank each process of the job is. */
#ifndef DIST_PLACEMENT_H
#define DIST_PLACEMENT_H

#include <jansson.h>

#include "dist/app.h"

/* Without --map nothing. Else the plan of the command line is made, and with --map plan the processes are numbered anew
 * by it (partition/map.h): app->world, and all that names ranks in app, are then in the order of the plan, and messages
 * of links name the launcher's numbers too. Rank 0 stays. Before app_bind. Collective. */
int placement_choose(struct app *app, const struct model *m, const struct prompts *p, struct diag *d);

/* After app_bind: who is where, in one table on stderr; with --json, and with --quiet, nothing. Collective. */
void placement_show(struct app *app);

/* The same as JSON, on rank 0; NULL without --map. Local. */
json_t *placement_json(const struct app *app);

#endif
