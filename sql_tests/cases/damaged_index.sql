.output /dev/null
.dbconfig defensive off
.output
-- A shadow table that names the tree of another table's index, or nonsense: said, not believed.
CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, b INT, c TEXT, INDEX i (b), UNIQUE (c));
CREATE VIRTUAL TABLE u USING lsm(id INTEGER PRIMARY KEY, b INT, c TEXT, INDEX i (b), UNIQUE (c));
INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c');
INSERT INTO u VALUES (1, 10, 'a'), (7, 70, 'x'), (8, 70, 'y'), (9, 30, 'c');
SELECT lsm_check();
UPDATE t_store SET value = (SELECT value FROM u_store WHERE key = 'index i') WHERE key = 'index i';
UPDATE t_store SET value = (SELECT value FROM u_store WHERE key = 'index unique_1') WHERE key = 'index unique_1';
-- reopen
.output /dev/null
.dbconfig defensive off
.output
SELECT lsm_check();
SELECT c FROM t WHERE b = 70;
SELECT id FROM t WHERE b = 70;
INSERT OR REPLACE INTO t VALUES (5, 1, 'y');
SELECT * FROM t;
UPDATE t_store SET value = 'nonsense' WHERE key = 'index i';
-- reopen
.output /dev/null
.dbconfig defensive off
.output
SELECT * FROM t;
SELECT * FROM u;
SELECT lsm_check();
DELETE FROM t_store WHERE key = 'index i';
-- reopen
.output /dev/null
.dbconfig defensive off
.output
SELECT * FROM t;
INSERT INTO t_store(key, value) SELECT 'index i', value FROM u_store WHERE key = 'index i';
INSERT INTO t_store(key, value) SELECT 'index more', value || ' (nosuch)' FROM u_store WHERE key = 'index i';
-- reopen
SELECT * FROM t;
DROP TABLE t;
SELECT name FROM sqlite_schema WHERE name GLOB 't*';
SELECT lsm_check();
