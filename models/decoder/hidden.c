/* hidden.c - the residual stream in fewer bits: a token's vector in a storage format of weights, group by group.
 *
 * Coding what was decoded gives the same codes: F16 holds what it gave, and the greatest magnitude of a block of Q8_0
 * or Q4_0 decodes to d times 127 or 8, exactly, of which d comes out again. So a vector may be rounded wherever a layer
 * ends, and coded anew wherever it is sent. */
#include <math.h>

#include "kernels/half.h"
#include "priv.h"

enum { GROUP = 32, HALF_NAN = 0x7e00, HALF_MOST = 65504 };

extern const struct tensor_type tensor_type_f16, tensor_type_q8_0, tensor_type_q4_0;
static const struct tensor_type *const formats[] = {
    [HIDDEN_F16] = &tensor_type_f16, [HIDDEN_I8] = &tensor_type_q8_0, [HIDDEN_I4] = &tensor_type_q4_0};

static size_t group_bytes(enum hidden_form f) {
    return tensor_type_row_bytes(formats[f], GROUP);
}

size_t hidden_bytes(enum hidden_form f, int n) {
    if (f == HIDDEN_F32) return (size_t)n * sizeof(float);
    return (size_t)(n + GROUP - 1) / GROUP * group_bytes(f);
}

/* n values, filled up with zeros. A block begins with its d, which may overflow, and hides infinities and NaN: such a
 * group becomes NaN, so that sampling notices. Where d is 0, numbers behind it would give zeros of either sign. */
static void encode_group(enum hidden_form f, const float *x, int n, uint8_t *out) {
    static const float zeros[GROUP];
    float full[GROUP] = {0};
    int in_range = 1;
    memcpy(full, x, (size_t)n * sizeof *x);
    for (int i = 0; i < n; i++)
        in_range &= fabsf(x[i]) <= HALF_MOST;
    formats[f]->quantize(full, 1, out, GROUP);
    if (formats[f]->is_float) return;
    if (load_half(out) == 0) formats[f]->quantize(zeros, 1, out, GROUP);
    if (!in_range) store_u16(out, HALF_NAN);
}

static void decode_group(enum hidden_form f, const uint8_t *in, int n, float *x) {
    float full[GROUP];
    formats[f]->dequantize(in, 1, full, GROUP);
    memcpy(x, full, (size_t)n * sizeof *x);
}

static int group_len(int at, int n) {
    return n - at < GROUP ? n - at : GROUP;
}

void hidden_encode(enum hidden_form f, const float *x, int n, void *out) {
    if (f == HIDDEN_F32) memcpy(out, x, (size_t)n * sizeof *x);
    for (int i = 0; i < n && f != HIDDEN_F32; i += GROUP)
        encode_group(f, x + i, group_len(i, n), (uint8_t *)out + (size_t)(i / GROUP) * group_bytes(f));
}

void hidden_decode(enum hidden_form f, const void *in, int n, float *x) {
    if (f == HIDDEN_F32) memcpy(x, in, (size_t)n * sizeof *x);
    for (int i = 0; i < n && f != HIDDEN_F32; i += GROUP)
        decode_group(f, (const uint8_t *)in + (size_t)(i / GROUP) * group_bytes(f), group_len(i, n), x + i);
}

void hidden_round(enum hidden_form f, float *x, int n) {
    uint8_t code[GROUP * 2]; /* of the widest */
    for (int i = 0; i < n && f != HIDDEN_F32; i += GROUP) {
        encode_group(f, x + i, group_len(i, n), code);
        decode_group(f, code, group_len(i, n), x + i);
    }
}
