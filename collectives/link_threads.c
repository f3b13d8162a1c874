/* link_threads.c - ranks as threads of one process.
 *
 * A hub has one mailbox for each rank. A send is put into the receiver's box as a pointer to the sender's buffer; the
 * receiver copies from there and tells the sender, whose wait blocks until then. So nothing is buffered, which is the
 * least that MPI promises: what relies on buffering hangs here, and the wait limit tells where. Receives are posted in
 * the own box and matched, in order, by whatever call of their rank comes next: as in MPI, a rank that waits for one
 * message lets the others through. */
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
    struct link_request *first; /* sent here and not yet received, in order of sending */
    struct link_request *posted; /* the own rank's unmatched receives in order; no other rank looks at them */
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

static void append(struct link_request **list, struct link_request *req) {
    while (*list)
        list = &(*list)->next;
    *list = req;
}

static void threads_isend(struct link *l, struct link_request *req) {
    struct box *box = box_of(l, req->to);
    pthread_mutex_lock(&box->lock);
    append(&box->first, req);
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

/* Takes the first receive that has its message out of the locked own box, or returns NULL. */
static struct link_request *box_match(struct box *mine, struct link_request **sent) {
    for (struct link_request **at = &mine->posted; *at; at = &(*at)->next) {
        struct link_request *req = *at;
        if (!(*sent = box_take(mine, req->from, req->tag))) continue;
        *at = req->next;
        return req;
    }
    return NULL;
}

/* Where a receive's length is only a limit, its handle says so; bytes becomes what came. */
static void deliver(struct link *l, struct link_request *req, struct link_request *sent) {
    struct box *theirs = box_of(l, req->from);
    size_t got = sent->bytes;
    char text[64];
    int exact = !req->handle[0];
    if (exact ? got != req->bytes : got > req->bytes)
        link_abort(l, "expects %zu bytes from rank %d with %s, which sent %zu", req->bytes, l->first + req->from,
                   link_tag_text(l, req->tag, text), got);
    if (got > 0) memcpy(req->handle[1], sent->buf, got);
    req->bytes = got;
    req->taken = 1;
    pthread_mutex_lock(&theirs->lock);
    sent->taken = 1; /* from here on the request is the sender's again */
    pthread_cond_signal(&theirs->change);
    pthread_mutex_unlock(&theirs->lock);
}

/* Delivers all that has come. The own box is locked before and after, not in between. */
static void deliver_all(struct link *l, struct box *mine) {
    struct link_request *req, *sent;
    while ((req = box_match(mine, &sent))) {
        pthread_mutex_unlock(&mine->lock);
        deliver(l, req, sent);
        pthread_mutex_lock(&mine->lock);
    }
}

static void threads_irecv(struct link *l, struct link_request *req) {
    req->handle[1] = (void *)(uintptr_t)req->buf;
    append(&box_of(l, l->rank)->posted, req);
}

static int threads_test(struct link *l, struct link_request *req) {
    struct box *mine = box_of(l, l->rank);
    pthread_mutex_lock(&mine->lock);
    deliver_all(l, mine);
    int done = req->taken;
    pthread_mutex_unlock(&mine->lock);
    return done;
}

static void threads_progress(struct link *l) {
    struct box *mine = box_of(l, l->rank);
    if (!mine->posted) return;
    pthread_mutex_lock(&mine->lock);
    deliver_all(l, mine);
    pthread_mutex_unlock(&mine->lock);
}

static void waited_too_long(struct link *l, const struct link_request *req) {
    char text[64];
    link_tag_text(l, req->tag, text);
    if (req->from == l->rank)
        link_abort(l, "waited %g s for rank %d to receive %zu bytes with %s", l->wait_limit_s, l->first + req->to,
                   req->bytes, text);
    link_abort(l, "waited %g s for %zu bytes from rank %d with %s that never came", l->wait_limit_s, req->bytes,
               l->first + req->from, text);
}

static void threads_wait(struct link *l, struct link_request *req) {
    struct box *mine = box_of(l, l->rank);
    struct timespec until = deadline(l);
    pthread_mutex_lock(&mine->lock);
    for (;;) {
        deliver_all(l, mine);
        if (req->taken) break;
        if (box_wait(l, mine, &until)) waited_too_long(l, req);
    }
    pthread_mutex_unlock(&mine->lock);
}

static size_t threads_recv(struct link *l, int peer, int tag, void *buf, size_t bytes, int exact) {
    struct link_request req = {.buf = buf, .bytes = bytes, .from = peer, .to = l->rank, .tag = tag};
    req.handle[0] = exact ? NULL : l;
    threads_irecv(l, &req);
    threads_wait(l, &req);
    return req.bytes;
}

/* Each thread's own allocation, exchanged as pointers; handle 0. */
static struct link_shared *threads_share(struct link *l, size_t bytes, struct diag *d) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), padded = (bytes / page + 1) * page;
    struct link_shared *s = calloc(1, sizeof *s + (size_t)l->size * sizeof *s->base);
    int ok = s && posix_memalign(&s->handle[0], page, padded) == 0;
    if (ok) memset(s->handle[0], 0, padded);
    int code = err_agree(l, ok ? 0 : diag_set(d, ERR_MEMORY, "no memory for a segment of %zu bytes", bytes), d);
    if (code != 0) {
        if (ok) free(s->handle[0]);
        free(s);
        return NULL;
    }
    s->base = (void **)(s + 1);
    s->bytes = bytes;
    agree_allgather(l, &s->handle[0], sizeof s->handle[0], s->base);
    return s;
}

static void threads_unshare(struct link *l, struct link_shared *s) {
    agree_barrier(l); /* nobody looks at mine any more */
    free(s->handle[0]);
    free(s);
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

static const struct link_ops threads_ops = {
    .isend = threads_isend,
    .recv = threads_recv,
    .wait = threads_wait,
    .irecv = threads_irecv,
    .test = threads_test,
    .progress = threads_progress,
    .share = threads_share,
    .unshare = threads_unshare,
    .split = threads_split,
    .free = threads_free,
    .abort = threads_abort,
};

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

struct thread_rank {
    pthread_t id;
    struct link *link;
    void (*body)(struct link *l, void *user);
    void *user;
};

static void *thread_main(void *arg) {
    struct thread_rank *t = arg;
    t->body(t->link, t->user);
    link_free(t->link);
    return NULL;
}

int link_threads_run(int size, void (*body)(struct link *l, void *user), void *user) {
    struct thread_rank *all = calloc((size_t)size, sizeof *all);
    struct link **links = calloc((size_t)size, sizeof *links);
    int rc = all && links ? link_threads_new(size, links) : ERR_MEMORY;
    for (int i = size - 1; i >= 0 && !rc; i--) {
        all[i] = (struct thread_rank){.link = links[i], .body = body, .user = user};
        if (i && pthread_create(&all[i].id, NULL, thread_main, &all[i]))
            link_abort(links[i], "no thread for rank %d of %d", i, size);
    }
    if (!rc) thread_main(&all[0]);
    for (int i = 1; i < size && !rc; i++)
        pthread_join(all[i].id, NULL);
    free(all);
    free(links);
    return rc;
}
