/* fluid.c - equal shares of a medium, in fixed point. */
#include "collectives/fluid.h"

#include <stdlib.h>

#define FRACTION_BITS 32

int fluid_reserve(struct fluid *f, int n, struct diag *d) {
    if (n <= f->cap) return 0;
    int cap = f->cap ? 2 * f->cap : 8;
    struct fluid_flow *flow = realloc(f->flow, (size_t)(cap > n ? cap : n) * sizeof *flow);
    if (!flow) return diag_set(d, ERR_MEMORY, "no memory for %d messages on a shared medium", n);
    f->flow = flow;
    f->cap = cap > n ? cap : n;
    return 0;
}

void fluid_fini(struct fluid *f) {
    free(f->flow);
    *f = (struct fluid){0};
}

/* ps that a byte of each takes: *num / *den. Products of what the schema allows fit. */
static void share(const struct fluid *f, unsigned __int128 *num, uint64_t *den) {
    struct pico_rate G = f->link->G, port = f->link->port;
    unsigned __int128 n = (unsigned)f->n;
    int port_binds = port.den && (unsigned __int128)port.num * G.den > n * G.num * port.den;
    *num = port_binds ? port.num : n * G.num;
    *den = port_binds ? port.den : G.den;
}

/* V at a time that is not behind the first message's end: so what is added fits as that message's bytes do. */
static void advance(struct fluid *f, uint64_t ps) {
    unsigned __int128 num, time;
    uint64_t den;
    if (f->n && ps > f->at_ps) {
        share(f, &num, &den);
        time = (unsigned __int128)(ps - f->at_ps) * den;
        f->V += num ? ((time / num) << FRACTION_BITS) + ((time % num) << FRACTION_BITS) / num : 0;
    }
    f->at_ps = ps;
}

void fluid_begin(struct fluid *f, uint64_t ps, int sender, uint64_t k, void *message) {
    if (f->n == 0) f->V = 0;
    advance(f, ps);
    f->flow[f->n++] = (struct fluid_flow){f->V + ((unsigned __int128)k << FRACTION_BITS), sender, message};
}

/* [left * num / (den * 2^32)], UINT64_MAX where it does not fit. */
static uint64_t time_of(unsigned __int128 left, unsigned __int128 num, uint64_t den) {
    unsigned __int128 product, unit = (unsigned __int128)den << FRACTION_BITS;
    if (__builtin_mul_overflow(left, num, &product)) return UINT64_MAX;
    unsigned __int128 whole = product / unit, rest = product % unit;
    whole += rest > 0 && rest >= unit - rest;
    return whole > UINT64_MAX ? UINT64_MAX : (uint64_t)whole;
}

static int is_before(const struct fluid_flow *a, const struct fluid_flow *b) {
    return a->until != b->until ? a->until < b->until : a->sender < b->sender;
}

uint64_t fluid_due(const struct fluid *f, int *which) {
    int first = 0;
    if (f->n == 0) return UINT64_MAX;
    for (int i = 1; i < f->n; i++)
        if (is_before(&f->flow[i], &f->flow[first])) first = i;
    if (which) *which = first;
    unsigned __int128 num, until = f->flow[first].until;
    uint64_t den;
    share(f, &num, &den);
    return pico_add(f->at_ps, until > f->V ? time_of(until - f->V, num, den) : 0);
}

void *fluid_end(struct fluid *f) {
    int which = 0;
    advance(f, fluid_due(f, &which));
    void *message = f->flow[which].message;
    f->flow[which] = f->flow[--f->n];
    return message;
}
