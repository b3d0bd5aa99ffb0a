-- What stands on the other side of a text key may have a numeric affinity: then SQLite reads the key's texts as numbers.
@CLUSTERED t(a TEXT, PRIMARY KEY (a));
INSERT INTO t VALUES ('05'), ('10'), ('9'), ('abc'), (' 7'), ('+3'), ('.5'), ('-1'), (''), (':'), ('zebra');
@CLUSTERED u(a, PRIMARY KEY (a));
INSERT INTO u SELECT a FROM t UNION ALL SELECT 4 UNION ALL SELECT 7.5 UNION ALL SELECT x'35';
@CLUSTERED d(a TEXT, PRIMARY KEY (a DESC));
INSERT INTO d SELECT a FROM t;
@TABLE q(c INTEGER);
INSERT INTO q VALUES (' '), ('abc'), (7), (''), ('9x');
-- An upper bound that is a text in a column of numeric affinity.
SELECT count(*) FROM t WHERE a < (SELECT c FROM q WHERE rowid = 1);
SELECT count(*) FROM t WHERE a <= (SELECT c FROM q WHERE rowid = 4);
SELECT count(*) FROM u WHERE a < (SELECT c FROM q WHERE rowid = 1);
SELECT count(*) FROM d WHERE a < (SELECT c FROM q WHERE rowid = 1);
@SORTED SELECT q.c, count(*) FROM q CROSS JOIN t WHERE t.a < q.c GROUP BY q.rowid;
@SORTED SELECT q.c, count(*) FROM q CROSS JOIN u WHERE u.a < q.c GROUP BY q.rowid;
@SORTED SELECT q.c, count(*) FROM q CROSS JOIN d WHERE d.a >= q.c GROUP BY q.rowid;
@SORTED SELECT q.c, count(*) FROM q CROSS JOIN u WHERE u.a > q.c GROUP BY q.rowid;
-- A parameter within a CAST is not a bare parameter.
.parameter init
.parameter set :n 5
.parameter set :m 10
SELECT a FROM t WHERE a = CAST(:n AS INTEGER);
SELECT a FROM t WHERE a = CAST(:n AS REAL);
SELECT a FROM t WHERE a < CAST(:m AS INTEGER) ORDER BY a;
SELECT a FROM t WHERE a BETWEEN CAST(:n AS INTEGER) AND 100 ORDER BY a;
SELECT a FROM t WHERE a = (SELECT CAST(:n AS NUMERIC));
SELECT a FROM t WHERE a < (SELECT CAST(:m AS INTEGER)) ORDER BY a;
SELECT a FROM u WHERE a = CAST(:n AS INTEGER);
SELECT a FROM u WHERE a < CAST(:m AS INTEGER) ORDER BY typeof(a), a;
SELECT a FROM d WHERE a = CAST(:n AS INTEGER);
SELECT a FROM t WHERE a = :n;
SELECT a FROM t WHERE a < :m ORDER BY a;
SELECT a FROM t WHERE a < '9' ORDER BY a;
DELETE FROM t WHERE a = CAST(:n AS INTEGER);
SELECT count(*) FROM t;
-- Infinity as a text is no number.
@CLUSTERED inf(a TEXT PRIMARY KEY, b);
INSERT INTO inf VALUES (9e999, 1), (-9e999, 2), ('inf', 3), (1.5, 4);
SELECT a FROM inf WHERE a = (SELECT 9e999);
SELECT a FROM inf WHERE a = 1.5 - 9e999;
SELECT a FROM inf WHERE a IN ((SELECT 9e999), 1.5) ORDER BY a;
SELECT min(a), max(a) FROM inf WHERE (SELECT 9e999) = a;
@CLUSTERED inf2(a TEXT COLLATE NOCASE PRIMARY KEY, b);
INSERT INTO inf2 VALUES ('INF', 1);
SELECT a FROM inf2 WHERE a = (SELECT 9e999);
DELETE FROM inf WHERE a = (SELECT 9e999);
SELECT a FROM inf;
-- A number in an untyped column, behind a column with one value: the order is built on the latter only.
@CLUSTERED behind(c INT, u, v, PRIMARY KEY (c, u));
CREATE TABLE outside(r REAL);
INSERT INTO behind VALUES (5, 0, 'a'), (5, '0', 'b'), (5, 1, 'c'), (0, 0.0, 'd'), (0, '5', 'e'), (7, 0, 'f');
INSERT INTO outside VALUES (0), (5), (9);
SELECT DISTINCT a.c, a.u FROM behind AS a JOIN outside AS b ON a.c IS b.r WHERE a.u = 0 ORDER BY 1, 2 DESC;
SELECT u, v FROM behind WHERE c = 5 AND u = 0 ORDER BY u, c;
SELECT u, v FROM behind WHERE c = 5 AND u = CAST('0' AS INTEGER) ORDER BY c, v;
SELECT quote(u), v FROM outside JOIN behind ON u = r WHERE c = 5 ORDER BY u, v;
SELECT quote(u), v FROM behind WHERE c = 5 AND u = (SELECT min(r) FROM outside) ORDER BY u;
-- A literal that is a text or a blob has no affinity but the column's: SQLite does not look again.
SELECT quote(a) FROM u WHERE a >= '7' ORDER BY a;
SELECT quote(a) FROM u WHERE a > '05' AND a <= x'35' ORDER BY a;
SELECT quote(a) FROM u WHERE a < ':' ORDER BY a;
SELECT quote(a) FROM u WHERE a < x'' ORDER BY a;
SELECT quote(a) FROM u WHERE a = '9' OR a = x'35';
SELECT quote(a) FROM t WHERE a >= CAST(5 AS TEXT) AND a < CAST('a' AS BLOB) ORDER BY a DESC;
SELECT quote(a) FROM t WHERE a >= CAST('9x' AS NUMERIC) ORDER BY a;
SELECT quote(a) FROM t WHERE a >= CAST(' ' AS INTEGER) AND a < CAST('zz' AS INTEGER) ORDER BY a;
SELECT quote(a) FROM d WHERE a BETWEEN '+' AND '9' ORDER BY a;
SELECT quote(a) FROM t LEFT JOIN (SELECT 1 AS one) ON a >= '9' ORDER BY a;
SELECT one, quote(a) FROM (SELECT 1 AS one) LEFT JOIN t ON a > 'abc' AND a < 'b';
SELECT u, v FROM behind WHERE c = 5 AND u >= '0' AND u < 'x' ORDER BY u;
SELECT u, v FROM behind WHERE c = '5' AND u <= '0' ORDER BY u, v;
-- But where the upper bound is a number, all texts are walked, and SQLite has to look at the lower one, too.
SELECT quote(a) FROM u WHERE a > '3' AND a < 100 ORDER BY a;
SELECT quote(a) FROM u WHERE a >= '5' AND a <= CAST('7' AS INTEGER) ORDER BY a;
SELECT quote(a) FROM u WHERE a >= x'35' AND a < (SELECT CAST('7' AS REAL)) ORDER BY a;
SELECT quote(a) FROM t WHERE a > '3' AND a < CAST('7' AS INTEGER) ORDER BY a;
@SORTED SELECT q.rowid, quote(u.a) FROM q CROSS JOIN u WHERE u.a < q.c AND u.a > '1';
SELECT u, v FROM behind WHERE c = 5 AND u > '1' AND u < CAST('3' AS INTEGER) ORDER BY u;
UPDATE behind SET v = v || '!' WHERE c = 5 AND u >= '0';
DELETE FROM u WHERE a <= '9' AND a > '';
SELECT quote(a) FROM u ORDER BY a;
SELECT quote(u), v FROM behind ORDER BY c, u;
-- Several texts that are UNIQUE may equal one number: whoever wants the least, or an order, must see all of them.
@TABLE once(a INTEGER, d TEXT UNIQUE);
INSERT INTO once VALUES (5, '05'), (1, '5.0'), (3, '5'), (2, 'x'), (4, '7');
@TABLE sought(b NUMERIC);
INSERT INTO sought VALUES (5), (6), (7);
SELECT b, (SELECT min(i.a) FROM once AS i WHERE i.d = b), (SELECT max(i.a) FROM once AS i WHERE i.d = b) FROM sought;
SELECT b, (SELECT i.d FROM once AS i WHERE i.d = b ORDER BY i.a LIMIT 1) FROM sought;
SELECT b, (SELECT i.d FROM once AS i WHERE i.d = b ORDER BY i.a DESC LIMIT 1) FROM sought;
SELECT b, (SELECT count(*) FROM once AS i WHERE i.d = b) FROM sought;
SELECT b, group_concat(a) FROM (SELECT b, a FROM sought JOIN once ON d = b ORDER BY a) GROUP BY b;
SELECT b, v FROM sought CROSS JOIN (SELECT d, a AS v FROM once) ON d = b ORDER BY v DESC;
SELECT max(i.a), count(DISTINCT i.a) FROM once AS i WHERE i.d = (SELECT min(b) FROM sought);
SELECT DISTINCT i.a FROM once AS i WHERE i.d = (SELECT min(b) FROM sought) ORDER BY i.a;
SELECT i.a, count(*) FROM once AS i WHERE i.d = (SELECT min(b) FROM sought) GROUP BY i.a;
SELECT i.a % 2, count(*) FROM once AS i WHERE i.d = (SELECT min(b) FROM sought) GROUP BY i.a % 2 ORDER BY 1;
SELECT i.d FROM once AS i WHERE i.d = (SELECT min(b) FROM sought) ORDER BY i.d DESC;
SELECT DISTINCT i.d FROM once AS i WHERE i.d = (SELECT min(b) FROM sought) ORDER BY i.a DESC;
SELECT min(i.d), max(i.d) FROM once AS i WHERE i.d = (SELECT min(b) FROM sought);
