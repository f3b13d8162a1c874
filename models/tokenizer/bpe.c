/* bpe.c - byte-level BPE: each byte is written as a printable character, words are merged by rank. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"

struct merge_rule {
    int left, right; /* numbers in the vocabulary's strings; left -1: empty slot */
    int joined;
    uint32_t rank;
};

struct bpe {
    struct merge_rule *rule; /* hash table of n_slots, a power of two, at most half full */
    uint32_t n_slots;
    int byte_text[256]; /* number of the character that stands for a byte */
};

/* GPT-2's alphabet: bytes that print in Latin-1 stand for themselves, the others follow from U+0100 on. */
static unsigned byte_char(unsigned byte) {
    int prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    if (prints) return byte;
    if (byte <= 0x20) return 0x100 + byte;
    return byte == 0xad ? 0x143 : 0x100 + 0x21 + (byte - 0x7f);
}

static int write_char(char out[2], unsigned c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

/* The byte a character of the alphabet stands for, or -1. */
static int char_byte(unsigned c) {
    if (c >= 0x100 && c <= 0x120) return (int)(c - 0x100);
    if (c > 0x120 && c <= 0x142) return (int)(c - 0x121 + 0x7f);
    if (c == 0x143) return 0xad;
    return c < 0x100 && byte_char(c) == c ? (int)c : -1;
}

static uint32_t rule_slot(const struct bpe *b, int left, int right) {
    uint32_t mask = b->n_slots - 1;
    uint32_t i = (uint32_t)hash_mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & mask;
    while (b->rule[i].left >= 0 && (b->rule[i].left != left || b->rule[i].right != right))
        i = (i + 1) & mask;
    return i;
}

static int find_rule(const void *context, const struct merge_symbol *left, const struct merge_symbol *right,
                     uint32_t *order) {
    const struct bpe *b = context;
    if (left->text < 0 || right->text < 0) return -1;
    const struct merge_rule *r = &b->rule[rule_slot(b, left->text, right->text)];
    *order = r->rank;
    return r->left < 0 ? -1 : r->joined;
}

/* "left right": the first space after the first byte parts them. The first of equal rules stands. */
static int add_rule(struct bpe *b, struct vocab *v, struct gguf_str s, uint64_t rank, char *joined,
                    const struct gguf *g, struct diag *d) {
    const char *space = s.len > 1 ? memchr(s.data + 1, ' ', s.len - 1) : NULL;
    size_t left_len = space ? (size_t)(space - s.data) : 0, right_len = space ? s.len - left_len - 1 : 0;
    if (!right_len)
        return diag_set(d, ERR_FORMAT, "%s: tokenizer.ggml.merges: item %llu is not two parts with a space between",
                        g->path, (unsigned long long)rank);
    memcpy(joined, s.data, left_len);
    memcpy(joined + left_len, space + 1, right_len);
    int left = strtab_add(&v->text, s.data, left_len), right = strtab_add(&v->text, space + 1, right_len);
    int both = strtab_add(&v->text, joined, left_len + right_len);
    if (left < 0 || right < 0 || both < 0) return ERR_MEMORY;
    struct merge_rule *r = &b->rule[rule_slot(b, left, right)];
    if (r->left < 0) *r = (struct merge_rule){left, right, both, (uint32_t)rank};
    return 0;
}

static int load_rules(struct bpe *b, struct vocab *v, const struct gguf *g, struct diag *d) {
    const struct gguf_kv *merges;
    int rc = vocab_array(&merges, g, "tokenizer.ggml.merges", 's', 0, 1, d);
    if (rc) return rc;
    if (merges->count >= 1u << 28)
        return diag_set(d, ERR_UNSUPPORTED, "%s: tokenizer.ggml.merges has %llu items: too many", g->path,
                        (unsigned long long)merges->count);
    for (b->n_slots = 16; b->n_slots < 2 * merges->count; b->n_slots *= 2)
        continue;
    b->rule = malloc(b->n_slots * sizeof *b->rule);
    struct gguf_str *strings = gguf_strings(merges);
    size_t longest = 1;
    for (uint64_t i = 0; strings && i < merges->count; i++)
        if (strings[i].len > longest) longest = strings[i].len;
    char *joined = malloc(longest);
    rc = b->rule && strings && joined ? 0 : ERR_MEMORY;
    for (uint32_t i = 0; !rc && i < b->n_slots; i++)
        b->rule[i].left = -1;
    for (uint64_t i = 0; !rc && i < merges->count; i++)
        rc = add_rule(b, v, strings[i], i, joined, g, d);
    free(joined);
    free(strings);
    return rc;
}

static int load_bytes(struct bpe *b, struct vocab *v) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char c[2];
        int len = write_char(c, byte_char(byte));
        b->byte_text[byte] = strtab_add(&v->text, c, (size_t)len);
        if (b->byte_text[byte] < 0) return ERR_MEMORY;
        int id = vocab_token(v, b->byte_text[byte]);
        if (id >= 0) v->byte_token[byte] = id;
    }
    return 0;
}

static int load_pre(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    struct gguf_str name;
    int rc = gguf_get_str(g, "tokenizer.ggml.pre", &name, d);
    if (rc) return rc;
    t->pre = name.len ? pretokenizer_find(name.data, (size_t)name.len) : pretokenizer_find("default", 7);
    char known[400];
    if (!t->pre)
        return diag_set(d, ERR_UNSUPPORTED, "%.60s: unknown tokenizer.ggml.pre '%.*s'; known are %s", g->path,
                        (int)(name.len < 40 ? name.len : 40), name.data, pretokenizer_names(known, sizeof known));
    t->add_bos = t->pre->flags & PRE_BOS ? 1 : 0;
    return splitter_new(&t->splitter, t->pre->rules, d);
}

static int load(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    struct bpe *b = t->own = calloc(1, sizeof *b);
    int rc = b ? load_pre(t, g, d) : ERR_MEMORY;
    if (!rc) rc = load_rules(b, &t->vocab, g, d);
    if (!rc) rc = load_bytes(b, &t->vocab);
    if (rc == ERR_MEMORY) diag_set(d, rc, "%s: no memory for the tokenizer's merges", g->path);
    return rc;
}

static void unload(struct tokenizer *t) {
    struct bpe *b = t->own;
    if (b) free(b->rule);
    free(b);
}

/* The token that the whole word is, or -1. Scratch text of twice the longest token must be reserved. */
static int whole_word(const struct tokenizer *t, struct encode_run *run, const char *word, size_t len) {
    size_t n = 0;
    if (len > t->vocab.max_len) return -1;
    for (size_t i = 0; i < len; i++)
        n += (size_t)write_char(run->text + n, byte_char((unsigned char)word[i]));
    return vocab_token(&t->vocab, strtab_find(&t->vocab.text, run->text, n));
}

/* A joined string that is no token falls back to its bytes; a byte without token is left out, as in llama.cpp. */
static int push_symbol(const struct tokenizer *t, struct encode_run *run, const char *word,
                       const struct merge_symbol *s) {
    int id = vocab_token(&t->vocab, s->text), rc = 0;
    if (id >= 0) return run_push(run, id);
    for (uint32_t i = 0; !rc && i < s->len; i++) {
        id = t->vocab.byte_token[(unsigned char)word[s->pos + i]];
        if (id >= 0) rc = run_push(run, id);
    }
    return rc;
}

static int encode_word(const struct tokenizer *t, struct encode_run *run, const char *word, size_t len) {
    const struct bpe *b = t->own;
    struct merger *m = &run->merger;
    int id = t->pre->flags & PRE_WHOLE_WORDS ? whole_word(t, run, word, len) : -1;
    if (id >= 0) return run_push(run, id);
    if (merger_reserve(m, len)) return ERR_MEMORY;
    m->n = 0;
    for (size_t i = 0; i < len; i++)
        merger_push(m, (uint32_t)i, 1, b->byte_text[(unsigned char)word[i]]);
    merger_run(m, find_rule, b);
    int rc = 0;
    for (int i = 0; !rc && i >= 0; i = m->symbol[i].next)
        rc = push_symbol(t, run, word, &m->symbol[i]);
    return rc;
}

static int encode(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len, struct diag *d) {
    int rc = run_reserve_text(run, 2 * t->vocab.max_len);
    if (!rc) rc = splitter_run(t->splitter, &run->split, text, len, d);
    size_t begin = 0;
    for (size_t i = 0; !rc && i < run->split.n; begin = run->split.end[i++])
        rc = encode_word(t, run, text + begin, run->split.end[i] - begin);
    return rc;
}

/* Characters outside the alphabet stay as they are. */
static int piece(const struct tokenizer *t, int id, int first, char *buf, int cap) {
    size_t len;
    const char *text = vocab_text(&t->vocab, id, &len);
    int n = 0;
    (void)first;
    for (size_t i = 0, c; i < len; i += c) {
        c = utf8_char(text + i, len - i);
        const unsigned char *p = (const unsigned char *)text + i;
        int byte = c == 1 ? char_byte(p[0]) : (c == 2 ? char_byte((p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)) : -1);
        char as_byte = (char)byte;
        if (!c) c = 1;
        n = byte >= 0 ? piece_append(buf, cap, n, &as_byte, 1) : piece_append(buf, cap, n, text + i, c);
    }
    return n;
}

const struct tokenizer_kind kind_bpe = {
    .name = "gpt2",
    .description = "byte-level BPE",
    .bos = -1,
    .eos = -1,
    .unk = -1,
    .load = load,
    .encode = encode,
    .piece = piece,
    .unload = unload,
};
