/* Persistent collectives over MPI, under mpirun; beside the thread test, the library's own all-reduce, and windows of
 * MPI shared memory. */
#include <mpi.h>

#include "coll_checks.h"
#include "collectives/link_mpi.h"

/* One leaf a rank, P = 2, 4, 8: the canonical tree is recursive doubling, which main asks Open MPI for. */
static void check_against_mpi(struct link *l, struct outcome *o) {
    static float mine[MOST], want[MOST];
    struct coll *c;
    struct material m;
    struct diag d = {0};
    if (l->size != 2 && l->size != 4 && l->size != 8) return;
    material_init(&m, l, l->size, 0, CANONICAL, 1);
    struct coll_spec spec = sum_spec(&m, NULL, COLL_TRANSPORT_AUTO);
    spec.label = COLL_BIT_EXACT;
    EXPECT(o, coll_init(&c, l, &spec, &d) == 0, "%s", d.text);
    if (d.code == 0) {
        fill_inputs(&m, mine, MOST, 0);
        MPI_Allreduce(mine, want, MOST, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        coll_run(c, mine, mine, MOST);
        EXPECT(o, memcmp(mine, want, sizeof want) == 0, "other bits than MPI_Allreduce");
        coll_free(c);
    }
    material_fini(&m);
}

int main(int argc, char **argv) {
    struct outcome o = {0};
    setenv("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", 0);
    setenv("OMPI_MCA_coll_tuned_allreduce_algorithm", "3", 0); /* recursive doubling */
    MPI_Init(&argc, &argv);
    struct link *l = link_mpi_new(MPI_COMM_WORLD, NULL);
    check_coll(l, &o);
    check_algos(l, &o, 1);
    check_against_mpi(l, &o);
    long failed = (long)agree_sum(l, (uint64_t)o.failed), checks = (long)agree_sum(l, (uint64_t)o.checks);
    if (o.failed) fprintf(stderr, "rank %d of %d: %ld failed: %s\n", l->rank, l->size, o.failed, o.first);
    if (l->rank == 0) printf("coll-mpi, %d ranks: %ld checks, %ld failed\n", l->size, checks, failed);
    link_free(l);
    MPI_Finalize();
    return failed > 0 || checks == 0;
}
