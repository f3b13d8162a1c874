/* How far links may fall before tensor parallelism stops paying, and how low a GPU's latency gets with any number of
 * cards. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "maps.h"
#include "northpole.h"

/* ---- how far links may fall ---- */

static const struct {
    const char *cluster, *model, *mode;
    int quick;
} reaches[] = {
    {"h100-sxm", "llama3-8b", "a16", 1},
    {"h100-sxm", "llama3-70b", "a16", 0},
    {"l4", "llama3-8b", "a16", 0},
    {"boards-1gbe", "tinyllama-1.1b", NULL, 1},
};
enum { N_REACHES = sizeof reaches / sizeof *reaches, ONE = 0, PIPELINE = 1, TENSOR = 2 };

/* Time of the tensor-parallel family over that of another one. */
struct over {
    struct maps_set *set;
    int family;
};

static int ratio(void *user, const struct cluster *c, double *out, struct diag *d) {
    const struct over *o = user;
    struct maps_look l;
    int rc = maps_look(&l, o->set, c, MAPS_TIMES, d);
    if (!rc) *out = l.pick[MAPS_TIME][TENSOR].is.want[MAPS_TIME] / l.pick[MAPS_TIME][o->family].is.want[MAPS_TIME];
    return rc;
}

/* One number at which both take equally long, NaN: none, and what simulations say there. */
static int add_root(struct maps *m, struct frame *t, const struct cluster *c, struct over *o, const char *name,
                    double unit, double *x) {
    const struct parameter *p = parameter_find(name);
    struct reached r = {0};
    struct maps_look l;
    struct cluster there = *c;
    int rc = parameter_reach(&r, p, c, 1, 1e-5, ratio, o, m->d);
    *x = NAN;
    if (!rc && r.found) {
        p->set(&there, r.x);
        rc = maps_look(&l, o->set, &there, MAPS_SIMULATES, m->d);
        *x = unit * r.x;
    }
    frame_number(t, *x);
    frame_number(t, rc || isnan(*x) ? NAN
                                    : l.pick[MAPS_TIME][TENSOR].is.want[MAPS_TIME] /
                                          l.pick[MAPS_TIME][o->family].is.want[MAPS_TIME]);
    return rc;
}

static void say_reach(struct maps *m, int i, int users, const char *tensor, const char *against, double over,
                      double link, double latency) {
    char times[48] = "no bandwidth of links", more[48] = "with more latency nowhere";
    if (!isnan(link)) snprintf(times, sizeof times, "links of %.3g times the bandwidth", link);
    if (!isnan(latency)) snprintf(more, sizeof more, "or with %.3g us more of latency", latency);
    report_say(m->page,
               "%s, %s, %d user%s: %s takes %.3g times the time of %s; they take equally long with %s, %s "
               "(simulated, n = 1; roots estimated).",
               reaches[i].cluster, reaches[i].model, users, users > 1 ? "s" : "", tensor, over, against, times, more);
}

/* Against one other family. */
static int add_against(struct maps *m, struct frame *t, const struct cluster *c, int i, int users, struct maps_set *set,
                       int f) {
    struct over o = {set, f};
    struct maps_look l;
    double link = NAN, latency = NAN;
    int rc = maps_look(&l, set, c, MAPS_SIMULATES, m->d);
    if (rc) return rc;
    int there = l.pick[MAPS_TIME][f].plan >= 0 && l.pick[MAPS_TIME][TENSOR].plan >= 0;
    double over = there ? l.pick[MAPS_TIME][TENSOR].is.want[MAPS_TIME] / l.pick[MAPS_TIME][f].is.want[MAPS_TIME] : NAN;
    frame_text(t, "%s", reaches[i].cluster);
    frame_text(t, "%s", reaches[i].model);
    frame_number(t, users);
    frame_text(t, "%s", set->strategy[TENSOR]);
    frame_text(t, "%s", set->strategy[f]);
    frame_number(t, over);
    frame_text(t, "%s", !there ? "no room" : over < 1 ? "pays" : "does not pay");
    for (int k = 0; k < 4 && !there; k++)
        frame_number(t, NAN);
    if (there) rc = add_root(m, t, c, &o, "link-bandwidth", 1, &link);
    if (there && !rc) rc = add_root(m, t, c, &o, "link-latency", 1e6, &latency);
    frame_end_row(t);
    if (!rc && !strcmp(set->strategy[f], "pp8"))
        say_reach(m, i, users, set->strategy[TENSOR], set->strategy[f], over, link, latency);
    return rc;
}

static int reach_one(struct maps *m, struct frame *t, int i, int users, int n) {
    char pipeline[16], tensor[16];
    const char *const families[] = {"1", pipeline, tensor};
    struct cluster c;
    struct maps_set set = {0};
    struct study_case on = {.cluster = &c,
                            .model = reaches[i].model,
                            .quant = "Q4_0",
                            .mode = reaches[i].mode,
                            .users = users,
                            .prompt = 128,
                            .generate = 128};
    snprintf(pipeline, sizeof pipeline, "pp%d", n);
    snprintf(tensor, sizeof tensor, "tp%d", n);
    int rc = case_cluster(&c, reaches[i].cluster, m->d);
    if (!rc) rc = maps_open(&set, &on, families, 3, 1, m->app, m->d);
    for (int f = ONE; f <= PIPELINE && !rc; f++)
        rc = add_against(m, t, &c, i, users, &set, f);
    maps_close(&set);
    return rc;
}

static int list_reaches(struct maps *m) {
    struct frame *t = report_table(
        m->page, "reach", "How far links may fall before tensor parallelism stops paying",
        "Over: time of tp over that of one card, and over that of a pipeline of as many cards, on the cluster as "
        "described. Links:\ntheir bandwidth, times what is described, at which both take equally long; latency: what "
        "would have to be added for that.\nEstimated roots with the simulated ratio there (n = 1); -: none from 1e-4 "
        "to "
        "1e3 times, or up to 1 s.");
    int rc = 0;
    frame_column(t, "cluster", "", 0);
    frame_column(t, "model", "", 0);
    frame_column(t, "users", "", 3);
    frame_column(t, "tensor", "", 0);
    frame_column(t, "against", "", 0);
    frame_column(t, "over", "x", 3);
    frame_column(t, "as described", "", 0);
    frame_column(t, "links", "x", 3);
    frame_column(t, "over with these", "x", 5);
    frame_column(t, "latency", "+ us", 3);
    frame_column(t, "over with it", "x", 5);
    for (int i = 0; i < N_REACHES && !rc; i++)
        for (int users = 1; users <= 8 && !rc; users += 7)
            for (int n = 2; n <= 8 && !rc; n *= 2)
                if (!m->app->spec.quick || (reaches[i].quick && users == 1)) rc = reach_one(m, t, i, users, n);
    return rc;
}

/* ---- how low GPUs get ---- */

enum { MOST_CARDS = 64, MOST_TENSOR = 32 };

static void floor_columns(struct frame *t) {
    frame_column(t, "cluster", "", 0);
    frame_column(t, "cards", "", 3);
    frame_column(t, "users", "", 3);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "all-reduce", "", 0);
    frame_column(t, "latency", "ms/token", 4);
    for (int i = 0; i < NET_SHARES; i++)
        frame_column(t, study_share_name[i], "%", 3);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "kind", "", 0);
}

static void add_point(struct frame *t, const char *cluster, int cards, int users, const char *strategy,
                      const char *algo, const struct maps_value *v) {
    frame_text(t, "%s", cluster);
    frame_number(t, cards);
    frame_number(t, users);
    frame_text(t, "%s", strategy);
    frame_text(t, "%s", algo);
    frame_number(t, v->want[MAPS_TIME]);
    for (int i = 0; i < NET_SHARES; i++)
        frame_number(t, 100 * v->share[i]);
    frame_number(t, v->want[MAPS_ENERGY]);
    frame_text(t, "simulated");
    frame_end_row(t);
}

/* The best of all tp x pp of so many cards; *out: infinite where none has room. */
static int gpu_point(struct maps *m, struct frame *t, const struct cluster *c, int cards, struct maps_value *out) {
    char text[MAPS_MOST_FAMILIES][24];
    const char *families[MAPS_MOST_FAMILIES];
    int n = 0;
    struct maps_set set = {0};
    struct maps_look l;
    struct study_case on = {.cluster = c,
                            .model = "granite-3b-northpole",
                            .quant = "Q4_0",
                            .head = "F16",
                            .mode = "a16",
                            .users = 1,
                            .prompt = 128,
                            .generate = 128};
    for (int tp = 1; tp <= cards && tp <= MOST_TENSOR; tp *= 2, n++) {
        families[n] = text[n];
        snprintf(text[n], sizeof *text, "tp%dxpp%d", tp, cards / tp);
    }
    int rc = maps_open(&set, &on, families, n, 1, m->app, m->d);
    if (!rc) rc = maps_look(&l, &set, c, MAPS_SIMULATES, m->d);
    int best = rc ? -1 : maps_winner(&l, MAPS_TIME, 0, n);
    *out = (struct maps_value){{INFINITY, INFINITY}, {0}};
    if (best >= 0) {
        const struct maps_pick *p = &l.pick[MAPS_TIME][best];
        const struct maps_plan *plan = &set.plan[p->plan];
        *out = p->is;
        add_point(t, c->name, cards, 1, plan->at->plan->strategy.text, plan->algo, &p->is);
    }
    maps_close(&set);
    return rc;
}

/* step: of overhead, in us, which no file has for GPUs; kernels of a recorded graph follow each other in about 1 us. */
static int gpu_curve(struct maps *m, struct frame *t, const char *name, int step) {
    struct cluster c;
    struct maps_value v, least = {{INFINITY, 0}, {0}};
    double first = INFINITY;
    int rc = case_cluster(&c, name, m->d), at = 0, fewest = 0, factor = m->app->spec.quick ? 8 : 2;
    if (rc) return rc;
    parameter_find("step-overhead")->set(&c, 1e-6 * step);
    if (step) snprintf(c.name, sizeof c.name, "%s +%dus/step", name, step);
    for (int cards = 1; cards <= MOST_CARDS && !rc; cards *= factor) {
        rc = gpu_point(m, t, &c, cards, &v);
        if (rc) break;
        if (!fewest && isfinite(v.want[MAPS_TIME])) first = v.want[MAPS_TIME], fewest = cards;
        if (v.want[MAPS_TIME] < least.want[MAPS_TIME]) least = v, at = cards;
    }
    if (!rc && at)
        report_say(
            m->page,
            "%s: of 1 to %d cards, by factors of %d, %d have the least latency for one user of granite-3b, %.3g ms, "
            "%.1f times less than %d: %.0f %% memory, %.0f %% links' latency, %.0f %% links' bandwidth, %.0f %% "
            "overhead (simulated, n = 1).",
            c.name, MOST_CARDS, factor, at, least.want[MAPS_TIME], first / least.want[MAPS_TIME], fewest,
            100 * least.share[NET_MEMORY], 100 * least.share[NET_LATENCY], 100 * least.share[NET_BANDWIDTH],
            100 * least.share[NET_OVERHEAD]);
    return rc;
}

/* The published system, as described, and what was published of it. */
static int northpole_point(struct maps *m, struct frame *t, int users) {
    struct cluster c;
    struct case_plan *p = NULL;
    struct virtual_summary s;
    struct maps_value v;
    int rc = case_cluster(&c, "northpole-16", m->d);
    struct study_case on = northpole_case(&c);
    on.users = users;
    on.micro = (users + 1) / 2;
    on.prompt = on.generate = 128;
    if (!rc) rc = case_open(&p, &on, m->app, m->d);
    if (!rc) rc = case_summarize(&s, p, &c, 0, m->d);
    if (!rc) maps_value_of(&v, &s);
    if (!rc) add_point(t, c.name, on.cards, users, on.strategy, "", &v);
    case_close(p);
    return rc;
}

static void add_published(struct frame *t) {
    frame_text(t, "northpole-16");
    frame_number(t, 16);
    frame_number(t, NORTHPOLE_USERS);
    frame_text(t, "northpole");
    frame_text(t, "%s", "");
    frame_number(t, 1e3 * NORTHPOLE_USERS / NORTHPOLE_TOK_S);
    for (int i = 0; i < NET_SHARES; i++)
        frame_number(t, NAN);
    frame_number(t, 1e3 * 16 * NORTHPOLE_CARD_W / NORTHPOLE_TOK_S);
    frame_text(t, "published");
    frame_end_row(t);
}

static int list_floors(struct maps *m) {
    static const char *const gpus[] = {"l4", "a100-sxm", "h100-sxm"};
    struct frame *t = report_table(m->page, "floors",
                                   "Least latency by number of cards: granite-3b, one user, the best of all tp x pp",
                                   "GPUs: 4-bit weights, 16-bit activations, 8 cards (L4: 4) a server, servers on "
                                   "InfiniBand. Simulated, n = 1: as "
                                   "described,\nwithout overheads of programs, which is a bound, and with 1 us for "
                                   "each step (assumed). NorthPole: its own "
                                   "layout as\ndescribed, and as published (1024 + 1024 tokens).");
    int rc = 0;
    floor_columns(t);
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus && !rc; i++)
        for (int step = 0; step <= !m->app->spec.quick && !rc; step++)
            rc = gpu_curve(m, t, gpus[i], step);
    for (int users = 1; users <= NORTHPOLE_USERS && !rc; users += NORTHPOLE_USERS - 1)
        rc = northpole_point(m, t, users);
    if (!rc) add_published(t);
    return rc;
}

int maps_reach(struct maps *m) {
    int rc = list_reaches(m);
    return rc ? rc : list_floors(m);
}
