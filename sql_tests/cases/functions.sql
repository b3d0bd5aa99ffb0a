SELECT typeof(lsm_version());
CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v);
INSERT INTO t SELECT 'k' || value, value FROM generate_series(1, 5000);
SELECT count(*) FROM lsm_files;
SELECT lsm_flush();
SELECT count(*) > 0, sum(rows) FROM lsm_files;
UPDATE t SET v = v + 1 WHERE v % 2;
SELECT lsm_compact();
SELECT count(*), sum(rows) FROM lsm_files;
SELECT lsm_check();
SELECT count(*) > 10 FROM lsm_stats;
SELECT count(*) > 0 FROM lsm_levels;
SELECT name FROM pragma_table_info('lsm_stats');
SELECT name FROM pragma_table_info('lsm_levels');
SELECT name FROM pragma_table_info('lsm_files');
SELECT name FROM pragma_table_info('lsm_readers');
SELECT process, own, views, old_versions FROM lsm_readers;
SELECT name, value FROM lsm_stats WHERE name IN ('mode', 'mode_reason', 'processes');
BEGIN;
INSERT INTO t VALUES ('uncommitted', 0);
SELECT lsm_flush();
SELECT lsm_compact();
SELECT lsm_check();
SELECT count(*) FROM t WHERE k = 'uncommitted';
ROLLBACK;
SELECT count(*) FROM t WHERE k = 'uncommitted';
-- A transaction that writes is told at once, also if no row has changed: it would wait for itself.
BEGIN; DELETE FROM t WHERE k = 'none'; SELECT lsm_flush();
SELECT lsm_compact(); ROLLBACK;
INSERT INTO t SELECT lsm_flush(), 1;
SELECT lsm_check('nosuch');
SELECT lsm_flush(1, 2, 3);
-- A database without any LSM table has no store.
-- reopen
.open plain.db
SELECT 1;
