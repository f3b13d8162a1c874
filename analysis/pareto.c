#include "analysis/pareto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct key {
    double cost, loss;
    int at;
};

static int by_cost(const void *a, const void *b) {
    const struct key *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Points by growing cost, then loss: `high` in place of the loss where upper ends are asked for. NULL: no memory. */
static struct key *sorted(const struct pareto_point *p, int n, int high, int *kept) {
    struct key *k = malloc((size_t)(n + 1) * sizeof *k);
    *kept = 0;
    for (int i = 0; k && i < n; i++) {
        double loss = high && !isnan(p[i].high) ? p[i].high : p[i].loss;
        if (!isnan(p[i].cost) && !isnan(p[i].loss)) k[(*kept)++] = (struct key){p[i].cost, loss, i};
    }
    if (k) qsort(k, (size_t)*kept, sizeof *k, by_cost);
    return k;
}

int pareto_front(const struct pareto_point *p, int n, int *front) {
    int kept, found = 0;
    double least = INFINITY;
    struct key *k = sorted(p, n, 0, &kept);
    if (!k) return -1;
    for (int i = 0; i < kept; i++)
        if (k[i].loss < least) least = k[i].loss, front[found++] = k[i].at;
    free(k);
    return found;
}

int pareto_undecided(const struct pareto_point *p, int n, const int *front, int n_front) {
    int kept, undecided = 0, at = 0;
    double least = INFINITY; /* upper end of what costs no more */
    struct key *k = sorted(p, n, 1, &kept);
    char *in_front = calloc((size_t)n + 1, 1);
    for (int i = 0; in_front && i < n_front; i++)
        in_front[front[i]] = 1;
    for (int i = 0; k && in_front && i < kept; i++) {
        const struct pareto_point *q = &p[k[i].at];
        for (; at < kept && k[at].cost <= k[i].cost; at++)
            least = fmin(least, k[at].loss);
        undecided += !in_front[k[i].at] && (isnan(q->low) ? q->loss : q->low) <= least;
    }
    if (!k || !in_front) undecided = -1;
    free(k);
    free(in_front);
    return undecided;
}
