/* tensor_type.h - the storage formats of weights: one table row each.
 *
 * Formats of GGUF keep ggml's layout and are never widened at load. In the group formulas below: dot = exact integer
 * sum of q*x over the group's columns, sum = exact integer sum of x over them, xs = the activation scale of the group,
 * acc the running sum of the leaf (order.h rule 4). Block scales d, m, dmin are binary16 widened to binary32.
 *   Q8_0          acc = fmaf((float)dot, d * xs, acc)
 *   Q4_0 Q5_0     the same, with q - 8 and q - 16 as the integers
 *   Q4_1 Q5_1     acc = fmaf((float)dot, d * xs, acc); acc = fmaf((float)sum, m * xs, acc)
 *   Q4_K Q5_K     acc = fmaf((float)(sc * dot), d * xs, acc); acc = fmaf((float)(mn * sum), -(dmin * xs), acc)
 *                 sc, mn the 6-bit scale and minimum of the 32 columns
 *   Q6_K          acc = fmaf((float)(sc0 * dot0 + sc1 * dot1), d * xs, acc), the two halves of 16 columns
 *   I4 I8         per-channel step w of the row: acc = fmaf((float)dot, w * xs, acc); with a static activation step the
 *                 leaf is (float)(sum of dots) * (w * step)
 *   F32 F16 BF16  float rule; integer activations are not used with them
 * I4 is our own: 16 bytes per 32 columns, value j in the low nibble of byte j, value j+16 in the high nibble,
 * stored + 8; 4.0 bits a weight; steps of the rows lie in a tensor of their own (NAME.step, F32, one a row), an
 * optional static activation step in NAME.act_step (F32, one value). In GGUF such a matrix is an I8 tensor of
 * cols/2 bytes a row and metadata northwall.format.NAME = "I4". I8 per-channel: one signed byte a column,
 * northwall.format.NAME = "I8". With northwall.act_bits.NAME = 8 beside a static step, activations are rounded to int8
 * in modes of fewer bits too (SiLU's product in the NorthPole recipe); 4 is the same as none. */
#ifndef MODELS_TENSOR_TYPE_H
#define MODELS_TENSOR_TYPE_H

#include <stddef.h>
#include <stdint.h>

/* 32 columns of a row, unpacked. Integers are those of the formulas above (offsets already taken off), and
 *     integer rule     acc = fmaf((float)(scale[0] * dot0 + scale[1] * dot1), d * xs, acc), dots of 16 columns;
 *                      with has_min then acc = fmaf((float)(min * sum), m * xs, acc)
 *     canonical value  (d * (float)scale[h]) * (float)q, with has_min + m * (float)min: each operation rounded (ggml's
 *                      expressions without contraction; a build of ggml that contracts differs in the last bit)
 * are every row of the table above: m = -dmin for Q4_K and Q5_K, unused scales are 1. */
struct weight_piece {
    int8_t q[32];
    int32_t scale[2], min;
    float d, m;
};

enum { TYPE_ROWS = 16 };

struct tensor_type {
    const char *name; /* "Q4_K" */
    int ggml_id; /* number in GGUF; -1 for I4 and I8 per-channel */
    int block; /* weights of a block: 1 (float types), 32 or 256 */
    int block_bytes;
    int half_at; /* where block_bytes % 4 is 2: offset of the 16-bit number that, taken out, leaves whole words */
    int is_float; /* F32 F16 BF16 */
    int per_channel; /* I4 I8: steps lie outside the rows */
    int has_min; /* Q4_1 Q5_1 Q4_K Q5_K */
    double bits; /* of a weight, scales included */
    /* Canonical float value of n weights (n a multiple of block) from src (any alignment); per-channel types take the
     * row's step. */
    void (*dequantize)(const void *src, float step, float *dst, int64_t n);
    /* Rounds n floats to the format exactly as ggml's reference quantizer does; for per-channel types the step is
     * chosen first (tensor_type_row_step). Blocks so small that ggml's reciprocal of the scale
     * overflows become zeros; infinities and NaN give some block, without undefined behaviour. */
    void (*quantize)(const float *src, float step, void *dst, int64_t n);
    /* Quantized types: piece `index` (0..block/32-1) of one block. NULL for float types. */
    void (*unpack)(const uint8_t *block, int index, float step, struct weight_piece *piece);
    /* The order of bits in a block of a panel (kernels.h), where it is not the stored one: from a block's words, the
     * 16-bit number taken out, of TYPE_ROWS rows; and back, of one row. NULL: words lie as stored. */
    void (*order)(const uint32_t (*in)[TYPE_ROWS], uint32_t (*out)[TYPE_ROWS]);
    void (*restore)(const uint32_t *in, uint32_t *out);
};

/* All types, ended by NULL; lookups return NULL if unknown. Names compare without case. Local. */
extern const struct tensor_type *const tensor_types[];
const struct tensor_type *tensor_type_find(const char *name);
const struct tensor_type *tensor_type_by_ggml_id(int id);

/* Bytes of a row of n columns (n a multiple of block). Local. */
size_t tensor_type_row_bytes(const struct tensor_type *type, int64_t n);

/* Step that per-channel quantization uses for a row: amax / 7 (I4) or amax / 127 (I8), 1 for a zero row. */
float tensor_type_row_step(const struct tensor_type *type, const float *src, int64_t n);

#endif
