#include "virtual_energy.h"

#include <stdlib.h>
#include <string.h>

/* Passes with messages of the same size. */
struct shape {
    int tokens, wanted, returned;
    int64_t times;
};

/* A replica's trace, summed up. */
struct work {
    const struct trace *trace;
    int64_t passes, tokens, wanted_passes, wanted, ctx_read, ctx_sum;
    struct shape *shape;
    int n_shapes;
};

/* What ranks that do the same keep busy for: the last one is remembered, as neighbours in a pipeline are alike. */
struct busy {
    const struct plan_block *prologue, *layer, *epilogue;
    const struct trace *trace;
    struct card_place place;
    int n_layers;
    uint64_t ps;
};

struct meter {
    const struct plan *p;
    const struct cluster *c;
    struct virtual_energy *out;
    struct virtual_energy *ranks;
    struct busy busy;
    struct virtual_energy steps; /* of the rank before, without messages */
    struct diag *d;
};

/* ---- passes ---- */

static void add_shape(struct work *w, const struct trace_pass *t) {
    int i = 0;
    while (i < w->n_shapes &&
           (w->shape[i].tokens != t->tokens || w->shape[i].wanted != t->wanted || w->shape[i].returned != t->returned))
        i++;
    if (i == w->n_shapes) w->shape[w->n_shapes++] = (struct shape){t->tokens, t->wanted, t->returned, 0};
    w->shape[i].times++;
}

static int work_init(struct work *w, const struct trace *t, struct diag *d) {
    *w = (struct work){.trace = t, .shape = calloc((size_t)t->n + 1, sizeof *w->shape)};
    if (!w->shape) return diag_set(d, ERR_MEMORY, "no memory to sum up %d passes", t->n);
    for (int i = 0; i < t->n; i++) {
        const struct trace_pass *p = &t->pass[i];
        w->passes += p->tokens > 0;
        w->tokens += p->tokens;
        w->wanted_passes += p->wanted > 0;
        w->wanted += p->wanted;
        w->ctx_read += p->ctx_read;
        w->ctx_sum += p->ctx_sum;
        add_shape(w, p);
    }
    return 0;
}

/* ---- bytes and operations ---- */

static void add_block(struct virtual_energy *e, const struct virtual_rank *v, const struct plan_block *b, int layer,
                      const struct work *w) {
    const struct card *c = v->card;
    double weights = 1e-12 * c->level[layer < 0 ? v->place.ends : v->place.layer[layer]].pJ_per_B,
           cache = 1e-12 * c->level[v->place.kv].pJ_per_B;
    for (int i = 0; i < b->n; i++) {
        const struct step_cost *cost = &b->step[i].cost;
        int late = b->step[i].kind >= STEP_OUT_NORM;
        double passes = (double)(late ? w->wanted_passes : w->passes), tokens = (double)(late ? w->wanted : w->tokens);
        e->weights_J += weights * ((double)cost->weight_bytes * passes + (double)cost->row_bytes_per_tok * tokens);
        e->cache_J +=
            cache * ((double)cost->kv_bytes_per_tok * tokens + (double)cost->kv_bytes_per_ctx * (double)w->ctx_read);
        for (int k = 0; k < PREC_COUNT; k++)
            e->ops_J += 1e-12 * c->pJ_per_op[k] *
                        ((double)cost->ops_per_tok[k] * tokens + (double)cost->ops_per_ctx[k] * (double)w->ctx_sum);
    }
}

static void add_blocks(struct virtual_energy *e, const struct virtual_rank *v, const struct plan_rank *r,
                       const struct work *w) {
    add_block(e, v, r->prologue, -1, w);
    for (int l = r->shard.layer0; l < r->shard.layer1; l++)
        add_block(e, v, r->layers[l - r->shard.layer0], l, w);
    add_block(e, v, r->epilogue, -1, w);
}

/* ---- time at work ---- */

static uint64_t block_ps(const struct virtual_rank *v, const struct plan_block *b, int layer,
                         const struct card_pass *pass) {
    struct net_clock clock = {0};
    for (int i = 0; i < b->n; i++)
        card_spend_step(&clock, v->card, &v->place, &b->step[i], layer, pass);
    return clock.now.ps;
}

static uint64_t pass_ps(const struct virtual_rank *v, const struct plan_rank *r, const struct card_pass *pass) {
    struct net_clock clock = {0};
    card_spend_pass(&clock, v->card, &v->place);
    uint64_t sum = clock.now.ps + block_ps(v, r->prologue, -1, pass) + block_ps(v, r->epilogue, -1, pass), last = 0;
    for (int l = r->shard.layer0; l < r->shard.layer1; l++) {
        const struct plan_block *const *b = &r->layers[l - r->shard.layer0];
        if (l == r->shard.layer0 || b[0] != b[-1] || v->place.layer[l] != v->place.layer[l - 1])
            last = block_ps(v, *b, l, pass);
        sum += last;
    }
    return sum;
}

/* All layers of a rank are alike where its first and last are and it has as many. */
static int same_busy(const struct busy *a, const struct busy *b) {
    return a->prologue == b->prologue && a->layer == b->layer && a->epilogue == b->epilogue && a->trace == b->trace &&
           a->n_layers == b->n_layers && memcmp(&a->place, &b->place, sizeof a->place) == 0;
}

static int is_uniform(const struct plan_rank *r) {
    for (int i = 1; i < r->shard.layer1 - r->shard.layer0; i++)
        if (r->layers[i] != r->layers[0]) return 0;
    return 1;
}

static uint64_t busy_ps(struct meter *m, const struct virtual_rank *v, const struct plan_rank *r,
                        const struct work *w) {
    int n = r->shard.layer1 - r->shard.layer0;
    struct net_clock taken = {0};
    struct busy now = {r->prologue, n ? r->layers[0] : NULL, r->epilogue, w->trace, v->place, n, 0};
    if (is_uniform(r) && same_busy(&now, &m->busy)) return m->busy.ps;
    for (int i = 0; i < w->trace->n; i++) {
        const struct trace_pass *t = &w->trace->pass[i];
        struct card_pass pass = {t->tokens, t->wanted, t->ctx_read, t->ctx_sum};
        if (t->tokens) now.ps += pass_ps(v, r, &pass);
        card_spend_taken(&taken, v->card, r->role, r->stage == 0 ? t->returned : 0);
    }
    now.ps += taken.now.ps;
    m->busy = now;
    return now.ps;
}

/* ---- messages ---- */

static double sent_J(const struct meter *m, int from, int to, double bytes) {
    int tier = virtual_tier(m->c, m->p, from, to), times = 1 + m->c->net.tier[tier].link.via_host;
    return 1e-12 * m->c->link_pJ_per_B[tier] * times * bytes;
}

static double events_J(const struct meter *m, int rank, int first, const struct coll_event *event, int n) {
    double J = 0;
    for (int i = 0; i < n; i++)
        if (event[i].doing == COLL_SENDS) J += sent_J(m, rank, first + event[i].peer, (double)event[i].bytes);
    return J;
}

/* One call of a collective of n elements by a rank. */
static int add_coll(const struct meter *m, int rank, enum step_kind kind, size_t n, double *J) {
    const struct plan_rank *r = &m->p->ranks[rank];
    const struct coll_event *event = NULL;
    int merge = kind == STEP_ATTN_MERGE, kvp = m->p->strategy.kvp, count = 0;
    int at = merge ? r->tp_index % kvp : r->tp_index;
    int rc = plan_events(m->p, rank, kind, n, &event, &count, m->d);
    if (!rc) *J += events_J(m, rank, rank - at, event, count);
    return rc;
}

static int add_layers(const struct meter *m, int rank, int tokens, double *J) {
    const struct plan_rank *r = &m->p->ranks[rank];
    size_t n = (size_t)tokens * (size_t)m->p->shape.d_model;
    double once[3] = {0}; /* merge, after attention, after the FFN */
    int many[3] = {0}, joined = 0, head0, head1, rc = 0;
    if (m->p->stages[r->stage].size == 1) return 0;
    for (int l = r->shard.layer0; l < r->shard.layer1; l++) {
        enum plan_sync sync = plan_sync(m->p, rank, l);
        many[0] += m->p->strategy.kvp > 1;
        many[1] += sync == SYNC_TWO;
        many[2]++;
        joined |= sync == SYNC_JOINED;
    }
    shard_query_heads(&r->shard, &head0, &head1);
    if (many[0]) rc = add_coll(m, rank, STEP_ATTN_MERGE, (size_t)tokens * (size_t)(head1 - head0), &once[0]);
    if (many[1] && !rc) rc = add_coll(m, rank, STEP_ATTN_REDUCE, n, &once[1]);
    if (many[2] && !rc) rc = add_coll(m, rank, STEP_FFN_REDUCE, joined ? 2 * n : n, &once[2]);
    for (int i = 0; i < 3; i++)
        *J += many[i] * once[i];
    return rc;
}

static void add_ends(const struct meter *m, int rank, const struct shape *s, double *J) {
    const struct plan *p = m->p;
    const struct plan_rank *r = &p->ranks[rank];
    struct coll_event event[COLL_GATHER_EVENTS];
    double hidden = (double)plan_hidden_bytes(p, s->tokens);
    double tokens = PLAN_SAMPLED_HEADER_BYTES + s->returned * (double)PLAN_SAMPLED_BYTES;
    size_t offer = (size_t)(PLAN_OFFER_HEADER_BYTES +
                            s->wanted * (PLAN_OFFER_BYTES + p->opts.top_candidates * PLAN_CANDIDATE_BYTES));
    for (int i = 0; i < r->n_send_to; i++)
        *J += sent_J(m, rank, r->send_to_first + i * r->send_to_step, hidden);
    if (!s->wanted || r->stage != p->n_stages - 1) return;
    for (int i = 0; i < r->n_token_to; i++)
        *J += sent_J(m, rank, r->token_to_first + i * r->token_to_step, tokens);
    int n = coll_gather_events(r->tp_index, p->stages[r->stage].size, offer, event);
    *J += events_J(m, rank, rank - r->tp_index, event, n);
}

static int add_messages(const struct meter *m, int rank, const struct work *w, double *J) {
    int rc = 0, any = 0;
    for (int t = 0; t < m->c->net.n_tiers; t++)
        any |= m->c->link_pJ_per_B[t] > 0;
    for (int i = 0; i < w->n_shapes && any && !rc; i++) {
        double once = 0;
        if (w->shape[i].tokens) rc = add_layers(m, rank, w->shape[i].tokens, &once);
        add_ends(m, rank, &w->shape[i], &once);
        *J += once * (double)w->shape[i].times;
    }
    plan_events_done(m->p, rank);
    return rc;
}

/* ---- ranks ---- */

/* All but messages. */
static int own_steps(struct virtual_energy *own, struct meter *m, int rank, const struct work *w, uint64_t total_ps) {
    const struct plan_rank *r = &m->p->ranks[rank];
    struct virtual_rank v;
    int rc = virtual_rank_init(&v, m->c, m->p, rank, m->d);
    *own = (struct virtual_energy){0};
    if (rc) return rc;
    own->idle_J = 1e-12 * v.card->idle_W * (double)total_ps;
    double extra_W = v.card->active_W - v.card->idle_W;
    if (extra_W != 0) own->active_J = 1e-12 * extra_W * (double)busy_ps(m, &v, r, w);
    add_blocks(own, &v, r, w);
    return 0;
}

static int add_rank(struct meter *m, int rank, const struct work *w, uint64_t total_ps) {
    const struct plan_rank *r = &m->p->ranks[rank];
    int like = r->tp_index && virtual_rank_same(m->c, m->p, rank - 1, rank);
    int rc = like ? 0 : own_steps(&m->steps, m, rank, w, total_ps);
    struct virtual_energy own = m->steps;
    if (!rc) rc = add_messages(m, rank, w, &own.links_J);
    if (rc) return rc;
    if (m->ranks) m->ranks[rank] = own;
    if (r->role == RANK_HOST) {
        m->out->host_J += virtual_energy_sum(&own);
        return rc;
    }
    m->out->idle_J += own.idle_J;
    m->out->active_J += own.active_J;
    m->out->weights_J += own.weights_J;
    m->out->cache_J += own.cache_J;
    m->out->ops_J += own.ops_J;
    m->out->links_J += own.links_J;
    return rc;
}

int virtual_energy(struct virtual_energy *out, struct virtual_energy *ranks, const struct plan *p,
                   const struct cluster *c, const struct trace *trace, uint64_t total_ps, struct diag *d) {
    struct meter m = {.p = p, .c = c, .out = out, .ranks = ranks, .d = d};
    int rc = 0;
    *out = (struct virtual_energy){0};
    for (int i = 0; i < p->strategy.dp && !rc; i++) {
        struct work w;
        rc = work_init(&w, &trace[i], d);
        for (int r = 0; r < p->ranks_per_replica && !rc; r++)
            rc = add_rank(&m, i * p->ranks_per_replica + r, &w, total_ps);
        free(w.shape);
    }
    return rc;
}

double virtual_energy_sum(const struct virtual_energy *e) {
    return e->idle_J + e->active_J + e->weights_J + e->cache_J + e->ops_J + e->links_J;
}
