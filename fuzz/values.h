/* values.h: SQL values made of an input's bytes, for the codecs. */
#ifndef FUZZ_VALUES_H
#define FUZZ_VALUES_H

#include <math.h>

#include "../ext/value.h"
#include "fuzz.h"

/* A value that borrows the input's bytes. */
static inline struct vt_value values_take(struct fuzz_input *input) {
    uint8_t type = fuzz_take8(input);
    switch (type % 6) {
    case 0: return vt_value_null();
    case 1: return vt_value_int((int8_t)fuzz_take8(input));
    case 2: return vt_value_int((int64_t)fuzz_take64(input));
    case 3: {
        uint64_t bits = fuzz_take64(input);
        double real;
        memcpy(&real, &bits, sizeof real);
        return isnan(real) ? vt_value_null() : vt_value_real(real);
    }
    default: {
        struct lsm_slice bytes = fuzz_take(input, fuzz_take8(input) % 32);
        return vt_value_bytes(type % 6 == 4 ? SQLITE_TEXT : SQLITE_BLOB, bytes.data, bytes.size);
    }
    }
}

/* As an ordinary column would hold it. REAL columns hold no integers, and so on. */
static inline struct vt_value values_fit(struct vt_value value, enum vt_affinity affinity) {
    if (affinity == VT_AFFINITY_REAL && value.type == SQLITE_INTEGER) return vt_value_real((double)value.i);
    if (affinity == VT_AFFINITY_TEXT && (value.type == SQLITE_INTEGER || value.type == SQLITE_FLOAT)) return vt_value_bytes(SQLITE_TEXT, "1", 1);
    return value;
}

/* Equal as values: what is stored and read again must be. -0.0 is 0.0. */
static inline bool values_equal(const struct vt_value *a, const struct vt_value *b) {
    if (a->type != b->type) return false;
    if (a->type == SQLITE_INTEGER) return a->i == b->i;
    if (a->type == SQLITE_FLOAT) return a->r >= b->r && a->r <= b->r;
    if (a->type == SQLITE_NULL) return true;
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

#endif
