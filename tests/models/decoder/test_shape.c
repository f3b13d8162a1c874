/* Shapes: presets against published numbers, files with something missing, odd or hostile refused by name, byte counts.
 */
#include "tiny.h"

/* One change to a file: a key set to another value or left out, a tensor left out, renamed, cut or of another type. */
struct edit {
    const char *key; /* pair to change; added if the file has none */
    double value;
    const char *text; /* string value */
    const int *items; /* integer array, ended by -1 */
    int drop; /* leave the pair or tensor out */
    const char *tensor, *new_name; /* tensor to change */
    int64_t rows, cols; /* dims, 0: as they are */
    int type; /* ggml number + 1 */
};

static int str_is(struct gguf_str s, const char *text) {
    return text && s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static void put_pair(struct gguf_writer *w, const struct edit *e) {
    if (e->drop) return;
    if (e->text)
        gguf_writer_str(w, e->key, e->text, strlen(e->text));
    else if (e->items) {
        int n = 0;
        while (e->items[n] >= 0)
            n++;
        gguf_writer_array(w, e->key, GGUF_I32, (uint64_t)n, e->items, (size_t)n * sizeof *e->items);
    } else
        gguf_writer_float(w, e->key, (float)e->value);
}

static void put_tensor(struct gguf_writer *w, const struct gguf_tensor *t, const struct edit *e) {
    char name[128];
    int64_t ne[GGUF_MAX_DIMS] = {t->ne[0], t->ne[1], t->ne[2], t->ne[3]};
    int changed = str_is(t->name, e->tensor), type = changed && e->type ? e->type - 1 : t->type;
    snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.data);
    if (changed && e->new_name) snprintf(name, sizeof name, "%s", e->new_name);
    if (changed && e->cols) ne[0] = e->cols;
    if (changed && e->rows) ne[1] = e->rows;
    size_t bytes = 4; /* all are F32 unless the type changes to one that any size fits */
    for (int i = 0; i < t->n_dims; i++)
        bytes *= (size_t)ne[i];
    if (type == 24) bytes /= 4;
    if (type == 10) bytes = bytes / 4 / 256 * 84;
    gguf_writer_tensor(w, name, t->n_dims, ne, type, bytes);
}

static struct gguf *edited(const struct gguf *g, const struct edit *e) {
    char path[256];
    struct diag d = {0};
    struct gguf_writer *w;
    struct gguf *out = NULL;
    static const uint8_t zeros[1 << 16];
    tiny_path(path, sizeof path, "edited");
    CHECK(gguf_writer_open(&w, path, &d) == 0, "%s", d.text);
    for (uint64_t i = 0; i < g->n_kv; i++)
        if (!str_is(g->kv[i].key, e->key)) gguf_writer_copy(w, &g->kv[i]);
    if (e->key) put_pair(w, e);
    for (int pass = 0; pass < 2; pass++)
        for (uint64_t i = 0; i < g->n_tensors; i++) {
            const struct gguf_tensor *t = &g->tensors[i];
            int changed = str_is(t->name, e->tensor);
            if (changed && e->drop) continue;
            if (pass == 0)
                put_tensor(w, t, e);
            else if (!changed)
                gguf_writer_data(w, t->data, t->bytes, &d);
            else {
                size_t bytes = 4 * (size_t)((e->cols ? e->cols : t->ne[0]) * (e->rows ? e->rows : t->ne[1]));
                if (e->type == 25) bytes /= 4;
                if (e->type == 11) bytes = bytes / 4 / 256 * 84;
                gguf_writer_data(w, zeros, bytes, &d);
            }
        }
    CHECK(gguf_writer_close(w, 1, &d) == 0, "%s", d.text);
    CHECK(gguf_open(&out, path, &d) == 0, "%s", d.text);
    unlink(path);
    return out;
}

/* The edited file must be refused with `code` in one line that names `named`. */
static void check_refused(const struct gguf *g, struct edit e, int code, const char *named) {
    struct gguf *bad = edited(g, &e);
    struct model_shape s;
    struct diag d = {0};
    if (!bad) return;
    int rc = shape_read(&s, bad, &d);
    CHECK(rc == code && d.code == code, "%s: %s instead of %s: %s", named, err_name(rc), err_name(code), d.text);
    CHECK(strstr(d.text, named), "\"%s\" does not name %s", d.text, named);
    CHECK(!strchr(d.text, '\n') && strlen(d.text) < sizeof d.text - 1, "not one line: %s", d.text);
    gguf_close(bad);
}

/* The edited file is accepted, with the shape that comes of it. */
static struct model_shape check_accepted(const struct gguf *g, struct edit e) {
    struct gguf *good = edited(g, &e);
    struct model_shape s = {0};
    struct diag d = {0};
    if (!good) return s;
    CHECK(shape_read(&s, good, &d) == 0, "%s%s: %s", e.key ? e.key : "", e.tensor ? e.tensor : "", d.text);
    gguf_close(good);
    return s;
}

static const struct tiny llama = {.arch = "llama",
                                  .n_layers = 2,
                                  .d_model = 64,
                                  .n_heads = 8,
                                  .n_kv_heads = 4,
                                  .head_dim = 8,
                                  .d_ffn = 96,
                                  .n_vocab = 50};

static void check_bad_keys(const struct gguf *g) {
    static const int uneven[] = {8, 4, -1};
    check_refused(g, (struct edit){.key = "general.architecture", .text = "mamba"}, ERR_UNSUPPORTED, "mamba");
    check_refused(g, (struct edit){.key = "general.architecture", .drop = 1}, ERR_FORMAT, "general.architecture");
    check_refused(g, (struct edit){.key = "llama.block_count", .drop = 1}, ERR_FORMAT, "llama.block_count");
    check_refused(g, (struct edit){.key = "llama.attention.layer_norm_rms_epsilon", .drop = 1}, ERR_FORMAT,
                  "layer_norm_rms_epsilon");
    check_refused(g, (struct edit){.key = "llama.attention.head_count_kv", .items = (int[]){3, -1}}, ERR_UNSUPPORTED,
                  "head_count_kv");
    check_refused(g, (struct edit){.key = "llama.attention.head_count_kv", .items = (int[]){0, -1}}, ERR_UNSUPPORTED,
                  "head_count_kv");
    check_refused(g, (struct edit){.key = "llama.attention.head_count", .items = uneven}, ERR_UNSUPPORTED,
                  "head_count");
    check_refused(g, (struct edit){.key = "llama.attention.key_length", .items = (int[]){0, -1}}, ERR_UNSUPPORTED,
                  "key_length");
    check_refused(g, (struct edit){.key = "llama.attention.value_length", .items = (int[]){16, -1}}, ERR_UNSUPPORTED,
                  "value_length");
    check_refused(g, (struct edit){.key = "llama.embedding_length", .items = (int[]){1 << 30, -1}}, ERR_UNSUPPORTED,
                  "embedding_length");
    check_refused(g, (struct edit){.key = "llama.block_count", .items = (int[]){100000, -1}}, ERR_UNSUPPORTED,
                  "block_count");
    check_refused(g, (struct edit){.key = "llama.block_count", .text = "two"}, ERR_FORMAT, "block_count");
    check_refused(g, (struct edit){.key = "llama.rope.dimension_count", .items = (int[]){7, -1}}, ERR_UNSUPPORTED,
                  "rope.dimension_count");
    check_refused(g, (struct edit){.key = "llama.rope.dimension_count", .items = (int[]){16, -1}}, ERR_UNSUPPORTED,
                  "rope.dimension_count");
    check_refused(g, (struct edit){.key = "llama.rope.scaling.type", .text = "yarn"}, ERR_UNSUPPORTED, "yarn");
    check_refused(g, (struct edit){.key = "llama.rope.scaling.attn_factor", .value = 1.5}, ERR_UNSUPPORTED,
                  "attn_factor");
    check_refused(g, (struct edit){.key = "llama.rope.freq_base", .value = 0}, ERR_UNSUPPORTED, "rope.freq_base");
    check_refused(g, (struct edit){.key = "llama.rope.freq_base", .value = NAN}, ERR_FORMAT, "rope.freq_base");
    check_refused(g, (struct edit){.key = "llama.expert_count", .items = (int[]){8, -1}}, ERR_FORMAT, "expert_count");
    check_refused(g, (struct edit){.key = "llama.final_logit_softcapping", .value = 30}, ERR_UNSUPPORTED,
                  "final_logit_softcapping");
    check_refused(g, (struct edit){.key = "llama.vocab_size", .items = (int[]){51, -1}}, ERR_FORMAT,
                  "token_embd.weight");
}

static void check_bad_tensors(const struct gguf *g) {
    check_refused(g, (struct edit){.tensor = "blk.1.ffn_down.weight", .drop = 1}, ERR_FORMAT, "blk.1.ffn_down.weight");
    check_refused(g, (struct edit){.tensor = "blk.0.attn_norm.weight", .drop = 1}, ERR_FORMAT,
                  "blk.0.attn_norm.weight");
    check_refused(g, (struct edit){.tensor = "token_embd.weight", .drop = 1}, ERR_FORMAT, "token_embd.weight");
    check_refused(g, (struct edit){.tensor = "blk.1.attn_k.weight", .rows = 31}, ERR_FORMAT, "blk.1.attn_k.weight");
    check_refused(g, (struct edit){.tensor = "blk.1.attn_k.weight", .cols = 32}, ERR_FORMAT, "blk.1.attn_k.weight");
    check_refused(g, (struct edit){.tensor = "blk.1.ffn_norm.weight", .cols = 63}, ERR_FORMAT, "blk.1.ffn_norm.weight");
    check_refused(g, (struct edit){.tensor = "output.weight", .rows = 49}, ERR_FORMAT, "output.weight");
    check_refused(g, (struct edit){.tensor = "blk.0.attn_q.weight", .type = 25}, ERR_UNSUPPORTED,
                  "blk.0.attn_q.weight");
    check_refused(g, (struct edit){.tensor = "blk.0.attn_q.weight", .type = 11, .cols = 256}, ERR_UNSUPPORTED,
                  "type 10");
    check_refused(g, (struct edit){.tensor = "output_norm.weight", .type = 25}, ERR_UNSUPPORTED, "output_norm.weight");
    check_refused(g, (struct edit){.tensor = "blk.0.ffn_gate.weight", .new_name = "blk.0.ffn_gate_inp.weight"},
                  ERR_FORMAT, "blk.0.ffn_gate.weight");
    check_refused(g, (struct edit){.tensor = "blk.1.ffn_up.weight", .new_name = "blk.2.ffn_up.weight"}, ERR_FORMAT,
                  "blk.1.ffn_up.weight");
    check_refused(g, (struct edit){.key = "llama.block_count", .items = (int[]){1, -1}}, ERR_UNSUPPORTED, "blk.1.");
    check_refused(g, (struct edit){.key = "northwall.format.blk.0.attn_q.weight", .text = "I3"}, ERR_UNSUPPORTED,
                  "northwall.format");
    check_refused(g, (struct edit){.key = "northwall.format.blk.0.attn_q.weight", .text = "I4"}, ERR_FORMAT,
                  "blk.0.attn_q.weight");
}

static void check_good(const struct gguf *g) {
    static const int alike[] = {4, 4, -1};
    struct model_shape s = check_accepted(g, (struct edit){.key = "llama.attention.head_count_kv", .items = alike});
    CHECK(s.n_kv_heads == 4, "per-layer heads: %d", s.n_kv_heads);
    s = check_accepted(g, (struct edit){.tensor = "output.weight", .drop = 1});
    CHECK(s.tied_head && s.role_bytes[ROLE_HEAD] == s.role_bytes[ROLE_EMBED], "tied: %d", s.tied_head);
    s = check_accepted(g, (struct edit){.key = "llama.rope.scaling.factor", .value = 4});
    CHECK(s.scaling == ROPE_LINEAR && s.rope_factor == 4, "factor %g", s.rope_factor);
    s = check_accepted(g, (struct edit){.key = "llama.rope.scaling.type", .text = "none"});
    CHECK(s.scaling == ROPE_PLAIN, "scaling %d", s.scaling);
    s = check_accepted(g, (struct edit){.key = "llama.attention.sliding_window", .items = (int[]){16, -1}});
    CHECK(s.ctx_limit == 16, "window: limit %d", s.ctx_limit);
    struct decoder_opts o = tiny_opts();
    struct shard_spec whole;
    struct decoder *dec;
    struct diag d = {0};
    shard_whole(&s, &whole);
    CHECK(decoder_open(&dec, &s, NULL, &whole, &o, &d) == ERR_RANGE && strstr(d.text, "window"), "%s", d.text);
    s = check_accepted(g, (struct edit){.key = "llama.attention.sliding_window", .items = (int[]){4096, -1}});
    CHECK(s.ctx_limit == 4096, "wider than the trained context: limit %d", s.ctx_limit);
    s = check_accepted(g, (struct edit){.key = "general.name",
                                        .text = "a\nb\x80 very long name that goes on and on and on, past all bounds"});
    CHECK(strcmp(s.name, "a?b? very long name that goes on and on and on, past all bounds") == 0, "name \"%s\"",
          s.name);
}

/* A multiplier of 0 is none, as in llama.cpp; only logits cannot be divided by it. */
static void check_granite_zeros(void) {
    struct tiny t = llama;
    struct model_shape s;
    t.arch = "granite";
    tiny_shape(&s, &t, "F32", NULL);
    struct gguf *g = tiny_file(&s, 1);
    s = check_accepted(g, (struct edit){.key = "granite.embedding_scale", .value = 0});
    CHECK(s.embed_scale == 1, "embedding scale %g", (double)s.embed_scale);
    s = check_accepted(g, (struct edit){.key = "granite.residual_scale", .value = 0});
    CHECK(s.residual_scale == 1, "residual scale %g", (double)s.residual_scale);
    check_refused(g, (struct edit){.key = "granite.logit_scale", .value = 0}, ERR_FORMAT, "logit_scale");
    gguf_close(g);
}

/* Damaged headers: whatever reads as a model must also open and run, the rest is refused with a line of text. */
static void check_damaged(const struct gguf *g, uint64_t seed, int rounds) {
    uint8_t *bytes = malloc(g->file_bytes);
    int opened = 0, refused = 0;
    for (int i = 0; i < rounds; i++) {
        struct gguf *bad = NULL;
        struct model_shape s;
        struct shard_spec whole;
        struct decoder_opts o = {.linear_bits = ACT_I8, .n_seqs = 1, .n_ctx = 4, .max_tokens = 4, .threads = 1};
        struct decoder *dec = NULL;
        struct diag d = {0};
        memcpy(bytes, g->map, g->file_bytes);
        for (int k = tiny_random(&seed, 3); k >= 0; k--)
            bytes[tiny_random(&seed, (int)g->data_offset)] ^= (uint8_t)(1 << tiny_random(&seed, 8));
        int rc = gguf_open_memory(&bad, bytes, g->file_bytes, "damaged", &d);
        if (!rc) rc = shape_read(&s, bad, &d);
        if (!rc) shard_whole(&s, &whole);
        if (!rc) rc = decoder_open(&dec, &s, bad, &whole, &o, &d);
        if (!rc) {
            static const int id[] = {0, 0}, seq[] = {0, 0}, pos[] = {0, 1};
            struct token_batch b = {2, id, seq, pos};
            decoder_forward(dec, &b, NULL, NULL, NULL);
            opened++;
        } else {
            refused++;
            CHECK(d.code == rc && d.text[0] && !strchr(d.text, '\n'), "%d: \"%s\"", rc, d.text);
        }
        decoder_close(dec);
        gguf_close(bad);
    }
    CHECK(opened > 0 && refused > 0, "%d opened, %d refused", opened, refused);
    free(bytes);
}

/* Every architecture reads back what it was written from. */
static void check_round_trip(void) {
    for (int a = 0; archs[a]; a++)
        for (int more = 0; more < 2; more++) {
            struct tiny t = {.arch = archs[a]->name,
                             .n_layers = 3,
                             .d_model = 64,
                             .n_heads = 4,
                             .n_kv_heads = 4,
                             .head_dim = 16,
                             .d_ffn = 64,
                             .n_vocab = 40,
                             .all_vecs = more,
                             .tied = more,
                             .parallel = more};
            struct model_shape s, r;
            struct diag d = {0};
            tiny_shape(&s, &t, more ? "I4" : "Q5_1", more ? "I8" : "F16");
            struct gguf *g = tiny_file(&s, 1);
            CHECK(shape_read(&r, g, &d) == 0, "%s: %s", t.arch, d.text);
            CHECK(memcmp(&s, &r, sizeof s) == 0, "%s: another shape comes back", t.arch);
            check_damaged(g, (uint64_t)(2 * a + more), 300);
            gguf_close(g);
        }
}

/* Parameters of the model cards, to three digits. */
static void check_presets(void) {
    static const struct {
        const char *name;
        double params;
    } cards[] = {
        {"tinyllama-1.1b", 1.10e9},  {"granite-3b-northpole", 3.46e9},
        {"granite-8b-code", 8.05e9}, {"granite-3.3-8b-northpole", 8.17e9},
        {"llama3-8b", 8.03e9},       {"llama3-70b", 70.6e9},
        {"mistral-7b", 7.25e9},      {"smollm-135m", 134.5e6},
        {"qwen2.5-0.5b", 494e6},     {"kjv-3m", 2885888},
        {"gpt2", 124.4e6},           {"gpt2-xl", 1557.6e6},
        {"pythia-410m", 405.3e6},    {"bert-base", 108.9e6},
        {"bert-large", 334.1e6},
    };
    struct model_shape s;
    struct diag d = {0};
    int n = 0;
    for (; presets[n]; n++) {
        CHECK(preset_shape(&s, presets[n]->name, NULL, 0, &d) == 0, "%s", d.text);
        CHECK(strcmp(presets[n]->name, cards[n].name) == 0, "%s", presets[n]->name);
        double params = (double)shape_params(&s);
        CHECK(fabs(params - cards[n].params) < 0.005 * cards[n].params, "%s has %.4g parameters", s.name, params);
    }
    CHECK(n == sizeof cards / sizeof *cards, "%d presets", n);

    preset_shape(&s, "granite-3b-northpole", NULL, 0, &d);
    CHECK(strcmp(shape_type(&s, ROLE_DOWN, 3)->name, "I4") == 0 &&
              strcmp(shape_type(&s, ROLE_HEAD, 0)->name, "I8") == 0,
          "int4 recipe");
    CHECK(s.role_bytes[ROLE_UP] == 14 * (14336LL * 4096 / 2 + 14336 * 4), "bytes %lld",
          (long long)s.role_bytes[ROLE_UP]);
    preset_shape(&s, "tinyllama-1.1b", "q8_0", 0, &d);
    CHECK(s.role_bytes[ROLE_K] == 22 * 256LL * 2048 / 32 * 34, "bytes %lld", (long long)s.role_bytes[ROLE_K]);
    preset_shape(&s, "smollm-135m", "q4_k", 0, &d); /* 576 is no multiple of 256, 1536 is */
    CHECK(strcmp(shape_type(&s, ROLE_UP, 0)->name, "Q5_0") == 0 &&
              strcmp(shape_type(&s, ROLE_DOWN, 0)->name, "Q4_K") == 0,
          "stand-in");
    CHECK(preset_shape(&s, "bert-base", NULL, 4096, &d) == 0 && s.n_positions == 4096 && s.ctx_limit == 4096, "%s",
          d.text);
    CHECK(preset_shape(&s, "bert-base", NULL, 128, &d) == 0 && s.n_positions == 512, "%s", d.text);
    CHECK(preset_shape(&s, "llama9", NULL, 0, &d) == ERR_USAGE && strstr(d.text, "tinyllama-1.1b"), "%s", d.text);
    d = (struct diag){0};
    CHECK(preset_shape(&s, "gpt2", "q3_z", 0, &d) == ERR_USAGE && strstr(d.text, "q3_z") && strstr(d.text, "Q4_K"),
          "%s", d.text);
}

int main(void) {
    struct model_shape s;
    tiny_shape(&s, &llama, "F32", NULL);
    struct gguf *g = tiny_file(&s, 3);
    if (g) {
        check_bad_keys(g);
        check_bad_tensors(g);
        check_good(g);
        gguf_close(g);
    }
    check_granite_zeros();
    check_round_trip();
    check_presets();
    return check_report("test_shape");
}
