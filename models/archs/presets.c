/* presets.c - well-known shapes for synthetic weights, from the models' public cards. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "models/shape.h"

/* The northpole rows are the 3-billion model of "Breakthrough low-latency, high-energy-efficiency LLM inference
 * performance using NorthPole" (HPEC 2024): 14 of the 36 layers of Granite 8B code, 4-bit weights, 8-bit output layer;
 * and the 8-billion model of "A Scalable NorthPole System" (arXiv 2511.15950): 4-bit weights, 8-bit activations. That
 * both pass hidden states on in 16 bits is assumed: the card's vector unit computes in FP16. */
/* clang-format off */
/* second line: mode, hidden, description */
#define ROWS(X) \
/*  name                   arch     layers d_model heads kv  d_ffn  vocab   ctx    tied base     eps     quant  head */\
X(  "tinyllama-1.1b",      "llama", 22,    2048,   32,   4,  5632,  32000,  2048,  0,   10000,   1e-5f,  "Q4_0", NULL, \
    NULL, NULL, "TinyLlama 1.1B") \
X(  "granite-3b-northpole","llama", 14,    4096,   32,   8,  14336, 49152,  2048,  0,   10000,   1e-5f,  "I4",   "I8", \
    "w4a4", "fp16", "3B in 14 layers of Granite 8B code's, int4 with an int8 output layer") \
X(  "granite-8b-code",     "llama", 36,    4096,   32,   8,  14336, 49152,  4096,  1,   10000,   1e-5f,  "Q4_0", NULL, \
    NULL, NULL, "Granite 8B code, without its biases") \
X(  "granite-3.3-8b-northpole","llama",40, 4096,   32,   8,  12800, 49159, 2048,  1,   10000000,1e-5f,  "I4",   "I8", \
    "w4a8", "fp16", "Granite 3.3 8B without its multipliers, int4 with an int8 output layer") \
X(  "llama3-8b",           "llama", 32,    4096,   32,   8,  14336, 128256, 8192,  0,   500000,  1e-5f,  "Q4_0", NULL, \
    NULL, NULL, "Llama 3 8B") \
X(  "llama3-70b",          "llama", 80,    8192,   64,   8,  28672, 128256, 8192,  0,   500000,  1e-5f,  "Q4_0", NULL, \
    NULL, NULL, "Llama 3 70B") \
X(  "mistral-7b",          "llama", 32,    4096,   32,   8,  14336, 32768,  32768, 0,   1000000, 1e-5f,  "Q4_0", NULL, \
    NULL, NULL, "Mistral 7B v0.3, the one without a sliding window") \
X(  "smollm-135m",         "llama", 30,    576,    9,    3,  1536,  49152,  2048,  1,   10000,   1e-5f,  "Q8_0", NULL, \
    NULL, NULL, "SmolLM 135M: 9 heads, 3 key/value heads") \
X(  "qwen2.5-0.5b",        "qwen2", 24,    896,    14,   2,  4864,  151936, 32768, 1,   1000000, 1e-6f,  "Q8_0", NULL, \
    NULL, NULL, "Qwen 2.5 0.5B: 14 heads, 2 key/value heads") \
X(  "kjv-3m",              "llama", 4,     256,    8,    8,  512,   1024,   512,   1,   10000,   1e-5f,  "Q4_0", NULL, \
    NULL, NULL, "the bundled decoder's shape (models/bundled)") \
X(  "gpt2",                "gpt2",  12,    768,    12,   12, 3072,  50257,  1024,  1,   0,       1e-5f,  "Q8_0", NULL, \
    NULL, NULL, "GPT-2 124M") \
X(  "gpt2-xl",             "gpt2",  48,    1600,   25,   25, 6400,  50257,  1024,  1,   0,       1e-5f,  "Q8_0", NULL, \
    NULL, NULL, "GPT-2 XL 1.5B") \
X(  "pythia-410m",         "gptneox",24,   1024,   16,   16, 4096,  50304,  2048,  0,   10000,   1e-5f,  "Q8_0", NULL, \
    NULL, NULL, "Pythia 410M: attention and FFN side by side") \
X(  "bert-base",           "bert",  12,    768,    12,   12, 3072,  30522,  512,   0,   0,       1e-12f, "Q8_0", NULL, \
    NULL, NULL, "BERT base 110M, encoder") \
X(  "bert-large",          "bert",  24,    1024,   16,   16, 4096,  30522,  512,   0,   0,       1e-12f, "Q8_0", NULL, \
    NULL, NULL, "BERT large 340M, encoder")
/* clang-format on */

/* A row as a compound literal of static storage, so that the table can hold addresses. */
#define ADDRESS(name_, arch_, layers, dim, heads, kv, ffn, vocab, ctx, tied, base, eps, quant_, head, mode_, hidden_,  \
                text)                                                                                                  \
    &(const struct preset){.name = name_,                                                                              \
                           .description = text,                                                                        \
                           .arch = arch_,                                                                              \
                           .quant = quant_,                                                                            \
                           .head_quant = head,                                                                         \
                           .mode = mode_,                                                                              \
                           .hidden = hidden_,                                                                          \
                           .n_layers = layers,                                                                         \
                           .d_model = dim,                                                                             \
                           .n_heads = heads,                                                                           \
                           .n_kv_heads = kv,                                                                           \
                           .d_ffn = ffn,                                                                               \
                           .n_vocab = vocab,                                                                           \
                           .n_ctx = ctx,                                                                               \
                           .tied_head = tied,                                                                          \
                           .rope_base = base,                                                                          \
                           .norm_eps = eps},

const struct preset *const presets[] = {ROWS(ADDRESS) NULL};

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
        s->rope_dim = s->parallel_block ? s->head_dim / 4 : s->head_dim; /* GPT-NeoX and Pythia: a quarter */
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
