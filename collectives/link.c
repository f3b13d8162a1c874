/* link.c - what all links share: counting, timing, and ending the job. */
#include "collectives/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void link_abort(struct link *l, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "northwall: rank %d: %s\n", l->first + l->rank, text);
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

static void check_peer(struct link *l, const char *what, int peer, int tag) {
    if (peer >= 0 && peer < l->size && peer != l->rank) return;
    link_abort(l, "%s rank %d with tag %d: no such peer", what, l->first + peer, tag);
}

void link_isend(struct link *l, int peer, int tag, const void *buf, size_t bytes, struct link_request *req) {
    check_peer(l, "sends to", peer, tag);
    l->counts.messages++;
    l->counts.bytes += bytes;
    *req = (struct link_request){.buf = buf, .bytes = bytes, .from = l->rank, .to = peer, .tag = tag};
    l->ops->isend(l, req);
}

void link_recv(struct link *l, int peer, int tag, void *buf, size_t bytes) {
    check_peer(l, "receives from", peer, tag);
    uint64_t t0 = now_ns();
    l->ops->recv(l, peer, tag, buf, bytes, 1);
    l->counts.wait_ns += now_ns() - t0;
}

size_t link_recv_upto(struct link *l, int peer, int tag, void *buf, size_t cap) {
    check_peer(l, "receives from", peer, tag);
    uint64_t t0 = now_ns();
    size_t bytes = l->ops->recv(l, peer, tag, buf, cap, 0);
    l->counts.wait_ns += now_ns() - t0;
    return bytes;
}

void link_wait(struct link *l, struct link_request *req) {
    uint64_t t0 = now_ns();
    l->ops->wait(l, req);
    l->counts.wait_ns += now_ns() - t0;
}

struct link *link_split(struct link *l, int color, int key) {
    struct link *child = l->ops->split(l, color, key);
    if (!child) return NULL;
    child->oversubscribed = l->oversubscribed;
    child->wait_limit_s = l->wait_limit_s;
    return child;
}

void link_free(struct link *l) {
    if (l) l->ops->free(l);
}
