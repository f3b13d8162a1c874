/* Data files: CSV as RFC 4180 has it, errors with their line, and every file that comes with the program. */
#include "analysis/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static int parse(struct data *t, const char *text, struct diag *d) {
    return data_parse(t, "file.csv", text, strlen(text), d);
}

static void check_cells(void) {
    struct data t;
    struct diag d = {0};
    int rc = parse(&t, "a,b [x],c\r\n1,\"two, \"\"2\"\"\n\",3.5\n,,\"\"\n-1e3,1x,last", &d);
    CHECK(rc == 0 && t.n_columns == 3 && t.n_rows == 3, "%d x %d: %s", t.n_rows, t.n_columns, d.text);
    if (rc) return;
    CHECK(!strcmp(data_text(&t, 0, "b [x]"), "two, \"2\"\n"), "quoted: %s", data_text(&t, 0, "b [x]"));
    CHECK(data_number(&t, 0, "a") == 1 && data_number(&t, 0, "c") == 3.5 && data_number(&t, 2, "a") == -1000,
          "numbers");
    CHECK(isnan(data_number(&t, 1, "a")) && isnan(data_number(&t, 2, "b [x]")), "no numbers");
    CHECK(!strcmp(data_text(&t, 1, "c"), "") && !strcmp(data_text(&t, 2, "c"), "last"), "first and last cells");
    CHECK(!strcmp(data_text(&t, 0, "d"), "") && isnan(data_number(&t, 0, "d")), "no such column");
    data_fini(&t);
}

static void check_broken(void) {
    static const char *const bad[][2] = {{"", "file.csv:1: no line"},
                                         {"a,b\n1\n", "file.csv:2: 1 cells, but 2 columns"},
                                         {"a,b\n1,2\n1,2,3\n", "file.csv:3: 3 cells"},
                                         {"a\n\"1\n", "file.csv:2: a quote"},
                                         {"a\n\"1\"2\n", "file.csv:2: a quote"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct data t;
        struct diag d = {0};
        CHECK(parse(&t, bad[i][0], &d) == ERR_FORMAT && strstr(d.text, bad[i][1]), "%zu: \"%s\"", i, d.text);
        CHECK(!t.cell && !t.text, "%zu: something is left", i);
    }
    struct data t;
    struct diag d = {0};
    CHECK(data_parse(&t, "file.csv", "a\n1\0", 4, &d) == ERR_FORMAT, "a byte 0");
}

static void check_files(void) {
    static const struct {
        const char *name, *number;
        int rows;
    } files[] = {{"trends", "value", 183}, {"profile", "GFLOP", 18}, {"training_memory", "total [GB]", 8}};
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        struct data t;
        struct diag d = {0};
        int rc = data_read(&t, files[k].name, &d);
        CHECK(rc == 0 && t.n_rows == files[k].rows, "%s: %d rows, %s", files[k].name, t.n_rows, d.text);
        for (int i = 0; i < t.n_rows; i++) {
            CHECK(data_number(&t, i, files[k].number) > 0, "%s, row %d: no number", files[k].name, i + 1);
            CHECK(strlen(data_text(&t, i, "source")) > 20, "%s, row %d: no source", files[k].name, i + 1);
        }
        data_fini(&t);
    }
}

/* The published totals are the sums of their parts, to the digits printed. */
static void check_sums(void) {
    struct data t;
    struct diag d = {0};
    if (data_read(&t, "training_memory", &d)) return;
    for (int i = 0; i < t.n_rows; i++) {
        double sum = data_number(&t, i, "parameters [GB]") + data_number(&t, i, "optimizer [GB]") +
                     data_number(&t, i, "activations [GB]");
        CHECK(fabs(sum - data_number(&t, i, "total [GB]")) < 0.0051, "%s: %g", data_text(&t, i, "model"), sum);
    }
    data_fini(&t);
}

static void check_missing(void) {
    struct data t;
    struct diag d = {0};
    setenv("NORTHWALL_SHARE", "/nowhere", 1);
    CHECK(data_read(&t, "no-such", &d) == ERR_IO && strstr(d.text, "/nowhere") && strstr(d.text, "no-such.csv"), "%s",
          d.text);
    CHECK(!t.cell, "something is left");
    unsetenv("NORTHWALL_SHARE");
}

int main(void) {
    check_cells();
    check_broken();
    check_files();
    check_sums();
    check_missing();
    return check_report("test_data");
}
