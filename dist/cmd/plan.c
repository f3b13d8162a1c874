/* northwall plan: who would hold and do what, without mpirun and without weights. */
#include <stdio.h>
#include <stdlib.h>

#include "../search.h"
#include "dist/setup.h"

static int run(struct app *app, struct diag *d) {
    if (app->spec.search) return search_plans(app, d);
    struct model m;
    int rc = model_open(&m, app, d);
    if (rc) return rc;
    struct strategy st;
    char why[256];
    int n = app->spec.ranks ? (int)app->spec.ranks : app->size;
    rc = app_strategy(&st, app, &m.shape, n, why, sizeof why, d);
    if (!rc) {
        struct plan *p = NULL;
        int chunk;
        rc = setup_plan(&p, &chunk, app, &m, NULL, &st, app->spec.ranks ? n : strategy_ranks(&st), d);
        if (!rc && app->rank == 0 && app->spec.json) {
            char *text = plan_json(p);
            rc = text ? 0 : diag_set(d, ERR_MEMORY, "no memory for the plan's JSON");
            if (text) puts(text);
            free(text);
        } else if (!rc && app->rank == 0) {
            plan_print(p, stdout, app->spec.steps);
            if (!app->spec.strategy) printf("\nstrategy %s: %s\n", st.text, why);
        }
        plan_free(p);
    }
    model_close(&m);
    return rc;
}

static const struct cmd_mode modes[] = {
    {"plan",
     "strategy tp kvp pp dp n-predict ctx micro-batches batch temperature top-k mem transport steps kernels net"},
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
        "Needs no mpirun and reads no weights. --mem refuses a plan whose ranks hold more. --search tries every\n"
        "tp x pp x dp of at most the cluster's cards (or --ranks), with and without cards for the output layer alone,\n"
        "with micro-batches, all-reduces that give the same bits, cache types (--kv f16,int8: those), for all users\n"
        "and for one; layers are dealt to stages by time.",
    .run = run,
};
