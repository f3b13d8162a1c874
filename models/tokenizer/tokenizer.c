#include "models/tokenizer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "internal.h"

/* Keeps every count below 2^31, with U+2581 for each space and one token a byte. */
enum { MAX_TEXT = 512 << 20 };

static const struct tokenizer_kind *const kinds[] = {&kind_spm, &kind_bpe, &kind_wordpiece, NULL};

/* ---- building ---- */

static int find_kind(const struct tokenizer_kind **out, const struct gguf *g, struct diag *d) {
    struct gguf_str name;
    int rc = gguf_get_str(g, "tokenizer.ggml.model", &name, d);
    if (rc) return rc;
    if (!name.len) return diag_set(d, ERR_FORMAT, "%s: no tokenizer.ggml.model: the file has no tokenizer", g->path);
    for (int i = 0; kinds[i]; i++)
        if (strlen(kinds[i]->name) == name.len && !memcmp(kinds[i]->name, name.data, name.len)) {
            *out = kinds[i];
            return 0;
        }
    char known[80];
    return diag_set(d, ERR_UNSUPPORTED, "%s: unknown tokenizer.ggml.model '%.*s'; known are %s", g->path,
                    (int)(name.len < 40 ? name.len : 40), name.data,
                    text_names(known, sizeof known, (const void *const *)kinds));
}

/* A token's number named by the file, in place of *id. -1, also written as 2^32 - 1, is none. */
static int read_id(int *id, const struct gguf *g, const char *key, int n, struct diag *d) {
    int64_t value;
    int rc = gguf_get_int(g, key, *id, &value, d);
    if (rc) return rc;
    if (value == UINT32_MAX) value = -1;
    if (gguf_find(g, key) && (value < -1 || value >= n))
        return diag_set(d, ERR_FORMAT, "%s: %s is %lld, but there are %d tokens", g->path, key, (long long)value, n);
    *id = value < n ? (int)value : -1; /* a default of the kind may lie outside a small vocabulary */
    return 0;
}

static int read_ids(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    int n = t->vocab.n, sep = -1;
    int rc = read_id(&sep, g, "tokenizer.ggml.seperator_token_id", n, d); /* GGUF spells it so */
    if (t->kind == &kind_wordpiece && sep >= 0) t->eos = sep;
    if (!rc) rc = read_id(&t->bos, g, "tokenizer.ggml.bos_token_id", n, d);
    if (!rc) rc = read_id(&t->eos, g, "tokenizer.ggml.eos_token_id", n, d);
    if (!rc) rc = read_id(&t->unk, g, "tokenizer.ggml.unknown_token_id", n, d);
    if (!rc && t->eos >= 0) t->vocab.flags[t->eos] |= TOKEN_END;
    static const char *const ends[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
                                       "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
                                       "tokenizer.ggml.fim_sep_token_id"};
    for (size_t i = 0; !rc && i < sizeof ends / sizeof *ends; i++) {
        int end = -1;
        rc = read_id(&end, g, ends[i], n, d);
        if (!rc && end >= 0) t->vocab.flags[end] |= TOKEN_END;
    }
    return rc;
}

static int read_switches(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    int rc = gguf_get_bool(g, "tokenizer.ggml.add_bos_token", t->add_bos, &t->add_bos, d);
    if (!rc) rc = gguf_get_bool(g, "tokenizer.ggml.add_eos_token", t->add_eos, &t->add_eos, d);
    if (!rc) rc = gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", t->add_space, &t->add_space, d);
    if (t->bos < 0) t->add_bos = 0;
    if (t->eos < 0) t->add_eos = 0;
    return rc;
}

static int build(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    int rc = find_kind(&t->kind, g, d);
    if (rc) return rc;
    t->bos = t->kind->bos;
    t->eos = t->kind->eos;
    t->unk = t->kind->unk;
    t->add_bos = t->kind->add_bos;
    t->add_eos = t->kind->add_eos;
    t->add_space = t->kind->add_space;
    rc = vocab_load(&t->vocab, g, d);
    if (!rc && t->kind->load) rc = t->kind->load(t, g, d);
    if (!rc) rc = read_ids(t, g, d);
    if (!rc) rc = read_switches(t, g, d);
    if (rc) return rc;
    const int control[] = {t->bos, t->eos, t->unk};
    for (int i = 0; i < 3 && !gguf_find(g, "tokenizer.ggml.token_type"); i++)
        if (control[i] >= 0) t->vocab.flags[control[i]] |= TOKEN_CONTROL;
    if (specials_init(&t->specials, &t->vocab))
        return diag_set(d, ERR_MEMORY, "%s: no memory for the tokenizer", g->path);
    return 0;
}

int tokenizer_new(struct tokenizer **out, const struct gguf *g, struct diag *d) {
    *out = NULL;
    struct tokenizer *t = calloc(1, sizeof *t);
    int rc = t ? build(t, g, d) : diag_set(d, ERR_MEMORY, "%s: no memory for the tokenizer", g->path);
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

int tokenizer_new_bytes(struct tokenizer **out, int n_vocab, struct diag *d) {
    *out = NULL;
    if (n_vocab < 1) return diag_set(d, ERR_RANGE, "a tokenizer of %d tokens: at least 1 is needed", n_vocab);
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) return diag_set(d, ERR_MEMORY, "no memory for the tokenizer");
    t->vocab.n = n_vocab;
    t->bos = t->eos = t->unk = -1;
    *out = t;
    return 0;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    if (t->kind && t->kind->unload) t->kind->unload(t);
    splitter_free(t->splitter);
    specials_free(&t->specials);
    vocab_free(&t->vocab);
    free(t);
}

/* ---- asking ---- */

int tokenizer_n_vocab(const struct tokenizer *t) {
    return t->vocab.n;
}

int tokenizer_bos(const struct tokenizer *t) {
    return t->bos;
}

int tokenizer_eos(const struct tokenizer *t) {
    return t->eos;
}

int tokenizer_adds_bos(const struct tokenizer *t) {
    return t->add_bos;
}

int tokenizer_adds_eos(const struct tokenizer *t) {
    return t->add_eos;
}

static unsigned flags_of(const struct tokenizer *t, int id) {
    return t->kind && id >= 0 && id < t->vocab.n ? t->vocab.flags[id] : 0;
}

int tokenizer_is_end(const struct tokenizer *t, int id) {
    return (flags_of(t, id) & TOKEN_END) != 0;
}

int tokenizer_is_special(const struct tokenizer *t, int id) {
    return (flags_of(t, id) & (TOKEN_CONTROL | TOKEN_USER)) != 0;
}

const char *tokenizer_kind(const struct tokenizer *t) {
    return t->kind ? t->kind->description : "bytes";
}

const char *tokenizer_pre(const struct tokenizer *t) {
    return t->pre ? t->pre->name : "";
}

/* ---- encoding ---- */

size_t lead_len(const char *text, size_t len) {
    static const uint8_t by_high_nibble[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    size_t most = by_high_nibble[(unsigned char)*text >> 4], n = 1;
    while (n < most && n < len && ((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

int run_push(struct encode_run *run, int id) {
    if (run->n == run->cap) {
        size_t cap = run->cap ? run->cap * 2 : 64;
        int *bigger = realloc(run->id, cap * sizeof *bigger);
        if (!bigger) return ERR_MEMORY;
        run->id = bigger;
        run->cap = cap;
    }
    run->id[run->n++] = id;
    return 0;
}

int run_reserve_text(struct encode_run *run, size_t bytes) {
    if (bytes <= run->cap_text && run->text) return 0;
    char *bigger = realloc(run->text, bytes + 64);
    if (!bigger) return ERR_MEMORY;
    run->text = bigger;
    run->cap_text = bytes + 64;
    return 0;
}

static int encode_fragment(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len,
                           struct diag *d) {
    int rc = len ? t->kind->encode(t, run, text, len, d) : 0;
    if (len) run->after_special = 0;
    return rc;
}

static int encode_text(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len, int flags,
                       struct diag *d) {
    struct special_hit *hit;
    size_t n_hits, at = 0;
    int rc = specials_find(&t->specials, &t->vocab, text, len, flags & TOKENIZE_SPECIAL, &hit, &n_hits);
    for (size_t i = 0; !rc && i < n_hits; i++) {
        size_t bytes;
        vocab_text(&t->vocab, hit[i].id, &bytes);
        rc = encode_fragment(t, run, text + at, hit[i].pos - at, d);
        if (!rc) rc = run_push(run, hit[i].id);
        run->after_special = 1;
        at = hit[i].pos + bytes;
    }
    if (!rc) rc = encode_fragment(t, run, text + at, len - at, d);
    free(hit);
    return rc;
}

static int encode_bytes(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len) {
    int rc = 0;
    for (size_t i = 0; !rc && i < len; i++)
        rc = run_push(run, (unsigned char)text[i] % t->vocab.n);
    return rc;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, int flags, int **ids, struct diag *d) {
    struct encode_run run = {.after_special = 1};
    *ids = NULL;
    if (len > MAX_TEXT)
        return diag_set(d, ERR_RANGE, "a text of %zu bytes: at most %d are tokenized at once", len, MAX_TEXT);
    run.id = malloc((run.cap = len / 4 + 16) * sizeof *run.id);
    int rc = run.id ? 0 : ERR_MEMORY;
    if (!rc && flags & TOKENIZE_BOS && t->add_bos) rc = run_push(&run, t->bos);
    if (!rc) rc = t->kind ? encode_text(t, &run, text, len, flags, d) : encode_bytes(t, &run, text, len);
    if (!rc && flags & TOKENIZE_EOS && t->add_eos) rc = run_push(&run, t->eos);
    merger_free(&run.merger);
    split_free(&run.split);
    free(run.text);
    if (rc) {
        free(run.id);
        return diag_set(d, rc, "no memory to tokenize a text of %zu bytes", len);
    }
    *ids = run.id;
    return (int)run.n;
}

/* ---- decoding ---- */

int piece_append(char *buf, int cap, int n, const char *bytes, size_t len) {
    if (n < cap) memcpy(buf + n, bytes, len < (size_t)(cap - n) ? len : (size_t)(cap - n));
    return n + (int)len;
}

int piece_spaced(const struct tokenizer *t, int id, int drop_space, char *buf, int cap) {
    size_t len;
    const char *text = vocab_text(&t->vocab, id, &len);
    int n = 0;
    for (size_t i = 0; i < len;) {
        int space = len - i >= 3 && !memcmp(text + i, "\xe2\x96\x81", 3);
        if (!(space && !i && drop_space)) n = piece_append(buf, cap, n, space ? " " : text + i, 1);
        i += space ? 3 : 1;
    }
    return n;
}

/* Numbers past the bytes have no text; they are shown as numbers. */
static int piece_bytes(int id, char *buf, int cap) {
    char text[16] = {(char)id};
    size_t len = id < 256 ? 1 : (size_t)snprintf(text, sizeof text, "[%d]", id);
    return piece_append(buf, cap, 0, text, len);
}

int tokenizer_piece(const struct tokenizer *t, int id, int first, int special, char *buf, int cap) {
    if (id < 0 || id >= t->vocab.n) return 0;
    if (!t->kind) return piece_bytes(id, buf, cap);
    size_t len;
    unsigned flags = t->vocab.flags[id];
    const char *text = vocab_text(&t->vocab, id, &len);
    if (flags & TOKEN_CONTROL && !special) return 0;
    if (flags & (TOKEN_CONTROL | TOKEN_USER)) return piece_append(buf, cap, 0, text, len);
    if (flags & TOKEN_UNUSED) return 0;
    char byte = (char)vocab_hex_byte(text, len);
    return flags & TOKEN_BYTE ? piece_append(buf, cap, 0, &byte, 1) : t->kind->piece(t, id, first, buf, cap);
}

int tokenizer_decode(const struct tokenizer *t, const int *ids, int n, int special, char **text, size_t *len,
                     struct diag *d) {
    size_t cap = 256, at = 0;
    char *out = malloc(cap + 1);
    int first = 1;
    for (int i = 0; out && i < n;) {
        int room = cap - at > INT_MAX ? INT_MAX : (int)(cap - at);
        int bytes = tokenizer_piece(t, ids[i], first, special, out + at, room);
        if (bytes > room) {
            cap = 2 * cap + (size_t)bytes;
            char *bigger = realloc(out, cap + 1);
            if (!bigger) free(out);
            out = bigger;
            continue;
        }
        at += (size_t)bytes;
        first = tokenizer_is_special(t, ids[i++]);
    }
    *text = out;
    *len = out ? at : 0;
    if (!out) return diag_set(d, ERR_MEMORY, "no memory for the text of %d tokens", n);
    out[at] = 0;
    return 0;
}
