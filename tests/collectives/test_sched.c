/* Schedules of all algorithms, proven for 1 to 64 virtual ranks and held against their formulas. Argument: the levels.
 */
#include <stdlib.h>
#include <string.h>

#include "sched_cases.h"

static int same_cost(const struct coll_cost *a, const struct coll_cost *b) {
    return a->messages == b->messages && a->sent == b->sent && a->reduced == b->reduced && a->rounds == b->rounds;
}

/* What rank r's schedule holds is what the formula says, for vectors of all kinds of lengths. */
static void check_formula(const struct coll_choice *choice, enum coll_kind kind, const struct coll_shape *shape, int r,
                          const struct sched *s) {
    const size_t lengths[] = {0, 1, 5, 16, 17, (size_t)shape->size, 1000, 4096}, granules[] = {1, 16, 32};
    char name[64];
    coll_choice_name(choice, name, sizeof name);
    for (int i = 0; i < 24; i++) {
        size_t n = lengths[i / 3], granule = granules[i % 3];
        struct coll_cost has, says;
        sched_count(s, n, granule, &has);
        sched_formula(choice, kind, shape, r, n, granule, &says);
        CHECK(same_cost(&has, &says),
              "%s %s, rank %d of %d, %d leaves, n %zu by %zu: %ld messages, %ld sent, %ld reduced, %d rounds; "
              "formula %ld, %ld, %ld, %d",
              name, coll_kind_name(kind), r, shape->size, shape->n_leaves, n, granule, (long)has.messages,
              (long)has.sent, (long)has.reduced, has.rounds, (long)says.messages, (long)says.sent, (long)says.reduced,
              says.rounds);
    }
}

/* Two levels of bit-exact algorithms are so where domains own whole subtrees: not for any shape. */
static enum coll_label promised(const struct coll_choice *choice, int lossy, int size) {
    if (lossy && size > 1) return COLL_APPROXIMATE;
    return choice->algo->label;
}

static void prove(const struct coll_choice *choice, enum coll_kind kind, const struct shape_case *c, int lossy,
                  int formula) {
    const struct coll_shape *shape = &c->shape;
    struct sched s[MAX_RANKS];
    struct diag d = {0};
    enum coll_label label = COLL_APPROXIMATE;
    char name[64];
    coll_choice_name(choice, name, sizeof name);
    if (build_all(s, choice, kind, shape, lossy) == 0) {
        int code = sched_check(s, kind, shape, &label, &d);
        CHECK(code == 0, "%s %s, %d ranks, %d leaves, ownership %d, layout %d, lossy %d: %s", name,
              coll_kind_name(kind), shape->size, shape->n_leaves, c->own, c->layout, lossy, d.text);
        CHECK(code != 0 || label <= promised(choice, lossy, shape->size), "%s, %d ranks, %d leaves, ownership %d: %s",
              name, shape->size, shape->n_leaves, c->own, coll_label_name(label));
        CHECK(code != 0 || !lossy || (label == COLL_APPROXIMATE) == (s[0].n_rounds > 0), "%s: %s", name,
              coll_label_name(label));
        for (int r = 0; r < shape->size && formula; r++)
            check_formula(choice, kind, shape, r, &s[r]);
    }
    free_all(s, shape->size);
}

/* Every algorithm and kind on every number of ranks; fewer leaf counts where there are many. */
static void test_proofs(void) {
    struct coll_choice choices[MAX_CHOICES];
    struct shape_case c;
    int n = plain_choices(choices);
    CHECK(n >= 8, "%d algorithms", n);
    for (int i = 0; i < n; i++)
        for (int kind = 0; kind < COLL_KINDS; kind++)
            for (int size = 1; size <= MAX_RANKS && choices[i].algo->build[kind]; size++)
                for (int k = 0; k < N_LEAF_COUNTS; k++) {
                    if (size > 12 && (k + size) % 4 != 0) continue;
                    for (int own = 0; own < OWNERSHIPS; own++) {
                        shape_make(&c, size, leaf_counts[k], own, 0);
                        prove(&choices[i], kind, &c, 0, k == (size + own) % 4 + 4);
                        if (choices[i].algo->two_step && (size <= 12 || own == size % OWNERSHIPS))
                            prove(&choices[i], kind, &c, 1, 0);
                    }
                }
}

/* Every pair of algorithms on every number of ranks, over layouts in turn. */
static void test_pairs(void) {
    struct coll_choice choices[MAX_CHOICES];
    struct shape_case c;
    int n = paired_choices(choices);
    CHECK(n >= 64, "%d pairs", n);
    for (int i = 0; i < n; i++)
        for (int size = 1; size <= MAX_RANKS; size++)
            for (int layout = 0; layout < LAYOUTS; layout++) {
                if (size > 12 && (layout + i + size) % LAYOUTS > 2) continue;
                int k = (i + size + layout) % N_LEAF_COUNTS, own = (i + 3 * size + layout) % OWNERSHIPS;
                shape_make(&c, size, (i + size) % 2 ? size : leaf_counts[k], (i + size) % 2 ? 0 : own, layout);
                prove(&choices[i], COLL_ALLREDUCE, &c, 0, size % 8 == i % 8);
            }
}

static enum coll_label label_of(const char *text, int size, int n_leaves, int layout) {
    struct sched s[MAX_RANKS];
    struct shape_case c;
    struct coll_choice choice;
    struct diag d = {0};
    enum coll_label label = COLL_APPROXIMATE;
    CHECK(coll_choice_parse(&choice, text, &d) == 0, "%s", d.text);
    shape_make(&c, size, n_leaves, 0, layout);
    if (build_all(s, &choice, COLL_ALLREDUCE, &c.shape, 0) == 0)
        CHECK(sched_check(s, COLL_ALLREDUCE, &c.shape, &label, &d) == 0, "%s: %s", text, d.text);
    free_all(s, size);
    return label;
}

/* What is proved may be better than what an algorithm promises: recursive doubling and halving along whole subtrees
 * take the canonical order, a ring and a circulant graph never do. */
static void test_labels(void) {
    for (int size = 2; size <= MAX_RANKS; size *= 2)
        for (int each = 1; each <= 3; each++) {
            CHECK(label_of("recdbl", size, each * size, 0) == COLL_BIT_EXACT, "recdbl, %d ranks", size);
            CHECK(label_of("rabenseifner", size, each * size, 0) == COLL_BIT_EXACT, "rabenseifner, %d ranks", size);
        }
    for (int size = 4; size <= MAX_RANKS; size += 5) {
        CHECK(label_of("ring", size, size, 0) == COLL_ROUNDING, "ring, %d ranks", size);
        CHECK(label_of("bruck", size, size, 0) == COLL_ROUNDING, "bruck, %d ranks", size);
    }
    CHECK(label_of("recdbl", 6, 6, 0) == COLL_ROUNDING && label_of("swing", 8, 8, 0) == COLL_ROUNDING, "other orders");
}

/* Domains of neighbours that own whole subtrees keep the canonical order; dealt round they cannot. */
static void test_pair_labels(void) {
    static const char *const exact[] = {"hierarchical:twoshot:tree", "hierarchical:oneshot:twoshot",
                                        "hierarchical:tree:oneshot", "hierarchical:rabenseifner:recdbl"};
    for (int i = 0; i < 4; i++)
        for (int size = 8; size <= MAX_RANKS; size *= 2) {
            CHECK(label_of(exact[i], size, size, 1) == COLL_BIT_EXACT, "%s, runs of 4 of %d", exact[i], size);
            CHECK(label_of(exact[i], size, size, 3) == COLL_ROUNDING, "%s, dealt round", exact[i]);
        }
    CHECK(label_of("hierarchical:twoshot:tree", 12, 40, 2) == COLL_BIT_EXACT, "halves of 40 leaves on 12 ranks");
}

static void expect_cost(const char *text, enum coll_kind kind, int size, int rank, size_t n, int messages, int sent,
                        int reduced, int rounds) {
    struct coll_choice choice;
    struct coll_cost cost;
    struct shape_case c;
    CHECK(coll_choice_parse(&choice, text, NULL) == 0, "%s", text);
    shape_make(&c, size, size, 0, 1);
    sched_formula(&choice, kind, &c.shape, rank, n, 1, &cost);
    struct coll_cost want = {(uint64_t)messages, (uint64_t)sent, (uint64_t)reduced, rounds};
    CHECK(same_cost(&cost, &want), "%s, rank %d of %d: %ld messages, %ld sent, %ld reduced, %d rounds", text, rank,
          size, (long)cost.messages, (long)cost.sent, (long)cost.reduced, cost.rounds);
}

/* The pictures and closed formulas at the head of the algorithms' files, worked out by hand. */
static void test_costs(void) {
    static const int tree[5][3] = {{3, 4, 3}, {1, 1, 0}, {2, 3, 2}, {2, 2, 3}, {2, 2, 3}};
    for (int r = 0; r < 5; r++)
        expect_cost("tree", COLL_ALLREDUCE, 5, r, 1, tree[r][0], tree[r][1], tree[r][2], 4);
    expect_cost("tree", COLL_ALLREDUCE, 8, 3, 80, 3, 240, 240, 3);
    expect_cost("oneshot", COLL_ALLREDUCE, 8, 3, 80, 7, 560, 560, 1);
    expect_cost("twoshot", COLL_ALLREDUCE, 8, 3, 80, 14, 140, 70, 2);
    expect_cost("ring", COLL_ALLREDUCE, 8, 3, 80, 14, 140, 70, 14);
    expect_cost("recdbl", COLL_ALLREDUCE, 8, 3, 80, 3, 240, 240, 3);
    expect_cost("recdbl", COLL_ALLREDUCE, 5, 0, 80, 1, 80, 0, 4);
    expect_cost("recdbl", COLL_ALLREDUCE, 5, 1, 80, 3, 240, 240, 4);
    expect_cost("rabenseifner", COLL_ALLREDUCE, 8, 3, 80, 6, 140, 70, 6);
    expect_cost("rabenseifner", COLL_ALLREDUCE, 5, 1, 80, 5, 200, 140, 6);
    expect_cost("rabenseifner", COLL_REDUCE_SCATTER, 8, 3, 80, 3, 70, 70, 3);
    expect_cost("rabenseifner", COLL_ALLGATHER, 8, 3, 80, 3, 70, 0, 3);
    expect_cost("bruck", COLL_ALLREDUCE, 5, 2, 80, 6, 128, 64, 6);
    expect_cost("bruck", COLL_ALLGATHER, 5, 2, 80, 3, 64, 0, 3);
    expect_cost("swing", COLL_ALLREDUCE, 8, 3, 80, 6, 140, 70, 6);
    expect_cost("hierarchical:twoshot:ring", COLL_ALLREDUCE, 8, 3, 80, 6 + 2, 120 + 20, 60 + 10, 4);
    expect_cost("hierarchical:oneshot:tree", COLL_ALLREDUCE, 8, 0, 80, 3 + 1 + 3, 560, 320, 3);
    expect_cost("hierarchical:oneshot:tree", COLL_ALLREDUCE, 8, 1, 80, 3, 240, 240, 3);
    expect_cost("mpi", COLL_ALLREDUCE, 8, 1, 80, 0, 0, 0, 0);
}

/* Parts tile [0, n), begin at granules, differ by one granule at most, and nest. */
static void test_parts(void) {
    static const size_t lengths[] = {0, 1, 5, 16, 17, 100, 1000, 4096, (size_t)-1 / 2};
    for (int i = 0; i < 9 * 3; i++)
        for (int n_parts = 1; n_parts <= 64; n_parts++) {
            size_t n = lengths[i / 3], granule = (size_t[]){1, 16, 32}[i % 3], least = n, most = 0, at = 0;
            for (int k = 0; k < n_parts; k++) {
                size_t begin = coll_part_begin(n, granule, n_parts, k),
                       end = coll_part_begin(n, granule, n_parts, k + 1);
                size_t part = (end - begin + granule - 1) / granule;
                CHECK(begin == at && end >= begin && (begin % granule == 0 || begin == n), "%zu: part %d", n, k);
                CHECK(begin == coll_part_begin(n, granule, 7 * n_parts, 7 * k), "%zu: part %d does not nest", n, k);
                least = part < least ? part : least;
                most = part > most ? part : most;
                at = end;
            }
            CHECK(at == n && (n == 0 || most - least <= 1), "%zu in %d parts: %zu to %zu granules", n, n_parts, least,
                  most);
        }
}

static void test_names(void) {
    static const char *const good[] = {"mpi", "tree", "ring", "hierarchical:twoshot:ring", "hierarchical:ring:swing"};
    static const char *const bad[] = {"",
                                      "rings",
                                      "tree:ring",
                                      "hierarchical",
                                      "hierarchical:ring",
                                      "tree:a:b",
                                      "tre",
                                      "hierarchical:ring:",
                                      "hierarchical::ring",
                                      "hierarchical:ring:mpi",
                                      "hierarchical:mpi:ring",
                                      "hierarchical:ring:ring:ring",
                                      "hierarchical:hierarchical:ring"};
    struct coll_choice choice;
    char name[64];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct diag d = {0};
        CHECK(coll_choice_parse(&choice, good[i], &d) == 0, "%s: %s", good[i], d.text);
        coll_choice_name(&choice, name, sizeof name);
        CHECK(strcmp(name, good[i]) == 0, "%s is called %s", good[i], name);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct diag d = {0};
        CHECK(coll_choice_parse(&choice, bad[i], &d) == ERR_USAGE, "'%s' was taken", bad[i]);
        CHECK(strstr(d.text, "ring") || strstr(d.text, "write tree alone"), "'%s': %s", bad[i], d.text);
    }
    CHECK(!coll_algo_find("no such algorithm") && !coll_algo_find("tre") && coll_algo_find("tree"), "find");
    CHECK(strcmp(coll_kind_name(COLL_ALLGATHER), "allgather") == 0, "kinds");
    CHECK(strcmp(coll_label_name(COLL_ROUNDING), "exact to rounding") == 0, "labels");
}

static void test_bad_shapes(void) {
    int backwards[] = {0, 3, 2, 4}, late[] = {1, 2, 3, 4}, good[] = {0, 1, 2, 3}, none[] = {0, 0, 0, 0};
    int far[] = {0, 3, 0}, below[] = {0, -1, 0};
    const struct {
        struct coll_shape shape;
        int rank;
    } bad[] = {
        {{3, 4, backwards, NULL}, 0},
        {{3, 4, late, NULL}, 0},
        {{3, 4, good, NULL}, 0},
        {{3, 0, none, NULL}, 0},
        {{3, 3, good, NULL}, 3},
        {{3, 3, good, NULL}, -1},
        {{0, 3, good, NULL}, 0},
        {{3, COLL_MAX_LEAVES + 1, good, NULL}, 0},
        {{3, 3, good, far}, 0},
        {{3, 3, good, below}, 0},
        {{COLL_MAX_RANKS + 1, 3, good, NULL}, 0},
    };
    struct coll_choice choices[MAX_CHOICES];
    for (int k = plain_choices(choices) - 1; k >= 0; k--)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct sched s;
            struct diag d = {0};
            CHECK(sched_build(&s, &choices[k], COLL_ALLREDUCE, &bad[i].shape, bad[i].rank, &d) == ERR_RANGE &&
                      d.text[0],
                  "shape %zu", i);
            CHECK(s.n_steps == 0 && !s.steps, "a failed schedule is empty");
            sched_fini(&s);
            d = (struct diag){0};
            enum coll_label label;
            if (bad[i].rank == 0)
                CHECK(sched_check(&s, COLL_ALLREDUCE, &bad[i].shape, &label, &d) == ERR_RANGE && d.text[0],
                      "checked shape %zu", i);
        }
}

/* What there is no schedule for, and what must not be made lossy. */
static void test_unsupported(void) {
    static const char *const no_gather[] = {"mpi", "tree", "oneshot", "recdbl", "hierarchical:ring:ring"};
    static const char *const one_rank_each[] = {"tree", "ring", "recdbl", "rabenseifner", "bruck", "swing"};
    struct shape_case c;
    struct coll_choice choice;
    struct sched s;
    shape_make(&c, 4, 4, 0, 1);
    for (int i = 0; i < 5; i++) {
        struct diag d = {0};
        coll_choice_parse(&choice, no_gather[i], NULL);
        CHECK(sched_build(&s, &choice, COLL_ALLGATHER, &c.shape, 0, &d) == ERR_UNSUPPORTED && !s.steps, "%s", d.text);
    }
    for (int i = 0; i < 6; i++) {
        struct diag d = {0};
        coll_choice_parse(&choice, one_rank_each[i], NULL);
        CHECK(sched_build(&s, &choice, COLL_ALLREDUCE, &c.shape, 0, NULL) == 0, "%s", one_rank_each[i]);
        CHECK(sched_make_lossy(&s, &choice, &d) == ERR_UNSUPPORTED && !s.lossy, "%s", d.text);
        sched_fini(&s);
    }
    choice = (struct coll_choice){.algo = coll_algo_find("hierarchical")};
    CHECK(sched_build(&s, &choice, COLL_ALLREDUCE, &c.shape, 0, NULL) == ERR_USAGE, "hierarchical of nothing");
    coll_choice_parse(&choice, "mpi", NULL);
    CHECK(sched_build(&s, &choice, COLL_ALLREDUCE, &c.shape, 0, NULL) == ERR_UNSUPPORTED, "mpi has no schedule");
    coll_choice_parse(&choice, "ring", NULL);
    c.shape.begin = NULL;
    CHECK(sched_build(&s, &choice, COLL_ALLGATHER, &c.shape, 2, NULL) == 0, "an allgather owns no leaves");
    sched_fini(&s);
}

/* The most leaves and as uneven as they get: lists must stay inside PAIRTREE_MAX_NODES. */
static void test_many_leaves(void) {
    struct coll_choice choices[MAX_CHOICES];
    int n = plain_choices(choices);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 3; i++) {
            int begin[] = {0, 1, COLL_MAX_LEAVES / 2 - 1, COLL_MAX_LEAVES - 1, COLL_MAX_LEAVES - i};
            struct coll_shape shape = {4, COLL_MAX_LEAVES - i, begin, NULL};
            struct sched s[4];
            struct diag d = {0};
            enum coll_label label = COLL_APPROXIMATE;
            if (i == 2) begin[3] = COLL_MAX_LEAVES / 2 + 1;
            if (build_all(s, &choices[k], COLL_ALLREDUCE, &shape, 0) == 0)
                CHECK(sched_check(s, COLL_ALLREDUCE, &shape, &label, &d) == 0 && label <= choices[k].algo->label,
                      "%s: %s", choices[k].algo->name, d.text);
            free_all(s, 4);
        }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "2") == 0) {
        test_pairs();
        test_pair_labels();
        return check_report("sched of two levels");
    }
    test_proofs();
    test_labels();
    test_costs();
    test_parts();
    test_names();
    test_bad_shapes();
    test_unsupported();
    test_many_leaves();
    return check_report("sched");
}
