/* prediction.c - times of paced points, or of points in the lab, said beforehand, beside what the wall clock shows. */
#include "analysis/prediction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/data.h"
#include "analysis/results.h"
#include "analysis/sweep_run.h"
#include "base/stats.h"
#include "base/text.h"
#include "validation.h"

enum { MOST_SPECS = 11, MOST_POINTS = 1024, MOST_RUNS = 64, MOST_FILE = 1 << 24 };
#define SIMULATED "simulated [ms/token]"

/* A job, whatever the round. */
struct point {
    struct sweep_point own, twin; /* measured, of the first round; simulated */
    char job[128];
    uint64_t plan; /* as it is made now */
    struct validation_point v;
    struct {
        double ms, not_described, cores;
    } run[MOST_RUNS];
    double not_described, cores; /* medians */
    int failed;
    char why[256]; /* the last one did */
};

struct study {
    const struct prediction_ask *ask;
    const struct app *app;
    struct diag *d;
    struct sweep *sweep[MOST_SPECS];
    struct sweep_cache *cache;
    struct sweep_point *space;
    struct point *point[MOST_POINTS];
    int n;
    int lab; /* all points are of the lab; otherwise all are paced */
};

/* ---- points ---- */

static struct point *find(const struct study *s, uint64_t hash) {
    for (int i = 0; i < s->n; i++)
        if (s->point[i]->twin.hash == hash) return s->point[i];
    return NULL;
}

static const char *value_of(const struct sweep_point *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, name)) return p->at[i].value;
    return "";
}

/* Of a link: of its lab, in Mb/s, or times the cluster's. */
static const char *link_name(const struct study *s) {
    return s->lab ? "rate" : "link-bandwidth";
}

static double link_of(const struct study *s, const struct point *p) {
    return strtod(value_of(&p->own, link_name(s)), NULL) * (s->lab ? 1e-6 : 1);
}

/* "kjv-3m-q8_0 tp2 memory-bandwidth 0.12", "... tp2 20 Mb/s": what studies keep the same goes without saying. */
static void name_job(const struct study *s, struct point *p) {
    static const char *const silent[] = {"engine",       "cluster", "model",  "strategy", "prompt",    "generate",
                                         "link-latency", "round",   "repeat", "threads",  "precision", NULL};
    const char *model = value_of(&p->own, "model"), *slash = strrchr(model, '/');
    model = slash ? slash + 1 : model;
    int len = (int)(strstr(model, ".gguf") ? strlen(model) - strlen(".gguf") : strlen(model));
    size_t n = (size_t)snprintf(p->job, sizeof p->job, "%.*s %s", len, model, value_of(&p->own, "strategy"));
    for (int i = 0; i < p->own.n && n < sizeof p->job; i++) {
        int k = 0;
        const char *name = p->own.at[i].name;
        while (silent[k] && strcmp(silent[k], name))
            k++;
        if (silent[k]) continue;
        n += (size_t)(s->lab && !strcmp(name, "rate")
                          ? snprintf(p->job + n, sizeof p->job - n, " %.9g Mb/s", link_of(s, p))
                          : snprintf(p->job + n, sizeof p->job - n, " %s %s", name, p->own.at[i].value));
    }
}

/* How many parameters differ; *name: one of them. What one alone has differs. A round is no difference, nor is what is
 * known of a link of the lab: its rate is. */
static int differing(const struct study *s, const struct point *a, const struct point *b, const char **name) {
    int n = 0;
    for (int side = 0; side < 2; side++) {
        const struct sweep_point *p = side ? &b->own : &a->own, *q = side ? &a->own : &b->own;
        for (int i = 0; i < p->n; i++) {
            const char *other = value_of(q, p->at[i].name);
            int silent = !strcmp(p->at[i].name, "round") || (s->lab && !strcmp(p->at[i].name, "cluster"));
            if (!silent && (side ? !*other : strcmp(p->at[i].value, other))) n++, *name = p->at[i].name;
        }
    }
    return n;
}

static int check_point(const struct study *s, const struct point *p, const char *spec) {
    const char *name = "";
    const struct point *same = find(s, p->twin.hash);
    if (p->own.engine != SWEEP_PACED && p->own.engine != SWEEP_LAB)
        return diag_set(s->d, ERR_FORMAT, "%.200s: engine: paced or lab is what is predicted here, and then measured",
                        spec);
    if (s->n && p->own.engine != s->point[0]->own.engine)
        return diag_set(s->d, ERR_FORMAT, "%.200s: paced points and points of the lab are predicted apart", spec);
    if (!p->twin.cluster)
        return diag_set(s->d, ERR_FORMAT, "%.200s: give cluster: what calibrate wrote in the lab of that rate", spec);
    if (!*value_of(&p->own, "prompt") || !*value_of(&p->own, "generate"))
        return diag_set(s->d, ERR_FORMAT, "%.200s: give prompt and generate: the engines' own differ", spec);
    if (same && differing(s, p, same, &name))
        return diag_set(s->d, ERR_FORMAT, "%.200s: %s differs, of which the simulation on %s knows nothing", spec, name,
                        value_of(&p->twin, "cluster"));
    return 0;
}

static int add_point(struct study *s, const char *spec, const struct sweep *sweep, long i) {
    struct point *p = calloc(1, sizeof *p);
    if (!p || s->n == MOST_POINTS) {
        free(p);
        return diag_set(s->d, ERR_RANGE, "%.200s: no room for more than %d points", spec, s->n);
    }
    sweep_point(&p->own, sweep, i);
    sweep_point_as(&p->twin, sweep, i, SWEEP_SIMULATE);
    s->lab = p->own.engine == SWEEP_LAB;
    int rc = check_point(s, p, spec);
    if (rc || find(s, p->twin.hash))
        free(p);
    else
        s->point[s->n++] = p;
    return rc;
}

/* Bench's time of a token is that of decoding, run's has the prompt in it. */
static int simulate_point(struct study *s, struct point *p) {
    struct sweep_outcome o;
    name_job(s, p);
    sweep_do(&o, s->cache, &p->twin);
    p->v.oversubscribed = -1;
    p->plan = o.plan_hash;
    p->v.said = sweep_value(&o, s->lab ? "decode_ms_per_tok" : "latency_ms_per_tok");
    return o.reason[0] ? diag_set(s->d, ERR_PLAN, "%s: %.300s", p->job, o.reason) : 0;
}

static int open_study(struct study *s) {
    int rc = s->ask->n_specs <= MOST_SPECS
                 ? 0
                 : diag_set(s->d, ERR_USAGE, "at most %d specs can be predicted together", MOST_SPECS);
    s->space = malloc(sizeof *s->space);
    s->cache = sweep_cache_new(s->app);
    if (!s->space || !s->cache) rc = diag_set(s->d, ERR_MEMORY, "no memory for points");
    for (int k = 0; k < s->ask->n_specs && !rc; k++) {
        rc = sweep_read(&s->sweep[k], s->ask->spec[k], s->d);
        for (long i = 0; !rc && i < sweep_points(s->sweep[k]); i++)
            rc = add_point(s, s->ask->spec[k], s->sweep[k], i);
    }
    for (int i = 0; i < s->n && !rc; i++)
        rc = simulate_point(s, s->point[i]);
    return rc;
}

static void close_study(struct study *s) {
    for (int i = 0; i < s->n; i++)
        free(s->point[i]);
    for (int k = 0; k < MOST_SPECS; k++)
        sweep_free(s->sweep[k]);
    sweep_cache_free(s->cache);
    free(s->space);
    free(s);
}

/* ---- predicting ---- */

static int write_points(const struct study *s) {
    struct frame *t = frame_new("predictions", "", "");
    frame_column(t, "point", "", 0);
    frame_column(t, "job", "", 0);
    frame_column(t, "plan", "", 0);
    frame_column(t, "simulated", "ms/token", FRAME_EXACT);
    for (int i = 0; i < s->n; i++) {
        const struct point *p = s->point[i];
        frame_text(t, "%016llx", (unsigned long long)p->twin.hash);
        frame_text(t, "%s", p->job);
        frame_text(t, "%016llx", (unsigned long long)p->plan);
        frame_number(t, p->v.said);
        frame_end_row(t);
    }
    int rc = frame_write(t, s->ask->file, s->d);
    frame_free(t);
    return rc;
}

int prediction_write(int *n, const struct prediction_ask *ask, const struct app *app, struct diag *d) {
    if (access(ask->file, F_OK) == 0)
        return diag_set(d, ERR_IO, "%.200s is there: what was predicted stays; to measure it give --db FILE",
                        ask->file);
    struct study *s = calloc(1, sizeof *s);
    if (!s) return diag_set(d, ERR_MEMORY, "no memory for points");
    *s = (struct study){.ask = ask, .app = app, .d = d};
    int rc = open_study(s);
    if (!rc) rc = write_points(s);
    *n = s->n;
    close_study(s);
    return rc;
}

/* ---- measuring ---- */

static int row_of(const struct data *t, const struct point *p) {
    for (int i = 0; i < t->n_rows; i++)
        if (strtoull(data_text(t, i, "point"), NULL, 16) == p->twin.hash) return i;
    return -1;
}

/* What was said counts, not what would be now. */
static int take_prediction(const struct study *s, const struct data *t, struct point *p) {
    int row = row_of(t, p);
    if (row < 0)
        return diag_set(s->d, ERR_MISMATCH, "%.200s: %s is not predicted (by this version, on this cluster file)",
                        s->ask->file, p->job);
    p->v.said = data_number(t, row, SIMULATED);
    if (strtoull(data_text(t, row, "plan"), NULL, 16) != p->plan || !(p->v.said > 0))
        return diag_set(s->d, ERR_MISMATCH, "%.200s: %s: predicted with plan %s, which is now %016llx", s->ask->file,
                        p->job, data_text(t, row, "plan"), (unsigned long long)p->plan);
    return 0;
}

static int read_predictions(const struct study *s) {
    struct data t = {0};
    char *text = NULL;
    size_t len = 0;
    int rc = text_read_file(s->ask->file, MOST_FILE, &text, &len, s->d);
    if (!rc) rc = data_parse(&t, s->ask->file, text, len, s->d);
    for (int i = 0; i < s->n && !rc; i++)
        rc = take_prediction(s, &t, s->point[i]);
    data_fini(&t);
    free(text);
    return rc;
}

static int add_row(void *user, json_t *row, struct diag *d) {
    struct point *p = user;
    (void)d;
    const json_t *why = json_object_get(row, "reason"), *threads = json_object_get(row, "oversubscription");
    if (strcmp(json_string_value(json_object_get(row, "status")), "ok") != 0) {
        p->failed++;
        snprintf(p->why, sizeof p->why, "%s", json_is_string(why) ? json_string_value(why) : "failed");
    } else if (p->v.n < MOST_RUNS) {
        if (json_is_number(threads)) p->v.oversubscribed = json_number_value(threads) > 1;
        p->run[p->v.n].ms = results_value(row, "latency_ms_per_tok", "value");
        p->run[p->v.n].not_described = results_value(row, "not_described", "value");
        p->run[p->v.n++].cores = results_value(row, "cores_used", "value");
    }
    return 0;
}

/* All rounds. */
static int read_runs(struct study *s, const struct sweep *sweep, struct results *r) {
    char where[32];
    const char *const condition[] = {where};
    int rc = 0;
    for (long i = 0; i < sweep_points(sweep) && !rc; i++) {
        sweep_point(s->space, sweep, i);
        snprintf(where, sizeof where, "point=%016llx", (unsigned long long)s->space->hash);
        sweep_point_as(s->space, sweep, i, SWEEP_SIMULATE);
        rc = results_each(r, condition, 1, add_row, find(s, s->space->hash), s->d);
    }
    return rc;
}

static int measure(struct study *s) {
    struct results *r = NULL;
    struct sweep_counts c;
    int rc = results_open(&r, s->ask->db, RESULTS_WRITE, s->d);
    for (int k = 0; k < s->ask->n_specs && !rc; k++)
        rc = sweep_run(&c, s->sweep[k], r, s->app, 1, 1, s->d);
    for (int k = 0; k < s->ask->n_specs && !rc; k++)
        rc = read_runs(s, s->sweep[k], r);
    results_close(r);
    return rc;
}

static void summarize(struct point *p) {
    double x[3][MOST_RUNS];
    p->v.what[0] = 0;
    snprintf(p->v.what, sizeof p->v.what, "%s", p->job);
    p->v.group = VALIDATION_DECODE;
    p->v.unit = "ms/token";
    p->v.is = p->v.low = p->v.high = p->v.others = NAN;
    if (!p->v.n) return;
    for (int i = 0; i < p->v.n; i++) {
        x[0][i] = p->run[i].ms;
        x[1][i] = p->run[i].not_described;
        x[2][i] = p->run[i].cores;
    }
    struct stats_median m = stats_median(x[0], p->v.n);
    p->v.is = m.median;
    if (m.low <= m.high) p->v.low = m.low, p->v.high = m.high;
    p->not_described = stats_median(x[1], p->v.n).median;
    p->cores = stats_median(x[2], p->v.n).median;
}

/* ---- where one overtakes another ---- */

/* The same job on the link of the next greater rate; NULL: there is none. */
static const struct point *next_link(const struct study *s, const struct point *p) {
    const struct point *next = NULL;
    const char *name;
    for (int i = 0; i < s->n; i++)
        if (differing(s, p, s->point[i], &name) == 1 && !strcmp(name, link_name(s)) &&
            link_of(s, s->point[i]) > link_of(s, p) && (!next || link_of(s, s->point[i]) < link_of(s, next)))
            next = s->point[i];
    return next;
}

/* Times are straight lines of 1 / rate: the rate between two at which their difference, d0 and d1 there, is zero. */
static double zero_of(double rate0, double d0, double rate1, double d1) {
    return d0 * d1 < 0 ? 1 / (1 / rate0 + (1 / rate1 - 1 / rate0) * d0 / (d0 - d1)) : NAN;
}

struct crossing {
    const struct point *a[2], *b[2]; /* at the lower rate and at the higher one */
    double said, is, low, high; /* as link_of; low, high: from the ends of all intervals */
};

static int cross(const struct study *s, struct crossing *c) {
    double rate[2] = {link_of(s, c->a[0]), link_of(s, c->a[1])}, said[2], is[2], most[2], least[2];
    for (int k = 0; k < 2; k++) {
        const struct validation_point *a = &c->a[k]->v, *b = &c->b[k]->v;
        said[k] = a->said - b->said;
        is[k] = a->is - b->is;
        most[k] = a->high - b->low;
        least[k] = a->low - b->high;
    }
    c->said = zero_of(rate[0], said[0], rate[1], said[1]);
    c->is = zero_of(rate[0], is[0], rate[1], is[1]);
    double x = zero_of(rate[0], most[0], rate[1], most[1]), y = zero_of(rate[0], least[0], rate[1], least[1]);
    c->low = x < y ? x : y;
    c->high = x < y ? y : x;
    if (isnan(x) || isnan(y)) c->low = c->high = NAN;
    return !isnan(c->said) || !isnan(c->is);
}

static void add_crossing(struct frame *t, const struct study *s, const struct crossing *c) {
    const struct point *slow = c->a[0]->v.said < c->b[0]->v.said ? c->a[0] : c->b[0];
    const struct point *fast = slow == c->a[0] ? c->b[0] : c->a[0];
    const char *name = "";
    differing(s, fast, slow, &name);
    const char *above = value_of(&fast->own, name), *below = value_of(&slow->own, name);
    frame_text(t, "%s", fast->job);
    frame_text(t, "%s %s", name, *above ? above : "left out");
    frame_text(t, "%s %s", name, *below ? below : "left out");
    frame_number(t, c->said);
    frame_number(t, c->is);
    frame_number(t, c->low);
    frame_number(t, c->high);
    frame_end_row(t);
}

/* Pairs that differ in what one may choose. */
static void show_crossings(struct report_page *page, const struct study *s) {
    struct frame *t = report_table(page, "crossings", "Link rates at which one choice overtakes another",
                                   s->lab ? "Where the difference of times, a straight line of 1 / rate between two "
                                            "measured rates, is zero.\nLow and high: from the ends of the times' "
                                            "intervals."
                                          : "Times the cluster's rate: where the difference of times, a straight line "
                                            "of 1 / rate between two\nmeasured rates, is zero. Low and high: from the "
                                            "ends of the times' intervals.");
    const char *unit = s->lab ? "Mb/s" : "x";
    frame_column(t, "job", "", 0);
    frame_column(t, "faster above", "", 0);
    frame_column(t, "faster below", "", 0);
    frame_column(t, "simulated", unit, 4);
    frame_column(t, "measured", unit, 4);
    frame_column(t, "low", unit, 4);
    frame_column(t, "high", unit, 4);
    for (int i = 0; i < s->n; i++)
        for (int k = i + 1; k < s->n; k++) {
            const char *name = "";
            struct crossing c = {.a = {s->point[i]}, .b = {s->point[k]}};
            if (differing(s, c.a[0], c.b[0], &name) != 1 || (strcmp(name, "strategy") && strcmp(name, "wire")))
                continue;
            c.a[1] = next_link(s, c.a[0]);
            c.b[1] = next_link(s, c.b[0]);
            if (c.a[1] && c.b[1] && link_of(s, c.a[1]) == link_of(s, c.b[1]) && cross(s, &c)) add_crossing(t, s, &c);
        }
}

/* ---- tables ---- */

static void point_columns(struct frame *t, const struct study *s) {
    frame_column(t, "point", "", 0);
    frame_column(t, "predicted", "ms/token", 5);
    frame_column(t, "measured", "ms/token", 5);
    frame_column(t, "low", "ms/token", 5);
    frame_column(t, "high", "ms/token", 5);
    frame_column(t, "error", "%", 3);
    frame_column(t, "n", "", 3);
    frame_column(t, s->lab ? "oversubscribed" : "not described", s->lab ? "" : "%", s->lab ? 0 : 3);
    if (!s->lab) frame_column(t, "cores", "", 3);
    frame_column(t, "failed", "", 3);
}

static void show_point(struct frame *t, const struct study *s, const struct point *p) {
    frame_text(t, "%s", p->job);
    frame_number(t, p->v.said);
    frame_number(t, p->v.is);
    frame_number(t, p->v.low);
    frame_number(t, p->v.high);
    frame_number(t, 100 * validation_error(&p->v));
    frame_number(t, p->v.n);
    if (s->lab) {
        frame_text(t, "%s", p->v.oversubscribed < 0 ? "-" : p->v.oversubscribed ? "yes" : "no");
    } else {
        frame_number(t, p->v.n ? 100 * p->not_described : NAN);
        frame_number(t, p->v.n ? p->cores : NAN);
    }
    frame_number(t, p->failed);
    frame_end_row(t);
}

static void show_points(struct report_page *page, const struct study *s) {
    static const char lab[] = "Predicted: simulated (n = 1). Measured in the lab: medians of n runs in rounds over all "
                              "points of a link, with intervals\nof at least 95 % by binomial ranks. Oversubscribed: "
                              "more threads than cores.",
                      paced[] = "Predicted: simulated (n = 1). Measured, paced: medians of n runs in rounds over all "
                                "points, with intervals of\nat least 95 % by binomial ranks. Not described: the share "
                                "of the time that the machine took longer for; cores:\nprocessor time of all ranks "
                                "over time; medians.";
    struct frame *t = report_table(page, "points",
                                   s->lab ? "Predicted and measured times of a token, decoding"
                                          : "Predicted and measured times of a token, for a user, prompt included",
                                   s->lab ? lab : paced);
    point_columns(t, s);
    for (int i = 0; i < s->n; i++)
        show_point(t, s, s->point[i]);
}

/* Points of the lab by the rate of their links: those of point i, once. */
static void show_link(struct frame *t, const struct study *s, int i, struct validation *some) {
    double rate = link_of(s, s->point[i]);
    some->n = 0;
    for (int k = 0; k < s->n; k++) {
        if (link_of(s, s->point[k]) != rate) continue;
        if (k < i) return;
        validation_add(some, &s->point[k]->v);
    }
    struct validation_errors e = validation_errors(some, VALIDATION_DECODE);
    if (!e.n) return;
    frame_number(t, rate);
    frame_number(t, e.n);
    frame_number(t, 100 * e.median);
    frame_number(t, 100 * e.low_end);
    frame_number(t, 100 * e.high_end);
    frame_number(t, e.with_interval ? e.inside : NAN);
    frame_end_row(t);
}

static int show_links(struct report_page *page, const struct study *s) {
    struct validation *some = calloc(1, sizeof *some);
    if (!some) return diag_set(s->d, ERR_MEMORY, "no memory for errors");
    struct frame *t = report_table(page, "links", "Errors, by the rate of the links",
                                   "Predicted / measured - 1; median: of their sizes. Inside: predicted in the "
                                   "interval of what was measured.");
    frame_column(t, "rate", "Mb/s", 4);
    frame_column(t, "n", "", 3);
    frame_column(t, "median", "%", 3);
    frame_column(t, "least", "%", 3);
    frame_column(t, "greatest", "%", 3);
    frame_column(t, "inside", "", 3);
    for (int i = 0; i < s->n; i++)
        show_link(t, s, i, some);
    free(some);
    return 0;
}

static void say(struct report_page *page, const struct study *s, const struct validation *v) {
    struct validation_errors e = validation_errors(v, VALIDATION_DECODE);
    char p95[32] = "", interval[64] = "";
    double cores = 0;
    int late = 0, fewest = MOST_RUNS;
    const struct point *worst = NULL;
    for (int i = 0; i < s->n; i++) {
        const struct point *p = s->point[i];
        if (e.n && p->v.is == v->point[e.worst].is && p->v.said == v->point[e.worst].said) worst = p;
        if (!p->v.n) continue;
        cores = fmax(cores, p->cores);
        late += p->not_described > SWEEP_PACE_HELD;
        fewest = p->v.n < fewest ? p->v.n : fewest;
    }
    if (!worst) {
        report_say(page, "Nothing was measured: %s", v->left_out);
        return;
    }
    if (!isnan(e.p95)) snprintf(p95, sizeof p95, ", p95 %.3g %%", 100 * e.p95);
    if (!isnan(worst->v.low)) snprintf(interval, sizeof interval, " [%.5g, %.5g]", worst->v.low, worst->v.high);
    report_say(page,
               "Of %d predicted points %d were measured, by at least %d runs each: the error of the prediction has a "
               "median size of %.3g %%%s, worst %.3g %%; from %+.3g %% to %+.3g %%.",
               s->n, e.n, fewest, 100 * e.median, p95, 100 * e.most, 100 * e.low_end, 100 * e.high_end);
    if (s->lab) {
        report_say(page, "The worst is %s: %.5g ms predicted (simulated), %.5g%s measured.", worst->job, worst->v.said,
                   worst->v.is, interval);
        if (e.with_interval)
            report_say(page, "%d of %d lie in the interval of what was measured.", e.inside, e.with_interval);
    } else {
        report_say(
            page,
            "The worst is %s: %.5g ms predicted (simulated), %.5g%s measured, of which %.3g %% is not described: "
            "work that this machine took longer for than the card, and waking up; %.2f cores busy.",
            worst->job, worst->v.said, worst->v.is, interval, 100 * worst->not_described, worst->cores);
        report_say(page,
                   "Of %d points more than %.0f %% of the time is not described. The ranks kept at most %.2f of %d "
                   "cores busy (median of a point's runs).",
                   late, 100 * SWEEP_PACE_HELD, cores, s->app->cores);
    }
    if (v->left_out[0]) report_say(page, "Not measured: %s.", v->left_out);
}

static int show(struct report_page *page, const struct study *s) {
    struct validation *v = calloc(1, sizeof *v);
    if (!v) return diag_set(s->d, ERR_MEMORY, "no memory for errors");
    for (int i = 0; i < s->n; i++) {
        struct point *p = s->point[i];
        summarize(p);
        if (!p->v.n && p->failed)
            validation_leave_out(v, p->job, p->why);
        else
            validation_add(v, &p->v);
    }
    say(page, s, v);
    int rc = s->lab ? show_links(page, s) : 0;
    show_crossings(page, s);
    show_points(page, s);
    free(v);
    return rc;
}

int prediction_measure(struct report_page *page, const struct prediction_ask *ask, const struct app *app,
                       struct diag *d) {
    struct study *s = calloc(1, sizeof *s);
    if (!s) return diag_set(d, ERR_MEMORY, "no memory for points");
    *s = (struct study){.ask = ask, .app = app, .d = d};
    int rc = open_study(s);
    if (!rc) rc = read_predictions(s);
    if (!rc) rc = measure(s);
    if (!rc) rc = show(page, s);
    close_study(s);
    return rc;
}
