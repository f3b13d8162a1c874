/* internal.h - what the kinds of tokenizers share. */
#ifndef TOKENIZER_INTERNAL_H
#define TOKENIZER_INTERNAL_H

#include "merge.h"
#include "models/tokenizer.h"
#include "split.h"
#include "vocab.h"

/* One call of tokenizer_encode: the ids so far and the buffers that its fragments share. */
struct encode_run {
    int *id;
    size_t n, cap;
    struct merger merger;
    struct split split;
    char *text; /* scratch */
    size_t cap_text;
    int after_special; /* the fragment opens the text or follows a special token */
};

/* Both return 0 or ERR_MEMORY. */
int run_push(struct encode_run *run, int id);
int run_reserve_text(struct encode_run *run, size_t bytes);

/* One row a value of tokenizer.ggml.model. */
struct tokenizer_kind {
    const char *name, *description;
    int bos, eos, unk; /* used where the file names none; -1: none */
    int add_bos, add_eos, add_space;
    /* Reads what only this kind has, after the vocabulary. May be NULL. */
    int (*load)(struct tokenizer *t, const struct gguf *g, struct diag *d);
    /* Appends the tokens of a non-empty text between special tokens. */
    int (*encode)(const struct tokenizer *t, struct encode_run *run, const char *text, size_t len, struct diag *d);
    /* Bytes of an ordinary token: writes at most cap of them, returns all. */
    int (*piece)(const struct tokenizer *t, int id, int first, char *buf, int cap);
    void (*unload)(struct tokenizer *t);
};
extern const struct tokenizer_kind kind_spm, kind_bpe, kind_wordpiece;

/* Special tokens in a text. */
struct special_hit {
    size_t pos;
    int id;
};
struct specials {
    uint8_t pair[2][65536 / 8]; /* [with control tokens] bit of the first two bytes of any special token */
    uint32_t *len; /* [n_len] their lengths, longest first */
    int n_len;
};
int specials_init(struct specials *s, const struct vocab *v);
/* Finds those of text, longest first, then in order, none overlapping; user-defined ones only unless `control`.
 * Malloc'ed into *hits by position. Returns 0 or ERR_MEMORY. */
int specials_find(const struct specials *s, const struct vocab *v, const char *text, size_t len, int control,
                  struct special_hit **hits, size_t *n_hits);
void specials_free(struct specials *s);

struct tokenizer {
    const struct tokenizer_kind *kind; /* NULL: bytes */
    struct vocab vocab;
    struct specials specials;
    int bos, eos, unk, add_bos, add_eos, add_space;
    const struct pretokenizer *pre;
    struct splitter *splitter;
    void *own; /* the kind's */
};

/* Appends bytes to a piece of at most cap bytes that has n so far; returns the new length. */
int piece_append(char *buf, int cap, int n, const char *bytes, size_t len);
/* A stored text with U+2581 as space; drop_space leaves one space in front out. */
int piece_spaced(const struct tokenizer *t, int id, int drop_space, char *buf, int cap);

/* Bytes of the character at text, valid or not: as many continuation bytes as the first byte announces and as follow.
 */
size_t lead_len(const char *text, size_t len);

#endif
