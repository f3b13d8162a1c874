/* fit_data.c - columns of a CSV file (RFC 4180) as numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/fit.h"
#include "base/text.h"
#include "csv.h"

enum { MOST_COLUMNS = 256, MOST_BYTES = 256 << 20 };

/* Where the file is read. */
struct reader {
    const char *path;
    struct csv csv;
    int line; /* that the record ends on */
    char *field[MOST_COLUMNS];
    int n_fields;
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
    return x && y && line ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d rows", cap);
}

static int read_rows(struct reader *r, struct fit_data *data, const int *place) {
    int cap = 0, rc = 0;
    while (!rc && (rc = next_record(r)) == 1) {
        int n = data->n;
        rc = n == cap ? grow(data, cap = cap ? 2 * cap : 64, r->d) : 0;
        for (int i = 0; i < data->n_x && !rc; i++)
            rc = number(r, place[i], data->x_column[i].name, 0, &data->x[n * data->n_x + i]);
        if (!rc) rc = number(r, place[FIT_MOST_X], data->y_column.name, 1, &data->y[n]);
        if (rc) return rc;
        data->line[n] = r->line;
        data->n++;
    }
    return rc;
}

int fit_data_read(struct fit_data *out, const char *path, const char *x, const char *y, struct diag *d) {
    struct reader r = {.path = path, .d = d};
    char *text = NULL;
    size_t len = 0;
    int place[FIT_MOST_X + 1];
    *out = (struct fit_data){0};
    int rc = text_read_file(path, MOST_BYTES, &text, &len, d);
    if (!rc && strlen(text) != len) rc = diag_set(d, ERR_FORMAT, "%s: a zero byte: this is no CSV file", path);
    r.csv = (struct csv){text, 1};
    if (!rc && next_record(&r) != 1) rc = diag_set(d, ERR_FORMAT, "%s: no header line", path);
    if (!rc) rc = find_columns(&r, out, x, y, place);
    if (!rc) rc = read_rows(&r, out, place);
    if (!rc && !out->n) rc = diag_set(d, ERR_FORMAT, "%s: no rows under the header", path);
    if (!rc) rc = fit_data_sort(out, d);
    if (rc) fit_data_free(out);
    free(text);
    return rc;
}

int fit_data_init(struct fit_data *out, int n, int n_x, struct diag *d) {
    *out = (struct fit_data){.n = n, .n_x = n_x};
    int rc = grow(out, n, d);
    if (rc) fit_data_free(out);
    return rc;
}

void fit_data_free(struct fit_data *data) {
    free(data->x);
    free(data->y);
    free(data->line);
    *data = (struct fit_data){0};
}

/* A row while rows are sorted. */
struct row {
    double x[FIT_MOST_X], y;
    int line;
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
    }
    qsort(row, (size_t)data->n, sizeof *row, by_x);
    for (int i = 0; i < data->n; i++) {
        memcpy(&data->x[i * data->n_x], row[i].x, (size_t)data->n_x * sizeof *row[i].x);
        data->y[i] = row[i].y;
        data->line[i] = row[i].line;
    }
    free(row);
    return 0;
}
