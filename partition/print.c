/* print.c - the plan as text that a person can check. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "partition/table.h"
#include "parts.h"

enum { RANKS_SHOWN = 16, KINDS_SHOWN = 8 };

static const char *plural(int64_t n) {
    return n == 1 ? "" : "s";
}

/* Two decimals, so that a column of one unit adds up. */
static const char *bytes(char buf[32], double n) {
    return text_bytes(buf, 32, n);
}

static const char *count(char buf[32], double n) {
    static const char *const unit[] = {"", " k", " M", " G", " T", " P"};
    int u = 0;
    while (n >= 1000 && u < 5)
        n /= 1000, u++;
    snprintf(buf, 32, n == (double)(int64_t)n && !u ? "%.0f%s" : "%.2f%s", n, unit[u]);
    return buf;
}

/* "0-15", "7", or "-" for an empty range. */
static const char *range(char buf[32], int begin, int end) {
    if (begin >= end)
        snprintf(buf, 32, "-");
    else if (end - begin == 1)
        snprintf(buf, 32, "%d", begin);
    else
        snprintf(buf, 32, "%d-%d", begin, end - 1);
    return buf;
}

static const char *amount(char buf[32], int begin, int end) {
    if (begin >= end) return "-";
    snprintf(buf, 32, "%d", end - begin);
    return buf;
}

enum { LINE = 112, INDENT = 12 };

/* A name and a sentence, wrapped. */
static void sentence(const char *name, const char *text, FILE *out) {
    int at = fprintf(out, "  %-*s", INDENT - 2, name);
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (at + n > LINE) {
            fprintf(out, "\n%*s", INDENT, "");
            at = INDENT;
        }
        at += fprintf(out, "%s%.*s", at > INDENT ? " " : "", n, text);
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

/* ---- what is planned ---- */

static void print_title(const struct plan *p, FILE *out) {
    const struct strategy *st = &p->strategy;
    fprintf(out, "Plan %s of %s: %d rank%s", st->text, p->shape.name[0] ? p->shape.name : "a model", p->n_ranks,
            plural(p->n_ranks));
    if (st->dp > 1)
        fprintf(out, " = %d replicas x %d rank%s", st->dp, p->ranks_per_replica, plural(p->ranks_per_replica));
    if (p->n_stages > 1) {
        fprintf(out, "%s %d stages", st->dp > 1 ? " in" : " =", p->n_stages);
        if (strategy_is_regular(st)) fprintf(out, " x %d", st->tp);
    }
    fputc('\n', out);
    for (int i = 0; strategy_kinds[i]; i++)
        if (strategy_kinds[i]->matches(st)) sentence(strategy_kinds[i]->name, strategy_kinds[i]->split, out);
}

/* "Q4_K and Q6_K" for the types of a layer's matrices. */
static void layer_types(const struct model_shape *s, char *buf, size_t cap) {
    unsigned long seen = 0;
    size_t at = 0;
    buf[0] = 0;
    for (int l = 0; l < s->n_layers; l++)
        for (int r = ROLE_Q; r <= ROLE_DOWN; r++) {
            int type = s->layer_type[l][r];
            if (type < 0 || seen >> type & 1) continue;
            seen |= 1ul << type;
            if (at < cap) at += (size_t)snprintf(buf + at, cap - at, "%s%s", at ? ", " : "", tensor_types[type]->name);
        }
}

static void print_shape(const struct model_shape *s, FILE *out) {
    char text[512], types[128];
    snprintf(text, sizeof text,
             "%s, %d layer%s of width %d; %d heads of %d over %d KV head%s; FFN of %d columns%s; vocabulary %d",
             s->arch, s->n_layers, plural(s->n_layers), s->d_model, s->n_heads, s->head_dim, s->n_kv_heads,
             plural(s->n_kv_heads), s->d_ffn, s->parallel_block ? " beside the attention" : "", s->n_vocab);
    sentence("model", text, out);
    layer_types(s, types, sizeof types);
    const struct tensor_type *embed = shape_type(s, ROLE_EMBED, 0), *head = shape_type(s, ROLE_HEAD, 0);
    int n = snprintf(text, sizeof text, "%s in the layers, %s in the embedding", types, embed ? embed->name : "none");
    if (s->causal && s->tied_head)
        snprintf(text + n, sizeof text - (size_t)n, ", which is the output layer too");
    else if (s->causal)
        snprintf(text + n, sizeof text - (size_t)n, ", %s in the output layer", head ? head->name : "none");
    sentence("weights", text, out);
}

/* What layers take, and the output layer: float weights meet float activations whatever the mode (order.h rule 4). */
static void print_acts(const struct plan *p, char *buf, size_t cap) {
    static const char *const act[] = {[ACT_F32] = "float", [ACT_I8] = "int8", [ACT_I4] = "int4"};
    const struct model_shape *s = &p->shape;
    const struct decoder_opts *o = &p->opts.decoder;
    const struct tensor_type *head = shape_type(s, ROLE_HEAD, 0);
    int n_float = 0, n_integer = 0;
    for (int l = 0; l < s->n_layers; l++)
        for (int r = ROLE_Q; r <= ROLE_DOWN; r++)
            if (s->layer_type[l][r] >= 0) *(tensor_types[s->layer_type[l][r]]->is_float ? &n_float : &n_integer) += 1;
    int mixed = n_float && n_integer && o->linear_bits != ACT_F32;
    size_t n = (size_t)snprintf(buf, cap, "%s activations into layers%s", n_integer ? act[o->linear_bits] : "float",
                                mixed ? " (float where the weights are)" : "");
    if (s->causal)
        snprintf(buf + n, cap - n, ", %s into the output layer", head && head->is_float ? "float" : act[o->head_bits]);
}

static void print_opts(const struct plan *p, FILE *out) {
    static const char *const kv[] = {[KV_F16] = "f16", [KV_I8] = "int8", [KV_I4] = "int4"};
    const struct decoder_opts *o = &p->opts.decoder;
    static const char *const hidden[] = {"", "; hidden states fp16", "; hidden states int8", "; hidden states int4"};
    char text[512], acts[128], micro[64] = "";
    print_acts(p, acts, sizeof acts);
    if (p->n_stages > 1)
        snprintf(micro, sizeof micro, "; %d micro-batch%s in flight", p->opts.n_micro,
                 p->opts.n_micro == 1 ? "" : "es");
    snprintf(text, sizeof text, "%s%s; KV cache %s for %d sequence%s of %d positions; up to %d tokens a pass%s", acts,
             hidden[o->hidden], kv[o->kv], o->n_seqs, plural(o->n_seqs), o->n_ctx, o->max_tokens, micro);
    sentence("computes", text, out);
}

/* The all-reduces of the largest stage. */
static void print_reduces(const struct plan *p, FILE *out) {
    const struct plan_group *g = p->store->groups[0];
    char text[1024];
    for (int i = 1; i < p->store->n_groups; i++)
        if (p->store->groups[i]->size > g->size) g = p->store->groups[i];
    if (g->size == 1) {
        if (p->opts.drop_sync) sentence("reduces", "nothing, so there is no sync to drop: layers are not split", out);
        return;
    }
    if (g->joined)
        snprintf(text, sizeof text, "attention and FFN of a layer as one vector: %s (%s)", g->ffn_algo.name,
                 g->ffn_algo.why);
    else if (strcmp(g->attn_algo.name, g->ffn_algo.name) == 0)
        snprintf(text, sizeof text, "%s (%s)", g->ffn_algo.name, g->ffn_algo.why);
    else
        snprintf(text, sizeof text, "attention %s (%s), FFN %s (%s)", g->attn_algo.name, g->attn_algo.why,
                 g->ffn_algo.name, g->ffn_algo.why);
    size_t at = strlen(text);
    if (p->shape.parallel_block && !g->joined)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "; two a layer, not one: %d ranks cut heads and FFN columns into different subtrees",
                               g->size);
    if (p->opts.drop_sync)
        at += (size_t)snprintf(text + at, sizeof text - at, "; none after the attention of layers %.200s",
                               p->opts.drop_sync);
    if (plan_label(p) != COLL_BIT_EXACT)
        snprintf(text + at, sizeof text - at, "%s%s; results are %s, not those of one rank",
                 p->opts.wire ? "; values travel as " : "", p->opts.wire ? p->opts.wire->name : "",
                 coll_label_name(plan_label(p)));
    sentence("reduces", text, out);
}

static void print_shares(const struct plan *p, FILE *out) {
    char text[128];
    if (!p->opts.speed) return;
    snprintf(text, sizeof text, "by the speeds of the cards, cut %s",
             p->opts.cut_depth ? "where few sums have to meet" : "anywhere");
    sentence("shares", text, out);
}

/* ---- ranks ---- */

enum {
    COL_RANK,
    COL_NUMBER,
    COL_ROLE,
    COL_REPLICA,
    COL_STAGE,
    COL_TP,
    COL_LAYERS,
    COL_HEADS,
    COL_KV,
    COL_FFN,
    COL_VOCAB,
    COL_WEIGHTS,
    COL_CACHE,
    COL_WORK,
    COL_TOTAL
};

static void set_bytes(struct table *t, const struct shard_bytes *b, size_t engine) {
    char buf[32];
    table_set(t, COL_WEIGHTS, "%s", bytes(buf, (double)b->weights));
    table_set(t, COL_CACHE, "%s", bytes(buf, (double)b->kv));
    table_set(t, COL_WORK, "%s", bytes(buf, (double)(b->work + engine)));
    table_set(t, COL_TOTAL, "%s", bytes(buf, (double)(b->weights + b->kv + b->work + engine)));
}

typedef const char *range_text(char buf[32], int begin, int end);

static void set_shard(struct table *t, const struct plan *p, const struct plan_rank *r, range_text *text) {
    char buf[32];
    if (p->strategy.host) table_set(t, COL_ROLE, "%s", r->role == RANK_HOST ? "host" : "card");
    table_set(t, COL_LAYERS, "%s", text(buf, r->shard.layer0, r->shard.layer1));
    table_set(t, COL_HEADS, "%s", text(buf, r->shard.head0, r->shard.head1));
    table_set(t, COL_KV, "%s", text(buf, r->kv_head0, r->kv_head1));
    table_set(t, COL_FFN, "%s", text(buf, r->ffn0, r->ffn1));
    if (p->shape.causal) table_set(t, COL_VOCAB, "%s", text(buf, r->shard.vocab0, r->shard.vocab1));
    set_bytes(t, &r->bytes, r->engine_bytes);
}

static void each_rank(struct table *t, const struct plan *p) {
    for (int i = 0; i < p->n_ranks; i++) {
        const struct plan_rank *r = &p->ranks[i];
        table_row(t);
        table_set(t, COL_RANK, "%d", i);
        if (p->strategy.dp > 1) table_set(t, COL_REPLICA, "%d", r->replica);
        table_set(t, COL_STAGE, "%d", r->stage);
        table_set(t, COL_TP, "%d", r->tp_index);
        set_shard(t, p, r, range);
    }
}

static int same_size(int a0, int a1, int b0, int b1) {
    return (a1 > a0 ? a1 - a0 : 0) == (b1 > b0 ? b1 - b0 : 0);
}

/* Equal amounts: what a row of the grouped table shows. */
static int alike(const struct plan_rank *a, const struct plan_rank *b) {
    const struct shard_spec *x = &a->shard, *y = &b->shard;
    return a->role == b->role && same_size(x->layer0, x->layer1, y->layer0, y->layer1) &&
           same_size(x->head0, x->head1, y->head0, y->head1) &&
           same_size(a->kv_head0, a->kv_head1, b->kv_head0, b->kv_head1) &&
           same_size(a->ffn0, a->ffn1, b->ffn0, b->ffn1) && same_size(x->vocab0, x->vocab1, y->vocab0, y->vocab1) &&
           a->bytes.weights == b->bytes.weights && a->bytes.kv == b->bytes.kv && a->bytes.work == b->bytes.work &&
           a->engine_bytes == b->engine_bytes;
}

/* "0-7,16-23,..." of the ranks for which like[i] == i0. */
static int rank_list(const int *like, int n_ranks, int i0, char *buf, size_t cap) {
    int n = 0, runs = 0;
    size_t at = 0;
    for (int i = i0, end; i < n_ranks; i = end) {
        end = i + 1;
        if (like[i] != i0) continue;
        while (end < n_ranks && like[end] == i0)
            end++;
        n += end - i;
        char one[32];
        if (++runs <= 2)
            at += (size_t)snprintf(buf + at, cap - at, "%s%s", runs > 1 ? "," : "", range(one, i, end));
        else if (runs == 3)
            at += (size_t)snprintf(buf + at, cap - at, ",...");
    }
    return n;
}

/* like[i]: the first rank that equals i. */
static int *find_alike(const struct plan *p, int (*equal)(const struct plan_rank *, const struct plan_rank *)) {
    int *like = calloc((size_t)p->n_ranks, sizeof *like), *first = calloc((size_t)p->n_ranks, sizeof *first), n = 0;
    for (int i = 0; like && first && i < p->n_ranks; i++) {
        int k = 0;
        while (k < n && !equal(&p->ranks[first[k]], &p->ranks[i]))
            k++;
        if (k == n) first[n++] = i;
        like[i] = first[k];
    }
    if (!first) free(like), like = NULL;
    free(first);
    return like;
}

static void grouped_ranks(struct table *t, const struct plan *p) {
    int *like = find_alike(p, alike);
    for (int i = 0; like && i < p->n_ranks; i++) {
        if (like[i] != i) continue;
        char list[96];
        table_row(t);
        int n = rank_list(like, p->n_ranks, i, list, sizeof list);
        table_set(t, COL_RANK, "%s", list);
        table_set(t, COL_NUMBER, "%d", n);
        set_shard(t, p, &p->ranks[i], amount);
    }
    free(like);
}

static void totals_row(struct table *t, const struct plan *p) {
    struct shard_bytes sum = {0};
    size_t engine = 0;
    for (int i = 0; i < p->ranks_per_replica; i++) {
        const struct plan_rank *r = &p->ranks[i];
        sum.weights += r->bytes.weights;
        sum.kv += r->bytes.kv;
        sum.work += r->bytes.work;
        engine += r->engine_bytes;
    }
    table_row(t);
    table_set(t, COL_RANK, "-");
    table_row(t);
    table_set(t, COL_RANK, "%s", p->strategy.dp > 1 ? "a replica" : "all");
    set_bytes(t, &sum, engine);
}

static void print_ranks(const struct plan *p, FILE *out) {
    static const char *const header[] = {"rank",     "ranks",     "role",     "replica",     "stage",      "tp",
                                         "layers",   "heads",     "KV heads", "FFN columns", "vocabulary", "weights",
                                         "KV cache", "workspace", "total",    NULL};
    struct table t;
    int grouped = p->n_ranks > RANKS_SHOWN;
    table_init(&t, 1, header);
    if (grouped)
        grouped_ranks(&t, p);
    else
        each_rank(&t, p);
    if (p->ranks_per_replica > 1) totals_row(&t, p);
    fprintf(out, "\nWho holds what%s\n",
            grouped ? " (numbers of layers, heads, columns and rows; ranks with equal ones share a line)" : "");
    table_print(&t, "  ", out);
    if (p->opts.mem_bytes) {
        char buf[32];
        fprintf(out, "  Each rank may use %s.\n", bytes(buf, (double)p->opts.mem_bytes));
    }
}

/* A stage with more ranks than heads or FFN leaves leaves some without. */
static void print_idle(const struct plan *p, FILE *out) {
    int no_head = 0, no_ffn = 0, leaves = order_axis_runs(p->shape.d_ffn).n_leaves;
    for (int i = 0; i < p->ranks_per_replica; i++) {
        const struct plan_rank *r = &p->ranks[i];
        if (r->shard.layer0 == r->shard.layer1) continue;
        no_head += r->shard.head0 == r->shard.head1;
        no_ffn += r->shard.ffn_leaf0 == r->shard.ffn_leaf1;
    }
    if (no_head)
        fprintf(out, "  %d rank%s idle in attention: a layer has %d heads to give.\n", no_head,
                no_head == 1 ? " is" : "s are", p->shape.n_heads);
    if (no_ffn)
        fprintf(out,
                "  %d rank%s idle in the FFN: its columns are split in %d runs, the unit in which sums are ordered.\n",
                no_ffn, no_ffn == 1 ? " is" : "s are", leaves);
}

static void print_replication(const struct plan *p, FILE *out) {
    struct plan_replication r;
    plan_replication(p, &r);
    if (p->ranks_per_replica == 1 || r.held == r.model) return;
    char a[32], b[32];
    fprintf(out, "  One copy of the weights is %s; the ranks%s hold %s (%+.1f %%):\n", bytes(a, (double)r.model),
            p->strategy.dp > 1 ? " of a replica" : "", bytes(b, (double)r.held),
            100.0 * (double)(r.held - r.model) / (double)r.model);
    const struct {
        int64_t bytes;
        const char *what;
    } cause[] = {
        {r.embedding, p->shape.tied_head && p->n_stages > 1
                          ? "embedding table on each rank of stage 0, its rows again in the last stage as output layer"
                          : "embedding table on each rank of stage 0"},
        {r.kv_heads, p->strategy.kvp > 1 ? "query, key and value rows of heads that several ranks of a stage need"
                                         : "key and value rows of heads that several ranks of a stage need"},
        {r.other, "norms, biases, and blocks of the weight format that a split cuts"}};
    for (int i = 0; i < 3; i++)
        if (cause[i].bytes) fprintf(out, "    %12s  %s\n", bytes(a, (double)cause[i].bytes), cause[i].what);
}

/* ---- steps ---- */

enum {
    STEP_COL_NAME,
    STEP_COL_CLASS,
    STEP_COL_WEIGHTS,
    STEP_COL_TOK,
    STEP_COL_CTX,
    STEP_COL_F32,
    STEP_COL_I8,
    STEP_COL_I4,
    STEP_COL_OPS_CTX,
    STEP_COL_MSG,
    STEP_COL_SENT,
    STEP_COL_SENT_TOK
};

static void set_count(struct table *t, int col, double n) {
    char buf[32];
    if (n) table_set(t, col, "%s", count(buf, n));
}

static void set_size(struct table *t, int col, double n) {
    char buf[32];
    if (n) table_set(t, col, "%s", bytes(buf, n));
}

static void step_row(struct table *t, const struct plan_step *step) {
    const struct step_cost *c = &step->cost;
    double ops_ctx = 0;
    for (int k = 0; k < PREC_COUNT; k++)
        ops_ctx += (double)c->ops_per_ctx[k];
    table_row(t);
    table_set(t, STEP_COL_NAME, "  %s%s", step_name(step->kind), step_is_sampled(step->kind) ? " *" : "");
    table_set(t, STEP_COL_CLASS, "%s", step_class(step->kind));
    set_size(t, STEP_COL_WEIGHTS, (double)c->weight_bytes);
    set_size(t, STEP_COL_TOK, (double)(c->row_bytes_per_tok + c->kv_bytes_per_tok));
    set_size(t, STEP_COL_CTX, (double)c->kv_bytes_per_ctx);
    set_count(t, STEP_COL_F32, (double)c->ops_per_tok[PREC_F32]);
    set_count(t, STEP_COL_I8, (double)c->ops_per_tok[PREC_I8]);
    set_count(t, STEP_COL_I4, (double)c->ops_per_tok[PREC_I4]);
    set_count(t, STEP_COL_OPS_CTX, ops_ctx);
    set_count(t, STEP_COL_MSG, (double)c->messages);
    set_size(t, STEP_COL_SENT, (double)c->sent_bytes);
    set_size(t, STEP_COL_SENT_TOK, (double)c->sent_bytes_per_tok);
}

static void block_rows(struct table *t, const struct plan_block *b) {
    for (int i = 0; i < b->n; i++)
        step_row(t, &b->step[i]);
}

static void heading(struct table *t, const char *text) {
    table_row(t);
    table_set(t, STEP_COL_NAME, "%s", text);
}

/* Each distinct block of the layers once, with the number of layers that are so. */
static void layer_rows(struct table *t, const struct plan_rank *r) {
    int n = r->shard.layer1 - r->shard.layer0;
    for (int i = 0; i < n; i++) {
        int first = 0, times = 0;
        while (r->layers[first] != r->layers[i])
            first++;
        if (first < i) continue;
        for (int k = i; k < n; k++)
            times += r->layers[k] == r->layers[i];
        char text[32];
        snprintf(text, sizeof text, "%d layer%s:", times, plural(times));
        heading(t, text);
        block_rows(t, r->layers[i]);
    }
}

static int same_steps(const struct plan_rank *a, const struct plan_rank *b) {
    int n = a->shard.layer1 - a->shard.layer0;
    return a->prologue == b->prologue && a->epilogue == b->epilogue && n == b->shard.layer1 - b->shard.layer0 &&
           (!n || !memcmp(a->layers, b->layers, (size_t)n * sizeof *a->layers));
}

static void print_steps_of(const struct plan_rank *r, FILE *out) {
    static const char *const header[] = {"step",    "kind",       "weights", "per token",    "per position",
                                         "F32 ops", "I8 ops",     "I4 ops",  "ops/position", "messages",
                                         "sent",    "sent/token", NULL};
    struct table t;
    table_init(&t, 3, header);
    if (r->prologue->n) heading(&t, "once:");
    block_rows(&t, r->prologue);
    layer_rows(&t, r);
    if (r->epilogue->n) heading(&t, "once:");
    block_rows(&t, r->epilogue);
    table_print(&t, "    ", out);
}

static void print_steps(const struct plan *p, FILE *out) {
    int *like = find_alike(p, same_steps), shown = 0, more = 0;
    fprintf(out, "\nSteps of a pass, and what they cost a rank\n");
    sentence("",
             "Weights are read and headers sent once a pass; the rest counts per token (rows of the embedding, "
             "positions written to "
             "the cache, operations, bytes sent) and per position that a token sees (cache read, operations of "
             "attention). Steps "
             "with * count sampled tokens, and passes without one skip them.",
             out);
    for (int i = 0; like && i < p->n_ranks; i++) {
        char list[96];
        if (like[i] != i) continue;
        if (++shown > KINDS_SHOWN) {
            more++;
            continue;
        }
        int n = rank_list(like, p->n_ranks, i, list, sizeof list);
        fprintf(out, "  rank%s %s\n", plural(n), list);
        print_steps_of(&p->ranks[i], out);
    }
    if (more) fprintf(out, "  and %d more kinds of ranks (--json has all)\n", more);
    free(like);
}

/* ---- a token ---- */

/* One decode step of one sequence whose cache is full. */
static void print_token(const struct plan *p, FILE *out) {
    struct plan_totals all, one;
    struct plan_pass pass = {.tokens = 1, .sampled = p->shape.causal, .ctx_sum = p->opts.decoder.n_ctx};
    static const char *const precision[PREC_COUNT] = {"F32", "int8", "int4"};
    int most = 0;
    plan_token_totals(p, &all, &most);
    plan_totals(p, most, &pass, &one);
    char a[32], b[32], c[32];
    fprintf(out, "\nOne token of one sequence at position %d%s\n", p->opts.decoder.n_ctx,
            p->strategy.dp > 1 ? ", in one replica" : "");
    fprintf(out, "  reads     %s of weights, %s of KV cache; most on rank %d: %s\n", bytes(a, all.weight_bytes),
            bytes(b, all.kv_bytes), most, bytes(c, one.weight_bytes + one.kv_bytes));
    fprintf(out, "  computes  ");
    for (int k = 0, n = 0; k < PREC_COUNT; k++)
        if (all.ops[k] > 0) fprintf(out, "%s%s %s", n++ ? ", " : "", count(a, all.ops[k]), precision[k]);
    fprintf(out, " operations\n");
    fprintf(out, "  sends     %.0f message%s, %s", all.messages, plural((int64_t)all.messages),
            bytes(a, all.sent_bytes));
    if (all.sent_bytes > 0)
        fprintf(out, "; of these %s are extra words where a split cuts the tree of sums", bytes(b, all.extra_bytes));
    fputc('\n', out);
}

void plan_print(const struct plan *p, FILE *out, int steps) {
    print_title(p, out);
    print_shape(&p->shape, out);
    print_opts(p, out);
    print_reduces(p, out);
    print_shares(p, out);
    print_ranks(p, out);
    print_idle(p, out);
    print_replication(p, out);
    if (steps) print_steps(p, out);
    print_token(p, out);
    fprintf(out, "Plan hash %016" PRIx64 "\n", p->hash);
}
