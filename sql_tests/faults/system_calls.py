"""A process killed at its N-th system call, and system calls that fail, in the real kernel: strace -e inject. And a small tmpfs that fills.

The process writes an ordinary and an LSM table in the same transactions, LSM tables alone, flushes, merges, and opens the database again; it says what was acknowledged.
Afterwards another process finds all of that, both tables equal, and lsm_check() content. LSM_SYSTEM_CALLS=1 takes every call, N every N-th (23 if not said).
"""
import os
import random
import re
import shutil
import subprocess
import time

from harness import EXTENSION, SLOW, Skip, expect, expect_equal, host_env, python

EVERY = int(os.environ.get("LSM_SYSTEM_CALLS", "23"))

WORKER = """
import os, sqlite3, sys
def connect(name):
    db = sqlite3.connect(name, uri=True, isolation_level=None, timeout=5)
    db.enable_load_extension(True)
    db.load_extension(sys.argv[1])
    return db
connect(':memory:').close()
os.write(1, b'ready\\n')
sys.stdin.readline()
db = None
def use():
    global db
    if db is None:
        db = connect('file:test.db?lsm_write_buffer=65536')
        db.execute('PRAGMA journal_mode = WAL')
        db.execute('PRAGMA synchronous = FULL')
    return db
def attempt(what, k, *statements):
    try:
        for sql in statements: use().execute(sql).fetchall()
        os.write(1, b'%s %d\\n' % (what, k))
        return
    except (sqlite3.Error, MemoryError) as error: os.write(1, b'error %s\\n' % (str(error) or 'out of memory').replace('\\n', ' ').encode())
    try:
        if db is not None and db.in_transaction: db.execute('ROLLBACK')
    except (sqlite3.Error, MemoryError): pass
attempt(b'done', 0, 'CREATE TABLE IF NOT EXISTS o(k INTEGER PRIMARY KEY, v)')
attempt(b'done', 0, 'CREATE VIRTUAL TABLE IF NOT EXISTS l USING lsm(k INTEGER PRIMARY KEY, v, INDEX by_v(v))')
attempt(b'done', 0, 'CREATE VIRTUAL TABLE IF NOT EXISTS alone USING lsm(k INTEGER PRIMARY KEY, v)')
for k in range(1, 13):
    rows = 'WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 5) INSERT INTO %s SELECT %d * 100 + i, printf(\\'%%.900c\\', \\'x\\') || i FROM c'
    attempt(b'both', k, 'BEGIN', rows % ('l', k), rows % ('o', k), 'COMMIT')
    attempt(b'alone', k, 'INSERT INTO alone VALUES (%d, %d)' % (k, k))
    if k % 4 == 1: attempt(b'done', 0, 'SELECT lsm_flush()')
    if k == 6: attempt(b'done', 0, 'SELECT lsm_compact()')
    if k == 8:
        if db is not None: db.close()
        db = None
if db is not None: db.close()
os.write(1, b'end\\n')
"""

LOOK = """
both, alone = set(map(int, sys.argv[1].split(','))), set(map(int, sys.argv[2].split(',')))
db = connect('test.db', isolation_level=None)
def rows(sql): return db.execute(sql).fetchall()
tables = {name for (name,) in rows("SELECT name FROM sqlite_schema")}
if {'l', 'o'} <= tables:
    l, o = rows("SELECT k, v FROM l ORDER BY k"), rows("SELECT k, v FROM o ORDER BY k")
    assert l == o, f"{len(l)} rows and {len(o)}"
    found = {k // 100 for k, v in l}
    assert len(l) == 6 * len(found), "half of a transaction"
    assert both - {0} <= found, f"lost: {both - found}"
else: assert both == {0}
if 'alone' in tables:
    found = {k for (k,) in rows("SELECT k FROM alone")}
    assert alone - {0} <= found, f"lost: {alone - found}"
else: assert alone == {0}
assert rows("SELECT lsm_check()") == [('ok',)], rows("SELECT lsm_check()")
assert rows("PRAGMA integrity_check") == [('ok',)]
db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS alone USING lsm(k INTEGER PRIMARY KEY, v)")
db.execute("INSERT INTO alone VALUES (1000, 1000)")
db.execute("DELETE FROM alone WHERE k = 1000")
db.close()
"""


def trace(folder, *options, count=None):
    """The worker under strace: what it said, and how it ended. count: a file for strace's own words."""
    worker = subprocess.Popen(["/usr/bin/python3", "-c", WORKER, EXTENSION[:-3]], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=host_env())
    worker.stdout.readline()
    strace = subprocess.Popen(["strace", "-f", "-p", str(worker.pid), "-o", count or "/dev/null", *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    line = strace.stderr.readline().decode()
    if "attached" not in line:
        worker.kill()
        worker.wait()
        strace.wait()
        raise Skip(f"strace cannot trace here: {line.strip()}")
    out, _ = worker.communicate(b"go\n", timeout=600 if SLOW else 120)
    strace.stderr.read()
    strace.wait()
    return out.decode(errors="replace").splitlines(), worker.returncode


def need_strace():
    if shutil.which("strace") is None:
        raise Skip("strace is not there")


def fresh(folder, name):
    path = os.path.join(folder, name)
    os.mkdir(path)
    return path


def look(what, folder, lines):
    """What was acknowledged is there."""
    acknowledged = {kind: {0} | {int(line.split()[1]) for line in lines if line.startswith(kind + " ")} for kind in ("both", "alone")}
    done = python(LOOK, folder, *(",".join(map(str, sorted(acknowledged[kind]))) for kind in ("both", "alone")), check=False)
    expect(done.code == 0, f"{what}: {done.out}\nthe worker said: {lines[-6:]}")


def counted(folder):
    """How often the thread that does it most makes each system call, without any fault."""
    path, log = fresh(folder, "clean"), os.path.join(folder, "log")
    lines, code = trace(path, "-e", "trace=desc,file,process", count=log)
    expect(code == 0 and lines[-1] == "end" and not any(line.startswith("error") for line in lines), f"without faults: {code} {lines}")
    calls = {}
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            found = re.match(r"(\d+)\s+(\w+)\(", line)
            if found: calls[found.groups()] = calls.get(found.groups(), 0) + 1
    most = {}
    for (_, call), times in calls.items(): most[call] = max(most.get(call, 0), times)
    look("without faults", path, lines)
    return most


def injections(folder):
    with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
        return log.read().count("(INJECTED)")


def points(rng, times, every):
    return range(1 + rng.randrange(every), times + 1, every)


def sweep(folder, cases, every):
    """cases: (system call, what is injected). Returns how often something was injected."""
    need_strace()
    seed = int(os.environ.get("LSM_TEST_SEED", str(int(time.time()))))
    rng = random.Random(seed)
    print(f"seed {seed}")
    most, tried = counted(folder), 0
    for call, inject in cases:
        for n in points(rng, most.get(call, 0), every):
            what = f"{call}:{inject.format(n)}"
            path = fresh(folder, "work")
            lines, code = trace(path, "-e", f"trace={call}", "-e", f"inject={what}")
            killed = "signal=KILL" in inject
            expect(code in (0, -9) if killed else code == 0, f"{what}: the process ended with {code}: {lines[-5:]}")
            expect(killed or lines[-1] == "end", f"{what}: {lines[-5:]}")
            for line in lines: expect(not line.startswith("error ") or len(line) > 12, f"{what}: an error that says nothing: {line}")
            look(what, path, lines)
            tried += 1
            shutil.rmtree(path)
    return tried


KILLED_AT = ("openat", "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "fallocate", "rename", "unlink", "mkdir", "fcntl", "flock", "close", "mmap", "pread64", "newfstatat", "getdents64")


def test_killed_at_any_system_call_nothing_acknowledged_is_lost(folder):
    tried = sweep(folder, [(call, "signal=KILL:when={}") for call in KILLED_AT], EVERY)
    print(f"      {tried} kills")


FAULTS = [("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("fdatasync", "EIO"), ("fsync", "EIO"), ("openat", "EMFILE"), ("openat", "EACCES"), ("fallocate", "ENOSPC"), ("ftruncate", "EIO"),
          ("pread64", "EIO"), ("rename", "EIO"), ("unlink", "EIO"), ("mkdir", "ENOSPC"), ("flock", "ENOLCK"), ("getdents64", "EIO"), ("clone3", "EAGAIN")]
if not os.environ.get("LSM_HOST_PRELOAD"):
    FAULTS.append(("mmap", "ENOMEM"))  # a sanitizer ends the process when it gets no memory for itself


def test_system_calls_that_fail_once_lose_nothing_acknowledged(folder):
    tried = sweep(folder, [(call, f"error={error}:when={{}}") for call, error in FAULTS], EVERY)
    print(f"      {tried} failed calls")


def test_system_calls_that_fail_for_good_lose_nothing_acknowledged(folder):
    tried = sweep(folder, [(call, f"error={error}:when={{}}+") for call, error in FAULTS], EVERY * 2)
    print(f"      {tried} failed calls")


def test_interrupted_system_calls_on_the_stores_files_are_made_again(folder):
    need_strace()
    path = fresh(folder, "work")
    lines, code = trace(path, "-e", "trace=none")
    expect_equal((code, lines[-1]), (0, "end"), "first run")
    files = [os.path.join(at, name) for at, _, names in os.walk(os.path.join(path, "test.db-lsm")) for name in names]
    store = os.path.dirname(files[0])
    names = [option for name in [*files, store] for option in ("-P", name)]
    injected = 0
    for call in ("pwrite64", "pread64", "fdatasync", "fsync", "fallocate", "ftruncate"):
        again = fresh(folder, "again-" + call)
        shutil.copytree(path, os.path.join(again, "work"))
        shutil.rmtree(path)
        shutil.copytree(os.path.join(again, "work"), path)
        python("db = connect('test.db')\nfor table in ('l', 'o', 'alone'): db.execute('DELETE FROM ' + table)\ndb.commit()", path)
        lines, code = trace(path, *names, "-e", f"trace={call}", "-e", f"inject={call}:error=EINTR:when=1+2", count=os.path.join(folder, "log"))
        injected += injections(folder)
        expect_equal((code, lines[-1], [line for line in lines if line.startswith("error")]), (0, "end", []), call)
        look(call, path, lines)
    expect(injected > 20, f"only {injected} calls were interrupted")
    print(f"      {injected} interrupted calls")


def test_threads_that_cannot_be_had_are_done_without(folder):
    need_strace()
    path = fresh(folder, "work")
    lines, code = trace(path, "-e", "trace=clone3,clone", "-e", "inject=clone3,clone:error=EAGAIN", count=os.path.join(folder, "log"))
    expect(injections(folder) > 0, "no thread was refused")
    expect_equal((code, lines[-1], [line for line in lines if line.startswith("error")]), (0, "end", []))
    look("no threads", path, lines)


def test_a_small_tmpfs_that_fills_heals_when_there_is_space(folder):
    """In a mount namespace of its own: the disk fills in the middle of everything, and is made larger."""
    if subprocess.run(["unshare", "-m", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("mount namespaces cannot be had here")
    code = r'''
import subprocess, time
def size(bytes): subprocess.run(["mount", "-o", f"remount,size={bytes}", "disk"], check=True)
os.mkdir("disk")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", "disk"], check=True)
os.chdir("disk"); subprocess.run(["true"]); os.chdir("..")
db = connect("file:disk/test.db?lsm_write_buffer=65536", uri=True, isolation_level=None)
db.execute("PRAGMA journal_mode = WAL"); db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE o(k INTEGER PRIMARY KEY, v)")
db.execute("CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v)")
done, full, text = [], 0, ""
def put(k):
    try:
        db.execute("BEGIN")
        for table in ("l", "o") if k % 2 else ("l",): db.execute(f"INSERT INTO {table} VALUES (?, ?)", (k, bytes([k % 256]) * 9000))
        db.execute("COMMIT")
        return None
    except sqlite3.Error as error:
        if db.in_transaction: db.execute("ROLLBACK")
        assert getattr(error, "sqlite_errorcode", 13) & 255 == 13, (error.sqlite_errorname, str(error))
        return str(error)
def left_over():
    named = {f"{number:08}.sst" for (number,) in db.execute("SELECT number FROM lsm_files")}
    return [name for at, _, names in os.walk("disk/test.db-lsm") for name in names if name.endswith((".sst", ".tmp")) and name not in named]
for round in range(6):
    for k in range(round * 1000, round * 1000 + 400):
        error = put(k)
        if error is None: done.append(k)
        else:
            text = error
            full += 1
            if full % 8 == 0: break
    assert full, "it never filled"
    rows = db.execute("SELECT k, v FROM l ORDER BY k").fetchall()  # reads go on
    assert [k for k, v in rows] == done and all(v == bytes([k % 256]) * 9000 for k, v in rows), (len(rows), len(done))
    try: db.execute("SELECT lsm_flush(), lsm_compact()").fetchall()
    except sqlite3.Error as error: text = str(error)
    for turn in range(100):  # a helper may be at it, or be about to try again
        if not left_over(): break
        time.sleep(0.05)
    else: raise AssertionError(left_over())
    size(f"{700 * (round + 2)}k")
    assert put(round * 1000 + 999) is None, (round, text)
    done.append(round * 1000 + 999)
    assert db.execute("SELECT lsm_flush()").fetchone() == ("ok",)
assert any(word in text for word in ("No space", "full")), text
assert db.execute("SELECT lsm_compact(), lsm_check()").fetchone() == ("ok", "ok")
assert [k for (k,) in db.execute("SELECT k FROM o ORDER BY k")] == [k for k in done if k % 2]
db.close()
db = connect("disk/test.db")
assert [k for (k,) in db.execute("SELECT k FROM l ORDER BY k")] == done
db.close()
names = [name for at, _, names in os.walk("disk/test.db-lsm") for name in names]
print(len(done), "commits,", full, "on a full disk; files:", len(names))
'''
    print("      " + python(code, folder, command=["unshare", "-m"], timeout=600).out.strip())


def test_a_full_tmpfs_is_emptied_by_deleting(folder):
    """Full of our own rows, and somebody else takes what is left: rows go by DELETE, by lsm_truncate() and by DROP TABLE, their space comes back, and rows can be added again."""
    if subprocess.run(["unshare", "-m", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("mount namespaces cannot be had here")
    code = r'''
import subprocess, time
os.mkdir("disk")
def free(): return os.statvfs("disk").f_bavail * os.statvfs("disk").f_frsize
ADD = "WITH RECURSIVE c(x) AS (SELECT ?1 UNION ALL SELECT x + 1 FROM c WHERE x < ?2) INSERT INTO t SELECT x, randomblob(200) FROM c"
def full(sql, *given):
    try: db.execute(sql, given)
    except sqlite3.Error as error:
        assert getattr(error, "sqlite_errorcode", 13) & 255 == 13, str(error)
        return str(error)
told = []
for megabytes, buffer, how in (16, 33554432, "all"), (16, 33554432, "half"), (48, 8388608, "portions"), (48, 8388608, "truncate"), (48, 8388608, "drop"):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", "disk"], check=True)
    db = connect(f"file:disk/test.db?lsm_write_buffer={buffer}", uri=True, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)")
    rows = 0
    while full(ADD, rows, rows + 999) is None: rows += 1000
    still = 0  # flushes and merges that run give some back yet
    while still < 10:
        with open("disk/others", "ab") as others:
            try:
                while True:
                    os.write(others.fileno(), bytes(4096))
                    still = 0
            except OSError: pass
        time.sleep(0.1)
        still += 1
    assert rows > 10000 and free() < 1000000, (rows, free())
    assert full("INSERT INTO t VALUES (-1, zeroblob(8000000))"), "there is room"
    if how == "all": db.execute("DELETE FROM t")
    elif how == "half": db.execute("DELETE FROM t WHERE k % 2 = 0")
    elif how == "truncate": db.execute("SELECT lsm_truncate('t')").fetchall()
    elif how == "drop":
        db.execute("DROP TABLE t")
        db.execute("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)")
    else:
        low, size = 0, rows // 4
        while low < rows:
            if full("DELETE FROM t WHERE k >= ? AND k < ?", low, low + size) is None: low += size
            else: size //= 2
            assert size > 100, (low, rows)
    left = rows // 2 if how == "half" else 0
    assert db.execute("SELECT count(*) FROM t").fetchone() == (left,), how
    assert db.execute("SELECT lsm_compact()").fetchone() == ("ok",)
    assert free() > megabytes * 2 ** 20 // 3, (how, free())
    assert full(ADD, rows, rows + 9999) is None, how
    assert db.execute("SELECT count(*), lsm_check() FROM t").fetchone() == (left + 10000, "ok")
    told.append(f"{how} of {rows}")
    db.close()
    subprocess.run(["umount", "disk"], check=True)
print(", ".join(told))
'''
    print("      " + python(code, folder, command=["unshare", "-m"], timeout=600).out.strip())


def test_a_file_that_cannot_be_read_is_named_and_nothing_else_suffers(folder):
    """EIO from one table file: SQLITE_IOERR with file, offset and advice; other tables are read and written, and when the disk is well again so is that one."""
    need_strace()
    code = r'''
import glob, re, subprocess
db = connect('test.db', isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
known = set()
def new_file():
    files = set(glob.glob('test.db-lsm/*/*.sst')) - known
    known.update(files)
    return files
for name in 'ab':
    db.execute(f"CREATE VIRTUAL TABLE {name} USING lsm(k INTEGER PRIMARY KEY, v)")
    db.execute(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO {name} SELECT i, '{name}' FROM n")
    db.execute("SELECT lsm_flush()")
    if name == 'a': [bad] = new_file()
db.close()
db = connect('test.db', isolation_level=None)
strace = subprocess.Popen(["strace", "-f", "-p", str(os.getpid()), "-o", "log", "-P", os.path.abspath(bad), "-e", "trace=pread64", "-e", "inject=pread64:error=EIO"], stderr=subprocess.PIPE)
lines = [strace.stderr.readline().decode()]
while lines[-1] and "attached" not in lines[-1]: lines.append(strace.stderr.readline().decode())
if "attached" not in lines[-1]: print("skip", *lines); sys.exit()
for sql in ("SELECT count(*), min(v) FROM a", "SELECT v FROM a WHERE k = 77", "UPDATE a SET v = 1 WHERE k = 77"):
    try: raise AssertionError(db.execute(sql).fetchall())
    except sqlite3.Error as error:
        text = str(error)
        assert bad in text and re.search(r"offset \d+", text) and "system log" in text, text
        assert getattr(error, "sqlite_errorcode", 10) & 255 == 10, error.sqlite_errorcode
    assert db.execute("SELECT count(*), min(v) FROM b").fetchall() == [(500, 'b')]
    db.execute("INSERT INTO b(v) VALUES ('b')")
    db.execute("DELETE FROM b WHERE k > 500")
strace.terminate()
strace.wait()
assert "(INJECTED)" in open("log").read()
assert db.execute("SELECT count(*), min(v), max(v) FROM a").fetchall() == [(500, 'a', 'a')]
assert db.execute("SELECT lsm_check()").fetchall() == [("ok",)]
print("well")
'''
    out = python(code, folder, timeout=600).out
    if out.startswith("skip"):
        raise Skip(f"strace cannot trace here: {out}")
    expect("well" in out, out)


def test_reads_go_on_while_a_sync_takes_seconds(folder):
    """A disk that answers late holds up who waits for it, and nobody else; what others read meanwhile does not have the commit."""
    need_strace()
    code = r'''
import subprocess, threading
a, b = (connect('test.db', isolation_level=None, check_same_thread=False) for _ in range(2))
a.execute("PRAGMA journal_mode = WAL"); a.execute("PRAGMA synchronous = FULL")
a.execute("CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, v)")
a.execute("INSERT INTO l VALUES (1, 'a')"); b.execute("SELECT * FROM l").fetchall()
strace = subprocess.Popen(["strace", "-f", "-p", str(os.getpid()), "-o", "log", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=4000000"], stderr=subprocess.PIPE)
line = strace.stderr.readline().decode()
if "attached" not in line: print("skip", line); sys.exit()
done = []
def commit():
    a.execute("INSERT INTO l VALUES (2, 'b')")
    done.append(True)
thread = threading.Thread(target=commit)
thread.start()
while True:  # until it waits for its sync
    with open('/proc/self/task/%d/syscall' % thread.native_id) as file: call = file.read().split()
    if done or (call and call[0] == '75'): break
reads = [b.execute("SELECT count(*) FROM l").fetchone()[0] for _ in range(50)]
waiting = not done
thread.join()
strace.terminate()
strace.wait()
assert waiting, "the reads waited for the sync"
assert reads == [1] * 50, reads
assert b.execute("SELECT count(*) FROM l").fetchone() == (2,)
print("read")
'''
    out = python(code, folder, timeout=600).out
    if out.startswith("skip"):
        raise Skip(f"strace cannot trace here: {out}")
    expect("read" in out, out)
