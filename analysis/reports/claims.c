/* claims - what "AI and Memory Wall" (2021, 2024) and the HPEC 2024 paper on NorthPole claim: our number, the criterion
 * by which it is judged, and the verdict. */
#include "claims.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a verdict says is known of it before it is asked: nothing. */
static void answer_init(struct claim_answer *a) {
    *a = (struct claim_answer){.is = NAN, .low = NAN, .high = NAN, .unit = "", .kind = "", .range = ""};
    a->verdict = VERDICT_UNTOLD;
}

void claim_range(struct claim_answer *a, double x) {
    a->low = fmin(a->low, x); /* NaN is left out */
    a->high = fmax(a->high, x);
}

enum { MOST_ANSWERS = 64 };

struct asked {
    const char *paper;
    const struct claim *row;
    struct claim_answer a;
};

struct tally {
    struct frame *claims, *criteria, *counts;
    struct asked asked[MOST_ANSWERS];
    int n;
};

static const char *subject_of(const struct asked *q) {
    return q->a.subject[0] ? q->a.subject : q->row->text;
}

static void show_asked(struct tally *t, const struct asked *q) {
    const struct claim_answer *a = &q->a;
    double number = (double)(q - t->asked) + 1;
    frame_number(t->claims, number);
    frame_text(t->claims, "%s", q->paper);
    frame_text(t->claims, "%s", subject_of(q));
    frame_text(t->claims, "%s", verdict_name[a->verdict]);
    frame_number(t->claims, a->is);
    frame_number(t->claims, a->low);
    frame_number(t->claims, a->high);
    frame_text(t->claims, "%s", a->unit);
    frame_text(t->claims, "%s", a->range);
    frame_text(t->claims, "%s", a->kind);
    frame_end_row(t->claims);
    frame_number(t->criteria, number);
    frame_text(t->criteria, "%s", q->row->place);
    frame_text(t->criteria, "%s", q->row->criterion);
    frame_text(t->criteria, "%s", a->why);
    frame_end_row(t->criteria);
}

static void show_counts(struct tally *t, const char *paper, const struct asked *q, int n) {
    int by[VERDICTS] = {0};
    for (int i = 0; i < n; i++)
        by[q[i].a.verdict]++;
    frame_text(t->counts, "%s", paper);
    for (int v = 0; v < VERDICTS; v++)
        frame_number(t->counts, by[v]);
    frame_number(t->counts, n);
    frame_end_row(t->counts);
}

static int ask_paper(struct claims *c, struct tally *t, const char *paper, const struct claim *rows) {
    int first = t->n;
    for (const struct claim *row = rows; row->place; row++)
        for (int i = 0; i < (row->n ? row->n : 1) && t->n < MOST_ANSWERS; i++) {
            struct asked *q = &t->asked[t->n++];
            q->paper = paper;
            q->row = row;
            answer_init(&q->a);
            int rc = row->ask(c, i, &q->a);
            if (rc) return rc;
            show_asked(t, q);
        }
    show_counts(t, paper, &t->asked[first], t->n - first);
    return 0;
}

/* ---- in words ---- */

static const char *interval_text(const struct claim_answer *a, char *out, size_t cap) {
    out[0] = 0;
    if (!isnan(a->low) && !isnan(a->high)) snprintf(out, cap, " [%.3g, %.3g: %s]", a->low, a->high, a->range);
    return out;
}

static void say_one(struct claims *c, const struct asked *q) {
    const struct claim_answer *a = &q->a;
    char interval[160], is[32] = "";
    if (!isnan(a->is)) snprintf(is, sizeof is, "%.3g ", a->is);
    report_say(c->page, "%s%s (%s): %s. Ours: %s%s%s (%s); %s.",
               a->verdict == VERDICT_FAILS ? "Does not hold" : "Holds",
               a->verdict == VERDICT_FAILS ? "" : " under some conditions", q->paper, subject_of(q), is, a->unit,
               interval_text(a, interval, sizeof interval), a->kind, a->why);
}

/* The count, then each claim that does not hold, then those that do here and there. */
static void say_all(struct claims *c, const struct tally *t) {
    static const enum verdict said[] = {VERDICT_FAILS, VERDICT_WHERE};
    int by[VERDICTS] = {0};
    for (int i = 0; i < t->n; i++)
        by[t->asked[i].a.verdict]++;
    report_say(
        c->page,
        "Claims looked at: %d. Hold: %d; under some of the conditions looked at: %d; do not hold: %d; cannot be "
        "told from what is known: %d. Each is judged by a criterion that is stated without its number; ranges over "
        "what the HPEC paper does not publish are those of %d fits.",
        t->n, by[VERDICT_HOLDS], by[VERDICT_WHERE], by[VERDICT_FAILS], by[VERDICT_UNTOLD], c->np.n_fits);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < t->n; i++)
            if (t->asked[i].a.verdict == said[k]) say_one(c, &t->asked[i]);
}

static void open_tables(struct claims *c, struct tally *t) {
    t->counts = report_table(c->page, "verdicts", "Verdicts", "");
    frame_column(t->counts, "paper", "", 0);
    for (int v = 0; v < VERDICTS; v++)
        frame_column(t->counts, verdict_name[v], "claims", 3);
    frame_column(t->counts, "all", "claims", 3);
    t->claims = report_table(
        c->page, "claims", "Each claim, our number, and the verdict",
        "Low and high: an interval of 95 %, or the least and most over what is not published, or over the cases looked "
        "at.\nHolds where: under some of the conditions looked at. Cannot be told: what is known does not decide it.");
    frame_column(t->claims, "no", "", 3);
    frame_column(t->claims, "paper", "", 0);
    frame_column(t->claims, "claim", "", 0);
    frame_column(t->claims, "verdict", "", 0);
    frame_column(t->claims, "ours", "", 4);
    frame_column(t->claims, "low", "", 4);
    frame_column(t->claims, "high", "", 4);
    frame_column(t->claims, "unit", "", 0);
    frame_column(t->claims, "low to high", "", 0);
    frame_column(t->claims, "kind", "", 0);
    t->criteria = report_table(c->page, "criteria", "How each is judged, and why so",
                               "A criterion is a function of the numbers (analysis/judge.h), the same for all claims "
                               "of its kind.");
    frame_column(t->criteria, "no", "", 3);
    frame_column(t->criteria, "where it stands", "", 0);
    frame_column(t->criteria, "criterion", "", 0);
    frame_column(t->criteria, "why", "", 0);
}

static int ask_all(struct claims *c) {
    struct tally *t = calloc(1, sizeof *t);
    if (!t) return diag_set(c->d, ERR_MEMORY, "no memory for claims");
    open_tables(c, t);
    int rc = claims_decode(c);
    if (!rc) rc = ask_paper(c, t, "AI and Memory Wall", claims_wall);
    if (!rc) rc = ask_paper(c, t, "NorthPole, HPEC 2024", claims_northpole);
    if (!rc) say_all(c, t);
    free(t);
    return rc;
}

/* What the two reports know; their tables are not this one's. */
static int prepare(struct claims *c, struct report_page *others) {
    c->np.app = c->wall.app = c->app;
    c->np.page = c->wall.page = others;
    c->np.d = c->wall.d = c->d;
    c->np.all_fits = 1;
    int rc = data_read(&c->wall.trends, "trends", c->d);
    if (!rc) rc = case_cluster(&c->np.described, "northpole-16", c->d);
    if (!rc) rc = northpole_missing(&c->np);
    return rc ? rc : northpole_gpu_points(&c->np, c->ratio, &c->pass_s, &c->sequence_s);
}

static int make(struct report_page *page, const struct app *app, struct diag *d) {
    struct claims *c = calloc(1, sizeof *c);
    struct report_page *others = calloc(1, sizeof *others);
    int rc = c && others ? 0 : diag_set(d, ERR_MEMORY, "no memory for the report");
    if (!rc) {
        c->app = app;
        c->page = page;
        c->d = d;
        rc = prepare(c, others);
    }
    if (!rc) rc = ask_all(c);
    if (others) report_page_fini(others);
    if (c) data_fini(&c->wall.trends);
    free(others);
    free(c);
    return rc;
}

const struct report report_claims = {
    .name = "claims",
    .summary = "each claim of both papers: our number, the criterion, the verdict",
    .text =
        "The claims of AI and Memory Wall (2021, 2024) and of the HPEC 2024 paper on NorthPole, each with a number of\n"
        "this program and a verdict by a criterion that does not know the number. Simulated and estimated times and\n"
        "exact counts are deterministic (n = 1); what is not published is fitted in every way that there is, and a\n"
        "claim on which the fits part cannot be told.",
    .make = make,
    .figures = claims_figures,
};
