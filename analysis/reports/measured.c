#include "measured.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without folders: what is measured does not depend on them. */
static char *command_of(int ranks, int n_words, const char *const *words) {
    const char *names[JOB_MOST_WORDS];
    for (int i = 0; i < n_words && i < JOB_MOST_WORDS; i++)
        names[i] = words[i][0] == '/' ? strrchr(words[i], '/') + 1 : words[i];
    return job_command(ranks, n_words < JOB_MOST_WORDS ? n_words : JOB_MOST_WORDS, names);
}

int measured_job(json_t **out, char **note, int ranks, int n_words, const char *const *words, const char *what,
                 struct diag *d) {
    double load = 0;
    int known = getloadavg(&load, 1) == 1;
    char *command = command_of(ranks, n_words, words);
    *note = NULL;
    int rc = job_json(out, ranks, n_words, words, d);
    if (!rc && (!command || asprintf(note, "%s Measured by: %s. Load average before it: %.2f%s.", what, command, load,
                                     known ? "" : " (not known)") < 0)) {
        json_decref(*out);
        *out = NULL;
        rc = diag_set(d, ERR_MEMORY, "no memory for a report");
    }
    free(command);
    return rc;
}

struct interval {
    double is, low, high;
};

static struct interval interval_of(const json_t *o, const char *key, double scale) {
    char low[80], high[80];
    snprintf(low, sizeof low, "%s_low", key);
    snprintf(high, sizeof high, "%s_high", key);
    return (struct interval){scale * job_number(o, key), scale * job_number(o, low), scale * job_number(o, high)};
}

void measured_cells(struct frame *t, const json_t *o, const char *key, double scale) {
    struct interval i = interval_of(o, key, scale);
    frame_number(t, i.is);
    frame_number(t, i.low);
    frame_number(t, i.high);
}

char *measured_text(char *buf, size_t cap, const json_t *o, const char *key, double scale, const char *unit) {
    struct interval i = interval_of(o, key, scale);
    if (isnan(i.low))
        snprintf(buf, cap, "%.3g %s", i.is, unit);
    else
        snprintf(buf, cap, "%.3g %s [%.3g, %.3g]", i.is, unit, i.low, i.high);
    return buf;
}

int measured_below(const json_t *a, const json_t *b, const char *key) {
    struct interval x = interval_of(a, key, 1), y = interval_of(b, key, 1);
    return x.high < y.low ? 1 : y.high < x.low ? -1 : 0;
}
