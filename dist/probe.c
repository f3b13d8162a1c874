#include "dist/probe.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* A vector of 64 bytes whatever the machine: the compiler maps it to what it has. */
typedef uint64_t line __attribute__((vector_size(64)));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Lines that thread i of `threads` reads. */
static size_t part_lines(const struct probe *p, int threads) {
    return p->bytes / sizeof(line) / (size_t)threads;
}

int probe_init(struct probe *p, size_t bytes, int threads) {
    size_t align = (size_t)2 << 20;
    void *mem;
    memset(p, 0, sizeof *p);
    p->bytes = bytes / align * align;
    if (p->bytes == 0 || posix_memalign(&mem, align, p->bytes)) return -1;
    p->huge = madvise(mem, p->bytes, MADV_HUGEPAGE) == 0;
    p->buf = mem;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < threads; i++)
        memset((line *)p->buf + (size_t)i * part_lines(p, threads), 1, part_lines(p, threads) * sizeof(line));
    return 0;
}

void probe_fini(struct probe *p) {
    free(p->buf);
    memset(p, 0, sizeof *p);
}

/* Sums lines [0, run) of `streams` runs that lie one after the other. Four sums are enough to keep the loads going, and
 * few enough to stay in registers. */
static inline __attribute__((always_inline)) uint64_t read_runs(const line *v, size_t run, size_t streams) {
    line sum[4] = {{0}};
    if (streams == 1)
        for (size_t i = 0; i + 4 <= run; i += 4)
            for (size_t k = 0; k < 4; k++)
                sum[k] += v[i + k];
    else
        for (size_t i = 0; i < run; i++)
            for (size_t s = 0; s < streams; s++)
                sum[s % 4] += v[s * run + i];
    uint64_t total = 0;
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 8; j++)
            total += sum[k][j];
    return total;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t
read_lines(const line *v, size_t n, int streams) {
    switch (streams) {
    case 1: return read_runs(v, n, 1);
    case 4: return read_runs(v, n / 4, 4);
    default: return read_runs(v, n / 8, 8);
    }
}

double probe_read_Bps(const struct probe *p, int threads, int *streams) {
    static const int choice[] = {1, 4, 8};
    static volatile uint64_t sink; /* keeps the reads alive */
    double best = 0;
    for (int c = 0; c < 3; c++) {
        uint64_t sum = 0;
        double t = now();
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
        for (int i = 0; i < threads; i++) {
            size_t lines = part_lines(p, threads);
            sum += read_lines((const line *)(const void *)p->buf + (size_t)i * lines, lines, choice[c]);
        }
        t = now() - t;
        sink = sum;
        if ((double)p->bytes / t <= best) continue;
        best = (double)p->bytes / t;
        *streams = choice[c];
    }
    (void)sink;
    return best;
}
