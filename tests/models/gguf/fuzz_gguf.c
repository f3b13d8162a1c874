/* libFuzzer target: built by -DNW_FUZZ=ON, replayed over tests/data/fuzz-gguf by fuzz_replay.c in every build. */
#include "probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static FILE *sink;
    if (!sink) sink = fopen("/dev/null", "w");
    probe_bytes(data, n, sink);
    return 0;
}
