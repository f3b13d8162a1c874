/* What 1 % more of a number changes, exactly, and how far that goes: beside simulations with 1.5 times as much.
 *
 * The time T of the last token is the sum of its critical path's shares, each of which is proportional to one kind of
 * number as long as the path stays: with memory m, compute c, link bandwidth b, link latency l (parts of T),
 *
 *   d ln T / d ln(memory bandwidth) = -m   (link bandwidth) = -b   (compute) = -c   (link latency) = l
 *
 * and with a number k times as great, path and all, T' = T (1 - s + s / k) for a rate, T (1 - s + s k) for the latency.
 * Of the energy a token, E = sum of idle powers x T + (active - idle) power x time at work + what bytes, operations and
 * messages take by themselves, the last part stays, so
 *
 *   d ln E / d ln x = (idle energy x d ln T / d ln x + d(energy of time at work) / d ln x) / E
 *
 * The time at work is the sum of all steps, on the path or not: it is added up once more with x changed by 1 %. */
#include <math.h>

#include "maps.h"

#define CHANGE 1.5
#define LITTLE 1.01

static const struct {
    const char *cluster, *model, *quant, *mode, *strategy;
    int cards, users, quick;
} jobs[] = {
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "pp8", 8, 1, 1},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "tp2xpp4", 8, 1, 0},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "tp4xpp2", 8, 1, 0},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "tp8", 8, 1, 1},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "pp8", 8, 8, 0},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "tp2xpp4", 8, 8, 1},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "tp4xpp2", 8, 8, 0},
    {"h100-sxm-8", "llama3-8b", "Q4_0", "a16", "tp8", 8, 8, 1},
    {"l4", "llama3-8b", "Q4_0", "a16", "pp4", 4, 1, 0},
    {"l4", "llama3-8b", "Q4_0", "a16", "tp2xpp2", 4, 1, 0},
    {"l4", "llama3-8b", "Q4_0", "a16", "tp4", 4, 1, 1},
    {"northpole-16", "granite-3b-northpole", NULL, NULL, "northpole", 16, 1, 1},
    {"northpole-16", "granite-3b-northpole", NULL, NULL, "northpole", 16, 28, 0},
    {"boards-1gbe", "tinyllama-1.1b", "Q4_0", NULL, "pp4", 4, 1, 0},
    {"boards-1gbe", "tinyllama-1.1b", "Q4_0", NULL, "tp2xpp2", 4, 1, 0},
    {"boards-1gbe", "tinyllama-1.1b", "Q4_0", NULL, "tp4", 4, 1, 1},
    {"boards-1gbe", "tinyllama-1.1b", "Q4_0", NULL, "pp4", 4, 4, 0},
    {"boards-1gbe", "tinyllama-1.1b", "Q4_0", NULL, "tp4", 4, 4, 1},
};
enum { N_JOBS = sizeof jobs / sizeof *jobs };

/* ---- the numbers ---- */

static void set_memory(struct cluster *c, double x) {
    parameter_find("memory-bandwidth")->set(c, x);
}

static void set_links(struct cluster *c, double x) {
    parameter_find("link-bandwidth")->set(c, x);
}

static void set_latency(struct cluster *c, double x) {
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.L_ps = (uint64_t)nearbyint(x * (double)c->net.tier[i].link.L_ps);
}

static void set_compute(struct cluster *c, double x) {
    parameter_find("compute")->set(c, x);
}

static const struct {
    const char *text;
    enum net_share share;
    int sign; /* of what more of it does to time */
    void (*set)(struct cluster *c, double x);
} numbers[MAPS_NUMBERS] = {
    {"memory bandwidth", NET_MEMORY, -1, set_memory},
    {"link bandwidth", NET_BANDWIDTH, -1, set_links},
    {"link latency", NET_LATENCY, 1, set_latency},
    {"compute", NET_COMPUTE, -1, set_compute},
};

/* ---- one job ---- */

static double ms(const struct virtual_summary *v) {
    return v->latency_ms;
}

/* Joules of the time at work of a job on a changed cluster. */
static int active(double *J, const struct case_plan *p, const struct cluster *c, uint64_t total_ps, struct diag *d) {
    struct virtual_energy e;
    int rc = virtual_energy(&e, NULL, p->plan, c, p->trace, total_ps, d);
    *J = e.active_J;
    return rc;
}

static int one_number(struct maps_elasticity *out, const struct case_plan *p, const struct cluster *c,
                      const struct virtual_summary *v, int i, struct diag *d) {
    struct cluster changed = *c, little = *c;
    struct virtual_summary w;
    double E = virtual_energy_sum(&v->energy), more = 0, much = 0;
    double s = (double)v->critical.share[numbers[i].share] / (double)v->critical.ps;
    numbers[i].set(&changed, CHANGE);
    numbers[i].set(&little, LITTLE);
    int rc = case_summarize(&w, p, &changed, 0, d);
    if (!rc) rc = active(&more, p, &little, v->total_ps, d);
    if (!rc) rc = active(&much, p, &changed, v->total_ps, d);
    if (rc) return rc;
    double longer = numbers[i].sign > 0 ? s * (CHANGE - 1) : s * (1 / CHANGE - 1); /* of T, the path staying */
    double share_E = E + v->energy.idle_J * longer + much - v->energy.active_J, scale = log(CHANGE);
    out->exact[MAPS_TIME] = numbers[i].sign * s;
    out->exact[MAPS_ENERGY] =
        (v->energy.idle_J * out->exact[MAPS_TIME] + (more - v->energy.active_J) / log(LITTLE)) / E;
    out->secant[MAPS_TIME] = log1p(longer) / scale;
    out->secant[MAPS_ENERGY] = log(share_E / E) / scale;
    out->simulated[MAPS_TIME] = log(ms(&w) / ms(v)) / scale;
    out->simulated[MAPS_ENERGY] = log(virtual_energy_sum(&w.energy) / E) / scale;
    return 0;
}

int maps_elasticity(struct maps_elasticity out[MAPS_NUMBERS], struct virtual_summary *v, const struct case_plan *p,
                    const struct cluster *c, struct diag *d) {
    int rc = case_summarize(v, p, c, 0, d);
    for (int i = 0; i < MAPS_NUMBERS && !rc; i++)
        rc = one_number(&out[i], p, c, v, i, d);
    return rc;
}

/* ---- tables ---- */

static void columns(struct frame *t, struct frame *s) {
    frame_column(t, "cluster", "", 0);
    frame_column(t, "model", "", 0);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "users", "", 3);
    frame_column(t, "latency", "ms/token", 4);
    for (int i = 0; i < MAPS_NUMBERS; i++)
        frame_column(t, numbers[i].text, "of latency", 3);
    frame_column(t, "overhead", "share", 3);
    frame_column(t, "energy", "mJ/token", 4);
    for (int i = 0; i < MAPS_NUMBERS; i++)
        frame_column(t, numbers[i].text, "of energy", 3);
    frame_column(s, "cluster", "", 0);
    frame_column(s, "strategy", "", 0);
    frame_column(s, "users", "", 3);
    frame_column(s, "number", "", 0);
    for (int w = 0; w < MAPS_WANTS; w++) {
        frame_column(s, "exact", maps_want_name[w], 3);
        frame_column(s, "by shares", maps_want_name[w], 3);
        frame_column(s, "simulated", maps_want_name[w], 3);
        frame_column(s, "difference", maps_want_name[w], 2);
    }
}

static void add(struct frame *t, int j, const struct maps_elasticity e[MAPS_NUMBERS], const struct virtual_summary *v) {
    frame_text(t, "%s", jobs[j].cluster);
    frame_text(t, "%s", jobs[j].model);
    frame_text(t, "%s", jobs[j].strategy);
    frame_number(t, jobs[j].users);
    frame_number(t, ms(v));
    for (int i = 0; i < MAPS_NUMBERS; i++)
        frame_number(t, e[i].exact[MAPS_TIME]);
    frame_number(t, (double)v->critical.share[NET_OVERHEAD] / (double)v->critical.ps);
    frame_number(t, 1e3 * virtual_energy_sum(&v->energy) / (double)v->tokens);
    for (int i = 0; i < MAPS_NUMBERS; i++)
        frame_number(t, e[i].exact[MAPS_ENERGY]);
    frame_end_row(t);
}

static void add_secants(struct frame *s, int j, const struct maps_elasticity e[MAPS_NUMBERS], double *most) {
    for (int i = 0; i < MAPS_NUMBERS; i++) {
        frame_text(s, "%s", jobs[j].cluster);
        frame_text(s, "%s", jobs[j].strategy);
        frame_number(s, jobs[j].users);
        frame_text(s, "%s", numbers[i].text);
        for (int w = 0; w < MAPS_WANTS; w++) {
            double off = e[i].simulated[w] - e[i].secant[w];
            frame_number(s, e[i].exact[w]);
            frame_number(s, e[i].secant[w]);
            frame_number(s, e[i].simulated[w]);
            frame_number(s, off);
            *most = fmax(*most, fabs(off));
        }
        frame_end_row(s);
    }
}

static int one_job(struct maps *m, int j, struct frame *t, struct frame *s, double *most) {
    struct cluster c;
    struct maps_elasticity e[MAPS_NUMBERS];
    struct virtual_summary v;
    struct case_plan *p = NULL;
    struct study_case on = {.cluster = &c,
                            .model = jobs[j].model,
                            .quant = jobs[j].quant,
                            .mode = jobs[j].mode,
                            .strategy = jobs[j].strategy,
                            .cards = jobs[j].cards,
                            .users = jobs[j].users,
                            .prompt = 128,
                            .generate = 128};
    int rc = case_cluster(&c, jobs[j].cluster, m->d);
    if (!rc) rc = case_open(&p, &on, m->app, m->d);
    if (!rc) rc = maps_elasticity(e, &v, p, &c, m->d);
    if (!rc) add(t, j, e, &v);
    if (!rc) add_secants(s, j, e, most);
    case_close(p);
    return rc;
}

int maps_elasticities(struct maps *m) {
    double most = 0;
    int rc = 0;
    struct frame *t =
        report_table(m->page, "elasticities", "What 1 % more of a number changes, in %",
                     "d ln(latency) and d ln(energy a token) by d ln(number), from the shares of simulated "
                     "critical paths\nand the terms of the energy (modelled); n = 1. As many "
                     "micro-batches as stages; prompts of 128, 128 tokens each.");
    struct frame *s = report_table(
        m->page, "secants", "The same beside simulations with 1.5 times as much",
        "Exact: as above. By shares: what they say of 1.5 times as much if the path stays. Simulated: ln of the ratio "
        "over\nln 1.5. A difference is a path that changes.");
    columns(t, s);
    for (int j = 0; j < N_JOBS && !rc; j++)
        if (!m->app->spec.quick || jobs[j].quick) rc = one_job(m, j, t, s, &most);
    if (!rc)
        report_say(
            m->page,
            "Elasticities of time are exact: shares of critical paths. With %g times as much of a number, simulations "
            "of %d jobs differ from what the shares say of that by at most %.3f in the exponent (simulated, n = 1; "
            "energy "
            "modelled).",
            CHANGE, frame_rows(t), most);
    return rc;
}
