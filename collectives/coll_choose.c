/* coll_choose.c - which algorithm "auto" means. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coll_priv.h"

/* ---- what a choice costs, in closed form ----
 *
 * Rounds one after the other, each as long as its slowest sender, its slowest link and its slowest receiver:
 *
 *   push   o_send + words G + L + o_recv, or the overheads of all m messages if they are more
 *   pull   o_send + L + messages o_recv + words G                        words: those that are received
 *   and    what is reduced, copied and coded between them
 *
 * That is the formula of an algorithm's messages and words put onto links; it is taken from the schedule, round by
 * round, as a rank's totals do not tell whether it sends while it receives (twoshot) or before it (tree). Ranks are
 * taken to wait for each other between rounds, which they do not: sched_price knows better, and costs more. */

enum { MAX_ASKED = 64 }; /* of more ranks these many are asked, evenly spread */

struct estimate {
    const struct coll_spec *spec;
    const struct net *net;
    size_t n, granule;
    int shm;
};

/* One round: of a rank while its steps are read, then the greatest of all ranks. */
struct round {
    uint64_t busy, send, first; /* overheads of its sends; until its last message has left, its first */
    uint64_t latency, recv, last; /* of its slowest link; overheads of all its receives, of one */
    uint64_t read; /* words read, work done */
};

static int domains_of(const struct coll_shape *shape) {
    for (int r = 1; shape->domain && r < shape->size; r++)
        if (shape->domain[r] != shape->domain[0]) return 2;
    return 1;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t step_elems(const struct estimate *e, const struct sched *s, const struct sched_step *t) {
    size_t begin = coll_part_begin(e->n, e->granule, s->n_parts, t->part);
    return (uint64_t)t->count * (coll_part_begin(e->n, e->granule, s->n_parts, t->part + t->parts) - begin);
}

static uint64_t wire_bytes(const struct estimate *e, uint64_t elems) {
    return e->spec->wire ? e->spec->wire->bytes((size_t)elems) : elems * e->spec->op.elem_bytes;
}

/* A message that is not one piece of memory is copied together on both sides. */
static uint64_t stage_ps(const struct estimate *e, const struct sched *s, int i, uint64_t bytes) {
    const struct sched_step *t = &s->steps[i];
    int pieces = t->more || (i > 0 && t[-1].more) || (t->count > 1 && t->parts < s->n_parts);
    return pieces ? pico_of(bytes, e->net->copy) : 0;
}

static void add_send(const struct estimate *e, const struct sched *s, int i, struct round *r) {
    const struct sched_step *t = &s->steps[i];
    const struct net_link *link = &e->net->tier[net_tier(e->net, &e->spec->shape, e->shm, s->rank, t->peer)].link;
    uint64_t bytes = wire_bytes(e, step_elems(e, s, t)), words = pico_of(bytes, link->G);
    if (link->pull) {
        r->busy = r->send = most(r->send, link->o_send_ps);
        return;
    }
    r->busy += stage_ps(e, s, i, bytes) + (t->more ? 0 : link->o_send_ps);
    r->send += stage_ps(e, s, i, bytes);
    if (r->first == 0) r->send += link->o_send_ps;
    if (t->more)
        r->send += words;
    else
        r->send += most(most(words, link->g_ps), r->first ? link->o_send_ps : 0);
    if (r->first == 0) r->first = r->send;
}

static void add_recv(const struct estimate *e, const struct sched *s, int i, struct round *r) {
    const struct sched_step *t = &s->steps[i];
    const struct net_link *link = &e->net->tier[net_tier(e->net, &e->spec->shape, e->shm, s->rank, t->peer)].link;
    uint64_t elems = step_elems(e, s, t), bytes = wire_bytes(e, elems);
    r->latency = most(r->latency, net_lag(link, pico_of(bytes, link->G)));
    r->last = most(r->last, link->o_recv_ps);
    if (!t->more || link->pull) r->recv += link->o_recv_ps;
    r->read += link->pull ? pico_of(bytes, link->G) : stage_ps(e, s, i, bytes);
    if (e->spec->wire) r->read += pico_of(elems * e->spec->op.elem_bytes, e->net->codec);
}

static void add_step(const struct estimate *e, const struct sched *s, int i, struct round *r) {
    const struct sched_step *t = &s->steps[i];
    uint64_t bytes = step_elems(e, s, t) * e->spec->op.elem_bytes;
    switch (bytes ? t->op : SCHED_COPY) {
    case SCHED_SEND: add_send(e, s, i, r); break;
    case SCHED_RECV: add_recv(e, s, i, r); break;
    case SCHED_REDUCE: r->read += pico_of(bytes, e->net->gamma); break;
    case SCHED_ROUND: r->read += 2 * pico_of(bytes, e->net->codec); break;
    default: r->read += pico_of(bytes, e->net->copy);
    }
}

/* ---- schedules ---- */

struct coll_kept {
    struct kept_sched {
        struct coll_choice choice;
        struct sched s;
    } * item;
    int n, cap, next; /* next: they are asked for in the same order again */
};

struct coll_kept *coll_kept_new(void) {
    return calloc(1, sizeof(struct coll_kept));
}

void coll_kept_free(struct coll_kept *k) {
    for (int i = 0; k && i < k->n; i++)
        sched_fini(&k->item[i].s);
    if (k) free(k->item);
    free(k);
}

static const struct sched *find_kept(struct coll_kept *k, const struct coll_choice *c, int rank) {
    for (int i = 0; k && i < k->n; i++) {
        const struct kept_sched *t = &k->item[(k->next + i) % k->n];
        if (t->s.rank != rank || t->choice.algo != c->algo || t->choice.inner != c->inner ||
            t->choice.outer != c->outer)
            continue;
        k->next = (k->next + i + 1) % k->n;
        return &t->s;
    }
    return NULL;
}

/* NULL: no room, and s stays the caller's. */
static const struct sched *keep(struct coll_kept *k, const struct coll_choice *c, const struct sched *s) {
    if (k->n == k->cap) {
        int cap = k->cap ? 2 * k->cap : 16;
        struct kept_sched *item = realloc(k->item, (size_t)cap * sizeof *item);
        if (!item) return NULL;
        k->item = item;
        k->cap = cap;
    }
    k->item[k->n] = (struct kept_sched){*c, *s};
    return &k->item[k->n++].s;
}

/* *own: to be ended by sched_fini, also after an error. */
static int schedule_of(const struct coll_spec *spec, const struct coll_choice *choice, int rank, struct sched *own,
                       const struct sched **out, struct diag *d) {
    *own = (struct sched){0};
    *out = find_kept(spec->kept, choice, rank);
    if (*out) return 0;
    int code = sched_build(own, choice, spec->kind, &spec->shape, rank, d);
    if (code == 0 && spec->wire) code = sched_make_lossy(own, choice, d);
    if (code == 0 && spec->kept) *out = keep(spec->kept, choice, own);
    if (*out)
        *own = (struct sched){0};
    else
        *out = own;
    return code;
}

static int add_rank(const struct estimate *e, const struct coll_choice *choice, int rank, struct round **rounds,
                    int *n_rounds, struct diag *d) {
    struct sched own;
    const struct sched *s;
    int code = schedule_of(e->spec, choice, rank, &own, &s, d);
    if (code == 0 && !*rounds) {
        *n_rounds = s->n_rounds + 1; /* one round where nothing is sent */
        *rounds = calloc((size_t)*n_rounds, sizeof **rounds);
        if (!*rounds) code = diag_set(d, ERR_MEMORY, "no memory for an estimate of %d rounds", *n_rounds);
    }
    for (int i = 0; code == 0 && i < s->n_steps;) {
        int round = s->steps[i].round;
        struct round mine = {0}, *all = &(*rounds)[round < *n_rounds ? round : *n_rounds - 1];
        for (; i < s->n_steps && s->steps[i].round == round; i++)
            add_step(e, s, i, &mine);
        *all =
            (struct round){most(all->busy, mine.busy),       most(all->send, mine.send), most(all->first, mine.first),
                           most(all->latency, mine.latency), most(all->recv, mine.recv), most(all->last, mine.last),
                           most(all->read, mine.read)};
    }
    sched_fini(&own);
    return code;
}

static int choice_ps(const struct estimate *e, const struct coll_choice *choice, uint64_t *ps, struct diag *d) {
    int size = e->spec->shape.size, asked = size < MAX_ASKED ? size : MAX_ASKED, n_rounds = 0, code = 0;
    struct round *rounds = NULL;
    *ps = 0;
    for (int i = 0; i < asked && code == 0 && !choice->algo->library; i++)
        code = add_rank(e, choice, (int)((int64_t)i * size / asked), &rounds, &n_rounds, d);
    for (int i = 0; i < n_rounds && code == 0; i++) {
        const struct round *r = &rounds[i];
        uint64_t all_come = r->send + r->latency + r->last, all_taken = most(r->busy, r->first + r->latency) + r->recv;
        *ps = pico_add(*ps, most(all_come, all_taken) + r->read);
    }
    free(rounds);
    return code;
}

int coll_estimate(const struct coll_spec *spec, const struct coll_choice *choice, uint64_t *ps, struct diag *d) {
    struct estimate e = {spec, spec->net ? spec->net : &net_default, coll_typical(spec), coll_granule(spec),
                         spec->transport != COLL_TRANSPORT_LINK};
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

/* The links that its messages take. */
static const char *over(const struct coll_spec *spec) {
    const struct net *net = spec->net ? spec->net : &net_default;
    int shm = spec->transport != COLL_TRANSPORT_LINK;
    static const struct coll_shape one;
    if (domains_of(&spec->shape) > 1) return shm ? "shm and messages" : "messages";
    return net->tier[net_tier(net, &one, shm, 0, 0)].name;
}

static void say_why(const struct contest *t, char *why, size_t cap) {
    const struct coll_spec *spec = t->spec;
    char next[64];
    size_t bytes = coll_typical(spec) * spec->op.elem_bytes;
    int len = snprintf(why, cap, "fastest of %d %s one%s for %zu B on %d rank%s over %s: %.2f us estimated", t->n,
                       coll_label_name(spec->op.rounds ? spec->label : COLL_BIT_EXACT), t->n == 1 ? "" : "s", bytes,
                       spec->shape.size, spec->shape.size == 1 ? "" : "s", over(spec), (double)t->best_ps * 1e-6);
    if (t->n < 2 || len < 0 || (size_t)len >= cap) return;
    coll_choice_name(&t->next, next, sizeof next);
    snprintf(why + len, cap - (size_t)len, "; next %s %.2f us", next, (double)t->next_ps * 1e-6);
}

int coll_resolve(const struct coll_spec *spec, struct coll_choice *choice, char *why, size_t cap, struct diag *d) {
    struct contest t = {.spec = spec};
    if (spec->algo && strcmp(spec->algo, "auto") != 0) {
        if (why) snprintf(why, cap, "%s", spec->why ? spec->why : "asked for");
        return coll_choice_parse(choice, spec->algo, d);
    }
    int code = run_contest(&t, d);
    if (code != 0) return code;
    *choice = t.best;
    if (why) say_why(&t, why, cap);
    return 0;
}
