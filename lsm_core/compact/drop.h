/* drop.h: which entries a merge keeps. Pure; the same rule for flush and merge.
 *
 * A merge sees, for one key, at most one entry per input, newest input first; range tombstones cover older inputs (in a memtable: older
 * sequences). Only the newest entry can matter; whether it survives:
 *
 *      age        newest input  | ... older inputs | what the merge does not see, older still
 *                 ------------- + ---------------- + ----------------------------------------
 *   covered by a newer range    |                  |                      -> DROP: the range (kept itself) says it all
 *   PUT                         |   any            |                      -> KEEP
 *   DELETE                      |   any            | may hold the key     -> KEEP: it must go on hiding it
 *   DELETE                      |   any            | cannot hold the key  -> DROP: nothing left to hide
 *   range tombstone             |                  | holds part of it     -> KEEP (likewise), else DROP
 *
 * Everything older than the newest entry goes in every case.
 */
#ifndef LSM_COMPACT_DROP_H
#define LSM_COMPACT_DROP_H

#include "../base/base.h"

/* True if the newest entry of a key is to be written out. */
static inline bool lsm_drop_keeps(enum lsm_kind newest, bool covered_by_newer_range, bool older_may_hold_key) {
    if (covered_by_newer_range) return false;
    return newest == LSM_KIND_PUT || older_may_hold_key;
}

#endif
