/* perplexity.h - how well a model predicts a text. */
#ifndef DIST_PERPLEXITY_H
#define DIST_PERPLEXITY_H

#include "dist/app.h"

/* One predicted position. */
struct prediction {
    int token; /* what came */
    int best; /* what the model thought most likely */
    float margin; /* logit of best minus logit of the second best */
    double nll; /* -ln p(token), natural log */
};

struct perplexity {
    int n; /* predictions */
    struct prediction *at; /* [n] */
    int window, n_windows;
    double mean_nll, perplexity;
    double low, high; /* 95 % interval of the perplexity over windows (normal, by standard error of window means);
                         0, 0 with fewer than 8 windows */
    double seconds;
};

/* Cuts ids into windows of `window` tokens (the begin token, if any, in front of each), feeds each from an empty cache
 * and scores every token after the first. Collective: the model is split over all ranks
 * by tensor parallelism, all have the result. Free with perplexity_fini. */
int perplexity_measure(struct perplexity *out, const struct app *app, const struct model *m, const int *ids, int n,
                       struct diag *d);
void perplexity_fini(struct perplexity *p);

#endif
