-- IN on several columns of a key or an index, and IS NOT NULL.
@CLUSTERED t(a INTEGER, b TEXT, c, v, PRIMARY KEY (a, b DESC, c));
@TABLE r(id INTEGER PRIMARY KEY, k INTEGER, d INT, s TEXT COLLATE NOCASE, v, INDEX by_kds (k, d DESC, s), INDEX by_s (s, k));
@TABLE w(x);
INSERT INTO t SELECT value % 20, 'b' || (value % 50), value, 'v' || value FROM generate_series(1, 3000);
INSERT INTO r SELECT value, value % 30, nullif(value % 7, 3), iif(value % 11 = 0, NULL, 'S' || (value % 60)), 'v' || value FROM generate_series(1, 3000);
INSERT INTO w SELECT value FROM generate_series(1, 60);
SELECT a, b, c FROM t WHERE a = 7 AND b IN ('b7', 'b27', 'b1', 'nothing') AND c IN (7, 107, 127, 2907, 'x') ORDER BY a, b, c;
@SORTED SELECT a, b, c FROM t WHERE a IN (3, 7, 5, 7) AND b IN ('b7', 'b27', 'b5', 'b3') AND c < 900 ORDER BY a, b DESC, c;
@SORTED SELECT a, b, c FROM t WHERE a IN (3, 7, 5, 7) AND b IN ('b7', 'b27', 'b5', 'b3') AND c > 900 ORDER BY a DESC, b, c DESC LIMIT 17 OFFSET 2;
SELECT a, b, c FROM t WHERE a IN (3, 7, NULL) AND b IN ('b7', NULL) ORDER BY a, b, c LIMIT 9;
SELECT count(*) FROM t WHERE a IN () AND b IN ('b7');
SELECT count(*) FROM t WHERE a IN (7) AND b IN ();
SELECT count(*), sum(c) FROM t WHERE a IN (SELECT x FROM w) AND b IN (SELECT 'b' || x FROM w);
SELECT count(*), sum(c) FROM t WHERE a IN (SELECT x FROM w) AND b IN (SELECT 'b' || x FROM w) AND c IN (SELECT x * 31 FROM w) AND v > 'v2';
SELECT count(*), sum(c) FROM t WHERE a = 7 AND b IN (SELECT 'b' || x FROM w) AND c IN (SELECT x * 20 + 7 FROM w);
SELECT count(*), sum(c) FROM t WHERE a IN (SELECT x FROM w WHERE x < 3) AND b IN (SELECT 'b' || x FROM w) AND c IN (SELECT x FROM w) AND c > 10;
SELECT count(*) FROM t WHERE (a, b) IN (SELECT x, 'b' || x FROM w);
SELECT count(*) FROM t WHERE (a, b) IN (VALUES (1, 'b1'), (2, 'b22'), (2, 'b22'), (NULL, 'b1'));
SELECT count(*) FROM t WHERE (a, b) = (7, 'b7');
SELECT count(*) FROM t WHERE (a, b, c) > (7, 'b7', 100);
SELECT count(*) FROM t WHERE (a, b, c) <= (7, 'b7', 107);
SELECT a, b, c FROM t WHERE (a, b, c) > (7, 'b7', 100) ORDER BY a, b DESC, c LIMIT 5;
SELECT count(*), sum(id) FROM r WHERE k IN (1, 2, 3) AND d IN (4, 5, 1);
SELECT id FROM r WHERE k IN (1, 2, 3) AND d IN (4, 5, 1) AND s IN ('s1', 'S31', 'S2') ORDER BY k, d DESC, s, id;
SELECT id FROM r WHERE k IN (1, 2, 3) AND d IN (4, 5, 1) AND s IN ('s1', 'S31', 'S2') COLLATE BINARY ORDER BY k, d DESC, s, id;
SELECT count(*), sum(id) FROM r WHERE k IN (1, 2, 3) AND d IS NULL AND s IN ('s1', 's2', 's31', 's33');
SELECT count(*), sum(id) FROM r WHERE k IN ('1', 2.0, '3x', x'31') AND d IN ('4', 5.5, 1.0);
SELECT count(*), sum(id) FROM r WHERE s IN (1, 'S1', 's2') AND k IN (1, 2);
SELECT count(*), sum(id) FROM r WHERE s IS NOT NULL AND k IN (1, 2);
SELECT count(*), count(s), min(s), max(s) FROM r WHERE s IS NOT NULL;
SELECT count(*) FROM r WHERE s IS NOT NULL AND s > 'S5';
SELECT count(*) FROM r WHERE k = 3 AND d IS NOT NULL AND s IS NOT NULL;
SELECT k, d FROM r WHERE k = 3 AND d IS NOT NULL ORDER BY d LIMIT 4;
@SORTED SELECT k, d FROM r WHERE k IS NOT NULL ORDER BY k DESC, d LIMIT 3;
SELECT s FROM r WHERE s IS NOT NULL ORDER BY s DESC, k DESC, id DESC LIMIT 3;
UPDATE r SET s = NULL WHERE id % 50 <> 0;
SELECT count(*), sum(id) FROM r WHERE s IS NOT NULL;
UPDATE r SET d = d + 1 WHERE k IN (1, 2, 3) AND d IN (1, 2, 4) AND s IS NULL;
SELECT count(*), sum(d) FROM r;
DELETE FROM t WHERE a IN (1, 2, 3) AND b IN ('b1', 'b2', 'b3', 'b41', 'b42', 'b43') AND c NOT IN (1, 101);
SELECT count(*), sum(c) FROM t;
-- Lists too long to be multiplied, and a range behind them.
@CLUSTERED cut(a INT, b INT, c INT, PRIMARY KEY (a, b, c));
WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 1999) INSERT INTO cut SELECT i % 40, i / 40, i % 7 FROM s;
WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 39) SELECT count(*), min(b), max(b), min(c), sum(a * b + c) FROM cut
    WHERE a IN (SELECT i FROM s) AND b IN (SELECT i FROM s) AND c > 4;
WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 39) SELECT count(*), min(b), max(b), max(c), sum(a * b + c) FROM cut
    WHERE a IN (SELECT i FROM s) AND b IN (SELECT i FROM s) AND c <= 3;
