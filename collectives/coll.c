/* coll.c - persistent collectives: what is fixed once, and the calls. */
#include "collectives/coll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/pairtree.h"
#include "coll_priv.h"
#include "collectives/agree.h"

enum { MAX_PROVED = 64, LINE = COLL_LINE_BYTES, PAGE = 4096 };

const char *coll_transport_name(enum coll_transport t) {
    static const char *const names[] = {"auto", "shm", "link"};
    return names[t];
}

size_t coll_typical(const struct coll_spec *spec) {
    return spec->n_typical ? spec->n_typical : spec->n_max;
}

/* A line of elements, so that two ranks never write one line; with a wire form a multiple of its groups. */
size_t coll_granule(const struct coll_spec *spec) {
    if (spec->granule) return spec->granule;
    if (spec->wire) return COLL_WIRE_GRANULE;
    return spec->op.elem_bytes < LINE ? LINE / spec->op.elem_bytes : 1;
}

/* ---- checking a spec ---- */

static int check_spec(const struct coll_spec *spec, const struct link *link, struct diag *d) {
    const char *name = spec->name ? spec->name : "collective";
    if (spec->shape.size != link->size)
        return diag_set(d, ERR_RANGE, "%s: a shape of %d ranks on a link of %d", name, spec->shape.size, link->size);
    if (!spec->op.reduce || spec->op.elem_bytes == 0)
        return diag_set(d, ERR_USAGE, "%s: no op: use coll_op_find", name);
    if (spec->n_max > SIZE_MAX / 64 / PAIRTREE_MAX_NODES / spec->op.elem_bytes)
        return diag_set(d, ERR_RANGE, "%s: %zu elements are too many", name, spec->n_max);
    if (spec->wire && strcmp(spec->op.name, "sum") != 0)
        return diag_set(d, ERR_USAGE, "%s: the wire form %s is for sums, not for %s", name, spec->wire->name,
                        spec->op.name);
    if (spec->wire && coll_granule(spec) % (size_t)spec->wire->group != 0)
        return diag_set(d, ERR_RANGE, "%s: a granule of %zu elements cuts the groups of %d of %s", name,
                        coll_granule(spec), spec->wire->group, spec->wire->name);
    return 0;
}

static uint64_t hash_text(const char *text, uint64_t seed) {
    return text ? hash_bytes(text, strlen(text), seed + 1) : seed;
}

static uint64_t spec_hash(const struct coll_spec *spec) {
    const struct coll_shape *shape = &spec->shape;
    uint64_t numbers[] = {spec->kind,
                          (uint64_t)spec->label,
                          spec->transport,
                          spec->n_max,
                          coll_typical(spec),
                          coll_granule(spec),
                          (uint64_t)spec->tag,
                          spec->op.elem_bytes,
                          (uint64_t)spec->op.param,
                          (uint64_t)shape->size,
                          (uint64_t)shape->n_leaves};
    uint64_t h = hash_bytes(numbers, sizeof numbers, 0);
    h = hash_text(spec->name, h);
    h = hash_text(spec->algo ? spec->algo : "auto", h);
    h = hash_text(spec->op.name, h);
    h = hash_text(spec->wire ? spec->wire->name : NULL, h);
    if (shape->begin) h = hash_bytes(shape->begin, ((size_t)shape->size + 1) * sizeof *shape->begin, h);
    if (shape->domain) h = hash_bytes(shape->domain, (size_t)shape->size * sizeof *shape->domain, h);
    return h;
}

/* ---- setting up ---- */

/* What coll_init needs on the way. */
struct setup {
    struct coll *c;
    struct link *link;
    struct coll_spec spec; /* with domains and net filled in */
    struct coll_choice choice;
    struct net net;
    int *domains; /* [3 * size]: as the spec or the link says; as the link says; where both agree */
    const int *shared; /* the last of them, NULL where all send messages */
    struct sched sched;
    struct sched *all; /* of all ranks: rank 0's, where they are proved */
    enum coll_label label;
};

static int build(const struct setup *t, int rank, struct sched *out, struct diag *d) {
    int code = sched_build(out, &t->choice, t->spec.kind, &t->spec.shape, rank, d);
    if (code == 0 && t->spec.wire) {
        code = sched_make_lossy(out, &t->choice, d);
        if (code != 0) sched_fini(out);
    }
    return code;
}

static int build_for(void *ctx, int rank, struct sched *out, struct diag *d) {
    return build(ctx, rank, out, d);
}

/* Messages alone need no domains, but algorithms of two levels may. */
static int wants_domains(const struct coll_spec *spec) {
    int any = !spec->algo || strcmp(spec->algo, "auto") == 0 || strchr(spec->algo, ':');
    return spec->transport != COLL_TRANSPORT_LINK || (any && !spec->shape.domain);
}

/* Ranks that share memory by the link and that the spec puts into one domain. Collective. */
static int find_domains(struct setup *t, struct diag *d) {
    int n = t->link->size, code = 0;
    int *said = t->domains = calloc(3 * (size_t)n, sizeof *t->domains), *real = said + n, *both = real + n;
    if (!said) code = diag_set(d, ERR_MEMORY, "no memory for the domains of %d ranks", n);
    code = err_agree(t->link, code, d);
    if (code != 0) return code;
    for (int r = 0; r < n; r++)
        real[r] = r;
    if (wants_domains(&t->spec)) link_domains(t->link, real);
    memcpy(said, t->spec.shape.domain ? t->spec.shape.domain : real, (size_t)n * sizeof *said);
    t->spec.shape.domain = said;
    int sharing = 0;
    for (int r = 0; r < n; r++) {
        both[r] = 0;
        while (said[both[r]] != said[r] || real[both[r]] != real[r])
            both[r]++;
        sharing |= both[r] != r;
    }
    if (t->spec.transport != COLL_TRANSPORT_LINK && sharing) t->shared = both;
    for (int r = 1; r < n && t->spec.transport == COLL_TRANSPORT_SHM; r++)
        if (both[r] != 0)
            return diag_set(d, ERR_UNSUPPORTED,
                            "%s: ranks 0 and %d share no memory: use the transport auto or link instead of shm",
                            t->c->name, r);
    return 0;
}

static int check_library(const struct setup *t, struct diag *d) {
    const char *name = t->c->name, *algo = t->choice.algo->name;
    if (t->spec.kind != COLL_ALLREDUCE || strcmp(t->spec.op.name, "sum") != 0 || t->spec.wire)
        return diag_set(d, ERR_UNSUPPORTED, "%s: %s has only an all-reduce of binary32 sums", name, algo);
    if (!t->link->ops->allreduce)
        return diag_set(d, ERR_UNSUPPORTED, "%s: %s: there is no MPI library below this link", name, algo);
    return 0;
}

/* All ranks' schedules at once: rank 0's business. */
static int prove(struct setup *t, enum coll_label *label, struct diag *d) {
    int n = t->link->size, code = 0;
    t->all = calloc((size_t)n, sizeof *t->all);
    if (!t->all) return diag_set(d, ERR_MEMORY, "no memory for %d schedules", n);
    for (int r = 0; r < n && code == 0; r++)
        code = build(t, r, &t->all[r], d);
    return code ? code : sched_check(t->all, t->spec.kind, &t->spec.shape, label, d);
}

static int check_label(struct setup *t, struct diag *d) {
    char choice[64];
    if (t->spec.wire)
        t->label = COLL_APPROXIMATE;
    else if (!t->spec.op.rounds)
        t->label = COLL_BIT_EXACT;
    if (t->label <= t->spec.label) return 0;
    coll_choice_name(&t->choice, choice, sizeof choice);
    return diag_set(d, ERR_USAGE, "%s: %s%s%s is %s here, but %s is asked for", t->c->name, choice,
                    t->spec.wire ? " with " : "", t->spec.wire ? t->spec.wire->name : "", coll_label_name(t->label),
                    coll_label_name(t->spec.label));
}

/* The label of a library's call is its word; of more ranks than are proved, the algorithm's. Collective. */
static int find_label(struct setup *t, struct diag *d) {
    int code = 0;
    t->label = t->choice.algo->label;
    if (!t->choice.algo->library && t->link->size <= MAX_PROVED && t->link->rank == 0) code = prove(t, &t->label, d);
    code = err_agree(t->link, code, d);
    if (code != 0) return code;
    agree_bcast(t->link, 0, &t->label, sizeof t->label);
    return check_label(t, d);
}

static int compile(struct setup *t, struct diag *d) {
    struct peer_source peers = {build_for, t};
    if (!t->choice.algo->library) return program_init(&t->c->prog, &t->sched, t->shared, &peers, d);
    struct pairtree_node nodes[PAIRTREE_MAX_NODES];
    const struct coll_shape *shape = &t->spec.shape;
    int rank = t->link->rank;
    return program_library(&t->c->prog,
                           pairtree_cover(shape->n_leaves, shape->begin[rank], shape->begin[rank + 1], nodes), d);
}

/* The program, and the segment that it needs; without one, where that is allowed, a program of messages. Collective. */
static int compile_and_share(struct setup *t, struct diag *d) {
    struct coll *c = t->c;
    struct diag no = {0};
    int code = err_agree(t->link, compile(t, d), d);
    if (code != 0 || !t->shared || t->choice.algo->library) return code;
    size_t bytes = c->prog.layout.publications ? segment_bytes(&c->sizes, c->prog.layout.count[AREA_SHARED]) : 0;
    code = link_share(t->link, bytes, &c->segment, &no);
    if (code == 0) return 0;
    if (t->spec.transport == COLL_TRANSPORT_SHM) return diag_set(d, code, "%s: %s", c->name, no.text);
    size_t len = strlen(c->info.why);
    snprintf(c->info.why + len, sizeof c->info.why - len, "; messages, as %.100s", no.text);
    t->shared = NULL;
    program_fini(&c->prog);
    return err_agree(t->link, compile(t, d), d);
}

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* Bytes of the private areas, in the order of enum area; areas of two buffers count twice. */
static size_t private_bytes(const struct program *p, const struct sizes *z, size_t stage) {
    return 2 * area_bytes(z, 0, p->layout.count[AREA_TWICE]) + area_bytes(z, 0, p->layout.count[AREA_ONCE]) +
           area_bytes(z, 1, p->layout.count[AREA_CODES]) + stage;
}

static size_t books_bytes(int insts, int pieces, int peers, int sends, int parts, int slots) {
    return (size_t)insts * (sizeof(struct inst) + sizeof(struct work)) +
           (size_t)pieces * (sizeof(struct span) + 2 * sizeof(size_t)) +
           (size_t)peers * (sizeof(struct peer) + 2 * sizeof(char *)) +
           (size_t)(sends + 1) * sizeof(struct link_request) + ((size_t)parts + 1) * 2 * sizeof(size_t) +
           (size_t)slots * 2 * sizeof(struct place) + sizeof(struct coll) + 2 * AREA_PEERS * sizeof(char *);
}

static void place_areas(struct coll *c) {
    const struct layout *l = &c->prog.layout;
    size_t twice = area_bytes(&c->sizes, 0, l->count[AREA_TWICE]), once = area_bytes(&c->sizes, 0, l->count[AREA_ONCE]);
    size_t codes = area_bytes(&c->sizes, 1, l->count[AREA_CODES]);
    char *at = c->memory;
    for (int parity = 0; parity < 2; parity++) {
        char **area = c->area[parity];
        area[AREA_TWICE] = at + (size_t)parity * twice;
        area[AREA_ONCE] = at + 2 * twice;
        area[AREA_CODES] = area[AREA_ONCE] + once;
        area[AREA_STAGE] = area[AREA_CODES] + codes;
    }
}

static void place_segments(struct coll *c) {
    int own = c->link->rank;
    char **base = (char **)c->segment->base;
    if (!c->prog.layout.publications) return;
    c->number = (_Atomic uint64_t *)(void *)base[own];
    c->sleeper = (_Atomic uint32_t *)(void *)(base[own] + SEGMENT_SLEEPER);
    for (int parity = 0; parity < 2; parity++) {
        size_t p = (size_t)parity;
        c->area[parity][AREA_SHARED] =
            base[own] + SEGMENT_DATA + p * area_bytes(&c->sizes, c->wire != NULL, c->prog.layout.count[AREA_SHARED]);
        for (int i = 0; i < c->prog.n_peers; i++)
            c->area[parity][AREA_PEERS + i] = base[c->prog.peers[i].rank] + SEGMENT_DATA +
                                              p * area_bytes(&c->sizes, c->wire != NULL, c->prog.peers[i].count);
    }
    for (int i = 0; i < c->prog.n_peers; i++) {
        struct peer *p = &c->prog.peers[i];
        p->number = (const _Atomic uint64_t *)(void *)base[p->rank];
        p->sleeper = (_Atomic uint32_t *)(void *)(base[p->rank] + SEGMENT_SLEEPER);
    }
}

static int allocate(struct coll *c, struct diag *d) {
    const struct program *p = &c->prog;
    size_t stage = stage_bytes(p, &c->sizes), bytes = private_bytes(p, &c->sizes, stage);
    size_t parts = (size_t)p->n_parts + 1, areas = AREA_PEERS + (size_t)p->n_peers;
    if (posix_memalign(&c->memory, LINE, bytes + LINE) != 0) c->memory = NULL;
    c->area[0] = calloc(2 * areas, sizeof *c->area[0]);
    c->area[1] = c->area[0] + areas;
    c->sends = calloc((size_t)p->n_sends + 1, sizeof *c->sends);
    c->part_begin = calloc(2 * parts, sizeof *c->part_begin);
    c->code_begin = c->part_begin + parts;
    c->piece_off = calloc(2 * (size_t)p->n_pieces + 1, sizeof *c->piece_off);
    c->piece_bytes = c->piece_off + p->n_pieces;
    c->work = calloc((size_t)p->n_insts + 1, sizeof *c->work);
    if (!c->memory || !c->area[0] || !c->sends || !c->part_begin || !c->piece_off || !c->work)
        return diag_set(d, ERR_MEMORY, "%s: no memory for %zu bytes", c->name, bytes);
    memset(c->memory, 0, bytes);
    place_areas(c);
    if (c->segment) place_segments(c);
    c->info.bytes = bytes + books_bytes(p->n_insts, p->n_pieces, p->n_peers, p->n_sends, p->n_parts, p->n_slots);
    if (c->segment) c->info.bytes += round_up(c->segment->bytes, PAGE) + PAGE;
    return 0;
}

/* What the timer says of the schedules that are proved; of others an estimate. Rank 0's counts. Collective. */
static int predict(struct setup *t, uint64_t *ps, struct diag *d) {
    struct net_clock *clocks = t->all ? calloc((size_t)t->link->size, sizeof *clocks) : NULL;
    const struct coll_spec *spec = &t->spec;
    int code = 0;
    if (t->all && !clocks)
        code = diag_set(d, ERR_MEMORY, "no memory for %d clocks", t->link->size);
    else if (t->all)
        code = sched_price(t->all, &spec->shape, &t->net, t->c->segment != NULL, &spec->op, spec->wire,
                           coll_typical(spec), t->c->sizes.granule, clocks, d);
    else if (t->link->rank == 0)
        code = coll_estimate(spec, &t->choice, ps, d);
    for (int r = 0; r < t->link->size && clocks && code == 0; r++)
        if (clocks[r].now.ps > *ps) *ps = clocks[r].now.ps;
    free(clocks);
    code = err_agree(t->link, code, d);
    agree_bcast(t->link, 0, ps, sizeof *ps);
    return code;
}

/* Tiers that messages between neighbours, and with rank 0, take. */
static unsigned tiers_of(const struct setup *t) {
    unsigned tiers = 0;
    for (int r = 1; r < t->link->size; r++)
        tiers |= 1u << net_tier(&t->net, &t->spec.shape, t->c->segment != NULL, 0, r) |
                 1u << net_tier(&t->net, &t->spec.shape, t->c->segment != NULL, r - 1, r);
    return tiers;
}

static void fill_info(struct setup *t) {
    struct coll_info *info = &t->c->info;
    const struct program *p = &t->c->prog;
    snprintf(info->name, sizeof info->name, "%s", t->c->name);
    info->kind = t->spec.kind;
    info->op = t->spec.op;
    info->wire = t->spec.wire;
    info->size = t->link->size;
    info->n_typical = coll_typical(&t->spec);
    info->tiers = tiers_of(t);
    info->choice = t->choice;
    info->transport = t->c->segment ? COLL_TRANSPORT_SHM : COLL_TRANSPORT_LINK;
    info->label = t->label;
    info->n_in = p->n_in;
    info->n_slots = p->n_slots;
    info->n_parts = p->n_parts;
    info->n_rounds = p->n_rounds;
    info->granule = t->c->sizes.granule;
    if (!t->choice.algo->library) sched_count(&t->sched, coll_typical(&t->spec), info->granule, &info->cost);
    coll_fit(t->c, coll_typical(&t->spec));
    info->sent_bytes = t->c->sent_bytes;
}

/* Every step that may fail on one rank ends in an agreement. */
static int setup_all(struct setup *t, struct diag *d) {
    struct coll *c = t->c;
    int code = agree_same(t->link, spec_hash(&t->spec), t->c->name, d);
    if (code == 0) code = find_domains(t, d);
    if (code != 0) return code;
    agree_bcast(t->link, 0, &t->net, sizeof t->net);
    t->spec.net = &t->net;
    code = coll_resolve(&t->spec, &t->choice, c->info.why, sizeof c->info.why, d);
    if (code == 0 && t->choice.algo->library) code = check_library(t, d);
    if (code == 0 && !t->choice.algo->library) code = build(t, t->link->rank, &t->sched, d);
    code = err_agree(t->link, code, d);
    if (code == 0) code = find_label(t, d);
    if (code == 0) code = compile_and_share(t, d);
    if (code == 0) code = err_agree(t->link, allocate(c, d), d);
    if (code == 0) code = predict(t, &c->info.predicted_ps, d);
    if (code == 0) fill_info(t);
    return code;
}

int coll_init(struct coll **out, struct link *link, const struct coll_spec *spec, struct diag *d) {
    struct coll *c = calloc(1, sizeof *c);
    struct setup t = {.c = c, .link = link, .spec = *spec, .net = spec->net ? *spec->net : net_default};
    *out = NULL;
    int code = c ? check_spec(spec, link, d) : diag_set(d, ERR_MEMORY, "no memory for a collective");
    code = err_agree(link, code, d);
    if (code != 0) {
        free(c);
        return code;
    }
    c->link = link;
    c->op = spec->op;
    c->wire = spec->wire;
    c->finish = spec->finish;
    c->tag = spec->tag;
    c->yield = spec->yield < 0 ? link->oversubscribed : spec->yield;
    c->sizes = (struct sizes){spec->op.elem_bytes, spec->n_max, coll_granule(spec), spec->wire};
    snprintf(c->name, sizeof c->name, "%s", spec->name ? spec->name : coll_kind_name(spec->kind));
    code = setup_all(&t, d);
    sched_fini(&t.sched);
    for (int r = 0; r < link->size && t.all; r++)
        sched_fini(&t.all[r]);
    free(t.all);
    free(t.domains);
    if (code != 0)
        coll_free(c);
    else
        *out = c;
    return code;
}

void coll_free(struct coll *c) {
    if (!c) return;
    if (c->segment) link_unshare(c->link, c->segment);
    program_fini(&c->prog);
    free(c->memory);
    free(c->area[0]);
    free(c->sends);
    free(c->part_begin);
    free(c->piece_off);
    free(c->work);
    free(c);
}

/* ---- counting memory ahead ---- */

/* As if every message of several parts were staged, and every part had an instruction of its own. */
static size_t most_books(const struct sched *s, const struct sizes *z, size_t *stage) {
    int insts = 4, pieces = 0, sends = 0;
    struct program p = {.n_parts = s->n_parts};
    *stage = 0;
    for (int i = 0; i < s->n_steps; i++) {
        const struct sched_step *t = &s->steps[i];
        int message = t->op == SCHED_SEND || t->op == SCHED_RECV, each = t->count * t->parts;
        insts += 2 + 2 * each;
        sends += t->op == SCHED_SEND;
        if (!message) continue;
        pieces += each;
        if (each < 2 && !t->more && (i == 0 || !t[-1].more)) continue;
        struct span span = {.part = t->part, .end = t->part + t->parts};
        *stage += (size_t)t->count * round_up(span_bytes(&p, z, &span, z->wire != NULL), LINE) + LINE;
    }
    return books_bytes(insts, pieces, s->size - 1, sends, s->n_parts, s->n_slots);
}

static int most_bytes(const struct sched *s, const struct sizes *z, size_t *bytes) {
    int *domain = calloc((size_t)s->size, sizeof *domain);
    size_t most = 0, stage, books = most_books(s, z, &stage);
    struct program p = {0};
    int code = domain ? 0 : ERR_MEMORY;
    for (int shared = 0; shared < 2 && code == 0; shared++) {
        code = layout_init(&p.layout, s, shared ? domain : NULL);
        if (code != 0) break;
        size_t one = private_bytes(&p, z, 0);
        if (shared) one += round_up(segment_bytes(z, p.layout.count[AREA_SHARED]), PAGE) + PAGE;
        if (one > most) most = one;
        layout_fini(&p.layout);
    }
    free(domain);
    *bytes = most + stage + books;
    return code;
}

int coll_bytes(const struct coll_spec *spec, int rank, size_t *bytes, struct diag *d) {
    struct setup t = {.spec = *spec};
    struct sizes z = {spec->op.elem_bytes, spec->n_max, coll_granule(spec), spec->wire};
    struct sched s;
    *bytes = 0;
    int code = coll_choice_parse(&t.choice, spec->algo, d);
    if (code != 0) return code;
    if (t.choice.algo->library) {
        struct program p;
        struct pairtree_node nodes[PAIRTREE_MAX_NODES];
        const struct coll_shape *shape = &spec->shape;
        code =
            program_library(&p, pairtree_cover(shape->n_leaves, shape->begin[rank], shape->begin[rank + 1], nodes), d);
        if (code == 0)
            *bytes = private_bytes(&p, &z, 0) + books_bytes(p.n_insts, p.n_pieces, 0, 0, p.n_parts, p.n_slots);
        program_fini(&p);
        return code;
    }
    code = build(&t, rank, &s, d);
    if (code != 0) return code;
    code = most_bytes(&s, &z, bytes);
    sched_fini(&s);
    return code ? diag_set(d, code, "no memory to count that of a collective") : 0;
}

/* ---- calls ---- */

void *coll_sendbuf(struct coll *c, size_t n) {
    if (n > c->sizes.n_max || c->filling)
        link_abort(c->link, "%s: a call of %zu elements, at most %zu are possible, %s", c->name, n, c->sizes.n_max,
                   c->filling ? "before the last one has ended" : "one at a time");
    coll_fit(c, n);
    coll_await_readers(c);
    c->filling = 1;
    struct place first = c->prog.n_in > 0 ? c->prog.layout.value[0] : (struct place){AREA_TWICE, 0};
    return c->area[c->call & 1][first.area] + (size_t)first.index * n * c->sizes.elem;
}

void coll_start(struct coll *c) {
    c->pc = 0;
    c->link->counts.messages += c->shm_messages;
    c->link->counts.bytes += c->shm_bytes;
    coll_advance(c, ADVANCE_START);
}

int coll_test(struct coll *c) {
    return coll_advance(c, ADVANCE_TEST);
}

const void *coll_wait(struct coll *c) {
    struct place result = c->prog.layout.value[c->prog.result_slot];
    coll_advance(c, ADVANCE_WAIT);
    const char *at = c->area[c->call & 1][result.area] + (size_t)result.index * c->n * c->sizes.elem;
    c->call++;
    c->filling = 0;
    return at;
}

void coll_run(struct coll *c, const void *in, void *out, size_t n) {
    void *inputs = coll_sendbuf(c, n);
    size_t bytes = n * c->sizes.elem;
    if (c->prog.n_in > 0 && n > 0) memcpy(inputs, in, (size_t)c->prog.n_in * bytes);
    coll_start(c);
    const void *result = coll_wait(c);
    if (n > 0) memcpy(out, result, bytes);
}

void coll_info(const struct coll *c, struct coll_info *out) {
    *out = c->info;
    out->calls = c->call;
}
