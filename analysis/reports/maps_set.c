/* Plans of one job, and the best of each family on a cluster. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "partition/estimate.h"

/* The all-reduces' letters: their first, or where another one has that a capital or a digit. */
static char mark_of(const char *algo) {
    static const struct {
        const char *algo;
        char mark;
    } marks[] = {{"oneshot", '1'}, {"twoshot", '2'}, {"rabenseifner", 'h'}, {"recdbl", 'd'}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (!strcmp(algo, marks[i].algo)) return marks[i].mark;
    return algo[0];
}

/* ---- opening ---- */

static int add(struct maps_set *s, const struct study_case *c, const struct app *app, int family, struct diag *d) {
    struct maps_plan *p = &s->plan[s->n];
    struct estimator *room = NULL; /* it places the plan on the cards, which opening does not */
    struct diag own = {0};
    if (s->n == MAPS_MOST_PLANS) return diag_set(d, ERR_RANGE, "maps: more than %d plans", MAPS_MOST_PLANS);
    *p = (struct maps_plan){.family = family, .micro = c->micro, .algo = c->allreduce ? c->allreduce : ""};
    int rc = case_open(&p->at, c, app, &own);
    if (!rc) rc = estimator_new(&room, p->at->plan, c->cluster, &own);
    estimator_free(room);
    if (rc) case_close(p->at);
    if (rc) return rc == ERR_PLAN ? 0 : diag_set(d, rc, "%s", own.text);
    p->label = plan_label(p->at->plan);
    p->mark = c->allreduce ? mark_of(c->allreduce) : (char)('0' + c->micro % 10);
    s->n++;
    return 0;
}

static int add_algos(struct maps_set *s, struct study_case *c, const struct strategy *st, int exact,
                     const struct app *app, int family, struct diag *d) {
    int rc = 0;
    c->allreduce = NULL;
    if (st->tp == 1) return add(s, c, app, family, d);
    for (int i = 0; coll_algos[i] && !rc; i++) {
        const struct coll_algo *a = coll_algos[i];
        if (a->levels != 1 || a->library) continue;
        c->allreduce = a->name;
        rc = add(s, c, app, family, d);
        if (!rc && exact && s->n && s->plan[s->n - 1].label != COLL_BIT_EXACT) case_close(s->plan[--s->n].at);
    }
    return rc;
}

int maps_open(struct maps_set *s, const struct study_case *base, const char *const *strategy, int n_families, int exact,
              const struct app *app, struct diag *d) {
    int rc = 0;
    *s = (struct maps_set){.n_families = n_families};
    for (int f = 0; f < n_families && !rc; f++) {
        struct study_case c = *base;
        struct strategy st;
        s->strategy[f] = c.strategy = strategy[f];
        rc = strategy_parse(&st, strategy[f], d);
        if (rc) break;
        c.cards = strategy_ranks(&st);
        for (c.micro = 1; c.micro <= (st.pp > 1 ? base->users : 1) && !rc; c.micro *= 2)
            rc = add_algos(s, &c, &st, exact, app, f, d);
    }
    if (rc) maps_close(s);
    return rc;
}

void maps_close(struct maps_set *s) {
    for (int i = 0; i < s->n; i++)
        case_close(s->plan[i].at);
    s->n = 0;
}

/* ---- looking ---- */

void maps_value_of(struct maps_value *out, const struct virtual_summary *v) {
    out->want[MAPS_TIME] = v->latency_ms;
    out->want[MAPS_ENERGY] = 1e3 * virtual_energy_sum(&v->energy) / (double)v->tokens;
    for (int i = 0; i < NET_SHARES; i++)
        out->share[i] = (double)v->critical.share[i] / (double)v->critical.ps;
}

static int value_of(struct maps_value *out, const struct maps_plan *p, const struct cluster *c, int estimate,
                    struct diag *d) {
    struct virtual_summary v;
    int rc = case_summarize(&v, p->at, c, estimate, d);
    if (!rc) maps_value_of(out, &v);
    return rc;
}

/* Adding up energy takes as long as estimating time. */
static int time_of(struct maps_value *out, const struct maps_plan *p, const struct cluster *c, struct diag *d) {
    const struct run_spec *s = &p->at->app.spec;
    struct estimate e;
    struct estimate_job job = {(int)s->batch, (int)(s->ctx - s->n_predict), (int)s->n_predict, (int)s->chunk};
    int rc = plan_estimate(&e, p->at->plan, c, &job, d);
    *out = (struct maps_value){{1e-9 * (double)e.total.ps / (double)s->n_predict, NAN}, {0}};
    return rc;
}

static void take(struct maps_pick *best, int plan, const struct maps_value *v, enum maps_want want) {
    if (!isnan(v->want[want]) && (best->plan < 0 || v->want[want] < best->is.want[want]))
        *best = (struct maps_pick){plan, *v};
}

static void take_all(struct maps_look *out, const struct maps_set *s, int plan, const struct maps_value *v) {
    const struct maps_plan *p = &s->plan[plan];
    for (enum maps_want w = 0; w < MAPS_WANTS; w++)
        take(p->label == COLL_BIT_EXACT ? &out->pick[w][p->family] : &out->other[w][p->family], plan, v, w);
}

static void clear(struct maps_look *l) {
    *l = (struct maps_look){0};
    for (int i = 0; i < MAPS_WANTS * MAPS_MOST_FAMILIES; i++)
        l->pick[i % MAPS_WANTS][i / MAPS_WANTS].plan = l->other[i % MAPS_WANTS][i / MAPS_WANTS].plan = -1;
}

static int is_near(const struct maps_look *estimated, const struct maps_plan *p, const struct maps_value *v) {
    for (enum maps_want w = 0; w < MAPS_WANTS; w++)
        if (v->want[w] <= (1 + MAPS_NEAR) * estimated->pick[w][p->family].is.want[w]) return p->label == COLL_BIT_EXACT;
    return 0;
}

static int simulate_near(struct maps_look *out, const struct maps_look *estimated, const struct maps_set *s,
                         const struct maps_value *value, const struct cluster *c, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < s->n && !rc; i++) {
        struct maps_value v;
        if (s->plan[i].left_out || !is_near(estimated, &s->plan[i], &value[i])) continue;
        rc = value_of(&v, &s->plan[i], c, 0, d);
        if (rc) break;
        out->error = fmax(out->error, fabs(value[i].want[MAPS_TIME] / v.want[MAPS_TIME] - 1));
        out->simulated++;
        take_all(out, s, i, &v);
    }
    return rc;
}

int maps_look(struct maps_look *out, struct maps_set *s, const struct cluster *c, enum maps_how how, struct diag *d) {
    struct maps_value value[MAPS_MOST_PLANS];
    struct maps_look estimated;
    int rc = 0;
    clear(&estimated);
    for (int i = 0; i < s->n && !rc; i++) {
        if (s->plan[i].left_out) continue;
        rc = how == MAPS_TIMES ? time_of(&value[i], &s->plan[i], c, d) : value_of(&value[i], &s->plan[i], c, 1, d);
        if (!rc) take_all(&estimated, s, i, &value[i]);
    }
    *out = estimated;
    if (rc || how != MAPS_SIMULATES) return rc;
    clear(out);
    memcpy(out->other, estimated.other, sizeof out->other);
    return simulate_near(out, &estimated, s, value, c, d);
}

int maps_best(const struct maps_pick pick[MAPS_MOST_FAMILIES], enum maps_want want, int from, int to) {
    int best = -1;
    for (int f = from; f < to; f++)
        if (pick[f].plan >= 0 && (best < 0 || pick[f].is.want[want] < pick[best].is.want[want])) best = f;
    return best;
}

int maps_winner(const struct maps_look *l, enum maps_want want, int from, int to) {
    return maps_best(l->pick[want], want, from, to);
}

int maps_ratio(void *user, const struct cluster *c, double *ratio, struct diag *d) {
    const struct maps_split *s = user;
    struct maps_look l;
    int rc = maps_look(&l, s->set, c, s->how, d);
    if (rc) return rc;
    int above = maps_winner(&l, s->want, s->at, s->end), below = maps_winner(&l, s->want, 0, s->at);
    if (above < 0 || below < 0) return diag_set(d, ERR_RANGE, "maps: no plan on one side of a boundary");
    *ratio = l.pick[s->want][above].is.want[s->want] / l.pick[s->want][below].is.want[s->want];
    return 0;
}
