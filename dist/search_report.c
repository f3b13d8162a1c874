/* search_report.c - what a search has found, in words and as JSON. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "dist/record.h"
#include "search_priv.h"

enum { SHOWN_LOSERS = 12 };

static void print_row(const struct found *f) {
    printf("%-24s %5d %5d %5d %-12s %-5s", f->strategy, f->cards, f->users, f->micro, f->tp > 1 ? f->algo : "-", f->kv);
    if (f->refused)
        printf("%12s %12s %12s %12s", "-", "-", "-", "-");
    else
        printf("%12.6f", f->latency_ms);
    if (!f->refused && f->simulated_ms > 0) printf(" %12.6f", f->simulated_ms);
    if (!f->refused && f->simulated_ms == 0) printf(" %12s", "");
    if (!f->refused) printf(" %12.1f %12.3f", f->throughput, f->energy_mJ);
    printf("%s%s", f->why[0] ? "  " : "", f->why);
    if (f->label != COLL_BIT_EXACT) printf(" (%s)", coll_label_name(f->label));
    puts("");
}

/* The most that an estimate of the best is off its simulation, in percent of this. */
static double most_off(const struct search *s) {
    double most = 0;
    for (int i = 0; i < s->n_best; i++) {
        const struct found *f = &s->found[i];
        if (f->simulated_ms > 0) most = fmax(most, 100 * fabs(f->latency_ms - f->simulated_ms) / f->simulated_ms);
    }
    return most;
}

static void print_notes(const struct search *s) {
    printf("\n%ld plans estimated in %.2f s, %.0f a second (measured, n = 1)", s->estimates, s->seconds,
           s->seconds > 0 ? (double)s->estimates / s->seconds : 0);
    if (s->most > 64) printf("; of more than 64 cards only powers of two were tried");
    puts(".\nLatency, throughput and energy are estimated (closed form), energy modelled; of the cards, without a "
         "host.\n"
         "A narrower cache changes the text; --kv keeps those named.");
    if (!s->shared) printf("Estimates of the best are at most %.2f %% off their simulations.\n", most_off(s));
    if (!s->shared) return;
    printf("Links are shared here: what is only estimated is a bound, as if each card had its own. %d plans were\n"
           "simulated, the best by their bounds first%s.\n",
           s->n_simulated, s->n_open ? "; those that still come first by a bound alone may lose" : ": all of the best");
}

void search_print(const struct search *s) {
    int shown = 0;
    printf("%s on %s: %d plans, %d of them refused; %d that nothing beats in latency, throughput, energy and cards%s"
           "\n\n",
           s->m->shape.name, s->app.cluster.name, s->n, s->n_refused, s->n_best, app_stop ? " (interrupted)" : "");
    printf("%-24s %5s %5s %5s %-12s %-5s%12s %12s %12s %12s\n", "strategy", "cards", "users", "micro", "all-reduce",
           "cache", "latency", "simulated", "throughput", "energy");
    printf("%-24s %5s %5s %5s %-12s %-5s%12s %12s %12s %12s\n", "", "", "", "", "", "", "ms/token", "ms/token", "tok/s",
           "mJ/token");
    for (int i = 0; i < s->n_best; i++)
        print_row(&s->found[i]);
    printf("\nwhat loses, the fastest first, and why\n");
    for (int i = s->n_best; i < s->n && (s->app.spec.all || shown < SHOWN_LOSERS); i++, shown++)
        print_row(&s->found[i]);
    if (s->n_best + shown < s->n) printf("... and %d more (--all)\n", s->n - s->n_best - shown);
    print_notes(s);
}

static json_t *row_json(const struct found *f) {
    json_t *o = json_pack("{s:s, s:i, s:i, s:i, s:s, s:s, s:b, s:b}", "strategy", f->strategy, "cards", f->cards,
                          "users", f->users, "micro_batches", f->micro, "allreduce", f->algo, "kv", f->kv, "bit_exact",
                          f->label == COLL_BIT_EXACT, "fits", !f->refused);
    if (!f->refused)
        json_object_update_new(o, json_pack("{s:f, s:f, s:f, s:s, s:f}", "latency_ms_per_tok", f->latency_ms,
                                            "throughput_tok_per_s", f->throughput, "energy_mJ_per_tok", f->energy_mJ,
                                            "binds", record_share_name[f->binds], "binds_part", f->binds_part));
    if (f->simulated_ms > 0) json_object_set_new(o, "simulated_latency_ms_per_tok", json_real(f->simulated_ms));
    json_object_set_new(o, "why_not", f->why[0] ? json_string(f->why) : json_null());
    return o;
}

void search_json(const struct search *s) {
    json_t *plans = json_array();
    for (int i = 0; i < s->n; i++)
        json_array_append_new(plans, row_json(&s->found[i]));
    json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:f, s:o}", "model", s->m->shape.name, "cluster",
                          s->app.cluster.name, "kind", "estimated", "links_shared", s->shared, "simulated",
                          s->n_simulated, "estimates", (json_int_t)s->estimates, "estimates_per_s",
                          s->seconds > 0 ? (double)s->estimates / s->seconds : 0, "plans", plans);
    json_dumpf(o, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(o);
}
