#include "split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct splitter {
    int n;
    pcre2_code *code[SPLIT_MAX_RULES];
    pcre2_match_context *context;
};

const struct pretokenizer *pretokenizer_find(const char *name, size_t len) {
    for (const struct pretokenizer *p = pretokenizers; p->name; p++)
        if (strlen(p->name) == len && !memcmp(p->name, name, len)) return p;
    return NULL;
}

char *pretokenizer_names(char *buf, size_t cap) {
    size_t at = 0;
    buf[0] = 0;
    for (const struct pretokenizer *p = pretokenizers; p->name; p++) {
        size_t len = strlen(p->name);
        if (p->flags & PRE_ALIAS || at + len + 3 > cap) continue;
        if (at) {
            memcpy(buf + at, ", ", 2);
            at += 2;
        }
        memcpy(buf + at, p->name, len + 1);
        at += len;
    }
    return buf;
}

int splitter_new(struct splitter **out, const char *const *rules, struct diag *d) {
    struct splitter *s = *out = calloc(1, sizeof *s);
    if (!s || !(s->context = pcre2_match_context_create(NULL))) {
        splitter_free(s);
        *out = NULL;
        return diag_set(d, ERR_MEMORY, "no memory for the pre-tokenizer");
    }
    /* The patterns are linear in the text; the library's limit is meant for those that are not. */
    pcre2_set_match_limit(s->context, UINT32_MAX);
    for (; rules[s->n]; s->n++) {
        int error;
        PCRE2_SIZE at;
        s->code[s->n] = pcre2_compile((PCRE2_SPTR)rules[s->n], PCRE2_ZERO_TERMINATED,
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &at, NULL);
        if (!s->code[s->n]) {
            char text[120] = "";
            pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
            diag_set(d, ERR_INTERNAL, "pre-tokenizer rule %d does not compile at %zu: %s", s->n, (size_t)at, text);
            splitter_free(s);
            *out = NULL;
            return ERR_INTERNAL;
        }
        pcre2_jit_compile(s->code[s->n], PCRE2_JIT_COMPLETE); /* where there is none, matching interprets */
    }
    return 0;
}

void splitter_free(struct splitter *s) {
    if (!s) return;
    for (int i = 0; i < s->n; i++)
        pcre2_code_free(s->code[i]);
    pcre2_match_context_free(s->context);
    free(s);
}

void split_free(struct split *out) {
    free(out->end);
    free(out->spare);
    pcre2_match_data_free(out->match);
    memset(out, 0, sizeof *out);
}

size_t utf8_char(const char *text, size_t len) {
    const unsigned char *p = (const unsigned char *)text;
    if (!len) return 0;
    if (p[0] < 0x80) return 1;
    size_t n = p[0] < 0xe0 ? 2 : (p[0] < 0xf0 ? 3 : 4);
    if (p[0] < 0xc2 || p[0] > 0xf4 || len < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    int overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    int outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : n;
}

/* Number of bytes that belong to no valid character. */
static size_t count_invalid(const char *text, size_t len) {
    size_t bad = 0;
    for (size_t i = 0; i < len;) {
        uint64_t eight;
        if (i + 8 <= len && (memcpy(&eight, text + i, 8), !(eight & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        size_t n = utf8_char(text + i, len - i);
        bad += !n;
        i += n ? n : 1;
    }
    return bad;
}

static int push_end(size_t **ends, size_t *n, size_t *cap, size_t end) {
    if (*n == *cap) {
        size_t bigger = *cap ? *cap * 2 : 256;
        size_t *p = realloc(*ends, bigger * sizeof *p);
        if (!p) return ERR_MEMORY;
        *ends = p;
        *cap = bigger;
    }
    (*ends)[(*n)++] = end;
    return 0;
}

static int find_match(const struct splitter *s, int rule, void *match, const char *piece, size_t len, size_t at) {
    const pcre2_code *code = s->code[rule];
    int rc = pcre2_match(code, (PCRE2_SPTR)piece, len, at, PCRE2_NO_UTF_CHECK, match, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, (PCRE2_SPTR)piece, len, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, s->context);
    return rc;
}

/* Cuts [begin, end) by one rule into out->spare. The rule sees nothing outside the piece. */
static int cut_piece(const struct splitter *s, int rule, struct split *out, size_t *n, const char *text, size_t begin,
                     size_t end) {
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(out->match);
    size_t done = 0, len = end - begin;
    while (done < len) {
        int rc = find_match(s, rule, out->match, text + begin, len, done);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0) return rc == PCRE2_ERROR_NOMEMORY ? ERR_MEMORY : ERR_INTERNAL;
        if (at[1] <= done) return ERR_INTERNAL; /* an empty match: no rule of the table has one */
        if (at[0] > done && push_end(&out->spare, n, &out->cap_spare, begin + at[0])) return ERR_MEMORY;
        if (push_end(&out->spare, n, &out->cap_spare, begin + at[1])) return ERR_MEMORY;
        done = at[1];
    }
    return done < len ? push_end(&out->spare, n, &out->cap_spare, end) : 0;
}

static int apply_rule(const struct splitter *s, int rule, struct split *out, const char *text) {
    size_t n = 0, begin = 0;
    for (size_t i = 0; i < out->n; begin = out->end[i++]) {
        int rc = cut_piece(s, rule, out, &n, text, begin, out->end[i]);
        if (rc) return rc;
    }
    size_t *ends = out->end, cap = out->cap;
    out->end = out->spare;
    out->cap = out->cap_spare;
    out->spare = ends;
    out->cap_spare = cap;
    out->n = n;
    return 0;
}

static int split_valid(const struct splitter *s, struct split *out, const char *text, size_t len) {
    out->n = 0;
    if (!out->match && !(out->match = pcre2_match_data_create(1, NULL))) return ERR_MEMORY;
    if (!len) return 0;
    int rc = push_end(&out->end, &out->n, &out->cap, len);
    for (int rule = 0; !rc && rule < s->n; rule++)
        rc = apply_rule(s, rule, out, text);
    return rc;
}

/* Splits a copy in which each invalid byte is U+FFFD, then moves the ends back: each such byte before an end had been
 * two bytes longer. */
static int split_invalid(const struct splitter *s, struct split *out, const char *text, size_t len, size_t bad) {
    char *copy = malloc(len + 2 * bad);
    if (!copy) return ERR_MEMORY;
    size_t at = 0;
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = utf8_char(text + i, len - i);
        memcpy(copy + at, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
        at += n ? n : 3;
    }
    int rc = split_valid(s, out, copy, at);
    size_t from = 0, to = 0;
    for (size_t i = 0; !rc && i < out->n; i++) {
        while (from < out->end[i]) {
            size_t n = utf8_char(text + to, len - to);
            from += n ? n : 3;
            to += n ? n : 1;
        }
        out->end[i] = to;
    }
    free(copy);
    return rc;
}

int splitter_run(const struct splitter *s, struct split *out, const char *text, size_t len, struct diag *d) {
    size_t bad = count_invalid(text, len);
    int rc = bad ? split_invalid(s, out, text, len, bad) : split_valid(s, out, text, len);
    if (rc == ERR_MEMORY) diag_set(d, rc, "no memory to split a text of %zu bytes", len);
    if (rc == ERR_INTERNAL) diag_set(d, rc, "the pre-tokenizer failed on a text of %zu bytes", len);
    return rc;
}
