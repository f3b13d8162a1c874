/* coll_priv.h - a schedule as the executor wants it: a program with resolved peers, publications and places. */
#ifndef COLL_PRIV_H
#define COLL_PRIV_H

#include <stdatomic.h>

#include "collectives/coll.h"

/* ---- where values lie ---- */

/* Slots and their codes lie in areas, one behind the other; each area of two buffers uses them in turn. Peers' shared
 * areas are numbered from AREA_PEERS. */
enum area {
    AREA_NONE = -1,
    AREA_SHARED, /* own segment, two buffers: what shared-memory peers read (values, or codes with a wire form) */
    AREA_TWICE, /* private, two buffers: the result, and the inputs where the result is one of them */
    AREA_ONCE, /* private */
    AREA_CODES, /* private codes */
    AREA_STAGE, /* messages of several pieces */
    AREA_PEERS,
};

/* Slot number `index` of an area. */
struct place {
    int area, index;
};

/* What a rank's memory looks like: known to every rank that reads it. */
struct layout {
    struct place *value, *code; /* [n_slots] */
    int count[AREA_STAGE]; /* slots of each area */
    int publications; /* G_r, 0: nothing is shared */
};

/* Ranks a and b exchange through shared memory: domain is that of the transport, NULL where all send messages. */
static inline int coll_shares(const int *domain, int a, int b) {
    return domain && domain[a] == domain[b];
}

/* 0 or ERR_MEMORY. Freed by layout_fini. */
int layout_init(struct layout *l, const struct sched *s, const int *domain);
void layout_fini(struct layout *l);

/* ---- the program ---- */

enum inst_op {
    INST_PUBLISH,
    INST_AWAIT, /* until peer's number has reached `number` in this call */
    INST_NOTE, /* a message through shared memory goes out with the next PUBLISH: counted, nothing to do */
    INST_SEND, /* over the link */
    INST_RECV,
    INST_REDUCE, /* dst = a (op) b */
    INST_COPY, /* dst = a */
    INST_COPY_CODE, /* the same for codes */
    INST_FILL, /* dst = identity */
    INST_ENCODE, /* dst (code) = a */
    INST_DECODE, /* dst = a (code) */
    INST_ACCUMULATE, /* dst += a (code) */
    INST_LIBRARY, /* the MPI library's all-reduce of dst, in place */
};

/* Parts [part, end) of one slot; or, where a message covers neighbouring slots, to part `end` of the slot `more` slots
 * further on. */
struct span {
    struct place at;
    int part, more, end;
};

struct inst {
    enum inst_op op;
    int round, peer; /* peer: AWAIT its number in peers, else a rank */
    int number; /* AWAIT: publication; SEND: which request */
    int is_code; /* SEND, RECV, NOTE: elements travel as codes */
    struct place a, b;
    struct span dst; /* without SEND, RECV, NOTE and AWAIT, which have pieces */
    int first_piece, n_pieces;
};

struct peer {
    int rank, publications, reads; /* reads: it reads what this rank publishes */
    int count; /* slots of its shared area */
    uint64_t seen; /* of its number */
    const _Atomic uint64_t *number;
    _Atomic uint32_t *sleeper;
};

struct program {
    struct layout layout;
    int n_in, n_slots, n_parts, result_slot, n_rounds;
    int n_insts, n_pieces, n_sends, n_peers;
    int cap_insts, cap_pieces;
    struct inst *insts;
    struct span *pieces;
    struct peer *peers;
};

/* Compiles rank's schedule: its steps, with borrowed operands found in the peers' schedules. peer_sched gives the
 * schedule of a rank (build and free are the caller's). wire: NULL where values travel. 0, ERR_MEMORY or
 * ERR_INTERNAL. Freed by program_fini, also after a failure. */
struct peer_source {
    int (*get)(void *ctx, int rank, struct sched *out, struct diag *d);
    void *ctx;
};
int program_init(struct program *p, const struct sched *s, const int *domain, const struct peer_source *peers,
                 struct diag *d);
/* The program of an algorithm of the library: own inputs into one, then its call. */
int program_library(struct program *p, int n_in, struct diag *d);
void program_fini(struct program *p);

/* ---- memory ---- */

struct sizes {
    size_t elem, n_max, granule;
    const struct coll_wire *wire;
};
/* The most bytes of a span: a part is at most one granule longer than the mean, but not longer with every greater n. */
size_t span_bytes(const struct program *p, const struct sizes *z, const struct span *s, int is_code);
/* Bytes of one buffer of an area with so many slots. */
size_t area_bytes(const struct sizes *z, int is_code, int count);
/* The most bytes that the staged messages of a program take. */
size_t stage_bytes(const struct program *p, const struct sizes *z);

/* A segment: the number on a line, the word of sleepers on another (and not on the next, which is fetched along). */
enum { SEGMENT_SLEEPER = 128, SEGMENT_DATA = 256 };
size_t segment_bytes(const struct sizes *z, int count);

/* ---- defaults of a spec, and what a choice costs by its formula ---- */

size_t coll_typical(const struct coll_spec *spec);
size_t coll_granule(const struct coll_spec *spec);
int coll_estimate(const struct coll_spec *spec, const struct coll_choice *choice, uint64_t *ps, struct diag *d);

/* ---- running ---- */

struct net_clock;
struct net;

/* Bytes [off, ...) of an area. */
struct ref {
    int area;
    size_t off;
};

/* An instruction for the present n; those of no elements are left out. */
struct work {
    enum inst_op op;
    int inst;
    int peer;
    uint64_t number;
    struct ref dst, a, b;
    size_t count; /* elements; SEND, RECV: bytes */
};

struct coll {
    struct link *link;
    struct coll_op op;
    const struct coll_wire *wire;
    struct coll_finish finish;
    struct sizes sizes;
    char name[48];
    int tag, yield;
    struct program prog;
    struct coll_info info;

    /* memory */
    struct link_shared *segment;
    void *memory; /* all private areas */
    char **area[2]; /* for each parity: where each area begins */
    _Atomic uint64_t *number; /* own */
    _Atomic uint32_t *sleeper;
    struct link_request *sends; /* [n_sends] and one more for the receive under way */

    /* for the present n */
    size_t n;
    int have_n; /* work fits n */
    size_t *part_begin, *code_begin; /* [n_parts + 1] elements, bytes of code */
    size_t *piece_off, *piece_bytes; /* [n_pieces] */
    struct work *work;
    int n_work, fused; /* fused: the last one writes the whole result, row by row */
    uint64_t shm_messages, shm_bytes; /* a call publishes so many */
    uint64_t sent_bytes;

    /* the call under way */
    uint64_t call;
    int pc, in_flight, receiving, filling;
    char doing[96];
};

/* What a rank's own work on an instruction takes: reducing, copying, coding, staging of messages (price.h). */
void coll_spend(const struct coll *c, const struct work *w, struct net_clock *clock, const struct net *net);
/* Fits the work to n. */
void coll_fit(struct coll *c, size_t n);
/* Walks on. START stops at the first wait without looking, TEST at the first that is not over. Nonzero: at the end. */
enum advance { ADVANCE_START, ADVANCE_TEST, ADVANCE_WAIT };
int coll_advance(struct coll *c, enum advance how);
/* Waits until all readers have left the buffer of the next call. */
void coll_await_readers(struct coll *c);

#endif
