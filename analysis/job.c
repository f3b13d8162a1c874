#include "analysis/job.h"

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAB "northwall-lab"

/* northwall-lab: beside this program, otherwise as PATH has it. */
static const char *lab_of(const char *self, char *buf, size_t cap) {
    const char *slash = strrchr(self, '/');
    int n = snprintf(buf, cap, "%.*s/%s", slash ? (int)(slash - self) : 0, self, LAB);
    return slash && n < (int)cap && access(buf, X_OK) == 0 ? buf : LAB;
}

/* The child becomes mpirun, northwall-lab, or this program again, and ends with this process. */
static void become(pid_t parent, int ranks, int n_words, const char *const *words, int out, FILE *err) {
    char self[4096], lab[4096], count[16];
    const char *all[JOB_MOST_WORDS + 8] = {"mpirun", "-n", count, self};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    if (ranks == JOB_LAB) all[3] = lab_of(self, lab, sizeof lab);
    snprintf(count, sizeof count, "%d", ranks);
    for (int i = 0; i < n_words; i++)
        all[4 + i] = words[i];
    dup2(out, STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    const char **from = ranks > 0 ? all : all + 3;
    execvp(from[0], (char *const *)(uintptr_t)from);
    _exit(127);
}

static int starts(const char *line, const char *with) {
    return !strncmp(line, with, strlen(with));
}

/* The line of the program that failed; or what mpirun said, of a rank or a host if it names one, or else first. */
static void first_words(FILE *err, int status, char *out, size_t cap) {
    char line[512];
    snprintf(out, cap, "ended with status %d without a word", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    rewind(err);
    for (int first = 1; fgets(line, sizeof line, err);) {
        int own = starts(line, "northwall: ") && !starts(line, "northwall: note"), lab = starts(line, LAB ": ");
        const char *from = line + (own ? strlen("northwall: ") : 0), *host = strstr(line, " on node ");
        line[strcspn(line, "\n")] = 0;
        int rank = host && strstr(line, "process rank");
        if (own || lab || rank || (first && strspn(line, "- ") < strlen(line)))
            snprintf(out, cap, "%.*s", (int)cap - 1, from), first = 0;
        else if (host && starts(line, "  Remote daemon:"))
            strncat(out, host, cap - strlen(out) - 1);
        if (own || lab) return;
    }
}

static int run(json_t **o, int ranks, int n_words, const char *const *words, int out[2], FILE *err, struct diag *d) {
    json_error_t e;
    char why[400];
    int status = 0;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(parent, ranks, n_words, words, out[1], err);
    close(out[1]);
    FILE *in = fdopen(out[0], "r");
    if (o) *o = pid > 0 && in ? json_loadf(in, 0, &e) : NULL;
    while (!o && in && fgetc(in) != EOF)
        continue;
    if (in) fclose(in);
    if (pid > 0) waitpid(pid, &status, 0);
    if (pid > 0 && status == 0 && (!o || *o)) return 0;
    if (o) json_decref(*o), *o = NULL;
    if (ranks && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return diag_set(d, ERR_UNSUPPORTED, "%s",
                        ranks == JOB_LAB ? LAB " is not there: neither beside northwall nor in PATH"
                                         : "mpirun is not there: install Open MPI, or add it to PATH");
    first_words(err, status, why, sizeof why);
    if (strstr(why, "run as root"))
        return diag_set(d, ERR_INTERNAL,
                        "mpirun refuses root: eval \"$(./quickstart env)\" in the source folder lets it");
    return diag_set(d, ERR_INTERNAL, "%s", why);
}

int job_json(json_t **out, int ranks, int n_words, const char *const *words, struct diag *d) {
    int pair[2];
    if (out) *out = NULL;
    if (n_words > JOB_MOST_WORDS) return diag_set(d, ERR_USAGE, "a job of %d words", n_words);
    FILE *err = tmpfile();
    if (!err) return diag_set(d, ERR_IO, "no temporary file");
    int rc = pipe(pair) ? diag_set(d, ERR_IO, "no pipe") : run(out, ranks, n_words, words, pair, err, d);
    fclose(err);
    return rc;
}

char *job_command(int ranks, int n_words, const char *const *words) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./=:,+@%";
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    if (ranks > 0) fprintf(out, "mpirun -n %d ", ranks);
    fputs(ranks == JOB_LAB ? LAB : "northwall", out);
    for (int i = 0; i < n_words; i++) {
        int quoted = !words[i][0] || words[i][strspn(words[i], plain)];
        fputs(quoted ? " '" : " ", out);
        for (const char *c = words[i]; *c; c++)
            fputs(*c == '\'' ? "'\\''" : (char[]){*c, 0}, out);
        if (quoted) fputc('\'', out);
    }
    return fclose(out) ? NULL : text;
}

double job_number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}
