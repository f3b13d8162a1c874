/* SPM and BPE on vocabularies made here: order of merges, fallbacks, special tokens, defaults; against a plain
 * quadratic merger on random vocabularies; and long inputs. */
#include "base/hash.h"
#include "check.h"
#include "fake.h"

#define SP "\xe2\x96\x81" /* U+2581 */

static struct tokenizer *open_fake(struct fake *f) {
    struct tokenizer *t;
    struct diag d = {0};
    CHECK(fake_tokenizer(f, &t, &d) == 0, "%s", d.text);
    if (!t) exit(check_report("tokenizer-merges"));
    return t;
}

static void expect(const struct tokenizer *t, const char *text, int flags, const char *ids) {
    char got[256];
    CHECK(encodes_to(t, text, strlen(text), flags, ids, got), "'%s' flags %d: want '%s', got '%s'", text, flags, ids,
          got);
}

/* ---- SPM ---- */

/* 0 <unk> 1 <s> 2 </s> 3.. below, then no byte tokens: what is not in the list is unknown. */
static const char *const spm_tokens[] = {"<unk>", "<s>", "</s>", SP,   "a",   "b",   "c",     "ab", "bc",
                                         SP "a",  "abc", "x",    "xx", "xxx", "[U]", "<ctl>", "q q"};
static const float spm_scores[] = {0, 0, 0, -9, -9, -9, -9, -2, -1, -3, -4, -9, -5, -6, 0, 0, 0};
static const int spm_types[] = {2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 3, 4};
enum { SPM_N = sizeof spm_types / sizeof *spm_types };

static void spm_file(struct fake *f) {
    fake_str(f, "tokenizer.ggml.model", "llama");
    fake_strs(f, "tokenizer.ggml.tokens", spm_tokens, SPM_N);
    fake_floats(f, "tokenizer.ggml.scores", spm_scores, SPM_N);
    fake_ints(f, "tokenizer.ggml.token_type", spm_types, SPM_N);
}

static void test_spm_order(void) {
    struct fake f = {0};
    spm_file(&f);
    struct tokenizer *t = open_fake(&f);
    expect(t, "abc", 0, "9 8"); /* bc (-1) goes first, then the space takes a */
    expect(t, "cab", 0, "3 6 7"); /* ab (-2) before space a */
    expect(t, "a a", 0, "9 9");
    expect(t, "xxxx", 0, "3 12 12"); /* equal scores from the left: xx xx, not x xxx */
    expect(t, "xxxxx", 0, "3 12 13"); /* xx xx x, then xx x */
    expect(t,
           "\xc3\xa9"
           "b",
           0, "3 0 0 5"); /* no byte tokens: one unknown a byte */
    expect(t, "a", TOKENIZE_BOS, "1 9");
    expect(t, "a", TOKENIZE_EOS, "9");
    expect(t, "a<ctl>a", 0, "9 0 6 0 0 0 4"); /* < t l > are unknown */
    expect(t, "a<ctl>a", TOKENIZE_SPECIAL, "9 15 9");
    expect(t, "a[U]a", 0, "9 14 9"); /* user-defined: always, and a space follows it too */
    expect(t, "q qa", 0, "16 9"); /* stored as it reads, with a plain space */
    expect(t, "</s><s>", TOKENIZE_SPECIAL, "2 1");
    CHECK(tokenizer_is_special(t, 14) && tokenizer_is_special(t, 15) && !tokenizer_is_special(t, 4), "special");
    CHECK(tokenizer_is_end(t, 2) && !tokenizer_is_end(t, 15), "ends");
    CHECK(round_trips(t, "abc xxx [U]aq qb", 16, 0), "round trip");
    CHECK(tokenizer_piece(t, 9, 0, 0, NULL, 0) == 2 && tokenizer_piece(t, 9, 1, 0, NULL, 0) == 1, "first space");
    CHECK(tokenizer_piece(t, 15, 0, 0, NULL, 0) == 0 && tokenizer_piece(t, 15, 0, 1, NULL, 0) == 5, "control");
    CHECK(tokenizer_piece(t, 14, 0, 0, NULL, 0) == 3, "user-defined tokens have text");
    tokenizer_free(t);
}

static void test_spm_switches(void) {
    struct fake f = {0};
    spm_file(&f);
    fake_bool(&f, "tokenizer.ggml.add_space_prefix", 0);
    fake_bool(&f, "tokenizer.ggml.add_bos_token", 0);
    fake_bool(&f, "tokenizer.ggml.add_eos_token", 1);
    fake_int(&f, "tokenizer.ggml.eos_token_id", 10);
    fake_int(&f, "tokenizer.ggml.eot_token_id", 11);
    struct tokenizer *t = open_fake(&f);
    expect(t, "abc", TOKENIZE_BOS | TOKENIZE_EOS, "10 10"); /* no space in front that would take the a */
    expect(t, " a", 0, "9");
    expect(t, "", TOKENIZE_BOS | TOKENIZE_EOS, "10");
    CHECK(tokenizer_is_end(t, 10) && tokenizer_is_end(t, 11) && tokenizer_is_end(t, 2), "eos, eot and </s> end");
    CHECK(tokenizer_eos(t) == 10 && !tokenizer_adds_bos(t) && tokenizer_adds_eos(t), "switches");
    CHECK(round_trips(t, " a abc", 6, 0), "a leading space stays");
    tokenizer_free(t);
    spm_file(&f);
    fake_int(&f, "tokenizer.ggml.bos_token_id", 0xffffffffu);
    t = open_fake(&f);
    CHECK(tokenizer_bos(t) == -1 && !tokenizer_adds_bos(t), "-1 is no bos");
    tokenizer_free(t);
}

/* ---- random vocabularies against a plain merger ---- */

enum { MAX_WORDS = 700, MAX_WORD = 24, MAX_RULES = 150 };

struct model {
    char word[MAX_WORDS][MAX_WORD];
    const char *name[MAX_WORDS];
    float score[MAX_WORDS];
    int type[MAX_WORDS];
    int n;
    char left[MAX_RULES][MAX_WORD], right[MAX_RULES][MAX_WORD], rule[MAX_RULES][2 * MAX_WORD];
    const char *rule_name[MAX_RULES];
    int n_rules;
    uint64_t key, at;
};

static unsigned pick(struct model *m, unsigned n) {
    return (unsigned)(rng_u64(m->key, m->at++) % n);
}

static int find_word(const struct model *m, const char *s, size_t len) {
    for (int i = 0; i < m->n; i++)
        if (strlen(m->name[i]) == len && !memcmp(m->name[i], s, len)) return i;
    return -1;
}

static int add_word(struct model *m, const char *s, float score, int type) {
    int known = find_word(m, s, strlen(s));
    if (known >= 0 || m->n == MAX_WORDS) return known;
    snprintf(m->word[m->n], MAX_WORD, "%s", s);
    m->name[m->n] = m->word[m->n];
    m->score[m->n] = score;
    m->type[m->n] = type;
    return m->n++;
}

/* Symbols of a text: [begin, end) each, merged in place by the best pair, leftmost of equals, until there is none. */
struct span {
    size_t begin, end;
};

static int best_spm(const struct model *m, const char *text, const struct span *s, int n) {
    int best = -1;
    float score = 0;
    for (int i = 0; i + 1 < n; i++) {
        int id = find_word(m, text + s[i].begin, s[i + 1].end - s[i].begin);
        if (id < 0 || (best >= 0 && m->score[id] <= score)) continue;
        best = i;
        score = m->score[id];
    }
    return best;
}

static int same(const char *want, const char *text, struct span s) {
    return strlen(want) == s.end - s.begin && !memcmp(want, text + s.begin, s.end - s.begin);
}

static int best_bpe(const struct model *m, const char *text, const struct span *s, int n) {
    int best = -1, rank = MAX_RULES;
    for (int i = 0; i + 1 < n; i++)
        for (int r = 0; r < rank; r++)
            if (r < m->n_rules && same(m->left[r], text, s[i]) && same(m->right[r], text, s[i + 1])) {
                best = i;
                rank = r;
            }
    return best;
}

static int plain_merge(const struct model *m, int spm, const char *text, struct span *s, int n) {
    for (int i; (i = spm ? best_spm(m, text, s, n) : best_bpe(m, text, s, n)) >= 0; n--) {
        s[i].end = s[i + 1].end;
        memmove(s + i + 1, s + i + 2, (size_t)(n - i - 2) * sizeof *s);
    }
    return n;
}

static int plain_encode(const struct model *m, int spm, const char *text, size_t len, int *ids) {
    struct span s[256];
    int n = 0, n_ids = 0;
    for (size_t i = 0, c; i < len; i += c) {
        c = !spm || (text[i] & 0x80) == 0 ? 1 : ((text[i] & 0x20) == 0 ? 2 : 3);
        s[n++] = (struct span){i, i + c};
    }
    n = plain_merge(m, spm, text, s, n);
    for (int i = 0; i < n; i++) {
        int id = find_word(m, text + s[i].begin, s[i].end - s[i].begin);
        for (size_t j = s[i].begin; id < 0 && j < s[i].end; j++)
            ids[n_ids++] = spm ? (unsigned char)text[j] : find_word(m, text + j, 1);
        if (id >= 0) ids[n_ids++] = id;
    }
    return n_ids;
}

static void compare(const struct model *m, const struct tokenizer *t, int spm, const char *text, const char *inside) {
    int want[512], *ids;
    char a[2048], b[2048];
    int n_want = plain_encode(m, spm, inside, strlen(inside), want);
    int n = tokenizer_encode(t, text, strlen(text), 0, &ids, NULL);
    CHECK(n == n_want && !memcmp(ids, want, (size_t)n * sizeof *ids), "key %d, '%s': want %s, got %s", (int)m->key,
          text, ids_text(want, n_want, a, sizeof a), ids_text(ids, n, b, sizeof b));
    free(ids);
    CHECK(round_trips(t, text, strlen(text), 0), "key %d, '%s' does not come back", (int)m->key, text);
}

static const char *const letters[] = {"a", "b", "c", "\xc3\xa9", SP, "d", "\xe6\x97\xa5"};

/* Strings of 2 to 5 letters of which only some are tokens themselves, scores with many ties. */
static void random_spm(uint64_t key) {
    static struct model m;
    struct fake f = {0};
    char names[256][8];
    memset(&m, 0, sizeof m);
    m.key = key;
    fake_byte_names(names);
    for (int i = 0; i < 256; i++)
        add_word(&m, names[i], 0, 6);
    add_word(&m, SP, -20, 1);
    for (int i = 0; i < 7; i++)
        if (pick(&m, 4)) add_word(&m, letters[i], -20, 1);
    for (unsigned i = 0, n = 20 + pick(&m, 300); i < n; i++) {
        char word[MAX_WORD] = "";
        for (unsigned j = 0, k = 2 + pick(&m, 4); j < k; j++)
            strcat(word, letters[pick(&m, 7)]);
        add_word(&m, word, -(float)pick(&m, 9), 1);
    }
    fake_str(&f, "tokenizer.ggml.model", "llama");
    fake_strs(&f, "tokenizer.ggml.tokens", m.name, (size_t)m.n);
    fake_floats(&f, "tokenizer.ggml.scores", m.score, (size_t)m.n);
    fake_ints(&f, "tokenizer.ggml.token_type", m.type, (size_t)m.n);
    struct tokenizer *t = open_fake(&f);
    for (int i = 0; i < 30; i++) {
        char text[200] = "", inside[300] = SP;
        for (unsigned j = 0, n = 1 + pick(&m, 40); j < n; j++) {
            unsigned c = pick(&m, 7);
            strcat(text, c == 4 ? " " : letters[c]);
            strcat(inside, letters[c]);
        }
        compare(&m, t, 1, text, inside);
    }
    tokenizer_free(t);
}

static const char *const plain[] = {"a", "b", "c", "d", "e"};

static void random_part(struct model *m, char part[MAX_WORD]) {
    unsigned from = pick(m, 5 + (unsigned)m->n_rules);
    char both[2 * MAX_WORD];
    snprintf(both, sizeof both, "%s%s", from < 5 ? plain[from] : m->left[from - 5], from < 5 ? "" : m->right[from - 5]);
    snprintf(part, MAX_WORD, "%.*s", MAX_WORD - 1, both); /* the longest are cut */
}

/* Rules join letters and results of earlier rules; a fifth of the results are no tokens. */
static void random_bpe(uint64_t key) {
    static struct model m;
    struct fake f = {0};
    memset(&m, 0, sizeof m);
    m.key = key;
    for (int i = 0; i < 5; i++)
        add_word(&m, plain[i], 0, 1);
    for (unsigned i = 0, n = 3 + pick(&m, MAX_RULES - 3); i < n; i++) {
        char l[MAX_WORD], r[MAX_WORD], both[2 * MAX_WORD];
        random_part(&m, l);
        random_part(&m, r);
        if (strlen(l) + strlen(r) > 12) continue;
        memcpy(m.left[m.n_rules], l, MAX_WORD);
        memcpy(m.right[m.n_rules], r, MAX_WORD);
        snprintf(both, sizeof both, "%s %s", l, r);
        memcpy(m.rule[m.n_rules], both, sizeof both);
        m.rule_name[m.n_rules] = m.rule[m.n_rules];
        m.n_rules++;
        snprintf(both, sizeof both, "%s%s", l, r);
        if (pick(&m, 5)) add_word(&m, both, 0, 1);
    }
    fake_str(&f, "tokenizer.ggml.model", "gpt2");
    fake_str(&f, "tokenizer.ggml.pre", "gpt-2");
    fake_strs(&f, "tokenizer.ggml.tokens", m.name, (size_t)m.n);
    fake_strs(&f, "tokenizer.ggml.merges", m.rule_name, (size_t)m.n_rules);
    struct tokenizer *t = open_fake(&f);
    for (int i = 0; i < 30; i++) {
        char text[64] = "";
        for (unsigned j = 0, n = 1 + pick(&m, 60); j < n; j++)
            strcat(text, plain[pick(&m, 5)]);
        compare(&m, t, 0, text, text);
    }
    tokenizer_free(t);
}

/* ---- BPE ---- */

/* 0..255 the bytes; then the joined words. */
static void bpe_file(struct fake *f, const char *pre) {
    static const char *const more[] = {"\304\240a", "ab", "abc", "zz", "<|end|>", "[U]", "hello"};
    static const char *const merges[] = {"\304\240 a", "b c", "a b", "a bc", "z z", "zz zz"};
    const char *names[256 + 7];
    char chars[256][8];
    int types[256 + 7];
    fake_byte_chars(chars);
    for (int i = 0; i < 256 + 7; i++) {
        names[i] = i < 256 ? chars[i] : more[i - 256];
        types[i] = i == 260 ? 3 : (i == 261 ? 4 : 1);
    }
    fake_str(f, "tokenizer.ggml.model", "gpt2");
    if (pre) fake_str(f, "tokenizer.ggml.pre", pre);
    fake_strs(f, "tokenizer.ggml.tokens", names, 256 + 7);
    fake_ints(f, "tokenizer.ggml.token_type", types, 256 + 7);
    fake_strs(f, "tokenizer.ggml.merges", merges, 6);
}

static void test_bpe_rules(void) {
    struct fake f = {0};
    bpe_file(&f, "gpt-2");
    struct tokenizer *t = open_fake(&f);
    expect(t, "a a", 0, "97 256");
    expect(t, "ab", 0, "257");
    expect(t, "abc", 0, "258"); /* b c first, then a bc; "bc" itself is no token */
    expect(t, "bc", 0, "98 99"); /* falls back to bytes */
    expect(t, "zzzz", 0, "122 122 122 122"); /* joined to zzzz, which is no token */
    expect(t, "zzz", 0, "259 122");
    expect(t, "hello", 0, "104 101 108 108 111"); /* a token that no merge reaches */
    expect(t, "a<|end|>a", 0, "97 60 124 101 110 100 124 62 97");
    expect(t, "a<|end|>a", TOKENIZE_SPECIAL, "97 260 97");
    expect(t, "a[U] a", 0, "97 261 256");
    expect(t, "a", TOKENIZE_BOS | TOKENIZE_EOS, "97");
    CHECK(tokenizer_is_end(t, 260) && tokenizer_bos(t) == -1, "end by name, no bos");
    char all[512];
    for (int i = 0; i < 512; i++)
        all[i] = (char)(i < 256 ? i : 511 - i);
    CHECK(round_trips(t, all, 512, 0), "all bytes up and down");
    tokenizer_free(t);
}

static void test_bpe_defaults(void) {
    struct fake f = {0};
    bpe_file(&f, "llama-bpe");
    fake_int(&f, "tokenizer.ggml.bos_token_id", 255);
    struct tokenizer *t = open_fake(&f);
    expect(t, "hello", TOKENIZE_BOS, "255 262"); /* the whole word is a token */
    expect(t, "hellohello", 0, "104 101 108 108 111 104 101 108 108 111");
    tokenizer_free(t);
    bpe_file(&f, NULL);
    t = open_fake(&f);
    CHECK(!strcmp(tokenizer_pre(t), "default") && !tokenizer_adds_bos(t), "without tokenizer.ggml.pre: default");
    expect(t, "a+b", 0, "97 43 98");
    tokenizer_free(t);
}

/* ---- special tokens, longest first ---- */

static void test_specials(void) {
    static const char *const tokens[] = {"a", "b", "ab", "abab", "bab", "  ", "    ", " ", "b<", "<c>"};
    static const int types[] = {1, 1, 4, 4, 4, 4, 4, 1, 3, 4};
    const float scores[10] = {0};
    struct fake f = {0};
    fake_str(&f, "tokenizer.ggml.model", "llama");
    fake_strs(&f, "tokenizer.ggml.tokens", tokens, 10);
    fake_floats(&f, "tokenizer.ggml.scores", scores, 10);
    fake_ints(&f, "tokenizer.ggml.token_type", types, 10);
    fake_bool(&f, "tokenizer.ggml.add_space_prefix", 0);
    struct tokenizer *t = open_fake(&f);
    expect(t, "ababab", 0, "3 2");
    expect(t, "babab", 0, "1 3"); /* abab, though bab comes first */
    expect(t, "aab", 0, "0 2");
    expect(t, "bab", 0, "4");
    expect(t, "       a", 0, "6 5 0 0 0 0"); /* 4 + 2 blanks; the seventh: U+2581 is unknown, id 0, three bytes */
    expect(t, "ab<c>", TOKENIZE_SPECIAL, "2 9");
    expect(t, "bb<c>", 0, "1 1 9");
    tokenizer_free(t);
}

/* ---- long inputs ---- */

static void check_long(const struct tokenizer *t, const char *unit, size_t bytes) {
    size_t n = strlen(unit);
    char *text = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        text[i] = unit[i % n];
    CHECK(round_trips(t, text, bytes, 0), "%zu bytes of '%s'", bytes, unit);
    free(text);
}

/* Tokens of 1, 2, 4, ... letters: all of a megabyte merges in one word. */
static void test_long(void) {
    static const char *const units[] = {"a", " ", "\xff", "z", "[U]"};
    struct fake f = {0};
    bpe_file(&f, "gpt-2");
    struct tokenizer *bpe = open_fake(&f);
    const char *tokens[256 + 12];
    char names[256][8], word[12][2049] = {""};
    float scores[256 + 12] = {0};
    fake_byte_names(names);
    for (size_t i = 0; i < 256 + 12; i++) {
        if (i >= 256) memset(word[i - 256], 'a', (size_t)1 << (i - 256));
        tokens[i] = i < 256 ? names[i] : word[i - 256];
        scores[i] = (float)i;
    }
    fake_str(&f, "tokenizer.ggml.model", "llama");
    fake_strs(&f, "tokenizer.ggml.tokens", tokens, 256 + 12);
    fake_floats(&f, "tokenizer.ggml.scores", scores, 256 + 12);
    fake_bool(&f, "tokenizer.ggml.add_space_prefix", 0);
    struct tokenizer *spm = open_fake(&f);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t bytes = i ? 1 << 18 : 1 << 20;
        check_long(bpe, units[i], bytes);
        if (!strchr(units[i], ' ')) check_long(spm, units[i], bytes); /* no token holds the space's U+2581 */
    }
    tokenizer_free(spm);
    tokenizer_free(bpe);
}

static void test_bytes(void) {
    struct tokenizer *t;
    struct diag d = {0};
    char piece[16];
    CHECK(tokenizer_new_bytes(&t, 0, &d) == ERR_RANGE && !t, "no tokens");
    CHECK(tokenizer_new_bytes(&t, 32000, &d) == 0, "%s", d.text);
    expect(t, "Az\xff", TOKENIZE_BOS | TOKENIZE_EOS | TOKENIZE_SPECIAL, "65 122 255");
    CHECK(round_trips(t, "any \xff\xfe bytes", 12, 0), "round trip");
    CHECK(tokenizer_piece(t, 300, 0, 0, piece, 16) == 5 && !memcmp(piece, "[300]", 5), "a number");
    CHECK(tokenizer_bos(t) == -1 && tokenizer_eos(t) == -1 && !tokenizer_is_end(t, 0), "no special tokens");
    tokenizer_free(t);
    tokenizer_new_bytes(&t, 10, &d);
    expect(t, "Az", 0, "5 2");
    tokenizer_free(t);
    tokenizer_free(NULL);
}

int main(void) {
    test_spm_order();
    test_spm_switches();
    test_bpe_rules();
    test_bpe_defaults();
    test_specials();
    test_bytes();
    for (uint64_t key = 0; key < 40; key++) {
        random_spm(key);
        random_bpe(key);
    }
    test_long();
    return check_report("tokenizer-merges");
}
