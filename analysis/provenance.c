#include "analysis/provenance.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

const char *provenance_compiler(void) {
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *provenance_machine(void) {
    static char text[128];
    char line[256];
    struct utsname u;
    FILE *f = text[0] ? NULL : fopen("/proc/cpuinfo", "r");
    while (f && !text[0] && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':'))
            snprintf(text, sizeof text, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"), strchr(line, ':') + 2);
    if (f) fclose(f);
    if (!text[0]) snprintf(text, sizeof text, "%s", uname(&u) ? "unknown" : u.machine);
    if (!strstr(text, " CPUs"))
        snprintf(text + strlen(text), sizeof text - strlen(text), ", %ld CPUs", sysconf(_SC_NPROCESSORS_ONLN));
    return text;
}

const char *provenance_mpi(void) {
    static char text[96];
    FILE *f = text[0] ? NULL : popen("mpirun --version 2>/dev/null", "r");
    if (f && fgets(text, sizeof text, f)) text[strcspn(text, "\n")] = 0;
    if (f) pclose(f);
    return text[0] ? text : "unknown";
}

const char *provenance_time(char *buf, size_t cap) {
    time_t t = time(NULL);
    struct tm tm;
    strftime(buf, cap, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return buf;
}
