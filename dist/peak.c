#include "dist/peak.h"

#include <string.h>

#include "dist/engine.h"
#include "models/kernels.h"

static const struct peak_set *find(const char *kernels) {
    for (int i = 0; peak_sets[i]; i++)
        if (!strcmp(peak_sets[i]->kernels, kernels)) return peak_sets[i];
    return NULL;
}

const struct peak_set *peak_selected(void) {
    const struct peak_set *s = find(kernels_selected());
    return s ? s : find("portable");
}

/* Rounds that take a millisecond or more. */
static long enough_rounds(double (*run)(long)) {
    for (long rounds = 64;; rounds *= 2) {
        double t = engine_now();
        run(rounds);
        if (engine_now() - t >= 1e-3) return rounds;
    }
}

double peak_Ops(enum peak_kind kind, int threads) {
    enum { RUNS = 4 };
    double (*run)(long) = peak_selected()->run[kind];
    double best = 0;
    long rounds = enough_rounds(run);
    for (int i = 0; i < RUNS; i++) {
        double all = 0;
#pragma omp parallel num_threads(threads) reduction(+ : all)
        {
            double t = engine_now(), ops = run(rounds);
            all += ops / (engine_now() - t);
        }
        if (all > best) best = all;
    }
    return best;
}
