/* The paper's figures, each missing number fitted alone, and where the fits part. */
#include <math.h>
#include <string.h>

#include "northpole.h"

/* Of the throughput, relative. */
#define REACH 1e-7
#define REACH_QUICK 1e-4

/* ---- cases on all clusters ---- */

void northpole_columns(const struct northpole *n, struct frame *t, const char *unit) {
    frame_column(t, "as described", unit, 4);
    for (int i = 0; i < n->n_fits; i++)
        frame_column(t, n->fit[i].parameter->name, unit, 4);
}

static double quantity_of(const struct virtual_summary *s, enum northpole_quantity what) {
    return what == NORTHPOLE_LATENCY ? s->latency_ms : what == NORTHPOLE_DECODE ? s->decode_ms : s->throughput;
}

int northpole_answer(struct northpole *n, const struct northpole_ask *ask, int i, double *out) {
    const struct virtual_summary *own = i < 0 ? &n->at : &n->fit[i].at;
    struct cluster c = i < 0 ? n->described : n->fit[i].cluster;
    struct study_case on = ask->on;
    struct virtual_summary s;
    struct diag d = {0};
    if (ask->change) ask->change(&c, ask->x);
    on.cluster = &c;
    int rc = case_simulate(&s, &on, n->app, &d);
    if (rc && rc != ERR_PLAN) return diag_set(n->d, rc, "%s", d.text);
    *out = rc ? NAN : quantity_of(&s, ask->what) / (ask->relative ? quantity_of(own, ask->what) : 1);
    return 0;
}

int northpole_row(struct northpole *n, struct frame *t, const struct northpole_ask *ask) {
    for (int i = -1; i < n->n_fits; i++) {
        double x;
        int rc = northpole_answer(n, ask, i, &x);
        if (rc) return rc;
        frame_number(t, x);
    }
    return 0;
}

/* ---- the fits ---- */

static int throughput(void *user, const struct cluster *c, double *out, struct diag *d) {
    const struct northpole *n = user;
    struct study_case on = northpole_case(c);
    struct virtual_summary s;
    int rc = case_simulate(&s, &on, n->app, d);
    if (!rc) *out = s.throughput;
    return rc;
}

int northpole_reach(struct northpole *n, const struct parameter *p, struct reached *out) {
    double within = n->app->spec.quick ? REACH_QUICK : REACH;
    return parameter_reach(out, p, &n->described, NORTHPOLE_TOK_S, within, throughput, n, n->d);
}

static int fit_one(struct northpole *n, const struct parameter *p, struct frame *t) {
    struct northpole_fit *f = &n->fit[n->n_fits];
    struct reached r;
    int rc = northpole_reach(n, p, &r);
    if (rc) return rc;
    frame_text(t, "%s", p->name);
    if (!r.found) {
        frame_text(t, "no value: %.0f tok/s at the nearest", r.nearest);
        for (int i = 0; i < 3 + NET_SHARES; i++)
            frame_number(t, NAN);
        frame_text(t, "%s", p->told_by);
        frame_end_row(t);
        return 0;
    }
    *f = (struct northpole_fit){.parameter = p, .x = r.x, .cluster = n->described};
    p->set(&f->cluster, r.x);
    struct study_case on = northpole_case(&f->cluster);
    rc = case_simulate(&f->at, &on, n->app, n->d);
    if (rc) return rc;
    if (p->kind == PARAMETER_FACTOR)
        frame_text(t, "x %.4g", r.x);
    else
        frame_text(t, "+ %.4g us", 1e6 * r.x);
    frame_number(t, f->at.throughput);
    frame_number(t, f->at.decode_ms);
    frame_number(t, 1e-9 * (double)f->at.prefill_ps);
    for (int i = 0; i < NET_SHARES; i++)
        frame_number(t, 100 * (double)f->at.critical.share[i] / (double)f->at.total_ps);
    frame_text(t, "%s", p->told_by);
    frame_end_row(t);
    n->n_fits++;
    return 0;
}

/* With --quick one for each kind of cause: memory, the cards' steps, links. */
static int is_asked(const struct northpole *n, const struct parameter *p) {
    static const char *const quick[] = {"memory-bandwidth", "step-overhead", "link-latency"};
    int found = !n->app->spec.quick || n->all_fits;
    for (size_t i = 0; i < sizeof quick / sizeof *quick; i++)
        found |= !strcmp(p->name, quick[i]);
    return found && n->n_fits < NORTHPOLE_MOST_FITS;
}

static int fit_all(struct northpole *n) {
    struct frame *t = report_table(
        n->page, "fits",
        n->app->spec.quick ? "Three of the numbers that are not published, each fitted alone to 28,356 tok/s"
                           : "Each number that is not published, fitted alone to 28,356 tok/s",
        "Shares of the critical path: they are the elasticities of the latency, and of J/token, as the cards' power "
        "is\n"
        "the same at all times. One published figure cannot choose among these rows; the last column can.");
    int rc = 0;
    frame_column(t, "parameter", "", 0);
    frame_column(t, "value", "", 0);
    frame_column(t, "throughput", "tok/s", 6);
    frame_column(t, "decoding", "ms/token", 4);
    frame_column(t, "prefill", "ms", 4);
    frame_column(t, "memory", "%", 3);
    frame_column(t, "compute", "%", 3);
    frame_column(t, "link b/w", "%", 3);
    frame_column(t, "link lat", "%", 3);
    frame_column(t, "overhead", "%", 3);
    frame_column(t, "what measurement would tell", "", 0);
    for (const struct parameter *p = parameters; p->name && !rc; p++)
        if (is_asked(n, p)) rc = fit_one(n, p, t);
    return rc;
}

/* ---- the paper's figures ---- */

struct figure {
    const char *text, *unit, *role;
    double published, described, fitted[2]; /* least and most of the fits */
};

static void add_figure(struct frame *t, const struct figure *f) {
    frame_text(t, "%s", f->text);
    frame_text(t, "%s", f->unit);
    frame_text(t, "%s", f->role);
    frame_number(t, f->published);
    frame_number(t, f->described);
    if (isnan(f->fitted[0]))
        frame_text(t, "-");
    else if (f->fitted[1] - f->fitted[0] <= 1e-5 * f->fitted[1])
        frame_text(t, "%.5g", f->fitted[0]);
    else
        frame_text(t, "%.4g to %.4g", f->fitted[0], f->fitted[1]);
    frame_end_row(t);
}

/* From one of the summaries: what the paper computes from the throughput. */
enum metric { LATENCY, ENERGY, EFFICIENCY, SPACE, CARD, THROUGHPUT, DECODE };
static double metric_of(const struct virtual_summary *s, enum metric m) {
    double card = s->throughput / 16;
    switch (m) {
    case LATENCY: return s->latency_ms;
    case ENERGY: return 1e3 * NORTHPOLE_CARD_W / card;
    case EFFICIENCY: return card / NORTHPOLE_CARD_W;
    case SPACE: return card / (NORTHPOLE_TRANSISTORS / 1e9);
    case CARD: return card;
    case THROUGHPUT: return s->throughput;
    case DECODE: return s->decode_ms;
    }
    return NAN;
}

static void add_metric(const struct northpole *n, struct frame *t, const char *text, const char *unit, const char *role,
                       double published, enum metric m) {
    struct figure f = {text, unit, role, published, metric_of(&n->at, m), {INFINITY, -INFINITY}};
    for (int i = 0; i < n->n_fits; i++) {
        f.fitted[0] = fmin(f.fitted[0], metric_of(&n->fit[i].at, m));
        f.fitted[1] = fmax(f.fitted[1], metric_of(&n->fit[i].at, m));
    }
    add_figure(t, &f);
}

static void add_input(struct frame *t, const char *text, const char *unit, double value) {
    add_figure(t, &(struct figure){text, unit, "input", value, value, {NAN, NAN}});
}

static void print_figures(const struct northpole *n, struct frame *t) {
    const double tok_s = NORTHPOLE_TOK_S;
    frame_column(t, "figure", "", 0);
    frame_column(t, "unit", "", 0);
    frame_column(t, "role", "", 0);
    frame_column(t, "published", "", 5);
    frame_column(t, "as described", "", 5);
    frame_column(t, "fits", "", 0);
    add_input(t, "cards", "", 16);
    add_input(t, "users", "", NORTHPOLE_USERS);
    add_input(t, "micro-batches", "", NORTHPOLE_MICRO);
    add_input(t, "prompt and generated tokens of a user, each", "", 1024);
    add_input(t, "power of a card", "W", NORTHPOLE_CARD_W);
    add_input(t, "transistors of a card", "1e9", NORTHPOLE_TRANSISTORS / 1e9);
    add_metric(n, t, "system throughput", "tok/s", "fitted", tok_s, THROUGHPUT);
    add_metric(n, t, "throughput of a card", "tok/s", "identity: / 16", tok_s / 16, CARD);
    add_metric(n, t, "latency of a user", "ms/token", "identity: users / throughput", 1e3 * NORTHPOLE_USERS / tok_s,
               LATENCY);
    add_metric(n, t, "energy metric", "tok/s/W", "identity: a card's / 42 W", tok_s / 16 / NORTHPOLE_CARD_W,
               EFFICIENCY);
    add_metric(n, t, "energy a token, cards alone", "mJ", "identity: 672 W / throughput",
               1e3 * 16 * NORTHPOLE_CARD_W / tok_s, ENERGY);
    add_metric(n, t, "space metric", "tok/s/1e9", "identity: a card's / 22e9", tok_s / 16 / 22, SPACE);
    /* At most: had the prompts taken no more than the arithmetic of a layer, 31 ms of 1024 x 0.98745 ms. */
    add_metric(n, t, "decoding alone", "ms/token", "prediction; at most 0.958", NAN, DECODE);
}

/* ---- where they part ---- */

/* As many servers as a run takes, one behind the other, joined as two sockets are. */
static void more_cards(struct cluster *c, double x) {
    (void)x;
    c->n_cards = c->joins[c->net.n_tiers - 1] = 0;
}

static int add_case(struct northpole *n, struct frame *t, const char *text, struct study_case c) {
    frame_text(t, "%s", text);
    int rc = northpole_row(n, t, &(struct northpole_ask){.on = c, .change = more_cards, .what = NORTHPOLE_LATENCY});
    frame_end_row(t);
    return rc;
}

static struct study_case with_layers(const struct northpole *n, int layers) {
    struct study_case c = northpole_case(&n->described);
    c.layers = layers;
    c.cards = layers + 2;
    c.micro = layers;
    c.users = 2 * layers < NORTHPOLE_USERS ? 2 * layers : NORTHPOLE_USERS;
    if (layers > NORTHPOLE_MICRO) c.micro = NORTHPOLE_MICRO;
    return c;
}

static struct study_case with_users(const struct northpole *n, int users, int micro) {
    struct study_case c = northpole_case(&n->described);
    c.users = users;
    c.micro = micro;
    return c;
}

static struct study_case with_text(const struct northpole *n, int prompt, int generate) {
    struct study_case c = northpole_case(&n->described);
    c.prompt = prompt;
    c.generate = generate;
    return c;
}

static int show_parting(struct northpole *n) {
    struct frame *t = report_table(n->page, "apart", "Where the fits part: latency of a user, prefill included",
                                   "All fits agree on the first row, by construction. Rows that do not fit the cards "
                                   "have no values.");
    frame_column(t, "run", "", 0);
    northpole_columns(n, t, "ms/token");
    int rc = add_case(n, t, "the paper's: 28 users, 14 micro-batches", northpole_case(&n->described));
    if (!rc) rc = add_case(n, t, "1 user", with_users(n, 1, 1));
    if (!rc) rc = add_case(n, t, "14 users, 14 micro-batches of 1", with_users(n, 14, 14));
    if (!rc) rc = add_case(n, t, "28 users, 7 micro-batches of 4", with_users(n, 28, 7));
    if (!rc) rc = add_case(n, t, "28 users, 28 micro-batches of 1", with_users(n, 28, 28));
    if (!rc) rc = add_case(n, t, "7 layers on 9 cards, 14 users in 7", with_layers(n, 7));
    if (!rc) rc = add_case(n, t, "28 layers on 30 cards, 28 users in 14", with_layers(n, 28));
    if (!rc) rc = add_case(n, t, "36 layers on 38 cards, 28 users in 14", with_layers(n, 36));
    if (!rc) rc = add_case(n, t, "prompt 64, generate 64", with_text(n, 64, 64));
    if (!rc) rc = add_case(n, t, "prompt 1984, generate 64", with_text(n, 1984, 64));
    return rc;
}

/* ---- a second system ---- */

/* Every layer on two cards in a row: the memory of both, and every pass and message twice. Exact for a chain of stages
 * that no micro-batch waits for. */
static void two_cards_a_layer(struct cluster *c, double x) {
    more_cards(c, x);
    c->card.level[0].bytes *= 2;
    c->card.pass_ps *= 2;
    for (int i = 0; i < c->net.n_tiers; i++) {
        struct net_link *l = &c->net.tier[i].link;
        l->G = parameter_faster(l->G, 0.5);
        l->L_ps *= 2;
        l->o_send_ps *= 2;
        l->o_recv_ps *= 2;
    }
}

static struct study_case rack_case(int users) {
    return (struct study_case){.model = "granite-3.3-8b-northpole",
                               .kv = "int8",
                               .strategy = "northpole",
                               .cards = 42,
                               .users = users,
                               .micro = users,
                               .prompt = 1024,
                               .generate = 1024};
}

struct northpole_ask northpole_rack(void) {
    return (struct northpole_ask){rack_case(NORTHPOLE_USERS), two_cards_a_layer, 0, NORTHPOLE_DECODE, 0};
}

static int show_rack(struct northpole *n) {
    struct frame *t = report_table(
        n->page, "rack", "Predicted and not fitted: Granite 3.3 8B on the rack of 2025, 28 users, decoding",
        "arXiv 2511.15950: 2.8 ms a token between tokens, context 2048, 8-bit cache and activations, 4-bit weights, up "
        "to\n"
        "96 cards. Derived: a layer's 100 MB and its users' caches of 117 MB take two cards (attention, then FFN: 80\n"
        "cards, and the output layer's), which are counted as one with twice the memory, passes and messages. Assumed: "
        "a\n"
        "micro-batch for each user. Its links between servers (200 Gb/s Ethernet) are not in the model.");
    frame_column(t, "run", "", 0);
    frame_column(t, "published", "ms/token", 3);
    northpole_columns(n, t, "ms/token");
    struct northpole_ask ask = northpole_rack();
    frame_text(t, "28 users, 28 micro-batches");
    frame_number(t, NORTHPOLE_RACK_MS);
    int rc = northpole_row(n, t, &ask);
    frame_end_row(t);
    return rc;
}

static void say(const struct northpole *n) {
    double least = INFINITY, most = 0;
    for (int i = 0; i < n->n_fits; i++) {
        least = fmin(least, n->fit[i].at.decode_ms);
        most = fmax(most, n->fit[i].at.decode_ms);
    }
    report_say(
        n->page,
        "As described, without any overhead, NorthPole's 16 cards would give %.0f tok/s, %.2f times the published "
        "%.0f; each of %d numbers that are not published explains the difference alone, so one figure cannot tell "
        "which it is (simulated, n = 1).",
        n->at.throughput, n->at.throughput / NORTHPOLE_TOK_S, NORTHPOLE_TOK_S, n->n_fits);
    report_say(n->page,
               "All of them give the published %.3f ms a token with the prompt, and %.3f to %.3f ms of decoding "
               "alone (simulated, n = 1).",
               1e3 * NORTHPOLE_USERS / NORTHPOLE_TOK_S, least, most);
}

int northpole_missing(struct northpole *n) {
    struct study_case on = northpole_case(&n->described);
    int rc = case_simulate(&n->at, &on, n->app, n->d);
    return rc ? rc : fit_all(n);
}

int northpole_fit(struct northpole *n) {
    struct frame *figures = report_table(
        n->page, "figures", "The published figures, and what the model says",
        "As described: cluster-configs/northpole-16.yaml alone, a bound, as it has no overheads. Fits: the least and\n"
        "most of the next table. Latency a token is prompt and generation over the tokens generated for a user.");
    int rc = northpole_missing(n);
    if (!rc) print_figures(n, figures);
    if (!rc) say(n);
    if (!rc) rc = show_parting(n);
    return rc ? rc : show_rack(n);
}
