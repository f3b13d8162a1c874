/* link.c - what all links share: counting, timing, and ending the job. */
#include "collectives/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "collectives/agree.h"
#include "collectives/link_time.h"
#include "link_priv.h"

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void link_abort(struct link *l, const char *fmt, ...) {
    char text[512], me[40];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (l->doing)
        fprintf(stderr, "northwall: rank %s: %s (%s)\n", link_rank_text(l, l->rank, me), text, l->doing);
    else
        fprintf(stderr, "northwall: rank %s: %s\n", link_rank_text(l, l->rank, me), text);
    l->ops->abort(l);
    abort();
}

const char *link_tag_text(const struct link *l, int tag, char buf[64]) {
    const char *name = tag >= LINK_TAG_RESERVED ? "agreement" : NULL;
    for (int i = 0; l->tags && l->tags[i] && i <= tag; i++)
        if (i == tag) name = l->tags[i];
    snprintf(buf, 64, name ? "tag %d (%s)" : "tag %d", tag, name);
    return buf;
}

const char *link_rank_text(const struct link *l, int rank, char buf[40]) {
    int number = l->first + rank;
    if (l->launched && l->launched[number] != number)
        snprintf(buf, 40, "%d (mpirun's %d)", number, l->launched[number]);
    else
        snprintf(buf, 40, "%d", number);
    return buf;
}

static void check_peer(struct link *l, const char *what, int peer, int tag) {
    if (peer >= 0 && peer < l->size && peer != l->rank) return;
    link_abort(l, "%s rank %d with tag %d: no such peer", what, l->first + peer, tag);
}

void link_isend(struct link *l, int peer, int tag, const void *buf, size_t bytes, struct link_request *req) {
    check_peer(l, "sends to", peer, tag);
    l->counts.messages++;
    l->counts.bytes += bytes;
    *req = (struct link_request){.buf = buf, .bytes = bytes, .from = l->rank, .to = peer, .tag = tag};
    if (l->time && l->time->bus) {
        link_time_post(l, req);
        return;
    }
    if (l->time) link_time_due(l);
    l->ops->isend(l, req);
    if (l->time) link_time_sent(l, req);
}

void link_recv(struct link *l, int peer, int tag, void *buf, size_t bytes) {
    check_peer(l, "receives from", peer, tag);
    uint64_t t0 = now_ns();
    if (l->time) link_time_before(l, peer, tag);
    l->ops->recv(l, peer, tag, buf, bytes, 1);
    if (l->time) link_time_received(l, peer, tag);
    l->counts.wait_ns += now_ns() - t0;
}

size_t link_recv_upto(struct link *l, int peer, int tag, void *buf, size_t cap) {
    check_peer(l, "receives from", peer, tag);
    uint64_t t0 = now_ns();
    if (l->time) link_time_before(l, peer, tag);
    size_t bytes = l->ops->recv(l, peer, tag, buf, cap, 0);
    if (l->time) link_time_received(l, peer, tag);
    l->counts.wait_ns += now_ns() - t0;
    return bytes;
}

void link_wait(struct link *l, struct link_request *req) {
    uint64_t t0 = now_ns();
    if (l->time && req->timed) return;
    if (l->time && req->to == l->rank) link_time_before(l, req->from, req->tag);
    l->ops->wait(l, req);
    if (l->time) link_time_completed(l, req);
    l->counts.wait_ns += now_ns() - t0;
}

void link_irecv(struct link *l, int peer, int tag, void *buf, size_t bytes, struct link_request *req) {
    check_peer(l, "receives from", peer, tag);
    *req = (struct link_request){.buf = buf, .bytes = bytes, .from = peer, .to = l->rank, .tag = tag};
    l->ops->irecv(l, req);
}

int link_test(struct link *l, struct link_request *req) {
    if (l->time && req->timed) return 1;
    if (!l->ops->test(l, req)) return 0;
    if (l->time && req->to == l->rank) link_time_before(l, req->from, req->tag);
    if (l->time) link_time_completed(l, req);
    return 1;
}

void link_progress(struct link *l) {
    if (l->ops->progress) l->ops->progress(l);
}

int link_share(struct link *l, size_t bytes, struct link_shared **out, struct diag *d) {
    struct diag own = {0};
    *out = NULL;
    if (!l->ops->share) return diag_set(d, ERR_UNSUPPORTED, "this transport has no shared memory");
    *out = l->ops->share(l, bytes, &own);
    return *out ? 0 : diag_set(d, own.code, "%s", own.text);
}

void link_unshare(struct link *l, struct link_shared *s) {
    if (s) l->ops->unshare(l, s);
}

/* A segment of no bytes shows who can map it. */
void link_domains(struct link *l, int *domain) {
    struct diag d = {0};
    struct link_shared *s;
    int mine = l->rank;
    if (link_share(l, 0, &s, &d) == 0) {
        for (mine = 0; !s->base[mine]; mine++)
            continue;
        link_unshare(l, s);
    }
    agree_allgather(l, &mine, sizeof mine, domain);
}

struct link *link_split(struct link *l, int color, int key) {
    struct link *child = l->ops->split(l, color, key);
    if (!child) return NULL;
    child->oversubscribed = l->oversubscribed;
    child->wait_limit_s = l->wait_limit_s;
    child->launched = l->launched;
    return child;
}

void link_free(struct link *l) {
    if (l) l->ops->free(l);
}
