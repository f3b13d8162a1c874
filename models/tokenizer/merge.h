/* merge.h - the merging loop that SPM and BPE share: of all neighbours that form a known string, join the pair of the
 * lowest order (leftmost of equals) until none is left. A heap makes a word of n symbols O(n log n). */
#ifndef TOKENIZER_MERGE_H
#define TOKENIZER_MERGE_H

#include <stddef.h>
#include <stdint.h>

struct merge_symbol {
    uint32_t pos, len; /* bytes of the text it stands for; len 0: joined to a symbol on its left */
    int prev, next; /* neighbours, or -1 */
    int text; /* number in the vocabulary's strings, or -1 */
};

struct merge_pair {
    uint64_t key; /* order in the high half, left symbol in the low half */
    uint32_t len; /* of both symbols together: a pair whose sum has changed since is stale */
    int text; /* of the joined symbol */
};

struct merger {
    struct merge_symbol *symbol;
    struct merge_pair *heap;
    size_t cap, n_heap;
    int n;
};

/* Number of the string that two neighbours join to, with its order, or -1. */
typedef int merge_lookup(const void *context, const struct merge_symbol *left, const struct merge_symbol *right,
                         uint32_t *order);

/* Makes room for n symbols; 0, or -1 without memory. */
int merger_reserve(struct merger *m, size_t n);
void merger_free(struct merger *m);

/* Appends a symbol (room must be reserved; m->n = 0 starts a new word). */
static inline void merger_push(struct merger *m, uint32_t pos, uint32_t len, int text) {
    int i = m->n++;
    m->symbol[i] = (struct merge_symbol){pos, len, i - 1, -1, text};
    if (i) m->symbol[i - 1].next = i;
}

/* Joins the m->n symbols; those left are the list from symbol 0 along next. */
void merger_run(struct merger *m, merge_lookup *lookup, const void *context);

#endif
