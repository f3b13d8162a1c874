/* northwall fit: curves through measured points, with what is known of them and what is not. */
#include <stdlib.h>
#include <string.h>

#include "../roofline.h"
#include "analysis/fit_report.h"
#include "base/text.h"

/* ---- words of the command line ---- */

static int parse_models(struct fit_request *r, const char *words, struct diag *d) {
    char list[256], known[256], *save = NULL;
    if (strlen(words) >= sizeof list) return diag_set(d, ERR_USAGE, "fit %.40s...: the list is too long", words);
    strcpy(list, words);
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        const struct fit_model *m = fit_model_find(name);
        if (!m)
            return diag_set(d, ERR_USAGE, "fit %.40s: there are %s", name,
                            text_names(known, sizeof known, (const void *const *)fit_models));
        for (int i = 0; i < r->n_models; i++)
            if (r->model[i] == m) return diag_set(d, ERR_USAGE, "fit %s: it is named twice", words);
        if (m->pair)
            r->crossover = 1;
        else
            r->model[r->n_models++] = m;
    }
    if (r->crossover && !r->n_models) {
        r->model[r->n_models++] = fit_model_find("hockney");
        r->model[r->n_models++] = fit_model_find("loggp-segments");
    }
    return r->n_models ? 0 : diag_set(d, ERR_USAGE, "fit: no model is named");
}

static int parse_y(struct fit_request *r, char *list, struct diag *d) {
    char *save = NULL;
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        if (r->n_curves == FIT_MOST_CURVES) return diag_set(d, ERR_USAGE, "--y: at most two columns");
        r->y[r->n_curves++] = name;
    }
    if (r->crossover && r->n_curves != 2)
        return diag_set(d, ERR_USAGE, "fit crossover: --y takes the two columns whose curves cross, as ring,tree");
    if (!r->crossover && r->n_curves != 1)
        return diag_set(d, ERR_USAGE, "fit: --y takes one column; two are for crossover");
    return 0;
}

/* "2:1024" with a number for each column. */
static int parse_point(double *x, char *word, int n_x, struct diag *d) {
    char *save = NULL;
    int n = 0, rc = 0;
    for (char *number = strtok_r(word, ":", &save); number && !rc; number = strtok_r(NULL, ":", &save), n++)
        rc = n < n_x ? text_double(number, 0, 1e300, "--at", &x[n], d) : ERR_USAGE;
    return rc || n == n_x ? rc : ERR_USAGE;
}

static int parse_at(struct fit_request *r, const char *text, int n_x, struct diag *d) {
    char list[512], *save = NULL;
    if (strlen(text) >= sizeof list) return diag_set(d, ERR_USAGE, "--at: the list is too long");
    strcpy(list, text);
    for (char *word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        if (r->n_at == FIT_MOST_AT) return diag_set(d, ERR_USAGE, "--at: at most %d values", FIT_MOST_AT);
        if (parse_point(r->at[r->n_at++], word, n_x, d))
            return diag_set(d, ERR_USAGE, "--at %.40s: expected %s", text,
                            n_x == 1 ? "numbers, as 1024,4096" : "a number for each column of --x, as 2:1024,4:1024");
    }
    return 0;
}

static int columns(const char *list) {
    int n = 1;
    for (; *list; list++)
        n += *list == ',';
    return n;
}

static int parse(struct fit_request *r, const struct run_spec *s, char *y, struct diag *d) {
    char known[256];
    if (s->n_args < 2)
        return diag_set(d, ERR_USAGE, "fit: which models, of which file? Models are %s",
                        text_names(known, sizeof known, (const void *const *)fit_models));
    if (!s->x || !s->y) return diag_set(d, ERR_USAGE, "fit: --x and --y name columns of %.200s", s->args[1]);
    if (columns(s->x) > FIT_MOST_X) return diag_set(d, ERR_USAGE, "--x: at most %d columns", FIT_MOST_X);
    r->from = (struct fit_source){s->args[1], s->x, NULL, s->runs, s->where.value, s->where.n};
    r->seed = (uint64_t)s->seed;
    int rc = parse_models(r, s->args[0], d);
    if (!rc) rc = parse_y(r, y, d);
    if (!rc && s->at) rc = parse_at(r, s->at, columns(s->x), d);
    return rc || !s->plot ? rc : roof_plot_check(s->plot, d);
}

/* ---- the fit ---- */

static int make(const struct fit_request *r, const struct run_spec *s, struct diag *d) {
    static const struct report_figure none[] = {{0}};
    const struct report as = {.name = "fit", .text = s->args[1], .figures = none};
    struct fit_curve curve[FIT_MOST_CURVES];
    struct report_page page = {0};
    int rc = fit_curves_make(curve, r, d);
    if (rc) return rc;
    rc = fit_report(&page, r, curve, d);
    if (!rc && s->plot) rc = fit_plot(s->plot, r, curve, d);
    if (!rc) rc = report_print(&as, &page, stdout, s->json, d);
    report_page_fini(&page);
    fit_curves_free(curve, r->n_curves);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    static struct fit_request r; /* large, and one a process */
    char *y = strdup(app->spec.y ? app->spec.y : "");
    if (!y) return diag_set(d, ERR_MEMORY, "no memory for the command line");
    memset(&r, 0, sizeof r);
    int rc = parse(&r, &app->spec, y, d);
    if (!rc && app->rank == 0) rc = make(&r, &app->spec, d);
    free(y);
    return rc;
}

const struct cmd cmd_fit = {
    .name = "fit",
    .summary = "curves through measured points: parameters with intervals, models compared, residuals",
    .usage = "MODEL[,MODEL...] FILE.csv|STUDY.db --x COLUMN[,COLUMN] --y COLUMN [--where NAME=VALUE]... [--runs COLUMN]\n"
             "       [--at X[,X...]] [--plot FILE] [--json]\n"
             "       northwall fit crossover[,MODEL...] FILE --x COLUMN --y COLUMN,COLUMN",
    .options = "x y where runs at seed plot json",
    .notes =
        "Models (northwall list): the forms, their sources and what the tables say are in docs/FITS.md. A form is\n"
        "refused where rows are fewer than parameters and three; of forms less than 2 of AICc apart none is said\n"
        "to be the better one; values beyond the data are called an extrapolation.",
    .max_args = 2,
    .run = run,
};
