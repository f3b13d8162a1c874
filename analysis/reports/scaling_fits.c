/* Curves through what was simulated: which form it has, how far from it the numbers are, and its parameters beside what
 * the machine's description says of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "scaling.h"

void scaling_fit_tables(struct scaling *s) {
    struct frame *t = s->fits =
        report_table(s->st.page, "fits", "Forms of scaling, fitted",
                     "Estimated from simulated points, which are deterministic: residuals are misfit of the form, not "
                     "noise. Weights and\ndelta by AICc; below a delta of 2 the next form is not distinguishable. Of "
                     "pmnf the best of 57 candidates.\nGustafson's form, one serial share for all numbers of cards, "
                     "has no links of another tier in it, no pipelines that run dry\nof layers, and no weights that do "
                     "not grow.");
    frame_column(t, "series", "", 0);
    frame_column(t, "points", "", 3);
    frame_column(t, "best", "", 0);
    frame_column(t, "form", "", 0);
    frame_column(t, "weight", "", 2);
    frame_column(t, "next", "", 0);
    frame_column(t, "delta", "", 3);
    frame_column(t, "residual SE", "%", 3);
    frame_column(t, "largest residual", "%", 3);
    frame_column(t, "condition", "", 3);
    frame_column(t, "remark", "", 0);
    t = s->parameters =
        report_table(s->st.page, "parameters", "Parameters of the best forms, beside what the description says",
                     "95 % by Student's t and the covariance of the fit: how well the form's own number is known where "
                     "the form does not hold\nexactly. Described: by the cluster file or the plan's bytes; of a peak: "
                     "the number of cards that is fastest as simulated.");
    frame_column(t, "series", "", 0);
    frame_column(t, "form", "", 0);
    frame_column(t, "parameter", "", 0);
    frame_column(t, "value", "", 4);
    frame_column(t, "low", "", 4);
    frame_column(t, "high", "", 4);
    frame_column(t, "described", "", 4);
    frame_column(t, "unit", "", 0);
}

static int models_of(const char *words, const struct fit_model **out) {
    char word[32];
    int n = 0;
    for (const char *at = words; *at; at += strcspn(at, ",")) {
        at += *at == ',';
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        out[n++] = fit_model_find(word);
    }
    return n;
}

double scaling_largest_residual(const struct fit *f, const struct fit_data *data) {
    double most = 0;
    for (int i = 0; i < data->n; i++)
        most = fmax(most, fabs(fit_residual(f, &data->x[i * data->n_x], data->y[i])));
    return most;
}

static void put_fit(struct frame *t, const struct scaling_series *series, const struct fit_list *l) {
    const struct fit *f = l->fit, *next = l->n > 1 ? f + 1 : NULL;
    frame_text(t, "%s", series->name);
    frame_number(t, series->data.n);
    frame_text(t, "%s", f->model->name);
    frame_text(t, "%s", f->shape.text);
    frame_number(t, f->weight);
    frame_text(t, "%s", next ? next->shape.text : "-");
    frame_number(t, next ? next->aicc - f->aicc : NAN);
    frame_number(t, 100 * f->sigma);
    frame_number(t, 100 * scaling_largest_residual(f, &series->data));
    frame_number(t, f->condition);
    frame_text(t, "%s%s%s%s", next && next->aicc - f->aicc < STAT_DISTINCT ? "not distinguishable from the next; " : "",
               f->condition > FIT_COLLINEAR ? "collinear: parameters are known only together; " : "",
               scaling_largest_residual(f, &series->data) > 0.05 ? "does not hold to 5 %; " : "",
               f->depends_x ? "residuals follow one another: another form" : "");
    frame_end_row(t);
}

/* 'Y', 'X', 'Z', 'W' of a parameter's unit are the columns'. */
static void put_unit(struct frame *t, const char *unit, const struct fit_data *data) {
    static const char columns[] = "XZW";
    char text[96] = "";
    for (size_t n = 0; *unit && n + 24 < sizeof text; unit++, n = strlen(text)) {
        const char *at = strchr(columns, *unit), letter[2] = {*unit, 0};
        snprintf(text + n, sizeof text - n, "%s",
                 *unit == 'Y' ? data->y_column.unit
                 : at         ? data->x_column[at - columns].unit
                              : letter);
    }
    frame_text(t, "%s", text);
}

static double described(const struct scaling_series *series, const char *parameter) {
    for (const struct scaling_described *at = series->described; at && at->parameter; at++)
        if (!strcmp(at->parameter, parameter)) return at->value;
    return NAN;
}

static void put_parameters(struct frame *t, const struct scaling_series *series, const struct fit *f) {
    struct fit_number number[FIT_MOST_PARAMETERS];
    int n = fit_t_intervals(number, f, NULL, 0);
    for (int i = 0; i < n; i++) {
        frame_text(t, "%s", series->name);
        frame_text(t, "%s", f->shape.text);
        frame_text(t, "%s", number[i].parameter.name);
        frame_number(t, number[i].parameter.value);
        frame_number(t, number[i].t.low);
        frame_number(t, number[i].t.high);
        frame_number(t, described(series, number[i].parameter.name));
        put_unit(t, number[i].parameter.unit, &series->data);
        frame_end_row(t);
    }
}

static void put_none(struct frame *t, const struct scaling_series *series, const char *why) {
    frame_text(t, "%s", series->name);
    frame_number(t, series->data.n);
    frame_text(t, "none of %s", series->models);
    frame_text(t, "-");
    frame_number(t, NAN);
    frame_text(t, "-");
    for (int i = 0; i < 4; i++)
        frame_number(t, NAN);
    frame_text(t, "%s", why);
    frame_end_row(t);
}

int scaling_fit(struct scaling *s, struct scaling_series *series, struct fit *best, int *found) {
    enum { MOST = 4 };
    const struct fit_model *models[MOST];
    struct fit_list list = {0};
    struct diag d = {0};
    int rc = fit_list_make(&list, models, models_of(series->models, models), &series->data, &d);
    *found = !rc;
    if (rc == ERR_RANGE) put_none(s->fits, series, d.text);
    if (rc) return rc == ERR_RANGE ? 0 : diag_set(s->st.d, rc, "%s", d.text);
    put_fit(s->fits, series, &list);
    put_parameters(s->parameters, series, &list.fit[0]);
    *best = list.fit[0];
    fit_list_free(&list);
    return 0;
}
