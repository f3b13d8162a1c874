/* estimate.c - rounds by arithmetic series, jobs by rounds. */
#include "partition/estimate.h"

#include <stdlib.h>
#include <string.h>

#include "estimate_priv.h"

enum { TRACKS = 4 };

/* ---- rounds ---- */

/* n rounds in which each micro-batch makes a pass: those with most sequences, and those with one less. */
struct rounds {
    int64_t n;
    struct passes big, small;
    uint64_t n_big, n_small; /* micro-batches */
};

/* One replica's job. */
struct job {
    struct estimator *e;
    const struct estimate_job *job;
    const int *class_of; /* [n_stages] */
    int n_new;
    struct net_stamp last[TRACKS], back[TRACKS]; /* a track's last pass is done; its next one needs the tokens */
    struct net_stamp prefill;
    int fed_last; /* track whose prompts end last */
    int decodes; /* and prompts are done */
    struct diag *d;
};

static struct card_pass pass_at(const struct passes *p, int64_t i) {
    const struct card_pass *a = &p->first, *b = &p->step;
    return (struct card_pass){a->tokens, a->wanted, a->ctx_read + i * b->ctx_read, a->ctx_sum + i * b->ctx_sum};
}

/* What tokens take from stage 0 to where they are needed again. While the small micro-batches decode beside prompts of
 * the big ones, a small one's tokens are behind a big pass in all stages, and the next big pass is behind the pass that
 * needs them: two rounds. */
static void set_loop(const struct job *j, const struct rounds *r, struct wave *w) {
    const struct estimator *e = j->e;
    struct net_stamp big = {0}, small = {0};
    int first = j->class_of[0], last = j->class_of[e->p->n_stages - 1];
    w->loop = (struct net_stamp){0};
    for (int k = 0; k < e->n_classes && (r->big.decodes || r->small.decodes); k++) {
        if (!e->kind[k]->in_use) continue;
        big = stamp_mix(&big, 1, &w->big[k].passed, (uint64_t)e->kind[k]->in_use, 1);
        small = stamp_mix(&small, 1, &w->small[k].passed, (uint64_t)e->kind[k]->in_use, 1);
    }
    if (r->big.decodes) stamp_raise(&w->loop, &big);
    if (r->small.decodes) stamp_raise(&w->loop, &small);
    if (r->big.decodes || !r->small.decodes) return;
    big = stamp_mix(&big, 1, &w->small[first].busy, r->n_small, 1);
    big = stamp_mix(&big, 1, &w->big[first].busy, r->n_big - 1, 1);
    big = stamp_mix(&big, 1, &w->small[last].passed, 1, 2);
    stamp_raise(&w->loop, &big);
}

static int make_wave(const struct job *j, const struct rounds *r, int64_t i, struct wave *w) {
    const struct estimator *e = j->e;
    struct card_pass big = pass_at(&r->big, i), small = pass_at(&r->small, i);
    int rc = 0;
    for (int k = 0; k < e->n_classes && !rc; k++) {
        if (!e->kind[k]->in_use) continue;
        rc = estimate_turn(e, e->kind[k], &big, &w->big[k], j->d);
        w->small[k] = w->big[k];
        if (!rc && r->n_small) rc = estimate_turn(e, e->kind[k], &small, &w->small[k], j->d);
        w->round[k] = stamp_mix(&w->big[k].busy, r->n_big, &w->small[k].busy, r->n_small, 1);
    }
    set_loop(j, r, w);
    for (int k = 0; k < e->n_classes; k++)
        if (e->kind[k]->in_use) stamp_raise(&w->round[k], &w->loop);
    return rc;
}

/* Whether the middle m of rounds a to b lies on the line between them. */
static int is_straight(const struct estimator *e, const struct wave *a, const struct wave *b, const struct wave *m,
                       double part) {
    for (int k = 0; k < e->n_classes; k++) {
        if (!e->kind[k]->in_use) continue;
        double line = (double)a->round[k].ps * (1 - part) + (double)b->round[k].ps * part;
        double off = line - (double)m->round[k].ps;
        if (off * off > line * line * 0x1p-28) return 0;
    }
    return 1;
}

/* Adds the rounds from a to b - 1 to e->sum: ((n + 1) f(a) + (n - 1) f(b)) / 2 on a line. */
static int add_rounds(const struct job *j, const struct rounds *r, int64_t a, const struct wave *wa, int64_t b,
                      const struct wave *wb, int depth) {
    struct estimator *e = j->e;
    struct wave *wm = &e->wave[depth];
    int64_t n = b - a, middle = a + n / 2;
    int rc = n > 1 ? make_wave(j, r, middle, wm) : 0;
    if (!rc && n > 1 && !is_straight(e, wa, wb, wm, (double)(middle - a) / (double)n)) {
        rc = add_rounds(j, r, a, wa, middle, wm, depth + 1);
        return rc ? rc : add_rounds(j, r, middle, wm, b, wb, depth + 1);
    }
    for (int k = 0; k < e->n_classes && !rc; k++) {
        if (!e->kind[k]->in_use) continue;
        struct net_stamp piece = stamp_mix(&wa->round[k], (uint64_t)(n + 1), &wb->round[k], (uint64_t)(n - 1), 2);
        e->sum[k] = stamp_plus(&e->sum[k], &piece);
    }
    return rc;
}

/* When the first and the last of the big and of the small micro-batches begin a stage, in the first and in the last
 * round: the tracks. */
struct front {
    struct net_stamp begin[TRACKS], end[TRACKS];
};

static const struct turn *turn_of(const struct wave *w, int class, int track) {
    return track < 2 ? &w->big[class] : &w->small[class];
}

static void follow(const struct net_stamp *from, const struct net_stamp *step, uint64_t times, struct net_stamp *to) {
    if (from->ps + times * step->ps <= to->ps) return;
    *to = stamp_mix(from, 1, step, times, 1);
}

static int n_tracks(const struct rounds *r) {
    return r->n_small ? TRACKS : 2;
}

/* Passes between a track and the one before. */
static uint64_t passes_before(const struct rounds *r, int track) {
    switch (track) {
    case 1: return r->n_big - 1;
    case 2: return 1;
    default: return r->n_small - 1;
    }
}

/* Moves on to stage s. before: the stage before it, NULL for stage 0. */
static void next_front(struct job *j, const struct rounds *r, int s, const struct front *before, struct front *f) {
    struct estimator *e = j->e;
    const struct wave *begin = &e->wave[0], *end = &e->wave[r->n > 1];
    int k = j->class_of[s], was = s ? j->class_of[s - 1] : 0;
    for (int t = 0; t < n_tracks(r); t++) {
        f->begin[t] = t ? f->begin[t - 1] : e->free_at[s];
        if (t) follow(&f->begin[t - 1], &turn_of(begin, k, t - 1)->busy, passes_before(r, t), &f->begin[t]);
        if (before) follow(&before->begin[t], &turn_of(begin, was, t)->passed, 1, &f->begin[t]);
        if (!before) stamp_raise(&f->begin[t], &j->back[t]);
    }
    for (int t = 0; t < n_tracks(r); t++) {
        f->end[t] = stamp_plus(&f->begin[t], &e->sum[k]);
        if (t) follow(&f->end[t - 1], &turn_of(end, k, t - 1)->busy, passes_before(r, t), &f->end[t]);
        if (before) follow(&before->end[t], &turn_of(end, was, t)->passed, 1, &f->end[t]);
    }
    e->free_at[s] = stamp_plus(&f->end[n_tracks(r) - 1], &turn_of(end, k, n_tracks(r) - 1)->busy);
}

static int run_rounds(struct job *j, const struct rounds *r) {
    struct estimator *e = j->e;
    struct front front[2];
    int n_stages = e->p->n_stages, rc = make_wave(j, r, 0, &e->wave[0]);
    memset(e->sum, 0, (size_t)e->n_classes * sizeof *e->sum);
    if (!rc && r->n > 1) rc = make_wave(j, r, r->n - 1, &e->wave[1]);
    if (!rc && r->n > 1) rc = add_rounds(j, r, 0, &e->wave[0], r->n - 1, &e->wave[1], 2);
    if (rc) return rc;
    for (int s = 0; s < n_stages; s++) {
        next_front(j, r, s, s ? &front[(s - 1) % 2] : NULL, &front[s % 2]);
        if (s == 0 && r->big.decodes && !j->decodes && n_stages > 1) j->prefill = front[0].begin[j->fed_last];
    }
    for (int t = 0; t < n_tracks(r); t++) {
        const struct turn *last = turn_of(&e->wave[r->n > 1], j->class_of[n_stages - 1], t);
        j->last[t] = stamp_plus(&front[(n_stages - 1) % 2].end[t], &last->passed);
        int wanted = (t < 2 ? r->big : r->small).first.wanted > 0;
        j->back[t] = wanted && n_stages > 1 ? j->last[t] : (struct net_stamp){0};
    }
    j->decodes = r->big.decodes;
    if (j->decodes) return 0;
    j->fed_last = r->small.decodes ? 1 : n_tracks(r) - 1;
    j->prefill = j->last[j->fed_last];
    return 0;
}

/* ---- jobs ---- */

/* The next passes of the prompts, alike but for the context, up to where one ends: that is a pass by itself. A pass
 * takes `chunk` tokens of each sequence, as long as there is room. Without tokens where nothing is left. */
static void next_prefill(const struct job *j, struct stream *s) {
    struct passes *p = &s->now;
    int room = j->e->p->opts.decoder.max_tokens, ending = 0, len = j->job->prompt_len;
    *p = (struct passes){.n = INT32_MAX};
    for (int64_t i = 0; i < s->n_seqs; i++) {
        int left = len - s->seq[i].fed, share = left < j->job->chunk ? left : j->job->chunk;
        s->seq[i].share = share = share < room ? share : room;
        room -= share;
        p->first.tokens += share;
        if (share && left / share < p->n) p->n = left / share;
    }
    for (int64_t i = 0; i < s->n_seqs; i++)
        ending += s->seq[i].share && len - s->seq[i].fed == p->n * s->seq[i].share;
    if (p->n > 1 && ending)
        p->n--;
    else
        p->first.wanted = ending;
    for (int64_t i = 0; i < s->n_seqs; i++) {
        int64_t fed = s->seq[i].fed, share = s->seq[i].share;
        p->first.ctx_read += share ? fed + share : 0;
        p->first.ctx_sum += share * fed + share * (share + 1) / 2;
        p->step.ctx_read += share;
        p->step.ctx_sum += share * share;
        s->seq[i].fed += share ? (int)(p->n * share) : 0;
    }
}

/* The next kind of passes; without tokens, and for ever, at the end. */
static void next_passes(const struct job *j, struct stream *s) {
    int64_t b = s->n_seqs, ctx = b * (j->job->prompt_len + 1);
    next_prefill(j, s);
    if (s->now.first.tokens || s->decoded || j->n_new < 2 || b == 0) return;
    s->decoded = 1;
    s->now = (struct passes){j->n_new - 1, {b, b, ctx, ctx}, {.ctx_read = b, .ctx_sum = b}, 1};
}

static void skip_passes(struct stream *s, int64_t n) {
    s->now.n -= n;
    s->now.first = pass_at(&s->now, n);
}

/* Tokens of each sequence: the context may end earlier. */
static int tokens_of(const struct plan *p, const struct estimate_job *job) {
    int most = p->opts.decoder.n_ctx - job->prompt_len + 1;
    return job->n_new < most ? job->n_new : most;
}

static int check_job(const struct plan *p, const struct estimate_job *job, struct diag *d) {
    const struct decoder_opts *o = &p->opts.decoder;
    int per_replica = (job->n_seqs + p->strategy.dp - 1) / p->strategy.dp;
    int per_micro = (per_replica + p->opts.n_micro - 1) / p->opts.n_micro;
    if (job->n_seqs < 1 || job->prompt_len < 1 || job->n_new < 1 || job->chunk < 1)
        return diag_set(d, ERR_USAGE, "an estimate needs sequences, prompts, new tokens and a chunk: at least 1 each");
    if (per_replica > o->n_seqs || job->prompt_len > o->n_ctx || per_micro > o->max_tokens ||
        per_micro > p->opts.max_logits)
        return diag_set(d, ERR_PLAN,
                        "%d sequences of %d tokens, %d of a replica and %d of a micro-batch: the plan has room for %d "
                        "of %d, and for %d tokens and %d logits of a pass",
                        job->n_seqs, job->prompt_len, per_replica, per_micro, o->n_seqs, o->n_ctx, o->max_tokens,
                        p->opts.max_logits);
    return 0;
}

/* Which stage is slowest in the last of these rounds, and whether it is what they wait for. */
static void set_bound(const struct job *j, const struct rounds *r, struct estimate *out) {
    const struct wave *w = &j->e->wave[r->n > 1];
    struct net_stamp most = {0};
    for (int s = 0; s < j->e->p->n_stages; s++) {
        int k = j->class_of[s];
        struct net_stamp all = stamp_mix(&w->big[k].busy, r->n_big, &w->small[k].busy, r->n_small, 1);
        if (all.ps > most.ps) out->slowest_stage = s;
        stamp_raise(&most, &all);
    }
    out->bound = most.ps >= w->loop.ps ? BOUND_STAGE : BOUND_LOOP;
}

/* One replica, of n_seqs sequences. */
static int run_job(struct job *j, int64_t n_seqs, struct estimate *out) {
    struct estimator *e = j->e;
    const struct plan *p = e->p;
    int64_t micro = n_seqs < p->opts.n_micro ? n_seqs : p->opts.n_micro, most = (n_seqs + micro - 1) / micro;
    struct stream big = {.n_seqs = most, .seq = e->seq}, small = {.seq = e->seq + most};
    uint64_t n_small = (uint64_t)(micro * most - n_seqs), n_big = (uint64_t)micro - n_small;
    struct rounds r = {0};
    int rc = 0;
    if (n_small) small.n_seqs = most - 1;
    for (int k = 0; k < e->n_classes; k++)
        e->kind[k]->in_use = 0;
    for (int s = 0; s < p->n_stages; s++)
        e->kind[j->class_of[s]]->in_use++;
    memset(e->free_at, 0, (size_t)p->n_stages * sizeof *e->free_at);
    memset(e->seq, 0, 2 * (size_t)most * sizeof *e->seq);
    for (int64_t n = 0; !rc; skip_passes(&big, n), skip_passes(&small, n)) {
        if (!big.now.n) next_passes(j, &big);
        if (!small.now.n) next_passes(j, &small);
        if (!big.now.first.tokens) break;
        n = big.now.n < small.now.n ? big.now.n : small.now.n;
        r = (struct rounds){n, big.now, small.now, n_big, small.now.first.tokens ? n_small : 0};
        rc = run_rounds(j, &r);
    }
    stamp_raise(&out->prefill, &j->prefill);
    if (rc || j->last[n_tracks(&r) - 1].ps <= out->total.ps) return rc;
    out->total = j->last[n_tracks(&r) - 1];
    set_bound(j, &r, out);
    return 0;
}

int estimator_run(struct estimator *e, const struct estimate_job *job, struct estimate *out, struct diag *d) {
    const struct plan *p = e->p;
    int rc = check_job(p, job, d), dp = p->strategy.dp, n = p->n_stages;
    int64_t before = 0;
    *out = (struct estimate){0};
    for (int i = 0; i < dp && !rc; i++) {
        int64_t n_seqs = (job->n_seqs - i + dp - 1) / dp;
        struct job j = {e, job, e->class_of + (size_t)i * (size_t)n, tokens_of(p, job), .d = d};
        int same = i > 0 && n_seqs == before && !memcmp(j.class_of, j.class_of - n, (size_t)n * sizeof *j.class_of);
        if (!same && n_seqs > 0) rc = run_job(&j, n_seqs, out);
        before = n_seqs;
    }
    if (rc) return rc;
    int rounds = tokens_of(p, job) - 1;
    out->decode_ps = out->total.ps - out->prefill.ps;
    out->token_ps = rounds ? out->decode_ps / (uint64_t)rounds : 0;
    return 0;
}

/* ---- setting up ---- */

static int add_stage(struct estimator *e, int replica, int s, struct diag *d) {
    struct stage_class *c;
    int rc = estimate_class_make(&c, e, replica, s, d), k = 0;
    if (rc) {
        estimate_class_free(c);
        return rc;
    }
    while (k < e->n_classes && !estimate_class_same(e->kind[k], c))
        k++;
    e->class_of[replica * e->p->n_stages + s] = k;
    if (k < e->n_classes)
        estimate_class_free(c);
    else
        e->kind[e->n_classes++] = c;
    return 0;
}

static int waves_make(struct estimator *e) {
    size_t n = (size_t)e->n_classes;
    e->turns = calloc(2 * MAX_DEPTH * n, sizeof *e->turns);
    e->sum = calloc((MAX_DEPTH + 1) * n, sizeof *e->sum);
    for (size_t i = 0; i < MAX_DEPTH && e->turns && e->sum; i++)
        e->wave[i] = (struct wave){e->turns + 2 * i * n, e->turns + (2 * i + 1) * n, e->sum + (i + 1) * n, {0}};
    return e->turns && e->sum ? 0 : ERR_MEMORY;
}

int estimator_new(struct estimator **out, const struct plan *p, const struct cluster *c, struct diag *d) {
    struct estimator *e = *out = calloc(1, sizeof *e);
    size_t all = (size_t)p->strategy.dp * (size_t)p->n_stages;
    if (!e) return diag_set(d, ERR_MEMORY, "no memory for an estimator");
    e->p = p;
    e->c = c;
    e->kind = calloc(all, sizeof(struct stage_class *));
    e->class_of = calloc(all, sizeof *e->class_of);
    e->at = calloc((size_t)p->ranks_per_replica, sizeof *e->at);
    e->rank = calloc((size_t)p->ranks_per_replica, sizeof *e->rank);
    e->met = calloc((size_t)p->ranks_per_replica, sizeof *e->met);
    e->port = calloc((size_t)p->ranks_per_replica, sizeof *e->port);
    e->first_send = calloc((size_t)p->ranks_per_replica, sizeof *e->first_send);
    e->free_at = calloc((size_t)p->n_stages, sizeof *e->free_at);
    e->seq = calloc(2 * (size_t)p->opts.decoder.n_seqs, sizeof *e->seq);
    int rc = e->kind && e->class_of && e->at && e->rank && e->met && e->port && e->first_send && e->free_at && e->seq
                 ? 0
                 : diag_set(d, ERR_MEMORY, "no memory for an estimator of %d ranks", p->n_ranks);
    if (!rc && !p->shape.causal)
        rc = diag_set(d, ERR_PLAN, "%s is an encoder: an estimate is of generating text", p->shape.name);
    if (!rc && virtual_media(c, p))
        rc = diag_set(d, ERR_PLAN, "%s has links that cards share: who waits for whom there is simulated", c->name);
    if (!rc) rc = virtual_frame(&e->frame, c, p, d);
    for (int i = 0; i < p->strategy.dp && !rc; i++)
        for (int s = 0; s < p->n_stages && !rc; s++)
            rc = add_stage(e, i, s, d);
    if (!rc && waves_make(e)) rc = diag_set(d, ERR_MEMORY, "no memory for an estimator of %d ranks", p->n_ranks);
    if (rc) {
        estimator_free(e);
        *out = NULL;
    }
    return rc;
}

void estimator_free(struct estimator *e) {
    if (!e) return;
    for (int i = 0; i < e->n_classes; i++)
        estimate_class_free(e->kind[i]);
    free(e->kind);
    free(e->class_of);
    free(e->at);
    free(e->rank);
    free(e->met);
    free(e->port);
    free(e->first_send);
    free(e->turns);
    free(e->sum);
    free(e->free_at);
    free(e->seq);
    free(e);
}

int plan_estimate(struct estimate *out, const struct plan *p, const struct cluster *c, const struct estimate_job *job,
                  struct diag *d) {
    struct estimator *e;
    int rc = estimator_new(&e, p, c, d);
    if (!rc) rc = estimator_run(e, job, out, d);
    estimator_free(e);
    return rc;
}
