@CLUSTERED temp.t(k TEXT PRIMARY KEY, v);
@TABLE keep(id INTEGER PRIMARY KEY, v);
INSERT INTO t SELECT 'k' || value, value FROM generate_series(1, 2000);
SELECT count(*), sum(v) FROM t;
BEGIN;
DELETE FROM t WHERE v > 100;
INSERT INTO keep(v) SELECT v FROM t;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t;
SELECT count(*) FROM keep;
UPDATE t SET v = 0 WHERE k = 'k77';
SELECT * FROM t WHERE k BETWEEN 'k76' AND 'k78';
-- reopen
SELECT count(*) FROM t;
SELECT count(*) FROM keep;
