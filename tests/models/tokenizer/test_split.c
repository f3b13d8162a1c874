/* Each rule of the pre-tokenizers: texts and the pieces worked out by hand from its patterns, parted by |. */
#include "split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"

static const struct split_case {
    const char *pre, *pieces;
} cases[] = {
    {"gpt-2", "Hello| world|!"},
    {"gpt-2", "I|'ve| seen| '|LL|'ll|'s"},
    {"gpt-2", "I|'|VE"},
    {"gpt-2", "a|  | b"},
    {"gpt-2", "a| "},
    {"gpt-2", "a|  "},
    {"gpt-2", "a|\t|b"},
    {"gpt-2", "a|\t|\t|b"},
    {"gpt-2", "x| 12345|abc|67"},
    {"gpt-2", "a|\n|\n|b|\n\n"},
    {"gpt-2", "\xe6\x97\xa5\xe6\x9c\xac|\xef\xbc\x81| \xf0\x9f\x98\x80\xf0\x9f\x98\x80.|x"},
    {"gpt-2", "a|\xe3\x80\x80|b"}, /* U+3000 is white space */
    {"gpt-2", "a|\xe1\xa0\x8e|b"}, /* U+180E is not */
    {"gpt-2", "\xc2\xbd|m| \xd9\xa1\xd9\xa2"}, /* 1/2 and Arabic digits are numbers */
    {"mpt", "a| 12| b"},
    {"olmo", "a| 12| b"},
    {"starcoder", "x|1|2|3|y| |4|."},
    {"starcoder", "\xc2\xbd|\xd9\xa1|a"},
    {"refact", "x|1|2| |3"},
    {"smollm", "x|1|2| |3"},
    {"codeshell", "x|1|2| |3"},
    {"command-r", "x|1|2| |3"},
    {"llama-bpe", "Hello| world|!!"},
    {"llama-bpe", "I|'VE|'s|'Ll|'x|'"},
    {"llama-bpe", "123|456|7| |890"},
    {"llama-bpe", "a| |1"},
    {"llama-bpe", "(foo|(_|bar"},
    {"llama-bpe", "x|;\n\n|y| =\n|z"},
    {"llama-bpe", "a| \n \n| | b"},
    {"llama-bpe", "a|  \n"},
    {"llama-bpe", "a|  | b|\t|\tc"},
    {"llama-bpe", "a|  "},
    {"llama-bpe", "\xe6\x97\xa5\xe6\x9c\xac|\xef\xbc\x8c\xe6\x9c\xac| \xf0\x9f\x98\x80\n"},
    {"dbrx", "123|4|(a"},
    {"qwen2", "1|2|3|a|'S| |4|.\n"},
    {"stablelm2", "1|2|(a"},
    {"qwen35", "e\xcc\x81|1|2"},
    {"qwen2", "e|\xcc\x81|1|2"},
    {"seed-coder", "x|;|\n|y|1|2"},
    {"bailingmoe", "a|\n\n|b|1|2"},
    {"deepseek-v3", "123|4|a|.b|+c| ++"},
    {"deepseek-v3", "a|\xe6\x97\xa5\xe3\x81\x82|b"},
    {"deepseek-coder", "Hello| world|!|1|2| |3"},
    {"deepseek-coder", "a|\r|\n|\tb| ,.|++"},
    {"deepseek-coder", "x|  | y"},
    {"deepseek-llm", "Hello| world|!|123|\n|  "},
    {"deepseek-llm", "a|\xe6\x97\xa5\xe6\x9c\xac|b| ++"},
    {"deepseek-llm", "a|   |1"},
    {"falcon", "a|-|b| 1|--|123|45"},
    {"falcon", " |``|x"},
    {"default", "a|-|b| |+|x"},
    {"default", "v| |123|4"},
    {"tekken", "Hello|World|1|2|.//\n|ABC"},
    {"gpt-4o", "Hello|World's| x|123|4|ABCdef"},
    {"bloom", "a| b|,| c|(|d|)"},
    {"viking", "a|1|2| b|,"},
    {"chameleon", "a|<|sentinel|:|1|2|>|IMGIMGABZ|  |x|1|,"},
};

static int split_text(const char *pre, const char *text, size_t len, struct split *out) {
    struct splitter *s;
    struct diag d = {0};
    const struct pretokenizer *p = pretokenizer_find(pre, strlen(pre));
    CHECK(p != NULL, "%s is unknown", pre);
    if (!p) return -1;
    int rc = splitter_new(&s, p->rules, &d);
    if (!rc) rc = splitter_run(s, out, text, len, &d);
    splitter_free(s);
    CHECK(rc == 0, "%s: %s", pre, d.text);
    return rc;
}

static void check_case(const struct split_case *c) {
    char text[128], got[256];
    size_t len = 0, at = 0, begin = 0, want = strlen(c->pieces);
    struct split out = {0};
    for (size_t i = 0; i < want; i++)
        if (c->pieces[i] != '|') text[len++] = c->pieces[i];
    if (split_text(c->pre, text, len, &out)) return;
    for (size_t i = 0; i < out.n; begin = out.end[i++]) {
        if (i) got[at++] = '|';
        memcpy(got + at, text + begin, out.end[i] - begin);
        at += out.end[i] - begin;
    }
    CHECK(at == want && !memcmp(got, c->pieces, want), "%s: want '%s', got '%.*s'", c->pre, c->pieces, (int)at, got);
    split_free(&out);
}

/* Every row: pieces are not empty, cover the text, and cut no character; whatever the bytes. */
static void check_cover(const struct pretokenizer *p, const char *text, size_t len) {
    struct split out = {0};
    size_t begin = 0;
    int whole = 1;
    if (split_text(p->name, text, len, &out)) return;
    for (size_t i = 0; i < out.n; begin = out.end[i++]) {
        whole &= out.end[i] > begin;
        for (size_t j = begin; j < out.end[i];) {
            size_t c = utf8_char(text + j, len - j);
            j += c ? c : 1;
            whole &= j <= out.end[i];
        }
    }
    CHECK(whole && begin == len, "%s: %zu pieces of %zu bytes end at %zu", p->name, out.n, len, begin);
    split_free(&out);
}

static void test_cover(void) {
    static const char *const words[] = {"a",
                                        "Z",
                                        " ",
                                        "\n",
                                        "\r",
                                        "\t",
                                        "'s",
                                        "1",
                                        "\xc3\xa9",
                                        "\xe6\x97\xa5",
                                        ".",
                                        "+",
                                        "\xf0\x9f\x98\x80",
                                        "\xff",
                                        "\xe2\x96",
                                        "\0",
                                        "\xe3\x80\x80",
                                        "\xcc\x81"};
    for (const struct pretokenizer *p = pretokenizers; p->name; p++)
        for (uint64_t i = 0; i < 6; i++) {
            char text[256];
            size_t len = 0;
            for (uint64_t j = 0; j < 60; j++) {
                const char *w = words[rng_u64(i, j) % (sizeof words / sizeof *words)];
                size_t n = strlen(w) + !*w;
                memcpy(text + len, w, n);
                len += n;
            }
            check_cover(p, text, len);
        }
}

/* Text outside UTF-8 splits as if each such byte were U+FFFD. */
static void test_invalid(void) {
    static const char bad[] = "ab\xff"
                              "cd \xe2\x82 e",
                      good[] = "ab\xef\xbf\xbd"
                               "cd \xef\xbf\xbd\xef\xbf\xbd e";
    static const size_t want[] = {2, 5, 8, 10};
    struct split a = {0}, b = {0};
    if (split_text("llama-bpe", bad, strlen(bad), &a) || split_text("llama-bpe", good, strlen(good), &b)) return;
    CHECK(a.n == b.n && a.n == 4, "%zu and %zu pieces", a.n, b.n);
    for (size_t i = 0; i < a.n && i < 4; i++)
        CHECK(a.end[i] == want[i], "piece %zu ends at %zu", i, a.end[i]);
    split_free(&a);
    split_free(&b);
}

/* Long runs of one character before a digit: at 2^18 bytes only a row that is not linear in the text takes long. */
static void test_long(void) {
    enum { N = 1 << 18 };
    char *text = malloc(N);
    for (const struct pretokenizer *p = pretokenizers; p->name; p++) {
        static const char fill[] = " aA\n1.\t\xff";
        if (p->flags & PRE_ALIAS) continue;
        for (const char *c = fill; *c; c++) {
            memset(text, *c, N);
            text[N - 1] = '1';
            check_cover(p, text, *c == '\xff' ? N / 8 : N);
        }
    }
    free(text);
}

static void test_utf8(void) {
    static const struct {
        const char *text;
        size_t len, want;
    } chars[] = {{"a", 1, 1},
                 {"", 0, 0},
                 {"\xc3\xa9", 2, 2},
                 {"\xc3\xa9", 1, 0},
                 {"\xc1\x81", 2, 0},
                 {"\xe0\x80\x80", 3, 0},
                 {"\xe0\xa0\x80", 3, 3},
                 {"\xed\xa0\x80", 3, 0},
                 {"\xed\x9f\xbf", 3, 3},
                 {"\xf0\x80\x80\x80", 4, 0},
                 {"\xf0\x90\x80\x80", 4, 4},
                 {"\xf4\x90\x80\x80", 4, 0},
                 {"\xf4\x8f\xbf\xbf", 4, 4},
                 {"\xf5\x80\x80\x80", 4, 0},
                 {"\x80", 1, 0},
                 {"\xe2\x82(", 3, 0}};
    for (size_t i = 0; i < sizeof chars / sizeof *chars; i++)
        CHECK(utf8_char(chars[i].text, chars[i].len) == chars[i].want, "character %zu", i);
}

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
    test_utf8();
    test_invalid();
    test_cover();
    test_long();
    return check_report("tokenizer-split");
}
