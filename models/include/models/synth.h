/* synth.h - synthetic weights: numbers that depend on seed, tensor name, row and column alone.
 *
 * decoder_open generates a shard's own pieces in place; model_synth writes them all to a file. Both give the same
 * floats, however the model is sharded. Matrices are uniform with standard deviation 1/sqrt(columns), norm weights lie
 * around 1, biases around 0. */
#ifndef MODELS_SYNTH_H
#define MODELS_SYNTH_H

#include "models/shape.h"

/* Columns [col0, col1) of a row of a matrix with `cols` columns, under the name of its tensor. Local. */
void synth_row(float *dst, uint64_t seed, const char *tensor, int64_t row, int cols, int col0, int col1);

/* Elements [first, first + n) of a vector. Local. */
void synth_vector(float *dst, uint64_t seed, enum vec vec, const char *tensor, int64_t first, int n);

/* Called with bytes written and in all; nonzero stops (ERR_INTERRUPTED) and leaves no file. */
typedef int model_progress(void *arg, size_t bytes_done, size_t bytes);

/* Writes a GGUF file of the shape's synthetic weights, without vocabulary. `threads` >= 1. Local. */
int model_synth(const struct model_shape *s, uint64_t seed, const char *path, int threads, model_progress *progress,
                void *arg, struct diag *d);

#endif
