#include <stdio.h>

#include "analysis/case.h"
#include "analysis/data.h"

int case_cluster(struct cluster *out, const char *name, struct diag *d) {
    char file[128], path[4096];
    snprintf(file, sizeof file, "cluster-configs/%s.yaml", name);
    int rc = data_path(path, sizeof path, file, d);
    return rc ? rc : cluster_read(out, path, d);
}
