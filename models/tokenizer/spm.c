/* spm.c - SentencePiece BPE as llama.cpp runs it: neighbours merge while their joined text is a token, the token of the
 * highest score first; what is left falls back to bytes. Spaces are U+2581.
 *
 * There is no pre-tokenizer. But two characters that stand side by side in no token can never be joined, so a text
 * falls apart there ("seams") into short words, exactly as if it were merged whole. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"

#define SPACE "\xe2\x96\x81"

enum { JOINT_BITS = 20 };

struct spm {
    uint32_t *order; /* [vocab.n] ascending order is descending score */
    uint8_t joint[(1 << JOINT_BITS) / 8]; /* by hash: characters that stand side by side in some token */
};

static unsigned joint_of(const char *left, size_t left_len, const char *right, size_t right_len) {
    uint32_t l = 0, r = 0;
    memcpy(&l, left, left_len);
    memcpy(&r, right, right_len);
    return (unsigned)(hash_mix((uint64_t)l << 32 | r) >> (64 - JOINT_BITS));
}

/* Floats compare as their bits do once the sign is turned around; adding 0 makes -0 equal to 0. */
static uint32_t score_order(float score) {
    uint32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

static void mark_joints(struct spm *s, const char *text, size_t len) {
    if (!len) return;
    size_t c = lead_len(text, len);
    for (size_t i = 0; i + c < len;) {
        size_t next = lead_len(text + i + c, len - i - c);
        unsigned joint = joint_of(text + i, c, text + i + c, next);
        s->joint[joint / 8] |= (uint8_t)(1 << joint % 8);
        i += c;
        c = next;
    }
}

static int load(struct tokenizer *t, const struct gguf *g, struct diag *d) {
    const struct vocab *v = &t->vocab;
    if (!v->score)
        return diag_set(d, ERR_FORMAT, "%s: no tokenizer.ggml.scores: the file has no usable tokenizer", g->path);
    struct spm *s = t->own = calloc(1, sizeof *s);
    if (!s || !(s->order = malloc((size_t)v->n * sizeof *s->order)))
        return diag_set(d, ERR_MEMORY, "%s: no memory for the tokenizer", g->path);
    for (int i = 0; i < v->n; i++) {
        size_t len;
        const char *text = vocab_text(v, i, &len);
        s->order[i] = score_order(v->score[i]);
        mark_joints(s, text, len);
    }
    return 0;
}

static void unload(struct tokenizer *t) {
    struct spm *s = t->own;
    if (s) free(s->order);
    free(s);
}

struct merge_context {
    const struct tokenizer *t;
    const char *text;
};

static int find_token(const void *context, const struct merge_symbol *left, const struct merge_symbol *right,
                      uint32_t *order) {
    const struct merge_context *c = context;
    const struct vocab *v = &c->t->vocab;
    size_t len = (size_t)left->len + right->len;
    if (len > v->max_len) return -1;
    int text = strtab_find(&v->text, c->text + left->pos, len), id = vocab_token(v, text);
    if (id < 0) return -1;
    *order = ((const struct spm *)c->t->own)->order[id];
    return text;
}

/* <0xXX>, or the byte itself as a token, or the unknown token, or nothing. */
static int push_byte(const struct tokenizer *t, struct encode_run *run, const char *byte) {
    int id = t->vocab.byte_token[(unsigned char)*byte];
    if (id < 0) id = vocab_token(&t->vocab, strtab_find(&t->vocab.text, byte, 1));
    if (id < 0) id = t->unk;
    return id < 0 ? 0 : run_push(run, id);
}

static int push_symbol(const struct tokenizer *t, struct encode_run *run, const char *text,
                       const struct merge_symbol *s) {
    int id = vocab_token(&t->vocab, strtab_find(&t->vocab.text, text + s->pos, s->len)), rc = 0;
    if (id >= 0) return run_push(run, id);
    for (uint32_t i = 0; !rc && i < s->len; i++)
        rc = push_byte(t, run, text + s->pos + i);
    return rc;
}

/* Merges the symbols collected so far and starts anew. */
static int flush(const struct tokenizer *t, struct encode_run *run, const char *text) {
    struct merger *m = &run->merger;
    const struct merge_context context = {t, text};
    int rc = 0;
    if (!m->n) return 0;
    merger_run(m, find_token, &context);
    for (int i = 0; !rc && i >= 0; i = m->symbol[i].next)
        rc = push_symbol(t, run, text, &m->symbol[i]);
    m->n = 0;
    return rc;
}

static int merge_text(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len) {
    const struct spm *s = t->own;
    size_t last = 0;
    run->merger.n = 0;
    for (size_t i = 0, c; i < len; i += c) {
        c = lead_len(text + i, len - i);
        unsigned joint = last ? joint_of(text + i - last, last, text + i, c) : 0;
        int seam = last && !(s->joint[joint / 8] >> joint % 8 & 1);
        if (seam && flush(t, run, text)) return ERR_MEMORY;
        if (merger_reserve(&run->merger, (size_t)run->merger.n + 1)) return ERR_MEMORY;
        merger_push(&run->merger, (uint32_t)i, (uint32_t)c, -1);
        last = c;
    }
    return flush(t, run, text);
}

/* Writes spaces as U+2581, with one in front where the text opens or follows a special token. */
static int encode(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len, struct diag *d) {
    int front = t->add_space && run->after_special;
    size_t n = len + (front ? 3 : 0);
    (void)d;
    for (size_t i = 0; i < len; i++)
        n += text[i] == ' ' ? 2 : 0;
    if (run_reserve_text(run, n)) return ERR_MEMORY;
    char *out = run->text;
    if (front) out = (char *)memcpy(out, SPACE, 3) + 3;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ')
            out = (char *)memcpy(out, SPACE, 3) + 3;
        else
            *out++ = text[i];
    }
    return merge_text(t, run, run->text, n);
}

static int piece(const struct tokenizer *t, int id, int first, char *buf, int cap) {
    return piece_spaced(t, id, first && t->add_space, buf, cap);
}

const struct tokenizer_kind kind_spm = {
    .name = "llama",
    .description = "SentencePiece BPE",
    .bos = 1,
    .eos = 2,
    .unk = 0,
    .add_bos = 1,
    .add_space = 1,
    .load = load,
    .encode = encode,
    .piece = piece,
    .unload = unload,
};
