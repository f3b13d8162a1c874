/* Which core each thread gets (topo.h): every thread its own, in its rank's allowance; and when nobody gets one. */
#include "dist/topo.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "collectives/link.h"
#include "topo_cores.h"

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
    m->cores = (struct topo_cores){.machine = machine, .n = n, .core = m->core};
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

/* ---- NUMA nodes and caches, on synthetic machines of hwloc ---- */

static void machine_of(struct topo_cores *all, const char *text, const cpu_set_t *node) {
    hwloc_topology_t t = NULL;
    CHECK(hwloc_topology_init(&t) == 0 && hwloc_topology_set_synthetic(t, text) == 0 && hwloc_topology_load(t) == 0,
          "%s", text);
    CHECK(topo_cores_read(all, t, node) == 0, "%s", text);
    hwloc_topology_destroy(t);
}

static int is_one(const int *of, const int *core, int threads) {
    for (int t = 1; t < threads; t++)
        if (of[core[t]] != of[core[0]]) return 0;
    return 1;
}

/* Of n equal ranks: how many lie in one NUMA node, and in one cache; threads of each NUMA node and cache. */
struct seen {
    int numa_whole, cache_whole, of_numa[16], of_cache[64];
};

static struct seen look(const struct topo_cores *all, const cpu_set_t *allowed, int n, int threads) {
    struct seen seen = {0};
    struct topo_rank *r = calloc((size_t)n, sizeof *r);
    int core[TOPO_MAX_THREADS], last = -1;
    for (int i = 0; i < n; i++)
        r[i] = (struct topo_rank){*allowed, 0, threads, 1};
    for (int i = 0; i < n; i++) {
        enum topo_state s = topo_choose(all, r, n, i, -1, core);
        CHECK(s == TOPO_BOUND, "%d ranks of %d threads: %d", n, threads, s);
        if (s != TOPO_BOUND) continue;
        seen.numa_whole += is_one(all->numa, core, threads);
        seen.cache_whole += is_one(all->cache, core, threads);
        for (int t = 0; t < threads; t++) {
            CHECK(core[t] > last, "rank %d thread %d: core %d behind %d", i, t, core[t], last);
            last = core[t];
            seen.of_numa[all->numa[last]]++;
            seen.of_cache[all->cache[last]]++;
        }
    }
    free(r);
    return seen;
}

static void test_epyc(void) {
    static const char text[] = "pack:2 [numa] l3:8 core:8 pu:2";
    cpu_set_t all = cpus(0, 255), half = cpus(0, 127);
    struct topo_cores m;
    machine_of(&m, text, &all);
    CHECK(m.n == 128 && m.machine == 128 && CPU_COUNT(&m.core[5]) == 2, "%d cores", m.n);
    struct seen s = look(&m, &all, 16, 8);
    CHECK(s.cache_whole == 16 && s.of_cache[0] == 8 && s.of_cache[15] == 8, "16 x 8: %d", s.cache_whole);
    s = look(&m, &all, 8, 4);
    CHECK(s.numa_whole == 8 && s.of_numa[0] == 16 && s.of_cache[3] == 2 && s.of_cache[12] == 2,
          "8 x 4: two caches a rank");
    s = look(&m, &all, 24, 2);
    CHECK(s.cache_whole == 24 && s.of_numa[0] == 24 && s.of_numa[1] == 24, "24 x 2: %d, %d", s.cache_whole,
          s.of_numa[0]);
    s = look(&m, &all, 5, 8);
    CHECK(s.numa_whole == 5 && s.of_numa[0] + s.of_numa[1] == 40 && s.of_numa[0] % 8 == 0, "5 x 8: %d", s.numa_whole);
    s = look(&m, &all, 1, 100);
    CHECK(s.of_numa[0] == 50 && s.of_numa[1] == 50, "1 x 100: %d", s.of_numa[0]);
    s = look(&m, &half, 8, 4);
    CHECK(s.of_numa[0] == 32 && s.of_numa[1] == 0 && s.cache_whole == 8, "one package: %d", s.of_numa[0]);
    topo_cores_fini(&m);
}

/* 6 and 2 cores of two NUMA nodes, whose caches have 3 cores. */
static void test_uneven(void) {
    cpu_set_t some = cpus(0, 7), all = cpus(0, 11);
    struct topo_cores m;
    char near[48];
    machine_of(&m, "numa:2 l3:2 core:3 pu:1", &some);
    struct seen s = look(&m, &some, 3, 2);
    CHECK(m.n == 8 && m.machine == 12 && s.numa_whole == 3 && s.cache_whole == 3 && s.of_numa[0] == 4,
          "3 x 2 on 6 + 2: %d, %d", s.numa_whole, s.of_numa[0]);
    s = look(&m, &some, 4, 1);
    CHECK(s.of_numa[0] == 3 && s.of_numa[1] == 1, "4 x 1 on 6 + 2: %d", s.of_numa[0]);
    cpu_set_t two = cpus(2, 3);
    topo_near(&m, &two, near, sizeof near);
    CHECK(!strcmp(near, "NUMA 0, L3 0-1"), "%s", near);
    topo_cores_fini(&m);
    machine_of(&m, "numa:1 l3:4 core:3 pu:1", &all);
    s = look(&m, &all, 5, 2);
    CHECK(s.cache_whole == 4, "5 x 2 on 4 caches of 3: %d are whole", s.cache_whole);
    s = look(&m, &all, 4, 2);
    CHECK(s.cache_whole == 4 && s.of_cache[0] == 2 && s.of_cache[3] == 2, "4 x 2 on 4 caches of 3: %d", s.cache_whole);
    topo_cores_fini(&m);
}

/* Ranks of one thread more or less, dealt to NUMA nodes in order: the fewest in two, then the least sum of threads^2 /
 * cores, of all ways. */
static double least_cost(const int cores[4], int domains, int k, const char *ends, int threads, int t) {
    double least = 1e30;
    if (k >= domains || k >= 4) return t == threads ? 0 : least;
    for (int to = t, most = cores[k]; to <= threads && to - t <= most; to++) {
        double split = to > t && to < threads && !ends[to] ? 1e6 : 0;
        double c =
            split + (double)(to - t) * (to - t) / cores[k] + least_cost(cores, domains, k + 1, ends, threads, to);
        if (c < least) least = c;
    }
    return least;
}

static void check_random(int c) {
    uint64_t n = 0, key = (uint64_t)c + 500;
    char text[64], begins[64] = {0};
    int domains = 1 + (int)(rng_u64(key, n++) % 4), each = 1 + (int)(rng_u64(key, n++) % 4), cores[4] = {0};
    cpu_set_t some;
    struct topo_cores m;
    struct topo_rank r[16];
    CPU_ZERO(&some);
    for (int i = 0; i < domains * each; i++)
        if (rng_u64(key, n++) % 4) CPU_SET(i, &some), cores[i / each]++;
    if (!CPU_COUNT(&some)) return;
    snprintf(text, sizeof text, "numa:%d core:%d pu:1", domains, each);
    machine_of(&m, text, &some);
    int ranks = 0, threads = 0, k = 0, full[4];
    for (; ranks < 16; ranks++) {
        int t = 1 + (int)(rng_u64(key, n++) % 3);
        if (threads + t > m.n) break;
        begins[threads] = 1;
        r[ranks] = (struct topo_rank){some, 0, t, 1};
        threads += t;
    }
    for (int i = 0; i < domains; i++)
        if (cores[i]) full[k++] = cores[i];
    double is = 0, load[4] = {0};
    for (int i = 0, last = -1; i < ranks; i++) {
        int core[TOPO_MAX_THREADS];
        CHECK(topo_choose(&m, r, ranks, i, -1, core) == TOPO_BOUND || ranks == 1, "case %d", c);
        for (int t = 0; t < r[i].threads; t++) {
            CHECK(ranks == 1 || core[t] > last, "case %d: core %d behind %d", c, core[t], last);
            load[m.numa[last = core[t]]]++;
            is += t && m.numa[core[t]] != m.numa[core[t - 1]] ? 1e6 : 0;
        }
    }
    for (int i = 0; i < domains; i++)
        is += cores[i] ? load[i] * load[i] / cores[i] : 0;
    double least = least_cost(full, k, 0, begins, threads, 0);
    CHECK(is < least + 1e-4 && is > least - 1e-4, "case %d: %s, %d ranks: %g, least %g", c, text, ranks, is, least);
    topo_cores_fini(&m);
}

static void test_random(void) {
    for (int c = 0; c < 400; c++)
        check_random(c);
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
    test_epyc();
    test_uneven();
    test_random();
    test_list();
    test_here();
    return check_report("topo");
}
