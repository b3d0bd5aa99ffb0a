/* statements.h: a database with everything that a declaration can have, and statements of every kind over it, each with what takes it back: for tests that let every step of
 * a statement fail. Whatever fails, a statement of `writes` has happened whole or not at all, and one of `reads` has given its rows or an error. */
#ifndef TEST_STATEMENTS_H
#define TEST_STATEMENTS_H

static const char furniture[] =
    "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE NOT NULL, w, n NUMERIC NOT NULL DEFAULT 7, d NOT NULL "
    "DEFAULT (abs(-3) || 'x'), e NOT NULL DEFAULT ('y'),"
    "  UNIQUE(w), CONSTRAINT small CHECK (n < 1000), CHECK (v <> 'bad'));"
    "CREATE VIRTUAL TABLE u USING lsm(k TEXT PRIMARY KEY, v);"
    "CREATE VIRTUAL TABLE c USING lsm(a, b REAL, x NOT NULL DEFAULT (1 + 1), PRIMARY KEY(a DESC, b));"
    "CREATE VIRTUAL TABLE a USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, v);"
    "CREATE VIRTUAL TABLE m USING lsm(g, h, i);"
    "CREATE VIRTUAL TABLE x USING lsm(k TEXT, n, v NOT NULL DEFAULT (4 + 5), PRIMARY KEY (k, n)); CREATE VIRTUAL TABLE last USING lsm(v);"
    "INSERT INTO x(k, n) VALUES ('01', 1), ('1', 2), ('1.0', 3), ('2', 1), ('b', 1); INSERT INTO last(rowid, v) VALUES (9223372036854775807, 0);"
    "INSERT INTO t(id, v, w) VALUES (1, 'one', 'x'), (2, 'two', 'y'), (3, 'three', NULL), (10, 'ten', 4.5);"
    "INSERT INTO u VALUES ('a', 1), ('b', 2), ('c', NULL); INSERT INTO c(a, b) VALUES (1, 2), (1, 3), ('x', 1), (x'00', 5); INSERT INTO a(v) "
    "VALUES (1), (2);"
    "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 400) INSERT INTO m SELECT x % 7, x % 40, 'text ' || x FROM r;"
    "SELECT lsm_create_index('m', 'by_g', 'g, h'); SELECT lsm_create_index('u', 'by_v', 'v DESC', 1); SELECT lsm_flush(); ANALYZE";

/* What all tables hold. */
static const char state_query[] =
    "SELECT name FROM sqlite_schema ORDER BY 1; SELECT * FROM t; SELECT * FROM u; SELECT * FROM c; SELECT * FROM a; SELECT sum(h), count(*) FROM m; "
    "SELECT * FROM x; SELECT sum(v), count(*) FROM last;"
    "SELECT id FROM t WHERE w IS NOT NULL ORDER BY w; SELECT k FROM u ORDER BY v DESC; SELECT part FROM lsm_tables WHERE name <> 'w'";

#define PUT_BACK_T "DELETE FROM t; INSERT INTO t(id, v, w) VALUES (1, 'one', 'x'), (2, 'two', 'y'), (3, 'three', NULL), (10, 'ten', 4.5)"

#define PUT_BACK_A                                                                                                                                   \
    "DROP TABLE IF EXISTS a; CREATE VIRTUAL TABLE a USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, v); INSERT INTO a(v) VALUES (1), (2)"

static const char *const writes[][2] = {
    {"INSERT INTO t(v, w) VALUES ('four', 'z')", "DELETE FROM t WHERE id = 11"},
    {"INSERT OR REPLACE INTO t(id, v, w) VALUES (2, 'again', 'x')", PUT_BACK_T},
    {"INSERT OR IGNORE INTO t(id, v, w) VALUES (5, 'five', 'x'), (2, 'again', 'k')", ""},
    {"UPDATE t SET id = id + 100, w = w || id WHERE id < 10", PUT_BACK_T},
    {"DELETE FROM t WHERE v = 'TWO' OR w = 4.5", PUT_BACK_T},
    {"INSERT INTO t(v) SELECT 'n' || h FROM m WHERE g = 3 AND h < 20 ORDER BY h", PUT_BACK_T},
    {"INSERT INTO u VALUES ('d', 4), ('e', NULL)", "DELETE FROM u WHERE k > 'c'"},
    {"UPDATE u SET k = k || 'x', v = v + 10", "UPDATE u SET k = substr(k, 1, 1), v = v - 10 WHERE length(k) = 2"},
    {"REPLACE INTO u VALUES ('c', 2)", "DELETE FROM u; INSERT INTO u VALUES ('a', 1), ('b', 2), ('c', NULL)"},
    {"INSERT INTO c(a, b) VALUES (1, 4)", "DELETE FROM c WHERE b = 4"},
    {"UPDATE c SET a = 7, x = 5 WHERE b = 2", "UPDATE c SET a = 1, x = 2 WHERE a = 7"},
    {"DELETE FROM c WHERE a = 'x'", "INSERT OR IGNORE INTO c(a, b) VALUES ('x', 1)"},
    {"SELECT lsm_delete_range('c', 1, 2)", "INSERT OR IGNORE INTO c(a, b) VALUES (1, 2), (1, 3)"},
    {"SELECT lsm_delete_range('t', 2, 10)", PUT_BACK_T},
    {"SELECT lsm_truncate('main.t')", PUT_BACK_T},
    {"SELECT lsm_create_index('c', 'by_b', 'b, x COLLATE NOCASE DESC', 1)",
     "SELECT lsm_drop_index('c', 'by_b') WHERE EXISTS (SELECT 1 FROM lsm_tables WHERE part = 'by_b')"},
    {"BEGIN; UPDATE m SET h = h + 1 WHERE i = 'text 5'; SELECT lsm_create_index('m', 'by_i', 'i'); COMMIT",
     "UPDATE m SET h = 5 WHERE i = 'text 5'; SELECT lsm_drop_index('m', 'by_i') WHERE EXISTS (SELECT 1 FROM lsm_tables WHERE part = 'by_i')"},
    {"CREATE VIRTUAL TABLE w USING lsm(x TEXT NOT NULL DEFAULT 'd', y NOT NULL DEFAULT (random()), UNIQUE(x, y), CHECK (x <> ''), PRIMARY KEY(x))",
     "DROP TABLE IF EXISTS w"},
    {"BEGIN; CREATE VIRTUAL TABLE w USING lsm(x UNIQUE, y NOT NULL DEFAULT (1), CHECK (y > 0)); INSERT INTO w(x) VALUES (1); ALTER TABLE w RENAME TO "
     "w2; INSERT INTO w2(x) VALUES (2); COMMIT",
     "DROP TABLE IF EXISTS w; DROP TABLE IF EXISTS w2"},
    {"BEGIN; CREATE VIRTUAL TABLE w USING lsm(x); DROP TABLE w; COMMIT", ""},
    {"BEGIN; INSERT INTO t(v) VALUES ('k'); SAVEPOINT s; DELETE FROM t; DROP TABLE u; ROLLBACK TO s; RELEASE s; COMMIT", PUT_BACK_T},
    {"INSERT INTO a(v) VALUES (3), (4)", PUT_BACK_A},
    {"DELETE FROM a WHERE id = 2", PUT_BACK_A},
    {"BEGIN; UPDATE a SET id = 9 WHERE id = 1; INSERT INTO a(v) VALUES (5); INSERT OR IGNORE INTO a VALUES (9, 1), (2, 6), (20, 7); COMMIT",
     PUT_BACK_A},
    {"BEGIN; SAVEPOINT s; INSERT INTO a VALUES (70, 7); DELETE FROM a WHERE id = 70; ROLLBACK TO s; INSERT INTO a(v) VALUES (8); COMMIT", PUT_BACK_A},
    {"INSERT INTO last(v) VALUES (1), (2)", "DELETE FROM last WHERE v > 0"},
    {"UPDATE x SET v = v + 1 WHERE k = '1' AND n BETWEEN 1 AND 5", "UPDATE x SET v = 9 WHERE v <> 9"},
    {"INSERT OR REPLACE INTO x(k, n) SELECT k, n + 10 FROM x WHERE k < '1z'", "DELETE FROM x WHERE n > 9"},
    {"SELECT lsm_delete_range('x', '1', '1.0')", "INSERT OR IGNORE INTO x(k, n) VALUES ('1', 2), ('1.0', 3)"},
    {"SELECT lsm_delete_range('main.u', 'b', NULL)", "INSERT OR IGNORE INTO u VALUES ('b', 2), ('c', NULL)"},
    {"BEGIN; ALTER TABLE x RENAME TO y; INSERT INTO y(k, n) VALUES ('c', 1); ALTER TABLE y RENAME TO x; COMMIT", "DELETE FROM x WHERE k = 'c'"},
    {"CREATE TABLE plain(x)", "DROP TABLE IF EXISTS plain"},
    {"SELECT lsm_drop_index('m', 'by_g')",
     "SELECT lsm_create_index('m', 'by_g', 'g, h') WHERE NOT EXISTS (SELECT 1 FROM lsm_tables WHERE part = 'by_g')"},
    {"BEGIN IMMEDIATE; INSERT INTO u VALUES ('d', 4); SELECT count(*) FROM m, u WHERE m.h = u.v; COMMIT", "DELETE FROM u WHERE k > 'c'"},
};

static const char *const reads[] = {
    "SELECT id, v, w, n, d, e FROM t WHERE id BETWEEN 2 AND 9 ORDER BY id DESC",
    "SELECT id FROM t WHERE id IN (3, 1, 99, 2.0, '10', 'x') ORDER BY id",
    "SELECT id FROM t WHERE w IN ('x', NULL, 4.5, 'none') ORDER BY w DESC",
    "SELECT id FROM t WHERE id > 1 AND id < 'x' LIMIT 2 OFFSET 1",
    "SELECT k FROM u WHERE k >= 'a' AND k < 'c' AND v IS NOT NULL",
    "SELECT k FROM u WHERE v IS NULL",
    "SELECT b FROM c WHERE a = 1 AND b > 1.5 ORDER BY a DESC, b",
    "SELECT rowid FROM m WHERE g = 3 AND h IN (3, 10, 17) ORDER BY h",
    "SELECT DISTINCT g FROM m",
    "SELECT DISTINCT g FROM m ORDER BY g DESC",
    "SELECT DISTINCT g FROM m WHERE g IN (1, 3, 5) ORDER BY g",
    "SELECT x.n, x.v FROM t LEFT JOIN x ON x.k = t.id ORDER BY t.id, x.k DESC",
    "SELECT t.id, (SELECT x.n FROM x WHERE x.k = t.id AND x.n IN (1, 2, 3) ORDER BY x.k, x.n LIMIT 1) FROM t WHERE t.id <> 1",
    "SELECT x.n FROM x WHERE x.k > 'a' AND x.k <= 'b' ORDER BY x.k DESC, x.n DESC",
    "SELECT count(*) FROM m AS x CROSS JOIN m AS y ON y.i IS x.i AND y.g > x.g - 1 WHERE x.g < 2",
    "SELECT count(*) FROM m AS x CROSS JOIN m AS y ON y.i = x.i AND y.g IN (x.g, 3) WHERE x.g = 5",
    "SELECT rowid, v FROM last WHERE rowid > 5 ORDER BY rowid DESC",
    "SELECT DISTINCT g, h FROM m WHERE g BETWEEN 2 AND 3 ORDER BY g",
    "SELECT g, count(*) FROM m GROUP BY g",
    "SELECT count(*) FROM m AS x, m AS y WHERE x.i = y.i AND x.g = y.h",
    "SELECT count(*) FROM m AS x LEFT JOIN m AS y ON y.h = x.g AND y.i LIKE 'text 1%'",
    "SELECT (SELECT max(i) FROM m AS y WHERE y.h = x.h) FROM m AS x WHERE x.g = 1 ORDER BY 1",
    "SELECT min(id), max(id), count(*), sum(length(v)) FROM t",
    "SELECT lsm_check()",
    "PRAGMA integrity_check",
    "SELECT lsm_check('temp')",
    "SELECT lsm_accept()",
    "SELECT name FROM lsm_stats WHERE name LIKE 'merge%'",
    "SELECT name, part FROM lsm_tables ORDER BY name",
    "SELECT count(*) FROM lsm_files",
    "SELECT lsm_flush(), lsm_flush('main')",
    "SELECT t.v FROM t JOIN u ON t.w = u.k OR u.v = t.id",
};

#endif
