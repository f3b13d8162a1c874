#include "perplexity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/agree.h"
#include "dist/engine.h"
#include "tp_forward.h"

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

enum { DEFAULT_WINDOW = 256 };

/* Buffers of one window. */
struct window {
    int *id, *seq, *pos;
    float *logits;
    int chunk; /* tokens of a call: bounds the logits' memory */
};

/* Feeds one window from position 0 and scores tokens 1..n-1. */
static void run_window(struct tp_forward *f, struct window *w, const int *tokens, int n, struct prediction *out) {
    int n_vocab = f->plan->shape.n_vocab;
    for (int at = 0; at < n; at += w->chunk) {
        int m = n - at < w->chunk ? n - at : w->chunk;
        for (int i = 0; i < m; i++) {
            w->id[i] = tokens[at + i];
            w->seq[i] = 0;
            w->pos[i] = at + i;
        }
        struct token_batch b = {m, w->id, w->seq, w->pos};
        tp_forward_run(f, &b, w->logits);
        for (int i = 0; i < m && at + i + 1 < n; i++)
            out[at + i] = score(w->logits + (size_t)i * (size_t)n_vocab, n_vocab, tokens[at + i + 1]);
    }
}

static void summarize(struct perplexity *p, const int *window_n) {
    double sum = 0, square = 0, at_mean;
    for (int i = 0; i < p->n; i++)
        sum += p->at[i].nll;
    p->mean_nll = sum / p->n;
    p->perplexity = exp(p->mean_nll);
    for (int w = 0, at = 0; w < p->n_windows; at += window_n[w++]) {
        at_mean = 0;
        for (int i = 0; i < window_n[w]; i++)
            at_mean += p->at[at + i].nll - p->mean_nll;
        square += at_mean * at_mean;
    }
    if (p->n_windows < 8) return;
    double error = sqrt(square * p->n_windows / (p->n_windows - 1.0)) / p->n;
    p->low = exp(p->mean_nll - 1.96 * error);
    p->high = exp(p->mean_nll + 1.96 * error);
}

int perplexity_measure(struct perplexity *out, const struct app *app, const struct model *m, const int *ids, int n,
                       struct diag *d) {
    memset(out, 0, sizeof *out);
    int bos = -1, extra;
    if (app->rank == 0 && tokenizer_adds_bos(m->tokenizer) && !app->spec.no_bos) bos = tokenizer_bos(m->tokenizer);
    agree_bcast(app->world, 0, &bos, sizeof bos);
    extra = bos >= 0;
    int window = (int)app->spec.window, n_ctx = m->shape.n_ctx, skip = (int)app->spec.skip;
    if (!window) window = n_ctx && n_ctx < DEFAULT_WINDOW ? n_ctx : DEFAULT_WINDOW;
    int body = window - extra;
    if (n_ctx && window > n_ctx)
        return diag_set(d, ERR_RANGE, "--window %d is longer than the model's context of %d", window, n_ctx);
    if (n < skip + 2 || body < 1)
        return diag_set(d, ERR_USAGE, "the text has %d tokens: at least %d are needed", n, skip + 2);
    if (skip > window - 2) return diag_set(d, ERR_USAGE, "--skip %d leaves nothing of a window of %d", skip, window);
    struct window w = {.chunk = window < 64 ? window : 64};
    struct tp_forward f = {0};
    int max_windows = (n + body - 1) / body, *window_n = calloc((size_t)max_windows, sizeof *window_n);
    int *tokens = calloc((size_t)window, sizeof *tokens);
    w.id = calloc((size_t)w.chunk * 3, sizeof *w.id);
    w.logits = malloc((size_t)w.chunk * (size_t)m->shape.n_vocab * sizeof(float));
    out->at = calloc((size_t)n + (size_t)max_windows, sizeof *out->at);
    int rc = window_n && tokens && w.id && w.logits && out->at
                 ? 0
                 : diag_set(d, ERR_MEMORY, "no memory for a window of %d tokens", window);
    rc = err_agree(app->world, rc, d);
    if (!rc) rc = tp_forward_open(&f, app, m, window, w.chunk, d);
    if (!rc) {
        w.seq = w.id + w.chunk;
        w.pos = w.seq + w.chunk;
    }
    double t = engine_now();
    int stop = 0;
    for (int at = 0; !rc && at < n; at += body) {
        stop = agree_max(app->world, app_stop, NULL) > 0;
        if (stop) break;
        int k = n - at < body ? n - at : body;
        if (extra) tokens[0] = bos;
        memcpy(tokens + extra, ids + at, (size_t)k * sizeof *ids);
        if (k + extra < 2) break;
        run_window(&f, &w, tokens, k + extra, out->at + out->n);
        int counted = k + extra - 1 - skip;
        if (counted < 1) break;
        memmove(out->at + out->n, out->at + out->n + skip, (size_t)counted * sizeof *out->at);
        out->n += window_n[out->n_windows++] = counted;
        if (app->rank == 0 && !app->spec.quiet && isatty(2)) fprintf(stderr, "\r%d of %d tokens", at + k, n);
    }
    if (!rc && stop) rc = diag_set(d, ERR_INTERRUPTED, "interrupted by a signal: no result");
    if (!rc) summarize(out, window_n);
    if (!rc && !isfinite(out->mean_nll))
        rc = diag_set(d, ERR_FORMAT, "%s: the logits are not numbers: its weights hold NaN or infinities%s",
                      app->spec.model,
                      f.plan->opts.decoder.hidden ? ", or its hidden states do not fit --hidden: try f32" : "");
    out->window = window;
    out->seconds = engine_now() - t;
    tp_forward_close(&f);
    free(window_n);
    free(tokens);
    free(w.id);
    free(w.logits);
    if (rc) perplexity_fini(out);
    return rc;
}

void perplexity_fini(struct perplexity *p) {
    free(p->at);
    memset(p, 0, sizeof *p);
}
