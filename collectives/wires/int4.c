/* int4 - groups of 32 values: a binary16 scale, then half a byte for each. */
#define WIRE_BITS 4
#include "steps.h"

/* Byte i holds value i in its low half and value i + (n + 1) / 2, if there is one, in the high half; each plus 8. */
static inline FORM_LOOP void encode_group(const float *restrict x, int n, unsigned char *restrict out) {
    int half = (n + 1) / 2, pairs = n / 2;
    float scale = store_scale(x, n, out);
    unsigned char *q = out + sizeof(uint16_t);
    for (int i = 0; i < pairs; i++)
        q[i] = (unsigned char)(steps_of(x[i], scale) + 8 + 16 * (steps_of(x[i + half], scale) + 8));
    if (half > pairs) q[pairs] = (unsigned char)(steps_of(x[pairs], scale) + 8 + 16 * 8);
}

static inline FORM_LOOP float one_value(int code, float scale, float old, int add) {
    float value = (float)(code - 8) * scale; /* exact: 3 bits times 11 */
    return add ? old + value : value;
}

static inline FORM_LOOP void decode_group(const unsigned char *restrict in, int n, float *restrict x, int add) {
    int half = (n + 1) / 2;
    float scale = load_scale(in);
    const unsigned char *q = in + sizeof(uint16_t);
    for (int i = 0; i < half; i++)
        x[i] = one_value(q[i] & 15, scale, x[i], add);
    for (int i = half; i < n; i++)
        x[i] = one_value(q[i - half] >> 4, scale, x[i], add);
}

const struct coll_wire coll_wire_int4 =
    STEPS_WIRE("int4", "4 bits a value and a binary16 scale for each 32, values to the nearest of +-7 steps");
