/* Packed weights kept on disk: the same bits as packed anew; damaged, foreign and impossible files do no harm. */
#include <dirent.h>
#include <fcntl.h>
#include <omp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "tiny.h"

static const struct tiny shape_of = {.arch = "llama",
                                     .n_layers = 2,
                                     .d_model = 96,
                                     .n_heads = 6,
                                     .n_kv_heads = 3,
                                     .head_dim = 32,
                                     .d_ffn = 224,
                                     .n_vocab = 83};
static char dir[256];

/* The only file in the folder; the number of files. */
static int list(char *path, size_t cap) {
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, cap, "%s/%.100s", dir, e->d_name);
        n++;
    }
    if (d) closedir(d);
    return n;
}

static void empty(void) {
    char path[512];
    while (list(path, sizeof path) && unlink(path) == 0)
        ;
}

static uint64_t forward_hash(struct decoder *dec) {
    int id[] = {3, 1, 4, 1, 5}, seq[5] = {0}, pos[] = {0, 1, 2, 3, 4};
    float logits[5 * 83];
    struct token_batch b = {5, id, seq, pos};
    decoder_forward(dec, &b, NULL, logits, NULL);
    return hash_floats(logits, 5 * 83, 0);
}

/* Opens, checks what the cache was good for, and returns the hash of the logits. */
static uint64_t open_hash(const struct model_shape *s, const struct gguf *g, const char *cache, int threads,
                          enum cache_use use, int noted) {
    struct decoder_opts o = tiny_opts();
    o.cache_dir = cache;
    o.threads = threads;
    struct decoder *dec = tiny_whole(s, g, &o);
    if (!dec) return 0;
    CHECK(dec->cache == use, "cache %d, expected %d: %s", dec->cache, use, dec->cache_note);
    CHECK((dec->cache_note[0] != 0) == noted, "note '%s'", dec->cache_note);
    uint64_t hash = forward_hash(dec);
    decoder_close(dec);
    return hash;
}

static void test_same_bits(const struct model_shape *s, const struct gguf *g) {
    char path[512];
    empty();
    uint64_t plain = open_hash(s, g, NULL, 1, CACHE_NONE, 0);
    CHECK(open_hash(s, g, dir, 1, CACHE_WRITTEN, 0) == plain, "%s, %s: written", s->name, g ? "file" : "synthetic");
    for (int threads = 1; threads <= 3; threads++)
        CHECK(open_hash(s, g, dir, threads, CACHE_READ, 0) == plain, "%s: read by %d threads", s->name, threads);
    CHECK(list(path, sizeof path) == 1, "one file");
}

static void flip(const char *path, off_t at) {
    uint8_t byte = 0;
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1, "%s", path);
    byte ^= 0x10;
    CHECK(pwrite(fd, &byte, 1, at) == 1, "%s", path);
    close(fd);
}

/* Each kind of damage is noticed, told, and repaired. */
static void test_damage(const struct model_shape *s, const struct gguf *g) {
    char path[512];
    struct stat st;
    uint64_t plain = open_hash(s, g, NULL, 1, CACHE_NONE, 0);
    empty();
    (void)open_hash(s, g, dir, 1, CACHE_WRITTEN, 0);
    CHECK(list(path, sizeof path) == 1 && stat(path, &st) == 0, "no file");
    struct decoder_opts o = tiny_opts();
    struct decoder *dec = tiny_whole(s, g, &o);
    struct shard_part part;
    shard_part(s, &dec->spec, ROLE_DOWN, 1, &part); /* the last matrix lies at the end of the file */
    off_t last = st.st_size - (off_t)shard_part_bytes(s, &dec->spec, ROLE_DOWN, 1);
    decoder_close(dec);
    const off_t bad[] = {0, 9, 17, 33, last, last + 1000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        flip(path, bad[i]);
        CHECK(open_hash(s, g, dir, 1, CACHE_WRITTEN, 1) == plain, "bit flipped at %ld", (long)bad[i]);
        CHECK(open_hash(s, g, dir, 1, CACHE_READ, 0) == plain, "repaired");
    }
    const off_t sizes[] = {0, 1, 4096, st.st_size - 1, st.st_size + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(truncate(path, sizes[i]) == 0, "truncate");
        CHECK(open_hash(s, g, dir, 1, CACHE_WRITTEN, 1) == plain, "cut to %ld", (long)sizes[i]);
    }
    CHECK(open_hash(s, g, dir, 1, CACHE_READ, 0) == plain, "repaired");
}

/* Another seed, another part of the model, other weights in a file of the same header: other files. */
static void test_keys(const struct model_shape *s) {
    char path[512];
    struct diag d = {0};
    empty();
    struct decoder_opts o = tiny_opts();
    o.cache_dir = dir;
    struct shard_spec whole, half;
    shard_whole(s, &whole);
    half = whole;
    half.head1 = s->n_heads / 2;
    const struct shard_spec *specs[] = {&whole, &whole, &half};
    for (int i = 0; i < 3; i++) {
        struct decoder *dec = NULL;
        o.seed = 7 + (i == 1);
        CHECK(decoder_open(&dec, s, NULL, specs[i], &o, &d) == 0, "%s", d.text);
        CHECK(dec && dec->cache == CACHE_WRITTEN, "a file of its own");
        decoder_close(dec);
        CHECK(list(path, sizeof path) == i + 1, "%d files", i + 1);
    }
    for (uint64_t seed = 7; seed <= 8; seed++) {
        struct gguf *g = tiny_file(s, seed);
        (void)open_hash(s, g, dir, 1, CACHE_WRITTEN, 0);
        gguf_close(g);
    }
    CHECK(list(path, sizeof path) == 5, "a file for each content");
}

/* Folders that cannot be written, and a disk that is full: one note, the same bits. */
static void test_no_room(const struct model_shape *s, const struct gguf *g) {
    char path[512];
    uint64_t plain = open_hash(s, g, NULL, 1, CACHE_NONE, 0);
    empty();
    CHECK(open_hash(s, g, "/proc/northwall-none", 1, CACHE_NONE, 1) == plain, "no such folder");
    CHECK(open_hash(s, g, "/dev/null", 1, CACHE_NONE, 1) == plain, "no folder");
    struct rlimit old, low = {.rlim_cur = 8192};
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0, "limit");
    low.rlim_max = old.rlim_max;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0, "limit");
    CHECK(open_hash(s, g, dir, 1, CACHE_NONE, 1) == plain, "no room");
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0, "limit");
    signal(SIGXFSZ, before);
    CHECK(list(path, sizeof path) == 0, "nothing is left behind");
}

/* Several at once, as ranks of a data-parallel run: all are right, one file is left. */
static void test_at_once(const struct model_shape *s, const struct gguf *g) {
    enum { N = 4 };
    char path[512];
    uint64_t plain = open_hash(s, g, NULL, 1, CACHE_NONE, 0);
    for (int round = 0; round < 5; round++) {
        int wrong = 0;
        empty();
#pragma omp parallel for num_threads(N) reduction(+ : wrong)
        for (int i = 0; i < N; i++) {
            struct decoder_opts o = tiny_opts();
            struct shard_spec spec;
            struct decoder *dec = NULL;
            struct diag d = {0};
            o.cache_dir = dir;
            shard_whole(s, &spec);
            int rc = decoder_open(&dec, s, g, &spec, &o, &d);
            wrong += rc || dec->cache == CACHE_NONE || dec->cache_note[0] || forward_hash(dec) != plain;
            decoder_close(dec);
        }
        CHECK(!wrong, "%d of %d", wrong, N);
        CHECK(list(path, sizeof path) == 1, "one file");
    }
}

int main(void) {
    static const char *const types[] = {"Q4_0", "Q8_0", "BF16", "I4"};
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/northwall-test-%ld-cache", tmp ? tmp : "/tmp", (long)getpid());
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct model_shape s;
        tiny_shape(&s, &shape_of, types[i], NULL);
        struct gguf *g = tiny_file(&s, 7);
        test_same_bits(&s, g);
        test_same_bits(&s, NULL);
        if (i == 0) {
            test_damage(&s, g);
            test_keys(&s);
            test_no_room(&s, g);
            test_at_once(&s, g);
        }
        gguf_close(g);
    }
    empty();
    CHECK(rmdir(dir) == 0, "%s", dir);
    return check_report("decoder-cache");
}
