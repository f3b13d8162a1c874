/* The roofline as a picture: operations a byte against operations a second, both logarithmic, drawn by gnuplot. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "analysis/gnuplot.h"
#include "roofline.h"

static const char *ending(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && !strchr(dot, '/') ? dot : "";
}

int roof_plot_check(const char *path, struct diag *d) {
    const char *end = ending(path);
    int draws = !strcasecmp(end, ".svg") || !strcasecmp(end, ".png");
    if (!draws && strcasecmp(end, ".gp"))
        return diag_set(d, ERR_USAGE, "--plot %.200s: the name must end in .svg, .png or .gp", path);
    if (draws && gnuplot_run(NULL, NULL) != 0)
        return diag_set(d, ERR_UNSUPPORTED,
                        "--plot %.200s: gnuplot is not installed: install it, or name a .gp file to get its commands",
                        path);
    return 0;
}

/* ---- what is drawn ---- */

enum { WIDTH = 1100, HEIGHT = 680, LABELS_MAX = ROOF_PHASES * STEP_COUNT };

struct point {
    const char *name;
    int phase;
    double x, y, share, fraction; /* operations a byte, 10^9 operations a second */
    double label_y; /* decimal logarithm */
};

struct chart {
    struct point point[LABELS_MAX];
    int n;
    double read, peak[PEAK_COUNT]; /* the roofs: 10^9 a second */
    double x0, x1; /* the roofs reach from x0 to x1; labels stand to the left and right */
    double left, right, low, high; /* axes */
};

/* Steps without bytes or operations have no place on logarithmic axes. */
static void add_points(struct chart *c, const struct roof_phase *f, int phase) {
    for (int k = 0; k < STEP_COUNT; k++) {
        const struct roof_row *r = &f->row[k];
        double ops = r->ops[PEAK_INT8] + r->ops[PEAK_F32];
        if (!(r->bytes > 0 && ops > 0 && r->ms.median > 0) || r->share < 0.001) continue;
        c->point[c->n++] = (struct point){.name = step_name((enum step_kind)k),
                                          .phase = phase,
                                          .x = ops / r->bytes,
                                          .y = 1e-6 * ops / r->ms.median,
                                          .share = r->share,
                                          .fraction = r->fraction.median};
    }
}

/* Whole decades around points and roofs, and room for the labels on both sides. */
static void set_axes(struct chart *c) {
    double x0 = 1, x1 = c->peak[PEAK_INT8] / c->read, low = c->peak[PEAK_F32], high = c->peak[PEAK_INT8];
    for (int k = 0; k < PEAK_COUNT; k++)
        high = c->peak[k] > high ? c->peak[k] : high;
    for (int i = 0; i < c->n; i++) {
        x0 = c->point[i].x < x0 ? c->point[i].x : x0;
        x1 = c->point[i].x > x1 ? c->point[i].x : x1;
        low = c->point[i].y < low ? c->point[i].y : low;
    }
    c->x0 = x0 / 3;
    c->x1 = x1 * 3;
    double wide = pow(c->x1 / c->x0, 0.24);
    c->left = c->x0 / wide;
    c->right = c->x1 * wide;
    c->low = low / 2;
    c->high = high * 2.5;
}

static int by_height(const void *a, const void *b) {
    double p = ((const struct point *)a)->y, q = ((const struct point *)b)->y;
    return p < q ? -1 : p > q;
}

/* Labels of a phase stand in a column, near the height of their points, none upon another. */
static void place_labels(struct chart *c, int phase) {
    double gap = log10(c->high / c->low) * 19 / (HEIGHT - 130), at = log10(c->low) + gap, top = log10(c->high) - gap;
    for (int i = 0; i < c->n; i++) {
        if (c->point[i].phase != phase) continue;
        double want = log10(c->point[i].y);
        c->point[i].label_y = want > at ? want : at;
        at = c->point[i].label_y + gap;
    }
    for (int i = c->n - 1; i >= 0; i--) {
        if (c->point[i].phase != phase) continue;
        if (c->point[i].label_y > top) c->point[i].label_y = top;
        top = c->point[i].label_y - gap;
    }
}

/* Roofs are those of one rank; where the two phases were probed apart, the mean of both. */
static void fill_chart(struct chart *c, const struct roofline *r) {
    memset(c, 0, sizeof *c);
    for (int f = 0; f < ROOF_PHASES; f++) {
        c->read += r->phase[f].read_GBps.median / ROOF_PHASES;
        for (int k = 0; k < PEAK_COUNT; k++)
            c->peak[k] += r->phase[f].peak_GOps[k].median / ROOF_PHASES;
        add_points(c, &r->phase[f], f);
    }
    qsort(c->point, (size_t)c->n, sizeof *c->point, by_height);
    set_axes(c);
    for (int f = 0; f < ROOF_PHASES; f++)
        place_labels(c, f);
}

/* ---- commands ---- */

static const char *const colours[ROOF_PHASES] = {"#0072b2", "#d55e00"};
static const char *const clear_colours[ROOF_PHASES] = {"#400072b2", "#40d55e00"}; /* points lie upon one another */

static void put_frame(FILE *f, const struct chart *c, const struct plan *p, const char *end) {
    int png = !strcasecmp(end, ".png");
    fprintf(f, "# gnuplot FILE.gp > FILE.svg\nset terminal %s size %d,%d noenhanced font \"%s\" background \"white\"\n",
            png ? "pngcairo" : "svg dynamic dashed", WIDTH, HEIGHT, png ? "Sans,10" : "Sans,13");
    fprintf(f, "set title \"%s, strategy %s: each kind of step beside what the machine allows\"\n", p->shape.name,
            p->strategy.text);
    fprintf(f, "set lmargin at screen 0.08; set rmargin at screen 0.98; set tmargin at screen 0.93; set bmargin at "
               "screen 0.14\n");
    fprintf(f, "set logscale xy; set xrange [%g:%g]; set yrange [%g:%g]\n", c->left, c->right, c->low, c->high);
    fprintf(f,
            "set format xy \"%%g\"; set grid back linecolor \"#e4e4e4\" linetype 1; set border 3; set tics nomirror\n"
            "set xlabel \"operations a byte of memory\"; set ylabel \"10^9 operations a second\"\n"
            "set key at screen 0.98,0.02 right bottom horizontal samplen 1 width 2\n");
}

/* The slope of the memory roof on the page, in degrees. */
static double slope(const struct chart *c) {
    double dx = WIDTH * 0.90 / log10(c->right / c->left), dy = HEIGHT * 0.79 / log10(c->high / c->low);
    return atan2(dy, dx) * 180 / acos(-1);
}

/* The memory roof ends under the higher peak. Lines of data, as gnuplot dashes no arrows in SVG. */
static void put_roofs(FILE *f, const struct chart *c) {
    static const char *const names[PEAK_COUNT] = {"int8 peak", "F32 peak"}, *const blocks[] = {"$int8", "$f32"};
    double top = 0;
    for (int k = 0; k < PEAK_COUNT; k++) {
        double from = c->peak[k] / c->read;
        top = c->peak[k] > top ? c->peak[k] : top;
        fprintf(f, "%s << EOD\n%g %g\n%g %g\nEOD\n", blocks[k], from, c->peak[k], c->x1, c->peak[k]);
        fprintf(f, "set label \"%s %.0f GOP/s\" at %g,%g left offset 0,0.6 textcolor \"#404040\"\n", names[k],
                c->peak[k], 2 * from, c->peak[k]);
    }
    fprintf(f, "$read << EOD\n%g %g\n%g %g\nEOD\n", c->x0, c->x0 * c->read, top / c->read, top);
    double at = c->x0 * pow(top / c->read / c->x0, 0.8);
    fprintf(f,
            "set label \"memory reads %.1f GB/s\" at %g,%g center rotate by %.1f offset -0.6,0.6 textcolor "
            "\"#404040\"\n",
            c->read, at, at * c->read, slope(c));
}

static void put_labels(FILE *f, const struct chart *c) {
    for (int i = 0; i < c->n; i++) {
        const struct point *p = &c->point[i];
        int right = p->phase == ROOF_PREFILL;
        double edge = right ? c->right / pow(c->right / c->left, 0.145) : c->left * pow(c->right / c->left, 0.145);
        double y = pow(10, p->label_y);
        fprintf(f, "set label \"%s %.2f\" at %g,%g %s textcolor \"%s\"\n", p->name, p->fraction, edge, y,
                right ? "left" : "right", colours[p->phase]);
        fprintf(f, "set arrow from %g,%g to %g,%g nohead linewidth 0.6 linecolor \"#b0b0b0\" back\n",
                right ? edge / 1.06 : edge * 1.06, y, p->x, p->y);
    }
}

static void put_points(FILE *f, const struct chart *c) {
    static const char *const titles[ROOF_PHASES] = {"decode", "prefill"};
    for (int phase = 0; phase < ROOF_PHASES; phase++) {
        fprintf(f, "$%s << EOD\n", titles[phase]);
        for (int i = 0; i < c->n; i++)
            if (c->point[i].phase == phase)
                fprintf(f, "%g %g %g\n", c->point[i].x, c->point[i].y, 0.7 + 2.2 * sqrt(c->point[i].share));
        fputs("EOD\n", f);
    }
    fprintf(f, "set label \"area: share of the phase's time; number: bound/measured, 1 is on the roof\" at screen "
               "0.08,0.03 textcolor \"#404040\"\n");
    fputs("plot $read with lines linewidth 2 linecolor \"#404040\" notitle, $int8 with lines linewidth 2 linecolor "
          "\"#404040\" notitle, $f32 with lines linewidth 2 linecolor \"#404040\" dashtype (12,8) notitle",
          f);
    for (int phase = 0; phase < ROOF_PHASES; phase++) {
        fprintf(f, ", $%s using 1:2:3 with points pointtype 7 pointsize variable linecolor rgb \"%s\" title \"%s\"",
                titles[phase], clear_colours[phase], titles[phase]);
    }
    fputc('\n', f);
}

static void put_commands(FILE *f, const struct chart *c, const struct plan *p, const char *end) {
    put_frame(f, c, p, end);
    put_roofs(f, c);
    put_labels(f, c);
    put_points(f, c);
}

/* ---- files ---- */

static int copy(FILE *from, FILE *to) {
    char buf[4096];
    rewind(from);
    for (size_t n; (n = fread(buf, 1, sizeof buf, from)) > 0;)
        if (fwrite(buf, 1, n, to) != n) return -1;
    return ferror(from) ? -1 : 0;
}

/* The picture appears when it is complete: gnuplot writes to a file without a name. */
static int draw(const struct chart *c, const struct plan *p, const char *path, FILE *picture, struct diag *d) {
    FILE *commands = !strcasecmp(ending(path), ".gp") ? picture : tmpfile();
    if (!commands) return diag_set(d, ERR_IO, "--plot: no temporary file: %s", strerror(errno));
    put_commands(commands, c, p, ending(path));
    if (commands == picture) return 0;
    rewind(commands);
    int rc = gnuplot_run(commands, picture);
    fclose(commands);
    if (!rc) return 0;
    return diag_set(d, ERR_IO, "--plot %.200s: gnuplot failed: name a .gp file and run gnuplot on it to see why", path);
}

int roof_plot(const struct roofline *r, const struct plan *p, const char *path, struct diag *d) {
    struct chart c;
    fill_chart(&c, r);
    if (!c.n) return diag_set(d, ERR_RANGE, "--plot %.200s: no step read memory and took time", path);
    FILE *picture = tmpfile();
    if (!picture) return diag_set(d, ERR_IO, "--plot: no temporary file: %s", strerror(errno));
    int rc = draw(&c, p, path, picture, d);
    FILE *f = rc ? NULL : fopen(path, "w");
    if (!rc && !f) rc = diag_set(d, ERR_IO, "--plot %.200s: cannot write: %s", path, strerror(errno));
    if (f) {
        int lost = copy(picture, f) != 0;
        if (fclose(f) != 0 || lost) rc = diag_set(d, ERR_IO, "--plot %.200s: cannot write all of it", path);
    }
    fclose(picture);
    return rc;
}
