/* design - what a card's budget is best spent on: arithmetic or bandwidth, more memory or faster memory, room for all
 * weights or a link to them, wider numbers or more bandwidth. */
#include "design.h"

#include <math.h>
#include <stdio.h>

struct study_case design_case(const struct cluster *c, const char *model, const char *quant, int users, int prompt) {
    return (struct study_case){.cluster = c,
                               .model = model,
                               .quant = quant,
                               .mode = "a16",
                               .strategy = "1",
                               .cards = 1,
                               .users = users,
                               .prompt = prompt,
                               .generate = 128,
                               .chunk = 256};
}

double design_rate(struct pico_rate G) {
    return 1e12 * (double)G.den / (double)G.num;
}

void design_behind(struct cluster *c, const char *name, uint64_t bytes, double Bps) {
    struct card_level *l = &c->card.level[c->card.n_levels++];
    *l = (struct card_level){.bytes = bytes, .G = parameter_faster((struct pico_rate){1, 1}, Bps / 1e12)};
    snprintf(l->name, sizeof l->name, "%s", name);
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct study st = {app, page, d, app->spec.quick};
    int rc = design_trade(&st);
    if (!rc) rc = design_memory(&st);
    if (!rc) rc = design_stream(&st);
    if (!rc) rc = design_cliff(&st);
    return rc ? rc : design_precision(&st);
}

const struct report report_design = {
    .name = "design",
    .summary = "what a card's budget is best spent on: arithmetic, bandwidth, room, links, precision",
    .text =
        "The design space of cards. Times are simulated, but for those that a table calls estimated, and energy is\n"
        "modelled; all are deterministic (n = 1). What one thing costs in another is assumed, and each row has its\n"
        "assumption: the results say who would gain, not what can be built.",
    .make = make,
    .figures = design_figures,
};
