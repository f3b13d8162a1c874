/* csv.h - cells of CSV (RFC 4180), cut out of a text in place; lines may end with LF alone. Local. */
#ifndef ANALYSIS_CSV_H
#define ANALYSIS_CSV_H

struct csv {
    char *at; /* the next cell; at a 0 there is none */
    int line; /* that it begins on, counted from 1 */
};

/* Ends the next cell with a 0, its quotes removed, and returns it. *end: what came behind it, ',', '\n' or, at the end
 * of the text, 0. NULL: a quote is not closed, or something stands behind one. */
char *csv_cell(struct csv *c, char *end);

#endif
