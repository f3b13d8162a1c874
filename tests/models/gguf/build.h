/* build.h - GGUF files put together byte by byte, apart from the project's writer: what the reader is tested with. */
#ifndef TESTS_GGUF_BUILD_H
#define TESTS_GGUF_BUILD_H

#include <stdint.h>
#include <string.h>

enum { BUILD_CAP = 8192 };

struct build {
    unsigned char data[BUILD_CAP];
    size_t n;
};

static inline void put_bytes(struct build *b, const void *p, size_t n) {
    if (n > sizeof b->data - b->n) n = sizeof b->data - b->n;
    memcpy(b->data + b->n, p, n);
    b->n += n;
}
static inline void put_u8(struct build *b, unsigned v) {
    unsigned char c = (unsigned char)v;
    put_bytes(b, &c, 1);
}
static inline void put_u16(struct build *b, uint16_t v) {
    put_bytes(b, &v, 2);
}
static inline void put_u32(struct build *b, uint32_t v) {
    put_bytes(b, &v, 4);
}
static inline void put_u64(struct build *b, uint64_t v) {
    put_bytes(b, &v, 8);
}
static inline void put_str(struct build *b, const char *s) {
    put_u64(b, strlen(s));
    put_bytes(b, s, strlen(s));
}
static inline void put_header(struct build *b, uint32_t version, uint64_t n_tensors, uint64_t n_kv) {
    b->n = 0;
    put_bytes(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_kv);
}
static inline void put_key(struct build *b, const char *key, uint32_t kind) {
    put_str(b, key);
    put_u32(b, kind);
}
static inline void put_kv_u32(struct build *b, const char *key, uint32_t v) {
    put_key(b, key, 4);
    put_u32(b, v);
}
static inline void put_array(struct build *b, const char *key, uint32_t kind, uint64_t count) {
    put_key(b, key, 9);
    put_u32(b, kind);
    put_u64(b, count);
}
static inline void put_tensor(struct build *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                              uint64_t offset) {
    put_str(b, name);
    put_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(b, ne[i]);
    put_u32(b, type);
    put_u64(b, offset);
}
static inline void put_tensor2(struct build *b, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                               uint64_t offset) {
    put_tensor(b, name, 2, (const uint64_t[]){cols, rows}, type, offset);
}
/* Padding to a multiple of `align`, then n data bytes 0, 1, 2, ... */
static inline void put_data(struct build *b, size_t align, size_t n) {
    while (b->n % align)
        put_u8(b, 0);
    for (size_t i = 0; i < n; i++)
        put_u8(b, (unsigned)i);
}

/* A file with a pair of each kind, an array of each kind and four tensors: F32 [6,4], Q8_0 [64,2], I8 [5], unknown 99.
 */
enum { BUILD_ALL_DATA = 320 };
static inline void build_all_kinds(struct build *b, uint32_t version) {
    static const unsigned char bytes[] = {1, 2, 3, 4, 5, 6, 7, 0x80, 9, 10, 11, 12, 13, 14, 15, 0xf0};
    static const int size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    char key[16] = "kind.a";
    put_header(b, version, 4, 24);
    for (uint32_t kind = 0; kind < 13; kind++, key[5]++) {
        if (kind == 9) continue;
        put_key(b, key, kind);
        if (kind == 8)
            put_str(b, "a text");
        else
            put_bytes(b, bytes, (size_t)size[kind]);
    }
    memcpy(key, "items.a", 8);
    for (uint32_t kind = 0; kind < 13; kind++, key[6]++) {
        if (kind == 9) continue;
        put_array(b, key, kind, 2);
        if (kind == 8) {
            put_str(b, "");
            put_str(b, "two");
        } else if (kind == 7) {
            put_u16(b, 0x0100);
        } else {
            put_bytes(b, bytes, 2 * (size_t)size[kind]);
        }
    }
    put_tensor2(b, "blk.0.w", 6, 4, 0, 0);
    put_tensor2(b, "blk.1.w", 64, 2, 8, 96);
    put_tensor(b, "bytes", 1, (const uint64_t[]){5}, 24, 256);
    put_tensor(b, "future", 0, NULL, 99, 288);
    put_data(b, 32, BUILD_ALL_DATA);
}

#endif
