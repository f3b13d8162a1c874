/* Criteria of claims: each verdict from planted numbers; and errors of a validation from planted points. */
#include "analysis/judge.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "validation.h"

static void expect(const char *what, enum verdict is, enum verdict should) {
    CHECK(is == should, "%s: %s, not %s", what, verdict_name[is], verdict_name[should]);
}

static void check_numbers(void) {
    CHECK(judge_rounded(755, 2) == 760 && judge_rounded(0.0364, 1) == 0.04, "rounding");
    expect("a fit that rounds to it", judge_printed(3.03, 2.6, 3.4, 3.0, 2), VERDICT_HOLDS);
    expect("one beside it", judge_printed(35, 22, 57, 30, 1), VERDICT_UNTOLD);
    expect("one far off", judge_printed(35, 32, 38, 30, 1), VERDICT_FAILS);
    expect("no interval", judge_printed(35, NAN, NAN, 30, 1), VERDICT_FAILS);
    expect("above", judge_above(1.1, 2, 1), VERDICT_HOLDS);
    expect("the bound inside", judge_above(0.9, 2, 1), VERDICT_UNTOLD);
    expect("below", judge_above(0.2, 0.9, 1), VERDICT_FAILS);
    expect("at the bound", judge_above(1, 1, 1), VERDICT_FAILS);
    expect("no number", judge_above(NAN, NAN, 1), VERDICT_UNTOLD);
    expect("at most", judge_at_most(4, 5, 5), VERDICT_HOLDS);
    expect("the bound inside, at most", judge_at_most(5, 6, 5), VERDICT_UNTOLD);
    expect("more", judge_at_most(5.1, 6, 5), VERDICT_FAILS);
    expect("no number, at most", judge_at_most(NAN, NAN, 5), VERDICT_UNTOLD);
    expect("all near", judge_near(95, 109, 100, 0.1), VERDICT_HOLDS);
    expect("some near", judge_near(95, 130, 100, 0.1), VERDICT_UNTOLD);
    expect("all around", judge_near(50, 200, 100, 0.1), VERDICT_UNTOLD);
    expect("none near", judge_near(120, 130, 100, 0.1), VERDICT_FAILS);
}

static void check_cases(void) {
    const double little[] = {0.1, 0.3, 0.6, 0.8}, mixed[] = {0.1, 0.7, 0.6, 0.8}, turned[] = {0.9, 0.8, 0.2, 0.1};
    const int pays[] = {1, 1, 0, 0}, all[] = {1, 1, 1, 1};
    double limit, told;
    expect("all cases", judge_cases(4, 4, VERDICT_WHERE), VERDICT_HOLDS);
    expect("some", judge_cases(3, 4, VERDICT_WHERE), VERDICT_WHERE);
    expect("some fits", judge_cases(3, 4, VERDICT_UNTOLD), VERDICT_UNTOLD);
    expect("none", judge_cases(0, 4, VERDICT_WHERE), VERDICT_FAILS);
    expect("no case", judge_cases(0, 0, VERDICT_WHERE), VERDICT_UNTOLD);
    expect("apart", judge_apart(little, pays, 4, &limit, &told), VERDICT_HOLDS);
    CHECK(limit == 0.3 && told == 1, "limit %g tells %g", limit, told);
    expect("nearly apart", judge_apart(mixed, pays, 4, &limit, &told), VERDICT_WHERE);
    CHECK(limit == 0.1 && told == 0.75, "limit %g tells %g", limit, told);
    expect("the other way round", judge_apart(turned, pays, 4, &limit, &told), VERDICT_FAILS);
    expect("all pay", judge_apart(little, all, 4, &limit, &told), VERDICT_UNTOLD);
}

/* Errors of -50, 0, +1, ..., +20 %: 22 points, of which the last has its interval around what was said. */
static void check_errors(void) {
    struct validation *v = calloc(1, sizeof *v);
    struct validation_point p = {.group = VALIDATION_DECODE, .is = 100, .low = NAN, .high = NAN};
    CHECK(validation_errors(v, VALIDATION_DECODE).n == 0, "errors of nothing");
    p.said = 50;
    validation_add(v, &p);
    for (int i = 0; i <= 20; i++) {
        p.said = 100 + i;
        if (i >= 19) p.low = 90, p.high = i == 20 ? 121 : 118;
        validation_add(v, &p);
    }
    p.group = VALIDATION_PREFILL;
    p.said = 1;
    validation_add(v, &p);
    struct validation_errors e = validation_errors(v, VALIDATION_DECODE);
    CHECK(e.n == 22 && e.worst == 0 && e.most == 0.5, "n %d, worst %d, %g", e.n, e.worst, e.most);
    CHECK(fabs(e.median - 0.105) < 1e-12, "median %g", e.median);
    CHECK(fabs(e.p95 - 0.2) < 1e-12, "p95 %g: the 21st of 22", e.p95);
    CHECK(e.low_end == -0.5 && fabs(e.high_end - 0.2) < 1e-12, "from %g to %g", e.low_end, e.high_end);
    CHECK(e.with_interval == 2 && e.inside == 1, "%d of %d inside", e.inside, e.with_interval);
    CHECK(isnan(validation_errors(v, VALIDATION_PREFILL).p95), "p95 of one point");
    p.said = NAN;
    validation_add(v, &p);
    CHECK(validation_errors(v, VALIDATION_PREFILL).n == 1 && v->left_out[0], "a point without a number counts");
    free(v);
}

int main(void) {
    check_numbers();
    check_cases();
    check_errors();
    return check_report("test_judge");
}
