/* table.h - text in aligned columns. */
#ifndef PARTITION_TABLE_H
#define PARTITION_TABLE_H

#include <stdio.h>

enum { TABLE_COLS = 16, TABLE_CELL = 40 };

struct table {
    int n_cols, n_rows, cap_rows, failed;
    unsigned left; /* bit i: column i is aligned to the left */
    char (*cell)[TABLE_CELL]; /* [n_rows][n_cols] */
};

/* The header is the first row: NULL-ended names. */
void table_init(struct table *t, unsigned left, const char *const *header);
/* Starts a row of empty cells. */
void table_row(struct table *t);
/* Text of a cell of the last row. */
void table_set(struct table *t, int col, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Prints and frees. Columns without text under their header are left out; "-" in column 0 is a rule. */
void table_print(struct table *t, const char *indent, FILE *out);

#endif
