/* northwall topo: the nodes of a job as trees, with the ranks drawn in. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../topo_tree.h"
#include "collectives/agree.h"
#include "dist/app.h"

enum { MOST_TEXT = 1 << 22, TAG = LINK_TAG_USER };

static struct topo_seat seat_here(const struct app *app) {
    struct topo_seat s = {.node = app->node,
                          .threads = app_threads(&app->spec),
                          .state = app->place.state,
                          .allowed = app->place.allowed,
                          .used = app->place.used};
    if (gethostname(s.host, sizeof s.host - 1)) strcpy(s.host, "unknown");
    return s;
}

static json_t *ranks_json(const struct topo_seat *seat, int size, int node) {
    json_t *ranks = json_array();
    for (int r = 0; r < size; r++) {
        char allowed[64], used[64];
        if (seat[r].node != node) continue;
        topo_list(&seat[r].allowed, allowed, sizeof allowed);
        topo_list(&seat[r].used, used, sizeof used);
        json_array_append_new(ranks,
                              json_pack("{s:i, s:i, s:s, s:s, s:s}", "rank", r, "threads", seat[r].threads, "cpus",
                                        used, "allowed_cpus", allowed, "binding", topo_text(seat[r].state)));
    }
    return ranks;
}

static char *text_of(hwloc_topology_t t, const struct topo_seat *seat, int size, int node) {
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out) return NULL;
    if (t)
        topo_tree_print(out, t, seat, size, node);
    else
        fprintf(out, "%s: hwloc cannot tell what this machine has\n", seat[node].host);
    return fclose(out) ? NULL : text;
}

/* {"host", "tree", "ranks", "warnings"} of this rank's node, as text. NULL: no memory. */
static char *describe(const struct topo_seat *seat, int size, int node) {
    hwloc_topology_t t = topo_tree_open();
    char *tree = text_of(t, seat, size, node);
    json_t *o =
        json_pack("{s:s, s:s, s:o, s:o}", "host", seat[node].host, "tree", tree ? tree : "", "ranks",
                  ranks_json(seat, size, node), "warnings", t ? topo_tree_warnings(t, seat, size, node) : json_array());
    char *text = tree && o ? json_dumps(o, 0) : NULL;
    if (t) hwloc_topology_destroy(t);
    json_decref(o);
    free(tree);
    return text;
}

static void print_node(const json_t *o) {
    size_t i;
    json_t *warning;
    fputs(json_string_value(json_object_get(o, "tree")), stdout);
    json_array_foreach(json_object_get(o, "warnings"), i, warning) printf("warning: %s\n", json_string_value(warning));
}

/* Rank 0 takes what the first rank of each other node says, node after node. */
static void print_all(const struct app *app, const struct topo_seat *seat, const char *own, char *text) {
    json_t *nodes = json_array(), *o;
    size_t i;
    for (int r = 0; r < app->size; r++) {
        if (seat[r].node != r) continue;
        size_t n = r ? link_recv_upto(app->world, r, TAG, text, MOST_TEXT) : strlen(own);
        json_array_append_new(nodes, json_loadb(r ? text : own, n, 0, NULL));
    }
    if (app->spec.json)
        json_dumpf(nodes, stdout, JSON_INDENT(1)), putchar('\n');
    else
        json_array_foreach(nodes, i, o) print_node(o);
    json_decref(nodes);
}

static void send_own(const struct app *app, const char *own) {
    struct link_request req;
    link_isend(app->world, 0, TAG, own, strlen(own), &req);
    link_wait(app->world, &req);
}

static int show(const struct app *app, struct topo_seat *seat, char *text, struct diag *d) {
    struct topo_seat mine = seat_here(app);
    int first = app->node == app->rank;
    agree_allgather(app->world, &mine, sizeof mine, seat);
    char *own = first ? describe(seat, app->size, app->node) : NULL;
    int rc = err_agree(app->world, first && !own ? diag_set(d, ERR_MEMORY, "no memory for this node") : 0, d);
    if (!rc && app->rank == 0) print_all(app, seat, own, text);
    if (!rc && app->rank && own) send_own(app, own);
    free(own);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    struct topo_seat *seat = malloc((size_t)app->size * sizeof *seat);
    char *text = malloc(app->rank ? 1 : MOST_TEXT);
    int rc = app_bind(app, d);
    if (!rc && (!seat || !text)) rc = diag_set(d, ERR_MEMORY, "no memory for the ranks");
    rc = err_agree(app->world, rc, d);
    if (!rc) rc = show(app, seat, text, d);
    free(text);
    free(seat);
    return rc;
}

const struct cmd cmd_topo = {
    .name = "topo",
    .summary = "the machine's packages, memory, caches and cores, with the ranks drawn in, and warnings",
    .usage = "[--threads N] [--bind on|off] [--json]",
    .options = "threads bind json",
    .notes = "Under mpirun, all nodes of the job. Ranks are placed as run and bench place them: what is drawn is where "
             "they\n"
             "would run. Warnings say what slows them down and how to start them instead.",
    .run = run,
};
