/* The option table: one row gives parsing, help and shell completion. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "bench.h"
#include "dist/app.h"

enum opt_kind { OPT_STR, OPT_INT, OPT_REAL, OPT_FLAG, OPT_LIST };

struct opt {
    const char *name, *letter, *arg;
    enum opt_kind kind;
    size_t offset;
    double min, max;
    const char *def, *help;
};

#define FIELD(f) offsetof(struct run_spec, f)
#define BIG 2147483647.0

static const struct opt table[] = {
    {"model", "m", "FILE|PRESET", OPT_STR, FIELD(model), 0, 0, NULL,
     "GGUF file, or a preset with synthetic weights (northwall list)"},
    {"quant", NULL, "TYPE", OPT_STR, FIELD(quant), 0, 0, NULL, "storage type of a preset's weights"},
    {"strategy", "s", "S", OPT_STR, FIELD(strategy), 0, 0, NULL,
     "1, tp2, kvp2, pp4, tp2xpp2, dp2xtp2, stages:1*14/1,2/0"},
    {"tp", NULL, "N", OPT_INT, FIELD(tp), 1, 4096, NULL, "tensor-parallel ranks of a stage"},
    {"kvp", NULL, "N", OPT_INT, FIELD(kvp), 1, 4096, NULL,
     "ranks that share the KV cache of each tp shard by position (a stage has tp x kvp ranks)"},
    {"pp", NULL, "N", OPT_INT, FIELD(pp), 1, PLAN_MAX_STAGES, NULL, "pipeline stages"},
    {"dp", NULL, "N", OPT_INT, FIELD(dp), 1, 4096, NULL, "data-parallel replicas"},
    {"ranks", NULL, "N", OPT_INT, FIELD(ranks), 1, 1048576, NULL,
     "plan for N ranks (default: what the strategy needs)"},
    {"strategies", NULL, "LIST", OPT_STR, FIELD(strategies), 0, 0, NULL,
     "compare these strategies with one rank, e.g. 1,tp2,pp2"},
    {"prompt", "p", "TEXT", OPT_STR, FIELD(prompt), 0, 0, NULL,
     "prompt, taken verbatim (simulate: its number of tokens)"},
    {"prompts", NULL, "FILE", OPT_STR, FIELD(prompts), 0, 0, NULL,
     "one prompt a line, empty lines skipped: as many sequences at once"},
    {"n-predict", "n", "N", OPT_INT, FIELD(n_predict), 1, 1 << 24, "128", "most tokens to generate"},
    {"n-prompt", NULL, "N", OPT_INT, FIELD(n_prompt), 1, 1 << 20, "128",
     "prompt tokens where no prompt is given, ids by the seed (run: else a begin token)"},
    {"ctx", "c", "N", OPT_INT, FIELD(ctx), 1, 1 << 24, "0",
     "context positions of each sequence (default: what the prompts and -n need)"},
    {"chunk", NULL, "N", OPT_INT, FIELD(chunk), 1, 65536, "64",
     "prompt tokens of a sequence in one pass; where not given, fewer if cards of --cluster lack the room"},
    {"micro-batches", NULL, "N", OPT_INT, FIELD(n_micro), 1, 65536, "0",
     "groups of sequences in the pipeline (default: one a stage)"},
    {"batch", "b", "N", OPT_INT, FIELD(batch), 1, 65536, "1", "sequences generated at once"},
    {"users", "u", "N", OPT_INT, FIELD(batch), 1, 65536, "1", "sequences generated at once"},
    {"generate", "n", "N", OPT_INT, FIELD(n_predict), 1, 1 << 24, "128", "tokens to generate for each user"},
    {"threads", "t", "N", OPT_INT, FIELD(threads), 1, 1024, "0",
     "OpenMP threads of a rank (default: OMP_NUM_THREADS, or 1)"},
    {"bind", NULL, "on|off", OPT_STR, FIELD(bind), 0, 0, "on",
     "a core of its own for each thread, where a node has enough of them"},
    {"map", NULL, "launched|plan", OPT_STR, FIELD(map), 0, 0, NULL,
     "show who is where and what a token sends between nodes; plan: deal ranks to processes so that it is little"},
    {"hosts", NULL, "FILE", OPT_STR, FIELD(hosts), 0, 0, NULL,
     "Open MPI host file, lines as 'node1 slots=4': show which rank would be where, in place of the plan"},
    {"rankfile", NULL, "FILE", OPT_STR, FIELD(rankfile), 0, 0, NULL,
     "write that as an Open MPI rank file, cores as on this machine"},
    {"mode", NULL, "M", OPT_STR, FIELD(mode), 0, 0, NULL,
     "activations: a16 (float), a8, a4; or w4a16 w4a8 w8a8 w4a4 (default: a8, float where weights are; a preset's "
     "own)"},
    {"kv", NULL, "TYPE", OPT_STR, FIELD(kv), 0, 0, NULL,
     "key/value cache: f16, int8, int4 (default: f16; int4 in the a4 modes)"},
    {"hidden", NULL, "f32|fp16|int8|int4", OPT_STR, FIELD(hidden), 0, 0, NULL,
     "what every layer's result is rounded to, and travels as between stages: the same bits under every strategy "
     "(default: f32; a preset's own)"},
    {"temperature", NULL, "X", OPT_REAL, FIELD(temperature), 0, 100, "0", "0 is greedy"},
    {"top-k", NULL, "K", OPT_INT, FIELD(top_k), 0, BIG, "40", "sample among the K best (0: all)"},
    {"top-p", NULL, "X", OPT_REAL, FIELD(top_p), 0, 1, "1",
     "then, after --temperature, among the fewest of at least this probability"},
    {"seed", NULL, "N", OPT_INT, FIELD(seed), 0, BIG, "1", "of sampling, of synthetic weights, of fit's bootstrap"},
    {"draft", NULL, "S", OPT_INT, FIELD(draft), 0, DRAFT_MOST, "0",
     "verify up to S tokens in a pass, guessed from earlier text: the same bits (default: none)"},
    {"draft-ngram", NULL, "MIN:MAX", OPT_STR, FIELD(draft_ngram), 0, 0, NULL,
     "tokens in a row that the text must repeat, and most compared (default: 2:4)"},
    {"ignore-eos", NULL, NULL, OPT_FLAG, FIELD(ignore_eos), 0, 0, NULL, "go on after an end-of-sequence token"},
    {"no-bos", NULL, NULL, OPT_FLAG, FIELD(no_bos), 0, 0, NULL, "no beginning-of-sequence token in front"},
    {"no-echo", NULL, NULL, OPT_FLAG, FIELD(no_echo), 0, 0, NULL, "leave the prompt out of the text"},
    {"text", NULL, "TEXT", OPT_STR, FIELD(text), 0, 0, NULL, "text to use in place of standard input or a file"},
    {"window", NULL, "N", OPT_INT, FIELD(window), 2, 1 << 20, "0",
     "tokens of a perplexity window, each started afresh (default: 256, or the model's context if shorter)"},
    {"windows", NULL, "N", OPT_INT, FIELD(windows), 1, 1 << 20, "0",
     "only so many windows, spread evenly over the text (default: all)"},
    {"reference", NULL, "FILE", OPT_STR, FIELD(reference), 0, 0, NULL,
     "model that stands for full precision: floats, cache of f16, one rank (default: the model itself)"},
    {"skip", NULL, "N", OPT_INT, FIELD(skip), 0, 1 << 20, "0", "first predictions of each window that do not count"},
    {"type", NULL, "TYPE", OPT_STR, FIELD(type), 0, 0, NULL, "storage type to write"},
    {"head-type", NULL, "TYPE", OPT_STR, FIELD(head_type), 0, 0, NULL,
     "storage type of embedding and output layer (default: the same)"},
    {"out", "o", "FILE", OPT_STR, FIELD(out), 0, 0, NULL,
     "file to write (appears when complete); report, validate: a folder"},
    {"repeat", "r", "N", OPT_INT, FIELD(repeat), 1, BENCH_MAX_REPEAT, "7", "measurements of each figure"},
    {"precision", NULL, "PERCENT", OPT_REAL, FIELD(precision), 0.01, 50, "0",
     "repeat until the interval of each ms/token lies within PERCENT of its median, or --repeat (200) are done"},
    {"no-verify", NULL, NULL, OPT_FLAG, FIELD(no_verify), 0, 0, NULL,
     "do not compare with one rank (saves its memory)"},
    {"flip-weight", NULL, "RANK", OPT_INT, FIELD(flip), 0, 1048576, "-1",
     "flip one bit of one weight on a rank: the verification must notice"},
    {"timeout", NULL, "SECONDS", OPT_INT, FIELD(timeout), 1, 1 << 24, "0",
     "end the run once a rank has waited so long for another (default: 60, more for long passes)"},
    {"mem", NULL, "SIZE", OPT_STR, FIELD(mem), 0, 0, NULL, "memory a rank may use, e.g. 192MiB (default: not limited)"},
    {"weights-cache", NULL, "DIR", OPT_STR, FIELD(weights_cache), 0, 0, NULL,
     "keep packed weights there for the next start (default: NORTHWALL_CACHE, or nowhere)"},
    {"allreduce", NULL, "NAME", OPT_STR, FIELD(allreduce), 0, 0, "auto",
     "algorithm of the all-reduces (northwall list); auto: the fastest that gives the same bits"},
    {"transport", NULL, "auto|shm|link", OPT_STR, FIELD(transport), 0, 0, "auto",
     "all-reduces through shared memory within a node, or by messages everywhere"},
    {"op", NULL, "KIND", OPT_STR, FIELD(op), 0, 0, "allreduce", "allreduce, reduce_scatter or allgather"},
    {"algo", "a", "LIST", OPT_STR, FIELD(algo), 0, 0, "all",
     "algorithms (northwall list), auto, or all that fit; they take turns: tree,hierarchical:twoshot:ring"},
    {"wire", NULL, "f32|fp16|int8|int4", OPT_STR, FIELD(wire), 0, 0, "f32",
     "how values of all-reduces travel; other than f32: results are approximate"},
    {"drop-sync", NULL, "LAYERS", OPT_STR, FIELD(drop_sync), 0, 0, NULL,
     "leave out the all-reduce after attention in layers such as 0,3-7, all or none: results are approximate; quality: "
     "also least:K, those that cost least"},
    {"reduce", NULL, "OP", OPT_STR, FIELD(reduce), 0, 0, "sum", "sum, attn_merge:DIM or topk:K"},
    {"min-bytes", "b", "SIZE", OPT_STR, FIELD(min_bytes), 0, 0, "1K", "smallest vector of a rank"},
    {"max-bytes", "e", "SIZE", OPT_STR, FIELD(max_bytes), 0, 0, "256K", "largest vector of a rank"},
    {"factor", "f", "N", OPT_INT, FIELD(factor), 2, 1 << 20, "4", "from size to size"},
    {"reps", "n", "N|adaptive", OPT_STR, FIELD(reps), 0, 0, "adaptive",
     "repetitions of each figure; adaptive: until the interval of each median is within 5 % of it"},
    {"warmup", "w", "N", OPT_INT, FIELD(warmup), 0, 1 << 20, "10", "repetitions before the first that counts"},
    {"in-place", NULL, NULL, OPT_FLAG, FIELD(in_place), 0, 0, NULL, "only in place (default: out of place too)"},
    {"context", NULL, "gemv[:SIZE]", OPT_STR, FIELD(context), 0, 0, NULL,
     "behind a product that streams SIZE of Q4_0 weights and writes the operand: the time that is exposed"},
    {"osu", NULL, NULL, OPT_FLAG, FIELD(osu), 0, 0, NULL, "sizes and average times, as the OSU benchmarks print them"},
    {"verify", NULL, NULL, OPT_FLAG, FIELD(verify), 0, 0, NULL,
     "prove and count the schedules of 1 to --ranks ranks (64) in place of measuring; needs no mpirun"},
    {"crossover", NULL, NULL, OPT_FLAG, FIELD(crossover), 0, 0, NULL,
     "reckon in place of measuring: the link bandwidth below which each wire form pays; needs no mpirun"},
    {"ping-pong", NULL, NULL, OPT_FLAG, FIELD(ping_pong), 0, 0, NULL,
     "measure messages between ranks 0 and 1, 2 and 3, ... in place of collectives"},
    {"expect", NULL, "MBPS", OPT_REAL, FIELD(expect), 1e-3, 1e7, "0",
     "fail where they do not take their bytes' time on an Ethernet port of MBPS Mb/s (default: any time will do)"},
    {"flip", NULL, "RANK", OPT_INT, FIELD(flip_operand), 0, 1048576, "-1",
     "change one operand of a rank: the results must count as wrong"},
    {"kernels", NULL, "SET", OPT_STR, FIELD(kernels), 0, 0, NULL,
     "kernel set (northwall list; default: the fastest that this CPU has)"},
    {"net", NULL, "FILE", OPT_STR, FIELD(net), 0, 0, NULL,
     "links to reckon with, as northwall calibrate --out writes them (default: an ordinary server's)"},
    {"cluster", NULL, "FILE", OPT_STR, FIELD(cluster), 0, 0, NULL,
     "described cluster whose cards the ranks stand for (cluster-configs/)"},
    {"straggler", NULL, "CARD=FACTOR", OPT_LIST, FIELD(stragglers), 0, 0, NULL,
     "a card of --cluster or --pace with FACTOR times the speed, as 3=0.8; may be given several times"},
    {"shares", NULL, "speed|even", OPT_STR, FIELD(shares), 0, 0, "speed",
     "layers, heads, FFN columns and vocabulary rows by the speeds of the cards, where these differ and it is faster; "
     "or even ones"},
    {"set", NULL, "NAME=VALUE", OPT_LIST, FIELD(changes), 0, 0, NULL,
     "a number of --cluster changed, as memory-bandwidth=2 (times), link-latency=1us (more), capacity.LEVEL=0.5; may "
     "be "
     "given several times"},
    {"estimate", NULL, NULL, OPT_FLAG, FIELD(estimate), 0, 0, NULL, "in closed form, in place of walking every pass"},
    {"clock", NULL, "real|virtual|paced", OPT_STR, FIELD(clock), 0, 0, "real",
     "virtual: tell also the time that the job would take on --cluster; paced: slow this machine down to it"},
    {"pace", NULL, "WORDS", OPT_STR, FIELD(pace), 0, 0, NULL,
     "slow this machine down to mem=5GB/s,link=1Gb/s,latency=20us,compute=400Gop/s, or some of these"},
    {"trace", NULL, "FILE", OPT_STR, FIELD(trace), 0, 0, NULL,
     "write what each card does when, for chrome://tracing and ui.perfetto.dev (JSON)"},
    {"timeline", NULL, "A:B|FILE.svg", OPT_STR, FIELD(timeline), 0, 0, NULL,
     "draw it, a row a card: from A to B ms, or the last token's pass; as a picture with FILE.svg or A:B,FILE.svg"},
    {"reach", NULL, "TOK/S", OPT_REAL, FIELD(reach), 1e-6, 1e15, "0",
     "which number of the cluster, changed alone, would give this throughput: what a published one may mean"},
    {"operations", NULL, "FILE", OPT_STR, FIELD(operations), 0, 0, NULL,
     "write what each rank executed, for northwall replay"},
    {"free", NULL, "NAME,...", OPT_STR, FIELD(free), 0, 0, NULL, "numbers of the cluster that are fitted"},
    {"db", NULL, "FILE", OPT_STR, FIELD(db), 0, 0, NULL, "file of results (SQLite), made where there is none"},
    {"jobs", NULL, "N", OPT_INT, FIELD(jobs), 1, 256, "0",
     "processes that estimate and simulate at once (default: one a core)"},
    {"retry", NULL, NULL, OPT_FLAG, FIELD(retry), 0, 0, NULL, "do the points that failed again"},
    {"dry-run", NULL, NULL, OPT_FLAG, FIELD(dry_run), 0, 0, NULL, "only print the command line of each point to do"},
    {"where", NULL, "NAME=VALUE", OPT_LIST, FIELD(where), 0, 0, NULL,
     "only results with this parameter, status, kind, machine or program; may be given several times"},
    {"columns", NULL, "LIST", OPT_STR, FIELD(columns), 0, 0, NULL, "only these columns, as users,latency_ms_per_tok"},
    {"export", NULL, "csv|jsonl|extrap", OPT_STR, FIELD(export), 0, 0, NULL,
     "CSV, JSON Lines, or the text format of Extra-P"},
    {"import", NULL, "FILE", OPT_STR, FIELD(import), 0, 0, NULL, "add the results of FILE.csv or FILE.jsonl"},
    {"log", NULL, "collectives", OPT_STR, FIELD(log), 0, 0, NULL,
     "tell on stderr, for each collective, the algorithm, why, and the predicted time"},
    {"budget", NULL, "S", OPT_REAL, FIELD(budget), 0.01, 86400, "20", "seconds that measuring may take"},
    {"roofline", NULL, NULL, OPT_FLAG, FIELD(roofline), 0, 0, NULL,
     "time of each kind of step beside its bound by memory and arithmetic"},
    {"plot", NULL, "FILE", OPT_STR, FIELD(plot), 0, 0, NULL,
     "draw the roofline, or the fit: FILE.svg or FILE.png by gnuplot, FILE.gp for its commands; report: in letters on "
     "the "
     "terminal, without FILE"},
    {"x", NULL, "COLUMN,...", OPT_STR, FIELD(x), 0, 0, NULL, "columns of the file that explain"},
    {"y", NULL, "COLUMN", OPT_STR, FIELD(y), 0, 0, NULL, "column that is explained; crossover: two"},
    {"runs", NULL, "COLUMN", OPT_STR, FIELD(runs), 0, 0, NULL,
     "rows with the same value there are of one run: intervals are by drawing whole runs"},
    {"at", NULL, "X,...", OPT_STR, FIELD(at), 0, 0, NULL,
     "tell the curves' values there (of several columns: 2:1024); beyond the data they are called an extrapolation"},
    {"search", NULL, NULL, OPT_FLAG, FIELD(search), 0, 0, NULL,
     "all plans of a job on --cluster: what nothing beats, and why the others lose"},
    {"approximate", NULL, NULL, OPT_FLAG, FIELD(approximate), 0, 0, NULL,
     "search also among all-reduces whose sums round otherwise"},
    {"steps", NULL, NULL, OPT_FLAG, FIELD(steps), 0, 0, NULL, "show each step with its cost"},
    {"measure", NULL, NULL, OPT_FLAG, FIELD(measure), 0, 0, NULL, "run the report's models on this machine: minutes"},
    {"quick", NULL, NULL, OPT_FLAG, FIELD(quick), 0, 0, NULL, "fewer points: each report in seconds"},
    {"all", NULL, NULL, OPT_FLAG, FIELD(all), 0, 0, NULL, "show everything, long arrays too"},
    {"json", NULL, NULL, OPT_FLAG, FIELD(json), 0, 0, NULL, "print the result as JSON, units in the key names"},
    {"quiet", "q", NULL, OPT_FLAG, FIELD(quiet), 0, 0, NULL, "no progress and no statistics on stderr"},
    {"help", "h", NULL, OPT_FLAG, FIELD(help), 0, 0, NULL, "this text"},
};
enum { N_OPTS = sizeof table / sizeof *table };
_Static_assert(N_OPTS <= 128, "run_spec.given has a bit for each option");

/* True if `name` is a word of the list. */
static int listed(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return 1;
    return 0;
}

/* The value of an option may be left out: at the end, or before another option. */
static int is_bare(const struct cmd *c, const struct opt *o, const char *next) {
    return c->bare && listed(c->bare, o->name) && (!next || next[0] == '-');
}

static int takes(const struct cmd *c, const struct opt *o) {
    int is = !strcmp(o->name, "help") || listed(c->options, o->name);
    for (const struct cmd_mode *m = c->modes; m && m->name && !is; m++)
        is = listed(m->options, o->name);
    return is;
}

static int mode_takes(const struct cmd *c, const struct cmd_mode *mode, const struct opt *o) {
    return listed(c->options, o->name) || listed(mode->options, o->name);
}

static void add_text(char *text, size_t cap, const char *dashes, const char *more) {
    size_t len = strlen(text);
    snprintf(text + len, cap - len, "%s%s%s", len ? ", " : "", dashes, more);
}

/* The option is another command's: an unknown one here. */
static int refuse_word(const struct cmd *c, const char *word, const char *name, size_t n, struct diag *d) {
    char others[128] = "";
    for (int i = 0; i < N_OPTS && word[1] == '-'; i++)
        for (int k = 0; strlen(table[i].name) == n && !memcmp(table[i].name, name, n) && cmds[k]; k++)
            if (takes(cmds[k], &table[i])) add_text(others, sizeof others, "", cmds[k]->name);
    return diag_set(d, ERR_USAGE, "unknown option '%.64s'%s%s: see northwall %s --help", word,
                    others[0] ? ", which is for " : "", others, c->name);
}

/* What the command does otherwise takes the option, but not what it is asked to do. */
static int refuse_option(const struct cmd *c, const struct cmd_mode *mode, const struct opt *o, struct diag *d) {
    char others[128] = "", own[512] = "";
    for (const struct cmd_mode *m = c->modes; m->name; m++)
        if (listed(m->options, o->name)) add_text(others, sizeof others, "", m->name);
    for (int i = 0; i < N_OPTS; i++)
        if (mode_takes(c, mode, &table[i])) add_text(own, sizeof own, "--", table[i].name);
    return diag_set(d, ERR_USAGE, "%s takes no --%s, which is for %s; it takes %s", mode->name, o->name, others, own);
}

static int check_mode(const struct run_spec *s, const struct cmd *c, struct diag *d) {
    int mode = c->modes && !s->help ? c->mode(s) : -1;
    for (int i = 0; i < N_OPTS && mode >= 0; i++)
        if (s->given[i / 64] >> i % 64 & 1 && !mode_takes(c, &c->modes[mode], &table[i]))
            return refuse_option(c, &c->modes[mode], &table[i], d);
    return 0;
}

static int add_value(struct opt_list *list, const char *value, const char *what, struct diag *d) {
    if (list->n == OPT_LIST_MOST)
        return diag_set(d, ERR_USAGE, "%s: at most %d times on a command line", what, OPT_LIST_MOST);
    list->value[list->n++] = value;
    return 0;
}

static int set_value(struct run_spec *s, const struct opt *o, const char *value, struct diag *d) {
    char *at = (char *)s + o->offset, what[64];
    snprintf(what, sizeof what, "--%s", o->name);
    switch (o->kind) {
    case OPT_STR: *(const char **)at = value; return 0;
    case OPT_INT: return text_int(value, (long)o->min, (long)o->max, what, (long *)at, d);
    case OPT_REAL: return text_double(value, o->min, o->max, what, (double *)at, d);
    case OPT_FLAG: *(int *)at = 1; return 0;
    case OPT_LIST: return add_value((struct opt_list *)(void *)at, value, what, d);
    }
    return diag_set(d, ERR_INTERNAL, "option table row without a kind: --%s", o->name);
}

/* Defaults may lie outside the range a user may type (0 and -1 mean "not given"). */
static void set_defaults(struct run_spec *s) {
    memset(s, 0, sizeof *s);
    for (int i = 0; i < N_OPTS; i++) {
        struct opt o = table[i];
        o.min = -1;
        if (o.def) set_value(s, &o, o.def, NULL);
    }
}

static const struct opt *find(const struct cmd *c, const char *word, size_t n, int dashes) {
    for (int i = 0; i < N_OPTS; i++) {
        const char *name = dashes == 2 ? table[i].name : table[i].letter;
        if (takes(c, &table[i]) && name && strlen(name) == n && !memcmp(name, word, n)) return &table[i];
    }
    return NULL;
}

int opts_parse(struct run_spec *s, const struct cmd *c, int argc, char **argv, struct diag *d) {
    set_defaults(s);
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int dashes = word[0] == '-' && word[1] ? 1 + (word[1] == '-') : 0;
        if (!dashes) {
            if (s->n_args == c->max_args)
                return diag_set(d, ERR_USAGE, "unexpected word '%.64s': see northwall %s --help", word, c->name);
            s->args[s->n_args++] = word;
            continue;
        }
        const char *name = word + dashes, *eq = strchr(name, '=');
        size_t len = eq ? (size_t)(eq - name) : strlen(name);
        const struct opt *o = find(c, name, len, dashes);
        if (!o) return refuse_word(c, word, name, len, d);
        if (o->kind == OPT_FLAG && eq) return diag_set(d, ERR_USAGE, "--%s takes no value", o->name);
        const char *next = i + 1 < argc ? argv[i + 1] : NULL, *value = NULL;
        if (eq)
            value = eq + 1;
        else if (is_bare(c, o, next))
            value = "";
        else if (o->kind != OPT_FLAG && !next)
            return diag_set(d, ERR_USAGE, "--%s needs a value: %s", o->name, o->arg);
        else if (o->kind != OPT_FLAG)
            value = argv[++i];
        int rc = set_value(s, o, value, d);
        if (rc) return rc;
        s->given[(o - table) / 64] |= (uint64_t)1 << (o - table) % 64;
    }
    if (s->log && strcmp(s->log, "collectives"))
        return diag_set(d, ERR_USAGE, "--log %.40s: valid is collectives", s->log);
    return check_mode(s, c, d);
}

int opts_given(const struct run_spec *s, const char *name) {
    for (int i = 0; i < N_OPTS; i++)
        if (!strcmp(table[i].name, name) && s->given[i / 64] >> i % 64 & 1) return 1;
    return 0;
}

static uint64_t hash_text(const char *text, uint64_t seed) {
    return text ? hash_bytes(text, strlen(text), seed + 1) : hash_mix(seed);
}

static uint64_t hash_list(const struct opt_list *list, uint64_t hash) {
    for (int i = 0; i < list->n; i++)
        hash = hash_text(list->value[i], hash);
    return hash;
}

uint64_t opts_hash(const struct run_spec *s, const struct cmd *c) {
    static const char *const local = "model threads kernels"; /* each rank may have its own */
    uint64_t hash = hash_text(c->name, 0);
    for (int i = 0; i < N_OPTS; i++) {
        const char *at = (const char *)s + table[i].offset;
        switch (listed(local, table[i].name) ? -1 : (int)table[i].kind) {
        case OPT_STR: hash = hash_text(*(const char *const *)at, hash); break;
        case OPT_INT: hash = hash_bytes(at, sizeof(long), hash); break;
        case OPT_REAL: hash = hash_bytes(at, sizeof(double), hash); break;
        case OPT_FLAG: hash = hash_bytes(at, sizeof(int), hash); break;
        case OPT_LIST: hash = hash_list((const struct opt_list *)(const void *)at, hash); break;
        }
    }
    for (int i = 0; i < s->n_args; i++)
        hash = hash_text(s->args[i], hash);
    return hash;
}

void opts_help(const struct cmd *c, FILE *out) {
    fprintf(out, "northwall %s - %s\n\nusage: northwall %s %s\n\n", c->name, c->summary, c->name, c->usage);
    for (int i = 0; i < N_OPTS; i++) {
        const struct opt *o = &table[i];
        if (!takes(c, o)) continue;
        char left[64];
        int bare = is_bare(c, o, NULL);
        snprintf(left, sizeof left, "%s%s%s--%s %s%s%s", o->letter ? "-" : "", o->letter ? o->letter : "",
                 o->letter ? ", " : "    ", o->name, bare ? "[" : "", o->arg ? o->arg : "", bare ? "]" : "");
        int given = o->def && strcmp(o->def, "0") && strcmp(o->def, "-1");
        fprintf(out, "  %-28s %s", left, o->help);
        if (given) fprintf(out, " (default: %s)", o->def);
        fputc('\n', out);
    }
    if (c->notes) fprintf(out, "\n%s\n", c->notes);
}

void opts_names(const struct cmd *c, FILE *out) {
    for (int i = 0; i < N_OPTS; i++)
        if (takes(c, &table[i]))
            fprintf(out, "--%s%s\n", table[i].name,
                    table[i].kind == OPT_FLAG || is_bare(c, &table[i], NULL) ? "" : "=");
}
