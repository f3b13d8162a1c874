/* link_mpi.c - a link over an MPI communicator.
 *
 * Waiting is our own loop around MPI_Test, because more ranks than processors is the normal case of tests: there, a
 * rank that polls without yielding keeps the rank it waits for off the processor (an all-reduce then takes
 * milliseconds), and one that polls for seconds slows the rank that works. So a waiting rank polls, then yields, then
 * sleeps shortly. */
#include "collectives/link_mpi.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/hash.h"
#include "collectives/agree.h"

struct mpi_impl {
    MPI_Comm comm;
    MPI_Datatype chunk; /* chunk_bytes bytes */
    size_t chunk_bytes;
    int yield;
};

enum {
    POLLS_SHARED = 20, /* polls before the first yield where ranks share a processor */
    POLLS_ALONE = 2000, /* and where each has its own: other programs may still want it */
    GENTLE_SHARED_NS = 1000 * 1000, /* then yields between polls for so long, then sleeps */
    GENTLE_ALONE_NS = 20 * 1000 * 1000,
    AWAY_NS = 100 * 1000 * 1000, /* longest time between two polls that counts as waiting */
    SLEEP_MIN_NS = 50 * 1000,
    SLEEP_MAX_NS = 200 * 1000,
};

/* One wait, from the first poll on. */
struct patience {
    long polls;
    int64_t waited_ns, last_ns, sleep_ns;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Between two polls: nothing, a yield or a short sleep. Returns nonzero once the link's limit has passed. Time in which
 * this rank itself was stopped (all ranks are by ^Z) does not count. */
static int be_patient(const struct link *l, struct patience *p) {
    const struct mpi_impl *m = l->impl;
    if (p->polls++ < (l->naps ? 0 : m->yield ? POLLS_SHARED : POLLS_ALONE)) return 0;
    int64_t now = now_ns();
    if (p->last_ns) p->waited_ns += now - p->last_ns < AWAY_NS ? now - p->last_ns : AWAY_NS;
    p->last_ns = now;
    if (l->naps) {
        nanosleep(&(struct timespec){0, SLEEP_MIN_NS}, NULL);
    } else if (p->waited_ns > (m->yield ? GENTLE_SHARED_NS : GENTLE_ALONE_NS)) {
        p->sleep_ns = p->sleep_ns == 0 ? SLEEP_MIN_NS : p->sleep_ns * 2 < SLEEP_MAX_NS ? p->sleep_ns * 2 : SLEEP_MAX_NS;
        nanosleep(&(struct timespec){0, p->sleep_ns}, NULL);
    } else {
        sched_yield();
    }
    return l->wait_limit_s > 0 && (double)p->waited_ns > l->wait_limit_s * 1e9;
}

/* Returns nonzero if the request did not complete within the link's limit. */
static int complete(const struct link *l, MPI_Request *request, MPI_Status *status) {
    struct patience p = {0};
    int done = 0;
    for (;;) {
        MPI_Test(request, &done, status);
        if (done) return 0;
        if (be_patient(l, &p)) return 1;
    }
}

/* A request holds two messages: the whole chunks, and the rest (also when there is nothing to send). */
_Static_assert(sizeof(MPI_Request) <= sizeof(void *), "an MPI request fits into a handle");

static MPI_Request request_get(const struct link_request *req, int i) {
    MPI_Request r;
    memcpy(&r, &req->handle[i], sizeof r);
    return r;
}

static void request_set(struct link_request *req, int i, MPI_Request r) {
    memcpy(&req->handle[i], &r, sizeof r);
}

static void mpi_isend(struct link *l, struct link_request *req) {
    const struct mpi_impl *m = l->impl;
    MPI_Request sends[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    size_t n = req->bytes / m->chunk_bytes, head = n * m->chunk_bytes, rest = req->bytes - head;
    if (n > 0) MPI_Isend(req->buf, (int)n, m->chunk, req->to, req->tag, m->comm, &sends[0]);
    if (rest > 0 || n == 0)
        MPI_Isend((const char *)req->buf + head, (int)rest, MPI_BYTE, req->to, req->tag, m->comm, &sends[1]);
    for (int i = 0; i < 2; i++)
        request_set(req, i, sends[i]);
}

static void mpi_irecv(struct link *l, struct link_request *req) {
    const struct mpi_impl *m = l->impl;
    MPI_Request recvs[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    size_t n = req->bytes / m->chunk_bytes, head = n * m->chunk_bytes, rest = req->bytes - head;
    char *buf = (char *)(uintptr_t)req->buf;
    if (n > 0) MPI_Irecv(buf, (int)n, m->chunk, req->from, req->tag, m->comm, &recvs[0]);
    if (rest > 0 || n == 0) MPI_Irecv(buf + head, (int)rest, MPI_BYTE, req->from, req->tag, m->comm, &recvs[1]);
    for (int i = 0; i < 2; i++)
        request_set(req, i, recvs[i]);
}

/* A message that has come must have the length that was asked for; longer ones are MPI's own error. */
static void check_length(struct link *l, const struct link_request *req, int i, MPI_Status *status) {
    const struct mpi_impl *m = l->impl;
    size_t want = i == 0 ? req->bytes / m->chunk_bytes : req->bytes % m->chunk_bytes;
    char tag[64], from[40];
    int got;
    if (req->from == l->rank) return;
    MPI_Get_count(status, i == 0 ? m->chunk : MPI_BYTE, &got);
    if (got != (int)want)
        link_abort(l, "expects %zu units of %zu bytes from rank %s with %s, which sent %d", want,
                   i == 0 ? m->chunk_bytes : (size_t)1, link_rank_text(l, req->from, from),
                   link_tag_text(l, req->tag, tag), got);
}

static int mpi_test(struct link *l, struct link_request *req) {
    int all = 1;
    for (int i = 0; i < 2; i++) {
        MPI_Request request = request_get(req, i);
        MPI_Status status;
        int done = 0;
        if (request == MPI_REQUEST_NULL) continue;
        MPI_Test(&request, &done, &status);
        request_set(req, i, request);
        if (done) check_length(l, req, i, &status);
        all &= done;
    }
    return all;
}

static void mpi_wait(struct link *l, struct link_request *req) {
    struct patience p = {0};
    char tag[64], peer[40];
    while (!mpi_test(l, req)) {
        if (!be_patient(l, &p)) continue;
        if (req->from == l->rank)
            link_abort(
                l,
                "waited %g s for rank %s to receive %zu bytes with %s: it is stopped, or slow (--timeout allows more)",
                l->wait_limit_s, link_rank_text(l, req->to, peer), req->bytes, link_tag_text(l, req->tag, tag));
        link_abort(l, "waited %g s for %zu bytes from rank %s with %s that never came", l->wait_limit_s, req->bytes,
                   link_rank_text(l, req->from, peer), link_tag_text(l, req->tag, tag));
    }
}

static void mpi_progress(struct link *l) {
    int any;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ((const struct mpi_impl *)l->impl)->comm, &any, MPI_STATUS_IGNORE);
}

static void mpi_allreduce(struct link *l, const float *in, float *out, size_t n) {
    const struct mpi_impl *m = l->impl;
    for (size_t done = 0, some; done < n; done += some) {
        some = n - done < INT_MAX ? n - done : INT_MAX;
        MPI_Allreduce(in == out ? MPI_IN_PLACE : in + done, out + done, (int)some, MPI_FLOAT, MPI_SUM, m->comm);
    }
}

/* ---- shared memory ---- */

_Static_assert(sizeof(MPI_Win) <= sizeof(void *) && sizeof(MPI_Comm) <= sizeof(void *), "they fit into handles");

/* Segments are padded to pages and one more: what lies in front of them in the library's mapping is unknown, but the
 * same distance from a page in every process. */
static char *page_up(void *p) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return (char *)(((uintptr_t)p + page - 1) / page * page);
}

/* Finds where the segments of node's ranks begin here. */
static void find_segments(const struct mpi_impl *m, MPI_Comm node, MPI_Win win, void **base) {
    MPI_Group all, some;
    int n;
    MPI_Comm_group(m->comm, &all);
    MPI_Comm_group(node, &some);
    MPI_Comm_size(node, &n);
    for (int i = 0; i < n; i++) {
        MPI_Aint bytes;
        int unit, rank;
        void *at;
        MPI_Win_shared_query(win, i, &bytes, &unit, &at);
        MPI_Group_translate_ranks(some, 1, &i, all, &rank);
        base[rank] = page_up(at);
    }
    MPI_Group_free(&all);
    MPI_Group_free(&some);
}

/* Collective over node. The library's error comes back as a text, as it is raised on node. */
static int allocate_window(MPI_Comm node, size_t bytes, MPI_Win *win, struct diag *d) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    MPI_Info info;
    void *mine;
    MPI_Comm_set_errhandler(node, MPI_ERRORS_RETURN);
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true");
    int rc = MPI_Win_allocate_shared((MPI_Aint)((bytes / page + 2) * page), 1, info, node, &mine, win);
    MPI_Info_free(&info);
    if (rc == MPI_SUCCESS) return 0;
    char text[MPI_MAX_ERROR_STRING];
    int len;
    MPI_Error_string(rc, text, &len);
    *win = MPI_WIN_NULL;
    return diag_set(d, ERR_MEMORY, "no shared window of %zu bytes: %s", bytes, text);
}

/* Closes the window of those that have one and the node's communicator. */
static void close_window(MPI_Comm node, MPI_Win win) {
    if (win != MPI_WIN_NULL) {
        MPI_Win_unlock_all(win);
        MPI_Win_free(&win);
    }
    MPI_Comm_free(&node);
}

/* Handles: the window and the communicator of the ranks that share memory. */
static struct link_shared *mpi_share(struct link *l, size_t bytes, struct diag *d) {
    const struct mpi_impl *m = l->impl;
    struct link_shared *s = calloc(1, sizeof *s + (size_t)l->size * sizeof *s->base);
    MPI_Comm node;
    MPI_Win win = MPI_WIN_NULL;
    if (err_agree(l, s ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d segments", l->size), d) != 0) {
        free(s);
        return NULL;
    }
    MPI_Comm_split_type(m->comm, MPI_COMM_TYPE_SHARED, l->rank, MPI_INFO_NULL, &node);
    int code = allocate_window(node, bytes, &win, d);
    if (code == 0) {
        MPI_Win_lock_all(MPI_MODE_NOCHECK, win); /* accesses are plain loads and stores with C11 atomics */
        s->base = (void **)(s + 1);
        s->bytes = bytes;
        find_segments(m, node, win, s->base);
        memset(s->base[l->rank], 0, bytes);
    }
    if (err_agree(l, code, d) != 0) {
        close_window(node, win);
        free(s);
        return NULL;
    }
    memcpy(&s->handle[0], &win, sizeof win);
    memcpy(&s->handle[1], &node, sizeof node);
    return s;
}

static void mpi_unshare(struct link *l, struct link_shared *s) {
    MPI_Win win;
    MPI_Comm node;
    (void)l;
    memcpy(&win, &s->handle[0], sizeof win);
    memcpy(&node, &s->handle[1], sizeof node);
    close_window(node, win);
    free(s);
}

static size_t recv_part(struct link *l, int peer, int tag, void *buf, size_t n, MPI_Datatype type, int exact) {
    const struct mpi_impl *m = l->impl;
    MPI_Request request;
    MPI_Status status;
    int got;
    char tag_text[64], from[40];
    MPI_Irecv(buf, (int)n, type, peer, tag, m->comm, &request);
    if (complete(l, &request, &status))
        link_abort(l, "waited %g s for a message from rank %s with %s: it is stopped, or slow (--timeout allows more)",
                   l->wait_limit_s, link_rank_text(l, peer, from), link_tag_text(l, tag, tag_text));
    MPI_Get_count(&status, type, &got);
    if (exact && got != (int)n)
        link_abort(l, "expects %zu units of %zu bytes from rank %s with %s, which sent %d", n,
                   type == MPI_BYTE ? 1 : m->chunk_bytes, link_rank_text(l, peer, from),
                   link_tag_text(l, tag, tag_text), got);
    return (size_t)got;
}

static size_t mpi_recv(struct link *l, int peer, int tag, void *buf, size_t bytes, int exact) {
    const struct mpi_impl *m = l->impl;
    size_t n = bytes / m->chunk_bytes, head = n * m->chunk_bytes;
    if (!exact) {
        if (n > 0)
            link_abort(l, "a message of unknown length may have less than %zu bytes, not %zu", m->chunk_bytes, bytes);
        return recv_part(l, peer, tag, buf, bytes, MPI_BYTE, 0);
    }
    if (n > 0) recv_part(l, peer, tag, buf, n, m->chunk, 1);
    if (bytes > head || n == 0) recv_part(l, peer, tag, (char *)buf + head, bytes - head, MPI_BYTE, 1);
    return bytes;
}

static void mpi_free(struct link *l) {
    struct mpi_impl *m = l->impl;
    MPI_Type_free(&m->chunk);
    MPI_Comm_free(&m->comm);
    free(m);
    free(l);
}

/* Ranks that wait lose patience at about the same time: each may say for whom before the job ends, so that the one at
 * fault can be told from those that only wait for it. */
static void mpi_abort(struct link *l) {
    nanosleep(&(struct timespec){0, 500 * 1000 * 1000}, NULL);
    MPI_Abort(((struct mpi_impl *)l->impl)->comm, err_exit_status(ERR_COMM));
}

static struct link *mpi_split(struct link *l, int color, int key);

static const struct link_ops mpi_ops = {
    .isend = mpi_isend,
    .recv = mpi_recv,
    .wait = mpi_wait,
    .irecv = mpi_irecv,
    .test = mpi_test,
    .progress = mpi_progress,
    .share = mpi_share,
    .unshare = mpi_unshare,
    .allreduce = mpi_allreduce,
    .split = mpi_split,
    .free = mpi_free,
    .abort = mpi_abort,
};

/* Takes over comm: it is freed with the link, or here if a rank is out of memory. Collective over comm. */
static struct link *link_over(MPI_Comm comm, int yield, size_t chunk_bytes) {
    struct link *l = calloc(1, sizeof *l);
    struct mpi_impl *m = calloc(1, sizeof *m);
    int ok = l && m, all_ok;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_ARE_FATAL);
    MPI_Allreduce(&ok, &all_ok, 1, MPI_INT, MPI_MIN, comm);
    if (!all_ok) {
        free(l);
        free(m);
        MPI_Comm_free(&comm);
        return NULL;
    }
    *m = (struct mpi_impl){.comm = comm, .chunk_bytes = chunk_bytes, .yield = yield};
    MPI_Type_contiguous((int)chunk_bytes, MPI_BYTE, &m->chunk);
    MPI_Type_commit(&m->chunk);
    l->ops = &mpi_ops;
    l->impl = m;
    MPI_Comm_rank(comm, &l->rank);
    MPI_Comm_size(comm, &l->size);
    return l;
}

static struct link *mpi_split(struct link *l, int color, int key) {
    const struct mpi_impl *m = l->impl;
    MPI_Comm comm;
    MPI_Comm_split(m->comm, color < 0 ? MPI_UNDEFINED : color, key, &comm);
    return comm == MPI_COMM_NULL ? NULL : link_over(comm, m->yield, m->chunk_bytes);
}

/* A kernel's number since it was started; 0 where there is no /proc. */
static uint64_t kernel_hash(void) {
    char id[64];
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    size_t n = f ? fread(id, 1, sizeof id, f) : 0;
    if (f) fclose(f);
    return n ? hash_bytes(id, n, 0) : 0;
}

MPI_Comm link_mpi_machine(MPI_Comm comm) {
    MPI_Comm half, machine;
    uint64_t hash = kernel_hash(), least;
    MPI_Allreduce(&hash, &least, 1, MPI_UINT64_T, MPI_MIN, comm);
    if (!least) {
        MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
        return machine;
    }
    /* A color has 31 bits: too few to tell thousands of kernels apart for certain. */
    MPI_Comm_split(comm, (int)(hash >> 33), 0, &half);
    MPI_Comm_split(half, (int)(hash & INT_MAX), 0, &machine);
    MPI_Comm_free(&half);
    return machine;
}

/* 1 if some node has more of comm's ranks than processors that these may use. Collective over comm. */
static int oversubscribed(MPI_Comm comm) {
    MPI_Comm node = link_mpi_machine(comm);
    cpu_set_t mine, all;
    int ranks, over, any;
    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) memset(&mine, 0xff, sizeof mine);
    MPI_Allreduce(&mine, &all, (int)sizeof mine, MPI_BYTE, MPI_BOR, node);
    MPI_Comm_size(node, &ranks);
    MPI_Comm_free(&node);
    over = ranks > CPU_COUNT(&all);
    MPI_Allreduce(&over, &any, 1, MPI_INT, MPI_MAX, comm);
    return any;
}

struct link *link_mpi_new(MPI_Comm comm, const struct link_mpi_opts *opts) {
    struct link_mpi_opts o = opts ? *opts : (struct link_mpi_opts){.yield = -1};
    MPI_Comm own;
    MPI_Comm_dup(comm, &own);
    int over = oversubscribed(own);
    struct link *l = link_over(own, o.yield < 0 ? over : o.yield, o.chunk_bytes ? o.chunk_bytes : (size_t)1 << 30);
    if (l) l->oversubscribed = over;
    return l;
}
