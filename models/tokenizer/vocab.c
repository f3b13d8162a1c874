#include "vocab.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Far above any real vocabulary (262144 is the largest known), and small enough for 32-bit slots. */
enum { MAX_TOKENS = 1 << 24 };

static uint32_t slot_of(const struct strtab *s, const char *data, size_t len) {
    uint32_t mask = s->n_slots - 1;
    uint32_t i = (uint32_t)hash_mix(hash_bytes(data, len, 0)) & mask;
    for (; s->slot[i]; i = (i + 1) & mask) {
        size_t n;
        const char *text = strtab_data(s, (int)s->slot[i] - 1, &n);
        if (n == len && !memcmp(text, data, len)) break;
    }
    return i;
}

int strtab_find(const struct strtab *s, const char *data, size_t len) {
    return s->n_slots ? (int)s->slot[slot_of(s, data, len)] - 1 : -1;
}

static int rehash(struct strtab *s) {
    uint32_t n_slots = s->n_slots ? s->n_slots * 2 : 1024;
    uint32_t *slot = calloc(n_slots, sizeof *slot);
    if (!slot) return -1;
    free(s->slot);
    s->slot = slot;
    s->n_slots = n_slots;
    for (int i = 0; i < s->n; i++) {
        size_t len;
        const char *text = strtab_data(s, i, &len);
        s->slot[slot_of(s, text, len)] = (uint32_t)i + 1;
    }
    return 0;
}

static int reserve(struct strtab *s, size_t len) {
    if (s->n + 2 > s->cap) {
        int cap = s->cap ? s->cap * 2 : 512;
        size_t *begin = realloc(s->begin, (size_t)cap * sizeof *begin);
        if (!begin) return -1;
        if (!s->cap) begin[0] = 0;
        s->begin = begin;
        s->cap = cap;
    }
    size_t need = s->begin[s->n] + len;
    if (need >= s->cap_bytes) { /* an empty text has an address too */
        size_t cap = need * 2 + 4096;
        char *bytes = realloc(s->bytes, cap);
        if (!bytes) return -1;
        s->bytes = bytes;
        s->cap_bytes = cap;
    }
    return (uint32_t)s->n * 2 + 2 > s->n_slots ? rehash(s) : 0;
}

int strtab_add(struct strtab *s, const char *data, size_t len) {
    if (reserve(s, len)) return -1;
    uint32_t i = slot_of(s, data, len);
    if (s->slot[i]) return (int)s->slot[i] - 1;
    if (len) memcpy(s->bytes + s->begin[s->n], data, len);
    s->begin[s->n + 1] = s->begin[s->n] + len;
    s->slot[i] = (uint32_t)++s->n;
    return s->n - 1;
}

void strtab_free(struct strtab *s) {
    free(s->bytes);
    free(s->begin);
    free(s->slot);
    memset(s, 0, sizeof *s);
}

int vocab_array(const struct gguf_kv **out, const struct gguf *g, const char *key, char kind, uint64_t least,
                int needed, struct diag *d) {
    const struct gguf_kv *kv = *out = gguf_find(g, key);
    if (!kv) return needed ? diag_set(d, ERR_FORMAT, "%s: no %s: the file has no usable tokenizer", g->path, key) : 0;
    int is_float = kv->item_kind == GGUF_F32 || kv->item_kind == GGUF_F64;
    int fits = kv->kind == GGUF_ARRAY;
    if (kind == 's') fits &= kv->item_kind == GGUF_STRING;
    if (kind == 'f') fits &= is_float;
    if (kind == 'i')
        fits &= !is_float && kv->item_kind != GGUF_STRING && kv->item_kind != GGUF_ARRAY && kv->item_kind != GGUF_BOOL;
    if (!fits)
        return diag_set(d, ERR_FORMAT, "%s: %s is not an array of %s", g->path, key,
                        kind == 's' ? "strings" : (kind == 'f' ? "floats" : "integers"));
    if (kv->count < least)
        return diag_set(d, ERR_FORMAT, "%s: %s has %llu items, %llu are needed", g->path, key,
                        (unsigned long long)kv->count, (unsigned long long)least);
    return 0;
}

int vocab_hex_byte(const char *text, size_t len) {
    int value = 0;
    if (len != 6 || memcmp(text, "<0x", 3) || text[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char *p = memchr(digits, text[i], 16);
        if (!p) return -1;
        value = value * 16 + (int)(p - digits);
    }
    return value;
}

/* Names by which chat and code models mark ends (first list) and parts of a text to fill in (second): control tokens
 * whatever kind the file gives them, because converters have often typed them as plain text. */
static const char *const end_names[] = {
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<turn|>",
    "<end_of_utterance>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
    "<\xef\xbd\x9c"
    "end\xe2\x96\x81"
    "of\xe2\x96\x81"
    "sentence\xef\xbd\x9c>",
};
static const char *const part_names[] = {
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<PRE>",
    "\xe2\x96\x81"
    "<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<SUF>",
    "\xe2\x96\x81"
    "<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<MID>",
    "\xe2\x96\x81"
    "<MID>",
    "<|code_middle|>",
    "<|middle|>",
    "<\xef\xbd\x9c"
    "fim\xe2\x96\x81"
    "begin\xef\xbd\x9c>",
    "<\xef\xbd\x9c"
    "fim\xe2\x96\x81"
    "hole\xef\xbd\x9c>",
    "<\xef\xbd\x9c"
    "fim\xe2\x96\x81"
    "end\xef\xbd\x9c>",
};

static void mark_names(struct vocab *v, const char *const *name, size_t n, uint8_t flags) {
    for (size_t i = 0; i < n; i++) {
        int id = vocab_token(v, strtab_find(&v->text, name[i], strlen(name[i])));
        if (id >= 0) v->flags[id] |= flags;
    }
}

/* The kinds of tokens as GGUF numbers them: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
static uint8_t flags_of_kind(int64_t kind) {
    switch (kind) {
    case 2:
    case 3: return TOKEN_CONTROL;
    case 4: return TOKEN_USER;
    case 5: return TOKEN_UNUSED;
    case 6: return TOKEN_BYTE;
    default: return 0;
    }
}

static void set_flags(struct vocab *v, const struct gguf_kv *kinds) {
    for (int i = 0; i < v->n; i++) {
        size_t len;
        const char *text = vocab_text(v, i, &len);
        int byte = vocab_hex_byte(text, len);
        v->flags[i] = kinds ? flags_of_kind(gguf_item_int(kinds, (uint64_t)i)) : (byte >= 0 ? TOKEN_BYTE : 0);
        if (v->flags[i] & TOKEN_BYTE && byte < 0) v->flags[i] = 0;
        if (byte >= 0) v->byte_token[byte] = i;
    }
    mark_names(v, end_names, sizeof end_names / sizeof *end_names, TOKEN_CONTROL | TOKEN_END);
    mark_names(v, part_names, sizeof part_names / sizeof *part_names, TOKEN_CONTROL);
}

static int read_scores(struct vocab *v, const struct gguf_kv *scores, const char *path, struct diag *d) {
    for (int i = 0; scores && i < v->n; i++) {
        v->score[i] = (float)gguf_item_float(scores, (uint64_t)i);
        if (isnan(v->score[i]))
            return diag_set(d, ERR_FORMAT, "%s: tokenizer.ggml.scores: item %d is not a number", path, i);
    }
    return 0;
}

static int read_texts(struct vocab *v, const struct gguf_kv *tokens) {
    struct gguf_str *strings = gguf_strings(tokens);
    int ok = strings != NULL;
    for (int i = 0; ok && i < v->n; i++) {
        int text = v->text_of[i] = strtab_add(&v->text, strings[i].data, strings[i].len);
        ok = text >= 0;
        if (!ok) break;
        v->token_of[text] = strings[i].len ? i : -1; /* an empty token is never met in a text */
        if (strings[i].len > v->max_len) v->max_len = strings[i].len;
    }
    v->n_token_texts = v->text.n;
    free(strings);
    return ok ? 0 : -1;
}

int vocab_load(struct vocab *v, const struct gguf *g, struct diag *d) {
    const struct gguf_kv *tokens, *scores, *kinds;
    int rc = vocab_array(&tokens, g, "tokenizer.ggml.tokens", 's', 1, 1, d);
    if (!rc) rc = vocab_array(&scores, g, "tokenizer.ggml.scores", 'f', tokens->count, 0, d);
    if (!rc) rc = vocab_array(&kinds, g, "tokenizer.ggml.token_type", 'i', tokens->count, 0, d);
    if (rc) return rc;
    if (tokens->count > MAX_TOKENS)
        return diag_set(d, ERR_UNSUPPORTED, "%s: tokenizer.ggml.tokens has %llu items, at most %d are supported",
                        g->path, (unsigned long long)tokens->count, MAX_TOKENS);
    size_t n = (size_t)(v->n = (int)tokens->count);
    v->text_of = malloc(n * sizeof *v->text_of);
    v->token_of = malloc(n * sizeof *v->token_of);
    v->flags = calloc(n, 1);
    v->score = scores ? malloc(n * sizeof *v->score) : NULL;
    memset(v->byte_token, -1, sizeof v->byte_token);
    if (!v->text_of || !v->token_of || !v->flags || (scores && !v->score) || read_texts(v, tokens))
        return diag_set(d, ERR_MEMORY, "%s: no memory for a vocabulary of %d tokens", g->path, v->n);
    set_flags(v, kinds);
    return read_scores(v, scores, g->path, d);
}

void vocab_free(struct vocab *v) {
    strtab_free(&v->text);
    free(v->text_of);
    free(v->token_of);
    free(v->flags);
    free(v->score);
    memset(v, 0, sizeof *v);
}
