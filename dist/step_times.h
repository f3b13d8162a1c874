/* step_times.h - what the engine's steps take on this rank beside what a card's bandwidths and rates say: small
 * decoders with synthetic weights run (step_bench.c), and the numbers of a card that fit their times (step_fit.c). */
#ifndef DIST_STEP_TIMES_H
#define DIST_STEP_TIMES_H

#include <stddef.h>

#include "collectives/link.h"
#include "dist/sampler.h"
#include "partition/plan.h"

/* ---- fitting ---- */

/* One kind of step in one phase of a job; sums over its passes. */
struct step_point {
    enum step_kind kind;
    int outer; /* 1: what is read comes from memory; 0: it stays in the cache */
    int single; /* each pass has one token: products wait for what they read */
    double steps, tokens, bytes;
    double compute_s; /* its operations at the rates of the products' kernels */
    double seconds; /* measured: the median step times their number */
};

/* What lies between the steps of a pass of one token, and between two passes; medians. */
struct pass_point {
    double between_s, around_s;
};

struct step_fit {
    double Bps[2]; /* what products read: from the cache, from memory; 0: not measured */
    double pass_s, token_s, sequence_s; /* overheads of a pass, an embedded and a sampled token */
    double overhead_s[STEP_COUNT]; /* of each kind, walking to it included; NaN: no such step was measured */
    double efficiency[STEP_COUNT]; /* share of the rates that its arithmetic reaches; NaN: it has none */
};

/* t = a + b x with the least squares of relative errors, none below 0; n >= 1, t > 0. Local. */
void fit_line(const double *x, const double *t, int n, double *a, double *b);
/* The same of errors in parts of `scale` (> 0); t may be anything. Local. */
void fit_line_by(const double *x, const double *t, const double *scale, int n, double *a, double *b);

/* The first point of the second of two lines, of three points at least each, whose squares are less than a quarter of
 * one line's; 0: one line will do. worst: the greatest relative error of one line, and of the two (or the one again).
 * Points in the order of x; n <= 64. Local. */
int fit_break(const double *x, const double *t, int n, double worst[2]);

/* Bandwidths from products of passes of one token; then of each kind the overhead and the efficiency with the least
 * squares of relative errors, a step's time being overhead + max(bytes / bandwidth, compute / efficiency). Of embedding
 * and sampling the part that is paid a token goes to token_s and sequence_s. Local. */
void step_fit(struct step_fit *out, const struct step_point *p, int n, const struct pass_point *pass, int n_pass);

/* ---- measuring ---- */

enum { STEP_JOBS = 3, STEP_POINTS = STEP_JOBS * 2 * STEP_COUNT };

struct step_bench;

/* Decoders of Q8_0 with one thread: two that stay in a cache of cache_bytes, one of twice last_bytes. ERR_MEMORY,
 * ERR_PLAN. Local. */
int step_bench_open(struct step_bench **out, size_t cache_bytes, size_t last_bytes, const struct sampler_params *s,
                    struct diag *d);
void step_bench_close(struct step_bench *b); /* NULL accepted */

/* Runs each job some times, all ranks of `world` at once (alone: rank 0 the one that leaves the cache, while the others
 * wait), and keeps the median of each kind of step, which is not that
 * of the steps that the system interrupted: of the slowest rank. Collective. */
int step_bench_run(struct step_bench *b, struct link *world, int alone, struct diag *d);
/* What is done where the ranks of a replica would meet: `sum` behind the two products of a layer that are summed, in
 * passes of one token; `pass` behind each pass. NULL: nothing. */
struct step_meeting {
    void (*sum)(void *user), (*pass)(void *user);
    void *user;
};
enum { STEP_SHORT = 0, STEP_LONG = 2 }; /* jobs: of the smallest widths, and the one that leaves the cache */

/* Most passes of one token behind a prompt of one that a job has room for. */
int step_bench_passes(int job);
/* Runs a job on this rank with a prompt of one token, then so many passes; the times of its steps are not kept.
 * Means, seconds (0: none), as a token has them: of a layer from one `sum` to the one of the next layer, and of a pass
 * from the end of `pass` to the next one's. Local. */
int step_bench_meet(struct step_bench *b, int job, int passes, const struct step_meeting *m, double *layer_s,
                    double *pass_s, struct diag *d);

/* The points of the last run; op_s: seconds of an operation. Returns their number. Local. */
int step_bench_points(const struct step_bench *b, const double op_s[PREC_COUNT], struct step_point p[STEP_POINTS],
                      struct pass_point pass[STEP_JOBS]);

#endif
