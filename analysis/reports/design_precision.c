/* Bandwidth against precision: how much faster the memory of wider weights would have to be. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "design.h"

struct change {
    const char *text, *quant, *kv;
};

struct wide {
    const struct study *st;
    const char *model;
    const struct change *base;
    int users;
};

static struct study_case case_of(const struct wide *w, const struct cluster *c, const struct change *x) {
    struct study_case on = design_case(c, w->model, x->quant, w->users, 896);
    on.kv = x->kv;
    return on;
}

/* One over the time of a token, decoding alone, as parameter_reach looks for what grows. */
static int rate(void *user, const struct cluster *c, double *out, struct diag *d) {
    const struct wide *w = user;
    struct study_case on = case_of(w, c, w->base);
    struct study_figures f;
    int rc = study_figures(&f, &on, w->st, 1);
    (void)d;
    *out = f.fits ? 1 / f.s.decode_ms : 0;
    return rc;
}

static void precision_columns(struct frame *t) {
    frame_column(t, "card", "", 0);
    frame_column(t, "model", "", 0);
    frame_column(t, "narrower", "", 0);
    frame_column(t, "users", "", 3);
    frame_column(t, "wide", "ms/token", 4);
    frame_column(t, "narrow", "ms/token", 4);
    frame_column(t, "faster", "x", 3);
    frame_column(t, "energy", "x", 3);
    frame_column(t, "bandwidth that does the same", "x", 4);
    frame_column(t, "twice the bandwidth", "x faster", 3);
}

/* faster: how much the change makes it; twice: how much twice the bandwidth does. */
static int put_change(struct wide *w, struct frame *t, const struct cluster *c, const struct change *x, double *faster,
                      double *twice) {
    const struct parameter *memory = parameter_find("memory-bandwidth");
    struct study_case wide = case_of(w, c, w->base), narrow = case_of(w, c, x);
    struct study_figures before, after, doubled;
    struct reached r = {0};
    struct cluster fast = *c;
    memory->set(&fast, 2);
    struct study_case on_fast = case_of(w, &fast, w->base);
    int rc = study_figures(&before, &wide, w->st, 1);
    if (!rc) rc = study_figures(&after, &narrow, w->st, 1);
    if (!rc) rc = study_figures(&doubled, &on_fast, w->st, 1);
    *faster = *twice = NAN;
    if (rc || !before.fits || !after.fits) return rc;
    rc = parameter_reach(&r, memory, c, 1 / after.s.decode_ms, 1e-6, rate, w, w->st->d);
    if (rc) return rc;
    *faster = before.s.decode_ms / after.s.decode_ms;
    *twice = before.s.decode_ms / doubled.s.decode_ms;
    frame_text(t, "%s", c->card.name);
    frame_text(t, "%s", w->model);
    frame_text(t, "%s", x->text);
    frame_number(t, w->users);
    frame_number(t, before.s.decode_ms);
    frame_number(t, after.s.decode_ms);
    frame_number(t, *faster);
    frame_number(t, after.J / before.J);
    frame_number(t, r.found ? r.x : NAN);
    frame_number(t, *twice);
    frame_end_row(t);
    return 0;
}

static int put_card(struct study *st, struct frame *t, const char *file, const char *model) {
    static const struct change base = {"", "F16", "f16"},
                               changes[] = {{"8-bit weights", "Q8_0", "f16"},
                                            {"4-bit weights", "Q4_0", "f16"},
                                            {"8-bit cache", "F16", "int8"},
                                            {"4-bit weights and 8-bit cache", "Q4_0", "int8"}};
    static const int users[] = {1, 8, 32, 128};
    struct cluster c;
    double faster[4][4], twice[4][4];
    int rc = case_cluster(&c, file, st->d);
    for (int i = 0; i < 4 && !rc; i++)
        for (int u = 0; u < 4 && !rc; u++) {
            struct wide w = {st, model, &base, users[u]};
            rc = put_change(&w, t, &c, &changes[i], &faster[u][i], &twice[u][i]);
        }
    if (!rc && faster[0][1] > 0)
        report_say(st->page,
                   "%s on one %s: for one user 4-bit weights are worth %.3g times the speed of 16-bit ones, twice the "
                   "bandwidth %.3g times; 8-bit weights %.3g times (estimated in closed form, n = 1).",
                   model, c.card.name, faster[0][1], twice[0][1], faster[0][0]);
    return rc;
}

int design_precision(struct study *st) {
    static const struct {
        const char *file, *model;
    } on[] = {{"h100-sxm", "llama3-8b"}, {"l4", "llama3-8b"}, {"boards-1gbe", "tinyllama-1.1b"}};
    struct frame *t = report_table(
        st->page, "precision", "Narrower numbers, or more bandwidth: what does the same",
        "Estimated in closed form, n = 1; energy modelled. 896 + 128 tokens, decoding alone; over 16-bit weights and "
        "cache, which are computed with\nat the rate for floats either way. A bandwidth without a value: none does the "
        "same, as arithmetic binds.");
    int rc = 0;
    precision_columns(t);
    for (size_t i = 0; i < sizeof on / sizeof *on && !rc; i++)
        if (!st->quick || i == 0) rc = put_card(st, t, on[i].file, on[i].model);
    return rc;
}
