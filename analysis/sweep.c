#include "analysis/sweep.h"

#include <gsl/gsl_qrng.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "analysis/parameter.h"
#include "base/hash.h"
#include "base/text.h"
#include "partition/yaml_text.h"

enum { MAX_BYTES = 1 << 20, MAX_FILE = 1 << 20, MOST_SOBOL = 40 /* dimensions of GSL's sequence */ };

/* ---- what can be set ---- */

enum key_kind {
    TEXT,
    FILE_NAME,
    ENGINE,
    NUMBER, /* with a unit; numbers, from here on */
    WHOLE, /* whole ones, from here on */
    AGAIN /* how often, or for which time, something is measured: paced runs have no option for it */
};

/* The options that a key stands for; NULL: the command does not take it; "": handled apart. */
struct key {
    const char *name;
    enum key_kind kind;
    const char *simulate, *bench, *run, *quality;
};

static const struct key keys[] = {
    {"engine", ENGINE, "", "", "", ""},
    {"model", FILE_NAME, "--model", "--model", "--model", "--model"},
    {"cluster", FILE_NAME, "--cluster", NULL, "--cluster", NULL},
    {"quant", TEXT, "--quant", "--quant", "--quant", "--quant"},
    {"strategy", TEXT, "--strategy", "--strategy", "--strategy", "--strategy"},
    {"cards", WHOLE, "--ranks", "", "", "--ranks"},
    {"users", WHOLE, "--users", "--batch", "--batch", NULL},
    {"prompt", WHOLE, "--prompt", "--n-prompt", "--n-prompt", NULL},
    {"generate", WHOLE, "--generate", "--n-predict", "--n-predict", NULL},
    {"context", WHOLE, "--ctx", "--ctx", "--ctx", NULL},
    {"chunk", WHOLE, "--chunk", "--chunk", "--chunk", "--chunk"},
    {"micro-batches", WHOLE, "--micro-batches", "--micro-batches", "--micro-batches", NULL},
    {"mode", TEXT, "--mode", "--mode", "--mode", "--mode"},
    {"kv", TEXT, "--kv", "--kv", "--kv", "--kv"},
    {"hidden", TEXT, "--hidden", "--hidden", "--hidden", "--hidden"},
    {"allreduce", TEXT, "--allreduce", "--allreduce", "--allreduce", "--allreduce"},
    {"wire", TEXT, "--wire", "--wire", "--wire", "--wire"},
    {"drop-sync", TEXT, "--drop-sync", "--drop-sync", "--drop-sync", "--drop-sync"},
    {"straggler", TEXT, "--straggler", NULL, "--straggler", NULL},
    {"shares", TEXT, "--shares", "--shares", "--shares", NULL},
    {"threads", WHOLE, NULL, "--threads", "--threads", "--threads"},
    {"transport", TEXT, NULL, "--transport", NULL, "--transport"},
    {"repeat", AGAIN, NULL, "--repeat", NULL, NULL},
    {"round", AGAIN, NULL, "", NULL, NULL},
    {"precision", TEXT, NULL, "--precision", NULL, NULL},
    {"rate", NUMBER, NULL, NULL, NULL, NULL},
    {"latency", NUMBER, NULL, NULL, NULL, NULL},
    {"lab-hosts", WHOLE, NULL, NULL, NULL, NULL},
    {"ranks-per-host", WHOLE, NULL, NULL, NULL, NULL},
    {"reference", FILE_NAME, NULL, NULL, NULL, "--reference"},
    {"text", FILE_NAME, NULL, NULL, NULL, ""},
    {"window", WHOLE, NULL, NULL, NULL, "--window"},
    {"windows", WHOLE, NULL, NULL, NULL, "--windows"},
    {"kernels", TEXT, NULL, NULL, NULL, "--kernels"},
    {0}};

/* In the lab: options of northwall-lab, "" as above; all other keys are as of bench. Rates and times have a range. */
static const struct parameter rate = {"rate", .kind = PARAMETER_BIT_RATE, .least = 1e3, .most = 1e12},
                              latency = {"latency", .kind = PARAMETER_TIME, .least = 0, .most = 1};
static const struct lab_key {
    const char *name, *option;
    const struct parameter *number;
} lab_keys[] = {{"rate", "--rate", &rate},
                {"latency", "--latency", &latency},
                {"lab-hosts", "--hosts", NULL},
                {"ranks-per-host", "--ranks-per-host", NULL},
                {"cluster", "", NULL}, /* what is known of the link */
                {0}};

/* NULL: none. */
static const struct lab_key *lab_key_of(const struct key *k) {
    const struct lab_key *l = lab_keys;
    while (l->name && strcmp(l->name, k->name))
        l++;
    return l->name ? l : NULL;
}

/* enum sweep_engine: its name, the command that it is, and words of that command. */
static const struct {
    const char *name, *command, *words[6];
} engines[] = {{"estimate", "simulate", {"--estimate", "--json"}},
               {"simulate", "simulate", {"--json"}},
               {"run", "bench", {"--json", "--quiet"}},
               {"emulate", "run", {"--clock", "virtual", "--ignore-eos", "--json", "--quiet"}},
               {"paced", "run", {"--clock", "paced", "--ignore-eos", "--json", "--quiet"}},
               {"lab", "bench", {"--json", "--quiet"}},
               {"quality", "quality", {"--json", "--quiet"}}};
enum { N_ENGINES = sizeof engines / sizeof *engines };
static const char engine_names[] = "valid are estimate, simulate, emulate, paced, run, lab, quality";

static const char *option_of(const struct key *k, enum sweep_engine e) {
    if (e == SWEEP_PACED && k->kind == AGAIN) return "";
    if (e == SWEEP_LAB) return lab_key_of(k) ? lab_key_of(k)->option : k->bench;
    if (e == SWEEP_QUALITY) return k->quality;
    return e == SWEEP_RUN ? k->bench : e == SWEEP_EMULATE || e == SWEEP_PACED ? k->run : k->simulate;
}

/* ---- a sweep ---- */

struct value {
    char text[SWEEP_TEXT], *path; /* path: of a file */
    uint64_t hash;
};

struct axis {
    char name[SWEEP_TEXT];
    const struct key *key; /* or */
    const struct parameter *parameter;
    int base, sobol, log, n; /* sobol: its dimension + 1 */
    int leader; /* the axis that it goes along with, or itself */
    double from, to;
    struct value *value; /* [n] */
};

struct sweep {
    int n_axes, n_sobol, sobol, timeout_s; /* sobol: draws; n_sobol: of so many axes */
    double *draw; /* [sobol][n_sobol] in [0, 1) */
    const struct axis *engine;
    struct axis axis[SWEEP_AXES];
};

struct reader {
    struct yaml_text yaml;
    struct sweep *out;
    char folder[PATH_MAX];
};

/* Whether its points are on a described cluster. */
static int is_described(enum sweep_engine e) {
    return e != SWEEP_RUN && e != SWEEP_LAB && e != SWEEP_QUALITY;
}

static int takes(const struct axis *a, enum sweep_engine e) {
    return a->parameter ? is_described(e) : option_of(a->key, e) != NULL;
}

static enum sweep_engine engine_of(const char *word) {
    int i = 0;
    while (i < N_ENGINES && strcmp(engines[i].name, word))
        i++;
    return (enum sweep_engine)i;
}

/* ---- values ---- */

static int fail_own(struct reader *r, const yaml_node_t *n, const struct axis *a, const struct diag *own) {
    return yaml_text_fail(&r->yaml, n, a->name, NULL, own->text);
}

/* A model may be a preset; its file's beginning, which says all about it but weights, stands for it. */
static int set_file(struct reader *r, const yaml_node_t *n, const struct axis *a, struct value *v, const char *text) {
    int cluster = !strcmp(a->name, "cluster"), model = !strcmp(a->name, "model"), rc = 0;
    char path[PATH_MAX + SWEEP_TEXT], *bytes;
    size_t len = strlen(text);
    if (model && !strchr(text, '/') && !(len > 5 && !strcasecmp(text + len - 5, ".gguf"))) return 0;
    snprintf(path, sizeof path, "%s%s%s", *text == '/' ? "" : r->folder, *text == '/' ? "" : "/", text);
    FILE *f = fopen(path, "rb");
    if (f && (bytes = malloc(MAX_FILE))) {
        size_t size = fread(bytes, 1, MAX_FILE, f);
        long end = fseek(f, 0, SEEK_END) ? -1 : ftell(f);
        v->hash = hash_bytes(bytes, size, (uint64_t)end);
        if (end < 0 || !size) rc = yaml_text_fail(&r->yaml, n, a->name, text, "cannot read this file");
        free(bytes);
    }
    v->path = f && !rc ? realpath(path, NULL) : NULL;
    if (f) fclose(f);
    if (rc || !v->path)
        return rc ? rc : yaml_text_fail(&r->yaml, n, a->name, text, "no such file from this one's folder");
    if (!cluster) return 0;
    const char *name = strrchr(v->path, '/') + 1;
    snprintf(v->text, sizeof v->text, "%.*s", (int)strcspn(name, "."), name);
    return 0;
}

/* What a number's range and unit are; NULL: it is a whole one. */
static const struct parameter *number_of(const struct axis *a) {
    return a->parameter ? a->parameter : a->key->kind == NUMBER ? lab_key_of(a->key)->number : NULL;
}

static int set_number(struct reader *r, const yaml_node_t *n, const struct axis *a, struct value *v, const char *text) {
    struct diag own = {0};
    double x = 0;
    long whole = 0;
    const struct parameter *number = number_of(a);
    int rc =
        number ? parameter_value(number, a->name, text, &x, &own) : text_int(text, 1, 1 << 24, a->name, &whole, &own);
    if (rc) return fail_own(r, n, a, &own);
    if (number)
        snprintf(v->text, sizeof v->text, "%.9g", x);
    else
        snprintf(v->text, sizeof v->text, "%ld", whole);
    return 0;
}

static int set_value(struct reader *r, const yaml_node_t *n, const struct axis *a, struct value *v) {
    const char *text = yaml_text_of(n);
    int rc = 0;
    if (!text || !*text || strlen(text) >= sizeof v->text)
        return yaml_text_fail(&r->yaml, n, a->name, text ? text : "", "a value of 1 to 127 characters is expected");
    snprintf(v->text, sizeof v->text, "%s", text);
    if (a->parameter || a->key->kind >= NUMBER)
        rc = set_number(r, n, a, v, text);
    else if (a->key->kind == FILE_NAME)
        rc = set_file(r, n, a, v, text);
    else if (a->key->kind == ENGINE && (int)engine_of(text) == N_ENGINES)
        rc = yaml_text_fail(&r->yaml, n, a->name, text, engine_names);
    if (!v->hash) v->hash = hash_bytes(v->text, strlen(v->text), 0);
    return rc;
}

static int add_values(struct reader *r, struct axis *a, int n) {
    a->value = calloc((size_t)n, sizeof *a->value);
    a->n = n;
    return a->value ? 0 : diag_set(r->yaml.d, ERR_MEMORY, "no memory for %d values of %s", n, a->name);
}

static int read_list(struct reader *r, const yaml_node_t *n, struct axis *a) {
    int count = (int)(n->data.sequence.items.top - n->data.sequence.items.start);
    int rc = count ? add_values(r, a, count) : yaml_text_fail(&r->yaml, n, a->name, NULL, "an empty list");
    for (int i = 0; i < count && !rc; i++)
        rc = set_value(r, yaml_text_node(&r->yaml, n->data.sequence.items.start[i]), a, &a->value[i]);
    return rc;
}

/* ---- ranges ---- */

/* Where a part of the way lies, as a value's text. */
static void range_text(const struct axis *a, double part, char *out, size_t cap) {
    double x = a->log ? a->from * pow(a->to / a->from, part) : a->from + part * (a->to - a->from);
    if (number_of(a))
        snprintf(out, cap, "%.9g", x);
    else
        snprintf(out, cap, "%.0f", nearbyint(x));
}

static int range_end(struct reader *r, const yaml_node_t *n, const struct axis *a, double *out) {
    struct value v = {.hash = 1};
    int rc = set_value(r, n, a, &v);
    *out = strtod(v.text, NULL);
    return rc;
}

static int range_key(struct reader *r, const yaml_node_t *name, const yaml_node_t *value, struct axis *a, long *n) {
    const char *word = yaml_text_of(name), *text = yaml_text_of(value);
    if (word && !strcmp(word, "from")) return range_end(r, value, a, &a->from);
    if (word && !strcmp(word, "to")) return range_end(r, value, a, &a->to);
    if (word && !strcmp(word, "n"))
        return text && !text_int(text, 2, 1000000, "n", n, NULL)
                   ? 0
                   : yaml_text_fail(&r->yaml, value, "n", text ? text : "", "a whole number from 2 to 1000000");
    if (!word || strcmp(word, "scale"))
        return yaml_text_fail(&r->yaml, name, "unknown key", word ? word : "", "valid are from, to, n, scale");
    a->log = text && !strcmp(text, "log");
    if (a->log || (text && !strcmp(text, "lin"))) return 0;
    return yaml_text_fail(&r->yaml, value, "scale", text ? text : "", "valid are lin, log");
}

static int read_range(struct reader *r, const yaml_node_t *n, struct axis *a) {
    long count = 0;
    int rc = 0;
    a->from = a->to = -1;
    if (!a->parameter && a->key->kind < NUMBER)
        return yaml_text_fail(&r->yaml, n, a->name, NULL, "its values are words: write a list");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top && !rc; p++)
        rc = range_key(r, yaml_text_node(&r->yaml, p->key), yaml_text_node(&r->yaml, p->value), a, &count);
    if (!rc && !(a->from >= 0 && a->to > a->from))
        rc = yaml_text_fail(&r->yaml, n, a->name, NULL, "a range needs from and to, the larger one");
    if (!rc && a->log && a->from <= 0)
        rc = yaml_text_fail(&r->yaml, n, a->name, NULL, "scale: log needs a range above 0");
    if (!rc && !count && r->out->n_sobol == MOST_SOBOL)
        rc = yaml_text_fail(&r->yaml, n, a->name, NULL, "at most 40 ranges are drawn together");
    if (!rc && !count) a->sobol = ++r->out->n_sobol;
    if (rc || !count) return rc;
    rc = add_values(r, a, (int)count);
    for (int i = 0; i < count && !rc; i++) {
        range_text(a, i / (double)(count - 1), a->value[i].text, sizeof a->value[i].text);
        a->value[i].hash = hash_bytes(a->value[i].text, strlen(a->value[i].text), 0);
    }
    return rc;
}

/* ---- axes ---- */

static char *key_names(char *buf, size_t cap) {
    size_t at = (size_t)snprintf(buf, cap, "valid are ");
    for (const struct key *k = keys; k->name && at < cap; k++)
        at += (size_t)snprintf(buf + at, cap - at, "%s, ", k->name);
    if (at < cap) parameter_names(buf + at, cap - at);
    return buf;
}

static int read_name(struct reader *r, const yaml_node_t *n, const char *word, struct axis *a) {
    char valid[512];
    const struct key *k = keys;
    while (k->name && !(word && !strcmp(word, k->name)))
        k++;
    a->key = k->name ? k : NULL;
    a->parameter = word ? parameter_of(word) : NULL;
    if ((!a->key && !a->parameter) || strlen(word) >= 48)
        return yaml_text_fail(&r->yaml, n, "unknown key", word ? word : "", key_names(valid, sizeof valid));
    snprintf(a->name, sizeof a->name, "%s", word);
    for (const struct axis *b = r->out->axis; b < a; b++)
        if (!strcmp(a->name, b->name)) return yaml_text_fail(&r->yaml, n, "key given twice:", word, NULL);
    if (a->key && a->key->kind == ENGINE) r->out->engine = a;
    return 0;
}

/* The next axis, with its name. NULL: *rc says why. */
static struct axis *add_axis_named(struct reader *r, const yaml_node_t *n, const char *word, int base, int *rc) {
    struct axis *a = &r->out->axis[r->out->n_axes];
    *rc = r->out->n_axes == SWEEP_AXES ? yaml_text_fail(&r->yaml, n, "at most 40 keys are possible", NULL, NULL) : 0;
    if (*rc) return NULL;
    a->base = base;
    a->leader = r->out->n_axes;
    *rc = read_name(r, n, word, a);
    r->out->n_axes++;
    return *rc ? NULL : a;
}

/* Row `row` of an axis of several keys: a value of each. */
static int read_row(struct reader *r, const yaml_node_t *n, struct axis *first, int n_keys, int row) {
    int count = n->type == YAML_SEQUENCE_NODE ? (int)(n->data.sequence.items.top - n->data.sequence.items.start) : 0;
    int rc = count == n_keys ? 0
                             : yaml_text_fail(&r->yaml, n, first->name, NULL,
                                              "a list of as many values as there are keys is expected");
    for (int i = 0; i < n_keys && !rc; i++)
        rc = set_value(r, yaml_text_node(&r->yaml, n->data.sequence.items.start[i]), &first[i], &first[i].value[row]);
    return rc;
}

/* "model mode: [[a, a16], [b, a8]]": keys that change together. */
static int read_together(struct reader *r, const yaml_node_t *name, const yaml_node_t *n) {
    char words[SWEEP_TEXT], *rest = words;
    struct axis *first = &r->out->axis[r->out->n_axes];
    int rc = 0, n_keys = 0;
    int rows = n->type == YAML_SEQUENCE_NODE ? (int)(n->data.sequence.items.top - n->data.sequence.items.start) : 0;
    snprintf(words, sizeof words, "%s", yaml_text_of(name));
    if (!rows)
        return yaml_text_fail(&r->yaml, n, words, NULL, "write [[a, b, ...], ...], a value of each key in a row");
    for (const char *word; (word = strsep(&rest, " ")) && !rc; n_keys++) {
        struct axis *a = add_axis_named(r, name, word, 0, &rc);
        if (a) a->leader = (int)(first - r->out->axis);
        if (a) rc = add_values(r, a, rows);
    }
    for (int i = 0; i < rows && !rc; i++)
        rc = read_row(r, yaml_text_node(&r->yaml, n->data.sequence.items.start[i]), first, n_keys, i);
    return rc;
}

static int read_axes(struct reader *r, const yaml_node_t *map, int base) {
    int rc = map->type == YAML_MAPPING_NODE
                 ? 0
                 : yaml_text_fail(&r->yaml, map, base ? "base" : "axes", NULL, "keys with values are expected");
    for (yaml_node_pair_t *p = rc ? NULL : map->data.mapping.pairs.start; p && p < map->data.mapping.pairs.top && !rc;
         p++) {
        const yaml_node_t *name = yaml_text_node(&r->yaml, p->key), *n = yaml_text_node(&r->yaml, p->value);
        const char *word = yaml_text_of(name);
        if (!base && word && strchr(word, ' ') && strlen(word) < SWEEP_TEXT) {
            rc = read_together(r, name, n);
            continue;
        }
        struct axis *a = add_axis_named(r, name, word, base, &rc);
        if (!a) return rc;
        if (base) {
            rc = add_values(r, a, 1);
            if (!rc) rc = set_value(r, n, a, &a->value[0]);
        } else if (n->type == YAML_SEQUENCE_NODE) {
            rc = read_list(r, n, a);
        } else {
            rc = n->type == YAML_MAPPING_NODE
                     ? read_range(r, n, a)
                     : yaml_text_fail(&r->yaml, n, a->name, yaml_text_of(n), "write [a, b, ...] or {from, to, n}");
        }
    }
    return rc;
}

/* ---- the file ---- */

static const char *const top_keys[] = {"schema", "version", "base", "axes", "sobol", "timeout"};
enum { SCHEMA, VERSION, BASE, AXES, SOBOL, TIMEOUT, N_TOP };

static int read_count(struct reader *r, const yaml_node_t *n, const char *name, long most, int *out) {
    long v = 0;
    const char *text = yaml_text_of(n);
    if (!text || text_int(text, 1, most, name, &v, NULL))
        return yaml_text_fail(&r->yaml, n, name, text ? text : "", "a whole number above 0 is expected");
    *out = (int)v;
    return 0;
}

static int read_top(struct reader *r, int key, const yaml_node_t *n) {
    const char *text = yaml_text_of(n);
    switch (key) {
    case SCHEMA:
        return text && !strcmp(text, "northwall-sweep")
                   ? 0
                   : yaml_text_fail(&r->yaml, n, "schema", text ? text : "", "northwall-sweep is expected");
    case VERSION:
        return text && !strcmp(text, "1")
                   ? 0
                   : yaml_text_fail(&r->yaml, n, "version", text ? text : "", "this program reads version 1");
    case BASE: return read_axes(r, n, 1);
    case AXES: return read_axes(r, n, 0);
    case SOBOL: return read_count(r, n, "sobol", SWEEP_MOST_POINTS, &r->out->sobol);
    default: return read_count(r, n, "timeout", 1000000, &r->out->timeout_s);
    }
}

/* Whether the sweep uses an engine. */
static int uses(const struct sweep *s, enum sweep_engine e) {
    int found = !s->engine && e == SWEEP_SIMULATE;
    for (int i = 0; s->engine && i < s->engine->n; i++)
        found |= engine_of(s->engine->value[i].text) == e;
    return found;
}

static int has(const struct sweep *s, const char *name) {
    for (int i = 0; i < s->n_axes; i++)
        if (!strcmp(s->axis[i].name, name)) return 1;
    return 0;
}

/* Of all of a file: two models may differ in weights alone. */
static int hash_whole(struct value *v, const char *name, struct diag *d) {
    enum { PIECE = 1 << 20 };
    char *bytes = malloc(PIECE);
    FILE *f = fopen(v->path, "rb");
    size_t n = 0;
    v->hash = 0;
    while (f && bytes && (n = fread(bytes, 1, PIECE, f)) > 0)
        v->hash = hash_bytes(bytes, n, v->hash + 1);
    int bad = !f || !bytes || ferror(f);
    if (f) fclose(f);
    free(bytes);
    return bad ? diag_set(d, ERR_IO, "%s: %.300s: cannot read this file", name, v->path) : 0;
}

/* A quality depends on all of its files. */
static int hash_files(struct sweep *s, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < s->n_axes; i++)
        for (int k = 0; k < s->axis[i].n && !rc; k++)
            if (s->axis[i].value[k].path && strcmp(s->axis[i].name, "cluster") != 0)
                rc = hash_whole(&s->axis[i].value[k], s->axis[i].name, d);
    return rc;
}

static int check(struct reader *r, const yaml_node_t *root) {
    struct sweep *s = r->out;
    char why[128];
    for (int e = 0; e < N_ENGINES; e++)
        for (int i = 0; i < s->n_axes && uses(s, (enum sweep_engine)e); i++) {
            snprintf(why, sizeof why, "engine %s does not take it", engines[e].name);
            if (!s->axis[i].base && !takes(&s->axis[i], (enum sweep_engine)e))
                return yaml_text_fail(&r->yaml, root, "axis", s->axis[i].name, why);
        }
    if (!has(s, "model")) return yaml_text_fail(&r->yaml, root, "base", NULL, "the key model is missing");
    int described = 0;
    for (int e = 0; e < N_ENGINES; e++)
        described |= is_described((enum sweep_engine)e) && uses(s, (enum sweep_engine)e);
    if (described && !has(s, "cluster"))
        return yaml_text_fail(&r->yaml, root, "base", NULL, "the key cluster is missing: of which cards?");
    if (uses(s, SWEEP_QUALITY) && !has(s, "text"))
        return yaml_text_fail(&r->yaml, root, "base", NULL, "the key text is missing: quality of predicting what?");
    if (uses(s, SWEEP_LAB) && !has(s, "rate"))
        return yaml_text_fail(&r->yaml, root, "base", NULL, "the key rate is missing: of which links?");
    if (!s->sobol != !s->n_sobol)
        return yaml_text_fail(&r->yaml, root, "sobol", NULL,
                              s->sobol ? "no axis is a range without n, which it would draw"
                                       : "an axis is a range without n: give n, or sobol: N draws");
    if (sweep_points(s) > SWEEP_MOST_POINTS)
        return yaml_text_fail(&r->yaml, root, "axes", NULL, "more than 10000000 points");
    return uses(s, SWEEP_QUALITY) ? hash_files(s, r->yaml.d) : 0;
}

static int draw(struct sweep *s, struct diag *d) {
    if (!s->sobol) return 0;
    gsl_qrng *q = gsl_qrng_alloc(gsl_qrng_sobol, (unsigned)s->n_sobol);
    s->draw = calloc((size_t)s->sobol, (size_t)s->n_sobol * sizeof *s->draw);
    int rc = q && s->draw ? 0 : diag_set(d, ERR_MEMORY, "no memory for %d draws", s->sobol);
    for (int i = 0; i < s->sobol && !rc; i++)
        gsl_qrng_get(q, s->draw + (size_t)i * (size_t)s->n_sobol);
    if (q) gsl_qrng_free(q);
    return rc;
}

static int read_root(struct reader *r) {
    const yaml_node_t *root = yaml_document_get_root_node(&r->yaml.doc);
    int seen[N_TOP] = {0}, rc = 0;
    if (!root) return diag_set(r->yaml.d, ERR_FORMAT, "%.200s:1: empty: a sweep is expected", r->yaml.path);
    if (root->type != YAML_MAPPING_NODE)
        return yaml_text_fail(&r->yaml, root, "a sweep", NULL, "valid are schema, version, base, axes, sobol, timeout");
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top && !rc; p++) {
        const yaml_node_t *name = yaml_text_node(&r->yaml, p->key);
        const char *word = yaml_text_of(name);
        int i = 0;
        while (i < N_TOP && !(word && !strcmp(word, top_keys[i])))
            i++;
        if (i == N_TOP)
            return yaml_text_fail(&r->yaml, name, "unknown key", word ? word : "",
                                  "valid are schema, version, base, axes, sobol, timeout");
        if (seen[i]++) return yaml_text_fail(&r->yaml, name, "key given twice:", word, NULL);
        rc = read_top(r, i, yaml_text_node(&r->yaml, p->value));
    }
    for (int i = 0; i <= BASE && !rc; i++)
        if (!seen[i]) rc = yaml_text_fail(&r->yaml, root, "a sweep needs the key", top_keys[i], NULL);
    return rc ? rc : check(r, root);
}

int sweep_parse(struct sweep **out, const char *path, const char *text, size_t len, struct diag *d) {
    struct sweep *s = *out = calloc(1, sizeof *s);
    struct reader r = {.out = s};
    const char *slash = strrchr(path, '/');
    int rc =
        s ? yaml_text_parse(&r.yaml, path, text, len, d) : diag_set(d, ERR_MEMORY, "%.200s: no memory for it", path);
    if (!rc) {
        s->timeout_s = 600;
        snprintf(r.folder, sizeof r.folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        rc = read_root(&r);
        yaml_document_delete(&r.yaml.doc);
    }
    if (!rc) rc = draw(s, d);
    if (!rc) return 0;
    sweep_free(s);
    *out = NULL;
    return rc;
}

int sweep_read(struct sweep **out, const char *path, struct diag *d) {
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    int rc = text_read_file(path, MAX_BYTES, &text, &len, d);
    if (!rc) rc = sweep_parse(out, path, text, len, d);
    free(text);
    return rc;
}

void sweep_free(struct sweep *s) {
    for (int i = 0; s && i < s->n_axes; i++) {
        for (int k = 0; k < s->axis[i].n && s->axis[i].value; k++)
            free(s->axis[i].value[k].path);
        free(s->axis[i].value);
    }
    if (s) free(s->draw);
    free(s);
}

/* ---- points ---- */

long sweep_points(const struct sweep *s) {
    double n = s->sobol ? s->sobol : 1;
    for (int i = 0; i < s->n_axes; i++)
        if (!s->axis[i].sobol && s->axis[i].leader == i) n *= s->axis[i].n;
    return n > 1e18 ? LONG_MAX : (long)n;
}

int sweep_timeout_s(const struct sweep *s) {
    return s->timeout_s;
}

/* The words' text grows in out->text, which has room for all axes. */
static const char *keep(struct sweep_point *p, size_t *used, const char *a, const char *b, const char *c) {
    char *at = p->text + *used;
    *used += (size_t)(stpcpy(stpcpy(stpcpy(at, a), b), c) - at) + 1;
    return at;
}

/* As northwall-lab reads it: rates in Mb/s, times in ns. */
static const char *keep_lab(struct sweep_point *p, size_t *used, const struct axis *a, const char *text) {
    char number[32];
    if (!number_of(a)) return keep(p, used, text, "", "");
    int time = number_of(a)->kind == PARAMETER_TIME;
    snprintf(number, sizeof number, time ? "%.0f" : "%.9g", strtod(text, NULL) * (time ? 1e9 : 1e-6));
    return keep(p, used, number, time ? "ns" : "Mb/s", "");
}

/* Who waits for a rank that does not come says so before the point is late: bench's own limit is 60 s. */
static void add_patience(struct sweep_point *p, size_t *used, int timeout_s) {
    enum { SHARE = 4, OWN_S = 60 };
    char wait[16];
    if (p->engine != SWEEP_LAB || timeout_s >= SHARE * OWN_S) return;
    snprintf(wait, sizeof wait, "%d", timeout_s > SHARE ? timeout_s / SHARE : 1);
    p->word[p->n_words++] = "--timeout";
    p->word[p->n_words++] = keep(p, used, wait, "", "");
}

static void add_words(struct sweep_point *p, size_t *used, const struct axis *a, const char *text, const char *path) {
    const char *option = a->parameter ? "--set" : option_of(a->key, p->engine);
    if (!*option && !strcmp(a->name, "cards")) p->ranks = atoi(text);
    if (!*option && !strcmp(a->name, "text")) p->word[p->n_words++] = path;
    if (!*option) return;
    if (p->engine == SWEEP_LAB && lab_key_of(a->key)) {
        p->lab[p->n_lab++] = option;
        p->lab[p->n_lab++] = keep_lab(p, used, a, text);
        return;
    }
    p->word[p->n_words++] = option;
    if (a->parameter) {
        p->word[p->n_words++] = keep(p, used, a->name, "=", text);
        if (a->parameter->kind == PARAMETER_TIME) {
            --*used; /* over the end of the text: its unit */
            keep(p, used, "s", "", "");
        }
    } else {
        p->word[p->n_words++] = path ? path : keep(p, used, text, "", "");
    }
}

static void add_axis(struct sweep_point *p, size_t *used, const struct axis *a, const struct value *v) {
    uint64_t hash = hash_bytes(a->name, strlen(a->name), v->hash);
    p->at[p->n].name = a->name;
    strcpy(p->at[p->n++].value, v->text);
    p->hash += hash_mix(hash); /* the order of axes does not count */
    if (!strcmp(a->name, "cluster")) {
        p->cluster = v->path;
        p->cluster_hash = v->hash;
    }
    add_words(p, used, a, v->text, v->path);
}

static struct value drawn(const struct sweep *s, const struct axis *a, long row) {
    struct value v = {{0}, NULL, 0};
    range_text(a, s->draw[row * s->n_sobol + a->sobol - 1], v.text, sizeof v.text);
    v.hash = hash_bytes(v.text, strlen(v.text), 0);
    return v;
}

/* engine: its own, or the one that is asked for. */
static void set_point(struct sweep_point *p, const struct sweep *s, long i, const enum sweep_engine *engine) {
    size_t used = 0;
    long index[SWEEP_AXES];
    p->engine = SWEEP_SIMULATE; /* the rest need not be zeroed, which would take longer than all below */
    p->hash = hash_bytes(NW_VERSION, strlen(NW_VERSION), 0);
    p->cluster_hash = 0;
    p->n = p->n_words = p->n_lab = p->ranks = 0;
    p->cluster = NULL;
    for (int k = s->n_axes - 1; k >= 0; k--) {
        int counts = !s->axis[k].sobol && s->axis[k].leader == k;
        index[k] = counts ? i % s->axis[k].n : 0;
        i = counts ? i / s->axis[k].n : i;
    }
    for (int k = 0; k < s->n_axes; k++)
        index[k] = index[s->axis[k].leader];
    if (s->engine) p->engine = engine_of(s->engine->value[index[s->engine - s->axis]].text);
    if (engine) p->engine = *engine;
    p->word[p->n_words++] = engines[p->engine].command;
    p->at[p->n].name = "engine";
    strcpy(p->at[p->n++].value, engines[p->engine].name);
    for (int k = 0; k < s->n_axes; k++) {
        const struct axis *a = &s->axis[k];
        if (a == s->engine || !takes(a, p->engine)) continue;
        struct value v;
        if (a->sobol) v = drawn(s, a, i);
        add_axis(p, &used, a, a->sobol ? &v : &a->value[index[k]]);
    }
    for (const char *const *word = engines[p->engine].words; *word; word++)
        p->word[p->n_words++] = *word;
    add_patience(p, &used, s->timeout_s);
    p->hash = hash_mix(p->hash + (uint64_t)p->engine);
}

void sweep_point(struct sweep_point *p, const struct sweep *s, long i) {
    set_point(p, s, i, NULL);
}

void sweep_point_as(struct sweep_point *p, const struct sweep *s, long i, enum sweep_engine engine) {
    set_point(p, s, i, &engine);
}
