/* Described clusters: what is read, and that everything else is an error with file, line and remedy. */
#include "partition/cluster.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "check.h"

static const char good[] = "# measured\n"
                           "schema: northwall-cluster\n"
                           "version: 1\n"
                           "name: two\n"
                           "card:\n"
                           "  memory:\n"
                           "    bandwidth: {value: 24.1 GB/s, source: \"measured, n = 41\"}\n"
                           "work:\n"
                           "  reduce: {value: 40 GB/s, source: a}\n"
                           "hand_off: {value: 49 ns, source: b}\n"
                           "links:\n"
                           "  - name: shm\n"
                           "    transfer: pull\n"
                           "    latency: {value: 0.05 us, source: c}\n"
                           "    send_overhead: {value: 20 ns, source: d}\n"
                           "    bandwidth: {value: 12.5 GB/s, source: e}\n"
                           "  - name: net\n"
                           "    transfer: push\n"
                           "    latency: {value: 1.5 us, source: f}\n"
                           "    message_gap: {value: 300 ps, source: g}\n"
                           "    bandwidth: {value: 100 Gb/s, source: h}\n";

static void check_good(void) {
    struct cluster c;
    struct diag d = {0};
    CHECK(cluster_parse(&c, "good.yaml", good, strlen(good), &d) == 0, "%s", d.text);
    CHECK(!strcmp(c.name, "two") && c.memory_Bps.value == 24100000000 &&
              !strcmp(c.memory_Bps.source, "measured, n = 41") && c.memory_alone_Bps.value == 0,
          "name and card");
    const struct net_link *shm = &c.net.tier[0].link, *net = &c.net.tier[1].link;
    CHECK(c.net.n_tiers == 2 && !strcmp(c.net.tier[0].name, "shm") && !strcmp(c.net.tier[1].source, "f"), "tiers");
    CHECK(shm->pull == 1 && shm->L_ps == 50000 && shm->o_send_ps == 20000 && shm->o_recv_ps == 0 && shm->g_ps == 0 &&
              shm->G.num == 80 && shm->G.den == 1,
          "shm");
    CHECK(net->pull == 0 && net->L_ps == 1500000 && net->g_ps == 300 && net->G.num == 80, "net");
    CHECK(c.net.gamma.num == 25 && c.net.gamma.den == 1 && c.net.copy.num == net_default.copy.num &&
              c.net.flag_ps == 49000,
          "work");
}

static const char described[] = "schema: northwall-cluster\n"
                                "version: 1\n"
                                "name: eight\n"
                                "cards: 8\n"
                                "card:\n"
                                "  name: chip\n"
                                "  memory:\n"
                                "    levels:\n"
                                "      - name: core\n"
                                "        capacity: {value: 192 MiB, source: a}\n"
                                "        bandwidth: {value: 13 TB/s, source: b}\n"
                                "        latency: {value: 3 ns, source: c}\n"
                                "        energy: {value: 0.5 pJ/bit, source: d}\n"
                                "      - name: outer\n"
                                "        bandwidth: {value: 250 GB/s, source: e}\n"
                                "  rates:\n"
                                "    float: {value: 0.5 TFLOP/s, source: f}\n"
                                "    int4: {value: 2 Pop/s, source: g}\n"
                                "  overhead:\n"
                                "    step: {value: 0.5 us, source: h}\n"
                                "    pass: {value: 10 us, source: i}\n"
                                "  power:\n"
                                "    idle: {value: 12.5 W, source: j}\n"
                                "    active: {value: 0.042 kW, source: k}\n"
                                "  energy:\n"
                                "    int4: {value: 20 fJ/op, source: l}\n"
                                "  transistors: {value: 22 billion, source: m}\n"
                                "host:\n"
                                "  name: server\n"
                                "  overhead:\n"
                                "    pass: {value: 7 us, source: n}\n"
                                "work:\n"
                                "  reduce: {value: 1 TB/s, source: o}\n"
                                "  copy: {value: 2 TB/s, source: p}\n"
                                "  codec: {value: 500 GB/s, source: q}\n"
                                "links:\n"
                                "  - name: switch\n"
                                "    transfer: push\n"
                                "    joins: 2\n"
                                "    latency: {value: 1 us, source: r}\n"
                                "    bandwidth: {value: 8 GB/s, source: s}\n"
                                "    energy: {value: 44.5 pJ/B, source: t}\n"
                                "  - name: socket\n"
                                "    transfer: via-host\n"
                                "    joins: 4\n"
                                "    latency: {value: 2 us, source: u}\n"
                                "    bandwidth: {value: 8 GB/s, source: v}\n"
                                "  - name: rack\n"
                                "    transfer: push\n"
                                "    joins: 8\n"
                                "    latency: {value: 3 us, source: w}\n"
                                "    bandwidth: {value: 4 GB/s, source: x}\n"
                                "exceptions:\n"
                                "  - cards: 3-5,7\n"
                                "    speed: {value: 0.8 x, source: y}\n"
                                "  - cards: 4\n"
                                "    speed: {value: 1.25x, source: z}\n";

static void check_described(void) {
    struct cluster c;
    struct diag d = {0};
    CHECK(cluster_parse(&c, "card.yaml", described, strlen(described), &d) == 0, "%s", d.text);
    const struct card *k = &c.card;
    CHECK(cluster_has_card(&c) && c.n_cards == 8 && !strcmp(k->name, "chip") && k->n_levels == 2, "card");
    CHECK(k->level[0].bytes == 201326592 && k->level[0].G.num == 1 && k->level[0].G.den == 13 &&
              k->level[0].latency_ps == 3000 && k->level[0].pJ_per_B == 4 && !strcmp(k->level[0].name, "core"),
          "core");
    CHECK(k->level[1].bytes == 0 && k->level[1].G.num == 4 && k->level[1].G.den == 1 && k->level[1].latency_ps == 0 &&
              k->level[1].pJ_per_B == 0,
          "outer");
    CHECK(k->op[PREC_F32].num == 2 && k->op[PREC_F32].den == 1 && k->op[PREC_I8].den == 0 && k->op[PREC_I4].num == 1 &&
              k->op[PREC_I4].den == 2000,
          "rates");
    CHECK(k->step_ps == 500000 && k->pass_ps == 10000000 && k->idle_W == 12.5 && k->active_W == 42 &&
              k->pJ_per_op[PREC_I4] == 0.02 && k->pJ_per_op[PREC_I8] == 0 && k->transistors == 22e9,
          "overheads and power");
    CHECK(c.has_host && !strcmp(c.host.name, "server") && c.host.pass_ps == 7000000 && c.host.n_levels == 0, "host");
    CHECK(c.net.gamma.num == 1 && c.net.gamma.den == 1 && c.net.codec.num == 2, "work");
    CHECK(!c.net.tier[0].link.via_host && c.net.tier[1].link.via_host && !c.net.tier[1].link.pull, "transfer");
    CHECK(c.net.n_tiers == 3 && c.link_pJ_per_B[0] == 44.5 && c.link_pJ_per_B[1] == 0 && c.joins[1] == 4, "links");
}

/* A share of the bandwidth, and of all rates. */
static void check_efficiency(void) {
    char text[4096];
    const char *at = strstr(described, "        latency"), *rates = strstr(described, "    int4: {value: 2 P");
    struct cluster c;
    struct diag d = {0};
    snprintf(text, sizeof text,
             "%.*s        efficiency: {value: 0.8 x, source: s}\n%.*s    efficiency: {value: 0.5 x, source: t}\n%s",
             (int)(at - described), described, (int)(rates - at), at, rates);
    CHECK(cluster_parse(&c, "share.yaml", text, strlen(text), &d) == 0, "%s", d.text);
    CHECK(c.card.level[0].G.num == 5 && c.card.level[0].G.den == 52 && c.card.level[0].efficiency == 800000, "core");
    CHECK(c.card.level[1].G.num == 4 && c.card.level[1].efficiency == 0, "outer");
    CHECK(c.card.op[PREC_F32].num == 4 && c.card.op[PREC_I4].den == 1000 && c.card.op[PREC_I8].den == 0, "rates");
    snprintf(text, sizeof text, "%.*s        efficiency: {value: 1.1 x, source: s}\n%s", (int)(at - described),
             described, at);
    CHECK(cluster_parse(&c, "share.yaml", text, strlen(text), &d) == ERR_FORMAT &&
              strstr(d.text, "share.yaml:12: efficiency '1.1 x': from 1e-06 to 1 x are possible"),
          "%s", d.text);
}

/* The described card with these lines behind its name. */
static int parse_with(struct cluster *c, const char *lines, struct diag *d) {
    char text[8192];
    const char *at = strstr(described, "  memory:");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - described), described, lines, at);
    return cluster_parse(c, "steps.yaml", text, strlen(text), d);
}

static void check_steps(void) {
    struct cluster c;
    struct diag d = {0};
    CHECK(parse_with(&c,
                     "  steps:\n"
                     "    - kind: ffn_act\n"
                     "      overhead: {value: 2 ns, source: a}\n"
                     "      efficiency: {value: 0.25 x, source: a}\n"
                     "    - kind: head\n"
                     "      efficiency: {value: 2 x, source: a}\n",
                     &d) == 0,
          "%s", d.text);
    const struct card_step *act = &c.card.step[STEP_FFN_ACT], *head = &c.card.step[STEP_HEAD];
    CHECK(act->overhead_ps == 2000 && act->slow.num == 4 && act->slow.den == 1, "activation");
    CHECK(head->overhead_ps == 0 && head->slow.num == 1 && head->slow.den == 2, "head");
    CHECK(c.card.step[STEP_QKV].slow.den == 0 && c.host.step[STEP_HEAD].slow.den == 0, "all others");
    CHECK(parse_with(&c, "  steps:\n    - kind: ffn_reduce\n", &d) == ERR_FORMAT &&
              strstr(d.text, "unknown kind of step 'ffn_reduce': valid are embed, attn_norm, qkv, rope, attention"),
          "%s", d.text);
    d = (struct diag){0};
    CHECK(parse_with(&c, "  steps:\n    - kind: head\n    - kind: head\n", &d) == ERR_FORMAT &&
              strstr(d.text, "given twice"),
          "%s", d.text);
}

static void check_levels(void) {
    char text[8192];
    const char *at = strstr(described, "        latency");
    struct cluster c;
    struct diag d = {0};
    snprintf(text, sizeof text, "%.*s        bandwidth_alone: {value: 20 TB/s, source: a}\n        holds: whole\n%s",
             (int)(at - described), described, at);
    CHECK(cluster_parse(&c, "levels.yaml", text, strlen(text), &d) == 0, "%s", d.text);
    CHECK(c.card.level[0].alone.num == 1 && c.card.level[0].alone.den == 20 && c.card.level[0].whole == 1 &&
              c.card.level[1].alone.den == 0 && c.card.level[1].whole == 0,
          "levels");
}

static void check_exceptions(void) {
    static const uint64_t speed[8] = {1, 1, 1, 800000, 1250000, 800000, 1, 800000};
    struct cluster c;
    CHECK(cluster_parse(&c, "t", described, strlen(described), NULL) == 0, "described");
    for (int i = 0; i < 8; i++)
        CHECK(cluster_slow(&c, i).den == speed[i] && cluster_slow(&c, i).num == (speed[i] > 1 ? 1000000 : 1), "%d", i);
    static const char *const bad[] = {"", "8", "2-", "-2", "3-2", "1,", ",1", "1;2", "1-2-3", "a", "123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(cluster_except(&c, bad[i], 500000) != 0, "'%s' are cards", bad[i]);
    c.n_cards = 0;
    CHECK(cluster_except(&c, "8", 500000) == 0 && cluster_slow(&c, 8).den == 500000, "as many as asked");
}

static void check_tiers(void) {
    struct cluster c;
    static const int pairs[][3] = {{0, 0, 0}, {0, 1, 0}, {1, 2, 1}, {3, 0, 1},
                                   {2, 3, 0}, {3, 4, 2}, {7, 0, 2}, {7, 4, 1}};
    CHECK(cluster_parse(&c, "t", described, strlen(described), NULL) == 0, "described");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        CHECK(cluster_tier(&c, pairs[i][0], pairs[i][1]) == pairs[i][2], "cards %d and %d", pairs[i][0], pairs[i][1]);
    CHECK(cluster_parse(&c, "t", good, strlen(good), NULL) == 0 && !cluster_has_card(&c) && !c.has_host, "measured");
}

/* A fair medium of the first link, and its senders' own rate. */
static void check_medium(void) {
    char text[4096];
    struct cluster c;
    const char *at = strstr(described, "    joins: 2");
    snprintf(text, sizeof text, "%.*s    medium: fluid\n    port_bandwidth: {value: 2 GB/s, source: s}\n%s",
             (int)(at - described), described, at);
    CHECK(cluster_parse(&c, "t", text, strlen(text), NULL) == 0, "a fair medium");
    const struct net_link *fluid = &c.net.tier[0].link, *other = &c.net.tier[1].link;
    CHECK(fluid->medium == NET_FLUID && fluid->port.num == 500 && fluid->port.den == 1, "fluid");
    CHECK(other->medium == NET_PRIVATE && other->port.den == 0 && fluid->o_send_ps == 0 && fluid->pull == 0, "private");
}

/* The text that check_bad changes. */
static const char *right = good;

/* It with its first `from` replaced by `to`: the error names line and words. */
static void check_bad(const char *from, const char *to, int line, const char *words) {
    char text[4096], where[32];
    struct cluster c;
    struct diag d = {0};
    const char *at = strstr(right, from);
    CHECK(at, "'%s' is not in the text", from);
    if (!at) return;
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - right), right, to, at + strlen(from));
    snprintf(where, sizeof where, "bad.yaml:%d: ", line);
    CHECK(cluster_parse(&c, "bad.yaml", text, strlen(text), &d) == ERR_FORMAT, "'%s' is accepted", to);
    CHECK(!strncmp(d.text, where, strlen(where)) && strstr(d.text, words), "'%s': %s", to, d.text);
}

static void check_errors(void) {
    check_bad("  reduce:", "  redace:", 9, "unknown key 'redace': valid are reduce, copy, codec");
    check_bad("    latency:", "    latancy:", 14, "valid are name, transfer, medium, joins, latency, send_overhead");
    check_bad("source: a", "origin: a", 9, "valid are value, source");
    check_bad("49 ns", "49 parsecs", 10, "'49 parsecs': write a number and one of ps, ns, us, ms, s");
    check_bad("49 ns", "49", 10, "write a number and one of");
    check_bad("49 ns", "-49 ns", 10, "write a number");
    check_bad("49 ns", "0x31 ns", 10, "write a number");
    check_bad("49 ns", "inf ns", 10, "write a number");
    check_bad("49 ns", "49 GB/s", 10, "one of ps");
    check_bad("49 ns", "1e30 ns", 10, "from 0 to 1e+15 ns are possible");
    check_bad("12.5 GB/s", "0 GB/s", 16, "from 1e-09 to 1e+09 GB/s are possible");
    check_bad("12.5 GB/s", "12.5 ns", 16, "one of B/s, kB/s, MB/s, GB/s");
    check_bad("{value: 49 ns, source: b}", "49 ns", 10, "write {value: NUMBER UNIT, source: TEXT}");
    check_bad(", source: b", "", 10, "it needs both value and source");
    check_bad("value: 49 ns, ", "", 10, "it needs both value and source");
    check_bad("source: b", "source: b, source: c", 10, "key given twice: 'source'");
    check_bad("transfer: pull", "transfer: shove", 13, "transfer 'shove': valid are push, pull, via-host");
    check_bad("transfer: pull\n", "\n", 12, "the key transfer is missing");
    check_bad("version: 1", "version: 2", 3, "this program reads version 1");
    check_bad("version: 1\n", "\n", 2, "the key version is missing");
    check_bad("northwall-cluster", "another", 2, "northwall-cluster is expected");
    check_bad("name: two", "name: two\nname: three", 5, "key given twice: 'name'");
    check_bad("name: two", "name: [two]", 4, "a text is expected");
    check_bad("name: two", "name: \"t\\ewo\"", 4, "without control characters");
    check_bad("card:\n", "card: 5\nwork:\n", 5, "valid are name, memory, rates");
    check_bad("name: two", "name: \"two", 7, "not YAML");
    check_bad("  - name: net", "  name: net", 17, "not YAML");
}

static void check_card_errors(void) {
    right = described;
    check_bad("    joins: 2\n", "    joins: 2\n    medium: shared\n", 40,
              "medium 'shared': valid are private, fifo, fluid");
    check_bad("    joins: 2\n", "    joins: 2\n    medium: fifo\n    port_bandwidth: {value: 1 B/s, source: s}\n", 37,
              "link 'switch': port_bandwidth is for medium: fluid");
    check_bad("transfer: push\n    joins: 2\n", "transfer: pull\n    joins: 2\n    medium: fluid\n", 37,
              "link 'switch': messages share a medium");
    check_bad("cards: 8", "cards: 8.5", 4, "cards '8.5': a whole number from 1");
    check_bad("cards: 8", "cards: 0", 4, "a whole number from 1");
    check_bad("cards: 8", "cards: -8", 4, "a whole number from 1");
    check_bad("joins: 4", "joins: all", 45, "joins 'all': a whole number from 1");
    check_bad("joins: 4", "joins: 3", 43, "link 'socket': joins must be a multiple of the joins before it");
    check_bad("joins: 4", "joins: 2", 43, "joins must be a multiple");
    check_bad("    joins: 4\n", "", 43, "link 'socket': only the last link may leave joins out");
    check_bad("    joins: 2\n", "", 37, "link 'switch': only the last link may leave joins out");
    check_bad("joins: 8", "joins: 4", 48, "joins must be a multiple");
    check_bad("cards: 8", "cards: 9", 48, "link 'rack': the last link joins all cards");
    check_bad("cards: 8\n", "", 47, "link 'rack': the last link joins all cards");
    check_bad("  name: chip\n", "", 6, "a card with levels needs a name");
    check_bad("  name: server\n", "", 29, "host: it needs a name");
    check_bad("host:\n", "host:\n  memory: {bandwidth: {value: 1 GB/s, source: a}}\n", 29, "memory is given as levels");
    check_bad("  copy: {value: 2 TB/s, source: p}\n", "", 6, "needs work: reduce, copy and codec");
    check_bad("        capacity: {value: 192 MiB, source: a}\n", "", 9, "level 'core': only the last level may leave");
    check_bad("192 MiB", "192 MIB", 10, "capacity '192 MIB': write a number and one of B, kB, MB, GB, KiB, MiB, GiB");
    check_bad("192 MiB", "0 MiB", 10, "are possible");
    check_bad("0.5 pJ/bit", "0.5 pJ", 13, "energy '0.5 pJ': write a number and one of pJ/B, pJ/bit");
    check_bad("2 Pop/s", "2 POP/s", 18, "write a number and one of op/s, Gop/s, Top/s, Pop/s, FLOP/s");
    check_bad("2 Pop/s", "0 op/s", 18, "from 1 to 1e+18 op/s");
    check_bad("12.5 W", "12.5", 23, "write a number and one of W, mW, kW");
    check_bad("12.5 W", "nan W", 23, "write a number");
    check_bad("20 fJ/op", "20 pJ/B", 26, "write a number and one of pJ/op, fJ/op");
    check_bad("22 billion", "22", 27, "write a number and one of million, billion");
    check_bad("22 billion, source: m", "22 billion", 27, "it needs both value and source");
    check_bad("    int4: {value: 2 P", "    int2: {value: 2 P", 18, "unknown key 'int2': valid are float, int8, int4");
    check_bad("  overhead:\n    step", "  overhead:\n    stop", 20, "valid are step, pass, token, sequence");
    check_bad("        latency", "        delay", 12, "valid are name, capacity, bandwidth, efficiency, latency");
    check_bad("3-5,7", "3-5,8", 54, "cards '3-5,8': write cards that there are, such as 3-5,9");
    check_bad("0.8 x", "0.8", 55, "speed '0.8': write a number and one of x");
    check_bad("0.8 x", "0 x", 55, "from 0.001 to 1e+12 x");
    check_bad("  - cards: 4\n    speed", "  - speed", 56, "the key cards is missing");
    check_bad("    levels:\n", "    levels:\n      - {name: z, bandwidth: {value: 1 B/s, source: s}}\n", 9,
              "level 'z'");
    right = good;
}

/* Levels and links beyond those that fit. */
static void check_many(void) {
    static const char row[] =
        "      - {name: z, capacity: {value: 1 B, source: s}, bandwidth: {value: 1 B/s, source: s}}\n";
    char text[8192];
    struct cluster c;
    const char *at = strstr(described, "      - name: core");
    for (int n = 1; n <= 3; n++) {
        struct diag d = {0};
        snprintf(text, sizeof text, "%.*s%s%s%s%s", (int)(at - described), described, row, n > 1 ? row : "",
                 n > 2 ? row : "", at);
        int code = cluster_parse(&c, "many", text, strlen(text), &d);
        CHECK(n <= CARD_MAX_LEVELS - 2 ? code == 0 : code == ERR_FORMAT && strstr(d.text, "at most 4 are possible"),
              "%d more: %s", n, d.text);
    }
}

static void check_whole(void) {
    static const char *const texts[] = {"",         "5",       "[]",         "---\n", "a: &x [*x]\n", "&a {schema: *a}",
                                        "\xff\xfe", "{{}: 1}", "? []\n: 1\n"};
    struct cluster c;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct diag d = {0};
        CHECK(cluster_parse(&c, "t", texts[i], strlen(texts[i]), &d) == ERR_FORMAT && d.text[0], "text %zu", i);
    }
    struct diag d = {0};
    CHECK(cluster_parse(&c, "t", "a\0b", 3, &d) == ERR_FORMAT && strstr(d.text, "zero byte"), "%s", d.text);
    d = (struct diag){0};
    CHECK(cluster_read(&c, "/nonexistent/cluster.yaml", &d) == ERR_IO && strstr(d.text, "/nonexistent/"), "%s", d.text);
}

/* Cut short anywhere, it is an error until the last value is whole. */
static void check_cut(void) {
    struct cluster c;
    size_t len = strlen(good);
    const char *last = strstr(good, "100 Gb/s, source: h}");
    for (size_t n = 0; n < len; n++) {
        struct diag d = {0};
        int code = cluster_parse(&c, "cut", good, n, &d);
        int whole = n >= (size_t)(last - good) + strlen("100 Gb/s, source: h}");
        int one = n >= (size_t)(strstr(good, "  - name: net") - good) - 1 &&
                  n <= (size_t)(strstr(good, "  - name: net") - good) + 2;
        CHECK(code == 0 ? whole || one : !whole && code == ERR_FORMAT && !strncmp(d.text, "cut:", 4), "%zu bytes: %s",
              n, d.text);
    }
}

/* Broken anywhere, it is read or is one line. */
static void check_changed(const char *whole_text, uint64_t seeds) {
    char text[4096];
    struct cluster c;
    size_t len = strlen(whole_text);
    for (uint64_t i = 0; i < seeds; i++) {
        struct diag d = {0};
        memcpy(text, whole_text, len + 1);
        for (uint64_t k = 0; k <= i % 3; k++)
            text[rng_u64(i, 2 * k) % len] = (char)(1 + rng_u64(i, 2 * k + 1) % 255);
        int code = cluster_parse(&c, "broken", text, len, &d);
        CHECK(code == 0 || (code == ERR_FORMAT && !strncmp(d.text, "broken:", 7) && !strchr(d.text, '\n')),
              "seed %d: %s", (int)i, d.text);
    }
}

/* Every file of cluster-configs is a described card with its own name and private links. */
static void check_configs(void) {
    glob_t g;
    int found = glob(NW_SOURCE_DIR "/cluster-configs/*.yaml", 0, NULL, &g) == 0 ? (int)g.gl_pathc : 0;
    CHECK(found >= 10, "%d files", found);
    for (int i = 0; i < found; i++) {
        struct cluster c;
        struct diag d = {0};
        const char *file = strrchr(g.gl_pathv[i], '/') + 1;
        CHECK(cluster_read(&c, g.gl_pathv[i], &d) == 0, "%s", d.text);
        CHECK(cluster_has_card(&c) && !strncmp(file, c.name, strlen(c.name)) && !strcmp(file + strlen(c.name), ".yaml"),
              "%s is named %s", file, c.name);
        CHECK(c.card.level[0].bytes && c.card.op[PREC_F32].den && c.card.op[PREC_I8].den, "%s: capacity, rates", file);
        CHECK(c.card.active_W > 0 && c.card.idle_W > 0 && c.card.idle_W <= c.card.active_W, "%s: power", file);
        for (int t = 0; t < c.net.n_tiers; t++)
            CHECK(!c.net.tier[t].link.pull && c.net.tier[t].link.L_ps && c.net.tier[t].link.G.den, "%s: %d", file, t);
    }
    if (found) globfree(&g);
}

/* The example of docs/CLUSTERS.md. */
static void check_example(void) {
    struct cluster c;
    struct diag d = {0};
    char *text = NULL;
    size_t len;
    CHECK(text_read_file(NW_SOURCE_DIR "/docs/CLUSTERS.md", 1 << 20, &text, &len, &d) == 0, "%s", d.text);
    const char *from = text ? strstr(text, "```yaml\n") : NULL, *to = from ? strstr(from, "\n```\n") : NULL;
    CHECK(to && cluster_parse(&c, "CLUSTERS.md", from + 8, (size_t)(to - from - 8), &d) == 0, "%s", d.text);
    CHECK(to && c.card.n_levels == 2 && c.has_host && cluster_tier(&c, 0, 1) == 0, "example");
    CHECK(to && c.card.frame_bytes == 32 << 20, "frame buffer");
    CHECK(to && c.card.token_ps == 1000000 && c.card.sequence_ps == 20000000, "overheads");
    free(text);
}

/* The paper's server in numbers of the model. */
static void check_northpole(void) {
    struct cluster c;
    struct diag d = {0};
    CHECK(cluster_read(&c, NW_SOURCE_DIR "/cluster-configs/northpole-16.yaml", &d) == 0, "%s", d.text);
    CHECK(c.n_cards == 16 && c.has_host && c.host.n_levels == 1 && c.card.n_levels == 1, "cards and host");
    CHECK(c.card.level[0].bytes == UINT64_C(256) * 768 * 1024, "192 MiB");
    CHECK(pico_of(13000, c.card.level[0].G) == 1000, "13 TB/s");
    CHECK(pico_of(2097, c.card.op[PREC_I8]) == 10 && pico_of(4194, c.card.op[PREC_I4]) == 10, "rates at 400 MHz");
    CHECK(c.card.frame_bytes == 32 << 20 && c.host.frame_bytes == 0, "32 MiB");
    CHECK(16 * c.card.active_W == 672 && c.card.transistors == 22e9, "672 W");
    CHECK(cluster_tier(&c, 0, 3) == 0 && cluster_tier(&c, 3, 4) == 1 && cluster_tier(&c, 7, 8) == 2 &&
              cluster_tier(&c, 0, 15) == 2,
          "tiers");
}

int main(void) {
    check_good();
    check_described();
    check_efficiency();
    check_steps();
    check_levels();
    check_exceptions();
    check_tiers();
    check_medium();
    check_errors();
    check_card_errors();
    check_many();
    check_whole();
    check_cut();
    check_changed(good, 4000);
    check_changed(described, 4000);
    check_configs();
    check_example();
    check_northpole();
    return check_report("cluster");
}
