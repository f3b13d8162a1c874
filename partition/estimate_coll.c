/* estimate_coll.c - a collective as a table: when each rank has its result, by which rank is late. */
#include <stdlib.h>
#include <string.h>

#include "estimate_priv.h"

#define LONG_AGO (UINT64_C(1) << 50) /* ps: by which a walk's one late rank is late */

/* How long a message keeps its port. */
static uint64_t port_ps(const struct net_link *link, uint64_t bytes) {
    uint64_t words = pico_of(bytes, link->G);
    return link->pull ? 0 : words > link->g_ps ? words : link->g_ps;
}

/* All ranks' events of one collective, walked from clocks at 0. */
struct meeting {
    int size;
    const uint8_t *tier; /* [size][size] */
    const struct net *net;
    struct coll_event **event; /* [size] */
    struct net_stamp **sent; /* [size][count] */
    int *count, *at, *seen; /* [size], [size], and [size][size]: events of a rank up to what a peer has taken */
    struct net_clock *clock;
};

/* The next message from a peer if it has been sent. */
static const struct net_stamp *next_from(struct meeting *m, int rank, int peer) {
    int *at = &m->seen[rank * m->size + peer];
    for (; *at < m->at[peer]; ++*at) {
        const struct coll_event *e = &m->event[peer][*at];
        if (e->doing == COLL_SENDS && e->peer == rank) return &m->sent[peer][(*at)++];
    }
    return NULL;
}

/* Returns the number of events done. */
static int meet(struct meeting *m, int rank) {
    struct net_clock *clock = &m->clock[rank];
    int *at = &m->at[rank], from = *at;
    for (; *at < m->count[rank]; ++*at) {
        const struct coll_event *e = &m->event[rank][*at];
        int tier = m->tier[rank * m->size + e->peer];
        if (e->doing == COLL_SPENDS) {
            net_spend(clock, e->share, e->amount);
        } else if (e->doing == COLL_SENDS) {
            m->sent[rank][*at] = net_send(clock, m->net, tier, e->amount);
        } else {
            const struct net_stamp *stamp = next_from(m, rank, e->peer);
            if (!stamp) break;
            net_recv(clock, m->net, tier, stamp);
        }
    }
    return *at - from;
}

static int meeting_events(struct meeting *m, const struct estimator *e, const struct stage_class *c,
                          enum step_kind kind, size_t n, int rank, struct diag *d) {
    struct coll_spec spec;
    int rc = 0, base = 0, kvp = e->p->strategy.kvp;
    if (kind == STEP_SAMPLE) {
        m->event[rank] = malloc(COLL_GATHER_EVENTS * sizeof **m->event);
        if (!m->event[rank]) return diag_set(d, ERR_MEMORY, "no memory for an all-gather");
        m->count[rank] = coll_gather_events(rank, c->size, n, m->event[rank]);
    } else {
        plan_coll(e->p, c->first + rank, kind, &spec);
        if (kind == STEP_ATTN_MERGE) base = rank / kvp * kvp;
        rc = coll_events(&spec, rank - base, n, m->net, &m->event[rank], &m->count[rank], d);
    }
    for (int i = 0; i < m->count[rank] && !rc; i++)
        m->event[rank][i].peer += m->event[rank][i].doing == COLL_SPENDS ? 0 : base;
    m->sent[rank] = rc ? NULL : calloc((size_t)m->count[rank] + 1, sizeof **m->sent);
    return rc || m->sent[rank] ? rc : diag_set(d, ERR_MEMORY, "no memory for a collective");
}

static void meeting_fini(struct meeting *m) {
    for (int r = 0; r < m->size; r++) {
        if (m->event) free(m->event[r]);
        if (m->sent) free(m->sent[r]);
    }
    free(m->event);
    free(m->sent);
    free(m->count);
    free(m->at);
    free(m->seen);
    free(m->clock);
}

static int meeting_init(struct meeting *m, const struct estimator *e, const struct stage_class *c, enum step_kind kind,
                        size_t n, struct diag *d) {
    size_t size = (size_t)c->size;
    *m = (struct meeting){.size = c->size, .tier = c->tier, .net = &e->c->net};
    m->event = calloc(size, sizeof *m->event);
    m->sent = calloc(size, sizeof *m->sent);
    m->count = calloc(size, sizeof *m->count);
    m->at = calloc(size, sizeof *m->at);
    m->seen = calloc(size * size, sizeof *m->seen);
    m->clock = calloc(size, sizeof *m->clock);
    int rc = m->event && m->sent && m->count && m->at && m->seen && m->clock
                 ? 0
                 : diag_set(d, ERR_MEMORY, "no memory for a collective of %d ranks", c->size);
    for (int r = 0; r < c->size && !rc; r++)
        rc = meeting_events(m, e, c, kind, n, r, d);
    return rc;
}

/* late: the rank that begins later than all others; -1: they begin together. Nonzero: some would wait for ever. */
static int meet_all(struct meeting *m, int late) {
    size_t size = (size_t)m->size;
    int lack = 0;
    memset(m->at, 0, size * sizeof *m->at);
    memset(m->seen, 0, size * size * sizeof *m->seen);
    memset(m->clock, 0, size * sizeof *m->clock);
    if (late >= 0) net_spend(&m->clock[late], NET_MEMORY, LONG_AGO);
    for (int done = 1; done;) {
        done = 0;
        for (int r = 0; r < m->size; r++)
            done += meet(m, r);
    }
    for (int r = 0; r < m->size; r++)
        lack += m->at[r] < m->count[r];
    return lack;
}

static void take_ends(const struct meeting *m, struct net_stamp *out, int late) {
    for (int r = 0; r < m->size; r++) {
        out[r] = m->clock[r].now;
        if (late < 0) continue;
        if (out[r].ps < LONG_AGO) {
            out[r] = (struct net_stamp){.ps = NEVER};
        } else {
            out[r].ps -= LONG_AGO;
            out[r].share[NET_MEMORY] -= LONG_AGO;
        }
    }
}

static uint64_t busiest_port(const struct meeting *m, int rank) {
    uint64_t busy[NET_MAX_TIERS] = {0}, most = 0;
    for (int i = 0; i < m->count[rank]; i++) {
        const struct coll_event *e = &m->event[rank][i];
        if (e->doing != COLL_SENDS) continue;
        int tier = m->tier[rank * m->size + e->peer];
        busy[tier] += port_ps(&m->net->tier[tier].link, e->amount);
        if (busy[tier] > most) most = busy[tier];
    }
    return most;
}

int estimate_coll(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                  struct net_stamp *out, uint64_t *port, struct diag *d) {
    struct meeting m;
    int rc = meeting_init(&m, e, c, kind, n, d), pairs = c->size <= MAX_PAIRS;
    for (int i = 0; i < (pairs ? c->size : 1) && !rc; i++) {
        if (meet_all(&m, pairs ? i : -1))
            rc = diag_set(d, ERR_INTERNAL, "ranks from %d on would wait for ever in %s", c->first, step_name(kind));
        take_ends(&m, out + (size_t)i * (size_t)c->size, pairs ? i : -1);
    }
    for (int r = 0; r < c->size && !rc; r++)
        port[r] = busiest_port(&m, r);
    meeting_fini(&m);
    return rc;
}
