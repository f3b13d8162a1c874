/* Exponential trends: a worked example, planted growth, coverage of the intervals, and the papers' printed rates from
 * the points that come with the program. */
#include "analysis/trend.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <string.h>

#include "analysis/data.h"
#include "check.h"

static struct trend fit;

static int near(double a, double b, double most) {
    return fabs(a / b - 1) <= most;
}

/* Slope and interval by the textbook's formulas, computed elsewhere: t of 4 degrees of freedom is 2.7764451. */
static void check_example(void) {
    static const struct trend_point p[] = {{2010, 1.1}, {2011, 1.9}, {2012.5, 3.2}, {2014, 7.5}, {2015, 9}, {2017, 30}};
    struct diag d = {0};
    CHECK(trend_fit(&fit, p, 6, "example", &d) == 0, "%s", d.text);
    CHECK(near(fit.least.is, 0.45710754306633095, 1e-9), "slope %.12g", fit.least.is);
    CHECK(near(fit.least.low, 0.3954734409338385, 1e-6), "low %.12g", fit.least.low);
    CHECK(near(fit.least.high, 0.5187416451988234, 1e-6), "high %.12g", fit.least.high);
    CHECK(fit.boot.low < fit.least.is && fit.least.is < fit.boot.high, "bootstrap %g %g", fit.boot.low, fit.boot.high);
    CHECK(fit.n == 6 && fit.first == 2010 && fit.last == 2017, "points");
    CHECK(near(trend_growth(log(3) / 2, 20), 59049, 1e-9), "growth");
}

/* Noise of sigma on ln 2 a year; the last point is `wrong` times too high. */
static void plant(struct trend_point *p, int n, gsl_rng *rng, double sigma, double wrong) {
    for (int i = 0; i < n; i++) {
        double year = 2000 + 20.0 * i / (n - 1), noise = sigma > 0 ? gsl_ran_gaussian(rng, sigma) : 0;
        p[i] = (struct trend_point){year, exp2(year - 2000) * exp(noise) * (i == n - 1 ? wrong : 1)};
    }
}

static void check_planted(gsl_rng *rng) {
    enum { N = 14 };
    struct trend_point p[N];
    struct diag d = {0};
    plant(p, N, rng, 0, 1);
    CHECK(trend_fit(&fit, p, N, "exact", &d) == 0 && near(fit.least.is, log(2), 1e-12), "exact: %.15g", fit.least.is);
    plant(p, N, rng, 0.1, 1);
    trend_fit(&fit, p, N, "clean", &d);
    double clean = fit.robust.is, half = 0.5 * (fit.robust.high - fit.robust.low);
    p[N - 1].value *= 1000;
    trend_fit(&fit, p, N, "outlier", &d);
    CHECK(fabs(fit.robust.is - clean) < half, "one outlier moves the robust slope by %g, interval %g",
          fit.robust.is - clean, half);
    CHECK(fabs(fit.least.is - clean) > 2 * half, "and least squares by %g: no outlier", fit.least.is - clean);
}

/* Of 400 lines Student's interval holds the planted slope in 95 % (+- 3.3, three standard deviations); a bootstrap of
 * 12 pairs in fewer, which the header says. */
static void check_coverage(gsl_rng *rng) {
    enum { LINES = 400, N = 12 };
    int student = 0, boot = 0;
    struct trend_point p[N];
    struct diag d = {0};
    for (int i = 0; i < LINES; i++) {
        plant(p, N, rng, 0.5, 1);
        if (trend_fit(&fit, p, N, "coverage", &d)) break;
        student += fit.least.low <= log(2) && log(2) <= fit.least.high;
        boot += fit.boot.low <= log(2) && log(2) <= fit.boot.high;
    }
    CHECK(d.code == 0 && fabs(student / (double)LINES - 0.95) < 0.033, "Student: %d of %d", student, LINES);
    CHECK(boot > 0.85 * LINES && boot < 0.98 * LINES, "bootstrap: %d of %d", boot, LINES);
}

static void check_gap(gsl_rng *rng) {
    static struct trend other;
    struct trend_point p[14];
    struct diag d = {0};
    plant(p, 14, rng, 0.3, 1);
    trend_fit(&fit, p, 14, "one", &d);
    plant(p, 14, rng, 0.3, 1);
    trend_fit(&other, p, 14, "other", &d);
    struct trend_slope gap = trend_gap(&fit, &other, 2), back = trend_gap(&other, &fit, 2);
    CHECK(near(gap.is, exp(2 * (fit.least.is - other.least.is)), 1e-12), "gap %g", gap.is);
    CHECK(gap.low < 1 && 1 < gap.high, "equal growths: %g to %g", gap.low, gap.high);
    CHECK(near(gap.is * back.is, 1, 1e-12) && near(gap.low * back.high, 1, 0.02), "the other way: %g", back.high);
    for (int i = 0; i < 14; i++)
        p[i].value *= exp(0.2 * (p[i].year - 2000));
    trend_fit(&other, p, 14, "faster", &d);
    gap = trend_gap(&other, &fit, 2);
    CHECK(gap.low > 1 && near(gap.is, exp(0.4), 0.1), "faster by 1.49: %g to %g", gap.low, gap.high);
}

static void check_refused(void) {
    static const struct {
        const char *what;
        struct trend_point p[2];
        int n;
    } bad[] = {{"one", {{2000, 1}}, 1},
               {"one date", {{2000, 1}, {2000, 2}}, 2},
               {"zero", {{2000, 1}, {2001, 0}}, 2},
               {"no number", {{2000, NAN}, {2001, 1}}, 2},
               {"no date", {{NAN, 1}, {2001, 1}}, 2},
               {"none", {{0, 0}}, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag d = {0};
        CHECK(trend_fit(&fit, bad[i].p, bad[i].n, bad[i].what, &d) == ERR_RANGE, "%s was fitted", bad[i].what);
        CHECK(!strncmp(d.text, bad[i].what, strlen(bad[i].what)), "%s: \"%s\"", bad[i].what, d.text);
    }
    struct diag d = {0};
    static const struct trend_point few[] = {{2000, 1}, {2001, 2}, {2002, 5}, {2003, 8}};
    CHECK(trend_fit(&fit, few, 4, "few", &d) == 0 && !isnan(fit.least.is), "%s", d.text);
    CHECK(isnan(fit.least.low) && isnan(fit.robust.is) && isnan(fit.boot.high) && isnan(fit.draw[0]),
          "an interval of 2 degrees of freedom");
    CHECK(isnan(trend_gap(&fit, &fit, 2).low), "and of a gap");
}

static void check_dates(void) {
    CHECK(near(trend_year("2000-01-01"), 2000, 1e-12) && near(trend_year("2022-01-01"), 2022, 1e-6), "new year");
    CHECK(near(trend_year("2020-07-01") - 2020, 182 / 365.25, 1e-3), "July 2020: %g", trend_year("2020-07-01"));
    CHECK(isnan(trend_year("2020")) && isnan(trend_year("2020-01-01x")) && isnan(trend_year("")), "no dates");
}

/* ---- the published points ---- */

static int select_points(const struct data *t, const char *series, const char *version, const char *tag,
                         struct trend_point *p) {
    int n = 0;
    for (int i = 0; i < t->n_rows; i++)
        if (!strcmp(data_text(t, i, "series"), series) && !strcmp(data_text(t, i, "version"), version) &&
            (!tag || !strcmp(data_text(t, i, "tags"), tag)))
            p[n++] = (struct trend_point){trend_year(data_text(t, i, "date")), data_number(t, i, "value")};
    return n;
}

/* Growth in two years by least squares in another program. */
static void check_published(void) {
    static const struct {
        const char *series, *version, *tag;
        int n;
        double growth;
    } known[] = {
        {"peak", "2021", NULL, 35, 3.133},      {"dram", "2021", NULL, 10, 1.391},
        {"link", "2021", NULL, 8, 1.427},       {"peak", "2024", NULL, 37, 3.026},
        {"dram", "2024", NULL, 12, 1.592},      {"link", "2024", NULL, 10, 1.415},
        {"size", "2021", NULL, 10, 240.933},    {"size", "2024", NULL, 10, 413.134},
        {"memory", "2021", NULL, 6, 1.987},     {"memory", "2024", NULL, 7, 1.863},
        {"training", "2024", NULL, 21, 14.787}, {"training", "2024", "transformer", 10, 755.038},
    };
    struct data t;
    struct diag d = {0};
    struct trend_point p[TREND_MOST_POINTS];
    int rc = data_read(&t, "trends", &d);
    CHECK(rc == 0, "%s", d.text);
    for (size_t i = 0; i < sizeof known / sizeof *known && !rc; i++) {
        int n = select_points(&t, known[i].series, known[i].version, known[i].tag, p);
        CHECK(n == known[i].n, "%s %s: %d points", known[i].series, known[i].version, n);
        CHECK(trend_fit(&fit, p, n, known[i].series, &d) == 0, "%s", d.text);
        CHECK(near(trend_growth(fit.least.is, 2), known[i].growth, 1e-3), "%s %s: %.6g in two years, not %g",
              known[i].series, known[i].version, trend_growth(fit.least.is, 2), known[i].growth);
    }
    data_fini(&t);
}

int main(void) {
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 7);
    check_example();
    check_planted(rng);
    check_coverage(rng);
    check_gap(rng);
    check_refused();
    check_dates();
    check_published();
    gsl_rng_free(rng);
    return check_report("test_trend");
}
