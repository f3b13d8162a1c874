#include "dist/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "collectives/agree.h"
#include "engine_priv.h"

double engine_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int engine_seq_of_slot(const struct engine *e, int slot) {
    return slot * e->plan->strategy.dp + e->me->replica;
}

int engine_is_first_stage(const struct engine *e) {
    return e->me->stage == 0;
}

int engine_is_last_stage(const struct engine *e) {
    return e->me->stage == e->plan->n_stages - 1;
}

_Static_assert(sizeof(struct pass_header) == PLAN_HEADER_BYTES && sizeof(struct pass_token) == PLAN_TOKEN_BYTES &&
                   sizeof(struct token_header) == PLAN_SAMPLED_HEADER_BYTES &&
                   sizeof(struct token_entry) == PLAN_SAMPLED_BYTES && sizeof(struct candidate) == PLAN_CANDIDATE_BYTES,
               "the plan counts the engine's messages");

/* ---- setting up ---- */

/* The workspace is one allocation; plan_layout says what lies where, and has counted it. */
static void place_ring(struct engine *e, const struct plan_layout *l, char *base) {
    size_t receivers = (size_t)(e->me->n_send_to > e->me->n_token_to ? e->me->n_send_to : e->me->n_token_to);
    struct link_request *req = (void *)(base + l->at[PLAN_PART_REQUESTS]);
    for (int i = 0; i < e->n_ring; i++)
        e->ring[i] = (struct send_buffer){base + l->at[PLAN_PART_SEND] + (size_t)i * l->send_stride,
                                          req + (size_t)i * receivers, 0};
}

static void place(struct engine *e, const struct plan_layout *l, char *base) {
    size_t tokens = (size_t)e->plan->opts.decoder.max_tokens;
    e->h = (void *)(base + l->at[PLAN_PART_HIDDEN]);
    e->sum = (void *)(base + l->at[PLAN_PART_SUM]);
    e->tok = (void *)(base + l->at[PLAN_PART_TOKENS]);
    e->id = (void *)(base + l->at[PLAN_PART_IDS]);
    e->slot = e->id + tokens;
    e->pos = e->slot + tokens;
    e->sampled = (void *)(base + l->at[PLAN_PART_SAMPLED]);
    e->wanted = (void *)(base + l->at[PLAN_PART_WANTED]);
    e->logits = (void *)(base + l->at[PLAN_PART_LOGITS]);
    e->gather_mine = base + l->at[PLAN_PART_OFFER];
    e->gather_all = base + l->at[PLAN_PART_OFFERS];
    e->pool = (void *)(base + l->at[PLAN_PART_POOL]);
    e->recv_bytes = base + l->at[PLAN_PART_RECV];
    e->message_cap = l->recv_bytes;
    place_ring(e, l, base);
}

/* Notes of the engine that are no part of a message: sequences, micro-batches, the ring's heads. */
static int allocate(struct engine *e, struct diag *d) {
    struct plan_layout l;
    plan_layout(e->plan, e->world->rank, &l);
    size_t bytes = l.at[PLAN_PART_COUNT], micro = (size_t)e->plan->opts.n_micro;
    e->n_ring = l.n_send;
    e->seq = calloc((size_t)e->plan->opts.decoder.n_seqs, sizeof *e->seq);
    e->sampled_hash = calloc(micro, sizeof *e->sampled_hash);
    e->micro_done = calloc(micro, sizeof *e->micro_done);
    e->micro_waits = calloc(micro, sizeof *e->micro_waits);
    e->ring = calloc((size_t)e->n_ring + 1, sizeof *e->ring);
    if (posix_memalign(&e->work, 64, bytes + 64)) e->work = NULL;
    if (!e->seq || !e->sampled_hash || !e->micro_done || !e->micro_waits || !e->ring || !e->work)
        return diag_set(d, ERR_MEMORY, "rank %d: no memory for a workspace of %zu bytes", e->world->rank, bytes);
    memset(e->work, 0, bytes);
    place(e, &l, e->work);
    return 0;
}

static int open_reduce(struct engine *e, struct link *link, enum step_kind kind, int tag, struct coll **out,
                       struct diag *d) {
    struct coll_spec spec;
    plan_coll(e->plan, e->world->rank, kind, &spec);
    spec.tag = tag;
    return coll_init(out, link, &spec, d);
}

/* A collective for each product, or for both where they are joined. Collective over the group. */
static int open_reduces(struct engine *e, struct diag *d) {
    if (e->group->size == 1 || e->stage->layer1 == e->stage->layer0) return 0;
    int rc = open_reduce(e, e->group, STEP_FFN_REDUCE, TAG_FFN_REDUCE, &e->ffn_reduce, d);
    if (!rc && plan_sync(e->plan, e->world->rank, e->stage->layer0) != SYNC_JOINED)
        rc = open_reduce(e, e->group, STEP_ATTN_REDUCE, TAG_ATTN_REDUCE, &e->attn_reduce, d);
    if (!rc && e->sharers) rc = open_reduce(e, e->sharers, STEP_ATTN_MERGE, TAG_ATTN_MERGE, &e->attn_merge, d);
    return rc;
}

int engine_colls(const struct engine *e, struct coll_info out[3]) {
    int n = 0;
    if (e->attn_reduce && e->group->rank == 0) coll_info(e->attn_reduce, &out[n++]);
    if (e->ffn_reduce && e->group->rank == 0) coll_info(e->ffn_reduce, &out[n++]);
    if (e->attn_merge && e->sharers->rank == 0) coll_info(e->attn_merge, &out[n++]);
    return n;
}

static int open_shard(struct engine *e, const struct gguf *g, int flip, struct diag *d) {
    int rc = decoder_open(&e->dec, &e->plan->shape, g, &e->me->shard, &e->plan->opts.decoder, d);
    if (rc) return rc;
    if (flip == e->world->rank && decoder_flip_weight(e->dec, 0) != 0)
        return diag_set(d, ERR_USAGE, "rank %d holds no weight to flip", flip);
    return 0;
}

/* Messages about ranks and tags are of the job. */
static void name_links(struct engine *e) {
    static const char *const tags[] = {
#define X(name, text) text,
        ENGINE_TAGS(X)
#undef X
            NULL};
    e->replica->first = e->replica_first;
    e->group->first = e->replica_first + e->stage->first;
    e->world->tags = e->replica->tags = e->group->tags = tags;
    if (!e->sharers) return;
    e->sharers->first = e->group->first + e->me->tp_index - e->sharers->rank;
    e->sharers->tags = tags;
}

void engine_limit_waits(struct engine *e, double seconds) {
    e->world->wait_limit_s = e->replica->wait_limit_s = e->group->wait_limit_s = seconds;
    if (e->sharers) e->sharers->wait_limit_s = seconds;
}

int engine_init(struct engine **out, const struct plan *p, const struct gguf *g, struct link *world, int flip,
                struct diag *d) {
    *out = NULL;
    struct engine *e = calloc(1, sizeof *e);
    int rc = e ? 0 : diag_set(d, ERR_MEMORY, "no memory for the engine");
    rc = err_agree(world, rc, d);
    if (rc) {
        free(e);
        return rc;
    }
    e->plan = p;
    e->world = world;
    e->me = &p->ranks[world->rank];
    e->stage = &p->stages[e->me->stage];
    e->replica_first = e->me->replica * p->ranks_per_replica;
    rc = agree_same(world, p->hash, "the plan", d);
    if (!rc) {
        e->replica = link_split(world, e->me->replica, world->rank);
        e->group = link_split(e->replica, e->me->stage, e->me->tp_index);
        int kvp = p->strategy.kvp;
        if (kvp > 1) e->sharers = link_split(e->group, e->me->tp_index / kvp, e->me->tp_index);
        rc = err_agree(world, open_shard(e, g, flip, d), d);
    }
    if (!rc) rc = err_agree(world, allocate(e, d), d);
    if (!rc) name_links(e);
    if (!rc) rc = err_agree(world, open_reduces(e, d), d);
    if (rc) {
        engine_free(e);
        return rc;
    }
    *out = e;
    return 0;
}

void engine_free(struct engine *e) {
    if (!e) return;
    emulation_free(e);
    decoder_close(e->dec);
    coll_free(e->attn_reduce);
    coll_free(e->ffn_reduce);
    coll_free(e->attn_merge);
    if (e->sharers) link_free(e->sharers);
    if (e->group) link_free(e->group);
    if (e->replica) link_free(e->replica);
    free(e->work);
    free(e->seq);
    free(e->sampled_hash);
    free(e->micro_done);
    free(e->micro_waits);
    free(e->ring);
    free(e);
}

void engine_memory(struct engine *e, struct decoder_memory *out) {
    decoder_memory(e->dec, out);
    out->packed = (size_t)agree_sum(e->world, out->packed);
    out->huge = (size_t)agree_sum(e->world, out->huge);
    out->cached = (size_t)agree_sum(e->world, out->cached);
}

void engine_settle(struct engine *e, const volatile int *stop) {
    decoder_settle(e->dec, stop);
}

int engine_cache_note(struct engine *e, char *note, size_t cap) {
    int who;
    char text[sizeof e->dec->cache_note];
    memcpy(text, e->dec->cache_note, sizeof text);
    if (agree_max(e->world, text[0] != 0, &who) == 0) return 0;
    agree_bcast(e->world, who, text, sizeof text);
    snprintf(note, cap, "%s", text);
    return 1;
}

void engine_watch(struct engine *e, engine_watcher *watcher, void *user) {
    e->watcher = watcher;
    e->watcher_user = user;
}

/* ---- walking the plan ---- */

/* What this rank's links have counted in all. */
static struct link_counts counts(const struct engine *e) {
    const struct link *links[] = {e->replica, e->group, e->sharers};
    struct link_counts sum = {0};
    for (int i = 0; i < 3 && links[i]; i++) {
        sum.messages += links[i]->counts.messages;
        sum.bytes += links[i]->counts.bytes;
        sum.wait_ns += links[i]->counts.wait_ns;
    }
    return sum;
}

static void run_step(struct engine *e, enum step_kind kind, int layer) {
    struct link_counts before = counts(e);
    double t = engine_now();
    step_run[kind](e, layer);
    struct engine_stats *s = e->stats = e->head.prefill ? &e->result->prefill : &e->result->decode;
    struct link_counts after = counts(e);
    double end = engine_now();
    s->seconds[kind] += end - t;
    if (e->watcher) e->watcher(e->watcher_user, kind, e->head.prefill, t, end);
    s->wait_seconds[kind] += 1e-9 * (double)(after.wait_ns - before.wait_ns);
    s->messages += after.messages - before.messages;
    s->sent_bytes += after.bytes - before.bytes;
}

static void run_block(struct engine *e, const struct plan_block *b, int layer) {
    for (int i = 0; i < b->n; i++) {
        if (b->step[i].kind == STEP_RECV_HIDDEN || b->step[i].kind == STEP_RECV_TOKEN) continue;
        emulation_step(e, &b->step[i], layer);
        run_step(e, b->step[i].kind, layer);
    }
}

static void run_blocks(struct engine *e) {
    run_block(e, e->me->prologue, -1);
    for (int layer = e->me->shard.layer0; layer < e->me->shard.layer1; layer++)
        run_block(e, e->me->layers[layer - e->me->shard.layer0], layer);
    run_block(e, e->me->epilogue, -1);
}

/* Stage 0 learns what its last pass of this micro-batch gave, and decides what the next holds; others are told. */
static void begin_pass(struct engine *e, int micro) {
    if (!engine_is_first_stage(e)) {
        run_step(e, STEP_RECV_HIDDEN, -1);
        if (e->head.micro != micro) e->mismatch = 1;
        return;
    }
    if (e->micro_waits[micro]) {
        run_step(e, STEP_RECV_TOKEN, -1);
        emulation_take(e, micro);
        schedule_take(e);
        e->micro_waits[micro] = 0;
    }
    schedule_compose(e, micro);
}

/* An empty pass ends the micro-batch on every stage; stage 0's hash of the sampled tokens travels with it. */
static void end_micro(struct engine *e, int micro) {
    if (engine_is_last_stage(e) && e->sampled_hash[micro] != e->head.sampled) e->mismatch = 1;
    e->sampled_hash[micro] = e->head.sampled;
    if (!engine_is_last_stage(e)) run_step(e, STEP_SEND_HIDDEN, -1);
    e->micro_done[micro] = 1;
}

/* Tokens of a sequence follow each other. */
void engine_context(const struct engine *e, int64_t *read, int64_t *sum) {
    *read = *sum = 0;
    for (int i = 0; i < e->head.n; i++) {
        *sum += e->tok[i].pos + 1;
        if (i == e->head.n - 1 || e->tok[i + 1].slot != e->tok[i].slot) *read += e->tok[i].pos + 1;
    }
}

/* What the pass held, for the costs of its steps. */
static void count_work(const struct engine *e, struct plan_work *w) {
    int64_t read, sum;
    int n = e->head.n;
    w->passes++;
    w->tokens += n;
    w->sampled_passes += e->head.n_want > 0;
    w->sampled += e->head.n_want;
    if (engine_is_last_stage(e) && e->head.n_want) w->refused += e->head.n_want - e->sampled_head.n;
    engine_context(e, &read, &sum);
    w->ctx_read += read;
    w->ctx_sum += sum;
}

static void run_pass(struct engine *e, int micro) {
    emulation_next(e);
    begin_pass(e, micro);
    emulation_pass(e);
    if (e->head.n == 0) {
        end_micro(e, micro);
        return;
    }
    double t = engine_now();
    run_blocks(e);
    e->stats->busy_seconds += engine_now() - t;
    count_work(e, &e->stats->work);
    if (!engine_is_first_stage(e)) return;
    if (!engine_is_last_stage(e))
        e->micro_waits[micro] = e->head.n_want > 0;
    else if (e->head.n_want) {
        emulation_take(e, micro);
        schedule_take(e);
    }
}

/* Waits until all messages under way have been taken. */
static void drain(struct engine *e) {
    emulation_drain(e);
    for (int i = 0; i < e->n_ring; i++) {
        for (int k = 0; k < e->ring[i].n_req; k++)
            link_wait(e->replica, &e->ring[i].req[k]);
        e->ring[i].n_req = 0;
    }
}

static void run_job(struct engine *e) {
    int n_micro = e->plan->opts.n_micro, left = n_micro;
    memset(e->micro_done, 0, (size_t)n_micro * sizeof *e->micro_done);
    memset(e->micro_waits, 0, (size_t)n_micro * sizeof *e->micro_waits);
    memset(e->sampled_hash, 0, (size_t)n_micro * sizeof *e->sampled_hash);
    while (left) {
        for (int m = 0; m < n_micro; m++) {
            if (e->micro_done[m]) continue;
            run_pass(e, m);
            left -= e->micro_done[m];
        }
    }
    drain(e);
}

/* An encoder: each sequence is one pass; the hash of its last hidden states goes to the first rank of the replica. */
static void encode_sequence(struct engine *e, int slot) {
    int seq = engine_seq_of_slot(e, slot), last = e->plan->stages[e->plan->n_stages - 1].first,
        mine = e->world->rank - e->replica_first;
    uint64_t *hash = &e->result->logit_hash[(size_t)seq * (size_t)e->result->n_new];
    struct link_request req;
    if (engine_is_first_stage(e))
        schedule_whole(e, slot);
    else
        run_step(e, STEP_RECV_HIDDEN, -1);
    run_blocks(e);
    if (mine == last) *hash = hash_floats(e->h, (size_t)e->head.n * (size_t)e->plan->shape.d_model, 0);
    if (last == 0) return;
    if (mine == last) {
        link_isend(e->replica, 0, TAG_TOKEN, hash, sizeof *hash, &req);
        link_wait(e->replica, &req);
    } else if (mine == 0) {
        link_recv(e->replica, last, TAG_TOKEN, hash, sizeof *hash);
    }
}

static void run_encoder(struct engine *e) {
    memset(e->sampled_hash, 0, (size_t)e->plan->opts.n_micro * sizeof *e->sampled_hash);
    for (int slot = 0; slot < e->n_slots; slot++)
        encode_sequence(e, slot);
    drain(e);
}

/* ---- a job ---- */

static int check_job(const struct engine *e, const struct engine_job *job, struct diag *d) {
    const struct decoder_opts *o = &e->plan->opts.decoder;
    int per_replica = (job->n_seqs + e->plan->strategy.dp - 1) / e->plan->strategy.dp;
    if (per_replica > o->n_seqs)
        return diag_set(d, ERR_RANGE, "%d sequences for each replica, but the plan has room for %d", per_replica,
                        o->n_seqs);
    if (job->chunk < 1 || job->n_new < 1)
        return diag_set(d, ERR_RANGE, "prefill chunk and number of new tokens must be at least 1");
    const struct draft_params *draft = &job->draft;
    if (draft->most < 0 || draft->most > DRAFT_MOST ||
        (draft->most && (draft->ngram_min < 1 || draft->ngram_max < draft->ngram_min)))
        return diag_set(d, ERR_RANGE, "%d drafts by n-grams of %d to %d tokens: 0 to %d, 1 or more, and no less",
                        draft->most, draft->ngram_min, draft->ngram_max, DRAFT_MOST);
    for (int s = 0; s < job->n_seqs; s++) {
        if (job->prompt_len[s] < 1) return diag_set(d, ERR_RANGE, "prompt %d is empty: give it at least one token", s);
        if (job->prompt_len[s] > o->n_ctx)
            return diag_set(d, ERR_RANGE,
                            "prompt %d has %d tokens, but the context holds %d: raise --ctx or shorten the prompt", s,
                            job->prompt_len[s], o->n_ctx);
        if (!e->plan->shape.causal && job->prompt_len[s] > o->max_tokens)
            return diag_set(d, ERR_RANGE, "text %d has %d tokens, but a pass holds %d and an encoder needs all at once",
                            s, job->prompt_len[s], o->max_tokens);
        for (int i = 0; i < job->prompt_len[s]; i++)
            if (job->prompt[s][i] < 0 || job->prompt[s][i] >= e->plan->shape.n_vocab)
                return diag_set(d, ERR_RANGE, "prompt %d, token %d: id %d is not in 0..%d", s, i, job->prompt[s][i],
                                e->plan->shape.n_vocab - 1);
    }
    return 0;
}

static int result_init(struct engine_result *r, const struct engine_job *job, struct diag *d) {
    size_t n = (size_t)job->n_seqs, all = n * (size_t)job->n_new;
    *r = (struct engine_result){.n_seqs = job->n_seqs, .n_new = job->n_new};
    r->n_out = calloc(n + 1, sizeof *r->n_out);
    r->out = calloc(all + 1, sizeof *r->out);
    r->logit_hash = calloc(all + 1, sizeof *r->logit_hash);
    if (!r->n_out || !r->out || !r->logit_hash)
        return diag_set(d, ERR_MEMORY, "no memory for %zu generated tokens", all);
    return 0;
}

void engine_result_fini(struct engine_result *r) {
    free(r->n_out);
    free(r->out);
    free(r->logit_hash);
    free(r->taken);
    trace_fini(&r->trace);
    *r = (struct engine_result){0};
}

/* The first rank of each replica brings its sequences to world rank 0. */
static void collect(struct engine *e, struct engine_result *r) {
    size_t n = (size_t)r->n_new;
    for (int s = 0; s < r->n_seqs; s++) {
        int owner = s % e->plan->strategy.dp * e->plan->ranks_per_replica;
        if (owner == 0 || (e->world->rank != 0 && e->world->rank != owner)) continue;
        void *part[3] = {&r->n_out[s], r->out + (size_t)s * n, r->logit_hash + (size_t)s * n};
        size_t bytes[3] = {sizeof *r->n_out, n * sizeof *r->out, n * sizeof *r->logit_hash};
        for (int i = 0; i < 3; i++) {
            struct link_request req;
            if (e->world->rank == 0) {
                link_recv(e->world, owner, TAG_RESULT, part[i], bytes[i]);
            } else {
                link_isend(e->world, 0, TAG_RESULT, part[i], bytes[i], &req);
                link_wait(e->world, &req);
            }
        }
    }
}

/* Likewise the counts of its drafts. */
static void collect_drafts(struct engine *e, struct draft_stats *sum) {
    int per_replica = e->plan->ranks_per_replica, rank = e->world->rank;
    for (int owner = per_replica; owner < e->plan->n_ranks; owner += per_replica) {
        struct draft_stats other;
        struct link_request req;
        if (rank == 0) {
            link_recv(e->world, owner, TAG_RESULT, &other, sizeof other);
            draft_add(sum, &other);
        } else if (rank == owner) {
            link_isend(e->world, 0, TAG_RESULT, sum, sizeof *sum, &req);
            link_wait(e->world, &req);
        }
    }
}

/* All ranks of a replica saw the same tokens, fed and sampled. */
static int agree_tokens(struct engine *e, struct diag *d) {
    uint64_t sum = e->fed_hash;
    for (int m = 0; m < e->plan->opts.n_micro; m++)
        sum += e->sampled_hash[m];
    struct diag mine = {0};
    int rc = agree_same(e->replica, sum, "the tokens", &mine);
    if (!rc && e->mismatch)
        rc = diag_set(&mine, ERR_MISMATCH, "stage %d: a pass or token message did not match", e->me->stage);
    if (!rc && e->stopping & STOP_NAN)
        rc = diag_set(&mine, ERR_FORMAT, "%s: the logits are not numbers: the model's weights hold NaN or infinities%s",
                      e->plan->shape.name,
                      e->plan->opts.decoder.hidden ? ", or its hidden states do not fit --hidden: try f32" : "");
    if (rc) diag_set(d, rc, "%s", mine.text);
    return err_agree(e->world, rc, d);
}

static void finish_result(struct engine *e, struct engine_result *r, double t_end) {
    if (e->t_prefill_end == 0) e->t_prefill_end = t_end;
    r->prefill_seconds = e->t_prefill_end - e->t_start;
    r->decode_seconds = t_end - e->t_prefill_end;
    r->interrupted = agree_sum(e->world, (uint64_t)(e->stopping & STOP_ASKED)) != 0;
    for (int s = 0; s < r->n_seqs; s++) {
        r->prefill_tokens += (uint64_t)e->job->prompt_len[s];
        if (r->n_out[s] > 1) r->decode_tokens += (uint64_t)r->n_out[s] - 1;
    }
}

int engine_generate(struct engine *e, const struct engine_job *job, struct engine_result *r, struct diag *d) {
    int rc = result_init(r, job, d);
    emulation_begin(e);
    if (!rc) rc = check_job(e, job, d);
    rc = err_agree(e->world, rc, d);
    if (rc) {
        emulation_end(e);
        engine_result_fini(r);
        return rc;
    }
    int dp = e->plan->strategy.dp;
    e->job = job;
    e->result = r;
    e->n_slots = (job->n_seqs - e->me->replica + dp - 1) / dp;
    e->fed_hash = 0;
    e->stopping = e->mismatch = e->first_tokens = 0;
    e->t_prefill_end = 0;
    e->stats = &r->prefill;
    e->head = (struct pass_header){0};
    schedule_start(e);
    rc = err_agree(e->world, emulation_start(e, d), d);
    if (rc) {
        emulation_end(e);
        engine_result_fini(r);
        return rc;
    }
    emulation_go(e);
    e->t_start = engine_now();
    if (e->plan->shape.causal)
        run_job(e);
    else
        run_encoder(e);
    struct diag lost = {0};
    int rc_virtual = emulation_stop(e, &lost);
    double limit = e->world->wait_limit_s;
    if (dp > 1) e->world->wait_limit_s = 0; /* another replica may have more to do */
    collect(e, r);
    if (job->draft.most) collect_drafts(e, &r->drafts);
    double t_end = engine_now(); /* rank 0 has the tokens of every replica */
    finish_result(e, r, t_end);
    rc = agree_tokens(e, d);
    if (!rc && e->emulation) {
        rc = err_agree(e->world, rc_virtual, &lost);
        if (rc) diag_set(d, rc, "%s", lost.text);
    }
    e->world->wait_limit_s = limit;
    if (rc) engine_result_fini(r);
    return rc;
}
