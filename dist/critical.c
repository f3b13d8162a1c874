/* critical.c - back over recorded events. */
#include "critical.h"

#include <string.h>

struct walk {
    struct critical *out;
    const struct recording *r;
    const struct plan *p;
    const struct cluster *c;
    uint64_t from, at; /* the path is known from `at` on */
    int rank;
    int last_pass, last_layer, last_step, last_rank; /* call that was counted last */
};

static void count_call(struct walk *w, const struct record_event *e) {
    if (e->step == w->last_step && e->layer == w->last_layer && e->pass == w->last_pass && w->rank == w->last_rank)
        return;
    w->last_step = e->step;
    w->last_layer = e->layer;
    w->last_pass = e->pass;
    w->last_rank = w->rank;
    w->out->calls[e->step]++;
}

/* The path goes back to `to` in a share of a step. */
static void go_back(struct walk *w, uint64_t to, int share, int step) {
    uint64_t end = to > w->from ? to : w->from, ps = w->at - end;
    w->at = end;
    w->out->ps += ps;
    w->out->share[share] += ps;
    w->out->step[step][share] += ps;
    w->out->stage[w->p->ranks[w->rank].stage] += ps;
}

/* Work or wait of the rank that ends now, or NULL. */
static const struct record_event *find_own(const struct walk *w) {
    const struct recorder *r = &w->r->rank[w->rank];
    int low = 0, high = r->n; /* the first own event that ends at w->at or later lies in [low, high] */
    while (low < high) {
        int mid = (low + high) / 2, own = mid;
        while (own < high && r->event[own].track >= RECORD_LINK)
            own++;
        if (own < high && r->event[own].end_ps < w->at)
            low = own + 1;
        else
            high = mid;
    }
    while (low < r->n && r->event[low].track >= RECORD_LINK)
        low++;
    return low < r->n && r->event[low].end_ps == w->at ? &r->event[low] : NULL;
}

static const struct net_link *link_of(const struct walk *w, const struct record_event *e) {
    return &w->c->net.tier[(e->track - RECORD_LINK) % NET_MAX_TIERS].link;
}

/* The message from `from` that a rank has waited for until now. */
static const struct record_event *find_message(const struct walk *w, int from) {
    const struct recorder *r = &w->r->rank[from];
    for (int i = r->n - 1; i >= 0; i--) {
        const struct record_event *e = &r->event[i];
        if (e->track >= RECORD_LINK && e->peer == w->rank &&
            e->end_ps + net_lag(link_of(w, e), net_alone(link_of(w, e), e->bytes)) == w->at)
            return e;
    }
    return NULL;
}

/* Of two messages on a medium, whether rank a's came first. */
static int is_before(int a, const struct record_event *x, int b, const struct record_event *y) {
    if (x->ready_ps != y->ready_ps) return x->ready_ps < y->ready_ps;
    return a != b ? a < b : x < y;
}

/* The rank's message after which the medium was free when this one started. */
static const struct record_event *find_before_on(const struct walk *w, int rank, const struct record_event *link) {
    const struct recorder *r = &w->r->rank[rank];
    uint64_t gap = link_of(w, link)->g_ps;
    int medium = virtual_medium(w->c, w->p, w->rank, link->peer);
    for (int i = r->n - 1; i >= 0; i--) {
        const struct record_event *e = &r->event[i];
        uint64_t words = e->end_ps - e->start_ps, lasts = words > gap ? words : gap;
        if (e->track == link->track && e->start_ps + lasts == link->start_ps && is_before(rank, e, w->rank, link) &&
            virtual_medium(w->c, w->p, rank, e->peer) == medium)
            return e;
    }
    return NULL;
}

/* The same of any rank that shares it, which is then the path's. */
static const struct record_event *find_before(struct walk *w, const struct record_event *link) {
    if (link_of(w, link)->medium != NET_FIFO) return find_before_on(w, w->rank, link);
    for (int rank = 0; rank < w->r->n_ranks; rank++) {
        const struct record_event *e = find_before_on(w, rank, link);
        if (!e) continue;
        w->rank = rank;
        return e;
    }
    return NULL;
}

/* Back over a message, and those that its link carried before it, to what the sender did. */
static int follow(struct walk *w, const struct record_event *wait) {
    const struct record_event *e = find_message(w, wait->peer);
    if (!e) return -1;
    w->rank = wait->peer;
    if (link_of(w, e)->via_host) { /* the half from the host's memory on */
        go_back(w, w->at - link_of(w, e)->L_ps, NET_LATENCY, wait->step);
        go_back(w, w->at - net_alone(link_of(w, e), e->bytes), NET_BANDWIDTH, wait->step);
    }
    go_back(w, e->end_ps, NET_LATENCY, wait->step);
    for (; e && w->at > w->from; e = find_before(w, e)) {
        go_back(w, e->start_ps, w->at > e->end_ps ? NET_OVERHEAD : NET_BANDWIDTH, wait->step); /* gap, or words */
        if (e->start_ps == e->ready_ps) return 0;
    }
    return w->at > w->from ? -1 : 0;
}

int critical_walk(struct critical *out, const struct recording *r, const struct plan *p, const struct cluster *c,
                  int rank, uint64_t from_ps, uint64_t to_ps, struct diag *d) {
    struct walk w = {out, r, p, c, from_ps, to_ps, rank, -1, -1, -1, -1};
    memset(out, 0, sizeof *out);
    while (w.at > from_ps) {
        const struct record_event *e = find_own(&w);
        if (!e || (e->track == RECORD_WAITS && (count_call(&w, e), follow(&w, e) != 0)))
            return diag_set(d, ERR_INTERNAL, "no event of rank %d leads to %llu ps", w.rank, (unsigned long long)w.at);
        if (e->track == RECORD_WAITS) continue;
        count_call(&w, e);
        go_back(&w, e->start_ps, e->share, e->step);
    }
    return 0;
}
