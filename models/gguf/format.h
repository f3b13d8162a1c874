/* format.h - what reader, writer and printer of GGUF share; private to models/gguf. */
#ifndef MODELS_GGUF_FORMAT_H
#define MODELS_GGUF_FORMAT_H

#include "models/gguf.h"

enum {
    GGUF_DEFAULT_ALIGNMENT = 32,
    GGUF_MIN_ALIGNMENT = 8, /* the format's rule: a multiple of 8, and a power of two */
    GGUF_MAX_NAME = 65535, /* bytes of a key or tensor name */
    GGUF_MIN_PAIR_BYTES = 14, /* 8 length + 1 key + 4 kind + 1 value */
    GGUF_MIN_TENSOR_BYTES = 25, /* 8 length + 1 name + 4 n_dims + 4 type + 8 offset */
};

/* Bytes of one value of a kind; 0 for STRING, ARRAY and unknown kinds. */
size_t gguf_kind_bytes(enum gguf_kind kind);

/* Storage of a ggml type: block columns take block_bytes. NULL if the type or its size is unknown. */
struct gguf_storage {
    int type;
    const char *name;
    int block, block_bytes;
};
const struct gguf_storage *gguf_storage(int type);

/* Bytes of a tensor of that storage; -1 if the product overflows or ne[0] is no multiple of the block. */
int64_t gguf_storage_bytes(const struct gguf_storage *s, const int64_t ne[GGUF_MAX_DIMS]);

/* The integer or float stored at p, unaligned. Kinds that are not of that sort give 0. */
int64_t gguf_load_int(enum gguf_kind kind, const uint8_t *p);
double gguf_load_float(enum gguf_kind kind, const uint8_t *p);

/* Length in front of the string item at p. */
uint64_t gguf_load_u64(const uint8_t *p);

/* v rounded up to a multiple of a, a power of two; UINT64_MAX on overflow. */
uint64_t gguf_align(uint64_t v, uint64_t a);

/* Order of two pointers to pairs by key, or to tensors by name, for qsort and bsearch. */
int gguf_compare_kv(const void *a, const void *b);
int gguf_compare_tensor(const void *a, const void *b);

/* Parses bytes[0, n), the beginning of a file of file_bytes, into g: all but tensor data pointers. g is zeroed but for
 * path; on failure gguf_close frees what was made. */
int gguf_parse(struct gguf *g, const uint8_t *bytes, size_t n, size_t file_bytes, struct diag *d);

/* printf arguments for "%.*s": at most 64 bytes of a text from a file. */
#define GGUF_TEXT(s) (int)((s).len < 64 ? (s).len : 64), (s).data

#endif
