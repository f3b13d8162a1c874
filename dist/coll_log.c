#include "coll_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/agree.h"

struct line {
    char text[768];
};

static const char *const row = "northwall: %-12s %-14s %-14s %10s %-24s %-4s %-17s %14s  %s; links: %s\n";

/* Where the numbers of the links come from that its messages take. */
static void link_sources(const struct app *app, const struct coll_info *info, char *text, size_t cap) {
    size_t len = (size_t)snprintf(text, cap, "%s%s", app->spec.net ? app->spec.net : "", app->spec.net ? ": " : "");
    const char *before = "";
    for (int i = 0; i < app->net.n_tiers; i++) {
        if (!(info->tiers >> i & 1) || len >= cap) continue;
        len +=
            (size_t)snprintf(text + len, cap - len, "%s%s %s", before, app->net.tier[i].name, app->net.tier[i].source);
        before = ", ";
    }
    if (!info->tiers || info->choice.algo->library) snprintf(text, cap, "none");
}

static void write_line(struct line *out, const struct app *app, const struct coll_info *info, int first) {
    char group[32], size[24], algo[64], predicted[32] = "not known", op[64], links[256];
    int library = info->choice.algo->library;
    snprintf(group, sizeof group, "ranks %d-%d", first, first + info->size - 1);
    snprintf(size, sizeof size, "%zu B", info->n_typical * info->op.elem_bytes);
    snprintf(op, sizeof op, "%s", coll_kind_name(info->kind));
    coll_choice_name(&info->choice, algo, sizeof algo);
    if (!library) snprintf(predicted, sizeof predicted, "%.2f us", 1e-6 * (double)info->predicted_ps);
    link_sources(app, info, links, sizeof links);
    snprintf(out->text, sizeof out->text, row, info->name, op, group, size, algo,
             library ? "mpi" : coll_transport_name(info->transport), coll_label_name(info->label), predicted, info->why,
             links);
}

static void print_head(void) {
    static int said;
    if (!said)
        fprintf(stderr, row, "collective", "operation", "group", "size", "algorithm", "via", "label", "estimated",
                "why", "source of their numbers");
    said = 1;
}

void coll_log(const struct app *app, struct link *l, int first, const struct coll_info *info, int n) {
    struct line mine[COLL_LOG_MOST] = {0}, *all;
    if (!app->spec.log) return;
    for (int i = 0; i < n; i++)
        write_line(&mine[i], app, &info[i], first);
    all = calloc((size_t)l->size, sizeof mine);
    if (err_agree(l, all ? 0 : ERR_MEMORY, NULL) == 0) {
        agree_allgather(l, mine, sizeof mine, all);
        if (l->rank == 0) print_head();
        for (int i = 0; i < COLL_LOG_MOST * l->size && l->rank == 0; i++)
            fputs(all[i].text, stderr);
    }
    free(all);
}
