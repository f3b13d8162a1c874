/* northpole - "Breakthrough low-latency, high-energy-efficiency LLM inference performance using NorthPole" (HPEC 2024):
 * what it publishes, each figure with its role, beside what the model says. */
#include "northpole.h"

#include <stdlib.h>

struct study_case northpole_case(const struct cluster *c) {
    return (struct study_case){.cluster = c,
                               .model = "granite-3b-northpole",
                               .strategy = "northpole",
                               .cards = 16,
                               .users = NORTHPOLE_USERS,
                               .micro = NORTHPOLE_MICRO,
                               .prompt = 1024,
                               .generate = 1024};
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct northpole *n = calloc(1, sizeof *n);
    if (!n) return diag_set(d, ERR_MEMORY, "no memory for the report");
    n->app = app;
    n->page = page;
    n->d = d;
    n->step = app->spec.quick ? 2 : 1;
    int rc = case_cluster(&n->described, "northpole-16", d);
    if (!rc) rc = northpole_fit(n);
    if (!rc) rc = northpole_sweep(n);
    if (!rc) rc = northpole_gpus(n);
    free(n);
    return rc;
}

const struct report report_northpole = {
    .name = "northpole",
    .summary = "the HPEC 2024 paper: 16 cards and the GPUs it compares with",
    .text = "NorthPole (HPEC 2024) beside the model. All times are simulated and deterministic (n = 1); energy is\n"
            "modelled. Published figures are inputs, fitted (one number chosen so that they come out), identities of\n"
            "those, or predictions.",
    .make = make,
    .figures = northpole_figures,
};
