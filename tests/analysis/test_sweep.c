/* Specs of sweeps: points, their identity and words, and what is refused, with its line. */
#include "analysis/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "check.h"

#define HEAD "schema: northwall-sweep\nversion: 1\n"
#define BASE HEAD "base:\n  model: gpt2\n  cluster: " NW_SOURCE_DIR "/cluster-configs/l4.yaml\n"

static struct sweep *parse(const char *text, struct diag *d) {
    struct sweep *s = NULL;
    *d = (struct diag){0};
    int rc = sweep_parse(&s, "some/spec.yaml", text, strlen(text), d);
    CHECK(rc == d->code && !rc == (s != NULL), "status %d, said %d", rc, d->code);
    return s;
}

static const struct {
    const char *text, *said;
} bad[] = {
    {"", "spec.yaml:1: empty"},
    {"a: [\n", "spec.yaml:2: not YAML"},
    {"- 1\n", "spec.yaml:1: a sweep: valid are schema"},
    {"schema: northwall-cluster\n", "spec.yaml:1: schema 'northwall-cluster': northwall-sweep is expected"},
    {"schema: northwall-sweep\nversion: 2\n", "spec.yaml:2: version '2': this program reads version 1"},
    {HEAD, "spec.yaml:1: a sweep needs the key 'base'"},
    {HEAD "frob: 1\n", "spec.yaml:3: unknown key 'frob': valid are schema, version"},
    {HEAD "version: 1\n", "spec.yaml:3: key given twice: 'version'"},
    {HEAD "base: 7\n", "spec.yaml:3: base: keys with values"},
    {HEAD "base: {users: 3}\n", "spec.yaml:1: base: the key model is missing"},
    {HEAD "base: {model: gpt2}\n", "spec.yaml:1: base: the key cluster is missing"},
    {HEAD "base:\n  model: gpt2\n  cluster: none.yaml\n", "spec.yaml:5: cluster 'none.yaml': no such file"},
    {HEAD "base:\n  model: none.gguf\n", "spec.yaml:4: model 'none.gguf': no such file"},
    {HEAD "base:\n  engine: guess\n",
     "spec.yaml:4: engine 'guess': valid are estimate, simulate, emulate, paced, run, lab, quality"},
    {HEAD "base: {model: gpt2, engine: lab}\n", "spec.yaml:1: base: the key rate is missing: of which links?"},
    {BASE "  rate: 20\n",
     "spec.yaml:6: rate: rate '20': a rate with its unit (kb/s, Mb/s, Gb/s) from 1000 to 1e+12 b/s"},
    {BASE "  rate: 20 us\n", "spec.yaml:6: rate: rate '20 us': a rate with its unit"},
    {BASE "  rate: 0 Mb/s\n", "spec.yaml:6: rate: "},
    {BASE "  rate: 20 MB/s\n", "spec.yaml:6: rate: "},
    {BASE "  latency: 20 Mb/s\n", "spec.yaml:6: latency: latency '20 Mb/s': a time with its unit"},
    {BASE "  latency: 2 s\n", "spec.yaml:6: latency: "},
    {BASE "  lab-hosts: 0\n", "spec.yaml:6: lab-hosts: "},
    {BASE "axes:\n  rate: [20 Mb/s]\n", "axis 'rate': engine simulate does not take it"},
    {BASE "  rate: 20 Mb/s\naxes:\n  engine: [lab]\n  compute: [2]\n", "axis 'compute': engine lab does not take it"},
    {BASE "axes:\n  engine: [lab]\n  rate: {from: 9 Mb/s, to: 1 Mb/s, n: 2}\n", "rate: a range needs from and to"},
    {BASE "  users: many\n", "spec.yaml:6: users: "},
    {BASE "  users: 0\n", "spec.yaml:6: users: "},
    {BASE "  users: [1]\n", "spec.yaml:6: users '': a value of 1 to 127 characters"},
    {BASE "  usres: 1\n", "spec.yaml:6: unknown key 'usres': valid are engine, model"},
    {BASE "  model: gpt2\n", "spec.yaml:6: key given twice: 'model'"},
    {BASE "  memory-bandwidth: -1\n", "spec.yaml:6: memory-bandwidth: "},
    {BASE "  memory-bandwidth: 2 us\n", "spec.yaml:6: memory-bandwidth: "},
    {BASE "  link-latency: 5\n", "spec.yaml:6: link-latency: "},
    {BASE "axes: [1]\n", "spec.yaml:6: axes: keys with values"},
    {BASE "axes:\n  users: 3\n", "spec.yaml:7: users '3': write [a, b, ...] or {from, to, n}"},
    {BASE "axes:\n  users: []\n", "spec.yaml:7: users: an empty list"},
    {BASE "axes:\n  users: [1,\n    x]\n", "spec.yaml:8: users: "},
    {BASE "axes:\n  model: [gpt2]\n", "spec.yaml:7: key given twice: 'model'"},
    {BASE "axes:\n  kv: {from: 1, to: 2, n: 2}\n", "spec.yaml:7: kv: its values are words"},
    {BASE "axes:\n  users: {from: 1, n: 2}\n", "spec.yaml:7: users: a range needs from and to"},
    {BASE "axes:\n  users: {from: 4, to: 1, n: 2}\n", "spec.yaml:7: users: a range needs from and to"},
    {BASE "axes:\n  users: {from: 1, to: 4, n: 1}\n", "spec.yaml:7: n '1': a whole number from 2"},
    {BASE "axes:\n  users: {from: 1, to: 4, n: 2, scale: cube}\n", "spec.yaml:7: scale 'cube': valid are lin, log"},
    {BASE "axes:\n  users: {from: 1, to: 4, m: 2}\n", "spec.yaml:7: unknown key 'm': valid are from, to, n, scale"},
    {BASE "axes:\n  link-latency: {from: 0 us, to: 4 us, n: 2, scale: log}\n", "spec.yaml:7: link-latency: scale: log"},
    {BASE "axes:\n  users: {from: 1, to: 4}\n", "sobol: an axis is a range without n"},
    {BASE "sobol: 8\n", "sobol: no axis is a range without n"},
    {BASE "sobol: 0\n", "spec.yaml:6: sobol '0': a whole number above 0"},
    {BASE "axes:\n  threads: [1, 2]\n", "axis 'threads': engine simulate does not take it"},
    {BASE "axes:\n  engine: [run]\n  compute: [1, 2]\n", "axis 'compute': engine run does not take it"},
    {BASE "axes:\n  engine: [emulate]\n  round: [1, 2]\n", "axis 'round': engine emulate does not take it"},
    {BASE "axes:\n  engine: [quality]\n  compute: [1, 2]\n", "axis 'compute': engine quality does not take it"},
    {BASE "axes:\n  engine: [quality]\n  strategy: [tp2]\n", "the key text is missing"},
    {BASE "axes:\n  text: [a.txt]\n", "text 'a.txt': no such file"},
    {BASE "axes:\n  users prompt: 7\n", "spec.yaml:7: users prompt: write [[a, b, ...], ...]"},
    {BASE "axes:\n  users prompt: []\n", "spec.yaml:7: users prompt: write [[a, b, ...], ...]"},
    {BASE "axes:\n  users prompt: [[1, 2],\n    [3]]\n",
     "spec.yaml:8: users: a list of as many values as there are keys"},
    {BASE "axes:\n  users prompt: [[1, x]]\n", "spec.yaml:7: prompt: "},
    {BASE "axes:\n  users frob: [[1, 2]]\n", "spec.yaml:7: unknown key 'frob'"},
    {BASE "axes:\n  users users: [[1, 2]]\n", "spec.yaml:7: key given twice: 'users'"},
    {BASE "axes:\n  users: {from: 1, to: 10000, n: 10000}\n  prompt: {from: 1, to: 10000, n: 10000}\n",
     "more than 10000000"},
};

static void check_refused(void) {
    struct diag d;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sweep *s = parse(bad[i].text, &d);
        CHECK(!s && d.code == ERR_FORMAT, "%zu: taken: %s", i, bad[i].text);
        CHECK(strstr(d.text, bad[i].said) != NULL, "%zu: said '%s', expected '%s'", i, d.text, bad[i].said);
        sweep_free(s);
    }
}

static const char *value_of(const struct sweep_point *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, name)) return p->at[i].value;
    return "";
}

static int has_words(const struct sweep_point *p, const char *a, const char *b) {
    for (int i = 0; i + 1 < p->n_words; i++)
        if (!strcmp(p->word[i], a) && !strcmp(p->word[i + 1], b)) return 1;
    return 0;
}

/* Keys of one axis change together. */
static void check_together(void) {
    static const char *const is[6][3] = {{"1", "32", "a8"},  {"1", "32", "a16"}, {"4", "64", "a8"},
                                         {"4", "64", "a16"}, {"9", "64", "a8"},  {"9", "64", "a16"}};
    struct diag d;
    struct sweep_point p;
    struct sweep *s = parse(BASE "axes:\n  users prompt: [[1, 32], [4, 64], [9, 64]]\n  mode: [a8, a16]\n", &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    CHECK(sweep_points(s) == 6, "%ld points", sweep_points(s));
    for (int i = 0; i < 6; i++) {
        sweep_point(&p, s, i);
        CHECK(!strcmp(value_of(&p, "users"), is[i][0]) && !strcmp(value_of(&p, "prompt"), is[i][1]) &&
                  !strcmp(value_of(&p, "mode"), is[i][2]),
              "point %d: %s %s %s", i, value_of(&p, "users"), value_of(&p, "prompt"), value_of(&p, "mode"));
    }
    sweep_free(s);
}

static void check_grid(void) {
    struct diag d;
    struct sweep_point p, first;
    struct sweep *s = parse(
        BASE "  threads: 2\naxes:\n  engine: [estimate, run]\n  users: {from: 1, to: 64, n: 4, scale: log}\n", &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    CHECK(sweep_points(s) == 8, "%ld points", sweep_points(s));
    sweep_point(&p, s, 2);
    first = p;
    CHECK(p.engine == SWEEP_ESTIMATE && !strcmp(value_of(&p, "users"), "16"), "users %s", value_of(&p, "users"));
    CHECK(!strcmp(value_of(&p, "cluster"), "l4") && p.cluster_hash, "cluster %s", value_of(&p, "cluster"));
    CHECK(has_words(&p, "--users", "16") && has_words(&p, "--estimate", "--json"), "its words");
    CHECK(!*value_of(&p, "threads"), "threads of an estimate");
    sweep_point(&p, s, 6);
    CHECK(p.engine == SWEEP_RUN && has_words(&p, "--batch", "16") && has_words(&p, "--threads", "2"), "a run's words");
    CHECK(!*value_of(&p, "cluster") && !p.cluster && p.hash != first.hash, "a run of no cluster");
    sweep_free(s);
    /* the order of keys changes nothing, a value does */
    s = parse(BASE "axes:\n  users: [16, 17]\n  engine: [estimate]\n", &d);
    sweep_point(&p, s, 0);
    CHECK(p.hash == first.hash, "the same point has another hash");
    sweep_point(&p, s, 1);
    CHECK(p.hash != first.hash, "another point has the same hash");
    sweep_free(s);
}

static void check_quality(void) {
    struct diag d;
    struct sweep_point p, first;
    struct sweep *s =
        parse(BASE "  text: " NW_SOURCE_DIR "/README.md\naxes:\n  wire: [int8, int4]\n  engine: [quality]\n"
                   "  windows: [4]\n",
              &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    sweep_point(&first, s, 0);
    sweep_point(&p, s, 1);
    CHECK(p.engine == SWEEP_QUALITY && has_words(&p, "--wire", "int4") && has_words(&p, "--windows", "4"), "words");
    CHECK(!strcmp(p.word[0], "quality") && !strcmp(value_of(&p, "cluster"), ""), "a cluster of what is measured");
    CHECK(p.hash != first.hash, "two wires are one point");
    CHECK(strstr(p.word[3], "/README.md") && !has_words(&p, "--text", p.word[3]), "the text is a word: %s", p.word[3]);
    sweep_free(s);
}

static void check_paced(void) {
    struct diag d;
    struct sweep_point p, first;
    struct sweep *s = parse(BASE "  repeat: 3\naxes:\n  round: [1, 2]\n  engine: [paced]\n  compute: [2]\n", &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    sweep_point(&p, s, 0);
    CHECK(p.engine == SWEEP_PACED && has_words(&p, "--clock", "paced") && has_words(&p, "--set", "compute=2"), "words");
    CHECK(!strcmp(value_of(&p, "repeat"), "3") && !has_words(&p, "--repeat", "3"), "run has no option for repeat");
    first = p;
    sweep_point(&p, s, 1);
    CHECK(p.hash != first.hash, "two rounds are one point");
    sweep_point_as(&first, s, 0, SWEEP_SIMULATE);
    sweep_point_as(&p, s, 1, SWEEP_SIMULATE);
    CHECK(p.hash == first.hash, "a simulation has rounds");
    sweep_free(s);
}

static int has_lab(const struct sweep_point *p, const char *a, const char *b) {
    for (int i = 0; i + 1 < p->n_lab; i += 2)
        if (!strcmp(p->lab[i], a) && !strcmp(p->lab[i + 1], b)) return 1;
    return 0;
}

/* In the lab: words before those of bench, one point however the rate is written, another one with other links. */
static void check_lab(void) {
    struct diag d;
    struct sweep_point p, first;
    struct sweep *s = parse(BASE "  engine: lab\n  latency: 1.5 ms\n  lab-hosts: 2\n  cards: 4\n"
                                 "axes:\n  rate: [20 Mb/s, 0.02Gb/s, 2e4 kb/s, 50 Mb/s]\n  round: [1, 2]\n",
                            &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    sweep_point(&first, s, 0);
    CHECK(first.engine == SWEEP_LAB && !strcmp(first.word[0], "bench") && first.ranks == 4, "its words");
    CHECK(first.n_lab == 6 && has_lab(&first, "--rate", "20Mb/s") && has_lab(&first, "--latency", "1500000ns") &&
              has_lab(&first, "--hosts", "2"),
          "the lab's words");
    CHECK(!has_words(&first, "--rate", "20Mb/s") && !has_words(&first, "--timeout", "60"),
          "bench has words of the lab");
    CHECK(!strcmp(value_of(&first, "rate"), "20000000") && !strcmp(value_of(&first, "latency"), "0.0015"), "values");
    CHECK(first.cluster && !has_words(&first, "--cluster", first.cluster), "its cluster is what is known of the link");
    for (long i = 2; i <= 4; i += 2) {
        sweep_point(&p, s, i);
        CHECK(p.hash == first.hash, "%ld: the same rate, another point", i);
    }
    sweep_point(&p, s, 6);
    CHECK(p.hash != first.hash && has_lab(&p, "--rate", "50Mb/s"), "two rates are one point");
    sweep_point(&p, s, 1);
    CHECK(p.hash != first.hash, "two rounds are one point");
    sweep_point_as(&p, s, 0, SWEEP_SIMULATE);
    CHECK(!p.n_lab && !*value_of(&p, "rate") && p.cluster, "a simulation has links of the lab");
    sweep_free(s);
    s = parse(BASE "  engine: lab\ntimeout: 9\naxes: {rate: {from: 1 Mb/s, to: 100 Mb/s, n: 3, scale: log}}\n", &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    sweep_point(&p, s, 1);
    CHECK(has_lab(&p, "--rate", "10Mb/s"), "in between by logarithms: %s", p.lab[1]);
    CHECK(has_words(&p, "--timeout", "2"), "a rank that waits says so before the point is late");
    sweep_free(s);
}

static void check_parameters(void) {
    struct diag d;
    struct sweep_point p;
    struct sweep *s = parse(
        BASE
        "  capacity.GDDR6: 0.5\naxes:\n  link-latency: [0 us, 1500 ns]\n  memory-bandwidth: {from: 0.5, to: 2, n: 3}\n",
        &d);
    if (!s) CHECK(0, "refused: %s", d.text);
    if (!s) return;
    sweep_point(&p, s, 4);
    CHECK(!strcmp(value_of(&p, "link-latency"), "1.5e-06"), "%s", value_of(&p, "link-latency"));
    CHECK(has_words(&p, "--set", "capacity.GDDR6=0.5") && has_words(&p, "simulate", "--model"), "words");
    int found = 0;
    for (int i = 0; i < p.n_words; i++)
        found += !strcmp(p.word[i], "link-latency=1.5e-06s") + !strcmp(p.word[i], "memory-bandwidth=1.25");
    CHECK(found == 2, "%d of 2 values among the words", found);
    sweep_free(s);
}

/* Any text is a sweep or is refused in one line: bytes changed, cut out and doubled by the seed. */
static void check_mutated(void) {
    static const char whole[] =
        BASE "  users: 4\n  rate: 9 Mb/s\naxes:\n  engine: [estimate, run, lab]\n  prompt: {from: 1, to: 64, n: 4}\n"
             "  chunk: {from: 1, to: 9}\nsobol: 4\ntimeout: 3\n";
    enum { TIMES = 3000 };
    int taken = 0;
    for (uint64_t i = 0; i < TIMES; i++) {
        char text[sizeof whole + 64];
        size_t n = sizeof whole - 1, at = rng_u64(i, 0) % n, len = rng_u64(i, 1) % 40;
        struct sweep *s;
        struct diag d = {0};
        memcpy(text, whole, n);
        if (len > n - at) len = n - at;
        switch (rng_u64(i, 2) % 3) {
        case 0: text[at] = (char)rng_u64(i, 3); break;
        case 1: memmove(text + at, text + at + len, n - at - len), n -= len; break;
        default: memmove(text + at + len, text + at, n - at), n += len; break;
        }
        int rc = sweep_parse(&s, "x.yaml", text, n, &d);
        CHECK(rc == d.code && !strchr(d.text, '\n'), "%d: said %d: %s", rc, d.code, d.text);
        for (long k = 0; !rc && k < sweep_points(s) && k < 20; k++) {
            struct sweep_point p;
            sweep_point(&p, s, k);
            CHECK(p.n_words < SWEEP_WORDS && p.hash, "%d words", p.n_words);
        }
        taken += !rc;
        if (!rc) sweep_free(s);
    }
    CHECK(taken > 0 && taken < TIMES, "%d of %d taken", taken, TIMES);
}

int main(void) {
    check_refused();
    check_grid();
    check_together();
    check_paced();
    check_lab();
    check_quality();
    check_parameters();
    check_mutated();
    return check_report("analysis-sweep");
}
