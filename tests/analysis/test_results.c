/* The file of results: what goes in comes out, once; what is none is refused; what is not committed is lost. */
#include "analysis/results.h"

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
                                       "\"parameters\": {}, \"values\": {\"a\": 1}}"};
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

int main(void) {
    char other[80];
    snprintf(path, sizeof path, "/tmp/northwall-results-%d.db", (int)getpid());
    check_kept();
    check_one_writer();
    check_refused();
    check_csv();
    unlink(path);
    snprintf(other, sizeof other, "%s.writer", path);
    unlink(other);
    return check_report("analysis-results");
}
