/* Break-even batches: how many users make a token take the same energy on two machines, or under two strategies. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/crossover.h"
#include "northpole.h"
#include "scaling.h"

enum { MOST_USERS = 256 };

/* One of two that are compared. */
struct side {
    char text[96];
    study_make *make;
    const void *user;
    int most, looked; /* users that fit, of those that were looked at */
    double J[MOST_USERS + 1]; /* a token; 0: not known yet */
};

struct pair {
    const struct study *st;
    struct side *a, *b;
};

static int energy(const struct study *st, struct side *s, int users, double *out) {
    struct study_figures f;
    struct study_case c = s->make(s->user, users);
    int rc = s->J[users] > 0 ? 0 : study_figures(&f, &c, st, 0);
    if (!rc && s->J[users] == 0) s->J[users] = f.J;
    *out = s->J[users];
    return rc;
}

static int ratio(void *user, int64_t users, double *out, struct diag *d) {
    const struct pair *p = user;
    double a = 0, b = 0;
    int rc = energy(p->st, p->a, (int)users, &a);
    (void)d;
    if (!rc) rc = energy(p->st, p->b, (int)users, &b);
    *out = rc ? 0 : log(a / b);
    return rc;
}

/* ---- tables ---- */

static void even_columns(struct frame *t) {
    frame_column(t, "A", "", 0);
    frame_column(t, "B", "", 0);
    frame_column(t, "times of", "", 0);
    frame_column(t, "users that fit both", "", 4);
    frame_column(t, "A at 1 user", "mJ/token", 4);
    frame_column(t, "B at 1 user", "mJ/token", 4);
    frame_column(t, "A at most", "mJ/token", 4);
    frame_column(t, "B at most", "mJ/token", 4);
    frame_column(t, "break-even", "users", 4);
    frame_column(t, "between", "", 0);
    frame_column(t, "A takes less", "", 0);
}

static void put_crossing(struct frame *t, const struct integer_roots *r, int i) {
    const struct integer_root *at = &r->at[i];
    if (r->n) {
        frame_number(t, at->x);
        frame_text(t, "%lld and %lld", (long long)at->before, (long long)at->before + 1);
        frame_text(t, at->rises ? "up to %lld users" : "from %lld users on", (long long)at->before + !at->rises);
    } else {
        frame_number(t, NAN);
        frame_text(t, "never within what fits");
        frame_text(t, r->last < 0 ? "always" : "never");
    }
}

/* A row for each crossing, or one that says there is none. */
static int put_pair(const struct study *st, struct frame *t, const char *variant, struct side *a, struct side *b,
                    struct integer_roots *r) {
    struct pair p = {st, a, b};
    int most = a->most < b->most ? a->most : b->most;
    int rc = most ? integer_roots(r, 1, most, ratio, &p, st->d) : 0;
    if (!most) *r = (struct integer_roots){0};
    for (int i = 0; (i < r->n || i == 0) && most && !rc; i++) {
        frame_text(t, "%s", a->text);
        frame_text(t, "%s", b->text);
        frame_text(t, "%s", variant);
        frame_number(t, most);
        frame_number(t, 1e3 * a->J[1]);
        frame_number(t, 1e3 * b->J[1]);
        frame_number(t, 1e3 * a->J[most]);
        frame_number(t, 1e3 * b->J[most]);
        put_crossing(t, r, i);
        frame_end_row(t);
    }
    return rc;
}

static int open_side(struct side **out, const struct study *st, study_make *make, const void *user, int most) {
    struct side *s = *out = calloc(1, sizeof *s);
    if (!s) return diag_set(st->d, ERR_MEMORY, "no memory for the break-even batches");
    s->make = make;
    s->user = user;
    s->looked = most;
    return study_most_users(&s->most, make, user, most, st);
}

/* ---- NorthPole against GPUs ---- */

static struct study_case make_northpole(const void *user, int users) {
    struct study_case c = northpole_case(user);
    c.users = users;
    c.micro = (users + 1) / 2;
    return c;
}

struct gpus {
    const struct cluster *c;
    int cards;
};

static struct study_case make_gpus(const void *user, int users) {
    const struct gpus *g = user;
    return northpole_serving(g->c, g->cards, users);
}

struct dearer {
    const struct study *st;
    struct side *side;
    double J;
};

static int is_dearer(void *user, int64_t users, int *holds, struct diag *d) {
    const struct dearer *x = user;
    double J = 0;
    int rc = energy(x->st, x->side, (int)users, &J);
    (void)d;
    *holds = !rc && J > x->J;
    return rc;
}

/* The fewest users with which GPUs take no more than A with those of the paper. */
static int put_matching(const struct study *st, struct frame *t, const char *variant, struct side *a, struct side *b) {
    struct dearer x = {st, b, 0};
    int64_t dearer = 0;
    int rc = energy(st, a, NORTHPOLE_USERS, &x.J);
    if (!rc) rc = integer_last(&dearer, 1, b->most, is_dearer, &x, st->d);
    if (rc) return rc;
    frame_text(t, "%s", b->text);
    frame_text(t, "%s", variant);
    frame_number(t, 1e3 * x.J);
    if (dearer < b->most)
        frame_text(t, "%lld", (long long)dearer + 1);
    else
        frame_text(t, b->most == b->looked ? "more than %d" : "never: %d fit", b->most);
    frame_number(t, b->most);
    frame_number(t, 1e3 * b->J[b->most]);
    frame_number(t, b->J[b->most] / x.J);
    frame_end_row(t);
    return 0;
}

/* Tensor parallelism against a pipeline. */
struct strategy_pairs {
    int n, most; /* users that fit both */
    struct study_span users; /* of the first crossing, where there is one */
    int up_to, again; /* of these: where tensor parallelism takes less below it; where there are further ones */
    int always, never; /* it takes less at every number of users, at none */
};

struct tables {
    struct strategy_pairs strategies;
    struct frame *even, *matching, *curves, *crossings;
    int pairs, always; /* with GPUs; of these NorthPole always takes less */
    double least, most; /* of all pairs: GPUs over NorthPole, at the most users that fit both */
};

/* All that was looked at up to so many users. */
static void put_side(struct frame *t, const char *variant, const struct side *s, int most) {
    for (int users = 1; users <= most; users++) {
        if (!(s->J[users] > 0)) continue;
        frame_text(t, "%s", s->text);
        frame_text(t, "%s", variant);
        frame_number(t, users);
        frame_number(t, 1e3 * s->J[users]);
        frame_end_row(t);
    }
}

static int put_gpus(const struct study *st, struct tables *t, const char *variant, struct side *np, const char *name,
                    const struct gpus *g) {
    struct side *side;
    struct integer_roots r;
    int rc = open_side(&side, st, make_gpus, g, st->quick ? 64 : MOST_USERS);
    if (!rc) {
        snprintf(side->text, sizeof side->text, "%d x %s", g->cards, name);
        rc = put_pair(st, t->even, variant, np, side, &r);
        int most = np->most < side->most ? np->most : side->most;
        if (!rc && most) {
            t->pairs++;
            t->always += r.n == 0 && r.last < 0;
            t->least = fmin(t->least, side->J[most] / np->J[most]);
            t->most = fmax(t->most, side->J[most] / np->J[most]);
        }
        if (!rc && g->cards == 1) put_side(t->curves, variant, side, most);
        if (!rc && most >= 1 && np->most >= NORTHPOLE_USERS) rc = put_matching(st, t->matching, variant, np, side);
    }
    free(side);
    return rc;
}

/* With the machines as described, or with what is missing fitted. */
static int compare_gpus(struct scaling *s, struct tables *t, const char *variant, const struct cluster *northpole,
                        const struct cluster gpu[NORTHPOLE_GPUS]) {
    static const int cards[] = {1, 2, 4, 8}, which[] = {0, 2, 3};
    static const char *const names[] = {"L4", "L40S", "A100 SXM", "H100 SXM"};
    struct side *np;
    int rc = open_side(&np, &s->st, make_northpole, northpole, 64);
    if (!rc) snprintf(np->text, sizeof np->text, "16 NorthPole");
    t->always = t->pairs = 0;
    t->least = INFINITY;
    t->most = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4 && !rc && (i != 1 || !s->st.quick); k += s->st.quick ? 3 : 1)
            rc = put_gpus(&s->st, t, variant, np, names[which[i]], &(struct gpus){&gpu[which[i]], cards[k]});
    if (!rc) put_side(t->curves, variant, np, np->most);
    if (!rc && t->pairs)
        report_say(
            s->st.page,
            "Energy of a token, 16 NorthPole against 1 to 8 GPUs, %s: on %d of %d, NorthPole takes less at every "
            "number of users that fits both (%d at most); with the most, the GPUs' token takes %.3g to %.3g times as "
            "much (simulated, n = 1; energy modelled, of the cards).",
            variant, t->always, t->pairs, np->most, t->least, t->most);
    free(np);
    return rc;
}

static void matching_columns(struct frame *t) {
    frame_column(t, "GPUs", "", 0);
    frame_column(t, "times of", "", 0);
    frame_column(t, "16 NorthPole, 28 users", "mJ/token", 4);
    frame_column(t, "users with which the GPUs take no more", "", 0);
    frame_column(t, "users that fit", "", 4);
    frame_column(t, "GPUs with these", "mJ/token", 4);
    frame_column(t, "over NorthPole", "x", 3);
}

static int even_gpus(struct scaling *s, struct tables *t) {
    static const char *const files[NORTHPOLE_GPUS] = {"l4", "l40s", "a100-sxm", "h100-sxm"};
    struct northpole *n = calloc(1, sizeof *n);
    struct cluster gpu[NORTHPOLE_GPUS];
    const struct parameter *step = parameter_find("step-overhead");
    struct reached r;
    if (!n) return diag_set(s->st.d, ERR_MEMORY, "no memory for the break-even batches");
    n->app = s->st.app;
    n->d = s->st.d;
    int rc = case_cluster(&n->described, "northpole-16", n->d);
    for (int i = 0; i < NORTHPOLE_GPUS && !rc; i++)
        rc = case_cluster(&gpu[i], files[i], n->d);
    if (!rc) rc = compare_gpus(s, t, "as described", &n->described, gpu);
    if (!rc && !s->st.quick) rc = northpole_reach(n, step, &r);
    if (!rc && !s->st.quick && r.found) {
        step->set(&n->described, r.x);
        rc = northpole_served(n, gpu);
        if (!rc) rc = compare_gpus(s, t, "as measured (overheads fitted)", &n->described, gpu);
    }
    free(n);
    return rc;
}

/* ---- strategies on the same cards ---- */

struct strategies {
    const struct scaling_machine *m;
    const char *model, *kind;
    int cards;
    char text[32];
};

static struct study_case make_strategy(const void *user, int users) {
    const struct strategies *x = user;
    return scaling_case(x->m, x->model, x->text, x->cards, users);
}

static void crossing_columns(struct frame *t) {
    frame_column(t, "A", "", 0);
    frame_column(t, "B", "", 0);
    frame_column(t, "model", "", 0);
    frame_column(t, "simulated", "users", 4);
    frame_column(t, "of the curves", "users", 4);
    frame_column(t, "low", "users", 4);
    frame_column(t, "high", "users", 4);
    frame_column(t, "draws that cross as often", "%", 3);
}

/* A curve through what is known of a side. */
static int fit_side(struct scaling *s, const struct side *side, const char *model, struct fit_data *data,
                    struct fit *best, int *found) {
    char name[128];
    struct scaling_series series = {.name = name, .models = "amdahl,pmnf"};
    int rc = fit_data_init(data, side->most, 1, s->st.d);
    if (rc) return rc;
    data->n = 0;
    for (int users = 1; users <= side->most; users++) {
        if (!(side->J[users] > 0)) continue;
        data->x[data->n] = users;
        data->y[data->n++] = 1e3 * side->J[users];
    }
    snprintf(data->y_column.unit, sizeof data->y_column.unit, "mJ");
    snprintf(data->x_column[0].unit, sizeof data->x_column[0].unit, "users");
    snprintf(name, sizeof name, "%s, %s, energy by users", side->text, model);
    series.data = *data;
    return scaling_fit(s, &series, best, found);
}

/* The same from curves: how far a crossing that is read off fits is to be trusted. */
static int put_crossing_fit(struct scaling *s, struct frame *t, const char *model, struct side *const side[2],
                            const struct integer_roots *r) {
    struct fit_data data[2] = {{0}, {0}};
    struct fit best[2];
    struct crossover x;
    int found[2] = {0, 0}, rc = 0;
    for (int i = 0; i < 2 && !rc; i++)
        rc = fit_side(s, side[i], model, &data[i], &best[i], &found[i]);
    if (!rc && found[0] && found[1]) rc = crossover_find(&x, &best[0], &data[0], &best[1], &data[1], 1, s->st.d);
    if (!rc && found[0] && found[1]) {
        frame_text(t, "%s", side[0]->text);
        frame_text(t, "%s", side[1]->text);
        frame_text(t, "%s", model);
        frame_number(t, r->n ? r->at[0].x : NAN);
        frame_number(t, x.n ? x.at[0].x : NAN);
        frame_number(t, x.n ? x.at[0].in.low : NAN);
        frame_number(t, x.n ? x.at[0].in.high : NAN);
        frame_number(t, 100 * x.agree);
        frame_end_row(t);
    }
    fit_data_free(&data[0]);
    fit_data_free(&data[1]);
    return rc;
}

static void add_pair(struct strategy_pairs *p, const struct integer_roots *r, const struct side *a,
                     const struct side *b) {
    int most = a->most < b->most ? a->most : b->most;
    p->n++;
    p->most = most > p->most ? most : p->most;
    p->up_to += r->n && r->at[0].rises;
    p->again += r->n > 1;
    p->always += !r->n && r->last < 0;
    p->never += !r->n && r->last >= 0;
    if (r->n) study_span_add(&p->users, r->at[0].x);
}

static void say_strategies(const struct scaling *s, const struct strategy_pairs *p) {
    char users[64], cross[256];
    snprintf(cross, sizeof cross, "%d of %d pairs of model and machine", p->users.n, p->n);
    if (p->users.n) {
        size_t n = strlen(cross);
        snprintf(cross + n, sizeof cross - n, ", at %s users%s, below which tensor parallelism takes less on %d",
                 study_span_text(&p->users, 3, users), p->again ? " (the table has further ones)" : "", p->up_to);
    }
    if (p->n)
        report_say(s->st.page,
                   "Energy of a token by users, tensor parallelism against a pipeline of the same cards: they cross on "
                   "%s; tensor parallelism takes less at every number of users that fits, %d at most, on %d, and at "
                   "none on %d (simulated, n = 1; energy modelled, of the cards).",
                   cross, p->most, p->always, p->never);
}

static int compare_strategies(struct scaling *s, struct tables *t, const char *model, int machine, int cards) {
    struct strategies x[2] = {{&s->machine[machine], model, "tp", cards, ""},
                              {&s->machine[machine], model, "pp", cards, ""}};
    struct side *side[2] = {NULL, NULL};
    struct integer_roots r;
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        snprintf(x[i].text, sizeof x[i].text, "%s%d", x[i].kind, cards);
        rc = open_side(&side[i], &s->st, make_strategy, &x[i], s->st.quick ? 64 : 256);
        if (!rc) snprintf(side[i]->text, sizeof side[i]->text, "%s of %s", x[i].text, x[i].m->text);
    }
    if (!rc) rc = put_pair(&s->st, t->even, model, side[0], side[1], &r);
    if (!rc && r.n) rc = put_crossing_fit(s, t->crossings, model, side, &r);
    if (!rc && side[0]->most && side[1]->most) add_pair(&t->strategies, &r, side[0], side[1]);
    free(side[0]);
    free(side[1]);
    return rc;
}

int scaling_even(struct scaling *s) {
    static const struct {
        const char *model;
        int machine, cards;
    } pairs[] = {{"llama3-8b", SCALING_BOARDS, 8}, {"llama3-8b", SCALING_H100, 8},  {"llama3-70b", SCALING_H100, 8},
                 {"llama3-8b", SCALING_L4, 4},     {"llama3-8b", SCALING_H100, 16}, {"llama3-70b", SCALING_L4, 8}};
    struct tables t = {
        .even = report_table(s->st.page, "even", "Break-even: users at which a token takes the same energy on A and B",
                             "Simulated, n = 1; energy modelled, of the cards. Between whole numbers of users by a "
                             "straight line over their logarithm;\nlooked at: every number up to 16, then by quarters. "
                             "NorthPole against GPUs under tensor parallelism: the 3-billion model\nof the HPEC 2024 "
                             "paper, 1,024 + 1,024 tokens. Strategies: Q4_0, 128 + 128 tokens.")};
    t.matching = report_table(s->st.page, "matching",
                              "Users with which GPUs take no more energy a token than 16 NorthPole with the paper's 28",
                              "Simulated, n = 1; energy modelled. The same model and job; at most 256 users (64 with "
                              "--quick) were looked at.");
    t.curves = report_table(s->st.page, "even_curves", "Energy of a token by users",
                            "Of the same: what was looked at, single GPUs beside 16 NorthPole.");
    frame_column(t.curves, "machine", "", 0);
    frame_column(t.curves, "times of", "", 0);
    frame_column(t.curves, "users", "", 4);
    frame_column(t.curves, "energy", "mJ/token", 4);
    t.crossings =
        report_table(s->st.page, "even_fitted", "The same crossings read off fitted curves",
                     "Of the strategies that cross. Curves: the best of amdahl and pmnf through the simulated "
                     "energies; low and high: 95 % by bootstrap\nof pairs (seed 1), misfit and not noise.");
    crossing_columns(t.crossings);
    even_columns(t.even);
    matching_columns(t.matching);
    int rc = even_gpus(s, &t);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !rc; i++)
        if (!s->st.quick || i < 2) rc = compare_strategies(s, &t, pairs[i].model, pairs[i].machine, pairs[i].cards);
    if (!rc) say_strategies(s, &t.strategies);
    return rc;
}
