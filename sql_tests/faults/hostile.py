"""Schemas and shadow tables that were written by an enemy: errors or nonsense, never a crash, and the rows are back when the text is."""
import os

import harness

PRELUDE = """
import random
def run(db, sql, *parameters):
    try:
        return db.execute(sql, parameters).fetchall()
    except (sqlite3.Error, OverflowError) as error:
        return str(error)
def make():
    db = connect("test.db", isolation_level=None)
    db.execute("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE NOCASE UNIQUE, b INT NOT NULL DEFAULT (1 + 1) CHECK (b < 1000), c, INDEX by_b (b DESC, c))")
    db.execute("CREATE VIRTUAL TABLE k USING lsm(a TEXT, b INT, c, PRIMARY KEY (a, b DESC))")
    db.executemany("INSERT INTO t(a, b, c) VALUES (?, ?, ?)", [(str(i), i, "x" * i) for i in range(60)])
    db.execute("INSERT INTO k SELECT a, b, c FROM t")
    db.execute("SELECT lsm_create_index('k', 'by_c', 'c')").fetchall()
    db.execute("CREATE VIEW v AS SELECT t.a, k.c FROM t JOIN k ON k.b = t.b")
    return db
def use(db):
    for sql in ("SELECT count(*), sum(length(c)) FROM t", "SELECT * FROM t WHERE a = '7'", "SELECT id FROM t WHERE b < 9 ORDER BY b DESC", "SELECT * FROM k WHERE a > '3'",
                "SELECT * FROM v LIMIT 3", "EXPLAIN QUERY PLAN SELECT * FROM k WHERE c = 'x'", "SELECT count(*) FROM lsm_tables", "SELECT lsm_check()", "PRAGMA integrity_check"):
        run(db, sql)
    run(db, "BEGIN")
    for sql in ("INSERT INTO t(a) VALUES ('new')", "UPDATE t SET b = b + 1 WHERE id < 4", "DELETE FROM t WHERE b = 8", "INSERT INTO k VALUES ('x', 1, 2)", "UPDATE k SET b = 5",
                "SELECT lsm_create_index('k', 'more', 'b')", "ALTER TABLE t RENAME TO u", "DROP TABLE k"):
        run(db, sql)
    run(db, "ROLLBACK")
def expect_whole(wanted):
    db = connect("test.db", isolation_level=None)
    assert run(db, "SELECT * FROM t") == wanted[0] and run(db, "SELECT * FROM k") == wanted[1], (run(db, "SELECT * FROM t"), run(db, "SELECT * FROM k"))
    assert run(db, "SELECT lsm_check()") == [("ok",)], run(db, "SELECT lsm_check()")
    db.close()
seed = int(os.environ.get("LSM_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
rng = random.Random(seed)
print("LSM_SEED =", seed)
def damaged(text):
    pieces = ["(", ")", ",", "'", '"', "PRIMARY KEY", "UNIQUE", "CHECK (", "NOT NULL", "DEFAULT (", "STRICT", "INDEX", "a", "b", "nosuch", "TEXT", "INTEGER", "COLLATE NOCASE", "\\0", "/*",
              "ON CONFLICT ROLLBACK", "AUTOINCREMENT", "lsm_stats", "lsm_hook_", "x'", "999999999999999999999", "é", "DESC", "0", "f" * 3000]
    for _ in range(rng.randrange(1, 4)):
        at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        form = rng.randrange(4)
        if form == 0: text = text[:at] + rng.choice(pieces) + text[at:]
        elif form == 1: text = text[:at] + text[min(end, at + 12):]
        elif form == 2: text = text[:at] + chr(rng.randrange(1, 256)) + text[at + 1:]
        else: text = text[:at] + text[at:end] + text[at:]
    return text
"""


def rounds(number):
    return max(5, number // 10) if harness.SLOW else number


def test_schema_text_that_is_not_ours(folder):
    harness.python(PRELUDE + """
db = make()
wanted = run(db, "SELECT * FROM t"), run(db, "SELECT * FROM k")
db.execute("PRAGMA writable_schema = ON")
for _ in range(int(sys.argv[1])):
    name, text = rng.choice(db.execute("SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND sql LIKE 'CREATE V%'").fetchall())
    hostile = damaged(text)
    db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (hostile, name))
    other = connect("test.db", isolation_level=None)
    if rng.random() < 0.3: run(other, "PRAGMA writable_schema = ON")  # makes SQLite take what it would call malformed
    use(other)
    other.close()
    db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (text, name))
expect_whole(wanted)
""", folder, rounds(150))


def test_shadow_tables_that_were_written_by_hand(folder):
    harness.python(PRELUDE + """
db = make()
wanted = run(db, "SELECT * FROM t"), run(db, "SELECT * FROM k")
for _ in range(int(sys.argv[1])):
    table = rng.choice(("t_store", "k_store"))
    kept = db.execute(f"SELECT * FROM {table}").fetchall()
    row = rng.choice(kept)
    form = rng.randrange(6)
    if form == 0: run(db, f"DELETE FROM {table} WHERE id = ?", row[0])
    elif form == 1: run(db, f"UPDATE {table} SET value = ? WHERE id = ?", rng.choice((None, -1, 0, 1 << 40, 1.5, b"\\0" * 40, "", "z" * 100000, 2, 3, "4 0011223344556677", 5)), row[0])
    elif form == 2: run(db, f"UPDATE {table} SET value = ? WHERE id = ?", damaged(str(row[2])), row[0])
    elif form == 3: run(db, f"UPDATE {table} SET key = ? WHERE id = ?", rng.choice((None, "index ", "index by_b", "index é", "index " + "n" * 5000, damaged(str(row[1])))), row[0])
    elif form == 4:
        other_table = "k_store" if table == "t_store" else "t_store"
        run(db, f"UPDATE {table} SET value = (SELECT value FROM {other_table} AS o WHERE o.id = {table}.id) WHERE key = ?", rng.choice(("tree", "nonce", "store")))
    else:
        for i in range(100): run(db, f"INSERT INTO {table}(key, value) VALUES (?, ?)", f"index more{i}", f"{rng.randrange(9)} 0011223344556677 " + rng.choice(("(a)", "(nosuch)", "UNIQUE (c)", "(a, a, a)", "(" * 50)))
    other = connect("test.db", isolation_level=None)
    use(other)
    other.close()
    db.execute(f"DELETE FROM {table}")
    db.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", kept)
expect_whole(wanted)
""", folder, rounds(120))


def test_shadow_tables_of_another_shape(folder):
    for change in ("DROP TABLE t_store", "DROP TABLE t_check", "DROP VIEW t_default", "DROP TABLE t_check; CREATE TABLE t_check(x)", "DROP TABLE t_check; CREATE VIEW t_check AS SELECT 1",
                   "DROP VIEW t_default; CREATE VIEW t_default AS SELECT 1, 2", "DROP VIEW t_default; CREATE VIEW t_default AS SELECT b FROM t",
                   "DROP VIEW t_default; CREATE VIEW t_default AS SELECT * FROM t_default", "DROP TABLE t_store; CREATE TABLE t_store(key, value)",
                   "DROP TABLE t_store; CREATE VIEW t_store AS SELECT 1 AS key, 2 AS value", "CREATE TRIGGER tr AFTER INSERT ON t_check BEGIN INSERT INTO t(a) VALUES ('again'); END",
                   "CREATE TRIGGER tr BEFORE INSERT ON t_check BEGIN DELETE FROM t; END", "CREATE TRIGGER tr AFTER UPDATE ON t_store BEGIN DELETE FROM k; END",
                   "ALTER TABLE t_store RENAME TO other; CREATE VIRTUAL TABLE t_store USING lsm(id INTEGER PRIMARY KEY, key, value)"):
        at = os.path.join(folder, str(abs(hash(change))))
        os.mkdir(at)
        harness.python(PRELUDE + """
db = make()
db.executescript(sys.argv[1])
db.close()
db = connect("test.db", isolation_level=None)
use(db)
print(run(db, "INSERT INTO t(a) VALUES ('after')"))
assert run(db, "SELECT count(*) FROM k") in ([(60,)], [(0,)]), run(db, "SELECT count(*) FROM k")
run(db, "DROP TABLE t")
""", at, change)


def test_what_a_schema_may_not_call(folder):
    """Views, triggers, CHECK and DEFAULT use LSM tables whatever trusted_schema says, and none of what changes things or tells about files."""
    harness.python("""
db = connect("test.db", isolation_level=None)
for sql in ("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)", "CREATE TABLE plain(x)", "CREATE VIEW v AS SELECT * FROM t",
            "CREATE VIRTUAL TABLE safe USING lsm(id INTEGER PRIMARY KEY, v NOT NULL DEFAULT (abs(-5)))",
            "CREATE TRIGGER tr AFTER INSERT ON plain BEGIN INSERT INTO safe(v) SELECT new.x + count(*) FROM t; END",
            *(f"CREATE VIEW bad{i} AS SELECT {call}" for i, call in enumerate(("lsm_flush()", "lsm_compact()", "lsm_check()", "lsm_accept()", "lsm_create_index('t', 'i', 'v')",
                                                                               "lsm_drop_index('t', 'i')", "lsm_errand_()"))),
            *(f"CREATE VIEW worse{i} AS SELECT * FROM {name}" for i, name in enumerate(("lsm_stats", "lsm_tables", "lsm_levels", "lsm_files", "lsm_readers", "lsm_check")))):
    db.execute(sql)
db.close()
for trusted in "ON", "OFF":
    db = connect("test.db", isolation_level=None)
    db.execute("PRAGMA trusted_schema = " + trusted)
    db.execute("INSERT INTO plain VALUES (1)")
    assert db.execute("SELECT count(*) FROM v").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM safe WHERE v > 0").fetchone()[0] > 0
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'bad%' OR name LIKE 'worse%'").fetchall():
        try:
            db.execute(f"SELECT * FROM {name}").fetchall()
            raise SystemExit(name + " was let through")
        except sqlite3.OperationalError as error:
            assert "unsafe use of" in str(error), (name, error)
    # What is not innocuous: as in an ordinary table. The words of the error have changed from release to release.
    answers = []
    for name in "ot":
        other = connect(name + ".db", isolation_level=None)
        other.create_function("risky", 1, lambda x: x)
        declaration = "%s(id INTEGER PRIMARY KEY, v NOT NULL DEFAULT (risky(5)) CHECK (risky(v) > 0))"
        answer = []
        for sql in (declaration % "CREATE TABLE IF NOT EXISTS o" if name == "o" else declaration % "CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm", None, "INSERT INTO $(id) VALUES (NULL)",
                    "INSERT INTO $ VALUES (NULL, 7)", "SELECT v FROM $"):
            if sql is None:
                other.close()
                other = connect(name + ".db", isolation_level=None)
                other.create_function("risky", 1, lambda x: x)
                sql = "PRAGMA trusted_schema = " + trusted
            try: answer.append(other.execute(sql.replace("$", name)).fetchall())
            except sqlite3.Error as error: answer.append("unsafe use of risky()" in str(error) or str(error))
        answers.append(answer)
        other.close()
    assert answers[0] == answers[1], (trusted, answers)
    assert (True in answers[1]) == (trusted == "OFF"), (trusted, answers)
    db.close()
""", folder)


def test_integrity_check_tells_of_lsm_tables_where_sqlite_asks(folder):
    harness.python("""
db = connect("test.db", isolation_level=None)
db.execute("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, b UNIQUE, c, INDEX i (c))")
db.execute("CREATE VIRTUAL TABLE s USING lsm(id INTEGER PRIMARY KEY, b UNIQUE, c, INDEX i (c))")
db.execute("INSERT INTO t VALUES (1, 2, 3), (2, 3, 4)")
def lines(pragma): return "\\n".join(line for (line,) in connect("test.db").execute("PRAGMA " + pragma))
assert lines("integrity_check") == lines("quick_check") == lines("integrity_check(t)") == "ok"
db.execute("UPDATE t_store SET value = (SELECT value FROM s_store WHERE key = 'index i') WHERE key = 'index i'")
if sqlite3.sqlite_version_info < (3, 44): raise SystemExit(0)
assert "LSM index i of table t: 0 entries for 2 rows" in lines("integrity_check"), lines("integrity_check")
assert lines("quick_check") == "ok" and lines("integrity_check(s)") == "ok"
db.execute("UPDATE t_store SET value = 'nonsense' WHERE key = 'nonce'")
assert "LSM table t: the shadow table main.t_store is damaged" in lines("quick_check"), lines("quick_check")
""", folder)
