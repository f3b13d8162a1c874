/* What changes one thing at a time does: bandwidth, precision, links, residency; micro-batches, users, context. */
#include <stdio.h>

#include "northpole.h"

/* ---- changes of a cluster ---- */

static void faster_memory(struct cluster *c, double x) {
    parameter_find("memory-bandwidth")->set(c, x);
}

static void faster_links(struct cluster *c, double x) {
    parameter_find("link-bandwidth")->set(c, x);
}

static void faster_rates(struct cluster *c, double x) {
    parameter_find("compute")->set(c, x);
}

static void no_limit(struct cluster *c, double x) {
    (void)x;
    c->card.level[0].bytes = 0;
}

/* What does not fit on the card lies in the host's memory, behind the card's own link. */
static void host_behind(struct cluster *c, double x) {
    (void)x;
    struct card_level *l = &c->card.level[c->card.n_levels++];
    *l = (struct card_level){.name = "host memory", .G = c->net.tier[0].link.G, .latency_ps = c->net.tier[0].link.L_ps};
}

/* The same with so little memory on the card, x bytes, that caches lie there and no layer. */
static void not_resident(struct cluster *c, double x) {
    host_behind(c, 0);
    c->card.level[0].bytes = (uint64_t)x;
}

/* ---- tables ---- */

static struct study_case in_8_bits(void) {
    struct study_case c = northpole_case(NULL);
    c.quant = "I8";
    c.mode = "w8a8";
    c.kv = "int8";
    return c;
}

struct northpole_ask northpole_change(enum northpole_change what) {
    const double mib = 1048576;
    struct study_case base = northpole_case(NULL);
    const struct northpole_ask all[NORTHPOLE_CHANGES] = {
        [NORTHPOLE_MEMORY_X2] = {base, faster_memory, 2, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_MEMORY_HALF] = {base, faster_memory, 0.5, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_RATES_X2] = {base, faster_rates, 2, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_RATES_HALF] = {base, faster_rates, 0.5, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_8_BITS] = {in_8_bits(), no_limit, 0, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_LINKS_X2] = {base, faster_links, 2, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_LINKS_HALF] = {base, faster_links, 0.5, NORTHPOLE_LATENCY, 1},
        [NORTHPOLE_NOT_RESIDENT] = {base, not_resident, 103 * mib, NORTHPOLE_LATENCY, 1},
    };
    return all[what];
}

static int judge(struct northpole *n) {
    static const char *const text[NORTHPOLE_CHANGES] = {
        [NORTHPOLE_MEMORY_X2] = "memory twice as fast",
        [NORTHPOLE_MEMORY_HALF] = "memory half as fast",
        [NORTHPOLE_RATES_X2] = "arithmetic twice as fast",
        [NORTHPOLE_RATES_HALF] = "arithmetic half as fast",
        [NORTHPOLE_8_BITS] = "8-bit weights, cache and activations",
        [NORTHPOLE_LINKS_X2] = "links twice as fast (Gen4)",
        [NORTHPOLE_LINKS_HALF] = "links half as fast (Gen2)",
        [NORTHPOLE_NOT_RESIDENT] = "weights not resident",
    };
    struct frame *t =
        report_table(n->page, "judge",
                     "Bandwidth first, precision second? Latency when one thing changes, over that of the paper's run",
                     "8-bit rows have a card without a limit of memory, as they would not fit. Not resident: a layer's "
                     "104 MiB come\n"
                     "from the host's memory over the card's own link in each pass.");
    int rc = 0;
    frame_column(t, "change", "", 0);
    northpole_columns(n, t, "x");
    for (int i = 0; i < NORTHPOLE_CHANGES && !rc; i++) {
        struct northpole_ask ask = northpole_change((enum northpole_change)i);
        frame_text(t, "%s", text[i]);
        rc = northpole_row(n, t, &ask);
        frame_end_row(t);
    }
    return rc;
}

struct northpole_ask northpole_micro_batches(int micro) {
    struct northpole_ask ask = {.on = northpole_case(NULL), .what = NORTHPOLE_THROUGHPUT};
    ask.on.micro = micro;
    ask.on.users = 2 * micro;
    ask.on.prompt = ask.on.generate = 64;
    return ask;
}

/* The paper: as many micro-batches as stages are enough for inference. */
static int sweep_micro(struct northpole *n) {
    static const int micro[] = {4, 7, 10, 14, 15, 16, 20, 30, 45, 60};
    struct frame *t = report_table(n->page, "micro_batches", "Micro-batches over the 15 stages: throughput",
                                   "Two users in each; prompt and generation of 64, so that 120 users fit.");
    int rc = 0;
    frame_column(t, "micro-batches", "", 3);
    frame_column(t, "over stages", "", 2);
    northpole_columns(n, t, "tok/s");
    for (size_t i = 0; i < sizeof micro / sizeof *micro && !rc; i += (size_t)n->step) {
        struct northpole_ask ask = northpole_micro_batches(micro[i]);
        frame_number(t, micro[i]);
        frame_number(t, micro[i] / (double)NORTHPOLE_STAGES);
        rc = northpole_row(n, t, &ask);
        frame_end_row(t);
    }
    return rc;
}

static int fits(const struct northpole *n, int users) {
    struct study_case c = northpole_case(&n->described);
    struct virtual_summary s;
    c.users = users;
    c.micro = (users + 1) / 2;
    c.generate = 1;
    c.prompt = 2047;
    return case_simulate(&s, &c, n->app, NULL) == 0;
}

/* The most users whose caches of 2048 positions fit beside a layer: at least 28, as the report got here. */
static int most_users(const struct northpole *n) {
    int most = NORTHPOLE_USERS;
    while (most < 1024 && fits(n, most + 1))
        most++;
    return most;
}

static int sweep_users(struct northpole *n) {
    int most = most_users(n), users[] = {1, 2, 4, 7, 14, 21, 28, most}, rc = 0;
    char note[256];
    snprintf(note, sizeof note,
             "Context 2048, micro-batches of two users. %d users are the most whose caches, work space and layer fit a "
             "card (192 MiB).",
             most);
    struct frame *t = report_table(n->page, "users", "Users: latency", note);
    frame_column(t, "users", "", 4);
    frame_column(t, "micro-batches", "", 4);
    northpole_columns(n, t, "ms/token");
    for (size_t i = 0; i < sizeof users / sizeof *users && !rc; i += (size_t)n->step) {
        struct northpole_ask ask = {.on = northpole_case(NULL), .what = NORTHPOLE_LATENCY};
        if (i && users[i] == users[i - 1]) continue;
        ask.on.users = users[i];
        ask.on.micro = (users[i] + 1) / 2;
        frame_number(t, users[i]);
        frame_number(t, ask.on.micro);
        rc = northpole_row(n, t, &ask);
        frame_end_row(t);
    }
    return rc;
}

struct step {
    const char *text;
    double x;
};

static int sweep_change(struct northpole *n, struct frame *t, void (*change)(struct cluster *, double),
                        const struct step *step, int n_steps) {
    int rc = 0;
    frame_column(t, "change", "", 0);
    frame_column(t, "factor", "", 4);
    northpole_columns(n, t, "ms/token");
    for (int i = 0; i < n_steps && !rc; i += n->step) {
        struct northpole_ask ask = {northpole_case(NULL), change, step[i].x, NORTHPOLE_LATENCY, 0};
        frame_text(t, "%s", step[i].text);
        frame_number(t, step[i].x);
        rc = northpole_row(n, t, &ask);
        frame_end_row(t);
    }
    return rc;
}

static int sweep_rates(struct northpole *n) {
    static const struct step memory[] = {{"0.8 TB/s", 0.0625}, {"1.6 TB/s", 0.125}, {"3.3 TB/s", 0.25},
                                         {"6.5 TB/s", 0.5},    {"13 TB/s", 1},      {"26 TB/s", 2},
                                         {"52 TB/s", 4}};
    static const struct step links[] = {{"Gen1 x8", 0.254}, {"Gen2 x8", 0.508}, {"Gen3 x8", 1},
                                        {"Gen4 x8", 2},     {"Gen5 x8", 4},     {"Gen6 x8", 7.68}};
    struct frame *t = report_table(n->page, "memory_sweep", "Bandwidth of the cards' memory: latency", "");
    int rc = sweep_change(n, t, faster_memory, memory, sizeof memory / sizeof *memory);
    t = rc ? NULL
           : report_table(
                 n->page, "pcie_sweep", "Generation of PCIe: latency",
                 "Bandwidth alone, latencies as they are. Gen1 and Gen2 code 8 bits in 10, Gen6 256 B in flits.");
    return rc ? rc : sweep_change(n, t, faster_links, links, sizeof links / sizeof *links);
}

static int sweep_cliff(struct northpole *n) {
    static const int context[] = {512, 1024, 2048, 2560, 3072, 4096, 8192};
    struct frame *t =
        report_table(n->page, "cliff", "The cliff beside the chip: latency as the context grows, 28 users",
                     "Half prompt, half generated. What no longer fits is read from the host's memory "
                     "over the card's link in each pass.");
    int rc = 0, resident = 0;
    frame_column(t, "context", "", 4);
    frame_column(t, "layer and caches", "", 0);
    northpole_columns(n, t, "ms/token");
    for (size_t i = 0; i < (n->step > 1 ? 5 : sizeof context / sizeof *context) && !rc; i += (size_t)n->step) {
        struct northpole_ask ask = {.on = northpole_case(NULL), .what = NORTHPOLE_LATENCY};
        struct study_case alone = northpole_case(&n->described);
        struct virtual_summary s;
        ask.on.prompt = ask.on.generate = alone.prompt = alone.generate = context[i] / 2;
        resident = case_simulate(&s, &alone, n->app, NULL) == 0;
        if (!resident) ask.change = host_behind;
        frame_number(t, context[i]);
        frame_text(t, resident ? "on the card" : "not all");
        rc = northpole_row(n, t, &ask);
        frame_end_row(t);
    }
    return rc;
}

int northpole_sweep(struct northpole *n) {
    int rc = judge(n);
    if (!rc) rc = sweep_micro(n);
    if (!rc) rc = sweep_users(n);
    if (!rc) rc = sweep_rates(n);
    return rc ? rc : sweep_cliff(n);
}
