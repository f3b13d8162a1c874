/* strategy.c - strategies as words, and the default. */
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "parts.h"

int strategy_is_regular(const struct strategy *st) {
    if (st->host) return 0;
    for (int i = 0; i < st->n_stages; i++)
        if (st->stage_size[i] != st->stage_size[0] || st->stage_layers[i] >= 0) return 0;
    return 1;
}

int strategy_ranks(const struct strategy *st) {
    int n = 0;
    for (int i = 0; i < st->n_stages; i++)
        n += st->stage_size[i];
    return n * st->dp;
}

/* Appends to text; 0, or -1 when it does not fit. */
static int append(char *text, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int append(char *text, size_t cap, const char *fmt, ...) {
    size_t at = strlen(text);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text + at, cap - at, fmt, args);
    va_end(args);
    return n >= 0 && (size_t)n < cap - at ? 0 : -1;
}

static int append_part(char *text, size_t cap, const char *word, int n) {
    return n > 1 ? append(text, cap, "%s%s%d", *text ? "x" : "", word, n) : 0;
}

/* Equal neighbours are written once with their number. */
static int append_stages(const struct strategy *st, char *text, size_t cap) {
    int rc = append(text, cap, "stages:%s", st->host ? "host" : "");
    for (int i = st->host, n; i < st->n_stages; i += n) {
        for (n = 1; i + n < st->n_stages && st->stage_size[i + n] == st->stage_size[i] &&
                    st->stage_layers[i + n] == st->stage_layers[i];)
            n++;
        rc |= append(text, cap, "%s%d", i ? "," : "", st->stage_size[i]);
        if (n > 1) rc |= append(text, cap, "*%d", n);
        if (st->stage_layers[i] >= 0) rc |= append(text, cap, "/%d", st->stage_layers[i]);
    }
    return rc | append_part(text, cap, "dp", st->dp);
}

int strategy_finish(struct strategy *st, struct diag *d) {
    int64_t ranks = 0;
    st->tp = 0;
    st->pp = st->n_stages;
    for (int i = 0; i < st->n_stages; i++) {
        if (st->stage_size[i] > st->tp) st->tp = st->stage_size[i];
        ranks += st->stage_size[i];
    }
    if (ranks * st->dp > PLAN_MAX_RANKS)
        return diag_set(d, ERR_USAGE, "strategy: %lld ranks are more than the %d that a plan can have",
                        (long long)ranks * st->dp, PLAN_MAX_RANKS);
    char *text = st->text;
    size_t cap = sizeof st->text;
    memset(text, 0, cap);
    int rc = 0;
    if (strategy_is_regular(st)) {
        rc = append_part(text, cap, "dp", st->dp) | append_part(text, cap, "tp", st->tp / st->kvp) |
             append_part(text, cap, "kvp", st->kvp) | append_part(text, cap, "pp", st->pp);
        if (!*text) rc = append(text, cap, "1");
    } else {
        rc = append_stages(st, text, cap);
    }
    if (rc)
        return diag_set(d, ERR_USAGE, "strategy: a list of stages this irregular is too long to name (%zu characters)",
                        cap);
    return 0;
}

void strategy_regular(struct strategy *st, int dp, int tp, int kvp, int pp) {
    memset(st, 0, sizeof *st);
    st->dp = dp;
    st->kvp = kvp;
    st->n_stages = pp;
    for (int i = 0; i < pp; i++) {
        st->stage_size[i] = tp * kvp;
        st->stage_layers[i] = -1;
    }
    strategy_finish(st, NULL);
}

/* ---- reading ---- */

struct cursor {
    const char *text, *at; /* whole spelling, place */
    struct diag *d;
};

static int bad(struct cursor *c, const char *why) {
    return diag_set(c->d, ERR_USAGE, "strategy '%.80s', at '%.40s': %s", c->text, c->at, why);
}

static int take(struct cursor *c, const char *word) {
    size_t n = strlen(word);
    if (strncmp(c->at, word, n)) return 0;
    c->at += n;
    return 1;
}

static int read_count(struct cursor *c, int min, int max, const char *what, int *out) {
    long v = 0;
    const char *p = c->at;
    while (isdigit((unsigned char)*p) && v <= max)
        v = v * 10 + (*p++ - '0');
    if (p == c->at || v < min || v > max || isdigit((unsigned char)*p)) {
        char why[96];
        snprintf(why, sizeof why, "%s must be a number from %d to %d", what, min, max);
        return bad(c, why);
    }
    c->at = p;
    *out = (int)v;
    return 0;
}

static int add_stages(struct cursor *c, struct strategy *st, int repeat, int size, int layers) {
    if (repeat > PLAN_MAX_STAGES - st->n_stages) return bad(c, "there are more than 1024 stages");
    for (int i = 0; i < repeat; i++) {
        st->stage_size[st->n_stages] = size;
        st->stage_layers[st->n_stages++] = layers;
    }
    return 0;
}

static int read_stage(struct cursor *c, struct strategy *st) {
    if (!strncmp(c->at, "host", 4)) {
        if (st->n_stages) return bad(c, "only the first stage can be the host");
        c->at += 4;
        st->host = 1;
        return add_stages(c, st, 1, 1, 0);
    }
    int size, repeat = 1, layers = -1;
    int rc = read_count(c, 1, PLAN_MAX_RANKS, "the size of a stage", &size);
    if (!rc && take(c, "*")) rc = read_count(c, 1, PLAN_MAX_STAGES, "the number of stages", &repeat);
    if (!rc && take(c, "/")) rc = read_count(c, 0, SHAPE_MAX_LAYERS, "the layers of a stage", &layers);
    return rc ? rc : add_stages(c, st, repeat, size, layers);
}

static int read_stages(struct cursor *c, struct strategy *st) {
    int rc;
    do
        rc = read_stage(c, st);
    while (!rc && take(c, ","));
    if (!rc && take(c, "xdp")) rc = read_count(c, 1, PLAN_MAX_RANKS, "the number of replicas", &st->dp);
    if (!rc && *c->at) rc = bad(c, "expected ',' and another stage, 'xdp' and a number of replicas, or the end");
    if (!rc && st->host && st->n_stages == 1) rc = bad(c, "a host needs stages behind it");
    return rc ? rc : strategy_finish(st, c->d);
}

static int read_parts(struct cursor *c, struct strategy *st) {
    static const char *const word[] = {"dp", "tp", "pp", "kvp"};
    enum { WORDS = sizeof word / sizeof *word };
    int n[WORDS] = {0}, max[WORDS] = {PLAN_MAX_RANKS, PLAN_MAX_RANKS, PLAN_MAX_STAGES, PLAN_MAX_RANKS};
    do {
        int k = 0;
        while (k < WORDS && strncmp(c->at, word[k], strlen(word[k])))
            k++;
        if (k == WORDS)
            return bad(c, "expected 1, or tpN, kvpN, ppN and dpN joined by x as in tp2xpp2, or a list such as "
                          "stages:1*14/1,2/0");
        if (n[k]) return bad(c, "this part stands there twice");
        c->at += strlen(word[k]);
        int rc = read_count(c, 1, max[k], "the number in tpN, kvpN, ppN, dpN", &n[k]);
        if (rc) return rc;
    } while (take(c, "x"));
    if (*c->at) return bad(c, "expected x and another part, or the end");
    int dp = n[0] ? n[0] : 1, tp = n[1] ? n[1] : 1, pp = n[2] ? n[2] : 1, kvp = n[3] ? n[3] : 1;
    if ((int64_t)dp * tp * pp * kvp > PLAN_MAX_RANKS)
        return diag_set(c->d, ERR_USAGE, "strategy '%.80s': %lld ranks are more than the %d that a plan can have",
                        c->text, (long long)dp * tp * pp * kvp, PLAN_MAX_RANKS);
    strategy_regular(st, dp, tp, kvp, pp);
    return 0;
}

int strategy_parse(struct strategy *st, const char *text, struct diag *d) {
    struct cursor c = {text, text, d};
    memset(st, 0, sizeof *st);
    st->dp = st->kvp = 1;
    if (!strcmp(text, "1")) {
        strategy_regular(st, 1, 1, 1, 1);
        return 0;
    }
    return take(&c, "stages:") ? read_stages(&c, st) : read_parts(&c, st);
}

/* ---- choosing ---- */

int largest_divisor(int n, int max) {
    int k = n < max ? n : max;
    while (k > 1 && n % k)
        k--;
    return k > 1 ? k : 1;
}

static int check_ranks(int n, struct diag *d) {
    if (n >= 1 && n <= PLAN_MAX_RANKS) return 0;
    return diag_set(d, ERR_PLAN, "%d ranks: a plan has from 1 to %d", n, PLAN_MAX_RANKS);
}

int strategy_default(struct strategy *st, const struct model_shape *s, int n_ranks, char *why, size_t cap,
                     struct diag *d) {
    int rc = check_ranks(n_ranks, d);
    if (rc) return rc;
    int tp = largest_divisor(n_ranks, s->n_kv_heads), pp = largest_divisor(n_ranks / tp, s->n_layers);
    int dp = n_ranks / tp / pp;
    strategy_regular(st, dp, tp, 1, pp);
    if (n_ranks == 1) {
        snprintf(why, cap, "the default for 1 rank: it holds the whole model");
        return 0;
    }
    int n = snprintf(why, cap,
                     "the default for %d ranks: %d (the largest divisor of %d within the %d KV heads) split each layer",
                     n_ranks, tp, n_ranks, s->n_kv_heads);
    if (n > 0 && (size_t)n < cap && pp > 1)
        n += snprintf(why + n, cap - (size_t)n, ", %d pipeline stages (%d layers)", pp, s->n_layers);
    if (n > 0 && (size_t)n < cap && dp > 1) snprintf(why + n, cap - (size_t)n, ", %d replicas with the ranks left", dp);
    return 0;
}

const struct strategy_kind *strategy_kind_find(const char *name) {
    for (int i = 0; strategy_kinds[i]; i++)
        if (!strcmp(strategy_kinds[i]->name, name)) return strategy_kinds[i];
    return NULL;
}

int strategy_choose(struct strategy *st, const char *text, const struct model_shape *s, int n_ranks, char *why,
                    size_t cap, struct diag *d) {
    char unused[8];
    if (!why) why = unused, cap = sizeof unused;
    if (!text || !strcmp(text, "auto")) return strategy_default(st, s, n_ranks, why, cap, d);
    const struct strategy_kind *kind = strategy_kind_find(text);
    int rc = kind ? check_ranks(n_ranks, d) : 0;
    if (rc) return rc;
    if (kind)
        snprintf(why, cap, "%s over %d rank%s", kind->name, n_ranks, n_ranks == 1 ? "" : "s");
    else
        snprintf(why, cap, "as asked");
    return kind ? kind->spread(st, s, n_ranks, d) : strategy_parse(st, text, d);
}
