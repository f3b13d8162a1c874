#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *text_bytes(char *buf, size_t cap, double bytes) {
    static const char *unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int u = 0;
    while (bytes >= (u ? 1023.995 : 1023.5) && u < 5) { /* what would be printed as 1024 is 1 of the next unit */
        bytes /= 1024;
        u++;
    }
    snprintf(buf, cap, u ? "%.2f %s" : "%.0f %s", bytes, unit[u]);
    return buf;
}

/* Numbers begin with a digit, a sign or a point: no spaces, no "inf", no "nan". */
static int begins_number(const char *s) {
    s += *s == '-' || *s == '+';
    return (*s >= '0' && *s <= '9') || *s == '.';
}

char *text_exact(char *buf, size_t cap, double x) {
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    snprintf(buf, cap, "%s", text);
    return buf;
}

int text_int(const char *s, long min, long max, const char *what, long *out, struct diag *d) {
    char *end;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (!begins_number(s) || end == s || *end || errno || v < min || v > max)
        return diag_set(d, ERR_USAGE, "%s: '%.64s' is not an integer from %ld to %ld", what, s, min, max);
    *out = v;
    return 0;
}

int text_double(const char *s, double min, double max, const char *what, double *out, struct diag *d) {
    char *end;
    double v = strtod(s, &end);
    if (!begins_number(s) || strpbrk(s, "xX") || end == s || *end || !(v >= min && v <= max))
        return diag_set(d, ERR_USAGE, "%s: '%.64s' is not a number from %g to %g", what, s, min, max);
    *out = v;
    return 0;
}

char *text_names(char *buf, size_t cap, const void *const *rows) {
    size_t at = 0;
    if (cap) buf[0] = 0;
    for (int i = 0; rows[i] && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%s", i ? ", " : "", *(const char *const *)rows[i]);
    return buf;
}

int text_read_file(const char *path, size_t max, char **out, size_t *len, struct diag *d) {
    int is_stdin = !strcmp(path, "-");
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    if (!f) return diag_set(d, ERR_IO, "%s: %s", path, strerror(errno));
    char *buf = NULL;
    size_t n = 0, cap = 0;
    int rc = 0;
    while (!rc) {
        if (n + 1 >= cap) {
            char *bigger = realloc(buf, cap = cap ? cap * 2 : 65536);
            if (!bigger) {
                rc = diag_set(d, ERR_MEMORY, "%s: no memory for its text", path);
                break;
            }
            buf = bigger;
        }
        size_t got = fread(buf + n, 1, cap - n - 1, f);
        if (!got) break;
        n += got;
        if (n > max) rc = diag_set(d, ERR_RANGE, "%s: larger than the %zu bytes allowed", path, max);
    }
    if (!rc && ferror(f)) rc = diag_set(d, ERR_IO, "%s: read error: %s", path, strerror(errno));
    if (!is_stdin) fclose(f);
    if (rc) {
        free(buf);
        return rc;
    }
    buf[n] = 0;
    *out = buf;
    *len = n;
    return 0;
}

static int cannot_write(const char *path, int error, struct diag *d) {
    return diag_set(d, error == ENOMEM ? ERR_MEMORY : ERR_IO, "%s: cannot write: %s%s", path, strerror(error),
                    error == ENOENT ? "; is its folder there?" : "");
}

int text_target(const char *path, char **target, mode_t *mode, struct diag *d) {
    struct stat st;
    *mode = 0666;
    if (!*path) return cannot_write("''", ENOENT, d);
    if (stat(path, &st)) {
        int error = errno;
        if (error == ENOENT && !lstat(path, &st))
            return diag_set(d, ERR_IO, "%s: is a symbolic link to nothing; remove it first", path);
        if (error != ENOENT) return cannot_write(path, error, d);
        *target = strdup(path);
    } else if (S_ISREG(st.st_mode)) {
        if (access(path, W_OK)) return cannot_write(path, errno, d);
        *mode = st.st_mode & 0777;
        *target = realpath(path, NULL);
    } else {
        return diag_set(d, ERR_IO, "%s: is not a regular file; give the name of a file to write", path);
    }
    return *target ? 0 : cannot_write(path, errno, d);
}

int text_check_target(const char *path, struct diag *d) {
    char *target = NULL;
    mode_t mode;
    int rc = path ? text_target(path, &target, &mode, d) : 0;
    if (!rc && target && access(dirname(target), W_OK | X_OK)) rc = cannot_write(path, errno, d);
    free(target);
    return rc;
}

int text_write_file(const char *path, void (*put)(void *user, FILE *out), void *user, struct diag *d) {
    char part[4096], *target = NULL;
    mode_t mode;
    int rc = text_target(path, &target, &mode, d);
    if (rc) return rc;
    if (snprintf(part, sizeof part, "%s.%ld.part", target, (long)getpid()) >= (int)sizeof part)
        rc = diag_set(d, ERR_IO, "%.60s...: the name is too long", path);
    int fd = rc ? -1 : open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!rc && !out) rc = cannot_write(path, errno, d);
    if (out) {
        put(user, out);
        int failed = ferror(out);
        if (fclose(out) != 0 || failed || rename(part, target) != 0) {
            rc = cannot_write(path, errno, d);
            remove(part);
        }
    }
    free(target);
    return rc;
}
