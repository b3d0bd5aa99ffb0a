"""Limits, authorizers, shared cache and interrupts, in Debian's python3, beside ordinary tables."""
import harness


def test_a_value_or_row_beyond_sqlite_limit_length_is_refused(folder):
    harness.twins("""
both("(id INTEGER PRIMARY KEY, a, b)", "(id INTEGER PRIMARY KEY, a, b)")
db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
same("INSERT INTO $ VALUES (1, zeroblob(99900), NULL)")
assert "TOOBIG" in same("INSERT INTO $ VALUES (2, zeroblob(60000), zeroblob(60000))")
assert "TOOBIG" in same("INSERT INTO $ VALUES (3, zeroblob(100001), NULL)")
same("INSERT INTO $ VALUES (4, randomblob(40000), randomblob(40000))")
assert "TOOBIG" in same("UPDATE $ SET a = zeroblob(70000), b = zeroblob(70000) WHERE id = 4")
assert same("SELECT id, length(a) FROM $ ORDER BY id") == [(1, 99900), (4, 40000)]
# What is there and longer than the limit of a later connection is refused, not cut.
db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 50_000)
assert same("SELECT id FROM $ ORDER BY id") == [(1,), (4,)]
assert "TOOBIG" in same("SELECT a FROM $ WHERE id = 1")
assert "TOOBIG" in same("UPDATE $ SET id = 9 WHERE id = 1")
same("DELETE FROM $ WHERE id = 1")
assert same("SELECT id FROM $") == [(4,)]
""", folder)


def test_the_key_of_a_row_counts_for_the_limit_too(folder):
    harness.twins("""
both("(k BLOB PRIMARY KEY, v) WITHOUT ROWID", "(k BLOB PRIMARY KEY, v)")
db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
same("INSERT INTO $ VALUES (zeroblob(60000), zeroblob(30000))")
assert "TOOBIG" in same("INSERT INTO $ VALUES (zeroblob(60001), zeroblob(60000))")
assert "TOOBIG" in same("UPDATE $ SET v = zeroblob(60000)")
assert same("SELECT length(k), length(v) FROM $") == [(60000, 30000)]
""", folder)


def test_a_value_of_nearly_a_gigabyte_is_stored_or_refused_never_cut(folder):
    if harness.SLOW:
        raise harness.Skip("too large for a sanitizer")
    harness.twins("""
import resource
db.execute("CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, a)")
outcomes = []
for size in (64 << 20, 1_000_000_000, 1_000_000_001):
    outcome = run(db, "INSERT INTO l VALUES (?, zeroblob(?))", size, size)
    there = run(db, "SELECT length(a) FROM l WHERE id = ?", size)
    outcomes.append(outcome)
    assert there == ([(size,)] if outcome == [] else []), (size, outcome, there)
assert outcomes[0] == [], outcomes
assert "TOOBIG" in outcomes[2], outcomes
assert run(db, "SELECT lsm_check()") == [("ok",)]
print(outcomes)
""", folder)


def test_columns_up_to_what_sqlite_passes_on(folder):
    harness.twins("""
def columns(n): return "(" + ", ".join(f"c{i} INT" for i in range(n)) + ")"
for n in (1994, 1995):
    made = run(db, "CREATE VIRTUAL TABLE l USING lsm" + columns(n))
    assert made == [] if n == 1994 else "too many columns on l" in made, made
    if n > 1994: break
    db.execute("CREATE TABLE o" + columns(n))
    same("INSERT INTO $ VALUES (" + ", ".join("?" * n) + ")", *range(n))
    same(f"SELECT * FROM $ WHERE c{n - 1} = {n - 1}")
    same(f"UPDATE $ SET c{n - 1} = 'x', c3 = c4")
    assert same(f"SELECT c0, c3, c{n - 1} FROM $ WHERE c{n - 1} = 'x'") == [(0, 4, "x")]
    db.execute("DROP TABLE o"), db.execute("DROP TABLE l")
db.execute("CREATE VIRTUAL TABLE l USING lsm" + columns(1994))
# A key of many columns.
names = ", ".join(f"c{i}" for i in range(900))
db.execute("DROP TABLE l")
both(columns(901)[:-1] + f", PRIMARY KEY ({names})) WITHOUT ROWID", columns(901)[:-1] + f", PRIMARY KEY ({names}))")
same("INSERT INTO $ VALUES (" + ", ".join("?" * 901) + ")", *range(901))
assert "UNIQUE constraint failed" in same("INSERT INTO $ VALUES (" + ", ".join("?" * 901) + ")", *range(901))
assert same("SELECT c900 FROM $ WHERE c0 = 0 AND c1 = 1 AND c2 > 1") == [(900,)]
db.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 5)
assert "too many columns" in run(db, "CREATE VIRTUAL TABLE x USING lsm(a, b, c, d, e, f)")
assert "too many columns" in run(db, "CREATE VIRTUAL TABLE y USING lsm(a, b, c, d, e, PRIMARY KEY (b))")
""", folder)


def test_authorizers_that_deny_are_obeyed_and_harm_nothing(folder):
    harness.twins("""
both("(id INTEGER PRIMARY KEY, v CHECK (v <> 3) DEFAULT (1 + 1) NOT NULL)", "(id INTEGER PRIMARY KEY, v CHECK (v <> 3) DEFAULT (1 + 1) NOT NULL)")
same("INSERT INTO $ VALUES (1, 1), (2, 2)")
denied = None
def authorize(operation, *names):
    return sqlite3.SQLITE_DENY if denied is not None and denied(operation, *names) else sqlite3.SQLITE_OK
db.set_authorizer(authorize)
for operation in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_UPDATE):
    denied = lambda op, name, *rest: op == operation and name in ("o", "l")
    same("INSERT INTO $ VALUES (3, 4)"), same("UPDATE $ SET v = 9 WHERE id = 3"), same("DELETE FROM $ WHERE id = 3")
denied = lambda op, name, column, *rest: op == sqlite3.SQLITE_READ and name in ("o", "l") and column == "v"
same("SELECT id FROM $"), same("SELECT v FROM $"), same("DELETE FROM $ WHERE v = 77")
denied = None
same("SELECT * FROM $")
# One kind of thing at a time, our own statements on shadow tables included.
for operation in set(range(1, 34)) - {sqlite3.SQLITE_TRANSACTION}:  # or each statement would be a transaction of its own
    denied = lambda op, *rest: op == operation
    for sql in ("BEGIN", "SELECT count(*) FROM l", "INSERT INTO l VALUES (50, 5)", "INSERT INTO l(id) VALUES (51)", "INSERT INTO l VALUES (52, 3)", "UPDATE l SET v = v + 10 WHERE id < 3",
                "SELECT lsm_create_index('l', 'i', 'v')", "CREATE VIRTUAL TABLE n USING lsm(a UNIQUE, b NOT NULL DEFAULT (1 + 1), CHECK (a > 1))", "INSERT INTO n(a) VALUES (2)",
                "ALTER TABLE n RENAME TO m", "DROP TABLE m"):
        run(db, sql)
    denied = None
    if db.in_transaction: db.execute("ROLLBACK")
    assert run(db, "SELECT * FROM l") == [(1, 1), (2, 2)], (operation, run(db, "SELECT * FROM l"))
    for name in "nm": db.execute(f"DROP TABLE IF EXISTS {name}")
    run(db, "SELECT lsm_drop_index('l', 'i')")
    db.execute("INSERT INTO l VALUES (60, 1)"), db.execute("DELETE FROM l WHERE id = 60")
assert run(db, "SELECT lsm_check()") == [("ok",)]
assert [name for (name,) in run(db, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY 1")] == ["l", "l_check", "l_default", "l_store", "o"]
""", folder)


def test_a_shared_cache_serves_several_connections(folder):
    harness.python("""
def run(db, sql):
    try: return db.execute(sql).fetchall()
    except sqlite3.Error as error: return getattr(error, "sqlite_errorname", "") + ": " + str(error)
a, b = (connect("file:test.db?cache=shared", uri=True, isolation_level=None) for _ in range(2))
if run(a, "PRAGMA compile_options").count(("OMIT_SHARED_CACHE",)): raise SystemExit(0)
run(a, "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
run(a, "INSERT INTO t VALUES (1, 'a')")
assert run(b, "SELECT * FROM t") == [(1, "a")]
assert run(b, "INSERT INTO t VALUES (2, 'b')") == []
assert run(a, "SELECT * FROM t") == [(1, "a"), (2, "b")]
run(a, "BEGIN"), run(a, "INSERT INTO t VALUES (3, 'c')")
assert run(b, "SELECT count(*) FROM t") == [(2,)]
assert "LOCKED" in run(b, "INSERT INTO t VALUES (4, 'd')")
run(b, "PRAGMA read_uncommitted = 1")
assert run(b, "SELECT count(*) FROM t") == [(2,)]
run(a, "COMMIT")
assert run(b, "SELECT count(*) FROM t") == [(3,)]
run(a, "ALTER TABLE t RENAME TO u")
assert run(b, "SELECT count(*) FROM u") == [(3,)]
run(b, "DROP TABLE u")
assert "no such table" in run(a, "SELECT * FROM u")
assert run(a, "SELECT name FROM sqlite_schema") == []
# In memory each connection has a store of its own: the other one is told.
a, b = (connect("file:shared?mode=memory&cache=shared", uri=True, isolation_level=None) for _ in range(2))
run(a, "CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)"), run(a, "INSERT INTO t VALUES (1, 'a')")
assert "by another connection, for a database without a file" in run(b, "SELECT * FROM t")
assert "by another connection, for a database without a file" in run(b, "INSERT INTO t VALUES (2, 'b')")
assert run(a, "SELECT * FROM t") == [(1, "a")]
""", folder)


def test_an_interrupt_stops_scans_and_writes_and_undoes_them(folder):
    harness.twins("""
both("(id INTEGER PRIMARY KEY, v)", "(id INTEGER PRIMARY KEY, v)")
same("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO $ SELECT i, i % 97 FROM n")
left = [0]
def interrupt():
    left[0] -= 1
    if left[0] == 0: db.interrupt()
    return 0
for sql in ("SELECT sum(v) FROM $ WHERE v <> 5", "SELECT count(*) FROM $ AS a JOIN $ AS b ON a.v = b.v + 0.5", "DELETE FROM $ WHERE v > 3", "UPDATE $ SET v = v + 1", "UPDATE $ SET id = -id",
            "INSERT INTO $ SELECT id + 100000, v FROM $", "SELECT * FROM $ ORDER BY v DESC", "SELECT v, count(*) FROM $ GROUP BY v"):
    for begin in False, True:
        if begin: db.execute("BEGIN")
        left[0] = 3
        db.set_progress_handler(interrupt, 2000)
        outcome = [run(db, sql.replace("$", "o"))]
        left[0] = 3
        if begin and not db.in_transaction: db.execute("BEGIN")
        outcome.append(run(db, sql.replace("$", "l")))
        db.set_progress_handler(None, 0)
        assert outcome == ["SQLITE_INTERRUPT: interrupted"] * 2, (sql, outcome)
        if db.in_transaction: db.execute("ROLLBACK")
        assert same("SELECT count(*), sum(v), sum(id) FROM $")[0][0] == 20000
assert run(db, "SELECT lsm_check()") == [("ok",)]
""", folder)


def test_keys_have_16_mib_and_tables_60_indexes(folder):
    harness.twins("""
db.execute("CREATE VIRTUAL TABLE l USING lsm(k TEXT PRIMARY KEY, v, INDEX by_v (v))")
assert run(db, "INSERT INTO l VALUES (?, 1)", "k" * (15 << 20)) == []
for long in (("k" * (17 << 20), 1), ("k", "v" * (17 << 20))):
    assert "TOOBIG" in run(db, "INSERT INTO l VALUES (?, ?)", *long)
assert run(db, "SELECT length(k) FROM l") == [(15 << 20,)]
run(db, "DELETE FROM l")
for i in range(59): run(db, f"SELECT lsm_create_index('l', 'i{i}', 'v')")
assert "60 indexes" in run(db, "SELECT lsm_create_index('l', 'more', 'v')")
""", folder)


def test_databases_in_utf_16_and_drops_that_fail_are_refused(folder):
    harness.python("""
import shutil
db = connect("utf16.db", isolation_level=None)
db.execute("PRAGMA encoding = 'UTF-16'")
def refused(db, sql):
    try: db.execute(sql)
    except sqlite3.Error as error: return str(error)
    raise SystemExit(sql + " was not refused")
assert "UTF-8" in refused(db, "CREATE VIRTUAL TABLE t USING lsm(a)")
db = connect("test.db", isolation_level=None)
db.execute("CREATE VIRTUAL TABLE t USING lsm(a)")
db.execute("CREATE TRIGGER tr AFTER DELETE ON t_store BEGIN SELECT 1; END")
reader = db.execute("SELECT name FROM sqlite_schema, (SELECT 1 UNION ALL SELECT 2)")
reader.fetchone()
db.execute("CREATE TABLE busy(a)"), db.execute("INSERT INTO busy VALUES (1), (2)")
reader = db.execute("SELECT * FROM t_store")
reader.fetchone()
assert refused(db, "DROP TABLE t") != ""
reader.close()
assert db.execute("SELECT lsm_check()").fetchone() == ("ok",)
db.execute("DROP TABLE t")
""", folder)


def test_returning_is_seen_behind_a_number_as_newer_versions_write_it(folder):
    harness.twins("""
both("(id INTEGER PRIMARY KEY, a)", "(id INTEGER PRIMARY KEY, a)")
new = sqlite3.sqlite_version_info >= (3, 46)
for number in ("1_000", "0x1_0", "1_0.5e1_0") if new else ("1000", "0x10", "10.5e10"):
    answer = run(db, "INSERT INTO l(a) SELECT " + number + " RETURNING rowid")
    assert "RETURNING would show" in answer, (number, answer)
assert run(db, "SELECT count(*) FROM l") == [(0,)]
""", folder)
