#include "virtual_report.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "partition/estimate.h"

/* ---- the summary ---- */

static void add_tokens(struct virtual_summary *s, const struct trace *t) {
    for (int i = 0; i < t->n; i++) {
        s->prompt_tokens += t->pass[i].prefill;
        s->tokens += t->pass[i].returned;
    }
}

static void add_replica(struct virtual_summary *s, const struct trace *t, const struct net_stamp *taken) {
    add_tokens(s, t);
    for (int i = 0; i < t->n; i++) {
        const struct trace_pass *p = &t->pass[i];
        if (p->prefill && p->returned && taken[i].ps > s->prefill_ps) s->prefill_ps = taken[i].ps;
        if (p->returned && taken[i].ps > s->critical.ps) s->critical = taken[i];
    }
}

static void add_rank(struct virtual_summary *s, const struct plan_rank *r) {
    uint64_t bytes = r->bytes.weights + r->bytes.kv + r->bytes.work + r->engine_bytes;
    if (r->role == RANK_HOST) return;
    s->cards++;
    if (bytes > s->card_bytes) s->card_bytes = bytes;
}

static void set_rates(struct virtual_summary *s) {
    s->total_ps = s->critical.ps;
    double each = (double)s->tokens / s->users, total = 1e-9 * (double)s->total_ps;
    s->latency_ms = each > 0 ? total / each : 0;
    s->decode_ms = each > 1 ? (total - 1e-9 * (double)s->prefill_ps) / (each - 1) : 0;
    s->throughput = total > 0 ? 1e3 * (double)s->tokens / total : 0;
}

void virtual_job_times(struct virtual_summary *out, const char *kind, int dp, int users, const struct trace *trace,
                       struct net_stamp *const *taken) {
    *out = (struct virtual_summary){.kind = kind, .users = users};
    for (int i = 0; i < dp; i++)
        add_replica(out, &trace[i], taken[i]);
    set_rates(out);
}

void virtual_times(struct virtual_summary *out, const char *kind, const struct plan *p, int users,
                   const struct trace *trace, struct net_stamp *const *taken) {
    virtual_job_times(out, kind, p->strategy.dp, users, trace, taken);
    for (int r = 0; r < p->n_ranks; r++)
        add_rank(out, &p->ranks[r]);
}

static int add_energy(struct virtual_summary *s, const struct plan *p, const struct cluster *c,
                      const struct trace *trace, struct diag *d) {
    int rc = simulation_check(s->total_ps, d);
    if (!rc) rc = virtual_energy(&s->energy, NULL, p, c, trace, s->total_ps, d);
    s->power_W = s->total_ps ? 1e12 * virtual_energy_sum(&s->energy) / (double)s->total_ps : 0;
    return rc;
}

int virtual_summarize(struct virtual_summary *out, const char *kind, const struct plan *p, const struct cluster *c,
                      int users, const struct trace *trace, struct net_stamp *const *taken, struct diag *d) {
    virtual_times(out, kind, p, users, trace, taken);
    return add_energy(out, p, c, trace, d);
}

int virtual_estimate(struct virtual_summary *out, const struct plan *p, const struct cluster *c, int users, int chunk,
                     const struct trace *trace, struct diag *d) {
    struct estimate e;
    *out = (struct virtual_summary){.kind = "estimated", .users = users};
    for (int r = 0; r < p->n_ranks; r++)
        add_rank(out, &p->ranks[r]);
    for (int i = 0; i < p->strategy.dp; i++)
        add_tokens(out, &trace[i]);
    struct estimate_job job = {users, (int)(out->prompt_tokens / users), (int)(out->tokens / users), chunk};
    int rc = plan_estimate(&e, p, c, &job, d);
    if (rc) return rc;
    out->prefill_ps = e.prefill.ps;
    out->critical = e.total;
    set_rates(out);
    return add_energy(out, p, c, trace, d);
}

void virtual_last_pass(struct virtual_window *out, const struct plan *p, const struct trace *trace,
                       struct net_stamp *const *taken) {
    *out = (struct virtual_window){0};
    for (int i = 0; i < p->strategy.dp; i++)
        for (int k = 0; k < trace[i].n; k++)
            if (taken[i][k].ps > out->to_ps) *out = (struct virtual_window){i, k, 0, taken[i][k].ps};
    for (int k = 0; k < out->pass; k++)
        if (trace[out->replica].pass[k].micro == trace[out->replica].pass[out->pass].micro && taken[out->replica][k].ps)
            out->from_ps = taken[out->replica][k].ps;
}

/* Links that take no time, cards without overheads. */
void virtual_set_light(struct cluster *c) {
    const struct pico_rate no_time = {0, 1};
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link = (struct net_link){.G = no_time};
    c->net.gamma = c->net.copy = c->net.codec = no_time;
    c->card.step_ps = c->card.pass_ps = c->card.token_ps = c->card.sequence_ps = 0;
    for (int k = 0; k < STEP_COUNT; k++)
        c->card.step[k].overhead_ps = 0;
    for (int i = 0; i < c->card.n_levels; i++)
        c->card.level[i].latency_ps = 0;
    c->host = (struct card){.name = "a host that takes no time"};
}

int virtual_light(struct virtual_summary *s, const struct plan *p, const struct cluster *c, const struct trace *trace,
                  struct diag *d) {
    struct cluster light = *c;
    struct simulation sim;
    struct virtual_summary other;
    virtual_set_light(&light);
    int rc = simulate(&sim, p, &light, trace, d);
    if (rc) return rc;
    virtual_times(&other, s->kind, p, s->users, trace, sim.taken);
    s->light_ms = other.latency_ms;
    simulation_fini(&sim);
    return 0;
}

/* ---- printing ---- */

static double per_token_mJ(const struct virtual_summary *s, double J) {
    return s->tokens ? 1e3 * J / (double)s->tokens : 0;
}

static const struct {
    const char *key;
    size_t offset;
} terms[] = {
    {"idle", offsetof(struct virtual_energy, idle_J)},       {"active", offsetof(struct virtual_energy, active_J)},
    {"weights", offsetof(struct virtual_energy, weights_J)}, {"cache", offsetof(struct virtual_energy, cache_J)},
    {"operations", offsetof(struct virtual_energy, ops_J)},  {"links", offsetof(struct virtual_energy, links_J)}};
enum { N_TERMS = sizeof terms / sizeof *terms };

static double term_J(const struct virtual_energy *e, int i) {
    return *(const double *)(const void *)((const char *)e + terms[i].offset);
}

static int other_speed(const struct cluster *c, int cards) {
    int n = 0;
    for (int i = 0; i < cards; i++) {
        struct pico_rate slow = cluster_slow(c, i);
        n += slow.num != slow.den;
    }
    return n;
}

/* Tokens a joule, or a second and watt. */
static double tokens_per_J(const struct virtual_summary *s, double J) {
    return J > 0 ? (double)s->tokens / J : 0;
}

/* Tokens a second for 10^9 transistors of the cards; 0: the file does not count them. */
static double per_transistors(const struct virtual_summary *s, const struct cluster *c) {
    double n = 1e-9 * c->card.transistors * s->cards;
    return n > 0 ? s->throughput / n : 0;
}

static void print_merit(const struct virtual_summary *s, const struct plan *p, const struct cluster *c, FILE *out) {
    double J = virtual_energy_sum(&s->energy);
    if (J > 0) fprintf(out, "  tokens a joule          %12.3f tok/s/W  modelled, of the cards", tokens_per_J(s, J));
    if (J > 0 && p->strategy.host) fprintf(out, "; %.3f with the host", tokens_per_J(s, J + s->energy.host_J));
    if (J > 0) fputc('\n', out);
    if (c->card.transistors > 0)
        fprintf(out, "  for 10^9 transistors    %12.3f tok/s  of the cards, %.4g of each\n", per_transistors(s, c),
                c->card.transistors);
}

void virtual_print_times(const struct virtual_summary *s, FILE *out) {
    fprintf(out, "%d user%s, %lld prompt tokens, %lld generated\n\n", s->users, s->users == 1 ? "" : "s",
            (long long)s->prompt_tokens, (long long)s->tokens);
    fprintf(out, "  prefill                 %12.3f ms  until every user has a token\n", 1e-9 * (double)s->prefill_ps);
    fprintf(out, "  latency a token         %12.6f ms  for a user, prefill included\n", s->latency_ms);
    fprintf(out, "  decoding alone          %12.6f ms  a token, for a user\n", s->decode_ms);
    if (s->light_ms > 0)
        fprintf(
            out,
            "  speed of light          %12.6f ms  the same plan with links and overheads that take no time: %.2f of "
            "the latency\n",
            s->light_ms, s->light_ms / s->latency_ms);
    fprintf(out, "  throughput              %12.1f tok/s\n", s->throughput);
}

void virtual_print_path(const struct virtual_summary *s, FILE *out) {
    fprintf(out, "critical path of the last token (shares sum to its time, %.6f ms):\n", 1e-9 * (double)s->total_ps);
    for (int i = 0; i < NET_SHARES; i++)
        fprintf(out, "  %-22s  %12.6f ms  %5.1f %%\n", record_share_name[i], 1e-9 * (double)s->critical.share[i],
                s->total_ps ? 100 * (double)s->critical.share[i] / (double)s->total_ps : 0);
}

void virtual_print(const struct virtual_summary *s, const struct plan *p, const struct cluster *c, FILE *out) {
    const struct virtual_energy *e = &s->energy;
    char bytes[24];
    int odd = other_speed(c, s->cards);
    fprintf(out, "%s on %s: %d x %s", s->kind, c->name, s->cards, c->card.name);
    if (odd) fprintf(out, " (%d of another speed)", odd);
    fprintf(out, "%s%s; strategy %s, %d micro-batch%s (%s)\n", p->strategy.host ? " and the host " : "",
            p->strategy.host ? c->host.name : "", p->strategy.text, p->opts.n_micro, p->opts.n_micro == 1 ? "" : "es",
            strncmp(s->kind, "measured", 8) ? "deterministic, n = 1" : "one run");
    virtual_print_times(s, out);
    fprintf(out, "  power of the cards      %12.1f W  modelled\n", s->power_W);
    fprintf(out,
            "  energy a token          %12.3f mJ  modelled, of the cards:", per_token_mJ(s, virtual_energy_sum(e)));
    for (int i = 0; i < N_TERMS; i++)
        fprintf(out, "%s %s %.3f", i ? "," : "", terms[i].key, per_token_mJ(s, term_J(e, i)));
    fprintf(out, p->strategy.host ? "; the host %.3f more\n" : "\n", per_token_mJ(s, e->host_J));
    print_merit(s, p, c, out);
    fprintf(out, "  memory of a card        %12s  at most, of weights, cache and work space\n\n",
            text_bytes(bytes, sizeof bytes, (double)s->card_bytes));
    virtual_print_path(s, out);
}

json_t *virtual_json_times(const struct virtual_summary *s) {
    json_t *path = json_object(), *o;
    for (int i = 0; i < NET_SHARES; i++)
        json_object_set_new(path, record_share_name[i],
                            json_real(s->total_ps ? (double)s->critical.share[i] / (double)s->total_ps : 0));
    o = json_pack("{s:s, s:i, s:i, s:I, s:I}", "kind", s->kind, "cards", s->cards, "users", s->users, "prompt_tokens",
                  (json_int_t)s->prompt_tokens, "generated_tokens", (json_int_t)s->tokens);
    json_object_update_new(o, json_pack("{s:f, s:f, s:f, s:f, s:o, s:I}", "prefill_ms", 1e-9 * (double)s->prefill_ps,
                                        "latency_ms_per_tok", s->latency_ms, "decode_ms_per_tok", s->decode_ms,
                                        "throughput_tok_per_s", s->throughput, "critical_path", path, "total_ps",
                                        (json_int_t)s->total_ps));
    return o;
}

json_t *virtual_json(const struct virtual_summary *s, const struct plan *p, const struct cluster *c) {
    json_t *o = virtual_json_times(s);
    json_object_update_new(o, json_pack("{s:s, s:s, s:i, s:f, s:f}", "cluster", c->name, "strategy", p->strategy.text,
                                        "micro_batches", p->opts.n_micro, "power_W", s->power_W, "energy_mJ_per_tok",
                                        per_token_mJ(s, virtual_energy_sum(&s->energy))));
    json_t *energy = json_object();
    for (int i = 0; i < N_TERMS; i++)
        json_object_set_new(energy, terms[i].key, json_real(per_token_mJ(s, term_J(&s->energy, i))));
    json_object_set_new(o, "energy_terms_mJ_per_tok", energy);
    json_object_set_new(o, "host_energy_mJ_per_tok", json_real(per_token_mJ(s, s->energy.host_J)));
    json_object_set_new(o, "cards_of_another_speed", json_integer(other_speed(c, s->cards)));
    double J = virtual_energy_sum(&s->energy), all = J + s->energy.host_J, per = per_transistors(s, c);
    json_object_set_new(o, "energy_mJ_per_tok_with_host", json_real(per_token_mJ(s, all)));
    json_object_set_new(o, "tok_per_s_per_W", J > 0 ? json_real(tokens_per_J(s, J)) : json_null());
    json_object_set_new(o, "tok_per_s_per_W_with_host", all > 0 ? json_real(tokens_per_J(s, all)) : json_null());
    json_object_set_new(o, "tok_per_s_per_1e9_transistors", per > 0 ? json_real(per) : json_null());
    json_object_set_new(o, "energy_kind", json_string("modelled"));
    json_object_set_new(o, "speed_of_light_ms_per_tok", s->light_ms > 0 ? json_real(s->light_ms) : json_null());
    json_object_set_new(o, "fits", json_true());
    json_object_set_new(o, "memory_bytes_per_card", json_integer((json_int_t)s->card_bytes));
    return o;
}

static json_t *ranks_row(const struct virtual_summary *s, const struct virtual_energy *e, const struct plan *p,
                         int first, int last) {
    json_t *o = json_pack("{s:i, s:i, s:s}", "first_rank", first, "last_rank", last, "role",
                          p->ranks[first].role == RANK_HOST ? "host" : "card");
    for (int i = 0; i < N_TERMS; i++)
        json_object_set_new(o, terms[i].key, json_real(per_token_mJ(s, term_J(e, i))));
    json_object_set_new(o, "all", json_real(per_token_mJ(s, virtual_energy_sum(e))));
    return o;
}

int virtual_json_ranks(json_t *o, const struct virtual_summary *s, const struct plan *p, const struct cluster *c,
                       const struct trace *trace, struct diag *d) {
    struct virtual_energy all, *rank = calloc((size_t)p->n_ranks, sizeof *rank);
    if (!rank) return diag_set(d, ERR_MEMORY, "no memory for the energy of %d ranks", p->n_ranks);
    int first = 0, rc = virtual_energy(&all, rank, p, c, trace, s->total_ps, d);
    json_t *rows = json_array();
    for (int r = 1; r <= p->n_ranks && !rc; r++) {
        int same =
            r < p->n_ranks && p->ranks[r].role == p->ranks[first].role && !memcmp(&rank[r], &rank[first], sizeof *rank);
        if (same) continue;
        json_array_append_new(rows, ranks_row(s, &rank[first], p, first, r - 1));
        first = r;
    }
    json_object_set_new(o, "energy_by_rank_mJ_per_tok", rows);
    free(rank);
    return rc;
}
