#include "collectives/arbiter.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

/* A message that its receiver has not asked for yet, or that waits for its medium. */
struct message {
    struct arbiter_note note;
    int from, known; /* known: note.stamp is when it arrives */
    uint64_t number; /* of its sender's messages */
    struct message *next;
};

enum state { RUNS, WAITS, ENDED };

struct client {
    enum state state;
    struct arbiter_note note; /* coming; what it waits for while it waits */
    struct link_request req;
    uint64_t sent;
    struct message *first, **end; /* to it, in order of arrival here: of a pair and channel, in order of sending */
};

struct arbiter {
    struct link *bus;
    const struct net *net;
    struct client *client;
    int n, n_running, n_left;
    struct net_stamp *free; /* [n_media] */
};

static void listen(struct arbiter *a, int i) {
    link_irecv(a->bus, i, ARBITER_TAG, &a->client[i].note, sizeof a->client[i].note, &a->client[i].req);
}

static void queue(struct arbiter *a, int from) {
    const struct arbiter_note *note = &a->client[from].note;
    struct message *m = malloc(sizeof *m);
    if (!m) link_abort(a->bus, "the arbiter has no memory for a message");
    *m = (struct message){*note, from, note->medium < 0, a->client[from].sent++, NULL};
    *a->client[note->peer].end = m;
    a->client[note->peer].end = &m->next;
}

static struct message **find(struct arbiter *a, int to) {
    const struct arbiter_note *wait = &a->client[to].note;
    struct message **m = &a->client[to].first;
    while (*m && ((*m)->from != wait->peer || (*m)->note.channel != wait->channel))
        m = &(*m)->next;
    return m;
}

/* Lets a waiting client go on if it is known when its message arrives. */
static void answer(struct arbiter *a, int to) {
    struct client *c = &a->client[to];
    if (c->state != WAITS) return; /* its note is still on its way */
    struct message **at = find(a, to), *m = *at;
    struct link_request req;
    if (!m || !m->known) return;
    link_isend(a->bus, to, ARBITER_TAG, &m->note.stamp, sizeof m->note.stamp, &req);
    link_wait(a->bus, &req);
    *at = m->next;
    if (!m->next) c->end = at;
    free(m);
    c->state = RUNS;
    a->n_running++;
    listen(a, to);
}

static void hear(struct arbiter *a, int i) {
    struct client *c = &a->client[i];
    if (c->note.word == ARBITER_SENT) {
        int to = c->note.peer;
        queue(a, i);
        listen(a, i);
        answer(a, to);
        return;
    }
    c->state = c->note.word == ARBITER_WAITS ? WAITS : ENDED;
    a->n_running--;
    a->n_left -= c->state == ENDED;
    if (c->state == WAITS) answer(a, i);
}

static int is_before(const struct message *m, const struct message *other) {
    if (m->note.stamp.ps != other->note.stamp.ps) return m->note.stamp.ps < other->note.stamp.ps;
    return m->from != other->from ? m->from < other->from : m->number < other->number;
}

static void wait_for_ever(struct arbiter *a) {
    for (int i = 0; i < a->n; i++)
        if (a->client[i].state == WAITS)
            link_abort(a->bus, "rank %d waits for rank %d in virtual time, which sends nothing more (channel %d)", i,
                       a->client[i].note.peer, a->client[i].note.channel);
}

/* Nobody runs: the earliest request takes its medium. */
static void grant(struct arbiter *a) {
    struct message *least = NULL;
    int to = 0;
    for (int i = 0; i < a->n; i++)
        for (struct message *m = a->client[i].first; m; m = m->next)
            if (!m->known && (!least || is_before(m, least))) {
                least = m;
                to = i;
            }
    if (!least) wait_for_ever(a);
    if (!least) return;
    least->note.stamp =
        net_carry(&a->free[least->note.medium], a->net, least->note.tier, &least->note.stamp, least->note.bytes);
    least->known = 1;
    answer(a, to);
}

static int hear_all(struct arbiter *a) {
    int heard = 0;
    for (int i = 0; i < a->n; i++)
        if (a->client[i].state == RUNS && link_test(a->bus, &a->client[i].req)) {
            hear(a, i);
            heard = 1;
        }
    return heard;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Nothing was heard since: a little sooner than clients, who only know that they wait for the arbiter. */
static void check_limit(const struct arbiter *a, double since) {
    double limit = a->bus->wait_limit_s;
    if (limit <= 0 || now_s() - since < 0.9 * limit) return;
    for (int i = 0; i < a->n; i++)
        if (a->client[i].state == RUNS)
            link_abort(
                a->bus,
                "waited %g s for rank %d, which neither sends nor waits: it is stopped, or slow (--timeout allows "
                "more)",
                limit, i);
}

static void fini(struct arbiter *a) {
    for (int i = 0; i < a->n && a->client; i++)
        for (struct message *m = a->client[i].first, *next; m; m = next) {
            next = m->next;
            free(m);
        }
    free(a->client);
    free(a->free);
}

int arbiter_run(struct link *bus, const struct net *net, int n_media, struct diag *d) {
    struct arbiter a = {.bus = bus, .net = net, .n = bus->size - 1};
    a.n_running = a.n_left = a.n;
    a.client = calloc((size_t)a.n, sizeof *a.client);
    a.free = calloc((size_t)n_media + 1, sizeof *a.free);
    int rc = a.client && a.free ? 0 : diag_set(d, ERR_MEMORY, "no memory for an arbiter of %d ranks", a.n);
    for (int i = 0; i < a.n && !rc; i++) {
        a.client[i].end = &a.client[i].first;
        listen(&a, i);
    }
    double heard = now_s();
    while (a.n_left > 0 && !rc) {
        if (hear_all(&a)) {
            heard = now_s();
        } else if (a.n_running == 0) {
            grant(&a);
        } else {
            check_limit(&a, heard);
            sched_yield();
        }
    }
    fini(&a);
    return rc;
}
