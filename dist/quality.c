#include "quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collectives/agree.h"
#include "dist/engine.h"
#include "models/kernels.h"
#include "quality_priv.h"

enum { MOST_RANKS = 64 /* that are threads */ };

/* ---- two sets of logits ---- */

static int best(const float *x, int n) {
    int at = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

double quality_log_sum(const float *x, int n) {
    double most = (double)x[best(x, n)], sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* e^x - 1 - x: below 1/8 by its series, up to the term that changes nothing. */
static double above_line(double x) {
    double term = x * x / 2, sum = term, before = 0;
    if (!(fabs(x) < 0.125)) return expm1(x) - x;
    for (int k = 3; sum != before; k++) {
        before = sum;
        sum += term *= x / k;
    }
    return sum;
}

struct divergence quality_compare(const float *ref, double ref_log_sum, const float *got, double got_log_sum, int n) {
    struct divergence out = {0, 0, 1};
    if (!memcmp(ref, got, (size_t)n * sizeof *ref)) return out;
    for (int i = 0; i < n; i++) {
        double p = (double)ref[i] - ref_log_sum, q = (double)got[i] - got_log_sum;
        double off = fabs((double)ref[i] - (double)got[i]);
        out.kl += exp(p) * above_line(q - p);
        out.most = off > out.most ? off : out.most;
    }
    out.same_best = best(ref, n) == best(got, n);
    return out;
}

double quality_kl_bound(double most) {
    return most * most / 2;
}

/* ---- scoring, on rank 0 ---- */

enum figure { KL, DNLL, SAME_BEST, FIGURES };

struct scorer {
    const struct quality_logits *kept[QUALITY_REFERENCES];
    struct quality *out;
    double *sums; /* [1 + QUALITY_REFERENCES * FIGURES][n_windows]; first of nll */
    int n_windows;
    long at;
};

static double *sums_of(const struct scorer *s, int reference, enum figure f) {
    return s->sums + (1 + reference * FIGURES + (int)f) * s->n_windows;
}

static void see(void *user, int window, int token, const float *logits) {
    struct scorer *s = user;
    int n = s->kept[0]->n_vocab;
    double log_sum = quality_log_sum(logits, n), nll = log_sum - (double)logits[token];
    struct divergence v = {0, 0, 1};
    s->sums[window] += nll;
    for (int r = 0; r < QUALITY_REFERENCES; r++) {
        const struct quality_logits *k = s->kept[r];
        struct quality_against *a = &s->out->against[r];
        if (!r || k != s->kept[0]) v = quality_compare(k->logits + s->at * n, k->log_sum[s->at], logits, log_sum, n);
        sums_of(s, r, KL)[window] += v.kl;
        sums_of(s, r, DNLL)[window] += nll - k->nll[s->at];
        sums_of(s, r, SAME_BEST)[window] += v.same_best;
        a->most_kl = fmax(a->most_kl, v.kl);
        a->most_logit = fmax(a->most_logit, v.most);
        a->changed += memcmp(k->logits + s->at * n, logits, (size_t)n * sizeof *logits) != 0;
    }
    s->at++;
}

/* Where all agree though bits differ, windows have no scatter: the least share of which that still has one chance in
 * 40 is told (binomial, predictions taken as independent). */
static void set_share(struct text_mean *m, long n, long changed) {
    if (m->mean >= 1 && changed && !isnan(m->low)) *m = (struct text_mean){1, pow(0.025, 1 / (double)n), 1};
    if (m->high > 1) m->high = 1;
}

static void summarize(struct quality *out, const struct scorer *s, const struct text_windows *w) {
    out->n = w->predictions;
    out->n_windows = w->n_windows;
    out->window = w->window;
    out->nll = text_windows_mean(w, s->sums);
    for (int r = 0; r < QUALITY_REFERENCES; r++) {
        struct quality_against *a = &out->against[r];
        a->kl = text_windows_mean(w, sums_of(s, r, KL));
        a->dnll = text_windows_mean(w, sums_of(s, r, DNLL));
        a->same_best = text_windows_mean(w, sums_of(s, r, SAME_BEST));
        set_share(&a->same_best, out->n, a->changed);
        if (a->kl.low < 0) a->kl.low = 0;
    }
}

/* ---- ranks ---- */

struct rank_run {
    struct app app;
    const struct model *model;
    const struct text_windows *windows;
    struct scorer *scorer; /* of rank 0, else NULL */
    struct quality *out; /* likewise */
    struct diag d;
    int rc;
};

/* Integer activations are not used with float weights. */
static int in_floats(const struct plan *p) {
    const struct decoder_opts *o = &p->opts.decoder;
    int floats = 1;
    for (int role = ROLE_Q; role < ROLE_COUNT && o->linear_bits != ACT_F32; role++)
        for (int l = 0; l < p->shape.n_layers; l++) {
            const struct tensor_type *t = shape_type(&p->shape, (enum role)role, role == ROLE_HEAD ? 0 : l);
            floats &= !t || t->is_float;
        }
    return floats && !o->silu_bits && o->kv == KV_F16 && o->hidden == HIDDEN_F32;
}

static void run_rank(struct rank_run *r) {
    struct tp_forward f = {0};
    const struct text_windows *w = r->windows;
    r->rc = tp_forward_open(&f, &r->app, r->model, w->window, text_windows_chunk(w, &r->app), &r->d);
    if (!r->rc) r->rc = text_windows_run(w, &r->app, &f, r->scorer ? see : NULL, r->scorer, &r->d);
    if (!r->rc && r->out) {
        summarize(r->out, r->scorer, w);
        r->out->floats = in_floats(f.plan);
        r->out->label = tp_forward_label(&f);
        r->out->plan_hash = f.plan->hash;
        snprintf(r->out->strategy, sizeof r->out->strategy, "%.63s", f.plan->strategy.text);
        if (r->app.size > 1 && f.plan->opts.drop_sync)
            snprintf(r->out->dropped, sizeof r->out->dropped, "%s", f.plan->opts.drop_sync);
        r->rc = text_windows_check(r->out->nll.mean, &r->app, &f, &r->d);
    }
    r->rc = err_agree(r->app.world, r->rc, &r->d);
    tp_forward_close(&f);
}

/* user: what rank 0 does, which has the results once all are through. */
static void thread_rank(struct link *l, void *user) {
    struct rank_run *first = user, *own = malloc(sizeof *own);
    if (!own) link_abort(l, "no memory for rank %d of %d", l->rank, l->size);
    *own = *first;
    l->wait_limit_s = 0; /* no rank ends alone; one process may be stopped for as long as it likes */
    own->app.world = l;
    own->app.rank = l->rank;
    own->app.size = l->size;
    if (l->rank) own->scorer = NULL, own->out = NULL, own->app.spec.quiet = 1;
    run_rank(own);
    if (!l->rank) first->rc = own->rc, first->d = own->d;
    free(own);
}

/* ---- one measurement ---- */

struct job {
    struct quality_store *store;
    const struct app *app; /* the command line's */
    struct app *own; /* the same, with the schedule that is measured */
    const struct model *model;
    const struct text_windows *windows;
    const struct quality_logits *kept[QUALITY_REFERENCES]; /* rank 0 */
    int ranks;
};

static int count_ranks(struct job *j, struct diag *d) {
    struct strategy st;
    struct run_spec *r = &j->own->spec;
    int size = j->app->size, rc = r->strategy ? strategy_parse(&st, r->strategy, d) : 0;
    if (rc) return rc;
    if (r->strategy && (st.n_stages > 1 || st.dp > 1 || st.host))
        return diag_set(d, ERR_USAGE,
                        "--strategy %s: quality splits layers alone (tp, kvp): stages and replicas give the same bits",
                        r->strategy);
    int asked = r->strategy ? strategy_ranks(&st) : (int)r->ranks;
    if (r->strategy && r->ranks && asked != r->ranks)
        return diag_set(d, ERR_PLAN, "--strategy %s takes %d ranks, not %ld", r->strategy, asked, r->ranks);
    j->ranks = asked ? asked : size;
    if (r->strategy) r->kvp = st.kvp;
    if (size > 1 && j->ranks != size)
        return diag_set(d, ERR_PLAN, "%d ranks are asked for, and mpirun started %d", j->ranks, size);
    if (size == 1 && j->ranks > MOST_RANKS)
        return diag_set(d, ERR_RANGE, "%d ranks: at most %d are threads of one process: use mpirun", j->ranks,
                        MOST_RANKS);
    return 0;
}

static int run(struct quality *out, const struct job *j, struct diag *d) {
    const struct text_windows *w = j->windows;
    struct scorer s = {{j->kept[0], j->kept[1]}, out, NULL, w->n_windows, 0};
    struct rank_run *r = calloc(1, sizeof *r);
    s.sums = calloc((size_t)w->n_windows * (1 + QUALITY_REFERENCES * FIGURES), sizeof *s.sums);
    int rc = r && s.sums ? 0 : diag_set(d, ERR_MEMORY, "no memory for a measurement");
    if (!rc && kernels_select(j->app->spec.kernels))
        rc = diag_set(d, ERR_USAGE, "--kernels %.40s: unknown or not possible on this CPU (northwall list)",
                      j->app->spec.kernels);
    rc = err_agree(j->app->world, rc, d);
    double begun = engine_now();
    memset(out, 0, sizeof *out);
    if (!rc) {
        *r = (struct rank_run){.app = *j->own, .model = j->model, .windows = w};
        if (j->app->rank == 0) r->scorer = &s, r->out = out;
        if (j->app->size == 1 && j->ranks > 1)
            rc = link_threads_run(j->ranks, thread_rank, r)
                     ? diag_set(d, ERR_MEMORY, "no memory for %d ranks", j->ranks)
                     : 0;
        else
            run_rank(r);
        if (!rc && r->rc) rc = diag_set(d, r->rc, "%s", r->d.text);
    }
    out->ranks = j->ranks;
    out->seconds = engine_now() - begun;
    free(s.sums);
    free(r);
    return rc;
}

/* ---- sets of syncs by what they cost ---- */

/* By dropping each sync alone; among equals the first layer. */
static int make_order(struct quality_order *o, struct job *j, struct diag *d) {
    int n = j->model->shape.n_layers, rc = 0;
    double *loss = calloc((size_t)n, sizeof *loss);
    o->layer = calloc((size_t)n, sizeof *o->layer);
    if (!loss || !o->layer) rc = diag_set(d, ERR_MEMORY, "no memory for %d layers", n);
    rc = err_agree(j->app->world, rc, d);
    for (int l = 0; l < n && !rc; l++) {
        struct quality q;
        char layer[16];
        int at = l;
        snprintf(layer, sizeof layer, "%d", l);
        j->own->spec.drop_sync = layer;
        rc = run(&q, j, d);
        loss[l] = q.nll.mean; /* 0 on ranks that do not score: rank 0's order counts */
        for (; at > 0 && loss[o->layer[at - 1]] > loss[l]; at--)
            o->layer[at] = o->layer[at - 1];
        o->layer[at] = l;
    }
    if (!rc) agree_bcast(j->app->world, 0, o->layer, (size_t)n * sizeof *o->layer);
    free(loss);
    return rc;
}

/* Of the model and its activations on so many ranks, with values that travel and a cache that keeps them as they are:
 * so that choices of those drop the same syncs. */
static int find_order(const struct quality_order **out, struct job *j, struct diag *d) {
    const struct run_spec asked = j->own->spec;
    j->own->spec.wire = "f32", j->own->spec.allreduce = "auto", j->own->spec.kv = "f16";
    uint64_t key = quality_choice(j->own) + (uint64_t)j->ranks * 1000 + (uint64_t)j->own->spec.kvp;
    struct quality_order *o = quality_find(j->store->order, key, quality_forget_order);
    int rc = 0;
    if (!o) {
        o = j->store->order[0] = calloc(1, sizeof *o);
        rc = o ? make_order(o, j, d) : diag_set(d, ERR_MEMORY, "no memory for layers");
        if (!rc) o->key = key;
    }
    j->own->spec = asked;
    *out = o;
    return rc;
}

/* "least:K" becomes a list of layers. */
static int choose_layers(char *list, size_t cap, struct job *j, struct diag *d) {
    static const char least[] = "least:";
    const char *asked = j->app->spec.drop_sync;
    const struct quality_order *o;
    long k = 0;
    size_t at = 0;
    list[0] = 0;
    if (!asked || strncmp(asked, least, strlen(least)) != 0) return 0;
    int rc = text_int(asked + strlen(least), 1, j->model->shape.n_layers, "--drop-sync least:", &k, d);
    if (!rc) rc = find_order(&o, j, d);
    for (int i = 0; i < k && !rc && at < cap; i++)
        at += (size_t)snprintf(list + at, cap - at, i ? ",%d" : "%d", o->layer[i]);
    if (!rc && at >= cap) rc = diag_set(d, ERR_RANGE, "--drop-sync %s: too many layers for a list", asked);
    j->own->spec.drop_sync = list;
    return rc;
}

/* ---- what was promised ---- */

const char *quality_checked(const struct quality *q) {
    if (q->label == COLL_BIT_EXACT) return "bit-exact: logits have the bits of one rank's";
    if (q->label == COLL_ROUNDING && q->floats) return "exact to rounding: mean KL to one rank at most 2^-24 nats";
    return NULL;
}

static int check(const struct quality *q, struct diag *d) {
    const struct quality_against *one = &q->against[QUALITY_ONE_RANK];
    if (!quality_checked(q)) return 0;
    if (q->label == COLL_BIT_EXACT && one->changed)
        return diag_set(d, ERR_MISMATCH,
                        "labelled bit-exact, but %ld of %ld predictions have other logits than one rank's: by up to %g",
                        one->changed, q->n, one->most_logit);
    if (one->kl.mean <= QUALITY_ROUNDING_KL) return 0;
    return diag_set(d, ERR_MISMATCH, "labelled exact to rounding, but the mean KL to one rank is %g nats, not below %g",
                    one->kl.mean, QUALITY_ROUNDING_KL);
}

/* ---- all of it ---- */

/* Rank 0's references; others wait for it, as long as it takes. */
static int keep(struct job *j, struct diag *d) {
    struct link *world = j->app->world;
    double limit = world->wait_limit_s;
    int rc = 0;
    for (int r = 0; r < QUALITY_REFERENCES && j->app->rank == 0 && !rc; r++)
        rc = quality_one_rank(&j->kept[r], j->store, j->app, r == QUALITY_FULL, j->windows, d);
    if (!rc && j->app->rank == 0 && j->kept[QUALITY_FULL]->n_vocab != j->model->shape.n_vocab)
        rc =
            diag_set(d, ERR_MISMATCH, "%.200s has %d logits, the model %d: give a --reference with the same vocabulary",
                     j->app->spec.reference, j->kept[QUALITY_FULL]->n_vocab, j->model->shape.n_vocab);
    world->wait_limit_s = 0;
    rc = err_agree(world, rc, d);
    world->wait_limit_s = limit;
    return rc;
}

static int prepare(struct job *j, struct diag *d) {
    const struct quality_text *text;
    int rc = count_ranks(j, d);
    if (!rc) rc = quality_model(&j->model, j->store, j->app, d);
    if (!rc) rc = quality_text(&text, j->store, j->app, j->model, d);
    if (!rc) j->windows = &text->windows;
    return rc ? rc : keep(j, d);
}

static int measure(struct quality *out, struct job *j, struct diag *d) {
    char list[sizeof out->dropped];
    int rc = prepare(j, d);
    if (!rc) rc = choose_layers(list, sizeof list, j, d);
    if (!rc) rc = run(out, j, d);
    if (!rc && j->app->rank == 0) rc = check(out, d);
    return err_agree(j->app->world, rc, d);
}

int quality_measure(struct quality *out, struct quality_store *s, const struct app *app, struct diag *d) {
    if (!app->spec.n_args && !app->spec.text)
        return diag_set(d, ERR_USAGE, "quality of predicting what? Give TEXTFILE or --text");
    struct job j = {.store = s, .app = app, .own = malloc(sizeof *j.own)};
    int rc = err_agree(app->world, j.own ? 0 : diag_set(d, ERR_MEMORY, "no memory for a measurement"), d);
    if (!rc) {
        *j.own = *app;
        rc = measure(out, &j, d);
    }
    free(j.own);
    return rc;
}

/* ---- JSON ---- */

static json_t *number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

/* NAME, NAME_low, NAME_high, with the reference in the name. */
static void put(json_t *o, const char *name, const char *of, struct text_mean m) {
    const double value[] = {m.mean, m.low, m.high};
    static const char *const ends[] = {"", "_low", "_high"};
    char key[64];
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s%s%s", name, of, ends[i]);
        json_object_set_new(o, key, number(value[i]));
    }
}

static void put_against(json_t *o, const struct quality_against *a, const char *of) {
    put(o, "kl_nats", of, a->kl);
    put(o, "dnll_nats", of, a->dnll);
    put(o, "same_best", of, a->same_best);
    const double most[] = {a->most_kl, a->most_logit, (double)a->changed};
    static const char *const names[] = {"most_kl_nats", "most_logit_difference", "changed_predictions"};
    char key[64];
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s%s", names[i], of);
        json_object_set_new(o, key, number(most[i]));
    }
}

json_t *quality_json(const struct quality *q) {
    struct text_mean perplexity = {exp(q->nll.mean), exp(q->nll.low), exp(q->nll.high)};
    json_t *o = json_pack("{s:s, s:I, s:i, s:i, s:s, s:s, s:i, s:f}", "kind", "measured", "n", (json_int_t)q->n,
                          "windows", q->n_windows, "window_tokens", q->window, "label", coll_label_name(q->label),
                          "strategy", q->strategy, "ranks", q->ranks, "seconds", q->seconds);
    if (q->dropped[0]) json_object_set_new(o, "dropped_syncs", json_string(q->dropped));
    put(o, "perplexity", "", perplexity);
    put(o, "nll_nats", "", q->nll);
    put_against(o, &q->against[QUALITY_FULL], "");
    put_against(o, &q->against[QUALITY_ONE_RANK], "_one_rank");
    return o;
}
