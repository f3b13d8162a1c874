/* probe.h - what must hold for any bytes whatsoever: opening them gives either one line of explanation, or a file whose
 * every entry can be found, read and printed. Shared by the fuzzer, the corpus replay and the mutation test; a
 * violation aborts. */
#ifndef TESTS_GGUF_PROBE_H
#define TESTS_GGUF_PROBE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/gguf.h"

#define PROBE(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: violated: %s\n", __FILE__, __LINE__, #cond);                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline void probe_failure(const struct gguf *g, int rc, const struct diag *d) {
    PROBE(g == NULL && rc == d->code);
    PROBE(rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_MEMORY);
    PROBE(strlen(d->text) > 10 && strlen(d->text) < sizeof d->text);
    for (const char *p = d->text; *p; p++)
        PROBE((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* The bytes of a range are all read, so that a sanitizer sees those outside. */
static inline unsigned probe_touch(const void *data, size_t n) {
    const unsigned char *p = data;
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    return sum;
}

static inline void probe_pair(const struct gguf *g, const struct gguf_kv *kv) {
    char key[64];
    unsigned sum = probe_touch(kv->key.data, kv->key.len) + probe_touch(kv->items, kv->item_bytes);
    PROBE(kv->key.len > 0 && kv->items + kv->item_bytes <= g->map + g->file_bytes);
    if (kv->key.len < sizeof key && !memchr(kv->key.data, 0, kv->key.len)) {
        memcpy(key, kv->key.data, kv->key.len);
        key[kv->key.len] = 0;
        PROBE(gguf_find(g, key) == kv);
        struct gguf_str s;
        int64_t i;
        double f;
        int b, fit = !gguf_get_int(g, key, 7, &i, NULL) + !gguf_get_str(g, key, &s, NULL);
        PROBE(fit <= 1 && gguf_get_float(g, key, 7, &f, NULL) <= 0 && gguf_get_bool(g, key, 0, &b, NULL) <= 0);
        sum += probe_touch(s.data, s.len);
    }
    for (uint64_t i = 0; i <= kv->count; i++)
        sum += gguf_item_int(kv, i) > 0 && gguf_item_float(kv, i) > 0;
    struct gguf_str *table = gguf_strings(kv);
    for (uint64_t i = 0; table && i < kv->count; i++)
        sum += probe_touch(table[i].data, table[i].len);
    PROBE(sum < 0xffffffffu);
    free(table);
}

static inline void probe_tensor(const struct gguf *g, const struct gguf_tensor *t) {
    char name[64];
    PROBE(t->name.len > 0 && t->offset % g->alignment == 0 && t->type >= 0 && t->n_dims <= GGUF_MAX_DIMS);
    for (int i = 0; i < GGUF_MAX_DIMS; i++)
        PROBE(t->ne[i] > 0 && (i < t->n_dims || t->ne[i] == 1));
    PROBE(t->offset + t->bytes <= g->file_bytes - g->data_offset);
    if (t->data) PROBE(t->bytes > 0 && t->data == g->map + g->data_offset + t->offset);
    if (t->data) PROBE(probe_touch(t->data, t->bytes) < 0xffffffffu);
    if (t->name.len >= sizeof name || memchr(t->name.data, 0, t->name.len)) return;
    memcpy(name, t->name.data, t->name.len);
    name[t->name.len] = 0;
    PROBE(gguf_tensor_find(g, name) == t);
}

/* Returns 1 if the bytes are a valid file. With a sink, the printer runs into it, too. */
static inline int probe_bytes(const unsigned char *data, size_t n, FILE *sink) {
    struct diag d = {0};
    struct gguf *g = (void *)&d; /* must not be left standing */
    int rc = gguf_open_memory(&g, data, n, "probe", &d);
    if (rc) {
        probe_failure(g, rc, &d);
        return 0;
    }
    PROBE(d.code == 0 && g->data_offset <= g->file_bytes && g->file_bytes == n);
    for (uint64_t i = 0; i < g->n_kv; i++)
        probe_pair(g, &g->kv[i]);
    for (uint64_t i = 0; i < g->n_tensors; i++)
        probe_tensor(g, &g->tensors[i]);
    if (sink) PROBE(gguf_print(g, sink, 0, &d) == 0 && gguf_print(g, sink, 1, &d) == 0);
    gguf_close(g);
    return 1;
}

#endif
