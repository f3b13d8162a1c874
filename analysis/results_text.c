#include "analysis/results_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "csv.h"

enum { MOST_COLUMNS = 240, BRIEF_DIGITS = 5, BRIEF_VALUES = 4 };

static const char *const members[] = {"point",   "time",         "status",    "reason",   "kind",
                                      "command", "cluster_hash", "plan_hash", "verified", "oversubscription",
                                      "program", "compiler",     "mpi",       "sqlite",   "gsl",
                                      "machine"};
enum { N_MEMBERS = sizeof members / sizeof *members };
static const char *const parts[] = {"low", "high", "n", "interval", "kind"};
enum { N_PARTS = sizeof parts / sizeof *parts };

/* ---- columns ---- */

enum group { MEMBER, PARAMETER, VALUE };

struct column {
    enum group group;
    char name[64], unit[16];
    const char *part; /* of a value; NULL: itself */
    int place, text, differs; /* place: as they came up */
    json_t *first; /* what the first row has */
};

struct columns {
    int n, rows, lost;
    struct column column[MOST_COLUMNS];
};

static struct column *column_add(struct columns *c, enum group group, const char *name, const char *part,
                                 const char *unit) {
    for (int i = 0; i < c->n; i++)
        if (c->column[i].group == group && c->column[i].part == part && !strcmp(c->column[i].name, name) &&
            !strcmp(c->column[i].unit, unit))
            return &c->column[i];
    c->lost |= c->n == MOST_COLUMNS;
    if (c->lost) return NULL;
    struct column *k = &c->column[c->n++];
    *k = (struct column){.group = group, .part = part, .place = c->n, .differs = c->rows > 0};
    snprintf(k->name, sizeof k->name, "%s", name);
    snprintf(k->unit, sizeof k->unit, "%s", unit);
    return k;
}

static void see_cell(struct columns *c, enum group group, const char *name, const char *part, const char *unit,
                     json_t *v) {
    struct column *k = v ? column_add(c, group, name, part, unit) : NULL;
    if (!k) return;
    if (!k->first) k->first = json_incref(v);
    k->text |= json_is_string(v);
    k->differs |= !json_equal(k->first, v);
}

static int see_columns(void *user, json_t *row, struct diag *d) {
    struct columns *c = user;
    const char *name;
    json_t *v;
    (void)d;
    for (int i = 0; i < N_MEMBERS; i++)
        see_cell(c, MEMBER, members[i], NULL, "", json_object_get(row, members[i]));
    json_object_foreach(json_object_get(row, "parameters"), name, v) see_cell(c, PARAMETER, name, NULL, "", v);
    json_object_foreach(json_object_get(row, "values"), name, v) {
        const char *unit = json_string_value(json_object_get(v, "unit"));
        see_cell(c, VALUE, name, NULL, unit, json_object_get(v, "value"));
        for (int i = 0; i < N_PARTS; i++)
            see_cell(c, VALUE, name, parts[i], unit, json_object_get(v, parts[i]));
    }
    c->rows++;
    return 0;
}

static int by_group(const void *a, const void *b) {
    const struct column *x = a, *y = b;
    return x->group != y->group ? (int)x->group - (int)y->group : x->place - y->place;
}

static void columns_free(struct columns *c) {
    for (int i = 0; c && i < c->n; i++)
        json_decref(c->column[i].first);
    free(c);
}

/* All columns that the selected results have: members, parameters, values. */
static int columns_find(struct columns **out, const struct results_select *s, struct diag *d) {
    struct columns *c = *out = calloc(1, sizeof *c);
    if (!c) return diag_set(d, ERR_MEMORY, "no memory for columns");
    int rc = results_each(s->from, s->where, s->n_where, see_columns, c, d);
    if (!rc && c->lost) rc = diag_set(d, ERR_RANGE, "more than %d columns", MOST_COLUMNS);
    if (!rc) qsort(c->column, (size_t)c->n, sizeof *c->column, by_group);
    return rc;
}

/* ---- which of them ---- */

static int unknown_column(const struct columns *c, const char *name, size_t n, struct diag *d) {
    char names[400] = "";
    for (int i = 0; i < c->n; i++) {
        size_t at = strlen(names);
        if (!c->column[i].part) snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", c->column[i].name);
    }
    return diag_set(d, ERR_USAGE, "--columns '%.*s': there are %s", n < 60 ? (int)n : 60, name, names);
}

/* The columns of a name, with a value's parts. */
static int choose(int *chosen, int *n, const struct columns *c, const char *name, size_t len) {
    int found = 0;
    for (int i = 0; i < c->n && *n < MOST_COLUMNS; i++)
        if (strlen(c->column[i].name) == len && !memcmp(c->column[i].name, name, len)) {
            chosen[(*n)++] = i;
            found = 1;
        }
    return found;
}

static int is_brief(const struct column *c, int *values) {
    switch (c->group) {
    case MEMBER:
        return !strcmp(c->name, "status") || !strcmp(c->name, "reason") || (c->differs && !strcmp(c->name, "kind"));
    case PARAMETER: return c->differs;
    case VALUE: return !c->part && (*values)++ < BRIEF_VALUES;
    }
    return 0;
}

static int choose_all(int *chosen, int *n, const struct columns *c, const struct results_select *s, int brief,
                      struct diag *d) {
    int values = 0;
    *n = 0;
    for (int i = 0; i < c->n && !s->columns; i++)
        if (!brief || is_brief(&c->column[i], &values)) chosen[(*n)++] = i;
    for (const char *at = c->rows ? s->columns : NULL; at && *at;) {
        size_t len = strcspn(at, ",");
        if (!choose(chosen, n, c, at, len)) return unknown_column(c, at, len, d);
        at += len + (at[len] == ',');
    }
    return 0;
}

/* ---- as a table ---- */

struct fill {
    const struct columns *columns;
    const int *chosen;
    int n;
    struct frame *frame;
};

static json_t *cell_of(const json_t *row, const struct column *c) {
    if (c->group == MEMBER) return json_object_get(row, c->name);
    if (c->group == PARAMETER) return json_object_get(json_object_get(row, "parameters"), c->name);
    const json_t *v = json_object_get(json_object_get(row, "values"), c->name);
    const char *unit = json_string_value(json_object_get(v, "unit"));
    return unit && !strcmp(unit, c->unit) ? json_object_get(v, c->part ? c->part : "value") : NULL;
}

static int fill_row(void *user, json_t *row, struct diag *d) {
    const struct fill *f = user;
    char number[32];
    (void)d;
    for (int i = 0; i < f->n; i++) {
        const struct column *c = &f->columns->column[f->chosen[i]];
        const json_t *v = cell_of(row, c);
        const char *text = json_string_value(v);
        if (!c->text)
            frame_number(f->frame, v ? json_number_value(v) : NAN);
        else if (text || !v)
            frame_text(f->frame, "%s", text ? text : "");
        else
            frame_text(f->frame, "%s", text_exact(number, sizeof number, json_number_value(v)));
    }
    frame_end_row(f->frame);
    return 0;
}

static void add_columns(struct frame *t, const struct fill *f, int brief) {
    for (int i = 0; i < f->n; i++) {
        const struct column *c = &f->columns->column[f->chosen[i]];
        char name[80];
        snprintf(name, sizeof name, "%s%s%s", c->name, c->part ? ":" : "", c->part ? c->part : "");
        frame_column(t, name, c->unit, brief ? BRIEF_DIGITS : FRAME_EXACT);
    }
}

int results_frame(struct frame **out, const struct results_select *s, int brief, struct diag *d) {
    struct columns *c;
    int chosen[MOST_COLUMNS];
    struct fill f = {.chosen = chosen};
    *out = NULL;
    int rc = columns_find(&c, s, d);
    f.columns = c;
    if (!rc) rc = choose_all(chosen, &f.n, c, s, brief, d);
    if (!rc) {
        char title[48];
        snprintf(title, sizeof title, "%d result%s", c->rows, c->rows == 1 ? "" : "s");
        f.frame = *out = frame_new("results", title, "");
        add_columns(f.frame, &f, brief);
        rc = results_each(s->from, s->where, s->n_where, fill_row, &f, d);
    }
    columns_free(c);
    return rc;
}

/* ---- as lines of JSON ---- */

static int put_line(void *user, json_t *row, struct diag *d) {
    if (json_dumpf(row, user, JSON_COMPACT) == 0 && fputc('\n', user) != EOF) return 0;
    return diag_set(d, ERR_IO, "cannot write results");
}

int results_jsonl(const struct results_select *s, FILE *out, struct diag *d) {
    return results_each(s->from, s->where, s->n_where, put_line, out, d);
}

/* ---- for Extra-P ---- */

enum { EXTRAP_LEAST = 5 };

struct extrap {
    const struct columns *columns;
    const int *chosen; /* parameters, or one value */
    int n, first;
    FILE *out;
};

static int is_ok(const json_t *row) {
    return !strcmp(json_string_value(json_object_get(row, "status")), "ok");
}

static int put_point(void *user, json_t *row, struct diag *d) {
    struct extrap *e = user;
    char number[32];
    if (!is_ok(row)) return 0;
    fputs(e->n > 1 ? " (" : "", e->out);
    for (int i = 0; i < e->n; i++) {
        const struct column *c = &e->columns->column[e->chosen[i]];
        const json_t *v = cell_of(row, c);
        if (!json_is_number(v))
            return diag_set(d, ERR_FORMAT, "result %s has no number %s: choose results with --where",
                            json_string_value(json_object_get(row, "point")), c->name);
        fprintf(e->out, " %s", text_exact(number, sizeof number, json_number_value(v)));
    }
    fputs(e->n > 1 ? " )" : "", e->out);
    return 0;
}

static int put_data(void *user, json_t *row, struct diag *d) {
    struct extrap *e = user;
    if (!is_ok(row)) return 0;
    fputs("DATA", e->out);
    int rc = put_point(e, row, d);
    fputc('\n', e->out);
    return rc;
}

/* Its different numbers. */
struct levels {
    const struct column *column;
    int n;
    double level[EXTRAP_LEAST];
};

static int count_level(void *user, json_t *row, struct diag *d) {
    struct levels *l = user;
    double x = json_number_value(cell_of(row, l->column));
    int i = 0;
    (void)d;
    while (i < l->n && l->level[i] != x)
        i++;
    if (i == l->n && i < EXTRAP_LEAST && is_ok(row)) l->level[l->n++] = x;
    return 0;
}

static int check_parameter(const struct results_select *s, const struct column *c, struct diag *d) {
    struct levels l = {.column = c};
    if (c->text)
        return diag_set(d, ERR_USAGE, "Extra-P: %s differs and is a text: choose one by --where %s=...", c->name,
                        c->name);
    int rc = results_each(s->from, s->where, s->n_where, count_level, &l, d);
    if (rc || l.n >= EXTRAP_LEAST) return rc;
    return diag_set(d, ERR_USAGE,
                    "Extra-P: %s has %d numbers, and its fits need %d: sweep more, or choose one by --where", c->name,
                    l.n, EXTRAP_LEAST);
}

static int put_metrics(const struct results_select *s, struct extrap *e, const int *chosen, int n, struct diag *d) {
    int rc = 0;
    fputs("\nREGION job\n", e->out);
    e->n = 1;
    for (int i = 0; i < n && !rc; i++) {
        const struct column *c = &e->columns->column[chosen[i]];
        if (c->group != VALUE || c->part) continue;
        fprintf(e->out, "METRIC %s\n", c->name);
        e->chosen = &chosen[i];
        rc = results_each(s->from, s->where, s->n_where, put_data, e, d);
    }
    return rc;
}

static int put_extrap(const struct results_select *s, const struct columns *c, FILE *out, struct diag *d) {
    int parameters[MOST_COLUMNS], chosen[MOST_COLUMNS], n;
    struct extrap e = {.columns = c, .chosen = parameters, .out = out};
    int rc = choose_all(chosen, &n, c, s, 0, d);
    for (int i = 0; i < c->n && !rc; i++)
        if (c->column[i].group == PARAMETER && c->column[i].differs) {
            rc = check_parameter(s, &c->column[i], d);
            parameters[e.n++] = i;
        }
    if (!rc && !e.n) rc = diag_set(d, ERR_USAGE, "Extra-P: no parameter differs among these results");
    for (int i = 0; i < e.n && !rc; i++)
        fprintf(out, "PARAMETER %s\n", c->column[parameters[i]].name);
    if (rc) return rc;
    fputs("\nPOINTS", out);
    rc = results_each(s->from, s->where, s->n_where, put_point, &e, d);
    return rc ? rc : put_metrics(s, &e, chosen, n, d);
}

int results_extrap(const struct results_select *s, FILE *out, struct diag *d) {
    struct columns *c;
    int rc = columns_find(&c, s, d);
    if (!rc) rc = put_extrap(s, c, out, d);
    columns_free(c);
    return rc;
}

/* ---- importing ---- */

struct import {
    const char *path;
    struct results *into;
    int line, added, n;
    struct diag *d;
};

static int import_failed(const struct import *m, const char *why) {
    return diag_set(m->d, ERR_FORMAT, "%.200s:%d: %.200s", m->path, m->line, why);
}

static int import_row(struct import *m, const json_t *row) {
    struct diag own = {0};
    int added = 0, rc = results_add(m->into, row, &added, &own);
    m->added += added;
    m->n++;
    return rc == ERR_FORMAT ? import_failed(m, own.text) : rc ? diag_set(m->d, rc, "%s", own.text) : 0;
}

static int import_jsonl(struct import *m, char *text) {
    int rc = 0;
    for (char *at = text, *end; *at && !rc; at = end) {
        end = at + strcspn(at, "\n");
        json_error_t e;
        json_t *row = end > at ? json_loadb(at, (size_t)(end - at), 0, &e) : NULL;
        m->line++;
        if (row)
            rc = import_row(m, row);
        else if (end > at)
            rc = import_failed(m, e.text);
        json_decref(row);
        end += *end == '\n';
    }
    return rc;
}

/* "name", "name [unit]", "name:part [unit]" */
static int set_header(struct column *c, char *cell) {
    char *unit = strstr(cell, " ["), *part = strchr(cell, ':');
    *c = (struct column){.group = unit ? VALUE : PARAMETER};
    for (int i = 0; i < N_MEMBERS; i++)
        if (!strcmp(cell, members[i])) c->group = MEMBER;
    if (unit && cell[strlen(cell) - 1] == ']') {
        cell[strlen(cell) - 1] = 0;
        *unit = 0;
        snprintf(c->unit, sizeof c->unit, "%s", unit + 2);
    }
    for (int i = 0; i < N_PARTS && unit && part; i++)
        if (!strcmp(part + 1, parts[i])) c->part = parts[i];
    if (c->part) *part = 0;
    return (size_t)snprintf(c->name, sizeof c->name, "%s", cell) < sizeof c->name;
}

static json_t *csv_json(const struct column *c, const char *cell) {
    char *end;
    double x = strtod(cell, &end);
    int text = c->group == VALUE ? c->part && (!strcmp(c->part, "interval") || !strcmp(c->part, "kind"))
                                 : c->group == PARAMETER || strcmp(c->name, "oversubscription");
    return text ? json_string(cell) : *end ? NULL : json_real(x);
}

static int set_cell(json_t *row, const struct column *c, const char *cell) {
    json_t *v = *cell ? csv_json(c, cell) : NULL;
    json_t *values = json_object_get(row, "values"), *o = row;
    if (!v) return !*cell;
    if (c->group == PARAMETER) o = json_object_get(row, "parameters");
    if (c->group == VALUE && !(o = json_object_get(values, c->name))) {
        o = json_pack("{s:s}", "unit", c->unit);
        json_object_set_new(values, c->name, o);
    }
    return !json_object_set_new(o, c->group == VALUE ? c->part ? c->part : "value" : c->name, v);
}

static int import_cells(struct import *m, const struct columns *c, struct csv *csv) {
    json_t *row = json_pack("{s:{}, s:{}}", "parameters", "values");
    char end = ',';
    int rc = 0, i = 0;
    for (; end == ',' && !rc; i++) {
        char *cell = csv_cell(csv, &end), why[128];
        if (!cell || i >= c->n)
            rc = import_failed(m, cell ? "the row has more cells than the header" : "a quote is not closed");
        else if (!set_cell(row, &c->column[i], cell)) {
            snprintf(why, sizeof why, "%s: '%.40s' is not a number", c->column[i].name, cell);
            rc = import_failed(m, why);
        }
    }
    if (!rc && i < c->n) rc = import_failed(m, "the row has fewer cells than the header");
    if (!rc) rc = import_row(m, row);
    json_decref(row);
    return rc;
}

static int import_csv(struct import *m, char *text) {
    struct columns *c = calloc(1, sizeof *c);
    struct csv csv = {text, 1};
    int rc = c ? 0 : diag_set(m->d, ERR_MEMORY, "no memory for columns");
    m->line = 1;
    for (char end = ','; end == ',' && !rc;) {
        char *cell = csv_cell(&csv, &end);
        if (!cell || c->n == MOST_COLUMNS || !set_header(&c->column[c->n++], cell))
            rc = import_failed(m, "the header is not closed, or has too many or too long names");
    }
    while (*csv.at && !rc) {
        m->line = csv.line;
        rc = import_cells(m, c, &csv);
    }
    free(c);
    return rc;
}

int results_import(struct results *r, const char *path, int *added, int *n, struct diag *d) {
    struct import m = {path, r, 0, 0, 0, d};
    size_t len = strlen(path), size;
    char *text;
    int csv = len > 4 && !strcmp(path + len - 4, ".csv");
    if (!csv && !(len > 6 && !strcmp(path + len - 6, ".jsonl")))
        return diag_set(d, ERR_USAGE, "--import %.200s: expected FILE.csv or FILE.jsonl", path);
    int rc = text_read_file(path, (size_t)1 << 30, &text, &size, d);
    if (rc) return rc;
    rc = strlen(text) < size ? import_failed(&m, "it holds a zero byte: text is expected")
         : csv               ? import_csv(&m, text)
                             : import_jsonl(&m, text);
    if (!rc) rc = results_commit(r, d);
    *added = m.added;
    *n = m.n;
    free(text);
    return rc;
}
