/* op.h - what a collective reduces, and what its messages look like.
 *
 * An op works on elements of elem_bytes bytes. `sum` is binary32 addition. `attn_merge` joins partial attention over
 * disjoint sets of positions: an element is one head's (m, l, o[dim]) with m the largest score seen, l = sum of
 * exp(score - m), o = sum of exp(score - m) * v; the empty set is m = -inf, l = 0, o = 0:
 *
 *   m = max(m1, m2),  l = l1 e^(m1-m) + l2 e^(m2-m),  o = o1 e^(m1-m) + o2 e^(m2-m)         attention is o / l
 *
 * (flash-decoding's reduction; associative up to rounding). An operand with m = -inf gives the other one unchanged; a
 * NaN in m gives m = l = o = NaN; both products are rounded before their sum, so it commutes to the bit. `topk` merges
 * lists of k candidates (value, id), best first: the k best of both, the lower id first among equals (-0 equals +0).
 * Lists are sorted, ids unique over all ranks, values no NaN: the producer's duty. Unused entries are {-inf, -1} and
 * stand behind all others. It rounds nothing: every order gives the same. */
#ifndef COLLECTIVES_OP_H
#define COLLECTIVES_OP_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

struct coll_op {
    const char *name, *description;
    int rounds; /* the order of reductions shows in the bits (sum, attn_merge); 0: every order gives the same (topk) */
    int param, param_most; /* attn_merge: dim; topk: k; sum: 1. From 1 to param_most */
    size_t fixed_bytes, param_bytes; /* of an element: */
    size_t elem_bytes; /* fixed_bytes + param * param_bytes */
    /* dst[i] = a[i] (op) b[i], i < n elements. dst may be a or b, else they do not overlap. Commutes to the bit. */
    void (*reduce)(const struct coll_op *op, void *dst, const void *a, const void *b, size_t n);
    /* dst[i] = the element that changes nothing: -0.0f; (-inf, 0, 0...); k times {-inf, -1}. */
    void (*identity)(const struct coll_op *op, void *dst, size_t n);
};
extern const struct coll_op *const coll_ops[]; /* one file each in ops/; ended by NULL; with the parameter 1 */

/* The op of a name with its parameter (sum: 1). ERR_USAGE naming the valid names, or ERR_RANGE. Local. */
int coll_op_find(struct coll_op *op, const char *name, int param, struct diag *d);

struct topk_entry {
    float value;
    int32_t id;
};

/* A wire form: how binary32 values of a sum travel (no other op has one). One file each in wires/. int8 and int4:
 * groups of 32 values share one binary16 scale, max|x| / 127 or / 7 rounded up and at most 65504; a value is rounded to
 * the nearest step and clamped to +-127 or +-7, so |error| <= scale / 2 while max|x| <= 127 * 65504 (or 7 * 65504).
 * fp16: round to nearest even, saturating to the largest finite number. A group that holds a NaN or an infinity decodes
 * to NaN. */
struct coll_wire {
    const char *name, *description;
    int group; /* values that are coded together; a shorter last group is legal */
    size_t group_bytes; /* of a whole group */
    size_t (*bytes)(size_t n); /* of n values */
    void (*encode)(const float *x, size_t n, void *out);
    void (*decode)(const void *in, size_t n, float *x);
    /* decode and add: acc[i] += x[i]. */
    void (*accumulate)(const void *in, size_t n, float *acc);
    /* The bound on |decode(encode(x)) - x| of any value of a group whose greatest magnitude is `most`. */
    double (*bound)(double most);
};
extern const struct coll_wire *const coll_wires[]; /* ended by NULL */
const struct coll_wire *coll_wire_find(const char *name); /* NULL if there is none */

#endif
