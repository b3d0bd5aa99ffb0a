-- (b, a) IN (SELECT ...): SQLite names the collation of the first column for each of them (3.40 takes it so in its own tables, too, and finds rows twice).
CREATE VIRTUAL TABLE rv USING lsm(a NUMERIC, b REAL COLLATE RTRIM, c, PRIMARY KEY (b COLLATE RTRIM, a COLLATE RTRIM, c));
CREATE VIRTUAL TABLE rl USING lsm(a, b COLLATE RTRIM);
INSERT INTO rv VALUES ('a0 ', 10.0, 1), ('a0  ', 10.0, 2), ('x', 10.0, 3), ('a0  ', 'q', 4), ('a0 ', 'q ', 5);
INSERT INTO rl SELECT a, b FROM rv;
SELECT quote(a), quote(b), c FROM rv AS o WHERE (o.b, o.a) IN (SELECT +i.b, +i.a FROM rv AS i) ORDER BY c;
SELECT quote(a), quote(b), c FROM rv AS o WHERE (o.b, o.a) IN (VALUES (10.0, 'a0 '), ('q', 'a0 '), ('q', 'a0')) ORDER BY c;
SELECT count(*) FROM rl AS o, rv AS p WHERE (o.b, o.a) IN (SELECT +i.b, p.a FROM rv AS i);
SELECT count(*) FROM rl AS o, rv AS p WHERE o.b = p.b AND o.a = p.a COLLATE RTRIM;
-- Over FULL JOIN SQLite loses rows, from 3.46 on of ordinary tables, too, where one of the columns has an index.
CREATE VIRTUAL TABLE rf USING lsm(a INT, b TEXT NOT NULL UNIQUE, c INTEGER PRIMARY KEY);
CREATE TABLE rn(x);
INSERT INTO rf VALUES (1, 'p', 1), (5, 'f', 2), (3, 'q', 3);
INSERT INTO rn VALUES (7);
SELECT 'found', t.* FROM rn FULL JOIN rf AS t ON rn.x = t.c WHERE (t.a, t.b) IN (VALUES (5, 'f'));
SELECT 'found with a plus', t.* FROM rn FULL JOIN rf AS t ON rn.x = t.c WHERE (+t.a, +t.b) IN (VALUES (5, 'f'));
