/* One to three lines a_i + b_i s that begin where a protocol changes (eager, rendezvous, ...): LogGP's L + 2 o and G of
 * each. A. Alexandrov et al., "LogGP", SPAA 1995; breaks by search as in T. Hoefler et al., "LogGP in theory and
 * practice", 2009.
 *
 *      t |            ,'      breakpoints lie at measured sizes: the first of the next line
 *        |      ,__,-'
 *        |   ,-'
 *        +---------------- s
 *
 * All sets of breakpoints with at least 4 sizes a line, of up to 64 sizes, are tried, by sums over each line that
 * reweighting with Student's t of 4 degrees of freedom keeps from outliers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/fit.h"

enum { MOST_SEGMENTS = 3, LEAST_SIZES = 4, MOST_SIZES = 64 };

/* Rows of equal size belong to one line: first[i] is the first row of size i. 0: more than MOST_SIZES. */
static int find_sizes(const struct fit_data *data, int *first) {
    int n = 0;
    for (int i = 0; i < data->n; i++) {
        if (i && data->x[i] == data->x[i - 1]) continue;
        if (n == MOST_SIZES) return 0;
        first[n++] = i;
    }
    first[n] = data->n;
    return n;
}

/* a + b s through rows [begin, end) with weights w. */
static void line_through(const struct fit_data *data, int begin, int end, const double *w, double *a, double *b) {
    double sum = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (int i = begin; i < end; i++) {
        sum += w[i];
        x += w[i] * data->x[i];
        y += w[i] * data->y[i];
    }
    x /= sum;
    y /= sum;
    for (int i = begin; i < end; i++) {
        xx += w[i] * (data->x[i] - x) * (data->x[i] - x);
        xy += w[i] * (data->x[i] - x) * (data->y[i] - y);
    }
    *b = xx > 0 ? xy / xx : 0;
    *a = y - *b * x;
}

/* What a line over these rows adds to -ln L, all but what the scale does: sum of ln(1 + (r/scale)^2 / 4) * 5/2. */
static double line_cost(const struct fit_data *data, int begin, int end, double scale, double *w) {
    enum { PASSES = 6 };
    double a = 0, b = 0, cost = 0;
    for (int i = begin; i < end; i++)
        w[i] = 1 / (data->y[i] * data->y[i]);
    for (int pass = 1; pass <= PASSES; pass++) {
        line_through(data, begin, end, w, &a, &b);
        for (int i = begin; i < end; i++) {
            double f = a + b * data->x[i], by = f > 0 ? f : data->y[i], r = (data->y[i] - f) / (by * scale);
            w[i] = 1 / ((1 + 0.25 * r * r) * by * by);
            if (pass == PASSES) cost += 2.5 * log1p(0.25 * r * r);
        }
    }
    return cost;
}

/* Noise of neighbouring sizes, as no line is known yet: the median of how far each value is from the line through its
 * neighbours. */
static double noise(const struct fit_data *data, double *v) {
    int n = 0;
    for (int i = 1; i + 1 < data->n; i++) {
        double x0 = data->x[i - 1], x1 = data->x[i + 1], y0 = data->y[i - 1], y1 = data->y[i + 1];
        double share = x1 > x0 ? (data->x[i] - x0) / (x1 - x0) : 0.5;
        v[n++] = fabs(data->y[i] / (y0 + share * (y1 - y0)) - 1);
    }
    return fmax(stats_median(v, n).median, 1e-9);
}

/* cost[i * (sizes + 1) + j]: of the line over sizes [i, j). */
static void all_lines(const struct fit_data *data, const int *first, int sizes, double *w, double *cost) {
    double scale = noise(data, w);
    for (int i = 0; i < sizes; i++)
        for (int j = i + LEAST_SIZES; j <= sizes; j++)
            cost[i * (sizes + 1) + j] = line_cost(data, first[i], first[j], scale, w);
}

static void best_breaks(const double *cost, int sizes, int segments, int *at) {
    const int row = sizes + 1, k = LEAST_SIZES;
    double best = INFINITY;
    for (int i = k; i + (segments - 1) * k <= sizes; i++)
        for (int j = segments == 3 ? i + k : sizes; j + (segments == 3 ? k : 0) <= sizes; j++) {
            double sum = cost[i] + cost[i * row + j] + (segments == 3 ? cost[j * row + sizes] : 0);
            if (sum >= best) continue;
            best = sum;
            at[0] = i;
            at[1] = j;
        }
}

static int search(struct fit_shape *s, const struct fit_data *data, int segments) {
    int first[MOST_SIZES + 1], at[MOST_SEGMENTS] = {0}, sizes = find_sizes(data, first);
    if (sizes < segments * LEAST_SIZES) return 0;
    size_t n = (size_t)(sizes + 1);
    double *cost = malloc((n * n + (size_t)data->n) * sizeof *cost);
    if (!cost) return 0;
    all_lines(data, first, sizes, cost + n * n, cost);
    best_breaks(cost, sizes, segments, at);
    free(cost);
    for (int i = 0; i + 1 < segments; i++)
        s->at[i] = data->x[first[at[i]]];
    return 1;
}

static int shape(struct fit_shape *s, const struct fit_data *data) {
    static const char *const text[] = {"1 line", "2 lines", "3 lines"};
    int segments = s->candidate + 1;
    s->n_terms = 2 * segments;
    s->extra = segments - 1;
    int first[MOST_SIZES + 1], many = segments == 1 && find_sizes(data, first) == 0;
    snprintf(s->text, sizeof s->text, many ? "%s: breaks of more than %d sizes are not looked for" : "%s",
             text[s->candidate], MOST_SIZES);
    return segments == 1 || search(s, data, segments);
}

static int segment_of(const struct fit_shape *s, double x) {
    int i = 0;
    while (i < s->extra && x >= s->at[i])
        i++;
    return i;
}

static void terms(const struct fit_shape *s, const double *x, double *term) {
    int segment = segment_of(s, x[0]);
    for (int i = 0; i < s->n_terms; i++)
        term[i] = i / 2 == segment ? (i % 2 ? x[0] : 1) : 0;
}

static int parameters(const struct fit_shape *s, const double *coef, struct fit_parameter *out) {
    static const char *const name[] = {"a1", "b1", "a2", "b2", "a3", "b3"}, *const from[] = {"s2", "s3"};
    int n = 0;
    for (int i = 0; i < s->n_terms; i++)
        out[n++] = (struct fit_parameter){name[i], i % 2 ? "Y/X" : "Y", coef[i], 0};
    for (int i = 0; i < s->extra; i++)
        out[n++] = (struct fit_parameter){from[i], "X", s->at[i], 1};
    return n;
}

const struct fit_model fit_model_loggp_segments = {
    .name = "loggp-segments",
    .summary = "one to three lines with the sizes where they begin",
    .form = "t = a_i + b_i s for s_i <= s < s_(i+1), i = 1..3",
    .source = "Alexandrov et al. 1995; Hoefler et al. 2009",
    .x_text = "the size",
    .least_x = 1,
    .most_x = 1,
    .n_candidates = MOST_SEGMENTS,
    .shape = shape,
    .terms = terms,
    .parameters = parameters,
};
