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

struct tally {
    struct frame *claims, *criteria, *counts;
    int number, by[VERDICTS], failed;
};

static void add_claim(struct tally *t, const char *paper, const struct claim *row, const struct claim_answer *a) {
    frame_number(t->claims, ++t->number);
    frame_text(t->claims, "%s", paper);
    frame_text(t->claims, "%s", a->subject[0] ? a->subject : row->text);
    frame_text(t->claims, "%s", verdict_name[a->verdict]);
    frame_number(t->claims, a->is);
    frame_number(t->claims, a->low);
    frame_number(t->claims, a->high);
    frame_text(t->claims, "%s", a->unit);
    frame_text(t->claims, "%s", a->range);
    frame_text(t->claims, "%s", a->kind);
    frame_end_row(t->claims);
    frame_number(t->criteria, t->number);
    frame_text(t->criteria, "%s", row->place);
    frame_text(t->criteria, "%s", row->criterion);
    frame_text(t->criteria, "%s", a->why);
    frame_end_row(t->criteria);
    t->by[a->verdict]++;
}

static const char *interval_text(const struct claim_answer *a, char *out, size_t cap) {
    out[0] = 0;
    if (!isnan(a->low) && !isnan(a->high)) snprintf(out, cap, " [%.3g, %.3g] %s", a->low, a->high, a->range);
    return out;
}

/* A finding for each claim that does not hold. */
static void say_failed(struct claims *c, const char *paper, const struct claim *row, const struct claim_answer *a) {
    char interval[96];
    report_say(c->page, "Does not hold (%s): %s. Ours: %.3g%s %s (%s). %s", paper,
               a->subject[0] ? a->subject : row->text, a->is, interval_text(a, interval, sizeof interval), a->unit,
               a->kind, a->why);
}

static int ask_paper(struct claims *c, struct tally *t, const char *paper, const struct claim *rows, int *by) {
    memset(t->by, 0, sizeof t->by);
    for (const struct claim *row = rows; row->place; row++)
        for (int i = 0; i < (row->n ? row->n : 1); i++) {
            struct claim_answer a;
            answer_init(&a);
            int rc = row->ask(c, i, &a);
            if (rc) return rc;
            add_claim(t, paper, row, &a);
            if (a.verdict == VERDICT_FAILS) say_failed(c, paper, row, &a);
        }
    int all = 0;
    frame_text(t->counts, "%s", paper);
    for (int v = 0; v < VERDICTS; v++) {
        frame_number(t->counts, t->by[v]);
        all += t->by[v];
        by[v] += t->by[v];
    }
    frame_number(t->counts, all);
    frame_end_row(t->counts);
    return 0;
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
    struct tally t = {0};
    int by[VERDICTS] = {0}, rc = claims_decode(c);
    if (rc) return rc;
    open_tables(c, &t);
    rc = ask_paper(c, &t, "AI and Memory Wall", claims_wall, by);
    if (!rc) rc = ask_paper(c, &t, "NorthPole, HPEC 2024", claims_northpole, by);
    if (!rc)
        report_say(c->page,
                   "Of %d claims %d hold, %d hold under some of the conditions looked at, %d do not hold and %d cannot "
                   "be told from what is known; each by a criterion that is stated without its number.",
                   t.number, by[VERDICT_HOLDS], by[VERDICT_WHERE], by[VERDICT_FAILS], by[VERDICT_UNTOLD]);
    return rc;
}

/* What the two reports know; their tables are not this one's. */
static int prepare(struct claims *c, struct report_page *others) {
    c->np.app = c->wall.app = c->app;
    c->np.page = c->wall.page = others;
    c->np.d = c->wall.d = c->d;
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
    .text = "The claims of AI and Memory Wall (2021, 2024) and of the HPEC 2024 paper on NorthPole, each with a number of\n"
            "this program and a verdict by a criterion that does not know the number. Simulated and estimated times and\n"
            "exact counts are deterministic (n = 1); what is not published is fitted in every way that there is, and a\n"
            "claim on which the fits part cannot be told.",
    .make = make,
    .figures = claims_figures,
};
