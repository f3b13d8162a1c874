#include "study.h"

#include <math.h>
#include <stdio.h>

#include "partition/estimate.h"

/* What does not fit is a result. */
static int unless_room(int rc, const struct diag *own, struct diag *d) {
    return rc && rc != ERR_PLAN ? diag_set(d, rc, "%s", own->text) : 0;
}

int study_figures(struct study_figures *out, const struct study_case *c, const struct study *st, int estimate) {
    struct diag own = {0};
    struct case_plan *p;
    *out = (struct study_figures){0};
    int rc = case_open(&p, c, st->app, &own);
    if (!rc) rc = case_summarize(&out->s, p, c->cluster, estimate, &own);
    case_close(p);
    out->fits = !rc;
    if (!rc) out->J = virtual_energy_sum(&out->s.energy) / (double)out->s.tokens;
    return unless_room(rc, &own, st->d);
}

/* ---- users ---- */

struct room {
    const struct study *st;
    study_make *make;
    const void *user;
};

static int use_nothing(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                       struct diag *d) {
    struct estimator *e = NULL;
    int rc = estimator_new(&e, p, &app->cluster, d);
    (void)trace;
    estimator_free(e);
    *(int *)user = !rc;
    return rc;
}

static int has_room(void *user, int64_t users, int *holds, struct diag *d) {
    const struct room *r = user;
    struct study_case c = r->make(r->user, (int)users);
    *holds = 0;
    struct diag own = {0};
    return unless_room(case_use(&c, r->st->app, use_nothing, holds, &own), &own, d);
}

int study_most_users(int *out, study_make *make, const void *user, int most, const struct study *st) {
    struct room r = {st, make, user};
    int64_t users = 0;
    int rc = integer_last(&users, 1, most, has_room, &r, st->d);
    *out = (int)users;
    return rc;
}

/* ---- what binds ---- */

const char *const study_share_name[NET_SHARES] = {"memory", "compute", "link bandwidth", "link latency", "overhead"};

enum net_share study_binds(const struct virtual_summary *s, double *part) {
    enum net_share most = net_greatest(&s->critical);
    *part = s->critical.ps ? (double)s->critical.share[most] / (double)s->critical.ps : 0;
    return most;
}

const char *study_binds_text(const struct virtual_summary *s, char text[64]) {
    double part;
    enum net_share most = study_binds(s, &part);
    snprintf(text, 64, "%s %.0f %%", study_share_name[most], 100 * part);
    return text;
}

/* ---- numbers in words ---- */

void study_span_add(struct study_span *s, double x) {
    if (isnan(x)) return;
    s->least = s->n ? fmin(s->least, x) : x;
    s->most = s->n ? fmax(s->most, x) : x;
    s->n++;
}

double study_rounded(double x, int digits) {
    double unit = x == 0 ? 1 : pow(10, floor(log10(fabs(x))) + 1 - digits);
    return unit * nearbyint(x / unit);
}

const char *study_span_text(const struct study_span *s, int digits, char text[64]) {
    double least = study_rounded(s->least, digits), most = study_rounded(s->most, digits);
    if (least == most)
        snprintf(text, 64, "%.7g", least);
    else
        snprintf(text, 64, "%.7g to %.7g", least, most);
    return text;
}
