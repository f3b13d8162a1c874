#include "placement.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/agree.h"
#include "dist/setup.h"
#include "job_map.h"

struct placement {
    struct plan *plan;
    struct job_map job;
    int *launched; /* [size]: what app->world and its parts call mpirun's numbers; theirs until the end */
};

void placement_free(struct placement *p) {
    if (!p) return;
    job_map_fini(&p->job);
    plan_free(p->plan);
    free(p->launched);
    free(p);
}

/* --net numbers ranks of unequal speeds as they were launched when they were measured. */
static int parse(const struct app *app, int *choose, struct diag *d) {
    const char *word = app->spec.map;
    *choose = !strcmp(word, "plan");
    if (!*choose && strcmp(word, "launched"))
        return diag_set(d, ERR_USAGE, "--map '%.40s': expected launched or plan", word);
    if (*choose && app->machine.n_exceptions && !strcmp(app->spec.shares, "speed"))
        return diag_set(d, ERR_USAGE,
                        "--map plan: %.200s tells of unequal speeds by the launcher's numbers: give --shares even, or "
                        "leave --map out",
                        app->spec.net);
    return 0;
}

/* NULL where the strategy does not take all ranks: who opens it says so. Local. */
static int make_plan(struct plan **out, struct app *app, const struct model *m, const struct prompts *p,
                     struct diag *d) {
    struct strategy st;
    char why[256];
    int arbiters = setup_arbiters(app), ranks = app->size > arbiters ? app->size - arbiters : 1, chunk;
    int rc = app_strategy(&st, app, &m->shape, ranks, why, sizeof why, d);
    *out = NULL;
    if (rc || strategy_ranks(&st) != ranks) return rc;
    return setup_plan(out, &chunk, app, m, p, &st, ranks, d);
}

/* The node that a rank's machine had is the first of its ranks now. Collective. */
static int renumber(struct app *app, struct placement *p, int *scratch, struct diag *d) {
    struct link *world = link_split(app->world, 0, p->job.map.rank[app->rank]);
    if (!world) return diag_set(d, ERR_MEMORY, "no memory to number %d ranks anew", app->size);
    link_free(app->world);
    memcpy(p->launched, p->job.map.process, (size_t)app->size * sizeof *p->launched);
    world->launched = p->launched;
    app->world = world;
    app->rank = app->world->rank;
    agree_allgather(app->world, &app->node, sizeof app->node, scratch);
    for (int r = app->size - 1, node = app->node; r >= 0; r--)
        if (scratch[r] == node) app->node = r;
    app->node_leader = app->node == app->rank;
    return 0;
}

/* Takes over the plan. node: [size], scratch. */
static int choose(struct app *app, struct placement *p, struct plan *plan, int by_plan, int *node, struct diag *d) {
    const struct net *net = app->net.n_tiers && !app->spec.cluster ? &app->net : NULL;
    p->plan = plan;
    app->placement = p;
    link_domains(app->world, node);
    int rc = err_agree(app->world, job_map_init(&p->job, plan, node, app->size, by_plan, net, d), d);
    return rc || !p->job.map.changed ? rc : renumber(app, p, node, d);
}

int placement_choose(struct app *app, const struct model *m, const struct prompts *prompts, struct diag *d) {
    struct plan *plan = NULL;
    int by_plan;
    if (!app->spec.map) return 0;
    int rc = parse(app, &by_plan, d), *node = malloc((size_t)app->size * sizeof *node);
    struct placement *p = calloc(1, sizeof *p);
    if (p) p->launched = malloc((size_t)app->size * sizeof *p->launched);
    if (!rc && (!node || !p || !p->launched))
        rc = diag_set(d, ERR_MEMORY, "no memory for the map of %d ranks", app->size);
    if (!rc) rc = make_plan(&plan, app, m, prompts, d);
    rc = err_agree(app->world, rc, d);
    if (!rc && plan) {
        rc = choose(app, p, plan, by_plan, node, d);
    } else {
        plan_free(plan);
        placement_free(p);
    }
    free(node);
    return rc;
}

void placement_show(struct app *app) {
    if (!app->placement) return;
    struct job_map *job = &app->placement->job;
    struct map_seat mine = {.state = app->place.state};
    if (gethostname(mine.host, sizeof mine.host - 1)) strcpy(mine.host, "unknown");
    memcpy(mine.cpus, app->place.list, sizeof mine.cpus);
    memcpy(mine.near, app->place.near, sizeof mine.near);
    agree_allgather(app->world, &mine, sizeof mine, job->seat);
    if (app->rank == 0 && !app->spec.json && !app->spec.quiet) {
        job_map_print(job, stderr);
        fputc('\n', stderr);
    }
}

json_t *placement_json(const struct app *app) {
    return app->placement ? job_map_json(&app->placement->job) : NULL;
}
