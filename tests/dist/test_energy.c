/* The energy meter on a made-up powercap tree: packages count, their parts do not, dram does, wraps are seen. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "dist/energy.h"

static char root[128];

static void put(const char *domain, const char *file, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, domain);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", root, domain, file);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL, "%s", path);
    if (!f) return;
    fputs(text, f);
    fclose(f);
}

static void domain(const char *name, const char *label, const char *uj, const char *range) {
    put(name, "name", label);
    put(name, "energy_uj", uj);
    put(name, "max_energy_range_uj", range);
}

int main(void) {
    struct energy_meter m;
    strcpy(root, "/tmp/northwall-energy-XXXXXX");
    CHECK(mkdtemp(root) != NULL, "mkdtemp");
    CHECK(energy_open(&m, "/nonexistent") == 0, "no tree, no domain");
    CHECK(energy_open(&m, root) == 0, "empty tree");

    domain("intel-rapl:0", "package-0", "1000000", "10000000");
    domain("intel-rapl:1", "package-1", "9000000", "10000000");
    domain("intel-rapl:0:0", "core", "500000", "10000000");
    domain("intel-rapl:0:1", "dram", "100000", "10000000");
    domain("intel-rapl:3", "psys\n", "7000000", "10000000"); /* the platform: holds the packages */
    put("intel-rapl:2", "name", "broken");
    CHECK(energy_open(&m, root) == 3, "two packages and dram, not core, not psys, not broken: %d", m.n);
    CHECK(energy_start(&m) == 0, "start");
    put("intel-rapl:0", "energy_uj", "3500000"); /* 2.5 J */
    put("intel-rapl:1", "energy_uj", "2000000"); /* wrapped: 1 + 2 = 3 J */
    put("intel-rapl:0:0", "energy_uj", "900000"); /* inside package 0 */
    put("intel-rapl:0:1", "energy_uj", "350000"); /* 0.25 J */
    CHECK(energy_update(&m) == 0, "update");
    CHECK(fabs(m.joules - 5.75) < 1e-9, "%g J", m.joules);
    put("intel-rapl:0", "energy_uj", "garbage");
    CHECK(energy_update(&m) != 0, "an unreadable counter is an error, not zero joules");

    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK(system(command) == 0, "clean up");
    return check_report("energy");
}
