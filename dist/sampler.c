#include "dist/sampler.h"

#include <stdlib.h>

#include "base/hash.h"
#include "models/mathf.h"

int sampler_candidates(const struct sampler_params *p, int n_vocab) {
    if (p->temperature <= 0) return 1;
    return p->top_k > 0 && p->top_k < n_vocab ? p->top_k : n_vocab;
}

/* A total order: higher logit first, then lower id. NaN goes last. */
static int better(float logit_a, int id_a, float logit_b, int id_b) {
    if (logit_a > logit_b) return 1;
    if (logit_a < logit_b) return 0;
    if (logit_a != logit_b && (logit_a != logit_a) != (logit_b != logit_b)) return logit_b != logit_b;
    return id_a < id_b;
}

static int worse_first(struct candidate a, struct candidate b) {
    return better(b.logit, b.id, a.logit, a.id);
}

/* Restores the heap (worst candidate on top) below position i. */
static void sift(struct candidate *heap, int n, int i) {
    for (;;) {
        int child = 2 * i + 1;
        if (child >= n) return;
        if (child + 1 < n && worse_first(heap[child + 1], heap[child])) child++;
        if (!worse_first(heap[child], heap[i])) return;
        struct candidate t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

static int compare(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->id == y->id) return 0;
    return better(x->logit, x->id, y->logit, y->id) ? -1 : 1;
}

void sampler_best(const float *logits, int n, int first_id, struct candidate *out, int k) {
    int m = n < k ? n : k;
    for (int i = 0; i < m; i++)
        out[i] = (struct candidate){logits[i], first_id + i};
    for (int i = m / 2 - 1; i >= 0; i--)
        sift(out, m, i);
    for (int i = m; i < n; i++) {
        if (!better(logits[i], first_id + i, out[0].logit, out[0].id)) continue;
        out[0] = (struct candidate){logits[i], first_id + i};
        sift(out, m, 0);
    }
    qsort(out, (size_t)m, sizeof *out, compare);
    for (int i = m; i < k; i++)
        out[i] = (struct candidate){0, -1};
}

int sampler_draw(const struct sampler_params *p, struct candidate *c, int m, int seq, int index) {
    int n = 0;
    for (int i = 0; i < m; i++)
        if (c[i].id >= 0) c[n++] = c[i];
    qsort(c, (size_t)n, sizeof *c, compare);
    if (n == 0) return -1;
    if (p->temperature <= 0) return c[0].id;
    if (p->top_k > 0 && p->top_k < n) n = p->top_k;

    double sum = 0, top = c[0].logit;
    for (int i = 0; i < n; i++)
        sum += math_exp(((double)c[i].logit - top) / p->temperature);
    double kept = 0;
    int n_kept = 0;
    while (n_kept < n) { /* the smallest set whose probability reaches top_p */
        kept += math_exp(((double)c[n_kept++].logit - top) / p->temperature);
        if (kept >= p->top_p * sum) break;
    }
    uint64_t key = hash_mix(p->seed ^ hash_mix((uint64_t)seq + 1));
    double u = (double)(rng_u64(key, (uint64_t)index) >> 11) * 0x1p-53 * kept;
    double at = 0;
    for (int i = 0; i < n_kept; i++) {
        at += math_exp(((double)c[i].logit - top) / p->temperature);
        if (u < at) return c[i].id;
    }
    return c[n_kept - 1].id;
}
