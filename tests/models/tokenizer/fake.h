/* fake.h - small vocabularies as GGUF files in memory, put together pair by pair. */
#ifndef TESTS_TOKENIZER_FAKE_H
#define TESTS_TOKENIZER_FAKE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/tokenizer.h"

struct fake {
    unsigned char *data;
    size_t n, cap;
    uint64_t n_kv;
};

static inline void fake_bytes(struct fake *f, const void *p, size_t n) {
    if (f->n + n > f->cap) f->data = realloc(f->data, f->cap = 2 * (f->n + n) + 256);
    if (n) memcpy(f->data + f->n, p, n);
    f->n += n;
}
static inline void fake_u32(struct fake *f, uint32_t v) {
    fake_bytes(f, &v, 4);
}
static inline void fake_text(struct fake *f, const char *s, size_t len) {
    uint64_t n = len;
    fake_bytes(f, &n, 8);
    fake_bytes(f, s, len);
}
static inline void fake_key(struct fake *f, const char *key, enum gguf_kind kind) {
    if (!f->n) fake_bytes(f, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    f->n_kv++;
    memcpy(f->data + 16, &f->n_kv, 8);
    fake_text(f, key, strlen(key));
    fake_u32(f, kind);
}
static inline void fake_str(struct fake *f, const char *key, const char *value) {
    fake_key(f, key, GGUF_STRING);
    fake_text(f, value, strlen(value));
}
static inline void fake_int(struct fake *f, const char *key, uint32_t value) {
    fake_key(f, key, GGUF_U32);
    fake_u32(f, value);
}
static inline void fake_bool(struct fake *f, const char *key, int value) {
    char c = (char)value;
    fake_key(f, key, GGUF_BOOL);
    fake_bytes(f, &c, 1);
}
static inline void fake_array(struct fake *f, const char *key, enum gguf_kind kind, uint64_t n) {
    fake_key(f, key, GGUF_ARRAY);
    fake_u32(f, kind);
    fake_bytes(f, &n, 8);
}
static inline void fake_strs(struct fake *f, const char *key, const char *const *items, size_t n) {
    fake_array(f, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        fake_text(f, items[i], strlen(items[i]));
}
static inline void fake_ints(struct fake *f, const char *key, const int *items, size_t n) {
    fake_array(f, key, GGUF_I32, n);
    fake_bytes(f, items, 4 * n);
}
static inline void fake_floats(struct fake *f, const char *key, const float *items, size_t n) {
    fake_array(f, key, GGUF_F32, n);
    fake_bytes(f, items, 4 * n);
}
static inline void fake_free(struct fake *f) {
    free(f->data);
    memset(f, 0, sizeof *f);
}

/* The tokenizer of the file, or its error's code; the file's bytes are freed, as a tokenizer needs them no more. */
static inline int fake_tokenizer(struct fake *f, struct tokenizer **t, struct diag *d) {
    struct gguf *g;
    *t = NULL;
    for (int i = 0; i < 64; i++)
        fake_bytes(f, "", 1);
    int rc = gguf_open_memory(&g, f->data, f->n, "fake.gguf", d);
    if (!rc) {
        rc = tokenizer_new(t, g, d);
        gguf_close(g);
    }
    fake_free(f);
    return rc;
}

/* "<0x00>" to "<0xFF>" */
static inline void fake_byte_names(char names[256][8]) {
    for (unsigned i = 0; i < 256; i++)
        snprintf(names[i], 8, "<0x%02X>", i);
}
/* The characters that stand for bytes in byte-level BPE, by the alphabet's definition: bytes that print are kept, the
 * others follow in order from U+0100. */
static inline void fake_byte_chars(char chars[256][8]) {
    unsigned next = 0x100;
    for (unsigned i = 0; i < 256; i++) {
        int prints = (i > 32 && i < 127) || (i > 160 && i != 173);
        unsigned c = prints ? i : next++;
        snprintf(chars[i], 8, c < 128 ? "%c" : "%c%c", c < 128 ? (int)c : (int)(0xc0 | c >> 6), (int)(0x80 | (c & 63)));
    }
}

/* Text of ids as "1 22 3". */
static inline char *ids_text(const int *ids, int n, char *buf, size_t cap) {
    size_t at = 0;
    buf[0] = 0;
    for (int i = 0; i < n && at + 12 < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, i ? " %d" : "%d", ids[i]);
    return buf;
}

/* Encodes and compares with "1 22 3"; got receives what came. */
static inline int encodes_to(const struct tokenizer *t, const char *text, size_t len, int flags, const char *want,
                             char got[256]) {
    int *ids;
    int n = tokenizer_encode(t, text, len, flags, &ids, NULL);
    ids_text(ids, n, got, 256);
    free(ids);
    return n >= 0 && !strcmp(got, want);
}

/* Whether the pieces of a text's tokens, streamed through small buffers, are the text again. */
static inline int round_trips(const struct tokenizer *t, const char *text, size_t len, int flags) {
    int *ids, first = 1, same = 1;
    int n = tokenizer_encode(t, text, len, flags, &ids, NULL);
    char *whole, small[3], enough[64];
    size_t at = 0, whole_len;
    for (int i = 0; same && i < n; i++) {
        int bytes = tokenizer_piece(t, ids[i], first, 1, NULL, 0);
        char *piece = bytes <= 64 ? enough : malloc((size_t)bytes);
        same = bytes == tokenizer_piece(t, ids[i], first, 1, small, 3) &&
               bytes == tokenizer_piece(t, ids[i], first, 1, piece, bytes) && (size_t)bytes <= len - at &&
               !memcmp(piece, text + at, (size_t)bytes) && !memcmp(piece, small, bytes < 3 ? (size_t)bytes : 3);
        at += (size_t)bytes;
        first = tokenizer_is_special(t, ids[i]);
        if (piece != enough) free(piece);
    }
    int rc = tokenizer_decode(t, ids, n, 1, &whole, &whole_len, NULL);
    same = same && n >= 0 && at == len && rc == 0 && whole_len == len && !memcmp(whole, text, len);
    free(whole);
    free(ids);
    return same;
}

#endif
