/* northwall coll: collectives, measured against the library's and against the machine's floor; or proved and counted.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../coll_bench.h"
#include "../ping_pong.h"
#include "base/text.h"
#include "collectives/agree.h"

/* ---- words of the command line ---- */

/* "16K", "1MiB", "100". */
static int parse_size(const char *text, const char *what, size_t *out, struct diag *d) {
    static const char units[] = "KMG";
    char *end;
    unsigned long long v = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (unit) end++;
    if (unit && *end == 'i') end++;
    if (*end == 'B') end++;
    if (!isdigit((unsigned char)text[0]) || *end || v == 0 || v > (UINT64_C(1) << 32) >> shift)
        return diag_set(d, ERR_USAGE, "%s %.40s: expected a size from 1 to 4G, as 4096, 16K or 1MiB", what, text);
    *out = (size_t)v << shift;
    return 0;
}

static int parse_kind(struct coll_bench *b, const char *text, struct diag *d) {
    for (int k = 0; k < COLL_KINDS; k++)
        if (!strcmp(text, coll_kind_name((enum coll_kind)k))) {
            b->data.kind = (enum coll_kind)k;
            return 0;
        }
    return diag_set(d, ERR_USAGE, "--op %.40s: valid are allreduce, reduce_scatter and allgather", text);
}

static int parse_reduce(struct coll_bench *b, const char *text, struct diag *d) {
    char name[32];
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    long param = 1;
    snprintf(name, sizeof name, "%.*s", len < sizeof name ? (int)len : (int)sizeof name - 1, text);
    int rc = colon ? text_int(colon + 1, 1, COLL_MAX_DIM, "--reduce", &param, d) : 0;
    if (!rc) rc = coll_op_find(&b->data.op, name, (int)param, d);
    if (!rc && !colon && strcmp(name, "sum") != 0)
        rc = diag_set(d, ERR_USAGE, "--reduce %s: its size is missing: write %s:64", name, name);
    return rc;
}

static int parse_wire(struct coll_bench *b, const char *text, struct diag *d) {
    char names[128];
    if (!strcmp(text, "f32")) return 0;
    b->data.wire = coll_wire_find(text);
    if (!b->data.wire)
        return diag_set(d, ERR_USAGE, "--wire %.40s: valid are f32, %s", text,
                        text_names(names, sizeof names, (const void *const *)coll_wires));
    if (strcmp(b->data.op.name, "sum") != 0)
        return diag_set(d, ERR_USAGE, "--wire %s is for sums, not for --reduce %s", text, b->data.op.name);
    return 0;
}

static int parse_transport(const char *text, enum coll_transport *t, struct diag *d) {
    for (int i = COLL_TRANSPORT_AUTO; i <= COLL_TRANSPORT_LINK; i++)
        if (!strcmp(text, coll_transport_name((enum coll_transport)i))) {
            *t = (enum coll_transport)i;
            return 0;
        }
    return diag_set(d, ERR_USAGE, "--transport %.40s: valid are auto, shm and link", text);
}

static int parse_reps(struct coll_bench *b, const char *text, struct diag *d) {
    long n = COLL_ADAPTIVE_REPS;
    b->adaptive = !strcmp(text, "adaptive");
    int rc = b->adaptive ? 0 : text_int(text, 1, COLL_MAX_REPS, "--reps", &n, d);
    b->reps = (int)n;
    return rc;
}

static int parse_context(struct coll_bench *b, const char *text, struct diag *d) {
    if (!text) return 0;
    b->context = 1;
    b->first_form = FORM_IN;
    if (b->data.kind != COLL_ALLREDUCE || strcmp(b->data.op.name, "sum") != 0 || b->data.wire)
        return diag_set(d, ERR_USAGE, "--context gemv is for all-reduces of sums without a wire form");
    if (!strcmp(text, "gemv")) return 0;
    if (strncmp(text, "gemv:", 5) != 0)
        return diag_set(d, ERR_USAGE, "--context %.40s: valid are gemv and gemv:SIZE", text);
    return parse_size(text + 5, "--context gemv:", &b->context_bytes, d);
}

/* ---- methods ---- */

static int add_method(struct coll_bench *b, const char *name, enum coll_transport transport, struct diag *d) {
    if (b->n_methods == COLL_MAX_METHODS)
        return diag_set(d, ERR_USAGE, "at most %d algorithms and transports at once", COLL_MAX_METHODS);
    struct coll_method *m = &b->method[b->n_methods++];
    snprintf(m->name, sizeof m->name, "%s", name);
    m->transport = transport;
    return 0;
}

/* Whether `all` means it too. */
static int fits(const struct coll_bench *b, const struct coll_algo *a) {
    if (a->library)
        return b->app->world->ops->allreduce && b->data.kind == COLL_ALLREDUCE && !strcmp(b->data.op.name, "sum") &&
               !b->data.wire;
    return a->levels == 1 && a->build[b->data.kind] && (!b->data.wire || a->two_step);
}

static int add_named(struct coll_bench *b, const char *name, enum coll_transport transport, struct diag *d) {
    struct coll_choice choice;
    int rc = 0;
    for (int i = 0; coll_algos[i] && !strcmp(name, "all") && !rc; i++) {
        const struct coll_algo *a = coll_algos[i];
        if (a->library && b->library >= 0) continue;
        if (a->library) b->library = b->n_methods;
        if (fits(b, a))
            rc = add_method(b, a->name, transport, d);
        else if (a->library)
            b->library = -1;
    }
    if (!strcmp(name, "all") || rc) return rc;
    if (!strcmp(name, "auto")) return add_method(b, name, transport, d);
    rc = coll_choice_parse(&choice, name, d);
    if (rc) return rc;
    if (choice.algo->library && b->library >= 0) return 0;
    if (!choice.algo->library && !choice.algo->build[b->data.kind])
        return diag_set(d, ERR_USAGE, "--algo %s has no %s (northwall list)", choice.algo->name,
                        coll_kind_name(b->data.kind));
    if (choice.algo->library && !b->app->world->ops->allreduce)
        return diag_set(d, ERR_USAGE, "--algo mpi: there is no MPI library on one rank: start it with mpirun");
    if (choice.algo->library) b->library = b->n_methods;
    return add_method(b, name, transport, d);
}

/* All words of one list with all of the other. */
static int add_methods(struct coll_bench *b, const char *algos, const char *transports, struct diag *d) {
    char names[1024], vias[64], *save = NULL, *save_via = NULL;
    int rc = 0;
    if (strlen(algos) >= sizeof names || strlen(transports) >= sizeof vias)
        return diag_set(d, ERR_USAGE, "--algo, --transport: list too long");
    strcpy(vias, transports);
    for (char *via = strtok_r(vias, ",", &save_via); via && !rc; via = strtok_r(NULL, ",", &save_via)) {
        enum coll_transport t = COLL_TRANSPORT_AUTO;
        rc = parse_transport(via, &t, d);
        strcpy(names, algos);
        for (char *name = strtok_r(names, ",", &save); name && !rc; name = strtok_r(NULL, ",", &save))
            rc = add_named(b, name, t, d);
    }
    if (!rc && b->n_methods == 0) rc = diag_set(d, ERR_USAGE, "--algo, --transport: nothing in the list");
    return rc;
}

/* ---- the run ---- */

struct sizes {
    size_t min, max;
};

static int parse_what(struct coll_bench *b, struct sizes *z, struct diag *d) {
    const struct run_spec *s = &b->app->spec;
    int rc = parse_kind(b, s->op, d);
    if (!rc) rc = parse_reduce(b, s->reduce, d);
    if (!rc) rc = parse_wire(b, s->wire, d);
    if (!rc) rc = parse_size(s->min_bytes, "--min-bytes", &z->min, d);
    if (!rc) rc = parse_size(s->max_bytes, "--max-bytes", &z->max, d);
    if (!rc && z->max < z->min)
        rc = diag_set(d, ERR_USAGE, "--min-bytes %s is more than --max-bytes %s", s->min_bytes, s->max_bytes);
    return rc;
}

static int parse(struct coll_bench *b, struct sizes *z, struct diag *d) {
    const struct run_spec *s = &b->app->spec;
    int rc = parse_what(b, z, d);
    if (!rc) rc = parse_reps(b, s->reps, d);
    b->first_form = s->in_place ? FORM_IN : FORM_OUT;
    if (!rc) rc = parse_context(b, s->context, d);
    if (!rc && s->flip_operand >= b->app->size)
        rc = diag_set(d, ERR_USAGE, "--flip %ld: no such rank", s->flip_operand);
    if (!rc && s->out && !s->json) rc = diag_set(d, ERR_USAGE, "--out is for --json");
    return rc ? rc : add_methods(b, s->algo, s->transport, d);
}

static int measure(struct coll_bench *b, const struct sizes *z, struct diag *d) {
    size_t last = 0, elem = b->data.op.elem_bytes, factor = (size_t)b->app->spec.factor;
    int rc = coll_bench_open(b, d);
    if (!rc && b->app->rank == 0) coll_print_head(b);
    for (size_t bytes = z->min; bytes <= z->max && !rc; bytes *= factor) {
        size_t n = bytes < elem ? 1 : bytes / elem;
        if (n != last) rc = coll_bench_size(b, n, d);
        last = n;
    }
    coll_bench_close(b);
    return rc;
}

static void put_end(void *user, FILE *out) {
    coll_print_end(user, out);
}

/* Rank 0 alone. */
static int write_end(struct coll_bench *b, struct diag *d) {
    if (b->app->spec.out) return text_write_file(b->app->spec.out, put_end, b, d);
    coll_print_end(b, stdout);
    return 0;
}

static int run_measured(struct app *app, struct diag *d) {
    static struct coll_bench b; /* large, and one a process */
    struct sizes z = {0, 0};
    memset(&b, 0, sizeof b);
    b.app = app;
    b.library = -1;
    b.net = app->net;
    b.warmup = (int)app->spec.warmup;
    b.data.size = app->size;
    b.data.flip = (int)app->spec.flip_operand;
    app->world->wait_limit_s = app->spec.timeout ? (double)app->spec.timeout : 60;
    int rc = err_agree(app->world, parse(&b, &z, d), d);
    if (!rc) rc = app_bind(app, d);
    if (rc) return rc;
    coll_data_init(&b.data);
    b.max_bytes = z.max > b.data.op.elem_bytes ? z.max : b.data.op.elem_bytes;
    rc = measure(&b, &z, d);
    if (!rc) rc = err_agree(app->world, app->rank == 0 ? write_end(&b, d) : 0, d);
    uint64_t miscounted = rc ? 0 : agree_sum(app->world, b.miscounted);
    if (miscounted)
        rc = diag_set(d, ERR_MISMATCH, "%llu calls sent other messages than their formula says",
                      (unsigned long long)miscounted);
    else if (!rc && b.wrong)
        rc = diag_set(d, ERR_MISMATCH, "%llu elements of the results are wrong", (unsigned long long)b.wrong);
    return rc;
}

static int run_verify(struct app *app, struct diag *d) {
    int most = app->spec.ranks ? (int)app->spec.ranks : 64;
    if (most > 64) return diag_set(d, ERR_USAGE, "--ranks %d: at most 64 are proved", most);
    return app->rank == 0 ? coll_verify(app, most, d) : 0;
}

static int run_crossover(struct app *app, struct diag *d) {
    static struct coll_bench b; /* for its words */
    struct sizes z = {0, 0};
    int size = app->spec.ranks ? (int)app->spec.ranks : app->size;
    b.app = app;
    int rc = parse_what(&b, &z, d);
    if (!rc && size < 2) rc = diag_set(d, ERR_USAGE, "coll --crossover: of how many ranks? Give --ranks 2 or more");
    return rc || app->rank ? rc : coll_crossover(app, b.data.wire, size, z.min, z.max, d);
}

static int run_ping_pong(struct app *app, struct diag *d) {
    static struct coll_bench b; /* for its words */
    struct sizes z = {0, 0};
    b.app = app;
    app->world->wait_limit_s = app->spec.timeout ? (double)app->spec.timeout : 60;
    int rc = err_agree(app->world, parse_what(&b, &z, d), d);
    if (!rc && app->spec.out && !app->spec.json) rc = diag_set(d, ERR_USAGE, "--out is for --json");
    if (!rc) rc = app_bind(app, d);
    return rc ? rc : ping_pong_run(app, z.min, z.max, d);
}

static int run(struct app *app, struct diag *d) {
    if (app->spec.verify) return err_agree(app->world, run_verify(app, d), d);
    if (app->spec.crossover) return err_agree(app->world, run_crossover(app, d), d);
    return app->spec.ping_pong ? run_ping_pong(app, d) : run_measured(app, d);
}

static const struct cmd_mode modes[] = {
    {"coll",
     "op algo transport wire reduce min-bytes max-bytes factor reps warmup in-place context osu flip timeout bind "
     "json out net log"},
    {"coll --verify", "verify ranks algo"},
    {"coll --crossover", "crossover ranks wire min-bytes max-bytes factor net"},
    {"coll --ping-pong", "ping-pong expect min-bytes max-bytes factor timeout bind json out"},
    {0},
};

static int mode(const struct run_spec *s) {
    return s->verify ? 1 : s->crossover ? 2 : s->ping_pong ? 3 : 0;
}

const struct cmd cmd_coll = {
    .name = "coll",
    .summary = "measure collectives beside MPI's and the machine's floor; or prove and count them",
    .usage = "[--algo LIST] [--op KIND] [-b SIZE -e SIZE -f N] [-n N|adaptive] [options]\n"
             "       northwall coll --verify [--ranks MAX] [--algo LIST]\n"
             "       northwall coll --crossover [--ranks P] [--wire FORM] [-b SIZE -e SIZE -f N] [--net FILE]\n"
             "       northwall coll --ping-pong [--expect MBPS] [-b SIZE -e SIZE -f N]",
    .options = "quiet",
    .modes = modes,
    .mode = mode,
    .notes = "Algorithms take turns, repetition by repetition, so their times are compared in pairs. Operands are\n"
             "written anew before each repetition, results checked after it, both untimed. A wrong element, or a\n"
             "message more or less than the formula says, ends the command with a nonzero status.",
    .run = run,
};
