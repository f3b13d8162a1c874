/* Ranks that are planted to read faster are found, with their speeds; noise makes no exceptions. What is written of
 * them is read back as cards of these speeds beside the slowest. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "calibrate.h"
#include "check.h"
#include "partition/cluster.h"
#include "unequal.h"

enum { RANKS = 60, SAMPLES = 60 };

/* Rates of that speed with some percent of noise, and as much that all ranks share. */
static int find(const double *planted, int n_ranks, int n_samples, double noise, uint64_t key,
                struct unequal out[UNEQUAL_MOST], double *speed) {
    static double rate[SAMPLES * RANKS];
    uint64_t n = 0;
    for (int i = 0; i < n_samples; i++) {
        double all = 1 + 0.3 * (double)(rng_u64(key, n++) % 1000) / 1000;
        for (int r = 0; r < n_ranks; r++)
            rate[i * n_ranks + r] =
                10e9 * all * planted[r] * (1 + noise * ((double)(rng_u64(key, n++) % 2001) / 1000 - 1));
    }
    return unequal_find(rate, n_samples, n_ranks, out, speed);
}

static void check_noise(void) {
    struct unequal out[UNEQUAL_MOST];
    double planted[RANKS], speed[RANKS];
    for (int i = 0; i < 200; i++) {
        for (int r = 0; r < RANKS; r++)
            planted[r] = 1 + 0.03 * (r % 2);
        int n = find(planted, 1 + i % RANKS, 6 + i % (SAMPLES - 6), 0.01, (uint64_t)i, out, speed);
        CHECK(n == 0 && speed[0] == 1, "%d groups of ranks that are 3 %% apart", n);
        planted[0] = 2;
        n = find(planted, 2, 5, 0.01, (uint64_t)i, out, speed);
        CHECK(n == 0 && speed[0] == 1, "a group of 5 samples, which have no interval");
    }
}

static void check_planted(void) {
    static const struct {
        int n_ranks, n;
        double speed[8];
        const char *cards[3];
    } cases[] = {{2, 1, {1, 0.5}, {"0"}},
                 {2, 1, {0.7, 1}, {"1"}},
                 {4, 1, {1, 1, 0.5, 1}, {"0-1,3"}},
                 {8, 2, {1, 0.5, 0.75, 1, 0.5, 1, 1, 0.75}, {"2,7", "0,3,5-6"}},
                 {6, 3, {0.25, 0.5, 1, 2, 2, 2}, {"1", "2", "3-5"}},
                 {1, 0, {1}, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 20; k++) {
            struct unequal out[UNEQUAL_MOST];
            double speed[8], low = 9, noise = 0.002 * (k + 1) / (1 + (i == 3 || i == 4));
            for (int r = 0; r < cases[i].n_ranks; r++)
                low = fmin(low, cases[i].speed[r]);
            int n = find(cases[i].speed, cases[i].n_ranks, SAMPLES, noise, (uint64_t)k, out, speed), at = 0;
            CHECK(n == cases[i].n, "case %zu: %d groups", i, n);
            for (int g = 0; g < n && n == cases[i].n; g++) {
                CHECK(!strcmp(out[g].cards, cases[i].cards[g]), "case %zu: ranks %s", i, out[g].cards);
                CHECK(out[g].speed.low <= out[g].speed.median && out[g].speed.n == SAMPLES, "case %zu: interval", i);
                at += out[g].n_ranks;
            }
            for (int r = 0; r < cases[i].n_ranks; r++) {
                CHECK(fabs(speed[r] * low / cases[i].speed[r] - 1) < 0.03, "case %zu: rank %d has speed %g", i, r,
                      speed[r]);
                at += speed[r] == 1;
            }
            CHECK(at == cases[i].n_ranks, "case %zu: %d ranks counted", i, at);
        }
}

/* Every second rank of many is too long a text: none is better than a part of them. */
static void check_scattered(void) {
    struct unequal out[UNEQUAL_MOST];
    double planted[RANKS], speed[RANKS];
    for (int r = 0; r < RANKS; r++)
        planted[r] = 1 + (r + 1) % 2;
    int n = find(planted, RANKS, SAMPLES, 0.001, 1, out, speed);
    CHECK(n == 0, "%d groups", n);
    for (int r = 0; r < RANKS; r++)
        CHECK(speed[r] == 1, "rank %d has speed %g", r, speed[r]);
    for (int r = 0; r < RANKS; r++)
        planted[r] = pow(1.1, r);
    n = find(planted, RANKS, SAMPLES, 0.001, 1, out, speed);
    CHECK(n == 0 && speed[RANKS - 1] == 1, "%d groups of ranks that all differ", n);
}

/* A calibration of figures that are all 1, but for rates of memory. */
static void fill(struct calibration *c, struct app *app) {
    *c = (struct calibration){.app = app, .n = CALIBRATE_FIGURES, .hand_off = -1, .per_node = 8, .per_machine = 8};
    for (int i = 0; i < c->n; i++)
        c->figure[i] = (struct figure){.name = "a figure", .unit = "x", .s = {7, 1, 1, 1, 1, 1, 0.98}};
    for (int k = 0; k < STEP_COUNT; k++)
        c->step[k][0] = c->step[k][1] = -1;
    c->cache = -1;
    c->codec = c->steps = 10;
    c->alone = 60;
    c->figure[c->alone].s.median = c->figure[c->steps + 2].s.median = 30;
    c->rank0_speed = 1;
}

static void check_written(void) {
    static const char *const path = "test_unequal.yaml";
    static const double planted[8] = {1, 0.5, 0.75, 1, 0.5, 1, 1, 0.75};
    struct app app = {.size = 8};
    struct calibration *c = malloc(sizeof *c);
    struct cluster *read = malloc(sizeof *read);
    struct diag d = {0};
    double speed[8];
    fill(c, &app);
    CHECK(calibrate_write(c, path, &d) == 0 && cluster_read(read, path, &d) == 0, "%s", d.text);
    CHECK(read->n_exceptions == 0 && read->memory_alone_Bps.value == 30000000000, "exceptions of equal ranks");
    c->n_unequal = find(planted, 8, SAMPLES, 0.005, 1, c->unequal, speed);
    c->rank0_speed = speed[0];
    CHECK(calibrate_write(c, path, &d) == 0 && cluster_read(read, path, &d) == 0, "%s", d.text);
    for (int r = 0; r < 8; r++) {
        struct pico_rate slow = cluster_slow(read, r);
        double is = (double)slow.den / (double)slow.num;
        CHECK(fabs(is * 0.5 / planted[r] - 1) < 0.02, "card %d is read with speed %g", r, is);
    }
    CHECK(fabs((double)read->memory_alone_Bps.value * speed[0] / 30e9 - 1) < 1e-3, "alone: of a fast rank");
    CHECK(fabs((double)read->card.level[0].alone.den * 1e12 / (double)read->card.level[0].alone.num * speed[0] / 30e9 -
               1) < 1e-3,
          "alone: of a fast card");
    remove(path);
    free(read);
    free(c);
}

int main(void) {
    check_written();
    check_noise();
    check_planted();
    check_scattered();
    return check_report("test_unequal");
}
