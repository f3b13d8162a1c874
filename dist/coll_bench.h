/* coll_bench.h - northwall coll: collectives measured side by side (coll_bench.c), on operands whose results are known
 * (coll_data.c), behind a matrix product (coll_gemv.c), shown (coll_report.c); proved and counted (coll_verify.c);
 * or reckoned (coll_crossover.c).
 */
#ifndef DIST_COLL_BENCH_H
#define DIST_COLL_BENCH_H

#include "base/stats.h"
#include "collectives/coll.h"
#include "dist/app.h"
#include "models/kernels.h"

enum { COLL_MAX_METHODS = 64, COLL_MAX_REPS = 1 << 20, COLL_ADAPTIVE_REPS = 1001, COLL_MAX_DIM = 1024 };

/* Where operand and result lie: in the caller's memory, copied in and out; or in the collective's own (coll_sendbuf,
 * coll_wait: no copy), which for the library is MPI_IN_PLACE. */
enum coll_form { FORM_OUT, FORM_IN, COLL_FORMS };

/* ---- operands ---- */

/* What a collective is asked to do: fixed for a run. */
struct coll_data {
    enum coll_kind kind;
    struct coll_op op;
    const struct coll_wire *wire;
    int size, flip; /* flip: this rank's element 0 is changed; -1: none */
    double tolerance; /* 0, or what a wire form with loss may be off by */
};

/* Elements whose values and sums are exact in every order; sets the tolerance, 0 where a wire form codes them exactly.
 * Local. */
void coll_data_init(struct coll_data *c);
/* Rank's operand of repetition rep, n elements. */
void coll_data_fill(const struct coll_data *c, int rank, uint64_t rep, void *out, size_t n);
/* Elements of a result that are not as they should be, of those that rank has to have; of long results a sample of
 * coll_data_checked(n) that moves on with rep. *most, if not NULL, rises to the greatest error. */
uint64_t coll_data_wrong(const struct coll_data *c, int rank, uint64_t rep, const void *got, size_t n, size_t granule,
                         double *most);
size_t coll_data_checked(size_t n);

/* ---- a product in front ---- */

/* y = W x of n rows, integers in float: exact in every order. */
struct coll_gemv {
    struct mat w;
    struct act a;
    struct order_group *groups;
    void *rows, *panels, *buf;
    float *x, *y, *want; /* y: private; want: the sum over ranks of their y */
    size_t n, bytes; /* of weights */
};
/* About `bytes` of weights, or rows of 4096 columns where that is 0. Collective; freed by coll_gemv_fini. */
int coll_gemv_init(struct coll_gemv *g, struct link *l, size_t n, size_t bytes, struct diag *d);
void coll_gemv_run(const struct coll_gemv *g, float *y);
uint64_t coll_gemv_wrong(const struct coll_gemv *g, const float *got);
void coll_gemv_fini(struct coll_gemv *g);

/* ---- measuring ---- */

/* What the cores gave right before or after a set of repetitions. */
struct coll_ground {
    double hand_off_ns, read_ps; /* one way, of a line between ranks 0 and 1; of the vector that the other wrote */
};

/* Times of one method in one form: max over ranks of each repetition, in us; valid on rank 0. */
struct coll_times {
    double *us;
    double *sorted;
    struct stats_median s;
    double p5, p95, mean;
    uint64_t wrong, checked; /* of all ranks */
    double most; /* greatest error */
    struct stats_median speedup; /* of the library's times / these, pair by pair; n = 0: not compared */
    struct stats_median exposed; /* behind a product: these - the product alone, pair by pair */
    double exposed_us; /* median - median */
};

/* An algorithm over a transport. */
struct coll_method {
    char name[64];
    enum coll_transport transport;
    struct coll *coll;
    struct coll_info info;
    struct coll_cost most; /* of the rank that has most */
    uint64_t sent_bytes;
    struct coll_times times[COLL_FORMS];
};

struct coll_bench {
    struct app *app;
    struct coll_data data;
    struct coll_method method[COLL_MAX_METHODS];
    int n_methods, library; /* the index of the library's own, or -1 */
    int first_form; /* forms [first_form, COLL_FORMS) are measured */
    int reps, adaptive, warmup; /* reps: at most, where adaptive */
    int *domain, *begin; /* shape */
    struct link_shared *shared; /* barrier, hand-off, reading; NULL where ranks 0 and 1 share no memory */
    uint64_t barriers, flags; /* so far */
    uint64_t rep; /* so far, over all: no operand comes twice */
    int context; /* behind a product */
    size_t context_bytes;
    /* the size at hand */
    size_t n, bytes;
    int n_reps;
    struct coll_gemv gemv;
    double *alone; /* the product alone, us, max over ranks; rank 0 */
    struct stats_median alone_s;
    struct coll_ground before, after;
    struct net net; /* predictions; with what was measured: the floor */
    uint64_t floor_ps; /* 0: not known */
    uint64_t wrong; /* of all sizes */
    FILE *out;
    struct json_t *rows;
    struct coll_shape shape;
    size_t max_bytes; /* of all sizes */
    uint64_t miscounted; /* calls that sent other than their formula says */
    void *in_buf, *out_buf;
    struct coll_op sum; /* reads, for the floor */
};

/* Shape, shared lines and buffers for vectors of up to max_bytes. Collective; freed by coll_bench_close. */
int coll_bench_open(struct coll_bench *b, struct diag *d);
void coll_bench_close(struct coll_bench *b);
/* Measures n elements with all methods in turn. Collective. */
int coll_bench_size(struct coll_bench *b, size_t n, struct diag *d);
/* Hand-offs before and after differ so much that the cores were moved in between. */
int coll_moved(const struct coll_bench *b);
const char *coll_state(const struct coll_bench *b); /* "near", "far", "moved", "shared", "unknown" */

/* ---- showing; rank 0 ---- */

void coll_print_head(const struct coll_bench *b);
void coll_print_size(struct coll_bench *b);
void coll_print_end(struct coll_bench *b, FILE *out);

/* northwall coll --verify: proves and counts all algorithms for 1 to max_ranks ranks. Local. */
int coll_verify(struct app *app, int max_ranks, struct diag *d);
/* northwall coll --crossover: below which bandwidth of app->net's links a wire form (`only`, or all) shortens an
 * all-reduce of `size` ranks, for vectors of min_bytes, times --factor, ... max_bytes. Local. */
int coll_crossover(struct app *app, const struct coll_wire *only, int size, size_t min_bytes, size_t max_bytes,
                   struct diag *d);
/* Messages and words of a token for each way of sharing a model's work: of northwall list. */
void coll_list_methods(FILE *out);

#endif
