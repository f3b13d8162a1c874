/* Described clusters: what is read, and that everything else is an error with file, line and remedy. */
#include "partition/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
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

/* The text with its first `from` replaced by `to`: the error names line and words. */
static void check_bad(const char *from, const char *to, int line, const char *words) {
    char text[2048], where[32];
    struct cluster c;
    struct diag d = {0};
    const char *at = strstr(good, from);
    CHECK(at, "'%s' is not in the text", from);
    if (!at) return;
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    snprintf(where, sizeof where, "bad.yaml:%d: ", line);
    CHECK(cluster_parse(&c, "bad.yaml", text, strlen(text), &d) == ERR_FORMAT, "'%s' is accepted", to);
    CHECK(!strncmp(d.text, where, strlen(where)) && strstr(d.text, words), "'%s': %s", to, d.text);
}

static void check_errors(void) {
    check_bad("  reduce:", "  redace:", 9, "unknown key 'redace': valid are reduce, copy, codec");
    check_bad("    latency:", "    latancy:", 14, "valid are name, transfer, joins, latency, send_overhead");
    check_bad("source: a", "origin: a", 9, "valid are value, source");
    check_bad("49 ns", "49 parsecs", 10, "'49 parsecs': write a number and one of ps, ns, us, ms, s");
    check_bad("49 ns", "49", 10, "write a number and one of");
    check_bad("49 ns", "-49 ns", 10, "write a number");
    check_bad("49 ns", "0x31 ns", 10, "write a number");
    check_bad("49 ns", "inf ns", 10, "write a number");
    check_bad("49 ns", "49 GB/s", 10, "one of ps");
    check_bad("49 ns", "1e30 ns", 10, "out of range");
    check_bad("12.5 GB/s", "0 GB/s", 16, "out of range");
    check_bad("12.5 GB/s", "12.5 ns", 16, "one of B/s, kB/s, MB/s, GB/s");
    check_bad("{value: 49 ns, source: b}", "49 ns", 10, "write {value: NUMBER UNIT, source: TEXT}");
    check_bad(", source: b", "", 10, "it needs both value and source");
    check_bad("value: 49 ns, ", "", 10, "it needs both value and source");
    check_bad("source: b", "source: b, source: c", 10, "key given twice: 'source'");
    check_bad("transfer: pull", "transfer: shove", 13, "transfer 'shove': valid are push, pull");
    check_bad("transfer: pull\n", "\n", 12, "the key transfer is missing");
    check_bad("version: 1", "version: 2", 3, "this program reads version 1");
    check_bad("version: 1\n", "\n", 2, "the key version is missing");
    check_bad("northwall-cluster", "another", 2, "northwall-cluster is expected");
    check_bad("name: two", "name: two\nname: three", 5, "key given twice: 'name'");
    check_bad("name: two", "name: [two]", 4, "a text is expected");
    check_bad("card:\n", "card: 5\nwork:\n", 5, "valid are name, memory, rates");
    check_bad("name: two", "name: \"two", 7, "not YAML");
    check_bad("  - name: net", "  name: net", 17, "not YAML");
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

/* Cut short anywhere, it is an error until the last value is whole; broken anywhere, it is read or is one line. */
static void check_broken(void) {
    struct cluster c;
    char text[sizeof good];
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
    for (uint64_t i = 0; i < 4000; i++) {
        struct diag d = {0};
        memcpy(text, good, sizeof good);
        for (uint64_t k = 0; k <= i % 3; k++)
            text[rng_u64(i, 2 * k) % len] = (char)(1 + rng_u64(i, 2 * k + 1) % 255);
        int code = cluster_parse(&c, "broken", text, len, &d);
        CHECK(code == 0 || (code == ERR_FORMAT && !strncmp(d.text, "broken:", 7) && !strchr(d.text, '\n')),
              "seed %d: %s", (int)i, d.text);
    }
}

int main(void) {
    check_good();
    check_errors();
    check_whole();
    check_broken();
    return check_report("cluster");
}
