/* int8 - groups of 32 values: a binary16 scale, then a signed byte for each. */
#include "collectives/op.h"
#include "steps.h"

enum { STEPS = 127, GROUP_BYTES = sizeof(uint16_t) + WIRE_GROUP };

static size_t int8_bytes(size_t n) {
    size_t rest = n % WIRE_GROUP;
    return n / WIRE_GROUP * GROUP_BYTES + (rest ? sizeof(uint16_t) + rest : 0);
}

static inline FORM_LOOP void encode_group(const float *restrict x, int n, unsigned char *restrict out) {
    float scale = store_scale(x, n, STEPS, out);
    for (int i = 0; i < n; i++)
        out[sizeof(uint16_t) + (size_t)i] = (unsigned char)steps_of(x[i], scale, STEPS);
}

/* add: to what x holds. A product is exact: 7 bits times 11. */
static inline FORM_LOOP void decode_group(const unsigned char *restrict in, int n, float *restrict x, int add) {
    const signed char *q = (const signed char *)in + sizeof(uint16_t);
    float scale = load_scale(in);
    for (int i = 0; i < n; i++)
        x[i] = add ? x[i] + (float)q[i] * scale : (float)q[i] * scale;
}

static inline FORM_LOOP void encode_loop(const float *restrict x, size_t n, unsigned char *restrict out) {
    for (; n >= WIRE_GROUP; n -= WIRE_GROUP, x += WIRE_GROUP, out += GROUP_BYTES)
        encode_group(x, WIRE_GROUP, out);
    if (n > 0) encode_group(x, (int)n, out);
}
CPU_FORMS(encode, (const float *restrict x, size_t n, unsigned char *restrict out), (x, n, out))

static inline FORM_LOOP void decode_groups(const unsigned char *restrict in, size_t n, float *restrict x, int add) {
    for (; n >= WIRE_GROUP; n -= WIRE_GROUP, x += WIRE_GROUP, in += GROUP_BYTES)
        decode_group(in, WIRE_GROUP, x, add);
    if (n > 0) decode_group(in, (int)n, x, add);
}

static inline FORM_LOOP void decode_loop(const unsigned char *restrict in, size_t n, float *restrict x) {
    decode_groups(in, n, x, 0);
}
CPU_FORMS(decode, (const unsigned char *restrict in, size_t n, float *restrict x), (in, n, x))

static inline FORM_LOOP void accumulate_loop(const unsigned char *restrict in, size_t n, float *restrict x) {
    decode_groups(in, n, x, 1);
}
CPU_FORMS(accumulate, (const unsigned char *restrict in, size_t n, float *restrict x), (in, n, x))

static void int8_encode(const float *x, size_t n, void *out) {
    encode(x, n, out);
}

static void int8_decode(const void *in, size_t n, float *x) {
    decode(in, n, x);
}

static void int8_accumulate(const void *in, size_t n, float *acc) {
    accumulate(in, n, acc);
}

static double int8_bound(double most) {
    return steps_bound(most, STEPS);
}

const struct coll_wire coll_wire_int8 = {
    .name = "int8",
    .description = "8 bits a value and a binary16 scale for each 32, values to the nearest of +-127 steps",
    .group = WIRE_GROUP,
    .group_bytes = GROUP_BYTES,
    .bytes = int8_bytes,
    .encode = int8_encode,
    .decode = int8_decode,
    .accumulate = int8_accumulate,
    .bound = int8_bound,
};
