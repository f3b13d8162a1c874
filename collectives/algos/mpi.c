/* mpi - the MPI library's own all-reduce: the baseline. A row without a schedule: whoever runs collectives hands the
 * call to the library (MPI_Allreduce, or its persistent form), which chooses the algorithm, so neither messages nor the
 * order of the sum are known here. */
#include "sched_build.h"

const struct coll_algo coll_algo_mpi = {
    .name = "mpi",
    .description = "the MPI library's own all-reduce: the baseline",
    .label = COLL_ROUNDING,
    .levels = 1,
    .library = 1,
    .messages = "unknown",
    .words = "unknown",
    .additions = "unknown",
    .memory = "unknown",
};
