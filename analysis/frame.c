#include "analysis/frame.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "html.h"

enum { MOST_COLUMNS = 256 };

struct column {
    char name[80], unit[24];
    int digits;
};

struct cell {
    char *text; /* NULL: a number */
    double number;
};

struct frame {
    char name[48];
    char *title, *note;
    struct column column[MOST_COLUMNS];
    int n_columns, n_rows, n_cells, cap, lost;
    int twice; /* a column, of which there is another with its name and unit; 0: none */
    struct cell *cell; /* [n_rows][n_columns], then those of the row that is not ended */
};

struct frame *frame_new(const char *name, const char *title, const char *note) {
    struct frame *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->title = strdup(title);
    t->note = strdup(note);
    t->lost = !t->title || !t->note;
    return t;
}

void frame_free(struct frame *t) {
    if (!t) return;
    for (int i = 0; i < t->n_cells; i++)
        free(t->cell[i].text);
    free(t->cell);
    free(t->title);
    free(t->note);
    free(t);
}

void frame_column(struct frame *t, const char *name, const char *unit, int digits) {
    if (!t) return;
    if (t->n_columns == MOST_COLUMNS || t->n_cells) {
        t->lost = 1;
        return;
    }
    struct column *c = &t->column[t->n_columns++];
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->unit, sizeof c->unit, "%s", unit);
    c->digits = digits;
    for (int i = 0; i + 1 < t->n_columns; i++)
        if (!strcmp(t->column[i].name, c->name) && !strcmp(t->column[i].unit, c->unit)) t->twice = t->n_columns - 1;
}

static struct cell *add_cell(struct frame *t) {
    if (!t || t->lost) return NULL;
    if (t->n_cells == t->cap) {
        int cap = t->cap ? 2 * t->cap : 64;
        struct cell *bigger = realloc(t->cell, (size_t)cap * sizeof *bigger);
        t->lost = !bigger;
        if (!bigger) return NULL;
        t->cell = bigger;
        t->cap = cap;
    }
    t->cell[t->n_cells] = (struct cell){0};
    return &t->cell[t->n_cells++];
}

void frame_text(struct frame *t, const char *fmt, ...) {
    va_list args;
    struct cell *c = add_cell(t);
    if (!c) return;
    va_start(args, fmt);
    if (vasprintf(&c->text, fmt, args) < 0) {
        c->text = NULL;
        t->lost = 1;
    }
    va_end(args);
}

void frame_number(struct frame *t, double x) {
    struct cell *c = add_cell(t);
    if (c) c->number = x;
}

void frame_end_row(struct frame *t) {
    if (t && !t->lost) t->lost = t->n_cells != ++t->n_rows * t->n_columns;
}

int frame_rows(const struct frame *t) {
    return t ? t->n_rows : 0;
}

const char *frame_name(const struct frame *t) {
    return t ? t->name : "";
}

/* ---- output ---- */

static int check(const struct frame *t, struct diag *d) {
    if (t && t->twice)
        return diag_set(d, ERR_RANGE, "table %s has column %s twice: give one of them another name", t->name,
                        t->column[t->twice].name);
    return t && !t->lost
               ? 0
               : diag_set(d, ERR_MEMORY, "no memory for table %s, or a row of it is not whole", frame_name(t));
}

/* So many significant digits, without an exponent where a person reads on. */
static const char *number_text(char *buf, size_t cap, double x, int digits) {
    if (isnan(x)) return "-";
    if (x == floor(x) && fabs(x) < 1e9) {
        snprintf(buf, cap, "%.0f", x);
        return buf;
    }
    int before = (int)floor(log10(fabs(x))) + 1;
    if (before > 9 || before < -5)
        snprintf(buf, cap, "%.*e", digits - 1, x);
    else
        snprintf(buf, cap, "%.*f", before < digits ? digits - before : 0, x);
    return buf;
}

static const char *cell_text(const struct frame *t, int row, int column, char *buf, size_t cap) {
    const struct cell *c = &t->cell[row * t->n_columns + column];
    return c->text ? c->text : number_text(buf, cap, c->number, t->column[column].digits);
}

static int is_text(const struct frame *t, int column) {
    return t->n_rows && t->cell[column].text != NULL;
}

static int width_of(const struct frame *t, int column) {
    char buf[64];
    size_t name = strlen(t->column[column].name), unit = strlen(t->column[column].unit);
    size_t most = name > unit ? name : unit;
    for (int r = 0; r < t->n_rows; r++) {
        size_t n = strlen(cell_text(t, r, column, buf, sizeof buf));
        if (n > most) most = n;
    }
    return (int)most;
}

static void print_word(FILE *out, const char *word, int width, int left, int last) {
    if (left && last)
        fprintf(out, "  %s", word);
    else
        fprintf(out, left ? "  %-*s" : "  %*s", width, word);
}

int frame_print(const struct frame *t, int most_rows, FILE *out, struct diag *d) {
    char buf[64];
    int width[MOST_COLUMNS], units = 0, rc = check(t, d);
    if (rc) return rc;
    fprintf(out, "%s\n%s%s", t->title, t->note, t->note[0] ? "\n" : "");
    for (int i = 0; i < t->n_columns; i++) {
        width[i] = width_of(t, i);
        units |= t->column[i].unit[0];
    }
    for (int i = 0; i < t->n_columns; i++)
        print_word(out, t->column[i].name, width[i], is_text(t, i), i == t->n_columns - 1);
    fputc('\n', out);
    for (int i = 0; i < t->n_columns && units; i++)
        print_word(out, t->column[i].unit, width[i], is_text(t, i), i == t->n_columns - 1);
    if (units) fputc('\n', out);
    for (int r = 0; r < t->n_rows && r < most_rows; r++) {
        for (int i = 0; i < t->n_columns; i++)
            print_word(out, cell_text(t, r, i, buf, sizeof buf), width[i], is_text(t, i), i == t->n_columns - 1);
        fputc('\n', out);
    }
    if (t->n_rows > most_rows) fprintf(out, "  ... and %d rows more (in files and JSON)\n", t->n_rows - most_rows);
    return 0;
}

static void csv_field(FILE *out, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++)
        fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

static void column_key(const struct column *c, char *buf, size_t cap) {
    snprintf(buf, cap, c->unit[0] ? "%s [%s]" : "%s", c->name, c->unit);
}

static void put_csv_number(FILE *out, double x, int digits) {
    char buf[32];
    if (digits >= FRAME_EXACT)
        fputs(text_exact(buf, sizeof buf, x), out);
    else
        fprintf(out, "%.9g", x);
}

int frame_csv(const struct frame *t, FILE *out, struct diag *d) {
    char buf[80];
    int rc = check(t, d);
    for (int i = 0; i < (rc ? 0 : t->n_columns); i++) {
        column_key(&t->column[i], buf, sizeof buf);
        if (i) fputc(',', out);
        csv_field(out, buf);
    }
    for (int i = 0; i < (rc ? 0 : t->n_cells); i++) {
        const struct cell *c = &t->cell[i];
        fputs(i % t->n_columns ? "," : "\r\n", out);
        if (c->text)
            csv_field(out, c->text);
        else if (!isnan(c->number))
            put_csv_number(out, c->number, t->column[i % t->n_columns].digits);
    }
    if (!rc) fputs("\r\n", out);
    return rc;
}

static void put_csv(void *user, FILE *out) {
    (void)frame_csv(user, out, NULL); /* frame_write has checked it */
}

int frame_write(const struct frame *t, const char *path, struct diag *d) {
    int rc = check(t, d);
    return rc ? rc : text_write_file(path, put_csv, (void *)(uintptr_t)t, d);
}

static void put_heads(const struct frame *t, FILE *out) {
    fputs("<thead><tr>", out);
    for (int i = 0; i < t->n_columns; i++) {
        fputs(is_text(t, i) ? "<th scope=\"col\" class=\"text\">" : "<th scope=\"col\">", out);
        html_text(out, t->column[i].name);
        if (t->column[i].unit[0]) fputs("<br><small>", out);
        html_text(out, t->column[i].unit);
        fputs(t->column[i].unit[0] ? "</small></th>" : "</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
}

static void put_row(const struct frame *t, int row, FILE *out) {
    char buf[64];
    fputs("<tr>", out);
    for (int i = 0; i < t->n_columns; i++) {
        fputs(is_text(t, i) ? "<td class=\"text\">" : "<td>", out);
        html_text(out, cell_text(t, row, i, buf, sizeof buf));
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
}

int frame_html(const struct frame *t, int most_rows, const char *csv, FILE *out, struct diag *d) {
    int rc = check(t, d);
    if (rc) return rc;
    fputs("<h3>", out);
    html_text(out, t->title);
    fputs(t->note[0] ? "</h3>\n<p class=\"note\">" : "</h3>\n", out);
    html_text(out, t->note);
    fputs(t->note[0] ? "</p>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\""
                     : "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"",
          out);
    html_text(out, t->title);
    fputs("\"><table>\n", out);
    put_heads(t, out);
    for (int r = 0; r < t->n_rows && r < most_rows; r++)
        put_row(t, r, out);
    fputs("</tbody></table></div>\n<p class=\"files\">", out);
    if (t->n_rows > most_rows) fprintf(out, "The first %d of %d rows. All: ", most_rows, t->n_rows);
    fputs("<a href=\"", out);
    html_address(out, csv);
    fputs("\">", out);
    html_text(out, t->name);
    fputs(".csv</a></p>\n", out);
    return 0;
}

int frame_json(const struct frame *t, json_t **out, struct diag *d) {
    char key[80];
    int rc = check(t, d);
    if (rc) return rc;
    json_t *rows = json_array();
    for (int r = 0; r < t->n_rows; r++) {
        json_t *row = json_object();
        for (int i = 0; i < t->n_columns; i++) {
            const struct cell *c = &t->cell[r * t->n_columns + i];
            column_key(&t->column[i], key, sizeof key);
            json_object_set_new(row, key,
                                c->text               ? json_string(c->text)
                                : isfinite(c->number) ? json_real(c->number)
                                                      : json_null());
        }
        json_array_append_new(rows, row);
    }
    *out = json_pack("{s:s, s:s, s:o}", "title", t->title, "note", t->note, "rows", rows);
    return *out ? 0 : diag_set(d, ERR_MEMORY, "no memory for table %s", t->name);
}
