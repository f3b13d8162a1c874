/* fit_plot.c - data, curves and residuals, one above the other, drawn by gnuplot. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "analysis/fit_report.h"
#include "analysis/gnuplot.h"
#include "base/text.h"

enum { WIDTH = 900, HEIGHT = 760, POINTS = 300, MOST_LINES = 6 };

struct picture {
    const struct fit_request *r;
    const struct fit_curve *curve;
    const char *ending;
    int failed;
};

/* Told apart by line and mark where there are no colours. */
static const char *const colours[MOST_LINES] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#8a6d00"};

static int lines_of(const struct fit_curve *c, const struct fit **out) {
    int n = 0;
    for (int i = 0; i < c->list.n && n < MOST_LINES; i++) {
        int known = 0;
        for (int k = 0; k < n; k++)
            known |= out[k]->model == c->list.fit[i].model;
        if (!known) out[n++] = &c->list.fit[i];
    }
    return n;
}

/* Axes are logarithmic where values are above zero and a decade apart. */
static int is_wide(double least, double most) {
    return least > 0 && most > 10 * least;
}

static void put_data(FILE *f, const struct picture *p, int curve) {
    const struct fit_data *data = &p->curve[curve].data;
    const struct fit *line[MOST_LINES];
    int n = lines_of(&p->curve[curve], line);
    double low = data->x[0], high = data->x[(data->n - 1) * data->n_x];
    fprintf(f, "$data%d << EOD\n", curve);
    for (int i = 0; i < data->n; i++) {
        const double *x = &data->x[i * data->n_x];
        fprintf(f, "%.9g %.9g %.9g %.9g\n", x[0], data->y[i], fit_value(line[0], x),
                100 * fit_residual(line[0], x, data->y[i]));
    }
    fprintf(f, "EOD\n$lines%d << EOD\n", curve);
    for (int i = 0; i < POINTS && data->n_x == 1; i++) {
        double share = (double)i / (POINTS - 1), x;
        x = is_wide(low, high) ? low * pow(high / low, share) : low + share * (high - low);
        fprintf(f, "%.9g", x);
        for (int k = 0; k < n; k++)
            fprintf(f, " %.9g", fit_value(line[k], &x));
        fputc('\n', f);
    }
    fprintf(f, "EOD\n");
}

static void put_label(FILE *f, const char *axis, const struct fit_column *c) {
    fprintf(f, "set %s \"", axis);
    for (const char *at = c->name; *at; at++)
        if (!strchr("\"\\\n", *at)) fputc(*at, f);
    fprintf(f, "%s%s%s\"\n", c->unit[0] ? " [" : "", strpbrk(c->unit, "\"\\\n") ? "" : c->unit, c->unit[0] ? "]" : "");
}

static void put_curves(FILE *f, const struct picture *p) {
    const struct fit *line[MOST_LINES];
    fprintf(f, "plot ");
    for (int i = 0; i < p->r->n_curves; i++) {
        const struct fit_curve *c = &p->curve[i];
        int n = lines_of(c, line);
        fprintf(f, "%s$data%d using 1:2 with points pointtype %d linecolor \"#444444\" title \"%.40s, n = %d\"",
                i ? ", " : "", i, i ? 2 : 6, c->data.y_column.name, c->data.n);
        if (c->data.n_x > 1)
            fprintf(f, ", $data%d using 1:3 with points pointtype 1 linecolor \"%s\" title \"%s\"", i, colours[0],
                    line[0]->model->name);
        for (int k = 0; k < n && c->data.n_x == 1; k++)
            fprintf(f, ", $lines%d using 1:%d with lines dashtype %d linewidth 2 linecolor \"%s\" title \"%s\"", i,
                    k + 2, k + 1 + 2 * i, colours[(k + 2 * i) % MOST_LINES], line[k]->model->name);
    }
    fputc('\n', f);
}

static void put_commands(FILE *f, const struct picture *p) {
    const struct fit_data *data = &p->curve->data;
    double least = INFINITY, most = 0;
    for (int i = 0; i < data->n; i++) {
        least = fmin(least, data->y[i]);
        most = fmax(most, data->y[i]);
    }
    fprintf(
        f,
        "# gnuplot FILE.gp > FILE.svg\nset terminal %s size %d,%d noenhanced font \"Sans,12\" background \"white\"\n",
        !strcasecmp(p->ending, ".png") ? "pngcairo" : "svg dynamic dashed", WIDTH, HEIGHT);
    for (int i = 0; i < p->r->n_curves; i++)
        put_data(f, p, i);
    fprintf(f, "set grid linecolor \"#e4e4e4\" linetype 1; set border 3; set tics nomirror; set lmargin 12\n");
    if (is_wide(data->x[0], data->x[(data->n - 1) * data->n_x])) fprintf(f, "set logscale x\nset format x \"%%g\"\n");
    fprintf(f, "set multiplot\nset size 1,0.62; set origin 0,0.38; set key top left reverse Left\n");
    put_label(f, "ylabel", &data->y_column);
    if (is_wide(least, most)) fprintf(f, "set logscale y\nset format y \"%%g\"\n");
    put_curves(f, p);
    fprintf(f, "unset logscale y; set format y \"%%g\"; set size 1,0.38; set origin 0,0; unset key\n"
               "set ylabel \"residual of the best [%%]\"\n");
    put_label(f, "xlabel", &data->x_column[0]);
    fprintf(f, "plot 0 with lines linecolor \"#888888\"");
    for (int i = 0; i < p->r->n_curves; i++)
        fprintf(f, ", $data%d using 1:4 with points pointtype %d linecolor \"#444444\"", i, i ? 2 : 6);
    fprintf(f, "\nunset multiplot\n");
}

static void put(void *user, FILE *out) {
    struct picture *p = user;
    int draws = strcasecmp(p->ending, ".gp");
    FILE *commands = draws ? tmpfile() : out;
    p->failed = !commands;
    if (!commands) return;
    put_commands(commands, p);
    if (!draws) return;
    rewind(commands);
    fflush(out);
    p->failed = gnuplot_run(commands, out) != 0;
    fclose(commands);
}

int fit_plot(const char *path, const struct fit_request *r, const struct fit_curve *curve, struct diag *d) {
    const char *dot = strrchr(path, '.');
    struct picture p = {r, curve, dot ? dot : "", 0};
    int rc = text_write_file(path, put, &p, d);
    if (!rc && p.failed)
        rc = diag_set(d, ERR_IO, "--plot %.200s: gnuplot failed: name a .gp file and run gnuplot on it to see why",
                      path);
    return rc;
}
