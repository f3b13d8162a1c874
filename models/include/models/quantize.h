/* quantize.h - a GGUF file with its matrices in another storage type.
 *
 * Every matrix of two dimensions takes the type (or the one that stands in for it, tensor_type_for_cols); vectors,
 * position and token type tables stay as they are. Metadata is copied. */
#ifndef MODELS_QUANTIZE_H
#define MODELS_QUANTIZE_H

#include "models/synth.h"

struct quantize_opts {
    const char *type; /* "Q4_K" */
    const char *head_type; /* of token_embd and output; NULL: the same */
    int threads; /* >= 1 */
    model_progress *progress;
    void *progress_arg;
};

/* Reads g, writes path. Local. */
int model_quantize(const struct gguf *g, const struct quantize_opts *o, const char *path, struct diag *d);

#endif
