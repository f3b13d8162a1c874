/* The roofline from made-up times: the path of the slowest ranks, bounds, shares, and the commands of the picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "dist/topo.h"
#include "models/decoder/tiny.h"
#include "roofline.h"

enum { RUNS = 7, PASSES = 10, MAX_RANKS = 8 };

static struct plan *make(const char *strategy) {
    static const struct tiny tiny = {"llama", 4, 64, 4, 2, 16, 128, 100, 0, 0, 0, 0, 0};
    struct model_shape s;
    struct strategy st;
    struct plan *p = NULL;
    struct diag d = {0};
    struct plan_opts o = {
        .decoder =
            {.linear_bits = ACT_I8, .head_bits = ACT_I8, .n_seqs = 2, .n_ctx = 32, .threads = 1, .max_tokens = 8},
        .n_micro = 1,
        .top_candidates = 1};
    tiny_shape(&s, &tiny, "Q8_0", NULL);
    CHECK(strategy_parse(&st, strategy, &d) == 0 && plan_make(&p, &s, &st, strategy_ranks(&st), &o, &d) == 0, "%s",
          d.text);
    return p;
}

/* Rank r takes slow[r] seconds in each kind of step of a run; all wait for other stages half of a recv. */
static void fill(struct roof_sample *samples, const struct plan *p, const double *slow) {
    memset(samples, 0, RUNS * (size_t)p->n_ranks * sizeof *samples);
    for (int i = 0; i < RUNS; i++)
        for (int r = 0; r < p->n_ranks; r++) {
            struct roof_sample *s = &samples[i * p->n_ranks + r];
            struct engine_stats *st = &s->stats[ROOF_DECODE];
            st->work = (struct plan_work){PASSES, PASSES, 20 * PASSES, 20 * PASSES, PASSES, PASSES, 0};
            for (int k = 0; k < STEP_COUNT; k++)
                st->seconds[k] = slow[r];
            st->wait_seconds[STEP_RECV_HIDDEN] = st->wait_seconds[STEP_ATTN_REDUCE] = slow[r] / 2;
            s->wall_s[ROOF_DECODE] = 3;
            s->rates = (struct roof_rates){1e6, {1e9, 1e8}};
        }
}

static int near(double a, double b) {
    return fabs(a - b) <= 1e-9 * fabs(b);
}

static void check_path(void) {
    static const double slow[] = {0.1, 0.2, 0.4, 0.3, 0.1, 0.1, 0.3, 0.3};
    struct plan *p = make("dp2xtp2xpp2");
    struct roof_sample samples[RUNS * MAX_RANKS];
    struct roofline roof;
    struct diag d = {0};
    fill(samples, p, slow);
    CHECK(roof_make(&roof, p, samples, RUNS, &d) == 0, "%s", d.text);
    const struct roof_phase *f = &roof.phase[ROOF_DECODE];
    CHECK(f->n_ranks == 2 && f->rank[0] == 1 && f->rank[1] == 2, "ranks %d and %d of the slower replica", f->rank[0],
          f->rank[1]);
    CHECK(near(f->row[STEP_QKV].ms.median, 1e3 * (0.2 + 0.4) / PASSES), "%g ms", f->row[STEP_QKV].ms.median);
    CHECK(near(f->row[STEP_RECV_HIDDEN].ms.median, 1e3 * 0.5 * (0.2 + 0.4) / PASSES),
          "waiting for a stage is not time");
    CHECK(near(f->row[STEP_ATTN_REDUCE].ms.median, f->row[STEP_QKV].ms.median), "waiting inside a stage is");
    CHECK(near(f->row[STEP_COUNT].waited_ms, 1e3 * 0.5 * (0.2 + 0.4) / PASSES), "%g ms", f->row[STEP_COUNT].waited_ms);
    CHECK(f->tokens == 1 && f->positions == 20 && f->passes == PASSES && near(f->wall_ms.median, 300), "passes");
    CHECK(roof.phase[ROOF_PREFILL].passes == 0, "no prefill");
    roof_fini(&roof);
    plan_free(p);
}

static void check_bounds(void) {
    static const double slow[] = {0.5, 0.4};
    struct plan *p = make("tp2");
    struct roof_sample samples[RUNS * MAX_RANKS];
    struct roofline roof;
    struct diag d = {0};
    double share = 0, bound = 0, ms = 0;
    fill(samples, p, slow);
    CHECK(roof_make(&roof, p, samples, RUNS, &d) == 0, "%s", d.text);
    const struct roof_row *row = roof.phase[ROOF_DECODE].row, *up = &row[STEP_FFN_UP], *act = &row[STEP_FFN_ACT];
    /* a half of 2 matrices of 128 x 64 in 4 layers, 34 bytes for 32 weights; 10^6 bytes a second */
    CHECK(up->bytes == 4 * 128 * 68 && up->ops[PEAK_INT8] == 4 * 2 * 128 * 64 && up->calls == 4, "%g bytes", up->bytes);
    CHECK(near(up->memory_ms, up->bytes / 1e3) && near(up->compute_ms, up->ops[PEAK_INT8] / 1e6), "%g ms",
          up->memory_ms);
    CHECK(near(up->bound_ms, up->memory_ms) && near(up->fraction.median, up->bound_ms / 50), "%g", up->fraction.median);
    CHECK(act->bytes == 0 && near(act->bound_ms, act->ops[PEAK_F32] / 1e5) && act->bound_ms > 0, "%g", act->bound_ms);
    for (int k = 0; k < STEP_COUNT; k++) {
        share += row[k].share;
        bound += row[k].bound_ms;
        ms += row[k].ms.median;
    }
    CHECK(near(share, 1) && near(bound, row[STEP_COUNT].bound_ms) && near(ms, row[STEP_COUNT].ms.median), "the sum");
    roof_fini(&roof);
    plan_free(p);
}

/* Every number of the commands is finite, and every kind of step with bytes and operations has its label. */
static void check_plot(void) {
    static const double slow[] = {0.5};
    struct plan *p = make("1");
    struct roof_sample samples[RUNS];
    struct roofline roof;
    struct diag d = {0};
    char path[64] = "/tmp/northwall-roof-XXXXXX.gp", line[512];
    int labels = 0, fd = mkstemps(path, 3);
    CHECK(fd >= 0, "mkstemps");
    fill(samples, p, slow);
    CHECK(roof_make(&roof, p, samples, RUNS, &d) == 0, "%s", d.text);
    CHECK(roof_plot_check(path, &d) == 0 && roof_plot(&roof, p, path, &d) == 0, "%s", d.text);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        CHECK(!strstr(line, "nan") && !strstr(line, "inf"), "%s", line);
        labels += !strncmp(line, "set label \"ffn_up ", 18) || !strncmp(line, "set label \"attention ", 21);
    }
    CHECK(labels == 2, "%d of 2 labels", labels);
    if (f) fclose(f);
    close(fd);
    unlink(path);
    CHECK(roof_plot_check("roof.jpg", &d) == ERR_USAGE, "another ending");
    roof_fini(&roof);
    plan_free(p);
}

static void check_text(void) {
    static const struct {
        double n;
        const char *text;
    } cases[] = {{0, "0"},          {512, "512"},    {999.4, "999"},  {1024, "1.02 k"},
                 {45100, "45.1 k"}, {1e9, "1.00 G"}, {3e15, "3000 T"}};
    char buf[24];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(!strcmp(roof_count(buf, sizeof buf, cases[i].n), cases[i].text), "%s, not %s", buf, cases[i].text);
}

int main(void) {
    check_path();
    check_bounds();
    check_plot();
    check_text();
    CHECK(topo_last_level_cache_bytes() < (size_t)1 << 40, "%zu bytes of cache", topo_last_level_cache_bytes());
    return check_report("roofline");
}
