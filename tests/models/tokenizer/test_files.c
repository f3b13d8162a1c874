/* Real vocabularies: the ids that llama.cpp gives, and every byte back. */
#include "base/hash.h"
#include "base/text.h"
#include "check.h"
#include "fake.h"

static struct tokenizer *open_file(const char *name) {
    char path[512];
    struct diag d = {0};
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s/%s", NW_TEST_DATA, name);
    int rc = gguf_open(&g, path, &d);
    if (!rc) rc = tokenizer_new(&t, g, &d);
    CHECK(rc == 0, "%s", d.text);
    gguf_close(g);
    return t;
}

static char *read_beside(const char *name, const char *ending) {
    char path[512], *text = NULL;
    size_t len;
    struct diag d = {0};
    snprintf(path, sizeof path, "%s/%s%s", NW_TEST_DATA, name, ending);
    CHECK(text_read_file(path, 1 << 20, &text, &len, &d) == 0, "%s", d.text);
    return text;
}

/* Texts of NAME.inp against the lines of NAME.out: all of both. */
static void check_lines(const struct tokenizer *t, const char *name, int n_lines) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char *texts = read_beside(name, ".inp"), *lines = read_beside(name, ".out"), got[4096];
    char *text = texts, *line = lines;
    int n = 0;
    for (; text && line && *line; n++) {
        char *end = strstr(text, mark), *newline = strchr(line, '\n');
        size_t len = end ? (size_t)(end - text) : strlen(text);
        int *ids;
        if (newline) *newline = 0;
        int count = tokenizer_encode(t, text, len, 0, &ids, NULL);
        CHECK(!strcmp(ids_text(ids, count, got, sizeof got), line + (*line == ' ')), "%s text %d: want%s, got %s", name,
              n + 1, line, got);
        free(ids);
        CHECK(round_trips(t, text, len, 0), "%s text %d does not come back", name, n + 1);
        text = end ? end + strlen(mark) : NULL;
        line = newline ? newline + 1 : NULL;
    }
    CHECK(n == n_lines, "%s: %d lines compared", name, n);
    CHECK(!text || !*text, "%s: texts are left over", name);
    free(texts);
    free(lines);
}

struct example {
    const char *text;
    int flags;
    const char *ids;
};

static void check_examples(const struct tokenizer *t, const struct example *e) {
    char got[256];
    for (; e->text; e++)
        CHECK(encodes_to(t, e->text, strlen(e->text), e->flags, e->ids, got), "'%s': want %s, got %s", e->text, e->ids,
              got);
}

/* Random bytes, valid UTF-8 or not, in all mixtures with text. */
static void check_random(const struct tokenizer *t, uint64_t key, int spm) {
    char text[300];
    for (uint64_t i = 0, at = 0; i < 1500; i++) {
        size_t len = rng_u64(key, at++) % sizeof text;
        uint64_t range = i % 3 ? 128 : 256;
        for (size_t j = 0; j < len; j++) {
            text[j] = (char)(rng_u64(key, at++) % range);
            if (i % 3 == 2 && rng_u64(key, at++) % 2) text[j] = ' ';
        }
        if (spm && len > 2 && memmem(text, len, "\xe2\x96\x81", 3)) continue;
        CHECK(round_trips(t, text, len, 0), "random text %d of %zu bytes", (int)i, len);
    }
}

static void test_gpt2(void) {
    struct tokenizer *t = open_file("ggml-vocab-gpt-2.gguf");
    if (!t) return;
    check_lines(t, "ggml-vocab-gpt-2.gguf", 46);
    check_examples(t, (const struct example[]){{"a<|endoftext|>b", TOKENIZE_SPECIAL, "64 50256 65"},
                                               {"a<|endoftext|>b", 0, "64 27 91 437 1659 5239 91 29 65"},
                                               {"", TOKENIZE_BOS | TOKENIZE_EOS, ""},
                                               {NULL, 0, NULL}});
    CHECK(tokenizer_n_vocab(t) == 50257, "%d tokens", tokenizer_n_vocab(t));
    CHECK(tokenizer_is_end(t, 50256) && !tokenizer_is_end(t, 0) && !tokenizer_is_end(t, -1), "ends");
    CHECK(!tokenizer_adds_bos(t) && !tokenizer_adds_eos(t), "adds bos or eos");
    CHECK(!strcmp(tokenizer_pre(t), "gpt-2"), "pre is %s", tokenizer_pre(t));
    CHECK(tokenizer_piece(t, 50256, 0, 0, NULL, 0) == 0, "a control token has text");
    CHECK(tokenizer_piece(t, 50257, 0, 1, NULL, 0) == 0 && tokenizer_piece(t, -1, 0, 1, NULL, 0) == 0, "no such id");
    check_random(t, 1, 0);
    tokenizer_free(t);
}

static void test_spm(void) {
    struct tokenizer *t = open_file("ggml-vocab-llama-spm.gguf");
    if (!t) return;
    check_lines(t, "ggml-vocab-llama-spm.gguf", 46);
    check_examples(t,
                   (const struct example[]){{"<s>Hi</s> you", TOKENIZE_BOS | TOKENIZE_SPECIAL, "1 1 6324 2 29871 366"},
                                            {"a  b\n", TOKENIZE_BOS, "1 263 29871 289 13"},
                                            {"", TOKENIZE_BOS, "1"},
                                            {"", 0, ""},
                                            {NULL, 0, NULL}});
    CHECK(tokenizer_bos(t) == 1 && tokenizer_eos(t) == 2 && tokenizer_adds_bos(t) && !tokenizer_adds_eos(t),
          "bos, eos");
    CHECK(tokenizer_is_end(t, 2) && !tokenizer_is_end(t, 1), "ends");
    CHECK(round_trips(t, "<s>Hi</s> you", 13, TOKENIZE_SPECIAL), "special tokens come back");
    check_random(t, 2, 1);
    tokenizer_free(t);
}

/* Ids as llama.cpp gives them. */
static void test_stories(void) {
    struct tokenizer *t = open_file("stories260K-f32.gguf");
    int flags = TOKENIZE_BOS | TOKENIZE_SPECIAL;
    if (!t) return;
    check_examples(t, (const struct example[]){
                          {"Once upon a time", flags, "1 403 407 261 378"},
                          {"", flags, "1"},
                          {" two  spaces", flags, "1 410 259 424 414 410 262 427 412 331 419"},
                          {"Lily's dog.\n\nThe end", flags, "1 317 439 419 400 428 426 13 13 434 260 344 264"},
                          {"\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80", flags, "1 410 485 413 485 410 243 162 155 131"},
                          {"<s>Hi</s> you", flags, "1 1 320 417 2 410 364"},
                          {"ZQ0_#~", flags, "1 410 469 473 477 98 38 510"},
                          {NULL, 0, NULL}});
    check_random(t, 3, 1);
    tokenizer_free(t);
}

int main(void) {
    test_gpt2();
    test_spm();
    test_stories();
    return check_report("tokenizer-files");
}
