/* What subcommands share: model, strategy, options, prompts. */
#include "dist/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "analysis/parameter.h"
#include "base/hash.h"
#include "base/text.h"
#include "collectives/agree.h"
#include "models/kernels.h"
#include "pace.h"
#include "partition/cluster.h"

/* ---- model ---- */

static int looks_like_file(const char *name) {
    size_t n = strlen(name);
    return strchr(name, '/') || (n > 5 && !strcasecmp(name + n - 5, ".gguf")) || access(name, F_OK) == 0;
}

static int open_local(struct model *m, const struct app *app, int parts, struct diag *d) {
    const struct run_spec *s = &app->spec;
    if (!s->model) return diag_set(d, ERR_USAGE, "no model: give --model FILE.gguf or a preset (northwall list)");
    if (kernels_select(s->kernels) != 0)
        return diag_set(d, ERR_USAGE, "--kernels %.40s: unknown or not possible on this CPU (northwall list)",
                        s->kernels);
    if (!looks_like_file(s->model)) return preset_shape(&m->shape, s->model, s->quant, (int)s->ctx, d);
    if (s->quant) return diag_set(d, ERR_USAGE, "--quant is for presets; use northwall model quantize for a file");
    int rc = gguf_open(&m->file, s->model, d);
    return rc || !(parts & MODEL_SHAPE) ? rc : shape_read(&m->shape, m->file, d);
}

/* Ids of the tokenizer index the embedding: a file may leave rows without text, but not the other way round. */
static int check_vocab(const struct model *m, struct diag *d) {
    int n = tokenizer_n_vocab(m->tokenizer);
    if (!m->file || n <= m->shape.n_vocab) return 0;
    return diag_set(d, ERR_FORMAT, "%s: the tokenizer has %d tokens, but token_embd.weight only %d rows", m->file->path,
                    n, m->shape.n_vocab);
}

/* A file may say that it has no vocabulary, as those of `model synth` do: text is then taken as bytes. */
static int has_vocab(const struct gguf *g) {
    struct gguf_str kind = {0};
    struct diag ignored = {0};
    if (!g) return 0;
    if (gguf_get_str(g, "tokenizer.ggml.model", &kind, &ignored)) return 1; /* the tokenizer tells what is wrong */
    return !(kind.len == 4 && !memcmp(kind.data, "none", 4)) && !(kind.len == 8 && !memcmp(kind.data, "no_vocab", 8));
}

int model_open_parts(struct model *m, const struct app *app, int parts, struct diag *d) {
    memset(m, 0, sizeof *m);
    int rc = err_agree(app->world, open_local(m, app, parts, d), d);
    if (!rc) rc = agree_same(app->world, hash_bytes(&m->shape, sizeof m->shape, 0), "the model's shape", d);
    if (!rc) rc = agree_same(app->world, m->file ? gguf_fingerprint(m->file) : 0, "the model file", d);
    if (!rc && parts & MODEL_TOKENIZER && app->rank == 0)
        rc = has_vocab(m->file) || (m->file && !(parts & MODEL_SHAPE))
                 ? tokenizer_new(&m->tokenizer, m->file, d)
                 : tokenizer_new_bytes(&m->tokenizer, m->shape.n_vocab, d);
    if (!rc && parts & MODEL_SHAPE && m->tokenizer) rc = check_vocab(m, d);
    rc = err_agree(app->world, rc, d);
    if (rc) model_close(m);
    return rc;
}

int model_open(struct model *m, const struct app *app, struct diag *d) {
    return model_open_parts(m, app, MODEL_SHAPE | MODEL_TOKENIZER, d);
}

void model_close(struct model *m) {
    tokenizer_free(m->tokenizer);
    gguf_close(m->file);
    memset(m, 0, sizeof *m);
}

/* ---- links ---- */

static int check_clock(const struct run_spec *s, struct diag *d) {
    int is_real = !strcmp(s->clock, "real");
    if (!is_real && strcmp(s->clock, "virtual") && strcmp(s->clock, "paced"))
        return diag_set(d, ERR_USAGE, "--clock '%.40s': expected real, virtual or paced", s->clock);
    if (s->pace && (s->cluster || s->net || !is_real))
        return diag_set(d, ERR_USAGE,
                        "--pace describes cards and links by itself: leave --cluster, --net and --clock "
                        "out (a described cluster is paced by --clock paced)");
    if (!is_real && !s->cluster)
        return diag_set(d, ERR_USAGE, "--clock %s: of which cluster? Give --cluster FILE (cluster-configs/)", s->clock);
    return 0;
}

/* "3=0.8" */
static int straggler(const char *text, long *card, double *factor, struct diag *d) {
    char number[16] = "";
    const char *is = strchr(text, '=');
    if (is && is - text < (long)sizeof number) memcpy(number, text, (size_t)(is - text));
    if (is && !text_int(number, 0, 9999999, "", card, NULL) && !text_double(is + 1, 0.001, 1000, "", factor, NULL))
        return 0;
    return diag_set(d, ERR_USAGE, "--straggler '%.40s': expected CARD=FACTOR of 0.001 to 1000, as 3=0.8", text);
}

static int add_stragglers(struct cluster *c, const struct opt_list *list, struct diag *d) {
    int rc = 0;
    for (int i = 0; i < list->n && !rc; i++) {
        char cards[16];
        double factor = 1;
        long card = 0;
        rc = straggler(list->value[i], &card, &factor, d);
        snprintf(cards, sizeof cards, "%ld", card);
        if (!rc && cluster_except(c, cards, (uint64_t)(factor * 1e6 + 0.5)))
            rc = diag_set(d, ERR_USAGE,
                          "--straggler '%.40s': %s has %d cards, counted from 0, and room for %d exceptions",
                          list->value[i], c->name, c->n_cards, CLUSTER_EXCEPTIONS);
    }
    return rc;
}

int app_change_cluster(struct app *app, struct diag *d) {
    const struct run_spec *s = &app->spec;
    int rc = 0;
    if ((s->stragglers.n || s->changes.n) && !s->cluster && !s->pace)
        return diag_set(d, ERR_USAGE, "--%s of which cluster? Give --cluster FILE (cluster-configs/)",
                        s->stragglers.n ? "straggler: a card" : "set: a number");
    for (int i = 0; i < s->changes.n && !rc; i++)
        rc = parameter_apply(&app->cluster, s->changes.value[i], d);
    if (!rc) rc = add_stragglers(&app->cluster, &s->stragglers, d);
    app->net = s->cluster ? app->cluster.net : app->net;
    return rc;
}

int app_paced(const struct app *app) {
    return app->spec.cluster && !strcmp(app->spec.clock, "paced");
}

static int read_pace(struct cluster *c, const char *words, struct diag *d) {
    char *text;
    int rc = pace_cluster_text(&text, words, d);
    if (!rc) rc = cluster_parse(c, "--pace", text, strlen(text), d);
    free(text);
    return rc;
}

int app_net(struct app *app, struct diag *d) {
    struct run_spec *s = &app->spec;
    const char *file = s->cluster ? s->cluster : s->net ? s->net : s->pace;
    struct cluster *c = &app->cluster;
    int rc = 0;
    app->net = net_default;
    if (s->cluster && s->net) rc = diag_set(d, ERR_USAGE, "give either --net or --cluster");
    if (!rc) rc = check_clock(s, d);
    if (!rc && app->rank == 0 && s->pace)
        rc = read_pace(c, s->pace, d);
    else if (!rc && app->rank == 0 && file)
        rc = cluster_read(c, file, d);
    if (!rc && app->rank == 0 && s->cluster && !cluster_has_card(c))
        rc = diag_set(d, ERR_FORMAT,
                      "%.200s: describes links but no card: add card: with levels of memory (docs/CLUSTERS.md)", file);
    if (!rc && app->rank == 0) rc = app_change_cluster(app, d);
    rc = err_agree(app->world, rc, d);
    if (rc || !file) return rc;
    if (s->pace) s->cluster = "--pace", s->clock = "paced";
    agree_bcast(app->world, 0, c, sizeof *c);
    app->net = c->net;
    if (s->cluster) return 0;
    app->machine = *c;
    memset(c, 0, sizeof *c);
    return 0;
}

/* ---- strategy and options ---- */

int app_strategy(struct strategy *st, const struct app *app, const struct model_shape *s, int n_ranks, char *why,
                 size_t cap, struct diag *d) {
    const struct run_spec *r = &app->spec;
    if (r->strategy && (r->tp || r->kvp || r->pp || r->dp))
        return diag_set(d, ERR_USAGE, "give either --strategy or --tp/--kvp/--pp/--dp");
    if (!r->tp && !r->kvp && !r->pp && !r->dp) return strategy_choose(st, r->strategy, s, n_ranks, why, cap, d);
    snprintf(why, cap, "as asked");
    char text[96];
    snprintf(text, sizeof text, "dp%ldxtp%ldxkvp%ldxpp%ld", r->dp ? r->dp : 1, r->tp ? r->tp : 1, r->kvp ? r->kvp : 1,
             r->pp ? r->pp : 1);
    return strategy_parse(st, text, d);
}

/* "w4a8" or "a8": activations into linear layers; a4 is the NorthPole recipe: INT8 output layer and SiLU, INT4
 * cache unless another is asked for. */
static int parse_mode(struct decoder_opts *o, const char *mode, const struct model_shape *s, struct diag *d) {
    static const struct {
        const char *name;
        enum act_bits linear, head;
        int silu, weight_bits;
    } modes[] = {{"a16", ACT_F32, ACT_F32, 0, 0},   {"a8", ACT_I8, ACT_I8, 0, 0},   {"a4", ACT_I4, ACT_I8, 8, 0},
                 {"w4a16", ACT_F32, ACT_F32, 0, 4}, {"w4a8", ACT_I8, ACT_I8, 0, 4}, {"w8a8", ACT_I8, ACT_I8, 0, 8},
                 {"w4a4", ACT_I4, ACT_I8, 8, 4}};
    const struct tensor_type *type = shape_type(s, ROLE_UP, 0);
    double bits = type ? type->bits : 32;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcasecmp(mode, modes[i].name)) continue;
        if (modes[i].weight_bits && (bits < modes[i].weight_bits || bits >= modes[i].weight_bits + 1.6))
            return diag_set(d, ERR_USAGE,
                            "--mode %s: the model's FFN weights are %s (%.1f bits): use --mode %s or another file",
                            mode, type->name, bits, strchr(mode, 'a'));
        o->linear_bits = modes[i].linear;
        o->head_bits = modes[i].head;
        o->silu_bits = modes[i].silu;
        return 0;
    }
    return diag_set(d, ERR_USAGE, "--mode %.20s: valid are a16, a8, a4, w4a16, w4a8, w8a8, w4a4", mode);
}

/* The place of a word in a list "a, b, c". */
static int parse_choice(const char *option, const char *word, const char *list, int *out, struct diag *d) {
    const char *at = list;
    for (int i = 0; *at; i++) {
        size_t n = strcspn(at, ",");
        *out = i;
        if (strlen(word) == n && !strncasecmp(word, at, n)) return 0;
        at += n + strspn(at + n, ", ");
    }
    return diag_set(d, ERR_USAGE, "--%s %.20s: valid are %s", option, word, list);
}

int app_threads(const struct run_spec *s) {
    const char *env = getenv("OMP_NUM_THREADS");
    long n = s->threads ? s->threads : env ? strtol(env, NULL, 10) : 1;
    return n < 1 ? 1 : n > 1024 ? 1024 : (int)n;
}

int app_bind(struct app *app, struct diag *d) {
    const char *word = app->spec.bind;
    int on = !strcmp(word, "on"), threads = app_threads(&app->spec), narrow = 0;
    if (!on && strcmp(word, "off"))
        return err_agree(app->world, diag_set(d, ERR_USAGE, "--bind %.40s: valid are on and off", word), d);
    int rc = topo_bind(&app->place, app->world, app->node, threads, on, &narrow, d);
    if (rc) return rc;
    app->cores = app->place.cores;
    if (narrow && app->rank == 0 && !app->spec.quiet)
        fprintf(stderr,
                "northwall: note: %d of %d ranks may use fewer cores than they have threads: start them with mpirun "
                "--bind-to none, or --map-by slot:PE=%d\n",
                narrow, app->size, threads);
    return 0;
}

/* A preset that stands for a model trained for it computes in few bits, unless its weights are stored otherwise. */
static const struct preset *own_preset(const struct run_spec *r) {
    return r->model && !r->quant ? preset_find(r->model) : NULL;
}

int app_decoder_opts(struct decoder_opts *o, const struct app *app, const struct model_shape *s, struct diag *d) {
    const struct run_spec *r = &app->spec;
    const struct preset *p = own_preset(r);
    memset(o, 0, sizeof *o);
    o->n_seqs = 1;
    o->n_ctx = (int)r->ctx;
    o->max_tokens = (int)r->chunk;
    o->threads = app_threads(r);
    o->seed = (uint64_t)r->seed;
    o->cache_dir = r->weights_cache ? r->weights_cache : getenv("NORTHWALL_CACHE");
    int kv = 0, hidden = 0, rc = parse_mode(o, r->mode ? r->mode : p && p->mode ? p->mode : "a8", s, d);
    /* the recipe has attention products in INT4, which takes an INT4 cache */
    const char *cache = r->kv ? r->kv : o->linear_bits == ACT_I4 ? "int4" : "f16";
    if (!rc) rc = parse_choice("kv", cache, "f16, int8, int4", &kv, d);
    if (!rc)
        rc = parse_choice("hidden",
                          r->hidden        ? r->hidden
                          : p && p->hidden ? p->hidden
                                           : "f32",
                          "f32, fp16, int8, int4", &hidden, d);
    o->kv = (enum kv_type)kv;
    o->hidden = (enum hidden_form)hidden;
    return rc;
}

int app_check_stragglers(const struct app *app, const struct strategy *st, struct diag *d) {
    int cards = strategy_ranks(st) - (st->host ? st->dp * st->stage_size[0] : 0);
    for (int i = 0; i < app->spec.stragglers.n; i++)
        if (atoi(app->spec.stragglers.value[i]) >= cards)
            return diag_set(d, ERR_PLAN, "--straggler '%.40s': strategy %s takes %d card%s, counted from 0",
                            app->spec.stragglers.value[i], st->text, cards, cards == 1 ? "" : "s");
    return 0;
}

struct sampler_params app_sampling(const struct app *app) {
    const struct run_spec *r = &app->spec;
    return (struct sampler_params){r->temperature, (int)r->top_k, r->top_p, (uint64_t)r->seed};
}

/* "2:5". */
static int parse_ngram(struct draft_params *p, const char *s, struct diag *d) {
    int end = 0, got = sscanf(s, "%3d:%3d%n", &p->ngram_min, &p->ngram_max, &end);
    if (got == 2 && !s[end] && p->ngram_min >= 1 && p->ngram_max >= p->ngram_min && p->ngram_max <= DRAFT_NGRAM_MOST)
        return 0;
    return diag_set(d, ERR_USAGE, "--draft-ngram '%.40s': expected MIN:MAX with 1 <= MIN <= MAX <= %d, such as 2:4", s,
                    DRAFT_NGRAM_MOST);
}

int app_draft(struct draft_params *out, const struct app *app, struct diag *d) {
    const struct run_spec *r = &app->spec;
    *out = (struct draft_params){(int)r->draft, DRAFT_NGRAM_LOW, DRAFT_NGRAM_HIGH};
    if (!r->draft_ngram) return 0;
    if (!r->draft) return diag_set(d, ERR_USAGE, "--draft-ngram without --draft S: nothing is drafted");
    return parse_ngram(out, r->draft_ngram, d);
}

/* ---- prompts ---- */

static int add_text(struct prompts *p, const char *line, size_t len, struct diag *d) {
    char **bigger = realloc(p->text, (size_t)(p->n + 1) * sizeof *bigger);
    if (bigger) p->text = bigger;
    if (!bigger || !(p->text[p->n] = strndup(line, len))) return diag_set(d, ERR_MEMORY, "no memory for prompts");
    p->n++;
    return 0;
}

/* Lines end with \n or \r\n; empty ones are skipped. */
static int split_lines(struct prompts *p, const char *path, const char *text, size_t size, struct diag *d) {
    int rc = 0;
    for (size_t at = 0, line = 1; !rc && at < size; line++) {
        const char *begin = text + at, *end = memchr(begin, '\n', size - at);
        size_t len = end ? (size_t)(end - begin) : size - at;
        at += len + 1;
        if (len && end && begin[len - 1] == '\r') len--;
        if (memchr(begin, 0, len))
            return diag_set(d, ERR_USAGE, "%s: line %zu holds a zero byte: prompts are lines of text", path, line);
        if (len) rc = add_text(p, begin, len, d);
    }
    return rc;
}

/* Rank 0: the texts, one a sequence; --batch repeats a single prompt. */
static int read_texts(struct prompts *p, const struct run_spec *s, struct diag *d) {
    if (s->prompt && s->prompts) return diag_set(d, ERR_USAGE, "give either --prompt or --prompts");
    if (s->prompts) {
        char *text;
        size_t len;
        int rc = text_read_file(s->prompts, 1u << 28, &text, &len, d);
        if (rc) return rc;
        rc = split_lines(p, s->prompts, text, len, d);
        free(text);
        return rc ? rc : p->n ? 0 : diag_set(d, ERR_USAGE, "%s: no prompt in it (one a line)", s->prompts);
    }
    p->text = calloc((size_t)s->batch, sizeof *p->text);
    if (!p->text) return diag_set(d, ERR_MEMORY, "no memory for prompts");
    for (; p->n < s->batch; p->n++)
        if (!(p->text[p->n] = strdup(s->prompt ? s->prompt : "")))
            return diag_set(d, ERR_MEMORY, "no memory for prompts");
    return 0;
}

/* n_random ids in place of prompt i, drawn from the seed. */
static int draw_ids(struct prompts *p, int i, const struct app *app, const struct model *m, int n_random,
                    struct diag *d) {
    p->ids[i] = malloc((size_t)n_random * sizeof **p->ids);
    if (!p->ids[i]) return diag_set(d, ERR_MEMORY, "no memory for prompts");
    for (int k = 0; k < n_random; k++)
        p->ids[i][k] = (int)(rng_u64((uint64_t)app->spec.seed + (uint64_t)i, (uint64_t)k) % (uint64_t)m->shape.n_vocab);
    p->len[i] = n_random;
    return 0;
}

static int encode_texts(struct prompts *p, const struct app *app, const struct model *m, int n_random, struct diag *d) {
    p->ids = calloc((size_t)p->n, sizeof *p->ids);
    p->len = calloc((size_t)p->n, sizeof *p->len);
    if (!p->ids || !p->len) return diag_set(d, ERR_MEMORY, "no memory for prompts");
    for (int i = 0, rc; n_random && i < p->n; i++)
        if ((rc = draw_ids(p, i, app, m, n_random, d))) return rc;
    if (n_random) return 0;
    int flags = TOKENIZE_SPECIAL | (app->spec.no_bos ? 0 : TOKENIZE_BOS) | (m->shape.causal ? 0 : TOKENIZE_EOS);
    for (int i = 0; i < p->n; i++) {
        int n = tokenizer_encode(m->tokenizer, p->text[i], strlen(p->text[i]), flags, &p->ids[i], d);
        if (n < 0) return n;
        if (n == 0) { /* a model must be fed something */
            int bos = tokenizer_bos(m->tokenizer);
            if (bos < 0 && m->file)
                return diag_set(d, ERR_USAGE, "the prompt is empty and the model has no begin token: give --prompt");
            free(p->ids[i]);
            if (!(p->ids[i] = malloc(sizeof **p->ids))) return diag_set(d, ERR_MEMORY, "no memory for prompts");
            p->ids[i][0] = bos < 0 ? 0 : bos;
            n = 1;
        }
        p->len[i] = n;
    }
    return 0;
}

static int list_end_ids(struct prompts *p, const struct app *app, const struct model *m, struct diag *d) {
    int n = tokenizer_n_vocab(m->tokenizer);
    p->end_ids = calloc((size_t)n + 1, sizeof *p->end_ids);
    if (!p->end_ids) return diag_set(d, ERR_MEMORY, "no memory for end tokens");
    for (int id = 0; id < n && !app->spec.ignore_eos; id++)
        if (tokenizer_is_end(m->tokenizer, id)) p->end_ids[p->n_end_ids++] = id;
    return 0;
}

/* Sends an int array of rank 0 to all. */
static int share_ints(const struct app *app, int **v, int *n, struct diag *d) {
    agree_bcast(app->world, 0, n, sizeof *n);
    int rc = 0;
    if (app->rank != 0 && !(*v = calloc((size_t)*n + 1, sizeof **v)))
        rc = diag_set(d, ERR_MEMORY, "no memory for prompts");
    rc = err_agree(app->world, rc, d);
    if (!rc && *n) agree_bcast(app->world, 0, *v, (size_t)*n * sizeof **v);
    return rc;
}

int prompts_load(struct prompts *p, const struct app *app, const struct model *m, int n_random, struct diag *d) {
    memset(p, 0, sizeof *p);
    int rc = 0;
    if (app->rank == 0) {
        rc = read_texts(p, &app->spec, d);
        if (!rc) rc = encode_texts(p, app, m, app->spec.prompt || app->spec.prompts ? 0 : n_random, d);
        if (!rc) rc = list_end_ids(p, app, m, d);
    }
    rc = err_agree(app->world, rc, d);
    if (!rc) rc = share_ints(app, &p->len, &p->n, d);
    if (!rc && app->rank != 0 && !(p->ids = calloc((size_t)p->n, sizeof *p->ids)))
        rc = diag_set(d, ERR_MEMORY, "no memory for prompts");
    rc = err_agree(app->world, rc, d);
    for (int i = 0; !rc && i < p->n; i++)
        rc = share_ints(app, &p->ids[i], &p->len[i], d);
    if (!rc) rc = share_ints(app, &p->end_ids, &p->n_end_ids, d);
    if (rc) prompts_free(p);
    return rc;
}

void prompts_free(struct prompts *p) {
    for (int i = 0; i < p->n; i++) {
        if (p->ids) free(p->ids[i]);
        if (p->text) free(p->text[i]);
    }
    free(p->ids);
    free(p->len);
    free(p->text);
    free(p->end_ids);
    memset(p, 0, sizeof *p);
}
