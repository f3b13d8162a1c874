/* op.c - ops and wire forms by name. */
#include "collectives/op.h"

#include <stdio.h>
#include <string.h>

int coll_op_find(struct coll_op *op, const char *name, int param, struct diag *d) {
    char words[200];
    size_t len = 0;
    words[0] = '\0';
    for (const struct coll_op *const *o = coll_ops; *o; o++) {
        if (strcmp((*o)->name, name) != 0) {
            if (len < sizeof words)
                len += (size_t)snprintf(words + len, sizeof words - len, "%s%s", len ? ", " : "", (*o)->name);
            continue;
        }
        if (param < 1 || param > (*o)->param_most)
            return diag_set(d, ERR_RANGE, "the op %s takes a parameter from 1 to %d, not %d", name, (*o)->param_most,
                            param);
        *op = **o;
        op->param = param;
        op->elem_bytes = op->fixed_bytes + (size_t)param * op->param_bytes;
        return 0;
    }
    return diag_set(d, ERR_USAGE, "no op of a collective is called '%.60s'; there are: %s", name, words);
}

const struct coll_wire *coll_wire_find(const char *name) {
    for (const struct coll_wire *const *w = coll_wires; *w; w++)
        if (strcmp((*w)->name, name) == 0) return *w;
    return NULL;
}
