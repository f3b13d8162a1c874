/* northwall report: a published system beside the model. */
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

static int run(struct app *app, struct diag *d) {
    char known[128];
    const char *name = app->spec.n_args ? app->spec.args[0] : NULL;
    const struct report *r = find(name);
    if (!r)
        return diag_set(d, ERR_USAGE, "report %.40s: there are %s", name ? name : "what?",
                        text_names(known, sizeof known, (const void *const *)reports));
    return app->rank == 0 ? make(app, r, d) : 0;
}

const struct cmd cmd_report = {
    .name = "report",
    .summary = "a published system beside the model: what is input, fitted, identity, prediction",
    .usage = "northpole [--out FOLDER] [--json]",
    .options = "out json",
    .notes =
        "Simulates the system of the HPEC 2024 paper on NorthPole, fits each number that is not published alone to\n"
        "the throughput, and shows where the fits part; then the GPUs it is compared with. --out writes each table\n"
        "as CSV and draws the figures.",
    .max_args = 1,
    .run = run,
};
