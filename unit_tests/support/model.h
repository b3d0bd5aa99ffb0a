/* model.h: what a store should hold, kept as plainly as can be: an array of values for a small set of keys. */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include "../../lsm_core/lsm.h"

enum { MODEL_KEYS = 96, MODEL_VALUE_BYTES_MAX = 3000 };

/* The value of each key is a number, 0 for none; the bytes of keys and values follow from the numbers. */
struct model {
    uint32_t values[MODEL_KEYS];
};

/* xorshift: the same seed gives the same run everywhere. */
struct model_random {
    uint64_t state;
};
uint64_t model_next(struct model_random *random);
uint64_t model_below(struct model_random *random, uint64_t limit); /* 0 .. limit - 1 */

/* Key number `key`, ascending with the number; some share long prefixes, some are prefixes of others. The bytes are static. */
struct lsm_slice model_key(unsigned key);
/* The bytes of value `value`, in a buffer of MODEL_VALUE_BYTES_MAX. */
struct lsm_slice model_value(uint32_t value, uint8_t *buffer);

/* Does what the view holds of the tree equal the model? By point reads, a scan up and a scan down. NULL if so, else what differs (static). */
const char *model_differs(const struct model *model, struct lsm_view *view, uint32_t tree);
/* Read a whole tree into a model by one scan; NULL, or what is wrong (an unknown key, a value that is not whole; or the error). */
const char *model_read(struct model *model, struct lsm_view *view, uint32_t tree);

#endif
