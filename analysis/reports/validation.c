/* validation - where the program is wrong, and by how much: errors of each way to know a time beside a better one. */
#include "validation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/random_plan.h"
#include "base/stats.h"
#include "figure.h"
#include "northpole.h"

/* A group's name, and what is taken for true in it beside what is said. */
static const struct {
    const char *name, *is, *said;
} groups[VALIDATION_GROUPS] = {
    [VALIDATION_DESCRIBED] = {"random plans on described clusters", "simulated", "estimated"},
    [VALIDATION_RANDOM] = {"random plans on random clusters", "simulated", "estimated"},
    [VALIDATION_EMULATED] = {"runs beside virtual clocks", "emulated", "simulated"},
    [VALIDATION_DECODE] = {"this machine: decoding", "measured", "simulated"},
    [VALIDATION_PREFILL] = {"this machine: prompts", "measured", "simulated"},
    [VALIDATION_EXPOSED] = {"this machine: all-reduces behind a product", "measured", "estimated"},
    [VALIDATION_COLLECTIVES] = {"this machine: all-reduces by themselves", "measured", "estimated"},
    [VALIDATION_PUBLISHED] = {"published and not fitted to", "published", "simulated"},
};

/* ---- the closed form beside the simulator ---- */

static int compare_plan(struct validation *v, int number) {
    struct random_plan o;
    struct estimate e;
    struct net_stamp total;
    struct diag d = {0};
    uint64_t prefill_ps;
    int rc = random_plan_init(&o, number, &d);
    if (!rc) rc = plan_estimate(&e, o.plan, &o.cluster, &o.job, &d);
    if (!rc) rc = random_plan_walk(&o, &prefill_ps, &total, &d);
    if (!rc) {
        struct validation_point p = validation_exact(o.random ? VALIDATION_RANDOM : VALIDATION_DESCRIBED,
                                                     1e-9 * (double)total.ps, 1e-9 * (double)e.total.ps, "ms");
        snprintf(p.what, sizeof p.what, "plan %d: %s on %s, %d users, %d + %d tokens", number, o.st.text,
                 o.cluster.name, o.job.n_seqs, o.job.prompt_len, o.job.n_new);
        validation_add(v, &p);
    }
    random_plan_fini(&o);
    return rc && rc != ERR_PLAN ? diag_set(v->d, rc, "%s", d.text) : 0; /* some have no room */
}

static int compare_plans(struct validation *v) {
    int rc = 0, n = v->app->spec.quick ? 140 : 500;
    for (int i = 0; i < n && !rc; i++)
        rc = compare_plan(v, i);
    return rc;
}

/* ---- published points ---- */

static int add_rack(struct validation *v, struct northpole *n) {
    struct northpole_ask ask = northpole_rack();
    int rc = 0;
    for (int i = 0; i < n->n_fits && !rc; i++) {
        struct validation_point p = validation_exact(VALIDATION_PUBLISHED, NORTHPOLE_RACK_MS, NAN, "ms");
        rc = northpole_answer(n, &ask, i, &p.said);
        snprintf(p.what, sizeof p.what, "Granite 3.3 8B on the rack of 2025, if %s is what is missing",
                 n->fit[i].parameter->name);
        if (!rc) validation_add(v, &p);
    }
    return rc;
}

static void add_ratio(struct validation *v, const struct northpole_ratio *r) {
    struct validation_point p = validation_exact(VALIDATION_PUBLISHED, r->published, r->ours, "x");
    snprintf(p.what, sizeof p.what, "%s: times better %s, memory at its peak", r->against, r->metric);
    validation_add(v, &p);
}

static int compare_published(struct validation *v) {
    struct northpole *n = calloc(1, sizeof *n);
    struct report_page *others = calloc(1, sizeof *others);
    struct northpole_ratio ratio[NORTHPOLE_RATIOS];
    double pass_s, sequence_s;
    int rc = n && others ? 0 : diag_set(v->d, ERR_MEMORY, "no memory for the report");
    if (!rc) {
        n->app = v->app;
        n->page = others;
        n->d = v->d;
        rc = case_cluster(&n->described, "northpole-16", v->d);
    }
    if (!rc) rc = northpole_missing(n);
    if (!rc) rc = add_rack(v, n);
    if (v->app->spec.quick) validation_leave_out(v, "published points of GPUs", "--quick");
    if (!rc && !v->app->spec.quick) rc = northpole_gpu_points(n, ratio, &pass_s, &sequence_s);
    for (int i = 0; i < NORTHPOLE_RATIOS && !rc && !v->app->spec.quick; i++)
        if (ratio[i].leads && !strcmp(ratio[i].role, "prediction")) add_ratio(v, &ratio[i]);
    if (others) report_page_fini(others);
    free(others);
    free(n);
    return rc;
}

/* ---- tables ---- */

static void show_errors(struct validation *v) {
    struct frame *t = report_table(
        v->page, "errors", "Errors, as a distribution of their sizes",
        "|said / taken for true - 1|. p95 where there are 20 or more. Inside: how many of the points with an interval "
        "of 95 %\nhave what was said in it.");
    frame_column(t, "group", "", 0);
    frame_column(t, "taken for true", "", 0);
    frame_column(t, "said", "", 0);
    frame_column(t, "n", "", 4);
    frame_column(t, "median", "%", 3);
    frame_column(t, "p95", "%", 3);
    frame_column(t, "worst", "%", 3);
    frame_column(t, "least", "%", 3);
    frame_column(t, "greatest", "%", 3);
    frame_column(t, "inside", "", 3);
    frame_column(t, "the worst", "", 0);
    for (int g = 0; g < VALIDATION_GROUPS; g++) {
        struct validation_errors e = validation_errors(v, (enum validation_group)g);
        if (e.n == 0) continue;
        frame_text(t, "%s", groups[g].name);
        frame_text(t, "%s", groups[g].is);
        frame_text(t, "%s", groups[g].said);
        frame_number(t, e.n);
        frame_number(t, 100 * e.median);
        frame_number(t, 100 * e.p95);
        frame_number(t, 100 * e.most);
        frame_number(t, 100 * e.low_end);
        frame_number(t, 100 * e.high_end);
        frame_number(t, e.with_interval ? e.inside : NAN);
        frame_text(t, "%s", v->point[e.worst].what);
        frame_end_row(t);
    }
}

static void point_columns(struct frame *t) {
    frame_column(t, "group", "", 0);
    frame_column(t, "point", "", 0);
    frame_column(t, "taken for true", "", 5);
    frame_column(t, "low", "", 5);
    frame_column(t, "high", "", 5);
    frame_column(t, "said", "", 5);
    frame_column(t, "unit", "", 0);
    frame_column(t, "error", "%", 3);
    frame_column(t, "size of it", "%", 3);
    frame_column(t, "n", "", 4);
    frame_column(t, "oversubscribed", "", 0);
    frame_column(t, "used by others", "%", 2);
}

static void add_point(struct frame *t, const struct validation_point *p) {
    frame_text(t, "%s", groups[p->group].name);
    frame_text(t, "%s", p->what);
    frame_number(t, p->is);
    frame_number(t, p->low);
    frame_number(t, p->high);
    frame_number(t, p->said);
    frame_text(t, "%s", p->unit);
    frame_number(t, 100 * validation_error(p));
    frame_number(t, 100 * fabs(validation_error(p)));
    frame_number(t, p->n);
    frame_text(t, "%s", p->oversubscribed < 0 ? "-" : p->oversubscribed ? "yes" : "no");
    frame_number(t, 100 * p->others);
    frame_end_row(t);
}

/* Those that ran or were published first: the many random plans are for the file. */
static void show_points(struct validation *v) {
    struct frame *t = report_table(v->page, "points", "All points",
                                   "Low and high: 95 % of the median of n measurements, by binomial ranks; nothing is "
                                   "left out for being far off.");
    point_columns(t);
    for (int g = VALIDATION_GROUPS - 1; g >= 0; g--)
        for (int i = 0; i < v->n; i++)
            if (v->point[i].group == (enum validation_group)g) add_point(t, &v->point[i]);
}

/* ---- in words ---- */

static void say_group(struct validation *v, int g, const struct validation_errors *e) {
    const struct validation_point *w = &v->point[e->worst];
    char p95[48] = "", inside[80] = "";
    if (e->most == 0) {
        report_say(v->page, "%s: %s equals %s to the last digit in all cases, n = %d.", groups[g].name, groups[g].said,
                   groups[g].is, e->n);
        return;
    }
    if (!isnan(e->p95)) snprintf(p95, sizeof p95, ", p95 %.3g %%", 100 * e->p95);
    if (e->with_interval)
        snprintf(inside, sizeof inside, "; %d of %d lie in the interval of 95 %%", e->inside, e->with_interval);
    report_say(v->page, "%s, %s beside %s: worst error %.3g %% (%s: %.4g beside %.4g %s), median %.3g %%%s, n = %d%s.",
               groups[g].name, groups[g].said, groups[g].is, 100 * e->most, w->what, w->said, w->is, w->unit,
               100 * e->median, p95, e->n, inside);
}

/* What else there is to know of what was measured. */
static void say_measured(struct validation *v) {
    double least = INFINITY, most = 0;
    for (int i = 0; i < v->n; i++)
        if (!isnan(v->point[i].others)) {
            least = fmin(least, v->point[i].others);
            most = fmax(most, v->point[i].others);
        }
    report_say(v->page,
               "Not in what is simulated of this machine: waits for the scheduler, and other programs, which used %.0f "
               "to %.0f %% of the %d cores while a point was measured (n = 1 each).",
               100 * least, 100 * most, v->app->cores);
}

/* The largest errors first. */
static void say_all(struct validation *v) {
    struct validation_errors e[VALIDATION_GROUPS];
    int said[VALIDATION_GROUPS] = {0};
    for (int g = 0; g < VALIDATION_GROUPS; g++)
        e[g] = validation_errors(v, (enum validation_group)g);
    for (int k = 0; k < VALIDATION_GROUPS; k++) {
        int next = -1;
        for (int g = 0; g < VALIDATION_GROUPS; g++)
            if (!said[g] && e[g].n && (next < 0 || e[g].most > e[next].most)) next = g;
        if (next < 0) break;
        said[next] = 1;
        say_group(v, next, &e[next]);
    }
    if (e[VALIDATION_DECODE].n) say_measured(v);
    if (v->left_out[0]) report_say(v->page, "Left out: %s.", v->left_out);
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct validation *v = calloc(1, sizeof *v);
    if (!v) return diag_set(d, ERR_MEMORY, "no memory for the report");
    v->app = app;
    v->page = page;
    v->d = d;
    int rc = compare_plans(v);
    if (!rc) rc = compare_published(v);
    if (!rc) rc = validation_emulated(v);
    if (!rc) rc = validation_measured(v);
    if (!rc) {
        show_errors(v);
        show_points(v);
        say_all(v);
    }
    free(v);
    return rc;
}

/* Of groups that have points: one mark each. */
#define GROUPS                                                                                                         \
    "array name[16]\nn = 0\nlast = ''\n"                                                                               \
    "stats 'points.csv' skip 1 using (last eq strcol(1) ? n : (n = n + 1, name[n] = strcol(1), last = strcol(1), n)) " \
    "nooutput\n"

static const struct report_figure figures[] = {
    {"validation_points",
     FIGURE_STYLE GROUPS
     "set title 'Times said beside times measured, emulated or published'\nset xlabel 'taken for true, ms' offset "
     "0,0.5\n"
     "set ylabel 'said, ms'\nset logscale xy\nset format '10^{%T}'\nset key outside below font ',10'\n"
     "set xrange [1e-4:1e4]\nset yrange [1e-4:1e4]\n"
     "shown(i) = name[i][1:6] ne 'random' && strcol(1) eq name[i] && strcol(7) eq 'ms'\n"
     "plot x with lines lc rgb '#999999' dt 3 title 'equal', \\\n"
     "  for [i=1:n] 'points.csv' skip 1 using (shown(i) ? $3 : NaN):6:($4 > 0 ? $4 : $3):($5 > 0 ? $5 : $3) \\\n"
     "  with xerrorbars lc rgb color(i) pt 2*i title (name[i][1:6] eq 'random' ? '' : name[i])\n",
     "Each point: a time said beside the one taken for true, with the interval of 95 % of what is measured; on the "
     "line "
     "both are equal. Random plans are in the other figure alone, ratios of publications in the table."},
    {"validation_errors",
     FIGURE_STYLE GROUPS
     "set title 'Sizes of errors'\nset xlabel '|error|, %' offset 0,0.5\nset ylabel 'share of the points with no more, "
     "%'\n"
     "set logscale x\nset format x '10^{%T}'\nset xrange [1e-4:1000]\nset yrange [0:101]\nset key outside below font "
     "',10'\n"
     "array count[16]\n"
     "do for [i=1:n] { stats 'points.csv' skip 1 using (strcol(1) eq name[i] ? 1 : NaN) nooutput; "
     "count[i] = STATS_records }\n"
     "plot for [i=1:n] 'points.csv' skip 1 \\\n"
     "  using (strcol(1) eq name[i] ? ($9 > 1e-4 ? $9 : 1e-4) : NaN):(100.0/count[i]) smooth cumulative \\\n"
     "  with linespoints lc rgb color(i) pt 2*i pi (count[i] > 60 ? 40 : 1) dt i lw 1.5 title name[i]\n",
     "Share of a group's points whose error is no more than that; errors below 0.0001 % are drawn there."},
    {0}};

const struct report report_validation = {
    .name = "validation",
    .summary = "where the program is wrong, and by how much",
    .text =
        "Errors of what the program says: estimated beside simulated, simulated beside emulated, measured on this\n"
        "machine and published. Simulated and estimated times are deterministic (n = 1); what is measured has n and\n"
        "an interval of 95 %. No point is left out for being far off.",
    .make = make,
    .figures = figures,
    .measures = 1,
};
