/* Quality beside one rank and full precision, on ranks that are threads: divergences beside long double sums, 0 to the
 * bit for all that is labelled bit-exact, more than 0 for all that changes a prediction. */
#include "quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "models/kernels.h"

volatile int app_stop; /* main.c's */

/* ---- divergences ---- */

enum { N = 37 };

static float draw(uint64_t key, int i) {
    return 16 * (rng_unit(key, (uint64_t)i) - 0.5f);
}

/* By the definition, sum p (ln p - ln q), in long double. */
static double naive(const float *a, const float *b) {
    long double za = 0, zb = 0, kl = 0;
    for (int i = 0; i < N; i++) {
        za += expl((long double)a[i]);
        zb += expl((long double)b[i]);
    }
    for (int i = 0; i < N; i++)
        kl += expl((long double)a[i]) / za * ((long double)a[i] - (long double)b[i] - logl(za) + logl(zb));
    return (double)kl;
}

static struct divergence compare(const float *a, const float *b) {
    return quality_compare(a, quality_log_sum(a, N), b, quality_log_sum(b, N), N);
}

static void check_divergence(void) {
    float a[N], b[N];
    for (uint64_t key = 0; key < 200; key++) {
        double size = pow(10, -(double)(key % 8)), most = 0;
        for (int i = 0; i < N; i++) {
            a[i] = draw(2 * key, i);
            b[i] = a[i] + (float)size * draw(2 * key + 1, i) / 8;
            most = fmax(most, fabs((double)a[i] - (double)b[i]));
        }
        struct divergence got = compare(a, b), same = compare(a, a);
        double want = naive(a, b);
        CHECK(fabs(got.kl - want) <= 1e-9 * want + 1e-17, "%g of differences of %g, %g expected", got.kl, size, want);
        CHECK(got.kl > 0 && got.kl <= quality_kl_bound(most), "%g, bound %g", got.kl, quality_kl_bound(most));
        CHECK(got.most == most, "%g, not %g", got.most, most);
        CHECK(same.kl == 0 && same.most == 0 && same.same_best == 1, "%g of itself", same.kl);
    }
    for (int i = 0; i < N; i++)
        b[i] = a[i] + 1; /* exactly: the same distribution */
    CHECK(compare(a, b).kl < 1e-12 && compare(a, b).most > 0.9, "%g of a shift", compare(a, b).kl);
    memcpy(b, a, sizeof a);
    b[5] = 1000; /* no probability is left for the others */
    struct divergence far = compare(a, b);
    CHECK(isfinite(far.kl) && far.kl > 900 && !far.same_best, "%g", far.kl);
}

/* ---- measured ---- */

static const char text[] = "And God said unto Moses, Thus saith the LORD God of Israel, and the people went out of the "
                           "city, and they that were with him rose up early in the morning, and it came to pass.";
static struct quality_store *store;

/* words: options, separated by spaces. */
static int measure(struct quality *q, const char *model, const char *words, struct diag *d) {
    char buf[256], *word[40] = {"--model", (char *)model, "--text", (char *)text, "--quiet", "--window", "48"}, *save;
    static struct app app;
    const struct cmd *c = NULL;
    int n = 7;
    for (int i = 0; cmds[i]; i++)
        if (!strcmp(cmds[i]->name, "quality")) c = cmds[i];
    snprintf(buf, sizeof buf, "%s", words);
    for (char *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save))
        word[n++] = w;
    app = (struct app){.world = link_self_new(), .size = 1, .cores = 2};
    *d = (struct diag){0};
    int rc = opts_parse(&app.spec, c, n, word, d);
    if (!rc) rc = quality_measure(q, store, &app, d);
    link_free(app.world);
    return rc;
}

static void check_exact(const char *model, const char *words) {
    struct quality q;
    struct diag d;
    int rc = measure(&q, model, words, &d);
    CHECK(rc == 0, "%s: %s", words, d.text);
    const struct quality_against *one = &q.against[QUALITY_ONE_RANK];
    if (rc) return;
    CHECK(q.label == COLL_BIT_EXACT && quality_checked(&q), "%s: %s", words, coll_label_name(q.label));
    CHECK(one->changed == 0 && one->kl.mean == 0 && one->most_kl == 0 && one->dnll.mean == 0 && one->most_logit == 0 &&
              one->same_best.mean == 1,
          "%s: %ld changed, KL %g", words, one->changed, one->kl.mean);
}

/* What is labelled less than exact, and changes something: KL above 0, within the bound for its largest change. */
static void check_changed(const char *model, const char *words, enum coll_label label, double most_kl) {
    struct quality q;
    struct diag d;
    int rc = measure(&q, model, words, &d);
    CHECK(rc == 0, "%s: %s", words, d.text);
    if (rc) return;
    const struct quality_against *one = &q.against[QUALITY_ONE_RANK];
    CHECK(q.label == label, "%s: %s", words, coll_label_name(q.label));
    CHECK(one->changed > 0 && one->kl.mean > 0 && one->most_logit > 0, "%s: nothing changed", words);
    CHECK(one->kl.mean <= most_kl, "%s: KL %g", words, one->kl.mean);
    CHECK(one->most_kl <= quality_kl_bound(one->most_logit), "%s: KL %g of a change of %g", words, one->most_kl,
          one->most_logit);
}

static void check_algorithms(const char *model) {
    static const char *const modes[] = {"a16", "a8"};
    char words[128];
    for (int i = 0; coll_algos[i]; i++)
        for (int ranks = 1; ranks <= 5; ranks++)
            for (int m = 0; m < 2; m++) {
                if (coll_algos[i]->label != COLL_BIT_EXACT) continue;
                snprintf(words, sizeof words, "--ranks %d --allreduce %s --mode %s", ranks, coll_algos[i]->name,
                         modes[m]);
                check_exact(model, words);
            }
    for (int i = 0; kernel_sets[i]; i++) {
        if (kernels_select(kernel_sets[i]->name)) continue; /* not on this CPU */
        snprintf(words, sizeof words, "--ranks 3 --kernels %s", kernel_sets[i]->name);
        check_exact(model, words);
    }
    check_exact(model, "--chunk 1 --ranks 2");
    check_exact(model, "--chunk 5 --kv int8 --hidden int8 --ranks 4");
    check_exact(model, "--ranks 2 --allreduce ring"); /* one order only */
    check_exact(model, "--ranks 1 --drop-sync all"); /* nothing to drop */
}

/* Whether a sum that is exact to rounding promises anything of predictions. */
static void check_floats(const char *model, const char *words, int floats) {
    struct quality q;
    struct diag d;
    CHECK(measure(&q, model, words, &d) == 0, "%s: %s", words, d.text);
    CHECK(q.floats == floats && !quality_checked(&q) == !floats, "%s: %d", words, q.floats);
}

static void check_changes(const char *model) {
    check_changed(model, "--mode a16 --ranks 4 --allreduce ring", COLL_ROUNDING, QUALITY_ROUNDING_KL);
    check_changed(model, "--mode a16 --strategy kvp2", COLL_ROUNDING, QUALITY_ROUNDING_KL);
    check_floats(model, "--ranks 4 --allreduce ring", 1); /* weights are floats: so are activations */
    check_floats(model, "--ranks 4 --allreduce ring --mode a4", 0);
    check_floats(model, "--ranks 4 --allreduce ring --kv int8", 0);
    check_floats(model, "--ranks 4 --allreduce ring --hidden fp16", 0);
    check_changed(model, "--ranks 4 --wire fp16", COLL_APPROXIMATE, 1);
    check_changed(model, "--ranks 4 --wire int4 --allreduce twoshot", COLL_APPROXIMATE, 5);
    check_changed(model, "--ranks 2 --drop-sync 0", COLL_APPROXIMATE, 5);
}

/* The set is that of the layers that cost least alone. */
static void check_least(const char *model) {
    struct quality q, least[2];
    struct diag d;
    double cost[2] = {INFINITY, INFINITY};
    for (int l = 0; l < 4; l++) {
        char words[64];
        snprintf(words, sizeof words, "--ranks 2 --drop-sync %d", l);
        CHECK(measure(&q, model, words, &d) == 0, "%s", d.text);
        double c = q.against[QUALITY_ONE_RANK].dnll.mean;
        if (c < cost[0])
            cost[1] = cost[0], cost[0] = c;
        else if (c < cost[1])
            cost[1] = c;
    }
    CHECK(measure(&least[0], model, "--ranks 2 --drop-sync least:1", &d) == 0, "%s", d.text);
    CHECK(least[0].against[QUALITY_ONE_RANK].dnll.mean == cost[0], "layer %s", least[0].dropped);
    CHECK(measure(&least[1], model, "--ranks 2 --drop-sync least:2", &d) == 0, "%s", d.text);
    CHECK(strlen(least[1].dropped) == 3 && least[1].dropped[0] == least[0].dropped[0], "%s", least[1].dropped);
    CHECK(measure(&q, model, "--ranks 2 --drop-sync least:5", &d) == ERR_USAGE, "more layers than there are");
}

static void check_refused(const char *model, const char *other) {
    struct quality q;
    struct diag d;
    char words[512];
    CHECK(measure(&q, model, "--strategy pp2", &d) == ERR_USAGE, "%s", d.text);
    CHECK(measure(&q, model, "--ranks 65", &d) == ERR_RANGE, "%s", d.text);
    CHECK(measure(&q, model, "--strategy tp2 --ranks 3", &d) == ERR_PLAN, "%s", d.text);
    CHECK(measure(&q, model, "--ranks 2 --allreduce mpi", &d) != 0, "the library's, on threads");
    CHECK(measure(&q, model, "--ranks 2 --allreduce ring --wire int8", &d) == ERR_UNSUPPORTED, "%s", d.text);
    snprintf(words, sizeof words, "--reference %s", other);
    CHECK(measure(&q, model, words, &d) == ERR_MISMATCH, "%s", d.text);
    CHECK(measure(&q, model, "--windows 1 --skip 47", &d) == ERR_USAGE, "%s", d.text);
}

int main(void) {
    static const char f16[] = NW_SOURCE_DIR "/models/bundled/kjv-3m-f16.gguf";
    static const char stories[] = NW_TEST_DATA "/stories260K-f32.gguf";
    store = quality_store_new();
    check_divergence();
    check_algorithms(f16);
    check_changes(f16);
    check_least(f16);
    check_refused(f16, stories);
    quality_store_free(store);
    return check_report("quality");
}
