/* Links over MPI, under mpirun. Without arguments: all that a link must do, and the tree against MPI_Allreduce. With
 * "never-comes", "never-received" or "too-short": a job that hangs or is wrong must end itself and say why. */
#include <mpi.h>
#include <time.h>

#include "check.h"
#include "collectives/link_mpi.h"
#include "link_checks.h"

/* One leaf a rank, P = 2, 4, 8: recursive doubling as MPI does it (main asks Open MPI for it). */
static void check_against_mpi(struct link *l, struct outcome *o) {
    enum { N = 5000 };
    static float buf[4 * N], mine[N], want[N];
    int begin[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    struct coll_shape shape = {l->size, l->size, begin, NULL};
    struct coll_choice tree = {.algo = coll_algo_find("tree")};
    struct sched s;
    if (l->size != 2 && l->size != 4 && l->size != 8) return;
    EXPECT(o, sched_build(&s, &tree, COLL_ALLREDUCE, &shape, l->rank, NULL) == 0, "tree");
    EXPECT(o, s.n_slots <= 4, "%d slots", s.n_slots);
    for (int kind = 0; kind < 3; kind++) {
        int n = kind == 0 ? N : 300, wrong = 0;
        for (int e = 0; e < n; e++)
            buf[e] = mine[e] = leaf_value(kind, (uint64_t)e, l->rank, l->size);
        float *sum = sched_run(&s, l, 1, buf, (size_t)n);
        MPI_Allreduce(mine, want, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        for (int e = 0; e < n; e++)
            wrong += memcmp(&sum[e], &want[e], sizeof want[e]) != 0;
        EXPECT(o, wrong == 0, "kind %d: %d of %d differ from MPI_Allreduce", kind, wrong, n);
    }
    sched_fini(&s);
}

/* Messages of a split link and of its parent and of the caller's communicator do not meet. */
static void check_apart(struct link *l, struct outcome *o) {
    struct link *twin = link_split(l, 0, l->rank);
    int right = (l->rank + 1) % l->size, left = (l->rank + l->size - 1) % l->size, out[3], in[3] = {0};
    struct link_request req[2];
    MPI_Request mpi;
    for (int i = 0; i < 3; i++)
        out[i] = 10 * l->rank + i;
    if (l->size > 1) {
        MPI_Isend(&out[0], 1, MPI_INT, right, 1, MPI_COMM_WORLD, &mpi);
        link_isend(l, right, 1, &out[1], sizeof out[1], &req[0]);
        link_isend(twin, right, 1, &out[2], sizeof out[2], &req[1]);
        link_recv(twin, left, 1, &in[2], sizeof in[2]);
        link_recv(l, left, 1, &in[1], sizeof in[1]);
        MPI_Recv(&in[0], 1, MPI_INT, left, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        for (int i = 0; i < 3; i++)
            EXPECT(o, in[i] == 10 * left + i, "message %d is %d", i, in[i]);
        link_wait(l, &req[0]);
        link_wait(twin, &req[1]);
        MPI_Wait(&mpi, MPI_STATUS_IGNORE);
    }
    link_free(twin);
}

/* Tests run on one machine, whatever MPI takes for nodes. */
static void check_machine(const struct link *l, struct outcome *o) {
    MPI_Comm machine = link_mpi_machine(MPI_COMM_WORLD);
    int size;
    MPI_Comm_size(machine, &size);
    EXPECT(o, size == l->size, "%d of %d ranks are on this machine", size, l->size);
    MPI_Comm_free(&machine);
}

/* While rank 0 is away, the others that yield must leave the processors alone. */
static void check_gentle(struct link *l, struct outcome *o) {
    struct timespec cpu0, cpu1, nap = {0, 300 * 1000 * 1000};
    agree_barrier(l);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu0);
    if (l->rank == 0) nanosleep(&nap, NULL);
    agree_barrier(l);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu1);
    double used = (double)(cpu1.tv_sec - cpu0.tv_sec) + 1e-9 * (double)(cpu1.tv_nsec - cpu0.tv_nsec);
    EXPECT(o, used < 0.1, "rank %d used %g s of 0.3 s while waiting", l->rank, used);
}

static void hang(struct link *l, const char *how) {
    char x[8] = {0};
    struct link_request req;
    l->wait_limit_s = l->rank == 1 ? 0.2 : 0;
    if (strcmp(how, "never-comes") == 0 && l->rank == 1) link_recv(l, 0, 7, x, 4);
    if (strcmp(how, "never-received") == 0 && l->rank == 1) {
        char *big = calloc(1, 1 << 22); /* beyond any eager limit */
        link_isend(l, 0, 9, big, 1 << 22, &req);
        link_wait(l, &req);
        free(big);
    }
    if (strcmp(how, "too-short") == 0) {
        if (l->rank == 0) link_isend(l, 1, 3, x, 4, &req);
        if (l->rank == 1) link_recv(l, 0, 3, x, 8);
    }
    agree_barrier(l);
}

int main(int argc, char **argv) {
    static const struct link_mpi_opts opts[] = {{-1, 0}, {1, 64}, {0, 1024}};
    struct outcome o = {0};
    setenv("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", 0);
    setenv("OMPI_MCA_coll_tuned_allreduce_algorithm", "3", 0); /* recursive doubling */
    MPI_Init(&argc, &argv);
    struct link *l = link_mpi_new(MPI_COMM_WORLD, NULL);
    if (argc > 1) {
        hang(l, argv[1]);
    } else {
        check_link(l, &o);
        check_against_mpi(l, &o);
        check_apart(l, &o);
        check_machine(l, &o);
        for (int i = 1; i < 3; i++) {
            struct link *other = link_mpi_new(MPI_COMM_WORLD, &opts[i]);
            check_sizes(other, &o);
            check_order(other, &o);
            check_agree(other, &o);
            if (i == 1) check_gentle(other, &o);
            link_free(other);
        }
    }
    long failed = (long)agree_sum(l, (uint64_t)o.failed), checks = (long)agree_sum(l, (uint64_t)o.checks);
    if (o.failed) fprintf(stderr, "rank %d of %d: %ld failed: %s\n", l->rank, l->size, o.failed, o.first);
    if (l->rank == 0) printf("link-mpi, %d ranks: %ld checks, %ld failed\n", l->size, checks, failed);
    link_free(l);
    MPI_Finalize();
    return failed > 0 || checks == 0;
}
