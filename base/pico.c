#include "base/pico.h"

uint64_t pico_of(uint64_t units, struct pico_rate rate) {
    unsigned __int128 ps = ((unsigned __int128)units * rate.num * 2 + rate.den) / ((unsigned __int128)rate.den * 2);
    return ps > UINT64_MAX ? UINT64_MAX : (uint64_t)ps;
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
