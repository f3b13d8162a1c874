/* Who wins where: a job on every pair of bandwidths, and what binds each strategy there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "maps.h"

static const char *const families[MAPS_FAMILIES] = {"pp8", "tp2xpp4", "tp4xpp2", "tp8", "1", "tp2", "tp4"};
static const char family_letter[MAPS_SAME] = {'P', 'h', 'H', 'T'};
static const int users_of[MAPS_JOBS] = {1, 8};

/* Verdicts nearer than this are told as ties. */
#define TIE 0.01

/* ---- looking ---- */

static struct study_case job(const struct maps *m, int users) {
    return (struct study_case){.cluster = &m->described,
                               .model = "llama3-8b",
                               .quant = "Q4_0",
                               .mode = "a16",
                               .users = users,
                               .prompt = 128,
                               .generate = 128};
}

/* Steps of a factor of two, or of eight; the same range. */
static void set_axes(struct maps_grid *g, int step) {
    g->rows = g->columns = 0;
    for (int e = -6; e <= 3; e += step)
        g->memory[g->rows++] = exp2(e);
    for (int e = -13; e <= 2; e += step)
        g->link[g->columns++] = exp2(e);
}

/* What `auto` makes of the winner's plan on these links. */
static int look_auto(const struct maps *m, struct maps_grid *g, const struct cluster *c, const struct maps_look *l,
                     double *over) {
    int f = maps_winner(l, MAPS_TIME, 0, MAPS_SAME);
    const struct maps_pick *best = &l->pick[MAPS_TIME][f];
    struct study_case on = job(m, g->users);
    struct case_plan *p;
    struct virtual_summary v;
    *over = NAN;
    if (!g->set.plan[best->plan].algo[0]) return 0;
    on.cluster = c;
    on.strategy = families[f];
    on.cards = c->n_cards;
    on.micro = g->set.plan[best->plan].micro;
    int rc = case_open(&p, &on, m->app, m->d);
    if (!rc) rc = case_summarize(&v, p, c, 0, m->d);
    if (!rc) *over = v.latency_ms / best->is.want[MAPS_TIME];
    case_close(p);
    return rc;
}

static void keep(struct maps_set *s, int plan) {
    if (plan >= 0) s->plan[plan].left_out = 0;
}

/* Plans that are the best of their family in no cell are looked at no more. */
static void leave_out(struct maps_grid *g) {
    for (int i = 0; i < g->set.n; i++)
        g->set.plan[i].left_out = 1;
    for (int i = 0; i < g->rows * g->columns; i++)
        for (int w = 0; w < MAPS_WANTS; w++) {
            const struct maps_look *l = &g->look[i / g->columns][i % g->columns];
            for (int f = 0; f < MAPS_FAMILIES; f++) {
                keep(&g->set, l->pick[w][f].plan);
                keep(&g->set, l->other[w][f].plan);
            }
        }
}

static int look_all(struct maps *m, struct maps_grid *g, enum maps_how how) {
    int rc = 0;
    for (int r = 0; r < g->rows; r++)
        for (int k = 0; k < g->columns && !rc; k++) {
            struct cluster c = maps_cluster(m, g->memory[r], g->link[k]);
            rc = maps_look(&g->look[r][k], &g->set, &c, how, m->d);
            if (!rc && how == MAPS_SIMULATES) rc = look_auto(m, g, &c, &g->look[r][k], &g->auto_over[r][k]);
        }
    return rc;
}

/* Every cell compares all strategies. */
static int check_room(const struct maps *m, const struct maps_set *s) {
    for (int f = 0, i; f < MAPS_FAMILIES; f++) {
        for (i = 0; i < s->n && (s->plan[i].family != f || s->plan[i].label != COLL_BIT_EXACT); i++) {
        }
        if (i == s->n)
            return diag_set(m->d, ERR_PLAN, "maps: %s has no plan that fits the cards of %s and can be estimated",
                            families[f], m->described.name);
    }
    return 0;
}

/* All plans are estimated in steps of eight; those that are somewhere the best go on. */
static int look(struct maps *m, struct maps_grid *g) {
    struct study_case on = job(m, g->users);
    int rc = maps_open(&g->set, &on, families, MAPS_FAMILIES, 0, m->app, m->d);
    if (!rc) rc = check_room(m, &g->set);
    set_axes(g, 3);
    if (!rc) rc = look_all(m, g, MAPS_ESTIMATES);
    leave_out(g);
    if (!m->app->spec.quick) set_axes(g, 1);
    return rc ? rc : look_all(m, g, MAPS_SIMULATES);
}

/* ---- as maps ---- */

static const struct maps_value *winner(const struct maps_grid *g, const struct maps_look *l, enum maps_want w,
                                       const struct maps_plan **plan) {
    const struct maps_pick *p = &l->pick[w][maps_winner(l, w, 0, MAPS_SAME)];
    *plan = &g->set.plan[p->plan];
    return &p->is;
}

/* The best of the other families over the winner. */
static double lead(const struct maps_look *l, enum maps_want w, int *second) {
    int f = maps_winner(l, w, 0, MAPS_SAME), before = maps_winner(l, w, 0, f),
        behind = maps_winner(l, w, f + 1, MAPS_SAME);
    *second = before < 0                                                       ? behind
              : behind < 0                                                     ? before
              : l->pick[w][before].is.want[w] <= l->pick[w][behind].is.want[w] ? before
                                                                               : behind;
    return l->pick[w][*second].is.want[w] / l->pick[w][f].is.want[w];
}

/* The best of the plans whose sums are of another order; NULL: there is none. */
static const struct maps_pick *other_sums(const struct maps_look *l, enum maps_want w) {
    int f = maps_best(l->other[w], w, 0, MAPS_SAME);
    return f < 0 ? NULL : &l->other[w][f];
}

static void axes_columns(const struct maps *m, const struct maps_grid *g, struct frame *t) {
    char name[32], unit[32];
    frame_column(t, "memory", "GB/s", 4);
    for (int k = 0; k < g->columns; k++) {
        snprintf(name, sizeof name, "%.3g", m->link_GBps * g->link[k]);
        snprintf(unit, sizeof unit, "x 2^%.0f", log2(g->link[k]));
        frame_column(t, name, unit, 0);
    }
}

static void add_map(struct maps *m, const struct maps_grid *g, enum maps_want w) {
    char name[48], title[160];
    snprintf(name, sizeof name, "map_%s_%d", maps_want_name[w], g->users);
    snprintf(title, sizeof title,
             "Least %s a token, llama3-8b (Q4_0) on 8 cards, %d user%s: rows memory, columns links in GB/s",
             w == MAPS_TIME ? "time" : "energy", g->users, g->users > 1 ? "s" : "");
    struct frame *t = report_table(m->page, name, title,
                                   "Simulated, n = 1. P pp8, h tp2xpp4, H tp4xpp2, T tp8; then the all-reduce (1 "
                                   "oneshot, 2 twoshot, t tree: the table\n"
                                   "of cells has all) or a pipeline's micro-batches; after the dot what binds: m "
                                   "memory, c compute, b link bandwidth,\n"
                                   "l link latency, o overhead. =: another strategy is within 1 %.");
    axes_columns(m, g, t);
    for (int r = g->rows - 1; r >= 0; r--) {
        frame_number(t, m->memory_GBps * g->memory[r]);
        for (int k = 0; k < g->columns; k++) {
            const struct maps_plan *p;
            int second;
            const struct maps_value *v = winner(g, &g->look[r][k], w, &p);
            frame_text(t, "%c%c.%c%s", family_letter[p->family], p->mark, maps_share_letter[maps_binds(v)],
                       lead(&g->look[r][k], w, &second) < 1 + TIE ? "=" : "");
        }
        frame_end_row(t);
    }
}

static void add_regimes(struct maps *m, const struct maps_grid *g) {
    char name[48], title[160];
    snprintf(name, sizeof name, "map_regimes_%d", g->users);
    snprintf(title, sizeof title, "What binds each strategy, %d user%s: rows memory, columns links in GB/s", g->users,
             g->users > 1 ? "s" : "");
    struct frame *t = report_table(m->page, name, title,
                                   "The greatest share of the critical path of its fastest plan, with its percent; "
                                   "simulated, n = 1. Letters as above.");
    frame_column(t, "strategy", "", 0);
    axes_columns(m, g, t);
    for (int i = 0; i < MAPS_SAME * g->rows; i++) {
        int f = i / g->rows, r = g->rows - 1 - i % g->rows;
        frame_text(t, "%s", families[f]);
        frame_number(t, m->memory_GBps * g->memory[r]);
        for (int k = 0; k < g->columns; k++) {
            const struct maps_value *v = &g->look[r][k].pick[MAPS_TIME][f].is;
            frame_text(t, "%c%.0f", maps_share_letter[maps_binds(v)], 100 * v->share[maps_binds(v)]);
        }
        frame_end_row(t);
    }
}

/* ---- as rows ---- */

static void cell_columns(struct frame *t) {
    frame_column(t, "users", "", 3);
    frame_column(t, "least", "", 0);
    frame_column(t, "memory", "x", 5);
    frame_column(t, "memory", "GB/s", 5);
    frame_column(t, "links", "x", 5);
    frame_column(t, "links", "GB/s", 5);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "number", "", 1);
    frame_column(t, "all-reduce", "", 0);
    frame_column(t, "micro-batches", "", 2);
    frame_column(t, "latency", "ms/token", 4);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "binds", "", 0);
    frame_column(t, "share", "%", 3);
    frame_column(t, "second", "", 0);
    frame_column(t, "second / best", "x", 4);
    frame_column(t, "fewer cards", "", 0);
    frame_column(t, "fewer / best", "x", 4);
    frame_column(t, "other sums", "", 0);
    frame_column(t, "other / best", "x", 4);
    frame_column(t, "auto / best", "x", 4);
}

static void add_cell(struct frame *t, const struct maps *m, const struct maps_grid *g, int i, enum maps_want w) {
    int r = i / g->columns, k = i % g->columns, second;
    const struct maps_look *l = &g->look[r][k];
    const struct maps_plan *p;
    const struct maps_value *v = winner(g, l, w, &p);
    const struct maps_pick *other = other_sums(l, w);
    double over = lead(l, w, &second);
    int fewer = maps_winner(l, w, MAPS_ONE, MAPS_FAMILIES);
    frame_number(t, g->users);
    frame_text(t, "%s", maps_want_name[w]);
    frame_number(t, g->memory[r]);
    frame_number(t, m->memory_GBps * g->memory[r]);
    frame_number(t, g->link[k]);
    frame_number(t, m->link_GBps * g->link[k]);
    frame_text(t, "%s", families[p->family]);
    frame_number(t, p->family);
    frame_text(t, "%s", p->algo);
    frame_number(t, p->micro);
    frame_number(t, v->want[MAPS_TIME]);
    frame_number(t, v->want[MAPS_ENERGY]);
    frame_text(t, "%s", study_share_name[maps_binds(v)]);
    frame_number(t, 100 * v->share[maps_binds(v)]);
    frame_text(t, "%s", families[second]);
    frame_number(t, over);
    frame_text(t, "%s", families[fewer]);
    frame_number(t, l->pick[w][fewer].is.want[w] / v->want[w]);
    frame_text(t, "%s", other ? g->set.plan[other->plan].algo : "");
    frame_number(t, other ? other->is.want[w] / v->want[w] : NAN);
    frame_number(t, w == MAPS_TIME ? g->auto_over[r][k] : NAN);
    frame_end_row(t);
}

static void add_binds(struct frame *t, const struct maps *m, const struct maps_grid *g, int i, int f) {
    const struct maps_value *v = &g->look[i / g->columns][i % g->columns].pick[MAPS_TIME][f].is;
    frame_number(t, g->users);
    frame_text(t, "%s", families[f]);
    frame_number(t, m->memory_GBps * g->memory[i / g->columns]);
    frame_number(t, m->link_GBps * g->link[i % g->columns]);
    frame_text(t, "%s", study_share_name[maps_binds(v)]);
    frame_number(t, maps_binds(v));
    for (int k = 0; k < NET_SHARES; k++)
        frame_number(t, 100 * v->share[k]);
    frame_number(t, v->want[MAPS_TIME]);
    frame_end_row(t);
}

static void list_cells(struct maps *m) {
    struct frame *t = report_table(m->page, "cells", "Each cell of the maps",
                                   "Simulated, n = 1; energy is modelled. Fewer cards: 1, tp2 or tp4, the others off. "
                                   "Other sums (estimated): the best "
                                   "all-reduce\nwhose sums are of another order, exact to rounding, under any of the "
                                   "strategies. Auto: the time of the "
                                   "all-reduce that the\nplan chooses by itself over the best.");
    struct frame *b = report_table(m->page, "regimes", "What each strategy's time is made of in each cell",
                                   "Of its fastest plan there; simulated, n = 1.");
    cell_columns(t);
    frame_column(b, "users", "", 3);
    frame_column(b, "strategy", "", 0);
    frame_column(b, "memory", "GB/s", 4);
    frame_column(b, "links", "GB/s", 4);
    frame_column(b, "binds", "", 0);
    frame_column(b, "number", "", 1);
    for (int k = 0; k < NET_SHARES; k++)
        frame_column(b, study_share_name[k], "%", 3);
    frame_column(b, "latency", "ms/token", 4);
    for (int j = 0; j < MAPS_JOBS; j++)
        for (int i = 0; i < m->grid[j].rows * m->grid[j].columns; i++) {
            for (enum maps_want w = 0; w < MAPS_WANTS; w++)
                add_cell(t, m, &m->grid[j], i, w);
            for (int f = 0; f < MAPS_SAME; f++)
                add_binds(b, m, &m->grid[j], i, f);
        }
}

/* ---- in words ---- */

/* What all cells of a map say. */
struct tally {
    int n, wins[MAPS_SAME], ties, fewer, simulated;
    double other; /* the most that sums of another order save, of 1 */
    double auto_over, error; /* most */
};

static struct tally count(const struct maps_grid *g, enum maps_want w) {
    struct tally t = {.n = g->rows * g->columns, .auto_over = 1};
    for (int i = 0; i < t.n; i++) {
        const struct maps_look *l = &g->look[i / g->columns][i % g->columns];
        int second, f = maps_winner(l, w, 0, MAPS_SAME), few = maps_winner(l, w, MAPS_ONE, MAPS_FAMILIES);
        double best = l->pick[w][f].is.want[w], over = g->auto_over[i / g->columns][i % g->columns];
        t.wins[f]++;
        t.ties += lead(l, w, &second) < 1 + TIE;
        t.fewer += l->pick[w][few].is.want[w] < best;
        t.simulated += l->simulated;
        t.error = fmax(t.error, l->error);
        if (other_sums(l, w)) t.other = fmax(t.other, 1 - other_sums(l, w)->is.want[w] / best);
        if (over > t.auto_over) t.auto_over = over;
    }
    return t;
}

/* The cell of the cluster as described, where the grid has it. */
static void say_described(struct maps *m, const struct maps_grid *g) {
    for (int i = 0; i < g->rows * g->columns; i++) {
        const struct maps_look *l = &g->look[i / g->columns][i % g->columns];
        const struct maps_plan *p;
        int second, fewer = maps_winner(l, MAPS_ENERGY, MAPS_ONE, MAPS_FAMILIES);
        if (g->memory[i / g->columns] != 1 || g->link[i % g->columns] != 1) continue;
        const struct maps_value *v = winner(g, l, MAPS_TIME, &p);
        double over = lead(l, MAPS_TIME, &second);
        report_say(m->page,
                   "llama3-8b on %s as described, %d user%s: %s%s%s takes %.3g ms a token, %s %.2f times that; %.0f %% "
                   "of it is %s. It takes "
                   "%.0f mJ, %s %.0f (simulated, n = 1; energy modelled).",
                   m->described.name, g->users, g->users > 1 ? "s" : "", families[p->family],
                   p->algo[0] ? " with " : "", p->algo, v->want[MAPS_TIME], families[second], over,
                   100 * v->share[maps_binds(v)], study_share_name[maps_binds(v)], v->want[MAPS_ENERGY],
                   fewer == MAPS_ONE ? "one card" : families[fewer], l->pick[MAPS_ENERGY][fewer].is.want[MAPS_ENERGY]);
    }
}

static void say_time(struct maps *m, const struct maps_grid *g) {
    struct tally t = count(g, MAPS_TIME);
    report_say(
        m->page,
        "Least time a token of llama3-8b on eight cards, %d user%s: of %d cells of memory x link bandwidth pp8 wins "
        "%d, tp2xpp4 %d, tp4xpp2 %d, tp8 %d (%d within 1 %%); in %d, 1, 2 or 4 of the cards by themselves do "
        "better still (simulated, n = 1).",
        g->users, g->users > 1 ? "s" : "", t.n, t.wins[MAPS_TP1], t.wins[MAPS_TP2], t.wins[MAPS_TP4], t.wins[MAPS_TP8],
        t.ties, t.fewer);
}

static void say_energy(struct maps *m) {
    const struct maps_grid *one = &m->grid[0], *many = &m->grid[1];
    struct tally a = count(one, MAPS_ENERGY), b = count(many, MAPS_ENERGY);
    report_say(
        m->page,
        "Least energy a token of llama3-8b: 1, 2 or 4 cards by themselves take less than the best plan of all eight "
        "in %d of %d cells for %d user%s, and in %d of %d for %d user%s (simulated, n = 1; energy modelled, of "
        "the plan's own cards).",
        a.fewer, a.n, one->users, one->users > 1 ? "s" : "", b.fewer, b.n, many->users, many->users > 1 ? "s" : "");
}

/* "at most 0.5 % of the time", or that it is less than estimates can tell. */
static const char *cost_text(const struct tally *t, char text[48]) {
    if (t->other > t->error) snprintf(text, 48, "at most %.2g %% of the time", 100 * t->other);
    return t->other > t->error ? text : "no time";
}

static void say_sums(struct maps *m) {
    const struct maps_grid *one = &m->grid[0], *many = &m->grid[1];
    struct tally a = count(one, MAPS_TIME), b = count(many, MAPS_TIME);
    char of_one[48], of_many[48];
    report_say(m->page,
               "Sums that keep their bits cost %s for %d user%s and %s for %d user%s in any of %d cells each "
               "(estimated); the all-reduce that a plan chooses by itself takes at most %.1f %% and %.1f %% longer "
               "than the best; estimates are at most %.3f %% and %.3f %% off %d and %d simulations (n = 1).",
               cost_text(&a, of_one), one->users, one->users > 1 ? "s" : "", cost_text(&b, of_many), many->users,
               many->users > 1 ? "s" : "", a.n, 100 * (a.auto_over - 1), 100 * (b.auto_over - 1), 100 * a.error,
               100 * b.error, a.simulated, b.simulated);
}

int maps_grids(struct maps *m) {
    int rc = 0;
    for (int j = 0; j < MAPS_JOBS && !rc; j++) {
        m->grid[j].users = users_of[j];
        rc = look(m, &m->grid[j]);
    }
    for (int w = 0; w < MAPS_WANTS * MAPS_JOBS && !rc; w++)
        add_map(m, &m->grid[w % MAPS_JOBS], (enum maps_want)(w / MAPS_JOBS));
    for (int j = 0; j < MAPS_JOBS && !rc; j++) {
        add_regimes(m, &m->grid[j]);
        say_described(m, &m->grid[j]);
    }
    for (int j = 0; j < MAPS_JOBS && !rc; j++)
        say_time(m, &m->grid[j]);
    if (rc) return rc;
    say_energy(m);
    say_sums(m);
    list_cells(m);
    return 0;
}
