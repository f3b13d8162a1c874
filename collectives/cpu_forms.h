/* cpu_forms.h - one loop compiled for the base instruction set and for AVX2, chosen when it is called: the same source,
 * so the same bits. The loop is a function NAME_loop, `static inline FORM_LOOP`, that both forms take in. */
#ifndef COLL_CPU_FORMS_H
#define COLL_CPU_FORMS_H

#define FORM_LOOP __attribute__((always_inline))

#if defined __x86_64__
#define CPU_FORMS(name, parameters, arguments)                                                                         \
    __attribute__((noinline)) static void name##_base parameters {                                                     \
        name##_loop arguments;                                                                                         \
    }                                                                                                                  \
    __attribute__((noinline, target("avx2"))) static void name##_avx2 parameters {                                     \
        name##_loop arguments;                                                                                         \
    }                                                                                                                  \
    static void name parameters {                                                                                      \
        if (__builtin_cpu_supports("avx2"))                                                                            \
            name##_avx2 arguments;                                                                                     \
        else                                                                                                           \
            name##_base arguments;                                                                                     \
    }
#else
#define CPU_FORMS(name, parameters, arguments)                                                                         \
    static void name parameters {                                                                                      \
        name##_loop arguments;                                                                                         \
    }
#endif

#endif
