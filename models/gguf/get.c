#include "format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key) {
    struct gguf_kv wanted = {.key = {key, strlen(key)}};
    const struct gguf_kv *p = &wanted, **hit;
    hit = bsearch(&p, g->kv_by_key, g->n_kv, sizeof *g->kv_by_key, gguf_compare_kv);
    return hit ? *hit : NULL;
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name) {
    struct gguf_tensor wanted = {.name = {name, strlen(name)}};
    const struct gguf_tensor *p = &wanted, **hit;
    hit = bsearch(&p, g->tensor_by_name, g->n_tensors, sizeof *g->tensor_by_name, gguf_compare_tensor);
    return hit ? *hit : NULL;
}

static int unfit(const struct gguf *g, const struct gguf_kv *kv, const char *wanted, struct diag *d) {
    return diag_set(d, ERR_FORMAT, "%s: key '%.*s' is %s '%s' where %s is needed: convert the model again", g->path,
                    GGUF_TEXT(kv->key), kv->kind == GGUF_ARRAY ? "an array of" : "of kind",
                    gguf_kind_name(kv->item_kind), wanted);
}

/* Integer value of a pair; false if its kind is none or the value does not fit. */
static int as_int(const struct gguf_kv *kv, int64_t *v) {
    switch (kv->kind) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64: *v = (int64_t)kv->value.u; return kv->value.u <= INT64_MAX;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64: *v = kv->value.i; return 1;
    default: return 0;
    }
}

int gguf_get_int(const struct gguf *g, const char *key, int64_t def, int64_t *out, struct diag *d) {
    const struct gguf_kv *kv = gguf_find(g, key);
    int64_t v;
    *out = def;
    if (!kv) return 0;
    if (!as_int(kv, &v)) return unfit(g, kv, "an integer below 2^63", d);
    *out = v;
    return 0;
}

int gguf_get_float(const struct gguf *g, const char *key, double def, double *out, struct diag *d) {
    const struct gguf_kv *kv = gguf_find(g, key);
    int64_t i;
    double v;
    *out = def;
    if (!kv) return 0;
    if (kv->kind == GGUF_F32 || kv->kind == GGUF_F64)
        v = kv->value.f;
    else if (kv->kind == GGUF_U64)
        v = (double)kv->value.u;
    else if (as_int(kv, &i))
        v = (double)i;
    else
        v = NAN;
    if (!isfinite(v)) return unfit(g, kv, "a finite number", d);
    *out = v;
    return 0;
}

int gguf_get_bool(const struct gguf *g, const char *key, int def, int *out, struct diag *d) {
    const struct gguf_kv *kv = gguf_find(g, key);
    int64_t v;
    *out = def;
    if (!kv) return 0;
    if (kv->kind == GGUF_BOOL)
        v = (int64_t)kv->value.u;
    else if (!as_int(kv, &v) || v < 0 || v > 1)
        return unfit(g, kv, "true or false", d);
    *out = (int)v;
    return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct diag *d) {
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = (struct gguf_str){"", 0};
    if (!kv) return 0;
    if (kv->kind != GGUF_STRING) return unfit(g, kv, "a text", d);
    *out = kv->value.str;
    return 0;
}

uint64_t gguf_fingerprint(const struct gguf *g) {
    uint64_t hash = hash_bytes(g->map, g->data_offset, g->file_bytes);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        if (t->data) hash = hash_bytes(t->data, t->bytes < 256 ? t->bytes : 256, hash);
    }
    return hash;
}

int64_t gguf_item_int(const struct gguf_kv *kv, uint64_t i) {
    size_t item = kv->kind == GGUF_ARRAY ? gguf_kind_bytes(kv->item_kind) : 0;
    return item && i < kv->count ? gguf_load_int(kv->item_kind, kv->items + i * item) : 0;
}

double gguf_item_float(const struct gguf_kv *kv, uint64_t i) {
    size_t item = kv->kind == GGUF_ARRAY ? gguf_kind_bytes(kv->item_kind) : 0;
    return item && i < kv->count ? gguf_load_float(kv->item_kind, kv->items + i * item) : 0;
}

struct gguf_str *gguf_strings(const struct gguf_kv *kv) {
    if (kv->kind != GGUF_ARRAY || kv->item_kind != GGUF_STRING) return NULL;
    struct gguf_str *table = malloc((kv->count + 1) * sizeof *table);
    const uint8_t *p = kv->items;
    for (uint64_t i = 0; table && i < kv->count; i++) {
        table[i] = (struct gguf_str){(const char *)p + 8, gguf_load_u64(p)};
        p += 8 + table[i].len;
    }
    return table;
}
