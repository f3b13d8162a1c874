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

/* Of tensor parallelism on eight cards against a pipeline of them. */
struct paying {
    struct study_span link, latency; /* one user: at which both take equally long */
    int pairs, pays, all; /* one user: pairs of cluster and model, where it pays; and with any number of users */
    char none[1024]; /* where it does not */
};

static void add_paying(struct paying *p, int i, int users, double over, double link, double latency) {
    size_t n = strlen(p->none);
    p->all++;
    if (users == 1) {
        p->pairs++;
        p->pays += over < 1;
    }
    if (!(over < 1)) {
        snprintf(p->none + n, sizeof p->none - n, "%s%s on %s with %d user%s (%.3g times as long)", n ? ", " : "",
                 reaches[i].model, reaches[i].cluster, users, users > 1 ? "s" : "", over);
    } else if (users == 1) {
        study_span_add(&p->link, link);
        study_span_add(&p->latency, latency);
    }
}

/* "; both take equally long with 15.9 to 364 us more latency (4 pairs)" behind what there is. */
static void tell_equal(char *text, size_t cap, const struct study_span *x, const char *before, const char *behind) {
    char numbers[64];
    size_t n = strlen(text);
    if (x->n)
        snprintf(text + n, cap - n, "%s with %s%s%s (%d pair%s)", n ? ", or" : "; both take equally long", before,
                 study_span_text(x, 3, numbers), behind, x->n, x->n > 1 ? "s" : "");
}

static void say_reach(struct maps *m, const struct paying *p) {
    char equal[256] = "";
    tell_equal(equal, sizeof equal, &p->link, "links of ", " times their bandwidth");
    tell_equal(equal, sizeof equal, &p->latency, "", " us more latency");
    if (p->pairs)
        report_say(m->page,
                   "Tensor parallelism on eight cards takes less time than a pipeline of them for 1 user on %d of %d "
                   "pairs of cluster and model%s. Of all %d jobs it takes as long or longer for %s (simulated, n = 1; "
                   "roots estimated).",
                   p->pays, p->pairs, equal, p->all, p->none[0] ? p->none : "none");
}

/* Against one other family. */
static int add_against(struct maps *m, struct frame *t, const struct cluster *c, int i, int users, struct maps_set *set,
                       int f, struct paying *paying) {
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
    if (!rc && there && !strcmp(set->strategy[f], "pp8")) add_paying(paying, i, users, over, link, latency);
    return rc;
}

static int reach_one(struct maps *m, struct frame *t, int i, int users, int n, struct paying *paying) {
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
        rc = add_against(m, t, &c, i, users, &set, f, paying);
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
    struct paying paying = {0};
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
                if (!m->app->spec.quick || (reaches[i].quick && users == 1)) rc = reach_one(m, t, i, users, n, &paying);
    if (!rc) say_reach(m, &paying);
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

struct floor {
    int cards; /* with the least latency; 0: none has room */
    double ms;
};

static int step_of_cards(const struct maps *m) {
    return m->app->spec.quick ? 8 : 2;
}

/* step: of overhead, in us, which no file has for GPUs; kernels of a recorded graph follow each other in about 1 us. */
static int gpu_curve(struct maps *m, struct frame *t, const char *name, int step, struct floor *out) {
    struct cluster c;
    struct maps_value v;
    int rc = case_cluster(&c, name, m->d);
    if (rc) return rc;
    parameter_find("step-overhead")->set(&c, 1e-6 * step);
    if (step) snprintf(c.name, sizeof c.name, "%s +%dus/step", name, step);
    for (int cards = 1; cards <= MOST_CARDS && !rc; cards *= step_of_cards(m)) {
        rc = gpu_point(m, t, &c, cards, &v);
        if (!rc && isfinite(v.want[MAPS_TIME]) && (!out->cards || v.want[MAPS_TIME] < out->ms))
            *out = (struct floor){cards, v.want[MAPS_TIME]};
    }
    return rc;
}

/* As described and, but for --quick, with overhead: "8 of h100-sxm with 0.161 ms (8 with 0.32)" behind what there is.
 */
static int gpu_curves(struct maps *m, struct frame *t, const char *name, char *text, size_t cap) {
    struct floor is = {0}, with = {0};
    size_t n = strlen(text);
    int rc = gpu_curve(m, t, name, 0, &is);
    if (!rc && !m->app->spec.quick) rc = gpu_curve(m, t, name, 1, &with);
    if (rc || !is.cards) return rc;
    n += (size_t)snprintf(text + n, cap - n, "%s%d of %s with %.3g ms", n ? ", " : "", is.cards, name, is.ms);
    if (with.cards) snprintf(text + n, cap - n, " (%d with %.3g)", with.cards, with.ms);
    return 0;
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
    char least[256] = "";
    int rc = 0;
    floor_columns(t);
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus && !rc; i++)
        rc = gpu_curves(m, t, gpus[i], least, sizeof least);
    if (!rc && least[0])
        report_say(m->page,
                   "Least latency for one user of granite-3b, of 1 to %d cards by factors of %d: %s%s (simulated, n = "
                   "1; as described, which is a bound).",
                   MOST_CARDS, step_of_cards(m), least,
                   m->app->spec.quick ? "" : ", in brackets with 1 us more for each step, assumed");
    for (int users = 1; users <= NORTHPOLE_USERS && !rc; users += NORTHPOLE_USERS - 1)
        rc = northpole_point(m, t, users);
    if (!rc) add_published(t);
    return rc;
}

int maps_reach(struct maps *m) {
    int rc = list_reaches(m);
    return rc ? rc : list_floors(m);
}
