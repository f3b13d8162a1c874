/* split.h - cutting text into the pieces that merges never cross, by regular expressions applied one after another. */
#ifndef TOKENIZER_SPLIT_H
#define TOKENIZER_SPLIT_H

#include <stddef.h>

#include "base/diag.h"

enum { SPLIT_MAX_RULES = 6 };

/* The characters of the property White_Space, for use inside [] of a rule: \s of PCRE2 holds U+180E besides. */
#define SPLIT_SPACES                                                                                                   \
    "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

enum pretokenizer_flag {
    PRE_WHOLE_WORDS = 1, /* a piece that is a token as it stands is taken so, without merges */
    PRE_BOS = 2, /* a bos token in front by default */
    PRE_ALIAS = 4 /* another name of a row: left out of the list of names */
};

/* One row a value of tokenizer.ggml.pre. Each rule is applied to every piece that the one before it left: its matches
 * become pieces, and so does what lies between them. */
struct pretokenizer {
    const char *name;
    const char *const *rules; /* at most SPLIT_MAX_RULES patterns, ended by NULL */
    unsigned flags;
};
extern const struct pretokenizer pretokenizers[]; /* ended by a row without name */
const struct pretokenizer *pretokenizer_find(const char *name, size_t len);
/* "default, gpt-2, ..." without the aliases, into buf; returns buf. */
char *pretokenizer_names(char *buf, size_t cap);

/* Compiled rules (immutable, shared by threads). */
struct splitter;
int splitter_new(struct splitter **out, const char *const *rules, struct diag *d);
void splitter_free(struct splitter *s);

/* One caller's buffers. The result of splitter_run: piece i is [end[i - 1], end[i]), the first from 0, none empty. */
struct split {
    size_t *end, *spare;
    size_t n, cap, cap_spare;
    void *match; /* pcre2 match data */
};
/* Splits any bytes: one that is not part of valid UTF-8 is treated as the replacement character U+FFFD. */
int splitter_run(const struct splitter *s, struct split *out, const char *text, size_t len, struct diag *d);
void split_free(struct split *out);

/* Bytes of the valid UTF-8 character at text (surrogates and overlong forms are invalid), or 0. */
size_t utf8_char(const char *text, size_t len);

#endif
