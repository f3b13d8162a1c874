/* link.h - point-to-point transport between the ranks of a group, as the executor needs it.
 *
 *   link_isend(l, peer, tag, out, bytes, &req);
 *   link_recv(l, peer, tag, in, bytes);
 *   link_wait(l, &req);
 *
 * Three implementations: link_mpi (an MPI communicator; collectives/link_mpi.h), link_threads (ranks are threads of one
 * process: tests of every strategy at any rank count need no mpirun) and link_self (one rank, no peer).
 *
 * A send may be unbuffered: link_wait may block until the peer receives, so two ranks that exchange must isend first.
 * The buffer of a send may be read, but not written, before link_wait. Messages between a pair with one tag arrive in
 * order. An error is fatal to the job: link_abort. */
#ifndef COLLECTIVES_LINK_H
#define COLLECTIVES_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum {
    LINK_TAG_USER = 0, /* tags [0, LINK_TAG_RESERVED) are the caller's */
    LINK_TAG_RESERVED = 30000, /* agreement and split; MPI promises tags up to 32767 */
    LINK_TAG_STAMPS = 1000, /* added to the tag of a message on a timed link, whose tags are below 1000 or reserved */
};

/* A send or receive in progress, filled by link_isend or link_irecv. It stays where it is until link_wait. */
struct link_request {
    const void *buf;
    size_t bytes;
    int from, to, tag;
    int taken; /* link_threads: the receiver has copied it */
    struct link_request *next; /* link_threads: behind it in the receiver's mailbox */
    void *handle[2]; /* link_mpi: MPI_Requests */
    struct link_stamp *stamp; /* link_time: behind this message */
    int timed; /* link_time: the clock has seen its end */
};

struct link_counts {
    uint64_t messages, bytes; /* sent by this rank over this link since the last reset */
    uint64_t wait_ns; /* time inside recv and wait */
};

struct link {
    int rank, size;
    int oversubscribed; /* the job has more ranks than processors on some node */
    double wait_limit_s; /* a recv or wait longer than this ends the job, naming rank, peer and tag; 0: never */
    int naps; /* waits sleep between polls from the first one on: for ranks that are paced, and may take no processor */
    int first; /* messages call rank r of this link first + r: a part of a job names ranks as the job does */
    const int *launched; /* and add the launcher's number for it, launched[first + r], where that is another; NULL: it
                            is none. Inherited by link_split; borrowed */
    const char *const *tags; /* what tags 0, 1, ... carry, for messages, ended by NULL; or NULL: not known */
    const char *doing; /* what the messages under way belong to, for that text: "attn_reduce, call 1234"; may be NULL */
    struct link_counts counts;
    struct link_time *time; /* NULL: messages carry no time. Set by link_time_start, not inherited by link_split */
    const struct link_ops *ops;
    void *impl;
};

struct link_ops {
    void (*isend)(struct link *l, struct link_request *req); /* buf, bytes, from, to, tag are set, the rest is 0 */
    /* Takes a message of exactly cap bytes, or of at most cap where !exact; returns its length. */
    size_t (*recv)(struct link *l, int peer, int tag, void *buf, size_t cap, int exact);
    void (*wait)(struct link *l, struct link_request *req); /* completes a send or a receive */
    void (*irecv)(struct link *l, struct link_request *req); /* as isend; exact length */
    int (*test)(struct link *l, struct link_request *req); /* nonzero: complete, as after wait */
    void (*progress)(struct link *l); /* lets the library below move messages of other links on; NULL: no need */
    /* Shared memory, see link_share. NULL: none. */
    struct link_shared *(*share)(struct link *l, size_t bytes, struct diag *d);
    void (*unshare)(struct link *l, struct link_shared *s);
    /* The library's own all-reduce (sum of binary32), in place where in == out; NULL: there is no library. */
    void (*allreduce)(struct link *l, const float *in, float *out, size_t n);
    struct link *(*split)(struct link *l, int color, int key); /* collective; color < 0 gives NULL */
    void (*free)(struct link *l);
    void (*abort)(struct link *l); /* ends all ranks; does not return */
};

/* Counted wrappers. isend, recv and wait are local. */
void link_isend(struct link *l, int peer, int tag, const void *buf, size_t bytes, struct link_request *req);
void link_recv(struct link *l, int peer, int tag, void *buf, size_t bytes);
/* A message whose length only the sender knows: at most cap bytes (cap < 1 GiB); returns its length. */
size_t link_recv_upto(struct link *l, int peer, int tag, void *buf, size_t cap);
void link_wait(struct link *l, struct link_request *req);
/* The same receive without blocking: link_wait or a nonzero link_test completes it. Receives of one (peer, tag)
 * complete in the order they were started. link_test of a completed request gives 1 again. */
void link_irecv(struct link *l, int peer, int tag, void *buf, size_t bytes, struct link_request *req);
int link_test(struct link *l, struct link_request *req);
void link_progress(struct link *l);

/* domain[r] = lowest rank that rank r shares memory with (itself if none). Collective. */
void link_domains(struct link *l, int *domain);

/* A segment of `bytes` bytes (0 allowed) of every rank of this rank's domain, zeroed, page-aligned, mapped here:
 * base[r] for r of the same domain, else NULL. Where it cannot be had, ERR_MEMORY or ERR_UNSUPPORTED on all ranks of
 * the link. Collective; freed by link_unshare, collective too. */
struct link_shared {
    void **base; /* [size] */
    size_t bytes; /* of this rank's */
    void *handle[2]; /* the implementation's */
};
int link_share(struct link *l, size_t bytes, struct link_shared **out, struct diag *d);
void link_unshare(struct link *l, struct link_shared *s);

/* The ranks that pass the same color >= 0 form a new link, ranked by (key, old rank); color < 0 gives NULL. Settings
 * are inherited, counts start at 0. NULL for a color >= 0 means out of memory, on all ranks of that color. Collective.
 */
struct link *link_split(struct link *l, int color, int key);

/* Accepts NULL. Collective over an MPI link, local otherwise. */
void link_free(struct link *l);

/* Prints one line with this rank and the text to stderr and ends the job on all ranks. Does not return. Local. */
void link_abort(struct link *l, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

/* "tag 3 (sums)": a tag in a message. Local. */
const char *link_tag_text(const struct link *l, int tag, char buf[64]);

/* "3", or "3 (mpirun's 1)": a rank in a message. Local. */
const char *link_rank_text(const struct link *l, int rank, char buf[40]);

/* `size` links, one a thread, each freed by link_free; wait_limit_s is 60. 0 or ERR_MEMORY. Local. */
int link_threads_new(int size, struct link **links);

/* Calls body on `size` ranks that are threads, rank 0 in the caller's, and frees their links. 0 or ERR_MEMORY; a thread
 * that cannot be had ends the process. Local. */
int link_threads_run(int size, void (*body)(struct link *l, void *user), void *user);

/* A link of one rank: no peer, all calls but split and free are errors. NULL: out of memory. Local. */
struct link *link_self_new(void);

#endif
