/* Host files (hosts.h): what is read, what is refused and where, and that no bytes at all do harm. */
#include "hosts.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"

enum { CASES = 4000, MOST = 200 };

static int parse(struct hosts *h, const char *text, struct diag *d) {
    *d = (struct diag){0};
    return hosts_parse(h, "file", text, strlen(text), d);
}

static void test_good(void) {
    struct hosts h;
    struct diag d;
    int rc = parse(&h, "# two hosts\n\nnode1 slots=2 max_slots=4\r\n  node-2.x\tslots=3 # more\nnode1 slots=1", &d);
    CHECK(rc == 0 && h.n == 2 && h.n_slots == 6, "%s: %d hosts, %d slots", d.text, h.n, h.n_slots);
    CHECK(!rc && !strcmp(h.host[0].name, "node1") && h.host[0].slots == 3 && h.host[1].slots == 3, "slots");
    static const int of[6] = {0, 0, 0, 1, 1, 1};
    int host[6];
    hosts_deal(&h, 6, host);
    CHECK(!memcmp(host, of, sizeof of), "one host after the other");
    hosts_fini(&h);
}

static void test_bad(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "file: no host in it"},
        {"# nothing\n\n", "file: no host in it"},
        {"node1\n", "file:1: how many ranks does node1 take?"},
        {"a slots=1\nnode1 max_slots=3\n", "file:2: how many ranks"},
        {"a slots=1\n\nb slots=0\n", "file:3: 'slots=0'"},
        {"a slots=-1", "file:1: 'slots=-1'"},
        {"a slots=1x", "file:1: 'slots=1x'"},
        {"a slots=", "file:1: 'slots='"},
        {"a slots=99999999999999999999", "file:1: 'slots=9999"},
        {"a slots=65536\nb slots=1", "file:2: more than 65536 slots"},
        {"a cpus=4", "file:1: 'cpus=4': expected slots=N"},
        {"node1:2\n", "file:1: 'node1:2' is no host name"},
        {"a;rm slots=1", "file:1: 'a;rm' is no host name"},
        {"a slots=1 b slots=1", "file:1: 'b': expected slots=N"},
    };
    char name[80];
    struct hosts h;
    struct diag d;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(parse(&h, bad[i].text, &d) == ERR_USAGE && !strncmp(d.text, bad[i].says, strlen(bad[i].says)), "'%s': %s",
              bad[i].text, d.text);
        hosts_fini(&h);
    }
    snprintf(name, sizeof name, "%064d slots=1", 1);
    CHECK(parse(&h, name, &d) == ERR_USAGE, "a name of 64 bytes");
    hosts_fini(&h);
    CHECK(parse(&h, name + 1, &d) == 0 && strlen(h.host[0].name) == 63, "a name of 63 bytes: %s", d.text);
    hosts_fini(&h);
    d = (struct diag){0};
    CHECK(hosts_parse(&h, "file", "a slots=1\nb\0 slots=1", 20, &d) == ERR_USAGE && strstr(d.text, "file:2: a zero"),
          "%s", d.text);
    hosts_fini(&h);
    d = (struct diag){0};
    CHECK(hosts_read(&h, "/nonexistent/hosts", &d) == ERR_IO, "%s", d.text);
}

/* Pieces of good files and single bytes in any order: either refused in one line with a place, or sound. */
static void test_any(void) {
    static const char *const piece[] = {"node1 slots=2\n",
                                        "n2 slots=30 # x\n",
                                        "node1",
                                        "n2",
                                        " slots=",
                                        "1",
                                        "77",
                                        "65536",
                                        "\n",
                                        "#",
                                        " ",
                                        "\t",
                                        "\r",
                                        "=",
                                        "-",
                                        ".",
                                        "max_slots=3",
                                        "é",
                                        "9"};
    int good = 0;
    for (int c = 0; c < CASES; c++) {
        char text[MOST];
        size_t n = 0;
        uint64_t key = (uint64_t)c, at = 0;
        while (n + 16 < MOST && rng_u64(key, at++) % 20) {
            uint64_t k = rng_u64(key, at++);
            const char *p = piece[k % (sizeof piece / sizeof *piece)];
            if (k >> 32 & 1 && k >> 33 & 1 && k >> 34 & 1)
                text[n++] = (char)(k >> 40);
            else
                memcpy(text + n, p, strlen(p)), n += strlen(p);
        }
        char *own = malloc(n + 1); /* so that reading behind it is seen */
        struct hosts h;
        struct diag d = {0};
        if (n) memcpy(own, text, n);
        int rc = hosts_parse(&h, "file", own, n, &d), sum = 0;
        for (int i = 0; i < h.n; i++)
            sum += h.host[i].slots;
        CHECK(sum == h.n_slots && sum <= HOSTS_MOST_SLOTS, "case %d: %d slots", c, sum);
        CHECK(rc == 0 ? h.n > 0 : rc == ERR_USAGE && !strncmp(d.text, "file:", 5) && !strchr(d.text, '\n'),
              "case %d: %d %s", c, rc, d.text);
        good += rc == 0;
        hosts_fini(&h);
        free(own);
    }
    CHECK(good > CASES / 100, "%d good files", good);
}

int main(void) {
    test_good();
    test_bad();
    test_any();
    return check_report("hosts");
}
