/* balance.c - layers dealt to the stages of a pipeline by the time that they take on described cards. */
#include <stdlib.h>
#include <string.h>

#include "estimate_priv.h"
#include "parts.h"

/* Stages whose time can differ for the same layers; where cards have their own speeds, each. */
enum { FIRST, MIDDLE, LAST, KINDS };

struct balance {
    const struct plan *p;
    const struct cluster *c;
    const struct card_pass *pass;
    int size, free; /* of the stages with layers; the first whose layers are free */
    uint64_t coll_ps; /* of a layer */
    const struct plan_block **block; /* [size][n_layers] */
    int uniform; /* all layers have equal blocks: a stage's time depends on their number alone */
    int64_t most; /* what the slowest stage of p takes: slower ones need not be looked at */
    int too_many[PLAN_MAX_STAGES +
                 KINDS]; /* by kind, or stage: so many layers are slower; 0: not known. Where uniform */
    int64_t *known; /* [KINDS, or n_stages][n_layers+1][n_layers+1], 0: not yet */
};

/* ---- a stage's time ---- */

static uint64_t block_ps(const struct virtual_rank *v, const struct plan_block *b, int layer,
                         const struct card_pass *pass) {
    struct net_clock clock = {0};
    for (int i = 0; i < b->n; i++)
        card_spend_step(&clock, v->card, &v->place, &b->step[i], layer, pass);
    return clock.now.ps;
}

static const struct plan_block *const *blocks_of(const struct balance *b, int rank) {
    return b->block + (size_t)b->p->ranks[rank].tp_index * (size_t)b->p->shape.n_layers;
}

static struct pico_rate slow_of(const struct balance *b, int rank) {
    return b->p->ranks[rank].role == RANK_HOST ? (struct pico_rate){1, 1}
                                               : cluster_slow(b->c, virtual_card(b->p, rank));
}

/* A rank as it is, but for its layers: [a, z). SPLIT_NEVER: they do not fit its card. */
static int64_t rank_ps(const struct balance *b, int rank, int a, int z) {
    struct plan_rank r = b->p->ranks[rank];
    struct plan p = {.ranks = &r, .n_ranks = 1, .opts = b->p->opts};
    struct virtual_rank v = {.card = r.role == RANK_HOST ? &b->c->host : &b->c->card};
    const struct plan_block *const *block = blocks_of(b, rank) + a;
    r.shard.layer0 = a;
    r.shard.layer1 = z;
    shard_bytes(&b->p->shape, &r.shard, &b->p->opts.decoder, &r.bytes);
    r.layers = block;
    if (card_place(&v.place, v.card, &p, 0, NULL)) return SPLIT_NEVER;
    v.place.slow = slow_of(b, rank);
    card_spend_pass(&v.clock, v.card, &v.place);
    uint64_t ps = v.clock.now.ps + block_ps(&v, r.prologue, -1, b->pass) + block_ps(&v, r.epilogue, -1, b->pass);
    uint64_t layer = 0;
    for (int l = a; l < z; l++) {
        if (l == a || block[l - a] != block[l - a - 1] || v.place.layer[l] != v.place.layer[l - 1])
            layer = block_ps(&v, block[l - a], l, b->pass);
        ps += layer + b->coll_ps;
    }
    return (int64_t)ps;
}

/* Ranks of a stage that do the same. */
static int same_ranks(const struct balance *b, int i, int k) {
    const struct plan_rank *x = &b->p->ranks[i], *y = &b->p->ranks[k];
    struct pico_rate p = slow_of(b, i), q = slow_of(b, k);
    return p.num == q.num && p.den == q.den && x->prologue == y->prologue && x->epilogue == y->epilogue &&
           x->engine_bytes == y->engine_bytes && !memcmp(&x->bytes, &y->bytes, sizeof x->bytes) &&
           !memcmp(blocks_of(b, i), blocks_of(b, k), (size_t)b->p->shape.n_layers * sizeof *b->block);
}

static int64_t slowest_ps(const struct balance *b, const struct plan_stage *s, int a, int z) {
    int64_t most = 0;
    for (int r = s->first; r < s->first + s->size; r++) {
        int64_t ps = r > s->first && same_ranks(b, r - 1, r) ? 0 : rank_ps(b, r, a, z);
        if (ps > most) most = ps;
    }
    return most;
}

static int64_t stage_ps(void *user, int stage, int a, int z) {
    struct balance *b = user;
    size_t width = (size_t)b->p->shape.n_layers + 1;
    size_t kind = stage == 0 ? FIRST : stage + 1 == b->p->n_stages ? LAST : MIDDLE;
    if (b->c->n_exceptions) kind = (size_t)stage;
    if (b->p->strategy.stage_layers[stage] >= 0) return 0; /* as it is */
    int64_t *known =
        &b->known[(kind * width + (size_t)(b->uniform ? 0 : a)) * width + (size_t)(b->uniform ? z - a : z)];
    if (*known) return *known;
    if (b->uniform && b->too_many[kind] && z - a > b->too_many[kind]) return SPLIT_NEVER;
    *known = slowest_ps(b, &b->p->stages[stage], a, z);
    if (*known > b->most && (!b->too_many[kind] || z - a < b->too_many[kind])) b->too_many[kind] = z - a;
    return *known;
}

/* ---- setting up ---- */

/* Whether there are two stages to deal to, and all that hold layers split them alike: they have blocks alike. */
static int can_deal(struct balance *b) {
    const struct plan *p = b->p;
    const struct plan_group *group = NULL;
    int n = 0;
    for (int s = 0; s < p->n_stages; s++) {
        if (p->strategy.stage_layers[s] < 0 && !n++) b->free = s;
        if (p->stages[s].layer0 == p->stages[s].layer1) continue;
        if (group && plan_group_of(p, s) != group) return 0;
        group = plan_group_of(p, s);
        b->size = group->size;
    }
    return n > 1;
}

static void find_blocks(struct balance *b) {
    const struct plan *p = b->p;
    int n = p->shape.n_layers;
    b->uniform = 1;
    for (int s = 0; s < p->n_stages; s++) {
        const struct plan_stage *g = &p->stages[s];
        for (int i = 0; i < b->size * (g->layer1 - g->layer0); i++) {
            int r = i % b->size, l = i / b->size;
            const struct plan_block **at = &b->block[r * n + g->layer0 + l];
            *at = p->ranks[g->first + r].layers[l];
            b->uniform &= *at == b->block[r * n];
        }
    }
}

/* Of a layer, where all ranks of the stage come to them at once. */
static int find_colls(struct balance *b, struct diag *d) {
    static const enum coll_place in_layers[] = {AT_MERGE, AT_ATTN, AT_FFN};
    struct estimator *e;
    struct turn turn;
    if (b->size == 1) return 0;
    int rc = estimator_new(&e, b->p, b->c, d);
    if (rc) return rc;
    struct stage_class *k = e->kind[e->class_of[b->free]];
    rc = estimate_turn(e, k, b->pass, &turn, d);
    for (int i = 0; i < 3 && !rc; i++) {
        const struct net_stamp *way = k->costs->coll[in_layers[i]];
        uint64_t most = 0;
        for (int r = 0; way && r < k->size * (k->size <= MAX_PAIRS ? k->size : 1); r++)
            if (way[r].ps != NEVER && way[r].ps > most) most = way[r].ps;
        b->coll_ps += most;
    }
    estimator_free(e);
    return rc;
}

static int64_t slowest_of(struct balance *b, const int *begin) {
    int64_t most = 0;
    for (int s = 0; s < b->p->n_stages; s++) {
        const struct plan_stage *g = &b->p->stages[s];
        int64_t ps = begin ? stage_ps(b, s, begin[s], begin[s + 1]) : stage_ps(b, s, g->layer0, g->layer1);
        if (ps > most) most = ps;
    }
    return most;
}

static int deal(struct strategy *out, struct balance *b, struct diag *d) {
    const struct plan *p = b->p;
    int *begin = malloc(((size_t)p->n_stages + 1) * sizeof *begin);
    int rc = begin ? find_colls(b, d) : diag_set(d, ERR_MEMORY, "no memory to deal layers");
    find_blocks(b);
    b->most = slowest_of(b, NULL);
    if (!rc) rc = split_by(&p->shape, &p->strategy, stage_ps, b, begin, d);
    if (!rc && slowest_of(b, begin) < b->most) {
        for (int s = 0; s < p->n_stages; s++)
            out->stage_layers[s] = begin[s + 1] - begin[s];
        rc = strategy_finish(out, d);
    }
    free(begin);
    return rc;
}

int plan_balance(struct strategy *out, const struct plan *p, const struct cluster *c, const struct card_pass *pass,
                 struct diag *d) {
    struct balance b = {.p = p, .c = c, .pass = pass, .most = INT64_MAX};
    size_t width = (size_t)p->shape.n_layers + 1, kinds = c->n_exceptions ? (size_t)p->n_stages : KINDS;
    *out = p->strategy;
    if (!can_deal(&b)) return 0;
    b.block = calloc((size_t)b.size * width, sizeof *b.block);
    b.known = calloc(kinds * width * width, sizeof *b.known);
    int rc = b.block && b.known ? deal(out, &b, d) : diag_set(d, ERR_MEMORY, "no memory to deal layers");
    free(b.block);
    free(b.known);
    return rc;
}
