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

uint64_t pico_add(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}
