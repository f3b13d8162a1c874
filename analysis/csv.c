#include "csv.h"

#include <stddef.h>

char *csv_cell(struct csv *c, char *end) {
    char *cell = c->at, *from = cell, *to = cell;
    if (*from == '"') {
        for (from++; *from && (*from != '"' || from[1] == '"'); from++) {
            from += *from == '"';
            c->line += *from == '\n';
            *to++ = *from;
        }
        if (*from++ != '"') return NULL;
    } else {
        while (*from && *from != ',' && *from != '\n' && !(*from == '\r' && from[1] == '\n'))
            *to++ = *from++;
    }
    from += *from == '\r' && from[1] == '\n';
    *end = *from;
    if (*end && *end != ',' && *end != '\n') return NULL;
    c->line += *end == '\n';
    c->at = from + (*end != 0);
    *to = 0;
    return cell;
}
