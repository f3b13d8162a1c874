/* northwall report pareto: which bytes to save first. What each saving loses was measured on the bundled decoder; what
 * it is worth is reckoned on described machines. */
#include "pareto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/pareto.h"

static const char *const axis_names[PARETO_AXES] = {"weights and activations", "cache", "wires", "syncs"};
static const char *const cost_names[2] = {"time", "energy"}, *const units[2] = {"ms/token", "mJ/token"};
#define LEAST_STEP                                                                                                     \
    0.005 /* part of the cost that a step must save: what estimates are within (partition/estimate.h)                  \
           */
static const char measured_model[] = "kjv-3m"; /* the preset of what losses were measured on */
#define SPOKEN_OF 0.05 /* the same, for a sentence */

struct machine_study {
    const struct study *st;
    const struct pareto_machine *m;
    char name[96]; /* "8 x H100 SXM, llama3-70b, 1 user" */
    const struct pareto_losses *losses;
    struct pareto_choices c;
};

struct tables {
    struct frame *order, *alone, *fronts, *front, *points;
    double most_off; /* simulated beside estimated, relative */
    int simulated;
    char first_on[2][PARETO_AXES][160]; /* machines on which that is the first to save, for time and for energy */
};

static double kl(const struct pareto_choice *c) {
    return c->loss->kl[0];
}

static void machine_columns(struct frame *t) {
    frame_column(t, "machine", "", 0);
    frame_column(t, "model", "", 0);
    frame_column(t, "users", "", 6);
}

static const char *machine_name(const struct pareto_machine *m) {
    const char *slash = strrchr(m->cluster, '/');
    return slash ? slash + 1 : m->cluster;
}

static void put_machine(struct frame *t, const struct pareto_machine *m) {
    frame_text(t, "%s", machine_name(m));
    frame_text(t, "%s", m->model);
    frame_number(t, m->users);
}

/* ---- looking ---- */

static int matches(const struct pareto_saving *a, const struct pareto_saving *b) {
    int same = 1;
    for (int axis = 0; axis < PARETO_AXES; axis++)
        same &= pareto_same(a, b, (enum pareto_axis)axis);
    return same;
}

/* The strategy on which a saving costs least. NULL: none fits. */
static const struct pareto_choice *best(const struct machine_study *s, const struct pareto_saving *of, int cost) {
    const struct pareto_choice *found = NULL;
    for (const struct pareto_choice *c = s->c.at; c < s->c.at + s->c.n; c++)
        if (matches(&c->loss->saved, of) && (!found || c->cost[cost] < found->cost[cost])) found = c;
    return found;
}

static void set_axis(struct pareto_saving *s, const struct pareto_saving *from, enum pareto_axis axis) {
    if (axis == PARETO_NUMBERS)
        s->model = from->model, s->quant = from->quant, s->head = from->head, s->mode = from->mode;
    if (axis == PARETO_KV) s->kv = from->kv;
    if (axis == PARETO_WIRE) s->wire = from->wire, s->allreduce = from->allreduce;
    if (axis == PARETO_SYNC) s->dropped = from->dropped, s->layers = from->layers;
}

/* Where all begins: the weights and activations that lose least of those that fit, and all else not saved, as far as
 * that fits. The least loss itself may have something saved by chance: beside 4-bit weights binary16 wires make no
 * difference. NULL: nothing fits. */
static const struct pareto_choice *begin(const struct machine_study *s, int cost) {
    static const struct pareto_saving nothing = {.kv = "f16", .wire = "f32", .allreduce = "auto", .layers = 1};
    const struct pareto_choice *found = NULL;
    for (const struct pareto_choice *c = s->c.at; c < s->c.at + s->c.n; c++)
        if (!found || kl(c) < kl(found)) found = c;
    for (int axis = PARETO_KV; found && axis < PARETO_AXES; axis++) {
        struct pareto_saving wide = found->loss->saved;
        set_axis(&wide, &nothing, (enum pareto_axis)axis);
        if (best(s, &wide, cost)) found = best(s, &wide, cost);
    }
    return found ? best(s, &found->loss->saved, cost) : NULL;
}

/* Calls use with each saving that differs from `from` along one axis, once. */
typedef void use_change(void *user, const struct pareto_saving *to, enum pareto_axis axis);
static void each_change(const struct pareto_losses *l, const struct pareto_saving *from, use_change *use, void *user) {
    for (int axis = 0; axis < PARETO_AXES; axis++)
        for (int i = 0; i < l->n; i++) {
            const struct pareto_saving *to = &l->at[i].saved;
            struct pareto_saving changed = *from;
            int seen = pareto_same(from, to, (enum pareto_axis)axis);
            for (int k = 0; k < i && !seen; k++)
                seen = pareto_same(&l->at[k].saved, to, (enum pareto_axis)axis);
            set_axis(&changed, to, (enum pareto_axis)axis);
            if (!seen) use(user, &changed, (enum pareto_axis)axis);
        }
}

static void put_savings(struct frame *t, const struct pareto_saving *s) {
    char text[64];
    for (int axis = 0; axis < PARETO_AXES; axis++)
        frame_text(t, "%s", pareto_saving_text(s, (enum pareto_axis)axis, text));
}

static void savings_columns(struct frame *t) {
    for (int axis = 0; axis < PARETO_AXES; axis++)
        frame_column(t, axis_names[axis], "", 0);
}

static void put_loss(struct frame *t, const struct pareto_loss *l) {
    for (int i = 0; i < 3; i++)
        frame_number(t, l->kl[i]);
}

static void loss_columns(struct frame *t) {
    frame_column(t, "KL", "nats/token", 3);
    frame_column(t, "KL: low", "nats/token", 3);
    frame_column(t, "KL: high", "nats/token", 3);
}

/* ---- one saving alone ---- */

struct alone {
    const struct machine_study *s;
    struct frame *t;
    const struct pareto_choice *base;
};

static void put_alone(void *user, const struct pareto_saving *to, enum pareto_axis axis) {
    const struct alone *a = user;
    char from[64], text[64];
    const struct pareto_choice *c = best(a->s, to, PARETO_TIME), *b = a->base;
    if (!c) return;
    double saved = 1 - c->cost[PARETO_TIME] / b->cost[PARETO_TIME], added = kl(c) - kl(b);
    put_machine(a->t, a->s->m);
    frame_text(a->t, "%s", axis_names[axis]);
    frame_text(a->t, "%s", pareto_saving_text(&b->loss->saved, axis, from));
    frame_text(a->t, "%s", pareto_saving_text(to, axis, text));
    frame_text(a->t, "%s", c->strategy);
    frame_number(a->t, b->weights_MB - c->weights_MB);
    frame_number(a->t, b->cache_MB - c->cache_MB);
    frame_number(a->t, b->links_kB - c->links_kB);
    frame_number(a->t, 100 * saved);
    frame_number(a->t, 100 * (1 - c->cost[PARETO_ENERGY] / b->cost[PARETO_ENERGY]));
    put_loss(a->t, c->loss);
    frame_number(a->t, saved > LEAST_STEP && added > 0 ? 0.1 * saved / added : NAN);
    frame_end_row(a->t);
}

static struct frame *alone_table(struct report_page *page) {
    struct frame *t = report_table(
        page, "pareto_alone", "One saving alone: bytes, time, energy, and what it loses",
        "Estimated, n = 1, energy modelled; KL to full precision, measured on the bundled decoder, 95 % over windows. "
        "Each on the strategy on which it takes least time. Bytes: a card, for a\ntoken of all users. Last column: "
        "percent of the time saved for each thousandth of a nat, where it saves more than 0.5 %.");
    machine_columns(t);
    frame_column(t, "saved", "", 0);
    frame_column(t, "from", "", 0);
    frame_column(t, "to", "", 0);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "weights not read", "MB", 3);
    frame_column(t, "cache not read", "MB", 3);
    frame_column(t, "not sent", "kB", 3);
    frame_column(t, "time saved", "%", 3);
    frame_column(t, "energy saved", "%", 3);
    loss_columns(t);
    frame_column(t, "worth", "%/mnat", 3);
    return t;
}

/* ---- in which order ---- */

struct step {
    const struct machine_study *s;
    const struct pareto_choice *now, *next;
    enum pareto_axis axis;
    int cost;
    double worth; /* saved cost for a nat; INFINITY: loses nothing */
};

/* The most for a nat; of what loses nothing, the most. */
static void see_step(void *user, const struct pareto_saving *to, enum pareto_axis axis) {
    struct step *p = user;
    const struct pareto_choice *c = best(p->s, to, p->cost);
    if (!c) return;
    double saved = p->now->cost[p->cost] - c->cost[p->cost], added = kl(c) - kl(p->now);
    double worth = added > 0 ? saved / added : INFINITY;
    if (saved <= LEAST_STEP * p->now->cost[p->cost] || worth < p->worth) return;
    if (p->next && worth <= p->worth && saved <= p->now->cost[p->cost] - p->next->cost[p->cost]) return;
    p->next = c;
    p->axis = axis;
    p->worth = worth;
}

static struct frame *order_table(struct report_page *page) {
    struct frame *t = report_table(page, "pareto_order", "Which bytes to save first",
                                   "From the least loss that fits, each time the change of one kind that saves most "
                                   "for a nat of KL, as long as one "
                                   "saves more than 0.5 %; strategies are chosen anew.\nEstimated, n = 1, energy "
                                   "modelled; KL of all that is saved "
                                   "so far, together, measured on the bundled decoder, 95 % over windows.");
    machine_columns(t);
    frame_column(t, "least", "", 0);
    frame_column(t, "step", "", 0);
    frame_column(t, "saved", "", 0);
    savings_columns(t);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "time", "ms/token", 4);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "saved by this step", "%", 3);
    frame_column(t, "of the first, so far", "x", 3);
    loss_columns(t);
    frame_column(t, "binds", "", 0);
    return t;
}

static void put_step(struct frame *t, const struct step *p, const struct pareto_choice *first, int number) {
    const struct pareto_choice *c = p->next;
    put_machine(t, p->s->m);
    frame_text(t, "%s", cost_names[p->cost]);
    frame_text(t, "%d", number);
    frame_text(t, "%s", number ? axis_names[p->axis] : "");
    put_savings(t, &c->loss->saved);
    frame_text(t, "%s", c->strategy);
    frame_number(t, c->cost[PARETO_TIME]);
    frame_number(t, c->cost[PARETO_ENERGY]);
    frame_number(t, 100 * (1 - c->cost[p->cost] / p->now->cost[p->cost]));
    frame_number(t, first->cost[p->cost] / c->cost[p->cost]);
    put_loss(t, c->loss);
    frame_text(t, "%s", c->binds);
    frame_end_row(t);
}

/* The first changes of an order that save something to speak of: "weights and activations Q8_0 a8 (1.9x so far, KL
 * 0.0002), then ...". */
struct words {
    char text[480];
    int n, axis; /* axis: of the first */
};

static void add_words(struct words *w, const struct step *p, const struct pareto_choice *first) {
    enum { SAID = 4 };
    char to[64];
    double saved = 1 - p->next->cost[p->cost] / p->now->cost[p->cost];
    size_t at = strlen(w->text);
    if (saved < SPOKEN_OF || w->n == SAID) return;
    if (!w->n++) w->axis = (int)p->axis;
    snprintf(w->text + at, sizeof w->text - at, "%s%s %s (%.3gx so far, KL %.2g)", w->n > 1 ? ", then " : "",
             axis_names[p->axis], pareto_saving_text(&p->next->loss->saved, p->axis, to),
             first->cost[p->cost] / p->next->cost[p->cost], kl(p->next));
}

/* The order, as rows and in words. Returns the kind of the first change that is spoken of; -1: there is none. */
static int put_order(const struct machine_study *s, struct frame *t, int cost, char text[1024]) {
    struct words w = {.axis = -1};
    const struct pareto_choice *first = begin(s, cost);
    struct step p = {.s = s, .now = first, .next = first, .cost = cost};
    int number = 0;
    put_step(t, &p, first, number);
    for (;;) {
        p.next = NULL, p.worth = 0;
        each_change(s->losses, &p.now->loss->saved, see_step, &p);
        if (!p.next) break;
        put_step(t, &p, first, ++number);
        add_words(&w, &p, first);
        p.now = p.next;
    }
    const double *k = p.now->loss->kl;
    snprintf(text, 1024, "first %s; all %d steps: %.3gx, KL %.2g [%.2g, %.2g]", w.n ? w.text : "nothing", number,
             first->cost[cost] / p.now->cost[cost], k[0], k[1], k[2]);
    return w.axis;
}

static void say_orders(const struct machine_study *s, struct tables *t) {
    char text[2][1024], from[64];
    const struct pareto_choice *first = begin(s, PARETO_TIME);
    for (int cost = 0; cost < 2; cost++) {
        int axis = put_order(s, t->order, cost, text[cost]);
        char *on = axis < 0 ? NULL : t->first_on[cost][axis];
        size_t at = on ? strlen(on) : 0;
        if (on && strcmp(s->m->model, measured_model) != 0)
            snprintf(on + at, sizeof t->first_on[0][0] - at, "%s%s (%d)", at ? ", " : "", machine_name(s->m),
                     s->m->users);
    }
    int alike = !strcmp(text[PARETO_TIME], text[PARETO_ENERGY]);
    report_say(s->st->page,
               "%s, from %s%s: to save time%s, %s%s%s (estimated; KL in nats a token, measured on the bundled "
               "decoder).",
               s->name, pareto_saving_text(&first->loss->saved, PARETO_NUMBERS, from),
               kl(first) > 0 ? ", as nothing better fits" : "", alike ? " or energy" : "", text[PARETO_TIME],
               alike ? "" : ". To save energy, ", alike ? "" : text[PARETO_ENERGY]);
}

/* "wires on northpole-16 (1); weights and activations on l4-4 (1), l4-4 (64)" */
static const char *lead(char text[640], const struct tables *t, int cost) {
    text[0] = 0;
    for (int axis = 0; axis < PARETO_AXES; axis++) {
        size_t at = strlen(text);
        if (t->first_on[cost][axis][0])
            snprintf(text + at, 640 - at, "%s%s on %s", at ? "; " : "", axis_names[axis], t->first_on[cost][axis]);
    }
    return text;
}

/* ---- fronts ---- */

static struct frame *front_table(struct report_page *page) {
    struct frame *t =
        report_table(page, "pareto_front", "What nothing beats in both: loss against time, and against energy",
                     "Estimated, n = 1, and simulated; energy modelled; KL and dNLL beside full precision, measured on "
                     "the bundled decoder, 95 % over windows.");
    machine_columns(t);
    frame_column(t, "against", "", 0);
    savings_columns(t);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "time", "ms/token", 4);
    frame_column(t, "energy", "mJ/token", 4);
    loss_columns(t);
    frame_column(t, "dNLL", "nats/token", 3);
    frame_column(t, "simulated / estimated", "", 6);
    frame_column(t, "binds", "", 0);
    return t;
}

static struct frame *fronts_table(struct report_page *page) {
    struct frame *t = report_table(page, "pareto_fronts", "How many choices there are, and how many nothing beats",
                                   "Undecided: not on the front, but their interval of KL reaches below that of all "
                                   "that costs no more. Unfit: no room, or no such plan.");
    machine_columns(t);
    frame_column(t, "against", "", 0);
    frame_column(t, "choices", "", 6);
    frame_column(t, "unfit", "", 6);
    frame_column(t, "on the front", "", 6);
    frame_column(t, "undecided", "", 6);
    frame_column(t, "from", "", 4);
    frame_column(t, "to", "", 4);
    frame_column(t, "unit", "", 0);
    return t;
}

static void put_fronts(struct frame *t, const struct machine_study *s, int cost, const int *front, int n,
                       int undecided) {
    put_machine(t, s->m);
    frame_text(t, "%s", cost_names[cost]);
    frame_number(t, s->c.n);
    frame_number(t, s->c.unfit);
    frame_number(t, n);
    frame_number(t, undecided);
    frame_number(t, s->c.at[front[n - 1]].cost[cost]);
    frame_number(t, s->c.at[front[0]].cost[cost]);
    frame_text(t, "%s", units[cost]);
    frame_end_row(t);
}

static int put_front_row(struct tables *t, const struct machine_study *s, const struct pareto_choice *c, int cost) {
    double simulated[2];
    int rc = pareto_simulate(simulated, s->m, c, s->st);
    if (rc) return rc;
    t->most_off = fmax(t->most_off, fabs(simulated[cost] / c->cost[cost] - 1));
    t->simulated++;
    put_machine(t->front, s->m);
    frame_text(t->front, "%s", cost_names[cost]);
    put_savings(t->front, &c->loss->saved);
    frame_text(t->front, "%s", c->strategy);
    frame_number(t->front, c->cost[PARETO_TIME]);
    frame_number(t->front, c->cost[PARETO_ENERGY]);
    put_loss(t->front, c->loss);
    frame_number(t->front, c->loss->dnll[0]);
    frame_number(t->front, simulated[cost] / c->cost[cost]);
    frame_text(t->front, "%s", c->binds);
    frame_end_row(t->front);
    return 0;
}

static int put_front(struct tables *t, const struct machine_study *s, int cost) {
    int n = s->c.n, rc = 0;
    struct pareto_point *p = calloc((size_t)n, sizeof *p);
    int *front = calloc((size_t)n, sizeof *front);
    for (int i = 0; p && i < n; i++) {
        const double *k = s->c.at[i].loss->kl;
        p[i] = (struct pareto_point){s->c.at[i].cost[cost], k[0], k[1], k[2]};
    }
    int found = p && front ? pareto_front(p, n, front) : -1,
        undecided = found < 0 ? -1 : pareto_undecided(p, n, front, found);
    if (undecided < 0)
        rc = diag_set(s->st->d, ERR_MEMORY, "no memory for a front");
    else
        put_fronts(t->fronts, s, cost, front, found, undecided);
    for (int i = 0; i < found && !rc; i++)
        rc = put_front_row(t, s, &s->c.at[front[i]], cost);
    free(p);
    free(front);
    return rc;
}

/* ---- all points, on their best strategies ---- */

static struct frame *points_table(struct report_page *page) {
    struct frame *t =
        report_table(page, "pareto_points", "All savings, each on the strategy that takes least time, or least energy",
                     "Estimated, n = 1, energy modelled; KL measured. For the figures.");
    machine_columns(t);
    frame_column(t, "least", "", 0);
    savings_columns(t);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "time", "ms/token", 4);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "KL", "nats/token", 3);
    return t;
}

static void put_points(struct frame *t, const struct machine_study *s, int cost) {
    for (const struct pareto_choice *c = s->c.at; c < s->c.at + s->c.n; c++) {
        if (best(s, &c->loss->saved, cost) != c) continue;
        put_machine(t, s->m);
        frame_text(t, "%s", cost_names[cost]);
        put_savings(t, &c->loss->saved);
        frame_text(t, "%s", c->strategy);
        frame_number(t, c->cost[PARETO_TIME]);
        frame_number(t, c->cost[PARETO_ENERGY]);
        frame_number(t, kl(c));
        frame_end_row(t);
    }
}

/* ---- the machines ---- */

static const struct pareto_machine machines[] = {
    {"northpole-16", "granite-3b-northpole", 16, 1, 896, 128},
    {"l4-4", "llama3-8b", 4, 1, 896, 128},
    {"h100-sxm-8", "llama3-70b", 8, 1, 896, 128},
    {"boards-1gbe", "tinyllama-1.1b", 8, 1, 896, 128},
    {"northpole-16", "granite-3b-northpole", 16, 16, 1920, 128},
    {"l4-4", "llama3-8b", 4, 64, 1920, 128},
    {"h100-sxm-8", "llama3-70b", 8, 64, 1920, 128},
    {"boards-1gbe", "tinyllama-1.1b", 8, 16, 1920, 128},
    {"northpole-16", "kjv-3m", 16, 1, 128, 128},
    {"l4-4", "kjv-3m", 4, 1, 128, 128},
    {"h100-sxm-8", "kjv-3m", 8, 1, 128, 128},
    {"boards-1gbe", "kjv-3m", 8, 1, 128, 128},
};
enum { MACHINES = sizeof machines / sizeof *machines, QUICK_MACHINES = 4, CHECKED = 24, QUICK_CHECKED = 2 };

static int do_machine(struct tables *t, const struct pareto_machine *m, const struct pareto_losses *l,
                      const struct study *st) {
    struct machine_study s = {.st = st, .m = m, .losses = l};
    snprintf(s.name, sizeof s.name, "%s, %s, %d user%s", machine_name(m), m->model, m->users, m->users > 1 ? "s" : "");
    int rc = pareto_price(&s.c, m, l, st);
    if (!rc && !s.c.n) report_say(st->page, "%s: nothing fits.", s.name);
    if (!rc && s.c.n) {
        struct alone a = {&s, t->alone, begin(&s, PARETO_TIME)};
        each_change(l, &a.base->loss->saved, put_alone, &a);
        say_orders(&s, t);
        for (int cost = 0; cost < 2 && !rc; cost++) {
            rc = put_front(t, &s, cost);
            put_points(t->points, &s, cost);
        }
    }
    pareto_choices_free(&s.c);
    return rc;
}

/* --cluster: another machine, in place of these. */
static int asked(struct pareto_machine *m, const struct app *app, struct diag *d) {
    static const char *const options[] = {"model", "ranks", "users", "prompt", "generate"};
    const struct run_spec *s = &app->spec;
    for (int i = 0; i < 5 && !s->cluster; i++)
        if (opts_given(s, options[i]))
            return diag_set(d, ERR_USAGE, "report pareto --%s: on which machine? Give --cluster FILE", options[i]);
    if (!s->cluster) return 0;
    if (!s->model || !preset_find(s->model))
        return diag_set(d, ERR_USAGE, "report pareto --cluster: of which model? Give --model PRESET (northwall list)");
    *m = (struct pareto_machine){s->cluster, s->model, (int)s->ranks, (int)s->batch, 0, (int)s->n_predict};
    int rc = sim_job_tokens(app, &m->prompt, d);
    if (!rc && !m->cards) m->cards = app->cluster.n_cards;
    return rc || m->cards
               ? rc
               : diag_set(d, ERR_USAGE, "report pareto: %.200s has no number of cards: give --ranks N", s->cluster);
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct study st = {.app = app, .page = page, .d = d, .quick = app->spec.quick};
    struct pareto_losses l;
    struct tables t = {0};
    struct pareto_machine own = {0};
    int n = st.quick ? QUICK_MACHINES : MACHINES, again = CHECKED;
    int rc = asked(&own, app, d);
    if (st.quick || own.cluster) again = QUICK_CHECKED;
    if (!rc) rc = pareto_losses_read(&l, app, d);
    if (rc) return rc;
    rc = pareto_losses_check(&l, app, again, d);
    t.order = order_table(page);
    t.alone = alone_table(page);
    t.fronts = fronts_table(page);
    t.front = front_table(page);
    t.points = points_table(page);
    for (int i = 0; i < (own.cluster ? 1 : n) && !rc; i++)
        rc = do_machine(&t, own.cluster ? &own : &machines[i], &l, &st);
    if (!rc) {
        char text[2][640];
        report_lead(
            page,
            "What to save first, machine (users): for time %s; for energy %s (estimated; loss as KL divergence, "
            "measured on the bundled decoder).",
            lead(text[0], &t, PARETO_TIME), lead(text[1], &t, PARETO_ENERGY));
        report_say(
            page,
            "%d points of the fronts were simulated too: the farthest is %.2g %% from its estimate. %d of %d measured "
            "losses (n = %d predictions each) were measured again, with the same result.",
            t.simulated, 100 * t.most_off, again, l.n, l.at[0].n);
    }
    pareto_losses_free(&l);
    return rc;
}

const struct report report_pareto = {
    .name = "pareto",
    .summary = "which bytes to save first: loss of quality against time and energy on described machines",
    .text =
        "What fewer bits and fewer messages lose in predictions, measured, against the time and energy they save on\n"
        "described machines: fronts, and the order in which to save.",
    .make = make,
    .figures = pareto_figures,
};
