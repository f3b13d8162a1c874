/* Verdicts on planted times of messages. */
#include "ping_pong.h"

#include <string.h>

#include "check.h"

static const size_t sizes[] = {64, 1024, 4096, 65536};
enum { N = sizeof sizes / sizeof *sizes };

/* A link of 20 Mb/s that takes latency_us, and lets `free` bytes on the wire of each message through at once. */
static struct ping_pong plant(double latency_us, double free) {
    struct ping_pong p = {.n = N, .port_Bps = 2.5e6};
    for (int i = 0; i < N; i++) {
        double wire = ping_pong_wire_bytes(sizes[i]), us = latency_us + (wire > free ? wire - free : 0) / 2.5;
        p.time[i] = (struct ping_pong_time){sizes[i], {.n = 9, .median = us, .low = us - 1, .high = us + 1}, 0, NULL};
    }
    return p;
}

int main(void) {
    /* 65536 bytes are 46 segments with 90 bytes around each. */
    CHECK(ping_pong_wire_bytes(1448) == 1538 && ping_pong_wire_bytes(1449) == 1629 &&
              ping_pong_wire_bytes(65536) == 65536 + 46 * 90,
          "wire bytes");
    struct ping_pong p = plant(120, 0);
    ping_pong_judge(&p);
    CHECK(p.wrong == 0 && p.latency_us > 119.9 && p.latency_us < 120.1, "latency %g, %d wrong", p.latency_us, p.wrong);
    CHECK(p.latency_low_us < p.latency_us && p.latency_us < p.latency_high_us, "interval of the latency");
    double payload = 2.5e6 * 65536 / (65536 + 46 * 90);
    CHECK(p.payload_Bps > 0.999 * payload && p.payload_Bps < 1.001 * payload, "payload %g, not %g", p.payload_Bps,
          payload);
    CHECK(p.payload_low_Bps < p.payload_Bps && p.payload_Bps < p.payload_high_Bps, "interval of the payload rate");

    /* A bucket of one packet: 64 and 1024 bytes pass at once, of 4096 a third does. No latency fits that. */
    p = plant(120, 1538);
    ping_pong_judge(&p);
    CHECK(p.wrong == 3 && p.latency_us < 0 && !strcmp(p.time[1].verdict, "early") &&
              !strcmp(p.time[2].verdict, "early"),
          "%d wrong", p.wrong);
    CHECK(!strcmp(p.time[3].verdict, "ok"), "what is larger than the bucket");
    /* Hardly any latency: even the smallest comes before its bytes could. */
    p = plant(10, 1538);
    ping_pong_judge(&p);
    CHECK(p.latency_us < 0 && !strcmp(p.time[0].verdict, "early"), "latency %g", p.latency_us);

    /* A machine that is busy for 3 ms while the largest is under way. */
    p = plant(120, 0);
    p.time[N - 1].us.median += 3000;
    ping_pong_judge(&p);
    CHECK(p.wrong == 1 && !strcmp(p.time[N - 1].verdict, "late"), "%d wrong", p.wrong);

    /* Nothing is expected: nothing is wrong. */
    p = plant(120, 1538);
    p.port_Bps = 0;
    ping_pong_judge(&p);
    CHECK(p.wrong == 0 && !p.time[0].verdict, "%d wrong", p.wrong);
    return check_report("ping_pong");
}
