#include "emit.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GGML_F32 = 0, GGML_I8 = 24, CHUNK_BYTES = 4 << 20 };

void emit_metadata(struct emit *e, const struct emit_matrix *m) {
    char key[SHAPE_NAME_LEN + 32];
    if (!m->type->per_channel) return;
    snprintf(key, sizeof key, "northwall.format.%s", m->name);
    gguf_writer_str(e->w, key, m->type->name, strlen(m->type->name));
}

void emit_declare(struct emit *e, const struct emit_matrix *m) {
    size_t row_bytes = tensor_type_row_bytes(m->type, m->cols), bytes = row_bytes * (size_t)m->rows;
    int own = m->type->per_channel;
    int64_t ne[2] = {own ? (int64_t)row_bytes : m->cols, m->rows};
    gguf_writer_tensor(e->w, m->name, 2, ne, own ? GGML_I8 : m->type->ggml_id, bytes);
    e->total += bytes;
    if (!own) return;
    char name[SHAPE_NAME_LEN + 8];
    snprintf(name, sizeof name, "%s.step", m->name);
    gguf_writer_tensor(e->w, name, 1, &m->rows, GGML_F32, (size_t)m->rows * sizeof(float));
    e->total += (size_t)m->rows * sizeof(float);
}

int emit_bytes(struct emit *e, const void *data, size_t bytes) {
    int rc = gguf_writer_data(e->w, data, bytes, e->d);
    e->done += bytes;
    if (rc || !e->progress || !e->progress(e->progress_arg, e->done, e->total)) return rc;
    return diag_set(e->d, ERR_INTERRUPTED, "interrupted while writing");
}

/* Rows of a chunk, quantized side by side. */
static void make_rows(const struct emit *e, const struct emit_matrix *m, int64_t row0, int64_t n, uint8_t *dst,
                      float *steps, float *scratch) {
    size_t row_bytes = tensor_type_row_bytes(m->type, m->cols);
#pragma omp parallel for num_threads(e->threads) schedule(static) if (e->threads > 1)
    for (int64_t r = 0; r < n; r++) {
        float *row = scratch + (size_t)omp_get_thread_num() * (size_t)m->cols, step = 1;
        m->row(m->ctx, row0 + r, row);
        if (m->type->per_channel) steps[row0 + r] = step = tensor_type_row_step(m->type, row, m->cols);
        m->type->quantize(row, step, dst + (size_t)r * row_bytes, m->cols);
    }
}

static int write_rows(struct emit *e, const struct emit_matrix *m, int64_t chunk, uint8_t *buf, float *steps,
                      float *scratch) {
    size_t row_bytes = tensor_type_row_bytes(m->type, m->cols);
    int rc = 0;
    for (int64_t row = 0; row < m->rows && !rc; row += chunk) {
        int64_t n = m->rows - row < chunk ? m->rows - row : chunk;
        make_rows(e, m, row, n, buf, steps, scratch);
        rc = emit_bytes(e, buf, (size_t)n * row_bytes);
    }
    if (!rc && m->type->per_channel) rc = emit_bytes(e, steps, (size_t)m->rows * sizeof *steps);
    return rc;
}

int emit_data(struct emit *e, const struct emit_matrix *m) {
    size_t row_bytes = tensor_type_row_bytes(m->type, m->cols);
    int64_t chunk = (int64_t)(CHUNK_BYTES / row_bytes) + 1;
    uint8_t *buf = malloc((size_t)chunk * row_bytes);
    float *steps = malloc((size_t)m->rows * sizeof *steps);
    float *scratch = malloc((size_t)e->threads * (size_t)m->cols * sizeof *scratch);
    int rc = buf && steps && scratch ? write_rows(e, m, chunk, buf, steps, scratch)
                                     : diag_set(e->d, ERR_MEMORY, "no memory to write tensor %s", m->name);
    free(buf);
    free(steps);
    free(scratch);
    return rc;
}
