/* Persistent collectives over shared memory between processes, many times in a row: argument 1 calls, of changing
 * lengths and algorithms, with delays here and there; every result is checked, in all places. Under mpirun. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "collectives/agree.h"
#include "collectives/coll.h"
#include "collectives/link_mpi.h"

enum { MOST = 600, MAX_RANKS = 16 };

static const char *const algos[] = {"tree", "oneshot", "twoshot", "ring", "rabenseifner", "bruck"};
enum { N_ALGOS = sizeof algos / sizeof *algos };

static float value(int rank, uint64_t call, size_t e) {
    return (float)((int)((rank + 1) * (call + e) % 61) - 30);
}

/* One in 64 calls, before the inputs, before the start or before the wait. */
static void maybe_sleep(int rank, uint64_t call, int where) {
    uint64_t r = rng_u64((uint64_t)rank + 7, 3 * call + (uint64_t)where);
    if (r % 64 == 0) nanosleep(&(struct timespec){0, (long)(r >> 32) % 100000}, NULL);
}

static long call_once(struct coll *c, const struct link *l, uint64_t call) {
    size_t n = rng_u64(1, call) % 8 ? rng_u64(2, call) % 40 : rng_u64(3, call) % (MOST + 1);
    long wrong = 0;
    maybe_sleep(l->rank, call, 0);
    float *x = coll_sendbuf(c, n);
    for (size_t e = 0; e < n; e++)
        x[e] = value(l->rank, call, e);
    maybe_sleep(l->rank, call, 1);
    coll_start(c);
    maybe_sleep(l->rank, call, 2);
    const float *sum = coll_wait(c);
    for (size_t e = 0; e < n; e++) {
        float want = 0;
        for (int r = 0; r < l->size; r++)
            want += value(r, call, e);
        wrong += sum[e] != want;
    }
    return wrong;
}

static int open_all(struct coll **c, struct link *l, const int *begin, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < N_ALGOS && !rc; i++) {
        struct coll_spec spec = {.name = algos[i],
                                 .algo = algos[i],
                                 .label = COLL_ROUNDING,
                                 .transport = COLL_TRANSPORT_SHM,
                                 .n_max = MOST,
                                 .shape = {.size = l->size, .n_leaves = l->size, .begin = begin},
                                 .tag = i + 1,
                                 .yield = -1};
        rc = coll_op_find(&spec.op, "sum", 1, d);
        if (!rc) rc = coll_init(&c[i], l, &spec, d);
    }
    return rc;
}

int main(int argc, char **argv) {
    uint64_t calls = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000, wrong = 0;
    struct coll *c[N_ALGOS] = {0};
    struct diag d = {0};
    int begin[MAX_RANKS + 1];
    MPI_Init(&argc, &argv);
    struct link *l = link_mpi_new(MPI_COMM_WORLD, NULL);
    for (int r = 0; r <= MAX_RANKS; r++)
        begin[r] = r;
    l->wait_limit_s = 60;
    int rc = l->size > MAX_RANKS ? diag_set(&d, ERR_RANGE, "%d ranks are too many", l->size) : 0;
    if (!rc) rc = open_all(c, l, begin, &d);
    for (uint64_t call = 0; call < calls && !rc; call++)
        wrong += (uint64_t)call_once(c[rng_u64(4, call / 5) % N_ALGOS], l, call);
    for (int i = 0; i < N_ALGOS; i++)
        coll_free(c[i]);
    wrong = agree_sum(l, wrong);
    if (l->rank == 0)
        printf("coll-often, %d ranks: %llu calls, %llu elements wrong%s%s\n", l->size, (unsigned long long)calls,
               (unsigned long long)wrong, rc ? ": " : "", d.text);
    link_free(l);
    MPI_Finalize();
    return rc != 0 || wrong > 0 || calls == 0;
}
