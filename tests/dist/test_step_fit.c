/* Planted cards: what their steps take, step by step as interpreters reckon it, gives their numbers back. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "models/shape.h"
#include "partition/place.h"
#include "step_times.h"

enum { JOBS = 3, PROMPT = 32 };

static const double op_s[PREC_COUNT] = {20e-12, 11e-12, 7e-12};

/* Rates as above; the cache's bandwidth is 20 GB/s, the memory's 8. */
static void plant(struct cluster *c, int number) {
    *c = (struct cluster){.name = "planted", .net = net_default};
    struct card *k = &c->card;
    k->n_levels = 2;
    k->level[0] = (struct card_level){.bytes = 16 << 20, .whole = 1, .G = {50, 1}};
    k->level[1] = (struct card_level){.G = {125, 1}};
    for (int i = 0; i < PREC_COUNT; i++)
        k->op[i] = (struct pico_rate){(uint64_t)(1e12 * op_s[i]), 1};
    for (uint64_t i = 0; i < STEP_COUNT; i++) {
        int product = !strcmp(step_class((enum step_kind)i), "matmul"); /* of one token: bound by what it reads */
        uint64_t slow = product ? 1 + (i + (uint64_t)number) % 2 : 3 + (5 * i + (uint64_t)number) % 11;
        k->step[i] = (struct card_step){{slow, 1}, product ? 300000 : 100000 + 70000 * (i % 5)};
    }
    k->step[STEP_HEAD].slow = k->step[STEP_FFN_UP].slow;
    k->step[STEP_EMBED].slow = k->step[STEP_SAMPLE].slow = (struct pico_rate){1, 1};
    k->step[STEP_SAMPLE].overhead_ps = 0;
    k->token_ps = 400000;
    k->sequence_ps = 2500000;
}

static struct plan *plan_of(const struct cluster *c, int job) {
    static const int sizes[JOBS][4] = {{4, 256, 4, 1024}, {2, 576, 9, 1536}, {20, 576, 9, 1536}};
    struct model_shape s;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct plan_opts o = {.decoder = {.linear_bits = ACT_I8,
                                      .head_bits = ACT_I8,
                                      .n_seqs = 1,
                                      .n_ctx = 2 * PROMPT,
                                      .max_tokens = PROMPT,
                                      .threads = 1},
                          .n_micro = 1,
                          .top_candidates = 1,
                          .net = &c->net};
    int rc = preset_shape(&s, "smollm-135m", "Q8_0", 0, &d);
    s.n_layers = sizes[job][0];
    s.d_model = sizes[job][1];
    s.n_heads = sizes[job][2];
    s.n_kv_heads = job ? 3 : 2;
    s.d_ffn = sizes[job][3];
    s.n_vocab = job ? 2048 : 1024;
    shape_set_types(&s, tensor_type_find("Q8_0"), NULL);
    if (!rc) rc = strategy_parse(&st, "1", &d);
    if (!rc) rc = plan_make(&p, &s, &st, 1, &o, &d);
    CHECK(rc == 0, "job %d: %s", job, d.text);
    return p;
}

static void add_seconds(double seconds[STEP_COUNT], const struct virtual_rank *v, const struct plan_block *b, int layer,
                        const struct card_pass *pass) {
    for (int i = 0; i < b->n; i++) {
        struct net_clock clock = {0};
        card_spend_step(&clock, v->card, &v->place, &b->step[i], layer, pass);
        seconds[b->step[i].kind] += 1e-12 * (double)clock.now.ps;
    }
}

/* A pass of a prompt, or of one token after it, as the planted card takes it. */
static int add_points(struct step_point *p, const struct plan *plan, const struct virtual_rank *v, int64_t tokens) {
    int64_t read = tokens == 1 ? PROMPT + 1 : tokens, sum = tokens == 1 ? read : tokens * (tokens + 1) / 2;
    struct plan_work w = {1, tokens, sum, read, 1, 1, 0};
    struct card_pass pass = {tokens, 1, read, sum};
    const struct plan_rank *r = &plan->ranks[0];
    struct plan_totals t[STEP_COUNT];
    double seconds[STEP_COUNT] = {0};
    int n = 0;
    plan_step_totals(plan, 0, &w, t);
    add_seconds(seconds, v, r->prologue, -1, &pass);
    add_seconds(seconds, v, r->epilogue, -1, &pass);
    for (int l = r->shard.layer0; l < r->shard.layer1; l++)
        add_seconds(seconds, v, r->layers[l], l, &pass);
    for (int k = 0; k < STEP_COUNT; k++) {
        if (t[k].steps == 0) continue;
        p[n] = (struct step_point){.kind = (enum step_kind)k,
                                   .outer = v->place.layer[0],
                                   .single = tokens == 1,
                                   .steps = t[k].steps,
                                   .tokens = (double)tokens,
                                   .bytes = t[k].weight_bytes + t[k].kv_bytes,
                                   .seconds = seconds[k]};
        for (int i = 0; i < PREC_COUNT; i++)
            p[n].compute_s += t[k].ops[i] * op_s[i];
        n++;
    }
    return n;
}

static int is_near(double a, double b) {
    return fabs(a - b) <= 0.01 * fabs(b);
}

static void check_planted(int number) {
    struct cluster c;
    struct step_point p[STEP_POINTS];
    struct pass_point pass[JOBS] = {{50e-9, 850e-9}, {50e-9, 950e-9}, {40e-9, 9000e-9}};
    struct step_fit f;
    int n = 0;
    plant(&c, number);
    for (int job = 0; job < JOBS; job++) {
        struct virtual_rank v;
        struct diag d = {0};
        struct plan *plan = plan_of(&c, job);
        if (!plan) return;
        int rc = virtual_rank_init(&v, &c, plan, 0, &d);
        CHECK(rc == 0 && v.place.layer[0] == (job == 2), "job %d lies on level %d %s", job, v.place.layer[0], d.text);
        n += add_points(p + n, plan, &v, PROMPT);
        n += add_points(p + n, plan, &v, 1);
        plan_free(plan);
    }
    step_fit(&f, p, n, pass, JOBS);
    CHECK(is_near(f.Bps[0], 20e9) && is_near(f.Bps[1], 8e9), "%d: %g and %g B/s", number, f.Bps[0], f.Bps[1]);
    CHECK(is_near(f.pass_s, 900e-9), "pass %g", f.pass_s);
    CHECK(is_near(f.token_s, 400e-9) && is_near(f.sequence_s, 2550e-9), "token %g, %g", f.token_s, f.sequence_s);
    for (int k = 0; k < STEP_COUNT; k++) {
        const struct card_step *s = &c.card.step[k];
        if (card_is_message((enum step_kind)k)) continue;
        double overhead = k == STEP_SAMPLE ? 0 : 50e-9 + 1e-12 * (double)s->overhead_ps;
        CHECK(fabs(f.overhead_s[k] - overhead) <= 0.02 * overhead, "%d: %s, overhead %g, planted %g", number,
              step_name((enum step_kind)k), f.overhead_s[k], overhead);
        if (k != STEP_EMBED)
            CHECK(is_near(f.efficiency[k] * (double)s->slow.num, 1), "%d: %s, efficiency %g, planted 1/%d", number,
                  step_name((enum step_kind)k), f.efficiency[k], (int)s->slow.num);
    }
}

static void check_line(void) {
    const double x[] = {1, 2, 4, 8}, rising[] = {13, 16, 22, 34}, falling[] = {9, 8, 7, 6}, through[] = {2, 4, 9, 18};
    double a, b;
    fit_line(x, rising, 4, &a, &b);
    CHECK(fabs(a - 10) < 1e-9 && fabs(b - 3) < 1e-9, "10 + 3 x: %g + %g x", a, b);
    fit_line(x, falling, 4, &a, &b);
    CHECK(b == 0 && a > 6 && a < 9, "never faster with more: %g + %g x", a, b);
    fit_line(x, through, 4, &a, &b);
    CHECK(a == 0 && b > 2 && b < 2.25, "never below 0: %g + %g x", a, b);
}

/* A message of 4096 bytes and more is first announced. */
static void check_break(void) {
    double x[8], plain[8], two[8], worst[2];
    for (int i = 0; i < 8; i++) {
        x[i] = 64 << 2 * i;
        plain[i] = (300 + 0.1 * x[i]) * (i % 2 ? 1.04 : 0.96);
        two[i] = x[i] < 4096 ? 300 + 0.2 * x[i] : 2000 + 0.1 * x[i];
    }
    CHECK(fit_break(x, plain, 8, worst) == 0 && worst[0] == worst[1] && worst[0] < 0.06, "one line: off by %g",
          worst[0]);
    CHECK(fit_break(x, two, 8, worst) == 3 && worst[0] > 0.3 && worst[1] < 1e-9, "two: %g, %g", worst[0], worst[1]);
}

int main(void) {
    check_break();
    check_line();
    for (int number = 0; number < 4; number++)
        check_planted(number);
    return check_report("test_step_fit");
}
