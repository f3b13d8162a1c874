#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"

enum { N = 257 };

/* Published values of FNV-1a (64 bits), and of splitmix64 from seed 0. */
static void test_known_values(void) {
    CHECK(hash_bytes("", 0, 0) == 0xcbf29ce484222325u, "empty");
    CHECK(hash_bytes("a", 1, 0) == 0xaf63dc4c8601ec8cu, "a");
    CHECK(hash_bytes("foobar", 6, 0) == 0x85944171f73967e8u, "foobar");
    CHECK(hash_bytes("bar", 3, hash_bytes("foo", 3, 0)) == hash_bytes("foobar", 6, 0), "continued");
    CHECK(rng_u64(0, 0) == 0xe220a8397b1dcdafu && rng_u64(0, 1) == 0x6e789e6aa1b965f4u, "splitmix64");
}

static void fill(float *v, uint64_t key) {
    for (int i = 0; i < N; i++)
        v[i] = rng_unit(key, (uint64_t)i) - 0.5f;
}

/* Any cutting of a vector, hashed part by part in any order, gives the hash of the whole. */
static void test_partition(void) {
    float v[N];
    fill(v, 1);
    uint64_t whole = hash_floats(v, N, 1000);
    for (uint64_t trial = 0; trial < 500; trial++) {
        uint64_t sum = 0;
        for (size_t at = 0, k = 0; at < N; k++) {
            size_t n = rng_u64(trial + 50, k) % (trial % 40 + 2); /* empty parts, too */
            if (n > N - at) n = N - at;
            sum += hash_floats(v + at, n, 1000 + at);
            at += n;
        }
        CHECK(sum == whole, "trial %d", (int)trial);
    }
    CHECK(hash_floats(v, 0, 5) == 0, "nothing");
}

/* Values, places and single bits matter; so do the sign of zero and the payload of a NaN. */
static void test_sensitivity(void) {
    float v[N], w[N];
    fill(v, 2);
    uint64_t whole = hash_floats(v, N, 0);
    CHECK(hash_floats(v, N, 1) != whole, "another place");
    for (size_t i = 0; i < N; i++)
        for (uint32_t bit = 0; bit < 32; bit += 1 + (uint32_t)i % 5) {
            uint32_t bits;
            memcpy(w, v, sizeof v);
            memcpy(&bits, &w[i], 4);
            bits ^= UINT32_C(1) << bit;
            memcpy(&w[i], &bits, 4);
            CHECK(hash_floats(w, N, 0) != whole, "bit %u of value %zu", bit, i);
        }
    for (size_t i = 1; i < N; i++) {
        memcpy(w, v, sizeof v);
        w[0] = v[i];
        w[i] = v[0];
        CHECK(hash_floats(w, N, 0) != whole, "values 0 and %zu swapped", i);
    }
    float zero[2] = {0.0f, -0.0f}, nan[2] = {NAN, -NAN};
    CHECK(hash_floats(&zero[0], 1, 0) != hash_floats(&zero[1], 1, 0), "sign of zero");
    CHECK(hash_floats(&nan[0], 1, 0) != hash_floats(&nan[1], 1, 0), "sign of NaN");
}

/* Uniform to what 2^16 draws can tell: mean within 5 sigma, each of 16 bins within 6. */
static void test_uniform(void) {
    enum { DRAWS = 65536 };
    int bin[16] = {0};
    double mean = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        float u = rng_unit(42, i);
        CHECK(u >= 0 && u < 1, "%g", (double)u);
        mean += (double)u / DRAWS;
        bin[(int)(u * 16)]++;
    }
    CHECK(fabs(mean - 0.5) < 5 / sqrt(12.0 * DRAWS), "mean %g", mean);
    for (int i = 0; i < 16; i++)
        CHECK(abs(bin[i] - DRAWS / 16) < 6 * 62, "bin %d: %d", i, bin[i]);
}

int main(void) {
    test_known_values();
    test_partition();
    test_sensitivity();
    test_uniform();
    return check_report("base-hash");
}
