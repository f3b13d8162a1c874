/* Step costs against numbers worked out by hand: bytes as stored, operations by precision, rows of the cache. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "check.h"
#include "random_shape.h"

/* 2 layers of 64/96, 4 heads of 16 over 2 KV heads, 100 words. */
static void small(struct model_shape *s, const char *arch, const char *type) {
    shape_init(s, arch_find(arch));
    snprintf(s->name, sizeof s->name, "small");
    s->n_layers = 2;
    s->d_model = 64;
    s->n_heads = 4;
    s->n_kv_heads = 2;
    s->head_dim = 16;
    s->d_ffn = 96;
    s->n_vocab = 100;
    s->n_ctx = 128;
    s->rope_dim = s->pos == POS_LEARNED ? 0 : 16;
    s->n_positions = s->pos == POS_LEARNED ? 128 : 0;
    s->attn_scale = 0.25f;
    shape_set_types(s, tensor_type_find(type), NULL);
}

static struct plan *make_of(const struct model_shape *s, const char *strategy, const struct decoder_opts *decoder) {
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct plan_opts o = {.decoder = *decoder, .top_candidates = 1};
    o.decoder.n_seqs = o.decoder.threads = 1;
    o.decoder.n_ctx = 128;
    o.decoder.max_tokens = 4;
    CHECK(!strategy_parse(&st, strategy, &d) && !plan_make(&p, s, &st, strategy_ranks(&st), &o, &d), "%s: %s", strategy,
          d.text);
    return p;
}

static struct plan *make(const struct model_shape *s, const char *strategy, enum act_bits bits, enum act_bits head,
                         enum kv_type kv) {
    return make_of(s, strategy, &(struct decoder_opts){.linear_bits = bits, .head_bits = head, .kv = kv});
}

struct expected {
    enum step_kind kind;
    struct step_cost cost;
};

static void check_cost(enum step_kind kind, const struct step_cost *got, const struct step_cost *want) {
#define SAME(field)                                                                                                    \
    CHECK(got->field == want->field, "%s: " #field " is %lld, not %lld", step_name(kind), (long long)got->field,       \
          (long long)want->field)
    SAME(weight_bytes);
    SAME(row_bytes_per_tok);
    SAME(kv_bytes_per_tok);
    SAME(kv_bytes_per_ctx);
    for (int k = 0; k < PREC_COUNT; k++) {
        SAME(ops_per_tok[k]);
        SAME(ops_per_ctx[k]);
    }
    SAME(messages);
    SAME(sent_bytes);
    SAME(sent_bytes_per_tok);
    SAME(extra_bytes_per_tok);
#undef SAME
}

static void check_block(const struct plan_block *b, const struct expected *want, int n) {
    CHECK(b->n == n, "%d steps, not %d", b->n, n);
    for (int i = 0; i < n && i < b->n; i++) {
        CHECK(b->step[i].kind == want[i].kind, "step %d is %s", i, step_name(b->step[i].kind));
        check_cost(want[i].kind, &b->step[i].cost, &want[i].cost);
    }
}
#define LEN(a) ((int)(sizeof(a) / sizeof *(a)))

/* Q8_0: 34 bytes for 32 weights, so a row of 64 is 68 bytes and one of 96 is 102. */
static void test_one_rank(void) {
    static const struct expected layer[] = {
        {STEP_ATTN_NORM, {.weight_bytes = 256, .ops_per_tok = {256}}},
        {STEP_QKV, {.weight_bytes = (64 + 32 + 32) * 68, .ops_per_tok = {0, 2 * 128 * 64}}},
        {STEP_ROPE, {.kv_bytes_per_tok = 2 * 2 * 16 * 2, .ops_per_tok = {3 * 6 * 16}}},
        {STEP_ATTENTION, {.kv_bytes_per_ctx = 128, .ops_per_ctx = {2 * 2 * 64 + 4 * 4}}},
        {STEP_ATTN_OUT, {.weight_bytes = 64 * 68, .ops_per_tok = {0, 2 * 64 * 64}}},
        {STEP_ATTN_ADD, {.ops_per_tok = {64}}},
        {STEP_FFN_NORM, {.weight_bytes = 256, .ops_per_tok = {256}}},
        {STEP_FFN_UP, {.weight_bytes = 2 * 96 * 68, .ops_per_tok = {0, 2 * 2 * 96 * 64}}},
        {STEP_FFN_ACT, {.ops_per_tok = {96 * 5}}},
        {STEP_FFN_DOWN, {.weight_bytes = 64 * 102, .ops_per_tok = {0, 2 * 64 * 96}}},
        {STEP_FFN_ADD, {.ops_per_tok = {64}}},
    };
    static const struct expected first[] = {{STEP_EMBED, {.row_bytes_per_tok = 68}}};
    static const struct expected last[] = {
        {STEP_OUT_NORM, {.weight_bytes = 256, .ops_per_tok = {256}}},
        {STEP_HEAD, {.weight_bytes = 100 * 68, .ops_per_tok = {0, 2 * 100 * 64}}},
        {STEP_SAMPLE, {.ops_per_tok = {100}}},
    };
    struct model_shape s;
    small(&s, "llama", "Q8_0");
    struct plan *p = make(&s, "1", ACT_I8, ACT_I8, KV_F16);
    check_block(p->ranks[0].prologue, first, LEN(first));
    check_block(p->ranks[0].layers[0], layer, LEN(layer));
    check_block(p->ranks[0].epilogue, last, LEN(last));
    CHECK(p->ranks[0].layers[0] == p->ranks[0].layers[1], "equal layers are stored once");
    struct plan_pass pass = {.tokens = 3, .sampled = 1, .ctx_sum = 6}; /* three tokens of a prompt: 1 + 2 + 3 */
    struct plan_totals t;
    plan_totals(p, 0, &pass, &t);
    CHECK(t.weight_bytes == 2 * (512 + 8704 + 4352 + 13056 + 6528) + 3 * 68 + 256 + 6800, "%.0f bytes", t.weight_bytes);
    CHECK(t.kv_bytes == 2 * (3 * 128 + 6 * 128), "%.0f bytes of cache", t.kv_bytes);
    CHECK(t.ops[PREC_I8] == 3 * 2 * (16384 + 8192 + 24576 + 12288) + 12800, "%.0f operations", t.ops[PREC_I8]);
    CHECK(t.messages == 0 && t.sent_bytes == 0, "one rank sends");
    plan_free(p);
}

/* Half of everything, and one message of a vector each way; the output stage sends its offer and rank 0 the token. */
static void test_tp2_pp2(void) {
    struct model_shape s;
    small(&s, "llama", "Q8_0");
    struct plan *p = make(&s, "tp2xpp2", ACT_I8, ACT_I8, KV_F16);
    static const struct expected layer[] = {
        {STEP_ATTN_NORM, {.weight_bytes = 256, .ops_per_tok = {256}}},
        {STEP_QKV, {.weight_bytes = 64 * 68, .ops_per_tok = {0, 2 * 64 * 64}}},
        {STEP_ROPE, {.kv_bytes_per_tok = 64, .ops_per_tok = {3 * 3 * 16}}},
        {STEP_ATTENTION, {.kv_bytes_per_ctx = 64, .ops_per_ctx = {2 * 2 * 32 + 4 * 2}}},
        {STEP_ATTN_OUT, {.weight_bytes = 64 * 34, .ops_per_tok = {0, 2 * 64 * 32}}},
        {STEP_ATTN_REDUCE, {.messages = 1, .sent_bytes_per_tok = 256, .ops_per_tok = {64}}},
        {STEP_ATTN_ADD, {.ops_per_tok = {64}}},
        {STEP_FFN_NORM, {.weight_bytes = 256, .ops_per_tok = {256}}},
        {STEP_FFN_UP, {.weight_bytes = 2 * 32 * 68, .ops_per_tok = {0, 2 * 2 * 32 * 64}}}, /* 3 leaves of 32: 1 and 2 */
        {STEP_FFN_ACT, {.ops_per_tok = {32 * 5}}},
        {STEP_FFN_DOWN, {.weight_bytes = 64 * 34, .ops_per_tok = {0, 2 * 64 * 32}}},
        {STEP_FFN_REDUCE, {.messages = 1, .sent_bytes_per_tok = 256, .ops_per_tok = {64}}},
        {STEP_FFN_ADD, {.ops_per_tok = {64}}},
    };
    static const struct expected first[] = {{STEP_RECV_TOKEN, {0}}, {STEP_EMBED, {.row_bytes_per_tok = 68}}};
    static const struct expected send[] = {
        {STEP_SEND_HIDDEN, {.messages = 1, .sent_bytes = 24, .sent_bytes_per_tok = 16 + 256}}};
    static const struct expected recv[] = {{STEP_RECV_HIDDEN, {0}}};
    static const struct expected last[] = {
        {STEP_OUT_NORM, {.weight_bytes = 256, .ops_per_tok = {256}}},
        {STEP_HEAD, {.weight_bytes = 50 * 68, .ops_per_tok = {0, 2 * 50 * 64}}},
        {STEP_SAMPLE, {.messages = 1, .sent_bytes = 8, .sent_bytes_per_tok = 16, .ops_per_tok = {50}}},
        {STEP_SEND_TOKEN, {.messages = 1, .sent_bytes = 16, .sent_bytes_per_tok = 24}},
    };
    check_block(p->ranks[0].prologue, first, LEN(first));
    check_block(p->ranks[0].layers[0], layer, LEN(layer));
    check_block(p->ranks[0].epilogue, send, LEN(send));
    check_block(p->ranks[2].prologue, recv, LEN(recv));
    check_block(p->ranks[2].epilogue, last, LEN(last));
    CHECK(p->ranks[0].layers[0] == p->ranks[2].layers[0], "equal layers of two stages are stored once");
    plan_free(p);
}

static const struct step_cost *layer_step(const struct plan *p, int rank, enum step_kind kind) {
    const struct plan_block *b = p->ranks[rank].layers[0];
    for (int i = 0; i < b->n; i++)
        if (b->step[i].kind == kind) return &b->step[i].cost;
    return NULL;
}

/* Hidden states in fewer bits: shorter messages, and work where the embedding and the layers end. */
static void test_hidden(void) {
    static const struct {
        enum hidden_form form;
        int64_t bytes, ops; /* of a vector of 64 */
    } cases[] = {{HIDDEN_F32, 256, 0}, {HIDDEN_F16, 128, 64}, {HIDDEN_I8, 2 * 34, 256}, {HIDDEN_I4, 2 * 18, 256}};
    for (int i = 0; i < LEN(cases); i++) {
        struct model_shape s;
        small(&s, "llama", "Q8_0");
        struct plan *p = make_of(&s, "pp2", &(struct decoder_opts){.hidden = cases[i].form});
        const struct expected first[] = {{STEP_RECV_TOKEN, {0}},
                                         {STEP_EMBED, {.row_bytes_per_tok = 68, .ops_per_tok = {cases[i].ops}}}};
        const struct expected send[] = {
            {STEP_SEND_HIDDEN, {.messages = 1, .sent_bytes = 24, .sent_bytes_per_tok = 16 + cases[i].bytes}}};
        check_block(p->ranks[0].prologue, first, LEN(first));
        check_block(p->ranks[0].epilogue, send, LEN(send));
        CHECK(layer_step(p, 1, STEP_ATTN_ADD)->ops_per_tok[PREC_F32] == 64, "form %d: after attention", i);
        CHECK(layer_step(p, 1, STEP_FFN_ADD)->ops_per_tok[PREC_F32] == 64 + cases[i].ops, "form %d: after a layer", i);
        plan_free(p);
    }
}

/* Whose arithmetic: the wider of the two operands. */
static void test_precision(void) {
    static const struct {
        const char *type;
        enum act_bits bits;
        enum precision product;
    } cases[] = {{"F32", ACT_F32, PREC_F32},  {"F16", ACT_I8, PREC_F32}, {"BF16", ACT_I4, PREC_F32},
                 {"Q8_0", ACT_F32, PREC_F32}, {"Q8_0", ACT_I8, PREC_I8}, {"Q8_0", ACT_I4, PREC_I8},
                 {"Q4_0", ACT_I8, PREC_I8},   {"Q4_0", ACT_I4, PREC_I4}, {"Q4_1", ACT_I4, PREC_I4},
                 {"Q5_0", ACT_I4, PREC_I8},   {"Q5_1", ACT_I4, PREC_I8}, {"I4", ACT_I4, PREC_I4},
                 {"I4", ACT_I8, PREC_I8},     {"I8", ACT_I4, PREC_I8},   {"I4", ACT_F32, PREC_F32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_shape s;
        small(&s, "llama", cases[i].type);
        struct plan *p = make(&s, "1", cases[i].bits, ACT_I8, KV_F16);
        for (int k = 0; k < PREC_COUNT; k++)
            CHECK((layer_step(p, 0, STEP_FFN_DOWN)->ops_per_tok[k] == 2 * 64 * 96) == (k == (int)cases[i].product),
                  "%s with a%d", cases[i].type, cases[i].bits);
        plan_free(p);
    }
}

/* Caches: bytes of a position (keys and values of 2 heads of 16, a scale each), and the two products' arithmetic. */
static void test_cache(void) {
    static const struct {
        enum kv_type kv;
        enum act_bits bits;
        int64_t bytes, ops[PREC_COUNT];
    } cases[] = {
        {KV_F16, ACT_I8, 2 * 2 * 32, {256 + 16, 0, 0}},         {KV_F16, ACT_I4, 2 * 2 * 32, {256 + 16, 0, 0}},
        {KV_I8, ACT_F32, 2 * 2 * (16 + 4), {128 + 16, 128, 0}}, {KV_I8, ACT_I8, 2 * 2 * (16 + 4), {128 + 16, 128, 0}},
        {KV_I8, ACT_I4, 2 * 2 * (16 + 4), {16, 256, 0}},        {KV_I4, ACT_I8, 2 * 2 * (8 + 4), {128 + 16, 128, 0}},
        {KV_I4, ACT_I4, 2 * 2 * (8 + 4), {16, 0, 256}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_shape s;
        small(&s, "llama", "Q8_0");
        struct plan *p = make(&s, "1", cases[i].bits, ACT_I8, cases[i].kv);
        const struct step_cost *c = layer_step(p, 0, STEP_ATTENTION);
        CHECK(c->kv_bytes_per_ctx == cases[i].bytes && layer_step(p, 0, STEP_ROPE)->kv_bytes_per_tok == cases[i].bytes,
              "case %zu: %lld bytes", i, (long long)c->kv_bytes_per_ctx);
        for (int k = 0; k < PREC_COUNT; k++)
            CHECK(c->ops_per_ctx[k] == cases[i].ops[k], "case %zu, precision %d: %lld", i, k,
                  (long long)c->ops_per_ctx[k]);
        CHECK((size_t)c->kv_bytes_per_ctx * 128 == kv_cache_bytes(cases[i].kv, 2, 16, 128),
              "case %zu: the cache of 128 positions", i);
        plan_free(p);
    }
}

/* A layer-norm model with biases and a position table, and one with the norms behind the sums. */
static void test_other_archs(void) {
    struct model_shape s;
    small(&s, "gpt2", "F32");
    s.n_kv_heads = 4;
    shape_set_types(&s, tensor_type_find("F32"), NULL);
    struct plan *p = make(&s, "tp2", ACT_F32, ACT_F32, KV_F16);
    const struct step_cost *c = layer_step(p, 1, STEP_QKV);
    CHECK(c->weight_bytes == 3 * 32 * 64 * 4 + 3 * 32 * 4 && c->ops_per_tok[PREC_F32] == 2 * 3 * 32 * 64 + 3 * 32,
          "gpt2 qkv");
    CHECK(layer_step(p, 1, STEP_ATTN_NORM)->weight_bytes == 2 * 256 &&
              layer_step(p, 1, STEP_ATTN_NORM)->ops_per_tok[0] == 7 * 64,
          "gpt2 norm");
    CHECK(layer_step(p, 1, STEP_ATTN_ADD)->weight_bytes == 256 &&
              layer_step(p, 1, STEP_ATTN_ADD)->ops_per_tok[0] == 2 * 64,
          "gpt2 add");
    CHECK(layer_step(p, 1, STEP_FFN_UP)->weight_bytes == 64 * 64 * 4 + 64 * 4, "gpt2 up"); /* leaves 1 and 2 */
    CHECK(layer_step(p, 1, STEP_FFN_ACT)->ops_per_tok[0] == 9 * 64, "gpt2 gelu");
    CHECK(layer_step(p, 1, STEP_ROPE)->ops_per_tok[0] == 0, "gpt2 rope");
    CHECK(p->ranks[1].prologue->step[0].cost.row_bytes_per_tok == 2 * 256, "gpt2 rows");
    plan_free(p);
    small(&s, "bert", "F32");
    p = make(&s, "pp2", ACT_F32, ACT_F32, KV_F16);
    CHECK(layer_step(p, 0, STEP_ATTN_NORM)->weight_bytes == 0 && layer_step(p, 0, STEP_ATTN_NORM)->ops_per_tok[0] == 0,
          "bert norm");
    CHECK(layer_step(p, 0, STEP_FFN_ADD)->weight_bytes == 3 * 256 &&
              layer_step(p, 0, STEP_FFN_ADD)->ops_per_tok[0] == (2 + 7) * 64,
          "bert add");
    CHECK(p->ranks[1].epilogue->n == 0 && p->ranks[0].prologue->n == 1 && p->ranks[0].token_from < 0,
          "bert ends in hidden states");
    plan_free(p);
}

static double bytes_of(const struct plan_totals *t) {
    return t->weight_bytes + t->kv_bytes + t->sent_bytes + t->ops[PREC_F32] + t->ops[PREC_I8] + t->messages + t->steps;
}

/* The kinds of steps add up to the whole, and passes add up; the cache is read once for tokens that share it. */
static void test_kinds(void) {
    struct model_shape s;
    small(&s, "llama", "Q8_0");
    struct plan *p = make(&s, "tp2xpp2", ACT_I8, ACT_I8, KV_F16);
    struct plan_pass pass = {.tokens = 3, .sampled = 1, .ctx_sum = 6};
    struct plan_work one = {.passes = 1, .tokens = 3, .ctx_sum = 6, .ctx_read = 6, .sampled_passes = 1, .sampled = 1};
    struct plan_work ten = {10, 30, 60, 60, 10, 10, 0}, shared = one;
    shared.ctx_read = 3;
    for (int r = 0; r < p->n_ranks; r++) {
        struct plan_totals all, kind[STEP_COUNT], more[STEP_COUNT], less[STEP_COUNT];
        double sum = 0;
        plan_totals(p, r, &pass, &all);
        plan_step_totals(p, r, &one, kind);
        plan_step_totals(p, r, &ten, more);
        plan_step_totals(p, r, &shared, less);
        for (int k = 0; k < STEP_COUNT; k++) {
            sum += bytes_of(&kind[k]);
            CHECK(bytes_of(&more[k]) == 10 * bytes_of(&kind[k]), "%s of rank %d", step_name((enum step_kind)k), r);
            CHECK(k == STEP_ATTENTION || less[k].kv_bytes == kind[k].kv_bytes, "%s", step_name((enum step_kind)k));
        }
        CHECK(sum == bytes_of(&all) && sum > 0, "rank %d: %.0f, %.0f", r, sum, bytes_of(&all));
        CHECK(less[STEP_ATTENTION].kv_bytes == kind[STEP_ATTENTION].kv_bytes / 2 &&
                  less[STEP_ATTENTION].ops[PREC_F32] == kind[STEP_ATTENTION].ops[PREC_F32],
              "half the cache, the same operations");
        CHECK(kind[STEP_QKV].steps == p->ranks[r].shard.layer1 - p->ranks[r].shard.layer0, "one q, k, v a layer");
    }
    plan_free(p);
}

/* Names are those of the list, in lower case. */
static void test_names(void) {
    static const char *const names[] = {
#define X(name, kind) #name,
        STEP_LIST(X)
#undef X
    };
    for (int i = 0; i < STEP_COUNT; i++) {
        CHECK(!strcasecmp(step_name((enum step_kind)i), names[i]) && strcmp(step_name((enum step_kind)i), names[i]),
              "%s", names[i]);
        CHECK(strlen(step_class((enum step_kind)i)) > 3, "%s", names[i]);
    }
}

int main(void) {
    test_one_rank();
    test_tp2_pp2();
    test_hidden();
    test_precision();
    test_cache();
    test_other_archs();
    test_kinds();
    test_names();
    return check_report("partition-cost");
}
