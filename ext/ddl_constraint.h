/* ddl_constraint.h: the clauses of table definitions that constrain rows: keys, CHECK, ON CONFLICT, COLLATE; and the refusal of what is none of ours.
 *
 * Each begins at the clause's first word unless it says otherwise, and ends behind the clause. False after failing.
 */
#ifndef VT_DDL_CONSTRAINT_H
#define VT_DDL_CONSTRAINT_H

#include "ddl_parser.h"
#include "index.h"

#define VT_INDEXES_MAX 60 /* as plans count them (plan.h) */

/* The token fits nowhere: say why if it is known. */
bool vt_ddl_fail_unexpected(struct parser *p);

/* [ON CONFLICT what]; *conflict is 0 if there is none. */
bool vt_ddl_parse_conflict(struct parser *p, int *conflict);
/* COLLATE was passed. */
bool vt_ddl_parse_collation(struct parser *p, enum vt_collation *collation);
/* PRIMARY KEY in the definition of column i. */
bool vt_ddl_parse_column_key(struct parser *p, int i);
/* PRIMARY KEY (...) of the table. */
bool vt_ddl_parse_table_key(struct parser *p);
/* The columns of PRIMARY KEY, UNIQUE, INDEX: between the parentheses; then the closing one. */
bool vt_ddl_parse_key_columns(struct parser *p, struct key_clause *key);
bool vt_ddl_end_key_columns(struct parser *p);
/* UNIQUE in the definition of column i. */
bool vt_ddl_parse_column_unique(struct parser *p, int i);
/* UNIQUE (...) and INDEX name (...) of the table. */
bool vt_ddl_parse_table_index(struct parser *p);
/* With all columns and the key known: into the schema. */
bool vt_ddl_settle_index(struct parser *p, struct index_clause *clause);
bool vt_ddl_settle_indexes(struct parser *p);
void vt_ddl_release_indexes(struct parser *p);
/* An expression in parentheses; *end is the closing one. */
bool vt_ddl_skip_parentheses(struct parser *p, const char **end);
/* CHECK (...), of a column or of the table. */
bool vt_ddl_parse_check(struct parser *p);
/* CONSTRAINT name: for the next CHECK. */
bool vt_ddl_parse_constraint_name(struct parser *p);

#endif
