"""Processes that die, stand still or fork while they have a database open: what the others notice of it, which is nothing or a wait."""
import fcntl
import os
import random
import signal
import struct
import time

from harness import Peer, PeerError, expect_equal, expect_in, need_sharing, python, shell, store_files

BUSY = 5
SMALL = "file:test.db?lsm_write_buffer=65536"
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "


def pair(folder, timeout=30):
    need_sharing(folder)
    a, b = Peer(folder, SMALL, timeout), Peer(folder, SMALL, timeout)
    a.run("PRAGMA journal_mode = WAL")
    a.run("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)")
    return a, b


def expect_nothing_left_over(folder):
    with Peer(folder) as c:
        expect_equal(c.one("SELECT lsm_check()"), "ok")
        c.run("SELECT lsm_compact()")  # or a merge may come between the list and the look
        named = {f"{row[0]:08}.sst" for row in c.run("SELECT number FROM lsm_files")}
    expect_equal({path.rsplit("/", 1)[1] for path in store_files(folder, suffix=".sst")}, named, "table files when all have closed")


def test_a_writer_killed_in_its_transaction_leaves_nothing_and_nobody_waits(folder):
    a, b = pair(folder)
    with b:
        a.run("INSERT INTO t VALUES (1, 'kept')")
        a.run("BEGIN IMMEDIATE")
        a.run("INSERT INTO t VALUES (2, 'lost')")
        a.run(NUMBERS % 3000 + "INSERT INTO t SELECT i + 10, randomblob(200) FROM n")  # more than its memory: files of its own
        expect_equal(b.one("SELECT count(*) FROM t"), 1)
        a.kill()
        b.run("INSERT INTO t VALUES (3, 'next')")
        expect_equal(b.run("SELECT * FROM t"), [(1, "kept"), (3, "next")])
    expect_nothing_left_over(folder)


def test_whoever_flushes_or_merges_is_killed_and_another_takes_over(folder):
    a, b = pair(folder)
    rng = random.Random(7)
    with b:
        for turn in range(8):
            a.run("INSERT OR REPLACE INTO t SELECT i, ?1 FROM (" + NUMBERS % 4000 + "SELECT i FROM n)", turn)
            a.send("SELECT lsm_flush()" if turn % 2 else "SELECT lsm_compact()")
            time.sleep(rng.choice((0.001, 0.01, 0.03)) * rng.random())
            a.kill()
            expect_equal(b.run("SELECT count(*), min(v), max(v) FROM t"), [(4000, turn, turn)])
            expect_equal(b.one("SELECT lsm_compact()"), "ok")
            expect_equal(b.one("SELECT count(*) FROM t"), 4000)
            a = Peer(folder, SMALL)
        a.end()
    expect_nothing_left_over(folder)


def test_a_writer_that_is_stopped_makes_writers_busy_and_readers_do_not_notice(folder):
    a, b = pair(folder)
    with a, b:
        a.run("INSERT INTO t VALUES (1, 'one')")
        a.run("BEGIN IMMEDIATE")
        a.run("INSERT INTO t VALUES (2, 'two')")
        a.signal(signal.SIGSTOP)
        try:
            expect_equal(b.run("SELECT * FROM t"), [(1, "one")])
            b.run("PRAGMA busy_timeout = 200")
            refused = b.refused("INSERT INTO t VALUES (3, 'three')")
            expect_equal(refused.code, BUSY)
            expect_equal(b.run("SELECT * FROM t"), [(1, "one")])
            with Peer(folder, SMALL) as c:  # even a newcomer
                expect_equal(c.run("SELECT * FROM t"), [(1, "one")])
        finally:
            a.signal(signal.SIGCONT)
        a.run("COMMIT")
        b.run("PRAGMA busy_timeout = 30000")
        b.run("INSERT INTO t VALUES (3, 'three')")
        expect_equal(b.one("SELECT count(*) FROM t"), 3)


WRITER, MANIFEST = 2, 3  # bytes of LOCK


def is_held(folder, byte):
    handle = os.open(store_files(folder, suffix="LOCK")[0], os.O_RDWR)
    answer = fcntl.fcntl(handle, 36, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))  # F_OFD_GETLK
    os.close(handle)
    return struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK


def stop_between_appends(peer, folder):
    """A process stopped within an append holds others up, as the tests with hold() have it; here it is stopped at its other work."""
    while True:
        peer.signal(signal.SIGSTOP)
        time.sleep(0.01)
        if not is_held(folder, WRITER) and not is_held(folder, MANIFEST):
            return
        peer.signal(signal.SIGCONT)
        time.sleep(0.002)


def test_one_that_is_stopped_while_it_merges_holds_nobody_up(folder):
    a, b = pair(folder)
    rng = random.Random(11)
    with a, b:
        for turn in range(4):
            a.run("INSERT OR REPLACE INTO t SELECT i, ?1 FROM (" + NUMBERS % 20000 + "SELECT i FROM n)", turn)
            a.send("SELECT lsm_compact()")
            time.sleep(0.03 * rng.random())
            stop_between_appends(a, folder)
            try:
                b.run("UPDATE t SET v = v + 100 WHERE k <= 10")
                b.run(NUMBERS % 3000 + "INSERT OR REPLACE INTO t SELECT i + 100000, randomblob(200) FROM n")
                expect_equal(b.run("SELECT count(*), min(v), max(v) FROM t WHERE k <= 20000"), [(20000, turn, turn + 100)])
                if turn % 2:
                    expect_equal(b.one("SELECT lsm_flush()"), "ok")
            finally:
                a.signal(signal.SIGCONT)
            expect_equal(a.answer(), [("ok",)])
            expect_equal(a.run("SELECT count(*), min(v), max(v) FROM t WHERE k <= 20000"), [(20000, turn, turn + 100)])
    expect_nothing_left_over(folder)


def hold(folder, byte):
    """Take a lock of the store as a process that stands still has it (docs/format.md says what the bytes mean)."""
    handle = os.open(store_files(folder, suffix="LOCK")[0], os.O_RDWR)
    fcntl.fcntl(handle, 38, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))  # F_OFD_SETLKW
    return handle


def test_one_that_is_stopped_in_an_append_to_the_manifest_makes_writers_busy_when_memory_is_full(folder):
    a, b = pair(folder)
    with a, b:
        a.run("INSERT INTO t VALUES (0, 'zero')")
        a.run("PRAGMA busy_timeout = 300")
        stopped = hold(folder, 3)
        refused, rows = None, 1
        try:
            while refused is None and rows < 200000:
                try:
                    a.run(NUMBERS % 500 + "INSERT INTO t SELECT i + ?, randomblob(100) FROM n", rows)
                    rows += 500
                except PeerError as error:
                    refused = error
                expect_equal(b.one("SELECT count(*) FROM t"), rows)
            expect_equal(refused.code & 255, BUSY)
            expect_in("manifest", str(refused))
            expect_equal(a.one("SELECT count(*) FROM t"), rows)
        finally:
            os.close(stopped)
        a.run("PRAGMA busy_timeout = 30000")
        a.run("INSERT INTO t VALUES (-1, 'next')")
        expect_equal(b.one("SELECT lsm_flush()"), "ok")
        expect_equal(b.one("SELECT count(*) FROM t"), rows + 1)
    expect_nothing_left_over(folder)


def test_flushes_and_merges_are_taken_over_from_one_that_is_stopped_in_them(folder):
    a, b = pair(folder)
    with a, b:
        a.run(NUMBERS % 3000 + "INSERT INTO t SELECT i, i FROM n")
        stopped = [hold(folder, byte) for byte in (4, 5)]
        try:
            expect_equal(a.one("SELECT lsm_flush()"), "ok")
            expect_equal(b.one("SELECT lsm_compact()"), "ok")
            expect_equal(b.run("SELECT count(*) FROM lsm_levels"), [(1,)])
            expect_equal(a.run("SELECT count(*), sum(v) FROM t"), [(3000, 4501500)])
        finally:
            for handle in stopped:
                os.close(handle)
    expect_nothing_left_over(folder)


def test_a_reader_that_is_stopped_keeps_its_files_and_goes_on(folder):
    a, b = pair(folder)
    with a, b:
        a.run(NUMBERS % 3000 + "INSERT INTO t SELECT i, i FROM n")
        a.run("SELECT lsm_flush()")
        got = b.start("SELECT k, v FROM t", 1)
        b.signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                a.run("UPDATE t SET v = v + 1")
                a.run("SELECT lsm_compact()")
        finally:
            b.signal(signal.SIGCONT)
        got += b.rest("SELECT k, v FROM t")
        expect_equal(got, [(i, i) for i in range(1, 3001)])
        expect_equal(b.one("SELECT sum(v - k) FROM t"), 9000)
    expect_nothing_left_over(folder)


def test_all_die_at_once_and_the_next_one_finds_every_commit(folder):
    a, b = pair(folder)
    for i in range(40):
        (a if i % 2 else b).run("INSERT INTO t VALUES (?, randomblob(3000))", i)
    a.run("BEGIN IMMEDIATE")
    a.run("INSERT INTO t VALUES (1000, 'lost')")
    a.kill()
    b.kill()
    expect_equal(shell("SELECT count(*), max(k) FROM t;", cwd=folder).lines, ["40|39"])
    expect_nothing_left_over(folder)


# ---- fork ----------------------------------------------------------------------------------------------------------


def test_a_forked_child_gets_a_clear_error_and_the_parent_and_others_go_on(folder):
    for closes in (False, True):
        with Peer(folder) as a:
            a.run("CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(k INTEGER PRIMARY KEY, v)")
            a.run("INSERT OR REPLACE INTO t VALUES (1, 'one')")
            for sql in ("SELECT * FROM t", "INSERT INTO t VALUES (2, 'child')", "SELECT lsm_flush()"):
                said, status = a.run(sql, *([1] if closes else []), what="fork")
                expect_in("fork", said)
                expect_equal(status, 0, "the child's end")
            a.run("INSERT OR REPLACE INTO t VALUES (3, 'parent')")
            expect_equal(a.run("SELECT * FROM t"), [(1, "one"), (3, "parent")])
        expect_equal(shell("SELECT count(*) FROM t; SELECT lsm_check();", cwd=folder).lines, ["2", "ok"])


def test_a_child_may_end_and_close_whatever_its_parent_had_in_hand(folder):
    """A SELECT half read, a transaction half written: the child's error, its ROLLBACK and its close touch nothing of the parent's."""
    result = python("""
db = connect('test.db', isolation_level=None)
db.execute('CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)')
db.executemany('INSERT INTO t VALUES (?, ?)', [(i, i) for i in range(5)])
rows = db.execute('SELECT k FROM t')
print(next(rows), flush=True)
db.execute('BEGIN')
db.execute("INSERT INTO t VALUES (10, 'parent')")
pid = os.fork()
if pid == 0:
    for work in (lambda: rows.fetchall(), lambda: db.execute("INSERT INTO t VALUES (11, 'child')"), lambda: db.execute('SELECT value FROM lsm_stats').fetchall(),
                 lambda: db.execute('SELECT * FROM lsm_readers').fetchall(), lambda: db.execute('SELECT lsm_check()').fetchall()):
        try:
            work()
        except sqlite3.Error as error:
            if 'fork' not in str(error): os.write(1, str(error).encode() + b'\\n')
    try:
        db.execute('ROLLBACK')
    except sqlite3.Error:
        pass
    rows.close()
    db.close()
    os._exit(0)
print(os.waitpid(pid, 0)[1])
print(rows.fetchall())
db.execute('COMMIT')
print(db.execute('SELECT k FROM t').fetchall(), db.execute('SELECT lsm_check()').fetchone()[0])
""", folder)
    expect_equal(result.lines, ["(0,)", "0", "[(1,), (2,), (3,), (4,)]", "[(0,), (1,), (2,), (3,), (4,), (10,)] ok"])


def test_a_child_that_outlives_its_parent_holds_no_lock(folder):
    """Forked without exec, or with the parent's descriptors inherited: the store must be free when the parent dies."""
    for how in ("os.fork() or time.sleep(60)", "subprocess.Popen(['sleep', '60'], close_fds=False)"):
        result = python("""
import os, signal, subprocess, time
reading, writing = os.pipe()
parent = os.fork()
if parent == 0:
    db = connect('test.db', isolation_level=None)
    db.execute('CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(k INTEGER PRIMARY KEY, v)')
    db.execute('BEGIN IMMEDIATE')
    db.execute("INSERT OR REPLACE INTO t VALUES (1, 'lost')")
    before = set(int(p) for p in os.listdir('/proc') if p.isdigit())
    child = %s
    if child is None: os._exit(0)
    os.write(writing, b'%%d' %% (child if isinstance(child, int) else child.pid))
    time.sleep(60)
child = int(os.read(reading, 100))
time.sleep(0.2)
held = [os.path.realpath(f'/proc/{child}/fd/{fd}') for fd in os.listdir(f'/proc/{child}/fd')]
print([path for path in held if path.endswith(('LOCK', 'SHM'))])
os.kill(parent, signal.SIGKILL)
os.waitpid(parent, 0)
db = connect('test.db', isolation_level=None, timeout=0)
db.execute('CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(k INTEGER PRIMARY KEY, v)')
db.execute("INSERT OR REPLACE INTO t VALUES (2, 'two')")
print(db.execute('SELECT * FROM t').fetchall())
os.kill(child, signal.SIGKILL)
""" % how, folder)
        expect_equal(result.lines, ["[]", "[(2, 'two')]"])


def test_a_process_that_exits_without_closing_is_like_one_that_died(folder):
    python("""
db = connect('test.db', isolation_level=None)
db.execute('CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)')
db.execute("INSERT INTO t VALUES (1, 'kept')")
db.execute('BEGIN')
db.execute("INSERT INTO t VALUES (2, 'lost')")
os._exit(0)
""", folder)
    expect_equal(shell("SELECT * FROM t; SELECT lsm_check();", cwd=folder).lines, ["1|kept", "ok"])
