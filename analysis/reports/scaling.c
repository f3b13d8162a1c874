/* scaling - more cards for the same job, for more work, and fewer users than there is room for; the batch at which two
 * machines take the same energy. */
#include "scaling.h"

#include <stdlib.h>

struct study_case scaling_case(const struct scaling_machine *m, const char *model, const char *strategy, int cards,
                               int users) {
    return (struct study_case){.cluster = &m->c,
                               .model = model,
                               .quant = "Q4_0",
                               .mode = m->mode,
                               .strategy = strategy,
                               .cards = cards,
                               .users = users,
                               .prompt = 128,
                               .generate = 128,
                               .chunk = 128};
}

static int open_machines(struct scaling *s) {
    static const struct scaling_machine known[SCALING_ROOM + 1] = {
        [SCALING_H100] = {.file = "h100-sxm", .text = "H100 SXM", .mode = "a16", .server = 8},
        [SCALING_L4] = {.file = "l4", .text = "L4", .mode = "a16", .server = 4},
        [SCALING_BOARDS] = {.file = "boards-1gbe", .text = "Raspberry Pi 5", .server = 1},
        [SCALING_ROOM] = {.file = "h100-sxm-pods", .text = "H100 SXM in pods", .mode = "a16", .server = 8},
    };
    int rc = 0;
    for (int i = 0; i <= SCALING_ROOM && !rc; i++) {
        s->machine[i] = known[i];
        rc = case_cluster(&s->machine[i].c, known[i].file, s->st.d);
    }
    return rc;
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct scaling *s = calloc(1, sizeof *s);
    if (!s) return diag_set(d, ERR_MEMORY, "no memory for the report");
    s->st = (struct study){app, page, d, app->spec.quick};
    int rc = open_machines(s);
    scaling_fit_tables(s);
    if (!rc) rc = scaling_strong(s);
    if (!rc) rc = scaling_room(s);
    if (!rc) rc = scaling_parts(s);
    if (!rc) rc = scaling_weak(s);
    if (!rc) rc = scaling_load(s);
    if (!rc) rc = scaling_even(s);
    free(s);
    return rc;
}

const struct report report_scaling = {
    .name = "scaling",
    .summary = "more cards, more work, fewer users: time, energy, fits, break-even batches",
    .text =
        "Scaling of described machines. Times are simulated and energy is modelled, both deterministic (n = 1):\n"
        "an interval here is of a fitted form that the numbers do not follow exactly, not of noise. Nothing is in\n"
        "them that the cluster files leave out, such as overheads of software, but where these are said to be\n"
        "fitted: all other times are bounds. H100 SXM: eight a server, servers on InfiniBand; L4: four a server on\n"
        "PCIe; Raspberry Pi 5 on 1 GbE.",
    .make = make,
    .figures = scaling_figures,
};
