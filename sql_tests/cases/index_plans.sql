-- database: :memory:
-- Which index is walked, in words.
CREATE VIRTUAL TABLE r USING lsm(id INTEGER PRIMARY KEY, kind TEXT, ts INT, code TEXT COLLATE NOCASE, v, INDEX by_kind (kind, ts), CONSTRAINT by_code UNIQUE (code), INDEX by_ts (ts DESC));
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO r SELECT i, 'k' || (i % 100), i, 'c' || i, 'value of row ' || i FROM n;
.eqp on
SELECT sum(length(v)) FROM r WHERE kind = 'k7';
SELECT sum(length(v)) FROM r WHERE kind = 'k7' AND ts > 1900;
SELECT sum(length(v)) FROM r WHERE kind = ?1 AND ts BETWEEN ?2 AND ?3;
SELECT v FROM r WHERE code = 'C1999';
SELECT v FROM r WHERE code = 'C1999' COLLATE BINARY;
SELECT v FROM r WHERE id = 7 AND kind = 'k7';
SELECT count(*) FROM r WHERE kind IS NULL;
SELECT count(*) FROM r WHERE kind IS NOT NULL AND ts > 1990;
SELECT count(*) FROM r WHERE kind IN ('k1', 'k2');
SELECT count(*) FROM r WHERE kind IN ('k1', 'k2') AND ts IN (1, 2, 101);
SELECT count(*) FROM r;
SELECT min(ts) FROM r;
SELECT max(ts) FROM r;
SELECT ts, id FROM r WHERE ts < 4 ORDER BY ts, id DESC;
SELECT ts, id FROM r WHERE kind = 'k1' ORDER BY ts DESC, id DESC LIMIT 2;
SELECT kind, count(*) FROM r WHERE kind < 'k11' GROUP BY kind;
SELECT id FROM r WHERE code = 'c5' OR ts = 9;
SELECT count(*) FROM r a JOIN r b ON b.kind = a.kind WHERE a.id = 5;
SELECT v FROM r WHERE v = 'x';
SELECT v FROM r WHERE ts > 5 AND length(v) = 1;
UPDATE r SET v = 1 WHERE code = 'c5';
UPDATE r SET ts = ts WHERE ts = 5;
DELETE FROM r WHERE kind = 'k9' AND ts = 9;
-- Beginnings of texts: LIKE needs NOCASE, unless case counts for it, too.
SELECT count(*) FROM r WHERE code LIKE 'c19%';
SELECT count(*) FROM r WHERE code LIKE 'c19%' ESCAPE '!';
SELECT count(*) FROM r WHERE code GLOB 'c19*';
SELECT count(*) FROM r WHERE kind LIKE 'k9%';
SELECT count(*) FROM r WHERE kind GLOB 'k9*';
PRAGMA case_sensitive_like = 1;
SELECT count(*) FROM r WHERE code LIKE 'c19%';
SELECT count(*) FROM r WHERE kind LIKE 'k9%';
PRAGMA case_sensitive_like = 0;
-- An index for each side of OR, and what is common to both.
SELECT count(*) FROM r WHERE code = 'c5' OR ts = 9 OR id = 7;
SELECT count(*) FROM r WHERE (code = 'c5' OR ts BETWEEN 9 AND 11) AND kind = 'k9';
-- A LIMIT makes the order of an index worth its rows; values that are not known are judged by how many entries are alike.
SELECT id, v FROM r ORDER BY ts LIMIT 2;
SELECT id, v FROM r ORDER BY ts DESC LIMIT 1 OFFSET 1;
SELECT count(*) FROM (SELECT v FROM r ORDER BY ts);
-- Conditions that nothing serves count, too, for how soon a LIMIT has its rows.
SELECT id, v FROM r WHERE v > 'a' ORDER BY ts LIMIT 2;
SELECT id FROM r WHERE v = 'value of row 7' ORDER BY ts LIMIT 1;
SELECT id FROM r WHERE v = 'value of row 7' ORDER BY ts LIMIT 1000;
.eqp off
CREATE VIRTUAL TABLE s USING lsm(id INTEGER PRIMARY KEY, few INT, many INT, v, INDEX by_few (few), INDEX by_many (many));
INSERT INTO s SELECT id, id % 2, id % 700, v FROM r;
.eqp on
SELECT count(*), sum(length(v)) FROM s WHERE few = ?1 AND many = ?2;
SELECT count(*), sum(length(v)) FROM s WHERE few = 1;
-- Columns up and down: an order is served if all of its columns go the way of the index, or all the other way.
.eqp off
CREATE VIRTUAL TABLE m USING lsm(id INTEGER PRIMARY KEY, a INT, b TEXT, c INT, v, INDEX mixed (a, b DESC, c));
INSERT INTO m SELECT id, id % 10, 'b' || (id % 7), id % 3, v FROM r;
.eqp on
SELECT count(*) FROM (SELECT 1 FROM m ORDER BY a, b DESC LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m ORDER BY a DESC, b LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m ORDER BY a, b DESC, c, id LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m ORDER BY a DESC, b, c DESC, id DESC LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m WHERE a = 5 ORDER BY b, c DESC LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m WHERE a = 5 ORDER BY a DESC, b DESC, c LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m ORDER BY a, b LIMIT 3);
SELECT count(*) FROM (SELECT 1 FROM m ORDER BY a, b DESC, c DESC LIMIT 3);
SELECT count(*) FROM (SELECT a, b FROM m GROUP BY a, b);
-- Rows that say nothing new are passed over.
SELECT count(*) FROM (SELECT DISTINCT a FROM m);
SELECT count(*) FROM (SELECT DISTINCT a, b FROM m);
SELECT count(*) FROM (SELECT DISTINCT b, a FROM m WHERE a > 3);
SELECT count(DISTINCT kind) FROM r;
SELECT count(*) FROM (SELECT DISTINCT kind FROM r WHERE v <> 'x');
SELECT count(*) FROM (SELECT DISTINCT code FROM r);
SELECT count(*) FROM (SELECT DISTINCT kind FROM r ORDER BY kind DESC);
-- How many entries are alike is counted where they are few: the blocks of an index on a file tell no less than hundreds.
.eqp off
CREATE VIRTUAL TABLE wide USING lsm(id INTEGER PRIMARY KEY, kind TEXT, flag INT, v INT, w INT, INDEX by_v (v));
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO wide SELECT i, 'k' || i % 50, i % 2, i * 7919 % 20000, i * 7 % 20000 FROM n;
SELECT lsm_flush();
EXPLAIN QUERY PLAN SELECT count(*) FROM wide AS a JOIN wide AS b ON b.v = a.w WHERE a.kind = 'k5' AND b.flag = 1;
