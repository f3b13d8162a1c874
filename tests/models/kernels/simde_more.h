/* AVX-512 as plain C: SIMDe, and the few instructions that its 0.7.4 lacks, or rounds twice, after Intel's description
 * of them. */
#ifndef TESTS_SIMDE_MORE_H
#define TESTS_SIMDE_MORE_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <math.h>
#include <simde/x86/avx512.h>
#include <string.h>

#include "kernels/half.h"

#define PER_WORD(name, to, from_type, from, to_type, expression)                                                       \
    static inline to name(from v) {                                                                                    \
        from_type in[16];                                                                                              \
        to_type out[16];                                                                                               \
        memcpy(in, &v, sizeof in);                                                                                     \
        for (int i = 0; i < 16; i++)                                                                                   \
            out[i] = expression;                                                                                       \
        to r;                                                                                                          \
        memcpy(&r, out, sizeof r);                                                                                     \
        return r;                                                                                                      \
    }

PER_WORD(more_cvtepi32_ps, simde__m512, int32_t, simde__m512i, float, (float)in[i])
PER_WORD(more_cvtepi32_epi16, simde__m256i, int32_t, simde__m512i, uint16_t, (uint16_t)in[i])
PER_WORD(more_cvtph_ps, simde__m512, uint16_t, simde__m256i, float, half_to_float(in[i]))

static inline simde__m512i more_srai_epi32(simde__m512i v, unsigned n) {
    int32_t x[16];
    memcpy(x, &v, sizeof x);
    for (int i = 0; i < 16; i++)
        x[i] >>= n;
    memcpy(&v, x, sizeof x);
    return v;
}

static inline simde__m512 more_fmadd_ps(simde__m512 a, simde__m512 b, simde__m512 c) {
    float x[3][16];
    memcpy(x[0], &a, sizeof x[0]);
    memcpy(x[1], &b, sizeof x[1]);
    memcpy(x[2], &c, sizeof x[2]);
    for (int i = 0; i < 16; i++)
        x[2][i] = fmaf(x[0][i], x[1][i], x[2][i]);
    memcpy(&c, x[2], sizeof c);
    return c;
}

#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps more_fmadd_ps
#define _mm512_cvtepi32_ps more_cvtepi32_ps
#define _mm512_cvtepi32_epi16 more_cvtepi32_epi16
#define _mm512_cvtph_ps more_cvtph_ps
#define _mm512_srai_epi32 more_srai_epi32

#endif
