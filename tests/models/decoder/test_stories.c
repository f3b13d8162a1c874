/* A trained model: the text, ids and logits that llama.cpp and llama2.c give for stories260K, and the bundled decoder
 * in every mode. */
#include "tiny.h"

static struct gguf *open_file(const char *path) {
    struct gguf *g = NULL;
    struct diag d = {0};
    CHECK(gguf_open(&g, path, &d) == 0, "%s", d.text);
    return g;
}

static int argmax(const float *x, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* One line of ids; their number. */
static int read_ids(FILE *f, int *id, int max) {
    char line[4096];
    int n = 0, used;
    do
        if (!fgets(line, sizeof line, f)) return 0;
    while (line[0] == '#');
    for (char *p = line; n < max && sscanf(p, "%d%n", &id[n], &used) == 1; p += used)
        n++;
    return n;
}

/* Feeds ids in chunks of at most `chunk`; logits of the last token. */
static void feed(struct decoder *dec, const int *id, int n, int pos0, int chunk, float *logits) {
    int seq[256] = {0}, pos[256];
    unsigned char want[256];
    for (int done = 0; done < n;) {
        int k = n - done < chunk ? n - done : chunk;
        for (int i = 0; i < k; i++) {
            pos[i] = pos0 + done + i;
            want[i] = done + i == n - 1;
        }
        struct token_batch b = {k, id + done, seq, pos};
        decoder_forward(dec, &b, want, logits, NULL);
        done += k;
    }
}

static void check_ids(struct decoder *dec, const int *prompt, int n_prompt, const int *expected, int n) {
    float logits[512];
    int wrong = 0;
    feed(dec, prompt, n_prompt, 0, 2, logits);
    for (int i = 0; i < n; i++) {
        int id = argmax(logits, 512);
        wrong += id != expected[i];
        feed(dec, &id, 1, n_prompt + i, 1, logits);
    }
    CHECK(!wrong, "%d of %d ids differ from llama.cpp's after a prompt of %d", wrong, n, n_prompt);
}

/* Logits lie as near to llama.cpp's as its own logits with the cache rounded to f16 lie to those without: it rounds
 * queries and probabilities too, we only keys and values. */
static void check_logits(struct decoder *dec) {
    static const int prompt[] = {1, 403, 407, 261, 378};
    float logits[512], cache = 0, to_f16 = 0, to_f32 = 0, other = 0;
    char line[128];
    int n = 0, id;
    FILE *f = fopen(NW_TEST_DATA "/stories260K.logits.txt", "r");
    CHECK(f, "stories260K.logits.txt");
    if (!f) return;
    feed(dec, prompt, 5, 0, 5, logits);
    while (fgets(line, sizeof line, f)) {
        float f32, f16, llama2c;
        if (sscanf(line, "%d %f %f %f", &id, &f32, &f16, &llama2c) != 4 || id < 0 || id >= 512) continue;
        cache = fmaxf(cache, fabsf(f16 - f32));
        to_f16 = fmaxf(to_f16, fabsf(logits[id] - f16));
        to_f32 = fmaxf(to_f32, fabsf(logits[id] - f32));
        other = fmaxf(other, fabsf(f32 - llama2c));
        n++;
    }
    fclose(f);
    printf("logits differ from llama.cpp by %.1e (f16 cache) and %.1e (f32 cache); its two caches by %.1e, llama2.c by "
           "%.1e\n",
           (double)to_f16, (double)to_f32, (double)cache, (double)other);
    CHECK(n == 512, "%d rows", n);
    CHECK(to_f16 < cache && to_f32 < cache, "logits differ by %g and %g", (double)to_f16, (double)to_f32);
}

static void check_stories(void) {
    struct gguf *g = open_file(NW_TEST_DATA "/stories260K-f32.gguf");
    struct model_shape s;
    struct diag d = {0};
    int id[4][256], n[4] = {0};
    FILE *f = fopen(NW_TEST_DATA "/stories260K.ids.txt", "r");
    CHECK(f, "stories260K.ids.txt");
    for (int i = 0; f && i < 4; i++)
        n[i] = read_ids(f, id[i], 256);
    if (f) fclose(f);
    CHECK(n[1] == 200 && n[3] == 200, "%d and %d expected ids", n[1], n[3]);
    if (!g || shape_read(&s, g, &d)) {
        CHECK(0, "%s", d.text);
        return;
    }
    CHECK(s.n_layers == 5 && s.d_model == 64 && s.head_dim == 8 && s.n_kv_heads == 4 && s.d_ffn == 172 &&
              s.n_vocab == 512,
          "shape of stories260K");
    struct decoder_opts o = tiny_opts();
    o.n_ctx = 256;
    struct decoder *dec = tiny_whole(&s, g, &o);
    for (int i = 0; dec && i < 4; i += 2)
        check_ids(dec, id[i], n[i], id[i + 1], n[i + 1]);
    if (dec) check_logits(dec);
    decoder_close(dec);
    gguf_close(g);
}

/* The bundled decoder opens and gives finite, varied logits in all modes. */
static void check_bundled(const char *name) {
    static const struct {
        enum act_bits linear, head;
        int silu;
        enum kv_type kv;
    } modes[] = {{ACT_F32, ACT_F32, 0, KV_F16},
                 {ACT_I8, ACT_I8, 0, KV_I8},
                 {ACT_I4, ACT_I8, 8, KV_I4},
                 {ACT_I8, ACT_F32, 0, KV_F16}};
    char path[512];
    struct model_shape s;
    struct diag d = {0};
    snprintf(path, sizeof path, NW_SOURCE_DIR "/models/bundled/%s", name);
    struct gguf *g = open_file(path);
    if (!g || shape_read(&s, g, &d)) {
        CHECK(0, "%s", d.text);
        return;
    }
    CHECK(s.d_model % 256 == 0 && s.d_ffn % 256 == 0, "%s: %d and %d are no multiples of 256", name, s.d_model,
          s.d_ffn);
    float *logits = malloc((size_t)s.n_vocab * sizeof *logits);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        static const int id[] = {1, 5, 9, 200, 300, 17};
        struct decoder_opts o = tiny_opts();
        o.linear_bits = modes[m].linear;
        o.head_bits = modes[m].head;
        o.silu_bits = modes[m].silu;
        o.kv = modes[m].kv;
        struct decoder *dec = tiny_whole(&s, g, &o);
        if (!dec) break;
        feed(dec, id, 6, 0, 4, logits);
        double sum = 0, squares = 0;
        for (int i = 0; i < s.n_vocab; i++) {
            sum += (double)logits[i];
            squares += (double)logits[i] * (double)logits[i];
        }
        double var = squares / s.n_vocab - sum / s.n_vocab * (sum / s.n_vocab);
        CHECK(isfinite(var) && var > 0.01, "%s mode %zu: variance %g", name, m, var);
        decoder_close(dec);
    }
    free(logits);
    gguf_close(g);
}

int main(void) {
    check_stories();
    check_bundled("kjv-3m-f16.gguf");
    check_bundled("kjv-3m-q8_0.gguf");
    check_bundled("kjv-3m-q4_0.gguf");
    return check_report("test_stories");
}
