#include "analysis/fit_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/crossover.h"

enum { MOST_CANDIDATES = 12 }; /* in a table, beside the best of each model */

int fit_curves_make(struct fit_curve *curve, const struct fit_request *r, struct diag *d) {
    int rc = 0;
    memset(curve, 0, FIT_MOST_CURVES * sizeof *curve);
    for (int i = 0; i < r->n_curves && !rc; i++) {
        struct fit_source from = r->from;
        from.y = r->y[i];
        rc = fit_data_read(&curve[i].data, &from, d);
        if (!rc) rc = fit_list_make(&curve[i].list, r->model, r->n_models, &curve[i].data, d);
    }
    if (rc) fit_curves_free(curve, r->n_curves);
    return rc;
}

void fit_curves_free(struct fit_curve *curve, int n) {
    for (int i = 0; i < n; i++) {
        fit_list_free(&curve[i].list);
        fit_data_free(&curve[i].data);
    }
}

/* The first of its model: the best. */
static int leads(const struct fit_list *l, int i) {
    for (int k = 0; k < i; k++)
        if (l->fit[k].model == l->fit[i].model) return 0;
    return 1;
}

static struct frame *table(struct report_page *page, const struct fit_request *r, int curve, const char *name,
                           const char *title, const char *note) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", name, curve ? "_2" : "");
    char *said = NULL;
    if (asprintf(&said, "%s: %s", r->y[curve], title) < 0) return NULL;
    struct frame *t = report_table(page, full, said, note);
    free(said);
    return t;
}

/* ---- candidates ---- */

static const char *remark(const struct fit_list *l, int i, int runs) {
    const struct fit *f = &l->fit[i];
    if (f->depends_x) return "residuals follow one another over x: another form";
    if (f->depends_rows && !runs) return "neighbouring rows of the file depend: intervals are too narrow";
    if (f->condition > FIT_COLLINEAR) return "columns nearly collinear: parameters are known only together";
    if (i && f->aicc - l->fit[0].aicc < STAT_DISTINCT) return "not distinguishable from the best";
    return i ? "" : "best";
}

/* What the table says, in a sentence. */
static char *verdict(const struct fit_curve *c) {
    const struct fit *best = c->list.fit;
    char *text = NULL, close[80] = "every other candidate is at least 2 behind";
    int same = 0;
    while (same + 1 < c->list.n && c->list.fit[same + 1].aicc - best->aicc < STAT_DISTINCT)
        same++;
    if (same)
        snprintf(close, sizeof close, "NOT DISTINGUISHABLE from %d other%s less than 2 behind", same,
                 same == 1 ? "" : "s");
    if (asprintf(
            &text,
            "kind: estimated, from n = %d rows; residuals (y - f)/f, reweighted least squares; AICc by Student's t "
            "of 4 degrees of freedom, lower is better\nbest: %s, %s; %s",
            c->data.n, best->model->name, best->shape.text, close) < 0)
        return NULL;
    return text;
}

static void add_candidates(struct report_page *page, const struct fit_request *r, const struct fit_curve *c,
                           int curve) {
    const struct fit_list *l = &c->list;
    char *note = verdict(c);
    struct frame *t = table(page, r, curve, "models", "candidates by AICc", note ? note : "");
    free(note);
    frame_column(t, "model", "", 0);
    frame_column(t, "form", "", 0);
    frame_column(t, "parameters", "", 3);
    frame_column(t, "residual SE", "%", 3);
    frame_column(t, "left out", "%", 3);
    frame_column(t, "condition", "", 3);
    frame_column(t, "lag-1 by x", "", 2);
    frame_column(t, "by row", "", 2);
    frame_column(t, "AICc", "", 6);
    frame_column(t, "delta", "", 3);
    frame_column(t, "weight", "", 3);
    frame_column(t, "remark", "", 0);
    for (int i = 0; i < l->n; i++) {
        const struct fit *f = &l->fit[i];
        if (!leads(l, i) && (i >= MOST_CANDIDATES || f->aicc - l->fit[0].aicc > 10)) continue;
        frame_text(t, "%s", f->model->name);
        frame_text(t, "%s", f->shape.text);
        frame_number(t, f->shape.n_terms + f->shape.extra);
        frame_number(t, 100 * f->sigma);
        frame_number(t, 100 * f->left_out);
        frame_number(t, f->condition);
        frame_number(t, f->lag1_x);
        frame_number(t, f->lag1_rows);
        frame_number(t, f->aicc);
        frame_number(t, f->aicc - l->fit[0].aicc);
        frame_number(t, f->weight);
        frame_text(t, "%s", remark(l, i, c->data.run != NULL));
        frame_end_row(t);
    }
}

/* ---- parameters and values ---- */

static const char *unit_name(const struct fit_column *c) {
    return c->unit[0] ? c->unit : c->name;
}

/* "Y/X" with the units of the columns. */
static void unit_text(char *buf, size_t cap, const char *unit, const struct fit_data *data) {
    static const char *const columns = "XZW";
    size_t n = 0;
    buf[0] = 0;
    for (; *unit && n < cap; unit++) {
        const char *at = strchr(columns, *unit);
        const char *word = *unit == 'Y' ? unit_name(&data->y_column)
                           : at         ? unit_name(&data->x_column[at - columns])
                                        : 0;
        n += (size_t)(word ? snprintf(buf + n, cap - n, "%s", word) : snprintf(buf + n, cap - n, "%c", *unit));
    }
}

static void interval_columns(struct frame *t) {
    static const char *const names[] = {"t low",      "t high",        "pairs low",
                                        "pairs high", "residuals low", "residuals high"};
    for (int i = 0; i < 6; i++)
        frame_column(t, names[i], "", 5);
}

static void put_intervals(struct frame *t, const struct fit_number *n) {
    const struct stat_interval *in[] = {&n->t, &n->pairs, &n->residuals};
    for (int i = 0; i < 3; i++) {
        frame_number(t, in[i]->low);
        frame_number(t, in[i]->high);
    }
}

static void put_parameters(struct frame *t, const struct fit *f, const struct fit_data *data,
                           const struct fit_intervals *in) {
    char unit[128];
    for (int i = 0; i < in->n_parameters; i++) {
        const struct fit_number *n = &in->number[i];
        unit_text(unit, sizeof unit, n->parameter.unit, data);
        frame_text(t, "%s", f->model->name);
        frame_text(t, "%s", n->parameter.name);
        frame_number(t, n->parameter.value);
        put_intervals(t, n);
        frame_text(t, "%s", unit);
        frame_end_row(t);
    }
}

static void put_values(struct frame *t, const struct fit *f, const struct fit_data *data,
                       const struct fit_intervals *in, const double (*at)[FIT_MOST_X]) {
    for (int i = 0; i < in->n_at; i++) {
        const struct fit_number *n = &in->number[in->n_parameters + i];
        frame_text(t, "%s", f->model->name);
        for (int k = 0; k < data->n_x; k++)
            frame_number(t, at[i][k]);
        frame_number(t, n->parameter.value);
        put_intervals(t, n);
        frame_text(t, fit_extrapolates(data, at[i]) ? "extrapolation" : "within the data");
        frame_end_row(t);
    }
}

static struct frame *parameter_table(struct report_page *page, const struct fit_request *r, const struct fit_data *data,
                                     int curve) {
    char note[256];
    if (data->run)
        snprintf(
            note, sizeof note,
            "95 %% intervals: bootstrap of the %d runs that %.60s tells apart, with all their rows (1000 draws, fewer "
            "of more than 250 rows; seed %llu)",
            data->n_runs, r->from.runs, (unsigned long long)r->seed);
    else
        snprintf(note, sizeof note,
                 "95 %% intervals: Student's t and covariance; bootstrap of pairs, of residuals (1000 draws, fewer of "
                 "more than 250 rows; seed %llu)",
                 (unsigned long long)r->seed);
    struct frame *t = table(page, r, curve, "parameters", "parameters of the best candidate of each model", note);
    frame_column(t, "model", "", 0);
    frame_column(t, "parameter", "", 0);
    frame_column(t, "value", "", 6);
    interval_columns(t);
    frame_column(t, "unit", "", 0);
    return t;
}

static struct frame *value_table(struct report_page *page, const struct fit_request *r, const struct fit_data *data,
                                 int curve) {
    struct frame *t = table(page, r, curve, "values", "values of the curves (kind: estimated)", "");
    frame_column(t, "model", "", 0);
    for (int k = 0; k < data->n_x; k++)
        frame_column(t, data->x_column[k].name, data->x_column[k].unit, 6);
    frame_column(t, data->y_column.name, data->y_column.unit, 6);
    interval_columns(t);
    frame_column(t, "range", "", 0);
    return t;
}

static int add_parameters(struct report_page *page, const struct fit_request *r, const struct fit_curve *c, int curve,
                          struct diag *d) {
    struct frame *t = parameter_table(page, r, &c->data, curve),
                 *v = r->n_at ? value_table(page, r, &c->data, curve) : NULL;
    int rc = 0;
    for (int i = 0; i < c->list.n && !rc; i++) {
        struct fit_intervals in;
        if (!leads(&c->list, i)) continue;
        rc = fit_intervals(&in, &c->list.fit[i], &c->data, r->at, r->n_at, r->seed, d);
        if (rc) break;
        put_parameters(t, &c->list.fit[i], &c->data, &in);
        if (v) put_values(v, &c->list.fit[i], &c->data, &in, r->at);
    }
    return rc;
}

/* ---- residuals ---- */

static void add_residuals(struct report_page *page, const struct fit_request *r, const struct fit_curve *c, int curve) {
    const struct fit *f = c->list.fit;
    const struct fit_data *data = &c->data;
    struct frame *t = table(page, r, curve, "residuals", "residuals of the best", "");
    frame_column(t, "line", "", 9);
    for (int k = 0; k < data->n_x; k++)
        frame_column(t, data->x_column[k].name, data->x_column[k].unit, 6);
    frame_column(t, data->y_column.name, data->y_column.unit, 6);
    frame_column(t, "fitted", data->y_column.unit, 6);
    frame_column(t, "residual", "%", 3);
    for (int i = 0; i < data->n; i++) {
        const double *x = &data->x[i * data->n_x];
        frame_number(t, data->line[i]);
        for (int k = 0; k < data->n_x; k++)
            frame_number(t, x[k]);
        frame_number(t, data->y[i]);
        frame_number(t, fit_value(f, x));
        frame_number(t, 100 * fit_residual(f, x, data->y[i]));
        frame_end_row(t);
    }
}

/* ---- crossings ---- */

static int add_crossover(struct report_page *page, const struct fit_request *r, const struct fit_curve *c,
                         struct diag *d) {
    struct crossover x;
    char note[320];
    const struct fit *a = c[0].list.fit, *b = c[1].list.fit;
    int rc = crossover_find(&x, a, &c[0].data, b, &c[1].data, r->seed, d);
    if (rc) return rc;
    snprintf(note, sizeof note,
             "%s by %s, %s by %s, from %.6g to %.6g; 95 %% intervals by bootstrap of %s (seed %llu): %.1f %% of %d "
             "draws cross as often%s",
             r->y[0], a->model->name, r->y[1], b->model->name, x.low, x.high, c[0].data.run ? "runs" : "pairs",
             (unsigned long long)r->seed, 100 * x.agree, x.draws, x.n ? "" : ": the curves do not cross");
    struct frame *t = report_table(page, "crossover", "where the curves cross (kind: estimated)", note);
    frame_column(t, c->data.x_column[0].name, c->data.x_column[0].unit, 6);
    frame_column(t, "low", "", 6);
    frame_column(t, "high", "", 6);
    frame_column(t, "lower before", "", 0);
    frame_column(t, "lower behind", "", 0);
    for (int i = 0; i < x.n; i++) {
        frame_number(t, x.at[i].x);
        frame_number(t, x.at[i].in.low);
        frame_number(t, x.at[i].in.high);
        frame_text(t, "%s", r->y[!x.at[i].first_below]);
        frame_text(t, "%s", r->y[x.at[i].first_below]);
        frame_end_row(t);
    }
    return 0;
}

int fit_report(struct report_page *page, const struct fit_request *r, const struct fit_curve *curve, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < r->n_curves && !rc; i++) {
        add_candidates(page, r, &curve[i], i);
        rc = add_parameters(page, r, &curve[i], i, d);
        if (!rc) add_residuals(page, r, &curve[i], i);
    }
    return rc || !r->crossover ? rc : add_crossover(page, r, curve, d);
}
