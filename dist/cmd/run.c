/* northwall run: generate text. */
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../draft_report.h"
#include "../placement.h"
#include "../record_report.h"
#include "../virtual_report.h"
#include "base/text.h"
#include "collectives/agree.h"
#include "collectives/arbiter.h"
#include "dist/setup.h"

struct stream {
    const struct app *app;
    const struct model *model;
    const struct prompts *prompts;
    int live; /* print tokens as they come: one sequence, text wanted */
    int count;
};

static void print_piece(const struct model *m, int id, int first, FILE *out) {
    char small[256], *buf = small;
    int n = tokenizer_piece(m->tokenizer, id, first, 0, small, (int)sizeof small);
    if (n > (int)sizeof small && (buf = malloc((size_t)n))) tokenizer_piece(m->tokenizer, id, first, 0, buf, n);
    if (buf) fwrite(buf, 1, (size_t)n, out);
    if (buf != small) free(buf);
}

/* True if the first generated token opens the text of a sequence, echoed or not: else its space is part of the text. */
static int opens(const struct prompts *p, const struct model *m, int seq) {
    return tokenizer_is_special(m->tokenizer, p->ids[seq][p->len[seq] - 1]);
}

static void on_token(void *user, int seq, int index, int id) {
    struct stream *s = user;
    s->count++;
    if (s->live) {
        print_piece(s->model, id, index == 0 && opens(s->prompts, s->model, seq), stdout);
        if (fflush(stdout) != 0) app_stop = 1; /* nobody reads on */
    } else if (!s->app->spec.quiet && isatty(2) && seq == 0) {
        fprintf(stderr, "\r%d tokens", s->count);
    }
}

static void print_encodings(const struct prompts *p, const struct model *m, const struct engine_result *r) {
    for (int s = 0; s < r->n_seqs; s++)
        printf("%d tokens x %d: hash of the last hidden states %016llx\n", p->len[s], m->shape.d_model,
               (unsigned long long)r->logit_hash[s * r->n_new]);
}

static void print_texts(const struct app *app, const struct model *m, const struct prompts *p,
                        const struct engine_result *r) {
    for (int s = 0; s < r->n_seqs; s++) {
        if (!app->spec.no_echo) fputs(p->text[s], stdout);
        for (int i = 0; i < r->n_out[s]; i++)
            print_piece(m, r->out[s * r->n_new + i], i == 0 && opens(p, m, s), stdout);
        fputc('\n', stdout);
    }
}

/* Why a sequence ended: an end token, -n reached, its context full, or a signal. */
static const char *finish_of(const struct prompts *p, const struct runner *run, const struct engine_result *r, int s) {
    int n = r->n_out[s], last = n ? r->out[(size_t)s * (size_t)r->n_new + (size_t)n - 1] : -1;
    for (int i = 0; i < p->n_end_ids; i++)
        if (p->end_ids[i] == last) return "end";
    if (n >= r->n_new) return "length";
    return p->len[s] + n > run->plan->opts.decoder.n_ctx ? "context" : "interrupted";
}

static json_t *sequence_json(const struct model *m, const struct prompts *p, const struct runner *run,
                             const struct engine_result *r, int s) {
    json_t *prompt = json_array(), *ids = json_array(), *hash = json_array();
    for (int i = 0; i < p->len[s]; i++)
        json_array_append_new(prompt, json_integer(p->ids[s][i]));
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    for (int i = 0; i < r->n_out[s]; i++) {
        char hex[24];
        int id = r->out[s * r->n_new + i];
        json_array_append_new(ids, json_integer(id));
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)r->logit_hash[s * r->n_new + i]);
        json_array_append_new(hash, json_string(hex));
        if (f) print_piece(m, id, i == 0 && opens(p, m, s), f);
    }
    if (f) fclose(f);
    if (!m->shape.causal) {
        char hex[24];
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)r->logit_hash[s * r->n_new]);
        json_array_append_new(hash, json_string(hex));
    }
    json_t *t = text ? json_stringn(text, len) : NULL; /* NULL when the bytes are no UTF-8 */
    json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "prompt_ids", prompt, "ids", ids, "logits_hash", hash, "text",
                          t ? t : json_null());
    if (m->shape.causal) json_object_set_new(o, "finish", json_string(finish_of(p, run, r, s)));
    free(text);
    return o;
}

static void print_json(const struct app *app, const struct model *m, const struct prompts *p, const struct runner *run,
                       const struct decoder_memory *memory, const struct engine_result *r,
                       const struct draft_params *draft, const struct draft_traffic *traffic, json_t *emulated) {
    json_t *seqs = json_array();
    for (int s = 0; s < r->n_seqs; s++)
        json_array_append_new(seqs, sequence_json(m, p, run, r, s));
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)run->plan->hash);
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:b, s:b, s:o}", "northwall_version", NW_VERSION, "model",
                  m->shape.name, "strategy", run->strategy.text, "ranks", run->plan->n_ranks, "strategy_why", run->why,
                  "plan_hash", hash, "ranks_agree", 1, "interrupted", r->interrupted, "sequences", seqs);
    json_object_set_new(o, "label", json_string(coll_label_name(plan_label(run->plan))));
    json_object_update_new(o, json_pack("{s:I, s:I, s:I}", "packed_weight_bytes", (json_int_t)memory->packed,
                                        "packed_huge_page_bytes", (json_int_t)memory->huge, "packed_from_cache_bytes",
                                        (json_int_t)memory->cached));
    if (r->prefill_seconds > 0 && r->decode_seconds > 0 && r->decode_tokens)
        json_object_update_new(o, json_pack("{s:s, s:f, s:f, s:b}", "timing_kind", "measured, one run",
                                            "prefill_tok_per_s", (double)r->prefill_tokens / r->prefill_seconds,
                                            "decode_tok_per_s", (double)r->decode_tokens / r->decode_seconds,
                                            "oversubscribed", run->oversubscribed));
    if (draft->most) {
        json_object_set_new(o, "drafts", draft_json(draft, &r->drafts));
        draft_traffic_json(o, traffic);
    }
    if (emulated) json_object_set(o, app_paced(app) ? "paced" : "emulated", emulated);
    json_t *map = placement_json(app);
    if (map) json_object_set_new(o, "map", map);
    json_dumpf(o, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(o);
}

/* --trace and --timeline. Collective over the runner's link. */
static int show_recorded(const struct app *app, const struct runner *run, const struct trace *trace,
                         struct net_stamp *const *taken, struct diag *d) {
    struct recording rec;
    struct record_ask ask;
    struct virtual_window last;
    int rc = record_ask_parse(&ask, app->spec.trace, app->spec.timeline, d);
    if (rc || (!ask.trace && !ask.timeline)) return rc;
    rc = engine_recording(run->engine, &rec, d);
    if (rc) return rc;
    if (app->rank == 0) {
        virtual_last_pass(&last, run->plan, trace, taken);
        if (!ask.to_ps) ask.from_ps = last.from_ps, ask.to_ps = last.to_ps;
        rc = record_show(&ask, "emulated", &rec, run->plan, &app->cluster, stderr, d);
    }
    recording_fini(&rec);
    return rc;
}

static double processor_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What the simulator says of the passes that were paced, beside what they took. busy_s: processor time of all ranks. */
static int report_paced(const struct app *app, const struct plan *p, const struct virtual_summary *is,
                        const struct trace *trace, double busy_s, json_t *o, struct diag *d) {
    struct simulation sim;
    struct virtual_summary said;
    int rc = simulate(&sim, p, &app->cluster, trace, d);
    if (rc) return rc;
    virtual_times(&said, "simulated", p, is->users, trace, sim.taken);
    simulation_fini(&sim);
    double beyond = (double)is->critical.share[NET_OVERHEAD] - (double)said.critical.share[NET_OVERHEAD];
    double share = is->total_ps ? beyond / (double)is->total_ps : 0;
    double cores = is->total_ps ? 1e12 * busy_s / (double)is->total_ps : 0;
    if (o)
        json_object_update_new(o, json_pack("{s:o, s:f, s:f}", "simulated", virtual_json_times(&said), "not_described",
                                            share, "cores_used", cores));
    else
        fprintf(stderr,
                "paced: %.4f ms a token by the clock on the wall (measured, one run), %.4f simulated for the same "
                "passes: %+.2f %%\n%.2f %% of the measured time is not described: work that took longer than the card, "
                "and waking up; the ranks kept %.2f cores busy\n",
                is->latency_ms, said.latency_ms, 100 * (is->latency_ms / said.latency_ms - 1), 100 * share, cores);
    return 0;
}

/* What the virtual clocks say, on rank 0: JSON where that is asked for, else printed. busy_s: of this rank.
 * Collective over the runner's link. */
static int report_virtual(const struct app *app, const struct runner *run, const struct engine_result *r, double busy_s,
                          json_t **out, struct diag *d) {
    int dp = run->plan->strategy.dp;
    struct trace *trace = calloc((size_t)dp, sizeof *trace);
    struct net_stamp **taken = calloc((size_t)dp, sizeof *taken);
    struct virtual_summary s;
    busy_s = 1e-6 * (double)agree_sum(run->link, (uint64_t)(1e6 * busy_s));
    int rc = err_agree(run->link, trace && taken ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d replicas", dp), d);
    if (!rc) rc = engine_traces(run->engine, r, trace, taken, d);
    if (!rc && app->rank == 0) {
        rc = virtual_summarize(&s, app_paced(app) ? "measured, paced" : "emulated", run->plan, &app->cluster, r->n_seqs,
                               trace, taken, d);
        if (!rc) rc = virtual_light(&s, run->plan, &app->cluster, trace, d);
        if (!rc && app->spec.json) {
            *out = virtual_json(&s, run->plan, &app->cluster);
            rc = virtual_json_ranks(*out, &s, run->plan, &app->cluster, trace, d);
        } else if (!rc)
            virtual_print(&s, run->plan, &app->cluster, stderr);
        if (!rc && app_paced(app))
            rc = report_paced(app, run->plan, &s, trace, busy_s, app->spec.json ? *out : NULL, d);
        if (!rc && app->spec.operations) rc = op_log_write(engine_operations(run->engine), app->spec.operations, d);
    }
    rc = err_agree(run->link, rc, d);
    if (!rc) rc = show_recorded(app, run, trace, taken, d);
    for (int i = 0; i < dp && trace && taken; i++) {
        trace_fini(&trace[i]);
        free(taken[i]);
    }
    free(trace);
    free(taken);
    return err_agree(run->link, rc, d);
}

/* A text cut short by its context is no error, but nobody should have to guess at it. */
static void note_full(const struct model *m, const struct prompts *p, const struct runner *run,
                      const struct engine_result *r) {
    int full = 0;
    for (int s = 0; s < r->n_seqs && m->shape.causal; s++)
        full += strcmp(finish_of(p, run, r, s), "context") == 0;
    if (full)
        fprintf(stderr,
                "northwall: note: %d of %d texts ended early, their context of %d positions is full: raise --ctx\n",
                full, r->n_seqs, run->plan->opts.decoder.n_ctx);
}

static void print_stats(const struct app *app, const struct runner *run, const struct decoder_memory *memory,
                        const struct engine_result *r, const struct draft_params *draft,
                        const struct draft_traffic *traffic) {
    char packed[24], huge[24];
    if (app->spec.quiet) return;
    fprintf(stderr, "\nstrategy %s (%s), %d rank%s%s\n", run->strategy.text, run->why, run->plan->n_ranks,
            run->plan->n_ranks == 1 ? "" : "s",
            run->oversubscribed ? ", more ranks than cores: times measure the scheduler too" : "");
    fprintf(stderr, "prefill %llu tokens in %.3f s, %.1f tok/s; decode %llu tokens in %.3f s",
            (unsigned long long)r->prefill_tokens, r->prefill_seconds, (double)r->prefill_tokens / r->prefill_seconds,
            (unsigned long long)r->decode_tokens, r->decode_seconds);
    if (r->decode_tokens) fprintf(stderr, ", %.1f tok/s", (double)r->decode_tokens / r->decode_seconds);
    if (r->decode_tokens && r->n_seqs == 1)
        fprintf(stderr, ", %.3f ms/token", 1e3 * r->decode_seconds / (double)r->decode_tokens);
    fprintf(stderr,
            " (measured, one run)\nweights: %s packed in memory, %s of it on huge pages (measured)%s\nall ranks agree "
            "on every token\n",
            text_bytes(packed, sizeof packed, (double)memory->packed),
            text_bytes(huge, sizeof huge, (double)memory->huge),
            !memory->cached                   ? ""
            : memory->cached < memory->packed ? "; of some ranks read from the cache"
                                              : "; read from the cache");
    if (draft->most) {
        draft_print(stderr, "", draft, &r->drafts);
        draft_traffic_print(stderr, "", traffic);
    }
    if (r->interrupted) fprintf(stderr, "interrupted: the text is incomplete\n");
}

/* Joins small pages to huge ones beside the decoding, where the load was in haste: on any core, after the first tokens,
 * and giving way to those who compute. */
struct settler {
    const struct app *app;
    struct engine *engine;
    pthread_t thread;
    int running;
    volatile int stop;
    sem_t ended;
};

static void *settle(void *arg) {
    struct settler *s = arg;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (sem_timedwait(&s->ended, &until) == 0) return NULL;
    (void)sched_setaffinity(0, sizeof s->app->place.allowed, &s->app->place.allowed);
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    engine_settle(s->engine, &s->stop);
    return NULL;
}

static void settler_begin(struct settler *s) {
    sem_init(&s->ended, 0, 0);
    s->running = pthread_create(&s->thread, NULL, settle, s) == 0;
}

static void settler_end(struct settler *s) {
    s->stop = 1;
    sem_post(&s->ended);
    if (s->running) pthread_join(s->thread, NULL);
    sem_destroy(&s->ended);
}

static int generate(struct app *app, const struct model *m, const struct prompts *p, struct runner *run,
                    struct diag *d) {
    struct stream s = {app, m, p, p->n == 1 && !app->spec.json && m->shape.causal, 0};
    struct engine_job job;
    struct engine_result r;
    struct decoder_memory memory = {0};
    struct draft_traffic traffic = {0};
    runner_job(&job, run, app, p);
    job.on_token = on_token;
    job.user = &s;
    if (!m->shape.causal) job.n_new = 1;
    if (app->rank == 0 && s.live && !app->spec.no_echo) {
        fputs(p->text[0], stdout);
        fflush(stdout);
    }
    if (app->spec.trace || app->spec.timeline) engine_record(run->engine, 0, UINT64_MAX);
    if (app->spec.operations) engine_log(run->engine);
    struct settler settler = {.app = app, .engine = run->engine};
    settler_begin(&settler);
    double busy_s = processor_now();
    int rc = engine_generate(run->engine, &job, &r, d);
    busy_s = processor_now() - busy_s;
    settler_end(&settler);
    if (rc) return rc;
    if (app->spec.json || !app->spec.quiet) engine_memory(run->engine, &memory);
    if (job.draft.most && (rc = draft_traffic_gather(&traffic, run->plan, run->link, &r, d))) {
        engine_result_fini(&r);
        return rc;
    }
    json_t *emulated = NULL;
    if (app->rank == 0 && s.live) fputc('\n', stdout), fflush(stdout);
    if (app->spec.cluster && (rc = report_virtual(app, run, &r, busy_s, &emulated, d))) {
        engine_result_fini(&r);
        return rc;
    }
    if (app->rank == 0) {
        if (app->spec.json)
            print_json(app, m, p, run, &memory, &r, &job.draft, &traffic, emulated);
        else if (!m->shape.causal)
            print_encodings(p, m, &r);
        else if (!s.live)
            print_texts(app, m, p, &r);
        fflush(stdout);
        if (!app->spec.quiet) note_full(m, p, run, &r);
        print_stats(app, run, &memory, &r, &job.draft, &traffic);
    }
    json_decref(emulated);
    int interrupted = r.interrupted;
    engine_result_fini(&r);
    return interrupted ? diag_set(d, ERR_INTERRUPTED, "interrupted by a signal after the last printed token") : 0;
}

/* The files of results, before the work for them is done. Collective. */
static int check_files(const struct app *app, const struct record_ask *ask, struct diag *d) {
    int rc = 0;
    if (app->rank == 0) rc = text_check_target(ask->trace, d);
    if (app->rank == 0 && !rc) rc = text_check_target(ask->svg, d);
    if (app->rank == 0 && !rc) rc = text_check_target(app->spec.operations, d);
    return err_agree(app->world, rc, d);
}

/* Who is where, then the engines, then the text. Collective. */
static int run_prompts(struct app *app, const struct model *m, const struct prompts *p, struct diag *d) {
    struct runner runner = {0};
    struct strategy st;
    char why[256];
    int rc = placement_choose(app, m, p, d);
    if (!rc) rc = app_bind(app, d);
    if (rc) return rc;
    placement_show(app);
    int ranks = app->size > setup_arbiters(app) ? app->size - setup_arbiters(app) : 1;
    rc = err_agree(app->world, app_strategy(&st, app, &m->shape, ranks, why, sizeof why, d), d);
    if (!rc) rc = runner_open(&runner, app, m, p, &st, 1, (int)app->spec.flip, d);
    if (rc) return rc;
    memcpy(runner.why, why, sizeof why);
    rc = runner.arbiter ? arbiter_run(runner.bus, &app->cluster.net, virtual_media(&app->cluster, runner.plan), d)
                        : generate(app, m, p, &runner, d);
    runner_close(&runner);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    struct model m;
    struct prompts p;
    struct record_ask ask;
    int rc = 0;
    if (app->spec.cluster && !strcmp(app->spec.clock, "real"))
        rc = diag_set(d, ERR_USAGE,
                      "--cluster: give --clock virtual, or paced, with it (the clock of this machine needs none)");
    if (!rc) rc = record_ask_parse(&ask, app->spec.trace, app->spec.timeline, d);
    if (!rc && !app->spec.cluster && (ask.trace || ask.timeline || app->spec.operations))
        rc = diag_set(d, ERR_USAGE, "--%s shows virtual time: give --cluster FILE and --clock virtual with it",
                      ask.trace      ? "trace"
                      : ask.timeline ? "timeline"
                                     : "operations");
    if (!rc) rc = check_files(app, &ask, d);
    if (!rc) rc = model_open(&m, app, d);
    if (rc) return rc;
    rc = prompts_load(&p, app, &m, opts_given(&app->spec, "n-prompt") ? (int)app->spec.n_prompt : 0, d);
    if (!rc) {
        rc = run_prompts(app, &m, &p, d);
        prompts_free(&p);
    }
    model_close(&m);
    return rc;
}

const struct cmd cmd_run = {
    .name = "run",
    .summary = "generate text with a model split over the ranks",
    .usage = "--model FILE|PRESET [--prompt TEXT | --prompts FILE] [--strategy S] [options]",
    .options =
        "model quant strategy tp kvp pp dp prompt prompts n-predict n-prompt ctx chunk micro-batches batch threads "
        "bind mode "
        "kv hidden allreduce transport wire drop-sync temperature top-k top-p seed draft draft-ngram ignore-eos no-bos "
        "no-echo timeout pace "
        "mem weights-cache kernels json quiet flip-weight net cluster straggler shares set clock trace timeline "
        "operations "
        "log map",
    .bare = "timeline",
    .notes =
        "The text goes to stdout, everything else to stderr. With several prompts each text ends with a newline, in\n"
        "the order of the prompts. --json prints token ids, and a hash of the logits of each step that does not\n"
        "depend on how the model was split. An encoder (bert) prints the hash of its last hidden states.",
    .run = run,
};
