/* int8 - groups of 32 values: a binary16 scale, then a signed byte for each. */
#define WIRE_BITS 8
#include "steps.h"

static inline FORM_LOOP void encode_group(const float *restrict x, int n, unsigned char *restrict out) {
    float scale = store_scale(x, n, out);
    for (int i = 0; i < n; i++)
        out[sizeof(uint16_t) + (size_t)i] = (unsigned char)steps_of(x[i], scale);
}

/* A product is exact: 7 bits times 11. */
static inline FORM_LOOP void decode_group(const unsigned char *restrict in, int n, float *restrict x, int add) {
    const signed char *q = (const signed char *)in + sizeof(uint16_t);
    float scale = load_scale(in);
    for (int i = 0; i < n; i++)
        x[i] = add ? x[i] + (float)q[i] * scale : (float)q[i] * scale;
}

const struct coll_wire coll_wire_int8 =
    STEPS_WIRE("int8", "8 bits a value and a binary16 scale for each 32, values to the nearest of +-127 steps");
