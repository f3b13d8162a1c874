/* fit_data.c - columns of a CSV file (RFC 4180) as numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/fit.h"
#include "analysis/results_text.h"
#include "base/text.h"
#include "csv.h"

enum { MOST_COLUMNS = 256, MOST_BYTES = 256 << 20, RESULTS_CONDITIONS = 32, LEAST_RUNS = 4, MOST_DRAWN = 1 << 26 };

/* Where the file is read. */
struct reader {
    const char *path;
    struct csv csv;
    int line; /* that the record ends on */
    char *field[MOST_COLUMNS];
    int n_fields;
    int runs; /* place of their column, or -1 */
    char **run; /* [n_runs] its different texts, each in the file's */
    struct diag *d;
};

/* The next record that is not empty, 1; 0: there is none. */
static int next_record(struct reader *r) {
    do {
        char end = ',';
        if (!*r->csv.at) return 0;
        for (r->n_fields = 0; end == ',';) {
            r->line = r->csv.line;
            if (r->n_fields == MOST_COLUMNS)
                return diag_set(r->d, ERR_FORMAT, "%s:%d: more than %d columns", r->path, r->line, MOST_COLUMNS);
            if (!(r->field[r->n_fields++] = csv_cell(&r->csv, &end)))
                return diag_set(r->d, ERR_FORMAT, "%s:%d: a quote does not end its cell", r->path, r->line);
        }
        r->line = r->csv.line - (end == '\n');
    } while (r->n_fields == 1 && !r->field[0][0]);
    return 1;
}

/* "time [us]" is column "time" of unit "us". */
static void set_column(struct fit_column *c, const char *header) {
    size_t n = strlen(header);
    const char *open = strstr(header, " [");
    int has = open && n && header[n - 1] == ']';
    snprintf(c->name, sizeof c->name, "%.*s", has ? (int)(open - header) : (int)n, header);
    snprintf(c->unit, sizeof c->unit, "%.*s", has ? (int)(n - 3 - (size_t)(open - header)) : 0, has ? open + 2 : "");
}

static int find_column(const struct reader *r, const char *name, struct fit_column *c, int *place) {
    for (*place = 0; *place < r->n_fields; ++*place) {
        set_column(c, r->field[*place]);
        if (!strcmp(c->name, name) || !strcmp(r->field[*place], name)) return 0;
    }
    char names[256] = "";
    for (int i = 0; i < r->n_fields; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", r->field[i]);
    }
    return diag_set(r->d, ERR_FORMAT, "%s has no column '%.64s': there are %s", r->path, name, names);
}

static int find_columns(struct reader *r, struct fit_data *data, const char *x, const char *y, int *place) {
    char names[256], *save = NULL;
    int rc = find_column(r, y, &data->y_column, &place[FIT_MOST_X]);
    snprintf(names, sizeof names, "%s", x);
    for (char *name = strtok_r(names, ",", &save); name && !rc; name = strtok_r(NULL, ",", &save)) {
        if (data->n_x == FIT_MOST_X) return diag_set(r->d, ERR_USAGE, "--x %.64s: at most %d columns", x, FIT_MOST_X);
        rc = find_column(r, name, &data->x_column[data->n_x], &place[data->n_x]);
        data->n_x++;
    }
    return rc ? rc : data->n_x ? 0 : diag_set(r->d, ERR_USAGE, "--x: no column is named");
}

static int find_runs(struct reader *r, const char *name) {
    struct fit_column unused;
    r->runs = -1;
    return name ? find_column(r, name, &unused, &r->runs) : 0;
}

/* The run of a row, whose texts are few. */
static int set_run(struct reader *r, struct fit_data *data, int row) {
    char *text = r->runs < r->n_fields ? r->field[r->runs] : "";
    int k = 0;
    while (k < data->n_runs && strcmp(r->run[k], text))
        k++;
    data->run[row] = k;
    if (k < data->n_runs) return 0;
    char **more = realloc(r->run, (size_t)(k + 1) * sizeof *more);
    if (!more) return diag_set(r->d, ERR_MEMORY, "no memory for %d runs", k);
    r->run = more;
    r->run[data->n_runs++] = text;
    return 0;
}

static int number(const struct reader *r, int place, const char *column, int is_y, double *out) {
    char *end;
    const char *text = place < r->n_fields ? r->field[place] : "";
    *out = strtod(text, &end);
    while (*end == ' ')
        end++;
    if (!*text || *end || !isfinite(*out))
        return diag_set(r->d, ERR_FORMAT, "%s:%d: column %s: '%.40s' is no finite number", r->path, r->line, column,
                        text);
    if (*out < 0 || (is_y && *out == 0))
        return diag_set(r->d, ERR_FORMAT, "%s:%d: column %s: %s is %s: fits are of values above zero", r->path, r->line,
                        column, text, *out < 0 ? "below zero" : "zero");
    return 0;
}

static int grow(struct fit_data *data, int cap, struct diag *d) {
    double *x = realloc(data->x, (size_t)cap * (size_t)data->n_x * sizeof *x);
    if (x) data->x = x;
    double *y = realloc(data->y, (size_t)cap * sizeof *y);
    if (y) data->y = y;
    int *line = realloc(data->line, (size_t)cap * sizeof *line);
    if (line) data->line = line;
    int *run = realloc(data->run, (size_t)cap * sizeof *run);
    if (run) data->run = run;
    return x && y && line && run ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d rows", cap);
}

static int read_rows(struct reader *r, struct fit_data *data, const int *place) {
    int cap = 0, rc = 0;
    while (!rc && (rc = next_record(r)) == 1) {
        int n = data->n;
        rc = n == cap ? grow(data, cap = cap ? 2 * cap : 64, r->d) : 0;
        for (int i = 0; i < data->n_x && !rc; i++)
            rc = number(r, place[i], data->x_column[i].name, 0, &data->x[n * data->n_x + i]);
        if (!rc) rc = number(r, place[FIT_MOST_X], data->y_column.name, 1, &data->y[n]);
        if (!rc && r->runs >= 0) rc = set_run(r, data, n);
        if (rc) return rc;
        data->line[n] = r->line;
        data->n++;
    }
    return rc;
}

/* How long the longest run is; without runs, none. */
static int count_runs(const struct reader *r, struct fit_data *data) {
    int *rows = calloc((size_t)data->n_runs + 1, sizeof *rows);
    if (!rows) return diag_set(r->d, ERR_MEMORY, "no memory for %d runs", data->n_runs);
    for (int i = 0; i < data->n && data->n_runs; i++)
        if (++rows[data->run[i]] > data->most_run) data->most_run = rows[data->run[i]];
    free(rows);
    if (r->runs < 0) {
        free(data->run);
        data->run = NULL;
    } else if (data->n_runs < LEAST_RUNS) {
        return diag_set(r->d, ERR_RANGE, "%s: %d run%s: intervals by drawing runs take %d", r->path, data->n_runs,
                        data->n_runs == 1 ? "" : "s", LEAST_RUNS);
    } else if ((int64_t)data->n_runs * data->most_run > MOST_DRAWN) {
        return diag_set(r->d, ERR_RANGE,
                        "%s: %d runs of up to %d rows: intervals by drawing runs take at most %d rows in all, if each "
                        "drawn were the longest: leave --runs out, or split the longest",
                        r->path, data->n_runs, data->most_run, MOST_DRAWN);
    }
    return 0;
}

/* ---- results ---- */

/* As `northwall results --export csv` writes them. *text is malloc'ed. */
static int export_csv(struct results *r, const struct fit_source *from, char **text, size_t *len, struct diag *d) {
    const char *where[RESULTS_CONDITIONS + 1] = {"status=ok"};
    struct results_select all = {.from = r, .where = where, .n_where = from->n_where + 1};
    struct frame *t = NULL;
    if (from->n_where > RESULTS_CONDITIONS)
        return diag_set(d, ERR_USAGE, "--where: at most %d conditions", RESULTS_CONDITIONS);
    memcpy(where + 1, from->where, (size_t)from->n_where * sizeof *where);
    FILE *out = open_memstream(text, len);
    int rc = out ? results_frame(&t, &all, 0, d) : diag_set(d, ERR_MEMORY, "no memory for %.200s", from->path);
    if (!rc && !frame_rows(t)) rc = diag_set(d, ERR_RANGE, "%.200s: no result that is ok is chosen", from->path);
    if (!rc) rc = frame_csv(t, out, d);
    frame_free(t);
    if (out) fclose(out);
    return rc;
}

/* What is no file, as a pipe, can be read only once. */
static int looks_like_results(const char *path) {
    char head[16] = "";
    struct stat s;
    FILE *f = stat(path, &s) == 0 && S_ISREG(s.st_mode) ? fopen(path, "rb") : NULL;
    int is = f && fread(head, 1, sizeof head, f) == sizeof head && !memcmp(head, "SQLite format 3", sizeof head);
    if (f) fclose(f);
    return is;
}

static int read_text(const struct fit_source *from, char **text, size_t *len, struct diag *d) {
    struct results *r = NULL;
    int is_results = looks_like_results(from->path);
    if (!is_results && from->n_where)
        return diag_set(d, ERR_USAGE, "--where: %.200s is no file of results (northwall sweep makes them)", from->path);
    if (!is_results) return text_read_file(from->path, MOST_BYTES, text, len, d);
    int rc = results_open(&r, from->path, RESULTS_READ, d);
    if (!rc) rc = export_csv(r, from, text, len, d);
    results_close(r);
    return rc;
}

int fit_data_read(struct fit_data *out, const struct fit_source *from, struct diag *d) {
    struct reader r = {.path = from->path, .d = d};
    char *text = NULL;
    size_t len = 0;
    int place[FIT_MOST_X + 1];
    *out = (struct fit_data){0};
    int rc = read_text(from, &text, &len, d);
    if (!rc && strlen(text) != len) rc = diag_set(d, ERR_FORMAT, "%s: a zero byte: this is no CSV file", from->path);
    r.csv = (struct csv){text, 1};
    if (!rc && next_record(&r) != 1) rc = diag_set(d, ERR_FORMAT, "%s: no header line", from->path);
    if (!rc) rc = find_columns(&r, out, from->x, from->y, place);
    if (!rc) rc = find_runs(&r, from->runs);
    if (!rc) rc = read_rows(&r, out, place);
    if (!rc && !out->n) rc = diag_set(d, ERR_FORMAT, "%s: no rows under the header", from->path);
    if (!rc) rc = count_runs(&r, out);
    if (!rc) rc = fit_data_sort(out, d);
    if (rc) fit_data_free(out);
    free(r.run);
    free(text);
    return rc;
}

int fit_data_init(struct fit_data *out, int n, int n_x, struct diag *d) {
    *out = (struct fit_data){.n = n, .n_x = n_x};
    int rc = grow(out, n, d);
    free(out->run);
    out->run = NULL;
    if (rc) fit_data_free(out);
    return rc;
}

void fit_data_free(struct fit_data *data) {
    free(data->x);
    free(data->y);
    free(data->line);
    free(data->run);
    *data = (struct fit_data){0};
}

/* A row while rows are sorted. */
struct row {
    double x[FIT_MOST_X], y;
    int line, run;
};

static int by_x(const void *a, const void *b) {
    const struct row *p = a, *q = b;
    if (p->x[0] != q->x[0]) return p->x[0] < q->x[0] ? -1 : 1;
    return p->line - q->line;
}

int fit_data_sort(struct fit_data *data, struct diag *d) {
    struct row *row = calloc((size_t)data->n, sizeof *row);
    if (!row) return diag_set(d, ERR_MEMORY, "no memory to sort %d rows", data->n);
    for (int i = 0; i < data->n; i++) {
        memcpy(row[i].x, &data->x[i * data->n_x], (size_t)data->n_x * sizeof *row[i].x);
        row[i].y = data->y[i];
        row[i].line = data->line[i];
        row[i].run = data->run ? data->run[i] : 0;
    }
    qsort(row, (size_t)data->n, sizeof *row, by_x);
    for (int i = 0; i < data->n; i++) {
        memcpy(&data->x[i * data->n_x], row[i].x, (size_t)data->n_x * sizeof *row[i].x);
        data->y[i] = row[i].y;
        data->line[i] = row[i].line;
        if (data->run) data->run[i] = row[i].run;
    }
    free(row);
    return 0;
}
