/* Maps of strategies: planted clusters whose winner is known, boundaries that hold on both sides, elasticities that sum
 * as they must. */
#include "../../analysis/reports/maps.h"

#include <math.h>
#include <string.h>

#include "check.h"

volatile int app_stop; /* main.c has it */

static const char *const strategies[] = {"pp4", "tp2xpp2", "tp4"};
enum { PIPELINE, HYBRID, TENSOR, N };

/* As `northwall report` has them. */
static struct app defaults(void) {
    struct app app = {.size = 1, .cores = 1, .net = net_default};
    struct diag d = {0};
    char word[] = "maps", *argv[] = {word, NULL};
    for (int i = 0; cmds[i]; i++)
        if (!strcmp(cmds[i]->name, "report")) CHECK(opts_parse(&app.spec, cmds[i], 1, argv, &d) == 0, "%s", d.text);
    return app;
}

static int open_set(struct maps_set *set, const struct cluster *c, int users, int exact, const struct app *app,
                    struct diag *d) {
    struct study_case on = {.cluster = c, .model = "tinyllama-1.1b", .users = users, .prompt = 16, .generate = 8};
    return maps_open(set, &on, strategies, N, exact, app, d);
}

/* The winner with messages of this latency over links of this bandwidth (factor). */
static int winner(struct maps_set *set, const struct cluster *c, double latency_us, double link, enum maps_want want) {
    struct cluster changed = *c;
    struct maps_look l;
    struct diag d = {0};
    for (int i = 0; i < changed.net.n_tiers; i++)
        changed.net.tier[i].link.L_ps = (uint64_t)(1e6 * latency_us);
    parameter_find("link-bandwidth")->set(&changed, link);
    int rc = maps_look(&l, set, &changed, MAPS_SIMULATES, &d);
    CHECK(rc == 0, "%s", d.text);
    CHECK(l.error < MAPS_NEAR, "an estimate is %g off", l.error);
    return rc ? -1 : maps_winner(&l, want, 0, N);
}

static void check_winners(struct maps_set *set, const struct cluster *c, int users) {
    CHECK(winner(set, c, 0, 1e3, MAPS_TIME) == TENSOR, "%d users, links that take no time", users);
    CHECK(winner(set, c, 0, 1e3, MAPS_ENERGY) == TENSOR, "%d users, links that take no time: energy", users);
    CHECK(winner(set, c, 1, 1e-4, MAPS_TIME) == PIPELINE, "%d users, links near zero", users);
    CHECK(winner(set, c, 1e4, 1, MAPS_TIME) == PIPELINE, "%d users, latency of 10 ms", users);
}

/* Where the ratio is 1 by estimate, simulations differ in sign on both sides. */
static void check_root(struct maps_set *set, const struct cluster *described, struct diag *d) {
    const struct parameter *p = parameter_find("link-bandwidth");
    struct cluster changed = *described, *c = &changed;
    struct maps_split split = {set, MAPS_TIME, TENSOR, N, MAPS_TIMES};
    struct reached r = {0};
    struct net_link *l = &c->net.tier[0].link;
    l->L_ps = l->o_send_ps = l->o_recv_ps = 0; /* else these alone may decide */
    int rc = parameter_reach(&r, p, c, 1, 1e-4, maps_ratio, &split, d);
    CHECK(rc == 0 && r.found, "no boundary: %s", d->text);
    split.how = MAPS_SIMULATES;
    for (int side = 0; side < 2 && !rc && r.found; side++) {
        struct cluster there = *c;
        double ratio = 0;
        p->set(&there, r.x * (side ? 1.1 : 1 / 1.1));
        rc = maps_ratio(&split, &there, &ratio, d);
        CHECK(rc == 0 && (ratio < 1) == side, "links x %g %s the boundary: %g", r.x, side ? "above" : "below", ratio);
    }
    CHECK(maps_ratio(&(struct maps_split){set, MAPS_TIME, N, N, MAPS_TIMES}, c, &(double){0}, d) == ERR_RANGE,
          "a side without plans");
}

/* Estimates of time alone are those with shares and energy. */
static void check_same(struct maps_set *set, const struct cluster *c, struct diag *d) {
    struct maps_look times, all, again;
    int rc = maps_look(&times, set, c, MAPS_TIMES, d);
    if (!rc) rc = maps_look(&all, set, c, MAPS_ESTIMATES, d);
    if (!rc) rc = maps_look(&again, set, c, MAPS_ESTIMATES, d);
    CHECK(rc == 0, "%s", d->text);
    for (int f = 0; f < N && !rc; f++) {
        const struct maps_pick *a = &times.pick[MAPS_TIME][f], *b = &all.pick[MAPS_TIME][f];
        double sum = 0;
        for (int i = 0; i < NET_SHARES; i++)
            sum += b->is.share[i];
        CHECK(a->plan == b->plan && fabs(a->is.want[MAPS_TIME] / b->is.want[MAPS_TIME] - 1) < 1e-12, "%s: %g and %g",
              strategies[f], a->is.want[MAPS_TIME], b->is.want[MAPS_TIME]);
        CHECK(fabs(sum - 1) < 1e-9, "%s: shares sum to %g", strategies[f], sum);
        CHECK(times.pick[MAPS_ENERGY][f].plan < 0 && all.pick[MAPS_ENERGY][f].plan >= 0, "%s: energy", strategies[f]);
    }
    CHECK(rc || !memcmp(&all, &again, sizeof all), "two looks differ");
}

/* Shares are elasticities: they sum to 1 with the overheads. Time is convex in what its parts take, so 1.5 times as
 * much of a number never leaves less than shares say; and of memory and links, here, not much more. */
static void check_elasticity(const struct case_plan *p, const struct cluster *c, const char *strategy) {
    struct maps_elasticity e[MAPS_NUMBERS];
    struct virtual_summary v;
    struct diag d = {0};
    double sum = 0;
    int rc = maps_elasticity(e, &v, p, c, &d);
    CHECK(rc == 0, "%s", d.text);
    for (int i = 0; i < MAPS_NUMBERS && !rc; i++) {
        sum += fabs(e[i].exact[MAPS_TIME]);
        for (int w = 0; w < MAPS_WANTS; w++)
            CHECK(e[i].simulated[w] > e[i].secant[w] - 1e-5 &&
                      e[i].simulated[w] < e[i].secant[w] + (i < 3 ? 0.02 : 0.1),
                  "%s: number %d of %s: %g simulated, %g by shares", strategy, i, maps_want_name[w], e[i].simulated[w],
                  e[i].secant[w]);
        CHECK(fabs(e[i].exact[MAPS_ENERGY]) <= fabs(e[i].exact[MAPS_TIME]) + 1e-9 || c->card.idle_W != c->card.active_W,
              "%s: number %d does more to energy, %g, than to time, %g", strategy, i, e[i].exact[MAPS_ENERGY],
              e[i].exact[MAPS_TIME]);
    }
    sum += (double)v.critical.share[NET_OVERHEAD] / (double)v.critical.ps;
    CHECK(rc || fabs(sum - 1) < 1e-9, "%s: elasticities sum to %g", strategy, sum);
}

static void check_cluster(const char *name, const struct app *app) {
    struct cluster c;
    struct maps_set set;
    struct diag d = {0};
    int rc = case_cluster(&c, name, &d);
    for (int users = 1; users <= 4 && !rc; users += 3) {
        rc = open_set(&set, &c, users, 1, app, &d);
        CHECK(rc == 0 && set.n_families == N, "%s", d.text);
        if (rc) break;
        check_winners(&set, &c, users);
        if (users == 1) check_root(&set, &c, &d);
        check_same(&set, &c, &d);
        for (int i = 0; i < set.n; i++) {
            CHECK(set.plan[i].label == COLL_BIT_EXACT, "%s: its sums keep no bits", set.plan[i].algo);
            if (i % 3 == 0) check_elasticity(set.plan[i].at, &c, strategies[set.plan[i].family]);
        }
        maps_close(&set);
    }
    CHECK(rc == 0, "%s: %s", name, d.text);
}

/* Sums of another order are known as such, and never a family's pick. */
static void check_labels(const struct app *app) {
    struct cluster c;
    struct maps_set set;
    struct maps_look l;
    struct diag d = {0};
    int other = 0, rc = case_cluster(&c, "h100-sxm-8", &d);
    if (!rc) rc = open_set(&set, &c, 1, 0, app, &d);
    CHECK(rc == 0, "%s", d.text);
    if (rc) return;
    for (int i = 0; i < set.n; i++)
        other += set.plan[i].label != COLL_BIT_EXACT;
    rc = maps_look(&l, &set, &c, MAPS_ESTIMATES, &d);
    CHECK(rc == 0 && other > 0 && other < set.n, "%d of %d plans keep no bits", other, set.n);
    for (int f = 0; f < N && !rc; f++)
        CHECK(set.plan[l.pick[MAPS_TIME][f].plan].label == COLL_BIT_EXACT, "%s", strategies[f]);
    CHECK(rc || set.plan[l.other[MAPS_TIME][TENSOR].plan].label != COLL_BIT_EXACT, "the other one keeps its bits");
    maps_close(&set);
}

/* What has no room on its cards is left out, and what is left can be looked at. */
static void check_room(const struct app *app) {
    struct cluster c;
    struct maps_set set;
    struct maps_look l;
    struct diag d = {0};
    int some = 0, none = 0, rc = case_cluster(&c, "h100-sxm-8", &d);
    for (uint64_t MB = 1; MB < 400 && !rc; MB += MB < 100 ? 99 : 10) {
        c.card.level[0].bytes = MB * 1000000;
        rc = open_set(&set, &c, 1, 1, app, &d);
        if (!rc) rc = maps_look(&l, &set, &c, MAPS_SIMULATES, &d);
        for (int f = 0; f < N && !rc; f++)
            *(l.pick[MAPS_TIME][f].plan < 0 ? &none : &some) += 1;
        if (MB == 1) CHECK(set.n == 0, "%d plans with 1 MB", set.n);
        maps_close(&set);
    }
    CHECK(rc == 0 && some && none, "%d strategies have room, %d have none: %s", some, none, d.text);
}

int main(void) {
    struct app app = defaults();
    check_cluster("h100-sxm-8", &app);
    check_cluster("boards-1gbe", &app);
    check_labels(&app);
    check_room(&app);
    return check_report("test_maps");
}
