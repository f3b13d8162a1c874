/* Synthetic weights are the same numbers in place and in a file, quantized now or later; a shard holds the bytes that
 * the plan computed; one flipped bit shows. */
#include <malloc.h>

#include "tiny.h"

static const struct tiny big = {.arch = "llama",
                                .n_layers = 1,
                                .d_model = 256,
                                .n_heads = 4,
                                .n_kv_heads = 2,
                                .head_dim = 64,
                                .d_ffn = 512,
                                .n_vocab = 65};

enum { N = 6, ROOM = N * 128 };

/* Logits or hidden states of a few tokens; their number. */
static int run(struct decoder *dec, float out[ROOM]) {
    static const int id[N] = {3, 14, 15, 9, 26, 5}, seq[N] = {0}, pos[N] = {0, 1, 2, 3, 4, 5};
    struct token_batch b = {N, id, seq, pos};
    int causal = dec->shape.causal;
    decoder_forward(dec, &b, NULL, causal ? out : NULL, causal ? NULL : out);
    return N * (causal ? dec->shape.n_vocab : dec->shape.d_model);
}

static void check_in_place(const struct model_shape *s, struct decoder_opts o) {
    float a[ROOM], b[ROOM];
    struct gguf *g = tiny_file(s, o.seed);
    struct decoder *here = tiny_whole(s, NULL, &o), *file = g ? tiny_whole(s, g, &o) : NULL;
    if (here && file) {
        int n = run(here, a);
        run(file, b);
        CHECK(memcmp(a, b, (size_t)n * sizeof *a) == 0, "%s %s: file and in place differ", s->name,
              shape_type(s, ROLE_UP, 0)->name);
        o.seed++;
        decoder_close(here);
        here = tiny_whole(s, NULL, &o);
        run(here, b);
        CHECK(memcmp(a, b, (size_t)n * sizeof *a) != 0, "%s: the seed does nothing", s->name);
    }
    decoder_close(here);
    decoder_close(file);
    gguf_close(g);
}

/* The same tensors, in any order, with the same types and bytes. */
static int same_tensors(const struct gguf *a, const struct gguf *b) {
    if (a->n_tensors != b->n_tensors) return 0;
    for (uint64_t i = 0; i < a->n_tensors; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)a->tensors[i].name.len, a->tensors[i].name.data);
        const struct gguf_tensor *t = gguf_tensor_find(b, name), *u = &a->tensors[i];
        if (!t || t->type != u->type || t->bytes != u->bytes || memcmp(t->data, u->data, t->bytes) != 0) return 0;
    }
    return 1;
}

static struct gguf *quantized(const struct gguf *g, const char *type, const char *head) {
    char path[256];
    struct diag d = {0};
    struct gguf *out = NULL;
    struct quantize_opts o = {.type = type, .head_type = head, .threads = 2};
    CHECK(model_quantize(g, &o, tiny_path(path, sizeof path, "quantized"), &d) == 0, "%s", d.text);
    CHECK(gguf_open(&out, path, &d) == 0, "%s", d.text);
    unlink(path);
    return out;
}

/* Quantizing a file of floats gives what generating in that type gives, and reads back as that shape. */
static void check_quantize(const struct tiny *t, const char *type, const char *head) {
    struct model_shape s, q, r;
    struct diag d = {0};
    tiny_shape(&s, t, "F32", NULL);
    tiny_shape(&q, t, type, head);
    struct gguf *plain = tiny_file(&s, 5), *wanted = tiny_file(&q, 5),
                *got = plain ? quantized(plain, type, head) : NULL;
    if (got && wanted) {
        int tables = s.n_positions || s.n_types; /* those stay at F32 here, at F16 in a preset */
        CHECK(tables || same_tensors(wanted, got), "%s to %s: other bytes", t->arch, type);
        CHECK(shape_read(&r, got, &d) == 0, "%s", d.text);
        CHECK(tables || memcmp(&q, &r, sizeof q) == 0, "%s to %s: another shape", t->arch, type);
        struct gguf *again = quantized(got, type, head);
        int lossless = strcmp(type, "F16") == 0 || strcmp(type, "BF16") == 0 || strcmp(type, "F32") == 0;
        if (again && lossless) CHECK(same_tensors(got, again), "%s: %s twice differs", t->arch, type);
        gguf_close(again);
    }
    gguf_close(plain);
    gguf_close(wanted);
    gguf_close(got);
}

static int stop(void *arg, size_t done, size_t all) {
    (void)done, (void)all;
    return ++*(int *)arg >= 3;
}

static void check_stops(void) {
    struct model_shape s;
    struct shard_spec spec;
    struct decoder_opts o = tiny_opts();
    struct decoder *dec;
    struct diag d = {0};
    char path[256];
    int calls = 0;
    tiny_shape(&s, &tiny_archs[0], "Q8_0", NULL);
    shard_whole(&s, &spec);
    o.progress = stop;
    o.progress_arg = &calls;
    CHECK(decoder_open(&dec, &s, NULL, &spec, &o, &d) == ERR_INTERRUPTED && !dec && calls == 3, "%s after %d", d.text,
          calls);
    d = (struct diag){0};
    calls = 0;
    tiny_path(path, sizeof path, "stopped");
    CHECK(model_synth(&s, 1, path, 1, stop, &calls, &d) == ERR_INTERRUPTED, "%s", d.text);
    CHECK(access(path, F_OK) != 0, "an interrupted file was left");
    d = (struct diag){0};
    CHECK(model_synth(&s, 1, "/no/such/folder/m.gguf", 1, NULL, NULL, &d) == ERR_IO && strstr(d.text, "/no/such"), "%s",
          d.text);
}

/* Numbers that may never change: uniform, of the stated deviation, by position alone. */
static void check_numbers(void) {
    float row[1024], part[1024];
    double sum = 0, squares = 0;
    for (int r = 0; r < 64; r++) {
        synth_row(row, 42, "blk.0.ffn_up.weight", r, 1024, 0, 1024);
        synth_row(part, 42, "blk.0.ffn_up.weight", r, 1024, 100 + r, 700);
        CHECK(memcmp(row + 100 + r, part, (size_t)(600 - r) * sizeof *row) == 0, "row %d depends on the piece", r);
        for (int c = 0; c < 1024; c++) {
            sum += (double)row[c];
            squares += (double)row[c] * (double)row[c];
        }
    }
    CHECK(fabs(squares / 64 - 1) < 0.01 && fabs(sum / 65536) < 4 / sqrt(1024 * 65536.0), "mean %g, squares %g", sum,
          squares / 64);
    synth_row(row, 1, "output.weight", 0, 3, 0, 3); /* in [-1, 1) * sqrt(3/cols) */
    static const float pinned[3] = {-0x1.93717cp-1f, -0x1.86942p-2f, 0x1.e1e338p-2f};
    CHECK(memcmp(row, pinned, sizeof pinned) == 0, "numbers changed: %a %a %a", (double)row[0], (double)row[1],
          (double)row[2]);
}

#ifndef __SANITIZE_ADDRESS__
/* Bytes that are computed for embeddings, of which synthetic ones are nowhere. */
static size_t table_bytes(const struct model_shape *s, const struct shard_spec *spec) {
    return shard_part_bytes(s, spec, ROLE_EMBED, 0) + shard_part_bytes(s, spec, ROLE_POS_EMBED, 0) +
           shard_part_bytes(s, spec, ROLE_TYPE_EMBED, 0);
}
#endif

/* The bytes of a shard are those computed; when all is synthetic the rest are also those allocated. */
static void check_bytes(const struct tiny *t, const char *type, struct shard_spec spec) {
    struct model_shape s;
    struct decoder_opts o = tiny_opts();
    struct decoder *dec;
    struct diag d = {0};
    tiny_shape(&s, t, type, "F16");
    o.linear_bits = ACT_I8;
    o.n_seqs = 3;
    struct shard_bytes bytes;
    shard_bytes(&s, &spec, &o, &bytes);
#ifndef __SANITIZE_ADDRESS__
    struct mallinfo2 before = mallinfo2();
#endif
    CHECK(decoder_open(&dec, &s, NULL, &spec, &o, &d) == 0, "%s", d.text);
    if (!dec) return;
    CHECK(dec->weight_bytes == bytes.weights && dec->kv_bytes == bytes.kv && dec->work_bytes == bytes.work, "%s bytes",
          s.name);
#ifndef __SANITIZE_ADDRESS__
    struct mallinfo2 after = mallinfo2();
    size_t held = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd,
           all = bytes.weights + bytes.kv + bytes.work - table_bytes(&s, &spec);
    size_t slack = sizeof *dec + (16 << 10); /* the struct itself, page rounding of large blocks */
    CHECK(held >= all && held <= all + slack, "%s %s: %zu bytes allocated, %zu computed", s.name, type, held, all);
#endif
    decoder_close(dec);
}

static void check_all_bytes(void) {
    static const struct shard_spec odd[] = {
        {.layer0 = 1, .layer1 = 2, .head0 = 1, .head1 = 4, .ffn_leaf0 = 2, .ffn_leaf1 = 3},
        {.layer1 = 2, .head0 = 3, .head1 = 3, .ffn_leaf1 = 1, .embed = 1},
        {.vocab0 = 10, .vocab1 = 33, .final_norm = 1},
        {.embed = 1},
        {.layer0 = 1, .layer1 = 1},
    };
    for (size_t i = 0; i < TINY_ARCHS; i++) {
        struct model_shape s;
        struct shard_spec whole;
        tiny_shape(&s, &tiny_archs[i], "Q8_0", NULL);
        shard_whole(&s, &whole);
        check_bytes(&tiny_archs[i], "Q8_0", whole);
        check_bytes(&tiny_archs[i], "I4", whole);
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
            if (s.causal || !odd[k].vocab1) check_bytes(&tiny_archs[i], k % 2 ? "I8" : "Q4_1", odd[k]);
    }
    /* by hand: 1 layer, K, V 128 x 256 and so on, Q4_0: 18 bytes for 32 */
    struct model_shape s;
    struct shard_spec half = {.layer1 = 1, .head0 = 0, .head1 = 2, .ffn_leaf0 = 0, .ffn_leaf1 = 8};
    struct shard_bytes bytes;
    struct decoder_opts o = tiny_opts();
    tiny_shape(&s, &big, "Q4_0", NULL);
    shard_bytes(&s, &half, &o, &bytes);
    size_t weights = (128 + 2 * 64 + 2 * 256) * 256 + 256 * 128 + 256 * 256; /* q, k and v, gate and up; o; down */
    CHECK(bytes.weights == weights / 32 * 18 + 2 * 256 * 4, "half of a layer: %zu", bytes.weights);
    CHECK(bytes.kv == 1 * 64 * 64 * 2 * 2, "cache: %zu", bytes.kv);
}

static void check_flip(const struct model_shape *s, const struct gguf *g) {
    float clean[ROOM], flipped[ROOM], back[ROOM];
    struct decoder_opts o = tiny_opts();
    struct decoder *dec = tiny_whole(s, g, &o);
    for (uint64_t which = 0; which < (g ? 1 : 12) && dec; which++) {
        int n = run(dec, clean);
        CHECK(decoder_flip_weight(dec, which) == 0, "%s", s->name);
        run(dec, flipped);
        CHECK(memcmp(clean, flipped, (size_t)n * sizeof *clean) != 0, "%s %s: flip %d changes nothing", s->name,
              shape_type(s, ROLE_UP, 0)->name, (int)which);
        for (int i = 0; i < n; i++)
            if (!isfinite(flipped[i])) CHECK(0, "%s: flip gives %g", s->name, (double)flipped[i]);
        CHECK(decoder_flip_weight(dec, which) == 0, "%s", s->name);
        run(dec, back);
        CHECK(memcmp(clean, back, (size_t)n * sizeof *clean) == 0, "%s: flipping twice does not restore", s->name);
    }
    decoder_close(dec);
}

static void check_refusals(void) {
    struct model_shape s;
    struct shard_spec whole, spec;
    struct decoder *dec;
    tiny_shape(&s, &tiny_archs[0], "F16", NULL);
    shard_whole(&s, &whole);
    for (int i = 0; i < 8; i++) {
        struct decoder_opts o = tiny_opts();
        struct diag d = {0};
        spec = whole;
        if (i == 0) spec.head1 = s.n_heads + 1;
        if (i == 1) spec.ffn_leaf1 = 17;
        if (i == 2) spec.vocab0 = -1;
        if (i == 3) o.linear_bits = (enum act_bits)5;
        if (i == 4) o.silu_bits = 4;
        if (i == 5) o.max_tokens = 0;
        if (i == 6) o.kv = (enum kv_type)9;
        if (i == 7) s.n_kv_heads = 3;
        int rc = decoder_open(&dec, &s, NULL, &spec, &o, &d);
        CHECK(rc == (i == 7 ? ERR_UNSUPPORTED : ERR_RANGE) && !dec && d.text[0], "case %d: %s", i, d.text);
    }
}

static void check_batches(void) {
    struct model_shape s;
    struct decoder_opts o = tiny_opts();
    o.n_seqs = 2;
    o.max_tokens = 4;
    tiny_shape(&s, &tiny_archs[0], "F16", NULL);
    struct decoder *dec = tiny_whole(&s, NULL, &o);
    static const struct {
        int n, id[5], seq[5], pos[5], ok;
    } cases[] = {
        {4, {1, 2, 3, 4}, {0, 1, 0, 1}, {5, 0, 6, 1}, 1},
        {5, {0}, {0}, {0, 1, 2, 3, 4}, 0},
        {1, {83}, {0}, {0}, 0},
        {1, {-1}, {0}, {0}, 0},
        {1, {1}, {2}, {0}, 0},
        {1, {1}, {0}, {64}, 0},
        {2, {1, 1}, {0, 0}, {3, 5}, 0},
        {2, {1, 1}, {0, 0}, {3, 3}, 0},
        {0, {0}, {0}, {0}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases && dec; i++) {
        struct token_batch b = {cases[i].n, cases[i].id, cases[i].seq, cases[i].pos};
        struct diag d = {0};
        int rc = decoder_check_batch(dec, &b, &d);
        CHECK((rc == 0) == cases[i].ok && (rc == 0 || rc == ERR_RANGE), "case %zu: %s", i, d.text);
    }
    decoder_close(dec);
}

int main(void) {
    for (size_t i = 0; i < TINY_ARCHS; i++) {
        struct model_shape s;
        struct decoder_opts o = tiny_opts();
        tiny_shape(&s, &tiny_archs[i], "Q5_1", "Q8_0");
        check_in_place(&s, o);
        check_flip(&s, NULL);
        tiny_shape(&s, &tiny_archs[i], "I4", "I8");
        o.linear_bits = ACT_I8;
        check_in_place(&s, o);
        check_quantize(&tiny_archs[i], "Q8_0", NULL);
        check_quantize(&tiny_archs[i], "I4", "F16");
        check_quantize(&tiny_archs[i], "F16", NULL);
    }
    for (int i = 0; tensor_types[i]; i++) {
        struct model_shape s;
        tiny_shape(&s, &big, tensor_types[i]->name, NULL);
        check_in_place(&s, tiny_opts());
        check_quantize(&big, tensor_types[i]->name, NULL);
        check_flip(&s, NULL);
        struct gguf *g = tiny_file(&s, 7);
        check_flip(&s, g);
        gguf_close(g);
    }
    check_stops();
    check_numbers();
    check_all_bytes();
    check_refusals();
    check_batches();
    return check_report("test_synth");
}
