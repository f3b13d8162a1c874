/* exchange_fit.c - a line through times of exchanges. */
#include <math.h>

#include "exchange.h"

enum { MOST = 64 };

void exchange_fit(struct exchange_line *out, const struct exchange_point *p, int n, const struct exchange_line *bare) {
    double x[MOST] = {0}, more[MOST] = {0}, scale[MOST] = {0}, ns, word;
    if (n > MOST) n = MOST;
    for (int i = 0; i < n; i++) {
        x[i] = p[i].bytes;
        more[i] = p[i].ns - bare->ns - 1e-3 * bare->ps * x[i];
        scale[i] = fmax(p[i].all_ns, 1);
    }
    fit_line_by(x, more, scale, n, &ns, &word);
    *out = (struct exchange_line){bare->ns + ns, bare->ps + 1e3 * word, 0};
    for (int i = 0; i < n; i++)
        out->off = fmax(out->off, fabs(ns + word * x[i] - more[i]) / scale[i]);
}

void exchange_split(double ns, double *latency, double *send, double *recv) {
    double both = *send + *recv;
    if (both > ns) {
        *send *= ns / both;
        *recv *= ns / both;
    }
    *latency = fmax(ns - *send - *recv, 0);
}
