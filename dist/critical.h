/* critical.h - the critical path of the last token, step by step: back from when it was there over what a rank worked,
 * the messages that it waited for, and the links that these waited for, to the rank that sent them, and so on. The
 * shares of net_stamp say how much of the path is of which kind; recorded events say also where it goes. */
#ifndef DIST_CRITICAL_H
#define DIST_CRITICAL_H

#include "dist/record.h"

enum { CRITICAL_STEPS = STEP_COUNT + 1 };

struct critical {
    uint64_t ps, share[NET_SHARES]; /* of the path between the two times; shares sum to ps */
    uint64_t step[CRITICAL_STEPS][NET_SHARES]; /* by enum step_kind, and RECORD_STEP_PASS; a message counts to the step
                                                  that waits for it */
    int calls[CRITICAL_STEPS]; /* steps of ranks on the path */
    uint64_t stage[PLAN_MAX_STAGES]; /* a message counts to the stage that sends it */
};

/* Of rank `rank` at to_ps, back to from_ps; r holds what happened in between. ERR_INTERNAL where events that must be
 * there are not. Local. */
int critical_walk(struct critical *out, const struct recording *r, const struct plan *p, const struct cluster *c,
                  int rank, uint64_t from_ps, uint64_t to_ps, struct diag *d);

#endif
