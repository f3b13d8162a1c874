/* quality_training.c - the decoder in 4 bits before and after its steps are learned: what the engine measures, beside
 * what the logs of its training say of the same text. */
#include <math.h>
#include <stdio.h>

#include "analysis/data.h"
#include "quality.h"

#define WITHIN 0.03 /* of full precision's perplexity */

/* In the order of enum quality_training. The log's rows of held-out text: the last one, or the first, before any step.
 */
static const struct {
    const char *name, *log;
    int last;
} rows[QUALITY_TRAINING] = {{"full precision", "models/bundled/train.log", 1},
                            {"w4a4, post-training", "models/bundled/lsq.log", 0},
                            {"w4a4, learned steps", "models/bundled/lsq.log", 1}};

struct shown {
    struct sweep_value perplexity, dnll; /* dnll: beside full precision, paired */
    double log; /* perplexity; NaN: not compared */
};

static int read_log(double *out, int row, struct diag *d) {
    struct data t;
    int rc = data_read_file(&t, rows[row].log, d);
    if (rc) return rc;
    *out = NAN;
    for (int i = 0; i < t.n_rows; i++) {
        double here = data_number(&t, i, "heldout_ppl");
        if (!isnan(here) && (rows[row].last || isnan(*out))) *out = here;
    }
    data_fini(&t);
    return isnan(*out) ? diag_set(d, ERR_FORMAT, "%s: no number under heldout_ppl: restore the file", rows[row].log)
                       : 0;
}

static void show(struct report_page *page, const struct shown shown[QUALITY_TRAINING], int whole) {
    struct frame *t = report_table(
        page, "quality_training", "4 bits before and after steps are learned",
        whole ? "Measured on all of the held-out text, windows of 512 tokens, one rank; intervals of 95 % over "
                "windows, normal; "
                "ratio: to full precision, paired token by token. Log: what training wrote down of the same windows, "
                "in PyTorch."
              : "Measured on a few short windows (--quick), one rank; intervals of 95 % over windows, normal; ratio: "
                "to full "
                "precision, paired token by token. Logs of the training speak of all of the text: not compared.");
    frame_column(t, "decoder", "", 0);
    frame_column(t, "n", "", 6);
    frame_column(t, "perplexity", "", 6);
    frame_column(t, "perplexity: low", "", 5);
    frame_column(t, "perplexity: high", "", 5);
    frame_column(t, "ratio", "", 5);
    frame_column(t, "ratio: low", "", 5);
    frame_column(t, "ratio: high", "", 5);
    frame_column(t, "log of the training", "", 6);
    frame_column(t, "difference", "", 2);
    for (int i = 0; i < QUALITY_TRAINING; i++) {
        const struct sweep_value *p = &shown[i].perplexity, *r = &shown[i].dnll;
        frame_text(t, "%s", rows[i].name);
        frame_number(t, p->n);
        frame_number(t, p->value);
        frame_number(t, p->low);
        frame_number(t, p->high);
        frame_number(t, exp(r->value));
        frame_number(t, exp(r->low));
        frame_number(t, exp(r->high));
        frame_number(t, shown[i].log);
        frame_number(t, p->value - shown[i].log);
        frame_end_row(t);
    }
}

static const char *verdict(const struct sweep_value *dnll) {
    double bound = log1p(WITHIN);
    return dnll->high <= bound ? "within" : dnll->low > bound ? "not within" : "not surely within";
}

static const char *above(char buf[128], const struct shown *s) {
    const struct sweep_value *r = &s->dnll;
    snprintf(buf, 128, "%.5g, %.2f %% [%.2f, %.2f] above it, %s %.0f %%", s->perplexity.value, 100 * expm1(r->value),
             100 * expm1(r->low), 100 * expm1(r->high), verdict(r), 100 * WITHIN);
    return buf;
}

static void say(struct report_page *page, const struct shown shown[QUALITY_TRAINING]) {
    char before[128], after[128];
    double off = 0;
    report_say(page,
               "On %d held-out predictions full precision has perplexity %.5g. In 4 bits (w4a4) the decoder has %s, by "
               "post-training quantization; %s, with learned steps (measured, paired, 95 %% over windows).",
               shown[0].perplexity.n, shown[0].perplexity.value, above(before, &shown[QUALITY_BEFORE]),
               above(after, &shown[QUALITY_AFTER]));
    for (int i = 0; i < QUALITY_TRAINING; i++)
        off = fmax(off, fabs(shown[i].perplexity.value - shown[i].log));
    if (!isnan(shown[0].log))
        report_say(page,
                   "The engine's perplexities of the three decoders differ by at most %.2g from those that their "
                   "training wrote "
                   "down of the same text (measured here and there).",
                   off);
}

int quality_training(struct report_page *page, const struct sweep_outcome *const of[QUALITY_TRAINING], int whole,
                     struct diag *d) {
    struct shown shown[QUALITY_TRAINING];
    int rc = 0;
    for (int i = 0; i < QUALITY_TRAINING && !rc; i++) {
        shown[i] = (struct shown){*sweep_find(of[i], "perplexity"), *sweep_find(of[i], "dnll_nats"), NAN};
        if (whole) rc = read_log(&shown[i].log, i, d);
    }
    if (rc) return rc;
    show(page, shown, whole);
    say(page, shown);
    return 0;
}
