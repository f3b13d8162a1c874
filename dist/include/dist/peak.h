/* peak.h - how many operations a second the cores under this rank can do at most, with the instructions that the
 * selected kernel set multiplies with. A multiply and its add are two operations, as in the plan's costs. */
#ifndef DIST_PEAK_H
#define DIST_PEAK_H

#include "partition/plan.h"

enum peak_kind { PEAK_INT8, PEAK_F32, PEAK_COUNT };

/* The instructions of one kernel set: one file in peaks/, one word in its list. */
struct peak_set {
    const char *kernels; /* name of the kernel set */
    const char *what[PEAK_COUNT]; /* the instructions, for the reader */
    /* Does `rounds` rounds of them in independent chains, nothing else; returns the operations done. Never allocates.
     */
    double (*run[PEAK_COUNT])(long rounds);
};
extern const struct peak_set *const peak_sets[]; /* ended by NULL */

/* Of the selected kernel set (plain C for a set without a row). Local. */
const struct peak_set *peak_selected(void);

/* Operations a second of `threads` OpenMP threads together: the best of a few runs of about a millisecond. Local. */
double peak_Ops(enum peak_kind kind, int threads);

/* What a precision of the plan is computed with: integers of 4 bits are multiplied as bytes. */
static inline enum peak_kind peak_of(enum precision prec) {
    return prec == PREC_F32 ? PEAK_F32 : PEAK_INT8;
}

#endif
