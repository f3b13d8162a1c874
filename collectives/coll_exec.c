/* coll_exec.c - walks a program: moves data, waits, and says what it waits for. */
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "coll_priv.h"
#include "collectives/link_time.h"

/* ---- fitting the program to n ---- */

static int holds_codes(const struct coll *c, int area) {
    return area == AREA_CODES || (c->wire && (area == AREA_SHARED || area >= AREA_PEERS));
}

static size_t code_stride(const struct coll *c) {
    return (c->code_begin[c->prog.n_parts] + 63) / 64 * 64;
}

static struct ref ref_of(const struct coll *c, struct place at, int part) {
    if (at.area == AREA_NONE) return (struct ref){0, 0};
    if (holds_codes(c, at.area)) return (struct ref){at.area, (size_t)at.index * code_stride(c) + c->code_begin[part]};
    return (struct ref){at.area, ((size_t)at.index * c->n + c->part_begin[part]) * c->sizes.elem};
}

static size_t span_elems(const struct coll *c, const struct span *s) {
    return (size_t)s->more * c->n + c->part_begin[s->end] - c->part_begin[s->part];
}

static size_t piece_bytes(const struct coll *c, const struct span *s, int is_code) {
    return is_code ? c->code_begin[s->end] - c->code_begin[s->part] : span_elems(c, s) * c->sizes.elem;
}

/* The bytes of a message; its pieces' places are noted. */
static size_t fit_pieces(struct coll *c, const struct inst *in) {
    size_t bytes = 0;
    for (int i = in->first_piece; i < in->first_piece + in->n_pieces; i++) {
        const struct span *s = &c->prog.pieces[i];
        c->piece_off[i] = ref_of(c, s->at, s->part).off;
        c->piece_bytes[i] = piece_bytes(c, s, in->op == INST_AWAIT ? c->wire != NULL : in->is_code);
        bytes += c->piece_bytes[i];
    }
    return bytes;
}

static struct work *add_work(struct coll *c, int i, size_t count) {
    struct work *w = &c->work[c->n_work++];
    const struct inst *in = &c->prog.insts[i];
    *w = (struct work){.op = in->op, .inst = i, .peer = in->peer, .number = (uint64_t)in->number, .count = count};
    return w;
}

static void fit_message(struct coll *c, int i, size_t *stage) {
    const struct inst *in = &c->prog.insts[i];
    size_t bytes = fit_pieces(c, in);
    if (bytes == 0) return;
    if (in->op != INST_RECV && in->op != INST_AWAIT) c->sent_bytes += bytes;
    if (in->op == INST_NOTE) {
        c->shm_messages++;
        c->shm_bytes += bytes;
        return;
    }
    struct work *w = add_work(c, i, bytes);
    if (in->op == INST_AWAIT) return;
    w->a = (struct ref){c->prog.pieces[in->first_piece].at.area, c->piece_off[in->first_piece]};
    if (in->n_pieces < 2) return;
    w->a = (struct ref){AREA_STAGE, *stage};
    *stage += (bytes + 63) / 64 * 64;
}

static void fit_work(struct coll *c, int i) {
    const struct inst *in = &c->prog.insts[i];
    size_t count = span_elems(c, &in->dst);
    if (count == 0) return;
    struct work *w = add_work(c, i, count);
    w->dst = ref_of(c, in->dst.at, in->dst.part);
    w->a = ref_of(c, in->a, in->dst.part);
    w->b = ref_of(c, in->b, in->dst.part);
    if (in->op == INST_COPY_CODE) w->count = piece_bytes(c, &in->dst, 1);
    if (in->op == INST_COPY) w->count *= c->sizes.elem;
}

/* The last instruction may hand on the result row by row where it writes all of it. */
static int is_fused(const struct coll *c) {
    struct ref result = ref_of(c, c->prog.layout.value[c->prog.result_slot], 0);
    if (!c->finish.row || c->n_work == 0) return 0;
    const struct work *w = &c->work[c->n_work - 1];
    return w->op == INST_REDUCE && w->count == c->n && w->dst.area == result.area && w->dst.off == result.off;
}

void coll_fit(struct coll *c, size_t n) {
    const struct program *p = &c->prog;
    size_t stage = 0;
    if (c->have_n && c->n == n) return;
    c->n = n;
    c->have_n = 1;
    for (int k = 0; k <= p->n_parts; k++) {
        c->part_begin[k] = coll_part_begin(n, c->sizes.granule, p->n_parts, k);
        c->code_begin[k] = c->wire ? c->wire->bytes(c->part_begin[k]) : 0;
    }
    c->n_work = 0;
    c->shm_messages = c->shm_bytes = c->sent_bytes = 0;
    for (int i = 0; i < p->n_insts; i++) {
        switch (p->insts[i].op) {
        case INST_PUBLISH: add_work(c, i, 0); break;
        case INST_AWAIT:
        case INST_NOTE:
        case INST_SEND:
        case INST_RECV: fit_message(c, i, &stage); break;
        default: fit_work(c, i);
        }
    }
    c->fused = is_fused(c);
}

/* ---- waiting ---- */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void pause_cpu(void) {
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

enum {
    SPINS = 4000, /* polls before the first yield where each rank has a processor: some 50 us */
    SPINS_PROGRESS = 256, /* polls between two looks at the library's other messages */
    GENTLE_SHARED_NS = 1000 * 1000, /* then yields for so long, then sleeps */
    GENTLE_ALONE_NS = 20 * 1000 * 1000,
    SLEEP_NS = 1000 * 1000,
};

static void say_doing(struct coll *c, int round) {
    snprintf(c->doing, sizeof c->doing, "%s, call %" PRIu64 ", round %d", c->name, c->call, round);
    c->link->doing = c->doing;
}

static int reached(struct peer *p, uint64_t number) {
    if (p->seen >= number) return 1;
    p->seen = atomic_load_explicit(p->number, memory_order_acquire);
    return p->seen >= number;
}

static uint32_t *futex_word(const _Atomic uint64_t *number) {
    uint32_t *half = (uint32_t *)(uintptr_t)number;
    return half + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* Sleeps until the peer publishes, at most 1 ms. Whoever raises the word looks once more: see publish. */
static void sleep_on(struct peer *p, uint64_t number) {
    struct timespec most = {0, SLEEP_NS};
    uint32_t old = (uint32_t)p->seen;
    atomic_store_explicit(p->sleeper, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (reached(p, number)) return;
    old = (uint32_t)p->seen;
    syscall(SYS_futex, futex_word(p->number), FUTEX_WAIT, old, &most, NULL, 0);
}

/* Waits until peer has published `number` in all; round is for the text. */
static void wait_number(struct coll *c, struct peer *p, uint64_t number, int round) {
    uint64_t begin = now_ns(), gentle = c->yield ? GENTLE_SHARED_NS : GENTLE_ALONE_NS, waited = 0;
    for (int i = 0; i < (c->yield ? 0 : SPINS); i++) {
        if (reached(p, number)) goto done;
        if (i % SPINS_PROGRESS == SPINS_PROGRESS - 1) link_progress(c->link);
        pause_cpu();
    }
    for (;;) {
        if (waited < gentle)
            sched_yield();
        else
            sleep_on(p, number);
        if (reached(p, number)) break;
        link_progress(c->link);
        waited = now_ns() - begin;
        if (c->link->wait_limit_s > 0 && (double)waited > c->link->wait_limit_s * 1e9) {
            say_doing(c, round);
            char peer[40];
            link_abort(c->link, "waited %g s for rank %s, which has published %" PRIu64 " times instead of %" PRIu64,
                       c->link->wait_limit_s, link_rank_text(c->link, p->rank, peer), p->seen, number);
        }
    }
done:
    c->link->counts.wait_ns += now_ns() - begin;
}

void coll_await_readers(struct coll *c) {
    if (c->call < 2) return;
    for (int i = 0; i < c->prog.n_peers; i++) {
        struct peer *p = &c->prog.peers[i];
        uint64_t number = (c->call - 1) * (uint64_t)p->publications + 1;
        if (p->reads && !reached(p, number)) wait_number(c, p, number, 0);
    }
}

/* ---- steps ---- */

static void *at(const struct coll *c, struct ref r) {
    return c->area[c->call & 1][r.area] + r.off;
}

/* The fence stands between the number and the look for sleepers, as between a sleeper's word and its last look at the
 * number: one of the two sees the other. */
static void publish(struct coll *c, const struct work *w) {
    uint64_t number = c->call * (uint64_t)c->prog.layout.publications + w->number + 1;
    atomic_store_explicit(c->number, number, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(c->sleeper, memory_order_relaxed)) return;
    atomic_store_explicit(c->sleeper, 0, memory_order_relaxed);
    syscall(SYS_futex, futex_word(c->number), FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static int await(struct coll *c, const struct work *w, enum advance how) {
    struct peer *p = &c->prog.peers[w->peer];
    uint64_t number = c->call * (uint64_t)p->publications + w->number + 1;
    if (how == ADVANCE_START) return 0;
    if (reached(p, number)) return 1;
    if (how != ADVANCE_WAIT) return 0;
    wait_number(c, p, number, c->prog.insts[w->inst].round);
    return 1;
}

/* Between the pieces of a message and the staging buffer. */
static void move_pieces(struct coll *c, const struct work *w, int out) {
    const struct inst *in = &c->prog.insts[w->inst];
    char *stage = at(c, w->a);
    for (int i = in->first_piece; i < in->first_piece + in->n_pieces; i++) {
        char *piece = at(c, (struct ref){c->prog.pieces[i].at.area, c->piece_off[i]});
        memcpy(out ? stage : piece, out ? piece : stage, c->piece_bytes[i]);
        stage += c->piece_bytes[i];
    }
}

/* On a timed link. */
static void spend(const struct coll *c, const struct work *w) {
    const struct link_time *t = c->link->time;
    if (t) coll_spend(c, w, t->clock, t->net);
}

static void send(struct coll *c, const struct work *w) {
    spend(c, w);
    if (w->a.area == AREA_STAGE) move_pieces(c, w, 1);
    link_isend(c->link, w->peer, c->tag, at(c, w->a), w->count, &c->sends[c->in_flight++]);
}

/* Completes a request, or says that it is not; the text is written only when there is time. */
static int complete(struct coll *c, struct link_request *req, int round, enum advance how) {
    if (link_test(c->link, req)) return 1;
    if (how != ADVANCE_WAIT) return 0;
    say_doing(c, round);
    link_wait(c->link, req);
    c->link->doing = NULL;
    return 1;
}

static int receive(struct coll *c, const struct work *w, enum advance how) {
    struct link_request *req = &c->sends[c->prog.n_sends];
    if (!c->receiving) link_irecv(c->link, w->peer, c->tag, at(c, w->a), w->count, req);
    c->receiving = 1;
    if (how == ADVANCE_START || !complete(c, req, c->prog.insts[w->inst].round, how)) return 0;
    c->receiving = 0;
    spend(c, w);
    if (w->a.area == AREA_STAGE) move_pieces(c, w, 0);
    return 1;
}

static void *element(const struct coll *c, struct ref r, size_t i) {
    return (char *)at(c, r) + i * c->sizes.elem;
}

/* The last reduction, and what the caller does with each row while it is in cache. */
static void reduce_rows(struct coll *c, const struct work *w) {
    size_t row = c->finish.row_elems ? c->finish.row_elems : c->n;
    for (size_t first = 0; first < w->count; first += row) {
        size_t n = w->count - first < row ? w->count - first : row;
        c->op.reduce(&c->op, element(c, w->dst, first), element(c, w->a, first), element(c, w->b, first), n);
        c->finish.row(c->finish.ctx, element(c, w->dst, first), first, n);
    }
}

static void finish_rows(struct coll *c) {
    struct ref result = ref_of(c, c->prog.layout.value[c->prog.result_slot], 0);
    size_t row = c->finish.row_elems ? c->finish.row_elems : c->n;
    for (size_t first = 0; first < c->n; first += row)
        c->finish.row(c->finish.ctx, element(c, result, first), first, c->n - first < row ? c->n - first : row);
}

static void work_on(struct coll *c, const struct work *w) {
    switch (w->op) {
    case INST_REDUCE: c->op.reduce(&c->op, at(c, w->dst), at(c, w->a), at(c, w->b), w->count); break;
    case INST_COPY:
    case INST_COPY_CODE: memcpy(at(c, w->dst), at(c, w->a), w->count); break;
    case INST_FILL: c->op.identity(&c->op, at(c, w->dst), w->count); break;
    case INST_ENCODE: c->wire->encode(at(c, w->a), w->count, at(c, w->dst)); break;
    case INST_DECODE: c->wire->decode(at(c, w->a), w->count, at(c, w->dst)); break;
    case INST_ACCUMULATE: c->wire->accumulate(at(c, w->a), w->count, at(c, w->dst)); break;
    case INST_LIBRARY: {
        float *x = (float *)(void *)at(c, w->dst);
        c->link->ops->allreduce(c->link, x, x, w->count);
        break;
    }
    default: break;
    }
}

/* Sends last until the end of the call: what they read is not written before. */
static int complete_sends(struct coll *c, enum advance how) {
    for (; c->in_flight > 0; c->in_flight--)
        if (how == ADVANCE_START || !complete(c, &c->sends[c->in_flight - 1], c->prog.n_rounds - 1, how)) return 0;
    return 1;
}

int coll_advance(struct coll *c, enum advance how) {
    for (; c->pc < c->n_work; c->pc++) {
        const struct work *w = &c->work[c->pc];
        switch (w->op) {
        case INST_PUBLISH: publish(c, w); break;
        case INST_AWAIT:
            if (!await(c, w, how)) return 0;
            break;
        case INST_SEND: send(c, w); break;
        case INST_RECV:
            if (!receive(c, w, how)) return 0;
            break;
        default:
            if (c->fused && c->pc == c->n_work - 1) {
                if (how != ADVANCE_WAIT) return complete_sends(c, how);
                spend(c, w);
                reduce_rows(c, w);
            } else if (w->op == INST_LIBRARY && how == ADVANCE_START) {
                return 0;
            } else {
                spend(c, w);
                work_on(c, w);
            }
        }
    }
    if (!complete_sends(c, how)) return 0;
    if (how == ADVANCE_WAIT && c->finish.row && !c->fused && c->n > 0) finish_rows(c);
    return 1;
}
