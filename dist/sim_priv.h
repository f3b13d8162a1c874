/* sim_priv.h - what the files of the simulator share.
 *
 * What the ranks of one stage do in one pass is straight-line code over their clocks: sim_code.c puts the operations of
 * all of them in one order in which every receive has its stamp. Messages alike that a rank sends to one peer after the
 * other are one operation, and so are receives in a row: a rank that sends to all others has a row a tier, not a stamp
 * a peer. Stages, and layers in a row, that do the same share one class: the same code for the same pass.
 *
 * Code only adds to times and takes the later of two. So its effect is the same at any hour (shift all clocks, and all
 * results shift), and each result is one of the inputs plus what the way from there adds: sim_run.c keeps that for
 * inputs, relative to each other, that it has seen, and applies it at once where they come again. Which input, and so
 * what a time is made of, depends on the relative times alone. A port that is free already is as good as any other that
 * is, and left as it is by a class that does not use it. */
#ifndef DIST_SIM_PRIV_H
#define DIST_SIM_PRIV_H

#include "dist/simulate.h"
#include "sim_calls.h"

enum sim_doing { SIM_WORK, SIM_SPEND, SIM_SEND, SIM_RECEIVE };
struct sim_op {
    uint8_t doing, of; /* SPEND: share; SEND, RECEIVE: tier */
    int rank; /* of the stage */
    int at; /* WORK: which; SEND: row of stamps; RECEIVE: the first of `from` */
    int n; /* SEND, RECEIVE: messages in a row */
    uint64_t ps; /* SPEND; SEND: of the bytes of each */
};

/* A message: the index-th of a row that was sent. */
struct sim_from {
    int row, index;
};

/* A step's part in a rank's work: steps in a row are one. */
struct sim_step {
    const struct plan_step *step;
    int rank, layer, work;
};

struct sim_code {
    uint64_t number;
    int tokens, wanted, returned; /* what it depends on of a pass, an epilogue on all; work on the context too */
    struct sim_op *op;
    struct sim_step *step;
    struct sim_from *from; /* [n_from] of what is received, in order */
    int n_ops, n_steps, n_work, n_from;
    int n_rows, n_out; /* of the rows, those that leave the stage come first: one for each rank that receives */
    int64_t n_single; /* operations, each message for itself */
    uint64_t events, most_ps; /* most_ps: all operations without work, one after the other */
    struct sim_code *next;
};

/* The time of all work of a code in a pass. */
struct sim_times {
    const struct sim_code *code;
    int64_t ctx_read, ctx_sum;
    uint64_t number, most_ps; /* number: of all times ever made */
    struct net_stamp *work;
};

/* A part of the pass of a stage that others do too: prologue, some layers, epilogue. */
struct sim_class {
    int first, size; /* ranks of the first stage that does it */
    int prologue, layer0, layer1, epilogue;
    int n_out; /* ranks that receive what its epilogue sends */
    int port[NET_MAX_TIERS], n_ports; /* tiers that it may send on and wait for */
    char *same; /* all that its codes depend on */
    size_t same_bytes;
    struct sim_code *codes;
    uint64_t *memo; /* [n_memo][memo_words] */
    size_t n_memo, memo_words;
    struct sim_class *next;
};

/* A class and how often in a row. */
struct sim_part {
    struct sim_class *class;
    int times;
};

enum { SIM_TIMES = 1024 };

/* A frame buffer, as its one sender knows it. */
struct sim_room {
    uint64_t used;
    int pass; /* the first that there is no credit for yet */
    struct stamp_queue credits;
};

struct sim {
    const struct plan *p;
    const struct cluster *c;
    uint64_t frame; /* virtual_frame; not 0: simulate.c sends hidden states, behind a class's code */
    struct sim_room *room; /* [n_ranks] */
    const struct trace *trace;
    struct simulation *out;
    struct virtual_rank *rank; /* [n_ranks]; clocks are in out */
    int *from_tier; /* [n_ranks] that hidden states, or on stage 0 tokens, come by */
    struct sim_part **part; /* [dp * n_stages], each ended by a NULL class */
    struct sim_class *classes;
    struct sim_times times[SIM_TIMES];
    uint64_t n_times, n_codes;
    /* what running needs, for the largest class */
    int most_rows;
    struct net_row *row;
    struct net_stamp *in;
    struct net_clock *clock;
    uint64_t *key;
    struct diag *d;
};

/* sim_class.c: the parts of a stage of a replica, classed with those that are known. */
int sim_stage(struct sim *s, int replica, int stage);
void sim_classes_fini(struct sim *s);

/* sim_code.c: code for a pass. */
int sim_code_get(struct sim *s, struct sim_class *c, const struct trace_pass *pass, struct sim_code **out);
void sim_codes_free(struct sim_code *first); /* and all behind it */
int sim_no_memory(struct sim *s);

/* sim_run.c: after all stages; then a part of a pass, from the clocks of ranks `first` .. on. out: [class->n_out]
 * stamps of what it sends. */
int sim_run_init(struct sim *s);
int sim_run(struct sim *s, const struct sim_part *part, int first, const struct trace_pass *pass,
            struct net_stamp *out);
void sim_run_fini(struct sim *s);

#endif
