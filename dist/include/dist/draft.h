/* draft.h - guesses at the next tokens of a sequence, looked up in the sequence itself (prompt lookup decoding).
 *
 * Text repeats: names, quotations, code. The last tokens of a sequence are searched for earlier in it; what followed
 * them there is the draft. A pass then verifies the last token and its drafts together, so one reading of the weights
 * and one round of synchronisations give as many tokens as the draft had right, and one more. Nothing is approximate:
 * each position's logits have the same bits in any pass, and the sampler's draw depends on seed, sequence and position
 * alone, so tokens and logits are those without drafts. Pure and local. */
#ifndef DIST_DRAFT_H
#define DIST_DRAFT_H

#include <stdint.h>

enum { DRAFT_MOST = 64, DRAFT_NGRAM_MOST = 64, DRAFT_NGRAM_LOW = 2, DRAFT_NGRAM_HIGH = 4 /* by default */ };

struct draft_params {
    int most; /* drafts of a sequence in one pass, at most DRAFT_MOST; 0: none */
    int ngram_min, ngram_max; /* tokens that must be found earlier, and that may be compared: 1 <= min <= max */
};

/* A sequence in two pieces: prompt and generated tokens. */
struct draft_text {
    const int *head;
    int n_head;
    const int *tail;
    int n_tail;
};

/* Drafts for the tokens that follow t, `room` at most (and p->most): returns how many. The longest suffix of t with
 * ngram_min..ngram_max tokens that occurred earlier decides, its latest occurrence if there are several. An occurrence
 * may overlap the suffix; a draft that reaches the end of t goes on with its own first tokens, as a period would. */
int draft_lookup(const struct draft_params *p, const struct draft_text *t, int room, int *out);

/* What came of the drafts; exact counts. A turn is one sequence's part of one pass after its first token. */
struct draft_stats {
    uint64_t turns, drafted, accepted;
    uint64_t taken[DRAFT_MOST + 1]; /* turns by drafts accepted: such a turn gave one token more */
};
void draft_count(struct draft_stats *s, int drafted, int accepted);
void draft_add(struct draft_stats *sum, const struct draft_stats *s);
/* Tokens that a share q of the turns did not exceed (0 < q <= 1); 0 without turns. */
int draft_quantile(const struct draft_stats *s, double q);

#endif
