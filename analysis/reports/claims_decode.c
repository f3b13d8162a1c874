/* Decodes by batch and by cards: what has the largest share of a token, and whether more cards pay. Estimated
 * (partition/estimate.h), context from 1024 on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "claims.h"
#include "figure.h"

struct machine {
    const char *model, *quant, *head, *mode, *file, *strategy; /* cluster-configs/FILE.yaml */
    int cards, served; /* served: with the host's time under the serving software of 2024 */
};

static const struct machine machines[CLAIM_DECODES] = {
    {"llama3-8b", "Q4_0", NULL, "a16", "l4", "1", 1, 0},
    {"llama3-8b", "Q4_0", NULL, "a16", "h100-sxm", "1", 1, 0},
    {"llama3-70b", "Q4_0", NULL, "a16", "h100-sxm-8", "tp8", 8, 0},
    {"tinyllama-1.1b", "Q4_0", NULL, "a16", "h100-sxm-8", "tp8", 8, 0},
    {"granite-3b-northpole", "Q4_0", "F16", "a16", "h100-sxm", "1", 1, 1},
    {"llama3-8b", "Q4_0", NULL, NULL, "ib-cpu", "1", 1, 0},
    {"llama3-8b", "Q4_0", NULL, NULL, "boards-1gbe", "1", 1, 0},
    {"tinyllama-1.1b", "Q4_0", NULL, NULL, "boards-1gbe", "tp4", 4, 0},
};

static int open_machine(struct cluster *c, const struct claims *all, const struct machine *m) {
    int rc = case_cluster(c, m->file, all->d);
    if (rc || !m->served) return rc;
    parameter_find("pass-overhead")->set(c, all->pass_s);
    parameter_find("sequence-overhead")->set(c, all->sequence_s);
    return 0;
}

static struct study_case on_machine(const struct machine *m, const struct cluster *c, int users) {
    return (struct study_case){.cluster = c,
                               .model = m->model,
                               .quant = m->quant,
                               .head = m->head,
                               .mode = m->mode,
                               .strategy = m->strategy,
                               .cards = m->cards,
                               .users = users,
                               .micro = 1,
                               .prompt = 1024,
                               .generate = 65,
                               .chunk = 256};
}

static void machine_text(char *out, size_t cap, const struct machine *m) {
    char cards[16] = "";
    if (m->cards > 1) snprintf(cards, sizeof cards, "%d of ", m->cards);
    snprintf(out, cap, "%s on %s%s%s", m->model, cards, m->file, m->served ? " served as in 2024" : "");
}

/* ---- by batch ---- */

/* What else than memory has the largest share; NULL: memory. */
static const char *other_binds(const struct wall_decode *y) {
    const char *what = y->share[NET_OVERHEAD] > y->share[NET_MEMORY] && y->share[NET_OVERHEAD] > wall_link_share(y) &&
                               y->share[NET_OVERHEAD] > y->share[NET_COMPUTE]
                           ? "overhead"
                           : wall_binds(y);
    return strcmp(what, "memory") ? what : NULL;
}

static void add_batch(struct frame *t, const char *text, int users, const struct wall_decode *y) {
    const char *other = other_binds(y);
    frame_text(t, "%s", text);
    frame_number(t, users);
    frame_number(t, y->ms);
    for (int i = 0; i < NET_SHARES; i++)
        frame_number(t, 100 * y->share[i]);
    frame_text(t, "%s", other ? other : "memory");
    frame_end_row(t);
}

static int scan_batches(struct claims *all, const struct machine *m, struct frame *t) {
    struct claim_decode *k = &all->decode[all->n_decodes];
    int most = all->app->spec.quick ? 64 : 512;
    struct cluster c;
    int rc = open_machine(&c, all, m);
    machine_text(k->text, sizeof k->text, m);
    if (rc) return rc;
    for (int users = 1; users <= most; users *= all->app->spec.quick ? 8 : 2) {
        struct study_case on = on_machine(m, &c, users);
        struct wall_decode y;
        struct diag own = {0};
        rc = wall_decode(&y, &on, all->app, &own);
        if (rc == ERR_PLAN && users > 1) break; /* no room for more */
        if (rc) return diag_set(all->d, rc, "%s", own.text);
        add_batch(t, k->text, users, &y);
        if (users == 1) k->alone = y;
        k->most = users;
        if (!k->then) k->then = other_binds(&y);
        if (!k->then) k->memory_until = users;
    }
    all->n_decodes++;
    return 0;
}

/* Where it stops. */
static void show_until(struct claims *c) {
    struct frame *t = report_table(c->page, "small_batch", "Up to which batch memory has the largest share of a token",
                                   "Of the batches in the table before.");
    frame_column(t, "case", "", 0);
    frame_column(t, "memory, one user", "%", 3);
    frame_column(t, "up to", "users", 3);
    frame_column(t, "looked at up to", "users", 3);
    frame_column(t, "then", "", 0);
    for (int i = 0; i < c->n_decodes; i++) {
        const struct claim_decode *k = &c->decode[i];
        frame_text(t, "%s", k->text);
        frame_number(t, 100 * k->alone.share[NET_MEMORY]);
        frame_number(t, k->memory_until);
        frame_number(t, k->most);
        frame_text(t, "%s", k->then ? k->then : "-");
        frame_end_row(t);
    }
}

static int show_batches(struct claims *c) {
    struct frame *t = report_table(
        c->page, "batches", "What a token of a decode waits for, by users in a batch",
        "Estimated (n = 1), context from 1024 on: shares of the critical path. As described, without overheads of "
        "software, but for\nthe row that is served as in 2024: its two times of the host are fitted (report "
        "northpole).");
    int rc = 0;
    frame_column(t, "case", "", 0);
    frame_column(t, "users", "", 3);
    frame_column(t, "token", "ms", 4);
    frame_column(t, "memory", "%", 3);
    frame_column(t, "compute", "%", 3);
    frame_column(t, "link b/w", "%", 3);
    frame_column(t, "link lat", "%", 3);
    frame_column(t, "overhead", "%", 3);
    frame_column(t, "largest", "", 0);
    for (int i = 0; i < CLAIM_DECODES && !rc; i++)
        rc = scan_batches(c, &machines[i], t);
    return rc;
}

/* ---- by cards ---- */

/* The same plan, with links and without. */
struct with_and_without {
    struct wall_decode with, without;
};

static int estimate_both(void *user, const struct app *app, const struct plan *p, const struct trace *trace,
                         struct diag *d) {
    struct with_and_without *y = user;
    struct cluster light = app->cluster;
    int rc = wall_estimate(&y->with, app, p, &app->cluster, d);
    (void)trace;
    virtual_set_light(&light);
    light.card = app->cluster.card;
    return rc ? rc : wall_estimate(&y->without, app, p, &light, d);
}

static void add_sharded(struct claims *all, struct frame *t, const struct machine *m, double one_ms,
                        const struct with_and_without *y) {
    struct claim_sharded *s = &all->sharded[all->n_sharded++];
    *s = (struct claim_sharded){
        .cards = m->cards, .speedup = one_ms / y->with.ms, .messages = 1 - y->without.ms / y->with.ms};
    machine_text(s->text, sizeof s->text, m);
    frame_text(t, "%s", s->text);
    frame_number(t, m->cards);
    frame_number(t, y->with.ms);
    frame_number(t, s->speedup);
    frame_number(t, 100 * s->speedup / m->cards);
    frame_number(t, 100 * s->messages);
    frame_end_row(t);
}

static int shard(struct claims *all, const struct machine *on_one, int most, struct frame *t) {
    struct machine m = *on_one;
    struct with_and_without y;
    struct cluster c;
    double one_ms = NAN;
    char strategy[16];
    int rc = open_machine(&c, all, &m);
    for (m.cards = 1; m.cards <= most && !rc; m.cards *= 2) {
        snprintf(strategy, sizeof strategy, "tp%d", m.cards);
        m.strategy = m.cards > 1 ? strategy : "1";
        struct study_case on = on_machine(&m, &c, 1);
        rc = case_use(&on, all->app, estimate_both, &y, all->d);
        if (m.cards == 1) one_ms = y.with.ms;
        if (!rc && m.cards > 1 && all->n_sharded < CLAIM_SHARDED) add_sharded(all, t, &m, one_ms, &y);
    }
    return rc;
}

static int show_sharded(struct claims *c) {
    static const struct {
        const char *file, *mode;
        int most;
    } on[] = {{"h100-sxm-8", "a16", 8}, {"l4-4", "a16", 4}, {"ib-cpu", NULL, 8}, {"boards-1gbe", NULL, 8}};
    static const char *const models[] = {"llama3-8b", "tinyllama-1.1b", "qwen2.5-0.5b"};
    struct frame *t = report_table(c->page, "sharded", "One user's decode on more cards: tensor parallelism",
                                   "Estimated (n = 1), Q4_0, context from 1024 on. Messages: the part of the token "
                                   "that goes where links take no time.");
    int rc = 0;
    frame_column(t, "case", "", 0);
    frame_column(t, "cards", "", 3);
    frame_column(t, "token", "ms", 4);
    frame_column(t, "speed-up", "x", 3);
    frame_column(t, "of the cards", "%", 3);
    frame_column(t, "messages", "%", 3);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3 && !rc; k++) {
            struct machine m = {models[k], "Q4_0", NULL, on[i].mode, on[i].file, "1", 1, 0};
            rc = shard(c, &m, on[i].most, t);
        }
    return rc;
}

int claims_decode(struct claims *c) {
    int rc = show_batches(c);
    if (!rc) show_until(c);
    return rc ? rc : show_sharded(c);
}

const struct report_figure claims_figures[] = {
    {"claims_batches",
     FIGURE_STYLE
     "set title 'Memory in the time of a token, by users in a batch (estimated)'\nset xlabel 'users in a batch' offset "
     "0,0.5\n"
     "set ylabel 'share of the critical path, %'\nset logscale x 2\nset yrange [0:100]\nset key outside below font "
     "',10'\n"
     "array name[16]\nn = 0\nlast = ''\n"
     "stats 'batches.csv' skip 1 using (last eq strcol(1) ? n : (n = n + 1, name[n] = strcol(1), last = strcol(1), n)) "
     "nooutput\n"
     "plot 50 with lines lc rgb '#999999' dt 3 notitle, \\\n"
     "  for [i=1:n] 'batches.csv' skip 1 using (strcol(1) eq name[i] ? $2 : NaN):4 \\\n"
     "  with linespoints lc rgb color(i) pt i dt i lw 1.5 title name[i]\n",
     "Share of memory in the critical path of a token as more users share a batch (estimated, n = 1); a curve for each "
     "model and machine, context from 1024 on."},
    {0}};
