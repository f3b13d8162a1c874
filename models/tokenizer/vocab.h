/* vocab.h - the tokens of a vocabulary: text and kind by id, id by text. */
#ifndef TOKENIZER_VOCAB_H
#define TOKENIZER_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "models/gguf.h"

/* Distinct byte strings, numbered from 0 in order of arrival, found by hash. */
struct strtab {
    char *bytes;
    size_t *begin; /* [n + 1] */
    uint32_t *slot; /* [n_slots] number + 1, or 0; a power of two, at most half full */
    size_t cap_bytes;
    uint32_t n_slots;
    int n, cap;
};

/* Number of a string, added if new; -1 without memory. */
int strtab_add(struct strtab *s, const char *data, size_t len);
/* Number of a string or -1. */
int strtab_find(const struct strtab *s, const char *data, size_t len);
void strtab_free(struct strtab *s);

static inline const char *strtab_data(const struct strtab *s, int i, size_t *len) {
    *len = s->begin[i + 1] - s->begin[i];
    return s->bytes + s->begin[i];
}

enum token_flag {
    TOKEN_CONTROL = 1, /* control or unknown: parsed from text only on request, no text when printed */
    TOKEN_USER = 2, /* user-defined: always taken whole from text, stored as it reads */
    TOKEN_BYTE = 4, /* stands for one byte: <0xXX> */
    TOKEN_UNUSED = 8,
    TOKEN_END = 16 /* ends generation */
};

struct vocab {
    int n;
    struct strtab text; /* texts of the tokens first, then parts of merges that are no tokens */
    int *text_of; /* [n] number in text */
    int *token_of; /* [n_token_texts] the last token of that text */
    int n_token_texts;
    uint8_t *flags; /* [n] token_flag */
    float *score; /* [n] or NULL */
    int byte_token[256]; /* -1 where there is none */
    size_t max_len; /* bytes of the longest token */
};

/* Reads tokens, kinds and scores. Local. */
int vocab_load(struct vocab *v, const struct gguf *g, struct diag *d);
void vocab_free(struct vocab *v);

/* Token whose text has this number, or -1. */
static inline int vocab_token(const struct vocab *v, int text) {
    return text >= 0 && text < v->n_token_texts ? v->token_of[text] : -1;
}

static inline const char *vocab_text(const struct vocab *v, int id, size_t *len) {
    return strtab_data(&v->text, v->text_of[id], len);
}

/* The byte that a text of the form <0xXX> stands for, or -1. */
int vocab_hex_byte(const char *text, size_t len);

/* Finds an array of the file and checks it: item kind ('s' string, 'i' integer, 'f' float) and least number of items.
 * *out is NULL if it is absent and not needed. */
int vocab_array(const struct gguf_kv **out, const struct gguf *g, const char *key, char kind, uint64_t least,
                int needed, struct diag *d);

#endif
