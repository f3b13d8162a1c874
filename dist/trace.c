/* trace.c - what passes a job makes. */
#include <stdlib.h>
#include <string.h>

#include "dist/simulate.h"
#include "engine_priv.h"

struct trace_pass *trace_add(struct trace *t) {
    if (t->n == t->cap) {
        int cap = t->cap ? 2 * t->cap : 64;
        struct trace_pass *pass = realloc(t->pass, (size_t)cap * sizeof *pass);
        if (!pass) return NULL;
        t->pass = pass;
        t->cap = cap;
    }
    return memset(&t->pass[t->n++], 0, sizeof *t->pass);
}

void trace_fini(struct trace *t) {
    free(t->pass);
    *t = (struct trace){0};
}

/* ---- jobs of fixed lengths ---- */

/* What schedule.c needs of an engine whose every token is 0. */
struct scheduler {
    struct engine engine;
    struct link world;
    struct engine_job job;
    struct engine_result result;
};

static void scheduler_fini(struct scheduler *s) {
    free(s->engine.tok);
    free(s->engine.sampled);
    free(s->engine.seq);
    free(s->engine.micro_done);
    free(s->engine.sampled_hash);
    free(s->result.n_out);
    free(s->result.out);
    free(s->result.logit_hash);
}

static int scheduler_init(struct scheduler *s, const struct plan *p, const struct engine_job *job, int replica,
                          struct diag *d) {
    struct engine *e = &s->engine;
    size_t tokens = (size_t)p->opts.decoder.max_tokens, all = (size_t)job->n_seqs * (size_t)job->n_new;
    int dp = p->strategy.dp;
    *s = (struct scheduler){.world = {.rank = -1}, .job = *job};
    s->job.draft.most = s->job.n_end_ids = 0;
    s->result = (struct engine_result){.n_seqs = job->n_seqs, .n_new = job->n_new};
    s->result.n_out = calloc((size_t)job->n_seqs + 1, sizeof *s->result.n_out);
    s->result.out = calloc(all + 1, sizeof *s->result.out);
    s->result.logit_hash = calloc(all + 1, sizeof *s->result.logit_hash);
    e->plan = p;
    e->me = &p->ranks[replica * p->ranks_per_replica];
    e->world = &s->world;
    e->job = &s->job;
    e->result = &s->result;
    e->n_slots = (job->n_seqs - replica + dp - 1) / dp;
    e->tok = calloc(tokens + 1, sizeof *e->tok);
    e->sampled = calloc(tokens + 1, sizeof *e->sampled);
    e->seq = calloc((size_t)e->n_slots + 1, sizeof *e->seq);
    e->micro_done = calloc((size_t)p->opts.n_micro, sizeof *e->micro_done);
    e->sampled_hash = calloc((size_t)p->opts.n_micro, sizeof *e->sampled_hash);
    if (s->result.n_out && s->result.out && s->result.logit_hash && e->tok && e->sampled && e->seq && e->micro_done &&
        e->sampled_hash)
        return 0;
    return diag_set(d, ERR_MEMORY, "no memory for the schedule of %d sequences", job->n_seqs);
}

/* All that was wanted is sampled. */
static void sample(struct engine *e) {
    e->sampled_head = (struct token_header){.micro = e->head.micro};
    for (int i = 0; i < e->head.n; i++)
        if (e->tok[i].want)
            e->sampled[e->sampled_head.n++] = (struct token_entry){.slot = e->tok[i].slot, .pos = e->tok[i].pos};
    schedule_take(e);
}

static int add_pass(struct trace *out, const struct engine *e, struct diag *d) {
    struct trace_pass *t = trace_add(out);
    if (!t) return diag_set(d, ERR_MEMORY, "no memory for a trace of %d passes", out->n);
    *t = (struct trace_pass){.micro = e->head.micro,
                             .tokens = e->head.n,
                             .wanted = e->head.n_want,
                             .returned = e->head.n_want,
                             .prefill = e->head.prefill ? e->head.n : 0};
    engine_context(e, &t->ctx_read, &t->ctx_sum);
    return 0;
}

int trace_fixed(struct trace *out, const struct plan *p, const struct engine_job *job, int replica, struct diag *d) {
    struct scheduler s;
    struct engine *e = &s.engine;
    int rc = scheduler_init(&s, p, job, replica, d), left = p->opts.n_micro;
    *out = (struct trace){0};
    if (!rc) schedule_start(e);
    while (left > 0 && !rc)
        for (int m = 0; m < p->opts.n_micro && !rc; m++) {
            if (e->micro_done[m]) continue;
            schedule_compose(e, m);
            rc = add_pass(out, e, d);
            e->micro_done[m] = e->head.n == 0;
            left -= e->micro_done[m];
            if (e->head.n_want) sample(e);
        }
    scheduler_fini(&s);
    if (rc) trace_fini(out);
    return rc;
}
