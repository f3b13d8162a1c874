/* northwall report: publications beside the model. */
#include "analysis/report.h"

#include <string.h>

#include "base/text.h"

static const struct report *find(const char *name) {
    for (int i = 0; name && reports[i]; i++)
        if (!strcmp(reports[i]->name, name)) return reports[i];
    return NULL;
}

static int make(const struct app *app, const struct report *r, struct diag *d) {
    struct report_page page = {0};
    int drawn = 0, rc = app->spec.out ? report_folder(app->spec.out, d) : 0;
    if (!rc) rc = r->make(&page, app, d);
    if (!rc && app->spec.out) rc = report_write(r, &page, app->spec.out, &drawn, d);
    if (!rc) rc = report_print(r, &page, stdout, app->spec.json, d);
    if (!rc && app->spec.out)
        fprintf(app->spec.json ? stderr : stdout, "\n%s: %d tables (CSV), %d figures%s\n", app->spec.out, page.n, drawn,
                drawn ? " (SVG)" : ": gnuplot is not installed; their commands are the .gp files");
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

static int run(struct app *app, struct diag *d) {
    char known[128];
    const char *name = app->spec.n_args ? app->spec.args[0] : NULL;
    const struct report *r = find(name);
    if (!r)
        return diag_set(d, ERR_USAGE, "report %.40s: there are %s", name ? name : "what?",
                        text_names(known, sizeof known, (const void *const *)reports));
    int rc = check_measure(app, d);
    return rc || app->rank ? rc : make(app, r, d);
}

static const struct cmd_mode modes[] = {
    {"report northpole", ""},
    {"report memory-wall", "measure repeat threads ctx bind"},
    {"report scaling", ""},
    {"report design", ""},
    {0},
};

static int mode(const struct run_spec *s) {
    for (int i = 0; s->n_args && modes[i].name; i++)
        if (!strcmp(modes[i].name + strlen("report "), s->args[0])) return i;
    return -1;
}

const struct cmd cmd_report = {
    .name = "report",
    .summary = "publications beside the model: what is input, fitted, identity, prediction",
    .usage =
        "northpole [--quick] [--out FOLDER] [--json]\n"
        "       northwall report memory-wall [--measure [--repeat N] [--threads N] [--ctx N]] [--quick] [--out FOLDER]\n"
        "                                      [--json]\n"
        "       northwall report scaling|design [--quick] [--out FOLDER] [--json]",
    .options = "out quick json",
    .modes = modes,
    .mode = mode,
    .notes =
        "northpole simulates the system of the HPEC 2024 paper, fits each number that is not published alone to the\n"
        "throughput, and shows where the fits part; then the GPUs it is compared with.\n\n"
        "memory-wall fits the points of AI and Memory Wall (2021, 2024) beside the printed rates, counts operations\n"
        "and bytes of BERT and GPT-2, checks what is said to help, and goes on for ten years. --measure runs the\n"
        "three models too, texts of up to --ctx tokens (4096): minutes.\n\n"
        "scaling puts one job on more and more cards, lets the work grow with them, takes users away, fits the forms\n"
        "of scaling, and finds the batch at which two machines take the same energy a token.\n\n"
        "design asks what a card's budget is best spent on: arithmetic or bandwidth, larger or faster memory, room for\n"
        "all weights or a link to them, wider numbers or more bandwidth.\n\n"
        "--out writes each table as CSV and draws the figures.",
    .max_args = 1,
    .run = run,
};
