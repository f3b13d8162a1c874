/* fp16 - values travel as binary16, rounded to nearest even, saturating; infinities become NaN as in all wire forms. */
#include <math.h>

#include "collectives/op.h"
#include "half.h"

static size_t fp16_bytes(size_t n) {
    return n * sizeof(uint16_t);
}

static inline FORM_LOOP void encode_loop(const float *restrict x, size_t n, uint16_t *restrict h) {
    for (size_t i = 0; i < n; i++)
        h[i] = half_of_float(x[i]);
}
CPU_FORMS(encode, (const float *restrict x, size_t n, uint16_t *restrict h), (x, n, h))

static inline FORM_LOOP void decode_loop(const uint16_t *restrict h, size_t n, float *restrict x) {
    for (size_t i = 0; i < n; i++)
        x[i] = float_of_half(h[i]);
}
CPU_FORMS(decode, (const uint16_t *restrict h, size_t n, float *restrict x), (h, n, x))

static inline FORM_LOOP void accumulate_loop(const uint16_t *restrict h, size_t n, float *restrict acc) {
    for (size_t i = 0; i < n; i++)
        acc[i] += float_of_half(h[i]);
}
CPU_FORMS(accumulate, (const uint16_t *restrict h, size_t n, float *restrict acc), (h, n, acc))

static void fp16_encode(const float *x, size_t n, void *out) {
    encode(x, n, out);
}

static void fp16_decode(const void *in, size_t n, float *x) {
    decode(in, n, x);
}

static void fp16_accumulate(const void *in, size_t n, float *acc) {
    accumulate(in, n, acc);
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
