/* quantize.c - every matrix of a file in another storage type. */
#include "models/quantize.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "emit.h"

/* Source of rows: a tensor of any supported type, with the steps of its rows if it is one of our own formats. */
struct stored {
    const struct gguf_tensor *t;
    const struct tensor_type *type;
    const uint8_t *steps; /* floats, NULL for block formats */
    struct emit_matrix out;
    int requantize;
};

static void stored_row(const void *ctx, int64_t row, float *dst) {
    const struct stored *s = ctx;
    float step = 1;
    if (s->steps) memcpy(&step, s->steps + (size_t)row * sizeof step, sizeof step);
    size_t row_bytes = tensor_type_row_bytes(s->type, s->out.cols);
    s->type->dequantize(s->t->data + (size_t)row * row_bytes, step, dst, s->out.cols);
}

static int ends_with(struct gguf_str s, const char *end) {
    size_t n = strlen(end);
    return s.len >= n && memcmp(s.data + s.len - n, end, n) == 0;
}

static int starts_with(struct gguf_str s, const char *start) {
    size_t n = strlen(start);
    return s.len >= n && memcmp(s.data, start, n) == 0;
}

/* Tables that are added rather than multiplied stay as they are. */
static int is_matrix(const struct gguf_tensor *t) {
    return t->n_dims == 2 && ends_with(t->name, ".weight") && !starts_with(t->name, "position_embd") &&
           !starts_with(t->name, "token_types");
}

static int is_side_tensor(const struct gguf_tensor *t) {
    return ends_with(t->name, ".weight.step") || ends_with(t->name, ".weight.act_step");
}

static int is_head(const struct gguf_tensor *t) {
    return starts_with(t->name, "output.weight") || starts_with(t->name, "token_embd.weight");
}

/* Fills in how a tensor is stored: the type of an own format stands in the metadata. */
static int find_source(const struct gguf *g, struct stored *s, struct diag *d) {
    char key[SHAPE_NAME_LEN + 32], label[8] = "";
    struct gguf_str format;
    snprintf(key, sizeof key, "northwall.format.%s", s->out.name);
    int rc = gguf_get_str(g, key, &format, d);
    if (rc) return rc;
    if (format.len > 0 && format.len < sizeof label) memcpy(label, format.data, format.len);
    s->type = format.len ? tensor_type_find(label) : tensor_type_by_ggml_id(s->t->type);
    if (!s->type || !s->t->data)
        return diag_set(d, ERR_UNSUPPORTED, "%s: tensor %s has type %d, which cannot be converted", g->path,
                        s->out.name, s->t->type);
    s->out.rows = s->t->ne[1];
    s->out.cols = s->t->ne[0];
    if (!s->type->per_channel) return 0;
    s->out.cols = s->t->ne[0] / s->type->block_bytes * s->type->block;
    snprintf(key, sizeof key, "%s.step", s->out.name);
    const struct gguf_tensor *steps = gguf_tensor_find(g, key);
    if (!steps || steps->type != 0 || !steps->data || steps->ne[0] != s->out.rows)
        return diag_set(d, ERR_FORMAT, "%s: tensor %s is missing or not one F32 a row", g->path, key);
    s->steps = steps->data;
    return 0;
}

static int plan_tensor(const struct gguf *g, const struct gguf_tensor *t, const struct tensor_type *type,
                       struct stored *s, struct diag *d) {
    *s = (struct stored){.t = t, .requantize = is_matrix(t)};
    if (t->name.len >= sizeof s->out.name)
        return diag_set(d, ERR_UNSUPPORTED, "%s: a tensor name of %llu bytes is too long", g->path,
                        (unsigned long long)t->name.len);
    memcpy(s->out.name, t->name.data, t->name.len);
    if (!s->requantize) return 0;
    int rc = find_source(g, s, d);
    s->out.type = tensor_type_for_cols(type, s->out.cols);
    s->out.row = stored_row;
    s->out.ctx = s;
    return rc;
}

/* Number of "mostly this type" in general.file_type; -1 where the format has none. */
static int file_type(const char *name) {
    static const struct {
        const char *name;
        int number;
    } known[] = {{"F32", 0},  {"F16", 1},   {"Q4_0", 2},  {"Q4_1", 3},  {"Q8_0", 7}, {"Q5_0", 8},
                 {"Q5_1", 9}, {"Q4_K", 14}, {"Q5_K", 16}, {"Q6_K", 18}, {"BF16", 32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].number;
    return -1;
}

static int key_is(const struct gguf_kv *kv, const char *key) {
    return kv->key.len == strlen(key) && memcmp(kv->key.data, key, kv->key.len) == 0;
}

static void copy_metadata(struct emit *e, const struct gguf *g, const struct tensor_type *type) {
    for (uint64_t i = 0; i < g->n_kv; i++) {
        const struct gguf_kv *kv = &g->kv[i];
        if (starts_with(kv->key, "northwall.format.") || starts_with(kv->key, "northwall.act_bits.") ||
            key_is(kv, "general.file_type") || key_is(kv, "general.quantization_version") ||
            key_is(kv, "general.alignment"))
            continue;
        gguf_writer_copy(e->w, kv);
    }
    gguf_writer_int(e->w, "general.quantization_version", GGUF_U32, 2);
    if (file_type(type->name) >= 0) gguf_writer_int(e->w, "general.file_type", GGUF_U32, file_type(type->name));
}

static void declare(struct emit *e, const struct stored *s) {
    if (s->requantize) {
        emit_declare(e, &s->out);
        return;
    }
    gguf_writer_tensor(e->w, s->out.name, s->t->n_dims, s->t->ne, s->t->type, s->t->bytes);
    e->total += s->t->bytes;
}

static int write_all(struct emit *e, const struct gguf *g, const struct tensor_type *type, const struct stored *list,
                     size_t n) {
    int rc = 0;
    copy_metadata(e, g, type);
    for (size_t i = 0; i < n; i++)
        if (list[i].requantize) emit_metadata(e, &list[i].out);
    for (size_t i = 0; i < n; i++)
        declare(e, &list[i]);
    for (size_t i = 0; i < n && !rc; i++)
        rc = list[i].requantize ? emit_data(e, &list[i].out) : emit_bytes(e, list[i].t->data, list[i].t->bytes);
    return rc;
}

static const struct tensor_type *find_type(const char *name, struct diag *d) {
    const struct tensor_type *type = tensor_type_find(name);
    char known[256];
    if (!type)
        diag_set(d, ERR_USAGE, "unknown storage type \"%s\", known are %s", name,
                 text_names(known, sizeof known, (const void *const *)tensor_types));
    return type;
}

int model_quantize(const struct gguf *g, const struct quantize_opts *o, const char *path, struct diag *d) {
    const struct tensor_type *type = find_type(o->type, d), *head = find_type(o->head_type ? o->head_type : o->type, d);
    if (!type || !head) return ERR_USAGE;
    struct emit e = {.threads = o->threads, .progress = o->progress, .progress_arg = o->progress_arg, .d = d};
    struct stored *list = calloc(g->n_tensors + 1, sizeof *list);
    if (!list) return diag_set(d, ERR_MEMORY, "no memory for a list of %llu tensors", (unsigned long long)g->n_tensors);
    size_t n = 0;
    int rc = 0;
    for (uint64_t i = 0; i < g->n_tensors && !rc; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        if (!is_side_tensor(t)) rc = plan_tensor(g, t, is_head(t) ? head : type, &list[n++], d);
        if (!rc && !t->data)
            rc = diag_set(d, ERR_UNSUPPORTED, "%s: a tensor of type %d cannot be copied", g->path, t->type);
    }
    if (!rc) rc = gguf_writer_open(&e.w, path, d);
    if (!rc) {
        rc = write_all(&e, g, type, list, n);
        int closed = gguf_writer_close(e.w, rc == 0, d);
        if (!rc) rc = closed;
    }
    free(list);
    return rc;
}
