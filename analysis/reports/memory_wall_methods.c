/* What both papers say helps against the memory wall, from formulas: each row with what it assumes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "memory_wall.h"

struct claim {
    const char *text, *published;
    double ours;
    const char *unit, *assumed;
};

static void claim_columns(struct frame *t) {
    frame_column(t, "what", "", 0);
    frame_column(t, "published", "", 0);
    frame_column(t, "by formula", "", 3);
    frame_column(t, "unit", "", 0);
    frame_column(t, "formula and assumption", "", 0);
}

static void add_claim(struct frame *t, const struct claim *c) {
    frame_text(t, "%s", c->text);
    frame_text(t, "%s", c->published);
    frame_number(t, c->ours);
    frame_text(t, "%s", c->unit);
    frame_text(t, "%s", c->assumed);
    frame_end_row(t);
}

/* ---- rematerialisation ---- */

/* What a layer keeps for its backward pass in 16 bits, in bytes a token and value of the hidden state (h = d_model, s
 * tokens, a heads): Korthikanti et al. 2022 (arXiv 2205.05198), section 4.1. Operations to have it again from what is
 * before it, a token, in h^2; those that are elementwise count nothing. */
struct kept {
    double bytes, operations;
};

enum { KEPT = 7, INPUT = 0 };

/* s / h and a s / h are all it depends on. */
static void layer_keeps(struct kept k[KEPT], double s_over_h, double as_over_h) {
    const struct kept all[KEPT] = {
        [INPUT] = {2, 0}, /* and the second norm's, by the output product below */
        {2 + 2 + 8 + 2, 2}, /* norms' results, GELU's result; the second norm's input: the output product */
        {4, 4}, /* q and k */
        {2, 2}, /* v */
        {5 * as_over_h + 2, 4 * s_over_h}, /* softmax, its mask and result, and the sum over the values */
        {8, 8}, /* GELU's input */
        {2, INFINITY}, /* masks of the two dropouts, one byte each: kept */
    };
    memcpy(k, all, sizeof all);
}

/* Of all choices of what to compute again the one that keeps least, with at most so much more computing: times less
 * memory for a model of so many layers, of which one at a time is whole. A step is three forward passes. */
static double remat_gain(const struct model_shape *s, int tokens, double most_more, double *more) {
    struct kept k[KEPT];
    double h = s->d_model, forward = 24 + 4 * tokens / h, all = 0, best = INFINITY;
    layer_keeps(k, tokens / h, s->n_heads * tokens / h);
    for (int i = 0; i < KEPT; i++)
        all += k[i].bytes;
    for (unsigned again = 0; again < 1u << KEPT; again++) {
        double bytes = 0, operations = 0;
        for (int i = 0; i < KEPT; i++) {
            bytes += again >> i & 1 ? 0 : k[i].bytes;
            operations += again >> i & 1 ? k[i].operations : 0;
        }
        if (again >> INPUT & 1 || operations > most_more * 3 * forward || bytes >= best) continue;
        best = bytes;
        *more = operations / (3 * forward);
    }
    return s->n_layers * all / (s->n_layers * best + all - best);
}

int wall_remat(double most_more, double *gain, double *more, struct diag *d) {
    struct model_shape s;
    int rc = preset_shape(&s, "bert-large", NULL, 512, d);
    if (!rc) *gain = remat_gain(&s, 512, most_more, more);
    return rc;
}

static int add_remat(struct memory_wall *w, struct frame *t) {
    double more = 0, gain = 0;
    char text[160];
    int rc = wall_remat(0.2, &gain, &more, w->d);
    if (rc) return rc;
    snprintf(
        text, sizeof text,
        "bert-large, 512 tokens, 16 bits: least kept of a layer (arXiv 2205.05198) for %.0f %% more computing, one "
        "layer whole",
        100 * more);
    add_claim(t, &(struct claim){"rematerialisation: activations of training", "5x less for 20 % more", gain, "x less",
                                 text});
    rc = wall_remat(0.05, &gain, &more, w->d);
    snprintf(text, sizeof text, "the same for %.1f %% more", 100 * more);
    add_claim(t, &(struct claim){"the same, hardly more computing", "-", gain, "x less", text});
    return rc;
}

/* ---- ZeRO ---- */

/* Rajbhandari et al. 2020 (arXiv 1910.02054), table 1: Adam in mixed precision keeps 2 + 2 + 12 bytes a parameter. */
double wall_zero(int stage, double cards) {
    const double weights = 2, gradients = 2, optimizer = 12;
    double kept = optimizer / cards + gradients / (stage > 1 ? cards : 1) + weights / (stage > 2 ? cards : 1);
    return (weights + gradients + optimizer) / kept;
}

static void add_zero(struct frame *t) {
    const char *formula = "16 bytes a parameter over what stays: 2 + 14/N, N cards (arXiv 1910.02054); activations not "
                          "counted";
    const struct claim claims[] = {
        {"ZeRO, optimizer and gradients shared, 8 cards", "8x larger models", wall_zero(2, 8), "x larger", formula},
        {"the same, 64 cards", "8x larger models", wall_zero(2, 64), "x larger", formula},
        {"the same, its limit", "8x larger models", wall_zero(2, INFINITY), "x larger", formula},
        {"ZeRO, weights shared too, 64 cards", "-", wall_zero(3, 64), "x larger",
         "16/N; weights are sent as often as they are used"},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        add_claim(t, &claims[i]);
}

/* ---- few bits, few weights ---- */

static int weight_bytes(const char *storage, double *out, struct diag *d) {
    struct model_shape s;
    int rc = preset_shape(&s, "llama3-8b", storage, 0, d);
    *out = 0;
    for (int i = 0; i < ROLE_COUNT && !rc; i++)
        *out += (double)s.role_bytes[i];
    return rc;
}

int wall_quant(const char *wide, const char *narrow, double *gain, struct diag *d) {
    double from, to;
    int rc = weight_bytes(wide, &from, d);
    if (!rc) rc = weight_bytes(narrow, &to, d);
    if (!rc) *gain = from / to;
    return rc;
}

static int add_quant(struct memory_wall *w, struct frame *t) {
    static const struct {
        const char *text, *wide, *narrow, *published;
    } rows[] = {
        {"INT4 against FP32, a step a row", "F32", "I4", "8x"},
        {"INT4 against FP16, a step a row", "F16", "I4", "4x"},
        {"Q4_0 against FP32, a step for 32", "F32", "Q4_0", "8x"},
        {"Q4_0 against FP16, a step for 32", "F16", "Q4_0", "4x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double gain;
        int rc = wall_quant(rows[i].wide, rows[i].narrow, &gain, w->d);
        if (rc) return rc;
        add_claim(t, &(struct claim){rows[i].text, rows[i].published, gain, "x fewer bytes",
                                     "llama3-8b, matrices as this program stores them, steps included"});
    }
    return 0;
}

/* A mask of one bit a weight tells which are left. */
double wall_sparse(double left, double bits) {
    return bits / (left * bits + 1);
}

static void add_pruning(struct frame *t) {
    const struct claim claims[] = {
        {"structured pruning of 30 %", "30 % fewer weights", 1 / 0.7, "x fewer bytes",
         "whole rows: nothing tells which; the same for any width"},
        {"unstructured pruning of 80 %, 16-bit weights", "80 % fewer weights", wall_sparse(0.2, 16), "x fewer bytes",
         "a mask of 1 bit a weight; 5x without it"},
        {"the same, 8-bit weights", "80 % fewer weights", wall_sparse(0.2, 8), "x fewer bytes", "the same"},
        {"the same, 4-bit weights", "80 % fewer weights", wall_sparse(0.2, 4), "x fewer bytes",
         "the same: the mask is more than half of what is left"},
        {"the least left that pays, 4-bit weights", "-", 100 * (4 - 1.0) / 4, "% left",
         "below, mask and weights are fewer bytes than all weights"},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        add_claim(t, &claims[i]);
}

static int show_methods(struct memory_wall *w) {
    struct frame *t = report_table(w->page, "methods", "What is said to help, from formulas",
                                   "Bytes and operations alone: what a method does to the quality of a model is not "
                                   "in them.");
    claim_columns(t);
    int rc = add_remat(w, t);
    if (!rc) add_zero(t);
    if (!rc) rc = add_quant(w, t);
    if (!rc) add_pruning(t);
    return rc;
}

/* ---- training memory ---- */

static void show_training(struct memory_wall *w) {
    const struct data *all = &w->training;
    struct frame *t = report_table(w->page, "training", "Memory of training, as published (figure 4)",
                                   "Sum: of the three parts. With activations of a fifth: what the claimed "
                                   "rematerialisation would leave.");
    frame_column(t, "model", "", 0);
    frame_column(t, "year", "", 4);
    frame_column(t, "parameters", "GB", 3);
    frame_column(t, "optimizer", "GB", 3);
    frame_column(t, "activations", "GB", 3);
    frame_column(t, "sum", "GB", 3);
    frame_column(t, "published", "GB", 3);
    frame_column(t, "activations", "%", 3);
    frame_column(t, "a fifth of them", "GB", 3);
    frame_column(t, "largest accelerator", "GB", 3);
    for (int i = 0; i < all->n_rows; i++) {
        double weights = data_number(all, i, "parameters [GB]"), optimizer = data_number(all, i, "optimizer [GB]");
        double activations = data_number(all, i, "activations [GB]"), sum = weights + optimizer + activations;
        frame_text(t, "%s", data_text(all, i, "model"));
        frame_number(t, data_number(all, i, "year"));
        frame_number(t, weights);
        frame_number(t, optimizer);
        frame_number(t, activations);
        frame_number(t, sum);
        frame_number(t, data_number(all, i, "total [GB]"));
        frame_number(t, 100 * activations / sum);
        frame_number(t, weights + optimizer + activations / 5);
        frame_number(t, data_number(all, i, "largest accelerator [GB]"));
        frame_end_row(t);
    }
}

/* ---- on one card ---- */

enum { CARDS = 6, FEW_TOKENS = 512 };
static const char *const cards[CARDS] = {"northpole-16", "l4", "l40s", "a100-sxm", "h100-sxm", "h200-8"};

static int room_on(const char *file, double *bytes, char *name, size_t cap, struct diag *d) {
    struct cluster c;
    int rc = case_cluster(&c, file, d);
    *bytes = 0;
    if (rc) return rc;
    for (int i = 0; i < c.card.n_levels; i++)
        *bytes += (double)c.card.level[i].bytes;
    snprintf(name, cap, "%s", c.card.name);
    return 0;
}

static int add_fits(struct memory_wall *w, struct frame *t, const struct preset *m, const char *storage,
                    const double *room) {
    struct plan *p = NULL;
    int rc = wall_plan(&p, m->name, storage, FEW_TOKENS, 1, w->d);
    if (rc) return rc;
    const struct plan_rank *r = &p->ranks[0];
    double holds = (double)(r->bytes.weights + r->bytes.kv + r->bytes.work + r->engine_bytes);
    frame_text(t, "%s", m->name);
    frame_text(t, "%s", storage);
    frame_number(t, holds / 1048576);
    for (int i = 0; i < CARDS; i++)
        frame_number(t, 100 * holds / room[i]);
    frame_text(t, holds <= room[0] ? "yes" : "no");
    frame_end_row(t);
    plan_free(p);
    return 0;
}

static int show_fits(struct memory_wall *w) {
    double room[CARDS];
    char name[CARDS][64];
    int rc = 0;
    struct frame *t =
        report_table(w->page, "on_chip", "Which models fit one card: part of its memory",
                     "Weights with the embedding, cache of 512 tokens (8 bits) and work space as the plan "
                     "counts them, one user.\nNorthPole's memory is on the chip; of the others' only "
                     "caches are, which their files do not describe.\nAbove 100 %: more cards.");
    frame_column(t, "model", "", 0);
    frame_column(t, "storage", "", 0);
    frame_column(t, "holds", "MiB", 4);
    for (int i = 0; i < CARDS && !rc; i++) {
        rc = room_on(cards[i], &room[i], name[i], sizeof name[i], w->d);
        frame_column(t, name[i], "%", 3);
    }
    frame_column(t, "on a chip", "", 0);
    for (int i = 0; presets[i] && !rc; i++) {
        rc = add_fits(w, t, presets[i], presets[i]->quant, room);
        if (!rc && !strcmp(presets[i]->quant, "Q8_0")) rc = add_fits(w, t, presets[i], "Q4_0", room);
    }
    return rc;
}

int wall_methods(struct memory_wall *w) {
    int rc = show_methods(w);
    if (!rc) show_training(w);
    return rc ? rc : show_fits(w);
}
