@CLUSTERED t(k INTEGER, name TEXT, v, PRIMARY KEY (k, name));
@TABLE r(id INTEGER PRIMARY KEY, v);
INSERT INTO t SELECT value * 7919 % 10007, 'n' || (value % 10), value FROM generate_series(1, 10000);
INSERT INTO r(v) SELECT value FROM generate_series(1, 1000);
SELECT count(*), sum(v), min(k), max(k) FROM t;
-- reopen
SELECT count(*), sum(v), min(k), max(k) FROM t;
@LSM SELECT lsm_flush();
DELETE FROM t WHERE k % 3 = 0;
UPDATE t SET v = -v WHERE k % 5 = 0;
-- reopen
SELECT count(*), sum(v) FROM t;
@LSM SELECT lsm_flush();
@LSM SELECT lsm_compact();
SELECT count(*), sum(v) FROM t;
INSERT OR REPLACE INTO t SELECT k, name, 1 FROM t WHERE k < 100;
-- reopen
SELECT count(*), sum(v) FROM t;
SELECT k, v FROM t WHERE k BETWEEN 95 AND 105 ORDER BY k;
INSERT INTO r(v) VALUES ('after reopening');
SELECT last_insert_rowid();
BEGIN;
INSERT INTO t VALUES (-1, 'never committed', 0);
-- reopen
SELECT count(*), sum(v) FROM t WHERE k < 0;
@LSM SELECT lsm_compact();
-- reopen
SELECT count(*), sum(v), sum(k) FROM t;
SELECT * FROM r ORDER BY id DESC LIMIT 2;
