"""Indexes that come and go while other connections of the process read and write."""
import harness

PRELUDE = """
a, b = connect("test.db", isolation_level=None), connect("test.db", isolation_level=None)
a.execute("PRAGMA journal_mode = WAL")
a.execute("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
a.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 50) for i in range(2000)])
def plan(db):
    db.execute("SELECT id FROM t LIMIT 1").fetchall()  # EXPLAIN alone does not look whether the schema has changed
    return db.execute("EXPLAIN QUERY PLAN SELECT id FROM t WHERE v = 7").fetchall()[0][3]
def rows(db): return len(db.execute("SELECT id FROM t WHERE v = 7").fetchall())
"""


def test_another_connection_notices_and_keeps_the_index(folder):
    harness.python(PRELUDE + """
assert "key" in plan(b) and rows(b) == 40
a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
assert "by_v" in plan(b), plan(b)
b.execute("INSERT INTO t VALUES (5000, 7)")
b.execute("DELETE FROM t WHERE id = 7")
assert rows(a) == rows(b) == 40
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
b.execute("SELECT lsm_drop_index('t', 'by_v')").fetchall()
assert "key" in plan(a) and rows(a) == 40
a.execute("INSERT INTO t VALUES (5001, 7)")
assert rows(b) == 41
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
""", folder)


def test_a_reader_of_an_older_state_goes_on(folder):
    harness.python(PRELUDE + """
a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
reader = b.execute("SELECT id FROM t WHERE v = 7 ORDER BY id")
first = reader.fetchone()
a.execute("SELECT lsm_drop_index('t', 'by_v')").fetchall()
a.execute("DELETE FROM t WHERE v = 7")
a.execute("SELECT lsm_compact()").fetchall()
assert len(reader.fetchall()) == 39
assert rows(b) == 0
""", folder)


def test_a_writer_of_an_older_state_is_told(folder):
    harness.python(PRELUDE + """
b.execute("BEGIN")
assert rows(b) == 40
a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
try:
    b.execute("INSERT INTO t VALUES (6000, 7)")
    raise SystemExit("written past the index")
except sqlite3.OperationalError as error:
    assert error.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT", error.sqlite_errorname
b.execute("ROLLBACK")
b.execute("INSERT INTO t VALUES (6000, 7)")
assert rows(a) == 41
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
""", folder)


def test_a_statement_that_reads_the_table_holds_it(folder):
    harness.python(PRELUDE + """
reader = a.execute("SELECT id FROM t")
reader.fetchone()
try:
    a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
    raise SystemExit("made")
except sqlite3.OperationalError as error:
    assert error.sqlite_errorname == "SQLITE_LOCKED", error
assert len(reader.fetchall()) == 1999
a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
assert "by_v" in plan(a)
""", folder)


def test_building_stops_when_interrupted(folder):
    harness.python(PRELUDE + """
import threading, time
if sqlite3.sqlite_version_info < (3, 41): print("too old"); raise SystemExit(0)
a.execute("WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 600000) INSERT INTO t SELECT i, i FROM n")
threading.Timer(0.05, a.interrupt).start()
try:
    a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
except sqlite3.OperationalError as error:
    assert "interrupt" in str(error), error
    assert "key" in plan(a)
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
""", folder)
