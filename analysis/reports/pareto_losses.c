/* What each saving loses, as measured: the file that comes with the program, and rows of it measured again. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/data.h"
#include "base/text.h"
#include "pareto.h"

enum { MOST_MODELS = 16 };
static const char grid[] = "analysis/sweeps/quality-grid.yaml";

/* ---- a row ---- */

/* A file by its name without folder and suffix, in name[64]. */
static void base_name(char name[64], const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *suffix = strstr(base, ".gguf");
    snprintf(name, 64, "%.*s", suffix ? (int)(suffix - base) : 63, base);
}

/* What a model's file says of itself, kept as long as the losses. */
struct pareto_model {
    char name[64];
    const char *quant, *head; /* names of tensor types: static */
    int layers;
};

static int open_model(struct pareto_model *m, const char *path, const struct app *app, struct diag *d) {
    char bundled[128], found[4096];
    struct app own = *app;
    struct model model = {0};
    base_name(m->name, path);
    snprintf(bundled, sizeof bundled, "models/bundled/%s.gguf", m->name);
    int rc = data_path(found, sizeof found, bundled, d);
    own.spec.model = found;
    own.spec.quant = NULL;
    if (!rc) rc = model_open_parts(&model, &own, MODEL_SHAPE, d);
    if (rc) return rc;
    const struct tensor_type *layers = shape_type(&model.shape, ROLE_UP, 0),
                             *head = shape_type(&model.shape, ROLE_HEAD, 0);
    m->quant = layers->name;
    m->head = head ? head->name : layers->name;
    m->layers = model.shape.n_layers;
    model_close(&model);
    return 0;
}

static int find_model(const struct pareto_model **out, struct pareto_losses *l, const char *path, const struct app *app,
                      struct diag *d) {
    char name[64];
    base_name(name, path);
    for (int i = 0; i < l->n_models; i++)
        if (!strcmp(l->model[i].name, name)) {
            *out = &l->model[i];
            return 0;
        }
    if (l->n_models == MOST_MODELS) return diag_set(d, ERR_RANGE, "more than %d models", MOST_MODELS);
    *out = &l->model[l->n_models];
    int rc = open_model(&l->model[l->n_models], path, app, d);
    l->n_models += !rc;
    return rc;
}

/* One of the words that are known, which outlives the text; "" is the first. NULL: none of them. */
static const char *word_of(const char *text, const char *const *words) {
    if (!text[0]) return words[0];
    while (*words && strcmp(text, *words) != 0)
        words++;
    return *words;
}

/* How many layers do not meet; -1: some that were named. */
static int dropped(const char *text, int layers) {
    long k = 0;
    if (!text[0] || !strcmp(text, "none")) return 0;
    if (!strcmp(text, "all")) return layers;
    if (strncmp(text, "least:", 6) || text_int(text + 6, 1, layers, "", &k, NULL)) return -1;
    return (int)k;
}

/* 0: ranks of this strategy share more than layers' rows. */
static int ranks_of(const char *strategy) {
    struct strategy st;
    if (!strategy[0]) return 1;
    if (strategy_parse(&st, strategy, NULL) || st.kvp > 1 || strategy_ranks(&st) != st.tp) return 0;
    return st.tp;
}

static void set_mean(double out[3], const struct data *t, int row, const char *name) {
    static const char *const ends[] = {"", ":low", ":high"};
    char column[64];
    for (int i = 0; i < 3; i++) {
        snprintf(column, sizeof column, "%s%s [nats/token]", name, ends[i]);
        out[i] = data_number(t, row, column);
    }
}

static const char *const modes[] = {"a8", "a16", "a4", "w4a4", NULL}, *const caches[] = {"f16", "int8", "int4", NULL},
                         *const wires[] = {"f32", "fp16", "int8", "int4", NULL},
                         *const algos[] = {"auto", "oneshot", "twoshot", NULL};

/* Where the words of a point stand: in a row of the file, or in a sweep's point. */
struct source {
    const struct data *data;
    int row;
    const struct sweep_point *point; /* or */
};

static const char *text_of(const struct source *from, const char *name) {
    if (!from->point) return data_text(from->data, from->row, name);
    for (int i = 0; i < from->point->n; i++)
        if (!strcmp(from->point->at[i].name, name)) return from->point->at[i].value;
    return "";
}

/* *use 0: of another study. */
static int read_saving(struct pareto_loss *out, int *use, struct pareto_losses *l, const struct source *from,
                       const struct app *app, struct diag *d) {
    const struct pareto_model *m = NULL;
    struct pareto_saving *s = &out->saved;
    *use = 0;
    int rc = find_model(&m, l, text_of(from, "model"), app, d);
    if (rc) return rc;
    *s = (struct pareto_saving){.model = m->name, .quant = m->quant, .head = m->head, .layers = m->layers};
    s->mode = word_of(text_of(from, "mode"), modes);
    s->kv = word_of(text_of(from, "kv"), caches);
    s->wire = word_of(text_of(from, "wire"), wires);
    s->allreduce = word_of(text_of(from, "allreduce"), algos);
    s->dropped = dropped(text_of(from, "drop-sync"), m->layers);
    out->ranks = ranks_of(text_of(from, "strategy"));
    if (!s->mode || !s->kv || !s->wire || !s->allreduce || s->dropped < 0 || !out->ranks) return 0;
    if (!strcmp(s->wire, "f32")) s->allreduce = "auto"; /* which one changes nothing, or a last bit */
    *use = 1;
    return 0;
}

static int read_row(struct pareto_loss *out, int *use, struct pareto_losses *l, const struct data *t, int row,
                    const struct app *app, struct diag *d) {
    struct source from = {t, row, NULL};
    int rc = read_saving(out, use, l, &from, app, d);
    if (rc || !*use) return rc;
    double n = data_number(t, row, "kl_nats:n [nats/token]");
    out->n = n > 0 && n <= INT_MAX ? (int)n : 0;
    set_mean(out->kl, t, row, "kl_nats");
    set_mean(out->dnll, t, row, "dnll_nats");
    return isfinite(out->kl[0]) && isfinite(out->dnll[0]) && out->n > 0
               ? 0
               : diag_set(d, ERR_FORMAT, "row %d: no kl_nats and dnll_nats with their n", row + 2);
}

/* ---- all of them ---- */

static int read_rows(struct pareto_losses *l, const struct data *t, const struct app *app, struct diag *d) {
    int rc = 0, use;
    l->at = calloc((size_t)t->n_rows + 1, sizeof *l->at);
    l->model = calloc(MOST_MODELS, sizeof *l->model);
    if (!l->at || !l->model) return diag_set(d, ERR_MEMORY, "no memory for %d measured points", t->n_rows);
    for (int row = 0; row < t->n_rows && !rc; row++) {
        rc = read_row(&l->at[l->n], &use, l, t, row, app, d);
        if (!rc && use && l->n && l->at[l->n].n != l->at[0].n)
            rc = diag_set(d, ERR_FORMAT, "row %d: of %d predictions, others of %d: they are not of one text", row + 2,
                          l->at[l->n].n, l->at[0].n);
        l->n += !rc && use;
    }
    if (!rc && !l->n) rc = diag_set(d, ERR_FORMAT, "no row of a quality");
    return rc;
}

int pareto_losses_read(struct pareto_losses *out, const struct app *app, struct diag *d) {
    struct data t;
    struct diag own = {0};
    *out = (struct pareto_losses){0};
    int rc = data_read(&t, "quality", d);
    if (rc) return rc;
    rc = read_rows(out, &t, app, &own);
    if (rc) diag_set(d, rc, "analysis/data/quality.csv: %s", own.text);
    data_fini(&t);
    if (rc) pareto_losses_free(out);
    return rc;
}

void pareto_losses_free(struct pareto_losses *l) {
    free(l->at);
    free(l->model);
    *l = (struct pareto_losses){0};
}

/* ---- measured again ---- */

int pareto_same(const struct pareto_saving *a, const struct pareto_saving *b, enum pareto_axis axis) {
    switch (axis) {
    case PARETO_NUMBERS: return !strcmp(a->model, b->model) && !strcmp(a->mode, b->mode);
    case PARETO_KV: return !strcmp(a->kv, b->kv);
    case PARETO_WIRE: return !strcmp(a->wire, b->wire) && !strcmp(a->allreduce, b->allreduce);
    default: return a->dropped == b->dropped;
    }
}

static const struct pareto_loss *find(const struct pareto_losses *l, const struct pareto_loss *as) {
    for (const struct pareto_loss *k = l->at; k < l->at + l->n; k++) {
        int same = k->ranks == as->ranks;
        for (int axis = 0; axis < PARETO_AXES; axis++)
            same &= pareto_same(&k->saved, &as->saved, (enum pareto_axis)axis);
        if (same) return k;
    }
    return NULL;
}

/* The same number, but for the last digits that the file leaves out. */
static int equal(double file, double now) {
    return fabs(file - now) <= 1e-9 * fabs(now) + 1e-15;
}

static int check_point(struct pareto_losses *l, struct sweep_cache *cache, const struct sweep_point *p,
                       const struct app *app, struct diag *d) {
    struct pareto_loss asked = {0};
    struct sweep_outcome now;
    struct source from = {.point = p};
    int use, rc = read_saving(&asked, &use, l, &from, app, d);
    if (rc || !use) return rc;
    const struct pareto_loss *was = find(l, &asked);
    char *command = sweep_command(p);
    sweep_do(&now, cache, p);
    if (app_stop)
        rc = diag_set(d, ERR_INTERRUPTED, "interrupted");
    else if (now.reason[0] || !was)
        rc = diag_set(d, ERR_MISMATCH, "%.300s: %s", command ? command : "", was ? now.reason : "not in quality.csv");
    else if (!equal(was->kl[0], sweep_value(&now, "kl_nats")) || !equal(was->dnll[0], sweep_value(&now, "dnll_nats")))
        rc = diag_set(d, ERR_MISMATCH,
                      "analysis/data/quality.csv: KL %.9g nats a token, but measured now %.9g: make it anew as %s says "
                      "(%.300s)",
                      was->kl[0], sweep_value(&now, "kl_nats"), grid, command ? command : "");
    free(command);
    return rc;
}

int pareto_losses_check(struct pareto_losses *l, const struct app *app, int points, struct diag *d) {
    char path[4096];
    struct sweep *sweep = NULL;
    struct sweep_cache *cache = sweep_cache_new(app);
    struct sweep_point *p = malloc(sizeof *p);
    int rc = cache && p ? data_path(path, sizeof path, grid, d) : diag_set(d, ERR_MEMORY, "no memory for points");
    if (!rc) rc = sweep_read(&sweep, path, d);
    for (int i = 0; i < points && !rc; i++) {
        sweep_point(p, sweep, (long)((i + 0.5) * (double)sweep_points(sweep) / points));
        rc = check_point(l, cache, p, app, d);
    }
    sweep_free(sweep);
    sweep_cache_free(cache);
    free(p);
    return rc;
}

/* ---- in words ---- */

static const char *numbers_text(const struct pareto_saving *s, char buf[64]) {
    const char *steps = strcmp(s->quant, "I4") ? "" : strstr(s->model, "-ptq") ? " (chosen steps)" : " (learned steps)";
    snprintf(buf, 64, "%s %s%s", s->quant, s->mode, steps);
    return buf;
}

const char *pareto_saving_text(const struct pareto_saving *s, enum pareto_axis axis, char buf[64]) {
    int exact = !strcmp(s->allreduce, "auto");
    switch (axis) {
    case PARETO_NUMBERS: return numbers_text(s, buf);
    case PARETO_KV: snprintf(buf, 64, "%s", s->kv); break;
    case PARETO_WIRE: snprintf(buf, 64, "%s%s%s", s->wire, exact ? "" : " ", exact ? "" : s->allreduce); break;
    default: snprintf(buf, 64, s->dropped ? "%.3g %% dropped" : "all", 100.0 * s->dropped / s->layers); break;
    }
    return buf;
}
