#include "unequal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double least = 1.05;

struct rank_speed {
    int rank;
    struct stats_median s;
};

/* Of a rank's rates, or of their quotients with another rank's. */
static struct stats_median median_of(const double *rate, int n_samples, int n_ranks, int rank, int beside, double *v) {
    for (int i = 0; i < n_samples; i++) {
        const double *at = rate + (size_t)i * (size_t)n_ranks;
        v[i] = beside < 0 ? at[rank] : at[rank] / at[beside];
    }
    return stats_median(v, n_samples);
}

static int by_speed(const void *a, const void *b) {
    const struct rank_speed *x = a, *y = b;
    return x->s.median != y->s.median ? (x->s.median > y->s.median) - (x->s.median < y->s.median) : x->rank - y->rank;
}

static int by_rank(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

/* Nonzero: no room. */
static int write_cards(char *out, const struct rank_speed *of, int n, int *rank) {
    size_t at = 0;
    for (int i = 0; i < n; i++)
        rank[i] = of[i].rank;
    qsort(rank, (size_t)n, sizeof *rank, by_rank);
    for (int i = 0, end; i < n && at < UNEQUAL_CARDS; i = end) {
        for (end = i + 1; end < n && rank[end] == rank[end - 1] + 1;)
            end++;
        at += (size_t)snprintf(out + at, UNEQUAL_CARDS - at, "%s%d", i ? "," : "", rank[i]);
        if (end > i + 1 && at < UNEQUAL_CARDS)
            at += (size_t)snprintf(out + at, UNEQUAL_CARDS - at, "-%d", rank[end - 1]);
    }
    return at >= UNEQUAL_CARDS;
}

/* Of n ranks that are unlike the slowest, in the order of their speeds. */
static int group(const struct rank_speed *of, int n, struct unequal *out, int *rank, double *speed) {
    int groups = 0;
    for (int i = 0, end; i < n; i = end, groups++) {
        for (end = i + 1; end < n && of[end].s.median <= least * of[i].s.median;)
            end++;
        if (groups == UNEQUAL_MOST || write_cards(out[groups].cards, of + i, end - i, rank)) return 0;
        out[groups].n_ranks = end - i;
        out[groups].speed = of[i + (end - i) / 2].s;
        for (int k = i; k < end; k++)
            speed[of[k].rank] = out[groups].speed.median;
    }
    return groups;
}

static int slowest_of(const double *rate, int n_samples, int n_ranks, double *v) {
    double low = 0;
    int slowest = 0;
    for (int r = 0; r < n_ranks; r++) {
        double median = median_of(rate, n_samples, n_ranks, r, -1, v).median;
        if (r == 0 || median < low) low = median, slowest = r;
    }
    return slowest;
}

int unequal_find(const double *rate, int n_samples, int n_ranks, struct unequal out[UNEQUAL_MOST], double *speed) {
    double *v = malloc((size_t)n_samples * sizeof *v);
    struct rank_speed *unlike = calloc((size_t)n_ranks, sizeof *unlike);
    int *rank = calloc((size_t)n_ranks, sizeof *rank), n = 0, groups = v && unlike && rank ? 0 : -1;
    for (int r = 0; r < n_ranks; r++)
        speed[r] = 1;
    int slowest = groups ? 0 : slowest_of(rate, n_samples, n_ranks, v);
    for (int r = 0; r < n_ranks && !groups; r++) {
        struct stats_median s = median_of(rate, n_samples, n_ranks, r, slowest, v);
        if (s.low <= s.high && s.low > 1 && s.median > least) unlike[n++] = (struct rank_speed){r, s};
    }
    if (!groups) {
        qsort(unlike, (size_t)n, sizeof *unlike, by_speed);
        groups = group(unlike, n, out, rank, speed);
    }
    for (int r = 0; r < n_ranks && groups <= 0; r++)
        speed[r] = 1;
    free(v);
    free(unlike);
    free(rank);
    return groups;
}
