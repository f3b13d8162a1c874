#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line, and nothing from a hostile file that a terminal would obey: C0, DEL, and C1 as UTF-8 (c2 80 .. c2 9f). */
static void blank_controls(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) p[0] = p[1] = ' ';
        if (*p < 0x20 || *p == 0x7f) *p = ' ';
    }
}

int diag_set(struct diag *d, int code, const char *fmt, ...) {
    if (!d || d->code) return code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(d->text, sizeof d->text, fmt, args);
    va_end(args);
    blank_controls(d->text);
    d->code = code;
    return code;
}

const char *err_name(int code) {
    switch (code) {
    case 0: return "OK";
#define X(name, value, status, text)                                                                                   \
    case name: return #name;
        ERR_LIST(X)
#undef X
    }
    return "ERR_UNKNOWN";
}

const char *err_text(int code) {
    switch (code) {
    case 0: return "success";
#define X(name, value, status, text)                                                                                   \
    case name: return text;
        ERR_LIST(X)
#undef X
    }
    return "unknown error";
}

int err_exit_status(int code) {
    switch (code) {
    case 0: return 0;
#define X(name, value, status, text)                                                                                   \
    case name: return status;
        ERR_LIST(X)
#undef X
    }
    return 70;
}
