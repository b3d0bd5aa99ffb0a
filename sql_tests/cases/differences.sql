-- Where an LSM table (l) differs from an ordinary one (o) without an error: the rows of docs/sql.md, one by one.
CREATE TABLE o(id INTEGER PRIMARY KEY, a INT NOT NULL DEFAULT 7, b);
CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, a INT NOT NULL DEFAULT 7, b);
.print a NULL for a column with a default
INSERT INTO o VALUES (1, NULL, 'x');
INSERT INTO l VALUES (1, NULL, 'x');
SELECT * FROM l;
INSERT INTO o VALUES (1, 7, 'x');
.print PRAGMA table_info: keys, defaults, ANY
CREATE TABLE ok(a TEXT, b ANY, PRIMARY KEY (a)) WITHOUT ROWID, STRICT;
CREATE VIRTUAL TABLE lk USING lsm(a TEXT, b ANY, PRIMARY KEY (a), STRICT);
SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info('ok') UNION ALL SELECT '--', '', '', '', '' UNION ALL SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info('lk');
SELECT dflt_value, pk FROM pragma_table_info('o') UNION ALL SELECT '--', '' UNION ALL SELECT dflt_value, pk FROM pragma_table_info('l');
.print other PRAGMAs and the schema: what is there, and of what kind
SELECT name, type FROM pragma_table_list WHERE name GLOB '[ol]k*' ORDER BY name;
SELECT 'ok', count(*) FROM pragma_index_list('ok') UNION ALL SELECT 'lk', count(*) FROM pragma_index_list('lk');
SELECT name, hidden FROM pragma_table_xinfo('lk');
.print an INTEGER PRIMARY KEY that is named twice
INSERT INTO o(id, id, a) VALUES (20, 21, 1);
INSERT INTO l(id, id, a) VALUES (20, 21, 1);
SELECT id FROM o WHERE id >= 20 UNION ALL SELECT '--' UNION ALL SELECT id FROM l WHERE id >= 20;
DELETE FROM o WHERE id >= 20;
DELETE FROM l WHERE id >= 20;
.print OR ABORT in a trigger
CREATE TABLE oc(a PRIMARY KEY ON CONFLICT REPLACE, b) WITHOUT ROWID;
CREATE VIRTUAL TABLE lc USING lsm(a PRIMARY KEY ON CONFLICT REPLACE, b);
CREATE TABLE po(x);
CREATE TABLE pl(x);
CREATE TRIGGER t1 AFTER INSERT ON po BEGIN INSERT OR ABORT INTO oc VALUES (1, new.x); END;
CREATE TRIGGER t2 AFTER INSERT ON pl BEGIN INSERT OR ABORT INTO lc VALUES (1, new.x); END;
INSERT INTO po VALUES (1), (2);
INSERT INTO pl VALUES (1), (2);
SELECT count(*), (SELECT b FROM lc) FROM oc;
.print a failing statement is undone as a whole
CREATE TABLE om(id INTEGER PRIMARY KEY, b);
CREATE VIRTUAL TABLE lm USING lsm(id INTEGER PRIMARY KEY, b);
BEGIN;
INSERT OR REPLACE INTO om SELECT 10, 1 UNION ALL SELECT 'x', 1;
INSERT OR REPLACE INTO lm SELECT 10, 1 UNION ALL SELECT 'x', 1;
SELECT (SELECT count(*) FROM om), (SELECT count(*) FROM lm);
INSERT OR ROLLBACK INTO om SELECT 20, 1 UNION ALL SELECT 'x', 1;
INSERT OR ROLLBACK INTO lm SELECT 20, 1 UNION ALL SELECT 'x', 1;
SELECT (SELECT count(*) FROM om), (SELECT count(*) FROM lm);
ROLLBACK;
.print a wrong type in a STRICT table, with an OR clause
CREATE TABLE ot(a INT) STRICT;
CREATE VIRTUAL TABLE lt2 USING lsm(a INT, STRICT);
INSERT OR IGNORE INTO ot VALUES ('x');
INSERT OR IGNORE INTO lt2 VALUES ('x');
.print UPDATE OR REPLACE onto rows that are yet to be updated
CREATE TABLE ou(a PRIMARY KEY, b) WITHOUT ROWID;
CREATE VIRTUAL TABLE lu USING lsm(a PRIMARY KEY, b);
INSERT INTO ou VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO lu VALUES (1, 'a'), (2, 'b'), (3, 'c');
UPDATE OR REPLACE ou SET a = a + 1;
UPDATE OR REPLACE lu SET a = a + 1;
SELECT * FROM ou UNION ALL SELECT * FROM lu;
.print sqlite_sequence
CREATE TABLE os(id INTEGER PRIMARY KEY AUTOINCREMENT, b);
CREATE VIRTUAL TABLE ls USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, b);
INSERT INTO os(b) VALUES (1);
INSERT INTO ls(b) VALUES (1);
SELECT * FROM sqlite_sequence;
.print all CHECK constraints of a row that is set
CREATE TABLE oq(a, b, CHECK (a > 0), CHECK (b > 0));
CREATE VIRTUAL TABLE lq USING lsm(a, b, CHECK (a > 0), CHECK (b > 0));
PRAGMA ignore_check_constraints = ON;
INSERT INTO oq VALUES (-1, 1);
INSERT INTO lq VALUES (-1, 1);
PRAGMA ignore_check_constraints = OFF;
UPDATE oq SET b = 2;
UPDATE lq SET b = 2;
SELECT (SELECT b FROM oq), (SELECT b FROM lq);
.print a comma too many
CREATE TABLE oz(a, b,);
CREATE VIRTUAL TABLE lz USING lsm(a, b,);
SELECT count(*) FROM lz;
.print changes()
INSERT INTO l VALUES (2, 1, 1), (3, 1, 1);
CREATE VIRTUAL TABLE lx USING lsm(a);
SELECT changes() > 2;
INSERT INTO l VALUES (4, 1, 1), (5, 1, 1);
BEGIN;
SELECT count(*) FROM l;
COMMIT;
INSERT INTO l VALUES (6, 1, 1), (7, 1, 1);
BEGIN;
SELECT count(*) FROM l;
SELECT changes();
COMMIT;
.print a TEXT key and a number from a column
CREATE VIRTUAL TABLE lt USING lsm(k TEXT PRIMARY KEY);
INSERT INTO lt VALUES ('5'), ('05');
CREATE TABLE n(n INT);
INSERT INTO n VALUES (5);
SELECT k FROM lt, n WHERE k = n;
DELETE FROM lt WHERE k = (SELECT n FROM n);
DELETE FROM lt WHERE k = CAST((SELECT n FROM n) AS TEXT);
SELECT k FROM lt;
INSERT INTO lt VALUES ('5'), ('5.0');
SELECT k FROM lt WHERE k = (SELECT n FROM n);
CREATE VIRTUAL TABLE lto USING lsm(k TEXT PRIMARY KEY, v);
INSERT INTO lto VALUES ('5', 1), ('5.0', 3), ('05', 2);
SELECT n FROM n LEFT JOIN lto ON k = n;
SELECT n FROM n LEFT JOIN lto ON +k = n;
.print the key of a row IN a SELECT of numbers
CREATE TABLE ort(k TEXT, x INT, PRIMARY KEY (k, x)) WITHOUT ROWID;
CREATE VIRTUAL TABLE lrt USING lsm(k TEXT, x INT, PRIMARY KEY (k, x));
INSERT INTO ort VALUES ('5', 1), ('05', 1), ('7', 2);
INSERT INTO lrt VALUES ('5', 1), ('05', 1), ('7', 2);
CREATE TABLE numeric(a NUMERIC, b);
INSERT INTO numeric VALUES (5, 1), (7, 2);
SELECT k FROM ort WHERE (k, x) IN (SELECT a, b FROM numeric);
SELECT k FROM lrt WHERE (k, x) IN (SELECT a, b FROM numeric);
SELECT k FROM lrt WHERE (+k, x) IN (SELECT a, b FROM numeric);
.print the order in which rows are updated
CREATE TABLE ord(id INTEGER PRIMARY KEY, u INT UNIQUE);
CREATE VIRTUAL TABLE lrd USING lsm(id INTEGER PRIMARY KEY, u INT UNIQUE);
WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 1000) INSERT INTO ord SELECT i, -i FROM s;
INSERT INTO lrd SELECT * FROM ord;
UPDATE OR IGNORE ord SET u = u + 1 WHERE u BETWEEN -3 AND -1;
UPDATE OR IGNORE lrd SET u = u + 1 WHERE u BETWEEN -3 AND -1;
SELECT group_concat(u) FROM ord WHERE id < 5;
SELECT group_concat(u) FROM lrd WHERE id < 5;
.print an INTEGER PRIMARY KEY and a text in a compound SELECT
CREATE TABLE oco(id INTEGER PRIMARY KEY, t TEXT COLLATE NOCASE);
CREATE VIRTUAL TABLE lco USING lsm(id INTEGER PRIMARY KEY, t TEXT COLLATE NOCASE);
INSERT INTO oco VALUES (1, 'a'), (2, 'A');
INSERT INTO lco VALUES (1, 'a'), (2, 'A');
SELECT count(*) FROM (SELECT id FROM oco UNION SELECT t FROM oco);
SELECT count(*) FROM (SELECT id FROM lco UNION SELECT t FROM lco);
SELECT count(*) FROM (SELECT id COLLATE NOCASE FROM lco UNION SELECT t FROM lco);
.print ANALYZE and INDEXED BY
ANALYZE;
SELECT count(*) FROM sqlite_stat1 WHERE tbl LIKE 'l_';
SELECT * FROM l INDEXED BY i;
.print the name of the column that rowid gives
CREATE TABLE on1(id INTEGER PRIMARY KEY, b);
CREATE VIRTUAL TABLE ln1 USING lsm(id INTEGER PRIMARY KEY, b);
CREATE TABLE on2 AS SELECT rowid FROM on1;
CREATE TABLE ln2 AS SELECT rowid FROM ln1;
SELECT name, sql FROM sqlite_schema WHERE name IN ('on2', 'ln2') ORDER BY 1 DESC;
SELECT rowid FROM on1 UNION SELECT 5 ORDER BY id;
SELECT rowid FROM ln1 UNION SELECT 5 ORDER BY id;
SELECT rowid AS id FROM ln1 UNION SELECT 5 ORDER BY id;
.print UPDATE ... FROM, several rows of which meet the same one
CREATE TABLE of1(id INTEGER PRIMARY KEY, b UNIQUE, n);
CREATE VIRTUAL TABLE lf1 USING lsm(id INTEGER PRIMARY KEY, b UNIQUE, n);
CREATE TABLE met(k, v);
INSERT INTO of1 VALUES (1, 'a', 0), (2, 'b', 0);
INSERT INTO lf1 VALUES (1, 'a', 0), (2, 'b', 0);
INSERT INTO met VALUES (1, 10), (1, 20), (1, 30), (2, 40);
UPDATE of1 SET n = n + v FROM met WHERE k = id;
SELECT changes(), group_concat(n) FROM of1;
UPDATE lf1 SET n = n + v FROM met WHERE k = id;
SELECT changes(), group_concat(n) FROM lf1;
UPDATE of1 SET id = id + v FROM met WHERE k = id;
SELECT changes(), group_concat(id) FROM of1;
UPDATE lf1 SET id = id + v FROM met WHERE k = id;
SELECT changes(), group_concat(id) FROM lf1;
INSERT INTO met VALUES (42, 'a'), (42, 'c');
UPDATE of1 SET b = v FROM met WHERE k = id;
UPDATE lf1 SET b = v FROM met WHERE k = id;
SELECT (SELECT b FROM of1 WHERE id = 42), (SELECT b FROM lf1 WHERE id = 42);
