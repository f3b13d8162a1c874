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
    if (page->n < REPORT_MOST_TABLES) page->table[page->n++] = t;
    return t;
}

void report_say(struct report_page *page, const char *fmt, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    if (page->n_findings < REPORT_MOST_FINDINGS && vasprintf(&text, fmt, args) >= 0)
        page->finding[page->n_findings++] = text;
    page->lost |= !text;
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
    return page->lost ? diag_set(d, ERR_MEMORY, "no memory, or no room, for a report of so many findings") : 0;
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

struct csv {
    const struct frame *table;
    int rc;
    struct diag *d;
};

static void put_csv(void *user, FILE *out) {
    struct csv *c = user;
    c->rc = frame_csv(c->table, out, c->d);
}

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

/* The commands name files of the folder without it: gnuplot gets a `cd` in front. */
static char *with_folder(const char *folder, const char *commands) {
    char *text = NULL, quoted[1024];
    size_t n = 0;
    for (const char *c = folder; *c && n + 2 < sizeof quoted; c++) {
        if (*c == '\'') quoted[n++] = '\'';
        quoted[n++] = *c;
    }
    quoted[n] = 0;
    return asprintf(&text, "cd '%s'\nset terminal svg size 900,600 font 'sans,14' background 'white'\n%s", quoted,
                    commands) < 0
               ? NULL
               : text;
}

static int write_figure(const struct report_figure *f, const char *folder, int *drawn, struct diag *d) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.gp", folder, f->name);
    int rc = text_write_file(path, put_text, (void *)(uintptr_t)f->commands, d);
    if (rc || gnuplot_run(NULL, NULL) != 0) return rc;
    struct picture p = {tmpfile(), 0};
    char *text = with_folder(folder, f->commands);
    if (!p.commands || !text || fputs(text, p.commands) == EOF)
        rc = diag_set(d, ERR_IO, "%.200s: no temporary file for gnuplot", path);
    snprintf(path, sizeof path, "%s/%s.svg", folder, f->name);
    if (!rc) rc = text_write_file(path, put_picture, &p, d);
    if (!rc && p.failed) rc = diag_set(d, ERR_INTERNAL, "%.200s: gnuplot did not draw it", path);
    *drawn += !rc;
    free(text);
    if (p.commands) fclose(p.commands);
    return rc;
}

int report_write(const struct report *r, const struct report_page *page, const char *folder, int *drawn,
                 struct diag *d) {
    char path[4096];
    int rc = check(page, d);
    *drawn = 0;
    for (int i = 0; i < page->n && !rc; i++) {
        struct csv csv = {page->table[i], 0, d};
        snprintf(path, sizeof path, "%s/%s.csv", folder, frame_name(page->table[i]));
        rc = text_write_file(path, put_csv, &csv, d);
        if (!rc) rc = csv.rc;
    }
    for (const struct report_figure *f = r->figures; f && f->name && !rc; f++)
        rc = write_figure(f, folder, drawn, d);
    return rc;
}
