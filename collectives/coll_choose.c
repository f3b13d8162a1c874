/* coll_choose.c - which algorithm "auto" means. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coll_priv.h"

/* ---- what a choice costs, in closed form ---- */

struct estimate {
    const struct coll_spec *spec;
    const struct net *net;
    size_t n, granule;
};

static int domains_of(const struct coll_shape *shape) {
    for (int r = 1; shape->domain && r < shape->size; r++)
        if (shape->domain[r] != shape->domain[0]) return 2;
    return 1;
}

/* Two ranks share memory, or the message takes the next tier. */
static const struct net_link *tier_of(const struct estimate *e, int shared) {
    int tier = shared && e->spec->transport != COLL_TRANSPORT_LINK ? 0 : 1;
    return &e->net->tier[tier < e->net->n_tiers ? tier : e->net->n_tiers - 1].link;
}

static uint64_t wire_bytes(const struct estimate *e, uint64_t elems) {
    return e->spec->wire ? e->spec->wire->bytes((size_t)elems) : elems * e->spec->op.elem_bytes;
}

static uint64_t work_ps(const struct estimate *e, const struct coll_cost *cost) {
    uint64_t ps = pico_of(cost->reduced * e->spec->op.elem_bytes, e->net->gamma);
    if (e->spec->wire) ps = pico_add(ps, pico_of(2 * cost->sent * e->spec->op.elem_bytes, e->net->codec));
    return ps;
}

/* A rank's formula on one link: each round costs an exchange, each further message an overhead, the words their time.
 */
static uint64_t formula_ps(const struct estimate *e, const struct coll_cost *cost, const struct net_link *link) {
    uint64_t rounds = (uint64_t)cost->rounds, more = cost->messages > rounds ? cost->messages - rounds : 0;
    uint64_t each = link->pull ? link->o_recv_ps : link->o_send_ps > link->g_ps ? link->o_send_ps : link->g_ps;
    uint64_t ps = rounds * (link->o_send_ps + link->L_ps + link->o_recv_ps) + more * each;
    return pico_add(ps, pico_of(wire_bytes(e, cost->sent), link->G));
}

/* Two levels: the words and messages of each level apart, as the schedule has them. */
static int two_level_ps(const struct estimate *e, const struct coll_choice *choice, int rank, uint64_t *ps,
                        struct diag *d) {
    struct coll_cost by[2] = {{0}}, all;
    struct sched s;
    int round[2] = {-1, -1};
    int code = sched_build(&s, choice, e->spec->kind, &e->spec->shape, rank, d);
    if (code != 0) return code;
    sched_count(&s, e->n, e->granule, &all);
    for (int i = 0; i < s.n_steps; i++) {
        const struct sched_step *t = &s.steps[i];
        if (t->op != SCHED_SEND && t->op != SCHED_RECV) continue;
        int shared = e->spec->shape.domain[rank] == e->spec->shape.domain[t->peer];
        by[shared].rounds += round[shared] != t->round;
        round[shared] = t->round;
        if (t->op == SCHED_RECV) continue;
        by[shared].messages += !t->more;
        by[shared].sent += (uint64_t)t->count * (coll_part_begin(e->n, e->granule, s.n_parts, t->part + t->parts) -
                                                 coll_part_begin(e->n, e->granule, s.n_parts, t->part));
    }
    *ps = work_ps(e, &all);
    for (int shared = 0; shared < 2; shared++)
        *ps = pico_add(*ps, formula_ps(e, &by[shared], tier_of(e, shared)));
    sched_fini(&s);
    return 0;
}

/* The slowest rank's, of up to 64 that are spread over all. */
enum { ASKED = 64 };
static int choice_ps(const struct estimate *e, const struct coll_choice *choice, uint64_t *ps, struct diag *d) {
    const struct coll_shape *shape = &e->spec->shape;
    *ps = 0;
    int step = (shape->size + ASKED - 1) / ASKED;
    for (int r = 0; r < shape->size && !choice->algo->library; r += step) {
        struct coll_cost cost;
        uint64_t mine;
        if (choice->algo->levels == 2 && shape->domain) {
            int code = two_level_ps(e, choice, r, &mine, d);
            if (code != 0) return code;
        } else {
            sched_formula(choice, e->spec->kind, shape, r, e->n, e->granule, &cost);
            mine = pico_add(formula_ps(e, &cost, tier_of(e, domains_of(shape) == 1)), work_ps(e, &cost));
        }
        if (mine > *ps) *ps = mine;
    }
    return 0;
}

int coll_estimate(const struct coll_spec *spec, const struct coll_choice *choice, uint64_t *ps, struct diag *d) {
    struct estimate e = {spec, spec->net ? spec->net : &net_default, coll_typical(spec), coll_granule(spec)};
    return choice_ps(&e, choice, ps, d);
}

/* ---- the candidates ---- */

struct contest {
    const struct coll_spec *spec;
    struct coll_choice best, next;
    uint64_t best_ps, next_ps;
    int n;
};

static int is_allowed(const struct coll_spec *spec, const struct coll_algo *a) {
    enum coll_label label = spec->op.rounds ? a->label : COLL_BIT_EXACT;
    return !a->library && a->build[spec->kind] && label <= spec->label && (!spec->wire || a->two_step);
}

static int enter(struct contest *t, struct coll_choice choice, struct diag *d) {
    uint64_t ps;
    int code = coll_estimate(t->spec, &choice, &ps, d);
    if (code != 0) return code;
    if (t->n == 0 || ps < t->best_ps) {
        t->next = t->best;
        t->next_ps = t->best_ps;
        t->best = choice;
        t->best_ps = ps;
    } else if (t->n == 1 || ps < t->next_ps) {
        t->next = choice;
        t->next_ps = ps;
    }
    t->n++;
    return 0;
}

static int is_plain(const struct coll_algo *a, enum coll_kind kind) {
    return a->levels == 1 && !a->library && a->build[kind];
}

/* All pairs inside a two-level algorithm. */
static int enter_pairs(struct contest *t, const struct coll_algo *a, struct diag *d) {
    int code = 0;
    for (const struct coll_algo *const *in = coll_algos; *in; in++)
        for (const struct coll_algo *const *out = coll_algos; *out && code == 0; out++)
            if (is_plain(*in, t->spec->kind) && is_plain(*out, t->spec->kind))
                code = enter(t, (struct coll_choice){a, *in, *out}, d);
    return code;
}

static int run_contest(struct contest *t, struct diag *d) {
    int code = 0, several = domains_of(&t->spec->shape) > 1;
    for (const struct coll_algo *const *a = coll_algos; *a && code == 0; a++) {
        if (!is_allowed(t->spec, *a)) continue;
        if ((*a)->levels == 1)
            code = enter(t, (struct coll_choice){.algo = *a}, d);
        else if (several)
            code = enter_pairs(t, *a, d);
    }
    if (code != 0 || t->n > 0) return code;
    return diag_set(d, ERR_UNSUPPORTED, "no algorithm of %s is %s", coll_kind_name(t->spec->kind),
                    coll_label_name(t->spec->label));
}

static void say_why(const struct contest *t, char *why, size_t cap) {
    const struct coll_spec *spec = t->spec;
    char next[64];
    size_t bytes = coll_typical(spec) * spec->op.elem_bytes;
    int len = snprintf(why, cap, "fastest of %d %s for %zu B on %d ranks: %.2f us estimated", t->n,
                       coll_label_name(spec->label), bytes, spec->shape.size, (double)t->best_ps * 1e-6);
    if (t->n < 2 || len < 0 || (size_t)len >= cap) return;
    coll_choice_name(&t->next, next, sizeof next);
    snprintf(why + len, cap - (size_t)len, "; next %s %.2f us", next, (double)t->next_ps * 1e-6);
}

int coll_resolve(const struct coll_spec *spec, struct coll_choice *choice, char *why, size_t cap, struct diag *d) {
    struct contest t = {.spec = spec};
    if (spec->algo && strcmp(spec->algo, "auto") != 0) {
        if (why) snprintf(why, cap, "asked for");
        return coll_choice_parse(choice, spec->algo, d);
    }
    int code = run_contest(&t, d);
    if (code != 0) return code;
    *choice = t.best;
    if (why) say_why(&t, why, cap);
    return 0;
}
