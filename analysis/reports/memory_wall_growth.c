/* Growth: the printed rates, what the figures mix, how far apart the curves are. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "memory_wall.h"

/* ---- points ---- */

/* True if `tag` is a word of the list. */
static int tagged(const char *list, const char *tag) {
    size_t n = strlen(tag);
    for (const char *p = list; (p = strstr(p, tag)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return 1;
    return 0;
}

static int is_among(const struct data *t, int row, const struct wall_points *w, double year) {
    const char *series = data_text(t, row, "series"), *tags = data_text(t, row, "tags");
    if (w->also && !strcmp(series, w->also)) return 1;
    return !strcmp(series, w->series) && (!w->version || !strcmp(data_text(t, row, "version"), w->version)) &&
           (!w->with || tagged(tags, w->with)) && !(w->without && tagged(tags, w->without)) &&
           (!w->from || year >= w->from) && (!w->to || year <= w->to);
}

int wall_fit(const struct memory_wall *w, const struct wall_points *which, struct trend *out) {
    struct trend_point p[TREND_MOST_POINTS];
    const struct data *t = &w->trends;
    int n = 0;
    for (int i = 0; i < t->n_rows && n < TREND_MOST_POINTS; i++) {
        double year = trend_year(data_text(t, i, "date"));
        if (is_among(t, i, which, year)) p[n++] = (struct trend_point){year, data_number(t, i, "value")};
    }
    return trend_fit(out, p, n, which->series, w->d);
}

/* ---- what is printed ---- */

const struct wall_printed wall_printed[WALL_PRINTED] = {
    {"peak FLOP/s", "2024", {.series = "peak", .version = "2024"}, 3.0, 2, 60000},
    {"peak FLOP/s", "2021", {.series = "peak", .version = "2021"}, 3.1, 2, 90000},
    {"DRAM bandwidth", "2024", {.series = "dram", .version = "2024"}, 1.6, 2, 100},
    {"DRAM bandwidth", "2021", {.series = "dram", .version = "2021"}, 1.4, 2, 30},
    {"interconnect bandwidth", "2024", {.series = "link", .version = "2024"}, 1.4, 2, 30},
    {"interconnect bandwidth", "2021", {.series = "link", .version = "2021"}, 1.4, 2, 30},
    {"size of transformers", "2024", {.series = "size", .version = "2024"}, 410, 2, 0},
    {"size of transformers", "2021", {.series = "size", .version = "2021"}, 240, 2, 0},
    {"training compute, transformers", "both", {.series = "training", .with = "transformer"}, 750, 2, 0},
    {"training compute, all models", "2021", {.series = "training"}, 15, 2, 0},
    {"memory of an accelerator", "2024", {.series = "memory", .version = "2024"}, 2, 1, 0},
    {"memory of an accelerator", "2021", {.series = "memory", .version = "2021"}, 2, 1, 0},
};

enum verdict wall_judge(const struct trend *t, double years, double is, int digits) {
    const struct trend_slope *s = &t->least;
    return judge_printed(trend_growth(s->is, years), trend_growth(s->low, years), trend_growth(s->high, years), is,
                         digits);
}

/* What the fit says of a printed rate. */
static const char *verdict(const struct trend *t, double years, double is, int digits) {
    static const char *const text[VERDICTS] = {
        [VERDICT_HOLDS] = "rounds to it", [VERDICT_UNTOLD] = "in the interval", [VERDICT_FAILS] = "does not agree"};
    return text[wall_judge(t, years, is, digits)];
}

static void add_slope(struct frame *t, const struct trend_slope *s, double years) {
    frame_number(t, trend_growth(s->is, years));
    frame_number(t, trend_growth(s->low, years));
    frame_number(t, trend_growth(s->high, years));
}

static void slope_columns(struct frame *t, const char *name) {
    static const char *const part[] = {"", " low", " high"};
    for (int i = 0; i < 3; i++) {
        char text[48];
        snprintf(text, sizeof text, "%s%s", name, part[i]);
        frame_column(t, text, "x", 3);
    }
}

static void add_two_years(struct frame *t, const struct wall_printed *p, const struct trend *fit) {
    frame_text(t, "%s", p->text);
    frame_text(t, "%s", p->version);
    frame_number(t, fit->n);
    frame_text(t, "%.0f to %.0f", floor(fit->first), floor(fit->last));
    frame_number(t, p->in_2);
    add_slope(t, &fit->least, 2);
    frame_number(t, trend_growth(fit->boot.low, 2));
    frame_number(t, trend_growth(fit->boot.high, 2));
    add_slope(t, &fit->robust, 2);
    frame_number(t, 12 * log(2) / fit->least.is);
    frame_text(t, "%s", verdict(fit, 2, p->in_2, p->digits));
    frame_end_row(t);
}

static void add_twenty_years(struct frame *t, const struct wall_printed *p, const struct trend *fit) {
    if (!p->in_20) return;
    frame_text(t, "%s", p->text);
    frame_text(t, "%s", p->version);
    frame_number(t, p->in_20);
    add_slope(t, &fit->least, 20);
    frame_number(t, trend_growth(fit->boot.low, 20));
    frame_number(t, trend_growth(fit->boot.high, 20));
    frame_text(t, "%s", verdict(fit, 20, p->in_20, 1));
    frame_end_row(t);
}

static int show_printed(struct memory_wall *w) {
    struct frame *two = report_table(
        w->page, "growth", "Growth in two years: fits of the published points beside the printed rates",
        "Least squares of the logarithms; intervals of 95 %, by Student's t, then by bootstrap (2,000 draws of "
        "points);\n"
        "robust: biweight. Points of a figure are no sample of all devices: the intervals tell how well these points "
        "tell\na rate, not how well they were chosen.");
    struct frame *twenty =
        report_table(w->page, "growth20", "Growth in 20 years", "The same fits; their points span 17 to 26 years.");
    frame_column(two, "quantity", "", 0);
    frame_column(two, "version", "", 0);
    frame_column(two, "n", "", 3);
    frame_column(two, "years", "", 0);
    frame_column(two, "printed", "x", 3);
    slope_columns(two, "fit");
    frame_column(two, "boot low", "x", 3);
    frame_column(two, "boot high", "x", 3);
    slope_columns(two, "robust");
    frame_column(two, "doubles in", "months", 3);
    frame_column(two, "the printed rate", "", 0);
    frame_column(twenty, "quantity", "", 0);
    frame_column(twenty, "version", "", 0);
    frame_column(twenty, "printed", "x", 3);
    slope_columns(twenty, "fit");
    frame_column(twenty, "boot low", "x", 3);
    frame_column(twenty, "boot high", "x", 3);
    frame_column(twenty, "the printed rate", "", 0);
    int rc = 0;
    for (int i = 0; i < WALL_PRINTED && !rc; i++) {
        struct trend fit;
        rc = wall_fit(w, &wall_printed[i].points, &fit);
        if (rc) break;
        add_two_years(two, &wall_printed[i], &fit);
        add_twenty_years(twenty, &wall_printed[i], &fit);
    }
    return rc;
}

/* ---- what the figures mix ---- */

struct mix {
    const char *text;
    struct wall_points drawn;
    const char *instead;
    struct wall_points other;
};

/* 2003.75: where the curve of 2024 begins; 2020.7: where that of 2021 ends. */
static const struct mix mixes[] = {
    {"interconnect, 2024: rates of one lane, while DRAM and FLOP/s are a device's",
     {.series = "link", .version = "2024"},
     "bandwidth of a device and direction",
     {.series = "link-device"}},
    {"the same: two families",
     {.series = "link", .version = "2024"},
     "PCIe alone, a lane",
     {.series = "link", .version = "2024", .with = "pcie"}},
    {"the same, a device and direction",
     {.series = "link-device"},
     "PCIe x16 alone",
     {.series = "link-device", .with = "pcie"}},
    {"the same, a device and direction",
     {.series = "link-device"},
     "NVLink alone (4 points: no interval)",
     {.series = "link-device", .with = "nvlink"}},
    {"DRAM, 2024: H100 as the PCIe card of 2,039 GB/s, as SXM among FLOP/s",
     {.series = "dram", .version = "2024"},
     "H100 SXM, 3,350 GB/s",
     {.series = "dram", .version = "2024", .without = "h100", .also = "dram-h100-sxm"}},
    {"peak FLOP/s, 2024: H100 as SXM",
     {.series = "peak", .version = "2024"},
     "H100 PCIe, 756.5 TFLOP/s",
     {.series = "peak", .version = "2024", .without = "h100", .also = "peak-h100-pcie"}},
    {"peak FLOP/s, 2021: TPUs as boards of four chips",
     {.series = "peak", .version = "2021"},
     "a chip, as in 2024",
     {.series = "peak", .version = "2021", .without = "tpu", .also = "peak-tpu-chip"}},
    {"peak FLOP/s, 2024: TPUs as chips",
     {.series = "peak", .version = "2024"},
     "boards, as in 2021",
     {.series = "peak", .version = "2024", .without = "tpu", .also = "peak-tpu-board"}},
    {"peak FLOP/s, 2024: FP32 and FP64 units, then FP16 matrix units",
     {.series = "peak", .version = "2024"},
     "without matrix units",
     {.series = "peak", .version = "2024", .without = "matrix"}},
    {"DRAM, 2021: from DDR of 1998, unit not stated",
     {.series = "dram", .version = "2021"},
     "its unit, from the base year of 2024",
     {.series = "dram", .version = "2021", .from = 2003.75}},
    {"DRAM, 2024: from GDDR3 of 2003, GB/s a device",
     {.series = "dram", .version = "2024"},
     "its unit, until the last year of 2021",
     {.series = "dram", .version = "2024", .to = 2020.7}},
    {"size of transformers, 2021: with ALBERT and ELECTRA",
     {.series = "size", .version = "2021"},
     "without, as in 2024",
     {.series = "size", .version = "2021", .without = "dropped"}},
    {"training compute: transformers",
     {.series = "training", .with = "transformer"},
     "all models",
     {.series = "training"}},
};
enum { N_MIXES = sizeof mixes / sizeof *mixes };

static void add_fit(struct frame *t, const struct trend *fit) {
    frame_number(t, fit->n);
    add_slope(t, &fit->least, 2);
}

static int show_mixes(struct memory_wall *w) {
    struct frame *t =
        report_table(w->page, "mixes", "What the figures mix: growth in two years, as drawn and otherwise",
                     "One choice changed at a time; intervals of 95 % by Student's t. Ratio: otherwise over as drawn.");
    int rc = 0;
    frame_column(t, "what", "", 0);
    frame_column(t, "n", "", 3);
    slope_columns(t, "drawn");
    frame_column(t, "otherwise", "", 0);
    frame_column(t, "other n", "", 3);
    slope_columns(t, "other");
    frame_column(t, "ratio", "x", 3);
    for (int i = 0; i < N_MIXES && !rc; i++) {
        struct trend drawn, other;
        rc = wall_fit(w, &mixes[i].drawn, &drawn);
        if (!rc) rc = wall_fit(w, &mixes[i].other, &other);
        if (rc) break;
        frame_text(t, "%s", mixes[i].text);
        add_fit(t, &drawn);
        frame_text(t, "%s", mixes[i].instead);
        add_fit(t, &other);
        frame_number(t, trend_growth(other.least.is - drawn.least.is, 2));
        frame_end_row(t);
    }
    return rc;
}

/* ---- gaps ---- */

const struct wall_gap wall_gaps[WALL_GAPS] = {
    {"FLOP/s over DRAM, 2024", {.series = "peak", .version = "2024"}, {.series = "dram", .version = "2024"}},
    {"FLOP/s over DRAM, 2021", {.series = "peak", .version = "2021"}, {.series = "dram", .version = "2021"}},
    {"FLOP/s over links (a lane), 2024", {.series = "peak", .version = "2024"}, {.series = "link", .version = "2024"}},
    {"FLOP/s over links (a lane), 2021", {.series = "peak", .version = "2021"}, {.series = "link", .version = "2021"}},
    {"FLOP/s over links (a device)", {.series = "peak", .version = "2024"}, {.series = "link-device"}},
    {"DRAM over links (a lane), 2024", {.series = "dram", .version = "2024"}, {.series = "link", .version = "2024"}},
    {"DRAM over links (a device)", {.series = "dram", .version = "2024"}, {.series = "link-device"}},
    {"model size over memory, 2024", {.series = "size", .version = "2024"}, {.series = "memory", .version = "2024"}},
};
int wall_gap(const struct memory_wall *w, int i, struct trend_slope *out) {
    struct trend fast, slow;
    int rc = wall_fit(w, &wall_gaps[i].fast, &fast);
    if (!rc) rc = wall_fit(w, &wall_gaps[i].slow, &slow);
    if (!rc) *out = trend_gap(&fast, &slow, 2);
    return rc;
}

/* Of FLOP/s over DRAM, 2024; and DRAM over links a lane. */
static void say_gap(struct memory_wall *w, int i, const struct trend_slope *g) {
    if (i != 0 && i != 5) return;
    report_say(w->page,
               "%s: the gap grows %.2f times in two years [%.2f, %.2f]%s (fit of the published points, 95 %% by "
               "bootstrap).",
               wall_gaps[i].text, g->is, g->low, g->high,
               g->low > 1 || g->high < 1 ? "" : ", which these points do not tell from none");
}

static int show_gaps(struct memory_wall *w) {
    struct frame *t = report_table(w->page, "gaps", "How the gaps grow in two years",
                                   "Ratio of the two growths; 95 % by bootstrap of the difference of slopes (2,000 "
                                   "draws of both). An interval\nthat holds 1: these points do not tell the gap from "
                                   "none.");
    int rc = 0;
    frame_column(t, "gap", "", 0);
    slope_columns(t, "grows");
    frame_column(t, "doubles in", "months", 3);
    frame_column(t, "told from none", "", 0);
    for (int i = 0; i < WALL_GAPS && !rc; i++) {
        struct trend_slope g;
        rc = wall_gap(w, i, &g);
        if (rc) break;
        frame_text(t, "%s", wall_gaps[i].text);
        frame_number(t, g.is);
        frame_number(t, g.low);
        frame_number(t, g.high);
        frame_number(t, g.is > 1 ? 24 * log(2) / log(g.is) : NAN);
        frame_text(t, "%s", g.low > 1 || g.high < 1 ? "yes" : "no");
        frame_end_row(t);
        say_gap(w, i, &g);
    }
    return rc;
}

/* The points themselves, for the figure. */
static void show_points(struct memory_wall *w) {
    static const char *const series[] = {"peak", "dram", "link", "link-device"};
    struct frame *t = report_table(w->page, "points", "The points of 2024, and links a device and direction",
                                   "As published, over the first of each series.");
    double first = NAN;
    frame_column(t, "series", "", 0);
    frame_column(t, "year", "", 6);
    frame_column(t, "value", "x", 4);
    frame_column(t, "name", "", 0);
    for (int s = 0; s < 4; s++, first = NAN)
        for (int i = 0; i < w->trends.n_rows; i++) {
            const char *version = data_text(&w->trends, i, "version");
            if (strcmp(data_text(&w->trends, i, "series"), series[s]) || !strcmp(version, "2021")) continue;
            double x = data_number(&w->trends, i, "value");
            if (isnan(first)) first = x;
            frame_text(t, "%s", series[s]);
            frame_number(t, trend_year(data_text(&w->trends, i, "date")));
            frame_number(t, x / first);
            frame_text(t, "%s", data_text(&w->trends, i, "name"));
            frame_end_row(t);
        }
}

int wall_growth(struct memory_wall *w) {
    static const struct wall_points rates[WALL_RATES] = {
        [WALL_PEAK] = {.series = "peak", .version = "2024"},
        [WALL_DRAM] = {.series = "dram", .version = "2024"},
        [WALL_LINK] = {.series = "link", .version = "2024"},
        [WALL_DEVICE_LINK] = {.series = "link-device"},
    };
    int rc = show_printed(w);
    if (!rc) rc = show_mixes(w);
    if (!rc) rc = show_gaps(w);
    for (int i = 0; i < WALL_RATES && !rc; i++)
        rc = wall_fit(w, &rates[i], &w->rate[i]);
    if (!rc) show_points(w);
    return rc;
}
