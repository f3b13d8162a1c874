/* link_self.c - the link of a lone rank. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/link.h"

/* link_isend and link_recv refuse every peer, so a lone rank never gets to these. */
static void self_isend(struct link *l, struct link_request *req) {
    link_abort(l, "sends %zu bytes to rank %d with tag %d: it is alone", req->bytes, req->to, req->tag);
}

static size_t self_recv(struct link *l, int peer, int tag, void *buf, size_t bytes, int exact) {
    (void)buf, (void)exact;
    link_abort(l, "receives %zu bytes from rank %d with tag %d: it is alone", bytes, peer, tag);
}

static void self_wait(struct link *l, struct link_request *req) {
    (void)req;
    link_abort(l, "waits for a message: it is alone");
}

static void self_irecv(struct link *l, struct link_request *req) {
    self_recv(l, req->from, req->tag, NULL, req->bytes, 1);
}

static int self_test(struct link *l, struct link_request *req) {
    self_wait(l, req);
    return 1;
}

/* Handle 0 is the segment; base is one pointer behind the struct. */
static struct link_shared *self_share(struct link *l, size_t bytes, struct diag *d) {
    struct link_shared *s = calloc(1, sizeof *s + sizeof(void *));
    size_t page = (size_t)sysconf(_SC_PAGESIZE), padded = (bytes / page + 1) * page;
    (void)l;
    if (s && posix_memalign(&s->handle[0], page, padded) == 0) {
        memset(s->handle[0], 0, padded);
        s->base = (void **)(s + 1);
        s->base[0] = s->handle[0];
        s->bytes = bytes;
        return s;
    }
    free(s);
    diag_set(d, ERR_MEMORY, "no memory for a segment of %zu bytes", bytes);
    return NULL;
}

static void self_unshare(struct link *l, struct link_shared *s) {
    (void)l;
    free(s->handle[0]);
    free(s);
}

static struct link *self_split(struct link *l, int color, int key) {
    (void)l, (void)key;
    return color < 0 ? NULL : link_self_new();
}

static void self_free(struct link *l) {
    free(l);
}

static void self_abort(struct link *l) {
    (void)l;
    abort();
}

static const struct link_ops self_ops = {
    .isend = self_isend,
    .recv = self_recv,
    .wait = self_wait,
    .irecv = self_irecv,
    .test = self_test,
    .share = self_share,
    .unshare = self_unshare,
    .split = self_split,
    .free = self_free,
    .abort = self_abort,
};

struct link *link_self_new(void) {
    struct link *l = calloc(1, sizeof *l);
    if (l) *l = (struct link){.size = 1, .ops = &self_ops};
    return l;
}
