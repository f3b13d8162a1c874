/* special.c - tokens that are taken whole out of a text before anything else.
 *
 * Longer tokens win over shorter ones wherever they stand, as in llama.cpp. A text is scanned once for the first two
 * bytes of any special token, then the places found are tried once for each length there is. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static unsigned two_bytes(const char *text, size_t len) {
    const unsigned char *p = (const unsigned char *)text;
    return (unsigned)p[0] << 8 | (len > 1 ? p[1] : 0);
}

static void mark_pair(uint8_t *pair, const char *text, size_t len) {
    unsigned first = two_bytes(text, len);
    for (unsigned i = 0; i < (len > 1 ? 1 : 256); i++)
        pair[(first + i) / 8] |= (uint8_t)(1 << (first + i) % 8);
}

static int longer_first(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

int specials_init(struct specials *s, const struct vocab *v) {
    int n = 0;
    for (int i = 0; i < v->n; i++)
        n += (v->flags[i] & (TOKEN_CONTROL | TOKEN_USER)) != 0;
    s->len = malloc(((size_t)n + 1) * sizeof *s->len);
    if (!s->len) return ERR_MEMORY;
    n = 0;
    for (int i = 0; i < v->n; i++) {
        size_t len;
        const char *text = vocab_text(v, i, &len);
        if (!(v->flags[i] & (TOKEN_CONTROL | TOKEN_USER)) || !len || len > UINT32_MAX) continue;
        s->len[n++] = (uint32_t)len;
        mark_pair(s->pair[1], text, len);
        if (!(v->flags[i] & TOKEN_CONTROL)) mark_pair(s->pair[0], text, len);
    }
    if (n) qsort(s->len, (size_t)n, sizeof *s->len, longer_first);
    for (int i = 0; i < n; i++)
        if (!s->n_len || s->len[s->n_len - 1] != s->len[i]) s->len[s->n_len++] = s->len[i];
    return 0;
}

void specials_free(struct specials *s) {
    free(s->len);
}

struct scan {
    const struct vocab *vocab;
    const char *text;
    size_t len;
    int control;
    size_t *place, n_places; /* where a special token may start */
    unsigned char *taken; /* [len] */
    struct special_hit *hit;
    size_t n_hits, cap_hits;
};

static int find_places(const struct specials *s, struct scan *scan) {
    const uint8_t *pair = s->pair[scan->control];
    size_t cap = 0;
    for (size_t i = 0; i < scan->len; i++) {
        unsigned first = two_bytes(scan->text + i, scan->len - i);
        if (!(pair[first / 8] >> first % 8 & 1)) continue;
        if (scan->n_places == cap) {
            cap = cap ? cap * 2 : 64;
            size_t *bigger = realloc(scan->place, cap * sizeof *bigger);
            if (!bigger) return ERR_MEMORY;
            scan->place = bigger;
        }
        scan->place[scan->n_places++] = i;
    }
    return 0;
}

static int take(struct scan *scan, size_t pos, size_t len, int id) {
    if (scan->n_hits == scan->cap_hits) {
        scan->cap_hits = scan->cap_hits ? scan->cap_hits * 2 : 16;
        struct special_hit *bigger = realloc(scan->hit, scan->cap_hits * sizeof *bigger);
        if (!bigger) return ERR_MEMORY;
        scan->hit = bigger;
    }
    scan->hit[scan->n_hits++] = (struct special_hit){pos, id};
    memset(scan->taken + pos, 1, len);
    return 0;
}

/* Tokens taken before are at least as long, so one that overlaps covers the first or the last byte. */
static int take_length(struct scan *scan, size_t len) {
    for (size_t i = 0; i < scan->n_places; i++) {
        size_t pos = scan->place[i];
        if (pos + len > scan->len) break;
        if (scan->taken[pos] || scan->taken[pos + len - 1]) continue;
        int id = vocab_token(scan->vocab, strtab_find(&scan->vocab->text, scan->text + pos, len));
        if (id < 0) continue;
        uint8_t flags = scan->vocab->flags[id];
        int wanted = flags & TOKEN_CONTROL ? scan->control : flags & TOKEN_USER;
        if (wanted && take(scan, pos, len, id)) return ERR_MEMORY;
    }
    return 0;
}

static int by_position(const void *a, const void *b) {
    size_t x = ((const struct special_hit *)a)->pos, y = ((const struct special_hit *)b)->pos;
    return (x > y) - (x < y);
}

int specials_find(const struct specials *s, const struct vocab *v, const char *text, size_t len, int control,
                  struct special_hit **hits, size_t *n_hits) {
    struct scan scan = {.vocab = v, .text = text, .len = len, .control = control != 0};
    int rc = find_places(s, &scan);
    if (!rc && scan.n_places && !(scan.taken = calloc(len, 1))) rc = ERR_MEMORY;
    for (int i = 0; !rc && scan.n_places && i < s->n_len; i++)
        rc = take_length(&scan, s->len[i]);
    free(scan.place);
    free(scan.taken);
    if (rc) free(scan.hit), scan.hit = NULL;
    if (scan.hit) qsort(scan.hit, scan.n_hits, sizeof *scan.hit, by_position);
    *hits = scan.hit;
    *n_hits = rc ? 0 : scan.n_hits;
    return rc;
}
