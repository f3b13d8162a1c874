/* ping_pong.h - northwall coll --ping-pong: messages between two ranks, beside what a link of a known rate should take.
 */
#ifndef DIST_PING_PONG_H
#define DIST_PING_PONG_H

#include <stddef.h>

#include "base/stats.h"

struct app;
struct diag;

enum { PING_PONG_SIZES = 40 };

/* Half a round trip of a size, us, and what it should be. */
struct ping_pong_time {
    size_t bytes;
    struct stats_median us;
    double expected_us;
    const char *verdict; /* "ok", "early", "late"; NULL: nothing is expected */
};

struct ping_pong {
    int a, b; /* ranks */
    int n;
    struct ping_pong_time time[PING_PONG_SIZES]; /* smallest first */
    double port_Bps; /* of an Ethernet port, or 0: not known */
    double latency_us, latency_low_us, latency_high_us; /* fitted: what fits all sizes best */
    double payload_Bps, payload_low_Bps, payload_high_Bps; /* of the largest, behind the latency; 0: no telling */
    int wrong; /* sizes that are not ok */
};

/* Bytes of a port's time that a message takes: TCP segments of an MTU of 1500 with all that is around them. */
double ping_pong_wire_bytes(size_t bytes);
/* From measured times, where the port is known: latency, payload rate, what each size should take, and a verdict: ok
 * within 10 %. Local. */
void ping_pong_judge(struct ping_pong *p);

/* Measures ranks 0 and 1, 2 and 3, ... (an odd last one with rank 0), one pair after the other, sizes from min to max.
 * Prints on rank 0. ERR_MISMATCH: a size of a pair takes other than --expect says. Collective. */
int ping_pong_run(struct app *app, size_t min, size_t max, struct diag *d);

#endif
