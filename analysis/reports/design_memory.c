/* Larger memory, faster memory, or two tiers of it, at the same sum of capacity x bandwidth. And weights that are
 * streamed over a link. */
#include <math.h>
#include <stdio.h>

#include "design.h"

enum { MOST_USERS = 512, MOST_STREAMED = 1024 };

/* ---- larger or faster ---- */

/* A memory, in parts of the described card's: its level, and what is left of the budget in a second one. */
struct memory {
    const char *text;
    double capacity, bandwidth; /* of the first level */
    double behind; /* bandwidth of the second; 0: there is none */
};

static void set_memory(struct cluster *c, const struct memory *m) {
    struct card_level *l = &c->card.level[0];
    double bytes = (double)l->bytes, Bps = design_rate(l->G);
    double left = (1 - m->capacity * m->bandwidth) * bytes * Bps;
    parameter_find("memory-bandwidth")->set(c, m->bandwidth);
    l->bytes = (uint64_t)(m->capacity * bytes);
    if (m->behind > 0) {
        design_behind(c, "second tier", (uint64_t)(left / (m->behind * Bps)), m->behind * Bps);
        c->card.level[c->card.n_levels - 1].pJ_per_B = l->pJ_per_B;
    }
}

struct on_memory {
    const struct cluster *c;
    const char *model;
};

static struct study_case make_users(const void *user, int users) {
    const struct on_memory *m = user;
    return design_case(m->c, m->model, "Q4_0", users, 1920);
}

static void memory_columns(struct frame *t) {
    frame_column(t, "memory", "", 0);
    frame_column(t, "first level", "GB", 3);
    frame_column(t, "first level", "TB/s", 3);
    frame_column(t, "second level", "GB", 4);
    frame_column(t, "second level", "TB/s", 3);
    frame_column(t, "model", "", 0);
    frame_column(t, "users that fit", "", 4);
    frame_column(t, "users", "", 4);
    frame_column(t, "decoding", "ms/token", 4);
    frame_column(t, "throughput", "tok/s", 4);
    frame_column(t, "energy", "mJ/token", 4);
}

static int put_memory(const struct study *st, struct frame *t, const struct memory *m, const struct on_memory *on,
                      int fit, int users, double *tok_s) {
    const struct card *k = &on->c->card;
    struct study_case c = make_users(on, users);
    struct study_figures f;
    int rc = study_figures(&f, &c, st, 0);
    if (rc) return rc;
    *tok_s = f.s.throughput;
    frame_text(t, "%s", m->text);
    frame_number(t, 1e-9 * (double)k->level[0].bytes);
    frame_number(t, 1e-12 * design_rate(k->level[0].G));
    frame_number(t, k->n_levels > 1 ? 1e-9 * (double)k->level[1].bytes : NAN);
    frame_number(t, k->n_levels > 1 ? 1e-12 * design_rate(k->level[1].G) : NAN);
    frame_text(t, "%s", on->model);
    frame_number(t, fit);
    frame_number(t, users);
    frame_number(t, f.fits ? f.s.decode_ms : NAN);
    frame_number(t, f.fits ? f.s.throughput : NAN);
    frame_number(t, f.fits ? 1e3 * f.J : NAN);
    frame_end_row(t);
    return 0;
}

/* One user, some, and as many as fit. */
static int put_model(const struct study *st, struct frame *t, const struct memory *m, const struct on_memory *on,
                     double *one, double *most) {
    static const int some[] = {1, 8, 32};
    int fit = 0, rc = study_most_users(&fit, make_users, on, MOST_USERS, st);
    double ignored;
    *one = *most = 0;
    if (!rc && !fit) rc = put_memory(st, t, m, on, 0, 1, one);
    for (int i = 0; i < 3 && !rc; i++)
        if (some[i] <= fit) rc = put_memory(st, t, m, on, fit, some[i], i ? &ignored : one);
    if (!rc && fit) rc = put_memory(st, t, m, on, fit, fit, most);
    return rc;
}

int design_memory(struct study *st) {
    static const struct memory all[] = {
        {"half the size at twice the speed", 0.5, 2, 0},
        {"as described", 1, 1, 0},
        {"twice the size at half the speed", 2, 0.5, 0},
        {"half the size and a slow tier", 0.5, 1, 0.125},
        {"a quarter at twice the speed and a slow tier", 0.25, 2, 0.125},
    };
    enum { N = sizeof all / sizeof *all };
    static const char *const models[] = {"llama3-8b", "llama3-70b"};
    struct frame *t = report_table(
        st->page, "memory", "Larger, faster or tiered memory of one H100, at the same sum of capacity x bandwidth",
        "Simulated, n = 1; energy modelled, the same for a byte of both levels (assumed). The sum over the levels of "
        "capacity x bandwidth is\nthe described card's: assumed, as for memory of one kind on the same pins. Q4_0, "
        "1,920 "
        "+ 128 tokens; at most 512 users looked at. A slow tier: an eighth of the described speed.\nA row without "
        "times does not fit.");
    int rc = 0;
    memory_columns(t);
    for (int k = 0; k < 2 && !rc; k++) {
        double one[N], most[N];
        int fastest = 0, widest = 0;
        for (int i = 0; i < N && !rc; i++) {
            struct cluster c;
            rc = case_cluster(&c, "h100-sxm", st->d);
            if (!rc) set_memory(&c, &all[i]);
            if (!rc) rc = put_model(st, t, &all[i], &(struct on_memory){&c, models[k]}, &one[i], &most[i]);
            if (!rc && one[i] > one[fastest]) fastest = i;
            if (!rc && most[i] > most[widest]) widest = i;
        }
        if (!rc && one[1] > 0)
            report_say(
                st->page,
                "%s on one H100 whose memory is traded: one user is fastest with memory '%s' (%.3g times as "
                "described), the throughput with all users that fit, %d at most, is highest with '%s' (%.3g times) "
                "(simulated, n = 1; constant capacity x bandwidth is assumed).",
                models[k], all[fastest].text, one[fastest] / one[1], MOST_USERS, all[widest].text,
                most[widest] / most[1]);
    }
    return rc;
}

/* ---- weights over a link ---- */

static int use_room(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                    struct diag *d) {
    const struct plan_rank *r = &p->ranks[0];
    (void)app;
    (void)trace;
    (void)d;
    *(uint64_t *)user = r->bytes.kv + r->bytes.work + r->engine_bytes;
    return 0;
}

struct stream {
    const struct study *st;
    const struct cluster *described;
    double Bps; /* of the link */
    int prompt;
};

/* Times over those with all weights resident; the cache and work space stay on the card. */
static int slow_down(const struct stream *s, int users, struct study_figures *resident, struct study_figures *out) {
    struct cluster c = *s->described;
    struct study_case on = design_case(&c, "llama3-8b", "Q4_0", users, s->prompt);
    uint64_t room = 0;
    int rc = study_figures(resident, &on, s->st, 0);
    if (!rc && resident->fits) rc = case_use(&on, s->st->app, use_room, &room, s->st->d);
    if (rc || !resident->fits) return rc;
    c.card.level[0].bytes = room;
    design_behind(&c, "behind the link", 0, s->Bps);
    return study_figures(out, &on, s->st, 0);
}

static int over_twice(void *user, int64_t users, int *holds, struct diag *d) {
    struct study_figures resident, streamed;
    int rc = slow_down(user, (int)users, &resident, &streamed);
    (void)d;
    *holds = !rc && resident.fits && streamed.s.decode_ms > 2 * resident.s.decode_ms;
    return rc;
}

static void stream_columns(struct frame *t) {
    frame_column(t, "link", "", 0);
    frame_column(t, "bandwidth", "GB/s", 4);
    frame_column(t, "users", "", 4);
    frame_column(t, "resident", "ms/token", 4);
    frame_column(t, "streamed", "ms/token", 4);
    frame_column(t, "times", "x", 3);
    frame_column(t, "within twice from", "users", 0);
}

static int put_link(const struct study *st, struct frame *t, const char *name, struct stream *s, int64_t most) {
    static const int users[] = {1, 4, 16, 64, 256, 1024};
    int64_t over = 0;
    int rc = integer_last(&over, 1, most, over_twice, s, st->d);
    for (int i = 0; i < 6 && !rc; i++) {
        struct study_figures resident, streamed;
        if (users[i] > most) break;
        rc = slow_down(s, users[i], &resident, &streamed);
        if (rc || !resident.fits) break;
        frame_text(t, "%s", name);
        frame_number(t, 1e-9 * s->Bps);
        frame_number(t, users[i]);
        frame_number(t, resident.s.decode_ms);
        frame_number(t, streamed.s.decode_ms);
        frame_number(t, streamed.s.decode_ms / resident.s.decode_ms);
        frame_text(t, over < most ? "%lld" : "not up to %lld", (long long)(over < most ? over + 1 : most));
        frame_end_row(t);
        if (users[i] == 1) {
            char from[96] = "no number of users looked at makes it less than twice";
            if (over < most) snprintf(from, sizeof from, "from %lld users on less than twice", (long long)over + 1);
            report_say(st->page,
                       "llama3-8b (Q4_0) streamed to an H100 over %.4g GB/s (%s), cache resident: one user's token "
                       "takes %.3g times as long as from its own memory; %s (simulated, n = 1).",
                       1e-9 * s->Bps, name, streamed.s.decode_ms / resident.s.decode_ms, from);
        }
    }
    return rc;
}

static struct study_case make_stream(const void *user, int users) {
    const struct stream *s = user;
    return design_case(s->described, "llama3-8b", "Q4_0", users, s->prompt);
}

int design_stream(struct study *st) {
    static const struct {
        const char *text, *file;
        double times;
    } links[] = {{"PCIe Gen4 x16", "l4", 1}, {"PCIe Gen5 x16", "l4", 2}, {"NVLink 4", "h100-sxm", 1}};
    struct frame *t = report_table(
        st->page, "stream", "Weights streamed over a link in each pass, or resident: llama3-8b (Q4_0) on one H100",
        "Simulated, n = 1; decoding alone, 128 + 128 tokens. Links as the cluster files describe them (Gen5: twice "
        "Gen4). "
        "The cache is resident;\na step waits for its weights (no prefetch over steps is modelled), so this is a bound "
        "from above.");
    struct cluster c, other;
    struct stream s = {st, &c, 0, 128};
    int fit = 0, rc = case_cluster(&c, "h100-sxm", st->d);
    stream_columns(t);
    if (!rc) rc = study_most_users(&fit, make_stream, &s, MOST_STREAMED, st);
    for (size_t i = 0; i < sizeof links / sizeof *links && !rc; i++) {
        rc = case_cluster(&other, links[i].file, st->d);
        s.Bps = links[i].times * design_rate(other.net.tier[0].link.G);
        if (!rc) rc = put_link(st, t, links[i].text, &s, fit);
    }
    return rc;
}
