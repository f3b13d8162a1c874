/* A file is, all little-endian:
 *
 *   "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | tensor infos | padding to the alignment | tensor data
 *   pair:  string key | u32 kind | value         string: u64 length, bytes      array: u32 item kind, u64 count, items
 *   info:  string name | u32 n_dims | u64 ne[n_dims] | u32 type | u64 offset in the tensor data
 *
 * Versions 2 and 3 differ only in that 3 may be big-endian, which shows in the version number itself. Lookup tables are
 * sorted, not hashed: a hostile file cannot make them slow. */
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/tensor_type.h"

struct cursor {
    const uint8_t *bytes;
    size_t n, at; /* at <= n */
    const char *path;
    struct diag *d;
};

/* ---- primitives: each checks against the bytes left before it reads ---- */

/* The next bytes, or NULL with ERR_FORMAT in d where that many are not left. */
static const uint8_t *take(struct cursor *c, uint64_t want, const char *what) {
    const uint8_t *p = c->bytes + c->at;
    size_t left = c->n - c->at;
    if (want > left) {
        diag_set(c->d, ERR_FORMAT,
                 "%s: byte %zu: %s takes %llu bytes but only %zu are left (%llu missing): the file is cut off "
                 "(incomplete download?) or damaged; fetch it again",
                 c->path, c->at, what, (unsigned long long)want, left, (unsigned long long)(want - left));
        return NULL;
    }
    c->at += (size_t)want;
    return p;
}

static int take_u32(struct cursor *c, const char *what, uint32_t *v) {
    const uint8_t *p = take(c, sizeof *v, what);
    *v = 0;
    if (!p) return ERR_FORMAT;
    memcpy(v, p, sizeof *v);
    return 0;
}

static int take_u64(struct cursor *c, const char *what, uint64_t *v) {
    const uint8_t *p = take(c, sizeof *v, what);
    *v = p ? gguf_load_u64(p) : 0;
    return p ? 0 : ERR_FORMAT;
}

static int take_str(struct cursor *c, const char *what, struct gguf_str *s) {
    int rc = take_u64(c, what, &s->len);
    if (rc) return rc;
    s->data = (const char *)take(c, s->len, what);
    return s->data ? 0 : ERR_FORMAT;
}

/* A key or tensor name: a string of 1 to GGUF_MAX_NAME bytes. */
static int take_name(struct cursor *c, const char *what, struct gguf_str *s) {
    size_t start = c->at;
    int rc = take_str(c, what, s);
    if (rc) return rc;
    if (s->len < 1 || s->len > GGUF_MAX_NAME)
        return diag_set(c->d, ERR_FORMAT, "%s: byte %zu: %s of %llu bytes (1 to %d allowed): the file is damaged",
                        c->path, start, what, (unsigned long long)s->len, GGUF_MAX_NAME);
    return 0;
}

static int check_count(struct cursor *c, const char *what, uint64_t count, size_t min_bytes) {
    size_t left = c->n - c->at;
    if (count <= left / min_bytes && count <= INT32_MAX) return 0;
    return diag_set(c->d, ERR_FORMAT,
                    "%s: byte %zu: %llu %s claimed, more than the %zu bytes left can hold: the file is cut off "
                    "(incomplete download?) or damaged; fetch it again",
                    c->path, c->at, (unsigned long long)count, what, left);
}

/* ---- header ---- */

/* What people hand over in place of a model, by its first bytes. */
static const char *foreign_hint(const uint8_t *p, size_t n) {
    static const struct {
        const char *magic, *hint;
    } row[] = {
        {"version https://git-lfs", "this is a Git LFS pointer; fetch the file itself (git lfs pull)"},
        {"<!", "this is a web page; check the download address"},
        {"<html", "this is a web page; check the download address"},
        {"PK\003\004", "this is a zip archive (a PyTorch checkpoint?); convert it to GGUF first"},
        {"\037\213", "this is gzip-compressed; unpack it first"},
        {"\x28\xb5\x2f\xfd", "this is zstd-compressed; unpack it first"},
        {"tjgg", "this is the older GGML format; convert the model to GGUF again"},
        {"fmgg", "this is the older GGML format; convert the model to GGUF again"},
        {"lmgg", "this is the older GGML format; convert the model to GGUF again"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (n >= strlen(row[i].magic) && !memcmp(p, row[i].magic, strlen(row[i].magic))) return row[i].hint;
    return "give a model in GGUF format";
}

static int check_magic(struct cursor *c) {
    size_t n = c->n < 4 ? c->n : 4;
    if (!c->n) return diag_set(c->d, ERR_FORMAT, "%s: the file is empty; fetch it again", c->path);
    if (memcmp(c->bytes, "GGUF", n))
        return diag_set(c->d, ERR_FORMAT, "%s: not a GGUF file (it does not begin with \"GGUF\"): %s", c->path,
                        foreign_hint(c->bytes, c->n));
    return take(c, 4, "the magic") ? 0 : ERR_FORMAT;
}

static int check_version(struct cursor *c, struct gguf *g) {
    uint32_t v;
    int rc = take_u32(c, "the version", &v);
    if (rc) return rc;
    g->version = (int)v;
    if (v == 2 || v == 3) return 0;
    uint32_t swapped = __builtin_bswap32(v);
    if (swapped >= 1 && swapped <= 0xffff)
        return diag_set(c->d, ERR_UNSUPPORTED,
                        "%s: a big-endian GGUF file (version %u); only little-endian ones are read: convert it "
                        "(gguf_convert_endian of gguf-py) or fetch the little-endian one",
                        c->path, swapped);
    if (v == 1)
        return diag_set(c->d, ERR_UNSUPPORTED, "%s: GGUF version 1 is too old: convert the model to GGUF again",
                        c->path);
    return diag_set(c->d, ERR_UNSUPPORTED, "%s: GGUF version %u is not known (2 and 3 are); convert the model to 3",
                    c->path, v);
}

/* ---- metadata ---- */

static int check_bools(struct cursor *c, const struct gguf_kv *kv, const uint8_t *p, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return diag_set(c->d, ERR_FORMAT, "%s: key '%.*s': a bool holds %d, not 0 or 1: the file is damaged",
                            c->path, GGUF_TEXT(kv->key), p[i]);
    return 0;
}

static int take_scalar(struct cursor *c, struct gguf_kv *kv) {
    const uint8_t *p = take(c, gguf_kind_bytes(kv->kind), "a metadata value");
    if (!p) return ERR_FORMAT;
    switch (kv->kind) {
    case GGUF_F32:
    case GGUF_F64: kv->value.f = gguf_load_float(kv->kind, p); return 0;
    case GGUF_U64: kv->value.u = gguf_load_u64(p); return 0;
    case GGUF_BOOL: kv->value.u = *p; return check_bools(c, kv, p, 1);
    default: kv->value.i = gguf_load_int(kv->kind, p); return 0;
    }
}

/* Walks over the items of a string array. */
static int take_strings(struct cursor *c, uint64_t count) {
    struct gguf_str s;
    int rc = check_count(c, "array strings", count, sizeof(uint64_t));
    for (uint64_t i = 0; !rc && i < count; i++)
        rc = take_str(c, "a string of an array", &s);
    return rc;
}

static int take_array(struct cursor *c, struct gguf_kv *kv) {
    uint32_t kind;
    int rc = take_u32(c, "an array's item kind", &kind);
    if (rc || (rc = take_u64(c, "an array's length", &kv->count))) return rc;
    if (kind == GGUF_ARRAY)
        return diag_set(c->d, ERR_UNSUPPORTED, "%s: key '%.*s': an array of arrays is not supported", c->path,
                        GGUF_TEXT(kv->key));
    kv->item_kind = (enum gguf_kind)kind;
    kv->items = c->bytes + c->at;
    size_t item = gguf_kind_bytes(kv->item_kind);
    if (kind == GGUF_STRING) {
        rc = take_strings(c, kv->count);
    } else if (!item) {
        return diag_set(c->d, ERR_FORMAT, "%s: key '%.*s': array items of unknown kind %u: the file is damaged",
                        c->path, GGUF_TEXT(kv->key), kind);
    } else if (!(rc = check_count(c, "array items", kv->count, item))) {
        c->at += kv->count * item;
    }
    return rc || kind != GGUF_BOOL ? rc : check_bools(c, kv, kv->items, kv->count);
}

static int take_pair(struct cursor *c, struct gguf_kv *kv) {
    uint32_t kind;
    int rc = take_name(c, "a metadata key", &kv->key);
    if (rc || (rc = take_u32(c, "a metadata kind", &kind))) return rc;
    kv->kind = kv->item_kind = (enum gguf_kind)kind;
    kv->items = c->bytes + c->at;
    if (kind == GGUF_STRING)
        rc = take_str(c, "a metadata text", &kv->value.str);
    else if (kind == GGUF_ARRAY)
        rc = take_array(c, kv);
    else if (gguf_kind_bytes(kv->kind))
        rc = take_scalar(c, kv);
    else
        rc = diag_set(c->d, ERR_FORMAT, "%s: key '%.*s': value of unknown kind %u: the file is damaged", c->path,
                      GGUF_TEXT(kv->key), kind);
    kv->item_bytes = (size_t)(c->bytes + c->at - kv->items);
    return rc;
}

static int no_memory(struct cursor *c, uint64_t count, const char *what) {
    return diag_set(c->d, ERR_MEMORY, "%s: no memory to index its %llu %s", c->path, (unsigned long long)count, what);
}

static int index_pairs(struct cursor *c, struct gguf *g) {
    g->kv_by_key = calloc(g->n_kv + 1, sizeof *g->kv_by_key);
    if (!g->kv_by_key) return no_memory(c, g->n_kv, "metadata pairs");
    for (uint64_t i = 0; i < g->n_kv; i++)
        g->kv_by_key[i] = &g->kv[i];
    qsort(g->kv_by_key, g->n_kv, sizeof *g->kv_by_key, gguf_compare_kv);
    for (uint64_t i = 1; i < g->n_kv; i++)
        if (!gguf_compare_kv(&g->kv_by_key[i - 1], &g->kv_by_key[i]))
            return diag_set(c->d, ERR_FORMAT, "%s: key '%.*s' occurs twice: the file is damaged", c->path,
                            GGUF_TEXT(g->kv_by_key[i]->key));
    return 0;
}

static int take_pairs(struct cursor *c, struct gguf *g) {
    g->kv = calloc(g->n_kv + 1, sizeof *g->kv);
    if (!g->kv) return no_memory(c, g->n_kv, "metadata pairs");
    for (uint64_t i = 0; i < g->n_kv; i++) {
        int rc = take_pair(c, &g->kv[i]);
        if (rc) return rc;
    }
    return index_pairs(c, g);
}

static int read_alignment(struct cursor *c, struct gguf *g) {
    int64_t a;
    int rc = gguf_get_int(g, "general.alignment", GGUF_DEFAULT_ALIGNMENT, &a, c->d);
    if (rc) return rc;
    if (a < GGUF_MIN_ALIGNMENT || a > UINT32_MAX || (a & (a - 1)))
        return diag_set(c->d, ERR_FORMAT,
                        "%s: general.alignment is %lld, not a power of two from %d: the file is damaged", c->path,
                        (long long)a, GGUF_MIN_ALIGNMENT);
    g->alignment = (size_t)a;
    return 0;
}

/* ---- tensors ---- */

static int take_dims(struct cursor *c, struct gguf_tensor *t) {
    uint32_t n;
    int rc = take_u32(c, "a tensor's number of dimensions", &n);
    if (rc) return rc;
    if (n > GGUF_MAX_DIMS)
        return diag_set(c->d, ERR_FORMAT, "%s: tensor '%.*s' has %u dimensions (at most %d): the file is damaged",
                        c->path, GGUF_TEXT(t->name), n, GGUF_MAX_DIMS);
    t->n_dims = (int)n;
    for (int i = 0; i < GGUF_MAX_DIMS; i++)
        t->ne[i] = 1;
    int64_t product = 1;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v;
        if ((rc = take_u64(c, "a tensor's dimension", &v))) return rc;
        if (!v || v > INT64_MAX || __builtin_mul_overflow(product, (int64_t)v, &product))
            return diag_set(c->d, ERR_FORMAT, "%s: tensor '%.*s': dimension %u is %llu%s: the file is damaged", c->path,
                            GGUF_TEXT(t->name), i, (unsigned long long)v, v ? ", too large" : "");
        t->ne[i] = (int64_t)v;
    }
    return 0;
}

static int measure(struct cursor *c, struct gguf_tensor *t) {
    const struct gguf_storage *s = gguf_storage(t->type);
    if (!s) return 0;
    int64_t bytes = gguf_storage_bytes(s, t->ne);
    if (bytes < 0)
        return diag_set(c->d, ERR_FORMAT, "%s: tensor '%.*s': rows of %lld columns %s: the file is damaged", c->path,
                        GGUF_TEXT(t->name), (long long)t->ne[0],
                        t->ne[0] % s->block ? "are not whole blocks of its type" : "are too large");
    t->bytes = (size_t)bytes;
    return 0;
}

static int take_tensor(struct cursor *c, struct gguf *g, struct gguf_tensor *t) {
    uint32_t type;
    int rc = take_name(c, "a tensor's name", &t->name);
    if (rc || (rc = take_dims(c, t))) return rc;
    if ((rc = take_u32(c, "a tensor's type", &type)) || (rc = take_u64(c, "a tensor's offset", &t->offset))) return rc;
    if (type > INT32_MAX)
        return diag_set(c->d, ERR_FORMAT, "%s: tensor '%.*s': type number %u is out of range: the file is damaged",
                        c->path, GGUF_TEXT(t->name), type);
    t->type = (int)type;
    if (t->offset % g->alignment)
        return diag_set(c->d, ERR_FORMAT,
                        "%s: tensor '%.*s': offset %llu is not a multiple of the alignment %zu: the file is damaged",
                        c->path, GGUF_TEXT(t->name), (unsigned long long)t->offset, g->alignment);
    return measure(c, t);
}

static int compare_offset(const void *a, const void *b) {
    const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a, *y = *(const struct gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Bytes that a tensor surely takes: one, where its size is unknown. */
static uint64_t extent(const struct gguf_tensor *t) {
    return t->bytes ? t->bytes : 1;
}

/* Tensors in order of offset must not overlap, and the last must end inside the file. */
static int check_extents(struct cursor *c, struct gguf *g, size_t file_bytes) {
    const struct gguf_tensor **by = g->tensor_by_name; /* sorted by name afterwards */
    qsort(by, g->n_tensors, sizeof *by, compare_offset);
    uint64_t end = 0;
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        if (by[i]->offset < end)
            return diag_set(c->d, ERR_FORMAT, "%s: tensors '%.*s' and '%.*s' overlap: the file is damaged", c->path,
                            GGUF_TEXT(by[i - 1]->name), GGUF_TEXT(by[i]->name));
        if (__builtin_add_overflow(by[i]->offset, extent(by[i]), &end) || end > INT64_MAX)
            return diag_set(c->d, ERR_FORMAT, "%s: tensor '%.*s' ends beyond any file: the file is damaged", c->path,
                            GGUF_TEXT(by[i]->name));
    }
    uint64_t need = g->n_tensors ? g->data_offset + end : 0;
    if (need <= file_bytes) return 0;
    return diag_set(
        c->d, ERR_FORMAT,
        "%s: %llu bytes are missing: its tensors end at byte %llu and the file at byte %zu; the download is "
        "probably incomplete: fetch it again",
        c->path, (unsigned long long)(need - file_bytes), (unsigned long long)need, file_bytes);
}

static int index_tensors(struct cursor *c, struct gguf *g) {
    qsort(g->tensor_by_name, g->n_tensors, sizeof *g->tensor_by_name, gguf_compare_tensor);
    for (uint64_t i = 1; i < g->n_tensors; i++)
        if (!gguf_compare_tensor(&g->tensor_by_name[i - 1], &g->tensor_by_name[i]))
            return diag_set(c->d, ERR_FORMAT, "%s: tensor '%.*s' occurs twice: the file is damaged", c->path,
                            GGUF_TEXT(g->tensor_by_name[i]->name));
    return 0;
}

static int take_tensors(struct cursor *c, struct gguf *g, size_t file_bytes) {
    int rc = check_count(c, "tensors", g->n_tensors, GGUF_MIN_TENSOR_BYTES);
    if (rc) return rc;
    g->tensors = calloc(g->n_tensors + 1, sizeof *g->tensors);
    g->tensor_by_name = calloc(g->n_tensors + 1, sizeof *g->tensor_by_name);
    if (!g->tensors || !g->tensor_by_name) return no_memory(c, g->n_tensors, "tensors");
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        if ((rc = take_tensor(c, g, &g->tensors[i]))) return rc;
        g->tensor_by_name[i] = &g->tensors[i];
    }
    uint64_t start = gguf_align(c->at, g->alignment);
    g->data_offset = !g->n_tensors && start > file_bytes ? file_bytes : (size_t)start; /* header alone: no padding */
    if ((rc = check_extents(c, g, file_bytes))) return rc;
    return index_tensors(c, g);
}

int gguf_parse(struct gguf *g, const uint8_t *bytes, size_t n, size_t file_bytes, struct diag *d) {
    struct cursor c = {bytes, n, 0, g->path, d};
    int rc = check_magic(&c);
    if (rc || (rc = check_version(&c, g))) return rc;
    uint64_t n_tensors, n_kv;
    if ((rc = take_u64(&c, "the number of tensors", &n_tensors)) ||
        (rc = take_u64(&c, "the number of metadata pairs", &n_kv)) ||
        (rc = check_count(&c, "tensors", n_tensors, GGUF_MIN_TENSOR_BYTES)) ||
        (rc = check_count(&c, "metadata pairs", n_kv, GGUF_MIN_PAIR_BYTES)))
        return rc;
    g->n_kv = n_kv;
    if ((rc = take_pairs(&c, g)) || (rc = read_alignment(&c, g))) return rc;
    g->n_tensors = n_tensors;
    return take_tensors(&c, g, file_bytes);
}

/* ---- opening ---- */

static int readable(int type) {
    return tensor_type_by_ggml_id(type) || (type >= 24 && type <= 28); /* I8 I16 I32 I64 F64 */
}

static void place_data(struct gguf *g) {
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        if (t->bytes && readable(t->type)) t->data = g->map + g->data_offset + t->offset;
    }
}

/* fd < 0: bytes of the caller's; else a mapping and its file, which the result owns. */
static int open_bytes(struct gguf **out, const void *bytes, size_t n, int fd, const char *name, struct diag *d) {
    *out = NULL;
    struct gguf *g = calloc(1, sizeof *g);
    char *path = strdup(name);
    if (!g || !path) {
        free(g);
        free(path);
        if (fd >= 0) {
            munmap((void *)bytes, n);
            close(fd);
        }
        return diag_set(d, ERR_MEMORY, "%s: no memory to open it", name);
    }
    *g = (struct gguf){.path = path, .map = bytes, .file_bytes = n, .is_mapped = fd >= 0, .fd = fd};
    int rc = gguf_parse(g, bytes, n, n, d);
    if (rc) {
        gguf_close(g);
        return rc;
    }
    place_data(g);
    *out = g;
    return 0;
}

int gguf_open_memory(struct gguf **out, const void *bytes, size_t n, const char *name, struct diag *d) {
    return open_bytes(out, bytes, n, -1, name, d);
}

static int cannot_open(const char *path, int error, struct diag *d) {
    const char *remedy = error == ENOENT   ? "; check the path"
                         : error == EACCES ? "; check its permissions and those of its folder"
                                           : "";
    return diag_set(d, ERR_IO, "%s: cannot open: %s%s", path, strerror(error), remedy);
}

/* Descriptor and size of a regular file. O_NONBLOCK: opening a FIFO without a writer must not wait. */
static int open_regular(const char *path, int *fd, size_t *n, struct diag *d) {
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return cannot_open(path, errno, d);
    int rc = 0;
    if (fstat(*fd, &st))
        rc = cannot_open(path, errno, d);
    else if (S_ISDIR(st.st_mode))
        rc = diag_set(d, ERR_IO, "%s: is a folder; give the .gguf file in it", path);
    else if (!S_ISREG(st.st_mode))
        rc = diag_set(d, ERR_IO, "%s: is a pipe or device, which cannot be mapped; save it to a file first", path);
    else if (!st.st_size)
        rc = diag_set(d, ERR_FORMAT, "%s: the file is empty; fetch it again", path);
    if (rc)
        close(*fd);
    else
        *n = (size_t)st.st_size;
    return rc;
}

int gguf_open(struct gguf **out, const char *path, struct diag *d) {
    int fd;
    size_t n = 0;
    *out = NULL;
    int rc = open_regular(path, &fd, &n, d);
    if (rc) return rc;
    void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    int error = errno;
    if (map == MAP_FAILED) {
        close(fd);
        return diag_set(d, error == ENOMEM ? ERR_MEMORY : ERR_IO, "%s: cannot map its %zu bytes: %s", path, n,
                        strerror(error));
    }
    return open_bytes(out, map, n, fd, path, d);
}

void gguf_close(struct gguf *g) {
    if (!g) return;
    if (g->is_mapped) {
        munmap((void *)g->map, g->file_bytes);
        close(g->fd);
    }
    free(g->kv);
    free(g->tensors);
    free(g->kv_by_key);
    free(g->tensor_by_name);
    free(g->path);
    free(g);
}
