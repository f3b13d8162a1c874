/* maps - the same model on the same cards: which way to share it is best over memory bandwidth x link bandwidth, for
 * time and for energy a token, what binds there, and how sure the boundaries are. */
#include "maps.h"

#include <stdlib.h>

const char *const maps_want_name[MAPS_WANTS] = {"latency", "energy"};
const char *const maps_want_unit[MAPS_WANTS] = {"ms/token", "mJ/token"};
const char maps_share_letter[NET_SHARES] = {'m', 'c', 'b', 'l', 'o'};

struct cluster maps_cluster(const struct maps *m, double memory, double link) {
    struct cluster c = m->described;
    parameter_find("memory-bandwidth")->set(&c, memory);
    parameter_find("link-bandwidth")->set(&c, link);
    return c;
}

enum net_share maps_binds(const struct maps_value *v) {
    enum net_share most = NET_MEMORY;
    for (enum net_share i = 0; i < NET_SHARES; i++)
        if (v->share[i] > v->share[most]) most = i;
    return most;
}

static double GBps(struct pico_rate ps_a_byte) {
    return 1e3 * (double)ps_a_byte.den / (double)ps_a_byte.num;
}

/* Its energies are described, and all of its cards are one tier apart: links have one bandwidth. */
static int open_cluster(struct maps *m) {
    int rc = case_cluster(&m->described, "h100-sxm-8", m->d);
    if (rc) return rc;
    m->memory_GBps = GBps(m->described.card.level[0].G);
    m->link_GBps = GBps(m->described.net.tier[0].link.G);
    return 0;
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct maps m = {.app = app, .page = page, .d = d, .grid = calloc(MAPS_JOBS, sizeof *m.grid)};
    if (!m.grid) return diag_set(d, ERR_MEMORY, "no memory for the report");
    int rc = open_cluster(&m);
    if (!rc) rc = maps_grids(&m);
    if (!rc) rc = maps_boundaries(&m);
    if (!rc) rc = maps_elasticities(&m);
    if (!rc) rc = maps_reach(&m);
    for (int i = 0; i < MAPS_JOBS; i++)
        maps_close(&m.grid[i].set);
    free(m.grid);
    return rc;
}

const struct report report_maps = {
    .name = "maps",
    .summary = "pipeline, tensor or hybrid: who wins over memory x link bandwidth, what binds, how sure it is",
    .text =
        "One model on eight cards whose memory and links are faster or slower than described: which way to share\n"
        "it takes least time and least energy a token, and what its time is made of. Times are simulated and\n"
        "deterministic (n = 1) where nothing else is said; energy is modelled; intervals are about inputs that are\n"
        "known as ranges, not about noise.",
    .make = make,
    .figures = maps_figures,
};
