/* int4 - groups of 32 values: a binary16 scale, then half a byte for each. */
#include "collectives/op.h"
#include "steps.h"

enum { STEPS = 7, GROUP_BYTES = sizeof(uint16_t) + WIRE_GROUP / 2 };

static size_t int4_bytes(size_t n) {
    size_t rest = n % WIRE_GROUP;
    return n / WIRE_GROUP * GROUP_BYTES + (rest ? sizeof(uint16_t) + (rest + 1) / 2 : 0);
}

/* Byte i holds value i in its low half and value i + (n + 1) / 2, if there is one, in the high half; each plus 8. */
static inline FORM_LOOP void encode_group(const float *restrict x, int n, unsigned char *restrict out) {
    int half = (n + 1) / 2, pairs = n / 2;
    float scale = store_scale(x, n, STEPS, out);
    unsigned char *q = out + sizeof(uint16_t);
    for (int i = 0; i < pairs; i++)
        q[i] = (unsigned char)(steps_of(x[i], scale, STEPS) + 8 + 16 * (steps_of(x[i + half], scale, STEPS) + 8));
    if (half > pairs) q[pairs] = (unsigned char)(steps_of(x[pairs], scale, STEPS) + 8 + 16 * 8);
}

static inline FORM_LOOP float one_value(int code, float scale, float old, int add) {
    float value = (float)(code - 8) * scale; /* exact: 3 bits times 11 */
    return add ? old + value : value;
}

/* add: to what x holds. */
static inline FORM_LOOP void decode_group(const unsigned char *restrict in, int n, float *restrict x, int add) {
    int half = (n + 1) / 2;
    float scale = load_scale(in);
    const unsigned char *q = in + sizeof(uint16_t);
    for (int i = 0; i < half; i++)
        x[i] = one_value(q[i] & 15, scale, x[i], add);
    for (int i = half; i < n; i++)
        x[i] = one_value(q[i - half] >> 4, scale, x[i], add);
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

static void int4_encode(const float *x, size_t n, void *out) {
    encode(x, n, out);
}

static void int4_decode(const void *in, size_t n, float *x) {
    decode(in, n, x);
}

static void int4_accumulate(const void *in, size_t n, float *acc) {
    accumulate(in, n, acc);
}

static double int4_bound(double most) {
    return steps_bound(most, STEPS);
}

const struct coll_wire coll_wire_int4 = {
    .name = "int4",
    .description = "4 bits a value and a binary16 scale for each 32, values to the nearest of +-7 steps",
    .group = WIRE_GROUP,
    .group_bytes = GROUP_BYTES,
    .bytes = int4_bytes,
    .encode = int4_encode,
    .decode = int4_decode,
    .accumulate = int4_accumulate,
    .bound = int4_bound,
};
