/* Data frames: the same cells as text, CSV and JSON. */
#include "analysis/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static struct frame *example(void) {
    struct frame *f = frame_new("example", "A title", "A note");
    frame_column(f, "what", "", 0);
    frame_column(f, "time", "ms", 4);
    frame_column(f, "n", "", 3);
    frame_text(f, "plain");
    frame_number(f, 0.98745321);
    frame_number(f, 28);
    frame_end_row(f);
    frame_text(f, "quoted \"%s\", %d", "word", 2);
    frame_number(f, NAN);
    frame_number(f, -1234567.25);
    frame_end_row(f);
    frame_text(f, "small");
    frame_number(f, 1.23456e-9);
    frame_number(f, 0);
    frame_end_row(f);
    return f;
}

static char *text_of(const struct frame *f, int csv, int most, struct diag *d) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    int rc = csv ? frame_csv(f, out, d) : frame_print(f, most, out, d);
    fclose(out);
    CHECK(rc == d->code, "status %d, said %d", rc, d->code);
    return text;
}

static void check_text(const struct frame *f) {
    struct diag d = {0};
    char *all = text_of(f, 0, 10, &d), *some = text_of(f, 0, 1, &d);
    const char *expected = "A title\nA note\n"
                           "  what                   time         n\n"
                           "                           ms          \n"
                           "  plain                0.9875        28\n"
                           "  quoted \"word\", 2          -  -1234567\n"
                           "  small             1.235e-09         0\n";
    CHECK(!strcmp(all, expected), "printed\n%s", all);
    CHECK(strstr(some, "plain") && !strstr(some, "small") && strstr(some, "and 2 rows more"), "printed\n%s", some);
    free(all);
    free(some);
}

static void check_csv(const struct frame *f) {
    struct diag d = {0};
    char *csv = text_of(f, 1, 0, &d);
    const char *expected = "what,time [ms],n\r\nplain,0.98745321,28\r\n\"quoted \"\"word\"\", 2\",,-1234567.25\r\n"
                           "small,1.23456e-09,0\r\n";
    CHECK(!strcmp(csv, expected), "written\n%s", csv);
    free(csv);
}

static void check_json(const struct frame *f) {
    struct diag d = {0};
    json_t *o = NULL;
    CHECK(frame_json(f, &o, &d) == 0, "%s", d.text);
    json_t *rows = json_object_get(o, "rows"), *row = json_array_get(rows, 0);
    CHECK(json_array_size(rows) == 3 && json_real_value(json_object_get(row, "time [ms]")) == 0.98745321, "first row");
    CHECK(json_is_null(json_object_get(json_array_get(rows, 1), "time [ms]")), "a cell without a value");
    CHECK(!strcmp(json_string_value(json_object_get(o, "note")), "A note"), "note");
    json_decref(o);
}

/* A row with a cell too few, a column after the first row, more columns than there can be, a column twice. */
static void check_broken(void) {
    for (int how = 0; how < 4; how++) {
        struct diag d = {0};
        struct frame *f = how < 2 ? example() : frame_new("columns", "", "");
        if (how == 0) frame_text(f, "alone"), frame_end_row(f);
        if (how == 1) frame_column(f, "late", "", 0);
        for (int i = 0; how == 2 && i < 999; i++)
            frame_column(f, (char[]){(char)('a' + i / 100), (char)('a' + i / 10 % 10), (char)('0' + i % 10), 0}, "", 0);
        for (int i = 0; how == 3 && i < 3; i++)
            frame_column(f, "time", i ? "s" : "ms", 0);
        free(text_of(f, 0, 10, &d));
        CHECK(d.code == (how < 3 ? ERR_MEMORY : ERR_RANGE), "case %d: %d, %s", how, d.code, d.text);
        frame_free(f);
    }
    struct diag d = {0};
    frame_text(NULL, "nothing");
    frame_end_row(NULL);
    CHECK(frame_csv(NULL, stdout, &d) == ERR_MEMORY && frame_rows(NULL) == 0, "a frame that is not there");
}

int main(void) {
    struct frame *f = example();
    check_text(f);
    check_csv(f);
    check_json(f);
    frame_free(f);
    check_broken();
    return check_report("test_frame");
}
