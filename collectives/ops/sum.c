/* sum - binary32 addition. */
#include "collectives/op.h"

/* One loop for each way that the operands lie: the compiler may assume that what is written is not read. */
#define ADD_LOOPS(suffix, attributes)                                                                                  \
    attributes static void add_apart##suffix(float *restrict dst, const float *restrict a, const float *restrict b,    \
                                             size_t n) {                                                               \
        for (size_t i = 0; i < n; i++)                                                                                 \
            dst[i] = a[i] + b[i];                                                                                      \
    }                                                                                                                  \
    attributes static void add_to##suffix(float *restrict dst, const float *restrict b, size_t n) {                    \
        for (size_t i = 0; i < n; i++)                                                                                 \
            dst[i] += b[i];                                                                                            \
    }                                                                                                                  \
    static void add##suffix(float *dst, const float *a, const float *b, size_t n) {                                    \
        if (dst == a)                                                                                                  \
            add_to##suffix(dst, b, n);                                                                                 \
        else if (dst == b)                                                                                             \
            add_to##suffix(dst, a, n);                                                                                 \
        else                                                                                                           \
            add_apart##suffix(dst, a, b, n);                                                                           \
    }

ADD_LOOPS(_base, __attribute__((noinline)))
#if defined __x86_64__
ADD_LOOPS(_avx2, __attribute__((noinline, target("avx2"))))
#endif

static void sum_reduce(const struct coll_op *op, void *dst, const void *a, const void *b, size_t n) {
    (void)op;
#if defined __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        add_avx2(dst, a, b, n);
        return;
    }
#endif
    add_base(dst, a, b, n);
}

static void sum_identity(const struct coll_op *op, void *dst, size_t n) {
    float *x = dst;
    (void)op;
    for (size_t i = 0; i < n; i++)
        x[i] = -0.0f; /* -0 + x is x for every x; 0 + -0 is 0 */
}

const struct coll_op coll_op_sum = {
    .name = "sum",
    .description = "binary32 addition",
    .rounds = 1,
    .param = 1,
    .param_most = 1,
    .param_bytes = sizeof(float),
    .elem_bytes = sizeof(float),
    .reduce = sum_reduce,
    .identity = sum_identity,
};
