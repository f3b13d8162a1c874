/* memory wall - "AI and Memory Wall" (Gholami et al., blog of 2021 and arXiv 2403.14123, 2024): what it prints beside
 * fits of its own points, the program's own costs, and what follows for cards to come. */
#include "memory_wall.h"

#include <stdlib.h>

int wall_plan(struct plan **out, const char *preset, const char *storage, int tokens, int threads, struct diag *d) {
    struct model_shape shape = {0};
    struct strategy st;
    int rc = preset_shape(&shape, preset, storage, tokens, d);
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .kv = KV_I8,
                                      .n_seqs = 1,
                                      .n_ctx = tokens,
                                      .max_tokens = shape.causal ? 1 : tokens,
                                      .threads = threads,
                                      .seed = 1},
                          .n_micro = 1,
                          .top_candidates = 1};
    if (!rc) rc = strategy_parse(&st, "1", d);
    return rc ? rc : plan_make(out, &shape, &st, 1, &o, d);
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct memory_wall *w = calloc(1, sizeof *w);
    if (!w) return diag_set(d, ERR_MEMORY, "no memory for the report");
    w->app = app;
    w->page = page;
    w->d = d;
    int rc = data_read(&w->trends, "trends", d);
    if (!rc) rc = data_read(&w->profile, "profile", d);
    if (!rc) rc = data_read(&w->training, "training_memory", d);
    if (!rc) rc = wall_growth(w);
    if (!rc) rc = wall_profile(w);
    if (!rc) rc = wall_methods(w);
    if (!rc) rc = wall_years(w);
    data_fini(&w->trends);
    data_fini(&w->profile);
    data_fini(&w->training);
    free(w);
    return rc;
}

const struct report report_memory_wall = {
    .name = "memory-wall",
    .summary = "AI and Memory Wall, 2021 and 2024: growth, arithmetic intensity, methods, the next ten years",
    .text =
        "AI and Memory Wall (2021, 2024) beside fits of its own points and this program's own costs. Published\n"
        "numbers are inputs; fits have intervals of 95 %; costs are exact counts of the plan (n = 1); years to come\n"
        "are estimated, and extrapolated. What is measured says so, with n and its interval.",
    .make = make,
    .figures = wall_figures,
};
