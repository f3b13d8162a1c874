#include "hosts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct reader {
    struct hosts *out;
    const char *path;
    int line;
    struct diag *d;
};

static int is_name(const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr("-._", word[i])) return 0;
    return n > 0 && n < HOSTS_NAME;
}

static struct host *find(struct hosts *h, const char *name) {
    for (int i = 0; i < h->n; i++)
        if (!strcmp(h->host[i].name, name)) return &h->host[i];
    return NULL;
}

static int add_host(struct reader *r, const char *name, int slots) {
    struct host *at = find(r->out, name);
    if (slots > HOSTS_MOST_SLOTS - r->out->n_slots)
        return diag_set(r->d, ERR_USAGE, "%s:%d: more than %d slots in all", r->path, r->line, HOSTS_MOST_SLOTS);
    if (!at && r->out->n == HOSTS_MOST)
        return diag_set(r->d, ERR_USAGE, "%s:%d: more than %d hosts", r->path, r->line, HOSTS_MOST);
    if (!at) {
        struct host *bigger = realloc(r->out->host, (size_t)(r->out->n + 1) * sizeof *bigger);
        if (!bigger) return diag_set(r->d, ERR_MEMORY, "no memory for the hosts of %s", r->path);
        r->out->host = bigger;
        at = &bigger[r->out->n++];
        *at = (struct host){0};
        memcpy(at->name, name, strlen(name));
    }
    at->slots += slots;
    r->out->n_slots += slots;
    return 0;
}

/* "slots=4": also max_slots, which does not matter here. */
static int read_setting(struct reader *r, const char *word, long *slots) {
    const char *value = strchr(word, '=');
    long number = 0;
    int is_slots = !strncmp(word, "slots=", 6);
    int known = is_slots || !strncmp(word, "max_slots=", 10) || !strncmp(word, "max-slots=", 10);
    if (!known || text_int(value + 1, 1, HOSTS_MOST_SLOTS, "", &number, NULL))
        return diag_set(r->d, ERR_USAGE, "%s:%d: '%.40s': expected slots=N, 1 to %d", r->path, r->line, word,
                        HOSTS_MOST_SLOTS);
    if (is_slots) *slots = number;
    return 0;
}

static int read_line(struct reader *r, char *line) {
    char *save = NULL, *name;
    long slots = 0;
    int rc = 0;
    line[strcspn(line, "#")] = 0;
    if (!(name = strtok_r(line, " \t\r\v\f", &save))) return 0;
    if (!is_name(name))
        return diag_set(r->d, ERR_USAGE, "%s:%d: '%.40s' is no host name: expected lines as 'node1 slots=4'", r->path,
                        r->line, name);
    for (char *word; !rc && (word = strtok_r(NULL, " \t\r\v\f", &save));)
        rc = read_setting(r, word, &slots);
    if (!rc && !slots)
        rc = diag_set(r->d, ERR_USAGE, "%s:%d: how many ranks does %s take? Expected slots=N behind it", r->path,
                      r->line, name);
    return rc ? rc : add_host(r, name, (int)slots);
}

int hosts_parse(struct hosts *out, const char *path, const char *text, size_t size, struct diag *d) {
    struct reader r = {out, path, 0, d};
    int rc = 0;
    *out = (struct hosts){0};
    for (size_t at = 0; !rc && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - text) - at : size - at;
        char *line = strndup(text + at, n);
        r.line++;
        if (!line)
            rc = diag_set(d, ERR_MEMORY, "no memory for the hosts of %s", path);
        else if (strlen(line) < n)
            rc = diag_set(d, ERR_USAGE, "%s:%d: a zero byte: expected lines as 'node1 slots=4'", path, r.line);
        else
            rc = read_line(&r, line);
        free(line);
        at += n + 1;
    }
    if (!rc && !out->n) rc = diag_set(d, ERR_USAGE, "%s: no host in it: expected lines as 'node1 slots=4'", path);
    return rc;
}

int hosts_read(struct hosts *out, const char *path, struct diag *d) {
    char *text;
    size_t size;
    *out = (struct hosts){0};
    int rc = text_read_file(path, 1u << 24, &text, &size, d);
    if (rc) return rc;
    rc = hosts_parse(out, path, text, size, d);
    free(text);
    return rc;
}

void hosts_fini(struct hosts *h) {
    free(h->host);
    memset(h, 0, sizeof *h);
}

void hosts_deal(const struct hosts *h, int n, int *host) {
    for (int i = 0, k = 0, left = h->host[0].slots; i < n; i++, left--) {
        while (!left)
            left = h->host[++k].slots;
        host[i] = k;
    }
}
