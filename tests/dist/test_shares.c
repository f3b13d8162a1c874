/* Plans whose shares follow the speeds of their cards: simulated they are hardly ever slower than the even ones, though
 * chosen by estimates, and those are as near as for other plans; where cards are equal there are none. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/random_plan.h"
#include "check.h"

enum { CASES = 280, CONTEXT = 24 };

/* The same plan with a short context, that all passes of the job which plan_share estimates are walked. */
static int shorten(struct random_plan *o, struct diag *d) {
    struct decoder_opts *c = &o->opts.decoder;
    plan_free(o->plan);
    o->plan = NULL;
    c->n_ctx = CONTEXT;
    c->max_tokens = c->n_seqs > CONTEXT ? c->n_seqs : CONTEXT;
    o->job = (struct estimate_job){c->n_seqs * o->st.dp, CONTEXT / 2, CONTEXT / 2, c->max_tokens};
    if (o->opts.top_candidates == 1) o->opts.top_candidates = 0; /* all rows of a rank */
    return plan_make(&o->plan, &o->shape, &o->st, strategy_ranks(&o->st), &o->opts, d);
}

static uint64_t walk(const struct random_plan *o, const struct plan *p) {
    struct random_plan other = *o;
    struct net_stamp total = {0};
    struct diag d = {0};
    uint64_t prefill_ps;
    other.plan = (struct plan *)(uintptr_t)p;
    CHECK(random_plan_walk(&other, &prefill_ps, &total, &d) == 0, "%s: %s", p->strategy.text, d.text);
    return total.ps;
}

struct count {
    int shared, even, slower, far;
    double gain; /* the greatest */
};

static void compare(const struct random_plan *o, const struct plan *p, struct count *n) {
    struct estimate e = {0};
    struct diag d = {0};
    uint64_t even = walk(o, o->plan), shared = walk(o, p);
    double gain = (double)even / (double)shared;
    CHECK(plan_estimate(&e, p, &o->cluster, &o->job, &d) == 0, "%s: %s", p->strategy.text, d.text);
    double off = (double)e.total.ps / (double)shared - 1;
    n->shared++;
    n->slower += shared > even;
    n->far += off > 0.005 || off < -0.005;
    if (gain > n->gain) n->gain = gain;
    CHECK(shared <= even + even / 100, "%s: %" PRIu64 " ps, %" PRIu64 " with even shares", p->strategy.text, shared,
          even);
    CHECK(p->n_ranks == o->plan->n_ranks && p->hash != o->plan->hash, "%s: the same plan", p->strategy.text);
    const struct plan_stage *last = &p->stages[p->n_stages - 1];
    for (int i = 0; i < last->size && o->opts.top_candidates == 0; i++)
        CHECK(last->vocab_begin[i + 1] - last->vocab_begin[i] <= p->opts.top_candidates,
              "%s: rank %d of the last stage offers %d candidates of all", p->strategy.text, i, p->opts.top_candidates);
}

static int equal_cards(const struct random_plan *o) {
    for (int i = 1; i < o->plan->n_ranks; i++)
        if (cluster_slow(&o->cluster, i).den != cluster_slow(&o->cluster, 0).den) return 0;
    return 1;
}

static void check_case(int number, struct count *n) {
    struct random_plan o;
    struct diag d = {0};
    struct plan *p = NULL;
    if (random_plan_init(&o, number, &d) == 0 && shorten(&o, &d) == 0) {
        uint64_t hash = o.plan->hash;
        CHECK(plan_share(&p, o.plan, &o.opts, &o.cluster, &d) == 0 && o.plan->hash == hash, "%s", d.text);
        CHECK(!p || !equal_cards(&o), "%s: other shares for equal cards", o.plan->strategy.text);
        CHECK(!p || o.st.kvp == 1 || o.st.n_stages > 1, "%s: other shares of a cache", o.plan->strategy.text);
        if (p)
            compare(&o, p, n);
        else
            n->even++;
    }
    plan_free(p);
    random_plan_fini(&o);
}

int main(void) {
    struct count n = {0};
    for (int i = 0; i < CASES; i++)
        check_case(i, &n);
    CHECK(n.shared > CASES / 8 && n.even > CASES / 8, "%d plans with other shares, %d even ones", n.shared, n.even);
    CHECK(n.slower <= n.shared / 20 && n.far <= n.shared / 20, "of %d plans %d are slower, %d estimates far off",
          n.shared, n.slower, n.far);
    printf(
        "%d of %d plans share by speed, up to %.2f times as fast; %d of them are slower, %d estimates are off by more "
        "than 0.5 %%\n",
        n.shared, n.shared + n.even, n.gain, n.slower, n.far);
    return check_report("test_shares");
}
