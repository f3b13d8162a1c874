/* wordpiece.c - BERT's tokenizer, as llama.cpp runs it: text is folded to small letters without accents and cut at
 * white space, punctuation and CJK characters; each word is then the longest tokens that spell it from left to right,
 * or the unknown token. Tokens that open a word are stored with U+2581 in front. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Stand alone: punctuation, ASCII symbols, ideographs (the ranges of BERT's own tokenizer). */
#define ALONE                                                                                                          \
    "\\p{P}$+<=>^`|~\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{20000}-\\x{2A6DF}\\x{2A700}-\\x{2B81F}"                  \
    "\\x{2B920}-\\x{2CEAF}\\x{F900}-\\x{FAFF}\\x{2F800}-\\x{2FA1F}"

static const char *const word_rules[] = {"[" SPLIT_SPACES "]+", "[" ALONE "]", NULL};

static const struct fold_run {
    uint32_t first;
    uint32_t count;
    uint8_t step;
    uint32_t folded;
    uint8_t folded_step;
} fold_runs[] = {
#include "fold_table.h"
};

/* The small letter without accents; 0: the character is left out. */
static uint32_t fold_char(uint32_t c) {
    if (c >= 0xac00 && c <= 0xd7a3) return 0x1100 + (c - 0xac00) / 588; /* Hangul: its first letter, as llama.cpp */
    size_t lo = 0, hi = sizeof fold_runs / sizeof *fold_runs;
    while (lo < hi) { /* the last run that starts at or before c is lo - 1 */
        size_t mid = (lo + hi) / 2;
        if (fold_runs[mid].first <= c)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo) return c;
    const struct fold_run *run = &fold_runs[lo - 1];
    uint32_t i = (c - run->first) / run->step;
    return i < run->count && (c - run->first) % run->step == 0 ? run->folded + i * run->folded_step : c;
}

static uint32_t read_char(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    static const uint8_t lead_mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & lead_mask[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

static size_t write_char(char *out, uint32_t c) {
    size_t n = c < 0x80 ? 1 : (c < 0x800 ? 2 : (c < 0x10000 ? 3 : 4));
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* White space, as in SPLIT_SPACES. */
static int is_space(uint32_t c) {
    return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static int load(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    (void)g;
    return splitter_new(&t->splitter, word_rules, d);
}

/* Folds text into run->text, leaving out marks, control characters and bytes outside UTF-8. No character grows by more
 * than two bytes. */
static int fold_text(struct encode_run *run, const char *text, size_t len, size_t *folded) {
    size_t at = 0;
    if (run_reserve_text(run, 3 * len + 4)) return ERR_MEMORY;
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = utf8_char(text + i, len - i);
        uint32_t c = n ? fold_char(read_char(text + i, n)) : 0;
        if (c) at += write_char(run->text + at, c);
    }
    *folded = at;
    return 0;
}

/* Bytes of the longest token at word[at..len), its id in *id; 0 if there is none. */
static size_t longest_token(const struct vocab *v, const char *word, size_t at, size_t len, int *id) {
    size_t n = len - at < v->max_len ? len - at : v->max_len;
    for (; n; n--) {
        *id = vocab_token(v, strtab_find(&v->text, word + at, n));
        if (*id >= 0) return n;
    }
    return 0;
}

static int encode_word(const struct tokenizer *t, struct encode_run *run, const char *word, size_t len) {
    size_t before = run->n;
    for (size_t at = 0, n; at < len; at += n) {
        int id;
        n = longest_token(&t->vocab, word, at, len, &id);
        if (!n) { /* one part unknown: the whole word is */
            run->n = before;
            return t->unk < 0 ? 0 : run_push(run, t->unk);
        }
        if (run_push(run, id)) return ERR_MEMORY;
    }
    return 0;
}

static int encode(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len, struct diag *d) {
    size_t folded, begin = 0;
    int rc = fold_text(run, text, len, &folded);
    if (!rc) rc = splitter_run(t->splitter, &run->split, run->text, folded, d);
    if (rc) return rc;
    char *word = malloc(folded + 3); /* U+2581, then the word */
    if (!word) return ERR_MEMORY;
    memcpy(word, "\xe2\x96\x81", 3);
    for (size_t i = 0; !rc && i < run->split.n; begin = run->split.end[i++]) {
        const char *piece_text = run->text + begin;
        size_t bytes = run->split.end[i] - begin;
        if (is_space(read_char(piece_text, utf8_char(piece_text, bytes)))) continue;
        memcpy(word + 3, piece_text, bytes);
        rc = encode_word(t, run, word, bytes + 3);
    }
    free(word);
    return rc;
}

static int piece(const struct tokenizer *t, int id, int first, char *buf, int cap) {
    return piece_spaced(t, id, first, buf, cap);
}

const struct tokenizer_kind kind_wordpiece = {
    .name = "bert",
    .description = "WordPiece",
    .bos = 101,
    .eos = 102,
    .unk = 100,
    .add_bos = 1,
    .add_eos = 1,
    .load = load,
    .encode = encode,
    .piece = piece,
};
