#include "base/pico.h"

/* The product takes all of 128 bits: it is not doubled to find the half. */
uint64_t pico_of(uint64_t units, struct pico_rate rate) {
    unsigned __int128 product = (unsigned __int128)units * rate.num, whole = product / rate.den;
    uint64_t rest = (uint64_t)(product % rate.den);
    whole += rest > 0 && rest >= rate.den - rest;
    return whole > UINT64_MAX ? UINT64_MAX : (uint64_t)whole;
}

struct pico_rate pico_rate_per_second(uint64_t per_s) {
    uint64_t a = PICO_PER_S, b = per_s;
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return (struct pico_rate){PICO_PER_S / a, per_s / a};
}

struct pico_rate pico_times(struct pico_rate rate, uint64_t num, uint64_t den) {
    unsigned __int128 n = (unsigned __int128)rate.num * num, d = (unsigned __int128)rate.den * den, a = n, b = d;
    while (b != 0) {
        unsigned __int128 rest = a % b;
        a = b;
        b = rest;
    }
    n /= a;
    d /= a;
    while (n >> 62 || d >> 62) {
        n >>= 1;
        d >>= 1;
    }
    return (struct pico_rate){(uint64_t)n, d ? (uint64_t)d : 1};
}

uint64_t pico_add(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}
