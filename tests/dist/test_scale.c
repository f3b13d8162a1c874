/* Memory and processor time of northwall simulate as ranks grow: in proportion to them, and 16,384 cards in little.
 *
 *   test_scale NORTHWALL CLUSTER */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* With these plans on Debian 12, x86-64: 3.1 and 2.0 kB a rank. */
enum { MOST_BYTES_A_RANK = 4096, MOST_MiB = 256 };

struct used {
    double bytes, s;
};

static void child(const char *northwall, const char *cluster, const char *strategy, const char *users) {
    if (!freopen("/dev/null", "w", stdout)) _exit(127);
    execl(northwall, northwall, "simulate", "--model", "llama3-70b", "--quant", "q4_0", "--cluster", cluster,
          "--strategy", strategy, "--users", users, "--prompt", "16", "--generate", "64", (char *)NULL);
    _exit(127);
}

static struct used simulate(char **argv, const char *strategy, int users) {
    char text[16];
    struct rusage u = {0};
    int status = -1;
    snprintf(text, sizeof text, "%d", users);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) child(argv[1], argv[2], strategy, text);
    CHECK(pid > 0 && wait4(pid, &status, 0, &u) == pid && status == 0, "simulate %s: status %d", strategy, status);
    double s =
        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    return (struct used){1024.0 * (double)u.ru_maxrss, s};
}

/* 1,024 cards, and 16 times as many replicas. */
static void check_grows(char **argv, const char *few, const char *many, int users) {
    struct used a = simulate(argv, few, users), b = simulate(argv, many, 16 * users);
    double a_rank = (b.bytes - a.bytes) / (16384 - 1024);
    printf("%s, %s: %.0f bytes a rank more, %.1f MiB; %.3f and %.3f s\n", few, many, a_rank, b.bytes / 1048576, a.s,
           b.s);
    CHECK(a_rank <= MOST_BYTES_A_RANK, "%s: %.0f bytes a rank", many, a_rank);
    CHECK(b.bytes <= MOST_MiB * 1048576.0, "%s: %.0f bytes", many, b.bytes);
    CHECK(b.s <= 1.5 * 16 * (a.s + 0.02), "%s: %.3f s where 1,024 cards take %.3f", many, b.s, a.s);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    check_grows(argv, "tp8xdp128", "tp8xdp2048", 4096);
    check_grows(argv, "tp8xpp64xdp2", "tp8xpp64xdp32", 128);
    return check_report("scale");
}
