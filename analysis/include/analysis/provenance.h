/* provenance.h - what made a number: the program's parts and the machine, as texts. All functions are local; the texts
 * are static. */
#ifndef ANALYSIS_PROVENANCE_H
#define ANALYSIS_PROVENANCE_H

#include <stddef.h>

const char *provenance_compiler(void); /* "gcc 12.2.0" */
const char *provenance_machine(void); /* "AMD EPYC 7B13, 2 CPUs" */
const char *provenance_mpi(void); /* the first line of `mpirun --version`, or "unknown" */
/* Now: "2026-11-21T22:47:00Z"; buf of at least 32 bytes; returns buf. */
const char *provenance_time(char *buf, size_t cap);

#endif
