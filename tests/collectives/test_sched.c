/* Schedules of all algorithms, proven for 1 to 64 virtual ranks; and the checker itself, against broken schedules. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "shapes.h"

static const int leaf_counts[] = {1, 2, 3, 5, 7, 8, 9, 14, 16, 32, 40, 64};
enum { N_LEAF_COUNTS = sizeof leaf_counts / sizeof leaf_counts[0] };

static int build_all(struct sched *s, const struct coll_algo *algo, const struct coll_shape *shape) {
    struct diag d = {0};
    int code = 0;
    for (int r = 0; r < shape->size; r++) {
        int c = algo->allreduce(&s[r], shape, r, &d);
        CHECK(c == 0, "%s rank %d of %d: %s", algo->name, r, shape->size, d.text);
        code = code ? code : c;
    }
    return code;
}

static void free_all(struct sched *s, int size) {
    for (int r = 0; r < size; r++)
        sched_fini(&s[r]);
}

static int cover_count(const struct coll_shape *shape, int rank0, int rank1) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    return pairtree_cover(shape->n_leaves, shape->begin[rank0], shape->begin[rank1], nodes);
}

/* The cost formula in tree.c: what a rank sends is the cover of its group in each round. */
static void tree_formula(const struct coll_shape *shape, int rank, uint64_t *messages, uint64_t *words) {
    int stay = 1, pairs;
    while (2 * stay <= shape->size)
        stay *= 2;
    pairs = shape->size - stay;
    int paired = rank < 2 * pairs, group = paired ? rank / 2 : rank - pairs;
    *messages = *words = 0;
    if (paired && rank % 2 == 1) {
        *words = (uint64_t)cover_count(shape, rank, rank + 1);
        *messages = *words > 0;
        return;
    }
    for (int width = 1; width < stay; width *= 2) {
        int g0 = group / width * width, g1 = g0 + width;
        int n = cover_count(shape, g0 < pairs ? 2 * g0 : g0 + pairs, g1 < pairs ? 2 * g1 : g1 + pairs);
        *messages += n > 0;
        *words += (uint64_t)n;
    }
    *messages += (uint64_t)paired;
    *words += (uint64_t)paired;
}

static void oneshot_formula(const struct coll_shape *shape, int rank, uint64_t *messages, uint64_t *words) {
    uint64_t n = (uint64_t)cover_count(shape, rank, rank + 1), peers = (uint64_t)shape->size - 1;
    *messages = n > 0 ? peers : 0;
    *words = n * peers;
}

static void check_counts(const struct coll_algo *algo, const struct coll_shape *shape, const struct sched *s) {
    for (int r = 0; r < shape->size; r++) {
        uint64_t messages, words, m = 0, w = 0;
        sched_count(&s[r], &messages, &words);
        if (strcmp(algo->name, "tree") == 0)
            tree_formula(shape, r, &m, &w);
        else if (strcmp(algo->name, "oneshot") == 0)
            oneshot_formula(shape, r, &m, &w);
        else
            continue;
        CHECK(messages == m && words == w, "%s rank %d of %d, %d leaves: %ld messages, %ld words; formula %ld, %ld",
              algo->name, r, shape->size, shape->n_leaves, (long)messages, (long)words, (long)m, (long)w);
    }
}

static void prove(const struct coll_algo *algo, int size, int n_leaves, int kind) {
    struct sched s[MAX_RANKS];
    struct diag d = {0};
    int begin[MAX_RANKS + 1];
    struct coll_shape shape = {size, n_leaves, begin};
    own_leaves(begin, size, n_leaves, kind, (uint64_t)(size * 1000 + n_leaves * 10 + kind));
    if (build_all(s, algo, &shape) == 0) {
        int code = sched_check(s, &shape, &d);
        CHECK(code == 0, "%s, %d ranks, %d leaves, ownership %d: %s", algo->name, size, n_leaves, kind, d.text);
        check_counts(algo, &shape, s);
    }
    free_all(s, size);
}

static void test_proofs(void) {
    for (const struct coll_algo *const *algo = coll_algos; *algo; algo++)
        for (int size = 1; size <= MAX_RANKS; size++)
            for (int i = 0; i < N_LEAF_COUNTS; i++)
                for (int kind = 0; kind < OWNERSHIPS; kind++)
                    prove(*algo, size, leaf_counts[i], kind);
}

/* Where ranks own whole subtrees, tree is plain recursive doubling: lg P messages of one vector, two slots of memory.
 */
static void test_tree_aligned(void) {
    for (int lg = 0; lg <= 6; lg++)
        for (int each = 1; each <= 8; each *= 2) {
            int size = 1 << lg, begin[MAX_RANKS + 1];
            struct coll_shape shape = {size, size * each, begin};
            struct sched s;
            uint64_t messages, words;
            own_leaves(begin, size, shape.n_leaves, 0, 0);
            CHECK(coll_algo_find("tree")->allreduce(&s, &shape, size - 1, NULL) == 0, "%d ranks", size);
            sched_count(&s, &messages, &words);
            CHECK(messages == (uint64_t)lg && words == (uint64_t)lg && s.n_rounds == lg, "%d ranks: %ld messages", size,
                  (long)messages);
            CHECK(s.n_slots == (size > 1 ? 2 : 1), "%d ranks: %d slots", size, s.n_slots);
            sched_fini(&s);
        }
}

/* The picture in tree.c: 5 ranks, 5 leaves. */
static void test_tree_picture(void) {
    static const int want[5][2] = {{3, 4}, {1, 1}, {2, 3}, {2, 2}, {2, 2}};
    int begin[] = {0, 1, 2, 3, 4, 5};
    struct coll_shape shape = {5, 5, begin};
    for (int r = 0; r < 5; r++) {
        struct sched s;
        uint64_t messages, words;
        CHECK(coll_algo_find("tree")->allreduce(&s, &shape, r, NULL) == 0, "rank %d", r);
        sched_count(&s, &messages, &words);
        CHECK((int)messages == want[r][0] && (int)words == want[r][1] && s.n_rounds == 4,
              "rank %d: %ld messages, %ld words", r, (long)messages, (long)words);
        sched_fini(&s);
    }
}

static void test_bad_shapes(void) {
    int backwards[] = {0, 3, 2, 4}, late[] = {1, 2, 3, 4}, shortened[] = {0, 1, 2, 3}, none[] = {0, 0, 0, 0};
    const struct {
        struct coll_shape shape;
        int rank;
    } bad[] = {
        {{3, 4, backwards}, 0}, {{3, 4, late}, 0},
        {{3, 4, shortened}, 0}, {{3, 0, none}, 0},
        {{3, 3, shortened}, 3}, {{3, 3, shortened}, -1},
        {{0, 3, shortened}, 0}, {{3, COLL_MAX_LEAVES + 1, shortened}, 0},
    };
    for (const struct coll_algo *const *algo = coll_algos; *algo; algo++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct sched s;
            struct diag d = {0};
            CHECK((*algo)->allreduce(&s, &bad[i].shape, bad[i].rank, &d) == ERR_RANGE && d.text[0], "shape %zu", i);
            CHECK(s.n_steps == 0 && !s.steps, "a failed schedule is empty");
            sched_fini(&s);
            d = (struct diag){0};
            if (bad[i].rank == 0)
                CHECK(sched_check(&s, &bad[i].shape, &d) == ERR_RANGE && d.text[0], "checked shape %zu", i);
        }
    CHECK(!coll_algo_find("no such algorithm") && coll_algo_find("tree"), "find");
}

/* The most leaves and as uneven as they get: lists must stay inside PAIRTREE_MAX_NODES. */
static void test_many_leaves(void) {
    for (const struct coll_algo *const *algo = coll_algos; *algo; algo++)
        for (int i = 0; i < 3; i++) {
            int begin[] = {0, 1, COLL_MAX_LEAVES / 2 - 1, COLL_MAX_LEAVES - 1, COLL_MAX_LEAVES - i};
            struct coll_shape shape = {4, COLL_MAX_LEAVES - i, begin};
            struct sched s[4];
            struct diag d = {0};
            if (i == 2) begin[3] = COLL_MAX_LEAVES / 2 + 1;
            if (build_all(s, *algo, &shape) == 0)
                CHECK(sched_check(s, &shape, &d) == 0, "%s: %s", (*algo)->name, d.text);
            free_all(s, 4);
        }
}

/* ---- The checker. An independent interpreter of schedules: values are hashes of the sum's tree, ranks advance in
 * random order, and a message is read from the sender's memory at a random moment between its SEND and the end of its
 * round. */

struct message {
    int from, to, step, read, received;
    uint64_t value[PAIRTREE_MAX_NODES];
};

struct run {
    const struct sched *s;
    int n, at[MAX_RANKS], round[MAX_RANKS];
    uint64_t key, draws, *slots[MAX_RANKS];
    struct message *messages;
};

static uint64_t hash_sum(uint64_t a, uint64_t b) {
    return hash_mix(hash_mix(a < b ? a : b) + 3 * (a < b ? b : a));
}

static uint64_t hash_node(int n_leaves, struct pairtree_node node) {
    if (node.level == 0) return hash_mix((uint64_t)node.index + 1000);
    struct pairtree_node left = {node.level - 1, 2 * node.index}, right = {node.level - 1, 2 * node.index + 1};
    uint64_t a = hash_node(n_leaves, left);
    return pairtree_begin(right, n_leaves) < n_leaves ? hash_sum(a, hash_node(n_leaves, right)) : a;
}

static void message_read(struct run *run, struct message *m) {
    const struct sched_step *t = &run->s[m->from].steps[m->step];
    for (int i = 0; i < t->count && !m->read; i++)
        m->value[i] = run->slots[m->from][t->slot + i];
    m->read = 1;
}

/* Reads some of the messages on their way, all of a rank's if it is about to end its round. */
static void messages_progress(struct run *run, int ending) {
    for (int i = 0; i < run->n; i++)
        if (run->messages[i].from == ending || random_below(run->key, &run->draws, 4) == 0)
            message_read(run, &run->messages[i]);
}

/* Returns 0 if the rank cannot do its next step yet, -1 if it is wrong. */
static int run_step(struct run *run, int r) {
    const struct sched_step *t = &run->s[r].steps[run->at[r]];
    uint64_t *slot = run->slots[r];
    int i = 0;
    if (t->round != run->round[r]) messages_progress(run, r);
    for (int k = 0; k < run->n && t->round != run->round[r]; k++)
        if (run->messages[k].from == r && !run->messages[k].received) return 0;
    run->round[r] = t->round;
    switch (t->op) {
    case SCHED_SEND:
        run->messages[run->n++] = (struct message){.from = r, .to = t->peer, .step = run->at[r]};
        messages_progress(run, -1);
        break;
    case SCHED_RECV:
        while (i < run->n &&
               (run->messages[i].received || run->messages[i].to != r || run->messages[i].from != t->peer))
            i++;
        if (i == run->n) return 0;
        if (run->s[t->peer].steps[run->messages[i].step].count != t->count) return -1;
        message_read(run, &run->messages[i]);
        memcpy(slot + t->slot, run->messages[i].value, (size_t)t->count * sizeof *slot);
        run->messages[i].received = 1;
        break;
    case SCHED_ADD: slot[t->slot] = hash_sum(slot[t->slot], slot[t->src]); break;
    case SCHED_COPY: slot[t->slot] = slot[t->src]; break;
    }
    run->at[r]++;
    return 1;
}

/* Ranks in random order until all have ended (1) or none moved in a full sweep (0). */
static int run_all(struct run *run, int size) {
    for (int still = 0; still < size;) {
        int first = random_below(run->key, &run->draws, size);
        still = 0;
        for (int i = 0; i < size; i++) {
            int r = (first + i) % size, did = 0, moved;
            while (run->at[r] < run->s[r].n_steps && (moved = run_step(run, r)) != 0) {
                if (moved < 0) return 0;
                did = 1;
                if (random_below(run->key, &run->draws, 2)) break;
            }
            still += !did;
        }
    }
    for (int i = 0; i < run->n; i++)
        if (!run->messages[i].received) return 0;
    for (int r = 0; r < size; r++)
        if (run->at[r] < run->s[r].n_steps) return 0;
    return 1;
}

/* 1 if the schedules give the canonical sum on all ranks in one random interleaving. All numbers must be in range. */
static int interpret(const struct sched *s, const struct coll_shape *shape, uint64_t key) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES], root = {pairtree_root_level(shape->n_leaves), 0};
    struct run run = {.s = s, .key = key};
    int sends = 0, good;
    for (int r = 0; r < shape->size; r++)
        sends += s[r].n_steps;
    run.messages = calloc((size_t)sends + 1, sizeof *run.messages);
    for (int r = 0; r < shape->size; r++) {
        int n = pairtree_cover(shape->n_leaves, shape->begin[r], shape->begin[r + 1], nodes);
        run.slots[r] = calloc((size_t)s[r].n_slots, sizeof **run.slots);
        for (int i = 0; i < n; i++)
            run.slots[r][i] = hash_node(shape->n_leaves, nodes[i]);
    }
    good = run_all(&run, shape->size);
    for (int r = 0; r < shape->size; r++) {
        good = good && run.slots[r][s[r].result_slot] == hash_node(shape->n_leaves, root);
        free(run.slots[r]);
    }
    free(run.messages);
    return good;
}

/* One altered step must be rejected: `what` is applied to a copy of rank's schedule. */
struct mutant {
    struct sched s[MAX_RANKS];
    struct sched_step steps[1024];
    struct sched *at; /* the altered one */
};

static void mutant_of(struct mutant *m, const struct sched *s, int size, int rank) {
    memcpy(m->s, s, (size_t)size * sizeof *s);
    memcpy(m->steps, s[rank].steps, (size_t)s[rank].n_steps * sizeof *m->steps);
    m->at = &m->s[rank];
    m->at->steps = m->steps;
}

static void drop_step(struct mutant *m, int i) {
    m->at->n_steps--;
    memmove(&m->steps[i], &m->steps[i + 1], (size_t)(m->at->n_steps - i) * sizeof *m->steps);
}

static void double_step(struct mutant *m, int i) {
    memmove(&m->steps[i + 1], &m->steps[i], (size_t)(m->at->n_steps - i) * sizeof *m->steps);
    m->at->n_steps++;
}

enum { MUTATIONS = 15 };
static const char *const mutation_names[] = {
    "dropped step",  "doubled step",     "next slot",        "slot before",       "next source",
    "source before", "swapped operands", "one slot more",    "one slot fewer",    "next peer",
    "copy or add",   "other way",        "all in one round", "wrong result slot", "earlier round"};

static int has_copy(const struct mutant *m) {
    for (int i = 0; i < m->at->n_steps; i++)
        if (m->steps[i].op == SCHED_COPY) return 1;
    return 0;
}

/* Returns 0 where the mutation does not apply or may change nothing that matters: a value that has been copied lies in
 * two slots, and either is as good. */
static int mutate(struct mutant *m, int i, int kind) {
    struct sched_step *t = &m->steps[i], old = *t;
    int message = t->op == SCHED_SEND || t->op == SCHED_RECV, matters = !has_copy(m);
    switch (kind) {
    case 0: drop_step(m, i); return message || matters;
    case 1: double_step(m, i); return t->op != SCHED_COPY;
    case 2: t->slot++; return matters;
    case 3: t->slot--; return matters;
    case 4: t->src++; return matters && !message;
    case 5: t->src--; return matters && !message;
    case 6: t->slot = old.src, t->src = old.slot; return matters && !message;
    case 7: t->count++; return 1;
    case 8: t->count--; return 1;
    case 9: t->peer = (t->peer + 1) % m->at->size; return message;
    case 10: t->op = t->op == SCHED_ADD ? SCHED_COPY : SCHED_ADD; return !message;
    case 11: t->op = t->op == SCHED_SEND ? SCHED_RECV : SCHED_SEND; return message;
    case 12:
        for (int k = 0; k < m->at->n_steps; k++)
            m->steps[k].round = 0;
        return 0; /* may be right: only the interpreter judges it */
    case 13: m->at->result_slot += i % 2 ? 1 : -1; return matters;
    default: t->round--; return i > 0 && t->round < m->steps[i - 1].round; /* rounds go back */
    }
}

static void check_mutant(struct mutant *m, const struct coll_shape *shape, const char *name, int must_fail,
                         uint64_t key) {
    struct diag d = {0};
    int code = sched_check(m->s, shape, &d);
    CHECK(code == 0 || (code == ERR_INTERNAL && d.text[0]), "%s: code %d without text", name, code);
    CHECK(code != 0 || !must_fail, "%s accepted: rank %d of %d, %d leaves", name, m->at->rank, shape->size,
          shape->n_leaves);
    for (int i = 0; i < 3 && code == 0; i++)
        CHECK(interpret(m->s, shape, key + (uint64_t)i),
              "%s accepted, but computes something else: rank %d of %d, %d leaves", name, m->at->rank, shape->size,
              shape->n_leaves);
}

static void mutate_all(const struct sched *s, const struct coll_shape *shape) {
    static struct mutant m;
    for (int r = 0; r < shape->size; r++)
        for (int i = 0; i < s[r].n_steps; i++)
            for (int kind = 0; kind < MUTATIONS; kind++) {
                mutant_of(&m, s, shape->size, r);
                int must_fail = mutate(&m, i, kind);
                check_mutant(&m, shape, mutation_names[kind], must_fail, (uint64_t)(r * 1000 + i));
            }
}

/* Two random fields of two random steps: whatever is still accepted must be right in every order of events. */
static void mutate_randomly(const struct sched *s, const struct coll_shape *shape, uint64_t key, long *accepted) {
    static struct mutant m;
    uint64_t n = 0;
    int r = random_below(key, &n, shape->size);
    if (s[r].n_steps == 0) return;
    mutant_of(&m, s, shape->size, r);
    for (int k = 0; k < 2; k++) {
        struct sched_step *t = &m.steps[random_below(key, &n, s[r].n_steps)];
        switch (random_below(key, &n, 6)) {
        case 0: t->slot = random_below(key, &n, s[r].n_slots); break;
        case 1: t->src = random_below(key, &n, s[r].n_slots); break;
        case 2: t->peer = random_below(key, &n, shape->size); break;
        case 3: t->op = (enum sched_op)random_below(key, &n, 4); break;
        case 4: t->round = random_below(key, &n, s[r].n_rounds); break;
        case 5: m.steps[random_below(key, &n, s[r].n_steps)] = *t; break;
        }
    }
    *accepted += sched_check(m.s, shape, NULL) == 0;
    check_mutant(&m, shape, "random mutant", 0, key);
}

static void test_checker(void) {
    long accepted = 0;
    for (const struct coll_algo *const *algo = coll_algos; *algo; algo++)
        for (int size = 2; size <= 9; size++)
            for (int i = 0; i < N_LEAF_COUNTS; i += 2) {
                struct sched s[MAX_RANKS];
                int begin[MAX_RANKS + 1];
                struct coll_shape shape = {size, leaf_counts[i], begin};
                own_leaves(begin, size, leaf_counts[i], i % OWNERSHIPS, (uint64_t)(size * 100 + i));
                if (build_all(s, *algo, &shape) != 0) return;
                for (uint64_t k = 0; k < 5; k++)
                    CHECK(interpret(s, &shape, k), "%s, %d ranks: the interpreter disagrees", (*algo)->name, size);
                mutate_all(s, &shape);
                for (uint64_t k = 0; k < 150; k++)
                    mutate_randomly(s, &shape, k * 7919 + (uint64_t)(size * 64 + i), &accepted);
                free_all(s, size);
            }
    CHECK(accepted > 20, "only %ld random mutants were harmless: the soundness test is idle", accepted);
}

/* Two ranks that each receive before they send, and two that wait for their sends to be received first. */
static void test_deadlocks(void) {
    int begin[] = {0, 1, 2};
    struct coll_shape shape = {2, 2, begin};
    struct sched_step recv_first[2][3], wait_first[2][3];
    struct sched s[2];
    for (int r = 0; r < 2; r++) {
        struct sched_step send = {.op = SCHED_SEND, .peer = 1 - r, .slot = 0, .count = 1}, recv = send;
        struct sched_step sum = {.op = SCHED_ADD, .slot = 1, .count = 1, .src = 0};
        recv.op = SCHED_RECV;
        recv.slot = 1;
        recv_first[r][0] = wait_first[r][1] = recv;
        recv_first[r][1] = wait_first[r][0] = send;
        recv_first[r][2] = wait_first[r][2] = sum;
        for (int i = 0; i < 3; i++)
            recv_first[r][i].round = wait_first[r][i].round = i > 0;
        s[r] = (struct sched){
            .rank = r, .size = 2, .n_in = 1, .n_slots = 2, .result_slot = 1, .n_rounds = 2, .n_steps = 3};
    }
    for (int k = 0; k < 3; k++) {
        struct diag d = {0};
        for (int r = 0; r < 2; r++)
            s[r].steps = k == 0 ? recv_first[r] : wait_first[r];
        for (int r = 0; r < 2 && k == 2; r++)
            wait_first[r][0].round = wait_first[r][1].round = 0; /* now it is right */
        int code = sched_check(s, &shape, &d);
        CHECK(k == 2 ? code == 0 : code == ERR_INTERNAL, "case %d: %s", k, d.text);
        CHECK(k != 0 || strstr(d.text, "waits forever for rank"), "case %d: %s", k, d.text);
        CHECK(k != 1 || strstr(d.text, "never receives"), "case %d: %s", k, d.text);
    }
}

/* Two ranks that send a slot more than they have; the result does not depend on it. */
static void test_unset(void) {
    int begin[] = {0, 1, 2};
    struct coll_shape shape = {2, 2, begin};
    struct sched_step steps[2][3];
    struct sched s[2];
    for (int count = 1; count <= 2; count++) {
        struct diag d = {0};
        for (int r = 0; r < 2; r++) {
            steps[r][0] = (struct sched_step){.op = SCHED_SEND, .peer = 1 - r, .slot = 0, .count = count};
            steps[r][1] = (struct sched_step){.op = SCHED_RECV, .peer = 1 - r, .slot = 2, .count = count};
            steps[r][2] = (struct sched_step){.op = SCHED_ADD, .slot = 2, .count = 1, .src = 0};
            s[r] = (struct sched){r, 2, 1, 4, 2, 1, 3, steps[r], NULL};
        }
        CHECK(sched_check(s, &shape, &d) == (count == 1 ? 0 : ERR_INTERNAL), "%d slots: %s", count, d.text);
        CHECK(count == 1 || strstr(d.text, "slot 1, which holds nothing"), "%s", d.text);
    }
}

int main(void) {
    test_proofs();
    test_tree_aligned();
    test_tree_picture();
    test_bad_shapes();
    test_many_leaves();
    test_deadlocks();
    test_unset();
    test_checker();
    return check_report("sched");
}
