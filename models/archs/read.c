/* read.c - a model's shape from GGUF metadata and tensor list. What the engine would compute wrongly is refused by
 * name: experts, soft caps, unknown rope scaling, tensors of a layer that no role uses. */
#include "archs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *arch_key(const struct model_shape *s, const char *suffix, char buf[128]) {
    snprintf(buf, 128, "%s.%s", s->arch, suffix);
    return buf;
}

/* The item that all items of a per-layer array equal. */
static int array_int(const struct gguf *g, const struct gguf_kv *kv, const char *key, int64_t *v, struct diag *d) {
    if (kv->count == 0 || kv->item_kind == GGUF_STRING || kv->item_kind == GGUF_F32 || kv->item_kind == GGUF_F64)
        return diag_set(d, ERR_FORMAT, "%s: key %s is not an array of integers", g->path, key);
    *v = gguf_item_int(kv, 0);
    for (uint64_t i = 1; i < kv->count; i++)
        if (gguf_item_int(kv, i) != *v)
            return diag_set(d, ERR_UNSUPPORTED, "%s: key %s differs between layers", g->path, key);
    return 0;
}

int arch_int(const struct model_shape *s, const struct gguf *g, const char *suffix, int64_t def, int64_t min,
             int64_t max, int32_t *out, struct diag *d) {
    char key[128];
    const struct gguf_kv *kv = gguf_find(g, arch_key(s, suffix, key));
    int64_t v = def;
    int rc = 0;
    if (!kv && def < min) return diag_set(d, ERR_FORMAT, "%s: key %s is missing", g->path, key);
    if (kv && kv->kind == GGUF_ARRAY)
        rc = array_int(g, kv, key, &v, d);
    else
        rc = gguf_get_int(g, key, def, &v, d);
    if (rc) return rc;
    if (v < min || v > max)
        return diag_set(d, ERR_UNSUPPORTED, "%s: key %s is %lld; from %lld to %lld is supported", g->path, key,
                        (long long)v, (long long)min, (long long)max);
    *out = (int32_t)v;
    return 0;
}

int arch_float(const struct model_shape *s, const struct gguf *g, const char *suffix, int required, double def,
               double *out, struct diag *d) {
    char key[128];
    if (required && !gguf_find(g, arch_key(s, suffix, key)))
        return diag_set(d, ERR_FORMAT, "%s: key %s is missing", g->path, key);
    int rc = gguf_get_float(g, arch_key(s, suffix, key), def, out, d);
    if (!rc && !isfinite(*out)) return diag_set(d, ERR_FORMAT, "%s: key %s is not a finite number", g->path, key);
    return rc;
}

/* Keys whose effect the engine does not compute: absent, or without effect, or refused. */
static int refuse_keys(const struct model_shape *s, const struct gguf *g, struct diag *d) {
    static const char *const zero[] = {"expert_count", "attn_logit_softcapping", "final_logit_softcapping",
                                       "attention.clamp_kqv", "attention.max_alibi_bias"};
    char key[128];
    double v;
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++) {
        int rc = arch_float(s, g, zero[i], 0, 0, &v, d);
        if (rc) return rc;
        if (v != 0)
            return diag_set(d, ERR_UNSUPPORTED, "%s: key %s = %g is not supported", g->path, arch_key(s, zero[i], key),
                            v);
    }
    int causal;
    int rc = gguf_get_bool(g, arch_key(s, "attention.causal", key), s->causal, &causal, d);
    if (!rc && !causal != !s->causal)
        return diag_set(d, ERR_UNSUPPORTED, "%s: key %s = %s is not supported for %s models", g->path, key,
                        causal ? "true" : "false", s->arch);
    return rc;
}

static int read_heads(struct model_shape *s, const struct gguf *g, struct diag *d) {
    int32_t value_len;
    int rc = arch_int(s, g, "attention.head_count", 0, 1, 1 << 12, &s->n_heads, d);
    if (!rc) rc = arch_int(s, g, "attention.head_count_kv", s->n_heads, 1, 1 << 12, &s->n_kv_heads, d);
    if (rc) return rc;
    char key[128];
    if (!gguf_find(g, arch_key(s, "attention.key_length", key)) && s->d_model % s->n_heads != 0)
        return diag_set(d, ERR_FORMAT, "%s: embedding_length %d does not divide into %d heads and key %s is missing",
                        g->path, s->d_model, s->n_heads, key);
    rc = arch_int(s, g, "attention.key_length", s->d_model / s->n_heads, 1, 1 << 12, &s->head_dim, d);
    if (!rc) rc = arch_int(s, g, "attention.value_length", s->head_dim, 1, 1 << 12, &value_len, d);
    if (!rc && value_len != s->head_dim)
        rc = diag_set(d, ERR_UNSUPPORTED, "%s: key %s = %d differs from the key length %d", g->path,
                      arch_key(s, "attention.value_length", key), value_len, s->head_dim);
    s->attn_scale = (float)(1 / sqrt((double)s->head_dim));
    return rc;
}

/* Linear scaling is the default where a factor is given without a type, as in older files. */
static int read_rope_scaling(struct model_shape *s, const struct gguf *g, struct diag *d) {
    char key[128];
    struct gguf_str type;
    double factor, attn_factor;
    int rc = gguf_get_str(g, arch_key(s, "rope.scaling.type", key), &type, d);
    if (!rc) rc = arch_float(s, g, "rope.scale_linear", 0, 0, &factor, d);
    if (!rc) rc = arch_float(s, g, "rope.scaling.factor", 0, factor, &factor, d);
    if (!rc) rc = arch_float(s, g, "rope.scaling.attn_factor", 0, 1, &attn_factor, d);
    if (rc) return rc;
    int none = type.len == 4 && memcmp(type.data, "none", 4) == 0;
    int linear = type.len == 0 || (type.len == 6 && memcmp(type.data, "linear", 6) == 0);
    if (!none && !linear)
        return diag_set(d, ERR_UNSUPPORTED, "%s: key %s = \"%.*s\"; none and linear are supported", g->path,
                        arch_key(s, "rope.scaling.type", key), type.len > 32 ? 32 : (int)type.len, type.data);
    if (attn_factor != 1)
        return diag_set(d, ERR_UNSUPPORTED, "%s: key %s = %g is not supported", g->path,
                        arch_key(s, "rope.scaling.attn_factor", key), attn_factor);
    if (factor < 0) return diag_set(d, ERR_FORMAT, "%s: rope scaling factor %g is negative", g->path, factor);
    if (linear && factor != 0 && factor != 1) {
        s->scaling = ROPE_LINEAR;
        s->rope_factor = factor;
    }
    return 0;
}

static int read_rope(struct model_shape *s, const struct gguf *g, struct diag *d) {
    if (s->pos != POS_ROPE_PAIRS && s->pos != POS_ROPE_HALVES) return 0;
    int rc = arch_int(s, g, "rope.dimension_count", s->head_dim, 2, 1 << 12, &s->rope_dim, d);
    if (!rc) rc = arch_float(s, g, "rope.freq_base", 0, 10000, &s->rope_base, d);
    if (!rc) rc = read_rope_scaling(s, g, d);
    return rc;
}

/* Up to its width a window does nothing; longer contexts than that are not computed, trained for or not. */
static int read_window(struct model_shape *s, const struct gguf *g, struct diag *d) {
    int32_t window;
    int rc = arch_int(s, g, "attention.sliding_window", 0, 0, INT32_MAX, &window, d);
    if (!rc && window > 0) s->ctx_limit = window;
    return rc;
}

/* A name for messages: printable, cut to the field. */
static void read_name(struct model_shape *s, const struct gguf *g) {
    struct gguf_str name = {0};
    struct diag ignored = {0};
    if (gguf_get_str(g, "general.name", &name, &ignored) || name.len == 0) {
        strcpy(s->name, s->arch);
        return;
    }
    size_t n = name.len < sizeof s->name - 1 ? name.len : sizeof s->name - 1;
    for (size_t i = 0; i < n; i++)
        s->name[i] = name.data[i] >= ' ' && name.data[i] < 127 ? name.data[i] : '?';
}

int arch_read_common(struct model_shape *s, const struct gguf *g, struct diag *d) {
    read_name(s, g);
    int rc = refuse_keys(s, g, d);
    if (!rc) rc = arch_int(s, g, "block_count", 0, 1, SHAPE_MAX_LAYERS, &s->n_layers, d);
    if (!rc) rc = arch_int(s, g, "embedding_length", 0, 1, 1 << 18, &s->d_model, d);
    if (!rc) rc = arch_int(s, g, "feed_forward_length", 0, 1, 1 << 20, &s->d_ffn, d);
    if (!rc) rc = arch_int(s, g, "context_length", 0, 1, 1 << 30, &s->n_ctx, d);
    if (!rc) rc = read_heads(s, g, d);
    if (!rc) rc = read_rope(s, g, d);
    if (!rc) rc = read_window(s, g, d);
    double eps = 0;
    const char *key = s->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
    if (!rc) rc = arch_float(s, g, key, 1, 0, &eps, d);
    s->norm_eps = (float)eps;
    return rc;
}

/* Tables whose rows only the tensor list tells; the sizes are checked with all others. */
static int read_table_rows(struct model_shape *s, const struct gguf *g, struct diag *d) {
    const struct gguf_tensor *embed = gguf_tensor_find(g, "token_embd.weight");
    const struct gguf_tensor *pos = gguf_tensor_find(g, "position_embd.weight");
    const struct gguf_tensor *types = gguf_tensor_find(g, "token_types.weight");
    if (!embed) return diag_set(d, ERR_FORMAT, "%s: tensor token_embd.weight is missing", g->path);
    int rc = arch_int(s, g, "vocab_size", embed->ne[1], 1, 1 << 24, &s->n_vocab, d);
    if (rc) return rc;
    if (s->pos == POS_LEARNED) {
        if (!pos) return diag_set(d, ERR_FORMAT, "%s: tensor position_embd.weight is missing", g->path);
        if (pos->ne[1] < 1 || pos->ne[1] > 1 << 24)
            return diag_set(d, ERR_FORMAT, "%s: tensor position_embd.weight has %lld rows", g->path,
                            (long long)pos->ne[1]);
        s->n_positions = s->ctx_limit = (int32_t)pos->ne[1];
    }
    if (s->post_norm) s->n_types = types && types->ne[1] > 0 && types->ne[1] < 1 << 16 ? (int32_t)types->ne[1] : 1;
    s->tied_head = s->causal && !gguf_tensor_find(g, "output.weight");
    return 0;
}

/* Optional vectors and the fused layout are recognized by layer 0; the other layers must then be alike. One static step
 * asks for all. */
static void read_optional(struct model_shape *s, const struct arch *arch, const struct gguf *g) {
    char name[SHAPE_NAME_LEN];
    for (int v = 0; v < VEC_COUNT; v++) {
        if (!(arch->optional_vecs >> v & 1)) continue;
        s->has_vec |= (uint32_t)1 << v;
        if (shape_vec_tensor(s, (enum vec)v, 0, name) < 0 || !gguf_tensor_find(g, name))
            s->has_vec &= ~((uint32_t)1 << v);
    }
    if (s->has_vec & VEC_STEPS) s->has_vec |= VEC_STEPS;
    if (s->has_vec & VEC_BIT(ROPE_FACTORS) && s->scaling == ROPE_PLAIN) s->scaling = ROPE_FACTORS;
}

static int check_dims(const struct gguf *g, const struct gguf_tensor *t, const char *name, int64_t cols, int64_t rows,
                      struct diag *d) {
    if (t->ne[0] == cols && t->ne[1] == rows && t->ne[2] == 1 && t->ne[3] == 1) return 0;
    return diag_set(d, ERR_FORMAT, "%s: tensor %s is %lld x %lld, the metadata ask for %lld x %lld", g->path, name,
                    (long long)t->ne[0], (long long)t->ne[1], (long long)cols, (long long)rows);
}

/* Our own formats are stored as bytes (ggml's I8, number 24), named by a metadata pair. */
enum { GGML_I8 = 24 };
static int own_format(const struct gguf *g, const struct gguf_tensor *t, const char *name,
                      const struct tensor_type **type, struct diag *d) {
    char key[160], label[8] = "";
    struct gguf_str format;
    snprintf(key, sizeof key, "northwall.format.%s", name);
    int rc = gguf_get_str(g, key, &format, d);
    if (rc || format.len == 0) return rc;
    if (format.len < sizeof label) memcpy(label, format.data, format.len);
    *type = tensor_type_find(label);
    if (!*type || !(*type)->per_channel)
        return diag_set(d, ERR_UNSUPPORTED, "%s: key %s names an unknown format; I4 and I8 are known", g->path, key);
    if (t->type != GGML_I8)
        return diag_set(d, ERR_FORMAT, "%s: tensor %s of format %s is not stored as I8", g->path, name, label);
    return 0;
}

static int check_act_bits(const struct gguf *g, const char *name, struct diag *d) {
    char key[SHAPE_NAME_LEN + 32];
    int64_t bits;
    snprintf(key, sizeof key, "northwall.act_bits.%s", name);
    int rc = gguf_get_int(g, key, 4, &bits, d);
    if (rc || bits == 4 || bits == 8) return rc;
    return diag_set(d, ERR_UNSUPPORTED, "%s: key %s is %lld; 4 and 8 are known", g->path, key, (long long)bits);
}

static int check_steps(const struct gguf *g, const char *name, int rows, struct diag *d) {
    char step[SHAPE_NAME_LEN + 16];
    snprintf(step, sizeof step, "%s.step", name);
    const struct gguf_tensor *t = gguf_tensor_find(g, step);
    if (!t || t->type != 0)
        return diag_set(d, ERR_FORMAT, "%s: F32 tensor %s with the steps of the rows is missing", g->path, step);
    int rc = check_dims(g, t, step, rows, 1, d);
    snprintf(step, sizeof step, "%s.act_step", name);
    if (rc || !(t = gguf_tensor_find(g, step))) return rc;
    if (t->type != 0) return diag_set(d, ERR_FORMAT, "%s: tensor %s is not F32", g->path, step);
    rc = check_dims(g, t, step, 1, 1, d);
    return rc ? rc : check_act_bits(g, name, d);
}

static int check_matrix(const struct model_shape *s, const struct gguf *g, enum role role, int layer, int8_t *type_out,
                        struct diag *d) {
    char name[SHAPE_NAME_LEN];
    int rows, cols;
    shape_role_size(s, role, &rows, &cols);
    if (shape_role_tensor(s, role, layer, name) < 0) return 0;
    if (s->fused_qkv && role >= ROLE_Q && role <= ROLE_V) rows = (s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
    const struct gguf_tensor *t = gguf_tensor_find(g, name);
    if (!t) return diag_set(d, ERR_FORMAT, "%s: tensor %s is missing", g->path, name);
    const struct tensor_type *type = tensor_type_by_ggml_id(t->type);
    int rc = own_format(g, t, name, &type, d);
    if (rc) return rc;
    if (!type)
        return diag_set(d, ERR_UNSUPPORTED, "%s: tensor %s has type %d, which is not supported", g->path, name,
                        t->type);
    if (cols % type->block != 0)
        return diag_set(d, ERR_FORMAT, "%s: tensor %s: rows of %d are no whole blocks of %s", g->path, name, cols,
                        type->name);
    rc = check_dims(g, t, name, type->per_channel ? (int64_t)tensor_type_row_bytes(type, cols) : cols, rows, d);
    if (!rc && type->per_channel) rc = check_steps(g, name, rows, d);
    if (rc) return rc;
    if (!t->data || t->bytes < (size_t)rows * tensor_type_row_bytes(type, cols))
        return diag_set(d, ERR_FORMAT, "%s: tensor %s has no data", g->path, name);
    *type_out = (int8_t)tensor_type_index(type);
    return 0;
}

static int check_vector(const struct model_shape *s, const struct gguf *g, enum vec vec, int layer, struct diag *d) {
    char name[SHAPE_NAME_LEN];
    int n = shape_vec_size(s, vec);
    if (shape_vec_tensor(s, vec, layer, name) < 0) return 0;
    if (s->fused_qkv && vec >= VEC_Q_B && vec <= VEC_V_B) n = (s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
    const struct gguf_tensor *t = gguf_tensor_find(g, name);
    if (!t) return diag_set(d, ERR_FORMAT, "%s: tensor %s is missing", g->path, name);
    const struct tensor_type *type = tensor_type_by_ggml_id(t->type);
    if (!type || !type->is_float)
        return diag_set(d, ERR_UNSUPPORTED, "%s: tensor %s has type %d; vectors are F32, F16 or BF16", g->path, name,
                        t->type);
    return check_dims(g, t, name, n, 1, d);
}

static int check_tensors(struct model_shape *s, const struct gguf *g, struct diag *d) {
    for (int l = 0; l < s->n_layers; l++) {
        for (int r = 0; r < ROLE_COUNT; r++) {
            if (l && !role_in_layer((enum role)r)) continue;
            int rc = check_matrix(s, g, (enum role)r, l, &s->layer_type[l][r], d);
            if (rc) return rc;
        }
        for (int v = 0; v < VEC_COUNT; v++) {
            if (l && !vec_in_layer((enum vec)v)) continue;
            int rc = check_vector(s, g, (enum vec)v, l, d);
            if (rc) return rc;
        }
    }
    return 0;
}

static int str_is(struct gguf_str a, const char *b, size_t len) {
    return a.len == len && memcmp(a.data, b, len) == 0;
}

/* True if the name (with the layer's number) is one that check_tensors has seen, or belongs to a matrix of our own. */
static int tensor_is_used(const struct model_shape *s, struct gguf_str name, int layer) {
    char known[SHAPE_NAME_LEN + 16];
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (shape_role_tensor(s, (enum role)r, layer, known) < 0) continue;
        size_t len = strlen(known);
        if (str_is(name, known, len)) return 1;
        strcpy(known + len, ".step");
        if (str_is(name, known, len + 5)) return 1;
        strcpy(known + len, ".act_step");
        if (str_is(name, known, len + 9)) return 1;
    }
    for (int v = 0; v < VEC_COUNT; v++)
        if (shape_vec_tensor(s, (enum vec)v, layer, known) >= 0 && str_is(name, known, strlen(known))) return 1;
    return 0;
}

/* Layer number of a "blk.N.rest" name, 0 of others; -1 if it is no layer of the model. */
static int tensor_layer(const struct model_shape *s, struct gguf_str name) {
    if (name.len < 5 || memcmp(name.data, "blk.", 4) != 0) return 0;
    int layer = 0;
    uint64_t i = 4;
    for (; i < name.len && name.data[i] >= '0' && name.data[i] <= '9' && layer < SHAPE_MAX_LAYERS; i++)
        layer = layer * 10 + (name.data[i] - '0');
    return i < name.len && name.data[i] == '.' && layer < s->n_layers ? layer : -1;
}

/* Heads for ranking and pooling on encoders, and tables that old writers stored and nobody reads. */
static int tensor_is_ignored(struct gguf_str name) {
    static const char *const prefixes[] = {"cls.", "pooler.", "rope.freqs"};
    static const char old[] = ".attn_rot_embd";
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (name.len >= n && memcmp(name.data, prefixes[i], n) == 0) return 1;
    }
    return name.len > sizeof old && memmem(name.data, name.len, old, sizeof old - 1) != NULL;
}

static int refuse_unused(const struct model_shape *s, const struct gguf *g, struct diag *d) {
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        struct gguf_str name = g->tensors[i].name;
        int layer = tensor_layer(s, name);
        if ((layer >= 0 && tensor_is_used(s, name, layer)) || tensor_is_ignored(name)) continue;
        char shown[SHAPE_NAME_LEN];
        size_t n = name.len < sizeof shown - 1 ? name.len : sizeof shown - 1;
        for (size_t c = 0; c < n; c++)
            shown[c] = name.data[c] >= ' ' && name.data[c] < 127 ? name.data[c] : '?';
        shown[n] = 0;
        return diag_set(d, ERR_UNSUPPORTED,
                        "%s: tensor %s has no place in a %s model; its result would be wrong without it", g->path,
                        shown, s->arch);
    }
    return 0;
}

static int find_arch(const struct gguf *g, const struct arch **arch, struct diag *d) {
    struct gguf_str str;
    char name[32] = "", known[256] = "";
    int rc = gguf_get_str(g, "general.architecture", &str, d);
    if (rc) return rc;
    if (str.len == 0) return diag_set(d, ERR_FORMAT, "%s: key general.architecture is missing", g->path);
    for (uint64_t i = 0; i < str.len && i < sizeof name - 1; i++)
        name[i] = str.data[i] >= ' ' && str.data[i] < 127 ? str.data[i] : '?';
    *arch = str.len < sizeof name ? arch_find(name) : NULL;
    if (*arch) return 0;
    for (int i = 0; archs[i]; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", archs[i]->name);
    return diag_set(d, ERR_UNSUPPORTED, "%s: unknown architecture \"%s\", known are %s", g->path, name, known);
}

/* shape_check knows no file, and says "model: ...". */
static int check_shape(const struct model_shape *s, const struct gguf *g, struct diag *d) {
    static const char unknown[] = "model: ";
    struct diag why = {0};
    int rc = shape_check(s, &why);
    const char *text = strncmp(why.text, unknown, sizeof unknown - 1) ? why.text : why.text + sizeof unknown - 1;
    return rc ? diag_set(d, rc, "%s: %.300s", g->path, text) : 0;
}

int shape_read(struct model_shape *s, const struct gguf *g, struct diag *d) {
    const struct arch *arch;
    int rc = find_arch(g, &arch, d);
    if (rc) return rc;
    shape_init(s, arch);
    rc = arch_read_common(s, g, d);
    if (!rc && arch->read) rc = arch->read(s, g, d);
    if (!rc) rc = read_table_rows(s, g, d);
    if (!rc) rc = check_shape(s, g, d);
    if (rc) return rc;
    read_optional(s, arch, g);
    rc = check_tensors(s, g, d);
    if (!rc) rc = refuse_unused(s, g, d);
    if (!rc) shape_sum_bytes(s);
    return rc;
}
