/* parameter.h - the numbers of a described cluster that one value changes: what is fitted, swept and asked about.
 *
 * A new one is a row in parameter.c and a line in tests/analysis/test_parameter.c. All functions are local. */
#ifndef ANALYSIS_PARAMETER_H
#define ANALYSIS_PARAMETER_H

#include "base/diag.h"
#include "partition/cluster.h"

enum parameter_kind {
    PARAMETER_FACTOR, /* a rate: x times what the file says */
    PARAMETER_TIME, /* a time: x seconds more than the file says */
    PARAMETER_BIT_RATE /* of a link of the lab: x bits a second (no row of a cluster) */
};

struct parameter {
    const char *name; /* "memory-bandwidth" */
    const char *text; /* "bandwidth of the cards' memory" */
    enum parameter_kind kind;
    int host; /* has an effect only where the cluster has a host */
    double least, most; /* where a value is looked for; factors: above 0 */
    void (*set)(struct cluster *c, double x);
    const char *told_by; /* the measurement that tells it from the others */
};
extern const struct parameter parameters[]; /* ended by a row without name */
const struct parameter *parameter_find(const char *name); /* NULL: there is none */

/* The row that a name stands for; those of one level of the cards' memory, as "capacity.LEVEL", have no set. NULL:
 * there is none. */
const struct parameter *parameter_of(const char *name);
/* "memory-bandwidth, ..., capacity.LEVEL, ...", cut where it is longer than cap; returns buf. */
char *parameter_names(char *buf, size_t cap);
/* "2" or "0.5" of a factor, "1.5 us" of a time (ps, ns, us, ms, s; in seconds), "20 Mb/s" of a bit rate (kb/s, Mb/s,
 * Gb/s), within the row's range. ERR_USAGE. */
int parameter_value(const struct parameter *p, const char *name, const char *text, double *x, struct diag *d);
/* "NAME=VALUE", as --set has it. ERR_USAGE says which names, levels or units there are. */
int parameter_apply(struct cluster *c, const char *text, struct diag *d);

/* A rate x times as fast; x is kept to 9 digits. */
struct pico_rate parameter_faster(struct pico_rate r, double x);

/* Where a parameter alone makes a quantity what it should be. */
struct reached {
    int found;
    double x; /* if found */
    double nearest; /* if not: of the quantities that it can give, the nearest seen */
    int evaluations;
};
/* The quantity on a cluster: nonzero ends the search. */
typedef int parameter_eval(void *user, const struct cluster *c, double *quantity, struct diag *d);

/* Looks for the x with |ln(quantity / target)| <= tolerance, from no change on outwards: the quantity must be monotone
 * in x (Brent's method, GSL; factors by their logarithm). Not found where no x of its range gives it: no error. */
int parameter_reach(struct reached *out, const struct parameter *p, const struct cluster *c, double target,
                    double tolerance, parameter_eval *eval, void *user, struct diag *d);

#endif
