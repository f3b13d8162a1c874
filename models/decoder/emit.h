/* emit.h - writing matrices of any storage type to a GGUF file, row by row from floats. Private to models/decoder.
 *
 * A matrix of a per-channel type becomes an I8 tensor, a tensor NAME.step and a pair northwall.format.NAME. */
#ifndef MODELS_DECODER_EMIT_H
#define MODELS_DECODER_EMIT_H

#include "models/synth.h"

struct emit_matrix {
    char name[SHAPE_NAME_LEN];
    const struct tensor_type *type;
    int64_t rows, cols;
    void (*row)(const void *ctx, int64_t row, float *dst); /* makes row [cols] as floats; any thread */
    const void *ctx;
};

struct emit {
    struct gguf_writer *w;
    int threads;
    model_progress *progress;
    void *progress_arg;
    size_t done, total;
    struct diag *d;
};

/* In this order for all matrices: their metadata, their tensors, their data. */
void emit_metadata(struct emit *e, const struct emit_matrix *m);
void emit_declare(struct emit *e, const struct emit_matrix *m);
int emit_data(struct emit *e, const struct emit_matrix *m);

/* Data of a tensor that is written as it stands. */
int emit_bytes(struct emit *e, const void *data, size_t bytes);

#endif
