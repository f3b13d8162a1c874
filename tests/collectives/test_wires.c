/* Wire forms: binary16 against its definition, bounds on hard and random groups, sizes, zeros, what is no number. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "collectives/op.h"

enum { MOST_VALUES = 100, EXACT = 7 * 127 /* a whole number of steps in all forms */ };

/* A binary16 number by its definition; above the largest one the next that the format would have. */
static double half_value(int code) {
    int exponent = code >> 10, significand = code & 1023;
    return exponent ? ldexp(1024 + significand, exponent - 25) : ldexp(significand, -24);
}

static float through(const struct coll_wire *w, float x) {
    uint64_t code[8];
    float y;
    w->encode(&x, 1, code);
    w->decode(code, 1, &y);
    return y;
}

/* All halves decode to their value and encode to themselves. */
static void check_halves(const struct coll_wire *w) {
    for (int code = 0; code < 65536; code++) {
        uint16_t half = (uint16_t)code, back;
        int magnitude = code & 0x7fff;
        float x, sum = 1;
        double value = (code & 0x8000 ? -1 : 1) * half_value(magnitude);
        w->decode(&half, 1, &x);
        if (magnitude >= 0x7c00) {
            CHECK(isnan(x), "%04x is %g", code, (double)x);
            continue;
        }
        w->encode(&x, 1, &back);
        w->accumulate(&half, 1, &sum);
        CHECK((double)x == value && !signbit(x) == !(code & 0x8000), "%04x is %g", code, (double)x);
        CHECK(back == half, "%04x comes back as %04x", code, back);
        CHECK(sum == 1 + x, "%04x: 1 + %g is %g", code, (double)x, (double)sum);
    }
}

/* Between two neighbours: the middle goes to the even one, the floats beside it to the nearer one. */
static void check_halves_rounding(const struct coll_wire *w) {
    for (int code = 0; code < 0x7bff; code++) {
        float low = (float)half_value(code), high = (float)half_value(code + 1), middle = (low + high) / 2;
        float below = nextafterf(middle, 0), above = nextafterf(middle, INFINITY);
        for (int sign = -1; sign <= 1; sign += 2) {
            float s = (float)sign;
            CHECK(through(w, s * below) == s * low, "%a", (double)(s * below));
            CHECK(through(w, s * middle) == s * (code % 2 ? high : low), "%a", (double)(s * middle));
            CHECK(through(w, s * above) == s * high, "%a", (double)(s * above));
        }
    }
    CHECK(through(w, FLT_MAX) == 65504 && through(w, -65520) == -65504, "saturates");
}

/* Magnitudes of all sizes; some groups are flat, full of ties, below the least scale, or above the greatest one. */
static float hard_value(uint64_t group, uint64_t i, int steps) {
    uint64_t r = rng_u64(group + 99, i);
    float unit = 2 * rng_unit(group, i) - 1;
    float scale = ldexpf(1 + (float)(hash_mix(group) % 1024) / 1024, (int)(hash_mix(group + 5) % 30) - 15);
    switch (group % 8) {
    case 0: return unit;
    case 1: return ldexpf(unit, (int)(r % 270) - 149);
    case 2: return i % 32 == 0 ? (float)steps * scale : ((float)(r % (uint64_t)steps) + 0.5f) * scale; /* ties */
    case 3: {
        float tie = ((float)(r % (uint64_t)steps) + 0.5f) * scale;
        return i % 32 == 0 ? (float)steps * scale : nextafterf(tie, r >> 40 & 1 ? 0 : INFINITY);
    }
    case 4: return unit * 65504 * (float)steps * (i % 32 ? 1 : 1.5f);
    case 5: return ldexpf(unit, -24 - (int)(group / 8 % 20)); /* scales that are subnormal halves */
    case 6: return ldexpf(unit, -140);
    default: return r % 3 ? 0.0f : nextafterf((float)steps * scale, r >> 40 & 1 ? 0 : INFINITY);
    }
}

static float greatest(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

static void check_group(const struct coll_wire *w, const float *x, const float *y, size_t n, uint64_t key) {
    double most = (double)greatest(x, n), bound = w->bound(most);
    for (size_t i = 0; i < n; i++)
        CHECK(fabs((double)y[i] - (double)x[i]) <= bound && (x[i] != 0 || y[i] == 0),
              "%s, group %ld of %zu: %a becomes %a, greatest %a, bound %a", w->name, (long)key, n, (double)x[i],
              (double)y[i], most, bound);
}

/* Sizes 0 to 100: nothing behind the codes and the values is touched; each group keeps its bound; accumulate adds what
 * decode gives; coding apart at a multiple of the group is coding together. */
static void check_sizes(const struct coll_wire *w, int steps) {
    static unsigned char code[4 * MOST_VALUES + 8], part[sizeof code];
    float x[MOST_VALUES], y[MOST_VALUES + 1], sum[MOST_VALUES];
    for (uint64_t key = 0; key < 20; key++)
        for (size_t n = 0; n <= MOST_VALUES; n++) {
            size_t bytes = w->bytes(n), group = (size_t)w->group, first = n / 2 / group * group;
            for (size_t i = 0; i < n; i++)
                x[i] = hard_value((key * 101 + n) * 4 + i / 32, i, steps);
            memset(code, 0xa5, sizeof code);
            w->encode(x, n, code);
            CHECK(bytes <= sizeof code - 1 && code[bytes] == 0xa5, "%s: %zu values, %zu bytes", w->name, n, bytes);
            y[n] = 7;
            w->decode(code, n, y);
            CHECK(y[n] == 7, "%s writes behind %zu values", w->name, n);
            for (size_t begin = 0; begin < n; begin += group)
                check_group(w, x + begin, y + begin, n - begin < group ? n - begin : group, key);
            for (size_t i = 0; i < n; i++)
                sum[i] = 0.75f;
            w->accumulate(code, n, sum);
            for (size_t i = 0; i < n; i++)
                CHECK(sum[i] == 0.75f + y[i], "%s: accumulates %a", w->name, (double)sum[i]);
            w->encode(x, first, part);
            w->encode(x + first, n - first, part + w->bytes(first));
            CHECK(memcmp(part, code, bytes) == 0, "%s: %zu values in two parts", w->name, n);
        }
}

/* The scale is the least half that holds the greatest value: the next lower one would not. */
static void check_scale(const struct coll_wire *w, int steps) {
    for (uint64_t key = 0; key < 20000; key++) {
        float x = fabsf(ldexpf(1 + rng_unit(3, key), (int)(rng_u64(4, key) % 60) - 40));
        uint16_t half = 0;
        uint64_t code[8];
        if (key % 4 == 0) x = (float)(half_value((int)(key % 0x7bff)) * steps);
        if (key % 4 == 1) x = nextafterf((float)(half_value((int)(key % 0x7bff)) * steps), INFINITY);
        w->encode(&x, 1, code);
        memcpy(&half, code, sizeof half);
        CHECK(half == 0x7bff || half_value(half) * steps >= (double)x, "%s: %a has scale %04x", w->name, (double)x,
              half);
        CHECK(half == 0 || half_value(half - 1) * steps < (double)x, "%s: %a has scale %04x", w->name, (double)x, half);
    }
}

/* One value that is none spoils its group and no other. */
static void check_special(const struct coll_wire *w) {
    static const float special[] = {NAN, INFINITY, -INFINITY};
    uint64_t code[64];
    float x[MOST_VALUES], y[MOST_VALUES];
    for (size_t at = 0; at < MOST_VALUES; at++) {
        for (size_t i = 0; i < MOST_VALUES; i++)
            x[i] = EXACT;
        x[at] = special[at % 3];
        w->encode(x, MOST_VALUES, code);
        w->decode(code, MOST_VALUES, y);
        for (size_t i = 0; i < MOST_VALUES; i++)
            CHECK(i / (size_t)w->group == at / (size_t)w->group ? isnan(y[i]) : y[i] == EXACT, "%s: %zu is %g", w->name,
                  i, (double)y[i]);
        for (size_t i = 0; i < MOST_VALUES; i++)
            y[i] = 0;
        w->accumulate(code, MOST_VALUES, y);
        CHECK(isnan(y[at]), "%s: accumulates %g", w->name, (double)y[at]);
    }
    CHECK(w->bound(INFINITY) == INFINITY, "%s: %g", w->name, w->bound(INFINITY));
}

static void check_zeros(const struct coll_wire *w) {
    uint64_t code[64];
    float x[MOST_VALUES], y[MOST_VALUES];
    for (size_t i = 0; i < MOST_VALUES; i++)
        x[i] = i % 2 ? -0.0f : 0.0f;
    w->encode(x, MOST_VALUES, code);
    w->decode(code, MOST_VALUES, y);
    for (size_t i = 0; i < MOST_VALUES; i++)
        CHECK(y[i] == 0, "%s: zero becomes %g", w->name, (double)y[i]);
}

int main(void) {
    check_halves(coll_wire_find("fp16"));
    check_halves_rounding(coll_wire_find("fp16"));
    for (const struct coll_wire *const *w = coll_wires; *w; w++) {
        int steps = strcmp((*w)->name, "int4") == 0 ? 7 : 127;
        check_sizes(*w, steps);
        check_special(*w);
        check_zeros(*w);
        if ((*w)->group > 1) check_scale(*w, steps);
        CHECK((*w)->bytes((size_t)(*w)->group) == (*w)->group_bytes && coll_wire_find((*w)->name) == *w, "%s",
              (*w)->name);
    }
    CHECK(!coll_wire_find("fp12"), "no such form");
    return check_report("coll-wires");
}
