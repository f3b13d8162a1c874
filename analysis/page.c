/* page.c - all reports, each made by a process of its own, as one HTML page. */
#include <dirent.h>
#include <errno.h>
#include <gsl/gsl_version.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analysis/data.h"
#include "analysis/gnuplot.h"
#include "analysis/provenance.h"
#include "analysis/report.h"
#include "analysis/results.h"
#include "base/hash.h"
#include "base/text.h"
#include "dist/engine.h"
#include "html.h"
#include "page_style.h"

enum { MOST_SECTIONS = 32 };

/* What a report's process tells, in memory that it shares. */
struct told {
    int rc;
    char why[512], first[1024]; /* the first finding */
    double seconds;
    int tables, drawn;
};

struct section {
    const struct report *report;
    struct told *told;
    FILE *body; /* HTML, written by its process */
    pid_t pid; /* 0: not running */
};

struct page {
    const struct app *app;
    struct section section[MOST_SECTIONS];
    int n;
    struct told *told; /* [MOST_SECTIONS] */
    double begun;
};

/* ---- a section, in a process of its own ---- */

static void make_section(struct section *s, const struct app *app, struct diag *d) {
    struct report_page page = {0};
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/%s", app->spec.out, s->report->name);
    int rc = report_folder(folder, d);
    if (!rc) rc = s->report->make(&page, app, d);
    if (!rc) rc = report_write(s->report, &page, folder, &s->told->drawn, d);
    if (!rc) rc = report_section(s->report, &page, folder, s->body, d);
    if (!rc && (fflush(s->body) || ferror(s->body))) rc = diag_set(d, ERR_IO, "a temporary file cannot be written");
    if (page.n_findings) snprintf(s->told->first, sizeof s->told->first, "%s", page.finding[0]);
    s->told->tables = page.n;
    s->told->rc = rc;
    report_page_fini(&page);
}

static void be_section(struct section *s, const struct app *app, pid_t parent) {
    struct diag d = {0};
    double begun = engine_now();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    signal(SIGINT, SIG_IGN); /* the parent ends it */
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    make_section(s, app, &d);
    s->told->seconds = engine_now() - begun;
    snprintf(s->told->why, sizeof s->told->why, "%s", d.text);
    _exit(0);
}

static int start(struct page *p, struct section *s, struct diag *d) {
    pid_t self = getpid();
    s->told->rc = ERR_INTERNAL; /* unless it says otherwise */
    s->body = tmpfile();
    if (!s->body) return diag_set(d, ERR_IO, "no temporary file for a section: %s", strerror(errno));
    s->pid = fork();
    if (s->pid == 0) be_section(s, p->app, self);
    if (s->pid > 0) return 0;
    s->pid = 0;
    return diag_set(d, ERR_MEMORY, "no process for a section: %s", strerror(errno));
}

static void say_done(const struct section *s) {
    const struct told *t = s->told;
    if (t->rc)
        fprintf(stderr, "%-12s %6.1f s  left out: %s\n", s->report->name, t->seconds, t->why);
    else
        fprintf(stderr, "%-12s %6.1f s  %d table%s, %d figure%s\n", s->report->name, t->seconds, t->tables,
                t->tables == 1 ? "" : "s", t->drawn, t->drawn == 1 ? "" : "s");
}

/* Waits until one ends. */
static void reap(struct page *p) {
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    for (int i = 0; i < p->n; i++) {
        struct section *s = &p->section[i];
        if (pid <= 0 || s->pid != pid) continue;
        s->pid = 0;
        if (WIFSIGNALED(status))
            snprintf(s->told->why, sizeof s->told->why, "its process crashed: %s", strsignal(WTERMSIG(status)));
        say_done(s);
    }
}

static int running(const struct page *p) {
    int n = 0;
    for (int i = 0; i < p->n; i++)
        n += p->section[i].pid != 0;
    return n;
}

/* Those that measure, one at a time; or the others, `jobs` at once. */
static int make_some(struct page *p, int measures, int jobs, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < p->n && !rc && !app_stop; i++) {
        if ((p->section[i].report->measures > p->app->spec.quick) != measures) continue;
        rc = start(p, &p->section[i], d);
        while (!rc && !app_stop && running(p) >= jobs)
            reap(p);
    }
    while (running(p) && !rc && !app_stop)
        reap(p);
    for (int i = 0; i < p->n; i++)
        if (p->section[i].pid) kill(p->section[i].pid, SIGKILL);
    while (running(p))
        reap(p);
    return rc ? rc : app_stop ? diag_set(d, ERR_INTERRUPTED, "interrupted: no page") : 0;
}

/* ---- the page ---- */

static void put_head(const struct page *p, FILE *out) {
    char now[32];
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>northwall report</title>\n"
          "<style>\n" PAGE_STYLE "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#summary\">To the summary</a>\n"
          "<header><h1>northwall report</h1>\n<p>What sets the latency and energy of a decoder that is sharded over "
          "cards: memory bandwidth, interconnect, arithmetic or waiting. Made ",
          out);
    html_text(out, provenance_time(now, sizeof now));
    fputs(" on ", out);
    html_text(out, provenance_machine());
    fputs(p->app->spec.quick ? ", with <code>--quick</code>: fewer points.</p>\n" : ".</p>\n", out);
    fputs("<p class=\"note\">Kinds of number: <b>measured</b> on this machine (medians with an interval and n); "
          "<b>emulated</b> and <b>simulated</b> on described hardware, deterministic, so without an interval; "
          "<b>estimated</b> in closed form or by a fit. Energy is modelled. The files lie beside this page, in a "
          "folder for each section.</p>\n"
          "</header>\n<main>\n",
          out);
}

static void put_failure(const struct told *t, FILE *out) {
    fputs("<strong>Left out:</strong> ", out);
    html_text(out, t->why[0] ? t->why : err_text(t->rc));
}

static void put_summary(const struct page *p, FILE *out) {
    fputs("<section id=\"summary\" aria-labelledby=\"summary-h\"><h2 id=\"summary-h\">Summary</h2>\n<ul>\n", out);
    for (int i = 0; i < p->n; i++) {
        const struct section *s = &p->section[i];
        fprintf(out, "<li><a href=\"#%s\">%s</a>: ", s->report->name, s->report->name);
        if (s->told->rc)
            put_failure(s->told, out);
        else
            html_text(out, s->told->first[0] ? s->told->first : s->report->summary);
        fputs("</li>\n", out);
    }
    fputs("</ul></section>\n", out);
}

static void put_contents(const struct page *p, FILE *out) {
    fputs("<nav aria-label=\"Contents\"><h2>Contents</h2><ol>\n", out);
    for (int i = 0; i < p->n; i++) {
        fprintf(out, "<li><a href=\"#%s\">%s</a>: ", p->section[i].report->name, p->section[i].report->name);
        html_text(out, p->section[i].report->summary);
        fputs("</li>\n", out);
    }
    fputs("<li><a href=\"#provenance\">Provenance</a></li>\n</ol></nav>\n", out);
}

static void put_body(const struct section *s, FILE *out) {
    char buf[4096];
    rewind(s->body);
    for (size_t n; (n = fread(buf, 1, sizeof buf, s->body)) > 0;)
        fwrite(buf, 1, n, out);
}

static void put_section(const struct page *p, const struct section *s, FILE *out) {
    const char *name = s->report->name;
    fprintf(out, "<section id=\"%s\" aria-labelledby=\"%s-h\"><h2 id=\"%s-h\">%s</h2>\n", name, name, name, name);
    if (s->told->rc) {
        fputs("<p class=\"failed\">", out);
        put_failure(s->told, out);
        fputs("</p>\n", out);
    } else {
        put_body(s, out);
    }
    fprintf(out, "<p class=\"made\">Made by <code>northwall report %s%s --out %s</code> in %.1f s.</p></section>\n",
            name, p->app->spec.quick ? " --quick" : "", name, s->told->seconds);
}

static void put_fact(FILE *out, const char *name, const char *text) {
    fprintf(out, "<dt>%s</dt><dd>", name);
    html_text(out, text);
    fputs("</dd>\n", out);
}

/* The words that this program was called with. */
static void put_command(FILE *out) {
    FILE *f = fopen("/proc/self/cmdline", "r");
    char text[4096] = "";
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    for (size_t i = 0; i + 1 < n; i++)
        if (!text[i]) text[i] = ' ';
    if (f) fclose(f);
    const char *first = text + strcspn(text, " "); /* the program, without its folder */
    while (first > text && first[-1] != '/')
        first--;
    put_fact(out, "Command", first);
}

static void put_gnuplot(FILE *out) {
    char text[96] = "not installed";
    FILE *f = tmpfile();
    if (f && !gnuplot_run(NULL, f)) {
        rewind(f);
        if (fgets(text, sizeof text, f)) text[strcspn(text, "\n")] = 0;
    }
    if (f) fclose(f);
    put_fact(out, "gnuplot", text);
}

static int is_yaml(const struct dirent *e) {
    const char *dot = strrchr(e->d_name, '.');
    return dot && !strcmp(dot, ".yaml");
}

/* All that come with the program, by their contents. */
static void put_clusters(FILE *out) {
    char folder[4096], path[4400], *text;
    struct dirent **e;
    size_t len;
    int n = data_path(folder, sizeof folder, "cluster-configs", NULL) ? 0 : scandir(folder, &e, is_yaml, alphasort);
    fputs("<dt>Cluster files, with hashes of their contents</dt><dd>", out);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, e[i]->d_name);
        fputs(i ? ", " : "", out);
        html_text(out, e[i]->d_name);
        if (!text_read_file(path, 1 << 20, &text, &len, NULL)) {
            fprintf(out, " <code>%016llx</code>", (unsigned long long)hash_bytes(text, len, 0));
            free(text);
        }
        free(e[i]);
    }
    if (n > 0) free(e);
    fputs("</dd>\n", out);
}

static void put_foot(const struct page *p, FILE *out) {
    char text[64];
    fputs("</main>\n<footer id=\"provenance\"><h2>Provenance</h2>\n<dl>\n", out);
    put_fact(out, "Program", "northwall " NW_VERSION);
    put_command(out);
    put_fact(out, "Compiler", provenance_compiler());
    put_fact(out, "MPI", provenance_mpi());
    put_fact(out, "GSL", gsl_version);
    put_fact(out, "SQLite", results_library());
    put_gnuplot(out);
    put_fact(out, "Machine", provenance_machine());
    put_clusters(out);
    put_fact(out, "Seeds", "1, of all bootstraps; sections that use others say so");
    snprintf(text, sizeof text, "%.1f", engine_now() - p->begun);
    put_fact(out, "Seconds in all", text);
    fputs("</dl></footer>\n</body>\n</html>\n", out);
}

static void put_page(void *user, FILE *out) {
    const struct page *p = user;
    put_head(p, out);
    put_summary(p, out);
    put_contents(p, out);
    for (int i = 0; i < p->n; i++)
        put_section(p, &p->section[i], out);
    put_foot(p, out);
}

/* The first error that is more than something not installed. */
static int first_error(const struct page *p, struct diag *d) {
    for (int i = 0; i < p->n; i++) {
        const struct told *t = p->section[i].told;
        if (t->rc && t->rc != ERR_UNSUPPORTED)
            return diag_set(d, t->rc, "report %s: %.400s", p->section[i].report->name, t->why);
    }
    return 0;
}

int report_all(const struct app *app, struct diag *d) {
    struct page p = {.app = app, .begun = engine_now()};
    char path[4096];
    int jobs = app->spec.jobs ? (int)app->spec.jobs : app->cores;
    p.told = mmap(NULL, MOST_SECTIONS * sizeof *p.told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p.told == MAP_FAILED) return diag_set(d, ERR_MEMORY, "no memory for a page");
    for (; reports[p.n] && p.n < MOST_SECTIONS; p.n++)
        p.section[p.n] = (struct section){.report = reports[p.n], .told = &p.told[p.n]};
    int rc = report_folder(app->spec.out, d);
    if (!rc) rc = make_some(&p, 1, 1, d);
    if (!rc) rc = make_some(&p, 0, jobs, d);
    snprintf(path, sizeof path, "%s/index.html", app->spec.out);
    if (!rc) rc = text_write_file(path, put_page, &p, d);
    if (!rc) printf("%s\n", path);
    if (!rc) rc = first_error(&p, d);
    for (int i = 0; i < p.n; i++)
        if (p.section[i].body) fclose(p.section[i].body);
    munmap(p.told, MOST_SECTIONS * sizeof *p.told);
    return rc;
}
