/* app.h - what every subcommand gets: the command line, the ranks, the model.
 *
 * A subcommand is one file in cmd/, one word in its list. It runs on every rank, returns the same code everywhere (it
 * agrees at the end of each phase), and prints on rank 0 alone: results to stdout, the rest to stderr. */
#ifndef DIST_APP_H
#define DIST_APP_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "collectives/link.h"
#include "collectives/price.h"
#include "dist/draft.h"
#include "dist/sampler.h"
#include "dist/topo.h"
#include "models/gguf.h"
#include "models/shape.h"
#include "models/tokenizer.h"
#include "partition/cluster.h"
#include "partition/plan.h"

/* The values of an option that may be given several times. */
enum { OPT_LIST_MOST = 16 };
struct opt_list {
    const char *value[OPT_LIST_MOST];
    int n;
};

/* The command line, one field an option (opts.c has the table). */
struct run_spec {
    const char *model, *quant, *strategy, *strategies, *prompt, *prompts, *text, *out, *type, *head_type, *mode, *kv,
        *hidden, *kernels, *mem, *plot, *bind, *weights_cache, *allreduce, *transport, *draft_ngram, *net, *wire,
        *drop_sync, *log, *map, *hosts, *rankfile, *cluster, *clock, *pace, *trace, *timeline, *operations, *db,
        *columns, *export, *import, *x, *y, *at, *runs, *free, *shares, *reference;
    struct opt_list where; /* "NAME=VALUE" */
    long jobs;
    struct opt_list stragglers; /* "CARD=FACTOR" */
    struct opt_list changes; /* "PARAMETER=VALUE" */
    long tp, kvp, pp, dp, ranks; /* 0: not given */
    long n_predict, n_prompt, ctx, chunk, n_micro, threads, top_k, seed, repeat, batch, flip, window, windows, skip,
        timeout, draft;
    double temperature, top_p, budget, reach, precision, expect;
    /* of coll */
    const char *op, *algo, *reduce, *min_bytes, *max_bytes, *reps, *context;
    long factor, warmup, flip_operand;
    int osu, verify, crossover, ping_pong, in_place, search, approximate;
    int measure, quick, estimate, dry_run, retry;
    int json, help, quiet, steps, all, no_bos, no_echo, ignore_eos, no_verify, roofline;
    const char *args[12]; /* words that are no options */
    int n_args;
    uint64_t given[2]; /* bit i: row i of the table was on the command line */
};

struct app {
    struct run_spec spec;
    struct link *world;
    struct net net; /* --net's or --cluster's, else net_default */
    struct cluster cluster; /* --cluster's, or --pace's, all zero without */
    struct cluster machine; /* --net's, all zero without: this machine, whose ranks may be unlike */
    int rank, size; /* world's */
    int cores; /* that the ranks of this node may use, together */
    struct topo_place place; /* of this rank's threads, once app_bind has been called */
    int yields; /* ranks that wait for a message give way to others; -1: not known, or nobody to wait for */
    int node; /* world rank of the node's first rank */
    struct estimate_kept *kept; /* a search's, for the estimates of all its plans (partition/estimate.h); else NULL */
    int node_leader; /* 1: this rank is that one */
    struct placement *placement; /* --map's; NULL without it */
};

void placement_free(struct placement *p); /* NULL accepted; after what app->world was. Local. */

/* One of the things that a command does, and the options for it. */
struct cmd_mode {
    const char *name; /* "model synth" */
    const char *options; /* names, separated by spaces */
};

struct cmd {
    const char *name, *summary;
    const char *usage; /* words after "northwall NAME" */
    const char *options; /* names of the options it takes, separated by spaces; with modes, in all of them */
    const struct cmd_mode *modes; /* ended by a row without name; NULL: it does one thing */
    int (*mode)(const struct run_spec *s); /* which of them is asked for; -1: none, which run will say */
    const char *bare; /* of those, options whose value may be left out (it is then ""), or NULL */
    const char *notes; /* paragraphs under the options, or NULL */
    int max_args; /* words that are no options, 12 at most */
    int (*run)(struct app *app, struct diag *d);
};
extern const struct cmd *const cmds[];

/* Parses argv after the subcommand. ERR_USAGE names the word: also of an option that is for another command, or for
 * another mode of this one, and then what takes it. Local. */
int opts_parse(struct run_spec *s, const struct cmd *c, int argc, char **argv, struct diag *d);
/* Whether an option was on the command line. Local. */
int opts_given(const struct run_spec *s, const char *name);
/* Of the command and all options that ranks must share. Local. */
uint64_t opts_hash(const struct run_spec *s, const struct cmd *c);
void opts_help(const struct cmd *c, FILE *out);
/* All option names of a subcommand, for shell completion. */
void opts_names(const struct cmd *c, FILE *out);

/* A model by path or preset name: file mapped on every rank (NULL for a preset), shape read, equal on all ranks. */
struct model {
    struct gguf *file;
    struct model_shape shape;
    struct tokenizer *tokenizer;
};
/* Collective over app->world. A file that lacks a part not asked for opens all the same (a vocabulary alone, another
 * architecture): its shape is then zero, its tokenizer NULL. model_open asks for both. */
enum { MODEL_SHAPE = 1, MODEL_TOKENIZER = 2 };
int model_open_parts(struct model *m, const struct app *app, int parts, struct diag *d);
int model_open(struct model *m, const struct app *app, struct diag *d);
void model_close(struct model *m);

/* Fills in app->net and app->cluster: rank 0 reads the file of --net or --cluster, and changes it. Collective. */
int app_net(struct app *app, struct diag *d);
/* Whether real time follows the clocks of --cluster: --clock paced, or --pace. Local. */
int app_paced(const struct app *app);
/* What --set and --straggler say, done to app->cluster as read, and app->net from it. Local. */
int app_change_cluster(struct app *app, struct diag *d);

/* Threads of a rank: --threads, OMP_NUM_THREADS, or 1. */
int app_threads(const struct run_spec *s);
/* Fills in the decoder's options from the command line (compute mode, kv type, context, threads). */
int app_decoder_opts(struct decoder_opts *o, const struct app *app, const struct model_shape *s, struct diag *d);
/* Counts the node's cores and, as --bind says, gives each thread of this rank one of its own; says where a launcher
 * left too few. To be called before threads touch memory. Collective. */
int app_bind(struct app *app, struct diag *d);
/* The strategy asked for by --strategy or --tp/--kvp/--pp/--dp, or the default for n ranks with a sentence that
 * explains it. */
int app_strategy(struct strategy *st, const struct app *app, const struct model_shape *s, int n_ranks, char *why,
                 size_t cap, struct diag *d);
/* ERR_PLAN where --straggler names a card that the strategy does not take. */
int app_check_stragglers(const struct app *app, const struct strategy *st, struct diag *d);
struct sampler_params app_sampling(const struct app *app);
/* --draft and --draft-ngram. ERR_USAGE says what is wrong with them. */
int app_draft(struct draft_params *out, const struct app *app, struct diag *d);

/* Prompts as token ids on every rank (tokenized on rank 0 and broadcast). Without --prompt or --prompts each is
 * n_random ids drawn from the seed, or if that is 0 empty: a begin token. Collective. */
struct prompts {
    int n;
    int **ids, *len;
    char **text; /* rank 0 */
    int *end_ids, n_end_ids;
};
int prompts_load(struct prompts *p, const struct app *app, const struct model *m, int n_random, struct diag *d);
void prompts_free(struct prompts *p);

/* Nonzero once SIGINT, SIGTERM or SIGHUP came, or once the text cannot be written any more. */
extern volatile int app_stop;

#endif
