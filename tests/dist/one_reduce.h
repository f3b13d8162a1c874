/* one_reduce.h - a single all-reduce as the simulator walks it, with times to compare with. */
#ifndef TESTS_DIST_ONE_REDUCE_H
#define TESTS_DIST_ONE_REDUCE_H

#include "dist/engine.h"
#include "dist/simulate.h"

enum { REDUCE_RANKS = 16, REDUCE_WIDTH = 4096 };

/* All-reduce of tokens x REDUCE_WIDTH binary32 values among equal cards. */
struct one_reduce {
    int size, tokens;
    uint64_t start_ps[REDUCE_RANKS], end_ps[REDUCE_RANKS];
};

/* The all-reduce after the attention of layer 0, which equal cards begin together. Its first overhead of sending is
 * part of the step before, as it begins at once. */
static inline void reduce_find(const struct recorder *r, uint64_t o_send_ps, uint64_t *start, uint64_t *end) {
    *start = UINT64_MAX;
    *end = 0;
    for (int i = 0; i < r->n; i++) {
        const struct record_event *e = &r->event[i];
        if (e->track >= RECORD_LINK || e->pass || e->layer || e->step != STEP_ATTN_REDUCE) continue;
        if (e->start_ps - o_send_ps < *start) *start = e->start_ps - o_send_ps;
        if (e->end_ps > *end) *end = e->end_ps;
    }
}

static inline int reduce_record(struct one_reduce *o, const struct cluster *c, const struct plan *p,
                                const struct trace *t, struct diag *d) {
    struct recording rec;
    struct simulation s;
    int rc = recording_init(&rec, p->n_ranks, 0, UINT64_MAX, d);
    if (rc) return rc;
    rc = simulate_recorded(&s, p, c, t, &rec, d);
    for (int r = 0; r < o->size && !rc; r++)
        reduce_find(&rec.rank[r], c->net.tier[0].link.o_send_ps, &o->start_ps[r], &o->end_ps[r]);
    if (!rc) simulation_fini(&s);
    recording_fini(&rec);
    return rc;
}

/* o->size cards, a power of two, whose links have equal overheads of sending, do one layer of llama3-8b with o->tokens
 * tokens, at most 4. */
static inline int one_reduce(struct one_reduce *o, const struct cluster *c, const char *algo, struct diag *d) {
    static const int ids[4];
    const int *prompt = ids;
    struct model_shape shape;
    struct strategy st;
    struct plan *p = NULL;
    struct trace t = {0};
    char text[32];
    struct plan_opts opts = {
        .decoder = {.linear_bits = ACT_I8, .head_bits = ACT_I8, .n_seqs = 1, .n_ctx = 8, .max_tokens = 4, .threads = 1},
        .transport = COLL_TRANSPORT_LINK,
        .allreduce = algo,
        .net = &c->net};
    struct engine_job job = {.n_seqs = 1, .prompt = &prompt, .prompt_len = &o->tokens, .n_new = 1, .chunk = 4};
    int rc = preset_shape(&shape, "llama3-8b", NULL, 0, d);
    shape.n_layers = 1;
    snprintf(text, sizeof text, "tp%d", o->size);
    if (!rc) rc = strategy_parse(&st, text, d);
    if (!rc) rc = plan_make(&p, &shape, &st, o->size, &opts, d);
    if (!rc) rc = trace_fixed(&t, p, &job, 0, d);
    if (!rc) rc = reduce_record(o, c, p, &t, d);
    trace_fini(&t);
    plan_free(p);
    return rc;
}

#endif
