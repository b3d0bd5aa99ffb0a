/* tool.h: what the commands of lsmtool share: the store they are to look at, and the tables whose rows it holds.
 *
 * An offline program: it is alone with the store, works on files, and says on stderr what it cannot do. Out of memory ends it.
 */
#ifndef LSMTOOL_TOOL_H
#define LSMTOOL_TOOL_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ext/catalogue.h"
#include "../../ext/key_codec.h"
#include "../../ext/shadow.h"
#include "../../lsm_core/base/base.h"
#include "../../lsm_core/env/env.h"
#include "../../lsm_core/env/filename.h"
#include "../../lsm_core/version/manifest.h"
#include "../../lsm_core/version/version.h"

/* What the program ends with. */
enum { TOOL_OK = 0, TOOL_DAMAGE = 1, TOOL_USAGE = 2, TOOL_CANNOT = 3 };

/* Say why on stderr, with "lsmtool: " in front, and return the code. */
int tool_fail(int code, const char *format, ...) LSM_PRINTF(2, 3);
/* End the program if this is NULL. */
void *tool_got(void *memory);
void tool_append(struct lsm_buf *buf, const void *bytes, size_t size);
void tool_set(struct lsm_buf *buf, struct lsm_slice bytes);

/* ---- the store (target.c) -------------------------------------------------------------------------------------------- */

struct tool_table {
    char *name, *sql;         /* CREATE VIRTUAL TABLE, as the database has it */
    struct vt_schema *schema; /* added indexes included; NULL: see wrong */
    struct vt_shadow shadow;  /* which tree its rows are in */
    struct vt_catalogue catalogue;
    char *wrong; /* why it cannot be understood, or NULL */
};

struct tool_target {
    char *database; /* NULL: a store's directory was given, and of its tables nothing is known */
    char *dir;
    uint8_t store_id[LSM_STORE_ID_BYTES];
    sqlite3 *db;               /* of the database, for reading */
    struct tool_table *tables; /* those of this store */
    size_t tables_count;
    struct lsm_file *lock; /* keeps everybody else out */
};

/* `path`: a database file, or a store's directory. Refuses, with TOOL_CANNOT, a store that a living process has open; on success nobody can open it until
 * tool_close(). On any other code nothing is held. */
int tool_open(const char *path, struct tool_target *target);
void tool_close(struct tool_target *target);

/* What a tree is for people: `table t`, `index i of table t`, `numbers of table t`, or `tree 7`. Static memory, until the next call. */
const char *tool_tree_name(const struct tool_target *target, uint32_t tree);
/* A full key for people, in static memory: what tree, and the bytes. */
const char *tool_key_text(const struct tool_target *target, struct lsm_slice key);
/* The table whose rows, or one of whose indexes, the tree is; NULL: neither. index: which, -1: the rows. */
const struct tool_table *tool_table_of(const struct tool_target *target, uint32_t tree, int *index);

/* ---- the tables (tables.c) -------------------------------------------------------------------------------------------- */

/* Read the definitions of all LSM tables of the database. False: the database itself cannot be read, and why was said. */
bool tool_tables_read(struct tool_target *target);
void tool_tables_release(struct tool_target *target);

/* ---- what the manifest says (state.c) ---------------------------------------------------------------------------------- */

struct tool_state {
    struct lsm_version *version; /* NULL: nothing was read */
    struct lsm_tree_info *trees;
    size_t trees_count;
    uint64_t number, bytes; /* of the manifest: how much of it was understood */
    bool torn;              /* and what stands behind that is no whole record */
    uint64_t next_file, log_position, log_generation, log_durable;
    uint32_t next_tree;
    bool has_token;
    uint8_t token[LSM_TOKEN_BYTES];
};

/* By CURRENT, all of it. On error the state is empty. */
int tool_state_read(const struct tool_target *target, struct tool_state *state, struct lsm_error *err) LSM_MUST_CHECK;
/* As much as can be understood of MANIFEST-<number>: LSM_OK if it is all, with anything else the state is that of the edits before the damage. */
int tool_state_rescue(const struct tool_target *target, uint64_t number, struct tool_state *state, struct lsm_error *err) LSM_MUST_CHECK;
void tool_state_release(struct tool_state *state);
int tool_state_add_tree(struct tool_state *state, struct lsm_tree_info tree) LSM_MUST_CHECK;
void tool_state_drop_tree(struct tool_state *state, uint32_t tree);
bool tool_state_has_tree(const struct tool_state *state, uint32_t tree);

/* The numbers of the directory's files of one type, ascending; lsm_free(). */
int tool_list(const struct tool_target *target, enum lsm_file_type type, uint64_t **numbers, size_t *count, struct lsm_error *err) LSM_MUST_CHECK;

/* ---- commands ----------------------------------------------------------------------------------------------------------- */

int tool_show(const struct tool_target *target);
int tool_verify(const struct tool_target *target);
int tool_dump(const struct tool_target *target, char **tables, int tables_count);
int tool_salvage(const struct tool_target *target, const char *destination);

#endif
