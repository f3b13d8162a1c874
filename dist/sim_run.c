/* sim_run.c - runs the code of a part of a pass on clocks, or applies what the same code did from the same relative
 * clocks before. */
#include <stdlib.h>
#include <string.h>

#include "sim_priv.h"

/* ---- times of work ---- */

static uint64_t hash_u64(uint64_t h, uint64_t v) {
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static int find_times(struct sim *s, struct sim_times *t, const struct sim_class *c, const struct sim_code *code,
                      const struct trace_pass *pass) {
    struct card_pass p = {pass->tokens, pass->wanted, pass->ctx_read, pass->ctx_sum};
    struct net_stamp *work = realloc(t->work, (size_t)(code->n_work + 1) * sizeof *work);
    if (!work) return diag_set(s->d, ERR_MEMORY, "no memory for the times of simulated steps");
    *t = (struct sim_times){code, pass->ctx_read, pass->ctx_sum, ++s->n_times, code->most_ps, work};
    for (int i = 0; i < code->n_steps;) {
        struct net_clock clock = {0};
        int at = code->step[i].work;
        for (; i < code->n_steps && code->step[i].work == at; i++) {
            const struct virtual_rank *v = &s->rank[c->first + code->step[i].rank];
            card_spend_step(&clock, v->card, &v->place, code->step[i].step, code->step[i].layer, &p);
        }
        work[at] = clock.now;
        t->most_ps = pico_add(t->most_ps, clock.now.ps);
    }
    return 0;
}

static int get_times(struct sim *s, struct sim_class *c, const struct trace_pass *pass, const struct sim_times **out) {
    struct sim_code *code;
    int rc = sim_code_get(s, c, pass, &code);
    if (rc) return rc;
    uint64_t h = hash_u64(hash_u64(code->number, (uint64_t)pass->ctx_read), (uint64_t)pass->ctx_sum);
    struct sim_times *t = &s->times[h % SIM_TIMES];
    if (t->code != code || t->ctx_read != pass->ctx_read || t->ctx_sum != pass->ctx_sum)
        rc = find_times(s, t, c, code, pass);
    *out = t;
    return rc;
}

/* ---- running ---- */

static void stamp_add(struct net_stamp *to, const struct net_stamp *more) {
    to->ps += more->ps;
    for (int i = 0; i < NET_SHARES; i++)
        to->share[i] += more->share[i];
}

static void receive_row(const struct sim *s, const struct sim_op *op, const struct sim_from *from,
                        struct net_clock *c) {
    uint64_t spent = s->c->net.tier[op->of].link.o_recv_ps;
    for (const struct sim_from *end = from + op->n; from < end; from++) {
        const struct net_row *row = &s->row[from->row];
        if (net_row_ps(row, from->index) > c->now.ps) c->now = net_row_stamp(row, from->index);
        c->now.ps += spent;
        c->now.share[NET_OVERHEAD] += spent;
    }
}

static void run_code(const struct sim *s, const struct sim_times *t, struct net_clock *clock) {
    const struct net *net = &s->c->net;
    const struct sim_op *end = t->code->op + t->code->n_ops;
    for (const struct sim_op *op = t->code->op; op < end; op++) {
        struct net_clock *c = &clock[op->rank];
        switch (op->doing) {
        case SIM_WORK: stamp_add(&c->now, &t->work[op->at]); break;
        case SIM_SPEND: net_spend(c, op->of, op->ps); break;
        case SIM_SEND: net_send_row(c, net, op->of, op->ps, op->n, &s->row[op->at]); break;
        case SIM_RECEIVE: receive_row(s, op, t->code->from + op->at, c);
        }
    }
}

/* ---- what has been run before ----
 *
 * An entry: number of the times, key, results. Inputs and results are, rank by rank, the time now and when each port is
 * free; results also what is sent. A result is an input and what is added to it. */

enum { MEMO_BYTES = 8 << 20, MEMO_MOST = 4096, FROM_SHIFT = 48 };

struct result {
    uint64_t from;
    struct net_stamp more;
};

static int n_inputs(const struct sim_class *c) {
    return c->size * (1 + c->n_ports);
}

static struct net_stamp *input(struct net_clock *clock, const struct sim_class *c, int i) {
    int port = i % (1 + c->n_ports);
    struct net_clock *at = &clock[i / (1 + c->n_ports)];
    return port ? &at->port_free[c->port[port - 1]] : &at->now;
}

/* The least time now; key and s->in get the inputs. */
static uint64_t read_inputs(const struct sim *s, const struct sim_class *c, const struct net_clock *clock) {
    uint64_t base = clock[0].now.ps, *key = s->key;
    struct net_stamp *in = s->in;
    for (int r = 1; r < c->size; r++)
        if (clock[r].now.ps < base) base = clock[r].now.ps;
    for (int r = 0; r < c->size; r++) {
        uint64_t now = clock[r].now.ps;
        *key++ = now - base;
        *in++ = clock[r].now;
        for (int i = 0; i < c->n_ports; i++) {
            const struct net_stamp *port = &clock[r].port_free[c->port[i]];
            *key++ = port->ps > now ? port->ps - now : 0;
            *in++ = *port;
        }
    }
    return base;
}

/* Runs the code from relative times; which input a time came from is kept far above its first share. */
static void learn(const struct sim *s, const struct sim_class *c, const struct sim_times *t, struct result *out) {
    int n = n_inputs(c), each = 1 + c->n_ports;
    for (int i = 0; i < n; i++)
        *input(s->clock, c, i) =
            (struct net_stamp){s->key[i] + (i % each ? s->key[i - i % each] : 0), {(uint64_t)i << FROM_SHIFT}};
    run_code(s, t, s->clock);
    for (int i = 0; i < n + t->code->n_out; i++) {
        out[i].more = i < n ? *input(s->clock, c, i) : s->row[i - n].first;
        out[i].from = out[i].more.share[0] >> FROM_SHIFT;
        out[i].more.share[0] &= (UINT64_C(1) << FROM_SHIFT) - 1;
        out[i].more.ps = 0;
        for (int k = 0; k < NET_SHARES; k++)
            out[i].more.ps += out[i].more.share[k];
    }
}

static void apply(const struct sim *s, const struct sim_class *c, const struct result *result, int n_out,
                  struct net_clock *clock, struct net_stamp *out) {
    for (int r = 0; r < c->size; r++)
        for (int i = 0; i <= c->n_ports; i++, result++) {
            struct net_stamp *to = i ? &clock[r].port_free[c->port[i - 1]] : &clock[r].now;
            *to = s->in[result->from];
            stamp_add(to, &result->more);
        }
    for (int i = 0; i < n_out; i++, result++) {
        out[i] = s->in[result->from];
        stamp_add(&out[i], &result->more);
    }
}

static void run_known(struct sim *s, struct sim_class *c, const struct sim_times *t, struct net_clock *clock,
                      struct net_stamp *out) {
    size_t n = (size_t)n_inputs(c);
    uint64_t h = t->number;
    read_inputs(s, c, clock);
    for (size_t i = 0; i < n; i++)
        h += s->key[i] * (UINT64_C(0x9e3779b97f4a7c15) * (2 * i + 1));
    uint64_t *entry = c->memo + (hash_u64(h, 0) % c->n_memo) * c->memo_words;
    struct result *result = (struct result *)(entry + 1 + n);
    if (entry[0] == t->number && memcmp(entry + 1, s->key, n * sizeof *s->key) == 0) {
        s->out->events_skipped += t->code->events;
    } else {
        entry[0] = t->number;
        memcpy(entry + 1, s->key, n * sizeof *s->key);
        learn(s, c, t, result);
    }
    apply(s, c, result, t->code->n_out, clock, out);
}

/* ---- parts ---- */

static int check_clocks(const struct sim *s, const struct sim_class *c, const struct sim_times *t, int first) {
    int late = t->most_ps >= SIM_MOST_PS;
    for (int r = first; r < first + c->size && !late; r++) {
        late = s->out->clock[r].now.ps >= SIM_MOST_PS;
        for (int i = 0; i < c->n_ports; i++)
            late |= s->out->clock[r].port_free[c->port[i]].ps >= SIM_MOST_PS;
    }
    return simulation_check(late ? SIM_MOST_PS : 0, s->d);
}

/* Worth it where there is much more to run than to keep. */
static int keeps(const struct sim_class *c, const struct sim_times *t) {
    int n = n_inputs(c);
    return t->code->n_single > 2 * n && n < 1 << (64 - FROM_SHIFT) && t->most_ps >> FROM_SHIFT == 0;
}

static int run_init(struct sim_class *c) {
    size_t results = (size_t)(n_inputs(c) + c->n_out);
    c->memo_words = 1 + (size_t)n_inputs(c) + results * (sizeof(struct result) / sizeof(uint64_t));
    for (c->n_memo = MEMO_MOST; c->n_memo > 1 && c->n_memo * c->memo_words * sizeof(uint64_t) > MEMO_BYTES;)
        c->n_memo /= 2;
    c->memo = calloc(c->n_memo * c->memo_words, sizeof *c->memo);
    return c->memo ? 0 : ERR_MEMORY;
}

int sim_run_init(struct sim *s) {
    int size = 0, inputs = 0, rc = 0;
    for (struct sim_class *c = s->classes; c && !rc; c = c->next) {
        rc = run_init(c);
        if (c->size > size) size = c->size;
        if (n_inputs(c) > inputs) inputs = n_inputs(c);
    }
    s->in = calloc((size_t)inputs, sizeof *s->in);
    s->key = calloc((size_t)inputs, sizeof *s->key);
    s->clock = calloc((size_t)size, sizeof *s->clock);
    return !rc && s->in && s->key && s->clock ? 0 : diag_set(s->d, ERR_MEMORY, "no memory for simulated ranks");
}

static int need_rows(struct sim *s, int n) {
    if (n <= s->most_rows) return 0;
    struct net_row *row = realloc(s->row, (size_t)n * sizeof *row);
    if (!row) return diag_set(s->d, ERR_MEMORY, "no memory for %d simulated messages", n);
    s->row = row;
    s->most_rows = n;
    return 0;
}

int sim_run(struct sim *s, const struct sim_part *part, int first, const struct trace_pass *pass,
            struct net_stamp *out) {
    const struct sim_times *t;
    struct net_clock *clock = &s->out->clock[first];
    int rc = get_times(s, part->class, pass, &t);
    if (!rc) rc = need_rows(s, t->code->n_rows + 1);
    for (int i = 0; i < part->times && !rc; i++) {
        rc = check_clocks(s, part->class, t, first);
        if (rc) break;
        s->out->events += t->code->events;
        if (keeps(part->class, t)) {
            run_known(s, part->class, t, clock, out);
            continue;
        }
        run_code(s, t, clock);
        for (int k = 0; k < t->code->n_out; k++)
            out[k] = s->row[k].first;
    }
    return rc;
}

void sim_run_fini(struct sim *s) {
    for (int i = 0; i < SIM_TIMES; i++)
        free(s->times[i].work);
    free(s->row);
    free(s->in);
    free(s->key);
    free(s->clock);
}
