#include "partition/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *cell(const struct table *t, int row, int col) {
    return t->cell[(size_t)row * (size_t)t->n_cols + (size_t)col];
}

void table_row(struct table *t) {
    if (t->n_rows == t->cap_rows) {
        int cap = t->cap_rows ? 2 * t->cap_rows : 32;
        void *bigger = realloc(t->cell, (size_t)cap * (size_t)t->n_cols * sizeof *t->cell);
        if (!bigger) {
            t->failed = 1;
            return;
        }
        t->cell = bigger;
        t->cap_rows = cap;
    }
    t->n_rows++;
    for (int c = 0; c < t->n_cols; c++)
        cell(t, t->n_rows - 1, c)[0] = 0;
}

void table_set(struct table *t, int col, const char *fmt, ...) {
    if (t->failed) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(cell(t, t->n_rows - 1, col), TABLE_CELL, fmt, args);
    va_end(args);
}

void table_init(struct table *t, unsigned left, const char *const *header) {
    memset(t, 0, sizeof *t);
    t->left = left;
    while (header[t->n_cols])
        t->n_cols++;
    table_row(t);
    for (int c = 0; c < t->n_cols; c++)
        table_set(t, c, "%s", header[c]);
}

/* 0: nothing but the header in this column. */
static int width(const struct table *t, int col) {
    int n = 0;
    for (int r = 1; r < t->n_rows; r++)
        if ((int)strlen(cell(t, r, col)) > n) n = (int)strlen(cell(t, r, col));
    int head = (int)strlen(cell(t, 0, col));
    return n && head > n ? head : n;
}

static void print_row(const struct table *t, int row, const int *widths, const char *indent, FILE *out) {
    char line[TABLE_COLS * (TABLE_CELL + 2) + 1];
    size_t at = 0;
    for (int c = 0; c < t->n_cols; c++) {
        if (!widths[c]) continue;
        const char *fmt = t->left >> c & 1 ? "%s%-*s" : "%s%*s";
        at += (size_t)snprintf(line + at, sizeof line - at, fmt, at ? "  " : "", widths[c], cell(t, row, c));
    }
    while (at && line[at - 1] == ' ')
        at--;
    fprintf(out, "%s%.*s\n", indent, (int)at, line);
}

static void print_rule(const int *widths, int n_cols, const char *indent, FILE *out) {
    int n = -2;
    for (int c = 0; c < n_cols; c++)
        n += widths[c] ? widths[c] + 2 : 0;
    fputs(indent, out);
    while (n-- > 0)
        fputc('-', out);
    fputc('\n', out);
}

void table_print(struct table *t, const char *indent, FILE *out) {
    int widths[TABLE_COLS];
    if (t->failed) fputs("(no memory for this table)\n", out);
    for (int c = 0; c < t->n_cols && !t->failed; c++)
        widths[c] = width(t, c);
    for (int r = 0; r < t->n_rows && !t->failed; r++) {
        if (r && !strcmp(cell(t, r, 0), "-"))
            print_rule(widths, t->n_cols, indent, out);
        else
            print_row(t, r, widths, indent, out);
    }
    free(t->cell);
    memset(t, 0, sizeof *t);
}
