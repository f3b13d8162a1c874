/* What each pass carries: decided on the ranks of stage 0, all alike, from the prompts and the sampled tokens. */
#include "base/hash.h"
#include "engine_priv.h"

static int micro_of_slot(const struct engine *e, int slot) {
    return slot % e->plan->opts.n_micro;
}

static int ends(const struct engine *e, int id) {
    for (int i = 0; i < e->job->n_end_ids; i++)
        if (e->job->end_ids[i] == id) return 1;
    return 0;
}

void schedule_start(struct engine *e) {
    for (int s = 0; s < e->n_slots; s++)
        e->seq[s] = (struct seq_state){0};
}

static void add_token(struct engine *e, int id, int slot, int pos, int want) {
    e->tok[e->head.n++] = (struct pass_token){id, slot, pos, want};
    e->head.n_want += want;
}

/* Prompt tokens of the sequences that still have some, `chunk` at most of each, as many as a pass holds. */
static void compose_prefill(struct engine *e, int micro) {
    const struct engine_job *job = e->job;
    int room = e->plan->opts.decoder.max_tokens;
    for (int s = micro; s < e->n_slots && e->head.n < room; s += e->plan->opts.n_micro) {
        struct seq_state *seq = &e->seq[s];
        const int *prompt = job->prompt[engine_seq_of_slot(e, s)];
        int len = job->prompt_len[engine_seq_of_slot(e, s)];
        for (int i = 0; i < job->chunk && seq->fed < len && e->head.n < room; i++, seq->fed++)
            add_token(e, prompt[seq->fed], s, seq->fed, seq->fed == len - 1);
    }
    e->head.prefill = e->head.n > 0;
}

static int has_token(const struct engine *e, int slot) {
    return e->seq[slot].ready && !e->seq[slot].done;
}

/* Drafts behind the last token of a sequence, `room` at most: all of them could be right and one more be sampled, so
 * none passes the end of the job, of the context, or of the sequence. */
static void add_drafts(struct engine *e, int slot, int room) {
    struct seq_state *seq = &e->seq[slot];
    const struct engine_result *r = e->result;
    int global = engine_seq_of_slot(e, slot), ids[DRAFT_MOST];
    int job_left = r->n_new - seq->n_out - 1, ctx_left = e->plan->opts.decoder.n_ctx - seq->fed - seq->n_out;
    if (room > job_left) room = job_left;
    if (room > ctx_left) room = ctx_left;
    struct draft_text text = {e->job->prompt[global], seq->fed, r->out + (size_t)global * (size_t)r->n_new, seq->n_out};
    int n = draft_lookup(&e->job->draft, &text, room, ids);
    for (seq->drafted = 0; seq->drafted < n && !ends(e, ids[seq->drafted]); seq->drafted++)
        add_token(e, ids[seq->drafted], slot, seq->fed + seq->n_out + seq->drafted, 1);
}

/* Each sequence has room for its token; drafts share what is left, the first sequences first. */
static void compose_decode(struct engine *e, int micro) {
    int n_micro = e->plan->opts.n_micro, room = e->plan->opts.decoder.max_tokens;
    if (room > e->plan->opts.max_logits) room = e->plan->opts.max_logits;
    for (int s = micro; s < e->n_slots; s += n_micro)
        room -= has_token(e, s);
    for (int s = micro; s < e->n_slots; s += n_micro) {
        struct seq_state *seq = &e->seq[s];
        if (!has_token(e, s)) continue;
        seq->ready = 0;
        add_token(e, seq->last, s, seq->fed + seq->n_out - 1, 1);
        add_drafts(e, s, room);
        room -= seq->drafted;
    }
}

void schedule_compose(struct engine *e, int micro) {
    e->head = (struct pass_header){.micro = micro, .sampled = e->sampled_hash[micro]};
    if (e->stopping) return;
    compose_prefill(e, micro);
    if (e->head.n == 0) compose_decode(e, micro);
}

void schedule_whole(struct engine *e, int slot) {
    int seq = engine_seq_of_slot(e, slot);
    e->head = (struct pass_header){.prefill = 1};
    for (int i = 0; i < e->job->prompt_len[seq]; i++)
        add_token(e, e->job->prompt[seq][i], slot, i, 0);
}

static void take_one(struct engine *e, const struct token_entry *t) {
    struct seq_state *seq = &e->seq[t->slot];
    struct engine_result *r = e->result;
    int global = engine_seq_of_slot(e, t->slot), index = seq->n_out++;
    r->out[(size_t)global * (size_t)r->n_new + (size_t)index] = t->id;
    r->logit_hash[(size_t)global * (size_t)r->n_new + (size_t)index] = t->logit_hash;
    r->n_out[global] = seq->n_out;
    seq->last = t->id;
    seq->ready = 1;
    int full = e->job->prompt_len[global] + seq->n_out > e->plan->opts.decoder.n_ctx;
    seq->done = seq->n_out >= r->n_new || ends(e, t->id) || full;
    if (index == 0 && ++e->first_tokens == e->n_slots) e->t_prefill_end = engine_now();
    if (e->world->rank == 0 && e->job->on_token) e->job->on_token(e->job->user, global, index, t->id);
}

/* An entry belongs to the micro-batch and was drawn at the last position that its sequence has reached. */
static int is_due(const struct engine *e, const struct token_entry *t) {
    if (t->slot < 0 || t->slot >= e->n_slots || micro_of_slot(e, t->slot) != e->sampled_head.micro) return 0;
    const struct seq_state *seq = &e->seq[t->slot];
    return !seq->done && t->pos == seq->fed + seq->n_out - 1;
}

void schedule_take(struct engine *e) {
    for (int i = 0, n; i < e->sampled_head.n; i += n) {
        const struct token_entry *t = &e->sampled[i];
        for (n = 0; i + n < e->sampled_head.n && t[n].slot == t->slot && is_due(e, t + n); n++)
            take_one(e, t + n);
        if (n == 0) {
            e->mismatch = 1;
            n = 1;
        } else if (e->job->draft.most && e->seq[t->slot].n_out > n) { /* not the first token of the sequence */
            draft_count(&e->result->drafts, e->seq[t->slot].drafted, n - 1);
        }
    }
    e->stopping |= e->sampled_head.stop;
}
