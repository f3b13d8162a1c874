#include "roofline.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/agree.h"

const char *const roof_phase_names[ROOF_PHASES] = {"decode", "prefill"};

/* ---- probing ---- */

void roof_probe(const struct runner *r, const struct probe *probe, struct roof_rates *out) {
    const struct plan *p = r->plan;
    int turns = p->opts.n_micro == 1 ? p->n_stages : 1, mine = p->ranks[r->link->rank].stage % turns, streams;
    int threads = p->opts.decoder.threads;
    for (int turn = 0; turn < turns; turn++) {
        agree_barrier(r->link);
        if (turn != mine) continue;
        out->read_Bps = probe_read_Bps(probe, threads, &streams);
        for (int k = 0; k < PEAK_COUNT; k++)
            out->peak_Ops[k] = peak_Ops((enum peak_kind)k, threads);
    }
    agree_barrier(r->link);
}

/* ---- the path ---- */

/* Waiting for another stage is that stage's time, counted there. */
static double step_seconds(const struct engine_stats *s, int kind) {
    int between = kind == STEP_RECV_HIDDEN || kind == STEP_RECV_TOKEN;
    return s->seconds[kind] - (between ? s->wait_seconds[kind] : 0);
}

static double worked_seconds(const struct roof_sample *samples, int n, int n_ranks, int rank, int phase) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < STEP_COUNT; k++) {
            const struct engine_stats *s = &samples[(size_t)i * (size_t)n_ranks + (size_t)rank].stats[phase];
            sum += s->seconds[k] - s->wait_seconds[k];
        }
    return sum;
}

/* Of each stage of a replica the rank that worked longest; returns the time of all of them. */
static double path_of(const struct plan *p, const struct roof_sample *samples, int n, int phase, int replica,
                      int *rank) {
    double sum = 0;
    for (int stage = 0; stage < p->n_stages; stage++) {
        double longest = -1;
        for (int i = 0; i < p->stages[stage].size; i++) {
            int r = replica * p->ranks_per_replica + p->stages[stage].first + i;
            double t = worked_seconds(samples, n, p->n_ranks, r, phase);
            if (t <= longest) continue;
            longest = t;
            rank[stage] = r;
        }
        sum += longest;
    }
    return sum;
}

static void choose_path(struct roof_phase *f, const struct plan *p, const struct roof_sample *samples, int n,
                        int phase) {
    double longest = -1;
    int slowest = 0;
    f->n_ranks = p->n_stages;
    for (int r = 0; r < p->strategy.dp; r++) {
        double t = path_of(p, samples, n, phase, r, f->rank);
        if (t <= longest) continue;
        longest = t;
        slowest = r;
    }
    path_of(p, samples, n, phase, slowest, f->rank);
}

/* ---- figures ---- */

/* One run of one kind of step along the path, a pass. */
struct cell {
    double calls, bytes, ops[PEAK_COUNT], ms, waited_ms, memory_ms, compute_ms, bound_ms;
};

/* Operations of both kinds can run side by side, so the larger time is the bound. */
static void add_rank_step(struct cell *c, const struct plan_totals *t, const struct roof_sample *s, int phase,
                          int kind) {
    const struct engine_stats *stats = &s->stats[phase];
    double passes = stats->work.passes ? (double)stats->work.passes : 1;
    double ops[PEAK_COUNT] = {0}, bytes = (t->weight_bytes + t->kv_bytes) / passes, compute = 0;
    for (int k = 0; k < PREC_COUNT; k++)
        ops[peak_of((enum precision)k)] += t->ops[k] / passes;
    for (int k = 0; k < PEAK_COUNT; k++) {
        double ms = 1e3 * ops[k] / s->rates.peak_Ops[k];
        compute = ms > compute ? ms : compute;
        c->ops[k] += ops[k];
    }
    double memory = 1e3 * bytes / s->rates.read_Bps, ms = 1e3 * step_seconds(stats, kind) / passes;
    c->calls += t->steps / passes;
    c->bytes += bytes;
    c->ms += ms;
    c->waited_ms += 1e3 * stats->wait_seconds[kind] / passes - (1e3 * stats->seconds[kind] / passes - ms);
    c->memory_ms += memory;
    c->compute_ms += compute;
    c->bound_ms += memory > compute ? memory : compute;
}

/* cells[STEP_COUNT + 1] of one run; the last is the sum. */
static void fill_cells(struct cell *cells, const struct roof_phase *f, const struct plan *p,
                       const struct roof_sample *run, int phase) {
    struct plan_totals totals[STEP_COUNT];
    memset(cells, 0, (STEP_COUNT + 1) * sizeof *cells);
    for (int i = 0; i < f->n_ranks; i++) {
        const struct roof_sample *s = &run[f->rank[i]];
        plan_step_totals(p, f->rank[i], &s->stats[phase].work, totals);
        for (int k = 0; k < STEP_COUNT; k++) {
            add_rank_step(&cells[k], &totals[k], s, phase, k);
            add_rank_step(&cells[STEP_COUNT], &totals[k], s, phase, k);
        }
    }
}

enum column { CALLS, BYTES, OPS_INT8, OPS_F32, MS, WAITED, MEMORY, COMPUTE, BOUND, FRACTION };

static double column_of(const struct cell *c, enum column col) {
    switch (col) {
    case CALLS: return c->calls;
    case BYTES: return c->bytes;
    case OPS_INT8: return c->ops[PEAK_INT8];
    case OPS_F32: return c->ops[PEAK_F32];
    case MS: return c->ms;
    case WAITED: return c->waited_ms;
    case MEMORY: return c->memory_ms;
    case COMPUTE: return c->compute_ms;
    case BOUND: return c->bound_ms;
    case FRACTION: return c->ms > 0 ? c->bound_ms / c->ms : 0;
    }
    return 0;
}

/* cells[n][STEP_COUNT + 1]; v[n] is scratch. */
static struct stats_median median_of(const struct cell *cells, int n, int kind, enum column col, double *v) {
    for (int i = 0; i < n; i++)
        v[i] = column_of(&cells[(size_t)i * (STEP_COUNT + 1) + (size_t)kind], col);
    return stats_median(v, n);
}

static double mean_of(const struct cell *cells, int n, int kind, enum column col) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += column_of(&cells[(size_t)i * (STEP_COUNT + 1) + (size_t)kind], col);
    return sum / n;
}

static void fill_row(struct roof_row *row, const struct cell *cells, int n, int kind, double *v) {
    row->calls = mean_of(cells, n, kind, CALLS);
    row->bytes = mean_of(cells, n, kind, BYTES);
    row->ops[PEAK_INT8] = mean_of(cells, n, kind, OPS_INT8);
    row->ops[PEAK_F32] = mean_of(cells, n, kind, OPS_F32);
    row->ms = median_of(cells, n, kind, MS, v);
    row->fraction = median_of(cells, n, kind, FRACTION, v);
    row->waited_ms = median_of(cells, n, kind, WAITED, v).median;
    row->memory_ms = median_of(cells, n, kind, MEMORY, v).median;
    row->compute_ms = median_of(cells, n, kind, COMPUTE, v).median;
    row->bound_ms = median_of(cells, n, kind, BOUND, v).median;
}

/* Mean over the ranks of the path in each run; col -1 is the read bandwidth. */
static struct stats_median rate_of(const struct roof_phase *f, const struct roof_sample *samples, int n, int n_ranks,
                                   int col, double *v) {
    for (int i = 0; i < n; i++) {
        v[i] = 0;
        for (int k = 0; k < f->n_ranks; k++) {
            const struct roof_rates *r = &samples[(size_t)i * (size_t)n_ranks + (size_t)f->rank[k]].rates;
            v[i] += 1e-9 * (col < 0 ? r->read_Bps : r->peak_Ops[col]) / f->n_ranks;
        }
    }
    return stats_median(v, n);
}

static struct stats_median wall_of(const struct roof_sample *samples, int n, int n_ranks, int phase, double *v) {
    for (int i = 0; i < n; i++) {
        const struct roof_sample *first = &samples[(size_t)i * (size_t)n_ranks];
        int64_t passes = first->stats[phase].work.passes;
        v[i] = 1e3 * first->wall_s[phase] / (passes ? (double)passes : 1);
    }
    return stats_median(v, n);
}

static void fill_phase(struct roof_phase *f, const struct plan *p, const struct roof_sample *samples, int n, int phase,
                       struct cell *cells, double *v) {
    choose_path(f, p, samples, n, phase);
    for (int i = 0; i < n; i++)
        fill_cells(cells + (size_t)i * (STEP_COUNT + 1), f, p, samples + (size_t)i * (size_t)p->n_ranks, phase);
    for (int k = 0; k <= STEP_COUNT; k++)
        fill_row(&f->row[k], cells, n, k, v);
    double all = f->row[STEP_COUNT].ms.median;
    for (int k = 0; k <= STEP_COUNT; k++)
        f->row[k].share = all > 0 ? f->row[k].ms.median / all : 0;
    f->wall_ms = wall_of(samples, n, p->n_ranks, phase, v);
    f->read_GBps = rate_of(f, samples, n, p->n_ranks, -1, v);
    for (int k = 0; k < PEAK_COUNT; k++)
        f->peak_GOps[k] = rate_of(f, samples, n, p->n_ranks, k, v);
    const struct plan_work *w = &samples[f->rank[0]].stats[phase].work;
    f->passes = (double)w->passes;
    f->tokens = w->passes ? (double)w->tokens / (double)w->passes : 0;
    f->positions = w->tokens ? (double)w->ctx_sum / (double)w->tokens : 0;
}

int roof_make(struct roofline *out, const struct plan *p, const struct roof_sample *samples, int n, struct diag *d) {
    memset(out, 0, sizeof *out);
    struct cell *cells = calloc((size_t)n * (STEP_COUNT + 1), sizeof *cells);
    double *v = calloc((size_t)n, sizeof *v);
    int rc = cells && v ? 0 : diag_set(d, ERR_MEMORY, "no memory for the roofline of %d runs", n);
    for (int f = 0; f < ROOF_PHASES && !rc; f++) {
        out->phase[f].rank = calloc((size_t)p->n_stages, sizeof(int));
        if (!out->phase[f].rank)
            rc = diag_set(d, ERR_MEMORY, "no memory for the path of %d stages", p->n_stages);
        else
            fill_phase(&out->phase[f], p, samples, n, f, cells, v);
    }
    free(cells);
    free(v);
    if (rc) roof_fini(out);
    return rc;
}

void roof_fini(struct roofline *r) {
    for (int f = 0; f < ROOF_PHASES; f++)
        free(r->phase[f].rank);
    memset(r, 0, sizeof *r);
}
