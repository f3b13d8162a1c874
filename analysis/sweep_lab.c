#include "sweep_lab.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/job.h"

static const char *value_of(const struct sweep_point *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, name)) return p->at[i].value;
    return "";
}

/* As northwall-lab reckons. */
static int hosts_of(const struct sweep_point *p, int ranks) {
    int hosts = atoi(value_of(p, "lab-hosts")), each = atoi(value_of(p, "ranks-per-host"));
    if (!each) each = 1;
    return hosts ? hosts : (ranks + each - 1) / each;
}

/* ---- command lines ---- */

static void add(struct lab_line *l, const char *a, const char *b) {
    l->word[l->n++] = a;
    if (b) l->word[l->n++] = b;
}

/* how: whether it is verified; NULL: as it comes. */
static void make_line(struct lab_line *l, const struct sweep_point *p, int ranks, const char *how, const char *what) {
    l->n = 0;
    snprintf(l->ranks, sizeof l->ranks, "%d", ranks);
    for (int i = 0; i < p->n_lab; i++)
        add(l, p->lab[i], NULL);
    add(l, "-n", l->ranks);
    if (how) add(l, how, what);
    for (int i = 0; i < p->n_words; i++)
        add(l, p->word[i], NULL);
}

void lab_line(struct lab_line *l, const struct sweep_point *p, int ranks) {
    make_line(l, p, ranks, NULL, NULL);
}

/* ---- links ---- */

/* The oldest makes room. */
static struct lab_link *find(struct lab_links *links, const struct sweep_point *p, int hosts) {
    char name[sizeof links->link[0].name];
    snprintf(name, sizeof name, "%.60s %.60s %d", value_of(p, "rate"), value_of(p, "latency"), hosts);
    for (int i = 0; i < links->n && i < LAB_LINKS; i++)
        if (!strcmp(links->link[i].name, name)) return &links->link[i];
    struct lab_link *l = &links->link[links->n++ % LAB_LINKS];
    *l = (struct lab_link){{0}, {0}, {0}};
    snprintf(l->name, sizeof l->name, "%s", name);
    return l;
}

static double off(const json_t *time) {
    return fabs(job_number(time, "time_us_p50") / job_number(time, "expected_us") - 1);
}

/* Of all pairs of hosts: the worst time; *n: of the least often measured. */
static const json_t *worst_time(const json_t *pairs, int *n) {
    const json_t *worst = NULL;
    *n = 0;
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *times = json_object_get(json_array_get(pairs, i), "times");
        for (size_t k = 0; k < json_array_size(times); k++) {
            const json_t *t = json_array_get(times, k);
            int own = (int)job_number(t, "n");
            if (!worst || off(t) > off(worst)) worst = t;
            if (!*n || own < *n) *n = own;
        }
    }
    return worst;
}

static const json_t *slowest(const json_t *pairs) {
    const json_t *found = json_array_get(pairs, 0);
    for (size_t i = 1; i < json_array_size(pairs); i++)
        if (job_number(json_array_get(pairs, i), "payload_MBps") < job_number(found, "payload_MBps"))
            found = json_array_get(pairs, i);
    return found;
}

static int all_ok(const json_t *pairs) {
    int ok = json_array_size(pairs) > 0;
    for (size_t i = 0; i < json_array_size(pairs); i++)
        ok &= json_is_true(json_object_get(json_array_get(pairs, i), "ok"));
    return ok;
}

static void put_verified(struct lab_link *l, const json_t *pairs, int n) {
    const json_t *p = slowest(pairs);
    char payload[96] = "";
    if (!isnan(job_number(p, "payload_MBps")))
        snprintf(payload, sizeof payload, ", payload %.4g [%.4g, %.4g] MB/s", job_number(p, "payload_MBps"),
                 job_number(p, "payload_MBps_low"), job_number(p, "payload_MBps_high"));
    snprintf(l->verified, sizeof l->verified, "links by ping-pong (n >= %d): latency %.5g [%.5g, %.5g] us%.80s", n,
             job_number(p, "latency_us"), job_number(p, "latency_us_low"), job_number(p, "latency_us_high"), payload);
}

static void put_refused(struct lab_link *l, const char *rate, const json_t *t) {
    snprintf(l->refused, sizeof l->refused,
             "%.40s is refused: ping-pong of %.0f B takes %.5g [%.5g, %.5g] us, %.5g expected (northwall-lab check)",
             rate, job_number(t, "bytes"), job_number(t, "time_us_p50"), job_number(t, "time_us_p50_low"),
             job_number(t, "time_us_p50_high"), job_number(t, "expected_us"));
}

/* What --json of northwall-lab left; nothing where it did not come so far. */
static void take_report(struct lab_link *l, FILE *report) {
    rewind(report);
    json_t *o = json_loadf(report, JSON_DISABLE_EOF_CHECK, NULL);
    const json_t *pairs = json_object_get(json_object_get(o, "verification"), "pairs");
    const char *rate = json_string_value(json_object_get(o, "rate"));
    int n;
    const json_t *worst = worst_time(pairs, &n);
    if (worst && all_ok(pairs))
        put_verified(l, pairs, n);
    else if (worst)
        put_refused(l, rate ? rate : "", worst);
    json_decref(o);
}

/* ---- points ---- */

/* Its ping-pong, then the point. The report has no name that a killed process could leave behind. */
static int run_verified(json_t **o, struct lab_link *l, const struct sweep_point *p, int ranks, struct diag *d) {
    struct lab_line line;
    FILE *report = tmpfile();
    if (!report || fcntl(fileno(report), F_SETFD, 0)) {
        if (report) fclose(report);
        return diag_set(d, ERR_IO, "no temporary file");
    }
    snprintf(line.report, sizeof line.report, "/dev/fd/%d", fileno(report));
    make_line(&line, p, ranks, "--json", line.report);
    int rc = job_json(o, JOB_LAB, line.n, line.word, d);
    take_report(l, report);
    fclose(report);
    return rc;
}

int lab_run(json_t **o, const char **verified, struct lab_links *links, const struct sweep_point *p, int ranks,
            struct diag *d) {
    int hosts = hosts_of(p, ranks), rc = 0;
    struct lab_link *l = find(links, p, hosts);
    struct lab_line line;
    struct diag own = {0};
    *o = NULL;
    *verified = l->verified;
    if (l->refused[0]) return diag_set(d, ERR_MISMATCH, "%s", l->refused);
    if (hosts > 1 && !l->verified[0]) {
        rc = run_verified(o, l, p, ranks, &own);
        if (rc && l->refused[0]) return diag_set(d, ERR_MISMATCH, "%s", l->refused);
    } else {
        make_line(&line, p, ranks, "--no-verify", NULL);
        rc = job_json(o, JOB_LAB, line.n, line.word, &own);
    }
    return rc ? diag_set(d, own.code, "%s", own.text) : 0;
}
