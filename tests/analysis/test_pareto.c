/* Fronts: of random points with ties and gaps as the definition gives them, pair by pair. */
#include "analysis/pareto.h"

#include <math.h>

#include "base/hash.h"
#include "check.h"

enum { MOST = 60 };

static int usable(const struct pareto_point *p) {
    return !isnan(p->cost) && !isnan(p->loss);
}

static int beats(const struct pareto_point *a, const struct pareto_point *b) {
    return a->cost <= b->cost && a->loss <= b->loss && (a->cost < b->cost || a->loss < b->loss);
}

/* On the front: nobody beats it, and no equal one comes before. */
static int belongs(const struct pareto_point *p, int n, int i) {
    if (!usable(&p[i])) return 0;
    for (int j = 0; j < n; j++) {
        if (!usable(&p[j])) continue;
        if (beats(&p[j], &p[i])) return 0;
        if (j < i && p[j].cost == p[i].cost && p[j].loss == p[i].loss) return 0;
    }
    return 1;
}

static int may_belong(const struct pareto_point *p, int n, int i) {
    if (!usable(&p[i])) return 0;
    for (int j = 0; j < n; j++)
        if (usable(&p[j]) && p[j].cost <= p[i].cost &&
            (isnan(p[j].high) ? p[j].loss : p[j].high) < (isnan(p[i].low) ? p[i].loss : p[i].low))
            return 0;
    return 1;
}

/* Few different values, so that many are equal. */
static int draw(struct pareto_point *p, uint64_t key) {
    int n = (int)(rng_u64(key, 0) % (MOST + 1)), values = 2 + (int)(rng_u64(key, 1) % 30);
    for (int i = 0; i < n; i++) {
        uint64_t at = 2 + 4 * (uint64_t)i;
        double half = (double)(rng_u64(key, at + 2) % 3);
        p[i].cost = (double)(rng_u64(key, at) % (uint64_t)values);
        p[i].loss = (double)(rng_u64(key, at + 1) % (uint64_t)values);
        p[i].low = p[i].loss - half, p[i].high = p[i].loss + half;
        if (rng_u64(key, at + 3) % 16 == 0) p[i].low = p[i].high = NAN;
        if (rng_u64(key, at + 3) % 16 == 1) p[i].loss = NAN;
        if (rng_u64(key, at + 3) % 16 == 2) p[i].cost = NAN;
    }
    return n;
}

static void check_draw(uint64_t key) {
    struct pareto_point p[MOST] = {{0}};
    int front[MOST], in[MOST] = {0}, n = draw(p, key), found = pareto_front(p, n, front), undecided = 0;
    for (int i = 0; i < found; i++) {
        in[front[i]] = 1;
        CHECK(!i || (p[front[i]].cost > p[front[i - 1]].cost && p[front[i]].loss < p[front[i - 1]].loss),
              "draw %llu: place %d", (unsigned long long)key, i);
    }
    for (int i = 0; i < n; i++) {
        CHECK(in[i] == belongs(p, n, i), "draw %llu: point %d of %d: %d", (unsigned long long)key, i, n, in[i]);
        undecided += !in[i] && may_belong(p, n, i);
    }
    CHECK(pareto_undecided(p, n, front, found) == undecided, "draw %llu: %d, not %d", (unsigned long long)key,
          pareto_undecided(p, n, front, found), undecided);
}

int main(void) {
    for (uint64_t key = 0; key < 2000; key++)
        check_draw(key);
    return check_report("pareto");
}
