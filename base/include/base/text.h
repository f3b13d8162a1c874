/* text.h - numbers as people read them, and strict parsing of what they type. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/diag.h"

/* "1.50 KiB", "3.20 GiB"; buf of at least 24 bytes; returns buf. */
char *text_bytes(char *buf, size_t cap, double bytes);

/* The fewest digits, of 15 to 17, that read back as x; buf of at least 32 bytes; returns buf. */
char *text_exact(char *buf, size_t cap, double x);

/* A whole decimal number in [min, max], nothing before or after it; else ERR_USAGE naming `what`, *out unchanged. */
int text_int(const char *s, long min, long max, const char *what, long *out, struct diag *d);
int text_double(const char *s, double min, double max, const char *what, double *out, struct diag *d);

/* A name among many: "a, b, c" of a NULL-ended array of pointers to structs whose first member is a const char *name.
 */
char *text_names(char *buf, size_t cap, const void *const *rows);

/* Reads a whole file (at most max bytes) into malloc'ed memory with a 0 byte behind it. "-" is standard input. */
int text_read_file(const char *path, size_t max, char **out, size_t *len, struct diag *d);
/* The file that a name to write to stands for: links followed, *target malloc'ed; *mode that of an existing file, else
 * 0666. ERR_IO: its folder or a link leads nowhere, it may not be written, or it is no regular file, which must not be
 * replaced. Local. */
int text_target(const char *path, char **target, mode_t *mode, struct diag *d);
/* Whether text_write_file has a place to write to: asked before the work for it is done. NULL: nothing is asked for.
 * ERR_IO, ERR_MEMORY. Local. */
int text_check_target(const char *path, struct diag *d);
/* Writes a file that appears when complete: put writes it under another name, beside text_target. ERR_IO. */
int text_write_file(const char *path, void (*put)(void *user, FILE *out), void *user, struct diag *d);

#endif
