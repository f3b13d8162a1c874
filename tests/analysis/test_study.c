/* Cases of the reports on scaling and design with truths that are known beforehand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/reports/design.h"
#include "analysis/reports/scaling.h"
#include "check.h"

volatile int app_stop; /* main.c's */

static struct study_figures figures(const struct study *st, const struct study_case *c) {
    struct study_figures f;
    int rc = study_figures(&f, c, st, 0);
    CHECK(rc == 0, "%s: %s", c->strategy, st->d->text);
    return f;
}

static void scale_times(struct net_link *l) {
    l->L_ps /= 2;
    l->o_send_ps /= 2;
    l->o_recv_ps /= 2;
    l->g_ps /= 2;
}

/* Twice as fast in everything: half the time, to the rounding of picoseconds. */
static void check_twice(const struct study *st) {
    /* the work inside collectives with them */
    static const char *const faster[] = {"memory-bandwidth", "compute", "link-bandwidth"};
    static const char *const strategies[] = {"1", "tp8", "pp4", "dp2xtp2xpp2"};
    struct cluster c, twice;
    CHECK(case_cluster(&c, "h100-sxm-8", st->d) == 0, "%s", st->d->text);
    c.card.step_ps = 2000000;
    c.card.pass_ps = 50000000;
    twice = c;
    for (int i = 0; i < 3; i++)
        parameter_find(faster[i])->set(&twice, 2);
    twice.card.step_ps /= 2;
    twice.card.pass_ps /= 2;
    for (int i = 0; i < twice.net.n_tiers; i++)
        scale_times(&twice.net.tier[i].link);
    for (int i = 0; i < 4; i++) {
        struct study_case on = design_case(&c, "tinyllama-1.1b", "Q4_0", 4, 64), fast = on;
        on.strategy = fast.strategy = strategies[i];
        on.cards = fast.cards = i == 0 ? 1 : i == 2 ? 4 : 8;
        fast.cluster = &twice;
        double slow = figures(st, &on).s.decode_ms, is = figures(st, &fast).s.decode_ms;
        CHECK(fabs(2 * is / slow - 1) < 1e-6, "%s: %.9g, of twice the card %.9g", strategies[i], slow, is);
    }
}

/* Links that take no time, and half as many users as stages, so that no stage is waited for: a user's token takes what
 * it takes on one card, and the pipeline's throughput grows with its users. */
static void check_perfect(const struct study *st) {
    struct cluster c;
    double one = 0;
    CHECK(case_cluster(&c, "h100-sxm-8", st->d) == 0, "%s", st->d->text);
    c.n_cards = 0;
    c.net.tier[0].link = (struct net_link){.G = {0, 1}};
    for (int stages = 2; stages <= 16; stages *= 2) {
        char strategy[16];
        struct study_case on = design_case(&c, "llama3-8b", "Q4_0", stages / 2, 16);
        snprintf(strategy, sizeof strategy, "pp%d", stages);
        on.strategy = strategy;
        on.cards = stages;
        on.micro = stages / 2;
        double ms = figures(st, &on).s.decode_ms;
        if (stages == 2) one = ms;
        CHECK(fabs(ms / one - 1) < 1e-3, "%d stages: %.9g ms a token of each user, %.9g with 2", stages, ms, one);
    }
}

struct cliff {
    const struct study *st;
    struct study_case on;
    double ms;
};

static int is_slower(void *user, int64_t bytes, int *holds, struct diag *d) {
    const struct cliff *x = user;
    struct cluster c = *x->on.cluster;
    struct study_case on = x->on;
    struct study_figures f;
    c.card.level[0].bytes = (uint64_t)bytes;
    on.cluster = &c;
    int rc = study_figures(&f, &on, x->st, 0);
    (void)d;
    *holds = f.s.decode_ms > x->ms;
    return rc;
}

/* All is on the chip from the bytes on that the plan counts, and not with one less. */
static void check_cliff(const struct study *st) {
    struct cluster c;
    int64_t last = 0;
    CHECK(case_cluster(&c, "northpole-16", st->d) == 0, "%s", st->d->text);
    c.card.level[0].bytes = 0;
    struct cliff x = {.st = st, .on = design_case(&c, "smollm-135m", "Q8_0", 2, 32)};
    struct study_figures all = figures(st, &x.on);
    x.ms = all.s.decode_ms;
    design_behind(&c, "host memory", 0, 7.2e9);
    CHECK(fabs(design_rate(c.card.level[1].G) / 7.2e9 - 1) < 1e-8, "%g B/s", design_rate(c.card.level[1].G));
    CHECK(integer_last(&last, 1, 1 << 30, is_slower, &x, st->d) == 0, "%s", st->d->text);
    CHECK((uint64_t)last + 1 == all.s.card_bytes, "from %lld bytes on, the plan's %llu", (long long)last + 1,
          (unsigned long long)all.s.card_bytes);
}

static struct study_case make_users(const void *c, int users) {
    return design_case(c, "llama3-70b", "Q4_0", users, 1024);
}

/* The most users fit, and one more does not. */
static void check_room(const struct study *st) {
    struct cluster c;
    struct study_case on;
    int most = 0;
    CHECK(case_cluster(&c, "h100-sxm", st->d) == 0, "%s", st->d->text);
    CHECK(study_most_users(&most, make_users, &c, 1000, st) == 0 && most > 1, "%d users fit", most);
    on = make_users(&c, most);
    CHECK(figures(st, &on).fits, "%d users do not fit", most);
    on = make_users(&c, most + 1);
    CHECK(!figures(st, &on).fits, "%d users fit too", most + 1);
    c.card.level[0].bytes = 1 << 20;
    CHECK(study_most_users(&most, make_users, &c, 1000, st) == 0 && most == 0, "%d users fit in 1 MiB", most);
}

static void check_binds(void) {
    struct virtual_summary s = {.critical = {100, {10, 20, 5, 64, 1}}};
    double part;
    CHECK(study_binds(&s, &part) == NET_LATENCY && part == 0.64, "%g", part);
}

/* The number of a row of a series, by its parameter where that is no NULL; NaN: none. */
static double number(const struct frame *t, const char *series, const char *parameter, const char *column) {
    struct diag d = {0};
    json_t *o = NULL, *row;
    size_t i;
    double is = NAN;
    CHECK(frame_json(t, &o, &d) == 0, "%s", d.text);
    json_array_foreach(json_object_get(o, "rows"), i, row) {
        const char *of = json_string_value(json_object_get(row, "series"));
        const char *name = json_string_value(json_object_get(row, "parameter"));
        const json_t *value = json_object_get(row, column);
        CHECK(value && !json_is_string(value), "%s of %s is no number", column, of);
        if (!strcmp(of, series) && (!parameter || !strcmp(name, parameter)) && json_is_number(value))
            is = json_number_value(value);
    }
    json_decref(o);
    return is;
}

static void fit_planted(struct scaling *s, const char *name, const char *model, double *const y, int n) {
    static const struct scaling_described described[] = {{"serial share", 0.2}, {"c3", 2}, {"peak", 8}, {0}};
    struct scaling_series series = {.name = name, .models = model, .described = described};
    struct fit best;
    int found = 0;
    CHECK(fit_data_init(&series.data, n, 1, s->st.d) == 0, "%s", s->st.d->text);
    for (int i = 0; i < n; i++) {
        series.data.x[i] = i + 1;
        series.data.y[i] = y[i];
    }
    CHECK(scaling_fit(s, &series, &best, &found) == 0 && found == (n > 4), "%s: %s", name, s->st.d->text);
    fit_data_free(&series.data);
}

/* What is described stands beside the parameter that it is of, in whatever form is the best; a series that nothing
 * fits has a row without numbers. */
static void check_described(const struct study *st) {
    enum { N = 24 };
    static struct scaling s;
    struct report_page page = {0};
    double all[N], coherency[N];
    for (int i = 0; i < N; i++) {
        double p = i + 1;
        all[i] = 100 + 400 / p + 30 * log2(p) + 2 * p;
        coherency[i] = 50 * p / (1 + p * (p - 1) / 64);
    }
    s.st = *st;
    s.st.page = &page;
    scaling_fit_tables(&s);
    fit_planted(&s, "all terms", "amdahl", all, N);
    fit_planted(&s, "no contention", "usl", coherency, N);
    fit_planted(&s, "few", "amdahl", all, 3);
    CHECK(fabs(number(s.parameters, "all terms", "c3", "value") - 2) < 1e-6, "not all terms");
    CHECK(number(s.parameters, "all terms", "c3", "described") == 2, "c3");
    CHECK(number(s.parameters, "all terms", "serial share", "described") == 0.2, "serial share");
    CHECK(isnan(number(s.parameters, "all terms", "c0", "described")), "c0");
    CHECK(fabs(number(s.parameters, "no contention", "peak", "value") - 8) < 1e-6, "no peak");
    CHECK(number(s.parameters, "no contention", "peak", "described") == 8, "peak");
    CHECK(number(s.fits, "few", NULL, "points") == 3 && isnan(number(s.fits, "few", NULL, "weight")), "few");
    report_page_fini(&page);
}

int main(void) {
    struct app app = {.size = 1};
    struct diag d = {0};
    char *argv[] = {NULL};
    struct study st = {&app, NULL, &d, 0};
    for (int i = 0; cmds[i]; i++)
        if (!strcmp(cmds[i]->name, "report")) CHECK(!opts_parse(&app.spec, cmds[i], 0, argv, &d), "%s", d.text);
    check_twice(&st);
    check_perfect(&st);
    check_cliff(&st);
    check_room(&st);
    check_binds();
    check_described(&st);
    return check_report("test_study");
}
