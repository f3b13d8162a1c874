/* link_time.c - stamps behind messages. */
#include "collectives/link_time.h"

#include <stdlib.h>

#include "link_priv.h"

/* A stamp on its way: it stays where it is until the message before it has been waited for. */
struct link_stamp {
    struct net_stamp stamp;
    struct link_request req;
    struct link_stamp *next;
};

int link_time_start(struct link *l, struct link_time *t, struct diag *d) {
    for (int r = 0; r < l->size; r++)
        if (r != l->rank && t->net->tier[t->tier[r]].link.pull)
            return diag_set(d, ERR_UNSUPPORTED, "link %s is read in place (transfer: pull): only messages carry time",
                            t->net->tier[t->tier[r]].name);
    t->spare = NULL;
    l->time = t;
    return 0;
}

void link_time_stop(struct link *l) {
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

void link_time_sent(struct link *l, struct link_request *req) {
    struct link_time *t = l->time;
    struct link_stamp *s = take_spare(l);
    s->stamp = t->recorder
                   ? t->recorder->send(t->recorder, t->clock, t->net, t->tier[req->to], t->first + req->to, req->bytes)
                   : net_send(t->clock, t->net, t->tier[req->to], req->bytes);
    s->req = (struct link_request){.buf = &s->stamp,
                                   .bytes = sizeof s->stamp,
                                   .from = req->from,
                                   .to = req->to,
                                   .tag = req->tag + LINK_TAG_STAMPS};
    l->ops->isend(l, &s->req);
    req->stamp = s;
}

void link_time_received(struct link *l, int peer, int tag) {
    struct link_time *t = l->time;
    struct net_stamp stamp;
    l->ops->recv(l, peer, tag + LINK_TAG_STAMPS, &stamp, sizeof stamp, 1);
    if (t->recorder)
        t->recorder->recv(t->recorder, t->clock, t->net, t->tier[peer], t->first + peer, &stamp);
    else
        net_recv(t->clock, t->net, t->tier[peer], &stamp);
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
