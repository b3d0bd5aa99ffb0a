-- The tables that tell of a store, asked in every way that SQL has; and functions over names that need quotes.
CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v);
INSERT INTO t SELECT value, 'v' FROM generate_series(1, 300);
SELECT lsm_flush();
ATTACH 'other.db' AS other;
CREATE VIRTUAL TABLE other.t USING lsm(k INTEGER PRIMARY KEY, v);
SELECT name, part FROM lsm_tables;
SELECT name, part FROM lsm_tables('other');
SELECT count(*) FROM lsm_files WHERE schema = 'other';
SELECT count(*) FROM lsm_files WHERE schema = NULL;
SELECT count(*) FROM lsm_files WHERE schema > 'a';
SELECT count(*) FROM lsm_files WHERE number = 3 AND level = 0 OR level >= 0;
-- Only when the other table is known does one know the schema.
SELECT d.name, (SELECT count(*) FROM lsm_tables(d.name)) FROM pragma_database_list AS d ORDER BY 1;
SELECT d.name, f.name FROM lsm_tables AS f JOIN pragma_database_list AS d ON f.schema = d.name ORDER BY 1;
SELECT rowid, name FROM lsm_tables;
SELECT name FROM lsm_tables WHERE rowid = 1;
SELECT * FROM lsm_check;
SELECT * FROM lsm_check('other');
SELECT views, oldest_seconds >= 0 FROM lsm_readers, t WHERE t.k = 1;
SELECT name, value, unit FROM lsm_stats WHERE name IN ('mode', 'mode_reason', 'stall_reason', 'range_deletes') ORDER BY 1;
-- In memory there is nobody to share with.
ATTACH ':memory:' AS m;
CREATE VIRTUAL TABLE m.t USING lsm(k INTEGER PRIMARY KEY, v);
SELECT name, value FROM lsm_stats('m') WHERE name IN ('mode', 'processes') ORDER BY 1;
SELECT own, oldest_seconds FROM lsm_readers('m');
-- Space is held back on a disk, not in memory.
INSERT INTO m.t SELECT value, zeroblob(1000) FROM generate_series(1, 1000);
INSERT INTO other.t SELECT value, zeroblob(1000) FROM generate_series(1, 1000);
SELECT name, value FROM lsm_stats('m') WHERE name = 'reserve_bytes';
SELECT name, value > 500000 FROM lsm_stats('other') WHERE name = 'reserve_bytes';
-- Nobody calls what runs the library's own work.
SELECT lsm_errand_();
DELETE FROM t WHERE lsm_errand_();
SELECT count(*) FROM t;
-- Names as SQL has them, with and without their quotes.
CREATE VIRTUAL TABLE "two words" USING lsm("a b", "1st", "q""q", _u, Upper, "é", "", PRIMARY KEY ("a b", _u));
INSERT INTO "two words"("a b", "1st", "q""q", _u, Upper, "é") SELECT value % 3, value % 5, value % 7, value, value % 2, value % 4 FROM generate_series(1, 60);
SELECT lsm_create_index('two words', 'by 1', '"1st", "q""q"');
SELECT lsm_create_index('"two words"', 'by_upper', 'Upper, "é"');
SELECT count(*) FROM "two words" AS x CROSS JOIN "two words" AS y ON y."q""q" = x."1st" AND y."é" >= x.Upper;
SELECT count(*) FROM "two words" AS x CROSS JOIN "two words" AS y ON y.Upper = x._u AND y."1st" < x."a b" AND y."q""q" = x."q""q";
SELECT count(*) FROM "two words" AS x CROSS JOIN "two words" AS y ON y."" IS x."" AND y."é" = x."é";
SELECT DISTINCT Upper FROM "two words" ORDER BY Upper;
SELECT DISTINCT "1st" FROM "two words" ORDER BY 1;
SELECT DISTINCT "a b" FROM "two words" ORDER BY 1 DESC;
SELECT name, part FROM lsm_tables WHERE name = 'two words';
SELECT lsm_drop_index('main."two words"', 'by 1');
SELECT lsm_delete_range('two words', 1, 2);
SELECT count(*) FROM "two words";
SELECT lsm_truncate('two words');
SELECT count(*) FROM "two words";
SELECT lsm_truncate(NULL);
SELECT lsm_create_index(NULL, 'x', 'k');
SELECT lsm_truncate('no.such.table');
SELECT lsm_truncate('');
SELECT lsm_truncate('a,b');
SELECT lsm_truncate('main.5');
-- LIMIT with a negative number is none, an expression is not known when the statement is planned.
SELECT count(*) FROM (SELECT k FROM t WHERE k > 10 LIMIT -1);
SELECT count(*) FROM (SELECT k FROM t WHERE k > 10 LIMIT (SELECT 7) OFFSET (SELECT 2));
SELECT k FROM t WHERE k > 10 ORDER BY k LIMIT -1 OFFSET 288;
-- What the library makes of the key nobody writes, but for who moves rows about.
CREATE VIRTUAL TABLE c USING lsm(k TEXT PRIMARY KEY, v);
INSERT INTO c VALUES ('a', 1), ('b', 2);
SELECT name FROM pragma_table_xinfo('c') WHERE hidden = 1;
INSERT INTO c(k, v, _pk) VALUES ('c', 3, x'00');
INSERT INTO c(k, v, _pk) VALUES ('c', 3, (SELECT _pk FROM c WHERE k = 'a'));
UPDATE c SET _pk = x'00' WHERE k = 'a';
UPDATE c SET v = 7, _pk = _pk WHERE k = 'a';
SELECT k, v FROM c;
-- A database in memory has nothing to fit; another file under a name that was another one's before.
SELECT lsm_accept('m');
BEGIN; CREATE TABLE m.plain(v); INSERT INTO m.plain VALUES (1); INSERT INTO t VALUES (301, 'both'); COMMIT;
SELECT count(*) FROM m.plain, t WHERE t.k = 301;
DETACH other;
ATTACH 'third.db' AS other;
SELECT name FROM lsm_tables('other');
CREATE VIRTUAL TABLE other.u USING lsm(v);
SELECT name FROM lsm_tables('other');
DETACH other;
ATTACH 'other.db' AS other;
SELECT name FROM lsm_tables('other');
-- Names that are words with a digit, and some that are none.
CREATE VIRTUAL TABLE names USING lsm(a1, "a~b", "a{", "a b""", a);
INSERT INTO names SELECT value % 5, value % 7, value % 3, value % 2, value FROM generate_series(1, 100);
SELECT count(*), sum(x.a) FROM names AS x CROSS JOIN names AS y ON y.a1 = x."a{" AND y."a~b" > x.a1;
SELECT count(*), sum(x.a) FROM names AS x CROSS JOIN names AS y ON y."a~b" = x."a{" AND y."a{" IS x."a b""";
SELECT count(*), sum(x.a) FROM names AS x CROSS JOIN names AS y ON y."a b""" = x."a b""" AND y.a <> x.a;
-- A declaration that nobody can read any more: the check tells, and goes on.
.dbconfig defensive off
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE names USING lsm(a1 REFERENCES b)' WHERE name = 'names';
PRAGMA writable_schema = OFF;
-- reopen
SELECT * FROM lsm_check;
SELECT count(*) FROM t;
