/* Reduced sampling equals sampling from all logits, however the vocabulary is split. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "dist/sampler.h"

enum { VOCAB = 997 };

static void make_logits(float *logits, uint64_t key) {
    for (int i = 0; i < VOCAB; i++)
        logits[i] = floorf(16 * rng_unit(key, (uint64_t)i)) / 4; /* many ties */
}

/* Offers of `parts` uneven shards, then one draw. */
static int draw(const struct sampler_params *p, const float *logits, int parts, int seq, int index) {
    int k = sampler_candidates(p, VOCAB), m = 0;
    struct candidate *pool = malloc((size_t)k * (size_t)parts * sizeof *pool);
    for (int i = 0; i < parts; i++) {
        int v0 = VOCAB * i / parts, v1 = VOCAB * (i + 1) / parts;
        sampler_best(logits + v0, v1 - v0, v0, pool + m, k);
        m += k;
    }
    int id = sampler_draw(p, pool, m, seq, index);
    free(pool);
    return id;
}

static void check_splits(void) {
    static const struct sampler_params params[] = {{0, 40, 1, 1},  {1, 1, 1, 1},     {0.8, 40, 0.9, 7},
                                                   {1.5, 0, 1, 3}, {0.7, 0, 0.5, 9}, {1, 5000, 0.95, 2}};
    float logits[VOCAB];
    for (size_t p = 0; p < sizeof params / sizeof *params; p++)
        for (int t = 0; t < 20; t++) {
            make_logits(logits, (uint64_t)t);
            int whole = draw(&params[p], logits, 1, t % 3, t);
            for (int parts = 2; parts <= 9; parts++)
                CHECK(draw(&params[p], logits, parts, t % 3, t) == whole, "params %zu, case %d, %d parts", p, t, parts);
        }
}

static void check_greedy_ties(void) {
    float logits[VOCAB] = {0};
    struct sampler_params greedy = {0, 0, 1, 1};
    logits[17] = logits[500] = 3;
    for (int parts = 1; parts <= 8; parts++)
        CHECK(draw(&greedy, logits, parts, 0, 0) == 17, "%d parts", parts);
    logits[3] = NAN;
    CHECK(draw(&greedy, logits, 3, 0, 0) == 17, "a NaN is never best");
}

/* Frequencies of 20000 draws against the softmax: chi-square with 9 degrees of freedom below its 99.9 % point. */
static void check_frequencies(void) {
    float logits[VOCAB];
    struct sampler_params p = {1, 10, 1, 11};
    double expect[10], sum = 0, chi = 0;
    int count[10] = {0}, n = 20000;
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i < 10 ? 0.3f * (float)i : -5;
    for (int i = 0; i < 10; i++)
        sum += expect[i] = exp(0.3 * i);
    for (int i = 0; i < n; i++) {
        int id = draw(&p, logits, 1, 0, i);
        CHECK(id >= 0 && id < 10, "id %d is not among the ten best", id);
        if (id >= 0 && id < 10) count[id]++;
    }
    for (int i = 0; i < 10; i++)
        chi += pow(count[i] - n * expect[i] / sum, 2) / (n * expect[i] / sum);
    CHECK(chi < 27.88, "chi-square %g", chi);
}

static void check_top_p(void) {
    float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i == 5 ? 10 : i == 6 ? 9 : 0;
    struct sampler_params p = {1, 0, 0.5, 4};
    for (int i = 0; i < 200; i++)
        CHECK(draw(&p, logits, 2, 0, i) == 5, "top-p 0.5 keeps the best alone");
}

int main(void) {
    check_splits();
    check_greedy_ties();
    check_frequencies();
    check_top_p();
    return check_report("sampler");
}
