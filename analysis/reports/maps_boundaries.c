/* Where one strategy follows another as links get faster, and how sure that is.
 *
 * Between two cells of a row whose winners differ the link bandwidth is looked for at which the families from the later
 * one on and those before it take equally long (Brent's method on ln bandwidth), on estimates; a simulation there says
 * how nearly. What else the file says of the cluster is known as ranges alone: a Sobol sequence draws all of it
 * together, and the two plans that meet are made to meet again with each draw. */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_qrng.h>
#include <gsl/gsl_roots.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "maps.h"

enum {
    DRAWS = 32,
    QUICK_DRAWS = 8,
    DRAWN_ROWS = 2 /* every second row has draws; --quick: that as described */,
    MOST_LOOKS = 60
};

/* Link bandwidths beyond these are none of this study. */
#define LEAST_LINK 1e-6
#define MOST_LINK 1e3

/* ---- what is known as a range ---- */

static void set_latency(struct cluster *c, double us) {
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.L_ps = (uint64_t)nearbyint(1e6 * us);
}

static void set_overhead(struct cluster *c, double us) {
    parameter_find("send-overhead")->set(c, 1e-6 * us);
}

static void set_step(struct cluster *c, double us) {
    parameter_find("step-overhead")->set(c, 1e-6 * us);
}

static void set_rates(struct cluster *c, double x) {
    parameter_find("compute")->set(c, x);
}

static void set_memory_energy(struct cluster *c, double pJ_per_B) {
    for (int i = 0; i < c->card.n_levels; i++)
        c->card.level[i].pJ_per_B = pJ_per_B;
}

static void set_link_energy(struct cluster *c, double pJ_per_B) {
    for (int i = 0; i < c->net.n_tiers; i++)
        c->link_pJ_per_B[i] = pJ_per_B;
}

static void set_idle(struct cluster *c, double W) {
    c->card.idle_W = c->card.active_W = W;
}

static void set_operations(struct cluster *c, double x) {
    for (int k = 0; k < PREC_COUNT; k++)
        c->card.pJ_per_op[k] *= x;
}

static const struct input {
    const char *text, *unit;
    double low, high; /* drawn evenly; nominal: what the file says */
    void (*set)(struct cluster *c, double x);
    const char *source;
} inputs[] = {
    {"latency of a message", "us", 1.81, 2.31, set_latency, "the file's source: four cards on NVLink, 1.81 to 2.31 us"},
    {"overhead of the sender", "us", 0, 0.2, set_overhead,
     "assumed: the file has none; a running kernel stores to another card"},
    {"overhead of a step", "us", 0, 1, set_step,
     "assumed: the file has none; kernels of a recorded graph follow each other in about 1 us"},
    {"rates of arithmetic, sums", "x", 0.5, 1, set_rates, "assumed: the file has the peak"},
    {"energy of memory", "pJ/B", 31, 93.4, set_memory_energy,
     "the file's source: the device alone to device and controller"},
    {"energy of links", "pJ/B", 40, 80, set_link_energy, "the file's source: 5 to 10 pJ/bit"},
    {"idle power", "W", 96, 120, set_idle, "the file's source: 70 W bare, 26 to 50 W with a program loaded"},
    {"energy of an operation", "x", 0.5, 1, set_operations, "assumed: the file has an upper bound"},
};
enum { INPUTS = sizeof inputs / sizeof *inputs };

static void list_inputs(struct maps *m) {
    struct frame *t = report_table(m->page, "inputs", "What is known as a range",
                                   "Drawn evenly and all together for the intervals of the boundaries; the maps have "
                                   "what the file says.");
    frame_column(t, "input", "", 0);
    frame_column(t, "unit", "", 0);
    frame_column(t, "low", "", 4);
    frame_column(t, "high", "", 4);
    frame_column(t, "basis", "", 0);
    for (int i = 0; i < INPUTS; i++) {
        frame_text(t, "%s", inputs[i].text);
        frame_text(t, "%s", inputs[i].unit);
        frame_number(t, inputs[i].low);
        frame_number(t, inputs[i].high);
        frame_text(t, "%s", inputs[i].source);
        frame_end_row(t);
    }
}

/* ---- a root ---- */

struct find {
    struct maps_split split;
    struct cluster base; /* memory as in the row, links as described */
    double at[2], is[2]; /* what was looked at last */
    int looks, rc;
    struct diag *d;
};

/* ln(ratio) at ln(link bandwidth factor). */
static double distance(double at, void *user) {
    struct find *f = user;
    struct cluster c = f->base;
    double ratio = NAN;
    for (int i = 0; i < 2 && f->looks > i; i++)
        if (f->at[i] == at) return f->is[i];
    parameter_find("link-bandwidth")->set(&c, exp(at));
    if (!f->rc) f->rc = maps_ratio(&f->split, &c, &ratio, f->d);
    int slot = f->looks++ % 2;
    f->at[slot] = at;
    return f->is[slot] = f->rc ? NAN : log(ratio);
}

/* *x: the factor; NAN where [low, high] holds none. */
static void refine(struct find *f, double low, double high, double tolerance, double *x) {
    gsl_function function = {distance, f};
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    *x = NAN;
    if (!solver) f->rc = diag_set(f->d, ERR_MEMORY, "no memory to look for a boundary");
    if (f->rc) return;
    int code = gsl_root_fsolver_set(solver, &function, low, high);
    while (!code && !f->rc && f->looks < MOST_LOOKS &&
           gsl_root_test_interval(gsl_root_fsolver_x_lower(solver), gsl_root_fsolver_x_upper(solver), tolerance, 0))
        code = gsl_root_fsolver_iterate(solver);
    if (!code && !f->rc) *x = exp(gsl_root_fsolver_root(solver));
    gsl_root_fsolver_free(solver);
}

/* From a factor outwards on the side to which the ratio falls towards 1, by steps that double. *x: infinite, on that
 * side, where there is none. */
static void search(struct find *f, double from, int rises, double tolerance, double *x) {
    const double least = log(LEAST_LINK), most = log(MOST_LINK);
    double at = log(from), is = distance(at, f), step = 0.2;
    int up = (is > 0) != rises;
    *x = NAN;
    while (!f->rc && at > least && at < most) {
        double to = up ? fmin(at + step, most) : fmax(at - step, least), there = distance(to, f);
        if ((there > 0) != (is > 0)) {
            refine(f, fmin(at, to), fmax(at, to), tolerance, x);
            return;
        }
        at = to;
        is = there;
        step *= 2;
    }
    if (!f->rc) *x = up ? INFINITY : -INFINITY;
}

/* ---- one boundary ---- */

struct boundary {
    int users, from, to; /* families, as links get faster */
    enum maps_want want;
    double memory, x, ratio; /* x: factor of link bandwidth; what simulations give there */
    int draws, none; /* draws in whose range there is no boundary */
    struct stat_interval in;
};

/* The strategies that meet at a boundary, and the set with their two plans alone; what simulations say there. */
static int meet(struct maps_set *out, struct find *f, struct boundary *b) {
    struct cluster c = f->base;
    struct maps_look l;
    int rises = b->from > b->to;
    parameter_find("link-bandwidth")->set(&c, b->x);
    int rc = maps_look(&l, f->split.set, &c, MAPS_SIMULATES, f->d);
    if (rc) return rc;
    int above = maps_winner(&l, b->want, f->split.at, MAPS_SAME), below = maps_winner(&l, b->want, 0, f->split.at);
    b->from = rises ? above : below;
    b->to = rises ? below : above;
    b->ratio = l.pick[b->want][above].is.want[b->want] / l.pick[b->want][below].is.want[b->want];
    *out = *f->split.set;
    for (int i = 0; i < out->n; i++)
        out->plan[i].left_out = i != l.pick[b->want][above].plan && i != l.pick[b->want][below].plan;
    return 0;
}

/* GB/s; beyond the range is no value. */
static double within(const struct maps *m, double x) {
    return isfinite(x) ? m->link_GBps * x : NAN;
}

/* Where the two plans meet on a cluster with other numbers. */
static int meet_again(const struct find *f, struct maps_set *pair, const struct boundary *b,
                      const struct cluster *changed, double *x) {
    struct find other = {.split = f->split, .base = *changed, .d = f->d};
    parameter_find("memory-bandwidth")->set(&other.base, b->memory);
    other.split.set = pair;
    search(&other, b->x, b->from > b->to, 1e-3, x);
    return other.rc;
}

/* Every number of the cluster drawn within its range. */
static int draw(struct maps *m, const struct find *f, struct maps_set *pair, struct boundary *b) {
    double x[DRAWS], u[INPUTS];
    int rc = 0;
    gsl_qrng *sobol = gsl_qrng_alloc(gsl_qrng_sobol, INPUTS);
    if (!sobol) return diag_set(m->d, ERR_MEMORY, "no memory for draws");
    b->draws = m->app->spec.quick ? QUICK_DRAWS : DRAWS;
    for (int n = 0; n < b->draws && !rc; n++) {
        struct cluster drawn = m->described;
        gsl_qrng_get(sobol, u);
        for (int i = 0; i < INPUTS; i++)
            inputs[i].set(&drawn, inputs[i].low + u[i] * (inputs[i].high - inputs[i].low));
        rc = meet_again(f, pair, b, &drawn, &x[n]);
        b->none += isinf(x[n]) != 0;
    }
    gsl_qrng_free(sobol);
    if (!rc) b->in = stat_percentile(x, b->draws);
    return rc;
}

/* Each number at the ends of its range, all others as described. */
static int each_alone(struct maps *m, const struct find *f, struct maps_set *pair, const struct boundary *b) {
    int rc = 0;
    for (int i = 0; i < INPUTS && !rc; i++) {
        double end[2] = {inputs[i].low, inputs[i].high}, x[2] = {NAN, NAN};
        for (int k = 0; k < 2 && !rc; k++) {
            struct cluster changed = m->described;
            inputs[i].set(&changed, end[k]);
            rc = meet_again(f, pair, b, &changed, &x[k]);
        }
        frame_number(m->alone, b->users);
        frame_text(m->alone, "%s", maps_want_name[b->want]);
        frame_text(m->alone, "%s", inputs[i].text);
        frame_number(m->alone, m->link_GBps * b->x);
        frame_number(m->alone, within(m, x[0]));
        frame_number(m->alone, within(m, x[1]));
        frame_end_row(m->alone);
    }
    return rc;
}

/* Between columns k and k + 1 of a row, the families from `at` on against those before it. */
static int find_one(struct maps *m, struct maps_grid *g, int k, int at, int draws, struct boundary *b) {
    struct maps_set pair;
    struct find f = {.split = {&g->set, b->want, at, MAPS_SAME, b->want == MAPS_TIME ? MAPS_TIMES : MAPS_ESTIMATES},
                     .base = maps_cluster(m, b->memory, 1),
                     .d = m->d};
    double before = b->x;
    refine(&f, log(g->link[k]), log(g->link[k + 1]), 1e-6, &b->x);
    if (fabs(b->x / before - 1) < 1e-4) b->x = NAN; /* strategies that are never the best lie in between */
    if (f.rc || isnan(b->x)) return f.rc;
    int rc = meet(&pair, &f, b);
    if (!rc && draws) rc = draw(m, &f, &pair, b);
    return rc || b->memory != 1 || b->to != MAPS_TP8 ? rc : each_alone(m, &f, &pair, b);
}

/* ---- all of them ---- */

static void columns(struct frame *t) {
    frame_column(t, "users", "", 3);
    frame_column(t, "least", "", 0);
    frame_column(t, "memory", "GB/s", 4);
    frame_column(t, "from", "", 0);
    frame_column(t, "to", "", 0);
    frame_column(t, "number", "", 1);
    frame_column(t, "links", "x", 4);
    frame_column(t, "links", "GB/s", 4);
    frame_column(t, "low", "GB/s", 3);
    frame_column(t, "high", "GB/s", 3);
    frame_column(t, "draws", "", 3);
    frame_column(t, "beyond", "", 3);
    frame_column(t, "simulated there", "x", 6);
}

static void add(struct frame *t, const struct maps *m, const struct maps_grid *g, const struct boundary *b) {
    frame_number(t, b->users);
    frame_text(t, "%s", maps_want_name[b->want]);
    frame_number(t, m->memory_GBps * b->memory);
    frame_text(t, "%s", g->set.strategy[b->from]);
    frame_text(t, "%s", g->set.strategy[b->to]);
    frame_number(t, b->to);
    frame_number(t, b->x);
    frame_number(t, m->link_GBps * b->x);
    frame_number(t, within(m, b->in.low));
    frame_number(t, within(m, b->in.high));
    frame_number(t, b->draws ? b->draws : NAN);
    frame_number(t, b->draws ? b->none : NAN);
    frame_number(t, b->ratio);
    frame_end_row(t);
}

/* "pp8 to tp2xpp4 at 10 GB/s [9, 11]" behind what there is. */
static void tell(char *text, size_t cap, const struct maps *m, const struct maps_grid *g, const struct boundary *b) {
    size_t n = strlen(text);
    n += (size_t)snprintf(text + n, cap - n, "%s%s to %s at %.3g GB/s", n ? ", " : "", g->set.strategy[b->from],
                          g->set.strategy[b->to], m->link_GBps * b->x);
    if (n < cap && b->none == 0)
        snprintf(text + n, cap - n, " (%.3g to %.3g)", m->link_GBps * b->in.low, m->link_GBps * b->in.high);
    else if (n < cap)
        snprintf(text + n, cap - n, " (%d of %d draws have none)", b->none, b->draws);
}

/* Where tp8 begins for good, in rows up to the memory described: the memory's bandwidth over that of links. */
struct begins {
    struct study_span over;
    int rows;
};

/* The rows of a map, one after the other. */
struct row {
    struct maps_grid *g;
    struct frame *table;
    enum maps_want want;
    int row;
    char text[768]; /* its boundaries */
    double begins; /* memory over links from where on tp8 is the best; NaN: nowhere, or always */
};

/* All boundaries between two neighbouring cells, from one winner to the other. */
static int find_between(struct maps *m, struct row *r, int k, int from, int to) {
    int step = from < to ? 1 : -1, rc = 0;
    int draws = m->app->spec.quick ? r->g->memory[r->row] == 1 : r->row % DRAWN_ROWS == 0;
    double last = NAN;
    for (int f = from; f != to && !rc; f += step) {
        struct boundary b = {.users = r->g->users,
                             .want = r->want,
                             .memory = r->g->memory[r->row],
                             .from = f,
                             .to = f + step,
                             .x = last,
                             .in = {NAN, NAN}};
        rc = find_one(m, r->g, k, step > 0 ? f + 1 : f, draws, &b);
        if (rc || isnan(b.x)) continue;
        last = b.x;
        add(r->table, m, r->g, &b);
        if (b.to == MAPS_TP8) r->begins = m->memory_GBps * b.memory / (m->link_GBps * b.x);
        if (b.from == MAPS_TP8) r->begins = NAN;
        tell(r->text, sizeof r->text, m, r->g, &b);
    }
    return rc;
}

static int find_row(struct maps *m, struct row *r) {
    const struct maps_grid *g = r->g;
    int rc = 0;
    r->text[0] = 0;
    r->begins = NAN;
    for (int k = 0; k + 1 < g->columns && !rc; k++)
        rc = find_between(m, r, k, maps_winner(&g->look[r->row][k], r->want, 0, MAPS_SAME),
                          maps_winner(&g->look[r->row][k + 1], r->want, 0, MAPS_SAME));
    if (!rc && g->memory[r->row] == 1 && r->text[0] && r->want == MAPS_TIME)
        report_say(
            m->page,
            "Least time of llama3-8b, %d user%s, memory as described (%.0f GB/s), as links get faster: %s (roots "
            "of estimates, simulated there too; in brackets 95 %% of %d draws of the other inputs, beside which "
            "a value may lie as some inputs are described at an end of their range).",
            g->users, g->users > 1 ? "s" : "", m->memory_GBps, r->text, m->app->spec.quick ? QUICK_DRAWS : DRAWS);
    return rc;
}

static int find_map(struct maps *m, struct maps_grid *g, enum maps_want w, struct frame *t, struct begins *b) {
    struct row r = {.g = g, .table = t, .want = w};
    int rc = 0;
    for (; r.row < g->rows && !rc; r.row++) {
        rc = find_row(m, &r);
        if (rc || w != MAPS_TIME || g->memory[r.row] > 1) continue;
        study_span_add(&b->over, r.begins);
        b->rows++;
    }
    return rc;
}

/* "1/33 to 1/31 of the memory's bandwidth for 8 users" behind what there is. */
static void tell_begins(char *text, size_t cap, const struct begins *b, int users) {
    double least = study_rounded(b->over.most, 2), most = study_rounded(b->over.least, 2);
    size_t n = strlen(text);
    int first = !n;
    n += (size_t)snprintf(text + n, cap - n, "%s1/%.7g", first ? "" : ", ", least);
    if (most != least) n += (size_t)snprintf(text + n, cap - n, " to 1/%.7g", most);
    snprintf(text + n, cap - n, "%s for %d user%s", first ? " of the memory's bandwidth" : "", users,
             users > 1 ? "s" : "");
}

/* The report's first finding. */
static void say_begins(struct maps *m, const struct begins begins[MAPS_JOBS]) {
    char text[256] = "", none[128] = "";
    int rows = 0, found = 0;
    for (int j = 0; j < MAPS_JOBS; j++) {
        rows += begins[j].rows;
        found += begins[j].over.n;
        if (begins[j].over.n) tell_begins(text, sizeof text, &begins[j], m->grid[j].users);
    }
    if (found < rows)
        snprintf(none, sizeof none, "; on %d of %d rows of the maps it begins at no bandwidth looked at", rows - found,
                 rows);
    report_lead(m->page,
                "Tensor parallelism on all eight cards (tp8) takes least time where links have at least %s (llama3-8b, "
                "memory of %.3g to %.0f GB/s%s; estimated, n = 1).",
                found ? text : "what no row has", m->memory_GBps * m->grid[0].memory[0], m->memory_GBps, none);
}

/* Of all plans, those that boundaries are of. */
static void narrow(struct maps_set *s) {
    for (int i = 0; i < s->n; i++)
        s->plan[i].left_out |= s->plan[i].family >= MAPS_SAME || s->plan[i].label != COLL_BIT_EXACT;
}

int maps_boundaries(struct maps *m) {
    struct begins begins[MAPS_JOBS] = {0};
    int rc = 0;
    list_inputs(m);
    for (int j = 0; j < MAPS_JOBS; j++)
        narrow(&m->grid[j].set);
    struct frame *t = report_table(m->page, "boundaries", "Where one strategy follows another as links get faster",
                                   "Roots of estimates by Brent's method between neighbouring cells; simulated there: "
                                   "the ratio of both sides, 1 if "
                                   "estimates\nare right. Low, high: the middle 95 % of draws of the inputs (Sobol "
                                   "sequence, no seed), drawn in every "
                                   "second row; -: beyond\nthe range. Intervals are about inputs: as described some of "
                                   "them are at an end of their "
                                   "range, so a boundary may lie beside\nits interval.");
    m->alone = report_table(
        m->page, "alone", "What each input does by itself to where tp8 begins",
        "Memory as described: bandwidth of links with the input at the ends of its range, the others as described "
        "(estimated); -: none.");
    frame_column(m->alone, "users", "", 3);
    frame_column(m->alone, "least", "", 0);
    frame_column(m->alone, "input", "", 0);
    frame_column(m->alone, "as described", "GB/s", 4);
    frame_column(m->alone, "at its low end", "GB/s", 4);
    frame_column(m->alone, "at its high end", "GB/s", 4);
    columns(t);
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    for (int i = 0; i < MAPS_WANTS * MAPS_JOBS && !rc; i++)
        rc = find_map(m, &m->grid[i % MAPS_JOBS], (enum maps_want)(i / MAPS_JOBS), t, &begins[i % MAPS_JOBS]);
    gsl_set_error_handler(before);
    if (!rc) say_begins(m, begins);
    return rc;
}
