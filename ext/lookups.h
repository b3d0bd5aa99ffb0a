/* lookups.h: the lookups of one space, for walks that are repeated.
 *
 * SQLite gives virtual tables no automatic indexes: the inner loop of a join would read the whole table for each row of the outer one. So the second time that the same walk
 * is asked for, what it yields is put into a lookup (lookup.h), and from then on only the rows that can match are visited. A walk is named by all that its rows depend on:
 * the tree, the ranges of keys, the direction, what is looked up by, and the state that is read: the view, or the transaction and what it has written to this tree.
 *
 * Conditions that the walk has no use for (`b.kind = 'x' AND b.size > ?`) are part of the name, with their values, and a lookup has only the rows that may meet them: as long as the
 * values stay the same. A condition whose value has changed between two walks (`b.size > a.size`) is from then on looked at when a row
 * is found. SQLite checks them all again.
 *
 * A walk whose ranges are others each time (`b.y = a.y AND b.id > a.id`) is not repeated; but when its like have gone through as many rows as the table has, all rows are put
 * into one lookup, and SQLite checks the ranges.
 *
 * They live while any cursor of the space is open: cursors of one statement may come and go, and share them.
 */
#ifndef VT_LOOKUPS_H
#define VT_LOOKUPS_H

#include "lookup.h"
#include "plan.h"

#define VT_LOOKUPS_SEEN  64
#define VT_LOOKUPS_TREES 16

struct vt_space;

struct vt_lookups {
    struct vt_lookup *first; /* the last used first */
    int count;
    bool used;                      /* there is something to clear */
    uint64_t seen[VT_LOOKUPS_SEEN]; /* hashes of walks that were asked for once, the last ones; a mistake makes a lookup early, no more */
    int seen_next;
    struct vt_lookups_kind {
        uint64_t hash;                     /* of what a walk's name is without its ranges and the values of its conditions */
        double rows;                       /* that such walks have gone through */
        unsigned changing;                 /* the conditions whose values have changed, bit by bit */
        uint64_t values[VT_PLAN_ONLY_MAX]; /* hashes of the last ones */
    } kinds[VT_LOOKUPS_SEEN];
    int kinds_next;
    uint64_t writes[VT_LOOKUPS_TREES]; /* changes of trees with this number modulo, by the transaction; undone ones count as well */
};

/* Changes of the tree so far, for the name of a walk in a transaction. */
static inline uint64_t vt_lookups_writes(const struct vt_lookups *lookups, uint32_t tree) { return lookups->writes[tree % VT_LOOKUPS_TREES]; }
static inline void vt_lookups_note_write(struct vt_lookups *lookups, uint32_t tree) { lookups->writes[tree % VT_LOOKUPS_TREES]++; }
/* Any tree may have changed. */
void vt_lookups_note_undo(struct vt_lookups *lookups);

/* The lookup of this walk, or NULL. */
struct vt_lookup *vt_lookups_find(struct vt_lookups *lookups, struct lsm_slice name);
/* True if this walk was asked for before; it is remembered. */
bool vt_lookups_seen(struct vt_lookups *lookups, struct lsm_slice name);
/* What is known of walks of this kind. *fresh: nothing, this is the first. Valid until the next call. */
struct vt_lookups_kind *vt_lookups_kind(struct vt_lookups *lookups, uint64_t hash, bool *fresh);
/* Take it in, counted. */
void vt_lookups_add(struct vt_lookups *lookups, struct vt_lookup *lookup);
/* The memory that one more may take; others that are not in use may go for it. */
size_t vt_lookups_room(struct vt_lookups *lookups);
/* Let go of all. */
void vt_lookups_clear(struct vt_lookups *lookups);

#endif
