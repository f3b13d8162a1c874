/* Storage formats: hand-made blocks, rounding, and the bytes of ggml's reference quantizers. */
#include <math.h>

#include "check.h"
#include "gen.h"
#include "models/mathf.h"

static void put_half(uint8_t *p, float x) {
    unsigned short h = f32_to_f16(x);
    memcpy(p, &h, sizeof h);
}

static void test_table(void) {
    static const struct {
        const char *name;
        int id, block, bytes;
    } want[] = {{"F32", 0, 1, 4},       {"F16", 1, 1, 2},       {"BF16", 30, 1, 2},     {"Q8_0", 8, 32, 34},
                {"Q4_0", 2, 32, 18},    {"Q4_1", 3, 32, 20},    {"Q5_0", 6, 32, 22},    {"Q5_1", 7, 32, 24},
                {"Q4_K", 12, 256, 144}, {"Q5_K", 13, 256, 176}, {"Q6_K", 14, 256, 210}, {"I4", -1, 32, 16},
                {"I8", -1, 32, 32}};
    int n = 0;
    while (tensor_types[n])
        n++;
    CHECK(n == sizeof want / sizeof *want, "%d types", n);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct tensor_type *t = tensor_type_find(want[i].name);
        CHECK(t && t->ggml_id == want[i].id && t->block == want[i].block && t->block_bytes == want[i].bytes, "%s",
              want[i].name);
        if (!t) continue;
        CHECK(want[i].id < 0 || tensor_type_by_ggml_id(want[i].id) == t, "%s by id", want[i].name);
        CHECK(t->bits == 8.0 * t->block_bytes / t->block, "%s: %g bits", t->name, t->bits);
        CHECK(tensor_type_row_bytes(t, 512) == (size_t)(512 / t->block * t->block_bytes), "%s row", t->name);
        CHECK((t->unpack == NULL) == t->is_float, "%s unpack", t->name);
    }
    CHECK(!tensor_type_find("Q9_0") && !tensor_type_by_ggml_id(-1) && !tensor_type_by_ggml_id(99), "unknown types");
    CHECK(tensor_type_find("q4_k") == tensor_type_find("Q4_K"), "case");
}

/* The integer that column c of a block must hold, by the layout's own words. */
static int small_level(const uint8_t *b, int nibbles, int high, int c) {
    int q = b[nibbles + c % 16] >> (c < 16 ? 0 : 4) & 15;
    return high < 0 ? q : q | (b[high + c / 8] >> c % 8 & 1) << 4;
}

static void test_small_blocks(void) {
    static const struct {
        const char *name;
        int nibbles, high, offset;
    } f[] = {{"Q4_0", 2, -1, 8}, {"Q4_1", 4, -1, 0}, {"Q5_0", 6, 2, 16}, {"Q5_1", 8, 4, 0}, {"I4", 0, -1, 8}};
    gen_seed(21);
    for (size_t k = 0; k < sizeof f / sizeof *f; k++) {
        const struct tensor_type *t = tensor_type_find(f[k].name);
        uint8_t b[64];
        float v[64];
        for (int i = 0; i < 64; i++)
            b[i] = (uint8_t)gen_int(256);
        if (!t->per_channel) put_half(b, 0.5f);
        if (t->has_min) put_half(b + 2, -3);
        t->dequantize(b, 0.5f, v, 32);
        for (int c = 0; c < 32; c++) {
            float want =
                0.5f * (float)(small_level(b, f[k].nibbles, f[k].high, c) - f[k].offset) - (t->has_min ? 3 : 0);
            CHECK(v[c] == want, "%s column %d: %g for %g", t->name, c, (double)v[c], (double)want);
        }
    }
    uint8_t b[34];
    float v[32];
    put_half(b, 2);
    for (int i = 0; i < 32; i++)
        b[2 + i] = (uint8_t)(i * 8 - 128);
    tensor_type_find("Q8_0")->dequantize(b, 1, v, 32);
    for (int i = 0; i < 32; i++)
        CHECK(v[i] == (float)(2 * (i * 8 - 128)), "Q8_0 column %d: %g", i, (double)v[i]);
    tensor_type_find("I8")->dequantize(b + 2, 0.25f, v, 32);
    for (int i = 0; i < 32; i++)
        CHECK(v[i] == 0.25f * (float)(i * 8 - 128), "I8 column %d: %g", i, (double)v[i]);
}

/* Six-bit numbers of Q4_K and Q5_K, from a picture of the 12 bytes as bits. */
static int six_bits(const uint8_t *s, int piece, int want_min) {
    if (piece < 4) return s[piece + 4 * want_min] & 63;
    int low = s[piece + 4] >> (4 * want_min) & 15;
    return low | (s[piece - 4 + 4 * want_min] >> 6) << 4;
}

static void test_super_blocks(void) {
    const struct tensor_type *q4 = tensor_type_find("Q4_K"), *q5 = tensor_type_find("Q5_K"),
                             *q6 = tensor_type_find("Q6_K");
    uint8_t b[256];
    float v4[256], v5[256], v6[256];
    gen_seed(22);
    for (int i = 0; i < 256; i++)
        b[i] = (uint8_t)gen_int(256);
    put_half(b, 0.5f), put_half(b + 2, 0.25f), put_half(b + 208, 0.125f);
    q4->dequantize(b, 1, v4, 256), q5->dequantize(b, 1, v5, 256), q6->dequantize(b, 1, v6, 256);
    for (int c = 0; c < 256; c++) {
        int piece = c / 32, j = c % 32, shift = piece % 2 * 4;
        float scale = 0.5f * (float)six_bits(b + 4, piece, 0), min = 0.25f * (float)six_bits(b + 4, piece, 1);
        int l4 = b[16 + piece / 2 * 32 + j] >> shift & 15;
        int l5 = (b[48 + piece / 2 * 32 + j] >> shift & 15) + 16 * (b[16 + j] >> piece & 1);
        CHECK(v4[c] == scale * (float)l4 - min, "Q4_K column %d", c);
        CHECK(v5[c] == scale * (float)l5 - min, "Q5_K column %d", c);
        int half = c / 128, part = piece % 4;
        int l6 = (b[64 * half + (part % 2) * 32 + j] >> (part / 2 * 4) & 15) +
                 16 * (b[128 + 32 * half + j] >> (2 * part) & 3);
        float s6 = 0.125f * (float)(int8_t)b[192 + c / 16];
        CHECK(v6[c] == s6 * (float)(l6 - 32), "Q6_K column %d: %g", c, (double)v6[c]);
    }
}

/* Rows that exercise the quantizers: plain, one-sided, sparse, of many sizes. */
static void fill(float *x, int block) {
    float size = ldexpf(1, gen_int(33) - 16);
    for (int i = 0; i < 256; i++) {
        float u = gen_float(), w = gen_float();
        switch (block % 7) {
        case 0: x[i] = u; break;
        case 1: x[i] = u * w * size; break;
        case 2: x[i] = u * u; break;
        case 3: x[i] = -w * w * size; break;
        case 4: x[i] = i % 11 ? 0 : u; break;
        case 5: x[i] = u * (i / 32 % 3 ? 1e-6f : 1); break;
        default: x[i] = (float)(int)(u * 2.5f);
        }
    }
}

enum { BLOCKS = 700 };

/* FNV-1a of the bytes that ggml's reference quantizers (llama.cpp, plain x86-64 build) give for the same floats. */
static void test_quantize_bytes(void) {
    static const struct {
        const char *name;
        uint64_t hash;
    } want[] = {{"F16", 0x19691f7660dc93e4},  {"BF16", 0x12ceb24c16bc5c4d}, {"Q8_0", 0x0000a913af225d87},
                {"Q4_0", 0x0e31dc614d319d1a}, {"Q4_1", 0xa74c90334b297acd}, {"Q5_0", 0x328cbde472c2e79b},
                {"Q5_1", 0x5dc544c1c0f55cc9}, {"Q4_K", 0x9af47eb61754adb0}, {"Q5_K", 0xa8340a3e5c07ad70},
                {"Q6_K", 0xfd8c542b0fdc7020}};
    float *x = gen_alloc(BLOCKS * 256 * sizeof *x);
    uint8_t *y = gen_alloc(BLOCKS * 256 * 4);
    gen_seed(23);
    for (int b = 0; b < BLOCKS; b++)
        fill(x + 256 * b, b);
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        const struct tensor_type *t = tensor_type_find(want[k].name);
        t->quantize(x, 1, y, BLOCKS * 256);
        uint64_t h = hash_bytes(y, tensor_type_row_bytes(t, BLOCKS * 256), 0);
        CHECK(h == want[k].hash, "%s: 0x%016llx", t->name, (unsigned long long)h);
    }
    free(x), free(y);
}

/* Largest error in parts of the largest magnitude: half a step (a whole one at the end of the range in Q4_0 and Q5_0,
 * whose integers reach one less on one side), and the rounding of scale and minimum to binary16. Q4_K, Q5_K and Q6_K
 * trade the largest error for the mean one: their limits are what the search gives here, with a tenth to spare. */
static void test_round_trip(void) {
    const float half = 0x1p-11f;
    const struct {
        const char *name;
        float part;
    } f[] = {{"F32", 0},
             {"F16", half},
             {"BF16", 0x1p-8f},
             {"Q8_0", 0.5f / 127 + half},
             {"Q4_0", 1.0f / 8 + half},
             {"Q4_1", 1.0f / 15 + 3 * half},
             {"Q5_0", 1.0f / 16 + half},
             {"Q5_1", 1.0f / 31 + 3 * half},
             {"Q4_K", 0.107f},
             {"Q5_K", 0.0556f},
             {"Q6_K", 0.0188f},
             {"I4", 0.5001f / 7},
             {"I8", 0.5001f / 127}};
    float x[256], back[256];
    uint8_t bytes[1024];
    gen_seed(24);
    for (size_t k = 0; k < sizeof f / sizeof *f; k++) {
        const struct tensor_type *t = tensor_type_find(f[k].name);
        for (int n = 0; n < 200; n++) {
            float size = ldexpf(1, gen_int(11) - 5), amax = 0, error = 0;
            for (int i = 0; i < 256; i++)
                x[i] = size * gen_float(), amax = fmaxf(amax, fabsf(x[i]));
            float step = tensor_type_row_step(t, x, 256);
            t->quantize(x, step, bytes, 256);
            t->dequantize(bytes, step, back, 256);
            for (int i = 0; i < 256; i++)
                error = fmaxf(error, fabsf(x[i] - back[i]));
            CHECK(error <= f[k].part * amax, "%s: error %g", t->name, (double)(error / amax));
        }
    }
}

/* Numbers that no format holds: any result, but no undefined one. */
static void test_quantize_unfit(void) {
    static const float values[] = {NAN, -NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f};
    float x[256], back[256];
    uint8_t bytes[1024], again[1024];
    gen_seed(25);
    for (const struct tensor_type *const *t = tensor_types; *t; t++)
        for (int n = 0; n < 60; n++) {
            for (int i = 0; i < 256; i++)
                x[i] = gen_int(1 + n % 5) ? gen_float() : values[gen_int(6)];
            (*t)->quantize(x, 0.1f, bytes, 256);
            (*t)->quantize(x, 0.1f, again, 256);
            (*t)->dequantize(bytes, 0.1f, back, 256);
            CHECK(!memcmp(bytes, again, tensor_type_row_bytes(*t, 256)), "%s", (*t)->name);
            CHECK(tensor_type_row_step(*t, x, 256) > 0, "%s", (*t)->name);
        }
}

/* Zeros stay zeros, and nothing that is finite makes a format trap or give NaN. */
static void test_quantize_edges(void) {
    static const float values[] = {0, -0.0f, 0x1p-149f, -0x1p-130f, 1e-30f, 1e-12f, 6e4f, -6e4f};
    float x[256], back[256];
    uint8_t bytes[1024];
    for (const struct tensor_type *const *t = tensor_types; *t; t++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            for (int alone = 0; alone < 2; alone++) {
                for (int i = 0; i < 256; i++)
                    x[i] = alone && i != 77 ? 0 : values[k];
                float step = tensor_type_row_step(*t, x, 256);
                (*t)->quantize(x, step, bytes, 256);
                (*t)->dequantize(bytes, step, back, 256);
                for (int i = 0; i < 256; i++) {
                    CHECK(isfinite(back[i]), "%s of %g", (*t)->name, (double)values[k]);
                    CHECK(x[i] != 0 || back[i] == 0 || values[k] != 0, "%s: zero became %g", (*t)->name,
                          (double)back[i]);
                    CHECK(fabsf(back[i] - x[i]) <= 0.07f * fabsf(values[k]) + 1e-7f, "%s: %g became %g", (*t)->name,
                          (double)x[i], (double)back[i]);
                }
            }
}

int main(void) {
    test_table();
    test_small_blocks();
    test_super_blocks();
    test_quantize_bytes();
    test_round_trip();
    test_quantize_edges();
    test_quantize_unfit();
    return check_report("types");
}
