/* quality_priv.h - what quality.c and quality_store.c share. */
#ifndef DIST_QUALITY_PRIV_H
#define DIST_QUALITY_PRIV_H

#include "quality.h"

/* What is kept begins with its key, a hash of all that it depends on; 0: nothing is. */
struct quality_model {
    uint64_t key;
    struct model model;
};
struct quality_text {
    uint64_t key;
    struct text_windows windows;
};
/* Logits of one rank for each prediction of a text. */
struct quality_logits {
    uint64_t key;
    float *logits; /* [predictions][n_vocab] */
    double *log_sum, *nll; /* [predictions] */
    long n;
    int n_vocab;
    double mean_nll;
};
/* Layers by what their dropped sync costs, the least first. */
struct quality_order {
    uint64_t key;
    int *layer; /* [n_layers] */
    struct quality first; /* rank 0: what dropping layer[0] alone does */
};

enum { QUALITY_KEPT = 3 };
struct quality_store { /* the last one used first */
    void *model[QUALITY_KEPT], *text[QUALITY_KEPT], *logits[QUALITY_KEPT], *order[QUALITY_KEPT];
    struct app *alone; /* space for one rank's */
};

/* The model of the command line; the text as its tokenizer cuts it. Collective over app->world; the store's. */
int quality_model(const struct model **out, struct quality_store *s, const struct app *app, struct diag *d);
int quality_text(const struct quality_text **out, struct quality_store *s, const struct app *app, const struct model *m,
                 struct diag *d);
/* What one rank computes: of the app's choice, or in full precision. Local, for rank 0. */
int quality_one_rank(const struct quality_logits **out, struct quality_store *s, const struct app *app, int full,
                     const struct text_windows *as, struct diag *d);
/* Of all that tells one choice and text from another, but for ranks and schedule. Local. */
uint64_t quality_choice(const struct app *app);
/* One more word of a key. */
uint64_t quality_key(uint64_t key, const char *word);
/* Moves the entry of a key to the front; NULL: there is none, and the last one's place is in front, empty by `forget`.
 */
void *quality_find(void *entries[QUALITY_KEPT], uint64_t key, void (*forget)(void *entry));
void quality_forget_order(void *entry);

#endif
