/* Plays messages under an independent simulator of MPI programs and compares its times with those expected: one case a
 * line of the file given.
 *
 *   NAME PS TOLERANCE_PS ring|recdbl RANKS BYTES REDUCE_PS
 *   NAME PS TOLERANCE_PS pipeline RANKS PASSES        followed by a line for each pass:
 *   MICRO HIDDEN_BYTES TOKEN_BYTES PS...              0: no token; what each rank computes
 *   NAME PS TOLERANCE_PS pairs RANKS ROUNDS           followed by a line for each round and pair:
 *   PS BYTES                                          held by one of the two, then sent to the other
 *
 * Each message is sent without the 16 bytes that the simulator adds to it. */
#include <mpi.h>
#include <smpi/smpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENVELOPE = 16, MOST_BYTES = 64 << 20, MOST_MICRO = 64, HOST_FLOPS = 1000000000 };

static char *out, *in;
static int me;

static void compute(double ps) {
    if (ps > 0) smpi_execute_flops(ps * 1e-12 * HOST_FLOPS);
}

static void send(int to, int bytes, MPI_Request *r) {
    MPI_Isend(out, bytes - ENVELOPE, MPI_BYTE, to, 0, MPI_COMM_WORLD, r);
}

static void recv(int from, int bytes) {
    MPI_Recv(in, bytes - ENVELOPE, MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void exchange(int to, int from, int bytes) {
    MPI_Request r;
    send(to, bytes, &r);
    recv(from, bytes);
    MPI_Wait(&r, MPI_STATUS_IGNORE);
}

static void ring(int ranks, int bytes, double reduce_ps) {
    for (int i = 0; i < 2 * (ranks - 1); i++) {
        exchange((me + 1) % ranks, (me + ranks - 1) % ranks, bytes / ranks);
        if (i < ranks - 1) compute(reduce_ps / ranks);
    }
}

static void recdbl(int ranks, int bytes, double reduce_ps) {
    for (int mask = 1; mask < ranks; mask *= 2) {
        exchange(me ^ mask, me ^ mask, bytes);
        compute(reduce_ps);
    }
}

/* Rank r is stage r; the first has the tokens of a micro-batch before it goes on with it. */
static void pipeline(FILE *f, int ranks, int passes) {
    MPI_Request sent = MPI_REQUEST_NULL;
    int due[MOST_MICRO] = {0};
    for (int i = 0; i < passes; i++) {
        int micro, hidden, token;
        double ps, mine = 0;
        if (fscanf(f, "%d %d %d", &micro, &hidden, &token) != 3) exit(2);
        for (int r = 0; r < ranks; r++) {
            if (fscanf(f, "%lf", &ps) != 1) exit(2);
            if (r == me) mine = ps;
        }
        if (me >= ranks) continue;
        if (me > 0) recv(me - 1, hidden);
        if (me == 0 && due[micro]) recv(ranks - 1, due[micro]);
        due[micro] = token;
        compute(mine);
        if (me < ranks - 1) send(me + 1, hidden, &sent);
        if (me == ranks - 1 && token) send(0, token, &sent);
        if (sent != MPI_REQUEST_NULL) MPI_Wait(&sent, MPI_STATUS_IGNORE);
    }
    for (int i = 0; i < MOST_MICRO && me == 0; i++)
        if (due[i]) recv(ranks - 1, due[i]);
}

/* Ranks r and r + ranks / 2; the first of them begins. */
static void pairs(FILE *f, int ranks, int rounds) {
    int half = ranks / 2;
    for (int i = 0; i < rounds * half; i++) {
        MPI_Request sent;
        double held;
        int bytes, has = i % half + i / half % 2 * half, other = (has + half) % ranks;
        if (fscanf(f, "%lf %d", &held, &bytes) != 2) exit(2);
        if (me == other) recv(has, bytes);
        if (me != has) continue;
        compute(held);
        send(other, bytes, &sent);
        MPI_Wait(&sent, MPI_STATUS_IGNORE);
    }
}

/* All ranks go on at one time. */
static double begin(void) {
    double t = MPI_Wtime() + 1;
    MPI_Bcast(&t, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    compute(1e12 * (t - MPI_Wtime()));
    return MPI_Wtime();
}

/* The last rank's time counts; it is asked for when nobody plays any more. Returns nonzero if it is not what is
 * expected. */
static int compare(double begun, int counts, const char *name, double ps, double tolerance) {
    double took = counts ? 1e12 * (MPI_Wtime() - begun) : 0, most;
    compute(2 * ps - 1e12 * (MPI_Wtime() - begun));
    MPI_Allreduce(&took, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    double off = most > ps ? most - ps : ps - most;
    if (me == 0)
        printf("%-24s %15.0f ps, the oracle %17.1f ps, off by %.1f (at most %.0f)%s\n", name, ps, most, off, tolerance,
               off > tolerance ? ": FAILED" : "");
    return off > tolerance;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    char name[64], kind[16];
    double ps, tolerance, reduce_ps;
    int ranks, n, bad = 0;
    out = calloc(MOST_BYTES, 1);
    in = calloc(MOST_BYTES, 1);
    if (!f || !out || !in) return 2;
    while (fscanf(f, "%63s %lf %lf %15s %d %d", name, &ps, &tolerance, kind, &ranks, &n) == 6) {
        int is_pairs = !strcmp(kind, "pairs"), reduces = !is_pairs && strcmp(kind, "pipeline");
        if (reduces && fscanf(f, "%lf", &reduce_ps) != 1) return 2;
        double t = begin();
        if (is_pairs)
            pairs(f, ranks, n);
        else if (!reduces)
            pipeline(f, ranks, n);
        else if (me < ranks)
            (strcmp(kind, "ring") ? recdbl : ring)(ranks, n, reduce_ps);
        bad += compare(t, reduces || is_pairs ? me < ranks : me == 0, name, ps, tolerance);
    }
    fclose(f);
    MPI_Finalize();
    return me == 0 && bad; /* the same on all: one says it */
}
