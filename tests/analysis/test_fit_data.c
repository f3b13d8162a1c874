/* Columns of CSV files: what is read, and what is refused, with line and column. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/fit.h"
#include "check.h"

static const char *runs; /* column of read_text, or NULL */

static int read_text(struct fit_data *out, const char *text, const char *x, const char *y, struct diag *d) {
    char path[] = "/tmp/nw-fit-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), "a file to read");
    close(file);
    *d = (struct diag){0};
    int rc = fit_data_read(out, &(struct fit_source){.path = path, .x = x, .y = y, .runs = runs}, d);
    unlink(path);
    return rc;
}

static void check_good(void) {
    static const char text[] = "\"what, \"\"now\"\"\",n [B],time [us],t2\r\n"
                               "\"a\nb\",300,3e0,1\r\n"
                               "\r\n"
                               "x,100,1 ,2\r\n"
                               "x, 200,2,3";
    struct fit_data data;
    struct diag d;
    CHECK(read_text(&data, text, "n,t2", "time [us]", &d) == 0, "%s", d.text);
    CHECK(data.n == 3 && data.n_x == 2 && !strcmp(data.x_column[0].name, "n") && !strcmp(data.x_column[0].unit, "B") &&
              !strcmp(data.y_column.unit, "us") && !data.x_column[1].unit[0],
          "%d rows of %d columns", data.n, data.n_x);
    CHECK(data.x[0] == 100 && data.x[1] == 2 && data.y[0] == 1 && data.line[0] == 5, "the first: line %d",
          data.line[0]);
    CHECK(data.x[4] == 300 && data.x[5] == 1 && data.y[2] == 3 && data.line[2] == 3, "the last: line %d", data.line[2]);
    fit_data_free(&data);
}

/* One run of 2^13 rows and as many of one: 2^26 rows and some more may be drawn. */
static void check_many_runs(void) {
    enum { MANY = 1 << 13 };
    char *text = malloc(2 * MANY * 16 + 16), *at = text;
    struct fit_data data;
    struct diag d;
    CHECK(text != NULL, "memory");
    at += sprintf(at, "day,n,t\n");
    for (int i = 0; i < 2 * MANY && text; i++)
        at += sprintf(at, "%d,1,1\n", i < MANY ? 0 : i);
    if (text)
        CHECK(read_text(&data, text, "n", "t", &d) == ERR_RANGE && strstr(d.text, "8193 runs of up to 8192 rows"), "%s",
              d.text);
    free(text);
}

static void check_runs(void) {
    struct fit_data data;
    struct diag d;
    runs = "day";
    CHECK(read_text(&data, "day,n,t\nb,3,1\na,1,1\nb,2,1\nc,4,1\nd,5,1\n", "n", "t", &d) == 0, "%s", d.text);
    CHECK(data.n_runs == 4 && data.most_run == 2 && data.run[0] == 1 && data.run[1] == 0 && data.run[2] == 0 &&
              data.run[4] == 3 && fit_draw_rows(&data) == 8,
          "%d runs, the longest of %d rows", data.n_runs, data.most_run);
    fit_data_free(&data);
    CHECK(read_text(&data, "day,n,t\nb,3,1\na,1,1\n", "n", "t", &d) == ERR_RANGE && strstr(d.text, "2 runs"), "%s",
          d.text);
    CHECK(read_text(&data, "n,t\n3,1\n", "n", "t", &d) == ERR_FORMAT && strstr(d.text, "no column 'day'"), "%s",
          d.text);
    check_many_runs();
    runs = NULL;
}

static void check_bad(void) {
    static const struct {
        const char *text, *said;
        int code;
    } bad[] = {
        {"", "no header", ERR_FORMAT},
        {"n,t\n", "no rows", ERR_FORMAT},
        {"n,u\n1,2\n", "no column 't': there are n, u", ERR_FORMAT},
        {"n,t\n1,2\n1,nan\n", ":3: column t: 'nan' is no finite number", ERR_FORMAT},
        {"n,t\n1,2\n1,inf\n", ":3: column t: 'inf'", ERR_FORMAT},
        {"n,t\n1,2\n1\n", ":3: column t: ''", ERR_FORMAT},
        {"n,t\n1,2\n1,2x\n", ":3: column t: '2x'", ERR_FORMAT},
        {"n,t\n\n-1,2\n", ":3: column n: -1 is below zero", ERR_FORMAT},
        {"n,t\n1,0\n", ":2: column t: 0 is zero", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fit_data data;
        struct diag d;
        CHECK(read_text(&data, bad[i].text, "n", "t", &d) == bad[i].code && strstr(d.text, bad[i].said),
              "case %zu says: %s", i, d.text);
    }
}

/* What a model is not defined for, and too little for it. */
static void check_refused(void) {
    static const struct {
        const char *model, *text, *x, *said;
        int code;
    } bad[] = {
        {"amdahl", "n,t\n0.5,2\n1,2\n2,2\n3,2\n4,2\n5,1\n", "n", "line 2, column n: 0.5 is below 1", ERR_RANGE},
        {"pmnf", "n,t\n1,2\n2,2\n3,2\n4,2\n5,2\n", "n", "5 rows are too few, it needs 6", ERR_RANGE},
        {"hockney", "n,t\n1,2\n2,3\n3,4\n4,5\n", "n", "takes 3 more than parameters", ERR_RANGE},
        {"hockney", "n,t\n1,2\n1,3\n1,4\n1,5\n1,6\n", "n", "columns that differ", ERR_RANGE},
        {"amdahl", "n,t\n1,2\n2,4\n3,6\n4,8\n5,10\n6,12\n7,14\n8,16\n", "n", "no term below zero", ERR_RANGE},
        {"energy", "n,t\n1,2\n2,4\n", "n", "takes time of a step,sequences, not 1 column", ERR_USAGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct fit_model *m = fit_model_find(bad[i].model);
        struct fit_data data;
        struct fit_list list;
        struct diag d;
        CHECK(read_text(&data, bad[i].text, bad[i].x, "t", &d) == 0, "%s", d.text);
        CHECK(fit_list_make(&list, &m, 1, &data, &d) == bad[i].code && strstr(d.text, bad[i].said), "%s says: %s",
              bad[i].model, d.text);
        fit_data_free(&data);
    }
}

int main(void) {
    check_good();
    check_runs();
    check_bad();
    check_refused();
    return check_report("test_fit_data");
}
