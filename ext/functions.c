#include "functions.h"

#include <string.h>

#include "check.h"
#include "ddl_token.h"
#include "errand.h"
#include "home.h"
#include "index_ddl.h"
#include "pulse.h"
#include "range_delete.h"

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

static int do_nothing(void *arg, char **message) {
    (void)arg;
    (void)message;
    return SQLITE_OK;
}

/* Whoever begins to write one of the tables ends what a process that died has left undecided. */
static int settle(struct vt_space *space, char **message) {
    struct vt_shadow_list list;
    struct vt_errand errand = {.work = do_nothing};
    int rc = vt_shadow_list(space->connection->db, space->schema, &list, message);
    if (rc == SQLITE_OK && list.count > 0) {
        char *table = list.entries[0].table;
        table[strlen(table) - strlen("_" VT_SHADOW_SUFFIX)] = '\0';
        rc = vt_errand_run(space->connection, space->schema, table, &errand, message);
    }
    vt_shadow_list_release(&list);
    return rc;
}

static int work_once(struct vt_space *space, maintain_fn work, char **message) {
    struct lsm_error err;
    vt_error_clear(&err);
    struct vt_pulse pulse = {.db = space->connection->db};
    int rc = vt_fail_engine(message, work(space->store, vt_pulse_stops, &pulse, &err), &err);
    vt_pulse_release(&pulse);
    return rc;
}

/* Inside of BEGIN nothing is settled: the transaction would be the writer, which the work has to wait for. */
static int work_settled(struct vt_space *space, maintain_fn work, char **message) {
    int rc = work_once(space, work, message);
    if (rc != SQLITE_BUSY || lsm_store_pending(space->store, NULL) == LSM_PENDING_NONE || sqlite3_get_autocommit(space->connection->db) == 0)
        return rc;
    sqlite3_free(*message);
    *message = NULL;
    rc = settle(space, message);
    return rc == SQLITE_OK ? work_once(space, work, message) : rc;
}

static void maintain(sqlite3_context *context, int argc, sqlite3_value **argv, const char *name, maintain_fn work) {
    struct vt_space *space = open_space(context, argc, argv);
    if (space == NULL) return;
    /* Also if no row was changed yet: it is the one writer, for which the work would have to wait. */
    if (space->txn.state != VT_TXN_IDLE) {
        result_error(context, SQLITE_BUSY, sqlite3_mprintf("%s(): this transaction writes LSM tables; COMMIT first", name));
        return;
    }
    char *message = NULL;
    int rc = space->store == NULL ? SQLITE_OK : work_settled(space, work, &message);
    if (rc == SQLITE_OK)
        sqlite3_result_text(context, "ok", -1, SQLITE_STATIC);
    else
        result_error(context, rc, message);
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

/* ---- indexes ---------------------------------------------------------------------------------------------------- */

/* *text: of an argument, NULL if it is NULL. SQLITE_NOMEM if there is no room for it. */
static int text_of(sqlite3_value *argument, const char **text) {
    *text = (const char *)sqlite3_value_text(argument);
    return *text == NULL && sqlite3_value_type(argument) != SQLITE_NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* `table` or `schema.table`, as in SQL; both the caller's to free. NULL has no name: SQLITE_MISUSE. */
static int split_name(sqlite3_value *argument, char **schema, char **table) {
    const char *text;
    *schema = *table = NULL;
    int rc = text_of(argument, &text);
    if (rc != SQLITE_OK || text == NULL) return rc == SQLITE_OK ? SQLITE_MISUSE : rc;
    struct vt_token first = vt_token_scan(text), dot = vt_token_scan(first.start + first.size), second = vt_token_scan(dot.start + dot.size);
    bool qualified = dot.kind == VT_TOKEN_PUNCT && *dot.start == '.';
    struct vt_token last = qualified ? second : first;
    if (!vt_token_is_name(&first) || !vt_token_is_name(&last) || vt_token_scan(last.start + last.size).kind != VT_TOKEN_END) {
        *schema = sqlite3_mprintf("main"); /* not a name as SQL has it without quotes: the name of a table all the same */
        *table = sqlite3_mprintf("%s", text);
    } else {
        *schema = qualified ? vt_token_unquoted(first) : sqlite3_mprintf("main");
        *table = vt_token_unquoted(last);
    }
    return *schema != NULL && *table != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* columns NULL: the index is dropped. */
static void change_indexes(sqlite3_context *context, sqlite3_value **argv, sqlite3_value *columns, bool unique) {
    char *schema, *table, *message = NULL;
    struct vt_index_request request = {.unique = unique};
    struct vt_index_name which = {0};
    struct vt_connection *connection = sqlite3_user_data(context);
    int rc = split_name(argv[0], &schema, &table);
    which.schema = schema;
    which.table = table;
    if (rc == SQLITE_OK) rc = text_of(argv[1], &which.name);
    if (rc == SQLITE_OK && columns != NULL) rc = text_of(columns, &request.columns);
    if (rc == SQLITE_OK && (which.name == NULL || (columns != NULL && request.columns == NULL))) rc = SQLITE_MISUSE;
    if (rc == SQLITE_OK) {
        rc = columns == NULL ? vt_index_drop(connection, &which, &message) : vt_index_create(connection, &which, &request, &message);
    } else if (rc == SQLITE_MISUSE) {
        message = sqlite3_mprintf("the names of a table and of an index are wanted, and for a new one its columns");
    }
    if (rc == SQLITE_OK) {
        sqlite3_result_text(context, "ok", -1, SQLITE_STATIC);
    } else {
        result_error(context, rc, message);
    }
    sqlite3_free(schema);
    sqlite3_free(table);
}

static void create_index(sqlite3_context *context, int argc, sqlite3_value **argv) {
    change_indexes(context, argv, argv[2], argc > 3 && sqlite3_value_int(argv[3]) != 0);
}

static void drop_index(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    change_indexes(context, argv, NULL, false);
}

/* ---- many rows at once ------------------------------------------------------------------------------------------- */

/* low NULL: all rows. */
static void delete_many(sqlite3_context *context, sqlite3_value *name, sqlite3_value *low, sqlite3_value *high) {
    struct vt_connection *connection = sqlite3_user_data(context);
    char *schema, *table, *message = NULL;
    int rc = split_name(name, &schema, &table);
    if (rc == SQLITE_OK) {
        rc = low == NULL ? vt_range_truncate(connection, schema, table, &message) : vt_range_delete(connection, schema, table, low, high, &message);
    } else if (rc == SQLITE_MISUSE) {
        message = sqlite3_mprintf("the name of a table is wanted");
    }
    if (rc == SQLITE_OK) {
        sqlite3_result_text(context, "ok", -1, SQLITE_STATIC);
    } else {
        result_error(context, rc, message);
    }
    sqlite3_free(schema);
    sqlite3_free(table);
}

static void truncate_table(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    delete_many(context, argv[0], NULL, NULL);
}

static void delete_range(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    delete_many(context, argv[0], argv[1], argv[2]);
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
    {"lsm_create_index", 3, SQLITE_UTF8 | SQLITE_DIRECTONLY, create_index},
    {"lsm_create_index", 4, SQLITE_UTF8 | SQLITE_DIRECTONLY, create_index},
    {"lsm_drop_index", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, drop_index},
    {"lsm_truncate", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, truncate_table},
    {"lsm_delete_range", 3, SQLITE_UTF8 | SQLITE_DIRECTONLY, delete_range},
    {VT_ERRAND_FUNCTION, 0, SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_DETERMINISTIC, vt_errand_call},
};

int vt_functions_register(struct vt_connection *connection) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        struct vt_connection *counted = vt_connection_ref(connection->db);
        if (counted == NULL) return SQLITE_NOMEM;
        /* Calls the destructor if it fails, too. */
        int rc = sqlite3_create_function_v2(connection->db, functions[i].name, functions[i].argc, functions[i].flags, counted, functions[i].call,
                                            NULL, NULL, vt_connection_unref);
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK;
}
