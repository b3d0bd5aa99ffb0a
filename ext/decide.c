#include "decide.h"

#include <string.h>

#include "connection.h"
#include "pragma.h"
#include "tail.h"

/* What the shadow tables of a schema say about one store. */
struct knowledge {
    int named;                       /* shadow tables that name the store */
    bool found;                      /* the token asked for is there */
    bool damaged;                    /* there may be more */
    uint8_t newest[LSM_TOKEN_BYTES]; /* the token with the greatest position; zeros: none */
};

static const uint8_t no_token[LSM_TOKEN_BYTES];

static bool is_none(const uint8_t *token) { return memcmp(token, no_token, LSM_TOKEN_BYTES) == 0; }

static bool is_same(const uint8_t *a, const uint8_t *b) { return memcmp(a, b, LSM_TOKEN_BYTES) == 0; }

/* The position is in front and big-endian: so the order of tokens is that of memcmp. */
static bool is_newer(const uint8_t *a, const uint8_t *b) { return memcmp(a, b, LSM_TOKEN_BYTES) > 0; }

static bool is_of_store(const struct vt_space *space, const struct vt_shadow_entry *entry) {
    return memcmp(entry->shadow.store_id, space->store_id, LSM_STORE_ID_BYTES) == 0;
}

static int learn(const struct vt_space *space, sqlite3 *db, const char *schema, const uint8_t *token, struct knowledge *knowledge, char **message) {
    struct vt_shadow_list list;
    memset(knowledge, 0, sizeof *knowledge);
    int rc = vt_shadow_list(db, schema, &list, message);
    for (int i = 0; i < list.count; i++) {
        const uint8_t *known = list.entries[i].shadow.token;
        if (!is_of_store(space, &list.entries[i])) continue;
        knowledge->named++;
        if (token != NULL && !is_none(known) && is_same(known, token)) knowledge->found = true;
        if (is_newer(known, knowledge->newest)) memcpy(knowledge->newest, known, LSM_TOKEN_BYTES);
    }
    knowledge->damaged = list.damaged;
    if (token != NULL && is_none(token)) knowledge->found = knowledge->named == 0 && !list.damaged;
    vt_shadow_list_release(&list);
    return rc;
}

/* ---- readers -------------------------------------------------------------------------------------------------- */

static bool was_asked(struct vt_space *space, const uint8_t *token, unsigned *data_version) {
    if (sqlite3_file_control(space->connection->db, space->schema, SQLITE_FCNTL_DATA_VERSION, data_version) != SQLITE_OK) return false;
    return space->asked.valid && space->asked.data_version == *data_version && is_same(space->asked.token, token);
}

int vt_decide_ask(struct vt_space *space, char **message) {
    uint8_t token[LSM_TOKEN_BYTES];
    if (lsm_store_pending(space->store, NULL) != LSM_PENDING_UNKNOWN || lsm_store_pending(space->store, token) != LSM_PENDING_UNKNOWN)
        return SQLITE_OK;
    /* Our own, between xSync and the end: what we see of it is not committed. Nor is everything in the shared cache, to those who asked to see that. */
    if (space->txn.state != VT_TXN_IDLE || vt_pragma_int(space->connection->db, NULL, "read_uncommitted", 1) != 0) return SQLITE_OK;
    unsigned data_version = 0;
    if (was_asked(space, token, &data_version)) return SQLITE_OK;
    struct knowledge knowledge;
    char *text = NULL;
    int rc = learn(space, space->connection->db, space->schema, token, &knowledge, &text);
    if (vt_error_undoes(rc)) (void)vt_fail(message, rc, "%s", text == NULL ? sqlite3_errstr(rc) : text);
    sqlite3_free(text);
    /* If it cannot be read, it has not been seen. */
    if (rc != SQLITE_OK) return vt_error_undoes(rc) ? rc : SQLITE_OK;
    if (knowledge.found && lsm_store_settle(space->store, token, LSM_DECISION_SEEN, 0, NULL) == LSM_OK) return SQLITE_OK;
    space->asked = (struct vt_asked){.valid = true, .data_version = data_version};
    memcpy(space->asked.token, token, LSM_TOKEN_BYTES);
    return SQLITE_OK;
}

/* ---- writers -------------------------------------------------------------------------------------------------- */

/* What SQLite has committed in a process that died may not be durable, whatever its modes; ours may differ. */
int vt_decide_make_durable(struct vt_space *space, char **message) {
    if (vt_pragma_int(space->connection->db, space->schema, "synchronous", 2) == 0) return SQLITE_OK;
    return vt_journal_sync(space, vt_journal_mode(space), message);
}

struct settling {
    const uint8_t *token;
    enum lsm_decision decision;
};

static int settle_turn(struct vt_space *space, void *arg, int timeout_ms, struct lsm_error *err) {
    const struct settling *settling = arg;
    return lsm_store_settle(space->store, settling->token, settling->decision, timeout_ms, err);
}

int vt_decide_settle(struct vt_space *space, char **message) {
    uint8_t token[LSM_TOKEN_BYTES];
    enum lsm_pending pending = lsm_store_pending(space->store, token);
    if (pending == LSM_PENDING_NONE) return SQLITE_OK;
    struct knowledge knowledge = {.found = true};
    int rc = SQLITE_OK;
    if (pending == LSM_PENDING_UNKNOWN) rc = learn(space, space->connection->db, space->schema, token, &knowledge, message);
    if (rc == SQLITE_OK && !knowledge.found && knowledge.damaged) {
        rc = vt_fail(message, SQLITE_CORRUPT_VTAB,
                     "a shadow table (its name ends in _" VT_SHADOW_SUFFIX ") is damaged, and may be the one that says how the "
                     "last transaction of the store %s ended",
                     lsm_store_dir(space->store));
    }
    if (rc == SQLITE_OK) rc = knowledge.found ? vt_decide_make_durable(space, message) : vt_tail_cut(space, message);
    if (rc != SQLITE_OK) return rc;
    struct lsm_error err;
    vt_error_clear(&err);
    struct settling settling = {.token = token, .decision = knowledge.found ? LSM_DECISION_COMMIT : LSM_DECISION_ABORT};
    int status = vt_txn_await(space, settle_turn, &settling, &err);
    return vt_fail_engine(message, status, &err);
}

/* ---- tokens written ------------------------------------------------------------------------------------------- */

int vt_decide_slot(struct vt_space *space, const char *shadow_table, struct vt_shadow_slot *slot, char **message) {
    sqlite3 *db = space->connection->db;
    memset(slot, 0, sizeof *slot);
    if (shadow_table != NULL) {
        int rc = vt_shadow_slot_open(slot, db, space->schema, shadow_table, NULL);
        if (rc == SQLITE_OK || vt_error_undoes(rc)) return rc;
        vt_shadow_slot_release(slot);
    }
    struct vt_shadow_list list;
    int rc = vt_shadow_list(db, space->schema, &list, message), i = 0;
    while (i < list.count && !is_of_store(space, &list.entries[i])) i++;
    if (rc == SQLITE_OK) rc = i == list.count ? SQLITE_NOTFOUND : vt_shadow_slot_open(slot, db, space->schema, list.entries[i].table, message);
    vt_shadow_list_release(&list);
    return rc;
}

int vt_decide_write(struct vt_space *space, const char *shadow_table, const uint8_t *token, char **message) {
    struct vt_shadow_slot slot;
    int rc = vt_shadow_slot_open(&slot, space->connection->db, space->schema, shadow_table, message);
    if (rc == SQLITE_OK) rc = vt_shadow_slot_write(&slot, token, message);
    vt_shadow_slot_release(&slot);
    return rc;
}

int vt_decide_write_all(struct vt_space *space, const uint8_t *token, char **message) {
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    for (int i = 0; i < list.count && rc == SQLITE_OK; i++) {
        if (is_of_store(space, &list.entries[i])) rc = vt_decide_write(space, list.entries[i].table, token, message);
    }
    vt_shadow_list_release(&list);
    return rc;
}

static char *shadow_name(const char *table) { return sqlite3_mprintf("%s_" VT_SHADOW_SUFFIX, table); }

/* That some other table knows a newer one does not matter: then an old token goes where an older one was. False: this heir is none. */
static bool hand_to(struct vt_space *space, const char *table, const char *heir, int *rc, char **message) {
    sqlite3 *db = space->connection->db;
    struct vt_shadow_entry leaving, staying;
    if (vt_shadow_read(db, space->schema, table, &leaving.shadow, NULL, NULL) != SQLITE_OK || !is_of_store(space, &leaving)) return false;
    if (vt_shadow_read(db, space->schema, heir, &staying.shadow, NULL, NULL) != SQLITE_OK || !is_of_store(space, &staying)) return false;
    *rc = SQLITE_OK;
    if (!is_newer(leaving.shadow.token, staying.shadow.token)) return true;
    char *name = shadow_name(heir);
    *rc = name == NULL ? SQLITE_NOMEM : vt_decide_write(space, name, leaving.shadow.token, message);
    sqlite3_free(name);
    return true;
}

static int hand_to_newest(struct vt_space *space, const char *shadow_table, char **message) {
    struct vt_shadow_list list;
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    const struct vt_shadow_entry *leaving = NULL, *heir = NULL;
    for (int i = 0; i < list.count; i++) {
        const struct vt_shadow_entry *entry = &list.entries[i];
        if (!is_of_store(space, entry)) continue;
        if (sqlite3_stricmp(entry->table, shadow_table) == 0) {
            leaving = entry;
        } else if (heir == NULL || is_newer(entry->shadow.token, heir->shadow.token)) {
            heir = entry;
        }
    }
    if (rc == SQLITE_OK && leaving != NULL && heir != NULL && is_newer(leaving->shadow.token, heir->shadow.token)) {
        rc = vt_decide_write(space, heir->table, leaving->shadow.token, message);
    }
    vt_shadow_list_release(&list);
    return rc;
}

int vt_decide_hand_over(struct vt_space *space, const char *table, const char *heir, char **message) {
    int rc;
    if (space->place.memory) return SQLITE_OK; /* such a store does not outlive its database */
    if (heir != NULL && hand_to(space, table, heir, &rc, message)) return rc;
    char *name = shadow_name(table);
    rc = name == NULL ? SQLITE_NOMEM : hand_to_newest(space, name, message);
    sqlite3_free(name);
    return rc;
}

/* ---- one history ---------------------------------------------------------------------------------------------- */

/* What the store says. */
struct store_state {
    uint8_t last[LSM_TOKEN_BYTES], pending[LSM_TOKEN_BYTES]; /* zeros: none */
};

static void look_at_store(struct lsm_store *store, struct store_state *state) {
    memset(state, 0, sizeof *state);
    if (lsm_store_pending(store, state->pending) == LSM_PENDING_NONE) memset(state->pending, 0, LSM_TOKEN_BYTES);
    if (!lsm_store_last_token(store, state->last)) memset(state->last, 0, LSM_TOKEN_BYTES);
}

static enum vt_verdict judge(const struct knowledge *knowledge, const struct store_state *before, const struct store_state *after) {
    const uint8_t *newest = knowledge->newest;
    if (knowledge->named == 0) return VT_NOTHING_TO_COMPARE;
    /* Tokens only ever go from pending to last, and to newer ones while others write: the database was looked at between the two looks at the store. */
    const uint8_t *latest = is_newer(after->pending, after->last) ? after->pending : after->last;
    if (is_same(newest, before->last) || is_same(newest, after->last)) return VT_FITS;
    if (!is_none(newest) && (is_same(newest, before->pending) || is_same(newest, latest))) return VT_FITS;
    if (is_newer(newest, before->last) && is_newer(latest, newest) && is_newer(after->last, before->last)) return VT_FITS;
    return is_newer(after->last, newest) ? VT_AHEAD : VT_BEHIND;
}

/* Let the store learn what other processes have written since it last looked. */
static int refresh(struct lsm_store *store, char **message) {
    struct lsm_view *view = NULL;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_view_open(store, NULL, &view, &err);
    if (status == LSM_OK) lsm_view_close(view);
    return vt_fail_engine(message, status, &err);
}

static int compare(struct vt_space *space, sqlite3 *db, const char *schema, enum vt_verdict *verdict, char **message) {
    struct store_state before, after;
    struct knowledge knowledge;
    *verdict = VT_FITS;
    int rc = refresh(space->store, message);
    if (rc != SQLITE_OK) return rc;
    look_at_store(space->store, &before);
    rc = learn(space, db, schema, NULL, &knowledge, message);
    if (rc == SQLITE_OK) rc = refresh(space->store, message);
    if (rc != SQLITE_OK) return rc;
    look_at_store(space->store, &after);
    *verdict = judge(&knowledge, &before, &after);
    /* The newest token may be the one that cannot be read; who wants that table, and lsm_check(), say so. */
    if (*verdict == VT_AHEAD && knowledge.damaged) *verdict = VT_NOTHING_TO_COMPARE;
    return SQLITE_OK;
}

/* Another connection sees the present. *fresh is NULL where none can be had, or if it fails. */
static int open_present(const struct vt_space *space, sqlite3 **fresh) {
    sqlite3 *db = space->connection->db;
    sqlite3_vfs *vfs = NULL;
    const char *file = sqlite3_db_filename(db, space->schema);
    *fresh = NULL;
    if (file == NULL || file[0] == '\0') return SQLITE_OK;
    if (sqlite3_file_control(db, space->schema, SQLITE_FCNTL_VFS_POINTER, (void *)&vfs) != SQLITE_OK || vfs == NULL) return SQLITE_OK;
    int rc = sqlite3_open_v2(file, fresh, SQLITE_OPEN_READWRITE, vfs->zName);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(*fresh, vt_pragma_int(db, NULL, "busy_timeout", 0));
    if (rc == SQLITE_OK) return rc;
    (void)sqlite3_close(*fresh);
    *fresh = NULL;
    return rc;
}

/* Nobody else can write, or not while this connection reads: so what it sees is the present. */
static bool sees_present(struct vt_space *space) {
    int lock = SQLITE_LOCK_NONE;
    (void)sqlite3_file_control(space->connection->db, space->schema, SQLITE_FCNTL_LOCKSTATE, &lock);
    if (lock == SQLITE_LOCK_EXCLUSIVE) return true;
    if (sqlite3_txn_state(space->connection->db, space->schema) != SQLITE_TXN_READ) return false;
    enum vt_journal journal = vt_journal_mode(space);
    return journal != VT_JOURNAL_WAL && journal != VT_JOURNAL_UNKNOWN;
}

/* No other connection could look: an answer must not come of that. Takes text. */
static int fail_present(struct vt_space *space, int rc, char *text, char **message) {
    if (rc == SQLITE_OK || (rc != SQLITE_NOMEM && sees_present(space))) {
        sqlite3_free(text);
        return SQLITE_OK;
    }
    rc = vt_fail(message, rc, "whether the database %s and the store of its LSM tables fit together cannot be seen now: %s", space->place.file,
                 text == NULL ? sqlite3_errstr(rc) : text);
    sqlite3_free(text);
    return rc;
}

/* A snapshot may be older than what others have committed since. */
static int compare_with_present(struct vt_space *space, enum vt_verdict *verdict, char **message) {
    sqlite3 *fresh = NULL;
    char *text = NULL;
    enum vt_verdict present = *verdict;
    if (sqlite3_txn_state(space->connection->db, space->schema) != SQLITE_TXN_READ) return SQLITE_OK;
    int rc = open_present(space, &fresh);
    if (fresh != NULL) rc = compare(space, fresh, "main", &present, &text);
    (void)sqlite3_close(fresh);
    /* Nothing to compare: the last table was dropped since. */
    if (rc == SQLITE_OK && (present == VT_FITS || present == VT_NOTHING_TO_COMPARE)) *verdict = present;
    return fail_present(space, rc, text, message);
}

int vt_decide_is_dropped(struct vt_space *space, struct lsm_tree_info tree, bool *dropped, char **message) {
    sqlite3 *fresh = NULL;
    char *text = NULL;
    struct vt_shadow_list list = {0};
    *dropped = false;
    if (sqlite3_txn_state(space->connection->db, space->schema) == SQLITE_TXN_WRITE) return SQLITE_OK; /* nobody else has dropped anything */
    int rc = open_present(space, &fresh);
    if (fresh != NULL) rc = vt_shadow_list(fresh, "main", &list, &text);
    *dropped = fresh != NULL && rc == SQLITE_OK && !list.damaged;
    for (int i = 0; i < list.count && *dropped; i++) {
        const struct vt_shadow *shadow = &list.entries[i].shadow;
        *dropped = !is_of_store(space, &list.entries[i]) || shadow->tree.tree != tree.tree || shadow->tree.nonce != tree.nonce;
    }
    vt_shadow_list_release(&list);
    (void)sqlite3_close(fresh);
    return fail_present(space, rc, text, message);
}

enum vt_outcome vt_decide_outcome(struct vt_space *space) {
    sqlite3 *fresh = NULL;
    uint8_t token[LSM_TOKEN_BYTES];
    struct knowledge knowledge = {.found = false};
    enum vt_journal journal = space->txn.journal;
    enum lsm_pending pending = lsm_store_pending(space->store, token);
    if (pending == LSM_PENDING_NONE) return VT_OUTCOME_NOTHING;
    if (pending == LSM_PENDING_COMMITTED) return VT_OUTCOME_COMMITTED;
    if (journal == VT_JOURNAL_WAL || journal == VT_JOURNAL_UNKNOWN) return VT_OUTCOME_UNKNOWN;
    if (open_present(space, &fresh) != SQLITE_OK || fresh == NULL) return VT_OUTCOME_UNKNOWN;
    bool known = learn(space, fresh, "main", token, &knowledge, NULL) == SQLITE_OK && !knowledge.damaged;
    (void)sqlite3_close(fresh);
    if (knowledge.found) return VT_OUTCOME_COMMITTED;
    return known ? VT_OUTCOME_NOTHING : VT_OUTCOME_UNKNOWN;
}

int vt_decide_compare(struct vt_space *space, enum vt_verdict *verdict, char **message) {
    int rc = compare(space, space->connection->db, space->schema, verdict, message);
    if (rc == SQLITE_OK && (*verdict == VT_AHEAD || *verdict == VT_BEHIND)) rc = compare_with_present(space, verdict, message);
    return rc;
}

static int fail_verdict(const struct vt_space *space, enum vt_verdict verdict, char **message) {
    const char *dir = lsm_store_dir(space->store);
    if (verdict == VT_AHEAD) {
        return vt_fail(
            message, SQLITE_CORRUPT_VTAB,
            "the database is older than the store of its LSM tables, %s: the last transaction that wrote both is not in it. One of them was "
            "copied or restored alone: restore both from one backup, or accept what is there with SELECT lsm_accept('%s')",
            dir, space->schema);
    }
    return vt_fail(
        message, SQLITE_CORRUPT_VTAB,
        "the store of the LSM tables, %s, is older than its database: it never had the last transaction that wrote both. One of them was copied or "
        "restored alone: restore both from one backup, or accept what is there with SELECT lsm_accept('%s')",
        dir, space->schema);
}

int vt_decide_check(struct vt_space *space, char **message) {
    if (space->place.memory || space->accept == VT_ACCEPT_WANTED || vt_shared_fits(space->shared, space->place.device, space->place.inode))
        return SQLITE_OK;
    /* Looked at before it began. What a transaction has itself dropped and made is no evidence: the table with the last token may be gone. */
    if (space->txn.state != VT_TXN_IDLE) return SQLITE_OK;
    enum vt_verdict verdict;
    int rc = vt_decide_compare(space, &verdict, message);
    /* Somebody in this process may have found that they fit, and have written since. */
    if (rc != SQLITE_OK || verdict == VT_NOTHING_TO_COMPARE || vt_shared_fits(space->shared, space->place.device, space->place.inode)) return rc;
    if (verdict != VT_FITS) return fail_verdict(space, verdict, message);
    vt_shared_set_fits(space->shared, space->place.device, space->place.inode);
    return SQLITE_OK;
}
