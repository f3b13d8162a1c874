/* Logits do not depend on how a model is cut: heads, FFN leaves and vocabulary over 1 to 8 virtual ranks, layers over
 * stages, sequences in chunks of any size beside each other, one thread or two, fast kernels. All bits are compared
 * with one rank of the portable ones. */
#include <fcntl.h>

#include "base/hash.h"
#include "tiny.h"

enum { MAX_RANKS = 8, N_SEQS = 3, LONGEST = 40, PARTS = 4 * PAIRTREE_MAX_NODES };

/* The text: sequence i has length[i] tokens. Results by sequence and position. */
struct work {
    int length[N_SEQS], id[N_SEQS][LONGEST];
    int width; /* floats of a result: n_vocab or d_model */
    float *want, *got;
};

static float *result_at(const struct work *w, float *base, int seq, int pos) {
    return base + ((size_t)seq * LONGEST + (size_t)pos) * (size_t)w->width;
}

/* A row of virtual ranks that share layers [layer0, layer1). */
struct group {
    int n;
    struct decoder *dec[MAX_RANKS];
    float *h[MAX_RANKS]; /* each rank has its own copy of the stream */
};

/* Cuts [0, n) in `ranks` ranges; mode 0: even, 1: at random, some empty, 2: all to the last rank. */
static void cut(int n, int ranks, int mode, uint64_t *rng, int at[MAX_RANKS + 1]) {
    for (int i = 0; i <= ranks; i++)
        at[i] = mode == 0 ? (int)((long)n * i / ranks) : mode == 1 ? tiny_random(rng, n + 1) : i == ranks ? n : 0;
    at[0] = 0;
    at[ranks] = n;
    for (int i = 1; i < ranks; i++)
        for (int j = i; j > 1 && at[j - 1] > at[j]; j--) {
            int t = at[j];
            at[j] = at[j - 1];
            at[j - 1] = t;
        }
}

static void group_open(struct group *grp, const struct model_shape *s, const struct gguf *g,
                       const struct decoder_opts *o, int ranks, int layer0, int layer1, int mode, uint64_t *rng) {
    int heads[MAX_RANKS + 1], leaves[MAX_RANKS + 1], vocab[MAX_RANKS + 1];
    int first = layer0 == 0, last = layer1 == s->n_layers;
    cut(s->n_heads, ranks, mode, rng, heads);
    cut(order_axis_runs(s->d_ffn).n_leaves, ranks, mode, rng, leaves);
    cut(s->n_vocab, ranks, mode, rng, vocab);
    grp->n = ranks;
    for (int r = 0; r < ranks; r++) {
        struct shard_spec spec = {.layer0 = layer0,
                                  .layer1 = layer1,
                                  .head0 = heads[r],
                                  .head1 = heads[r + 1],
                                  .ffn_leaf0 = leaves[r],
                                  .ffn_leaf1 = leaves[r + 1],
                                  .embed = first && r == ranks - 1};
        if (last && s->causal) {
            spec.vocab0 = vocab[r];
            spec.vocab1 = vocab[r + 1];
            spec.final_norm = 1;
        }
        struct diag d = {0};
        CHECK(decoder_open(&grp->dec[r], s, g, &spec, o, &d) == 0, "%s", d.text);
        grp->h[r] = malloc((size_t)o->max_tokens * (size_t)s->d_model * sizeof(float));
        if (!grp->dec[r]) exit(check_report("test_shards"));
    }
}

static void group_close(struct group *grp) {
    for (int r = 0; r < grp->n; r++) {
        decoder_close(grp->dec[r]);
        free(grp->h[r]);
    }
}

/* Adds the ranks' subtree sums along the tree: parts[r] is [nodes][len]; the root lands in parts[0]. Returns 1 if the
 * sums join to one root. */
static int merge(struct group *grp, int n_leaves, int heads, float **parts, size_t len) {
    struct pairtree_node list[PAIRTREE_MAX_NODES];
    float *value[PARTS];
    int n = 0;
    for (int r = 0; r < grp->n; r++) {
        struct pairtree_node own[PAIRTREE_MAX_NODES], out[PAIRTREE_MAX_NODES];
        struct pairtree_join joins[PAIRTREE_MAX_NODES];
        const struct shard_spec *spec = &grp->dec[r]->spec;
        int slot[PAIRTREE_MAX_NODES], n_joins, begin = heads ? spec->head0 : spec->ffn_leaf0;
        int n_own = pairtree_cover(n_leaves, begin, heads ? spec->head1 : spec->ffn_leaf1, own);
        CHECK(n_own == (heads ? grp->dec[r]->attn_nodes : grp->dec[r]->ffn_nodes), "nodes of rank %d", r);
        for (int i = 0; i < n_own; i++)
            value[n + i] = parts[r] + (size_t)i * len;
        int n_out = pairtree_merge(list, n, own, n_own, out, slot, joins, &n_joins);
        for (int j = 0; j < n_joins; j++)
            for (size_t i = 0; i < len; i++)
                value[joins[j].a][i] += value[joins[j].b][i];
        float *kept[PAIRTREE_MAX_NODES];
        for (int i = 0; i < n_out; i++)
            kept[i] = value[slot[i]];
        memcpy(value, kept, (size_t)n_out * sizeof *kept);
        memcpy(list, out, (size_t)n_out * sizeof *out);
        n = n_out;
    }
    if (n == 1 && value[0] != parts[0]) memmove(parts[0], value[0], len * sizeof(float));
    return n == 1;
}

static void run_layer(struct group *grp, int layer, const struct token_batch *b, float **a, float **f) {
    const struct model_shape *s = &grp->dec[0]->shape;
    size_t len = (size_t)b->n * (size_t)s->d_model;
    for (int r = 0; r < grp->n; r++)
        decoder_attention(grp->dec[r], layer, b, grp->h[r], a[r]);
    for (int r = 0; r < grp->n && s->parallel_block; r++)
        decoder_ffn(grp->dec[r], layer, b, grp->h[r], f[r]);
    CHECK(merge(grp, s->n_heads, 1, a, len), "attention sums leave no root");
    for (int r = 0; r < grp->n; r++)
        decoder_attention_add(grp->dec[r], layer, b->n, grp->h[r], a[0]);
    for (int r = 0; r < grp->n && !s->parallel_block; r++)
        decoder_ffn(grp->dec[r], layer, b, grp->h[r], f[r]);
    CHECK(merge(grp, order_axis_runs(s->d_ffn).n_leaves, 0, f, len), "FFN sums leave no root");
    for (int r = 0; r < grp->n; r++)
        decoder_ffn_add(grp->dec[r], layer, b->n, grp->h[r], f[0]);
}

static void store(const struct work *w, const struct token_batch *b, const float *rows, int col0, int cols) {
    for (int t = 0; t < b->n; t++)
        memcpy(result_at(w, w->got, b->seq[t], b->pos[t]) + col0, rows + (size_t)t * (size_t)cols,
               (size_t)cols * sizeof *rows);
}

/* One call through all stages. */
static void run_batch(struct group *stages, int n_stages, const struct token_batch *b, const struct work *w) {
    const struct model_shape *s = &stages[0].dec[0]->shape;
    size_t len = (size_t)b->n * (size_t)s->d_model;
    float *a[MAX_RANKS], *f[MAX_RANKS], *logits = malloc((size_t)b->n * (size_t)s->n_vocab * sizeof *logits);
    for (int r = 0; r < MAX_RANKS; r++) {
        a[r] = malloc(len * PAIRTREE_MAX_NODES * sizeof(float));
        f[r] = malloc(len * PAIRTREE_MAX_NODES * sizeof(float));
    }
    float *h = malloc(len * sizeof *h);
    decoder_embed(stages[0].dec[stages[0].n - 1], b, h);
    for (int st = 0; st < n_stages; st++) {
        struct group *grp = &stages[st];
        for (int r = 0; r < grp->n; r++)
            memcpy(grp->h[r], h, len * sizeof *h);
        for (int l = grp->dec[0]->spec.layer0; l < grp->dec[0]->spec.layer1; l++)
            run_layer(grp, l, b, a, f);
        memcpy(h, grp->h[grp->n - 1], len * sizeof *h);
    }
    if (!s->causal) store(w, b, h, 0, s->d_model);
    struct group *last = &stages[n_stages - 1];
    for (int r = 0; r < last->n && s->causal; r++) {
        const struct shard_spec *spec = &last->dec[r]->spec;
        decoder_out_norm(last->dec[r], b->n, last->h[r]);
        decoder_head(last->dec[r], b->n, last->h[r], logits);
        store(w, b, logits, spec->vocab0, spec->vocab1 - spec->vocab0);
    }
    for (int r = 0; r < MAX_RANKS; r++) {
        free(a[r]);
        free(f[r]);
    }
    free(h);
    free(logits);
}

/* All sequences side by side, `chunk` tokens of each at a time (0: all). */
static void run_all(struct group *stages, int n_stages, int chunk, const struct work *w) {
    int done[N_SEQS] = {0}, more = 1;
    while (more) {
        int id[N_SEQS * LONGEST], seq[N_SEQS * LONGEST], pos[N_SEQS * LONGEST];
        struct token_batch b = {0, id, seq, pos};
        for (int q = 0; q < N_SEQS; q++)
            for (int k = 0; (k < chunk || !chunk) && done[q] < w->length[q]; k++, b.n++) {
                id[b.n] = w->id[q][done[q]];
                seq[b.n] = q;
                pos[b.n] = done[q]++;
            }
        struct diag d = {0};
        CHECK(decoder_check_batch(stages[0].dec[0], &b, &d) == 0, "%s", d.text);
        more = b.n > 0;
        if (more) run_batch(stages, n_stages, &b, w);
    }
}

/* The reference: one rank, one thread, portable kernels, sequence after sequence in one call each. */
static void run_reference(const struct model_shape *s, const struct gguf *g, struct decoder_opts o,
                          const struct work *w) {
    o.threads = 1;
    CHECK(kernels_select("portable") == 0, "portable kernels");
    struct decoder *dec = tiny_whole(s, g, &o);
    for (int q = 0; q < N_SEQS && dec; q++) {
        int seq[LONGEST], pos[LONGEST];
        for (int t = 0; t < LONGEST; t++) {
            seq[t] = q;
            pos[t] = t;
        }
        struct token_batch b = {w->length[q], w->id[q], seq, pos};
        float *out = result_at(w, w->want, q, 0);
        decoder_forward(dec, &b, NULL, s->causal ? out : NULL, s->causal ? NULL : out);
    }
    decoder_close(dec);
    CHECK(kernels_select("auto") == 0, "fastest kernels");
}

static void compare(const struct work *w, const char *what) {
    int wrong = 0;
    float max = 0;
    for (int q = 0; q < N_SEQS; q++) {
        size_t n = (size_t)w->length[q] * (size_t)w->width;
        const float *a = result_at(w, w->want, q, 0), *b = result_at(w, w->got, q, 0);
        wrong += memcmp(a, b, n * sizeof *a) != 0;
        for (size_t i = 0; i < n; i++)
            max = fmaxf(max, fabsf(a[i]));
    }
    CHECK(!wrong, "%s", what);
    CHECK(max > 0 && isfinite(max), "%s: results up to %g", what, (double)max);
}

static void check_cuts(const struct model_shape *s, const struct gguf *g, struct decoder_opts o, int quick,
                       uint64_t seed) {
    struct work w = {.length = {37, 5, LONGEST}, .width = s->causal ? s->n_vocab : s->d_model};
    uint64_t rng = seed;
    size_t room = (size_t)N_SEQS * LONGEST * (size_t)w.width;
    w.want = calloc(room, sizeof *w.want);
    w.got = calloc(room, sizeof *w.got);
    for (int q = 0; q < N_SEQS; q++)
        for (int t = 0; t < LONGEST; t++)
            w.id[q][t] = tiny_random(&rng, s->n_vocab);
    o.n_seqs = N_SEQS;
    o.n_ctx = LONGEST;
    o.max_tokens = N_SEQS * LONGEST;
    run_reference(s, g, o, &w);
    static const int chunks[] = {0, 3, 1};
    for (int ranks = 1; ranks <= MAX_RANKS; ranks += quick ? 1 + tiny_random(&rng, 3) : 1) {
        struct group stages[2];
        int mode = ranks == 5 ? 2 : ranks % 2, chunk = s->causal ? chunks[ranks % 3] : 0,
            split = tiny_random(&rng, s->n_layers);
        int n_stages = split > 0 ? 2 : 1;
        o.threads = ranks == 3 ? 2 : 1;
        group_open(&stages[0], s, g, &o, ranks, 0, split ? split : s->n_layers, mode, &rng);
        if (split) group_open(&stages[1], s, g, &o, 1 + tiny_random(&rng, MAX_RANKS), split, s->n_layers, 1, &rng);
        memset(w.got, 0, room * sizeof *w.got);
        run_all(stages, n_stages, chunk, &w);
        char what[256];
        snprintf(what, sizeof what, "%s %s%s a%d/a%d kv %d silu %d, %d stages, %d ranks, chunk %d", s->name,
                 shape_type(s, ROLE_UP, 0)->name, g ? " file" : "", (int)o.linear_bits, (int)o.head_bits, (int)o.kv,
                 o.silu_bits, n_stages, ranks, chunk);
        compare(&w, what);
        for (int st = 0; st < n_stages; st++)
            group_close(&stages[st]);
    }
    free(w.want);
    free(w.got);
}

static void check_archs(void) {
    for (size_t i = 0; i < TINY_ARCHS; i++) {
        struct model_shape s;
        struct decoder_opts o = tiny_opts();
        tiny_shape(&s, &tiny_archs[i], "F16", NULL);
        check_cuts(&s, NULL, o, 0, i + 1);
        tiny_shape(&s, &tiny_archs[i], "Q4_0", NULL);
        o.linear_bits = o.head_bits = ACT_I8;
        check_cuts(&s, NULL, o, 1, i + 20);
        o.linear_bits = ACT_I4;
        o.silu_bits = 8;
        tiny_shape(&s, &tiny_archs[i], "I4", "I8");
        o.kv = s.has_vec & VEC_STEPS ? KV_I4 : KV_I8;
        check_cuts(&s, NULL, o, 1, i + 40);
    }
}

/* Shapes in which nothing divides: one head, one FFN column, a vocabulary smaller than the ranks, odd heads. */
static void check_random(void) {
    uint64_t rng = 2024;
    static const char *const types[] = {"F32", "F16", "BF16", "Q8_0", "Q5_0", "I4"};
#ifdef __SANITIZE_ADDRESS__
    const int shapes = 6; /* each storage type once */
#else
    const int shapes = 14;
#endif
    for (int i = 0; i < shapes; i++) {
        struct model_shape s;
        struct decoder_opts o = tiny_opts();
        int n_archs = 0, blocks = i % 6 >= 3, unit = blocks ? 32 : 1;
        while (archs[n_archs])
            n_archs++;
        struct tiny t = {.arch = archs[i % n_archs]->name,
                         .n_layers = 1 + tiny_random(&rng, 3),
                         .n_kv_heads = 1 + tiny_random(&rng, 4),
                         .head_dim = blocks ? 32 : 2 + 2 * tiny_random(&rng, 20),
                         .d_model = unit * (1 + tiny_random(&rng, blocks ? 3 : 90)),
                         .d_ffn = unit * (1 + tiny_random(&rng, blocks ? 20 : 300)),
                         .n_vocab = 1 + tiny_random(&rng, 60),
                         .all_vecs = i % 2,
                         .tied = i % 3 == 0,
                         .parallel = i % 2};
        t.n_heads = t.n_kv_heads * (1 + tiny_random(&rng, 4));
        t.rope_dim = t.head_dim > 4 && i % 2 ? t.head_dim / 4 * 2 : 0;
        tiny_shape(&s, &t, types[i % 6], NULL);
        o.linear_bits = i % 3 == 1 ? ACT_F32 : ACT_I8;
        o.kv = (enum kv_type)(i % 3);
        check_cuts(&s, NULL, o, 1, (uint64_t)i + 200);
    }
}

/* Superblocks of 256 cut by shards, heads of 64 that cut them too, in every storage type and mode. */
static void check_types(void) {
    static const struct tiny big = {.arch = "llama",
                                    .n_layers = 2,
                                    .d_model = 256,
                                    .n_heads = 4,
                                    .n_kv_heads = 2,
                                    .head_dim = 64,
                                    .d_ffn = 768,
                                    .n_vocab = 65};
    static const enum act_bits bits[] = {ACT_F32, ACT_I8, ACT_I4};
    static const enum kv_type kv[] = {KV_F16, KV_I8, KV_I4};
    for (int i = 0; tensor_types[i]; i++) {
        struct model_shape s;
        struct decoder_opts o = tiny_opts();
        tiny_shape(&s, &big, tensor_types[i]->name, NULL);
        o.linear_bits = bits[i % 3];
        o.head_bits = bits[(i + 1) % 3];
        o.kv = kv[(i / 3 + i) % 3];
        struct gguf *g = tiny_file(&s, o.seed);
        check_cuts(&s, g, o, 1, (uint64_t)i + 60);
        o.linear_bits = bits[(i + 1) % 3];
        int slow = tensor_types[i]->block > 32 && strcmp(tensor_types[i]->name, "Q4_K") != 0; /* to generate */
        check_cuts(&s, i % 2 || slow ? g : NULL, o, 1, (uint64_t)i + 80);
        gguf_close(g);
    }
}

/* The file with a static activation step for each of our own matrices, no two alike; that of the down product in layer
 * 1 has so many bits. */
static struct gguf *with_act_steps(const struct gguf *g, int bits) {
    char path[256], name[128];
    struct diag d = {0};
    struct gguf_writer *w;
    struct gguf *out = NULL;
    int64_t one = 1;
    CHECK(gguf_writer_open(&w, tiny_path(path, sizeof path, "steps"), &d) == 0, "%s", d.text);
    for (uint64_t i = 0; i < g->n_kv; i++)
        gguf_writer_copy(w, &g->kv[i]);
    gguf_writer_int(w, "northwall.act_bits.blk.1.ffn_down.weight", GGUF_U32, bits);
    for (int pass = 0; pass < 2; pass++)
        for (uint64_t i = 0; i < g->n_tensors; i++) {
            const struct gguf_tensor *t = &g->tensors[i];
            float step = 0.05f + 0.01f * (float)(i % 7);
            snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.data);
            if (strstr(name, "ffn_down")) step /= 256; /* its input is so small that else no code needs 8 bits */
            if (pass)
                gguf_writer_data(w, t->data, t->bytes, &d);
            else
                gguf_writer_tensor(w, name, t->n_dims, t->ne, t->type, t->bytes);
            if (t->type != 24) continue;
            strcat(name, ".act_step");
            if (pass)
                gguf_writer_data(w, &step, sizeof step, &d);
            else
                gguf_writer_tensor(w, name, 1, &one, 0, sizeof step);
        }
    CHECK(gguf_writer_close(w, 1, &d) == 0, "%s", d.text);
    CHECK(gguf_open(&out, path, &d) == 0, "%s", d.text);
    unlink(path);
    return out;
}

static void first_logits(const struct model_shape *s, const struct gguf *g, const struct decoder_opts *o,
                         float logits[65]) {
    static const int id[] = {7}, zero[] = {0};
    struct token_batch b = {1, id, zero, zero};
    struct decoder *dec = tiny_whole(s, g, o);
    if (dec) decoder_forward(dec, &b, NULL, logits, NULL);
    decoder_close(dec);
}

/* Bits of one matrix's activations change what a mode of fewer computes, and no other; others than 4 and 8 are refused.
 */
static void check_act_bits(const struct model_shape *s, const struct gguf *plain, const struct gguf *eight,
                           const struct decoder_opts *o) {
    float of8[65] = {0}, of4[65] = {0};
    struct model_shape r;
    struct diag d = {0};
    struct gguf *four = with_act_steps(plain, 4), *five = with_act_steps(plain, 5);
    first_logits(s, eight, o, of8);
    first_logits(s, four, o, of4);
    CHECK((memcmp(of8, of4, sizeof of8) == 0) == (o->linear_bits == ACT_I8), "%s: bits of a step", s->name);
    CHECK(shape_read(&r, five, &d) == ERR_UNSUPPORTED && strstr(d.text, "act_bits.blk.1.ffn_down.weight is 5"), "%s",
          d.text);
    gguf_close(four);
    gguf_close(five);
}

/* Learned steps: q, k and v each round the same input in their own way, and leaves are whole integer sums. */
static void check_static_steps(void) {
    static const struct tiny shape[] = {
        {.arch = "llama", 2, 64, 6, 2, 16, 608, 65},
        {.arch = "gptneox", 2, 64, 4, 4, 24, 128, 65, .parallel = 1},
    };
    for (int i = 0; i < 2; i++) {
        struct model_shape s, r;
        struct diag d = {0};
        struct decoder_opts o = tiny_opts();
        tiny_shape(&s, &shape[i], "I4", "I8");
        struct gguf *plain = tiny_file(&s, 9), *g = plain ? with_act_steps(plain, 8) : NULL;
        CHECK(g && shape_read(&r, g, &d) == 0 && memcmp(&s, &r, sizeof s) == 0, "%s", d.text);
        o.linear_bits = i ? ACT_I8 : ACT_I4;
        o.head_bits = ACT_I8;
        o.silu_bits = 8;
        o.kv = KV_I8;
        check_cuts(&s, g, o, 0, (uint64_t)i + 100);

        float with[65], without[65];
        first_logits(&s, g, &o, with);
        first_logits(&s, plain, &o, without);
        CHECK(memcmp(with, without, sizeof with) != 0, "%s: static steps are not used", s.name);
        check_act_bits(&s, plain, g, &o);
        gguf_close(g);
        gguf_close(plain);
    }
}

enum { STEP_TOKENS = 8 };

/* Logits of a copy of the file with the first value of one tensor changed; 0 or an error. */
static int changed_logits(const struct gguf *g, const char *tensor, float value, const struct decoder_opts *o,
                          float logits[STEP_TOKENS * 83], struct diag *d) {
    static const int id[STEP_TOKENS] = {7, 9, 80, 41, 3, 22, 64, 15}, seq[STEP_TOKENS],
                     pos[STEP_TOKENS] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct token_batch b = {STEP_TOKENS, id, seq, pos};
    struct gguf *copy = NULL;
    struct model_shape s;
    struct shard_spec spec;
    struct decoder *dec = NULL;
    const struct gguf_tensor *t = gguf_tensor_find(g, tensor);
    uint8_t *bytes = malloc(g->file_bytes);
    memcpy(bytes, g->map, g->file_bytes);
    memcpy(bytes + (t->data - g->map), &value, sizeof value);
    int rc = gguf_open_memory(&copy, bytes, g->file_bytes, "changed", d);
    if (!rc) rc = shape_read(&s, copy, d);
    if (!rc) shard_whole(&s, &spec);
    if (!rc) rc = decoder_open(&dec, &s, copy, &spec, o, d);
    if (!rc) decoder_forward(dec, &b, NULL, logits, NULL);
    decoder_close(dec);
    gguf_close(copy);
    free(bytes);
    return rc;
}

/* A file that has some of the steps lacks the others. */
static void check_lacks(const struct gguf *g, const char *tensor) {
    struct gguf *copy = NULL;
    struct model_shape s;
    struct diag d = {0};
    uint8_t *bytes = malloc(g->file_bytes);
    memcpy(bytes, g->map, g->file_bytes);
    const struct gguf_str *name = &gguf_tensor_find(g, tensor)->name;
    bytes[(const uint8_t *)name->data - g->map + (ptrdiff_t)name->len - 1] = 'q';
    CHECK(!gguf_open_memory(&copy, bytes, g->file_bytes, "lacking", &d), "%s", d.text);
    CHECK(copy && shape_read(&s, copy, &d) == ERR_FORMAT && strstr(d.text, tensor), "%s", d.text);
    gguf_close(copy);
    free(bytes);
}

/* Static steps of heads and SiLU: each is used in mode a4 on an int4 cache, and one that is bad or missing is named. */
static void check_head_steps(void) {
    static const char *const names[] = {"blk.1.attn_query.step", "blk.1.attn_key.step", "blk.1.attn_value.step",
                                        "blk.1.attn_weight.step", "blk.1.ffn_silu.step"};
    static const float bad[] = {0, -1, NAN, INFINITY};
    struct model_shape s;
    struct decoder_opts o = tiny_opts();
    o.linear_bits = ACT_I4, o.head_bits = ACT_I8, o.silu_bits = 8;
    tiny_shape(&s, &tiny_archs[0], "I4", "I8");
    struct gguf *g = tiny_file(&s, 9);
    for (int i = 0; g && i < 5; i++)
        check_lacks(g, names[i]);
    for (int i = 0; g && i < 5; i++)
        for (int kv = KV_I8; kv <= KV_I4; kv++) {
            static float one[STEP_TOKENS * 83], other[STEP_TOKENS * 83];
            struct diag d = {0};
            o.kv = (enum kv_type)kv;
            int rc = changed_logits(g, names[i], 0.05f, &o, one, &d);
            if (!rc) rc = changed_logits(g, names[i], 0.5f, &o, other, &d);
            CHECK(!rc && !memcmp(one, other, sizeof one) == (kv == KV_I8 && i < 4), "%s, cache %d: %s", names[i], kv,
                  d.text);
            for (int b = 0; b < 4; b++)
                CHECK(changed_logits(g, names[i], bad[b], &o, one, &d) == ERR_FORMAT && strstr(d.text, names[i]),
                      "%g: %s", (double)bad[b], d.text);
            CHECK((changed_logits(g, names[i], 1.5f, &o, one, &d) == ERR_FORMAT) == (i == 3), "%s: %s", names[i],
                  d.text);
        }
    gguf_close(g);
}

/* The definition itself: hashes of logits that no compiler, machine or later version may change. */
static void check_pinned(void) {
    static const struct {
        int tiny;
        const char *quant, *head;
        enum act_bits linear, last;
        int silu;
        enum kv_type kv;
        uint64_t hash;
    } pins[] = {
        {0, "F16", NULL, ACT_F32, ACT_F32, 0, KV_F16, 0xa13022128e1e40e2},
        {1, "Q4_0", NULL, ACT_I8, ACT_I8, 0, KV_I8, 0x190d2aad94142975},
        {2, "Q8_0", "F16", ACT_I8, ACT_F32, 0, KV_F16, 0xad43bc4fe119bbfa},
        {3, "I4", "I8", ACT_I4, ACT_I8, 8, KV_I4, 0x1ec1b094f0b23fe5},
        {4, "Q5_1", NULL, ACT_I8, ACT_I8, 0, KV_F16, 0x11cecd5929e15c95},
        {5, "Q4_1", NULL, ACT_F32, ACT_F32, 0, KV_I8, 0x1a28355076dcd136},
    };
    for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
        struct model_shape s;
        struct decoder_opts o = tiny_opts();
        int id[LONGEST], seq[LONGEST] = {0}, pos[LONGEST];
        tiny_shape(&s, &tiny_archs[pins[i].tiny], pins[i].quant, pins[i].head);
        o.linear_bits = pins[i].linear;
        o.head_bits = pins[i].last;
        o.silu_bits = pins[i].silu;
        o.kv = pins[i].kv;
        for (int t = 0; t < LONGEST; t++) {
            id[t] = t * 11 % s.n_vocab;
            pos[t] = t;
        }
        struct token_batch b = {LONGEST, id, seq, pos};
        struct decoder *dec = tiny_whole(&s, NULL, &o);
        size_t n = (size_t)LONGEST * (size_t)s.n_vocab;
        float *logits = malloc(n * sizeof *logits);
        if (dec) decoder_forward(dec, &b, NULL, logits, NULL);
        uint64_t hash = dec ? hash_floats(logits, n, 0) : 0;
        CHECK(hash == pins[i].hash, "%s %s: 0x%016llx", s.name, pins[i].quant, (unsigned long long)hash);
        decoder_close(dec);
        free(logits);
    }
}

/* ---- the sync after attention left out ---- */

enum { OWN_TOKENS = 5 };

/* sum[len] += all `nodes` parts. */
static void add_parts(double *sum, const float *parts, int nodes, size_t len) {
    for (size_t i = 0; i < (size_t)nodes * len; i++)
        sum[i % len] += (double)parts[i];
}

static void check_near(const float *got, const double *want, size_t n, const char *what) {
    double most = 0, off = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs(want[i]));
        off = fmax(off, fabs((double)got[i] - want[i]));
    }
    CHECK(most > 0 && off < 1e-5 * most, "%s: off by %g of %g", what, off, most);
}

/* One layer: each rank's FFN reads h and its own heads' sum with the bias; then all have h and both whole sums, each
 * bias once. What a bias adds to the stream is what a sum of zeros adds. */
static void check_own(struct group *grp, const struct model_shape *s) {
    static const int id[OWN_TOKENS] = {3, 1, 4, 1, 5}, seq[OWN_TOKENS], pos[OWN_TOKENS] = {0, 1, 2, 3, 4};
    struct token_batch b = {OWN_TOKENS, id, seq, pos};
    size_t len = OWN_TOKENS * (size_t)s->d_model;
    float *f[MAX_RANKS], *a = malloc(len * PAIRTREE_MAX_NODES * sizeof *a), *h = calloc(4 * len, sizeof *h);
    float *own = h + len, *bias = own + len, *zeros = bias + len;
    double *want = calloc(2 * len, sizeof *want), *mine = want + len, scale = (double)s->residual_scale;
    decoder_embed(grp->dec[grp->n - 1], &b, h);
    decoder_attention_add(grp->dec[0], 0, b.n, bias, zeros);
    for (int r = 0; r < grp->n; r++) {
        struct decoder *dec = grp->dec[r];
        f[r] = malloc(len * PAIRTREE_MAX_NODES * sizeof **f);
        decoder_attention(dec, 0, &b, h, a);
        memset(mine, 0, len * sizeof *mine);
        add_parts(mine, a, dec->attn_nodes, len);
        for (size_t i = 0; i < len; i++) {
            want[i] += scale * mine[i];
            mine[i] = (double)h[i] + scale * mine[i] + (double)bias[i];
        }
        decoder_own_add(dec, 0, b.n, h, a, own);
        check_near(own, mine, len, s->name);
        decoder_ffn(dec, 0, &b, own, f[r]);
        memset(mine, 0, len * sizeof *mine);
        add_parts(mine, f[r], dec->ffn_nodes, len);
        for (size_t i = 0; i < len; i++)
            want[i] += scale * mine[i];
        decoder_own_carry(dec, b.n, a, f[r]);
    }
    decoder_ffn_add(grp->dec[0], 0, b.n, bias, zeros);
    for (size_t i = 0; i < len; i++)
        want[i] += (double)h[i] + (double)bias[i];
    CHECK(merge(grp, order_axis_runs(s->d_ffn).n_leaves, 0, f, len), "%s: sums leave no root", s->name);
    decoder_ffn_add(grp->dec[0], 0, b.n, h, f[0]);
    check_near(h, want, len, s->name);
    for (int r = 0; r < grp->n; r++)
        free(f[r]);
    free(a);
    free(h);
    free(want);
}

static void check_owns(void) {
    uint64_t rng = 77;
    for (size_t i = 0; i < TINY_ARCHS; i++)
        for (int ranks = 1; ranks <= 4; ranks++) {
            struct model_shape s;
            struct decoder_opts o = tiny_opts();
            struct group grp;
            tiny_shape(&s, &tiny_archs[i], "F16", NULL);
            if (s.post_norm || s.parallel_block || ranks > order_axis_runs(s.d_ffn).n_leaves) continue;
            o.n_seqs = 1;
            o.n_ctx = o.max_tokens = OWN_TOKENS;
            group_open(&grp, &s, NULL, &o, ranks, 0, s.n_layers, 0, &rng);
            check_own(&grp, &s);
            group_close(&grp);
        }
}

/* The file is cut, or its disk fails, after it was opened: here it becomes an empty one. */
static void check_file_gone(void) {
    struct model_shape s;
    struct decoder_opts o = tiny_opts();
    struct shard_spec spec;
    struct decoder *dec = NULL;
    struct diag d = {0};
    tiny_shape(&s, &tiny_archs[0], "Q4_0", NULL);
    struct gguf *g = tiny_file(&s, 9);
    int fd = open("/dev/null", O_RDONLY);
    CHECK(g && fd >= 0 && dup2(fd, g->fd) == g->fd, "no file to take away");
    close(fd);
    shard_whole(&s, &spec);
    for (o.threads = 1; o.threads <= 3; o.threads++) {
        int rc = decoder_open(&dec, &s, g, &spec, &o, &d);
        CHECK(rc == ERR_IO && !dec, "%s", err_text(rc));
        CHECK(strstr(d.text, g->path) && strstr(d.text, "cannot be read to its end"), "%s", d.text);
    }
    gguf_close(g);
}

int main(void) {
    check_file_gone();
    check_owns();
    check_pinned();
    check_archs();
    check_random();
    check_static_steps();
    check_head_steps();
    check_types();
    return check_report("test_shards");
}
