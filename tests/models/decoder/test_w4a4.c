/* The fine-tuned w4a4 decoder: logits are, to the bit, those that models/bundled/integers.py computes from the same
 * file in integers and rounded floats, by the rules of order.h alone; under every kernel set and however a prompt is
 * cut. */
#include "base/hash.h"
#include "tiny.h"

enum { LONGEST = 128 };

/* Ids and hashes; their number. */
static int read_golden(int *id, uint64_t *hash) {
    FILE *f = fopen(NW_TEST_DATA "/kjv-3m-w4a4.txt", "r");
    char line[256];
    int n = 0;
    unsigned long long h;
    CHECK(f, "kjv-3m-w4a4.txt");
    while (f && n < LONGEST && fgets(line, sizeof line, f))
        if (sscanf(line, "%d %llx", &id[n], &h) == 2) hash[n++] = h;
    if (f) fclose(f);
    return n;
}

static void check_logits(const struct model_shape *s, const struct gguf *g, const int *id, const uint64_t *want, int n,
                         int chunk) {
    static const int seq[LONGEST];
    static float logits[LONGEST * 1024];
    int pos[LONGEST], wrong = 0;
    struct decoder_opts o = tiny_opts();
    o.linear_bits = ACT_I4;
    o.head_bits = ACT_I8;
    o.silu_bits = 8;
    o.kv = KV_I4;
    o.n_ctx = o.max_tokens = LONGEST;
    struct decoder *dec = tiny_whole(s, g, &o);
    for (int i = 0; i < n; i++)
        pos[i] = i;
    for (int at = 0; dec && at < n; at += chunk) {
        struct token_batch b = {n - at < chunk ? n - at : chunk, id + at, seq, pos + at};
        decoder_forward(dec, &b, NULL, logits, NULL);
        for (int i = 0; i < b.n; i++)
            wrong += hash_floats(logits + (size_t)i * (size_t)s->n_vocab, (size_t)s->n_vocab, 0) != want[at + i];
    }
    CHECK(dec && !wrong, "%s, chunks of %d: logits of %d of %d positions differ", kernels_selected(), chunk, wrong, n);
    decoder_close(dec);
}

int main(void) {
    int id[LONGEST], n;
    uint64_t hash[LONGEST];
    struct gguf *g = NULL;
    struct model_shape s;
    struct diag d = {0};
    int rc = gguf_open(&g, NW_SOURCE_DIR "/models/bundled/kjv-3m-w4a4.gguf", &d);
    if (!rc) rc = shape_read(&s, g, &d);
    CHECK(!rc && s.n_vocab == 1024, "%s", d.text);
    n = read_golden(id, hash);
    CHECK(n > 2 * ORDER_KV_BLOCK, "%d positions: three blocks of the cache are wanted", n);
    for (const struct kernel_set *const *k = kernel_sets; !rc && *k; k++) {
        if (kernels_select((*k)->name)) continue;
        check_logits(&s, g, id, hash, n, n);
        check_logits(&s, g, id, hash, n, 7);
        check_logits(&s, g, id, hash, n, 1);
    }
    gguf_close(g);
    return check_report("test_w4a4");
}
