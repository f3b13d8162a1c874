/* Files whose tokenizer metadata is missing, of the wrong kind or inconsistent: an error of one line that says what. */
#include <math.h>

#include "check.h"
#include "fake.h"

static const char *const some[] = {"<unk>", "<s>", "</s>", "a", "b", "ab"};
static const float scores[] = {0, 0, 0, -1, -2, -3};
static const int types[] = {2, 3, 3, 1, 1, 1};

/* What a broken file does to one key; all others are as they should be. */
enum fault { LEAVE_OUT, WRONG_KIND, TOO_SHORT, SPECIAL };

struct hostile {
    const char *model, *key;
    enum fault fault;
    int code;
    const char *says;
};

static const struct hostile cases[] = {
    {"llama", "none", LEAVE_OUT, 0, ""},
    {"gpt2", "none", LEAVE_OUT, 0, ""},
    {"bert", "none", LEAVE_OUT, 0, ""},
    {"llama", "tokenizer.ggml.token_type", LEAVE_OUT, 0, ""},
    {"gpt2", "tokenizer.ggml.token_type", LEAVE_OUT, 0, ""},
    {"gpt2", "tokenizer.ggml.pre", LEAVE_OUT, 0, ""},
    {"gpt2", "tokenizer.ggml.scores", LEAVE_OUT, 0, ""},
    {"gpt2", "tokenizer.ggml.merges", TOO_SHORT, 0, ""},
    {"llama", "tokenizer.ggml.model", LEAVE_OUT, ERR_FORMAT, "no tokenizer.ggml.model"},
    {"llama", "tokenizer.ggml.model", WRONG_KIND, ERR_FORMAT, "tokenizer.ggml.model"},
    {"t5", "none", LEAVE_OUT, ERR_UNSUPPORTED, "known are llama, gpt2, bert"},
    {"llama", "tokenizer.ggml.tokens", LEAVE_OUT, ERR_FORMAT, "no tokenizer.ggml.tokens"},
    {"gpt2", "tokenizer.ggml.tokens", LEAVE_OUT, ERR_FORMAT, "no tokenizer.ggml.tokens"},
    {"llama", "tokenizer.ggml.tokens", WRONG_KIND, ERR_FORMAT, "tokens is not an array of strings"},
    {"bert", "tokenizer.ggml.tokens", TOO_SHORT, ERR_FORMAT, "tokens has 0 items"},
    {"llama", "tokenizer.ggml.scores", LEAVE_OUT, ERR_FORMAT, "no tokenizer.ggml.scores"},
    {"llama", "tokenizer.ggml.scores", WRONG_KIND, ERR_FORMAT, "scores is not an array of floats"},
    {"llama", "tokenizer.ggml.scores", TOO_SHORT, ERR_FORMAT, "scores has 5 items, 6 are needed"},
    {"llama", "tokenizer.ggml.scores", SPECIAL, ERR_FORMAT, "item 4 is not a number"},
    {"llama", "tokenizer.ggml.token_type", WRONG_KIND, ERR_FORMAT, "token_type is not an array of integers"},
    {"llama", "tokenizer.ggml.token_type", TOO_SHORT, ERR_FORMAT, "token_type has 5 items, 6 are needed"},
    {"gpt2", "tokenizer.ggml.merges", LEAVE_OUT, ERR_FORMAT, "no tokenizer.ggml.merges"},
    {"gpt2", "tokenizer.ggml.merges", WRONG_KIND, ERR_FORMAT, "merges is not an array of strings"},
    {"gpt2", "tokenizer.ggml.merges", SPECIAL, ERR_FORMAT, "merges: item 1 is not two parts"},
    {"gpt2", "tokenizer.ggml.pre", WRONG_KIND, ERR_FORMAT, "tokenizer.ggml.pre"},
    {"gpt2", "tokenizer.ggml.pre", SPECIAL, ERR_UNSUPPORTED, "default, gpt-2, llama-bpe, starcoder, refact, qwen2"},
    {"llama", "tokenizer.ggml.bos_token_id", SPECIAL, ERR_FORMAT, "bos_token_id is 6, but there are 6 tokens"},
    {"gpt2", "tokenizer.ggml.eos_token_id", SPECIAL, ERR_FORMAT, "eos_token_id is 6"},
    {"bert", "tokenizer.ggml.seperator_token_id", SPECIAL, ERR_FORMAT, "seperator_token_id is 6"},
    {"gpt2", "tokenizer.ggml.eot_token_id", SPECIAL, ERR_FORMAT, "eot_token_id is 6"},
    {"gpt2", "tokenizer.ggml.unknown_token_id", WRONG_KIND, ERR_FORMAT, "unknown_token_id"},
    {"llama", "tokenizer.ggml.add_bos_token", WRONG_KIND, ERR_FORMAT, "add_bos_token"},
    {"llama", "tokenizer.ggml.add_space_prefix", WRONG_KIND, ERR_FORMAT, "add_space_prefix"},
};

/* Number of items to write of n, or -1 if the key is not to be written as usual. */
static int items(struct fake *f, const struct hostile *h, const char *key, int n, int least) {
    if (strcmp(h->key, key)) return n;
    if (h->fault == WRONG_KIND) fake_int(f, key, 7);
    return h->fault == TOO_SHORT ? least : (h->fault == SPECIAL ? n : -1);
}

static void write_arrays(struct fake *f, const struct hostile *h) {
    static const char *const broken[] = {"a b", "ab", " a", "a "};
    static const char *const merges[] = {"a b", "\xc4\xa0 a"};
    const float odd[] = {0, 0, 0, 0, NAN, 0};
    int is_odd = h->fault == SPECIAL, n = items(f, h, "tokenizer.ggml.tokens", 6, 0);
    if (n >= 0) fake_strs(f, "tokenizer.ggml.tokens", some, (size_t)n);
    n = items(f, h, "tokenizer.ggml.scores", 6, 5);
    int bad_score = is_odd && !strcmp(h->key, "tokenizer.ggml.scores");
    if (n >= 0) fake_floats(f, "tokenizer.ggml.scores", bad_score ? odd : scores, (size_t)n);
    n = items(f, h, "tokenizer.ggml.token_type", 6, 5);
    if (n >= 0) fake_ints(f, "tokenizer.ggml.token_type", types, (size_t)n);
    n = items(f, h, "tokenizer.ggml.merges", 2, 0);
    int bad_merge = is_odd && !strcmp(h->key, "tokenizer.ggml.merges");
    if (n >= 0) fake_strs(f, "tokenizer.ggml.merges", bad_merge ? broken : merges, (size_t)n);
}

static void write_file(struct fake *f, const struct hostile *h) {
    if (items(f, h, "tokenizer.ggml.model", 1, 1) > 0) fake_str(f, "tokenizer.ggml.model", h->model);
    int is_pre = !strcmp(h->key, "tokenizer.ggml.pre");
    if (items(f, h, "tokenizer.ggml.pre", 1, 1) > 0)
        fake_str(f, "tokenizer.ggml.pre", is_pre && h->fault == SPECIAL ? "gpt-99" : "gpt-2");
    write_arrays(f, h);
    int is_id = strstr(h->key, "_id") != NULL, is_switch = strstr(h->key, "add_") != NULL;
    if (is_id && h->fault == SPECIAL) fake_int(f, h->key, 6);
    if ((is_id || is_switch) && h->fault == WRONG_KIND) fake_str(f, h->key, "one");
}

static void check_case(const struct hostile *h) {
    struct fake f = {0};
    struct tokenizer *t;
    struct diag d = {0};
    write_file(&f, h);
    int rc = fake_tokenizer(&f, &t, &d);
    CHECK(rc == h->code && (t != NULL) == (rc == 0), "%s %s: %s, '%s'", h->model, h->key, err_name(rc), d.text);
    CHECK(strstr(d.text, h->says) != NULL, "%s %s: '%s' does not say '%s'", h->model, h->key, d.text, h->says);
    CHECK(!strchr(d.text, '\n') && (!rc || !strncmp(d.text, "fake.gguf: ", 11)), "'%s'", d.text);
    int *ids;
    if (t) {
        /* the words of this vocabulary open no word in WordPiece, and it has no unknown token there */
        int n = tokenizer_encode(t, "ab a", 4, TOKENIZE_BOS | TOKENIZE_SPECIAL, &ids, &d);
        CHECK(strcmp(h->model, "bert") ? n > 0 : n == 0, "%s %s: %d tokens, '%s'", h->model, h->key, n, d.text);
        free(ids);
    }
    tokenizer_free(t);
}

/* Texts that are odd but legal: empty, doubled, huge, holding zero bytes; kinds out of range. */
static void test_odd_tokens(void) {
    static char huge[70000];
    memset(huge, 'a', sizeof huge - 1);
    const char *const odd[] = {"", "a", "a", huge, "", "<0x41>", "<0xG1>", "<0x4>"};
    const int kinds[] = {1, 1, 1, 4, 3, 6, 6, 6};
    const float zero[8] = {0};
    struct fake f = {0};
    struct tokenizer *t;
    struct diag d = {0};
    char got[256];
    fake_str(&f, "tokenizer.ggml.model", "llama");
    fake_strs(&f, "tokenizer.ggml.tokens", odd, 8);
    fake_floats(&f, "tokenizer.ggml.scores", zero, 8);
    fake_ints(&f, "tokenizer.ggml.token_type", kinds, 8);
    fake_bool(&f, "tokenizer.ggml.add_space_prefix", 0);
    CHECK(fake_tokenizer(&f, &t, &d) == 0, "%s", d.text);
    CHECK(encodes_to(t, "aaA", 3, 0, "2 2 5", got), "of equal texts the last counts: %s", got);
    CHECK(encodes_to(t, huge, sizeof huge - 1, 0, "3", got), "a token of 69999 bytes: %s", got);
    CHECK(tokenizer_piece(t, 6, 0, 0, NULL, 0) == 6 && tokenizer_piece(t, 5, 0, 0, NULL, 0) == 1, "byte pieces");
    CHECK(tokenizer_piece(t, 3, 0, 0, NULL, 0) == 69999 && tokenizer_piece(t, 0, 0, 0, NULL, 0) == 0, "pieces");
    tokenizer_free(t);
}

/* Tokens without any text: nothing of a text can be met, but nothing may be read either. */
static void test_empty_tokens(const char *model) {
    const char *const empty[] = {"", "", "", ""};
    const float zero[4] = {0};
    struct fake f = {0};
    struct tokenizer *t;
    struct diag d = {0};
    int *ids = NULL;
    fake_str(&f, "tokenizer.ggml.model", model);
    fake_str(&f, "tokenizer.ggml.pre", "gpt-2");
    fake_strs(&f, "tokenizer.ggml.tokens", empty, 4);
    fake_floats(&f, "tokenizer.ggml.scores", zero, 4);
    fake_strs(&f, "tokenizer.ggml.merges", empty, 0);
    CHECK(fake_tokenizer(&f, &t, &d) == 0, "%s: %s", model, d.text);
    int n = tokenizer_encode(t, "ab", 2, 0, &ids, &d);
    CHECK(n >= 0, "%s: %d tokens, '%s'", model, n, d.text);
    free(ids);
    tokenizer_free(t);
}

static void test_text_size(void) {
    struct tokenizer *t;
    struct diag d = {0};
    int *ids = (int *)&d;
    tokenizer_new_bytes(&t, 256, NULL);
    CHECK(tokenizer_encode(t, "", (size_t)1 << 40, 0, &ids, &d) == ERR_RANGE && !ids, "%s", d.text);
    tokenizer_free(t);
}

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
    test_odd_tokens();
    test_empty_tokens("llama");
    test_empty_tokens("gpt2");
    test_empty_tokens("bert");
    test_text_size();
    return check_report("tokenizer-hostile");
}
