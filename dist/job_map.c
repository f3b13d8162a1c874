#include "job_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "partition/table.h"

enum { MOST_ROWS = 64 };

static int count_nodes(const int *node, int n_procs) {
    int n = 0;
    for (int i = 0; i < n_procs; i++)
        n += node[i] == i;
    return n;
}

/* What crosses with the ranks on these nodes; algorithms of two levels send by where they are. */
static int count_on(struct map_crossing *out, const struct plan *p, const int *node, struct diag *d) {
    struct map_traffic t;
    int rc = map_traffic_init(&t, p, node, d);
    if (!rc) map_count(out, &t, node);
    map_traffic_fini(&t);
    return rc;
}

static uint64_t ps_of(const struct map_crossing *c, const struct net_link *l) {
    return (uint64_t)c->messages * (l->o_send_ps + l->L_ps + l->o_recv_ps) + pico_of((uint64_t)c->bytes, l->G);
}

static int choose_map(struct job_map *j, const int *node, int n_procs, const struct net_link *between, struct diag *d) {
    struct map_traffic t;
    int rc = map_traffic_init(&t, j->plan, node, d);
    if (!rc) rc = map_choose(&j->map, &t, node, n_procs, between, d);
    if (!rc) rc = count_on(&j->mapped, j->plan, j->map.node, d);
    if (!rc && j->map.changed && ps_of(&j->mapped, between) > ps_of(&j->launched, between)) {
        map_fini(&j->map);
        rc = map_launched(&j->map, &t, node, n_procs, d);
        j->mapped = j->launched;
    }
    map_traffic_fini(&t);
    return rc;
}

int job_map_init(struct job_map *j, const struct plan *p, const int *node, int n_procs, int choose,
                 const struct net *net, struct diag *d) {
    *j = (struct job_map){.plan = p, .chosen = choose, .n_nodes = count_nodes(node, n_procs)};
    j->seat = calloc((size_t)n_procs, sizeof *j->seat);
    if (!net) net = &net_default;
    const struct map_traffic none = {.plan = p, .n = p->n_ranks};
    int rc = j->seat ? 0 : diag_set(d, ERR_MEMORY, "no memory for a map of %d ranks", n_procs);
    if (!rc && n_procs < p->n_ranks) rc = map_launched(&j->map, &none, node, n_procs, d);
    if (!rc) rc = count_on(&j->launched, p, node, d);
    if (!rc && choose) rc = choose_map(j, node, n_procs, &net->tier[net->n_tiers - 1].link, d);
    if (!rc && !choose) {
        rc = map_launched(&j->map, &none, node, n_procs, d);
        j->mapped = j->launched;
    }
    return rc;
}

void job_map_fini(struct job_map *j) {
    map_fini(&j->map);
    free(j->seat);
    memset(j, 0, sizeof *j);
}

/* ---- text ---- */

static void put_rank(struct table *t, const struct job_map *j, int r) {
    const struct map_seat *s = &j->seat[r];
    int bound = s->state == TOPO_BOUND || s->state == TOPO_OPENMP;
    table_row(t);
    table_set(t, 0, "%d", r);
    if (r < j->plan->n_ranks) {
        const struct plan_rank *k = &j->plan->ranks[r];
        if (j->plan->strategy.dp > 1) table_set(t, 1, "%d", k->replica);
        table_set(t, 2, "%d", k->stage);
        table_set(t, 3, "%d", k->tp_index);
    } else {
        table_set(t, 2, "none");
    }
    table_set(t, 4, "%d", j->map.process[r]);
    table_set(t, 5, "%s", s->host);
    table_set(t, 6, "%s%s", bound || !s->cpus[0] ? "" : "any of ", s->cpus);
    table_set(t, 7, "%s", s->near);
}

static void put_crossing(FILE *out, const char *what, int64_t messages, int64_t bytes) {
    char text[24];
    fprintf(out, "%s %lld message%s, %s", what, (long long)messages, messages == 1 ? "" : "s",
            text_bytes(text, sizeof text, (double)bytes));
}

static void print_crossing(const struct job_map *j, FILE *out) {
    const struct map_crossing *is = &j->mapped;
    fprintf(out, "a token%s sends (counted)", j->plan->strategy.dp > 1 ? " of each replica" : "");
    put_crossing(out, "", is->all_messages, is->all_bytes);
    if (j->n_nodes == 1) {
        fprintf(out, "; all of it within one node\n");
        return;
    }
    put_crossing(out, "; between nodes as launched", j->launched.messages, j->launched.bytes);
    if (j->map.changed) put_crossing(out, ", as mapped", is->messages, is->bytes);
    fprintf(out, "%s\n", !j->chosen ? "" : j->map.least ? "; no map costs less" : j->map.changed ? "" : "; kept");
}

void job_map_print(const struct job_map *j, FILE *out) {
    static const char *const header[] = {"rank", "replica", "stage", "tp", "process", "host", "CPUs", "near", NULL};
    struct table t;
    int shown = j->map.n_procs < MOST_ROWS ? j->map.n_procs : MOST_ROWS;
    table_init(&t, 1u << 5 | 1u << 6 | 1u << 7, header);
    for (int r = 0; r < shown; r++)
        put_rank(&t, j, r);
    table_print(&t, "", out);
    if (shown < j->map.n_procs) fprintf(out, "... and %d more (--json has all)\n", j->map.n_procs - shown);
    print_crossing(j, out);
}

/* ---- JSON ---- */

static json_t *crossing_json(int64_t messages, int64_t bytes) {
    return json_pack("{s:I, s:I}", "messages_per_tok", (json_int_t)messages, "bytes_per_tok", (json_int_t)bytes);
}

static json_t *rank_json(const struct job_map *j, int r) {
    const struct map_seat *s = &j->seat[r];
    const struct plan_rank *k = r < j->plan->n_ranks ? &j->plan->ranks[r] : NULL;
    json_t *o = json_pack("{s:i, s:i, s:s}", "rank", r, "process", j->map.process[r], "host", s->host);
    if (k)
        json_object_update_new(
            o, json_pack("{s:i, s:i, s:i}", "replica", k->replica, "stage", k->stage, "tp_index", k->tp_index));
    if (s->cpus[0])
        json_object_update_new(
            o, json_pack("{s:s, s:s, s:s}", "cpus", s->cpus, "near", s->near, "binding", topo_text(s->state)));
    return o;
}

json_t *job_map_json(const struct job_map *j) {
    json_t *ranks = json_array();
    for (int r = 0; r < j->map.n_procs; r++)
        json_array_append_new(ranks, rank_json(j, r));
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:i, s:o, s:o, s:o, s:o}", "kind", "counted", "strategy",
                     j->plan->strategy.text, "map", j->chosen ? "plan" : "launched", "changed", j->map.changed,
                     "no_map_costs_less", j->map.least, "nodes", j->n_nodes, "replicas", j->plan->strategy.dp,
                     "between_nodes_as_launched", crossing_json(j->launched.messages, j->launched.bytes),
                     "between_nodes", crossing_json(j->mapped.messages, j->mapped.bytes), "in_all",
                     crossing_json(j->mapped.all_messages, j->mapped.all_bytes), "ranks", ranks);
}
