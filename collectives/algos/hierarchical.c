/* hierarchical:INNER:OUTER - one algorithm within each shared-memory domain, another between domains.
 *
 *   2 domains of 2 ranks (a node each, say), INNER with reduce_scatter and allgather:
 *
 *     rank        0         1     |     2         3
 *     has       a0 b0     a1 b1   |   a2 b2     a3 b3
 *     inner      a01       b01    |    a23       b23       reduce-scatter within the domain
 *     outer       A         B     |     A         B        all-reduce of each part among ranks of equal number
 *     inner      A B       A B    |    A B       A B       allgather within the domain
 *
 *   5 ranks in unequal domains, or an INNER that has only an all-reduce:
 *
 *     rank        0         1     |     2         3         4
 *     inner       S         S     |     T         T         T      all-reduce within the domain
 *     outer      S+T              |    S+T                         all-reduce among the first ones
 *     last       S+T '-->  S+T    |    S+T '-->  S+T '-->  S+T     which send it to the others
 *
 * Cost with D domains of M ranks, first form: INNER's reduce-scatter and allgather of n words among M ranks, and
 * OUTER's all-reduce of n/M among D: a rank sends only 1/M of what it would send outside (Open MPI's han and MPICH's
 * two-level collectives are the second form; the first keeps all ranks' ports busy). Second form: INNER's all-reduce
 * of n among M, on first ranks OUTER's of n among D, and M-1 messages of n; none of the last two with one domain.
 * Rounds are those of the slowest domain.
 *
 * Where each domain is a run of neighbouring ranks and their leaves make one whole subtree, ranks bring their subtree
 * sums and both levels see their part of the canonical tree: bit-exact if INNER and OUTER are. Else each rank first
 * reduces its inputs into one. */
#include <stdlib.h>

#include "sched_build.h"

enum { MAX_PARTS = 1 << 20 };

/* Who is where. Domains are numbered by their lowest rank. */
struct layout {
    int n_domains, aligned, uniform;
    int *members; /* ranks, domain after domain */
    int *start; /* members of domain i: [start[i], start[i+1]) */
    int *domain, *place; /* of each rank: its domain, its number in it */
    int *peers; /* the ranks of equal number in all domains, then their leaves: begin[n_domains+1] */
    int *begin;
    int *mem;
};

/* Numbers the domains; first[x] is scratch: the number of what the shape calls x. */
static void number_domains(struct layout *l, const struct coll_shape *shape, int *first) {
    for (int r = 0; r < shape->size; r++)
        first[r] = -1;
    for (int r = 0; r < shape->size; r++) {
        int *at = &first[shape->domain ? shape->domain[r] : 0];
        if (*at < 0) {
            *at = l->n_domains++;
            l->start[*at] = 0;
        }
        l->domain[r] = *at;
        l->place[r] = l->start[*at]++; /* their sizes, until list_members */
    }
}

static void list_members(struct layout *l, int size) {
    int sum = 0;
    for (int i = 0; i < l->n_domains; i++) {
        int n = l->start[i];
        l->start[i] = sum;
        sum += n;
    }
    l->start[l->n_domains] = sum;
    for (int r = 0; r < size; r++)
        l->members[l->start[l->domain[r]] + l->place[r]] = r;
}

static int size_of(const struct layout *l, int domain) {
    return l->start[domain + 1] - l->start[domain];
}

/* Runs of neighbouring ranks list all ranks in order. */
static int is_aligned(const struct layout *l, const struct coll_shape *shape) {
    for (int r = 0; r < shape->size; r++)
        if (l->members[r] != r) return 0;
    for (int i = 0; i < l->n_domains; i++)
        if (coll_cover_count(shape, l->start[i], l->start[i + 1]) != 1) return 0;
    return 1;
}

static int layout_init(struct layout *l, const struct coll_shape *shape, int rank) {
    size_t n = (size_t)shape->size + 1;
    *l = (struct layout){.uniform = 1, .mem = malloc(6 * n * sizeof *l->mem)};
    if (!l->mem) return ERR_MEMORY;
    l->members = l->mem;
    l->start = l->mem + n;
    l->domain = l->mem + 2 * n;
    l->place = l->mem + 3 * n;
    l->peers = l->mem + 4 * n;
    l->begin = l->mem + 5 * n;
    number_domains(l, shape, l->peers);
    list_members(l, shape->size);
    l->aligned = is_aligned(l, shape);
    for (int i = 0; i < l->n_domains; i++) {
        l->uniform &= size_of(l, i) == size_of(l, 0);
        l->peers[i] = l->place[rank] < size_of(l, i) ? l->members[l->start[i] + l->place[rank]] : -1;
    }
    for (int i = 0; i <= l->n_domains && l->aligned; i++)
        l->begin[i] = shape->begin[l->start[i]];
    return 0;
}

/* What a domain reduces, and what the domains reduce: without begin one leaf each. */
static struct coll_shape inner_shape(const struct layout *l, const struct coll_shape *all, int domain) {
    int size = size_of(l, domain);
    if (l->aligned) return (struct coll_shape){size, all->n_leaves, all->begin + l->start[domain], NULL};
    return (struct coll_shape){size, size, NULL, NULL};
}

static struct coll_shape outer_shape(const struct layout *l, const struct coll_shape *all) {
    if (l->aligned) return (struct coll_shape){l->n_domains, all->n_leaves, l->begin, NULL};
    return (struct coll_shape){l->n_domains, l->n_domains, NULL, NULL};
}

/* The first form. */
static int is_split(const struct layout *l, const struct coll_algo *inner) {
    return l->uniform && inner->build[COLL_REDUCE_SCATTER] && inner->build[COLL_ALLGATHER];
}

static int common_multiple(int a, int b) {
    int x = a, y = b;
    while (y != 0) {
        int rest = x % y;
        x = y;
        y = rest;
    }
    long n = (long)(a / x) * b;
    return n <= MAX_PARTS ? (int)n : MAX_PARTS + 1;
}

/* Parts that all ranks agree on: both levels' nested, or what they and domains of different sizes divide. */
static int all_parts(const struct layout *l, const struct coll_choice *choice) {
    int outer = coll_algo_parts(choice->outer, COLL_ALLREDUCE, l->n_domains), n = outer;
    if (is_split(l, choice->inner)) return size_of(l, 0) * outer;
    for (int i = 0; i < l->n_domains && n <= MAX_PARTS; i++)
        n = common_multiple(n, coll_algo_parts(choice->inner, COLL_ALLREDUCE, size_of(l, i)));
    return n;
}

/* Rounds of INNER in the slowest domain, of OUTER, and of the last messages. */
static int rounds_of(const struct coll_algo *algo, enum coll_kind kind, const struct coll_shape *shape) {
    struct coll_cost cost = {0};
    algo->cost[kind](&(struct coll_case){.shape = shape, .granule = 1, .of = 1}, &cost);
    return cost.rounds;
}

static int inner_rounds(const struct layout *l, const struct coll_choice *choice, const struct coll_shape *all) {
    int most = 0;
    for (int i = 0; i < l->n_domains; i++) {
        struct coll_shape shape = inner_shape(l, all, i);
        int rounds = rounds_of(choice->inner, COLL_ALLREDUCE, &shape);
        if (rounds > most) most = rounds;
    }
    return most;
}

/* Makes the builder see a domain, or the ranks of equal number. */
static void see(struct sched_builder *b, const struct coll_shape *shape, int rank, const int *peers, int part, int of,
                int cut) {
    b->shape = shape;
    b->rank = rank;
    b->peers = peers;
    b->parts = b->s->n_parts / of;
    b->part0 = part * b->parts;
    b->cut = cut;
}

static int build_split(struct sched_builder *b, const struct layout *l, const struct coll_shape *inner,
                       const struct coll_shape *outer, struct diag *d) {
    const struct coll_choice *choice = b->choice;
    int domain = l->domain[b->s->rank], place = l->place[b->s->rank], size = inner->size;
    const int *members = l->members + l->start[domain];
    see(b, inner, place, members, 0, 1, size);
    int code = choice->inner->build[COLL_REDUCE_SCATTER](b, d);
    b->in = b->result;
    b->n_in = 1;
    see(b, outer, domain, l->peers, place, size, coll_algo_parts(choice->outer, COLL_ALLREDUCE, outer->size));
    if (code == 0) code = choice->outer->build[COLL_ALLREDUCE](b, d);
    b->in = b->result;
    see(b, inner, place, members, 0, 1, size);
    return code ? code : choice->inner->build[COLL_ALLGATHER](b, d);
}

/* The first rank gives the result to the others of its domain. */
static void hand_out(struct sched_builder *b, int size) {
    if (b->rank > 0) {
        b->result = sched_slots(b, 1);
        sched_recv(b, 0, b->result, 1);
        return;
    }
    for (int i = 1; i < size; i++)
        sched_send(b, i, b->result, 1);
}

static int build_whole(struct sched_builder *b, const struct layout *l, const struct coll_shape *inner,
                       const struct coll_shape *outer, struct diag *d) {
    const struct coll_choice *choice = b->choice;
    const struct coll_shape *all = b->shape;
    int domain = l->domain[b->s->rank], place = l->place[b->s->rank], end = inner_rounds(l, choice, all);
    const int *members = l->members + l->start[domain];
    see(b, inner, place, members, 0, 1, coll_algo_parts(choice->inner, COLL_ALLREDUCE, inner->size));
    int code = choice->inner->build[COLL_ALLREDUCE](b, d);
    b->round = end;
    if (code != 0 || l->n_domains == 1) return code;
    b->in = b->result;
    b->n_in = 1;
    see(b, outer, domain, l->peers, 0, 1, coll_algo_parts(choice->outer, COLL_ALLREDUCE, outer->size));
    if (place == 0) code = choice->outer->build[COLL_ALLREDUCE](b, d);
    b->round = end + rounds_of(choice->outer, COLL_ALLREDUCE, outer);
    see(b, inner, place, members, 0, 1, 1);
    hand_out(b, inner->size);
    b->round += l->n_domains < all->size;
    return code;
}

static int allreduce(struct sched_builder *b, struct diag *d) {
    const struct coll_shape *all = b->shape;
    struct layout l;
    if (layout_init(&l, all, b->rank) != 0)
        return diag_set(d, ERR_MEMORY, "no memory for a schedule of %d ranks", all->size);
    struct coll_shape inner = inner_shape(&l, all, l.domain[b->rank]), outer = outer_shape(&l, all);
    int parts = all_parts(&l, b->choice), code;
    if (parts > MAX_PARTS) {
        code = diag_set(d, ERR_UNSUPPORTED,
                        "hierarchical:%s: domains of such different sizes need more than %d parts; "
                        "choose an inner algorithm that does not cut vectors",
                        b->choice->inner->name, MAX_PARTS);
    } else {
        b->s->n_parts = b->parts = b->cut = parts;
        if (!l.aligned) sched_one(b);
        code = (is_split(&l, b->choice->inner) ? build_split : build_whole)(b, &l, &inner, &outer, d);
    }
    free(l.mem);
    return code;
}

/* ---- the formula ---- */

static void split_cost(const struct coll_case *c, const struct layout *l, const struct coll_shape *inner,
                       const struct coll_shape *outer, struct coll_cost *out) {
    const struct coll_choice *choice = c->choice;
    struct coll_case in = {choice, inner, l->place[c->rank], c->n, c->granule, 0, 1};
    struct coll_case between = {choice, outer, l->domain[c->rank], c->n, c->granule, in.rank, inner->size};
    choice->inner->cost[COLL_REDUCE_SCATTER](&in, out);
    choice->outer->cost[COLL_ALLREDUCE](&between, out);
    choice->inner->cost[COLL_ALLGATHER](&in, out);
}

static void whole_cost(const struct coll_case *c, const struct layout *l, const struct coll_shape *inner,
                       const struct coll_shape *outer, struct coll_cost *out) {
    const struct coll_choice *choice = c->choice;
    struct coll_case in = {choice, inner, l->place[c->rank], c->n, c->granule, 0, 1};
    choice->inner->cost[COLL_ALLREDUCE](&in, out);
    out->rounds = inner_rounds(l, choice, c->shape);
    if (l->n_domains == 1) return;
    int rounds = out->rounds + rounds_of(choice->outer, COLL_ALLREDUCE, outer) + (l->n_domains < c->shape->size);
    if (in.rank == 0) {
        in.shape = outer;
        in.rank = l->domain[c->rank];
        choice->outer->cost[COLL_ALLREDUCE](&in, out);
        for (int i = 1; i < inner->size; i++)
            coll_cost_send(out, c->n);
    }
    out->rounds = rounds;
}

static void allreduce_cost(const struct coll_case *c, struct coll_cost *out) {
    struct layout l;
    if (layout_init(&l, c->shape, c->rank) != 0) {
        coll_cost_unknown(out);
        return;
    }
    struct coll_shape inner = inner_shape(&l, c->shape, l.domain[c->rank]), outer = outer_shape(&l, c->shape);
    if (!l.aligned) coll_cost_one(c, out);
    (is_split(&l, c->choice->inner) ? split_cost : whole_cost)(c, &l, &inner, &outer, out);
    free(l.mem);
}

const struct coll_algo coll_algo_hierarchical = {
    .name = "hierarchical",
    .description = "one algorithm within each shared-memory domain, another between domains",
    .label = COLL_ROUNDING,
    .levels = 2,
    .messages = "INNER's among M + OUTER's among P/M",
    .words = "INNER's of n + OUTER's of n/M",
    .additions = "the sum of both",
    .memory = "of both",
    .build[COLL_ALLREDUCE] = allreduce,
    .cost[COLL_ALLREDUCE] = allreduce_cost,
};
