/* Laws of virtual time that hold for any plan on any cluster, on random ones; and two times from arithmetic alone. A
 * clock is built from durations by sums and maxima, so it is homogeneous, monotone and convex in them, exactly, where
 * nothing rounds: all rates here are whole (and even where they become 3/2 of themselves). */
#include <inttypes.h>
#include <stdlib.h>

#include "one_reduce.h"
#include "partition/random_shape.h"
#include "random_cluster.h"

enum { CASES = 60, SEQS = 4, MOST_NUMBERS = 256, ALL_SHARES = (1 << NET_SHARES) - 1 };

/* ---- the numbers of a cluster ---- */

/* A time, or the time of a unit, that counts to a share. */
struct number {
    uint64_t *ps;
    enum net_share share;
};

static void add(struct number *out, int *n, uint64_t *ps, enum net_share share) {
    CHECK(*n < MOST_NUMBERS, "more numbers than room");
    out[(*n)++] = (struct number){ps, share};
}

static void add_card(struct number *out, int *n, struct card *c) {
    for (int i = 0; i < c->n_levels; i++) {
        add(out, n, &c->level[i].G.num, NET_MEMORY);
        add(out, n, &c->level[i].alone.num, NET_MEMORY);
        add(out, n, &c->level[i].latency_ps, NET_MEMORY);
    }
    for (int k = 0; k < PREC_COUNT; k++)
        add(out, n, &c->op[k].num, NET_COMPUTE);
    add(out, n, &c->step_ps, NET_OVERHEAD);
    for (int k = 0; k < STEP_COUNT; k++)
        add(out, n, &c->step[k].overhead_ps, NET_OVERHEAD);
    add(out, n, &c->pass_ps, NET_OVERHEAD);
    add(out, n, &c->token_ps, NET_OVERHEAD);
    add(out, n, &c->sequence_ps, NET_OVERHEAD);
}

static int numbers(struct cluster *c, struct number *out) {
    int n = 0;
    add_card(out, &n, &c->card);
    add_card(out, &n, &c->host);
    add(out, &n, &c->net.copy.num, NET_MEMORY);
    add(out, &n, &c->net.gamma.num, NET_COMPUTE);
    add(out, &n, &c->net.codec.num, NET_COMPUTE);
    for (int i = 0; i < c->net.n_tiers; i++) {
        struct net_link *l = &c->net.tier[i].link;
        add(out, &n, &l->G.num, NET_BANDWIDTH);
        add(out, &n, &l->L_ps, NET_LATENCY);
        add(out, &n, &l->o_send_ps, NET_OVERHEAD);
        add(out, &n, &l->o_recv_ps, NET_OVERHEAD);
        add(out, &n, &l->g_ps, NET_OVERHEAD);
    }
    return n;
}

/* Those of the shares, a bit each. */
static void scale(struct cluster *c, unsigned shares, uint64_t num, uint64_t den) {
    struct number all[MOST_NUMBERS];
    int n = numbers(c, all);
    for (int i = 0; i < n; i++)
        if (shares >> all[i].share & 1) *all[i].ps = *all[i].ps * num / den;
}

static void make_whole(struct card *c) {
    for (int i = 0; i < c->n_levels; i++) {
        c->level[i].G.den = 1;
        if (c->level[i].alone.den) c->level[i].alone.den = 1;
    }
    for (int k = 0; k < PREC_COUNT; k++)
        c->op[k].den = 1;
}

/* ---- cases ---- */

struct one {
    struct model_shape shape;
    struct strategy st;
    struct plan *p;
    struct cluster c;
    struct trace trace[2];
};

/* Nonzero: the plan cannot be had. */
static int one_init(struct one *o, int number, int shared) {
    struct dice dice = {(uint64_t)number + 31000, 0};
    struct plan_opts opts;
    struct diag d = {0};
    uint64_t n = 0;
    memset(o, 0, sizeof *o);
    do {
        random_shape(&dice, &o->shape);
    } while (!o->shape.causal);
    random_strategy(&dice, &o->shape, &o->st);
    random_opts(&dice, &opts);
    random_cluster(&o->c, dice.key, &n, shared);
    o->c.n_exceptions = 0; /* a card's speed rounds its durations */
    make_whole(&o->c.card);
    make_whole(&o->c.host);
    o->c.net.tier[0].link.pull = !shared && roll(&dice, 4) == 0;
    for (int i = 0; i < o->c.net.n_tiers; i++)
        o->c.net.tier[i].link.G.den = 1;
    o->c.card.level[0].bytes *= 100;
    o->c.host.level[0].bytes *= 100;
    scale(&o->c, ALL_SHARES, 2, 1);
    opts.transport = COLL_TRANSPORT_LINK;
    opts.decoder.n_ctx = 64;
    opts.decoder.max_tokens += opts.decoder.n_seqs;
    opts.max_logits = 0;
    opts.net = &o->c.net;
    int rc = plan_make(&o->p, &o->shape, &o->st, strategy_ranks(&o->st), &opts, &d);
    if (!rc) random_frames(&o->c, o->p, dice.key);
    for (int r = 0; !rc && r < o->st.dp; r++)
        random_trace(&o->trace[r], o->p, r, dice.key, o->st.dp * opts.decoder.n_seqs, 4, 0);
    CHECK(rc == 0 || rc == ERR_PLAN, "case %d: %s", number, d.text);
    return rc;
}

static void one_fini(struct one *o) {
    trace_fini(&o->trace[0]);
    trace_fini(&o->trace[1]);
    plan_free(o->p);
}

static void walk(const struct one *o, const struct cluster *c, struct simulation *out) {
    struct diag d = {0};
    int rc = simulate(out, o->p, c, o->trace, &d);
    CHECK(rc == 0, "%s: %s", o->st.text, d.text);
    if (rc) exit(1);
}

/* ---- laws ---- */

static int is_scaled(const struct net_stamp *a, const struct net_stamp *b, uint64_t k) {
    int same = b->ps == k * a->ps;
    for (int i = 0; i < NET_SHARES; i++)
        same &= b->share[i] == k * a->share[i];
    return same;
}

/* All durations times k: all times and shares times k; of k = 1: the same once more. */
static void check_scale(const struct one *o, const struct simulation *base, uint64_t k) {
    struct cluster c = o->c;
    struct simulation s;
    int bad = 0;
    scale(&c, ALL_SHARES, k, 1);
    walk(o, &c, &s);
    for (int r = 0; r < s.n_ranks; r++) {
        bad += !is_scaled(&base->clock[r].now, &s.clock[r].now, k);
        for (int i = 0; i < NET_MAX_TIERS; i++)
            bad += !is_scaled(&base->clock[r].port_free[i], &s.clock[r].port_free[i], k);
    }
    for (int i = 0; i < o->st.dp; i++)
        for (int k2 = 0; k2 < o->trace[i].n; k2++)
            bad += !is_scaled(&base->taken[i][k2], &s.taken[i][k2], k);
    CHECK(bad == 0, "%s, %s: %d times are not %" PRIu64 " times the former", o->st.text, o->shape.name, bad, k);
    CHECK(s.events == base->events, "%s: other events", o->st.text);
    simulation_fini(&s);
}

/* How many clocks are later; none may be earlier. */
static int later(const struct one *o, const char *what, const struct simulation *base, const struct simulation *s) {
    int n = 0;
    for (int r = 0; r < s->n_ranks; r++) {
        n += s->clock[r].now.ps > base->clock[r].now.ps;
        CHECK(s->clock[r].now.ps >= base->clock[r].now.ps, "%s, %s: rank %d earlier by %" PRIu64 " ps, %s", o->st.text,
              o->shape.name, r, base->clock[r].now.ps - s->clock[r].now.ps, what);
    }
    return n;
}

/* One number worse at a time. */
static int check_monotone(const struct one *o, const struct simulation *base, struct dice *dice) {
    struct number all[MOST_NUMBERS];
    struct cluster c = o->c;
    int n = numbers(&c, all), moved = 0;
    for (int i = 0; i < n; i++) {
        struct simulation s;
        uint64_t was = *all[i].ps;
        *all[i].ps += 1 + was * (uint64_t)roll(dice, 40) / 10;
        walk(o, &c, &s);
        moved += later(o, "with a greater number", base, &s) > 0;
        simulation_fini(&s);
        *all[i].ps = was;
    }
    return moved;
}

/* The shares of a clock are its slopes: with all numbers of a share 3/2 times as great, T' - T lies between the slope
 * there, share / 2, and that at the other end, share' / 2 * 2/3. */
static void check_elasticities(const struct one *o, const struct simulation *base) {
    for (int k = 0; k < NET_SHARES; k++) {
        struct cluster c = o->c;
        struct simulation s;
        scale(&c, 1u << k, 3, 2);
        walk(o, &c, &s);
        for (int r = 0; r < s.n_ranks; r++) {
            const struct net_stamp *a = &base->clock[r].now, *b = &s.clock[r].now;
            CHECK(2 * (b->ps - a->ps) >= a->share[k] && 3 * (b->ps - a->ps) <= b->share[k],
                  "%s, %s: rank %d, share %d: %" PRIu64 " ps more, but shares of %" PRIu64 " and %" PRIu64, o->st.text,
                  o->shape.name, r, k, b->ps - a->ps, a->share[k], b->share[k]);
        }
        simulation_fini(&s);
    }
}

static void check_sums(const struct one *o, const struct simulation *s) {
    for (int r = 0; r < s->n_ranks; r++) {
        uint64_t sum = 0;
        for (int i = 0; i < NET_SHARES; i++)
            sum += s->clock[r].now.share[i];
        CHECK(sum == s->clock[r].now.ps, "%s: rank %d: shares %" PRIu64 " of %" PRIu64, o->st.text, r, sum,
              s->clock[r].now.ps);
    }
}

/* Where frame buffers are not limited nothing is later. */
static void check_frames(const struct one *o, const struct simulation *base) {
    struct cluster c = o->c;
    struct simulation s;
    c.card.frame_bytes = 0;
    walk(o, &c, &s);
    later(o, "with frame buffers", &s, base);
    simulation_fini(&s);
}

/* Returns how many numbers of the cluster mattered, -1: none, as there is no plan. */
static int check_private(int number) {
    struct one o;
    struct dice dice = {(uint64_t)number + 77000, 0};
    int moved = -1;
    if (one_init(&o, number, 0) == 0) {
        struct simulation base;
        walk(&o, &o.c, &base);
        check_sums(&o, &base);
        check_scale(&o, &base, 1);
        check_scale(&o, &base, 2 + (uint64_t)roll(&dice, 9));
        check_elasticities(&o, &base);
        moved = check_monotone(&o, &base, &dice);
        check_frames(&o, &base);
        simulation_fini(&base);
    }
    one_fini(&o);
    return moved;
}

/* A medium that others share is never earlier than a link of one's own. Returns how many clocks are later, or -1. */
static int check_shared(int number) {
    struct one o;
    int moved = -1;
    if (one_init(&o, number, 1) == 0) {
        struct cluster apart = o.c, fair = o.c;
        struct simulation base, alone, shared;
        for (int i = 0; i < apart.net.n_tiers; i++) {
            apart.net.tier[i].link.medium = NET_PRIVATE;
            if (fair.net.tier[i].link.medium) fair.net.tier[i].link.medium = NET_FLUID;
        }
        walk(&o, &o.c, &base);
        walk(&o, &fair, &shared);
        walk(&o, &apart, &alone);
        check_sums(&o, &base);
        check_scale(&o, &base, 1);
        check_scale(&o, &base, 3);
        check_sums(&o, &shared);
        later(&o, "with fair media", &alone, &shared);
        moved = later(&o, "with shared media", &alone, &base);
        simulation_fini(&shared);
        simulation_fini(&alone);
        simulation_fini(&base);
    }
    one_fini(&o);
    return moved;
}

static void check_laws(void) {
    int n = 0, n_shared = 0, moved = 0, met = 0;
    for (int i = 0; i < CASES; i++) {
        int a = check_private(i), b = check_shared(i);
        n += a >= 0;
        moved += a > 0 ? a : 0;
        n_shared += b >= 0;
        met += b > 0;
    }
    printf("%d random plans, %d numbers of their clusters mattered; %d with shared media, %d of them later for it\n", n,
           moved, n_shared, met);
    CHECK(n > CASES / 2 && moved > 8 * n && met > n_shared / 8, "%d plans, %d numbers, %d of %d shared", n, moved, met,
          n_shared);
}

/* ---- by arithmetic ---- */

/* What a rank's steps take where all its bytes lie on one level. */
static uint64_t block_ps(const struct plan_block *b, const struct card *c, int64_t tokens, int64_t wanted,
                         int64_t seen) {
    uint64_t ps = 0;
    for (int i = 0; i < b->n; i++) {
        const struct step_cost *s = &b->step[i].cost;
        if (card_is_message(b->step[i].kind)) continue;
        int64_t t = b->step[i].kind >= STEP_OUT_NORM ? wanted : tokens;
        int64_t bytes =
            s->weight_bytes + (s->row_bytes_per_tok + s->kv_bytes_per_tok) * t + s->kv_bytes_per_ctx * tokens;
        uint64_t ps_a_byte = c->level[0].alone.den ? c->level[0].alone.num : c->level[0].G.num; /* a pipeline's ranks */
        uint64_t memory = bytes ? c->level[0].latency_ps + (uint64_t)bytes * ps_a_byte : 0, compute = 0;
        for (int k = 0; k < PREC_COUNT; k++)
            compute += (uint64_t)(s->ops_per_tok[k] * t + s->ops_per_ctx[k] * seen) * c->op[k].num;
        const struct card_step *kind = &c->step[b->step[i].kind];
        if (kind->slow.den) compute *= kind->slow.num;
        ps += (memory > compute ? memory : compute) + (memory || compute ? c->step_ps + kind->overhead_ps : 0);
    }
    return ps;
}

static uint64_t hop_ps(const struct cluster *c, const struct plan *p, int from, int to, int64_t bytes) {
    const struct net_link *l = &c->net.tier[virtual_tier(c, p, from, to)].link;
    return l->o_send_ps + (uint64_t)(1 + l->via_host) * ((uint64_t)bytes * l->G.num + l->L_ps) + l->o_recv_ps;
}

/* A prompt of T tokens goes once through a pipeline of single cards, and its first token back to the first. */
static uint64_t pipeline_ps(const struct plan *p, const struct cluster *c, int64_t T) {
    int64_t seen = T * (T + 1) / 2, hidden = 24 + T * (16 + 4 * p->shape.d_model), sampled = 16 + 24;
    uint64_t ps = 0;
    for (int r = 0; r < p->n_ranks; r++) {
        const struct plan_rank *k = &p->ranks[r];
        ps +=
            c->card.pass_ps + block_ps(k->prologue, &c->card, T, 1, seen) + block_ps(k->epilogue, &c->card, T, 1, seen);
        for (int l = k->shard.layer0; l < k->shard.layer1; l++)
            ps += block_ps(k->layers[l - k->shard.layer0], &c->card, T, 1, seen);
        if (p->n_ranks > 1) ps += hop_ps(c, p, r, (r + 1) % p->n_ranks, r + 1 < p->n_ranks ? hidden : sampled);
    }
    return ps + (uint64_t)T * c->card.token_ps + c->card.sequence_ps;
}

/* A pipeline of single cards with all their bytes on one level, in place of the case's plan. */
static int pipeline_init(struct one *o, int number, int stages_of, struct diag *d) {
    char text[32];
    if (one_init(o, number, 0)) return -1;
    struct plan_opts opts = o->p->opts;
    opts.decoder.max_tokens = 12;
    opts.decoder.hidden = HIDDEN_F32;
    opts.n_micro = opts.max_logits = 0;
    one_fini(o);
    memset(o->trace, 0, sizeof o->trace);
    o->c.card.n_levels = 1;
    o->c.card.level[0].bytes = o->c.card.frame_bytes = 0;
    o->c.net.tier[0].link.pull = 0;
    snprintf(text, sizeof text, "pp%d", 1 + stages_of % o->shape.n_layers);
    int rc = strategy_parse(&o->st, text, d);
    return rc ? rc : plan_make(&o->p, &o->shape, &o->st, strategy_ranks(&o->st), &opts, d);
}

static void check_pipeline(int number) {
    static const int ids[16];
    const int *prompt = ids;
    struct one o;
    struct simulation s;
    struct diag d = {0};
    struct dice dice = {(uint64_t)number + 5000, 0};
    int len = 1 + roll(&dice, 12), rc = pipeline_init(&o, number, roll(&dice, 1000), &d);
    struct engine_job job = {.n_seqs = 1, .prompt = &prompt, .prompt_len = &len, .n_new = 1, .chunk = 16};
    if (!rc) rc = trace_fixed(o.trace, o.p, &job, 0, &d);
    CHECK(rc <= 0, "%s: %s", o.st.text, d.text);
    if (!rc) {
        walk(&o, &o.c, &s);
        uint64_t ps = pipeline_ps(o.p, &o.c, len);
        CHECK(s.taken[0][0].ps == ps, "%d tokens through %s of %s: %" PRIu64 " ps, by arithmetic %" PRIu64, len,
              o.st.text, o.shape.name, s.taken[0][0].ps, ps);
        simulation_fini(&s);
    }
    if (rc >= 0) one_fini(&o);
}

/* 2 (P-1) rounds of a message of 1/P of the bytes; in half of them they are added, by net_default's 10 ps a byte. */
static void check_ring(int size, uint64_t key) {
    struct cluster c = {0};
    struct diag d = {0};
    uint64_t n = 0, P = (uint64_t)size;
    random_cluster(&c, key, &n, 0);
    c.net.n_tiers = 1;
    c.joins[0] = 0;
    struct net_link *l = &c.net.tier[0].link;
    l->G.den = 1;
    l->g_ps = l->L_ps / 2;
    l->via_host = c.n_exceptions = 0; /* equal cards, joined without a stop */
    struct one_reduce o = {.size = size, .tokens = 1 + (int)below(key, &n, 4)};
    uint64_t k = 4 * REDUCE_WIDTH * (uint64_t)o.tokens / P;
    int rc = one_reduce(&o, &c, "ring", &d);
    uint64_t ps = 2 * (P - 1) * (l->o_send_ps + k * l->G.num + l->L_ps + l->o_recv_ps) + (P - 1) * k * 10;
    CHECK(rc == 0, "%s", d.text);
    for (int r = 0; r < size && !rc; r++)
        CHECK(o.start_ps[r] == o.start_ps[0] && o.end_ps[r] - o.start_ps[r] == ps,
              "ring of %d: rank %d takes %" PRIu64 " ps, by formula %" PRIu64, size, r, o.end_ps[r] - o.start_ps[r],
              ps);
}

int main(void) {
    check_laws();
    for (int i = 0; i < CASES; i++)
        check_pipeline(i);
    for (int i = 0; i < 12; i++)
        check_ring(2 << i % 3, (uint64_t)i + 900);
    return check_report("test_invariants");
}
