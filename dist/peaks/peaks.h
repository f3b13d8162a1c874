/* peaks.h - for the files of this folder.
 *
 * A round does each chain once. Chains are so many that an instruction's latency never waits; OPAQUE makes the compiler
 * take a value for a new one, so that it neither folds nor hoists what is computed from it, at no cost in the loop. */
#ifndef DIST_PEAKS_H
#define DIST_PEAKS_H

#include "dist/peak.h"

#if defined(__x86_64__)
#define OPAQUE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define OPAQUE(v) __asm__ volatile("" : "+w"(v))
#endif

#define UNROLL _Pragma("GCC unroll 32")

#endif
