/* map_choose.c - ranks of a plan dealt to nodes so that the messages between these cost little.
 *
 *   grown     node after node takes the part of the plan that is tied most to what it has: whole stages first, then
 *             what shares a cache, then single ranks (or single ranks at once; or the plan's order)
 *   improved  by moving ranks and exchanging pairs, as long as that gains (Kernighan, Lin 1970, greedily)
 *   ruled out in small jobs branch and bound looks at all the rest: the bound of a partial map is what it cuts, and of
 *             each rank to come what it cuts on the node that suits it best
 *
 * Several orders of nodes are tried, and as launched; the cheapest is kept. */
#include <stdlib.h>
#include <string.h>

#include "partition/map.h"

enum {
    WORK_IMPROVE = 1 << 26, /* edges looked at, of one start */
    WORK_BOUND = 1 << 24, /* ranks x nodes looked at: some 10 ms */
    RANKS_BOUND = 64,
    ORDERS = 3
};

struct tie {
    int to;
    uint64_t ps;
};

struct search {
    int n, n_nodes;
    int *begin; /* [n+1] */
    struct tie *tie; /* both ways */
    int *cap, *room; /* [n_nodes]: ranks that a node takes; of those, not given away */
    int *at, *best; /* [n]: node of a rank, or -1 */
    int *order; /* [n_nodes] */
    uint64_t least_ps;
    int64_t work;
    int *scratch; /* [4 n + n_nodes + 1] */
    uint64_t *pull; /* [n]; branch and bound: [n][n_nodes] */
};

/* ---- the graph ---- */

static uint64_t cost_of(const struct map_edge *e, const struct net_link *l) {
    return (uint64_t)e->messages * (l->o_send_ps + l->L_ps + l->o_recv_ps) + pico_of((uint64_t)e->bytes, l->G);
}

/* Edges in both directions; a pair that sends both ways has two ties. */
static void tie_ranks(struct search *s, const struct map_traffic *t, const struct net_link *between) {
    for (int r = 0; r < t->n; r++)
        for (int i = t->begin[r]; i < t->begin[r + 1]; i++)
            s->begin[r]++, s->begin[t->edge[i].to]++;
    for (int r = 0, sum = 0, n; r <= t->n; r++, sum += n) {
        n = s->begin[r];
        s->begin[r] = sum;
        if (r < t->n) s->scratch[r] = sum;
    }
    for (int r = 0; r < t->n; r++)
        for (int i = t->begin[r]; i < t->begin[r + 1]; i++) {
            const struct map_edge *e = &t->edge[i];
            uint64_t ps = cost_of(e, between);
            s->tie[s->scratch[r]++] = (struct tie){e->to, ps};
            s->tie[s->scratch[e->to]++] = (struct tie){r, ps};
        }
}

static uint64_t cut_of(const struct search *s, const int *at) {
    uint64_t ps = 0;
    for (int r = 0; r < s->n; r++)
        for (int i = s->begin[r]; i < s->begin[r + 1]; i++)
            if (at[s->tie[i].to] != at[r]) ps += s->tie[i].ps;
    return ps / 2;
}

static uint64_t tied_to(const struct search *s, int rank, int node) {
    uint64_t ps = 0;
    for (int i = s->begin[rank]; i < s->begin[rank + 1]; i++)
        if (s->at[s->tie[i].to] == node) ps += s->tie[i].ps;
    return ps;
}

static void keep_best(struct search *s) {
    uint64_t ps = cut_of(s, s->at);
    if (ps >= s->least_ps) return;
    s->least_ps = ps;
    memcpy(s->best, s->at, (size_t)s->n * sizeof *s->best);
}

/* ---- growing ---- */

/* Runs of ranks that go to one node together: their bounds; returns how many. */
static int make_runs(const struct search *s, const struct plan *p, int level, int *bound) {
    int n = 0;
    for (int r = 0; r < s->n; r++) {
        const struct plan_rank *k = &p->ranks[r];
        int first = level == 0 ? k->tp_index == 0 : level == 1 ? k->tp_index % p->strategy.kvp == 0 : 1;
        if (first) bound[n++] = r;
    }
    bound[n] = s->n;
    return n;
}

struct growth {
    int n_runs;
    const int *bound; /* [n_runs+1] */
    int *run_of; /* [n]: of a rank */
    int *touched, n_touched; /* runs that are tied to the node */
    int lowest; /* all runs before it are placed */
};

static void put_rank(struct search *s, int rank, int node) {
    s->at[rank] = node;
    s->room[node]--;
}

static void touch(struct search *s, struct growth *g, int rank) {
    for (int i = s->begin[rank]; i < s->begin[rank + 1]; i++) {
        int to = s->tie[i].to, run = g->run_of[to];
        if (s->at[to] >= 0) continue;
        if (!s->pull[run]) g->touched[g->n_touched++] = run;
        s->pull[run] += s->tie[i].ps + 1;
    }
}

static int run_fits(const struct search *s, const struct growth *g, int run, int node) {
    return s->at[g->bound[run]] < 0 && g->bound[run + 1] - g->bound[run] <= s->room[node];
}

/* The run that is tied most to the node, of equal ones the first; else the first of all. -1: none fits. */
static int next_run(struct search *s, struct growth *g, int node) {
    int best = -1;
    for (int i = 0; i < g->n_touched; i++) {
        int run = g->touched[i];
        if (!run_fits(s, g, run, node)) continue;
        if (best < 0 || s->pull[run] > s->pull[best] || (s->pull[run] == s->pull[best] && run < best)) best = run;
    }
    while (g->lowest < g->n_runs && s->at[g->bound[g->lowest]] >= 0)
        g->lowest++;
    for (int run = g->lowest; run < g->n_runs && best < 0; run++)
        if (run_fits(s, g, run, node)) best = run;
    return best;
}

static void grow_node(struct search *s, struct growth *g, int node) {
    memset(s->pull, 0, (size_t)s->n * sizeof *s->pull);
    g->n_touched = 0;
    for (int r = 0; r < s->n; r++)
        if (s->at[r] == node) touch(s, g, r);
    for (int run; s->room[node] && (run = next_run(s, g, node)) >= 0;)
        for (int r = g->bound[run]; r < g->bound[run + 1]; r++) {
            put_rank(s, r, node);
            touch(s, g, r);
        }
}

/* Level 0 deals whole stages, 1 what shares a cache, 2 single ranks; each what those before it could not place. The
 * first one is such that rank 0 comes to node 0, which is filled first. */
static void grow(struct search *s, const struct plan *p, int level) {
    int *bound = s->scratch, *run_of = s->scratch + s->n + 1, *touched = run_of + s->n;
    for (int r = 0; r < s->n; r++)
        s->at[r] = -1;
    memcpy(s->room, s->cap, (size_t)s->n_nodes * sizeof *s->room);
    while (level < 2 && make_runs(s, p, level, bound) && bound[1] > s->cap[0])
        level++;
    for (; level <= 2; level++) {
        struct growth g = {make_runs(s, p, level, bound), bound, run_of, touched, 0, 0};
        for (int run = 0; run < g.n_runs; run++)
            for (int r = bound[run]; r < bound[run + 1]; r++)
                run_of[r] = run;
        for (int i = 0; i < s->n_nodes; i++)
            grow_node(s, &g, s->order[i]);
    }
}

/* The plan's order, node after node. */
static void fill(struct search *s) {
    memcpy(s->room, s->cap, (size_t)s->n_nodes * sizeof *s->room);
    for (int r = 0, i = 0; r < s->n; r++) {
        while (!s->room[s->order[i]])
            i++;
        put_rank(s, r, s->order[i]);
    }
}

/* ---- improving ---- */

/* What moving a rank to a node gains; may be negative. */
static int64_t gain_of(struct search *s, int rank, int node) {
    s->work += s->begin[rank + 1] - s->begin[rank];
    return (int64_t)tied_to(s, rank, node) - (int64_t)tied_to(s, rank, s->at[rank]);
}

static int64_t tie_between(const struct search *s, int a, int b) {
    int64_t ps = 0;
    for (int i = s->begin[a]; i < s->begin[a + 1]; i++)
        if (s->tie[i].to == b) ps += (int64_t)s->tie[i].ps;
    return ps;
}

/* Moves a rank to a node, or exchanges it for the best one there. 1 if that gained. */
static int move_or_exchange(struct search *s, int rank, int node) {
    int64_t one = gain_of(s, rank, node), most = 0;
    int from = s->at[rank], other = -1;
    if (s->room[node] && one > 0) {
        s->room[from]++;
        put_rank(s, rank, node);
        return 1;
    }
    s->work += s->n;
    for (int u = 1; u < s->n; u++) {
        if (s->at[u] != node) continue;
        int64_t gain = one + gain_of(s, u, from) - 2 * tie_between(s, rank, u);
        if (gain > most) most = gain, other = u;
    }
    if (other < 0) return 0;
    s->at[other] = from;
    s->at[rank] = node;
    return 1;
}

static void improve(struct search *s) {
    s->work = 0;
    for (int moved = 1; moved && s->work < WORK_IMPROVE;) {
        moved = 0;
        for (int r = 1; r < s->n && s->work < WORK_IMPROVE; r++)
            for (int i = s->begin[r]; i < s->begin[r + 1]; i++) {
                int node = s->at[s->tie[i].to];
                if (node != s->at[r]) moved |= move_or_exchange(s, r, node);
            }
    }
}

/* ---- ruling out ---- */

static void add_pull(struct search *s, int rank, int node, int back) {
    for (int i = s->begin[rank]; i < s->begin[rank + 1]; i++) {
        uint64_t *to = &s->pull[s->tie[i].to * s->n_nodes + node];
        *to = back ? *to - s->tie[i].ps : *to + s->tie[i].ps;
    }
}

/* What a rank cuts if it goes to a node, of its ties to the ranks that are placed. */
static uint64_t cuts_on(const struct search *s, int rank, int node) {
    uint64_t ps = 0;
    for (int k = 0; k < s->n_nodes; k++)
        if (k != node) ps += s->pull[rank * s->n_nodes + k];
    return ps;
}

static uint64_t bound_from(struct search *s, int rank) {
    uint64_t ps = 0;
    for (; rank < s->n; rank++) {
        uint64_t all = 0, most = 0;
        for (int k = 0; k < s->n_nodes; k++) {
            uint64_t p = s->pull[rank * s->n_nodes + k];
            all += p;
            if (s->room[k] && p > most) most = p;
        }
        ps += all - most;
        s->work += s->n_nodes;
    }
    return ps;
}

/* An empty node like one before it: nothing new. */
static int is_twin(const struct search *s, int node) {
    for (int k = 1; k < node && s->room[node] == s->cap[node]; k++)
        if (s->cap[k] == s->cap[node] && s->room[k] == s->cap[k]) return 1;
    return 0;
}

static void look_at_all(struct search *s, int rank, uint64_t cut) {
    if (s->work > WORK_BOUND || cut + bound_from(s, rank) >= s->least_ps) return;
    if (rank == s->n) {
        s->least_ps = cut;
        memcpy(s->best, s->at, (size_t)s->n * sizeof *s->best);
        return;
    }
    for (int node = 0; node < s->n_nodes; node++) {
        if (!s->room[node] || is_twin(s, node) || (rank == 0 && node)) continue;
        uint64_t more = cuts_on(s, rank, node);
        put_rank(s, rank, node);
        add_pull(s, rank, node, 0);
        look_at_all(s, rank + 1, cut + more);
        add_pull(s, rank, node, 1);
        s->room[node]++;
    }
}

/* 1: nothing is cheaper than the best. */
static int rule_out(struct search *s) {
    if (s->least_ps == 0) return 1;
    if (s->n > RANKS_BOUND) return 0;
    memcpy(s->room, s->cap, (size_t)s->n_nodes * sizeof *s->room);
    memset(s->pull, 0, (size_t)s->n * (size_t)s->n_nodes * sizeof *s->pull);
    s->work = 0;
    look_at_all(s, 0, 0);
    return s->work <= WORK_BOUND;
}

/* ---- starts ---- */

/* Process 0's node, then the others as launched, the largest first, or the smallest first. */
static void order_nodes(struct search *s, int how) {
    for (int i = 0; i < s->n_nodes; i++) {
        int at = i;
        for (; how && at > 1; at--) {
            int before = s->cap[s->order[at - 1]], mine = s->cap[i];
            if (how == 1 ? before >= mine : before <= mine) break;
            s->order[at] = s->order[at - 1];
        }
        s->order[at] = i;
    }
}

static int all_alike(const struct search *s) {
    for (int i = 1; i < s->n_nodes; i++)
        if (s->cap[i] != s->cap[0]) return 0;
    return 1;
}

static void try_starts(struct search *s, const struct plan *p) {
    int orders = all_alike(s) ? 1 : ORDERS;
    for (int how = 0; how < orders; how++) {
        order_nodes(s, how);
        for (int level = 0; level <= 2; level += 2) {
            grow(s, p, level);
            improve(s);
            keep_best(s);
        }
        fill(s);
        improve(s);
        keep_best(s);
    }
}

static void free_search(struct search *s) {
    free(s->begin);
    free(s->tie);
    free(s->cap);
    free(s->at);
    free(s->scratch);
    free(s->pull);
}

/* Numbers the nodes in the order of their first processes: number[i] of process i. */
static int number_nodes(const int *node, int n_procs, int *number) {
    int n = 0;
    for (int i = 0; i < n_procs; i++)
        number[i] = node[i] == i ? n++ : number[node[i]];
    return n;
}

static int open_search(struct search *s, const struct map_traffic *t, int n_nodes, const struct net_link *between,
                       struct diag *d) {
    size_t n = (size_t)t->n, m = (size_t)n_nodes, ties = 2 * (size_t)t->begin[t->n];
    *s = (struct search){.n = t->n, .n_nodes = n_nodes, .begin = calloc(n + 1, sizeof *s->begin)};
    s->tie = malloc((ties + 1) * sizeof *s->tie);
    s->cap = calloc(3 * m, sizeof *s->cap);
    s->at = malloc(2 * n * sizeof *s->at);
    s->scratch = malloc((4 * n + m + 1) * sizeof *s->scratch);
    s->pull = calloc(n * (n <= RANKS_BOUND ? m : 1), sizeof *s->pull);
    if (!s->begin || !s->tie || !s->cap || !s->at || !s->scratch || !s->pull)
        return diag_set(d, ERR_MEMORY, "no memory to map %d ranks", t->n);
    s->room = s->cap + m;
    s->order = s->room + m;
    s->best = s->at + n;
    tie_ranks(s, t, between);
    return 0;
}

/* The ranks of each node to its processes, in order; the numbers beyond the ranks to those left over. */
static void hand_out(struct map *m, const struct search *s, const int *number, const int *node) {
    int *next = s->scratch, over = m->n_ranks;
    for (int k = 0; k < s->n_nodes; k++)
        next[k] = 0;
    for (int i = 0; i < m->n_procs; i++) {
        int r = next[number[i]];
        while (r < m->n_ranks && s->best[r] != number[i])
            r++;
        next[number[i]] = r < m->n_ranks ? r + 1 : r;
        m->rank[i] = r < m->n_ranks ? r : over++;
        m->process[m->rank[i]] = i;
        m->changed |= m->rank[i] != i;
    }
    for (int r = 0; r < m->n_ranks; r++)
        m->node[r] = node[m->process[r]];
}

int map_choose(struct map *out, const struct map_traffic *t, const int *node, int n_procs,
               const struct net_link *between, struct diag *d) {
    struct search s = {0};
    int rc = map_launched(out, t, node, n_procs, d), *number = malloc((size_t)n_procs * sizeof *number);
    if (!rc && !number) rc = diag_set(d, ERR_MEMORY, "no memory to map %d ranks", t->n);
    if (!rc) rc = open_search(&s, t, number_nodes(node, n_procs, number), between, d);
    if (!rc) {
        for (int i = 0; i < n_procs; i++)
            s.cap[number[i]]++;
        memcpy(s.best, number, (size_t)s.n * sizeof *s.best);
        out->launched_ps = s.least_ps = cut_of(&s, s.best);
        try_starts(&s, t->plan);
        out->grown_ps = s.least_ps;
        out->least = rule_out(&s);
        out->ps = s.least_ps;
        if (out->ps < out->launched_ps) hand_out(out, &s, number, node);
    }
    free_search(&s);
    free(number);
    return rc;
}
