/* What a token's time is made of, found from times alone: t = a + b/BW_memory + c/BW_link + d messages, beside the
 * bytes and latencies that the plan and the cluster file have. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "scaling.h"

enum { MOST_STAGES = 8, MOST_ROWS = 128 };

/* One user's llama3-8b on a server of H100: tp8 on all, or pipelines of 2 to 8 stages. */
struct parts {
    struct scaling *s;
    struct fit_data data;
    double MB_read, MB_sent; /* of a token, on the way that it takes: of one card's under tp, of all stages' in a row */
};

static int add_row(struct parts *p, const char *kind, int cards, double memory, double link) {
    struct cluster c = p->s->machine[SCALING_H100].c;
    char strategy[16];
    snprintf(strategy, sizeof strategy, "%s%d", kind, cards);
    struct study_case on = scaling_case(&p->s->machine[SCALING_H100], "llama3-8b", strategy, cards, 1);
    struct study_figures f;
    struct fit_data *data = &p->data;
    double *x = &data->x[data->n * data->n_x];
    on.cluster = &c;
    parameter_find("memory-bandwidth")->set(&c, memory);
    parameter_find("link-bandwidth")->set(&c, link);
    int rc = study_figures(&f, &on, &p->s->st, 0);
    if (rc) return rc;
    const struct card_level *l = &c.card.level[0];
    const struct virtual_energy *e = &f.s.energy;
    double each = data->n_x == 2 ? cards : 1, passed = (double)(f.s.prompt_tokens + f.s.tokens - f.s.users);
    p->MB_read = 1e6 * (e->weights_J + e->cache_J) / l->pJ_per_B / (double)f.s.tokens / each; /* a pass a token */
    p->MB_sent = 1e6 * e->links_J / c.link_pJ_per_B[0] / passed / each; /* those of the prompt too */
    x[0] = 1e3 * (double)l->G.den / (double)l->G.num;
    x[1] = 1e3 * (double)c.net.tier[0].link.G.den / (double)c.net.tier[0].link.G.num;
    if (data->n_x > 2) x[2] = cards;
    data->y[data->n++] = f.s.decode_ms;
    return 0;
}

/* What both fits say, in words. */
struct told {
    char text[512];
    int points;
    double misfit; /* the largest */
};

static void tell(struct told *told, const struct parts *p, const struct fit *best, double latency_ms) {
    size_t n = strlen(told->text);
    n += (size_t)snprintf(told->text + n, sizeof told->text - n,
                          "%s%s reads %.4g MB a token on its way (the plan: "
                          "%.4g)",
                          n ? "; " : "", p->data.n_x == 2 ? "tp8" : "a pipeline of 2 to 8 stages", best->coef[1],
                          p->MB_read);
    if (p->data.n_x == 2)
        snprintf(told->text + n, sizeof told->text - n, " and sends %.3g MB (the plan: %.3g)", best->coef[2],
                 p->MB_sent);
    else
        snprintf(told->text + n, sizeof told->text - n, " at %.3g us a message (described: %.3g)", 1e3 * best->coef[3],
                 1e3 * latency_ms);
    told->points += p->data.n;
    told->misfit = fmax(told->misfit, scaling_largest_residual(best, &p->data));
}

static int fit_parts(struct parts *p, const char *name, double latency_ms, struct told *told) {
    int sends = p->data.n_x == 2;
    const struct scaling_described described[] = {
        {"b", p->MB_read}, {sends ? "c" : "d", sends ? p->MB_sent : latency_ms}, {0}};
    struct scaling_series series = {.name = name, .models = "memory-link", .described = described};
    struct fit best;
    int found;
    snprintf(p->data.y_column.unit, sizeof p->data.y_column.unit, "ms");
    for (int i = 0; i < 2; i++)
        snprintf(p->data.x_column[i].unit, sizeof p->data.x_column[i].unit, "GB/s");
    if (p->data.n_x > 2) snprintf(p->data.x_column[2].unit, sizeof p->data.x_column[2].unit, "message");
    series.data = p->data;
    int rc = scaling_fit(p->s, &series, &best, &found);
    if (!rc && found) tell(told, p, &best, latency_ms);
    return rc;
}

static const double factors[] = {0.25, 0.5, 1, 2, 4};
enum { FACTORS = sizeof factors / sizeof *factors };

static int run(struct scaling *s, int columns, struct told *told) {
    struct parts p = {.s = s};
    const char *kind = columns == 2 ? "tp" : "pp";
    int rc = fit_data_init(&p.data, MOST_ROWS, columns, s->st.d), step = columns == 2 && !s->st.quick ? 1 : 2;
    p.data.n = 0;
    for (int cards = columns == 2 ? MOST_STAGES : 2; cards <= MOST_STAGES && !rc; cards += 2)
        for (int i = 0; i < FACTORS && !rc; i += step)
            for (int k = 0; k < FACTORS && !rc; k += step)
                rc = add_row(&p, kind, cards, factors[i], factors[k]);
    double latency_ms = 1e-9 * (double)s->machine[SCALING_H100].c.net.tier[0].link.L_ps;
    if (!rc)
        rc = fit_parts(&p, columns == 2 ? "llama3-8b, tp8 of H100 SXM" : "llama3-8b, pp2 to pp8 of H100 SXM",
                       latency_ms, told);
    fit_data_free(&p.data);
    return rc;
}

int scaling_parts(struct scaling *s) {
    struct told told = {.text = ""};
    int rc = run(s, 2, &told);
    if (!rc) rc = run(s, 3, &told);
    if (!rc && told.text[0])
        report_say(
            s->st.page,
            "From times alone, llama3-8b on H100 SXM, one user: %s (fitted to %d simulated points; largest misfit "
            "%.1f %%).",
            told.text, told.points, 100 * told.misfit);
    return rc;
}
