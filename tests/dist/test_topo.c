/* Which core each thread gets (topo.h): every thread its own, in its rank's allowance; and when nobody gets one. */
#include "dist/topo.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "collectives/link.h"

enum { MAX_CORES = 16, MAX_RANKS = 16 };

struct machine {
    struct topo_cores cores;
    cpu_set_t core[MAX_CORES];
};

static cpu_set_t cpus(int first, int last) {
    cpu_set_t s;
    CPU_ZERO(&s);
    for (int i = first; i <= last; i++)
        CPU_SET(i, &s);
    return s;
}

/* n cores of one CPU each, of a machine that has `machine` in all. */
static void machine_make(struct machine *m, int n, int machine) {
    m->cores = (struct topo_cores){machine, n, m->core};
    for (int i = 0; i < n; i++)
        m->core[i] = cpus(i, i);
}

/* All n ranks choose alike: their state; used[] counts the threads of each core. */
static enum topo_state choose_all(struct machine *m, struct topo_rank *r, int n, int here, int used[MAX_CORES]) {
    int core[TOPO_MAX_THREADS];
    memset(used, 0, MAX_CORES * sizeof *used);
    enum topo_state first = topo_choose(&m->cores, r, n, 0, here, core);
    for (int i = 0; i < n; i++) {
        enum topo_state s = topo_choose(&m->cores, r, n, i, here, core);
        CHECK(s == first, "rank %d: %d, rank 0: %d", i, s, first);
        for (int t = 0; s == TOPO_BOUND && t < r[i].threads; t++) {
            cpu_set_t both;
            CPU_AND(&both, &m->core[core[t]], &r[i].allowed);
            CHECK(CPU_COUNT(&both) > 0, "rank %d thread %d outside what it may use", i, t);
            used[core[t]]++;
        }
    }
    return first;
}

static void test_all_that_fit(void) {
    struct machine m;
    struct topo_rank r[MAX_RANKS];
    int used[MAX_CORES];
    for (int cores = 1; cores <= MAX_CORES; cores++)
        for (int ranks = 1; ranks <= MAX_RANKS; ranks++)
            for (int threads = 1; threads <= MAX_CORES; threads++) {
                machine_make(&m, cores, cores);
                for (int i = 0; i < ranks; i++)
                    r[i] = (struct topo_rank){cpus(0, cores - 1), 0, threads, 1};
                enum topo_state s = choose_all(&m, r, ranks, -1, used);
                CHECK(s == (ranks * threads <= cores ? TOPO_BOUND : TOPO_FULL), "%d ranks x %d on %d: %d", ranks,
                      threads, cores, s);
                for (int c = 0; c < cores; c++)
                    CHECK(used[c] <= 1, "core %d is used %d times", c, used[c]);
            }
}

static void test_order(void) {
    struct machine m;
    struct topo_rank r[2] = {{cpus(0, 7), 0, 2, 1}, {cpus(0, 7), 0, 2, 1}};
    int core[TOPO_MAX_THREADS];
    machine_make(&m, 8, 8);
    CHECK(topo_choose(&m.cores, r, 2, 1, 0, core) == TOPO_BOUND && core[0] == 4 && core[1] == 6,
          "rank 1 takes the second half: %d %d", core[0], core[1]);
    r[0].threads = 1;
    CHECK(topo_choose(&m.cores, r, 1, 0, 5, core) == TOPO_BOUND && core[0] == 5, "a lone thread stays: %d", core[0]);
}

static void test_launcher(void) {
    struct machine m;
    int used[MAX_CORES];
    machine_make(&m, 4, 4);
    struct topo_rank halves[] = {{cpus(0, 1), 0, 2, 1}, {cpus(2, 3), 0, 2, 1}};
    CHECK(choose_all(&m, halves, 2, -1, used) == TOPO_BOUND, "two cores a rank");
    struct topo_rank one[] = {{cpus(0, 0), 0, 2, 1}, {cpus(1, 1), 0, 2, 1}};
    CHECK(choose_all(&m, one, 2, -1, used) == TOPO_NARROW, "one core a rank of two threads");
    struct topo_rank partly[] = {{cpus(0, 1), 0, 1, 1}, {cpus(1, 2), 0, 1, 1}};
    CHECK(choose_all(&m, partly, 2, -1, used) == TOPO_OVERLAP, "sets that overlap");
    struct topo_rank off[] = {{cpus(0, 3), 0, 1, 0}, {cpus(0, 3), 0, 1, 0}};
    CHECK(choose_all(&m, off, 2, -1, used) == TOPO_OFF, "--bind off");
    machine_make(&m, 1, 4); /* a launcher that leaves one core of four */
    struct topo_rank lone[] = {{cpus(0, 0), 0, 2, 1}}, pair[] = {{cpus(0, 0), 0, 1, 1}, {cpus(0, 0), 0, 1, 1}};
    CHECK(choose_all(&m, lone, 1, -1, used) == TOPO_NARROW, "two threads on one core of four");
    CHECK(choose_all(&m, pair, 2, -1, used) == TOPO_FULL, "two ranks on one core");
}

static void test_list(void) {
    char text[16];
    cpu_set_t s = cpus(2, 4);
    CPU_SET(0, &s);
    CPU_SET(9, &s);
    topo_list(&s, text, sizeof text);
    CHECK(!strcmp(text, "0,2-4,9"), "%s", text);
    topo_list(&s, text, 8);
    CHECK(!strcmp(text, "0..."), "%s", text);
}

/* On this machine: the threads run where the list says, and nowhere else. */
static void test_here(void) {
    struct link *l = link_self_new();
    struct topo_place p;
    struct diag d = {0};
    int narrow, wrong = 0;
    cpu_set_t given;
    CHECK(sched_getaffinity(0, sizeof given, &given) == 0, "affinity");
    int threads = CPU_COUNT(&given) > 1 ? 2 : 1;
    CHECK(topo_bind(&p, l, 0, threads, 1, &narrow, &d) == 0, "%s", d.text);
    CHECK(p.cores >= 1 && p.cores <= CPU_COUNT(&given), "%d cores of %d CPUs", p.cores, CPU_COUNT(&given));
    if (p.state == TOPO_BOUND) {
        cpu_set_t seen[2];
#pragma omp parallel num_threads(threads)
        sched_getaffinity(0, sizeof *seen, &seen[omp_get_thread_num()]);
        cpu_set_t both;
        CPU_AND(&both, &seen[0], &seen[threads - 1]);
        wrong = threads > 1 && CPU_COUNT(&both) > 0;
        CHECK(!wrong, "two threads share a core");
    }
    CHECK(p.list[0] != 0, "no CPU");
    link_free(l);
}

int main(void) {
    test_all_that_fit();
    test_order();
    test_launcher();
    test_list();
    test_here();
    return check_report("topo");
}
