#include "dist/energy.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int read_u64(const char *dir, const char *file, uint64_t *out) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "r");
    if (!f) return -1;
    int ok = fscanf(f, "%" SCNu64, out) == 1;
    fclose(f);
    return ok ? 0 : -1;
}

/* Domains "intel-rapl:N" are packages, or psys: the whole platform, packages included. "intel-rapl:N:M" lie inside a
 * package. Packages and dram are counted; the others would count twice. */
static int counts_apart(const char *dir, const char *name) {
    const char *colon = strchr(name, ':');
    if (!colon) return 0;
    int package = !strchr(colon + 1, ':');
    char path[256], label[32] = "";
    snprintf(path, sizeof path, "%s/name", dir);
    FILE *f = fopen(path, "r");
    if (!f) return package;
    int got = fscanf(f, "%31s", label);
    fclose(f);
    return package ? strcmp(label, "psys") != 0 : got == 1 && !strcmp(label, "dram");
}

static void add_domain(struct energy_meter *m, const char *root, const char *name) {
    char dir[160];
    uint64_t now, range;
    if (m->n == ENERGY_MAX_DOMAINS || strncmp(name, "intel-rapl:", 11) != 0) return;
    if ((size_t)snprintf(dir, sizeof dir, "%s/%s", root, name) >= sizeof dir || !counts_apart(dir, name)) return;
    if (read_u64(dir, "energy_uj", &now) || read_u64(dir, "max_energy_range_uj", &range) || range == 0) return;
    memcpy(m->path[m->n], dir, sizeof dir);
    m->range_uj[m->n++] = range;
}

int energy_open(struct energy_meter *m, const char *root) {
    memset(m, 0, sizeof *m);
    if (!root) root = "/sys/class/powercap";
    DIR *d = opendir(root);
    if (!d) return 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        add_domain(m, root, e->d_name);
    closedir(d);
    return m->n;
}

int energy_start(struct energy_meter *m) {
    m->joules = 0;
    for (int i = 0; i < m->n; i++)
        if (read_u64(m->path[i], "energy_uj", &m->last_uj[i])) return -1;
    return 0;
}

int energy_update(struct energy_meter *m) {
    for (int i = 0; i < m->n; i++) {
        uint64_t now, last = m->last_uj[i];
        if (read_u64(m->path[i], "energy_uj", &now)) return -1;
        uint64_t gone = now >= last ? now - last : m->range_uj[i] - last + now;
        m->joules += 1e-6 * (double)gone;
        m->last_uj[i] = now;
    }
    return 0;
}
