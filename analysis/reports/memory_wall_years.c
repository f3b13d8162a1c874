/* The next ten years: a 70 B decode on eight H100 whose memory, links and arithmetic grow at the fitted rates.
 *
 * Every year is estimated afresh (partition/estimate.h): the plan chooses its all-reduce for that year's links as
 * fitted. What the fits leave open goes through by draws of their slopes, each drawn alone, with that plan. All but
 * year 0 is extrapolated. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory_wall.h"
#include "partition/estimate.h"

enum { YEARS = 10, DRAWS = 100, N_SCENARIOS = 6, FIRST_YEAR = 2022 };

struct scenario {
    const char *text;
    enum wall_rate links;
    int latency; /* 1: latencies and overheads of messages shrink as bandwidth grows */
    int users;
};

static const struct scenario scenarios[N_SCENARIOS] = {
    {"links at a lane's rate", WALL_LINK, 0, 1},           {"links at a device's rate", WALL_DEVICE_LINK, 0, 1},
    {"links and latency at it", WALL_DEVICE_LINK, 1, 1},   {"links at a lane's rate", WALL_LINK, 0, 64},
    {"links at a device's rate", WALL_DEVICE_LINK, 0, 64}, {"links and latency at it", WALL_DEVICE_LINK, 1, 64},
};

/* ---- one year ---- */

int wall_estimate(struct wall_decode *out, const struct app *app, const struct plan *p, const struct cluster *c,
                  struct diag *d) {
    struct estimate e;
    struct estimate_job job = {.n_seqs = (int)app->spec.batch,
                               .prompt_len = 1024,
                               .n_new = (int)app->spec.n_predict,
                               .chunk = (int)app->spec.chunk};
    int rc = plan_estimate(&e, p, c, &job, d);
    if (rc) return rc;
    out->ms = 1e-9 * (double)e.token_ps;
    for (int i = 0; i < NET_SHARES; i++)
        out->share[i] = (double)(e.total.share[i] - e.prefill.share[i]) / (double)e.decode_ps;
    return 0;
}

static int estimate_case(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                         struct diag *d) {
    (void)trace;
    return wall_estimate(user, app, p, &app->cluster, d);
}

int wall_decode(struct wall_decode *out, const struct study_case *on, const struct app *app, struct diag *d) {
    return case_use(on, app, estimate_case, out, d);
}

static uint64_t shrunk(uint64_t ps, double x) {
    return (uint64_t)nearbyint((double)ps / x);
}

static void grow(struct cluster *c, const struct scenario *s, const double slope[WALL_RATES], double years) {
    double links = trend_growth(slope[s->links], years);
    parameter_find("memory-bandwidth")->set(c, trend_growth(slope[WALL_DRAM], years));
    parameter_find("compute")->set(c, trend_growth(slope[WALL_PEAK], years));
    parameter_find("link-bandwidth")->set(c, links);
    for (int i = 0; i < c->net.n_tiers && s->latency; i++) {
        struct net_link *l = &c->net.tier[i].link;
        l->L_ps = shrunk(l->L_ps, links);
        l->o_send_ps = shrunk(l->o_send_ps, links);
        l->o_recv_ps = shrunk(l->o_recv_ps, links);
    }
}

double wall_link_share(const struct wall_decode *y) {
    return y->share[NET_BANDWIDTH] + y->share[NET_LATENCY];
}

const char *wall_binds(const struct wall_decode *y) {
    double link = wall_link_share(y), memory = y->share[NET_MEMORY], compute = y->share[NET_COMPUTE];
    if (memory >= link && memory >= compute) return "memory";
    if (compute >= link) return "compute";
    return y->share[NET_LATENCY] >= y->share[NET_BANDWIDTH] ? "link, latency" : "link, bandwidth";
}

/* ---- all years, by the fits and by their draws ---- */

struct future {
    struct memory_wall *w;
    const struct cluster *now;
    const struct scenario *s;
    int k; /* the year that is made */
    struct wall_decode year[YEARS + 1], drawn[DRAWS][YEARS + 1];
};

/* The first year, between whole ones by their logarithms, in which the link takes longer than memory; INFINITY: none of
 * these. */
static double crossing(const struct wall_decode year[YEARS + 1]) {
    double before = 0;
    for (int k = 0; k <= YEARS; k++) {
        double ahead = log(wall_link_share(&year[k]) / year[k].share[NET_MEMORY]);
        if (ahead >= 0) return k == 0 ? 0 : k - ahead / (ahead - before);
        before = ahead;
    }
    return INFINITY;
}

/* Year k by the fits, whose plan and cluster these are, and by all draws with the same plan. */
static int estimate_year(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                         struct diag *d) {
    struct future *f = user;
    int rc = wall_estimate(&f->year[f->k], app, p, &app->cluster, d);
    (void)trace;
    for (int n = 0; n < DRAWS && !rc; n++) {
        struct cluster c = *f->now;
        double slope[WALL_RATES];
        for (int i = 0; i < WALL_RATES; i++) /* draws of different fits begin with the same seed: other places */
            slope[i] = f->w->rate[i].draw[(i * TREND_DRAWS / WALL_RATES + n) % TREND_DRAWS];
        grow(&c, f->s, slope, f->k);
        rc = wall_estimate(&f->drawn[n][f->k], app, p, &c, d);
    }
    return rc;
}

static int run_scenario(struct future *f) {
    double slope[WALL_RATES];
    int rc = 0;
    for (int i = 0; i < WALL_RATES; i++)
        slope[i] = f->w->rate[i].least.is;
    for (f->k = 0; f->k <= YEARS && !rc; f->k++) {
        struct cluster c = *f->now;
        struct study_case on = {.cluster = &c,
                                .model = "llama3-70b",
                                .quant = "Q4_0",
                                .mode = "a16",
                                .strategy = "tp8",
                                .cards = 8,
                                .users = f->s->users,
                                .micro = 1,
                                .prompt = 1024,
                                .generate = 129,
                                .chunk = 256};
        grow(&c, f->s, slope, f->k);
        rc = case_use(&on, f->w->app, estimate_year, f, f->w->d);
    }
    return rc;
}

/* ---- tables ---- */

static void add_years(struct frame *t, const struct future *f) {
    for (int k = 0; k <= YEARS; k++) {
        const struct wall_decode *y = &f->year[k];
        double drawn[DRAWS];
        for (int n = 0; n < DRAWS; n++)
            drawn[n] = f->drawn[n][k].ms;
        struct stat_interval ms = stat_percentile(drawn, DRAWS);
        frame_text(t, "%s", f->s->text);
        frame_number(t, f->s->users);
        frame_number(t, FIRST_YEAR + k);
        frame_number(t, y->ms);
        frame_number(t, k ? ms.low : NAN);
        frame_number(t, k ? ms.high : NAN);
        for (int i = 0; i < NET_SHARES; i++)
            frame_number(t, 100 * y->share[i]);
        frame_text(t, "%s", wall_binds(y));
        frame_text(t, k ? "extrapolated" : "estimated");
        frame_end_row(t);
    }
}

static void year_columns(struct frame *t) {
    frame_column(t, "scenario", "", 0);
    frame_column(t, "users", "", 3);
    frame_column(t, "year", "", 4);
    frame_column(t, "token", "ms", 3);
    frame_column(t, "low", "ms", 3);
    frame_column(t, "high", "ms", 3);
    frame_column(t, "memory", "%", 3);
    frame_column(t, "compute", "%", 3);
    frame_column(t, "link b/w", "%", 3);
    frame_column(t, "link lat", "%", 3);
    frame_column(t, "overhead", "%", 3);
    frame_column(t, "binds", "", 0);
    frame_column(t, "kind", "", 0);
}

static const char *year_text(char *buf, size_t cap, double years) {
    if (years == 0)
        snprintf(buf, cap, "already");
    else if (isinf(years))
        snprintf(buf, cap, "after %d", FIRST_YEAR + YEARS);
    else
        snprintf(buf, cap, "%.1f", FIRST_YEAR + years);
    return buf;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* By order statistics: some draws have no year. */
static void add_crossing(struct frame *t, const struct future *f) {
    double years[DRAWS];
    char when[16], low[16], high[16];
    int within = 0;
    for (int n = 0; n < DRAWS; n++) {
        years[n] = crossing(f->drawn[n]);
        within += !isinf(years[n]);
    }
    qsort(years, DRAWS, sizeof *years, compare);
    frame_text(t, "%s", f->s->text);
    frame_number(t, f->s->users);
    frame_text(t, "%s", year_text(when, sizeof when, crossing(f->year)));
    frame_text(t, "%s", year_text(low, sizeof low, years[DRAWS / 40]));
    frame_text(t, "%s", year_text(high, sizeof high, years[DRAWS - 1 - DRAWS / 40]));
    frame_number(t, 100.0 * within / DRAWS);
    frame_end_row(t);
    if (f->s->links == WALL_DEVICE_LINK && !f->s->latency)
        report_say(f->w->page,
                   "Should cards and links go on to grow as fitted, links take longer than memory in a token "
                   "of llama3-70b on eight H100 (tp8, users: %d) in: %s [%s, %s] (extrapolated; 95 %% of %d "
                   "draws).",
                   f->s->users, when, low, high, DRAWS);
}

int wall_years(struct memory_wall *w) {
    struct cluster now;
    struct future *f = calloc(1, sizeof *f);
    if (!f) return diag_set(w->d, ERR_MEMORY, "no memory for the years to come");
    struct frame *years = report_table(
        w->page, "years", "A token of llama3-70b (Q4_0) on eight H100 SXM, tp8, whose rates go on growing as fitted",
        "Estimated on cluster-configs/h100-sxm-8.yaml; from the second year on extrapolated. Memory, links and "
        "arithmetic grow\nby their fits of 2024, links also by a device's; capacity and model stay. Shares of the "
        "critical path of decoding at a\ncontext of 1024 to 1152; low and high: 95 % of 100 draws of the fits' slopes, "
        "nothing else.");
    struct frame *when = report_table(
        w->page, "crossings", "The year in which links take longer than memory, bandwidth and latency together",
        "Of the same estimates; low and high: 95 % of the draws. An extrapolation: nothing tells that rates stay.");
    year_columns(years);
    frame_column(when, "scenario", "", 0);
    frame_column(when, "users", "", 3);
    frame_column(when, "year", "", 0);
    frame_column(when, "low", "", 0);
    frame_column(when, "high", "", 0);
    frame_column(when, "within ten years", "% of draws", 3);
    int rc = case_cluster(&now, "h100-sxm-8", w->d);
    f->w = w;
    f->now = &now;
    for (int i = 0; i < N_SCENARIOS && !rc; i++) {
        f->s = &scenarios[i];
        rc = run_scenario(f);
        if (rc) break;
        add_years(years, f);
        add_crossing(when, f);
    }
    free(f);
    return rc;
}
