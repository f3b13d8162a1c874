/* --map on ranks that are threads, whose nodes are as a launcher would have dealt them: they are numbered anew by the
 * plan, one of a node lies with its group, messages name the launcher's number. */
#include "placement.h"

#include <pthread.h>
#include <string.h>

#include "check.h"
#include "collectives/agree.h"

volatile int app_stop; /* main.c's */

enum { MAX_RANKS = 8 };

static struct link_ops threads_ops, dealt_ops;
static int nodes;

/* Shared memory reaches every nodes-th rank alone, as after mpirun --map-by node. */
static struct link_shared *dealt_share(struct link *l, size_t bytes, struct diag *d) {
    struct link_shared *s = threads_ops.share(l, bytes, d);
    for (int r = 0; s && r < l->size; r++)
        if (r % nodes != l->rank % nodes) s->base[r] = NULL;
    return s;
}

struct rank_run {
    struct link *link;
    char *words[8];
    int n_words, code;
    int rank, node, leader;
    char name[40];
};

static void *run_rank(void *arg) {
    struct rank_run *r = arg;
    int id = 1, *ids = &id, len = 1;
    struct prompts p = {.n = 1, .ids = &ids, .len = &len};
    struct model m = {0};
    struct app app = {.world = r->link, .rank = r->link->rank, .size = r->link->size, .node = r->link->rank % nodes};
    struct diag d = {0};
    extern const struct cmd cmd_run;
    r->link->ops = &dealt_ops;
    int rc = opts_parse(&app.spec, &cmd_run, r->n_words, r->words, &d);
    if (!rc) rc = preset_shape(&m.shape, "tinyllama-1.1b", NULL, 0, &d);
    if (!rc) rc = placement_choose(&app, &m, &p, &d);
    r->code = rc;
    r->rank = app.world->rank;
    r->node = app.node;
    r->leader = app.node_leader;
    CHECK(app.rank == app.world->rank && app.size == app.world->size, "app's rank");
    link_rank_text(app.world, app.rank, r->name);
    agree_barrier(app.world);
    link_free(app.world);
    placement_free(app.placement);
    return NULL;
}

static void start(int size, struct rank_run *run, int n, char **words) {
    struct link *links[MAX_RANKS];
    pthread_t thread[MAX_RANKS];
    CHECK(link_threads_new(size, links) == 0, "%d links", size);
    threads_ops = dealt_ops = *links[0]->ops;
    dealt_ops.share = dealt_share;
    for (int r = 0; r < size; r++) {
        run[r] = (struct rank_run){.link = links[r], .n_words = n};
        memcpy(run[r].words, words, (size_t)n * sizeof *words);
        pthread_create(&thread[r], NULL, run_rank, &run[r]);
    }
    for (int r = 0; r < size; r++)
        pthread_join(thread[r], NULL);
}

static void test_plan(void) {
    static const int rank[4] = {0, 2, 1, 3};
    static const char *const name[4] = {"0", "2 (mpirun's 1)", "1 (mpirun's 2)", "3"};
    char *words[] = {"--tp", "2", "--pp", "2", "--map", "plan"};
    struct rank_run r[MAX_RANKS];
    nodes = 2;
    start(4, r, 6, words);
    for (int i = 0; i < 4; i++) {
        CHECK(r[i].code == 0 && r[i].rank == rank[i], "process %d: code %d, rank %d", i, r[i].code, r[i].rank);
        CHECK(!strcmp(r[i].name, name[i]), "process %d is called %s", i, r[i].name);
        CHECK(r[i].node == (rank[i] < 2 ? 0 : 2) && r[i].leader == (rank[i] % 2 == 0), "process %d: node %d", i,
              r[i].node);
    }
}

/* As launched; and where the plan takes another number of ranks, which whoever opens it says. */
static void test_launched(void) {
    char *launched[] = {"--tp", "2", "--pp", "2", "--map", "launched"}, *few[] = {"--tp", "2", "--map", "plan"};
    struct rank_run r[MAX_RANKS];
    nodes = 2;
    start(4, r, 6, launched);
    for (int i = 0; i < 4; i++)
        CHECK(r[i].code == 0 && r[i].rank == i && r[i].node == i % 2, "process %d: %d, rank %d", i, r[i].code,
              r[i].rank);
    start(4, r, 4, few);
    for (int i = 0; i < 4; i++)
        CHECK(r[i].code == 0 && r[i].rank == i, "process %d: %d, rank %d", i, r[i].code, r[i].rank);
}

static void test_bad(void) {
    char *words[] = {"--tp", "2", "--map", "x"}, *mpi[] = {"--tp", "2", "--map", "plan", "--allreduce", "mpi"};
    struct rank_run r[MAX_RANKS];
    nodes = 1;
    start(2, r, 4, words);
    CHECK(r[0].code == ERR_USAGE && r[1].code == ERR_USAGE, "--map x: %d, %d", r[0].code, r[1].code);
    start(2, r, 6, mpi);
    CHECK(r[0].code == ERR_UNSUPPORTED && r[1].code == ERR_UNSUPPORTED, "mpi: %d, %d", r[0].code, r[1].code);
}

int main(void) {
    test_plan();
    test_launched();
    test_bad();
    return check_report("placement");
}
