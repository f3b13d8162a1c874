/* northwall simulate: a plan on a described cluster in virtual time, without weights and without mpirun. */
#include "../record_report.h"
#include "../sim_job.h"
#include "../virtual_report.h"
#include "base/text.h"

/* --trace and --timeline: the same passes once more, with a recorder. */
static int show(const struct app *app, const struct plan *p, const struct trace *trace, struct net_stamp *const *taken,
                struct diag *d) {
    struct simulation sim;
    struct recording rec;
    struct record_ask ask;
    struct virtual_window last;
    int rc = record_ask_parse(&ask, app->spec.trace, app->spec.timeline, d);
    if (rc || (!ask.trace && !ask.timeline)) return rc;
    virtual_last_pass(&last, p, trace, taken);
    if (!ask.to_ps) ask.from_ps = last.from_ps, ask.to_ps = last.to_ps;
    rc = recording_init(&rec, p->n_ranks, ask.trace ? 0 : ask.from_ps, ask.trace ? UINT64_MAX : ask.to_ps, d);
    if (rc) return rc;
    rc = simulate_recorded(&sim, p, &app->cluster, trace, &rec, d);
    if (!rc) {
        rc = record_show(&ask, "simulated", &rec, p, &app->cluster, app->spec.json ? stderr : stdout, d);
        simulation_fini(&sim);
    }
    recording_fini(&rec);
    return rc;
}

static int print_json(const struct virtual_summary *s, const struct simulation *sim, const struct app *app,
                      const struct plan *p, const struct trace *trace, struct diag *d) {
    json_t *o = virtual_json(s, p, &app->cluster);
    json_object_set_new(o, "model", json_string(p->shape.name));
    json_object_set_new(o, "chunk", json_integer(app->spec.chunk));
    if (!app->spec.estimate) {
        json_object_set_new(o, "events", json_integer((json_int_t)sim->events));
        json_object_set_new(o, "events_known", json_integer((json_int_t)sim->events_skipped));
    }
    int rc = virtual_json_ranks(o, s, p, &app->cluster, trace, d);
    if (!rc) {
        json_dumpf(o, stdout, JSON_INDENT(1));
        fputc('\n', stdout);
    }
    json_decref(o);
    return rc;
}

static int run_plan(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                    struct diag *d) {
    (void)user;
    struct simulation sim = {0};
    struct virtual_summary s;
    int rc = sim_summarize(&s, &sim, app, p, trace, d);
    if (!rc && !app->spec.estimate) rc = virtual_light(&s, p, &app->cluster, trace, d);
    if (!rc && app->spec.json) {
        rc = print_json(&s, &sim, app, p, trace, d);
    } else if (!rc) {
        printf("%s, prompts in chunks of %ld tokens, ", p->shape.name, app->spec.chunk);
        virtual_print(&s, p, &app->cluster, stdout);
    }
    if (!rc && !app->spec.estimate) rc = show(app, p, trace, sim.taken, d);
    simulation_fini(&sim);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    struct record_ask ask;
    int rc = record_ask_parse(&ask, app->spec.trace, app->spec.timeline, d);
    if (!rc && app->spec.estimate && (ask.trace || ask.timeline))
        rc = diag_set(d, ERR_USAGE, "--estimate walks no passes: --trace and --timeline are of a simulation");
    if (!rc) rc = text_check_target(ask.trace, d);
    if (!rc) rc = text_check_target(ask.svg, d);
    return rc ? rc : sim_job(app, run_plan, NULL, d);
}

const struct cmd cmd_simulate = {
    .name = "simulate",
    .summary = "time and energy of a plan on a described cluster, without weights",
    .usage = "--model FILE|PRESET --cluster FILE [--strategy S] [--users N --prompt TOKENS --generate N] [options]",
    .options = "model quant strategy tp kvp pp dp ranks cluster straggler shares users prompt generate ctx chunk "
               "micro-batches mode kv hidden allreduce wire drop-sync set estimate trace timeline json",
    .bare = "timeline",
    .notes = "Every rank walks every pass step by step, with clocks in whole picoseconds; a run of the same plan with\n"
             "--cluster and --clock virtual has the same times to the picosecond. Latency a token is prompt and\n"
             "generation over the tokens of a user; a plan that does not fit its cards is refused.",
    .run = run,
};
