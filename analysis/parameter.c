#include "analysis/parameter.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define DIGITS 1000000000.0 /* of a factor */

/* Small factors keep their digits too. */
struct pico_rate parameter_faster(struct pico_rate r, double x) {
    uint64_t one = (uint64_t)DIGITS;
    return x < 1 ? pico_times(r, (uint64_t)nearbyint(DIGITS / x), one)
                 : pico_times(r, one, (uint64_t)nearbyint(x * DIGITS));
}

static uint64_t pico_of_s(double s) {
    return (uint64_t)nearbyint(s * 1e12);
}

/* ---- the parameters ---- */

static void set_memory(struct cluster *c, double x) {
    for (int i = 0; i < c->card.n_levels; i++) {
        struct card_level *l = &c->card.level[i];
        l->G = parameter_faster(l->G, x);
        if (l->alone.den) l->alone = parameter_faster(l->alone, x);
    }
    c->net.copy = parameter_faster(c->net.copy, x);
}

static void set_rates(struct cluster *c, double x) {
    for (int k = 0; k < PREC_COUNT; k++)
        if (c->card.op[k].den) c->card.op[k] = parameter_faster(c->card.op[k], x);
    c->net.gamma = parameter_faster(c->net.gamma, x);
    c->net.codec = parameter_faster(c->net.codec, x);
}

static void set_step(struct cluster *c, double x) {
    c->card.step_ps += pico_of_s(x);
}

static void set_pass(struct cluster *c, double x) {
    c->card.pass_ps += pico_of_s(x);
}

static void set_host_pass(struct cluster *c, double x) {
    c->host.pass_ps += pico_of_s(x);
}

static void set_host_sequence(struct cluster *c, double x) {
    c->host.sequence_ps += pico_of_s(x);
}

static void set_sequence(struct cluster *c, double x) {
    c->card.sequence_ps += pico_of_s(x);
}

static void set_link_bandwidth(struct cluster *c, double x) {
    for (int i = 0; i < c->net.n_tiers; i++) {
        struct net_link *l = &c->net.tier[i].link;
        l->G = parameter_faster(l->G, x);
        if (l->port.den) l->port = parameter_faster(l->port, x);
    }
}

static void set_link_latency(struct cluster *c, double x) {
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.L_ps += pico_of_s(x);
}

static void set_send_overhead(struct cluster *c, double x) {
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.o_send_ps += pico_of_s(x);
}

const struct parameter parameters[] = {
    {"memory-bandwidth", "bandwidth of the cards' memory", PARAMETER_FACTOR, 0, 1e-4, 1e3, set_memory,
     "the time of a stage with twice the layers on a card: bytes double, messages do not"},
    {"compute", "rates of arithmetic of the cards", PARAMETER_FACTOR, 0, 1e-5, 1e3, set_rates,
     "the time of a stage with twice the users in a micro-batch: operations double, weights do not"},
    {"step-overhead", "overhead of each step on a card", PARAMETER_TIME, 0, 0, 0.1, set_step,
     "the time of a stage with small matrices: it does not fall below the overheads"},
    {"pass-overhead", "overhead of each pass on a card", PARAMETER_TIME, 0, 0, 1, set_pass,
     "the time of a stage without a layer, which only hands on"},
    {"host-loop", "time of the host for each pass", PARAMETER_TIME, 1, 0, 1, set_host_pass,
     "the token period with half the layers: the host's part does not halve"},
    {"host-sequence", "time of the host for each sampled token", PARAMETER_TIME, 1, 0, 1, set_host_sequence,
     "the token period with half the users: the host's part halves"},
    {"sequence-overhead", "time of the last cards for each sampled token", PARAMETER_TIME, 0, 0, 1, set_sequence,
     "the time of the output stage against the users of a micro-batch"},
    {"link-bandwidth", "bandwidth of all links", PARAMETER_FACTOR, 0, 1e-4, 1e3, set_link_bandwidth,
     "the time of a hop against the bytes of the message"},
    {"link-latency", "latency of all links", PARAMETER_TIME, 0, 0, 1, set_link_latency,
     "the time of a hop with a short message"},
    {"send-overhead", "overhead of the sender for each message", PARAMETER_TIME, 0, 0, 1, set_send_overhead,
     "the rate of short messages in a row from one card"},
    {0}};

const struct parameter *parameter_find(const char *name) {
    for (const struct parameter *p = parameters; p->name; p++)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

/* ---- in words ---- */

static int set_capacity(struct card_level *l, double x) {
    double bytes = nearbyint(x * (double)l->bytes);
    if (!(bytes >= 1 && bytes <= 1e18)) return -1;
    l->bytes = (uint64_t)bytes;
    return 0;
}

static int set_level_bandwidth(struct card_level *l, double x) {
    l->G = parameter_faster(l->G, x);
    return 0;
}

/* Of one level of the cards' memory, whose name stands behind the point. */
static const struct level_parameter {
    struct parameter row;
    int (*set)(struct card_level *l, double x); /* nonzero: out of range */
} level_parameters[] = {{{"capacity.LEVEL", "capacity of a level of the cards' memory", PARAMETER_FACTOR, 0, 1e-9, 1e6,
                          NULL, "its data sheet"},
                         set_capacity},
                        {{"memory-bandwidth.LEVEL", "bandwidth of a level of the cards' memory", PARAMETER_FACTOR, 0,
                          1e-4, 1e3, NULL, "the time of a stage by the bytes that lie on this level"},
                         set_level_bandwidth}};
enum { N_LEVEL_PARAMETERS = sizeof level_parameters / sizeof *level_parameters };

static const struct level_parameter *of_level(const char *name) {
    for (int i = 0; i < N_LEVEL_PARAMETERS; i++) {
        const char *row = level_parameters[i].row.name;
        if (!strncmp(name, row, (size_t)(strchr(row, '.') - row) + 1)) return &level_parameters[i];
    }
    return NULL;
}

const struct parameter *parameter_of(const char *name) {
    const struct level_parameter *p = of_level(name);
    return p ? &p->row : parameter_find(name);
}

char *parameter_names(char *buf, size_t cap) {
    size_t at = 0;
    *buf = 0;
    for (const struct parameter *p = parameters; p->name && at < cap; p++)
        at += (size_t)snprintf(buf + at, cap - at, "%s, ", p->name);
    for (int i = 0; i < N_LEVEL_PARAMETERS && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%s", i ? ", " : "", level_parameters[i].row.name);
    return buf;
}

static double unit_of(const struct parameter *p, const char *word) {
    static const struct {
        const char *name;
        enum parameter_kind kind;
        double one;
    } units[] = {{"ps", PARAMETER_TIME, 1e-12},     {"ns", PARAMETER_TIME, 1e-9},     {"us", PARAMETER_TIME, 1e-6},
                 {"ms", PARAMETER_TIME, 1e-3},      {"s", PARAMETER_TIME, 1},         {"kb/s", PARAMETER_BIT_RATE, 1e3},
                 {"Mb/s", PARAMETER_BIT_RATE, 1e6}, {"Gb/s", PARAMETER_BIT_RATE, 1e9}};
    if (p->kind == PARAMETER_FACTOR) return !*word;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == p->kind && !strcmp(word, units[i].name)) return units[i].one;
    return 0;
}

int parameter_value(const struct parameter *p, const char *name, const char *text, double *x, struct diag *d) {
    static const char *const kinds[][2] = {[PARAMETER_FACTOR] = {"a factor", ""},
                                           [PARAMETER_TIME] = {"a time with its unit (ps, ns, us, ms, s)", " s"},
                                           [PARAMETER_BIT_RATE] = {"a rate with its unit (kb/s, Mb/s, Gb/s)", " b/s"}};
    char *end;
    double v = strtod(text, &end), unit = unit_of(p, end + strspn(end, " "));
    int number = end != text && strspn(text, "0123456789.eE+-") >= (size_t)(end - text);
    *x = v * unit;
    if (number && unit > 0 && *x >= p->least && *x <= p->most) return 0;
    return diag_set(d, ERR_USAGE, "%.60s '%.40s': %s from %g to %g%s", name, text, kinds[p->kind][0], p->least, p->most,
                    kinds[p->kind][1]);
}

static int set_level(struct cluster *c, const struct level_parameter *p, const char *name, double x, struct diag *d) {
    char names[160] = "";
    for (int i = 0; i < c->card.n_levels; i++) {
        struct card_level *l = &c->card.level[i];
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", l->name);
        if (strcmp(l->name, strchr(name, '.') + 1)) continue;
        if (!p->set(l, x)) return 0;
        return diag_set(d, ERR_USAGE, "%.60s: %s", name, l->bytes ? "out of range" : "the file gives none");
    }
    return diag_set(d, ERR_USAGE, "%.60s: the levels of %s are %s", name, c->card.name, names);
}

int parameter_apply(struct cluster *c, const char *text, struct diag *d) {
    char name[64] = "", names[320];
    const char *is = strchr(text, '=');
    double x = 0;
    if (is && is - text < (long)sizeof name) memcpy(name, text, (size_t)(is - text));
    const struct parameter *p = parameter_of(name);
    if (!p)
        return diag_set(d, ERR_USAGE, "'%.60s': expected NAME=VALUE, of %s", text,
                        parameter_names(names, sizeof names));
    int rc = parameter_value(p, name, is + 1, &x, d);
    if (rc || !p->set) return rc ? rc : set_level(c, of_level(name), name, x, d);
    p->set(c, x);
    return 0;
}

/* ---- the value that meets a target ---- */

struct search {
    const struct parameter *p;
    const struct cluster *c;
    double target;
    parameter_eval *eval;
    void *user;
    struct diag *d;
    int evaluations, rc;
};

static double value_of(const struct search *s, double at) {
    return s->p->kind == PARAMETER_FACTOR ? exp(at) : at;
}

static double place_of(const struct search *s, double x) {
    return s->p->kind == PARAMETER_FACTOR ? log(x) : x;
}

/* ln(quantity / target): its sign is what the bracket needs, and it is near to linear. */
static double distance(double at, void *user) {
    struct search *s = user;
    struct cluster changed = *s->c;
    double quantity = 0;
    if (s->rc) return GSL_NAN;
    s->p->set(&changed, value_of(s, at));
    s->evaluations++;
    s->rc = s->eval(s->user, &changed, &quantity, s->d);
    if (!s->rc && !(quantity > 0)) s->rc = diag_set(s->d, ERR_RANGE, "parameter %s: a quantity of 0", s->p->name);
    return s->rc ? GSL_NAN : log(quantity / s->target);
}

/* From no change outwards, by steps that grow, until the target lies between *low and *high. */
static int bracket(struct search *s, struct reached *out, int down, double *low, double *high) {
    const double growth = 8, first = s->p->kind == PARAMETER_FACTOR ? 0.25 : 1e-9;
    double end = place_of(s, down ? s->p->least : s->p->most), from = s->p->kind == PARAMETER_FACTOR ? 0 : s->p->least;
    double at_from = distance(from, s), best = at_from;
    for (double step = first; !s->rc; step *= growth) {
        double to = down ? fmax(-step, end) : fmin(step, end), at_to = distance(to, s);
        if (fabs(at_to) < fabs(best)) best = at_to;
        *low = fmin(from, to);
        *high = fmax(from, to);
        if ((at_from > 0) != (at_to > 0)) return 1;
        if (!(fabs(log(out->nearest / s->target)) <= fabs(best))) out->nearest = s->target * exp(best);
        if (to == end) return 0;
        from = to;
        at_from = at_to;
    }
    return 0;
}

static void refine(struct search *s, struct reached *out, double low, double high, double tolerance) {
    enum { MOST = 100 };
    gsl_function f = {distance, s};
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    if (!solver) {
        s->rc = diag_set(s->d, ERR_MEMORY, "no memory to look for %s", s->p->name);
        return;
    }
    int code = gsl_root_fsolver_set(solver, &f, low, high);
    for (int i = 0; i < MOST && !code && !s->rc && !out->found; i++) {
        code = gsl_root_fsolver_iterate(solver);
        double at = gsl_root_fsolver_root(solver);
        out->x = value_of(s, at);
        out->found = !code && !s->rc && fabs(distance(at, s)) <= tolerance;
    }
    gsl_root_fsolver_free(solver);
}

int parameter_reach(struct reached *out, const struct parameter *p, const struct cluster *c, double target,
                    double tolerance, parameter_eval *eval, void *user, struct diag *d) {
    struct search s = {p, c, target, eval, user, d, 0, 0};
    double low = 0, high = 0;
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    *out = (struct reached){0};
    int between = p->kind == PARAMETER_FACTOR && bracket(&s, out, 1, &low, &high);
    if (!between && !s.rc) between = bracket(&s, out, 0, &low, &high);
    if (between) refine(&s, out, low, high, tolerance);
    gsl_set_error_handler(before);
    out->evaluations = s.evaluations;
    return s.rc;
}
