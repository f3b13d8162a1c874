/* replay.c - walks logged operations of all ranks, with any medium. */
#include "dist/replay.h"

#include <stdlib.h>

#include "media.h"
#include "sim_calls.h"

enum { NOTHING = -1 };

/* Messages to a rank from another one with one channel. */
struct inbox {
    int from, channel;
    int credits; /* they may be left over */
    struct stamp_queue queue;
};

struct player {
    const struct op_list *ops;
    int at;
    struct recorder *rec;
    struct inbox *inbox;
    int n_inboxes, cap_inboxes, last; /* last: the one that was found last */
    int blocked; /* the inbox that it waits for, or NOTHING */
};

struct play {
    const struct op_log *log;
    const struct cluster *c;
    struct simulation *out;
    struct player *rank;
    int n_cards, *ready, n_ready;
    struct media media;
    struct diag *d;
};

/* ---- messages ---- */

/* The number of the inbox, or NOTHING: no memory. */
static int find_inbox(struct player *w, int from, int channel) {
    for (int i = 0; i < w->n_inboxes; i++) {
        int at = (w->last + i) % w->n_inboxes;
        if (w->inbox[at].from == from && w->inbox[at].channel == channel) return w->last = at;
    }
    if (w->n_inboxes == w->cap_inboxes) {
        int cap = w->cap_inboxes ? 2 * w->cap_inboxes : 8;
        struct inbox *inbox = realloc(w->inbox, (size_t)cap * sizeof *inbox);
        if (!inbox) return NOTHING;
        w->inbox = inbox;
        w->cap_inboxes = cap;
    }
    w->inbox[w->n_inboxes] = (struct inbox){.from = from, .channel = channel};
    return w->last = w->n_inboxes++;
}

static int no_memory(const struct play *s) {
    return diag_set(s->d, ERR_MEMORY, "no memory to replay %d ranks", s->log->n_ranks);
}

static int deliver(struct play *s, int to, int inbox, const struct net_stamp *stamp) {
    struct player *w = &s->rank[to];
    int rc = stamp_queue_add(&w->inbox[inbox].queue, stamp, to, s->d);
    if (rc || w->blocked != inbox) return rc;
    w->blocked = NOTHING;
    s->ready[s->n_ready++] = to;
    return 0;
}

static int tier_of(const struct play *s, int a, int b) {
    return place_tier(s->c, s->log->card[a], s->log->card[b]);
}

static int send(struct play *s, int from, const struct op *o) {
    const int *card = s->log->card;
    int tier = tier_of(s, from, o->peer), inbox = find_inbox(&s->rank[o->peer], from, o->channel);
    if (inbox == NOTHING) return no_memory(s);
    if (o->what == OP_CREDIT) {
        struct net_stamp credit = record_credit(s->rank[from].rec, &s->out->clock[from], &s->c->net, tier, o->peer);
        s->rank[o->peer].inbox[inbox].credits = 1;
        return deliver(s, o->peer, inbox, &credit);
    }
    struct net_stamp stamp = record_send(s->rank[from].rec, &s->out->clock[from], &s->c->net, tier, o->peer, o->amount);
    if (s->c->net.tier[tier].link.medium == NET_PRIVATE) return deliver(s, o->peer, inbox, &stamp);
    struct media_message m = {.stamp = stamp,
                              .bytes = o->amount,
                              .from = from,
                              .tier = tier,
                              .medium = place_medium(s->c, s->n_cards, card[from], card[o->peer]),
                              .to = o->peer,
                              .at = inbox};
    return media_add(&s->media, &m, s->d);
}

/* Nonzero: *rc, or nothing is there yet. */
static int waits(struct play *s, int rank, const struct op *o, int *rc) {
    struct player *w = &s->rank[rank];
    int inbox = find_inbox(w, o->peer, o->channel);
    *rc = inbox == NOTHING ? no_memory(s) : 0;
    if (*rc) return 1;
    struct stamp_queue *q = &w->inbox[inbox].queue;
    if (q->n == 0) {
        w->blocked = inbox;
        return 1;
    }
    struct net_clock *clock = &s->out->clock[rank];
    if (o->what == OP_ROOM)
        record_room(w->rec, clock, o->peer, stamp_queue_take(q));
    else
        record_recv(w->rec, clock, &s->c->net, tier_of(s, o->peer, rank), o->peer, stamp_queue_take(q));
    return 0;
}

/* ---- ranks ---- */

/* A rank's operations up to a receive of what is not there yet. */
static int play_on(struct play *s, int rank) {
    struct player *w = &s->rank[rank];
    struct net_clock *clock = &s->out->clock[rank];
    int per_replica = s->log->n_ranks / s->log->dp, rc = 0;
    for (; w->at < w->ops->n && !rc; w->at++) {
        const struct op *o = &w->ops->op[w->at];
        record_step(w->rec, clock, o->pass, o->layer, o->step);
        if ((o->what == OP_RECEIVE || o->what == OP_ROOM) && waits(s, rank, o, &rc)) return rc;
        if (o->what == OP_SEND || o->what == OP_CREDIT) rc = send(s, rank, o);
        if (o->what == OP_TAKE) s->out->taken[rank / per_replica][o->amount] = clock->now;
        if (o->what < NET_SHARES) net_spend(clock, o->what, o->amount);
        s->out->events++;
    }
    return rc;
}

/* The next message is carried. *any: there was one. */
static int carry_next(struct play *s, int *any) {
    struct media_message m;
    *any = media_next(&s->media, &m);
    return *any ? deliver(s, m.to, m.at, &m.stamp) : 0;
}

static int check_end(const struct play *s) {
    for (int r = 0; r < s->log->n_ranks; r++) {
        const struct player *w = &s->rank[r];
        const struct op *o = w->at < w->ops->n ? &w->ops->op[w->at] : NULL;
        if (o)
            return diag_set(s->d, ERR_MISMATCH,
                            "rank %d waits for ever for a message of rank %d on channel %d, its operation %d", r,
                            o->peer, o->channel, w->at);
        for (int i = 0; i < w->n_inboxes; i++)
            if (w->inbox[i].queue.n && !w->inbox[i].credits)
                return diag_set(s->d, ERR_MISMATCH, "rank %d never receives %d messages of rank %d on channel %d", r,
                                w->inbox[i].queue.n, w->inbox[i].from, w->inbox[i].channel);
    }
    return 0;
}

/* ---- a log ---- */

static int check_cluster(const struct op_log *log, const struct cluster *c, int cards, struct diag *d) {
    if (c->n_cards && cards > c->n_cards)
        return diag_set(d, ERR_PLAN, "the operations are of %d cards, but %s has %d", cards, c->name, c->n_cards);
    if (cards < log->n_ranks && !c->has_host)
        return diag_set(d, ERR_PLAN, "the operations are of a host too, but %s describes none", c->name);
    if (ops_card_hash(c, cards) != log->card_hash)
        return diag_set(d, ERR_PLAN,
                        "%s differs from %s, where the operations were executed, in more than its links: cards, host "
                        "and work must be the same (--straggler too), as their durations are those of the operations",
                        c->name, log->cluster);
    for (int i = 0; i < c->net.n_tiers; i++)
        if (c->net.tier[i].link.pull)
            return diag_set(d, ERR_PLAN, "link %s of %s is read in place (transfer: pull): operations are of messages",
                            c->net.tier[i].name, c->name);
    return 0;
}

static int init(struct play *s, struct recording *rec) {
    const struct op_log *log = s->log;
    size_t n = (size_t)log->n_ranks;
    struct simulation *out = s->out;
    *out = (struct simulation){.n_ranks = log->n_ranks};
    s->rank = calloc(n, sizeof *s->rank);
    s->ready = calloc(n, sizeof *s->ready);
    out->clock = calloc(n, sizeof *out->clock);
    out->taken = calloc((size_t)log->dp + 1, sizeof *out->taken);
    if (!s->rank || !s->ready || !out->clock || !out->taken) return no_memory(s);
    for (int i = 0; i < log->dp; i++) {
        out->taken[i] = calloc((size_t)log->trace[i].n + 1, sizeof **out->taken);
        if (!out->taken[i]) return no_memory(s);
    }
    for (int r = log->n_ranks - 1; r >= 0; r--) {
        s->n_cards += log->card[r] >= 0;
        s->rank[r] = (struct player){.ops = &log->rank[r], .rec = rec ? &rec->rank[r] : NULL, .blocked = NOTHING};
        s->ready[s->n_ready++] = r;
    }
    int rc = check_cluster(log, s->c, s->n_cards, s->d);
    return rc ? rc : media_init(&s->media, &s->c->net, place_media(s->c, s->n_cards), log->n_ranks, s->d);
}

static void fini(struct play *s) {
    for (int r = 0; s->rank && r < s->log->n_ranks; r++) {
        for (int i = 0; i < s->rank[r].n_inboxes; i++)
            stamp_queue_fini(&s->rank[r].inbox[i].queue);
        free(s->rank[r].inbox);
    }
    free(s->rank);
    free(s->ready);
    media_fini(&s->media);
}

int replay(struct simulation *out, const struct op_log *log, const struct cluster *c, struct recording *rec,
           struct diag *d) {
    struct play s = {.log = log, .c = c, .out = out, .d = d};
    int rc = init(&s, rec), any = 1;
    while (!rc && (s.n_ready > 0 || any)) {
        if (s.n_ready > 0)
            rc = play_on(&s, s.ready[--s.n_ready]);
        else
            rc = carry_next(&s, &any);
    }
    if (!rc) rc = check_end(&s);
    for (int r = 0; r < log->n_ranks && !rc; r++)
        rc = simulation_check(out->clock[r].now.ps, d);
    for (int r = 0; r < log->n_ranks && !rc && rec; r++)
        record_flush(&rec->rank[r], &out->clock[r]);
    fini(&s);
    if (rc) simulation_fini(out);
    return rc;
}
