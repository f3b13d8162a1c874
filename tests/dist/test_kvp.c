/* A cache shared by position, on ranks that are threads: who keeps which position, and logits that are those of one
 * rank but for rounding, the same bits on all ranks and for every tp and chunk.
 *
 * The tolerance is what roundings can do, measured: one rank runs again with each (l, o) of each head off by up to
 * n + 2 (3M + 1) halves of a unit in the last place, for n positions in any order and M merges (attn_merge.c), at
 * random; the most that this moves a logit in any of several runs is what a correct merge may move it. */
#include <pthread.h>

#include "base/hash.h"
#include "models/decoder/tiny.h"
#include "tp_forward.h"

volatile int app_stop; /* the program's */

enum { MAX_RANKS = 8, LONGEST = 200 };

struct text {
    const struct model_shape *s;
    const char *kv;
    int n, id[LONGEST];
};

struct rank_run {
    const struct text *text;
    struct link *link;
    int kvp, chunk, rc;
    float *logits; /* [n][n_vocab] */
    struct diag d;
};

/* ---- positions ---- */

static void check_positions(int shards) {
    int kept[MAX_RANKS] = {0};
    for (int pos = 0; pos < 1000; pos++) {
        int owners = 0, most = 0, least = pos;
        for (int i = 0; i < shards; i++) {
            struct shard_spec spec = {.kv_shard = i, .kv_shards = shards};
            int at = shard_kv_count(&spec, pos), mine = shard_kv_count(&spec, pos + 1) - at;
            CHECK(at == kept[i], "shard %d of %d: position %d lies at %d, not %d", i, shards, pos, at, kept[i]);
            CHECK(!mine || pos / ORDER_KV_BLOCK % shards == i, "shard %d of %d keeps %d", i, shards, pos);
            kept[i] += mine;
            owners += mine;
            most = kept[i] > most ? kept[i] : most;
            least = kept[i] < least ? kept[i] : least;
        }
        CHECK(owners == 1 && most - least <= ORDER_KV_BLOCK, "%d shards: position %d", shards, pos);
    }
}

/* ---- logits ---- */

static void *run_rank(void *arg) {
    struct rank_run *r = arg;
    const struct text *t = r->text;
    int seq[LONGEST] = {0}, pos[LONGEST];
    struct app app = {.world = r->link, .rank = r->link->rank, .size = r->link->size};
    struct model m = {.shape = *t->s};
    struct tp_forward f;
    app.spec = (struct run_spec){.kvp = r->kvp,
                                 .mode = "a16",
                                 .kv = t->kv,
                                 .transport = "auto",
                                 .wire = "f32",
                                 .hidden = "f32",
                                 .threads = 1,
                                 .seed = 5};
    for (int i = 0; i < t->n; i++)
        pos[i] = i;
    r->rc = tp_forward_open(&f, &app, &m, t->n, r->chunk, &r->d);
    for (int at = 0; at < t->n && !r->rc; at += r->chunk) {
        struct token_batch b = {t->n - at < r->chunk ? t->n - at : r->chunk, t->id + at, seq, pos + at};
        tp_forward_run(&f, &b, r->logits + (size_t)at * (size_t)t->s->n_vocab);
    }
    tp_forward_close(&f);
    return NULL;
}

/* Runs on tp x kvp ranks, which must agree; the logits of rank 0 are the caller's. */
static float *run(const struct text *t, int tp, int kvp, int chunk) {
    int size = tp * kvp;
    size_t bytes = (size_t)(t->n * t->s->n_vocab) * sizeof(float);
    struct link *links[MAX_RANKS];
    struct rank_run ranks[MAX_RANKS] = {{0}};
    pthread_t thread[MAX_RANKS];
    CHECK(link_threads_new(size, links) == 0, "%d links", size);
    for (int r = 0; r < size; r++) {
        ranks[r] = (struct rank_run){.text = t, .link = links[r], .kvp = kvp, .chunk = chunk, .logits = malloc(bytes)};
        pthread_create(&thread[r], NULL, run_rank, &ranks[r]);
    }
    for (int r = 0; r < size; r++)
        pthread_join(thread[r], NULL);
    for (int r = 0; r < size; r++) {
        CHECK(ranks[r].rc == 0, "%s, tp %d, kvp %d: %s", t->s->name, tp, kvp, ranks[r].d.text);
        CHECK(!memcmp(ranks[r].logits, ranks[0].logits, bytes), "%s, kvp %d: rank %d differs", t->s->name, kvp, r);
        if (r) free(ranks[r].logits);
        link_free(links[r]);
    }
    return ranks[0].logits;
}

/* The same steps on one rank; off: how far l and o may be off, relatively. */
static float *run_alone(const struct text *t, double off, uint64_t seed) {
    static const char *const kvs[] = {"f16", "int8", "int4"};
    const struct model_shape *s = t->s;
    int seq[LONGEST] = {0}, pos[LONGEST], width = s->head_dim + 2, n_elems = s->n_heads * t->n;
    size_t len = (size_t)(t->n * s->d_model);
    struct decoder_opts o = {.n_seqs = 1, .n_ctx = t->n, .max_tokens = t->n, .threads = 1, .seed = 5};
    while (strcmp(kvs[o.kv], t->kv))
        o.kv++;
    struct shard_spec whole;
    struct decoder *dec;
    struct diag d = {0};
    shard_whole(s, &whole);
    CHECK(decoder_open(&dec, s, NULL, &whole, &o, &d) == 0, "%s", d.text);
    struct token_batch b = {t->n, t->id, seq, pos};
    float *h = malloc(3 * len * sizeof *h), *e = malloc((size_t)(n_elems * width) * sizeof *e),
          *logits = malloc((size_t)(t->n * s->n_vocab) * sizeof *logits);
    for (int i = 0; i < t->n; i++)
        pos[i] = i;
    decoder_embed(dec, &b, h);
    for (int l = 0; l < s->n_layers; l++) {
        decoder_attn_norm(dec, l, t->n, h);
        decoder_qkv(dec, l, t->n);
        decoder_rope_store(dec, l, &b);
        decoder_attend(dec, l, &b, e);
        for (int i = 0; i < n_elems * width; i++)
            if (i % width) e[i] *= (float)(1 + off * (tiny_random(&seed, 2001) - 1000) / 1000);
        decoder_merged(dec, t->n, e);
        decoder_attn_out(dec, l, t->n, h + len);
        if (s->parallel_block) decoder_ffn(dec, l, &b, h, h + 2 * len);
        decoder_attention_add(dec, l, t->n, h, h + len);
        if (!s->parallel_block) decoder_ffn(dec, l, &b, h, h + 2 * len);
        decoder_ffn_add(dec, l, t->n, h, h + 2 * len);
    }
    decoder_out_norm(dec, t->n, h);
    decoder_head(dec, t->n, h, logits);
    decoder_close(dec);
    free(h);
    free(e);
    return logits;
}

static double distance(const struct text *t, const float *a, const float *b, int first_token) {
    double most = 0;
    for (int i = first_token * t->s->n_vocab; i < t->n * t->s->n_vocab; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= most)) most = fabs((double)a[i] - (double)b[i]);
    return most;
}

static double tolerance(const struct text *t, const float *one, int kvp) {
    double off = (t->n + 2 * (3 * (kvp - 1) + 1)) * 0x1p-24, most = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        float *other = run_alone(t, off, seed);
        most = fmax(most, distance(t, one, other, 0));
        free(other);
    }
    return most;
}

/* Another token in a block that only rank 1 keeps (or else the first one) moves the last logits by far more. */
static void check_power(struct text t, const float *one, double allowed) {
    int at = t.n > ORDER_KV_BLOCK + 1 ? ORDER_KV_BLOCK : 0;
    t.id[at] = (t.id[at] + 1) % t.s->n_vocab;
    float *other = run_alone(&t, 0, 1);
    CHECK(distance(&t, one, other, t.n - 1) > 10 * allowed, "%s: a tolerance of %g means little", t.s->name, allowed);
    free(other);
}

static void check_close(const struct text *t, int kvp) {
    size_t bytes = (size_t)(t->n * t->s->n_vocab) * sizeof(float);
    float *one = run_alone(t, 0, 1), *tp1 = run(t, 1, kvp, 64), *tp2 = run(t, 2, kvp, 7);
    double allowed = tolerance(t, one, kvp), found = distance(t, one, tp1, 0);
    printf("%-12s kv %-4s %3d positions, kvp %d: %.1e of %.1e\n", t->s->name, t->kv, t->n, kvp, found, allowed);
    CHECK(found <= allowed, "%s, kv %s, %d positions, kvp %d: off by %g of %g", t->s->name, t->kv, t->n, kvp, found,
          allowed);
    CHECK(!memcmp(tp1, tp2, bytes), "%s, kv %s, kvp %d: tp or chunk shows", t->s->name, t->kv, kvp);
    check_power(*t, one, allowed);
    free(one);
    free(tp1);
    free(tp2);
}

int main(void) {
    static const struct tiny models[] = {
        /* arch, layers, width, heads, KV heads, head_dim, FFN, vocabulary, rope_dim, all vectors, parallel, tied */
        {"llama", 2, 64, 24, 2, 16, 160, 83, 0, 1, 0, 0, 0},
        {"qwen3", 2, 64, 24, 1, 40, 128, 77, 0, 0, 0, 0, 0},
        {"gptneox", 2, 64, 8, 8, 16, 256, 90, 4, 0, 1, 0, 0},
    };
    static const int lengths[] = {1, 20, 33, 97, LONGEST};
    static const char *const kv[] = {"f16", "int8", "int4"};
    for (int shards = 1; shards <= MAX_RANKS; shards++)
        check_positions(shards);
    for (int m = 0; m < 3; m++)
        for (int i = 0; i < 5; i++) {
            struct model_shape s;
            struct text t = {.s = &s, .kv = kv[(m + i) % 3], .n = lengths[i]};
            uint64_t rng = (uint64_t)(10 * m + i);
            tiny_shape(&s, &models[m], "F32", NULL);
            for (int k = 0; k < t.n; k++)
                t.id[k] = tiny_random(&rng, s.n_vocab);
            check_close(&t, 2 + (m + i) % (s.n_heads % 3 ? 1 : 2));
            if (i == 4) check_close(&t, 4);
        }
    return check_report("kvp");
}
