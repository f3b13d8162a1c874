/* cluster.c - reads the description of a cluster: tables of keys and units, walked over the nodes that libyaml parsed.
 *
 * libcyaml would fill structs from a schema, but keeps no lines, and what is wrong with "5 parsecs" is found only after
 * it is done. */
#include "partition/cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/text.h"

enum { MAX_BYTES = 1 << 20 };

struct reader {
    const char *path;
    yaml_document_t doc;
    struct cluster *out;
    struct diag *d;
};

/* ---- the schema ---- */

enum kind { TEXT, WORD, VERSION, TIME, RATE, MAP, LIST };

struct key {
    const char *name;
    enum kind kind;
    int required;
    size_t offset; /* in struct cluster, or in struct link_row for those of a link */
    size_t cap; /* TEXT */
    const struct key *keys; /* MAP, LIST: of its maps; WORD: the words */
};

/* A link as the file has it. */
struct link_row {
    char name[32];
    int transfer;
    struct cluster_number latency, send_overhead, recv_overhead, message_gap, bandwidth;
};

struct rows {
    struct cluster cluster;
    struct cluster_number reduce, copy, codec, hand_off;
    char schema[24];
    int n_links;
    struct link_row link[NET_MAX_TIERS];
};

#define ROW(f) offsetof(struct rows, f)
#define LINK(f) offsetof(struct link_row, f)
static const struct key transfers[] = {{.name = "push"}, {.name = "pull"}, {0}};
static const struct key memory_keys[] = {{"bandwidth", RATE, 0, ROW(cluster.memory_Bps), 0, NULL},
                                         {"bandwidth_alone", RATE, 0, ROW(cluster.memory_alone_Bps), 0, NULL},
                                         {0}};
static const struct key card_keys[] = {{"memory", MAP, 0, 0, 0, memory_keys}, {0}};
static const struct key work_keys[] = {{"reduce", RATE, 0, ROW(reduce), 0, NULL},
                                       {"copy", RATE, 0, ROW(copy), 0, NULL},
                                       {"codec", RATE, 0, ROW(codec), 0, NULL},
                                       {0}};
static const struct key link_keys[] = {{"name", TEXT, 1, LINK(name), sizeof ((struct link_row *)0)->name, NULL},
                                       {"transfer", WORD, 1, LINK(transfer), 0, transfers},
                                       {"latency", TIME, 1, LINK(latency), 0, NULL},
                                       {"send_overhead", TIME, 0, LINK(send_overhead), 0, NULL},
                                       {"recv_overhead", TIME, 0, LINK(recv_overhead), 0, NULL},
                                       {"message_gap", TIME, 0, LINK(message_gap), 0, NULL},
                                       {"bandwidth", RATE, 1, LINK(bandwidth), 0, NULL},
                                       {0}};
static const struct key top_keys[] = {{"schema", TEXT, 1, ROW(schema), sizeof ((struct rows *)0)->schema, NULL},
                                      {"version", VERSION, 1, 0, 0, NULL},
                                      {"name", TEXT, 0, ROW(cluster.name), sizeof ((struct cluster *)0)->name, NULL},
                                      {"card", MAP, 0, 0, 0, card_keys},
                                      {"work", MAP, 0, 0, 0, work_keys},
                                      {"hand_off", TIME, 0, ROW(hand_off), 0, NULL},
                                      {"links", LIST, 1, ROW(link), 0, link_keys},
                                      {0}};
static const struct key number_keys[] = {{.name = "value"}, {.name = "source"}, {0}};

struct unit {
    const char *name;
    double factor;
};
static const struct unit times[] = {{"ps", 1}, {"ns", 1e3}, {"us", 1e6}, {"ms", 1e9}, {"s", 1e12}, {0}};
static const struct unit rates[] = {{"B/s", 1},     {"kB/s", 1e3},     {"MB/s", 1e6},        {"GB/s", 1e9},
                                    {"TB/s", 1e12}, {"KiB/s", 1024},   {"MiB/s", 1048576},   {"GiB/s", 1073741824},
                                    {"Mb/s", 125e3}, {"Gb/s", 125e6}, {0}};

/* ---- errors ---- */

static int fail(const struct reader *r, const yaml_node_t *at, const char *what, const char *word, const char *valid) {
    return diag_set(r->d, ERR_FORMAT, "%.200s:%zu: %s%s%.60s%s%s%s", r->path, at->start_mark.line + 1, what,
                    word ? " '" : "", word ? word : "", word ? "'" : "", valid ? ": " : "", valid ? valid : "");
}

static char *key_names(const struct key *keys, char *buf, size_t cap) {
    size_t at = (size_t)snprintf(buf, cap, "valid are ");
    for (int i = 0; keys[i].name && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%s", i ? ", " : "", keys[i].name);
    return buf;
}

static char *unit_names(const struct unit *units, char *buf, size_t cap) {
    size_t at = (size_t)snprintf(buf, cap, "write a number and one of ");
    for (int i = 0; units[i].name && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%s", i ? ", " : "", units[i].name);
    return buf;
}

/* ---- values ---- */

static yaml_node_t *node_of(struct reader *r, int index) {
    return yaml_document_get_node(&r->doc, index);
}

/* A scalar's text, NULL for other nodes; none holds a zero byte (cluster_parse has looked). */
static const char *text_of(const yaml_node_t *n) {
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static int read_text(struct reader *r, const yaml_node_t *n, const char *what, char *out, size_t cap) {
    const char *text = text_of(n);
    if (!text || !*text) return fail(r, n, what, "", "a text is expected");
    if (strlen(text) >= cap) return fail(r, n, what, text, "the text is too long");
    snprintf(out, cap, "%s", text);
    return 0;
}

/* A number and a unit, in the smallest unit, rounded. */
static int read_quantity(struct reader *r, const yaml_node_t *n, const char *what, const struct unit *units,
                         uint64_t least, uint64_t *out) {
    char valid[160];
    const char *text = text_of(n);
    char *end = NULL;
    double v = text && ((*text >= '0' && *text <= '9') || *text == '.') && !strpbrk(text, "xX") ? strtod(text, &end) : 0;
    while (end && *end == ' ')
        end++;
    for (int i = 0; end && units[i].name; i++) {
        if (strcmp(end, units[i].name)) continue;
        v = nearbyint(v * units[i].factor);
        if (!(v >= (double)least && v <= 1e18)) return fail(r, n, what, text, "out of range");
        *out = (uint64_t)v;
        return 0;
    }
    return fail(r, n, what, text ? text : "", unit_names(units, valid, sizeof valid));
}

/* {value: 5 ns, source: "..."} */
static int read_number(struct reader *r, const yaml_node_t *n, const struct key *key, struct cluster_number *out) {
    char valid[160];
    int has[2] = {0, 0}, code = 0;
    if (n->type != YAML_MAPPING_NODE)
        return fail(r, n, key->name, text_of(n), "write {value: NUMBER UNIT, source: TEXT}");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top && code == 0; p++) {
        const yaml_node_t *name = node_of(r, p->key), *value = node_of(r, p->value);
        const char *word = text_of(name);
        int i = word && !strcmp(word, "value") ? 0 : word && !strcmp(word, "source") ? 1 : -1;
        if (i < 0) return fail(r, name, "unknown key", word ? word : "", key_names(number_keys, valid, sizeof valid));
        if (has[i]++) return fail(r, name, "key given twice:", word, NULL);
        if (i == 0)
            code = read_quantity(r, value, key->name, key->kind == TIME ? times : rates, key->kind == RATE, &out->value);
        else
            code = read_text(r, value, "source", out->source, sizeof out->source);
    }
    if (code == 0 && (!has[0] || !has[1])) return fail(r, n, key->name, NULL, "it needs both value and source");
    return code;
}

static int read_word(struct reader *r, const yaml_node_t *n, const struct key *key, int *out) {
    char valid[160];
    const char *text = text_of(n);
    for (*out = 0; key->keys[*out].name; ++*out)
        if (text && !strcmp(text, key->keys[*out].name)) return 0;
    return fail(r, n, key->name, text ? text : "", key_names(key->keys, valid, sizeof valid));
}

static int read_version(struct reader *r, const yaml_node_t *n) {
    char valid[64];
    const char *text = text_of(n);
    snprintf(valid, sizeof valid, "this program reads version %d", CLUSTER_VERSION);
    if (text && strlen(text) < 6 && strspn(text, "0123456789") == strlen(text) && atoi(text) == CLUSTER_VERSION)
        return 0;
    return fail(r, n, "version", text ? text : "", valid);
}

/* ---- maps ---- */

static int read_map(struct reader *r, const yaml_node_t *n, const struct key *keys, const char *where, char *base);

static int read_list(struct reader *r, const yaml_node_t *n, const struct key *key, struct rows *rows) {
    int code = 0;
    if (n->type != YAML_SEQUENCE_NODE) return fail(r, n, key->name, text_of(n), "a list is expected: begin rows with -");
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top && code == 0; i++) {
        const yaml_node_t *row = node_of(r, *i);
        if (rows->n_links == NET_MAX_TIERS) return fail(r, row, key->name, NULL, "at most 8 tiers are possible");
        code = read_map(r, row, key->keys, "a link", (char *)&rows->link[rows->n_links++]);
    }
    if (code == 0 && rows->n_links == 0) return fail(r, n, key->name, NULL, "at least one is expected");
    return code;
}

static int read_value(struct reader *r, const yaml_node_t *n, const struct key *key, char *base) {
    void *at = base + key->offset;
    switch (key->kind) {
    case TEXT: return read_text(r, n, key->name, at, key->cap);
    case WORD: return read_word(r, n, key, at);
    case VERSION: return read_version(r, n);
    case TIME:
    case RATE: return read_number(r, n, key, at);
    case MAP: return read_map(r, n, key->keys, key->name, base);
    case LIST: return read_list(r, n, key, (struct rows *)(void *)base);
    }
    return ERR_INTERNAL;
}

static int read_map(struct reader *r, const yaml_node_t *n, const struct key *keys, const char *where, char *base) {
    char valid[160];
    unsigned seen = 0;
    int code = 0;
    if (n->type != YAML_MAPPING_NODE)
        return fail(r, n, where, text_of(n), key_names(keys, valid, sizeof valid));
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top && code == 0; p++) {
        const yaml_node_t *name = node_of(r, p->key);
        const char *word = text_of(name);
        int i = 0;
        while (keys[i].name && !(word && !strcmp(word, keys[i].name)))
            i++;
        if (!keys[i].name) return fail(r, name, "unknown key", word ? word : "", key_names(keys, valid, sizeof valid));
        if (seen >> i & 1) return fail(r, name, "key given twice:", word, NULL);
        seen |= 1u << i;
        code = read_value(r, node_of(r, p->value), &keys[i], base);
    }
    for (int i = 0; keys[i].name && code == 0; i++)
        if (keys[i].required && !(seen >> i & 1)) return fail(r, n, where, NULL, (snprintf(valid, sizeof valid,
                                                              "the key %s is missing", keys[i].name), valid));
    return code;
}

/* ---- into a net ---- */

static void set_rate(struct pico_rate *out, const struct cluster_number *n) {
    if (n->value > 0) *out = pico_rate_per_second(n->value);
}

static void set_net(struct net *net, const struct rows *rows) {
    *net = net_default;
    memset(net->tier, 0, sizeof net->tier);
    net->n_tiers = rows->n_links;
    for (int i = 0; i < rows->n_links; i++) {
        const struct link_row *row = &rows->link[i];
        struct net_link *link = &net->tier[i].link;
        memcpy(net->tier[i].name, row->name, sizeof row->name);
        memcpy(net->tier[i].source, row->latency.source, sizeof net->tier[i].source);
        *link = (struct net_link){row->transfer,           row->latency.value,     row->send_overhead.value,
                                  row->recv_overhead.value, row->message_gap.value, {0, 1}};
        set_rate(&link->G, &row->bandwidth);
    }
    set_rate(&net->gamma, &rows->reduce);
    set_rate(&net->copy, &rows->copy);
    set_rate(&net->codec, &rows->codec);
    net->flag_ps = rows->hand_off.value;
}

static int read_rows(struct reader *r) {
    struct rows rows = {0};
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    if (!root) return diag_set(r->d, ERR_FORMAT, "%.200s:1: empty: a cluster is expected", r->path);
    int code = read_map(r, root, top_keys, "a cluster", (char *)&rows);
    if (code == 0 && strcmp(rows.schema, "northwall-cluster"))
        code = fail(r, root, "schema", rows.schema, "northwall-cluster is expected");
    if (code != 0) return code;
    *r->out = rows.cluster;
    set_net(&r->out->net, &rows);
    return 0;
}

int cluster_parse(struct cluster *c, const char *path, const char *text, size_t len, struct diag *d) {
    struct reader r = {.path = path, .out = c, .d = d};
    yaml_parser_t parser;
    memset(c, 0, sizeof *c);
    if (memchr(text, 0, len)) return diag_set(d, ERR_FORMAT, "%.200s: holds a zero byte: text is expected", path);
    if (!yaml_parser_initialize(&parser)) return diag_set(d, ERR_MEMORY, "%.200s: no memory for it", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int code = 0;
    if (!yaml_parser_load(&parser, &r.doc)) {
        code = parser.error == YAML_MEMORY_ERROR ? ERR_MEMORY : ERR_FORMAT;
        diag_set(d, code, "%.200s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                 parser.problem ? parser.problem : "cannot be parsed");
    } else {
        code = read_rows(&r);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    return code;
}

int cluster_read(struct cluster *c, const char *path, struct diag *d) {
    char *text = NULL;
    size_t len = 0;
    memset(c, 0, sizeof *c);
    int code = text_read_file(path, MAX_BYTES, &text, &len, d);
    if (code == 0) code = cluster_parse(c, path, text, len, d);
    free(text);
    return code;
}
