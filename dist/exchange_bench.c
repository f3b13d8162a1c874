/* exchange_bench.c - decoders of one rank, side by side, that exchange where ranks of one replica would. */
#include "collectives/agree.h"
#include "exchange.h"

/* One run. */
struct run {
    const struct exchange_bench *b;
    size_t bytes;
    int left, met; /* passes to come behind this one; those that have been */
};

/* ---- meetings ---- */

static void sum(void *user) {
    const struct run *r = user;
    coll_sendbuf(r->b->coll, r->bytes / sizeof(float));
    coll_start(r->b->coll);
    coll_wait(r->b->coll);
}

/* Both ranks begin behind their prompts. */
static void begin(void *user) {
    struct run *r = user;
    if (r->met++ == 0) agree_barrier(r->b->link);
}

static void send(const struct run *r) {
    struct link *l = r->b->link;
    struct link_request req;
    link_isend(l, 1 - l->rank, r->b->tag, r->b->buf, r->bytes, &req);
    link_wait(l, &req);
}

static void receive(const struct run *r) {
    link_recv(r->b->link, 1 - r->b->link->rank, r->b->tag, r->b->buf + r->bytes, r->bytes);
}

/* Rank 0's passes and rank 1's in turn: behind the prompts rank 1 lets rank 0 begin. */
static void hand_on(void *user) {
    struct run *r = user;
    int leads = r->b->link->rank == 0;
    if (!leads || r->met > 0) send(r);
    if (leads || r->left > 0) receive(r);
    r->left--;
    r->met++;
}

/* ---- runs ---- */

static int job_of(enum exchange_place where) {
    return where == EXCHANGE_MEMORY ? STEP_LONG : STEP_SHORT;
}

/* Seconds from one of a layer's two sums to the other, of the slower rank. */
static int run_sums(const struct exchange_bench *b, enum exchange_place where, int passes, size_t bytes,
                    double *seconds, struct diag *d) {
    struct run r = {.b = b, .bytes = bytes};
    struct step_meeting m = {bytes ? sum : NULL, begin, &r};
    double layer, pass;
    int rc = step_bench_meet(b->steps, job_of(where), passes, &m, &layer, &pass, d);
    *seconds = agree_max(b->link, layer, NULL) / 2;
    return rc;
}

/* Half a round: rank 0's pass, a message, rank 1's pass, a message. Without messages each rank's passes by themselves.
 */
static int run_turns(const struct exchange_bench *b, enum exchange_place where, int passes, size_t bytes,
                     double *seconds, struct diag *d) {
    double all = 0;
    int rc = 0;
    for (int turn = 0; turn < (bytes ? 1 : 2) && !rc; turn++) {
        struct run r = {.b = b, .bytes = bytes, .left = passes};
        struct step_meeting m = {NULL, bytes ? hand_on : NULL, &r};
        double layer, pass = 0;
        if (bytes || turn == b->link->rank) rc = step_bench_meet(b->steps, job_of(where), passes, &m, &layer, &pass, d);
        all += agree_max(b->link, bytes && b->link->rank ? 0 : pass, NULL);
    }
    *seconds = all / 2;
    return rc;
}

int exchange_measure(const struct exchange_bench *b, enum exchange_place where, int passes, const size_t *bytes, int n,
                     double *ns, struct diag *d) {
    int most = step_bench_passes(job_of(where)), rc = 0;
    double seconds;
    if (passes > most) passes = most;
    for (int i = -1; i <= n && !rc; i++) { /* -1: weights come to where they stay */
        size_t size = i > 0 ? bytes[i - 1] : 0;
        rc = where == EXCHANGE_PASS ? run_turns(b, where, passes, size, &seconds, d)
                                    : run_sums(b, where, passes, size, &seconds, d);
        if (i >= 0) ns[i] = 1e9 * seconds;
    }
    return rc;
}
