/* northwall bench: prefill and decode measured, with the memory bandwidth beside each sample and the result verified.
 */
#include "../bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../placement.h"
#include "analysis/stat.h"
#include "collectives/agree.h"
#include "dist/energy.h"
#include "dist/probe.h"
#include "dist/topo.h"

enum { MOST_RUNS = 200 /* with --precision, where --repeat is not given */ };

/* Several times the last-level cache of a core. */
size_t bench_probe_bytes(void) {
    size_t least = (size_t)256 << 20, cache = topo_last_level_cache_bytes();
    return 4 * cache > least ? 4 * cache : least;
}

/* ---- opening ---- */

/* The rows that were asked for, not the reference by itself. */
static int want_roofline(struct bench *b, struct bench_row *r, struct diag *d) {
    if (!b->app->spec.roofline || r->roof) return 0;
    r->roof = calloc((size_t)b->repeat * (size_t)r->runner.plan->n_ranks, sizeof *r->roof);
    int rc = r->roof ? 0 : diag_set(d, ERR_MEMORY, "no memory for the roofline of %d runs", b->repeat);
    return err_agree(b->app->world, rc, d);
}

static int add_row(struct bench *b, const struct strategy *st, const char *why, int need_all, int flip,
                   struct diag *d) {
    if (b->n_rows == BENCH_MAX) return diag_set(d, ERR_USAGE, "at most %d strategies at once", BENCH_MAX);
    struct bench_row *r = &b->row[b->n_rows];
    memset(r, 0, sizeof *r);
    r->tokens_same = r->logits_same = -1;
    int rc = runner_open(&r->runner, b->app, &b->model, &b->prompts, st, need_all, flip, d);
    if (rc) return rc;
    snprintf(r->runner.why, sizeof r->runner.why, "%s", why);
    b->n_rows++;
    r->samples = calloc((size_t)b->repeat, sizeof *r->samples);
    r->stats = calloc((size_t)b->app->size, sizeof *r->stats);
    rc = r->samples && r->stats ? 0 : diag_set(d, ERR_MEMORY, "no memory for samples");
    return err_agree(b->app->world, rc, d);
}

/* One rank is measured as the reference already; with a weight to flip it is not the same. */
static int is_reference(const struct bench *b, const struct strategy *st) {
    return !b->app->spec.no_verify && b->app->spec.flip < 0 && !strcmp(st->text, "1");
}

/* A row that was asked for. */
static int add_asked(struct bench *b, const struct strategy *st, const char *why, int need_all, struct diag *d) {
    int drafting = b->app->spec.draft > 0;
    if (is_reference(b, st) && (!need_all || b->app->size == 1)) {
        b->row[0].drafting = drafting;
        snprintf(b->row[0].runner.why, sizeof b->row[0].runner.why, "%s", why);
        return want_roofline(b, &b->row[0], d);
    }
    int rc = add_row(b, st, why, need_all, (int)b->app->spec.flip, d);
    if (!rc) b->row[b->n_rows - 1].drafting = drafting;
    return rc ? rc : want_roofline(b, &b->row[b->n_rows - 1], d);
}

static int add_list(struct bench *b, const char *list, struct diag *d) {
    char copy[1024];
    if (strlen(list) >= sizeof copy) return diag_set(d, ERR_USAGE, "--strategies: list too long");
    strcpy(copy, list);
    char *save = NULL;
    int rc = 0, named = 0;
    for (char *word = strtok_r(copy, ",", &save); word && !rc; word = strtok_r(NULL, ",", &save)) {
        struct strategy st;
        rc = strategy_parse(&st, word, d);
        named += !rc;
        if (!rc) rc = add_asked(b, &st, "as asked", 0, d);
    }
    if (!rc && !named) rc = diag_set(d, ERR_USAGE, "--strategies '%.40s': no strategy in it", list);
    return rc;
}

/* Row 0 is one rank, the reference, unless --no-verify. */
static int open_rows(struct bench *b, struct diag *d) {
    const struct run_spec *s = &b->app->spec;
    struct strategy st;
    char why[256];
    int rc = 0;
    if (!s->no_verify) {
        rc = strategy_parse(&st, "1", d);
        if (!rc) rc = add_row(b, &st, "reference", 0, -1, d);
    }
    if (rc) return rc;
    if (s->strategies) return add_list(b, s->strategies, d);
    rc = app_strategy(&st, b->app, &b->model.shape, b->app->size, why, sizeof why, d);
    return rc ? rc : add_asked(b, &st, why, 1, d);
}

/* ---- measuring ---- */

static void add_work(struct plan_work *sum, const struct plan_work *w) {
    sum->passes += w->passes;
    sum->tokens += w->tokens;
    sum->ctx_sum += w->ctx_sum;
    sum->ctx_read += w->ctx_read;
    sum->sampled_passes += w->sampled_passes;
    sum->sampled += w->sampled;
    sum->refused += w->refused;
}

static void add_stats(struct engine_stats *sum, const struct engine_stats *s) {
    for (int k = 0; k < STEP_COUNT; k++) {
        sum->seconds[k] += s->seconds[k];
        sum->wait_seconds[k] += s->wait_seconds[k];
    }
    add_work(&sum->work, &s->work);
    sum->messages += s->messages;
    sum->sent_bytes += s->sent_bytes;
    sum->busy_seconds += s->busy_seconds;
}

/* Read bandwidth of all of the row's ranks at once. */
static double probe_all(struct bench_row *r, const struct probe *probe) {
    agree_barrier(r->runner.link);
    double mine = probe_read_Bps(probe, r->runner.plan->opts.decoder.threads, &r->streams), all = 0;
    double *rates = calloc((size_t)r->runner.link->size, sizeof *rates);
    if (rates) {
        agree_allgather(r->runner.link, &mine, sizeof mine, rates);
        for (int i = 0; i < r->runner.link->size; i++)
            all += rates[i];
    }
    free(rates);
    r->huge = probe->huge;
    return all;
}

/* What the roofline needs of a run, from all ranks of the row. */
static void gather_roof(struct bench_row *r, int rep, const struct engine_result *res, const struct roof_rates *before,
                        const struct roof_rates *after) {
    struct roof_sample mine = {.stats = {[ROOF_DECODE] = res->decode, [ROOF_PREFILL] = res->prefill},
                               .wall_s = {[ROOF_DECODE] = res->decode_seconds, [ROOF_PREFILL] = res->prefill_seconds}};
    mine.rates.read_Bps = 0.5 * (before->read_Bps + after->read_Bps);
    for (int k = 0; k < PEAK_COUNT; k++)
        mine.rates.peak_Ops[k] = 0.5 * (before->peak_Ops[k] + after->peak_Ops[k]);
    agree_allgather(r->runner.link, &mine, sizeof mine,
                    r->roof + (size_t)(rep < 0 ? 0 : rep) * (size_t)r->runner.link->size);
}

/* Tokens and hashes of a run of row r against those of one rank; a difference in any run stays. Rank 0. */
static void compare(const struct bench *b, struct bench_row *r, const struct engine_result *run) {
    const struct engine_result *ref = &b->row[0].first;
    int tokens = ref->n_seqs == run->n_seqs && ref->n_new == run->n_new, logits = tokens;
    for (int s = 0; tokens && s < ref->n_seqs; s++) {
        size_t at = (size_t)s * (size_t)ref->n_new, n = (size_t)ref->n_out[s];
        tokens &= ref->n_out[s] == run->n_out[s];
        if (!tokens) break;
        tokens &= !memcmp(ref->out + at, run->out + at, n * sizeof *ref->out);
        logits &= !memcmp(ref->logit_hash + at, run->logit_hash + at, n * sizeof *ref->logit_hash);
        r->compared += (int)n;
    }
    r->tokens_same = r->tokens_same != 0 && tokens;
    r->logits_same = r->logits_same != 0 && tokens && logits;
}

/* What rank 0 keeps of a run: of the warm-up tokens, of a run without drafts beside one with them the time. */
static void keep(const struct bench *b, struct bench_row *r, int rep, int draft, const struct bench_sample *sample,
                 struct engine_result *res, const struct engine_stats *all) {
    if (rep < 0 && draft == r->drafting) {
        r->prefill_tokens = res->prefill_tokens;
        r->decode_tokens = res->decode_tokens;
    }
    if (rep >= 0 && draft < r->drafting) {
        r->samples[rep].undrafted_s = sample->decode_s;
        r->samples[rep].undrafted_passes = sample->passes;
    } else if (rep >= 0) {
        struct bench_sample *to = &r->samples[rep];
        double s = to->undrafted_s, passes = to->undrafted_passes;
        *to = *sample;
        to->undrafted_s = s;
        to->undrafted_passes = passes;
        draft_add(&r->drafts, &res->drafts);
        for (int i = 0; i < r->runner.plan->n_ranks; i++)
            add_stats(&r->stats[i], &all[i]);
    }
    if (rep < 0 && !draft) {
        r->first = *res;
        memset(res, 0, sizeof *res);
        res = &r->first;
    }
    int exact = plan_label(r->runner.plan) == COLL_BIT_EXACT; /* others differ by what they are */
    if (exact && !b->app->spec.no_verify) compare(b, r, res);
}

/* One run of one row, on its ranks. Rep -1 is the warm-up, whose tokens are shown; every run is verified. */
static int measure_run(struct bench *b, struct bench_row *r, int rep, int draft, const struct probe *probe,
                       struct energy_meter *energy, struct diag *d) {
    struct engine_job job;
    struct engine_result res;
    struct link *l = r->runner.link;
    runner_job(&job, &r->runner, b->app, &b->prompts);
    if (!draft) job.draft.most = 0;
    struct roof_rates roof_before, roof_after;
    double before = probe_all(r, probe);
    if (r->roof) roof_probe(&r->runner, probe, &roof_before);
    int started = energy_start(energy) == 0;
    int rc = engine_generate(r->runner.engine, &job, &res, d);
    if (rc) return rc;
    int broken = agree_sum(l, !started || energy_update(energy) != 0) > 0;
    double joules = 1e-6 * (double)agree_sum(l, (uint64_t)(1e6 * energy->joules));
    if (broken) b->energy_domains = 0; /* a counter went away: no figure rather than a wrong one */
    double after = probe_all(r, probe);
    if (r->roof) roof_probe(&r->runner, probe, &roof_after);
    if (r->roof && draft == r->drafting) gather_roof(r, rep, &res, &roof_before, &roof_after);
    struct engine_stats *all = calloc((size_t)l->size, sizeof *all);
    if (!all) rc = diag_set(d, ERR_MEMORY, "no memory for statistics");
    rc = err_agree(l, rc, d);
    if (!rc) agree_allgather(l, &res.decode, sizeof res.decode, all);
    int interrupted = res.interrupted;
    struct bench_sample sample = {.prefill_s = res.prefill_seconds,
                                  .decode_s = res.decode_seconds,
                                  .read_Bps = 0.5 * (before + after),
                                  .joules = joules,
                                  .passes = (double)res.decode.work.passes};
    if (!rc && b->app->rank == 0) keep(b, r, rep, draft, &sample, &res, all);
    free(all);
    engine_result_fini(&res);
    if (!rc && interrupted) rc = diag_set(d, ERR_INTERRUPTED, "interrupted by a signal: no result");
    return rc;
}

/* With drafts two runs, the one without them first in the warm-up, which is then row 0's reference, and in turns. */
static int measure(struct bench *b, struct bench_row *r, int rep, const struct probe *probe,
                   struct energy_meter *energy, struct diag *d) {
    if (!r->drafting) return measure_run(b, r, rep, 0, probe, energy, d);
    int first = rep > 0 && rep % 2;
    int rc = measure_run(b, r, rep, first, probe, energy, d);
    return rc ? rc : measure_run(b, r, rep, !first, probe, energy, d);
}

/* Longest wait of all ranks for each other between runs: none of them has more to do than a pass. */
static double wait_limit(const struct bench *b) {
    double s = 0;
    for (int i = 0; i < b->n_rows; i++)
        if (b->row[i].runner.wait_limit_s > s) s = b->row[i].runner.wait_limit_s;
    return s;
}

/* A run of row i, agreed on by all ranks: those that take no part wait, quietly, as long as it takes. */
static int measure_row(struct bench *b, int i, int rep, const struct probe *probe, struct energy_meter *energy,
                       struct diag *d) {
    struct link *world = b->app->world;
    double limit = world->wait_limit_s;
    int rc = b->row[i].runner.engine ? measure(b, &b->row[i], rep, probe, energy, d) : 0;
    if (b->row[i].runner.plan->n_ranks < world->size) world->wait_limit_s = 0;
    rc = err_agree(world, rc, d);
    world->wait_limit_s = limit;
    return rc;
}

/* 1 once all rows' medians are known as well as --precision asks. Collective: rank 0 decides. */
static int is_enough(struct bench *b, int runs) {
    int most = b->repeat;
    uint64_t narrow = b->app->rank == 0;
    if (b->precision <= 0 || (!stat_looks(runs) && runs < most)) return 0;
    b->repeat = runs;
    for (int i = 0; i < b->n_rows && narrow; i++) {
        double half;
        struct stats_median s = bench_ms(b, &b->row[i], &half);
        narrow = stat_is_narrow(&s, b->precision);
    }
    b->reached = agree_sum(b->app->world, narrow) > 0;
    if (!b->reached) b->repeat = most;
    return b->reached;
}

/* Repetitions outside, strategies inside: neighbours in time are compared. */
static int measure_all(struct bench *b, struct diag *d) {
    struct probe probe;
    struct energy_meter energy;
    int domains = energy_open(&energy, getenv("NORTHWALL_POWERCAP"));
    b->energy_domains = (int)agree_sum(b->app->world, b->app->node_leader ? (uint64_t)domains : 0);
    b->app->world->wait_limit_s = wait_limit(b);
    if (!b->app->node_leader) energy.n = 0;
    int rc = probe_init(&probe, bench_probe_bytes(), app_threads(&b->app->spec))
                 ? diag_set(d, ERR_MEMORY, "no memory for the bandwidth probe")
                 : 0;
    rc = err_agree(b->app->world, rc, d);
    for (int rep = -1; rep < b->repeat && !rc; rep++) {
        for (int i = 0; i < b->n_rows && !rc; i++) {
            rc = measure_row(b, i, rep, &probe, &energy, d);
            if (b->app->rank == 0 && !b->app->spec.quiet && isatty(2))
                fprintf(stderr, "\r%s %d/%d, strategy %d/%d  ", rep < 0 ? "warm-up" : "measuring",
                        rep < 0 ? 1 : rep + 1, rep < 0 ? 1 : b->repeat, i + 1, b->n_rows);
        }
        if (!rc && is_enough(b, rep + 1)) break;
    }
    b->app->world->wait_limit_s = 0;
    if (b->app->rank == 0 && !b->app->spec.quiet && isatty(2)) fprintf(stderr, "\r%40s\r", "");
    probe_fini(&probe);
    return rc;
}

static void close_rows(struct bench *b) {
    for (int i = 0; i < b->n_rows; i++) {
        engine_result_fini(&b->row[i].first);
        free(b->row[i].samples);
        free(b->row[i].stats);
        free(b->row[i].roof);
        roof_fini(&b->row[i].roofline);
        runner_close(&b->row[i].runner);
    }
    free(b->places);
}

static int verify(struct bench *b, struct diag *d) {
    if (b->app->spec.no_verify) return 0;
    int bad = 0;
    if (b->app->rank == 0) {
        for (int i = 0; i < b->n_rows; i++)
            bad |= !b->row[i].tokens_same || !b->row[i].logits_same;
    }
    return err_agree(b->app->world,
                     bad ? diag_set(d, ERR_MISMATCH, "verification failed: a strategy differs from one rank") : 0, d);
}

static int make_roofs(struct bench *b, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < b->n_rows && b->app->rank == 0 && !rc; i++) {
        struct bench_row *r = &b->row[i];
        if (r->roof) rc = roof_make(&r->roofline, r->runner.plan, r->roof, b->repeat, d);
        if (!rc && r->roof && b->app->spec.plot) rc = roof_plot(&r->roofline, r->runner.plan, b->app->spec.plot, d);
    }
    return err_agree(b->app->world, rc, d);
}

static void report(struct bench *b) {
    if (b->app->rank != 0) return;
    if (b->app->spec.json) {
        bench_print_json(b);
    } else if (b->app->spec.roofline) {
        bench_print_roofline(b);
    } else if (b->app->spec.strategies) {
        bench_print_table(b);
    } else {
        bench_print_detail(b, &b->row[b->n_rows - 1]);
    }
}

static int gather_places(struct bench *b, struct diag *d) {
    b->places = calloc((size_t)b->app->size, sizeof *b->places);
    int rc = err_agree(b->app->world, b->places ? 0 : diag_set(d, ERR_MEMORY, "no memory for the table of ranks"), d);
    if (!rc) agree_allgather(b->app->world, &b->app->place, sizeof b->app->place, b->places);
    return rc;
}

static int bench_rows(struct bench *b, struct diag *d) {
    int rc = gather_places(b, d);
    if (!rc) rc = err_agree(b->app->world, open_rows(b, d), d);
    for (int i = 0; i < b->n_rows && !rc; i++)
        if (b->row[i].runner.engine) engine_settle(b->row[i].runner.engine, &app_stop);
    if (!rc) rc = measure_all(b, d);
    for (int i = 0; i < b->n_rows && !rc; i++)
        if (b->row[i].runner.engine) engine_memory(b->row[i].runner.engine, &b->row[i].memory);
    if (!rc) {
        int lost = make_roofs(b, d);
        rc = verify(b, d);
        report(b);
        if (!rc) rc = lost;
    }
    close_rows(b);
    return rc;
}

/* What options ask for together, before anything is loaded. Rank 0 draws. */
static int check_options(struct app *app, struct diag *d) {
    struct run_spec *s = &app->spec;
    if (s->kernels && !*s->kernels)
        return diag_set(d, ERR_USAGE,
                        "--kernels: name a set (northwall list), or leave --model out to measure each kernel");
    if (s->strategies && (s->strategy || s->tp || s->kvp || s->pp || s->dp))
        return diag_set(d, ERR_USAGE, "give either --strategies or one strategy");
    if (s->strategies && s->map)
        return diag_set(d, ERR_USAGE, "--map is of one strategy: give --strategy, not --strategies");
    if (!s->plot) return 0;
    s->roofline = 1;
    if (s->strategies) return diag_set(d, ERR_USAGE, "--plot draws one strategy: give --strategy, not --strategies");
    return app->rank == 0 ? roof_plot_check(s->plot, d) : 0;
}

static int run_model(struct app *app, struct diag *d) {
    static struct bench b; /* large, and one a process */
    memset(&b, 0, sizeof b);
    b.app = app;
    b.precision = 0.01 * app->spec.precision;
    b.repeat = b.precision > 0 && !opts_given(&app->spec, "repeat") ? MOST_RUNS : (int)app->spec.repeat;
    app->spec.ignore_eos = 1;
    int rc = model_open(&b.model, app, d);
    if (rc) return rc;
    if (!b.model.shape.causal)
        rc = diag_set(d, ERR_UNSUPPORTED, "%s is an encoder: bench measures generation; northwall run encodes",
                      b.model.shape.name);
    if (!rc) rc = prompts_load(&b.prompts, app, &b.model, (int)app->spec.n_prompt, d);
    if (!rc) {
        rc = placement_choose(app, &b.model, &b.prompts, d);
        if (!rc) rc = app_bind(app, d);
        if (!rc) placement_show(app);
        if (!rc) rc = bench_rows(&b, d);
        prompts_free(&b.prompts);
    }
    model_close(&b.model);
    return rc;
}

static const struct cmd_mode modes[] = {
    {"bench", "model strategy tp kvp pp dp strategies prompt prompts n-prompt n-predict ctx chunk micro-batches batch "
              "mode kv hidden allreduce transport wire drop-sync temperature top-k top-p seed draft draft-ngram no-bos "
              "timeout mem weights-cache roofline plot no-verify flip-weight net pace "
              "straggler shares log precision map"},
    {"bench --kernels without --model", ""},
    {0},
};

/* Without a model, --kernels measures the kernels by themselves. */
static int mode(const struct run_spec *s) {
    return s->kernels && !s->model && !s->roofline && !s->plot;
}

static int run(struct app *app, struct diag *d) {
    int alone = mode(&app->spec);
    int rc = agree_same(app->world, (uint64_t)alone, "whether --model is given", d);
    if (!rc && alone) return bench_kernels(app, d);
    if (!rc) rc = err_agree(app->world, check_options(app, d), d);
    return rc ? rc : run_model(app, d);
}

const struct cmd cmd_bench = {
    .name = "bench",
    .summary = "measure prefill and decode, verified against one rank",
    .usage =
        "--model FILE|PRESET [--strategy S | --strategies LIST] [--prompt TEXT] [options]\n"
        "       northwall bench --kernels [SET] [--quant TYPE] [--threads N] [--bind on|off] [--repeat N] [--json]",
    .bare = "kernels",
    .options = "quant threads bind kernels repeat json quiet",
    .modes = modes,
    .mode = mode,
    .notes =
        "Each figure is a median over --repeat runs with an interval of at least 95 % by binomial ranks; with\n"
        "--precision over as many as it takes, 10 at least and --repeat (200) at most: what was not reached is\n"
        "said, and so are runs that follow one another. The read bandwidth of the same cores is probed before and\n"
        "after each run. The tokens and logits of every run of every strategy are compared with those of one\n"
        "rank; a difference ends the command with a nonzero status.\n\n"
        "With --draft each run is paired with one without drafts, in turns: the gain is of decode time.\n\n"
        "--roofline shows the time of each kind of step beside max(bytes / read bandwidth, operations / peak),\n"
        "all of it measured on the same cores in the same minute. Without --model, --kernels measures each\n"
        "kernel by itself: the set of that name, or the fastest one.",
    .run = run,
};
