/* Whole files through model_open, damaged where their header, metadata and tensor table are: each opens, or is refused
 * with one line that names the file. What opens can be planned, and its tokenizer makes ids that the model knows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "check.h"
#include "dist/setup.h"

volatile int app_stop; /* main.c's */

struct damage {
    const char *path; /* of the damaged file, which has no name in any folder */
    int fd;
    size_t size, head; /* bytes of the file; of these, up to the first tensor's data */
    uint8_t *good; /* [head] */
};

/* Values that counts, lengths, types and offsets are most likely to be handled wrongly at. */
static const uint64_t odd_values[] = {0,
                                      1,
                                      2,
                                      7,
                                      31,
                                      127,
                                      255,
                                      256,
                                      65535,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xffffffffffffffff};

/* A bit flipped, a number replaced, some bytes repeated elsewhere. */
static void mutate(uint8_t *bytes, size_t n, uint64_t key) {
    size_t at = (size_t)(rng_u64(key, 1) % (n - 64)), width = (size_t)1 << rng_u64(key, 2) % 4;
    uint64_t value = odd_values[rng_u64(key, 3) % (sizeof odd_values / sizeof *odd_values)];
    switch (rng_u64(key, 0) % 4) {
    case 0: bytes[at] ^= (uint8_t)(1 << rng_u64(key, 3) % 8); break;
    case 1: memcpy(bytes + at, &value, width); break;
    case 2: memmove(bytes + at, bytes + rng_u64(key, 4) % (n - 64), (size_t)(rng_u64(key, 5) % 64)); break;
    default: bytes[at] = (uint8_t)rng_u64(key, 3);
    }
}

/* Half of the time near the beginning, where the model's own numbers are and not only its vocabulary. */
static void write_damaged(const struct damage *f, uint64_t key) {
    uint8_t *bytes = malloc(f->head);
    size_t n = rng_u64(key, 10) % 2 && f->head > 2048 ? 2048 : f->head, tail = f->head - n;
    memcpy(bytes, f->good, f->head);
    for (uint64_t k = 0; k <= rng_u64(key, 11) % 3; k++)
        mutate(bytes + (rng_u64(key, 12 + k) % 3 ? 0 : tail), n, rng_u64(key, 20 + k));
    CHECK(pwrite(f->fd, bytes, f->head, 0) == (ssize_t)f->head, "write");
    free(bytes);
}

static void check_ids(const struct model *m) {
    static const char text[] = "In the beginning\n\xc3\xa9 1234";
    struct diag d = {0};
    int *ids, n = tokenizer_encode(m->tokenizer, text, sizeof text - 1, TOKENIZE_BOS, &ids, &d);
    CHECK(n >= 0 || (d.text[0] && !strchr(d.text, '\n')), "\"%s\"", d.text);
    for (int i = 0; i < n; i++)
        CHECK(ids[i] >= 0 && ids[i] < m->shape.n_vocab, "id %d of %d", ids[i], m->shape.n_vocab);
    if (n >= 0) free(ids);
}

static void check_plan(const struct app *app, const struct model *m) {
    struct strategy one;
    struct plan_opts o;
    struct plan *p = NULL;
    struct diag d = {0};
    int rc = strategy_parse(&one, "1", &d);
    if (!rc) rc = setup_plan_opts(&o, app, m, NULL, &one, &d);
    if (!rc) rc = plan_make(&p, &m->shape, &one, 1, &o, &d);
    CHECK(rc == d.code && (!rc || (d.text[0] && !strchr(d.text, '\n'))), "%d: \"%s\"", rc, d.text);
    plan_free(p);
}

static int opens(const struct app *app, const char *path) {
    struct model m;
    struct diag d = {0};
    int rc = model_open(&m, app, &d);
    if (rc) {
        CHECK(d.code == rc && rc != ERR_INTERNAL, "%s", err_name(rc));
        CHECK(d.text[0] && !strchr(d.text, '\n') && strlen(d.text) < sizeof d.text - 1, "\"%s\"", d.text);
        CHECK(strstr(d.text, path), "which file? \"%s\"", d.text);
        return 0;
    }
    check_ids(&m);
    check_plan(app, &m);
    model_close(&m);
    return 1;
}

static void read_good(struct damage *f, const char *path) {
    struct gguf *g = NULL;
    struct diag d = {0};
    CHECK(gguf_open(&g, path, &d) == 0, "%s", d.text);
    f->size = g->file_bytes;
    f->head = g->data_offset;
    f->good = malloc(f->head);
    memcpy(f->good, g->map, f->head);
    CHECK(pwrite(f->fd, g->map, f->size, 0) == (ssize_t)f->size, "write");
    gguf_close(g);
}

int main(int argc, char **argv) {
    static const char *const files[] = {NW_SOURCE_DIR "/models/bundled/kjv-3m-q4_0.gguf",
                                        NW_TEST_DATA "/stories260K-f32.gguf"};
    static const struct cmd any = {.name = "run", .options = "model chunk n-predict batch"};
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2500, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        char path[64];
        struct damage f = {.path = path, .fd = memfd_create("damaged.gguf", 0)};
        struct app app = {.world = link_self_new(), .size = 1, .cores = 1};
        struct diag d = {0};
        uint64_t opened = 0;
        snprintf(path, sizeof path, "/proc/self/fd/%d", f.fd);
        CHECK(f.fd >= 0 && app.world && opts_parse(&app.spec, &any, 0, NULL, &d) == 0, "%s", d.text);
        app.spec.model = path;
        read_good(&f, files[k]);
        CHECK(opens(&app, path), "%s as it is", files[k]);
        for (uint64_t i = 0; i < rounds; i++) {
            write_damaged(&f, rng_u64(seed, i * 2 + k));
            opened += (uint64_t)opens(&app, path);
        }
        CHECK(opened > 0 && opened < rounds, "%llu of %llu opened", (unsigned long long)opened,
              (unsigned long long)rounds);
        for (size_t cut = 0; cut < f.head; cut += f.head / 16 + 1) {
            CHECK(pwrite(f.fd, f.good, f.head, 0) == (ssize_t)f.head && ftruncate(f.fd, (off_t)cut) == 0, "cut");
            CHECK(!opens(&app, path), "opens with %zu bytes", cut);
        }
        link_free(app.world);
        free(f.good);
        close(f.fd);
    }
    return check_report("dist-model-open");
}
