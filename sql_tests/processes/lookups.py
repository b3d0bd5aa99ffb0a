"""Joins that no index serves, and ends of indexes: how much is read, what a COMMIT or ROLLBACK in the midst does, and rows that are too many for memory."""
import harness

PRELUDE = """
import sqlite3
db = connect("test.db", isolation_level=None)
def pair(rows, width=10):
    db.execute("CREATE VIRTUAL TABLE a USING lsm(id INTEGER PRIMARY KEY, x INT, s TEXT)")
    db.execute("CREATE VIRTUAL TABLE b USING lsm(id INTEGER PRIMARY KEY, y INT, s TEXT)")
    db.execute("BEGIN")
    for name in "ab":
        db.execute(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
                   f"INSERT INTO {name} SELECT i, i * 7919 % {rows}, substr(printf('%.*c', {width}, 'x') || i, -{width}) FROM n")
    db.execute("COMMIT")
"""


def test_a_join_reads_the_inner_table_twice_not_once_for_each_row(folder):
    harness.python(PRELUDE + """
pair(5000)
count = 0
def tick():
    global count
    count += 1
    return count > 3000  # a join that multiplies would take a hundred times as many
for sql in ("SELECT count(*), sum(a.id) FROM a JOIN b ON a.x = b.y", "SELECT count(*), sum(a.id) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.s = a.s AND b.y IS a.x)",
            "SELECT count(*), sum((SELECT b.id FROM b WHERE b.y = a.x)) FROM a", "SELECT count(*), sum(a.id) FROM a CROSS JOIN b ON a.x = b.y AND b.id < a.id + 1",
            "SELECT count(*), sum((SELECT b.id FROM b WHERE b.y = a.x AND b.id > a.id - 9)) FROM a"):
    count = 0
    db.set_progress_handler(tick, 1000)
    rows = db.execute(sql).fetchall()
    assert rows == [(5000, 12502500)], (sql, rows)
    assert count < 500, (sql, count)
""", folder)


def test_a_join_of_many_small_tables_does_not_multiply_them(folder):
    harness.python(PRELUDE + """
import random
def join(count, rows):
    rng = random.Random(count)
    for i in range(count):
        db.execute(f"CREATE VIRTUAL TABLE j{i} USING lsm(id INTEGER PRIMARY KEY, a{i} INT, b{i} INT)")
        db.executemany(f"INSERT INTO j{i} VALUES (?1, ?1, ?2)", [(n, rows + 1 - n) for n in range(1, rows + 1)])
    terms, names = [f"a{i} = b{rng.randrange(i)}" for i in range(1, count)] + [f"a{rng.randrange(count)} = 2"], [f"j{i}" for i in range(count)]
    rng.shuffle(terms)
    rng.shuffle(names)
    ticks = 0
    def tick():
        nonlocal ticks
        ticks += 1
        return ticks > 3000
    db.set_progress_handler(tick, 1000)
    found = db.execute(f"SELECT count(*) FROM {', '.join(names)} WHERE {' AND '.join(terms)}").fetchall()
    db.set_progress_handler(None, 1000)
    assert found == [(1,)] and ticks < 500, (count, rows, found, ticks)
    for i in range(count):
        db.execute(f"DROP TABLE j{i}")
for count, rows in ((12, 20), (20, 10), (20, 9), (40, 8), (40, 4), (62, 3)):
    join(count, rows)
""", folder)


def test_a_lookup_has_only_the_rows_that_conditions_let_through(folder):
    harness.python(PRELUDE + """
pair(20000)
db.execute("CREATE VIRTUAL TABLE c USING lsm(id INTEGER PRIMARY KEY, flag INT, v INT, day TEXT, s TEXT)")
db.execute("INSERT INTO c SELECT id, id % 2, y, date('2020-01-01', '+' || (id % 400) || ' days'), s FROM b")
count = 0
def tick():
    global count
    count += 1
    return count > 3000  # 200 rows outside times 10,000 of one flag
def steps(sql, args=()):
    global count
    count = 0
    db.set_progress_handler(tick, 1000)
    rows = db.execute(sql, args).fetchall()
    db.set_progress_handler(None, 1000)
    return rows, count
few = "(SELECT id, x FROM a WHERE id <= 200) AS a"
for sql, args, wanted in (
    (f"SELECT count(*) FROM {few} CROSS JOIN c ON c.flag = a.id % 2 AND c.v < 40", (), 4000),
    (f"SELECT count(*) FROM {few} CROSS JOIN c ON c.flag = a.id % 2 AND c.v < ? AND c.v >= ?", (40, 20), 2000),
    (f"SELECT count(*) FROM {few} CROSS JOIN c ON c.flag = a.id % 2 AND c.day = '2020-01-31' AND c.v < a.id * 100", (), None),
    (f"SELECT sum((SELECT count(*) FROM c WHERE c.flag = a.id % 2 AND c.s = ?)) FROM {few}", ("xxxxxxx123",), 100),
    (f"SELECT count(*) FROM {few} LEFT JOIN c ON c.flag = a.id % 2 AND c.v BETWEEN ? AND ?", (7, 8), 200),
    # two places of a statement, whose conditions differ only in their values
    (f"SELECT count(*) FROM {few} WHERE EXISTS (SELECT 1 FROM c WHERE c.flag = a.id % 2 AND c.v = 7919) AND EXISTS (SELECT 1 FROM c WHERE c.flag = a.id % 2 AND c.v = 15838)", (), 0),
    # what changes from row to row is left out before SQLite sees it
    (f"SELECT count(*) FROM {few} CROSS JOIN c ON c.flag = a.id % 2 AND c.v = a.x + 0 AND c.v < a.id", (), None),
):
    rows, n = steps(sql, args)
    assert wanted is None or rows == [(wanted,)], (sql, rows)
    assert n < 1500, (sql, n)
""", folder)


def test_a_commit_in_the_midst_of_a_join_changes_nothing_of_it(folder):
    harness.python(PRELUDE + """
pair(300, 1500)  # records that a lookup does not copy
sql = "SELECT a.id, b.id, length(b.s) FROM a CROSS JOIN b ON a.x = b.y ORDER BY a.id"
wanted = db.execute(sql).fetchall()
db.execute("BEGIN")
db.execute("UPDATE a SET s = s WHERE id = 7")
cursor = db.execute(sql)
got = [cursor.fetchone() for _ in range(100)]
db.execute("COMMIT")
got += cursor.fetchall()
assert got == wanted, (len(got), len(wanted))
""", folder)


def test_a_join_ends_when_the_rows_that_it_reads_are_rolled_back(folder):
    harness.python(PRELUDE + """
pair(300)
db.execute("BEGIN")
db.execute("UPDATE b SET y = y + 1")
cursor = db.execute("SELECT a.id, b.id FROM a CROSS JOIN b ON a.x = b.y ORDER BY a.id")
for _ in range(50): cursor.fetchone()
db.execute("ROLLBACK")
try:
    cursor.fetchall()
except sqlite3.Error as error:
    assert "abort" in str(error).lower(), error
else:
    raise AssertionError("no error")
""", folder)


def test_rows_that_are_too_many_for_memory_go_to_a_file(folder):
    harness.python(PRELUDE + """
pair(45000, 900)
rows = db.execute("SELECT count(*), sum(a.id), sum(b.id), sum(length(b.s)) FROM a CROSS JOIN b ON a.x = b.y").fetchall()
assert rows == [(45000, 1012522500, 1012522500, 40500000)], rows
assert db.execute("SELECT count(*) FROM a CROSS JOIN b ON a.s = b.s").fetchall() == [(45000,)]
""", folder)


def test_the_greatest_value_of_an_index_is_one_row(folder):
    harness.python(PRELUDE + """
pair(5000)
db.execute("SELECT lsm_create_index('b', 'by_y', 'y')").fetchall()
for sql in ("SELECT max(y) FROM b", "SELECT max(id) FROM b", "SELECT min(rowid) FROM b", "SELECT y FROM b ORDER BY y LIMIT 1", "SELECT max(y) FROM b WHERE y < 4000"):
    count = 0
    def tick():
        global count
        count += 1
        return 0
    db.set_progress_handler(tick, 1)
    rows = db.execute(sql).fetchall()
    db.set_progress_handler(None, 1)
    assert len(rows) == 1 and rows[0][0] in (0, 1, 3999, 4999, 5000) and count < 300, (sql, rows, count)
""", folder)


def test_an_index_that_has_taken_the_place_of_another_is_walked_anew(folder):
    harness.python(PRELUDE + """
pair(600)
db.execute("CREATE VIRTUAL TABLE c USING lsm(id INTEGER PRIMARY KEY, v INT, w INT, z INT)")
db.execute("INSERT INTO c SELECT id, id % 5, id * 7 % 6, id % 4 FROM a")
db.execute("SELECT lsm_create_index('c', 'only', 'v')").fetchall()
db.execute("BEGIN")
db.execute("INSERT INTO c VALUES (1000, 9, 9, 9)")
reading = db.execute("SELECT * FROM b")  # as long as it goes on lookups are kept
reading.fetchone()
for column in "vw":
    if column == "w":
        db.execute("SELECT lsm_drop_index('c', 'only')").fetchall()
        db.execute("SELECT lsm_create_index('c', 'only', 'w')").fetchall()
    served = db.execute(f"SELECT count(*), sum(c.id) FROM a CROSS JOIN c ON c.{column} = 3 AND c.z = a.x % 4").fetchall()
    walked = db.execute(f"SELECT count(*), sum(c.id) FROM a CROSS JOIN c ON +c.{column} = 3 AND +c.z = a.x % 4").fetchall()
    assert served == walked, (column, served, walked)
""", folder)
