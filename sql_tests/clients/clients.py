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


# An extension that hands on another table of SQLite's routines than the host's own, as other builds and releases have it.
HOST = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sqlite3ext.h>
static int version(void) { return atoi(getenv("HOST_VERSION")); }
static int no_threads(void) { return 0; }
int sqlite3_host_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    size_t size = sizeof *api, page = 4096, room = (size + page - 1) / page * page;
    char *end = (char *)mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + room;
    mprotect(end, page, PROT_NONE);
    if (getenv("HOST_VERSION") != NULL) size = offsetof(sqlite3_api_routines, changes64); /* as long as that of 3.34: nothing stands behind it */
    struct sqlite3_api_routines *table = (void *)(end - size);
    memcpy(table, api, size);
    if (getenv("HOST_VERSION") != NULL) table->libversion_number = version;
    if (getenv("HOST_WITHOUT") != NULL) { /* SQLITE_THREADSAFE=0, and SQLITE_OMIT_... of all that hosts leave out */
        table->xthreadsafe = no_threads;
        table->mutex_alloc = NULL, table->mutex_free = NULL, table->mutex_enter = NULL, table->mutex_try = NULL, table->mutex_leave = NULL;
        table->progress_handler = NULL, table->trace = NULL, table->trace_v2 = NULL, table->profile = NULL, table->unlock_notify = NULL;
        table->column_database_name = NULL, table->column_table_name = NULL, table->column_origin_name = NULL, table->column_decltype = NULL;
        table->get_table = NULL, table->free_table = NULL, table->complete = NULL, table->enable_shared_cache = NULL;
        table->set_authorizer = NULL, table->load_extension = NULL, table->wal_hook = NULL, table->status = NULL, table->memory_used = NULL;
    }
    int (*init)(sqlite3 *, char **, const sqlite3_api_routines *) = (int (*)(sqlite3 *, char **, const sqlite3_api_routines *))dlsym(dlopen(getenv("HOST_LSM"), RTLD_NOW), "sqlite3_lsm_init");
    return init(db, message, table);
}
"""
IN_HOST = """
import threading, time
os.environ.update(dict(pair.split('=') for pair in sys.argv[2:]), HOST_LSM=sys.argv[1])
db = sqlite3.connect('file:test.db?lsm_write_buffer=65536', uri=True, isolation_level=None)
db.enable_load_extension(True)
try: db.load_extension('./host')
except sqlite3.Error as error: sys.exit(print(error))
db.execute('PRAGMA journal_mode = WAL')
for declare in ('CREATE TABLE o(a INTEGER PRIMARY KEY, b TEXT UNIQUE COLLATE NOCASE, c)', 'CREATE VIRTUAL TABLE l USING lsm(a INTEGER PRIMARY KEY, b TEXT UNIQUE COLLATE NOCASE, c, INDEX by_c (c))'):
    db.execute(declare)
    name = declare.split('(')[0].split()[2] if 'VIRTUAL' not in declare else 'l'
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO %s SELECT i, printf('Row %%04d', i), i %% 17 FROM n" % name)
    for sql in ('BEGIN', 'UPDATE $ SET c = c + 100 WHERE a % 5 = 0', 'SAVEPOINT s', 'DELETE FROM $ WHERE c > 10', 'ROLLBACK TO s', "REPLACE INTO $ VALUES (1, 'row 0002', NULL)", 'COMMIT',
                'BEGIN', 'DELETE FROM $', 'ROLLBACK'): db.execute(sql.replace('$', name))
for sql in ('SELECT * FROM $ ORDER BY a', 'SELECT a FROM $ WHERE c IN (3, 105, 7) ORDER BY a', 'SELECT c, count(*) FROM $ GROUP BY c', "SELECT x.a FROM $ x JOIN $ y ON x.b = y.b WHERE y.c > 110 ORDER BY 1",
            "SELECT DISTINCT c FROM $ ORDER BY c DESC LIMIT 3", "SELECT a FROM $ WHERE b BETWEEN 'ROW 0100' AND 'row 0200' AND c IS NOT NULL ORDER BY b LIMIT 5 OFFSET 7"):
    o, l = (db.execute(sql.replace('$', name)).fetchall() for name in 'ol')
    assert o == l and o, (sql, o[:5], l[:5])
try: db.execute("INSERT INTO l VALUES (9999, 'ROW 0003', 0)")
except sqlite3.IntegrityError as error: print(error)
print(db.execute("SELECT lsm_create_index('l', 'by_cb', 'c, b'), lsm_compact(), lsm_check()").fetchall())
db.close()
print('closed')
"""


def test_hosts_with_less_than_this_sqlite_are_served_or_refused(folder):
    """A release whose table of routines ends earlier; one without threads, in whose table much is NULL; one that is too old."""
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None or not os.path.exists("/usr/include/sqlite3ext.h"):
        raise Skip("needs a C compiler and SQLite's headers")
    with open(os.path.join(folder, "host.c"), "w", encoding="utf-8") as file:
        file.write(HOST)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", os.path.join(folder, "host.so"), os.path.join(folder, "host.c"), "-ldl"], check=True)
    served = ["UNIQUE constraint failed: l.b", "[('ok', 'ok', 'ok')]", "closed"]
    for what, wanted in ((["HOST_VERSION=3034000"], served), (["HOST_WITHOUT=all"], served), (["HOST_VERSION=3034000", "HOST_WITHOUT=all"], served),
                         (["HOST_VERSION=3033000"], ["error during initialization: lsm needs SQLite 3.34 or newer"])):
        got = python(IN_HOST, folder, EXTENSION, *what, check=False)
        expect(got.code == 0 and [line.split(";")[0] for line in got.lines] == wanted, f"{what}: ended with {got.code}:\n{got.out}")
        for name in ("test.db", "test.db-wal", "test.db-shm"):
            if os.path.exists(os.path.join(folder, name)):
                os.unlink(os.path.join(folder, name))


def test_the_host_keeps_what_is_its_own(folder):
    """What is written to its streams, signals and their handlers, directory, umask, locale, environment, limits, descriptors 0 to 2: nothing of that changes, in any thread."""
    result = python("""
import ctypes, locale, resource, signal, threading
def task_masks():
    masks = {}
    for task in os.listdir('/proc/self/task'):
        try:
            with open(f'/proc/self/task/{task}/status') as file: lines = dict(line.split(':', 1) for line in file)
        except OSError: continue
        masks[lines['Name'].strip()] = lines['SigBlk'].strip()
    return masks
def state():
    with open('/proc/self/status') as file: lines = dict(line.split(':', 1) for line in file)
    libc = ctypes.CDLL(None)
    libc.setlocale.restype = ctypes.c_char_p
    mask = os.umask(0)
    os.umask(mask)
    return ({name: lines[name] for name in ('SigBlk', 'SigIgn', 'SigCgt', 'Umask')}, mask, os.getcwd(), libc.setlocale(6, None), dict(os.environ), [os.readlink(f'/proc/self/fd/{n}') for n in range(3)],
            [resource.getrlimit(n) for n in range(16)], [signal.getsignal(n) for n in range(1, 32)], os.getpriority(os.PRIO_PROCESS, 0), ctypes.c_char_p.in_dll(libc, 'program_invocation_name').value)
os.umask(0o027)
locale.setlocale(locale.LC_ALL, 'C')
threading.Thread(target=int).start()  # with the first thread of a process the C library takes two signals for itself
before = state()
db = connect('file:test.db?lsm_write_buffer=65536', uri=True, isolation_level=None)
db.execute('PRAGMA journal_mode = WAL')
db.execute('CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v, INDEX by_v (v))')
for n in range(4):
    db.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT OR REPLACE INTO t SELECT i, randomblob(40) FROM n')
    assert state() == before, (n, [(a, b) for a, b in zip(before, state()) if a != b])
threads = task_masks()
ours = {mask for name, mask in threads.items() if name.startswith('lsm')}
wanted = (1 << 31) - 1
for free in (signal.SIGKILL, signal.SIGSTOP, signal.SIGILL, signal.SIGTRAP, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV): wanted &= ~(1 << free - 1)  # these two cannot, those must not be blocked
assert ours and all(int(mask, 16) & wanted == wanted for mask in ours), threads
for sql in ('SELECT lsm_compact()', 'SELECT lsm_check()', 'SELECT count(*) FROM t', 'SELECT * FROM lsm_stats', 'SELECT * FROM lsm_readers'): db.execute(sql).fetchall()
for wrong in ('SELECT lsm_check(1, 2)', 'CREATE VIRTUAL TABLE u USING lsm(nonsense ((', 'INSERT INTO t VALUES (1, 1)', "SELECT lsm_create_index('t', 'x', 'nobody')"):
    try: db.execute(wrong)
    except sqlite3.Error: pass
    else: raise AssertionError(wrong)
os.truncate([os.path.join(at, name) for at, _, names in os.walk('test.db-lsm') for name in names if name.endswith('.sst')][0], 100)
for sql in ('SELECT lsm_check()', 'SELECT count(*), max(v) FROM t'):
    try: db.execute(sql).fetchall()
    except sqlite3.Error: pass
assert state() == before
db.close()
assert state() == before
""", folder)
    expect_equal(result.out, "", "the host's output")


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


def test_the_library_stays_when_the_last_connection_has_gone(folder):
    """SQLite unloads it then, below whatever still runs or is to be called in it: threads, and what a fork asks for."""
    result = python("""
for n in range(3):
    db = connect('test.db')
    db.execute('CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(a)')
    db.execute('INSERT INTO t VALUES (1)')
    db.commit()
    db.close()
    print(any(sys.argv[1] in line for line in open('/proc/self/maps')))
    child = os.fork()
    if child == 0: os._exit(0)
    print(os.waitpid(child, 0)[1])
""", folder, os.path.basename(EXTENSION))
    expect_equal(result.lines, ["True", "0"] * 3)


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
