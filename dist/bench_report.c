/* How a benchmark is shown: a table of strategies, one strategy in detail, JSON. */
#include "bench.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/stat.h"
#include "dist/topo.h"
#include "placement.h"

/* ---- figures ---- */

static int seqs_per_pass(const struct plan *p) {
    return (p->opts.decoder.n_seqs + p->opts.n_micro - 1) / p->opts.n_micro;
}

/* How many tokens a pass gives depends on the drafts: what the passes of all runs read. */
static void counted_bytes_per_tok(const struct bench *b, const struct bench_row *r, double *weights, double *kv) {
    double tokens = (double)r->decode_tokens * b->repeat;
    *weights = *kv = 0;
    for (int rank = 0; rank < r->runner.plan->n_ranks && tokens > 0; rank++) {
        struct plan_totals t[STEP_COUNT];
        plan_step_totals(r->runner.plan, rank, &r->stats[rank].work, t);
        for (int k = 0; k < STEP_COUNT; k++) {
            *weights += t[k].weight_bytes / tokens;
            *kv += t[k].kv_bytes / tokens;
        }
    }
}

void bench_bytes_per_tok(const struct bench *b, const struct bench_row *r, double *weights, double *kv) {
    const struct plan *p = r->runner.plan;
    int tokens = seqs_per_pass(p), ctx = b->prompts.len[0] + (int)b->app->spec.n_predict / 2;
    struct plan_totals t = {0};
    if (r->drafting) {
        counted_bytes_per_tok(b, r, weights, kv);
        return;
    }
    for (int k = 0; k < p->ranks_per_replica; k++) {
        struct plan_totals one;
        struct plan_pass pass = {tokens, tokens, (int64_t)tokens * ctx, 0};
        plan_totals(p, k, &pass, &one);
        t.weight_bytes += one.weight_bytes;
        t.kv_bytes += one.kv_bytes;
    }
    *weights = t.weight_bytes / tokens;
    *kv = t.kv_bytes / tokens;
}

/* Decode tokens of one sequence in one run: what "a token" means in ms/token. */
static double steps(const struct bench_row *r) {
    return (double)r->decode_tokens / (r->first.n_seqs ? r->first.n_seqs : 1);
}

enum figure { MS_PER_TOKEN, DECODE_TOK, PREFILL_TOK, READ_GBPS, ACHIEVED_GBPS, FRACTION, JOULES };

static double figure_of(const struct bench *b, const struct bench_row *r, const struct bench_sample *s, enum figure f) {
    double w, kv;
    bench_bytes_per_tok(b, r, &w, &kv);
    double achieved = (w + kv) * (double)r->decode_tokens / s->decode_s;
    switch (f) {
    case MS_PER_TOKEN: return 1e3 * s->decode_s / steps(r);
    case DECODE_TOK: return (double)r->decode_tokens / s->decode_s;
    case PREFILL_TOK: return (double)r->prefill_tokens / s->prefill_s;
    case READ_GBPS: return 1e-9 * s->read_Bps;
    case ACHIEVED_GBPS: return 1e-9 * achieved;
    case FRACTION: return achieved / s->read_Bps;
    case JOULES: return s->joules / (double)(r->decode_tokens + r->prefill_tokens);
    }
    return 0;
}

static struct stats_median figure(const struct bench *b, const struct bench_row *r, enum figure f) {
    double v[BENCH_MAX_REPEAT];
    int n = b->repeat;
    for (int i = 0; i < n; i++)
        v[i] = figure_of(b, r, &r->samples[i], f);
    return stats_median(v, n);
}

struct stats_median bench_ms(const struct bench *b, const struct bench_row *r, double *half) {
    struct stats_median s = figure(b, r, MS_PER_TOKEN);
    *half = s.low <= s.high ? fmax(s.high - s.median, s.median - s.low) / s.median : NAN;
    return s;
}

double bench_lag1(const struct bench *b, const struct bench_row *r, int *depends) {
    double v[BENCH_MAX_REPEAT];
    for (int i = 0; i < b->repeat; i++)
        v[i] = figure_of(b, r, &r->samples[i], MS_PER_TOKEN);
    *depends = stat_depends(v, b->repeat);
    return stat_lag1(v, b->repeat);
}

/* ---- what the runs are worth ---- */

static void print_precision(const struct bench *b) {
    double widest = 0;
    for (int i = 0; i < b->n_rows; i++) {
        double half;
        bench_ms(b, &b->row[i], &half);
        widest = fmax(widest, isnan(half) ? INFINITY : half);
    }
    if (b->precision > 0 && b->reached)
        printf("precision: after %d runs no interval of ms/token reaches further than %.2g %% from its median\n",
               b->repeat, 100 * b->precision);
    else if (b->precision > 0)
        printf("precision NOT REACHED: asked %.2g %%, after %d runs an interval of ms/token reaches %.2g %% from its "
               "median\n",
               100 * b->precision, b->repeat, 100 * widest);
}

static void print_lags(const struct bench *b) {
    for (int i = 0; i < b->n_rows; i++) {
        int depends;
        double r1 = bench_lag1(b, &b->row[i], &depends);
        if (depends)
            printf("runs of %s follow one another (lag-1 %.2f, n = %d): intervals are too narrow\n",
                   b->row[i].runner.strategy.text, r1, b->repeat);
    }
}

struct traffic {
    double bytes, messages, wait_share;
    int waited_for; /* the rank that waited least: the others waited for it */
    double by_class[8], total; /* seconds of all ranks */
};
static const char *const classes[] = {"matmul",   "attention",       "collective wait", "collective work",
                                      "transfer", "pipeline bubble", "sampling",        "other"};
enum { C_MATMUL, C_ATTENTION, C_COLL_WAIT, C_COLL_WORK, C_TRANSFER, C_BUBBLE, C_SAMPLE, C_OTHER, N_CLASSES };

static void add_step(struct traffic *t, enum step_kind k, double s, double wait) {
    const char *c = step_class(k);
    if (!strcmp(c, "matmul"))
        t->by_class[C_MATMUL] += s;
    else if (!strcmp(c, "attention"))
        t->by_class[C_ATTENTION] += s;
    else if (!strcmp(c, "allreduce") || !strcmp(c, "merge"))
        t->by_class[C_COLL_WAIT] += wait, t->by_class[C_COLL_WORK] += s - wait;
    else if (!strcmp(c, "send"))
        t->by_class[C_TRANSFER] += s;
    else if (!strcmp(c, "recv"))
        t->by_class[C_BUBBLE] += wait, t->by_class[C_TRANSFER] += s - wait;
    else if (!strcmp(c, "sample"))
        t->by_class[C_COLL_WAIT] += wait, t->by_class[C_SAMPLE] += s - wait;
    else
        t->by_class[C_OTHER] += s;
}

static struct traffic traffic_of(const struct bench *b, const struct bench_row *r) {
    struct traffic t = {0};
    double tokens = (double)r->decode_tokens * b->repeat, waited = 0, least = 1e300;
    for (int k = 0; k < r->runner.plan->n_ranks; k++) {
        const struct engine_stats *s = &r->stats[k];
        double mine = 0;
        for (int j = 0; j < STEP_COUNT; j++) {
            add_step(&t, (enum step_kind)j, s->seconds[j], s->wait_seconds[j]);
            mine += s->wait_seconds[j];
            t.total += s->seconds[j];
        }
        t.bytes += (double)s->sent_bytes / tokens;
        t.messages += (double)s->messages / tokens;
        waited += mine;
        if (mine < least) {
            least = mine;
            t.waited_for = k;
        }
    }
    t.wait_share = t.total > 0 ? waited / t.total : 0; /* of the same time as the shares by kind of step */
    return t;
}

/* ---- text ---- */

static const char *yes(int same) {
    return same < 0 ? "-" : same ? "yes" : "NO";
}

static void print_text(const struct bench *b) {
    const struct engine_result *r = &b->row[0].first;
    if (!b->app->spec.prompt) return;
    fputs(b->prompts.text[0], stdout);
    for (int i = 0; i < r->n_out[0]; i++) {
        char buf[512];
        int n = tokenizer_piece(b->model.tokenizer, r->out[i], 0, 0, buf, (int)sizeof buf);
        fwrite(buf, 1, n < (int)sizeof buf ? (size_t)n : sizeof buf, stdout);
    }
    puts("\n");
}

static void print_header(const struct bench *b) {
    const struct bench_row *r = &b->row[b->n_rows - 1];
    double w, kv;
    char a[24];
    bench_bytes_per_tok(b, r, &w, &kv);
    printf("%s: %s of weights a token; %d sequence%s, prompt of %d tokens, %d generated each\n"
           "measured: %d run%s after a warm-up\n",
           b->model.shape.name, text_bytes(a, sizeof a, w), b->prompts.n, b->prompts.n == 1 ? "" : "s",
           b->prompts.len[0], b->row[0].first.n_out ? b->row[0].first.n_out[0] : 0, b->repeat,
           b->repeat == 1 ? "" : "s");
}

static void print_row(const struct bench *b, const struct bench_row *r, int width) {
    struct stats_median ms = figure(b, r, MS_PER_TOKEN), pf = figure(b, r, PREFILL_TOK);
    struct traffic t = traffic_of(b, r);
    char interval[32] = "";
    if (ms.low <= ms.high) snprintf(interval, sizeof interval, "[%.2f, %.2f]", ms.low, ms.high);
    printf("%-*s %5d  %-7s %-7s %6.2f %14s %8.0f %8.0f %8.1f %7.1f%%  %s\n", width, r->runner.strategy.text,
           r->runner.plan->n_ranks, yes(r->tokens_same), yes(r->logits_same), ms.median, interval, pf.median, t.bytes,
           t.messages, 100 * t.wait_share, r->runner.oversubscribed ? "yes" : "no");
}

static void print_legend(const struct bench *b) {
    int any_over = 0;
    for (int i = 0; i < b->n_rows; i++)
        any_over |= b->row[i].runner.oversubscribed;
    puts("\nHow to read it: \"same\" compares every generated token, and a hash of all logits of every step,\n"
         "with one rank; bytes and messages are what all ranks sent for one token; waiting is the share of\n"
         "the ranks' time spent on messages that had not come yet.");
    if (any_over)
        printf("Oversubscribed rows ran more threads than the %d core%s here: their times measure the scheduler too.\n",
               b->app->cores, b->app->cores == 1 ? "" : "s");
}

void bench_print_table(const struct bench *b) {
    double sure = figure(b, &b->row[0], MS_PER_TOKEN).confidence;
    char covers[32] = "";
    int width = (int)strlen("strategy");
    for (int i = 0; i < b->n_rows; i++)
        if ((int)strlen(b->row[i].runner.strategy.text) > width) width = (int)strlen(b->row[i].runner.strategy.text);
    if (sure > 0) snprintf(covers, sizeof covers, "[%.1f %% interval]", 100 * sure);
    print_text(b);
    print_header(b);
    static const char head[] = "%-*s %5s  %-7s %-7s %21s %8s %8s %8s %8s  %s\n";
    puts("");
    printf(head, width, "strategy", "ranks", "same", "same", "ms/token, median", "prefill", "bytes", "messages", "time",
           "over-");
    printf(head, width, "", "", "tokens?", "logits?", covers, "tok/s", "/token", "/token", "waiting", "subscr.?");
    for (int i = 0; i < b->n_rows; i++)
        print_row(b, &b->row[i], width);
    print_precision(b);
    print_lags(b);
    print_legend(b);
    if (b->app->spec.draft) bench_print_draft_table(b, width);
}

static const char *waiting_text(const struct bench *b) {
    return b->app->yields < 0 ? NULL : b->app->yields ? "give way" : "spin";
}

/* Where the threads ran; of many ranks the first few. */
static void print_places(const struct bench *b, int n) {
    printf("cores:");
    for (int i = 0; i < n && i < 8; i++)
        printf("%s rank %d on %s", i ? "," : "", i, b->places[i].list);
    printf("%s; %s", n > 8 ? ", ..." : "", topo_text(b->places[0].state));
    if (n > 1 && waiting_text(b)) printf("; ranks that wait %s", waiting_text(b));
    fputs("\n\n", stdout);
}

void bench_print_figure(const char *name, struct stats_median s, const char *unit, int digits) {
    printf("  %-26s %10.*f %-6s", name, digits, s.median, unit);
    if (s.low <= s.high)
        printf("  [%.*f, %.*f] %.1f %% interval, n = %d\n", digits, s.low, digits, s.high, 100 * s.confidence, s.n);
    else
        printf("  from %.*f to %.*f, n = %d: too few for an interval\n", digits, s.min, digits, s.max, s.n);
}

static void print_times(const struct traffic *t) {
    printf("time of all ranks while decoding, by kind of step\n");
    for (int c = 0; c < N_CLASSES; c++)
        if (t->by_class[c] > 0.0005 * t->total)
            printf("  %-26s %9.1f %%\n", classes[c], 100 * t->by_class[c] / t->total);
}

static void print_strategy(const struct bench *b, const struct bench_row *r) {
    const struct plan *p = r->runner.plan;
    int threads = p->opts.decoder.threads;
    print_header(b);
    printf("strategy %s (%s), %d rank%s x %d thread%s%s\n", r->runner.strategy.text, r->runner.why, p->n_ranks,
           p->n_ranks == 1 ? "" : "s", threads, threads == 1 ? "" : "s",
           r->runner.oversubscribed ? "; OVERSUBSCRIBED: times measure the scheduler as well" : "");
    print_places(b, p->n_ranks);
}

static void print_cache_note(const struct bench *b, const struct bench_row *r) {
    double w, kv, cache = (double)topo_last_level_cache_bytes();
    char a[24];
    bench_bytes_per_tok(b, r, &w, &kv);
    if (cache > 0 && w < cache)
        printf("  (the weights fit in the %s last-level cache: fractions of the read bandwidth say nothing about "
               "memory)\n",
               text_bytes(a, sizeof a, cache));
}

static void print_verified(const struct bench_row *r) {
    if (r->tokens_same >= 0)
        printf("verified against one rank in every run: %d tokens %s, logits of each step %s\n", r->compared,
               r->tokens_same ? "identical" : "DIFFER", r->logits_same ? "identical to the bit" : "DIFFER");
    else if (plan_label(r->runner.plan) != COLL_BIT_EXACT)
        printf("not verified: its sums are %s\n", coll_label_name(plan_label(r->runner.plan)));
    else
        printf("not verified (--no-verify)\n");
}

void bench_print_detail(const struct bench *b, const struct bench_row *r) {
    struct traffic t = traffic_of(b, r);
    double w, kv;
    char a[24], c[24];
    print_strategy(b, r);
    bench_print_figure("prefill", figure(b, r, PREFILL_TOK), "tok/s", 1);
    bench_print_figure("decode", figure(b, r, DECODE_TOK), "tok/s", 1);
    bench_print_figure("latency", figure(b, r, MS_PER_TOKEN), "ms/tok", 3);
    bench_print_figure("read bandwidth beside it", figure(b, r, READ_GBPS), "GB/s", 2);
    bench_print_figure("weights and cache read", figure(b, r, ACHIEVED_GBPS), "GB/s", 2);
    bench_print_figure("fraction of read bandwidth", figure(b, r, FRACTION), "", 3);
    print_cache_note(b, r);
    bench_bytes_per_tok(b, r, &w, &kv);
    printf("  %-26s %s weights, %s cache\n", "read per token", text_bytes(a, sizeof a, w), text_bytes(c, sizeof c, kv));
    printf("  %-26s %.0f bytes in %.1f messages\n", "sent per token", t.bytes, t.messages);
    printf("  %-26s %s, %s of it on huge pages%s\n", "packed weights",
           text_bytes(a, sizeof a, (double)r->memory.packed), text_bytes(c, sizeof c, (double)r->memory.huge),
           r->memory.cached ? "; read from the cache" : "");
    if (b->energy_domains)
        bench_print_figure("energy, prefill and decode", figure(b, r, JOULES), "J/tok", 4);
    else
        printf("  %-26s not measurable here (no readable RAPL counters)\n", "energy");
    if (r->drafting) bench_print_drafts(b, r);
    print_times(&t);
    if (r->runner.plan->n_ranks > 1)
        printf("  waiting %.1f %% of the ranks' time; rank %d waited least: the others waited for it\n",
               100 * t.wait_share, t.waited_for);
    print_precision(b);
    print_lags(b);
    print_verified(r);
}

void bench_print_roofline(const struct bench *b) {
    for (int i = 0; i < b->n_rows; i++) {
        const struct bench_row *r = &b->row[i];
        if (!r->roof) continue;
        print_strategy(b, r);
        roof_print(&r->roofline, r->runner.plan);
        print_cache_note(b, r);
        print_verified(r);
    }
}

/* ---- JSON ---- */

void bench_put_figure(json_t *o, const char *key, struct stats_median s) {
    char low[64], high[64];
    snprintf(low, sizeof low, "%s_low", key);
    snprintf(high, sizeof high, "%s_high", key);
    json_object_set_new(o, key, json_real(s.median));
    json_object_set_new(o, low, s.low <= s.high ? json_real(s.low) : json_null());
    json_object_set_new(o, high, s.low <= s.high ? json_real(s.high) : json_null());
}

static json_t *flag(int v) {
    return v < 0 ? json_null() : json_boolean(v);
}

static json_t *roof_row_json(const char *name, const struct roof_row *r) {
    json_t *o = json_object();
    json_object_set_new(o, "step", json_string(name));
    json_object_set_new(o, "calls_per_pass", json_real(r->calls));
    json_object_set_new(o, "bytes_per_pass", json_real(r->bytes));
    json_object_set_new(o, "int8_ops_per_pass", json_real(r->ops[PEAK_INT8]));
    json_object_set_new(o, "f32_ops_per_pass", json_real(r->ops[PEAK_F32]));
    bench_put_figure(o, "measured_ms_per_pass", r->ms);
    json_object_set_new(o, "waited_ms_per_pass", json_real(r->waited_ms));
    json_object_set_new(o, "memory_bound_ms_per_pass", json_real(r->memory_ms));
    json_object_set_new(o, "compute_bound_ms_per_pass", json_real(r->compute_ms));
    json_object_set_new(o, "bound_ms_per_pass", json_real(r->bound_ms));
    json_object_set_new(o, "bound_by",
                        r->bound_ms > 0 ? json_string(r->memory_ms >= r->compute_ms ? "memory" : "compute")
                                        : json_null());
    bench_put_figure(o, "fraction_of_bound", r->fraction);
    json_object_set_new(o, "share_of_time", json_real(r->share));
    return o;
}

static json_t *roof_phase_json(const struct roof_phase *f) {
    json_t *o = json_object(), *ranks = json_array(), *steps = json_array();
    for (int i = 0; i < f->n_ranks; i++)
        json_array_append_new(ranks, json_integer(f->rank[i]));
    for (int k = 0; k < STEP_COUNT; k++)
        if (f->row[k].calls > 0) json_array_append_new(steps, roof_row_json(step_name((enum step_kind)k), &f->row[k]));
    json_object_set_new(o, "ranks_added", ranks);
    json_object_set_new(o, "passes_per_run", json_real(f->passes));
    json_object_set_new(o, "tokens_per_pass", json_real(f->tokens));
    json_object_set_new(o, "positions_per_token", json_real(f->positions));
    bench_put_figure(o, "wall_ms_per_pass", f->wall_ms);
    bench_put_figure(o, "rank_read_GBps", f->read_GBps);
    bench_put_figure(o, "rank_int8_peak_GOps", f->peak_GOps[PEAK_INT8]);
    bench_put_figure(o, "rank_f32_peak_GOps", f->peak_GOps[PEAK_F32]);
    json_object_set_new(o, "steps", steps);
    json_object_set_new(o, "sum", roof_row_json("sum", &f->row[STEP_COUNT]));
    return o;
}

static json_t *roof_json(const struct roofline *r) {
    json_t *o = json_object();
    json_object_set_new(o, "int8_peak_of", json_string(peak_selected()->what[PEAK_INT8]));
    json_object_set_new(o, "f32_peak_of", json_string(peak_selected()->what[PEAK_F32]));
    for (int f = 0; f < ROOF_PHASES; f++)
        json_object_set_new(o, roof_phase_names[f],
                            r->phase[f].passes > 0 ? roof_phase_json(&r->phase[f]) : json_null());
    return o;
}

static json_t *row_json(const struct bench *b, const struct bench_row *r) {
    struct traffic t = traffic_of(b, r);
    double w, kv;
    char key[64];
    bench_bytes_per_tok(b, r, &w, &kv);
    json_t *o = json_object();
    json_object_set_new(o, "strategy", json_string(r->runner.strategy.text));
    json_object_set_new(o, "ranks", json_integer(r->runner.plan->n_ranks));
    json_object_set_new(o, "threads_per_rank", json_integer(r->runner.plan->opts.decoder.threads));
    json_object_set_new(o, "oversubscribed", json_boolean(r->runner.oversubscribed));
    json_object_set_new(o, "kind", json_string("measured"));
    double sure = figure(b, r, MS_PER_TOKEN).confidence;
    json_object_set_new(o, "n", json_integer(b->repeat));
    json_object_set_new(o, "interval_confidence", sure > 0 ? json_real(sure) : json_null());
    double half;
    int depends;
    bench_ms(b, r, &half);
    json_object_set_new(o, "lag1_ms_per_tok", json_real(bench_lag1(b, r, &depends)));
    json_object_set_new(o, "runs_depend", json_boolean(depends));
    json_object_set_new(o, "half_interval_percent", isnan(half) ? json_null() : json_real(100 * half));
    json_object_set_new(o, "precision_percent", b->precision > 0 ? json_real(100 * b->precision) : json_null());
    json_object_set_new(o, "precision_reached", b->precision > 0 ? json_boolean(b->reached) : json_null());
    json_object_set_new(o, "tokens_verified", flag(r->tokens_same < 0 ? -1 : r->tokens_same && r->logits_same));
    json_object_set_new(o, "tokens_identical", flag(r->tokens_same));
    json_object_set_new(o, "logits_identical", flag(r->logits_same));
    bench_put_figure(o, "prefill_tok_per_s", figure(b, r, PREFILL_TOK));
    bench_put_figure(o, "decode_tok_per_s", figure(b, r, DECODE_TOK));
    bench_put_figure(o, "latency_ms_per_tok", figure(b, r, MS_PER_TOKEN));
    bench_put_figure(o, "read_GBps", figure(b, r, READ_GBPS));
    bench_put_figure(o, "achieved_GBps", figure(b, r, ACHIEVED_GBPS));
    bench_put_figure(o, "fraction_of_read_bw", figure(b, r, FRACTION));
    if (b->energy_domains)
        bench_put_figure(o, "energy_J_per_tok", figure(b, r, JOULES));
    else
        json_object_set_new(o, "energy_J_per_tok", json_null());
    json_object_set_new(o, "probe_streams", json_integer(r->streams));
    json_object_set_new(o, "packed_weight_bytes", json_integer((json_int_t)r->memory.packed));
    json_object_set_new(o, "packed_from_cache_bytes", json_integer((json_int_t)r->memory.cached));
    json_object_set_new(o, "packed_huge_page_bytes", json_integer((json_int_t)r->memory.huge));
    json_object_set_new(o, "probe_huge_pages", json_boolean(r->huge));
    json_object_set_new(o, "weight_bytes_per_tok", json_real(w));
    json_object_set_new(o, "kv_bytes_per_tok", json_real(kv));
    json_object_set_new(o, "comm_bytes_per_tok", json_real(t.bytes));
    json_object_set_new(o, "comm_messages_per_tok", json_real(t.messages));
    json_object_set_new(o, "wait_share", json_real(t.wait_share));
    json_object_set_new(o, "rank_waited_for", r->runner.plan->n_ranks > 1 ? json_integer(t.waited_for) : json_null());
    for (int c = 0; c < N_CLASSES; c++) {
        snprintf(key, sizeof key, "share_%s", classes[c]);
        for (char *p = key; *p; p++)
            if (*p == ' ') *p = '_';
        json_object_set_new(o, key, json_real(t.total > 0 ? t.by_class[c] / t.total : 0));
    }
    if (r->drafting) bench_put_drafts(b, r, o);
    if (r->roof) json_object_set_new(o, "roofline", roof_json(&r->roofline));
    return o;
}

static json_t *places_json(const struct bench *b) {
    json_t *a = json_array();
    for (int i = 0; i < b->app->size; i++)
        json_array_append_new(a, json_string(b->places[i].list));
    return a;
}

void bench_print_json(const struct bench *b) {
    json_t *rows = json_array(), *o = json_object();
    for (int i = 0; i < b->n_rows; i++)
        json_array_append_new(rows, row_json(b, &b->row[i]));
    json_object_set_new(o, "northwall_version", json_string(NW_VERSION));
    json_object_set_new(o, "model", json_string(b->model.shape.name));
    json_object_set_new(o, "sequences", json_integer(b->prompts.n));
    json_object_set_new(o, "prompt_tokens", json_integer(b->prompts.len[0]));
    json_object_set_new(o, "generated_tokens", json_integer(b->row[0].first.n_out[0]));
    json_object_set_new(o, "cores", json_integer(b->app->cores));
    json_object_set_new(o, "cores_of_ranks", places_json(b));
    json_object_set_new(o, "binding", json_string(topo_text(b->places[0].state)));
    json_object_set_new(o, "ranks_that_wait", waiting_text(b) ? json_string(waiting_text(b)) : json_null());
    json_object_set_new(o, "rows", rows);
    json_t *map = placement_json(b->app);
    if (map) json_object_set_new(o, "map", map);
    if (b->n_rows) json_object_update_missing_new(o, row_json(b, &b->row[b->n_rows - 1]));
    json_dumpf(o, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(o);
}
