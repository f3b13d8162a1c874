/* sampler.h - the next token from a few candidates, the same on every rank.
 *
 * Greedy needs each rank's best; top-k needs each rank's k best: so ranks exchange candidates, never logits (reduced
 * sampling, exact). With top_k = 0 and temperature > 0 all logits are candidates. The chain is top-k, temperature,
 * softmax, top-p over what top-k left, one draw. Ties go to the lowest id. */
#ifndef DIST_SAMPLER_H
#define DIST_SAMPLER_H

#include <stdint.h>

struct sampler_params {
    double temperature; /* 0: greedy */
    int top_k; /* 0: all */
    double top_p; /* 1: all */
    uint64_t seed;
};

struct candidate {
    float logit;
    int32_t id;
};

/* How many candidates a rank must offer: 1 when greedy, top_k, or n_vocab. */
int sampler_candidates(const struct sampler_params *p, int n_vocab);

/* The k best of logits[0..n), ids counted from first_id, best first, into out (k entries: padded with id -1 if n < k).
 */
void sampler_best(const float *logits, int n, int first_id, struct candidate *out, int k);

/* Draws from m candidates (id -1 ignored; reordered in place). The draw depends on seed, sequence and index alone. */
int sampler_draw(const struct sampler_params *p, struct candidate *c, int m, int seq, int index);

#endif
