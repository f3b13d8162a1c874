/* html.h - texts and files as parts of an HTML page. All functions are local; errors stay in the stream (ferror). */
#ifndef ANALYSIS_HTML_H
#define ANALYSIS_HTML_H

#include <stdio.h>

/* A text between tags, or between the quotes of an attribute: what HTML reads as marks becomes entities, bytes that no
 * page may hold become U+FFFD. */
void html_text(FILE *out, const char *text);
/* An address between the quotes of an attribute: what is no plain character becomes %XX. */
void html_address(FILE *out, const char *path);
/* A whole SVG file as the address of a picture, "data:image/svg+xml,...". */
void html_svg(FILE *out, FILE *svg);

#endif
