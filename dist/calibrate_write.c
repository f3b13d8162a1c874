/* calibrate_write.c - figures as a cluster file, each number with its origin. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "calibrate.h"
#include "collectives/price.h"

struct writer {
    const struct calibration *c;
    FILE *out;
    char date[16];
};

static double median(const struct calibration *c, int i) {
    return c->figure[i].s.median;
}

/* "measured 2026-11-21, n = 41, [48.9, 50.1] ns, northwall 0.1.0"; `how` for what was worked out of figures. */
static void put_source(const struct writer *w, int i, const char *kind, const char *how) {
    const struct figure *f = &w->c->figure[i];
    fprintf(w->out, "source: \"%s %s, n = %d, ", kind, w->date, f->s.n);
    if (f->s.low <= f->s.high) fprintf(w->out, "[%.4g, %.4g] %s, ", f->s.low, f->s.high, f->unit);
    fprintf(w->out, "%s%snorthwall %s\"}\n", how, *how ? ", " : "", NW_VERSION);
}

static void put_time(const struct writer *w, const char *key, double ns, int i, const char *kind, const char *how) {
    fprintf(w->out, "%s: {value: %.5g us, ", key, ns > 0 ? ns * 1e-3 : 0);
    put_source(w, i, kind, how);
}

/* Of ps a byte. */
static double GBps(double ps) {
    return 1e3 / (ps > 0.001 ? ps : 0.001);
}

static void put_rate(const struct writer *w, const char *key, double ps, int i, const char *kind, const char *how) {
    fprintf(w->out, "%s: {value: %.5g GB/s, ", key, GBps(ps));
    put_source(w, i, kind, how);
}

/* One rank with one thread. */
static int has_card(const struct calibration *c) {
    return c->per_node > 0 && c->codec >= 0;
}

/* What products read; where the cache is too small for those that were measured, what the probe reads. */
static void put_level(const struct writer *w, const char *name, size_t bytes, int products, int probe) {
    int fitted = median(w->c, products) > 0, bandwidth = fitted ? products : probe;
    fprintf(w->out, "      - name: %s\n", name);
    if (bytes)
        fprintf(w->out, "        capacity: {value: %zu B, source: \"derived: hwloc, split among %d of a machine\"}\n",
                bytes, w->c->per_machine);
    fprintf(w->out, "        bandwidth: {value: %.5g GB/s, ", median(w->c, bandwidth));
    put_source(w, bandwidth, fitted ? "fitted" : "measured", fitted ? "products of one token, all ranks" : "all ranks");
}

static void put_steps(const struct writer *w) {
    static const char *const keys[] = {"pass", "token", "sequence"};
    const struct calibration *c = w->c;
    fputs("  overhead:\n    ", w->out);
    for (int i = 0; i < 3; i++, fputs(i < 3 ? "    " : "", w->out))
        put_time(w, keys[i], median(c, c->steps + 3 + i), c->steps + 3 + i, i ? "fitted" : "measured", "");
    fputs("  steps:\n", w->out);
    for (int k = 0; k < STEP_COUNT; k++) {
        if (card_is_message((enum step_kind)k)) continue;
        fprintf(w->out, "    - kind: %s\n", step_name((enum step_kind)k));
        if (c->step[k][0] >= 0) put_time(w, "      overhead", median(c, c->step[k][0]), c->step[k][0], "fitted", "");
        if (c->step[k][1] < 0) continue;
        fprintf(w->out, "      efficiency: {value: %.4g x, ", fmax(median(c, c->step[k][1]), 0.001));
        put_source(w, c->step[k][1], "fitted", "of rates");
    }
}

/* Of rank 0 as if it were the slowest. */
static void put_alone(const struct writer *w, int i, const char *kind, const char *how) {
    char text[80];
    snprintf(text, sizeof text, "%s / %.4g, its speed", how, w->c->rank0_speed);
    put_source(w, i, kind, w->c->rank0_speed != 1 ? text : how);
}

/* What products of the engine read while all ranks read; energies are not measured. */
static void put_card(const struct writer *w) {
    static const char *const names[PREC_COUNT] = {"float", "int8", "int4"};
    const struct calibration *c = w->c;
    fputs("    levels:\n", w->out);
    if (c->cache >= 0) {
        put_level(w, "cache", c->cache_bytes, c->steps, c->cache);
        fputs("        holds: whole\n", w->out);
    }
    put_level(w, "memory", c->memory_bytes, c->steps + 1, c->together);
    fprintf(w->out, "        bandwidth_alone: {value: %.5g GB/s, ", median(c, c->steps + 2) / c->rank0_speed);
    put_alone(w, c->steps + 2, "fitted", "products of one token, rank 0");
    fputs("  rates:\n", w->out);
    for (int i = 0; i < PREC_COUNT; i++) {
        fprintf(w->out, "    %s: {value: %.5g Gop/s, ", names[i], median(c, c->rate[i]));
        put_source(w, c->rate[i], "measured", "kernels");
    }
    put_steps(w);
}

/* Of a tier within a node; the last tier joins all. */
static void put_joins(const struct writer *w, int is_last) {
    if (!is_last && has_card(w->c)) fprintf(w->out, "    joins: %d\n", w->c->per_node);
}

static void put_memory(const struct writer *w) {
    if (has_card(w->c)) fprintf(w->out, "cards: %d\n", w->c->app->size);
    fputs("card:\n", w->out);
    if (has_card(w->c)) fputs("  name: a rank\n", w->out);
    fputs("  memory:\n", w->out);
    fprintf(w->out, "    bandwidth: {value: %.5g GB/s, ", median(w->c, w->c->together));
    put_source(w, w->c->together, "measured", "all ranks");
    fprintf(w->out, "    bandwidth_alone: {value: %.5g GB/s, ", median(w->c, w->c->alone) / w->c->rank0_speed);
    put_alone(w, w->c->alone, "measured", "rank 0");
    if (has_card(w->c)) put_card(w);
}

/* The card is the slowest rank: what is measured on all ranks is its own. */
static void put_exceptions(const struct writer *w) {
    if (has_card(w->c) && w->c->n_unequal) fputs("exceptions:\n", w->out);
    for (int i = 0; i < w->c->n_unequal && has_card(w->c); i++) {
        const struct unequal *u = &w->c->unequal[i];
        fprintf(w->out, "  - cards: %s\n    speed: {value: %.4g x, ", u->cards, u->speed.median);
        fprintf(w->out,
                "source: \"measured %s, n = %d, [%.4g, %.4g] x, memory read beside the slowest rank, northwall %s\"}\n",
                w->date, u->speed.n, u->speed.low, u->speed.high, NW_VERSION);
    }
}

static void put_work(const struct writer *w) {
    const struct calibration *c = w->c;
    fputs("work:\n", w->out);
    put_rate(w, "  reduce", median(c, c->reduce), c->reduce, "measured", "");
    put_rate(w, "  copy", median(c, c->copy), c->copy, "measured", "");
    if (c->codec >= 0)
        put_rate(w, "  codec", (median(c, c->codec) + median(c, c->codec + 1)) / 2, c->codec, "measured", "en+decode");
}

/* ---- links ---- */

int calibrate_line(const struct calibration *c, const struct calibrated_exchange *x, struct exchange_line *out) {
    struct exchange_point p[CALIBRATE_FIGURES];
    int n = 0;
    for (int where = 0; where < x->places; where++) {
        int between = x->first + where * (1 + x->sizes);
        for (int i = 0; i < x->sizes; i++) {
            double bytes = (double)x->bytes[i], all = median(c, between + 1 + i), ns = all - median(c, between);
            if (where != EXCHANGE_PASS) ns -= 1e-3 * bytes * median(c, c->reduce);
            p[n++] = (struct exchange_point){bytes, ns, all};
        }
    }
    double word = median(c, x->bare + 1) - (x->places == EXCHANGE_PASS ? median(c, c->reduce) : 0);
    const struct exchange_line bare = {median(c, x->bare), word > 0 ? word : 0, 0};
    exchange_fit(out, p, n, &bare);
    return n;
}

struct fitted {
    struct exchange_line line;
    char how[96]; /* behind "fitted" and the date */
};

static struct fitted fit_exchanges(const struct writer *w, const struct calibrated_exchange *x) {
    struct fitted f;
    int n = calibrate_line(w->c, x, &f.line);
    snprintf(f.how, sizeof f.how, "n = %d, to %d exchanges between steps, off by at most %.2g %% of both",
             w->c->figure[x->first].s.n, n, 100 * f.line.off);
    return f;
}

static void put_fitted(const struct writer *w, const char *key, double value, const char *unit,
                       const struct fitted *f) {
    fprintf(w->out, "    %s: {value: %.5g %s, source: \"fitted %s, %s, northwall %s\"}\n", key, value, unit, w->date,
            f->how, NW_VERSION);
}

/* What the file does not say: times of a link by itself. */
static void put_bare(const struct writer *w, const char *what, int time, int off) {
    const struct figure *t = &w->c->figure[time];
    char text[48] = "";
    if (off >= 0) snprintf(text, sizeof text, ", off by at most %.2g %%", median(w->c, off));
    fprintf(w->out, "    # %s by itself: %.5g us + %.5g ps/B (fitted, n = %d%s)\n", what, 1e-3 * t->s.median,
            median(w->c, time + 1), t->s.n, text);
}

/* A one-shot of two: hand-off, overheads of both sides, then each byte is read and reduced. */
static void put_shm(const struct writer *w) {
    const struct calibration *c = w->c;
    struct fitted f = fit_exchanges(w, &c->shm_exchange);
    double flag = median(c, c->hand_off), latency = flag < f.line.ns ? flag : f.line.ns,
           half = (f.line.ns - latency) / 2;
    put_time(w, "hand_off", flag, c->hand_off, "measured", "");
    fputs("links:\n  - name: shm\n    transfer: pull\n", w->out);
    put_joins(w, c->n_tiers == 0);
    put_bare(w, "a one-shot of 2", c->shm_exchange.bare, -1);
    put_time(w, "    latency", latency, c->hand_off, "measured", "");
    put_fitted(w, "send_overhead", 1e-3 * half, "us", &f);
    put_fitted(w, "recv_overhead", 1e-3 * half, "us", &f);
    put_fitted(w, "bandwidth", GBps(f.line.ps), "GB/s", &f);
}

/* Not from a ping-pong: between steps weights fill the caches, ranks wait for the later one, and what carries messages
 * takes processors from steps. */
static void put_tier(const struct writer *w, const struct calibrated_tier *t) {
    const struct calibration *c = w->c;
    struct fitted f = fit_exchanges(w, &t->exchange);
    double send = median(c, t->send), recv = median(c, t->recv), rest;
    exchange_split(f.line.ns, &rest, &send, &recv);
    fprintf(w->out, "  - name: %s\n    transfer: push\n", t->name);
    put_joins(w, t == &c->tier[c->n_tiers - 1]);
    put_bare(w, "one way", t->exchange.bare, t->off);
    put_bare(w, "a one-shot of 2", t->sum, -1);
    put_fitted(w, "latency", 1e-3 * rest, "us", &f);
    put_time(w, "    send_overhead", send, t->send, "measured", "");
    put_time(w, "    recv_overhead", recv, t->recv, "measured", "");
    put_time(w, "    message_gap", median(c, t->gap), t->gap, "measured", "");
    put_fitted(w, "bandwidth", GBps(f.line.ps), "GB/s", &f);
}

/* Links that there is nobody to measure with. */
static void put_assumed(const struct writer *w) {
    fputs("links:\n", w->out);
    for (int i = 0; i < net_default.n_tiers; i++) {
        const struct net_link *l = &net_default.tier[i].link;
        const char *source = "source: \"assumed: one rank has no link\"}\n";
        fprintf(w->out, "  - name: %s\n    transfer: %s\n", net_default.tier[i].name, l->pull ? "pull" : "push");
        put_joins(w, i + 1 == net_default.n_tiers);
        fprintf(w->out, "    latency: {value: %.5g us, %s", (double)l->L_ps * 1e-6, source);
        fprintf(w->out, "    send_overhead: {value: %.5g us, %s", (double)l->o_send_ps * 1e-6, source);
        fprintf(w->out, "    recv_overhead: {value: %.5g us, %s", (double)l->o_recv_ps * 1e-6, source);
        fprintf(w->out, "    bandwidth: {value: %.5g GB/s, %s", 1e3 * (double)l->G.den / (double)l->G.num, source);
    }
}

static void put_all(void *user, FILE *out) {
    struct writer *w = user;
    const struct calibration *c = w->c;
    w->out = out;
    fprintf(w->out,
            "# Written by northwall calibrate on %d rank%s. Every number: its median, and where it comes from.\n"
            "schema: northwall-cluster\nversion: 1\nname: calibrated\n",
            c->app->size, c->app->size == 1 ? "" : "s");
    put_memory(w);
    put_exceptions(w);
    put_work(w);
    if (c->hand_off >= 0)
        put_shm(w);
    else if (c->n_tiers > 0)
        fputs("links:\n", w->out);
    else
        put_assumed(w);
    for (int i = 0; i < c->n_tiers; i++)
        put_tier(w, &c->tier[i]);
}

int calibrate_write(const struct calibration *c, const char *path, struct diag *d) {
    time_t t = time(NULL);
    struct tm day;
    struct writer w = {.c = c};
    strftime(w.date, sizeof w.date, "%Y-%m-%d", gmtime_r(&t, &day));
    return text_write_file(path, put_all, &w, d);
}
