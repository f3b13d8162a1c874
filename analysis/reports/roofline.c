/* roofline - each kind of step on this machine beside what its memory and its arithmetic allow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure.h"
#include "measured.h"

static const char *const phases[] = {"decode", "prefill"};
enum { PHASES = 2, RANKS = 2 };

struct roofline_report {
    struct report_page *page;
    struct frame *steps, *roofs;
};

static double operations(const json_t *step) {
    return job_number(step, "int8_ops_per_pass") + job_number(step, "f32_ops_per_pass");
}

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "-";
}

static int has_place(const json_t *s) {
    return job_number(s, "bytes_per_pass") > 0 && operations(s) > 0;
}

/* Which of the phase's steps with a place on the figure it is, by its share of the time; NaN: none that is labelled. */
static double label_of(const json_t *steps, const json_t *s) {
    const json_t *other;
    double share = job_number(s, "share_of_time"), place = 0;
    size_t i;
    json_array_foreach(steps, i, other) {
        place += has_place(other) && job_number(other, "share_of_time") > share;
    }
    return has_place(s) && share >= 0.02 && share < 1 ? place : NAN;
}

static void add_step(struct frame *t, const char *strategy, const char *phase, const json_t *steps, const json_t *s) {
    double bytes = job_number(s, "bytes_per_pass"), ops = operations(s), ms = job_number(s, "measured_ms_per_pass");
    frame_text(t, "%s", strategy);
    frame_text(t, "%s", phase);
    frame_text(t, "%s", text_of(s, "step"));
    frame_number(t, has_place(s) ? ops / bytes : NAN);
    frame_number(t, has_place(s) ? 1e-6 * ops / ms : NAN);
    frame_number(t, 100 * job_number(s, "share_of_time"));
    frame_text(t, "%s", text_of(s, "bound_by"));
    measured_cells(t, s, "fraction_of_bound", 1);
    measured_cells(t, s, "measured_ms_per_pass", 1);
    frame_number(t, bytes);
    frame_number(t, ops);
    frame_number(t, label_of(steps, s));
    frame_end_row(t);
}

static void step_columns(struct frame *t) {
    frame_column(t, "strategy", "", 0);
    frame_column(t, "phase", "", 0);
    frame_column(t, "step", "", 0);
    frame_column(t, "intensity", "operations/B", 3);
    frame_column(t, "speed", "10^9 operations/s", 3);
    frame_column(t, "share", "% of time", 3);
    frame_column(t, "bound by", "", 0);
    frame_column(t, "bound/measured", "", 2);
    frame_column(t, "low", "", 2);
    frame_column(t, "high", "", 2);
    frame_column(t, "measured", "ms a pass", 3);
    frame_column(t, "low", "ms", 3);
    frame_column(t, "high", "ms", 3);
    frame_column(t, "read", "B a pass", 9);
    frame_column(t, "operations", "a pass", 9);
    frame_column(t, "label", "", 2);
}

static void roof_columns(struct frame *t) {
    frame_column(t, "strategy", "", 0);
    frame_column(t, "phase", "", 0);
    frame_column(t, "memory reads", "GB/s", 3);
    frame_column(t, "low", "GB/s", 3);
    frame_column(t, "high", "GB/s", 3);
    frame_column(t, "int8 peak", "10^9 operations/s", 3);
    frame_column(t, "int8 low", "10^9 operations/s", 3);
    frame_column(t, "int8 high", "10^9 operations/s", 3);
    frame_column(t, "F32 peak", "10^9 operations/s", 3);
    frame_column(t, "F32 low", "10^9 operations/s", 3);
    frame_column(t, "F32 high", "10^9 operations/s", 3);
}

static void add_phase(struct roofline_report *r, const char *strategy, const char *phase, const json_t *f) {
    const json_t *s;
    size_t i;
    json_array_foreach(json_object_get(f, "steps"), i, s) {
        add_step(r->steps, strategy, phase, json_object_get(f, "steps"), s);
    }
    add_step(r->steps, strategy, phase, json_object_get(f, "steps"), json_object_get(f, "sum"));
    frame_text(r->roofs, "%s", strategy);
    frame_text(r->roofs, "%s", phase);
    measured_cells(r->roofs, f, "rank_read_GBps", 1);
    measured_cells(r->roofs, f, "rank_int8_peak_GOps", 1);
    measured_cells(r->roofs, f, "rank_f32_peak_GOps", 1);
    frame_end_row(r->roofs);
}

/* Of a phase's time, the percentage in steps that such a roof bounds. */
static double time_bound_by(const json_t *f, const char *what) {
    const json_t *s;
    double sum = 0;
    size_t i;
    json_array_foreach(json_object_get(f, "steps"), i, s) {
        if (!strcmp(text_of(s, "bound_by"), what)) sum += 100 * job_number(s, "share_of_time");
    }
    return sum;
}

static void say(struct report_page *page, const char *model, const json_t *row) {
    const json_t *roof = json_object_get(row, "roofline"), *decode = json_object_get(roof, "decode"),
                 *prefill = json_object_get(roof, "prefill");
    char read[96], part[96];
    measured_text(read, sizeof read, decode, "rank_read_GBps", 1, "GB/s");
    measured_text(part, sizeof part, json_object_get(decode, "sum"), "fraction_of_bound", 1, "of their bound");
    report_say(page,
               "A token of %s on one core: steps bound by memory take %.0f %% of the time, the sum of all reaches "
               "%s, where memory gives %s (measured, medians, %.1f %% intervals, n = %.0f).",
               model, time_bound_by(decode, "memory"), part, read, 100 * job_number(row, "interval_confidence"),
               job_number(row, "n"));
    measured_text(part, sizeof part, json_object_get(prefill, "sum"), "fraction_of_bound", 1, "of the bound");
    report_say(page,
               "A pass of %.0f prompt tokens is bound by arithmetic for %.0f %% of its time and reaches %s (measured, "
               "n = %.0f).",
               job_number(prefill, "tokens_per_pass"), time_bound_by(prefill, "compute"), part, job_number(row, "n"));
}

static void show(struct report_page *page, const json_t *o, const char *note) {
    struct roofline_report r = {.page = page};
    const json_t *row;
    size_t i;
    r.steps =
        report_table(page, "steps", "Each kind of step beside its bound",
                     "A step cannot be faster than its bytes at the read bandwidth or its operations at the peak; "
                     "bound/measured is how much of that is reached.");
    r.roofs = report_table(page, "roofs", "What one rank's cores give, probed before and after each run", note);
    step_columns(r.steps);
    roof_columns(r.roofs);
    json_array_foreach(json_object_get(o, "rows"), i, row) {
        for (int f = 0; f < PHASES; f++)
            if (json_object_get(row, "roofline"))
                add_phase(&r, text_of(row, "strategy"), phases[f],
                          json_object_get(json_object_get(row, "roofline"), phases[f]));
    }
    say(page, text_of(o, "model"), json_array_get(json_object_get(o, "rows"), 0));
}

/* Weights that are larger than most last caches; the bundled decoder's are not. */
static int make(struct report_page *page, const struct app *app, struct diag *d) {
    const char *const words[] = {"bench",      "--model",    "gpt2",     "--strategies",
                                 "1,tp2",      "--roofline", "-n",       app->spec.quick ? "16" : "32",
                                 "--n-prompt", "64",         "--repeat", app->spec.quick ? "6" : "15",
                                 "--threads",  "1",          "--json"};
    json_t *o = NULL;
    char *note = NULL;
    int rc = measured_job(&o, &note, RANKS, sizeof words / sizeof *words, words,
                          "Of one rank; medians with intervals by binomial ranks.", d);
    if (!rc) show(page, o, note);
    json_decref(o);
    free(note);
    return rc;
}

#define OF(phase, column) "(strcol(1) eq '1' && strcol(2) eq '" phase "' && strcol(3) ne 'sum' ? " column " : NaN)"
#define STEPS "'steps.csv' skip 1 using "
#define LABEL_Y "(read_max*(2.2*0.66**$16))"

/* Points of one phase, larger where more of its time goes; the larger ones are named in a column at x, in the order of
 * their shares. */
#define POINTS(phase, i, mark, x)                                                                                      \
    STEPS OF(phase, "$4") ":5:(0.8+0.25*sqrt($6)) with points pt " mark " ps variable lc rgb color(" i                 \
                          ") lw 1.5 title '" phase "', \\\n" STEPS                                                     \
                          OF(phase, x) ":" LABEL_Y ":($4-" x ")"                                                       \
                                       ":($5-" LABEL_Y ") with vectors nohead lc rgb '#bbbbbb' notitle, \\\n" STEPS    \
                                       OF(phase, x) ":" LABEL_Y ":3 with labels left font ',12' tc rgb color(" i       \
                                                    ") notitle"

static const struct report_figure figures[] = {
    {"roofline",
     FIGURE_STYLE
     "set title 'GPT-2 on one core: each kind of step beside what the machine allows (measured)'\n"
     "set xlabel 'operations a byte of memory'\nset ylabel 'GOP/s'\nset termoption noenhanced\nset logscale xy\n"
     "set key inside left top\n"
     "stats 'roofs.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' ? $3 : NaN) name 'read' nooutput\n"
     "stats 'roofs.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' ? $6 : NaN) name 'int8' nooutput\n"
     "stats 'roofs.csv' skip 1 using (strcol(1) eq '1' && strcol(2) eq 'decode' ? $9 : NaN) name 'f32' nooutput\n"
     "set xrange [0.1:1000]\nset samples 400\n"
     "plot (read_max*x < int8_max ? read_max*x : int8_max) with lines lc rgb 'black' lw 1.5 title 'int8 roof', \\\n"
     "  (read_max*x < f32_max ? read_max*x : f32_max) with lines lc rgb 'black' dt 2 lw 1.5 title 'F32 roof', "
     "\\\n" POINTS("decode", "1", "7", "4") ", \\\n" POINTS("prefill", "2", "4", "230") "\n",
     "10^9 operations a second (GOP/s) of each kind of step against its operations a byte, one rank (measured, "
     "medians). Lines: what "
     "the probed read bandwidth and the peaks of the kernel set's instructions allow. Size: share of the phase's time; "
     "those of at least 2 % are named."},
    {0}};

const struct report report_roofline = {
    .name = "roofline",
    .summary = "each kind of step on this machine beside what memory and arithmetic allow, measured",
    .text =
        "Where the time of a token goes on this machine: GPT-2 124M with synthetic weights in its preset's storage,\n"
        "more than most last caches hold, on one rank and on two, verified against one rank.",
    .measures = 2,
    .make = make,
    .figures = figures,
};
