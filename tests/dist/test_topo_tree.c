/* The machine as a tree (topo_tree.h), on synthetic machines of hwloc: where ranks are drawn, and what is warned of. */
#include "topo_tree.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* 2 packages of a NUMA node, a shared cache and 4 cores each; CPUs 0 to 7. */
#define TWO_NODES "pack:2 [numa(memory=1073741824)] l3:1(size=8388608) l2:4(size=524288) core:1 pu:1"

static hwloc_topology_t machine(const char *text) {
    hwloc_topology_t t;
    if (hwloc_topology_init(&t)) return NULL;
    if (hwloc_topology_set_synthetic(t, text) == 0 && hwloc_topology_load(t) == 0) return t;
    hwloc_topology_destroy(t);
    return NULL;
}

static cpu_set_t cpus(int first, int last) {
    cpu_set_t s;
    CPU_ZERO(&s);
    for (int i = first; i <= last; i++)
        CPU_SET(i, &s);
    return s;
}

static struct topo_seat seat(int threads, enum topo_state state, cpu_set_t allowed, cpu_set_t used) {
    return (struct topo_seat){"here", 0, threads, state, allowed, used};
}

static char *drawn(hwloc_topology_t t, const struct topo_seat *s, int size) {
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    topo_tree_print(out, t, s, size, 0);
    fclose(out);
    return text;
}

static void check_tree(hwloc_topology_t t) {
    struct topo_seat s[] = {seat(1, TOPO_BOUND, cpus(0, 7), cpus(2, 2)), seat(2, TOPO_BOUND, cpus(0, 7), cpus(4, 5)),
                            seat(1, TOPO_OFF, cpus(0, 7), cpus(0, 7)), seat(1, TOPO_BOUND, cpus(0, 7), cpus(3, 3))};
    s[3].node = 3; /* another node: not drawn */
    char *text = drawn(t, s, 4);
    static const char *const lines[] = {"here: 2 GiB of memory, 8 cores\n",
                                        "  package 0\n    NUMA node 0: 1 GiB\n    L3 8 MiB\n",
                                        "      L2 512 KiB > core 2: CPU 2   rank 0\n",
                                        "      L2 512 KiB > core 3: CPU 3\n",
                                        "      L2 512 KiB > core 4: CPU 4   rank 1\n",
                                        "      L2 512 KiB > core 5: CPU 5   rank 1\n",
                                        "rank 2, 1 thread: anywhere on CPUs 0-7 (not bound: --bind off)\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        CHECK(strstr(text, lines[i]), "not there: %s in\n%s", lines[i], text);
    CHECK(!strstr(text, "rank 3"), "a rank of another node:\n%s", text);
    free(text);
}

/* So many warnings, and the first has these words. */
static void check_warned(hwloc_topology_t t, const struct topo_seat *s, int size, size_t n, const char *words) {
    json_t *w = topo_tree_warnings(t, s, size, 0);
    const char *first = json_array_size(w) ? json_string_value(json_array_get(w, 0)) : "";
    CHECK(json_array_size(w) == n && strstr(first, words), "%zu warnings, not %zu: %s", json_array_size(w), n, first);
    json_decref(w);
}

static void check_warnings(hwloc_topology_t t) {
    cpu_set_t all = cpus(0, 7), one = cpus(3, 3);
    struct topo_seat good[] = {seat(4, TOPO_BOUND, all, cpus(0, 3)), seat(4, TOPO_BOUND, all, cpus(4, 7))};
    check_warned(t, good, 2, 0, "");
    struct topo_seat many[] = {seat(8, TOPO_FULL, all, all), seat(1, TOPO_FULL, all, all)};
    check_warned(t, many, 2, 1, "2 ranks with 9 threads in all on 8 cores");
    struct topo_seat same[] = {seat(1, TOPO_OPENMP, all, one), seat(1, TOPO_OPENMP, all, one)};
    check_warned(t, same, 2, 1, "ranks 0 and 1 run on one core (3), and here has 8");
    struct topo_seat narrow[] = {seat(2, TOPO_NARROW, one, one), seat(1, TOPO_BOUND, all, cpus(0, 0))};
    check_warned(t, narrow, 2, 1, "rank 0 has 2 threads and may use 1 core of 8");
    struct topo_seat part[] = {seat(1, TOPO_OVERLAP, cpus(0, 3), cpus(0, 3)), seat(1, TOPO_OFF, all, all)};
    check_warned(t, part, 2, 1, "rank 0's cores overlap");
    struct topo_seat wide[] = {seat(8, TOPO_BOUND, all, all)};
    check_warned(t, wide, 1, 1,
                 "rank 0's threads run on 2 NUMA nodes: part of what they read may come from another one");
    same[1].node = 1;
    check_warned(t, same, 2, 0, "");
}

int main(void) {
    hwloc_topology_t t = machine(TWO_NODES);
    CHECK(t, "no synthetic machine: %s", TWO_NODES);
    if (t) {
        check_tree(t);
        check_warnings(t);
        hwloc_topology_destroy(t);
    }
    return check_report("topo_tree");
}
