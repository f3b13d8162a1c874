/* fp16 - values travel as binary16, rounded to nearest even, saturating; infinities become NaN as in all wire forms. */
#include <math.h>
#include <string.h>

#include "collectives/op.h"

static size_t fp16_bytes(size_t n) {
    return n * sizeof(uint16_t);
}

/* Magnitudes below 2^-14 are multiples of 2^-24: adding 0.5 leaves them, rounded, in the low bits. Else 13 bits of the
 * significand go, with a carry into the exponent, which is rebased from 127 to 15. */
static uint16_t half_of(float x) {
    uint32_t bits, sign, result;
    memcpy(&bits, &x, sizeof bits);
    sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits >= 0x7f800000) return 0x7e00;
    if (bits < 0x38800000) {
        float small;
        memcpy(&small, &bits, sizeof small);
        small += 0.5f;
        memcpy(&result, &small, sizeof result);
        return (uint16_t)(sign | (result - 0x3f000000));
    }
    result = (bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13;
    return (uint16_t)(sign | (result < 0x7bff ? result : 0x7bff));
}

static float float_of(uint16_t h) {
    uint32_t magnitude = h & 0x7fff, bits;
    float x;
    if (magnitude > 0x7c00) return NAN;
    if (magnitude < 0x400) {
        x = (float)magnitude * 0x1p-24f;
    } else {
        bits = (magnitude << 13) + 0x38000000;
        memcpy(&x, &bits, sizeof x);
    }
    return h & 0x8000 ? -x : x;
}

static void fp16_encode(const float *x, size_t n, void *out) {
    uint16_t *h = out;
    for (size_t i = 0; i < n; i++)
        h[i] = half_of(x[i]);
}

static void fp16_decode(const void *in, size_t n, float *x) {
    const uint16_t *h = in;
    for (size_t i = 0; i < n; i++)
        x[i] = float_of(h[i]);
}

static void fp16_accumulate(const void *in, size_t n, float *acc) {
    const uint16_t *h = in;
    for (size_t i = 0; i < n; i++)
        acc[i] += float_of(h[i]);
}

/* Half a unit in the last of 11 binary places; subnormals have a fixed unit; above the largest number, what is cut. */
static double fp16_bound(double most) {
    if (most > 65504) return fmax(16, most - 65504);
    return most < 0x1p-14 ? 0x1p-25 : exp2(floor(log2(most)) - 11);
}

const struct coll_wire coll_wire_fp16 = {
    .name = "fp16",
    .description = "binary16, rounded to nearest even, saturating at 65504",
    .group = 1,
    .group_bytes = sizeof(uint16_t),
    .bytes = fp16_bytes,
    .encode = fp16_encode,
    .decode = fp16_decode,
    .accumulate = fp16_accumulate,
    .bound = fp16_bound,
};
