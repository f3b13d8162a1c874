#include "dist/setup.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "coll_log.h"
#include "collectives/agree.h"
#include "partition/estimate.h"
#include "partition/place.h"

/* "192MiB", "2GB", "1024": bytes. */
static int parse_size(const char *s, size_t *out, struct diag *d) {
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"", 1},          {"B", 1},    {"kB", 1e3},         {"KiB", 1024}, {"MB", 1e6},
                 {"MiB", 1048576}, {"GB", 1e9}, {"GiB", 1073741824}, {"TB", 1e12},  {"TiB", 1099511627776.0}};
    char *end;
    double v = strtod(s, &end);
    while (*end == ' ')
        end++;
    for (size_t i = 0; end != s && v > 0 && i < sizeof units / sizeof *units; i++) {
        double bytes = v * units[i].factor;
        if (strcmp(end, units[i].unit) || !(bytes >= 1 && bytes < 0x1p62)) continue;
        *out = (size_t)bytes;
        return 0;
    }
    return diag_set(d, ERR_USAGE, "--mem '%.40s': expected a size such as 192MiB or 2GB", s);
}

static int longest(const struct prompts *p) {
    int n = 1;
    for (int i = 0; i < p->n; i++)
        if (p->len[i] > n) n = p->len[i];
    return n;
}

/* Refused before anything is loaded or printed. */
static int check_lengths(const struct prompts *p, int n_ctx, struct diag *d) {
    for (int i = 0; p && i < p->n; i++)
        if (p->len[i] > n_ctx)
            return diag_set(d, ERR_RANGE,
                            "prompt %d has %d tokens, but the context holds %d: raise --ctx or shorten the prompt", i,
                            p->len[i], n_ctx);
    return 0;
}

/* A bar for loads that take a while: rank 0, on a terminal. Nonzero stops the load. */
static int show_load(void *arg, size_t done, size_t bytes) {
    static double begun;
    const struct app *app = arg;
    if (begun == 0) begun = engine_now();
    if (app->rank != 0 || app->spec.quiet || !isatty(2) || engine_now() - begun < 0.5) return app_stop;
    int percent = bytes ? (int)(100.0 * (double)done / (double)bytes) : 100;
    fprintf(stderr, "\rloading [%-40.*s] %3d %%", percent * 2 / 5, "########################################", percent);
    if (done >= bytes) fputs("\r\033[K", stderr);
    return app_stop;
}

static int parse_transport(const char *s, enum coll_transport *out, struct diag *d) {
    for (int t = COLL_TRANSPORT_AUTO; t <= COLL_TRANSPORT_LINK; t++) {
        if (strcmp(s, coll_transport_name((enum coll_transport)t)) != 0) continue;
        *out = (enum coll_transport)t;
        return 0;
    }
    return diag_set(d, ERR_USAGE, "--transport '%.40s': expected auto, shm or link", s);
}

static int setup_draft(struct draft_params *out, const struct app *app, const struct model *m, struct diag *d) {
    int rc = app_draft(out, app, d);
    if (!rc && out->most && !m->shape.causal)
        rc = diag_set(d, ERR_UNSUPPORTED, "--draft: %s is an encoder and generates no text", m->shape.name);
    return rc;
}

static int parse_wire(const char *s, const struct coll_wire **out, struct diag *d) {
    *out = coll_wire_find(s);
    if (*out || strcmp(s, "f32") == 0) return 0;
    return diag_set(d, ERR_USAGE, "--wire '%.40s': expected f32, fp16, int8 or int4", s);
}

int setup_reduces(struct plan_opts *o, const struct app *app, struct diag *d) {
    o->allreduce = app->spec.allreduce;
    o->drop_sync = app->spec.drop_sync;
    o->net = app->net.n_tiers ? &app->net : NULL;
    o->kept = app->kept;
    int rc = parse_transport(app->spec.transport, &o->transport, d);
    if (!rc) rc = parse_wire(app->spec.wire, &o->wire, d);
    if (rc || !app->spec.cluster) return rc;
    if (o->transport == COLL_TRANSPORT_SHM)
        return diag_set(d, ERR_USAGE, "--transport shm: virtual time travels on messages: leave it out");
    o->transport = COLL_TRANSPORT_LINK;
    o->domain_ranks = app->cluster.joins[0];
    return 0;
}

int setup_plan_opts(struct plan_opts *o, const struct app *app, const struct model *m, const struct prompts *p,
                    const struct strategy *st, struct diag *d) {
    memset(o, 0, sizeof *o);
    int n_prompts = p ? p->n : (int)app->spec.batch;
    int rc = app_decoder_opts(&o->decoder, app, &m->shape, d);
    o->decoder.progress = show_load;
    o->decoder.progress_arg = (void *)(uintptr_t)app;
    if (!rc && app->spec.mem) rc = parse_size(app->spec.mem, &o->mem_bytes, d);
    if (!rc) rc = setup_reduces(o, app, d);
    if (rc) return rc;
    int per_replica = (n_prompts + st->dp - 1) / st->dp, stages = st->n_stages;
    o->decoder.n_seqs = per_replica;
    int tokens = p ? longest(p) : (int)app->spec.chunk;
    if (!m->shape.causal) o->decoder.max_tokens = tokens; /* an encoder sees a sequence at once */
    if (!o->decoder.n_ctx) o->decoder.n_ctx = tokens + (m->shape.causal ? (int)app->spec.n_predict : 0);
    if (m->shape.n_positions && o->decoder.n_ctx > m->shape.n_positions)
        return diag_set(d, ERR_RANGE,
                        "a context of %d positions is needed, but the model's position table has %d: lower -n or --ctx",
                        o->decoder.n_ctx, m->shape.n_positions);
    o->n_micro = app->spec.n_micro ? (int)app->spec.n_micro : stages < per_replica ? stages : per_replica;
    if (o->n_micro > per_replica) o->n_micro = per_replica;
    struct draft_params draft;
    rc = setup_draft(&draft, app, m, d);
    if (rc) return rc;
    int seqs_of_micro = (per_replica + o->n_micro - 1) / o->n_micro, most = seqs_of_micro * (1 + draft.most);
    if (o->decoder.max_tokens < most) o->decoder.max_tokens = most;
    if (o->decoder.max_tokens > (int64_t)o->decoder.n_ctx * seqs_of_micro)
        o->decoder.max_tokens = o->decoder.n_ctx * seqs_of_micro;
    if (draft.most) o->max_logits = most < o->decoder.max_tokens ? most : o->decoder.max_tokens;
    rc = check_lengths(p, o->decoder.n_ctx, d);
    struct sampler_params sampling = app_sampling(app);
    o->top_candidates = sampler_candidates(&sampling, m->shape.n_vocab);
    return rc;
}

int setup_arbiters(const struct app *app) {
    int shared = 0;
    for (int i = 0; i < app->cluster.net.n_tiers; i++)
        shared |= app->cluster.net.tier[i].link.medium == NET_FIFO;
    return shared && !place_is_fluid(&app->cluster);
}

static int has_room(const struct app *app, const struct plan *p) {
    uint64_t frame;
    if (virtual_frame(&frame, &app->cluster, p, NULL)) return 0;
    for (int i = 0; i < p->n_ranks; i++) {
        struct virtual_rank v;
        if (virtual_rank_init(&v, &app->cluster, p, i, NULL)) return 0;
    }
    return 1;
}

static int parse_shares(const char *s, int *by_speed, struct diag *d) {
    *by_speed = !strcmp(s, "speed");
    if (*by_speed || !strcmp(s, "even")) return 0;
    return diag_set(d, ERR_USAGE, "--shares '%.40s': expected speed or even", s);
}

/* In place of a plan with even shares one by the speeds of its cards, where --cluster, --pace or --net tells of unequal
 * ones and it is faster. */
static int share(struct plan **p, const struct plan_opts *o, const struct app *app, struct diag *d) {
    const struct cluster *c = app->spec.cluster ? &app->cluster : &app->machine;
    struct plan *other;
    if (!c->n_exceptions || !cluster_has_card(c)) return 0;
    int rc = plan_share(&other, *p, o, c, d);
    if (rc || other) plan_free(*p);
    if (rc || other) *p = other;
    return rc;
}

int setup_plan(struct plan **out, int *chunk, const struct app *app, const struct model *m, const struct prompts *p,
               const struct strategy *st, int n_ranks, struct diag *d) {
    struct app own = *app;
    struct plan_opts o;
    int fixed = !cluster_has_card(&app->cluster) || opts_given(&app->spec, "chunk");
    int compared =
        app->spec.search || n_ranks + setup_arbiters(app) < app->size; /* such a plan may do without a straggler */
    int by_speed, checked = compared ? 0 : app_check_stragglers(app, st, d);
    if (!checked) checked = parse_shares(app->spec.shares, &by_speed, d);
    if (checked) return checked;
    for (;; own.spec.chunk /= 2) {
        int rc = setup_plan_opts(&o, &own, m, p, st, d);
        o.decoder.progress_arg = (void *)(uintptr_t)app; /* outlives this copy */
        if (o.net) o.net = &app->net;
        if (!rc) rc = plan_make(out, &m->shape, st, n_ranks, &o, d);
        *chunk = (int)own.spec.chunk;
        if (!rc && (fixed || *chunk == 1 || has_room(app, *out))) return by_speed ? share(out, &o, app, d) : 0;
        if (rc) return rc;
        plan_free(*out);
        *out = NULL;
    }
}

static int make_plan(struct runner *r, const struct app *app, const struct model *m, const struct prompts *p,
                     int need_all, int flip, struct diag *d) {
    int need = strategy_ranks(&r->strategy), arbiters = setup_arbiters(app), all = need + arbiters;
    if (all > app->size || (need_all && all != app->size))
        return diag_set(d, ERR_PLAN, "strategy %s needs %d rank%s%s, but %d %s started: use mpirun -n %d",
                        r->strategy.text, need, need == 1 ? "" : "s",
                        arbiters ? ", and one as arbiter of the links that cards share" : "", app->size,
                        app->size == 1 ? "was" : "were", all);
    if (flip >= app->size)
        return diag_set(d, ERR_USAGE, "--flip-weight %d: there is no such rank, %d %s started", flip, app->size,
                        app->size == 1 ? "was" : "were");
    return setup_plan(&r->plan, &r->chunk, app, m, p, &r->strategy, need, d);
}

/* Said once: positions the model has not seen in training. */
static void note_context(const struct app *app, const struct model *m, const struct plan *p) {
    static int said;
    if (said || app->rank != 0 || app->spec.quiet || !m->shape.n_ctx || p->opts.decoder.n_ctx <= m->shape.n_ctx) return;
    said = fprintf(
        stderr,
        "northwall: note: %d positions are asked for, but the model was trained on %d: later text may be poor\n",
        p->opts.decoder.n_ctx, m->shape.n_ctx);
}

/* Do the ranks of the link, of `threads` threads each, outnumber the cores of some node? Collective over it. */
static int outnumber_cores(const struct app *app, struct link *l, int threads) {
    int *node = malloc((size_t)l->size * sizeof *node), here = 0;
    if (err_agree(l, node ? 0 : ERR_MEMORY, NULL) == 0) {
        agree_allgather(l, &app->node, sizeof app->node, node);
        for (int i = 0; i < l->size; i++)
            here += node[i] == app->node;
    }
    free(node);
    return agree_max(l, here * threads > app->cores, NULL) > 0;
}

/* Memory that this node can still give, or 0 where the system does not tell. */
static double node_available(void) {
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && !kib && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) != 1) kib = 0;
    if (f) fclose(f);
    return 1024.0 * (double)kib;
}

/* What this rank's node holds for the ranks of the link. Linux grants memory that is not there, so that this has to be
 * asked before the load. Collective over the link: no rank has begun to load. */
static int check_node(const struct app *app, const struct plan *p, struct link *l, struct diag *d) {
    double available = node_available(), weights = 0, kv = 0, work = 0;
    char have[24], all[24], w[24], k[24], o[24];
    int *node = malloc((size_t)l->size * sizeof *node), here = 0;
    int rc = err_agree(l, node ? 0 : diag_set(d, ERR_MEMORY, "no memory for the table of nodes"), d);
    if (!rc) agree_allgather(l, &app->node, sizeof app->node, node);
    for (int i = 0; i < l->size && !rc; i++) {
        if (node[i] != app->node) continue;
        const struct plan_rank *r = &p->ranks[i];
        here++;
        weights += (double)r->bytes.weights;
        kv += (double)r->bytes.kv;
        work += (double)(r->bytes.work + r->engine_bytes);
    }
    free(node);
    if (!rc && available > 0 && weights + kv + work > available)
        rc = diag_set(
            d, ERR_MEMORY,
            "%d rank%s of one node need %s = weights %s + KV cache %s + workspace %s, but it has %s available: "
            "use more nodes, a smaller model, a shorter --ctx or a smaller --kv type",
            here, here == 1 ? "" : "s", text_bytes(all, sizeof all, weights + kv + work),
            text_bytes(w, sizeof w, weights), text_bytes(k, sizeof k, kv), text_bytes(o, sizeof o, work),
            text_bytes(have, sizeof have, available));
    return err_agree(l, rc, d);
}

/* A cache of weights that is of no use is no error. Collective over the runner's link. */
static void note_cache(const struct app *app, struct runner *r) {
    char note[512];
    if (engine_cache_note(r->engine, note, sizeof note) && app->rank == 0 && !app->spec.quiet)
        fprintf(stderr, "northwall: note: %s\n", note);
}

/* Longest wait for a rank that is well: unless --timeout says so a minute, or what the largest pass of all
 * micro-batches takes on one slow core, where that is longer. */
static double wait_limit(const struct app *app, const struct plan *p) {
    const double least = 60, slow_Ops = 2e9;
    const struct decoder_opts *o = &p->opts.decoder;
    struct plan_pass pass = {o->max_tokens, p->opts.max_logits, (int64_t)o->max_tokens * o->n_ctx, 0};
    struct plan_totals t;
    plan_totals(p, -1, &pass, &t);
    double s = 0;
    for (int k = 0; k < PREC_COUNT; k++)
        s += t.ops[k] * p->opts.n_micro / p->strategy.dp / slow_Ops;
    return app->spec.timeout ? (double)app->spec.timeout : s > least ? s : least;
}

/* Said once: with these options a result is not that of one rank. */
static void note_label(const struct app *app, const struct plan *p) {
    static int said;
    if (said || app->rank != 0 || app->spec.quiet || plan_label(p) == COLL_BIT_EXACT) return;
    said = fprintf(stderr, "northwall: note: the sums of the ranks are %s: results differ from those of one rank\n",
                   coll_label_name(plan_label(p)));
}

/* Collective over the runner's link. */
static void log_colls(const struct app *app, const struct runner *r) {
    struct coll_info info[COLL_LOG_MOST];
    coll_log(app, r->link, r->link->rank, info, engine_colls(r->engine, info));
}

/* Collective over the runner's link. */
static int pace(const struct app *app, const struct runner *r, struct diag *d) {
    if (agree_max(r->link, app->node, NULL) > agree_min(r->link, app->node, NULL))
        return diag_set(d, ERR_UNSUPPORTED,
                        "the ranks run on several machines, which share no clock that they could be "
                        "paced by");
    return engine_pace(r->engine, d);
}

int runner_open(struct runner *r, const struct app *app, const struct model *m, const struct prompts *p,
                const struct strategy *st, int need_all, int flip, struct diag *d) {
    memset(r, 0, sizeof *r);
    r->strategy = *st;
    int rc = err_agree(app->world, make_plan(r, app, m, p, need_all, flip, d), d);
    if (!rc) note_context(app, m, r->plan);
    if (!rc) note_label(app, r->plan);
    if (!rc) {
        r->wait_limit_s = wait_limit(app, r->plan);
        r->link = link_split(app->world, app->rank < r->plan->n_ranks ? 0 : -1, app->rank);
        if (r->link) rc = check_node(app, r->plan, r->link, d);
        if (r->link && !rc) rc = engine_init(&r->engine, r->plan, m->file, r->link, flip, d);
        if (setup_arbiters(app)) {
            int is_arbiter = app->rank == r->plan->n_ranks;
            r->bus = link_split(app->world, r->link || is_arbiter ? 0 : -1, app->rank);
            r->arbiter = is_arbiter;
            if (r->bus) r->bus->wait_limit_s = r->wait_limit_s;
        }
        if (r->link && !rc && app->spec.cluster) rc = engine_emulate(r->engine, &app->cluster, r->bus, d);
        if (r->link && !rc && app_paced(app)) rc = pace(app, r, d);
        if (r->link && !rc) note_cache(app, r);
        if (r->link && !rc) log_colls(app, r);
        if (r->link && !rc) engine_limit_waits(r->engine, r->wait_limit_s);
        if (r->link && !rc) r->oversubscribed = outnumber_cores(app, r->link, r->plan->opts.decoder.threads);
        rc = err_agree(app->world, rc, d);
    }
    if (rc) runner_close(r);
    return rc;
}

void runner_close(struct runner *r) {
    engine_free(r->engine);
    link_free(r->bus);
    if (r->link) link_free(r->link);
    plan_free(r->plan);
    memset(r, 0, sizeof *r);
}

void runner_job(struct engine_job *job, const struct runner *r, const struct app *app, const struct prompts *p) {
    memset(job, 0, sizeof *job);
    job->n_seqs = p->n;
    job->prompt = (const int *const *)p->ids;
    job->prompt_len = p->len;
    job->n_new = (int)app->spec.n_predict;
    job->chunk = r->chunk;
    job->sampling = app_sampling(app);
    (void)app_draft(&job->draft, app, NULL); /* runner_open has checked it */
    job->end_ids = p->end_ids;
    job->n_end_ids = p->n_end_ids;
    job->stop = &app_stop;
}
