/* northwall sweep: the points of a study, estimated, simulated or measured, into a file of results. */
#include "analysis/sweep_run.h"

#include <string.h>

/* One spec, whose points are added to the counts. */
static int make(struct sweep_counts *all, const struct app *app, const char *path, struct results *r, struct diag *d) {
    struct sweep *s = NULL;
    struct sweep_counts c = {0};
    int jobs = app->spec.jobs ? (int)app->spec.jobs : app->cores, retry = app->spec.retry;
    int rc = sweep_read(&s, path, d);
    if (!rc) rc = app->spec.dry_run ? sweep_list(&c, s, r, retry, stdout, d) : sweep_run(&c, s, r, app, jobs, retry, d);
    all->points += c.points;
    all->before += c.before;
    all->done += c.done;
    all->failed += c.failed;
    sweep_free(s);
    return rc;
}

static void tell(const struct app *app, const struct sweep_counts *c) {
    FILE *out = app->spec.dry_run ? stderr : stdout;
    fprintf(out, "%ld points, %ld of them there before", c->points, c->before);
    if (app->spec.dry_run)
        fprintf(out, ", %ld to do\n", c->points - c->before);
    else
        fprintf(out, "; %ld done, %ld of these failed (northwall results %s)\n", c->done, c->failed, app->spec.db);
}

/* A spec that is none is told before anything is done. */
static int read_all(const struct app *app, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < app->spec.n_args && !rc; i++) {
        struct sweep *s = NULL;
        rc = sweep_read(&s, app->spec.args[i], d);
        sweep_free(s);
    }
    return rc;
}

static int run(struct app *app, struct diag *d) {
    const struct run_spec *o = &app->spec;
    struct sweep_counts c = {0};
    struct results *r = NULL;
    if (app->size > 1) return diag_set(d, ERR_USAGE, "sweep starts its ranks itself: run it without mpirun");
    if (!o->n_args) return diag_set(d, ERR_USAGE, "sweep what? Give SPEC.yaml (docs/SWEEPS.md)");
    if (!o->db && !o->dry_run) return diag_set(d, ERR_USAGE, "where to? Give --db FILE, or --dry-run");
    int rc = read_all(app, d);
    if (!rc && o->db) rc = results_open(&r, o->db, o->dry_run ? RESULTS_READ : RESULTS_WRITE, d);
    for (int i = 0; i < o->n_args && !rc; i++)
        rc = make(&c, app, o->args[i], r, d);
    if (!rc) tell(app, &c);
    results_close(r);
    return rc;
}

const struct cmd cmd_sweep = {
    .name = "sweep",
    .summary = "a study's points, estimated, simulated or measured, into a file of results",
    .usage = "SPEC.yaml... --db FILE [--jobs N] [--retry] [--dry-run]",
    .options = "db jobs retry dry-run quiet",
    .notes =
        "Combines the axes of SPEC.yaml (docs/SWEEPS.md), or draws from them, and does what FILE lacks: estimates,\n"
        "simulations and qualities in --jobs processes, emulations and measurements under mpirun, or in the lab, one\n"
        "at a time. Ended at any moment, the same command goes on; a point that fails is a result with its reason, "
        "and\n"
        "done again with --retry. --dry-run prints the command line of each point.",
    .max_args = 8,
    .run = run,
};
