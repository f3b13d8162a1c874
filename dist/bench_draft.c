/* What drafts gave a benchmark: the same job with and without them, in turns within each repetition. */
#include "bench.h"
#include "draft_report.h"

enum figure { GAIN, UNDRAFTED_TOK, PASS_COST };

static double figure_of(const struct bench_row *r, const struct bench_sample *s, enum figure f) {
    switch (f) {
    case GAIN: return s->undrafted_s / s->decode_s;
    case UNDRAFTED_TOK: return (double)r->decode_tokens / s->undrafted_s;
    case PASS_COST: return s->decode_s / s->passes / (s->undrafted_s / s->undrafted_passes);
    }
    return 0;
}

static struct stats_median figure(const struct bench *b, const struct bench_row *r, enum figure f) {
    double v[BENCH_MAX_REPEAT];
    for (int i = 0; i < b->repeat; i++)
        v[i] = figure_of(r, &r->samples[i], f);
    return stats_median(v, b->repeat);
}

static struct draft_traffic traffic_of(const struct bench *b, const struct bench_row *r) {
    struct draft_traffic t = {0};
    for (int i = 0; i < r->runner.plan->n_ranks; i++)
        draft_traffic_add(&t, r->runner.plan, i, &r->stats[i], (double)r->decode_tokens * b->repeat);
    return t;
}

static int is_random(const struct bench *b) {
    return !b->app->spec.prompt && !b->app->spec.prompts;
}

static void print_random(const struct bench *b) {
    if (is_random(b))
        puts("  (the prompt is random ids, in which nothing repeats: drafts are found only in what the model\n"
             "   repeats by itself; give --prompt or --prompts for a figure that means something)");
}

void bench_print_drafts(const struct bench *b, const struct bench_row *r) {
    struct draft_params p;
    (void)app_draft(&p, b->app, NULL);
    struct draft_traffic t = traffic_of(b, r);
    bench_print_figure("decode without drafts", figure(b, r, UNDRAFTED_TOK), "tok/s", 1);
    bench_print_figure("gain by drafts, paired", figure(b, r, GAIN), "x", 3);
    bench_print_figure("time of a pass, likewise", figure(b, r, PASS_COST), "x", 3);
    draft_print(stdout, "  ", &p, &r->drafts);
    draft_traffic_print(stdout, "  ", &t);
    print_random(b);
}

static void print_row(const struct bench *b, const struct bench_row *r, int width) {
    struct stats_median gain = figure(b, r, GAIN);
    struct draft_traffic t = traffic_of(b, r);
    const struct draft_stats *s = &r->drafts;
    char interval[32] = "", weights[24];
    if (gain.low <= gain.high) snprintf(interval, sizeof interval, "[%.2f, %.2f]", gain.low, gain.high);
    printf("%-*s %6.2f %14s %7llu %8llu %8llu %8.2f %3d %3d %3d %7.3f %11s\n", width, r->runner.strategy.text,
           gain.median, interval, (unsigned long long)s->turns, (unsigned long long)s->drafted,
           (unsigned long long)s->accepted, s->turns ? (double)(s->turns + s->accepted) / (double)s->turns : 0,
           draft_quantile(s, 0.05), draft_quantile(s, 0.5), draft_quantile(s, 0.95), t.passes,
           text_bytes(weights, sizeof weights, t.weight_bytes));
}

void bench_print_draft_table(const struct bench *b, int width) {
    static const char head[] = "%-*s %21s %7s %8s %8s %8s %3s %3s %3s %7s %11s\n";
    char covers[32] = "";
    double sure = figure(b, &b->row[b->n_rows - 1], GAIN).confidence;
    if (sure > 0) snprintf(covers, sizeof covers, "[%.1f %% interval]", 100 * sure);
    printf("\ndrafts of up to %ld token%s: gain is decode time without / with them, paired (measured);\n"
           "the rest is counted over all runs\n",
           b->app->spec.draft, b->app->spec.draft == 1 ? "" : "s");
    printf(head, width, "strategy", "gain, median", "turns", "drafted", "accepted", "tok/turn", "p5", "p50", "p95",
           "passes", "weights");
    printf(head, width, "", covers, "", "", "", "mean", "", "", "", "/token", "read/token");
    for (int i = 0; i < b->n_rows; i++)
        if (b->row[i].drafting) print_row(b, &b->row[i], width);
    puts("A turn is one sequence's part of one pass after its first token; it gives the accepted drafts and one\n"
         "token more.");
    print_random(b);
}

void bench_put_drafts(const struct bench *b, const struct bench_row *r, json_t *o) {
    struct draft_params p;
    (void)app_draft(&p, b->app, NULL);
    struct draft_traffic t = traffic_of(b, r);
    json_t *drafts = draft_json(&p, &r->drafts);
    json_object_set_new(drafts, "random_prompt", json_boolean(is_random(b)));
    json_object_set_new(o, "drafts", drafts);
    draft_traffic_json(o, &t);
    bench_put_figure(o, "undrafted_decode_tok_per_s", figure(b, r, UNDRAFTED_TOK));
    bench_put_figure(o, "gain_by_drafts", figure(b, r, GAIN));
    bench_put_figure(o, "pass_time_by_drafts", figure(b, r, PASS_COST));
}
