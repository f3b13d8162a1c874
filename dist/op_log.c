/* op_log.c - operations of a rank while it runs, and logs of all ranks as text. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "dist/replay.h"

/* ---- while a rank runs ---- */

int op_list_add(struct op_list *list, const struct op *o) {
    if (list->n == OPS_MOST) return ERR_PLAN;
    if (list->n == list->cap) {
        int cap = list->cap ? 2 * list->cap : 256;
        struct op *op = realloc(list->op, (size_t)cap * sizeof *op);
        if (!op) return ERR_MEMORY;
        list->op = op;
        list->cap = cap;
    }
    list->op[list->n++] = *o;
    return 0;
}

static void add(struct op_logger *l, int what, int peer, int channel, uint64_t amount) {
    struct op o = {.amount = amount,
                   .peer = peer,
                   .channel = channel,
                   .pass = l->pass,
                   .layer = (int16_t)l->layer,
                   .step = (uint8_t)l->step,
                   .what = (uint8_t)what};
    if (!l->failed) l->failed = op_list_add(&l->list, &o);
}

void op_log_flush(struct op_logger *l, const struct net_clock *c) {
    if (!l) return;
    for (int i = 0; i < NET_SHARES; i++)
        if (c->now.share[i] > l->told.share[i]) add(l, i, -1, 0, c->now.share[i] - l->told.share[i]);
    l->told = c->now;
}

void op_log_message(struct op_logger *l, const struct net_clock *c, int what, int peer, int channel, uint64_t bytes) {
    if (!l) return;
    op_log_flush(l, c);
    add(l, what, peer, channel, bytes);
}

/* What a message itself takes is the links', not the log's. */
void op_log_moved(struct op_logger *l, const struct net_clock *c) {
    if (l) l->told = c->now;
}

void op_log_step(struct op_logger *l, const struct net_clock *c, int pass, int layer, int step) {
    if (!l) return;
    op_log_flush(l, c);
    l->pass = pass;
    l->layer = layer;
    l->step = step;
}

void op_log_take(struct op_logger *l, const struct net_clock *c, int pass) {
    op_log_message(l, c, OP_TAKE, -1, 0, (uint64_t)pass);
}

static struct net_stamp hook_send(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier,
                                  int peer, int channel, uint64_t bytes) {
    struct op_logger *l = (struct op_logger *)r;
    op_log_message(l, c, OP_SEND, peer, channel, bytes);
    struct net_stamp stamp = record_send(l->rec, c, net, tier, peer, bytes);
    op_log_moved(l, c);
    return stamp;
}

static void hook_recv(struct link_recorder *r, struct net_clock *c, const struct net *net, int tier, int peer,
                      int channel, const struct net_stamp *stamp) {
    struct op_logger *l = (struct op_logger *)r;
    op_log_message(l, c, OP_RECEIVE, peer, channel, 0);
    record_recv(l->rec, c, net, tier, peer, stamp);
    op_log_moved(l, c);
}

void op_logger_start(struct op_logger *l, struct recorder *rec) {
    struct op_list list = l->list;
    *l = (struct op_logger){
        .hooks = {hook_send, hook_recv}, .rec = rec, .layer = -1, .step = RECORD_STEP_PASS, .list = list};
    l->list.n = 0;
}

/* ---- of all ranks ---- */

int op_log_allocate(struct op_log *log, struct diag *d) {
    log->card = calloc((size_t)log->n_ranks, sizeof *log->card);
    log->rank = calloc((size_t)log->n_ranks, sizeof *log->rank);
    log->trace = calloc((size_t)log->dp, sizeof *log->trace);
    if (log->card && log->rank && log->trace) return 0;
    op_log_fini(log);
    return diag_set(d, ERR_MEMORY, "no memory for the operations of %d ranks", log->n_ranks);
}

/* A line of the file: names of models come from files of others. */
static void set_name(char *out, size_t cap, const char *name) {
    snprintf(out, cap, "%s", name);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
}

int op_log_init(struct op_log *log, const struct plan *p, const struct cluster *c, struct diag *d) {
    *log = (struct op_log){.plan_hash = p->hash, .n_ranks = p->n_ranks, .dp = p->strategy.dp};
    set_name(log->model, sizeof log->model, p->shape.name);
    set_name(log->strategy, sizeof log->strategy, p->strategy.text);
    set_name(log->cluster, sizeof log->cluster, c->name);
    int rc = op_log_allocate(log, d);
    int n_cards = 0;
    for (int r = 0; r < p->n_ranks && !rc; r++) {
        log->card[r] = virtual_card(p, r);
        n_cards += log->card[r] >= 0;
    }
    log->card_hash = ops_card_hash(c, n_cards);
    return rc;
}

void op_log_fini(struct op_log *log) {
    for (int r = 0; log->rank && r < log->n_ranks; r++)
        free(log->rank[r].op);
    for (int i = 0; log->trace && i < log->dp; i++)
        trace_fini(&log->trace[i]);
    free(log->card);
    free(log->rank);
    free(log->trace);
    *log = (struct op_log){0};
}

static uint64_t hash_u64(uint64_t v, uint64_t seed) {
    return hash_bytes(&v, sizeof v, seed + 1);
}
static uint64_t hash_rate(struct pico_rate r, uint64_t seed) {
    return hash_u64(r.den, hash_u64(r.num, seed));
}

static uint64_t hash_card(const struct card *c, uint64_t h) {
    h = hash_u64((uint64_t)c->n_levels, h);
    for (int i = 0; i < c->n_levels; i++)
        h = hash_u64(c->level[i].latency_ps,
                     hash_rate(c->level[i].alone, hash_rate(c->level[i].G, hash_u64(c->level[i].bytes, h))));
    for (int k = 0; k < PREC_COUNT; k++)
        h = hash_rate(c->op[k], h);
    for (int k = 0; k < STEP_COUNT; k++)
        h = hash_u64(c->step[k].overhead_ps, hash_rate(c->step[k].slow, h));
    const uint64_t other[] = {c->step_ps, c->pass_ps, c->token_ps, c->sequence_ps, c->frame_bytes};
    return hash_bytes(other, sizeof other, h);
}

uint64_t ops_card_hash(const struct cluster *c, int n_cards) {
    uint64_t h = hash_card(&c->card, 0);
    for (int i = 0; i < n_cards; i++)
        h = hash_rate(cluster_slow(c, i), h);
    if (c->has_host) h = hash_card(&c->host, h);
    return hash_rate(c->net.codec, hash_rate(c->net.copy, hash_rate(c->net.gamma, h)));
}
