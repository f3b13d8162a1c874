#include "sim_calls.h"

#include <stdlib.h>

int sim_call_begin(struct sim_call *out, const struct plan *p, int rank, enum queue_kind kind, size_t n,
                   struct diag *d) {
    static const enum step_kind step[QUEUE_KINDS] = {
        [Q_ATTN] = STEP_ATTN_REDUCE, [Q_FFN] = STEP_FFN_REDUCE, [Q_MERGE] = STEP_ATTN_MERGE, [Q_GATHER] = STEP_SAMPLE};
    out->at = 0;
    return plan_events(p, rank, step[kind], n, &out->event, &out->count, d);
}

/* ---- stamps ---- */

int stamp_queue_add(struct stamp_queue *q, const struct net_stamp *stamp, int to, struct diag *d) {
    if (q->n == q->cap) {
        int cap = q->cap ? 2 * q->cap : 4;
        struct net_stamp *ring = malloc((size_t)cap * sizeof *ring);
        if (!ring) return diag_set(d, ERR_MEMORY, "no memory for the messages of rank %d", to);
        for (int i = 0; i < q->n; i++)
            ring[i] = q->at[(q->head + i) % q->cap];
        free(q->at);
        *q = (struct stamp_queue){ring, 0, q->n, cap};
    }
    q->at[(q->head + q->n++) % q->cap] = *stamp;
    return 0;
}

const struct net_stamp *stamp_queue_take(struct stamp_queue *q) {
    const struct net_stamp *first = &q->at[q->head];
    q->head = (q->head + 1) % q->cap;
    q->n--;
    return first;
}

void stamp_queue_fini(struct stamp_queue *q) {
    free(q->at);
    *q = (struct stamp_queue){0};
}

/* ---- steps ---- */

int64_t sim_token_bytes(const struct trace_pass *pass) {
    return PLAN_SAMPLED_HEADER_BYTES + pass->returned * (int64_t)PLAN_SAMPLED_BYTES;
}

static size_t offers_bytes(const struct plan *p, const struct trace_pass *pass) {
    int64_t offer = PLAN_OFFER_BYTES + (int64_t)p->opts.top_candidates * PLAN_CANDIDATE_BYTES;
    return (size_t)(PLAN_OFFER_HEADER_BYTES + pass->wanted * offer);
}

int sim_call_starts(const struct plan *p, int rank, enum step_kind kind, int layer, const struct trace_pass *pass,
                    size_t *n) {
    const struct plan_rank *r = &p->ranks[rank];
    int many = p->stages[r->stage].size > 1, head0, head1;
    *n = (size_t)pass->tokens * (size_t)p->shape.d_model;
    switch (kind) {
    case STEP_ATTENTION:
        shard_query_heads(&r->shard, &head0, &head1);
        *n = (size_t)pass->tokens * (size_t)(head1 - head0);
        return p->strategy.kvp > 1 ? Q_MERGE : NO_QUEUE;
    case STEP_ATTN_OUT: return many && plan_sync(p, rank, layer) == SYNC_TWO ? Q_ATTN : NO_QUEUE;
    case STEP_FFN_DOWN:
        if (plan_sync(p, rank, layer) == SYNC_JOINED) *n *= 2;
        return many ? Q_FFN : NO_QUEUE;
    case STEP_SAMPLE: *n = offers_bytes(p, pass); return pass->wanted ? Q_GATHER : NO_QUEUE;
    default: return NO_QUEUE;
    }
}

int sim_call_ends(enum step_kind kind, const struct trace_pass *pass) {
    switch (kind) {
    case STEP_ATTN_MERGE: return Q_MERGE;
    case STEP_ATTN_REDUCE: return Q_ATTN;
    case STEP_FFN_REDUCE: return Q_FFN;
    case STEP_SAMPLE: return pass->wanted ? Q_GATHER : NO_QUEUE;
    default: return NO_QUEUE;
    }
}
