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
        if (param != (*o)->param)
            return diag_set(d, ERR_RANGE, "the op %s takes the parameter %d, not %d", name, (*o)->param, param);
        *op = **o;
        return 0;
    }
    return diag_set(d, ERR_USAGE, "no op of a collective is called '%.60s'; there are: %s", name, words);
}

const struct coll_wire *coll_wire_find(const char *name) {
    for (const struct coll_wire *const *w = coll_wires; *w; w++)
        if (strcmp((*w)->name, name) == 0) return *w;
    return NULL;
}
