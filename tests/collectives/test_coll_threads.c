/* Persistent collectives on ranks that are threads, 1 to 9 of them, and what a missing rank leads to. With an argument:
 * that many calls in a row, of changing lengths, on 2 and 5 ranks (nightly: 10^6). */
#include "coll_checks.h"
#include "thread_ranks.h"

/* Rank 1 of 3 never starts its fourth call. */
static void lose_a_rank(struct link *l, enum coll_transport transport) {
    struct material m;
    struct coll *c;
    float *x;
    material_init(&m, l, 3, 0, CANONICAL, 0);
    struct coll_spec spec = sum_spec(&m, "oneshot", transport);
    if (coll_init(&c, l, &spec, NULL) != 0) return;
    l->wait_limit_s = l->rank == 2 ? 0.5 : 60;
    for (int call = 0; call < 4; call++) {
        if (call == 3 && l->rank == 1) pause();
        x = coll_sendbuf(c, 100);
        fill_inputs(&m, x, 100, call);
        coll_start(c);
        coll_wait(c);
    }
}

static void lose_through_memory(struct link *l, struct outcome *o) {
    (void)o;
    lose_a_rank(l, COLL_TRANSPORT_SHM);
}

static void lose_a_message(struct link *l, struct outcome *o) {
    (void)o;
    lose_a_rank(l, COLL_TRANSPORT_LINK);
}

static void too_many(struct link *l, struct outcome *o) {
    struct material m;
    struct coll *c;
    (void)o;
    material_init(&m, l, 3, 0, CANONICAL, 0);
    struct coll_spec spec = sum_spec(&m, "oneshot", COLL_TRANSPORT_SHM);
    if (coll_init(&c, l, &spec, NULL) == 0) coll_sendbuf(c, MOST + 1);
}

static void check_endings(void) {
    static const struct {
        void (*body)(struct link *l, struct outcome *o);
        const char *text;
    } cases[] = {
        {lose_through_memory, "rank 2: waited 0.5 s for rank 1, which has published 3 times instead of 4 "
                              "(test_reduce, call 3, round 0)"},
        {lose_a_message, "rank 2: waited 0.5 s for 400 bytes from rank 1 with tag 11 that never came "
                         "(test_reduce, call 3, round 0)"},
        {too_many, "test_reduce: a call of 4097 elements, at most 4096 are possible"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[4096];
        int sig = run_child(cases[i].body, text, sizeof text);
        CHECK(sig == SIGABRT && strstr(text, cases[i].text), "case %zu: signal %d, '%s'", i, sig, text);
    }
}

static long many_calls;

/* Call after call without a pause, and a slow reader now and then. */
static void call_often(struct link *l, struct outcome *o) {
    struct material m;
    struct coll *c;
    struct diag d = {0};
    long wrong = 0;
    material_init(&m, l, 14, 0, CANONICAL, 1);
    struct coll_spec spec = sum_spec(&m, l->size == 5 ? "twoshot" : "oneshot", COLL_TRANSPORT_SHM);
    EXPECT(o, coll_init(&c, l, &spec, &d) == 0, "%s", d.text);
    if (d.code != 0) return;
    for (long call = 0; call < many_calls; call++) {
        size_t n = 1 + rng_u64(7, (uint64_t)call) % 64;
        fill_inputs(&m, coll_sendbuf(c, n), n, (int)(call % 5));
        coll_start(c);
        const float *got = coll_wait(c);
        if (rng_u64((uint64_t)l->rank, (uint64_t)call) % 4096 == 0) nanosleep(&(struct timespec){0, 2000000}, NULL);
        wrong += count_wrong(&m, got, 0, n, (int)(call % 5));
    }
    EXPECT(o, wrong == 0, "%ld elements are wrong", wrong);
    coll_free(c);
    material_fini(&m);
}

static void check_alone(void) {
    struct outcome o = {0};
    struct link *l = link_self_new();
    check_coll(l, &o);
    check_count += o.checks;
    CHECK(o.failed == 0, "lone link: %s", o.first);
    link_free(l);
}

int main(int argc, char **argv) {
    many_calls = argc > 1 ? atol(argv[1]) : 2000;
    if (argc < 2) {
        check_endings();
        check_alone();
        for (int size = 1; size <= 9; size += SANITIZED_THREADS && size > 3 ? 2 : 1)
            run_threads(size, check_coll);
    }
    run_threads(2, call_often);
    run_threads(5, call_often);
    return check_report("coll-threads");
}
