/* quality_errors.c - the error of each lossy form, predicted and measured side by side. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/data.h"
#include "analysis/error_model.h"
#include "base/hash.h"
#include "collectives/coll.h"
#include "dist/tp_forward.h"
#include "models/gguf.h"
#include "quality.h"

enum { MOST_RANKS = 8, N = 1 << 15 /* values of each operand */, GROUP = 32 };

struct errors {
    struct report_page *page;
    const struct app *app;
    struct frame *table;
    double low, high; /* of measured over predicted, on normal values */
    double decoder_low, decoder_high; /* and on the decoder's */
    double bound; /* largest share of a bound */
    int rows;
    struct diag *d;
};

static double rms(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum / (double)n);
}

/* Box and Muller. */
static float normal(uint64_t key, uint64_t i) {
    double u = ((double)(rng_u64(key, 2 * i) >> 11) + 1) * 0x1p-53, v = (double)(rng_u64(key, 2 * i + 1) >> 11);
    return (float)(sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v * 0x1p-53));
}

static void widen(double *low, double *high, double x) {
    *low = fmin(*low, x);
    *high = fmax(*high, x);
}

/* predicted and measured: rms; bound: largest error of a value over its bound. */
struct row {
    const char *what, *form, *values;
    int group, ranks, hops, is_normal; /* 0: does not apply */
    double predicted, measured, bound;
};

static void whole(struct frame *t, int n) {
    frame_number(t, n ? n : NAN);
}

static void add_row(struct errors *e, const struct row *r) {
    struct frame *t = e->table;
    frame_text(t, "%s", r->what);
    frame_text(t, "%s", r->form);
    frame_text(t, "%s", r->values);
    whole(t, r->group);
    whole(t, r->ranks);
    whole(t, r->hops);
    frame_number(t, r->predicted);
    frame_number(t, r->measured);
    frame_number(t, r->measured / r->predicted);
    frame_number(t, r->bound);
    frame_end_row(t);
    if (r->is_normal)
        widen(&e->low, &e->high, r->measured / r->predicted);
    else
        widen(&e->decoder_low, &e->decoder_high, r->measured / r->predicted);
    e->bound = fmax(e->bound, r->bound);
    e->rows++;
}

/* ---- all-reduces ---- */

/* Operands of ranks, one behind the other, and what comes of them. */
struct operands {
    int ranks;
    float *x; /* [ranks][N] */
    float *sum; /* [N], rank 0's result */
    const char *values;
    int is_normal;
    const struct coll_wire *wire;
    const char *algo;
    int rc;
    struct diag d;
};

static void reduce_rank(struct link *l, void *user) {
    struct operands *o = user;
    int begin[MOST_RANKS + 1];
    struct diag d = {0};
    struct coll *c;
    struct coll_op sum;
    for (int r = 0; r <= l->size; r++)
        begin[r] = r;
    coll_op_find(&sum, "sum", 1, NULL);
    struct coll_spec spec = {.name = "error",
                             .kind = COLL_ALLREDUCE,
                             .algo = o->algo,
                             .label = COLL_APPROXIMATE,
                             .op = sum,
                             .wire = o->wire,
                             .n_max = N,
                             .shape = {.size = l->size, .n_leaves = l->size, .begin = begin},
                             .yield = -1};
    int rc = coll_init(&c, l, &spec, &d);
    if (!rc) {
        memcpy(coll_sendbuf(c, N), o->x + (size_t)l->rank * N, N * sizeof *o->x);
        coll_start(c);
        const float *got = coll_wait(c);
        if (!l->rank) memcpy(o->sum, got, N * sizeof *got);
        coll_free(c);
    }
    if (!l->rank) o->rc = rc, o->d = d;
}

/* Rounds of the lossy schedule in which values are rounded. */
static int count_hops(const struct operands *o, int *hops, struct diag *d) {
    int begin[MOST_RANKS + 1], last = -1;
    struct coll_shape shape = {.size = o->ranks, .n_leaves = o->ranks, .begin = begin};
    struct coll_choice choice;
    struct sched s = {0};
    for (int r = 0; r <= o->ranks; r++)
        begin[r] = r;
    int rc = coll_choice_parse(&choice, o->algo, d);
    if (!rc) rc = sched_build(&s, &choice, COLL_ALLREDUCE, &shape, 0, d);
    if (!rc) rc = sched_make_lossy(&s, &choice, d);
    *hops = 0;
    for (int i = 0; i < s.n_steps && !rc; i++)
        if (s.steps[i].op == SCHED_ROUND && s.steps[i].round != last) {
            last = s.steps[i].round;
            ++*hops;
        }
    sched_fini(&s);
    return rc;
}

static double greatest(const double *x, int n) {
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* The largest error of a value over its bound: what each operand's group allows, then what the sum's does. Floats add
 * a unit roundoff an addition. */
static double share_of_bound(const struct operands *o, const double *exact, int hops) {
    int group = o->wire->group;
    double most = 0;
    for (int at = 0; at < N; at += group) {
        double bound = 0, size = 0;
        for (int r = 0; r < o->ranks; r++) {
            double x[GROUP];
            for (int i = 0; i < group; i++)
                x[i] = (double)o->x[(size_t)r * N + (size_t)(at + i)];
            bound += o->wire->bound(greatest(x, group));
            size += greatest(x, group);
        }
        bound += o->ranks * 0x1p-24 * (size + bound);
        if (hops > 1) bound += o->wire->bound(greatest(exact + at, group) + bound);
        for (int i = 0; i < group; i++)
            most = fmax(most, fabs((double)o->sum[at + i] - exact[at + i]) / bound);
    }
    return most;
}

/* Of one rounding, relative, of values of this size. */
static double once(const struct coll_wire *w, double size) {
    return !strcmp(w->name, "fp16") ? error_half(size) : error_steps(w->group, !strcmp(w->name, "int8") ? 127 : 7);
}

/* Relative to the operands' rms times sqrt(ranks). */
static int reduce(struct errors *e, struct operands *o, double *exact, double *error) {
    struct row r = {.what = "all-reduce", .form = "", .values = o->values, .ranks = o->ranks};
    char form[64];
    double square = 0;
    int rc = count_hops(o, &r.hops, e->d);
    if (!rc && link_threads_run(o->ranks, reduce_rank, o))
        rc = diag_set(e->d, ERR_MEMORY, "no memory for %d ranks", o->ranks);
    if (!rc && o->rc) rc = diag_set(e->d, o->rc, "%s", o->d.text);
    if (rc) return rc;
    for (int i = 0; i < N; i++) {
        exact[i] = 0;
        for (int k = 0; k < o->ranks; k++) {
            double x = (double)o->x[(size_t)k * N + (size_t)i];
            exact[i] += x;
            square += x * x;
        }
        error[i] = (double)o->sum[i] - exact[i];
    }
    double size = sqrt(square / ((double)o->ranks * N)), unit = size * sqrt(o->ranks), sum = rms(exact, N);
    snprintf(form, sizeof form, "%s %s", o->algo, o->wire->name);
    r.form = form;
    r.group = o->wire->group;
    r.is_normal = o->is_normal;
    r.predicted = error_allreduce(o->ranks, r.hops, size * once(o->wire, size), sum * once(o->wire, sum)) / unit;
    r.measured = rms(error, N) / unit;
    r.bound = share_of_bound(o, exact, r.hops);
    add_row(e, &r);
    return 0;
}

static int reduce_all(struct errors *e, struct operands *o) {
    static const char *const algos[] = {"oneshot", "twoshot"};
    double *exact = malloc(2 * N * sizeof *exact);
    int rc = exact ? 0 : diag_set(e->d, ERR_MEMORY, "no memory for %d values", N);
    for (int w = 0; coll_wires[w] && !rc; w++)
        for (int a = 0; a < 2 && !rc; a++) {
            o->wire = coll_wires[w];
            o->algo = algos[a];
            rc = reduce(e, o, exact, exact + N);
        }
    free(exact);
    return rc;
}

static void draw(struct operands *o) {
    for (size_t i = 0; i < (size_t)o->ranks * N; i++)
        o->x[i] = normal(1, i);
}

/* ---- the decoder's own partial sums ---- */

struct capture {
    struct errors *e;
    struct operands *o;
    const struct model *model;
    int rc;
    struct diag d;
};

struct fill {
    float *at;
    size_t n;
};

static void see_operand(void *user, const float *parts, size_t n) {
    struct fill *f = user;
    size_t take = n < N - f->n ? n : N - f->n;
    memcpy(f->at + f->n, parts, take * sizeof *parts);
    f->n += take;
}

/* Tokens are drawn; sums of all layers of a pass lie one behind the other. */
static void capture_rank(struct link *l, void *user) {
    enum { TOKENS = 32 };
    struct capture *c = user;
    struct fill fill = {c->o->x + (size_t)l->rank * N, 0};
    int n_vocab = c->model->shape.n_vocab, id[TOKENS], seq[TOKENS] = {0}, pos[TOKENS];
    struct token_batch b = {TOKENS, id, seq, pos};
    struct app *app = malloc(sizeof *app);
    float *logits = malloc((size_t)TOKENS * (size_t)n_vocab * sizeof *logits);
    struct tp_forward f;
    struct diag d = {0};
    if (!app || !logits) link_abort(l, "no memory for a pass of rank %d", l->rank);
    *app = *c->e->app;
    app->world = l;
    app->rank = l->rank;
    app->size = l->size;
    app->spec.mode = "a16";
    app->spec.wire = "f32";
    app->spec.allreduce = app->spec.transport = "auto";
    int rc = tp_forward_open(&f, app, c->model, TOKENS, TOKENS, &d);
    if (!rc) {
        f.operand = see_operand;
        f.user = &fill;
        for (int i = 0; i < TOKENS; i++)
            id[i] = (int)(rng_u64(7, (uint64_t)i) % (uint64_t)n_vocab), pos[i] = i;
        for (int pass = 0; fill.n < N && pass < 4; pass++)
            tp_forward_run(&f, &b, logits);
    }
    tp_forward_close(&f);
    if (!l->rank) c->rc = rc, c->d = d;
    free(app);
    free(logits);
}

static int capture(struct errors *e, struct operands *o, const struct model *m) {
    struct capture c = {.e = e, .o = o, .model = m};
    o->values = "decoder's partial sums";
    o->is_normal = 0;
    if (link_threads_run(o->ranks, capture_rank, &c))
        return diag_set(e->d, ERR_MEMORY, "no memory for %d ranks", o->ranks);
    return c.rc ? diag_set(e->d, c.rc, "%s", c.d.text) : 0;
}

/* ---- stored weights ---- */

static const struct stored {
    const char *type;
    int group, steps, clipped; /* group 0: a row */
} stored[] = {{"Q8_0", GROUP, 127, 0}, {"Q4_0", GROUP, 8, 1}, {"I8", 0, 127, 0}, {"I4", 0, 7, 0}};

/* Rows of `cols` values x[n], stored and read back. */
static int store(struct errors *e, const struct stored *s, const float *x, int n, int cols, const char *values,
                 int is_normal) {
    const struct tensor_type *t = tensor_type_find(s->type);
    int group = s->group ? s->group : cols;
    struct row r = {.what = "weights", .form = s->type, .values = values, .group = group, .is_normal = is_normal};
    float *back = malloc((size_t)cols * sizeof *back);
    void *code = malloc(tensor_type_row_bytes(t, cols));
    double off = 0, size = 0;
    for (int at = 0; at < n && back && code; at += cols) {
        float step = tensor_type_row_step(t, x + at, cols);
        t->quantize(x + at, step, code, cols);
        t->dequantize(code, step, back, cols);
        for (int i = 0; i < cols; i++) {
            double most = 0, error = fabs((double)back[i] - (double)x[at + i]);
            for (int k = i / group * group; k < i / group * group + group; k++)
                most = fmax(most, fabs((double)x[at + k]));
            off += error * error;
            size += (double)x[at + i] * (double)x[at + i];
            /* half a step, a whole one where values are cut off; the stored step is rounded to 11 bits */
            double bound = most / s->steps * (s->clipped ? 1 : 0.5) + most * 0x1p-11;
            if (most > 0) r.bound = fmax(r.bound, error / bound);
        }
    }
    free(back);
    free(code);
    if (!size) return diag_set(e->d, ERR_MEMORY, "no memory for rows of %d values", cols);
    r.predicted = s->clipped ? error_clipped_steps(group, s->steps) : error_steps(group, s->steps);
    r.measured = sqrt(off / size);
    add_row(e, &r);
    return 0;
}

static int store_all(struct errors *e, const float *x, int n, int cols, const char *values, int is_normal) {
    int rc = 0;
    for (size_t i = 0; i < sizeof stored / sizeof *stored && !rc; i++)
        rc = store(e, &stored[i], x, n, cols, values, is_normal);
    return rc;
}

/* The bundled decoder's FFN matrices of its first layer, as floats; N values of it. */
static int store_model(struct errors *e, const struct model *m, float *x) {
    const struct gguf_tensor *t = gguf_tensor_find(m->file, "blk.0.ffn_up.weight");
    if (!t || t->ne[0] * t->ne[1] < N)
        return diag_set(e->d, ERR_FORMAT, "%s: blk.0.ffn_up.weight of %d values is expected", m->file->path, N);
    shape_type(&m->shape, ROLE_UP, 0)->dequantize(t->data, 1, x, N);
    return store_all(e, x, N, (int)t->ne[0], "decoder's FFN up, layer 0", 0);
}

/* ---- caches and activations ---- */

/* Keys of one head, as they are read back. Activations are rounded by the same rule (order.h, 6). */
static int keep(struct errors *e, enum kv_type type, const char *form, const float *x) {
    int steps = type == KV_I8 ? 127 : 7, positions = N / GROUP;
    struct kv_cache c = {.type = type, .n_kv_heads = 1, .head_dim = GROUP, .n_ctx = positions};
    struct row r = {.what = "cache, activations", .form = form, .values = "normal", .group = GROUP, .is_normal = 1};
    void *buf = aligned_alloc(64, (kv_cache_bytes(type, 1, GROUP, positions) + 63) / 64 * 64);
    double off = 0, size = 0;
    if (!buf) return diag_set(e->d, ERR_MEMORY, "no memory for a cache");
    kv_cache_place(&c, buf);
    for (int p = 0; p < positions; p++)
        kv_cache_put(&c, p, x + (size_t)p * GROUP, x + (size_t)p * GROUP);
    for (int i = 0; i < N; i++) {
        const uint8_t *byte = (const uint8_t *)c.k + (type == KV_I8 ? i : i / 2);
        int q = type == KV_I8 ? (int8_t)*byte : (i % 2 ? *byte >> 4 : *byte & 15) - 8;
        double scale = (double)c.k_scale[i / GROUP], error = fabs(q * scale - (double)x[i]);
        off += error * error;
        size += (double)x[i] * (double)x[i];
        r.bound = fmax(r.bound, error / (scale / 2 * (1 + steps * 0x1p-22)));
    }
    free(buf);
    r.predicted = error_steps(GROUP, steps);
    r.measured = sqrt(off / size);
    add_row(e, &r);
    return 0;
}

/* ---- all ---- */

static void columns(struct frame *t) {
    frame_column(t, "choice", "", 0);
    frame_column(t, "form", "", 0);
    frame_column(t, "values", "", 0);
    frame_column(t, "group", "values", 4);
    frame_column(t, "ranks", "", 2);
    frame_column(t, "roundings", "", 2);
    frame_column(t, "predicted rms", "relative", 4);
    frame_column(t, "measured rms", "relative", 4);
    frame_column(t, "measured / predicted", "", 4);
    frame_column(t, "largest error / bound", "", 3);
}

static int fill(struct errors *e, struct operands *o, const struct model *m) {
    int rc = 0;
    for (o->ranks = 2; o->ranks <= MOST_RANKS && !rc; o->ranks *= 2) {
        o->values = "normal";
        o->is_normal = 1;
        draw(o);
        rc = reduce_all(e, o);
        if (!rc) rc = capture(e, o, m);
        if (!rc) rc = reduce_all(e, o);
    }
    o->ranks = MOST_RANKS;
    draw(o);
    if (!rc) rc = store_all(e, o->x, N, 512, "normal", 1);
    if (!rc) rc = keep(e, KV_I8, "int8", o->x);
    if (!rc) rc = keep(e, KV_I4, "int4", o->x);
    return rc ? rc : store_model(e, m, o->x);
}

static void tell(const struct errors *e) {
    report_say(e->page,
               "What rounding does to values is predicted from group, steps and roundings alone: on normal values "
               "measured errors are %.3f to %.3f times the predicted ones, on the decoder's own partial sums and "
               "weights %.2f to %.2f times (%d forms, measured, %d values each).",
               e->low, e->high, e->decoder_low, e->decoder_high, e->rows, N);
    report_say(e->page, "No value's error is above its bound: the largest is %.3f of it (measured).", e->bound);
}

int quality_errors(struct report_page *page, const struct app *app, struct diag *d) {
    struct errors e = {.page = page, .app = app, .low = INFINITY, .decoder_low = INFINITY, .d = d};
    struct operands o = {.x = malloc(MOST_RANKS * N * sizeof *o.x), .sum = malloc(N * sizeof *o.sum)};
    struct app *own = malloc(sizeof *own);
    struct model m = {0};
    char path[4096];
    e.table = report_table(
        page, "quality_errors", "Errors of what is rounded: predicted and measured",
        "Root mean squares, relative to that of the values (an all-reduce's: to the operands' times the root of their "
        "number). Predicted: independent normal values, an error uniform in a step, as many roundings as the "
        "schedule has on a value's way (docs/QUALITY.md). Bounds are half steps, summed. Measured, n = 32768 values.");
    columns(e.table);
    int rc = o.x && o.sum && own ? 0 : diag_set(d, ERR_MEMORY, "no memory for values");
    if (!rc) rc = data_path(path, sizeof path, "models/bundled/kjv-3m-f16.gguf", d);
    if (!rc) {
        *own = *app;
        own->spec.model = path;
        e.app = own;
        rc = model_open(&m, own, d);
    }
    if (!rc) rc = fill(&e, &o, &m);
    if (!rc) tell(&e);
    if (!rc && !(e.bound <= 1))
        rc = diag_set(d, ERR_MISMATCH, "an error is %g times its bound: northwall report quality says which", e.bound);
    if (m.file) model_close(&m);
    free(own);
    free(o.x);
    free(o.sum);
    return rc;
}
