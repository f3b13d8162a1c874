/* yaml_text.h - a YAML text whose errors name file and line: what readers of described clusters and sweeps share.
 *
 * All functions are local. */
#ifndef PARTITION_YAML_TEXT_H
#define PARTITION_YAML_TEXT_H

#include <stddef.h>
#include <yaml.h>

#include "base/diag.h"

struct yaml_text {
    const char *path; /* for the text of errors */
    yaml_document_t doc;
    struct diag *d;
};

/* Parses a text; where it returns 0 the caller ends with yaml_document_delete(&y->doc). An empty one has no root node.
 * ERR_FORMAT ("FILE:LINE: ..."), ERR_MEMORY. path and d must outlive y. */
int yaml_text_parse(struct yaml_text *y, const char *path, const char *text, size_t len, struct diag *d);
/* ERR_FORMAT: "FILE:LINE: what 'word': valid"; word and valid may be NULL. */
int yaml_text_fail(const struct yaml_text *y, const yaml_node_t *at, const char *what, const char *word,
                   const char *valid);
yaml_node_t *yaml_text_node(struct yaml_text *y, int index);
/* A scalar's text, NULL for other nodes; none holds a zero byte (yaml_text_parse has looked). */
const char *yaml_text_of(const yaml_node_t *n);

#endif
