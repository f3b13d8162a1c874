/* The page of all reports: hostile text, reports that fail, crash or lack something, and HTML whose tags match. The
 * table of reports is this test's own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/report.h"
#include "base/text.h"
#include "check.h"

volatile int app_stop; /* the program's */

#define HOSTILE "<script>alert(\"1\")</script> & 'q' \x01"

static int make_hostile(struct report_page *page, const struct app *app, struct diag *d) {
    (void)app, (void)d;
    report_say(page, "second");
    report_lead(page, "first %s", HOSTILE);
    struct frame *t = report_table(page, "cells", HOSTILE, HOSTILE);
    frame_column(t, HOSTILE, HOSTILE, 0);
    frame_column(t, "number", "ms", 3);
    for (int i = 0; i < 40; i++) {
        frame_text(t, "%s", HOSTILE);
        frame_number(t, i);
        frame_end_row(t);
    }
    return 0;
}

static int make_failure(struct report_page *page, const struct app *app, struct diag *d) {
    (void)page, (void)app;
    return diag_set(d, ERR_FORMAT, "bad <file>");
}

static int make_absent(struct report_page *page, const struct app *app, struct diag *d) {
    (void)page, (void)app;
    return diag_set(d, ERR_UNSUPPORTED, "mpirun is not there");
}

static int make_crash(struct report_page *page, const struct app *app, struct diag *d) {
    (void)page, (void)app, (void)d;
    abort();
}

static const struct report_figure figures[] = {
    {"picture", "set datafile separator ','\nset title 'A <title> & \"quotes\"'\nplot 'cells.csv' skip 1 using 0:2\n",
     "Caption " HOSTILE},
    {0}};
static const struct report hostile = {.name = "hostile",
                                      .summary = HOSTILE,
                                      .text = HOSTILE,
                                      .make = make_hostile,
                                      .figures = figures},
                           absent = {.name = "absent", .summary = "s", .text = "t", .make = make_absent, .measures = 2},
                           crash = {.name = "crash", .summary = "s", .text = "t", .make = make_crash},
                           failure = {.name = "failure", .summary = "s", .text = "t", .make = make_failure};
const struct report *const reports[] = {&hostile, &absent, &crash, &failure, NULL};

/* ---- a look at the page ---- */

static int is_void(const char *tag) {
    return !strcmp(tag, "meta") || !strcmp(tag, "img") || !strcmp(tag, "br");
}

/* Reads a tag behind '<'; returns what follows its '>', or NULL where a quote or the tag does not end. */
static const char *read_tag(const char *at, char *name, size_t cap) {
    size_t n = 0;
    while (*at && !isspace((unsigned char)*at) && *at != '>' && n + 1 < cap)
        name[n++] = *at++;
    name[n] = 0;
    for (int quoted = 0; *at; at++) {
        if (*at == '"') quoted = !quoted;
        if (*at == '<') return NULL;
        if (*at == '>' && !quoted) return at + 1;
    }
    return NULL;
}

/* Every tag is closed by its own, in order; *most: the deepest. */
static void check_tags(const char *html, int *most) {
    char open[64][24], name[24];
    int n = 0;
    *most = 0;
    for (const char *at = strchr(html, '<'); at; at = strchr(at, '<')) {
        const char *tag = at + 1;
        at = read_tag(tag, name, sizeof name);
        CHECK(at, "a tag that does not end: %.60s", tag);
        if (!at || n == 64) return;
        if (name[0] == '!' || is_void(name)) continue;
        if (name[0] != '/') {
            snprintf(open[n++], sizeof *open, "%s", name);
        } else {
            CHECK(n > 0 && !strcmp(open[n - 1], name + 1), "</%s> closes <%s>", name + 1, n ? open[n - 1] : "");
            n -= n > 0;
        }
        if (n > *most) *most = n;
    }
    CHECK(n == 0, "%d tags are open, <%s> the last", n, n ? open[n - 1] : "");
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void check_text(const char *html) {
    int deep;
    check_tags(html, &deep);
    CHECK(deep > 5, "%d deep", deep);
    CHECK(count(html, "<script") == 0 && count(html, "=\"http") == 0 && !strchr(html, 1),
          "scripts, addresses or bytes");
    CHECK(count(html, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;q&#39; &#xFFFD;") > 15, "escapes");
    CHECK(count(html, "<tr><td") == 12 && strstr(html, "The first 12 of 40 rows"), "long tables are cut");
    CHECK(count(html, "href=\"hostile/cells.csv\"") >= 2, "links to data");
    CHECK(strstr(html, "Left out:</strong> mpirun is not there") && strstr(html, "bad &lt;file&gt;") &&
              strstr(html, "its process crashed"),
          "why sections are left out");
    CHECK(strstr(html, "first &lt;script") < strstr(html, "<li>second"), "the first finding leads the summary");
    const char *last = html;
    for (int i = 0; reports[i]; i++) {
        char id[64];
        snprintf(id, sizeof id, "<section id=\"%s\"", reports[i]->name);
        const char *at = strstr(last, id);
        CHECK(at, "%s is not behind the one before", reports[i]->name);
        last = at ? at : last;
    }
}

/* Paths as typed, and what must have been written. */
static char *read_file(const char *folder, const char *name) {
    char path[256], *text = NULL;
    size_t len;
    struct diag d = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(text_read_file(path, 1 << 24, &text, &len, &d) == 0, "%s", d.text);
    return text;
}

static void check_figure(const char *folder, const char *html) {
    char path[256];
    snprintf(path, sizeof path, "%s/hostile/picture.svg", folder);
    if (access(path, R_OK))
        CHECK(strstr(html, "gnuplot is not installed"), "why there is no figure");
    else
        CHECK(strstr(html, "alt=\"Plot: A &lt;title&gt; &amp; &quot;quotes&quot;\" src=\"data:image/svg+xml,%3C"),
              "the figure within the page");
}

static void check_page(const char *folder) {
    struct app app = {.spec = {.out = folder, .quick = 1}, .cores = 2};
    struct diag d = {0};
    int rc = report_all(&app, &d);
    CHECK(rc == ERR_INTERNAL && strstr(d.text, "report crash: its process crashed"),
          "the first failure but for what is not installed: %d, %s", rc, d.text);
    char *html = read_file(folder, "index.html"), *csv = read_file(folder, "hostile/cells.csv");
    if (html) {
        check_text(html);
        check_figure(folder, html);
    }
    free(html);
    free(csv);
}

/* More tables, or findings, than a page has room for: no report rather than one without them. */
static void check_full(void) {
    FILE *nowhere = fopen("/dev/null", "w");
    for (int what = 0; what < 2; what++)
        for (int more = 0; more < 2; more++) {
            struct report_page page = {0};
            struct diag d = {0};
            for (int i = 0; what == 0 && i < REPORT_MOST_TABLES + more; i++)
                report_table(&page, "t", "t", "");
            for (int i = 0; what == 1 && i < REPORT_MOST_FINDINGS + more; i++)
                (i % 2 ? report_say : report_lead)(&page, "%d", i);
            int rc = report_print(&hostile, &page, nowhere, 0, &d);
            CHECK(rc == (more ? ERR_MEMORY : 0), "%s, %d too many: %d", what ? "findings" : "tables", more, rc);
            report_page_fini(&page);
        }
    fclose(nowhere);
}

/* Without gnuplot nothing that an earlier run drew is left beside the new tables. */
static void check_stale(const char *folder) {
    char path[256], old[] = "PATH=/nowhere";
    struct report_page page = {0};
    struct diag d = {0};
    int drawn = 1;
    snprintf(path, sizeof path, "%s/picture.svg", folder);
    FILE *svg = fopen(path, "w");
    CHECK(svg && fclose(svg) == 0, "%s", path);
    char *before = strdup(getenv("PATH"));
    putenv(old);
    CHECK(!make_hostile(&page, NULL, &d) && !report_write(&hostile, &page, folder, &drawn, &d), "%s", d.text);
    setenv("PATH", before, 1);
    CHECK(drawn == 0 && access(path, F_OK), "an old picture beside new tables");
    free(before);
    report_page_fini(&page);
}

static void check_interrupted(const char *folder) {
    struct app app = {.spec = {.out = folder}, .cores = 2};
    struct diag d = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/index.html", folder);
    unlink(path);
    app_stop = 1;
    CHECK(report_all(&app, &d) == ERR_INTERRUPTED && access(path, F_OK), "interrupted: %s", d.text);
    app_stop = 0;
}

int main(void) {
    char folder[] = "/tmp/northwall-test-XXXXXX", command[128];
    CHECK(mkdtemp(folder), "no temporary folder");
    check_page(folder);
    check_interrupted(folder);
    check_full();
    check_stale(folder);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0, "%s", command);
    return check_report("test_page");
}
