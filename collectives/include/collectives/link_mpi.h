/* link_mpi.h - a link over an MPI communicator. The one header of collectives that needs MPI. */
#ifndef COLLECTIVES_LINK_MPI_H
#define COLLECTIVES_LINK_MPI_H

#include <mpi.h>

#include "collectives/link.h"

struct link_mpi_opts {
    int yield; /* waiting ranks give up their processor soon (1), late (0), or as link.oversubscribed says (-1) */
    size_t chunk_bytes; /* messages longer than this travel as a count of chunks; 0: 1 GiB (MPI counts are ints) */
};

/* Duplicates comm, so that messages never meet the caller's. opts may be NULL (-1, 0). MPI errors on the link are fatal
 * to the job. NULL on all ranks if one is out of memory. Collective over comm; freed by link_free, collective too. */
struct link *link_mpi_new(MPI_Comm comm, const struct link_mpi_opts *opts);

/* The ranks of comm that run under this rank's kernel and so share its processors, memory and clock, also where they
 * are in containers that share nothing else, and count as nodes for MPI. Collective; freed by MPI_Comm_free. */
MPI_Comm link_mpi_machine(MPI_Comm comm);

#endif
