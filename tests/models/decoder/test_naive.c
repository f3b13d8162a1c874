/* The float decoder against a forward pass written a second time: double precision, plain loops, tensors by name, no
 * kernels and no tables of the engine.
 *
 * The tolerance is measured, not chosen: the same pass is run again with each intermediate value disturbed by a few
 * float roundings (and then rounded to binary16 where the cache does so); what that changes in the result is what a
 * correct float implementation may differ by. Passes with one deliberate error must differ by far more. */
#include "tiny.h"

enum mistake { NO_MISTAKE, WRONG_ROPE, WRONG_ACT, NO_BIAS, WRONG_SCALE, WRONG_BLOCK, WRONG_NORM };

struct naive {
    const struct gguf *g;
    const struct model_shape *s; /* numbers only */
    const char *arch;
    double noise;
    uint64_t rng;
    enum mistake mistake;
};

static int is(const struct naive *m, const char *arch) {
    return strcmp(m->arch, arch) == 0;
}

static int uses_layer_norm(const struct naive *m) {
    return is(m, "gpt2") || is(m, "gptneox") || is(m, "bert");
}

static const float *find(const struct naive *m, int layer, const char *name) {
    char full[96];
    if (layer >= 0)
        snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    const struct gguf_tensor *t = gguf_tensor_find(m->g, full);
    return t ? (const float *)(const void *)t->data : NULL;
}

static void disturb(struct naive *m, double *x, int n) {
    for (int i = 0; i < n && m->noise > 0; i++)
        x[i] *= 1 + m->noise * (tiny_random(&m->rng, 2001) - 1000) / 1000.0;
}

/* y [rows] = W [rows][cols] x + bias */
static void product(struct naive *m, double *y, const float *w, const float *bias, const double *x, int rows,
                    int cols) {
    for (int r = 0; r < rows; r++) {
        y[r] = 0;
        for (int c = 0; c < cols; c++)
            y[r] += (double)w[(size_t)r * (size_t)cols + (size_t)c] * x[c];
    }
    disturb(m, y, rows);
    for (int r = 0; r < rows && bias && m->mistake != NO_BIAS; r++)
        y[r] += (double)bias[r];
}

static void norm(struct naive *m, double *y, const double *x, const float *w, const float *b, int n, int layer_norm) {
    double mean = 0, var = 0;
    for (int i = 0; i < n && layer_norm; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / n;
    double inv = 1 / sqrt(var + (double)m->s->norm_eps);
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) * inv * (double)w[i] + (b && layer_norm ? (double)b[i] : 0);
    disturb(m, y, n);
}

static double half_round(double x) {
    int e;
    frexp(x, &e);
    if (e < -13) e = -13;
    return ldexp(rint(ldexp(x, 11 - e)), e - 11);
}

static void rope(const struct naive *m, double *x, int n_heads, int pos) {
    const struct model_shape *s = m->s;
    const float *factors = find(m, -1, "rope_freqs.weight");
    int pairs = is(m, "llama") || is(m, "granite");
    if (m->mistake == WRONG_ROPE) pairs = !pairs;
    for (int h = 0; h < n_heads; h++)
        for (int i = 0; i < s->rope_dim / 2; i++) {
            double angle = pos / (s->rope_factor) / pow(s->rope_base, 2.0 * i / s->rope_dim);
            if (factors) angle /= (double)factors[i];
            double *a = &x[h * s->head_dim + (pairs ? 2 * i : i)],
                   *b = &x[h * s->head_dim + (pairs ? 2 * i + 1 : i + s->rope_dim / 2)];
            double va = *a, vb = *b;
            *a = va * cos(angle) - vb * sin(angle);
            *b = va * sin(angle) + vb * cos(angle);
        }
}

static double act(const struct naive *m, double x) {
    double erf_form = 0.5 * x * (1 + erf(x / sqrt(2)));
    double tanh_form = 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    if (is(m, "gpt2")) return m->mistake == WRONG_ACT ? erf_form : tanh_form;
    if (uses_layer_norm(m)) return m->mistake == WRONG_ACT ? tanh_form : erf_form;
    return m->mistake == WRONG_ACT ? tanh_form : x / (1 + exp(-x));
}

enum { MAX = 640, MAX_TOKENS = 40 };

/* q, k or v of one token. */
static void project(struct naive *m, int layer, int part, const double *x, double *y) {
    static const char *const names[3] = {"attn_q", "attn_k", "attn_v"};
    const struct model_shape *s = m->s;
    char name[64];
    int rows[3] = {s->n_heads * s->head_dim, s->n_kv_heads * s->head_dim, s->n_kv_heads * s->head_dim};
    int row0 = part == 0 ? 0 : part == 1 ? rows[0] : rows[0] + rows[1];
    const float *w, *b;
    if (is(m, "gpt2") || is(m, "gptneox")) {
        w = find(m, layer, "attn_qkv.weight") + (size_t)row0 * (size_t)s->d_model;
        b = find(m, layer, "attn_qkv.bias") + row0;
    } else {
        snprintf(name, sizeof name, "%s.weight", names[part]);
        w = find(m, layer, name);
        snprintf(name, sizeof name, "%s.bias", names[part]);
        b = find(m, layer, name);
    }
    product(m, y, w, b, x, rows[part], s->d_model);
    const float *head_norm = find(m, layer, part == 0 ? "attn_q_norm.weight" : "attn_k_norm.weight");
    for (int h = 0; part < 2 && head_norm && h < rows[part] / s->head_dim; h++)
        norm(m, y + h * s->head_dim, y + h * s->head_dim, head_norm, NULL, s->head_dim, 0);
}

/* Attention of all tokens of one layer: x [n][d_model] normed input, y [n][d_model] after the output product. */
static void attention_layer(struct naive *m, int layer, int n, double (*x)[MAX], double (*y)[MAX]) {
    static double q[MAX_TOKENS][MAX], k[MAX_TOKENS][MAX], v[MAX_TOKENS][MAX], out[MAX];
    const struct model_shape *s = m->s;
    int dim = s->head_dim, share = s->n_heads / s->n_kv_heads;
    for (int t = 0; t < n; t++) {
        project(m, layer, 0, x[t], q[t]);
        project(m, layer, 1, x[t], k[t]);
        project(m, layer, 2, x[t], v[t]);
        if (!is(m, "gpt2") && !is(m, "bert")) {
            rope(m, q[t], s->n_heads, t);
            rope(m, k[t], s->n_kv_heads, t);
        }
        for (int i = 0; i < s->n_kv_heads * dim; i++) {
            k[t][i] = half_round(k[t][i]);
            v[t][i] = half_round(v[t][i]);
        }
    }
    double scale = is(m, "granite") ? 0.125 : 1 / sqrt(dim);
    if (m->mistake == WRONG_SCALE) scale *= 0.9;
    for (int t = 0; t < n; t++) {
        int seen = is(m, "bert") ? n : t + 1;
        for (int h = 0; h < s->n_heads; h++) {
            double p[MAX_TOKENS], max = -INFINITY, sum = 0;
            for (int j = 0; j < seen; j++) {
                p[j] = 0;
                for (int i = 0; i < dim; i++)
                    p[j] += q[t][h * dim + i] * k[j][h / share * dim + i] * scale;
                if (p[j] > max) max = p[j];
            }
            for (int j = 0; j < seen; j++)
                sum += p[j] = exp(p[j] - max);
            for (int i = 0; i < dim; i++) {
                out[h * dim + i] = 0;
                for (int j = 0; j < seen; j++)
                    out[h * dim + i] += p[j] / sum * v[j][h / share * dim + i];
            }
        }
        disturb(m, out, s->n_heads * dim);
        product(m, y[t], find(m, layer, "attn_output.weight"), find(m, layer, "attn_output.bias"), out, s->d_model,
                s->n_heads * dim);
    }
}

static void ffn_layer(struct naive *m, int layer, int n, double (*x)[MAX], double (*y)[MAX]) {
    static double up[MAX], gate[MAX];
    const struct model_shape *s = m->s;
    const float *w_gate = find(m, layer, "ffn_gate.weight");
    for (int t = 0; t < n; t++) {
        product(m, up, find(m, layer, "ffn_up.weight"), find(m, layer, "ffn_up.bias"), x[t], s->d_ffn, s->d_model);
        if (w_gate) product(m, gate, w_gate, find(m, layer, "ffn_gate.bias"), x[t], s->d_ffn, s->d_model);
        for (int i = 0; i < s->d_ffn; i++)
            up[i] = w_gate ? act(m, gate[i]) * up[i] : act(m, up[i]);
        disturb(m, up, s->d_ffn);
        product(m, y[t], find(m, layer, "ffn_down.weight"), find(m, layer, "ffn_down.bias"), up, s->d_model, s->d_ffn);
    }
}

static void norm_all(struct naive *m, int layer, const char *name, int n, double (*x)[MAX], double (*y)[MAX]) {
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    int layer_norm = m->mistake == WRONG_NORM ? !uses_layer_norm(m) : uses_layer_norm(m);
    for (int t = 0; t < n; t++)
        norm(m, y[t], x[t], find(m, layer, weight), find(m, layer, bias), m->s->d_model, layer_norm);
}

static void add_all(struct naive *m, int n, double (*h)[MAX], double (*y)[MAX]) {
    double scale = is(m, "granite") ? 0.25 : 1;
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < m->s->d_model; i++)
            h[t][i] += y[t][i] * scale;
        disturb(m, h[t], m->s->d_model);
    }
}

static void layer(struct naive *m, int l, int n, double (*h)[MAX]) {
    static double x[MAX_TOKENS][MAX], a[MAX_TOKENS][MAX], f[MAX_TOKENS][MAX];
    if (is(m, "bert")) {
        attention_layer(m, l, n, h, a);
        add_all(m, n, h, a);
        norm_all(m, l, "attn_output_norm", n, h, h);
        ffn_layer(m, l, n, h, f);
        add_all(m, n, h, f);
        norm_all(m, l, "layer_output_norm", n, h, h);
        return;
    }
    int parallel = m->mistake == WRONG_BLOCK ? !m->s->parallel_block : m->s->parallel_block;
    norm_all(m, l, "attn_norm", n, h, x);
    attention_layer(m, l, n, x, a);
    if (!parallel) add_all(m, n, h, a);
    norm_all(m, l, "ffn_norm", n, h, x);
    ffn_layer(m, l, n, x, f);
    if (parallel) add_all(m, n, h, a);
    add_all(m, n, h, f);
}

/* Logits [n][n_vocab], or the hidden states [n][d_model] of an encoder. */
static void forward(struct naive *m, int n, const int *id, double *out) {
    static double h[MAX_TOKENS][MAX];
    const struct model_shape *s = m->s;
    const float *embed = find(m, -1, "token_embd.weight"), *pos = find(m, -1, "position_embd.weight");
    const float *types = find(m, -1, "token_types.weight"), *head = find(m, -1, "output.weight");
    for (int t = 0; t < n; t++)
        for (int i = 0; i < s->d_model; i++) {
            h[t][i] = (double)embed[id[t] * s->d_model + i] * (is(m, "granite") ? 3 : 1);
            if (types) h[t][i] += (double)types[i];
            if (pos) h[t][i] += (double)pos[t * s->d_model + i];
        }
    if (is(m, "bert")) norm_all(m, -1, "token_embd_norm", n, h, h);
    for (int l = 0; l < s->n_layers; l++)
        layer(m, l, n, h);
    if (is(m, "bert")) {
        for (int t = 0; t < n; t++)
            memcpy(out + t * s->d_model, h[t], (size_t)s->d_model * sizeof *out);
        return;
    }
    norm_all(m, -1, "output_norm", n, h, h);
    for (int t = 0; t < n; t++) {
        double *y = out + t * s->n_vocab;
        product(m, y, head ? head : embed, find(m, -1, "output.bias"), h[t], s->n_vocab, s->d_model);
        for (int i = 0; i < s->n_vocab && is(m, "granite"); i++)
            y[i] *= 0.5;
    }
}

/* Largest and root mean square difference; the second tells systematic errors from single values that binary16 rounded
 * the other way. */
struct distance {
    double max, rms;
};

static struct distance distance(const double *a, const double *b, int n) {
    struct distance d = {0};
    for (int i = 0; i < n; i++) {
        if (!(fabs(a[i] - b[i]) <= d.max)) d.max = fabs(a[i] - b[i]);
        d.rms += (a[i] - b[i]) * (a[i] - b[i]) / n;
    }
    d.rms = sqrt(d.rms);
    return d;
}

enum { N = 40, FEW = 2, MISTAKES = WRONG_NORM + 1 };
static double exact[N * MAX], other[N * MAX];

/* Four times what disturbances of the size of a float sum's roundings change in the first n tokens. */
static struct distance tolerance(const struct naive *clean, int n, const int *id, int count) {
    struct distance allowed = {0};
    for (int run = 1; run <= 6; run++) {
        struct naive noisy = *clean;
        noisy.noise = 2 * 0x1p-24;
        noisy.rng = (uint64_t)run;
        forward(&noisy, n, id, other);
        struct distance d = distance(exact, other, count);
        allowed.max = fmax(allowed.max, 4 * d.max);
        allowed.rms = fmax(allowed.rms, 4 * d.rms);
    }
    return allowed;
}

/* Compares n tokens; marks the mistakes that would have been noticed. */
static void check_tokens(const struct naive *clean, struct decoder *dec, int n, const int *id, int *noticed) {
    static float logits[N * MAX];
    const struct model_shape *s = clean->s;
    int seq[N] = {0}, pos[N], count = n * (s->causal ? s->n_vocab : s->d_model);
    for (int t = 0; t < n; t++)
        pos[t] = t;
    forward((struct naive[]){*clean}, n, id, exact);
    struct distance allowed = tolerance(clean, n, id, count);

    struct token_batch b = {n, id, seq, pos};
    decoder_forward(dec, &b, NULL, s->causal ? logits : NULL, s->causal ? NULL : logits);
    for (int i = 0; i < count; i++)
        other[i] = (double)logits[i];
    struct distance found = distance(exact, other, count);
    printf("%-8s %2d tokens: max %.1e of %.1e, rms %.1e of %.1e\n", clean->arch, n, found.max, allowed.max, found.rms,
           allowed.rms);
    CHECK(found.max <= allowed.max, "%s: %g > %g", clean->arch, found.max, allowed.max);
    CHECK(found.rms <= allowed.rms, "%s: %g > %g", clean->arch, found.rms, allowed.rms);
    CHECK(allowed.max < 1e-2, "%s: a tolerance of %g means little", clean->arch, allowed.max);

    for (int mistake = WRONG_ROPE; mistake < MISTAKES; mistake++) {
        struct naive wrong = *clean;
        wrong.mistake = (enum mistake)mistake;
        forward(&wrong, n, id, other);
        noticed[mistake] |= distance(exact, other, count).rms > 2 * allowed.rms;
    }
}

static void check_arch(const struct tiny *tiny) {
    struct model_shape s;
    int id[N], noticed[MISTAKES] = {0};
    uint64_t rng = 5;
    tiny_shape(&s, tiny, "F32", NULL);
    struct gguf *g = tiny_file(&s, 11);
    struct decoder_opts o = tiny_opts();
    struct decoder *dec = g ? tiny_whole(&s, g, &o) : NULL;
    if (!dec) return;
    for (int t = 0; t < N; t++)
        id[t] = tiny_random(&rng, s.n_vocab);
    struct naive clean = {.g = g, .s = &s, .arch = tiny->arch};
    check_tokens(&clean, dec, FEW, id, noticed); /* few roundings: fine differences show */
    check_tokens(&clean, dec, N, id, noticed); /* across blocks of the cache */
    for (int mistake = WRONG_ROPE; mistake < MISTAKES; mistake++) {
        int has_bias = (s.has_vec & (VEC_BIT(Q_B) | VEC_BIT(UP_B))) != 0;
        if ((mistake == WRONG_ROPE && !s.rope_dim) || (mistake == NO_BIAS && !has_bias)) continue;
        if (mistake == WRONG_BLOCK && s.post_norm) continue;
        CHECK(noticed[mistake], "%s: mistake %d would pass", tiny->arch, mistake);
    }
    decoder_close(dec);
    gguf_close(g);
}

int main(void) {
    static const struct tiny more[] = {
        {.arch = "llama", 2, 48, 3, 1, 20, 80, 70, .tied = 1, .linear = 2.5},
        {.arch = "qwen3", 2, 40, 3, 3, 32, 70, 77, .all_vecs = 1},
        {.arch = "gptneox", 2, 64, 4, 4, 16, 256, 90, .rope_dim = 8},
    };
    for (size_t i = 0; i < TINY_ARCHS; i++)
        check_arch(&tiny_archs[i]);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        check_arch(&more[i]);
    return check_report("test_naive");
}
