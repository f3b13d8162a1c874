/* media.c - shared media in the order of virtual time. */
#include "media.h"

#include <stdlib.h>

struct media_node {
    struct media_message m;
    uint64_t at_ps, number; /* at_ps: of its next event */
    struct media_node *next; /* behind it in its sender's port */
};

/* A sender's port to a fluid medium. */
struct media_port {
    struct net_stamp free;
    int busy;
    struct media_node *first, *last; /* that wait for it */
};

/* ---- the earliest first ---- */

static int is_before(const struct media_node *a, const struct media_node *b) {
    if (a->at_ps != b->at_ps) return a->at_ps < b->at_ps;
    return a->m.from != b->m.from ? a->m.from < b->m.from : a->number < b->number;
}

static void swap(struct media_node **a, struct media_node **b) {
    struct media_node *t = *a;
    *a = *b;
    *b = t;
}

/* There is room: media_add has seen to it. */
static void heap_add(struct media *m, struct media_node *n) {
    int i = m->n_heap++;
    for (m->heap[i] = n; i > 0 && is_before(m->heap[i], m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&m->heap[i], &m->heap[(i - 1) / 2]);
}

static struct media_node *heap_take(struct media *m) {
    struct media_node *first = m->heap[0];
    m->heap[0] = m->heap[--m->n_heap];
    for (int i = 0, least = 0;; i = least) {
        for (int child = 2 * i + 1; child <= 2 * i + 2 && child < m->n_heap; child++)
            if (is_before(m->heap[child], m->heap[least])) least = child;
        if (least == i) return first;
        swap(&m->heap[i], &m->heap[least]);
    }
}

/* ---- fluid media ---- */

static struct media_port *port_of(const struct media *m, const struct media_node *n) {
    return &m->port[n->m.from * m->net->n_tiers + n->m.tier];
}

/* When the first message of a medium ends may have changed. */
static void set_due(struct media *m, int medium) {
    uint64_t due = fluid_due(&m->fluid[medium], NULL);
    m->due[medium] = due == UINT64_MAX && m->fluid[medium].n ? due - 1 : due;
    for (int i = (medium + m->n_media) / 2; i > 0; i /= 2) {
        int a = m->first[2 * i], b = m->first[2 * i + 1];
        m->first[i] = m->due[b] < m->due[a] || (m->due[b] == m->due[a] && b < a) ? b : a;
    }
}

/* A message is ready and, as far as is known, its port free. */
static void begin(struct media *m, struct media_node *n) {
    struct media_port *port = port_of(m, n);
    struct fluid *f = &m->fluid[n->m.medium];
    if (port->busy) {
        n->next = NULL;
        if (port->first)
            port->last->next = n;
        else
            port->first = n;
        port->last = n;
        return;
    }
    if (port->free.ps > n->at_ps) { /* the gap between messages */
        n->at_ps = port->free.ps;
        heap_add(m, n);
        return;
    }
    port->busy = 1;
    n->m.start_ps = n->at_ps;
    f->link = &m->net->tier[n->m.tier].link;
    fluid_begin(f, n->at_ps, n->m.from, n->m.bytes, n);
    set_due(m, n->m.medium);
}

/* The first message of a medium ends, and its sender's next may begin. */
static struct media_node *end(struct media *m, int medium) {
    struct fluid *f = &m->fluid[medium];
    uint64_t end_ps = m->due[medium];
    struct media_node *n = fluid_end(f), *next;
    struct media_port *port = port_of(m, n);
    struct net_stamp ready = n->m.stamp;
    set_due(m, medium);
    net_carry_words(&port->free, m->net, n->m.tier, &ready, end_ps - n->m.start_ps, net_alone(f->link, n->m.bytes),
                    &n->m.stamp);
    n->m.end_ps = end_ps;
    port->busy = 0;
    if ((next = port->first)) {
        port->first = next->next;
        if (port->free.ps > next->at_ps) next->at_ps = port->free.ps;
        heap_add(m, next);
    }
    return n;
}

/* ---- all media ---- */

int media_init(struct media *m, const struct net *net, int n_media, int n_ranks, struct diag *d) {
    size_t n = (size_t)n_media;
    *m = (struct media){.net = net, .n_ranks = n_ranks, .n_media = n_media};
    if (n == 0) return 0;
    m->free = calloc(n, sizeof *m->free);
    m->fluid = calloc(n, sizeof *m->fluid);
    m->due = calloc(n, sizeof *m->due);
    m->first = calloc(2 * n, sizeof *m->first);
    m->waiting = calloc(n, sizeof *m->waiting);
    m->port = calloc((size_t)n_ranks * (size_t)net->n_tiers, sizeof *m->port);
    if (!m->free || !m->fluid || !m->due || !m->first || !m->waiting || !m->port)
        return diag_set(d, ERR_MEMORY, "no memory for %d shared media", n_media);
    for (int i = 0; i < n_media; i++)
        m->first[n_media + i] = i;
    for (int i = 0; i < n_media; i++)
        set_due(m, i);
    return 0;
}

static void free_list(struct media_node *n) {
    for (struct media_node *next; n; n = next) {
        next = n->next;
        free(n);
    }
}

void media_fini(struct media *m) {
    for (int i = 0; i < m->n_heap; i++)
        free(m->heap[i]);
    for (int i = 0; m->fluid && i < m->n_media; i++) {
        for (int k = 0; k < m->fluid[i].n; k++)
            free(m->fluid[i].flow[k].message);
        fluid_fini(&m->fluid[i]);
    }
    for (int i = 0; m->port && i < m->n_ranks * m->net->n_tiers; i++)
        free_list(m->port[i].first);
    free_list(m->spare);
    free(m->heap);
    free(m->free);
    free(m->fluid);
    free(m->due);
    free(m->first);
    free(m->waiting);
    free(m->port);
    *m = (struct media){0};
}

/* The heap holds all that wait, wherever they are. */
static int make_room(struct media *m, int medium, struct diag *d) {
    if (m->n_waiting == m->cap_heap) {
        int cap = m->cap_heap ? 2 * m->cap_heap : 64;
        struct media_node **heap = realloc(m->heap, (size_t)cap * sizeof *heap);
        if (!heap) return diag_set(d, ERR_MEMORY, "no memory for %d messages that wait for a medium", cap);
        m->heap = heap;
        m->cap_heap = cap;
    }
    return fluid_reserve(&m->fluid[medium], m->waiting[medium] + 1, d);
}

int media_add(struct media *m, const struct media_message *message, struct diag *d) {
    int rc = make_room(m, message->medium, d);
    struct media_node *n = rc ? NULL : m->spare ? m->spare : malloc(sizeof *n);
    if (!rc && !n) rc = diag_set(d, ERR_MEMORY, "no memory for a message that waits for a medium");
    if (rc) return rc;
    if (m->spare) m->spare = m->spare->next;
    *n = (struct media_node){*message, message->stamp.ps, m->n_messages++, NULL};
    m->waiting[message->medium]++;
    m->n_waiting++;
    heap_add(m, n);
    return 0;
}

/* A message that is ready takes its medium: returns it where it is carried at once. */
static struct media_node *grant(struct media *m) {
    struct media_node *n = heap_take(m);
    const struct net_link *link = &m->net->tier[n->m.tier].link;
    if (link->medium == NET_FLUID) {
        begin(m, n);
        return NULL;
    }
    n->m.stamp = net_carry(&m->free[n->m.medium], m->net, n->m.tier, &n->m.stamp, n->m.bytes);
    n->m.end_ps = n->m.stamp.ps - net_lag(link, net_alone(link, n->m.bytes));
    n->m.start_ps = n->m.end_ps - net_alone(link, n->m.bytes);
    return n;
}

int media_next(struct media *m, struct media_message *out) {
    struct media_node *n = NULL;
    while (!n && m->n_waiting) {
        uint64_t due = m->due[m->first[1]];
        n = due < UINT64_MAX && (m->n_heap == 0 || due <= m->heap[0]->at_ps) ? end(m, m->first[1]) : grant(m);
    }
    if (!n) return 0;
    *out = n->m;
    m->waiting[out->medium]--;
    m->n_waiting--;
    n->next = m->spare;
    m->spare = n;
    return 1;
}
