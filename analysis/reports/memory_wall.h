/* memory_wall.h - the parts of the report on "AI and Memory Wall" (blog of 2021; arXiv 2403.14123, 2024). */
#ifndef ANALYSIS_MEMORY_WALL_H
#define ANALYSIS_MEMORY_WALL_H

#include "analysis/case.h"
#include "analysis/data.h"
#include "analysis/judge.h"
#include "analysis/parameter.h"
#include "analysis/report.h"
#include "analysis/trend.h"

/* The fits that the next ten years are reckoned with, all as drawn in 2024 but the last: links a device and direction.
 */
enum wall_rate { WALL_PEAK, WALL_DRAM, WALL_LINK, WALL_DEVICE_LINK, WALL_RATES };

struct memory_wall {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    struct data trends, profile, training; /* analysis/data/ */
    struct trend rate[WALL_RATES];
};

/* Points of trends.csv: those of a series and version with the tag `with` and without the tag `without`, in dates
 * [from, to], and all of a second series, which stands in for what is left out. NULL and 0: any, or none. */
struct wall_points {
    const char *series, *version, *with, *without, *also;
    double from, to; /* years */
};
/* Fits them. ERR_RANGE as trend_fit. */
int wall_fit(const struct memory_wall *w, const struct wall_points *which, struct trend *out);

/* What is printed of growth in two and in 20 years. */
struct wall_printed {
    const char *text, *version;
    struct wall_points points;
    double in_2; /* times in two years, as printed, with `digits` digits that count */
    int digits;
    double in_20; /* with one; 0: not printed */
};
enum { WALL_PRINTED = 12, WALL_GAPS = 8 };
extern const struct wall_printed wall_printed[WALL_PRINTED];
enum verdict wall_judge(const struct trend *t, double years, double is, int digits);

/* One series outgrows another: so many times in two years. */
struct wall_gap {
    const char *text;
    struct wall_points fast, slow;
};
extern const struct wall_gap wall_gaps[WALL_GAPS];
int wall_gap(const struct memory_wall *w, int i, struct trend_slope *out);

/* One token of a decode, estimated. */
struct wall_decode {
    double ms;
    double share[NET_SHARES]; /* of its critical path, sum 1 */
};
/* Of a plan at hand, context from 1024 on. ERR_PLAN as plan_estimate. */
int wall_estimate(struct wall_decode *out, const struct app *app, const struct plan *p, const struct cluster *c,
                  struct diag *d);
/* The same of a case, on its own cluster. ERR_PLAN as case_use too. */
int wall_decode(struct wall_decode *out, const struct study_case *on, const struct app *app, struct diag *d);
double wall_link_share(const struct wall_decode *y); /* bandwidth and latency */
const char *wall_binds(const struct wall_decode *y); /* "memory", "compute", "link, latency", "link, bandwidth" */

/* What one text of so many tokens takes: encoders one pass over all, decoders all tokens one by one, from none. */
struct wall_counts {
    double operations, bytes;
};
enum { WALL_MODELS = 3, WALL_LENGTHS = 6 }; /* bert-base, bert-large, gpt2; 128 to 4096 tokens */
extern const char *const wall_models[WALL_MODELS];
extern const int wall_lengths[WALL_LENGTHS];
struct wall_counts wall_counts(const struct plan *p, int tokens); /* what this program computes and streams */

/* Of what the papers say helps, from formulas: times less memory, larger models, fewer bytes. */
/* Rematerialisation of bert-large at 512 tokens with at most so much more computing; *more: how much it takes. */
int wall_remat(double most_more, double *gain, double *more, struct diag *d);
double wall_zero(int stage, double cards); /* 1: optimizer shared, 2: gradients too, 3: weights too */
int wall_quant(const char *wide, const char *narrow, double *gain, struct diag *d); /* llama3-8b as stored */
double wall_sparse(double left, double bits); /* weights left, a mask of one bit a weight */

/* A preset on one rank, 8-bit activations and cache, that holds so many tokens of one text; storage NULL: its own.
 * Freed by plan_free. */
int wall_plan(struct plan **out, const char *preset, const char *storage, int tokens, int threads, struct diag *d);

int wall_growth(struct memory_wall *w); /* fits beside the printed rates, what the figures mix, gaps; fills in rate */
int wall_profile(struct memory_wall *w); /* operations, bytes and latency of three models */
int wall_methods(struct memory_wall *w); /* what the papers say helps */
int wall_years(struct memory_wall *w); /* when memory, when the link bounds a decode */
extern const struct report_figure wall_figures[];

#endif
