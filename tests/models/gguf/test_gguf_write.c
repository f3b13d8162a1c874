/* Writing: random files come back as they went in, by the reader; a file appears whole or not at all. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "check.h"
#include "models/gguf.h"

static char dir[] = "gguf-write-XXXXXX";

static const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int files_in_dir(void) {
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* ---- random files ---- */

static const struct {
    int type, block, bytes;
} storage[] = {{0, 1, 4}, {1, 1, 2}, {2, 32, 18}, {8, 32, 34}, {10, 256, 84}, {12, 256, 144}, {24, 1, 1}, {39, 32, 17}};

enum { KINDS = 13, MAX_KV = 40, MAX_TENSORS = 12 };

/* Everything in a file follows from the key, so that it can be written and compared from it. */
struct recipe {
    uint64_t key;
    int n_kv, n_tensors;
    int64_t alignment;
};

static uint64_t pick(const struct recipe *r, uint64_t what, uint64_t below) {
    return rng_u64(r->key, what) % below;
}

static struct recipe recipe_new(uint64_t key) {
    struct recipe r = {.key = key};
    r.n_kv = (int)pick(&r, 1, MAX_KV);
    r.n_tensors = (int)pick(&r, 2, MAX_TENSORS);
    r.alignment = 8 << pick(&r, 3, 6);
    return r;
}

static int kind_size(int kind) {
    static const int size[KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return size[kind];
}

/* Bytes of pair i as they lie in the file: n values of a kind. */
static size_t pair_bytes(const struct recipe *r, int i, int kind, uint64_t n, uint8_t *out) {
    size_t at = 0;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t v = rng_u64(r->key + (uint64_t)i, k), len = v % 20;
        if (kind == GGUF_BOOL) v &= 1;
        if (kind == GGUF_STRING) memcpy(out + at, &len, 8);
        if (kind == GGUF_STRING)
            for (uint64_t c = 0; c < len; c++)
                out[at + 8 + c] = (uint8_t)(v >> (c % 8));
        else
            memcpy(out + at, &v, (size_t)kind_size(kind));
        at += kind == GGUF_STRING ? 8 + len : (size_t)kind_size(kind);
    }
    return at;
}

/* Pair i as a struct; items point into buf. */
static struct gguf_kv pair_of(const struct recipe *r, int i, char *key, uint8_t *buf) {
    int is_array = pick(r, 100 + (uint64_t)i, 3) == 0, kind = (int)pick(r, 200 + (uint64_t)i, KINDS);
    if (kind == GGUF_ARRAY) kind = GGUF_U32;
    struct gguf_kv kv = {.kind = is_array ? GGUF_ARRAY : (enum gguf_kind)kind, .item_kind = (enum gguf_kind)kind};
    kv.count = is_array ? pick(r, 300 + (uint64_t)i, 50) : 0;
    kv.items = buf;
    kv.item_bytes = pair_bytes(r, i, kind, is_array ? kv.count : 1, buf);
    kv.key = (struct gguf_str){key, (uint64_t)sprintf(key, "key.%d.%llu", i, (unsigned long long)pick(r, 400, 1000))};
    return kv;
}

/* Writes a pair by the call that is for it, or as a copy. */
static void write_pair(struct gguf_writer *w, const struct gguf_kv *kv, int as_copy) {
    const char *key = kv->key.data;
    int64_t v = 0;
    float f;
    memcpy(&v, kv->items, kv->item_bytes < 8 ? kv->item_bytes : 8);
    memcpy(&f, &v, sizeof f);
    if (as_copy || kv->kind == GGUF_F64)
        gguf_writer_copy(w, kv);
    else if (kv->kind == GGUF_ARRAY)
        gguf_writer_array(w, key, kv->item_kind, kv->count, kv->items, kv->item_bytes);
    else if (kv->kind == GGUF_STRING)
        gguf_writer_str(w, key, (const char *)kv->items + 8, kv->item_bytes - 8);
    else if (kv->kind == GGUF_F32)
        gguf_writer_float(w, key, f);
    else if (kv->kind == GGUF_BOOL)
        gguf_writer_bool(w, key, (int)v);
    else
        gguf_writer_int(w, key, kv->kind,
                        kv->kind == GGUF_I8    ? (int8_t)v
                        : kv->kind == GGUF_I16 ? (int16_t)v
                        : kv->kind == GGUF_I32 ? (int32_t)v
                                               : v);
}

static struct gguf_tensor tensor_of(const struct recipe *r, int i, char *name) {
    uint64_t id = 1000 + 10 * (uint64_t)i;
    size_t s = pick(r, id, sizeof storage / sizeof *storage);
    struct gguf_tensor t = {.n_dims = (int)pick(r, id + 1, 5), .ne = {1, 1, 1, 1}, .type = storage[s].type};
    if (t.n_dims == 0 && storage[s].block > 1) t.n_dims = 1;
    for (int k = 0; k < t.n_dims; k++)
        t.ne[k] = 1 + (int64_t)pick(r, id + 2 + (uint64_t)k, 5);
    if (t.n_dims) t.ne[0] *= storage[s].block;
    t.bytes = (size_t)(t.ne[0] * t.ne[1] * t.ne[2] * t.ne[3]) / (size_t)storage[s].block * (size_t)storage[s].bytes;
    t.name = (struct gguf_str){name, (uint64_t)sprintf(name, "blk.%d.w", i)};
    return t;
}

static uint8_t data_byte(const struct recipe *r, int tensor, size_t i) {
    return (uint8_t)rng_u64(r->key ^ (uint64_t)tensor << 32, i);
}

/* Data of all tensors in chunks of random size that cross from one to the next. */
static int write_data(const struct recipe *r, struct gguf_writer *w, struct diag *d) {
    size_t cap = 1 << 20, n = 0, at = 0;
    uint8_t *all = malloc(cap);
    char name[32];
    int rc = 0;
    for (int i = 0; i < r->n_tensors; i++) {
        struct gguf_tensor t = tensor_of(r, i, name);
        CHECK(n + t.bytes <= cap, "test's own buffer");
        for (size_t k = 0; k < t.bytes && n < cap; k++)
            all[n++] = data_byte(r, i, k);
    }
    for (uint64_t k = 0; !rc && at < n; k++) {
        size_t chunk = 1 + pick(r, 5000 + k, 3 * (n / 7 + 1));
        if (chunk > n - at) chunk = n - at;
        rc = gguf_writer_data(w, all + at, chunk, d);
        at += chunk;
    }
    free(all);
    return rc;
}

static int write_recipe(const struct recipe *r, const char *path, struct diag *d) {
    struct gguf_writer *w;
    char name[64];
    uint8_t buf[4096];
    if (gguf_writer_open(&w, path, d)) return d->code;
    for (int i = 0; i < r->n_kv; i++) {
        struct gguf_kv kv = pair_of(r, i, name, buf);
        write_pair(w, &kv, (int)pick(r, 600 + (uint64_t)i, 2));
    }
    if (r->alignment != 32 || r->n_kv % 2) gguf_writer_int(w, "general.alignment", GGUF_U32, r->alignment);
    for (int i = 0; i < r->n_tensors; i++) {
        struct gguf_tensor t = tensor_of(r, i, name);
        gguf_writer_tensor(w, name, t.n_dims, t.ne, t.type, t.bytes);
    }
    int rc = write_data(r, w, d);
    return gguf_writer_close(w, !rc, d);
}

static void compare_recipe(const struct recipe *r, const struct gguf *g) {
    char name[64];
    uint8_t buf[4096];
    for (int i = 0; i < r->n_kv; i++) {
        struct gguf_kv want = pair_of(r, i, name, buf);
        const struct gguf_kv *kv = gguf_find(g, name);
        CHECK(kv && kv->kind == want.kind && kv->item_kind == want.item_kind && kv->count == want.count, "%s", name);
        CHECK(kv && kv->item_bytes == want.item_bytes && !memcmp(kv->items, buf, want.item_bytes), "%s", name);
    }
    for (int i = 0; i < r->n_tensors; i++) {
        struct gguf_tensor want = tensor_of(r, i, name);
        const struct gguf_tensor *t = gguf_tensor_find(g, name);
        CHECK(t == &g->tensors[i] && t->type == want.type && t->n_dims == want.n_dims && t->bytes == want.bytes, "%s",
              name);
        CHECK(!memcmp(t->ne, want.ne, sizeof t->ne) && t->offset % (uint64_t)r->alignment == 0, "%s", name);
        const uint8_t *data = g->map + g->data_offset + t->offset;
        size_t same = 0;
        while (same < t->bytes && data[same] == data_byte(r, i, same))
            same++;
        CHECK(same == t->bytes, "%s differs at byte %zu", name, same);
    }
}

static void test_round_trips(void) {
    for (uint64_t key = 1; key <= 150; key++) {
        struct recipe r = recipe_new(key);
        struct diag d = {0};
        struct gguf *g = NULL;
        CHECK(write_recipe(&r, path_of("round.gguf"), &d) == 0, "key %llu: %s", (unsigned long long)key, d.text);
        CHECK(gguf_open(&g, path_of("round.gguf"), &d) == 0, "key %llu: %s", (unsigned long long)key, d.text);
        if (g)
            CHECK(g->version == 3 && (int)g->n_tensors == r.n_tensors && g->alignment == (size_t)r.alignment, "header");
        if (g) compare_recipe(&r, g);
        gguf_close(g);
    }
    CHECK(files_in_dir() == 1, "%d files", files_in_dir());
    unlink(path_of("round.gguf"));
}

/* A real file copied entry by entry is the same file to the byte. */
static void test_copy_real(void) {
    struct gguf *g;
    struct gguf_writer *w;
    struct diag d = {0};
    char name[128], *a = NULL, *b = NULL;
    size_t na = 0, nb = 1;
    CHECK(gguf_open(&g, NW_TEST_DATA "/stories260K-f32.gguf", &d) == 0, "%s", d.text);
    CHECK(gguf_writer_open(&w, path_of("copy.gguf"), &d) == 0, "%s", d.text);
    for (uint64_t i = 0; i < g->n_kv; i++)
        gguf_writer_copy(w, &g->kv[i]);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.data);
        gguf_writer_tensor(w, name, t->n_dims, t->ne, t->type, t->bytes);
    }
    for (uint64_t i = 0; i < g->n_tensors; i++)
        CHECK(gguf_writer_data(w, g->tensors[i].data, g->tensors[i].bytes, &d) == 0, "%s", d.text);
    CHECK(gguf_writer_close(w, 1, &d) == 0, "%s", d.text);
    text_read_file(g->path, 1 << 24, &a, &na, &d);
    text_read_file(path_of("copy.gguf"), 1 << 24, &b, &nb, &d);
    CHECK(na == nb && !memcmp(a, b, na), "copy of %zu bytes against %zu", nb, na);
    free(a);
    free(b);
    gguf_close(g);
    unlink(path_of("copy.gguf"));
}

/* ---- what must fail, and leave nothing ---- */

static const uint8_t some[4096];

/* A writer of one F32 tensor of n columns under a name that holds an older file. */
static struct gguf_writer *begin(int64_t n, struct diag *d) {
    struct gguf_writer *w = NULL;
    *d = (struct diag){0};
    CHECK(gguf_writer_open(&w, path_of("out.gguf"), d) == 0, "%s", d->text);
    gguf_writer_tensor(w, "w", 1, &n, 0, 4 * (size_t)n);
    return w;
}

static void check_untouched(const char *what) {
    char *text = NULL;
    size_t n = 0;
    CHECK(text_read_file(path_of("out.gguf"), 100, &text, &n, NULL) == 0 && n == 5 && !memcmp(text, "older", 5), "%s",
          what);
    CHECK(files_in_dir() == 1, "%s left %d files", what, files_in_dir());
    free(text);
}

static void check_close(struct gguf_writer *w, int code, const char *text, const char *what) {
    struct diag d = {0};
    CHECK(gguf_writer_close(w, 1, &d) == code && d.code == code, "%s: %d '%s'", what, d.code, d.text);
    CHECK(strstr(d.text, text), "%s: '%s' does not say '%s'", what, d.text, text);
    check_untouched(what);
}

static void test_misuse(void) {
    struct diag d;
    int64_t ne[] = {8, 1};
    struct gguf_writer *w = begin(8, &d);
    CHECK(gguf_writer_close(w, 0, &d) == 0, "abandoned");
    check_untouched("abandoned");
    w = begin(8, &d);
    check_close(w, ERR_INTERNAL, "1 of its 1 tensors did not come", "no data");
    w = begin(8, &d);
    CHECK(gguf_writer_data(w, some, 31, &d) == 0, "%s", d.text);
    check_close(w, ERR_INTERNAL, "did not come", "a byte short");
    w = begin(8, &d);
    CHECK(gguf_writer_data(w, some, 33, &d) == ERR_INTERNAL, "a byte more");
    check_close(w, ERR_INTERNAL, "beyond its last tensor", "a byte more");
    w = begin(8, &d);
    gguf_writer_tensor(w, "w", 1, ne, 0, 32);
    CHECK(gguf_writer_data(w, some, 64, &d) == ERR_INTERNAL, "two of one name");
    check_close(w, ERR_INTERNAL, "'w' occurs twice", "two of one name");
    w = begin(8, &d);
    gguf_writer_tensor(w, "x", 1, ne, 0, 31);
    check_close(w, ERR_INTERNAL, "takes 32 bytes but was listed with 31", "wrong size");
    w = begin(8, &d);
    gguf_writer_tensor(w, "x", 1, ne, 8, 34);
    check_close(w, ERR_INTERNAL, "not whole blocks", "part of a block");
    w = begin(8, &d);
    gguf_writer_tensor(w, "x", 1, ne, 99, 0);
    check_close(w, ERR_RANGE, "cannot have 0 bytes", "no bytes");
    w = begin(8, &d);
    gguf_writer_bool(w, "late", 1);
    check_close(w, ERR_INTERNAL, "after a tensor", "late metadata");
}

static void test_bad_pairs(void) {
    struct diag d = {0};
    struct gguf_writer *w;
    CHECK(gguf_writer_open(&w, path_of("out.gguf"), &d) == 0, "%s", d.text);
    gguf_writer_int(w, "n", GGUF_U8, 256);
    check_close(w, ERR_RANGE, "256 of 'n' does not fit kind 'u8'", "u8");
    CHECK(gguf_writer_open(&w, path_of("out.gguf"), &d) == 0, "%s", d.text);
    gguf_writer_int(w, "n", GGUF_F32, 1);
    check_close(w, ERR_INTERNAL, "not of kind 'f32'", "f32");
    CHECK(gguf_writer_open(&w, path_of("out.gguf"), &d) == 0, "%s", d.text);
    gguf_writer_int(w, "general.alignment", GGUF_U32, 33);
    check_close(w, ERR_INTERNAL, "general.alignment is 33", "alignment");
    CHECK(gguf_writer_open(&w, path_of("out.gguf"), &d) == 0, "%s", d.text);
    gguf_writer_array(w, "a", GGUF_U32, 3, some, 8);
    check_close(w, ERR_INTERNAL, "malformed", "short array");
    CHECK(gguf_writer_open(&w, path_of("out.gguf"), &d) == 0, "%s", d.text);
    gguf_writer_int(w, "n", GGUF_U64, -1);
    gguf_writer_bool(w, "n", 0);
    check_close(w, ERR_INTERNAL, "'n' occurs twice", "key twice");
}

/* ---- the disk ---- */

static void limit_file_size(rlim_t bytes) {
    struct rlimit l;
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = bytes < l.rlim_max ? bytes : l.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &l) == 0, "setrlimit");
}

static void test_limits(void) {
    struct diag d;
    signal(SIGXFSZ, SIG_IGN);
    limit_file_size(20000);
    struct gguf_writer *w = begin(100000, &d);
    CHECK(gguf_writer_data(w, some, 1, &d) == ERR_IO && strstr(d.text, "ulimit -f"), "space: %s", d.text);
    check_close(w, ERR_IO, "File too large", "reserving");
    limit_file_size(RLIM_INFINITY);
    w = begin(100000, &d);
    CHECK(gguf_writer_data(w, some, sizeof some, &d) == 0, "%s", d.text);
    limit_file_size(20000); /* the space was there, and then was not */
    int rc = 0, calls = 1;
    for (; !rc && calls < 97; calls++)
        rc = gguf_writer_data(w, some, sizeof some, &d);
    CHECK(rc == ERR_IO && calls < 97, "call %d gives %d", calls, rc);
    CHECK(gguf_writer_data(w, some, sizeof some, NULL) == ERR_IO, "the error stays");
    check_close(w, ERR_IO, "cannot write: File too large", "writing");
    w = begin(2048, &d);
    limit_file_size(4096); /* in the buffer until the end */
    CHECK(gguf_writer_data(w, some, 4096, &d) == 0 || d.code == ERR_IO, "%s", d.text);
    if (!d.code) (void)gguf_writer_data(w, some, 4096, &d);
    check_close(w, ERR_IO, "File too large", "at the end");
    limit_file_size(RLIM_INFINITY);
    signal(SIGXFSZ, SIG_DFL);
}

static void check_target(const char *path, const char *text) {
    struct gguf_writer *w = (void *)&path;
    struct diag d = {0};
    CHECK(gguf_writer_open(&w, path, &d) == ERR_IO && !w && strstr(d.text, text), "%s: '%s'", path, d.text);
}

static void test_targets(void) {
    check_target(dir, "not a regular file");
    check_target("/dev/full", "not a regular file");
    check_target(path_of("no/such/folder.gguf"), "is its folder there?");
    check_target("", "cannot write");
    CHECK(symlink("nowhere", path_of("link")) == 0, "symlink");
    check_target(path_of("link"), "symbolic link to nothing");
    unlink(path_of("link"));
    check_untouched("targets");
}

/* Through a link the file behind it is replaced; it keeps its mode. A crash's leftover is no obstacle. */
static void test_replace(void) {
    struct stat st;
    struct diag d = {0};
    struct recipe r = {.key = 5, .n_kv = 3, .alignment = 32};
    char stale[64];
    CHECK(symlink("out.gguf", path_of("link")) == 0 && chmod(path_of("out.gguf"), 0640) == 0, "symlink");
    snprintf(stale, sizeof stale, "out.gguf.%ld-0.tmp", (long)getpid());
    close(open(path_of(stale), O_CREAT | O_WRONLY, 0600));
    CHECK(write_recipe(&r, path_of("link"), &d) == 0, "%s", d.text);
    CHECK(lstat(path_of("link"), &st) == 0 && S_ISLNK(st.st_mode), "the link stays");
    CHECK(stat(path_of("out.gguf"), &st) == 0 && (st.st_mode & 0777) == 0640, "mode %o", st.st_mode & 0777);
    struct gguf *g = NULL;
    CHECK(gguf_open(&g, path_of("link"), &d) == 0 && g->n_kv == 4, "%s", d.text);
    gguf_close(g);
    unlink(path_of(stale));
    unlink(path_of("link"));
    CHECK(files_in_dir() == 1, "%d files", files_in_dir());
}

int main(void) {
    CHECK(mkdtemp(dir) != NULL, "mkdtemp");
    test_round_trips();
    test_copy_real();
    FILE *f = fopen(path_of("out.gguf"), "w");
    CHECK(f && fputs("older", f) >= 0, "older file");
    if (f) fclose(f);
    test_misuse();
    test_bad_pairs();
    test_limits();
    test_targets();
    test_replace();
    unlink(path_of("out.gguf"));
    CHECK(rmdir(dir) == 0, "left over in %s", dir);
    CHECK(gguf_writer_close(NULL, 1, NULL) == 0, "NULL");
    return check_report("gguf-write");
}
