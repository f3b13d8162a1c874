/* emulate.c - a running engine's clock: its card's time for each step, and stamps on its messages. */
#include <stdlib.h>
#include <string.h>

#include "collectives/agree.h"
#include "collectives/link_time.h"
#include "dist/replay.h"
#include "engine_priv.h"
#include "pace.h"

enum { CREDITS = 3, TIMED_LINKS };

/* A credit on its way (partition/place.h). */
struct credit {
    struct link_request req;
    uint64_t bytes; /* of the message that it is for */
    struct credit *next;
};

/* Credits take no time on their link, but for its latency. */
struct credit_hooks {
    struct link_recorder hooks; /* first member */
    struct emulation *emulation;
};

struct emulation {
    const struct cluster *cluster;
    struct net net; /* what messages take while the job runs: the cluster's; private links where some are fluid */
    struct link *bus; /* NULL: all links are private */
    int told; /* the arbiter knows that the job has ended here */
    struct virtual_rank v;
    struct link *link[TIMED_LINKS]; /* replica, group, sharers or NULL, and credits: a replica's own, or NULL */
    struct link_time time[TIMED_LINKS];
    int *tier[TIMED_LINKS]; /* then clients, then media of its ranks */
    uint64_t frame; /* virtual_frame */
    uint64_t *used; /* [n_send_to] of each receiver's frame buffer, as far as is known here */
    struct credit *credits, **credits_end; /* given, the first one first */
    struct credit_hooks credit_hooks;
    int drains; /* the job has ended: credits move no clock */
    struct card_pass pass; /* under way */
    int records; /* first rank of a replica */
    int failed; /* no memory for the trace */
    struct trace trace;
    struct net_stamp *taken; /* [trace.cap] */
    int *last_pass; /* [n_micro] */
    int pass_number;
    struct recorder *rec; /* &recorder, or NULL: nobody asks */
    struct recorder recorder;
    int64_t events_left;
    int paced; /* real time follows the clock */
    struct pace pace;
    int fluid; /* times are those of a replay */
    struct op_logger *log; /* &logger, or NULL: nobody asks */
    struct op_logger logger;
    struct op_log all; /* rank 0: of the last job, once its traces have been brought */
};

/* Tiers to the ranks of a link, whose rank 0 is `first` of the plan. */
static int set_link(struct engine *e, int i, struct link *l, int first, struct diag *d) {
    struct emulation *m = e->emulation;
    m->link[i] = l;
    if (!l) return 0;
    m->tier[i] = malloc(3 * (size_t)l->size * sizeof **m->tier);
    if (!m->tier[i]) return diag_set(d, ERR_MEMORY, "no memory for the tiers of %d ranks", l->size);
    int *tier = m->tier[i], *client = tier + l->size, *medium = client + l->size;
    for (int r = 0; r < l->size; r++) {
        tier[r] = virtual_tier(m->cluster, e->plan, e->world->rank, first + r);
        client[r] = first + r;
        medium[r] = virtual_medium(m->cluster, e->plan, e->world->rank, first + r);
    }
    m->time[i] = (struct link_time){.clock = &m->v.clock,
                                    .net = &m->net,
                                    .tier = tier,
                                    .bus = m->bus,
                                    .client = client,
                                    .medium = medium,
                                    .channel = i};
    return 0;
}

static int check(const struct engine *e, const struct cluster *c, const struct link *bus, struct diag *d) {
    int shared = virtual_media(c, e->plan) > 0 && !place_is_fluid(c);
    if (shared && (!bus || bus->size != e->plan->n_ranks + 1))
        return diag_set(d, ERR_PLAN,
                        "%s has links that cards share: one more rank is needed, as arbiter (mpirun -n %d)", c->name,
                        e->plan->n_ranks + 1);
    if (!e->plan->shape.causal)
        return diag_set(d, ERR_PLAN, "%s is an encoder: virtual time is that of generating text", e->plan->shape.name);
    if (e->plan->n_ranks > 1 && e->plan->opts.transport != COLL_TRANSPORT_LINK)
        return diag_set(d, ERR_PLAN, "virtual time travels on messages: the plan needs --transport link");
    return 0;
}

static int open(struct engine *e, const struct cluster *c, struct link *bus, struct diag *d) {
    struct emulation *m = e->emulation = calloc(1, sizeof *m);
    int rc = check(e, c, bus, d), n_micro = e->plan->opts.n_micro;
    if (rc) return rc;
    if (!m) return diag_set(d, ERR_MEMORY, "no memory for a virtual clock");
    m->cluster = c;
    m->net = c->net;
    m->fluid = place_is_fluid(c);
    for (int i = 0; i < m->net.n_tiers && m->fluid; i++)
        m->net.tier[i].link.medium = NET_PRIVATE;
    m->bus = !m->fluid && virtual_media(c, e->plan) > 0 ? bus : NULL;
    m->records = engine_is_first_stage(e) && e->me->tp_index == 0;
    m->last_pass = malloc((size_t)n_micro * sizeof *m->last_pass);
    if (!m->last_pass) return diag_set(d, ERR_MEMORY, "no memory for %d micro-batches", n_micro);
    rc = virtual_rank_init(&m->v, c, e->plan, e->world->rank, d);
    if (!rc) rc = virtual_frame(&m->frame, c, e->plan, d);
    m->credits_end = &m->credits;
    m->used = calloc((size_t)e->me->n_send_to + 1, sizeof *m->used);
    if (!rc && !m->used) rc = diag_set(d, ERR_MEMORY, "no memory for the frame buffers of %d ranks", e->me->n_send_to);
    int group = e->replica_first + e->stage->first;
    if (!rc) rc = set_link(e, 0, e->replica, e->replica_first, d);
    if (!rc) rc = set_link(e, 1, e->group, group, d);
    if (!rc) rc = set_link(e, 2, e->sharers, e->sharers ? group + e->me->tp_index - e->sharers->rank : 0, d);
    if (!rc && m->fluid) engine_log(e);
    return rc;
}

/* ---- credits ---- */

static struct net_stamp credit_send(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier,
                                    int peer, int channel, uint64_t bytes) {
    const struct emulation *m = ((struct credit_hooks *)r)->emulation;
    (void)bytes;
    op_log_message(m->log, c, OP_CREDIT, peer, channel, 0);
    return record_credit(m->rec, c, net, tier, peer);
}

static void credit_recv(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                        int channel, const struct net_stamp *stamp) {
    const struct emulation *m = ((struct credit_hooks *)r)->emulation;
    (void)net, (void)tier;
    if (m->drains) return;
    op_log_message(m->log, c, OP_ROOM, peer, channel, 0);
    record_room(m->rec, c, peer, stamp);
    op_log_moved(m->log, c);
}

/* Collective over the replica. */
static int open_credits(struct engine *e, struct diag *d) {
    struct emulation *m = e->emulation;
    struct link *l = link_split(e->replica, 0, e->replica->rank);
    if (!l) return diag_set(d, ERR_MEMORY, "no memory for a link of %d ranks", e->replica->size);
    l->first = e->replica_first;
    l->tags = e->replica->tags;
    int rc = set_link(e, CREDITS, l, e->replica_first, d);
    for (int r = 0; r < l->size && !rc; r++)
        m->tier[CREDITS][2 * l->size + r] = -1; /* no medium */
    m->credit_hooks = (struct credit_hooks){{credit_send, credit_recv}, m};
    m->time[CREDITS].recorder = &m->credit_hooks.hooks;
    return rc;
}

/* Forgets credits that have come; all where `wait`. They come in the order in which they were given. */
static void reap_credits(struct emulation *m, int wait) {
    for (struct credit *c = m->credits; c && (wait || link_test(m->link[CREDITS], &c->req)); c = m->credits) {
        if (wait) link_wait(m->link[CREDITS], &c->req);
        m->credits = c->next;
        if (!c->next) m->credits_end = &m->credits;
        free(c);
    }
}

void emulation_received(struct engine *e, size_t bytes) {
    struct emulation *m = e->emulation;
    if (!m || !m->frame) return;
    reap_credits(m, 0);
    struct credit *c = malloc(sizeof *c);
    if (!c) link_abort(e->replica, "no memory for a credit");
    c->bytes = bytes;
    c->next = NULL;
    *m->credits_end = c;
    m->credits_end = &c->next;
    link_isend(m->link[CREDITS], e->me->recv_from - e->replica_first, TAG_CREDIT, &c->bytes, sizeof c->bytes, &c->req);
}

static void take_credit(struct engine *e, int receiver) {
    struct emulation *m = e->emulation;
    int peer = e->me->send_to_first + receiver * e->me->send_to_step - e->replica_first;
    uint64_t bytes;
    link_recv(m->link[CREDITS], peer, TAG_CREDIT, &bytes, sizeof bytes);
    m->used[receiver] -= bytes;
}

void emulation_room(struct engine *e, int receiver, size_t bytes) {
    struct emulation *m = e->emulation;
    if (!m || !m->frame) return;
    while (m->used[receiver] + bytes > m->frame)
        take_credit(e, receiver);
    m->used[receiver] += bytes;
}

void emulation_drain(struct engine *e) {
    struct emulation *m = e->emulation;
    if (!m || !m->frame) return;
    m->drains = 1;
    for (int i = 0; i < e->me->n_send_to; i++)
        while (m->used[i] > 0)
            take_credit(e, i);
    reap_credits(m, 1);
    m->drains = 0;
}

int engine_emulate(struct engine *e, const struct cluster *c, struct link *bus, struct diag *d) {
    emulation_free(e);
    int rc = err_agree(e->world, open(e, c, bus, d), d);
    if (!rc && e->emulation->frame) rc = err_agree(e->world, open_credits(e, d), d);
    if (rc) emulation_free(e);
    return rc;
}

int engine_pace(struct engine *e, struct diag *d) {
    struct emulation *m = e->emulation;
    int rc = 0;
    if (m->bus || m->fluid)
        rc = diag_set(d, ERR_UNSUPPORTED, "%s has links that cards share: real time follows private links alone",
                      m->cluster->name);
    rc = err_agree(e->world, rc, d);
    m->paced = !rc;
    return rc;
}

/* All clocks begin at one moment, a little later. */
static void start_pace(struct engine *e) {
    struct emulation *m = e->emulation;
    m->pace.epoch_ns = pace_epoch();
    agree_bcast(e->world, 0, &m->pace.epoch_ns, sizeof m->pace.epoch_ns);
    pace_begin();
    for (int i = 0; i < TIMED_LINKS; i++) {
        m->time[i].pace = pace_follow;
        m->time[i].pace_user = &m->pace;
        if (m->link[i]) m->link[i]->naps = 1;
    }
}

void emulation_free(struct engine *e) {
    struct emulation *m = e->emulation;
    for (int i = 0; i < TIMED_LINKS && m; i++)
        free(m->tier[i]);
    if (m) {
        link_free(m->link[CREDITS]);
        free(m->used);
        trace_fini(&m->trace);
        free(m->taken);
        free(m->last_pass);
        free(m->recorder.event);
        free(m->logger.list.op);
        op_log_fini(&m->all);
    }
    free(m);
    e->emulation = NULL;
}

int emulation_start(struct engine *e, struct diag *d) {
    struct emulation *m = e->emulation;
    int rc = 0;
    if (!m) return 0;
    m->v.clock = (struct net_clock){0};
    m->failed = 0;
    m->pass_number = -1;
    if (m->link[CREDITS]) m->link[CREDITS]->wait_limit_s = e->replica->wait_limit_s;
    if (m->rec) engine_record(e, m->rec->from_ps, m->rec->to_ps);
    if (m->log) engine_log(e);
    if (m->paced) start_pace(e);
    for (int i = 0; i < e->plan->opts.n_micro; i++)
        m->last_pass[i] = -1;
    for (int i = 0; i < TIMED_LINKS && !rc; i++)
        if (m->link[i]) rc = link_time_start(m->link[i], &m->time[i], d);
    for (int i = 0; i < TIMED_LINKS && rc; i++)
        if (m->link[i]) link_time_stop(m->link[i]);
    return rc;
}

void emulation_go(struct engine *e) {
    struct emulation *m = e->emulation;
    if (m && m->paced) pace_follow(&m->pace, &m->v.clock);
}

void emulation_begin(struct engine *e) {
    if (e->emulation) e->emulation->told = 0;
}

void emulation_end(struct engine *e) {
    struct emulation *m = e->emulation;
    if (m && m->bus && !m->told) link_time_end(m->bus);
    if (m) m->told = 1;
}

static void record(struct engine *e) {
    struct emulation *m = e->emulation;
    struct trace_pass *t = trace_add(&m->trace);
    struct net_stamp *taken = t ? realloc(m->taken, (size_t)m->trace.cap * sizeof *taken) : NULL;
    if (!taken) {
        m->failed = 1;
        return;
    }
    m->taken = taken;
    taken[m->trace.n - 1] = (struct net_stamp){0};
    *t = (struct trace_pass){.micro = e->head.micro,
                             .tokens = e->head.n,
                             .wanted = e->head.n_want,
                             .prefill = e->head.prefill ? e->head.n : 0,
                             .ctx_read = m->pass.ctx_read,
                             .ctx_sum = m->pass.ctx_sum};
    m->last_pass[e->head.micro] = m->trace.n - 1;
}

static void tell_step(struct emulation *m, int layer, int step) {
    record_step(m->rec, &m->v.clock, m->pass_number, layer, step);
    op_log_step(m->log, &m->v.clock, m->pass_number, layer, step);
}

void emulation_next(struct engine *e) {
    struct emulation *m = e->emulation;
    if (!m) return;
    m->pass_number++;
    tell_step(m, -1, engine_is_first_stage(e) ? STEP_RECV_TOKEN : STEP_RECV_HIDDEN);
}

void emulation_pass(struct engine *e) {
    struct emulation *m = e->emulation;
    if (!m) return;
    tell_step(m, -1, RECORD_STEP_PASS);
    m->pass = (struct card_pass){.tokens = e->head.n, .wanted = e->head.n_want};
    engine_context(e, &m->pass.ctx_read, &m->pass.ctx_sum);
    if (m->records && !m->failed) record(e);
    if (e->head.n) card_spend_pass(&m->v.clock, m->v.card, &m->v.place);
}

void emulation_step(struct engine *e, const struct plan_step *step, int layer) {
    struct emulation *m = e->emulation;
    if (!m) return;
    tell_step(m, layer, step->kind);
    card_spend_step(&m->v.clock, m->v.card, &m->v.place, step, layer, &m->pass);
}

void emulation_take(struct engine *e, int micro) {
    struct emulation *m = e->emulation;
    if (!m) return;
    if (!engine_is_last_stage(e)) card_spend_taken(&m->v.clock, m->v.card, e->me->role, e->sampled_head.n);
    if (m->paced) pace_follow(&m->pace, &m->v.clock);
    if (!m->records || m->failed) return;
    m->trace.pass[m->last_pass[micro]].returned = e->sampled_head.n;
    if (!m->fluid) m->taken[m->last_pass[micro]] = m->paced ? pace_present(&m->pace, &m->v.clock) : m->v.clock.now;
    op_log_take(m->log, &m->v.clock, m->last_pass[micro]);
}

int emulation_stop(struct engine *e, struct diag *d) {
    struct emulation *m = e->emulation;
    if (!m) return 0;
    emulation_end(e); /* first: others may still wait for grants before they receive what is on its way */
    for (int i = 0; i < TIMED_LINKS; i++) {
        if (!m->link[i]) continue;
        link_time_stop(m->link[i]);
        m->link[i]->naps = 0;
    }
    record_flush(m->rec, &m->v.clock);
    op_log_flush(m->log, &m->v.clock);
    if (!m->fluid) e->result->clock = m->v.clock;
    e->result->trace = m->trace;
    e->result->taken = m->taken;
    m->trace = (struct trace){0};
    m->taken = NULL;
    if (m->failed) return diag_set(d, ERR_MEMORY, "no memory for the trace of a job: generate less");
    if (m->log && m->log->failed)
        return diag_set(d, m->log->failed,
                        "a rank has more than %d operations to log (or too little memory): generate "
                        "fewer tokens, for fewer users",
                        OPS_MOST);
    return 0;
}

/* Messages are told to the logger, which tells the recorder. */
static void set_hooks(struct emulation *m) {
    if (m->log) m->log->rec = m->rec;
    for (int i = 0; i < CREDITS; i++)
        m->time[i].recorder = m->log ? &m->log->hooks : m->rec ? &m->rec->hooks : NULL;
}

void engine_record(struct engine *e, uint64_t from_ps, uint64_t to_ps) {
    struct emulation *m = e->emulation;
    free(m->recorder.event);
    m->events_left = RECORD_MOST;
    recorder_init(&m->recorder, from_ps, to_ps, &m->events_left);
    m->rec = m->fluid ? NULL : &m->recorder; /* a replay's events are recorded */
    set_hooks(m);
}

void engine_log(struct engine *e) {
    struct emulation *m = e->emulation;
    op_logger_start(&m->logger, m->rec);
    op_log_fini(&m->all);
    m->log = &m->logger;
    set_hooks(m);
}

/* ---- traces of all replicas, events of all ranks ---- */

static int make_room(struct trace *t, struct net_stamp **taken, int n, struct diag *d) {
    t->pass = calloc((size_t)n + 1, sizeof *t->pass);
    *taken = calloc((size_t)n + 1, sizeof **taken);
    t->n = t->cap = n;
    return t->pass && *taken ? 0 : diag_set(d, ERR_MEMORY, "no memory for a trace of %d passes", n);
}

static void send(struct engine *e, const void *buf, size_t bytes) {
    struct link_request req;
    link_isend(e->world, 0, TAG_RESULT, buf, bytes, &req);
    link_wait(e->world, &req);
}

/* How many passes replica i has, known on rank 0. */
static int pass_count(struct engine *e, const struct engine_result *r, int owner) {
    int n = r->trace.n;
    if (owner == 0) return n;
    if (e->world->rank == owner) send(e, &n, sizeof n);
    if (e->world->rank == 0) link_recv(e->world, owner, TAG_RESULT, &n, sizeof n);
    return n;
}

static int bring_traces(struct engine *e, const struct engine_result *r, struct trace *trace, struct net_stamp **taken,
                        struct diag *d) {
    int rc = 0, dp = e->plan->strategy.dp;
    for (int i = 0; i < dp; i++) {
        trace[i] = (struct trace){0};
        taken[i] = NULL;
    }
    for (int i = 0; i < dp && !rc; i++) {
        int owner = i * e->plan->ranks_per_replica, n = pass_count(e, r, owner);
        size_t passes = (size_t)n * sizeof *trace->pass, times = (size_t)n * sizeof **taken;
        rc = err_agree(e->world, e->world->rank == 0 ? make_room(&trace[i], &taken[i], n, d) : 0, d);
        if (rc) break;
        if (owner == 0 && e->world->rank == 0) {
            if (n) memcpy(trace[i].pass, r->trace.pass, passes);
            if (n) memcpy(taken[i], r->taken, times);
        } else if (e->world->rank == owner) {
            send(e, r->trace.pass, passes);
            send(e, r->taken, times);
        } else if (e->world->rank == 0) {
            link_recv(e->world, owner, TAG_RESULT, trace[i].pass, passes);
            link_recv(e->world, owner, TAG_RESULT, taken[i], times);
        }
    }
    return rc;
}

/* n things of rank r, known on rank r, to memory for them on rank 0. */
static int bring(struct engine *e, int r, const void *mine, int *n, size_t size, void **out, struct diag *d) {
    int rank = e->world->rank, rc = 0;
    if (rank == r && r > 0) send(e, n, sizeof *n);
    if (rank == 0 && r > 0) link_recv(e->world, r, TAG_RESULT, n, sizeof *n);
    if (rank == 0 && !(*out = malloc(((size_t)*n + 1) * size)))
        rc = diag_set(d, ERR_MEMORY, "no memory for %d events or operations of rank %d", *n, r);
    rc = err_agree(e->world, rc, d);
    if (rc) return rc;
    size_t bytes = (size_t)*n * size;
    if (rank == 0 && r == 0 && bytes) memcpy(*out, mine, bytes);
    if (rank == r && r > 0) send(e, mine, bytes);
    if (rank == 0 && r > 0) link_recv(e->world, r, TAG_RESULT, *out, bytes);
    return 0;
}

/* Operations of all ranks and, on rank 0, traces of all replicas. */
static int bring_log(struct engine *e, const struct trace *trace, int users, struct diag *d) {
    struct emulation *m = e->emulation;
    struct op_log *all = &m->all;
    op_log_fini(all);
    int rc = err_agree(e->world, e->world->rank ? 0 : op_log_init(all, e->plan, m->cluster, d), d);
    for (int r = 0; r < e->plan->n_ranks && !rc; r++) {
        void *got;
        int n = m->log->list.n;
        rc = bring(e, r, m->log->list.op, &n, sizeof *m->log->list.op, &got, d);
        if (!rc && e->world->rank == 0) all->rank[r] = (struct op_list){got, n, n};
    }
    all->users = users;
    for (int i = 0; i < e->plan->strategy.dp && !rc && e->world->rank == 0; i++)
        for (int k = 0; k < trace[i].n && !rc; k++) {
            struct trace_pass *t = trace_add(&all->trace[i]);
            if (t) *t = trace[i].pass[k];
            if (!t) rc = diag_set(d, ERR_MEMORY, "no memory for a trace of %d passes", trace[i].n);
        }
    return err_agree(e->world, rc, d);
}

/* On rank 0: when tokens were really taken. */
static int replay_taken(const struct emulation *m, const struct trace *trace, struct net_stamp **taken,
                        struct diag *d) {
    struct simulation sim;
    int rc = replay(&sim, &m->all, m->cluster, NULL, d);
    if (rc) return rc;
    for (int i = 0; i < m->all.dp; i++)
        if (trace[i].n) memcpy(taken[i], sim.taken[i], (size_t)trace[i].n * sizeof **taken);
    simulation_fini(&sim);
    return 0;
}

int engine_traces(struct engine *e, const struct engine_result *r, struct trace *trace, struct net_stamp **taken,
                  struct diag *d) {
    struct emulation *m = e->emulation;
    int rc = bring_traces(e, r, trace, taken, d);
    if (!rc && m->log) rc = bring_log(e, trace, r->n_seqs, d);
    if (!rc && m->fluid) rc = err_agree(e->world, e->world->rank ? 0 : replay_taken(m, trace, taken, d), d);
    return rc;
}

const struct op_log *engine_operations(const struct engine *e) {
    return e->world->rank == 0 ? &e->emulation->all : NULL;
}

static int bring_events(struct engine *e, struct recording *out, struct diag *d) {
    const struct recorder *mine = e->emulation->rec;
    uint64_t all = agree_sum(e->world, (uint64_t)mine->n);
    int lost = (int)agree_max(e->world, e->emulation->events_left < 0, NULL);
    out->left = lost ? -1 : RECORD_MOST - (int64_t)all;
    int rc = recording_check(out, d);
    for (int r = 0; r < e->plan->n_ranks && !rc; r++) {
        void *got;
        int n = mine->n;
        rc = bring(e, r, mine->event, &n, sizeof *mine->event, &got, d);
        if (rc || e->world->rank) continue;
        out->rank[r].event = got;
        out->rank[r].n = out->rank[r].cap = n;
    }
    return rc;
}

/* The events of a replay, on rank 0. */
static int replay_events(const struct emulation *m, struct recording *out, struct diag *d) {
    struct simulation sim;
    int rc = replay(&sim, &m->all, m->cluster, out, d);
    if (!rc) simulation_fini(&sim);
    return rc;
}

int engine_recording(struct engine *e, struct recording *out, struct diag *d) {
    const struct emulation *m = e->emulation;
    *out = (struct recording){0};
    int first = e->world->rank == 0;
    int rc = first ? recording_init(out, e->plan->n_ranks, m->recorder.from_ps, m->recorder.to_ps, d) : 0;
    rc = err_agree(e->world, rc, d);
    if (!rc && !m->fluid) rc = bring_events(e, out, d);
    if (!rc && first && m->fluid) rc = replay_events(m, out, d);
    if (!rc && first) rc = recording_end(out, e->plan, m->cluster, d);
    rc = err_agree(e->world, rc, d);
    if (rc) recording_fini(out);
    return rc;
}
