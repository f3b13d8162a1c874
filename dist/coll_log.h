/* coll_log.h - --log collectives: how each collective was set up, a line each on stderr of rank 0. */
#ifndef DIST_COLL_LOG_H
#define DIST_COLL_LOG_H

#include "collectives/coll.h"
#include "dist/app.h"

enum { COLL_LOG_MOST = 3 }; /* collectives of a rank at once */

/* Each rank brings n <= COLL_LOG_MOST collectives that are its to tell (one rank of each group), whose ranks begin with
 * `first` of l. Nothing without the option. Collective over l, whose rank 0 is the world's. */
void coll_log(const struct app *app, struct link *l, int first, const struct coll_info *info, int n);

#endif
