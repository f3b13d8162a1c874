#include "analysis/results.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { APPLICATION = 0x4e57616c /* "NWal": application_id of our files */, BUSY_MS = 10000 };

/* Names are kept once; environments too. */
static const char schema[] =
    "CREATE TABLE environment(id INTEGER PRIMARY KEY, program, compiler, mpi, sqlite, gsl, machine);"
    "CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL, unit TEXT NOT NULL, UNIQUE(text, unit));"
    "CREATE TABLE result(id INTEGER PRIMARY KEY, point TEXT NOT NULL UNIQUE, time TEXT NOT NULL, status TEXT NOT NULL,"
    " reason TEXT, kind TEXT, command TEXT NOT NULL, cluster_hash TEXT, plan_hash TEXT, verified TEXT,"
    " oversubscription REAL, environment INTEGER NOT NULL REFERENCES environment);"
    "CREATE TABLE parameter(result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES name, value,"
    " PRIMARY KEY(result, name)) WITHOUT ROWID;"
    "CREATE TABLE value(result INTEGER NOT NULL REFERENCES result, name INTEGER NOT NULL REFERENCES name, value REAL,"
    " low REAL, high REAL, n INTEGER, interval TEXT, kind TEXT, PRIMARY KEY(result, name)) WITHOUT ROWID;"
    "CREATE VIEW parameters AS SELECT result, text AS name, value FROM parameter JOIN name ON name.id = name;"
    "CREATE VIEW quantities AS SELECT result, text AS name, unit, value.value, low, high, n, interval,"
    " coalesce(value.kind, result.kind) AS kind"
    " FROM value JOIN name ON name.id = name JOIN result ON result.id = result;";

enum statement {
    HAS,
    ADD,
    ADD_PARAMETER,
    ADD_VALUE,
    ADD_NAME,
    FIND_NAME,
    ADD_ENVIRONMENT,
    FIND_ENVIRONMENT,
    PARAMETERS,
    VALUES,
    N_STATEMENTS
};
static const char *const sql[N_STATEMENTS] = {
    [HAS] = "SELECT 1 FROM result WHERE point = ?",
    [ADD] = "INSERT OR IGNORE INTO result(point, time, status, reason, kind, command, cluster_hash, plan_hash,"
            " verified, oversubscription, environment) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ADD_PARAMETER] = "INSERT INTO parameter VALUES(?, ?, ?)",
    [ADD_VALUE] = "INSERT INTO value VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [ADD_NAME] = "INSERT INTO name(text, unit) VALUES(?, ?)",
    [FIND_NAME] = "SELECT id FROM name WHERE text = ? AND unit = ?",
    [ADD_ENVIRONMENT] = "INSERT INTO environment(program, compiler, mpi, sqlite, gsl, machine)"
                        " VALUES(?, ?, ?, ?, ?, ?)",
    [FIND_ENVIRONMENT] = "SELECT id FROM environment WHERE program IS ? AND compiler IS ? AND mpi IS ?"
                         " AND sqlite IS ? AND gsl IS ? AND machine IS ?",
    [PARAMETERS] = "SELECT text, value FROM parameter JOIN name ON name.id = name WHERE result = ? ORDER BY name",
    [VALUES] = "SELECT text, unit, value, low, high, n, interval, kind FROM value JOIN name ON name.id = name"
               " WHERE result = ? ORDER BY name",
};

/* Members that are columns of a result, in the order of ADD and of those of SELECT below; then of an environment. */
static const char *const members[] = {"point",   "time",         "status",    "reason",   "kind",
                                      "command", "cluster_hash", "plan_hash", "verified", "oversubscription"};
static const char *const environments[] = {"program", "compiler", "mpi", "sqlite", "gsl", "machine"};
enum { N_MEMBERS = sizeof members / sizeof *members, N_ENVIRONMENTS = sizeof environments / sizeof *environments };

/* Names that were looked up, by hash; those that are here are in the file (a rollback ends the process's writing). */
enum { NAMES_KEPT = 256 };
struct kept_name {
    char text[64], unit[16];
    sqlite3_int64 id;
};

struct results {
    sqlite3 *db;
    sqlite3_stmt *statement[N_STATEMENTS];
    char path[4096];
    int lock; /* of FILE.writer, or -1 */
    int begun; /* a transaction */
    int n_names;
    struct kept_name name[NAMES_KEPT];
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

static int make_tables(struct results *r, struct diag *d) {
    char text[128];
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION, RESULTS_VERSION);
    int rc = execute(r, "BEGIN IMMEDIATE", d);
    if (!rc) rc = execute(r, schema, d);
    if (!rc) rc = execute(r, text, d);
    return rc ? rc : execute(r, "COMMIT", d);
}

static int check_tables(struct results *r, enum results_mode mode, struct diag *d) {
    sqlite3_int64 tables = pragma(r, "SELECT count(*) FROM sqlite_master");
    if (tables < 0) return failed(r, d);
    if (tables == 0 && mode == RESULTS_WRITE) return make_tables(r, d);
    long long version = pragma(r, "PRAGMA user_version");
    if (tables == 0 || pragma(r, "PRAGMA application_id") != APPLICATION)
        return diag_set(d, ERR_FORMAT, "%.200s: not a file of northwall's results", r->path);
    if (version == RESULTS_VERSION) return 0;
    return diag_set(d, ERR_FORMAT, "%.200s: its tables are of version %lld; this program knows %d: %s", r->path,
                    version, RESULTS_VERSION,
                    version > RESULTS_VERSION ? "use a newer one" : "export it with an older one");
}

static int prepare(struct results *r, enum results_mode mode, struct diag *d) {
    int rc = mode == RESULTS_WRITE ? execute(r, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", d) : 0;
    if (!rc) rc = check_tables(r, mode, d);
    for (int i = 0; i < N_STATEMENTS && !rc; i++)
        if (sqlite3_prepare_v3(r->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &r->statement[i], NULL) != SQLITE_OK)
            rc = failed(r, d);
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

static int step(struct results *r, enum statement which, struct diag *d) {
    sqlite3_stmt *s = r->statement[which];
    int code = sqlite3_step(s), rc = code == SQLITE_DONE ? 0 : failed(r, d);
    sqlite3_reset(s);
    return rc;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC); /* NULL for NULL; statements are stepped before it goes */
}

/* A number, or a text that reads as one. */
static int number_of(const json_t *v, double *x) {
    const char *text = json_string_value(v);
    char *end = NULL;
    *x = text ? strtod(text, &end) : json_number_value(v);
    return json_is_number(v) || (text && *text && !*end && strspn(text, "0123456789.eE+-") == strlen(text));
}

/* Whole numbers are kept as such, however they were given. */
static void bind_json(sqlite3_stmt *s, int at, const json_t *v) {
    double x;
    if (!number_of(v, &x) || !isfinite(x))
        bind_text(s, at, json_string_value(v));
    else if (x == floor(x) && fabs(x) < 1e15)
        sqlite3_bind_int64(s, at, (sqlite3_int64)x);
    else
        sqlite3_bind_double(s, at, x);
}

/* Finds a row, or adds it; both statements have the same parameters, bound by the caller. */
static int find_or_add(struct results *r, enum statement find, enum statement add,
                       void (*bind)(sqlite3_stmt *s, void *), void *user, sqlite3_int64 *id, struct diag *d) {
    sqlite3_stmt *s = r->statement[find];
    bind(s, user);
    int code = sqlite3_step(s), rc = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : failed(r, d);
    *id = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (rc || code == SQLITE_ROW) return rc;
    bind(r->statement[add], user);
    rc = step(r, add, d);
    *id = sqlite3_last_insert_rowid(r->db);
    return rc;
}

static void bind_name(sqlite3_stmt *s, void *user) {
    const struct kept_name *k = user;
    bind_text(s, 1, k->text);
    bind_text(s, 2, k->unit);
}

static int name_id(struct results *r, const char *text, const char *unit, sqlite3_int64 *id, struct diag *d) {
    struct kept_name k = {{0}, {0}, 0};
    for (int i = 0; i < r->n_names; i++)
        if (!strcmp(r->name[i].text, text) && !strcmp(r->name[i].unit, unit)) {
            *id = r->name[i].id;
            return 0;
        }
    if (!*text || strlen(text) >= sizeof k.text || strlen(unit) >= sizeof k.unit)
        return diag_set(d, ERR_FORMAT, "name '%.80s', unit '%.40s': empty or too long", text, unit);
    strcpy(k.text, text);
    strcpy(k.unit, unit);
    int rc = find_or_add(r, FIND_NAME, ADD_NAME, bind_name, &k, &k.id, d);
    *id = k.id;
    if (!rc && r->n_names < NAMES_KEPT) r->name[r->n_names++] = k;
    return rc;
}

static void bind_environment(sqlite3_stmt *s, void *user) {
    for (int i = 0; i < N_ENVIRONMENTS; i++)
        bind_text(s, i + 1, json_string_value(json_object_get(user, environments[i])));
}

static int add_parameter(struct results *r, sqlite3_int64 result, const char *name, const json_t *v, struct diag *d) {
    sqlite3_stmt *s = r->statement[ADD_PARAMETER];
    sqlite3_int64 id = 0;
    if (!json_is_number(v) && !json_is_string(v))
        return diag_set(d, ERR_FORMAT, "parameter %.60s: a number or a text is expected", name);
    int rc = name_id(r, name, "", &id, d);
    if (rc) return rc;
    sqlite3_bind_int64(s, 1, result);
    sqlite3_bind_int64(s, 2, id);
    bind_json(s, 3, v);
    return step(r, ADD_PARAMETER, d);
}

static int add_value(struct results *r, sqlite3_int64 result, const char *name, const json_t *v, struct diag *d) {
    static const char *const parts[] = {"value", "low", "high", "n", "interval", "kind"};
    sqlite3_stmt *s = r->statement[ADD_VALUE];
    const char *unit = json_string_value(json_object_get(v, "unit"));
    sqlite3_int64 id = 0;
    if (!json_is_number(json_object_get(v, "value")))
        return diag_set(d, ERR_FORMAT, "value %.60s: an object with a number, value, is expected", name);
    int rc = name_id(r, name, unit ? unit : "1", &id, d);
    if (rc) return rc;
    sqlite3_bind_int64(s, 1, result);
    sqlite3_bind_int64(s, 2, id);
    for (int i = 0; i < 6; i++)
        bind_json(s, 3 + i, json_object_get(v, parts[i]));
    return step(r, ADD_VALUE, d);
}

static int check_row(const json_t *row, struct diag *d) {
    static const char *const texts[] = {"point", "time", "status", "command"};
    for (int i = 0; i < 4; i++)
        if (!json_is_string(json_object_get(row, texts[i])))
            return diag_set(d, ERR_FORMAT, "a result has no text '%s'", texts[i]);
    const char *status = json_string_value(json_object_get(row, "status"));
    if (strcmp(status, "ok") && strcmp(status, "failed"))
        return diag_set(d, ERR_FORMAT, "status '%.20s' of a result: valid are ok and failed", status);
    return json_is_object(json_object_get(row, "parameters")) && json_is_object(json_object_get(row, "values"))
               ? 0
               : diag_set(d, ERR_FORMAT, "a result has no objects 'parameters' and 'values'");
}

static int add_result(struct results *r, const json_t *row, int *added, struct diag *d) {
    sqlite3_stmt *s = r->statement[ADD];
    sqlite3_int64 environment = 0;
    int rc =
        find_or_add(r, FIND_ENVIRONMENT, ADD_ENVIRONMENT, bind_environment, (void *)(uintptr_t)row, &environment, d);
    if (rc) return rc;
    for (int i = 0; i < N_MEMBERS; i++) {
        const json_t *v = json_object_get(row, members[i]);
        if (json_is_number(v))
            bind_json(s, i + 1, v);
        else
            bind_text(s, i + 1, json_string_value(v));
    }
    sqlite3_bind_int64(s, N_MEMBERS + 1, environment);
    rc = step(r, ADD, d);
    *added = sqlite3_changes(r->db) > 0;
    return rc;
}

int results_add(struct results *r, const json_t *row, int *added, struct diag *d) {
    const char *name;
    json_t *v;
    int rc = check_row(row, d);
    *added = 0;
    if (!rc && !r->begun) rc = execute(r, "BEGIN IMMEDIATE", d);
    if (rc) return rc;
    r->begun = 1;
    rc = add_result(r, row, added, d);
    if (rc || !*added) return rc;
    sqlite3_int64 id = sqlite3_last_insert_rowid(r->db);
    json_object_foreach(json_object_get(row, "parameters"), name, v) if (!rc) rc = add_parameter(r, id, name, v, d);
    json_object_foreach(json_object_get(row, "values"), name, v) if (!rc) rc = add_value(r, id, name, v, d);
    return rc;
}

int results_commit(struct results *r, struct diag *d) {
    int rc = r->begun ? execute(r, "COMMIT", d) : 0;
    if (!rc) r->begun = 0;
    return rc;
}

int results_has(struct results *r, const char *point) {
    bind_text(r->statement[HAS], 1, point);
    int code = sqlite3_step(r->statement[HAS]);
    sqlite3_reset(r->statement[HAS]);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
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
    sqlite3_stmt *s = r->statement[which];
    int code;
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
