/* report.h - comparisons with published systems: one file, one word, one test each. */
#ifndef ANALYSIS_REPORT_H
#define ANALYSIS_REPORT_H

#include "analysis/frame.h"
#include "dist/app.h"

enum { REPORT_MOST_TABLES = 32 };

/* A page of a report: tables and sentences, in order. */
struct report_page {
    struct frame *table[REPORT_MOST_TABLES];
    int n;
};

struct report {
    const char *name; /* "northpole" */
    const char *summary, *text; /* a line; what stands above the tables */
    /* Fills in the page, whose tables the caller frees. Local. */
    int (*make)(struct report_page *page, const struct app *app, struct diag *d);
    /* Figures, as gnuplot commands that read the CSV files of the page's tables; ended by a row without name. */
    const struct report_figure { const char *name, *commands; } * figures;
};
extern const struct report *const reports[]; /* ended by NULL */

/* Adds a table; NULL where the page is full or memory is short (report_page_check tells). */
struct frame *report_table(struct report_page *page, const char *name, const char *title, const char *note);
/* Prints to a terminal, or as JSON. */
int report_print(const struct report *r, const struct report_page *page, FILE *out, int json, struct diag *d);
/* Makes the folder of --out, if it is not there. ERR_IO. */
int report_folder(const char *folder, struct diag *d);
/* Writes NAME.csv for each table, NAME.gp and, where gnuplot is installed, NAME.svg for each figure into a folder.
 * *drawn: pictures written. ERR_IO. */
int report_write(const struct report *r, const struct report_page *page, const char *folder, int *drawn,
                 struct diag *d);
void report_page_fini(struct report_page *page);

#endif
