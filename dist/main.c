/* northwall: argv -> subcommand on every rank -> one exit path, the same status everywhere. */
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "collectives/agree.h"
#include "collectives/link_mpi.h"
#include "dist/app.h"

volatile int app_stop;

static void on_signal(int sig) {
    (void)sig;
    if (app_stop) _exit(130); /* asked twice: at once */
    app_stop = 1;
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
        MPI_Comm node;
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
        MPI_Allreduce(MPI_IN_PLACE, &all, (int)sizeof all, MPI_BYTE, MPI_BOR, node);
        MPI_Bcast(&app->node, 1, MPI_INT, 0, node);
        MPI_Comm_free(&node);
    }
    app->cores = CPU_COUNT(&all);
    app->node_leader = app->node == app->rank;
}

static int dispatch(struct app *app, int argc, char **argv, struct diag *d) {
    char names[256];
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        if (app->rank == 0) help(argc < 2 ? stderr : stdout);
        return argc < 2 ? diag_set(d, ERR_USAGE, "no command given") : 0;
    }
    if (!strcmp(argv[1], "--version")) {
        if (app->rank == 0) printf("northwall %s\n", NW_VERSION);
        return 0;
    }
    if (!strcmp(argv[1], "--complete")) {
        if (app->rank == 0) complete(argv[2]);
        return 0;
    }
    const struct cmd *c = cmd_find(argv[1]);
    if (!c)
        return diag_set(d, ERR_USAGE, "unknown command '%.40s': commands are %s", argv[1],
                        text_names(names, sizeof names, (const void *const *)cmds));
    int rc = opts_parse(&app->spec, c, argc - 2, argv + 2, d);
    if (rc) return rc;
    if (app->spec.help) {
        if (app->rank == 0) opts_help(c, stdout);
        return 0;
    }
    return c->run(app, d);
}

static void start_ranks(struct app *app, int mpi) {
    app->world = mpi ? link_mpi_new(MPI_COMM_WORLD, NULL) : link_self_new();
    app->rank = app->world->rank;
    app->size = app->world->size;
    find_node(app, mpi);
}

int main(int argc, char **argv) {
    int mpi = launched();
    if (mpi) MPI_Init(&argc, &argv);
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error, reported as such */

    struct app app = {0};
    struct diag d = {0};
    start_ranks(&app, mpi);
    int rc = dispatch(&app, argc, argv, &d);
    if (app.rank == 0 && fflush(stdout) != 0 && !rc) rc = diag_set(&d, ERR_IO, "standard output: write error");
    rc = err_agree(app.world, rc, &d);
    if (rc && app.rank == 0) fprintf(stderr, "northwall: %s\n", d.text[0] ? d.text : err_text(rc));
    link_free(app.world);
    if (mpi) MPI_Finalize();
    return err_exit_status(rc);
}
