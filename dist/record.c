/* record.c - events from what a clock has gained between two calls. */
#include "dist/record.h"

#include <stdlib.h>

#include "media.h"

const char *const record_share_name[NET_SHARES] = {[NET_MEMORY] = "memory",
                                                   [NET_COMPUTE] = "compute",
                                                   [NET_BANDWIDTH] = "link_bandwidth",
                                                   [NET_LATENCY] = "link_latency",
                                                   [NET_OVERHEAD] = "overhead"};

const char *record_step_name(int step) {
    return step == RECORD_STEP_PASS ? "pass" : step_name((enum step_kind)step);
}

static int grow(struct recorder *r) {
    int cap = r->cap ? 2 * r->cap : 256;
    struct record_event *event = realloc(r->event, (size_t)cap * sizeof *event);
    if (!event) return -1;
    r->event = event;
    r->cap = cap;
    return 0;
}

/* Nothing depends on it behind last_ps. */
static void add(struct recorder *r, const struct record_event *e, uint64_t last_ps) {
    if (last_ps <= r->from_ps || e->start_ps >= r->to_ps || *r->left < 0) return;
    if (--*r->left < 0 || (r->n == r->cap && grow(r))) {
        *r->left = -1;
        return;
    }
    struct record_event *to = &r->event[r->n++];
    *to = *e;
    to->pass = r->pass;
    to->layer = (int16_t)r->layer;
    to->step = (uint8_t)r->step;
}

void record_flush(struct recorder *r, const struct net_clock *c) {
    if (!r) return;
    uint64_t at = r->told.ps;
    for (int i = 0; i < NET_SHARES; i++) {
        uint64_t ps = c->now.share[i] - r->told.share[i];
        if (ps)
            add(r,
                &(struct record_event){
                    .start_ps = at, .end_ps = at + ps, .peer = -1, .track = RECORD_WORKS, .share = (uint8_t)i},
                at + ps);
        at += ps;
    }
    r->told = c->now;
}

void record_step(struct recorder *r, const struct net_clock *c, int pass, int layer, int step) {
    if (!r) return;
    record_flush(r, c);
    r->pass = pass;
    r->layer = layer;
    r->step = step;
}

/* What a shared medium carries when depends on others: recording_end knows. */
struct net_stamp record_send(struct recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                             uint64_t bytes) {
    const struct net_link *link = &net->tier[tier].link;
    record_flush(r, c);
    int shared = link->medium != NET_PRIVATE;
    struct net_stamp stamp = shared ? net_ready(c, net, tier) : net_send(c, net, tier, bytes);
    if (!r) return stamp;
    record_flush(r, c);
    uint64_t words = shared ? 0 : pico_of(bytes, link->G);
    uint64_t end = shared ? c->now.ps : stamp.ps - net_lag(link, words);
    add(r,
        &(struct record_event){.start_ps = end - words,
                               .end_ps = end,
                               .ready_ps = c->now.ps,
                               .bytes = bytes,
                               .peer = peer,
                               .track = (uint8_t)(RECORD_LINK + tier)},
        shared ? UINT64_MAX : stamp.ps + link->g_ps);
    return stamp;
}

static void wait_for(struct recorder *r, const struct net_clock *c, int peer, const struct net_stamp *stamp) {
    if (!r) return;
    record_flush(r, c);
    if (stamp->ps <= c->now.ps) return;
    add(r, &(struct record_event){.start_ps = c->now.ps, .end_ps = stamp->ps, .peer = peer, .track = RECORD_WAITS},
        stamp->ps);
    r->told = *stamp;
}

void record_recv(struct recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                 const struct net_stamp *stamp) {
    wait_for(r, c, peer, stamp);
    net_recv(c, net, tier, stamp);
    record_flush(r, c);
}

struct net_stamp record_credit(struct recorder *r, const struct net_clock *c, const struct net *net, int tier,
                               int peer) {
    struct net_stamp stamp = net_credit(c, net, tier);
    uint64_t now = c->now.ps;
    if (r)
        add(r,
            &(struct record_event){.start_ps = now,
                                   .end_ps = now,
                                   .ready_ps = now,
                                   .peer = peer,
                                   .track = (uint8_t)(RECORD_CREDIT + tier)},
            stamp.ps);
    return stamp;
}

void record_room(struct recorder *r, struct net_clock *c, int peer, const struct net_stamp *stamp) {
    wait_for(r, c, peer, stamp);
    net_wait(c, stamp);
}

/* ---- of all ranks ---- */

static struct net_stamp hook_send(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier,
                                  int peer, int channel, uint64_t bytes) {
    (void)channel;
    return record_send((struct recorder *)r, c, net, tier, peer, bytes);
}

static void hook_recv(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                      int channel, const struct net_stamp *stamp) {
    (void)channel;
    record_recv((struct recorder *)r, c, net, tier, peer, stamp);
}

void recorder_init(struct recorder *r, uint64_t from_ps, uint64_t to_ps, int64_t *left) {
    *r = (struct recorder){.hooks = {hook_send, hook_recv},
                           .from_ps = from_ps,
                           .to_ps = to_ps,
                           .left = left,
                           .layer = -1,
                           .step = RECORD_STEP_PASS};
}

int recording_init(struct recording *out, int n_ranks, uint64_t from_ps, uint64_t to_ps, struct diag *d) {
    *out = (struct recording){n_ranks, RECORD_MOST, calloc((size_t)n_ranks, sizeof *out->rank)};
    if (!out->rank) return diag_set(d, ERR_MEMORY, "no memory for the events of %d ranks", n_ranks);
    for (int i = 0; i < n_ranks; i++)
        recorder_init(&out->rank[i], from_ps, to_ps, &out->left);
    return 0;
}

void recording_fini(struct recording *r) {
    for (int i = 0; i < r->n_ranks && r->rank; i++)
        free(r->rank[i].event);
    free(r->rank);
    *r = (struct recording){0};
}

int recording_check(const struct recording *r, struct diag *d) {
    if (r->left >= 0) return 0;
    return diag_set(d, ERR_PLAN,
                    "there are more than %d events to record (or too little memory): generate fewer tokens, for fewer "
                    "users, or give --timeline a shorter A:B",
                    RECORD_MOST);
}

/* ---- shared media ---- */

static int is_carried(const struct record_event *e, const struct cluster *c) {
    return e->track >= RECORD_LINK && e->track < RECORD_CREDIT &&
           c->net.tier[e->track - RECORD_LINK].link.medium != NET_PRIVATE;
}

/* All messages that a rank's events say are ready. */
static int add_ready(struct media *m, const struct recording *r, int rank, const struct plan *p,
                     const struct cluster *c, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < r->rank[rank].n && !rc; i++) {
        const struct record_event *e = &r->rank[rank].event[i];
        if (!is_carried(e, c)) continue;
        struct media_message message = {.stamp.ps = e->ready_ps,
                                        .bytes = e->bytes,
                                        .from = rank,
                                        .tier = e->track - RECORD_LINK,
                                        .medium = virtual_medium(c, p, rank, e->peer),
                                        .at = i};
        rc = media_add(m, &message, d);
    }
    return rc;
}

/* When a medium carries what depends on when senders were ready alone, not on who waits. */
int recording_end(struct recording *r, const struct plan *p, const struct cluster *c, struct diag *d) {
    struct media m;
    struct media_message message;
    int n_media = virtual_media(c, p), rc = recording_check(r, d);
    if (rc || n_media == 0) return rc;
    rc = media_init(&m, &c->net, n_media, r->n_ranks, d);
    for (int rank = 0; rank < r->n_ranks && !rc; rank++)
        rc = add_ready(&m, r, rank, p, c, d);
    while (!rc && media_next(&m, &message)) {
        r->rank[message.from].event[message.at].start_ps = message.start_ps;
        r->rank[message.from].event[message.at].end_ps = message.end_ps;
    }
    media_fini(&m);
    return rc;
}
