/* northwall: argv -> subcommand on every rank -> one exit path, the same status everywhere. */
#include <fcntl.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "collectives/agree.h"
#include "collectives/link_mpi.h"
#include "dist/app.h"

volatile int app_stop;

/* Phases look at app_stop where they can end in good order; what does not within GRACE_S is ended here. Under MPI the
 * other ranks then end with this one. */
enum { GRACE_S = 2 };

static void end_now(int sig) {
    static const char text[] = "northwall: interrupted by a signal: no result\n";
    ssize_t ignored = sig == SIGALRM ? write(2, text, sizeof text - 1) : 0;
    (void)ignored;
    _exit(err_exit_status(ERR_INTERRUPTED));
}

static void on_signal(int sig) {
    if (app_stop) end_now(sig); /* asked twice: at once */
    app_stop = 1;
    alarm(GRACE_S);
}

/* A page of a mapped file is gone: somebody cut the file short, or its disk fails. */
static void on_bus_error(int sig) {
    static const char text[] = "northwall: the model file was cut short or cannot be read any more while in use: "
                               "write models under another name, then rename\n";
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)ignored, (void)sig;
    _exit(err_exit_status(ERR_IO));
}

/* Launchers tell each process so by these variables; without one, a single rank needs no MPI. */
static int launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return 1;
    return 0;
}

static const struct cmd *cmd_find(const char *name) {
    for (int i = 0; cmds[i]; i++)
        if (!strcmp(cmds[i]->name, name)) return cmds[i];
    return NULL;
}

static void help(FILE *out) {
    fputs("northwall - runs a quantized decoder over MPI ranks and tells what sets its latency\n\n"
          "usage: northwall COMMAND [options]          one rank\n"
          "       mpirun -n N northwall COMMAND ...     N ranks\n\n",
          out);
    for (int i = 0; cmds[i]; i++)
        fprintf(out, "  %-10s %s\n", cmds[i]->name, cmds[i]->summary);
    fputs("\nnorthwall COMMAND --help shows a command's options. northwall --version prints the version.\n", out);
}

/* Words for shell completion: commands, presets, or the options of a command. */
static void complete(const char *what) {
    const struct cmd *c = what ? cmd_find(what) : NULL;
    if (c) opts_names(c, stdout);
    for (int i = 0; !what && cmds[i]; i++)
        puts(cmds[i]->name);
    for (int i = 0; what && !strcmp(what, "presets") && presets[i]; i++)
        puts(presets[i]->name);
}

static cpu_set_t cores_allowed(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return set;
}

/* mpirun may bind each rank to cores of its own: what a node's ranks may use is the union. */
static void find_node(struct app *app, int mpi) {
    cpu_set_t all = cores_allowed();
    app->node = app->rank;
    if (mpi) {
        MPI_Comm node = link_mpi_machine(MPI_COMM_WORLD);
        MPI_Allreduce(MPI_IN_PLACE, &all, (int)sizeof all, MPI_BYTE, MPI_BOR, node);
        MPI_Bcast(&app->node, 1, MPI_INT, 0, node);
        MPI_Comm_free(&node);
    }
    app->cores = CPU_COUNT(&all);
    app->node_leader = app->node == app->rank;
}

/* Whether ranks that wait give way to others: Open MPI's own word on it, -1 from an MPI that has no such setting. */
static int ask_yields(void) {
    int level, index, count, value = -1, any[64];
    MPI_T_cvar_handle h;
    if (MPI_T_init_thread(MPI_THREAD_SINGLE, &level) != MPI_SUCCESS) return -1;
    if (MPI_T_cvar_get_index("mpi_yield_when_idle", &index) == MPI_SUCCESS &&
        MPI_T_cvar_handle_alloc(index, NULL, &h, &count) == MPI_SUCCESS) {
        if (count == 1 && MPI_T_cvar_read(h, any) == MPI_SUCCESS) value = any[0] != 0;
        MPI_T_cvar_handle_free(&h);
    }
    MPI_T_finalize();
    return value;
}

/* What the command line asks for: a command, or text to print (NULL). Local. */
static int parse(struct app *app, int argc, char **argv, const struct cmd **out, struct diag *d) {
    char names[256];
    *out = NULL;
    if (argc < 2) return diag_set(d, ERR_USAGE, "no command given: northwall --help lists them");
    static const char *const texts[] = {"--help", "-h", "help", "--version", "--complete"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(argv[1], texts[i])) return 0;
    const struct cmd *c = *out = cmd_find(argv[1]);
    if (c) return opts_parse(&app->spec, c, argc - 2, argv + 2, d);
    return diag_set(d, ERR_USAGE, "unknown command '%.40s': commands are %s", argv[1],
                    text_names(names, sizeof names, (const void *const *)cmds));
}

/* CPUs that this node's ranks may use together, before MPI can tell: a launcher that binds each rank to a core of its
 * own runs on all of them itself. */
static int cpus_of_node(void) {
    cpu_set_t own = cores_allowed(), launcher;
    if (sched_getaffinity(getppid(), sizeof launcher, &launcher) == 0) CPU_OR(&own, &own, &launcher);
    return CPU_COUNT(&own);
}

static int threads_outnumber_cpus(int threads) {
    cpu_set_t own = cores_allowed();
    const char *ranks = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (!ranks) ranks = getenv("MPI_LOCALNRANKS");
    return threads > CPU_COUNT(&own) || (ranks ? strtol(ranks, NULL, 10) : 1) * threads > cpus_of_node();
}

/* Threads and ranks that wait by spinning are quick where each has a core (measured on 2 cores, 1.1 B weights: 57
 * tokens/s against 41 with two threads), and ruin where they have not: OpenMP is told to wait passively then, and Open
 * MPI to give way (it knows when ranks outnumber its slots; a host file may promise more of these than there are
 * cores). OpenMP reads that before main, so the program starts itself once more. What the user has set stands. */
static void choose_waiting(int argc, char **argv) {
    char self[4096];
    struct app app = {0};
    const struct cmd *c;
    if (parse(&app, argc, argv, &c, NULL) || !c || !threads_outnumber_cpus(app_threads(&app.spec))) return;
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    if (app_threads(&app.spec) == 1 || getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) return;
    self[len] = 0;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execv(self, argv); /* returns only if it fails, and then all goes on as it was */
}

/* Ranks that were asked for different things would wait for each other for ever: told apart before anything else. */
static int dispatch(struct app *app, int argc, char **argv, struct diag *d) {
    const struct cmd *c;
    int rc = err_agree(app->world, parse(app, argc, argv, &c, d), d);
    uint64_t asked = rc ? 0 : c ? opts_hash(&app->spec, c) : hash_bytes(argv[1], strlen(argv[1]), 0);
    if (!rc) rc = agree_same(app->world, asked, "the command line (--model, --threads and --kernels may)", d);
    if (!rc && c && !app->spec.help) rc = app_net(app, d);
    if (rc) return rc;
    if (c && !app->spec.help) return c->run(app, d);
    if (app->rank != 0) return 0;
    if (c)
        opts_help(c, stdout);
    else if (!strcmp(argv[1], "--version"))
        printf("northwall %s\n", NW_VERSION);
    else if (!strcmp(argv[1], "--complete"))
        complete(argv[2]);
    else
        help(stdout);
    return 0;
}

static void start_ranks(struct app *app, int mpi) {
    app->world = mpi ? link_mpi_new(MPI_COMM_WORLD, NULL) : link_self_new();
    app->rank = app->world->rank;
    app->size = app->world->size;
    find_node(app, mpi);
    app->yields = mpi ? ask_yields() : -1;
}

/* No file that is opened later may take the number of a standard stream that came closed; writes to it still fail. */
static void fill_closed_streams(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= 2);
    if (fd > 2) close(fd);
}

int main(int argc, char **argv) {
    fill_closed_streams();
    choose_waiting(argc, argv);
    int mpi = launched();
    if (mpi) MPI_Init(&argc, &argv);
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* as under nohup */
        sigaction(SIGHUP, &act, NULL);
    signal(SIGALRM, end_now);
    signal(SIGBUS, on_bus_error);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* a parent that ignores it hands that down, and no child's end could be waited for */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error, reported as such */

    struct app app = {0};
    struct diag d = {0};
    start_ranks(&app, mpi);
    int rc = dispatch(&app, argc, argv, &d);
    if (app.rank == 0 && (fflush(stdout) != 0 || ferror(stdout)) && (!rc || rc == ERR_INTERRUPTED)) {
        d = (struct diag){0}; /* whoever prints stops the run when output is lost */
        rc = diag_set(&d, ERR_IO,
                      "standard output: cannot write: full, or its reader is gone; the output is incomplete");
    }
    rc = err_agree(app.world, rc, &d);
    if (rc && app.rank == 0) fprintf(stderr, "northwall: %s\n", d.text[0] ? d.text : err_text(rc));
    link_free(app.world);
    placement_free(app.placement);
    if (mpi) MPI_Finalize();
    return err_exit_status(rc);
}
