#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "check.h"

static void test_int(void) {
    static const char *const bad[] = {"",
                                      " ",
                                      "x",
                                      "1x",
                                      "x1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "--1",
                                      "+-1",
                                      "-",
                                      "+",
                                      ".",
                                      "1e3",
                                      "99999999999999999999",
                                      "-99999999999999999999",
                                      "101",
                                      "-6",
                                      "\n1",
                                      "1\n"};
    long v = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag d = {0};
        CHECK(text_int(bad[i], -5, 100, "--n", &v, &d) == ERR_USAGE && v == 77, "'%s' gives %ld", bad[i], v);
        CHECK(strstr(d.text, "--n") && strstr(d.text, "from -5 to 100"), "'%s': '%s'", bad[i], d.text);
    }
    CHECK(text_int("-5", -5, 100, "n", &v, NULL) == 0 && v == -5, "lower end");
    CHECK(text_int("100", -5, 100, "n", &v, NULL) == 0 && v == 100, "upper end");
    CHECK(text_int("+7", -5, 100, "n", &v, NULL) == 0 && v == 7, "plus");
    CHECK(text_int("010", -5, 100, "n", &v, NULL) == 0 && v == 10, "decimal, not octal");
    CHECK(text_int("9223372036854775807", LONG_MIN, LONG_MAX, "n", &v, NULL) == 0 && v == LONG_MAX, "LONG_MAX");
    CHECK(text_int("-9223372036854775808", LONG_MIN, LONG_MAX, "n", &v, NULL) == 0 && v == LONG_MIN, "LONG_MIN");
    CHECK(text_int("9223372036854775808", LONG_MIN, LONG_MAX, "n", &v, NULL) == ERR_USAGE, "2^63");
}

static void test_int_round_trip(void) {
    for (uint64_t i = 0; i < 2000; i++) {
        char text[32];
        long want = (long)(rng_u64(1, i) >> rng_u64(2, i) % 64), v = 0;
        if (i % 2) want = -want;
        snprintf(text, sizeof text, "%ld", want);
        CHECK(text_int(text, LONG_MIN, LONG_MAX, "n", &v, NULL) == 0 && v == want, "%s", text);
    }
}

static void test_double(void) {
    static const char *const bad[] = {"",      "x",     "1x",    " 1",   "1 ",  "nan", "inf", "-inf",
                                      "0x1p3", "1e999", "2.5e3", "-0.1", "1,5", "1e",  "."};
    double v = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag d = {0};
        CHECK(text_double(bad[i], 0, 1000, "--t", &v, &d) == ERR_USAGE && v == 77, "'%s' gives %g", bad[i], v);
        CHECK(strstr(d.text, "--t: "), "'%s': '%s'", bad[i], d.text);
    }
    CHECK(text_double("inf", 0, INFINITY, "t", &v, NULL) == ERR_USAGE, "no infinity, even where it would fit");
    CHECK(text_double("1e3", 0, 1000, "t", &v, NULL) == 0 && v == 1000, "1e3");
    CHECK(text_double(".5", 0, 1000, "t", &v, NULL) == 0 && v == 0.5, ".5");
    CHECK(text_double("-2.5E-1", -1, 0, "t", &v, NULL) == 0 && v == -0.25, "-2.5E-1");
}

static void test_bytes(void) {
    static const struct {
        double bytes;
        const char *text;
    } row[] = {{0, "0 B"},
               {1, "1 B"},
               {1023, "1023 B"},
               {1024, "1.00 KiB"},
               {1536, "1.50 KiB"},
               {1048575, "1.00 MiB"},
               {1048576, "1.00 MiB"},
               {3.2 * 1073741824, "3.20 GiB"},
               {1024.0 * 1073741824, "1.00 TiB"},
               {5e18, "4440.89 PiB"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char buf[24];
        CHECK(!strcmp(text_bytes(buf, sizeof buf, row[i].bytes), row[i].text), "%g is '%s'", row[i].bytes, buf);
    }
}

static void test_names(void) {
    struct named {
        const char *name;
        int other;
    } a = {"ring", 1}, b = {"tree", 2}, c = {"one-shot", 3};
    const void *rows[] = {&a, &b, &c, NULL};
    char buf[32], small[8];
    CHECK(!strcmp(text_names(buf, sizeof buf, rows), "ring, tree, one-shot"), "'%s'", buf);
    CHECK(!strcmp(text_names(small, sizeof small, rows), "ring, t"), "'%s'", small);
    CHECK(!strcmp(text_names(buf, sizeof buf, rows + 3), ""), "'%s'", buf);
}

/* Sizes about those at which the buffer grows. */
static void check_file(const char *path, size_t size, size_t max) {
    FILE *f = fopen(path, "wb");
    char *text = NULL;
    size_t n = 99;
    struct diag d = {0};
    for (size_t i = 0; f && i < size; i++)
        fputc((int)(i * 7 % 256), f);
    CHECK(f != NULL, "%s", path);
    if (f) fclose(f);
    int rc = text_read_file(path, max, &text, &n, &d);
    if (size > max) {
        CHECK(rc == ERR_RANGE && !text && n == 99 && strstr(d.text, path), "%zu of at most %zu: '%s'", size, max,
              d.text);
        return;
    }
    CHECK(rc == 0 && n == size && text && text[size] == 0, "%zu: '%s'", size, d.text);
    size_t same = 0;
    while (text && same < n && (unsigned char)text[same] == same * 7 % 256)
        same++;
    CHECK(same == size, "%zu: differs at %zu", size, same);
    free(text);
}

static void test_read_file(void) {
    char path[] = "text-XXXXXX", *text = NULL;
    static const size_t size[] = {0, 1, 65534, 65535, 65536, 65537, 131071, 131072, 200000};
    size_t n;
    int fd = mkstemp(path);
    CHECK(fd >= 0, "mkstemp");
    close(fd);
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        check_file(path, size[i], SIZE_MAX);
        check_file(path, size[i], size[i]);
        if (size[i]) check_file(path, size[i], size[i] - 1);
    }
    unlink(path);
    struct diag d = {0};
    CHECK(text_read_file(path, 10, &text, &n, &d) == ERR_IO && strstr(d.text, path) && !text, "absent: '%s'", d.text);
    d = (struct diag){0};
    CHECK(text_read_file(".", 10, &text, &n, &d) == ERR_IO && !text, "a folder: '%s'", d.text);
}

int main(void) {
    test_int();
    test_int_round_trip();
    test_double();
    test_bytes();
    test_names();
    test_read_file();
    return check_report("base-text");
}
