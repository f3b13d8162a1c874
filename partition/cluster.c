/* cluster.c - reads the description of a cluster: tables of keys and units, walked over the nodes that libyaml parsed.
 *
 * libcyaml would fill structs from a schema, but keeps no lines, and what is wrong with "5 parsecs" is found only after
 * it is done. */
#include "partition/cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "partition/yaml_text.h"

enum { MAX_BYTES = 1 << 20 };

struct reader {
    struct yaml_text yaml;
    struct cluster *out;
};

/* ---- the schema ---- */

/* NUMBER, SOURCED, RATE and REAL are {value: NUMBER UNIT, source: TEXT}, kept as uint64_t, struct cluster_number,
 * struct pico_rate and double. */
enum kind { TEXT, WORD, VERSION, COUNT, NUMBER, SOURCED, RATE, REAL, MAP, LIST };

struct unit {
    const char *name;
    double factor;
};
struct units {
    double least, most;
    struct unit unit[12];
};
#define MOST 1e18 /* what uint64_t and double hold */

struct key {
    const char *name;
    enum kind kind;
    int required;
    size_t offset; /* in the struct that the key's table describes */
    size_t cap; /* TEXT: bytes; LIST: rows */
    const struct key *keys; /* MAP, LIST: of its maps; WORD: the words */
    const struct units *units;
    size_t size, count; /* LIST: of a row; offset of the int that counts them */
};

/* A link as the file has it. */
struct link_row {
    char name[32];
    int joins, transfer, medium; /* words of transfers, mediums */
    struct cluster_number latency;
    struct net_link link;
    double pJ_per_B;
};

/* What is different for a kind of step, as the file has it. */
struct step_row {
    char kind[16];
    uint64_t overhead_ps, efficiency; /* in millionths; 0: not given */
};

struct card_row {
    struct card card;
    int n_steps;
    struct step_row step[STEP_COUNT];
    struct cluster_number memory_Bps, memory_alone_Bps;
};

struct exception_row {
    char cards[64];
    uint64_t speed;
};

struct rows {
    struct cluster cluster;
    struct card_row card, host;
    char schema[24];
    int n_links, n_exceptions;
    struct link_row link[NET_MAX_TIERS];
    struct exception_row exception[CLUSTER_EXCEPTIONS];
};

static const struct units times = {0, MOST, {{"ps", 1}, {"ns", 1e3}, {"us", 1e6}, {"ms", 1e9}, {"s", 1e12}}};
static const struct units sizes = {
    1, MOST, {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}}};
static const struct units byte_rates = {1,
                                        MOST,
                                        {{"B/s", 1},
                                         {"kB/s", 1e3},
                                         {"MB/s", 1e6},
                                         {"GB/s", 1e9},
                                         {"TB/s", 1e12},
                                         {"KiB/s", 1024},
                                         {"MiB/s", 1048576},
                                         {"GiB/s", 1073741824},
                                         {"Mb/s", 125e3},
                                         {"Gb/s", 125e6}}};
static const struct units op_rates = {1,
                                      MOST,
                                      {{"op/s", 1},
                                       {"Gop/s", 1e9},
                                       {"Top/s", 1e12},
                                       {"Pop/s", 1e15},
                                       {"FLOP/s", 1},
                                       {"GFLOP/s", 1e9},
                                       {"TFLOP/s", 1e12},
                                       {"PFLOP/s", 1e15}}};
static const struct units byte_energies = {0, MOST, {{"pJ/B", 1}, {"pJ/bit", 8}}};
static const struct units op_energies = {0, MOST, {{"pJ/op", 1}, {"fJ/op", 1e-3}}};
static const struct units powers = {0, MOST, {{"W", 1}, {"mW", 1e-3}, {"kW", 1e3}}};
static const struct units shares = {1, 1e6, {{"x", 1e6}}}; /* of what the file gives */
static const struct units speeds = {1000, MOST, {{"x", 1e6}}};
static const struct units counts = {1, MOST, {{"million", 1e6}, {"billion", 1e9}}};

#define SIZE_OF(type, field) sizeof(((struct type *)0)->field)
#define LINK(f) offsetof(struct link_row, f)
static const struct key mediums[] = {
    [NET_PRIVATE] = {.name = "private"}, [NET_FIFO] = {.name = "fifo"}, [NET_FLUID] = {.name = "fluid"}, {0}};
enum transfer { PUSH, PULL, VIA_HOST };
static const struct key transfers[] = {{.name = "push"}, {.name = "pull"}, {.name = "via-host"}, {0}};
static const struct key link_keys[] = {{"name", TEXT, 1, LINK(name), .cap = SIZE_OF(link_row, name)},
                                       {"transfer", WORD, 1, LINK(transfer), .keys = transfers},
                                       {"medium", WORD, 0, LINK(medium), .keys = mediums},
                                       {"joins", COUNT, .offset = LINK(joins)},
                                       {"latency", SOURCED, 1, LINK(latency), .units = &times},
                                       {"send_overhead", NUMBER, 0, LINK(link.o_send_ps), .units = &times},
                                       {"recv_overhead", NUMBER, 0, LINK(link.o_recv_ps), .units = &times},
                                       {"message_gap", NUMBER, 0, LINK(link.g_ps), .units = &times},
                                       {"bandwidth", RATE, 1, LINK(link.G), .units = &byte_rates},
                                       {"port_bandwidth", RATE, 0, LINK(link.port), .units = &byte_rates},
                                       {"energy", REAL, 0, LINK(pJ_per_B), .units = &byte_energies},
                                       {0}};
#define LEVEL(f) offsetof(struct card_level, f)
static const struct key holds[] = {{.name = "parts"}, {.name = "whole"}, {0}};
static const struct key level_keys[] = {{"name", TEXT, 1, LEVEL(name), .cap = SIZE_OF(card_level, name)},
                                        {"capacity", NUMBER, 0, LEVEL(bytes), .units = &sizes},
                                        {"bandwidth", RATE, 1, LEVEL(G), .units = &byte_rates},
                                        {"efficiency", NUMBER, 0, LEVEL(efficiency), .units = &shares},
                                        {"latency", NUMBER, 0, LEVEL(latency_ps), .units = &times},
                                        {"energy", REAL, 0, LEVEL(pJ_per_B), .units = &byte_energies},
                                        {"bandwidth_alone", RATE, 0, LEVEL(alone), .units = &byte_rates},
                                        {"holds", WORD, 0, LEVEL(whole), .keys = holds},
                                        {0}};
#define CARD(f) offsetof(struct card_row, f)
static const struct key memory_keys[] = {{"bandwidth", SOURCED, 0, CARD(memory_Bps), .units = &byte_rates},
                                         {"bandwidth_alone", SOURCED, 0, CARD(memory_alone_Bps), .units = &byte_rates},
                                         {"levels", LIST, 0, CARD(card.level), CARD_MAX_LEVELS, level_keys, NULL,
                                          sizeof(struct card_level), CARD(card.n_levels)},
                                         {0}};
static const struct key rate_keys[] = {{"float", RATE, 0, CARD(card.op[PREC_F32]), .units = &op_rates},
                                       {"int8", RATE, 0, CARD(card.op[PREC_I8]), .units = &op_rates},
                                       {"int4", RATE, 0, CARD(card.op[PREC_I4]), .units = &op_rates},
                                       {"efficiency", NUMBER, 0, CARD(card.op_efficiency), .units = &shares},
                                       {0}};
static const struct key energy_keys[] = {{"float", REAL, 0, CARD(card.pJ_per_op[PREC_F32]), .units = &op_energies},
                                         {"int8", REAL, 0, CARD(card.pJ_per_op[PREC_I8]), .units = &op_energies},
                                         {"int4", REAL, 0, CARD(card.pJ_per_op[PREC_I4]), .units = &op_energies},
                                         {0}};
static const struct key overhead_keys[] = {{"step", NUMBER, 0, CARD(card.step_ps), .units = &times},
                                           {"pass", NUMBER, 0, CARD(card.pass_ps), .units = &times},
                                           {"token", NUMBER, 0, CARD(card.token_ps), .units = &times},
                                           {"sequence", NUMBER, 0, CARD(card.sequence_ps), .units = &times},
                                           {0}};
static const struct key power_keys[] = {{"idle", REAL, 0, CARD(card.idle_W), .units = &powers},
                                        {"active", REAL, 0, CARD(card.active_W), .units = &powers},
                                        {0}};
#define STEP(f) offsetof(struct step_row, f)
static const struct key step_keys[] = {{"kind", TEXT, 1, STEP(kind), .cap = SIZE_OF(step_row, kind)},
                                       {"overhead", NUMBER, 0, STEP(overhead_ps), .units = &times},
                                       {"efficiency", NUMBER, 0, STEP(efficiency), .units = &speeds},
                                       {0}};
static const struct key card_keys[] = {
    {"name", TEXT, 0, CARD(card.name), .cap = SIZE_OF(card, name)},
    {"memory", MAP, .keys = memory_keys},
    {"rates", MAP, .keys = rate_keys},
    {"overhead", MAP, .keys = overhead_keys},
    {"steps", LIST, 0, CARD(step), STEP_COUNT, step_keys, NULL, sizeof(struct step_row), CARD(n_steps)},
    {"power", MAP, .keys = power_keys},
    {"energy", MAP, .keys = energy_keys},
    {"transistors", REAL, 0, CARD(card.transistors), .units = &counts},
    {"frame_buffer", NUMBER, 0, CARD(card.frame_bytes), .units = &sizes},
    {0}};
#define EXCEPTION(f) offsetof(struct exception_row, f)
static const struct key exception_keys[] = {{"cards", TEXT, 1, EXCEPTION(cards), .cap = SIZE_OF(exception_row, cards)},
                                            {"speed", NUMBER, 1, EXCEPTION(speed), .units = &speeds},
                                            {0}};
#define ROW(f) offsetof(struct rows, f)
static const struct key work_keys[] = {{"reduce", RATE, 0, ROW(cluster.net.gamma), .units = &byte_rates},
                                       {"copy", RATE, 0, ROW(cluster.net.copy), .units = &byte_rates},
                                       {"codec", RATE, 0, ROW(cluster.net.codec), .units = &byte_rates},
                                       {0}};
static const struct key top_keys[] = {
    {"schema", TEXT, 1, ROW(schema), .cap = SIZE_OF(rows, schema)},
    {"version", VERSION, .required = 1},
    {"name", TEXT, 0, ROW(cluster.name), .cap = SIZE_OF(cluster, name)},
    {"cards", COUNT, .offset = ROW(cluster.n_cards)},
    {"card", MAP, 0, ROW(card), .keys = card_keys},
    {"exceptions", LIST, 0, ROW(exception), CLUSTER_EXCEPTIONS, exception_keys, NULL, sizeof(struct exception_row),
     ROW(n_exceptions)},
    {"host", MAP, 0, ROW(host), .keys = card_keys},
    {"work", MAP, .keys = work_keys},
    {"hand_off", NUMBER, 0, ROW(cluster.net.flag_ps), .units = &times},
    {"links", LIST, 1, ROW(link), NET_MAX_TIERS, link_keys, NULL, sizeof(struct link_row), ROW(n_links)},
    {0}};
static const struct key number_keys[] = {{.name = "value"}, {.name = "source"}, {0}};

/* ---- errors ---- */

static int fail(const struct reader *r, const yaml_node_t *at, const char *what, const char *word, const char *valid) {
    return yaml_text_fail(&r->yaml, at, what, word, valid);
}

static char *key_names(const struct key *keys, char *buf, size_t cap) {
    size_t at = (size_t)snprintf(buf, cap, "valid are ");
    for (int i = 0; keys[i].name && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%s", i ? ", " : "", keys[i].name);
    return buf;
}

static char *unit_names(const struct unit *unit, char *buf, size_t cap) {
    size_t at = (size_t)snprintf(buf, cap, "write a number and one of ");
    for (int i = 0; unit[i].name && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%s", i ? ", " : "", unit[i].name);
    return buf;
}

/* ---- values ---- */

static yaml_node_t *node_of(struct reader *r, int index) {
    return yaml_text_node(&r->yaml, index);
}

static int read_text(struct reader *r, const yaml_node_t *n, const char *what, char *out, size_t cap) {
    const char *text = yaml_text_of(n);
    if (!text || !*text) return fail(r, n, what, "", "a text is expected");
    if (strlen(text) >= cap) return fail(r, n, what, text, "the text is too long");
    snprintf(out, cap, "%s", text);
    return 0;
}

/* Names go into lines of text and into pictures. */
static int read_name(struct reader *r, const yaml_node_t *n, const char *what, char *out, size_t cap) {
    int code = read_text(r, n, what, out, cap);
    for (const char *c = out; code == 0 && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return fail(r, n, what, NULL, "a text of one line without control characters is expected");
    return code;
}

/* A number and a unit, in that of factor 1; rounded, but for REAL. */
static int read_quantity(struct reader *r, const yaml_node_t *n, const struct key *key, double *out) {
    char valid[160];
    const char *text = yaml_text_of(n);
    const struct unit *unit = key->units->unit;
    char *end = NULL;
    int hex = text && *text == '0' && (text[1] == 'x' || text[1] == 'X');
    double v = text && ((*text >= '0' && *text <= '9') || *text == '.') && !hex ? strtod(text, &end) : 0;
    while (end && *end == ' ')
        end++;
    for (int i = 0; end && unit[i].name; i++) {
        if (strcmp(end, unit[i].name)) continue;
        v = key->kind == REAL ? v * unit[i].factor : nearbyint(v * unit[i].factor);
        double least = key->units->least, most = key->units->most;
        if (!(v >= least && v <= most)) {
            snprintf(valid, sizeof valid, "from %g to %g %s are possible", least / unit[i].factor,
                     most / unit[i].factor, unit[i].name);
            return fail(r, n, key->name, text, valid);
        }
        *out = v;
        return 0;
    }
    return fail(r, n, key->name, text ? text : "", unit_names(unit, valid, sizeof valid));
}

/* {value: 5 ns, source: "..."} */
static int read_number(struct reader *r, const yaml_node_t *n, const struct key *key, double *out, char *source) {
    char valid[160];
    int has[2] = {0, 0}, code = 0;
    if (n->type != YAML_MAPPING_NODE)
        return fail(r, n, key->name, yaml_text_of(n), "write {value: NUMBER UNIT, source: TEXT}");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top && code == 0; p++) {
        const yaml_node_t *name = node_of(r, p->key), *value = node_of(r, p->value);
        const char *word = yaml_text_of(name);
        int i = word && !strcmp(word, "value") ? 0 : word && !strcmp(word, "source") ? 1 : -1;
        if (i < 0) return fail(r, name, "unknown key", word ? word : "", key_names(number_keys, valid, sizeof valid));
        if (has[i]++) return fail(r, name, "key given twice:", word, NULL);
        if (i == 0)
            code = read_quantity(r, value, key, out);
        else
            code = read_text(r, value, "source", source, CLUSTER_SOURCE);
    }
    if (code == 0 && (!has[0] || !has[1])) return fail(r, n, key->name, NULL, "it needs both value and source");
    return code;
}

static int read_kept(struct reader *r, const yaml_node_t *n, const struct key *key, void *at) {
    char source[CLUSTER_SOURCE] = "";
    double v = 0;
    int code = read_number(r, n, key, &v, source);
    if (code != 0) return code;
    if (key->kind == REAL)
        *(double *)at = v;
    else if (key->kind == RATE)
        *(struct pico_rate *)at = pico_rate_per_second((uint64_t)v);
    else
        *(uint64_t *)at = (uint64_t)v; /* of a cluster_number the first member */
    if (key->kind == SOURCED) memcpy(((struct cluster_number *)at)->source, source, sizeof source);
    return 0;
}

static int read_word(struct reader *r, const yaml_node_t *n, const struct key *key, int *out) {
    char valid[160];
    const char *text = yaml_text_of(n);
    for (*out = 0; key->keys[*out].name; ++*out)
        if (text && !strcmp(text, key->keys[*out].name)) return 0;
    return fail(r, n, key->name, text ? text : "", key_names(key->keys, valid, sizeof valid));
}

/* A whole number below 10^7, or 0. */
static int count_of(const char *text) {
    return text && strlen(text) < 8 && strspn(text, "0123456789") == strlen(text) ? atoi(text) : 0;
}

static int read_count(struct reader *r, const yaml_node_t *n, const struct key *key, int *out) {
    const char *text = yaml_text_of(n);
    *out = count_of(text);
    return *out ? 0 : fail(r, n, key->name, text ? text : "", "a whole number from 1 to 9999999 is expected");
}

static int read_version(struct reader *r, const yaml_node_t *n) {
    char valid[64];
    const char *text = yaml_text_of(n);
    snprintf(valid, sizeof valid, "this program reads version %d", CLUSTER_VERSION);
    if (count_of(text) == CLUSTER_VERSION) return 0;
    return fail(r, n, "version", text ? text : "", valid);
}

/* ---- maps ---- */

static int read_map(struct reader *r, const yaml_node_t *n, const struct key *keys, const char *where, char *base);

static int read_list(struct reader *r, const yaml_node_t *n, const struct key *key, char *base) {
    char valid[64];
    int code = 0, *count = (int *)(void *)(base + key->count);
    if (n->type != YAML_SEQUENCE_NODE)
        return fail(r, n, key->name, yaml_text_of(n), "a list is expected: begin rows with -");
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top && code == 0; i++) {
        const yaml_node_t *row = node_of(r, *i);
        snprintf(valid, sizeof valid, "at most %zu are possible", key->cap);
        if (*count == (int)key->cap) return fail(r, row, key->name, NULL, valid);
        code = read_map(r, row, key->keys, key->name, base + key->offset + key->size * (size_t)(*count)++);
    }
    if (code == 0 && *count == 0) return fail(r, n, key->name, NULL, "at least one is expected");
    return code;
}

static int read_value(struct reader *r, const yaml_node_t *n, const struct key *key, char *base) {
    void *at = base + key->offset;
    switch (key->kind) {
    case TEXT: return read_name(r, n, key->name, at, key->cap);
    case WORD: return read_word(r, n, key, at);
    case VERSION: return read_version(r, n);
    case COUNT: return read_count(r, n, key, at);
    case NUMBER:
    case SOURCED:
    case RATE:
    case REAL: return read_kept(r, n, key, at);
    case MAP: return read_map(r, n, key->keys, key->name, at);
    case LIST: return read_list(r, n, key, base);
    }
    return ERR_INTERNAL;
}

static int read_map(struct reader *r, const yaml_node_t *n, const struct key *keys, const char *where, char *base) {
    char valid[160];
    unsigned seen = 0;
    int code = 0;
    if (n->type != YAML_MAPPING_NODE) return fail(r, n, where, yaml_text_of(n), key_names(keys, valid, sizeof valid));
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top && code == 0; p++) {
        const yaml_node_t *name = node_of(r, p->key);
        const char *word = yaml_text_of(name);
        int i = 0;
        while (keys[i].name && !(word && !strcmp(word, keys[i].name)))
            i++;
        if (!keys[i].name) return fail(r, name, "unknown key", word ? word : "", key_names(keys, valid, sizeof valid));
        if (seen >> i & 1) return fail(r, name, "key given twice:", word, NULL);
        seen |= 1u << i;
        code = read_value(r, node_of(r, p->value), &keys[i], base);
    }
    for (int i = 0; keys[i].name && code == 0; i++)
        if (keys[i].required && !(seen >> i & 1))
            return fail(r, n, where, NULL,
                        (snprintf(valid, sizeof valid, "the key %s is missing", keys[i].name), valid));
    return code;
}

/* ---- what keys mean together ---- */

/* The value of a key of a map that was read; NULL: it has none such. */
static const yaml_node_t *child(struct reader *r, const yaml_node_t *map, const char *name) {
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++)
        if (!strcmp(yaml_text_of(node_of(r, p->key)), name)) return node_of(r, p->value);
    return NULL;
}

static const yaml_node_t *row_of(struct reader *r, const yaml_node_t *list, int i) {
    return node_of(r, list->data.sequence.items.start[i]);
}

static int check_levels(struct reader *r, const yaml_node_t *n, const struct card *c) {
    for (int i = 0; i + 1 < c->n_levels; i++)
        if (!c->level[i].bytes)
            return fail(r, row_of(r, child(r, child(r, n, "memory"), "levels"), i), "level", c->level[i].name,
                        "only the last level may leave capacity out");
    return 0;
}

/* Nothing of a described card is taken from net_default, as its numbers are not the card's. */
static int check_cards(struct reader *r, const yaml_node_t *root, const struct rows *rows) {
    const struct net *net = &rows->cluster.net;
    const yaml_node_t *card = child(r, root, "card"), *host = child(r, root, "host");
    int described = rows->card.card.n_levels > 0;
    if (described && !rows->card.card.name[0]) return fail(r, card, "card", NULL, "a card with levels needs a name");
    if (described && (!net->gamma.den || !net->copy.den || !net->codec.den))
        return fail(r, card, "card", NULL, "a card with levels needs work: reduce, copy and codec");
    if (host && !rows->host.card.name[0]) return fail(r, host, "host", NULL, "it needs a name");
    if (rows->host.memory_Bps.value || rows->host.memory_alone_Bps.value)
        return fail(r, host, "host", NULL, "its memory is given as levels");
    for (int i = 0; i < rows->n_links; i++) {
        const struct link_row *link = &rows->link[i];
        const yaml_node_t *n = row_of(r, child(r, root, "links"), i);
        if (link->link.port.den && link->medium != NET_FLUID)
            return fail(r, n, "link", link->name, "port_bandwidth is for medium: fluid alone");
        if (link->transfer == PULL && link->medium != NET_PRIVATE)
            return fail(r, n, "link", link->name, "messages share a medium, transfer: pull has none: leave medium out");
    }
    int code = check_levels(r, card, &rows->card.card);
    return code ? code : check_levels(r, host, &rows->host.card);
}

/* The kind of step with that name which a card has a part in; STEP_COUNT: none. */
static int step_of(const char *name) {
    int k = 0;
    while (k < STEP_COUNT && (card_is_message((enum step_kind)k) || strcmp(name, step_name((enum step_kind)k))))
        k++;
    return k;
}

static int set_steps(struct reader *r, const yaml_node_t *n, struct card_row *row) {
    char valid[256] = "";
    uint32_t seen = 0;
    for (int k = 0, at = 0; k < STEP_COUNT; k++)
        if (!card_is_message((enum step_kind)k))
            at += snprintf(valid + at, sizeof valid - (size_t)at, "%s%s", at ? ", " : "valid are ",
                           step_name((enum step_kind)k));
    for (int i = 0; i < row->n_steps; i++) {
        const struct step_row *s = &row->step[i];
        const yaml_node_t *at = row_of(r, child(r, n, "steps"), i);
        int k = step_of(s->kind);
        if (k == STEP_COUNT) return fail(r, at, "unknown kind of step", s->kind, valid);
        if (seen >> k & 1) return fail(r, at, "kind of step given twice:", s->kind, NULL);
        seen |= UINT32_C(1) << k;
        row->card.step[k].overhead_ps = s->overhead_ps;
        if (s->efficiency) row->card.step[k].slow = pico_times((struct pico_rate){1, 1}, 1000000, s->efficiency);
    }
    return 0;
}

/* Each tier joins whole groups of the tier before it, the last one all cards. Messages may join the same cards as a
 * link that is read in place. */
static int check_joins(struct reader *r, const yaml_node_t *root, const struct rows *rows) {
    const yaml_node_t *links = child(r, root, "links");
    int described = rows->card.card.n_levels > 0, before = 1, last = rows->n_links - 1;
    for (int i = 0; i <= last; i++) {
        const struct link_row *link = &rows->link[i];
        const yaml_node_t *n = row_of(r, links, i);
        if (link->joins % before ||
            (link->joins && i > 0 && link->joins == before && rows->link[i - 1].transfer != PULL))
            return fail(r, n, "link", link->name, "joins must be a multiple of the joins before it");
        if (!link->joins && i < last && (described || before > 1))
            return fail(r, n, "link", link->name, "only the last link may leave joins out");
        if (i == last && link->joins && (!rows->cluster.n_cards || rows->cluster.n_cards > link->joins))
            return fail(r, n, "link", link->name,
                        "the last link joins all cards: leave joins out, or give fewer cards");
        before = link->joins ? link->joins : before;
    }
    return 0;
}

static int set_exceptions(struct reader *r, const yaml_node_t *root, struct rows *rows) {
    for (int i = 0; i < rows->n_exceptions; i++)
        if (cluster_except(&rows->cluster, rows->exception[i].cards, rows->exception[i].speed))
            return fail(r, row_of(r, child(r, root, "exceptions"), i), "cards", rows->exception[i].cards,
                        "write cards that there are, such as 3-5,9, and at most 64 ranges in all");
    return 0;
}

/* ---- into a cluster ---- */

static void set_efficiency(struct pico_rate *rate, uint64_t millionths) {
    if (rate->den && millionths) *rate = pico_times(*rate, 1000000, millionths);
}

static void set_efficiencies(struct card *c) {
    for (int i = 0; i < c->n_levels; i++) {
        set_efficiency(&c->level[i].G, c->level[i].efficiency);
        set_efficiency(&c->level[i].alone, c->level[i].efficiency);
    }
    for (int k = 0; k < PREC_COUNT; k++)
        set_efficiency(&c->op[k], c->op_efficiency);
}

static void set_default(struct pico_rate *rate, struct pico_rate otherwise) {
    if (!rate->den) *rate = otherwise;
}

static void set_cluster(struct cluster *c, const struct rows *rows) {
    *c = rows->cluster;
    c->card = rows->card.card;
    c->memory_Bps = rows->card.memory_Bps;
    c->memory_alone_Bps = rows->card.memory_alone_Bps;
    c->host = rows->host.card;
    set_efficiencies(&c->card);
    set_efficiencies(&c->host);
    c->has_host = c->host.name[0] != 0; /* check_cards */
    c->net.n_tiers = rows->n_links;
    for (int i = 0; i < rows->n_links; i++) {
        const struct link_row *row = &rows->link[i];
        memcpy(c->net.tier[i].name, row->name, sizeof row->name);
        snprintf(c->net.tier[i].source, sizeof c->net.tier[i].source, "%.95s", row->latency.source);
        c->net.tier[i].link = row->link;
        c->net.tier[i].link.L_ps = row->latency.value;
        c->net.tier[i].link.pull = row->transfer == PULL;
        c->net.tier[i].link.via_host = row->transfer == VIA_HOST;
        c->net.tier[i].link.medium = (enum net_medium)row->medium;
        c->link_pJ_per_B[i] = row->pJ_per_B;
        c->joins[i] = row->joins;
    }
    set_default(&c->net.gamma, net_default.gamma);
    set_default(&c->net.copy, net_default.copy);
    set_default(&c->net.codec, net_default.codec);
}

static int read_rows(struct reader *r) {
    struct rows rows = {0};
    yaml_node_t *root = yaml_document_get_root_node(&r->yaml.doc);
    if (!root) return diag_set(r->yaml.d, ERR_FORMAT, "%.200s:1: empty: a cluster is expected", r->yaml.path);
    int code = read_map(r, root, top_keys, "a cluster", (char *)&rows);
    if (code == 0 && strcmp(rows.schema, "northwall-cluster"))
        code = fail(r, root, "schema", rows.schema, "northwall-cluster is expected");
    if (code == 0) code = check_cards(r, root, &rows);
    if (code == 0) code = check_joins(r, root, &rows);
    if (code == 0) code = set_exceptions(r, root, &rows);
    if (code == 0) code = set_steps(r, child(r, root, "card"), &rows.card);
    if (code == 0) code = set_steps(r, child(r, root, "host"), &rows.host);
    if (code == 0) set_cluster(r->out, &rows);
    return code;
}

int cluster_has_card(const struct cluster *c) {
    return c->card.n_levels > 0;
}

/* "3" or "3-5"; *end is behind it. */
static int read_range(const char *text, const char **end, int *first, int *last) {
    int n = 0;
    *last = -1;
    if (*text < '0' || *text > '9' || sscanf(text, "%7d%n", first, &n) != 1) return -1;
    if (text[n] == '-' && text[n + 1] >= '0' && text[n + 1] <= '9') {
        text += n + 1;
        sscanf(text, "%7d%n", last, &n);
    } else {
        *last = *first;
    }
    *end = text + n;
    return *last < *first;
}

int cluster_except(struct cluster *c, const char *cards, uint64_t speed) {
    for (int first, last; !read_range(cards, &cards, &first, &last); cards++) {
        if ((c->n_cards && last >= c->n_cards) || c->n_exceptions == CLUSTER_EXCEPTIONS) return -1;
        c->exception[c->n_exceptions++] = (struct cluster_exception){first, last, speed};
        if (*cards != ',') return *cards != 0;
    }
    return -1;
}

struct pico_rate cluster_slow(const struct cluster *c, int card) {
    for (int i = c->n_exceptions - 1; i >= 0; i--)
        if (c->exception[i].first <= card && card <= c->exception[i].last)
            return (struct pico_rate){1000000, c->exception[i].speed};
    return (struct pico_rate){1, 1};
}

void cluster_set_apart(struct cluster *c) {
    for (int i = 0; i < c->net.n_tiers; i++)
        c->net.tier[i].link.medium = NET_PRIVATE;
}

int cluster_tier(const struct cluster *c, int card_a, int card_b) {
    int i = 0;
    while (i + 1 < c->net.n_tiers && c->joins[i] && card_a / c->joins[i] != card_b / c->joins[i])
        i++;
    return i;
}

int cluster_parse(struct cluster *c, const char *path, const char *text, size_t len, struct diag *d) {
    struct reader r = {.out = c};
    memset(c, 0, sizeof *c);
    int code = yaml_text_parse(&r.yaml, path, text, len, d);
    if (code) return code;
    code = read_rows(&r);
    yaml_document_delete(&r.yaml.doc);
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
