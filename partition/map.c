/* map.c - what the ranks of a plan send each other, and how much of it crosses between nodes. */
#include "partition/map.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is sent ---- */

struct sends {
    const struct plan *p;
    const int *node;
    struct map_edge *edge;
    int n, cap;
    struct diag *d;
};

static int add_send(struct sends *s, int to, int64_t messages, int64_t bytes) {
    if (s->n == s->cap) {
        int cap = s->cap ? 2 * s->cap : 256;
        struct map_edge *bigger = realloc(s->edge, (size_t)cap * sizeof *bigger);
        if (!bigger) return diag_set(s->d, ERR_MEMORY, "no memory for the messages of %d ranks", s->p->n_ranks);
        s->edge = bigger;
        s->cap = cap;
    }
    s->edge[s->n++] = (struct map_edge){to, messages, bytes};
    return 0;
}

static int add_fan(struct sends *s, int first, int step, int n, int64_t bytes) {
    int rc = 0;
    for (int i = 0; i < n && !rc; i++)
        rc = add_send(s, first + i * step, 1, bytes);
    return rc;
}

/* The events of a collective of two levels, whose domains are the nodes of the stage's ranks; malloc'ed. */
static int two_level_events(const struct sends *s, int rank, enum step_kind kind, size_t n, struct coll_event **out,
                            int *count) {
    struct coll_spec spec;
    plan_coll(s->p, rank, kind, &spec);
    int first = rank - s->p->ranks[rank].tp_index, *domain = malloc((size_t)spec.shape.size * sizeof *domain);
    if (!domain) return diag_set(s->d, ERR_MEMORY, "no memory for the domains of %d ranks", spec.shape.size);
    for (int i = 0; i < spec.shape.size; i++)
        for (domain[i] = 0; s->node[first + domain[i]] != s->node[first + i];)
            domain[i]++;
    spec.shape.domain = domain;
    int rc = coll_events(&spec, s->p->ranks[rank].tp_index, n, out, count, s->d);
    free(domain);
    return rc;
}

/* Whether what the ranks of a stage send each other in an all-reduce depends on where they are. */
static int check_algo(const struct sends *s, int rank, enum step_kind kind, int *two_level) {
    struct coll_spec spec;
    struct coll_choice choice;
    *two_level = 0;
    if (kind != STEP_ATTN_REDUCE && kind != STEP_FFN_REDUCE) return 0;
    plan_coll(s->p, rank, kind, &spec);
    int rc = coll_choice_parse(&choice, spec.algo, s->d);
    if (!rc && choice.algo->library)
        rc = diag_set(s->d, ERR_UNSUPPORTED, "what the all-reduce %s sends is not known: no map can be chosen for it",
                      choice.algo->name);
    *two_level = !rc && choice.inner && s->node && !spec.shape.domain;
    return rc;
}

static int add_coll(struct sends *s, int rank, enum step_kind kind, int layer, int64_t times) {
    const struct plan_rank *r = &s->p->ranks[rank];
    const struct coll_event *event;
    struct coll_event *own = NULL;
    int count = 0, two_level, kvp = s->p->strategy.kvp, rc = check_algo(s, rank, kind, &two_level);
    int first = rank - (kind == STEP_ATTN_MERGE ? r->tp_index % kvp : r->tp_index);
    size_t n = plan_coll_elems(s->p, rank, kind, layer, 1, 1);
    if (rc) return rc;
    rc = two_level ? two_level_events(s, rank, kind, n, &own, &count)
                   : plan_events(s->p, rank, kind, n, &event, &count, s->d);
    for (int i = 0; i < count && !rc; i++) {
        const struct coll_event *e = own ? &own[i] : &event[i];
        if (e->doing == COLL_SENDS) rc = add_send(s, first + e->peer, times, times * (int64_t)e->bytes);
    }
    free(own);
    return rc;
}

/* `times` layers with the same steps, from `layer` on. */
static int add_block(struct sends *s, int rank, const struct plan_block *b, int layer, int64_t times) {
    const struct plan_rank *r = &s->p->ranks[rank];
    int many = s->p->stages[r->stage].size > 1, sampled = s->p->shape.causal, rc = 0;
    for (int i = 0; i < b->n && !rc; i++) {
        enum step_kind kind = b->step[i].kind;
        if (kind == STEP_SEND_HIDDEN)
            rc = add_fan(s, r->send_to_first, r->send_to_step, r->n_send_to, plan_hidden_bytes(s->p, 1));
        else if (kind == STEP_SEND_TOKEN && sampled)
            rc = add_fan(s, r->token_to_first, r->token_to_step, r->n_token_to,
                         PLAN_SAMPLED_HEADER_BYTES + PLAN_SAMPLED_BYTES);
        else if (many && (kind == STEP_ATTN_MERGE || kind == STEP_ATTN_REDUCE || kind == STEP_FFN_REDUCE ||
                          (kind == STEP_SAMPLE && sampled)))
            rc = add_coll(s, rank, kind, layer, times);
    }
    return rc;
}

static int by_receiver(const void *a, const void *b) {
    return ((const struct map_edge *)a)->to - ((const struct map_edge *)b)->to;
}

/* One edge a receiver of what has been added from `from` on. */
static void merge_sends(struct sends *s, int from) {
    int last = from - 1;
    qsort(s->edge + from, (size_t)(s->n - from), sizeof *s->edge, by_receiver);
    for (int i = from; i < s->n; i++) {
        if (last >= from && s->edge[last].to == s->edge[i].to) {
            s->edge[last].messages += s->edge[i].messages;
            s->edge[last].bytes += s->edge[i].bytes;
        } else {
            s->edge[++last] = s->edge[i];
        }
    }
    s->n = last + 1;
}

static int add_rank(struct sends *s, int rank) {
    const struct plan_rank *r = &s->p->ranks[rank];
    int layers = r->shard.layer1 - r->shard.layer0, from = s->n, rc = add_block(s, rank, r->prologue, -1, 1);
    for (int l = 0, same; l < layers && !rc; l += same) {
        for (same = 1; l + same < layers && r->layers[l + same] == r->layers[l];)
            same++;
        rc = add_block(s, rank, r->layers[l], r->shard.layer0 + l, same);
    }
    if (!rc) rc = add_block(s, rank, r->epilogue, -1, 1);
    if (!rc && s->n > from) merge_sends(s, from);
    return rc;
}

int map_traffic_init(struct map_traffic *t, const struct plan *p, const int *node, struct diag *d) {
    struct sends s = {.p = p, .node = node, .d = d};
    *t = (struct map_traffic){p, p->n_ranks, calloc((size_t)p->n_ranks + 1, sizeof *t->begin), NULL};
    int rc = t->begin ? 0 : diag_set(d, ERR_MEMORY, "no memory for the messages of %d ranks", p->n_ranks);
    for (int r = 0; r < p->n_ranks && !rc; r++) {
        rc = add_rank(&s, r);
        t->begin[r + 1] = s.n;
    }
    t->edge = s.edge;
    return rc;
}

void map_traffic_fini(struct map_traffic *t) {
    free(t->begin);
    free(t->edge);
    memset(t, 0, sizeof *t);
}

void map_count(struct map_crossing *out, const struct map_traffic *t, const int *node) {
    *out = (struct map_crossing){0};
    for (int r = 0; r < t->n; r++)
        for (int i = t->begin[r]; i < t->begin[r + 1]; i++) {
            const struct map_edge *e = &t->edge[i];
            int64_t crosses = node[r] != node[e->to];
            out->all_messages += e->messages;
            out->all_bytes += e->bytes;
            out->messages += crosses * e->messages;
            out->bytes += crosses * e->bytes;
        }
}

/* ---- maps ---- */

int map_launched(struct map *m, const struct map_traffic *t, const int *node, int n_procs, struct diag *d) {
    size_t n = (size_t)(n_procs > t->n ? n_procs : t->n);
    *m = (struct map){.n_procs = n_procs,
                      .n_ranks = t->n,
                      .rank = malloc(n * sizeof *m->rank),
                      .process = malloc(n * sizeof *m->process),
                      .node = malloc(n * sizeof *m->node)};
    if (n_procs < t->n)
        return diag_set(d, ERR_PLAN, "strategy %s needs %d ranks, but there are %d processes", t->plan->strategy.text,
                        t->n, n_procs);
    if (!m->rank || !m->process || !m->node) return diag_set(d, ERR_MEMORY, "no memory for a map of %d ranks", t->n);
    for (int i = 0; i < n_procs; i++)
        m->rank[i] = m->process[i] = i;
    memcpy(m->node, node, (size_t)t->n * sizeof *m->node);
    return 0;
}

void map_fini(struct map *m) {
    free(m->rank);
    free(m->process);
    free(m->node);
    memset(m, 0, sizeof *m);
}
