/* split.c - who gets which layers, heads, FFN leaves and vocabulary rows.
 *
 * Layers. A pipeline runs at the pace of its slowest stage, and a stage's time is near the weight bytes that each of
 * its ranks reads per token (with a cluster, balance.c has times). So stage s with layers [a, b) costs (bytes of layers
 * a..b-1, and of the output layer in the last stage) / size(s) (the sum of its ranks' speeds, where these are given),
 * and the split minimises the largest cost (linear partition by dynamic programming: Skiena, "The Algorithm Design
 * Manual", section 10.7), then, among those, the sum of squares, which keeps the other stages even too; what still ties
 * gives earlier stages more layers. O(stages x layers^2): microseconds for real models. speeds.c deals heads and leaves
 * to ranks of unequal speeds by the same.
 *
 *     5 layers of 10 MiB, output layer 12 MiB, 3 stages of 1:   2 2 1+output   costs 20 20 22                        */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

int split_begin(int n, int size, int i) {
    return (int)((int64_t)n * i / size);
}

int split_leaves(int n, int size, int i) {
    if ((size & (size - 1)) == 0) return split_begin(n, size, i);
    return (int)(((int64_t)n * i + size - 1) / size);
}

int split_kv_heads(int head0, int head1, int share) {
    return head1 > head0 ? (head1 - 1) / share - head0 / share + 1 : 0;
}

/* Most that any rank has: KV heads, and rows of the four attention matrices in units of head_dim (q and o of its heads,
 * k and v of the KV heads that these read). */
struct heaviest {
    int kv, rows;
};

static struct heaviest heaviest(const int *begin, int size, int share) {
    struct heaviest most = {0, 0};
    for (int i = 0; i < size; i++) {
        int heads = begin[i + 1] - begin[i], kv = split_kv_heads(begin[i], begin[i + 1], share);
        if (kv > most.kv) most.kv = kv;
        if (2 * heads + 2 * kv > most.rows) most.rows = 2 * heads + 2 * kv;
    }
    return most;
}

/* Whole KV groups; where there are more ranks than groups, each group's heads go to ranks of their own. */
static void split_groups(int groups, int share, int size, int *begin) {
    for (int i = 0; i <= size; i++)
        begin[i] = split_begin(groups, size, i) * share;
    for (int g = 0; g < groups && size > groups; g++) {
        int first = split_begin(size, groups, g), end = split_begin(size, groups, g + 1);
        for (int i = first; i < end; i++)
            begin[i] = g * share + split_begin(share, end - first, i - first);
    }
}

/* Whole KV groups hold no KV head twice and cut fewer subtrees; single heads are more even in weights, but a rank may
 * read more of the cache. Single heads are dealt where the heaviest rank has fewer weights by it and no more cache: 32
 * heads, 8 KV heads, 5 ranks: 4 8 4 8 8      32 heads, 4 KV heads, 3 ranks: 10 11 11, not 8 8 16
 * Past the number of KV heads they are copied: 14 heads, 2 KV heads, 5 ranks: 3 4, 2 2 3                            */
static void split_whole(const struct model_shape *s, int size, int *begin) {
    int groups = s->n_kv_heads, share = s->n_heads / s->n_kv_heads;
    split_groups(groups, share, size, begin);
    struct heaviest grouped = heaviest(begin, size, share);
    for (int i = 0; i <= size; i++)
        begin[i] = split_begin(s->n_heads, size, i);
    struct heaviest single = heaviest(begin, size, share);
    if (single.rows < grouped.rows && single.kv <= grouped.kv) return;
    split_groups(groups, share, size, begin);
}

int split_heads(const struct model_shape *s, int size, int kvp, int *begin) {
    split_whole(s, size / kvp, begin);
    for (int g = 0; g < size / kvp && kvp > 1; g++)
        if (begin[g + 1] == begin[g] || (begin[g + 1] - begin[g]) % kvp) return -1;
    for (int i = size - 1; i > 0 && kvp > 1; i--) /* from the back: begin of shard i / kvp lies in front */
        begin[i] = begin[i / kvp] + (begin[i / kvp + 1] - begin[i / kvp]) / kvp * (i % kvp);
    begin[size] = s->n_heads;
    return 0;
}

int split_layer_kinds(const struct model_shape *s, int *kind) {
    int n = 0;
    for (int l = 0; l < s->n_layers; l++) {
        int like = 0;
        while (memcmp(s->layer_type[like] + ROLE_Q, s->layer_type[l] + ROLE_Q, ROLE_DOWN - ROLE_Q + 1))
            like++;
        kind[l] = like < l ? kind[like] : n++;
    }
    return n;
}

static int64_t role_bytes(const struct model_shape *s, enum role role, int layer) {
    int rows, cols;
    shape_role_size(s, role, &rows, &cols);
    return rows ? (int64_t)shape_part_bytes(s, role, layer, 0, rows, 0, cols) : 0;
}

int64_t layer_bytes(const struct model_shape *s, int layer) {
    int64_t n = 0;
    for (int r = ROLE_Q; r <= ROLE_DOWN; r++)
        n += role_bytes(s, (enum role)r, layer);
    return n;
}

int64_t head_bytes(const struct model_shape *s) {
    return role_bytes(s, ROLE_HEAD, 0);
}

__extension__ typedef unsigned __int128 wide; /* squares of bytes, summed */

/* best[parts][things]: least objective of the first `parts` parts holding the first `things` things; last: how many of
 * them the last of these parts holds. */
struct partition {
    const struct split_job *job;
    wide *best;
    int *last;
    int least; /* things that the parts before the one at hand hold at the least */
};

static const wide unreachable = ~(wide)0;

/* One cell: the last of `part + 1` parts takes n things, fewest first, so that ties leave more to the earlier ones.
 * cap < 0: minimise the largest cost; else the sum of what ties, of costs that are at most cap. */
static void fill_cell(struct partition *t, int part, int things, int64_t cap) {
    const struct split_job *j = t->job;
    int width = j->n + 1, fixed = j->given ? j->given[part] : -1;
    int min = fixed >= 0 ? fixed : j->least, max = fixed >= 0 ? fixed : things - t->least;
    wide *cell = &t->best[(size_t)(part + 1) * (size_t)width + (size_t)things];
    *cell = unreachable;
    for (int n = min; n <= max && n <= things; n++) {
        wide before = t->best[(size_t)part * (size_t)width + (size_t)(things - n)];
        int64_t cost = before == unreachable ? SPLIT_NEVER : j->cost(j->user, part, things - n, things);
        if (cost == SPLIT_NEVER || (cap >= 0 && cost > cap)) continue;
        wide here = (wide)cost, tie = cap < 0  ? 0
                                      : j->tie ? (wide)j->tie(j->user, part, things - n, things)
                                               : here * here;
        wide value = cap >= 0 ? before + tie : before > here ? before : here;
        if (value >= *cell) continue;
        *cell = value;
        t->last[(size_t)(part + 1) * (size_t)width + (size_t)things] = n;
    }
}

static int least_of(const struct split_job *j, int part) {
    return j->given && j->given[part] >= 0 ? j->given[part] : j->least;
}

/* Later parts hold things too: cells with more than these leave lie on no way to the end, and stay unreachable. */
static wide fill(struct partition *t, int64_t cap) {
    const struct split_job *j = t->job;
    size_t cells = ((size_t)j->n + 1) * ((size_t)j->parts + 1);
    int later = 0;
    for (size_t i = 0; i < cells; i++)
        t->best[i] = i ? unreachable : 0;
    for (int part = 0; part < j->parts; part++)
        later += least_of(j, part);
    t->least = 0;
    for (int part = 0; part < j->parts; part++) {
        later -= least_of(j, part);
        for (int i = t->least; i <= j->n - later; i++)
            fill_cell(t, part, i, cap);
        t->least += least_of(j, part);
    }
    return t->best[cells - 1];
}

static int check_counts(const struct model_shape *s, const struct strategy *st, struct diag *d) {
    int fixed = 0, n_free = 0;
    for (int i = 0; i < st->n_stages; i++) {
        fixed += st->stage_layers[i] > 0 ? st->stage_layers[i] : 0;
        n_free += st->stage_layers[i] < 0;
    }
    if (n_free && fixed + n_free <= s->n_layers) return 0;
    if (!n_free && fixed == s->n_layers) return 0;
    if (!n_free)
        return diag_set(d, ERR_PLAN, "strategy %s gives its stages %d layers in all, but %s has %d", st->text, fixed,
                        s->name, s->n_layers);
    if (fixed)
        return diag_set(d, ERR_PLAN,
                        "strategy %s: %d layers are given and %d more stage%s at least one, but %s has %d layers",
                        st->text, fixed, n_free, n_free == 1 ? " needs" : "s need", s->name, s->n_layers);
    return diag_set(d, ERR_PLAN,
                    "strategy %s: %d stages need a layer each, but %s has %d: use at most pp%d, more ranks a stage "
                    "(tpN), or a last "
                    "stage without layers (as in stages:1*%d,1/0)",
                    st->text, n_free, s->name, s->n_layers, s->n_layers, s->n_layers);
}

static void trace(const struct partition *t, int *begin) {
    int things = t->job->n, width = things + 1;
    for (int part = t->job->parts; part > 0; part--) {
        begin[part] = things;
        things -= t->last[(size_t)part * (size_t)width + (size_t)things];
    }
    begin[0] = 0;
}

int split_linear(const struct split_job *j, int64_t *largest, int *begin) {
    size_t cells = ((size_t)j->n + 1) * ((size_t)j->parts + 1);
    struct partition t = {j, calloc(cells, sizeof *t.best), calloc(cells, sizeof *t.last), 0};
    wide least = t.best && t.last ? fill(&t, -1) : 0;
    int rc = !t.best || !t.last ? ERR_MEMORY : least == unreachable ? ERR_PLAN : 0;
    *largest = (int64_t)least;
    if (!rc) {
        fill(&t, *largest);
        trace(&t, begin);
    }
    free(t.best);
    free(t.last);
    return rc;
}

int split_by(const struct model_shape *s, const struct strategy *st, split_cost *cost, void *user, int *begin,
             struct diag *d) {
    struct split_job job = {s->n_layers, st->n_stages, st->stage_layers, 1, cost, NULL, user};
    int64_t largest;
    int rc = split_linear(&job, &largest, begin);
    if (rc == ERR_MEMORY)
        return diag_set(d, rc, "no memory to split %d layers over %d stages", s->n_layers, st->n_stages);
    return rc ? diag_set(d, rc, "strategy %s: no split of the layers of %s fits", st->text, s->name) : 0;
}

struct bytes {
    const struct strategy *st;
    const int64_t *rate; /* [n_stages] in millionths of a card's */
    int64_t *before, head; /* [n_layers+1] of the layers before; of the output layer */
};

static int64_t bytes_of(void *user, int stage, int a, int b) {
    const struct bytes *k = user;
    int64_t bytes = k->before[b] - k->before[a] + (stage == k->st->n_stages - 1 ? k->head : 0);
    return (int64_t)((wide)bytes * SPEED_ONE / (wide)k->rate[stage]);
}

int split_layers(const struct model_shape *s, const struct strategy *st, const int64_t *rate, int *begin,
                 struct diag *d) {
    int rc = check_counts(s, st, d);
    if (rc) return rc;
    struct bytes k = {st, rate, calloc((size_t)s->n_layers + 1, sizeof *k.before), head_bytes(s)};
    if (!k.before) return diag_set(d, ERR_MEMORY, "no memory to split %d layers", s->n_layers);
    for (int l = 0; l < s->n_layers; l++)
        k.before[l + 1] = k.before[l] + layer_bytes(s, l);
    rc = split_by(s, st, bytes_of, &k, begin, d);
    free(k.before);
    return rc;
}
