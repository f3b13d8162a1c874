/* lossy.c - makes a schedule lossy: what is sent is rounded first, once. */
#include <stdlib.h>

#include "sched_build.h"

/* What the steps so far have made of each part: index slot * n_parts + part. */
struct lossy {
    struct sched *s;
    struct sched_step *steps; /* the new list */
    int n, cap;
    char *coded; /* the part is what a code means, and the code is at hand */
    char *touched; /* written, or rounded: an input that is not is as the caller brought it */
};

static int lossy_push(struct lossy *l, struct sched_step step) {
    if (l->n == l->cap) {
        int cap = 2 * l->cap + 16;
        struct sched_step *steps = realloc(l->steps, (size_t)cap * sizeof *steps);
        if (!steps) return ERR_MEMORY;
        l->steps = steps;
        l->cap = cap;
    }
    l->steps[l->n++] = step;
    return 0;
}

static size_t part_at(const struct sched *s, int slot, int part) {
    return (size_t)slot * (size_t)s->n_parts + (size_t)part;
}

static void mark(const struct lossy *l, int slot, int part, int parts, int coded) {
    for (int k = part; k < part + parts; k++) {
        l->coded[part_at(l->s, slot, k)] = (char)coded;
        l->touched[part_at(l->s, slot, k)] = 1;
    }
}

/* Rounds those of a slot's parts that are not: in runs. Of operands (not sent) only untouched inputs are. */
static int round_parts(struct lossy *l, const struct sched_step *t, int slot, int sent) {
    for (int k = t->part; k < t->part + t->parts; k++) {
        int end = k;
        while (end < t->part + t->parts && !l->coded[part_at(l->s, slot, end)] &&
               (sent || (slot < l->s->n_in && !l->touched[part_at(l->s, slot, end)])))
            end++;
        if (end == k) continue;
        struct sched_step step = {.op = SCHED_ROUND, .round = t->round, .slot = slot, .count = 1, .part = k};
        step.parts = end - k;
        if (lossy_push(l, step) != 0) return ERR_MEMORY;
        mark(l, slot, k, end - k, 1);
        k = end;
    }
    return 0;
}

/* A run of SENDs stays one run: all roundings that it needs come before it. */
static int lossy_step(struct lossy *l, int i) {
    const struct sched_step *t = &l->s->steps[i], *end = l->s->steps + l->s->n_steps;
    int code = 0, first = t->op == SCHED_SEND && (i == 0 || t[-1].op != SCHED_SEND || t[-1].round != t->round);
    for (const struct sched_step *m = t; first && m < end && m->op == SCHED_SEND && m->round == t->round; m++)
        for (int k = m->slot; k < m->slot + m->count && code == 0; k++)
            code = round_parts(l, m, k, 1);
    if (t->op == SCHED_REDUCE) code = round_parts(l, t, t->slot, 0);
    if (t->op == SCHED_REDUCE && code == 0) code = round_parts(l, t, t->src, 0);
    for (int k = t->slot; t->op != SCHED_SEND && k < t->slot + t->count; k++)
        mark(l, k, t->part, t->parts, t->op == SCHED_RECV);
    return code ? code : lossy_push(l, *t);
}

int sched_make_lossy(struct sched *s, const struct coll_choice *choice, struct diag *d) {
    struct lossy l = {.s = s};
    size_t n = (size_t)s->n_slots * (size_t)s->n_parts;
    if (!choice->algo->two_step)
        return diag_set(d, ERR_UNSUPPORTED, "%s would round each value more than twice: it takes no lossy wire form",
                        choice->algo->name);
    l.coded = calloc(n, 1);
    l.touched = calloc(n, 1);
    int code = l.coded && l.touched ? 0 : ERR_MEMORY;
    for (int i = 0; i < s->n_steps && code == 0; i++)
        code = lossy_step(&l, i);
    free(l.coded);
    free(l.touched);
    if (code != 0) {
        free(l.steps);
        return diag_set(d, code, "no memory for the lossy schedule of rank %d of %d", s->rank, s->size);
    }
    free(s->steps);
    s->steps = l.steps;
    s->n_steps = l.n;
    s->lossy = 1;
    return 0;
}
