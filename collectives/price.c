/* price.c - clocks on described links. */
#include "collectives/price.h"

/* Bandwidths of one core copying what another has written, and of 10 GbE-class messages; latencies of hand-offs within
 * a socket, of two copies through shared memory, and of a network. */
const struct net net_default = {
    .n_tiers = 3,
    .tier = {{"shm", "assumed", {1, 100 * PICO_PER_NS, 20 * PICO_PER_NS, 20 * PICO_PER_NS, 0, .G = {50, 1}}},
             {"mpi", "assumed", {0, 500 * PICO_PER_NS, 300 * PICO_PER_NS, 300 * PICO_PER_NS, 0, .G = {200, 1}}},
             {"net", "assumed", {0, 10 * PICO_PER_US, 1 * PICO_PER_US, 1 * PICO_PER_US, 0, .G = {800, 1}}}},
    .gamma = {10, 1},
    .copy = {10, 1},
    .codec = {200, 1},
};

/* What does not fit is left out of the share too, so that shares always sum to the time. */
static void stamp_add(struct net_stamp *s, enum net_share share, uint64_t ps) {
    uint64_t sum = pico_add(s->ps, ps);
    s->share[share] += sum - s->ps;
    s->ps = sum;
}

/* The later of two, with what it is made of; `a` where they are equal. */
static struct net_stamp stamp_max(const struct net_stamp *a, const struct net_stamp *b) {
    return b->ps > a->ps ? *b : *a;
}

enum net_share net_greatest(const struct net_stamp *s) {
    enum net_share most = 0;
    for (enum net_share i = 1; i < NET_SHARES; i++)
        if (s->share[i] > s->share[most]) most = i;
    return most;
}

void net_spend(struct net_clock *c, enum net_share share, uint64_t ps) {
    stamp_add(&c->now, share, ps);
}

struct net_stamp net_ready(struct net_clock *c, const struct net *net, int tier) {
    net_spend(c, NET_OVERHEAD, net->tier[tier].link.o_send_ps);
    return c->now;
}

void net_carry_words(struct net_stamp *free, const struct net *net, int tier, const struct net_stamp *ready,
                     uint64_t words_ps, uint64_t alone_ps, struct net_stamp *arrival) {
    const struct net_link *link = &net->tier[tier].link;
    *arrival = *free = stamp_max(ready, free);
    stamp_add(arrival, NET_BANDWIDTH, words_ps);
    if (link->g_ps > words_ps)
        stamp_add(free, NET_OVERHEAD, link->g_ps);
    else
        *free = *arrival;
    stamp_add(arrival, NET_LATENCY, link->L_ps);
    if (!link->via_host) return;
    stamp_add(arrival, NET_BANDWIDTH, alone_ps);
    stamp_add(arrival, NET_LATENCY, link->L_ps);
}

uint64_t net_alone(const struct net_link *link, uint64_t k) {
    uint64_t words_ps = pico_of(k, link->G), port_ps = link->port.den ? pico_of(k, link->port) : 0;
    return port_ps > words_ps ? port_ps : words_ps;
}

uint64_t net_lag(const struct net_link *link, uint64_t alone_ps) {
    return link->via_host ? pico_add(alone_ps, pico_add(link->L_ps, link->L_ps)) : link->L_ps;
}

struct net_stamp net_carry(struct net_stamp *free, const struct net *net, int tier, const struct net_stamp *ready,
                           uint64_t k) {
    struct net_stamp arrival;
    uint64_t words_ps = pico_of(k, net->tier[tier].link.G);
    net_carry_words(free, net, tier, ready, words_ps, words_ps, &arrival);
    return arrival;
}

void net_send_words(struct net_clock *c, const struct net *net, int tier, uint64_t words_ps,
                    struct net_stamp *arrival) {
    struct net_stamp ready = net_ready(c, net, tier);
    if (!net->tier[tier].link.pull) {
        net_carry_words(&c->port_free[tier], net, tier, &ready, words_ps, words_ps, arrival);
        return;
    }
    *arrival = ready;
    stamp_add(arrival, NET_LATENCY, net->tier[tier].link.L_ps);
}

/* Of m more messages, how many find the port busy: each wants it `wants` later than the one before, and it takes each
 * `takes`; it is free again `ahead` >= takes after the first wanted it. */
static uint64_t find_busy(uint64_t ahead, uint64_t wants, uint64_t takes, uint64_t m) {
    if (ahead <= wants) return 0;
    if (wants <= takes) return m;
    uint64_t n = (ahead - takes - 1) / (wants - takes);
    return n < m ? n : m;
}

void net_send_row(struct net_clock *c, const struct net *net, int tier, uint64_t words_ps, int n, struct net_row *out) {
    const struct net_link *link = &net->tier[tier].link;
    struct net_stamp *free = &c->port_free[tier];
    uint64_t more = (uint64_t)n - 1, wants = link->o_send_ps;
    net_send_words(c, net, tier, words_ps, &out->first);
    out->n_first = n;
    if (!more) return;
    int gap = link->g_ps > words_ps;
    out->step = link->pull ? wants : gap ? link->g_ps : words_ps;
    out->of = link->pull || gap ? NET_OVERHEAD : NET_BANDWIDTH;
    uint64_t busy = link->pull ? more : find_busy(free->ps - c->now.ps, wants, out->step, more);
    stamp_add(&c->now, NET_OVERHEAD, busy * wants);
    if (!link->pull) stamp_add(free, out->of, busy * out->step);
    if (busy == more) return;
    out->n_first = 1 + (int)busy;
    out->then_step = wants;
    net_send_words(c, net, tier, words_ps, &out->then);
    uint64_t rest = (more - busy - 1) * wants;
    stamp_add(&c->now, NET_OVERHEAD, rest);
    stamp_add(free, NET_OVERHEAD, rest);
}

struct net_stamp net_row_stamp(const struct net_row *r, int i) {
    int later = i >= r->n_first;
    struct net_stamp s = later ? r->then : r->first;
    if (later)
        stamp_add(&s, NET_OVERHEAD, (uint64_t)(i - r->n_first) * r->then_step);
    else if (i > 0)
        stamp_add(&s, r->of, (uint64_t)i * r->step);
    return s;
}

struct net_stamp net_send(struct net_clock *c, const struct net *net, int tier, uint64_t k) {
    struct net_stamp arrival;
    net_send_words(c, net, tier, pico_of(k, net->tier[tier].link.G), &arrival);
    return arrival;
}

struct net_stamp net_credit(const struct net_clock *c, const struct net *net, int tier) {
    struct net_stamp stamp = c->now;
    stamp_add(&stamp, NET_LATENCY, net_lag(&net->tier[tier].link, 0));
    return stamp;
}

void net_wait(struct net_clock *c, const struct net_stamp *stamp) {
    c->now = stamp_max(&c->now, stamp);
}

void net_recv(struct net_clock *c, const struct net *net, int tier, const struct net_stamp *stamp) {
    net_wait(c, stamp);
    net_spend(c, NET_OVERHEAD, net->tier[tier].link.o_recv_ps);
}

void net_read(struct net_clock *c, const struct net *net, int tier, uint64_t k) {
    net_spend(c, NET_BANDWIDTH, pico_of(k, net->tier[tier].link.G));
}

void net_reduce(struct net_clock *c, const struct net *net, uint64_t k) {
    net_spend(c, NET_COMPUTE, pico_of(k, net->gamma));
}

void net_copy(struct net_clock *c, const struct net *net, uint64_t k) {
    net_spend(c, NET_MEMORY, pico_of(k, net->copy));
}

void net_codec(struct net_clock *c, const struct net *net, uint64_t k) {
    net_spend(c, NET_COMPUTE, pico_of(k, net->codec));
}

int net_tier(const struct net *net, const struct coll_shape *shape, int shm, int a, int b) {
    int near = !shape->domain || shape->domain[a] == shape->domain[b], pull = net->tier[0].link.pull;
    int tier = !pull ? !near : !near ? 2 : shm ? 0 : 1;
    return tier < net->n_tiers ? tier : net->n_tiers - 1;
}

uint64_t coll_floor_ps(enum coll_kind kind, int size, const struct net *net, uint64_t bytes) {
    const struct net_link *link = &net->tier[0].link;
    if (size < 2 || bytes == 0) return 0;
    uint64_t p = (uint64_t)size, once = bytes / p * (p - 1) + bytes % p * (p - 1) / p;
    uint64_t lacks = kind == COLL_ALLREDUCE ? bytes / p * (2 * p - 2) + bytes % p * (2 * p - 2) / p : once;
    uint64_t hand_off = net->flag_ps ? net->flag_ps : pico_add(link->L_ps, pico_add(link->o_send_ps, link->o_recv_ps));
    return pico_add(hand_off, pico_of(lacks, link->G));
}
