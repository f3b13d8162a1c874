/* What the simulator says of all-reduces and pipelines on a described cluster, as cases for play.c, and the cluster as
 * a platform of an independent simulator: cases CLUSTER.yaml private|fifo|fluid FOLDER. There each card has a link of
 * its own to every other one that carries one message at a time: its port, as none of the cases send to two cards of a
 * tier at once. What is said of a fair medium (fluid) are replays of messages between pairs of cards. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "dist/one_reduce.h"
#include "dist/replay.h"

enum { RANKS = 8, SEQS = 3, ROUNDS = 12, PAIR_CASES = 6 };

static struct cluster c;
static enum net_medium shared; /* but for NET_PRIVATE: all of its links are one medium */

static FILE *open_in(const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL, "cannot write %s", path);
    if (!f) exit(1);
    return f;
}

static const struct net_link *link_of(int a, int b) {
    return &c.net.tier[cluster_tier(&c, a, b)].link;
}

static void put_platform(const char *folder) {
    FILE *f = open_in(folder, "platform.xml"), *hosts = open_in(folder, "hosts"), *flags = open_in(folder, "flags");
    const struct net_link *l = &c.net.tier[0].link;
    fputs("<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
          "<platform version=\"4.1\"><zone id=\"cards\" routing=\"Full\">\n",
          f);
    for (int i = 0; i < RANKS; i++) {
        fprintf(f, "<host id=\"card%d\" speed=\"1Gf\"/>\n", i);
        fprintf(hosts, "card%d\n", i);
    }
    for (int i = 0; i < (shared ? 1 : RANKS * RANKS); i++) {
        const struct net_link *k = shared ? l : link_of(i / RANKS, i % RANKS);
        fprintf(f, "<link id=\"%d\" bandwidth=\"%.17gBps\" latency=\"%" PRIu64 "ps\"/>\n", i,
                1e12 * (double)k->G.den / (double)k->G.num, k->L_ps);
        CHECK(k->o_send_ps == l->o_send_ps && k->o_recv_ps == l->o_recv_ps && !k->pull, "links of unequal overheads");
    }
    for (int i = 0; i < RANKS && l->port.den; i++)
        fprintf(f, "<link id=\"port%d\" bandwidth=\"%.17gBps\" latency=\"0ps\"/>\n", i,
                1e12 * (double)l->port.den / (double)l->port.num);
    for (int i = 0; i < RANKS * RANKS; i++) {
        if (i / RANKS == i % RANKS) continue;
        fprintf(f, "<route src=\"card%d\" dst=\"card%d\" symmetrical=\"NO\"><link_ctn id=\"%d\"/>", i / RANKS,
                i % RANKS, shared ? 0 : i);
        if (l->port.den) fprintf(f, "<link_ctn id=\"port%d\"/>", i / RANKS);
        fputs("</route>\n", f);
    }
    fputs("</zone></platform>\n", f);
    fprintf(flags, "--cfg=smpi/ois:0:%.15g:0 --cfg=smpi/or:0:%.15g:0\n", 1e-12 * (double)l->o_send_ps,
            1e-12 * (double)l->o_recv_ps);
    fclose(f);
    fclose(hosts);
    fclose(flags);
}

/* Every message and every sum is rounded to whole picoseconds here, each by 1/2 at most. */
static void put_reduce(FILE *f, const char *algo, int size, int tokens) {
    struct one_reduce o = {.size = size, .tokens = tokens};
    struct diag d = {0};
    uint64_t most = 0, bytes = 4 * REDUCE_WIDTH * (uint64_t)tokens;
    int rc = one_reduce(&o, &c, algo, &d);
    CHECK(rc == 0, "%s", d.text);
    for (int r = 0; r < size && !rc; r++) {
        CHECK(o.start_ps[r] == o.start_ps[0], "ranks that do not begin together");
        if (o.end_ps[r] > most) most = o.end_ps[r];
    }
    fprintf(f, "%s-%d-of-%d %" PRIu64 " %d %s %d %" PRIu64 " %.3f\n", algo, tokens, size, most - o.start_ps[0],
            2 * (size - 1) * (shared ? size : 1), algo, size, bytes,
            (double)bytes * (double)c.net.gamma.num / (double)c.net.gamma.den);
}

static uint64_t stage_ps(const struct plan *p, int rank, const struct trace_pass *t) {
    const struct plan_rank *k = &p->ranks[rank];
    const struct card_pass pass = {t->tokens, t->wanted, t->ctx_read, t->ctx_sum};
    struct virtual_rank v;
    struct diag d = {0};
    CHECK(virtual_rank_init(&v, &c, p, rank, &d) == 0, "%s", d.text);
    for (int i = 0; i < k->prologue->n; i++)
        card_spend_step(&v.clock, v.card, &v.place, &k->prologue->step[i], -1, &pass);
    for (int l = k->shard.layer0; l < k->shard.layer1; l++)
        for (int i = 0; i < k->layers[l - k->shard.layer0]->n; i++)
            card_spend_step(&v.clock, v.card, &v.place, &k->layers[l - k->shard.layer0]->step[i], l, &pass);
    for (int i = 0; i < k->epilogue->n; i++)
        card_spend_step(&v.clock, v.card, &v.place, &k->epilogue->step[i], -1, &pass);
    return v.clock.now.ps;
}

static void put_passes(FILE *f, const struct plan *p, const struct trace *t, const struct simulation *s) {
    uint64_t most = 0;
    int full = 0;
    for (int i = 0; i < t->n; i++) {
        if (s->taken[0][i].ps > most) most = s->taken[0][i].ps;
        full += t->pass[i].tokens > 0;
    }
    fprintf(f, "pipeline-of-%d %" PRIu64 " %d pipeline %d %d\n", p->n_ranks, most, full + p->n_ranks, p->n_ranks, full);
    for (int i = 0; i < t->n; i++) {
        const struct trace_pass *k = &t->pass[i];
        if (k->tokens == 0) continue;
        fprintf(f, "%d %d %d", k->micro, 24 + k->tokens * (16 + 4 * p->shape.d_model),
                k->wanted ? 16 + 24 * k->returned : 0);
        for (int r = 0; r < p->n_ranks; r++)
            fprintf(f, " %" PRIu64, stage_ps(p, r, k));
        fputc('\n', f);
    }
}

/* Empty passes, which end micro-batches when all their tokens are known, are left out: nothing waits for them. */
static void put_pipeline(FILE *f, const char *strategy) {
    static const int ids[24], len[SEQS] = {24, 17, 20};
    const int *prompt[SEQS] = {ids, ids, ids};
    struct model_shape shape;
    struct strategy st;
    struct plan *p = NULL;
    struct trace t = {0};
    struct simulation s = {0};
    struct diag d = {0};
    struct plan_opts opts = {
        .decoder =
            {.linear_bits = ACT_I8, .head_bits = ACT_I8, .n_seqs = SEQS, .n_ctx = 64, .max_tokens = 16, .threads = 1},
        .n_micro = SEQS,
        .transport = COLL_TRANSPORT_LINK,
        .net = &c.net};
    struct engine_job job = {.n_seqs = SEQS, .prompt = prompt, .prompt_len = len, .n_new = 6, .chunk = 16};
    int rc = preset_shape(&shape, "tinyllama-1.1b", NULL, 0, &d);
    if (!rc) rc = strategy_parse(&st, strategy, &d);
    if (!rc) rc = plan_make(&p, &shape, &st, strategy_ranks(&st), &opts, &d);
    if (!rc) rc = trace_fixed(&t, p, &job, 0, &d);
    if (!rc) rc = simulate(&s, p, &c, &t, &d);
    CHECK(rc == 0, "%s", d.text);
    if (!rc) put_passes(f, p, &t, &s);
    simulation_fini(&s);
    trace_fini(&t);
    plan_free(p);
}

/* ---- a fair medium ---- */

static void add(struct op_log *log, int rank, int what, int peer, uint64_t amount) {
    CHECK(op_list_add(&log->rank[rank],
                      &(struct op){.amount = amount, .peer = peer, .layer = -1, .what = (uint8_t)what}) == 0,
          "no memory");
}

static uint64_t last_ps(const struct op_log *log, const struct cluster *on) {
    struct simulation s = {0};
    struct diag d = {0};
    uint64_t last = 0;
    int rc = replay(&s, log, on, NULL, &d);
    CHECK(rc == 0, "%s", d.text);
    for (int r = 0; r < RANKS && !rc; r++)
        if (s.clock[r].now.ps > last) last = s.clock[r].now.ps;
    simulation_fini(&s);
    return last;
}

/* Cards in pairs, each with a ball that goes to and fro, of another size and held for another time in each round: so
 * senders have one message under way, and the messages of the pairs meet in all ways. */
static void put_pairs(FILE *f, uint64_t key) {
    struct op_log log = {.card_hash = ops_card_hash(&c, RANKS), .n_ranks = RANKS, .dp = 1, .users = 1};
    struct diag d = {0};
    uint64_t n = 0, scale = pico_of(1000000, c.net.tier[0].link.G);
    char *lines = NULL;
    size_t size = 0;
    FILE *text = open_memstream(&lines, &size);
    int rc = op_log_allocate(&log, &d);
    for (int r = 0; r < RANKS && !rc; r++)
        log.card[r] = r;
    for (int i = 0, half = RANKS / 2; i < ROUNDS * half && !rc; i++) {
        int a = i % half + i / half % 2 * half, b = (a + half) % RANKS;
        uint64_t held = rng_u64(key, n++) % scale, bytes = 100 + rng_u64(key, n++) % 1000000;
        add(&log, a, NET_COMPUTE, -1, held);
        add(&log, a, OP_SEND, b, bytes);
        add(&log, b, OP_RECEIVE, a, 0);
        fprintf(text, "%" PRIu64 " %" PRIu64 "\n", held, bytes);
    }
    fclose(text);
    struct cluster apart = c;
    apart.net.tier[0].link.medium = NET_PRIVATE;
    apart.net.tier[0].link.G = c.net.tier[0].link.port;
    uint64_t most = rc ? 0 : last_ps(&log, &c);
    CHECK(!rc && last_ps(&log, &apart) < most, "%s: messages never meet", d.text);
    fprintf(f, "pairs-%" PRIu64 " %" PRIu64 " %d pairs %d %d\n%s", key, most, ROUNDS * RANKS / 2, RANKS, ROUNDS, lines);
    op_log_fini(&log);
    free(lines);
}

/* The first link is one medium; each card has a port that alone fills two fifths of a fair one. */
static void set_medium(const char *name) {
    struct net_link *l = &c.net.tier[0].link;
    shared = l->medium = !strcmp(name, "fifo") ? NET_FIFO : !strcmp(name, "fluid") ? NET_FLUID : NET_PRIVATE;
    if (shared) c.net.n_tiers = 1;
    if (shared) c.joins[0] = 0;
    if (shared == NET_FLUID) l->port = (struct pico_rate){5 * l->G.num, 2 * l->G.den};
}

int main(int argc, char **argv) {
    struct diag d = {0};
    CHECK(argc == 4 && cluster_read(&c, argv[1], &d) == 0, "cases CLUSTER.yaml private|fifo|fluid FOLDER: %s", d.text);
    if (check_failed) return check_report("cases");
    set_medium(argv[2]);
    c.n_cards = 0;
    c.card.level[c.card.n_levels - 1].bytes = 0; /* all fits */
    put_platform(argv[3]);
    FILE *f = open_in(argv[3], "cases");
    for (uint64_t i = 0; i < PAIR_CASES && shared == NET_FLUID; i++)
        put_pairs(f, i);
    for (int size = 2; size <= RANKS && shared != NET_FLUID; size *= 2)
        for (int tokens = 1; tokens <= 4; tokens += 3) {
            put_reduce(f, "ring", size, tokens);
            put_reduce(f, "recdbl", size, tokens);
        }
    if (shared != NET_FLUID) put_pipeline(f, "pp4");
    if (shared != NET_FLUID) put_pipeline(f, "pp8");
    fclose(f);
    return check_failed != 0;
}
