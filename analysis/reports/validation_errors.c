/* Errors of a report on validation, and their distribution. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "validation.h"

double validation_error(const struct validation_point *p) {
    return p->said / p->is - 1;
}

struct validation_point validation_exact(enum validation_group group, double is, double said, const char *unit) {
    return (struct validation_point){.group = group,
                                     .is = is,
                                     .low = NAN,
                                     .high = NAN,
                                     .said = said,
                                     .unit = unit,
                                     .n = 1,
                                     .oversubscribed = -1,
                                     .others = NAN};
}

void validation_leave_out(struct validation *v, const char *what, const char *why) {
    size_t n = strlen(v->left_out);
    snprintf(v->left_out + n, sizeof v->left_out - n, "%s%s: %s", n ? "; " : "", what, why);
}

void validation_add(struct validation *v, const struct validation_point *p) {
    if (!isfinite(validation_error(p)))
        validation_leave_out(v, p->what, "a number is missing");
    else if (v->n < VALIDATION_MOST)
        v->point[v->n++] = *p;
    else
        validation_leave_out(v, p->what, "no room for more points");
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct validation_errors validation_errors(const struct validation *v, enum validation_group group) {
    struct validation_errors e = {.worst = -1, .median = NAN, .p95 = NAN, .most = NAN};
    double size[VALIDATION_MOST];
    e.low_end = INFINITY;
    e.high_end = -INFINITY;
    for (int i = 0; i < v->n; i++) {
        const struct validation_point *p = &v->point[i];
        double x = validation_error(p);
        if (p->group != group) continue;
        if (e.worst < 0 || fabs(x) > fabs(validation_error(&v->point[e.worst]))) e.worst = i;
        e.low_end = fmin(e.low_end, x);
        e.high_end = fmax(e.high_end, x);
        size[e.n++] = fabs(x);
        if (isnan(p->low) || isnan(p->high)) continue;
        e.with_interval++;
        e.inside += p->said >= p->low && p->said <= p->high;
    }
    if (e.n == 0) return e;
    qsort(size, (size_t)e.n, sizeof *size, by_value);
    e.median = (size[(e.n - 1) / 2] + size[e.n / 2]) / 2;
    if (e.n >= 20) e.p95 = size[(int)ceil(0.95 * e.n) - 1];
    e.most = size[e.n - 1];
    return e;
}
