/* synth_file.c - synthetic weights as a GGUF file that any reader of the format understands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emit.h"

struct synth_source {
    uint64_t seed;
    const struct emit_matrix *m;
};

static void source_row(const void *ctx, int64_t row, float *dst) {
    const struct synth_source *src = ctx;
    synth_row(dst, src->seed, src->m->name, row, (int)src->m->cols, 0, (int)src->m->cols);
}

static void put_int(struct gguf_writer *w, const struct model_shape *s, const char *suffix, int64_t v) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", s->arch, suffix);
    gguf_writer_int(w, key, GGUF_U32, v);
}

static void put_float(struct gguf_writer *w, const struct model_shape *s, const char *suffix, double v) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", s->arch, suffix);
    gguf_writer_float(w, key, (float)v);
}

static void put_rope(struct gguf_writer *w, const struct model_shape *s) {
    char key[128];
    put_int(w, s, "rope.dimension_count", s->rope_dim);
    put_float(w, s, "rope.freq_base", s->rope_base);
    if (s->scaling != ROPE_LINEAR) return;
    snprintf(key, sizeof key, "%s.rope.scaling.type", s->arch);
    gguf_writer_str(w, key, "linear", 6);
    put_float(w, s, "rope.scaling.factor", s->rope_factor);
}

static void put_multipliers(struct gguf_writer *w, const struct model_shape *s) {
    put_float(w, s, "embedding_scale", (double)s->embed_scale);
    put_float(w, s, "residual_scale", (double)s->residual_scale);
    put_float(w, s, "attention.scale", (double)s->attn_scale);
    put_float(w, s, "logit_scale", 1 / (double)s->logit_scale);
}

static void put_metadata(struct gguf_writer *w, const struct model_shape *s) {
    char key[128];
    gguf_writer_str(w, "general.architecture", s->arch, strlen(s->arch));
    gguf_writer_str(w, "general.name", s->name, strlen(s->name));
    gguf_writer_int(w, "general.quantization_version", GGUF_U32, 2);
    gguf_writer_str(w, "tokenizer.ggml.model", "none", 4);
    put_int(w, s, "block_count", s->n_layers);
    put_int(w, s, "context_length", s->n_ctx);
    put_int(w, s, "embedding_length", s->d_model);
    put_int(w, s, "feed_forward_length", s->d_ffn);
    put_int(w, s, "attention.head_count", s->n_heads);
    put_int(w, s, "attention.head_count_kv", s->n_kv_heads);
    put_int(w, s, "attention.key_length", s->head_dim);
    put_int(w, s, "attention.value_length", s->head_dim);
    put_int(w, s, "vocab_size", s->n_vocab);
    put_float(w, s, s->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
              (double)s->norm_eps);
    if (s->rope_dim) put_rope(w, s);
    if (strcmp(s->arch, "granite") == 0) put_multipliers(w, s);
    snprintf(key, sizeof key, "%s.use_parallel_residual", s->arch);
    if (strcmp(s->arch, "gptneox") == 0) gguf_writer_bool(w, key, s->parallel_block);
    snprintf(key, sizeof key, "%s.attention.causal", s->arch);
    if (!s->causal) gguf_writer_bool(w, key, 0);
}

/* The matrix of a role as stored: a fused tensor counts as q's. 0 if it is not stored under the role. */
static int stored_matrix(const struct model_shape *s, enum role role, int layer, struct emit_matrix *m) {
    int rows, cols, fused = s->fused_qkv && role >= ROLE_Q && role <= ROLE_V;
    if (shape_role_tensor(s, role, layer, m->name) < 0 || (fused && role != ROLE_Q)) return 0;
    if (role == ROLE_HEAD && s->tied_head) return 0;
    shape_role_size(s, role, &rows, &cols);
    m->type = shape_type(s, role, layer);
    m->rows = fused ? (s->n_heads + 2 * s->n_kv_heads) * s->head_dim : rows;
    m->cols = cols;
    return 1;
}

static int stored_vector(const struct model_shape *s, enum vec vec, int layer, char *name) {
    int n = shape_vec_size(s, vec), fused = s->fused_qkv && vec >= VEC_Q_B && vec <= VEC_V_B;
    if (shape_vec_tensor(s, vec, layer, name) < 0 || (fused && vec != VEC_Q_B)) return 0;
    return fused ? (s->n_heads + 2 * s->n_kv_heads) * s->head_dim : n;
}

static int write_vector(struct emit *e, uint64_t seed, enum vec vec, const char *name, int n) {
    float *v = malloc((size_t)n * sizeof *v);
    if (!v) return diag_set(e->d, ERR_MEMORY, "no memory to write tensor %s", name);
    synth_vector(v, seed, vec, name, 0, n);
    int rc = emit_bytes(e, v, (size_t)n * sizeof *v);
    free(v);
    return rc;
}

/* One pass over all tensors of a file, in order: metadata, declaration or data. */
enum pass { PASS_METADATA, PASS_DECLARE, PASS_DATA };

static int pass_matrix(struct emit *e, const struct model_shape *s, uint64_t seed, enum pass pass, enum role role,
                       int layer) {
    struct emit_matrix m = {.row = source_row};
    struct synth_source src = {.seed = seed, .m = &m};
    m.ctx = &src;
    if (!stored_matrix(s, role, layer, &m)) return 0;
    if (pass == PASS_METADATA) emit_metadata(e, &m);
    if (pass == PASS_DECLARE) emit_declare(e, &m);
    return pass == PASS_DATA ? emit_data(e, &m) : 0;
}

static int pass_vector(struct emit *e, const struct model_shape *s, uint64_t seed, enum pass pass, enum vec vec,
                       int layer) {
    char name[SHAPE_NAME_LEN];
    int64_t n = stored_vector(s, vec, layer, name);
    if (!n) return 0;
    if (pass == PASS_DECLARE) {
        gguf_writer_tensor(e->w, name, 1, &n, 0, (size_t)n * sizeof(float));
        e->total += (size_t)n * sizeof(float);
    }
    return pass == PASS_DATA ? write_vector(e, seed, vec, name, (int)n) : 0;
}

static int pass_all(struct emit *e, const struct model_shape *s, uint64_t seed, enum pass pass) {
    int rc = 0;
    for (int l = 0; l < s->n_layers && !rc; l++) {
        for (int r = 0; r < ROLE_COUNT && !rc; r++)
            if (!l || role_in_layer((enum role)r)) rc = pass_matrix(e, s, seed, pass, (enum role)r, l);
        for (int v = 0; v < VEC_COUNT && !rc; v++)
            if (!l || vec_in_layer((enum vec)v)) rc = pass_vector(e, s, seed, pass, (enum vec)v, l);
    }
    return rc;
}

int model_synth(const struct model_shape *s, uint64_t seed, const char *path, int threads, model_progress *progress,
                void *arg, struct diag *d) {
    struct emit e = {.threads = threads, .progress = progress, .progress_arg = arg, .d = d};
    int rc = shape_check(s, d);
    if (!rc) rc = gguf_writer_open(&e.w, path, d);
    if (rc) return rc;
    put_metadata(e.w, s);
    for (int pass = PASS_METADATA; pass <= PASS_DATA && !rc; pass++)
        rc = pass_all(&e, s, seed, (enum pass)pass);
    int closed = gguf_writer_close(e.w, rc == 0, d);
    return rc ? rc : closed;
}
