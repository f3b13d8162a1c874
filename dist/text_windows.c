#include "text_windows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "collectives/agree.h"

enum { DEFAULT_WINDOW = 256 };

/* ---- the text ---- */

int text_input(const struct app *app, const char *path, char **text, size_t *len, struct diag *d) {
    const char *given = app->spec.text;
    if (!given) return text_read_file(path, (size_t)1 << 30, text, len, d);
    *len = strlen(given);
    *text = strdup(given);
    return *text ? 0 : diag_set(d, ERR_MEMORY, "no memory for the text");
}

static int read_ids(struct text_windows *w, const struct app *app, const struct model *m, const char *path,
                    struct diag *d) {
    char *text = NULL;
    int rc = app->rank == 0 ? text_input(app, path, &text, &w->bytes, d) : 0;
    if (!rc && app->rank == 0) w->n = tokenizer_encode(m->tokenizer, text, w->bytes, 0, &w->ids, d);
    free(text);
    rc = err_agree(app->world, rc ? rc : w->n < 0 ? w->n : 0, d);
    if (rc) return rc;
    agree_bcast(app->world, 0, &w->n, sizeof w->n);
    if (app->rank != 0) w->ids = malloc(((size_t)w->n + 1) * sizeof *w->ids);
    rc = err_agree(app->world, w->ids ? 0 : diag_set(d, ERR_MEMORY, "no memory for the text's ids"), d);
    if (!rc && w->n) agree_bcast(app->world, 0, w->ids, (size_t)w->n * sizeof *w->ids);
    return rc;
}

/* ---- windows ---- */

static int extra(const struct text_windows *w) {
    return w->bos >= 0;
}

/* Where a window begins in the text. */
static int begin(const struct text_windows *w, int window) {
    return (int)((int64_t)window * w->every / w->n_windows) * w->body;
}

static int length(const struct text_windows *w, int at) {
    return w->n - at < w->body ? w->n - at : w->body;
}

int text_windows_count(const struct text_windows *w, int window) {
    int n = length(w, begin(w, window)) + extra(w) - 1 - w->skip;
    return n > 0 ? n : 0;
}

int text_windows_chunk(const struct text_windows *w, const struct app *app) {
    return app->spec.chunk < w->window ? (int)app->spec.chunk : w->window;
}

static int cut(struct text_windows *w, const struct app *app, const struct model *m, struct diag *d) {
    int n_ctx = m->shape.n_ctx;
    if (!w->window) w->window = n_ctx && n_ctx < DEFAULT_WINDOW ? n_ctx : DEFAULT_WINDOW;
    w->body = w->window - extra(w);
    if (n_ctx && w->window > n_ctx)
        return diag_set(d, ERR_RANGE, "--window %d is longer than the model's context of %d", w->window, n_ctx);
    if (w->n < w->skip + 2 || w->body < 1)
        return diag_set(d, ERR_USAGE, "the text has %d tokens: at least %d are needed", w->n, w->skip + 2);
    if (w->skip > w->window - 2)
        return diag_set(d, ERR_USAGE, "--skip %d leaves nothing of a window of %d", w->skip, w->window);
    w->n_windows = w->every = (w->n + w->body - 1) / w->body;
    if (w->every > 1 && !text_windows_count(w, w->every - 1)) w->n_windows = --w->every;
    if (app->spec.windows && app->spec.windows < w->every) w->n_windows = (int)app->spec.windows;
    for (int i = 0; i < w->n_windows; i++)
        w->predictions += text_windows_count(w, i);
    return 0;
}

int text_windows_read(struct text_windows *w, const struct app *app, const struct model *m, const char *path,
                      struct diag *d) {
    memset(w, 0, sizeof *w);
    if (!m->shape.causal)
        return diag_set(d, ERR_UNSUPPORTED, "%s is an encoder: it predicts no token, so it has no perplexity",
                        m->shape.name);
    int rc = read_ids(w, app, m, path, d);
    w->bos = -1;
    if (app->rank == 0 && tokenizer_adds_bos(m->tokenizer) && !app->spec.no_bos) w->bos = tokenizer_bos(m->tokenizer);
    if (!rc) agree_bcast(app->world, 0, &w->bos, sizeof w->bos);
    w->window = (int)app->spec.window;
    w->skip = (int)app->spec.skip;
    if (!rc) rc = cut(w, app, m, d);
    if (rc) text_windows_fini(w);
    return rc;
}

void text_windows_fini(struct text_windows *w) {
    free(w->ids);
    memset(w, 0, sizeof *w);
}

/* ---- reading it ---- */

/* Buffers of one window. */
struct buffers {
    int *token, *id, *seq, *pos;
    float *logits; /* [chunk][n_vocab] */
};

/* One window from position 0, of n tokens. */
static void run_window(const struct text_windows *w, struct buffers *b, int window, int n, struct tp_forward *f,
                       text_see *see, void *user) {
    int n_vocab = f->plan->shape.n_vocab, chunk = f->plan->opts.decoder.max_tokens;
    for (int at = 0; at < n; at += chunk) {
        int m = n - at < chunk ? n - at : chunk;
        for (int i = 0; i < m; i++) {
            b->id[i] = b->token[at + i];
            b->pos[i] = at + i;
        }
        struct token_batch batch = {m, b->id, b->seq, b->pos};
        tp_forward_run(f, &batch, b->logits);
        for (int i = 0; see && i < m && at + i + 1 < n; i++)
            if (at + i >= w->skip) see(user, window, b->token[at + i + 1], b->logits + (size_t)i * (size_t)n_vocab);
    }
}

static int allocate(struct buffers *b, const struct text_windows *w, const struct plan *p, struct diag *d) {
    size_t tokens = (size_t)w->window, chunk = (size_t)p->opts.decoder.max_tokens;
    b->token = calloc(tokens + 3 * chunk, sizeof *b->token);
    b->id = b->token + tokens;
    b->seq = b->id + chunk;
    b->pos = b->seq + chunk;
    b->logits = malloc(chunk * (size_t)p->shape.n_vocab * sizeof *b->logits);
    return b->token && b->logits ? 0 : diag_set(d, ERR_MEMORY, "no memory for a window of %d tokens", w->window);
}

int text_windows_run(const struct text_windows *w, const struct app *app, struct tp_forward *f, text_see *see,
                     void *user, struct diag *d) {
    struct buffers b;
    int stop = 0, shown = app->rank == 0 && !app->spec.quiet && isatty(2);
    int rc = err_agree(app->world, allocate(&b, w, f->plan, d), d);
    for (int i = 0; !rc && i < w->n_windows; i++) {
        stop = agree_max(app->world, app_stop, NULL) > 0;
        if (stop) break;
        int at = begin(w, i), n = length(w, at);
        if (extra(w)) b.token[0] = w->bos;
        memcpy(b.token + extra(w), w->ids + at, (size_t)n * sizeof *w->ids);
        run_window(w, &b, i, n + extra(w), f, see, user);
        if (shown) fprintf(stderr, "\r%d of %d windows", i + 1, w->n_windows);
    }
    if (shown && !rc) fputc('\n', stderr);
    free(b.token);
    free(b.logits);
    return stop ? diag_set(d, ERR_INTERRUPTED, "interrupted by a signal: no result") : rc;
}

int text_windows_check(double mean_nll, const struct app *app, const struct tp_forward *f, struct diag *d) {
    if (isfinite(mean_nll)) return 0;
    return diag_set(d, ERR_FORMAT, "%s: the logits are not numbers: its weights hold NaN or infinities%s",
                    app->spec.model,
                    f->plan->opts.decoder.hidden ? ", or its hidden states do not fit --hidden: try f32" : "");
}

/* ---- means ---- */

struct text_mean text_windows_mean(const struct text_windows *w, const double *sums) {
    struct text_mean m = {0, NAN, NAN};
    double square = 0, n = (double)w->predictions;
    for (int i = 0; i < w->n_windows; i++)
        m.mean += sums[i];
    m.mean /= n;
    for (int i = 0; i < w->n_windows; i++) {
        double off = sums[i] - text_windows_count(w, i) * m.mean;
        square += off * off;
    }
    if (w->n_windows < TEXT_LEAST_WINDOWS) return m;
    double error = sqrt(square * w->n_windows / (w->n_windows - 1.0)) / n;
    m.low = m.mean - 1.96 * error;
    m.high = m.mean + 1.96 * error;
    return m;
}
