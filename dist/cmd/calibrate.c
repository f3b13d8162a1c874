/* northwall calibrate: what the links, the memory and the cores of this machine give, for choices and predictions. */
#include "../calibrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collectives/agree.h"
#include "partition/cluster.h"

/* Hand-offs between cores that share a cache take some 50 ns, all others of one machine 100 and more. */
enum { NEAR_NS = 100 };

static const char *ended_text(const char *ended) {
    if (!strcmp(ended, "narrow")) return "interval within 5 %";
    if (!strcmp(ended, "longer")) return "few samples: took longer";
    return !strcmp(ended, "time") ? "time was up" : "enough samples";
}

static void print_figures(const struct calibration *c) {
    printf("%-34s %-9s %10s %-5s %4s  %-22s %s\n", "figure", "kind", "median", "unit", "n", "95 % interval",
           "ended by");
    for (int i = 0; i < c->n; i++) {
        const struct figure *f = &c->figure[i];
        char interval[32] = "none: too few";
        if (f->s.low <= f->s.high) snprintf(interval, sizeof interval, "[%.4g, %.4g]", f->s.low, f->s.high);
        printf("%-34s %-9s %10.4g %-5s %4d  %-22s %s\n", f->name, f->kind, f->s.median, f->unit, f->s.n, interval,
               ended_text(f->ended));
    }
}

static void print_line(const struct calibration *c, const char *name, const struct calibrated_exchange *x) {
    struct exchange_line line;
    int n = calibrate_line(c, x, &line);
    printf(
        "%s: between steps %.4g us + %.4g ps/B (fitted to %d figures), off by at most %.2g %% of steps and exchange\n",
        name, 1e-3 * line.ns, line.ps, n, 100 * line.off);
}

static void print_links(const struct calibration *c) {
    if (c->hand_off >= 0) print_line(c, "shm", &c->shm_exchange);
    for (int i = 0; i < c->n_tiers; i++)
        print_line(c, c->tier[i].name, &c->tier[i].exchange);
}

static void print_distance(const struct calibration *c) {
    double ns = c->figure[c->hand_off].s.median, after = c->figure[c->hand_off_after].s.median;
    printf("placement: ranks %d and %d are %s (hand-off %.4g ns, near below %d ns)\n", c->a, c->b,
           ns < NEAR_NS ? "near" : "far", ns, NEAR_NS);
    if (fabs(log2(after / ns)) > 0.5)
        printf("note: the hand-off was %.4g ns later: the ranks' processors have moved; calibrate again\n", after);
}

static void print_unequal(const struct calibration *c) {
    for (int i = 0; i < c->n_unequal; i++) {
        const struct unequal *u = &c->unequal[i];
        printf(
            "rank%s %s read%s %.4g x what the slowest reads (measured, n = %d, [%.4g, %.4g]): exceptions of the file\n",
            u->n_ranks > 1 ? "s" : "", u->cards, u->n_ranks > 1 ? "" : "s", u->speed.median, u->speed.n, u->speed.low,
            u->speed.high);
    }
}

/* Where each rank ran, and what else did. */
static void print_place(const struct calibration *c, const char *lists) {
    for (int r = 0; r < c->app->size; r++)
        printf("rank %d on CPU%s %s%s", r, strpbrk(lists + 64 * r, ",-") ? "s" : "", lists + 64 * r,
               r + 1 < c->app->size ? "; " : "\n");
    printf("binding: %s\n", topo_text(c->app->place.state));
    if (c->app->world->oversubscribed)
        puts("note: more ranks than processors: waits are yields, times are those of the scheduler");
    else if (c->hand_off >= 0)
        print_distance(c);
    if (isnan(c->other_load)) {
        puts("other load: unknown, as /proc/stat does not tell");
        return;
    }
    printf(
        "other load: %.1f %% of rank 0's node, stolen by a hypervisor %.1f %% (measured, n = 1, over the whole run)\n",
        100 * c->other_load, 100 * c->stolen);
}

/* The file is read back as others will read it. */
static int write_file(const struct calibration *c, const char *path, struct diag *d) {
    struct cluster *check = malloc(sizeof *check);
    int rc = check ? calibrate_write(c, path, d) : diag_set(d, ERR_MEMORY, "no memory for a cluster");
    if (!rc) rc = cluster_read(check, path, d);
    if (!rc) printf("wrote %s: for --net%s\n", path, cluster_has_card(check) ? ", and for --cluster of simulate" : "");
    free(check);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    struct calibration *c = malloc(sizeof *c);
    char *lists = malloc(64 * (size_t)app->size);
    int rc = err_agree(app->world, c && lists ? 0 : diag_set(d, ERR_MEMORY, "no memory for figures"), d);
    if (!rc && app->rank == 0 && app->spec.out) rc = text_check_target(app->spec.out, d);
    rc = err_agree(app->world, rc, d);
    if (!rc) rc = app_bind(app, d);
    if (!rc) agree_allgather(app->world, app->place.list, 64, lists);
    if (!rc) rc = calibrate(c, app, app->spec.budget, d);
    if (!rc && app->rank == 0) {
        print_figures(c);
        print_unequal(c);
        print_links(c);
        print_place(c, lists);
        if (app->spec.out) rc = write_file(c, app->spec.out, d);
    }
    rc = err_agree(app->world, rc, d);
    free(lists);
    free(c);
    return rc;
}

const struct cmd cmd_calibrate = {
    .name = "calibrate",
    .summary = "measure links, memory and cores of this machine; --out FILE for --net and --cluster",
    .usage = "[--out FILE] [--budget S]",
    .options = "out budget bind threads quiet",
    .notes =
        "One rank measures its memory, cache and kernels, and in the engine each kind of step; two and more also the\n"
        "hand-off of a flag between neighbours, and all-reduces through shared memory and messages between the first\n"
        "two ranks that share a node: by themselves, and between the steps of decoders. Each figure is sampled until\n"
        "the 95 % interval of its median is narrower than 5 %, or its share of --budget is over. Ranks that read\n"
        "memory faster than the slowest by more than their interval and 5 % are exceptions of the file, and plans "
        "made\n"
        "with it (--net, --cluster) give them more of the work.",
    .run = run,
};
