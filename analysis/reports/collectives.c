/* collectives - all-reduces on this machine by algorithm and size, beside the MPI library's and the floor; the same
 * algorithms priced on described links; and the sizes at which one overtakes the other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/case.h"
#include "analysis/crossover.h"
#include "base/text.h"
#include "collectives/coll.h"
#include "figure.h"
#include "measured.h"

enum { RANKS = 2, CARDS = 8, LEAST_BYTES = 64, MOST_BYTES = 1 << 20 };

struct collectives {
    const struct app *app;
    struct report_page *page;
    struct diag *d;
    json_t *rows; /* measured, of `coll` */
    struct frame *crossings;
};

/* ---- measured ---- */

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "-";
}

/* "oneshot shm"; "mpi" */
static const char *method_of(const json_t *row, char *buf, size_t cap) {
    const char *algo = text_of(row, "algo"), *via = text_of(row, "transport");
    snprintf(buf, cap, strcmp(algo, via) ? "%s %s" : "%s", algo, via);
    return buf;
}

static void show_measured(struct collectives *c, const char *note) {
    struct frame *t = report_table(c->page, "collectives", "All-reduces of two ranks on this machine", note);
    const json_t *r;
    char method[64];
    size_t i;
    frame_column(t, "method", "", 0);
    frame_column(t, "size", "B", 9);
    frame_column(t, "time", "us", 3);
    frame_column(t, "low", "us", 3);
    frame_column(t, "high", "us", 3);
    frame_column(t, "n", "", 5);
    frame_column(t, "floor", "us", 3);
    frame_column(t, "MPI's / its time", "x", 3);
    frame_column(t, "low", "x", 3);
    frame_column(t, "high", "x", 3);
    frame_column(t, "sums are", "", 0);
    frame_column(t, "wrong", "", 3);
    json_array_foreach(c->rows, i, r) {
        frame_text(t, "%s", method_of(r, method, sizeof method));
        frame_number(t, job_number(r, "bytes"));
        measured_cells(t, r, "time_us_p50", 1);
        frame_number(t, job_number(r, "n"));
        frame_number(t, job_number(r, "floor_us"));
        measured_cells(t, r, "x_mpi", 1);
        frame_text(t, "%s", text_of(r, "label"));
        frame_number(t, job_number(r, "wrong"));
        frame_end_row(t);
    }
}

/* The row of a method at a size, or NULL. */
static const json_t *row_at(const struct collectives *c, const char *method, double bytes) {
    const json_t *r, *found = NULL;
    char buf[64];
    size_t i;
    json_array_foreach(c->rows, i, r) {
        if (job_number(r, "bytes") == bytes && !strcmp(method_of(r, buf, sizeof buf), method)) found = r;
    }
    return found;
}

/* At the size of a hidden state of 4,096 values. */
static void say_measured(struct collectives *c) {
    enum { BYTES = 16384 };
    const json_t *one = row_at(c, "oneshot shm", BYTES), *mpi = row_at(c, "mpi", BYTES);
    char a[96], b[96];
    if (!one || !mpi) return;
    measured_text(a, sizeof a, one, "time_us_p50", 1, "us");
    measured_text(b, sizeof b, mpi, "time_us_p50", 1, "us");
    report_say(c->page,
               "An all-reduce of 16 KiB over two ranks takes %s in one shot through shared memory, with the bits "
               "of one rank; MPI's own takes %s; the floor is %.3g us (measured, medians, %.1f %% intervals, "
               "n = %.0f).",
               a, b, job_number(one, "floor_us"), 100 * job_number(one, "interval_confidence"), job_number(one, "n"));
}

static int measure(struct collectives *c) {
    int quick = c->app->spec.quick;
    const char *const words[] = {
        "coll", "--algo", "oneshot,twoshot,mpi", "--transport", "shm,link",           "--in-place", "-b", "64", "-e",
        "1M",   "-f",     quick ? "4" : "2",     "-n",          quick ? "60" : "200", "--json"};
    json_t *o = NULL;
    char *note = NULL;
    int rc = measured_job(&o, &note, RANKS, sizeof words / sizeof *words, words,
                          "Medians with intervals by binomial ranks, of repetitions in turn; every result is checked. "
                          "Floor: one hand-off and one read.",
                          c->d);
    if (rc) return rc;
    c->rows = json_incref(json_object_get(o, "rows"));
    show_measured(c, note);
    say_measured(c);
    json_decref(o);
    free(note);
    return 0;
}

/* ---- where measured curves cross ---- */

struct curve {
    struct fit_data data;
    struct fit_list list;
};

static int curve_make(struct curve *out, const struct collectives *c, const char *method) {
    const struct fit_model *models[] = {fit_model_find("hockney"), fit_model_find("loggp-segments"),
                                        fit_model_find("bspline")};
    const json_t *r;
    char buf[64];
    size_t i;
    int n = 0, rc = fit_data_init(&out->data, (int)json_array_size(c->rows), 1, c->d);
    json_array_foreach(c->rows, i, r) {
        if (rc || strcmp(method_of(r, buf, sizeof buf), method)) continue;
        out->data.x[n] = job_number(r, "bytes");
        out->data.y[n] = job_number(r, "time_us_p50");
        out->data.line[n] = n + 1;
        n++;
    }
    out->data.n = n;
    return rc ? rc : fit_list_make(&out->list, models, 3, &out->data, c->d);
}

static void curve_free(struct curve *c) {
    fit_list_free(&c->list);
    fit_data_free(&c->data);
}

static void add_crossing(struct frame *t, const char *where, const char *a, const char *b, double x,
                         const struct stat_interval *in, const char *kind, const char *remark) {
    frame_text(t, "%s", where);
    frame_text(t, "%s", a);
    frame_text(t, "%s", b);
    frame_number(t, x);
    frame_number(t, in ? in->low : NAN);
    frame_number(t, in ? in->high : NAN);
    frame_text(t, "%s", kind);
    frame_text(t, "%s", remark);
    frame_end_row(t);
}

/* Fewer than half of the draws agree: where is not known. */
static void add_crossings(struct collectives *c, const char *a, const char *b, const struct crossover *x,
                          const struct curve *curve) {
    static const char here[] = "this machine, 2 ranks",
                      kind[] = "estimated by fits to measured medians, 95 % by bootstrap";
    char remark[96], low[24], high[24];
    double middle[FIT_MOST_X] = {sqrt(x->low * x->high)};
    int first = fit_value(&curve[0].list.fit[0], middle) < fit_value(&curve[1].list.fit[0], middle);
    snprintf(remark, sizeof remark, "%s%.0f %% of %d draws agree with the curves", x->agree < 0.5 ? "not told: " : "",
             100 * x->agree, x->draws);
    for (int i = 0; i < x->n && x->agree >= 0.5; i++)
        add_crossing(c->crossings, here, x->at[i].first_below ? a : b, x->at[i].first_below ? b : a, x->at[i].x,
                     &x->at[i].in, kind, remark);
    if (x->agree < 0.5) add_crossing(c->crossings, here, a, b, NAN, NULL, kind, remark);
    if (x->n || x->agree < 0.5) return;
    add_crossing(c->crossings, here, first ? a : b, first ? b : a, NAN, NULL, kind, "faster at all sizes");
    report_say(c->page,
               "Of all-reduces over two ranks of this machine, %s is faster than %s at all sizes from %s to %s "
               "(by fits to measured medians; %.0f %% of %d bootstrap draws agree).",
               first ? a : b, first ? b : a, text_bytes(low, sizeof low, x->low),
               text_bytes(high, sizeof high, x->high), 100 * x->agree, x->draws);
}

static int cross_measured(struct collectives *c, const char *a, const char *b) {
    struct curve curve[2] = {0};
    struct crossover x;
    int rc = curve_make(&curve[0], c, a);
    if (!rc) rc = curve_make(&curve[1], c, b);
    if (!rc)
        rc = crossover_find(&x, &curve[0].list.fit[0], &curve[0].data, &curve[1].list.fit[0], &curve[1].data, 1, c->d);
    if (!rc) add_crossings(c, a, b, &x, curve);
    curve_free(&curve[0]);
    curve_free(&curve[1]);
    return rc;
}

/* ---- priced ---- */

static const char *const algos[] = {"tree", "oneshot", "twoshot", "ring"};
enum { ALGOS = sizeof algos / sizeof *algos };

static const struct place {
    const char *file, *text;
} places[] = {{"h100-sxm-8", "8 H100 behind NVLink"}, {"boards-1gbe", "8 boards behind 1 Gb/s Ethernet"}};
enum { PLACES = 2 };

/* One call from clocks at 0, in ps. */
static int price(const struct net *net, const char *algo, size_t bytes, uint64_t *ps, struct diag *d) {
    int begin[CARDS + 1];
    struct coll_shape shape = {.size = CARDS, .n_leaves = CARDS, .begin = begin};
    struct coll_choice choice;
    struct coll_op sum;
    for (int r = 0; r <= CARDS; r++)
        begin[r] = r;
    int rc = coll_choice_parse(&choice, algo, d);
    if (!rc) rc = coll_op_find(&sum, "sum", 1, d);
    return rc ? rc
              : coll_predict(&choice, COLL_ALLREDUCE, &shape, net, 0, &sum, NULL, bytes / sizeof(float),
                             COLL_LINE_BYTES / sizeof(float), ps, d);
}

static int show_priced(struct collectives *c, const struct cluster *cluster, struct frame *t, const char *place) {
    int rc = 0;
    for (int a = 0; a < ALGOS; a++)
        for (size_t bytes = LEAST_BYTES; bytes <= MOST_BYTES && !rc; bytes *= 2) {
            uint64_t ps = 0;
            rc = price(&cluster->net, algos[a], bytes, &ps, c->d);
            frame_text(t, "%s", place);
            frame_text(t, "%s", algos[a]);
            frame_number(t, (double)bytes);
            frame_number(t, 1e-6 * (double)ps);
            frame_end_row(t);
        }
    return rc;
}

/* *less: a takes less time than b. */
static int is_less(const struct net *net, const char *a, const char *b, size_t bytes, int *less, struct diag *d) {
    uint64_t x = 0, y = 0;
    int rc = price(net, a, bytes, &x, d);
    if (!rc) rc = price(net, b, bytes, &y, d);
    *less = x < y;
    return rc;
}

/* *found: the first size, to a line of 64 B, at which `one shot` is no longer less; NaN: there is none. */
static int cross_priced(struct collectives *c, const struct place *p, const struct net *net, const char *other,
                        double *found) {
    size_t low = LEAST_BYTES, high = MOST_BYTES;
    int at_low = 0, at_high = 0, less = 0, rc = is_less(net, "oneshot", other, low, &at_low, c->d);
    static const char kind[] = "priced (estimated), n = 1";
    if (!rc) rc = is_less(net, "oneshot", other, high, &at_high, c->d);
    while (!rc && at_low && !at_high && high - low > COLL_LINE_BYTES) {
        size_t middle = (low + high) / 2 / COLL_LINE_BYTES * COLL_LINE_BYTES;
        rc = is_less(net, "oneshot", other, middle, &less, c->d);
        if (less)
            low = middle;
        else
            high = middle;
    }
    *found = at_low && !at_high ? (double)high : NAN;
    if (at_low == at_high)
        add_crossing(c->crossings, p->text, at_low ? "oneshot" : other, at_low ? other : "oneshot", NAN, NULL, kind,
                     "faster at both ends");
    else
        add_crossing(c->crossings, p->text, at_low ? "oneshot" : other, at_low ? other : "oneshot", *found, NULL, kind,
                     "");
    return rc;
}

static int price_all(struct collectives *c) {
    struct frame *t =
        report_table(c->page, "collectives_priced", "The same on eight cards of described clusters",
                     "Priced (estimated, n = 1): schedules walked over the described links, from clocks at "
                     "0 to the last rank's result.");
    double found[PLACES] = {NAN, NAN};
    int rc = 0;
    frame_column(t, "cluster", "", 0);
    frame_column(t, "algorithm", "", 0);
    frame_column(t, "size", "B", 9);
    frame_column(t, "time", "us", 4);
    for (int p = 0; p < PLACES && !rc; p++) {
        struct cluster cluster;
        double ignored;
        rc = case_cluster(&cluster, places[p].file, c->d);
        if (!rc) rc = show_priced(c, &cluster, t, places[p].file);
        if (!rc) rc = cross_priced(c, &places[p], &cluster.net, "twoshot", &found[p]);
        if (!rc) rc = cross_priced(c, &places[p], &cluster.net, "ring", &ignored);
        if (!rc && found[p] > 0)
            report_say(c->page,
                       "On %s one shot is the faster all-reduce below %.4g KiB, two shots above (priced, n = 1).",
                       places[p].text, found[p] / 1024);
    }
    return rc;
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct collectives c = {.app = app, .page = page, .d = d};
    int rc = measure(&c);
    c.crossings =
        report_table(page, "collectives_crossings", "The size up to which one is faster than the other",
                     "Where the best of three fitted curves (Hockney, LogGP segments, B-spline) of each method "
                     "cross.");
    frame_column(c.crossings, "where", "", 0);
    frame_column(c.crossings, "faster below", "", 0);
    frame_column(c.crossings, "than", "", 0);
    frame_column(c.crossings, "size", "B", 4);
    frame_column(c.crossings, "low", "B", 4);
    frame_column(c.crossings, "high", "B", 4);
    frame_column(c.crossings, "kind", "", 0);
    frame_column(c.crossings, "remark", "", 0);
    if (!rc) rc = cross_measured(&c, "oneshot shm", "mpi");
    if (!rc) rc = cross_measured(&c, "oneshot shm", "twoshot shm");
    if (!rc) rc = cross_measured(&c, "oneshot link", "mpi");
    if (!rc) rc = price_all(&c);
    json_decref(c.rows);
    return rc;
}

static const struct report_figure figures[] = {
    {"collectives",
     FIGURE_STYLE
     "set title 'All-reduce of two ranks on this machine (measured)'\nset xlabel 'bytes of a rank'\n"
     "set ylabel 'us'\nset logscale xy\nset xrange [48:1400000]\nset key inside left top\nset datafile missing NaN\n"
     "names = \"'oneshot shm' 'twoshot shm' 'oneshot link' 'twoshot link' mpi\"\n"
     "plot for [i=1:5] 'collectives.csv' skip 1 using (strcol(1) eq word(names, i) ? $2 : NaN):3:4:5 \\\n"
     "  with yerrorlines lc rgb color(i) pt 2*i dt i title word(names, i), \\\n"
     "  'collectives.csv' skip 1 using (strcol(1) eq 'oneshot shm' ? $2 : NaN):7 with lines lc rgb 'black' dt 3 \\\n"
     "  title 'floor'\n",
     "Time of an all-reduce by size: one shot and two shots through shared memory (shm) and by messages (link), and "
     "the "
     "MPI library's own (measured, medians, bars are the table's intervals). Floor: one hand-off between cores and one "
     "read of what a rank lacks."},
    {"collectives_priced",
     FIGURE_STYLE
     "set title 'All-reduce of eight cards on described links (priced, n = 1)'\nset xlabel 'bytes of a card'\n"
     "set ylabel 'us'\nset logscale xy\nset xrange [48:1400000]\n"
     "names = 'tree oneshot twoshot ring'\nplaces = 'h100-sxm-8 boards-1gbe'\n"
     "plot for [p=1:2] for [i=1:4] 'collectives_priced.csv' skip 1 \\\n"
     "  using (strcol(1) eq word(places, p) && strcol(2) eq word(names, i) ? $3 : NaN):4 \\\n"
     "  with linespoints lc rgb color(i) pt 2*i+p dt p lw 1.5 title word(names, i).', '.word(places, p)\n",
     "Time of an all-reduce by size on eight H100 behind NVLink and on eight boards behind 1 Gb/s Ethernet (priced: "
     "schedules walked over the described links, n = 1)."},
    {0}};

const struct report report_collectives = {
    .name = "collectives",
    .summary = "all-reduces by algorithm and size, measured beside MPI's and priced on described links",
    .text =
        "All-reduces: what an algorithm takes on this machine beside the MPI library's own and the machine's floor\n"
        "(measured), on described links (priced), and the sizes at which one overtakes another.",
    .measures = 2,
    .make = make,
    .figures = figures,
};
