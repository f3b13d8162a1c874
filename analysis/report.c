#include "analysis/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/gnuplot.h"
#include "base/text.h"

enum { MOST_SHOWN = 48 }; /* rows of a table on a terminal */

struct frame *report_table(struct report_page *page, const char *name, const char *title, const char *note) {
    struct frame *t = page->n < REPORT_MOST_TABLES ? frame_new(name, title, note) : NULL;
    if (t) page->table[page->n++] = t;
    page->lost |= !t;
    return t;
}

static void put_finding(struct report_page *page, int at, const char *fmt, va_list args) {
    char *text = NULL;
    if (page->n_findings == REPORT_MOST_FINDINGS || vasprintf(&text, fmt, args) < 0) {
        page->lost = 1;
        return;
    }
    memmove(&page->finding[at + 1], &page->finding[at], (size_t)(page->n_findings++ - at) * sizeof *page->finding);
    page->finding[at] = text;
}

void report_say(struct report_page *page, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_finding(page, page->n_findings, fmt, args);
    va_end(args);
}

void report_lead(struct report_page *page, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_finding(page, 0, fmt, args);
    va_end(args);
}

void report_page_fini(struct report_page *page) {
    for (int i = 0; i < page->n_findings; i++)
        free(page->finding[i]);
    page->n_findings = 0;
    for (int i = 0; i < page->n; i++)
        frame_free(page->table[i]);
    page->n = 0;
}

static int print_json(const struct report *r, const struct report_page *page, FILE *out, struct diag *d) {
    json_t *tables = json_object(), *words = json_array(), *o = NULL;
    int rc = 0;
    for (int i = 0; i < page->n_findings; i++)
        json_array_append_new(words, json_string(page->finding[i]));
    for (int i = 0; i < page->n && !rc; i++) {
        rc = frame_json(page->table[i], &o, d);
        if (!rc) json_object_set_new(tables, frame_name(page->table[i]), o);
    }
    o = json_pack("{s:s, s:s, s:o, s:o}", "report", r->name, "title", r->text, "findings", words, "tables", tables);
    if (!rc) {
        json_dumpf(o, out, JSON_INDENT(1));
        fputc('\n', out);
    }
    json_decref(o);
    return rc;
}

static int check(const struct report_page *page, struct diag *d) {
    return page->lost ? diag_set(d, ERR_MEMORY, "no memory, or no room, for a report of so many findings and tables")
                      : 0;
}

int report_print(const struct report *r, const struct report_page *page, FILE *out, int json, struct diag *d) {
    int rc = check(page, d);
    if (rc || json) return rc ? rc : print_json(r, page, out, d);
    fprintf(out, "%s\n", r->text);
    for (int i = 0; i < page->n_findings; i++)
        fprintf(out, "%s* %s\n", i ? "" : "\n", page->finding[i]);
    for (int i = 0; i < page->n && !rc; i++) {
        fputc('\n', out);
        rc = frame_print(page->table[i], MOST_SHOWN, out, d);
    }
    return rc;
}

/* ---- files ---- */

static void put_text(void *user, FILE *out) {
    fputs(user, out);
}

struct picture {
    FILE *commands;
    int failed;
};

static void put_picture(void *user, FILE *out) {
    struct picture *p = user;
    rewind(p->commands);
    fflush(out);
    p->failed = gnuplot_run(p->commands, out) != 0;
}

int report_folder(const char *folder, struct diag *d) {
    struct stat s;
    if (mkdir(folder, 0777) == 0) return 0;
    if (errno == EEXIST && stat(folder, &s) == 0 && S_ISDIR(s.st_mode)) return 0;
    return diag_set(d, ERR_IO, "--out %.200s: cannot make this folder: %s", folder,
                    strerror(errno == EEXIST ? ENOTDIR : errno));
}

static const struct terminal {
    const char *ending, *set;
} terminals[] = {{"svg", "svg size 900,600 font 'sans,14' background 'white'"},
                 {"pdf", "pdfcairo size 9in,6in font 'sans,14'"},
                 {"png", "pngcairo size 1350,900 font 'sans,16'"}};
enum { TERMINALS = sizeof terminals / sizeof *terminals };

/* The commands name files of the folder without it: gnuplot gets a `cd` in front. NULL: no temporary file. */
static FILE *commands_for(const char *folder, const char *terminal, const char *commands) {
    FILE *out = tmpfile();
    if (!out) return NULL;
    fputs("cd '", out);
    for (const char *c = folder; *c; c++)
        fputs(*c == '\'' ? "''" : (char[]){*c, 0}, out);
    fprintf(out, "'\nset terminal %s\n%s", terminal, commands);
    rewind(out);
    return out;
}

/* gnuplot may be without a terminal, or not be there. */
static int can_draw(const struct terminal *t) {
    FILE *commands = commands_for(".", t->set, "");
    int rc = commands ? gnuplot_run(commands, NULL) : -1;
    if (commands) fclose(commands);
    return rc == 0;
}

static int draw(const struct report_figure *f, const char *folder, const struct terminal *t, struct diag *d) {
    char path[4096];
    struct picture p = {commands_for(folder, t->set, f->commands), 0};
    snprintf(path, sizeof path, "%s/%s.%s", folder, f->name, t->ending);
    int rc = p.commands ? text_write_file(path, put_picture, &p, d)
                        : diag_set(d, ERR_IO, "%.200s: no temporary file for gnuplot", path);
    if (!rc && p.failed) rc = diag_set(d, ERR_INTERNAL, "%.200s: gnuplot did not draw it", path);
    if (p.commands) fclose(p.commands);
    return rc;
}

/* What an earlier run drew is not a picture of these tables. */
static int forget(const struct report_figure *f, const char *folder, const struct terminal *t, struct diag *d) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, f->name, t->ending);
    if (unlink(path) == 0 || errno == ENOENT) return 0;
    return diag_set(d, ERR_IO, "%.200s: cannot be removed: %s", path, strerror(errno));
}

static int write_figures(const struct report *r, const char *folder, int *drawn, struct diag *d) {
    char path[4096];
    int can[TERMINALS], rc = 0;
    for (int i = 0; i < TERMINALS && r->figures; i++)
        can[i] = can_draw(&terminals[i]);
    for (const struct report_figure *f = r->figures; f && f->name && !rc; f++) {
        snprintf(path, sizeof path, "%s/%s.gp", folder, f->name);
        rc = text_write_file(path, put_text, (void *)(uintptr_t)f->commands, d);
        for (int i = 0; i < TERMINALS && !rc; i++)
            rc = can[i] ? draw(f, folder, &terminals[i], d) : forget(f, folder, &terminals[i], d);
        *drawn += !rc && can[0];
    }
    return rc;
}

static int write_tables(const struct report_page *page, const char *folder, struct diag *d) {
    char path[4096];
    int rc = check(page, d);
    for (int i = 0; i < page->n && !rc; i++) {
        snprintf(path, sizeof path, "%s/%s.csv", folder, frame_name(page->table[i]));
        rc = frame_write(page->table[i], path, d);
    }
    return rc;
}

int report_write(const struct report *r, const struct report_page *page, const char *folder, int *drawn,
                 struct diag *d) {
    int rc = write_tables(page, folder, d);
    *drawn = 0;
    return rc ? rc : write_figures(r, folder, drawn, d);
}

/* ---- in letters ---- */

static int draw_letters(const struct report_figure *f, const char *folder, int columns, FILE *out, struct diag *d) {
    char terminal[64];
    snprintf(terminal, sizeof terminal, "dumb nofeed mono size %d,%d", columns, columns < 100 ? 30 : 36);
    FILE *commands = commands_for(folder, terminal, f->commands);
    if (!commands) return diag_set(d, ERR_IO, "%s: no temporary file for gnuplot", f->name);
    fprintf(out, "\n%s: %s\n", f->name, f->caption ? f->caption : "");
    fflush(out);
    int rc = gnuplot_run(commands, out) ? diag_set(d, ERR_INTERNAL, "%s: gnuplot did not draw it", f->name) : 0;
    fclose(commands);
    return rc;
}

int report_plot(const struct report *r, const struct report_page *page, int columns, FILE *out, struct diag *d) {
    char folder[] = "/tmp/northwall-XXXXXX", path[4096];
    if (!mkdtemp(folder)) return diag_set(d, ERR_IO, "--plot: no temporary folder: %s", strerror(errno));
    int rc = write_tables(page, folder, d);
    for (const struct report_figure *f = r->figures; f && f->name && !rc; f++)
        rc = draw_letters(f, folder, columns, out, d);
    for (int i = 0; i < page->n; i++) {
        snprintf(path, sizeof path, "%s/%s.csv", folder, frame_name(page->table[i]));
        unlink(path);
    }
    rmdir(folder);
    return rc;
}
