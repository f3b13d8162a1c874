/* Hidden states in fewer bits: coding again what was decoded gives the same codes, errors are within a format's step,
 * what is no number stays none, and a decoder rounds where the embedding and each layer end, and nowhere else. */
#include "base/hash.h"
#include "tiny.h"

enum { LONGEST = 100, VECTORS = 400, TOKENS = 5 };

/* Most by which a value may move whose group's greatest magnitude is `most`: half a step, and what the scale's own
 * rounding does to it; int4 has no +8. */
static double bound(enum hidden_form f, double x, double most) {
    switch (f) {
    case HIDDEN_F16: return x * 0x1p-11 + 0x1p-25;
    case HIDDEN_I8: return most * (1.0 / 254 + 0x1p-11) + 127 * 0x1p-25;
    case HIDDEN_I4: return most * (1.0 / 8 + 0x1p-11) + 8 * 0x1p-25;
    default: return 0;
    }
}

static double greatest(const float *x, int n) {
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* One vector, whose groups have sizes from 2^-30 (below the least scale) to 2^14. Returns the hash of its codes. */
static uint64_t check_vector(enum hidden_form f, uint64_t *rng) {
    int n = 1 + tiny_random(rng, LONGEST);
    size_t bytes = hidden_bytes(f, n);
    float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y), *z = malloc((size_t)n * sizeof *z);
    uint8_t *code = malloc(bytes), *again = malloc(bytes);
    for (int i = 0; i < n; i++) {
        double size = ldexp(1, (i / 32 * 17 + n) % 45 - 30);
        x[i] = (float)(size * (tiny_random(rng, 2000001) / 1e6 - 1));
    }
    hidden_encode(f, x, n, code);
    hidden_decode(f, code, n, y);
    memcpy(z, x, (size_t)n * sizeof *z);
    hidden_round(f, z, n);
    CHECK(!memcmp(y, z, (size_t)n * sizeof *y), "form %d, %d values: rounded is not decoded", f, n);
    hidden_encode(f, y, n, again);
    CHECK(!memcmp(code, again, bytes), "form %d, %d values: other codes the second time", f, n);
    for (int i = 0; i < n; i++) {
        int group = i / 32 * 32;
        double most = greatest(x + group, n - group < 32 ? n - group : 32);
        CHECK(fabs((double)y[i] - x[i]) <= bound(f, fabs((double)x[i]), most), "form %d: %g became %g", f, x[i], y[i]);
    }
    uint64_t hash = hash_bytes(code, bytes, 0);
    free(x);
    free(y);
    free(z);
    free(code);
    free(again);
    return hash;
}

/* The codes are part of the bits of every result: they may not change. */
static void check_codes(void) {
    static const uint64_t pinned[HIDDEN_FORMS] = {0x972f8644068b433c, 0xb1b8104f01625370, 0x22f8be1b0a973633,
                                                  0x34342078ada48abd};
    for (int f = 0; f < HIDDEN_FORMS; f++) {
        uint64_t rng = 3, sum = 0;
        for (int i = 0; i < VECTORS; i++)
            sum += check_vector((enum hidden_form)f, &rng);
        CHECK(sum == pinned[f], "form %d has codes 0x%016llx", f, (unsigned long long)sum);
    }
    CHECK(hidden_bytes(HIDDEN_F32, 50) == 200 && hidden_bytes(HIDDEN_F16, 4096) == 8192 &&
              hidden_bytes(HIDDEN_I8, 50) == 2 * 34 && hidden_bytes(HIDDEN_I4, 4096) == 128 * 18,
          "bytes of vectors");
}

/* NaN and infinities, and what overflows a scale, spoil their group alone. */
static void check_no_numbers(void) {
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e9f};
    for (int f = HIDDEN_F16; f < HIDDEN_FORMS; f++)
        for (int k = 0; k < 4; k++) {
            float x[70], once[70];
            for (int i = 0; i < 70; i++)
                x[i] = (float)i;
            x[40] = bad[k];
            hidden_round((enum hidden_form)f, x, 70);
            memcpy(once, x, sizeof x);
            hidden_round((enum hidden_form)f, x, 70);
            CHECK(!isfinite(x[40]) && !memcmp(once, x, sizeof x), "form %d: %g became %g", f, bad[k], x[40]);
            for (int i = 0; i < 70; i++)
                CHECK(i / 32 == 1 || isfinite(x[i]), "form %d: value %d is %g", f, i, x[i]);
        }
}

/* Drives a float decoder step by step, rounding where the plan's layers end. */
static void rounded_by_hand(struct decoder *dec, enum hidden_form f, const struct token_batch *b, float *h) {
    size_t d = (size_t)dec->shape.d_model, len = (size_t)b->n * d;
    float *attn = malloc(len * sizeof *attn), *ffn = malloc(len * sizeof *ffn);
    int parallel = dec->shape.parallel_block;
    decoder_embed(dec, b, h);
    for (int l = 0; l <= dec->shape.n_layers; l++) {
        for (int t = 0; t < b->n; t++)
            hidden_round(f, h + (size_t)t * d, (int)d);
        if (l == dec->shape.n_layers) break;
        decoder_attention(dec, l, b, h, attn);
        if (parallel) decoder_ffn(dec, l, b, h, ffn);
        decoder_attention_add(dec, l, b->n, h, attn);
        if (!parallel) decoder_ffn(dec, l, b, h, ffn);
        decoder_ffn_add(dec, l, b->n, h, ffn);
    }
    free(attn);
    free(ffn);
}

static void check_decoder(const struct tiny *tiny) {
    int id[TOKENS] = {1, 2, 3, 4, 5}, seq[TOKENS] = {0}, pos[TOKENS] = {0, 1, 2, 3, 4};
    struct token_batch b = {TOKENS, id, seq, pos};
    struct model_shape s;
    tiny_shape(&s, tiny, "F16", NULL);
    size_t bytes = TOKENS * (size_t)s.d_model * sizeof(float);
    float *plain = malloc(bytes), *h = malloc(bytes), *by_hand = malloc(bytes);
    for (int f = 0; f < HIDDEN_FORMS; f++) {
        struct decoder_opts o = tiny_opts();
        struct decoder *dec = tiny_whole(&s, NULL, &o);
        rounded_by_hand(dec, (enum hidden_form)f, &b, by_hand);
        decoder_close(dec);
        o.hidden = (enum hidden_form)f;
        o.threads = 2;
        dec = tiny_whole(&s, NULL, &o);
        decoder_forward(dec, &b, NULL, NULL, f ? h : plain);
        decoder_close(dec);
        CHECK(!memcmp(f ? h : plain, by_hand, bytes), "%s, form %d: not rounded at the ends of layers", s.name, f);
        CHECK(!f || memcmp(h, plain, bytes), "%s, form %d: nothing is rounded", s.name, f);
    }
    free(plain);
    free(h);
    free(by_hand);
}

int main(void) {
    check_codes();
    check_no_numbers();
    for (size_t i = 0; i < TINY_ARCHS; i++)
        check_decoder(&tiny_archs[i]);
    struct model_shape s;
    struct shard_spec spec;
    struct decoder *dec = NULL;
    struct decoder_opts o = tiny_opts();
    o.hidden = HIDDEN_FORMS;
    tiny_shape(&s, &tiny_archs[0], "F16", NULL);
    shard_whole(&s, &spec);
    CHECK(decoder_open(&dec, &s, NULL, &spec, &o, NULL) == ERR_RANGE, "an unknown form");
    return check_report("hidden");
}
