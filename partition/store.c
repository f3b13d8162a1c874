/* store.c - memory that lives as long as a plan, and its distinct blocks. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

void *plan_keep(const struct plan *p, void *at) {
    struct plan_store *s = p->store;
    if (at && s->n_mem == s->cap_mem) {
        int cap = s->cap_mem ? 2 * s->cap_mem : 64;
        void **mem = realloc(s->mem, (size_t)cap * sizeof *mem);
        if (!mem) {
            free(at);
            return NULL;
        }
        s->mem = mem;
        s->cap_mem = cap;
    }
    if (at) s->mem[s->n_mem++] = at;
    return at;
}

void *plan_alloc(const struct plan *p, size_t n, size_t item) {
    return plan_keep(p, calloc(n ? n : 1, item));
}

int plan_block_index(const struct plan *p, const struct plan_block *b) {
    for (int i = 0; i < p->store->n_blocks; i++)
        if (p->store->blocks[i] == b || !memcmp(p->store->blocks[i], b, sizeof *b)) return i;
    return -1;
}

const struct plan_block *plan_intern(struct plan *p, const struct plan_block *b) {
    struct plan_store *s = p->store;
    int at = plan_block_index(p, b);
    if (at >= 0) return s->blocks[at];
    if (s->n_blocks == s->cap_blocks) {
        int cap = s->cap_blocks ? 2 * s->cap_blocks : 16;
        struct plan_block **blocks = realloc(s->blocks, (size_t)cap * sizeof *blocks);
        if (!blocks) return NULL;
        s->blocks = blocks;
        s->cap_blocks = cap;
    }
    struct plan_block *copy = plan_alloc(p, 1, sizeof *copy);
    if (!copy) return NULL;
    memcpy(copy, b, sizeof *copy);
    return s->blocks[s->n_blocks++] = copy;
}

void plan_free(struct plan *p) {
    if (!p) return;
    if (p->store) {
        for (int i = 0; i < p->store->n_groups; i++) {
            plan_calls_free(p->store->groups[i]);
            coll_kept_free(p->store->groups[i]->attn_kept);
            coll_kept_free(p->store->groups[i]->ffn_kept);
        }
        for (int i = 0; i < p->store->n_mem; i++)
            free(p->store->mem[i]);
        free(p->store->mem);
        free(p->store->blocks);
        free(p->store);
    }
    free(p);
}
