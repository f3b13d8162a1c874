/* The probes of arithmetic: work that takes time in proportion, and not faster than any core. */
#include <time.h>

#include "check.h"
#include "dist/peak.h"
#include "models/kernels.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Least of some runs. */
static double seconds(double (*run)(long), long rounds) {
    double best = 1e9;
    for (int i = 0; i < 7; i++) {
        double t = now();
        run(rounds);
        t = now() - t;
        best = t < best ? t : best;
    }
    return best;
}

/* A loop that the compiler had folded would take no longer for more rounds. */
static void check_run(const char *name, double (*run)(long)) {
    enum { ROUNDS = 20000, TIMES = 8 };
    CHECK(run(1) > 0 && run(3) == 3 * run(1), "%s: operations are those of the rounds", name);
    double few = seconds(run, ROUNDS), many = seconds(run, ROUNDS * TIMES);
    CHECK(many > 0.5 * TIMES * few, "%s: %g s for %d times the rounds of %g s", name, many, TIMES, few);
}

int main(void) {
    for (int i = 0; kernel_sets[i]; i++) {
        if (kernels_select(kernel_sets[i]->name)) continue;
        const struct peak_set *s = peak_selected();
        CHECK(s && !__builtin_strcmp(s->kernels, kernel_sets[i]->name), "%s: probed with its own instructions",
              kernel_sets[i]->name);
        for (int k = 0; s && k < PEAK_COUNT; k++) {
            check_run(s->what[k], s->run[k]);
            /* two instructions a cycle, 64 products of bytes or 16 of floats each, at 8 GHz */
            double most = 2 * (k == PEAK_INT8 ? 128 : 32) * 8e9, rate = peak_Ops((enum peak_kind)k, 1);
            CHECK(rate > 1e5 && rate < most, "%s: %g operations a second", s->what[k], rate);
        }
    }
    return check_report("peak");
}
