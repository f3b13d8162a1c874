/* northwall results: what sweeps have found: selected, as tables and in the formats of other programs. */
#include "analysis/results_text.h"

#include <string.h>

#include "dist/app.h"

enum { MOST_SHOWN = 200 };

static int put_frame(const struct results_select *s, int csv, struct diag *d) {
    struct frame *t = NULL;
    int rc = results_frame(&t, s, !csv, d);
    if (!rc) rc = csv ? frame_csv(t, stdout, d) : frame_print(t, MOST_SHOWN, stdout, d);
    frame_free(t);
    return rc;
}

static int export(const struct results_select *s, const char *form, struct diag *d) {
    if (!form) return put_frame(s, 0, d);
    if (!strcmp(form, "csv")) return put_frame(s, 1, d);
    if (!strcmp(form, "jsonl")) return results_jsonl(s, stdout, d);
    if (!strcmp(form, "extrap")) return results_extrap(s, stdout, d);
    return diag_set(d, ERR_USAGE, "--export %.20s: valid are csv, jsonl, extrap", form);
}

static int import(struct results *r, const char *path, struct diag *d) {
    int added = 0, n = 0, rc = results_import(r, path, &added, &n, d);
    if (!rc) printf("%s: %d results, %d of them new\n", path, n, added);
    return rc;
}

static int run(struct app *app, struct diag *d) {
    const struct run_spec *o = &app->spec;
    struct results *r = NULL;
    int rc = 0;
    if (!o->n_args) return diag_set(d, ERR_USAGE, "results of what? Give a file that northwall sweep --db has written");
    if (o->import && (o->export || o->where.n || o->columns))
        return diag_set(d, ERR_USAGE, "--import takes all of a file: --export, --where and --columns are for showing");
    if (app->rank == 0) rc = results_open(&r, o->args[0], o->import ? RESULTS_WRITE : RESULTS_READ, d);
    if (rc || app->rank != 0) return rc;
    struct results_select s = {r, o->where.value, o->where.n, o->columns};
    rc = o->import ? import(r, o->import, d) : export(&s, o->export, d);
    results_close(r);
    return rc;
}

const struct cmd cmd_results = {
    .name = "results",
    .summary = "what sweeps have found: selected, as tables, CSV, JSON Lines, Extra-P text",
    .usage = "FILE [--where NAME=VALUE ...] [--columns LIST] [--export csv|jsonl|extrap] | FILE --import FILE",
    .options = "where columns export import",
    .notes =
        "Without --columns a terminal shows what differs, and the first values. --export writes to standard output;\n"
        "--import adds the results of a file.csv or file.jsonl that are not there yet, all or none.",
    .max_args = 1,
    .run = run,
};
