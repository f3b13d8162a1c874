/* quality_store.c - models, texts and logits of one rank, kept between measurements. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "models/kernels.h"
#include "quality_priv.h"

#define MOST_BYTES ((size_t)1 << 30) /* of the logits of one text */

void *quality_find(void *entries[QUALITY_KEPT], uint64_t key, void (*forget)(void *entry)) {
    int at = 0;
    while (at < QUALITY_KEPT - 1 && !(entries[at] && *(uint64_t *)entries[at] == key))
        at++;
    void *found = entries[at];
    memmove(entries + 1, entries, (size_t)at * sizeof *entries);
    entries[0] = found;
    if (!found || *(uint64_t *)found == key) return found;
    forget(found);
    entries[0] = NULL;
    return NULL;
}

static void forget_model(void *entry) {
    struct quality_model *m = entry;
    if (m) model_close(&m->model);
    free(m);
}

static void forget_text(void *entry) {
    struct quality_text *t = entry;
    if (t) text_windows_fini(&t->windows);
    free(t);
}

static void forget_logits(void *entry) {
    struct quality_logits *l = entry;
    if (!l) return;
    free(l->logits);
    free(l->log_sum);
    free(l->nll);
    free(l);
}

void quality_forget_order(void *entry) {
    struct quality_order *o = entry;
    if (o) free(o->layer);
    free(o);
}

struct quality_store *quality_store_new(void) {
    struct quality_store *s = calloc(1, sizeof *s);
    if (s) s->alone = calloc(1, sizeof *s->alone);
    if (s && s->alone) return s;
    free(s);
    return NULL;
}

void quality_store_free(struct quality_store *s) {
    for (int i = 0; s && i < QUALITY_KEPT; i++) {
        forget_model(s->model[i]);
        forget_text(s->text[i]);
        forget_logits(s->logits[i]);
        quality_forget_order(s->order[i]);
    }
    if (s) free(s->alone);
    free(s);
}

/* ---- keys ---- */

uint64_t quality_key(uint64_t key, const char *word) {
    return word ? hash_bytes(word, strlen(word), key + 1) : hash_mix(key);
}

static uint64_t number_key(uint64_t key, long number) {
    return hash_bytes(&number, sizeof number, key);
}

static uint64_t model_key(const struct run_spec *r) {
    return number_key(quality_key(quality_key(0, r->model), r->quant), r->seed);
}

static uint64_t text_key(const struct run_spec *r) {
    uint64_t key = quality_key(quality_key(model_key(r), r->text), r->n_args ? r->args[0] : NULL);
    return number_key(number_key(number_key(number_key(key, r->window), r->windows), r->skip), r->no_bos);
}

uint64_t quality_choice(const struct app *app) {
    const struct run_spec *r = &app->spec;
    return quality_key(quality_key(quality_key(text_key(r), r->mode), r->kv), r->hidden);
}

/* ---- models and texts ---- */

int quality_model(const struct model **out, struct quality_store *s, const struct app *app, struct diag *d) {
    uint64_t key = model_key(&app->spec);
    struct quality_model *m = quality_find(s->model, key, forget_model);
    int rc = m ? 0 : ERR_MEMORY;
    if (!m && (m = s->model[0] = calloc(1, sizeof *m))) rc = model_open(&m->model, app, d);
    if (m && !rc) m->key = key;
    *out = m ? &m->model : NULL;
    return rc;
}

int quality_text(const struct quality_text **out, struct quality_store *s, const struct app *app, const struct model *m,
                 struct diag *d) {
    uint64_t key = text_key(&app->spec);
    struct quality_text *t = quality_find(s->text, key, forget_text);
    int rc = t ? 0 : ERR_MEMORY;
    if (!t && (t = s->text[0] = calloc(1, sizeof *t)))
        rc = text_windows_read(&t->windows, app, m, app->spec.n_args ? app->spec.args[0] : "-", d);
    if (t && !rc) t->key = key;
    *out = t;
    return rc;
}

/* ---- logits of one rank ---- */

/* The same choice by one rank, or full precision. */
static void set_alone(struct app *out, const struct app *app, int full) {
    struct run_spec *r = &out->spec;
    *out = *app;
    out->rank = 0;
    out->size = 1;
    out->world = NULL;
    r->wire = "f32";
    r->allreduce = "auto";
    r->kernels = r->drop_sync = r->log = r->strategy = NULL;
    r->ranks = r->kvp = r->tp = 0;
    r->chunk = 64;
    if (!full) return;
    if (r->reference) r->model = r->reference;
    if (r->reference) r->quant = NULL;
    r->mode = "a16";
    r->kv = "f16";
    r->hidden = "f32";
}

static void keep(void *user, int window, int token, const float *logits) {
    struct quality_logits *l = user;
    (void)window;
    memcpy(l->logits + (size_t)l->n * (size_t)l->n_vocab, logits, (size_t)l->n_vocab * sizeof *logits);
    l->log_sum[l->n] = quality_log_sum(logits, l->n_vocab);
    l->nll[l->n] = l->log_sum[l->n] - (double)logits[token];
    l->mean_nll += l->nll[l->n++];
}

static int allocate(struct quality_logits *l, const struct text_windows *w, int n_vocab, struct diag *d) {
    size_t n = (size_t)w->predictions, bytes = n * (size_t)n_vocab * sizeof *l->logits;
    if (bytes > MOST_BYTES)
        return diag_set(d, ERR_RANGE,
                        "%zu predictions of %d logits take %zu MiB, more than the 1024 that are kept of one rank: give "
                        "--windows %d or fewer",
                        n, n_vocab, bytes >> 20, (int)((double)w->n_windows * (double)MOST_BYTES / (double)bytes));
    l->logits = malloc(bytes);
    l->log_sum = calloc(n, sizeof *l->log_sum);
    l->nll = calloc(n, sizeof *l->nll);
    l->n_vocab = n_vocab;
    return l->logits && l->log_sum && l->nll
               ? 0
               : diag_set(d, ERR_MEMORY, "no memory for the logits of %zu predictions", n);
}

static int run_alone(struct quality_logits *l, const struct app *alone, const struct model *m,
                     const struct text_windows *w, struct diag *d) {
    struct tp_forward f = {0};
    int rc = allocate(l, w, m->shape.n_vocab, d);
    if (!rc) rc = tp_forward_open(&f, alone, m, w->window, text_windows_chunk(w, alone), d);
    if (!rc) rc = text_windows_run(w, alone, &f, keep, l, d);
    if (!rc) rc = text_windows_check(l->mean_nll, alone, &f, d);
    tp_forward_close(&f);
    return rc;
}

/* Both must speak of the same tokens. */
static int same_tokens(const struct text_windows *a, const struct text_windows *b, const char *model, struct diag *d) {
    int same = a->n == b->n && a->bos == b->bos && a->window == b->window && a->n_windows == b->n_windows &&
               !memcmp(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    return same ? 0
                : diag_set(d, ERR_MISMATCH,
                           "%.200s cuts the text into other tokens or windows than the model: give a --reference with "
                           "the same vocabulary, and --window",
                           model);
}

static int make(struct quality_logits *l, struct quality_store *s, struct app *alone, const struct text_windows *as,
                struct diag *d) {
    const struct model *m;
    const struct quality_text *t;
    int rc = quality_model(&m, s, alone, d);
    if (!rc) rc = quality_text(&t, s, alone, m, d);
    if (!rc) rc = same_tokens(&t->windows, as, alone->spec.model, d);
    if (!rc && kernels_select(NULL)) rc = diag_set(d, ERR_UNSUPPORTED, "no kernels for this CPU");
    return rc ? rc : run_alone(l, alone, m, &t->windows, d);
}

int quality_one_rank(const struct quality_logits **out, struct quality_store *s, const struct app *app, int full,
                     const struct text_windows *as, struct diag *d) {
    set_alone(s->alone, app, full);
    uint64_t key = quality_choice(s->alone);
    struct quality_logits *l = quality_find(s->logits, key, forget_logits);
    *out = l;
    if (l) return 0;
    *out = l = s->logits[0] = calloc(1, sizeof *l);
    struct link *self = s->alone->world = link_self_new();
    int rc = l && self ? make(l, s, s->alone, as, d) : diag_set(d, ERR_MEMORY, "no memory for a rank");
    link_free(self);
    if (!rc) l->key = key;
    return rc;
}
