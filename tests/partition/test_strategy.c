/* Spellings, errors that name the place, the default and the kinds for every number of ranks. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "random_shape.h"

static void test_spellings(void) {
    static const struct {
        const char *text, *canonical;
        int ranks, tp, pp, dp;
    } good[] = {
        {"1", "1", 1, 1, 1, 1},
        {"tp1", "1", 1, 1, 1, 1},
        {"dp1xtp1xpp1", "1", 1, 1, 1, 1},
        {"tp2", "tp2", 2, 2, 1, 1},
        {"pp4", "pp4", 4, 1, 4, 1},
        {"tp2xpp3", "tp2xpp3", 6, 2, 3, 1},
        {"pp3xtp2", "tp2xpp3", 6, 2, 3, 1},
        {"pp2xdp3xtp5", "dp3xtp5xpp2", 30, 5, 2, 3},
        {"dp1xtp3xpp1", "tp3", 3, 3, 1, 1},
        {"tp007", "tp7", 7, 7, 1, 1},
        {"dp64xpp1024", "dp64xpp1024", 65536, 1, 1024, 64},
        {"stages:2*3", "tp2xpp3", 6, 2, 3, 1},
        {"stages:4", "tp4", 4, 4, 1, 1},
        {"stages:1,1xdp2", "dp2xpp2", 4, 1, 2, 2},
        {"stages:1*14,2", "stages:1*14,2", 16, 2, 15, 1},
        {"stages:1*14/1,2/0", "stages:1*14/1,2/0", 16, 2, 15, 1},
        {"stages:1/1,1*12/1,1/1,2/0", "stages:1*14/1,2/0", 16, 2, 15, 1},
        {"stages:1*14/1,2/0xdp3", "stages:1*14/1,2/0xdp3", 48, 2, 15, 3},
        {"stages:host,1*14/1,2/0", "stages:host,1*14/1,2/0", 17, 2, 16, 1},
        {"stages:3,2,2/5,2/5", "stages:3,2,2*2/5", 9, 3, 4, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct strategy st, again;
        struct diag d = {0};
        CHECK(strategy_parse(&st, good[i].text, &d) == 0, "%s: %s", good[i].text, d.text);
        CHECK(!strcmp(st.text, good[i].canonical), "%s gives %s", good[i].text, st.text);
        CHECK(strategy_ranks(&st) == good[i].ranks, "%s: %d ranks", good[i].text, strategy_ranks(&st));
        CHECK(st.tp == good[i].tp && st.pp == good[i].pp && st.dp == good[i].dp && st.n_stages == st.pp,
              "%s: tp %d pp %d dp %d", good[i].text, st.tp, st.pp, st.dp);
        CHECK(!strategy_parse(&again, st.text, NULL) && !memcmp(&again, &st, sizeof st), "%s does not read back",
              st.text);
    }
}

static void test_bad_spellings(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "at ''"},
        {"2", "at '2'"},
        {"tp", "at ''"},
        {"tp0", "at '0'"},
        {"tp-1", "at '-1'"},
        {"tp+2", "at '+2'"},
        {"tp 2", "at ' 2'"},
        {"tp2x", "at ''"},
        {"xtp2", "at 'xtp2'"},
        {"tp2xtp2", "at 'tp2'"},
        {"tp2pp2", "at 'pp2'"},
        {"tp2xq3", "at 'q3'"},
        {"1xdp2", "at '1xdp2'"},
        {"tp99999999999999999999", "from 1 to 65536"},
        {"pp1025", "from 1 to 1024"},
        {"tp1024xpp1024", "1048576 ranks"},
        {"TP2", "at 'TP2'"},
        {"stages:", "at ''"},
        {"stages:1,", "at ''"},
        {"stages:1*0", "at '0'"},
        {"stages:0", "at '0'"},
        {"stages:1*2000", "from 1 to 1024"},
        {"stages:1*1024,1", "more than 1024 stages"},
        {"stages:1/300", "from 0 to 256"},
        {"stages:1/-1", "at '-1'"},
        {"stages:1/2/3", "at '/3'"},
        {"stages:1xtp2", "at 'xtp2'"},
        {"stages:1xdp0", "at '0'"},
        {"stages:1,host", "only the first"},
        {"stages:host", "needs stages behind"},
        {"stages:65536,1", "65537 ranks"},
        {"stages:1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,"
         "2,1,2,"
         "1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,"
         "1,2,1,2,1,2,"
         "1,2,1,2,1,2,1,2,1,2,1,2",
         "too long"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct strategy st;
        struct diag d = {0};
        CHECK(strategy_parse(&st, bad[i].text, &d) == ERR_USAGE, "'%s' gives '%s'", bad[i].text, st.text);
        CHECK(strstr(d.text, bad[i].says) && !strncmp(d.text, "strategy", 8), "'%s': %s", bad[i].text, d.text);
    }
}

/* Random strings over the alphabet of spellings: refused, or read and consistent. */
static void test_noise(void) {
    static const char alphabet[] = "tpd0123459x:,*/stageshost ";
    struct dice d = {77, 0};
    int accepted = 0;
    for (int i = 0; i < 20000; i++) {
        static const char *const starts[] = {"", "tp2", "stages:1", "stages:host,", "dp2x"};
        char text[40];
        size_t n = (size_t)snprintf(text, sizeof text, "%s", starts[roll(&d, 5)]), end = n + (size_t)roll(&d, 8);
        while (n < end)
            text[n++] = alphabet[roll(&d, (int)sizeof alphabet - 1)];
        text[n] = 0;
        struct strategy st, again;
        struct diag diag = {0};
        int rc = strategy_parse(&st, text, &diag);
        CHECK(rc == 0 || (rc == ERR_USAGE && diag.text[0]), "'%s': %d", text, rc);
        if (rc) continue;
        accepted++;
        CHECK(strategy_ranks(&st) >= 1 && strategy_ranks(&st) <= PLAN_MAX_RANKS && st.n_stages >= 1, "'%s'", text);
        CHECK(!strategy_parse(&again, st.text, NULL) && !memcmp(&again, &st, sizeof st), "'%s' -> '%s'", text, st.text);
    }
    CHECK(accepted > 1000, "%d accepted", accepted);
}

/* The rule of plan.h, searched plainly. */
static void check_default(const struct model_shape *s, int n) {
    struct strategy st;
    struct diag d = {0};
    char why[256];
    int tp = 1, pp = 1;
    CHECK(strategy_default(&st, s, n, why, sizeof why, &d) == 0, "%s, %d ranks: %s", s->name, n, d.text);
    for (int k = 1; k <= n && k <= s->n_kv_heads; k++)
        if (n % k == 0) tp = k;
    for (int k = 1; k <= n / tp && k <= s->n_layers; k++)
        if (n / tp % k == 0) pp = k;
    CHECK(st.tp == tp && st.pp == pp && st.dp == n / tp / pp, "%s, %d ranks: %s", s->name, n, st.text);
    CHECK(strategy_ranks(&st) == n && strlen(why) > 20, "%s, %d ranks: %s", s->name, n, why);
}

static void check_kinds(const struct model_shape *s, int n, int fits[]) {
    for (int k = 0; strategy_kinds[k]; k++) {
        struct strategy st;
        struct diag d = {0};
        int rc = strategy_choose(&st, strategy_kinds[k]->name, s, n, NULL, 0, &d);
        CHECK(rc == 0 || (rc == ERR_PLAN && strstr(d.text, strategy_kinds[k]->name)), "%s, %d: %s",
              strategy_kinds[k]->name, n, d.text);
        if (rc) continue;
        fits[k]++;
        CHECK(strategy_ranks(&st) == n, "%s over %d: %s", strategy_kinds[k]->name, n, st.text);
        if (n > 1) CHECK(strategy_kinds[k]->matches(&st), "%s over %d: %s", strategy_kinds[k]->name, n, st.text);
        int shapes = 0; /* kinds of one replica: exactly one matches, and kvp or northpole beside it */
        for (int j = 0; strategy_kinds[j]; j++)
            shapes += strcmp(strategy_kinds[j]->name, "dp") && strcmp(strategy_kinds[j]->name, "kvp") &&
                      strcmp(strategy_kinds[j]->name, "northpole") && strategy_kinds[j]->matches(&st);
        CHECK(shapes == 1, "%s is of %d kinds", st.text, shapes);
    }
}

static void test_choices(void) {
    static const char *const names[] = {"tinyllama-1.1b", "granite-3b-northpole", "llama3-70b", "gpt2"};
    int fits[16] = {0};
    for (int m = 0; m < 4; m++) {
        struct model_shape s;
        CHECK(preset_shape(&s, names[m], NULL, 0, NULL) == 0, "%s", names[m]);
        for (int n = 1; n <= 64; n++) {
            check_default(&s, n);
            check_kinds(&s, n, fits);
        }
    }
    for (int k = 0; strategy_kinds[k]; k++)
        CHECK(fits[k] >= 4, "%s fits %d times", strategy_kinds[k]->name, fits[k]);
    CHECK(fits[0] == 4, "single fits %d times", fits[0]);
}

static void test_choose(void) {
    struct model_shape s;
    struct strategy st;
    struct diag d = {0};
    char why[256];
    preset_shape(&s, "granite-3b-northpole", NULL, 0, NULL);
    CHECK(!strategy_choose(&st, NULL, &s, 16, why, sizeof why, &d) && !strcmp(st.text, "tp8xpp2"), "%s", st.text);
    CHECK(!strategy_choose(&st, "auto", &s, 12, why, sizeof why, &d) && !strcmp(st.text, "tp6xpp2"), "%s", st.text);
    CHECK(!strategy_choose(&st, "stages", &s, 16, why, sizeof why, &d) && !strcmp(st.text, "stages:1*14/1,2/0"), "%s",
          st.text);
    CHECK(!strategy_choose(&st, "northpole", &s, 17, why, sizeof why, &d) && !strcmp(st.text, "stages:host,1*14/1,2/0"),
          "%s", st.text);
    CHECK(!strategy_choose(&st, "northpole", &s, 31, why, sizeof why, &d) && !strcmp(st.text, "stages:host,2*14/1,2/0"),
          "%s", st.text);
    CHECK(strategy_choose(&st, "northpole", &s, 15, why, sizeof why, NULL) == ERR_PLAN, "%s", st.text);
    CHECK(!strategy_choose(&st, "hybrid", &s, 4, why, sizeof why, &d) && !strcmp(st.text, "tp2xpp2"), "%s", st.text);
    CHECK(!strategy_choose(&st, "tp3", &s, 16, why, sizeof why, &d) && !strcmp(st.text, "tp3"), "%s", st.text);
    CHECK(strategy_choose(&st, "pp", &s, 15, why, sizeof why, &d) == ERR_PLAN && strstr(d.text, "14 layers"), "%s",
          d.text);
    d = (struct diag){0};
    CHECK(strategy_choose(&st, NULL, &s, 0, why, sizeof why, &d) == ERR_PLAN, "%s", d.text);
    CHECK(strategy_choose(&st, "tp", &s, PLAN_MAX_RANKS + 1, why, sizeof why, NULL) == ERR_PLAN, "%s", st.text);
    CHECK(!strategy_kind_find("nonsense") && strategy_kind_find("hybrid"), "lookup");
}

int main(void) {
    test_spellings();
    test_bad_spellings();
    test_noise();
    test_choices();
    test_choose();
    return check_report("partition-strategy");
}
