/* bench.h - a benchmark of some strategies side by side: measuring (bench.c) and showing (bench_report.c); kernels by
 * themselves (bench_kernels.c). */
#ifndef DIST_BENCH_H
#define DIST_BENCH_H

#include "base/stats.h"
#include "base/text.h"
#include "dist/setup.h"
#include "roofline.h"

enum { BENCH_MAX = 32, BENCH_MAX_REPEAT = 4096 };

/* What one repetition gave; seconds on rank 0, where tokens arrive. */
struct bench_sample {
    double prefill_s, decode_s, read_Bps, joules;
    double passes; /* of decoding, on rank 0 */
    double undrafted_s, undrafted_passes; /* decode_s and passes of the run without drafts beside it */
};

/* One strategy. */
struct bench_row {
    struct runner runner;
    struct bench_sample *samples; /* [repeat], world rank 0 */
    struct engine_stats *stats; /* [ranks] of decode, summed over the repetitions, world rank 0 */
    struct engine_result first; /* tokens and hashes of the first run, world rank 0 */
    int tokens_same, logits_same; /* with one rank: 1, 0, or -1 not compared */
    int compared; /* tokens compared */
    uint64_t prefill_tokens, decode_tokens; /* of one run */
    int drafting; /* with --draft: each repetition runs with drafts and, for undrafted_s, without */
    struct draft_stats drafts; /* summed over the repetitions, world rank 0 */
    int streams, huge; /* of the bandwidth probe */
    struct decoder_memory memory; /* of all its ranks */
    struct roof_sample *roof; /* [repeat][ranks of the row] with --roofline, world rank 0 */
    struct roofline roofline; /* of them, when all runs are done */
};

struct bench {
    struct app *app;
    struct model model;
    struct prompts prompts;
    int n_rows, repeat; /* repeat: of at most; once measured, runs taken */
    double precision; /* part of the median that its interval may reach to on either side; 0: any */
    int reached;
    struct bench_row row[BENCH_MAX];
    struct topo_place *places; /* [ranks of the world] */
    int energy_domains; /* on all nodes; 0: not measurable */
};

/* ms/token of a row's runs so far: the median, and half its interval at most, in parts of it (NaN: none). */
struct stats_median bench_ms(const struct bench *b, const struct bench_row *r, double *half);
/* How far one run's ms/token goes with the next one's (stat_lag1); *depends: further than chance. */
double bench_lag1(const struct bench *b, const struct bench_row *r, int *depends);

/* Bytes a decode step of this row's plan reads per token over all ranks: weights (shared by the sequences of a pass)
 * and cache at the middle of the generation. */
void bench_bytes_per_tok(const struct bench *b, const struct bench_row *r, double *weights, double *kv);

/* Bytes of a probe's buffer: well above the last-level cache. */
size_t bench_probe_bytes(void);

/* northwall bench --kernels: each weight format and cache type with the selected kernel set. Collective. */
int bench_kernels(struct app *app, struct diag *d);

/* What its `prefill` measures, many tokens times rows that fit in the cache, by itself: operations a second of this
 * rank's threads in one run. NULL: no memory. Local. */
struct product_job;
struct product_job *product_new(const struct tensor_type *type, enum act_bits bits, int threads);
double product_Ops(struct product_job *j);
void product_free(struct product_job *j); /* NULL accepted */

/* bench_draft.c: of rows that draft. */
void bench_print_drafts(const struct bench *b, const struct bench_row *r);
void bench_print_draft_table(const struct bench *b, int width); /* of the names of strategies */
struct json_t;
void bench_put_drafts(const struct bench *b, const struct bench_row *r, struct json_t *o);
/* One line: name, median, unit, interval. */
void bench_print_figure(const char *name, struct stats_median s, const char *unit, int digits);

void bench_print_table(const struct bench *b);
void bench_print_detail(const struct bench *b, const struct bench_row *r);
void bench_print_roofline(const struct bench *b);
void bench_print_json(const struct bench *b);

/* KEY, KEY_low and KEY_high in a JSON object (json_t). */
void bench_put_figure(struct json_t *o, const char *key, struct stats_median s);

#endif
