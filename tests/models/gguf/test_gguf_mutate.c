/* Property: however a small file is mutated, opening it gives one line of explanation or a consistent file (probe.h).
 * Arguments: number of mutations, seed. */
#include "base/hash.h"
#include "build.h"
#include "check.h"
#include "probe.h"

struct random {
    uint64_t key, n;
};

static uint64_t draw(struct random *r, uint64_t below) {
    return rng_u64(r->key, r->n++) % below;
}

/* A value that counters and lengths go wrong at. */
static uint64_t nasty(struct random *r) {
    static const uint64_t value[] = {0,
                                     1,
                                     2,
                                     4,
                                     5,
                                     9,
                                     13,
                                     31,
                                     32,
                                     33,
                                     64,
                                     255,
                                     256,
                                     65535,
                                     65536,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     INT64_MAX,
                                     UINT64_MAX,
                                     UINT64_C(1) << 31,
                                     UINT64_C(1) << 32,
                                     UINT64_C(1) << 61,
                                     UINT64_C(1) << 63};
    uint64_t v = value[draw(r, sizeof value / sizeof *value)];
    return draw(r, 4) ? v : v - draw(r, 64);
}

static void overwrite(struct build *b, struct random *r, size_t width) {
    uint64_t v = nasty(r);
    if (b->n >= width) memcpy(b->data + draw(r, b->n - width + 1), &v, width);
}

/* Removes or doubles a run of bytes. */
static void splice(struct build *b, struct random *r) {
    size_t at = draw(r, b->n), n = 1 + draw(r, 24), tail = b->n - at;
    if (n > tail) n = tail;
    if (draw(r, 2) || b->n + n > sizeof b->data) {
        memmove(b->data + at, b->data + at + n, tail - n);
        b->n -= n;
    } else {
        memmove(b->data + at + n, b->data + at, tail);
        b->n += n;
    }
}

static void copy_run(struct build *b, struct random *r) {
    size_t n = 1 + draw(r, 32);
    if (n > b->n) n = b->n;
    memmove(b->data + draw(r, b->n - n + 1), b->data + draw(r, b->n - n + 1), n);
}

static void mutate(struct build *b, struct random *r) {
    if (!b->n) return;
    switch (draw(r, 8)) {
    case 0: b->data[draw(r, b->n)] ^= (unsigned char)(1u << draw(r, 8)); break;
    case 1: b->data[draw(r, b->n)] = (unsigned char)draw(r, 256); break;
    case 2: overwrite(b, r, 4); break;
    case 3:
    case 4: overwrite(b, r, 8); break;
    case 5: splice(b, r); break;
    case 6: copy_run(b, r); break;
    default: b->n = draw(r, 4) ? b->n : draw(r, b->n + 1);
    }
}

/* A file like those of build_all_kinds but shorter, so that mutations often meet structure. */
static void build_small(struct build *b) {
    put_header(b, 3, 2, 3);
    put_kv_u32(b, "general.alignment", 32);
    put_key(b, "name", 8);
    put_str(b, "x");
    put_array(b, "list", 8, 2);
    put_str(b, "p");
    put_str(b, "");
    put_tensor2(b, "a", 8, 1, 0, 0);
    put_tensor2(b, "b", 32, 2, 2, 32);
    put_data(b, 32, 96);
}

static int probe_exact(const struct build *b, FILE *sink) {
    unsigned char *copy = malloc(b->n + !b->n); /* of just this size: a sanitizer sees each byte behind it */
    memcpy(copy, b->data, b->n);
    int valid = probe_bytes(copy, b->n, sink);
    free(copy);
    return valid;
}

int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 20000, valid = 0;
    struct random r = {argc > 2 ? strtoull(argv[2], NULL, 10) : 2026, 0};
    struct build seeds[3], b;
    FILE *sink = fopen("/dev/null", "w");
    build_all_kinds(&seeds[0], 2);
    build_all_kinds(&seeds[1], 3);
    build_small(&seeds[2]);
    for (int i = 0; i < 3; i++)
        CHECK(probe_exact(&seeds[i], sink), "seed %d is not valid", i);
    for (long i = 0; i < n; i++) {
        b = seeds[i % 3];
        for (uint64_t k = 1 + draw(&r, 4); k > 0; k--)
            mutate(&b, &r);
        valid += probe_exact(&b, i % 8 ? NULL : sink);
    }
    CHECK(valid > n / 50 && valid < n - n / 50, "%ld of %ld mutations are valid files", valid,
          n); /* both sides are met */
    if (sink) fclose(sink);
    return check_report("gguf-mutate");
}
