/* What is run for the report: this program once more, under mpirun. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "analysis/data.h"
#include "analysis/job.h"
#include "analysis/random_cluster.h"
#include "dist/load.h"
#include "partition/plan.h"
#include "validation.h"

/* A job of these words. */
#define JOB(out, ranks, d, ...)                                                                                        \
    job_json(out, ranks, (int)(sizeof(const char *const[]){__VA_ARGS__} / sizeof(char *)),                             \
             (const char *const[]){__VA_ARGS__}, d)

enum { RANKS = 2 }; /* of what is measured: one for each core of the smallest machine */
enum { ROUNDS = 2 }; /* of calibration and measurement in turn: the machine is another one each time */

/* ---- emulated ---- */

struct emulation {
    const char *strategy, *cluster;
    char file[4096], model[4096], chunk[16], generate[16];
};

static void choose(struct emulation *e, int number) {
    static const char *const strategies[] = {"tp2", "pp2", "tp2xpp2", "dp2", "tp3", "kvp2", "1", "stages:1,2"};
    static const char *const clusters[] = {"h100-sxm-8", "ib-cpu", "boards-1gbe", "l4-4", "northpole-16", "h200-8"};
    uint64_t key = (uint64_t)number + 9000, n = 0;
    e->strategy = strategies[number % 8];
    e->cluster = clusters[random_below(key, &n, 6)];
    snprintf(e->chunk, sizeof e->chunk, "%d", 1 + (int)random_below(key, &n, 8));
    snprintf(e->generate, sizeof e->generate, "%d", 2 + (int)random_below(key, &n, 12));
}

static int run_emulation(const struct emulation *e, json_t **o, struct diag *d) {
    struct strategy st;
    int rc = strategy_parse(&st, e->strategy, d);
    if (rc) return rc;
    return JOB(o, strategy_ranks(&st), d, "run", "--model", e->model, "--strategy", e->strategy, "--cluster", e->file,
               "--clock", "virtual", "--prompt", "In the beginning God", "-n", e->generate, "--chunk", e->chunk,
               "--ignore-eos", "--json", "-q");
}

static int simulate_same(const struct emulation *e, double prompt_tokens, json_t **o, struct diag *d) {
    char prompt[16];
    snprintf(prompt, sizeof prompt, "%.0f", prompt_tokens);
    return JOB(o, 0, d, "simulate", "--model", e->model, "--strategy", e->strategy, "--cluster", e->file, "--users",
               "1", "--prompt", prompt, "--generate", e->generate, "--chunk", e->chunk, "--json");
}

static int emulate_one(struct validation *v, int number, struct diag *d) {
    struct emulation e;
    json_t *run = NULL, *sim = NULL;
    char file[64];
    choose(&e, number);
    snprintf(file, sizeof file, "cluster-configs/%s.yaml", e.cluster);
    int rc = data_path(e.file, sizeof e.file, file, d);
    if (!rc) rc = data_path(e.model, sizeof e.model, "models/bundled/kjv-3m-q8_0.gguf", d);
    if (!rc) rc = run_emulation(&e, &run, d);
    const json_t *emulated = json_object_get(run, "emulated");
    if (!rc) rc = simulate_same(&e, job_number(emulated, "prompt_tokens"), &sim, d);
    if (!rc) {
        struct validation_point p = validation_exact(VALIDATION_EMULATED, 1e-9 * job_number(emulated, "total_ps"),
                                                     1e-9 * job_number(sim, "total_ps"), "ms");
        snprintf(p.what, sizeof p.what, "kjv-3m, %s on %s, %s tokens, chunks of %s", e.strategy, e.cluster, e.generate,
                 e.chunk);
        validation_add(v, &p);
    }
    json_decref(run);
    json_decref(sim);
    return rc;
}

/* The first that fails ends them: without mpirun all do. */
int validation_emulated(struct validation *v) {
    int n = v->app->spec.quick ? 2 : 8;
    for (int i = 0; i < n; i++) {
        struct diag d = {0};
        if (!emulate_one(v, i, &d)) continue;
        validation_leave_out(v, "emulated runs", d.text);
        break;
    }
    return 0;
}

/* ---- measured ---- */

/* A folder of its own for the cluster that describes this machine. */
struct here {
    char folder[64], cluster[96];
    int round;
    struct validation *v;
};

static int make_here(struct here *h, struct diag *d) {
    snprintf(h->folder, sizeof h->folder, "/tmp/northwall-validation-XXXXXX");
    if (!mkdtemp(h->folder)) return diag_set(d, ERR_IO, "no folder in /tmp");
    snprintf(h->cluster, sizeof h->cluster, "%s/here.yaml", h->folder);
    return 0;
}

static int calibrate_here(struct here *h, struct diag *d) {
    return JOB(NULL, RANKS, d, "calibrate", "--out", h->cluster, "--budget", "6", "--threads", "1");
}

static void leave(struct here *h) {
    if (h->cluster[0]) unlink(h->cluster);
    if (h->folder[0]) rmdir(h->folder);
}

struct measured_model {
    const char *name, *file, *quant; /* file: one that comes with the program, in place of a preset and its storage */
};

/* A job, and what others used of the processors' time meanwhile. */
static int loaded_job(json_t **o, int ranks, int n_words, const char *const *words, double *others, struct diag *d) {
    struct load from = load_now(RUSAGE_CHILDREN);
    int rc = job_json(o, ranks, n_words, words, d);
    struct load to = load_now(RUSAGE_CHILDREN);
    *others = load_of_others(&from, &to, to.own_s - from.own_s);
    return rc;
}

/* A rate of `bench` as a time for `tokens`, with its interval. */
static void set_measured(struct validation_point *p, const json_t *o, const char *key, double tokens) {
    char low[48], high[48];
    snprintf(low, sizeof low, "%s_low", key);
    snprintf(high, sizeof high, "%s_high", key);
    p->is = 1e3 * tokens / job_number(o, key);
    p->low = 1e3 * tokens / job_number(o, high);
    p->high = 1e3 * tokens / job_number(o, low);
    p->unit = "ms";
    p->n = (int)job_number(o, "n");
    p->oversubscribed = json_is_true(json_object_get(o, "oversubscribed"));
}

static void add_bench(struct validation *v, const char *what, const json_t *bench, const json_t *sim, double others) {
    struct validation_point decode = {
        .group = VALIDATION_DECODE, .said = job_number(sim, "decode_ms_per_tok"), .others = others};
    struct validation_point prefill = {
        .group = VALIDATION_PREFILL, .said = job_number(sim, "prefill_ms"), .others = others};
    snprintf(decode.what, sizeof decode.what, "%s, a token", what);
    snprintf(prefill.what, sizeof prefill.what, "%s, a prompt of 32", what);
    set_measured(&decode, bench, "decode_tok_per_s", 1);
    set_measured(&prefill, bench, "prefill_tok_per_s", 32);
    validation_add(v, &decode);
    validation_add(v, &prefill);
}

static int bench_one(struct here *h, const struct measured_model *m, const char *strategy, struct diag *d) {
    enum { LAST = 2 }; /* words that a file goes without */
    char path[4096], what[80];
    double others = NAN;
    json_t *bench = NULL, *sim = NULL;
    const char *model = m->file ? path : m->name;
    int ranks = strcmp(strategy, "1") ? RANKS : 1, rc = m->file ? data_path(path, sizeof path, m->file, d) : 0;
    const char *const measured[] = {"bench", "--model", model,         "--strategy", strategy,  "--threads",
                                    "1",     "-n",      "16",          "--n-prompt", "32",      "--repeat",
                                    "7",     "--json",  "--no-verify", "-q",         "--quant", m->quant};
    const char *const said[] = {"simulate", "--model", model,     "--strategy", strategy, "--cluster",
                                h->cluster, "--users", "1",       "--prompt",   "32",     "--generate",
                                "16",       "--json",  "--quant", m->quant};
    int less = m->file ? LAST : 0;
    if (!rc) rc = loaded_job(&bench, ranks, (int)(sizeof measured / sizeof *measured) - less, measured, &others, d);
    if (!rc) rc = job_json(&sim, 0, (int)(sizeof said / sizeof *said) - less, said, d);
    snprintf(what, sizeof what, "%s, %s, round %d", m->name, strategy, h->round + 1);
    if (!rc) add_bench(h->v, what, bench, sim, others);
    json_decref(bench);
    json_decref(sim);
    return rc;
}

static int bench_all(struct here *h, struct diag *d) {
    static const struct measured_model models[] = {{"kjv-3m", "models/bundled/kjv-3m-q8_0.gguf", NULL},
                                                   {"smollm-135m", NULL, "Q8_0"}};
    static const char *const strategies[] = {"1", "tp2", "pp2"};
    int rc = 0;
    for (int m = 0; m < 2; m++)
        for (int s = 0; s < 3 && !rc; s++)
            rc = bench_one(h, &models[m], strategies[s], d);
    return rc;
}

/* Behind a product (`exposed`): what both take less what the product takes. */
static void add_collective(struct validation *v, const json_t *row, int exposed, int oversubscribed, double others) {
    static const char *const keys[2][3] = {{"time_us_p50", "time_us_p50_low", "time_us_p50_high"},
                                           {"exposed_pairs_us", "exposed_pairs_us_low", "exposed_pairs_us_high"}};
    const char *const *key = keys[exposed];
    struct validation_point p = {.group = exposed ? VALIDATION_EXPOSED : VALIDATION_COLLECTIVES,
                                 .is = 1e-3 * job_number(row, key[0]),
                                 .low = 1e-3 * job_number(row, key[1]),
                                 .high = 1e-3 * job_number(row, key[2]),
                                 .said = 1e-3 * job_number(row, "predicted_us"),
                                 .unit = "ms",
                                 .n = (int)job_number(row, "n"),
                                 .oversubscribed = oversubscribed,
                                 .others = others};
    snprintf(p.what, sizeof p.what, "%s of %.0f B by %s", json_string_value(json_object_get(row, "algo")),
             job_number(row, "bytes"), json_string_value(json_object_get(row, "transport")));
    if (!isnan(p.said) && p.is > 0)
        validation_add(v, &p);
    else if (!isnan(p.said))
        validation_leave_out(v, p.what, "less than what its product varies by");
}

static int collectives(struct here *h, const char *transport, int exposed, struct diag *d) {
    enum { LAST = 2 }; /* words without a product */
    json_t *o = NULL, *row;
    size_t i;
    double others;
    const char *const words[] = {"coll",        "--algo",   "tree,oneshot,twoshot,ring",
                                 "-b",          "1K",       "-e",
                                 "256K",        "-f",       "16",
                                 "--in-place",  "-n",       "100",
                                 "--transport", transport,  "--net",
                                 h->cluster,    "--json",   "-q",
                                 "--context",   "gemv:256K"};
    int n = (int)(sizeof words / sizeof *words);
    int rc = loaded_job(&o, RANKS, exposed ? n : n - LAST, words, &others, d);
    json_array_foreach(json_object_get(o, "rows"), i, row)
        add_collective(h->v, row, exposed, json_is_true(json_object_get(o, "oversubscribed")), others);
    json_decref(o);
    return rc;
}

static void all_collectives(struct here *h, struct diag *d) {
    static const char *const transports[] = {"shm", "link"};
    for (int exposed = 0; exposed < 2; exposed++)
        for (int t = 0; t < 2; t++)
            if (collectives(h, transports[t], exposed, d))
                validation_leave_out(h->v, t ? "all-reduces by messages" : "all-reduces through shared memory",
                                     d->text);
}

int validation_measured(struct validation *v) {
    struct here h = {.v = v};
    struct diag d = {0};
    if (v->app->spec.quick) {
        validation_leave_out(v, "everything measured on this machine", "--quick");
        return 0;
    }
    int rc = make_here(&h, &d);
    for (h.round = 0; h.round < ROUNDS && !rc; h.round++) {
        rc = calibrate_here(&h, &d);
        if (!rc) rc = bench_all(&h, &d);
    }
    if (rc) validation_leave_out(v, "measured times of a model", d.text);
    if (!rc) all_collectives(&h, &d);
    leave(&h);
    return 0;
}
