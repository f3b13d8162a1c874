/* The GPUs that the paper compares with, under the serving software of 2024: two fitted numbers, two predictions, and
 * the curves of its figure 2.
 *
 * What is published of them are ratios to NorthPole; the points come from those ratios, TDP and transistors (each ratio
 * is rounded: 0.1 to 0.4 %). Batches and numbers of cards follow from throughput x latency = batch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "northpole.h"

enum { N_GPUS = NORTHPOLE_GPUS };

struct gpu {
    const char *name, *file; /* cluster-configs/FILE.yaml */
    double tdp_W, transistors; /* of a card: the paper's metrics divide by one fixed power */
    struct cluster described, served; /* served: with the time of the host */
};

enum { LATENCY, ENERGY, SPACE, CARD, METRICS };

/* A published point, by its ratios to NorthPole: latency, energy, space, throughput of a card; 0: not given. */
struct point {
    const char *text, *role;
    int gpu, cards, batch;
    double tok_s_card; /* reconstructed from one of its ratios */
    int from;
    double ratio[METRICS];
};

static const struct point points[] = {
    {"H100, lowest latency of a GPU", "fitted", 3, 1, 1, 406.3, ENERGY, {2.5, 72.7, 15.9, 0}},
    {"A100, best space metric", "fitted", 2, 1, 64, 3192.9, LATENCY, {20.3, 5.3, 1.4, 0}},
    {"L4, best energy metric", "prediction", 0, 1, 64, 1382.0, LATENCY, {46.9, 2.2, 2.1, 1.3}},
    {"4 x L4, lowest latency of L4", "prediction", 0, 4, 1, 49.23, CARD, {5.1, 0, 0, 36.0}},
};
enum { N_POINTS = sizeof points / sizeof *points, H100_POINT = 0, A100_POINT = 1, L4_4_POINT = 3 };

struct gpus {
    struct northpole *n;
    struct gpu gpu[N_GPUS];
    double memory; /* the share of its peak bandwidth that memory gives */
    double pass_s, sequence_s; /* fitted time of the host, with that share */
    struct {
        double is, low, high; /* of a card, tok/s: at the peak of memory with links as described; of all rows */
    } tok_s[N_POINTS];
};

static int open_gpus(struct gpus *g) {
    static const struct gpu known[N_GPUS] = {
        {.name = "L4", .file = "l4", .tdp_W = 72, .transistors = 35.8e9},
        {.name = "L40S", .file = "l40s", .tdp_W = 350, .transistors = 76.3e9},
        {.name = "A100 SXM", .file = "a100-sxm", .tdp_W = 400, .transistors = 54.2e9},
        {.name = "H100 SXM", .file = "h100-sxm", .tdp_W = 700, .transistors = 80e9},
    };
    int rc = 0;
    memcpy(g->gpu, known, sizeof known);
    for (int i = 0; i < N_GPUS && !rc; i++)
        rc = case_cluster(&g->gpu[i].described, g->gpu[i].file, g->n->d);
    return rc;
}

/* 4.5 bits a weight stand for groups of 128 with 4.16. */
struct study_case northpole_serving(const struct cluster *c, int cards, int batch) {
    return (struct study_case){.cluster = c,
                               .model = "granite-3b-northpole",
                               .quant = "Q4_0",
                               .head = "F16",
                               .mode = "a16",
                               .strategy = cards > 1 ? "tp" : "1",
                               .cards = cards,
                               .users = batch,
                               .micro = 1,
                               .prompt = 1024,
                               .generate = 1024,
                               .chunk = 1024};
}

/* ---- the two numbers ---- */

static void add_host_time(struct cluster *c, double pass_s, double sequence_s) {
    parameter_find("pass-overhead")->set(c, pass_s);
    parameter_find("sequence-overhead")->set(c, sequence_s);
}

struct asked {
    struct northpole *n;
    const struct point *point;
};

static int tok_s_card(void *user, const struct cluster *c, double *out, struct diag *d) {
    const struct asked *a = user;
    struct study_case on = northpole_serving(c, a->point->cards, a->point->batch);
    struct virtual_summary s;
    int rc = case_simulate(&s, &on, a->n->app, d);
    if (!rc) *out = s.throughput / a->point->cards;
    return rc;
}

/* One of the two with the other given. */
static int fit_time(struct gpus *g, const char *parameter, int point, double pass_s, double sequence_s, double *out) {
    struct asked a = {g->n, &points[point]};
    struct cluster c = g->gpu[points[point].gpu].described;
    struct reached r;
    parameter_find("memory-bandwidth")->set(&c, g->memory);
    add_host_time(&c, pass_s, sequence_s);
    int rc = parameter_reach(&r, parameter_find(parameter), &c, points[point].tok_s_card,
                             g->n->app->spec.quick ? 1e-4 : 1e-7, tok_s_card, &a, g->n->d);
    if (!rc && !r.found)
        rc = diag_set(g->n->d, ERR_RANGE, "report northpole: no %s makes %s serve %.1f tok/s: %.1f is the nearest",
                      parameter, points[point].text, points[point].tok_s_card, r.nearest);
    *out = r.x;
    return rc;
}

/* In turns: each step's error shrinks with the batches' ratio. */
static int fit_host(struct gpus *g, double memory) {
    enum { MOST = 30 };
    double before = 1, within = g->n->app->spec.quick ? 1e-3 : 1e-9;
    int rc = 0;
    g->memory = memory;
    for (int i = 0; i < MOST && !rc && fabs(g->pass_s - before) > within * before; i++) {
        before = g->pass_s;
        rc = fit_time(g, "pass-overhead", H100_POINT, 0, g->sequence_s, &g->pass_s);
        if (!rc) rc = fit_time(g, "sequence-overhead", A100_POINT, g->pass_s, 0, &g->sequence_s);
    }
    for (int i = 0; i < N_GPUS; i++) {
        g->gpu[i].served = g->gpu[i].described;
        parameter_find("memory-bandwidth")->set(&g->gpu[i].served, memory);
        add_host_time(&g->gpu[i].served, g->pass_s, g->sequence_s);
    }
    return rc;
}

/* ---- the points ---- */

/* latency_us: of the links among its cards; below 0: as described. */
static int add_point(struct gpus *g, struct frame *t, int i, double latency_us) {
    const struct point *p = &points[i];
    struct asked a = {g->n, p};
    struct cluster c = g->gpu[p->gpu].served;
    uint64_t *L_ps = &c.net.tier[0].link.L_ps;
    double tok_s;
    if (latency_us >= 0) *L_ps = (uint64_t)(1e6 * latency_us);
    int rc = tok_s_card(&a, &c, &tok_s, g->n->d);
    if (rc) return rc;
    if (latency_us < 0) g->tok_s[i].is = tok_s;
    g->tok_s[i].low = g->tok_s[i].low > 0 ? fmin(g->tok_s[i].low, tok_s) : tok_s;
    g->tok_s[i].high = fmax(g->tok_s[i].high, tok_s);
    frame_text(t, "%s", p->text);
    frame_text(t, "%s", p->role);
    frame_number(t, g->memory);
    frame_number(t, 1e3 * g->pass_s);
    frame_number(t, 1e6 * g->sequence_s);
    frame_number(t, p->cards > 1 ? 1e-6 * (double)*L_ps : NAN);
    frame_number(t, p->tok_s_card);
    frame_number(t, tok_s);
    frame_number(t, 100 * (tok_s / p->tok_s_card - 1));
    frame_number(t, 1e3 * p->batch / (tok_s * p->cards));
    frame_end_row(t);
    return 0;
}

/* All points with one share of the memory's peak. */
static int add_points(struct gpus *g, struct frame *t, double memory) {
    static const double latency_us[] = {1, 10, 20, 40};
    int rc = fit_host(g, memory);
    for (int i = 0; i < N_POINTS && !rc; i++)
        rc = add_point(g, t, i, -1);
    for (int i = 0; i < 4 && !rc; i += g->n->app->spec.quick ? 3 : 1)
        rc = add_point(g, t, L4_4_POINT, latency_us[i]);
    return rc;
}

/* What the sources leave open, and last what the curves are drawn with: the peaks of the data sheets. */
static int show_points(struct gpus *g) {
    static const double memory[] = {0.8, 0.9, 1};
    struct frame *t = report_table(g->n->page, "gpu_points", "GPUs under the serving software of 2024",
                                   "Two numbers are fitted, the same for all: the time of the host for a pass and for "
                                   "each of its sequences (H100 at\n"
                                   "batch 1, A100 at 64). What the sources leave open is shown: the share of its peak "
                                   "that memory gives (data sheets\n"
                                   "have the peak), and the latency of the links of L4. Others have measured 4 to 13 "
                                   "ms between the passes of this\n"
                                   "software (vllm-project/vllm, issue 6854). Published: reconstructed from ratios, as "
                                   "the table itself was not seen.");
    int rc = 0;
    frame_column(t, "point", "", 0);
    frame_column(t, "role", "", 0);
    frame_column(t, "memory", "of peak", 2);
    frame_column(t, "host, pass", "ms", 4);
    frame_column(t, "sequence", "us", 4);
    frame_column(t, "links", "us", 3);
    frame_column(t, "published", "tok/s/card", 5);
    frame_column(t, "model", "tok/s/card", 5);
    frame_column(t, "off by", "%", 2);
    frame_column(t, "model", "ms/token", 4);
    for (int i = 0; i < 3 && !rc; i += g->n->app->spec.quick ? 2 : 1) /* both ends */
        rc = add_points(g, t, memory[i]);
    return rc;
}

/* ---- the claims ---- */

/* NorthPole's metric over the point's; NorthPole by its published throughput, which the fits give exactly. */
static double ratio_of(const struct gpus *g, const struct point *p, double tok_s, int metric) {
    const struct gpu *u = &g->gpu[p->gpu];
    double own = NORTHPOLE_TOK_S / 16;
    switch (metric) {
    case LATENCY: return 1e3 * p->batch / (tok_s * p->cards) / (1e3 * NORTHPOLE_USERS / NORTHPOLE_TOK_S);
    case ENERGY: return own / NORTHPOLE_CARD_W / (tok_s / u->tdp_W);
    case SPACE: return own / NORTHPOLE_TRANSISTORS / (tok_s / u->transistors);
    default: return own / tok_s;
    }
}

static void set_ratios(const struct gpus *g, struct northpole_ratio *out) {
    static const char *const metric[METRICS] = {"latency", "energy", "space", "throughput of a card"};
    for (int i = 0; i < N_POINTS; i++)
        for (int m = 0; m < METRICS; m++) {
            const struct point *p = &points[i];
            if (p->ratio[m] == 0) continue;
            *out++ = (struct northpole_ratio){.against = p->text,
                                              .metric = metric[m],
                                              .role = p->role,
                                              .leads = m == p->from,
                                              .published = p->ratio[m],
                                              .agrees = ratio_of(g, p, p->tok_s_card, m),
                                              .ours = ratio_of(g, p, g->tok_s[i].is, m),
                                              .low = ratio_of(g, p, g->tok_s[i].high, m),
                                              .high = ratio_of(g, p, g->tok_s[i].low, m)};
        }
}

static void show_ratios(const struct gpus *g, const struct northpole_ratio *r) {
    struct frame *t = report_table(
        g->n->page, "claims", "Times better than GPUs: the paper's ratios and ours",
        "Power is a card's TDP at every batch, as the paper has it, and 42 W for NorthPole "
        "(measured): inputs. Ours:\nthe model's point, fitted or predicted as above, at the peaks of memory.");
    frame_column(t, "against", "", 0);
    frame_column(t, "metric", "", 0);
    frame_column(t, "role", "", 0);
    frame_column(t, "published", "x", 3);
    frame_column(t, "ours", "x", 4);
    for (int i = 0; i < NORTHPOLE_RATIOS; i++) {
        frame_text(t, "%s", r[i].against);
        frame_text(t, "%s", r[i].metric);
        frame_text(t, "%s", r[i].role);
        frame_number(t, r[i].published);
        frame_number(t, r[i].ours);
        frame_end_row(t);
    }
}

/* ---- figure 2 ---- */

static void add_curve_point(struct frame *t, const char *name, int cards, int batch, double tok_s, double W,
                            double transistors) {
    double latency = 1e3 * batch / (tok_s * cards);
    frame_text(t, "%s", name);
    frame_number(t, cards);
    frame_number(t, batch);
    frame_number(t, latency);
    frame_number(t, tok_s);
    frame_number(t, tok_s / W);
    frame_number(t, tok_s / (transistors / 1e9));
    frame_text(t, latency <= 50 ? "yes" : "no");
    frame_end_row(t);
}

static int add_curve(struct gpus *g, struct frame *t, const struct gpu *u, int cards) {
    static const int batch[] = {1, 2, 4, 8, 16, 32, 64, 128};
    for (int i = 0; i < 8; i += g->n->step) {
        struct study_case on = northpole_serving(&u->served, cards, batch[i]);
        struct virtual_summary s;
        struct diag own = {0};
        int rc = case_simulate(&s, &on, g->n->app, &own);
        if (rc == ERR_PLAN) return 0; /* no room for more */
        if (rc) return diag_set(g->n->d, rc, "%s", own.text);
        add_curve_point(t, u->name, cards, batch[i], s.throughput / cards, u->tdp_W, u->transistors);
    }
    return 0;
}

static int show_curves(struct gpus *g) {
    static const int cards[] = {1, 2, 4, 8};
    struct frame *t = report_table(
        g->n->page, "figure2", "The curves of figure 2: batches of 1 to 128, GPUs alone and sharded",
        "Simulated with the host's time as fitted, but for the rows as published (GPUs: reconstructed). Panels: (a) "
        "energy and (c) space metric\n"
        "against latency, one GPU each; (b) and (d) the same over up to 8 GPUs; (e) throughput of a card. The paper\n"
        "stops at 50 ms a token. That (e) is this one is our reading: its figure was not seen.");
    frame_column(t, "device", "", 0);
    frame_column(t, "cards", "", 3);
    frame_column(t, "batch", "", 3);
    frame_column(t, "latency", "ms/token", 4);
    frame_column(t, "a card", "tok/s", 4);
    frame_column(t, "energy", "tok/s/W", 4);
    frame_column(t, "space", "tok/s/1e9", 4);
    frame_column(t, "under 50 ms", "", 0);
    int rc = 0;
    add_curve_point(t, "NorthPole", 16, NORTHPOLE_USERS, NORTHPOLE_TOK_S / 16, NORTHPOLE_CARD_W, NORTHPOLE_TRANSISTORS);
    for (int i = 0; i < N_POINTS; i++) {
        const struct point *p = &points[i];
        add_curve_point(t, "GPU as published", p->cards, p->batch, p->tok_s_card, g->gpu[p->gpu].tdp_W,
                        g->gpu[p->gpu].transistors);
    }
    for (int c = 0; c < 4; c++)
        for (int i = 0; i < N_GPUS && !rc; i++)
            rc = add_curve(g, t, &g->gpu[i], cards[c]);
    return rc;
}

int northpole_served(struct northpole *n, struct cluster served[NORTHPOLE_GPUS]) {
    struct gpus *g = calloc(1, sizeof *g);
    if (!g) return diag_set(n->d, ERR_MEMORY, "no memory for the GPUs of the report");
    g->n = n;
    int rc = open_gpus(g);
    if (!rc) rc = fit_host(g, 1);
    for (int i = 0; i < N_GPUS; i++)
        served[i] = g->gpu[i].served;
    free(g);
    return rc;
}

static int with_gpus(struct northpole *n, struct northpole_ratio *r, double *pass_s, double *sequence_s, int curves) {
    struct gpus *g = calloc(1, sizeof *g);
    if (!g) return diag_set(n->d, ERR_MEMORY, "no memory for the GPUs of the report");
    g->n = n;
    int rc = open_gpus(g);
    if (!rc) rc = show_points(g);
    if (!rc) set_ratios(g, r);
    if (!rc) show_ratios(g, r);
    if (!rc && curves) rc = show_curves(g);
    *pass_s = g->pass_s;
    *sequence_s = g->sequence_s;
    free(g);
    return rc;
}

int northpole_gpu_points(struct northpole *n, struct northpole_ratio out[NORTHPOLE_RATIOS], double *pass_s,
                         double *sequence_s) {
    return with_gpus(n, out, pass_s, sequence_s, 0);
}

int northpole_gpus(struct northpole *n) {
    struct northpole_ratio ratio[NORTHPOLE_RATIOS];
    double pass_s, sequence_s;
    return with_gpus(n, ratio, &pass_s, &sequence_s, 1);
}
