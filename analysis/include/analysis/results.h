/* results.h - results of sweeps, kept in an SQLite file.
 *
 *   struct results *r;
 *   if (results_open(&r, "study.db", RESULTS_WRITE, &d)) ...
 *   results_add(r, row, &added, &d);  results_commit(r, &d);  results_close(r);
 *
 * A result is a JSON object; members in brackets may be missing:
 *
 *   point            16 hexadecimal digits: hash of what was asked; unique in a file
 *   time             when it was done, UTC, "2026-11-21T21:00:00Z"
 *   status           "ok", or "failed" with [reason]
 *   [kind]           measured, emulated, simulated, estimated
 *   command          the command line that does it again
 *   [cluster_hash]   of the bytes of the cluster file       [plan_hash]  of the plan: 16 hexadecimal digits
 *   [verified]       how; missing: it was not
 *   [oversubscription]  threads for each CPU, of measured ones
 *   program, compiler, mpi, sqlite, gsl, machine     [texts] versions, and where it was done
 *   parameters       {name: number or text, ...}: what was asked; a text that reads as a number becomes one
 *   values           {name: {value, [unit], [low, high, interval], [n], [kind]}, ...}: interval says which kind; it and
 *                    low and high are missing of what is deterministic; n is 1 if missing, kind (modelled) the result's
 *
 * One process at a time writes to a file (FILE.writer is locked while it does); readers are never held up, and see what
 * was committed. A process that is killed loses what it had not committed, and nothing else. The tables are in
 * results.c, with views `parameters` and `quantities` for other programs. All functions are local; ERR_IO where SQLite
 * fails (a full disk: in these words), ERR_FORMAT where a file is none of ours or of a later version. */
#ifndef ANALYSIS_RESULTS_H
#define ANALYSIS_RESULTS_H

#include <jansson.h>
#include <stdint.h>

#include "base/diag.h"

enum { RESULTS_VERSION = 1 };
enum results_mode { RESULTS_READ, RESULTS_WRITE /* makes the file where there is none */ };

const char *results_library(void); /* "3.40.1": SQLite's version */

struct results;
/* ERR_IO: not there, not readable; RESULTS_WRITE: another process writes to it. */
int results_open(struct results **out, const char *path, enum results_mode mode, struct diag *d);
void results_close(struct results *r); /* NULL accepted; what is not committed is lost */
/* A child process that does not use it gives up its share of the writer's lock. */
void results_leave(struct results *r);

/* *added 0: the point is there already, nothing changes. ERR_FORMAT: a row that is none. */
int results_add(struct results *r, const json_t *row, int *added, struct diag *d);
int results_commit(struct results *r, struct diag *d);
/* Whether a point is there; -1: the file cannot be read. */
int results_has(struct results *r, const char *point);

/* Calls see with each result that all conditions "NAME=VALUE" hold for, in the order of their adding: names of
 * parameters, or status, kind, point, machine, program. see's nonzero ends it and is returned. The row is freed
 * afterwards. */
typedef int results_see(void *user, json_t *row, struct diag *d);
int results_each(struct results *r, const char *const *where, int n_where, results_see *see, void *user,
                 struct diag *d);

#endif
