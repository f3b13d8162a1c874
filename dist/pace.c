#include "pace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/diag.h"

enum { LEAD_NS = 20 * 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000, PS_PER_NS = 1000 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t pace_epoch(void) {
    return now_ns() + LEAD_NS;
}

void pace_begin(void) {
    prctl(PR_SET_TIMERSLACK, 1UL); /* ns, of this thread; 50 us is usual */
}

void pace_follow(void *pace, struct net_clock *clock) {
    const struct pace *p = pace;
    uint64_t due = p->epoch_ns + clock->now.ps / PS_PER_NS;
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_S), .tv_nsec = (long)(due % NS_PER_S)};
    if (now_ns() < due)
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
    uint64_t late_ps = pace_present(p, clock).ps - clock->now.ps;
    if (late_ps > PACE_BURST_PS) net_spend(clock, NET_OVERHEAD, late_ps - PACE_BURST_PS);
}

struct net_stamp pace_present(const struct pace *p, const struct net_clock *clock) {
    struct net_stamp s = clock->now;
    uint64_t now = now_ns(), now_ps = now > p->epoch_ns ? (now - p->epoch_ns) * PS_PER_NS : 0;
    if (now_ps <= s.ps) return s;
    s.share[NET_OVERHEAD] += now_ps - s.ps;
    s.ps = now_ps;
    return s;
}

/* ---- words ---- */

enum { MEM, LINK, LATENCY, COMPUTE, WORDS, MOST_VALUE = 32 };
static const char *const names[WORDS] = {"mem", "link", "latency", "compute"};

/* "5GB/s" with the unit apart, as cluster files have it. */
static int set_value(char value[MOST_VALUE], const char *text, size_t n) {
    size_t digits = strspn(text, "0123456789.eE+-");
    if (digits == 0 || digits >= n || n + 2 > MOST_VALUE) return -1;
    snprintf(value, MOST_VALUE, "%.*s %.*s", (int)digits, text, (int)(n - digits), text + digits);
    return 0;
}

static int read_words(char value[WORDS][MOST_VALUE], const char *words, struct diag *d) {
    for (const char *at = words; *at; at += strspn(at, ",")) {
        size_t n = strcspn(at, ","), name = strcspn(at, "=");
        int k = 0;
        while (k < WORDS && (strlen(names[k]) != name || strncmp(names[k], at, name)))
            k++;
        if (k == WORDS || name + 1 >= n || set_value(value[k], at + name + 1, n - name - 1))
            return diag_set(
                d, ERR_USAGE,
                "--pace '%.60s': expected mem=5GB/s, link=1Gb/s, latency=20us, compute=400Gop/s, or some of "
                "these, with commas between",
                words);
        at += n;
    }
    return 0;
}

int pace_cluster_text(char **out, const char *words, struct diag *d) {
    char value[WORDS][MOST_VALUE] = {"1000 TB/s", "1000 TB/s", "0 us", "1000 Pop/s"};
    *out = NULL;
    int rc = read_words(value, words, d);
    if (rc) return rc;
#define NUMBER(text) "{value: " text ", source: \"--pace\"}"
    int n =
        asprintf(out,
                 "schema: northwall-cluster\nversion: 1\nname: paced\ncard:\n  name: paced\n  memory:\n    levels:\n"
                 "      - name: memory\n        bandwidth: " NUMBER(
                     "%s") "\n"
                           "  rates:\n    float: " NUMBER("%s") "\n    int8: " NUMBER("%s") "\n    int4: " NUMBER(
                               "%s") "\n"
                                     "work:\n  reduce: " NUMBER("1000 TB/s") "\n  copy: " NUMBER(
                                         "1000 TB/s") "\n  codec: " NUMBER("1000 TB/s") "\n"
                                                                                        "links:\n  - name: link\n    "
                                                                                        "transfer: push\n    "
                                                                                        "latency: " NUMBER(
                                                                                            "%s") "\n    "
                                                                                                  "bandwidth:"
                                                                                                  " " NUMBER("%s") "\n",
                 value[MEM], value[COMPUTE], value[COMPUTE], value[COMPUTE], value[LATENCY], value[LINK]);
#undef NUMBER
    if (n >= 0) return 0;
    *out = NULL;
    return diag_set(d, ERR_MEMORY, "no memory for --pace");
}
