#include "merge.h"

#include <stdlib.h>

int merger_reserve(struct merger *m, size_t n) {
    if (n <= m->cap) return 0;
    size_t cap = n + n / 2 + 64;
    struct merge_symbol *symbol = realloc(m->symbol, cap * sizeof *symbol);
    if (symbol) m->symbol = symbol;
    /* n - 1 pairs at first; each join takes one away and adds at most two */
    struct merge_pair *heap = realloc(m->heap, 2 * cap * sizeof *heap);
    if (heap) m->heap = heap;
    if (!symbol || !heap) return -1;
    m->cap = cap;
    return 0;
}

void merger_free(struct merger *m) {
    free(m->symbol);
    free(m->heap);
    *m = (struct merger){0};
}

static void heap_push(struct merger *m, struct merge_pair pair) {
    size_t i = m->n_heap++;
    for (; i && m->heap[(i - 1) / 2].key > pair.key; i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = pair;
}

static struct merge_pair heap_pop(struct merger *m) {
    struct merge_pair top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= m->n_heap) break;
        if (child + 1 < m->n_heap && m->heap[child + 1].key < m->heap[child].key) child++;
        if (last.key <= m->heap[child].key) break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
    return top;
}

static void consider(struct merger *m, int left, merge_lookup *lookup, const void *context) {
    if (left < 0 || m->symbol[left].next < 0) return;
    const struct merge_symbol *l = &m->symbol[left], *r = &m->symbol[l->next];
    uint32_t order;
    int text = lookup(context, l, r, &order);
    if (text < 0) return;
    heap_push(m, (struct merge_pair){(uint64_t)order << 32 | (uint32_t)left, l->len + r->len, text});
}

void merger_run(struct merger *m, merge_lookup *lookup, const void *context) {
    m->n_heap = 0;
    for (int i = 0; i + 1 < m->n; i++)
        consider(m, i, lookup, context);
    while (m->n_heap) {
        struct merge_pair pair = heap_pop(m);
        int left = (int)(uint32_t)pair.key;
        struct merge_symbol *l = &m->symbol[left];
        if (!l->len || l->next < 0) continue;
        struct merge_symbol *r = &m->symbol[l->next];
        if (l->len + r->len != pair.len) continue;
        l->len = pair.len;
        l->text = pair.text;
        l->next = r->next;
        r->len = 0;
        if (l->next >= 0) m->symbol[l->next].prev = left;
        consider(m, l->prev, lookup, context);
        consider(m, left, lookup, context);
    }
}
