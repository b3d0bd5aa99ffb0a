#include "txn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "cursor.h"
#include "garbage.h"
#include "pragma.h"

void vt_txn_check(const struct vt_space *space) {
    const struct vt_txn *txn = &space->txn;
    assert((txn->state == VT_TXN_IDLE) == (txn->engine == NULL));
    assert(txn->state != VT_TXN_IDLE || (txn->mark_count == 0 && txn->created_count == 0 && txn->joined == 0 && space->views.txn == NULL));
    assert(txn->engine == NULL || space->store != NULL);
    assert(txn->mark_count == 0 || txn->marks[0].number == -1);
    assert(txn->state != VT_TXN_PREPARED || txn->epoch > 0);
    for (int i = 1; i < txn->mark_count; i++) assert(txn->marks[i - 1].number < txn->marks[i].number);
    (void)txn; /* NDEBUG */
}

/* ---- savepoints ----------------------------------------------------------------------------------------------- */

static struct vt_mark mark_now(struct vt_space *space, int number) {
    struct vt_txn *txn = &space->txn;
    struct vt_mark mark = {.number = number,
                           .mark = lsm_txn_mark(txn->engine),
                           .epoch = txn->epoch,
                           .tick = ++txn->tick,
                           .writes = txn->writes,
                           .changes = space->connection->changes};
    return mark;
}

static int push_mark(struct vt_space *space, int number) {
    struct vt_txn *txn = &space->txn;
    if (txn->mark_count == txn->mark_capacity) {
        int capacity = txn->mark_capacity == 0 ? 8 : 2 * txn->mark_capacity;
        struct vt_mark *marks = sqlite3_realloc64(txn->marks, (size_t)capacity * sizeof *marks);
        if (marks == NULL) return SQLITE_NOMEM;
        txn->marks = marks;
        txn->mark_capacity = capacity;
    }
    txn->marks[txn->mark_count++] = mark_now(space, number);
    return SQLITE_OK;
}

struct vt_mark vt_txn_mark(struct vt_space *space) {
    return mark_now(space, -1);
}

void vt_txn_unmark(struct vt_space *space, const struct vt_mark *mark) { lsm_txn_release(space->txn.engine, mark->mark); }

int vt_txn_undo(struct vt_space *space, const struct vt_mark *mark, char **message) {
    struct vt_txn *txn = &space->txn;
    if (txn->state == VT_TXN_IDLE || txn->epoch != mark->epoch || txn->writes == mark->writes) return SQLITE_OK;
    for (struct vt_cursor *cursor = space->cursors; cursor != NULL; cursor = vt_cursor_after(cursor)) vt_cursor_break(cursor, mark->tick);
    vt_view_forget_txn(space, mark->tick);
    /* SQLite does not count the rows of a statement that failed. Of one undone by ROLLBACK TO it does: there vt_dirty() errs towards yes. */
    if (space->connection->changes > mark->changes) space->connection->changes = mark->changes;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_txn_rollback_to(txn->engine, mark->mark, &err);
    txn->state = VT_TXN_OPEN;
    if (status != LSM_OK) return vt_fail_engine(message, status, &err);
    txn->writes++;
    txn->rollbacks++;
    vt_lookups_note_undo(&space->lookups);
    return SQLITE_OK;
}

int vt_txn_savepoint(struct vt_space *space, int number, char **message) {
    (void)message;
    vt_txn_check(space);
    struct vt_txn *txn = &space->txn;
    if (txn->state == VT_TXN_IDLE) return SQLITE_OK;
    /* Another table of the space may have been told before, and have written since: then the mark is there. The savepoints around this one that are not
     * marked began before anything of the space was in the transaction; they will still be there when this one is released. */
    int rc = SQLITE_OK;
    for (int n = txn->marks[txn->mark_count - 1].number + 1; n <= number && rc == SQLITE_OK; n++) rc = push_mark(space, n);
    return rc;
}

void vt_txn_release(struct vt_space *space, int number) {
    struct vt_txn *txn = &space->txn;
    while (txn->mark_count > 1 && txn->marks[txn->mark_count - 1].number >= number) lsm_txn_release(txn->engine, txn->marks[--txn->mark_count].mark);
}

int vt_txn_rollback_to(struct vt_space *space, int number, char **message) {
    vt_txn_check(space);
    struct vt_txn *txn = &space->txn;
    if (txn->state == VT_TXN_IDLE) return SQLITE_OK;
    int first = 0;
    while (first < txn->mark_count && txn->marks[first].number < number) first++;
    if (first == txn->mark_count) return SQLITE_OK;
    struct vt_mark *mark = &txn->marks[first];
    int rc = vt_txn_undo(space, mark, message);
    if (rc != SQLITE_OK) return rc;
    mark->number = number;
    mark->writes = txn->writes;
    txn->mark_count = first + 1;
    return SQLITE_OK;
}

/* ---- begin, prepare, end -------------------------------------------------------------------------------------- */

enum { TURN_MS = 50 /* so soon an interrupt is noticed */ };

static int wait_ms(const struct vt_space *space) {
    int timeout_ms = vt_pragma_int(space->connection->db, NULL, "busy_timeout", 0);
    return timeout_ms < VT_PREDECESSOR_WAIT_MS ? VT_PREDECESSOR_WAIT_MS : timeout_ms;
}

int vt_txn_await(struct vt_space *space, vt_turn_fn turn, void *arg, struct lsm_error *err) {
    int status = turn(space, arg, 0, err);
    if (status != LSM_BUSY) return status;
    struct vt_pulse pulse = {.db = space->connection->db};
    for (int left = wait_ms(space); status == LSM_BUSY && left > 0; left -= TURN_MS) {
        status = turn(space, arg, left < TURN_MS ? left : TURN_MS, err);
        if (status != LSM_BUSY || !vt_pulse_stops(&pulse)) continue;
        status = LSM_INTERRUPTED;
        (void)snprintf(err->text, sizeof err->text, "interrupted");
    }
    vt_pulse_release(&pulse);
    return status;
}

static int begin_turn(struct vt_space *space, void *position, int timeout_ms, struct lsm_error *err) {
    return lsm_txn_begin(space->store, *(const uint64_t *)position, timeout_ms, &space->txn.engine, err);
}

/* While memory is full it waits for the disk, as long as that takes. */
static int begin_engine(struct vt_space *space, uint64_t position, struct lsm_error *err) {
    struct vt_pulse pulse = {.db = space->connection->db};
    int status = lsm_store_await_room(space->store, vt_pulse_stops, &pulse, err);
    vt_pulse_release(&pulse);
    return status == LSM_OK ? vt_txn_await(space, begin_turn, &position, err) : status;
}

/* A statement of ours that fails inside another for want of memory or by an I/O error makes SQLite roll back everything at once; the statement around
 * it is not told, and would go on with what is not there any more. */
static int check_not_undone(const struct vt_space *space, char **message) {
    if (sqlite3_txn_state(space->connection->db, NULL) == SQLITE_TXN_WRITE) return SQLITE_OK;
    return vt_fail(message, SQLITE_ABORT_ROLLBACK, "SQLite has rolled the transaction back: it ran out of memory, or could not read the database");
}

int vt_txn_begin(struct vt_space *space, char **message) {
    vt_txn_check(space);
    struct vt_txn *txn = &space->txn;
    if (txn->state != VT_TXN_IDLE) return SQLITE_OK;
    assert(space->store != NULL);
    uint64_t position = vt_view_position(space);
    struct lsm_error err;
    vt_error_clear(&err);
    int status = begin_engine(space, position, &err);
    if (status == LSM_UNDECIDED) {
        int rc = vt_decide_settle(space, message);
        if (rc != SQLITE_OK) return rc;
        vt_error_clear(&err);
        status = begin_engine(space, position, &err);
    }
    if (status != LSM_OK) {
        txn->engine = NULL;
        return vt_fail_engine(message, status, &err);
    }
    txn->state = VT_TXN_OPEN;
    txn->pulse = (struct vt_pulse){.db = space->connection->db};
    lsm_txn_set_interrupt(txn->engine, vt_pulse_stops, &txn->pulse);
    txn->epoch++;
    txn->rollbacks = 0;
    txn->collected = false;
    txn->leader = NULL;
    int rc = vt_garbage_collect(space, message);
    if (rc == SQLITE_OK) rc = check_not_undone(space, message);
    if (rc == SQLITE_OK) rc = push_mark(space, -1);
    if (rc == SQLITE_OK) vt_dirty_begin(space);
    if (rc == SQLITE_OK && space->accept == VT_ACCEPT_WANTED) rc = vt_accept_begin(space, message);
    if (rc != SQLITE_OK) vt_txn_rollback(space);
    return rc;
}

/* The same in xSync. SQLite also ends a COMMIT with SQLITE_NOMEM if a statement of ours inside it had no memory, whatever became of the commit: then it has to fail.
 * PRAGMA synchronous has been asked before, so the code is of this transaction. */
static int check_before_commit(const struct vt_space *space, char **message) {
    if (space->place.memory) return SQLITE_OK;
    return sqlite3_errcode(space->connection->db) == SQLITE_NOMEM ? SQLITE_NOMEM : check_not_undone(space, message);
}

/* PRAGMA synchronous is read each time: it may change between any two transactions and SQLite tells nobody. */
static enum lsm_sync sync_level(const struct vt_space *space) {
    if (space->place.memory || space->txn.level <= 0) return LSM_SYNC_OFF;
    return space->txn.level == 1 ? LSM_SYNC_NORMAL : LSM_SYNC_FULL;
}

/* The log knows the token before the database does. */
static int prepare_with_database(struct vt_space *space, const char *shadow_table, char **message) {
    struct vt_txn *txn = &space->txn;
    struct vt_shadow_slot slot;
    uint8_t token[LSM_TOKEN_BYTES];
    struct lsm_error err;
    vt_error_clear(&err);
    int rc = vt_decide_slot(space, shadow_table, &slot, message);
    bool last_table = rc == SQLITE_NOTFOUND;
    if (last_table) rc = SQLITE_OK;
    txn->dirty.known = true;
    txn->journal = vt_journal_mode(space);
    if (rc == SQLITE_OK) rc = check_before_commit(space, message);
    if (rc == SQLITE_OK) {
        enum lsm_decider decider = last_table ? LSM_DECIDED_BY_ABSENCE : LSM_DECIDED_BY_TOKEN;
        rc = vt_fail_engine(message, lsm_txn_prepare(txn->engine, sync_level(space), decider, token, &err), &err);
    }
    if (rc == SQLITE_OK && !last_table) rc = vt_shadow_slot_write(&slot, token, message);
    vt_shadow_slot_release(&slot);
    if (rc == SQLITE_OK && space->accept == VT_ACCEPT_WANTED) rc = vt_decide_write_all(space, token, message);
    return rc;
}

/* Under PRAGMA query_only a transaction that has written before can still be committed, and so must the token. SQLite carries the pragma out when it is prepared;
 * to run it would have every statement prepared anew. */
static int prepare_though_query_only(struct vt_space *space, const char *shadow_table, char **message) {
    sqlite3 *db = space->connection->db;
    int rc = prepare_with_database(space, shadow_table, message);
    if ((rc & 0xff) != SQLITE_READONLY || vt_pragma_int(db, NULL, "query_only", 0) == 0) return rc;
    sqlite3_stmt *off = NULL, *on = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA query_only = OFF", -1, &off, NULL) == SQLITE_OK && vt_pragma_int(db, NULL, "query_only", 1) == 0) {
        sqlite3_free(*message);
        *message = NULL;
        rc = prepare_with_database(space, shadow_table, message);
        if (sqlite3_prepare_v2(db, "PRAGMA query_only = ON", -1, &on, NULL) != SQLITE_OK && rc == SQLITE_OK)
            rc = vt_fail_sqlite(message, SQLITE_ERROR, db);
    }
    sqlite3_finalize(off);
    sqlite3_finalize(on);
    return rc;
}

int vt_txn_prepare(struct vt_space *space, const void *member, const char *shadow_table, char **message) {
    vt_txn_check(space);
    struct vt_txn *txn = &space->txn;
    if (txn->state == VT_TXN_IDLE) return SQLITE_OK;
    /* The same member again: COMMIT failed, and is repeated. What the database was written since, only it knows. */
    if (txn->state == VT_TXN_PREPARED && txn->leader != NULL && txn->leader != member) return SQLITE_OK;
    bool decides_itself = !lsm_txn_is_dirty(txn->engine) || !vt_dirty(space);
    txn->level = space->place.memory ? 0 : vt_pragma_ask(space->connection->db, space->synchronous_sql, 2);
    txn->leader = member;
    txn->state = VT_TXN_OPEN;
    txn->decides_itself = decides_itself;
    int rc;
    if (decides_itself) {
        struct lsm_error err;
        vt_error_clear(&err);
        enum lsm_sync sync = lsm_txn_is_dirty(txn->engine) ? sync_level(space) : LSM_SYNC_OFF;
        rc = check_before_commit(space, message);
        if (rc == SQLITE_OK) rc = vt_fail_engine(message, lsm_txn_prepare(txn->engine, sync, LSM_DECIDES_ITSELF, NULL, &err), &err);
    } else {
        rc = prepare_though_query_only(space, shadow_table, message);
    }
    if (rc == SQLITE_OK) txn->state = VT_TXN_PREPARED;
    return rc;
}

/* The engine transaction is gone. */
static void end(struct vt_space *space) {
    struct vt_txn *txn = &space->txn;
    txn->state = VT_TXN_IDLE;
    txn->engine = NULL;
    txn->mark_count = 0;
    txn->created_count = 0;
    txn->joined = 0;
    txn->collected = false;
    space->connection->hook_joined = false;
    vt_txn_check(space);
}

void vt_txn_commit(struct vt_space *space) {
    vt_txn_check(space);
    struct vt_txn *txn = &space->txn;
    if (txn->state == VT_TXN_IDLE) return;
    /* SQLite always calls xSync first, and what it cannot prepare it does not commit. */
    assert(txn->state == VT_TXN_PREPARED);
    if (txn->state != VT_TXN_PREPARED) { /* LCOV_EXCL_BR_LINE: asserted above */
        vt_txn_rollback(space);
        return;
    }
    for (struct vt_cursor *cursor = space->cursors; cursor != NULL; cursor = vt_cursor_after(cursor)) vt_cursor_detach(cursor);
    vt_view_forget(space);
    /* If it cannot be made durable it is committed all the same; our log waits for whoever settles that. */
    bool durable = txn->decides_itself || vt_journal_is_enough(txn->journal, txn->level) || vt_journal_sync(space, txn->journal, NULL) == SQLITE_OK;
    lsm_txn_commit(txn->engine, durable);
    if (space->accept == VT_ACCEPT_WANTED) space->accept = VT_ACCEPT_DONE;
    end(space);
}

void vt_txn_rollback(struct vt_space *space) {
    vt_txn_check(space);
    struct vt_txn *txn = &space->txn;
    if (txn->state == VT_TXN_IDLE) return;
    bool tried = txn->state == VT_TXN_PREPARED && !txn->decides_itself; /* SQLite's own commit, perhaps */
    enum vt_outcome outcome = tried ? vt_decide_outcome(space) : VT_OUTCOME_NOTHING;
    for (struct vt_cursor *cursor = space->cursors; cursor != NULL; cursor = vt_cursor_after(cursor)) vt_cursor_break(cursor, 0);
    if (outcome == VT_OUTCOME_COMMITTED) {
        vt_view_forget(space);
        lsm_txn_commit(txn->engine, false);
        end(space);
        return;
    }
    vt_view_forget_txn(space, 0);
    /* If the abort of a prepared transaction cannot be written, the store refuses writes from here on and says why. */
    if (outcome == VT_OUTCOME_UNKNOWN)
        lsm_txn_leave(txn->engine);
    else
        (void)lsm_txn_rollback(txn->engine, NULL);
    if (txn->collected) vt_shared_garbage_set(space->shared, true);
    end(space);
}

int vt_txn_get(struct vt_space *space, uint32_t tree, struct lsm_slice key, struct lsm_value *value, char **message) {
    assert(space->txn.state != VT_TXN_IDLE);
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_txn_get(space->txn.engine, tree, key, value, &err);
    return status == LSM_NOTFOUND ? SQLITE_NOTFOUND : vt_fail_engine(message, status, &err);
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

/* The statement of a pulse must not outlive the call that it beat in. */
static void end_pulse(struct vt_txn *txn) {
    if (!txn->pulse.tried) return;
    vt_pulse_release(&txn->pulse);
    txn->pulse = (struct vt_pulse){.db = txn->pulse.db};
}

static int changed(struct vt_space *space, int status, const struct lsm_error *err, char **message) {
    struct vt_txn *txn = &space->txn;
    txn->state = VT_TXN_OPEN; /* after a failure, too: the earlier prepare may be undone already, and preparing again is always right */
    if (status != LSM_OK) return vt_fail_engine(message, status, err);
    txn->writes++;
    return SQLITE_OK;
}

int vt_txn_put(struct vt_space *space, uint32_t tree, struct lsm_slice key, struct lsm_slice value, char **message) {
    assert(space->txn.state != VT_TXN_IDLE);
    struct lsm_error err;
    vt_error_clear(&err);
    vt_lookups_note_write(&space->lookups, tree);
    int status = lsm_txn_put(space->txn.engine, tree, key, value, &err);
    end_pulse(&space->txn);
    return changed(space, status, &err, message);
}

int vt_txn_delete(struct vt_space *space, uint32_t tree, struct lsm_slice key, char **message) {
    assert(space->txn.state != VT_TXN_IDLE);
    struct lsm_error err;
    vt_error_clear(&err);
    vt_lookups_note_write(&space->lookups, tree);
    int status = lsm_txn_delete(space->txn.engine, tree, key, &err);
    end_pulse(&space->txn);
    return changed(space, status, &err, message);
}

int vt_txn_delete_range(struct vt_space *space, uint32_t tree, struct lsm_slice low, struct lsm_slice high, char **message) {
    assert(space->txn.state != VT_TXN_IDLE);
    struct lsm_error err;
    vt_error_clear(&err);
    vt_lookups_note_write(&space->lookups, tree);
    int status = lsm_txn_delete_range(space->txn.engine, tree, low, high, &err);
    return changed(space, status, &err, message);
}

int vt_txn_tree_create(struct vt_space *space, struct lsm_tree_info *tree, char **message) {
    struct vt_txn *txn = &space->txn;
    assert(txn->state != VT_TXN_IDLE);
    struct lsm_tree_info *created = sqlite3_realloc64(txn->created, ((size_t)txn->created_count + 1) * sizeof *created);
    if (created == NULL) return SQLITE_NOMEM;
    txn->created = created;
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_txn_tree_create(txn->engine, tree, &err);
    end_pulse(txn);
    if (status == LSM_OK) txn->created[txn->created_count++] = *tree;
    txn->dirty.known = true; /* the shadow table is written, too */
    return changed(space, status, &err, message);
}

int vt_txn_tree_drop(struct vt_space *space, uint32_t tree, char **message) {
    assert(space->txn.state != VT_TXN_IDLE);
    struct lsm_error err;
    vt_error_clear(&err);
    int status = lsm_txn_tree_drop(space->txn.engine, tree, &err);
    end_pulse(&space->txn);
    space->txn.dirty.known = true;
    return changed(space, status, &err, message);
}

bool vt_txn_made_tree(const struct vt_space *space, struct lsm_tree_info tree) {
    for (int i = 0; i < space->txn.created_count; i++) {
        if (space->txn.created[i].tree == tree.tree && space->txn.created[i].nonce == tree.nonce) return true;
    }
    return false;
}
