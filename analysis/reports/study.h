/* study.h - what the reports on scaling and on card design have in common: figures of cases, of which some do not fit.
 */
#ifndef ANALYSIS_STUDY_H
#define ANALYSIS_STUDY_H

#include "analysis/case.h"
#include "analysis/integers.h"
#include "analysis/parameter.h"
#include "analysis/report.h"

struct study {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    int quick; /* --quick */
};

/* Figures of a case; all zero where it does not fit its cards, or there is no such plan: no error. `estimate`: in
 * closed form. */
struct study_figures {
    int fits;
    struct virtual_summary s;
    double J; /* a token, of the cards, modelled */
};
int study_figures(struct study_figures *out, const struct study_case *c, const struct study *st, int estimate);

/* A case for so many users. */
typedef struct study_case study_make(const void *user, int users);
/* The most users, up to `most`, for which a case fits; 0: not even one. By plans alone. */
int study_most_users(int *out, study_make *make, const void *user, int most, const struct study *st);

/* What the time to the last token is mostly made of, and its part of it. */
enum net_share study_binds(const struct virtual_summary *s, double *part);
extern const char *const study_share_name[NET_SHARES]; /* for people: "link bandwidth" */
/* "memory 62 %", of that share. */
const char *study_binds_text(const struct virtual_summary *s, char text[64]);

/* Numbers in words: "0.0105 to 0.242", one where both are the same so far. Nothing is a span of none. */
struct study_span {
    double least, most;
    int n;
};
void study_span_add(struct study_span *s, double x); /* NaN is left out */
double study_rounded(double x, int digits); /* to so many significant digits */
const char *study_span_text(const struct study_span *s, int digits, char text[64]);

#endif
