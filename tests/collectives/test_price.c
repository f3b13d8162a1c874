/* What a collective costs: cases computed by hand, laws that any timer must obey, and choices by formula. */
#include "collectives/price.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "collectives/coll.h"
#include "shapes.h"

enum { N_ALGOS = 10, RANKS = 16 };

/* Whole rates, all different, so that no term can stand for another. */
static const struct net plain = {
    .n_tiers = 3,
    .tier = {{"shm", "test", {1, 100000, 7000, 11000, 0, .G = {50, 1}}},
             {"mpi", "test", {0, 500000, 300000, 200000, 400000, .G = {210, 1}}},
             {"net", "test", {0, 9000000, 900000, 800000, 100000, .G = {830, 1}}}},
    .gamma = {13, 1},
    .copy = {29, 1},
    .codec = {170, 1},
};

static struct coll_op sum;

/* An even shape of one leaf a rank. */
struct even {
    struct coll_shape shape;
    int begin[RANKS + 1], domain[RANKS];
};

static void even_init(struct even *e, int size, int per_domain) {
    for (int r = 0; r < size; r++)
        e->domain[r] = r / per_domain;
    for (int r = 0; r <= size; r++)
        e->begin[r] = r;
    e->shape = (struct coll_shape){size, size, e->begin, e->domain};
}

static uint64_t predict(const char *algo, enum coll_kind kind, const struct coll_shape *shape, const struct net *net,
                        int shm, size_t n) {
    struct coll_choice choice;
    struct diag d = {0};
    uint64_t ps = 0;
    CHECK(coll_choice_parse(&choice, algo, &d) == 0, "%s", d.text);
    CHECK(coll_predict(&choice, kind, shape, net, shm, &sum, NULL, n, 16, &ps, &d) == 0, "%s: %s", algo, d.text);
    return ps;
}

/* ---- clocks ---- */

static uint64_t shares_of(const struct net_stamp *s) {
    uint64_t ps = 0;
    for (int i = 0; i < NET_SHARES; i++)
        ps += s->share[i];
    return ps;
}

static void check_push(void) {
    const struct net_link *mpi = &plain.tier[1].link;
    struct net_clock a = {0}, b = {0};
    struct net_stamp first = net_send(&a, &plain, 1, 1000), second = net_send(&a, &plain, 1, 10000);
    CHECK(first.ps == 300000 + 210000 + 500000, "%" PRIu64, first.ps);
    CHECK(a.now.ps == 2 * 300000, "the sender goes on: %" PRIu64, a.now.ps);
    /* the port is free at 300000 + g, after the sender's 600000: g is not waited for... */
    CHECK(second.ps == 300000 + 400000 + 2100000 + 500000, "...but it is: %" PRIu64, second.ps);
    struct net_stamp third = net_send(&a, &plain, 1, 0);
    CHECK(third.ps == 700000 + 2100000 + 500000, "behind the words: %" PRIu64, third.ps);
    net_recv(&b, &plain, 1, &first);
    CHECK(b.now.ps == first.ps + mpi->o_recv_ps && shares_of(&b.now) == b.now.ps, "%" PRIu64, b.now.ps);
    CHECK(b.now.share[NET_OVERHEAD] == 500000 && b.now.share[NET_BANDWIDTH] == 210000 &&
              b.now.share[NET_LATENCY] == 500000,
          "a message's shares");
    CHECK(second.share[NET_OVERHEAD] == 700000 && second.share[NET_BANDWIDTH] == 2100000 &&
              shares_of(&second) == second.ps,
          "gap and words of a waiting message: %" PRIu64 " %" PRIu64, second.share[NET_OVERHEAD],
          second.share[NET_BANDWIDTH]);
    net_spend(&b, NET_MEMORY, 10000000);
    net_recv(&b, &plain, 1, &second);
    CHECK(b.now.ps == first.ps + 200000 + 10000000 + 200000, "what has come before is not waited for");
    CHECK(b.now.share[NET_MEMORY] == 10000000 && shares_of(&b.now) == b.now.ps, "own shares stay");
    CHECK(a.port_free[0].ps == 0 && a.port_free[2].ps == 0, "each tier has a port");
}

static void check_pull(void) {
    struct net_clock a = {0}, b = {0};
    struct net_stamp flag = net_send(&a, &plain, 0, 0);
    CHECK(flag.ps == 107000 && a.now.ps == 7000, "%" PRIu64, flag.ps);
    net_recv(&b, &plain, 0, &flag);
    net_read(&b, &plain, 0, 64);
    net_reduce(&b, &plain, 64);
    net_copy(&b, &plain, 10);
    net_codec(&b, &plain, 10);
    CHECK(b.now.ps == 118000 + 3200 + 832 + 290 + 1700, "%" PRIu64, b.now.ps);
    CHECK(b.now.share[NET_BANDWIDTH] == 3200 && b.now.share[NET_COMPUTE] == 832 + 1700 &&
              b.now.share[NET_MEMORY] == 290 && b.now.share[NET_OVERHEAD] == 18000 &&
              b.now.share[NET_LATENCY] == 100000,
          "shares");
    net_spend(&b, NET_MEMORY, UINT64_MAX);
    CHECK(b.now.ps == UINT64_MAX && shares_of(&b.now) == UINT64_MAX, "what does not fit is left out of both");
}

/* A row of messages is as many sends: all stamps, and the clock behind them, from a port that is free or busy, on links
 * whose overhead is shorter than, as long as, or longer than what a message keeps the port. */
static void check_row(uint64_t key) {
    uint64_t few = 1 + rng_u64(key, 0) % 4, words = rng_u64(key, 1) % (5 * few), n = 1 + key % 40;
    struct net net = {.n_tiers = 1, .gamma = {1, 1}, .copy = {1, 1}, .codec = {1, 1}};
    net.tier[0].link = (struct net_link){.pull = key % 5 == 0,
                                         .L_ps = rng_u64(key, 2) % 9,
                                         .o_send_ps = rng_u64(key, 3) % (5 * few),
                                         .g_ps = rng_u64(key, 4) % (5 * few),
                                         .G = {1, 1},
                                         .via_host = key % 3 == 0};
    uint64_t now = rng_u64(key, 5) % 50, busy = rng_u64(key, 6) % 100;
    struct net_clock one = {{now, {now}}, {{busy, {[NET_LATENCY] = busy}}}}, row = one;
    struct net_row out = {0};
    int bad = 0;
    net_send_row(&row, &net, 0, words, (int)n, &out);
    for (int i = 0; i < (int)n; i++) {
        struct net_stamp arrival, got = net_row_stamp(&out, i);
        net_send_words(&one, &net, 0, words, &arrival);
        bad += memcmp(&arrival, &got, sizeof got) != 0 || net_row_ps(&out, i) != arrival.ps;
    }
    CHECK(!bad && !memcmp(&one, &row, sizeof row), "row %" PRIu64 ": %d of %" PRIu64 " stamps differ", key, bad, n);
}

static void check_rows(void) {
    for (uint64_t key = 0; key < 20000; key++)
        check_row(key);
}

static void check_tiers(void) {
    struct even e;
    struct net two = plain, one = plain;
    even_init(&e, 4, 2);
    two.n_tiers = 2;
    one.n_tiers = 1;
    CHECK(net_tier(&plain, &e.shape, 1, 0, 1) == 0 && net_tier(&plain, &e.shape, 0, 0, 1) == 1, "within");
    CHECK(net_tier(&plain, &e.shape, 1, 1, 2) == 2 && net_tier(&plain, &e.shape, 0, 1, 2) == 2, "between");
    CHECK(net_tier(&two, &e.shape, 1, 1, 2) == 1 && net_tier(&one, &e.shape, 0, 1, 2) == 0, "as far as there are");
    e.shape.domain = NULL;
    CHECK(net_tier(&plain, &e.shape, 1, 1, 2) == 0, "all in one");
}

/* ---- by hand ---- */

/* n elements of 4 bytes, n a multiple of 64: parts of equal size. */
static void check_by_hand(void) {
    enum { n = 4096, B = 4 * n };
    const uint64_t alpha = 7000 + 100000 + 11000;
    struct even two, four;
    even_init(&two, 2, 2);
    even_init(&four, 4, 4);
    uint64_t ps = predict("oneshot", COLL_ALLREDUCE, &two.shape, &plain, 1, n);
    CHECK(ps == alpha + B * 50 + B * 13, "oneshot of 2 over shm: %" PRIu64, ps);
    /* Both halves: read and reduced in one hand-off, read into place in the next. */
    ps = predict("twoshot", COLL_ALLREDUCE, &two.shape, &plain, 1, n);
    CHECK(ps == 2 * alpha + B / 2 * 50 + B / 2 * 13 + B / 2 * 50, "twoshot of 2 over shm: %" PRIu64, ps);
    ps = predict("tree", COLL_ALLREDUCE, &two.shape, &plain, 1, n);
    CHECK(ps == alpha + B * 50 + B * 13, "tree of 2, one exchange, over shm: %" PRIu64, ps);
    ps = predict("oneshot", COLL_ALLREDUCE, &four.shape, &plain, 1, n);
    CHECK(ps == 7000 + 100000 + 3 * 11000 + 3 * B * (50 + 13), "oneshot of 4 over shm: %" PRIu64, ps);
    /* P-1 hand-offs that read and reduce a part, P-1 that copy one. */
    ps = predict("ring", COLL_ALLREDUCE, &four.shape, &plain, 1, n);
    CHECK(ps == 6 * alpha + 3 * (uint64_t)(B / 4) * (50 + 13) + 3 * (uint64_t)(B / 4) * 50, "ring of 4: %" PRIu64, ps);

    const uint64_t beta = 300000 + 500000 + 200000;
    ps = predict("oneshot", COLL_ALLREDUCE, &two.shape, &plain, 0, n);
    CHECK(ps == beta + B * 210 + B * 13, "oneshot of 2 over messages: %" PRIu64, ps);
    ps = predict("ring", COLL_ALLREDUCE, &four.shape, &plain, 0, n);
    CHECK(ps == 6 * beta + 6 * (uint64_t)(B / 4) * 210 + 3 * (uint64_t)(B / 4) * 13, "ring of 4: %" PRIu64, ps);
    /* The port sends three parts one after the other, each longer than overheads and gap; what is received earlier is
     * taken by then. */
    ps = predict("twoshot", COLL_ALLREDUCE, &four.shape, &plain, 0, n);
    CHECK(ps == 2 * (beta + 3 * (uint64_t)(B / 4) * 210) + 3 * (uint64_t)(B / 4) * 13, "twoshot of 4: %" PRIu64, ps);
    /* Short ones: the gap counts, and three overheads of receiving. */
    ps = predict("oneshot", COLL_ALLREDUCE, &four.shape, &plain, 0, 1);
    CHECK(ps == 300000 + 2 * 400000 + 840 + 500000 + 200000 + 3 * 4 * 13, "oneshot of 4 of one: %" PRIu64, ps);
}

/* Two domains of two: the first hand-off within, the messages between, the last hand-off within. */
static void check_levels(void) {
    enum { n = 4096, B = 4 * n };
    struct even e;
    even_init(&e, 4, 2);
    uint64_t ps = predict("hierarchical:twoshot:oneshot", COLL_ALLREDUCE, &e.shape, &plain, 1, n);
    uint64_t within = 2 * (7000 + 100000 + 11000) + B / 2 * (50 + 13) + B / 2 * 50;
    uint64_t between = 900000 + 9000000 + 800000 + B / 2 * 830 + B / 2 * 13;
    CHECK(ps == within + between, "two levels: %" PRIu64 " instead of %" PRIu64, ps, within + between);
}

static void check_nothing(void) {
    struct even e;
    even_init(&e, 4, 4);
    CHECK(predict("ring", COLL_ALLREDUCE, &e.shape, &plain, 0, 0) == 0, "no messages, no time");
    CHECK(predict("oneshot", COLL_ALLREDUCE, &e.shape, &plain, 1, 0) == 7000, "one publication");
    even_init(&e, 1, 1);
    CHECK(predict("twoshot", COLL_ALLREDUCE, &e.shape, &plain, 1, 1000) == 0, "a lone rank has its result");
}

/* ---- lossy ---- */

static void check_lossy(void) {
    enum { n = 4096 };
    const struct coll_wire *wire = coll_wires[0];
    struct coll_choice choice;
    struct even e;
    struct diag d = {0};
    uint64_t ps = 0, code = wire->bytes(n);
    even_init(&e, 2, 2);
    coll_choice_parse(&choice, "oneshot", &d);
    int rc = coll_predict(&choice, COLL_ALLREDUCE, &e.shape, &plain, 1, &sum, wire, n, 32, &ps, &d);
    /* own values encoded and decoded, the peer's read in place, decoded and added */
    uint64_t want = 2 * 4 * n * 170 + 118000 + code * 50 + 4 * n * 170 + 4 * n * 13;
    CHECK(rc == 0 && ps == want, "%s: %" PRIu64 " instead of %" PRIu64 " %s", wire->name, ps, want, d.text);
    rc = coll_predict(&choice, COLL_ALLREDUCE, &e.shape, &plain, 0, &sum, wire, n, 32, &ps, &d);
    want = 2 * 4 * n * 170 + 1000000 + code * 210 + 4 * n * 170 + 4 * n * 13;
    CHECK(rc == 0 && ps == want, "%s: %" PRIu64 " instead of %" PRIu64 " %s", wire->name, ps, want, d.text);
    coll_choice_parse(&choice, "ring", &d);
    CHECK(coll_predict(&choice, COLL_ALLREDUCE, &e.shape, &plain, 0, &sum, wire, n, 32, &ps, &d) == ERR_UNSUPPORTED,
          "ring would round more than twice");
}

/* ---- laws ---- */

struct priced {
    struct net_clock clock[RANKS];
    uint64_t last;
};

static int price(struct priced *p, const struct coll_choice *choice, enum coll_kind kind,
                 const struct coll_shape *shape, const struct net *net, int shm, size_t n) {
    struct sched all[RANKS] = {{0}};
    struct diag d = {0};
    int code = 0, built = 0;
    memset(p, 0, sizeof *p);
    for (; built < shape->size && code == 0; built++)
        code = sched_build(&all[built], choice, kind, shape, built, &d);
    if (code == 0) code = sched_price(all, shape, net, shm, &sum, NULL, n, 16, p->clock, &d);
    for (int r = 0; r < built; r++)
        sched_fini(&all[r]);
    for (int r = 0; r < shape->size; r++)
        if (p->clock[r].now.ps > p->last) p->last = p->clock[r].now.ps;
    CHECK(code == 0, "%s of %d: %s", choice->algo->name, shape->size, d.text);
    return code;
}

/* Every number of a net, one after the other. */
enum { N_NUMBERS = 3 * 5 + 3 };
static uint64_t *number(struct net *net, int i) {
    struct net_link *l = &net->tier[i / 5 % 3].link;
    uint64_t *of_link[] = {&l->L_ps, &l->o_send_ps, &l->o_recv_ps, &l->g_ps, &l->G.num};
    uint64_t *of_rank[] = {&net->gamma.num, &net->copy.num, &net->codec.num};
    return i < 15 ? of_link[i % 5] : of_rank[i - 15];
}

static int same(const struct priced *a, const struct priced *b, uint64_t k) {
    for (int r = 0; r < RANKS; r++) {
        if (a->clock[r].now.ps * k != b->clock[r].now.ps) return 0;
        for (int i = 0; i < NET_SHARES; i++)
            if (a->clock[r].now.share[i] * k != b->clock[r].now.share[i]) return 0;
    }
    return 1;
}

static void check_laws_of(const struct coll_choice *choice, enum coll_kind kind, const struct even *e, int shm,
                          size_t n) {
    struct priced base, other;
    struct net net = plain;
    char name[64];
    coll_choice_name(choice, name, sizeof name);
    if (price(&base, choice, kind, &e->shape, &net, shm, n) != 0) return;
    for (int r = 0; r < e->shape.size; r++)
        CHECK(shares_of(&base.clock[r].now) == base.clock[r].now.ps, "%s of %d: shares", name, e->shape.size);
    for (int i = 0; i < N_NUMBERS; i++) {
        net = plain;
        *number(&net, i) += 1 + *number(&net, i) / 3;
        price(&other, choice, kind, &e->shape, &net, shm, n);
        for (int r = 0; r < e->shape.size; r++)
            CHECK(other.clock[r].now.ps >= base.clock[r].now.ps, "%s of %d, n = %zu: number %d makes rank %d faster",
                  name, e->shape.size, n, i, r);
        if (!shm && i < 5) CHECK(other.last == base.last, "%s: shm's numbers do not count", name);
    }
    net = plain;
    for (int i = 0; i < N_NUMBERS; i++)
        *number(&net, i) *= 7;
    price(&other, choice, kind, &e->shape, &net, shm, n);
    CHECK(same(&base, &other, 7), "%s of %d: seven times slower", name, e->shape.size);
    if (!shm || n > 0)
        CHECK(base.last >= coll_floor_ps(kind, e->shape.size, &plain, 4 * n) || kind != COLL_ALLREDUCE,
              "%s of %d, n = %zu: %" PRIu64 " is below the floor", name, e->shape.size, n, base.last);
}

/* Clocks that start later end later, by as much if all do. */
static void check_start(const struct coll_choice *choice, const struct even *e) {
    struct sched all[RANKS] = {{0}};
    struct net_clock clocks[RANKS] = {{{0}, {{0}}}};
    struct priced base;
    struct diag d = {0};
    price(&base, choice, COLL_ALLREDUCE, &e->shape, &plain, 1, 333);
    for (int r = 0; r < e->shape.size; r++) {
        sched_build(&all[r], choice, COLL_ALLREDUCE, &e->shape, r, &d);
        net_spend(&clocks[r], NET_COMPUTE, 12345678);
    }
    sched_price(all, &e->shape, &plain, 1, &sum, NULL, 333, 16, clocks, &d);
    for (int r = 0; r < e->shape.size; r++) {
        CHECK(clocks[r].now.ps == base.clock[r].now.ps + 12345678, "%s: all later", choice->algo->name);
        sched_fini(&all[r]);
    }
}

static void check_laws(void) {
    static const size_t sizes[] = {0, 1, 5000};
    for (const struct coll_algo *const *a = coll_algos; *a; a++) {
        struct coll_choice choice = {*a, coll_algo_find("twoshot"), coll_algo_find("tree")};
        for (int size = 1; size <= RANKS && !(*a)->library; size++) {
            struct even e;
            even_init(&e, size, (*a)->levels == 2 ? (size + 1) / 2 : size);
            for (int kind = 0; kind < COLL_KINDS; kind++)
                for (int i = 0; i < 6 && (*a)->build[kind]; i++)
                    check_laws_of(&choice, (enum coll_kind)kind, &e, i % 2, sizes[i / 2]);
            check_start(&choice, &e);
        }
    }
}

/* Where each rank does the same, all ranks end at the same time (in bruck only some ranks have messages that wrap);
 * domains may be called by any name. */
static void check_symmetry(void) {
    static const char *const names[] = {"oneshot", "twoshot", "ring", "recdbl", "swing", "rabenseifner"};
    struct coll_choice choice;
    struct priced a, b;
    struct diag d = {0};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int size = 2; size <= RANKS; size *= 2)
            for (int shm = 0; shm < 2; shm++) {
                struct even e;
                even_init(&e, size, size);
                coll_choice_parse(&choice, names[k], &d);
                price(&a, &choice, COLL_ALLREDUCE, &e.shape, &plain, shm, 4096);
                for (int r = 1; r < size; r++)
                    CHECK(a.clock[r].now.ps == a.clock[0].now.ps,
                          "%s of %d: rank %d ends at %" PRIu64 ", rank 0 at %" PRIu64, names[k], size, r,
                          a.clock[r].now.ps, a.clock[0].now.ps);
            }
    struct even e;
    even_init(&e, 12, 4);
    coll_choice_parse(&choice, "hierarchical:ring:oneshot", &d);
    price(&a, &choice, COLL_ALLREDUCE, &e.shape, &plain, 1, 4096);
    for (int r = 0; r < 12; r++)
        e.domain[r] = 11 - 3 * e.domain[r];
    price(&b, &choice, COLL_ALLREDUCE, &e.shape, &plain, 1, 4096);
    CHECK(same(&a, &b, 1), "domains under other names");
}

static void check_floor(void) {
    CHECK(coll_floor_ps(COLL_ALLREDUCE, 2, &plain, 1000) == 118000 + 50000, "P = 2 lacks n");
    CHECK(coll_floor_ps(COLL_ALLREDUCE, 4, &plain, 1000) == 118000 + 75000, "P = 4 lacks 3/2 n");
    CHECK(coll_floor_ps(COLL_REDUCE_SCATTER, 4, &plain, 1000) == 118000 + 37500, "half of it");
    CHECK(coll_floor_ps(COLL_ALLGATHER, 4, &plain, 1000) == 118000 + 37500, "the other half");
    CHECK(coll_floor_ps(COLL_ALLREDUCE, 1, &plain, 1000) == 0 && coll_floor_ps(COLL_ALLREDUCE, 4, &plain, 0) == 0,
          "nothing to move");
    struct net measured = plain;
    measured.flag_ps = 49000;
    CHECK(coll_floor_ps(COLL_ALLREDUCE, 2, &measured, 1000) == 49000 + 50000, "a measured hand-off");
    CHECK(coll_floor_ps(COLL_ALLREDUCE, 2, &measured, UINT64_MAX) == UINT64_MAX, "without overflow");
}

/* ---- choices ---- */

static const char *const candidates[] = {"tree",   "oneshot",      "twoshot", "ring",
                                         "recdbl", "rabenseifner", "bruck",   "swing"};

/* The best of all plain algorithms by the timer, and what "auto" takes. */
struct duel {
    uint64_t best, chosen;
    char chosen_name[64];
    const char *best_name;
};

static void fight(struct duel *f, const struct coll_spec *spec, int shm) {
    struct coll_choice choice;
    struct diag d = {0};
    uint64_t ps;
    f->best = UINT64_MAX;
    for (size_t k = 0; k < sizeof candidates / sizeof *candidates; k++) {
        if (!coll_algo_find(candidates[k]) || coll_algo_find(candidates[k])->label > spec->label) continue;
        ps = predict(candidates[k], spec->kind, &spec->shape, spec->net, shm, spec->n_max);
        if (ps >= f->best) continue;
        f->best = ps;
        f->best_name = candidates[k];
    }
    CHECK(coll_resolve(spec, &choice, NULL, 0, &d) == 0, "%s", d.text);
    coll_choice_name(&choice, f->chosen_name, sizeof f->chosen_name);
    f->chosen = predict(f->chosen_name, spec->kind, &spec->shape, spec->net, shm, spec->n_max);
}

static void check_choices(void) {
    static const int sizes[] = {2, 3, 4, 5, 6, 8, 12, 16};
    static const size_t ns[] = {1, 64, 500, 2048, 9000, 65536, 1000000};
    struct net nets[4] = {net_default, plain, net_default, net_default};
    int points = 0, good = 0;
    double worst = 1;
    char text[256] = "none";
    nets[2].tier[1].link = (struct net_link){0, 2000000, 400000, 400000, 200000, .G = {100, 1}}; /* a fast network */
    nets[3].tier[0].link = (struct net_link){1, 2000000, 500000, 500000, 0, .G = {300, 1}}; /* shared processors */
    for (int i = 0; i < 8 * 7 * 4 * 2 * 2; i++) {
        struct even e;
        int shm = i % 2, exact = i / 2 % 2;
        const struct net *net = &nets[i / 4 % 4];
        size_t n = ns[i / 16 % 7];
        even_init(&e, sizes[i / 112], sizes[i / 112]);
        struct coll_spec spec = {.kind = COLL_ALLREDUCE,
                                 .label = exact ? COLL_BIT_EXACT : COLL_ROUNDING,
                                 .transport = shm ? COLL_TRANSPORT_AUTO : COLL_TRANSPORT_LINK,
                                 .op = sum,
                                 .n_max = n,
                                 .shape = e.shape,
                                 .net = net,
                                 .yield = -1};
        struct duel f;
        fight(&f, &spec, shm);
        double ratio = (double)f.chosen / (double)f.best;
        points++;
        good += ratio <= 1.1;
        if (ratio <= worst) continue;
        worst = ratio;
        snprintf(text, sizeof text, "%s instead of %s: %.2f us instead of %.2f us (%d ranks, %zu elements, net %d, %s)",
                 f.chosen_name, f.best_name, (double)f.chosen * 1e-6, (double)f.best * 1e-6, e.shape.size, n, i / 4 % 4,
                 shm ? "shm" : "messages");
    }
    printf("auto within 10%% of the best at %d of %d points; worst %s\n", good, points, text);
    CHECK(good * 100 >= points * 95, "%d of %d", good, points);
}

static void check_why(void) {
    struct even e;
    struct coll_choice choice;
    struct diag d = {0};
    char why[160];
    even_init(&e, 2, 2);
    struct coll_spec spec = {.kind = COLL_ALLREDUCE, .op = sum, .n_max = 2048, .shape = e.shape, .net = &plain};
    CHECK(coll_resolve(&spec, &choice, why, sizeof why, &d) == 0, "%s", d.text);
    CHECK(
        !strcmp(why,
                "fastest of 3 bit-exact ones for 8192 B on 2 ranks over shm: 0.63 us estimated; next oneshot 0.63 us"),
        "%s", why);
    spec.transport = COLL_TRANSPORT_LINK;
    coll_resolve(&spec, &choice, why, sizeof why, &d);
    CHECK(strstr(why, " on 2 ranks over mpi: "), "%s", why);
    even_init(&e, 4, 2);
    spec.shape = e.shape;
    spec.label = COLL_ROUNDING;
    spec.transport = COLL_TRANSPORT_AUTO;
    coll_resolve(&spec, &choice, why, sizeof why, &d);
    CHECK(choice.algo->levels == 2 && strstr(why, " on 4 ranks over shm and messages: "), "%s", why);
}

int main(void) {
    struct diag d = {0};
    CHECK(coll_op_find(&sum, "sum", 1, &d) == 0, "%s", d.text);
    check_push();
    check_pull();
    check_rows();
    check_tiers();
    check_by_hand();
    check_levels();
    check_nothing();
    check_lossy();
    check_laws();
    check_symmetry();
    check_floor();
    check_choices();
    check_why();
    return check_report("price");
}
