/* sweep.h - what a sweep asks for: a YAML file of a base job and axes, as points to estimate, simulate, emulate or
 * measure, here or between hosts of the lab.
 *
 *   schema: northwall-sweep
 *   version: 1
 *   base:                                     one value each
 *     engine: simulate                        or estimate; emulate, paced, run: northwall run, bench by mpirun; lab:
 *                                             bench by northwall-lab;
 *                                             quality: northwall quality, ranks are threads
 *     model: tinyllama-1.1b
 *     cluster: ../../cluster-configs/l4-4.yaml    from the folder of this file
 *     users: 4
 *   axes:                                     all combinations, the last axis fastest
 *     strategy: [1, tp2, pp4]
 *     memory-bandwidth: {from: 0.25, to: 4, n: 5, scale: log}
 *     link-latency: {from: 0 us, to: 10 us}   without n: drawn, together with the other such ones
 *     users prompt: [[1, 896], [32, 1920]]    keys that change together
 *   sobol: 64                                 so many draws (a Sobol sequence)
 *   timeout: 60                               seconds that a point may take (default: 600)
 *
 * docs/SWEEPS.md has all keys. Errors name file and line. What an engine does not take is ignored in base and refused
 * among the axes. All functions are local. */
#ifndef ANALYSIS_SWEEP_H
#define ANALYSIS_SWEEP_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum {
    SWEEP_VERSION = 1,
    SWEEP_AXES = 40,
    SWEEP_TEXT = 128,
    SWEEP_WORDS = 100,
    SWEEP_LAB_KEYS = 4,
    SWEEP_MOST_POINTS = 10000000
};

enum sweep_engine { SWEEP_ESTIMATE, SWEEP_SIMULATE, SWEEP_RUN, SWEEP_EMULATE, SWEEP_PACED, SWEEP_LAB, SWEEP_QUALITY };

struct sweep;
/* ERR_IO, ERR_FORMAT ("FILE:LINE: ..."), ERR_MEMORY. The caller frees *out. */
int sweep_read(struct sweep **out, const char *path, struct diag *d);
/* The same from memory; files that it names are looked for from path's folder. */
int sweep_parse(struct sweep **out, const char *path, const char *text, size_t len, struct diag *d);
void sweep_free(struct sweep *s); /* NULL accepted */

long sweep_points(const struct sweep *s);
int sweep_timeout_s(const struct sweep *s);

/* A point: its number of each axis that its engine takes. */
struct sweep_point {
    enum sweep_engine engine;
    uint64_t hash; /* of all below, with the contents of cluster and model files in place of their names, and the
                    * program's version */
    uint64_t cluster_hash; /* of the file; 0: it takes none */
    int n;
    struct {
        const char *name;
        char value[SWEEP_TEXT]; /* times in seconds; cluster: the file's name without folder and suffix */
    } at[SWEEP_AXES];
    int n_words; /* of the command line, behind `northwall` (estimate, simulate, quality) or its path under mpirun -n
                    ranks */
    const char *word[SWEEP_WORDS];
    int n_lab; /* of northwall-lab, before -n ranks and those of the command */
    const char *lab[2 * SWEEP_LAB_KEYS];
    int ranks; /* under mpirun, or of the lab; 0: as many as the strategy takes */
    const char *cluster; /* path of its file, or NULL */
    char text[SWEEP_AXES * (SWEEP_TEXT + 32)]; /* of the words */
};
/* The i-th; out's pointers are good as long as it and the sweep are. */
void sweep_point(struct sweep_point *out, const struct sweep *s, long i);
/* The same job for another engine: what it does not take is left out. */
void sweep_point_as(struct sweep_point *out, const struct sweep *s, long i, enum sweep_engine engine);

#endif
