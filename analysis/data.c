#include "analysis/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "csv.h"

enum { MOST_BYTES = 1 << 24 };

int data_path(char *path, size_t cap, const char *file, struct diag *d) {
    const char *own = getenv("NORTHWALL_SHARE"), *folders[] = {own, NW_SHARE_DIR, NW_SOURCE_DIR};
    for (int i = 0; i < 3; i++) {
        if (!folders[i]) continue;
        snprintf(path, cap, "%s/%s", folders[i], file);
        if (access(path, F_OK) == 0) return 0;
    }
    return diag_set(d, ERR_IO, "%s: in none of NORTHWALL_SHARE (%s), %s, %s: set NORTHWALL_SHARE", file,
                    own ? own : "not set", NW_SHARE_DIR, NW_SOURCE_DIR);
}

static int add_cell(struct data *t, int n, char *text) {
    if ((n & (n - 1)) == 0) { /* full at each power of two */
        char **bigger = realloc(t->cell, (n ? 2 * (size_t)n : 1) * sizeof *bigger);
        if (!bigger) return -1;
        t->cell = bigger;
    }
    t->cell[n] = text;
    return 0;
}

static int parse(struct data *t, const char *path, struct diag *d) {
    struct csv csv = {t->text, 1};
    int n = 0;
    while (*csv.at) {
        int first = n, line = csv.line;
        for (char end = ','; end == ',';) {
            char *cell = csv_cell(&csv, &end);
            if (!cell) return diag_set(d, ERR_FORMAT, "%s:%d: a quote does not end its cell", path, line);
            if (add_cell(t, n++, cell)) return diag_set(d, ERR_MEMORY, "no memory for %s", path);
        }
        if (!t->n_columns) t->n_columns = n;
        if (n - first != t->n_columns)
            return diag_set(d, ERR_FORMAT, "%s:%d: %d cells, but %d columns", path, line, n - first, t->n_columns);
    }
    if (!n) return diag_set(d, ERR_FORMAT, "%s:1: no line that names the columns", path);
    t->n_rows = n / t->n_columns - 1;
    return 0;
}

int data_parse(struct data *out, const char *path, const char *text, size_t len, struct diag *d) {
    *out = (struct data){.text = strndup(text, len)};
    if (!out->text) return diag_set(d, ERR_MEMORY, "no memory for %s", path);
    int rc =
        memchr(text, 0, len) ? diag_set(d, ERR_FORMAT, "%s:1: no text: it holds a byte 0", path) : parse(out, path, d);
    if (rc) data_fini(out);
    return rc;
}

int data_read(struct data *out, const char *name, struct diag *d) {
    char file[128];
    snprintf(file, sizeof file, "analysis/data/%s.csv", name);
    return data_read_file(out, file, d);
}

int data_read_file(struct data *out, const char *file, struct diag *d) {
    char path[4096], *text = NULL;
    size_t len = 0;
    *out = (struct data){0};
    int rc = data_path(path, sizeof path, file, d);
    if (!rc) rc = text_read_file(path, MOST_BYTES, &text, &len, d);
    if (!rc) rc = data_parse(out, path, text, len, d);
    free(text);
    return rc;
}

void data_fini(struct data *t) {
    free(t->text);
    free(t->cell);
    *t = (struct data){0};
}

const char *data_text(const struct data *t, int row, const char *column) {
    for (int i = 0; i < t->n_columns; i++)
        if (!strcmp(t->cell[i], column)) return t->cell[(row + 1) * t->n_columns + i];
    return "";
}

double data_number(const struct data *t, int row, const char *column) {
    const char *text = data_text(t, row, column);
    char *end;
    double x = strtod(text, &end);
    return end == text || *end ? NAN : x;
}
