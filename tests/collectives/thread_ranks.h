/* thread_ranks.h - runs a body on ranks that are threads, here or in a child process that is to end badly. */
#ifndef TESTS_COLLECTIVES_THREAD_RANKS_H
#define TESTS_COLLECTIVES_THREAD_RANKS_H

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "link_checks.h"

struct thread {
    pthread_t id;
    struct link *link;
    struct outcome outcome;
    void (*body)(struct link *l, struct outcome *o);
};

static inline void *thread_main(void *arg) {
    struct thread *t = arg;
    t->body(t->link, &t->outcome);
    link_free(t->link);
    return NULL;
}

static inline void run_threads(int size, void (*body)(struct link *l, struct outcome *o)) {
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

/* Runs three ranks in a child process; returns its signal and what it printed. */
static inline int run_child(void (*body)(struct link *l, struct outcome *o), char *text, size_t cap) {
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

#endif
