#include "ranges.h"

#include <stdlib.h>

void lsm_ranges_release(struct lsm_ranges *ranges) {
    lsm_free(ranges->items);
    *ranges = (struct lsm_ranges){0};
}

int lsm_ranges_add(struct lsm_ranges *ranges, struct lsm_range range) {
    if (ranges->count == ranges->capacity) {
        size_t capacity = ranges->capacity == 0 ? 8 : ranges->capacity * 2;
        struct lsm_range *items = lsm_realloc(ranges->items, capacity * sizeof *items);
        if (items == NULL) return LSM_NOMEM;
        ranges->items = items;
        ranges->capacity = capacity;
    }
    ranges->items[ranges->count++] = range;
    return LSM_OK;
}

bool lsm_ranges_cover(const struct lsm_ranges *ranges, struct lsm_slice key, uint32_t source, uint64_t sequence) {
    for (size_t i = 0; i < ranges->count; i++) {
        const struct lsm_range *range = &ranges->items[i];
        bool newer = range->source < source || (range->source == source && range->sequence > sequence);
        if (newer && lsm_slice_compare(range->low, key) <= 0 && lsm_slice_compare(key, range->high) < 0) return true;
    }
    return false;
}

static int by_low(const void *a_void, const void *b_void) {
    const struct lsm_range *a = a_void, *b = b_void;
    int order = lsm_slice_compare(a->low, b->low);
    return order != 0 ? order : lsm_slice_compare(a->high, b->high);
}

void lsm_ranges_flatten(struct lsm_ranges *ranges) {
    if (ranges->count < 2) return;
    qsort(ranges->items, ranges->count, sizeof *ranges->items, by_low);
    size_t last = 0;
    for (size_t i = 1; i < ranges->count; i++) {
        struct lsm_range *to = &ranges->items[last];
        const struct lsm_range *from = &ranges->items[i];
        if (lsm_slice_compare(from->low, to->high) > 0)
            ranges->items[++last] = *from;
        else if (lsm_slice_compare(from->high, to->high) > 0)
            to->high = from->high;
    }
    ranges->count = last + 1;
}
