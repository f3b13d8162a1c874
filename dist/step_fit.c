/* step_fit.c - a card's numbers from measured times of steps. */
#include <math.h>
#include <string.h>

#include "base/stats.h"
#include "step_times.h"

enum { MOST = STEP_POINTS };

/* t = b x with the least squares of errors in parts of `scale`. */
static double fit_slope(const double *x, const double *t, const double *scale, int n) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i] / scale[i] * t[i] / scale[i];
        squares += x[i] / scale[i] * x[i] / scale[i];
    }
    return fmax(sum / squares, 0);
}

void fit_line_by(const double *x, const double *t, const double *scale, int n, double *a, double *b) {
    double s11 = 0, s12 = 0, s22 = 0, r1 = 0, r2 = 0;
    for (int i = 0; i < n; i++) {
        double one = 1 / scale[i], y = x[i] / scale[i], v = t[i] / scale[i];
        s11 += one * one;
        s12 += one * y;
        s22 += y * y;
        r1 += one * v;
        r2 += y * v;
    }
    double det = s11 * s22 - s12 * s12;
    *a = det > 0 ? (r1 * s22 - r2 * s12) / det : 0;
    *b = det > 0 ? (s11 * r2 - s12 * r1) / det : 0;
    if (*a <= 0) *a = 0, *b = fit_slope(x, t, scale, n);
    if (*b < 0) *b = 0, *a = fmax(r1 / s11, 0);
}

void fit_line(const double *x, const double *t, int n, double *a, double *b) {
    fit_line_by(x, t, t, n, a, b);
}

/* Squares of relative errors of a line through points, and the greatest error. */
static double line_squares(const double *x, const double *t, int n, double *worst) {
    double a, b, squares = 0;
    fit_line(x, t, n, &a, &b);
    *worst = 0;
    for (int i = 0; i < n; i++) {
        double error = (a + b * x[i]) / t[i] - 1;
        squares += error * error;
        *worst = fmax(*worst, fabs(error));
    }
    return squares;
}

int fit_break(const double *x, const double *t, int n, double worst[2]) {
    enum { LEAST = 3, BETTER = 4 };
    double least = line_squares(x, t, n, &worst[0]) / BETTER;
    int at = 0;
    worst[1] = worst[0];
    for (int i = LEAST; i + LEAST <= n; i++) {
        double low, high, squares = line_squares(x, t, i, &low) + line_squares(x + i, t + i, n - i, &high);
        if (squares >= least) continue;
        least = squares;
        worst[1] = fmax(low, high);
        at = i;
    }
    return at;
}

static int is_product(enum step_kind kind) {
    return !strcmp(step_class(kind), "matmul");
}

/* ---- bandwidths ---- */

/* Products of one token on one level, each a step's bytes and time. Returns their number. */
static int products(const struct step_point *p, int n, int outer, double *bytes, double *seconds) {
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (!is_product(p[i].kind) || !p[i].single || p[i].outer != outer) continue;
        bytes[m] = p[i].bytes / p[i].steps;
        seconds[m++] = p[i].seconds / p[i].steps;
    }
    return m;
}

/* In the cache small products tell the time that does not hang on bytes. */
static void fit_bandwidths(struct step_fit *out, const struct step_point *p, int n) {
    double bytes[MOST], seconds[MOST], fixed = 0, slope = 0;
    int m = products(p, n, 0, bytes, seconds);
    if (m) fit_line(bytes, seconds, m, &fixed, &slope);
    if (slope > 0) out->Bps[0] = 1 / slope;
    m = products(p, n, 1, bytes, seconds);
    for (int i = 0; i < m; i++)
        seconds[i] = fmax(seconds[i] - fixed, 0.1 * seconds[i]);
    if (m) out->Bps[1] = 1 / fit_slope(bytes, seconds, seconds, m);
}

/* ---- kinds ---- */

/* One step of each point. */
struct kind_times {
    int n;
    double memory[MOST], compute[MOST], seconds[MOST];
};

static void gather(struct kind_times *t, const struct step_fit *f, const struct step_point *p, int n,
                   enum step_kind kind) {
    t->n = 0;
    for (int i = 0; i < n; i++) {
        double Bps = f->Bps[p[i].outer];
        if (p[i].kind != kind || p[i].steps == 0 || p[i].seconds <= 0) continue;
        t->memory[t->n] = Bps > 0 ? p[i].bytes / Bps / p[i].steps : 0;
        t->compute[t->n] = p[i].compute_s / p[i].steps;
        t->seconds[t->n++] = p[i].seconds / p[i].steps;
    }
}

static double at_efficiency(const struct kind_times *t, int i, double efficiency) {
    return fmax(t->memory[i], t->compute[i] / efficiency);
}

/* Squares of relative errors with the best overhead for that efficiency. */
static double squares(const struct kind_times *t, double efficiency, double *overhead) {
    double sum = 0, weight = 0, squares = 0;
    for (int i = 0; i < t->n; i++) {
        double y = t->seconds[i];
        sum += (y - at_efficiency(t, i, efficiency)) / (y * y);
        weight += 1 / (y * y);
    }
    *overhead = fmax(sum / weight, 0);
    for (int i = 0; i < t->n; i++) {
        double error = (*overhead + at_efficiency(t, i, efficiency)) / t->seconds[i] - 1;
        squares += error * error;
    }
    return squares;
}

/* Where memory takes over the sum has corners, so it is looked at on a grid that closes in. */
static double best_efficiency(const struct kind_times *t, double *overhead) {
    enum { GRID = 200 };
    double low = log(1e-3), high = log(1e3), best = 0;
    for (int round = 0; round < 4; round++) {
        double step = (high - low) / GRID, least = HUGE_VAL;
        for (int i = 0; i <= GRID; i++) {
            double s = squares(t, exp(low + i * step), overhead);
            if (s >= least) continue;
            least = s;
            best = low + i * step;
        }
        low = best - 2 * step;
        high = best + 2 * step;
    }
    squares(t, exp(best), overhead);
    return exp(best);
}

/* Logits of one token a pass never tell what the arithmetic of the output layer reaches: it is the same product as
 * that of gate and up. */
static void fit_kind(struct step_fit *out, const struct step_point *p, int n, enum step_kind kind) {
    struct kind_times t;
    double most = 0, e = 0;
    gather(&t, out, p, n, kind);
    out->overhead_s[kind] = out->efficiency[kind] = NAN;
    for (int i = 0; i < t.n; i++)
        most = fmax(most, t.compute[i]);
    if (t.n == 0) return;
    if (kind == STEP_HEAD && !isnan(out->efficiency[STEP_FFN_UP]))
        squares(&t, e = out->efficiency[STEP_FFN_UP], &out->overhead_s[kind]);
    else
        e = best_efficiency(&t, &out->overhead_s[kind]);
    if (most > 0) out->efficiency[kind] = e;
}

/* Rows of the embedding cost the same each, besides what reading them takes. */
static void fit_embedding(struct step_fit *out, const struct step_point *p, int n) {
    struct kind_times t;
    double tokens[MOST];
    int m = 0;
    gather(&t, out, p, n, STEP_EMBED);
    for (int i = 0; i < n; i++)
        if (p[i].kind == STEP_EMBED && p[i].steps > 0 && p[i].seconds > 0) tokens[m++] = p[i].tokens / p[i].steps;
    for (int i = 0; i < m; i++)
        t.seconds[i] = fmax(t.seconds[i] - t.memory[i], 0.1 * t.seconds[i]);
    out->efficiency[STEP_EMBED] = NAN;
    if (m) fit_line(tokens, t.seconds, m, &out->overhead_s[STEP_EMBED], &out->token_s);
}

/* ---- all of it ---- */

/* What lies between steps and around passes; the median of the jobs. */
static void fit_passes(const struct pass_point *pass, int n, double *walk, double *around) {
    double between[STEP_JOBS], outside[STEP_JOBS];
    *walk = *around = 0;
    for (int i = 0; i < n; i++) {
        between[i] = pass[i].between_s;
        outside[i] = pass[i].around_s - pass[i].between_s;
    }
    if (n == 0) return;
    *walk = fmax(stats_median(between, n).median, 0);
    *around = fmax(stats_median(outside, n).median, 0);
}

void step_fit(struct step_fit *out, const struct step_point *p, int n, const struct pass_point *pass, int n_pass) {
    double walk;
    memset(out, 0, sizeof *out);
    fit_bandwidths(out, p, n);
    for (int k = 0; k < STEP_COUNT; k++)
        fit_kind(out, p, n, (enum step_kind)k);
    fit_embedding(out, p, n);
    fit_passes(pass, n_pass, &walk, &out->pass_s);
    for (int k = 0; k < STEP_COUNT; k++)
        out->overhead_s[k] += walk;
    out->sequence_s = out->overhead_s[STEP_SAMPLE];
    out->overhead_s[STEP_SAMPLE] = 0;
}
