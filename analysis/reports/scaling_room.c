/* A machine room of up to 4,096 cards and its tiers: the same job on more cards, and jobs that grow with them. */
#include <stdio.h>

#include "scaling.h"

enum { USERS_A_CARD = 8, SERVER = 8, MOST_STAGES = 64, N_JOBS = 4 };

/* One server, and more of them; a scalable unit, a pod, four pods. */
static const int cards_of[] = {SERVER, 64, 256, 1024, 4096};

enum deals { BEST, SERVERS, ONE };
static const struct job {
    const char *text;
    int users; /* 0: USERS_A_CARD */
    enum deals deals; /* the best product; a replica a server; all cards in one replica */
} jobs[N_JOBS] = {
    {"64 users", 64, BEST},
    {"1,024 users", 1024, BEST},
    {"8 users a card, a replica a server", 0, SERVERS},
    {"8 users a card, one replica", 0, ONE},
};

/* Servers as stages as long as there are layers, then wider ones. */
static void one_replica(struct study_case *c, char strategy[64]) {
    int pp = c->cards / SERVER < MOST_STAGES ? c->cards / SERVER : MOST_STAGES;
    snprintf(strategy, 64, "tp%dxpp%d", c->cards / pp, pp);
    c->micro = pp;
}

static int run_job(const struct scaling *s, const struct job *job, int cards, struct study_case *c, char strategy[64],
                   struct study_figures *f) {
    int rc = 0;
    *c = scaling_case(&s->machine[SCALING_ROOM], "llama3-70b", strategy, cards,
                      job->users ? job->users : USERS_A_CARD * cards);
    *f = (struct study_figures){0};
    if (job->deals == BEST) rc = scaling_best(s, c, strategy, &c->micro);
    if (job->deals == SERVERS) snprintf(strategy, 64, "dp%dxtp%d", cards / SERVER, SERVER);
    if (job->deals == ONE) one_replica(c, strategy);
    c->strategy = strategy;
    return rc || !strategy[0] ? rc : study_figures(f, c, &s->st, 0);
}

static struct frame *room_table(struct scaling *s) {
    struct frame *t = report_table(
        s->st.page, "room", "A machine room: llama3-70b on up to 4,096 H100 in servers, units and pods",
        "Simulated, n = 1; energy modelled. Q4_0 weights; prompts of 128 tokens, 128 generated. Efficiency: tokens a "
        "second and card over\nthose of 8 cards. The best of all tp x pp x dp of powers of two with one or two "
        "micro-batches a stage, by closed form, then\nsimulated; one replica: a stage a server, from 1,024 cards on 64 "
        "stages of several servers.");
    frame_column(t, "job", "", 0);
    frame_column(t, "cards", "", 4);
    frame_column(t, "users", "", 5);
    frame_column(t, "throughput", "tok/s", 4);
    frame_column(t, "efficiency", "%", 3);
    frame_column(t, "latency", "ms/token", 4);
    frame_column(t, "energy", "mJ/token", 4);
    frame_column(t, "binds", "", 0);
    frame_column(t, "strategy", "", 0);
    return t;
}

static void put_point(struct frame *t, const struct job *job, const struct study_case *c, const struct study_figures *f,
                      double efficiency) {
    char text[64];
    frame_text(t, "%s", job->text);
    frame_number(t, c->cards);
    frame_number(t, c->users);
    frame_number(t, f->s.throughput);
    frame_number(t, 100 * efficiency);
    frame_number(t, f->s.latency_ms);
    frame_number(t, 1e3 * f->J);
    frame_text(t, "%s", study_binds_text(&f->s, text));
    frame_text(t, "%s", c->strategy);
    frame_end_row(t);
}

/* What a job came to: on the most cards, and where it breaks. */
struct outcome {
    int cards, half; /* the most that were simulated; the fewest with less than half of what they could do, 0: none */
    double efficiency;
    char binds[64], strategy[64]; /* on the most */
};

static int run_cards(struct scaling *s, struct frame *t, const struct job *job, struct outcome *out) {
    double first = 0;
    int rc = 0, n = s->st.quick ? 2 : (int)(sizeof cards_of / sizeof *cards_of);
    for (int i = 0; i < n && !rc; i++) {
        int cards = cards_of[i];
        struct study_case c;
        struct study_figures f;
        rc = run_job(s, job, cards, &c, out->strategy, &f);
        if (rc || !f.fits) continue;
        if (first == 0) first = f.s.throughput / cards;
        out->cards = cards;
        out->efficiency = f.s.throughput / cards / first;
        study_binds_text(&f.s, out->binds);
        if (out->efficiency < 0.5 && !out->half) out->half = cards;
        put_point(t, job, &c, &f, out->efficiency);
    }
    return rc;
}

static void say(const struct scaling *s, const struct job *job, const struct outcome *o) {
    char half[64] = "";
    if (o->half) snprintf(half, sizeof half, ", and less than half from %d cards on", o->half);
    report_say(
        s->st.page,
        "llama3-70b in a machine room of H100, %s: a card of %d (%s) does %.3g %% of what one of %d does%s; there "
        "%s of the time binds (simulated, n = 1).",
        job->text, o->cards, o->strategy, 100 * o->efficiency, SERVER, half, o->binds);
}

int scaling_room(struct scaling *s) {
    struct frame *t = room_table(s);
    int rc = 0;
    for (int i = 0; i < N_JOBS && !rc; i++) {
        struct outcome o = {.cards = 0};
        rc = run_cards(s, t, &jobs[i], &o);
        if (!rc && o.cards && jobs[i].deals == ONE) say(s, &jobs[i], &o); /* the table has the others */
    }
    return rc;
}
