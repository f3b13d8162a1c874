/* The cliff beside the chip: latency by the capacity of the innermost memory, and the byte at which it begins. */
#include <math.h>
#include <stdio.h>

#include "design.h"

struct chip {
    const char *model, *quant, *strategy;
    int cards, users;
};

struct cliff {
    const struct study *st;
    const struct cluster *c; /* with host memory behind the card */
    const struct chip *on;
    double resident_ms;
};

static int latency(const struct cliff *x, uint64_t bytes, struct study_figures *out) {
    struct cluster c = *x->c;
    struct study_case on = {.cluster = &c,
                            .model = x->on->model,
                            .quant = x->on->quant,
                            .strategy = x->on->strategy,
                            .cards = x->on->cards,
                            .users = x->on->users,
                            .prompt = 128,
                            .generate = 128};
    c.card.level[0].bytes = bytes;
    return study_figures(out, &on, x->st, 0);
}

static int is_slower(void *user, int64_t bytes, int *holds, struct diag *d) {
    const struct cliff *x = user;
    struct study_figures f;
    int rc = latency(x, (uint64_t)bytes, &f);
    (void)d;
    *holds = !rc && (!f.fits || f.s.latency_ms > x->resident_ms);
    return rc;
}

static void cliff_columns(struct frame *steps, struct frame *t) {
    frame_column(steps, "model", "", 0);
    frame_column(steps, "cards", "", 2);
    frame_column(steps, "users", "", 2);
    frame_column(steps, "all on the chip from", "bytes", FRAME_EXACT);
    frame_column(steps, "plan's most on a card", "bytes", FRAME_EXACT);
    frame_column(steps, "of the chip's", "x", 4);
    frame_column(steps, "at that", "ms/token", 4);
    frame_column(steps, "a byte less", "ms/token", 4);
    frame_column(steps, "times", "x", 3);
    frame_column(steps, "half of it", "ms/token", 4);
    frame_column(t, "model", "", 0);
    frame_column(t, "capacity", "x", 3);
    frame_column(t, "over what it needs", "x", 3);
    frame_column(t, "latency", "ms/token", 4);
    frame_column(t, "over all on the chip", "x", 3);
}

static int put_curve(const struct cliff *x, struct frame *t, double chip, double needs) {
    static const double factor[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1, 1.01, 1.1, 1.2};
    int rc = 0;
    for (size_t i = 0; i < sizeof factor / sizeof *factor && !rc; i += x->st->quick ? 3 : 1) {
        struct study_figures f;
        rc = latency(x, (uint64_t)(factor[i] * needs), &f);
        if (rc || !f.fits) continue;
        frame_text(t, "%s", x->on->model);
        frame_number(t, factor[i] * needs / chip);
        frame_number(t, factor[i]);
        frame_number(t, f.s.latency_ms);
        frame_number(t, f.s.latency_ms / x->resident_ms);
        frame_end_row(t);
    }
    return rc;
}

/* The first capacity with which nothing is outside, to the byte. */
static int find_step(struct cliff *x, struct frame *steps, struct frame *t) {
    const struct chip *on = x->on;
    double chip = (double)x->c->card.level[0].bytes;
    struct study_figures all, less, half;
    int64_t last = 0;
    int rc = latency(x, 0, &all); /* not limited */
    if (rc || !all.fits) return rc;
    x->resident_ms = all.s.latency_ms;
    rc = integer_last(&last, 1, 2 * (int64_t)all.s.card_bytes, is_slower, x, x->st->d);
    if (!rc) rc = latency(x, (uint64_t)last, &less);
    if (!rc) rc = latency(x, (uint64_t)(last + 1) / 2, &half);
    if (rc) return rc;
    double needs = (double)last + 1;
    frame_text(steps, "%s", on->model);
    frame_number(steps, on->cards);
    frame_number(steps, on->users);
    frame_number(steps, needs);
    frame_number(steps, (double)all.s.card_bytes);
    frame_number(steps, needs / chip);
    frame_number(steps, all.s.latency_ms);
    frame_number(steps, less.s.latency_ms);
    frame_number(steps, less.s.latency_ms / all.s.latency_ms);
    frame_number(steps, half.s.latency_ms);
    frame_end_row(steps);
    report_say(
        x->st->page,
        "%s on %d NorthPole chip%s, %d user%s: all is on the chip from %.0f bytes of it on, %.3g times what it "
        "has; with one byte less a token takes %.3g times as long, with half of it %.3g times, as what is outside "
        "comes over the card's link in each pass (simulated, n = 1).",
        on->model, on->cards, on->cards > 1 ? "s" : "", on->users, on->users > 1 ? "s" : "", needs, needs / chip,
        less.s.latency_ms / all.s.latency_ms, half.s.latency_ms / all.s.latency_ms);
    return put_curve(x, t, chip, needs);
}

int design_cliff(struct study *st) {
    static const struct chip chips[] = {
        {"smollm-135m", "Q8_0", "1", 1, 1},
        {"qwen2.5-0.5b", "Q4_0", "pp2", 2, 2},
        {"tinyllama-1.1b", "Q4_0", "pp4", 4, 4},
        {"granite-3b-northpole", NULL, "northpole", 16, 28},
    };
    struct frame *steps = report_table(
        st->page, "cliff_step", "The cliff beside the chip, to the byte",
        "Simulated on NorthPole's card, n = 1, 128 + 128 tokens. What has no room lies in the host's memory, behind "
        "the "
        "card's own link. The\nplan's: weights, cache, work space and messages of the card that holds most. A byte "
        "less moves whatever then has no room as a whole.");
    struct frame *t = report_table(st->page, "cliff_curve", "Latency by the capacity of the chip's memory",
                                   "Of the same. Capacity: times the chip's 192 MiB.");
    struct cluster c;
    int rc = case_cluster(&c, "northpole-16", st->d);
    cliff_columns(steps, t);
    if (!rc) design_behind(&c, "host memory", 0, design_rate(c.net.tier[0].link.G));
    for (size_t i = 0; i < sizeof chips / sizeof *chips && !rc; i++) {
        struct cliff x = {st, &c, &chips[i], 0};
        rc = find_step(&x, steps, t);
    }
    return rc;
}
