/* cache.c - the packed weights of a shard, kept in a file for the next start.
 *
 *   header of 4096 bytes | the block of weights as it lies in memory
 *
 * The key in the file's name says what was packed: the model file (fingerprint, size, time of change, and samples of
 * its bytes) or the seed, the shape, the shard, and the way of packing. The sum in the header is over all that was read
 * back, so a damaged file is as good as none. A file gets its name when it is complete: nobody sees half of one, and
 * of two ranks that write the same the first wins. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "cache.h"

enum { VERSION = 2, HEADER_BYTES = 4096, PIECE = 1 << 20, SAMPLES = 64, SAMPLE_BYTES = 4096 };

struct cache_header {
    char magic[8];
    uint32_t version, byte_order;
    uint64_t key, bytes, sum, check; /* check: of the fields before it */
};

/* Eight chains, because a multiplication takes longer than a load. */
uint64_t cache_sum(const void *at, size_t bytes, uint64_t seed) {
    uint64_t h[8], w[8] = {0};
    const uint8_t *p = at;
    for (size_t i = 0; i < 8; i++)
        h[i] = hash_mix(seed + i);
    for (; bytes >= sizeof w; bytes -= sizeof w, p += sizeof w) {
        memcpy(w, p, sizeof w);
        for (int i = 0; i < 8; i++) {
            h[i] = (h[i] ^ w[i]) * 0x9e3779b97f4a7c15u;
            h[i] ^= h[i] >> 32;
        }
    }
    memset(w, 0, sizeof w);
    if (bytes) memcpy(w, p, bytes);
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum = hash_mix(sum + hash_mix(h[i] ^ w[i]));
    return sum;
}

/* Bytes from all over the file: weights that changed in place, size and time kept, are likely to be noticed. */
static uint64_t file_samples(const struct gguf *g, uint64_t key) {
    size_t n = g->file_bytes < SAMPLE_BYTES ? g->file_bytes : SAMPLE_BYTES, step = (g->file_bytes - n) / SAMPLES;
    for (size_t i = 0; i <= SAMPLES; i++)
        key = cache_sum(g->map + i * step, n, key);
    return key;
}

static uint64_t file_key(const struct gguf *g, uint64_t key) {
    struct stat st;
    uint64_t parts[4] = {gguf_fingerprint(g), g->file_bytes};
    if (g->is_mapped && stat(g->path, &st) == 0) {
        parts[2] = (uint64_t)st.st_mtim.tv_sec;
        parts[3] = (uint64_t)st.st_mtim.tv_nsec;
    }
    return file_samples(g, cache_sum(parts, sizeof parts, key));
}

static uint64_t make_key(const struct decoder *dec, const struct gguf *g) {
    const uint64_t parts[] = {VERSION, MAT_PANEL, dec->priv->packed_bytes, g ? 0 : 1, g ? 0 : dec->opts.seed};
    uint64_t key = hash_bytes(NW_VERSION, sizeof NW_VERSION, 0);
    key = cache_sum(parts, sizeof parts, key);
    key = cache_sum(&dec->shape, sizeof dec->shape, key);
    key = cache_sum(&dec->spec, sizeof dec->spec, key);
    return g ? file_key(g, key) : key;
}

static struct cache_header make_header(const struct cache *c, uint64_t sum) {
    struct cache_header h = {.magic = "NWPACKED", .version = VERSION, .byte_order = 0x01020304};
    h.key = c->key;
    h.bytes = c->bytes;
    h.sum = sum;
    h.check = cache_sum(&h, offsetof(struct cache_header, check), 0);
    return h;
}

static void note(struct decoder *dec, const char *path, const char *what, const char *remedy) {
    snprintf(dec->cache_note, sizeof dec->cache_note, "%.300s: %s; %s", path, what, remedy);
}

/* ---- reading ---- */

int pread_all(int fd, void *at, size_t bytes, uint64_t from) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, (uint8_t *)at + done, bytes - done, (off_t)(from + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        done += (size_t)n;
    }
    return 0;
}

/* The header, if the file is what its name says and has the size it should have. */
static int header_fits(const struct cache *c, int fd, uint64_t *sum) {
    struct cache_header h, want;
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != HEADER_BYTES + c->bytes) return 0;
    if (pread_all(fd, &h, sizeof h, 0)) return 0;
    *sum = h.sum;
    want = make_header(c, h.sum);
    return memcmp(&h, &want, sizeof h) == 0;
}

static const char rewrites[] = "the weights were packed from the model again";

void cache_open(struct cache *c, struct decoder *dec, const struct gguf *g) {
    *c = (struct cache){.fd = -1, .bytes = dec->priv->packed_bytes, .base = dec->priv->weights_mem.at};
    if (!dec->opts.cache_dir || !*dec->opts.cache_dir) return;
    c->on = 1;
    c->key = make_key(dec, g);
    size_t cap = strlen(dec->opts.cache_dir) + 64;
    c->path = malloc(cap);
    if (!c->path) {
        c->on = 0;
        return;
    }
    snprintf(c->path, cap, "%s/northwall-%016llx.weights", dec->opts.cache_dir, (unsigned long long)c->key);
    c->fd = open(c->path, O_RDONLY | O_CLOEXEC);
    if (c->fd < 0 || header_fits(c, c->fd, &c->expected)) return;
    note(dec, c->path, "damaged", rewrites);
    close(c->fd);
    c->fd = -1;
    c->replace = 1;
}

int cache_is_read(const struct cache *c) {
    return c->fd >= 0;
}

void cache_fetch(struct cache *c, void *at, size_t bytes) {
    for (size_t done = 0; done < bytes && !atomic_load(&c->failed); done += PIECE) {
        size_t n = bytes - done < PIECE ? bytes - done : PIECE;
        uint8_t *to = (uint8_t *)at + done;
        if (pread_all(c->fd, to, n, HEADER_BYTES + (uint64_t)(to - c->base))) atomic_store(&c->failed, 1);
    }
}

void cache_count(struct cache *c, const void *at, size_t bytes) {
    if (!c->on) return;
    uint64_t offset = (uint64_t)((const uint8_t *)at - c->base);
    atomic_fetch_add(&c->sum, cache_sum(at, bytes, offset));
}

int cache_read_ok(struct cache *c, struct decoder *dec) {
    if (!atomic_load(&c->failed) && atomic_load(&c->sum) == c->expected) return 1;
    note(dec, c->path, "damaged", rewrites);
    close(c->fd);
    c->fd = -1;
    c->replace = 1;
    atomic_store(&c->failed, 0);
    atomic_store(&c->sum, 0);
    return 0;
}

/* ---- writing ---- */

static int pwrite_all(int fd, const void *at, size_t bytes, uint64_t to) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(fd, (const uint8_t *)at + done, bytes - done, (off_t)(to + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        done += (size_t)n;
    }
    return 0;
}

/* Room is asked for first: a disk that is too small stays as full as it was. */
static int fill(const struct cache *c, int fd) {
    uint8_t block[HEADER_BYTES] = {0};
    struct cache_header h = make_header(c, c->sum);
    memcpy(block, &h, sizeof h);
    if (fallocate(fd, 0, 0, (off_t)(HEADER_BYTES + c->bytes)) && errno != EOPNOTSUPP && errno != ENOSYS) return -1;
    return pwrite_all(fd, block, sizeof block, 0) || pwrite_all(fd, c->base, c->bytes, HEADER_BYTES) ? -1 : 0;
}

static int give_name(const struct cache *c, int fd) {
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (c->replace) (void)unlink(c->path);
    return linkat(AT_FDCWD, self, AT_FDCWD, c->path, AT_SYMLINK_FOLLOW) && errno != EEXIST ? -1 : 0;
}

void cache_store(struct cache *c, struct decoder *dec) {
    const char *dir = dec->opts.cache_dir;
    char why[96];
    (void)mkdir(dir, 0777);
    int fd = open(dir, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    if (fd >= 0 && fill(c, fd) == 0 && give_name(c, fd) == 0) {
        dec->cache = CACHE_WRITTEN;
    } else {
        snprintf(why, sizeof why, "cannot keep packed weights: %s", strerror(errno));
        note(dec, dir, why, "the run goes on without; give another --weights-cache");
    }
    if (fd >= 0) close(fd);
}

void cache_close(struct cache *c) {
    if (c->fd >= 0) close(c->fd);
    free(c->path);
    c->fd = -1;
    c->path = NULL;
}
