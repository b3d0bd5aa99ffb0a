-- What stands in a declaration: comments, quotes, types, defaults.
@TABLE a1(a /* c1, ) ( */ INTEGER -- end ,
 PRIMARY KEY, "b ""q"" ü" TEXT COLLATE "nocase" /**/ NOT NULL , [c d] VARCHAR ( 10 , 5 ) DEFAULT 'x''y' NOT NULL, `e``f` , 'g' DOUBLE PRECISION, ключ TEXT);
SELECT name, type, "notnull", pk FROM pragma_table_info('a1');
INSERT INTO a1("b ""q"" ü", ключ) VALUES ('A', 'б');
SELECT * FROM a1 WHERE "b ""q"" ü" = 'a' AND [c d] = 'x''y';
SELECT typeof(a), "e`f", "g" FROM a1;
@CLUSTERED "select"("from" PRIMARY KEY, "where");
INSERT INTO "select" VALUES (1, 2);
SELECT "from", "where" FROM "select";
DROP TABLE "select";
@TABLE a2(a DEFAULT 5 NOT NULL, b DEFAULT -5.5 NOT NULL, c DEFAULT (x'00') NOT NULL, d DEFAULT +7 NOT NULL, e TEXT DEFAULT 12 NOT NULL, f INT DEFAULT '12' NOT NULL, g DEFAULT TRUE NOT NULL, h DEFAULT 'a"b' NOT NULL, i DEFAULT word NOT NULL);
INSERT INTO a2(a) VALUES (1);
INSERT INTO a2 DEFAULT VALUES;
SELECT *, typeof(a), typeof(b), typeof(c), typeof(e), typeof(f), typeof(i) FROM a2;
@CLUSTERED a3(a INTEGER PRIMARY KEY DESC, b);
INSERT INTO a3 VALUES (1, 2), (NULL, 3), ('x', 4);
SELECT * FROM a3 ORDER BY a;
@CLUSTERED a4(a INT PRIMARY KEY, b);
INSERT INTO a4 VALUES (NULL, 1), (NULL, 2);
SELECT * FROM a4;
@TABLE a5(a INTEGER, b, PRIMARY KEY (a DESC));
INSERT INTO a5 VALUES (NULL, 1), (5, 2), ('7', 3), (1.5, 3);
SELECT rowid, * FROM a5;
