/* What people and programs read of a plan. `partition-text --update` rewrites the expected text from the present one:
 * look at the difference before keeping it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "check.h"
#include "random_shape.h"

static const char golden[] = NW_TEST_DATA "/plan-tp2xpp2.txt";

static struct plan *make(const char *preset, const char *strategy) {
    struct model_shape s;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .kv = KV_F16,
                                      .n_seqs = 2,
                                      .n_ctx = 1024,
                                      .max_tokens = 128,
                                      .threads = 1},
                          .n_micro = 2,
                          .top_candidates = 1};
    CHECK(!preset_shape(&s, preset, NULL, 0, &d) && !strategy_parse(&st, strategy, &d) &&
              !plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d),
          "%s %s: %s", preset, strategy, d.text);
    return p;
}

/* plan_print's text without the hash, which depends on every field of a shape; the caller frees. */
static char *text_of(const struct plan *p, int steps) {
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    plan_print(p, f, steps);
    fclose(f);
    char *hash = strstr(text, "Plan hash ");
    CHECK(hash && strlen(hash) == 10 + 16 + 1, "no hash in the last line");
    if (hash) *hash = 0;
    return text;
}

static void show_difference(const char *got, const char *want) {
    for (int line = 1; *got || *want; line++) {
        int g = (int)strcspn(got, "\n"), w = (int)strcspn(want, "\n");
        if (g != w || strncmp(got, want, (size_t)g)) {
            fprintf(stderr, "line %d\n  is        %.*s\n  should be %.*s\n", line, g, got, w, want);
            return;
        }
        got += g + (got[g] == '\n');
        want += w + (want[w] == '\n');
    }
}

static void test_golden(int update) {
    struct plan *p = make("tinyllama-1.1b", "tp2xpp2");
    char *text = text_of(p, 1), *want = NULL;
    size_t n;
    struct diag d = {0};
    if (update) {
        FILE *f = fopen(golden, "w");
        CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", golden);
    }
    CHECK(text_read_file(golden, 1 << 20, &want, &n, &d) == 0, "%s", d.text);
    CHECK(want && !strcmp(text, want), "the plan's text differs from %s", golden);
    if (want) show_difference(text, want);
    free(want);
    free(text);
    plan_free(p);
}

/* More than 16 ranks: a line for each kind of rank, whose numbers add up to all. */
static void test_grouped(void) {
    struct plan *p = make("llama3-70b", "dp2xtp8xpp8");
    char *text = text_of(p, 0);
    CHECK(strstr(text, "128 ranks = 2 replicas x 64 ranks in 8 stages x 8"), "%s", text);
    int sum = 0, lines = 0, n;
    for (char *line = strstr(text, "\n  0-7,64-71"); line && lines < 10; line = strchr(line + 1, '\n'), lines++) {
        if (sscanf(line, " %*s %d", &n) != 1) break;
        sum += n;
    }
    CHECK(sum == 128 && lines == 3, "%d ranks in %d lines of\n%s", sum, lines, text);
    free(text);
    plan_free(p);
    p = make("llama3-70b", "tp64");
    text = text_of(p, 0);
    CHECK(strstr(text, "48 ranks are idle in the FFN: its columns are split in 16 runs"), "%s", text);
    CHECK(!strstr(text, "idle in attention"), "%s", text);
    free(text);
    plan_free(p);
}

/* Float weights meet float activations whatever the mode says. */
static void test_float_weights(void) {
    struct plan *p = make("tinyllama-1.1b", "tp2");
    struct model_shape *s = &p->shape;
    int f16 = 0;
    while (strcmp(tensor_types[f16]->name, "F16"))
        f16++;
    s->layer_type[1][ROLE_DOWN] = (int8_t)f16;
    char *text = text_of(p, 0);
    CHECK(strstr(text, "int8 activations into layers (float where the weights are), int8 into the"), "%s", text);
    free(text);
    for (int l = 0; l < s->n_layers; l++)
        for (int r = ROLE_Q; r <= ROLE_DOWN; r++)
            if (s->layer_type[l][r] >= 0) s->layer_type[l][r] = (int8_t)f16;
    text = text_of(p, 0);
    CHECK(strstr(text, "float activations into layers, int8 into the"), "%s", text);
    free(text);
    plan_free(p);
}

/* Kinds of ranks beyond the first few are left to JSON. */
static void test_many_kinds(void) {
    struct plan *p = make("gpt2", "tp13");
    char *text = text_of(p, 1);
    CHECK(strstr(text, "more kinds of ranks (--json has all)"), "%s", text);
    free(text);
    plan_free(p);
}

static json_int_t number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    CHECK(json_is_integer(v), "no number %s", key);
    return json_integer_value(v);
}

static void check_json_rank(const struct plan *p, const json_t *blocks, const json_t *o, int i) {
    const struct plan_rank *r = &p->ranks[i];
    const json_t *layers = json_object_get(o, "layer_blocks");
    CHECK(number(o, "rank") == i && number(o, "stage") == r->stage && number(o, "tp_index") == r->tp_index, "rank %d",
          i);
    CHECK(number(o, "weight_bytes") == (json_int_t)r->bytes.weights, "rank %d", i);
    CHECK(number(o, "total_bytes") == number(o, "weight_bytes") + number(o, "kv_cache_bytes") +
                                          number(o, "decoder_workspace_bytes") + number(o, "engine_workspace_bytes"),
          "rank %d: bytes", i);
    CHECK((int)json_array_size(layers) == r->shard.layer1 - r->shard.layer0, "rank %d: layers", i);
    CHECK((int)json_array_size(json_object_get(o, "hidden_to_ranks")) == r->n_send_to, "rank %d: receivers", i);
    for (size_t l = 0; l < json_array_size(layers); l++) {
        const json_t *block = json_array_get(blocks, (size_t)json_integer_value(json_array_get(layers, l)));
        CHECK((int)json_array_size(block) == r->layers[l]->n, "rank %d, layer %zu: block", i, l);
        for (size_t k = 0; k < json_array_size(block); k++) {
            const json_t *step = json_array_get(block, k);
            CHECK(!strcmp(json_string_value(json_object_get(step, "step")), step_name(r->layers[l]->step[k].kind)),
                  "rank %d step %zu", i, k);
            CHECK(number(step, "weight_bytes") == r->layers[l]->step[k].cost.weight_bytes, "rank %d step %zu", i, k);
        }
    }
}

static void check_json(const struct plan *p) {
    char *text = plan_json(p);
    json_error_t e;
    json_t *o = text ? json_loads(text, JSON_REJECT_DUPLICATES, &e) : NULL;
    CHECK(o, "%s: JSON does not parse", p->strategy.text);
    if (o) {
        const json_t *ranks = json_object_get(o, "ranks"), *stages = json_object_get(o, "stages");
        struct plan_totals all;
        struct plan_pass pass = {1, p->shape.causal, p->opts.decoder.n_ctx, 0};
        plan_totals(p, -1, &pass, &all);
        const json_t *token = json_object_get(o, "decode_token");
        CHECK((int)json_array_size(ranks) == p->n_ranks && (int)json_array_size(stages) == p->n_stages, "%s: sizes",
              p->strategy.text);
        CHECK(!strcmp(json_string_value(json_object_get(o, "strategy")), p->strategy.text), "%s: strategy",
              p->strategy.text);
        CHECK((double)number(token, "comm_bytes_per_tok") * p->strategy.dp == all.sent_bytes, "%s: bytes",
              p->strategy.text);
        CHECK((double)number(token, "comm_messages_per_tok") * p->strategy.dp == all.messages, "%s: messages",
              p->strategy.text);
        CHECK((double)number(token, "weight_bytes") * p->strategy.dp == all.weight_bytes, "%s: weights",
              p->strategy.text);
        for (int i = 0; i < p->n_ranks; i++)
            check_json_rank(p, json_object_get(o, "blocks"), json_array_get(ranks, (size_t)i), i);
    }
    json_decref(o);
    free(text);
}

/* Every plan can be printed: nothing that is not a number, nothing missing, the same text twice. */
static void test_random(void) {
    for (int i = 0; i < 36; i++) {
        struct dice dice = {(uint64_t)(500 + i), 0};
        struct model_shape s;
        struct strategy st;
        struct plan_opts o;
        struct plan *p;
        struct diag d = {0};
        random_shape(&dice, &s);
        random_strategy(&dice, &s, &st);
        random_opts(&dice, &o);
        CHECK(plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d) == 0, "%s: %s", st.text, d.text);
        char *text = text_of(p, i % 2), *again = text_of(p, i % 2);
        CHECK(!strcmp(text, again) && !strstr(text, "nan") && !strstr(text, "inf ") && !strstr(text, "(null)") &&
                  !strstr(text, "no memory"),
              "%s", text);
        CHECK(strstr(text, st.text) && strstr(text, "Who holds what") && strstr(text, "One token of one sequence"),
              "%s", text);
        check_json(p);
        free(text);
        free(again);
        plan_free(p);
    }
}

int main(int argc, char **argv) {
    test_golden(argc > 1 && !strcmp(argv[1], "--update"));
    test_grouped();
    test_float_weights();
    test_many_kinds();
    test_random();
    return check_report("partition-text");
}
