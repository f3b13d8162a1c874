#include "models/tensor_type.h"

#include <math.h>
#include <strings.h>

const struct tensor_type *tensor_type_find(const char *name) {
    for (const struct tensor_type *const *t = tensor_types; *t; t++)
        if (!strcasecmp((*t)->name, name)) return *t;
    return NULL;
}

const struct tensor_type *tensor_type_by_ggml_id(int id) {
    if (id < 0) return NULL;
    for (const struct tensor_type *const *t = tensor_types; *t; t++)
        if ((*t)->ggml_id == id) return *t;
    return NULL;
}

size_t tensor_type_row_bytes(const struct tensor_type *type, int64_t n) {
    return (size_t)(n / type->block) * (size_t)type->block_bytes;
}

float tensor_type_row_step(const struct tensor_type *type, const float *src, int64_t n) {
    float amax = 0;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(src[i]) > amax) amax = fabsf(src[i]);
    float step = amax / (type->bits == 4 ? 7.0f : 127.0f);
    return step > 0 ? step : 1;
}
