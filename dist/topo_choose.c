/* topo_choose.c - which core each thread of a node's ranks gets. */
#include <stdlib.h>

#include "dist/topo.h"

/* The cores of a set, as indices; their number. */
static int cores_in(const struct topo_cores *all, const cpu_set_t *set, int *index) {
    int n = 0;
    for (int i = 0; i < all->n; i++) {
        cpu_set_t both;
        CPU_AND(&both, &all->core[i], set);
        if (!CPU_COUNT(&both)) continue;
        if (index) index[n] = i;
        n++;
    }
    return n;
}

/* Ranks that share this rank's cores: how many threads they have, and how many of them come before it. */
struct sharing {
    int threads, before, ranks, overlap;
};

static struct sharing find_sharing(const struct topo_rank *rank, int n, int me) {
    struct sharing s = {0};
    for (int i = 0; i < n; i++) {
        cpu_set_t both;
        CPU_AND(&both, &rank[i].allowed, &rank[me].allowed);
        if (CPU_EQUAL(&rank[i].allowed, &rank[me].allowed)) {
            if (i < me) s.before += rank[i].threads;
            s.threads += rank[i].threads;
            s.ranks++;
        } else if (CPU_COUNT(&both)) {
            s.overlap = 1;
        }
    }
    return s;
}

/* ---- threads to domains ---- */

/* The threads of the ranks that share cores, in the order of the ranks. */
struct dealing {
    const struct topo_cores *all;
    const int *mine; /* cores that they share, as indices */
    const char *begins; /* [threads]: 1 where a rank begins with this thread */
    int *core; /* [threads]: the result */
    uint64_t *cost; /* [2][threads + 1] */
    uint16_t *from; /* [domains][threads + 1] */
};

/* Cores [c0, c1) of those shared, threads [t0, t1). */
struct part {
    int c0, c1, t0, t1;
};

static int domain_of(const struct dealing *g, int level, int c) {
    const int *domain = level == 0 ? g->all->numa : g->all->cache;
    return domain ? domain[g->mine[c]] : 0;
}

/* Ends of the domains among a part's cores: bound[0] = c0, ... Returns how many domains. */
static int find_domains(const struct dealing *g, int level, const struct part *p, int *bound) {
    int n = 0;
    for (int c = p->c0; c < p->c1; c++)
        if (c == p->c0 || domain_of(g, level, c) != domain_of(g, level, c - 1)) bound[n++] = c;
    bound[n] = p->c1;
    return n;
}

static int ranks_in(const struct dealing *g, const struct part *p) {
    int n = 0;
    for (int t = p->t0; t < p->t1; t++)
        n += g->begins[t];
    return n;
}

/* First of all few ranks in two domains, then the load even: the sum of threads^2 / cores is least where threads are
 * proportional to cores. */
#define SPLIT ((uint64_t)1 << 50)
static uint64_t cost_of(const struct dealing *g, int whole, int from, int to, int end, int cores) {
    uint64_t load = (uint64_t)(to - from);
    return (load * load << 20) / (uint64_t)cores + (whole && load && to < end && !g->begins[to] ? SPLIT : 0);
}

/* Cuts the threads at cut[0] = t0, ..., cut[n] = t1: by dynamic programming over domains and threads. */
static void cut_threads(struct dealing *g, const struct part *p, const int *bound, int n, int whole, int *cut) {
    int threads = p->t1 - p->t0;
    uint64_t *now = g->cost, *next = g->cost + threads + 1;
    for (int x = 0; x <= threads; x++)
        now[x] = x ? UINT64_MAX : 0;
    for (int k = 0; k < n; k++) {
        int cores = bound[k + 1] - bound[k];
        for (int x = 0; x <= threads; x++) {
            next[x] = UINT64_MAX;
            for (int y = x > cores ? x - cores : 0; y <= x; y++) {
                uint64_t c =
                    now[y] == UINT64_MAX ? UINT64_MAX : now[y] + cost_of(g, whole, p->t0 + y, p->t0 + x, p->t1, cores);
                if (c >= next[x]) continue;
                next[x] = c;
                g->from[k * (threads + 1) + x] = (uint16_t)y;
            }
        }
        uint64_t *old = now;
        now = next;
        next = old;
    }
    cut[n] = p->t1;
    for (int k = n - 1; k >= 0; k--)
        cut[k] = p->t0 + g->from[k * (threads + 1) + cut[k + 1] - p->t0];
}

/* Thread t of all that share n cores: they spread over them evenly, in order. */
static int spread(int t, int threads, int n) {
    return (int)((int64_t)t * n / threads);
}

/* NUMA nodes, then the caches of each, then cores. Ranks that are fewer than caches have several each. */
static void deal(struct dealing *g, int level, const struct part *p) {
    enum { LEVELS = 2 };
    int bound[CPU_SETSIZE + 1], cut[CPU_SETSIZE + 1];
    if (level == LEVELS) {
        for (int t = p->t0; t < p->t1; t++)
            g->core[t] = g->mine[p->c0 + spread(t - p->t0, p->t1 - p->t0, p->c1 - p->c0)];
        return;
    }
    int n = find_domains(g, level, p, bound), whole = level == 0 || ranks_in(g, p) >= n;
    cut_threads(g, p, bound, n, whole, cut);
    for (int k = 0; k < n; k++)
        if (cut[k + 1] > cut[k]) deal(g, level + 1, &(struct part){bound[k], bound[k + 1], cut[k], cut[k + 1]});
}

/* Deals all threads that share these cores; core[] gets those of rank me. -1: no memory. */
static int deal_shared(const struct topo_cores *all, const struct topo_rank *rank, int n, int me, const int *mine,
                       int cores, const struct sharing *s, int *core) {
    size_t threads = (size_t)s->threads + 1;
    char *begins = calloc(threads, 1);
    struct dealing g = {all,
                        mine,
                        begins,
                        malloc(threads * sizeof *g.core),
                        malloc(2 * threads * sizeof *g.cost),
                        malloc((size_t)cores * threads * sizeof *g.from)};
    int rc = begins && g.core && g.cost && g.from ? 0 : -1, at = 0;
    for (int i = 0; i < n && !rc; i++) {
        if (!CPU_EQUAL(&rank[i].allowed, &rank[me].allowed)) continue;
        begins[at] = 1;
        at += rank[i].threads;
    }
    if (!rc) deal(&g, 0, &(struct part){0, cores, 0, s->threads});
    for (int t = 0; t < rank[me].threads && !rc; t++)
        core[t] = g.core[s->before + t];
    free(begins);
    free(g.core);
    free(g.cost);
    free(g.from);
    return rc;
}

static int threads_of(const struct topo_rank *rank, int n) {
    int threads = 0;
    for (int i = 0; i < n; i++)
        threads += rank[i].threads;
    return threads;
}

enum topo_state topo_choose(const struct topo_cores *all, const struct topo_rank *rank, int n, int me, int here,
                            int core[TOPO_MAX_THREADS]) {
    int mine[CPU_SETSIZE], cores = cores_in(all, &rank[me].allowed, mine), threads = threads_of(rank, n);
    struct sharing s = find_sharing(rank, n, me);
    if (!rank[me].bind) return TOPO_OFF;
    if (threads > all->machine) return TOPO_FULL;
    if (rank[me].threads > cores) return TOPO_NARROW;
    if (s.overlap) return TOPO_OVERLAP;
    if (threads > all->n || s.threads > cores) return TOPO_FULL;
    if (deal_shared(all, rank, n, me, mine, cores, &s, core)) return TOPO_REFUSED;
    for (int i = 0; i < cores && s.threads == 1 && here >= 0; i++)
        if (CPU_ISSET(here, &all->core[mine[i]])) core[0] = mine[i];
    return TOPO_BOUND;
}
