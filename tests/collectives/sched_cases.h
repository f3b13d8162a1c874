/* sched_cases.h - what the tests of schedules share: choices, shapes with domains, whole groups of schedules. */
#ifndef TESTS_COLLECTIVES_SCHED_CASES_H
#define TESTS_COLLECTIVES_SCHED_CASES_H

#include "check.h"
#include "shapes.h"

static const int leaf_counts[] = {1, 2, 3, 5, 7, 8, 9, 14, 16, 32, 40, 64};
enum { N_LEAF_COUNTS = sizeof leaf_counts / sizeof leaf_counts[0], LAYOUTS = 5, MAX_CHOICES = 100 };

/* A shape with the memory it points to. */
struct shape_case {
    struct coll_shape shape;
    int begin[MAX_RANKS + 1], domain[MAX_RANKS];
    int own, layout;
};

/* Domains: all in one, runs of 4, two halves, dealt round, or runs of very different sizes. */
static inline int domain_of(int layout, int size, int rank) {
    int cut = rank * rank / size; /* runs get shorter */
    switch (layout) {
    case 0: return 0;
    case 1: return rank / 4;
    case 2: return 2 * rank / size;
    case 3: return rank % (size < 3 ? size : 3);
    default: return cut / 8 < 4 ? cut / 8 : 4 < size ? 4 : 0;
    }
}

static inline const struct coll_shape *shape_make(struct shape_case *c, int size, int n_leaves, int own, int layout) {
    c->shape = (struct coll_shape){size, n_leaves, c->begin, c->domain};
    c->own = own;
    c->layout = layout;
    own_leaves(c->begin, size, n_leaves, own, (uint64_t)(size * 1000 + n_leaves * 10 + own));
    for (int r = 0; r < size; r++)
        c->domain[r] = domain_of(layout, size, r);
    return &c->shape;
}

static inline int is_plain(const struct coll_algo *a) {
    return a->levels == 1 && !a->library;
}

/* All algorithms with schedules of one level; returns their number. */
static inline int plain_choices(struct coll_choice *out) {
    int n = 0;
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        if (is_plain(*a)) out[n++] = (struct coll_choice){.algo = *a};
    return n;
}

/* All pairs under all algorithms of two levels. */
static inline int paired_choices(struct coll_choice *out) {
    struct coll_choice plain[MAX_CHOICES];
    int n = 0, n_plain = plain_choices(plain);
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        for (int i = 0; i < n_plain * n_plain && (*a)->levels == 2; i++)
            out[n++] = (struct coll_choice){*a, plain[i / n_plain].algo, plain[i % n_plain].algo};
    return n;
}

static inline void free_all(struct sched *s, int size) {
    for (int r = 0; r < size; r++)
        sched_fini(&s[r]);
}

/* The schedules of all ranks. */
static inline int build_all(struct sched *s, const struct coll_choice *choice, enum coll_kind kind,
                            const struct coll_shape *shape, int lossy) {
    struct diag d = {0};
    char name[64];
    int code = 0;
    coll_choice_name(choice, name, sizeof name);
    for (int r = 0; r < shape->size; r++) {
        int c = sched_build(&s[r], choice, kind, shape, r, &d);
        if (c == 0 && lossy) c = sched_make_lossy(&s[r], choice, &d);
        CHECK(c == 0, "%s rank %d of %d: %s", name, r, shape->size, d.text);
        code = code ? code : c;
    }
    return code;
}

#endif
