/* sync.c - in how many all-reduces the two row-parallel sums of a layer meet.
 *
 * A layer under tensor parallelism needs the sum of the attention output and that of FFN down. Where the model computes
 * both from the layer's input (a parallel block), both are ready at once and travel side by side in one all-reduce.
 * Elsewhere the one after attention may be dropped (sync-point drop, Kim et al. 2025, arXiv 2502.20727): a rank's FFN
 * sees its own part of the attention's sum alone, and the one after the FFN carries both. That is another model than
 * the one asked for: results are approximate. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

enum plan_sync sync_of(const struct plan *p, const struct plan_group *g, int layer) {
    if (g->size == 1) return SYNC_TWO;
    return g->joined ? SYNC_JOINED : p->drop_sync[layer] ? SYNC_DROPPED : SYNC_TWO;
}

enum plan_sync plan_sync(const struct plan *p, int rank, int layer) {
    return sync_of(p, plan_group_of(p, p->ranks[rank].stage), layer);
}

int sync_drops(const struct plan *p, const struct plan_stage *stage) {
    int n = 0;
    for (int l = stage->layer0; l < stage->layer1 && stage->size > 1; l++)
        n += p->drop_sync[l];
    return n;
}

int sync_own_sums(const struct plan *p, const struct plan_rank *r) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    int n = pairtree_cover(p->shape.n_heads, r->shard.head0, r->shard.head1, nodes);
    return n ? n : 1;
}

/* The whole subtree of rank i, as a depth below the root and an index there; 0 unless it brings just one. */
static int subtree(int n_leaves, const int *begin, int i, struct pairtree_node *out) {
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    if (pairtree_cover(n_leaves, begin[i], begin[i + 1], nodes) != 1) return 0;
    *out = (struct pairtree_node){pairtree_root_level(n_leaves) - nodes[0].level, nodes[0].index};
    return 1;
}

/* One schedule sums both halves of a joined vector, so ranks must have the same places in both trees: at 2, 4, 8, ...
 * ranks with a head and an FFN leaf each they have. */
int sync_joins(const struct plan *p, const struct plan_stage *stage) {
    int heads = p->shape.n_heads, leaves = order_axis_runs(p->shape.d_ffn).n_leaves;
    for (int i = 0; i < stage->size; i++) {
        struct pairtree_node a, f;
        if (!subtree(heads, stage->head_begin, i, &a) || !subtree(leaves, stage->ffn_begin, i, &f)) return 0;
        if (a.level != f.level || a.index != f.index) return 0;
    }
    return p->shape.parallel_block && stage->size > 1;
}

/* ---- --drop-sync ---- */

static int bad_list(const struct plan *p, const char *at, struct diag *d) {
    return diag_set(d, ERR_USAGE,
                    "--drop-sync '%.60s', at '%.20s': expected none, all, or layers such as 0,3-7: %s has 0 to %d",
                    p->opts.drop_sync, at, p->shape.name, p->shape.n_layers - 1);
}

static int read_layer(const struct plan *p, const char **at, long *out) {
    char *end;
    *out = **at >= '0' && **at <= '9' ? strtol(*at, &end, 10) : -1;
    if (*out < 0 || *out >= p->shape.n_layers) return 0;
    *at = end;
    return 1;
}

static int read_layers(struct plan *p, struct diag *d) {
    const char *at = p->opts.drop_sync, *item;
    if (!strcmp(at, "all")) {
        memset(p->drop_sync, 1, (size_t)p->shape.n_layers);
        return 0;
    }
    do {
        long first, last;
        item = at;
        if (!read_layer(p, &at, &first)) return bad_list(p, item, d);
        last = first;
        if (*at == '-' && (at++, !read_layer(p, &at, &last) || last < first)) return bad_list(p, item, d);
        memset(p->drop_sync + first, 1, (size_t)(last - first + 1));
    } while (*at++ == ',');
    return at[-1] ? bad_list(p, item, d) : 0;
}

int sync_read(struct plan *p, struct diag *d) {
    if (p->opts.drop_sync && !strcmp(p->opts.drop_sync, "none")) p->opts.drop_sync = NULL;
    if (!p->opts.drop_sync) return 0;
    if (p->shape.parallel_block)
        return diag_set(d, ERR_UNSUPPORTED,
                        "--drop-sync: %s computes attention and FFN side by side, so a layer has one sync and none to "
                        "drop: leave it out",
                        p->shape.name);
    if (p->shape.post_norm)
        return diag_set(d, ERR_UNSUPPORTED,
                        "--drop-sync: %s norms the attention's whole sum, which no rank would have: leave it out",
                        p->shape.name);
    return read_layers(p, d);
}

int sync_check(const struct plan *p, const struct plan_stage *stage, struct diag *d) {
    for (int i = 0; i < stage->size && sync_drops(p, stage); i++)
        if (stage->head_begin[i] < stage->head_begin[i + 1] && stage->ffn_begin[i] == stage->ffn_begin[i + 1])
            return diag_set(d, ERR_PLAN,
                            "--drop-sync: rank %d of a stage of %d has heads, but no FFN columns whose sum could carry "
                            "theirs: use fewer ranks in a group",
                            i, stage->size);
    return 0;
}
