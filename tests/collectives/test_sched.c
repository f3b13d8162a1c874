/* Schedules of all algorithms, proven for 1 to 64 virtual ranks. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "shapes.h"

static const int leaf_counts[] = {1, 2, 3, 5, 7, 8, 9, 14, 16, 32, 40, 64};
enum { N_LEAF_COUNTS = sizeof leaf_counts / sizeof leaf_counts[0] };

static int build_all(struct sched *s, const struct coll_choice *choice, enum coll_kind kind,
                     const struct coll_shape *shape) {
    struct diag d = {0};
    int code = 0;
    for (int r = 0; r < shape->size; r++) {
        int c = sched_build(&s[r], choice, kind, shape, r, &d);
        CHECK(c == 0, "%s rank %d of %d: %s", choice->algo->name, r, shape->size, d.text);
        code = code ? code : c;
    }
    return code;
}

static void free_all(struct sched *s, int size) {
    for (int r = 0; r < size; r++)
        sched_fini(&s[r]);
}

static void prove(const struct coll_choice *choice, enum coll_kind kind, int size, int n_leaves, int own) {
    struct sched s[MAX_RANKS];
    struct diag d = {0};
    enum coll_label label;
    int begin[MAX_RANKS + 1];
    struct coll_shape shape = {size, n_leaves, begin, NULL};
    own_leaves(begin, size, n_leaves, own, (uint64_t)(size * 1000 + n_leaves * 10 + own));
    if (build_all(s, choice, kind, &shape) == 0) {
        int code = sched_check(s, kind, &shape, &label, &d);
        CHECK(code == 0, "%s, %d ranks, %d leaves, ownership %d: %s", choice->algo->name, size, n_leaves, own, d.text);
        CHECK(code != 0 || label <= choice->algo->label, "%s: %s", choice->algo->name, coll_label_name(label));
    }
    free_all(s, size);
}

int main(void) {
    for (const struct coll_algo *const *algo = coll_algos; *algo; algo++)
        for (int kind = 0; kind < COLL_KINDS; kind++)
            for (int size = 1; size <= MAX_RANKS && (*algo)->build[kind]; size++)
                for (int i = 0; i < N_LEAF_COUNTS; i++)
                    for (int own = 0; own < OWNERSHIPS; own++)
                        prove(&(struct coll_choice){.algo = *algo}, kind, size, leaf_counts[i], own);
    return check_report("sched");
}
