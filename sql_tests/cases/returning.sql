-- INSERT ... RETURNING shows the values as they were given: right where that is what is stored, and refused elsewhere.
CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, a TEXT, b INT NOT NULL DEFAULT 7);
CREATE VIRTUAL TABLE r USING lsm(a);
CREATE VIRTUAL TABLE k USING lsm(a TEXT PRIMARY KEY, b INT);
CREATE TABLE o(x INTEGER PRIMARY KEY, y);
CREATE TRIGGER tr AFTER INSERT ON o BEGIN INSERT INTO t(a) VALUES (new.y); END;
.print right
INSERT INTO t VALUES (1, 'a', 1) RETURNING *;
WITH c(x) AS (SELECT 'insert into r returning') INSERT INTO main."T" SELECT 2, x, 2 FROM c RETURNING id, upper(a) /* rowid */;
INSERT INTO k VALUES ('x', 1), ('y', 2) RETURNING a || b;
INSERT INTO o(y) VALUES ('trig') RETURNING x, rowid, y;
INSERT INTO t(a) VALUES ('returning');
.print refused
INSERT INTO t(a, b) VALUES ('b', 1) RETURNING id;
INSERT INTO t(id, a) VALUES (9, 'b') RETURNING id;
INSERT INTO t VALUES (9, 5, 1) RETURNING a;
INSERT INTO t VALUES ('9', 'x', 1) RETURNING a;
INSERT INTO t VALUES (9, 'x', 1) RETURNING "rowid";
INSERT INTO r(rowid, a) VALUES (9, 'x') RETURNING oid;
INSERT INTO r(a) VALUES ('x') RETURNING a;
REPLACE INTO k VALUES ('x', '1') RETURNING b;
INSERT OR IGNORE INTO t VALUES (1, 'x', 1), (NULL, 'y', 1) RETURNING id;
INSERT OR IGNORE INTO t VALUES (1, 'x', 1) RETURNING id;
INSERT OR IGNORE INTO k VALUES ('z', 1), ('x', 2) RETURNING a;
SELECT * FROM t; SELECT * FROM r; SELECT * FROM k;
-- Behind a statement that failed between two of its rows: what that one said does not count.
CREATE VIRTUAL TABLE behind USING lsm(a TEXT, b);
INSERT INTO behind(a, b) SELECT 1, CASE WHEN value = 2 THEN abs(-9223372036854775808) ELSE 1 END FROM json_each('[1,2]');
INSERT INTO behind(a, b) VALUES (1, 5) RETURNING rowid, a;
