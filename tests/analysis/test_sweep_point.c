/* Points of a sweep that share plans and traces give what each gives with a plan of its own, bit for bit. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/sweep_run.h"
#include "base/hash.h"
#include "check.h"

volatile int app_stop; /* main.c's */

enum { TIMES = 2000, ALIKE = 8 /* points in a row that differ in few axes */ };

/* All that a plan depends on, and all that it does not: rates and latencies change which all-reduce is chosen,
 * capacities how long a chunk is and whether a plan fits at all. */
static const char text[] = "schema: northwall-sweep\nversion: 1\n"
                           "base: {model: smollm-135m, cluster: cluster-configs/h100-sxm-8.yaml, prompt: 24}\n"
                           "axes:\n"
                           "  engine: [estimate, estimate, estimate, simulate]\n"
                           "  strategy: [\"1\", tp2, tp3, tp8, pp4, tp2xpp3, tp2xkvp2, dp2xtp4, \"stages:1*2,4/0\"]\n"
                           "  users: [1, 4, 9]\n"
                           "  generate: [1, 7]\n"
                           "  kv: [f16, int8]\n"
                           "  allreduce: [auto, ring, tree]\n"
                           "  wire: [f32, int8]\n"
                           "  straggler: [0=1, 1=0.5]\n"
                           "  capacity.HBM3: [0.0005, 0.002, 0.004, 1]\n"
                           "  memory-bandwidth: {from: 0.01, to: 100, n: 9, scale: log}\n"
                           "  compute: [0.01, 1]\n"
                           "  link-bandwidth: {from: 0.0001, to: 100, n: 13, scale: log}\n"
                           "  link-latency: [0 us, 20 us]\n";

static int same(const struct sweep_outcome *a, const struct sweep_outcome *b) {
    return !strcmp(a->reason, b->reason) && a->plan_hash == b->plan_hash && a->n == b->n &&
           !memcmp(a->value, b->value, (size_t)a->n * sizeof *a->value);
}

/* A prompt that no simulation takes is refused behind one that it takes, too. */
static void check_refused(const struct app *app) {
    static const char two[] = "schema: northwall-sweep\nversion: 1\n"
                              "base: {model: smollm-135m, cluster: cluster-configs/h100-sxm-8.yaml, generate: 1}\n"
                              "axes: {prompt: [24, 1048577]}\n";
    struct diag d = {0};
    struct sweep *s = NULL;
    struct sweep_cache *cache = sweep_cache_new(app);
    struct sweep_point *p = malloc(sizeof *p);
    CHECK(sweep_parse(&s, NW_SOURCE_DIR "/spec.yaml", two, sizeof two - 1, &d) == 0, "%s", d.text);
    for (int i = 0; i < 2 && s && cache && p; i++) {
        struct sweep_outcome o;
        sweep_point(p, s, i);
        sweep_do(&o, cache, p);
        CHECK(i ? strstr(o.reason, "1 to 1048576") != NULL : !o.reason[0], "prompt %d: '%s'", i, o.reason);
    }
    sweep_cache_free(cache);
    sweep_free(s);
    free(p);
}

int main(void) {
    struct diag d = {0};
    struct sweep *s = NULL;
    struct app app = {.world = link_self_new(), .size = 1, .cores = 1};
    struct sweep_cache *shared = sweep_cache_new(&app);
    struct sweep_point *p = malloc(sizeof *p);
    int failed = 0;
    CHECK(sweep_parse(&s, NW_SOURCE_DIR "/spec.yaml", text, sizeof text - 1, &d) == 0, "%s", d.text);
    for (uint64_t i = 0; i < TIMES && s && shared && p; i++) {
        struct sweep_outcome with, alone;
        struct sweep_cache *own = sweep_cache_new(&app);
        uint64_t first = rng_u64(1, i / ALIKE), n = (uint64_t)sweep_points(s);
        sweep_point(p, s, (long)((first + rng_u64(2, i) % (9 * 2 * 13 * 2)) % n));
        sweep_do(&with, shared, p);
        sweep_do(&alone, own, p);
        CHECK(same(&with, &alone), "point %llu: %s: %s, alone %s", (unsigned long long)i, p->word[2], with.reason,
              alone.reason);
        failed += with.reason[0] != 0;
        sweep_cache_free(own);
    }
    CHECK(failed > TIMES / 50 && failed < 3 * TIMES / 4, "%d of %d points do not fit", failed, TIMES);
    check_refused(&app);
    sweep_cache_free(shared);
    sweep_free(s);
    free(p);
    link_free(app.world);
    return check_report("analysis-sweep-point");
}
