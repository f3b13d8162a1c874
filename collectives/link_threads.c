/* link_threads.c - ranks as threads of one process.
 *
 * A hub has one mailbox for each rank. A send is put into the receiver's box as a pointer to the sender's buffer; the
 * receiver copies from there and tells the sender, whose wait blocks until then. So nothing is buffered, which is the
 * least that MPI promises: what relies on buffering hangs here, and the wait limit tells where. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collectives/agree.h"

struct box {
    pthread_mutex_t lock;
    pthread_cond_t change; /* only the box's own rank waits for it */
    struct link_request *first; /* not yet received, in order of sending */
};

struct hub {
    atomic_int users;
    int size;
    struct box *boxes;
    struct link *links;
};

enum { TAG_HUB = LINK_TAG_RESERVED + 100 };

static struct box *box_of(struct link *l, int rank) {
    return &((struct hub *)l->impl)->boxes[rank];
}

static struct timespec deadline(const struct link *l) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double s = l->wait_limit_s;
    t.tv_sec += (time_t)s;
    t.tv_nsec += (long)((s - (double)(time_t)s) * 1e9);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Waits for a change of the own box; returns nonzero past the deadline. */
static int box_wait(struct link *l, struct box *box, const struct timespec *until) {
    if (l->wait_limit_s <= 0) return pthread_cond_wait(&box->change, &box->lock) == ETIMEDOUT;
    return pthread_cond_timedwait(&box->change, &box->lock, until) == ETIMEDOUT;
}

static void threads_isend(struct link *l, struct link_request *req) {
    struct link_request **end;
    struct box *box = box_of(l, req->to);
    pthread_mutex_lock(&box->lock);
    for (end = &box->first; *end; end = &(*end)->next)
        continue;
    *end = req;
    pthread_cond_signal(&box->change);
    pthread_mutex_unlock(&box->lock);
}

/* Takes the first send of a sender and tag out of a locked box, or returns NULL. */
static struct link_request *box_take(struct box *box, int from, int tag) {
    for (struct link_request **at = &box->first; *at; at = &(*at)->next) {
        struct link_request *sent = *at;
        if (sent->from != from || sent->tag != tag) continue;
        *at = sent->next;
        return sent;
    }
    return NULL;
}

static size_t threads_recv(struct link *l, int peer, int tag, void *buf, size_t bytes, int exact) {
    struct box *mine = box_of(l, l->rank), *theirs = box_of(l, peer);
    struct timespec until = deadline(l);
    struct link_request *sent;
    char text[64];
    pthread_mutex_lock(&mine->lock);
    while (!(sent = box_take(mine, peer, tag)))
        if (box_wait(l, mine, &until))
            link_abort(l, "waited %g s for %zu bytes from rank %d with %s that never came", l->wait_limit_s, bytes,
                       l->first + peer, link_tag_text(l, tag, text));
    pthread_mutex_unlock(&mine->lock);
    size_t got = sent->bytes;
    if (exact ? got != bytes : got > bytes)
        link_abort(l, "expects %zu bytes from rank %d with %s, which sent %zu", bytes, l->first + peer,
                   link_tag_text(l, tag, text), sent->bytes);
    if (got > 0) memcpy(buf, sent->buf, got);
    pthread_mutex_lock(&theirs->lock);
    sent->taken = 1; /* from here on the request is the sender's again */
    pthread_cond_signal(&theirs->change);
    pthread_mutex_unlock(&theirs->lock);
    return got;
}

static void threads_wait(struct link *l, struct link_request *req) {
    struct box *mine = box_of(l, l->rank);
    struct timespec until = deadline(l);
    char text[64];
    pthread_mutex_lock(&mine->lock);
    while (!req->taken)
        if (box_wait(l, mine, &until))
            link_abort(l, "waited %g s for rank %d to receive %zu bytes with %s", l->wait_limit_s, l->first + req->to,
                       req->bytes, link_tag_text(l, req->tag, text));
    pthread_mutex_unlock(&mine->lock);
}

static void hub_free(struct hub *hub) {
    for (int i = 0; i < hub->size; i++) {
        pthread_cond_destroy(&hub->boxes[i].change);
        pthread_mutex_destroy(&hub->boxes[i].lock);
    }
    free(hub->boxes);
    free(hub->links);
    free(hub);
}

static void threads_free(struct link *l) {
    struct hub *hub = l->impl;
    if (atomic_fetch_sub(&hub->users, 1) == 1) hub_free(hub);
}

static void threads_abort(struct link *l) {
    (void)l;
    abort();
}

static struct link *threads_split(struct link *l, int color, int key);

static const struct link_ops threads_ops = {threads_isend, threads_recv, threads_wait,
                                            threads_split, threads_free, threads_abort};

static struct hub *hub_new(int size) {
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub) return NULL;
    hub->boxes = calloc((size_t)size, sizeof *hub->boxes);
    hub->links = calloc((size_t)size, sizeof *hub->links);
    if (!hub->boxes || !hub->links) {
        hub_free(hub);
        return NULL;
    }
    hub->size = size;
    atomic_init(&hub->users, size);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int over = size > sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < size; i++) {
        pthread_mutex_init(&hub->boxes[i].lock, NULL);
        pthread_cond_init(&hub->boxes[i].change, &attr);
        hub->links[i] = (struct link){
            .rank = i, .size = size, .oversubscribed = over, .wait_limit_s = 60, .ops = &threads_ops, .impl = hub};
    }
    pthread_condattr_destroy(&attr);
    return hub;
}

int link_threads_new(int size, struct link **links) {
    struct hub *hub = hub_new(size);
    if (!hub) return ERR_MEMORY;
    for (int i = 0; i < size; i++)
        links[i] = &hub->links[i];
    return 0;
}

struct split_key {
    int color, key;
};

/* Number of ranks of my color that come before rank r in the new order, and their number in all. */
static int place_of(const struct split_key *keys, int size, int r, int *n) {
    int before = 0;
    *n = 0;
    for (int i = 0; i < size; i++) {
        if (keys[i].color != keys[r].color) continue;
        before += keys[i].key < keys[r].key || (keys[i].key == keys[r].key && i < r);
        *n += 1;
    }
    return before;
}

/* The lowest old rank of a color makes the hub and tells the others where it is. */
static struct hub *hub_share(struct link *l, const struct split_key *keys, int n) {
    struct hub *hub = NULL;
    struct link_request req;
    int leader = 0;
    while (keys[leader].color != keys[l->rank].color)
        leader++;
    if (leader != l->rank) {
        link_recv(l, leader, TAG_HUB, &hub, sizeof hub);
        return hub;
    }
    hub = hub_new(n);
    for (int i = 0; i < l->size; i++) {
        if (i == leader || keys[i].color != keys[leader].color) continue;
        link_isend(l, i, TAG_HUB, &hub, sizeof hub, &req);
        link_wait(l, &req);
    }
    return hub;
}

static struct link *threads_split(struct link *l, int color, int key) {
    struct split_key mine = {color < 0 ? -1 : color, key}, *keys = calloc((size_t)l->size, sizeof *keys);
    int n = 0;
    if (!keys) link_abort(l, "no memory to split %d ranks", l->size);
    agree_allgather(l, &mine, sizeof mine, keys);
    int place = place_of(keys, l->size, l->rank, &n);
    struct hub *hub = color < 0 ? NULL : hub_share(l, keys, n);
    free(keys);
    return hub ? &hub->links[place] : NULL;
}
