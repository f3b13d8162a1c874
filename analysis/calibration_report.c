#include "analysis/calibration_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/calibration.h"
#include "analysis/results.h"
#include "analysis/sweep_run.h"
#include "base/text.h"

/* Measured points of a sweep, each with its twin: the same job, simulated. */
struct study {
    const struct calibration_ask *ask;
    struct sweep *sweep;
    struct results *results;
    struct sweep_cache *cache;
    struct cluster cluster;
    struct calibration cal;
    struct sweep_point *twin;
    struct own {
        uint64_t point; /* sweep.h: its hash */
        char text[96];
        double low_s, high_s, threads_a_cpu; /* NaN: not known */
        int n, verified;
    } * own;
    struct diag *d;
};

/* ---- points ---- */

static double parameter_of_row(const json_t *row, const char *name, double other) {
    const json_t *v = json_object_get(json_object_get(row, "parameters"), name);
    return json_is_number(v) ? json_number_value(v) : other;
}

/* Decoding of a token, for a user: tokens of all users a second, measured. */
static int add_row(void *user, json_t *row, struct diag *d) {
    struct study *s = user;
    struct own *own = &s->own[s->cal.n_points];
    double users = parameter_of_row(row, "users", 1), rate = results_value(row, "decode_tok_per_s", "value");
    const json_t *n = json_object_get(json_object_get(json_object_get(row, "values"), "decode_tok_per_s"), "n");
    if (strcmp(json_string_value(json_object_get(row, "status")), "ok") != 0 || !(rate > 0)) return 0;
    s->cal.point[s->cal.n_points].measured_s = users / rate;
    own->low_s = users / results_value(row, "decode_tok_per_s", "high");
    own->high_s = users / results_value(row, "decode_tok_per_s", "low");
    own->threads_a_cpu = NAN;
    if (json_is_number(json_object_get(row, "oversubscription")))
        own->threads_a_cpu = json_number_value(json_object_get(row, "oversubscription"));
    own->n = json_is_integer(n) ? (int)json_integer_value(n) : 1;
    own->verified = json_object_get(row, "verified") != NULL;
    s->cal.n_points++;
    (void)d;
    return 0;
}

/* "kjv-3m-q8_0, tp2, users 4" */
static void name_point(struct own *own, const struct sweep_point *p) {
    size_t at = 0;
    for (int i = 0; i < p->n && at < sizeof own->text; i++) {
        const char *name = p->at[i].name, *value = p->at[i].value, *slash = strrchr(value, '/');
        int users = !strcmp(name, "users");
        if (!users && strcmp(name, "model") && strcmp(name, "strategy")) continue;
        value = slash ? slash + 1 : value;
        at += (size_t)snprintf(own->text + at, sizeof own->text - at, "%s%s%.*s", at ? ", " : "", users ? "users " : "",
                               (int)(strstr(value, ".gguf") ? strlen(value) - 5 : strlen(value)), value);
    }
}

static int has(const struct sweep_point *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, name)) return 1;
    return 0;
}

static int check_twin(const struct study *s, const struct sweep_point *twin) {
    const struct sweep_point *first = &s->twin[0];
    if (!twin->cluster || (first->cluster && strcmp(first->cluster, twin->cluster)))
        return diag_set(s->d, ERR_FORMAT, "%.200s: base: give cluster: the one file that is calibrated", s->ask->spec);
    if (!has(twin, "prompt") || !has(twin, "generate"))
        return diag_set(s->d, ERR_FORMAT, "%.200s: base: give prompt and generate: the engines' own differ",
                        s->ask->spec);
    return 0;
}

/* As one that axes name twice, or that draws meet again. */
static int is_known(const struct study *s, uint64_t point) {
    for (int i = 0; i < s->cal.n_points; i++)
        if (s->own[i].point == point) return 1;
    return 0;
}

static int add_point(struct study *s, long i) {
    struct sweep_point *p = malloc(sizeof *p);
    char where[32];
    const char *const condition[] = {where};
    int n = s->cal.n_points, rc = p ? 0 : diag_set(s->d, ERR_MEMORY, "no memory for a point");
    if (!rc) sweep_point(p, s->sweep, i);
    if (!rc && p->engine == SWEEP_RUN && !is_known(s, p->hash)) {
        s->own[n].point = p->hash;
        snprintf(where, sizeof where, "point=%016llx", (unsigned long long)p->hash);
        sweep_point_as(&s->twin[n], s->sweep, i, SWEEP_SIMULATE);
        rc = check_twin(s, &s->twin[n]);
        if (!rc) rc = results_each(s->results, condition, 1, add_row, s, s->d);
        if (!rc && s->cal.n_points > n) name_point(&s->own[n], &s->twin[n]);
    }
    free(p);
    return rc;
}

static int open_study(struct study *s) {
    enum { MOST = 4096 };
    int rc = sweep_read(&s->sweep, s->ask->spec, s->d);
    long n = rc ? 0 : sweep_points(s->sweep);
    if (!rc && n > MOST)
        rc = diag_set(s->d, ERR_RANGE, "%.200s: %ld points: a calibration takes at most %d", s->ask->spec, n, MOST);
    if (!rc) rc = results_open(&s->results, s->ask->db, RESULTS_READ, s->d);
    s->twin = rc ? NULL : calloc((size_t)n + 1, sizeof *s->twin);
    s->own = rc ? NULL : calloc((size_t)n + 1, sizeof *s->own);
    s->cal.point = rc ? NULL : calloc((size_t)n + 1, sizeof *s->cal.point);
    if (!rc && (!s->twin || !s->own || !s->cal.point)) rc = diag_set(s->d, ERR_MEMORY, "no memory for the points");
    for (long i = 0; i < n && !rc; i++)
        rc = add_point(s, i);
    if (!rc && !s->cal.n_points)
        rc = diag_set(s->d, ERR_FORMAT,
                      "%.200s: no measured point of %.200s: northwall sweep with engine: run makes them", s->ask->db,
                      s->ask->spec);
    if (!rc) rc = cluster_read(&s->cluster, s->twin[0].cluster, s->d);
    if (!rc && !cluster_has_card(&s->cluster))
        rc = diag_set(s->d, ERR_FORMAT, "%.200s: describes links but no card", s->twin[0].cluster);
    return rc;
}

static void close_study(struct study *s) {
    sweep_cache_free(s->cache);
    sweep_free(s->sweep);
    if (s->results) results_close(s->results);
    free(s->twin);
    free(s->own);
    free(s->cal.point);
}

static int predict(void *user, int i, const struct cluster *c, double *seconds, struct diag *d) {
    struct study *s = user;
    struct sweep_outcome o;
    sweep_cache_cluster(s->cache, s->twin[i].cluster, c);
    sweep_do(&o, s->cache, &s->twin[i]);
    *seconds = 1e-3 * sweep_value(&o, "decode_ms_per_tok");
    return o.reason[0] ? diag_set(d, ERR_PLAN, "%s: %.300s", s->own[i].text, o.reason) : 0;
}

static int parse_free(struct calibration *cal, const char *words, struct diag *d) {
    char list[256], names[320], *save = NULL;
    snprintf(list, sizeof list, "%s", words);
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        const struct parameter *p = parameter_find(name);
        if (!p) return diag_set(d, ERR_USAGE, "--free %.60s: there are %s", name, parameter_names(names, sizeof names));
        for (int k = 0; k < cal->n_free; k++)
            if (cal->value[k].parameter == p) return diag_set(d, ERR_USAGE, "--free %s: named twice", name);
        if (cal->n_free == CALIBRATION_MOST_FREE)
            return diag_set(d, ERR_USAGE, "--free: at most %d parameters", CALIBRATION_MOST_FREE);
        cal->value[cal->n_free++].parameter = p;
    }
    return cal->n_free ? 0 : diag_set(d, ERR_USAGE, "--free names the parameters to fit");
}

/* ---- tables ---- */

static double shown(const struct parameter *p, double x) {
    return p->kind == PARAMETER_FACTOR ? x : 1e6 * x;
}

static void show_values(struct report_page *page, const struct calibration *cal) {
    struct frame *t =
        report_table(page, "parameters", "The numbers of the cluster that were fitted",
                     "Estimated: a factor of what the file says, or a time that is added to it. 95 % by\n"
                     "Student's t from the slopes at the minimum; folds: of fits with a quarter left out.");
    frame_column(t, "parameter", "", 0);
    frame_column(t, "value", "", 5);
    frame_column(t, "low", "", 4);
    frame_column(t, "high", "", 4);
    frame_column(t, "unit", "", 0);
    frame_column(t, "folds: least", "", 4);
    frame_column(t, "most", "", 4);
    frame_column(t, "remark", "", 0);
    for (int k = 0; k < cal->n_free; k++) {
        const struct calibration_value *v = &cal->value[k];
        frame_text(t, "%s", v->parameter->name);
        frame_number(t, shown(v->parameter, v->x));
        frame_number(t, shown(v->parameter, v->x_at_95.low));
        frame_number(t, shown(v->parameter, v->x_at_95.high));
        frame_text(t, v->parameter->kind == PARAMETER_FACTOR ? "x" : "us more");
        frame_number(t, shown(v->parameter, v->held_low));
        frame_number(t, shown(v->parameter, v->held_high));
        frame_text(t, v->at_bound             ? "at the end of its range"
                      : isnan(v->x_at_95.low) ? "these points say nothing of it"
                                              : "");
        frame_end_row(t);
    }
}

static void show_errors(struct report_page *page, const struct study *s) {
    static const char *const names[] = {"as described", "fitted to all points", "held out"};
    struct frame *t = report_table(page, "errors", "Simulated over measured: how far off",
                                   "Held out: each quarter of the points predicted by a fit to the others.");
    frame_column(t, "cluster", "", 0);
    frame_column(t, "median error", "%", 3);
    frame_column(t, "worst", "%", 3);
    frame_column(t, "of", "", 0);
    for (int w = CALIBRATION_DESCRIBED; w <= CALIBRATION_HELD; w++) {
        struct calibration_error e = calibration_error_of(&s->cal, (enum calibration_which)w);
        frame_text(t, "%s", names[w]);
        frame_number(t, 100 * e.median);
        frame_number(t, 100 * e.worst);
        frame_text(t, "%s", s->own[e.worst_point].text);
        frame_end_row(t);
    }
}

static void show_points(struct report_page *page, const struct study *s) {
    struct frame *t =
        report_table(page, "points", "Decoding of a token, for a user",
                     "Measured: medians with intervals of at least 95 % by binomial ranks. The others are\n"
                     "simulated (n = 1). More threads than CPUs: the scheduler was measured too.");
    static const char *const columns[] = {"measured", "low", "high", "described", "fitted", "held out"};
    frame_column(t, "point", "", 0);
    for (int i = 0; i < 6; i++)
        frame_column(t, columns[i], "ms", 4);
    frame_column(t, "held out, off by", "%", 3);
    frame_column(t, "n", "", 4);
    frame_column(t, "threads a CPU", "", 2);
    frame_column(t, "verified", "", 0);
    for (int i = 0; i < s->cal.n_points; i++) {
        const struct calibration_point *p = &s->cal.point[i];
        const double ms[] = {p->measured_s, s->own[i].low_s, s->own[i].high_s, p->described_s, p->fitted_s, p->held_s};
        frame_text(t, "%s", s->own[i].text);
        for (int k = 0; k < 6; k++)
            frame_number(t, 1e3 * ms[k]);
        frame_number(t, 100 * (p->held_s / p->measured_s - 1));
        frame_number(t, s->own[i].n);
        frame_number(t, s->own[i].threads_a_cpu);
        frame_text(t, "%s", s->own[i].verified ? "yes" : "no");
        frame_end_row(t);
    }
}

static void say(struct report_page *page, const struct study *s) {
    const struct calibration *cal = &s->cal;
    struct calibration_error before = calibration_error_of(cal, CALIBRATION_DESCRIBED);
    struct calibration_error after = calibration_error_of(cal, CALIBRATION_FITTED);
    struct calibration_error held = calibration_error_of(cal, CALIBRATION_HELD);
    report_say(page,
               "%d measured points, %d number%s of %s fitted: the median error is %.1f %% as described, %.1f %% "
               "fitted, and %.1f "
               "%% where points are predicted by a fit to others (worst %.0f %%: %s).",
               cal->n_points, cal->n_free, cal->n_free == 1 ? "" : "s", s->cluster.name, 100 * before.median,
               100 * after.median, 100 * held.median, 100 * held.worst, s->own[held.worst_point].text);
    if (cal->rcond < CALIBRATION_COLLINEAR)
        report_say(
            page,
            "These points do not tell the parameters apart (reciprocal condition of the slopes %.1e): fix one of "
            "them, or measure what tells them apart.",
            cal->rcond);
    if (cal->agree < 2)
        report_say(page, "Only %d of %d starts ended at the least sum of squares: there may be a better minimum.",
                   cal->agree, cal->starts);
    for (int k = 0; k < cal->n_free; k++)
        if (cal->value[k].at_bound)
            report_say(page, "%s ended at the end of its range: what is missing is something else.",
                       cal->value[k].parameter->name);
}

/* Whether a word follows --set in a point's command line. */
static int sets(const struct sweep_point *p, const char *word) {
    for (int i = 0; i + 1 < p->n_words; i++)
        if (!strcmp(p->word[i], "--set") && !strcmp(p->word[i + 1], word)) return 1;
    return 0;
}

/* Numbers that all points have from the spec, behind the fitted ones, as they were simulated. */
static void add_base(char *words, size_t cap, const struct study *s) {
    const struct sweep_point *p = &s->twin[0];
    size_t at = strlen(words);
    for (int i = 0; i + 1 < p->n_words && at < cap; i++) {
        int all = !strcmp(p->word[i], "--set");
        for (int k = 1; k < s->cal.n_points && all; k++)
            all = sets(&s->twin[k], p->word[i + 1]);
        if (all) at += (size_t)snprintf(words + at, cap - at, " --set %s", p->word[i + 1]);
    }
}

static void say_words(struct report_page *page, const struct study *s) {
    char words[1024];
    const struct calibration *cal = &s->cal;
    size_t at = 0;
    for (int k = 0; k < cal->n_free && at < sizeof words; k++) {
        const struct calibration_value *v = &cal->value[k];
        at += (size_t)snprintf(words + at, sizeof words - at, " --set %s=%.6g%s", v->parameter->name,
                               shown(v->parameter, v->x), v->parameter->kind == PARAMETER_FACTOR ? "" : "us");
    }
    add_base(words, sizeof words, s);
    report_say(page, "The fitted cluster on a command line:%s", words);
}

int calibration_report(struct report_page *page, const struct calibration_ask *ask, const struct app *app,
                       struct diag *d) {
    struct study *s = calloc(1, sizeof *s);
    if (!s) return diag_set(d, ERR_MEMORY, "no memory for a calibration");
    s->ask = ask;
    s->d = d;
    s->cal.seed = ask->seed;
    int rc = parse_free(&s->cal, ask->free, d);
    if (!rc) rc = open_study(s);
    if (!rc && !(s->cache = sweep_cache_new(app))) rc = diag_set(d, ERR_MEMORY, "no memory for a calibration");
    if (!rc) rc = calibration_run(&s->cal, &s->cluster, predict, s, d);
    if (!rc) {
        say(page, s);
        say_words(page, s);
        show_values(page, &s->cal);
        show_errors(page, s);
        show_points(page, s);
    }
    close_study(s);
    free(s);
    return rc;
}
