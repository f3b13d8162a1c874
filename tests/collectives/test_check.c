/* The checker of schedules: kinds of broken schedules that it must find and name, and mutants of good ones. What it
 * accepts is executed, by an interpreter that knows nothing of it, in random orders and with reads as late as allowed.
 */
#include <stdlib.h>
#include <string.h>

#include "sched_cases.h"

/* ---- the interpreter ---- */

/* A part of a slot. Received ones stay where they were sent from until somebody looks, or by chance. */
struct cell {
    uint64_t order; /* hash of the expression; 0: the identity */
    uint64_t inputs; /* sum of random keys: which inputs, how often */
    int codings, coded;
    struct cell *at; /* still to be read from there */
};

struct message {
    int from, to, step, received;
};

struct run {
    const struct sched *s;
    int n, at[MAX_RANKS], round[MAX_RANKS];
    uint64_t key, draws;
    struct cell *cells[MAX_RANKS];
    struct message *messages;
};

static struct cell *cell_read(struct cell *c) {
    if (!c->at) return c;
    *c = *cell_read(c->at);
    c->coded = 1;
    return c;
}

static struct cell cell_reduce(const struct cell *a, const struct cell *b) {
    uint64_t low = a->order < b->order ? a->order : b->order, high = a->order < b->order ? b->order : a->order;
    return (struct cell){low == 0 ? high : hash_mix(hash_mix(low) + 3 * high), a->inputs + b->inputs,
                         a->codings > b->codings ? a->codings : b->codings, 0, NULL};
}

static struct cell *cell_at(struct run *run, int r, int slot, int part) {
    return &run->cells[r][(size_t)slot * (size_t)run->s[r].n_parts + (size_t)part];
}

/* The cells of a message in order; returns their number, at most cap. */
static int message_cells(struct run *run, int r, int step, struct cell **out, int *parts, int cap) {
    int n = 0;
    for (const struct sched_step *t = &run->s[r].steps[step];; t++) {
        for (int k = t->slot; k < t->slot + t->count; k++)
            for (int p = t->part; p < t->part + t->parts && n < cap; p++, n++) {
                out[n] = cell_at(run, r, k, p);
                parts[n] = p;
            }
        if (!t->more) return n;
    }
}

enum { MOST_CELLS = 4096 };

/* Returns -1 where the two sides differ. */
static int receive(struct run *run, int r, const struct message *m) {
    static struct cell *from[MOST_CELLS], *to[MOST_CELLS];
    static int from_part[MOST_CELLS], to_part[MOST_CELLS];
    int n = message_cells(run, m->from, m->step, from, from_part, MOST_CELLS);
    if (n != message_cells(run, r, run->at[r], to, to_part, MOST_CELLS) || n == MOST_CELLS) return -1;
    for (int i = 0; i < n; i++) {
        if (from_part[i] != to_part[i]) return -1;
        to[i]->at = from[i];
        if (random_below(run->key, &run->draws, 2)) cell_read(to[i]);
    }
    return 1;
}

static void local_step(struct run *run, int r, const struct sched_step *t) {
    for (int p = t->part; p < t->part + t->parts; p++) {
        struct cell *dst = cell_at(run, r, t->slot, p);
        switch (t->op) {
        case SCHED_REDUCE: *dst = cell_reduce(cell_read(dst), cell_read(cell_at(run, r, t->src, p))); break;
        case SCHED_COPY: *dst = *cell_read(cell_at(run, r, t->src, p)); break;
        case SCHED_FILL: *dst = (struct cell){0}; break;
        default: cell_read(dst)->order = hash_mix(dst->order + 17); dst->codings++;
        }
        dst->coded = t->op == SCHED_ROUND;
    }
}

/* In a lossy schedule what is sent needs a code. */
static int may_send(struct run *run, int r) {
    static struct cell *cells[MOST_CELLS];
    static int parts[MOST_CELLS];
    int n = message_cells(run, r, run->at[r], cells, parts, MOST_CELLS);
    for (int i = 0; i < n && run->s[r].lossy; i++)
        if (!cells[i]->coded && !cells[i]->at) return 0;
    return 1;
}

/* 1: done, 0: the rank cannot go on yet, -1: it is wrong. */
static int run_step(struct run *run, int r) {
    const struct sched_step *t = &run->s[r].steps[run->at[r]], *end = t;
    int i = 0;
    for (int k = 0; k < run->n && t->round != run->round[r]; k++)
        if (run->messages[k].from == r && !run->messages[k].received) return 0;
    run->round[r] = t->round;
    if (t->op == SCHED_SEND) {
        if (!may_send(run, r)) return -1;
        run->messages[run->n++] = (struct message){r, t->peer, run->at[r], 0};
    } else if (t->op == SCHED_RECV) {
        while (i < run->n &&
               (run->messages[i].received || run->messages[i].to != r || run->messages[i].from != t->peer))
            i++;
        if (i == run->n) return 0;
        if (receive(run, r, &run->messages[i]) < 0) return -1;
        run->messages[i].received = 1;
    } else {
        local_step(run, r, t);
    }
    while (end->more)
        end++;
    run->at[r] += (int)(end - t) + 1;
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

static uint64_t input_key(int rank, int i) {
    return hash_mix((uint64_t)rank * 1000 + (uint64_t)i + 1);
}

static void run_init(struct run *run, const struct sched *s, enum coll_kind kind, int size) {
    size_t steps = 1;
    for (int r = 0; r < size; r++) {
        steps += (size_t)s[r].n_steps;
        run->cells[r] = calloc((size_t)s[r].n_slots * (size_t)s[r].n_parts, sizeof *run->cells[r]);
        for (int i = 0; i < s[r].n_slots * s[r].n_parts; i++) {
            int slot = i / s[r].n_parts, set = slot < s[r].n_in && (kind != COLL_ALLGATHER || i % s[r].n_parts == r);
            uint64_t key = input_key(r, slot), junk = hash_mix((uint64_t)i * 64 + (uint64_t)r + 1000003);
            run->cells[r][i] = (struct cell){set ? key : junk, set ? key : junk, 0, 0, NULL};
        }
    }
    run->messages = calloc(steps, sizeof *run->messages);
}

/* Every result holds the inputs that belong there once, on all ranks along one expression. */
static int results_right(struct run *run, enum coll_kind kind, int size) {
    uint64_t all = 0;
    for (int r = 0; r < size; r++)
        for (int i = 0; i < run->s[r].n_in; i++)
            all += input_key(r, i);
    for (int r = 0; r < size; r++)
        for (int p = 0; p < run->s[0].n_parts; p++) {
            if (kind == COLL_REDUCE_SCATTER && p != r) continue;
            const struct cell *c = cell_read(cell_at(run, r, run->s[r].result_slot, p));
            const struct cell *first = cell_read(cell_at(run, 0, run->s[0].result_slot, p));
            if (c->inputs != (kind == COLL_ALLGATHER ? input_key(p, 0) : all) || c->codings > 2) return 0;
            if (kind != COLL_REDUCE_SCATTER && c->order != first->order) return 0;
        }
    return 1;
}

/* 1 if the schedules do what they should in one random interleaving. All numbers must be in range. */
static int interpret(const struct sched *s, enum coll_kind kind, int size, uint64_t key) {
    struct run run = {.s = s, .key = key};
    run_init(&run, s, kind, size);
    int good = run_all(&run, size) && results_right(&run, kind, size);
    for (int r = 0; r < size; r++)
        free(run.cells[r]);
    free(run.messages);
    return good;
}

/* ---- one kind of fault after another ---- */

/* A group of three ranks with a leaf each, and its names for what is done to it. */
struct group {
    struct sched s[MAX_RANKS];
    struct shape_case c;
    enum coll_kind kind;
};

static struct sched_step *nth(struct sched *s, enum sched_op op, int n) {
    for (int i = 0; i < s->n_steps; i++)
        if (s->steps[i].op == op && n-- == 0) return &s->steps[i];
    CHECK(0, "the schedule has no such step");
    return s->steps;
}

static void drop(struct sched *s, const struct sched_step *t) {
    size_t i = (size_t)(t - s->steps);
    s->n_steps--;
    memmove(&s->steps[i], &s->steps[i + 1], ((size_t)s->n_steps - i) * sizeof *t);
}

/* Puts a step before the one at index i. */
static void insert(struct sched *s, int i, struct sched_step step) {
    s->steps = realloc(s->steps, ((size_t)s->n_steps + 1) * sizeof step);
    memmove(&s->steps[i + 1], &s->steps[i], (size_t)(s->n_steps - i) * sizeof step);
    s->steps[i] = step;
    s->n_steps++;
}

static void double_step(struct sched *s, const struct sched_step *t) {
    insert(s, (int)(t - s->steps), *t);
}

static void swap_steps(struct sched_step *a, struct sched_step *b) {
    struct sched_step t = *a;
    *a = *b;
    *b = t;
}

/* All groups are of twoshot (3 parts) or oneshot: ranks 0, 1, 2. */
static void receive_first(struct group *g) {
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < 2; i++)
            swap_steps(nth(&g->s[r], SCHED_SEND, 0), nth(&g->s[r], SCHED_RECV, 1));
}
static void wait_for_send(struct group *g) {
    for (int r = 0; r < 3; r++) {
        for (int i = 0; i < g->s[r].n_steps; i++)
            g->s[r].steps[i].round += g->s[r].steps[i].op != SCHED_SEND;
        g->s[r].n_rounds++;
    }
}
static void peer_self(struct group *g) {
    nth(&g->s[1], SCHED_SEND, 0)->peer = 1;
}
static void peer_far(struct group *g) {
    nth(&g->s[1], SCHED_RECV, 0)->peer = 3;
}
static void peer_other(struct group *g) {
    nth(&g->s[1], SCHED_SEND, 0)->peer ^= 2;
}
static void shorter(struct group *g) {
    insert(&g->s[0], 0, (struct sched_step){.op = SCHED_COPY, .slot = 1, .src = 0, .count = 1, .parts = 1});
    nth(&g->s[0], SCHED_SEND, 0)->count = 2;
}
static void longer(struct group *g) {
    nth(&g->s[1], SCHED_RECV, 0)->count = 2;
}
static void other_part(struct group *g) {
    nth(&g->s[0], SCHED_SEND, 0)->part = 1;
}
static void left_over(struct group *g) {
    double_step(&g->s[2], nth(&g->s[2], SCHED_SEND, 3));
}
static void never_sent(struct group *g) {
    drop(&g->s[2], nth(&g->s[2], SCHED_SEND, 0));
}
static void frozen(struct group *g) {
    insert(&g->s[0], 2, (struct sched_step){.op = SCHED_FILL, .count = 1, .part = 2, .parts = 1});
}
static void frozen_later(struct group *g) {
    struct sched *s = &g->s[0];
    struct sched_step last = {.op = SCHED_FILL, .round = 1, .count = 1, .part = 2, .parts = 1};
    insert(s, s->n_steps, last);
}
static void unset(struct group *g) {
    nth(&g->s[0], SCHED_REDUCE, 0)->part = 1;
}
static void unset_copy(struct group *g) {
    int last = g->s[0].n_slots - 1;
    insert(&g->s[0], 0, (struct sched_step){.op = SCHED_COPY, .slot = 0, .src = last, .count = 1, .parts = 1});
}
static void twice(struct group *g) {
    double_step(&g->s[0], nth(&g->s[0], SCHED_REDUCE, 0));
}
static void missing(struct group *g) {
    drop(&g->s[0], nth(&g->s[0], SCHED_REDUCE, 1));
}
static void other_order(struct group *g) {
    struct sched_step *first = nth(&g->s[0], SCHED_REDUCE, 0), *second = nth(&g->s[0], SCHED_REDUCE, 1);
    int slot = first->src;
    first->src = second->src;
    second->src = slot;
}
static void no_result(struct group *g) {
    g->s[1].result_slot = g->s[1].n_slots++;
}
static void part_lost(struct group *g) {
    struct sched *s = &g->s[2];
    struct sched_step own = {.op = SCHED_COPY, .slot = 1, .src = 0, .count = 1, .part = 2, .parts = 1};
    insert(s, s->n_steps, own);
    s->result_slot = s->n_slots++;
}
static void rounded_thrice(struct group *g) {
    struct sched *s = &g->s[1];
    struct sched_step t = {.op = SCHED_COPY, .round = 1, .slot = s->n_slots, .src = s->result_slot, .count = 1};
    t.parts = s->n_parts;
    insert(s, s->n_steps, t);
    t.op = SCHED_ROUND;
    insert(s, s->n_steps, t);
    s->result_slot = s->n_slots++;
}
static void uncoded(struct group *g) {
    drop(&g->s[1], nth(&g->s[1], SCHED_ROUND, 0));
}
static void coded_again(struct group *g) {
    double_step(&g->s[1], nth(&g->s[1], SCHED_ROUND, 0));
}
static void lossless_round(struct group *g) {
    insert(&g->s[0], 0, (struct sched_step){.op = SCHED_ROUND, .count = 1, .parts = 1});
}
static void one_lossy(struct group *g) {
    g->s[2].lossy = 0;
}
static void rounds_back(struct group *g) {
    g->s[0].steps[g->s[0].n_steps - 1].round = 0;
}
static void rounds_more(struct group *g) {
    g->s[0].steps[g->s[0].n_steps - 1].round = 2;
}
static void more_of_nothing(struct group *g) {
    g->s[0].steps[g->s[0].n_steps - 1].more = 1;
}
static void more_of_another(struct group *g) {
    nth(&g->s[0], SCHED_SEND, 0)->more = 1;
}
static void slots_beyond(struct group *g) {
    nth(&g->s[0], SCHED_REDUCE, 0)->slot = g->s[0].n_slots;
}
static void parts_beyond(struct group *g) {
    nth(&g->s[0], SCHED_REDUCE, 0)->parts = 4;
}
static void no_parts(struct group *g) {
    nth(&g->s[0], SCHED_REDUCE, 0)->parts = 0;
}
static void onto_itself(struct group *g) {
    nth(&g->s[0], SCHED_REDUCE, 0)->src = nth(&g->s[0], SCHED_REDUCE, 0)->slot;
}
static void many_slots(struct group *g) {
    nth(&g->s[0], SCHED_REDUCE, 0)->count = 2;
}
static void no_such_op(struct group *g) {
    g->s[0].steps[0].op = (enum sched_op)6;
}
static void other_parts(struct group *g) {
    g->s[2].n_parts = 6;
}
static void other_rounds(struct group *g) {
    g->s[2].n_rounds++;
}
static void other_rank(struct group *g) {
    g->s[2].rank = 1;
}
static void other_inputs(struct group *g) {
    g->s[2].n_in = 2;
}
static void result_beyond(struct group *g) {
    g->s[2].result_slot = -1;
}

static const struct {
    const char *algo, *text;
    void (*breaks)(struct group *g);
    int lossy;
    enum coll_kind kind;
} faults[] = {
    {"twoshot", "waits forever for rank", receive_first, 0, COLL_ALLREDUCE},
    {"twoshot", "never receives this message", wait_for_send, 0, COLL_ALLREDUCE},
    {"twoshot", "peer 1 of 3 ranks", peer_self, 0, COLL_ALLREDUCE},
    {"twoshot", "peer 3 of 3 ranks", peer_far, 0, COLL_ALLREDUCE},
    {"oneshot", "waits forever for rank", peer_other, 0, COLL_ALLREDUCE},
    {"oneshot", "shorter", shorter, 0, COLL_ALLREDUCE},
    {"oneshot", "longer", longer, 0, COLL_ALLREDUCE},
    {"twoshot", "but rank 0 sends part", other_part, 0, COLL_ALLREDUCE},
    {"twoshot", "never receives this message", left_over, 0, COLL_ALLREDUCE},
    {"oneshot", "rank 1 never receives this message", never_sent, 0, COLL_ALLREDUCE},
    {"twoshot", "which has been sent", frozen, 0, COLL_ALLREDUCE},
    {"twoshot", "which has been sent", frozen_later, 0, COLL_ALLREDUCE},
    {"twoshot", "which holds nothing", unset, 0, COLL_ALLREDUCE},
    {"twoshot", "which holds nothing", unset_copy, 0, COLL_ALLREDUCE},
    {"twoshot", "counts more than once", twice, 0, COLL_ALLREDUCE},
    {"oneshot", "counts more than once", twice, 0, COLL_ALLREDUCE},
    {"oneshot", "is missing", missing, 0, COLL_ALLREDUCE},
    {"twoshot", "is missing", missing, 0, COLL_REDUCE_SCATTER},
    {"oneshot", "in different orders", other_order, 0, COLL_ALLREDUCE},
    {"oneshot", "result of rank 1 part 0 holds nothing", no_result, 0, COLL_ALLREDUCE},
    {"twoshot", "result of rank 2 part 0 holds nothing", part_lost, 0, COLL_ALLGATHER},
    {"twoshot", "rounded 3 times", rounded_thrice, 1, COLL_ALLREDUCE},
    {"oneshot", "which has no code", uncoded, 1, COLL_ALLREDUCE},
    {"twoshot", "which has no code", uncoded, 1, COLL_ALLGATHER},
    {"twoshot", "which has a code", coded_again, 1, COLL_ALLREDUCE},
    {"twoshot", "lossless", lossless_round, 0, COLL_ALLREDUCE},
    {"twoshot", "lossy 0; rank 0 has", one_lossy, 1, COLL_ALLREDUCE},
    {"twoshot", "rounds go back", rounds_back, 0, COLL_ALLREDUCE},
    {"twoshot", "or are more than 2", rounds_more, 0, COLL_ALLREDUCE},
    {"twoshot", "continues this message", more_of_nothing, 0, COLL_ALLREDUCE},
    {"twoshot", "is no part of this message", more_of_another, 0, COLL_ALLREDUCE},
    {"twoshot", "slots 3+1 of 3", slots_beyond, 0, COLL_ALLREDUCE},
    {"twoshot", "parts 0+4 of 3", parts_beyond, 0, COLL_ALLREDUCE},
    {"twoshot", "parts 0+0 of 3", no_parts, 0, COLL_ALLREDUCE},
    {"oneshot", "from slot 1 of 3", onto_itself, 0, COLL_ALLREDUCE},
    {"oneshot", "only messages may have several", many_slots, 0, COLL_ALLREDUCE},
    {"twoshot", "operation 6 does not exist", no_such_op, 0, COLL_ALLREDUCE},
    {"twoshot", "rank 2 has 6 parts", other_parts, 0, COLL_ALLREDUCE},
    {"twoshot", "rank 2 has 3 parts, 3 rounds", other_rounds, 0, COLL_ALLREDUCE},
    {"twoshot", "rank 2 calls itself 1 of 3", other_rank, 0, COLL_ALLREDUCE},
    {"twoshot", "rank 2 calls itself 2 of 3, 2 inputs", other_inputs, 0, COLL_ALLREDUCE},
    {"twoshot", "result in -1", result_beyond, 0, COLL_ALLREDUCE},
};

static int group_check(const struct group *g, struct diag *d) {
    enum coll_label label;
    *d = (struct diag){0};
    return sched_check(g->s, g->kind, &g->c.shape, &label, d);
}

static void test_faults(void) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        static struct group g;
        struct coll_choice choice = {.algo = coll_algo_find(faults[i].algo)};
        struct diag d;
        g.kind = faults[i].kind;
        shape_make(&g.c, 3, 3, 0, 0);
        if (build_all(g.s, &choice, g.kind, &g.c.shape, faults[i].lossy) != 0) return;
        CHECK(group_check(&g, &d) == 0, "%s before the fault: %s", faults[i].algo, d.text);
        faults[i].breaks(&g);
        CHECK(group_check(&g, &d) == ERR_INTERNAL, "fault %zu (%s) accepted", i, faults[i].text);
        CHECK(strstr(d.text, faults[i].text), "fault %zu (%s): %s", i, faults[i].text, d.text);
        free_all(g.s, 3);
    }
}

/* Exchanging whole vectors along swing's partners: each input counts once everywhere, but in different orders. */
static void test_overlapping_sums(void) {
    static const int partner[3][8] = {{1, 0, 3, 2, 5, 4, 7, 6}, {7, 2, 1, 4, 3, 6, 5, 0}, {3, 6, 5, 0, 7, 2, 1, 4}};
    struct sched s[8];
    struct sched_step steps[8][9];
    struct shape_case c;
    struct diag d = {0};
    enum coll_label label;
    for (int r = 0; r < 8; r++) {
        for (int i = 0; i < 3; i++) {
            struct sched_step t = {
                .op = SCHED_SEND, .round = i, .peer = partner[i][r], .slot = i, .count = 1, .parts = 1};
            steps[r][3 * i] = t;
            t.op = SCHED_RECV;
            t.slot = i + 1;
            steps[r][3 * i + 1] = t;
            t.op = SCHED_REDUCE;
            t.src = i;
            steps[r][3 * i + 2] = t;
        }
        s[r] = (struct sched){r, 8, 1, 1, 4, 3, 3, 0, 9, steps[r]};
    }
    shape_make(&c, 8, 8, 0, 0);
    CHECK(sched_check(s, COLL_ALLREDUCE, &c.shape, &label, &d) == ERR_INTERNAL, "overlapping sums accepted");
    CHECK(strstr(d.text, "in different orders"), "%s", d.text);
}

/* ---- mutants ---- */

static void copy_group(struct group *to, const struct group *from) {
    *to = *from;
    to->c.shape.begin = to->c.begin;
    to->c.shape.domain = to->c.domain;
    for (int r = 0; r < from->c.shape.size; r++) {
        size_t bytes = (size_t)from->s[r].n_steps * sizeof *from->s[r].steps;
        to->s[r].steps = malloc(bytes + sizeof *from->s[r].steps);
        if (bytes) memcpy(to->s[r].steps, from->s[r].steps, bytes);
    }
}

enum { MUTATIONS = 18 };

/* Changes step i of rank r; returns whether that can never be right. `full`: each rank owns leaves, so that each
 * reduction counts. */
static int mutate(struct sched *s, int i, int kind, int full) {
    struct sched_step *t = &s->steps[i], old = *t;
    int message = t->op == SCHED_SEND || t->op == SCHED_RECV, reduce = t->op == SCHED_REDUCE && full;
    switch (kind) {
    case 0: drop(s, t); return message || reduce;
    case 1: double_step(s, t); return message || reduce || old.op == SCHED_ROUND;
    case 2: t->slot++; return 0;
    case 3: t->slot--; return 0;
    case 4: t->src++; return 0;
    case 5: t->src--; return 0;
    case 6: t->slot = old.src, t->src = old.slot; return 0;
    case 7: t->count++; return 1;
    case 8: t->count--; return 1;
    case 9: t->peer = (t->peer + 1) % s->size; return message;
    case 10: t->op = t->op == SCHED_REDUCE ? SCHED_COPY : SCHED_REDUCE; return reduce;
    case 11: t->op = t->op == SCHED_SEND ? SCHED_RECV : SCHED_SEND; return message;
    case 12: t->part++; return message;
    case 13: t->parts--; return message || reduce;
    case 14: t->more = !t->more; return !message;
    case 15: t->round--; return i > 0 && t->round < s->steps[i - 1].round;
    case 16: t->round++; return i + 1 < s->n_steps && t->round > s->steps[i + 1].round;
    default: s->result_slot += i % 2 ? 1 : -1; return 0;
    }
}

static void check_mutant(struct group *g, const char *name, int kind, int must_fail, uint64_t key, long *accepted) {
    struct diag d;
    int code = group_check(g, &d), size = g->c.shape.size;
    *accepted += code == 0;
    CHECK(code == 0 || (code == ERR_INTERNAL && d.text[0]), "%s: code %d without text", name, code);
    CHECK(code != 0 || !must_fail, "%s %s, %d ranks: mutation %d accepted", name, coll_kind_name(g->kind), size, kind);
    for (uint64_t i = 0; i < 3 && code == 0; i++)
        CHECK(interpret(g->s, g->kind, size, key + i), "%s %s, %d ranks, mutation %d: accepted, but wrong", name,
              coll_kind_name(g->kind), size, kind);
    free_all(g->s, size);
}

static int is_full(const struct coll_shape *shape) {
    for (int r = 0; r < shape->size; r++)
        if (shape->begin[r] == shape->begin[r + 1]) return 0;
    return 1;
}

/* Each mutation of some step of each rank. Of two levels, what others than first ranks reduce may be thrown away. */
static void mutate_all(const struct group *g, const char *name, int every_counts, long *accepted) {
    static struct group m;
    uint64_t key = (uint64_t)g->c.shape.size * 7919, draws = 0;
    int full = every_counts && is_full(&g->c.shape);
    for (int r = 0; r < g->c.shape.size; r++)
        for (int kind = 0; kind < MUTATIONS && g->s[r].n_steps > 0; kind++) {
            copy_group(&m, g);
            int i = random_below(key, &draws, g->s[r].n_steps);
            int must_fail = mutate(&m.s[r], i, kind, full);
            check_mutant(&m, name, kind, must_fail, key + draws, accepted);
        }
}

/* A random field of a random step, or two of them. */
static void mutate_randomly(const struct group *g, const char *name, uint64_t key, long *accepted) {
    static struct group m;
    uint64_t n = 0;
    int size = g->c.shape.size, r = random_below(key, &n, size);
    if (g->s[r].n_steps == 0) return;
    copy_group(&m, g);
    struct sched *s = &m.s[r];
    for (int k = random_below(key, &n, 2); k < 2; k++) {
        struct sched_step *t = &s->steps[random_below(key, &n, s->n_steps)];
        switch (random_below(key, &n, 9)) {
        case 0: t->slot = random_below(key, &n, s->n_slots); break;
        case 1: t->src = random_below(key, &n, s->n_slots); break;
        case 2: t->peer = random_below(key, &n, size); break;
        case 3: t->op = (enum sched_op)random_below(key, &n, 6); break;
        case 4: t->round = random_below(key, &n, s->n_rounds); break;
        case 5: t->part = random_below(key, &n, s->n_parts); break;
        case 6: t->parts = 1 + random_below(key, &n, s->n_parts); break;
        case 7: swap_steps(t, &s->steps[random_below(key, &n, s->n_steps)]); break;
        default: s->steps[random_below(key, &n, s->n_steps)] = *t; break;
        }
    }
    check_mutant(&m, name, -1, 0, key, accepted);
}

/* Returns 0 if the choice has no schedule of this kind. */
static int make_group(struct group *g, const struct coll_choice *choice, enum coll_kind kind, int size, int i,
                      int lossy) {
    g->kind = kind;
    if (!choice->algo->build[kind]) return 0;
    int own = i % 3 == 0 ? 0 : i % OWNERSHIPS, leaves = i % 3 == 0 ? size : leaf_counts[(3 * i + size) % N_LEAF_COUNTS];
    shape_make(&g->c, size, leaves, own, i % LAYOUTS);
    return build_all(g->s, choice, kind, &g->c.shape, lossy) == 0;
}

static void test_group(const struct coll_choice *choice, enum coll_kind kind, int size, int i, int lossy,
                       long *accepted) {
    static struct group g;
    struct diag d;
    char name[64];
    coll_choice_name(choice, name, sizeof name);
    if (!make_group(&g, choice, kind, size, i, lossy)) return;
    CHECK(group_check(&g, &d) == 0, "%s: %s", name, d.text);
    for (uint64_t k = 0; k < 4; k++)
        CHECK(interpret(g.s, kind, size, k), "%s %s, %d ranks: the interpreter disagrees", name, coll_kind_name(kind),
              size);
    if (g.s[0].n_rounds > 0) {
        mutate_all(&g, name, choice->algo->levels == 1, accepted);
        for (uint64_t k = 0; k < 100; k++)
            mutate_randomly(&g, name, k * 7919 + (uint64_t)(size * 64 + i), accepted);
    }
    free_all(g.s, size);
}

static void test_mutants(void) {
    struct coll_choice plain[MAX_CHOICES], pairs[MAX_CHOICES];
    int n = plain_choices(plain), n_pairs = paired_choices(pairs);
    long accepted = 0;
    for (int size = 2; size <= 9; size++)
        for (int i = 0; i < 6; i++) {
            for (int k = 0; k < n; k++)
                for (int kind = 0; kind < COLL_KINDS; kind++)
                    for (int lossy = 0; lossy <= plain[k].algo->two_step; lossy++)
                        test_group(&plain[k], kind, size, i, lossy, &accepted);
            test_group(&pairs[(7 * i + 5 * size) % n_pairs], COLL_ALLREDUCE, size, i, 0, &accepted);
        }
    CHECK(accepted > 500, "only %ld mutants were harmless: the soundness test is idle", accepted);
}

int main(void) {
    test_faults();
    test_overlapping_sums();
    test_mutants();
    return check_report("check");
}
