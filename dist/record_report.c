/* record_report.c - recorded events as a file for trace viewers. */
#include "record_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "timeline.h"

char *record_rank_name(char *buf, size_t cap, const struct plan *p, int rank) {
    const struct plan_rank *r = &p->ranks[rank];
    char replica[32] = "", card[32] = "host";
    if (p->strategy.dp > 1) snprintf(replica, sizeof replica, "replica %d, ", r->replica);
    if (r->role != RANK_HOST) snprintf(card, sizeof card, "card %d", virtual_card(p, rank));
    snprintf(buf, cap, "%s%s, stage %d", replica, card, r->stage);
    return buf;
}

/* ---- what is asked for ---- */

static int parse_window(const char *text, size_t n, struct record_ask *out) {
    char *colon, *end;
    double from = strtod(text, &colon), to = *colon == ':' ? strtod(colon + 1, &end) : 0;
    if (colon == text || *colon != ':' || end != text + n || !(from >= 0 && from < to && to <= 1e9)) return -1;
    out->from_ps = (uint64_t)(from * 1e9);
    out->to_ps = (uint64_t)(to * 1e9);
    return 0;
}

int record_ask_parse(struct record_ask *out, const char *trace, const char *timeline, struct diag *d) {
    *out = (struct record_ask){.trace = trace, .timeline = timeline != NULL};
    if (!timeline) return 0;
    size_t n = strlen(timeline), window = strcspn(timeline, ",");
    if (n > 4 && !strcmp(timeline + n - 4, ".svg")) {
        out->svg = timeline[window] ? timeline + window + 1 : timeline;
        if (!timeline[window]) window = 0;
    }
    if ((!out->svg && window < n) || (window > 0 && parse_window(timeline, window, out) != 0))
        return diag_set(d, ERR_USAGE,
                        "--timeline '%.200s': expected A:B in ms, as 0:2.5, a file FILE.svg, or A:B,FILE.svg",
                        timeline);
    return 0;
}

/* ---- trace events: the format of chrome://tracing and ui.perfetto.dev ---- */

struct written {
    const struct recording *r;
    const struct plan *p;
    const struct cluster *c;
};

static void put_string(FILE *out, const char *text) {
    json_t *s = json_string(text);
    if (!s || json_dumpf(s, out, JSON_ENCODE_ANY) != 0) fputs("\"?\"", out);
    json_decref(s);
}

static void put_name(FILE *out, const char *what, int pid, int tid, const char *name) {
    fprintf(out, "{\"name\":\"%s\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":", what, pid, tid);
    put_string(out, name);
    fputs("}},\n", out);
}

static void put_names(FILE *out, const struct written *w, int rank) {
    uint64_t used = 0;
    char name[64];
    for (int i = 0; i < w->r->rank[rank].n; i++)
        used |= (uint64_t)1 << w->r->rank[rank].event[i].track;
    put_name(out, "process_name", rank, 0, record_rank_name(name, sizeof name, w->p, rank));
    put_name(out, "thread_name", rank, RECORD_WORKS, "compute");
    put_name(out, "thread_name", rank, RECORD_WAITS, "wait");
    for (int i = 0; i < w->c->net.n_tiers; i++) {
        snprintf(name, sizeof name, "link: %s", w->c->net.tier[i].name);
        if (used >> (RECORD_LINK + i) & 1) put_name(out, "thread_name", rank, RECORD_LINK + i, name);
    }
}

/* Microseconds, whole picoseconds. */
static void put_us(FILE *out, const char *key, uint64_t ps) {
    fprintf(out, "\"%s\":%" PRIu64 ".%06" PRIu64 ",", key, ps / PICO_PER_US, ps % PICO_PER_US);
}

static void put_event(FILE *out, int rank, const struct record_event *e) {
    const char *category = e->track == RECORD_WORKS   ? record_share_name[e->share]
                           : e->track == RECORD_WAITS ? "wait"
                                                      : "link";
    fprintf(out, "{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,", record_step_name(e->step),
            category, rank, e->track);
    put_us(out, "ts", e->start_ps);
    put_us(out, "dur", e->end_ps - e->start_ps);
    fprintf(out, "\"args\":{\"pass\":%d", e->pass);
    if (e->layer >= 0) fprintf(out, ",\"layer\":%d", e->layer);
    if (e->track == RECORD_WAITS) fprintf(out, ",\"from\":%d", e->peer);
    if (e->track >= RECORD_LINK) fprintf(out, ",\"to\":%d,\"bytes\":%" PRIu64, e->peer, e->bytes);
    fputs("}},\n", out);
}

static void put_trace(void *user, FILE *out) {
    const struct written *w = user;
    fputs("{\"displayTimeUnit\":\"ns\",\n\"traceEvents\":[\n", out);
    for (int r = 0; r < w->r->n_ranks; r++) {
        put_names(out, w, r);
        for (int i = 0; i < w->r->rank[r].n; i++)
            if (w->r->rank[r].event[i].track < RECORD_CREDIT) put_event(out, r, &w->r->rank[r].event[i]);
    }
    fputs("{\"name\":\"process_labels\",\"ph\":\"M\",\"pid\":0,\"tid\":0,\"args\":{\"labels\":\"virtual time\"}}\n],\n"
          "\"otherData\":{\"kind\":\"virtual time, deterministic\",\"model\":",
          out);
    put_string(out, w->p->shape.name);
    fputs(",\"cluster\":", out);
    put_string(out, w->c->name);
    fputs(",\"strategy\":", out);
    put_string(out, w->p->strategy.text);
    fputs("}}\n", out);
}

int record_show(const struct record_ask *ask, const char *kind, const struct recording *r, const struct plan *p,
                const struct cluster *c, FILE *out, struct diag *d) {
    struct written w = {r, p, c};
    struct timeline t = {ask->from_ps, ask->to_ps, kind, r, p, c};
    int rc = ask->trace ? text_write_file(ask->trace, put_trace, &w, d) : 0;
    if (!rc && ask->svg) rc = text_write_file(ask->svg, timeline_svg, &t, d);
    if (!rc && ask->timeline && !ask->svg) timeline_print(&t, out);
    return rc;
}
