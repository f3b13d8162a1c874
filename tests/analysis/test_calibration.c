/* Calibration: planted numbers are found again, their intervals cover them, folds are predicted, and what points do not
 * tell apart is said. Times are bytes over bandwidth, steps and messages: what the answer must be is known. */
#include "analysis/calibration.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { POINTS = 16, DRAWS = 200 };

struct job {
    double bytes, steps, messages;
};

static void make_jobs(struct job *job) {
    for (int i = 0; i < POINTS; i++)
        job[i] = (struct job){1e6 * (1 + i % 4 * 5), 40 + 30 * (i / 4), i % 3 * 64};
}

static int predict(void *user, int i, const struct cluster *c, double *seconds, struct diag *d) {
    const struct job *j = (const struct job *)user + i;
    (void)d;
    *seconds = 1e-12 * (j->bytes * (double)c->card.level[0].G.num / (double)c->card.level[0].G.den +
                        j->steps * (double)c->card.step_ps +
                        j->messages * (double)(c->net.tier[0].link.L_ps + c->net.tier[0].link.o_send_ps));
    return 0;
}

static int fails(void *user, int i, const struct cluster *c, double *seconds, struct diag *d) {
    (void)c;
    *seconds = *(int *)user == i ? 0 : 1;
    return *(int *)user == -1 ? diag_set(d, ERR_PLAN, "does not fit") : 0;
}

static void make_cluster(struct cluster *c) {
    memset(c, 0, sizeof *c);
    c->card.n_levels = 1;
    c->card.level[0].G = (struct pico_rate){100, 1}; /* 10 GB/s */
    c->card.step_ps = 1000;
    c->net.copy = c->net.gamma = c->net.codec = (struct pico_rate){1, 1};
    c->net.n_tiers = 1;
    c->net.tier[0].link = (struct net_link){.L_ps = 1000000, .G = {100, 1}};
}

static const char *const names[] = {"memory-bandwidth", "step-overhead", "link-latency"};
static const double planted[] = {0.4, 7e-6, 20e-6};

static void ask(struct calibration *cal, struct calibration_point *point, int n_free, const char *const *name) {
    *cal = (struct calibration){.n_free = n_free, .point = point, .n_points = POINTS, .seed = 3};
    for (int k = 0; k < n_free; k++)
        cal->value[k].parameter = parameter_find(name[k]);
}

static void measure(struct calibration_point *point, struct job *job, const struct cluster *c, gsl_rng *g,
                    double noise) {
    struct cluster true_one = *c;
    struct diag d = {0};
    for (int k = 0; k < 3; k++)
        parameter_find(names[k])->set(&true_one, planted[k]);
    for (int i = 0; i < POINTS; i++) {
        predict(job, i, &true_one, &point[i].measured_s, &d);
        point[i].measured_s *= exp(gsl_ran_gaussian(g, noise));
    }
}

static void check_exact(struct job *job, const struct cluster *c, gsl_rng *g) {
    struct calibration_point point[POINTS] = {0};
    struct calibration cal;
    struct diag d = {0};
    ask(&cal, point, 3, names);
    measure(point, job, c, g, 0);
    CHECK(!calibration_run(&cal, c, predict, job, &d), "%s", d.text);
    for (int k = 0; k < 3; k++)
        CHECK(fabs(cal.value[k].x / planted[k] - 1) < 1e-3 && !cal.value[k].at_bound, "%s: %g, planted %g", names[k],
              cal.value[k].x, planted[k]);
    struct calibration_error before = calibration_error_of(&cal, CALIBRATION_DESCRIBED);
    struct calibration_error held = calibration_error_of(&cal, CALIBRATION_HELD);
    CHECK(before.median > 0.3 && held.worst < 1e-3, "errors: %g before, %g held out", before.median, held.worst);
    CHECK(cal.agree >= 3 && cal.rcond > CALIBRATION_COLLINEAR, "%d of %d starts, rcond %g", cal.agree, cal.starts,
          cal.rcond);
    struct cluster own = calibration_cluster(&cal, c);
    double is;
    predict(job, 5, &own, &is, &d);
    CHECK(fabs(is / point[5].measured_s - 1) < 1e-3 && is == point[5].fitted_s, "the cluster of it: %g s", is);
}

/* Of 200 draws with noise of 3 %, intervals of 95 % cover in 90 to 99 % (3.3 standard errors of 0.95 at 200 draws). */
static void check_coverage(struct job *job, const struct cluster *c, gsl_rng *g, int draws) {
    int covered[3] = {0};
    double held = 0;
    for (int n = 0; n < draws; n++) {
        struct calibration_point point[POINTS] = {0};
        struct calibration cal;
        struct diag d = {0};
        ask(&cal, point, 3, names);
        measure(point, job, c, g, 0.03);
        CHECK(!calibration_run(&cal, c, predict, job, &d), "%s", d.text);
        for (int k = 0; k < 3; k++)
            covered[k] += cal.value[k].x_at_95.low <= planted[k] && planted[k] <= cal.value[k].x_at_95.high;
        held += calibration_error_of(&cal, CALIBRATION_HELD).median / draws;
    }
    double se = 3.3 * sqrt(0.95 * 0.05 / draws);
    for (int k = 0; k < 3; k++)
        CHECK(fabs(covered[k] / (double)draws - 0.95) < se, "%s: %d of %d intervals cover", names[k], covered[k],
              draws);
    CHECK(held > 0.015 && held < 0.04, "held out: %g with noise of 0.03, whose median is 0.02", held);
}

/* Latency and the sender's overhead add up to one number; a time that is not there is at its bound. */
static void check_told_apart(struct job *job, const struct cluster *c, gsl_rng *g) {
    static const char *const same[] = {"link-latency", "send-overhead", "memory-bandwidth", "step-overhead"};
    static const char *const faster[] = {"memory-bandwidth", "step-overhead"};
    struct calibration_point point[POINTS] = {0};
    struct calibration cal;
    struct diag d = {0};
    ask(&cal, point, 4, same);
    measure(point, job, c, g, 0.01);
    CHECK(!calibration_run(&cal, c, predict, job, &d), "%s", d.text);
    CHECK(cal.rcond < CALIBRATION_COLLINEAR || cal.value[0].at_bound || cal.value[1].at_bound,
          "latency and overhead told apart: %g", cal.rcond);
    ask(&cal, point, 2, faster);
    for (int i = 0; i < POINTS; i++) {
        predict(job, i, c, &point[i].measured_s, &d);
        point[i].measured_s *= 0.5;
    }
    CHECK(!calibration_run(&cal, c, predict, job, &d), "%s", d.text);
    CHECK(cal.value[1].at_bound && cal.value[1].x < 1e-9, "an overhead of %g s is added to what is too slow",
          cal.value[1].x);
}

/* What no point depends on has no interval; the others keep theirs. */
static void check_unknown(struct job *job, const struct cluster *c, gsl_rng *g) {
    static const char *const names_and_other[] = {"memory-bandwidth", "step-overhead", "link-latency", "compute"};
    struct calibration_point point[POINTS] = {0};
    struct calibration cal;
    struct diag d = {0};
    ask(&cal, point, 4, names_and_other);
    measure(point, job, c, g, 0.01);
    CHECK(!calibration_run(&cal, c, predict, job, &d), "%s", d.text);
    CHECK(isnan(cal.value[3].x_at_95.low), "compute: [%g, %g]", cal.value[3].x_at_95.low, cal.value[3].x_at_95.high);
    for (int k = 0; k < 3; k++)
        CHECK(cal.value[k].x_at_95.low < cal.value[k].x && cal.value[k].x < cal.value[k].x_at_95.high,
              "%s beside it: [%g, %g]", names[k], cal.value[k].x_at_95.low, cal.value[k].x_at_95.high);
}

static void check_refused(struct job *job, const struct cluster *c) {
    struct calibration_point point[POINTS];
    struct calibration cal;
    int at = 4;
    for (int i = 0; i < POINTS; i++)
        point[i].measured_s = 1;
    struct diag d = {0};
    ask(&cal, point, 3, names);
    cal.n_points = 5;
    CHECK(calibration_run(&cal, c, predict, job, &d) == ERR_RANGE && strstr(d.text, "at least 6"), "%s", d.text);
    d = (struct diag){0};
    cal.n_points = POINTS;
    CHECK(calibration_run(&cal, c, fails, &at, &d) == ERR_RANGE && strstr(d.text, "point 5"), "%s", d.text);
    d = (struct diag){0};
    at = -1;
    CHECK(calibration_run(&cal, c, fails, &at, &d) == ERR_PLAN, "%s", d.text);
    d = (struct diag){0};
    point[2].measured_s = NAN;
    CHECK(calibration_run(&cal, c, predict, job, &d) == ERR_RANGE && strstr(d.text, "point 3"), "%s", d.text);
}

int main(void) {
    struct job job[POINTS];
    static struct cluster c;
    gsl_rng *g = gsl_rng_alloc(gsl_rng_mt19937);
    make_cluster(&c);
    make_jobs(job);
    check_exact(job, &c, g);
    check_coverage(job, &c, g, DRAWS);
    check_told_apart(job, &c, g);
    check_unknown(job, &c, g);
    check_refused(job, &c);
    gsl_rng_free(g);
    return check_report("calibration");
}
