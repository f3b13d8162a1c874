/* northwall model: look at a model, make one, measure one. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../perplexity.h"
#include "models/quantize.h"
#include "models/synth.h"

static int do_info(struct app *app, struct model *m, struct diag *d) {
    const struct model_shape *s = &m->shape;
    struct diag why = {0};
    if (m->file && shape_read(&m->shape, m->file, &why)) {
        printf("northwall cannot run this file: %s\n", why.text);
        return gguf_print(m->file, stdout, app->spec.all, d);
    }
    printf("%s: %s, %d layers x %d, %d heads (%d KV) of %d, FFN %d, vocabulary %d, context %d, %.1f M parameters\n",
           s->name, s->arch, s->n_layers, s->d_model, s->n_heads, s->n_kv_heads, s->head_dim, s->d_ffn, s->n_vocab,
           s->n_ctx, 1e-6 * (double)shape_params(s));
    if (m->file) return gguf_print(m->file, stdout, app->spec.all, d);
    puts("preset: synthetic weights, generated in place from --seed");
    return 0;
}

static int progress(void *user, size_t done, size_t bytes) {
    const struct app *app = user;
    if (!app->spec.quiet && isatty(2))
        fprintf(stderr, "\r%3.0f %%%s", 100.0 * (double)done / (double)(bytes ? bytes : 1), done >= bytes ? "\n" : "");
    return app_stop;
}

static int threads(const struct app *app) {
    return app->spec.threads ? (int)app->spec.threads : app->cores;
}

static int do_synth(struct app *app, struct model *m, struct diag *d) {
    if (m->file) return diag_set(d, ERR_USAGE, "model synth writes presets: --model must be one (northwall list)");
    if (!app->spec.out) return diag_set(d, ERR_USAGE, "model synth needs --out FILE.gguf");
    return model_synth(&m->shape, (uint64_t)app->spec.seed, app->spec.out, threads(app), progress, app, d);
}

static int do_quantize(struct app *app, struct model *m, struct diag *d) {
    if (!m->file) return diag_set(d, ERR_USAGE, "model quantize needs a GGUF file; presets take --quant directly");
    if (!app->spec.out || !app->spec.type)
        return diag_set(d, ERR_USAGE, "model quantize needs --type TYPE and --out FILE.gguf");
    struct quantize_opts o = {.type = app->spec.type,
                              .head_type = app->spec.head_type,
                              .threads = threads(app),
                              .progress = progress,
                              .progress_arg = app};
    return model_quantize(m->file, &o, app->spec.out, d);
}

/* The file named after the action, or standard input. */
static const char *text_path(const struct app *app) {
    return app->spec.n_args > 1 ? app->spec.args[1] : "-";
}

static int do_tokenize(struct app *app, struct model *m, struct diag *d) {
    char *text;
    size_t len;
    int rc = text_input(app, text_path(app), &text, &len, d);
    if (rc) return rc;
    int ends = app->spec.no_bos ? 0 : TOKENIZE_BOS | TOKENIZE_EOS; /* where the file asks for them */
    int *ids = NULL, n = tokenizer_encode(m->tokenizer, text, len, TOKENIZE_SPECIAL | ends, &ids, d);
    for (int i = 0; i < n; i++)
        printf(i ? " %d" : "%d", ids[i]);
    if (n >= 0) putchar('\n');
    free(ids);
    free(text);
    return n < 0 ? n : 0;
}

static json_t *perplexity_end(double nll) {
    return isnan(nll) ? json_null() : json_real(exp(nll));
}

static void perplexity_json(const struct app *app, const struct perplexity *p, const struct text_windows *w) {
    json_t *o = json_pack("{s:s, s:f, s:o, s:o, s:f, s:i, s:i, s:i, s:f}", "kind", "measured", "perplexity",
                          exp(p->nll.mean), "perplexity_low", perplexity_end(p->nll.low), "perplexity_high",
                          perplexity_end(p->nll.high), "mean_nll_nats", p->nll.mean, "tokens", p->n, "windows",
                          w->n_windows, "window_tokens", w->window, "seconds", p->seconds);
    if (app->spec.all) {
        json_t *best = json_array(), *margin = json_array(), *nll = json_array(), *token = json_array();
        for (int i = 0; i < p->n; i++) {
            json_array_append_new(token, json_integer(p->at[i].token));
            json_array_append_new(best, json_integer(p->at[i].best));
            json_array_append_new(margin, json_real((double)p->at[i].margin));
            json_array_append_new(nll, json_real(p->at[i].nll));
        }
        json_object_update_new(o, json_pack("{s:o, s:o, s:o, s:o}", "token", token, "best", best, "margin_logits",
                                            margin, "nll_nats", nll));
    }
    json_dumpf(o, stdout, app->spec.all ? JSON_COMPACT : JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
}

static void print_perplexity(const struct app *app, const struct perplexity *p, const struct text_windows *w) {
    double bits = p->nll.mean * p->n / 0.69314718055994530942 / (double)w->bytes;
    printf("perplexity %.4f ", exp(p->nll.mean));
    if (!isnan(p->nll.high))
        printf("[%.4f, %.4f] (measured; 95 %% interval over", exp(p->nll.low), exp(p->nll.high));
    else
        printf("(measured; too few windows for an interval:");
    printf(" %d windows of %d tokens), %d tokens", w->n_windows, w->window, p->n);
    if (!app->spec.skip) printf(", %.4f bits a byte", bits);
    printf(", %.1f tok/s\n", p->n / p->seconds);
}

static int do_perplexity(struct app *app, struct model *m, struct diag *d) {
    struct text_windows w;
    struct perplexity p;
    int rc = text_windows_read(&w, app, m, text_path(app), d);
    if (rc) return rc;
    rc = perplexity_measure(&p, app, m, &w, d);
    if (!rc && app->rank == 0) {
        if (app->spec.json)
            perplexity_json(app, &p, &w);
        else
            print_perplexity(app, &p, &w);
    }
    if (!rc) perplexity_fini(&p);
    text_windows_fini(&w);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct app *app, struct model *m, struct diag *d);
    int parts; /* of the model that it needs */
} actions[] = {{"info", do_info, 0},
               {"synth", do_synth, MODEL_SHAPE},
               {"quantize", do_quantize, MODEL_SHAPE},
               {"tokenize", do_tokenize, MODEL_TOKENIZER},
               {"perplexity", do_perplexity, MODEL_SHAPE | MODEL_TOKENIZER}};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

/* In the order of actions. */
static const struct cmd_mode modes[] = {
    {"model info", "quant all"},
    {"model synth", "quant out seed threads"},
    {"model quantize", "type head-type out threads"},
    {"model tokenize", "text no-bos"},
    {"model perplexity",
     "quant text window windows skip seed kvp threads mode kv hidden allreduce transport wire drop-sync "
     "net log kernels all json"},
    {0},
};
_Static_assert(sizeof modes / sizeof *modes == N_ACTIONS + 1, "a mode for each action");

static int mode(const struct run_spec *s) {
    for (int i = 0; i < N_ACTIONS && s->n_args; i++)
        if (!strcmp(actions[i].name, s->args[0])) return i;
    return -1;
}

static int run(struct app *app, struct diag *d) {
    const char *what = app->spec.n_args ? app->spec.args[0] : "";
    int at = mode(&app->spec);
    if (at < 0)
        return diag_set(d, ERR_USAGE,
                        "northwall model '%.40s': actions are info, synth, quantize, tokenize, perplexity", what);
    if (app->size > 1 && strcmp(what, "perplexity"))
        return diag_set(d, ERR_USAGE, "northwall model %s works on one rank: run it without mpirun", what);
    struct model m;
    int rc = model_open_parts(&m, app, actions[at].parts, d);
    if (rc) return rc;
    rc = actions[at].run(app, &m, d);
    model_close(&m);
    return rc;
}

const struct cmd cmd_model = {
    .name = "model",
    .summary = "info | synth | quantize | tokenize | perplexity",
    .usage = "info|synth|quantize|tokenize|perplexity --model FILE|PRESET [TEXTFILE] [options]",
    .options = "model quiet",
    .modes = modes,
    .mode = mode,
    .notes =
        "info        what a file or preset holds (--all: long arrays too), and whether it can be run\n"
        "synth       write a preset's synthetic weights as GGUF: --model PRESET --quant TYPE --out FILE\n"
        "quantize    write a file at another storage type: --model IN --type TYPE --out FILE\n"
        "tokenize    ids of --text, TEXTFILE or standard input, on one line, with the begin and end tokens that the "
        "file\n"
        "            asks for (--no-bos: neither); a vocabulary alone will do\n"
        "perplexity  of --text, TEXTFILE or standard input, in windows of --window tokens with a begin token first;\n"
        "            under mpirun the ranks share each layer (tensor parallelism; --kvp N: cache by position);\n"
        "            each token counts once, but for --skip (llama.cpp's program at -c 512: --window 512 --skip 255)",
    .max_args = 2,
    .run = run,
};
