/* Parameters of a cluster: planted values are found again from the throughput alone, impossible ones are not. */
#include "analysis/parameter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random_cluster.h"

enum { USERS = 4, MOST_LOOKS = 120 };

struct job {
    struct plan *p;
    struct trace trace;
    int looks;
};

static double throughput(const struct job *j, const struct cluster *c, struct diag *d) {
    struct simulation s;
    uint64_t last = 0;
    int64_t tokens = 0;
    if (simulate(&s, j->p, c, &j->trace, d)) return NAN;
    for (int i = 0; i < j->trace.n; i++) {
        tokens += j->trace.pass[i].returned;
        if (s.taken[0][i].ps > last) last = s.taken[0][i].ps;
    }
    simulation_fini(&s);
    return 1e12 * (double)tokens / (double)last;
}

static int look(void *user, const struct cluster *c, double *out, struct diag *d) {
    struct job *j = user;
    j->looks++;
    *out = throughput(j, c, d);
    return isnan(*out) ? ERR_INTERNAL : 0;
}

static int job_init(struct job *j, struct cluster *c, struct diag *d) {
    static const int ids[8];
    const int *prompt[USERS] = {ids, ids, ids, ids}, len[USERS] = {8, 8, 8, 8};
    struct model_shape shape;
    struct strategy st;
    uint64_t n = 0;
    *j = (struct job){0};
    *c = (struct cluster){0};
    random_cluster(c, 7, &n, 0);
    random_card(&c->host, 8, &n);
    c->n_exceptions = 0;
    for (int i = 0; i < c->card.n_levels; i++)
        c->card.level[i].bytes = c->host.level[i].bytes = 0;
    struct plan_opts o = {
        .decoder =
            {.linear_bits = ACT_I8, .head_bits = ACT_I8, .n_seqs = USERS, .n_ctx = 16, .max_tokens = 8, .threads = 1},
        .n_micro = 2,
        .transport = COLL_TRANSPORT_LINK,
        .net = &c->net};
    int rc = preset_shape(&shape, "smollm-135m", NULL, 0, d);
    if (!rc) rc = strategy_parse(&st, "stages:host,2,1,2/0", d);
    if (!rc) rc = plan_make(&j->p, &shape, &st, strategy_ranks(&st), &o, d);
    struct engine_job job = {
        .n_seqs = USERS, .prompt = prompt, .prompt_len = len, .n_new = 6, .chunk = 8, .sampling = {.top_k = 1}};
    return rc ? rc : trace_fixed(&j->trace, j->p, &job, 0, d);
}

static void check_planted(struct job *j, const struct cluster *c, const struct parameter *p) {
    double x = p->kind == PARAMETER_FACTOR ? 0.013 : 0.0077, target;
    struct cluster planted = *c;
    struct reached r;
    struct diag d = {0};
    p->set(&planted, x);
    target = throughput(j, &planted, &d);
    j->looks = 0;
    int rc = parameter_reach(&r, p, c, target, 1e-9, look, j, &d);
    CHECK(rc == 0 && r.found, "%s: not found: %s", p->name, d.text);
    CHECK(fabs(r.x / x - 1) < 1e-6, "%s: %.9g, planted %.9g", p->name, r.x, x);
    CHECK(r.evaluations == j->looks && j->looks < MOST_LOOKS, "%s: %d looks, %d said", p->name, j->looks,
          r.evaluations);
}

/* No time that is added makes anything faster, and no factor is small enough for one token in years: what it comes to
 * with the least of all is nearer than no change. */
static void check_impossible(struct job *j, const struct cluster *c, const struct parameter *p, double base) {
    struct reached r;
    struct diag d = {0};
    int adds = p->kind == PARAMETER_TIME;
    int rc = parameter_reach(&r, p, c, adds ? 2 * base : 1e-9 * base, 1e-9, look, j, &d);
    CHECK(rc == 0 && !r.found && (adds ? fabs(r.nearest / base - 1) < 1e-9 : r.nearest < base / 2),
          "%s: found %.9g, nearest %.9g of %.9g", p->name, r.x, r.nearest, base);
}

static void check_failure(struct job *j, const struct cluster *c) {
    struct cluster broken = *c;
    struct reached r;
    struct diag d = {0};
    broken.has_host = 0;
    int rc = parameter_reach(&r, &parameters[0], &broken, 1, 1e-9, look, j, &d);
    CHECK(rc == ERR_INTERNAL && !r.found && d.code == ERR_PLAN, "a plan without its host: %d, %s", rc, d.text);
}

static void check_rates(void) {
    static const struct pico_rate rates[] = {{1, 13}, {5, 2097}, {1000000007, 3}, {1, UINT64_C(1) << 20}};
    static const double x[] = {1e-4, 0.1496, 0.999999999, 1, 1.5, 1e3};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        for (size_t k = 0; k < sizeof x / sizeof *x; k++) {
            struct pico_rate r = parameter_faster(rates[i], x[k]);
            double is = (double)r.num / (double)r.den * x[k] / ((double)rates[i].num / (double)rates[i].den);
            CHECK(fabs(is - 1) < 2e-9, "rate %zu times %g: off by %g", i, x[k], is - 1);
        }
}

/* A level's bandwidth alone: all levels together are the cards' memory, without what a collective copies. */
static void check_levels(struct cluster one) {
    char text[80];
    struct diag d = {0};
    for (int i = 0; i < one.card.n_levels; i++)
        snprintf(one.card.level[i].name, sizeof one.card.level[i].name, "level%d", i);
    struct cluster all = one;
    parameter_find("memory-bandwidth")->set(&all, 0.25);
    all.net.copy = one.net.copy;
    for (int i = 0; i < one.card.n_levels; i++) {
        CHECK(memcmp(&all, &one, sizeof one), "level %d changes nothing", i);
        snprintf(text, sizeof text, "memory-bandwidth.%s=0.25", one.card.level[i].name);
        CHECK(!parameter_apply(&one, text, &d), "%s: %s", text, d.text);
    }
    CHECK(!memcmp(&all, &one, sizeof one), "level by level is another card");
    CHECK(parameter_apply(&one, "memory-bandwidth.none=2", &d) == ERR_USAGE, "a level that is none");
    d = (struct diag){0};
    CHECK(parameter_apply(&one, "memory-bandwidthx=2", &d) == ERR_USAGE && strstr(d.text, "memory-bandwidth.LEVEL"),
          "%s", d.text);
}

int main(void) {
    struct job j;
    struct cluster c;
    struct diag d = {0};
    int rc = job_init(&j, &c, &d);
    double base = rc ? NAN : throughput(&j, &c, &d);
    CHECK(!isnan(base), "%s", d.text);
    for (const struct parameter *p = parameters; p->name && !isnan(base); p++) {
        CHECK(parameter_find(p->name) == p, "%s", p->name);
        check_planted(&j, &c, p);
        check_impossible(&j, &c, p, base);
    }
    if (!isnan(base)) check_failure(&j, &c);
    CHECK(!parameter_find("no such"), "found what is not there");
    if (!isnan(base)) check_levels(c);
    check_rates();
    trace_fini(&j.trace);
    plan_free(j.p);
    return check_report("test_parameter");
}
