/* The closed form against the simulator, which walks every step and message: random plans on described clusters and on
 * clusters of random numbers. */
#include "analysis/random_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stats.h"
#include "check.h"

enum { CASES = 1200, AGAIN = 20 };

struct cases {
    struct errors {
        int n;
        double total[CASES], prefill[CASES], share[CASES]; /* of simulate's time, %; share: the most that one is off */
    } error[2][RANDOM_KINDS]; /* clusters described, and random */
    double setup_s[RANDOM_KINDS],
        again_s[RANDOM_KINDS]; /* of processor time: an estimator with its first estimate; AGAIN more */
    int timed[RANDOM_KINDS];
};

static double seconds(void) { /* of processor time */
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double off(uint64_t estimate, uint64_t walked) {
    return 100 * fabs((double)estimate - (double)walked) / (double)walked;
}

static double share_off(const struct net_stamp *a, const struct net_stamp *b) {
    double most = 0;
    for (int i = 0; i < NET_SHARES; i++)
        most = fmax(most, 100 * fabs((double)a->share[i] / (double)a->ps - (double)b->share[i] / (double)b->ps));
    return most;
}

static void check_shares(const struct net_stamp *t) {
    uint64_t sum = 0;
    for (int i = 0; i < NET_SHARES; i++) {
        sum += t->share[i];
        CHECK(t->share[i] <= t->ps, "a share of more than all");
    }
    CHECK(sum == t->ps && sum > 0, "shares do not sum to the time");
}

/* Times more estimates, of other numbers of tokens. */
static void time_again(struct cases *all, enum random_kind kind, struct estimator *e, struct estimate_job job) {
    struct estimate est;
    struct diag d;
    double t = seconds();
    int n_new = job.n_new;
    for (int i = 0; i < AGAIN; i++) {
        job.n_new = n_new + i % 7;
        CHECK(estimator_run(e, &job, &est, &d) == 0, "%s", d.text);
    }
    all->again_s[kind] += seconds() - t;
    all->timed[kind]++;
}

static void compare(struct cases *all, const struct random_plan *o, const struct estimate *est) {
    struct errors *e = &all->error[o->random][o->kind];
    struct net_stamp total;
    struct diag d = {0};
    uint64_t prefill;
    int rc = random_plan_walk(o, &prefill, &total, &d);
    CHECK(rc == 0, "%s: %s", o->st.text, d.text);
    if (rc) return;
    check_shares(&est->total);
    check_shares(&est->prefill);
    CHECK(est->decode_ps == est->total.ps - est->prefill.ps, "decode is not the rest");
    e->total[e->n] = off(est->total.ps, total.ps);
    e->prefill[e->n] = off(est->prefill.ps, prefill);
    e->share[e->n++] = share_off(&est->total, &total);
}

static void check_one(struct cases *all, int number) {
    struct random_plan o;
    struct estimator *e = NULL;
    struct estimate est = {0};
    struct diag d = {0};
    int rc = random_plan_init(&o, number, &d);
    double t = seconds();
    if (!rc) rc = estimator_new(&e, o.plan, &o.cluster, &d);
    if (!rc) rc = estimator_run(e, &o.job, &est, &d);
    CHECK(rc == 0 || rc == ERR_PLAN, "case %d, %s: %s", number, o.st.text, d.text);
    if (!rc) {
        all->setup_s[o.kind] += seconds() - t;
        time_again(all, o.kind, e, o.job);
        compare(all, &o, &est);
    }
    estimator_free(e);
    random_plan_fini(&o);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of values in order. */
static double at_part(const double *v, int n, double part) {
    return v[(int)(part * (n - 1) + 0.5)];
}

static void print_errors(const char *what, double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    printf("  %s %.3f %.3f %.3f", what, at_part(v, n, 0.5), at_part(v, n, 0.95), at_part(v, n, 1));
}

static void print_speed(const char *what, int n, double again_s, double setup_s) {
    printf("%-7s estimates/s of a plan at hand %.0f, with its first %.0f (measured, processor time, n = %d x %d, %d)\n",
           what, AGAIN * n / again_s, n / setup_s, n, AGAIN, n);
}

/* Bounds are what was reached, rounded up. */
static int report(struct cases *all) {
    int n = 0;
    puts("|estimated - simulated|, % of simulated: p50, p95, max; shares of the total in points");
    for (int random = 0; random < 2; random++)
        for (int k = 0; k < RANDOM_KINDS; k++) {
            struct errors *e = &all->error[random][k];
            CHECK(e->n > 20, "only %d cases of %s could be run", e->n, random_kind_name[k]);
            if (e->n == 0) continue;
            printf("%-9s %-7s n %4d", random ? "random" : "described", random_kind_name[k], e->n);
            print_errors("total", e->total, e->n);
            print_errors("prefill", e->prefill, e->n);
            print_errors("shares", e->share, e->n);
            puts("");
            CHECK(at_part(e->total, e->n, 0.5) <= 0.1, "%s: half of the totals are off by more", random_kind_name[k]);
            CHECK(at_part(e->total, e->n, 0.95) <= 1, "%s: 5 %% of the totals are off by more", random_kind_name[k]);
            CHECK(at_part(e->prefill, e->n, 0.95) <= 1, "%s: 5 %% of the prompts are off by more", random_kind_name[k]);
            CHECK(at_part(e->share, e->n, 0.5) <= 1, "%s: half of the shares are off by more", random_kind_name[k]);
            n += e->n;
        }
    double again_s = 0, setup_s = 0;
    for (int k = 0; k < RANDOM_KINDS; k++) {
        print_speed(random_kind_name[k], all->timed[k], all->again_s[k], all->setup_s[k]);
        again_s += all->again_s[k];
        setup_s += all->setup_s[k];
    }
    print_speed("all", n, again_s, setup_s);
    return n;
}

/* Messages that share a link are refused. */
static void check_refusal(void) {
    struct random_plan o;
    struct estimate est;
    struct diag d = {0};
    int rc = random_plan_init(&o, RANDOM_TP, &d);
    CHECK(rc == 0, "%s", d.text);
    o.cluster.net.tier[0].link.medium = NET_FIFO;
    rc = plan_estimate(&est, o.plan, &o.cluster, &o.job, &d);
    CHECK(rc == ERR_PLAN && strstr(d.text, "share"), "%s", d.text);
    o.cluster.net.tier[0].link.medium = NET_PRIVATE;
    o.job.prompt_len = RANDOM_MOST_TOKENS + 1;
    CHECK(plan_estimate(&est, o.plan, &o.cluster, &o.job, &d) == ERR_PLAN, "a prompt beyond the context");
    random_plan_fini(&o);
}

/* The same number, the same plan and times; another one, others. */
static void check_again(void) {
    struct random_plan o[3];
    struct estimate est[3];
    struct diag d = {0};
    for (int i = 0; i < 3; i++) {
        int rc = random_plan_init(&o[i], RANDOM_HYBRID + RANDOM_KINDS * (i == 2), &d);
        if (!rc) rc = plan_estimate(&est[i], o[i].plan, &o[i].cluster, &o[i].job, &d);
        CHECK(rc == 0, "%s", d.text);
    }
    CHECK(o[0].plan->hash == o[1].plan->hash && est[0].total.ps == est[1].total.ps, "a number made two plans");
    CHECK(o[0].plan->hash != o[2].plan->hash && est[0].total.ps != est[2].total.ps, "two numbers made one plan");
    for (int i = 0; i < 3; i++)
        random_plan_fini(&o[i]);
}

int main(void) {
    static struct cases all;
    for (int i = 0; i < CASES; i++)
        check_one(&all, i);
    int n = report(&all);
    CHECK(n >= 1000, "only %d of %d cases could be run", n, CASES);
    check_refusal();
    check_again();
    return check_report("test_estimate");
}
