/* northpole.h - the parts of the report on the HPEC 2024 paper on NorthPole. */
#ifndef ANALYSIS_NORTHPOLE_H
#define ANALYSIS_NORTHPOLE_H

#include "analysis/case.h"
#include "analysis/parameter.h"
#include "analysis/report.h"

enum { NORTHPOLE_MOST_FITS = 12, NORTHPOLE_USERS = 28, NORTHPOLE_MICRO = 14, NORTHPOLE_STAGES = 15 };

/* Inputs of the paper's energy and space metrics. */
#define NORTHPOLE_CARD_W 42.0
#define NORTHPOLE_TRANSISTORS 22e9
#define NORTHPOLE_TOK_S 28356.0
#define NORTHPOLE_RACK_MS 2.8

/* One number of the described cluster, changed so that the published throughput comes out. */
struct northpole_fit {
    const struct parameter *parameter;
    double x;
    struct cluster cluster;
    struct virtual_summary at; /* of the paper's run */
};

struct northpole {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    struct cluster described; /* cluster-configs/northpole-16.yaml */
    struct virtual_summary at;
    struct northpole_fit fit[NORTHPOLE_MOST_FITS];
    int n_fits;
    int all_fits; /* with --quick too: verdicts do not depend on it */
    int step; /* through the points of a sweep: 1, with --quick 2 */
};

/* The paper's run on a cluster. */
struct study_case northpole_case(const struct cluster *c);
/* The same model on GPUs, as serving computes it: 4-bit weights and 16-bit activations. */
struct study_case northpole_serving(const struct cluster *c, int cards, int batch);
/* The value of a parameter that alone gives the published throughput. */
int northpole_reach(struct northpole *n, const struct parameter *p, struct reached *out);
/* L4, L40S, A100 and H100 with the time of the host that is fitted to two points, memory at its peak. */
enum { NORTHPOLE_GPUS = 4 };
int northpole_served(struct northpole *n, struct cluster served[NORTHPOLE_GPUS]);
/* A row of a table: a quantity of one case on the described cluster and on all fitted ones. */
enum northpole_quantity { NORTHPOLE_LATENCY, NORTHPOLE_DECODE, NORTHPOLE_THROUGHPUT };
struct northpole_ask {
    struct study_case on; /* its cluster is set by northpole_row */
    void (*change)(struct cluster *c, double x); /* made to each of the clusters; NULL: none */
    double x;
    enum northpole_quantity what;
    int relative; /* to the paper's run on the same cluster */
};
/* On the described cluster, fit -1, or on one of the fitted; NaN: it does not fit its cards. */
int northpole_answer(struct northpole *n, const struct northpole_ask *ask, int fit, double *out);
/* All of them, as cells of the columns. */
int northpole_row(struct northpole *n, struct frame *t, const struct northpole_ask *ask);
void northpole_columns(const struct northpole *n, struct frame *t, const char *unit);

/* One thing changed, by what latency is multiplied. */
enum northpole_change {
    NORTHPOLE_MEMORY_X2,
    NORTHPOLE_MEMORY_HALF,
    NORTHPOLE_RATES_X2,
    NORTHPOLE_RATES_HALF,
    NORTHPOLE_8_BITS, /* weights, cache and activations, on a card without a limit of memory */
    NORTHPOLE_LINKS_X2,
    NORTHPOLE_LINKS_HALF,
    NORTHPOLE_NOT_RESIDENT, /* weights come from the host's memory in each pass */
    NORTHPOLE_CHANGES
};
struct northpole_ask northpole_change(enum northpole_change what);
/* Throughput with so many micro-batches of two users, prompts and generation of 64 tokens. */
struct northpole_ask northpole_micro_batches(int micro);
/* Granite 3.3 8B on the rack of 2025 (arXiv 2511.15950): decoding, published as NORTHPOLE_RACK_MS. */
struct northpole_ask northpole_rack(void);

/* A ratio of the paper to a GPU, and ours: its least and most over what is not published of that GPU's point, the share
 * of the memory's peak and the latency of links. */
struct northpole_ratio {
    const char *against, *metric;
    const char *role; /* of the point: "fitted" or "prediction" */
    int leads; /* the point is reconstructed from this one: its others say nothing more of the model */
    double agrees; /* by the reconstructed point: of those others, whether the paper's numbers agree with each other */
    double published, ours, low, high; /* ours: at the peak of memory, links as described */
};
enum { NORTHPOLE_RATIOS = 12 };
/* The GPUs' points; *pass_s, *sequence_s: the two times of the host that are fitted, at the peak of memory. */
int northpole_gpu_points(struct northpole *n, struct northpole_ratio out[NORTHPOLE_RATIOS], double *pass_s,
                         double *sequence_s);

/* Fits each missing number alone: n->at, n->fit, n->n_fits, and their table. */
int northpole_missing(struct northpole *n);
int northpole_fit(struct northpole *n); /* the paper's figures, the fits and where they part */
int northpole_sweep(struct northpole *n);
int northpole_gpus(struct northpole *n);
extern const struct report_figure northpole_figures[];

#endif
