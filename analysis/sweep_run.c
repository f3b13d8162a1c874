/* sweep_run.c - the points of a sweep, dealt to processes; what they send is kept. */
#include "analysis/sweep_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dist/engine.h"

enum { MOST_JOBS = 256, DEEP = 32 /* points that a process has before it */, READ_AT_ONCE = 1 << 16 };
#define HEAD offsetof(struct sweep_outcome, value) /* what is sent of an outcome before its values */

struct worker {
    pid_t pid; /* 0: none */
    int to, from;
    double since; /* its first point began */
    long queue[DEEP]; /* its points, the first under way */
    int n;
    char *got; /* of its next outcomes */
    size_t len;
};

struct runner {
    const struct sweep *s;
    struct results *r;
    const struct app *app;
    struct sweep_counts *counts;
    struct diag *d;
    long *missing; /* points by number */
    long n_missing, next;
    struct worker worker[MOST_JOBS];
    int jobs;
    int alone; /* jobs under mpirun: each is committed */
    int retry;
    struct sweep_point *point; /* space for one */
    double begun, committed, shown;
    long uncommitted;
    int terminal;
};

/* ---- a process that does points ---- */

static int read_all(int fd, void *at, size_t n) {
    for (char *p = at; n;) {
        ssize_t got = read(fd, p, n);
        if (got <= 0 && !(got < 0 && errno == EINTR)) return -1;
        p += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int write_all(int fd, const void *at, size_t n) {
    for (const char *p = at; n;) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno != EINTR) return -1;
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* Each outcome is sent at once: what its process has not sent when it crashes is the point that crashed. */
static void work(const struct runner *run, int in, int out) {
    struct sweep_cache *cache = sweep_cache_new(run->app);
    struct sweep_outcome o;
    long i;
    while (cache && !read_all(in, &i, sizeof i)) {
        sweep_point(run->point, run->s, i);
        sweep_do(&o, cache, run->point);
        if (write_all(out, &o, HEAD + (size_t)o.n * sizeof *o.value)) break;
    }
    sweep_cache_free(cache);
    _exit(0);
}

static void be_worker(const struct runner *run, pid_t parent, int in, int out) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    signal(SIGINT, SIG_IGN); /* the parent ends it */
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    results_leave(run->r);
    for (int i = 0; i < run->jobs; i++) { /* so that an end of file comes when the parent closes them */
        if (!run->worker[i].pid) continue;
        close(run->worker[i].to);
        close(run->worker[i].from);
    }
    work(run, in, out);
}

static int start(struct runner *run, struct worker *w) {
    int to[2], from[2];
    pid_t self = getpid();
    if (pipe(to)) return diag_set(run->d, ERR_IO, "no pipe to a process: %s", strerror(errno));
    if (pipe(from)) {
        close(to[0]), close(to[1]);
        return diag_set(run->d, ERR_IO, "no pipe from a process: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(to[1]), close(from[0]);
        be_worker(run, self, to[0], from[1]);
    }
    close(to[0]), close(from[1]);
    w->to = to[1];
    w->from = from[0];
    w->pid = pid > 0 ? pid : 0;
    w->len = 0;
    w->n = 0;
    if (pid > 0) return 0;
    close(to[1]), close(from[0]);
    return diag_set(run->d, ERR_MEMORY, "no process for points: %s", strerror(errno));
}

/* *status: as waitpid tells. */
static void stop(struct worker *w, int kill_it, int *status) {
    if (!w->pid) return;
    if (kill_it) kill(w->pid, SIGKILL);
    close(w->to);
    close(w->from);
    while (waitpid(w->pid, status, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
}

/* ---- results ---- */

static char *point_text(char *out, uint64_t hash) {
    snprintf(out, 20, "%016llx", (unsigned long long)hash);
    return out;
}

static int commit(struct runner *run) {
    int rc = results_commit(run->r, run->d);
    if (!rc) run->uncommitted = 0;
    run->committed = engine_now();
    return rc;
}

static int keep(struct runner *run, long i, const struct sweep_outcome *o) {
    char point[20];
    int added = 0, rc = 0;
    sweep_point(run->point, run->s, i);
    if (run->retry) rc = results_drop_failed(run->r, point_text(point, run->point->hash), run->d);
    if (!rc) rc = sweep_keep(run->r, run->point, o, &added, run->d);
    if (rc) return rc;
    run->counts->done++;
    run->counts->failed += o->reason[0] != 0;
    run->uncommitted++;
    return run->alone ? commit(run) : 0;
}

static int keep_failure(struct runner *run, long i, const char *reason) {
    struct sweep_outcome o;
    sweep_failed(&o, reason);
    return keep(run, i, &o);
}

/* A process's first point is done. */
static void next_point(struct worker *w) {
    memmove(w->queue, w->queue + 1, (size_t)--w->n * sizeof *w->queue);
    w->since = engine_now();
}

static int take_outcomes(struct runner *run, struct worker *w) {
    struct sweep_outcome o;
    size_t at = 0;
    int rc = 0;
    while (!rc && w->n && w->len - at >= HEAD) {
        memcpy(&o, w->got + at, HEAD);
        size_t values = (size_t)o.n * sizeof *o.value;
        if (w->len - at < HEAD + values) break;
        memcpy(o.value, w->got + at + HEAD, values);
        at += HEAD + values;
        rc = keep(run, w->queue[0], &o);
        next_point(w);
    }
    memmove(w->got, w->got + at, w->len - at);
    w->len -= at;
    return rc;
}

/* Its first point did not come to an end; the others go back. */
static int lose(struct runner *run, struct worker *w, int late) {
    char why[96];
    int status = 0, rc = 0;
    stop(w, 1, &status);
    if (late)
        snprintf(why, sizeof why, "took longer than %d s (timeout)", sweep_timeout_s(run->s));
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(why, sizeof why, "its process ended with status %d", WEXITSTATUS(status));
    if (w->n) {
        rc = keep_failure(run, w->queue[0], why);
        next_point(w);
    }
    while (w->n)
        run->missing[--run->next] = w->queue[--w->n]; /* they were taken from there */
    return rc;
}

static int receive(struct runner *run, struct worker *w) {
    if (!w->got) w->got = malloc(READ_AT_ONCE + sizeof(struct sweep_outcome)); /* less than one is left of a read */
    if (!w->got) return diag_set(run->d, ERR_MEMORY, "no memory for results");
    ssize_t got = read(w->from, w->got + w->len, READ_AT_ONCE);
    if (got < 0 && errno == EINTR) return 0;
    if (got <= 0) return lose(run, w, 0);
    w->len += (size_t)got;
    return take_outcomes(run, w);
}

/* ---- progress ---- */

static void duration(char *out, size_t cap, double s) {
    if (s < 100)
        snprintf(out, cap, "%.0f s", s);
    else if (s < 6000)
        snprintf(out, cap, "%.0f min", s / 60);
    else
        snprintf(out, cap, "%.1f h", s / 3600);
}

static void show(struct runner *run, int last) {
    enum { WIDTH = 30 };
    const struct sweep_counts *c = run->counts;
    double now = engine_now(), every = run->terminal ? 0.2 : 60;
    long left = c->points - c->before - c->done;
    char eta[32] = "?";
    if (run->app->spec.quiet || (!last && now - run->shown < every)) return;
    run->shown = now;
    if (c->done) duration(eta, sizeof eta, (now - run->begun) / (double)c->done * (double)left);
    if (run->terminal) {
        int full = c->points ? (int)(WIDTH * (c->before + c->done) / c->points) : WIDTH;
        fprintf(stderr, "\r[%.*s%.*s] %ld of %ld, %ld failed, %s left \033[K%s", full, "##############################",
                WIDTH - full, "..............................", c->before + c->done, c->points, c->failed,
                left ? eta : "none", last ? "\n" : "");
    } else if (!last) {
        fprintf(stderr, "%ld of %ld points, %ld failed, %s left\n", c->before + c->done, c->points, c->failed, eta);
    }
}

/* ---- all points ---- */

/* Fills up a queue that is half empty: neighbours go to one process, which keeps what they have in common. */
static int deal(struct runner *run, struct worker *w, long end) {
    long left = end - run->next, deep = run->alone ? 1 : DEEP;
    while (deep > 1 && deep > left / (2 * run->jobs))
        deep /= 2;
    if (w->n > deep / 2) return 0;
    while (w->n < deep && run->next < end) {
        if (!w->pid) {
            int rc = start(run, w);
            if (rc) return rc;
        }
        long i = run->missing[run->next];
        if (!w->n) w->since = engine_now();
        if (write(w->to, &i, sizeof i) != sizeof i)
            return w->n ? 0 : lose(run, w, 0); /* it has ended: receive finds out at which of its points */
        w->queue[w->n++] = run->missing[run->next++];
    }
    return 0;
}

/* Waits for outcomes, shortly. Where that took long this process was stopped, as all of a job are by ^Z: such time is
 * no point's. */
static void look(struct runner *run, struct pollfd *p) {
    enum { AWAY_S = 1 };
    double begun = engine_now();
    /* a nap, so that results come several at a time: processes have work for longer before them */
    if (!run->alone) usleep(500);
    if (poll(p, (nfds_t)run->jobs, 100) < 0) memset(p, 0, (size_t)run->jobs * sizeof *p);
    double away = engine_now() - begun;
    for (int i = 0; i < run->jobs && away > AWAY_S; i++)
        run->worker[i].since += away;
}

static int turn(struct runner *run, long end) {
    struct pollfd p[MOST_JOBS];
    int rc = 0, busy = 0;
    for (int i = 0; i < run->jobs && !rc; i++) {
        rc = deal(run, &run->worker[i], end);
        p[i] = (struct pollfd){run->worker[i].n ? run->worker[i].from : -1, POLLIN, 0};
        busy += run->worker[i].n > 0;
    }
    if (rc || !busy) return rc;
    look(run, p);
    for (int i = 0; i < run->jobs && !rc; i++) {
        struct worker *w = &run->worker[i];
        if (p[i].revents)
            rc = receive(run, w);
        else if (w->n && engine_now() - w->since > sweep_timeout_s(run->s))
            rc = lose(run, w, 1);
    }
    if (!rc && run->uncommitted && engine_now() - run->committed > 0.3) rc = commit(run);
    show(run, 0);
    return rc;
}

static int is_busy(const struct runner *run, long end) {
    int busy = run->next < end;
    for (int i = 0; i < run->jobs; i++)
        busy |= run->worker[i].n > 0;
    return busy;
}

/* Points up to `end` of the list. */
static int phase(struct runner *run, long end, int jobs) {
    int rc = 0, status;
    run->jobs = jobs;
    run->alone = jobs == 0;
    if (run->alone) run->jobs = 1;
    while (!rc && !app_stop && is_busy(run, end))
        rc = turn(run, end);
    for (int i = 0; i < run->jobs; i++) {
        stop(&run->worker[i], rc || app_stop, &status);
        run->worker[i].n = 0;
    }
    return rc;
}

/* ---- which points ---- */

struct named {
    uint64_t hash;
    long i;
    int job; /* under mpirun */
};

static int by_hash(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->i > y->i) - (x->i < y->i);
}

static int by_turn(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    return x->job != y->job ? x->job - y->job : (x->i > y->i) - (x->i < y->i);
}

/* 1: in the file, -1: it cannot be read. */
static int is_done(struct results *r, uint64_t hash, int retry) {
    char text[20];
    enum result_state state = r ? results_has(r, point_text(text, hash)) : RESULT_NONE;
    return state == RESULT_UNREADABLE ? -1 : state == RESULT_OK || (state == RESULT_FAILED && !retry);
}

/* Drops those that are there already, or twice. */
static int drop(struct named *v, long *n, struct results *r, int retry, struct sweep_counts *counts, struct diag *d) {
    long kept = 0;
    qsort(v, (size_t)*n, sizeof *v, by_hash);
    for (long i = 0; i < *n; i++) {
        if (i && v[i].hash == v[i - 1].hash) continue;
        int done = is_done(r, v[i].hash, retry);
        if (done < 0) return diag_set(d, ERR_IO, "the file of results cannot be read");
        counts->points++;
        counts->before += done;
        if (!done) v[kept++] = v[i]; /* at or before i: what is compared next is read before */
    }
    *n = kept;
    qsort(v, (size_t)kept, sizeof *v, by_turn);
    return 0;
}

/* What is to do: jobs under mpirun last, otherwise by number. malloc'ed; *virtual_: how many are none. */
static int find_missing(long **out, long *n, long *virtual_, struct sweep_counts *counts, const struct sweep *s,
                        struct results *r, int retry, struct diag *d) {
    *n = sweep_points(s);
    struct named *v = calloc((size_t)*n + 1, sizeof *v);
    struct sweep_point *p = malloc(sizeof *p);
    *out = calloc((size_t)*n + 1, sizeof **out);
    *counts = (struct sweep_counts){0};
    int rc = v && p && *out ? 0 : diag_set(d, ERR_MEMORY, "no memory for %ld points", *n);
    for (long i = 0; i < *n && !rc; i++) {
        sweep_point(p, s, i);
        v[i] = (struct named){p->hash, i, sweep_is_job(p)};
    }
    if (!rc) rc = drop(v, n, r, retry, counts, d);
    for (long i = *virtual_ = 0; i < *n && !rc; i++) {
        (*out)[i] = v[i].i;
        *virtual_ += !v[i].job;
    }
    free(v);
    free(p);
    return rc;
}

int sweep_list(struct sweep_counts *counts, const struct sweep *s, struct results *r, int retry, FILE *out,
               struct diag *d) {
    long *missing, n, virtual_;
    struct sweep_point *p = malloc(sizeof *p);
    int rc = find_missing(&missing, &n, &virtual_, counts, s, r, retry, d);
    if (!p) rc = diag_set(d, ERR_MEMORY, "no memory for a point");
    for (long i = 0; i < n && !rc; i++) {
        sweep_point(p, s, missing[i]);
        char *command = sweep_command(p);
        fprintf(out, "%s\n", command ? command : "");
        free(command);
    }
    free(missing);
    free(p);
    return rc;
}

int sweep_run(struct sweep_counts *counts, const struct sweep *s, struct results *r, const struct app *app, int jobs,
              int retry, struct diag *d) {
    struct runner *run = calloc(1, sizeof *run);
    struct sweep_point *point = malloc(sizeof *point);
    long virtual_ = 0;
    if (!run || !point) {
        free(run);
        free(point);
        return diag_set(d, ERR_MEMORY, "no memory for a sweep");
    }
    *run = (struct runner){.s = s, .r = r, .app = app, .counts = counts, .d = d, .terminal = isatty(STDERR_FILENO)};
    run->retry = retry;
    run->point = point;
    run->begun = run->committed = run->shown = engine_now();
    int rc = find_missing(&run->missing, &run->n_missing, &virtual_, counts, s, r, retry, d);
    if (!rc) rc = phase(run, virtual_, jobs < MOST_JOBS ? jobs : MOST_JOBS);
    if (!rc) rc = phase(run, run->n_missing, 0);
    if (!rc) rc = commit(run);
    show(run, 1);
    if (!rc && app_stop)
        rc = diag_set(d, ERR_INTERRUPTED, "interrupted: %ld of %ld points are done; the same command goes on",
                      counts->before + counts->done, counts->points);
    for (int i = 0; i < MOST_JOBS; i++)
        free(run->worker[i].got);
    free(run->missing);
    free(point);
    free(run);
    return rc;
}
