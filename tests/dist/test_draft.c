/* The drafter: what it finds, where it stops, how it counts. */
#include <string.h>

#include "check.h"
#include "dist/draft.h"

/* Letters are tokens; "head|tail" is a text in two pieces; expected drafts likewise. */
static void check(const char *text, int most, int min, int max, int room, const char *expected) {
    int head[64], tail[64], out[DRAFT_MOST];
    struct draft_text t = {head, 0, tail, 0};
    const char *bar = strchr(text, '|');
    for (const char *p = text; *p; p++) {
        if (p == bar) continue;
        if (p < bar)
            head[t.n_head++] = *p;
        else
            tail[t.n_tail++] = *p;
    }
    struct draft_params params = {most, min, max};
    int n = draft_lookup(&params, &t, room, out), same = n == (int)strlen(expected);
    for (int i = 0; same && i < n; i++)
        same = out[i] == expected[i];
    CHECK(same, "'%s', %d by %d:%d, room %d: %d drafts, expected '%s'", text, most, min, max, room, n, expected);
}

static void check_lookup(void) {
    check("abcdeXab|", 3, 2, 3, 9, "cde");
    check("abcde|Xab", 3, 2, 3, 9, "cde");
    check("abcdeXa|b", 3, 2, 3, 9, "cde");
    check("abcdeXab|", 4, 2, 3, 9, "cdeX");
    check("abcdeXab|", 4, 2, 3, 2, "cd"); /* room */
    check("abcdeXab|", 4, 2, 3, 0, "");
    check("abcdeXab|", 4, 2, 3, -3, "");
    check("abcdeXab|", 0, 2, 3, 9, "");
    check("abcdeXYb|", 3, 2, 3, 9, ""); /* one token is too few */
    check("abcdeXYb|", 3, 1, 3, 9, "cde");
    check("abPQabRSab|", 2, 2, 2, 9, "RS"); /* the latest */
    check("xabPQabRSxab|", 2, 2, 2, 9, "RS");
    check("xabPQabRSxab|", 2, 2, 3, 9, "PQ"); /* the longest */
    check("xabPQabRSxab|", 2, 1, 9, 9, "PQ");
    check("xabPQxabRSxab|", 2, 1, 3, 9, "RS"); /* equally long as far as is compared */
}

static void check_short(void) {
    check("|", 3, 1, 3, 9, "");
    check("a|", 3, 1, 3, 9, "");
    check("|a", 3, 1, 3, 9, "");
    check("ab|", 3, 1, 3, 9, "");
    check("aa|", 3, 2, 3, 9, ""); /* the only pair is the suffix */
    check("aba|", 2, 1, 9, 9, "ba"); /* n-grams longer than the text */
    check("ab|", 3, 5, 9, 9, "");
}

/* Drafts that reach the end of the text go on with themselves. */
static void check_overlap(void) {
    check("aa|", 3, 1, 3, 9, "aaa");
    check("aaa|", 3, 2, 3, 9, "aaa");
    check("abab|", 5, 2, 3, 9, "ababa");
    check("abcabcab|", 7, 2, 4, 9, "cabcabc");
    check("xyab|ab", 3, 2, 4, 9, "aba");
}

static void check_counts(void) {
    struct draft_stats s = {0}, sum = {0};
    CHECK(draft_quantile(&s, 0.5) == 0, "no turns");
    draft_count(&s, 4, 0);
    draft_count(&s, 4, 4);
    draft_count(&s, 0, 0);
    draft_count(&s, DRAFT_MOST, DRAFT_MOST);
    CHECK(s.turns == 4 && s.drafted == 8 + DRAFT_MOST && s.accepted == 4 + DRAFT_MOST, "counts");
    CHECK(draft_quantile(&s, 0.05) == 1 && draft_quantile(&s, 0.5) == 1 && draft_quantile(&s, 0.75) == 5 &&
              draft_quantile(&s, 1) == DRAFT_MOST + 1,
          "quantiles");
    draft_add(&sum, &s);
    draft_add(&sum, &s);
    CHECK(sum.turns == 8 && sum.accepted == 2 * s.accepted && sum.drafted == 2 * s.drafted && sum.taken[0] == 4 &&
              sum.taken[DRAFT_MOST] == 2,
          "sums");
}

int main(void) {
    check_lookup();
    check_short();
    check_overlap();
    check_counts();
    return check_report("draft");
}
