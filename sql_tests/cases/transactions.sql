-- Both kinds of tables in one transaction, as the shell shows it.
PRAGMA journal_mode = WAL;
CREATE TABLE o(a);
CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, v);
CREATE TEMP TABLE tokens(n INTEGER PRIMARY KEY, token);
-- LSM rows alone leave no token, both kinds do.
INSERT INTO tokens SELECT 1, value FROM l_store WHERE key = 'token';
INSERT INTO l VALUES (1, 'a');
BEGIN; INSERT INTO l VALUES (2, 'b'); COMMIT;
INSERT INTO tokens SELECT 2, value FROM l_store WHERE key = 'token';
BEGIN; INSERT INTO o VALUES (1); INSERT INTO l VALUES (3, 'c'); COMMIT;
INSERT INTO tokens SELECT 3, value FROM l_store WHERE key = 'token';
SELECT a.token = b.token, b.token = c.token, length(c.token) FROM tokens a, tokens b, tokens c WHERE a.n = 1 AND b.n = 2 AND c.n = 3;
-- Nothing of it shows in changes(), total_changes() and last_insert_rowid().
CREATE TEMP TABLE counted AS SELECT total_changes() AS before;
BEGIN; INSERT INTO l VALUES (4, 'd'), (5, 'e'); INSERT INTO o VALUES (2), (3), (4); COMMIT;
SELECT changes(), last_insert_rowid(), total_changes() - before FROM counted;
-- BEGIN ... COMMIT, and what it leaves in the temporary database.
SELECT count(*) FROM sqlite_temp_schema WHERE name = 'lsm_watch_';
BEGIN; SELECT count(*) FROM l; COMMIT;
SELECT count(*) FROM sqlite_temp_schema WHERE name = 'lsm_watch_';
INSERT INTO o VALUES (5), (6);
BEGIN; SELECT count(*) FROM l; SELECT changes(); COMMIT;
DELETE FROM lsm_watch_;
INSERT INTO lsm_watch_ VALUES (1);
PRAGMA query_only = ON;
BEGIN; SELECT count(*) FROM l; COMMIT;
PRAGMA query_only = OFF;
-- Rolled back together.
BEGIN; INSERT INTO l VALUES (6, 'f'); INSERT INTO o VALUES (7); ROLLBACK;
SAVEPOINT s; INSERT INTO l VALUES (6, 'f'); INSERT INTO o VALUES (7); ROLLBACK TO s; RELEASE s;
SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM o);
-- lsm_accept()
SELECT lsm_accept();
SELECT lsm_accept('temp');
SELECT lsm_accept('nosuch');
BEGIN; SELECT lsm_accept(); ROLLBACK;
CREATE VIEW sly AS SELECT lsm_accept();
SELECT * FROM sly;
SELECT lsm_check();
-- reopen
SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM o);
SELECT lsm_check();
-- The first reading of a connection is a check, inside of BEGIN.
CREATE VIRTUAL TABLE m USING lsm(a);
-- reopen
BEGIN; SELECT lsm_check(), (SELECT count(*) > 0 FROM o); COMMIT;
-- reopen
BEGIN; SELECT count(*) FROM lsm_check; PRAGMA integrity_check; SELECT (SELECT count(*) FROM l) > 0, (SELECT count(*) FROM o) > 0; COMMIT;
-- reopen
BEGIN; PRAGMA integrity_check; SELECT count(*) FROM m; COMMIT;
