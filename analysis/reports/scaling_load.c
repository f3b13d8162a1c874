/* Partial load: what fewer users than there is room for do to the energy of a token; and its terms, fitted. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "northpole.h"
#include "scaling.h"

enum { MOST_USERS = 1024 };

struct machine {
    const char *text, *file;
    int cards;
    double idle; /* power, times the file's */
    struct cluster c;
    int most; /* users that fit */
    double full; /* tok/s/W with so many */
    int half; /* users that give half of it */
    double least_W; /* power of one user over that of full load */
};

/* The model of the HPEC 2024 paper on its cards, and on GPUs as serving computes it. */
static struct study_case case_of(const void *user, int users) {
    const struct machine *m = user;
    struct study_case c = m->cards == 16 ? northpole_case(&m->c) : northpole_serving(&m->c, m->cards, users);
    c.users = users;
    if (m->cards == 16) c.micro = (users + 1) / 2;
    return c;
}

static int efficiency(struct scaling *s, const struct machine *m, int users, struct study_figures *f) {
    struct study_case c = case_of(m, users);
    return study_figures(f, &c, &s->st, 0);
}

/* ---- the table ---- */

static void load_columns(struct frame *t) {
    frame_column(t, "machine", "", 0);
    frame_column(t, "users", "", 4);
    frame_column(t, "of what fits", "%", 3);
    frame_column(t, "throughput", "tok/s", 4);
    frame_column(t, "latency", "ms/token", 4);
    frame_column(t, "power", "W", 4);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "efficiency", "tok/s/W", 4);
    frame_column(t, "of full load", "%", 3);
}

static void put_load(struct frame *t, const struct machine *m, int users, const struct study_figures *f) {
    frame_text(t, "%s", m->text);
    frame_number(t, users);
    frame_number(t, 100.0 * users / m->most);
    frame_number(t, f->s.throughput);
    frame_number(t, f->s.latency_ms);
    frame_number(t, f->s.power_W);
    frame_number(t, 1e3 * f->J);
    frame_number(t, 1 / f->J);
    frame_number(t, 100 / f->J / m->full);
    frame_end_row(t);
}

/* By factors of two, and what fits last. */
static int next_users(const struct scaling *s, int users, int most) {
    int next = users * (s->st.quick ? 4 : 2);
    return users < most && next > most ? most : next;
}

static int run_machine(struct scaling *s, struct machine *m, struct frame *t) {
    struct study_figures f;
    int rc = study_most_users(&m->most, case_of, m, MOST_USERS, &s->st);
    if (!rc && m->most) rc = efficiency(s, m, m->most, &f);
    if (rc || !m->most) return rc;
    m->full = 1 / f.J;
    m->least_W = 1;
    for (int users = 1; users <= m->most && !rc; users = next_users(s, users, m->most)) {
        struct study_figures part;
        rc = efficiency(s, m, users, &part);
        if (rc) break;
        put_load(t, m, users, &part);
        if (users == 1) m->least_W = part.s.power_W / f.s.power_W;
    }
    return rc;
}

/* ---- half of it ---- */

struct half {
    struct scaling *s;
    const struct machine *m;
};

static int below_half(void *user, int64_t users, int *holds, struct diag *d) {
    struct half *h = user;
    struct study_figures f;
    int rc = efficiency(h->s, h->m, (int)users, &f);
    (void)d;
    *holds = !rc && 1 / f.J < h->m->full / 2;
    return rc;
}

/* The fewest users that reach it. */
static int find_half(struct scaling *s, struct machine *m) {
    struct half h = {s, m};
    int64_t below = 0;
    int rc = integer_last(&below, 1, m->most, below_half, &h, s->st.d);
    m->half = (int)below + 1;
    return rc;
}

/* Machines as described in one sentence, the power that is assumed in another beside the same as described. */
static void say_halves(const struct scaling *s, const struct machine *all, int n_all) {
    char text[512] = "";
    const struct machine *described = &all[0];
    size_t n = 0;
    for (const struct machine *m = all; m < all + n_all; m++)
        if (m->most && m->idle == 1 && n < sizeof text)
            n +=
                (size_t)snprintf(text + n, sizeof text - n,
                                 "%s%s from %d of %d users on (%.0f %%; one user takes %.0f "
                                 "%% of full load's power)",
                                 n ? ", " : "", m->text, m->half, m->most, 100.0 * m->half / m->most, 100 * m->least_W);
    if (n)
        report_say(
            s->st.page,
            "Half of the tokens a joule of full load are reached by %s (3-billion model, 2,048 positions a user; "
            "simulated, n = 1; energy modelled).",
            text);
    for (const struct machine *m = all; m < all + n_all; m++)
        if (m->most && m->idle != 1)
            report_say(
                s->st.page,
                "%s cards that took %.0f %% of their power while they wait (assumed) would reach half of the "
                "tokens a joule of full load from %d of %d users on in place of %d, and one user would take %.0f "
                "%% of full load's power in place of %.0f %% (simulated, n = 1; energy modelled).",
                described->text, 100 * m->idle, m->half, m->most, described->half, 100 * m->least_W,
                100 * described->least_W);
}

/* ---- terms ---- */

/* Steps that decode alone: E = p0 t + e_step + e_seq B of one H100, whose description has p0 and, by the bytes of the
 * weights, e_step. */
static int fit_terms(struct scaling *s) {
    static const int users[] = {1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256};
    enum { N = sizeof users / sizeof *users };
    struct scaling_series series = {.name = "H100 SXM, llama3-8b, energy of a step", .models = "energy"};
    const struct scaling_machine *m = &s->machine[SCALING_H100];
    struct fit best;
    struct scaling_described described[] = {{"p0", m->c.card.idle_W}, {"e_step", NAN}, {"e_seq", NAN}, {0}};
    int found, rc = fit_data_init(&series.data, N, 2, s->st.d);
    if (rc) return rc;
    for (int i = 0; i < N && !rc; i++) {
        struct study_case c = scaling_case(m, "llama3-8b", "1", 1, users[i]);
        struct study_figures f;
        c.prompt = 1;
        rc = study_figures(&f, &c, &s->st, 0);
        series.data.x[2 * i] = 1e-12 * (double)f.s.total_ps / c.generate;
        series.data.x[2 * i + 1] = users[i];
        series.data.y[i] = f.J * users[i];
        described[1].value = f.s.energy.weights_J / c.generate;
        described[2].value = (f.s.energy.cache_J + f.s.energy.ops_J) / (double)f.s.tokens;
    }
    series.described = described;
    snprintf(series.data.y_column.unit, sizeof series.data.y_column.unit, "J");
    snprintf(series.data.x_column[0].unit, sizeof series.data.x_column[0].unit, "s");
    snprintf(series.data.x_column[1].unit, sizeof series.data.x_column[1].unit, "user");
    if (!rc) rc = scaling_fit(s, &series, &best, &found);
    fit_data_free(&series.data);
    return rc;
}

int scaling_load(struct scaling *s) {
    struct machine all[] = {
        {.text = "16 NorthPole", .file = "northpole-16", .cards = 16, .idle = 1},
        {.text = "16 NorthPole (idle at half the power)", .file = "northpole-16", .cards = 16, .idle = 0.5},
        {.text = "H100 SXM", .file = "h100-sxm", .cards = 1, .idle = 1},
        {.text = "L4", .file = "l4", .cards = 1, .idle = 1},
    };
    struct frame *t = report_table(
        s->st.page, "load", "Partial load: users from one to what fits",
        "Simulated as described, n = 1; energy modelled, of the cards. The 3-billion model of the HPEC 2024 paper, "
        "1,024 + 1,024 tokens.\nNorthPole's cards are described to take the same power always, which is all that is "
        "published;\nhalf of it while they wait is assumed, to show what hangs on that.");
    int rc = 0;
    load_columns(t);
    for (size_t i = 0; i < sizeof all / sizeof *all && !rc; i++) {
        rc = case_cluster(&all[i].c, all[i].file, s->st.d);
        all[i].c.card.idle_W *= all[i].idle;
        if (!rc) rc = run_machine(s, &all[i], t);
        if (!rc && all[i].most) rc = find_half(s, &all[i]);
    }
    if (!rc) say_halves(s, all, sizeof all / sizeof *all);
    return rc ? rc : fit_terms(s);
}
