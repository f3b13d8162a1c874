/* The claims of "AI and Memory Wall": blog of 2021, and arXiv 2403.14123 of 2024. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "claims.h"

/* ---- growth ---- */

static void answer_growth(struct claim_answer *a, const struct trend *t, double years, double printed, int digits) {
    a->is = trend_growth(t->least.is, years);
    a->low = trend_growth(t->least.low, years);
    a->high = trend_growth(t->least.high, years);
    a->unit = "x";
    a->kind = "fitted";
    a->range = "95 %";
    a->verdict = wall_judge(t, years, printed, digits);
    snprintf(a->why, sizeof a->why, "%d points of %.0f to %.0f%s", t->n, floor(t->first), floor(t->last),
             a->verdict == VERDICT_UNTOLD ? "; the interval has the printed number, the fit does not round to it" : "");
}

static int ask_growth(struct claims *c, int which, struct claim_answer *a) {
    const struct wall_printed *p = &wall_printed[which];
    struct trend fit;
    int rc = wall_fit(&c->wall, &p->points, &fit);
    if (rc) return rc;
    snprintf(a->subject, sizeof a->subject, "%s: %g times in 2 years (%s)", p->text, p->in_2, p->version);
    answer_growth(a, &fit, 2, p->in_2, p->digits);
    return 0;
}

/* The which-th of those that are printed. */
static int ask_growth_20(struct claims *c, int which, struct claim_answer *a) {
    const struct wall_printed *p = wall_printed;
    struct trend fit;
    for (;; p++)
        if (p->in_20 && which-- == 0) break;
    int rc = wall_fit(&c->wall, &p->points, &fit);
    if (rc) return rc;
    snprintf(a->subject, sizeof a->subject, "%s: %.0f times in 20 years (%s)", p->text, p->in_20, p->version);
    answer_growth(a, &fit, 20, p->in_20, 1);
    return 0;
}

/* Those that the papers speak of. */
static int ask_gap(struct claims *c, int which, struct claim_answer *a) {
    static const int claimed[] = {0, 1, 2, 3, 7};
    const struct wall_gap *g = &wall_gaps[claimed[which]];
    struct trend_slope s;
    int rc = wall_gap(&c->wall, claimed[which], &s);
    if (rc) return rc;
    snprintf(a->subject, sizeof a->subject, "the gap grows: %s", g->text);
    a->is = s.is;
    a->low = s.low;
    a->high = s.high;
    a->unit = "x in 2 years";
    a->kind = "fitted";
    a->range = "95 %";
    a->verdict = judge_above(s.low, s.high, 1);
    snprintf(a->why, sizeof a->why, "bootstrap of the difference of both slopes%s",
             a->verdict == VERDICT_UNTOLD ? ": its interval has 1" : "");
    return 0;
}

/* ---- decodes ---- */

static int ask_small_batch(struct claims *c, int which, struct claim_answer *a) {
    int as_claimed = 0, until = 0;
    (void)which;
    for (int i = 0; i < c->n_decodes; i++) {
        const struct claim_decode *k = &c->decode[i];
        double memory = 100 * k->alone.share[NET_MEMORY];
        int claimed = k->memory_until > 0;
        claim_range(a, memory);
        as_claimed += claimed;
        until += k->memory_until >= 8;
        if (!claimed && strlen(a->why) + strlen(k->text) + 24 < sizeof a->why)
            snprintf(a->why + strlen(a->why), sizeof a->why - strlen(a->why), "not %s (%s); ", k->text, k->then);
    }
    snprintf(a->why + strlen(a->why), sizeof a->why - strlen(a->why), "at 8 users in %d of %d", until, c->n_decodes);
    a->is = as_claimed;
    a->unit = "cases; % of the path";
    a->kind = "estimated";
    a->range = "share of memory, one user, over the cases";
    a->verdict = judge_cases(as_claimed, c->n_decodes, VERDICT_WHERE);
    return 0;
}

/* Wulf and McKee 1995: of accesses that hit in a cycle and miss, each `miss_rate` of them, at so many cycles. Misses
 * take longer than the rest from this cost on; overlapped: while the others work, or one after the other. */
static double miss_cost(double miss_rate, int overlapped) {
    return overlapped ? 1 / miss_rate : (1 - miss_rate) / miss_rate;
}

static int ask_misses(struct claims *c, int which, struct claim_answer *a) {
    (void)c;
    (void)which;
    a->low = miss_cost(0.2, 0);
    a->is = a->high = miss_cost(0.2, 1);
    a->unit = "cycles";
    a->kind = "exact";
    a->range = "hits and misses in turn, overlapped";
    a->verdict = judge_at_most(a->low, a->high, 5);
    snprintf(a->why, sizeof a->why,
             "arithmetic alone: an access a cycle, 1 in 5 of which misses; from these costs on misses take longer");
    return 0;
}

static int ask_scale_out(struct claims *c, int which, struct claim_answer *a) {
    double messages[CLAIM_SHARDED], told;
    int pays[CLAIM_SHARDED], n_pay = 0;
    (void)which;
    for (int i = 0; i < c->n_sharded; i++) {
        messages[i] = c->sharded[i].messages;
        pays[i] = c->sharded[i].speedup > 1;
        n_pay += pays[i];
    }
    a->verdict = judge_apart(messages, pays, c->n_sharded, &a->is, &told);
    a->is *= 100;
    a->unit = "% of a token are messages, at most";
    a->kind = "estimated";
    snprintf(a->why, sizeof a->why, "%d of %d cases are faster than one card; this limit tells %.0f %% of them right",
             n_pay, c->n_sharded, 100 * told);
    return 0;
}

/* ---- encoders and generation ---- */

struct text_time {
    struct wall_counts counts;
    double s; /* on the card */
};

static void spend_block(struct net_clock *clock, const struct card *card, const struct card_place *place,
                        const struct plan_block *b, int layer, const struct card_pass *pass) {
    for (int i = 0; i < b->n; i++)
        card_spend_step(clock, card, place, &b->step[i], layer, pass);
}

static void spend_pass(struct net_clock *clock, const struct card *card, const struct card_place *place,
                       const struct plan_rank *r, const struct card_pass *pass) {
    card_spend_pass(clock, card, place);
    spend_block(clock, card, place, r->prologue, -1, pass);
    for (int l = r->shard.layer0; l < r->shard.layer1; l++)
        spend_block(clock, card, place, r->layers[l - r->shard.layer0], l, pass);
    spend_block(clock, card, place, r->epilogue, -1, pass);
}

/* An encoder's one pass, or all tokens one by one, whose next one is wanted. */
static int time_text(struct text_time *out, const char *model, int tokens, const struct card *card, struct diag *d) {
    struct plan *p = NULL;
    struct card_place place = {0};
    struct net_clock clock = {0};
    int rc = wall_plan(&p, model, NULL, tokens, 1, d);
    if (!rc) rc = card_place(&place, card, p, 0, d);
    for (int t = 1; t <= tokens && !rc && p->shape.causal; t++)
        spend_pass(&clock, card, &place, &p->ranks[0], &(struct card_pass){1, 1, t, t});
    if (!rc && !p->shape.causal)
        spend_pass(&clock, card, &place, &p->ranks[0],
                   &(struct card_pass){tokens, 0, tokens, (int64_t)tokens * tokens});
    if (!rc) *out = (struct text_time){wall_counts(p, tokens), 1e-12 * (double)clock.now.ps};
    plan_free(p);
    return rc;
}

enum { TEXT_CARDS = 4, GENERATOR = WALL_MODELS - 1 };
static const char *const text_cards[TEXT_CARDS] = {"l4", "a100-sxm", "h100-sxm", "ib-cpu"};

/* Times that gpt2 takes longer than an encoder, and whether it does so with fewer operations, in all cases. */
static int ask_slower(struct claims *c, int which, struct claim_answer *a) {
    int n = 0, as_claimed = 0, longest = 0, rc = 0;
    (void)which;
    for (int k = 0; k < TEXT_CARDS && !rc; k++) {
        struct cluster on;
        rc = case_cluster(&on, text_cards[k], c->d);
        for (int i = 0; i < WALL_LENGTHS && !rc; i += c->app->spec.quick ? 2 : 1) {
            struct text_time t[WALL_MODELS];
            longest = wall_lengths[i];
            for (int m = 0; m < WALL_MODELS && !rc; m++)
                rc = time_text(&t[m], wall_models[m], wall_lengths[i], &on.card, c->d);
            for (int m = 0; m < GENERATOR && !rc; m++, n++) {
                double longer = t[GENERATOR].s / t[m].s;
                as_claimed += longer > 1 && t[GENERATOR].counts.operations < t[m].counts.operations;
                claim_range(a, longer);
            }
        }
    }
    a->unit = "x";
    a->kind = "estimated";
    a->range = "times that gpt2 takes longer, over cards and lengths";
    a->verdict = judge_cases(as_claimed, n, VERDICT_WHERE);
    snprintf(a->why, sizeof a->why,
             "%d of %d cases of two encoders, %d to %d tokens, %d cards by the roofline of each step, without "
             "overheads; report memory-wall --measure runs them",
             as_claimed, n, wall_lengths[0], longest, TEXT_CARDS);
    return rc;
}

static int ask_intensity(struct claims *c, int which, struct claim_answer *a) {
    int n = 0, as_claimed = 0, rc = 0;
    (void)which;
    for (int i = 0; i < WALL_LENGTHS && !rc; i++) {
        double intensity[WALL_MODELS] = {0};
        for (int m = 0; m < WALL_MODELS && !rc; m++) {
            struct plan *p = NULL;
            rc = wall_plan(&p, wall_models[m], NULL, wall_lengths[i], 1, c->d);
            if (rc) break;
            struct wall_counts k = wall_counts(p, wall_lengths[i]);
            intensity[m] = k.operations / k.bytes;
            plan_free(p);
        }
        for (int m = 0; m < GENERATOR && !rc; m++, n++)
            as_claimed += intensity[GENERATOR] < intensity[m];
        claim_range(a, intensity[GENERATOR]);
    }
    a->unit = "operations a byte";
    a->kind = "exact";
    a->range = "gpt2, over the lengths";
    a->verdict = judge_cases(as_claimed, n, VERDICT_WHERE);
    snprintf(a->why, sizeof a->why, "less than the encoder's in %d of %d cases; counts of the plan", as_claimed, n);
    return rc;
}

/* ---- what is said to help ---- */

static int ask_remat(struct claims *c, int which, struct claim_answer *a) {
    double more = 0;
    int rc = wall_remat(0.2, &a->is, &more, c->d);
    (void)which;
    a->unit = "x less";
    a->kind = "exact";
    a->verdict = judge_above(a->is, a->is, 5);
    snprintf(a->why, sizeof a->why,
             "for %.0f %% more computing: bert-large, 512 tokens, 16 bits, the best choice of what to keep "
             "(arXiv 2205.05198)",
             100 * more);
    return rc;
}

static int ask_zero(struct claims *c, int which, struct claim_answer *a) {
    static const int cards[] = {8, 16, 64, 128, 256, 1024};
    int as_claimed = 0, from = 0;
    (void)c;
    (void)which;
    for (int i = 0; i < 6; i++) {
        int claimed = judge_rounded(wall_zero(2, cards[i]), 1) >= 8;
        as_claimed += claimed;
        if (claimed && !from) from = cards[i];
    }
    a->low = wall_zero(2, cards[0]);
    a->is = a->high = wall_zero(2, cards[5]);
    a->unit = "x larger";
    a->kind = "exact";
    a->range = "8 and 1024 cards";
    a->verdict = judge_cases(as_claimed, 6, VERDICT_WHERE);
    snprintf(a->why, sizeof a->why,
             "from %d cards on: optimizer and gradients shared, 2 + 14/N bytes a parameter (arXiv 1910.02054), "
             "activations not counted",
             from);
    return 0;
}

static int ask_int4(struct claims *c, int which, struct claim_answer *a) {
    static const char *const wide[] = {"F32", "F16"};
    double claimed = which ? 4 : 8, rows, blocks;
    int rc = wall_quant(wide[which], "I4", &rows, c->d);
    if (!rc) rc = wall_quant(wide[which], "Q4_0", &blocks, c->d);
    if (rc) return rc;
    snprintf(a->subject, sizeof a->subject, "INT4: %g times fewer bytes than %s", claimed, which ? "FP16" : "FP32");
    a->is = a->high = rows;
    a->low = blocks;
    a->unit = "x fewer";
    a->kind = "exact";
    a->range = "a step for 32 values, a step a row";
    a->verdict =
        judge_cases((judge_rounded(rows, 1) == claimed) + (judge_rounded(blocks, 1) == claimed), 2, VERDICT_WHERE);
    snprintf(a->why, sizeof a->why, "llama3-8b as stored, steps included%s",
             a->verdict == VERDICT_WHERE ? ": with a step a row" : "");
    return 0;
}

static int ask_pruning(struct claims *c, int which, struct claim_answer *a) {
    (void)c;
    snprintf(a->subject, sizeof a->subject,
             which ? "80 %% of weights pruned unstructured, little accuracy lost"
                   : "30 %% of weights pruned structured, little accuracy lost");
    a->is = a->low = a->high = which ? wall_sparse(0.2, 16) : 1 / 0.7;
    if (which) a->low = wall_sparse(0.2, 4);
    a->unit = "x fewer bytes";
    a->kind = "exact";
    a->range = which ? "weights of 4 and 16 bits, a mask of 1 bit" : "any width";
    snprintf(a->why, sizeof a->why, "the bytes follow; accuracy is not measured here: no pruned model is at hand");
    return 0;
}

const struct claim claims_wall[] = {
    {"growth figures", NULL, "a fit of the figure's own points rounds to the printed number", WALL_PRINTED, ask_growth},
    {"growth figures", NULL, "the same in 20 years, to one digit", 6, ask_growth_20},
    {"growth figures", NULL, "the ratio of both growths is above 1 in all of its interval", 5, ask_gap},
    {"thesis", "memory bounds decoding in small batches",
     "memory has the largest share of the critical path at one user, on all machines and models looked at", 0,
     ask_small_batch},
    {"after Wulf and McKee 1995", "20 % of misses bind a program to memory when a miss costs over 5 cycles",
     "misses take longer than the rest at 5 cycles or fewer, overlapped or not", 0, ask_misses},
    {"arithmetic intensity", "generation (GPT-2) does fewer operations a byte than encoders (BERT)",
     "at each length, by exact counts", 0, ask_intensity},
    {"arithmetic intensity", "GPT-2 is slower than BERT with fewer operations",
     "at each length, beside both encoders, on all cards looked at", 0, ask_slower},
    {"scaling out", "more cards pay only with little communication",
     "all cases faster than one card spend a smaller part of a token on messages than all that are not", 0,
     ask_scale_out},
    {"solutions", "rematerialisation: 5 times less activation memory for 20 % more computing",
     "more than 5 times less for at most 20 % more", 0, ask_remat},
    {"solutions", "ZeRO trains models 8 times larger on as many cards", "rounds to 8 times, on 8 to 1024 cards", 0,
     ask_zero},
    {"solutions", NULL, "rounds to it as stored, with a step a row and a step for 32 values", 2, ask_int4},
    {"solutions", NULL, "a model pruned so much loses little accuracy, measured", 2, ask_pruning},
    {0}};
