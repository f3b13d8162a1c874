/* northwall explain: what the time of a token is made of, and what would change it. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>

#include "../critical.h"
#include "../sim_job.h"
#include "../virtual_report.h"
#include "analysis/frame.h"
#include "analysis/parameter.h"

#define FASTER 1.5 /* as 3 / 2 */

static const struct {
    const char *binds, *parameter;
    int rises; /* the time rises with the parameter */
} share_text[NET_SHARES] = {
    [NET_MEMORY] = {"reading memory", "bandwidth of memory, and of copies", 0},
    [NET_COMPUTE] = {"computing", "rates of arithmetic", 0},
    [NET_BANDWIDTH] = {"the bandwidth of links", "bandwidth of links", 0},
    [NET_LATENCY] = {"the latency of links", "latency of links", 1},
    [NET_OVERHEAD] = {"the overhead of steps and messages", "overheads of passes, steps and messages", 1},
};

struct explanation {
    const struct plan *p;
    const struct cluster *c;
    struct virtual_summary s;
    struct virtual_window last;
    struct critical path; /* of the last token's pass */
    int first, second; /* greatest shares of the whole time */
    double predicted, simulated; /* time with the first FASTER, as a part of the time without */
    struct frame *reach; /* NULL: not asked for */
};

static double part(uint64_t ps, uint64_t of) {
    return of ? (double)ps / (double)of : 0;
}

static double whole_share(const struct explanation *x, int share) {
    return part(x->s.critical.share[share], x->s.total_ps);
}

/* ---- one parameter made better ---- */

static void speed(struct pico_rate *r) {
    r->num *= 2;
    r->den *= 3;
}

static void shorten(uint64_t *ps) {
    *ps = pico_of(*ps, (struct pico_rate){2, 3});
}

static void better_card(struct card *c, int share) {
    for (int i = 0; i < c->n_levels && share == NET_MEMORY; i++) {
        speed(&c->level[i].G);
        if (c->level[i].alone.den) speed(&c->level[i].alone);
        shorten(&c->level[i].latency_ps);
    }
    for (int k = 0; k < PREC_COUNT && share == NET_COMPUTE; k++)
        speed(&c->op[k]);
    if (share != NET_OVERHEAD) return;
    shorten(&c->step_ps);
    for (int k = 0; k < STEP_COUNT; k++)
        shorten(&c->step[k].overhead_ps);
    shorten(&c->pass_ps);
    shorten(&c->token_ps);
    shorten(&c->sequence_ps);
}

/* All numbers that a share of time counts, so that it would be FASTER times shorter on the same path. */
static void better_cluster(struct cluster *c, int share) {
    better_card(&c->card, share);
    better_card(&c->host, share);
    if (share == NET_MEMORY) speed(&c->net.copy);
    if (share == NET_COMPUTE) speed(&c->net.gamma), speed(&c->net.codec);
    for (int i = 0; i < c->net.n_tiers; i++) {
        struct net_link *l = &c->net.tier[i].link;
        if (share == NET_BANDWIDTH) speed(&l->G), speed(&l->port);
        if (share == NET_LATENCY) shorten(&l->L_ps);
        if (share == NET_OVERHEAD) shorten(&l->o_send_ps), shorten(&l->o_recv_ps), shorten(&l->g_ps);
    }
}

/* The prediction keeps the path; the simulation finds the new one. The plan stays as it is. */
static int check_secant(struct explanation *x, const struct trace *trace, struct diag *d) {
    struct cluster better = *x->c;
    struct simulation sim;
    struct virtual_summary s;
    better_cluster(&better, x->first);
    int rc = simulate(&sim, x->p, &better, trace, d);
    if (rc) return rc;
    virtual_times(&s, "simulated", x->p, x->s.users, trace, sim.taken);
    simulation_fini(&sim);
    x->predicted = 1 - whole_share(x, x->first) * (1 - 1 / FASTER);
    x->simulated = part(s.total_ps, x->s.total_ps);
    return 0;
}

static int walk_last_pass(struct explanation *x, const struct trace *trace, struct diag *d) {
    struct recording rec;
    struct simulation sim;
    int rc = recording_init(&rec, x->p->n_ranks, x->last.from_ps, x->last.to_ps, d);
    if (rc) return rc;
    rc = simulate_recorded(&sim, x->p, x->c, trace, &rec, d);
    if (!rc) {
        rc = critical_walk(&x->path, &rec, x->p, x->c, x->last.replica * x->p->ranks_per_replica, x->last.from_ps,
                           x->last.to_ps, d);
        simulation_fini(&sim);
    }
    recording_fini(&rec);
    return rc;
}

static void find_binding(struct explanation *x) {
    struct net_stamp rest = x->s.critical;
    x->first = net_greatest(&rest);
    rest.share[x->first] = 0;
    x->second = net_greatest(&rest);
    if (x->second == x->first) x->second = x->first == 0;
}

/* ---- a published throughput ---- */

struct asked {
    const struct explanation *x;
    const struct trace *trace;
};

static int throughput(void *user, const struct cluster *c, double *out, struct diag *d) {
    const struct asked *a = user;
    struct simulation sim;
    struct virtual_summary s;
    int rc = simulate(&sim, a->x->p, c, a->trace, d);
    if (rc) return rc;
    virtual_times(&s, "simulated", a->x->p, a->x->s.users, a->trace, sim.taken);
    simulation_fini(&sim);
    *out = s.throughput;
    return 0;
}

static int reach_one(struct explanation *x, const struct parameter *p, double tok_s, struct asked *a, struct diag *d) {
    const double tolerance = 1e-6;
    struct reached r;
    int rc = parameter_reach(&r, p, x->c, tok_s, tolerance, throughput, a, d);
    if (rc) return rc;
    frame_text(x->reach, "%s", p->name);
    if (r.found && p->kind == PARAMETER_FACTOR)
        frame_text(x->reach, "x %.4g", r.x);
    else if (r.found)
        frame_text(x->reach, "+ %.4g us", 1e6 * r.x);
    else
        frame_text(x->reach, "none: %.6g tok/s at the nearest", r.nearest);
    frame_text(x->reach, "%s", p->told_by);
    frame_end_row(x->reach);
    return 0;
}

static int reach_all(struct explanation *x, double tok_s, const struct trace *trace, struct diag *d) {
    struct asked a = {x, trace};
    char title[128];
    int rc = 0;
    snprintf(title, sizeof title, "What alone would make %.6g tok/s of the %.6g simulated", tok_s, x->s.throughput);
    x->reach = frame_new("reach", title, "Rows are alternatives: one figure cannot choose among them.");
    frame_column(x->reach, "parameter", "", 0);
    frame_column(x->reach, "value", "", 0);
    frame_column(x->reach, "what measurement would tell", "", 0);
    for (const struct parameter *p = parameters; p->name && !rc; p++)
        if (!p->host || x->p->strategy.host) rc = reach_one(x, p, tok_s, &a, d);
    return rc;
}

/* ---- in words ---- */

static uint64_t step_ps(const struct critical *c, int step) {
    uint64_t ps = 0;
    for (int i = 0; i < NET_SHARES; i++)
        ps += c->step[step][i];
    return ps;
}

/* The index with the greatest value below `below`, or behind `after` of the same; -1: none is above 0. */
static int next_greatest(const uint64_t *ps, int n, int after) {
    int best = -1;
    for (int i = 0; i < n; i++) {
        int comes = after < 0 || ps[i] < ps[after] || (ps[i] == ps[after] && i > after);
        if (ps[i] && comes && (best < 0 || ps[i] > ps[best])) best = i;
    }
    return best;
}

static void print_shares(const struct explanation *x) {
    printf("  %-15s %14s %30s\n", "share", "whole job, ms", "last token's pass, ms");
    for (int i = 0; i < NET_SHARES; i++)
        printf("  %-15s %14.6f %6.1f %% %20.6f %6.1f %%\n", record_share_name[i], 1e-9 * (double)x->s.critical.share[i],
               100 * whole_share(x, i), 1e-9 * (double)x->path.share[i], 100 * part(x->path.share[i], x->path.ps));
}

static void print_steps(const struct critical *c) {
    uint64_t ps[CRITICAL_STEPS];
    for (int i = 0; i < CRITICAL_STEPS; i++)
        ps[i] = step_ps(c, i);
    printf("\nWhere the last token's pass goes, %.6f ms on the path (a message counts to the step that waits for it):\n"
           "  %-15s %8s %14s %8s  %s\n",
           1e-9 * (double)c->ps, "step", "calls", "ms", "share", "most of it");
    for (int i = -1; (i = next_greatest(ps, CRITICAL_STEPS, i)) >= 0;)
        printf("  %-15s %8d %14.6f %6.1f %%  %s\n", record_step_name(i), c->calls[i], 1e-9 * (double)ps[i],
               100 * part(ps[i], c->ps), record_share_name[next_greatest(c->step[i], NET_SHARES, -1)]);
}

static void print_stages(const struct explanation *x) {
    const char *between = "\nBy stage: ";
    int shown = 0;
    uint64_t rest = x->path.ps;
    for (int i = -1; shown < 6 && (i = next_greatest(x->path.stage, x->p->n_stages, i)) >= 0; shown++) {
        printf("%s%d with %.6f ms (%.1f %%)", between, i, 1e-9 * (double)x->path.stage[i],
               100 * part(x->path.stage[i], x->path.ps));
        rest -= x->path.stage[i];
        between = ", ";
    }
    if (rest) printf(", the others with %.6f ms", 1e-9 * (double)rest);
    puts(".");
}

static double elasticity(int share, double part) {
    return share_text[share].rises || part == 0 ? part : -part;
}

static const char *better(int share) {
    return share_text[share].rises ? "smaller" : "greater";
}

static void print_elasticities(const struct explanation *x) {
    puts("\nElasticities, d ln(time) / d ln(parameter), as long as the path stays: the shares.\n"
         "  parameter                                 latency a token    last token's pass");
    for (int i = 0; i < NET_SHARES; i++)
        printf("  %-42s %+14.4f %+20.4f\n", share_text[i].parameter, elasticity(i, whole_share(x, i)),
               elasticity(i, part(x->path.share[i], x->path.ps)));
    printf("Checked: %s %.1f times %s: latency a token %+.2f %% by its share\n(estimated), %+.2f %% simulated.\n",
           share_text[x->first].parameter, FASTER, better(x->first), 100 * (x->predicted - 1),
           100 * (x->simulated - 1));
}

static void print_next(const struct explanation *x) {
    double first = whole_share(x, x->first), second = whole_share(x, x->second);
    if (second == 0) {
        puts("Nothing else takes time: nothing moves what binds.");
        return;
    }
    printf("For %s to bind instead: %s %.2f times %s\n(estimated from the shares), or its own numbers so many times "
           "worse.\n",
           share_text[x->second].binds, share_text[x->first].parameter, first / second, better(x->first));
}

static int print_words(const struct explanation *x, struct diag *d) {
    int last = next_greatest(x->path.share, NET_SHARES, -1);
    printf("%s on %s, strategy %s: %.6f ms a token for a user,\n%.6f ms while decoding. All times are simulated and "
           "deterministic, n = 1.\n\n",
           x->p->shape.name, x->c->name, x->p->strategy.text, x->s.latency_ms, x->s.decode_ms);
    printf("What binds is %s: %.1f %% of the path to the last token; %s comes next, "
           "%.1f %%.\nIn the last token's pass it is %s: %.1f %%.\n",
           share_text[x->first].binds, 100 * whole_share(x, x->first), share_text[x->second].binds,
           100 * whole_share(x, x->second), share_text[last].binds, 100 * part(x->path.share[last], x->path.ps));
    print_shares(x);
    print_steps(&x->path);
    print_stages(x);
    print_elasticities(x);
    print_next(x);
    if (!x->reach) return 0;
    putchar('\n');
    return frame_print(x->reach, INT_MAX, stdout, d);
}

static int print_json(const struct explanation *x, struct diag *d) {
    json_t *o = virtual_json(&x->s, x->p, x->c), *steps = json_array(), *stages = json_array(), *e = json_object();
    json_t *reach = NULL;
    int rc = x->reach ? frame_json(x->reach, &reach, d) : 0;
    if (reach) json_object_set_new(o, "reach", reach);
    for (int i = 0; i < NET_SHARES; i++)
        json_object_set_new(e, record_share_name[i], json_real(elasticity(i, whole_share(x, i))));
    for (int i = 0; i < CRITICAL_STEPS; i++)
        if (step_ps(&x->path, i))
            json_array_append_new(steps, json_pack("{s:s, s:i, s:f}", "step", record_step_name(i), "calls",
                                                   x->path.calls[i], "ms", 1e-9 * (double)step_ps(&x->path, i)));
    for (int i = 0; i < x->p->n_stages; i++)
        json_array_append_new(stages, json_real(1e-9 * (double)x->path.stage[i]));
    json_object_set_new(o, "binds", json_string(record_share_name[x->first]));
    json_object_set_new(o, "binds_next", json_string(record_share_name[x->second]));
    json_object_set_new(o, "elasticities", e);
    json_object_set_new(o, "secant",
                        json_pack("{s:f, s:f, s:f}", "better_by", FASTER, "time_estimated", x->predicted,
                                  "time_simulated", x->simulated));
    json_object_set_new(o, "last_pass",
                        json_pack("{s:I, s:I, s:o, s:o}", "from_ps", (json_int_t)x->last.from_ps, "to_ps",
                                  (json_int_t)x->last.to_ps, "steps", steps, "stage_ms", stages));
    json_dumpf(o, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(o);
    return rc;
}

static int explain(void *user, const struct app *app, const struct plan *p, const struct trace *trace, struct diag *d) {
    (void)user;
    struct explanation x = {.p = p, .c = &app->cluster};
    struct simulation sim;
    int rc = simulate(&sim, p, x.c, trace, d);
    if (rc) return rc;
    virtual_times(&x.s, "simulated", p, (int)app->spec.batch, trace, sim.taken);
    virtual_last_pass(&x.last, p, trace, sim.taken);
    simulation_fini(&sim);
    find_binding(&x);
    rc = walk_last_pass(&x, trace, d);
    if (!rc) rc = check_secant(&x, trace, d);
    if (!rc && app->spec.reach > 0) rc = reach_all(&x, app->spec.reach, trace, d);
    if (!rc) rc = app->spec.json ? print_json(&x, d) : print_words(&x, d);
    frame_free(x.reach);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    return sim_job(app, explain, NULL, d);
}

const struct cmd cmd_explain = {
    .name = "explain",
    .summary = "what the time of a token on a described cluster is made of, and what would change it",
    .usage = "--model FILE|PRESET --cluster FILE [--strategy S] [--users N --prompt TOKENS --generate N] [options]",
    .options = "model quant strategy tp kvp pp dp ranks cluster straggler shares users prompt generate ctx chunk "
               "micro-batches mode kv hidden allreduce wire drop-sync reach json",
    .notes = "Simulates, and goes back from the last token over the steps and messages that its time depends on. The\n"
             "shares of that path are the elasticities of the latency; that of the greatest is checked by another\n"
             "simulation. The last token's pass begins with the token before.",
    .run = run,
};
