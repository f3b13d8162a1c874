/* Weak scaling: work that grows with the cards. What all kinds of it have in common is how much work is done in a
 * second: users x layers x positions, over that of one card. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "scaling.h"

enum { MOST_POINTS = 7, USERS_A_CARD = 8, LAYERS_A_CARD = 4, CONTEXT_A_CARD = 1024 };
enum grows { USERS, LAYERS, CONTEXT };
static const char *const grows_text[] = {"users", "layers", "context"};

struct weak {
    enum grows what;
    const char *kind; /* of strategy */
    int machine, most; /* cards */
};

static const struct weak curves[] = {
    {USERS, "dp", SCALING_H100, 64},   {USERS, "tp", SCALING_H100, 32},    {USERS, "pp", SCALING_H100, 32},
    {USERS, "dp", SCALING_L4, 64},     {USERS, "tp", SCALING_L4, 32},      {USERS, "pp", SCALING_L4, 32},
    {USERS, "dp", SCALING_BOARDS, 64}, {USERS, "tp", SCALING_BOARDS, 32},  {USERS, "pp", SCALING_BOARDS, 32},
    {LAYERS, "pp", SCALING_H100, 64},  {LAYERS, "pp", SCALING_L4, 64},     {LAYERS, "pp", SCALING_BOARDS, 64},
    {CONTEXT, "tp", SCALING_H100, 32}, {CONTEXT, "kvp", SCALING_H100, 32}, {CONTEXT, "tp", SCALING_L4, 32},
    {CONTEXT, "kvp", SCALING_L4, 32},
};
enum { N_CURVES = sizeof curves / sizeof *curves };

static struct study_case case_of(const struct scaling *s, const struct weak *w, int cards, char strategy[32]) {
    snprintf(strategy, 32, "%s%d", w->kind, cards);
    struct study_case c = scaling_case(&s->machine[w->machine], "llama3-8b", strategy, cards, USERS_A_CARD);
    if (w->what == USERS) c.users = USERS_A_CARD * cards;
    if (w->what == LAYERS) {
        c.users = cards;
        c.layers = LAYERS_A_CARD * cards;
    }
    if (w->what == CONTEXT) c.prompt = CONTEXT_A_CARD * cards - c.generate;
    return c;
}

/* Of a context's growth decoding alone: prompts grow by their square. */
static double work_a_second(const struct weak *w, const struct study_case *c, const struct virtual_summary *s) {
    if (w->what == CONTEXT) return (c->prompt + c->generate) / s->decode_ms;
    return s->throughput * (c->layers ? c->layers : 1);
}

static void weak_columns(struct frame *t) {
    frame_column(t, "machine", "", 0);
    frame_column(t, "grows", "", 0);
    frame_column(t, "kind", "", 0);
    frame_column(t, "cards", "", 3);
    frame_column(t, "users", "", 3);
    frame_column(t, "layers", "", 3);
    frame_column(t, "context", "", 5);
    frame_column(t, "throughput", "tok/s", 4);
    frame_column(t, "decoding", "ms/token", 4);
    frame_column(t, "scaled speed-up", "x", 3);
    frame_column(t, "efficiency", "%", 3);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "binds", "", 0);
}

static void put_point(struct scaling *s, struct frame *t, const struct weak *w, const struct study_case *c,
                      const struct study_figures *f, double speed_up) {
    char text[64];
    frame_text(t, "%s", s->machine[w->machine].text);
    frame_text(t, "%s", grows_text[w->what]);
    frame_text(t, "%s", w->kind);
    frame_number(t, c->cards);
    frame_number(t, c->users);
    frame_number(t, c->layers ? c->layers : preset_find(c->model)->n_layers);
    frame_number(t, c->prompt + c->generate);
    frame_number(t, f->s.throughput);
    frame_number(t, f->s.decode_ms);
    frame_number(t, speed_up);
    frame_number(t, 100 * speed_up / c->cards);
    frame_number(t, 1e3 * f->J);
    frame_text(t, "%s", study_binds_text(&f->s, text));
    frame_end_row(t);
}

static int run_curve(struct scaling *s, struct frame *t, const struct weak *w, struct fit_data *data) {
    double first = NAN;
    int rc = 0, most = s->st.quick ? 8 : w->most;
    for (int cards = 1; cards <= most && data->n < MOST_POINTS && !rc; cards *= 2) {
        char strategy[32];
        struct study_case c = case_of(s, w, cards, strategy);
        struct study_figures f;
        rc = study_figures(&f, &c, &s->st, 0);
        if (rc || !f.fits) continue;
        double work = work_a_second(w, &c, &f.s);
        if (isnan(first)) first = work / cards;
        data->x[data->n] = cards;
        data->y[data->n++] = work / first;
        put_point(s, t, w, &c, &f, work / first);
    }
    return rc;
}

static int fit_weak(struct scaling *s, const struct weak *w, const struct fit_data *data) {
    char name[128];
    struct scaling_series series = {.name = name, .models = "gustafson"};
    struct fit best;
    int found = 0;
    snprintf(name, sizeof name, "%s, %s, %s", s->machine[w->machine].text, grows_text[w->what], w->kind);
    series.data = *data;
    return scaling_fit(s, &series, &best, &found);
}

/* "; context: 94 % on 32 cards (kvp)" behind what there is: the efficiency on the most cards. `last`: what the one
 * before it says grows. */
static void tell(char *text, size_t cap, const struct weak *w, const struct fit_data *data, int *last) {
    static const char *const what[] = {"users", "layers and users", "context"};
    double cards = data->x[data->n - 1], part = data->y[data->n - 1] / cards;
    size_t n = strlen(text);
    if ((int)w->what == *last)
        n += (size_t)snprintf(text + n, cap - n, ", ");
    else
        n += (size_t)snprintf(text + n, cap - n, "%s%s: ", n ? "; " : "", what[w->what]);
    if (n < cap) snprintf(text + n, cap - n, "%.0f %% on %.0f cards (%s)", 100 * part, cards, w->kind);
    *last = (int)w->what;
}

int scaling_weak(struct scaling *s) {
    struct frame *t = report_table(
        s->st.page, "weak", "Weak scaling: work in proportion to the cards, llama3-8b",
        "Simulated, n = 1; energy modelled. users: 8 a card. layers: 4 a card and a user a card. context: 1,024 "
        "positions a card, 8 users,\ndecoding alone. Scaled speed-up: users x layers x positions of a second over one "
        "card's. It can pass the number of cards:\nweights that all users share, and an output layer of its own size, "
        "do not grow. kvp: cards share a cache by position.");
    char text[512] = "";
    int rc = 0, last = -1;
    weak_columns(t);
    for (int i = 0; i < N_CURVES && !rc; i++) {
        struct fit_data data;
        rc = fit_data_init(&data, MOST_POINTS, 1, s->st.d);
        if (rc) return rc;
        data.n = 0;
        rc = run_curve(s, t, &curves[i], &data);
        if (!rc && data.n > 1) rc = fit_weak(s, &curves[i], &data);
        if (!rc && data.n > 1 && curves[i].machine == SCALING_H100) /* the table has the others */
            tell(text, sizeof text, &curves[i], &data, &last);
        fit_data_free(&data);
    }
    if (!rc && text[0])
        report_say(s->st.page,
                   "llama3-8b on %s, work in proportion to cards, as a share of one card's work times their number: %s "
                   "(simulated, n = 1).",
                   s->machine[SCALING_H100].text, text);
    return rc;
}
