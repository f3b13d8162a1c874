/* page_section.c - a report as a section of an HTML page: findings, figures within the page, tables with links to their
 * files. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/report.h"
#include "html.h"

enum { MOST_ROWS = 12 }; /* of a table; its file has all */

static void put_link(FILE *out, const char *folder, const char *file, const char *ending, const char *text) {
    fputs("<a href=\"", out);
    html_address(out, folder);
    fputc('/', out);
    html_address(out, file);
    fprintf(out, ".%s\">", ending);
    html_text(out, text);
    fprintf(out, "%s</a>", strcmp(ending, "csv") ? "" : ".csv");
}

/* What its commands call it: told to who cannot see it. */
static void put_title(FILE *out, const struct report_figure *f) {
    const char *from = strstr(f->commands, "set title '"), *end = from ? strchr(from + 11, '\'') : NULL;
    char *title = end ? strndup(from + 11, (size_t)(end - from) - 11) : NULL;
    html_text(out, title ? title : f->name);
    free(title);
}

/* The tables that it is drawn from, and its other forms. */
static void put_files(FILE *out, const struct report *r, const struct report_page *page, const char *folder,
                      const struct report_figure *f) {
    static const char *const forms[] = {"svg", "pdf", "png", "gp"};
    char name[80], path[4096];
    fputs(" <span class=\"files\">Files:", out);
    for (int i = 0; i < page->n; i++) {
        snprintf(name, sizeof name, "'%s.csv'", frame_name(page->table[i]));
        if (!strstr(f->commands, name)) continue;
        fputc(' ', out);
        put_link(out, r->name, frame_name(page->table[i]), "csv", frame_name(page->table[i]));
    }
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s.%s", folder, f->name, forms[i]);
        if (access(path, R_OK)) continue;
        fputc(' ', out);
        put_link(out, r->name, f->name, forms[i], forms[i]);
    }
    fputs("</span>", out);
}

static void put_figure(FILE *out, const struct report *r, const struct report_page *page, const char *folder,
                       const struct report_figure *f) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.svg", folder, f->name);
    FILE *svg = fopen(path, "r");
    fputs("<figure>\n", out);
    if (svg) {
        fputs("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"", out);
        put_title(out, f);
        fputs("\"><img alt=\"Plot: ", out);
        put_title(out, f);
        fputs("\" src=\"", out);
        html_svg(out, svg);
        fputs("\"></div>\n", out);
        fclose(svg);
    } else {
        fputs("<p>Not drawn, as gnuplot is not installed: ", out);
        put_title(out, f);
        fputs("</p>\n", out);
    }
    fputs("<figcaption>", out);
    html_text(out, f->caption ? f->caption : "");
    put_files(out, r, page, folder, f);
    fputs("</figcaption></figure>\n", out);
}

int report_section(const struct report *r, const struct report_page *page, const char *folder, FILE *out,
                   struct diag *d) {
    char csv[256];
    int rc = 0;
    fputs("<p>", out);
    html_text(out, r->text);
    fputs(page->n_findings ? "</p>\n<ul class=\"findings\">\n" : "</p>\n", out);
    for (int i = 0; i < page->n_findings; i++) {
        fputs("<li>", out);
        html_text(out, page->finding[i]);
        fputs("</li>\n", out);
    }
    if (page->n_findings) fputs("</ul>\n", out);
    for (const struct report_figure *f = r->figures; f && f->name; f++)
        put_figure(out, r, page, folder, f);
    for (int i = 0; i < page->n && !rc; i++) {
        snprintf(csv, sizeof csv, "%s/%s.csv", r->name, frame_name(page->table[i]));
        rc = frame_html(page->table[i], MOST_ROWS, csv, out, d);
    }
    return rc;
}
