-- The sqlite3 shell; FOLDER/lsm is put in place of @EXTENSION.
.load @EXTENSION
SELECT 'sqlite ' || sqlite_version();
PRAGMA busy_timeout = 10000;
PRAGMA journal_mode = WAL;
CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n));
CREATE TABLE o(k TEXT PRIMARY KEY, v);
.parameter init
.parameter set @integer 9223372036854775807
.parameter set @negative -9007199254740993
.parameter set @real 1.5
.parameter set @text "'it''s zażółć'"
.parameter set @kanji "'日本'"
.parameter set @emoji "'😀𝄞'"
.parameter set @blob "x'00ff10'"
.parameter set @null NULL
BEGIN;
INSERT INTO t(k, v) VALUES ('integer', @integer), ('negative', @negative), ('real', @real), ('text', @text), (@kanji, @emoji), ('blob', @blob), ('null', @null);
INSERT INTO o(k, v) SELECT k, v FROM t;
COMMIT;
SELECT 'row ' || k || ' ' || typeof(v) || ' ' || quote(v) FROM t ORDER BY k;
BEGIN; DELETE FROM t; INSERT INTO o VALUES ('lost', 1); ROLLBACK;
SELECT 'rollback ' || (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
BEGIN; INSERT INTO t(k, v) VALUES ('c', 1); INSERT INTO o VALUES ('c', 1); COMMIT;
SELECT 'commit ' || (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
BEGIN; INSERT INTO t(k) VALUES ('d'); SAVEPOINT s; DELETE FROM t; INSERT INTO t(k) VALUES ('lost'); ROLLBACK TO s; RELEASE s; COMMIT;
SELECT 'savepoint ' || (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
INSERT INTO t(k) VALUES ('c');
.open test.db
.load @EXTENSION
SELECT 'reopened ' || (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
.connection 1
.open test.db
.load @EXTENSION
INSERT INTO t(k) VALUES ('second');
.connection 0
SELECT 'second ' || (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o);
BEGIN IMMEDIATE; INSERT INTO t(k) VALUES ('undone');
.connection 1
INSERT INTO t(k) VALUES ('busy');
.connection 0
ROLLBACK;
.connection close 1
SELECT 'check ' || lsm_check() || ' ' || count(*) FROM t;
INSERT INTO t(k) VALUES ('left open');
.print left open
