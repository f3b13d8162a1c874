/* Printing a file for people. Tensors that repeat in layers are folded: those of one name after "blk.N.", one type and
 * one shape become one row, "blk.{0-4,6}.attn_q.weight", so that a mixed file shows which layers differ. */
#include "format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { SHORT_TEXT = 60, SHORT_ARRAY = 5, NAME_COLUMN = 32 };

/* ---- text of a file, safe for a terminal ---- */

/* Bytes of the printable UTF-8 character at p (n > 0 bytes left), 0 if there is none. */
static int utf8_length(const unsigned char *p, uint64_t n) {
    uint32_t code = p[0];
    int len = code < 0x80 ? 1 : code < 0xc2 ? 0 : code < 0xe0 ? 2 : code < 0xf0 ? 3 : code < 0xf5 ? 4 : 0;
    if (!len || (uint64_t)len > n) return 0;
    if (len > 1) code &= 0xffu >> (len + 1);
    for (int i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0x20, 0xa0, 0x800, 0x10000};
    int bidi = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    if (code < least[len] || code == 0x7f || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff || bidi) return 0;
    return len;
}

/* At most `limit` characters; the rest is counted. */
static void print_text(FILE *out, struct gguf_str s, uint64_t limit) {
    const unsigned char *p = (const unsigned char *)s.data;
    uint64_t at = 0;
    while (at < s.len && limit--) {
        int len = utf8_length(p + at, s.len - at);
        if (p[at] == '\n')
            fputs("\\n", out);
        else if (p[at] == '"' || p[at] == '\\')
            fprintf(out, "\\%c", p[at]);
        else if (len)
            fwrite(p + at, 1, (size_t)len, out);
        else
            fprintf(out, "\\x%02x", p[at]);
        at += len ? (uint64_t)len : 1;
    }
    if (at < s.len) fprintf(out, "... (%" PRIu64 " bytes)", s.len);
}

static void print_quoted(FILE *out, struct gguf_str s, uint64_t limit) {
    fputc('"', out);
    print_text(out, s, limit);
    fputc('"', out);
}

/* ---- metadata ---- */

/* The shortest decimal that reads back as the same number. */
static void print_float(FILE *out, double v, int is_f32) {
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if (is_f32 ? (float)back == (float)v : back == v) break;
    }
    fputs(text, out);
}

/* The value of a kind that lies at p; returns what follows it. */
static const uint8_t *print_value(FILE *out, enum gguf_kind kind, const uint8_t *p, uint64_t limit) {
    struct gguf_str s;
    switch (kind) {
    case GGUF_STRING:
        s = (struct gguf_str){(const char *)p + 8, gguf_load_u64(p)};
        print_quoted(out, s, limit);
        return p + 8 + s.len;
    case GGUF_F32:
    case GGUF_F64: print_float(out, gguf_load_float(kind, p), kind == GGUF_F32); break;
    case GGUF_BOOL: fputs(*p ? "true" : "false", out); break;
    case GGUF_U64: fprintf(out, "%" PRIu64, gguf_load_u64(p)); break;
    default: fprintf(out, "%" PRId64, gguf_load_int(kind, p));
    }
    return p + gguf_kind_bytes(kind);
}

static void print_array(FILE *out, const struct gguf_kv *kv, int all) {
    uint64_t n = all || kv->count <= SHORT_ARRAY ? kv->count : SHORT_ARRAY;
    const uint8_t *p = kv->items;
    fprintf(out, "%" PRIu64 " %s [", kv->count, gguf_kind_name(kv->item_kind));
    for (uint64_t i = 0; i < n; i++) {
        if (i) fputs(", ", out);
        p = print_value(out, kv->item_kind, p, all ? UINT64_MAX : SHORT_TEXT / SHORT_ARRAY);
    }
    fputs(n < kv->count ? ", ...]" : "]", out);
}

static void print_pair(FILE *out, const struct gguf_kv *kv, int all) {
    fputs("  ", out);
    print_text(out, kv->key, all ? UINT64_MAX : SHORT_TEXT);
    fprintf(out, "%*s  %-5s  ", kv->key.len < NAME_COLUMN + 8 ? (int)(NAME_COLUMN + 8 - kv->key.len) : 0, "",
            gguf_kind_name(kv->kind));
    if (kv->kind == GGUF_ARRAY)
        print_array(out, kv, all);
    else
        print_value(out, kv->kind, kv->items, all ? UINT64_MAX : SHORT_TEXT);
    fputc('\n', out);
}

/* ---- tensors ---- */

/* A tensor as row of the table; rows of one fold are neighbours once sorted. */
struct row {
    const struct gguf_tensor *t;
    long layer; /* of "blk.N.", else -1 */
    struct gguf_str rest; /* name behind "blk.N.", else the whole name */
    uint64_t first; /* lowest index in the file of its fold */
};

static struct row row_of(const struct gguf *g, uint64_t i, int fold) {
    const struct gguf_tensor *t = &g->tensors[i];
    struct row r = {t, -1, t->name, i};
    uint64_t at = 4;
    long layer = 0;
    if (!fold || t->name.len < 7 || memcmp(t->name.data, "blk.", 4)) return r;
    for (; at < t->name.len && at < 13 && t->name.data[at] >= '0' && t->name.data[at] <= '9'; at++)
        layer = layer * 10 + (t->name.data[at] - '0');
    int canonical = at == 5 || t->name.data[4] != '0'; /* "blk.01." is a name of its own */
    if (at == 4 || !canonical || at >= t->name.len || t->name.data[at] != '.') return r;
    r.layer = layer;
    r.rest = (struct gguf_str){t->name.data + at, t->name.len - at};
    return r;
}

/* Order of folds: 0 for two rows of one fold. */
static int compare_fold(const struct row *a, const struct row *b) {
    if ((a->layer < 0) != (b->layer < 0)) return a->layer < 0 ? -1 : 1;
    if (a->t->type != b->t->type) return a->t->type < b->t->type ? -1 : 1;
    if (a->t->n_dims != b->t->n_dims) return a->t->n_dims < b->t->n_dims ? -1 : 1;
    for (int i = 0; i < GGUF_MAX_DIMS; i++)
        if (a->t->ne[i] != b->t->ne[i]) return a->t->ne[i] < b->t->ne[i] ? -1 : 1;
    if (a->rest.len != b->rest.len) return a->rest.len < b->rest.len ? -1 : 1;
    return memcmp(a->rest.data, b->rest.data, a->rest.len);
}

static int compare_row(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    int order = compare_fold(x, y);
    return order ? order : (x->layer > y->layer) - (x->layer < y->layer);
}

static int compare_first(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->layer > y->layer) - (x->layer < y->layer);
}

/* Rows in the order of the table: folds together, by the place of their first tensor in the file. NULL without memory.
 */
static struct row *sorted_rows(const struct gguf *g, int fold) {
    struct row *rows = malloc((g->n_tensors + 1) * sizeof *rows);
    if (!rows) return NULL;
    for (uint64_t i = 0; i < g->n_tensors; i++)
        rows[i] = row_of(g, i, fold);
    if (!fold) return rows;
    qsort(rows, g->n_tensors, sizeof *rows, compare_row);
    for (uint64_t i = 0, end; i < g->n_tensors; i = end) {
        uint64_t first = rows[i].first;
        for (end = i; end < g->n_tensors && !compare_fold(&rows[i], &rows[end]); end++)
            if (rows[end].first < first) first = rows[end].first;
        for (uint64_t j = i; j < end; j++)
            rows[j].first = first;
    }
    qsort(rows, g->n_tensors, sizeof *rows, compare_first);
    return rows;
}

/* "{0-4,6}" of rows of one fold; returns the characters printed. */
static int print_layers(FILE *out, const struct row *rows, uint64_t n) {
    int width = fputs("{", out) >= 0;
    for (uint64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && rows[end].layer == rows[end - 1].layer + 1; end++)
            continue;
        width += fprintf(out, "%s%ld", i ? "," : "", rows[i].layer);
        if (end - i > 1) width += fprintf(out, "-%ld", rows[end - 1].layer);
    }
    return width + fprintf(out, "}");
}

static void print_name(FILE *out, const struct row *rows, uint64_t n) {
    int width = (int)rows->rest.len;
    fputs("  ", out);
    if (rows->layer >= 0) width += fprintf(out, "blk.");
    if (n > 1)
        width += print_layers(out, rows, n);
    else if (rows->layer >= 0)
        width += fprintf(out, "%ld", rows->layer);
    print_text(out, rows->rest, UINT64_MAX);
    fprintf(out, "%*s", width < NAME_COLUMN ? NAME_COLUMN - width : 0, "");
}

static void print_type(FILE *out, int type) {
    char name[24];
    if (gguf_storage(type))
        snprintf(name, sizeof name, "%s", gguf_type_name(type));
    else
        snprintf(name, sizeof name, "type %d", type);
    fprintf(out, "  %-8s", name);
}

static void print_fold(FILE *out, const struct row *rows, uint64_t n) {
    const struct gguf_tensor *t = rows->t;
    char dims[96];
    int at = 0;
    for (int i = 0; i < t->n_dims; i++)
        at += snprintf(dims + at, sizeof dims - (size_t)at, "%s%" PRId64, i ? " x " : "", t->ne[i]);
    print_name(out, rows, n);
    print_type(out, t->type);
    fprintf(out, "  %-20s", t->n_dims ? dims : "one value");
    if (n > 1)
        fprintf(out, " %6" PRIu64 " x ", n);
    else
        fprintf(out, "%10s", "");
    if (t->bytes)
        fprintf(out, "%12zu\n", t->bytes);
    else
        fprintf(out, "%12s\n", "unknown");
}

static void print_tensors(const struct gguf *g, FILE *out, const struct row *rows, int fold) {
    if (g->n_tensors) fprintf(out, "tensors (bytes each)\n");
    for (uint64_t i = 0, end; i < g->n_tensors; i = end) {
        for (end = i + 1; fold && end < g->n_tensors && rows[end].first == rows[i].first; end++)
            continue;
        print_fold(out, &rows[i], end - i);
    }
}

/* ---- totals ---- */

/* Rows of the totals in order of type: rows are sorted anew. */
static int compare_type(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    return (x->t->type > y->t->type) - (x->t->type < y->t->type);
}

static void print_totals(const struct gguf *g, FILE *out, struct row *rows) {
    if (g->n_tensors) fprintf(out, "totals\n");
    qsort(rows, g->n_tensors, sizeof *rows, compare_type);
    for (uint64_t i = 0, end; i < g->n_tensors; i = end) {
        double weights = 0, bytes = 0;
        char text[24];
        for (end = i; end < g->n_tensors && rows[end].t->type == rows[i].t->type; end++) {
            const int64_t *ne = rows[end].t->ne;
            weights += (double)ne[0] * (double)ne[1] * (double)ne[2] * (double)ne[3];
            bytes += (double)rows[end].t->bytes;
        }
        print_type(out, rows[i].t->type);
        fprintf(out, "  %" PRIu64 " tensors, %.0f weights", end - i, weights);
        if (bytes > 0)
            fprintf(out, ", %s, %.4g bits a weight", text_bytes(text, sizeof text, bytes), 8 * bytes / weights);
        fputc('\n', out);
    }
}

int gguf_print(const struct gguf *g, FILE *out, int all, struct diag *d) {
    char size[24];
    struct row *rows = sorted_rows(g, !all);
    if (!rows) return diag_set(d, ERR_MEMORY, "%s: no memory to list its tensors", g->path);
    print_text(out, (struct gguf_str){g->path, strlen(g->path)}, UINT64_MAX);
    fprintf(out,
            ": GGUF version %d, %s (%zu bytes), %" PRIu64 " metadata pairs, %" PRIu64 " tensors, data at byte %zu "
            "aligned to %zu\nmetadata\n",
            g->version, text_bytes(size, sizeof size, (double)g->file_bytes), g->file_bytes, g->n_kv, g->n_tensors,
            g->data_offset, g->alignment);
    for (uint64_t i = 0; i < g->n_kv; i++)
        print_pair(out, &g->kv[i], all);
    print_tensors(g, out, rows, !all);
    print_totals(g, out, rows);
    free(rows);
    return fflush(out) || ferror(out) ? diag_set(d, ERR_IO, "cannot write the description of %s", g->path) : 0;
}
