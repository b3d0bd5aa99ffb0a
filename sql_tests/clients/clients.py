"""Loading, names, a second SQLite, threads and ends, in the shell and in Debian's python3. hosts.py has the scenario that all hosts go through."""
import os
import shutil
import subprocess

from harness import EXTENSION, LOAD, SLOW, Skip, expect, expect_equal, python, shell


def test_the_shell_by_hand(folder):
    result = shell("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1); SELECT * FROM t; SELECT lsm_version();", cwd=folder)
    expect_equal(result.lines[:1], ["a|1"])
    expect(len(result.lines) == 2 and result.lines[1][:1].isdigit() or "lsm" in result.lines[1], result.out)


def test_a_second_sqlite_library_in_the_process_is_refused(folder):
    """Its calls would go into the first one's: refused with the reason before anything is touched, and the first goes on."""
    result = python("""
import ctypes, shutil, sqlite3
db = connect('one.db')
db.execute('CREATE VIRTUAL TABLE t USING lsm(a PRIMARY KEY)'); db.execute('INSERT INTO t VALUES (1)'); db.commit()
shutil.copy([line.split()[-1] for line in open('/proc/self/maps') if 'libsqlite3.so' in line][0], './libother.so')
other = ctypes.CDLL('./libother.so')
handle, message = ctypes.c_void_p(), ctypes.c_char_p()
print(other.sqlite3_open(b'two.db', ctypes.byref(handle)))
other.sqlite3_enable_load_extension(handle, 1)
print(other.sqlite3_load_extension(handle, %r, None, ctypes.byref(message)) != 0, b'another SQLite library' in message.value)
other.sqlite3_close(handle)
print(db.execute('SELECT a, (SELECT lsm_check()) FROM t').fetchall())
""" % EXTENSION[:-3].encode(), folder)
    expect_equal(result.lines, ["0", "True True", "[(1, 'ok')]"])


def test_other_names_of_the_library_load_too(folder):
    for name in ("mod_lsm.so", "liblsm.so", "other.so"):
        shutil.copy(EXTENSION, os.path.join(folder, name))
        result = shell(f".load ./{name[:-3]}\nSELECT count(*) FROM pragma_module_list WHERE name = 'lsm';", ":memory:", folder, load=False)
        expect_equal(result.lines, ["1"], name)


def test_loading_twice_in_one_connection_is_harmless(folder):
    result = shell(LOAD + "CREATE VIRTUAL TABLE t USING lsm(a); INSERT INTO t VALUES (1);\n" + LOAD + "SELECT * FROM t;", cwd=folder)
    expect_equal(result.lines, ["1"])


def test_only_the_entry_points_are_exported(folder):
    if SLOW or not shutil.which("nm"):
        raise Skip("needs nm and the release build")
    names = [line.split()[-1] for line in subprocess.run(["nm", "-D", "--defined-only", EXTENSION], capture_output=True, text=True, check=True).stdout.splitlines()]
    expect_equal(sorted(names), ["sqlite3_extension_init", "sqlite3_lsm_init", "sqlite3_modlsm_init"])


def test_closing_in_a_thread_and_at_exit(folder):
    """The library starts threads of its own; a host that closes elsewhere, or never, must not crash."""
    result = python("""
import threading
def work():
    for n in range(20):
        db = connect('t%d.db' % n, check_same_thread=False)
        db.execute('CREATE VIRTUAL TABLE t USING lsm(a INTEGER PRIMARY KEY, b)')
        db.execute("INSERT INTO t(b) VALUES ('x')")
        db.commit()
        if n % 2: db.close()
        else: kept.append(db)
kept = []
thread = threading.Thread(target=work); thread.start(); thread.join()
left_open = connect('open.db')
left_open.execute('CREATE VIRTUAL TABLE t USING lsm(a)')
left_open.execute('INSERT INTO t VALUES (1)')
print(len(kept))
""", folder)
    expect_equal(result.lines, ["10"])


def test_interrupting_a_long_statement(folder):
    result = python("""
import threading, time
db = connect('test.db', isolation_level=None)
db.execute('CREATE VIRTUAL TABLE t USING lsm(a INTEGER PRIMARY KEY, b)')
db.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, i FROM n')
threading.Timer(0.3, db.interrupt).start()
try:
    db.execute('SELECT count(*) FROM t x, t y, t z').fetchone()
except sqlite3.OperationalError as error:
    print(error)
threading.Timer(0.2, db.interrupt).start()
try:
    db.execute('INSERT INTO t(b) SELECT x.a FROM t x, t y, t z')
except sqlite3.OperationalError as error:
    print(error)
print(db.execute('SELECT count(*) FROM t').fetchone())
""", folder)
    expect_equal(result.lines, ["interrupted", "interrupted", "(20000,)"])
