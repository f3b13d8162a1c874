/* report.h - what a study found, as sentences, tables and figures: one file, one word, one test each.
 *
 *   report_say(page, "Pipelines win below %s (simulated).", text);
 *   struct frame *t = report_table(page, "map", "Who wins", "simulated, n = 1");
 *
 * A report is printed to a terminal, as JSON, or as files; `northwall report` without a name makes one page of all. */
#ifndef ANALYSIS_REPORT_H
#define ANALYSIS_REPORT_H

#include "analysis/frame.h"
#include "dist/app.h"

enum { REPORT_MOST_TABLES = 32, REPORT_MOST_FINDINGS = 32 };

/* A page of a report: what was found, in words, and the tables it is read from, both in order. */
struct report_page {
    char *finding[REPORT_MOST_FINDINGS];
    int n_findings;
    int lost; /* findings or tables without room or memory: told by report_print and report_write */
    struct frame *table[REPORT_MOST_TABLES];
    int n;
};

struct report {
    const char *name; /* "northpole" */
    const char *summary, *text; /* a line; what stands above the tables */
    int measures; /* times of this machine, so that nothing else may run meanwhile: 1: without --quick, 2: always */
    /* Fills in the page, whose tables the caller frees. Local. */
    int (*make)(struct report_page *page, const struct app *app, struct diag *d);
    /* Figures, as gnuplot commands that read the CSV files of the page's tables; ended by a row without name. NULL:
     * none. */
    const struct report_figure {
        const char *name, *commands;
        const char *caption; /* what it shows and how to read it, with unit, kind and n; whole sentences */
    } * figures;
};
extern const struct report *const reports[]; /* ended by NULL */

/* Adds a table; NULL where the page is full or memory is short, which report_print and report_write tell. */
struct frame *report_table(struct report_page *page, const char *name, const char *title, const char *note);
/* Adds a finding: a sentence or two that can be read without the tables, with kind, unit and interval of each number.
 */
void report_say(struct report_page *page, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same before all others, for what leads the page and is known last. */
void report_lead(struct report_page *page, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints to a terminal, or as JSON. */
int report_print(const struct report *r, const struct report_page *page, FILE *out, int json, struct diag *d);
/* Makes the folder of --out, if it is not there. ERR_IO. */
int report_folder(const char *folder, struct diag *d);
/* Writes NAME.csv for each table, and for each figure NAME.gp and, where gnuplot is installed, NAME.svg (with its Cairo
 * terminals also NAME.pdf and NAME.png) into a folder. *drawn: figures drawn. ERR_IO. */
int report_write(const struct report *r, const struct report_page *page, const char *folder, int *drawn,
                 struct diag *d);
/* Draws the figures in letters, for a terminal of so many columns, by gnuplot. ERR_INTERNAL: it did not. */
int report_plot(const struct report *r, const struct report_page *page, int columns, FILE *out, struct diag *d);
/* The report as a section of an HTML page beside the folder NAME that report_write has filled; folder: its path. */
int report_section(const struct report *r, const struct report_page *page, const char *folder, FILE *out,
                   struct diag *d);
void report_page_fini(struct report_page *page);

/* Makes all reports: --out/NAME/ with the files of each, and --out/index.html, a page of all that needs no other file.
 * Reports that measure come first, one at a time; the others --jobs at once. Each is made by a process of its own: one
 * that fails leaves a section that says why, and its error is returned once the page is written; not so what is merely
 * not installed (ERR_UNSUPPORTED). ERR_INTERRUPTED: without a page. Progress goes to stderr. Local. */
int report_all(const struct app *app, struct diag *d);

#endif
