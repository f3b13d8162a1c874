/* Links without MPI: ranks as threads, 1 to 9 of them; the lone link; and what ends a job that would hang. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "link_checks.h"

struct thread {
    pthread_t id;
    struct link *link;
    struct outcome outcome;
    void (*body)(struct link *l, struct outcome *o);
};

static void *thread_main(void *arg) {
    struct thread *t = arg;
    t->body(t->link, &t->outcome);
    link_free(t->link);
    return NULL;
}

static void run_threads(int size, void (*body)(struct link *l, struct outcome *o)) {
    static struct thread threads[MAX_RANKS];
    struct link *links[MAX_RANKS];
    CHECK(link_threads_new(size, links) == 0, "%d links", size);
    for (int r = 0; r < size; r++) {
        threads[r] = (struct thread){.link = links[r], .body = body};
        CHECK(pthread_create(&threads[r].id, NULL, thread_main, &threads[r]) == 0, "thread %d", r);
    }
    for (int r = 0; r < size; r++) {
        pthread_join(threads[r].id, NULL);
        check_count += threads[r].outcome.checks;
        CHECK(threads[r].outcome.failed == 0, "%d ranks, rank %d: %s", size, r, threads[r].outcome.first);
    }
}

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

/* Runs three ranks in a child process; returns its signal and what it printed. */
static int run_child(void (*body)(struct link *l, struct outcome *o), char *text, size_t cap) {
    int fd[2], status = 0;
    size_t n = 0;
    ssize_t got;
    if (pipe(fd) != 0) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd[1], STDERR_FILENO);
        close(fd[0]);
        run_threads(3, body);
        _exit(0);
    }
    close(fd[1]);
    while (n < cap - 1 && (got = read(fd[0], text + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = 0;
    close(fd[0]);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
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
