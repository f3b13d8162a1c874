#include "load.h"

#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct load load_now(int who) {
    struct load l = {.wall_s = now_s(), .busy_s = NAN, .stolen_s = NAN};
    struct rusage u;
    double v[8] = {0}, hz = (double)sysconf(_SC_CLK_TCK);
    FILE *f = fopen("/proc/stat", "r");
    if (f) {
        if (fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) ==
            8) {
            l.busy_s = (v[0] + v[1] + v[2] + v[5] + v[6]) / hz;
            l.stolen_s = v[7] / hz;
        }
        fclose(f);
    }
    if (getrusage(who, &u) == 0)
        l.own_s =
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    return l;
}

static double share(const struct load *from, const struct load *to, double seconds) {
    double x = seconds / ((to->wall_s - from->wall_s) * (double)sysconf(_SC_NPROCESSORS_ONLN));
    return x < 0 ? 0 : x;
}

double load_of_others(const struct load *from, const struct load *to, double own_s) {
    return share(from, to, to->busy_s - from->busy_s - own_s);
}

double load_stolen(const struct load *from, const struct load *to) {
    return share(from, to, to->stolen_s - from->stolen_s);
}
