/* load.c - the weights of a shard, packed once into memory of our own: from a mapped file, or synthetic numbers. Tables
 * that are read by single rows (embeddings) stay where they are, in the file or nowhere: a synthetic row is generated
 * when it is read. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cache.h"

enum { PIECE_BYTES = 128 << 10 }; /* of a file that are read at a time */

struct loader {
    struct decoder *dec;
    const struct gguf *g; /* NULL: synthetic */
    struct arena arena; /* base NULL: measuring */
    struct cache cache;
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

/* The F32 tensor `name``suffix` of at least n values; NULL if there is none. */
static const uint8_t *find_floats(const struct gguf *g, const char *name, const char *suffix, size_t n) {
    char full[SHAPE_NAME_LEN + 16];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct gguf_tensor *t = gguf_tensor_find(g, full);
    return t && t->type == 0 && t->data && t->bytes >= n * sizeof(float) ? t->data : NULL;
}

/* The static activation step, if the file has one, and its bits. */
static int read_act_step(struct loader *ld, struct mat *m, const char *name) {
    char key[SHAPE_NAME_LEN + 32];
    int64_t bits;
    const uint8_t *src = find_floats(ld->g, name, ".act_step", 1);
    if (!src) return 0;
    memcpy(&m->act_step, src, sizeof m->act_step);
    if (!isfinite(m->act_step) || m->act_step <= 0)
        return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s.act_step is %g; a step is finite and above 0", ld->g->path,
                        name, (double)m->act_step);
    snprintf(key, sizeof key, "northwall.act_bits.%s", name);
    int rc = gguf_get_int(ld->g, key, 4, &bits, ld->d);
    m->act_bits = bits == 8 ? 8 : 0;
    return rc;
}

/* Steps of the rows, and of activations. row0 counts in the tensor. */
static int read_steps(struct loader *ld, struct mat *m, const char *name, int row0, float *steps) {
    const uint8_t *src = find_floats(ld->g, name, ".step", (size_t)row0 + (size_t)m->rows);
    if (!src) return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s.step is missing or too short", ld->g->path, name);
    memcpy(steps, src + (size_t)row0 * sizeof(float), (size_t)m->rows * sizeof(float));
    return read_act_step(ld, m, name);
}

/* First stored byte of row row0 of a tensor with at least `rows` rows from there on; NULL and a diagnostic if not. */
static const uint8_t *find_rows(struct loader *ld, const char *name, const struct tensor_type *type, int row0, int rows,
                                int cols) {
    const struct gguf_tensor *t = gguf_tensor_find(ld->g, name);
    size_t row_bytes = tensor_type_row_bytes(type, cols);
    if (t && t->data && t->bytes >= ((size_t)row0 + (size_t)rows) * row_bytes)
        return t->data + (size_t)row0 * row_bytes;
    diag_set(ld->d, ERR_FORMAT, "%s: tensor %s is missing or too short", ld->g->path, name);
    return NULL;
}

/* Bytes of rows [row0, row1): of whole panels, if there are panels. */
static size_t rows_bytes(const struct mat *m, int row0, int row1) {
    int unit = m->in_panels ? MAT_PANEL : 1;
    return (size_t)((row1 + unit - 1) / unit - row0 / unit) * m->stride;
}

static uint8_t *rows_at(const struct mat *m, int row0, uint8_t *dst) {
    return dst + rows_bytes(m, 0, row0);
}

/* Rows from row0 on (a multiple of MAT_PANEL) of a matrix that begins at dst: as they are, or in panels. */
static void place_rows(const struct mat *m, const uint8_t *src, size_t stride, int row0, int n_rows, int cols,
                       uint8_t *dst) {
    if (m->in_panels) mat_pack(m->type, src, stride, n_rows, cols, dst + (size_t)(row0 / MAT_PANEL) * m->stride);
    for (int r = 0; !m->in_panels && r < n_rows; r++)
        memcpy(dst + (size_t)(row0 + r) * m->stride, src + (size_t)r * stride, m->stride);
}

/* n rows of `part` bytes that lie `stride` apart in the file, side by side. */
static int read_rows(const struct gguf *g, const uint8_t *src, size_t stride, int n, size_t part, uint8_t *to) {
    int whole = stride == part; /* then one reading gets them all */
    size_t bytes = whole ? part * (size_t)n : part;
    for (int r = 0; r < (whole ? 1 : n); r++, src += stride, to += part) {
        if (!g->is_mapped)
            memcpy(to, src, bytes);
        else if (pread_all(g->fd, to, bytes, (uint64_t)(src - g->map)))
            return -1;
    }
    return 0;
}

/* Rows [row0, row1) from a file, piece by piece: each is read, not mapped in, which costs less than the pages would,
 * and it is packed while it lies in the core's own cache. */
static int copy_rows(struct loader *ld, const struct mat *m, const uint8_t *src, size_t stride, int row0, int row1,
                     int cols, uint8_t *dst) {
    size_t part = tensor_type_row_bytes(m->type, cols);
    int step = PIECE_BYTES / MAT_PANEL < part ? MAT_PANEL : (int)(PIECE_BYTES / MAT_PANEL / part) * MAT_PANEL, rc = 0;
    uint8_t *piece = malloc(part * (size_t)step);
    if (!piece) return ERR_MEMORY;
    for (int r = row0; r < row1 && !rc; r += step) {
        int n = row1 - r < step ? row1 - r : step;
        if (read_rows(ld->g, src + (size_t)r * stride, stride, n, part, piece)) rc = ERR_IO;
        memory_touch(&ld->dec->priv->weights_mem, rows_at(m, r, dst), rows_bytes(m, r, r + n));
        if (!rc) place_rows(m, piece, part, r, n, cols, dst);
    }
    free(piece);
    return rc;
}

/* Rows [row0, row1) of a synthetic matrix, a panel at a time. */
static void make_rows(const struct synth_piece *p, const struct mat *m, int row0, int row1, uint8_t *stored,
                      float *floats, uint8_t *dst) {
    size_t bytes = tensor_type_row_bytes(p->type, p->col1 - p->col0);
    for (int r = row0; r < row1; r += MAT_PANEL) {
        int n = row1 - r < MAT_PANEL ? row1 - r : MAT_PANEL;
        for (int i = 0; i < n; i++)
            synth_store(p, r + i, stored + (size_t)i * bytes, floats);
        place_rows(m, stored, bytes, r, n, p->col1 - p->col0, dst);
    }
}

/* In pieces that do not depend on the number of threads. */
static void count_rows(struct cache *c, const struct mat *m, int row0, int row1, uint8_t *dst) {
    for (int r = row0; c->on && r < row1; r += ORDER_GROUP)
        cache_count(c, rows_at(m, r, dst), rows_bytes(m, r, row1 - r < ORDER_GROUP ? row1 : r + ORDER_GROUP));
}

/* Rows [row0, row1) of a matrix: from the cache, from `src` (its rows `stride` bytes apart), or if that is NULL from
 * its synthetic description. ERR_MEMORY or ERR_IO. */
static int fill_rows(struct loader *ld, const struct mat *m, const uint8_t *src, size_t stride,
                     const struct synth_piece *synth, int row0, int row1, uint8_t *dst) {
    int cols = synth->col1 - synth->col0;
    size_t row_bytes = round_up64(tensor_type_row_bytes(m->type, cols) * MAT_PANEL);
    if (row0 >= row1) return 0;
    if (cache_is_read(&ld->cache)) {
        memory_touch(&ld->dec->priv->weights_mem, rows_at(m, row0, dst), rows_bytes(m, row0, row1));
        cache_fetch(&ld->cache, rows_at(m, row0, dst), rows_bytes(m, row0, row1));
    } else if (src) {
        int rc = copy_rows(ld, m, src, stride, row0, row1, cols, dst);
        if (rc) return rc;
    } else {
        uint8_t *scratch = malloc(row_bytes + (size_t)synth->cols * sizeof(float));
        if (!scratch) return ERR_MEMORY;
        make_rows(synth, m, row0, row1, scratch, (float *)(void *)(scratch + row_bytes), dst);
        free(scratch);
    }
    count_rows(&ld->cache, m, row0, row1, dst);
    return 0;
}

/* Threads take the rows that they will multiply, so that memory lies near them. */
static int fill_matrix(struct loader *ld, const struct mat *m, const uint8_t *src, size_t stride,
                       const struct synth_piece *synth, uint8_t *dst) {
    int rc = 0;
#pragma omp parallel num_threads(ld->dec->opts.threads) if (ld->dec->opts.threads > 1) reduction(min : rc)
    {
        int n = omp_get_num_threads(), i = omp_get_thread_num();
        rc = fill_rows(ld, m, src, stride, synth, rows_split(m->rows, i, n), rows_split(m->rows, i + 1, n), dst);
    }
    if (rc == ERR_IO)
        return diag_set(ld->d, rc, "%s: %s cannot be read to its end: did the file or its disk change? Start again",
                        ld->g->path, synth->tensor);
    return rc ? diag_set(ld->d, rc, "no memory for some rows of weights a thread") : 0;
}

/* Steps of synthetic rows are made with them, so that they are kept with them too; a file's are read from it. */
static void keep_steps(struct loader *ld, const struct synth_piece *synth, int rows) {
    size_t bytes = (size_t)rows * sizeof(float);
    if (ld->g || !synth->steps) return;
    if (cache_is_read(&ld->cache)) cache_fetch(&ld->cache, synth->steps, bytes);
    cache_count(&ld->cache, synth->steps, bytes);
}

static int report(struct loader *ld, size_t bytes) {
    const struct decoder_opts *o = &ld->dec->opts;
    ld->done += bytes;
    if (!o->progress || !o->progress(o->progress_arg, ld->done, ld->dec->weight_bytes)) return 0;
    return diag_set(ld->d, ERR_INTERRUPTED, "interrupted while loading the weights");
}

/* A table is not packed: its rows are read one by one. */
static int load_table(struct loader *ld, enum role role, struct mat *m, const char *name, int row0) {
    if (ld->g) {
        m->data = find_rows(ld, name, m->type, row0, m->rows, m->axis.cols);
        if (!m->data) return ERR_FORMAT;
    }
    m->stride = tensor_type_row_bytes(m->type, m->axis.cols);
    *decoder_mat(ld->dec, role, 0) = *m;
    return 0;
}

static int load_product(struct loader *ld, enum role role, int layer, struct mat *m, const char *name, int row0,
                        uint8_t *dst) {
    const struct model_shape *s = &ld->dec->shape;
    struct shard_part part;
    int rows, cols, col0, col1;
    const uint8_t *src = NULL;
    shard_part(s, &ld->dec->spec, role, layer, &part);
    shape_role_size(s, role, &rows, &cols);
    part_stored_cols(s, role, layer, &part, &col0, &col1);
    struct synth_piece synth = {.type = m->type,
                                .tensor = name,
                                .seed = ld->dec->opts.seed,
                                .row0 = row0,
                                .cols = cols,
                                .col0 = col0,
                                .col1 = col1,
                                .steps = (float *)(uintptr_t)m->row_step};
    if (ld->g) {
        src = find_rows(ld, name, m->type, row0, m->rows, cols);
        if (!src) return ERR_FORMAT;
        src += tensor_type_row_bytes(m->type, col0);
    }
    m->in_panels = !m->type->is_float;
    m->stride = tensor_type_row_bytes(m->type, col1 - col0) * (m->in_panels ? MAT_PANEL : 1);
    m->data = dst;
    int rc = fill_matrix(ld, m, src, tensor_type_row_bytes(m->type, cols), &synth, dst);
    if (!rc) keep_steps(ld, &synth, m->rows);
    if (!rc && mat_prepare(m)) rc = diag_set(ld->d, ERR_INTERNAL, "shard of %s is not coherent", name);
    *decoder_mat(ld->dec, role, layer) = *m;
    return rc;
}

static int load_matrix(struct loader *ld, enum role role, int layer) {
    struct decoder *dec = ld->dec;
    const struct model_shape *s = &dec->shape;
    struct shard_part part;
    char name[SHAPE_NAME_LEN];
    int col0, col1, rc = 0;
    if (!shard_part(s, &dec->spec, role, layer, &part)) return 0;
    int row0 = shape_role_tensor(s, role, layer, name) + part.row0;
    part_stored_cols(s, role, layer, &part, &col0, &col1);
    struct mat m = {.type = shape_type(s, role, layer),
                    .rows = part.row1 - part.row0,
                    .first_col = col0,
                    .axis = part.axis,
                    .leaf0 = part.leaf0,
                    .leaf1 = part.leaf1};
    uint8_t *dst = role_is_table(role) ? NULL : arena_take(&ld->arena, mat_bytes(m.type, m.rows, col1 - col0));
    int has_steps = m.type->per_channel && (ld->g || !role_is_table(role)); /* a synthetic row makes its own */
    float *steps = has_steps ? arena_take(&ld->arena, (size_t)m.rows * sizeof(float)) : NULL;
    if (!ld->arena.base) return 0;

    m.row_step = steps;
    if (ld->g && steps) rc = read_steps(ld, &m, name, row0, steps);
    if (!rc && role_is_table(role)) rc = load_table(ld, role, &m, name, row0);
    if (!rc && !role_is_table(role)) rc = load_product(ld, role, layer, &m, name, row0, dst);
    return rc ? rc : report(ld, shard_part_bytes(s, &dec->spec, role, layer));
}

static int read_vector(struct loader *ld, const char *name, int first, int n, float *dst) {
    const struct gguf_tensor *t = gguf_tensor_find(ld->g, name);
    const struct tensor_type *type = t ? tensor_type_by_ggml_id(t->type) : NULL;
    if (!type || !type->is_float || !t->data || t->bytes < tensor_type_row_bytes(type, first + n))
        return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s is missing, too short or not of floats", ld->g->path, name);
    type->dequantize(t->data + tensor_type_row_bytes(type, first), 1, dst, n);
    return 0;
}

/* The largest weight of attention is 1: steps up to 1 keep the sum of rounded ones above 0. */
static int check_steps(const struct loader *ld, enum vec vec, const char *name, int n, const float *step) {
    for (int i = 0; i < n; i++)
        if (!(step[i] > 0) || !isfinite(step[i]) || (vec == VEC_WEIGHT_STEP && step[i] > 1))
            return diag_set(ld->d, ERR_FORMAT, "%s: tensor %s holds %g; a step is %s", ld->g->path, name,
                            (double)step[i], vec == VEC_WEIGHT_STEP ? "above 0 and at most 1" : "finite and above 0");
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
    if (ld->g) {
        int rc = read_vector(ld, name, first, n, dst);
        return rc || !vec_is_step(vec) ? rc : check_steps(ld, vec, name, n, dst);
    }
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

/* Fills the block that the arena stands for. */
static int load_block(struct loader *ld) {
    ld->arena = (struct arena){.base = ld->dec->priv->weights_mem.at};
    ld->done = 0;
    return load_all(ld);
}

static int load_cached(struct loader *ld) {
    struct decoder *dec = ld->dec;
    cache_open(&ld->cache, dec, ld->g);
    int read = cache_is_read(&ld->cache), rc = load_block(ld);
    if (!rc && read && !cache_read_ok(&ld->cache, dec)) {
        read = 0;
        rc = load_block(ld);
    }
    if (!rc && read) dec->cache = CACHE_READ;
    if (!rc && !read && ld->cache.on) cache_store(&ld->cache, dec);
    cache_close(&ld->cache);
    return rc;
}

int weights_load(struct decoder *dec, const struct gguf *g, struct diag *d) {
    struct loader ld = {.dec = dec, .g = g, .d = d};
    struct decoder_priv *p = dec->priv;
    int rc = load_all(&ld);
    if (!rc) rc = memory_reserve(&p->weights_mem, ld.arena.used, 1, "weights", d);
    if (rc) return rc;
    p->packed_bytes = ld.arena.used;
    rc = load_cached(&ld);
    /* what looking at the file has mapped in so far: single rows and words come back as they are asked for */
    if (g && g->is_mapped) (void)madvise((void *)(uintptr_t)g->map, g->file_bytes, MADV_DONTNEED);
    return rc;
}
