/* coll_data.c - operands whose results are known without computing them in any particular order: small integers, of
 * which each rank's come from its own bits of one hash, so that a rank can tell what all the others have. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "coll_bench.h"

enum { CHECKED = 65536, MOST = 8, TABLE = 8192 }; /* elements of a result; greatest magnitude of an operand */

/* Drawn from a table, at another place in each repetition: filling and checking must be quick, or ranks of a busy
 * machine come to the barrier far apart. */
static uint64_t table[TABLE];

static uint64_t hash_of(uint64_t rep, size_t e) {
    return table[(e + rep * 5003) % TABLE] + (e / TABLE + rep / TABLE) * UINT64_C(0x9e3779b97f4a7c15);
}

/* -7 ... 8 */
static int small_of(uint64_t hash, int rank) {
    return (int)((hash >> 7 * rank % 60) & 15) - 7;
}

/* ---- one element ---- */

static void put_sum(float *x, uint64_t hash, int rank) {
    *x = (float)small_of(hash, rank);
}

/* (m, l, o[dim]): every fourth or so sees no position, all others have the same greatest score, so weights are 1. */
static void put_attn(float *x, uint64_t hash, int rank, int dim) {
    int none = small_of(hash, rank) < -3;
    x[0] = none ? -INFINITY : 0;
    x[1] = none ? 0 : (float)(1 + (small_of(hash, rank) & 3));
    for (int i = 0; i < dim; i++)
        x[2 + i] = none ? 0 : (float)small_of(hash_mix(hash + (uint64_t)i), rank);
}

static int better(const void *a, const void *b) {
    const struct topk_entry *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value) - (x->value > y->value) : (x->id > y->id) - (x->id < y->id);
}

static void put_topk(struct topk_entry *x, uint64_t hash, int rank, int k) {
    for (int i = 0; i < k; i++)
        x[i] = (struct topk_entry){(float)small_of(hash_mix(hash + (uint64_t)i), rank), rank * k + i};
    qsort(x, (size_t)k, sizeof *x, better);
}

/* Sums are many elements of few bytes: their loop stands by itself. */
static void fill_sums(float *x, int rank, uint64_t rep, size_t n) {
    for (size_t e = 0; e < n; e++)
        put_sum(&x[e], hash_of(rep, e), rank);
}

static void put(const struct coll_data *c, void *x, uint64_t hash, int rank) {
    if (!strcmp(c->op.name, "topk"))
        put_topk(x, hash, rank, c->op.param);
    else
        put_attn(x, hash, rank, c->op.param);
}

void coll_data_fill(const struct coll_data *c, int rank, uint64_t rep, void *out, size_t n) {
    size_t elem = c->op.elem_bytes;
    if (!strcmp(c->op.name, "sum"))
        fill_sums(out, rank, rep, n);
    else
        for (size_t e = 0; e < n; e++)
            put(c, (char *)out + e * elem, hash_of(rep, e), rank);
    if (rank == c->flip && n > 0) *(float *)out += 1; /* more than any tolerance where that is 0 */
    if (rank == c->flip && n > 0 && c->tolerance > 0) *(float *)out += (float)(2 * c->tolerance);
}

/* ---- what comes of all ranks' ---- */

/* 1 if the element is wrong. */
static int wrong_sum(const struct coll_data *c, const float *got, uint64_t hash, int first, int end, double *most) {
    int want = 0;
    for (int r = first; r < end; r++)
        want += small_of(hash, r);
    double off = fabs((double)*got - want);
    if (off > *most) *most = off;
    return !(off <= c->tolerance);
}

static int wrong_attn(const struct coll_data *c, const float *got, uint64_t hash, int first, int end) {
    int values = 2 + c->op.param, wrong = 0;
    float one[2 + COLL_MAX_DIM], all[2 + COLL_MAX_DIM] = {-INFINITY};
    for (int r = first; r < end; r++) {
        put_attn(one, hash, r, c->op.param);
        if (one[0] > all[0]) all[0] = one[0];
        for (int i = 1; i < values; i++)
            all[i] += one[i];
    }
    for (int i = 0; i < values; i++)
        wrong |= got[i] != all[i];
    return wrong;
}

static int wrong_topk(const struct coll_data *c, const struct topk_entry *got, uint64_t hash, int first, int end) {
    int k = c->op.param, wrong = 0;
    size_t n = (size_t)(end - first) * (size_t)k;
    struct topk_entry *all = malloc(n * sizeof *all);
    if (!all) return 1;
    for (int r = first; r < end; r++)
        put_topk(all + (size_t)(r - first) * (size_t)k, hash, r, k);
    qsort(all, n, sizeof *all, better);
    for (int i = 0; i < k; i++)
        wrong |= got[i].value != all[i].value || got[i].id != all[i].id;
    free(all);
    return wrong;
}

static int wrong_element(const struct coll_data *c, const void *got, uint64_t hash, int first, int end, double *most) {
    if (!strcmp(c->op.name, "topk")) return wrong_topk(c, got, hash, first, end);
    if (!strcmp(c->op.name, "attn_merge")) return wrong_attn(c, got, hash, first, end);
    return wrong_sum(c, got, hash, first, end, most);
}

size_t coll_data_checked(size_t n) {
    return n < CHECKED ? n : CHECKED;
}

uint64_t coll_data_wrong(const struct coll_data *c, int rank, uint64_t rep, const void *got, size_t n, size_t granule,
                         double *most) {
    size_t begin = 0, end = n, elem = c->op.elem_bytes, checked;
    uint64_t wrong = 0;
    int owner = -1, first = 0, last = c->size;
    double ignored = 0;
    if (c->kind == COLL_REDUCE_SCATTER) {
        begin = coll_part_begin(n, granule, c->size, rank);
        end = coll_part_begin(n, granule, c->size, rank + 1);
    }
    checked = coll_data_checked(end - begin);
    size_t at = checked < end - begin ? (size_t)(rep * 7919 * 4096 % (end - begin)) : 0;
    for (size_t i = 0; i < checked; i++) {
        size_t e = begin + (at + i) % (end - begin);
        if (c->kind == COLL_ALLGATHER) {
            if (owner >= 0 && e < coll_part_begin(n, granule, c->size, owner)) owner = 0;
            for (owner = owner < 0 ? 0 : owner; e >= coll_part_begin(n, granule, c->size, owner + 1);)
                owner++;
            first = owner, last = owner + 1;
        }
        wrong += (uint64_t)wrong_element(c, (const char *)got + e * elem, hash_of(rep, e), first, last,
                                         most ? most : &ignored);
    }
    return wrong;
}

/* ---- what a wire form does to them ---- */

/* 1 if all sums, multiples of nothing finer than 1, survive coding. */
static int codes_exactly(const struct coll_wire *w, int most) {
    float x[64], y[64];
    unsigned char code[64 * sizeof(float)];
    for (int v = 1; v <= most; v++) {
        for (int i = 0; i < 64; i++)
            x[i] = (float)(v - i * v / 32);
        w->encode(x, 64, code);
        w->decode(code, 64, y);
        if (memcmp(x, y, sizeof x) != 0) return 0;
    }
    return 1;
}

void coll_data_init(struct coll_data *c) {
    for (size_t i = 0; i < TABLE; i++)
        table[i] = rng_u64(1, i);
    c->tolerance = 0;
    if (!c->wire || codes_exactly(c->wire, MOST * c->size)) return;
    double once = c->size * c->wire->bound(MOST);
    c->tolerance = once + c->wire->bound(MOST * c->size + once);
}
