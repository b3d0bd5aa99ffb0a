-- NOT NULL says nothing of a number that is given out; what is no number is none.
@TABLE numbered(id INTEGER PRIMARY KEY NOT NULL, v NOT NULL);
INSERT INTO numbered VALUES (NULL, 'a');
INSERT INTO numbered(v) VALUES ('b');
INSERT INTO numbered VALUES (NULL, NULL);
UPDATE numbered SET id = 'x' WHERE id = 1;
UPDATE numbered SET id = NULL WHERE id = 1;
SELECT * FROM numbered;
@TABLE unnumbered(v);
INSERT INTO unnumbered(rowid, v) VALUES ('x', 1);
INSERT INTO unnumbered(rowid, v) VALUES (x'01', 1);
INSERT INTO unnumbered(rowid, v) VALUES ('5', 1);
INSERT INTO unnumbered(rowid, v) VALUES (6.0, 1);
INSERT INTO unnumbered(rowid, v) VALUES (6.5, 1);
UPDATE unnumbered SET rowid = 'x' WHERE rowid = 5;
UPDATE unnumbered SET rowid = 7.5 WHERE rowid = 5;
UPDATE unnumbered SET rowid = rowid + 10;
SELECT rowid, v FROM unnumbered;
