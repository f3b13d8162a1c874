#include "analysis/error_model.h"

#include <math.h>

enum { PIECES = 4000, INNER = 64 }; /* of Simpson's rule: even */
#define FAR 9.0 /* standard deviations beyond which nothing lies */
#define PI 3.14159265358979323846

static double density(double x) {
    return sqrt(2 / PI) * exp(-x * x / 2);
}

/* P(|x| <= a) of a normal value. */
static double within(double a) {
    return erf(a / sqrt(2.));
}

static double weight(int i, int pieces) {
    return i == 0 || i == pieces ? 1 : i % 2 ? 4 : 2;
}

/* E[f(a, half)] over the greatest magnitude of g values, whose density is g F^(g-1) F'. */
static double expect(int group, double (*f)(double a, int group, int half), int half) {
    double sum = 0, h = FAR / PIECES;
    for (int i = 0; i <= PIECES; i++) {
        double a = i * h;
        sum += weight(i, PIECES) * f(a, group, half) * group * pow(within(a), group - 1) * density(a);
    }
    return sum * h / 3;
}

static double square(double a, int group, int half) {
    (void)group, (void)half;
    return a * a;
}

double error_greatest_square(int group) {
    return expect(group, square, 0);
}

double error_steps(int group, int steps) {
    return sqrt(error_greatest_square(group) / 12 * (1 - 1. / group)) / steps;
}

/* What being cut off adds to the variance of one of the others, which lie within a: half of them have the other sign.
 */
static double cut_off(double a, int half) {
    double step = a / half, from = a - step / 2, h = (a - from) / INNER, sum = 0;
    for (int i = 0; i <= INNER; i++) {
        double x = from + i * h, over = x - (a - step);
        sum += weight(i, INNER) * (over * over - step * step / 12) * density(x);
    }
    return within(a) > 0 ? sum * h / 3 / 2 / within(a) : 0;
}

static double clipped(double a, int group, int half) {
    return (1 - 1. / group) * (a * a / half / half / 12 + cut_off(a, half));
}

double error_clipped_steps(int group, int half) {
    return sqrt(expect(group, clipped, half));
}

double error_half(double sigma) {
    enum { LEAST = -14, MOST = 15 };
    double variance = within(ldexp(1, LEAST) / sigma) * ldexp(1, -48) / 12;
    for (int e = LEAST; e <= MOST; e++)
        variance += (within(ldexp(1, e + 1) / sigma) - within(ldexp(1, e) / sigma)) * ldexp(1, 2 * (e - 10)) / 12;
    return sqrt(variance) / sigma;
}

double error_allreduce(int ranks, int hops, double operand, double sum) {
    return sqrt(ranks * operand * operand + (hops - 1) * sum * sum);
}

double error_dropped_sync(int ranks, int alike) {
    double missing = 1 - 1. / ranks;
    return alike ? missing : sqrt(missing);
}
