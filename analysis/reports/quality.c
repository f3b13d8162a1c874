/* northwall report quality: what precision and schedule do to predictions, labels held to, and errors that were
 * predicted. Its points are those of the sweeps analysis/sweeps/quality-*.yaml. */
#include "quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/data.h"
#include "analysis/error_model.h"
#include "dist/quality.h"
#include "figure.h"

static const char *const specs[] = {"precision", "exact", "steps", "wire", "sync"};
enum { SPECS = sizeof specs / sizeof *specs, QUICK_RANKS = 2 };

enum name { MODEL, MODE, KV, STRATEGY, ALLREDUCE, WIRE, DROP, CHUNK, NAMES };
static const char *const names[NAMES] = {"model", "mode", "kv", "strategy", "allreduce", "wire", "drop-sync", "chunk"};
static const char *const usual[NAMES] = {"", "a8", "f16", "1", "auto", "f32", "none", "64"};

struct kept {
    char at[NAMES][24];
    struct sweep_outcome o;
};

struct study_of_quality {
    struct report_page *page;
    const struct app *app;
    struct sweep_cache *cache;
    struct sweep_point *point;
    struct kept *kept;
    int n;
    struct diag *d;
};

/* ---- points ---- */

/* A file by its name without folder and suffix. */
static void set_name(char out[24], const char *value) {
    const char *slash = strrchr(value, '/'), *name = slash ? slash + 1 : value;
    const char *suffix = strstr(name, ".gguf");
    snprintf(out, 24, "%.*s", suffix ? (int)(suffix - name) : 23, name);
}

static void set_names(struct kept *k, const struct sweep_point *p) {
    for (int i = 0; i < NAMES; i++) {
        set_name(k->at[i], usual[i]);
        for (int a = 0; a < p->n; a++)
            if (!strcmp(p->at[a].name, names[i])) set_name(k->at[i], p->at[a].value);
    }
    if (strstr(k->at[MODEL], "f16") && !strcmp(k->at[MODE], "a8")) strcpy(k->at[MODE], "a16"); /* float weights */
}

/* --quick: eight windows of 40 tokens, at most two ranks. */
static int shorten(struct sweep_point *p) {
    static const char *const words[] = {"--windows", "8", "--window", "40"};
    struct strategy st;
    for (int a = 0; a < p->n; a++)
        if (!strcmp(p->at[a].name, "strategy") && !strategy_parse(&st, p->at[a].value, NULL) &&
            strategy_ranks(&st) > QUICK_RANKS)
            return 0;
    for (int i = 0; i < 4; i++)
        p->word[p->n_words++] = words[i];
    return 1;
}

static int do_point(struct study_of_quality *s) {
    struct kept *bigger = realloc(s->kept, (size_t)(s->n + 1) * sizeof *bigger);
    if (!bigger) return diag_set(s->d, ERR_MEMORY, "no memory for %d points", s->n);
    s->kept = bigger;
    struct kept *k = &s->kept[s->n++];
    set_names(k, s->point);
    sweep_do(&k->o, s->cache, s->point);
    if (app_stop) return diag_set(s->d, ERR_INTERRUPTED, "interrupted");
    return k->o.reason[0] ? diag_set(s->d, ERR_MISMATCH, "%s %s %s %s %s: %s", k->at[MODEL], k->at[STRATEGY],
                                     k->at[ALLREDUCE], k->at[WIRE], k->at[DROP], k->o.reason)
                          : 0;
}

static int do_spec(struct study_of_quality *s, const char *name) {
    char file[64], path[4096];
    struct sweep *sweep = NULL;
    snprintf(file, sizeof file, "analysis/sweeps/quality-%s.yaml", name);
    int rc = data_path(path, sizeof path, file, s->d);
    if (!rc) rc = sweep_read(&sweep, path, s->d);
    for (long i = 0; !rc && i < sweep_points(sweep); i++) {
        sweep_point(s->point, sweep, i);
        if (!s->app->spec.quick || shorten(s->point)) rc = do_point(s);
    }
    sweep_free(sweep);
    return rc;
}

/* Points of all of the text, which no other table has. */
static int do_training(struct study_of_quality *s) {
    static const char *const models[QUALITY_TRAINING] = {"kjv-3m-f16", "kjv-3m-w4a4-ptq", "kjv-3m-w4a4"};
    const struct sweep_outcome *of[QUALITY_TRAINING] = {NULL};
    int before = s->n, rc = do_spec(s, "training");
    for (int i = 0; i < QUALITY_TRAINING && !rc; i++) {
        for (const struct kept *k = s->kept + before; k < s->kept + s->n; k++)
            if (!strcmp(k->at[MODEL], models[i])) of[i] = &k->o;
        if (!of[i]) rc = diag_set(s->d, ERR_FORMAT, "analysis/sweeps/quality-training.yaml: no point of %s", models[i]);
    }
    return rc ? rc : quality_training(s->page, of, !s->app->spec.quick, s->d);
}

/* ---- tables ---- */

static double value(const struct kept *k, const char *name) {
    return sweep_value(&k->o, name);
}

static const char *label_of(const struct kept *k) {
    return coll_label_name((enum coll_label)value(k, "label"));
}

static void interval(struct frame *t, const struct kept *k, const char *name, double scale) {
    const struct sweep_value *v = sweep_find(&k->o, name);
    frame_number(t, scale * v->value);
    frame_number(t, scale * v->low);
    frame_number(t, scale * v->high);
}

static const struct shown {
    const char *name, *column, *unit;
    double scale;
} shown[] = {{"kl_nats", "KL", "nats/token", 1},
             {"dnll_nats", "dNLL", "nats/token", 1},
             {"same_best", "same best token", "%", 100},
             {"kl_nats_one_rank", "KL to one rank", "nats/token", 1},
             {"dnll_nats_one_rank", "dNLL to one rank", "nats/token", 1}};
enum { SHOWN = sizeof shown / sizeof *shown };

static void show_points(struct study_of_quality *s) {
    struct frame *t = report_table(
        s->page, "quality_points", "Predictions by precision and schedule",
        "Measured on the bundled decoder and models/bundled/heldout.txt; intervals of 95 % over windows, normal. KL, "
        "dNLL, "
        "same best token: beside full precision (kjv-3m-f16, floats, cache of f16, one rank); to one rank: beside one "
        "rank "
        "of the same model, mode and cache. Bound: of one prediction's KL, by the largest difference of its logits.");
    for (int i = 0; i < NAMES; i++)
        frame_column(t, names[i], "", 0);
    frame_column(t, "label", "", 0);
    frame_column(t, "n", "", 6);
    frame_column(t, "perplexity", "", 5);
    for (int i = 0; i < SHOWN; i++) {
        char low[48], high[48];
        snprintf(low, sizeof low, "%s: low", shown[i].column);
        snprintf(high, sizeof high, "%s: high", shown[i].column);
        frame_column(t, shown[i].column, shown[i].unit, 4);
        frame_column(t, low, shown[i].unit, 4);
        frame_column(t, high, shown[i].unit, 4);
    }
    frame_column(t, "changed predictions", "", 6);
    frame_column(t, "largest KL to one rank", "nats", 4);
    frame_column(t, "its bound", "nats", 4);
    for (const struct kept *k = s->kept; k < s->kept + s->n; k++) {
        for (int i = 0; i < NAMES; i++)
            frame_text(t, "%s", k->at[i]);
        frame_text(t, "%s", label_of(k));
        frame_number(t, sweep_find(&k->o, "kl_nats")->n);
        frame_number(t, value(k, "perplexity"));
        for (int i = 0; i < SHOWN; i++)
            interval(t, k, shown[i].name, shown[i].scale);
        frame_number(t, value(k, "changed_predictions_one_rank"));
        frame_number(t, value(k, "most_kl_nats_one_rank"));
        frame_number(t, quality_kl_bound(value(k, "most_logit_difference_one_rank")));
        frame_end_row(t);
    }
}

/* Points of one label, and what is promised of them: nothing, where label says less than exact and rounding to few bits
 * may amplify. */
struct group {
    const char *text;
    int label, checked; /* checked -1: either */
    double promised; /* mean KL to one rank; NaN: nothing */
    int n;
    double predictions, changed, most, most_share;
};

static void add_to_group(struct group *g, const struct kept *k) {
    double bound = quality_kl_bound(value(k, "most_logit_difference_one_rank"));
    g->n++;
    g->predictions += sweep_find(&k->o, "kl_nats")->n;
    g->changed += value(k, "changed_predictions_one_rank");
    g->most = fmax(g->most, value(k, "kl_nats_one_rank"));
    if (bound > 0) g->most_share = fmax(g->most_share, value(k, "most_kl_nats_one_rank") / bound);
}

static void show_labels(struct study_of_quality *s) {
    struct group groups[] = {{"bit-exact", COLL_BIT_EXACT, -1, 0, 0, 0, 0, 0, 0},
                             {"exact to rounding, in floats", COLL_ROUNDING, 1, QUALITY_ROUNDING_KL, 0, 0, 0, 0, 0},
                             {"exact to rounding, activations of 8 bits", COLL_ROUNDING, 0, NAN, 0, 0, 0, 0, 0},
                             {"approximate", COLL_APPROXIMATE, -1, NAN, 0, 0, 0, 0, 0}};
    enum { GROUPS = sizeof groups / sizeof *groups };
    struct frame *t = report_table(s->page, "quality_labels", "What labels promise, beside one rank of the same choice",
                                   "Measured; largest: of all points of the label. A promise that is broken ends the "
                                   "report. The last column must not be above 1 (Hoeffding's lemma).");
    frame_column(t, "label", "", 0);
    frame_column(t, "points", "", 4);
    frame_column(t, "predictions", "", 9);
    frame_column(t, "with any other bit", "", 9);
    frame_column(t, "largest mean KL", "nats/token", 4);
    frame_column(t, "promised, at most", "nats/token", 4);
    frame_column(t, "largest KL of a prediction / its bound", "", 4);
    for (const struct kept *k = s->kept; k < s->kept + s->n; k++)
        for (int g = 0; g < GROUPS; g++)
            if ((int)value(k, "label") == groups[g].label &&
                (groups[g].checked < 0 || groups[g].checked == (k->o.verified[0] != 0)))
                add_to_group(&groups[g], k);
    for (const struct group *g = groups; g < groups + GROUPS; g++) {
        frame_text(t, "%s", g->text);
        frame_number(t, g->n);
        frame_number(t, g->predictions);
        frame_number(t, g->changed);
        frame_number(t, g->n ? g->most : NAN);
        frame_number(t, g->promised);
        frame_number(t, g->most_share);
        frame_end_row(t);
    }
    report_say(
        s->page,
        "Of %.0f predictions by all-reduces labelled bit-exact, over %d choices of algorithm, ranks, precision and "
        "tokens a pass, %.0f have another bit than one rank's: their KL divergence is %g (measured).",
        groups[0].predictions, groups[0].n, groups[0].changed, groups[0].most);
    if (groups[1].n && groups[2].n)
        report_say(
            s->page,
            "Sums in another order (exact to rounding) change a prediction by %.2g nats at most on average where all "
            "is computed in floats, less than the unit roundoff of binary32 that is promised (%.2g), but by up to "
            "%.2g where activations have 8 bits: a last bit then moves whole steps (measured).",
            groups[1].most, groups[1].promised, groups[2].most);
}

/* ---- from errors to divergences ---- */

/* A point by its names; NULL in `at`: any. The first of them. */
static const struct kept *find(const struct study_of_quality *s, const char *const at[NAMES]) {
    for (const struct kept *k = s->kept; k < s->kept + s->n; k++) {
        int is = 1;
        for (int i = 0; i < NAMES; i++)
            is &= !at[i] || !strcmp(k->at[i], at[i]);
        if (is) return k;
    }
    return NULL;
}

/* Variance of what a wire form and hops do, relative to the sum. */
static double variance(const char *wire, const char *algo) {
    double once = !strcmp(wire, "fp16") ? error_half(1) : error_steps(32, !strcmp(wire, "int8") ? 127 : 7);
    return once * once * (strcmp(algo, "twoshot") ? 1 : 2);
}

/* Divergences are of second order in small errors, so in proportion to their variance: one measured point, int8 in one
 * shot, predicts those of the other forms and hops on as many ranks. */
static void show_scaling(struct study_of_quality *s) {
    double low = INFINITY, high = 0;
    const struct kept *base = NULL;
    struct frame *t =
        report_table(s->page, "quality_scaling", "KL divergence of wire forms, predicted from one of them",
                     "In floats (kjv-3m-f16), beside one rank. Predicted: the KL of int8 in one shot on as many ranks, "
                     "times the ratio of "
                     "the variances that the error model gives. Measured: intervals of 95 % over windows.");
    frame_column(t, "strategy", "", 0);
    frame_column(t, "all-reduce", "", 0);
    frame_column(t, "wire", "", 0);
    frame_column(t, "predicted", "nats/token", 3);
    frame_column(t, "measured", "nats/token", 3);
    frame_column(t, "low", "nats/token", 3);
    frame_column(t, "high", "nats/token", 3);
    frame_column(t, "measured / predicted", "", 3);
    for (const struct kept *k = s->kept; k < s->kept + s->n; k++) {
        const char *const of[NAMES] = {"kjv-3m-f16", NULL, NULL, k->at[STRATEGY], "oneshot", "int8", "none", NULL};
        if (strcmp(k->at[MODEL], "kjv-3m-f16") || !strcmp(k->at[WIRE], "f32")) continue;
        base = find(s, of);
        if (!base || k == base) continue;
        double predicted =
            value(base, "kl_nats_one_rank") * variance(k->at[WIRE], k->at[ALLREDUCE]) / variance("int8", "oneshot");
        double ratio = value(k, "kl_nats_one_rank") / predicted;
        frame_text(t, "%s", k->at[STRATEGY]);
        frame_text(t, "%s", k->at[ALLREDUCE]);
        frame_text(t, "%s", k->at[WIRE]);
        frame_number(t, predicted);
        interval(t, k, "kl_nats_one_rank", 1);
        frame_number(t, ratio);
        frame_end_row(t);
        low = fmin(low, ratio), high = fmax(high, ratio);
    }
    if (base)
        report_say(
            s->page,
            "KL divergences of wire forms follow the variance of their errors over %.0f orders of magnitude: that of "
            "int8 in one shot predicts the others within factors of %.2f to %.2f (measured / predicted).",
            log10(variance("int4", "twoshot") / variance("fp16", "oneshot")), low, high);
}

static struct frame *dropped_table(struct report_page *page) {
    struct frame *t = report_table(page, "quality_dropped",
                                   "KL divergence of dropped syncs on more ranks, predicted from that on two",
                                   "Beside one rank. Predicted: ratio of the squares of the errors that the error "
                                   "model gives, from parts of the FFN "
                                   "that are independent to ones that are alike.");
    frame_column(t, "model", "", 0);
    frame_column(t, "layers", "", 0);
    frame_column(t, "ranks", "", 4);
    frame_column(t, "predicted: from", "x", 3);
    frame_column(t, "predicted: to", "x", 3);
    frame_column(t, "measured", "x", 3);
    return t;
}

/* Divergences follow squares of errors, so those of one dropped set on more ranks follow from that on two, within what
 * the parts of the FFN have in common. */
static void show_dropped(struct study_of_quality *s) {
    double before = error_dropped_sync(2, 0), least = INFINITY, most = 0;
    int within = 0, all = 0;
    struct frame *t = NULL;
    for (const struct kept *k = s->kept; k < s->kept + s->n; k++) {
        const char *const two[NAMES] = {k->at[MODEL], k->at[MODE], k->at[KV], "tp2", NULL, "f32", k->at[DROP], NULL};
        int ranks = atoi(k->at[STRATEGY] + 2); /* of "tp4" */
        const struct kept *base = find(s, two);
        if (!strcmp(k->at[DROP], "none") || ranks <= 2 || !base) continue;
        if (!t) t = dropped_table(s->page);
        double low = pow(error_dropped_sync(ranks, 0) / before, 2), high = low * low;
        double ratio = value(k, "kl_nats_one_rank") / value(base, "kl_nats_one_rank");
        frame_text(t, "%s", k->at[MODEL]);
        frame_text(t, "%s", k->at[DROP]);
        frame_number(t, ranks);
        frame_number(t, low);
        frame_number(t, high);
        frame_number(t, ratio);
        frame_end_row(t);
        within += ratio >= low && ratio <= high, all++;
        least = fmin(least, fmin(ratio / low, 1)), most = fmax(most, fmax(ratio / high, 1));
    }
    if (all)
        report_say(
            s->page,
            "What dropped syncs cost grows with ranks as predicted in %d of %d cases, between parts of the FFN that "
            "are independent and ones that are alike; the others lie up to a factor of %.2f below or %.2f above "
            "(measured KL beside that at two ranks).",
            within, all, 1 / least, most);
}

/* ---- findings ---- */

static char *kl_text(char buf[64], const struct kept *k, const char *name) {
    const struct sweep_value *v = k ? sweep_find(&k->o, name) : NULL;
    if (!v) return strcpy(buf, "not measured");
    snprintf(buf, 64, "%.3g", v->value);
    if (!isnan(v->low)) snprintf(buf + strlen(buf), 64 - strlen(buf), " [%.3g, %.3g]", v->low, v->high);
    return buf;
}

static void say_precision(struct study_of_quality *s) {
    char text[5][64];
    static const char *const of[5][NAMES] = {{"kjv-3m-q8_0", "a8", "f16", "1", "auto", "f32", "none", "64"},
                                             {"kjv-3m-q4_0", "a16", "f16", "1", "auto", "f32", "none", "64"},
                                             {"kjv-3m-q4_0", "a8", "f16", "1", "auto", "f32", "none", "64"},
                                             {"kjv-3m-q4_0", "a4", "int4", "1", "auto", "f32", "none", "64"},
                                             {"kjv-3m-w4a4", "a4", "int4", "1", "auto", "f32", "none", "64"}};
    for (int i = 0; i < 5; i++)
        kl_text(text[i], find(s, of[i]), "kl_nats");
    report_lead(
        s->page,
        "Beside full precision, weights of Q8_0 with activations of 8 bits cost %s nats a token of KL divergence, "
        "Q4_0 with floats %s, with 8 bits %s, and with 4 bits and a cache of int4 %s, and %s for weights "
        "and steps that were trained for 4 bits (measured, 95 %% over windows).",
        text[0], text[1], text[2], text[3], text[4]);
}

static void say_wire(struct study_of_quality *s) {
    char one[64], two[64], strategy[8];
    int ranks = s->app->spec.quick ? QUICK_RANKS : 8;
    snprintf(strategy, sizeof strategy, "tp%d", ranks);
    const char *const of[2][NAMES] = {{"kjv-3m-f16", NULL, NULL, strategy, "oneshot", "int8", NULL, NULL},
                                      {"kjv-3m-f16", NULL, NULL, strategy, "twoshot", "int4", NULL, NULL}};
    report_say(
        s->page,
        "In floats over %d ranks, values that travel as int8 in one shot change predictions by %s nats a token, as "
        "int4 in two shots, each rounded twice, by %s (measured, 95 %% over windows).",
        ranks, kl_text(one, find(s, of[0]), "kl_nats_one_rank"), kl_text(two, find(s, of[1]), "kl_nats_one_rank"));
}

static void say_sync(struct study_of_quality *s) {
    const struct kept *least = NULL, *most = NULL;
    for (const struct kept *k = s->kept; k < s->kept + s->n; k++) {
        if (strcmp(k->at[MODEL], "kjv-3m-f16") || strcmp(k->at[STRATEGY], "tp2") || strlen(k->at[DROP]) != 1) continue;
        if (!least || value(k, "dnll_nats_one_rank") < value(least, "dnll_nats_one_rank")) least = k;
        if (!most || value(k, "dnll_nats_one_rank") > value(most, "dnll_nats_one_rank")) most = k;
    }
    if (!least) return;
    char low[64], high[64];
    report_say(
        s->page,
        "At two ranks the sync whose loss costs least is that of layer %s, %s nats a token more than one rank's; the "
        "one that costs most that of layer %s, %s (measured, dNLL, 95 %% over windows).",
        least->at[DROP], kl_text(low, least, "dnll_nats_one_rank"), most->at[DROP],
        kl_text(high, most, "dnll_nats_one_rank"));
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct study_of_quality s = {.page = page, .app = app, .d = d};
    s.cache = sweep_cache_new(app);
    s.point = malloc(sizeof *s.point);
    int rc = s.cache && s.point ? 0 : diag_set(d, ERR_MEMORY, "no memory for points");
    for (int i = 0; i < SPECS && !rc; i++)
        rc = do_spec(&s, specs[i]);
    if (!rc) {
        show_points(&s);
        show_labels(&s);
        show_scaling(&s);
        show_dropped(&s);
        say_precision(&s);
        say_wire(&s);
        say_sync(&s);
        rc = do_training(&s);
    }
    if (!rc) rc = quality_errors(page, app, d);
    sweep_cache_free(s.cache);
    free(s.point);
    free(s.kept);
    return rc;
}

static const struct report_figure figures[] = {
    {"quality_errors",
     FIGURE_STYLE
     "set title 'Errors of what is rounded'\nset xlabel 'predicted rms, relative'\nset ylabel 'measured rms, "
     "relative'\n"
     "set logscale xy\nset key inside left top\n"
     "names = 'normal decoder'\n"
     "plot x with lines lc rgb 'black' dt 3 title 'equal', for [i=1:2] 'quality_errors.csv' skip 1 \\\n"
     "  using (strcol(3)[1:6] eq word(names, i)[1:6] ? $7 : NaN):8 with points lc rgb color(i) pt 2*i ps 1.2 \\\n"
     "  title word(names, i)\n",
     "Root mean square errors of all-reduces in fewer bits, of stored weights and of caches: measured against "
     "predicted, "
     "on independent normal values and on the decoder's own (measured, 32768 values each)."},
    {0}};

const struct report report_quality = {
    .name = "quality",
    .summary =
        "KL divergence, perplexity and agreement by precision, wire form, algorithm and dropped syncs; error models",
    .text = "What precision and schedule do to the predictions of the bundled decoder on its held-out text, whether "
            "labels hold\n"
            "what they promise, and the errors of each lossy form beside what was predicted of them.",
    .make = make,
    .figures = figures,
};
