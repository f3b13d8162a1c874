/* Links without MPI: ranks as threads, 1 to 9 of them; the lone link; and what ends a job that would hang. */
#include <time.h>

#include "thread_ranks.h"

static void check_alone(void) {
    struct outcome o = {0};
    struct link *l = link_self_new();
    CHECK(l && l->size == 1 && l->rank == 0, "lone link");
    check_link(l, &o);
    check_count += o.checks;
    CHECK(o.failed == 0 && l->counts.messages == 0, "lone link: %s", o.first);
    link_free(l);
    link_free(NULL);
}

/* A rank that nobody sends to, one that sends what nobody receives, one whose message is too short or too long, one
 * that sends to itself. Each must end the process and say what hangs. */
static void never_comes(struct link *l, struct outcome *o) {
    int x;
    (void)o;
    l->wait_limit_s = l->rank == 2 ? 0.2 : 60;
    if (l->rank == 2) link_recv(l, 0, 7, &x, sizeof x);
    agree_barrier(l);
}

static void never_received(struct link *l, struct outcome *o) {
    int x = 0;
    struct link_request req;
    (void)o;
    l->wait_limit_s = l->rank == 1 ? 0.2 : 60;
    if (l->rank == 1) {
        link_isend(l, 2, 9, &x, sizeof x, &req);
        link_wait(l, &req);
    }
    agree_barrier(l);
}

static void too_short(struct link *l, struct outcome *o) {
    char x[8] = {0};
    struct link_request req;
    (void)o;
    if (l->rank == 0) {
        link_isend(l, 1, 3, x, 4, &req);
        link_wait(l, &req);
    }
    if (l->rank == 1) link_recv(l, 0, 3, x, 8);
    agree_barrier(l);
}

static void too_long(struct link *l, struct outcome *o) {
    char x[8] = {0};
    struct link_request req;
    (void)o;
    if (l->rank == 0) {
        link_isend(l, 1, 3, x, 8, &req);
        link_wait(l, &req);
    }
    if (l->rank == 1) link_recv_upto(l, 0, 3, x, 7);
    agree_barrier(l);
}

static void to_itself(struct link *l, struct outcome *o) {
    struct link_request req;
    (void)o;
    if (l->rank == 1) link_isend(l, 1, 4, NULL, 0, &req);
    agree_barrier(l);
}

static void check_endings(void) {
    static const struct {
        void (*body)(struct link *l, struct outcome *o);
        const char *text;
    } cases[] = {
        {never_comes, "rank 2: waited 0.2 s for 4 bytes from rank 0 with tag 7 that never came"},
        {never_received, "rank 1: waited 0.2 s for rank 2 to receive 4 bytes with tag 9"},
        {too_short, "rank 1: expects 8 bytes from rank 0 with tag 3, which sent 4"},
        {too_long, "rank 1: expects 7 bytes from rank 0 with tag 3, which sent 8"},
        {to_itself, "rank 1: sends to rank 1 with tag 4: no such peer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[4096];
        int sig = run_child(cases[i].body, text, sizeof text);
        CHECK(sig == SIGABRT && strstr(text, cases[i].text), "case %zu: signal %d, '%s'", i, sig, text);
    }
}

/* A rank that waits does not use its processor meanwhile, and the wait is counted. */
static void long_wait(struct link *l, struct outcome *o) {
    struct timespec cpu0, cpu1, nap = {0, 200 * 1000 * 1000};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu0);
    uint64_t waited = l->counts.wait_ns;
    if (l->rank == 0) nanosleep(&nap, NULL);
    agree_barrier(l);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu1);
    double used = (double)(cpu1.tv_sec - cpu0.tv_sec) + 1e-9 * (double)(cpu1.tv_nsec - cpu0.tv_nsec);
    EXPECT(o, used < 0.1, "rank %d used %g s while waiting", l->rank, used);
    EXPECT(o, l->rank == 0 || l->counts.wait_ns - waited > 150 * 1000 * 1000, "waited %ld ns", (long)l->counts.wait_ns);
}

int main(void) {
    check_endings();
    check_alone();
    for (int size = 1; size <= 9; size++)
        run_threads(size, check_link);
    run_threads(4, long_wait);
    run_threads(33, check_agree);
    return check_report("link-threads");
}
