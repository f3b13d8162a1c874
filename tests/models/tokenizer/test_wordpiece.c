/* WordPiece: folding, cutting and the longest tokens. Ids follow from the list below by hand. */
#include "check.h"
#include "fake.h"

#define SP "\xe2\x96\x81" /* U+2581: opens a word */

/* Numbered from 0; [CLS] 0, [SEP] 1, [UNK] 2, [MASK] 3 */
static const char *const tokens[] = {
    "[CLS]", "[SEP]",   "[UNK]", "[MASK]", SP "hello",        SP "hell",         "o",
    "s",     SP "cafe", SP ",",  SP "$",   SP "\xe6\x97\xa5", SP "\xe6\x9c\xac", SP "un",
    "aff",   "able",    SP "o",  "r",      SP "m\xc3\xb8l",
};
enum { N = sizeof tokens / sizeof *tokens };

static struct tokenizer *open_words(void) {
    int types[N] = {3, 3, 2, 3};
    struct fake f = {0};
    struct tokenizer *t;
    struct diag d = {0};
    for (int i = 4; i < N; i++)
        types[i] = 1;
    fake_str(&f, "tokenizer.ggml.model", "bert");
    fake_strs(&f, "tokenizer.ggml.tokens", tokens, N);
    fake_ints(&f, "tokenizer.ggml.token_type", types, N);
    fake_int(&f, "tokenizer.ggml.bos_token_id", 0);
    fake_int(&f, "tokenizer.ggml.seperator_token_id", 1);
    fake_int(&f, "tokenizer.ggml.unknown_token_id", 2);
    CHECK(fake_tokenizer(&f, &t, &d) == 0, "%s", d.text);
    return t;
}

int main(void) {
    static const struct {
        const char *text;
        int flags;
        const char *ids;
    } cases[] = {
        {"hello", TOKENIZE_BOS | TOKENIZE_EOS, "0 4 1"},
        {"", TOKENIZE_BOS | TOKENIZE_EOS, "0 1"},
        {"Hello HELLOS", 0, "4 4 7"},
        {"unaffable", 0, "13 14 15"},
        {"unaffables!", 0, "13 14 15 7 2"},
        {"unaffablex", 0, "2"}, /* one unknown part: the whole word */
        {"caf\xc3\xa9 cafe\xcc\x81 CAF\xc3\x89", 0, "8 8 8"},
        {"M\xc3\x98L", 0, "18"}, /* a stroke is no accent */
        {"hello,hello$", 0, "4 9 4 10"},
        {"\xe6\x97\xa5\xe6\x9c\xac", 0, "11 12"},
        {"hel\xc2\xadlo h\xe2\x80\x8b"
         "ello \xff"
         "hello",
         0, "4 4 4"}, /* soft hyphen, no-width space, no UTF-8 */
        {"\t hello\xc2\xa0\n\xe3\x80\x80o ", 0, "4 16"},
        {"[MASK] hello", TOKENIZE_SPECIAL, "3 4"},
        {"[MASK]", 0, "2 2 2"},
        {"or", 0, "16 17"},
    };
    struct tokenizer *t = open_words();
    char got[256], *text = NULL;
    size_t len = 0;
    for (size_t i = 0; t && i < sizeof cases / sizeof *cases; i++)
        CHECK(encodes_to(t, cases[i].text, strlen(cases[i].text), cases[i].flags, cases[i].ids, got),
              "'%s': want %s, got %s", cases[i].text, cases[i].ids, got);
    static const int ids[] = {0, 4, 7, 8, 1};
    CHECK(t && tokenizer_decode(t, ids, 5, 0, &text, &len, NULL) == 0 && !strcmp(text, "hellos cafe"), "decodes");
    free(text);
    tokenizer_free(t);
    return check_report("tokenizer-wordpiece");
}
