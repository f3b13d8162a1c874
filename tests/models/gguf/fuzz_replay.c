/* Replays a folder of inputs through the fuzz target: each whole, and cut off at every byte, in memory of just its
 * size. */
#include <dirent.h>

#include "base/text.h"
#include "check.h"
#include "fuzz_gguf.c"

static void replay(const char *bytes, size_t n) {
    unsigned char *copy = malloc(n + !n);
    memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void replay_file(const char *folder, const char *name) {
    char path[1024], *bytes;
    size_t n;
    struct diag d = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(text_read_file(path, 1 << 16, &bytes, &n, &d) == 0, "%s", d.text);
    if (d.code) return;
    for (size_t cut = 0; cut <= n; cut++)
        replay(bytes, cut);
    int valid = probe_bytes((const unsigned char *)bytes, n, NULL);
    CHECK(valid == !strncmp(name, "good-", 5), "%s is %s", name, valid ? "accepted" : "refused");
    free(bytes);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : NW_TEST_DATA "/fuzz-gguf";
    DIR *dir = opendir(folder);
    CHECK(dir != NULL, "%s", folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.') replay_file(folder, e->d_name);
    if (dir) closedir(dir);
    CHECK(check_count >= 12, "only %ld checks: where are the inputs?", check_count);
    return check_report("gguf-corpus");
}
