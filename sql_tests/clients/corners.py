"""What hosts seldom do, beside ordinary tables: collations of their own in queries, names of parameters, query_only in the midst of a transaction, authorizers against what
the extension keeps for itself, no room for a lookup; and what SQLite does with virtual tables that nobody asked for."""
import harness


def test_collations_of_the_application_work_in_queries(folder):
    harness.twins("""
db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
both("(k TEXT PRIMARY KEY, v TEXT, n INT) WITHOUT ROWID", "(k TEXT PRIMARY KEY, v TEXT, n INT, INDEX by_v (v))")
same("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 300) INSERT INTO $ SELECT 'k' || (i * 7 % 300), 'v' || (i % 20), i FROM s")
for sql in ("SELECT k FROM $ WHERE k < 'k5' COLLATE backwards ORDER BY k", "SELECT k FROM $ WHERE k BETWEEN 'k9' COLLATE backwards AND 'k2' ORDER BY k COLLATE backwards",
            "SELECT n FROM $ WHERE v = 'v7' COLLATE backwards ORDER BY n", "SELECT n FROM $ WHERE v COLLATE backwards >= 'v7' ORDER BY 1 LIMIT 20",
            "SELECT v, count(*) FROM $ GROUP BY v COLLATE backwards", "SELECT DISTINCT v COLLATE backwards FROM $ ORDER BY 1", "SELECT max(v COLLATE backwards), min(k COLLATE backwards) FROM $",
            "SELECT v, n FROM $ ORDER BY v COLLATE backwards, n DESC LIMIT 7 OFFSET 3", "SELECT count(*) FROM $ AS a JOIN $ AS b ON a.v = b.v COLLATE backwards AND a.k < b.k COLLATE backwards",
            "SELECT k FROM $ WHERE v IN ('v1', 'v2') AND v > 'v19' COLLATE backwards ORDER BY k COLLATE backwards", "UPDATE $ SET n = -n WHERE k > 'k8' COLLATE backwards",
            "DELETE FROM $ WHERE v < 'v15' COLLATE backwards", "SELECT * FROM $ ORDER BY k COLLATE backwards"):
    answer = same(sql)
    assert not isinstance(answer, str), (sql, answer)
assert "backwards" in run(db, "CREATE VIRTUAL TABLE x USING lsm(a TEXT COLLATE backwards)")
db.create_collation("backwards", None)
assert "no such collation" in same("SELECT k FROM $ ORDER BY k COLLATE backwards")
assert len(same("SELECT k FROM $ ORDER BY k")) > 0
""", folder)


def test_a_parameter_may_be_called_returning(folder):
    harness.twins("""
both("(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 7)", "(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 7)")
for sign in ":@$":
    for name in "ol":
        db.execute(f"INSERT INTO {name}(a) VALUES ({sign}returning)", {"returning": 5})
        db.execute(f"INSERT OR REPLACE INTO {name}(id, a) SELECT 1, {sign}RETURNING /* RETURNING a */ -- RETURNING a", {"RETURNING": "x"})
for literal in ("'RETURNING a'", '"RETURNING"', "[RETURNING]", "x'00'"):
    same(f"INSERT INTO $(a) SELECT {literal} FROM (SELECT 1 AS \\"RETURNING\\")")
same("CREATE TABLE $_returning(returning_ INT, \\"returning\\" INT)")
same("INSERT INTO $_returning VALUES (1, 2)")
same("INSERT INTO $(a) SELECT r.\\"returning\\" FROM $_returning AS r")
assert len(same("SELECT * FROM $")) == 8
assert "RETURNING would show" in run(db, "INSERT INTO l(a) VALUES (?) RETURNING id", 3)
""", folder)


def test_a_transaction_is_committed_though_query_only_was_switched_on(folder):
    harness.twins("""
both("(id INTEGER PRIMARY KEY, v)", "(id INTEGER PRIMARY KEY, v)")
rows = 0
for mode in ("WAL", "DELETE", "TRUNCATE", "MEMORY"):
    db.execute("PRAGMA journal_mode = " + mode)
    for names in ("l", "ol", "o"):
        for savepoint in False, True:
            db.execute("BEGIN")
            for name in names: db.execute(f"INSERT INTO {name}(v) VALUES (1)")
            if savepoint: db.execute("SAVEPOINT s")
            if savepoint: db.execute(f"INSERT INTO {names[0]}(v) VALUES (2)")
            db.execute("PRAGMA query_only = ON")
            if savepoint: db.execute("ROLLBACK TO s")
            assert "READONLY" in run(db, f"INSERT INTO {names[0]}(v) VALUES (3)")
            assert run(db, "COMMIT") == [] and not db.in_transaction, (mode, names, run(db, "COMMIT"))
            assert run(db, "PRAGMA query_only") == [(1,)]
            assert "READONLY" in run(db, f"DELETE FROM {names[0]}")
            db.execute("PRAGMA query_only = OFF")
    rows += 4
    assert same("SELECT count(*), sum(v) FROM $") == [(rows, rows)]
assert run(db, "SELECT lsm_check()") == [("ok",)]
db.close()
db = connect("test.db")
assert run(db, "SELECT (SELECT count(*) FROM l), (SELECT count(*) FROM o)") == [(rows, rows)]
""", folder)


def test_authorizers_against_the_watch_or_the_reading_leave_statements_right(folder):
    """Where no watch can be made, each statement has a state of its own."""
    harness.twins("""
other = connect("test.db", isolation_level=None)
both("(id INTEGER PRIMARY KEY, v)", "(id INTEGER PRIMARY KEY, v)")
same("INSERT INTO $ VALUES (1, 1), (2, 2)")
seen = []
def deny_all_of_ours(op, a, b, schema, trigger):
    ours = any(name is not None and name.startswith("lsm_watch_") for name in (a, b))
    seen.append(ours)
    return sqlite3.SQLITE_DENY if ours else sqlite3.SQLITE_OK
def deny_reading(op, a, b, schema, trigger): return sqlite3.SQLITE_DENY if op == sqlite3.SQLITE_READ and a in ("o", "l") else sqlite3.SQLITE_OK
def ignore_reading(op, a, b, schema, trigger): return sqlite3.SQLITE_IGNORE if op == sqlite3.SQLITE_READ and a in ("o", "l") and b == "v" else sqlite3.SQLITE_OK
db.set_authorizer(deny_all_of_ours)
db.execute("BEGIN")
assert run(db, "SELECT count(*) FROM l") == [(2,)]
assert True in seen
other.execute("INSERT INTO l VALUES (3, 3)")
assert run(db, "SELECT count(*) FROM l") == [(3,)]
other.execute("INSERT INTO o VALUES (3, 3)")
db.execute("COMMIT")
for index_only in False, True:
    # Only what goes with the watch is denied: the state is kept all the same.
    db.set_authorizer((lambda op, a, b, schema, trigger: sqlite3.SQLITE_DENY if op == sqlite3.SQLITE_CREATE_TEMP_INDEX else sqlite3.SQLITE_OK) if index_only else None)
    run(db, "DROP TABLE temp.lsm_watch_")
    db.execute("BEGIN")
    before = run(db, "SELECT count(*) FROM l")
    other.execute("INSERT INTO l(v) VALUES (9)")
    assert run(db, "SELECT count(*) FROM l /* again */") == before
    db.execute("COMMIT")
    other.execute("INSERT INTO o(v) VALUES (9)")
db.set_authorizer(deny_reading)
for sql in ("SELECT * FROM $", "SELECT id FROM $ WHERE v = 1", "UPDATE $ SET v = v + 1", "DELETE FROM $ WHERE id = 1", "INSERT INTO $ SELECT id + 100, v FROM $"):
    assert "prohibited" in same(sql), sql
db.set_authorizer(ignore_reading)
assert same("SELECT * FROM $ ORDER BY id")[0] == (1, None)
assert same("SELECT id FROM $ WHERE v = 1") == []
same("UPDATE $ SET v = v WHERE id = 1")
db.set_authorizer(None)
same("SELECT * FROM $ ORDER BY id")
""", folder)


def test_no_room_for_a_lookup_is_an_error_and_nothing_else(folder):
    harness.twins("""
import resource, signal
for name in "ab": db.execute(f"CREATE VIRTUAL TABLE {name} USING lsm(id INTEGER PRIMARY KEY, x, s)")
for name in "ab": db.execute(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 45000) INSERT INTO {name} SELECT i, i, printf('%.*c', 900, 'x') FROM n")
db.execute("SELECT lsm_flush()").fetchall()
join = "SELECT count(*), sum(a.id), sum(length(b.s)) FROM a CROSS JOIN b ON a.x = b.x"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for begin in False, True:
    if begin: db.execute("BEGIN")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    answer = run(db, join)
    assert isinstance(answer, str) and ("FULL" in answer or "IOERR" in answer), answer
    assert run(db, "SELECT count(*) FROM a") == [(45000,)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert run(db, join) == [(45000, 1012522500, 40500000)]
    if begin and db.in_transaction: db.execute("COMMIT")
assert run(db, "SELECT lsm_check()") == [("ok",)]
""", folder)


def test_a_subquery_that_is_opened_for_each_row_sees_one_state(folder):
    """SQLite 3.40 opens the cursor of a correlated subquery anew for every row outside; others commit in between."""
    harness.twins("""
other = connect("test.db", isolation_level=None)
db.execute("CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, v)")
db.execute("CREATE TABLE o(x)")
db.execute("INSERT INTO l VALUES (1, 1), (2, 2), (3, 3)"), db.execute("INSERT INTO o VALUES (1), (2), (3), (4)")
def commits(x):
    other.execute("INSERT INTO l(v) VALUES (7)")
    return x
db.create_function("commits", 1, commits)
for sql in ("SELECT commits(x), (SELECT count(*) FROM l WHERE v <> o.x + 100) FROM o", "SELECT commits(x), (SELECT max(id) FROM l WHERE id > o.x - 100) FROM o",
            "SELECT commits(x), (SELECT count(*) FROM l WHERE v IN (SELECT v FROM l WHERE id >= o.x * 0)) FROM o",
            "SELECT commits(a.x), (SELECT count(*) FROM l AS p JOIN l AS q ON p.id = q.id WHERE p.v <> a.x + 100) FROM o AS a JOIN o AS b"):
    for begin in False, True:
        if begin: db.execute("BEGIN")
        counts = {row[1] for row in db.execute(sql)}
        assert len(counts) == 1, (sql, begin, counts)
        if begin: db.execute("COMMIT")
assert run(db, "SELECT count(*) > 40 FROM l") == [(1,)]
""", folder)


def test_one_row_is_changed_in_one_pass_and_skipped_rows_are_not_decoded(folder):
    """What SQLite does of itself: docs/sql.md tells of it."""
    harness.twins("""
db.execute("CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, u INT, v, UNIQUE (u))")
db.execute("INSERT INTO l SELECT value, value, 'v' FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1000) SELECT value FROM n)")
def keeps_a_list(sql): return any(row[1] in ("OpenEphemeral", "RowSetAdd") for row in db.execute("EXPLAIN " + sql))
for one in ("DELETE FROM l WHERE id = 5", "DELETE FROM l WHERE u = 5", "UPDATE l SET v = 1 WHERE rowid = 5", "UPDATE l SET id = 7, u = 9 WHERE u = 5", "UPDATE l SET v = 2 WHERE id = abs(-7)"):
    assert not keeps_a_list(one), one
for many in ("DELETE FROM l WHERE id > 5", "DELETE FROM l", "UPDATE l SET v = 1 WHERE v = 'x'"):
    assert keeps_a_list(many), many
# LIMIT ends the reading, and OFFSET costs no more than going past the rows.
def instructions(sql):
    count = 0
    def tick():
        nonlocal count
        count += 1
    db.set_progress_handler(tick, 1)
    rows = db.execute(sql).fetchall()
    db.set_progress_handler(None, 1)
    return count, rows
few, many = instructions("SELECT v FROM l ORDER BY id LIMIT 3"), instructions("SELECT v FROM l ORDER BY id")
assert few[0] < 60 < 1000 < many[0], (few[0], many[0])
near, far = instructions("SELECT id FROM l ORDER BY id LIMIT 1 OFFSET 10"), instructions("SELECT id FROM l ORDER BY id LIMIT 1 OFFSET 910")
assert far[1] == [(911,)] and far[0] - near[0] <= 4 * 900, (near, far)
""", folder)


def test_what_sqlite_says_of_its_own_file_knows_nothing_of_lsm_rows(folder):
    """PRAGMA data_version, max_page_count and secure_delete, beside ordinary tables."""
    harness.python("""
import glob, os
db = connect("own.db", isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE o(a)")
db.execute("CREATE VIRTUAL TABLE l USING lsm(a)")
other = connect("own.db")
def moved(*statements):
    before = other.execute("PRAGMA data_version").fetchone()
    db.execute("BEGIN")
    for sql in statements: db.execute(sql)
    db.execute("COMMIT")
    return other.execute("PRAGMA data_version").fetchone() != before
assert moved("INSERT INTO o VALUES (1)")
assert not moved("INSERT INTO l VALUES (1)")
assert moved("INSERT INTO l VALUES (2)", "UPDATE o SET a = a + 1")
assert other.execute("SELECT count(*) FROM l").fetchone() == (2,)
other.close()

db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.execute("PRAGMA max_page_count = 1")
try:
    db.execute("INSERT INTO o VALUES (zeroblob(1000000))")
    raise AssertionError("an ordinary table has outgrown max_page_count")
except sqlite3.OperationalError as error:
    assert "full" in str(error), error
db.execute("INSERT INTO l VALUES (zeroblob(1000000))")
db.execute("PRAGMA max_page_count = 1073741823")

def files_with(mark): return [name for name in glob.glob("own.db*") + glob.glob("own.db-lsm/**", recursive=True) if os.path.isfile(name) and mark in open(name, "rb").read()]
db.execute("PRAGMA journal_mode = DELETE")
db.execute("PRAGMA secure_delete = ON")
for name, mark in ("o", "Xq9-kept-by-none"), ("l", "Zr7-kept-by-some"):
    db.execute(f"INSERT INTO {name} VALUES (?)", (mark,))
    assert files_with(mark.encode())
    db.execute(f"DELETE FROM {name} WHERE a = ?", (mark,))
assert files_with(b"Xq9-kept-by-none") == []
assert files_with(b"Zr7-kept-by-some")
db.execute("SELECT lsm_compact()")
assert files_with(b"Zr7-kept-by-some") == [], files_with(b"Zr7-kept-by-some")
""", folder)


def test_a_setting_that_cannot_be_is_refused(folder):
    harness.python("""
import os
for parameter in ("lsm_write_buffer=abc", "lsm_write_buffer=", "lsm_write_buffer=-1", "lsm_write_buffer=65535", "lsm_write_buffer=1073741825", "lsm_write_buffer=65536k", "lsm_write_buffer=0x10000",
                  "lsm_write_buffer=99999999999999999999", "lsm_writebuffer=65536"):
    name, value = parameter.split("=")
    db = connect("file:test.db?" + parameter, uri=True)
    for sql in ("CREATE VIRTUAL TABLE t USING lsm(a)", "CREATE VIRTUAL TABLE temp.t USING lsm(a)"):
        try: db.execute(sql)
        except sqlite3.OperationalError as error: assert name in str(error) and (value in str(error) or name == "lsm_writebuffer"), (parameter, error)
        else: assert sql.count("temp"), parameter
    db.close()
    assert not os.path.exists("test.db-lsm"), parameter
for parameter in ("lsm_write_buffer=65536", "lsm_write_buffer=1073741824", "cache=private"):
    db = connect("file:test.db?" + parameter, uri=True)
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    db.close()
# The store is open, with what another connection has said: not looked at, but not swallowed either.
first = connect("test.db")
assert first.execute("SELECT count(*) FROM t").fetchone() == (3,)
second = connect("file:test.db?lsm_write_buffer=1", uri=True)
try: second.execute("SELECT count(*) FROM t")
except sqlite3.OperationalError as error: assert "lsm_write_buffer=1" in str(error), error
else: assert False
""", folder)


def test_what_another_connection_has_made_of_a_table_is_not_taken_for_the_old_one(folder):
    harness.python("""
def run(db, sql):
    try: return db.execute(sql).fetchall()
    except sqlite3.Error as error: return str(error)
for old in ("(a INTEGER PRIMARY KEY, b)", "(a INTEGER PRIMARY KEY, b, INDEX i (b))"):
    for new in ("TABLE t(a INTEGER PRIMARY KEY, b)", "VIEW t AS SELECT 1 AS a, 2 AS b", "VIRTUAL TABLE t USING fts3(a, b)", "VIRTUAL TABLE t USING lsm(b TEXT PRIMARY KEY, a)"):
        for use in ("lsm_truncate('t')", "lsm_delete_range('t', 1, 9)", "lsm_create_index('t', 'j', 'b')", "lsm_drop_index('t', 'j')"):
            here, there = connect("test.db", isolation_level=None), connect("test.db", isolation_level=None)
            here.execute("CREATE VIRTUAL TABLE t USING lsm" + old)
            here.execute("INSERT INTO t VALUES (1, 1)")
            here.execute("CREATE VIRTUAL TABLE keep USING lsm(a)")
            assert here.execute("SELECT * FROM t").fetchall() == [(1, 1)]
            there.execute("DROP TABLE t")
            there.execute("CREATE " + new)
            if not new.startswith("VIEW"): there.execute("INSERT INTO t(a, b) VALUES (5, 5)")
            answer = run(here, "SELECT " + use)
            lsm = "USING lsm" in new
            assert ("no such index" in answer if "drop" in use else answer == [("ok",)]) if lsm else isinstance(answer, str), (old, new, use, answer)
            assert lsm or "LSM table" in answer or "cannot modify" in answer, (old, new, use, answer)
            # No transaction is left behind.
            assert run(here, "SELECT lsm_flush()") == [("ok",)], (old, new, use)
            there.execute("INSERT INTO keep VALUES (1)")
            if not lsm and not new.startswith("VIEW"): assert len(there.execute("SELECT * FROM t").fetchall()) == 1
            there.execute("DROP " + ("VIEW" if new.startswith("VIEW") else "TABLE") + " t")
            there.execute("DROP TABLE keep")
            here.close()
            there.close()
""", folder)


def test_a_table_dropped_while_an_older_statement_knows_it_hands_on_what_it_knew(folder):
    """ROLLBACK TO may have the schemas read anew: the statement keeps the table as it was known before, which is no other one that could say how the store's last transaction ended."""
    harness.twins("""
for schema in "main", "aux":
    if schema == "aux": db.execute("ATTACH 'aux.db' AS aux")
    for begin in "SAVEPOINT outer", "BEGIN":
        for name in "stays", "goes": db.execute(f"CREATE VIRTUAL TABLE {schema}.{name} USING lsm(a)")
        db.execute(begin)
        if begin == "BEGIN": db.execute("SAVEPOINT outer")
        reading = "SELECT a FROM goes"  # which stays prepared
        assert run(db, reading) == []
        db.execute("ROLLBACK TO outer")
        db.execute("DROP TABLE goes")
        db.execute("COMMIT")
        assert run(db, f"SELECT lsm_check('{schema}')") == [("ok",)], (schema, begin, run(db, f"SELECT lsm_check('{schema}')"))
        db.execute("DROP TABLE stays")
""", folder)


def test_rows_that_a_function_has_taken_away_meanwhile_are_passed_over(folder):
    """An ordinary table with such an index says that it is malformed."""
    harness.twins("""
db.execute("CREATE VIRTUAL TABLE l USING lsm(id INTEGER PRIMARY KEY, v UNIQUE, w)")
db.create_function("take", 1, lambda id: db.execute("DELETE FROM l WHERE id = ?", (id,)).rowcount)
db.execute("INSERT INTO l VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c'), (4, 40, 'd'), (5, 50, 'e')")
for sql in ("DELETE FROM l WHERE id < 3 AND take(id)", "UPDATE l SET v = v + 1 WHERE id = 3 AND take(id)", "UPDATE l SET w = 'f' WHERE v = 40 AND take(id)"):
    assert run(db, sql) == [], (sql, run(db, sql))
assert run(db, "SELECT * FROM l") == [(5, 50, 'e')]
assert run(db, "SELECT lsm_check()") == [("ok",)]
""", folder)
