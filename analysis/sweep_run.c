/* sweep_run.c - the points of a sweep, dealt to processes; what they send is kept. */
#include "analysis/sweep_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dist/engine.h"

enum { MOST_JOBS = 256, DEEP = 32 /* points that a process has before it */, READ_AT_ONCE = 1 << 16 };

struct worker {
    pid_t pid; /* 0: none */
    int to, from;
    double since; /* its first point began */
    long queue[DEEP]; /* its points, the first under way */
    int n;
    char *line; /* what came of the next result */
    size_t len, cap;
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
    int alone; /* measured points: each is committed */
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

static void work(const struct runner *run, int in, int out) {
    struct sweep_cache *cache = sweep_cache_new(run->app);
    struct sweep_point *p = malloc(sizeof *p);
    FILE *to = fdopen(out, "w");
    long i;
    while (cache && p && to && !read_all(in, &i, sizeof i)) {
        sweep_point(p, run->s, i);
        json_t *row = sweep_do(cache, p);
        if (!row || json_dumpf(row, to, JSON_COMPACT) || fputc('\n', to) == EOF || fflush(to)) break;
        json_decref(row);
    }
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

static int commit(struct runner *run) {
    int rc = results_commit(run->r, run->d);
    if (!rc) run->uncommitted = 0;
    run->committed = engine_now();
    return rc;
}

static int keep(struct runner *run, const json_t *row) {
    int added = 0, rc = results_add(run->r, row, &added, run->d);
    if (rc) return rc;
    run->counts->done++;
    run->counts->failed += strcmp(json_string_value(json_object_get(row, "status")), "ok") != 0;
    run->uncommitted++;
    return run->alone ? commit(run) : 0;
}

static int keep_failure(struct runner *run, long i, const char *reason) {
    struct sweep_point *p = malloc(sizeof *p);
    if (!p) return diag_set(run->d, ERR_MEMORY, "no memory for a point");
    sweep_point(p, run->s, i);
    json_t *row = sweep_failure(p, reason);
    int rc = keep(run, row);
    json_decref(row);
    free(p);
    return rc;
}

/* A process's first point is done. */
static void next_point(struct worker *w) {
    memmove(w->queue, w->queue + 1, (size_t)--w->n * sizeof *w->queue);
    w->since = engine_now();
}

static int take_lines(struct runner *run, struct worker *w) {
    size_t at = 0;
    int rc = 0;
    for (char *end; !rc && w->n && (end = memchr(w->line + at, '\n', w->len - at)); at = (size_t)(end - w->line) + 1) {
        json_error_t e;
        json_t *row = json_loadb(w->line + at, (size_t)(end - w->line) - at, 0, &e);
        rc = row ? keep(run, row) : keep_failure(run, w->queue[0], "its process sent no result");
        json_decref(row);
        next_point(w);
    }
    memmove(w->line, w->line + at, w->len - at);
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
    if (w->cap - w->len < READ_AT_ONCE) {
        char *bigger = realloc(w->line, w->cap + 2 * READ_AT_ONCE);
        if (!bigger) return diag_set(run->d, ERR_MEMORY, "no memory for results");
        w->line = bigger;
        w->cap += 2 * READ_AT_ONCE;
    }
    ssize_t got = read(w->from, w->line + w->len, READ_AT_ONCE);
    if (got < 0 && errno == EINTR) return 0;
    if (got <= 0) return lose(run, w, 0);
    w->len += (size_t)got;
    return take_lines(run, w);
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

static int deal(struct runner *run, struct worker *w, long end) {
    long left = end - run->next, deep = run->alone ? 1 : left / (2 * run->jobs);
    deep = deep < 1 ? 1 : deep > DEEP ? DEEP : deep;
    while (w->n < deep && run->next < end) {
        if (!w->pid) {
            int rc = start(run, w);
            if (rc) return rc;
        }
        long i = run->missing[run->next];
        if (!w->n) w->since = engine_now();
        if (write(w->to, &i, sizeof i) != sizeof i) return lose(run, w, 0);
        w->queue[w->n++] = run->missing[run->next++];
    }
    return 0;
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
    if (poll(p, (nfds_t)run->jobs, 100) < 0) memset(p, 0, sizeof p);
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
    int measured;
};

static int by_hash(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->i > y->i) - (x->i < y->i);
}

static int by_turn(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    return x->measured != y->measured ? x->measured - y->measured : (x->i > y->i) - (x->i < y->i);
}

/* 1: in the file, -1: it cannot be read. */
static int is_done(struct results *r, uint64_t hash) {
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    return r ? results_has(r, text) : 0;
}

/* Drops those that are there already, or twice. */
static int drop(struct named *v, long *n, struct results *r, struct sweep_counts *counts, struct diag *d) {
    long kept = 0;
    qsort(v, (size_t)*n, sizeof *v, by_hash);
    for (long i = 0; i < *n; i++) {
        if (i && v[i].hash == v[i - 1].hash) continue;
        int done = is_done(r, v[i].hash);
        if (done < 0) return diag_set(d, ERR_IO, "the file of results cannot be read");
        counts->points++;
        counts->before += done;
        if (!done) v[kept++] = v[i]; /* at or before i: what is compared next is read before */
    }
    *n = kept;
    qsort(v, (size_t)kept, sizeof *v, by_turn);
    return 0;
}

/* What is to do: measured points last, otherwise by number. malloc'ed; *virtual_: how many are not measured. */
static int find_missing(long **out, long *n, long *virtual_, struct sweep_counts *counts, const struct sweep *s,
                        struct results *r, struct diag *d) {
    *n = sweep_points(s);
    struct named *v = calloc((size_t)*n + 1, sizeof *v);
    struct sweep_point *p = malloc(sizeof *p);
    *out = calloc((size_t)*n + 1, sizeof **out);
    *counts = (struct sweep_counts){0};
    int rc = v && p && *out ? 0 : diag_set(d, ERR_MEMORY, "no memory for %ld points", *n);
    for (long i = 0; i < *n && !rc; i++) {
        sweep_point(p, s, i);
        v[i] = (struct named){p->hash, i, p->engine == SWEEP_RUN};
    }
    if (!rc) rc = drop(v, n, r, counts, d);
    for (long i = *virtual_ = 0; i < *n && !rc; i++) {
        (*out)[i] = v[i].i;
        *virtual_ += !v[i].measured;
    }
    free(v);
    free(p);
    return rc;
}

int sweep_list(struct sweep_counts *counts, const struct sweep *s, struct results *r, FILE *out, struct diag *d) {
    long *missing, n, not_measured;
    struct sweep_point *p = malloc(sizeof *p);
    int rc = find_missing(&missing, &n, &not_measured, counts, s, r, d);
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
              struct diag *d) {
    struct runner *run = calloc(1, sizeof *run);
    long not_measured = 0;
    if (!run) return diag_set(d, ERR_MEMORY, "no memory for a sweep");
    *run = (struct runner){.s = s, .r = r, .app = app, .counts = counts, .d = d, .terminal = isatty(STDERR_FILENO)};
    run->begun = run->committed = run->shown = engine_now();
    int rc = find_missing(&run->missing, &run->n_missing, &not_measured, counts, s, r, d);
    if (!rc) rc = phase(run, not_measured, jobs < MOST_JOBS ? jobs : MOST_JOBS);
    if (!rc) rc = phase(run, run->n_missing, 0);
    if (!rc) rc = commit(run);
    show(run, 1);
    if (!rc && app_stop)
        rc = diag_set(d, ERR_INTERRUPTED, "interrupted: %ld of %ld points are done; the same command goes on",
                      counts->before + counts->done, counts->points);
    for (int i = 0; i < MOST_JOBS; i++)
        free(run->worker[i].line);
    free(run->missing);
    free(run);
    return rc;
}
