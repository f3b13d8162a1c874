/* pico.h - times in integer picoseconds (uint64_t: 213 days), and rates as rationals with one rounding rule. */
#ifndef BASE_PICO_H
#define BASE_PICO_H

#include <stdint.h>

#define PICO_PER_NS UINT64_C(1000)
#define PICO_PER_US UINT64_C(1000000)
#define PICO_PER_MS UINT64_C(1000000000)
#define PICO_PER_S UINT64_C(1000000000000)

/* Picoseconds a unit: num / den, den > 0. */
struct pico_rate {
    uint64_t num, den;
};

/* units * num / den, rounded to nearest, halves up; UINT64_MAX where it does not fit. The one rounding rule: every
 * duration of every engine goes through here. Local. */
uint64_t pico_of(uint64_t units, struct pico_rate rate);

/* The rate of so many units a second (bandwidth in B/s, 1 <= per_s): 10^12 / per_s, reduced. Local. */
struct pico_rate pico_rate_per_second(uint64_t per_s);

/* rate * num / den, reduced; num, den > 0. Exact where it fits 62 bits, else the first 62 of both. Local. */
struct pico_rate pico_times(struct pico_rate rate, uint64_t num, uint64_t den);

/* a + b, UINT64_MAX if it does not fit. */
uint64_t pico_add(uint64_t a, uint64_t b);

#endif
