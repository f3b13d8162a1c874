/* Reduction, polynomial, reconstruction. The polynomials are Chebyshev fits over the reduced range, rounded to the
 * working precision; the maximal error of each fit stands beside it. Coefficients: constant term first. */
#include "models/mathf.h"

#include <math.h>

#include "kernels/clones.h"
#include "kernels/half.h"

/* Horner's rule with fused steps. n is a constant at each call, so the loop is unrolled. */
INLINE float poly(const float *c, int n, float x) {
    float y = c[n - 1];
    for (int i = n - 2; i >= 0; i--)
        y = fmaf(y, x, c[i]);
    return y;
}

INLINE double dpoly(const double *c, int n, double x) {
    double y = c[n - 1];
    for (int i = n - 2; i >= 0; i--)
        y = fma(y, x, c[i]);
    return y;
}

#define POLY(c, x) poly(c, sizeof(c) / sizeof *(c), x)
#define DPOLY(c, x) dpoly(c, sizeof(c) / sizeof *(c), x)

static const float ROUND = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
static const double DROUND = 0x1.8p52;

/* 2^n for -126 <= n <= 127. */
INLINE float exp2i(uint32_t n) {
    return bits_float((n + 127) << 23);
}

/* e^x = 2^n e^r, |r| <= ln 2 / 2; 2^n in two factors, so that subnormal and infinite results come out right. */
INLINE float exp_one(float x) {
    static const float c[] = {0x1p-1f,        0x1.555556p-3f,  0x1.5554e8p-5f, /* (e^r - 1 - r) / r^2: 1.4e-9 */
                              0x1.1110e0p-7f, 0x1.6d43b0p-10f, 0x1.a1256cp-13f};
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float shifted = fmaf(x, 0x1.715476p0f, ROUND), n = shifted - ROUND;
    float r = fmaf(-n, -0x1.05c610p-29f, fmaf(-n, 0x1.62e430p-1f, x));
    float y = fmaf(r * r, POLY(c, r), r) + 1.0f;
    int32_t k = (int32_t)(float_bits(shifted) - float_bits(ROUND)), half = k >> 1;
    return y * exp2i((uint32_t)half) * exp2i((uint32_t)(k - half));
}

/* Near 0 an odd polynomial, else 1 - 2 / (e^2|x| + 1). */
INLINE float tanh_one(float x) {
    static const float c[] = {-0x1.555556p-2f, 0x1.1110d8p-3f,  -0x1.ba02aap-5f, /* (tanh x - x) / x^3: 2.5e-9 */
                              0x1.644a1ep-6f,  -0x1.0f1266p-7f, 0x1.224fcep-9f};
    float a = fabsf(x), z = x * x;
    float small = fmaf(a, z * POLY(c, z), a);
    float large = 1.0f - 2.0f / (exp_one(2.0f * a) + 1.0f);
    return copysignf(a < 0.625f ? small : large, x);
}

/* Below 1 an odd polynomial, else 1 - exp(log erfc |x|) with a polynomial for the logarithm. */
INLINE float erf_one(float x) {
    static const float c[] = {0x1.20dd74p0f,    -0x1.81273ep-2f,  0x1.ce2d10p-4f,
                              -0x1.b7faba0p-6f, /* erf x / x: 1.2e-9 */
                              0x1.541270p-8f,   -0x1.a45088p-11f, 0x1.4a5690p-14f};
    static const float q[] = {0x1.59b11ep-12f, -0x1.2159a4p0f,   -0x1.43752ap-1f, /* log erfc x: 1.4e-8 */
                              -0x1.c32ebap-4f, 0x1.b195f8p-6f,   -0x1.38f5c4p-8f,
                              0x1.3abf1cp-11f, -0x1.86066ap-15f, 0x1.bda53cp-20f};
    float a = fabsf(x), t = a > 3.95f ? 3.95f : a;
    float small = x * POLY(c, x * x);
    float large = copysignf(1.0f - exp_one(POLY(q, t)), x);
    return a < 1.0f ? small : large;
}

INLINE float silu_one(float x) {
    return x / (1.0f + exp_one(-x));
}

INLINE float gelu_tanh_one(float x) {
    float inner = 0.797884561f * x * fmaf(0.044715f, x * x, 1.0f);
    return 0.5f * x * (1.0f + tanh_one(inner));
}

INLINE float gelu_erf_one(float x) {
    return 0.5f * x * (1.0f + erf_one(x * 0.707106781f));
}

CLONED(float, math_expf, (float x), (x)) {
    return exp_one(x);
}

CLONED(float, math_tanhf, (float x), (x)) {
    return tanh_one(x);
}

CLONED(float, math_erff, (float x), (x)) {
    return erf_one(x);
}

CLONED(float, math_siluf, (float x), (x)) {
    return silu_one(x);
}

CLONED(float, math_gelu_tanhf, (float x), (x)) {
    return gelu_tanh_one(x);
}

CLONED(float, math_gelu_erff, (float x), (x)) {
    return gelu_erf_one(x);
}

CLONED(void, math_exp_vec, (float *y, const float *x, int n), (y, x, n)) {
    for (int i = 0; i < n; i++)
        y[i] = exp_one(x[i]);
}

CLONED(void, math_silu_vec, (float *y, const float *x, int n), (y, x, n)) {
    for (int i = 0; i < n; i++)
        y[i] = silu_one(x[i]);
}

CLONED(void, math_gelu_tanh_vec, (float *y, const float *x, int n), (y, x, n)) {
    for (int i = 0; i < n; i++)
        y[i] = gelu_tanh_one(x[i]);
}

CLONED(void, math_gelu_erf_vec, (float *y, const float *x, int n), (y, x, n)) {
    for (int i = 0; i < n; i++)
        y[i] = gelu_erf_one(x[i]);
}

INLINE uint64_t double_bits(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

INLINE double bits_double(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static const double LN2_HI = 0x1.62e42fefa39efp-1, LN2_LO = 0x1.abc9e3b39803fp-56;

CLONED(double, math_exp, (double x), (x)) {
    static const double c[] = {0x1p-1, /* (e^r - 1 - r) / r^2: 1.7e-20 */
                               0x1.5555555555555p-3,
                               0x1.5555555555557p-5,
                               0x1.1111111111111p-7,
                               0x1.6c16c16c15a68p-10,
                               0x1.a01a01a0196acp-13,
                               0x1.a01a01a9e991bp-16,
                               0x1.71de3a5aa7bb7p-19,
                               0x1.27e4d41966f2fp-22,
                               0x1.ae642c82e33d5p-26,
                               0x1.1f7f2776cfaf2p-29,
                               0x1.61bfaa228dde5p-33};
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    double shifted = fma(x, 0x1.71547652b82fep0, DROUND), n = shifted - DROUND;
    double r = fma(-n, LN2_LO, fma(-n, LN2_HI, x));
    double y = fma(r * r, DPOLY(c, r), r) + 1.0;
    int64_t k = (int64_t)(double_bits(shifted) - double_bits(DROUND)), half = k >> 1;
    return y * bits_double((uint64_t)(half + 1023) << 52) * bits_double((uint64_t)(k - half + 1023) << 52);
}

/* log x = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), m in [sqrt 1/2, sqrt 2); s carried to twice the precision. */
CLONED(double, math_log, (double x), (x)) {
    static const double c[] = {0x1.5555555555555p-2, 0x1.9999999999998p-3, /* (atanh s - s) / s^3: 7e-21 */
                               0x1.249249249295bp-3, 0x1.c71c71c64c4b9p-4, 0x1.745d17d378427p-4, 0x1.3b137b291cc0dp-4,
                               0x1.111d29291fef6p-4, 0x1.debe85c9b376dp-5, 0x1.e6b2d29e10ceap-5};
    if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
    if (x > 0x1.fffffffffffffp1023) return x;
    int tiny = x < 0x1p-1022;
    uint64_t bits = double_bits(tiny ? x * 0x1p54 : x) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    double e = (double)((int)(bits >> 52) - 1023 - (tiny ? 54 : 0));
    double m = bits_double((bits & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu);
    double f = m - 1, sum = 2 + f, s = f / sum;
    double s_low = (fma(-s, sum, f) - s * (f - (sum - 2))) / sum;
    double z = s * s, tail = 2 * fma(s * z, DPOLY(c, z), s_low) + e * LN2_LO;
    double big = e * LN2_HI, head = big + 2 * s; /* |big| is 0 or the larger one */
    return head + (fma(e, LN2_HI, -big) + ((big - head) + 2 * s + tail));
}

/* x = n pi/2 + r + r_low, |r| <= pi/4 and a little; returns n mod 4. pi/2 in three parts: good for |x| < 1e9. */
INLINE int reduce_quadrant(double x, double *r, double *r_low) {
    double shifted = fma(x, 0x1.45f306dc9c883p-1, DROUND), n = shifted - DROUND;
    double first = fma(-n, 0x1.921fb54442d18p0, x); /* exact */
    double t = n * 0x1.1a62633145c07p-54, t_low = fma(n, 0x1.1a62633145c07p-54, -t);
    double high = first - t, back = first - high;
    double lost = (back - t) + (first - (high + back)); /* what the subtraction rounded off */
    *r = high;
    *r_low = fma(n, 0x1.f1976b7ed8fbcp-110, lost - t_low);
    return (int)(double_bits(shifted) & 3);
}

INLINE double sin_reduced(double r, double r_low) {
    static const double c[] = {-0x1.5555555555555p-3,  0x1.1111111111110p-7, /* (sin r - r) / r^3: 1.2e-20 */
                               -0x1.a01a01a019936p-13, 0x1.71de3a54605eep-19, -0x1.ae64541266378p-26,
                               0x1.61217ec01749dp-33,  -0x1.ab17a79237a19p-41};
    double z = r * r;
    return r + fma(r * z, DPOLY(c, z), fma(-0.5 * z, r_low, r_low));
}

INLINE double cos_reduced(double r, double r_low) {
    static const double c[] = {0x1.5555555555555p-5,   -0x1.6c16c16c16c16p-10, /* (cos r - 1 + r^2/2) / r^4: 6.5e-22 */
                               0x1.a01a01a019d0ap-16,  -0x1.27e4fb7712bdfp-22, 0x1.1eed8deb6d561p-29,
                               -0x1.9394b9c9c20a4p-37, 0x1.ab783376962cfp-45};
    double z = r * r, half = 0.5 * z, w = 1 - half;
    return w + (((1 - w) - half) + fma(z * z, DPOLY(c, z), -r * r_low));
}

INLINE double sine_of(double x, int quadrant) {
    double r, r_low;
    quadrant += reduce_quadrant(x, &r, &r_low);
    double y = quadrant & 1 ? cos_reduced(r, r_low) : sin_reduced(r, r_low);
    return quadrant & 2 ? -y : y;
}

CLONED(double, math_sin, (double x), (x)) {
    return sine_of(x, 0);
}

CLONED(double, math_cos, (double x), (x)) {
    return sine_of(x, 1);
}

float f16_to_f32(unsigned short h) {
    return half_to_float(h);
}

unsigned short f32_to_f16(float x) {
    return float_to_half(x);
}

float bf16_to_f32(unsigned short h) {
    return bfloat_to_float(h);
}

unsigned short f32_to_bf16(float x) {
    return float_to_bfloat(x);
}
