#include <math.h>

#include "base/hash.h"
#include "base/stats.h"
#include "check.h"

/* Ranks and coverage from tables of the sign test: n, lower rank (from 1), coverage. */
static void test_ranks(void) {
    static const struct {
        int n, rank;
        double confidence;
    } row[] = {{6, 1, 0.96875}, {8, 1, 0.9921875}, {10, 2, 0.978515625}, {15, 4, 0.96484375}, {20, 6, 0.958610535}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        double v[32];
        int n = row[i].n;
        for (int k = 0; k < n; k++)
            v[k] = (k * 7 + 3) % n + 1; /* 1..n in some order, if 7 and n have no common factor */
        struct stats_median s = stats_median(v, n);
        CHECK(s.n == n && s.min == 1 && s.max == n && s.median == (n + 1) / 2.0, "n %d: median %g", n, s.median);
        CHECK(s.low == row[i].rank && s.high == n + 1 - row[i].rank, "n %d: %g to %g", n, s.low, s.high);
        CHECK(fabs(s.confidence - row[i].confidence) < 1e-8, "n %d: %.9f", n, s.confidence);
    }
}

static void test_few(void) {
    double v[5] = {5, 1, 4, 2, 3}, one[1] = {7};
    struct stats_median s = stats_median(v, 5);
    CHECK(s.median == 3 && s.low > s.high && s.confidence == 0, "5 samples have no 95 %% interval");
    CHECK(v[0] == 1 && v[4] == 5, "sorted in place");
    s = stats_median(one, 1);
    CHECK(s.median == 7 && s.min == 7 && s.max == 7, "one sample");
}

/* The interval covers the true median at least as often as it says. */
static void test_coverage(void) {
    enum { TRIALS = 4000, N = 15 };
    int covered = 0;
    for (uint64_t t = 0; t < TRIALS; t++) {
        double v[N];
        for (uint64_t i = 0; i < N; i++)
            v[i] = exp(8 * (double)rng_unit(t + 1, i)); /* skewed; median e^4 */
        struct stats_median s = stats_median(v, N);
        covered += s.low <= exp(4) && exp(4) <= s.high;
    }
    double share = (double)covered / TRIALS;
    CHECK(fabs(share - 0.96484375) < 0.012, "covered %g", share); /* 4 standard deviations */
}

int main(void) {
    test_ranks();
    test_few();
    test_coverage();
    return check_report("base-stats");
}
