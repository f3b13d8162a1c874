/* The roofline as a table. */
#include <stdio.h>

#include "base/text.h"
#include "roofline.h"

char *roof_count(char *buf, size_t cap, double n) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int i = 0;
    for (; n >= 999.5 && i < 4; i++)
        n /= 1000;
    snprintf(buf, cap, "%.*f%s", n >= 100 || (!i && n == (double)(long)n) ? 0 : n >= 10 ? 1 : 2, n, units[i]);
    return buf;
}

static void print_figure(const char *name, const struct stats_median *s, const char *unit, const char *what) {
    printf("  %-15s %8.2f %-5s", name, s->median, unit);
    if (s->low <= s->high)
        printf(" [%.2f, %.2f], %.1f %% interval, n = %d", s->low, s->high, 100 * s->confidence, s->n);
    else
        printf(" from %.2f to %.2f, n = %d: too few for an interval", s->min, s->max, s->n);
    printf("%s%s\n", what ? "; " : "", what ? what : "");
}

/* "rank 0", "ranks 1, 2, 5": the path. */
static void print_path(const struct roof_phase *f, const struct plan *p) {
    enum { MOST = 8 };
    printf("rank%s ", f->n_ranks == 1 ? "" : "s");
    for (int i = 0; i < f->n_ranks && i < MOST; i++)
        printf("%s%d", i ? ", " : "", f->rank[i]);
    if (f->n_ranks > MOST) printf(", ... %d", f->rank[f->n_ranks - 1]);
    if (p->n_ranks > p->n_stages)
        printf(f->n_ranks == 1 ? " (of its stage the one that worked longest)"
                               : " (of each stage the one that worked longest)");
    if (f->n_ranks > 1) fputs(", stages added", stdout);
}

static const char *binds(const struct roof_row *r) {
    return r->bound_ms <= 0 ? "-" : r->memory_ms >= r->compute_ms ? "memory" : "compute";
}

static void print_row(const char *name, const struct roof_row *r) {
    char bytes[24], ops[24], interval[40] = "", fraction[16] = "-", both[40] = "";
    text_bytes(bytes, sizeof bytes, r->bytes);
    roof_count(ops, sizeof ops, r->ops[PEAK_INT8] + r->ops[PEAK_F32]);
    if (r->ms.low <= r->ms.high) snprintf(interval, sizeof interval, "[%.3f, %.3f]", r->ms.low, r->ms.high);
    if (r->bound_ms > 0) {
        snprintf(fraction, sizeof fraction, "%.2f", r->fraction.median);
        if (r->fraction.low <= r->fraction.high)
            snprintf(both, sizeof both, "[%.2f, %.2f]", r->fraction.low, r->fraction.high);
    }
    printf("  %-11s %5.3g %11s %7s %9.3f %-18s %8.3f %8.3f  %-7s %5s %-12s %5.1f\n", name, r->calls, bytes, ops,
           r->ms.median, interval, r->memory_ms, r->compute_ms, binds(r), fraction, both, 100 * r->share);
}

static void print_phase(const struct roof_phase *f, const struct plan *p, const char *name) {
    const struct peak_set *peak = peak_selected();
    if (!f->passes) return;
    printf("%s: a pass of %.1f token%s that see%s %.1f positions (means; %.0f pass%s a run); measured, the time of\n  ",
           name, f->tokens, f->tokens == 1 ? "" : "s", f->tokens == 1 ? "s" : "", f->positions, f->passes,
           f->passes == 1 ? "" : "es");
    print_path(f, p);
    puts("");
    print_figure("read bandwidth", &f->read_GBps, "GB/s", f->n_ranks > 1 ? "mean of these ranks" : NULL);
    print_figure("int8 peak", &f->peak_GOps[PEAK_INT8], "GOP/s", peak->what[PEAK_INT8]);
    print_figure("F32 peak", &f->peak_GOps[PEAK_F32], "GOP/s", peak->what[PEAK_F32]);
    print_figure("wall clock", &f->wall_ms, "ms", "of a pass, all ranks");
    printf("\n  %-11s %5s %11s %7s %9s %-18s %8s %8s  %-7s %-18s %5s\n", "step", "calls", "bytes", "ops", "measured",
           "[interval]", "memory", "compute", "bound", "bound/measured", "share");
    printf("  %-11s %5s %11s %7s %9s %-18s %8s %8s  %-7s %-18s %5s\n", "", "", "", "", "ms", "", "ms", "ms", "by",
           "[interval]", "%");
    for (int k = 0; k < STEP_COUNT; k++)
        if (f->row[k].calls > 0) print_row(step_name((enum step_kind)k), &f->row[k]);
    print_row("sum", &f->row[STEP_COUNT]);
    const struct roof_row *sum = &f->row[STEP_COUNT];
    if (p->n_ranks > 1) printf("  of the sum %.3f ms waited for messages of the same stage\n", sum->waited_ms);
    puts("");
}

void roof_print(const struct roofline *r, const struct plan *p) {
    for (int i = 0; i < ROOF_PHASES; i++)
        print_phase(&r->phase[i], p, roof_phase_names[i]);
    puts(
        "How to read it: no step can be faster than its bytes at the read bandwidth (memory) or its operations at the\n"
        "peak (compute); bound/measured is how much of that is reached, 1 is the limit. Bytes and operations are the\n"
        "plan's, of one pass: weights, and the cache, read once for the tokens of a sequence in a pass; what stays in "
        "the\n"
        "processor's caches (activations, messages) is not counted. Bandwidth and peaks are of one rank's cores, "
        "probed\n"
        "before and after each run.");
    if (p->n_stages > 1)
        puts("Waiting for another stage is left out: it is that stage's time. With several micro-batches, or chunks of "
             "a\n"
             "prompt, stages work at the same time and a pass costs less than the sum.");
}
