/* main job - the bundled decoder on this machine under six strategies, verified; beside it the same strategies on two
 * described clusters, so that the contrast tells what sets latency. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/data.h"
#include "figure.h"
#include "measured.h"

static const char *const strategies[] = {"1", "tp2", "tp4", "pp2", "pp4", "tp2xpp2"};
enum { STRATEGIES = sizeof strategies / sizeof *strategies, RANKS = 4 };
#define LIST "1,tp2,tp4,pp2,pp4,tp2xpp2"
#define PROMPT "And God said unto Moses,"
#define PROMPT_TOKENS "7"
#define GENERATED "64"

static const struct place {
    const char *file, *text; /* cluster-configs/FILE.yaml */
} places[] = {{"h100-sxm-8", "H100 cards behind NVLink"},
              {"boards-1gbe", "Raspberry Pi 5 boards behind 1 Gb/s Ethernet"}};
enum { PLACES = 2 };

/* Of the critical path: as printed, and as a person reads them. */
static const char *const shares[][2] = {{"memory", "memory"},
                                        {"compute", "compute"},
                                        {"link_bandwidth", "link bandwidth"},
                                        {"link_latency", "link latency"},
                                        {"overhead", "overhead"}};
enum { SHARES = sizeof shares / sizeof *shares };

struct main_job {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    char model[4096];
    json_t *rows; /* measured, of `bench` */
    double ms[PLACES][STRATEGIES], share[PLACES][STRATEGIES][SHARES];
};

/* ---- measured ---- */

static const char *yes(const json_t *o, const char *key) {
    return json_is_true(json_object_get(o, key)) ? "yes" : "no";
}

static void show_measured(struct main_job *m, const char *note) {
    struct frame *t = report_table(m->page, "main_job", "The bundled decoder on this machine", note);
    const json_t *r;
    size_t i;
    frame_column(t, "strategy", "", 0);
    frame_column(t, "row", "", 2);
    frame_column(t, "ranks", "", 2);
    frame_column(t, "same tokens and logits", "", 0);
    frame_column(t, "latency", "ms/token", 3);
    frame_column(t, "low", "ms/token", 3);
    frame_column(t, "high", "ms/token", 3);
    frame_column(t, "prefill", "tok/s", 4);
    frame_column(t, "low", "tok/s", 4);
    frame_column(t, "high", "tok/s", 4);
    frame_column(t, "sent", "B/token", 6);
    frame_column(t, "messages", "/token", 4);
    frame_column(t, "waiting", "% of time", 3);
    frame_column(t, "oversubscribed", "", 0);
    frame_column(t, "n", "", 3);
    json_array_foreach(m->rows, i, r) {
        frame_text(t, "%s", json_string_value(json_object_get(r, "strategy")));
        frame_number(t, (double)i + 1);
        frame_number(t, job_number(r, "ranks"));
        frame_text(t, "%s", yes(r, "tokens_verified"));
        measured_cells(t, r, "latency_ms_per_tok", 1);
        measured_cells(t, r, "prefill_tok_per_s", 1);
        frame_number(t, job_number(r, "comm_bytes_per_tok"));
        frame_number(t, job_number(r, "comm_messages_per_tok"));
        frame_number(t, 100 * job_number(r, "wait_share"));
        frame_text(t, "%s", yes(r, "oversubscribed"));
        frame_number(t, job_number(r, "n"));
        frame_end_row(t);
    }
}

static void say_measured(struct main_job *m, double cores) {
    const json_t *one = json_array_get(m->rows, 0), *best = one, *r;
    char a[96], b[96];
    size_t i, over = 0;
    json_array_foreach(m->rows, i, r) {
        over += json_is_true(json_object_get(r, "oversubscribed"));
        if (job_number(r, "latency_ms_per_tok") < job_number(best, "latency_ms_per_tok")) best = r;
    }
    double sure = 100 * job_number(one, "interval_confidence");
    measured_text(a, sizeof a, one, "latency_ms_per_tok", 1, "ms");
    measured_text(b, sizeof b, best, "latency_ms_per_tok", 1, "ms");
    if (best == one)
        report_say(m->page,
                   "No split of the bundled decoder beats one rank on these %.0f cores: %s a token (measured, "
                   "median, %.1f %% interval, n = %.0f).",
                   cores, a, sure, job_number(one, "n"));
    else
        report_say(m->page,
                   "On these %.0f cores %s takes %s a token and one rank %s: %s (measured, medians, %.1f %% "
                   "intervals, n = %.0f).",
                   cores, json_string_value(json_object_get(best, "strategy")), b, a,
                   measured_below(best, one, "latency_ms_per_tok") > 0 ? "faster" : "not told apart", sure,
                   job_number(one, "n"));
    report_say(m->page,
               "All %zu strategies gave the tokens and the logits of one rank, to the bit; %zu of them ran more "
               "threads than cores, so that their times measure the scheduler too.",
               json_array_size(m->rows), over);
}

static int measure(struct main_job *m) {
    const char *repeat = m->app->spec.quick ? "6" : "15";
    const char *const words[] = {"bench", "--model",   m->model,  "--strategies",  LIST,   "--prompt",
                                 PROMPT,  "-n",        GENERATED, "--temperature", "0.6",  "--seed",
                                 "3",     "--threads", "1",       "--repeat",      repeat, "--json"};
    json_t *o = NULL;
    char *note = NULL;
    int rc = measured_job(&o, &note, RANKS, sizeof words / sizeof *words, words,
                          "Medians with intervals by binomial ranks; sent and messages are those of all ranks.", m->d);
    if (rc) return rc;
    m->rows = json_incref(json_object_get(o, "rows"));
    show_measured(m, note);
    say_measured(m, job_number(o, "cores"));
    json_decref(o);
    free(note);
    return 0;
}

/* ---- simulated ---- */

static int simulate_one(struct main_job *m, int place, int strategy) {
    char file[128], cluster[4096];
    json_t *o = NULL;
    snprintf(file, sizeof file, "cluster-configs/%s.yaml", places[place].file);
    int rc = data_path(cluster, sizeof cluster, file, m->d);
    const char *const words[] = {"simulate",           "--model",  m->model,      "--cluster",  cluster,   "--strategy",
                                 strategies[strategy], "--prompt", PROMPT_TOKENS, "--generate", GENERATED, "--json"};
    if (!rc) rc = job_json(&o, 0, sizeof words / sizeof *words, words, m->d);
    if (rc) return rc;
    m->ms[place][strategy] = job_number(o, "latency_ms_per_tok");
    for (int i = 0; i < SHARES; i++)
        m->share[place][strategy][i] = 100 * job_number(json_object_get(o, "critical_path"), shares[i][0]);
    json_decref(o);
    return 0;
}

static void show_simulated(struct main_job *m) {
    struct frame *t =
        report_table(m->page, "main_job_clusters", "The same strategies on two described clusters",
                     "Simulated, n = 1: one user, the same prompt and length. Parts of the critical path; "
                     "they sum to 100 %.");
    frame_column(t, "cluster", "", 0);
    frame_column(t, "strategy", "", 0);
    frame_column(t, "row", "", 2);
    frame_column(t, "latency", "ms/token", 4);
    frame_column(t, "over one card", "x", 3);
    for (int i = 0; i < SHARES; i++)
        frame_column(t, shares[i][1], "%", 3);
    for (int p = 0; p < PLACES; p++)
        for (int s = 0; s < STRATEGIES; s++) {
            frame_text(t, "%s", places[p].file);
            frame_text(t, "%s", strategies[s]);
            frame_number(t, s + 1);
            frame_number(t, m->ms[p][s]);
            frame_number(t, m->ms[p][s] / m->ms[p][0]);
            for (int i = 0; i < SHARES; i++)
                frame_number(t, m->share[p][s][i]);
            frame_end_row(t);
        }
}

/* Of one cluster: one card beside tp4, and what the latter waits for. */
static void say_simulated(struct main_job *m, int place) {
    enum { ONE, TP4 = 2 };
    const double *share = m->share[place][TP4];
    int most = 0;
    for (int i = 1; i < SHARES; i++)
        if (share[i] > share[most]) most = i;
    report_say(m->page,
               "On %s one card takes %.3g ms a token, %.0f %% of it memory, and tp4 %.3g times as long, %.0f %% "
               "of it %s (simulated, n = 1).",
               places[place].text, m->ms[place][ONE], m->share[place][ONE][0], m->ms[place][TP4] / m->ms[place][ONE],
               share[most], shares[most][1]);
}

static int simulate_all(struct main_job *m) {
    int rc = 0;
    for (int p = 0; p < PLACES; p++)
        for (int s = 0; s < STRATEGIES && !rc; s++)
            rc = simulate_one(m, p, s);
    if (rc) return rc;
    show_simulated(m);
    for (int p = 0; p < PLACES; p++)
        say_simulated(m, p);
    return 0;
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct main_job m = {.app = app, .page = page, .d = d};
    int rc = data_path(m.model, sizeof m.model, "models/bundled/kjv-3m-q8_0.gguf", d);
    if (!rc) rc = measure(&m);
    if (!rc) rc = simulate_all(&m);
    json_decref(m.rows);
    return rc;
}

static const struct report_figure figures[] = {
    {"main_job",
     FIGURE_STYLE
     "set title 'One token of the bundled decoder by strategy'\nset xlabel 'strategy'\nset ylabel 'ms a token'\n"
     "set logscale y\nset xrange [0.5:6.5]\nset key outside top center horizontal\n"
     "plot 'main_job.csv' skip 1 using 2:5:6:7:xtic(1) with yerrorbars lc rgb color(1) pt 7 ps 1.2 lw 1.5 \\\n"
     "  title 'this machine, measured', \\\n"
     "  for [i=1:2] 'main_job_clusters.csv' skip 1 using \\\n"
     "  (strcol(1) eq word('h100-sxm-8 boards-1gbe', i) ? $3 : NaN):4 with points lc rgb color(i+1) pt 2*i+2 ps 1.4 "
     "\\\n"
     "  lw 1.5 title word('h100-sxm-8 boards-1gbe', i).', simulated'\n",
     "Latency of a token by strategy: measured on this machine (medians, bars are the table's intervals), and "
     "simulated "
     "for the same model and job on eight H100 and on Raspberry Pi boards (n = 1). Logarithmic axis."},
    {0}};

const struct report report_main_job = {
    .name = "main-job",
    .summary = "the bundled decoder under six strategies, measured and verified, beside described clusters",
    .text =
        "The main job: the bundled decoder generates the same text under six strategies, each verified against one\n"
        "rank. Measured on this machine; beside it the same job on described hardware, simulated.",
    .measures = 2,
    .make = make,
    .figures = figures,
};
