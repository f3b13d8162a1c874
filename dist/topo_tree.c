#include "topo_tree.h"

#include <hwloc/glibc-sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

hwloc_topology_t topo_tree_open(void) {
    hwloc_topology_t t;
    if (hwloc_topology_init(&t)) return NULL;
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_L1ICACHE, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_MISC, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(t) == 0) return t;
    hwloc_topology_destroy(t);
    return NULL;
}

/* ---- CPUs of cores ---- */

static cpu_set_t cpus_of(hwloc_topology_t t, hwloc_obj_t o) {
    cpu_set_t cpus;
    if (hwloc_cpuset_to_glibc_sched_affinity(t, o->cpuset, &cpus, sizeof cpus)) CPU_ZERO(&cpus);
    return cpus;
}

static int meets(const cpu_set_t *a, const cpu_set_t *b) {
    cpu_set_t both;
    CPU_AND(&both, a, b);
    return CPU_COUNT(&both) > 0;
}

/* Bound to cores, by northwall, by OpenMP, or by a launcher that left this rank no choice. */
static int is_seated(const struct topo_seat *s) {
    return s->state == TOPO_BOUND || s->state == TOPO_OPENMP;
}

/* ---- the tree ---- */

struct drawing {
    FILE *out;
    hwloc_topology_t t;
    const struct topo_seat *seat;
    int size, node;
};

static void put_bytes(FILE *out, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)bytes;
    int u = 0;
    while (x >= 1024 && u < 4)
        x /= 1024, u++;
    fprintf(out, "%.4g %s", x, units[u]);
}

static void put_name(FILE *out, hwloc_obj_t o) {
    char type[64];
    hwloc_obj_type_snprintf(type, sizeof type, o, 0);
    if (o->type == HWLOC_OBJ_NUMANODE) {
        fprintf(out, "NUMA node %u: ", o->os_index);
        put_bytes(out, o->attr->numanode.local_memory);
    } else if (hwloc_obj_type_is_cache(o->type)) {
        fprintf(out, "%s ", type);
        put_bytes(out, o->attr->cache.size);
    } else if (o->type == HWLOC_OBJ_PACKAGE) {
        const char *model = hwloc_obj_get_info_by_name(o, "CPUModel");
        fprintf(out, "package %u%s%s", o->logical_index, model ? ": " : "", model ? model : "");
    } else {
        fprintf(out, "%s %u", o->type == HWLOC_OBJ_CORE ? "core" : type, o->logical_index);
    }
}

static void put_ranks(const struct drawing *g, const cpu_set_t *cpus) {
    for (int r = 0, n = 0; r < g->size; r++)
        if (g->seat[r].node == g->node && is_seated(&g->seat[r]) && meets(&g->seat[r].used, cpus))
            fprintf(g->out, "%s %d", n++ ? "," : "   rank", r);
}

static void put_core(const struct drawing *g, hwloc_obj_t o) {
    char list[64];
    cpu_set_t cpus = cpus_of(g->t, o);
    topo_list(&cpus, list, sizeof list);
    fprintf(g->out, ": CPU%s %s", strpbrk(list, ",-") ? "s" : "", list);
    put_ranks(g, &cpus);
}

static void put_object(const struct drawing *g, hwloc_obj_t o, int depth);

static void put_children(const struct drawing *g, hwloc_obj_t o, int depth) {
    for (hwloc_obj_t m = o->memory_first_child; m; m = m->next_sibling) {
        fprintf(g->out, "%*s", 2 * depth, "");
        put_name(g->out, m);
        fputc('\n', g->out);
    }
    for (hwloc_obj_t c = o->first_child; c; c = c->next_sibling)
        put_object(g, c, depth);
}

/* A chain of objects with one child each, as caches of one core, is one line. */
static void put_object(const struct drawing *g, hwloc_obj_t o, int depth) {
    fprintf(g->out, "%*s", 2 * depth, "");
    put_name(g->out, o);
    while (o->arity == 1 && !o->memory_first_child && o->type != HWLOC_OBJ_CORE &&
           o->first_child->type != HWLOC_OBJ_PU) {
        o = o->first_child;
        fputs(" > ", g->out);
        put_name(g->out, o);
    }
    int leaf =
        o->type == HWLOC_OBJ_CORE || o->type == HWLOC_OBJ_PU || (o->arity && o->first_child->type == HWLOC_OBJ_PU);
    if (leaf) put_core(g, o);
    fputc('\n', g->out);
    if (!leaf) put_children(g, o, depth + 1);
}

static void put_devices(const struct drawing *g) {
    hwloc_obj_t o = NULL;
    while ((o = hwloc_get_next_osdev(g->t, o))) {
        hwloc_obj_osdev_type_t type = o->attr->osdev.type;
        const char *kind = type == HWLOC_OBJ_OSDEV_NETWORK                                 ? "network"
                           : type == HWLOC_OBJ_OSDEV_OPENFABRICS                           ? "InfiniBand"
                           : type == HWLOC_OBJ_OSDEV_GPU || type == HWLOC_OBJ_OSDEV_COPROC ? "accelerator"
                                                                                           : NULL;
        hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(g->t, o);
        if (!kind) continue;
        fprintf(g->out, "%s %s", kind, o->name ? o->name : "?");
        if (near && near->type != HWLOC_OBJ_MACHINE) {
            fputs(" at ", g->out);
            put_name(g->out, near);
        }
        fputc('\n', g->out);
    }
}

static void put_unseated(const struct drawing *g) {
    for (int r = 0; r < g->size; r++) {
        const struct topo_seat *s = &g->seat[r];
        char list[64];
        if (s->node != g->node || is_seated(s)) continue;
        topo_list(&s->used, list, sizeof list);
        fprintf(g->out, "rank %d, %d thread%s: anywhere on CPUs %s (%s)\n", r, s->threads, s->threads == 1 ? "" : "s",
                list, topo_text(s->state));
    }
}

void topo_tree_print(FILE *out, hwloc_topology_t t, const struct topo_seat *seat, int size, int node) {
    struct drawing g = {out, t, seat, size, node};
    fprintf(out, "%s: ", seat[node].host);
    put_bytes(out, hwloc_get_root_obj(t)->total_memory);
    fprintf(out, " of memory, %d core%s\n", hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE),
            hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE) == 1 ? "" : "s");
    put_children(&g, hwloc_get_root_obj(t), 1);
    put_devices(&g);
    put_unseated(&g);
}

/* ---- warnings ---- */

struct load {
    int cores, threads, ranks; /* cores that the node's ranks may use; threads and ranks that are there */
    cpu_set_t allowed;
};

static struct load load_of(hwloc_topology_t t, const struct topo_seat *seat, int size, int node) {
    struct load l = {0};
    hwloc_obj_t core = NULL;
    CPU_ZERO(&l.allowed);
    for (int r = 0; r < size; r++) {
        if (seat[r].node != node) continue;
        CPU_OR(&l.allowed, &l.allowed, &seat[r].allowed);
        l.threads += seat[r].threads;
        l.ranks++;
    }
    while ((core = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_CORE, core))) {
        cpu_set_t cpus = cpus_of(t, core);
        l.cores += meets(&cpus, &l.allowed);
    }
    return l;
}

static void warn(json_t *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(json_t *out, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_array_append_new(out, json_string(text));
}

/* Cores whose CPUs meet a set; *first is one of them. */
static int cores_of(hwloc_topology_t t, const cpu_set_t *set, int *first) {
    hwloc_obj_t core = NULL;
    int n = 0;
    while ((core = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_CORE, core))) {
        cpu_set_t cpus = cpus_of(t, core);
        if (meets(&cpus, set) && !n++) *first = (int)core->logical_index;
    }
    return n;
}

/* Ranks that a launcher or OpenMP left on one core, though the node has one for each. */
static void warn_shared(json_t *out, hwloc_topology_t t, const struct topo_seat *seat, int size, int node,
                        const struct load *l) {
    int total = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE), first, other;
    for (int a = 0; a < size; a++)
        for (int b = a + 1; b < size && seat[a].node == node; b++) {
            int same = seat[b].node == node && cores_of(t, &seat[a].used, &first) == 1 &&
                       cores_of(t, &seat[b].used, &other) == 1 && first == other;
            if (!same || l->threads > total) continue;
            warn(out, "ranks %d and %d run on one core (%d), and %s has %d: start them with mpirun --bind-to none", a,
                 b, first, seat[a].host, total);
        }
}

static void warn_memory(json_t *out, hwloc_topology_t t, const struct topo_seat *seat, int size, int node) {
    for (int r = 0; r < size; r++) {
        int nodes = 0;
        hwloc_obj_t numa = NULL;
        while ((numa = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, numa))) {
            cpu_set_t cpus = cpus_of(t, numa);
            nodes += meets(&cpus, &seat[r].used);
        }
        if (seat[r].node == node && nodes > 1 && seat[r].threads > 1 && is_seated(&seat[r]))
            warn(out,
                 "rank %d's threads run on %d NUMA nodes: part of what they read may come from another one; start a "
                 "rank a NUMA node (mpirun --map-by numa)",
                 r, nodes);
    }
}

static void warn_rank(json_t *out, hwloc_topology_t t, const struct topo_seat *s, int r, int total) {
    int first, cores = cores_of(t, &s->allowed, &first);
    if (s->state == TOPO_NARROW)
        warn(out,
             "rank %d has %d threads and may use %d core%s of %d: start it with mpirun --bind-to none, or --map-by "
             "slot:PE=%d",
             r, s->threads, cores, cores == 1 ? "" : "s", total, s->threads);
    if (s->state == TOPO_OVERLAP)
        warn(out, "rank %d's cores overlap those of others in part: start them with mpirun --bind-to none", r);
    if (s->state == TOPO_REFUSED) warn(out, "rank %d: the system refused to bind its threads", r);
}

json_t *topo_tree_warnings(hwloc_topology_t t, const struct topo_seat *seat, int size, int node) {
    json_t *out = json_array();
    struct load l = load_of(t, seat, size, node);
    int total = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
    if (l.cores && l.threads > l.cores)
        warn(out,
             "%d rank%s with %d threads in all on %d core%s of %s: oversubscribed, waits are yields and times measure "
             "the "
             "scheduler too",
             l.ranks, l.ranks == 1 ? "" : "s", l.threads, l.cores, l.cores == 1 ? "" : "s", seat[node].host);
    for (int r = 0; r < size; r++)
        if (seat[r].node == node) warn_rank(out, t, &seat[r], r, total);
    warn_shared(out, t, seat, size, node, &l);
    warn_memory(out, t, seat, size, node);
    return out;
}
