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
 * results.c, with views `parameters` and `quantities` for other programs. A file of version 1 is read as it is, and
 * made one of version 2 when it is first written to, at once or not at all. All functions are local; ERR_IO where
 * SQLite fails (a full disk: in these words), ERR_FORMAT where a file is none of ours or of a later version. */
#ifndef ANALYSIS_RESULTS_H
#define ANALYSIS_RESULTS_H

#include <jansson.h>
#include <stdint.h>

#include "base/diag.h"

enum { RESULTS_VERSION = 2 };
enum results_mode { RESULTS_READ, RESULTS_WRITE /* makes the file where there is none */ };

const char *results_library(void); /* "3.40.1": SQLite's version */

struct results;
/* ERR_IO: not there, not readable; RESULTS_WRITE: another process writes to it. */
int results_open(struct results **out, const char *path, enum results_mode mode, struct diag *d);
void results_close(struct results *r); /* NULL accepted; what is not committed is lost */
/* A child process that does not use it gives up its share of the writer's lock. */
void results_leave(struct results *r);

/* A result without JSON, for many of them: 40 microseconds in place of 200. */
enum result_text {
    RESULT_POINT,
    RESULT_TIME,
    RESULT_STATUS,
    RESULT_REASON,
    RESULT_KIND,
    RESULT_COMMAND,
    RESULT_CLUSTER_HASH,
    RESULT_PLAN_HASH,
    RESULT_VERIFIED,
    RESULT_PROGRAM, /* of the environment, from here on */
    RESULT_COMPILER,
    RESULT_MPI,
    RESULT_SQLITE,
    RESULT_GSL,
    RESULT_MACHINE,
    RESULT_TEXTS
};
struct result_parameter {
    const char *name, *value; /* a value that reads as a number becomes one */
};
struct result_value {
    const char *name, *unit, *kind, *interval; /* kind, interval: NULL: none */
    double value, low, high; /* NaN: none */
    int n; /* 0: not said */
};
struct result {
    const char *text[RESULT_TEXTS]; /* NULL: none */
    double oversubscription; /* NaN: none */
    const struct result_parameter *parameter;
    const struct result_value *value;
    int n_parameters, n_values;
};

/* *added 0: the point is there already, nothing changes. ERR_FORMAT: a row that is none. */
int results_keep(struct results *r, const struct result *row, int *added, struct diag *d);
int results_add(struct results *r, const json_t *row, int *added, struct diag *d);
int results_commit(struct results *r, struct diag *d);
/* Whether a point is there. */
enum result_state { RESULT_UNREADABLE = -1, RESULT_NONE, RESULT_OK, RESULT_FAILED };
enum result_state results_has(struct results *r, const char *point);
/* Takes a failed one out, in the transaction of what is added next; nothing where it is not there, or is ok. */
int results_drop_failed(struct results *r, const char *point, struct diag *d);

/* Calls see with each result that all conditions "NAME=VALUE" hold for, in the order of their adding: names of
 * parameters, or status, kind, point, machine, program. see's nonzero ends it and is returned. The row is freed
 * afterwards. */
typedef int results_see(void *user, json_t *row, struct diag *d);
int results_each(struct results *r, const char *const *where, int n_where, results_see *see, void *user,
                 struct diag *d);
/* A member of a row's value ("value", "low", "n"); NaN: it has none. */
double results_value(const json_t *row, const char *name, const char *member);

#endif
