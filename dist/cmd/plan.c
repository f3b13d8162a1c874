/* northwall plan: who would hold and do what, without mpirun and without weights. */
#include <stdio.h>
#include <stdlib.h>

#include "../plan_hosts.h"
#include "../search.h"
#include "collectives/agree.h"
#include "dist/setup.h"

/* Rank 0. */
static int show(const struct app *app, const struct hosts *hosts, const struct plan *p, const char *why,
                struct diag *d) {
    if (hosts->n) return plan_hosts(app, hosts, p, d);
    if (app->spec.json) {
        char *text = plan_json(p);
        if (!text) return diag_set(d, ERR_MEMORY, "no memory for the plan's JSON");
        puts(text);
        free(text);
        return 0;
    }
    plan_print(p, stdout, app->spec.steps);
    if (!app->spec.strategy) printf("\nstrategy %s: %s\n", p->strategy.text, why);
    return 0;
}

/* For --ranks ranks, all slots of --hosts, or those that are there. */
static int plan_model(const struct app *app, const struct model *m, const struct hosts *hosts, struct diag *d) {
    struct strategy st;
    struct plan *p = NULL;
    int chunk;
    char why[256];
    int n = app->spec.ranks ? (int)app->spec.ranks : hosts->n ? hosts->n_slots : app->size;
    int rc = app_strategy(&st, app, &m->shape, n, why, sizeof why, d);
    if (!rc) rc = setup_plan(&p, &chunk, app, m, NULL, &st, app->spec.ranks ? n : strategy_ranks(&st), d);
    if (!rc && app->rank == 0) rc = show(app, hosts, p, why, d);
    plan_free(p);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    if (app->spec.search) return search_plans(app, d);
    if (app->spec.rankfile && !app->spec.hosts)
        return diag_set(d, ERR_USAGE, "--rankfile: of which hosts? Give --hosts FILE");
    struct model m;
    struct hosts hosts = {0};
    int rc = err_agree(app->world, app->spec.hosts ? hosts_read(&hosts, app->spec.hosts, d) : 0, d);
    if (!rc) rc = model_open(&m, app, d);
    if (!rc) {
        rc = plan_model(app, &m, &hosts, d);
        model_close(&m);
    }
    hosts_fini(&hosts);
    return rc;
}

static const struct cmd_mode modes[] = {
    {"plan",
     "strategy tp kvp pp dp n-predict ctx micro-batches batch temperature top-k mem transport steps kernels net "
     "threads hosts rankfile"},
    {"plan --search", "search users prompt generate approximate all"},
    {0},
};

static int mode(const struct run_spec *s) {
    return s->search;
}

const struct cmd cmd_plan = {
    .name = "plan",
    .summary = "show how a strategy splits a model; or find the best one for a described cluster",
    .usage =
        "--model FILE|PRESET [--strategy S | --tp N --kvp N --pp N --dp N | --ranks N] [options]\n"
        "       northwall plan --search --model FILE|PRESET --cluster FILE [--users N --prompt TOKENS --generate N]",
    .options = "model quant ranks chunk mode kv hidden allreduce wire drop-sync cluster straggler shares json",
    .modes = modes,
    .mode = mode,
    .notes =
        "Needs no mpirun and reads no weights. --hosts deals ranks to the hosts of a file so that little crosses "
        "between\n"
        "them (run --map plan does it in the job), and prints how to start that. --mem refuses a plan whose ranks hold "
        "more. --search tries every\n"
        "tp x pp x dp of at most the cluster's cards (or --ranks), with and without cards for the output layer alone,\n"
        "with micro-batches, all-reduces that give the same bits, cache types (--kv f16,int8: those), for all users\n"
        "and for one; layers are dealt to stages by time.",
    .run = run,
};
