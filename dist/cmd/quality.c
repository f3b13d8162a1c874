/* northwall quality: what precision and schedule do to a model's predictions. */
#include "../quality.h"

#include <math.h>

/* ", 95 % [low, high]" or nothing. */
static void print_mean(const char *what, const struct text_mean *m, const char *unit, double scale) {
    printf("  %-34s %.6g%s", what, scale * m->mean, unit);
    if (!isnan(m->low)) printf("  [%.6g, %.6g]", scale * m->low, scale * m->high);
    putchar('\n');
}

static void print_against(const char *what, const struct quality_against *a, long n) {
    printf("%s\n", what);
    print_mean("KL divergence, nats a token", &a->kl, "", 1);
    print_mean("dNLL, nats a token", &a->dnll, "", 1);
    print_mean("same most likely token, %", &a->same_best, "", 100);
    printf("  %-34s %.6g nats; logits differ by up to %.6g, in %ld of %ld predictions\n", "most of one prediction",
           a->most_kl, a->most_logit, a->changed, n);
}

static void print(const struct quality *q) {
    const char *checked = quality_checked(q);
    struct text_mean perplexity = {exp(q->nll.mean), exp(q->nll.low), exp(q->nll.high)};
    printf("%ld predictions in %d windows of %d tokens (measured%s), strategy %s, sums %s%s%s\n", q->n, q->n_windows,
           q->window, isnan(q->nll.low) ? "; too few windows for intervals" : "; 95 % intervals over windows, normal",
           q->strategy, coll_label_name(q->label), q->dropped[0] ? ", syncs dropped in layers " : "", q->dropped);
    print_mean("perplexity", &perplexity, "", 1);
    print_against("beside full precision (floats, cache of f16, one rank)", &q->against[QUALITY_FULL], q->n);
    print_against("beside one rank of the same choice", &q->against[QUALITY_ONE_RANK], q->n);
    if (checked) printf("checked: %s\n", checked);
}

static int run(struct app *app, struct diag *d) {
    struct quality q;
    struct quality_store *s = quality_store_new();
    int rc = s ? quality_measure(&q, s, app, d) : diag_set(d, ERR_MEMORY, "no memory for a measurement");
    quality_store_free(s);
    if (rc || app->rank != 0) return rc;
    if (!app->spec.json) {
        print(&q);
        return 0;
    }
    json_t *o = quality_json(&q);
    json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
    return 0;
}

const struct cmd cmd_quality = {
    .name = "quality",
    .summary = "perplexity, KL divergence and agreement of a choice of precision and schedule",
    .usage = "--model FILE [--reference FILE] TEXTFILE [--mode M] [--kv TYPE] [--wire W] [--ranks N] [options]",
    .options = "model quant strategy ranks reference text window windows skip seed chunk threads mode kv hidden "
               "allreduce transport wire drop-sync net kernels no-bos log json quiet",
    .notes =
        "Predicts the text with the model as asked for, and sets each distribution beside two others: that of full\n"
        "precision (--reference with floats, a cache of f16, one rank), and that of one rank of the same choice, "
        "which\n"
        "has no all-reduce. KL divergences are from the other to this one. Labels are checked: what is bit-exact must\n"
        "have the bits of one rank. Without mpirun the ranks are threads of this process: the same bits.\n"
        "--drop-sync least:K drops the K syncs that cost least, found by dropping each alone.",
    .max_args = 1,
    .run = run,
};
