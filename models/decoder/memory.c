/* memory.c - the blocks that a shard lives in: on huge pages that an administrator set aside (vm.nr_hugepages), or that
 * the system makes when asked, or on plain pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "priv.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older ones refuse it, and nothing is lost */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum { HUGE_PAGE = 2 << 20, HUGE_PAGE_LOG2 = 21 };

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* Pages set aside. The mapping reserves as many as it needs, or fails here and not when they are touched. */
static void *map_set_aside(size_t bytes, size_t *mapped) {
#if defined(MAP_HUGETLB) && defined(MAP_HUGE_SHIFT)
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | HUGE_PAGE_LOG2 << MAP_HUGE_SHIFT;
    *mapped = round_up(bytes, HUGE_PAGE);
    return mmap(NULL, *mapped, PROT_READ | PROT_WRITE, flags, -1, 0);
#else
    (void)bytes, (void)mapped;
    return MAP_FAILED;
#endif
}

/* Begins at a huge page; what lies before and behind is given back. */
static void *map_aligned(size_t bytes, size_t *mapped) {
    *mapped = round_up(bytes, 4096);
    size_t all = *mapped + HUGE_PAGE;
    uint8_t *at = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return at;
    size_t before = round_up((uintptr_t)at, HUGE_PAGE) - (uintptr_t)at, behind = all - before - *mapped;
    if (before) munmap(at, before);
    if (behind) munmap(at + before + *mapped, behind);
    (void)madvise(at + before, *mapped, MADV_HUGEPAGE);
    return at + before;
}

int memory_reserve(struct memory *m, size_t bytes, int set_aside, const char *what, struct diag *d) {
    char text[32];
    *m = (struct memory){0};
    void *at = MAP_FAILED;
    if (bytes >= 2 * (size_t)HUGE_PAGE) {
        if (set_aside) at = map_set_aside(bytes, &m->mapped);
        if (at == MAP_FAILED && (at = map_aligned(bytes, &m->mapped)) != MAP_FAILED) m->watched = 1;
    } else if (posix_memalign(&at, 64, bytes ? bytes : 64)) { /* an empty block still has an address */
        at = MAP_FAILED;
    } else {
        memset(at, 0, bytes); /* as mappings are: gaps in the weights are written to the cache too */
    }
    if (at != MAP_FAILED) {
        m->at = at;
        return 0;
    }
    return diag_set(d, ERR_MEMORY, "no memory for %s of this shard: %s; use more ranks, a smaller model or context",
                    what, text_bytes(text, sizeof text, (double)bytes));
}

/* ---- touching ---- */

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Asks for one huge page; counts those that come slowly. A virtual machine whose host took its free memory back gets
 * huge pages several times more slowly than small ones: after a few of them the rest is asked for in small pages, and
 * memory_settle joins them once there is time. */
static void touch_huge(struct memory *m, uint8_t *at) {
    enum { SLOW_PAGES = 4 };
    const double slow = 2.5e-3; /* small pages of the same size take about 1e-3 */
    double t = cpu_seconds();
    if (madvise(at, HUGE_PAGE, MADV_POPULATE_WRITE)) return;
    int is_slow = cpu_seconds() - t > slow && !atomic_load(&m->small);
    if (!is_slow || atomic_fetch_add(&m->slow, 1) + 1 != SLOW_PAGES) return;
    atomic_store(&m->small, 1);
    (void)madvise(m->at, m->mapped, MADV_NOHUGEPAGE); /* those that are huge stay so */
}

void memory_touch(struct memory *m, const void *at, size_t bytes) {
    uintptr_t begin = round_up((uintptr_t)at, HUGE_PAGE), last = (uintptr_t)m->at + m->mapped;
    if (!m->watched) return;
    for (; begin < (uintptr_t)at + bytes && begin + HUGE_PAGE <= last; begin += HUGE_PAGE)
        touch_huge(m, (uint8_t *)m->at + (begin - (uintptr_t)m->at));
}

void memory_settle(struct memory *m, const volatile int *stop) {
    if (!atomic_load(&m->small)) return;
    (void)madvise(m->at, m->mapped, MADV_HUGEPAGE);
    for (size_t at = 0; at + HUGE_PAGE <= m->mapped && !(stop && *stop); at += HUGE_PAGE)
        (void)madvise((uint8_t *)m->at + at, HUGE_PAGE, MADV_COLLAPSE);
    if (!(stop && *stop)) atomic_store(&m->small, 0);
}

void memory_release(struct memory *m) {
    if (m->mapped)
        munmap(m->at, m->mapped);
    else
        free(m->at);
    *m = (struct memory){0};
}

/* /proc/self/smaps: a line of addresses for each mapping, and below it what it holds. */
size_t memory_huge_bytes(const struct memory *m) {
    unsigned long begin = 0, end = 0, kib;
    uintptr_t first = (uintptr_t)m->at, last = first + m->mapped;
    size_t sum = 0;
    char line[512];
    FILE *f = m->mapped ? fopen("/proc/self/smaps", "r") : NULL;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2 || end <= first || begin >= last) continue;
        if (sscanf(line, "AnonHugePages: %lu kB", &kib) == 1 || sscanf(line, "Private_Hugetlb: %lu kB", &kib) == 1)
            sum += (size_t)kib * 1024;
    }
    if (f) fclose(f);
    return sum < m->mapped ? sum : m->mapped; /* a mapping may have grown together with its neighbour */
}
