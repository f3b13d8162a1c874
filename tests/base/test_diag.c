#include <string.h>

#include "base/diag.h"
#include "check.h"

static void test_first_wins(void) {
    struct diag d = {0};
    CHECK(diag_set(&d, ERR_IO, "%s: byte %d", "f", 3) == ERR_IO && d.code == ERR_IO && !strcmp(d.text, "f: byte 3"),
          "set");
    CHECK(diag_set(&d, ERR_MEMORY, "later") == ERR_MEMORY, "the later call's own code is returned");
    CHECK(d.code == ERR_IO && !strcmp(d.text, "f: byte 3"), "the first text stays: '%s'", d.text);
    CHECK(diag_set(NULL, ERR_RANGE, "nobody reads %d", 1) == ERR_RANGE, "NULL");
}

/* One line that fits, without anything that a terminal obeys; other UTF-8 stays. */
static void test_clean(void) {
    struct diag d = {0};
    char big[2000];
    diag_set(&d, ERR_FORMAT, "a\nb\033[31m\177\302\233x\303\251\t.");
    CHECK(!strcmp(d.text, "a b [31m   x\303\251 ."), "'%s'", d.text);
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    d = (struct diag){0};
    diag_set(&d, ERR_FORMAT, "%s", big);
    CHECK(strlen(d.text) == sizeof d.text - 1, "cut to %zu", strlen(d.text));
    d = (struct diag){0};
    diag_set(&d, ERR_FORMAT, "%511s", "\302"); /* half a character at the very end */
    CHECK(strlen(d.text) == 511, "%zu", strlen(d.text));
}

/* Each code has its own name, text and a nonzero exit status. */
static void test_codes(void) {
    static const int code[] = {
#define X(name, value, status, text) name,
        ERR_LIST(X)
#undef X
    };
    int n = (int)(sizeof code / sizeof *code);
    for (int i = 0; i < n; i++) {
        CHECK(code[i] < 0 && err_exit_status(code[i]) > 0 && err_exit_status(code[i]) < 256, "%s", err_name(code[i]));
        CHECK(!strncmp(err_name(code[i]), "ERR_", 4) && strlen(err_text(code[i])) > 5, "code %d", code[i]);
        for (int j = 0; j < i; j++)
            CHECK(code[i] != code[j] && strcmp(err_name(code[i]), err_name(code[j])), "%d and %d", i, j);
    }
    CHECK(!strcmp(err_name(ERR_COMM), "ERR_COMM") && !strcmp(err_name(0), "OK"), "names");
    CHECK(err_exit_status(0) == 0 && !strcmp(err_text(0), "success"), "success");
    CHECK(!strcmp(err_name(-9999), "ERR_UNKNOWN") && err_exit_status(-9999) == 70, "no such code");
}

int main(void) {
    test_first_wins();
    test_clean();
    test_codes();
    return check_report("base-diag");
}
