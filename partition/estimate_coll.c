/* estimate_coll.c - a collective as a table: when each rank has its result, by which rank is late. */
#include <stdlib.h>
#include <string.h>

#include "estimate_priv.h"

enum { NONE = -1 };
#define LONG_AGO (UINT64_C(1) << 50) /* ps: by which a walk's one late rank is late */

/* How long a message keeps its port. */
static uint64_t port_ps(const struct net_link *link, uint64_t words) {
    return link->pull ? 0 : words > link->g_ps ? words : link->g_ps;
}

/* An event with what it takes: all walks have the same links. */
struct action {
    enum coll_doing doing;
    enum net_share share; /* of own work */
    int peer, tier; /* of the stage */
    int match; /* RECEIVES: the peer's event that sends it; SENDS: the next one to the same peer; NONE */
    uint64_t ps; /* own work; words of a message */
};

/* All ranks' events of one collective, walked from clocks at 0. */
struct meeting {
    int size;
    const struct net *net;
    struct action **action; /* [size] */
    struct net_stamp **sent; /* [size][count] */
    int *count, *at; /* [size] events of a rank, those it has done */
    struct net_clock *clock;
};

/* The i-th message from a rank to another is the i-th that this receives from it. */
static int match_all(struct meeting *m, struct diag *d) {
    size_t size = (size_t)m->size;
    int *first = malloc(size * size * sizeof *first); /* [from][to] */
    if (!first) return diag_set(d, ERR_MEMORY, "no memory for a collective of %d ranks", m->size);
    for (size_t i = 0; i < size * size; i++)
        first[i] = NONE;
    for (size_t r = 0; r < size; r++)
        for (int i = m->count[r] - 1; i >= 0; i--) {
            struct action *a = &m->action[r][i];
            if (a->doing != COLL_SENDS) continue;
            a->match = first[r * size + (size_t)a->peer];
            first[r * size + (size_t)a->peer] = i;
        }
    for (size_t r = 0; r < size; r++)
        for (int i = 0; i < m->count[r]; i++) {
            struct action *a = &m->action[r][i];
            if (a->doing != COLL_RECEIVES) continue;
            int *next = &first[(size_t)a->peer * size + r];
            a->match = *next;
            if (*next != NONE) *next = m->action[a->peer][*next].match;
        }
    free(first);
    return 0;
}

/* Returns the number of events done. */
static int meet(struct meeting *m, int rank) {
    struct net_clock *clock = &m->clock[rank];
    int *at = &m->at[rank], from = *at;
    for (; *at < m->count[rank]; ++*at) {
        const struct action *a = &m->action[rank][*at];
        if (a->doing == COLL_SENDS) {
            net_send_words(clock, m->net, a->tier, a->ps, &m->sent[rank][*at]);
        } else if (a->doing == COLL_RECEIVES) {
            if (a->match == NONE || a->match >= m->at[a->peer]) break;
            net_recv(clock, m->net, a->tier, &m->sent[a->peer][a->match]);
        } else {
            net_spend(clock, a->share, a->ps);
        }
    }
    return *at - from;
}

/* base: rank of the stage that is the collective's first. */
static struct action action_of(const struct meeting *m, const struct stage_class *c, const struct coll_event *e,
                               int rank, int base) {
    int tier = c->tier[rank * c->size + base + e->peer];
    struct action a = {e->doing, NET_MEMORY, base + e->peer, tier, NONE, 0};
    a.ps = e->doing == COLL_SENDS ? pico_of(e->bytes, m->net->tier[tier].link.G) : coll_event_ps(e, m->net, &a.share);
    return a;
}

static int meeting_events(struct meeting *m, const struct estimator *e, const struct stage_class *c,
                          enum step_kind kind, size_t n, int rank, struct diag *d) {
    const struct coll_event *event = NULL;
    int kvp = e->p->strategy.kvp, base = kind == STEP_ATTN_MERGE ? rank / kvp * kvp : 0;
    int rc = plan_events(e->p, c->first + rank, kind, n, &event, &m->count[rank], d);
    size_t count = (size_t)m->count[rank] + 1;
    m->sent[rank] = rc ? NULL : calloc(count, sizeof **m->sent);
    m->action[rank] = rc ? NULL : malloc(count * sizeof **m->action);
    if (rc || !m->sent[rank] || !m->action[rank])
        return rc ? rc : diag_set(d, ERR_MEMORY, "no memory for a collective");
    for (int i = 0; i < m->count[rank]; i++)
        m->action[rank][i] = action_of(m, c, &event[i], rank, base);
    return 0;
}

static void meeting_fini(struct meeting *m) {
    for (int r = 0; r < m->size; r++) {
        if (m->action) free(m->action[r]);
        if (m->sent) free(m->sent[r]);
    }
    free(m->action);
    free(m->sent);
    free(m->count);
    free(m->at);
    free(m->clock);
}

static int meeting_init(struct meeting *m, const struct estimator *e, const struct stage_class *c, enum step_kind kind,
                        size_t n, struct diag *d) {
    size_t size = (size_t)c->size;
    *m = (struct meeting){.size = c->size, .net = &e->c->net};
    m->action = calloc(size, sizeof *m->action);
    m->sent = calloc(size, sizeof *m->sent);
    m->count = calloc(size, sizeof *m->count);
    m->at = calloc(size, sizeof *m->at);
    m->clock = calloc(size, sizeof *m->clock);
    int rc = m->action && m->sent && m->count && m->at && m->clock
                 ? 0
                 : diag_set(d, ERR_MEMORY, "no memory for a collective of %d ranks", c->size);
    for (int r = 0; r < c->size && !rc; r++)
        rc = meeting_events(m, e, c, kind, n, r, d);
    return rc ? rc : match_all(m, d);
}

/* late: the rank that begins later than all others; -1: they begin together. Nonzero: some would wait for ever. */
static int meet_all(struct meeting *m, int late) {
    size_t size = (size_t)m->size;
    int lack = 0;
    memset(m->at, 0, size * sizeof *m->at);
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
        const struct action *a = &m->action[rank][i];
        if (a->doing != COLL_SENDS) continue;
        busy[a->tier] += port_ps(&m->net->tier[a->tier].link, a->ps);
        if (busy[a->tier] > most) most = busy[a->tier];
    }
    return most;
}

int estimate_coll_same(const struct estimator *e, const struct stage_class *c, enum step_kind a, enum step_kind b,
                       size_t n, struct diag *d) {
    const struct coll_event *of_a = NULL, *of_b = NULL;
    int n_a = 0, n_b = 0, same = 1;
    for (int r = 0; r < c->size && same; r++)
        same = !plan_events(e->p, c->first + r, a, n, &of_a, &n_a, d) &&
               !plan_events(e->p, c->first + r, b, n, &of_b, &n_b, d) && n_a == n_b &&
               !memcmp(of_a, of_b, (size_t)n_a * sizeof *of_a);
    return same;
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
