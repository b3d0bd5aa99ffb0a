"""Indexes that come and go while other connections and processes read and write; and their building, which may be stopped, killed or fail."""
import time

import harness

PRELUDE = """
a, b = connect("test.db", isolation_level=None), connect("test.db", isolation_level=None)
a.execute("PRAGMA journal_mode = WAL")
a.execute("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
a.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 50) for i in range(2000)])
plans = [0]
def plan(db):
    db.execute("SELECT id FROM t LIMIT 1").fetchall()  # EXPLAIN alone does not look whether the schema has changed
    plans[0] += 1  # nor does one that is kept
    return db.execute(f"EXPLAIN QUERY PLAN SELECT id FROM t WHERE v = 7 /* {plans[0]} */").fetchall()[0][3]
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


def test_a_commit_that_fails_leaves_the_table_without_the_index(folder):
    """In autocommit the last step of the function is the COMMIT, which a reader of the database file holds up outside of WAL."""
    harness.python(PRELUDE + """
a.execute("PRAGMA journal_mode = DELETE")
a.execute("PRAGMA busy_timeout = 0")
a.execute("CREATE TABLE ordinary(x)")
a.execute("INSERT INTO ordinary VALUES (1), (2)")
reader = b.execute("SELECT x FROM ordinary")
reader.fetchone()
for name in "by_v", "by_v2":
    try:
        a.execute("SELECT lsm_create_index('t', ?, 'v')", (name,)).fetchall()
        raise SystemExit("committed in spite of the reader")
    except sqlite3.OperationalError as error:
        assert error.sqlite_errorname == "SQLITE_BUSY", error.sqlite_errorname
    assert not a.in_transaction
    assert rows(a) == 40 and "key" in plan(a), plan(a)
reader.fetchall()
a.execute("INSERT INTO t VALUES (7000, 7)")
a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
assert rows(a) == 41 and "by_v" in plan(a), plan(a)
assert [part for part, in a.execute("SELECT part FROM lsm_tables WHERE name = 't' ORDER BY part")] == [None, "by_v"]
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


MANY = """
a.execute("WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 210000) INSERT INTO t SELECT i, i FROM n")
CREATE = "SELECT lsm_create_index('t', 'by_v', 'v')"
def expect_none():
    assert not a.in_transaction
    assert "key" in plan(a)
    assert a.execute("SELECT count(*) FROM lsm_tables WHERE part = 'by_v'").fetchone() == (0,)
    assert a.execute("SELECT count(*) FROM t").fetchone() == (202001,)
    assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
def expect_error(name, sql):
    try:
        a.execute(sql).fetchall()
    except sqlite3.OperationalError as error:
        assert getattr(error, "sqlite_errorname", name) == name, error
        return
    raise SystemExit(sql + " was not refused")
"""


def test_building_stops_when_interrupted(folder):
    harness.python(PRELUDE + MANY + """
def interrupt():
    a.interrupt()
    return 0
a.set_progress_handler(interrupt, 1000)
expect_error("SQLITE_INTERRUPT", CREATE)
a.set_progress_handler(None, 0)
expect_none()
# As with CREATE INDEX, an interrupt takes the whole transaction.
a.execute("BEGIN")
a.execute("DELETE FROM t WHERE id = 1")
a.set_progress_handler(interrupt, 20000)
expect_error("SQLITE_INTERRUPT", CREATE)
a.set_progress_handler(None, 0)
expect_none()
a.execute(CREATE).fetchall()
assert "by_v" in plan(a)
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
""", folder)


def test_building_calls_the_progress_handler_which_may_stop_it(folder):
    harness.python(PRELUDE + MANY + """
calls = [0, 1 << 60]
def progress():
    calls[0] += 1
    return calls[0] > calls[1]
a.set_progress_handler(progress, 1000)
a.execute(CREATE).fetchall()
assert calls[0] > 10, calls
a.execute("SELECT lsm_drop_index('t', 'by_v')").fetchall()
calls[:] = 0, 10
expect_error("SQLITE_INTERRUPT", CREATE)
a.set_progress_handler(None, 0)
expect_none()
for work in "lsm_compact", "lsm_check":
    calls[:] = 0, 0
    a.set_progress_handler(progress, 2500)
    expect_error("SQLITE_INTERRUPT", f"SELECT {work}()")
    a.set_progress_handler(None, 0)
    expect_none()
""", folder)


def test_a_full_disk_leaves_the_table_without_the_index(folder):
    # What would write past the limit is told EFBIG, which is reported as a full disk is.
    harness.python(PRELUDE + """
import resource, signal
a.execute("INSERT INTO t SELECT id + 10000, hex(zeroblob(500)) || id FROM t")
a.execute("SELECT lsm_flush()").fetchall()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for begun in False, True:
    if begun: a.execute("BEGIN")
    try:
        a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
        if begun: a.execute("COMMIT")
        raise SystemExit("written past the limit")
    except sqlite3.OperationalError as error:
        print(error)
    if a.in_transaction: a.execute("ROLLBACK")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""", folder)
    harness.python("""
a = connect("test.db")
assert a.execute("SELECT count(*) FROM t").fetchone() == (4000,)
assert a.execute("SELECT count(*) FROM lsm_tables WHERE part = 'by_v'").fetchone() == (0,)
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
a.execute("SELECT lsm_create_index('t', 'by_v', 'v')").fetchall()
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
""", folder)


def test_duplicates_make_no_unique_index(folder):
    harness.python(PRELUDE + MANY + """
a.execute("INSERT INTO t VALUES (500000, 209999)")
for sql, columns in ("SELECT lsm_create_index('t', 'by_v', 'v', 1)", "t.v"), ("SELECT lsm_create_index('t', 'by_v', 'UNIQUE (v, v DESC)')", "t.v, t.v"):
    try:
        a.execute(sql).fetchall()
        raise SystemExit("made")
    except sqlite3.IntegrityError as error:
        assert str(error) == "UNIQUE constraint failed: " + columns, error
a.execute("DELETE FROM t WHERE id = 500000")
expect_none()
""", folder)


def test_a_process_killed_while_it_builds_leaves_all_of_the_index_or_nothing(folder):
    with harness.Peer(folder) as a:
        a.run("PRAGMA journal_mode = WAL")
        a.run("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
        a.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO t SELECT i, i % 1000 FROM n")
        began = time.monotonic()
        a.run("SELECT lsm_create_index('t', 'by_v', 'v')")
        takes = time.monotonic() - began
        a.run("SELECT lsm_drop_index('t', 'by_v')")
    found = set()
    for attempt in range(8):
        b = harness.Peer(folder)
        b.run("SELECT count(*) FROM t WHERE id < 10")
        b.send("SELECT lsm_create_index('t', 'by_v', 'v')")
        time.sleep(takes * (attempt + 1) / 7)
        b.kill()
        with harness.Peer(folder) as c:
            there = c.one("SELECT count(*) FROM lsm_tables WHERE part = 'by_v'")
            found.add(there)
            harness.expect_equal(c.one("SELECT count(*) FROM t WHERE v = 7"), 60)
            harness.expect_equal(c.one("SELECT lsm_check()"), "ok")
            c.run("INSERT INTO t VALUES (?, 7)", 100000 + attempt)
            c.run("DELETE FROM t WHERE id = ?", 100000 + attempt)
            if there:
                harness.expect("by_v" in c.run("EXPLAIN QUERY PLAN SELECT id FROM t WHERE v = 7")[0][3], "not used")
                c.run("SELECT lsm_drop_index('t', 'by_v')")
    harness.expect(0 in found, "every kill came too late")


def test_another_process_reads_on_and_then_writes_the_index(folder):
    harness.need_sharing(folder)
    with harness.Peer(folder) as a, harness.Peer(folder, timeout=60) as b:
        a.run("PRAGMA journal_mode = WAL")
        a.run("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
        a.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO t SELECT i, i % 1000 FROM n")
        harness.expect_equal(b.one("SELECT count(*) FROM t WHERE v = 7"), 60)
        b.start("SELECT id FROM t ORDER BY id", 1)
        a.send("SELECT lsm_create_index('t', 'by_v', 'v')")
        for _ in range(5):
            harness.expect_equal(b.one("SELECT count(*) FROM t WHERE v = 7"), 60, "while the index is built")
        a.answer()
        harness.expect_equal(len(b.rest("SELECT id FROM t ORDER BY id")), 59999, "a reader of an older state")
        # The statements of b were prepared before the index was there.
        harness.expect_equal(b.one("SELECT count(*) FROM t WHERE v = 7"), 60)
        b.run("INSERT INTO t VALUES (100000, 7)")
        b.run("DELETE FROM t WHERE id = 7")
        harness.expect("by_v" in b.run("EXPLAIN QUERY PLAN SELECT id FROM t WHERE v = 7")[0][3], "b does not use the index")
        harness.expect_equal(a.one("SELECT group_concat(id) FROM (SELECT id FROM t WHERE v = 7 ORDER BY id DESC LIMIT 2)"), "100000,59007")
        harness.expect_equal(a.one("SELECT lsm_check()"), "ok")
        # A writer that waits for the index writes it, too.
        a.run("SELECT lsm_drop_index('t', 'by_v')")
        a.send("SELECT lsm_create_index('t', 'by_v', 'v')")
        for i in range(20):
            b.run("INSERT INTO t VALUES (?, 7)", 200000 + i)
        a.answer()
        harness.expect_equal(b.one("SELECT count(*) FROM t WHERE v = 7"), 80)
        harness.expect_equal(a.one("SELECT count(*) FROM t WHERE v = 7"), 80)
        harness.expect_equal(b.one("SELECT lsm_check()"), "ok")
