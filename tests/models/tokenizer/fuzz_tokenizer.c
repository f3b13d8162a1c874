/* libFuzzer target: any bytes through each kind of tokenizer; what comes out must be in range and come back.
 *
 * Byte 0 picks vocabulary and pre-tokenizer, byte 1 the flags; the rest is the text. test_fuzz.c drives the same code
 * with inputs of its own in every build. */
#include "fake.h"
#include "split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FUZZ_WORDS = 256 + 24 };

static const char *const fuzz_words[24] = {
    "th", "he",  "the",  "in", "an", "and", "  ",  "    ", "\n\n",    "12",  "ing",      "er",
    "aa", "aaa", "aaaa", "ab", "ba", "aba", "<s>", "</s>", "<|end|>", "[U]", "\xc3\xa9", "\xe2\x96\x81",
};
static const int fuzz_kinds[24] = {1, 1, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 4, 1, 1};

static void fuzz_file(struct fake *f, const char *model, const char *pre) {
    static const char *const merges[] = {"t h",  "th e",  "h e", "i n", "in g", "a n", "an d", "a a",
                                         "aa a", "aa aa", "a b", "b a", "ab a", "e r", "1 2"};
    char chars[256][8];
    const char *name[FUZZ_WORDS];
    float score[FUZZ_WORDS];
    int kind[FUZZ_WORDS];
    if (pre)
        fake_byte_chars(chars);
    else
        fake_byte_names(chars);
    for (int i = 0; i < FUZZ_WORDS; i++) {
        name[i] = i < 256 ? chars[i] : fuzz_words[i - 256];
        score[i] = i < 256 ? 0 : (float)(i % 5);
        kind[i] = i >= 256 ? fuzz_kinds[i - 256] : (pre ? 1 : 6);
    }
    fake_str(f, "tokenizer.ggml.model", model);
    if (pre) fake_str(f, "tokenizer.ggml.pre", pre);
    fake_strs(f, "tokenizer.ggml.tokens", name, FUZZ_WORDS);
    fake_floats(f, "tokenizer.ggml.scores", score, FUZZ_WORDS);
    fake_ints(f, "tokenizer.ggml.token_type", kind, FUZZ_WORDS);
    fake_strs(f, "tokenizer.ggml.merges", merges, 15);
    fake_int(f, "tokenizer.ggml.bos_token_id", 256 + 18);
    fake_int(f, "tokenizer.ggml.eos_token_id", 256 + 19);
}

/* SPM, WordPiece, then BPE with each row of pre-tokenizers that is no alias; kept until the program ends. */
static struct tokenizer *fuzz_tokenizer(unsigned which, int *lossless) {
    static struct tokenizer *made[64];
    static int n;
    if (!n) {
        struct fake f = {0};
        fuzz_file(&f, "llama", NULL);
        fake_tokenizer(&f, &made[n++], NULL);
        fuzz_file(&f, "bert", NULL);
        fake_tokenizer(&f, &made[n++], NULL);
        for (const struct pretokenizer *p = pretokenizers; p->name; p++)
            if (!(p->flags & PRE_ALIAS)) {
                fuzz_file(&f, "gpt2", p->name);
                fake_tokenizer(&f, &made[n++], NULL);
            }
    }
    *lossless = which % (unsigned)n != 1;
    return made[which % (unsigned)n];
}

static int fuzz_one(const uint8_t *data, size_t n) {
    int lossless, *ids, ok = 1;
    if (n < 2) return 1;
    struct tokenizer *t = fuzz_tokenizer(data[0], &lossless);
    const char *text = (const char *)data + 2;
    n -= 2;
    if (!t) return 0;
    struct diag d = {0};
    int flags = data[1] & 7, count = tokenizer_encode(t, text, n, flags, &ids, &d);
    for (int i = 0; i < count; i++)
        ok &= ids[i] >= 0 && ids[i] < tokenizer_n_vocab(t);
    free(ids);
    if (lossless && !memmem(text, n, "\xe2\x96\x81", 3)) ok &= round_trips(t, text, n, flags & TOKENIZE_SPECIAL);
    return ok && count >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (!fuzz_one(data, n)) abort();
    return 0;
}
