#include <string.h>

#include "kernels/types/types.h"

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    (void)step;
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    (void)step;
    memcpy(dst, src, (size_t)n * sizeof *src);
}

const struct tensor_type tensor_type_f32 = {
    .name = "F32",
    .ggml_id = 0,
    .block = 1,
    .block_bytes = 4,
    .is_float = 1,
    .bits = 32,
    .dequantize = dequantize,
    .quantize = quantize,
};
