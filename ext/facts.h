/* facts.h: what the introspection tables show: their names, columns and rows. */
#ifndef VT_FACTS_H
#define VT_FACTS_H

#include "connection.h"
#include "report.h"

struct vt_facts {
    const char *name;
    const char *columns; /* as in CREATE TABLE */
    int column_count;
    /* Add the rows. A schema without LSM tables has none. */
    int (*collect)(struct vt_connection *connection, const char *schema, struct vt_report *report, char **message);
};

const struct vt_facts *vt_facts_at(int i); /* NULL behind the last */
const struct vt_facts *vt_facts_find(const char *name);

#endif
