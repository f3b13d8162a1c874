/* virtual.h - time on a described cluster: what running engines (emulation) and the simulator share. All functions are
 * local. */
#ifndef DIST_VIRTUAL_H
#define DIST_VIRTUAL_H

#include "partition/place.h"

/* One pass of a replica, as its stage 0 sees it; tokens == 0: the micro-batch ends. */
struct trace_pass {
    int32_t micro, tokens, wanted;
    int32_t returned; /* sampled tokens that came back: wanted, without refused drafts */
    int32_t prefill; /* prompt tokens */
    int64_t ctx_read, ctx_sum; /* plan_work */
};

/* All passes of a job on one replica, in order. What a trace is does not depend on any clock. */
struct trace {
    struct trace_pass *pass;
    int n, cap;
};
/* Room for one more, zeroed; NULL: no memory. */
struct trace_pass *trace_add(struct trace *t);
void trace_fini(struct trace *t);

#endif
