/* The claims of the HPEC 2024 paper on NorthPole. Roles are those of report northpole: inputs and what is fitted say
 * nothing of the model, identities follow from other published numbers, predictions may fail. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "claims.h"

/* ---- over the fits ---- */

/* Low and high of an answer over all fits; is: of the cluster as described. */
static int ask_fits(struct claims *c, const struct northpole_ask *ask, double v[NORTHPOLE_MOST_FITS],
                    struct claim_answer *a) {
    int rc = northpole_answer(&c->np, ask, -1, &a->is);
    for (int i = 0; i < c->np.n_fits && !rc; i++) {
        rc = northpole_answer(&c->np, ask, i, &v[i]);
        claim_range(a, v[i]);
    }
    a->kind = "simulated";
    a->range = "over the fits";
    return rc;
}

static int change_over_fits(struct claims *c, enum northpole_change what, double v[NORTHPOLE_MOST_FITS],
                            struct claim_answer *a) {
    struct northpole_ask ask = northpole_change(what);
    return ask_fits(c, &ask, v, a);
}

/* ---- the system ---- */

static int ask_throughput(struct claims *c, int which, struct claim_answer *a) {
    (void)which;
    a->is = c->np.at.throughput;
    for (int i = 0; i < c->np.n_fits; i++)
        claim_range(a, c->np.fit[i].at.throughput);
    a->unit = "tok/s";
    a->kind = "simulated";
    a->range = "over the fits, by construction";
    snprintf(a->why, sizeof a->why,
             "what each fit is fitted to; without overheads, of which none is published, the model's bound is %.1f "
             "times as much",
             a->is / NORTHPOLE_TOK_S);
    return 0;
}

static int ask_latency(struct claims *c, int which, struct claim_answer *a) {
    (void)c;
    (void)which;
    a->is = a->low = a->high = 1e3 * NORTHPOLE_USERS / NORTHPOLE_TOK_S;
    a->unit = "ms/token";
    a->kind = "identity";
    a->verdict = judge_at_most(a->is, a->is, 1);
    snprintf(a->why, sizeof a->why, "users over throughput, both published: no model is asked");
    return 0;
}

static int ask_power(struct claims *c, int which, struct claim_answer *a) {
    (void)c;
    (void)which;
    a->is = 16 * NORTHPOLE_CARD_W;
    a->unit = "W";
    a->kind = "input";
    snprintf(a->why, sizeof a->why, "an input here: no power of a card by load is published");
    return 0;
}

static int ask_decoding(struct claims *c, int which, struct claim_answer *a) {
    (void)which;
    a->is = c->np.at.decode_ms;
    for (int i = 0; i < c->np.n_fits; i++)
        claim_range(a, c->np.fit[i].at.decode_ms);
    a->unit = "ms/token";
    a->kind = "simulated";
    a->range = "over the fits";
    a->verdict = judge_at_most(a->low, a->high, 1);
    snprintf(a->why, sizeof a->why, "a prediction: time between tokens, without the prompts");
    return 0;
}

/* ---- ratios to GPUs ---- */

static void answer_identity(struct claim_answer *a, const struct northpole_ratio *r) {
    a->is = r->agrees;
    a->kind = "identity";
    a->verdict = judge_printed(r->agrees, NAN, NAN, r->published, r->published >= 10 ? 3 : 2);
    snprintf(a->why, sizeof a->why,
             "follows from another ratio of this point, powers, transistors and batch: the paper's numbers agree with "
             "each other; no model is asked");
}

static void answer_prediction(struct claim_answer *a, const struct northpole_ratio *r) {
    a->is = r->ours;
    a->low = r->low;
    a->high = r->high;
    a->kind = "simulated";
    a->range = "over the memory's share of its peak and the links";
    a->verdict = judge_near(r->low, r->high, r->published, 0.1);
    snprintf(a->why, sizeof a->why, "predicted with two host times that are fitted to other GPUs%s",
             a->verdict == VERDICT_UNTOLD ? "; within 10 % only for a part of what is not published" : "");
}

static int ask_ratio(struct claims *c, int which, struct claim_answer *a) {
    const struct northpole_ratio *r = &c->ratio[which];
    snprintf(a->subject, sizeof a->subject, "%s: %g times better %s", r->against, r->published, r->metric);
    a->unit = "x";
    if (!r->leads) {
        answer_identity(a, r);
    } else if (!strcmp(r->role, "prediction")) {
        answer_prediction(a, r);
    } else {
        a->is = r->ours;
        a->kind = "fitted";
        snprintf(a->why, sizeof a->why, "what one of the host's two times is fitted to");
    }
    return 0;
}

/* ---- why ---- */

static int ask_residency(struct claims *c, int which, struct claim_answer *a) {
    double v[NORTHPOLE_MOST_FITS];
    int rc = change_over_fits(c, NORTHPOLE_NOT_RESIDENT, v, a);
    (void)which;
    a->unit = "x slower";
    a->verdict = judge_above(a->low, a->high, 10);
    snprintf(a->why, sizeof a->why, "with weights in the host's memory, read over the card's link in each pass");
    return rc;
}

/* Two readings of precision: what fewer bits do to bytes, rates and messages, or to the rates alone. */
static int ask_bandwidth_first(struct claims *c, int which, struct claim_answer *a) {
    static const char *const text[] = {"bandwidth first, precision second: 4 bits in place of 8",
                                       "bandwidth first, precision second: rates of arithmetic alone"};
    double faster[NORTHPOLE_MOST_FITS], other[NORTHPOLE_MOST_FITS], sign = which ? -1 : 1;
    struct claim_answer precision = *a;
    int as_claimed = 0, rc = change_over_fits(c, NORTHPOLE_MEMORY_X2, faster, a);
    if (!rc) rc = change_over_fits(c, which ? NORTHPOLE_RATES_X2 : NORTHPOLE_8_BITS, other, &precision);
    snprintf(a->subject, sizeof a->subject, "%s", text[which]);
    a->is = 1 / (a->is * pow(precision.is, sign));
    a->low = a->high = NAN;
    for (int i = 0; i < c->np.n_fits && !rc; i++) {
        double x = 1 / (faster[i] * pow(other[i], sign));
        as_claimed += x > 1;
        claim_range(a, x);
    }
    a->unit = "x";
    a->range = "gain of memory twice as fast over that of precision, over the fits";
    a->verdict = judge_cases(as_claimed, c->np.n_fits, VERDICT_UNTOLD);
    snprintf(a->why, sizeof a->why, "bandwidth gains more under %d of %d fits%s", as_claimed, c->np.n_fits,
             which ? ""
                   : ": half the bits are half the bytes too, and half of the messages and operations beside them");
    return rc;
}

static int ask_micro_batches(struct claims *c, int which, struct claim_answer *a) {
    double few[NORTHPOLE_MOST_FITS], many[NORTHPOLE_MOST_FITS];
    struct northpole_ask at = northpole_micro_batches(NORTHPOLE_STAGES);
    struct northpole_ask beyond = northpole_micro_batches(4 * NORTHPOLE_STAGES);
    struct claim_answer more = *a;
    int rc = ask_fits(c, &at, few, a);
    (void)which;
    if (!rc) rc = ask_fits(c, &beyond, many, &more);
    a->is = 100 * (more.is / a->is - 1);
    a->low = a->high = NAN;
    for (int i = 0; i < c->np.n_fits && !rc; i++)
        claim_range(a, 100 * (many[i] / few[i] - 1));
    a->unit = "% more throughput";
    a->verdict = judge_at_most(a->low, a->high, 10);
    snprintf(a->why, sizeof a->why, "from %d to %d micro-batches of two users, prompts and texts of 64 tokens",
             NORTHPOLE_STAGES, 4 * NORTHPOLE_STAGES);
    return rc;
}

static int ask_sublinear(struct claims *c, int which, struct claim_answer *a) {
    int as_claimed = 0;
    (void)which;
    for (int i = 0; i < c->n_sharded; i++) {
        double part = 100 * c->sharded[i].speedup / c->sharded[i].cards;
        as_claimed += part < 100;
        claim_range(a, part);
    }
    a->unit = "% of linear";
    a->kind = "estimated";
    a->range = "over the cases";
    a->verdict = judge_cases(as_claimed, c->n_sharded, VERDICT_WHERE);
    snprintf(a->why, sizeof a->why, "%d of %d cases of 2 to 8 cards, one user, tensor parallelism", as_claimed,
             c->n_sharded);
    return 0;
}

static int ask_w4a4(struct claims *c, int which, struct claim_answer *a) {
    (void)c;
    (void)which;
    a->is = 100 * 0.2922 / 0.3001;
    a->unit = "% of pass@10";
    a->kind = "published";
    snprintf(a->why, sizeof a->why,
             "the paper's own numbers (0.2922, 0.3001): there is no decoder here that was "
             "trained for 4-bit weights and activations");
    return 0;
}

const struct claim claims_northpole[] = {
    {"abstract", "16 cards give 28,356 tok/s", "a prediction is within 10 %", 0, ask_throughput},
    {"abstract", "under 1 ms a token for a user", "users over throughput is at most 1 ms", 0, ask_latency},
    {"abstract", "under 1 ms between tokens", "decoding alone is at most 1 ms under all fits", 0, ask_decoding},
    {"abstract", "672 W", "a prediction is within 10 %", 0, ask_power},
    {"comparison with GPUs", NULL,
     "identity: rounds to the printed ratio; prediction: within 10 % over all that is not published; fitted: cannot be "
     "told",
     NORTHPOLE_RATIOS, ask_ratio},
    {"architecture", "weights on the chip are what makes it", "more than 10 times slower without, under all fits", 0,
     ask_residency},
    {"architecture", NULL, "memory twice as fast gains more than precision twice as low, under all fits", 2,
     ask_bandwidth_first},
    {"mapping", "as many micro-batches as stages are enough",
     "four times as many add at most 10 % of throughput, under all fits", 0, ask_micro_batches},
    {"comparison with GPUs", "sharding gains less than the number of cards",
     "the speed-up is below the number of cards in all cases looked at", 0, ask_sublinear},
    {"accuracy", "4-bit weights and activations cost hardly any accuracy", "measured on a decoder trained for it", 0,
     ask_w4a4},
    {0}};
