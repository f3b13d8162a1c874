/* estimate_kept.c - tables of collectives (estimate_coll.c) that plans have in common. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "estimate_priv.h"

enum { SLOTS = 1024 };

/* All that a table depends on beside the model. Padding is zero; behind it lie the tiers [size][size] and the first
 * leaves [size + 1] of the ranks. */
struct key {
    const struct cluster *c;
    const struct coll_wire *wire;
    size_t n;
    int kind, size, kvp, domain_ranks;
    char algo[64];
};

struct kept {
    char *key; /* NULL: the slot is empty */
    size_t key_bytes;
    struct net_stamp *out; /* as costs.coll and costs.port */
    uint64_t *port;
};

struct estimate_kept {
    struct kept slot[SLOTS];
};

struct estimate_kept *estimate_kept_new(void) {
    return calloc(1, sizeof(struct estimate_kept));
}

static void slot_fini(struct kept *k) {
    free(k->key);
    free(k->out);
    free(k->port);
    *k = (struct kept){.key = NULL};
}

void estimate_kept_free(struct estimate_kept *k) {
    for (int i = 0; k && i < SLOTS; i++)
        slot_fini(&k->slot[i]);
    free(k);
}

/* malloc'ed, or NULL. */
static char *key_of(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                    size_t *bytes) {
    struct coll_spec spec = {.algo = ""};
    struct key key;
    size_t size = (size_t)c->size, tiers = size * size;
    if (kind != STEP_SAMPLE) plan_coll(e->p, c->first, kind, &spec);
    size_t begins = spec.shape.begin ? ((size_t)spec.shape.size + 1) * sizeof *spec.shape.begin : 0;
    memset(&key, 0, sizeof key);
    key.c = e->c;
    key.wire = spec.wire;
    key.n = n;
    key.kind = (int)kind;
    key.size = c->size;
    key.kvp = e->p->strategy.kvp;
    key.domain_ranks = e->p->opts.domain_ranks;
    strncpy(key.algo, spec.algo, sizeof key.algo - 1);
    *bytes = sizeof key + tiers + begins;
    char *text = malloc(*bytes);
    if (!text) return NULL;
    memcpy(text, &key, sizeof key);
    memcpy(text + sizeof key, c->tier, tiers);
    if (begins) memcpy(text + sizeof key + tiers, spec.shape.begin, begins);
    return text;
}

static struct kept *slot_of(struct estimate_kept *kept, const char *key, size_t bytes) {
    return &kept->slot[hash_bytes(key, bytes, 0) % SLOTS];
}

int estimate_kept_find(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                       struct net_stamp *out, uint64_t *port) {
    size_t bytes;
    char *key = e->p->opts.kept ? key_of(e, c, kind, n, &bytes) : NULL;
    if (!key) return 0;
    const struct kept *k = slot_of(e->p->opts.kept, key, bytes);
    int found = k->key && k->key_bytes == bytes && !memcmp(k->key, key, bytes);
    free(key);
    if (!found) return 0;
    memcpy(out, k->out, estimate_ways(c) * sizeof *out);
    memcpy(port, k->port, (size_t)c->size * sizeof *port);
    return 1;
}

static void *copy_of(const void *from, size_t bytes) {
    void *to = malloc(bytes);
    if (to) memcpy(to, from, bytes);
    return to;
}

void estimate_kept_add(const struct estimator *e, const struct stage_class *c, enum step_kind kind, size_t n,
                       const struct net_stamp *out, const uint64_t *port) {
    size_t bytes;
    char *key = e->p->opts.kept ? key_of(e, c, kind, n, &bytes) : NULL;
    if (!key) return;
    struct kept *k = slot_of(e->p->opts.kept, key, bytes);
    slot_fini(k);
    *k = (struct kept){key, bytes, copy_of(out, estimate_ways(c) * sizeof *out),
                       copy_of(port, (size_t)c->size * sizeof *port)};
    if (!k->out || !k->port) slot_fini(k);
}
