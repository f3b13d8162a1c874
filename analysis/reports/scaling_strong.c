/* Strong scaling: one job on more and more cards, by tensor parallelism, as a pipeline, and by the best of all
 * products of both and replicas. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scaling.h"

enum { MANY_USERS = 64, MOST_CARDS = 64, MOST_POINTS = 16, MOST_TP = 16 };

static const char *const models[] = {"llama3-8b", "llama3-70b"};
static const char *const kinds[] = {"tp", "pp", "best"};
enum { TP, PP, BEST, KINDS, N_MODELS = 2, N_PAIRS = SCALING_MACHINES * N_MODELS };

/* One number of cards. */
struct point {
    int cards;
    char strategy[2][64]; /* for one user, and for many */
    struct study_figures one, many;
};

struct curve {
    const struct scaling_machine *m;
    const char *model;
    int kind, n;
    struct point at[MOST_POINTS];
};

/* ---- the best product ---- */

int scaling_best(const struct scaling *s, const struct study_case *base, char best[64], int *best_micro) {
    uint64_t least = UINT64_MAX;
    int rc = 0;
    best[0] = 0;
    for (int dp = 1; dp <= base->cards && dp <= base->users; dp *= 2)
        for (int tp = 1; tp * dp <= base->cards && tp <= MOST_TP; tp *= 2) {
            int pp = base->cards / dp / tp;
            if (pp > SHAPE_MAX_LAYERS) continue;
            for (int times = 1; times <= (base->users > 1 && pp > 1 ? 2 : 1) && !rc; times++) {
                struct study_case c = *base;
                struct study_figures f;
                char text[64];
                snprintf(text, sizeof text, "dp%dxtp%dxpp%d", dp, tp, pp);
                c.strategy = text;
                c.micro = times * pp * dp <= base->users ? times * pp : (base->users + dp - 1) / dp;
                rc = study_figures(&f, &c, &s->st, 1);
                if (rc || !f.fits || f.s.total_ps >= least) continue;
                least = f.s.total_ps;
                *best_micro = c.micro;
                snprintf(best, 64, "%s", text);
            }
        }
    return rc;
}

/* ---- points ---- */

static int run_job(const struct scaling *s, const struct curve *c, int cards, int users, char strategy[64],
                   struct study_figures *out) {
    struct study_case on = scaling_case(c->m, c->model, strategy, cards, users);
    int rc = 0;
    *out = (struct study_figures){0};
    snprintf(strategy, 64, "%s%d", kinds[c->kind], cards);
    if (c->kind == BEST) rc = scaling_best(s, &on, strategy, &on.micro);
    return rc || !strategy[0] ? rc : study_figures(out, &on, &s->st, 0);
}

static int add_point(const struct scaling *s, struct curve *c, int cards) {
    struct point *p = &c->at[c->n];
    p->cards = cards;
    int rc = run_job(s, c, cards, 1, p->strategy[0], &p->one);
    if (!rc) rc = run_job(s, c, cards, MANY_USERS, p->strategy[1], &p->many);
    c->n += p->one.fits && p->many.fits;
    return rc;
}

/* Tensor parallelism also where heads do not divide: it has the more points for fits. */
static int run_curve(const struct scaling *s, struct curve *c) {
    static const int cards[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 64};
    int rc = 0, most = s->st.quick ? 8 : MOST_CARDS;
    for (size_t i = 0; i < sizeof cards / sizeof *cards && !rc; i++) {
        int power = !(cards[i] & (cards[i] - 1));
        if (cards[i] <= most && (power || c->kind == TP)) rc = add_point(s, c, cards[i]);
    }
    return rc;
}

/* ---- the table ---- */

static struct frame *strong_table(struct scaling *s) {
    struct frame *t = report_table(
        s->st.page, "strong", "Strong scaling: the same job on more cards",
        "Simulated, n = 1; energy modelled. Q4_0 weights; prompts of 128 tokens, 128 generated. One user: decoding "
        "alone; 64 users: all of the job.\nEfficiency: over the smallest number of cards that holds the model and 64 "
        "users, per card. best: of all tp x pp x dp of\npowers of two with one or two micro-batches a stage, by "
        "closed form, then simulated. Binds: of one user's time.");
    frame_column(t, "machine", "", 0);
    frame_column(t, "model", "", 0);
    frame_column(t, "kind", "", 0);
    frame_column(t, "cards", "", 3);
    frame_column(t, "1 user", "ms/token", 4);
    frame_column(t, "speed-up", "x", 3);
    frame_column(t, "efficiency", "%", 3);
    frame_column(t, "1 user", "J/token", 3);
    frame_column(t, "binds", "", 0);
    frame_column(t, "64 users", "tok/s", 4);
    frame_column(t, "efficiency of 64", "%", 3);
    frame_column(t, "64 users", "mJ/token", 4);
    frame_column(t, "strategy of 1", "", 0);
    frame_column(t, "strategy of 64", "", 0);
    return t;
}

static double speed_up(const struct curve *c, const struct point *p) {
    return c->at[0].one.s.decode_ms / p->one.s.decode_ms;
}

static void put_curve(struct frame *t, const struct curve *c) {
    char text[64];
    const struct point *first = &c->at[0];
    for (int i = 0; i < c->n; i++) {
        const struct point *p = &c->at[i];
        double more = (double)p->cards / first->cards;
        frame_text(t, "%s", c->m->text);
        frame_text(t, "%s", c->model);
        frame_text(t, "%s", kinds[c->kind]);
        frame_number(t, p->cards);
        frame_number(t, p->one.s.decode_ms);
        frame_number(t, speed_up(c, p));
        frame_number(t, 100 * speed_up(c, p) / more);
        frame_number(t, p->one.J);
        frame_text(t, "%s", study_binds_text(&p->one.s, text));
        frame_number(t, p->many.s.throughput);
        frame_number(t, 100 * p->many.s.throughput / first->many.s.throughput / more);
        frame_number(t, 1e3 * p->many.J);
        frame_text(t, "%s", p->strategy[0]);
        frame_text(t, "%s", p->strategy[1]);
        frame_end_row(t);
    }
}

/* ---- what is said ---- */

static const struct point *fastest(const struct curve *c) {
    const struct point *best = &c->at[0];
    for (int i = 1; i < c->n; i++)
        if (c->at[i].one.s.decode_ms < best->one.s.decode_ms) best = &c->at[i];
    return best;
}

static void say_curves(const struct scaling *s, const struct curve *tp, const struct curve *best) {
    char binds[64];
    if (!tp->n || !best->n) return;
    const struct point *f = fastest(tp), *last = &best->at[best->n - 1];
    report_say(
        s->st.page,
        "%s on %s: one user is fastest on %d card%s of tensor parallelism, %.3g ms a token, %.3g times as fast as "
        "on %d: %.0f %% of what so many could give; there %s of the time binds. With 64 users %d cards in the "
        "best product (%s) give %.0f %% of what so many could, at %.2g times the energy a token (simulated, n = "
        "1; energy modelled).",
        tp->model, tp->m->text, f->cards, f->cards > 1 ? "s" : "", f->one.s.decode_ms, speed_up(tp, f), tp->at[0].cards,
        100 * speed_up(tp, f) * tp->at[0].cards / f->cards, study_binds_text(&f->one.s, binds), last->cards,
        last->strategy[1],
        100 * last->many.s.throughput / best->at[0].many.s.throughput * best->at[0].cards / last->cards,
        last->many.J / best->at[0].many.J);
}

/* How far the time of one user falls with the cards: the exponent from the fewest cards to the fastest. The report's
 * first finding. */
static void say_sublinear(const struct scaling *s, const struct curve (*all)[KINDS]) {
    double least = INFINITY, most = 0, part;
    int n = 0, below = 0, memory = 0;
    for (int i = 0; i < N_PAIRS; i++) {
        const struct curve *tp = &all[i][TP];
        const struct point *f = fastest(tp);
        if (tp->n < 2 || f == &tp->at[0]) continue;
        double e = log(speed_up(tp, f)) / log((double)f->cards / tp->at[0].cards);
        least = fmin(least, e);
        most = fmax(most, e);
        below += e < 1;
        memory += study_binds(&f->one.s, &part) == NET_MEMORY;
        n++;
    }
    if (n)
        report_say(
            s->st.page,
            "Card scaling is sublinear on %d of %d pairs of machine and model that more cards make faster: up to "
            "the number of cards that is fastest, one user's time falls with the cards to the power of -%.2f to "
            "-%.2f, where -1 would be linear; there reading memory is the largest share of the time on %d of "
            "them (simulated, n = 1).",
            below, n, least, most, memory);
}

/* ---- fits ---- */

/* The time of one user, or its inverse, up to so many cards. */
static int fit_curve(struct scaling *s, const struct curve *c, const char *words, int rate, int most,
                     const struct point *f) {
    char name[128];
    const struct scaling_described peak[] = {{"peak", f->cards}, {0}};
    struct scaling_series series = {.name = name, .models = words, .described = peak};
    struct fit best;
    int found, rc = fit_data_init(&series.data, c->n, 1, s->st.d);
    if (rc) return rc;
    series.data.n = 0;
    for (int i = 0; i < c->n; i++) {
        if (c->at[i].cards > most) continue;
        series.data.x[series.data.n] = c->at[i].cards;
        series.data.y[series.data.n++] = rate ? 1e3 / c->at[i].one.s.decode_ms : c->at[i].one.s.decode_ms;
    }
    snprintf(series.data.y_column.unit, sizeof series.data.y_column.unit, rate ? "tok/s" : "ms");
    snprintf(series.data.x_column[0].unit, sizeof series.data.x_column[0].unit, "cards");
    snprintf(name, sizeof name, "%s, %s, tp%s", c->m->text, c->model, most < MOST_CARDS ? " in a server" : "");
    rc = scaling_fit(s, &series, &best, &found);
    fit_data_free(&series.data);
    return rc;
}

static int fit_curves(struct scaling *s, const struct curve *c) {
    const struct point *f = fastest(c);
    int inside = c->m->server >= 8 && c->at[c->n - 1].cards > c->m->server; /* one server has points enough, not all */
    int rc = fit_curve(s, c, "amdahl,pmnf", 0, MOST_CARDS, f);
    if (!rc) rc = fit_curve(s, c, "usl", 1, MOST_CARDS, f);
    if (!rc && inside) rc = fit_curve(s, c, "amdahl,pmnf", 0, c->m->server, f);
    if (!rc && inside) rc = fit_curve(s, c, "usl", 1, c->m->server, f);
    return rc;
}

static int run_pair(const struct scaling *s, struct curve curve[KINDS], int pair) {
    int rc = 0;
    for (int i = 0; i < KINDS && !rc; i++) {
        curve[i].m = &s->machine[pair / N_MODELS];
        curve[i].model = models[pair % N_MODELS];
        curve[i].kind = i;
        rc = run_curve(s, &curve[i]);
    }
    return rc;
}

int scaling_strong(struct scaling *s) {
    struct frame *t = strong_table(s);
    struct curve(*all)[KINDS] = calloc(N_PAIRS, sizeof *all);
    int rc = all ? 0 : diag_set(s->st.d, ERR_MEMORY, "no memory for strong scaling");
    for (int i = 0; i < N_PAIRS && !rc; i++)
        rc = run_pair(s, all[i], i);
    if (!rc) say_sublinear(s, (const struct curve(*)[KINDS])all);
    for (int i = 0; i < N_PAIRS && !rc; i++) {
        for (int k = 0; k < KINDS; k++)
            put_curve(t, &all[i][k]);
        if (i % N_MODELS == 0) say_curves(s, &all[i][TP], &all[i][BEST]); /* the table has the larger model */
        if (all[i][TP].n) rc = fit_curves(s, &all[i][TP]);
    }
    free(all);
    return rc;
}
