/* simulate.c - the passes of all replicas, stage by stage: a pass needs of other stages only what passes before it, and
 * stages before it, have sent. */
#include "dist/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "sim_priv.h"

/* A replica under way. */
struct sim_replica {
    int number, first; /* first rank */
    const struct trace *trace;
    struct net_stamp *hidden, *token; /* [largest stage] from the stage before; [n_micro][size of stage 0], a ring */
    int *last_pass; /* [n_micro] pass whose tokens are due, or -1 */
    int n_sent, n_taken; /* token messages to each rank of stage 0 */
};

/* ---- a pass ---- */

static void take(struct sim *s, const struct sim_replica *r, int pass) {
    s->out->taken[r->number][pass] = s->out->clock[r->first].now;
}

static void receive(struct sim *s, int first, int size, const struct net_stamp *stamp) {
    for (int i = 0; i < size; i++)
        net_recv(&s->out->clock[first + i], &s->c->net, s->from_tier[first + i], &stamp[i]);
    s->out->events += (uint64_t)size;
}

/* The sender hears that there is room again. */
static int give_credits(struct sim *s, int first, int size) {
    int rc = 0;
    for (int i = first; i < first + size && !rc; i++) {
        struct net_stamp stamp = net_credit(&s->out->clock[i], &s->c->net, s->from_tier[i]);
        rc = stamp_queue_add(&s->room[i].credits, &stamp, i, s->d);
    }
    return rc;
}

/* Waits until rank `to` has room for so much. Later stages have done all passes before, and so given their credits;
 * those that have come already are taken at once, which changes nothing and keeps few. */
static void wait_room(struct sim *s, const struct sim_replica *r, struct net_clock *clock, int to, uint64_t bytes) {
    struct sim_room *room = &s->room[to];
    const struct stamp_queue *q = &room->credits;
    while (room->used + bytes > s->frame || (q->n && q->at[q->head].ps <= clock->now.ps)) {
        net_wait(clock, stamp_queue_take(&room->credits));
        room->used -= (uint64_t)plan_hidden_bytes(s->p, r->trace->pass[room->pass++].tokens);
    }
    room->used += bytes;
}

/* Of a stage, to the ranks of the next. */
static void send_hidden(struct sim *s, struct sim_replica *r, int stage, const struct trace_pass *pass) {
    const struct plan_stage *g = &s->p->stages[stage];
    uint64_t bytes = (uint64_t)plan_hidden_bytes(s->p, pass->tokens);
    for (int i = r->first + g->first; i < r->first + g->first + g->size; i++) {
        const struct plan_rank *me = &s->p->ranks[i];
        for (int k = 0; k < me->n_send_to; k++, s->out->events++) {
            int to = me->send_to_first + k * me->send_to_step;
            wait_room(s, r, &s->out->clock[i], to, bytes);
            r->hidden[s->p->ranks[to].tp_index] = net_send(&s->out->clock[i], &s->c->net, s->from_tier[to], bytes);
        }
    }
}

static struct net_stamp *tokens_at(const struct sim *s, const struct sim_replica *r, int n) {
    return r->token + (size_t)(n % s->p->opts.n_micro) * (size_t)s->p->stages[0].size;
}

/* Tokens of the micro-batch's last pass, at stage 0. */
static void receive_tokens(struct sim *s, struct sim_replica *r, int micro) {
    if (r->last_pass[micro] < 0) return;
    receive(s, r->first, s->p->stages[0].size, tokens_at(s, r, r->n_taken++));
    for (int i = r->first; i < r->first + s->p->stages[0].size; i++)
        card_spend_taken(&s->out->clock[i], s->rank[i].card, s->p->ranks[i].role,
                         r->trace->pass[r->last_pass[micro]].returned);
    take(s, r, r->last_pass[micro]);
    r->last_pass[micro] = -1;
}

static int run_stage(struct sim *s, struct sim_replica *r, int stage, const struct trace_pass *pass) {
    const struct plan_stage *g = &s->p->stages[stage];
    const struct sim_part *part = s->part[r->number * s->p->n_stages + stage];
    int last = stage + 1 == s->p->n_stages, rc = 0;
    if (stage == 0)
        receive_tokens(s, r, pass->micro);
    else
        receive(s, r->first + g->first, g->size, r->hidden);
    if (stage > 0 && s->frame) rc = give_credits(s, r->first + g->first, g->size);
    for (; part->class && !rc; part++)
        if (pass->tokens || part->class->epilogue)
            rc = sim_run(s, part, r->first + g->first, pass, last ? tokens_at(s, r, r->n_sent) : r->hidden);
    if (!last && s->frame && !rc) send_hidden(s, r, stage, pass);
    return rc;
}

static int run_pass(struct sim *s, struct sim_replica *r, int number) {
    const struct trace_pass *pass = &r->trace->pass[number];
    int rc = 0;
    for (int i = 0; i < s->p->n_stages && !rc; i++)
        rc = run_stage(s, r, i, pass);
    if (rc || !pass->tokens || !pass->wanted) return rc;
    if (s->p->n_stages == 1) {
        take(s, r, number);
    } else {
        r->last_pass[pass->micro] = number;
        r->n_sent++;
    }
    return 0;
}

/* ---- a replica ---- */

static int run_replica(struct sim *s, int number) {
    size_t n_micro = (size_t)s->p->opts.n_micro, largest = (size_t)s->p->strategy.tp;
    struct sim_replica r = {.number = number,
                            .first = number * s->p->ranks_per_replica,
                            .trace = &s->trace[number],
                            .hidden = calloc(largest, sizeof *r.hidden),
                            .token = calloc(n_micro * largest, sizeof *r.token),
                            .last_pass = malloc(n_micro * sizeof *r.last_pass)};
    int rc = r.hidden && r.token && r.last_pass
                 ? 0
                 : diag_set(s->d, ERR_MEMORY, "no memory for %zu simulated micro-batches", n_micro);
    for (size_t i = 0; i < n_micro && !rc; i++)
        r.last_pass[i] = -1;
    for (int i = 0; i < r.trace->n && !rc; i++)
        rc = run_pass(s, &r, i);
    free(r.hidden);
    free(r.token);
    free(r.last_pass);
    return rc;
}

/* Whether two replicas take the same time: passes and classes, and so all costs and links, are equal. */
static int same_replicas(const struct sim *s, int a, int b) {
    const struct trace *ta = &s->trace[a], *tb = &s->trace[b];
    if (ta->n != tb->n || memcmp(ta->pass, tb->pass, (size_t)ta->n * sizeof *ta->pass)) return 0;
    for (int i = 0; i < s->p->n_stages; i++) {
        const struct sim_part *pa = s->part[a * s->p->n_stages + i], *pb = s->part[b * s->p->n_stages + i];
        for (; pa->class && pa->class == pb->class && pa->times == pb->times; pa++)
            pb++;
        if (pa->class != pb->class) return 0;
    }
    return 1;
}

/* As a replica that has been walked, or by itself. */
static int run_or_copy(struct sim *s, int number, uint64_t *events) {
    struct simulation *out = s->out;
    size_t n = (size_t)s->p->ranks_per_replica;
    uint64_t before = out->events;
    int like = 0;
    while (like < number && !same_replicas(s, like, number))
        like++;
    int rc = 0;
    if (like == number) {
        rc = run_replica(s, number);
        events[number] = out->events - before;
        return rc;
    }
    memcpy(out->clock + (size_t)number * n, out->clock + (size_t)like * n, n * sizeof *out->clock);
    memcpy(out->taken[number], out->taken[like], (size_t)s->trace[like].n * sizeof **out->taken);
    events[number] = events[like];
    out->events += events[like];
    out->events_skipped += events[like];
    return 0;
}

/* ---- all replicas ---- */

static int init_ranks(struct sim *s) {
    const struct plan *p = s->p;
    int rc = 0;
    for (int r = 0; r < p->n_ranks && !rc; r++) {
        int from = p->ranks[r].stage ? p->ranks[r].recv_from : p->ranks[r].token_from;
        rc = virtual_rank_init(&s->rank[r], s->c, p, r, s->d);
        if (!rc && from >= 0) s->from_tier[r] = virtual_tier(s->c, p, from, r);
    }
    for (int i = 0; i < p->strategy.dp * p->n_stages && !rc; i++)
        rc = sim_stage(s, i / p->n_stages, i % p->n_stages);
    return rc ? rc : sim_run_init(s);
}

static int init(struct sim *s) {
    const struct plan *p = s->p;
    size_t n = (size_t)p->n_ranks, dp = (size_t)p->strategy.dp;
    struct simulation *out = s->out;
    *out = (struct simulation){.n_ranks = p->n_ranks};
    s->rank = calloc(n, sizeof *s->rank);
    s->from_tier = calloc(n, sizeof *s->from_tier);
    s->part = calloc(dp * (size_t)p->n_stages, sizeof *s->part);
    s->room = calloc(n, sizeof *s->room);
    out->clock = calloc(n, sizeof *out->clock);
    out->taken = calloc(dp + 1, sizeof *out->taken);
    if (!s->rank || !s->from_tier || !s->part || !s->room || !out->clock || !out->taken)
        return diag_set(s->d, ERR_MEMORY, "no memory for %zu simulated ranks", n);
    for (size_t i = 0; i < dp; i++) {
        out->taken[i] = calloc((size_t)s->trace[i].n + 1, sizeof **out->taken);
        if (!out->taken[i]) return diag_set(s->d, ERR_MEMORY, "no memory for %d simulated passes", s->trace[i].n);
    }
    int rc = virtual_frame(&s->frame, s->c, p, s->d);
    return rc ? rc : init_ranks(s);
}

static void fini(struct sim *s) {
    sim_classes_fini(s);
    sim_run_fini(s);
    for (int i = 0; i < s->p->strategy.dp * s->p->n_stages && s->part; i++)
        free(s->part[i]);
    for (int i = 0; i < s->p->n_ranks && s->room; i++)
        stamp_queue_fini(&s->room[i].credits);
    free(s->room);
    free(s->part);
    free(s->rank);
    free(s->from_tier);
}

static int run(struct sim *s) {
    uint64_t *events = calloc((size_t)s->p->strategy.dp, sizeof *events);
    int rc = events ? init(s) : diag_set(s->d, ERR_MEMORY, "no memory for simulated replicas");
    for (int i = 0; i < s->p->strategy.dp && !rc; i++)
        rc = run_or_copy(s, i, events);
    fini(s);
    free(events);
    if (rc) simulation_fini(s->out);
    return rc;
}

int simulate(struct simulation *out, const struct plan *p, const struct cluster *c, const struct trace *trace,
             struct diag *d) {
    struct sim s = {.p = p, .c = c, .trace = trace, .out = out, .d = d};
    return virtual_media(c, p) ? simulate_recorded(out, p, c, trace, NULL, d) : run(&s);
}

int simulation_check(uint64_t ps, struct diag *d) {
    if (ps < SIM_MOST_PS) return 0;
    return diag_set(
        d, ERR_PLAN,
        "the job takes longer than the 26 days that virtual clocks count: ask for fewer tokens, or look for "
        "what is that slow in the cluster file");
}

void simulation_fini(struct simulation *s) {
    for (int i = 0; s->taken && s->taken[i]; i++)
        free(s->taken[i]);
    free(s->taken);
    free(s->clock);
    *s = (struct simulation){0};
}
