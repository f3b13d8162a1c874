/* northwall sweep: the points of a study, estimated, simulated or measured, into a file of results. */
#include "analysis/sweep_run.h"

#include <string.h>

static int make(const struct app *app, const struct sweep *s, struct results *r, struct diag *d) {
    struct sweep_counts c;
    int jobs = app->spec.jobs ? (int)app->spec.jobs : app->cores;
    int retry = app->spec.retry,
        rc = app->spec.dry_run ? sweep_list(&c, s, r, retry, stdout, d) : sweep_run(&c, s, r, app, jobs, retry, d);
    if (rc) return rc;
    FILE *out = app->spec.dry_run ? stderr : stdout;
    fprintf(out, "%ld points, %ld of them there before", c.points, c.before);
    if (app->spec.dry_run)
        fprintf(out, ", %ld to do\n", c.points - c.before);
    else
        fprintf(out, "; %ld done, %ld of these failed (northwall results %s)\n", c.done, c.failed, app->spec.db);
    return 0;
}

static int run(struct app *app, struct diag *d) {
    const struct run_spec *o = &app->spec;
    struct sweep *s = NULL;
    struct results *r = NULL;
    int rc = 0;
    if (app->size > 1) return diag_set(d, ERR_USAGE, "sweep starts its ranks itself: run it without mpirun");
    if (!o->n_args) return diag_set(d, ERR_USAGE, "sweep what? Give SPEC.yaml (docs/SWEEPS.md)");
    if (!o->db && !o->dry_run) return diag_set(d, ERR_USAGE, "where to? Give --db FILE, or --dry-run");
    rc = sweep_read(&s, o->args[0], d);
    if (!rc && o->db) rc = results_open(&r, o->db, o->dry_run ? RESULTS_READ : RESULTS_WRITE, d);
    if (!rc) rc = make(app, s, r, d);
    results_close(r);
    sweep_free(s);
    return rc;
}

const struct cmd cmd_sweep = {
    .name = "sweep",
    .summary = "a study's points, estimated, simulated or measured, into a file of results",
    .usage = "SPEC.yaml --db FILE [--jobs N] [--retry] [--dry-run]",
    .options = "db jobs retry dry-run quiet",
    .notes =
        "Combines the axes of SPEC.yaml (docs/SWEEPS.md), or draws from them, and does what FILE lacks: estimates and\n"
        "simulations in --jobs processes, emulations and measurements under mpirun, or in the lab, one at a time.\n"
        "Ended at any moment, the same command goes on; a point that fails is a result with its reason, and done\n"
        "again with --retry. --dry-run prints the command line of each point.",
    .max_args = 1,
    .run = run,
};
