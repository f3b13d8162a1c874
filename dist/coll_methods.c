/* coll_methods.c - what each method sends for a token, as functions of L layers, d values of a hidden state and P ranks
 * of a group: the all-reduces of tensor parallelism with each algorithm, and what changes the model's schedule. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "coll_bench.h"

struct method {
    const char *name, *messages, *words, *flops, *memory, *label, *bound;
};

/* c = 1: ranks own whole subtrees. The bounds: two products a layer whose sums every rank needs, d values each. */
static const char rounds[] = "2L ceil(lg P) rounds", words[] = "4L (P-1)/P d words", exact[] = "bit-exact";

static const struct method model_methods[] = {
    {"parallel block", "half of tp's", "tp's", "tp's", "tp's", "tp's", "L ceil(lg P) rounds, the same words"},
    {"--drop-sync of k", "(2L-k)/2L of tp's", "(2L-k)/2L of tp's", "less, and k c d", "(1 + c) d", "approximate",
     "(2L-k) ceil(lg P) rounds"},
    {"pp", "1", "d", "0", "0", exact, "1 message, d words"},
    {"kvp K: attn_merge", "L (K-1)", "L (K-1) H/P (D+2)", "3L (K-1) H/P (D+1)", "q k v rows K times",
     "exact to rounding", "L ceil(lg K) rounds"},
    {"dp", "0", "0", "0", "all weights on each", exact, "0"},
    {"--draft S, of the above", "1 / E", "(S+1) / E", "(S+1) / E products", "S + 1 vectors", exact,
     "as above, for E tokens"},
    {"sampling under tp", "ceil(lg P) to P-1", "(P-1)(2K+2)", "0", "P K candidates", exact, "ceil(lg P) rounds"},
};

static void print(FILE *out, const struct method *m) {
    fprintf(out, "  %-20s %-20s %-22s %-18s %-20s %-18s %s\n", m->name, m->messages, m->words, m->flops, m->memory,
            m->label, m->bound);
}

/* The formula of a vector of n elements, times k, for hidden states: n is d. */
static void of_token(char *out, size_t cap, int k, const char *formula) {
    int len = snprintf(out, cap, "%dL (%s)", k, formula);
    for (int i = 1; i < len && (size_t)i + 1 < cap; i++)
        if (out[i] == 'n' && !isalpha((unsigned char)out[i - 1]) && !isalpha((unsigned char)out[i + 1])) out[i] = 'd';
}

static void print_algo(FILE *out, const struct coll_algo *a) {
    char name[64], messages[64], sent[64], flops[64], memory[64], bound[64];
    int known = a->additions != NULL && !a->library && a->levels == 1;
    snprintf(name, sizeof name, "tp, %s", a->name);
    const char *other = a->library ? "unknown" : "of both levels";
    of_token(messages, sizeof messages, 2, known ? a->messages : other);
    of_token(sent, sizeof sent, 2, known ? a->words : other);
    of_token(flops, sizeof flops, 2, known ? a->additions : other);
    of_token(memory, sizeof memory, 2, known ? a->memory : other);
    memmove(memory + 1, memory + 2, strlen(memory + 1)); /* two collectives for all layers: 2, not 2L */
    snprintf(bound, sizeof bound, "%s, %s", rounds, words);
    print(out, &(struct method){name, messages, sent, flops, memory, coll_label_name(a->label), bound});
}

void coll_list_methods(FILE *out) {
    fputs("\nmethods: what a rank does for a token of one sequence beyond its share of the products (L layers, hidden "
          "states of d\nvalues, P ranks of a group, c subtree sums of a rank: 1 where ranks own whole subtrees; kvp: K "
          "ranks share a cache of H\nheads of D values; sampling: K candidates; words of 4 bytes, vectors of d; "
          "northwall coll --verify proves and counts the\nalgorithms)\n",
          out);
    print(out, &(struct method){"", "messages", "words", "additions", "memory", "label", "lower bound"});
    for (int i = 0; coll_algos[i]; i++)
        print_algo(out, coll_algos[i]);
    for (size_t i = 0; i < sizeof model_methods / sizeof *model_methods; i++)
        print(out, &model_methods[i]);
}
