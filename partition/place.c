/* place.c - ranks on cards, and the links and media between them. */
#include "partition/place.h"

#include <string.h>

#include "base/text.h"

/* Hosts of the replicas before a rank are not counted. */
int virtual_card(const struct plan *p, int rank) {
    if (p->ranks[rank].role == RANK_HOST) return -1;
    int hosts = p->strategy.host ? p->stages[0].size : 0, replica = rank / p->ranks_per_replica;
    return rank - (replica + 1) * hosts;
}

int place_tier(const struct cluster *c, int card_a, int card_b) {
    return card_a < 0 || card_b < 0 ? c->net.n_tiers - 1 : cluster_tier(c, card_a, card_b);
}

int virtual_tier(const struct cluster *c, const struct plan *p, int a, int b) {
    return place_tier(c, virtual_card(p, a), virtual_card(p, b));
}

/* Cards are counted group by group: from b up they are on one tier to the end of a's group of that tier, or, before a,
 * to the beginning of its group of the tier below. */
int virtual_tier_end(const struct cluster *c, const struct plan *p, int a, int b, int end) {
    int from = virtual_card(p, a), to = virtual_card(p, b), tier = place_tier(c, from, to);
    if (from < 0 || to < 0) return end;
    int inner = to < from && tier > 0, joins = c->joins[inner ? tier - 1 : tier];
    if (!inner && (!joins || tier + 1 == c->net.n_tiers)) return end;
    int64_t last = b + ((int64_t)(from / joins + !inner) * joins - to);
    return last < end ? (int)last : end;
}

static int n_cards(const struct plan *p) {
    return p->n_ranks - (p->strategy.host ? p->strategy.dp * p->stages[0].size : 0);
}

/* Media of the tiers before `tier`. */
static int media_before(const struct cluster *c, int cards, int tier) {
    int n = 0;
    for (int t = 0; t < tier; t++)
        if (c->net.tier[t].link.medium != NET_PRIVATE) n += c->joins[t] ? (cards + c->joins[t] - 1) / c->joins[t] : 1;
    return n;
}

int place_media(const struct cluster *c, int cards) {
    return media_before(c, cards, c->net.n_tiers);
}

int place_medium(const struct cluster *c, int cards, int card_a, int card_b) {
    int tier = place_tier(c, card_a, card_b), joins = c->joins[tier];
    if (c->net.tier[tier].link.medium == NET_PRIVATE) return -1;
    return media_before(c, cards, tier) + (card_a < 0 || card_b < 0 || !joins ? 0 : card_a / joins);
}

int virtual_media(const struct cluster *c, const struct plan *p) {
    return place_media(c, n_cards(p));
}

int virtual_medium(const struct cluster *c, const struct plan *p, int a, int b) {
    return place_medium(c, n_cards(p), virtual_card(p, a), virtual_card(p, b));
}

int place_is_fluid(const struct cluster *c) {
    int is = 0;
    for (int t = 0; t < c->net.n_tiers; t++)
        is |= c->net.tier[t].link.medium == NET_FLUID;
    return is;
}

static int check_rank(const struct cluster *c, const struct plan *p, int rank, struct diag *d) {
    int cards = n_cards(p);
    if (c->n_cards && cards > c->n_cards)
        return diag_set(d, ERR_PLAN, "strategy %s takes %d cards, but %s has %d: use fewer", p->strategy.text, cards,
                        c->name, c->n_cards);
    if (p->ranks[rank].role == RANK_HOST && !c->has_host)
        return diag_set(d, ERR_PLAN, "strategy %s has a host, but %s describes none: add host: to the file",
                        p->strategy.text, c->name);
    if (p->opts.allreduce && !strcmp(p->opts.allreduce, "mpi"))
        return diag_set(d, ERR_PLAN,
                        "--allreduce mpi: the messages of the library's own algorithm carry no virtual time: "
                        "choose another (northwall list)");
    return 0;
}

int virtual_rank_init(struct virtual_rank *v, const struct cluster *c, const struct plan *p, int rank, struct diag *d) {
    *v = (struct virtual_rank){.card = p->ranks[rank].role == RANK_HOST ? &c->host : &c->card};
    int rc = check_rank(c, p, rank, d);
    if (!rc) rc = card_place(&v->place, v->card, p, rank, d);
    if (p->ranks[rank].role != RANK_HOST) v->place.slow = cluster_slow(c, virtual_card(p, rank));
    return rc;
}

int virtual_rank_same(const struct cluster *c, const struct plan *p, int a, int b) {
    const struct plan_rank *x = &p->ranks[a], *y = &p->ranks[b];
    const struct shard_spec *s = &x->shard, *t = &y->shard;
    struct pico_rate slow_a, slow_b;
    if (x->role != y->role || s->layer0 != t->layer0 || s->layer1 != t->layer1 || x->prologue != y->prologue ||
        x->epilogue != y->epilogue || x->engine_bytes != y->engine_bytes ||
        memcmp(&x->bytes, &y->bytes, sizeof x->bytes) != 0 ||
        memcmp(x->layers, y->layers, (size_t)(s->layer1 - s->layer0) * sizeof(struct plan_block *)) != 0)
        return 0;
    if (x->role == RANK_HOST) return 1;
    slow_a = cluster_slow(c, virtual_card(p, a));
    slow_b = cluster_slow(c, virtual_card(p, b));
    return slow_a.num == slow_b.num && slow_a.den == slow_b.den;
}

static int no_room(const struct cluster *c, uint64_t need, const char *of, const char *remedy, struct diag *d) {
    char bytes[24], room[24];
    return diag_set(d, ERR_PLAN, "%s %s, and the frame buffer of %s holds %s: use %s", of,
                    text_bytes(bytes, sizeof bytes, (double)need), c->card.name,
                    text_bytes(room, sizeof room, (double)c->card.frame_bytes), remedy);
}

int virtual_frame(uint64_t *bytes, const struct cluster *c, const struct plan *p, struct diag *d) {
    const struct decoder_opts *o = &p->opts.decoder;
    uint64_t frame = c->card.frame_bytes, n_micro = (uint64_t)p->opts.n_micro;
    uint64_t message = (uint64_t)plan_hidden_bytes(p, o->max_tokens);
    uint64_t tokens = n_micro * (PLAN_SAMPLED_HEADER_BYTES + (uint64_t)p->opts.max_logits * PLAN_SAMPLED_BYTES);
    uint64_t all = (uint64_t)o->n_seqs * (uint64_t)o->n_ctx * (uint64_t)plan_hidden_bytes(p, 1);
    *bytes = 0;
    if (!frame || p->n_stages == 1) return 0;
    if (message > frame)
        return no_room(c, message, "the hidden states of a pass take", "a smaller --chunk or more --micro-batches", d);
    if (!p->strategy.host && tokens > frame)
        return no_room(c, tokens, "the tokens of all micro-batches take", "fewer --micro-batches or --users", d);
    if (all + n_micro * (uint64_t)plan_hidden_bytes(p, 0) > frame) *bytes = frame;
    return 0;
}
