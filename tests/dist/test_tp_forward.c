/* The forward pass that scores texts, on ranks that are threads: logits of one rank whatever the split, joined sums
 * too; with dropped syncs other logits, the same on all ranks and from run to run. */
#include "tp_forward.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "models/decoder/tiny.h"

volatile int app_stop; /* main.c's */

enum { MAX_RANKS = 8, N_TOKENS = 12, CALL = 5 };

struct rank_run {
    const struct model *model;
    const char *drop_sync; /* may be NULL */
    struct link *link;
    float *logits; /* [N_TOKENS][n_vocab] */
};

static void *run_rank(void *arg) {
    static const struct cmd options = {.name = "test", .options = "drop-sync transport"};
    struct rank_run *r = arg;
    char *words[] = {"--drop-sync", (char *)r->drop_sync};
    struct app app = {.world = r->link, .rank = r->link->rank, .size = r->link->size};
    struct tp_forward f;
    struct diag d = {0};
    int rc = opts_parse(&app.spec, &options, r->drop_sync ? 2 : 0, words, &d);
    if (!rc) rc = tp_forward_open(&f, &app, r->model, N_TOKENS, CALL, &d);
    CHECK(rc == 0, "%s", d.text);
    for (int at = 0; at < N_TOKENS && !rc; at += CALL) {
        int id[CALL], seq[CALL] = {0}, pos[CALL], n = N_TOKENS - at < CALL ? N_TOKENS - at : CALL;
        for (int i = 0; i < n; i++) {
            pos[i] = at + i;
            id[i] = (at + i) * 7 % r->model->shape.n_vocab;
        }
        struct token_batch b = {n, id, seq, pos};
        tp_forward_run(&f, &b, r->logits + (size_t)at * (size_t)r->model->shape.n_vocab);
    }
    if (!rc) tp_forward_close(&f);
    return NULL;
}

/* Rank 0's logits, which all ranks have. */
static void run(const struct model *m, int size, const char *drop_sync, float *logits) {
    struct link *links[MAX_RANKS];
    struct rank_run ranks[MAX_RANKS];
    pthread_t thread[MAX_RANKS];
    size_t bytes = N_TOKENS * (size_t)m->shape.n_vocab * sizeof *logits;
    CHECK(link_threads_new(size, links) == 0, "%d links", size);
    for (int r = 0; r < size; r++) {
        ranks[r] = (struct rank_run){m, drop_sync, links[r], r ? malloc(bytes) : logits};
        pthread_create(&thread[r], NULL, run_rank, &ranks[r]);
    }
    for (int r = 0; r < size; r++) {
        pthread_join(thread[r], NULL);
        CHECK(!memcmp(ranks[r].logits, logits, bytes), "%s: rank %d of %d has other logits", m->shape.name, r, size);
        link_free(links[r]);
        if (r) free(ranks[r].logits);
    }
}

static void check_model(const struct model *m) {
    size_t n = N_TOKENS * (size_t)m->shape.n_vocab, bytes = n * sizeof(float);
    float *one = malloc(bytes), *other = malloc(bytes), *again = malloc(bytes);
    run(m, 1, NULL, one);
    for (int size = 2; size <= 5; size++) {
        run(m, size, NULL, other);
        CHECK(!memcmp(one, other, bytes), "%s: %d ranks", m->shape.name, size);
    }
    for (int size = 1; size <= 3 && !m->shape.parallel_block && !m->shape.post_norm; size++) {
        run(m, size, "0-1", other);
        run(m, size, "all", again);
        CHECK(!memcmp(other, again, bytes), "%s: %d ranks, dropped syncs do not repeat", m->shape.name, size);
        CHECK(!memcmp(one, other, bytes) == (size == 1), "%s: %d ranks, dropped syncs", m->shape.name, size);
    }
    free(one);
    free(other);
    free(again);
}

int main(void) {
    for (size_t i = 0; i < TINY_ARCHS; i++) {
        struct model m = {0};
        tiny_shape(&m.shape, &tiny_archs[i], "F16", NULL);
        if (m.shape.n_layers == 2 && m.shape.causal && m.shape.n_heads >= 3) check_model(&m);
    }
    return check_report("tp-forward");
}
