#include "functions.h"

#include <string.h>

#include "check.h"
#include "home.h"

static void result_error(sqlite3_context *context, int rc, char *message) {
    if (message != NULL) sqlite3_result_error(context, message, -1);
    sqlite3_result_error_code(context, rc);
    sqlite3_free(message);
}

/* The schema named by the argument, main if there is none. */
static const char *schema_argument(int argc, sqlite3_value **argv) {
    const char *name = argc > 0 ? (const char *)sqlite3_value_text(argv[0]) : NULL;
    return name == NULL ? "main" : name;
}

static struct vt_space *open_space(sqlite3_context *context, int argc, sqlite3_value **argv) {
    struct vt_connection *connection = sqlite3_user_data(context);
    const char *schema = schema_argument(argc, argv);
    char *message = NULL;
    struct vt_space *space = vt_space_find(connection, schema);
    int rc = space == NULL ? SQLITE_NOMEM : vt_home_open(space, VT_OPEN_EXISTING, &message);
    if (rc == SQLITE_OK) return space;
    result_error(context, rc, message);
    return NULL;
}

static void version(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    sqlite3_result_text(context, LSM_VERSION, -1, SQLITE_STATIC);
}

typedef int (*maintain_fn)(struct lsm_store *store, lsm_interrupt_fn interrupted, void *arg, struct lsm_error *err);

static void maintain(sqlite3_context *context, int argc, sqlite3_value **argv, const char *name, maintain_fn work) {
    struct vt_space *space = open_space(context, argc, argv);
    if (space == NULL) return;
    if (space->txn.state != VT_TXN_IDLE && lsm_txn_is_dirty(space->txn.engine)) {
        result_error(context, SQLITE_BUSY, sqlite3_mprintf("%s(): this transaction has written LSM tables; COMMIT first", name));
        return;
    }
    if (space->store != NULL) {
        struct lsm_error err;
        vt_error_clear(&err);
        char *message = NULL;
        int rc = vt_fail_engine(&message, work(space->store, vt_interrupted, space->connection, &err), &err);
        if (rc != SQLITE_OK) {
            result_error(context, rc, message);
            return;
        }
    }
    sqlite3_result_text(context, "ok", -1, SQLITE_STATIC);
}

static void flush(sqlite3_context *context, int argc, sqlite3_value **argv) { maintain(context, argc, argv, "lsm_flush", lsm_store_flush); }

static void compact(sqlite3_context *context, int argc, sqlite3_value **argv) { maintain(context, argc, argv, "lsm_compact", lsm_store_compact); }

static void add_line(void *arg, const char *text) {
    sqlite3_str *lines = arg;
    if (sqlite3_str_length(lines) > 0) sqlite3_str_appendchar(lines, 1, '\n');
    sqlite3_str_appendall(lines, text);
}

static void check(sqlite3_context *context, int argc, sqlite3_value **argv) {
    sqlite3_str *lines = sqlite3_str_new(NULL);
    char *message = NULL;
    int rc = vt_check_schema(sqlite3_user_data(context), schema_argument(argc, argv), add_line, lines, &message);
    if (rc == SQLITE_OK) rc = sqlite3_str_errcode(lines);
    bool clean = sqlite3_str_length(lines) == 0;
    char *text = sqlite3_str_finish(lines);
    if (rc != SQLITE_OK) {
        sqlite3_free(text);
        result_error(context, rc, message);
    } else if (clean) {
        sqlite3_free(text);
        sqlite3_result_text(context, "ok", -1, SQLITE_STATIC);
    } else {
        sqlite3_result_text(context, text, -1, sqlite3_free);
    }
}

static void accept_both(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char *report = NULL, *message = NULL;
    int rc = vt_accept(sqlite3_user_data(context), schema_argument(argc, argv), &report, &message);
    if (rc == SQLITE_OK) {
        sqlite3_result_text(context, report, -1, sqlite3_free);
    } else {
        result_error(context, rc, message);
    }
}

static const struct {
    const char *name;
    int argc, flags;
    void (*call)(sqlite3_context *context, int argc, sqlite3_value **argv);
} functions[] = {
    {"lsm_version", 0, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, version},
    {"lsm_flush", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, flush},
    {"lsm_flush", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, flush},
    {"lsm_compact", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, compact},
    {"lsm_compact", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, compact},
    {"lsm_accept", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, accept_both},
    {"lsm_accept", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, accept_both},
    {"lsm_check", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, check},
    {"lsm_check", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, check},
};

int vt_functions_register(struct vt_connection *connection) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        struct vt_connection *counted = vt_connection_ref(connection->db);
        if (counted == NULL) return SQLITE_NOMEM;
        /* Calls the destructor if it fails, too. */
        int rc = sqlite3_create_function_v2(connection->db, functions[i].name, functions[i].argc, functions[i].flags, counted, functions[i].call, NULL, NULL,
                                            vt_connection_unref);
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK;
}
