/* link_self.c - the link of a lone rank. */
#include <stdlib.h>

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
    link_abort(l, "waits for a send: it is alone");
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

static const struct link_ops self_ops = {self_isend, self_recv, self_wait, self_split, self_free, self_abort};

struct link *link_self_new(void) {
    struct link *l = calloc(1, sizeof *l);
    if (l) *l = (struct link){.size = 1, .ops = &self_ops};
    return l;
}
