-- What SQLite refuses in a CHECK of an ordinary table, it refuses here, and nothing is left behind.
CREATE VIRTUAL TABLE c01 USING lsm(a CHECK (nosuch > 0));
CREATE VIRTUAL TABLE c02 USING lsm(a CHECK (a IN (SELECT 1)));
CREATE VIRTUAL TABLE c03 USING lsm(a CHECK (EXISTS (SELECT 1)));
CREATE VIRTUAL TABLE c04 USING lsm(a CHECK (a > ?1));
CREATE VIRTUAL TABLE c05 USING lsm(a CHECK (count(a) > 1));
CREATE VIRTUAL TABLE c06 USING lsm(a CHECK (row_number() OVER () > 1));
CREATE VIRTUAL TABLE c07 USING lsm(a CHECK (nosuch(a)));
CREATE VIRTUAL TABLE c08 USING lsm(a CHECK (abs(a, a)));
CREATE VIRTUAL TABLE c09 USING lsm(a CHECK (a; DROP TABLE x));
CREATE VIRTUAL TABLE c10 USING lsm(a CHECK (1)) , CHECK (0));
CREATE VIRTUAL TABLE c11 USING lsm(a CHECK ((a, a) > 1));
CREATE VIRTUAL TABLE c12 USING lsm(a TEXT PRIMARY KEY, CHECK (rowid > 1));
CREATE VIRTUAL TABLE c13 USING lsm(a CHECK (c13.a > 1));
CREATE VIRTUAL TABLE c14 USING lsm(a CHECK (_key > 1), CHECK (_row > 1));
SELECT name FROM sqlite_schema;
-- Columns called as ours.
CREATE VIRTUAL TABLE names USING lsm(_key CHECK (_key > 0), _row, __row, CHECK (_row <> 5));
INSERT INTO names VALUES (0, 1, 1);
INSERT INTO names VALUES (1, 5, 1);
INSERT INTO names VALUES (1, 6, 1);
SELECT * FROM names;
-- The shadow table stays as it is, and is SQLite's to protect.
SELECT count(*) FROM names_check;
.dbconfig defensive on
INSERT INTO names_check VALUES (1, 1, 1, 1);
INSERT INTO names VALUES (0, 1, 1);
INSERT INTO names VALUES (2, 6, 1);
.dbconfig defensive off
PRAGMA integrity_check;
SELECT lsm_check();
-- Somebody has made it take rows.
DELETE FROM names_check;
INSERT INTO names VALUES (3, 6, 1);
SELECT count(*) FROM names;
SELECT count(*) FROM names_check;
DROP TABLE names;
SELECT name FROM sqlite_schema;
