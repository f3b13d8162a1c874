/* check.h - assertions for test programs: CHECK(condition, "format", ...) counts and prints failures; a test's main
 * ends with `return check_report("name");`. No fork, no allocation: safe after MPI_Init. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdio.h>

static long check_count, check_failed;

#define CHECK(cond, ...)                                                                                               \
    do {                                                                                                               \
        check_count++;                                                                                                 \
        if (!(cond) && ++check_failed <= 20) {                                                                         \
            fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #cond);                                         \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
        }                                                                                                              \
    } while (0)

/* Prints the summary line; exit status of main. A test without any check fails. */
static inline int check_report(const char *name) {
    printf("%s: %ld checks, %ld failed\n", name, check_count, check_failed);
    return check_failed || !check_count;
}

#endif
