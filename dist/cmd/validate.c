/* northwall validate: times that are predicted first, and then measured. */
#include "analysis/prediction.h"

static int predict(const struct prediction_ask *ask, const struct app *app, struct diag *d) {
    int n = 0, rc = prediction_write(&n, ask, app, d);
    if (!rc)
        printf("%s: %d points predicted (simulated); the same command with --db FILE measures them\n", ask->file, n);
    return rc;
}

static int measure(const struct prediction_ask *ask, const struct app *app, struct diag *d) {
    const struct report as = {.name = "predictions", .text = ask->file};
    struct report_page page = {0};
    int drawn = 0, rc = app->spec.out ? report_folder(app->spec.out, d) : 0;
    if (!rc) rc = prediction_measure(&page, ask, app, d);
    if (!rc && app->spec.out) rc = report_write(&as, &page, app->spec.out, &drawn, d);
    if (!rc) rc = report_print(&as, &page, stdout, app->spec.json, d);
    report_page_fini(&page);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    const struct run_spec *s = &app->spec;
    if (app->size > 1) return diag_set(d, ERR_USAGE, "validate starts its ranks itself: run it without mpirun");
    if (s->n_args < 2)
        return diag_set(d, ERR_USAGE, "validate what? Give PREDICTIONS.csv and SPEC.yaml (docs/VALIDATION.md)");
    struct prediction_ask ask = {s->args[0], s->args + 1, s->n_args - 1, s->db};
    return s->db ? measure(&ask, app, d) : predict(&ask, app, d);
}

const struct cmd cmd_validate = {
    .name = "validate",
    .summary = "times of paced runs or of the lab, predicted into a file, and then measured",
    .usage = "PREDICTIONS.csv SPEC.yaml... [--db FILE] [--out FOLDER] [--json]",
    .options = "db out json quiet",
    .notes = "Without --db simulates the points of sweeps with engine: paced or lab (docs/SWEEPS.md) and writes\n"
             "PREDICTIONS.csv, which must not be there. With it measures what FILE lacks, in the order of the specs, "
             "and tells the errors;\n"
             "refuses, before anything is measured, where a point was not predicted, or its plan is another one now.\n"
             "Ended at any moment, the same command goes on.",
    .max_args = 12,
    .run = run,
};
