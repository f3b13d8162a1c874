/* A short campaign of the fuzz target with inputs made here: the same ones on every run. */
#include "base/hash.h"
#include "check.h"
#include "fuzz_tokenizer.c"

static const char *const bits[] = {"the",
                                   " ",
                                   "  ",
                                   "\n",
                                   "aaaa",
                                   "ab",
                                   "<s>",
                                   "</s>",
                                   "<|end|>",
                                   "[U]",
                                   "12",
                                   "'s",
                                   "\xc3\xa9",
                                   "\xe2\x96",
                                   "\x81",
                                   "\xff",
                                   "\xf0\x9f\x98\x80",
                                   "\t",
                                   "ing",
                                   "\xe3\x80\x80"};

static size_t make_input(uint64_t key, uint8_t out[512]) {
    size_t n = 2;
    uint64_t at = 2, parts = rng_u64(key, 1) % 60;
    out[0] = (uint8_t)rng_u64(key, 0);
    out[1] = (uint8_t)(rng_u64(key, 0) >> 8);
    for (uint64_t i = 0; i < parts && n < 480; i++) {
        const char *part = bits[rng_u64(key, at++) % (sizeof bits / sizeof *bits)];
        if (rng_u64(key, at++) % 3) {
            memcpy(out + n, part, strlen(part));
            n += strlen(part);
        } else {
            out[n++] = (uint8_t)rng_u64(key, at++);
        }
    }
    return n;
}

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 20000;
    uint64_t seed = argc > 2 ? (uint64_t)atol(argv[2]) : 0;
    for (long i = 0; i < rounds; i++) {
        uint8_t input[512], *exact;
        size_t n = make_input(seed * 1000003 + (uint64_t)i, input);
        exact = malloc(n); /* of just its size, so that reading past the end is seen */
        memcpy(exact, input, n);
        CHECK(fuzz_one(exact, n), "input %ld of seed %llu", i, (unsigned long long)seed);
        free(exact);
    }
    for (unsigned i = 0; i < 64; i++) {
        int lossless;
        tokenizer_free(fuzz_tokenizer(i, &lossless));
        if (fuzz_tokenizer(i + 1, &lossless) == fuzz_tokenizer(0, &lossless)) break;
    }
    return check_report("tokenizer-fuzz");
}
