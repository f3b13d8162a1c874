#include "html.h"

#include <string.h>

void html_text(FILE *out, const char *text) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&quot;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        if (!entity && (c == 0x7f || (c < ' ' && !strchr("\t\n\r", c)))) entity = "&#xFFFD;";
        if (entity)
            fputs(entity, out);
        else
            fputc(c, out);
    }
}

static void put_escaped(FILE *out, int c, const char *plain) {
    int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || (c && strchr(plain, c)))
        fputc(c, out);
    else
        fprintf(out, "%%%02X", (unsigned)c);
}

void html_address(FILE *out, const char *path) {
    for (; *path; path++)
        put_escaped(out, (unsigned char)*path, "-._~/");
}

/* Spaces and most marks may stand as they are: shorter than base64, and the page can be searched. */
void html_svg(FILE *out, FILE *svg) {
    fputs("data:image/svg+xml,", out);
    for (int c; (c = fgetc(svg)) != EOF;)
        put_escaped(out, strchr("\t\r\n", c) && c ? ' ' : c, " -._~/:;,=()'!*+");
}
