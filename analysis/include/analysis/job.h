/* job.h - this program, run once more, under mpirun or in the lab: what a report or a sweep measures. All functions are
 * local. */
#ifndef ANALYSIS_JOB_H
#define ANALYSIS_JOB_H

#include <jansson.h>

#include "base/diag.h"

enum { JOB_MOST_WORDS = 100, JOB_LAB = -1 };

/* Runs `mpirun -n ranks` with this program and words[n_words], of which one is --json, and reads what it prints; ranks
 * 0: without mpirun; JOB_LAB: northwall-lab, beside this program or in PATH, with these words, -n among them; out NULL:
 * what it prints is no JSON, and not read. The job ends with this process. ERR_INTERNAL: it failed, in its own words,
 * or mpirun's; ERR_UNSUPPORTED: there is no mpirun, or northwall-lab; ERR_IO. json_decref frees *out. */
int job_json(json_t **out, int ranks, int n_words, const char *const *words, struct diag *d);
/* The same as typed into a shell. malloc'ed, or NULL. */
char *job_command(int ranks, int n_words, const char *const *words);
/* A number of what it printed; NaN: none. */
double job_number(const json_t *o, const char *key);

#endif
