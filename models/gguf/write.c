/* The header is collected in memory, so that counts and offsets are known when the first tensor data comes; then it is
 * checked by the reader itself, and the file is filled in one pass. */
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

struct bytes {
    uint8_t *data;
    size_t n, cap;
};

struct gguf_writer {
    char *path, *temp; /* target with links resolved; temporary name beside it */
    int nameless; /* the file has no name yet: whatever ends the program leaves nothing behind */
    FILE *file;
    struct diag why; /* first error */
    struct bytes pairs, infos, sizes; /* sizes: one uint64_t of data bytes a tensor */
    uint64_t n_kv, n_tensors, alignment, data_bytes; /* data_bytes: laid out so far, padding included */
    int laid_out; /* the header is in the file */
    uint64_t tensor, tensor_done; /* tensor that data goes to, and how much of it came */
};

/* ---- the header in memory ---- */

static void put(struct gguf_writer *w, struct bytes *b, const void *data, size_t n) {
    if (w->why.code) return;
    if (b->cap - b->n < n) {
        size_t cap = (b->cap + n) * 2;
        uint8_t *bigger = cap < n ? NULL : realloc(b->data, cap);
        if (!bigger) {
            diag_set(&w->why, ERR_MEMORY, "%s: no memory for its header", w->path);
            return;
        }
        b->data = bigger;
        b->cap = cap;
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_u32(struct gguf_writer *w, struct bytes *b, uint32_t v) {
    put(w, b, &v, sizeof v);
}

static void put_u64(struct gguf_writer *w, struct bytes *b, uint64_t v) {
    put(w, b, &v, sizeof v);
}

static void put_str(struct gguf_writer *w, struct bytes *b, const char *data, size_t len) {
    put_u64(w, b, len);
    put(w, b, data, len);
}

/* Metadata comes before the first tensor: offsets depend on the alignment, which is metadata. */
static void put_key(struct gguf_writer *w, struct gguf_str key, enum gguf_kind kind) {
    if (w->n_tensors)
        diag_set(&w->why, ERR_INTERNAL, "%s: metadata '%.*s' written after a tensor", w->path, GGUF_TEXT(key));
    put_str(w, &w->pairs, key.data, key.len);
    put_u32(w, &w->pairs, (uint32_t)kind);
    w->n_kv++;
}

/* A value that is no alignment is left for the reader's rules to refuse. */
static void note_alignment(struct gguf_writer *w, const struct gguf_kv *kv) {
    static const char name[] = "general.alignment";
    if (kv->key.len != sizeof name - 1 || memcmp(kv->key.data, name, kv->key.len)) return;
    int64_t v = gguf_load_int(kv->kind, kv->items);
    if (v >= GGUF_MIN_ALIGNMENT && v <= UINT32_MAX && !(v & (v - 1))) w->alignment = (uint64_t)v;
}

void gguf_writer_copy(struct gguf_writer *w, const struct gguf_kv *kv) {
    put_key(w, kv->key, kv->kind);
    if (kv->kind == GGUF_ARRAY) {
        put_u32(w, &w->pairs, (uint32_t)kv->item_kind);
        put_u64(w, &w->pairs, kv->count);
    }
    put(w, &w->pairs, kv->items, kv->item_bytes);
    note_alignment(w, kv);
}

static void put_scalar(struct gguf_writer *w, const char *key, enum gguf_kind kind, const void *value) {
    struct gguf_kv kv = {.key = {key, strlen(key)}, .kind = kind, .items = value, .item_bytes = gguf_kind_bytes(kind)};
    gguf_writer_copy(w, &kv);
}

void gguf_writer_int(struct gguf_writer *w, const char *key, enum gguf_kind kind, int64_t value) {
    if (!gguf_kind_bytes(kind) || kind == GGUF_F32 || kind == GGUF_F64)
        diag_set(&w->why, ERR_INTERNAL, "%s: '%.64s' is an integer, not of kind '%s'", w->path, key,
                 gguf_kind_name(kind));
    else if (kind != GGUF_U64 && gguf_load_int(kind, (const uint8_t *)&value) != value)
        diag_set(&w->why, ERR_RANGE, "%s: %lld of '%.64s' does not fit kind '%s'", w->path, (long long)value, key,
                 gguf_kind_name(kind));
    put_scalar(w, key, kind, &value);
}

void gguf_writer_float(struct gguf_writer *w, const char *key, float value) {
    put_scalar(w, key, GGUF_F32, &value);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, int value) {
    uint8_t v = value != 0;
    put_scalar(w, key, GGUF_BOOL, &v);
}

void gguf_writer_str(struct gguf_writer *w, const char *key, const char *data, size_t len) {
    put_key(w, (struct gguf_str){key, strlen(key)}, GGUF_STRING);
    put_str(w, &w->pairs, data, len);
}

void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_kind item_kind, uint64_t count,
                       const void *items, size_t item_bytes) {
    struct gguf_kv kv = {.key = {key, strlen(key)},
                         .kind = GGUF_ARRAY,
                         .item_kind = item_kind,
                         .count = count,
                         .items = items,
                         .item_bytes = item_bytes};
    gguf_writer_copy(w, &kv);
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, int n_dims, const int64_t *ne, int ggml_type,
                        size_t bytes) {
    if (w->laid_out) diag_set(&w->why, ERR_INTERNAL, "%s: tensor '%.64s' listed after data was written", w->path, name);
    put_str(w, &w->infos, name, strlen(name));
    put_u32(w, &w->infos, (uint32_t)n_dims);
    for (int i = 0; i < n_dims; i++)
        put_u64(w, &w->infos, (uint64_t)ne[i]);
    put_u32(w, &w->infos, (uint32_t)ggml_type);
    put_u64(w, &w->infos, w->data_bytes);
    put_u64(w, &w->sizes, bytes);
    if (!bytes || bytes > SIZE_MAX / 4 || w->data_bytes > SIZE_MAX / 4) {
        diag_set(&w->why, ERR_RANGE, "%s: tensor '%.64s' cannot have %zu bytes", w->path, name, bytes);
        return;
    }
    w->data_bytes = gguf_align(w->data_bytes + bytes, w->alignment);
    w->n_tensors++;
}

static uint64_t size_of(const struct gguf_writer *w, uint64_t tensor) {
    return gguf_load_u64(w->sizes.data + tensor * sizeof(uint64_t));
}

/* ---- the file ---- */

static int io_failed(struct gguf_writer *w, const char *what) {
    int error = errno;
    return diag_set(&w->why, ERR_IO, "%s: cannot %s: %s%s", w->path, what, strerror(error),
                    error == ENOSPC || error == EDQUOT ? "; free some space or choose another folder"
                    : error == EFBIG                   ? "; raise the limit on file size (ulimit -f)"
                                                       : "");
}

static int write_bytes(struct gguf_writer *w, const void *data, size_t n) {
    if (n && fwrite(data, 1, n, w->file) != n) return io_failed(w, "write");
    return 0;
}

static int write_zeros(struct gguf_writer *w, uint64_t n) {
    static const uint8_t zero[4096];
    int rc = 0;
    for (; !rc && n > sizeof zero; n -= sizeof zero)
        rc = write_bytes(w, zero, sizeof zero);
    return rc ? rc : write_bytes(w, zero, (size_t)n);
}

/* The reader must accept what is about to be written, with each tensor of the size that the caller gave. */
static int check_header(struct gguf_writer *w, const struct bytes *header, size_t file_bytes) {
    struct gguf *g = calloc(1, sizeof *g);
    struct diag d = {0};
    if (!g || !(g->path = strdup(w->path))) {
        free(g);
        return diag_set(&w->why, ERR_MEMORY, "%s: no memory to check its header", w->path);
    }
    int rc = gguf_parse(g, header->data, header->n, file_bytes, &d);
    if (rc == ERR_MEMORY)
        w->why = d;
    else if (rc)
        diag_set(&w->why, ERR_INTERNAL, "refused to write a malformed file: %s", d.text);
    for (uint64_t i = 0; !w->why.code && i < w->n_tensors; i++)
        if (g->tensors[i].bytes && g->tensors[i].bytes != size_of(w, i))
            diag_set(&w->why, ERR_INTERNAL, "%s: tensor '%.*s' takes %zu bytes but was listed with %llu", w->path,
                     GGUF_TEXT(g->tensors[i].name), g->tensors[i].bytes, (unsigned long long)size_of(w, i));
    gguf_close(g);
    return w->why.code;
}

/* Claims the whole space now rather than failing after an hour; file systems that cannot are let be. */
static int reserve(struct gguf_writer *w, size_t file_bytes) {
    if (!fallocate(fileno(w->file), 0, 0, (off_t)file_bytes)) return 0;
    return errno == ENOSPC || errno == EFBIG || errno == EDQUOT ? io_failed(w, "reserve its space") : 0;
}

/* Writes header and padding, up to where the data begins. */
static int lay_out(struct gguf_writer *w) {
    struct bytes h = {0};
    put(w, &h, "GGUF", 4);
    put_u32(w, &h, 3);
    put_u64(w, &h, w->n_tensors);
    put_u64(w, &h, w->n_kv);
    put(w, &h, w->pairs.data, w->pairs.n);
    put(w, &h, w->infos.data, w->infos.n);
    uint64_t start = gguf_align(h.n, w->alignment);
    size_t file_bytes = (size_t)(start + w->data_bytes);
    int rc = w->why.code;
    if (!rc) rc = check_header(w, &h, file_bytes);
    if (!rc) rc = reserve(w, file_bytes);
    if (!rc) rc = write_bytes(w, h.data, h.n);
    if (!rc) rc = write_zeros(w, start - h.n);
    free(h.data);
    w->laid_out = 1;
    return rc;
}

/* Bytes of the current tensor, and the padding once it is full. */
static int write_some(struct gguf_writer *w, const uint8_t **data, size_t *bytes) {
    if (w->tensor == w->n_tensors)
        return diag_set(&w->why, ERR_INTERNAL, "%s: %zu bytes of data beyond its last tensor", w->path, *bytes);
    uint64_t size = size_of(w, w->tensor), left = size - w->tensor_done;
    size_t n = *bytes < left ? *bytes : (size_t)left;
    int rc = write_bytes(w, *data, n);
    *data += n;
    *bytes -= n;
    w->tensor_done += n;
    if (rc || w->tensor_done < size) return rc;
    w->tensor++;
    w->tensor_done = 0;
    return write_zeros(w, gguf_align(size, w->alignment) - size);
}

int gguf_writer_data(struct gguf_writer *w, const void *data, size_t bytes, struct diag *d) {
    const uint8_t *p = data;
    int rc = w->why.code;
    if (!rc && !w->laid_out) rc = lay_out(w);
    while (!rc && bytes)
        rc = write_some(w, &p, &bytes);
    return rc ? diag_set(d, w->why.code, "%s", w->why.text) : 0;
}

/* ---- opening and closing ---- */

static int cannot_write(const char *path, int error, struct diag *d) {
    return diag_set(d, error == ENOMEM ? ERR_MEMORY : ERR_IO, "%s: cannot write: %s%s", path, strerror(error),
                    error == ENOENT ? "; is its folder there?" : "");
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

/* A file without a name in the target's folder, where the file system has such; it gets one when it is complete. */
static int open_nameless(const struct gguf_writer *w, mode_t mode) {
    char *folder = access("/proc/self/fd", X_OK) ? NULL : folder_of(w->path);
    int fd = folder ? open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, mode) : -1;
    free(folder);
    return fd;
}

/* Finds a name beside the target that nobody else has: for a new file, or for the nameless one fd. Returns the new
 * file's descriptor or fd, -1 with errno set on failure. */
static int take_name(struct gguf_writer *w, size_t cap, int fd, mode_t mode) {
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    for (int i = 0; i < 1000; i++) {
        snprintf(w->temp, cap, "%s.%ld-%d.tmp", w->path, (long)getpid(), i);
        int got = fd < 0 ? open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
                         : linkat(AT_FDCWD, self, AT_FDCWD, w->temp, AT_SYMLINK_FOLLOW);
        if (got >= 0) return fd < 0 ? got : fd;
        if (errno != EEXIST) break;
    }
    return -1;
}

static size_t temp_cap(const struct gguf_writer *w) {
    return strlen(w->path) + 48;
}

/* Creates a file beside the target. */
static int open_temp(struct gguf_writer *w, mode_t mode, struct diag *d) {
    w->temp = malloc(temp_cap(w));
    if (!w->temp) return cannot_write(w->path, ENOMEM, d);
    int fd = open_nameless(w, mode);
    w->nameless = fd >= 0;
    if (fd < 0) fd = take_name(w, temp_cap(w), -1, mode);
    if (fd >= 0 && (w->file = fdopen(fd, "wb"))) return 0;
    int rc = cannot_write(w->path, errno, d);
    if (fd >= 0) {
        close(fd);
        if (!w->nameless) unlink(w->temp);
    }
    return rc;
}

static void free_writer(struct gguf_writer *w) {
    free(w->path);
    free(w->temp);
    free(w->pairs.data);
    free(w->infos.data);
    free(w->sizes.data);
    free(w);
}

int gguf_writer_open(struct gguf_writer **out, const char *path, struct diag *d) {
    mode_t mode;
    *out = NULL;
    struct gguf_writer *w = calloc(1, sizeof *w);
    if (!w) return cannot_write(path, ENOMEM, d);
    w->alignment = GGUF_DEFAULT_ALIGNMENT;
    int rc = text_target(path, &w->path, &mode, d);
    if (!rc) rc = open_temp(w, mode, d);
    if (rc) {
        free_writer(w);
        return rc;
    }
    *out = w;
    return 0;
}

/* Makes the rename itself durable. Some file systems cannot sync a folder: then it is as durable as they make it. */
static void sync_folder(const char *path) {
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(folder);
}

static int finish(struct gguf_writer *w) {
    int rc = w->why.code;
    if (!rc && !w->laid_out) rc = lay_out(w);
    if (!rc && w->tensor < w->n_tensors)
        rc = diag_set(&w->why, ERR_INTERNAL, "%s: data of %llu of its %llu tensors did not come", w->path,
                      (unsigned long long)(w->n_tensors - w->tensor), (unsigned long long)w->n_tensors);
    if (!rc && (fflush(w->file) || fsync(fileno(w->file)))) rc = io_failed(w, "write");
    if (!rc && w->nameless) {
        if (take_name(w, temp_cap(w), fileno(w->file), 0) < 0) return io_failed(w, "name it");
        w->nameless = 0;
    }
    return rc;
}

int gguf_writer_close(struct gguf_writer *w, int commit, struct diag *d) {
    if (!w) return 0;
    int rc = commit ? finish(w) : 0;
    if (fclose(w->file) && commit && !rc) rc = io_failed(w, "write");
    if (commit && !rc && rename(w->temp, w->path)) rc = io_failed(w, "rename to its name");
    if (commit && !rc)
        sync_folder(w->path);
    else if (!w->nameless)
        unlink(w->temp);
    if (rc) rc = diag_set(d, w->why.code, "%s", w->why.text);
    free_writer(w);
    return rc;
}
