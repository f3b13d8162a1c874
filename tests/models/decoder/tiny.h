/* tiny.h - small shapes of every architecture, files of them, and a clean way to write tests over them. */
#ifndef TESTS_DECODER_TINY_H
#define TESTS_DECODER_TINY_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "models/decoder.h"
#include "models/quantize.h"
#include "models/synth.h"

struct tiny {
    const char *arch;
    int n_layers, d_model, n_heads, n_kv_heads, head_dim, d_ffn, n_vocab, rope_dim;
    int all_vecs; /* take the optional vectors too */
    int parallel, tied;
    double linear; /* rope factor, 0: plain */
};

/* One of each architecture, so that heads, widths and vocabularies divide by nothing in common. test_shards pins the
 * logits of some: new shapes come last. Numbers behind the architecture are the fields in their order. */
static const struct tiny tiny_archs[] = {
    {.arch = "llama", 3, 64, 8, 4, 8, 172, 83, .all_vecs = 1},
    {.arch = "granite", 2, 96, 9, 3, 32, 544, 70},
    {.arch = "qwen2", 2, 64, 14, 2, 16, 96, 101, .tied = 1},
    {.arch = "qwen3", 2, 64, 5, 1, 40, 128, 77},
    {.arch = "gpt2", 2, 96, 6, 6, 16, 384, 90, .tied = 1},
    {.arch = "gptneox", 2, 64, 4, 4, 16, 256, 90, .rope_dim = 4, .parallel = 1},
    {.arch = "bert", 2, 64, 4, 4, 16, 160, 64},
};
enum { TINY_ARCHS = sizeof tiny_archs / sizeof *tiny_archs };

static inline void tiny_shape(struct model_shape *s, const struct tiny *t, const char *quant, const char *head_quant) {
    const struct arch *arch = arch_find(t->arch);
    shape_init(s, arch);
    snprintf(s->name, sizeof s->name, "tiny-%s", t->arch);
    s->n_layers = t->n_layers;
    s->d_model = t->d_model;
    s->n_heads = t->n_heads;
    s->n_kv_heads = t->n_kv_heads;
    s->head_dim = t->head_dim;
    s->d_ffn = t->d_ffn;
    s->n_vocab = t->n_vocab;
    s->n_ctx = 64;
    s->norm_eps = 1e-5f;
    s->attn_scale = (float)(1 / sqrt(t->head_dim));
    s->tied_head = s->causal && t->tied;
    s->parallel_block = arch->parallel_block && t->parallel;
    if (s->pos == POS_LEARNED)
        s->n_positions = s->ctx_limit = s->n_ctx;
    else
        s->rope_dim = t->rope_dim ? t->rope_dim : t->head_dim;
    if (s->post_norm) s->n_types = 2;
    if (t->all_vecs) s->has_vec |= arch->optional_vecs;
    if (s->has_vec & VEC_BIT(ROPE_FACTORS)) s->scaling = ROPE_FACTORS;
    if (t->linear > 0) {
        s->scaling = ROPE_LINEAR;
        s->rope_factor = t->linear;
    }
    if (strcmp(t->arch, "granite") == 0) {
        s->embed_scale = 3;
        s->residual_scale = 0.25f;
        s->attn_scale = 0.125f;
        s->logit_scale = 0.5f;
    }
    shape_set_types(s, tensor_type_find(quant), head_quant ? tensor_type_find(head_quant) : NULL);
}

/* A file name of this process in the folder for temporary files. */
static inline const char *tiny_path(char *buf, size_t cap, const char *label) {
    const char *dir = getenv("TMPDIR");
    snprintf(buf, cap, "%s/northwall-test-%ld-%s.gguf", dir ? dir : "/tmp", (long)getpid(), label);
    return buf;
}

/* Writes the shape's synthetic weights and opens the file, which has no name any more. */
static inline struct gguf *tiny_file(const struct model_shape *s, uint64_t seed) {
    char path[256];
    struct diag d = {0};
    struct gguf *g = NULL;
    tiny_path(path, sizeof path, "synth");
    CHECK(model_synth(s, seed, path, 1, NULL, NULL, &d) == 0, "%s", d.text);
    CHECK(gguf_open(&g, path, &d) == 0, "%s", d.text);
    unlink(path);
    return g;
}

static inline struct decoder_opts tiny_opts(void) {
    return (struct decoder_opts){.n_seqs = 1, .n_ctx = 64, .max_tokens = 64, .threads = 1, .seed = 7};
}

/* A repeatable stream of numbers below n. */
static inline int tiny_random(uint64_t *state, int n) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int)((*state >> 33) % (uint64_t)n);
}

static inline struct decoder *tiny_whole(const struct model_shape *s, const struct gguf *g,
                                         const struct decoder_opts *o) {
    struct shard_spec spec;
    struct decoder *dec = NULL;
    struct diag d = {0};
    shard_whole(s, &spec);
    CHECK(decoder_open(&dec, s, g, &spec, o, &d) == 0, "%s", d.text);
    return dec;
}

#endif
