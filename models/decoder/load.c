/* load.c - the weights of a shard: views of a mapped file, compact copies of column shards, or synthetic numbers. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "priv.h"

struct loader {
    struct decoder *dec;
    const struct gguf *g; /* NULL: synthetic */
    struct arena arena; /* base NULL: measuring */
    float *scratch; /* threads x the widest row, for synthetic weights */
    size_t done;
    struct diag *d;
};

struct mat *decoder_mat(struct decoder *dec, enum role role, int layer) {
    struct decoder_priv *p = dec->priv;
    switch (role) {
    case ROLE_EMBED: return &p->embed;
    case ROLE_POS_EMBED: return &p->pos_embed;
    case ROLE_TYPE_EMBED: return &p->type_embed;
    case ROLE_HEAD: return &p->head;
    default: return &p->layers[layer - dec->spec.layer0].mat[role - ROLE_Q];
    }
}

/* True if a matrix takes memory of our own. Embeddings are read by single rows and stay where they are, unless they
 * serve as the output layer too. */
static int is_private(const struct loader *ld, enum role role, const struct shard_part *part) {
    const struct decoder *dec = ld->dec;
    if (!ld->g || !part_is_row_shard(&dec->shape, role, part)) return 1;
    int whole_reads = role_in_layer(role) || role == ROLE_HEAD;
    if (role == ROLE_EMBED) whole_reads = dec->shape.tied_head && dec->spec.vocab1 > dec->spec.vocab0;
    return dec->opts.private_weights && whole_reads;
}

/* Asks for the pages of a view now rather than in the first step. Advice only: failure costs nothing but time. */
static void touch_pages(const void *at, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)at / page * page;
    size_t len = (uintptr_t)at + bytes - begin;
#ifdef MADV_POPULATE_READ
    if (madvise((void *)begin, len, MADV_POPULATE_READ) == 0) return;
#endif
    (void)madvise((void *)begin, len, MADV_WILLNEED);
}

/* The F32 tensor `name``suffix` of at least n values; NULL if there is none. */
static const uint8_t *find_floats(const struct gguf *g, const char *name, const char *suffix, size_t n) {
    char full[SHAPE_NAME_LEN + 16];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct gguf_tensor *t = gguf_tensor_find(g, full);
    return t && t->type == 0 && t->data && t->bytes >= n * sizeof(float) ? t->data : NULL;
}

/* Steps of the rows, and the static activation step if the file has one. row0 counts in the tensor. */
static int read_steps(struct loader *ld, struct mat *m, const char *name, int row0, float *steps) {
    const uint8_t *src = find_floats(ld->g, name, ".step", (size_t)row0 + (size_t)m->rows);
    if (!src) return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s.step is missing or too short", ld->g->path, name);
    memcpy(steps, src + (size_t)row0 * sizeof(float), (size_t)m->rows * sizeof(float));
    src = find_floats(ld->g, name, ".act_step", 1);
    if (!src) return 0;
    memcpy(&m->act_step, src, sizeof m->act_step);
    if (isfinite(m->act_step) && m->act_step > 0) return 0;
    return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s.act_step is %g; a step is finite and above 0", ld->g->path, name,
                    (double)m->act_step);
}

/* Rows of a file: a view, or with dst a copy of columns [col0, col1). */
static int read_rows(struct loader *ld, struct mat *m, const char *name, int row0, int cols, int col0, int col1,
                     uint8_t *dst) {
    const struct gguf_tensor *t = gguf_tensor_find(ld->g, name);
    size_t row_bytes = tensor_type_row_bytes(m->type, cols), part = tensor_type_row_bytes(m->type, col1 - col0);
    if (!t || !t->data || t->bytes < ((size_t)row0 + (size_t)m->rows) * row_bytes)
        return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s is missing or too short", ld->g->path, name);
    const uint8_t *src = t->data + (size_t)row0 * row_bytes + tensor_type_row_bytes(m->type, col0);
    if (!dst) {
        m->data = src;
        m->stride = row_bytes;
        return 0;
    }
#pragma omp parallel for num_threads(ld->dec->opts.threads) schedule(static)
    for (int r = 0; r < m->rows; r++)
        memcpy(dst + (size_t)r * part, src + (size_t)r * row_bytes, part);
    m->data = dst;
    m->stride = part;
    return 0;
}

static void generate(struct loader *ld, struct mat *m, const char *name, int row0, int cols, int col0, int col1,
                     uint8_t *dst, float *steps) {
    m->data = dst;
    m->stride = tensor_type_row_bytes(m->type, col1 - col0);
    struct synth_piece piece = {.type = m->type,
                                .tensor = name,
                                .seed = ld->dec->opts.seed,
                                .row0 = row0,
                                .rows = m->rows,
                                .cols = cols,
                                .col0 = col0,
                                .col1 = col1,
                                .dst = dst,
                                .stride = m->stride,
                                .steps = steps};
    synth_fill(&piece, ld->dec->opts.threads, ld->scratch);
}

/* A tied output layer beside its embedding: a range of its rows. */
static int share_embedding(struct decoder *dec) {
    struct mat *head = &dec->priv->head;
    *head = dec->priv->embed;
    head->rows = dec->spec.vocab1 - dec->spec.vocab0;
    head->data += (size_t)dec->spec.vocab0 * head->stride;
    if (head->row_step) head->row_step += dec->spec.vocab0;
    return mat_prepare(head) ? ERR_INTERNAL : 0;
}

static int report(struct loader *ld, size_t bytes) {
    const struct decoder_opts *o = &ld->dec->opts;
    ld->done += bytes;
    if (!o->progress || !o->progress(o->progress_arg, ld->done, ld->dec->weight_bytes)) return 0;
    return diag_set(ld->d, ERR_INTERRUPTED, "interrupted while loading the weights");
}

static int load_matrix(struct loader *ld, enum role role, int layer) {
    struct decoder *dec = ld->dec;
    const struct model_shape *s = &dec->shape;
    struct shard_part part;
    char name[SHAPE_NAME_LEN];
    int rows, cols, col0, col1, rc = 0;
    if (!shard_part(s, &dec->spec, role, layer, &part)) return 0;
    if (role == ROLE_HEAD && s->tied_head && dec->spec.embed) return ld->arena.base ? share_embedding(dec) : 0;
    shape_role_size(s, role, &rows, &cols);
    int row0 = shape_role_tensor(s, role, layer, name) + part.row0;
    part_stored_cols(s, role, layer, &part, &col0, &col1);

    struct mat m = {.type = shape_type(s, role, layer),
                    .rows = part.row1 - part.row0,
                    .first_col = col0,
                    .axis = part.axis,
                    .leaf0 = part.leaf0,
                    .leaf1 = part.leaf1};
    size_t bytes = (size_t)m.rows * tensor_type_row_bytes(m.type, col1 - col0);
    uint8_t *dst = is_private(ld, role, &part) ? arena_take(&ld->arena, bytes) : NULL;
    float *steps = m.type->per_channel ? arena_take(&ld->arena, (size_t)m.rows * sizeof(float)) : NULL;
    if (!ld->arena.base) return 0;

    m.row_step = steps;
    if (!ld->g)
        generate(ld, &m, name, row0, cols, col0, col1, dst, steps);
    else
        rc = read_rows(ld, &m, name, row0, cols, col0, col1, dst);
    if (!rc && ld->g && steps) rc = read_steps(ld, &m, name, row0, steps);
    if (!rc && !dst && role != ROLE_EMBED) touch_pages(m.data, bytes);
    if (!rc && mat_prepare(&m)) rc = diag_set(ld->d, ERR_INTERNAL, "shard of %s is not coherent", name);
    *decoder_mat(dec, role, layer) = m;
    return rc ? rc : report(ld, bytes);
}

static int read_vector(struct loader *ld, const char *name, int first, int n, float *dst) {
    const struct gguf_tensor *t = gguf_tensor_find(ld->g, name);
    const struct tensor_type *type = t ? tensor_type_by_ggml_id(t->type) : NULL;
    if (!type || !type->is_float || !t->data || t->bytes < tensor_type_row_bytes(type, first + n))
        return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s is missing, too short or not of floats", ld->g->path, name);
    type->dequantize(t->data + tensor_type_row_bytes(type, first), 1, dst, n);
    return 0;
}

static int load_vector(struct loader *ld, enum vec vec, int layer) {
    struct decoder *dec = ld->dec;
    char name[SHAPE_NAME_LEN];
    int n = shape_vec_size(&dec->shape, vec), first = shape_vec_tensor(&dec->shape, vec, layer, name);
    if (!shard_has_vec(&dec->shape, &dec->spec, vec)) return 0;
    float *dst = arena_take(&ld->arena, (size_t)n * sizeof(float));
    if (!dst) return 0;
    if (vec_in_layer(vec))
        dec->priv->layers[layer - dec->spec.layer0].vec[vec] = dst;
    else
        dec->priv->vec[vec] = dst;
    if (ld->g) return read_vector(ld, name, first, n, dst);
    synth_vector(dst, dec->opts.seed, vec, name, first, n);
    return 0;
}

/* All of the shard, in one order for measuring and loading. */
static int load_all(struct loader *ld) {
    const struct shard_spec *spec = &ld->dec->spec;
    int rc = 0;
    for (int v = 0; v < VEC_COUNT && !rc; v++)
        for (int l = vec_in_layer((enum vec)v) ? spec->layer0 : 0;
             !rc && l < (vec_in_layer((enum vec)v) ? spec->layer1 : 1); l++)
            rc = load_vector(ld, (enum vec)v, l);
    for (int r = 0; r < ROLE_COUNT && !rc; r++)
        if (!role_in_layer((enum role)r)) rc = load_matrix(ld, (enum role)r, 0);
    for (int l = spec->layer0; l < spec->layer1 && !rc; l++)
        for (int r = ROLE_Q; r <= ROLE_DOWN && !rc; r++)
            rc = load_matrix(ld, (enum role)r, l);
    return rc;
}

/* The widest row that is generated. */
static size_t widest(const struct model_shape *s) {
    int max = 0;
    for (int r = 0; r < ROLE_COUNT; r++) {
        int rows, cols;
        shape_role_size(s, (enum role)r, &rows, &cols);
        if (cols > max) max = cols;
    }
    return (size_t)max;
}

int weights_load(struct decoder *dec, const struct gguf *g, struct diag *d) {
    struct loader ld = {.dec = dec, .g = g, .d = d};
    struct decoder_priv *p = dec->priv;
    int rc = load_all(&ld);
    if (rc) return rc;
    p->private_bytes = ld.arena.used;
    rc = memory_reserve(&p->weights_mem, p->private_bytes, "weights", d);
    if (rc) return rc;
    if (!g) {
        ld.scratch = malloc((size_t)dec->opts.threads * widest(&dec->shape) * sizeof *ld.scratch);
        if (!ld.scratch) return diag_set(d, ERR_MEMORY, "no memory for a row of synthetic weights a thread");
    }
    ld.arena = (struct arena){.base = p->weights_mem};
    rc = load_all(&ld);
    free(ld.scratch);
    return rc;
}
