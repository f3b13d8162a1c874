#include "partition/yaml_text.h"

#include <string.h>

int yaml_text_fail(const struct yaml_text *y, const yaml_node_t *at, const char *what, const char *word,
                   const char *valid) {
    return diag_set(y->d, ERR_FORMAT, "%.200s:%zu: %s%s%.60s%s%s%s", y->path, at->start_mark.line + 1, what,
                    word ? " '" : "", word ? word : "", word ? "'" : "", valid ? ": " : "", valid ? valid : "");
}

yaml_node_t *yaml_text_node(struct yaml_text *y, int index) {
    return yaml_document_get_node(&y->doc, index);
}

const char *yaml_text_of(const yaml_node_t *n) {
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

int yaml_text_parse(struct yaml_text *y, const char *path, const char *text, size_t len, struct diag *d) {
    yaml_parser_t parser;
    int code = 0;
    y->path = path;
    y->d = d;
    if (memchr(text, 0, len)) return diag_set(d, ERR_FORMAT, "%.200s: holds a zero byte: text is expected", path);
    if (!yaml_parser_initialize(&parser)) return diag_set(d, ERR_MEMORY, "%.200s: no memory for it", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (!yaml_parser_load(&parser, &y->doc)) {
        code = parser.error == YAML_MEMORY_ERROR ? ERR_MEMORY : ERR_FORMAT;
        diag_set(d, code, "%.200s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                 parser.problem ? parser.problem : "cannot be parsed");
    }
    yaml_parser_delete(&parser);
    return code;
}
