/* data.h - data files that come with the program: published numbers, each row with its source.
 *
 *   struct data t;  data_read(&t, "trends", &d);
 *   for (int i = 0; i < t.n_rows; i++) x = data_number(&t, i, "value");
 *   data_fini(&t);
 *
 * CSV after RFC 4180; the first line names the columns; lines may end with LF alone. All functions are local. */
#ifndef ANALYSIS_DATA_H
#define ANALYSIS_DATA_H

#include <stddef.h>

#include "base/diag.h"

struct data {
    int n_columns, n_rows; /* rows without the header */
    char *text; /* the cells, one after the other, each ended by 0 */
    char **cell; /* [1 + n_rows][n_columns] */
};

/* analysis/data/NAME.csv. ERR_IO, ERR_FORMAT ("FILE:LINE: ..."), ERR_MEMORY; *out is then empty. */
int data_read(struct data *out, const char *name, struct diag *d);
/* The same of any file that comes with the program, "models/bundled/lsq.log". */
int data_read_file(struct data *out, const char *file, struct diag *d);
/* The same from memory; path is for the text of errors. */
int data_parse(struct data *out, const char *path, const char *text, size_t len, struct diag *d);
void data_fini(struct data *t);

/* "" where there is no such column. */
const char *data_text(const struct data *t, int row, const char *column);
/* NaN where the cell is no number, or there is no such column. */
double data_number(const struct data *t, int row, const char *column);

/* Where a file that comes with the program lies, "cluster-configs/l4.yaml": in $NORTHWALL_SHARE, the folder it was
 * installed to, or the one it was built from. ERR_IO names all three. */
int data_path(char *path, size_t cap, const char *file, struct diag *d);

#endif
