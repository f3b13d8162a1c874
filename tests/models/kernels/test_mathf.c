/* Elementary functions against long double, their vector forms, and the bits themselves. */
#include "models/mathf.h"

#include <float.h>
#include <math.h>

#include "check.h"
#include "gen.h"

static float bits_to_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static uint32_t float_to_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* Distance in units of the last place of the true value. */
static double ulps(long double got, long double want, int digits, int min_exp) {
    int e;
    if (got == want) return 0;
    frexpl(want, &e);
    return (double)(fabsl(got - want) / ldexpl(1, (e < min_exp ? min_exp : e) - digits));
}

struct worst {
    double ulps, at;
};

static void worse(struct worst *w, double u, double at) {
    if (!(u <= w->ulps)) *w = (struct worst){u, at};
}

/* Floats of every sign and exponent up to 2^7, a prime step through their bits. */
static void test_floats(void) {
    struct worst e = {0}, t = {0}, r = {0};
    double absolute = 0;
    for (uint32_t i = 0; i < 0x43000000u; i += 4001)
        for (uint32_t sign = 0; sign < 2; sign++) {
            float x = bits_to_float(i | sign << 31);
            long double want = expl(x);
            if (want >= FLT_MIN && want <= FLT_MAX)
                worse(&e, ulps(math_expf(x), want, 24, -125), x);
            else if (want < FLT_MIN)
                CHECK(fabsl(math_expf(x) - want) <= 0x1p-149L, "exp(%a)", (double)x);
            else
                CHECK(isinf(math_expf(x)), "exp(%a)", (double)x);
            worse(&t, ulps(math_tanhf(x), tanhl(x), 24, -125), x);
            worse(&r, ulps(math_erff(x), erfl(x), 24, -125), x);
            absolute = fmax(absolute, (double)fabsl(math_erff(x) - erfl(x)));
        }
    CHECK(e.ulps > 0.4 && e.ulps <= 1, "exp: %.3f ulp at %a", e.ulps, e.at);
    CHECK(t.ulps > 0.4 && t.ulps <= 2, "tanh: %.3f ulp at %a", t.ulps, t.at);
    CHECK(r.ulps > 0.4 && r.ulps <= 4, "erf: %.3f ulp at %a, %g", r.ulps, r.at, absolute);
}

static void test_doubles(void) {
    struct worst e = {0}, l = {0}, s = {0}, c = {0};
    gen_seed(11);
    for (int i = 0; i < 300000; i++) {
        double u = gen_float() + 0x1p-24 * gen_float(), v = u * (i % 3 ? i % 3 == 1 ? 10 : 1e5 : 1e9),
               w = u * (i % 2 ? 2 : 700);
        double p = ldexp(1.5 + u / 2, i % 2 ? 0 : gen_int(2000) - 1000);
        worse(&e, ulps(math_exp(w), expl(w), 53, -1021), w);
        worse(&l, ulps(math_log(p), logl(p), 53, -1021), p);
        worse(&s, ulps(math_sin(v), sinl(v), 53, -1021), v);
        worse(&c, ulps(math_cos(v), cosl(v), 53, -1021), v);
    }
    CHECK(e.ulps <= 2 && l.ulps <= 2, "exp %.3f at %a, log %.3f at %a", e.ulps, e.at, l.ulps, l.at);
    CHECK(s.ulps <= 2 && c.ulps <= 2, "sin %.3f at %a, cos %.3f at %a", s.ulps, s.at, c.ulps, c.at);
    for (int n = 1; n < 2000; n++) { /* next to the zeros, where the reduction cancels */
        double x = n * M_PI_2;
        double u = n % 2 ? ulps(math_cos(x), cosl(x), 53, -1021) : ulps(math_sin(x), sinl(x), 53, -1021);
        CHECK(u <= 2, "%d pi/2: %.3f ulp", n, u);
    }
}

static void test_special(void) {
    CHECK(math_expf(0) == 1 && math_expf(-INFINITY) == 0 && isinf(math_expf(INFINITY)), "exp");
    CHECK(math_expf(-104) == 0 && math_expf(-103.9f) > 0 && math_expf(88.7f) < INFINITY && isinf(math_expf(88.73f)),
          "exp");
    CHECK(isnan(math_expf(NAN)) && isnan(math_tanhf(NAN)) && isnan(math_erff(NAN)) && isnan(math_siluf(NAN)), "NaN");
    CHECK(math_tanhf(INFINITY) == 1 && math_tanhf(-50) == -1 && math_erff(INFINITY) == 1 && math_erff(-9) == -1,
          "limits");
    CHECK(float_to_bits(math_tanhf(-0.0f)) == 0x80000000u && float_to_bits(math_erff(-0.0f)) == 0x80000000u, "-0");
    CHECK(math_exp(0) == 1 && math_log(1) == 0 && math_sin(0) == 0 && math_cos(0) == 1, "exact values");
    CHECK(math_exp(-800) == 0 && isinf(math_exp(800)) && isinf(math_log(0)) && isnan(math_log(-1)), "double limits");
    CHECK(math_log(0x1p-1074) == math_log(0x1p-1000) - 74 * M_LN2 || fabs(math_log(0x1p-1074) + 1074 * M_LN2) < 1e-12,
          "log");
    CHECK(math_siluf(1000) == 1000 && math_siluf(-1000) == 0 && math_gelu_tanhf(50) == 50 && math_gelu_erff(-50) == 0,
          "gates");
    CHECK(fabsf(math_siluf(1) - 0.731058579f) < 1e-6f && fabsf(math_gelu_tanhf(1) - 0.841191991f) < 1e-6f &&
              fabsf(math_gelu_erff(1) - 0.841344746f) < 1e-6f,
          "gates at 1");
}

static void test_vectors(void) {
    static const struct {
        const char *name;
        float (*one)(float);
        void (*many)(float *, const float *, int);
        uint64_t hash; /* of the results below: the bits are part of the definition (models/order.h) */
    } f[] = {{"exp", math_expf, math_exp_vec, 0xa08eeef464d5c34e},
             {"silu", math_siluf, math_silu_vec, 0xb11ae55759d0de9c},
             {"gelu_tanh", math_gelu_tanhf, math_gelu_tanh_vec, 0xce3a453c475d08ec},
             {"gelu_erf", math_gelu_erff, math_gelu_erf_vec, 0x1922d546e6f449df}};
    enum { N = 4099 };
    static float x[N], y[N];
    gen_seed(12);
    for (int i = 0; i < N; i++)
        x[i] = gen_float() * (i % 4 ? i % 4 == 1 ? 100 : 3 : 0.01f);
    for (size_t k = 0; k < sizeof f / sizeof *f; k++) {
        for (int n = 0; n < 40; n++) { /* odd lengths */
            memset(y, 0, sizeof y);
            f[k].many(y, x + n, n);
            for (int i = 0; i < n; i++)
                CHECK(float_to_bits(y[i]) == float_to_bits(f[k].one(x[n + i])), "%s %d", f[k].name, i);
            CHECK(y[n] == 0, "%s wrote past %d", f[k].name, n);
        }
        memcpy(y, x, sizeof y);
        f[k].many(y, y, N);
        for (int i = 0; i < N; i++)
            CHECK(float_to_bits(y[i]) == float_to_bits(f[k].one(x[i])), "%s(%a)", f[k].name, (double)x[i]);
        CHECK(hash_floats(y, N, 0) == f[k].hash, "%s: 0x%016llx", f[k].name, (unsigned long long)hash_floats(y, N, 0));
    }
}

static void test_bits(void) {
    uint64_t h = 0;
    gen_seed(13);
    for (int i = 0; i < 5000; i++) {
        double v[4], x = gen_float() * (i % 2 ? 1e6 : 3);
        v[0] = math_exp(x < 700 && x > -700 ? x : 1), v[1] = math_log(x * x + 1e-9), v[2] = math_sin(x),
        v[3] = math_cos(x);
        h = hash_bytes(v, sizeof v, h);
        float t[2] = {math_tanhf((float)x), math_erff((float)x)};
        h = hash_bytes(t, sizeof t, h);
    }
    CHECK(h == 0xdf532a66e513a282, "0x%016llx", (unsigned long long)h);
}

static void test_halves(void) {
    for (uint32_t h = 0; h < 65536; h++) {
        float x = f16_to_f32((unsigned short)h);
        uint32_t e = h >> 10 & 31, m = h & 1023;
        double want = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, (int)e - 25) : ldexp(m, -24);
        if (h & 0x8000) want = -want;
        if (e == 31 && m)
            CHECK(isnan(x) && isnan(f16_to_f32(f32_to_f16(x))), "%04x", h);
        else
            CHECK((double)x == want && !signbit(x) == !(h & 0x8000) && f32_to_f16(x) == h, "%04x: %a", h, (double)x);
        float b = bf16_to_f32((unsigned short)h);
        if (b == b) CHECK(float_to_bits(b) == h << 16 && f32_to_bf16(b) == h, "%04x", h);
    }
    gen_seed(14);
    for (int i = 0; i < 200000; i++) { /* nearest, ties to even: between neighbours a <= x <= b */
        float x = bits_to_float((uint32_t)rng_u64(14, (uint64_t)i));
        if (x != x) continue;
        unsigned short h = f32_to_f16(x), w = f32_to_bf16(x);
        float fh = f16_to_f32(h), fw = bf16_to_f32(w);
        if (isfinite(fh) && (h & 0x7fff)) {
            double lo = f16_to_f32((unsigned short)(h - 1)), hi = f16_to_f32((unsigned short)(h + 1)),
                   d = fabs((double)x - fh);
            if ((h & 0x7fff) < 0x7bff)
                CHECK(d <= fabs(x - lo) && d <= fabs(hi - x) && (d < fabs(x - lo) || !(h & 1)), "%a", (double)x);
        }
        if (isfinite(fw) && (w & 0x7fff) > 1 && (w & 0x7fff) < 0x7f7f) {
            double lo = bf16_to_f32((unsigned short)(w - 1)), hi = bf16_to_f32((unsigned short)(w + 1)),
                   d = fabs((double)x - fw);
            CHECK(d <= fabs(x - lo) && d <= fabs(hi - x) && (d < fabs(x - lo) || !(w & 1)), "%a", (double)x);
        }
    }
    CHECK(f32_to_f16(65519.99f) == 0x7bff && f32_to_f16(65520) == 0x7c00 && f32_to_f16(0x1p-25f) == 0, "edges");
    CHECK(f32_to_f16(0x1.000002p-25f) == 1 && f32_to_f16(0x1.8p-24f) == 2 && f32_to_f16(0x1.ffcp-15f) == 0x400,
          "small");
}

int main(void) {
    test_floats();
    test_doubles();
    test_special();
    test_vectors();
    test_bits();
    test_halves();
    return check_report("mathf");
}
