-- The first statement of a connection that reads the table, inside of BEGIN, opens others behind it.
@TABLE t(a INTEGER PRIMARY KEY, b);
CREATE TABLE o(x, y);
INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
INSERT INTO o VALUES (1, 'one'), (2, 'two');
-- reopen
BEGIN;
SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
COMMIT;
-- reopen
BEGIN;
SELECT a, (SELECT y FROM o WHERE x = a AND b > 5) FROM t ORDER BY a;
ROLLBACK;
BEGIN;
SELECT a, (SELECT y FROM o WHERE x = a AND b > 6) FROM t ORDER BY a;
COMMIT;
-- reopen
SAVEPOINT s;
INSERT INTO o SELECT a, (SELECT count(*) FROM o) FROM t UNION ALL SELECT (SELECT max(x) FROM o), 1;
SELECT * FROM o ORDER BY x, y;
ROLLBACK TO s;
SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
RELEASE s;
-- reopen
BEGIN IMMEDIATE;
DELETE FROM o WHERE x IN (SELECT a FROM t WHERE b = 10) OR EXISTS (SELECT 1 FROM o AS p WHERE p.y = 'nobody');
SELECT count(*), changes() FROM o;
ROLLBACK;
-- reopen
INSERT INTO o VALUES (7, 'seven'), (8, 'eight');
SELECT changes(), count(*) FROM t;
SELECT changes(), last_insert_rowid(), total_changes() FROM o LIMIT 1;
