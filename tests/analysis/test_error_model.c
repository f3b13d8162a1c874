/* Predicted errors beside those of the program's own formats on normal values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/error_model.h"
#include "base/hash.h"
#include "check.h"
#include "collectives/op.h"
#include "models/tensor_type.h"

enum { N = 1 << 18 };
static float x[N], y[N];

/* Box and Muller. */
static void draw_some(double sigma, uint64_t key, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        double u = ((double)(rng_u64(key, 2 * i) >> 11) + 1) * 0x1p-53, v = (double)(rng_u64(key, 2 * i + 1) >> 11);
        x[i] = (float)(sigma * sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v * 0x1p-53));
    }
}

static void draw(double sigma, uint64_t key) {
    draw_some(sigma, key, N);
}

static double measured(void) {
    double error = 0, size = 0;
    for (int i = 0; i < N; i++) {
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        size += (double)x[i] * (double)x[i];
    }
    return sqrt(error / size);
}

static void check(const char *what, double predicted, double most) {
    double got = measured();
    CHECK(fabs(got / predicted - 1) <= most, "%s: %g, predicted %g", what, got, predicted);
}

static void check_wire(const char *name, double predicted, double most) {
    const struct coll_wire *w = coll_wire_find(name);
    void *code = malloc(w->bytes(N));
    w->encode(x, N, code);
    w->decode(code, N, y);
    check(name, predicted, most);
    free(code);
}

static void check_type(const char *name, int row, double predicted, double most) {
    const struct tensor_type *t = tensor_type_find(name);
    void *code = malloc(tensor_type_row_bytes(t, row));
    for (int i = 0; i < N; i += row) {
        float step = tensor_type_row_step(t, x + i, row);
        t->quantize(x + i, step, code, row);
        t->dequantize(code, step, y + i, row);
    }
    check(name, predicted, most);
    free(code);
}

/* Parts of a sum through parts of a linear layer, of which each sees its own: mean square of what is missing beside
 * that of the whole. */
static double missing_square(int ranks, int alike) {
    enum { D = 16, DRAWS = 1000, MOST = 8 };
    double missing = 0, whole = 0;
    for (uint64_t n = 0; n < DRAWS; n++) {
        double part[MOST][D], out[D] = {0}, own[D] = {0};
        draw_some(1, 77 + n, (MOST + MOST * D) * D); /* parts first, then J by rank, or one for all */
        for (int r = 0; r < ranks; r++)
            for (int i = 0; i < D; i++)
                part[r][i] = (double)x[r * D + i];
        for (int r = 0; r < ranks; r++)
            for (int i = 0; i < D; i++)
                for (int k = 0; k < D; k++) {
                    double j = (double)x[MOST * D + ((alike ? 0 : r) * D + i) * D + k], sum = 0;
                    for (int s = 0; s < ranks; s++)
                        sum += part[s][k];
                    out[i] += j * sum;
                    own[i] += j * part[r][k];
                }
        for (int i = 0; i < D; i++) {
            missing += (out[i] - own[i]) * (out[i] - own[i]);
            whole += out[i] * out[i];
        }
    }
    return missing / whole;
}

static void check_dropped(void) {
    for (int ranks = 2; ranks <= 8; ranks *= 2)
        for (int alike = 0; alike < 2; alike++) {
            double got = sqrt(missing_square(ranks, alike)), predicted = error_dropped_sync(ranks, alike);
            CHECK(fabs(got / predicted - 1) < 0.05, "%d ranks, %s: %g, predicted %g", ranks, alike ? "alike" : "not",
                  got, predicted);
        }
}

int main(void) {
    check_dropped();
    /* one value: its own square; two: 1 + 2/pi (David and Nagaraja, Order Statistics, 2003) */
    CHECK(fabs(error_greatest_square(1) - 1) < 1e-9, "%.12g", error_greatest_square(1));
    CHECK(fabs(error_greatest_square(2) - (1 + 2 / 3.14159265358979323846)) < 1e-9, "%.12g", error_greatest_square(2));
    CHECK(error_steps(1, 7) == 0, "one value falls on a step");
    for (int k = 0; k < 3; k++) {
        double sigma = pow(10, k - 1);
        draw(sigma, (uint64_t)k);
        check_wire("int8", error_steps(32, 127), 0.01);
        check_wire("int4", error_steps(32, 7), 0.02);
        check_wire("fp16", error_half(sigma), 0.01);
        check_type("Q8_0", 32, error_steps(32, 127), 0.01);
        check_type("Q4_0", 32, error_clipped_steps(32, 8), 0.02);
        check_type("I8", 512, error_steps(512, 127), 0.01);
        check_type("I4", 512, error_steps(512, 7), 0.02);
        check_type("I4", 4096, error_steps(4096, 7), 0.03);
    }
    CHECK(error_allreduce(4, 1, 3, 7) == 6 && error_allreduce(4, 2, 3, 8) == 10, "an all-reduce");
    return check_report("error-model");
}
