/* memory_wall.h - the parts of the report on "AI and Memory Wall" (blog of 2021; arXiv 2403.14123, 2024). */
#ifndef ANALYSIS_MEMORY_WALL_H
#define ANALYSIS_MEMORY_WALL_H

#include "analysis/case.h"
#include "analysis/data.h"
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

/* A preset on one rank, 8-bit activations and cache, that holds so many tokens of one text; storage NULL: its own.
 * Freed by plan_free. */
int wall_plan(struct plan **out, const char *preset, const char *storage, int tokens, int threads, struct diag *d);

int wall_growth(struct memory_wall *w); /* fits beside the printed rates, what the figures mix, gaps; fills in rate */
int wall_profile(struct memory_wall *w); /* operations, bytes and latency of three models */
int wall_methods(struct memory_wall *w); /* what the papers say helps */
int wall_years(struct memory_wall *w); /* when memory, when the link bounds a decode */
extern const struct report_figure wall_figures[];

#endif
