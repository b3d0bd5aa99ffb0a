/* manifest.h: the durable log of edits, and CURRENT, which names it. docs/format.md, "The manifest". */
#ifndef LSM_VERSION_MANIFEST_H
#define LSM_VERSION_MANIFEST_H

#include "../env/env.h"
#include "edit.h"

struct lsm_manifest;

/* Write MANIFEST-<number> with `full` (an edit with full set) as its first record, make it durable, and make CURRENT name it: file
 * sync, directory sync, CURRENT written beside, synced, renamed, directory sync. On error the old CURRENT stands (or, when only the last
 * directory sync failed, either; the error says so) and the new file is removed if it cannot be named. */
int lsm_manifest_create(struct lsm_env *env, const char *dir, const struct lsm_env_perm *perm, const uint8_t *store_id, uint64_t number,
                        const struct lsm_edit *full, const struct lsm_spare *spare, struct lsm_manifest **manifest,
                        struct lsm_error *err) LSM_MUST_CHECK;
/* Append an edit and make it durable. After any error the manifest is unusable (every later append fails): create another. */
int lsm_manifest_append(struct lsm_manifest *manifest, const struct lsm_edit *edit, const struct lsm_spare *spare,
                        struct lsm_error *err) LSM_MUST_CHECK;
/* For closing: an edit that changes nothing, not synced. Where it is found, the record before it was whole once, and is damaged if it is not
 * now; without it, a last record that does not verify is one that was being written. No append may follow. A failure does no harm. */
void lsm_manifest_seal(struct lsm_manifest *manifest, const struct lsm_edit *edit);
uint64_t lsm_manifest_number(const struct lsm_manifest *manifest);
uint64_t lsm_manifest_bytes(const struct lsm_manifest *manifest);
void lsm_manifest_close(struct lsm_manifest *manifest); /* NULL is allowed */

/* The offset of the last record written or found, 0 if it is the first, and its check. */
uint64_t lsm_manifest_last(const struct lsm_manifest *manifest, uint64_t *check);

/* Which manifest CURRENT names, of which store. LSM_NOTFOUND: no CURRENT. */
int lsm_manifest_named(struct lsm_env *env, const char *dir, uint64_t *number, uint8_t *store_id, struct lsm_error *err) LSM_MUST_CHECK;

/* How far a manifest was read. */
struct lsm_manifest_found {
    uint64_t number, bytes;
    uint64_t last;  /* where the last good record begins; 0 if it is the first: the header belongs to it */
    uint64_t check; /* of the last good record; for resume */
    bool torn;
    uint8_t store_id[LSM_STORE_ID_BYTES];
};
/* Gets each edit in order; it may take metas by reference. A non-zero return stops and is returned. */
typedef int (*lsm_manifest_apply_fn)(void *arg, struct lsm_edit *edit, struct lsm_error *err);

/* Read CURRENT and replay the manifest it names. LSM_NOTFOUND: no CURRENT. LSM_MISMATCH: another store's (store_id NULL: any, found->store_id
 * tells). A torn last record (unsynced append) ends the replay and sets found->torn; damage before the end is LSM_CORRUPT. found->bytes: where
 * the good records end. */
int lsm_manifest_replay(struct lsm_env *env, const char *dir, const uint8_t *store_id, lsm_manifest_apply_fn apply, void *arg,
                        struct lsm_manifest_found *found, struct lsm_error *err) LSM_MUST_CHECK;
/* Go on appending to the manifest replay found; needs: not torn (else create a new one). Makes what was replayed durable: act on it (remove files)
 * only after resume or create succeeded. */
int lsm_manifest_resume(struct lsm_env *env, const char *dir, const struct lsm_manifest_found *found, struct lsm_manifest **manifest,
                        struct lsm_error *err) LSM_MUST_CHECK;

/* ---- several processes at one manifest -------------------------------------------------------------------------- */

/* The same, where it is known that all of it is durable. */
int lsm_manifest_attach(struct lsm_env *env, const char *dir, const struct lsm_manifest_found *found, struct lsm_manifest **manifest,
                        struct lsm_error *err) LSM_MUST_CHECK;
/* Others have appended meanwhile, up to what was found. */
void lsm_manifest_advance(struct lsm_manifest *manifest, const struct lsm_manifest_found *found);

/* Follows one manifest as it grows. */
struct lsm_manifest_tail;
/* LSM_NOTFOUND: there is no such file, or none any more. Other errors as for replay. */
int lsm_manifest_tail_open(struct lsm_env *env, const char *dir, const uint8_t *store_id, uint64_t number, struct lsm_manifest_tail **tail,
                           struct lsm_error *err) LSM_MUST_CHECK;
void lsm_manifest_tail_close(struct lsm_manifest_tail *tail); /* NULL is allowed */
/* apply() gets the records behind those read before that end at or below `bytes`, a size that somebody has published: if they are not there it is
 * LSM_CORRUPT. UINT64_MAX: up to the end of the file, and what was found then says whether it is torn. A record that apply() refuses is read again. */
int lsm_manifest_tail_read(struct lsm_manifest_tail *tail, uint64_t bytes, lsm_manifest_apply_fn apply, void *arg,
                           struct lsm_error *err) LSM_MUST_CHECK;
/* What this process itself has just appended need not be read. Needs: all before it was. */
void lsm_manifest_tail_skip(struct lsm_manifest_tail *tail, const struct lsm_manifest *manifest);
/* How far it was read; while apply() runs, its record included. */
const struct lsm_manifest_found *lsm_manifest_tail_found(const struct lsm_manifest_tail *tail);

#endif
