#include "kernels/types/types.h"

static void dequantize(const void *src, float step, float *dst, int64_t n) {
    (void)step;
    for (int64_t i = 0; i < n; i++)
        dst[i] = bfloat_to_float(load_u16((const uint8_t *)src + 2 * i));
}

static void quantize(const float *src, float step, void *dst, int64_t n) {
    (void)step;
    for (int64_t i = 0; i < n; i++)
        store_u16((uint8_t *)dst + 2 * i, float_to_bfloat(src[i]));
}

const struct tensor_type tensor_type_bf16 = {
    .name = "BF16",
    .ggml_id = 30,
    .block = 1,
    .block_bytes = 2,
    .is_float = 1,
    .bits = 16,
    .dequantize = dequantize,
    .quantize = quantize,
};
