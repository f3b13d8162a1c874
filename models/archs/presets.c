/* presets.c - well-known shapes for synthetic weights, from the models' public cards. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "models/shape.h"

/* The northpole rows are the 3-billion model of "Breakthrough low-latency, high-energy-efficiency LLM inference
 * performance using NorthPole" (HPEC 2024): 14 of the 36 layers of Granite 8B code, 4-bit weights, 8-bit output layer. */
static const struct preset rows[] = {
    {.name = "tinyllama-1.1b",
     .description = "TinyLlama 1.1B: 22 layers of 2048/5632",
     .arch = "llama", .quant = "Q4_0",
     .n_layers = 22, .d_model = 2048, .n_heads = 32, .n_kv_heads = 4, .d_ffn = 5632, .n_vocab = 32000, .n_ctx = 2048,
     .rope_base = 10000, .norm_eps = 1e-5f},
    {.name = "granite-3b-northpole",
     .description = "3B in 14 layers of 4096/14336, int4 with an int8 output layer",
     .arch = "llama", .quant = "I4", .head_quant = "I8",
     .n_layers = 14, .d_model = 4096, .n_heads = 32, .n_kv_heads = 8, .d_ffn = 14336, .n_vocab = 49152, .n_ctx = 2048,
     .rope_base = 10000, .norm_eps = 1e-5f},
    {.name = "granite-8b-code",
     .description = "8B in 36 layers of 4096/14336, tied output layer",
     .arch = "llama", .quant = "Q4_0",
     .n_layers = 36, .d_model = 4096, .n_heads = 32, .n_kv_heads = 8, .d_ffn = 14336, .n_vocab = 49152, .n_ctx = 4096,
     .tied_head = 1, .rope_base = 10000, .norm_eps = 1e-5f},
    {.name = "llama3-8b",
     .description = "Llama 3 8B: 32 layers of 4096/14336, vocabulary 128256",
     .arch = "llama", .quant = "Q4_0",
     .n_layers = 32, .d_model = 4096, .n_heads = 32, .n_kv_heads = 8, .d_ffn = 14336, .n_vocab = 128256, .n_ctx = 8192,
     .rope_base = 500000, .norm_eps = 1e-5f},
    {.name = "llama3-70b",
     .description = "Llama 3 70B: 80 layers of 8192/28672, vocabulary 128256",
     .arch = "llama", .quant = "Q4_0",
     .n_layers = 80, .d_model = 8192, .n_heads = 64, .n_kv_heads = 8, .d_ffn = 28672, .n_vocab = 128256, .n_ctx = 8192,
     .rope_base = 500000, .norm_eps = 1e-5f},
    {.name = "mistral-7b",
     .description = "Mistral 7B v0.3: 32 layers of 4096/14336, no sliding window",
     .arch = "llama", .quant = "Q4_0",
     .n_layers = 32, .d_model = 4096, .n_heads = 32, .n_kv_heads = 8, .d_ffn = 14336, .n_vocab = 32768, .n_ctx = 32768,
     .rope_base = 1000000, .norm_eps = 1e-5f},
    {.name = "smollm-135m",
     .description = "SmolLM 135M: 30 layers of 576/1536, 9 heads and 3 key/value heads",
     .arch = "llama", .quant = "Q8_0",
     .n_layers = 30, .d_model = 576, .n_heads = 9, .n_kv_heads = 3, .d_ffn = 1536, .n_vocab = 49152, .n_ctx = 2048,
     .tied_head = 1, .rope_base = 10000, .norm_eps = 1e-5f},
    {.name = "qwen2.5-0.5b",
     .description = "Qwen 2.5 0.5B: 24 layers of 896/4864, 14 heads and 2 key/value heads",
     .arch = "qwen2", .quant = "Q8_0",
     .n_layers = 24, .d_model = 896, .n_heads = 14, .n_kv_heads = 2, .d_ffn = 4864, .n_vocab = 151936, .n_ctx = 32768,
     .tied_head = 1, .rope_base = 1000000, .norm_eps = 1e-6f},
    {.name = "gpt2",
     .description = "GPT-2 124M: 12 layers of 768/3072",
     .arch = "gpt2", .quant = "Q8_0",
     .n_layers = 12, .d_model = 768, .n_heads = 12, .n_kv_heads = 12, .d_ffn = 3072, .n_vocab = 50257, .n_ctx = 1024,
     .tied_head = 1, .norm_eps = 1e-5f},
    {.name = "gpt2-xl",
     .description = "GPT-2 1.5B: 48 layers of 1600/6400",
     .arch = "gpt2", .quant = "Q8_0",
     .n_layers = 48, .d_model = 1600, .n_heads = 25, .n_kv_heads = 25, .d_ffn = 6400, .n_vocab = 50257, .n_ctx = 1024,
     .tied_head = 1, .norm_eps = 1e-5f},
    {.name = "bert-base",
     .description = "BERT base 110M: encoder, 12 layers of 768/3072",
     .arch = "bert", .quant = "Q8_0",
     .n_layers = 12, .d_model = 768, .n_heads = 12, .n_kv_heads = 12, .d_ffn = 3072, .n_vocab = 30522, .n_ctx = 512,
     .norm_eps = 1e-12f},
    {.name = "bert-large",
     .description = "BERT large 340M: encoder, 24 layers of 1024/4096",
     .arch = "bert", .quant = "Q8_0",
     .n_layers = 24, .d_model = 1024, .n_heads = 16, .n_kv_heads = 16, .d_ffn = 4096, .n_vocab = 30522, .n_ctx = 512,
     .norm_eps = 1e-12f},
};

const struct preset *const presets[] = {
    &rows[0], &rows[1], &rows[2], &rows[3], &rows[4], &rows[5], &rows[6], &rows[7], &rows[8], &rows[9], &rows[10], &rows[11], NULL,
};

const struct preset *preset_find(const char *name) {
    for (int i = 0; presets[i]; i++)
        if (strcmp(presets[i]->name, name) == 0) return presets[i];
    return NULL;
}

static void fill(struct model_shape *s, const struct preset *p, int n_ctx) {
    shape_init(s, arch_find(p->arch));
    strncpy(s->name, p->name, sizeof s->name - 1);
    s->n_layers = p->n_layers;
    s->d_model = p->d_model;
    s->n_heads = p->n_heads;
    s->n_kv_heads = p->n_kv_heads;
    s->head_dim = p->head_dim ? p->head_dim : p->d_model / p->n_heads;
    s->d_ffn = p->d_ffn;
    s->n_vocab = p->n_vocab;
    s->n_ctx = p->n_ctx;
    s->tied_head = p->tied_head;
    s->norm_eps = p->norm_eps;
    s->attn_scale = (float)(1 / sqrt((double)s->head_dim));
    if (p->rope_base > 0) {
        s->rope_base = p->rope_base;
        s->rope_dim = s->head_dim;
    }
    if (s->pos == POS_LEARNED) {
        if (n_ctx > s->n_ctx) s->n_ctx = n_ctx;
        s->n_positions = s->ctx_limit = s->n_ctx;
    }
    if (s->post_norm) s->n_types = 2;
}

static int unknown_preset(const char *name, struct diag *d) {
    char known[384];
    text_names(known, sizeof known, (const void *const *)presets);
    return diag_set(d, ERR_USAGE, "unknown model \"%s\": no such file, and the presets are %s", name, known);
}

int preset_shape(struct model_shape *s, const char *name, const char *quant, int n_ctx, struct diag *d) {
    const struct preset *p = preset_find(name);
    if (!p) return unknown_preset(name, d);
    const struct tensor_type *type = tensor_type_find(quant ? quant : p->quant), *head = NULL;
    if (!type) {
        char known[256];
        text_names(known, sizeof known, (const void *const *)tensor_types);
        return diag_set(d, ERR_USAGE, "unknown storage type \"%s\", known are %s", quant, known);
    }
    if (p->head_quant && strcasecmp(type->name, p->quant) == 0) head = tensor_type_find(p->head_quant);
    fill(s, p, n_ctx);
    shape_set_types(s, type, head);
    return shape_check(s, d);
}
