/* schemas.h: what the parser makes of columns, for tests of what works on schemas. */
#ifndef TEST_SCHEMAS_H
#define TEST_SCHEMAS_H

#include "../../ext/ddl.h"
#include "database.h"

/* Of `count` arguments, 40 at most; to be freed. Fails the test if they are refused. */
static inline struct vt_schema *schema_of(int count, const char *const *columns) {
    const char *argv[43] = {"lsm", "main", "t"};
    struct vt_schema *schema = NULL;
    char *message = NULL;
    for (int i = 0; i < count; i++) argv[3 + i] = columns[i];
    int rc = vt_ddl_parse(db, 3 + count, argv, 2000, &schema, &message);
    if (rc != SQLITE_OK) fail_msg("%s: %s", columns[0], message);
    return schema;
}

/* The same of one text: "a|b|PRIMARY KEY(a)". */
static inline struct vt_schema *table(const char *text) {
    const char *columns[16];
    char copy[256];
    int count = 0;
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *part = strtok(copy, "|"); part != NULL; part = strtok(NULL, "|")) columns[count++] = part;
    return schema_of(count, columns);
}

#endif
