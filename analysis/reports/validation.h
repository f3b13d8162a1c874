/* validation.h - where the program is wrong, and by how much: pairs of what one part says and what another, a
 * measurement or a publication does. */
#ifndef ANALYSIS_VALIDATION_H
#define ANALYSIS_VALIDATION_H

#include "analysis/report.h"

enum validation_group {
    VALIDATION_DESCRIBED, /* estimated beside simulated, described clusters */
    VALIDATION_RANDOM, /* random ones */
    VALIDATION_EMULATED, /* simulated beside emulated: must be equal */
    VALIDATION_DECODE, /* simulated on what calibrate wrote, beside measured */
    VALIDATION_PREFILL,
    VALIDATION_EXPOSED, /* estimated beside measured: all-reduces behind products, as calibrate takes them */
    VALIDATION_COLLECTIVES, /* by themselves */
    VALIDATION_PUBLISHED, /* simulated beside published, nothing of which was fitted */
    VALIDATION_GROUPS
};

/* One of them is taken for true. */
struct validation_point {
    enum validation_group group;
    char what[384];
    double is, low, high; /* taken for true, with its interval; NaN: none */
    double said;
    const char *unit;
    int n; /* samples of what is measured; 1: deterministic, or published */
    int oversubscribed; /* more threads than cores, or -1: nothing ran */
    double others; /* share of the processors' time that others used meanwhile; NaN: nothing ran */
};

enum { VALIDATION_MOST = 1024 };
struct validation {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    struct validation_point point[VALIDATION_MOST];
    int n;
    char left_out[512]; /* what could not be run, and why */
};

/* What neither ran nor has an interval. */
struct validation_point validation_exact(enum validation_group group, double is, double said, const char *unit);
void validation_add(struct validation *v, const struct validation_point *p);
/* Not an error: what could not be run is told. */
void validation_leave_out(struct validation *v, const char *what, const char *why);

double validation_error(const struct validation_point *p); /* said / is - 1 */
/* Errors of a group, by size. worst: of point[]; -1: none. */
struct validation_errors {
    int n, worst;
    double median, p95, most; /* of |error|; p95: NaN below 20 */
    double low_end, high_end; /* least and greatest error, with their signs */
    int inside; /* of those with an interval: how many have `said` in it */
    int with_interval;
};
struct validation_errors validation_errors(const struct validation *v, enum validation_group group);

/* Each adds points; what needs mpirun says so where there is none. */
int validation_emulated(struct validation *v);
int validation_measured(struct validation *v); /* calibrates first */

#endif
