/* coll_report.c - what northwall coll shows: a table a size, JSON, or what the OSU benchmarks print. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "coll_bench.h"

static const char *const form_names[] = {"out", "in"};

/* busbw / algbw, as nccl-tests define it: independent of the number of ranks where links are the limit. */
static double bus_factor(const struct coll_bench *b) {
    double p = b->app->size;
    return (b->data.kind == COLL_ALLREDUCE ? 2 : 1) * (p - 1) / p;
}

static double algbw_GBps(const struct coll_bench *b, const struct coll_times *t) {
    return t->s.median > 0 ? 1e-3 * (double)b->bytes / t->s.median : 0;
}

static const char *transport_name(const struct coll_method *m) {
    return m->info.choice.algo->library ? "mpi" : coll_transport_name(m->info.transport);
}

static const char *type_name(const struct coll_bench *b) {
    return strcmp(b->data.op.name, "sum") ? "element" : "float";
}

static void method_name(const struct coll_method *m, char *name, size_t cap) {
    coll_choice_name(&m->info.choice, name, cap);
}

static double handoff_ns(const struct coll_bench *b) {
    return 0.5 * (b->before.hand_off_ns + b->after.hand_off_ns);
}

static double floor_ratio(const struct coll_bench *b, const struct coll_times *t) {
    double us = b->context ? t->exposed.median : t->s.median;
    return b->floor_ps ? us / (1e-6 * (double)b->floor_ps) : 0;
}

/* ---- the table ---- */

static void print_notes(const struct coll_bench *b) {
    char op[40];
    snprintf(op, sizeof op, strcmp(b->data.op.name, "sum") ? "%s:%d" : "%s", b->data.op.name, b->data.op.param);
    printf("%s of %s on %d rank%s%s, wire form %s%s\n", coll_kind_name(b->data.kind), op, b->app->size,
           b->app->size == 1 ? "" : "s", b->app->world->oversubscribed ? ", more than there are processors" : "",
           b->data.wire ? b->data.wire->name : "f32", b->context ? ", behind a product with Q4_0 weights" : "");
    printf(
        "times: of the slowest rank, over n repetitions in turn with all other rows (measured; %d warm-ups before); "
        "[interval] of\nthe median of at least 95 %%; predicted: by the schedule on described links (estimated: %s)\n",
        b->warmup, b->net.tier[0].source);
    printf("floor: one hand-off between cores and one reading of what a rank lacks (from measured ones); "
           "x floor: time / floor\n");
    if (b->context)
        printf(
            "exposed: median of product and collective - median of the product alone; pairs: median of the differences "
            "of pairs of\nneighbouring repetitions with its interval; x mpi: the library's pairs / these\n");
    else
        printf("x mpi: the library's time / this one, median of pairs of neighbouring repetitions with its interval\n");
    if (b->data.tolerance > 0)
        printf("#wrong: elements off by more than %.4g, the bound of the wire form for these operands\n",
               b->data.tolerance);
    else
        printf("#wrong: elements of all repetitions and ranks that are not exactly right\n");
    printf("in: operand and result in the collective's memory, or MPI_IN_PLACE; out: copied from and to the "
           "caller's\n");
}

void coll_print_head(const struct coll_bench *b) {
    if (b->app->spec.json || b->app->spec.osu) return;
    print_notes(b);
}

static void print_columns(const struct coll_bench *b) {
    printf("%9s %8s %-7s %-12s %-5s %-3s %8s %8s %8s %-17s %7s %7s %6s %5s %8s %9s %7s %s%s\n", "size(B)", "count",
           "type", "algo", "via", "at", "p5(us)", "p50(us)", "p95(us)", "[interval]", "algbw", "busbw", "#wrong",
           "msgs", "words", "predicted", "x floor", b->context ? "exposed pairs(us) [interval] " : "",
           "x mpi [interval], label");
}

static void print_ground(const struct coll_bench *b) {
    char size[24];
    const char *state = coll_state(b);
    printf("\n# %s, n = %d: ", text_bytes(size, sizeof size, (double)b->bytes), b->n_reps);
    if (b->before.hand_off_ns > 0)
        printf("hand-off %.0f ns before, %.0f ns after (%s%s)", b->before.hand_off_ns, b->after.hand_off_ns, state,
               coll_moved(b) ? ": times of this size mix two placements" : "");
    else
        printf("hand-off unknown");
    if (b->floor_ps)
        printf("; reading %.2f us, %.2f us; floor %.2f us", 1e-6 * b->before.read_ps, 1e-6 * b->after.read_ps,
               1e-6 * (double)b->floor_ps);
    if (coll_data_checked(b->n) < b->n && !b->context)
        printf("; %zu elements of each result checked", coll_data_checked(b->n));
    if (b->context) printf("; product of %.4g MB alone %.2f us", 1e-6 * (double)b->gemv.bytes, b->alone_s.median);
    putchar('\n');
}

static void print_speedup(const struct coll_bench *b, const struct coll_method *m, enum coll_form form) {
    const struct coll_times *t = &m->times[form];
    if (b->context && b->library >= 0 && t->exposed.median > 0)
        printf(" %6.2f", b->method[b->library].times[form].exposed.median / t->exposed.median);
    else if (t->speedup.n && t->speedup.low <= t->speedup.high)
        printf(" %6.2f [%.2f, %.2f]", t->speedup.median, t->speedup.low, t->speedup.high);
    else if (t->speedup.n)
        printf(" %6.2f", t->speedup.median);
    else
        printf(" %6s", "-");
}

static void print_row(const struct coll_bench *b, const struct coll_method *m, enum coll_form form) {
    const struct coll_times *t = &m->times[form];
    char name[64], interval[40] = "-", messages[24] = "-", words[24] = "-", predicted[24] = "-", floor[24] = "-";
    double alg = algbw_GBps(b, t);
    method_name(m, name, sizeof name);
    if (t->s.low <= t->s.high) snprintf(interval, sizeof interval, "[%.2f, %.2f]", t->s.low, t->s.high);
    if (!m->info.choice.algo->library) {
        snprintf(messages, sizeof messages, "%llu", (unsigned long long)m->most.messages);
        snprintf(words, sizeof words, "%llu", (unsigned long long)m->most.sent);
        snprintf(predicted, sizeof predicted, "%.2f", 1e-6 * (double)m->info.predicted_ps);
    }
    if (b->floor_ps) snprintf(floor, sizeof floor, "%.2f", floor_ratio(b, t));
    printf("%9zu %8zu %-7s %-12s %-5s %-3s %8.2f %8.2f %8.2f %-17s %7.3f %7.3f %6llu %5s %8s %9s %7s", b->bytes, b->n,
           type_name(b), name, transport_name(m), form_names[form], t->p5, t->s.median, t->p95, interval, alg,
           alg * bus_factor(b), (unsigned long long)t->wrong, messages, words, predicted, floor);
    if (b->context) printf(" %8.2f %8.2f", t->exposed_us, t->exposed.median);
    if (b->context && t->exposed.low <= t->exposed.high) printf(" [%.2f, %.2f]", t->exposed.low, t->exposed.high);
    print_speedup(b, m, form);
    printf(" %s\n", coll_label_name(m->info.label));
}

/* ---- OSU ---- */

static void print_osu(const struct coll_bench *b) {
    for (int k = 0; k < b->n_methods; k++) {
        char name[64];
        method_name(&b->method[k], name, sizeof name);
        printf("# northwall coll, %s, %s over %s, %s\n# Size       Avg Latency(us)\n", coll_kind_name(b->data.kind),
               name, transport_name(&b->method[k]), b->first_form == FORM_OUT ? "out of place" : "in place");
        printf("%-10zu %17.2f\n", b->bytes, b->method[k].times[b->first_form].mean);
    }
}

/* ---- JSON ---- */

static json_t *real_or_null(double v, int known) {
    return known ? json_real(v) : json_null();
}

static void put_interval(json_t *o, const char *key, const struct stats_median *s) {
    char low[48], high[48];
    int known = s->n > 0 && s->low <= s->high;
    snprintf(low, sizeof low, "%s_low", key);
    snprintf(high, sizeof high, "%s_high", key);
    json_object_set_new(o, low, real_or_null(s->low, known));
    json_object_set_new(o, high, real_or_null(s->high, known));
}

static void put_method(json_t *o, const struct coll_bench *b, const struct coll_method *m) {
    int known = !m->info.choice.algo->library;
    char name[64];
    method_name(m, name, sizeof name);
    json_object_set_new(o, "algo", json_string(name));
    json_object_set_new(o, "transport", json_string(transport_name(m)));
    json_object_set_new(o, "label", json_string(coll_label_name(m->info.label)));
    json_object_set_new(o, "wire", json_string(b->data.wire ? b->data.wire->name : "f32"));
    json_object_set_new(o, "messages", known ? json_integer((json_int_t)m->most.messages) : json_null());
    json_object_set_new(o, "words", known ? json_integer((json_int_t)m->most.sent) : json_null());
    json_object_set_new(o, "sent_bytes", known ? json_integer((json_int_t)m->sent_bytes) : json_null());
    json_object_set_new(o, "rounds", known ? json_integer(m->most.rounds) : json_null());
    json_object_set_new(o, "predicted_us", real_or_null(1e-6 * (double)m->info.predicted_ps, known));
    json_object_set_new(o, "predicted_kind", json_string("estimated"));
    json_object_set_new(o, "predicted_links", json_string(b->net.tier[0].source));
    json_object_set_new(o, "memory_bytes", json_integer((json_int_t)m->info.bytes));
}

static void put_ground(json_t *o, const struct coll_bench *b) {
    int known = b->before.hand_off_ns > 0;
    json_object_set_new(o, "handoff_ns", real_or_null(handoff_ns(b), known));
    json_object_set_new(o, "handoff_before_ns", real_or_null(b->before.hand_off_ns, known));
    json_object_set_new(o, "handoff_after_ns", real_or_null(b->after.hand_off_ns, known));
    json_object_set_new(o, "handoff_state", json_string(coll_state(b)));
    json_object_set_new(o, "floor_us", real_or_null(1e-6 * (double)b->floor_ps, b->floor_ps != 0));
}

static void put_times(json_t *o, const struct coll_bench *b, const struct coll_times *t) {
    json_object_set_new(o, "n", json_integer(b->n_reps));
    json_object_set_new(o, "kind", json_string("measured"));
    json_object_set_new(o, "time_us_p5", json_real(t->p5));
    json_object_set_new(o, "time_us_p50", json_real(t->s.median));
    json_object_set_new(o, "time_us_p95", json_real(t->p95));
    json_object_set_new(o, "time_us_mean", json_real(t->mean));
    put_interval(o, "time_us_p50", &t->s);
    json_object_set_new(o, "interval_confidence", real_or_null(t->s.confidence, t->s.low <= t->s.high));
    json_object_set_new(o, "algbw_GBps", json_real(algbw_GBps(b, t)));
    json_object_set_new(o, "busbw_GBps", json_real(algbw_GBps(b, t) * bus_factor(b)));
    json_object_set_new(o, "wrong", json_integer((json_int_t)t->wrong));
    json_object_set_new(o, "checked_elements", json_integer((json_int_t)(b->context ? b->n : coll_data_checked(b->n))));
    json_object_set_new(o, "tolerance", json_real(b->data.tolerance));
    json_object_set_new(o, "most_error", json_real(t->most));
    json_object_set_new(o, "x_floor", real_or_null(floor_ratio(b, t), b->floor_ps != 0));
    json_object_set_new(o, "x_mpi", real_or_null(t->speedup.median, t->speedup.n > 0));
    put_interval(o, "x_mpi", &t->speedup);
}

static void put_context(json_t *o, const struct coll_bench *b, const struct coll_times *t) {
    json_object_set_new(o, "context", b->context ? json_string("gemv") : json_null());
    if (!b->context) return;
    json_object_set_new(o, "gemv_bytes", json_integer((json_int_t)b->gemv.bytes));
    json_object_set_new(o, "gemv_us_p50", json_real(b->alone_s.median));
    json_object_set_new(o, "exposed_us", json_real(t->exposed_us));
    json_object_set_new(o, "exposed_pairs_us", json_real(t->exposed.median));
    put_interval(o, "exposed_pairs_us", &t->exposed);
    int known = b->library >= 0 && t->exposed.median > 0;
    json_object_set_new(
        o, "exposed_x_mpi",
        real_or_null(known ? b->method[b->library].times[FORM_IN].exposed.median / t->exposed.median : 0, known));
}

static json_t *row_json(const struct coll_bench *b, const struct coll_method *m, enum coll_form form) {
    json_t *o = json_object();
    const struct coll_times *t = &m->times[form];
    json_object_set_new(o, "op", json_string(coll_kind_name(b->data.kind)));
    json_object_set_new(o, "reduce", json_string(b->data.op.name));
    json_object_set_new(o, "ranks", json_integer(b->app->size));
    json_object_set_new(o, "bytes", json_integer((json_int_t)b->bytes));
    json_object_set_new(o, "count", json_integer((json_int_t)b->n));
    json_object_set_new(o, "in_place", json_boolean(form == FORM_IN));
    put_method(o, b, m);
    put_times(o, b, t);
    put_ground(o, b);
    put_context(o, b, t);
    return o;
}

/* ---- all of them ---- */

void coll_print_size(struct coll_bench *b) {
    const struct run_spec *s = &b->app->spec;
    if (s->json && !b->rows) b->rows = json_array();
    if (s->osu && !s->json) {
        print_osu(b);
        return;
    }
    if (!s->json) print_ground(b);
    if (!s->json) print_columns(b);
    for (int form = b->first_form; form < COLL_FORMS; form++)
        for (int k = 0; k < b->n_methods; k++) {
            if (s->json)
                json_array_append_new(b->rows, row_json(b, &b->method[k], (enum coll_form)form));
            else
                print_row(b, &b->method[k], (enum coll_form)form);
        }
    fflush(stdout);
}

void coll_print_end(struct coll_bench *b, FILE *out) {
    if (!b->app->spec.json) return;
    json_t *o = json_object();
    json_object_set_new(o, "northwall_version", json_string(NW_VERSION));
    json_object_set_new(o, "ranks", json_integer(b->app->size));
    json_object_set_new(o, "oversubscribed", json_boolean(b->app->world->oversubscribed));
    json_object_set_new(o, "warmup", json_integer(b->warmup));
    json_object_set_new(o, "wrong", json_integer((json_int_t)b->wrong));
    json_object_set_new(o, "rows", b->rows ? b->rows : json_array());
    json_dumpf(o, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(o);
    b->rows = NULL;
}
