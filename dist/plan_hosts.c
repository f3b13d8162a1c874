#include "plan_hosts.h"

#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "job_map.h"
#include "topo_cores.h"

struct hosting {
    const struct app *app;
    const struct hosts *hosts;
    struct job_map job;
    struct topo_cores cores; /* of this machine, all of them */
    int *host, *node; /* [slots used]: of a process, its host and the first process there */
};

/* With a rank file any slot can be used; else mpirun starts the ranks on the first ones. */
static int open_map(struct hosting *g, const struct plan *p, struct diag *d) {
    int all = g->hosts->n_slots, n = g->app->spec.rankfile ? all : p->n_ranks;
    if (all < p->n_ranks)
        return diag_set(d, ERR_PLAN, "%s has %d slot%s, but strategy %s needs %d ranks", g->app->spec.hosts, all,
                        all == 1 ? "" : "s", p->strategy.text, p->n_ranks);
    g->host = malloc((size_t)n * sizeof *g->host);
    g->node = malloc((size_t)n * sizeof *g->node);
    if (!g->host || !g->node) return diag_set(d, ERR_MEMORY, "no memory for %d ranks", n);
    hosts_deal(g->hosts, n, g->host);
    for (int i = 0; i < n; i++)
        g->node[i] = i && g->host[i] == g->host[i - 1] ? g->node[i - 1] : i;
    int rc = job_map_init(&g->job, p, g->node, n, 1, g->app->net.n_tiers ? &g->app->net : NULL, d);
    for (int i = 0; i < n && !rc; i++)
        memcpy(g->job.seat[g->job.map.rank[i]].host, g->hosts->host[g->host[i]].name, HOSTS_NAME);
    return rc;
}

/* ---- cores, as on this machine ---- */

static int open_cores(struct topo_cores *all, struct diag *d) {
    hwloc_topology_t t;
    cpu_set_t any;
    memset(&any, 0xff, sizeof any);
    if (hwloc_topology_init(&t)) return diag_set(d, ERR_MEMORY, "hwloc cannot start");
    int rc = hwloc_topology_set_type_filter(t, HWLOC_OBJ_L3CACHE, HWLOC_TYPE_FILTER_KEEP_ALL) ||
             hwloc_topology_load(t) || topo_cores_read(all, t, &any) || !hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
    hwloc_topology_destroy(t);
    return rc ? diag_set(d, ERR_UNSUPPORTED, "--rankfile: hwloc cannot tell this machine's cores") : 0;
}

/* The ranks of a host, as this machine would seat them; slots of a rank file are cores. */
static int seat_host(struct hosting *g, const int *rank, int n, int threads, struct diag *d) {
    struct topo_rank *all = calloc((size_t)n, sizeof *all);
    int *core = malloc(TOPO_MAX_THREADS * sizeof *core), rc = 0;
    if (!all || !core) rc = diag_set(d, ERR_MEMORY, "no memory for the cores of %d ranks", n);
    for (int i = 0; i < n && !rc; i++) {
        all[i] = (struct topo_rank){.threads = threads, .bind = 1};
        memset(&all[i].allowed, 0xff, sizeof all[i].allowed);
    }
    for (int i = 0; i < n && !rc; i++) {
        struct map_seat *s = &g->job.seat[rank[i]];
        cpu_set_t slots, cpus;
        CPU_ZERO(&slots);
        CPU_ZERO(&cpus);
        s->state = topo_choose(&g->cores, all, n, i, -1, core);
        if (s->state != TOPO_BOUND)
            rc =
                diag_set(d, ERR_PLAN,
                         "--rankfile: %d rank%s of %d thread%s on %s, but this machine, whose cores stand for those of "
                         "all hosts, has %d: leave cores to the job (--map plan)",
                         n, n == 1 ? "" : "s", threads, threads == 1 ? "" : "s", s->host, g->cores.n);
        for (int t = 0; t < threads && !rc; t++) {
            CPU_SET((size_t)core[t], &slots);
            CPU_OR(&cpus, &cpus, &g->cores.core[core[t]]);
        }
        topo_list(&slots, s->cpus, sizeof s->cpus);
        topo_near(&g->cores, &cpus, s->near, sizeof s->near);
        if (!rc && strstr(s->cpus, "..."))
            rc = diag_set(d, ERR_PLAN, "--rankfile: too many pieces of cores for a rank");
    }
    free(all);
    free(core);
    return rc;
}

static int seat_all(struct hosting *g, struct diag *d) {
    int n_ranks = g->job.map.n_ranks, threads = app_threads(&g->app->spec),
        *rank = malloc((size_t)n_ranks * sizeof *rank);
    int rc = rank ? open_cores(&g->cores, d) : diag_set(d, ERR_MEMORY, "no memory for %d ranks", n_ranks);
    for (int h = 0; h < g->hosts->n && !rc; h++) {
        int n = 0;
        for (int r = 0; r < n_ranks; r++)
            if (g->host[g->job.map.process[r]] == h) rank[n++] = r;
        if (n) rc = seat_host(g, rank, n, threads, d);
    }
    free(rank);
    return rc;
}

/* A rank file makes the ranks of the plan the launcher's; slots that are left over stay empty. */
static void launch_as_mapped(struct map *m) {
    m->n_procs = m->n_ranks;
    for (int r = 0; r < m->n_ranks; r++)
        m->process[r] = m->rank[r] = r;
}

/* ---- what comes of it ---- */

static void put_rankfile(void *user, FILE *out) {
    const struct hosting *g = user;
    fprintf(out, "# northwall plan --hosts %s: strategy %s; cores as on the machine that wrote it\n",
            g->app->spec.hosts, g->job.plan->strategy.text);
    for (int r = 0; r < g->job.map.n_ranks; r++)
        fprintf(out, "rank %d=%s slot=%s\n", r, g->job.seat[r].host, g->job.seat[r].cpus);
}

static void put_start(const struct hosting *g, char *text, size_t cap) {
    const struct run_spec *s = &g->app->spec;
    const char *by = s->rankfile ? "--rankfile " : "--map-by slot --bind-to none";
    char threads[32] = "";
    if (app_threads(s) > 1) snprintf(threads, sizeof threads, " --threads %d", app_threads(s));
    snprintf(text, cap, "mpirun -n %d --hostfile %s %s%s northwall run --model %s --strategy %s%s%s",
             g->job.map.n_ranks, s->hosts, by, s->rankfile ? s->rankfile : "", s->model, g->job.plan->strategy.text,
             threads, s->rankfile ? "" : " --map plan");
}

static int show(const struct hosting *g, struct diag *d) {
    char start[8192];
    put_start(g, start, sizeof start);
    if (!g->app->spec.json) {
        job_map_print(&g->job, stdout);
        printf("%s\n%s\n", g->app->spec.rankfile ? "cores are numbered as on this machine\n" : "", start);
        return 0;
    }
    json_t *o = job_map_json(&g->job);
    if (!o) return diag_set(d, ERR_MEMORY, "no memory for the map's JSON");
    json_object_set_new(o, "start", json_string(start));
    json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
    return 0;
}

int plan_hosts(const struct app *app, const struct hosts *hosts, const struct plan *p, struct diag *d) {
    struct hosting g = {.app = app, .hosts = hosts};
    const char *rankfile = app->spec.rankfile;
    int rc = text_check_target(rankfile, d);
    if (!rc) rc = open_map(&g, p, d);
    if (!rc && rankfile) rc = seat_all(&g, d);
    if (!rc && rankfile) launch_as_mapped(&g.job.map);
    if (!rc && rankfile) rc = text_write_file(rankfile, put_rankfile, &g, d);
    if (!rc) rc = show(&g, d);
    job_map_fini(&g.job);
    topo_cores_fini(&g.cores);
    free(g.host);
    free(g.node);
    return rc;
}
