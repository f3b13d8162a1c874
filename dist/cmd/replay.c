/* northwall replay: times of what ranks executed, on described links. */
#include "dist/replay.h"
#include "../virtual_report.h"
#include "dist/app.h"

static void print(const struct virtual_summary *s, const struct op_log *log, const struct cluster *c) {
    printf("replayed on %s: %s, strategy %s, %d rank%s, executed for %s (deterministic, n = 1)\n", c->name, log->model,
           log->strategy, log->n_ranks, log->n_ranks == 1 ? "" : "s", log->cluster);
    virtual_print_times(s, stdout);
    putchar('\n');
    virtual_print_path(s, stdout);
}

static void print_json(const struct virtual_summary *s, const struct op_log *log, const struct cluster *c) {
    char hash[24];
    json_t *o = virtual_json_times(s);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)log->plan_hash);
    json_object_update_new(o, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "model", log->model, "strategy",
                                        log->strategy, "cluster", c->name, "executed_for", log->cluster, "plan_hash",
                                        hash, "ranks", log->n_ranks));
    json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

static int show(const struct app *app, const struct op_log *log, struct diag *d) {
    struct simulation sim;
    struct virtual_summary s;
    int rc = replay(&sim, log, &app->cluster, NULL, d);
    if (rc) return rc;
    virtual_job_times(&s, "replayed", log->dp, log->users, log->trace, sim.taken);
    for (int r = 0; r < log->n_ranks; r++)
        s.cards += log->card[r] >= 0;
    if (app->spec.json)
        print_json(&s, log, &app->cluster);
    else
        print(&s, log, &app->cluster);
    simulation_fini(&sim);
    return 0;
}

static int run(struct app *app, struct diag *d) {
    struct op_log log;
    if (app->spec.n_args < 1)
        return diag_set(d, ERR_USAGE, "no operations: give a file that run --operations has written");
    if (!app->spec.cluster)
        return diag_set(d, ERR_USAGE, "no cluster: give --cluster FILE, with the cards of the one that was run on");
    int rc = app->rank ? 0 : op_log_read(&log, app->spec.args[0], d);
    if (rc || app->rank) return rc;
    rc = show(app, &log, d);
    op_log_fini(&log);
    return rc;
}

const struct cmd cmd_replay = {
    .name = "replay",
    .summary = "times of what ranks executed (run --operations), on other described links",
    .usage = "FILE --cluster FILE [options]",
    .options = "cluster straggler json",
    .max_args = 1,
    .notes =
        "The file holds what each rank did: time that its card spent, messages by receiver and size, receives. All of\n"
        "it is done again in virtual time, in one process, without the model; so links may differ, and share media\n"
        "in any way, from those of the run. Cards may not, as times of steps are in the file. The plan stays as it\n"
        "was made: also the algorithms of its collectives.",
    .run = run,
};
