/* Peak arithmetic given up for bandwidth of memory, at rates of exchange that are assumed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "design.h"

enum { MOST_USERS = 256, STEPS = 19 };

/* For each percent of the peak that is given up, so many percent of the bandwidth more. */
struct exchange {
    const char *card;
    double rate;
    char name[32], why[192]; /* name: "power derived" */
};

static void trade(struct cluster *c, const struct exchange *e, double part) {
    parameter_find("compute")->set(c, 1 - part);
    parameter_find("memory-bandwidth")->set(c, 1 + e->rate * part);
}

struct job {
    const struct cluster *described;
    const struct exchange *e;
    const struct study *st;
    int prompt;
};

static int run(const struct job *j, int users, double part, struct study_figures *out) {
    struct cluster c = *j->described;
    struct study_case on = design_case(&c, "llama3-8b", "Q4_0", users, j->prompt);
    trade(&c, j->e, part);
    return study_figures(out, &on, j->st, 1);
}

/* Of parts from -50 % (less bandwidth for more arithmetic) to 95 %, by 10 and 5 %, the one that is done first. */
static int best_part(const struct job *j, int users, double *part, struct study_figures *best) {
    int rc = 0;
    *best = (struct study_figures){0};
    for (int i = -5; i <= STEPS && !rc; i++) {
        double p = i < 0 ? 0.1 * i : 0.05 * i;
        struct study_figures f;
        if (1 + j->e->rate * p < 0.1) continue;
        rc = run(j, users, p, &f);
        if (rc || !f.fits || (best->fits && f.s.total_ps >= best->s.total_ps)) continue;
        *best = f;
        *part = p;
    }
    return rc;
}

static int gains_by_half(void *user, int64_t users, int *holds, struct diag *d) {
    const struct job *j = user;
    struct study_figures now, half;
    int rc = run(j, (int)users, 0, &now);
    (void)d;
    if (!rc) rc = run(j, (int)users, 0.5, &half);
    *holds = !rc && half.s.total_ps < now.s.total_ps;
    return rc;
}

/* ---- rates of exchange ---- */

struct card_choice {
    const char *file;
    double bytes; /* times the file's energy of a byte, for a second exchange at constant power */
    const char *why;
};

static int add_exchanges(struct exchange *out, const struct card_choice *k, const struct cluster *c) {
    static const double assumed[] = {0.25, 0.5, 1};
    const struct card_level *l = &c->card.level[0];
    double compute_W = 1e-12 * c->card.pJ_per_op[PREC_F32] * design_rate(c->card.op[PREC_F32]);
    double memory_W = 1e-12 * l->pJ_per_B * design_rate(l->G);
    int n = 0;
    snprintf(out[n].name, sizeof out->name, "power derived");
    out[n].rate = compute_W / memory_W;
    snprintf(
        out[n++].why, sizeof out->why,
        "constant power, derived: %.0f W of arithmetic and %.0f W of memory at their peaks, by the file's energies",
        compute_W, memory_W);
    snprintf(out[n].name, sizeof out->name, "power assumed");
    out[n].rate = compute_W / memory_W / k->bytes;
    snprintf(out[n++].why, sizeof out->why, "constant power, assumed: %s", k->why);
    for (int i = 0; i < 3; i++) {
        snprintf(out[n].name, sizeof out->name, "area %.3g", assumed[i]);
        out[n].rate = assumed[i];
        snprintf(out[n++].why, sizeof out->why,
                 "constant area, assumed: no split of a chip's area is published, so a range of exchanges");
    }
    for (int i = 0; i < n; i++)
        out[i].card = c->card.name;
    return n;
}

static void trade_columns(struct frame *t) {
    frame_column(t, "card", "", 0);
    frame_column(t, "budget", "", 0);
    frame_column(t, "bandwidth for peak", "%/%", 3);
    frame_column(t, "prompt", "tokens", 4);
    frame_column(t, "users", "", 3);
    frame_column(t, "best part given up", "%", 3);
    frame_column(t, "time with it", "x", 3);
    frame_column(t, "energy with it", "x", 3);
    frame_column(t, "time with half", "x", 3);
    frame_column(t, "half pays up to", "users", 0);
    frame_column(t, "assumption", "", 0);
}

static int put_job(struct frame *t, const struct job *j, int users, int64_t pays) {
    struct study_figures now, best, half;
    double part = 0;
    int rc = run(j, users, 0, &now);
    if (!rc) rc = best_part(j, users, &part, &best);
    if (!rc) rc = run(j, users, 0.5, &half);
    if (rc || !now.fits) return rc;
    frame_text(t, "%s", j->e->card);
    frame_text(t, "%s", j->e->name);
    frame_number(t, j->e->rate);
    frame_number(t, j->prompt);
    frame_number(t, users);
    frame_number(t, 100 * part);
    frame_number(t, (double)best.s.total_ps / (double)now.s.total_ps);
    frame_number(t, best.J / now.J);
    frame_number(t, (double)half.s.total_ps / (double)now.s.total_ps);
    frame_text(t, pays == MOST_USERS ? "%lld or more" : pays ? "%lld" : "never", (long long)pays);
    frame_text(t, "%s", j->e->why);
    frame_end_row(t);
    return 0;
}

static void say(const struct study *st, const struct job *j, int64_t pays) {
    char text[64];
    snprintf(text, sizeof text, pays == MOST_USERS ? "%lld users and more" : "%lld users", (long long)pays);
    report_say(
        st->page,
        "%s, llama3-8b (Q4_0, %d + 128 tokens): half of the peak arithmetic for %.0f %% more bandwidth, what the "
        "file's energies make of constant power, shortens the job up to %s (estimated in closed form, n = 1).",
        j->e->card, j->prompt, 50 * j->e->rate, pays ? text : "no number of users");
}

static int put_exchange(const struct study *st, struct frame *t, const struct cluster *c, const struct exchange *e,
                        int derived) {
    static const int users[] = {1, 8, 64, 256}, prompts[] = {16, 1024};
    int rc = 0;
    for (int p = 0; p < 2 && !rc; p++) {
        struct job j = {c, e, st, prompts[p]};
        int64_t pays = 0;
        rc = integer_last(&pays, 1, MOST_USERS, gains_by_half, &j, st->d);
        if (!rc && derived) say(st, &j, pays);
        for (int i = 0; i < 4 && !rc; i++)
            rc = put_job(t, &j, users[i], pays);
    }
    return rc;
}

int design_trade(struct study *st) {
    static const struct card_choice cards[] = {
        {"h100-sxm", 31 / 93.4, "bytes at 31 pJ, what the file's source gives for the device without its controller"},
        {"l4", 93.4 / 31, "bytes at 3 times the file's energy, which leaves the controller out: as of HBM3"},
    };
    struct frame *t = report_table(
        st->page, "trade", "Peak arithmetic given up for bandwidth of memory, llama3-8b (Q4_0)",
        "Estimated in closed form, n = 1 (one card: equal to what is simulated to 0.001 %). Prompts as given, 128 "
        "tokens "
        "generated; time of\nthe whole job over that of the card as described. Parts from -50 % (bandwidth given up "
        "for arithmetic) to 95 % were tried.");
    int rc = 0;
    trade_columns(t);
    for (int i = 0; i < (st->quick ? 1 : 2) && !rc; i++) {
        struct cluster c;
        struct exchange e[8];
        rc = case_cluster(&c, cards[i].file, st->d);
        int n = rc ? 0 : add_exchanges(e, &cards[i], &c);
        for (int k = 0; k < n && !rc; k++)
            rc = put_exchange(st, t, &c, &e[k], k == 0);
    }
    return rc;
}
