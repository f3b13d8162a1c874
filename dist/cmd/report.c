/* northwall report: publications beside the model. */
#include "analysis/report.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "analysis/gnuplot.h"
#include "base/text.h"

static const struct report *find(const char *name) {
    for (int i = 0; name && reports[i]; i++)
        if (!strcmp(reports[i]->name, name)) return reports[i];
    return NULL;
}

static int plot(const struct app *app, const struct report *r, const struct report_page *page, struct diag *d) {
    struct winsize w;
    int columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || w.ws_col < 40 ? 100 : w.ws_col;
    return app->spec.plot ? report_plot(r, page, columns, stdout, d) : 0;
}

static int make(const struct app *app, const struct report *r, struct diag *d) {
    struct report_page page = {0};
    int drawn = 0, rc = app->spec.out ? report_folder(app->spec.out, d) : 0;
    if (!rc) rc = r->make(&page, app, d);
    if (!rc && app->spec.out) rc = report_write(r, &page, app->spec.out, &drawn, d);
    if (!rc) rc = report_print(r, &page, stdout, app->spec.json, d);
    if (!rc) rc = plot(app, r, &page, d);
    if (!rc && app->spec.out)
        fprintf(app->spec.json ? stderr : stdout, "\n%s: %d tables (CSV), %d figures%s\n", app->spec.out, page.n, drawn,
                drawn ? " (SVG, PDF, PNG)" : ": gnuplot is not installed; their commands are the .gp files");
    report_page_fini(&page);
    return rc;
}

/* Measuring is on one rank: its cores are those of this process. */
static int check_measure(struct app *app, struct diag *d) {
    if (!app->spec.measure) return 0;
    if (app->size > 1)
        return diag_set(d, ERR_USAGE, "report --measure: measures one rank, not %d: leave mpirun out", app->size);
    return app_bind(app, d);
}

/* One page of all. */
static int make_all(const struct app *app, struct diag *d) {
    if (!app->spec.out) return diag_set(d, ERR_USAGE, "report of everything: where to? Give --out FOLDER, or a name");
    if (app->size > 1) return diag_set(d, ERR_USAGE, "report starts its ranks itself: run it without mpirun");
    return report_all(app, d);
}

static int run(struct app *app, struct diag *d) {
    char known[256];
    const struct report *r = find(app->spec.args[0]);
    if (!app->spec.n_args) return make_all(app, d);
    if (!r)
        return diag_set(d, ERR_USAGE, "report %.40s: there are %s", app->spec.args[0],
                        text_names(known, sizeof known, (const void *const *)reports));
    if (app->spec.plot && app->spec.plot[0])
        return diag_set(d, ERR_USAGE, "report --plot %.40s: draws to the terminal; files: --out FOLDER",
                        app->spec.plot);
    if (app->spec.plot && app->spec.json)
        return diag_set(d, ERR_USAGE, "report --plot --json: figures in letters are no JSON: give one of them");
    if (app->spec.plot && gnuplot_run(NULL, NULL))
        return diag_set(d, ERR_UNSUPPORTED,
                        "report --plot: gnuplot is not installed: without --plot the tables have the "
                        "same numbers");
    if (r->measures && app->size > 1)
        return diag_set(d, ERR_USAGE, "report %s starts its ranks itself: run it without mpirun", r->name);
    int rc = check_measure(app, d);
    return rc || app->rank ? rc : make(app, r, d);
}

static const struct cmd_mode modes[] = {
    {"report", "jobs"},
    {"report NAME", "plot json"},
    {"report memory-wall", "plot json measure repeat threads ctx bind"},
    {"report pareto", "plot json cluster model ranks users prompt generate"},
    {0},
};

static int mode(const struct run_spec *s) {
    if (!s->n_args) return 0;
    return !strcmp(s->args[0], "memory-wall") ? 2 : !strcmp(s->args[0], "pareto") ? 3 : 1;
}

const struct cmd cmd_report = {
    .name = "report",
    .summary = "what the studies found: a page of all, or one beside the publications it is about",
    .usage = "--out FOLDER [--quick] [--jobs N]\n"
             "       northwall report NAME [--quick] [--out FOLDER] [--plot] [--json]\n"
             "       northwall report memory-wall [--measure [--repeat N] [--threads N] [--ctx N]] ...\n"
             "       northwall report pareto [--cluster FILE --model PRESET [--ranks N] [--users N] [--prompt N] "
             "[--generate N]] ...",
    .options = "out quick",
    .modes = modes,
    .mode = mode,
    .bare = "plot",
    .notes =
        "Without a name: every report (northwall list), each into FOLDER/NAME, and FOLDER/index.html, one page of all\n"
        "that needs no other file. Those that measure run first and alone (they start mpirun themselves), the others\n"
        "--jobs at once. A report that fails leaves a section that says why; the exit status is that of the first,\n"
        "except where something is merely not installed (mpirun).\n\n"
        "northpole simulates the system of the HPEC 2024 paper, fits each number that is not published alone to the\n"
        "throughput, and shows where the fits part; then the GPUs it is compared with.\n\n"
        "memory-wall fits the points of AI and Memory Wall (2021, 2024) beside the printed rates, counts operations\n"
        "and bytes of BERT and GPT-2, checks what is said to help, and goes on for ten years. --measure runs the\n"
        "three models too, texts of up to --ctx tokens (4096): minutes.\n\n"
        "claims judges each claim of both papers by a criterion that does not know the number; validation has the\n"
        "errors of estimates, simulations and, unless --quick, of what calibrate leads to expect of this machine.\n\n"
        "maps finds which of pipeline, tensor and hybrid sharding is best over memory x link bandwidth, for time and\n"
        "for energy a token, what binds there, and how sure the boundaries are.\n\n"
        "scaling puts one job on more and more cards, lets the work grow with them, takes users away, fits the forms\n"
        "of scaling, and finds the batch at which two machines take the same energy a token.\n\n"
        "design asks what a card's budget is best spent on: arithmetic or bandwidth, larger or faster memory, room "
        "for\n"
        "all weights or a link to them, wider numbers or more bandwidth.\n\n"
        "pareto asks which bytes to save first: what fewer bits and messages lose, measured on the bundled decoder,\n"
        "against the time and energy they save on four described machines, or on that of --cluster with --ranks "
        "cards.\n\n"
        "--out writes each table as CSV and draws the figures; --plot draws them in letters, on the terminal.",
    .max_args = 1,
    .run = run,
};
