-- No plan gets worse unnoticed: what each shape of a query makes of the key, beyond single comparisons (plans.sql).
CREATE VIRTUAL TABLE t USING lsm(a INTEGER, b TEXT, c, v, PRIMARY KEY (a, b DESC, c));
CREATE VIRTUAL TABLE r USING lsm(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
CREATE VIRTUAL TABLE plain USING lsm(x, y);
CREATE VIRTUAL TABLE n USING lsm(name TEXT COLLATE NOCASE PRIMARY KEY, w);
CREATE TABLE o(k INTEGER, v TEXT);
INSERT INTO t SELECT value % 20, 'b' || (value % 50), value, value FROM generate_series(1, 20000);
INSERT INTO r SELECT value, value % 100, 'v' || value FROM generate_series(1, 20000);
INSERT INTO plain SELECT value, value FROM generate_series(1, 1000);
INSERT INTO n SELECT 'n' || value, value FROM generate_series(1, 1000);
INSERT INTO o SELECT value, 'o' || value FROM generate_series(1, 10);
ANALYZE o;
SELECT lsm_compact();
.eqp on
.print IS, IS NULL, NULL
SELECT count(*) FROM t WHERE a IS 77;
SELECT count(*) FROM t WHERE a IS NULL;
SELECT count(*) FROM plain WHERE rowid IS NULL;
SELECT count(*) FROM t WHERE a = 77 AND b IS NOT NULL;
.print IN
SELECT count(*) FROM t WHERE a IN (77, 78);
SELECT count(*) FROM t WHERE a = 77 AND b IN ('x', 'y');
SELECT count(*) FROM t WHERE a IN (77, 78) AND b > 'x';
SELECT count(*) FROM t WHERE a IN (77, 78) AND b IN ('x', 'y');
SELECT count(*) FROM t WHERE a = 77 AND b IN ('x', 'y') AND c IN (1, 2);
SELECT count(*) FROM t WHERE a IN (SELECT k FROM o WHERE k > 77);
SELECT count(*) FROM t WHERE (a, b) IN (SELECT k, v FROM o);
.print OR
SELECT count(*) FROM r WHERE id = -1 OR id = -2;
SELECT count(*) FROM r WHERE id = -1 OR id < -5;
SELECT count(*) FROM t WHERE a = 77 OR (a = 78 AND b = 'x');
SELECT count(*) FROM t WHERE a = 77 OR c = -1;
.print row values
SELECT count(*) FROM t WHERE (a, b) > (77, 'x');
SELECT count(*) FROM t WHERE (a, b) = (77, 'x');
.print LIKE, GLOB
SELECT count(*) FROM t WHERE a = 77 AND b LIKE 'x%';
SELECT count(*) FROM t WHERE a = 77 AND b GLOB 'x*';
SELECT count(*) FROM n WHERE name LIKE 'x%';
.print collations and types that do not fit the key
SELECT count(*) FROM n WHERE name = 'X';
SELECT count(*) FROM n WHERE name = 'X' COLLATE BINARY;
SELECT count(*) FROM n WHERE name = 7;
SELECT count(*) FROM t WHERE a = '77';
SELECT count(*) FROM t WHERE a + 0 = 77;
.print ORDER BY, DISTINCT, GROUP BY
SELECT a, b FROM t WHERE a = 77 ORDER BY b DESC LIMIT 3;
SELECT a, b FROM t WHERE a = 77 ORDER BY b DESC LIMIT 3 OFFSET 2;
SELECT a FROM t WHERE a > 77 ORDER BY a, b;
SELECT id FROM r WHERE id > 20000 ORDER BY id + 0;
SELECT name FROM n WHERE name > 'x' ORDER BY name;
SELECT name FROM n WHERE name > 'x' ORDER BY name COLLATE BINARY;
SELECT DISTINCT a FROM t WHERE a > 77;
SELECT a, count(*) FROM t WHERE a > 77 GROUP BY a;
SELECT a, b, count(*) FROM t WHERE a > 77 GROUP BY a, b;
SELECT c, count(*) FROM t WHERE a > 77 GROUP BY c;
SELECT id FROM r WHERE id < 0 UNION ALL SELECT k FROM o WHERE k < 0 ORDER BY 1;
SELECT id, row_number() OVER (ORDER BY id) FROM r WHERE id < 0;
.print min() and max()
SELECT min(id) FROM r;
SELECT max(id) FROM r;
SELECT max(a) FROM t;
SELECT max(b) FROM t WHERE a = 77;
SELECT max(k) FROM r WHERE id < 0;
.print joins
SELECT count(*) FROM o JOIN r ON r.id = o.k WHERE o.k < 0;
SELECT count(*) FROM r JOIN o ON r.id = o.k WHERE o.k < 0;
SELECT count(*) FROM o JOIN t ON t.a = o.k AND t.b = o.v WHERE o.k < 0;
SELECT count(*) FROM o LEFT JOIN r ON r.id = o.k WHERE o.k < 0;
SELECT count(*) FROM r AS x JOIN r AS y ON y.id = x.k WHERE x.id = -1;
SELECT count(*) FROM o JOIN plain ON plain.x = o.k WHERE o.k < 0;
SELECT count(*) FROM r AS x JOIN t ON t.a = x.k JOIN n ON n.name = x.v WHERE x.id = -1;
SELECT count(*) FROM plain AS x JOIN plain AS y ON y.x = x.y WHERE x.rowid = -1;
SELECT count(*) FROM t JOIN o ON t.a = 77 AND t.c = o.k AND t.v IS o.v;
.print joins: conditions that nothing serves say which table is first
SELECT count(*) FROM plain AS x JOIN plain AS y ON y.x = x.x WHERE x.y < 900 AND y.y = 7;
SELECT count(*) FROM plain AS x JOIN plain AS y ON y.x = x.x WHERE x.y = 7 AND y.y < 900;
.print subqueries
SELECT count(*) FROM o WHERE k < 0 AND EXISTS (SELECT 1 FROM r WHERE r.id = o.k);
SELECT (SELECT v FROM r WHERE id = o.k) FROM o WHERE k < 0;
SELECT count(*) FROM (SELECT * FROM r WHERE id < 0) WHERE id > -9;
.print rowids
SELECT x FROM plain WHERE rowid = -1;
SELECT x FROM plain WHERE rowid BETWEEN -5 AND -1 ORDER BY rowid DESC;
SELECT x FROM plain WHERE x = -1;
.print writes
DELETE FROM r WHERE id BETWEEN -9 AND -1;
DELETE FROM t WHERE a = 77 AND b = 'x';
UPDATE t SET v = 1 WHERE a = 77 AND b IN ('x', 'y');
UPDATE t SET a = 78 WHERE a = 77;
UPDATE r SET v = o.v FROM o WHERE r.id = o.k AND o.k < 0;
DELETE FROM r WHERE id IN (SELECT k FROM o WHERE k < 0);
INSERT INTO r SELECT k, k, v FROM o WHERE k < 0;
