/* perplexity.h - how well a model predicts a text. */
#ifndef DIST_PERPLEXITY_H
#define DIST_PERPLEXITY_H

#include "text_windows.h"

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
    struct text_mean nll; /* nats */
    double seconds;
};

/* Scores every prediction of a text. Collective: the model is split over all ranks by tensor parallelism, all have the
 * result. Free with perplexity_fini. */
int perplexity_measure(struct perplexity *out, const struct app *app, const struct model *m,
                       const struct text_windows *w, struct diag *d);
void perplexity_fini(struct perplexity *p);

#endif
