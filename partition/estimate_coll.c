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
    int size, group; /* group: so many ranks meet, from a multiple of it on */
    const uint8_t *tier; /* [size][size] */
    const struct net *net;
    const struct coll_event **event; /* [size] */
    struct net_stamp **sent; /* [size][count] */
    int *count, *at, *seen; /* [size], [size], and [size][size]: events of a rank up to what a peer has taken */
    struct net_clock *clock;
};

/* Of the stage. */
static int peer_of(const struct meeting *m, int rank, const struct coll_event *e) {
    return rank / m->group * m->group + e->peer;
}

/* The next message from a peer if it has been sent. */
static const struct net_stamp *next_from(struct meeting *m, int rank, int peer) {
    int *at = &m->seen[rank * m->size + peer];
    for (; *at < m->at[peer]; ++*at) {
        const struct coll_event *e = &m->event[peer][*at];
        if (e->doing == COLL_SENDS && peer_of(m, peer, e) == rank) return &m->sent[peer][(*at)++];
    }
    return NULL;
}

/* Returns the number of events done. */
static int meet(struct meeting *m, int rank) {
    struct net_clock *clock = &m->clock[rank];
    int *at = &m->at[rank], from = *at;
    for (; *at < m->count[rank]; ++*at) {
        const struct coll_event *e = &m->event[rank][*at];
        int peer = peer_of(m, rank, e), tier = m->tier[rank * m->size + peer];
        if (e->doing == COLL_SENDS) {
            m->sent[rank][*at] = net_send(clock, m->net, tier, e->bytes);
        } else if (e->doing == COLL_RECEIVES) {
            const struct net_stamp *stamp = next_from(m, rank, peer);
            if (!stamp) break;
            net_recv(clock, m->net, tier, stamp);
        } else {
            enum net_share share;
            uint64_t ps = coll_event_ps(e, m->net, &share);
            net_spend(clock, share, ps);
        }
    }
    return *at - from;
}

static int meeting_events(struct meeting *m, const struct estimator *e, const struct stage_class *c,
                          enum step_kind kind, size_t n, int rank, struct diag *d) {
    int rc = plan_events(e->p, c->first + rank, kind, n, &m->event[rank], &m->count[rank], d);
    m->sent[rank] = rc ? NULL : calloc((size_t)m->count[rank] + 1, sizeof **m->sent);
    return rc || m->sent[rank] ? rc : diag_set(d, ERR_MEMORY, "no memory for a collective");
}

static void meeting_fini(struct meeting *m) {
    for (int r = 0; r < m->size && m->sent; r++)
        free(m->sent[r]);
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
    int group = kind == STEP_ATTN_MERGE ? e->p->strategy.kvp : c->size;
    *m = (struct meeting){.size = c->size, .group = group, .tier = c->tier, .net = &e->c->net};
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
        int tier = m->tier[rank * m->size + peer_of(m, rank, e)];
        busy[tier] += port_ps(&m->net->tier[tier].link, e->bytes);
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
