-- The last table is dropped and another one made in its place, with an index, in one transaction.
@TABLE t(a UNIQUE, b);
BEGIN IMMEDIATE;
DROP TABLE t;
@TABLE t2(a INTEGER PRIMARY KEY, b UNIQUE);
@INDEX t2_i ON t2(b DESC, a);
SELECT count(*) FROM t2 WHERE b = 1;
INSERT INTO t2 VALUES (1, 1);
COMMIT;
SELECT * FROM t2 WHERE b = 1;
-- reopen
SELECT * FROM t2 WHERE b = 1;
