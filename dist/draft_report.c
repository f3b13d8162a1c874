#include "draft_report.h"

#include <stdlib.h>

#include "base/text.h"
#include "collectives/agree.h"

static double mean(const struct draft_stats *s) {
    return s->turns ? (double)(s->turns + s->accepted) / (double)s->turns : 0;
}

void draft_print(FILE *out, const char *indent, const struct draft_params *p, const struct draft_stats *s) {
    fprintf(out,
            "%sdrafts of up to %d token%s, n-grams of %d to %d: %llu drafted, %llu accepted (%.1f %%)\n"
            "%s%llu turns gave %llu tokens, %.2f each (p5 %d, p50 %d, p95 %d; counted)\n",
            indent, p->most, p->most == 1 ? "" : "s", p->ngram_min, p->ngram_max, (unsigned long long)s->drafted,
            (unsigned long long)s->accepted, s->drafted ? 100.0 * (double)s->accepted / (double)s->drafted : 0, indent,
            (unsigned long long)s->turns, (unsigned long long)(s->turns + s->accepted), mean(s),
            draft_quantile(s, 0.05), draft_quantile(s, 0.5), draft_quantile(s, 0.95));
}

json_t *draft_json(const struct draft_params *p, const struct draft_stats *s) {
    json_t *taken = json_array();
    for (int i = 0; i <= p->most; i++)
        json_array_append_new(taken, json_integer((json_int_t)s->taken[i]));
    return json_pack("{s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:f, s:i, s:i, s:i, s:o}", "kind", "counted", "most", p->most,
                     "ngram_min", p->ngram_min, "ngram_max", p->ngram_max, "drafted_tokens", (json_int_t)s->drafted,
                     "accepted_tokens", (json_int_t)s->accepted, "turns", (json_int_t)s->turns, "tok_per_turn", mean(s),
                     "tok_per_turn_p5", draft_quantile(s, 0.05), "tok_per_turn_p50", draft_quantile(s, 0.5),
                     "tok_per_turn_p95", draft_quantile(s, 0.95), "turns_of_1_tok_and_more", taken);
}

void draft_traffic_add(struct draft_traffic *t, const struct plan *p, int rank, const struct engine_stats *s,
                       double tokens) {
    struct plan_totals totals[STEP_COUNT];
    if (tokens <= 0) return;
    plan_step_totals(p, rank, &s->work, totals);
    for (int k = 0; k < STEP_COUNT; k++)
        t->weight_bytes += totals[k].weight_bytes / tokens;
    t->messages += (double)s->messages / tokens;
    t->sent_bytes += (double)s->sent_bytes / tokens;
    if (rank == 0) t->passes += (double)s->work.passes / tokens;
}

int draft_traffic_gather(struct draft_traffic *t, const struct plan *p, struct link *l, const struct engine_result *r,
                         struct diag *d) {
    struct engine_stats *all = calloc((size_t)l->size, sizeof *all);
    int rc = err_agree(l, all ? 0 : diag_set(d, ERR_MEMORY, "no memory for statistics"), d);
    *t = (struct draft_traffic){0};
    if (!rc) agree_allgather(l, &r->decode, sizeof r->decode, all);
    for (int i = 0; i < l->size && !rc; i++)
        draft_traffic_add(t, p, i, &all[i], (double)r->decode_tokens);
    free(all);
    return rc;
}

void draft_traffic_print(FILE *out, const char *indent, const struct draft_traffic *t) {
    char sent[24], weights[24];
    fprintf(out, "%sa token after the first: %.3f passes, %s sent in %.2f messages, %s of weights read (counted)\n",
            indent, t->passes, text_bytes(sent, sizeof sent, t->sent_bytes), t->messages,
            text_bytes(weights, sizeof weights, t->weight_bytes));
}

void draft_traffic_json(json_t *o, const struct draft_traffic *t) {
    json_object_set_new(o, "passes_per_tok", json_real(t->passes));
    json_object_set_new(o, "comm_messages_per_tok", json_real(t->messages));
    json_object_set_new(o, "comm_bytes_per_tok", json_real(t->sent_bytes));
    json_object_set_new(o, "weight_bytes_per_tok", json_real(t->weight_bytes));
}
