/* --trace and --timeline: the trace, read again by a JSON parser, obeys the rules of its viewers and sums to the
 * ranks' times; too many events are refused; windows and pictures are what they say. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "dist/engine.h"
#include "dist/simulate.h"
#include "models/decoder/tiny.h"
#include "record_report.h"

enum { RANKS = 5, N_TRACKS = RECORD_LINK + NET_MAX_TIERS };

static struct cluster cluster;
static struct simulation sim;
static struct recording rec;
static struct plan *plan;

static void record_job(void) {
    static const int ids[9], len[] = {9, 9, 9}, *const prompt[] = {ids, ids, ids};
    struct model_shape shape;
    struct strategy st;
    struct diag d = {0};
    struct tiny deep = tiny_archs[0];
    deep.n_layers = 4;
    tiny_shape(&shape, &deep, "Q8_0", NULL);
    CHECK(cluster_read(&cluster, NW_SOURCE_DIR "/cluster-configs/northpole-16.yaml", &d) == 0, "%s", d.text);
    CHECK(strategy_parse(&st, "stages:host,1*2,2", &d) == 0, "%s", d.text);
    struct plan_opts o = {
        .decoder =
            {.linear_bits = ACT_I8, .head_bits = ACT_I8, .n_seqs = 3, .n_ctx = 32, .max_tokens = 12, .threads = 1},
        .n_micro = 3,
        .transport = COLL_TRANSPORT_LINK,
        .net = &cluster.net,
        .top_candidates = 1};
    struct engine_job job = {.n_seqs = 3, .prompt = prompt, .prompt_len = len, .n_new = 5, .chunk = 4};
    struct trace trace = {0};
    int rc = plan_make(&plan, &shape, &st, RANKS, &o, &d);
    if (!rc) rc = trace_fixed(&trace, plan, &job, 0, &d);
    if (!rc) rc = recording_init(&rec, RANKS, 0, UINT64_MAX, &d);
    if (!rc) rc = simulate_recorded(&sim, plan, &cluster, &trace, &rec, &d);
    CHECK(rc == 0, "%s", d.text);
    trace_fini(&trace);
}

/* Whole picoseconds of a time in us with six decimals. */
static uint64_t ps_of(const json_t *event, const char *key) {
    double us = json_number_value(json_object_get(event, key));
    return us < 0 ? UINT64_MAX : (uint64_t)(us * 1e6 + 0.5);
}

static void check_trace(const char *path) {
    uint64_t at[RANKS][N_TRACKS] = {{0}}, works[RANKS] = {0};
    int names[RANKS] = {0}, bad = 0, messages = 0;
    json_error_t error;
    json_t *file = json_load_file(path, 0, &error), *e;
    size_t i;
    CHECK(file, "%s:%d: %s", path, error.line, error.text);
    json_array_foreach(json_object_get(file, "traceEvents"), i, e) {
        const char *ph = json_string_value(json_object_get(e, "ph")),
                   *name = json_string_value(json_object_get(e, "name"));
        int pid = (int)json_integer_value(json_object_get(e, "pid")),
            tid = (int)json_integer_value(json_object_get(e, "tid"));
        json_t *args = json_object_get(e, "args");
        CHECK(ph && name && args && pid >= 0 && pid < RANKS && tid >= 0 && tid < N_TRACKS, "event %zu", i);
        if (*ph == 'M') {
            names[pid] += !strcmp(name, "process_name");
            continue;
        }
        uint64_t from = ps_of(e, "ts"), lasts = ps_of(e, "dur");
        bad += from < at[pid][tid] || lasts == UINT64_MAX || !json_object_get(args, "pass");
        at[pid][tid] = from + lasts;
        if (tid < RECORD_LINK) works[pid] += lasts;
        messages += tid >= RECORD_LINK && json_integer_value(json_object_get(args, "bytes")) > 0;
    }
    CHECK(bad == 0 && messages > 0, "%d events overlap others of their track or have no pass", bad);
    for (int r = 0; r < RANKS; r++)
        CHECK(names[r] == 1 && works[r] == sim.clock[r].now.ps && works[r] > 0,
              "rank %d: %d names, work and waiting are %" PRIu64 " of %" PRIu64 " ps", r, names[r], works[r],
              sim.clock[r].now.ps);
    json_decref(file);
}

static char *show(const struct record_ask *ask) {
    char *text = NULL;
    size_t n;
    struct diag d = {0};
    FILE *out = open_memstream(&text, &n);
    CHECK(record_show(ask, "simulated", &rec, plan, &cluster, out, &d) == 0, "%s", d.text);
    fclose(out);
    return text;
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

static void check_files(void) {
    char trace[64], svg[64];
    struct diag d = {0};
    snprintf(trace, sizeof trace, "record-%ld.json", (long)getpid());
    snprintf(svg, sizeof svg, "record-%ld.svg", (long)getpid());
    uint64_t end = sim.clock[0].now.ps;
    free(show(&(struct record_ask){.trace = trace, .svg = svg, .timeline = 1, .to_ps = end}));
    check_trace(trace);
    FILE *in = fopen(svg, "r");
    static char text[1 << 18];
    CHECK(in && fread(text, 1, sizeof text - 1, in) > 0 && count(text, "card ") == RANKS - 1 &&
              count(text, "</svg>") == 1,
          "%s has no row for each card", svg);
    if (in) fclose(in);
    remove(trace);
    remove(svg);
    CHECK(record_show(&(struct record_ask){.trace = "no/such/folder/t.json"}, "simulated", &rec, plan, &cluster, stdout,
                      &d) == ERR_IO,
          "%s", d.text);
}

/* Of 80 cells, as many wait as the rank waits for that part of the time. */
static void check_timeline(void) {
    const struct recorder *r = &rec.rank[3];
    const struct record_event *wait = &r->event[0];
    for (int i = 0; i < r->n; i++)
        if (r->event[i].track == RECORD_WAITS &&
            r->event[i].end_ps - r->event[i].start_ps > wait->end_ps - wait->start_ps)
            wait = &r->event[i];
    char *text = show(&(struct record_ask){.timeline = 1, .from_ps = wait->start_ps, .to_ps = wait->end_ps});
    const char *row = strstr(text, "card 2, stage 3 |");
    CHECK(row && strspn(row + 17, ".=") == 80, "it waits, but: %s", text);
    free(text);
}

static void check_asks(void) {
    static const char *const good[] = {"", "0:2.5", "a.svg", "0.5:1,b/a.svg"};
    static const char *const bad[] = {"2:1",       "1",          "a.png",   "1:1",  "-1:2",
                                      "0:1,a.png", "0:1x,a.svg", "x,a.svg", "0:nan"};
    struct record_ask ask;
    struct diag d = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(record_ask_parse(&ask, NULL, good[i], &d) == 0 && ask.timeline && !ask.svg == !strstr(good[i], "svg"),
              "'%s': %s", good[i], d.text);
    CHECK(ask.from_ps == PICO_PER_US * 500 && ask.to_ps == PICO_PER_US * 1000 && !strcmp(ask.svg, "b/a.svg"), "%s",
          ask.svg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(record_ask_parse(&ask, NULL, bad[i], &d) == ERR_USAGE, "'%s' is accepted", bad[i]);
}

int main(void) {
    struct diag d = {0};
    record_job();
    check_files();
    check_timeline();
    check_asks();
    rec.left = -1;
    CHECK(recording_end(&rec, plan, &cluster, &d) == ERR_PLAN && strstr(d.text, "fewer tokens"), "%s", d.text);
    recording_fini(&rec);
    simulation_fini(&sim);
    plan_free(plan);
    return check_report("test_record");
}
