/* roofline.h - measured time of each kind of step against what the machine allows: measuring and figures (roofline.c),
 * text and JSON (roofline_report.c), picture (roofline_plot.c).
 *
 * A step that reads B bytes and does A operations cannot take less than max(B / read bandwidth, A / peak). Bytes and
 * operations are the plan's, time is the engine's, bandwidth and peak are probed on the same cores before and after
 * each run. A phase is shown along the path of a pass: of each stage of one replica the rank that worked longest, added
 * over the stages. */
#ifndef DIST_ROOFLINE_H
#define DIST_ROOFLINE_H

#include "base/stats.h"
#include "dist/engine.h"
#include "dist/peak.h"
#include "dist/probe.h"
#include "dist/setup.h"

/* What one rank's cores gave around a run. */
struct roof_rates {
    double read_Bps, peak_Ops[PEAK_COUNT];
};

enum roof_phase_name { ROOF_DECODE, ROOF_PREFILL, ROOF_PHASES };
extern const char *const roof_phase_names[ROOF_PHASES];

/* One rank's part of a run. */
struct roof_sample {
    struct engine_stats stats[ROOF_PHASES];
    double wall_s[ROOF_PHASES]; /* of the whole phase; known on rank 0 */
    struct roof_rates rates;
};

/* A kind of step, or the sum of all, in one pass on the path. */
struct roof_row {
    double calls, bytes, ops[PEAK_COUNT]; /* means over the runs */
    struct stats_median ms, fraction; /* measured; bound / measured */
    double memory_ms, compute_ms, bound_ms; /* medians */
    double waited_ms; /* of the measured time, waiting for messages */
    double share; /* of the sum's time */
};

struct roof_phase {
    int n_ranks, *rank; /* [n_stages] the ranks on the path */
    double passes, tokens, positions; /* of a run; tokens of a pass; positions a token sees */
    struct stats_median wall_ms; /* a pass, with all that is outside the steps */
    struct stats_median read_GBps, peak_GOps[PEAK_COUNT]; /* of one rank: mean over the path */
    struct roof_row row[STEP_COUNT + 1]; /* by kind; the sum. calls == 0: no such step */
};

struct roofline {
    struct roof_phase phase[ROOF_PHASES];
};

/* Probes this rank's cores: all ranks at once, or stage by stage where one micro-batch means that one stage works at a
 * time. Collective over the runner's link. */
void roof_probe(const struct runner *r, const struct probe *probe, struct roof_rates *out);

/* Figures of n runs from samples[n][ranks]. Local. Free with roof_fini. */
int roof_make(struct roofline *out, const struct plan *p, const struct roof_sample *samples, int n, struct diag *d);
void roof_fini(struct roofline *r);

/* "46.1 M": operations as people read them; buf of at least 24 bytes; returns buf. */
char *roof_count(char *buf, size_t cap, double n);
void roof_print(const struct roofline *r, const struct plan *p);

/* A picture: FILE.svg or FILE.png drawn by gnuplot, or FILE.gp, the commands for it. roof_plot_check says before the
 * measurement whether it will be possible. Local. */
int roof_plot_check(const char *path, struct diag *d);
int roof_plot(const struct roofline *r, const struct plan *p, const char *path, struct diag *d);

#endif
