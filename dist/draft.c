#include "dist/draft.h"

/* Token i of the text. */
static int token_at(const struct draft_text *t, int i) {
    return i < t->n_head ? t->head[i] : t->tail[i - t->n_head];
}

/* How many tokens before and at `end` equal the last ones of the text, most at most. */
static int common(const struct draft_text *t, int end, int most) {
    int last = t->n_head + t->n_tail - 1, n = 0;
    while (n < most && n <= end && token_at(t, end - n) == token_at(t, last - n))
        n++;
    return n;
}

/* Distance from the best occurrence's last token to the text's, 0 if there is none. */
static int find_period(const struct draft_params *p, const struct draft_text *t) {
    int last = t->n_head + t->n_tail - 1, best = p->ngram_min - 1, period = 0;
    for (int end = last - 1; end >= best && best < p->ngram_max; end--) {
        int n = common(t, end, p->ngram_max);
        if (n <= best) continue;
        best = n;
        period = last - end;
    }
    return period;
}

int draft_lookup(const struct draft_params *p, const struct draft_text *t, int room, int *out) {
    int n = room < p->most ? room : p->most, length = t->n_head + t->n_tail;
    int period = n > 0 && p->ngram_min > 0 ? find_period(p, t) : 0;
    if (!period) return 0;
    for (int i = 0; i < n; i++)
        out[i] = i < period ? token_at(t, length - period + i) : out[i - period];
    return n;
}

void draft_count(struct draft_stats *s, int drafted, int accepted) {
    s->turns++;
    s->drafted += (uint64_t)drafted;
    s->accepted += (uint64_t)accepted;
    s->taken[accepted]++;
}

void draft_add(struct draft_stats *sum, const struct draft_stats *s) {
    sum->turns += s->turns;
    sum->drafted += s->drafted;
    sum->accepted += s->accepted;
    for (int i = 0; i <= DRAFT_MOST; i++)
        sum->taken[i] += s->taken[i];
}

int draft_quantile(const struct draft_stats *s, double q) {
    uint64_t below = 0;
    for (int i = 0; i <= DRAFT_MOST; i++) {
        below += s->taken[i];
        if (s->turns && (double)below >= q * (double)s->turns) return i + 1;
    }
    return 0;
}
