/* clones.h - functions compiled twice: for the baseline, where a fused multiply-add may be a slow library call, and for
 * CPUs that have the instruction. Both give the same bits, as each operation is an IEEE one; only the speed differs.
 *
 *   CLONED(void, scale, (float *y, int n), (y, n)) {
 *       ...
 *   }
 *
 * Helpers they call must be INLINE, or they are compiled for the baseline alone. */
#ifndef KERNELS_CLONES_H
#define KERNELS_CLONES_H

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__) && !defined(__FMA__)
#define CLONED(ret, name, params, args)                                                                                \
    INLINE ret name##_body params;                                                                                     \
    __attribute__((target("avx2,fma"))) static ret name##_fma params {                                                 \
        return name##_body args;                                                                                       \
    }                                                                                                                  \
    __attribute__((noinline)) static ret name##_base params {                                                          \
        return name##_body args;                                                                                       \
    }                                                                                                                  \
    ret name params {                                                                                                  \
        return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2") ? name##_fma args : name##_base args;   \
    }                                                                                                                  \
    INLINE ret name##_body params
#else
#define CLONED(ret, name, params, args)                                                                                \
    INLINE ret name##_body params;                                                                                     \
    ret name params {                                                                                                  \
        return name##_body args;                                                                                       \
    }                                                                                                                  \
    INLINE ret name##_body params
#endif

#endif
