/* timeline.c - what fills most of each cell of a row. */
#include "timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record_report.h"

enum { TEXT_CELLS = 80, PIXELS = 1000, MOST_CELLS = PIXELS, ROW = 26, LEFT = 190, TOP = 64, BAR = 14, LINK_BAR = 4 };

/* What a rank does in a cell: a share of its work, or it waits. */
enum { WAITS = NET_SHARES, DOES_COUNT, NOTHING = DOES_COUNT };

static const struct {
    char letter;
    const char *colour, *text;
} look[DOES_COUNT] = {
    [NET_MEMORY] = {'m', "#3a6ea5", "reads memory"},         [NET_COMPUTE] = {'c', "#4c9a4a", "computes"},
    [NET_BANDWIDTH] = {'b', "#c0504d", "reads over a link"}, [NET_LATENCY] = {'l', "#8064a2", "link latency"},
    [NET_OVERHEAD] = {'o', "#e0a030", "overhead"},           [WAITS] = {'.', "#e4e4e4", "waits"}};
static const char link_colour[] = "#c0504d";

struct cell {
    double does[DOES_COUNT], link; /* ps in this cell */
};

/* Adds the part of an event that lies in each cell. */
static void add_event(const struct timeline *t, const struct record_event *e, struct cell *cell, int n) {
    double each = (double)(t->to_ps - t->from_ps) / n;
    double from = e->start_ps > t->from_ps ? (double)(e->start_ps - t->from_ps) : 0;
    double to = e->end_ps < t->to_ps ? (double)e->end_ps - (double)t->from_ps : each * n;
    for (int i = (int)(from / each); i < n && i * each < to; i++) {
        double ps = fmin(to, (i + 1) * each) - fmax(from, i * each);
        if (ps <= 0) continue;
        if (e->track >= RECORD_LINK)
            cell[i].link += ps;
        else
            cell[i].does[e->track == RECORD_WAITS ? WAITS : e->share] += ps;
    }
}

static void fill(const struct timeline *t, int rank, struct cell *cell, int n) {
    const struct recorder *r = &t->r->rank[rank];
    memset(cell, 0, (size_t)n * sizeof *cell);
    for (int i = 0; i < r->n; i++)
        if (r->event[i].end_ps > t->from_ps && r->event[i].start_ps < t->to_ps) add_event(t, &r->event[i], cell, n);
}

/* What fills most of it. */
static int most_of(const struct cell *c) {
    int most = NOTHING;
    for (int i = 0; i < DOES_COUNT; i++)
        if (c->does[i] > (most == NOTHING ? 0 : c->does[most])) most = i;
    return most;
}

/* Whether its link sends for at least half of a cell. */
static int sends(const struct cell *c, double cell_ps) {
    return 2 * c->link >= cell_ps;
}

/* Digits behind the point that tell cells apart. */
static int decimals(double step_ms) {
    int n = (int)ceil(-log10(step_ms));
    return n < 0 ? 0 : n > 9 ? 9 : n;
}

/* ---- text ---- */

static void print_row(const struct timeline *t, int rank, int label, FILE *out) {
    struct cell cell[TEXT_CELLS];
    char name[64], row[TEXT_CELLS + 1];
    double each = (double)(t->to_ps - t->from_ps) / TEXT_CELLS;
    fill(t, rank, cell, TEXT_CELLS);
    for (int i = 0; i < TEXT_CELLS; i++) {
        int most = most_of(&cell[i]), waits = most == WAITS || most == NOTHING;
        row[i] = waits && sends(&cell[i], each) ? '=' : most == NOTHING ? ' ' : look[most].letter;
    }
    row[TEXT_CELLS] = 0;
    fprintf(out, "%-*s |%s|\n", label, record_rank_name(name, sizeof name, t->p, rank), row);
}

static void print_scale(const struct timeline *t, int label, FILE *out) {
    double from = 1e-9 * (double)t->from_ps, span = 1e-9 * (double)(t->to_ps - t->from_ps);
    int n = decimals(span / TEXT_CELLS);
    fprintf(out, "%*s +", label, "");
    for (int i = 0; i < TEXT_CELLS; i++)
        fputc(i % (TEXT_CELLS / 4) ? '-' : '+', out);
    fprintf(out, "+ ms\n%*s  ", label, "");
    for (int i = 0; i < 4; i++)
        fprintf(out, "%-*.*f", TEXT_CELLS / 4, n, from + span * i / 4);
    fprintf(out, "%.*f\n", n, from + span);
}

static int label_width(const struct plan *p) {
    int width = 0;
    char name[64];
    for (int r = 0; r < p->n_ranks; r++) {
        int n = (int)strlen(record_rank_name(name, sizeof name, p, r));
        if (n > width) width = n;
    }
    return width;
}

void timeline_print(const struct timeline *t, FILE *out) {
    int label = label_width(t->p);
    fprintf(out, "\ntimeline (%s, deterministic, n = 1), each cell of %.4g us what fills most of it:\n  ", t->kind,
            1e-6 * (double)(t->to_ps - t->from_ps) / TEXT_CELLS);
    for (int i = 0; i < DOES_COUNT; i++)
        if (i != NET_BANDWIDTH && i != NET_LATENCY) fprintf(out, "%c %s, ", look[i].letter, look[i].text);
    fputs("= waits while its link sends\n", out);
    for (int r = 0; r < t->r->n_ranks; r++)
        print_row(t, r, label, out);
    print_scale(t, label, out);
}

/* ---- picture ---- */

static void svg_bar(FILE *out, int from, int to, int y, int height, const char *colour) {
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", LEFT + from, y, to - from,
            height, colour);
}

static void svg_row(const struct timeline *t, int rank, FILE *out) {
    static struct cell cell[MOST_CELLS]; /* one picture at a time */
    char name[64];
    double each = (double)(t->to_ps - t->from_ps) / PIXELS;
    int y = TOP + rank * ROW;
    fill(t, rank, cell, PIXELS);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", LEFT - 8, y + BAR - 2,
            record_rank_name(name, sizeof name, t->p, rank));
    for (int i = 0, k; i < PIXELS; i = k) {
        int most = most_of(&cell[i]);
        for (k = i + 1; k < PIXELS && most_of(&cell[k]) == most; k++)
            continue;
        if (most != NOTHING) svg_bar(out, i, k, y, BAR, look[most].colour);
    }
    for (int i = 0, k; i < PIXELS; i = k) {
        int busy = sends(&cell[i], each);
        for (k = i + 1; k < PIXELS && sends(&cell[k], each) == busy; k++)
            continue;
        if (busy) svg_bar(out, i, k, y + BAR + 1, LINK_BAR, link_colour);
    }
}

static void svg_legend(FILE *out) {
    int x = 0;
    for (int i = 0; i <= DOES_COUNT; i++) {
        if (i == NET_BANDWIDTH || i == NET_LATENCY) continue;
        svg_bar(out, x, x + 12, 36, 12, i == DOES_COUNT ? link_colour : look[i].colour);
        fprintf(out, "<text x=\"%d\" y=\"46\">%s</text>\n", LEFT + x + 17,
                i == DOES_COUNT ? "its link sends (below the row)" : look[i].text);
        x += 120;
    }
}

static void svg_scale(const struct timeline *t, int bottom, FILE *out) {
    double from = 1e-9 * (double)t->from_ps, span = 1e-9 * (double)(t->to_ps - t->from_ps);
    for (int i = 0; i <= 10; i++) {
        int x = LEFT + i * PIXELS / 10;
        fprintf(out, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#999\" stroke-width=\"0.5\"/>\n", x,
                TOP - 4, x, bottom);
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%.*f</text>\n", x, bottom + 14,
                decimals(span / 100), from + span * i / 10);
    }
    fprintf(out, "<text x=\"%d\" y=\"%d\">ms</text>\n", LEFT + PIXELS + 34, bottom + 14);
}

/* Text that may hold what XML gives a meaning. */
static void svg_text(FILE *out, const char *text) {
    for (; *text; text++)
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else
            fputc(*text, out);
}

void timeline_svg(void *timeline, FILE *out) {
    const struct timeline *t = timeline;
    int bottom = TOP + t->r->n_ranks * ROW;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<text x=\"%d\" y=\"22\" "
            "font-size=\"15\">",
            LEFT + PIXELS + 60, bottom + 26, LEFT);
    svg_text(out, t->p->shape.name);
    fputs(" on ", out);
    svg_text(out, t->c->name);
    fprintf(out, ", strategy %s (%s, deterministic, n = 1)</text>\n", t->p->strategy.text, t->kind);
    svg_legend(out);
    for (int r = 0; r < t->r->n_ranks; r++)
        svg_row(t, r, out);
    svg_scale(t, bottom, out);
    fputs("</svg>\n", out);
}
