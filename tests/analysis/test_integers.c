/* Whole numbers at which something changes: planted ones are found, between neighbours. */
#include "analysis/integers.h"

#include <math.h>

#include "check.h"

struct planted {
    int64_t last; /* holds up to it */
    double a, b, c; /* value: a + b n + c/n */
    int looks, stop; /* at this look it fails */
};

static int holds(void *user, int64_t n, int *out, struct diag *d) {
    struct planted *p = user;
    if (++p->looks == p->stop) return diag_set(d, ERR_INTERNAL, "stopped");
    *out = n <= p->last;
    return 0;
}

static int value(void *user, int64_t n, double *out, struct diag *d) {
    struct planted *p = user;
    if (++p->looks == p->stop) return diag_set(d, ERR_INTERNAL, "stopped");
    *out = p->a + p->b * (double)n + p->c / (double)n;
    return 0;
}

static void check_last(void) {
    static const int64_t planted[] = {0, 1, 2, 63, 64, 999999, 1000000};
    struct diag d = {0};
    int64_t out;
    for (int i = 0; i < 7; i++) {
        struct planted p = {.last = planted[i]};
        CHECK(integer_last(&out, 1, 1000000, holds, &p, &d) == 0, "%s", d.text);
        CHECK(out == planted[i] && p.looks <= 22, "%lld, planted %lld, %d looks", (long long)out, (long long)planted[i],
              p.looks);
    }
    struct planted all = {.last = 5000}, failing = {.last = 70, .stop = 4};
    CHECK(integer_last(&out, 1, 128, holds, &all, &d) == 0 && out == 128 && all.looks == 1, "all");
    CHECK(integer_last(&out, 5, 5, holds, &all, &d) == 0 && out == 5, "one");
    CHECK(integer_last(&out, 1, 0, holds, &all, &d) == 0 && out == 0 && all.looks == 2, "none is looked at");
    CHECK(integer_last(&out, 1, 128, holds, &failing, &d) == ERR_INTERNAL && failing.looks == 4, "a failure ends it");
}

static void check_roots(void) {
    struct diag d = {0};
    struct integer_roots r;
    /* 3 n and 100 + n cross at 50, which counts as below */
    struct planted lines = {.a = -100, .b = 2};
    CHECK(integer_roots(&r, 1, 300, value, &lines, &d) == 0, "%s", d.text);
    CHECK(r.n == 1 && r.first == -1 && r.last == 1 && r.at[0].before == 50 && r.at[0].rises,
          "two lines: %d crossings, after %lld", r.n, (long long)r.at[0].before);
    CHECK(fabs(r.at[0].x - 50) < 1e-9, "%g", r.at[0].x);
    /* (n - 2.5)(n - 40.5)/n: two, between neighbours */
    struct planted two = {.a = -43, .b = 1, .c = 2.5 * 40.5};
    CHECK(integer_roots(&r, 1, 300, value, &two, &d) == 0, "%s", d.text);
    CHECK(r.n == 2 && r.first == 1 && r.last == 1, "%d crossings", r.n);
    CHECK(r.at[0].before == 2 && !r.at[0].rises && r.at[0].x > 2 && r.at[0].x < 3, "%g", r.at[0].x);
    CHECK(r.at[1].before == 40 && r.at[1].rises && fabs(r.at[1].x - 40.5) < 0.01, "%g", r.at[1].x);
    struct planted none = {.a = 1, .b = 1};
    CHECK(integer_roots(&r, 1, 300, value, &none, &d) == 0 && r.n == 0 && r.first == 1 && r.last == 1, "none");
    struct planted failing = {.a = -100, .b = 2, .stop = 7};
    CHECK(integer_roots(&r, 1, 300, value, &failing, &d) == ERR_INTERNAL, "a failure ends it");
}

int main(void) {
    check_last();
    check_roots();
    return check_report("test_integers");
}
