/* coll_verify.c - every algorithm's schedules for 1 to 64 ranks: proved (sched_check), and their messages, words,
 * additions and rounds counted (sched_count) against the formulas (sched_formula). No rank moves any data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coll_bench.h"

enum { MAX_RANKS = 64, GRANULE = 16, SHOWN_RANKS = 8, MAX_PAIRS = 128 };
static const size_t lengths[] = {0, 1, 15, 17, 1000, 4099};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* Proofs of one choice and kind. */
struct tally {
    long proofs, counts;
    enum coll_label worst; /* proved for any shape */
    struct coll_cost shown; /* the most of any rank, of SHOWN_RANKS ranks, one leaf each */
    int slots, shown_ranks;
};

struct shape_of {
    struct coll_shape shape;
    int begin[MAX_RANKS + 1], domain[MAX_RANKS];
};

/* n_leaves over `size` ranks as evenly as they go; domains of `width` neighbours. */
static const struct coll_shape *make_shape(struct shape_of *s, int size, int n_leaves, int width) {
    for (int r = 0; r <= size; r++)
        s->begin[r] = (int)((int64_t)n_leaves * r / size);
    for (int r = 0; r < size; r++)
        s->domain[r] = r / width;
    s->shape = (struct coll_shape){size, n_leaves, s->begin, s->domain};
    return &s->shape;
}

static int build_all(struct sched *all, const struct coll_choice *c, enum coll_kind kind,
                     const struct coll_shape *shape, int lossy, int *built, struct diag *d) {
    int rc = 0;
    for (*built = 0; *built < shape->size && !rc; (*built)++) {
        rc = sched_build(&all[*built], c, kind, shape, *built, d);
        if (!rc && lossy) rc = sched_make_lossy(&all[*built], c, d);
    }
    return rc;
}

static int same(const struct coll_cost *a, const struct coll_cost *b) {
    return a->messages == b->messages && a->sent == b->sent && a->reduced == b->reduced && a->rounds == b->rounds;
}

static int count_rank(struct tally *t, const struct sched *s, const struct coll_choice *c, enum coll_kind kind,
                      const struct coll_shape *shape, struct diag *d) {
    for (int i = 0; i < N_LENGTHS; i++) {
        struct coll_cost counted, formula;
        sched_count(s, lengths[i], GRANULE, &counted);
        sched_formula(c, kind, shape, s->rank, lengths[i], GRANULE, &formula);
        t->counts++;
        if (!same(&counted, &formula))
            return diag_set(d, ERR_MISMATCH,
                            "%s of %zu elements, rank %d of %d: %llu messages, %llu words, %llu additions, %d rounds; "
                            "by the formula %llu, %llu, %llu, %d",
                            coll_kind_name(kind), lengths[i], s->rank, shape->size,
                            (unsigned long long)counted.messages, (unsigned long long)counted.sent,
                            (unsigned long long)counted.reduced, counted.rounds, (unsigned long long)formula.messages,
                            (unsigned long long)formula.sent, (unsigned long long)formula.reduced, formula.rounds);
    }
    return 0;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* Vectors long enough that all parts are alike. */
static void show_rank(struct tally *t, const struct sched *s) {
    struct coll_cost c;
    sched_count(s, (size_t)s->size * 1024, 1, &c);
    t->shown.messages = most(t->shown.messages, c.messages);
    t->shown.sent = most(t->shown.sent, c.sent);
    t->shown.reduced = most(t->shown.reduced, c.reduced);
    t->shown.rounds = c.rounds;
    t->slots = s->n_slots > t->slots ? s->n_slots : t->slots;
    t->shown_ranks = s->size;
}

static int prove(struct tally *t, const struct coll_choice *c, enum coll_kind kind, const struct coll_shape *shape,
                 int lossy, int show, struct diag *d) {
    static struct sched all[MAX_RANKS];
    enum coll_label label = COLL_APPROXIMATE;
    int built, rc = build_all(all, c, kind, shape, lossy, &built, d);
    if (!rc) rc = sched_check(all, kind, shape, &label, d);
    t->proofs += !rc;
    if (!rc && !lossy && label > c->algo->label)
        rc = diag_set(d, ERR_MISMATCH, "%s on %d ranks is proved %s only", c->algo->name, shape->size,
                      coll_label_name(label));
    if (!rc && !lossy && label > t->worst) t->worst = label;
    for (int r = 0; r < shape->size && !rc && !lossy; r++) {
        rc = count_rank(t, &all[r], c, kind, shape, d);
        if (show) show_rank(t, &all[r]);
    }
    for (int r = 0; r < built; r++)
        sched_fini(&all[r]);
    return rc;
}

static int prove_plain(struct tally *t, const struct coll_choice *c, enum coll_kind kind, int max_ranks,
                       struct diag *d) {
    int rc = 0, shown = max_ranks < SHOWN_RANKS ? max_ranks : SHOWN_RANKS;
    for (int p = 1; p <= max_ranks && !rc; p++) {
        struct shape_of s;
        rc = prove(t, c, kind, make_shape(&s, p, p, p), 0, p == shown, d);
        if (!rc) rc = prove(t, c, kind, make_shape(&s, p, 2 * p + 1, p), 0, 0, d);
        if (!rc && c->algo->two_step) rc = prove(t, c, kind, make_shape(&s, p, p, p), 1, 0, d);
    }
    return rc;
}

/* Two levels: domains of 4 ranks, of which the last may have fewer. */
static int prove_pair(struct tally *t, const struct coll_choice *c, enum coll_kind kind, int max_ranks,
                      struct diag *d) {
    static const int ranks[] = {1, 2, 4, 5, 8, 11, 12, 16, 31, 32, 64};
    int rc = 0, shown = max_ranks < SHOWN_RANKS ? max_ranks : SHOWN_RANKS;
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks && !rc; i++) {
        struct shape_of s;
        if (ranks[i] <= max_ranks)
            rc = prove(t, c, kind, make_shape(&s, ranks[i], ranks[i], 4), 0, ranks[i] == shown, d);
    }
    return rc;
}

/* ---- the table ---- */

static void print_row(const struct coll_choice *c, enum coll_kind kind, const struct tally *t, int failed) {
    char name[64], counted[96];
    const struct coll_algo *a = c->algo;
    double n = 1024.0 * t->shown_ranks;
    int whole = kind == COLL_ALLREDUCE;
    coll_choice_name(c, name, sizeof name);
    snprintf(counted, sizeof counted, "%4llu %7.3f %7.3f %4d %6d", (unsigned long long)t->shown.messages,
             (double)t->shown.sent / n, (double)t->shown.reduced / n, t->slots, t->shown.rounds);
    if (a->levels == 2) snprintf(name, sizeof name, "%s", a->name);
    printf("%-14s %-14s %-12s %-15s %-11s %-12s %s  %-17s %7ld %8ld %s\n", name, coll_kind_name(kind),
           a->levels == 2 ? "both levels'"
           : whole        ? a->messages
                          : "",
           a->levels == 2 ? "of n and n/M"
           : whole        ? a->words
                          : "",
           whole && a->additions ? a->additions : "", whole && a->memory ? a->memory : "", counted,
           coll_label_name(t->worst), t->proofs, t->counts, failed ? "FAILED" : "ok");
}

static void print_bounds(int shown) {
    double p = shown, lg = 0;
    while (1 << (int)lg < shown)
        lg++;
    printf("\n%-14s %-14s %-12s %-15s %-11s %-12s %4.0f %7.3f %7.3f %4d %6.0f\n", "lower bounds", "allreduce",
           "ceil(lg P)*", "2 (P-1)/P n", "n (P-1)/P", "n", lg, 2 * (p - 1) / p, (p - 1) / p, 1, lg);
    printf("               reduce_scatter, allgather: half the words\n"
           "* rounds, where a rank sends one message at a time; with a port for each peer 1. Fewer words than the\n"
           "bound are impossible, so what oneshot and tree send above it is what they pay for fewer rounds.\n");
}

static void print_head(int max_ranks, int shown) {
    printf("schedules of 1 to %d ranks: proved, and counted against the formulas for n = 0, 1, 15, 17, 1000 and 4099\n"
           "n: elements of the vector, P: ranks, c: subtree sums of a rank (1 where ranks own whole subtrees)\n"
           "formulas are a rank's; counted: the most of any of %d ranks, words and additions in units of n, vectors\n"
           "of n elements that messages need (shared memory reads most in place), rounds; hierarchical: domains of 4 "
           "ranks,\n"
           "all pairs proved, tree within tree counted\n\n",
           max_ranks, shown);
    printf("%-14s %-14s %-12s %-15s %-11s %-12s %s  %-17s %7s %8s\n", "algorithm", "collective", "messages", "words",
           "additions", "memory", "msgs   words   adds vecs rounds", "proved", "proofs", "counts");
}

/* Rows of one algorithm; its first failure goes to d, and the others go on. */
static int verify_plain(const struct coll_algo *a, int max_ranks, struct diag *d) {
    struct coll_choice c = {.algo = a};
    int rc = 0;
    for (int kind = 0; kind < COLL_KINDS; kind++) {
        struct tally t = {0};
        if (!a->build[kind]) continue;
        int bad = prove_plain(&t, &c, (enum coll_kind)kind, max_ranks, d);
        print_row(&c, (enum coll_kind)kind, &t, bad);
        rc = rc ? rc : bad;
    }
    return rc;
}

/* All pairs as one row, which shows the first. */
static int verify_pairs(const struct coll_algo *a, int max_ranks, struct diag *d) {
    struct tally all = {0};
    struct coll_choice shown = {0};
    int rc = 0;
    for (int i = 0; coll_algos[i]; i++)
        for (int k = 0; coll_algos[k] && !rc; k++) {
            struct coll_choice c = {a, coll_algos[i], coll_algos[k]};
            struct tally t = {0};
            if (c.inner->levels != 1 || c.inner->library || c.outer->levels != 1 || c.outer->library) continue;
            rc = prove_pair(&t, &c, COLL_ALLREDUCE, max_ranks, d);
            t.proofs += all.proofs;
            t.counts += all.counts;
            if (shown.algo) t.shown = all.shown, t.slots = all.slots;
            if (t.worst < all.worst) t.worst = all.worst;
            if (!shown.algo) shown = c;
            all = t;
        }
    print_row(&shown, COLL_ALLREDUCE, &all, rc);
    return rc;
}

static int verify_one(const struct coll_choice *c, int max_ranks, struct diag *d) {
    struct tally t = {0};
    if (c->algo->levels == 1) return verify_plain(c->algo, max_ranks, d);
    int rc = prove_pair(&t, c, COLL_ALLREDUCE, max_ranks, d);
    print_row(c, COLL_ALLREDUCE, &t, rc);
    return rc;
}

static int verify_all(int max_ranks, struct diag *d) {
    int rc = 0;
    for (int i = 0; coll_algos[i]; i++) {
        int bad = coll_algos[i]->library
                      ? 0
                      : (coll_algos[i]->levels == 1 ? verify_plain : verify_pairs)(coll_algos[i], max_ranks, d);
        rc = rc ? rc : bad;
        fflush(stdout);
    }
    return rc;
}

int coll_verify(struct app *app, int max_ranks, struct diag *d) {
    char names[1024], *save = NULL;
    int rc = 0, shown = max_ranks < SHOWN_RANKS ? max_ranks : SHOWN_RANKS;
    if (strlen(app->spec.algo) >= sizeof names) return diag_set(d, ERR_USAGE, "--algo: list too long");
    strcpy(names, app->spec.algo);
    struct coll_choice choice[MAX_PAIRS];
    int n = 0;
    for (char *name = strtok_r(names, ",", &save); name && !rc; name = strtok_r(NULL, ",", &save)) {
        if (!strcmp(name, "all")) continue;
        if (n == MAX_PAIRS) return diag_set(d, ERR_USAGE, "--algo: at most %d at once", MAX_PAIRS);
        rc = coll_choice_parse(&choice[n], name, d);
        if (!rc && choice[n].algo->library)
            rc = diag_set(d, ERR_USAGE, "--algo %s: the library's own has no schedule to prove", name);
        n++;
    }
    if (rc) return rc;
    print_head(max_ranks, shown);
    if (n == 0) rc = verify_all(max_ranks, d);
    for (int i = 0; i < n; i++) {
        int bad = verify_one(&choice[i], max_ranks, d);
        rc = rc ? rc : bad;
    }
    print_bounds(shown);
    printf(rc ? "\nverification failed\n" : "\nall proved, all counts as the formulas say\n");
    return rc;
}
