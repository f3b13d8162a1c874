/* panel_mat.h - products with weights in panels, written once over the few vector operations that a kernel set brings.
 *
 * The vectors have rows as lanes: LANES of the 16 rows of a panel. 32 columns of them are 8 registers,
 *
 *      q[0]   r0 c0..c3 | r1 c0..c3 | r2 c0..c3 ...
 *      q[1]   r0 c4..c7 | r1 c4..c7 | ...
 *
 * Four activations are one broadcast word, the products of four columns of a row meet in that row's 32 bits, and the
 * fused chain over groups (order.h rule 4) runs on all lanes with no horizontal step. The registers serve all tokens of
 * a tile. Sums inside a group are exact integers, so their order is free.
 *
 * A set defines before it includes this:
 *   LANES                    rows of a vector
 *   vi, vf                   LANES 32-bit integers, floats
 *   vi_load vi_set vi_and vi_or vi_sub vi_add vi_sll vi_srl vi_sra    words; shifts by a number
 *   vf_load vf_store vf_set vf_add vf_mul vf_fma vf_int (from vi) vf_neg
 *   vf_halves(p)             LANES binary16 numbers at p; vf_low_half(vi), vf_high_half(vi): of each word
 *   vd                       sums in the making of products of bytes: unsigned weights times |x| <= 127
 *   dot_first(q, x4), dot_next(vd, q, x4), dot_sum(vd)    four columns more; as words at last
 *   dot_less(vd, x, sum, n)  minus the sum of 16 columns, x, times 2^n
 *   dot_scaled(vd, v, i), dot_scaled_signed    as words, each times byte i of a word of v
 *   vi_byte(v, i)            that byte, unsigned
 *   vi_sub8(a, b)            bytes
 *   vf_byte(v, i)            that byte, signed, as a float times 1 / BYTE_UNIT
 *   DOT_RUN(bits)            how often dot_next may follow, with the first (2, 4 or 8), with weights of so many bits
 *   vx, signed_x(x, at, k)   four activations of a group as dot_signed takes them
 *   dot_begin(x, at)         what a group's sum of products of signed bytes begins with
 *   dot_signed(vi, q, vx)    adds products of signed bytes */
#ifndef KERNELS_PANEL_MAT_H
#define KERNELS_PANEL_MAT_H

#include "kernels/half.h"
#include "kernels/panel_job.h"

enum {
    VECTORS = MAT_PANEL / LANES, /* of a panel */
    DECODE_PANELS = 4, /* that one token's pass reads side by side: PANEL_ROW_BLOCK holds them */
    PREFETCH_GROUPS = 8,
};

/* The numbers of a piece of LANES rows that are not columns: tensor_type.h's d, m, scale, min, the integers as floats.
 */
struct units {
    vf d, m, scale[2], min;
};

/* Where a vector of rows lies in a block of its panel. */
struct place {
    const uint8_t *halves, *words;
    int index; /* piece of the block */
};

/* How a format is read: its units (d is the row's step before), and columns [4k, 4k + 4) as bytes. */
typedef void units_load(struct units *u, const struct place *p);
typedef vi columns_load(const struct place *p, int k);

INLINE vi word_at(const struct place *p, int word) {
    return vi_load(p->words + 4 * MAT_PANEL * word);
}

INLINE vi low_nibbles(vi v) {
    return vi_and(v, vi_set(0x0f0f0f0f));
}

/* From four words of nibbles: low ones columns 0-15, high ones columns 16-31. */
INLINE vi nibbles(const struct place *p, int first_word, int k) {
    vi v = word_at(p, first_word + k % 4);
    return low_nibbles(k < 4 ? v : vi_srl(v, 4));
}

/* Bits of bytes from bit `from` on, moved to bit 4 on and alone. */
INLINE vi high_bits(vi v, int from, uint32_t mask) {
    return vi_and(from < 4 ? vi_sll(v, 4 - from) : vi_srl(v, from - 4), vi_set(mask * 0x10101010u));
}

INLINE void units_d(struct units *u, const struct place *p) {
    u->d = vf_halves(p->halves);
}

INLINE void units_dm(struct units *u, const struct place *p) {
    u->d = vf_low_half(word_at(p, 0));
    u->m = vf_high_half(word_at(p, 0));
}

INLINE void units_step(struct units *u, const struct place *p) {
    (void)u, (void)p;
}

/* Q4_K and Q5_K: the six-bit scales and minima (types/super.c) of pieces 0-3 (high = 0) or 4-7 as bytes of words. */
INLINE void scales_k(const struct place *p, int high, vi *scale, vi *min) {
    vi low = word_at(p, 3), top = vi_set(0x30303030), six = vi_set(0x3f3f3f3f);
    *scale = word_at(p, 1), *min = word_at(p, 2);
    if (high) {
        *scale = vi_or(vi_and(vi_srl(*scale, 2), top), low_nibbles(low));
        *min = vi_or(vi_and(vi_srl(*min, 2), top), low_nibbles(vi_srl(low, 4)));
    } else {
        *scale = vi_and(*scale, six);
        *min = vi_and(*min, six);
    }
}

INLINE void units_k(struct units *u, const struct place *p) {
    int shift = 8 * (p->index & 3);
    vi scale, min;
    scales_k(p, p->index >= 4, &scale, &min);
    u->d = vf_low_half(word_at(p, 0));
    u->m = vf_neg(vf_high_half(word_at(p, 0)));
    u->scale[0] = vf_int(vi_and(vi_srl(scale, shift), vi_set(255)));
    u->min = vf_int(vi_and(vi_srl(min, shift), vi_set(255)));
}

/* Signed byte `index` of words, as floats. */
INLINE vf signed_byte(vi words, int index) {
    return vf_int(vi_sra(vi_sll(words, 24 - 8 * index), 24));
}

/* The four scales of a pair of pieces. */
INLINE vi scales_q6_k(const struct place *p) {
    return word_at(p, 13 * (p->index / 2));
}

INLINE void units_q6_k(struct units *u, const struct place *p) {
    vi scales = scales_q6_k(p);
    u->d = vf_halves(p->halves);
    u->scale[0] = signed_byte(scales, 2 * (p->index & 1));
    u->scale[1] = signed_byte(scales, 2 * (p->index & 1) + 1);
}

/* What the pieces of a superblock share: units, and scales and minima as bytes of words. */
struct super {
    vf d, m;
    vi scale[2], min[2];
};

typedef void super_load(struct super *s, const struct place *p);

INLINE void super_k(struct super *s, const struct place *p) {
    s->d = vf_low_half(word_at(p, 0));
    s->m = vf_neg(vf_high_half(word_at(p, 0)));
    for (int high = 0; high < 2; high++)
        scales_k(p, high, &s->scale[high], &s->min[high]);
}

INLINE void super_q6_k(struct super *s, const struct place *p) {
    s->d = vf_halves(p->halves); /* scales lie with the pieces: memory is read in one direction */
}

INLINE vi columns_q4_0(const struct place *p, int k) {
    return nibbles(p, 0, k);
}

INLINE vi columns_q4_1(const struct place *p, int k) {
    return nibbles(p, 1, k);
}

INLINE vi columns_q5_0(const struct place *p, int k) {
    return vi_or(nibbles(p, 1, k), high_bits(word_at(p, 0), k, 1));
}

INLINE vi columns_q5_1(const struct place *p, int k) {
    return vi_or(nibbles(p, 2, k), high_bits(word_at(p, 1), k, 1));
}

INLINE vi columns_bytes(const struct place *p, int k) {
    return word_at(p, k);
}

/* The formats of superblocks, as panel.c orders them: a pair of pieces shares words. */
INLINE vi nibbles_k(const struct place *p, int word, int k) {
    return low_nibbles(vi_srl(word_at(p, word + k), 4 * (p->index & 1)));
}

INLINE vi columns_q4_k(const struct place *p, int k) {
    return nibbles_k(p, 4 + 8 * (p->index / 2), k);
}

INLINE vi columns_q5_k(const struct place *p, int k) {
    int word = 4 + 10 * (p->index / 2);
    return vi_or(nibbles_k(p, word + 2, k), high_bits(word_at(p, word + k / 4), 2 * (k % 4) + (p->index & 1), 1));
}

INLINE vi columns_q6_k(const struct place *p, int k) {
    int word = 1 + 13 * (p->index / 2);
    return vi_or(nibbles_k(p, word + 4, k), high_bits(word_at(p, word + k % 4), k / 4 * 4 + 2 * (p->index & 1), 3));
}

/* What a format's formula has beside d: constants of each instance of the kernel. */
struct form {
    units_load *units;
    columns_load *columns;
    int is_signed, bits; /* stored bytes: signed, or unsigned with so many bits */
    int offset; /* stored integers are q + 2^offset; 0: they are q */
    int scaled; /* an integer scale for the piece; 2: one for each half of 16 columns */
    int has_min;
    int is_static;
    int block, block_bytes, half_bytes;
    super_load *super; /* formats of superblocks */
};

/* Dot products of `vectors` vectors of rows with a token's columns: of all 32, or of one half. q holds the columns; if
 * it is NULL they are read in the order in which they are used, so that few registers are live. */
INLINE void dots(const struct place *p, const vi *q, int vectors, const struct act *x, size_t at, int half,
                 const struct form *f, vi out[]) {
    static const int both[8] = {0, 4, 1, 5, 2, 6, 3, 7}; /* nibbles of one word follow each other */
    int n = half < 0 ? 8 : 4, run = DOT_RUN(f->bits);
    vd part[VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        int k = half < 0 ? both[i] : 4 * half + i;
        vi x4 = vi_set(load_u32(x->q[at] + 4 * k));
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            vi columns = q ? q[k] : f->columns(&p[v], k);
            part[v] = i % run ? dot_next(part[v], columns, x4) : dot_first(columns, x4);
            if ((i + 1) % run == 0) out[v] = i < run ? dot_sum(part[v]) : vi_add(out[v], dot_sum(part[v]));
        }
    }
    vi sum = vi_sll(vi_set((uint32_t)(half < 0 ? x->total[at] : x->sum[at][half])), f->offset);
    for (int v = 0; f->offset && v < vectors; v++)
        out[v] = vi_sub(out[v], sum);
}

/* The same of signed bytes, all 32. */
INLINE void dots_signed(const struct place *p, int vectors, const struct act *x, size_t at, const struct form *f,
                        vi out[]) {
    for (int v = 0; v < vectors; v++)
        out[v] = dot_begin(x, at);
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
        vx x4 = signed_x(x, at, k);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            out[v] = dot_signed(out[v], f->columns(&p[v], k), x4);
    }
}

/* The formula of tensor_type.h. The integer part is at most 2^24 as a float, so each operation on it is exact. */
INLINE vf chain_step(const struct units *u, vi dot, vi high, const struct act *x, size_t at, vf acc,
                     const struct form *f) {
    vf xs = vf_set(x->scale[at]), value = vf_int(dot);
    if (f->scaled == 1) value = vf_mul(value, u->scale[0]);
    if (f->scaled == 2) value = vf_fma(value, u->scale[0], vf_mul(vf_int(high), u->scale[1]));
    acc = vf_fma(value, vf_mul(u->d, xs), acc);
    if (!f->has_min) return acc;
    vf total = vf_set((float)x->total[at]);
    if (f->scaled) total = vf_mul(total, u->min);
    return vf_fma(total, vf_mul(u->m, xs), acc);
}

/* Sums of vectors of rows for one token, moving along a leaf: floats, or integers with a static step. */
struct sums {
    vf acc;
    vi sum;
};

INLINE void group_step(const struct place *p, const struct units *u, const vi *q, int vectors, const struct act *x,
                       size_t at, const struct form *f, struct sums *const s[]) {
    vi dot[VECTORS], high[VECTORS];
    if (f->is_signed)
        dots_signed(p, vectors, x, at, f, dot);
    else
        dots(p, q, vectors, x, at, f->scaled == 2 ? 0 : -1, f, dot);
    if (f->scaled == 2) dots(p, q, vectors, x, at, 1, f, high);
    for (int v = 0; v < vectors; v++)
        if (f->is_static)
            s[v]->sum = vi_add(s[v]->sum, dot[v]);
        else
            s[v]->acc = chain_step(&u[v], dot[v], f->scaled == 2 ? high[v] : dot[v], x, at, s[v]->acc, f);
}

/* Scaled integers of piece p->index, a constant, of `vectors` vectors of rows: dots with each half's scale. Where the
 * formula takes an offset off, doing so before the scale leaves sums of 16 columns that are as small as those of four
 * bits. */
INLINE void dots_scaled(const struct place *p, const struct super *s, int vectors, const struct act *x, size_t at,
                        const struct form *f, vi out[]) {
    int run = f->offset ? 4 : DOT_RUN(f->bits), i = p->index;
    const int8_t *q = x->q[at];
    vd part[VECTORS];
    __asm__("" : "+r"(q)); /* nothing of one piece's code is common with another's: it would leave no register */
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
        vi x4 = vi_set(load_u32(q + 4 * k));
        int half = k / 4, done = (k + 1) % run == 0;
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            vi columns = f->columns(&p[v], k), scaled;
            part[v] = k % run ? dot_next(part[v], columns, x4) : dot_first(columns, x4);
            if (done && f->offset) part[v] = dot_less(part[v], q + 16 * half, x->sum[at][half], f->offset);
            if (done && f->scaled == 2) scaled = dot_scaled_signed(part[v], scales_q6_k(&p[v]), i % 2 * 2 + half);
            if (done && f->scaled == 1) scaled = dot_scaled(part[v], s[v].scale[i / 4], i % 4);
            if (done) out[v] = k < run ? scaled : vi_add(out[v], scaled);
        }
    }
}

/* The formula of tensor_type.h for one piece of superblocks: the integers are exact, as are they as floats. */
INLINE void piece_step(const struct place *p, const struct super *s, int vectors, const struct act *x, size_t at,
                       const struct form *f, struct sums sums[]) {
    vi dot[VECTORS];
    vf xs = vf_set(x->scale[at]), total = vf_int(vi_set((uint32_t)x->total[at]));
    dots_scaled(p, s, vectors, x, at, f, dot);
    for (int v = 0; v < vectors; v++) {
        vf acc = vf_fma(vf_int(dot[v]), vf_mul(s[v].d, xs), sums[v].acc);
        vf min = f->has_min ? vf_int(vi_byte(s[v].min[p->index / 4], p->index % 4)) : xs;
        sums[v].acc = f->has_min ? vf_fma(vf_mul(total, min), vf_mul(s[v].m, xs), acc) : acc;
    }
}

/* Vectors of consecutive rows on their way through a leaf. */
struct rows {
    const uint8_t *at[DECODE_PANELS * VECTORS]; /* first block of the vector's panel */
    int lane[DECODE_PANELS * VECTORS]; /* its first row there */
    vf step[DECODE_PANELS * VECTORS]; /* per-channel types */
};

INLINE void rows_begin(const struct panel_job *job, int vectors, struct rows *r) {
    const struct mat *w = job->w;
    for (int v = 0; v < vectors; v++) {
        int row = job->row + v * LANES;
        float step[LANES] = {0};
        r->at[v] = w->data + (size_t)(row / MAT_PANEL) * w->stride;
        r->lane[v] = row % MAT_PANEL;
        for (int i = 0; i < LANES; i++)
            step[i] = !w->row_step ? 1 : row + i < w->rows ? w->row_step[row + i] : 0;
        r->step[v] = vf_load(step);
    }
}

INLINE struct place place_at(const struct rows *r, int v, unsigned col, const struct form *f) {
    unsigned in_panel = (unsigned)f->block_bytes * MAT_PANEL;
    const uint8_t *block = r->at[v] + (size_t)(col / (unsigned)f->block) * in_panel;
    return (struct place){block + 2 * r->lane[v], block + f->half_bytes + 4 * r->lane[v],
                          (int)(col % (unsigned)f->block / ORDER_GROUP)};
}

INLINE struct units units_at(const struct rows *r, int v, const struct place *p, const struct form *f) {
    struct units u = {.d = r->step[v]};
    f->units(&u, p);
    return u;
}

INLINE void clear_sums(struct sums *s, const struct form *f) {
    if (f->is_static)
        s->sum = vi_set(0);
    else
        s->acc = vf_set(0);
}

/* Of a leaf. */
INLINE vf leaf_sum(const struct rows *r, int v, const struct sums *s, const struct act *x, const struct form *f) {
    return f->is_static ? vf_mul(vf_int(s->sum), vf_mul(r->step[v], vf_set(x->act_step))) : s->acc;
}

INLINE unsigned group_col(const struct panel_job *job, int g) {
    return (unsigned)(job->x->groups[g].begin - job->w->first_col);
}

/* Near the end of four panels the next four are asked for, as the hardware notices a new stream too late. Beyond the
 * matrix this does nothing or a little good. */
INLINE void prefetch_next(const struct panel_job *job, const uint8_t *panel, int g, const struct form *f) {
    size_t bytes = (size_t)(f->block_bytes * MAT_PANEL * ORDER_GROUP / f->block);
    int ahead = g + PREFETCH_GROUPS - job->x->n_groups;
    if (ahead < 0) return;
    const uint8_t *next = panel + DECODE_PANELS * job->w->stride + (size_t)ahead * bytes;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(next + i);
}

/* Some panels on their way through a leaf with one token. */
struct walk {
    struct rows rows;
    struct sums sums[DECODE_PANELS * VECTORS];
    struct super super[DECODE_PANELS * VECTORS];
    unsigned block; /* that super is of */
};

/* One group of blocks of 32. */
INLINE void group_one(const struct panel_job *job, struct walk *k, int panels, int vectors, int g,
                      const struct form *f) {
#pragma GCC unroll 1
    for (int panel = 0; panel < panels; panel++) {
        struct place p[VECTORS];
        struct units u[VECTORS];
        struct sums *to[VECTORS];
        for (int v = 0; v < vectors; v++) {
            int i = panel * vectors + v;
            p[v] = place_at(&k->rows, i, group_col(job, g), f);
            u[v] = units_at(&k->rows, i, &p[v], f);
            to[v] = &k->sums[i];
        }
        group_step(p, u, NULL, vectors, job->x, (size_t)job->tile0 * (size_t)job->x->n_groups + (size_t)g, f, to);
        if (panels > 1) prefetch_next(job, k->rows.at[panel * vectors], g, f);
    }
}

/* Piece `index`, a constant, of superblocks. */
INLINE void piece_one(const struct panel_job *job, struct walk *k, int panels, int vectors, int g, int index,
                      const struct form *f) {
#pragma GCC unroll 1
    for (int panel = 0; panel < panels; panel++) {
        int first = panel * vectors;
        struct place p[VECTORS];
        for (int v = 0; v < vectors; v++) {
            p[v] = place_at(&k->rows, first + v, group_col(job, g), f);
            p[v].index = index;
        }
        piece_step(p, &k->super[first], vectors, job->x, (size_t)job->tile0 * (size_t)job->x->n_groups + (size_t)g, f,
                   &k->sums[first]);
        if (panels > 1) prefetch_next(job, k->rows.at[first], g, f);
    }
}

INLINE void super_begin(struct walk *k, int vectors, unsigned col, const struct form *f) {
    for (int v = 0; v < vectors; v++) {
        struct place p = place_at(&k->rows, v, col, f);
        f->super(&k->super[v], &p);
    }
    k->block = col / (unsigned)f->block;
}

/* One group of superblocks: each piece has code of its own, in which all shifts are constants. */
INLINE void super_one(const struct panel_job *job, struct walk *k, int panels, int vectors, int g,
                      const struct form *f) {
    unsigned col = group_col(job, g);
    if (col / (unsigned)f->block != k->block) super_begin(k, panels * vectors, col, f);
    int index = (int)(col % (unsigned)f->block / ORDER_GROUP);
#if defined NW_PLAIN_C || defined __SANITIZE_ADDRESS__ /* no constants where that takes minutes to compile */
    piece_one(job, k, panels, vectors, g, index, f);
#else
    switch (index) {
    case 0: piece_one(job, k, panels, vectors, g, 0, f); break;
    case 1: piece_one(job, k, panels, vectors, g, 1, f); break;
    case 2: piece_one(job, k, panels, vectors, g, 2, f); break;
    case 3: piece_one(job, k, panels, vectors, g, 3, f); break;
    case 4: piece_one(job, k, panels, vectors, g, 4, f); break;
    case 5: piece_one(job, k, panels, vectors, g, 5, f); break;
    case 6: piece_one(job, k, panels, vectors, g, 6, f); break;
    default: piece_one(job, k, panels, vectors, g, 7, f);
    }
#endif
}

/* Ends a leaf: stack_push, where leaves may be so short that what is added should stay in registers. */
INLINE void push_sums(struct walk *k, int vectors, int joins, const struct act *x, const struct form *f,
                      struct sum_stack *stack) {
    vf sum[DECODE_PANELS * VECTORS];
    for (int v = 0; v < vectors; v++) {
        sum[v] = leaf_sum(&k->rows, v, &k->sums[v], x, f);
        clear_sums(&k->sums[v], f);
    }
    for (; joins > 0; joins--) {
        stack->top--;
        for (int v = 0; v < vectors; v++)
            sum[v] = vf_add(vf_load(stack_slot(stack) + v * LANES), sum[v]);
    }
    for (int v = 0; v < vectors; v++)
        vf_store(stack_slot(stack) + v * LANES, sum[v]);
    stack->top++;
}

/* All leaves for the one token of the tile: a loop over groups that does not stop at leaves, as they may be short. The
 * panels are read side by side: memory gives more to several streams than to one. */
INLINE void leaves_one(const struct panel_job *job, int panels, int vectors, const struct form *f,
                       struct sum_stack *stack) {
    const struct act *x = job->x;
    struct walk k;
    rows_begin(job, panels * vectors, &k.rows);
    if (f->super) super_begin(&k, panels * vectors, group_col(job, 0), f);
    for (int v = 0; v < panels * vectors; v++)
        clear_sums(&k.sums[v], f);
    for (int g = 0; g < x->n_groups; g++) {
        if (f->super)
            super_one(job, &k, panels, vectors, g, f);
        else
            group_one(job, &k, panels, vectors, g, f);
        int leaf = x->groups[g].leaf;
        if (g + 1 < x->n_groups && x->groups[g + 1].leaf == leaf) continue;
        push_sums(&k, panels * vectors, job->joins[leaf - job->w->leaf0], x, f, stack);
    }
}

/* A panel is multiplied in pieces of LANES rows: during the first the next panel is asked for, so that memory works
 * while several tokens are computed. */
INLINE void prefetch_ahead(const struct panel_job *job, const uint8_t *panel, int g, const struct form *f) {
    size_t bytes = (size_t)(f->block_bytes * MAT_PANEL * ORDER_GROUP / f->block);
    const uint8_t *next = panel + job->w->stride + (size_t)g * bytes;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(next + i);
}

/* Groups [g, end) of one leaf for nt tokens: sums [nt][vectors * LANES]. Several vectors share what is read of the
 * tokens; one has its columns in registers. */
INLINE void leaf_tile(const struct panel_job *job, const struct rows *r, int vectors, int g, int end,
                      const struct form *f, float *out) {
    struct sums s[ACT_TILE][VECTORS];
    int nt = job->nt, first = r->lane[0] == 0;
    for (int i = 0; i < nt * vectors; i++)
        clear_sums(&s[i / vectors][i % vectors], f);
    for (; g < end; g++) {
        struct place p[VECTORS];
        struct units u[VECTORS];
        vi q[8];
        size_t at = (size_t)job->tile0 * (size_t)job->x->n_groups + (size_t)g * (size_t)nt;
        for (int v = 0; v < vectors; v++) {
            p[v] = place_at(r, v, group_col(job, g), f);
            u[v] = units_at(r, v, &p[v], f);
        }
        for (int k = 0; k < 8 && !f->is_signed; k++)
            q[k] = f->columns(&p[0], k);
        if (first) prefetch_ahead(job, r->at[0], g, f);
        for (int t = 0; t < nt; t++) {
            struct sums *to[VECTORS];
            for (int v = 0; v < vectors; v++)
                to[v] = &s[t][v];
            group_step(p, u, q, vectors, job->x, at + (size_t)t, f, to);
        }
    }
    for (int i = 0; i < nt * vectors; i++)
        vf_store(out + i * LANES, leaf_sum(r, i % vectors, &s[i / vectors][i % vectors], job->x, f));
}

/* Canonical values of the 32 columns (tensor_type.h). */
INLINE void piece_floats(const struct place *p, const struct units *u, const struct form *f, vf out[ORDER_GROUP]) {
    for (int c = 0; c < ORDER_GROUP; c++) {
        vi v = f->columns(p, c / 4);
        int shift = 8 * (c % 4);
        vf q = vf_int(f->is_signed ? vi_sra(vi_sll(v, 24 - shift), 24) : vi_and(vi_srl(v, shift), vi_set(255)));
        if (f->offset) q = vf_add(q, vf_set(-(float)(1 << f->offset)));
        vf unit = f->scaled ? vf_mul(u->d, u->scale[f->scaled == 2 ? c / 16 : 0]) : u->d;
        out[c] = vf_mul(unit, q);
        if (f->has_min) out[c] = vf_add(out[c], f->scaled ? vf_mul(u->m, u->min) : u->m);
    }
}

/* Columns of a leaf that become floats together. */
enum { CHUNK = 8 * ORDER_GROUP };

/* The 16 lanes of rule 4 are 16 vectors here, and their one reduction has no horizontal step either. */
INLINE void lanes_step(const vf *w, const float *x, int n, int first_lane, int nt, size_t ldx,
                       vf acc[ORDER_LANES][ACT_TILE]) {
    for (int i = 0; i < ORDER_LANES && i < n; i++)
        for (int t = 0; t < nt; t++) {
            vf a = acc[(first_lane + i) % ORDER_LANES][t];
            for (int c = i; c < n; c += ORDER_LANES)
                a = vf_fma(w[c], vf_set(x[(size_t)t * ldx + (size_t)c]), a);
            acc[(first_lane + i) % ORDER_LANES][t] = a;
        }
}

INLINE vf lanes_reduce(vf acc[ORDER_LANES][ACT_TILE], int t) {
    vf sum[ORDER_LANES];
    for (int j = 0; j < ORDER_LANES; j++)
        sum[j] = acc[j][t];
    for (int half = ORDER_LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++)
            sum[j] = vf_add(sum[j], sum[j + half]);
    return sum[0];
}

/* The float rule for one leaf and one vector of rows: sums [nt][LANES]. */
INLINE void leaf_float(const struct panel_job *job, const struct rows *r, int leaf, const struct form *f, float *out) {
    const struct mat *w = job->w;
    vf acc[ORDER_LANES][ACT_TILE], buf[CHUNK + 2 * ORDER_GROUP];
    int first = order_leaf_begin(&w->axis, w->leaf0);
    int begin = order_leaf_begin(&w->axis, leaf), end = order_leaf_begin(&w->axis, leaf + 1);
    for (int j = 0; j < ORDER_LANES; j++)
        for (int t = 0; t < job->nt; t++)
            acc[j][t] = vf_set(0);
    for (int c = begin, next; c < end; c = next) {
        int start = c / ORDER_GROUP * ORDER_GROUP;
        next = end - start <= CHUNK ? end : start + CHUNK;
        for (int col = start; col < next; col += ORDER_GROUP) {
            struct place p = place_at(r, 0, (unsigned)(col - w->first_col), f);
            struct units u = units_at(r, 0, &p, f);
            piece_floats(&p, &u, f, buf + (col - start));
        }
        lanes_step(buf + (c - start), job->x->x + (size_t)job->tile0 * job->x->ldx + (c - first), next - c,
                   (c - begin) % ORDER_LANES, job->nt, job->x->ldx, acc);
    }
    for (int t = 0; t < job->nt; t++)
        vf_store(out + t * LANES, lanes_reduce(acc, t));
}

/* Units of a piece in the float rule: of its two halves of 16 columns, and what is added to each value. */
struct value_units {
    vf unit[2], low;
};

INLINE struct value_units value_units(const struct rows *r, int v, const struct place *p, const struct form *f) {
    struct units u = units_at(r, v, p, f);
    struct value_units out = {.low = vf_set(0)};
    for (int h = 0; h < 2; h++) {
        out.unit[h] = f->scaled ? vf_mul(u.d, u.scale[f->scaled == 2 ? h : 0]) : u.d;
        /* exact: a binary16 number, or that times an integer, stays normal. A row's step might not. */
        if (!f->has_min && f->units != units_step) out.unit[h] = vf_mul(out.unit[h], vf_set(BYTE_UNIT));
    }
    if (f->has_min) out.low = f->scaled ? vf_mul(u.m, u.min) : u.m;
    return out;
}

/* Value of byte b of four columns, as piece_floats has it. */
INLINE vf column_value(vi columns, int b, vf unit, vf low, const struct form *f) {
    if (f->has_min) return vf_add(vf_mul(unit, vf_int(vi_byte(columns, b))), low);
    return vf_mul(unit, f->units == units_step ? signed_byte(columns, b) : vf_byte(columns, b));
}

/* Lanes of one token's sums that move on together, for all rows of a panel: with them, the constants stay in registers.
 */
enum { LANES_ONCE = VECTORS == 1 ? ORDER_LANES : 4 };

/* A piece of the rows of a panel. */
struct float_piece {
    struct place p[VECTORS];
    struct value_units u[VECTORS];
};

/* Each pass over a chunk asks for its part of the next: a pass over memory alone would be all the hardware notices. */
INLINE void prefetch_chunk(const uint8_t *piece, int first, const struct form *f) {
    size_t bytes = (size_t)(f->block_bytes * MAT_PANEL * ORDER_GROUP / f->block);
    const uint8_t *next = piece + CHUNK / ORDER_GROUP * bytes;
    for (size_t i = bytes * (size_t)first / ORDER_LANES; i < bytes * (size_t)(first + LANES_ONCE) / ORDER_LANES;
         i += 64)
        __builtin_prefetch(next + i);
}

/* Lanes [first, first + LANES_ONCE) over n whole pieces. */
INLINE void lanes_one(const struct float_piece *piece, int n, const float *x, int first, const struct form *f,
                      vf acc[ORDER_LANES][VECTORS]) {
    vf a[LANES_ONCE][VECTORS];
    memcpy(a, acc + first, sizeof a);
    for (int i = 0; i < n; i++, x += ORDER_GROUP) {
        size_t offset =
            f->super ? (size_t)(piece[i].p[0].index * f->block_bytes * MAT_PANEL * ORDER_GROUP / f->block) : 0;
        prefetch_chunk(piece[i].p[0].words + offset, first, f);
#pragma GCC unroll 8
        for (int w = 0; w < 2 * LANES_ONCE / 4; w++) {
            int half = w / (LANES_ONCE / 4), lane = w % (LANES_ONCE / 4) * 4, k = 4 * half + (first + lane) / 4;
            vi columns[VECTORS];
            for (int v = 0; v < VECTORS; v++) {
                columns[v] = f->columns(&piece[i].p[v], k);
                if (f->offset) columns[v] = vi_sub8(columns[v], vi_set(0x01010101u << f->offset));
            }
#pragma GCC unroll 4
            for (int b = 0; b < 4; b++) {
                vf xs = vf_set(x[4 * k + b]);
                for (int v = 0; v < VECTORS; v++) {
                    vf value = column_value(columns[v], b, piece[i].u[v].unit[half], piece[i].u[v].low, f);
                    a[lane + b][v] = vf_fma(value, xs, a[lane + b][v]);
                }
            }
        }
    }
    memcpy(acc + first, a, sizeof a);
}

/* The one reduction; out [VECTORS * LANES]. */
INLINE void lanes_sum_one(vf acc[ORDER_LANES][VECTORS], float *out) {
    for (int half = ORDER_LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++)
            for (int v = 0; v < VECTORS; v++)
                acc[j][v] = vf_add(acc[j][v], acc[j + half][v]);
    for (int v = 0; v < VECTORS; v++)
        vf_store(out + v * LANES, acc[0][v]);
}

/* The float rule for a leaf of whole pieces, the rows of one panel and one token. */
INLINE void leaf_float_one(const struct panel_job *job, const struct rows *r, int leaf, const struct form *f,
                           float *out) {
    enum { PIECES = CHUNK / ORDER_GROUP };
    const struct mat *w = job->w;
    int begin = order_leaf_begin(&w->axis, leaf), end = order_leaf_begin(&w->axis, leaf + 1);
    const float *x = job->x->x + (size_t)job->tile0 * job->x->ldx + (begin - order_leaf_begin(&w->axis, w->leaf0));
    vf acc[ORDER_LANES][VECTORS];
    for (int j = 0; j < ORDER_LANES; j++)
        for (int v = 0; v < VECTORS; v++)
            acc[j][v] = vf_set(0);
    for (int c = begin; c < end; c += CHUNK, x += CHUNK) {
        struct float_piece piece[PIECES];
        int n = 0;
        for (; n < PIECES && c + ORDER_GROUP * n < end; n++)
            for (int v = 0; v < VECTORS; v++) {
                piece[n].p[v] = place_at(r, v, (unsigned)(c + ORDER_GROUP * n - w->first_col), f);
                piece[n].u[v] = value_units(r, v, &piece[n].p[v], f);
            }
#pragma GCC unroll 4
        for (int first = 0; first < ORDER_LANES; first += LANES_ONCE)
            lanes_one(piece, n, x, first, f, acc);
    }
    lanes_sum_one(acc, out);
}

INLINE void store_rows(const struct panel_job *job, const struct sum_stack *stack, int width, int nt) {
    int rows = job->rows < width ? job->rows : width;
    for (int node = 0; node < stack->top; node++)
        for (int t = 0; t < nt; t++)
            memcpy(job->y + (size_t)node * job->ldnode + (size_t)(job->tile0 + t) * job->ldy + (size_t)job->row,
                   stack->v + (size_t)node * (size_t)stack->width + width * t, (size_t)rows * sizeof(float));
}

enum rule { RULE_ONE, RULE_TILE, RULE_FLOAT, RULE_FLOAT_ONE };

/* panels, vectors of each and the rule are constants where this is inlined. */
INLINE int tile_run(const struct panel_job *job, int panels, int vectors, enum rule rule, const struct form *f) {
    const struct mat *w = job->w;
    const struct act *x = job->x;
    float sums[PAIRTREE_MAX_NODES * ACT_TILE *
               MAT_PANEL]; /* a tile's rows are of one panel, one token's fewer than that */
    int nt = rule == RULE_ONE || rule == RULE_FLOAT_ONE ? 1 : job->nt, width = panels * vectors * LANES;
    struct sum_stack stack = {0, width * nt, sums};
    struct rows r;
    if (rule == RULE_ONE)
        leaves_one(job, panels, vectors, f, &stack);
    else
        rows_begin(job, vectors, &r);
    for (int leaf = w->leaf0, g = 0, end; rule != RULE_ONE && leaf < w->leaf1; leaf++, g = end) {
        for (end = g; rule == RULE_TILE && end < x->n_groups && x->groups[end].leaf == leaf;)
            end++;
        if (rule == RULE_TILE)
            leaf_tile(job, &r, vectors, g, end, f, stack_slot(&stack));
        else if (rule == RULE_FLOAT_ONE)
            leaf_float_one(job, &r, leaf, f, stack_slot(&stack));
        else
            leaf_float(job, &r, leaf, f, stack_slot(&stack));
        stack_push(&stack, job->joins[leaf - w->leaf0]);
    }
    store_rows(job, &stack, width, nt);
    return width;
}

INLINE int tile_int(const struct panel_job *job, const struct form *f) {
    if (job->nt > 1) return tile_run(job, 1, f->is_signed ? VECTORS : 1, RULE_TILE, f);
    if (job->rows > (DECODE_PANELS * VECTORS - 1) * LANES) return tile_run(job, DECODE_PANELS, VECTORS, RULE_ONE, f);
    return tile_run(job, 1, 1, RULE_ONE, f);
}

/* All leaves of the shard are whole pieces. */
INLINE int whole_pieces(const struct mat *w) {
    for (int leaf = w->leaf0; leaf <= w->leaf1; leaf++)
        if (order_leaf_begin(&w->axis, leaf) % ORDER_GROUP) return 0;
    return 1;
}

INLINE int tile_float(const struct panel_job *job, const struct form *f) {
    if (job->nt > 1 || job->row % MAT_PANEL || !whole_pieces(job->w)) return tile_run(job, 1, 1, RULE_FLOAT, f);
    return tile_run(job, 1, VECTORS, RULE_FLOAT_ONE, f);
}

/* name, tensor type, static, {units, columns, signed, bits, offset, scaled, min, static, block, bytes, of halves,
 * super} */
#define FORMS(X)                                                                                                       \
    X(q4_0, q4_0, 0, {units_d, columns_q4_0, 0, 4, 3, 0, 0, 0, 32, 18, 32, NULL})                                      \
    X(q4_1, q4_1, 0, {units_dm, columns_q4_1, 0, 4, 0, 0, 1, 0, 32, 20, 0, NULL})                                      \
    X(q5_0, q5_0, 0, {units_d, columns_q5_0, 0, 5, 4, 0, 0, 0, 32, 22, 32, NULL})                                      \
    X(q5_1, q5_1, 0, {units_dm, columns_q5_1, 0, 5, 0, 0, 1, 0, 32, 24, 0, NULL})                                      \
    X(q8_0, q8_0, 0, {units_d, columns_bytes, 1, 8, 0, 0, 0, 0, 32, 34, 32, NULL})                                     \
    X(q4_k, q4_k, 0, {units_k, columns_q4_k, 0, 4, 0, 1, 1, 0, 256, 144, 0, super_k})                                  \
    X(q5_k, q5_k, 0, {units_k, columns_q5_k, 0, 5, 0, 1, 1, 0, 256, 176, 0, super_k})                                  \
    X(q6_k, q6_k, 0, {units_q6_k, columns_q6_k, 0, 6, 5, 2, 0, 0, 256, 210, 32, super_q6_k})                           \
    X(i4, i4, 0, {units_step, columns_q4_0, 0, 4, 3, 0, 0, 0, 32, 16, 0, NULL})                                        \
    X(i8, i8, 0, {units_step, columns_bytes, 1, 8, 0, 0, 0, 0, 32, 32, 0, NULL})                                       \
    X(i4_static, i4, 1, {units_step, columns_q4_0, 0, 4, 3, 0, 0, 1, 32, 16, 0, NULL})                                 \
    X(i8_static, i8, 1, {units_step, columns_bytes, 1, 8, 0, 0, 0, 1, 32, 32, 0, NULL})

#define X(name, type, fixed, ...)                                                                                      \
    extern const struct tensor_type tensor_type_##type;                                                                \
    static int int_##name(const struct panel_job *job) {                                                               \
        static const struct form f = __VA_ARGS__;                                                                      \
        return tile_int(job, &f);                                                                                      \
    }                                                                                                                  \
    static int float_##name(const struct panel_job *job) {                                                             \
        static const struct form f = __VA_ARGS__;                                                                      \
        return tile_float(job, &f);                                                                                    \
    }
FORMS(X)
#undef X

INLINE panel_kernel *find_kernel(const struct tensor_type *type, int floats, int is_static) {
#define X(name, row, fixed, ...) {&tensor_type_##row, fixed, int_##name, float_##name},
    static const struct {
        const struct tensor_type *type;
        int is_static;
        panel_kernel *int_kernel, *float_kernel;
    } table[] = {FORMS(X)};
#undef X
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].type == type && (floats || table[i].is_static == is_static))
            return floats ? table[i].float_kernel : table[i].int_kernel;
    return NULL;
}

#endif
