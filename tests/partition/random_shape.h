/* random_shape.h - random models, strategies and options for property tests; everything follows from a seed. */
#ifndef TESTS_PARTITION_RANDOM_SHAPE_H
#define TESTS_PARTITION_RANDOM_SHAPE_H

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "partition/plan.h"

struct dice {
    uint64_t key, n;
};

/* A number in [0, n). */
static inline int roll(struct dice *d, int n) {
    return (int)(rng_u64(d->key, d->n++) % (uint64_t)n);
}

static inline int type_index(const char *name) {
    for (int i = 0; tensor_types[i]; i++)
        if (!strcmp(tensor_types[i]->name, name)) return i;
    return -1;
}

/* Layers of two types, as in Q4_K_M files: every third layer has another type for V and DOWN where its rows fit. */
static inline void mix_types(struct model_shape *s, int other) {
    static const enum role mixed[2] = {ROLE_V, ROLE_DOWN};
    for (int l = 0; l < s->n_layers; l += 3)
        for (int i = 0; i < 2; i++) {
            int rows, cols;
            shape_role_size(s, mixed[i], &rows, &cols);
            if (rows && cols % tensor_types[other]->block == 0) s->layer_type[l][mixed[i]] = (int8_t)other;
        }
}

static inline int n_of(const void *const *rows) {
    int n = 0;
    while (rows[n])
        n++;
    return n;
}

/* Small and odd: nothing divides. Sizes stay small enough to open the shards. */
static inline void random_shape(struct dice *d, struct model_shape *s) {
    static const int dims[] = {4, 8, 16, 24, 32, 64, 80}, widths[] = {32, 64, 96, 172, 256, 512};
    static const int shares[] = {1, 1, 2, 3, 4, 7, 8}, ffns[] = {1, 31, 64, 172, 256, 480, 688, 1024};
    shape_init(s, archs[roll(d, n_of((const void *const *)archs))]);
    snprintf(s->name, sizeof s->name, "random-%llu", (unsigned long long)d->key);
    s->n_layers = 1 + roll(d, 12);
    s->d_model = widths[roll(d, 6)];
    s->n_kv_heads = 1 + roll(d, 9);
    s->n_heads = s->n_kv_heads * shares[roll(d, 7)];
    s->head_dim = dims[roll(d, 7)];
    s->d_ffn = ffns[roll(d, 8)];
    s->n_vocab = 1 + roll(d, 600);
    s->n_ctx = 64;
    s->rope_dim = s->pos == POS_ROPE_PAIRS || s->pos == POS_ROPE_HALVES ? s->head_dim / 2 / 2 * 2 : 0;
    s->n_positions = s->pos == POS_LEARNED ? 64 : 0;
    s->n_types = !strcmp(s->arch, "bert") ? 2 : 0;
    s->tied_head = s->causal && roll(d, 2);
    s->attn_scale = 1;
    s->norm_eps = 1e-5f;
    s->parallel_block = !strcmp(s->arch, "gptneox") && roll(d, 2);
    int n_types = n_of((const void *const *)tensor_types);
    shape_set_types(s, tensor_types[roll(d, n_types)], roll(d, 2) ? NULL : tensor_types[roll(d, n_types)]);
    if (roll(d, 3) == 0) mix_types(s, roll(d, n_types));
}

static inline void random_opts(struct dice *d, struct plan_opts *o) {
    static const enum act_bits bits[] = {ACT_F32, ACT_I8, ACT_I4};
    static const enum kv_type kv[] = {KV_F16, KV_I8, KV_I4};
    memset(o, 0, sizeof *o);
    o->decoder = (struct decoder_opts){.linear_bits = bits[roll(d, 3)],
                                       .head_bits = bits[roll(d, 3)],
                                       .kv = kv[roll(d, 3)],
                                       .n_seqs = 1 + roll(d, 4),
                                       .n_ctx = 1 + roll(d, 64),
                                       .max_tokens = 1 + roll(d, 9),
                                       .threads = 1,
                                       .seed = 1};
    o->n_micro = roll(d, 4);
    o->top_candidates = roll(d, 3) ? roll(d, 50) : 0;
    o->max_logits = roll(d, 2) ? 1 + roll(d, 5) : 0;
    o->decoder.hidden = (enum hidden_form)roll(d, HIDDEN_FORMS);
}

/* Stages of sizes 1 to 5 whose layers are free, given, or none at either end. */
static inline void random_stages(struct dice *d, int n_layers, char *text, size_t cap) {
    int left = n_layers, first = 1;
    size_t at = (size_t)snprintf(text, cap, "stages:");
    if (roll(d, 4) == 0) at += (size_t)snprintf(text + at, cap - at, "host"), first = 0;
    while (left > 0 && at < 200) {
        int n = 1 + roll(d, left);
        at += (size_t)snprintf(text + at, cap - at, "%s%d/%d", first ? "" : ",", 1 + roll(d, 5), n);
        left -= n;
        first = 0;
    }
    if (roll(d, 2)) at += (size_t)snprintf(text + at, cap - at, ",%d/0", 1 + roll(d, 4));
    if (roll(d, 3) == 0) snprintf(text + at, cap - at, "xdp2");
}

/* At most 64 ranks. */
static inline void random_strategy(struct dice *d, const struct model_shape *s, struct strategy *st) {
    char text[256];
    do {
        if (roll(d, 3) == 0) {
            random_stages(d, s->n_layers, text, sizeof text);
        } else {
            int pp = roll(d, 2) ? 1 + roll(d, s->n_layers) : 1, tp = roll(d, 4) ? 1 + roll(d, 64 / pp) : 1;
            snprintf(text, sizeof text, "dp%dxtp%dxpp%d", 1 + (roll(d, 4) == 0), tp, pp);
        }
    } while (strategy_parse(st, text, NULL) || strategy_ranks(st) > 64);
}

#endif
