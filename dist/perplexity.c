#include "perplexity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/agree.h"
#include "dist/engine.h"

static struct prediction score(const float *logits, int n_vocab, int token) {
    struct prediction p = {.token = token, .best = 0};
    for (int i = 1; i < n_vocab; i++)
        if (logits[i] > logits[p.best]) p.best = i;
    float second = -INFINITY;
    double sum = 0;
    for (int i = 0; i < n_vocab; i++) {
        if (i != p.best && logits[i] > second) second = logits[i];
        sum += exp((double)logits[i] - logits[p.best]);
    }
    p.margin = logits[p.best] - second;
    p.nll = log(sum) + (double)logits[p.best] - (double)logits[token];
    return p;
}

struct scorer {
    struct perplexity *out;
    double *sums; /* [windows] of nll */
    int n_vocab;
};

static void see(void *user, int window, int token, const float *logits) {
    struct scorer *s = user;
    struct prediction *p = &s->out->at[s->out->n++];
    *p = score(logits, s->n_vocab, token);
    s->sums[window] += p->nll;
}

int perplexity_measure(struct perplexity *out, const struct app *app, const struct model *m,
                       const struct text_windows *w, struct diag *d) {
    struct scorer s = {out, calloc((size_t)w->n_windows, sizeof *s.sums), m->shape.n_vocab};
    struct tp_forward f = {0};
    memset(out, 0, sizeof *out);
    out->at = calloc((size_t)w->predictions, sizeof *out->at);
    int rc = s.sums && out->at ? 0 : diag_set(d, ERR_MEMORY, "no memory for %ld predictions", w->predictions);
    rc = err_agree(app->world, rc, d);
    if (!rc) rc = tp_forward_open(&f, app, m, w->window, text_windows_chunk(w, app), d);
    double t = engine_now();
    if (!rc) rc = text_windows_run(w, app, &f, see, &s, d);
    out->seconds = engine_now() - t;
    if (!rc) out->nll = text_windows_mean(w, s.sums);
    if (!rc) rc = text_windows_check(out->nll.mean, app, &f, d);
    tp_forward_close(&f);
    free(s.sums);
    if (rc) perplexity_fini(out);
    return rc;
}

void perplexity_fini(struct perplexity *p) {
    free(p->at);
    memset(p, 0, sizeof *p);
}
