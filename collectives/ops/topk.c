/* topk - the k best candidates of two lists, best first. Rounds nothing: any order of merging gives the same. */
#include <math.h>

#include "collectives/op.h"

/* An unused entry, {-inf, -1}, has the highest id there is as an unsigned number: it stands behind all others. */
static int is_better(struct topk_entry x, struct topk_entry y) {
    return (x.value > y.value) | ((x.value == y.value) & ((uint32_t)x.id < (uint32_t)y.id));
}

/* How many of the k best are of a; what is equal is unused, and the same in both. */
static int count_of_a(const struct topk_entry *a, const struct topk_entry *b, int k) {
    int na = 0;
    for (int i = 0; i < k; i++)
        na += !is_better(b[i - na], a[na]);
    return na;
}

/* From behind, so that dst may be a or b: entry i is written when all that still count of both lie at or before i. */
static void merge_lists(struct topk_entry *dst, const struct topk_entry *a, const struct topk_entry *b, int k) {
    int na = count_of_a(a, b, k), nb = k - na;
    while (na + nb > 0) {
        int from_a = nb == 0 || (na > 0 && is_better(b[nb - 1], a[na - 1]));
        struct topk_entry last = from_a ? a[na - 1] : b[nb - 1];
        dst[na + nb - 1] = last;
        na -= from_a;
        nb -= !from_a;
    }
}

static void topk_reduce(const struct coll_op *op, void *dst, const void *a, const void *b, size_t n) {
    size_t k = (size_t)op->param;
    for (size_t i = 0; i < n * k; i += k)
        merge_lists((struct topk_entry *)dst + i, (const struct topk_entry *)a + i, (const struct topk_entry *)b + i,
                    op->param);
}

static void topk_identity(const struct coll_op *op, void *dst, size_t n) {
    struct topk_entry *entry = dst;
    for (size_t i = 0; i < n * (size_t)op->param; i++)
        entry[i] = (struct topk_entry){-INFINITY, -1};
}

const struct coll_op coll_op_topk = {
    .name = "topk",
    .description = "the k best candidates (value, id), lowest id first among equals",
    .rounds = 0,
    .param = 1,
    .param_most = 1 << 16,
    .param_bytes = sizeof(struct topk_entry),
    .elem_bytes = sizeof(struct topk_entry),
    .reduce = topk_reduce,
    .identity = topk_identity,
};
