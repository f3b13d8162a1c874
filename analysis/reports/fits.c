/* fits - the forms of `northwall fit` on measurements that come with the program: heavy-tailed ones of a real machine,
 * with what is left over. */
#include "analysis/data.h"
#include "analysis/fit_report.h"
#include "figure.h"

static const char *const models[] = {"hockney", "bspline", "loggp-segments"}; /* --quick: without the last */
enum { MODELS = sizeof models / sizeof *models, HOCKNEY = 0 };

/* The best candidate, and the line of start-up and bandwidth beside it. */
static void say(struct report_page *page, const struct fit_request *r, const struct fit_curve *c, int curve) {
    const struct fit *best = c->list.fit, *line = best;
    for (int i = 0; i < c->list.n; i++)
        if (c->list.fit[i].model == r->model[HOCKNEY]) line = &c->list.fit[i];
    double behind = line->aicc - best->aicc;
    report_say(page,
               "All-reduces by messages, %s: %s (%s) fits best with a residual of %.0f %%; a line of start-up and "
               "bandwidth (hockney) is %.1f of AICc behind%s (estimated, n = %d rows, measured).",
               r->y[curve], best->model->name, best->shape.text, 100 * best->sigma, behind,
               line == best             ? ": it is the best"
               : behind < STAT_DISTINCT ? ": not distinguishable"
                                        : "",
               c->data.n);
    if (best->depends_rows)
        report_say(page,
                   "Neighbouring rows of %s depend (lag-1 %.2f): each run of the machine had its own speed, and the "
                   "intervals are too narrow.",
                   r->y[curve], best->lag1_rows);
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct fit_request r = {.n_models = app->spec.quick ? MODELS - 1 : MODELS,
                            .crossover = 1,
                            .from.x = "size",
                            .y = {"one-shot", "mpi"},
                            .n_curves = 2,
                            .at = {{65536}, {4194304}},
                            .n_at = 2,
                            .seed = 1};
    struct fit_curve curve[FIT_MOST_CURVES];
    char path[4096];
    int rc = data_path(path, sizeof path, "docs/fits/allreduce.csv", d);
    r.from.path = path;
    for (int i = 0; i < MODELS; i++)
        r.model[i] = fit_model_find(models[i]);
    if (!rc) rc = fit_curves_make(curve, &r, d);
    if (rc) return rc;
    for (int i = 0; i < r.n_curves; i++)
        say(page, &r, &curve[i], i);
    rc = fit_report(page, &r, curve, d);
    fit_curves_free(curve, r.n_curves);
    return rc;
}

static const struct report_figure figures[] = {
    {"fits",
     FIGURE_STYLE
     "set title 'All-reduces by messages: medians of six runs, and the best curves'\nset xlabel 'bytes'\n"
     "set ylabel 'us'\nset logscale xy\nset key inside left top\n"
     "plot 'residuals.csv' skip 1 using 2:3 with points lc rgb color(1) pt 6 title 'one-shot, measured', \\\n"
     "  '' skip 1 using 2:4 with lines lc rgb color(1) lw 2 title 'one-shot, best curve', \\\n"
     "  'residuals_2.csv' skip 1 using 2:3 with points lc rgb color(2) pt 2 title 'mpi, measured', \\\n"
     "  '' skip 1 using 2:4 with lines lc rgb color(2) dt 2 lw 2 title 'mpi, best curve'\n",
     "Time of an all-reduce of two ranks by messages against its size, one-shot and the MPI library's (measured: "
     "medians "
     "of 100 repetitions, six runs), and the candidate with the least AICc of each (estimated)."},
    {"fits_residuals",
     FIGURE_STYLE
     "set title 'What the best curves leave over'\nset xlabel 'bytes'\nset ylabel '(measured - fitted) / fitted, %'\n"
     "set logscale x\nset xzeroaxis lc rgb 'black'\nset key inside left top\n"
     "plot 'residuals.csv' skip 1 using 2:5 with points lc rgb color(1) pt 6 title 'one-shot', \\\n"
     "  'residuals_2.csv' skip 1 using 2:5 with points lc rgb color(2) pt 2 title 'mpi'\n",
     "Residuals of the same, in percent of the curve: noise multiplies, has heavy tails, and is not the same at all "
     "sizes."},
    {0}};

const struct report report_fits = {
    .name = "fits",
    .summary = "forms of scaling on heavy-tailed measurements, with intervals and residuals",
    .text = "The forms of `northwall fit` on measurements that come with the program (docs/FITS.md says how they were\n"
            "taken): candidates by AICc, parameters with intervals of 95 %, where curves cross, and what is left over.",
    .make = make,
    .figures = figures,
};
