/* northwall list: everything that has a name. */
#include <stdio.h>

#include "../coll_bench.h"
#include "analysis/fit.h"
#include "analysis/report.h"
#include "collectives/sched.h"
#include "dist/app.h"
#include "models/kernels.h"

static void row(const char *name, const char *text) {
    printf("  %-22s %s\n", name, text);
}

static int run(struct app *app, struct diag *d) {
    (void)d;
    if (app->rank != 0) return 0;
    puts("architectures (general.architecture of a GGUF file)");
    for (int i = 0; archs[i]; i++)
        row(archs[i]->name, archs[i]->description);
    puts("\npresets (synthetic weights, --quant TYPE)");
    for (int i = 0; presets[i]; i++)
        row(presets[i]->name, presets[i]->description);
    puts("\nstorage types");
    for (int i = 0; tensor_types[i]; i++) {
        char text[64];
        snprintf(text, sizeof text, "%.4g bits a weight, blocks of %d", tensor_types[i]->bits, tensor_types[i]->block);
        row(tensor_types[i]->name, text);
    }
    puts("\ncollective algorithms");
    for (int i = 0; coll_algos[i]; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s [%s]", coll_algos[i]->description, coll_label_name(coll_algos[i]->label));
        row(coll_algos[i]->name, text);
    }
    coll_list_methods(stdout);
    puts("\nkernel sets");
    for (int i = 0; kernel_sets[i]; i++)
        row(kernel_sets[i]->name, kernel_sets[i]->available() ? "available here" : "not on this CPU");
    puts("\nstrategies (also products, such as dp2xtp2xpp4)");
    for (int i = 0; strategy_kinds[i]; i++)
        row(strategy_kinds[i]->spelling, strategy_kinds[i]->description);
    puts("\nreports");
    for (int i = 0; reports[i]; i++)
        row(reports[i]->name, reports[i]->summary);
    puts("\nfits");
    for (int i = 0; fit_models[i]; i++)
        row(fit_models[i]->name, fit_models[i]->summary);
    puts("\ncommands");
    for (int i = 0; cmds[i]; i++)
        row(cmds[i]->name, cmds[i]->summary);
    return 0;
}

const struct cmd cmd_list = {
    .name = "list",
    .summary = "what there is: architectures, presets, types, algorithms, kernels",
    .usage = "",
    .options = "",
    .run = run,
};
