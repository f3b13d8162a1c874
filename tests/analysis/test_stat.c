/* Statistics: coverage of intervals, refusals, when repetitions end. */
#include "analysis/stat.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "check.h"

static double draw(uint64_t key, uint64_t *n) { /* heavy to the right, as times are; median e^0 = 1 */
    double u = rng_unit(key, (*n)++);
    return exp(0.2 * tan(3.0 * (u - 0.5)));
}

static void check_lag1(void) {
    double free[200], walk[200], same[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    uint64_t n = 0;
    for (int i = 0; i < 200; i++) {
        free[i] = rng_unit(4, n++);
        walk[i] = (i ? walk[i - 1] : 0) + free[i] - 0.5;
    }
    CHECK(!stat_depends(free, 200), "independent values: %.3f", stat_lag1(free, 200));
    CHECK(stat_depends(walk, 200) && stat_lag1(walk, 200) > 0.8, "a random walk: %.3f", stat_lag1(walk, 200));
    CHECK(stat_lag1(same, 8) == 0, "equal values");
}

/* At most 5 % of the bounds may lie below the quantile: 1000 draws, five standard deviations. */
static void check_quantile(void) {
    double v[299], q, upper, true_q = exp(0.2 * tan(3.0 * 0.49));
    uint64_t n = 0;
    int below = 0;
    for (int trial = 0; trial < 1000; trial++) {
        struct diag d = {0};
        for (int i = 0; i < 299; i++)
            v[i] = draw(5, &n);
        CHECK(stat_quantile(&q, &upper, v, 299, 0.99, &d) == 0 && q <= upper, "299 samples: %s", d.text);
        below += upper < true_q;
    }
    CHECK(below <= 50 + 5 * 7, "%d of 1000 bounds are below the p99", below);
    struct diag d = {0};
    CHECK(stat_quantile(&q, &upper, v, 298, 0.99, &d) == ERR_RANGE, "p99 of 298 samples is refused");
    d.code = 0;
    CHECK(stat_quantile(&q, &upper, v, 10, 0.5, &d) == 0 && q >= v[0] && upper > q, "a median of ten: %s", d.text);
}

struct source {
    uint64_t key, n;
    double width;
    int fail_at;
};

static int sample(void *user, double *value, struct diag *d) {
    struct source *s = user;
    if (s->fail_at && s->n + 1 == (uint64_t)s->fail_at) return diag_set(d, ERR_IO, "no sample");
    *value = 1 + s->width * (rng_unit(s->key, s->n++) - 0.5);
    return 0;
}

static void check_repeat(void) {
    struct diag d = {0};
    struct stat_repeated r;
    struct source quiet = {6, 0, 0.02, 0}, loud = {7, 0, 1.9, 0}, broken = {8, 0, 1.9, 12};
    CHECK(stat_repeat(&r, sample, &quiet, 0.05, 100, &d) == 0 && r.reached && r.median.n == STAT_LEAST,
          "little noise: %d samples", r.median.n);
    CHECK(r.at_99.low <= r.median.low && r.at_99.high >= r.median.high, "99 %% is wider than 95 %%");
    CHECK(stat_repeat(&r, sample, &loud, 0.05, 23, &d) == 0 && !r.reached && r.median.n == 23,
          "much noise: not reached with %d", r.median.n);
    CHECK(stat_repeat(&r, sample, &broken, 0.05, 100, &d) == ERR_IO, "a sample that fails ends it");
    CHECK(stat_repeat(&r, sample, &quiet, 0.05, 9, &d) == ERR_RANGE, "nine are too few");
}

/* The interval that counts covers the median although it was looked at after each batch. */
static void check_repeat_coverage(void) {
    enum { TRIALS = 400 };
    int covered = 0;
    for (int i = 0; i < TRIALS; i++) {
        struct diag d = {0};
        struct stat_repeated r;
        struct source s = {(uint64_t)i + 100, 0, 0.6, 0};
        CHECK(stat_repeat(&r, sample, &s, 0.05, 200, &d) == 0, "%s", d.text);
        covered += r.at_99.low <= 1 && 1 <= r.at_99.high;
    }
    CHECK(covered >= 0.95 * TRIALS, "%d of %d intervals cover the median", covered, TRIALS);
}

static void check_numbers(void) {
    double v[101], aicc[] = {10, 12, 30}, w[3], scale, r[] = {0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, 5};
    struct stat_interval t = stat_t(10, 2, 10);
    CHECK(fabs(t.high - 10 - 2 * 2.2281388520) < 1e-8 && fabs(10 - t.low - (t.high - 10)) < 1e-12, "t of 10: %.10f",
          t.high);
    CHECK(isnan(stat_t(10, 2, 2).low), "no interval of 2 degrees of freedom");
    for (int i = 0; i <= 100; i++)
        v[i] = 100 - i;
    struct stat_interval p = stat_percentile(v, 101);
    CHECK(p.low == 2.5 && p.high == 97.5, "percentiles %g %g", p.low, p.high);
    for (int i = 0; i < 101; i++)
        v[i] = i % 2 ? NAN : 1;
    CHECK(stat_percentile(v, 101).low == 1, "half of the draws count");
    for (int i = 0; i < 101; i++)
        v[i] = i % 2 || i < 4 ? NAN : 1;
    CHECK(isnan(stat_percentile(v, 101).low), "fewer do not");
    stat_weights(w, aicc, 3);
    CHECK(fabs(w[0] + w[1] + w[2] - 1) < 1e-15 && fabs(w[1] / w[0] - exp(-1)) < 1e-15, "weights %g %g", w[0], w[1]);
    CHECK(stat_aicc(-5, 2, 10) == 10 + 4 + 12 / 7.0, "AICc");
    stat_t4_likelihood(&scale, r, 9);
    CHECK(scale > 0.08 && scale < 0.12, "scale of equal residuals: %g", scale);
    stat_t4_likelihood(&scale, r, 10);
    CHECK(scale < 0.2, "an outlier of 50 times the rest: scale %g", scale);
}

int main(void) {
    check_lag1();
    check_quantile();
    check_repeat();
    check_repeat_coverage();
    check_numbers();
    return check_report("test_stat");
}
