/* The file of results: what goes in comes out, once; what is none is refused; what is not committed is lost. */
#include "analysis/results.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/results_text.h"
#include "check.h"

static char path[64];

static json_t *example(int i) {
    char point[20];
    snprintf(point, sizeof point, "%016d", i);
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:i, s:s, s:s}, s:{s:{s:f, s:s}}}", "point", point, "time",
                  "2026-11-21T21:00:00Z", "status", "ok", "kind", "measured", "command", "northwall a, \"b\"",
                  "machine", "any", "parameters", "users", i, "strategy", i % 2 ? "tp2" : "1", "link-latency",
                  "1.5e-06", "values", "latency_ms_per_tok", "value", 0.1 * i, "unit", "ms/token");
    if (i == 3)
        json_object_update_new(
            json_object_get(json_object_get(row, "values"), "latency_ms_per_tok"),
            json_pack("{s:f, s:f, s:i, s:s}", "low", 0.25, "high", 0.5, "n", 7, "interval", "ranks"));
    return row;
}

struct seen {
    int n;
    json_t *last;
};

static int see(void *user, json_t *row, struct diag *d) {
    struct seen *s = user;
    (void)d;
    s->n++;
    json_decref(s->last);
    s->last = json_incref(row);
    return 0;
}

static struct results *open_it(enum results_mode mode) {
    struct diag d = {0};
    struct results *r = NULL;
    CHECK(results_open(&r, path, mode, &d) == 0, "%s", d.text);
    return r;
}

static void add(struct results *r, int i, int expected) {
    struct diag d = {0};
    int added = -1;
    json_t *row = example(i);
    CHECK(results_add(r, row, &added, &d) == 0 && added == expected, "added %d of %d: %s", added, i, d.text);
    json_decref(row);
}

static int count(struct results *r, const char *const *where, int n, json_t **last) {
    struct seen s = {0, NULL};
    struct diag d = {0};
    CHECK(results_each(r, where, n, see, &s, &d) == 0, "%s", d.text);
    if (last)
        *last = s.last;
    else
        json_decref(s.last);
    return s.n;
}

static void check_kept(void) {
    static const char *const odd[] = {"strategy=tp2"}, *const one[] = {"strategy=1", "users=4.0"},
                             *const none[] = {"users=4", "status=failed"}, *const point[] = {"point=0000000000000003"};
    struct diag d = {0};
    struct results *r = open_it(RESULTS_WRITE);
    json_t *row = NULL;
    for (int i = 0; i < 6; i++)
        add(r, i, 1);
    add(r, 3, 0);
    CHECK(results_has(r, "0000000000000003") == 1 && results_has(r, "frob") == 0, "has");
    CHECK(results_commit(r, &d) == 0, "%s", d.text);
    add(r, 6, 1); /* not committed */
    results_close(r);
    r = open_it(RESULTS_READ);
    CHECK(count(r, NULL, 0, NULL) == 6, "%d results", count(r, NULL, 0, NULL));
    CHECK(count(r, odd, 1, NULL) == 3 && count(r, one, 2, NULL) == 1 && count(r, none, 2, NULL) == 0, "where");
    CHECK(count(r, point, 1, &row) == 1, "one point");
    json_t *v = json_object_get(json_object_get(row, "values"), "latency_ms_per_tok");
    CHECK(json_number_value(json_object_get(v, "value")) == 0.1 * 3 && json_integer_value(json_object_get(v, "n")) == 7,
          "its value");
    CHECK(!strcmp(json_string_value(json_object_get(row, "command")), "northwall a, \"b\""), "its command");
    json_t *p = json_object_get(row, "parameters");
    CHECK(json_is_integer(json_object_get(p, "users")) &&
              json_real_value(json_object_get(p, "link-latency")) == 1.5e-6 &&
              json_is_string(json_object_get(p, "strategy")),
          "its parameters");
    json_decref(row);
    results_close(r);
}

static void check_one_writer(void) {
    struct diag d = {0};
    struct results *a = open_it(RESULTS_WRITE), *b = NULL;
    CHECK(results_open(&b, path, RESULTS_WRITE, &d) == ERR_IO && strstr(d.text, "another process"), "%s", d.text);
    add(a, 100, 1);
    struct results *reader = open_it(RESULTS_READ); /* while the other writes */
    CHECK(count(reader, NULL, 0, NULL) == 6, "sees what is committed");
    results_close(reader);
    results_close(a);
}

static void check_refused(void) {
    static const char *const rows[] = {"{}",
                                       "{\"point\": \"1\", \"time\": \"t\", \"status\": \"ok\", \"command\": \"c\"}",
                                       "{\"point\": \"1\", \"time\": \"t\", \"status\": \"odd\", \"command\": \"c\", "
                                       "\"parameters\": {}, \"values\": {}}",
                                       "{\"point\": \"1\", \"time\": \"t\", \"status\": \"ok\", \"command\": \"c\", "
                                       "\"parameters\": {\"a\": []}, \"values\": {}}",
                                       "{\"point\": \"1\", \"time\": \"t\", \"status\": \"ok\", \"command\": \"c\", "
                                       "\"parameters\": {}, \"values\": {\"a\": 1}}",
                                       "{\"point\": \"1\", \"time\": \"t\", \"status\": \"ok\", \"command\": \"c\", "
                                       "\"parameters\": {}, \"values\": {\"a\": {\"value\": 1, \"n\": 1e300}}}"};
    struct diag d;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct results *r = open_it(RESULTS_WRITE);
        json_t *row = json_loads(rows[i], 0, NULL);
        int added;
        d = (struct diag){0};
        CHECK(results_add(r, row, &added, &d) == ERR_FORMAT && d.text[0], "%zu: taken", i);
        json_decref(row);
        results_close(r);
    }
    struct results *r = open_it(RESULTS_READ);
    CHECK(count(r, NULL, 0, NULL) == 6, "nothing of a row that is refused stays");
    results_close(r);
}

/* A frame in which one result alone has an interval: cells of the others are empty. */
static void check_csv(void) {
    struct results *r = open_it(RESULTS_READ);
    const char *const three[] = {"users=3"};
    struct results_select s = {r, three, 1, "users,latency_ms_per_tok"};
    struct frame *t = NULL;
    struct diag d = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    CHECK(results_frame(&t, &s, 0, &d) == 0 && frame_csv(t, out, &d) == 0, "%s", d.text);
    fclose(out);
    CHECK(!strcmp(text, "users,latency_ms_per_tok [ms/token],latency_ms_per_tok:low [ms/token],"
                        "latency_ms_per_tok:high [ms/token],latency_ms_per_tok:n [ms/token],"
                        "latency_ms_per_tok:interval [ms/token]\r\n3,0.30000000000000004,0.25,0.5,7,ranks\r\n"),
          "%s", text);
    free(text);
    frame_free(t);
    results_close(r);
}

/* Names of the greatest length, with a part of a value behind them, are whole. */
static void check_long_names(void) {
    static const char *const one[] = {"point=0000000000000070"};
    char name[64], column[96], *text = NULL;
    struct diag d = {0};
    struct results *r = open_it(RESULTS_WRITE);
    struct results_select s = {r, one, 1, NULL};
    struct frame *t = NULL;
    json_t *row = example(70);
    size_t n = 0;
    int added = 0;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    json_object_set_new(json_object_get(row, "values"), name,
                        json_pack("{s:f, s:f, s:f, s:s}", "value", 1.0, "low", 0.5, "high", 2.0, "interval", "ranks"));
    CHECK(results_add(r, row, &added, &d) == 0 && added == 1, "%s", d.text);
    FILE *out = open_memstream(&text, &n);
    CHECK(results_frame(&t, &s, 0, &d) == 0 && frame_csv(t, out, &d) == 0, "%s", d.text);
    fclose(out);
    snprintf(column, sizeof column, ",%s:interval [1]", name);
    CHECK(strstr(text, column), "%s is not in %s", column, text);
    free(text);
    frame_free(t);
    json_decref(row);
    results_close(r); /* not committed */
}

/* What failed can be taken out; what is ok cannot. */
static void check_dropped(void) {
    static const char *const failed[] = {"status=failed"};
    struct diag d = {0};
    struct results *r = open_it(RESULTS_WRITE);
    json_t *row = example(50);
    int added = 0;
    json_object_set_new(row, "status", json_string("failed"));
    CHECK(results_add(r, row, &added, &d) == 0 && added == 1, "%s", d.text);
    CHECK(results_has(r, "0000000000000050") == RESULT_FAILED && results_has(r, "0000000000000002") == RESULT_OK,
          "has");
    CHECK(results_drop_failed(r, "0000000000000002", &d) == 0 && count(r, NULL, 0, NULL) == 7, "an ok one stays");
    CHECK(results_drop_failed(r, "0000000000000050", &d) == 0 && count(r, failed, 1, NULL) == 0, "%s", d.text);
    add(r, 50, 1);
    json_decref(row);
    results_close(r); /* not committed */
}

/* ---- a file of version 1 ---- */

static const char version_1[] =
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
    " FROM value JOIN name ON name.id = name JOIN result ON result.id = result;"
    "PRAGMA application_id = 1314349420; PRAGMA user_version = 1;"
    "INSERT INTO environment VALUES(1, 'northwall 0', NULL, NULL, NULL, NULL, 'any');"
    /* a value without unit has a parameter's name; energy is modelled in one result and measured in the other */
    "INSERT INTO name VALUES(1, 'users', ''), (2, 'strategy', ''), (3, 'energy', 'J'), (4, 'time', 's'),"
    " (5, 'unused', 's');"
    "INSERT INTO result VALUES(7, 'aa', 't', 'ok', NULL, 'simulated', 'c 1', NULL, 'ff', NULL, NULL, 1),"
    " (9, 'bb', 't', 'ok', NULL, 'measured', 'c 2', NULL, NULL, 'so', 1.5, 1), (10, 'cc', 't', 'failed', 'why', NULL,"
    " 'c 3', NULL, NULL, NULL, NULL, 1);"
    "INSERT INTO parameter VALUES(7, 1, 4), (7, 2, 'tp2'), (9, 1, 0.5), (10, 2, 'x');"
    "INSERT INTO value VALUES(7, 3, 0.5, NULL, NULL, NULL, NULL, 'modelled'), (7, 4, 2, NULL, NULL, NULL, NULL, NULL),"
    " (9, 3, 0.3, 0.2, 0.4, 7, 'ranks', NULL), (9, 4, 3, 2.5, 3.5, 9, 'ranks', NULL), (9, 1, 5, NULL, NULL, NULL, NULL,"
    " NULL);";

static char *lines(struct results *r) {
    const struct results_select all = {.from = r};
    struct diag d = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    CHECK(results_jsonl(&all, out, &d) == 0, "%s", d.text);
    fclose(out);
    return text;
}

/* It is read as it is; writing makes it version 2, which gives the same bytes. */
static void check_version_1(void) {
    sqlite3 *db = NULL;
    char *error = NULL;
    struct diag d = {0};
    unlink(path);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, version_1, NULL, NULL, &error) == SQLITE_OK, "%s",
          error ? error : "cannot open");
    sqlite3_close(db);
    struct results *r = open_it(RESULTS_READ);
    char *before = lines(r);
    results_close(r);
    CHECK(strstr(before, "\"energy\":{\"unit\":\"J\",\"value\":0.5,\"kind\":\"modelled\"}") != NULL, "%s", before);
    r = open_it(RESULTS_WRITE);
    char *after = lines(r);
    CHECK(!strcmp(before, after), "%sthen %s", before, after);
    add(r, 60, 1);
    CHECK(results_commit(r, &d) == 0 && count(r, NULL, 0, NULL) == 4, "%s", d.text);
    results_close(r);
    r = open_it(RESULTS_WRITE);
    CHECK(count(r, NULL, 0, NULL) == 4, "once");
    results_close(r);
    free(before);
    free(after);
}

int main(void) {
    char other[80];
    snprintf(path, sizeof path, "/tmp/northwall-results-%d.db", (int)getpid());
    check_kept();
    check_one_writer();
    check_refused();
    check_csv();
    check_long_names();
    check_dropped();
    check_version_1();
    unlink(path);
    snprintf(other, sizeof other, "%s.writer", path);
    unlink(other);
    return check_report("analysis-results");
}
