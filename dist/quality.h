/* quality.h - what a choice of weights, activations, cache, wire form or schedule does to a model's predictions of a
 * text: measured beside full precision, and beside one rank of the same choice.
 *
 *   struct quality_store *s = quality_store_new();
 *   quality_measure(&q, s, app, &d);                 again and again: models, texts and logits of one rank are kept
 *   quality_store_free(s);
 *
 * Full precision is one rank of --reference (or of the model itself) with float activations, a cache of f16 and hidden
 * states of f32. One rank of the same choice has no collective: what differs from it is what ranks and schedule did. */
#ifndef DIST_QUALITY_H
#define DIST_QUALITY_H

#include <jansson.h>

#include "collectives/sched.h"
#include "text_windows.h"

/* Two sets of logits [n] for one prediction. */
struct divergence {
    double kl; /* KL(softmax(ref) || softmax(got)), nats; never negative; 0 where all logits are the same */
    double most; /* largest |ref - got| */
    int same_best; /* the first of the most likely tokens is the same */
};
/* log of the sum of exp of x[n]. Local, as the next ones. */
double quality_log_sum(const float *x, int n);
/* Their log sums are passed so that they need not be computed again. With x_i = ln q_i - ln p_i the divergence is
 * sum p_i (exp(x_i) - 1 - x_i), as p and q both sum to 1: terms that are never negative and lose no digits where
 * the two are close. */
struct divergence quality_compare(const float *ref, double ref_log_sum, const float *got, double got_log_sum, int n);
/* The greatest divergence that logits can have which differ by at most `most`: most^2 / 2 nats (Hoeffding's lemma for
 * the difference, which lies in a range of 2 most). */
double quality_kl_bound(double most);

/* Means over predictions, with intervals over windows (text_windows.h). */
struct quality_against {
    struct text_mean kl, dnll, same_best; /* nats, nats, 1; dnll: -ln p(what came), this one's minus the other's */
    double most_kl, most_logit; /* of one prediction */
    long changed; /* predictions of which any logit has other bits */
};

enum { QUALITY_FULL, QUALITY_ONE_RANK, QUALITY_REFERENCES };
struct quality {
    long n; /* predictions */
    int n_windows, window, ranks;
    struct text_mean nll;
    struct quality_against against[QUALITY_REFERENCES];
    int floats; /* activations and hidden states are floats, the cache f16 */
    enum coll_label label; /* what is proved of its collectives; also of dropped syncs and shared caches */
    uint64_t plan_hash;
    char strategy[64], dropped[64]; /* layers whose sync was left out; "": none */
    double seconds; /* of this measurement, without what was kept */
};

/* Labels are promises, which quality_measure checks: a bit-exact result that is not one rank's is ERR_MISMATCH; so is
 * one exact to rounding, computed in floats, whose mean divergence from one rank is above this, the unit roundoff of
 * binary32. (The divergence is of second order in a change of logits; what is left comes of keys and values that round
 * to another binary16.) Where activations, cache or hidden states are rounded to few bits, a sum that differs in its
 * last bit may cross a step of theirs: nothing is promised. */
#define QUALITY_ROUNDING_KL 0x1p-24

struct quality_store;
struct quality_store *quality_store_new(void); /* NULL: no memory */
void quality_store_free(struct quality_store *s); /* NULL accepted */

/* Measures what the command line describes on the text of its first word, or --text. Under mpirun ranks are the
 * world's; in one process --ranks, or those of --strategy, are threads. --drop-sync least:K drops the K syncs that cost
 * least, found by dropping each alone. Collective; *out is filled in on rank 0, the status is the same on all. */
int quality_measure(struct quality *out, struct quality_store *s, const struct app *app, struct diag *d);

/* The same as members of a new object, for --json and sweeps. */
json_t *quality_json(const struct quality *q);
/* What was checked of a result by its label; NULL: nothing is promised of it. */
const char *quality_checked(const struct quality *q);

#endif
