/* gguf.h - reading and writing GGUF v2 and v3 files.
 *
 *   struct gguf *g;
 *   if (gguf_open(&g, "m.gguf", &diag)) ...
 *   const struct gguf_tensor *t = gguf_tensor_find(g, "blk.0.attn_q.weight");
 *   gguf_close(g);
 *
 * The file is memory-mapped read-only; nothing is copied but the index. Each count, length, offset, type and alignment
 * is checked against the file size before it is used, so a hostile file gives an error and never a bad access. (A file
 * that another program shortens while it is open raises SIGBUS, as any mapping does; replacing it by rename is safe.)
 */
#ifndef MODELS_GGUF_H
#define MODELS_GGUF_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"

enum gguf_kind {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

struct gguf_str {
    const char *data; /* in the mapping, not 0-terminated, any bytes */
    uint64_t len;
};

/* One metadata pair. value.u: unsigned kinds and BOOL (0 or 1); value.i: signed kinds; value.f: F32 and F64; value.str:
 * STRING. ARRAY: item_kind, count, items; arrays do not nest. */
struct gguf_kv {
    struct gguf_str key; /* not empty; unique in the file */
    enum gguf_kind kind, item_kind;
    union {
        uint64_t u;
        int64_t i;
        double f;
        struct gguf_str str;
    } value;
    uint64_t count;
    const uint8_t *items; /* the array's data (any other kind: the value) as it lies in the file, unaligned; strings are
                             8-byte length + bytes each */
    size_t item_bytes; /* length of all of it */
};

enum { GGUF_MAX_DIMS = 4 };

struct gguf_tensor {
    struct gguf_str name; /* not empty; unique in the file */
    int n_dims; /* 0 (one element) to 4 */
    int64_t ne[GGUF_MAX_DIMS]; /* ne[0] fastest: columns; ne[1] rows; unused ones are 1; all > 0, product fits */
    int type; /* ggml type number >= 0, known or not */
    uint64_t offset; /* of the data, from gguf.data_offset; a multiple of gguf.alignment */
    const uint8_t *data; /* in the mapping, [data, data+bytes) inside it; NULL if no row of tensor_type.h has this type
                            and it is not a plain I8, I16, I32, I64 or F64: nothing here can read it */
    size_t bytes; /* 0 if gguf_type_name does not know the type */
};

struct gguf {
    char *path;
    int version;
    size_t file_bytes, data_offset, alignment; /* data_offset <= file_bytes */
    const uint8_t *map;
    uint64_t n_kv, n_tensors;
    struct gguf_kv *kv; /* in file order, as are the tensors */
    struct gguf_tensor *tensors;
    const struct gguf_kv **kv_by_key; /* sorted, for lookups */
    const struct gguf_tensor **tensor_by_name;
    int is_mapped; /* gguf_close unmaps it, and closes the file */
    int fd; /* of the file, where it is mapped: to read long stretches without mapping pages in */
};

/* Maps and checks a file. On failure *out is NULL and d names file, place and remedy. Local. */
int gguf_open(struct gguf **out, const char *path, struct diag *d);
/* The same over bytes in memory (not owned; must outlive the result; tensors are aligned as far as bytes is): fuzzing,
 * tests, broadcast headers. */
int gguf_open_memory(struct gguf **out, const void *bytes, size_t n, const char *name, struct diag *d);
void gguf_close(struct gguf *g); /* NULL accepted */
/* A number that tells files apart without reading them whole: of the header, and of the first bytes of each tensor. */
uint64_t gguf_fingerprint(const struct gguf *g);

/* Binary search; NULL if absent. */
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name);

/* Typed reads with a default: any integer kind serves *_int, any number *_float (finite ones), BOOL or an integer 0 or
 * 1
 * *_bool. 0, or ERR_FORMAT if the key exists with an unfit kind or value; *out is the default then, too. */
int gguf_get_int(const struct gguf *g, const char *key, int64_t def, int64_t *out, struct diag *d);
int gguf_get_float(const struct gguf *g, const char *key, double def, double *out, struct diag *d);
int gguf_get_bool(const struct gguf *g, const char *key, int def, int *out, struct diag *d);
/* *out is empty (len 0) if absent. */
int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct diag *d);
/* Item i of an array: as integer (integer kinds and BOOL; U64 saturates at INT64_MAX) or as float (any number); 0
 * beyond the end and for other kinds. */
int64_t gguf_item_int(const struct gguf_kv *kv, uint64_t i);
double gguf_item_float(const struct gguf_kv *kv, uint64_t i);
/* All strings of a string array as a malloc'ed table of count entries (caller frees); NULL without memory, or if kv is
 * no string array. */
struct gguf_str *gguf_strings(const struct gguf_kv *kv);

/* "Q4_K", "u32": static text; "unknown" for a number that has no name here. */
const char *gguf_type_name(int ggml_type);
const char *gguf_kind_name(enum gguf_kind kind);

/* Prints version, sizes, metadata, tensors and totals per type for a person to read. all == 0 cuts long arrays and
 * texts and folds tensors that repeat in layers: "blk.{0-31}.attn_q.weight"; all != 0 shows each item and each tensor.
 * Bytes that a terminal would obey come out as \xNN. Returns 0, or ERR_MEMORY or ERR_IO. */
int gguf_print(const struct gguf *g, FILE *out, int all, struct diag *d);

/* Writing: metadata first, then the list of tensors, then their data in the same order. The file appears under its
 * name only in gguf_writer_close (written to a temporary name beside it, then renamed; an existing file keeps its mode
 * and a symbolic link its target). The first error of any call is kept and returned by gguf_writer_data and _close.
 * general.alignment, written as any other pair, sets the alignment. */
struct gguf_writer;
int gguf_writer_open(struct gguf_writer **out, const char *path, struct diag *d);
void gguf_writer_int(struct gguf_writer *w, const char *key, enum gguf_kind kind, int64_t value); /* U64: by bits */
void gguf_writer_float(struct gguf_writer *w, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, int value);
void gguf_writer_str(struct gguf_writer *w, const char *key, const char *data, size_t len);
/* Copies a pair, array or not, as it stands in another file. */
void gguf_writer_copy(struct gguf_writer *w, const struct gguf_kv *kv);
/* An array of count items laid out as in the file (gguf_kv.items). */
void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_kind item_kind, uint64_t count,
                       const void *items, size_t item_bytes);
void gguf_writer_tensor(struct gguf_writer *w, const char *name, int n_dims, const int64_t *ne, int ggml_type,
                        size_t bytes);
/* Appends data of the next tensor(s); the writer pads between tensors. The first call lays out the file, checks it by
 * the rules of gguf_open, and reserves its space on disk. */
int gguf_writer_data(struct gguf_writer *w, const void *data, size_t bytes, struct diag *d);
/* commit != 0: checks that all data came, syncs and renames; 0: removes the temporary file and returns 0. Frees w (NULL
 * accepted) either way; on any error no file is left and the earlier file of that name is untouched. A process limit on
 * file size (RLIMIT_FSIZE) is reported as an error only where SIGXFSZ is ignored or blocked. */
int gguf_writer_close(struct gguf_writer *w, int commit, struct diag *d);

#endif
