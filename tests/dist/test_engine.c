/* The engine on ranks that are threads: tokens and logits are the same bits under every strategy, rank count,
 * micro-batch and prompt chunk; a flipped bit is noticed; a rank's failure is everyone's. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"
#include "engine_priv.h"
#include "models/decoder/tiny.h"

enum { MAX_RANKS = 12, N_NEW = 12 };

/* Address and undefined-behaviour sanitizers are slow: they see some of the strategies, the others see all. */
#if defined __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct setting {
    const char *strategy;
    int n_seqs, n_micro, chunk;
    enum act_bits bits;
    enum kv_type kv;
    double temperature;
    int flip;
    struct draft_params draft;
    int n_new, n_ctx, max_tokens; /* 0: N_NEW, 48, 24 */
    int end_id; /* 0: none */
    const char *allreduce, *drop_sync;
    enum coll_transport transport;
    enum hidden_form hidden;
    const uint64_t *speed; /* of the ranks' cards */
};

/* One rank's part of a run. */
struct rank_run {
    const struct setting *set;
    const struct model_shape *shape;
    const struct gguf *file;
    struct link *link;
    struct engine_result result;
    uint64_t stage, hidden; /* of the replica's stage: its number; the rank's residual stream, hashed */
    struct diag d;
    int rc;
};

static int prompt_len(int seq) {
    return 1 + (7 * seq + 9) % 23;
}

static int *prompts[8], lens[8];

static void make_prompts(int n_vocab) {
    for (int s = 0; s < 8; s++) {
        lens[s] = prompt_len(s);
        prompts[s] = realloc(prompts[s], (size_t)lens[s] * sizeof(int));
        for (int i = 0; i < lens[s]; i++)
            prompts[s][i] = (int)(rng_u64((uint64_t)s, (uint64_t)i) % (uint64_t)n_vocab);
    }
}

static int make_plan(struct plan **plan, const struct rank_run *r, struct diag *d) {
    const struct setting *set = r->set;
    struct strategy st;
    int rc = strategy_parse(&st, set->strategy, d);
    if (rc) return rc;
    int per_replica = (set->n_seqs + st.dp - 1) / st.dp;
    struct plan_opts o = {.decoder = {.linear_bits = set->bits,
                                      .head_bits = set->bits == ACT_I4 ? ACT_I8 : set->bits,
                                      .silu_bits = set->bits == ACT_I4 ? 8 : 0,
                                      .kv = set->kv,
                                      .hidden = set->hidden,
                                      .n_seqs = per_replica,
                                      .n_ctx = set->n_ctx ? set->n_ctx : 48,
                                      .max_tokens = set->max_tokens ? set->max_tokens : 24,
                                      .threads = 1,
                                      .seed = 5},
                          .n_micro = set->n_micro,
                          .allreduce = set->allreduce,
                          .drop_sync = set->drop_sync,
                          .transport = set->transport,
                          .speed = set->speed};
    o.max_logits = set->draft.most ? o.decoder.max_tokens : 0;
    struct sampler_params p = {.temperature = set->temperature, .top_k = 8, .top_p = 0.95};
    o.top_candidates = sampler_candidates(&p, r->shape->n_vocab);
    return plan_make(plan, r->shape, &st, r->link->size, &o, d);
}

/* Costs are linear in the tokens of a pass, but for all-reduces that cut vectors into parts of whole lines. */
static int is_linear(const struct plan *p, int rank) {
    struct coll_spec spec[2];
    plan_coll(p, rank, STEP_ATTN_REDUCE, &spec[0]);
    plan_coll(p, rank, STEP_FFN_REDUCE, &spec[1]);
    return !coll_algo_find(spec[0].algo)->cuts && !coll_algo_find(spec[1].algo)->cuts;
}

/* The plan counts what the rank sent; each micro-batch ends with a header. Encoders have no passes to count. */
static void check_sent(const struct plan *p, const struct rank_run *r) {
    const struct engine_stats *phase[2] = {&r->result.prefill, &r->result.decode};
    int n = p->ranks[r->link->rank].n_send_to * p->opts.n_micro;
    double bytes = n * (double)PLAN_HEADER_BYTES, messages = n, sent = 0, sends = 0;
    for (int f = 0; f < 2; f++) {
        struct plan_totals t[STEP_COUNT];
        plan_step_totals(p, r->link->rank, &phase[f]->work, t);
        for (int k = 0; k < STEP_COUNT; k++) {
            bytes += t[k].sent_bytes;
            messages += t[k].messages;
        }
        sent += (double)phase[f]->sent_bytes;
        sends += (double)phase[f]->messages;
    }
    CHECK(!p->shape.causal || !is_linear(p, r->link->rank) || (sent == bytes && sends == messages),
          "%s, rank %d: %.0f bytes in %.0f messages, planned %.0f in %.0f", r->set->strategy, r->link->rank, sent,
          sends, bytes, messages);
}

static void *run_rank(void *arg) {
    struct rank_run *r = arg;
    struct plan *plan = NULL;
    struct engine *e = NULL;
    struct engine_job job = {.n_seqs = r->set->n_seqs,
                             .prompt = (const int *const *)prompts,
                             .prompt_len = lens,
                             .n_new = r->set->n_new ? r->set->n_new : N_NEW,
                             .chunk = r->set->chunk,
                             .sampling = {.temperature = r->set->temperature, .top_k = 8, .top_p = 0.95, .seed = 3},
                             .draft = r->set->draft,
                             .end_ids = &r->set->end_id,
                             .n_end_ids = r->set->end_id != 0};
    r->rc = make_plan(&plan, r, &r->d);
    if (!r->rc) r->rc = engine_init(&e, plan, r->file, r->link, r->set->flip, &r->d);
    if (!r->rc) r->rc = engine_generate(e, &job, &r->result, &r->d);
    if (!r->rc) check_sent(plan, r);
    if (!r->rc) {
        r->stage = (uint64_t)e->me->replica << 32 | (uint64_t)e->me->stage;
        r->hidden = hash_floats(e->h, (size_t)plan->opts.decoder.max_tokens * (size_t)r->shape->d_model, 0);
    }
    engine_free(e);
    plan_free(plan);
    return NULL;
}

/* Runs a setting on its ranks; the result of rank 0 is the caller's. */
static int run(const struct setting *set, const struct model_shape *shape, const struct gguf *file,
               struct engine_result *out) {
    struct strategy st;
    struct diag d = {0};
    struct link *links[MAX_RANKS];
    struct rank_run ranks[MAX_RANKS] = {{0}};
    pthread_t thread[MAX_RANKS];
    int rc = strategy_parse(&st, set->strategy, &d), size = rc ? 0 : strategy_ranks(&st);
    CHECK(rc == 0 && size <= MAX_RANKS && link_threads_new(size, links) == 0, "%s: %s", set->strategy, d.text);
    for (int r = 0; r < size; r++) {
        ranks[r] = (struct rank_run){.set = set, .shape = shape, .file = file, .link = links[r]};
        pthread_create(&thread[r], NULL, run_rank, &ranks[r]);
    }
    for (int r = 0; r < size; r++)
        pthread_join(thread[r], NULL);
    for (int r = 0; r < size; r++) {
        CHECK(ranks[r].rc == ranks[0].rc, "%s: rank %d returns %d, rank 0 %d", set->strategy, r, ranks[r].rc,
              ranks[0].rc);
        CHECK(r == 0 || ranks[r].stage != ranks[r - 1].stage || ranks[r].hidden == ranks[r - 1].hidden,
              "%s: ranks %d and %d of a stage end with other hidden states", set->strategy, r - 1, r);
        link_free(links[r]);
        if (r) engine_result_fini(&ranks[r].result);
    }
    CHECK(ranks[0].rc == 0, "%s: %s", set->strategy, ranks[0].d.text);
    *out = ranks[0].result;
    return ranks[0].rc;
}

static int same(const struct engine_result *a, const struct engine_result *b) {
    size_t n = (size_t)a->n_seqs * (size_t)a->n_new;
    return a->n_seqs == b->n_seqs && !memcmp(a->n_out, b->n_out, (size_t)a->n_seqs * sizeof *a->n_out) &&
           !memcmp(a->out, b->out, n * sizeof *a->out) &&
           !memcmp(a->logit_hash, b->logit_hash, n * sizeof *a->logit_hash);
}

/* Shares that cut the trees of sums anywhere; one rank holds next to nothing. */
static const uint64_t speeds[MAX_RANKS] = {1000000, 500000,  730000, 2000000, 1000000, 10000,
                                           1000000, 1700000, 900000, 400000,  1000000, 600000};

/* Compares settings with one rank that feeds whole prompts in one micro-batch. */
static void compare(const struct model_shape *shape, const struct gguf *file, struct setting base,
                    const char *const *strategies) {
    static int number;
    struct engine_result one, other;
    base.strategy = "1";
    base.n_micro = 1;
    base.chunk = 16;
    base.flip = -1;
    make_prompts(shape->n_vocab);
    if (run(&base, shape, file, &one)) return;
    for (int i = 0; strategies[i]; i++) {
        struct setting set = base;
        set.strategy = strategies[i];
        set.chunk = 1 + 5 * i % 16;
        set.n_micro = 1 + i % base.n_seqs;
        if (strncmp(set.strategy, "dp", 2) == 0) set.n_micro = 1;
        if (++number % 2) set.speed = speeds;
        if (run(&set, shape, file, &other)) continue;
        CHECK(same(&one, &other), "%s: %s, %d sequences, %d micro-batches, chunk %d, a%d: tokens or logits differ%s",
              shape->name, set.strategy, set.n_seqs, set.n_micro, set.chunk, base.bits ? base.bits : 16,
              set.speed ? " with shares by speed" : "");
        engine_result_fini(&other);
    }
    engine_result_fini(&one);
}

static const char *const every[] = {"1",       "tp2",     "tp3",     "tp4",          "tp5",        "tp8",
                                    "tp9",     "pp2",     "pp3",     "pp4",          "tp2xpp2",    "tp3xpp2",
                                    "tp2xpp4", "dp2xtp2", "dp2xpp2", "stages:1,2,3", "stages:3,1", "stages:1*3,2/0",
                                    NULL};
static const char *const some[] = {"tp3", "pp3", "tp2xpp2", "stages:2,3", NULL};
static const char *const one_of_them[] = {"stages:2,3", NULL};

static int open_file(const char *path, struct gguf **g, struct model_shape *s) {
    struct diag d = {0};
    int rc = gguf_open(g, path, &d);
    if (!rc) rc = shape_read(s, *g, &d);
    CHECK(rc == 0, "%s", d.text);
    return rc;
}

static void check_file(const char *path, enum act_bits bits, enum kv_type kv, double temperature,
                       const char *const *strategies) {
    struct gguf *g = NULL;
    struct model_shape s;
    if (open_file(path, &g, &s) == 0)
        compare(&s, g, (struct setting){.n_seqs = 3, .bits = bits, .kv = kv, .temperature = temperature}, strategies);
    gguf_close(g);
}

/* Rounded where each layer ends, whether or not a stage does: other logits than those of binary32. */
static void check_hidden(const char *path) {
    struct gguf *g = NULL;
    struct model_shape s;
    struct engine_result plain, rounded;
    if (open_file(path, &g, &s)) return;
    make_prompts(s.n_vocab);
    struct setting set = {.strategy = "1", .n_seqs = 3, .n_micro = 1, .chunk = 16, .bits = ACT_I8, .flip = -1};
    if (run(&set, &s, g, &plain)) return;
    for (int f = HIDDEN_F16; f < HIDDEN_FORMS; f++) {
        set.hidden = (enum hidden_form)f;
        if (run(&set, &s, g, &rounded)) break;
        CHECK(!same(&plain, &rounded), "form %d rounds nothing", f);
        engine_result_fini(&rounded);
        compare(&s, g, set, SANITIZED ? one_of_them : f == HIDDEN_I4 ? some : every);
    }
    engine_result_fini(&plain);
    gguf_close(g);
}

/* Every generating architecture, odd head counts, replicated KV heads, tied embeddings, K formats, synthetic weights.
 */
static void check_architectures(void) {
    static const struct {
        struct tiny tiny;
        const char *quant;
        enum act_bits bits;
    } models[] = {
        /* arch, layers, width, heads, KV heads, head_dim, FFN, vocabulary, rope_dim, all vectors, parallel, tied */
        {{"llama", 3, 96, 9, 3, 32, 160, 301, 0, 0, 0, 1, 0}, "Q8_0", ACT_I8},
        {{"llama", 3, 256, 4, 2, 64, 768, 512, 0, 0, 0, 0, 0}, "Q4_K", ACT_I8},
        {{"granite", 4, 256, 8, 2, 32, 512, 300, 0, 0, 0, 0, 0}, "I4", ACT_I4},
        {{"qwen2", 3, 448, 14, 2, 32, 608, 333, 0, 0, 0, 0, 0}, "Q5_1", ACT_I8},
        {{"qwen3", 3, 128, 6, 3, 64, 256, 257, 0, 0, 0, 0, 0}, "F16", ACT_F32},
        {{"gpt2", 3, 96, 6, 6, 16, 384, 301, 0, 0, 0, 1, 0}, "Q4_1", ACT_I8},
        {{"gptneox", 3, 128, 4, 4, 32, 512, 301, 8, 0, 1, 0, 0}, "Q4_0", ACT_I8},
        {{"bert", 3, 96, 6, 6, 16, 384, 301, 0, 0, 0, 0, 0}, "Q8_0", ACT_I8},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct model_shape s;
        tiny_shape(&s, &models[i].tiny, models[i].quant, NULL);
        compare(&s, NULL,
                (struct setting){.n_seqs = 2, .bits = models[i].bits, .kv = models[i].bits == ACT_I4 ? KV_I4 : KV_F16},
                SANITIZED ? one_of_them : some);
        compare(&s, NULL, (struct setting){.n_seqs = 2, .bits = models[i].bits, .hidden = 1 + i % 3},
                SANITIZED ? one_of_them : some);
    }
}

/* One bit of one weight of one rank: the logits are no longer those of one rank, and the ranks still agree. */
static void check_flip(const char *path) {
    struct gguf *g = NULL;
    struct model_shape s;
    struct engine_result good, bad;
    if (open_file(path, &g, &s)) return;
    make_prompts(s.n_vocab);
    for (int rank = 0; rank < 4; rank++) {
        struct setting set = {.strategy = "tp2xpp2", .n_seqs = 1, .n_micro = 1, .chunk = 8, .bits = ACT_I8, .flip = -1};
        if (run(&set, &s, g, &good)) break;
        set.flip = rank;
        if (run(&set, &s, g, &bad) == 0) CHECK(!same(&good, &bad), "a flipped bit on rank %d went unnoticed", rank);
        engine_result_fini(&good);
        engine_result_fini(&bad);
    }
    gguf_close(g);
}

/* What the passes held, which the bounds of the steps are computed from: prompts of 10 and 17 tokens in chunks of 5,
 * then 11 more tokens each. */
static void check_work(const char *path) {
    static const char *const strategies[] = {"1", "tp2", "pp2"};
    struct gguf *g = NULL;
    struct model_shape s;
    if (open_file(path, &g, &s)) return;
    make_prompts(s.n_vocab);
    for (int i = 0; i < 3; i++) {
        struct setting set = {
            .strategy = strategies[i], .n_seqs = 2, .n_micro = 1, .chunk = 5, .bits = ACT_I8, .flip = -1};
        struct engine_result r;
        if (run(&set, &s, g, &r)) break;
        struct plan_work p = r.prefill.work, d = r.decode.work;
        CHECK(lens[0] == 10 && lens[1] == 17 && r.n_out[0] == N_NEW && r.n_out[1] == N_NEW, "the job");
        CHECK(p.passes == 4 && p.tokens == 27 && p.sampled == 2 && p.sampled_passes == 2, "%s: prefill", set.strategy);
        CHECK(p.ctx_sum == 10 * 11 / 2 + 17 * 18 / 2, "%s: %d positions", set.strategy, (int)p.ctx_sum);
        CHECK(p.ctx_read == (5 + 10) + (5 + 10 + 15 + 17), "%s: %d read", set.strategy, (int)p.ctx_read);
        CHECK(d.passes == 11 && d.tokens == 22 && d.sampled == 22 && d.sampled_passes == 11, "%s: decode",
              set.strategy);
        CHECK(d.ctx_sum == d.ctx_read && d.ctx_sum == 11 * (10 + 17) + 2 * 66, "%s: %d", set.strategy, (int)d.ctx_sum);
        engine_result_fini(&r);
    }
    gguf_close(g);
}

/* ---- drafts ---- */

enum { DRAFT_NEW = 40, DRAFT_CTX = 160 };

/* Prompts that quote themselves: p, what the model says to it, p again. Sequence 2 is a period, 3 repeats nothing. */
static void quote_prompts(const struct engine_result *said) {
    for (int s = 0; s < said->n_seqs; s++) {
        int n = lens[s], out = said->n_out[s], *p = malloc((size_t)(2 * n + out) * sizeof *p);
        if (!p) return;
        memcpy(p, prompts[s], (size_t)n * sizeof *p);
        memcpy(p + n, said->out + s * said->n_new, (size_t)out * sizeof *p);
        memcpy(p + n + out, prompts[s], (size_t)n * sizeof *p);
        for (int i = 0; s == 2 && i < 2 * n + out; i++)
            p[i] = said->out[s * said->n_new + i % 3];
        lens[s] = s == 3 ? n : 2 * n + out;
        free(prompts[s]);
        prompts[s] = p;
    }
}

/* Runs a setting with drafts: ids and hashes are those without, and every token is accounted for. */
static void compare_drafts(const struct model_shape *s, const struct gguf *g, const struct setting *set,
                           const struct engine_result *plain, struct draft_stats *stats) {
    struct engine_result r;
    if (run(set, s, g, &r)) return;
    uint64_t turns = 0, accepted = 0;
    for (int i = 0; i <= DRAFT_MOST; i++) {
        turns += r.drafts.taken[i];
        accepted += (uint64_t)i * r.drafts.taken[i];
    }
    CHECK(same(plain, &r), "%s: %d drafts, %d sequences, %d micro-batches, %d tokens a pass, kv %d, %g: differs",
          set->strategy, set->draft.most, set->n_seqs, set->n_micro, set->max_tokens, set->kv, set->temperature);
    CHECK(turns == r.drafts.turns && accepted == r.drafts.accepted && accepted <= r.drafts.drafted &&
              turns + accepted == r.decode_tokens,
          "%s: %d turns, %d of %d drafts, %d tokens", set->strategy, (int)turns, (int)accepted, (int)r.drafts.drafted,
          (int)r.decode_tokens);
    *stats = r.drafts;
    engine_result_fini(&r);
}

/* Every number of drafts under every strategy. Where a pass has room for all drafts, they do not depend on it. */
static void check_draft_sizes(const struct model_shape *s, const struct gguf *g, const struct setting *plain_set,
                              const struct engine_result *plain, const char *const *strategies, const int *most,
                              struct draft_stats *sum) {
    for (int k = 0; most[k]; k++) {
        struct draft_stats first = {0}, other;
        for (int i = 0; strategies[i]; i++) {
            struct setting set = *plain_set;
            set.strategy = strategies[i];
            set.n_micro = strncmp(set.strategy, "dp", 2) ? 1 + (i + k) % set.n_seqs : 1;
            set.draft = (struct draft_params){most[k], 1 + k % 2, 3};
            compare_drafts(s, g, &set, plain, &other);
            if (i == 0) first = other;
            if (set.max_tokens >= set.n_seqs * (1 + most[k]))
                CHECK(!memcmp(&first, &other, sizeof other), "%s: other drafts", set.strategy);
        }
        draft_add(sum, &first);
    }
}

/* Opens a file and has prompts that quote what it says to the first ones; the setting is then one of long texts. */
static int quote_file(const char *path, struct gguf **g, struct model_shape *s, struct setting *set,
                      struct engine_result *said) {
    if (open_file(path, g, s)) return -1;
    make_prompts(s->n_vocab);
    if (run(set, s, *g, said)) return -1;
    quote_prompts(said);
    set->n_new = DRAFT_NEW;
    set->n_ctx = DRAFT_CTX;
    return 0;
}

static const char *const draft_every[] = {"1",       "tp2",     "tp3",          "pp2",        "pp4", "tp2xpp2",
                                          "dp2xtp2", "dp2xpp2", "stages:1,2,3", "stages:3,1", NULL};
static const char *const draft_some[] = {"1", "tp2", "pp3", "tp2xpp2", NULL};

static void check_drafts(const char *path, enum kv_type kv, double temperature, int n_seqs,
                         const char *const *strategies) {
    static const int sizes[] = {1, 2, 4, 7, 0}, few[] = {4, DRAFT_MOST, 0};
    struct gguf *g = NULL;
    struct model_shape s;
    struct engine_result said, plain, cut;
    struct draft_stats sum = {0};
    struct setting set = {.strategy = "1", .n_seqs = n_seqs, .n_micro = 1, .chunk = 16, .bits = ACT_I8, .kv = kv};
    set.flip = -1;
    set.temperature = temperature;
    if (quote_file(path, &g, &s, &set, &said)) return;
    set.max_tokens = n_seqs * 8;
    if (run(&set, &s, g, &plain)) return;
    check_draft_sizes(&s, g, &set, &plain, strategies, sizes, &sum);
    CHECK(sum.accepted > 0 && sum.drafted > sum.accepted && sum.taken[0] > 0 && sum.taken[1] > 0 && sum.taken[2] > 0,
          "%s: %d of %d drafts accepted", path, (int)sum.accepted, (int)sum.drafted);
    set.max_tokens = n_seqs + 2; /* not all drafts fit in a pass */
    check_draft_sizes(&s, g, &set, &plain, draft_some, few, &sum);
    set.max_tokens = n_seqs * 8;
    set.n_ctx = lens[0] + DRAFT_NEW / 2; /* the context ends within the job */
    if (run(&set, &s, g, &cut)) return;
    CHECK(cut.n_out[0] == DRAFT_NEW / 2 + 1, "sequence 0 fills its context");
    check_draft_sizes(&s, g, &set, &cut, draft_some, few, &sum);
    engine_result_fini(&cut);
    set.n_ctx = DRAFT_CTX;
    set.end_id = plain.out[DRAFT_NEW / 2]; /* sequences end at it, at a draft of it too */
    engine_result_fini(&plain);
    if (run(&set, &s, g, &cut)) return;
    CHECK(cut.n_out[0] <= DRAFT_NEW / 2 + 1, "sequence 0 ends at its end token");
    check_draft_sizes(&s, g, &set, &cut, draft_some, few, &sum);
    engine_result_fini(&said);
    engine_result_fini(&cut);
    gguf_close(g);
}

/* A cache shared by position: other bits than those of one rank (test_kvp.c), but the same under every strategy with as
 * many sharers, micro-batch and chunk, and with drafts, whose refused positions are written again. */
static void check_shared_cache(const char *path, enum kv_type kv) {
    static const char *const strategies[] = {"kvp2", "tp2xkvp2", "kvp2xpp2", "tp2xkvp2xpp2", "dp2xkvp2"};
    struct gguf *g = NULL;
    struct model_shape s;
    struct engine_result said, plain, other;
    struct setting set = {.strategy = "kvp2", .n_seqs = 3, .n_micro = 1, .chunk = 16, .bits = ACT_I8, .kv = kv};
    set.flip = -1;
    if (quote_file(path, &g, &s, &set, &said)) return;
    if (run(&set, &s, g, &plain)) return;
    for (int i = 0; i < 5; i++) {
        set.strategy = strategies[i];
        set.chunk = 3 + 5 * i;
        set.n_micro = strncmp(set.strategy, "dp", 2) ? 1 + i % 3 : 1;
        set.draft = (struct draft_params){i % 2 ? 0 : 4, 1, 3};
        if (run(&set, &s, g, &other)) continue;
        CHECK(same(&plain, &other), "%s, kv %d, chunk %d, %d drafts: not the bits of kvp2", set.strategy, kv, set.chunk,
              set.draft.most);
        CHECK(!set.draft.most || other.drafts.accepted > 0, "%s: no draft was accepted", set.strategy);
        engine_result_fini(&other);
    }
    engine_result_fini(&said);
    engine_result_fini(&plain);
    gguf_close(g);
}

/* Every bit-exact algorithm, through memory and by messages: the same bits, and traffic as planned. The vectors of
 * this model are 16 lines, which 3 ranks do not share evenly. */
static void check_reduces(const char *path) {
    static const char *const strategies[] = {"tp2", "tp3", "tp4", "tp8"};
    struct gguf *g = NULL;
    struct model_shape s;
    struct engine_result one, other;
    if (open_file(path, &g, &s)) return;
    make_prompts(s.n_vocab);
    struct setting set = {.strategy = "1", .n_seqs = 2, .n_micro = 1, .chunk = 7, .bits = ACT_I8, .flip = -1};
    if (run(&set, &s, g, &one)) return;
    for (const struct coll_algo *const *a = coll_algos; *a; a++)
        for (int i = 0; i < 4; i++)
            for (int t = COLL_TRANSPORT_SHM; t <= COLL_TRANSPORT_LINK; t++) {
                if ((*a)->label != COLL_BIT_EXACT || (*a)->levels != 1) continue;
                set.strategy = strategies[i];
                set.allreduce = (*a)->name;
                set.transport = (enum coll_transport)t;
                if (run(&set, &s, g, &other)) continue;
                CHECK(same(&one, &other), "%s: %s over %s: tokens or logits differ", set.strategy, set.allreduce,
                      coll_transport_name(set.transport));
                engine_result_fini(&other);
            }
    engine_result_fini(&one);
    gguf_close(g);
}

static struct setting short_run(const char *strategy) {
    return (struct setting){.strategy = strategy, .n_seqs = 2, .n_micro = 1, .chunk = 7, .bits = ACT_I8, .flip = -1};
}

/* All-reduces of a pass that the plan counts for rank 0 of a group. */
static int reduces_of(const struct model_shape *s, const struct setting *set) {
    struct rank_run r = {.set = set, .shape = s, .link = &(struct link){0}};
    struct plan_work one = {.passes = 1};
    struct plan_totals t[STEP_COUNT] = {{0}};
    struct strategy st;
    struct plan *p = NULL;
    CHECK(!strategy_parse(&st, set->strategy, NULL), "%s", set->strategy);
    r.link->size = strategy_ranks(&st);
    CHECK(make_plan(&p, &r, &r.d) == 0, "%s", r.d.text);
    if (p) plan_step_totals(p, 0, &one, t);
    plan_free(p);
    return (int)(t[STEP_ATTN_REDUCE].steps + t[STEP_FFN_REDUCE].steps);
}

/* Attention beside the FFN: one all-reduce a layer where ranks bring one subtree each of both, else two; the same bits
 * as one rank, and traffic as planned (run_rank checks it). Widths that are no whole lines too. */
static void check_parallel(void) {
    static const struct {
        const char *strategy;
        int joined;
    } cases[] = {{"tp2", 1}, {"tp4", 1}, {"tp2xpp2", 1}, {"tp8", 0}, {"tp3", 0}, {"stages:3/2,2/2", 0}};
    static const struct tiny tiny[] = {{"gptneox", 4, 128, 4, 4, 32, 512, 301, 8, 0, 1, 0, 0},
                                       {"gptneox", 4, 100, 5, 5, 20, 416, 301, 8, 1, 1, 0, 0}};
    for (int m = 0; m < 2; m++) {
        struct model_shape s;
        struct engine_result one, other;
        tiny_shape(&s, &tiny[m], "Q8_0", NULL);
        make_prompts(s.n_vocab);
        struct setting set = short_run("1");
        if (run(&set, &s, NULL, &one)) return;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (const struct coll_algo *const *a = coll_algos; *a; a++) {
                if ((*a)->label != COLL_BIT_EXACT || (*a)->levels != 1) continue;
                set = short_run(cases[i].strategy);
                set.allreduce = (*a)->name;
                set.transport = i % 2 ? COLL_TRANSPORT_SHM : COLL_TRANSPORT_LINK;
                int layers = strchr(set.strategy, 'x') || strchr(set.strategy, ':') ? 2 : 4;
                CHECK(reduces_of(&s, &set) == layers * (cases[i].joined ? 1 : 2), "%s: %d all-reduces", set.strategy,
                      reduces_of(&s, &set));
                if (run(&set, &s, NULL, &other)) continue;
                CHECK(same(&one, &other), "%s, %s: tokens or logits differ", set.strategy, set.allreduce);
                engine_result_fini(&other);
            }
        engine_result_fini(&one);
    }
}

/* Dropped syncs: nothing in a group of one; else other logits, that repeat whatever carries them, the batch and the
 * chunk; the ranks agree on tokens (engine_generate does) and draw from the same sums. */
static void check_dropped(const char *path) {
    static const char *const strategies[] = {"1", "pp2", "tp2", "tp3", "tp4", "tp2xpp2"};
    struct gguf *g = NULL;
    struct model_shape s;
    struct engine_result one, first, again;
    if (open_file(path, &g, &s)) return;
    make_prompts(s.n_vocab);
    struct setting set = short_run("1");
    if (run(&set, &s, g, &one)) return;
    for (int i = 0; i < 6; i++) {
        set = short_run(strategies[i]);
        set.drop_sync = "1,2-3";
        int split = i >= 2, layers = i == 5 ? 2 : 4;
        int dropped = !split ? 0 : i == 5 ? 1 : 3;
        CHECK(reduces_of(&s, &set) == (split ? 2 * layers - dropped : 0), "%s: %d all-reduces", set.strategy,
              reduces_of(&s, &set));
        if (run(&set, &s, g, &first)) break;
        set.chunk = 16;
        set.n_micro = 2;
        set.allreduce = "twoshot";
        set.transport = COLL_TRANSPORT_LINK;
        if (run(&set, &s, g, &again)) break;
        CHECK(same(&one, &first) == !split, "%s: dropped syncs", set.strategy);
        CHECK(same(&first, &again), "%s: dropped syncs do not repeat", set.strategy);
        engine_result_fini(&first);
        engine_result_fini(&again);
    }
    engine_result_fini(&one);
    gguf_close(g);
}

int main(void) {
    check_parallel();
    check_dropped(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf");
    check_reduces(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf");
    check_work(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf");
    check_file(NW_TEST_DATA "/stories260K-f32.gguf", ACT_F32, KV_F16, 0, SANITIZED ? some : every);
    check_file(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf", ACT_I8, KV_F16, 0, SANITIZED ? some : every);
    check_file(NW_SOURCE_DIR "/models/bundled/kjv-3m-q4_0.gguf", ACT_I4, KV_I4, 0.9, SANITIZED ? one_of_them : some);
    check_file(NW_SOURCE_DIR "/models/bundled/kjv-3m-w4a4.gguf", ACT_I4, KV_I4, 0, SANITIZED ? one_of_them : some);
    check_file(NW_SOURCE_DIR "/models/bundled/kjv-3m-q4_0.gguf", ACT_F32, KV_I8, 0, SANITIZED ? one_of_them : some);
    check_hidden(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf");
    check_architectures();
    check_drafts(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf", KV_F16, 0, 4, SANITIZED ? draft_some : draft_every);
    check_drafts(NW_SOURCE_DIR "/models/bundled/kjv-3m-q4_0.gguf", KV_I8, 0.8, 4, draft_some);
    if (!SANITIZED) { /* other bits, the same code */
        check_drafts(NW_SOURCE_DIR "/models/bundled/kjv-3m-q4_0.gguf", KV_I4, 0, 3, draft_some);
        check_drafts(NW_TEST_DATA "/stories260K-f32.gguf", KV_F16, 0.6, 1, draft_some);
    }
    check_shared_cache(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf", KV_F16);
    check_shared_cache(NW_SOURCE_DIR "/models/bundled/kjv-3m-q4_0.gguf", KV_I4);
    check_flip(NW_SOURCE_DIR "/models/bundled/kjv-3m-q8_0.gguf");
    return check_report("engine");
}
