/* tp_forward.h - a forward pass with all logits over ranks that share each layer: for scoring a text, without the
 * engine's sampling and pipelining. One rank alone does the same without messages. */
#ifndef DIST_TP_FORWARD_H
#define DIST_TP_FORWARD_H

#include "collectives/coll.h"
#include "dist/app.h"
#include "models/decoder.h"

struct tp_forward {
    struct plan *plan;
    struct link *world;
    struct decoder *dec;
    struct coll *attn, *ffn; /* NULL on one rank; attn also where layers have one for both products */
    struct link *sharers; /* the ranks that share a cache by position, and its merge; NULL without --kvp */
    struct coll *merge;
    float *h; /* [max_tokens][d_model] residual stream */
    float *own; /* the same, of the FFN of this rank where the sync before it is dropped */
    float *sum[2]; /* products where one rank has all of them; [0] the sums of its heads in dropped syncs */
    float *mine, *all; /* [max_tokens][rows] logits of this rank; of all ranks, one behind the other */
    int rows; /* most vocabulary rows of a rank */
    /* Sees what this rank brings to the all-reduce of an FFN, `n` floats; NULL: nobody does. Set after opening. */
    void (*operand)(void *user, const float *parts, size_t n);
    void *user;
};

/* Splits the model by tensor (and KV) parallelism over all ranks of the world, windows of n_ctx positions, max_tokens a
 * call. Collective, the same result on all ranks; freed by tp_forward_close, also after a failure. */
int tp_forward_open(struct tp_forward *f, const struct app *app, const struct model *m, int n_ctx, int max_tokens,
                    struct diag *d);
/* logits [n][n_vocab], the same on all ranks. Collective. */
void tp_forward_run(struct tp_forward *f, const struct token_batch *b, float *logits);
/* The worst label of its collectives, as proved for their shapes; of dropped syncs and shared caches too. Local. */
enum coll_label tp_forward_label(const struct tp_forward *f);
void tp_forward_close(struct tp_forward *f);

#endif
