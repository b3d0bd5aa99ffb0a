"""A second process beside one that has the store open; and threads, connections, children of one process."""
import os
import signal
import subprocess
import time

from harness import PRELUDE, Peer, expect_equal, expect_in, host_env, need_sharing, python, shell

HOLDER = """
import time
db = connect('test.db')
db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(k TEXT PRIMARY KEY, v)")
db.execute("INSERT OR REPLACE INTO t VALUES ('a', 1)")
db.commit()
print('ready', flush=True)
sys.stdin.readline()
"""


def holder(folder):
    process = subprocess.Popen(["/usr/bin/python3", "-c", PRELUDE + HOLDER], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=host_env())
    line = process.stdout.readline()
    expect_equal(line, b"ready\n")
    return process


def test_a_table_dropped_since_the_snapshot_is_told_from_one_whose_rows_are_lost(folder):
    """It is used for the first time in a transaction that began before the drop: in its snapshot of the database file it is still there."""
    need_sharing(folder)
    for first in ("SELECT count(*) FROM plain", "SELECT count(*) FROM u"):
        with Peer(folder, timeout=1) as a, Peer(folder, timeout=1) as b:
            for sql in ("PRAGMA journal_mode = WAL", "CREATE TABLE IF NOT EXISTS plain(k)", "CREATE VIRTUAL TABLE t USING lsm(k)", "CREATE VIRTUAL TABLE u USING lsm(k)",
                        "INSERT INTO t VALUES (1)"):
                b.run(sql)
            a.run("BEGIN")
            expect_equal(a.one(first), 0)
            b.run("DROP TABLE t")
            expect_equal(a.one("SELECT lsm_check()"), "ok")
            refused = a.refused("SELECT * FROM t")
            expect_equal(refused.code, 517)  # SQLITE_BUSY_SNAPSHOT
            expect_in("was dropped by another connection", str(refused))
            a.run("COMMIT")
            expect_in("no such table", str(a.refused("SELECT * FROM t")))
            b.run("CREATE VIRTUAL TABLE t USING lsm(k)")
            b.run("INSERT INTO t VALUES (2)")
            a.run("BEGIN")
            expect_equal(a.one(first), 0)
            for sql in ("DROP TABLE t", "CREATE VIRTUAL TABLE t USING lsm(k, v)", "INSERT INTO t VALUES (7, 8)", "SELECT lsm_compact()"):
                b.run(sql)
            expect_equal(a.refused("SELECT * FROM t").code, 517)
            a.run("COMMIT")
            expect_equal(a.run("SELECT * FROM t"), [(7, 8)])
            b.run("DROP TABLE t")
            b.run("DROP TABLE u")


def test_an_index_dropped_since_the_snapshot_is_no_finding_of_the_check(folder):
    need_sharing(folder)
    with Peer(folder, timeout=1) as a, Peer(folder, timeout=1) as b:
        for sql in ("PRAGMA journal_mode = WAL", "CREATE TABLE plain(k)", "CREATE VIRTUAL TABLE t USING lsm(k, v)", "INSERT INTO t VALUES (1, 2), (3, 4)",
                    "SELECT lsm_create_index('t', 'by_v', 'v')"):
            b.run(sql)
        expect_equal(a.one("SELECT count(*) FROM t WHERE v > 0"), 2)
        a.run("BEGIN")
        expect_equal(a.one("SELECT count(*) FROM plain"), 0)
        b.run("SELECT lsm_drop_index('t', 'by_v')")
        b.run("SELECT lsm_compact()")
        expect_equal(a.one("SELECT lsm_check()"), "ok")
        expect_equal(a.run("PRAGMA integrity_check"), [("ok",)])
        a.run("COMMIT")
        expect_equal(a.one("SELECT lsm_check()"), "ok")


def test_a_table_made_or_dropped_while_the_check_runs_is_no_finding(folder):
    """The check has no snapshot of its own outside of a transaction: at each step of its statements another connection drops one table and makes another."""
    need_sharing(folder)
    result = python("""
import sqlite3
a, b = connect('test.db', isolation_level=None), connect('test.db', isolation_level=None)
a.execute('PRAGMA journal_mode = WAL')
for name in ('kept', 'doomed'): a.execute(f'CREATE VIRTUAL TABLE {name} USING lsm(k, v)')
a.execute('SELECT lsm_check()').fetchall()
calls, at, found, done = 0, 0, set(), 0
def step():
    global calls, done
    calls += 1
    if calls == at:
        b.execute('DROP TABLE doomed')
        b.execute('CREATE VIRTUAL TABLE doomed USING lsm(k, v)')
        done += 1
    return 0
while calls >= at:
    calls, at = 0, at + 1
    a.set_progress_handler(step, 1)
    try: found.update(row[0] for row in a.execute('SELECT lsm_check()'))
    finally: a.set_progress_handler(None, 0)
print(done > 20, found)
""", folder)
    expect_equal(result.lines, ["True {'ok'}"])


def test_a_second_process_reads_and_writes(folder):
    first = holder(folder)
    try:
        expect_equal(shell("SELECT * FROM t; INSERT INTO t VALUES ('b', 2); SELECT count(*) FROM t;", cwd=folder).lines, ["a|1", "2"])
    finally:
        first.communicate(b"\n")
    expect_equal(shell("SELECT * FROM t; SELECT lsm_check();", cwd=folder).lines, ["a|1", "b|2", "ok"])


def test_the_ordinary_tables_stay_open_to_everybody(folder):
    shell("CREATE TABLE plain(a); INSERT INTO plain VALUES (1);", cwd=folder)
    first = holder(folder)
    try:
        expect_equal(shell("SELECT * FROM plain;", cwd=folder).lines, ["1"])
        expect_equal(shell("INSERT INTO plain VALUES (2); SELECT * FROM plain;", cwd=folder, load=False).lines, ["1", "2"])
    finally:
        first.communicate(b"\n")


def test_a_killed_process_leaves_no_lock(folder):
    first = holder(folder)
    first.send_signal(signal.SIGKILL)
    first.wait()
    expect_equal(shell("SELECT * FROM t; SELECT lsm_check();", cwd=folder).lines, ["a|1", "ok"])


def test_a_forked_child_is_refused_and_harms_nothing(folder):
    result = python("""
import os, sqlite3
db = connect('test.db')
db.execute("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)")
db.execute("INSERT INTO t VALUES ('a', 1)")
db.commit()
pid = os.fork()
if pid == 0:
    try:
        db.execute('SELECT * FROM t').fetchall()
        os.write(1, b'child reads\\n')
    except sqlite3.Error as error:
        os.write(1, b'child refused\\n')
    os._exit(0)
os.waitpid(pid, 0)
db.execute("INSERT INTO t VALUES ('b', 2)")
db.commit()
print(db.execute('SELECT * FROM t').fetchall(), db.execute('SELECT lsm_check()').fetchone()[0], flush=True)
""", folder)
    expect_equal(result.lines, ["child refused", "[('a', 1), ('b', 2)] ok"])


def test_several_connections_and_threads_of_one_process_share_the_store(folder):
    result = python("""
import sqlite3, threading
db = connect('test.db', timeout=60)
db.execute('PRAGMA journal_mode = WAL')
db.execute("CREATE VIRTUAL TABLE t USING lsm(who INTEGER, n INTEGER, v, PRIMARY KEY (who, n))")
problems = []
def writer(who):
    try:
        mine = connect('test.db', timeout=60, isolation_level=None)
        for n in range(100):
            mine.execute('BEGIN IMMEDIATE')
            mine.execute('INSERT INTO t VALUES (?, ?, ?)', (who, n, 'x' * 50))
            mine.execute('INSERT INTO t VALUES (?, ?, ?)', (-who, n, 'x' * 50))
            mine.execute('COMMIT')
        mine.close()
    except Exception as error:
        problems.append(repr(error))
def reader():
    try:
        mine = connect('test.db', timeout=60, isolation_level=None)
        last = 0
        for _ in range(100):
            a, b = mine.execute('SELECT sum(who > 0), sum(who < 0) FROM t').fetchone()
            if a != b or (a or 0) < last: problems.append((a, b, last))
            last = a or 0
        mine.close()
    except Exception as error:
        problems.append(repr(error))
threads = [threading.Thread(target=writer, args=(i + 1,)) for i in range(3)] + [threading.Thread(target=reader) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
print(problems)
print(db.execute('SELECT count(*), count(DISTINCT who) FROM t').fetchone(), db.execute('SELECT lsm_check()').fetchone()[0])
""", folder)
    expect_equal(result.lines, ["[]", "(600, 6) ok"])


def test_one_database_under_several_names_is_one_store(folder):
    """By a symbolic link to the file or its folder, and by a mount that no name betrays: nobody writes beside another, and each sees what the others commit."""
    need_sharing(folder)
    os.mkdir(os.path.join(folder, "data"))
    os.mkdir(os.path.join(folder, "mounted"))
    os.symlink("data", os.path.join(folder, "link"))
    os.symlink("data/test.db", os.path.join(folder, "link.db"))
    inside = ["unshare", "--mount", "sh", "-c", 'mount --bind data mounted && exec "$@"', "sh"]
    if subprocess.run([*inside, "true"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        inside = []
    result = python("""
names = ['data/test.db', 'link/test.db', 'link.db'] + ['mounted/test.db'] * (len(sys.argv) > 1)
dbs = [connect(name, isolation_level=None, timeout=0.1) for name in names]
dbs[0].execute('PRAGMA journal_mode = WAL')
dbs[0].execute('CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)')
for turn in range(12):
    writer = dbs[turn % len(dbs)]
    writer.execute('BEGIN IMMEDIATE')
    writer.execute('INSERT INTO t VALUES (?, ?)', (turn, names[turn % len(dbs)]))
    for db in dbs:
        if db is writer: continue
        try: db.execute('INSERT INTO t VALUES (1000, 0)')
        except sqlite3.OperationalError as error: assert 'locked' in str(error), error
        else: raise AssertionError('two write')
    writer.execute('COMMIT')
    if turn % 5 == 4: writer.execute('SELECT lsm_flush()').fetchall()
    assert {db.execute('SELECT count(*) FROM t').fetchone()[0] for db in dbs} == {turn + 1}
dbs.pop(0).close()
assert {db.execute('SELECT lsm_check()').fetchone()[0] for db in dbs} == {'ok'}
print([name for name in os.listdir('.') if name.startswith('link') and name.endswith('-lsm')], os.listdir('data/test.db-lsm') == os.listdir('link/test.db-lsm'), len(os.listdir('data/test.db-lsm')))
""", folder, *inside[:1], command=inside)
    expect_equal(result.lines, ["[] True 1"])


def test_a_stale_view_cannot_write(folder):
    """A statement that is still reading pins its view; what is written on the strength of it must not overwrite what came after."""
    result = python("""
import sqlite3
a, b = connect('test.db', timeout=1, isolation_level=None), connect('test.db', timeout=1, isolation_level=None)
a.execute('PRAGMA journal_mode = WAL')
a.execute("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)")
a.execute("INSERT INTO t VALUES ('x', 0), ('y', 0)")
a.execute('BEGIN'); rows = a.execute('SELECT k FROM t'); print(next(rows))
b.execute("UPDATE t SET v = 1")
try:
    a.execute("UPDATE t SET v = v + 1 WHERE k = 'x'")
    print('written')
except sqlite3.OperationalError as error:
    print(getattr(error, 'sqlite_errorname', 'SQLITE_BUSY_SNAPSHOT'))
print(rows.fetchall())
a.execute('ROLLBACK')
a.execute('BEGIN IMMEDIATE'); a.execute("UPDATE t SET v = v + 1 WHERE k = 'x'"); a.execute('COMMIT')
print(b.execute('SELECT * FROM t').fetchall())
""", folder)
    expect_equal(result.lines, ["('x',)", "SQLITE_BUSY_SNAPSHOT", "[('y',)]", "[('x', 2), ('y', 1)]"])


def test_a_table_dropped_by_another_connection_is_an_error_and_not_empty(folder):
    """SQLite's snapshot of the schema may be older than the DROP; rows that are gone must not look like no rows."""
    result = python("""
import sqlite3
a, b = connect('test.db', timeout=1, isolation_level=None), connect('test.db', timeout=1, isolation_level=None)
a.execute('PRAGMA journal_mode = WAL')
a.execute("CREATE VIRTUAL TABLE t USING lsm(x)")
a.execute("INSERT INTO t VALUES (1)")
c = connect('test.db', timeout=1, isolation_level=None)
b.execute('BEGIN'); print(b.execute('SELECT * FROM t').fetchall())
c.execute('SELECT * FROM t'); c.execute('BEGIN'); print(c.execute("SELECT count(*) FROM sqlite_master WHERE name = 't'").fetchall())
a.execute('DROP TABLE t')
print(b.execute("SELECT count(*) FROM sqlite_master WHERE name = 't'").fetchall())
print(b.execute('SELECT * FROM t').fetchall())
for i in range(2):
    try:
        print(c.execute('SELECT * FROM t').fetchall())
    except sqlite3.OperationalError as error:
        print(error)
b.execute('ROLLBACK')
c.execute('ROLLBACK')
try:
    print(b.execute('SELECT * FROM t').fetchall())
except sqlite3.OperationalError as error:
    print(error)
""", folder)
    expect_equal(result.lines, ["[(1,)]"] * 4 + ["table t, or its index, was dropped by another connection: end this transaction"] * 2 + ["no such table: t"])


def test_an_open_cursor_keeps_its_rows_while_others_commit(folder):
    result = python("""
import sqlite3
a, b = connect('test.db', isolation_level=None), connect('test.db', isolation_level=None)
a.execute('PRAGMA journal_mode = WAL')
a.execute("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
a.execute("INSERT INTO t SELECT value, 0 FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 3000) SELECT value FROM n)")
rows = a.execute('SELECT id, v FROM t')
got = [next(rows) for _ in range(10)]
b.execute('UPDATE t SET v = 1'); b.execute('DELETE FROM t WHERE id % 2'); b.execute('SELECT lsm_flush()').fetchall(); b.execute('SELECT lsm_compact()').fetchall()
got += rows.fetchall()
print(len(got), sum(v for _, v in got), [i for i, _ in got] == list(range(1, 3001)))
print(a.execute('SELECT count(*), sum(v) FROM t').fetchone())
""", folder)
    expect_equal(result.lines, ["3000 0 True", "(1500, 1500)"])


def test_a_process_that_comes_while_others_write_finds_that_all_fits(folder):
    """Store and database are compared at the first use; an old snapshot of the database, or a store that moves on meanwhile, is no mismatch."""
    result = python("""
import os, signal, sqlite3, sys, time
def connect_here():
    db = connect('test.db', timeout=30, isolation_level=None)
    db.execute('PRAGMA synchronous = OFF')
    return db
db = connect_here()
db.execute('PRAGMA journal_mode = WAL')
db.execute('CREATE TABLE o(n)'); db.execute('CREATE VIRTUAL TABLE l USING lsm(n INTEGER PRIMARY KEY)')
db.close()
writer = os.fork()
if writer == 0:
    db = connect_here()
    while True:
        for sql in ('BEGIN IMMEDIATE', 'INSERT INTO o VALUES (1)', 'INSERT INTO l VALUES (NULL)', 'COMMIT'):
            db.execute(sql)
for i in range(15):
    reader = os.fork()
    if reader == 0:
        try:
            db = connect_here()
            db.execute('BEGIN')
            ordinary = db.execute('SELECT count(*) FROM o').fetchone()[0]
            time.sleep(0.02)
            lsm = db.execute('SELECT count(*) FROM l').fetchone()[0]
            os._exit(0 if lsm >= ordinary else 2)
        except sqlite3.Error as error:
            print(error, flush=True)
        os._exit(1)
    _, status = os.waitpid(reader, 0)
    if status != 0:
        print('reader', i, 'ended with', status, flush=True)
os.kill(writer, signal.SIGKILL)
os.waitpid(writer, 0)
db = connect_here()
print(db.execute('SELECT (SELECT count(*) FROM o) = (SELECT count(*) FROM l), (SELECT count(*) FROM o) > 0').fetchone())
""", folder)
    expect_equal(result.lines, ["(1, 1)"])


def test_a_temporary_copy_is_the_first_reading_of_a_transaction_beside_a_changed_schema(folder):
    """CREATE TABLE temp.x AS SELECT has half a row in temp's schema while it runs: it must not be read then, whoever changed what elsewhere."""
    for words in ("main.t", "y.t"):
        result = python("""
for name in ('test.db', 'y.db'):
    db = connect(name, isolation_level=None)
    if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]: db.execute("CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, v)")
    db.execute("INSERT OR REPLACE INTO t VALUES (1, 'one')")
    db.close()
a = connect('test.db', isolation_level=None)
a.execute("ATTACH 'y.db' AS y")
a.execute("SELECT count(*) FROM y.sqlite_schema").fetchall()
b = connect('y.db', isolation_level=None)
b.execute("DROP TABLE IF EXISTS z")
b.execute("CREATE TABLE z(a)")
for end in ('ROLLBACK', 'COMMIT'):
    a.execute("BEGIN")
    a.execute("CREATE TABLE temp.copy AS SELECT * FROM " + sys.argv[1])
    print(a.execute("SELECT * FROM copy").fetchall())
    a.execute(end)
    b.execute("DROP TABLE z")
    b.execute("CREATE TABLE z(a, b)")
""", folder, words)
        expect_equal(result.lines, ["[(1, 'one')]"] * 2)
