#include "analysis/integers.h"

#include <math.h>

int integer_last(int64_t *out, int64_t low, int64_t high, integer_test *test, void *user, struct diag *d) {
    int holds = 0, rc = high < low ? 0 : test(user, high, &holds, d);
    *out = holds ? high : low - 1;
    while (!rc && high - *out > 1) {
        int64_t middle = *out + (high - *out) / 2;
        rc = test(user, middle, &holds, d);
        *(holds ? out : &high) = middle;
    }
    return rc;
}

/* ---- changes of sign ---- */

struct seen {
    int64_t n;
    double value;
};

static int sign(double x) {
    return (x > 0) - (x < 0);
}

/* Between neighbours a and b. */
static void keep(struct integer_roots *out, const struct seen *a, const struct seen *b) {
    double from = log((double)a->n), step = log((double)b->n) - from;
    if (out->n < INTEGER_MOST)
        out->at[out->n++] =
            (struct integer_root){a->n, exp(from + step * a->value / (a->value - b->value)), b->value > 0};
}

/* Halves the range until a and b are neighbours. */
static int narrow(struct seen a, struct seen b, struct integer_roots *out, integer_value *value, void *user,
                  struct diag *d) {
    int rc = 0;
    while (b.n - a.n > 1 && !rc) {
        struct seen middle = {a.n + (b.n - a.n) / 2, 0};
        rc = value(user, middle.n, &middle.value, d);
        if ((middle.value > 0) == (a.value > 0))
            a = middle;
        else
            b = middle;
    }
    if (!rc) keep(out, &a, &b);
    return rc;
}

int integer_roots(struct integer_roots *out, int64_t low, int64_t high, integer_value *value, void *user,
                  struct diag *d) {
    struct seen before = {low, 0}, now;
    int rc = value(user, low, &before.value, d);
    *out = (struct integer_roots){.first = sign(before.value)};
    for (; !rc && before.n < high; before = now) {
        int64_t next = before.n < INTEGER_EACH ? before.n + 1 : before.n + before.n / 4;
        now = (struct seen){next < high ? next : high, 0};
        rc = value(user, now.n, &now.value, d);
        if (!rc && (now.value > 0) != (before.value > 0)) rc = narrow(before, now, out, value, user, d);
    }
    out->last = sign(before.value);
    return rc;
}
