/* diag.h - error codes and the one line of text that goes with them.
 *
 *   struct diag d = {0};
 *   if (gguf_open(&file, path, &d) != 0) fprintf(stderr, "northwall: %s\n", d.text);
 *
 * Functions that can fail return 0 or one of the codes below and leave a line in the caller's struct diag that names
 * file, place and remedy. The first error wins: a later diag_set on a full diag keeps the earlier text. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

/* name, value, exit status of the program, meaning */
#define ERR_LIST(X)                                                                                                    \
    X(ERR_USAGE, -1, 2, "wrong use of the command line")                                                               \
    X(ERR_FORMAT, -2, 3, "malformed input file")                                                                       \
    X(ERR_UNSUPPORTED, -3, 3, "input is well formed but not supported")                                                \
    X(ERR_IO, -4, 4, "cannot read or write a file")                                                                    \
    X(ERR_MEMORY, -5, 5, "not enough memory")                                                                          \
    X(ERR_PLAN, -6, 6, "the strategy does not fit ranks, model or memory")                                             \
    X(ERR_MISMATCH, -7, 7, "ranks or results that must agree do not")                                                  \
    X(ERR_RANGE, -8, 8, "a value is out of range")                                                                     \
    X(ERR_COMM, -9, 9, "communication failed")                                                                         \
    X(ERR_INTERRUPTED, -10, 130, "interrupted")                                                                        \
    X(ERR_INTERNAL, -11, 70, "internal error: please report it")

enum err_code {
#define X(name, value, status, text) name = value,
    ERR_LIST(X)
#undef X
};

struct diag {
    int code; /* 0 or the first error's code */
    int rank; /* rank that met it; set by err_agree, else 0 */
    char text[512]; /* one line without newline */
};

/* Records code and text if d holds no error yet (d may be NULL); returns code. Local. */
int diag_set(struct diag *d, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Name ("ERR_FORMAT"), meaning and process exit status of a code; 0 gives "OK", "success" and 0. Local. */
const char *err_name(int code);
const char *err_text(int code);
int err_exit_status(int code);

#endif
