/* order.h - the canonical order of sums: the definition of what the engine computes, to the bit.
 *
 * Logits are the same bits for every strategy, rank count, micro-batch, prefill chunk, thread count and instruction
 * set, because the order of each sum is part of the definition. This file is that definition; later work may make it
 * faster but may not change it.
 *
 * 1. Arithmetic. IEEE-754 binary32, round to nearest even, no flush to zero. The compiler contracts nothing
 *    (-ffp-contract=off); where a fused multiply-add is meant it is written, fmaf(a, b, c). exp, tanh, erf, sin, cos
 *    and log are our own (mathf.h), fixed sequences of +, *, fma, /, sqrt: no libm result enters a logit.
 *
 * 2. Leaves. A matrix product sums over its columns (the K axis). The axis is cut into leaves:
 *      whole   one leaf                      q, k, v, gate, up, output layer: their rows are what is split
 *      heads   one leaf for each query head  attention output
 *      runs    nb = ceil(K/32) blocks of 32 columns, n = min(16, nb) leaves, leaf i = blocks [i*nb/n, (i+1)*nb/n)
 *              (integer division)            FFN down
 *    Splits over ranks follow leaves; a rank that owns no leaf contributes nothing.
 *
 * 3. Groups. The axis is further cut at each multiple of 32 columns (counted from column 0 of the whole matrix): the
 *    pieces are groups. A group lies in one leaf, in one head and in one 32-column piece of the weight format.
 *
 * 4. Inside a leaf, for one row and one token.
 *    Integer activations (a8, a4) and quantized weights: groups in order, acc = fmaf(...) from acc = +0, with
 *    the formula of the weight type (tensor_type.h); the dot product inside a group is an exact integer.
 *    Static activation step and per-channel weights: one integer sum over the leaf, then float(sum) * (wstep*xstep).
 *    Float activations (a16), or float weights: 16 virtual lanes. Column c of the leaf (counted from the leaf's
 *    first column) goes to lane c mod 16, in order: lane = fmaf(w, x, lane) from +0, w the dequantized weight. Then one
 *    reduction: t[j] = lane[j] + lane[j+8] for j<8, then halves of 4, 2, 1 (order_lanes_sum).
 *
 * 5. Leaves are added along the pairwise tree of base/pairtree.h. A rank computes the sums of its maximal subtrees;
 *    the all-reduce adds the rest along the same tree. Biases, residuals and multipliers apply to the root.
 *
 * 6. Activation quantization, per token and group: amax = max |x|; a8: scale = amax / 127, inv = amax > 0 ? 127 / amax
 *    : 0, q = rint(x * inv); a4: the same with 7. (An amax so small that inv is not finite counts as 0.) A static step
 *    s (from the file, which may ask for 8 bits in mode a4): q = clamp(rint(x / s), -128..127 | -8..7), as learned-step
 *    training rounds. A group with an infinity or NaN has scale NaN and q = 0, so that the failure shows in the result;
 *    with a static step NaN counts as 0.
 *
 * 7. RMS and layer norm: sums over the whole vector with the 16 lanes of rule 4 (sum of x, or of d*d with d = x or
 *    x - mean, as lane = fmaf(d, d, lane)); mean = sum / n; y = (d * (1 / sqrtf(var + eps))) * weight (+ bias).
 *
 * 8. Attention, for one query and one head: the cache is walked in blocks of 32 positions, block b = positions
 *    [32b, 32b+32), those the query may see. With m = -inf, l = 0, o = 0 at first, per block:
 *      s_j = dot(q, k_j) * scale          dot: f16 cache: 16 lanes over head_dim; int8/int4 cache: groups of 32 of the
 *                                         head, q quantized a8 (a4 in mode a4), chained by fmaf
 *      m' = max(m, max_j s_j); c = exp(m - m') (0 in the first block); p_j = exp(s_j - m')
 *      l = fmaf(l, c, lanes sum of p_j);  o_d = o_d * c, then in order of j: o_d = fmaf(p_j, v_jd, o_d)
 *                                         int8/int4 cache: o_d = fmaf(p_j * vscale_j, float(vq_jd), o_d)
 *                                         mode a4 with int cache: w_j = p_j * vscale_j; wmax = max_j w_j;
 *                                         u_j = rint(w_j * (15 / wmax)), 0 if that factor is not finite;
 *                                         o_d = fmaf(float(sum_j u_j*vq_jd), wmax / 15, o_d)
 *                                         (vscale: of the 32 head dimensions that d lies in)
 *                                         mode a4 with int4 cache and static steps of heads (from the file): q, k and v
 *                                         are rounded with theirs (rule 6), vscale is v's; with w that of weights,
 *                                         u_j = rint(min(p_j / w, 15)), l = fmaf(l, c, float(sum_j u_j)),
 *                                         o_d = fmaf(float(sum_j u_j*vq_jd), vscale, o_d)
 *    and at the end o_d / l. Positions beyond the query's are not in any sum. A bidirectional encoder sees all
 *    positions.
 *
 * 9. Elementwise: silu(x) = x / (1 + exp(-x)), in mode a4 rounded to 8 bits by rule 6, with a static step if the file
 *    has one; gated: silu(gate) * up; gelu forms in mathf.h; residual: h + y, or h + y * multiplier where the model has
 *    one; rope: (a*cos - b*sin, a*sin + b*cos) as fmaf(a, cos, -(b*sin)), fmaf(a, sin, b*cos), cos and sin from our own
 *    double-precision functions rounded to float.
 *
 * 10. Ties of equal logits go to the lowest token id. */
#ifndef MODELS_ORDER_H
#define MODELS_ORDER_H

#include "base/pairtree.h"

enum {
    ORDER_GROUP = 32,    /* columns of a full group */
    ORDER_LANES = 16,    /* virtual lanes of a float sum */
    ORDER_RUNS = 16,     /* leaves of an axis cut in runs, where it has that many blocks */
    ORDER_KV_BLOCK = 32, /* cache positions of one attention block */
};

enum order_cut { ORDER_WHOLE, ORDER_HEADS, ORDER_RUNS_CUT };

/* A K axis and its leaves. */
struct order_axis {
    enum order_cut cut;
    int cols;     /* columns of the whole matrix */
    int n_leaves; /* >= 1 if cols > 0 */
};

struct order_axis order_axis_whole(int cols);
struct order_axis order_axis_heads(int n_heads, int head_dim);
struct order_axis order_axis_runs(int cols);

/* First column of a leaf; leaf == n_leaves gives cols. Local. */
int order_leaf_begin(const struct order_axis *axis, int leaf);

/* A group: columns [begin, end) of the whole matrix, inside leaf `leaf`; end - begin <= 32, begin/32 == (end-1)/32. */
struct order_group {
    int begin, end, leaf;
};

/* Number of groups of leaves [leaf0, leaf1), and the groups themselves in order. Local. */
int order_group_count(const struct order_axis *axis, int leaf0, int leaf1);
void order_groups(const struct order_axis *axis, int leaf0, int leaf1, struct order_group *groups);

/* The one reduction of 16 lanes: halves of 8, 4, 2, 1. Local. */
float order_lanes_sum(const float lane[ORDER_LANES]);

#endif
