/* link_checks.h - what every link must do, run by each rank over whatever link it has: threads or MPI. A rank writes
 * what it finds into its own outcome; the test's main adds them up. */
#ifndef TESTS_COLLECTIVES_LINK_CHECKS_H
#define TESTS_COLLECTIVES_LINK_CHECKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/agree.h"
#include "sched_run.h"
#include "shapes.h"

struct outcome {
    long checks, failed;
    char first[1200];
};

#define EXPECT(o, cond, ...)                                                                                           \
    do {                                                                                                               \
        (o)->checks++;                                                                                                 \
        if (!(cond) && (o)->failed++ == 0) snprintf((o)->first, sizeof(o)->first, #cond ": " __VA_ARGS__);             \
    } while (0)

static inline void fill(unsigned char *p, size_t n, int seed) {
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)hash_mix((uint64_t)seed + i * 977);
}

/* To the right and from the left, all sizes around eager limits and the chunk size of the tests. */
static inline void check_sizes(struct link *l, struct outcome *o) {
    static const size_t sizes[] = {0, 1, 63, 64, 65, 127, 128, 129, 4096, 5000, 300000};
    int right = (l->rank + 1) % l->size, left = (l->rank + l->size - 1) % l->size;
    unsigned char *out = malloc(300000), *in = malloc(300000), *want = malloc(300000);
    struct link_counts before = l->counts;
    size_t bytes = 0;
    for (int i = 0; i < 11 && l->size > 1; i++) {
        struct link_request req;
        fill(out, sizes[i], l->rank + 10 * i);
        fill(want, sizes[i], left + 10 * i);
        memset(in, 0, 300000);
        link_isend(l, right, 5, out, sizes[i], &req);
        link_recv(l, left, 5, in, sizes[i]);
        link_wait(l, &req);
        bytes += sizes[i];
        EXPECT(o, memcmp(in, want, sizes[i]) == 0, "%zu bytes", sizes[i]);
        EXPECT(o, sizes[i] == 300000 || in[sizes[i]] == 0, "%zu bytes: written past the end", sizes[i]);
    }
    EXPECT(o, l->size == 1 || l->counts.messages - before.messages == 11, "%ld messages", (long)l->counts.messages);
    EXPECT(o, l->counts.bytes - before.bytes == bytes, "%ld bytes", (long)l->counts.bytes);
    free(out);
    free(in);
    free(want);
}

/* Messages whose length only the sender knows, up to just the room there is; then an exact one on the same tag. */
static inline void check_upto(struct link *l, struct outcome *o) {
    enum { CAP = 9000 };
    static const size_t sizes[] = {0, 1, 4095, CAP - 1, CAP};
    int right = (l->rank + 1) % l->size, left = (l->rank + l->size - 1) % l->size;
    unsigned char *out = malloc(CAP), *in = malloc(CAP), *want = malloc(CAP);
    for (int i = 0; i < 6 && l->size > 1; i++) {
        struct link_request req;
        size_t sent = sizes[(l->rank + i) % 5], due = sizes[(left + i) % 5], got = due;
        fill(out, sent, l->rank + i);
        fill(want, due, left + i);
        memset(in, 0x55, CAP);
        link_isend(l, right, 6, out, sent, &req);
        if (i < 5)
            got = link_recv_upto(l, left, 6, in, CAP);
        else
            link_recv(l, left, 6, in, due);
        link_wait(l, &req);
        EXPECT(o, got == due && memcmp(in, want, due) == 0, "%zu bytes, %zu received", due, got);
        EXPECT(o, due == CAP || in[due] == 0x55, "%zu bytes: written past the end", due);
    }
    free(out);
    free(in);
    free(want);
}

/* Many sends in flight to each peer, two tags, received in the other order of tags: in order within a tag. */
static inline void check_order(struct link *l, struct outcome *o) {
    enum { N = 10 };
    static const int tags[] = {LINK_TAG_RESERVED - 1, 1};
    struct link_request *req = calloc((size_t)(2 * N * l->size), sizeof *req);
    int *out = calloc((size_t)(2 * N), sizeof *out), in, n = 0;
    for (int i = 0; i < 2 * N; i++)
        out[i] = 1000 * l->rank + i;
    for (int peer = 0; peer < l->size; peer++)
        for (int i = 0; i < 2 * N && peer != l->rank; i++)
            link_isend(l, peer, tags[i % 2], &out[i], sizeof *out, &req[n++]);
    for (int peer = 0; peer < l->size; peer++)
        for (int i = 0; i < 2 * N && peer != l->rank; i++) {
            int want = 1000 * peer + (i < N ? 2 * i + 1 : 2 * (i - N));
            link_recv(l, peer, tags[i < N], &in, sizeof in);
            EXPECT(o, in == want, "from %d: %d instead of %d", peer, in, want);
        }
    for (int i = 0; i < n; i++)
        link_wait(l, &req[i]);
    free(req);
    free(out);
}

/* Receives started before the sends, completed in another order by test and wait; big ones both ways at once, where a
 * rank that waits for its send must let its receives through. */
static inline void check_irecv(struct link *l, struct outcome *o) {
    enum { N = 6, BIG = 1 << 18 };
    static const size_t sizes[N] = {1, 64, 0, 129, 3, 5000};
    int right = (l->rank + 1) % l->size, left = (l->rank + l->size - 1) % l->size;
    struct link_request in[N], out[N], big[2];
    unsigned char *to = malloc(N * 5000), *from = calloc(N, 5000), *want = malloc(5000);
    unsigned char *mine = malloc(BIG), *theirs = calloc(1, BIG);
    for (int i = 0; i < N && l->size > 1; i++)
        link_irecv(l, left, 8 + i % 2, from + 5000 * i, sizes[i], &in[i]);
    EXPECT(o, l->size == 1 || !link_test(l, &in[0]) || l->rank != 0, "somebody has sent");
    agree_barrier(l);
    for (int i = 0; i < N && l->size > 1; i++) {
        fill(to + 5000 * i, sizes[i], l->rank * 10 + i);
        link_isend(l, right, 8 + i % 2, to + 5000 * i, sizes[i], &out[i]);
    }
    for (int i = N - 1; i >= 0 && l->size > 1; i--) {
        if (i % 3 == 0)
            while (!link_test(l, &in[i]))
                continue;
        else
            link_wait(l, &in[i]);
        fill(want, sizes[i], left * 10 + i);
        EXPECT(o, memcmp(from + 5000 * i, want, sizes[i]) == 0, "message %d of %zu bytes", i, sizes[i]);
        EXPECT(o, link_test(l, &in[i]), "completed, and then not");
    }
    for (int i = 0; i < N && l->size > 1; i++)
        link_wait(l, &out[i]);
    memset(mine, l->rank + 1, BIG);
    if (l->size > 1) {
        link_irecv(l, left, 3, theirs, BIG, &big[0]);
        link_isend(l, right, 3, mine, BIG, &big[1]);
        link_wait(l, &big[1]);
        link_progress(l);
        link_wait(l, &big[0]);
        EXPECT(o, theirs[0] == left + 1 && theirs[BIG - 1] == left + 1, "%d from %d", theirs[0], left);
    }
    free(to);
    free(from);
    free(want);
    free(mine);
    free(theirs);
}

/* Segments of different sizes: zeroed, page-aligned, apart, and what one writes the others read. */
static inline void check_share(struct link *l, struct outcome *o) {
    struct link_shared *s;
    struct diag d = {0};
    int *domain = calloc((size_t)l->size, sizeof *domain);
    link_domains(l, domain);
    for (int round = 0; round < 3; round++) {
        size_t bytes = round == 0 ? 0 : (size_t)(l->rank * 5000 + round);
        int code = link_share(l, bytes, &s, &d);
        EXPECT(o, code == 0, "%s", d.text);
        if (code != 0) break;
        unsigned char *mine = s->base[l->rank];
        EXPECT(o, s->bytes == bytes && ((uintptr_t)mine & 4095) == 0, "%zu bytes at %p", s->bytes, (void *)mine);
        for (size_t i = 0; i < bytes; i++) {
            EXPECT(o, mine[i] == 0, "byte %zu is %d", i, mine[i]);
            mine[i] = (unsigned char)(l->rank + 1);
        }
        agree_barrier(l);
        for (int r = 0; r < l->size; r++) {
            const unsigned char *theirs = s->base[r];
            EXPECT(o, (theirs != NULL) == (domain[r] == domain[l->rank]), "rank %d's segment", r);
            size_t n = round == 0 || !theirs ? 0 : (size_t)(r * 5000 + round);
            for (size_t i = 0; i < n; i += i < n - 1 && i + 777 >= n ? n - 1 - i : 777)
                EXPECT(o, theirs[i] == r + 1, "rank %d, byte %zu is %d", r, i, theirs[i]);
        }
        link_unshare(l, s);
    }
    EXPECT(o, domain[l->rank] <= l->rank && domain[domain[l->rank]] == domain[l->rank], "domain %d", domain[l->rank]);
    free(domain);
}

static inline void check_collectives(struct link *l, struct outcome *o, int every);

/* Odd and even ranks apart, each in reverse order; the last rank stays out; then the halves again in halves. */
static inline void check_split(struct link *l, struct outcome *o) {
    int out = l->size > 1 && l->rank == l->size - 1, n = 0, after = 0;
    for (int r = 0; r < l->size - (l->size > 1); r++) {
        n += r % 2 == l->rank % 2;
        after += r % 2 == l->rank % 2 && r > l->rank;
    }
    l->wait_limit_s += 1;
    struct link *half = link_split(l, out ? -5 : l->rank % 2, -l->rank);
    EXPECT(o, (half == NULL) == out, "rank %d", l->rank);
    if (half) {
        EXPECT(o, half->size == n && half->rank == after, "%d of %d instead of %d of %d", half->rank, half->size, after,
               n);
        EXPECT(o, half->wait_limit_s == l->wait_limit_s && half->oversubscribed == l->oversubscribed, "not inherited");
        EXPECT(o, half->counts.messages == 0, "counts start at %ld", (long)half->counts.messages);
        check_collectives(half, o, 7);
        struct link *alone = link_split(half, half->rank, 0);
        EXPECT(o, alone && alone->size == 1 && alone->rank == 0, "alone");
        if (alone) check_collectives(alone, o, 7);
        link_free(alone);
    }
    check_collectives(l, o, 11); /* the parent still works beside its children */
    link_free(half);
    l->wait_limit_s -= 1;
}

static inline void check_bcast_gather(struct link *l, struct outcome *o) {
    static const size_t sizes[] = {0, 1, 8, 100, 9000};
    unsigned char *all = malloc(9000 * (size_t)l->size), *want = malloc(9000);
    for (int i = 0; i < 5; i++) {
        size_t n = sizes[i];
        for (int root = 0; root < l->size; root++) {
            fill(want, n, root + i);
            memset(all, 0x55, 9000);
            if (l->rank == root) memcpy(all, want, n);
            agree_bcast(l, root, all, n);
            EXPECT(o, memcmp(all, want, n) == 0 && (n == 9000 || all[n] == 0x55), "bcast of %zu from %d", n, root);
        }
        fill(want, n, l->rank * 3);
        agree_allgather(l, want, n, all);
        for (int r = 0; r < l->size; r++) {
            fill(want, n, r * 3);
            EXPECT(o, memcmp(all + (size_t)r * n, want, n) == 0, "block %d of %zu bytes", r, n);
        }
    }
    free(all);
    free(want);
}

static inline void check_values(struct link *l, struct outcome *o) {
    uint64_t sum = 0;
    int rank, middle = l->size / 2;
    for (int r = 0; r < l->size; r++)
        sum += hash_mix((uint64_t)r + 1);
    EXPECT(o, agree_sum(l, hash_mix((uint64_t)l->rank + 1)) == sum, "sum");
    EXPECT(o, agree_min(l, l->rank == middle ? -3.5 : l->rank, &rank) == -3.5 && rank == middle, "min of rank %d",
           rank);
    EXPECT(o, agree_max(l, l->rank == middle ? 1e9 : l->rank, &rank) == 1e9 && rank == middle, "max of rank %d", rank);
    EXPECT(o, agree_min(l, l->rank >= middle ? 1 : 2, &rank) == 1 && rank == middle, "min: lowest is %d", rank);
    EXPECT(o, agree_max(l, 7, &rank) == 7 && rank == 0, "max: lowest is %d", rank);
    double nans = agree_max(l, l->rank == middle ? -INFINITY : NAN, &rank);
    EXPECT(o, nans == -INFINITY && rank == middle, "max beside NaN: %g of rank %d", nans, rank);
    EXPECT(o, isnan(agree_min(l, NAN, NULL)), "min of NaN");
}

/* Ranks a and b > a differ from rank 0 (a = 0: b alone): the text names 0 and the first that differs. */
static inline void check_same(struct link *l, struct outcome *o) {
    struct diag d = {0};
    char want[64];
    EXPECT(o, agree_same(l, 0x123456789abcdef0u, "plan", &d) == 0 && d.code == 0, "all the same");
    for (int a = 0; a < l->size; a++)
        for (int b = a + 1; b < l->size; b++) {
            d = (struct diag){0};
            int code = agree_same(l, l->rank == b || (a > 0 && l->rank == a) ? 2 + (uint64_t)l->rank : 1, "plan", &d);
            snprintf(want, sizeof want, "ranks 0 and %d differ in plan", a > 0 ? a : b);
            EXPECT(o, code == ERR_MISMATCH && strncmp(d.text, want, strlen(want)) == 0, "%d %d: %s", a, b, d.text);
        }
    if (l->size < 2) return;
    EXPECT(o, agree_same(l, (uint64_t)(l->rank == 0), "x", NULL) == ERR_MISMATCH, "without a diag");
}

/* A failure on one rank, on it and a later one, and on none. */
static inline void check_err(struct link *l, struct outcome *o) {
    static const int codes[] = {ERR_FORMAT, ERR_MEMORY, ERR_INTERRUPTED};
    for (int a = 0; a < l->size; a++)
        for (int i = 0; i < 3; i++) {
            struct diag d = {0};
            char want[64];
            int b = i == 0 ? -1 : (a + l->size) / 2 + 1, mine = l->rank == a ? codes[i] : l->rank == b ? ERR_USAGE : 0;
            snprintf(want, sizeof want, "file %d.gguf is broken on rank %d", i, a);
            if (l->rank == a && i < 2) diag_set(&d, codes[i], "%s", want);
            if (l->rank == b) diag_set(&d, ERR_USAGE, "a later failure");
            if (i == 2) snprintf(want, sizeof want, "%s", err_text(codes[i])); /* failed without a text */
            int code = err_agree(l, mine, &d);
            EXPECT(o, code == codes[i] && d.code == code && d.rank == a, "code %d, rank %d for %d", code, d.rank, a);
            EXPECT(o, strcmp(d.text, want) == 0, "'%s' for '%s'", d.text, want);
            EXPECT(o, err_agree(l, mine, NULL) == codes[i], "without a diag");
        }
    struct diag d = {0};
    EXPECT(o, err_agree(l, 0, &d) == 0 && d.code == 0 && d.text[0] == 0, "no failure");
}

static inline void check_agree(struct link *l, struct outcome *o) {
    check_bcast_gather(l, o);
    check_values(l, o);
    check_same(l, o);
    check_err(l, o);
    agree_barrier(l);
}

/* Elements of a sum that are wrong: other bits than the canonical sum's, or where the order is another (`exact` 0) off
 * by more than a rounding for each addition. */
static inline int wrong_sums(const float *sum, const struct coll_shape *shape, size_t n, int kind, int exact) {
    float leaf[64];
    int wrong = 0;
    for (size_t e = 0; e < n; e++) {
        double most = 0;
        for (int i = 0; i < shape->n_leaves; i++) {
            leaf[i] = leaf_value(kind, e, i, shape->n_leaves);
            most += fabs((double)leaf[i]);
        }
        float want = tree_sum(leaf, shape->n_leaves);
        wrong += exact ? memcmp(&want, &sum[e], sizeof want) != 0
                       : !(fabs((double)sum[e] - (double)want) <= 2 * shape->n_leaves * 0x1p-24 * most);
    }
    return wrong;
}

/* One all-reduce: the sum, traffic equal to the schedule's count, nothing written past the slots. Inputs are made by
 * pairtree_sum, the wanted sums by tree_sum. */
static inline void check_allreduce(struct link *l, struct outcome *o, const struct coll_choice *choice,
                                   const struct coll_shape *shape, size_t n, int kind) {
    struct sched s;
    struct diag d = {0};
    struct coll_cost cost;
    float leaf[64], nodes[PAIRTREE_MAX_NODES], guard = 12345.0f;
    int begin = shape->begin[l->rank], end = shape->begin[l->rank + 1];
    int code = sched_build(&s, choice, COLL_ALLREDUCE, shape, l->rank, &d);
    EXPECT(o, code == 0, "%s", d.text);
    if (code != 0) return;
    float *buf = malloc(((size_t)s.n_slots * n + 1) * sizeof *buf);
    buf[(size_t)s.n_slots * n] = guard;
    for (size_t e = 0; e < n; e++) {
        for (int i = begin; i < end; i++)
            leaf[i - begin] = leaf_value(kind, e, i, shape->n_leaves);
        int got = pairtree_sum(shape->n_leaves, begin, end, leaf, nodes);
        EXPECT(o, got == s.n_in, "%d inputs instead of %d", got, s.n_in);
        for (int k = 0; k < got; k++)
            buf[(size_t)k * n + e] = nodes[k];
    }
    struct link_counts before = l->counts;
    float *sum = sched_run(&s, l, 17, buf, n);
    sched_count(&s, n, 16, &cost); /* sched_run's parts begin at cache lines */
    EXPECT(o, l->counts.messages - before.messages == cost.messages, "messages at n = %zu", n);
    EXPECT(o, l->counts.bytes - before.bytes == cost.sent * sizeof *buf, "bytes at n = %zu", n);
    int wrong = wrong_sums(sum, shape, n, kind, choice->algo->label == COLL_BIT_EXACT);
    EXPECT(o, wrong == 0, "%s, %d leaves, rank %d of %d, kind %d: %d of %zu differ", choice->algo->name,
           shape->n_leaves, l->rank, l->size, kind, wrong, n);
    EXPECT(o, buf[(size_t)s.n_slots * n] == guard, "%s writes past its slots", choice->algo->name);
    free(buf);
    sched_fini(&s);
}

/* All algorithms, leaf counts and ownerships, or every n-th of them. */
static inline void check_collectives(struct link *l, struct outcome *o, int every) {
    static const int leaf_counts[] = {1, 2, 3, 5, 7, 8, 9, 14, 16, 32, 40, 64};
    static const size_t lengths[] = {1, 2, 3, 17, 0};
    int begin[MAX_RANKS + 1], step = 0;
    for (const struct coll_algo *const *algo = coll_algos; *algo; algo++)
        for (size_t i = 0; i < sizeof leaf_counts / sizeof leaf_counts[0]; i++)
            for (int kind = 0; kind < OWNERSHIPS; kind++, step++) {
                if (step % every != 0 || (*algo)->library || (*algo)->levels != 1) continue;
                struct coll_shape shape = {l->size, leaf_counts[i], begin, NULL};
                struct coll_choice choice = {.algo = *algo};
                own_leaves(begin, l->size, leaf_counts[i], kind, (uint64_t)(i * 8 + (size_t)kind));
                check_allreduce(l, o, &choice, &shape, step % 20 == 7 ? 1000 : lengths[step % 5],
                                (*algo)->label == COLL_BIT_EXACT ? step % VALUE_KINDS : 0);
            }
}

/* Two levels over domains of two ranks, and dealt round: both forms, the canonical order where it is promised. */
static inline void check_levels(struct link *l, struct outcome *o) {
    static const char *const pairs[] = {"hierarchical:twoshot:ring", "hierarchical:tree:bruck",
                                        "hierarchical:ring:swing"};
    int begin[MAX_RANKS + 1], domain[MAX_RANKS];
    for (int i = 0; i < 6; i++) {
        struct coll_shape shape = {l->size, l->size, begin, domain};
        struct coll_choice choice;
        const char *pair = pairs[i % 3];
        own_leaves(begin, l->size, l->size, 0, 0);
        for (int r = 0; r < l->size; r++)
            domain[r] = i < 3 ? r / 2 : r % 2;
        EXPECT(o, coll_choice_parse(&choice, pair, NULL) == 0, "%s", pair);
        check_allreduce(l, o, &choice, &shape, 100, 0);
    }
}

/* All of the above. Collective. */
static inline void check_link(struct link *l, struct outcome *o) {
    check_sizes(l, o);
    check_upto(l, o);
    check_order(l, o);
    check_irecv(l, o);
    check_share(l, o);
    check_agree(l, o);
    check_collectives(l, o, 1);
    check_levels(l, o);
    check_split(l, o);
}

#endif
