#include "analysis/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int gnuplot_run(FILE *in, FILE *out) {
    posix_spawn_file_actions_t files;
    char *const draw[] = {"gnuplot", NULL}, *const version[] = {"gnuplot", "--version", NULL};
    pid_t pid;
    int status = -1;
    if (posix_spawn_file_actions_init(&files) != 0) return -1;
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    if (in)
        posix_spawn_file_actions_adddup2(&files, fileno(in), 0);
    else
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (out)
        posix_spawn_file_actions_adddup2(&files, fileno(out), 1);
    else
        posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, "gnuplot", &files, NULL, in ? draw : version, environ) == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    posix_spawn_file_actions_destroy(&files);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}
