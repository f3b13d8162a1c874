/* Reading: a real file, every kind in versions 2 and 3, every way a file can be wrong, and what is not a file. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "build.h"
#include "check.h"
#include "models/tensor_type.h"
#include "probe.h"

static struct gguf *open_build(const struct build *b, struct diag *d) {
    struct gguf *g;
    *d = (struct diag){0};
    int rc = gguf_open_memory(&g, b->data, b->n, "built", d);
    CHECK(rc == d->code, "code %d against diag %d", rc, d->code);
    return g;
}

/* ---- a real file: karpathy's stories260K ---- */

static void check_matrix(const struct gguf *g, int layer, const char *what, int64_t cols, int64_t rows) {
    char name[64];
    snprintf(name, sizeof name, layer < 0 ? "%s" : "blk.%2$d.%1$s", what, layer);
    const struct gguf_tensor *t = gguf_tensor_find(g, name);
    CHECK(t && t->type == 0 && t->ne[0] == cols && t->ne[1] == rows && t->n_dims == (rows > 1 ? 2 : 1), "%s", name);
    CHECK(t && t->data && t->bytes == (size_t)(cols * rows * 4), "%s", name);
}

static void check_layer(const struct gguf *g, int layer) {
    check_matrix(g, layer, "attn_norm.weight", 64, 1);
    check_matrix(g, layer, "attn_q.weight", 64, 64);
    check_matrix(g, layer, "attn_k.weight", 64, 32);
    check_matrix(g, layer, "attn_v.weight", 64, 32);
    check_matrix(g, layer, "attn_output.weight", 64, 64);
    check_matrix(g, layer, "ffn_norm.weight", 64, 1);
    check_matrix(g, layer, "ffn_gate.weight", 64, 172);
    check_matrix(g, layer, "ffn_up.weight", 64, 172);
    check_matrix(g, layer, "ffn_down.weight", 172, 64);
}

static void check_int(const struct gguf *g, const char *key, int64_t want) {
    int64_t v;
    CHECK(gguf_get_int(g, key, -77, &v, NULL) == 0 && v == want, "%s: %lld", key, (long long)v);
}

static void test_real_file(void) {
    struct gguf *g;
    struct diag d = {0};
    struct gguf_str s;
    double eps;
    int bos;
    int rc = gguf_open(&g, NW_TEST_DATA "/stories260K-f32.gguf", &d);
    CHECK(rc == 0, "%s", d.text);
    if (rc) return;
    CHECK(g->version == 3 && g->n_tensors == 47 && g->n_kv == 22 && g->alignment == 32, "header");
    CHECK(gguf_get_str(g, "general.architecture", &s, &d) == 0 && s.len == 5 && !memcmp(s.data, "llama", 5), "arch");
    check_int(g, "llama.block_count", 5);
    check_int(g, "llama.embedding_length", 64);
    check_int(g, "llama.attention.head_count", 8);
    check_int(g, "llama.attention.head_count_kv", 4);
    check_int(g, "llama.feed_forward_length", 172);
    check_int(g, "llama.vocab_size", 512);
    check_int(g, "no.such.key", -77);
    CHECK(gguf_get_float(g, "llama.attention.layer_norm_rms_epsilon", 0, &eps, &d) == 0 && eps == (double)1e-5f, "eps");
    CHECK(gguf_get_bool(g, "tokenizer.ggml.add_bos_token", 0, &bos, &d) == 0 && bos == 1, "bos");
    for (int layer = 0; layer < 5; layer++)
        check_layer(g, layer);
    check_matrix(g, -1, "token_embd.weight", 64, 512);
    check_matrix(g, -1, "output_norm.weight", 64, 1);
    CHECK(!gguf_tensor_find(g, "blk.5.attn_q.weight") && !gguf_tensor_find(g, ""), "absent tensors");
    const struct gguf_kv *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    struct gguf_str *table = tokens ? gguf_strings(tokens) : NULL;
    CHECK(table && tokens->count == 512 && table[1].len == 3 && !memcmp(table[1].data, "<s>", 3), "tokens");
    CHECK(table && table[511].data + table[511].len == (const char *)tokens->items + tokens->item_bytes, "last token");
    free(table);
    gguf_close(g);
}

/* ---- every kind ---- */

static void test_all_kinds(uint32_t version) {
    struct build b;
    struct diag d;
    build_all_kinds(&b, version);
    struct gguf *g = open_build(&b, &d);
    CHECK(g, "%s", d.text);
    if (!g) return;
    CHECK(g->version == (int)version && g->n_kv == 24 && g->n_tensors == 4, "version %u", version);
    check_int(g, "kind.a", 1);
    check_int(g, "kind.c", 0x201);
    check_int(g, "kind.e", 0x4030201);
    check_int(g, "kind.l", (int64_t)0x8007060504030201u);
    CHECK(gguf_find(g, "kind.k")->value.u == 0x8007060504030201u && gguf_find(g, "kind.h")->value.u == 1, "u64, bool");
    const struct gguf_kv *text = gguf_find(g, "kind.i");
    CHECK(text->value.str.len == 6 && !memcmp(text->value.str.data, "a text", 6) && text->item_bytes == 14, "text");
    gguf_close(g);
}

/* ---- typed reads ---- */

static void add_int(struct build *b, const char *key, uint32_t kind, int64_t v, size_t n) {
    put_key(b, key, kind);
    put_bytes(b, &v, n);
}

static struct gguf *numbers(struct build *b, struct diag *d) {
    float f = 2.5f, inf = INFINITY;
    double nan = NAN;
    put_header(b, 3, 0, 12);
    add_int(b, "u8", 0, 255, 1);
    add_int(b, "i8", 1, -128, 1);
    add_int(b, "u16", 2, 65535, 2);
    add_int(b, "i16", 3, -2, 2);
    add_int(b, "u32", 4, 4294967295, 4);
    add_int(b, "i32", 5, -3, 4);
    add_int(b, "u64", 10, -1, 8);
    add_int(b, "i64", 11, INT64_MIN, 8);
    add_int(b, "one", 0, 1, 1);
    put_key(b, "f32", 6);
    put_bytes(b, &f, 4);
    put_key(b, "inf", 6);
    put_bytes(b, &inf, 4);
    put_key(b, "nan", 12);
    put_bytes(b, &nan, 8);
    return open_build(b, d);
}

static void test_typed_reads(void) {
    struct build b;
    struct diag d;
    struct gguf_str s;
    double f;
    int64_t i;
    int flag;
    struct gguf *g = numbers(&b, &d);
    CHECK(g, "%s", d.text);
    if (!g) return;
    check_int(g, "u8", 255);
    check_int(g, "i8", -128);
    check_int(g, "u16", 65535);
    check_int(g, "i16", -2);
    check_int(g, "u32", 4294967295);
    check_int(g, "i32", -3);
    check_int(g, "i64", INT64_MIN);
    CHECK(gguf_get_int(g, "u64", 5, &i, &d) == ERR_FORMAT && i == 5 && strstr(d.text, "'u64'"), "%s", d.text);
    CHECK(gguf_get_int(g, "f32", 5, &i, NULL) == ERR_FORMAT && i == 5, "a float is no integer");
    CHECK(gguf_get_float(g, "u64", 0, &f, NULL) == 0 && f == 0x1p64, "u64 as float %g", f);
    CHECK(gguf_get_float(g, "i16", 0, &f, NULL) == 0 && f == -2, "i16 as float %g", f);
    CHECK(gguf_get_float(g, "f32", 0, &f, NULL) == 0 && f == 2.5, "f32 %g", f);
    CHECK(gguf_get_float(g, "inf", 9, &f, NULL) == ERR_FORMAT && f == 9, "infinity");
    CHECK(gguf_get_float(g, "nan", 9, &f, NULL) == ERR_FORMAT && f == 9, "NaN");
    CHECK(gguf_get_bool(g, "one", 0, &flag, NULL) == 0 && flag == 1, "1 is true");
    CHECK(gguf_get_bool(g, "u8", 0, &flag, NULL) == ERR_FORMAT && flag == 0, "255 is no bool");
    CHECK(gguf_get_str(g, "u8", &s, NULL) == ERR_FORMAT && s.len == 0, "a number is no text");
    CHECK(gguf_get_str(g, "absent", &s, NULL) == 0 && s.len == 0 && s.data, "absent text");
    gguf_close(g);
}

static void test_items(void) {
    struct build b;
    struct diag d;
    build_all_kinds(&b, 3);
    struct gguf *g = open_build(&b, &d);
    const struct gguf_kv *u16 = gguf_find(g, "items.c"), *i8 = gguf_find(g, "items.b"),
                         *flags = gguf_find(g, "items.h");
    const struct gguf_kv *u64 = gguf_find(g, "items.k"), *text = gguf_find(g, "items.i"),
                         *i64 = gguf_find(g, "items.l");
    CHECK(gguf_item_int(u16, 0) == 0x201 && gguf_item_int(u16, 1) == 0x403 && gguf_item_int(u16, 2) == 0, "u16");
    CHECK(gguf_item_int(i8, 1) == 2 && gguf_item_float(i8, 1) == 2 && gguf_item_int(i8, UINT64_MAX) == 0, "i8");
    CHECK(gguf_item_int(flags, 0) == 0 && gguf_item_int(flags, 1) == 1, "bools");
    CHECK(gguf_item_int(u64, 0) == INT64_MAX && gguf_item_float(u64, 0) == (double)0x8007060504030201u,
          "u64 saturates");
    CHECK(gguf_item_int(i64, 0) == (int64_t)0x8007060504030201u, "i64");
    CHECK(gguf_item_int(text, 1) == 0 && gguf_item_float(text, 1) == 0 && !gguf_strings(u16), "kinds that do not fit");
    struct gguf_str *s = gguf_strings(text);
    CHECK(s && s[0].len == 0 && s[1].len == 3 && !memcmp(s[1].data, "two", 3), "strings");
    free(s);
    CHECK(gguf_tensor_find(g, "bytes")->data && gguf_tensor_find(g, "bytes")->bytes == 5, "plain I8 is readable");
    const struct gguf_tensor *future = gguf_tensor_find(g, "future");
    CHECK(!future->data && future->bytes == 0 && future->n_dims == 0 && future->ne[0] == 1, "unknown type is kept");
    gguf_close(g);
}

/* Sizes here and in the table of formats are the same, for each format that has a ggml number. */
static void test_types_agree(void) {
    int n = 0;
    for (int i = 0; tensor_types[i]; i++) {
        const struct tensor_type *t = tensor_types[i];
        struct build b;
        struct diag d;
        if (t->ggml_id < 0) continue;
        put_header(&b, 3, 1, 0);
        put_tensor2(&b, "w", (uint64_t)t->block * 3, 2, (uint32_t)t->ggml_id, 0);
        put_data(&b, 32, (size_t)t->block_bytes * 6);
        struct gguf *g = open_build(&b, &d);
        CHECK(g && g->tensors[0].data && g->tensors[0].bytes == 2 * tensor_type_row_bytes(t, 3 * t->block), "%s",
              t->name);
        CHECK(!strcmp(gguf_type_name(t->ggml_id), t->name), "%s is called %s", t->name, gguf_type_name(t->ggml_id));
        gguf_close(g);
        n++;
    }
    CHECK(n >= 11, "only %d formats of ggml", n);
}

/* ---- wrong files: one row each ---- */

static void valid_pair(struct build *b) {
    put_header(b, 3, 0, 1);
    put_kv_u32(b, "k", 1);
}
static void not_gguf(struct build *b) {
    put_bytes(b, "GGML is not it", 14);
}
static void lfs_pointer(struct build *b) {
    put_bytes(b, "version https://git-lfs.github.com/spec/v1\n", 43);
}
static void web_page(struct build *b) {
    put_bytes(b, "<!DOCTYPE html>", 15);
}
static void zip_archive(struct build *b) {
    put_bytes(b, "PK\003\004rest", 8);
}
static void short_magic(struct build *b) {
    put_bytes(b, "GG", 2);
}
static void nothing(struct build *b) {
    b->n = 0;
}
static void version_1(struct build *b) {
    put_header(b, 1, 0, 0);
}
static void version_4(struct build *b) {
    put_header(b, 4, 0, 0);
}
static void version_huge(struct build *b) {
    put_header(b, 0x12345678, 0, 0);
}
static void big_endian_3(struct build *b) {
    put_header(b, 0x03000000, 0, 0);
}
static void big_endian_2(struct build *b) {
    put_header(b, 0x02000000, 0, 0);
}
static void many_pairs(struct build *b) {
    put_header(b, 3, 0, UINT64_MAX);
}
static void many_tensors(struct build *b) {
    put_header(b, 3, UINT64_C(1) << 60, 0);
    put_data(b, 1, 100);
}
static void one_pair_short(struct build *b) {
    valid_pair(b);
    memcpy(b->data + 16, "\2", 1);
}
static void key_too_long(struct build *b) {
    put_header(b, 3, 0, 1);
    put_u64(b, UINT64_MAX);
    put_data(b, 1, 40);
}
static void key_empty(struct build *b) {
    put_header(b, 3, 0, 1);
    put_kv_u32(b, "", 1);
}
static void key_twice(struct build *b) {
    put_header(b, 3, 0, 3);
    put_kv_u32(b, "same", 1);
    put_kv_u32(b, "other", 1);
    put_kv_u32(b, "same", 2);
}
static void kind_unknown(struct build *b) {
    put_header(b, 3, 0, 1);
    put_key(b, "k", 13);
    put_u64(b, 0);
}
static void kind_huge(struct build *b) {
    put_header(b, 3, 0, 1);
    put_key(b, "k", 0xffffffff);
    put_u64(b, 0);
}
static void bool_2(struct build *b) {
    put_header(b, 3, 0, 1);
    put_key(b, "flag", 7);
    put_u8(b, 2);
}
static void bool_in_array(struct build *b) {
    put_header(b, 3, 0, 1);
    put_array(b, "flags", 7, 3);
    put_data(b, 1, 3);
}
static void text_too_long(struct build *b) {
    put_header(b, 3, 0, 1);
    put_key(b, "k", 8);
    put_u64(b, UINT64_MAX - 7);
    put_data(b, 1, 20);
}
static void nested(struct build *b) {
    put_header(b, 3, 0, 1);
    put_array(b, "deep", 9, 1);
    put_data(b, 1, 20);
}
static void array_kind(struct build *b) {
    put_header(b, 3, 0, 1);
    put_array(b, "odd", 77, 0);
}
static void array_overflow(struct build *b) {
    put_header(b, 3, 0, 1);
    put_array(b, "big", 10, UINT64_C(0x2000000000000001)); /* times 8 is 8 */
    put_data(b, 1, 8);
}
static void array_of_long_strings(struct build *b) {
    put_header(b, 3, 0, 1);
    put_array(b, "big", 8, 2);
    put_str(b, "fine");
    put_u64(b, 1000);
    put_data(b, 1, 20);
}
static void alignment_of(struct build *b, uint32_t a) {
    put_header(b, 3, 0, 1);
    put_kv_u32(b, "general.alignment", a);
}
static void alignment_0(struct build *b) {
    alignment_of(b, 0);
}
static void alignment_48(struct build *b) {
    alignment_of(b, 48);
}
static void alignment_4(struct build *b) {
    alignment_of(b, 4);
}
static void alignment_text(struct build *b) {
    put_header(b, 3, 0, 1);
    put_key(b, "general.alignment", 8);
    put_str(b, "32");
}
/* One tensor, with data for 256 bytes. */
static void one_tensor(struct build *b, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset) {
    put_header(b, 3, 1, 0);
    put_tensor(b, "weight", n_dims, ne, type, offset);
    put_data(b, 32, 256);
}
static void five_dims(struct build *b) {
    one_tensor(b, 5, (const uint64_t[]){1, 1, 1, 1, 1}, 0, 0);
}
static void dims_huge(struct build *b) {
    put_header(b, 3, 1, 0);
    put_str(b, "weight");
    put_u32(b, 0xffffffff);
    put_data(b, 32, 256);
}
static void dim_0(struct build *b) {
    one_tensor(b, 2, (const uint64_t[]){8, 0}, 0, 0);
}
static void dim_negative(struct build *b) {
    one_tensor(b, 2, (const uint64_t[]){8, UINT64_MAX}, 0, 0);
}
static void product_overflow(struct build *b) {
    one_tensor(b, 3, (const uint64_t[]){1u << 31, 1u << 31, 4}, 99, 0);
}
static void bytes_overflow(struct build *b) {
    one_tensor(b, 3, (const uint64_t[]){1u << 31, 1u << 30, 2}, 28, 0);
}
static void part_of_block(struct build *b) {
    one_tensor(b, 2, (const uint64_t[]){33, 1}, 8, 0);
}
static void type_negative(struct build *b) {
    one_tensor(b, 1, (const uint64_t[]){8}, 0xffffffff, 0);
}
static void offset_odd(struct build *b) {
    one_tensor(b, 1, (const uint64_t[]){8}, 0, 4);
}
static void offset_outside(struct build *b) {
    one_tensor(b, 1, (const uint64_t[]){8}, 0, 256);
}
static void offset_wraps(struct build *b) {
    one_tensor(b, 1, (const uint64_t[]){16}, 0, UINT64_MAX - 31);
}
static void unknown_outside(struct build *b) {
    one_tensor(b, 1, (const uint64_t[]){8}, 99, 256);
}
static void last_byte_missing(struct build *b) {
    one_tensor(b, 1, (const uint64_t[]){64}, 0, 0);
    b->n--;
}
static void two_tensors(struct build *b, const char *name, uint32_t type, uint64_t offset) {
    put_header(b, 3, 2, 0);
    put_tensor2(b, "first", 8, 2, 0, 32);
    put_tensor2(b, name, 8, 2, type, offset);
    put_data(b, 32, 256);
}
static void overlap_behind(struct build *b) {
    two_tensors(b, "second", 0, 64);
}
static void overlap_before(struct build *b) {
    two_tensors(b, "second", 0, 0);
}
static void overlap_same(struct build *b) {
    two_tensors(b, "second", 0, 32);
}
static void overlap_unknown(struct build *b) {
    two_tensors(b, "second", 99, 64);
}
static void name_twice(struct build *b) {
    two_tensors(b, "first", 0, 96);
}
static void name_empty(struct build *b) {
    two_tensors(b, "", 0, 96);
}
static void control_name(struct build *b) {
    two_tensors(b, "\033[2J\n\302\233x", 0, 32);
}

static const struct wrong {
    const char *name;
    void (*build)(struct build *);
    int code;
    const char *text; /* that the line must hold */
} wrongs[] = {
    {"not gguf", not_gguf, ERR_FORMAT, "not a GGUF file"},
    {"lfs pointer", lfs_pointer, ERR_FORMAT, "Git LFS"},
    {"web page", web_page, ERR_FORMAT, "web page"},
    {"zip", zip_archive, ERR_FORMAT, "zip archive"},
    {"short magic", short_magic, ERR_FORMAT, "2 missing"},
    {"nothing", nothing, ERR_FORMAT, "empty"},
    {"version 1", version_1, ERR_UNSUPPORTED, "version 1"},
    {"version 4", version_4, ERR_UNSUPPORTED, "version 4"},
    {"version huge", version_huge, ERR_UNSUPPORTED, "version 305419896"},
    {"big-endian 3", big_endian_3, ERR_UNSUPPORTED, "big-endian GGUF file (version 3)"},
    {"big-endian 2", big_endian_2, ERR_UNSUPPORTED, "big-endian GGUF file (version 2)"},
    {"many pairs", many_pairs, ERR_FORMAT, "18446744073709551615 metadata pairs"},
    {"many tensors", many_tensors, ERR_FORMAT, "1152921504606846976 tensors"},
    {"one pair short", one_pair_short, ERR_FORMAT, "incomplete download"},
    {"key too long", key_too_long, ERR_FORMAT, "a metadata key"},
    {"key empty", key_empty, ERR_FORMAT, "0 bytes (1 to"},
    {"key twice", key_twice, ERR_FORMAT, "'same' occurs twice"},
    {"kind unknown", kind_unknown, ERR_FORMAT, "unknown kind 13"},
    {"kind huge", kind_huge, ERR_FORMAT, "unknown kind 4294967295"},
    {"bool 2", bool_2, ERR_FORMAT, "'flag': a bool holds 2"},
    {"bool in array", bool_in_array, ERR_FORMAT, "'flags': a bool holds 2"},
    {"text too long", text_too_long, ERR_FORMAT, "only 20 are left"},
    {"nested", nested, ERR_UNSUPPORTED, "'deep': an array of arrays"},
    {"array kind", array_kind, ERR_FORMAT, "'odd': array items of unknown kind 77"},
    {"array overflow", array_overflow, ERR_FORMAT, "2305843009213693953 array items"},
    {"array strings", array_of_long_strings, ERR_FORMAT, "(980 missing)"},
    {"alignment 0", alignment_0, ERR_FORMAT, "general.alignment is 0"},
    {"alignment 48", alignment_48, ERR_FORMAT, "general.alignment is 48"},
    {"alignment 4", alignment_4, ERR_FORMAT, "general.alignment is 4"},
    {"alignment text", alignment_text, ERR_FORMAT, "'general.alignment' is of kind 'text'"},
    {"five dims", five_dims, ERR_FORMAT, "5 dimensions"},
    {"dims huge", dims_huge, ERR_FORMAT, "4294967295 dimensions"},
    {"dim 0", dim_0, ERR_FORMAT, "dimension 1 is 0"},
    {"dim negative", dim_negative, ERR_FORMAT, "dimension 1 is 18446744073709551615, too large"},
    {"product overflow", product_overflow, ERR_FORMAT, "dimension 2 is 4, too large"},
    {"bytes overflow", bytes_overflow, ERR_FORMAT, "are too large"},
    {"part of block", part_of_block, ERR_FORMAT, "33 columns are not whole blocks"},
    {"type negative", type_negative, ERR_FORMAT, "type number 4294967295"},
    {"offset odd", offset_odd, ERR_FORMAT, "offset 4 is not a multiple"},
    {"offset outside", offset_outside, ERR_FORMAT, "32 bytes are missing"},
    {"offset wraps", offset_wraps, ERR_FORMAT, "ends beyond any file"},
    {"unknown outside", unknown_outside, ERR_FORMAT, "1 bytes are missing"},
    {"last byte missing", last_byte_missing, ERR_FORMAT, "1 bytes are missing"},
    {"overlap behind", overlap_behind, ERR_FORMAT, "'first' and 'second' overlap"},
    {"overlap before", overlap_before, ERR_FORMAT, "'second' and 'first' overlap"},
    {"overlap same", overlap_same, ERR_FORMAT, "overlap"},
    {"overlap unknown", overlap_unknown, ERR_FORMAT, "'first' and 'second' overlap"},
    {"name twice", name_twice, ERR_FORMAT, "'first' occurs twice"},
    {"name empty", name_empty, ERR_FORMAT, "tensor's name of 0 bytes"},
    {"control name", control_name, ERR_FORMAT, "' [2J   x'"},
};

static void test_wrong_files(void) {
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *w = &wrongs[i];
        struct build b = {.n = 0};
        struct diag d;
        w->build(&b);
        struct gguf *g = open_build(&b, &d);
        CHECK(!g && d.code == w->code, "%s: code %d, text '%s'", w->name, d.code, d.text);
        CHECK(strstr(d.text, w->text), "%s: '%s' does not say '%s'", w->name, d.text, w->text);
        CHECK(!strncmp(d.text, "built: ", 7), "%s: '%s' does not name the file", w->name, d.text);
        probe_bytes(b.data, b.n, NULL);
    }
}

/* What looks odd and is right: no tensors and no padding, data out of order with gaps, the last tensor unpadded. */
static void test_odd_but_right(void) {
    struct build b;
    struct diag d;
    put_header(&b, 2, 0, 0);
    struct gguf *g = open_build(&b, &d);
    CHECK(g && g->data_offset == b.n && !gguf_find(g, "x") && !gguf_tensor_find(g, "x"), "empty file: %s", d.text);
    gguf_close(g);
    put_header(&b, 3, 3, 1);
    put_kv_u32(&b, "general.alignment", 8);
    put_tensor2(&b, "c", 2, 1, 0, 64);
    put_tensor2(&b, "a", 2, 1, 0, 0);
    put_tensor2(&b, "b", 2, 1, 0, 8);
    put_data(&b, 8, 72);
    g = open_build(&b, &d);
    CHECK(g && g->alignment == 8 && g->data_offset % 8 == 0, "%s", d.text);
    CHECK(g && gguf_tensor_find(g, "c")->data[0] == 64 && gguf_tensor_find(g, "b")->data[0] == 8, "data of c and b");
    gguf_close(g);
}

/* Each proper prefix of a file is refused, in memory of just its size; one cut in the data says how much is missing. */
static void test_truncation(void) {
    struct build b;
    build_all_kinds(&b, 3);
    size_t data = b.n - BUILD_ALL_DATA, need = data + 289;
    for (size_t n = 0; n < need; n++) {
        struct gguf *g;
        struct diag d = {0};
        char want[64];
        unsigned char *cut = malloc(n + !n);
        memcpy(cut, b.data, n);
        CHECK(gguf_open_memory(&g, cut, n, "cut", &d) == ERR_FORMAT && !g, "prefix of %zu", n);
        snprintf(want, sizeof want, n < data ? "missing" : "%zu bytes are missing", need - n);
        CHECK(n == 0 || strstr(d.text, want) || strstr(d.text, "cut off"), "prefix of %zu: %s", n, d.text);
        if (n >= data) CHECK(strstr(d.text, want), "prefix of %zu: %s", n, d.text);
        free(cut);
    }
    CHECK(probe_bytes(b.data, need, NULL) == 1, "unpadded end");
}

/* ---- what is not a file ---- */

static void check_open(const char *path, int code, const char *text) {
    struct gguf *g = (void *)&code;
    struct diag d = {0};
    CHECK(gguf_open(&g, path, &d) == code && !g, "%s: '%s'", path, d.text);
    CHECK(strstr(d.text, text), "%s: '%s' does not say '%s'", path, d.text, text);
}

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, n, f) == n, "%s", path);
    if (f) fclose(f);
}

static void test_unreadable(const char *path) {
    uid_t user = geteuid();
    chmod(path, 0);
    if (!user && seteuid(65534)) return;
    check_open(path, ERR_IO, "check its permissions");
    if (!user) CHECK(seteuid(0) == 0, "cannot return to root");
}

static void test_not_a_file(void) {
    char dir[] = "gguf-read-XXXXXX", path[64];
    struct build b;
    build_all_kinds(&b, 2);
    CHECK(mkdtemp(dir) != NULL, "mkdtemp");
    check_open(dir, ERR_IO, "is a folder");
    snprintf(path, sizeof path, "%s/absent.gguf", dir);
    check_open(path, ERR_IO, "check the path");
    check_open("", ERR_IO, "cannot open");
    snprintf(path, sizeof path, "%s/fifo", dir);
    CHECK(mkfifo(path, 0600) == 0, "mkfifo");
    alarm(20); /* a reader that waits for a writer is ended here */
    check_open(path, ERR_IO, "pipe or device");
    alarm(0);
    unlink(path);
    check_open("/dev/null", ERR_IO, "pipe or device");
    snprintf(path, sizeof path, "%s/file", dir);
    write_file(path, "", 0);
    check_open(path, ERR_FORMAT, "is empty");
    write_file(path, b.data, b.n - 40);
    check_open(path, ERR_FORMAT, "9 bytes are missing");
    write_file(path, b.data, b.n);
    struct gguf *g;
    CHECK(gguf_open(&g, path, NULL) == 0 && g->n_tensors == 4 && !strcmp(g->path, path), "the whole file");
    gguf_close(g);
    test_unreadable(path);
    unlink(path);
    CHECK(rmdir(dir) == 0, "left over in %s", dir);
    gguf_close(NULL);
}

/* ---- large indices, and the printer ---- */

enum { MANY = 3000 };

/* Names in scrambled order: i -> 1009 i mod MANY is a permutation. */
static size_t build_many(unsigned char *out, size_t cap) {
    static struct build b;
    size_t n = 0;
    put_header(&b, 3, MANY, MANY);
    for (int part = 0; part < 2; part++)
        for (unsigned i = 0; i < MANY; i++) {
            char name[32];
            snprintf(name, sizeof name, "blk.%u.w", i * 1009 % MANY);
            if (part)
                put_tensor2(&b, name, 1, 1, 24, 32 * (uint64_t)i);
            else
                put_kv_u32(&b, name, i);
            if (n + b.n > cap) return 0;
            memcpy(out + n, b.data, b.n);
            n += b.n;
            b.n = 0;
        }
    size_t end = (n + 31) / 32 * 32 + 32 * (size_t)MANY;
    return end <= cap ? end : 0;
}

static void test_lookup(void) {
    size_t cap = 1 << 20;
    unsigned char *bytes = calloc(1, cap);
    struct gguf *g = NULL;
    struct diag d = {0};
    size_t n = build_many(bytes, cap);
    CHECK(n && gguf_open_memory(&g, bytes, n, "many", &d) == 0, "%s", d.text);
    clock_t start = clock();
    long found = 0;
    for (int round = 0; g && round < 20; round++)
        for (unsigned i = 0; i < MANY; i++) {
            char name[32];
            snprintf(name, sizeof name, "blk.%u.w", i * 1009 % MANY);
            found += gguf_tensor_find(g, name) == &g->tensors[i] && gguf_find(g, name) == &g->kv[i];
        }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK(found == 20L * MANY, "found %ld", found);
    CHECK(seconds < 2, "%d look-ups took %g s", 40 * MANY, seconds); /* 20 ms by bisection; 10^9 compares by scanning */
    gguf_close(g);
    free(bytes);
}

static char *printed(const struct gguf *g, int all) {
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    CHECK(f && gguf_print(g, f, all, NULL) == 0, "print");
    if (f) fclose(f);
    return text;
}

static void test_print(void) {
    struct gguf *g;
    CHECK(gguf_open(&g, NW_TEST_DATA "/stories260K-f32.gguf", NULL) == 0, "open");
    char *brief = printed(g, 0), *full = printed(g, 1);
    CHECK(strstr(brief, "blk.{0-4}.ffn_gate.weight") && strstr(brief, "64 x 172"), "folded layers: %s", brief);
    CHECK(strstr(brief, "47 tensors, 260032 weights, 1015.75 KiB, 32 bits a weight"), "totals: %s", brief);
    CHECK(strstr(brief, "512 text [\"<unk>\", \"<s>\", \"</s>\""), "tokens");
    CHECK(strstr(full, "blk.3.ffn_gate.weight ") && !strstr(full, "{0-4}") && strlen(full) > 2 * strlen(brief), "full");
    CHECK(strstr(full, "\"<0xFF>\"") && !strstr(brief, "\"<0xFF>\""), "all items");
    free(brief);
    free(full);
    gguf_close(g);
}

/* Folds only what is alike; hides what a terminal would obey. */
static void test_print_odd(void) {
    struct build b;
    struct diag d;
    put_header(&b, 3, 6, 1);
    put_key(&b, "text", 8);
    put_str(&b, "a\"\033[0m\n\302\233\342\200\256\303\251\377");
    put_tensor2(&b, "blk.0.w", 8, 2, 0, 0);
    put_tensor2(&b, "blk.1.w", 8, 2, 0, 64);
    put_tensor2(&b, "blk.3.w", 8, 2, 0, 128);
    put_tensor2(&b, "blk.2.w", 8, 2, 1, 192);
    put_tensor2(&b, "blk.01.w", 8, 2, 0, 224);
    put_tensor2(&b, "blk.4.w", 8, 2, 4242, 288);
    put_data(&b, 32, 320);
    struct gguf *g = open_build(&b, &d);
    CHECK(g, "%s", d.text);
    if (!g) return;
    char *text = printed(g, 0);
    CHECK(strstr(text, "\"a\\\"\\x1b[0m\\n\\xc2\\x9b\\xe2\\x80\\xae\303\251\\xff\""), "escapes: %s", text);
    CHECK(strstr(text, "blk.{0-1,3}.w") && strstr(text, "blk.2.w") && strstr(text, "blk.01.w"), "folds: %s", text);
    CHECK(strstr(text, "type 4242") && strstr(text, "unknown\n"), "unknown type: %s", text);
    free(text);
    FILE *full = fopen("/dev/full", "w");
    if (full) CHECK(gguf_print(g, full, 1, &d) == ERR_IO, "full disk");
    if (full) fclose(full);
    gguf_close(g);
}

int main(void) {
    test_real_file();
    test_all_kinds(2);
    test_all_kinds(3);
    test_typed_reads();
    test_items();
    test_types_agree();
    test_wrong_files();
    test_odd_but_right();
    test_truncation();
    test_not_a_file();
    test_lookup();
    test_print();
    test_print_odd();
    return check_report("gguf-read");
}
