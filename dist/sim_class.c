/* sim_class.c - the parts of a stage's pass, those that are alike as one class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_priv.h"

enum { FEW_LAYERS = 4 };

/* ---- what a class depends on ---- */

static void put(FILE *f, uint64_t v) {
    fwrite(&v, sizeof v, 1, f);
}
static void put_at(FILE *f, const struct plan_block *b, int level) {
    put(f, (uint64_t)(uintptr_t)b); /* equal blocks are one */
    put(f, (uint64_t)level);
}

static void put_sends(FILE *f, struct sim *s, int rank, int to, int step, int n) {
    put(f, (uint64_t)n);
    for (int i = 0; i < n; i++, to += step) {
        put(f, (uint64_t)s->p->ranks[to].tp_index);
        put(f, (uint64_t)virtual_tier(s->c, s->p, rank, to));
    }
}

/* To all ranks, neighbours on one tier together. */
static void put_tiers(FILE *f, struct sim *s, const struct sim_class *c, int rank) {
    int behind = c->first + c->size;
    for (int i = c->first, end; i < behind; i = end) {
        end = virtual_tier_end(s->c, s->p, rank, i, behind);
        put(f, (uint64_t)virtual_tier(s->c, s->p, rank, i));
        put(f, (uint64_t)(end - c->first));
    }
}

static void put_rank(FILE *f, struct sim *s, const struct sim_class *c, int rank) {
    const struct plan_rank *r = &s->p->ranks[rank];
    const struct virtual_rank *v = &s->rank[rank];
    put(f, (uint64_t)(uintptr_t)v->card);
    put(f, v->place.slow.num);
    put(f, v->place.slow.den);
    put(f, v->place.kv);
    put(f, (uint64_t)r->shard.head0);
    put(f, (uint64_t)r->shard.head1);
    if (c->prologue) put_at(f, r->prologue, v->place.ends);
    for (int l = c->layer0; l < c->layer1; l++)
        put_at(f, r->layers[l - r->shard.layer0], v->place.layer[l]);
    put_tiers(f, s, c, rank);
    if (!c->epilogue) return;
    put_at(f, r->epilogue, v->place.ends);
    put_sends(f, s, rank, r->send_to_first, r->send_to_step, r->n_send_to);
    put_sends(f, s, rank, r->token_to_first, r->token_to_step, r->n_token_to);
}

static int describe(struct sim *s, struct sim_class *c) {
    FILE *f = open_memstream(&c->same, &c->same_bytes);
    if (!f) return sim_no_memory(s);
    put(f, (uint64_t)c->size);
    put(f, (uint64_t)(c->layer1 - c->layer0));
    put(f, (uint64_t)(2 * c->prologue + c->epilogue));
    put(f, (uint64_t)c->n_out);
    for (int r = 0; r < c->size; r++)
        put_rank(f, s, c, c->first + r);
    int bad = ferror(f);
    return fclose(f) || bad ? sim_no_memory(s) : 0;
}

/* The tiers of links that keep a port busy, among the ranks of a class and those that they send to. */
static void find_ports(struct sim *s, struct sim_class *c) {
    int used[NET_MAX_TIERS] = {0};
    for (int i = 0; i < c->size; i++) {
        const struct plan_rank *r = &s->p->ranks[c->first + i];
        for (int k = 0, end; k < c->size; k = end) {
            end = virtual_tier_end(s->c, s->p, c->first + i, c->first + k, c->first + c->size) - c->first;
            used[virtual_tier(s->c, s->p, c->first + i, c->first + k)] |= end > k + 1 || k != i;
        }
        for (int k = 0; k < r->n_send_to && c->epilogue; k++)
            used[virtual_tier(s->c, s->p, c->first + i, r->send_to_first + k * r->send_to_step)] = 1;
        for (int k = 0; k < r->n_token_to && c->epilogue; k++)
            used[virtual_tier(s->c, s->p, c->first + i, r->token_to_first + k * r->token_to_step)] = 1;
    }
    for (int t = 0; t < s->c->net.n_tiers; t++)
        if (used[t] && !s->c->net.tier[t].link.pull) c->port[c->n_ports++] = t;
}

/* ---- finding it ---- */

static int same_classes(const struct sim_class *a, const struct sim_class *b) {
    return a->same_bytes == b->same_bytes && memcmp(a->same, b->same, a->same_bytes) == 0;
}

/* The class of what `like` says. */
static int find_class(struct sim *s, const struct sim_class *like, struct sim_class **out) {
    struct sim_class *c = calloc(1, sizeof *c), *known = s->classes;
    if (!c) return sim_no_memory(s);
    *c = *like;
    int rc = describe(s, c);
    while (!rc && known && !same_classes(known, c))
        known = known->next;
    *out = known ? known : c;
    if (rc || known) {
        free(c->same);
        free(c);
        return rc;
    }
    find_ports(s, c);
    c->next = s->classes;
    s->classes = c;
    return 0;
}

/* ---- a stage ---- */

/* Whether all ranks of a stage do in two layers the same. */
static int same_layers(const struct sim *s, int first, int size, int a, int b) {
    for (int r = first; r < first + size; r++) {
        const struct plan_rank *k = &s->p->ranks[r];
        const uint8_t *level = s->rank[r].place.layer;
        if (k->layers[a - k->shard.layer0] != k->layers[b - k->shard.layer0] || level[a] != level[b]) return 0;
    }
    return 1;
}

static int add_part(struct sim *s, struct sim_part **at, const struct sim_class *like, int times) {
    (*at)->times = times;
    return find_class(s, like, &(*at)++->class);
}

/* A stage of few layers is one part; of more, each run of equal layers is one, and so are both ends. */
int sim_stage(struct sim *s, int replica, int stage) {
    const struct plan_stage *g = &s->p->stages[stage];
    int first = replica * s->p->ranks_per_replica + g->first, rc = 0, last = stage + 1 == s->p->n_stages;
    int few = g->layer1 - g->layer0 < FEW_LAYERS;
    struct sim_part *at = calloc((size_t)(g->layer1 - g->layer0 + 3), sizeof *at);
    struct sim_class part = {.first = first, .size = g->size, .prologue = 1, .layer0 = g->layer0, .layer1 = g->layer0};
    s->part[replica * s->p->n_stages + stage] = at;
    if (!at) return sim_no_memory(s);
    if (!few) rc = add_part(s, &at, &part, 1);
    for (int l = g->layer0, n; l < g->layer1 && !few && !rc; l += n) {
        for (n = 1; l + n < g->layer1 && same_layers(s, first, g->size, l, l + n);)
            n++;
        part = (struct sim_class){.first = first, .size = g->size, .layer0 = l, .layer1 = l + 1};
        rc = add_part(s, &at, &part, n);
    }
    part.layer0 = few ? g->layer0 : g->layer1;
    part.layer1 = g->layer1;
    part.epilogue = 1;
    part.n_out = s->p->n_stages == 1 ? 0 : s->p->stages[last ? 0 : stage + 1].size;
    return rc ? rc : add_part(s, &at, &part, 1);
}

static void class_fini(struct sim_class *c) {
    sim_codes_free(c->codes);
    free(c->same);
    free(c->memo);
    free(c);
}

void sim_classes_fini(struct sim *s) {
    for (struct sim_class *c = s->classes, *next; c; c = next) {
        next = c->next;
        class_fini(c);
    }
}
