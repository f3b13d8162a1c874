/* plan.c - from strategy and shape to ranks. The order of making: layers to stages, heads and leaves to groups, shards
 * and neighbours to ranks, steps with costs, bytes, hash. */
#include "partition/plan.h"

#include <stdlib.h>
#include <string.h>

#include "parts.h"

const char *step_class(enum step_kind kind) {
    static const char *const classes[STEP_COUNT] = {
#define X(name, kind) kind,
        STEP_LIST(X)
#undef X
    };
    return classes[kind];
}

const char *step_name(enum step_kind kind) {
    static const char *const names[STEP_COUNT] = {
        "recv_hidden", "embed",    "attn_norm", "qkv",    "rope",       "attention",  "attn_merge", "attn_out",
        "attn_reduce", "attn_add", "ffn_norm",  "ffn_up", "ffn_act",    "ffn_down",   "ffn_reduce", "ffn_add",
        "send_hidden", "out_norm", "head",      "sample", "send_token", "recv_token",
    };
    return names[kind];
}

static int no_memory(struct diag *d) {
    return diag_set(d, ERR_MEMORY, "no memory for the plan");
}

/* ---- groups: how many ranks split a layer ---- */

static void group_shape(const struct plan *p, const struct plan_stage *stage, enum step_kind kind,
                        struct coll_shape *shape) {
    int attn = kind == STEP_ATTN_REDUCE;
    shape->size = stage->size;
    shape->n_leaves = attn ? p->shape.n_heads : order_axis_runs(p->shape.d_ffn).n_leaves;
    shape->begin = attn ? stage->head_begin : stage->ffn_begin;
    shape->domain = p->store->domain;
}

/* What a rank of the group brings to coll_init; the algorithm's name is the group's, empty until it is chosen. */
static void group_coll(const struct plan *p, const struct plan_stage *stage, const struct plan_algo *algo,
                       enum step_kind kind, struct coll_spec *out) {
    const struct decoder_opts *o = &p->opts.decoder;
    size_t d_model = (size_t)p->shape.d_model;
    int decoded = p->shape.causal ? (o->n_seqs + p->opts.n_micro - 1) / p->opts.n_micro : o->max_tokens;
    memset(out, 0, sizeof *out);
    out->name = step_name(kind);
    out->kind = COLL_ALLREDUCE;
    out->algo = algo->name[0] ? algo->name : p->opts.allreduce;
    out->why = algo->name[0] ? algo->why : NULL;
    out->label = algo->label;
    out->transport = p->opts.transport;
    out->net = p->opts.net;
    out->wire = p->opts.wire;
    if (out->wire) out->label = COLL_APPROXIMATE;
    if (kind == STEP_FFN_REDUCE && sync_joins(p, stage)) {
        out->name = "layer_reduce";
        d_model *= 2;
    }
    out->n_max = (size_t)o->max_tokens * d_model;
    out->n_typical = (size_t)decoded * d_model;
    out->yield = -1;
    group_shape(p, stage, kind, &out->shape);
    coll_op_find(&out->op, "sum", 1, NULL);
}

/* The merge among the ranks that share a cache, each with `heads` of its own. The one-round algorithm whose order is
 * the canonical tree's. */
static void merge_coll(const struct plan *p, int heads, struct coll_spec *out) {
    const struct decoder_opts *o = &p->opts.decoder;
    size_t all = (size_t)heads * (size_t)p->strategy.kvp;
    *out = (struct coll_spec){.name = step_name(STEP_ATTN_MERGE),
                              .kind = COLL_REDUCE_SCATTER,
                              .algo = "twoshot",
                              .transport = p->opts.transport,
                              .n_max = (size_t)o->max_tokens * all,
                              .n_typical = all,
                              .shape = {p->strategy.kvp, p->strategy.kvp, p->store->kvp_begin, p->store->domain},
                              .granule = 1,
                              .net = p->opts.net,
                              .yield = -1};
    coll_op_find(&out->op, "attn_merge", p->shape.head_dim, NULL);
}

static const struct plan_algo *algo_of(const struct plan *p, int rank, enum step_kind kind) {
    const struct plan_group *g = plan_group_of(p, p->ranks[rank].stage);
    return kind == STEP_ATTN_REDUCE ? &g->attn_algo : &g->ffn_algo;
}

void plan_coll(const struct plan *p, int rank, enum step_kind kind, struct coll_spec *out) {
    const struct plan_rank *r = &p->ranks[rank];
    if (kind == STEP_ATTN_MERGE)
        merge_coll(p, r->shard.head1 - r->shard.head0, out);
    else
        group_coll(p, &p->stages[r->stage], algo_of(p, rank, kind), kind, out);
}

enum coll_label plan_label(const struct plan *p) {
    enum coll_label worst = p->strategy.kvp > 1 ? COLL_ROUNDING : COLL_BIT_EXACT;
    for (int i = 0; i < p->n_stages; i++) {
        const struct plan_group *g = plan_group_of(p, i);
        if (g->size == 1 || p->stages[i].layer1 == p->stages[i].layer0) continue;
        if (sync_drops(p, &p->stages[i])) worst = COLL_APPROXIMATE;
        if (g->attn_algo.label > worst) worst = g->attn_algo.label;
        if (g->ffn_algo.label > worst) worst = g->ffn_algo.label;
    }
    return worst;
}

const char *plan_coll_why(const struct plan *p, int rank, enum step_kind kind) {
    return algo_of(p, rank, kind)->why;
}

size_t plan_coll_elems(const struct plan *p, int rank, enum step_kind kind, int layer, int64_t tokens, int64_t wanted) {
    size_t n = (size_t)tokens * (size_t)p->shape.d_model;
    int head0, head1;
    switch (kind) {
    case STEP_ATTN_MERGE:
        shard_query_heads(&p->ranks[rank].shard, &head0, &head1);
        return (size_t)tokens * (size_t)(head1 - head0);
    case STEP_FFN_REDUCE: return plan_sync(p, rank, layer) == SYNC_JOINED ? 2 * n : n;
    case STEP_SAMPLE:
        return (size_t)(PLAN_OFFER_HEADER_BYTES +
                        wanted * (PLAN_OFFER_BYTES + (int64_t)p->opts.top_candidates * PLAN_CANDIDATE_BYTES));
    default: return n;
    }
}

int plan_schedule(const struct plan *p, int rank, enum step_kind kind, struct sched *out, struct diag *d) {
    struct coll_spec spec;
    struct coll_choice choice;
    plan_coll(p, rank, kind, &spec);
    int rc = coll_choice_parse(&choice, spec.algo, d);
    return rc ? rc : sched_build(out, &choice, spec.kind, &spec.shape, p->ranks[rank].tp_index % spec.shape.size, d);
}

/* One that is asked for may have any label; else the fastest that is bit-exact. */
static int choose_algo(const struct plan *p, const struct plan_stage *like, enum step_kind kind, struct plan_algo *out,
                       struct diag *d) {
    struct coll_spec spec;
    struct coll_choice choice;
    group_coll(p, like, out, kind, &spec);
    int rc = coll_resolve(&spec, &choice, out->why, sizeof out->why, d);
    if (rc) return rc;
    coll_choice_name(&choice, out->name, sizeof out->name);
    out->label = p->opts.wire ? COLL_APPROXIMATE : choice.algo->label;
    if (p->opts.wire && !choice.algo->two_step)
        return diag_set(d, ERR_UNSUPPORTED, "%s would round each value more than twice: it takes no --wire", out->name);
    return 0;
}

/* Elements of a message beyond the vectors that one slot would give. */
static int64_t extra_elems(const struct sched *s, size_t n, size_t granule) {
    int64_t extra = 0;
    for (int i = 0; i < s->n_steps; i++) {
        const struct sched_step *t = &s->steps[i];
        if (t->op != SCHED_SEND) continue;
        extra += (t->count - 1) * (int64_t)(coll_part_begin(n, granule, s->n_parts, t->part + t->parts) -
                                            coll_part_begin(n, granule, s->n_parts, t->part));
    }
    return extra;
}

static int64_t wire_bytes(const struct coll_wire *wire, int64_t elems) {
    return wire ? (int64_t)wire->bytes((size_t)elems) : elems * (int64_t)sizeof(float);
}

/* Counts one rank's part of an all-reduce from its schedule; what the MPI library sends is not known. */
static int count_reduce(const struct plan *p, const struct plan_stage *like, enum step_kind kind, int tp,
                        const struct plan_algo *algo, struct plan_reduce *out, struct diag *d) {
    struct coll_spec spec;
    struct coll_choice choice;
    struct coll_cost cost;
    struct sched s;
    const struct coll_wire *wire = p->opts.wire;
    group_coll(p, like, algo, kind, &spec);
    size_t n = spec.n_max / (size_t)p->opts.decoder.max_tokens,
           granule = wire ? COLL_WIRE_GRANULE : COLL_LINE_BYTES / sizeof(float);
    int rc = coll_choice_parse(&choice, spec.algo, d);
    if (!rc) rc = coll_bytes(&spec, tp, &out->bytes, d);
    if (rc || choice.algo->library) return rc;
    rc = sched_build(&s, &choice, COLL_ALLREDUCE, &spec.shape, tp, d);
    if (rc) return rc;
    sched_count(&s, n, granule, &cost);
    out->messages = (int64_t)cost.messages;
    out->sent_bytes = wire_bytes(wire, (int64_t)cost.sent);
    out->extra_bytes = wire_bytes(wire, extra_elems(&s, n, granule));
    out->adds = (int64_t)cost.reduced;
    sched_fini(&s);
    return 0;
}

/* The same of a merge: a token has an element a head. */
static int count_merge(const struct plan *p, int heads, int rank, struct plan_reduce *out, struct diag *d) {
    struct coll_spec spec;
    struct coll_choice choice;
    struct coll_cost cost = {0};
    merge_coll(p, heads, &spec);
    int rc = coll_choice_parse(&choice, spec.algo, d);
    if (!rc) rc = coll_bytes(&spec, rank, &out->bytes, d);
    if (rc) return rc;
    sched_formula(&choice, spec.kind, &spec.shape, rank, spec.n_typical, spec.granule, &cost);
    out->messages = (int64_t)cost.messages;
    out->sent_bytes = (int64_t)(cost.sent * spec.op.elem_bytes);
    out->adds = (int64_t)cost.reduced;
    return 0;
}

static struct plan_stage stage_like(const struct plan_group *g) {
    return (struct plan_stage){.size = g->size, .head_begin = g->head_begin, .ffn_begin = g->ffn_begin};
}

static int suits(const struct plan *p, const struct plan_group *g, enum step_kind kind, const struct plan_algo *now,
                 struct coll_kept **kept) {
    const struct plan_stage like = stage_like(g);
    struct plan_algo again = {{0}, {0}, 0};
    struct coll_spec spec;
    struct coll_choice choice;
    group_coll(p, &like, &again, kind, &spec);
    if (!*kept) *kept = coll_kept_new();
    spec.kept = *kept;
    if (coll_resolve(&spec, &choice, NULL, 0, NULL)) return 0;
    coll_choice_name(&choice, again.name, sizeof again.name);
    return !strcmp(again.name, now->name);
}

int plan_suits_net(const struct plan *p) {
    int same = 1;
    if (p->opts.allreduce && strcmp(p->opts.allreduce, "auto")) return 1;
    for (int i = 0; i < p->store->n_groups && same; i++) {
        struct plan_group *g = p->store->groups[i];
        same = suits(p, g, STEP_FFN_REDUCE, &g->ffn_algo, &g->ffn_kept) &&
               (g->joined || suits(p, g, STEP_ATTN_REDUCE, &g->attn_algo, &g->attn_kept));
    }
    return same;
}

static int count_reduces(struct plan *p, struct plan_group *g, struct diag *d) {
    struct plan_stage like = stage_like(g);
    g->joined = sync_joins(p, &like);
    int kvp = p->strategy.kvp, rc = choose_algo(p, &like, STEP_FFN_REDUCE, &g->ffn_algo, d);
    if (g->joined)
        g->attn_algo = g->ffn_algo;
    else if (!rc)
        rc = choose_algo(p, &like, STEP_ATTN_REDUCE, &g->attn_algo, d);
    for (int i = 0; i < g->size && !rc; i++) {
        rc = count_reduce(p, &like, STEP_FFN_REDUCE, i, &g->ffn_algo, &g->ffn[i], d);
        if (!rc && !g->joined) rc = count_reduce(p, &like, STEP_ATTN_REDUCE, i, &g->attn_algo, &g->attn[i], d);
        if (!rc && kvp > 1) rc = count_merge(p, g->head_begin[i + 1] - g->head_begin[i], i % kvp, &g->merge[i], d);
    }
    return rc;
}

/* Heads that shards share by kvp stay even, and with them the group. */
static int share_by_speed(const struct plan *p, struct plan_group *g, struct diag *d) {
    if (!g->speed) return 0;
    int rc = speeds_heads(&p->shape, g->speed, g->size, p->opts.cut_depth, g->head_begin);
    if (!rc) rc = speeds_leaves(p->shape.d_ffn, g->speed, g->size, p->opts.cut_depth, g->ffn_begin);
    return rc ? no_memory(d) : 0;
}

static int fill_group(struct plan *p, struct plan_group *g, struct diag *d) {
    int size = g->size;
    size_t n = (size_t)size;
    g->head_begin = plan_alloc(p, n + 1, sizeof *g->head_begin);
    g->ffn_begin = plan_alloc(p, n + 1, sizeof *g->ffn_begin);
    g->attn = plan_alloc(p, n, sizeof *g->attn);
    g->ffn = plan_alloc(p, n, sizeof *g->ffn);
    g->merge = plan_alloc(p, n, sizeof *g->merge);
    g->layer = plan_alloc(p, n * (size_t)p->store->n_kinds, sizeof *g->layer);
    g->calls = plan_alloc(p, n, sizeof(struct plan_call *));
    if (!g->head_begin || !g->ffn_begin || !g->attn || !g->ffn || !g->merge || !g->layer || !g->calls)
        return no_memory(d);
    if (split_heads(&p->shape, size, p->strategy.kvp, g->head_begin))
        return diag_set(d, ERR_PLAN,
                        "strategy %s: tp %d deals the %d heads of %s to shards that are no multiples of %d, the ranks "
                        "that share a cache: use another kvp or tp",
                        p->strategy.text, size / p->strategy.kvp, p->shape.n_heads, p->shape.name, p->strategy.kvp);
    int leaves = order_axis_runs(p->shape.d_ffn).n_leaves;
    for (int i = 0; i <= size; i++)
        g->ffn_begin[i] = split_leaves(leaves, size, i);
    int rc = share_by_speed(p, g, d);
    return rc ? rc : count_reduces(p, g, d);
}

/* Of a stage's ranks, the first of which is `first`; NULL where they are equal, or share caches. */
static const uint64_t *stage_speeds(const struct plan *p, int stage, int first) {
    const uint64_t *speed = p->opts.speed ? p->opts.speed + first : NULL;
    int same = 1;
    for (int i = 1; speed && i < p->strategy.stage_size[stage]; i++)
        same &= speed[i] == speed[0];
    return same || p->strategy.kvp > 1 || (stage == 0 && p->strategy.host) ? NULL : speed;
}

static const struct plan_group *find_group(const struct plan *p, int size, const uint64_t *speed) {
    for (int i = 0; i < p->store->n_groups; i++) {
        const struct plan_group *g = p->store->groups[i];
        if (g->size != size || !g->speed != !speed) continue;
        if (!speed || !memcmp(g->speed, speed, (size_t)size * sizeof *speed)) return g;
    }
    return NULL;
}

static int add_groups(struct plan *p, struct diag *d) {
    struct plan_store *store = p->store;
    store->groups = plan_alloc(p, (size_t)p->n_stages, sizeof *store->groups);
    store->group_of = plan_alloc(p, (size_t)p->n_stages, sizeof *store->group_of);
    if (!store->groups || !store->group_of) return no_memory(d);
    for (int i = 0, first = 0; i < p->n_stages; first += p->strategy.stage_size[i++]) {
        const uint64_t *speed = stage_speeds(p, i, first);
        if ((store->group_of[i] = find_group(p, p->strategy.stage_size[i], speed))) continue;
        struct plan_group *g = plan_alloc(p, 1, sizeof *g);
        if (!g) return no_memory(d);
        g->size = p->strategy.stage_size[i];
        g->speed = speed;
        int rc = fill_group(p, g, d);
        if (rc) return rc;
        store->group_of[i] = store->groups[store->n_groups++] = g;
    }
    return 0;
}

/* ---- stages ---- */

/* What a stage's ranks do together, the slowest deciding where their shares are even. */
static int64_t stage_rate(const struct plan *p, int stage, int first) {
    int size = p->strategy.stage_size[stage];
    int64_t sum = 0, least = INT64_MAX;
    for (int i = 0; i < size; i++) {
        int64_t speed = p->opts.speed ? (int64_t)p->opts.speed[first + i] : SPEED_ONE;
        sum += speed;
        if (speed < least) least = speed;
    }
    return stage_speeds(p, stage, first) ? sum : size * least;
}

static int add_stages(struct plan *p, struct diag *d) {
    int *begin = plan_alloc(p, (size_t)p->n_stages + 1, sizeof *begin), first = 0;
    int64_t *rate = plan_alloc(p, (size_t)p->n_stages, sizeof *rate);
    p->stages = plan_alloc(p, (size_t)p->n_stages, sizeof *p->stages);
    if (!begin || !rate || !p->stages) return no_memory(d);
    for (int i = 0, at = 0; i < p->n_stages; at += p->strategy.stage_size[i++])
        rate[i] = stage_rate(p, i, at);
    int rc = split_layers(&p->shape, &p->strategy, rate, begin, d);
    for (int i = 0; i < p->n_stages && !rc; i++) {
        struct plan_stage *stage = &p->stages[i];
        const struct plan_group *g = plan_group_of(p, i);
        int vocab = i == p->n_stages - 1 && p->shape.causal ? p->shape.n_vocab : 0;
        int *rows = plan_alloc(p, (size_t)g->size + 1, sizeof *rows);
        if (!rows) return no_memory(d);
        for (int j = 0; j <= g->size; j++)
            rows[j] = split_begin(vocab, g->size, j);
        if (g->speed && speeds_rows(vocab, g->speed, g->size, rows)) return no_memory(d);
        *stage = (struct plan_stage){first, g->size, begin[i], begin[i + 1], g->head_begin, g->ffn_begin, rows};
        first += g->size;
        rc = sync_check(p, stage, d);
    }
    return rc;
}

/* ---- ranks ---- */

/* A stage without layers holds no head and no FFN column. */
static void set_shard(const struct plan *p, struct plan_rank *r) {
    const struct plan_stage *stage = &p->stages[r->stage];
    struct shard_spec *s = &r->shard;
    int j = r->tp_index, last = r->stage == p->n_stages - 1;
    s->layer0 = stage->layer0;
    s->layer1 = stage->layer1;
    if (stage->layer1 > stage->layer0) {
        s->head0 = stage->head_begin[j];
        s->head1 = stage->head_begin[j + 1];
        s->ffn_leaf0 = stage->ffn_begin[j];
        s->ffn_leaf1 = stage->ffn_begin[j + 1];
        if (p->strategy.kvp > 1) s->kv_shards = p->strategy.kvp;
        if (p->strategy.kvp > 1) s->kv_shard = j % p->strategy.kvp;
    }
    s->vocab0 = stage->vocab_begin[j];
    s->vocab1 = stage->vocab_begin[j + 1];
    s->embed = r->stage == 0;
    s->final_norm = last && p->shape.causal;
    int share = p->shape.n_heads / p->shape.n_kv_heads;
    if (s->head1 > s->head0) {
        int head0, head1;
        shard_query_heads(s, &head0, &head1);
        r->kv_head0 = head0 / share;
        r->kv_head1 = (head1 - 1) / share + 1;
    }
    if (s->ffn_leaf1 > s->ffn_leaf0) {
        struct order_axis axis = order_axis_runs(p->shape.d_ffn);
        r->ffn0 = order_leaf_begin(&axis, s->ffn_leaf0);
        r->ffn1 = order_leaf_begin(&axis, s->ffn_leaf1);
    }
}

/* Rank j of `to` hears from rank j mod size of `from`. */
static int sender(const struct plan_stage *from, int base, int j) {
    return base + from->first + j % from->size;
}

static int receivers(const struct plan_stage *to, const struct plan_stage *from, int base, int j, int *first,
                     int *step) {
    *first = base + to->first + j;
    *step = from->size;
    return j < to->size ? (to->size - j + from->size - 1) / from->size : 0;
}

static void set_neighbours(const struct plan *p, struct plan_rank *r) {
    int base = r->replica * p->ranks_per_replica, last = p->n_stages - 1;
    const struct plan_stage *stages = p->stages, *mine = &stages[r->stage];
    int loop = last > 0 && p->shape.causal;
    r->recv_from = r->stage > 0 ? sender(mine - 1, base, r->tp_index) : -1;
    if (r->stage < last)
        r->n_send_to = receivers(mine + 1, mine, base, r->tp_index, &r->send_to_first, &r->send_to_step);
    r->token_from = loop && r->stage == 0 ? sender(&stages[last], base, r->tp_index) : -1;
    if (loop && r->stage == last)
        r->n_token_to = receivers(&stages[0], mine, base, r->tp_index, &r->token_to_first, &r->token_to_step);
}

static int add_ranks(struct plan *p, struct diag *d) {
    p->ranks = plan_alloc(p, (size_t)p->n_ranks, sizeof *p->ranks);
    if (!p->ranks) return no_memory(d);
    struct plan_rank *r = p->ranks;
    for (int replica = 0; replica < p->strategy.dp; replica++)
        for (int stage = 0; stage < p->n_stages; stage++)
            for (int j = 0; j < p->stages[stage].size; j++, r++) {
                r->role = stage == 0 && p->strategy.host ? RANK_HOST : RANK_CARD;
                r->replica = replica;
                r->stage = stage;
                r->tp_index = j;
                set_shard(p, r);
                set_neighbours(p, r);
            }
    return 0;
}

/* ---- steps ---- */

static const struct plan_block *layer_block(struct plan *p, const struct plan_rank *r, int layer) {
    const struct plan_group *g = plan_group_of(p, r->stage);
    const struct plan_block **at = &g->layer[r->tp_index * p->store->n_kinds + p->store->layer_kind[layer]];
    if (*at) return *at;
    struct plan_block b;
    memset(&b, 0, sizeof b);
    cost_layer(&b, p, r, layer, g);
    return *at = plan_intern(p, &b);
}

/* Steps of a rank of replica 0; bytes too, for they take as long to count. */
static int set_steps(struct plan *p, int rank, struct diag *d) {
    struct plan_rank *r = &p->ranks[rank];
    int n = r->shard.layer1 - r->shard.layer0;
    struct plan_block ends[2];
    memset(ends, 0, sizeof ends);
    cost_prologue(&ends[0], p, r);
    cost_epilogue(&ends[1], p, r);
    const struct plan_block **layers = plan_alloc(p, (size_t)n, sizeof *layers);
    r->prologue = plan_intern(p, &ends[0]);
    r->epilogue = plan_intern(p, &ends[1]);
    r->layers = layers;
    if (!layers || !r->prologue || !r->epilogue) return no_memory(d);
    for (int i = 0; i < n; i++)
        if (!(layers[i] = layer_block(p, r, r->shard.layer0 + i))) return no_memory(d);
    shard_bytes(&p->shape, &r->shard, &p->opts.decoder, &r->bytes);
    r->engine_bytes = plan_engine_bytes(p, rank);
    return 0;
}

static int add_steps(struct plan *p, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < p->ranks_per_replica && !rc; i++)
        rc = set_steps(p, i, d);
    for (int i = p->ranks_per_replica; i < p->n_ranks && !rc; i++) {
        const struct plan_rank *like = &p->ranks[i % p->ranks_per_replica];
        struct plan_rank *r = &p->ranks[i];
        r->prologue = like->prologue;
        r->epilogue = like->epilogue;
        r->layers = like->layers;
        r->bytes = like->bytes;
        r->engine_bytes = like->engine_bytes;
    }
    return rc;
}

/* ---- checks and options ---- */

static int check_ranks(const struct strategy *st, int n_ranks, struct diag *d) {
    int need = strategy_ranks(st), per_replica = need / st->dp;
    char text[96];
    if (need == n_ranks) return 0;
    if (strategy_is_regular(st) && st->pp > 1)
        snprintf(text, sizeof text, "%d stages of %d", st->pp, st->tp);
    else if (st->pp > 1)
        snprintf(text, sizeof text, "%d stages of up to %d", st->pp, st->tp);
    else
        snprintf(text, sizeof text, "%d in a group", st->tp);
    if (st->dp > 1) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, " = %d, in %d replicas", per_replica, st->dp);
    }
    return diag_set(d, ERR_PLAN, "strategy %s needs %d rank%s (%s), but there %s %d: use -n %d or another strategy",
                    st->text, need, need == 1 ? "" : "s", text, n_ranks == 1 ? "is" : "are", n_ranks, need);
}

static int check_opts(const struct model_shape *s, const struct plan_opts *o, struct diag *d) {
    const struct decoder_opts *c = &o->decoder;
    if (c->n_seqs < 1 || c->n_ctx < 1 || c->max_tokens < 1 || c->threads < 1)
        return diag_set(d, ERR_RANGE,
                        "plan: %d sequences, %d positions, %d tokens a pass, %d threads: each must be at least 1",
                        c->n_seqs, c->n_ctx, c->max_tokens, c->threads);
    if (o->n_micro < 0 || o->top_candidates < 0 || o->max_logits < 0)
        return diag_set(d, ERR_RANGE, "plan: micro-batches, candidates and logits cannot be negative");
    if (s->ctx_limit && c->n_ctx > s->ctx_limit)
        return diag_set(d, ERR_RANGE, "a context of %d positions, but %s computes at most %d: use a shorter --ctx",
                        c->n_ctx, s->name, s->ctx_limit);
    return shape_check(s, d);
}

static void fill_defaults(struct plan *p) {
    struct plan_opts *o = &p->opts;
    int least = o->decoder.n_seqs;
    if (o->n_micro == 0) o->n_micro = 1;
    if (o->max_logits == 0) o->max_logits = o->decoder.max_tokens < least ? o->decoder.max_tokens : least;
}

/* A rank never offers more candidates than the vocabulary rows of the rank with most. */
static void limit_candidates(struct plan *p) {
    const struct plan_stage *last = &p->stages[p->n_stages - 1];
    int most = 0, *top = &p->opts.top_candidates;
    for (int i = 0; i < last->size; i++)
        if (last->vocab_begin[i + 1] - last->vocab_begin[i] > most)
            most = last->vocab_begin[i + 1] - last->vocab_begin[i];
    if (*top == 0 || *top > most) *top = most;
}

/* The plan's own copy. */
static int keep_speeds(struct plan *p, struct diag *d) {
    size_t n = (size_t)p->ranks_per_replica;
    if (!p->opts.speed) return 0;
    uint64_t *own = plan_alloc(p, n, sizeof *own);
    if (!own) return no_memory(d);
    memcpy(own, p->opts.speed, n * sizeof *own);
    p->opts.speed = own;
    return 0;
}

static int build(struct plan *p, struct diag *d) {
    p->store->layer_kind = plan_alloc(p, (size_t)p->shape.n_layers, sizeof *p->store->layer_kind);
    if (!p->store->layer_kind) return no_memory(d);
    p->store->n_kinds = 2 * split_layer_kinds(&p->shape, p->store->layer_kind);
    p->store->kvp_begin = plan_alloc(p, (size_t)p->strategy.kvp + 1, sizeof *p->store->kvp_begin);
    if (!p->store->kvp_begin) return no_memory(d);
    for (int i = 0; i <= p->strategy.kvp; i++)
        p->store->kvp_begin[i] = i;
    int most = p->strategy.tp, rc = keep_speeds(p, d);
    if (rc) return rc;
    if (p->opts.domain_ranks > 0) {
        p->store->domain = plan_alloc(p, (size_t)most, sizeof *p->store->domain);
        if (!p->store->domain) return no_memory(d);
        for (int i = 0; i < most; i++)
            p->store->domain[i] = i / p->opts.domain_ranks;
    }
    rc = sync_read(p, d);
    for (int l = 0; l < p->shape.n_layers; l++)
        p->store->layer_kind[l] = 2 * p->store->layer_kind[l] + p->drop_sync[l];
    if (!rc) rc = add_groups(p, d);
    if (!rc) rc = add_stages(p, d);
    if (!rc) limit_candidates(p);
    if (!rc) rc = add_ranks(p, d);
    if (!rc) rc = add_steps(p, d);
    if (!rc) rc = plan_check_memory(p, d);
    if (!rc) p->hash = plan_hash(p);
    return rc;
}

int plan_make(struct plan **out, const struct model_shape *s, const struct strategy *st, int n_ranks,
              const struct plan_opts *o, struct diag *d) {
    *out = NULL;
    int rc = check_opts(s, o, d);
    if (!rc) rc = check_ranks(st, n_ranks, d);
    if (!rc && st->kvp > 1 && !s->causal)
        rc = diag_set(d, ERR_PLAN, "strategy %s: %s is an encoder, which keeps no cache to share: use tp", st->text,
                      s->name);
    if (rc) return rc;
    struct plan *p = calloc(1, sizeof *p);
    if (p) p->store = calloc(1, sizeof *p->store);
    if (!p || !p->store) {
        plan_free(p);
        return no_memory(d);
    }
    memcpy(&p->shape, s, sizeof *s); /* unused bytes too: they are hashed */
    p->strategy = *st;
    p->opts = *o;
    p->n_ranks = n_ranks;
    p->ranks_per_replica = n_ranks / st->dp;
    p->n_stages = st->n_stages;
    fill_defaults(p);
    rc = build(p, d);
    if (rc)
        plan_free(p);
    else
        *out = p;
    return rc;
}

/* ---- totals ---- */

static void add_cost(const struct plan_step *step, const struct plan_work *w, struct plan_totals *out) {
    const struct step_cost *c = &step->cost;
    int sampled = step_is_sampled(step->kind);
    double passes = (double)(sampled ? w->sampled_passes : w->passes), t = (double)(sampled ? w->sampled : w->tokens);
    if (step->kind == STEP_SEND_TOKEN) t -= (double)w->refused;
    out->steps += passes;
    out->weight_bytes += passes * (double)c->weight_bytes + t * (double)c->row_bytes_per_tok;
    out->kv_bytes += t * (double)c->kv_bytes_per_tok + (double)w->ctx_read * (double)c->kv_bytes_per_ctx;
    for (int k = 0; k < PREC_COUNT; k++)
        out->ops[k] += t * (double)c->ops_per_tok[k] + (double)w->ctx_sum * (double)c->ops_per_ctx[k];
    out->messages += passes * (double)c->messages;
    out->sent_bytes += passes * (double)c->sent_bytes + t * (double)c->sent_bytes_per_tok;
    out->extra_bytes += t * (double)c->extra_bytes_per_tok;
}

/* by_kind: out has an entry for each kind of step, else one. */
static void add_block(const struct plan_block *b, const struct plan_work *w, int by_kind, struct plan_totals *out) {
    for (int i = 0; i < b->n; i++)
        add_cost(&b->step[i], w, out + (by_kind ? b->step[i].kind : 0));
}

static void add_rank(const struct plan_rank *r, const struct plan_work *w, int by_kind, struct plan_totals *out) {
    add_block(r->prologue, w, by_kind, out);
    for (int l = 0; l < r->shard.layer1 - r->shard.layer0; l++)
        add_block(r->layers[l], w, by_kind, out);
    add_block(r->epilogue, w, by_kind, out);
}

static struct plan_work one_pass(const struct plan_pass *pass) {
    return (struct plan_work){.passes = pass->tokens > 0,
                              .tokens = pass->tokens,
                              .ctx_sum = pass->ctx_sum,
                              .ctx_read = pass->ctx_sum,
                              .sampled_passes = pass->sampled > 0,
                              .sampled = pass->sampled,
                              .refused = pass->refused};
}

void plan_totals(const struct plan *p, int rank, const struct plan_pass *pass, struct plan_totals *out) {
    struct plan_work w = one_pass(pass);
    memset(out, 0, sizeof *out);
    for (int i = rank < 0 ? 0 : rank; i < (rank < 0 ? p->n_ranks : rank + 1); i++)
        add_rank(&p->ranks[i], &w, 0, out);
}

void plan_step_totals(const struct plan *p, int rank, const struct plan_work *w, struct plan_totals out[STEP_COUNT]) {
    memset(out, 0, STEP_COUNT * sizeof *out);
    add_rank(&p->ranks[rank], w, 1, out);
}

void plan_token_totals(const struct plan *p, struct plan_totals *out, int *most) {
    struct plan_pass pass = {.tokens = 1, .sampled = p->shape.causal, .ctx_sum = p->opts.decoder.n_ctx};
    struct plan_work w = one_pass(&pass);
    double read_most = -1;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < p->ranks_per_replica; i++) {
        struct plan_totals one;
        plan_totals(p, i, &pass, &one);
        if (most && one.weight_bytes + one.kv_bytes > read_most) {
            read_most = one.weight_bytes + one.kv_bytes;
            *most = i;
        }
        add_rank(&p->ranks[i], &w, 0, out);
    }
}
