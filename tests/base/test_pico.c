/* Times in picoseconds: rounding, overflow, rates. */
#include "base/pico.h"

#include <inttypes.h>

#include "base/hash.h"
#include "check.h"

static void check_rounding(void) {
    static const struct {
        uint64_t units;
        struct pico_rate rate;
        uint64_t ps;
    } cases[] = {
        {0, {7, 3}, 0},
        {1, {1, 2}, 1}, /* halves up */
        {3, {1, 2}, 2},
        {5, {1, 2}, 3},
        {1, {1, 3}, 0},
        {2, {1, 3}, 1},
        {7, {0, 5}, 0},
        {1000, {50, 1}, 50000},
        {UINT64_MAX, {1, 1}, UINT64_MAX},
        {UINT64_MAX, {1, 2}, UINT64_C(1) << 63}, /* 2^63 - 1/2 */
        {UINT64_MAX, {2, 1}, UINT64_MAX}, /* does not fit */
        {UINT64_MAX, {UINT64_MAX, 1}, UINT64_MAX},
        {UINT64_MAX, {UINT64_MAX, UINT64_MAX}, UINT64_MAX},
        {UINT64_MAX, {UINT64_MAX - 1, UINT64_MAX}, UINT64_MAX - 1},
        {UINT64_C(1) << 63, {3, 2}, UINT64_C(3) << 62},
        {UINT64_MAX, {3, 2}, UINT64_MAX},
        {1, {UINT64_MAX, UINT64_MAX}, 1},
        {1, {UINT64_MAX / 2, UINT64_MAX}, 0}, /* just below a half */
        {1, {UINT64_MAX / 2 + 1, UINT64_MAX}, 1}, /* just above */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(pico_of(cases[i].units, cases[i].rate) == cases[i].ps, "case %zu: %" PRIu64, i,
              pico_of(cases[i].units, cases[i].rate));
}

/* q = pico_of(u, n/d) is nearest: 2 u n - d < 2 q d <= 2 u n + d. */
static void check_nearest(void) {
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t u = rng_u64(1, i) >> rng_u64(2, i) % 64, n = rng_u64(3, i) >> rng_u64(4, i) % 64;
        uint64_t d = (rng_u64(5, i) >> rng_u64(6, i) % 64) | 1, q = pico_of(u, (struct pico_rate){n, d});
        unsigned __int128 exact = (unsigned __int128)u * n, floor = exact / d, rest = exact % d;
        unsigned __int128 want = rest > d / 2 ? floor + 1 : floor; /* d is odd: there are no halves */
        CHECK(q == (want > UINT64_MAX ? UINT64_MAX : (uint64_t)want), "%" PRIu64 " * %" PRIu64 " / %" PRIu64, u, n, d);
    }
}

static void check_rates(void) {
    struct pico_rate r = pico_rate_per_second(UINT64_C(25600000000));
    CHECK(r.num == 625 && r.den == 16, "25.6 GB/s: %" PRIu64 "/%" PRIu64, r.num, r.den);
    CHECK(pico_of(64, r) == 2500, "a line at 25.6 GB/s");
    r = pico_times((struct pico_rate){3, 40}, 1000000, 900000);
    CHECK(r.num == 1 && r.den == 12, "3/40 of 10/9: %" PRIu64 "/%" PRIu64, r.num, r.den);
    r = pico_times((struct pico_rate){UINT64_MAX, 7}, UINT64_MAX, 1);
    CHECK(r.num >> 61 == 1 && r.den == 1, "more than 62 bits: %" PRIu64 "/%" PRIu64, r.num, r.den);
    r = pico_rate_per_second(1);
    CHECK(r.num == PICO_PER_S && r.den == 1, "1 B/s");
    r = pico_rate_per_second(UINT64_MAX);
    CHECK(r.den == UINT64_MAX / 5 && r.num == PICO_PER_S / 5, "%" PRIu64 "/%" PRIu64, r.num, r.den);
    for (uint64_t per_s = 1; per_s < PICO_PER_S; per_s = per_s * 3 + 1)
        CHECK(pico_of(per_s, pico_rate_per_second(per_s)) == PICO_PER_S, "%" PRIu64 " units a second", per_s);
}

static void check_add(void) {
    CHECK(pico_add(1, 2) == 3 && pico_add(0, 0) == 0, "small");
    CHECK(pico_add(UINT64_MAX, 0) == UINT64_MAX && pico_add(UINT64_MAX - 1, 1) == UINT64_MAX, "it still fits");
    CHECK(pico_add(UINT64_MAX, 1) == UINT64_MAX && pico_add(UINT64_MAX, UINT64_MAX) == UINT64_MAX, "it does not");
}

int main(void) {
    check_rounding();
    check_nearest();
    check_rates();
    check_add();
    return check_report("pico");
}
