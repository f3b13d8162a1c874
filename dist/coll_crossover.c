/* coll_crossover.c - below which bandwidth of a link a wire form shortens an all-reduce: the cheapest schedule of each
 * form priced (price.h) while the bandwidth of that link alone moves. What coding costs, latency and overheads stay. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "coll_bench.h"

/* Between these bandwidths, in bytes a second, to a part in a thousand. */
static const uint64_t least_Bps = 100000, most_Bps = UINT64_C(10000000000000);
enum { HALVINGS = 60, CROSSOVER_RANKS = 64 /* as many as are proved */ };

/* An all-reduce whose ranks all meet over one link. */
struct crossing {
    struct net net; /* that link alone */
    struct coll_shape shape; /* one leaf a rank */
    int shm;
    size_t n;
};

/* The fastest that `auto` finds, whatever its label: a wire form is approximate and has to beat the best. */
static int price(const struct crossing *x, const struct coll_wire *wire, struct coll_choice *choice, uint64_t *ps,
                 struct diag *d) {
    struct coll_spec spec = {.kind = COLL_ALLREDUCE,
                             .label = wire ? COLL_APPROXIMATE : COLL_ROUNDING,
                             .transport = x->shm ? COLL_TRANSPORT_SHM : COLL_TRANSPORT_LINK,
                             .wire = wire,
                             .n_max = x->n,
                             .shape = x->shape,
                             .net = &x->net};
    int rc = coll_op_find(&spec.op, "sum", 1, d);
    if (!rc) rc = coll_resolve(&spec, choice, NULL, 0, d);
    size_t granule = wire ? COLL_WIRE_GRANULE : COLL_LINE_BYTES / sizeof(float);
    return rc ? rc
              : coll_predict(choice, spec.kind, &spec.shape, &x->net, x->shm, &spec.op, wire, x->n, granule, ps, d);
}

/* *gain: time of binary32 / time with the wire form. */
static int gain_at(struct crossing *x, struct pico_rate G, const struct coll_wire *wire, double *gain, struct diag *d) {
    struct coll_choice choice;
    uint64_t plain = 0, coded = 0;
    x->net.tier[0].link.G = G;
    int rc = price(x, NULL, &choice, &plain, d);
    if (!rc) rc = price(x, wire, &choice, &coded, d);
    if (!rc) *gain = coded ? (double)plain / (double)coded : 1;
    return rc;
}

/* The greatest bandwidth found to pay: least_Bps - 1 where none does, most_Bps where all do. */
static int find_crossing(struct crossing *x, const struct coll_wire *wire, uint64_t *Bps, struct diag *d) {
    uint64_t pays = least_Bps, fails = most_Bps;
    double gain;
    int rc = gain_at(x, pico_rate_per_second(pays), wire, &gain, d);
    *Bps = least_Bps - 1;
    if (rc || gain <= 1) return rc;
    rc = gain_at(x, pico_rate_per_second(fails), wire, &gain, d);
    *Bps = most_Bps;
    if (rc || gain > 1) return rc;
    for (int i = 0; i < HALVINGS && fails - pays > pays / 1000 && !rc; i++) {
        uint64_t middle = fails / pays > 3 ? pays * 2 : pays + (fails - pays) / 2;
        rc = gain_at(x, pico_rate_per_second(middle), wire, &gain, d);
        if (gain > 1)
            pays = middle;
        else
            fails = middle;
    }
    *Bps = pays;
    return rc;
}

static const char *rate_text(char *buf, size_t cap, double Bps) {
    static const char *const units[] = {"kB/s", "MB/s", "GB/s", "TB/s"};
    int i = 0;
    for (Bps /= 1e3; Bps >= 999.5 && i < 3; i++)
        Bps /= 1e3;
    snprintf(buf, cap, "%.3g %s", Bps, units[i]);
    return buf;
}

static int print_wire(struct crossing *x, struct pico_rate own, const struct coll_wire *wire, struct diag *d) {
    char below[24];
    uint64_t Bps;
    double gain;
    int rc = gain_at(x, own, wire, &gain, d);
    if (!rc) rc = find_crossing(x, wire, &Bps, d);
    if (rc) return rc;
    if (Bps < least_Bps)
        snprintf(below, sizeof below, "never");
    else if (Bps == most_Bps)
        snprintf(below, sizeof below, "always");
    else
        rate_text(below, sizeof below, (double)Bps);
    printf("  %-4s %-9s %4.2fx", wire->name, below, gain);
    return 0;
}

static int print_row(const struct app *app, struct crossing *x, int tier, const struct coll_wire *only,
                     struct diag *d) {
    char size[24], rate[24], name[64];
    struct coll_choice choice;
    uint64_t ps;
    x->net = app->net;
    x->net.tier[0] = app->net.tier[tier];
    x->net.n_tiers = 1;
    x->shm = x->net.tier[0].link.pull;
    struct pico_rate own = x->net.tier[0].link.G;
    int rc = price(x, NULL, &choice, &ps, d);
    if (rc) return rc;
    coll_choice_name(&choice, name, sizeof name);
    printf("%-10s %-5s %-9s %-12s %9.2f", text_bytes(size, sizeof size, (double)(x->n * sizeof(float))),
           x->net.tier[0].name, rate_text(rate, sizeof rate, 1e12 * (double)own.den / (double)own.num), name,
           1e-6 * (double)ps);
    for (int i = 0; coll_wires[i] && !rc; i++)
        if (!only || only == coll_wires[i]) rc = print_wire(x, own, coll_wires[i], d);
    putchar('\n');
    return rc;
}

int coll_crossover(struct app *app, const struct coll_wire *only, int size, size_t min_bytes, size_t max_bytes,
                   struct diag *d) {
    if (size > CROSSOVER_RANKS)
        return diag_set(d, ERR_USAGE, "--ranks %d: at most %d are proved", size, CROSSOVER_RANKS);
    int begin[CROSSOVER_RANKS + 1], rc = 0;
    struct crossing x = {.shape = {.size = size, .n_leaves = size, .begin = begin}};
    for (int r = 0; r <= size; r++)
        begin[r] = r;
    printf("all-reduce of sums on %d ranks, each form by its fastest algorithm (estimated), on links\n", size);
    for (int t = 0; t < app->net.n_tiers; t++)
        printf("  %-4s %s\n", app->net.tier[t].name, app->net.tier[t].source);
    printf(
        "behind each wire form: the bandwidth of the link below which it is faster than binary32 (latency, overheads\n"
        "and coding as described), and time of binary32 / its time at the link's own bandwidth\n\n"
        "%-10s %-5s %-9s %-12s %9s\n",
        "size", "link", "own", "binary32", "us");
    for (size_t bytes = min_bytes; bytes <= max_bytes && !rc; bytes *= (size_t)app->spec.factor)
        for (int t = 0; t < app->net.n_tiers && !rc; t++) {
            x.n = bytes < sizeof(float) ? 1 : bytes / sizeof(float);
            rc = print_row(app, &x, t, only, d);
        }
    return rc;
}
