#include "format.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "mapped weights are little-endian");
_Static_assert(sizeof(size_t) == 8, "files are larger than 32-bit sizes");

static const struct {
    const char *name;
    size_t bytes;
} kinds[] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},       [GGUF_U16] = {"u16", 2}, [GGUF_I16] = {"i16", 2},
    [GGUF_U32] = {"u32", 4},     [GGUF_I32] = {"i32", 4},     [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1},
    [GGUF_STRING] = {"text", 0}, [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8}, [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

const char *gguf_kind_name(enum gguf_kind kind) {
    return (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind].name : "unknown";
}

size_t gguf_kind_bytes(enum gguf_kind kind) {
    return (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind].bytes : 0;
}

/* Every type number published for ggml, so that a file with types we cannot compute with is still described and
 * checked. Q8_1 and Q8_K exist in memory only; removed types keep their numbers and have no size. */
static const struct gguf_storage storages[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},        {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},     {8, "Q8_0", 32, 34},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},  {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},
    {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74}, {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110}, {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136},
    {24, "I8", 1, 1},         {25, "I16", 1, 2},       {26, "I32", 1, 4},        {27, "I64", 1, 8},
    {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},  {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},   {40, "NVFP4", 64, 36},
};

const struct gguf_storage *gguf_storage(int type) {
    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
        if (storages[i].type == type) return &storages[i];
    return NULL;
}

const char *gguf_type_name(int ggml_type) {
    const struct gguf_storage *s = gguf_storage(ggml_type);
    return s ? s->name : "unknown";
}

int64_t gguf_storage_bytes(const struct gguf_storage *s, const int64_t ne[GGUF_MAX_DIMS]) {
    if (ne[0] % s->block) return -1;
    int64_t bytes = ne[0] / s->block;
    for (int i = 1; i < GGUF_MAX_DIMS; i++)
        if (__builtin_mul_overflow(bytes, ne[i], &bytes)) return -1;
    return __builtin_mul_overflow(bytes, (int64_t)s->block_bytes, &bytes) ? -1 : bytes;
}

uint64_t gguf_load_u64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

int64_t gguf_load_int(enum gguf_kind kind, const uint8_t *p) {
    uint64_t v = 0;
    memcpy(&v, p, gguf_kind_bytes(kind));
    switch (kind) {
    case GGUF_U8:
    case GGUF_BOOL:
    case GGUF_U16:
    case GGUF_U32: return (int64_t)v;
    case GGUF_I8: return (int8_t)v;
    case GGUF_I16: return (int16_t)v;
    case GGUF_I32: return (int32_t)v;
    case GGUF_I64: return (int64_t)v;
    case GGUF_U64: return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    default: return 0;
    }
}

double gguf_load_float(enum gguf_kind kind, const uint8_t *p) {
    float f;
    double v;
    switch (kind) {
    case GGUF_F32: memcpy(&f, p, sizeof f); return (double)f;
    case GGUF_F64: memcpy(&v, p, sizeof v); return v;
    case GGUF_U64: return (double)gguf_load_u64(p);
    default: return (double)gguf_load_int(kind, p);
    }
}

uint64_t gguf_align(uint64_t v, uint64_t a) {
    return v > UINT64_MAX - (a - 1) ? UINT64_MAX : (v + a - 1) & ~(a - 1);
}

static int compare_str(const struct gguf_str *a, const struct gguf_str *b) {
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

int gguf_compare_kv(const void *a, const void *b) {
    return compare_str(&(*(const struct gguf_kv *const *)a)->key, &(*(const struct gguf_kv *const *)b)->key);
}

int gguf_compare_tensor(const void *a, const void *b) {
    return compare_str(&(*(const struct gguf_tensor *const *)a)->name, &(*(const struct gguf_tensor *const *)b)->name);
}
