#include "analysis/results.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/text.h"

enum { APPLICATION = 0x4e57616c /* "NWal": application_id of our files */, BUSY_MS = 10000 };

/* Names are kept once, with what goes with them; environments too. */
static const char schema[] =
    "CREATE TABLE environment(id INTEGER PRIMARY KEY, program, compiler, mpi, sqlite, gsl, machine);"
    "CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL,"
    " interval TEXT NOT NULL, UNIQUE(text, unit, kind, interval));"
    "CREATE TABLE result(id INTEGER PRIMARY KEY, point TEXT NOT NULL UNIQUE, time TEXT NOT NULL, status TEXT NOT NULL,"
    " reason TEXT, kind TEXT, command TEXT NOT NULL, cluster_hash TEXT, plan_hash TEXT, verified TEXT,"
    " oversubscription REAL, environment INTEGER NOT NULL REFERENCES environment);"
    "CREATE TABLE parameter(result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES name, value,"
    " PRIMARY KEY(result, name)) WITHOUT ROWID;"
    "CREATE TABLE value(result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES name, value REAL,"
    " low REAL, high REAL, n INTEGER, PRIMARY KEY(result, name)) WITHOUT ROWID;";
static const char views[] =
    "CREATE VIEW parameters AS SELECT result, text AS name, value FROM parameter JOIN name ON name.id = name;"
    "CREATE VIEW quantities AS SELECT result, text AS name, unit, value.value, low, high, n,"
    " nullif(interval, '') AS interval, coalesce(nullif(name.kind, ''), result.kind) AS kind"
    " FROM value JOIN name ON name.id = name JOIN result ON result.id = result;";

/* Version 1 had kind and interval in each value. The order of names stays, and with it that of values. */
static const char from_1[] =
    "DROP VIEW parameters; DROP VIEW quantities;"
    "CREATE TABLE name_2(id INTEGER PRIMARY KEY, text TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL,"
    " interval TEXT NOT NULL, UNIQUE(text, unit, kind, interval));"
    "CREATE TABLE parameter_2(result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES name, value,"
    " PRIMARY KEY(result, name)) WITHOUT ROWID;"
    "CREATE TABLE value_2(result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES name, value REAL,"
    " low REAL, high REAL, n INTEGER, PRIMARY KEY(result, name)) WITHOUT ROWID;"
    "CREATE TEMP TABLE used AS SELECT name, ifnull(kind, '') AS kind, ifnull(interval, '') AS interval FROM value"
    " UNION SELECT name, '', '' FROM parameter;"
    "INSERT INTO name_2(text, unit, kind, interval) SELECT text, unit, kind, interval FROM used JOIN name ON id = name"
    " ORDER BY id, kind, interval;"
    "CREATE TEMP TABLE become AS SELECT used.name, used.kind, used.interval, name_2.id FROM used"
    " JOIN name ON name.id = used.name JOIN name_2 USING(text, unit, kind, interval);"
    "CREATE UNIQUE INDEX temp.by_name ON become(name, kind, interval);"
    "INSERT INTO parameter_2 SELECT result, id, value FROM parameter AS p"
    " JOIN become AS b ON b.name = p.name AND kind = '' AND interval = '' ORDER BY 1, 2;"
    "INSERT INTO value_2 SELECT result, id, value, low, high, n FROM value AS v JOIN become AS b"
    " ON b.name = v.name AND b.kind = ifnull(v.kind, '') AND b.interval = ifnull(v.interval, '') ORDER BY 1, 2;"
    "DROP TABLE become; DROP TABLE used; DROP TABLE value; DROP TABLE parameter; DROP TABLE name;"
    "ALTER TABLE name_2 RENAME TO name; ALTER TABLE parameter_2 RENAME TO parameter;"
    "ALTER TABLE value_2 RENAME TO value;";

/* Several rows of a result are one statement: that takes half the time. */
enum { ROWS_AT_ONCE = 24 };

enum statement {
    HAS,
    ADD,
    ADD_NAME,
    FIND_NAME,
    ADD_ENVIRONMENT,
    FIND_ENVIRONMENT,
    DROP_PARAMETERS,
    DROP_VALUES,
    DROP_RESULT,
    PARAMETERS,
    VALUES,
    ADD_PARAMETERS, /* 1 to ROWS_AT_ONCE rows */
    ADD_VALUES = ADD_PARAMETERS + ROWS_AT_ONCE,
    N_STATEMENTS = ADD_VALUES + ROWS_AT_ONCE
};
static const char *const sql[ADD_PARAMETERS] = {
    [HAS] = "SELECT status = 'ok' FROM result WHERE point = ?",
    [ADD] = "INSERT OR IGNORE INTO result(point, time, status, reason, kind, command, cluster_hash, plan_hash,"
            " verified, oversubscription, environment) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ADD_NAME] = "INSERT INTO name(text, unit, kind, interval) VALUES(?, ?, ?, ?)",
    [FIND_NAME] = "SELECT id FROM name WHERE text = ? AND unit = ? AND kind = ? AND interval = ?",
    [ADD_ENVIRONMENT] = "INSERT INTO environment(program, compiler, mpi, sqlite, gsl, machine)"
                        " VALUES(?, ?, ?, ?, ?, ?)",
    [FIND_ENVIRONMENT] = "SELECT id FROM environment WHERE program IS ? AND compiler IS ? AND mpi IS ?"
                         " AND sqlite IS ? AND gsl IS ? AND machine IS ?",
    [DROP_PARAMETERS] = "DELETE FROM parameter WHERE result = (SELECT id FROM result WHERE point = ?"
                        " AND status = 'failed')",
    [DROP_VALUES] = "DELETE FROM value WHERE result = (SELECT id FROM result WHERE point = ? AND status = 'failed')",
    [DROP_RESULT] = "DELETE FROM result WHERE point = ? AND status = 'failed'",
    /* of both versions */
    [PARAMETERS] = "SELECT text, value FROM parameter JOIN name ON name.id = name WHERE result = ? ORDER BY name",
    [VALUES] = "SELECT text, unit, value, low, high, n, nullif(interval, ''), nullif(kind, '') FROM value"
               " JOIN name ON name.id = name WHERE result = ? ORDER BY name",
};

/* Members that are columns of a result, in the order of enum result_text and, with oversubscription behind them, of ADD
 * and of those of SELECT below; then of an environment. */
static const char *const members[] = {"point",   "time",         "status",    "reason",   "kind",
                                      "command", "cluster_hash", "plan_hash", "verified", "oversubscription"};
static const char *const environments[] = {"program", "compiler", "mpi", "sqlite", "gsl", "machine"};
enum { N_MEMBERS = sizeof members / sizeof *members, N_ENVIRONMENTS = sizeof environments / sizeof *environments };

/* Names that were looked up; those that are here are in the file (a rollback ends the process's writing). */
enum { NAMES_KEPT = 256 };
struct kept_name {
    char text[64], unit[16], kind[16], interval[64];
    sqlite3_int64 id;
};

struct results {
    sqlite3 *db;
    sqlite3_stmt *statement[N_STATEMENTS];
    char path[4096];
    int lock; /* of FILE.writer, or -1 */
    int begun; /* a transaction */
    int n_names;
    unsigned next_name;
    struct kept_name name[NAMES_KEPT];
    struct { /* the last one */
        sqlite3_int64 id;
        char text[N_ENVIRONMENTS][128];
    } environment;
};

static int failed(const struct results *r, struct diag *d) {
    int code = sqlite3_errcode(r->db);
    if (code == SQLITE_NOTADB) return diag_set(d, ERR_FORMAT, "%.200s: not an SQLite file", r->path);
    if (code != SQLITE_FULL && code != SQLITE_IOERR)
        return diag_set(d, ERR_IO, "%.200s: %.200s", r->path, sqlite3_errmsg(r->db));
    return diag_set(d, ERR_IO,
                    "%.200s: no space left, or a disk that fails (%s): what was committed stays: make room, "
                    "run again",
                    r->path, sqlite3_errmsg(r->db));
}

static int execute(struct results *r, const char *text, struct diag *d) {
    return sqlite3_exec(r->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(r, d);
}

const char *results_library(void) {
    return sqlite3_libversion();
}

/* ---- opening ---- */

static int lock_writer(struct results *r, struct diag *d) {
    char path[4200];
    snprintf(path, sizeof path, "%s.writer", r->path);
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->lock < 0) return diag_set(d, ERR_IO, "%.200s: %s", path, strerror(errno));
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0) return 0;
    return diag_set(d, ERR_IO, "%.200s: another process writes to it: one at a time can", r->path);
}

static sqlite3_int64 pragma(struct results *r, const char *text) {
    sqlite3_stmt *s = NULL;
    sqlite3_int64 value = -1;
    if (sqlite3_prepare_v2(r->db, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

/* What makes the tables, of nothing or of those of an earlier version. */
static int make_tables(struct results *r, const char *how, struct diag *d) {
    char text[128];
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION, RESULTS_VERSION);
    int rc = execute(r, "BEGIN IMMEDIATE", d);
    if (!rc) rc = execute(r, how, d);
    if (!rc) rc = execute(r, views, d);
    if (!rc) rc = execute(r, text, d);
    return rc ? rc : execute(r, "COMMIT", d);
}

static int check_tables(struct results *r, enum results_mode mode, struct diag *d) {
    sqlite3_int64 tables = pragma(r, "SELECT count(*) FROM sqlite_master");
    if (tables < 0) return failed(r, d);
    if (tables == 0 && mode == RESULTS_WRITE) return make_tables(r, schema, d);
    long long version = pragma(r, "PRAGMA user_version");
    if (tables == 0 || pragma(r, "PRAGMA application_id") != APPLICATION)
        return diag_set(d, ERR_FORMAT, "%.200s: not a file of northwall's results", r->path);
    if (version == 1) return mode == RESULTS_WRITE ? make_tables(r, from_1, d) : 0;
    if (version == RESULTS_VERSION) return 0;
    return diag_set(d, ERR_FORMAT, "%.200s: its tables are of version %lld; this program knows %d: use a newer one",
                    r->path, version, RESULTS_VERSION);
}

static int prepare(struct results *r, enum results_mode mode, struct diag *d) {
    int rc = mode == RESULTS_WRITE ? execute(r, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", d) : 0;
    if (!rc) rc = check_tables(r, mode, d);
    return rc;
}

int results_open(struct results **out, const char *path, enum results_mode mode, struct diag *d) {
    struct results *r = *out = calloc(1, sizeof *r);
    if (!r) return diag_set(d, ERR_MEMORY, "no memory for %.200s", path);
    snprintf(r->path, sizeof r->path, "%s", path);
    r->lock = -1;
    int flags = mode == RESULTS_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE, rc = 0;
    if (mode == RESULTS_READ && access(path, R_OK)) rc = diag_set(d, ERR_IO, "%.200s: %s", path, strerror(errno));
    /* who may not write reads all the same, once the writer has put all into the file itself */
    if (mode == RESULTS_READ && access(path, W_OK)) flags = SQLITE_OPEN_READONLY;
    if (!rc && mode == RESULTS_WRITE) rc = lock_writer(r, d);
    if (!rc && sqlite3_open_v2(path, &r->db, flags, NULL) != SQLITE_OK) rc = failed(r, d);
    if (!rc) sqlite3_busy_timeout(r->db, BUSY_MS);
    if (!rc) rc = prepare(r, mode, d);
    if (!rc) return 0;
    results_close(r);
    *out = NULL;
    return rc;
}

void results_close(struct results *r) {
    if (!r) return;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(r->statement[i]);
    sqlite3_close(r->db);
    if (r->lock >= 0) close(r->lock);
    free(r);
}

void results_leave(struct results *r) {
    if (r->lock >= 0) close(r->lock);
    r->lock = -1;
}

/* ---- adding ---- */

/* "INSERT INTO value VALUES(?1, ?2, ...), (?1, ...)": the result's id comes first in all rows. */
static void rows_text(char *out, size_t cap, const char *table, int rows, int columns) {
    size_t at = (size_t)snprintf(out, cap, "INSERT INTO %s VALUES", table);
    for (int i = 0, next = 2; i < rows; i++) {
        at += (size_t)snprintf(out + at, cap - at, "%s(?1", i ? ", " : "");
        for (int k = 1; k < columns; k++)
            at += (size_t)snprintf(out + at, cap - at, ", ?%d", next++);
        at += (size_t)snprintf(out + at, cap - at, ")");
    }
}

/* Prepared when it is first wanted; NULL: failed. */
static sqlite3_stmt *statement(struct results *r, int which) {
    char rows[64 + ROWS_AT_ONCE * 48];
    const char *text = which < ADD_PARAMETERS ? sql[which] : rows;
    if (r->statement[which]) return r->statement[which];
    if (which >= ADD_VALUES)
        rows_text(rows, sizeof rows, "value", which - ADD_VALUES + 1, 6);
    else if (which >= ADD_PARAMETERS)
        rows_text(rows, sizeof rows, "parameter", which - ADD_PARAMETERS + 1, 3);
    sqlite3_prepare_v3(r->db, text, -1, SQLITE_PREPARE_PERSISTENT, &r->statement[which], NULL);
    return r->statement[which];
}

static int step(struct results *r, sqlite3_stmt *s, struct diag *d) {
    int code = sqlite3_step(s), rc = code == SQLITE_DONE ? 0 : failed(r, d);
    sqlite3_reset(s);
    return rc;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC); /* NULL for NULL; statements are stepped before it goes */
}

static void bind_number(sqlite3_stmt *s, int at, double x) {
    if (isnan(x))
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_double(s, at, x);
}

/* A text that reads as a number is kept as one, whole ones as such. */
static void bind_value(sqlite3_stmt *s, int at, const char *text) {
    char *end;
    double x = strtod(text, &end);
    if (!*text || *end || strspn(text, "0123456789.eE+-") != strlen(text) || !isfinite(x))
        bind_text(s, at, text);
    else if (x == floor(x) && fabs(x) < 1e15)
        sqlite3_bind_int64(s, at, (sqlite3_int64)x);
    else
        sqlite3_bind_double(s, at, x);
}

/* Finds a row of texts, or adds it. */
static int find_or_add(struct results *r, enum statement find, enum statement add, const char *const *text, int n,
                       sqlite3_int64 *id, struct diag *d) {
    sqlite3_stmt *s = statement(r, find), *more = statement(r, add);
    if (!s || !more) return failed(r, d);
    for (int i = 0; i < n; i++) {
        bind_text(s, i + 1, text[i]);
        bind_text(more, i + 1, text[i]);
    }
    int code = sqlite3_step(s), rc = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : failed(r, d);
    *id = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (rc || code == SQLITE_ROW) return rc;
    rc = step(r, more, d);
    *id = sqlite3_last_insert_rowid(r->db);
    return rc;
}

/* What is not given is "". */
static int name_id(struct results *r, const struct result_value *v, sqlite3_int64 *id, struct diag *d) {
    const char *const text[] = {v->name, v->unit, v->kind ? v->kind : "", v->interval ? v->interval : ""};
    struct kept_name k;
    for (int i = 0; i < r->n_names; i++) { /* results name the same things in the same order */
        const struct kept_name *next = &r->name[r->next_name++ % (unsigned)r->n_names];
        if (!strcmp(next->text, text[0]) && !strcmp(next->unit, text[1]) && !strcmp(next->kind, text[2]) &&
            !strcmp(next->interval, text[3])) {
            *id = next->id;
            return 0;
        }
    }
    if (!*text[0] || strlen(text[0]) >= sizeof k.text || strlen(text[1]) >= sizeof k.unit ||
        strlen(text[2]) >= sizeof k.kind || strlen(text[3]) >= sizeof k.interval)
        return diag_set(d, ERR_FORMAT, "name '%.80s', unit '%.40s', kind '%.40s', interval '%.80s': empty or too long",
                        text[0], text[1], text[2], text[3]);
    int rc = find_or_add(r, FIND_NAME, ADD_NAME, text, 4, id, d);
    if (rc || r->n_names == NAMES_KEPT) return rc;
    k.id = *id;
    strcpy(k.text, text[0]);
    strcpy(k.unit, text[1]);
    strcpy(k.kind, text[2]);
    strcpy(k.interval, text[3]);
    r->name[r->n_names++] = k;
    return 0;
}

static int environment_id(struct results *r, const char *const *text, sqlite3_int64 *id, struct diag *d) {
    int same = r->environment.id != 0, rc = 0;
    for (int i = 0; i < N_ENVIRONMENTS && same; i++)
        same = !strcmp(r->environment.text[i], text[i] ? text[i] : "");
    *id = r->environment.id;
    if (!same) rc = find_or_add(r, FIND_ENVIRONMENT, ADD_ENVIRONMENT, text, N_ENVIRONMENTS, id, d);
    r->environment.id = rc ? 0 : *id;
    for (int i = 0; i < N_ENVIRONMENTS && !same; i++) {
        const char *now = text[i] ? text[i] : "";
        snprintf(r->environment.text[i], sizeof r->environment.text[i], "%s", now);
        if (strlen(now) >= sizeof r->environment.text[i]) r->environment.id = 0; /* not to be told from others */
    }
    return rc;
}

static int add_parameters(struct results *r, sqlite3_int64 result, const struct result_parameter *p, int n,
                          struct diag *d) {
    sqlite3_stmt *s = statement(r, ADD_PARAMETERS + n - 1);
    int rc = s ? 0 : failed(r, d);
    if (!rc) sqlite3_bind_int64(s, 1, result);
    for (int i = 0; i < n && !rc; i++) {
        sqlite3_int64 id = 0;
        rc = name_id(r, &(struct result_value){.name = p[i].name, .unit = ""}, &id, d);
        sqlite3_bind_int64(s, 2 + 2 * i, id);
        bind_value(s, 3 + 2 * i, p[i].value);
    }
    return rc ? rc : step(r, s, d);
}

static int add_values(struct results *r, sqlite3_int64 result, const struct result_value *v, int n, struct diag *d) {
    sqlite3_stmt *s = statement(r, ADD_VALUES + n - 1);
    int rc = s ? 0 : failed(r, d);
    if (!rc) sqlite3_bind_int64(s, 1, result);
    for (int i = 0; i < n && !rc; i++) {
        sqlite3_int64 id = 0;
        rc = name_id(r, &v[i], &id, d);
        sqlite3_bind_int64(s, 2 + 5 * i, id);
        bind_number(s, 3 + 5 * i, v[i].value);
        bind_number(s, 4 + 5 * i, v[i].low);
        bind_number(s, 5 + 5 * i, v[i].high);
        if (v[i].n)
            sqlite3_bind_int64(s, 6 + 5 * i, v[i].n);
        else
            sqlite3_bind_null(s, 6 + 5 * i);
    }
    return rc ? rc : step(r, s, d);
}

static int check_row(const struct result *row, struct diag *d) {
    static const enum result_text needed[] = {RESULT_POINT, RESULT_TIME, RESULT_STATUS, RESULT_COMMAND};
    for (int i = 0; i < 4; i++)
        if (!row->text[needed[i]]) return diag_set(d, ERR_FORMAT, "a result has no text '%s'", members[needed[i]]);
    const char *status = row->text[RESULT_STATUS];
    if (!strcmp(status, "ok") || !strcmp(status, "failed")) return 0;
    return diag_set(d, ERR_FORMAT, "status '%.20s' of a result: valid are ok and failed", status);
}

static int add_result(struct results *r, const struct result *row, int *added, struct diag *d) {
    sqlite3_stmt *s = statement(r, ADD);
    sqlite3_int64 environment = 0;
    int rc = s ? environment_id(r, row->text + RESULT_PROGRAM, &environment, d) : failed(r, d);
    if (rc) return rc;
    for (int i = 0; i < RESULT_PROGRAM; i++)
        bind_text(s, i + 1, row->text[i]);
    bind_number(s, N_MEMBERS, row->oversubscription);
    sqlite3_bind_int64(s, N_MEMBERS + 1, environment);
    rc = step(r, s, d);
    *added = sqlite3_changes(r->db) > 0;
    return rc;
}

static int begin(struct results *r, struct diag *d) {
    int rc = r->begun ? 0 : execute(r, "BEGIN IMMEDIATE", d);
    if (!rc) r->begun = 1;
    return rc;
}

static int at_once(int left) {
    return left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
}

int results_keep(struct results *r, const struct result *row, int *added, struct diag *d) {
    int rc = check_row(row, d);
    *added = 0;
    if (!rc) rc = begin(r, d);
    if (!rc) rc = add_result(r, row, added, d);
    if (rc || !*added) return rc;
    sqlite3_int64 id = sqlite3_last_insert_rowid(r->db);
    for (int i = 0; i < row->n_parameters && !rc; i += ROWS_AT_ONCE)
        rc = add_parameters(r, id, row->parameter + i, at_once(row->n_parameters - i), d);
    for (int i = 0; i < row->n_values && !rc; i += ROWS_AT_ONCE)
        rc = add_values(r, id, row->value + i, at_once(row->n_values - i), d);
    return rc;
}

int results_drop_failed(struct results *r, const char *point, struct diag *d) {
    int rc = begin(r, d);
    for (int i = DROP_PARAMETERS; i <= DROP_RESULT && !rc; i++) {
        sqlite3_stmt *s = statement(r, i);
        if (!s) return failed(r, d);
        bind_text(s, 1, point);
        rc = step(r, s, d);
    }
    return rc;
}

int results_commit(struct results *r, struct diag *d) {
    int rc = r->begun ? execute(r, "COMMIT", d) : 0;
    if (!rc) r->begun = 0;
    return rc;
}

enum result_state results_has(struct results *r, const char *point) {
    sqlite3_stmt *s = statement(r, HAS);
    if (!s) return RESULT_UNREADABLE;
    bind_text(s, 1, point);
    int code = sqlite3_step(s), ok = code == SQLITE_ROW && sqlite3_column_int(s, 0);
    sqlite3_reset(s);
    return code == SQLITE_ROW    ? (ok ? RESULT_OK : RESULT_FAILED)
           : code == SQLITE_DONE ? RESULT_NONE
                                 : RESULT_UNREADABLE;
}

/* ---- from JSON ---- */

static const char *text_of(const json_t *row, const char *name) {
    return json_string_value(json_object_get(row, name));
}

static double number_of(const json_t *v) {
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Texts of numbers are kept in `digits`. */
static int set_parameters(struct result_parameter *out, char (*digits)[32], json_t *parameters, struct diag *d) {
    const char *name;
    json_t *v;
    int n = 0;
    json_object_foreach(parameters, name, v) {
        if (!json_is_number(v) && !json_is_string(v))
            return diag_set(d, ERR_FORMAT, "parameter %.60s: a number or a text is expected", name);
        const char *text = json_string_value(v);
        out[n] = (struct result_parameter){name, text ? text : text_exact(digits[n], 32, json_number_value(v))};
        n++;
    }
    return 0;
}

static int set_values(struct result_value *out, json_t *values, struct diag *d) {
    const char *name;
    json_t *v;
    int n = 0;
    json_object_foreach(values, name, v) {
        if (!json_is_number(json_object_get(v, "value")))
            return diag_set(d, ERR_FORMAT, "value %.60s: an object with a number, value, is expected", name);
        double samples = json_number_value(json_object_get(v, "n"));
        if (!(samples >= 0 && samples <= INT_MAX))
            return diag_set(d, ERR_FORMAT, "value %.60s: n %g is no number of samples", name, samples);
        const char *unit = text_of(v, "unit");
        out[n++] = (struct result_value){name,
                                         unit ? unit : "1",
                                         text_of(v, "kind"),
                                         text_of(v, "interval"),
                                         number_of(json_object_get(v, "value")),
                                         number_of(json_object_get(v, "low")),
                                         number_of(json_object_get(v, "high")),
                                         (int)samples};
    }
    return 0;
}

int results_add(struct results *r, const json_t *row, int *added, struct diag *d) {
    json_t *parameters = json_object_get(row, "parameters"), *values = json_object_get(row, "values");
    struct result out = {.oversubscription = number_of(json_object_get(row, "oversubscription"))};
    *added = 0;
    for (int i = 0; i < RESULT_TEXTS; i++)
        out.text[i] = text_of(row, i < RESULT_PROGRAM ? members[i] : environments[i - RESULT_PROGRAM]);
    int rc = check_row(&out, d);
    if (!rc && !(json_is_object(parameters) && json_is_object(values)))
        rc = diag_set(d, ERR_FORMAT, "a result has no objects 'parameters' and 'values'");
    if (rc) return rc;
    out.n_parameters = (int)json_object_size(parameters);
    out.n_values = (int)json_object_size(values);
    struct result_parameter *p = calloc((size_t)out.n_parameters + 1, sizeof *p);
    struct result_value *v = calloc((size_t)out.n_values + 1, sizeof *v);
    char(*digits)[32] = calloc((size_t)out.n_parameters + 1, sizeof *digits);
    out.parameter = p;
    out.value = v;
    rc =
        p && v && digits ? set_parameters(p, digits, parameters, d) : diag_set(d, ERR_MEMORY, "no memory for a result");
    if (!rc) rc = set_values(v, values, d);
    if (!rc) rc = results_keep(r, &out, added, d);
    free(p);
    free(v);
    free(digits);
    return rc;
}

/* ---- reading ---- */

static void set_column(json_t *o, const char *name, sqlite3_stmt *s, int column) {
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER: json_object_set_new(o, name, json_integer(sqlite3_column_int64(s, column))); break;
    case SQLITE_FLOAT: json_object_set_new(o, name, json_real(sqlite3_column_double(s, column))); break;
    case SQLITE_TEXT: json_object_set_new(o, name, json_string((const char *)sqlite3_column_text(s, column))); break;
    default: break; /* NULL: left out */
    }
}

static json_t *read_value(sqlite3_stmt *s) {
    static const char *const parts[] = {"unit", "value", "low", "high", "n", "interval", "kind"};
    json_t *o = json_object();
    for (int i = 0; i < 7; i++)
        set_column(o, parts[i], s, i + 1);
    return o;
}

/* What is kept by row: parameters or values. */
static int read_rows(struct results *r, enum statement which, sqlite3_int64 id, json_t *out, struct diag *d) {
    sqlite3_stmt *s = statement(r, which);
    int code;
    if (!s) return failed(r, d);
    sqlite3_bind_int64(s, 1, id);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        if (which == VALUES)
            json_object_set_new(out, name, read_value(s));
        else
            set_column(out, name, s, 1);
    }
    int rc = code == SQLITE_DONE ? 0 : failed(r, d);
    sqlite3_reset(s);
    return rc;
}

static int see_row(struct results *r, sqlite3_stmt *s, results_see *see, void *user, struct diag *d) {
    json_t *row = json_object(), *parameters = json_object(), *values = json_object();
    for (int i = 0; i < N_MEMBERS + N_ENVIRONMENTS; i++)
        set_column(row, i < N_MEMBERS ? members[i] : environments[i - N_MEMBERS], s, i + 1);
    int rc = read_rows(r, PARAMETERS, sqlite3_column_int64(s, 0), parameters, d);
    if (!rc) rc = read_rows(r, VALUES, sqlite3_column_int64(s, 0), values, d);
    json_object_set_new(row, "parameters", parameters);
    json_object_set_new(row, "values", values);
    if (!rc) rc = see(user, row, d);
    json_decref(row);
    return rc;
}

static const char *column_of(const char *name, size_t n) {
    static const char *const columns[] = {"status", "kind", "point", "machine", "program"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (strlen(columns[i]) == n && !memcmp(columns[i], name, n)) return columns[i];
    return NULL;
}

/* The query; conditions are bound in bind_where. */
static char *query_text(const char *const *where, int n_where) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fputs("SELECT result.id", out);
    for (int i = 0; i < N_MEMBERS + N_ENVIRONMENTS; i++)
        fprintf(out, ", %s", i < N_MEMBERS ? members[i] : environments[i - N_MEMBERS]);
    fputs(" FROM result JOIN environment ON environment.id = environment WHERE 1", out);
    for (int i = 0; i < n_where; i++) {
        const char *column = column_of(where[i], strcspn(where[i], "="));
        if (column)
            fprintf(out, " AND %s = ?%d", column, 2 * i + 2);
        else
            fprintf(out,
                    " AND EXISTS(SELECT 1 FROM parameters WHERE result = result.id AND name = ?%d AND value = ?%d)",
                    2 * i + 1, 2 * i + 2);
    }
    fputs(" ORDER BY result.id", out);
    return fclose(out) ? NULL : text;
}

static int bind_where(sqlite3_stmt *s, const char *const *where, int n_where, struct diag *d) {
    for (int i = 0; i < n_where; i++) {
        const char *is = strchr(where[i], '=');
        if (!is) return diag_set(d, ERR_USAGE, "--where '%.60s': expected NAME=VALUE", where[i]);
        char *end;
        double x = strtod(is + 1, &end); /* equal to an integer of that value too */
        int column = column_of(where[i], (size_t)(is - where[i])) != NULL;
        if (!column) sqlite3_bind_text(s, 2 * i + 1, where[i], (int)(is - where[i]), SQLITE_STATIC);
        if (!column && is[1] && !*end)
            sqlite3_bind_double(s, 2 * i + 2, x);
        else
            bind_text(s, 2 * i + 2, is + 1);
    }
    return 0;
}

int results_each(struct results *r, const char *const *where, int n_where, results_see *see, void *user,
                 struct diag *d) {
    sqlite3_stmt *s = NULL;
    char *text = query_text(where, n_where);
    int rc = text ? 0 : diag_set(d, ERR_MEMORY, "no memory for a query"), code = SQLITE_DONE;
    if (!rc && sqlite3_prepare_v2(r->db, text, -1, &s, NULL) != SQLITE_OK) rc = failed(r, d);
    if (!rc) rc = bind_where(s, where, n_where, d);
    while (!rc && (code = sqlite3_step(s)) == SQLITE_ROW)
        rc = see_row(r, s, see, user, d);
    if (!rc && code != SQLITE_DONE) rc = failed(r, d);
    sqlite3_finalize(s);
    free(text);
    return rc;
}

double results_value(const json_t *row, const char *name, const char *member) {
    const json_t *v = json_object_get(json_object_get(json_object_get(row, "values"), name), member);
    return json_is_number(v) ? json_number_value(v) : NAN;
}
