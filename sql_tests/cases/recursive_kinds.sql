-- A column of a recursive WITH that is numeric first and text later: a row of docs/sql.md. From SQLite 3.46 on ordinary tables (the last) look for the text, too.
CREATE TABLE numbers(n NUMERIC);
INSERT INTO numbers VALUES(2);
CREATE TABLE texts(s, i);
INSERT INTO texts VALUES('2.0', 1), ('x', 2);
CREATE VIRTUAL TABLE y USING lsm(id INTEGER PRIMARY KEY, k TEXT, INDEX y_k(k));
INSERT INTO y(k) VALUES('2'), ('2.0');
WITH RECURSIVE r(n, i) AS (SELECT n, 0 FROM numbers UNION ALL SELECT b.s, r.i + 1 FROM r JOIN y ON y.k = r.n JOIN texts b ON b.i = r.i + 1) SELECT count(*) FROM r;
WITH RECURSIVE r(n, i) AS (SELECT n, 0 FROM numbers UNION ALL SELECT b.s, r.i + 1 FROM r JOIN y ON +y.k = r.n JOIN texts b ON b.i = r.i + 1) SELECT count(*) FROM r;
CREATE TABLE yo(id INTEGER PRIMARY KEY, k TEXT);
INSERT INTO yo(k) VALUES('2'), ('2.0');
WITH RECURSIVE r(n, i) AS (SELECT n, 0 FROM numbers UNION ALL SELECT b.s, r.i + 1 FROM r JOIN yo ON yo.k = r.n JOIN texts b ON b.i = r.i + 1) SELECT count(*) FROM r;
