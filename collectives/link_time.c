/* link_time.c - stamps behind messages. */
#include "collectives/link_time.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/arbiter.h"
#include "link_priv.h"

/* A stamp on its way: it stays where it is until the message before it has been waited for. */
struct link_stamp {
    struct net_stamp stamp;
    struct link_request req;
    struct link_stamp *next;
};

/* A copy of a message on its way. A sender that waited for its receiver in real time would not wait in virtual time,
 * and the arbiter would wait for it. */
struct link_post {
    struct link_request req;
    struct link_post *next;
    char copy[];
};

int link_time_start(struct link *l, struct link_time *t, struct diag *d) {
    for (int r = 0; r < l->size; r++) {
        const struct net_link *link = &t->net->tier[t->tier[r]].link;
        if (r != l->rank && link->pull)
            return diag_set(d, ERR_UNSUPPORTED,
                            "link %s is read in place (transfer: pull): only messages carry time; simulate takes it",
                            t->net->tier[t->tier[r]].name);
        if (r != l->rank && link->medium != NET_PRIVATE && !t->bus)
            return diag_set(d, ERR_USAGE, "link %s is a shared medium: its messages need an arbiter",
                            t->net->tier[t->tier[r]].name);
    }
    t->spare = NULL;
    t->posts = NULL;
    l->time = t;
    return 0;
}

/* Frees copies that have been received; all of them where `wait`. */
static void reap(struct link *l, int wait) {
    for (struct link_post **at = &l->time->posts, *p = *at; p; p = *at) {
        if (wait) l->ops->wait(l, &p->req);
        if (!wait && !l->ops->test(l, &p->req)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p);
    }
}

void link_time_stop(struct link *l) {
    if (l->time) reap(l, 1);
    for (struct link_stamp *s = l->time ? l->time->spare : NULL, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    l->time = NULL;
}

static struct link_stamp *take_spare(struct link *l) {
    struct link_stamp *s = l->time->spare;
    if (s)
        l->time->spare = s->next;
    else if (!(s = malloc(sizeof *s)))
        link_abort(l, "no memory for the time of a message");
    return s;
}

static int channel_of(const struct link_time *t, int tag) {
    return t->channel << 16 | tag;
}

/* When a message arrives; on a shared medium, when its sender is ready. */
static struct net_stamp send_stamp(const struct link_time *t, const struct link_request *req) {
    int tier = t->tier[req->to];
    if (t->recorder)
        return t->recorder->send(t->recorder, t->clock, t->net, tier, t->client[req->to], channel_of(t, req->tag),
                                 req->bytes);
    return t->net->tier[tier].link.medium != NET_PRIVATE ? net_ready(t->clock, t->net, tier)
                                                         : net_send(t->clock, t->net, tier, req->bytes);
}

static void receive_stamp(const struct link_time *t, int peer, int tag, const struct net_stamp *stamp) {
    if (t->recorder)
        t->recorder->recv(t->recorder, t->clock, t->net, t->tier[peer], t->client[peer], channel_of(t, tag), stamp);
    else
        net_recv(t->clock, t->net, t->tier[peer], stamp);
}

static void pace(const struct link_time *t) {
    if (t->pace) t->pace(t->pace_user, t->clock);
}

void link_time_due(struct link *l) {
    pace(l->time);
}

void link_time_sent(struct link *l, struct link_request *req) {
    struct link_time *t = l->time;
    struct link_stamp *s = req->stamp = take_spare(l);
    s->stamp = send_stamp(t, req);
    s->req = (struct link_request){.buf = &s->stamp,
                                   .bytes = sizeof s->stamp,
                                   .from = req->from,
                                   .to = req->to,
                                   .tag = req->tag + LINK_TAG_STAMPS};
    l->ops->isend(l, &s->req);
}

static void note_send(struct link *bus, const struct arbiter_note *note) {
    struct link_request req;
    link_isend(bus, bus->size - 1, ARBITER_TAG, note, sizeof *note, &req);
    link_wait(bus, &req);
}

void link_time_post(struct link *l, struct link_request *req) {
    struct link_time *t = l->time;
    int tier = t->tier[req->to], medium = t->medium[req->to];
    struct link_post *p = malloc(sizeof *p + req->bytes);
    if (!p) link_abort(l, "no memory for a copy of a message of %zu bytes", req->bytes);
    reap(l, 0);
    p->req = *req;
    p->req.buf = p->copy;
    if (req->bytes) memcpy(p->copy, req->buf, req->bytes);
    p->next = t->posts;
    t->posts = p;
    l->ops->isend(l, &p->req);
    req->timed = 1;
    struct arbiter_note note = {.word = ARBITER_SENT,
                                .peer = t->client[req->to],
                                .channel = channel_of(t, req->tag),
                                .tier = tier,
                                .medium = medium,
                                .bytes = req->bytes,
                                .stamp = send_stamp(t, req)};
    note_send(t->bus, &note);
}

void link_time_end(struct link *bus) {
    note_send(bus, &(struct arbiter_note){.word = ARBITER_ENDS});
}

void link_time_before(struct link *l, int peer, int tag) {
    struct link_time *t = l->time;
    struct net_stamp stamp;
    pace(t);
    if (!t->bus) return;
    note_send(t->bus,
              &(struct arbiter_note){.word = ARBITER_WAITS, .peer = t->client[peer], .channel = channel_of(t, tag)});
    link_recv(t->bus, t->bus->size - 1, ARBITER_TAG, &stamp, sizeof stamp);
    receive_stamp(t, peer, tag, &stamp);
}

void link_time_received(struct link *l, int peer, int tag) {
    struct link_time *t = l->time;
    struct net_stamp stamp;
    if (t->bus) return;
    l->ops->recv(l, peer, tag + LINK_TAG_STAMPS, &stamp, sizeof stamp, 1);
    receive_stamp(t, peer, tag, &stamp);
}

void link_time_completed(struct link *l, struct link_request *req) {
    if (req->timed) return;
    req->timed = 1;
    if (req->to == l->rank) {
        link_time_received(l, req->from, req->tag);
        return;
    }
    l->ops->wait(l, &req->stamp->req);
    req->stamp->next = l->time->spare;
    l->time->spare = req->stamp;
}
