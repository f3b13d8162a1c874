/* op_text.c - logs of operations as text. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dist/replay.h"

#define MOST_BYTES (UINT64_C(1) << 36)

/* ---- writing ---- */

static void put_pass(FILE *out, const struct trace_pass *t) {
    fprintf(out, "pass %d %d %d %d %d %" PRId64 " %" PRId64 "\n", t->micro, t->tokens, t->wanted, t->returned,
            t->prefill, t->ctx_read, t->ctx_sum);
}

/* Operations of a peer and a channel, from OP_RECEIVE on. */
static const char *const waits[] = {"receive", "credit", "room"};
enum { N_WAITS = OP_TAKE - OP_RECEIVE };

static void put_op(FILE *out, const struct op *o) {
    if (o->what < NET_SHARES)
        fprintf(out, "%s %" PRIu64 "\n", record_share_name[o->what], o->amount);
    else if (o->what == OP_SEND)
        fprintf(out, "send %d %d %" PRIu64 "\n", o->peer, o->channel, o->amount);
    else if (o->what < OP_TAKE)
        fprintf(out, "%s %d %d\n", waits[o->what - OP_RECEIVE], o->peer, o->channel);
    else
        fprintf(out, "take %" PRIu64 "\n", o->amount);
}

static void put_rank(FILE *out, const struct op_log *log, int rank) {
    const struct op_list *l = &log->rank[rank];
    fprintf(out, "rank %d card %d operations %d\n", rank, log->card[rank], l->n);
    for (int i = 0; i < l->n; i++) {
        const struct op *o = &l->op[i], *before = i ? o - 1 : NULL;
        if (!before || before->pass != o->pass || before->layer != o->layer || before->step != o->step)
            fprintf(out, "at %d %d %s\n", o->pass, o->layer, record_step_name(o->step));
        put_op(out, o);
    }
}

static void put_log(void *user, FILE *out) {
    const struct op_log *log = user;
    fprintf(out, "northwall-operations %d\nplan %016" PRIx64 "\ncards %016" PRIx64 "\n", OPS_VERSION, log->plan_hash,
            log->card_hash);
    fprintf(out, "model %s\nstrategy %s\ncluster %s\n", log->model, log->strategy, log->cluster);
    fprintf(out, "ranks %d replicas %d users %d\n", log->n_ranks, log->dp, log->users);
    for (int i = 0; i < log->dp; i++) {
        fprintf(out, "replica %d passes %d\n", i, log->trace[i].n);
        for (int k = 0; k < log->trace[i].n; k++)
            put_pass(out, &log->trace[i].pass[k]);
    }
    for (int r = 0; r < log->n_ranks; r++)
        put_rank(out, log, r);
    fputs("end\n", out);
}

int op_log_write(const struct op_log *log, const char *path, struct diag *d) {
    return text_write_file(path, put_log, (void *)(uintptr_t)log, d);
}

/* ---- reading ---- */

enum { WORDS = 8 };

struct reader {
    const char *path;
    char *at, *end;
    int line, n; /* words of the line */
    char *word[WORDS], *rest; /* rest: behind the first word */
    int rc;
    struct diag *d;
};

static int fail(struct reader *r, const char *expected) {
    if (!r->rc)
        r->rc = diag_set(r->d, ERR_FORMAT, "%.200s:%d: expected %s: is the file whole, and of this version?", r->path,
                         r->line, expected);
    return r->rc;
}

/* Takes the next line apart; one that the file's end cuts short is none. */
static void next_line(struct reader *r, int as_text) {
    char *end = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
    r->line++;
    r->n = 0;
    if (!end) {
        fail(r, "one more line");
        return;
    }
    *end = 0;
    char *c = r->at;
    r->at = end + 1;
    while (*c && r->n < WORDS) {
        r->word[r->n++] = c;
        c += strcspn(c, " ");
        if (*c) *c++ = 0;
        if (as_text) r->rest = c;
        if (as_text) return;
    }
    if (*c) r->n = 0; /* too many */
}

/* A whole number from least to most; ERR_FORMAT. */
static int64_t number(struct reader *r, int word, int64_t least, int64_t most, const char *what) {
    int64_t v = 0;
    const char *text = word < r->n ? r->word[word] : "", *digit = text + (*text == '-');
    int good = *digit && strlen(digit) <= 18;
    for (; good && *digit; digit++) {
        good = *digit >= '0' && *digit <= '9';
        v = 10 * v + (*digit - '0');
    }
    if (*text == '-') v = -v;
    if (good && v >= least && v <= most) return v;
    fail(r, what);
    return least;
}

static int is_line(const struct reader *r, const char *word, int n) {
    return r->n == n && !strcmp(r->word[0], word);
}

static void expect(struct reader *r, const char *word, int n, const char *form) {
    if (r->rc) return;
    next_line(r, 0);
    if (!is_line(r, word, n)) fail(r, form);
}

static uint64_t read_hash(struct reader *r, const char *word, const char *form) {
    uint64_t v = 0;
    expect(r, word, 2, form);
    if (r->rc) return 0;
    const char *text = r->word[1];
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16) fail(r, form);
    for (; !r->rc && *text; text++)
        v = v << 4 | (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    return v;
}

static void read_name(struct reader *r, const char *word, char *out, size_t cap) {
    if (r->rc) return;
    next_line(r, 1);
    if (r->n != 1 || strcmp(r->word[0], word) || strlen(r->rest) >= cap)
        fail(r, word);
    else
        snprintf(out, cap, "%s", r->rest);
}

static void read_passes(struct reader *r, struct op_log *log, int replica) {
    const char *form = "pass MICRO TOKENS WANTED RETURNED PREFILL CTX_READ CTX_SUM";
    expect(r, "replica", 4, "replica I passes N");
    if (!r->rc && (number(r, 1, replica, replica, "replicas in order"), strcmp(r->word[2], "passes")))
        fail(r, "replica I passes N");
    int n = r->rc ? 0 : (int)number(r, 3, 0, OPS_MOST, "the number of passes");
    for (int i = 0; i < n && !r->rc; i++) {
        expect(r, "pass", 8, form);
        if (r->rc) return;
        struct trace_pass *t = trace_add(&log->trace[replica]);
        if (!t) {
            r->rc = diag_set(r->d, ERR_MEMORY, "no memory for %d passes", i);
            return;
        }
        t->micro = (int32_t)number(r, 1, 0, INT32_MAX, form);
        t->tokens = (int32_t)number(r, 2, 0, INT32_MAX, form);
        t->wanted = (int32_t)number(r, 3, 0, t->tokens, form);
        t->returned = (int32_t)number(r, 4, 0, t->wanted, form);
        t->prefill = (int32_t)number(r, 5, 0, t->tokens, form);
        t->ctx_read = number(r, 6, 0, INT64_MAX, form);
        t->ctx_sum = number(r, 7, 0, INT64_MAX, form);
    }
}

static int find_step(const char *name) {
    int i = 0;
    while (i <= RECORD_STEP_PASS && strcmp(record_step_name(i), name))
        i++;
    return i;
}

static int find_share(const char *name) {
    int i = 0;
    while (i < NET_SHARES && strcmp(record_share_name[i], name))
        i++;
    return i;
}

/* The line is an operation's: the rest of *o says where. */
static void read_op(struct reader *r, const struct op_log *log, int rank, struct op *o) {
    int share = r->n == 2 ? find_share(r->word[0]) : NET_SHARES, sends = is_line(r, "send", 4), wait = 0;
    while (wait < N_WAITS && !is_line(r, waits[wait], 3))
        wait++;
    o->peer = -1;
    o->channel = 0;
    o->amount = 0;
    if (share < NET_SHARES) {
        o->what = (uint8_t)share;
        o->amount = (uint64_t)number(r, 1, 0, INT64_MAX, "picoseconds");
    } else if (sends || wait < N_WAITS) {
        o->what = (uint8_t)(sends ? OP_SEND : OP_RECEIVE + wait);
        o->peer = (int32_t)number(r, 1, 0, log->n_ranks - 1, "another rank");
        o->channel = (int32_t)number(r, 2, 0, INT32_MAX, "a channel");
        if (sends) o->amount = (uint64_t)number(r, 3, 0, (int64_t)MOST_BYTES, "bytes");
        if (o->peer == rank) fail(r, "another rank");
    } else if (is_line(r, "take", 2)) {
        int replica = rank / (log->n_ranks / log->dp);
        o->what = OP_TAKE;
        o->amount = (uint64_t)number(r, 1, 0, log->trace[replica].n - 1, "a pass of the replica");
        if (rank % (log->n_ranks / log->dp)) fail(r, "the first rank of a replica to take tokens");
    } else {
        fail(r, "an operation: SHARE PS, send RANK CHANNEL BYTES, receive, credit or room RANK CHANNEL, take PASS");
    }
}

/* Cards are numbered in the order of ranks: *next is the first that no rank has yet. */
static void read_rank(struct reader *r, struct op_log *log, int rank, int *next) {
    const char *form = "rank R card C operations N";
    struct op_list *list = &log->rank[rank];
    struct op o = {.layer = -1, .step = RECORD_STEP_PASS};
    expect(r, "rank", 6, form);
    if (!r->rc &&
        (number(r, 1, rank, rank, "ranks in order"), strcmp(r->word[2], "card") || strcmp(r->word[4], "operations")))
        fail(r, form);
    if (r->rc) return;
    log->card[rank] = (int)number(r, 3, -1, *next, "the next card, or -1");
    if (log->card[rank] >= 0 && log->card[rank] != (*next)++) fail(r, "the next card, or -1");
    int n = (int)number(r, 5, 0, OPS_MOST, form);
    while (list->n < n && !r->rc) {
        next_line(r, 0);
        if (r->rc) return;
        if (is_line(r, "at", 4)) {
            o.pass = (int32_t)number(r, 1, -1, INT32_MAX, "a pass");
            o.layer = (int16_t)number(r, 2, -1, SHAPE_MAX_LAYERS, "a layer");
            o.step = (uint8_t)find_step(r->word[3]);
            if (o.step > RECORD_STEP_PASS) fail(r, "a step");
            continue;
        }
        read_op(r, log, rank, &o);
        if (!r->rc && (r->rc = op_list_add(list, &o)))
            diag_set(r->d, r->rc, "no memory for %d operations of rank %d", list->n, rank);
    }
}

static void read_sizes(struct reader *r, struct op_log *log) {
    const char *form = "ranks N replicas D users U, with the same number of ranks in each replica";
    expect(r, "ranks", 6, form);
    if (!r->rc && (strcmp(r->word[2], "replicas") || strcmp(r->word[4], "users"))) fail(r, form);
    if (r->rc) return;
    log->n_ranks = (int)number(r, 1, 1, PLAN_MAX_RANKS, form);
    log->dp = (int)number(r, 3, 1, log->n_ranks, form);
    log->users = (int)number(r, 5, 1, INT32_MAX, form);
    if (!r->rc && log->n_ranks % log->dp) fail(r, form);
    if (!r->rc) r->rc = op_log_allocate(log, r->d);
}

int op_log_parse(struct op_log *log, const char *path, char *text, size_t len, struct diag *d) {
    struct reader r = {.path = path, .at = text, .end = text + len, .d = d};
    int next_card = 0;
    const char *form = "northwall-operations and a version that this program reads";
    *log = (struct op_log){0};
    expect(&r, "northwall-operations", 2, form);
    if (!r.rc) number(&r, 1, OPS_VERSION, OPS_VERSION, form);
    log->plan_hash = read_hash(&r, "plan", "plan and 16 hexadecimal digits");
    log->card_hash = read_hash(&r, "cards", "cards and 16 hexadecimal digits");
    read_name(&r, "model", log->model, sizeof log->model);
    read_name(&r, "strategy", log->strategy, sizeof log->strategy);
    read_name(&r, "cluster", log->cluster, sizeof log->cluster);
    read_sizes(&r, log);
    for (int i = 0; i < log->dp && !r.rc; i++)
        read_passes(&r, log, i);
    for (int i = 0; i < log->n_ranks && !r.rc; i++)
        read_rank(&r, log, i, &next_card);
    expect(&r, "end", 1, "end");
    if (!r.rc && r.at != r.end) fail(&r, "nothing behind the end");
    if (r.rc) op_log_fini(log);
    return r.rc;
}

int op_log_read(struct op_log *log, const char *path, struct diag *d) {
    char *text = NULL;
    size_t len = 0;
    *log = (struct op_log){0};
    int rc = text_read_file(path, MOST_BYTES, &text, &len, d);
    if (!rc) rc = op_log_parse(log, path, text, len, d);
    free(text);
    return rc;
}
