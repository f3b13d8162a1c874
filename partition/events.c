/* events.c - what ranks do in collectives, made when first asked for and kept in little. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

/* n events in a row that differ by their peers alone, from one to the next by `step`. */
struct events_row {
    struct coll_event first;
    int n, step;
};

static int no_memory(struct diag *d) {
    return diag_set(d, ERR_MEMORY, "no memory for the events of a plan");
}

/* ---- rows ---- */

/* Takes an event into the row before it where it belongs there. */
static int continues(struct events_row *row, const struct coll_event *e) {
    if (row->first.doing != e->doing || row->first.bytes != e->bytes) return 0;
    if (row->n == 1) row->step = e->peer - row->first.peer;
    if (e->peer != row->first.peer + row->n * row->step) return 0;
    row->n++;
    return 1;
}

/* Of a call's events; `out` NULL: counts them. */
static int make_rows(const struct plan_call *c, struct events_row *out) {
    struct events_row row = {.n = 0};
    int n = 0;
    for (int i = 0; i < c->count; i++) {
        if (row.n && continues(&row, &c->event[i])) {
            if (out) out[n - 1] = row;
            continue;
        }
        row = (struct events_row){c->event[i], 1, 0};
        if (out) out[n] = row;
        n++;
    }
    return n;
}

/* Rows in place of events where that takes less; else, or without memory, events stay. */
static void pack(struct plan_call *c) {
    if (!c->event) return;
    if (!c->row) {
        int n = make_rows(c, NULL);
        if ((size_t)n * sizeof *c->row > (size_t)c->count * sizeof *c->event / 2) return;
        if (!(c->row = malloc((size_t)n * sizeof *c->row + 1))) return;
        c->n_rows = make_rows(c, c->row);
    }
    free(c->event);
    c->event = NULL;
}

static int unpack(struct plan_call *c, struct diag *d) {
    struct coll_event *at = c->event = malloc((size_t)c->count * sizeof *at + 1);
    if (!at) return no_memory(d);
    for (const struct events_row *r = c->row; r < c->row + c->n_rows; r++)
        for (int i = 0; i < r->n; i++, at++) {
            *at = r->first;
            at->peer += i * r->step;
        }
    return 0;
}

/* ---- calls ---- */

static int make_events(const struct plan *p, int rank, struct plan_call *c, struct diag *d) {
    const struct plan_rank *r = &p->ranks[rank];
    struct coll_spec spec;
    int rc = 0;
    if (c->kind == STEP_SAMPLE) {
        c->event = malloc(COLL_GATHER_EVENTS * sizeof *c->event);
        if (c->event) c->count = coll_gather_events(r->tp_index, p->stages[r->stage].size, c->n, c->event);
    } else {
        plan_coll(p, rank, c->kind, &spec);
        rc = coll_events(&spec, r->tp_index % spec.shape.size, c->n, &c->event, &c->count, d);
    }
    return rc || c->event ? rc : no_memory(d);
}

static void call_free(struct plan_call *c) {
    free(c->event);
    free(c->row);
    free(c);
}

void plan_calls_free(const struct plan_group *g) {
    for (int i = 0; i < g->size; i++)
        for (struct plan_call *c = g->calls[i], *next; c; c = next) {
            next = c->next;
            call_free(c);
        }
}

/* The last one asked for is the first. */
int plan_events(const struct plan *p, int rank, enum step_kind kind, size_t n, const struct coll_event **event,
                int *count, struct diag *d) {
    const struct plan_rank *r = &p->ranks[rank];
    struct plan_call **first = &plan_group_of(p, r->stage)->calls[r->tp_index], **at = first, *c;
    while ((c = *at) && (c->kind != kind || c->n != n))
        at = &c->next;
    if (c) {
        *at = c->next;
    } else {
        if (!(c = calloc(1, sizeof *c))) return no_memory(d);
        c->kind = kind;
        c->n = n;
        int rc = make_events(p, rank, c, d);
        if (rc) {
            call_free(c);
            return rc;
        }
    }
    c->next = *first;
    *first = c;
    int rc = c->event ? 0 : unpack(c, d);
    *event = c->event;
    *count = c->count;
    return rc;
}

void plan_events_done(const struct plan *p, int rank) {
    const struct plan_rank *r = &p->ranks[rank];
    const struct plan_group *g = plan_group_of(p, r->stage);
    for (struct plan_call *c = g->calls[r->tp_index]; c && g->size > PLAN_KEPT_RANKS; c = c->next)
        pack(c);
}
