/* archs.h - shared by the files of this folder. Metadata keys are given without the "<arch>." in front. */
#ifndef MODELS_ARCHS_ARCHS_H
#define MODELS_ARCHS_ARCHS_H

#include "models/shape.h"

/* Full key "<arch>.<suffix>" in buf. */
const char *arch_key(const struct model_shape *s, const char *suffix, char buf[128]);

/* An integer in [min, max]; a per-layer array whose items are equal counts as one. `def` < min means required. */
int arch_int(const struct model_shape *s, const struct gguf *g, const char *suffix, int64_t def, int64_t min,
             int64_t max, int32_t *out, struct diag *d);

/* A finite number; `required` or the default. */
int arch_float(const struct model_shape *s, const struct gguf *g, const char *suffix, int required, double def,
               double *out, struct diag *d);

/* The keys that all architectures here share. */
int arch_read_common(struct model_shape *s, const struct gguf *g, struct diag *d);

/* Index in tensor_types[], -1 if NULL or unknown; role_type and role_bytes from layer_type. */
int tensor_type_index(const struct tensor_type *type);
void shape_sum_bytes(struct model_shape *s);

#endif
