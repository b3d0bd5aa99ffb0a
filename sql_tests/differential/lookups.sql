-- Joins on columns that no key or index serves. CROSS JOIN fixes which table is read inside.
@TABLE a(id INTEGER PRIMARY KEY, x, n INT, t TEXT, c TEXT COLLATE NOCASE, r REAL, w);
@TABLE b(id INTEGER PRIMARY KEY, x, n INT, t TEXT, c TEXT COLLATE RTRIM, r REAL, w);
@CLUSTERED k(p TEXT, q INT, x, t TEXT, PRIMARY KEY (p, q DESC), INDEX by_x (x));
INSERT INTO a(id, x) VALUES (1, NULL), (2, 5), (3, 5.0), (4, '5'), (5, '05'), (6, ' 5'), (7, 'abc'), (8, 'ABC'), (9, 'abc  '), (10, x'616263'), (11, ''), (12, 0.1 + 0.2),
  (13, '0.3'), (14, 9007199254740993), (15, 9007199254740992.0), (16, '1e3'), (17, 1000), (18, '9223372036854775808'), (19, -9223372036854775808), (20, 1e300), (21, '1.0e+300');
UPDATE a SET n = x, t = x, c = x, r = x, w = 'w' || id;
INSERT INTO b SELECT id + 100, x, n, t, c, r, w FROM a;
INSERT INTO k SELECT w, id, x, t FROM a;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x IS b.x ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.n ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.t ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.c ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.r ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.n = b.x ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.n = b.t ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.n = b.c ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.t = b.x ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.t = b.n ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.t = b.c ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON b.t = a.c ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.c = b.c ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON b.c = a.c ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.c = b.t COLLATE BINARY ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.r = b.r ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.r = b.t ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON CAST(a.x AS TEXT) = b.x ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON CAST(a.x AS REAL) = b.t ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x + 0 = b.t ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x || '' = b.n ORDER BY 1, 2;
-- Several columns; with more conditions; the inner table by a range, an index, in order.
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x AND a.t IS b.t AND a.w = b.w ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x AND b.id > 110 ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x AND b.id BETWEEN 102 AND 120 AND b.w LIKE 'w1%' ORDER BY 1, 2;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x AND b.id > a.id + 102 ORDER BY 1, 2;
SELECT a.id, k.p FROM a CROSS JOIN k ON a.w = k.t ORDER BY 1, 2;
SELECT a.id, k.p, k.q FROM a CROSS JOIN k ON a.x = k.t WHERE a.id = 2 ORDER BY k.p, k.q DESC;
SELECT a.id, k.p FROM a CROSS JOIN k ON a.t = k.t AND k.x >= 5 ORDER BY 1, 2;
SELECT a.id, (SELECT group_concat(id) FROM (SELECT id FROM b WHERE b.x = a.x ORDER BY b.id)) FROM a ORDER BY 1;
SELECT a.id, (SELECT id FROM b WHERE b.t = a.t ORDER BY b.id DESC LIMIT 1) FROM a ORDER BY 1;
SELECT a.id, (SELECT x FROM k WHERE k.t = a.t ORDER BY k.x DESC, k.p DESC LIMIT 1) FROM a ORDER BY 1;
SELECT a.id, b.id FROM a LEFT JOIN b ON a.x = b.n AND b.id > 103 ORDER BY 1, 2;
SELECT a.id, b.id FROM a LEFT JOIN b ON a.w = b.t WHERE b.id IS NULL ORDER BY 1;
SELECT a.id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.t = a.c) ORDER BY 1;
SELECT a.id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.t = a.c AND b.id > 105) ORDER BY 1;
SELECT a.id FROM a WHERE a.x IN (SELECT b.x FROM b WHERE b.w = a.w) ORDER BY 1;
SELECT a.id FROM a WHERE (SELECT count(*) FROM b, k WHERE b.w = k.p AND k.t = a.t) > 1 ORDER BY 1;
SELECT count(*) FROM a, b, k, a AS a2, b AS b2 WHERE a.w = b.w AND b.w = k.p AND k.t = a2.t AND a2.w = b2.w AND b2.t = a.t;
-- The rows that a statement reads stay the same while it writes.
BEGIN;
INSERT INTO b SELECT a.id + 1000, b.x, b.n, b.t, b.c, b.r, 'new' FROM a CROSS JOIN b ON a.x = b.x;
SELECT count(*), sum(id) FROM b;
INSERT INTO k SELECT 'k' || a.id, b.id, b.x, b.t FROM a CROSS JOIN b ON a.x = b.x WHERE b.id < 1000;
SELECT count(*), sum(q) FROM k;
UPDATE a SET n = (SELECT count(*) FROM b WHERE b.t = a.t), w = (SELECT max(p) FROM k WHERE k.t = a.t);
SELECT id, n, w FROM a ORDER BY id;
SAVEPOINT s;
DELETE FROM b WHERE EXISTS (SELECT 1 FROM a CROSS JOIN k ON k.t = a.t WHERE a.t = b.t);
SELECT count(*), sum(id) FROM b;
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x ORDER BY 1, 2;
ROLLBACK TO s;
SELECT count(*), sum(b.id) FROM a CROSS JOIN b ON a.x = b.x;
UPDATE b SET t = k.p FROM k WHERE k.t = b.t AND k.q < 1000;
SELECT count(*), count(DISTINCT t) FROM b;
DELETE FROM a WHERE x IN (SELECT x FROM b WHERE b.t = a.w);
SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.x ORDER BY 1, 2;
ROLLBACK;
SELECT count(*), sum(b.id) FROM a CROSS JOIN b ON a.x = b.x;
-- Rows that are written between two rows of the outer loop are seen as on ordinary tables: by statements of a trigger.
CREATE TABLE log(v, found);
CREATE TRIGGER noted AFTER INSERT ON log WHEN new.found IS NULL BEGIN
  INSERT INTO log SELECT new.v, count(*) FROM b WHERE b.t = new.v;
END;
INSERT INTO log(v) SELECT t FROM a ORDER BY id;
SELECT v, found FROM log WHERE found IS NOT NULL ORDER BY rowid;
-- The outer SELECT reads on while each row's trigger writes the table and looks into it again.
CREATE TABLE feed(v);
CREATE TRIGGER fed AFTER INSERT ON feed BEGIN
  INSERT INTO b(t, w) VALUES (new.v, 'fed');
  INSERT INTO log SELECT new.v, count(*) FROM b WHERE b.t = new.v;
  UPDATE b SET w = 'fed twice' WHERE t = new.v AND w = 'fed' AND id % 2 = 0;
  INSERT INTO log SELECT w, count(*) FROM b WHERE b.w = (SELECT max(w) FROM b AS also WHERE also.t = new.v) GROUP BY w;
END;
INSERT INTO feed SELECT a.t FROM a CROSS JOIN k ON k.t = a.t WHERE a.t IS NOT NULL ORDER BY a.id;
SELECT v, found FROM log ORDER BY rowid;
SELECT t, w, count(*) FROM b GROUP BY t, w ORDER BY t, w;
-- Long records, and many rows.
@TABLE big(id INTEGER PRIMARY KEY, g INT, s TEXT);
INSERT INTO big SELECT value, value % 97, 'row ' || value FROM generate_series(1, 3000);
UPDATE big SET s = s || replace(hex(zeroblob(700)), '00', 'xy') WHERE id % 5 = 0;
SELECT count(*), sum(length(y.s)), sum(y.id) FROM big AS x CROSS JOIN big AS y ON y.g = x.id;
SELECT count(*), sum(length(y.s)), sum(x.id * y.id) FROM big AS x CROSS JOIN big AS y ON x.s = y.s;
SELECT x.id, (SELECT group_concat(y.id) FROM big AS y WHERE y.g = x.g + 90) FROM big AS x WHERE x.id < 12 ORDER BY 1;
SELECT count(*) FROM big AS x WHERE NOT EXISTS (SELECT 1 FROM big AS y WHERE y.g = x.id + 1);
-- Ranges that are others for each row outside.
SELECT x.id, y.id FROM big AS x CROSS JOIN big AS y ON y.g = x.g AND y.id > x.id + 2600 ORDER BY x.id, y.id;
SELECT count(*), sum(x.id * y.id) FROM big AS x CROSS JOIN big AS y ON y.g = x.g AND y.id > x.id;
SELECT count(*), sum(x.id * y.id) FROM big AS x CROSS JOIN big AS y ON y.g = x.g AND y.id BETWEEN x.id - 300 AND x.id + 300;
SELECT x.id, (SELECT y.id FROM big AS y WHERE y.g = x.g AND y.id < x.id ORDER BY y.id DESC LIMIT 1) FROM big AS x WHERE x.id > 2990 OR x.id < 40 ORDER BY 1;
SELECT sum((SELECT count(*) FROM big AS y WHERE y.g = x.g AND y.id < x.id)) FROM big AS x;
@TABLE few(id INTEGER PRIMARY KEY, f INT, g INT, s TEXT, INDEX by_f (f DESC, g));
INSERT INTO few SELECT id, id % 40, g, s FROM big;
SELECT count(*), sum(y.id) FROM few AS x CROSS JOIN few AS y ON y.f = x.f AND y.s = x.s;
SELECT count(*), sum(y.id * x.id) FROM few AS x CROSS JOIN few AS y ON y.f < x.f AND y.s IS x.s;
SELECT count(*), sum(y.id * x.id) FROM few AS x CROSS JOIN few AS y ON y.f IN (x.f, x.f + 1, 7) AND y.s = x.s;
SELECT x.id, (SELECT y.id FROM few AS y WHERE y.f <= x.f AND y.s = x.s ORDER BY y.f DESC, y.g, y.id LIMIT 1) FROM few AS x WHERE x.id % 300 = 1 ORDER BY 1;
-- What is NULL outside has no range of the index inside, which is not the walk of all rows, and must leave nothing behind for it.
@TABLE gaps(id INTEGER PRIMARY KEY, i INT, v, INDEX by_i (i));
INSERT INTO gaps WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 60) SELECT i, CASE WHEN i > 4 THEN i % 5 END, i % 7 FROM n;
SELECT a.id, b.id FROM gaps a CROSS JOIN gaps b ON b.i = a.i AND b.v = a.v ORDER BY 1, 2;
SELECT a.id, (SELECT count(*) FROM gaps b WHERE b.i = a.i AND b.v = a.v), (SELECT count(*) FROM gaps b WHERE b.i > a.i AND b.v IS a.v) FROM gaps a ORDER BY 1;
SELECT a.id, b.id FROM gaps a LEFT JOIN gaps b ON b.i = a.i AND b.v = a.v AND b.id > a.id ORDER BY 1, 2;
-- What the ON of a LEFT JOIN says of the table on the left leaves out none of its rows.
@TABLE seldom(x INT, c INT, INDEX by_c (c));
CREATE TABLE right_side(y INT, z);
WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 99) INSERT INTO seldom SELECT i, CASE WHEN i % 50 = 0 THEN i END FROM s;
INSERT INTO right_side VALUES (0, 'z'), (1, 'y');
SELECT count(*), count(z) FROM seldom LEFT JOIN right_side ON x = y AND c IS NOT NULL;
SELECT count(*), count(z) FROM seldom LEFT JOIN right_side ON x = y AND c IS NULL;
SELECT count(*), count(z) FROM seldom LEFT JOIN right_side ON x = y AND c > 5;
SELECT count(*), count(z) FROM seldom LEFT JOIN right_side ON x = y WHERE c IS NOT NULL;
-- Conditions that a lookup's rows must meet: constant, parameters of an outer row, changing, of other kinds than what is stored.
@TABLE outer_rows(id INTEGER PRIMARY KEY, f INT, lo, hi, t TEXT, n NUMERIC);
@TABLE kept(id INTEGER PRIMARY KEY, f INT, u, t TEXT COLLATE NOCASE, r REAL, n NUMERIC, w TEXT, INDEX by_w (w));
INSERT INTO outer_rows WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s LIMIT 30)
  SELECT i, i % 3, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN i WHEN 2 THEN '' || i WHEN 3 THEN 'b' ELSE i + 0.5 END, CASE i % 4 WHEN 0 THEN '9' WHEN 1 THEN 40 WHEN 2 THEN x'39' ELSE 'B' END, 'k' || (i % 7), 'x' || i FROM s;
INSERT INTO kept WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s LIMIT 400)
  SELECT i, i % 3, CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN i % 50 WHEN 2 THEN '' || (i % 50) WHEN 3 THEN 'a' || i % 9 WHEN 4 THEN x'3335' ELSE i % 50 + 0.5 END,
    CASE i % 4 WHEN 0 THEN 'K' || i % 7 WHEN 1 THEN '0' || i % 50 WHEN 2 THEN 'k' || i % 7 END, CASE WHEN i % 8 > 0 THEN i / 3.0 END, CASE i % 3 WHEN 0 THEN 'x' || i ELSE i END, 'w' || i % 11 FROM s;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u < 10 GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u >= '2' AND k.t IS NOT NULL GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.t = 'K3' GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.t = 'K3' COLLATE BINARY GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.t IS NULL AND k.r > 5 GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u IS NULL GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u > NULL GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.t = 3 GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u >= o.lo GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u < o.hi AND k.r > o.id GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.t < o.n AND k.w > 'w2' GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.n <= o.t AND k.n > o.lo GROUP BY o.id;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.t >= CAST(o.id AS TEXT) AND k.u <> 7 GROUP BY o.id;
SELECT o.id, count(k.id), sum(k.id) FROM outer_rows o LEFT JOIN kept k ON k.f = o.f AND k.u = 7 AND o.id > 10 GROUP BY o.id;
SELECT o.id, count(k.id), sum(k.id) FROM outer_rows o LEFT JOIN kept k ON k.f = o.f AND k.r < 2 WHERE k.u IS NULL GROUP BY o.id;
SELECT o.id, count(k.id), count(x.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f LEFT JOIN outer_rows x ON x.f = k.id AND k.r > 100 GROUP BY o.id;
SELECT o.id, (SELECT count(*) FROM kept k WHERE k.f = o.f AND k.u > 3), (SELECT count(*) FROM kept k WHERE k.f = o.f AND k.u > 30), (SELECT max(k.id) FROM kept k WHERE k.f IS o.f AND k.t LIKE 'k1%') FROM outer_rows o;
SELECT o.id, (SELECT group_concat(id) FROM (SELECT id FROM kept k WHERE k.f = o.f AND k.n < 9 AND k.w >= 'w3' ORDER BY k.w, k.id LIMIT 4)) FROM outer_rows o;
SELECT o.id, p.id, count(*) FROM outer_rows o CROSS JOIN outer_rows p ON p.f = o.f CROSS JOIN kept k ON k.f = p.f AND k.r < o.id AND k.n > 100 GROUP BY o.id, p.id;
SELECT o.id, count(*) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.u > replace(hex(zeroblob(900)), '00', 'ab') || o.id AND k.t > 'a' GROUP BY o.id;
-- Rows of more than a kibibyte are read when they are found, and conditions looked at then.
UPDATE kept SET w = w || replace(hex(zeroblob(700)), '00', 'xy') WHERE id % 4 = 0;
SELECT o.id, count(*), sum(k.id) FROM outer_rows o CROSS JOIN kept k ON k.f = o.f AND k.r < o.id AND k.w > 'w3' AND k.u IS NOT NULL GROUP BY o.id;
CREATE TABLE asked(v, found);
CREATE TRIGGER asking AFTER INSERT ON asked WHEN new.found IS NULL BEGIN
  INSERT INTO asked SELECT new.v, count(*) FROM kept k WHERE k.f = new.v % 3 AND k.r < new.v AND k.n > 20;
  UPDATE kept SET r = r + 1 WHERE f = new.v % 3 AND n < 40;
END;
INSERT INTO asked(v) SELECT id FROM outer_rows;
SELECT v, found FROM asked ORDER BY rowid;
-- NOCASE compares up to a zero byte, then lengths.
@TABLE zeroes(a COLLATE NOCASE, b COLLATE RTRIM);
@TABLE zero_side(x, y);
INSERT INTO zeroes VALUES ('a' || char(0) || 'x', 'a' || char(0)), ('A' || char(0) || 'q', 'a' || char(0) || ' '), ('a' || char(0) || ' ', 'a'), ('a', 'a '), ('5' || char(0) || '1', '5' || char(0));
INSERT INTO zeroes SELECT 'f' || value, 'g' || value FROM generate_series(1, 500);
INSERT INTO zero_side SELECT a, b FROM zeroes;
SELECT count(*) FROM zero_side CROSS JOIN zeroes ON a = x;
SELECT count(*) FROM zero_side CROSS JOIN zeroes ON b = y;
SELECT count(*) FROM zero_side CROSS JOIN zeroes ON x = a COLLATE BINARY;
-- A column of a compound SELECT that is numeric in the first SELECT alone: before 3.41 its texts are read as numbers, too.
@TABLE digits(id INTEGER PRIMARY KEY, f INT, t TEXT, u);
CREATE TABLE halves(z INT);
CREATE TABLE integers(i INTEGER);
INSERT INTO halves VALUES (0), (1), (0), (1);
INSERT INTO digits WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s LIMIT 60)
  SELECT i, i % 2, CASE i % 8 WHEN 0 THEN '5' WHEN 1 THEN '05' WHEN 2 THEN '!x' WHEN 3 THEN 'abc' WHEN 4 THEN '10' WHEN 5 THEN '4x' WHEN 6 THEN ' 7' END,
    CASE i % 8 WHEN 0 THEN '5' WHEN 1 THEN 5 WHEN 2 THEN '!x' WHEN 3 THEN 'abc' WHEN 4 THEN '10' WHEN 5 THEN '05' WHEN 6 THEN ' 7' END FROM s;
CREATE VIEW kinds AS SELECT i FROM integers UNION ALL SELECT '05' UNION ALL SELECT '10';
SELECT i, count(*), sum(id) FROM kinds CROSS JOIN halves CROSS JOIN digits ON f = z AND t >= i GROUP BY i;
SELECT i, count(*), sum(id) FROM kinds CROSS JOIN halves CROSS JOIN digits ON f = z AND t < i GROUP BY i;
SELECT i, count(*), sum(id) FROM kinds CROSS JOIN halves CROSS JOIN digits ON f = z AND u > i GROUP BY i;
SELECT i, count(*), sum(id) FROM kinds CROSS JOIN halves CROSS JOIN digits ON f = z AND u = i GROUP BY i;
