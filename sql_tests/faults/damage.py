"""Damaged and missing files: every read gives the right rows or an error that names the file; never a wrong row, never a crash."""
import os
import random
import re
import shutil

from harness import SLOW, expect, expect_equal, expect_in, python, shell, store_files

FILL = """
CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v);
INSERT INTO t SELECT printf('key%06d', value), printf('%.*c', value % 90, 'v') || value FROM generate_series(1, 4000);
"""
SUM = "SELECT count(*), sum(length(v)), min(k), max(k) FROM t;\n"


def filled(folder, *maintenance):
    made = shell(FILL + "".join(f"SELECT {name}();\n" for name in maintenance) + SUM, cwd=folder)
    expect("Error" not in made.out, made.out)
    return made.lines[-1]


def damage(path, offset, change=lambda byte: byte ^ 0x41):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([change(byte[0])]))


def expect_clear(result, path, wanted):
    """Right rows, or an error that names the file; the shell itself lives."""
    expect(result.code in (0, 1), f"the shell ended with {result.code}:\n{result.out}")
    if wanted not in result.lines:
        expect("Error" in result.out, f"wrong rows without an error:\n{result.out}\nwanted {wanted}")
        expect_in(os.path.basename(path), result.out)


def test_a_flipped_byte_in_a_table_file_is_an_error_with_file_and_offset(folder):
    filled(folder, "lsm_flush", "lsm_compact")
    path = store_files(folder, suffix=".sst")[0]
    damage(path, os.path.getsize(path) // 3)
    result = shell(SUM, cwd=folder)
    expect_in("Error", result.out)
    expect_in(os.path.basename(path), result.out)
    expect(re.search(r"offset \d+|at \d+|byte \d+", result.out), "no offset in: " + result.out)
    checked = shell("SELECT lsm_check();", cwd=folder)
    expect(checked.lines != ["ok"], "lsm_check() says ok to a damaged file")
    expect_in(os.path.basename(path), checked.out)


def test_flipped_bytes_anywhere_never_give_wrong_rows(folder):
    wanted = filled(folder, "lsm_flush")
    shell("INSERT INTO t SELECT k || 'x', v FROM t WHERE k > 'key003900'; DELETE FROM t WHERE k LIKE '%x';", cwd=folder)
    master = os.path.join(folder, "master")
    os.mkdir(master)
    for name in os.listdir(folder):
        if name != "master":
            shutil.move(os.path.join(folder, name), master)
    rng = random.Random(20)
    for kind in (".sst", ".wal", "MANIFEST", "CURRENT"):
        for turn in range(2 if SLOW else 12):
            work = os.path.join(folder, "work")
            shutil.copytree(master, work)
            path = rng.choice([each for each in store_files(work) if kind in os.path.basename(each)])
            size = os.path.getsize(path)
            used = size if kind != ".wal" else min(size, 2000)
            damage(path, rng.randrange(used), lambda byte: byte ^ (1 << rng.randrange(8)))
            result = shell(SUM, cwd=work)
            if kind == ".wal":  # behind the last synced position a torn log is no damage: a prefix of the commits is right
                expect(result.code in (0, 1), result.out)
            elif kind == "MANIFEST":  # a damaged last record looks like one cut off by a crash: then it is the log that does not fit
                expect_clear(result, os.path.dirname(path), wanted)
            else:
                expect_clear(result, path, wanted)
            shutil.rmtree(work)


def test_truncated_files_are_told(folder):
    wanted = filled(folder, "lsm_flush", "lsm_compact")
    path = store_files(folder, suffix=".sst")[0]
    size = os.path.getsize(path)
    for length in (size - 1, size // 2, 17, 1, 0):
        with open(path, "rb") as file:
            whole = file.read()
        os.truncate(path, length)
        expect_clear(shell(SUM, cwd=folder), path, wanted)
        with open(path, "wb") as file:
            file.write(whole)
    expect_equal(shell(SUM, cwd=folder).lines, [wanted])


def test_a_missing_table_file_is_named(folder):
    filled(folder, "lsm_flush", "lsm_compact")
    path = store_files(folder, suffix=".sst")[0]
    os.rename(path, path + ".away")
    result = shell(SUM, cwd=folder)
    expect_in("Error", result.out)
    expect_in(os.path.basename(path), result.out)


def test_a_missing_current_is_named(folder):
    filled(folder, "lsm_flush")
    path = [each for each in store_files(folder) if os.path.basename(each) == "CURRENT"][0]
    os.remove(path)
    result = shell(SUM, cwd=folder)
    expect_in("Error", result.out)
    expect_in("CURRENT", result.out)


def test_undamaged_tables_stay_readable(folder):
    filled(folder, "lsm_flush", "lsm_compact")
    shell("CREATE VIRTUAL TABLE other USING lsm(id INTEGER PRIMARY KEY, v); INSERT INTO other(v) VALUES ('whole'); CREATE TABLE plain(a); INSERT INTO plain VALUES (7);",
          cwd=folder)
    path = store_files(folder, suffix=".sst")[0]
    damage(path, os.path.getsize(path) // 3)
    result = shell("SELECT v FROM other; SELECT a FROM plain;", cwd=folder)
    expect_equal(result.lines, ["whole", "7"])


def test_a_full_check_of_a_whole_store_says_ok(folder):
    filled(folder, "lsm_flush")
    result = shell("UPDATE t SET v = 1 WHERE k LIKE '%7'; DELETE FROM t WHERE k LIKE '%3'; SELECT lsm_check(); SELECT lsm_compact(); SELECT lsm_check();", cwd=folder)
    expect_equal([line for line in result.lines if line == "ok"][:2], ["ok", "ok"], result.out)


def test_a_shared_page_cut_short_in_use_costs_the_process_and_nothing_else(folder):
    """Memory mapped from a file that became shorter cannot be read: the kernel says so with SIGBUS, as for SQLite's own -shm."""
    code = """
import glob, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
db = connect('test.db', isolation_level=None)
db.execute('PRAGMA synchronous = FULL')
db.execute("INSERT INTO t VALUES ('last', 1)")
for path in glob.glob('test.db-lsm/*/SHM'): os.truncate(path, int(sys.argv[1]))
try: print(db.execute("INSERT INTO t VALUES ('one more', 1)").fetchall())
except sqlite3.Error as error: print(error)
"""
    filled(folder)
    for size in (0, 100, 4096):
        result = python(code, folder, size, check=False)
        # A sanitizer makes an exit of the signal.
        expect(result.code in (0, -7) or SLOW, f"{size}: {result.code}: {result.out}")
        after = shell("SELECT count(*) FROM t WHERE k = 'last'; DELETE FROM t WHERE k IN ('last', 'one more'); SELECT count(*), lsm_check() FROM t;", cwd=folder)
        expect_equal(after.lines, ["1", "4000|ok"], f"{size} bytes left")


def test_a_table_file_cut_short_under_a_map_costs_the_process_and_nothing_else(folder):
    """As docs/operations.md says of PRAGMA mmap_size: SIGBUS, or an error that names the file; without maps the error alone."""
    code = """
import glob, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
db = connect('test.db', isolation_level=None)
db.execute('PRAGMA mmap_size = %s' % sys.argv[1])
print(db.execute("SELECT v FROM t WHERE k = 'key000001'").fetchall(), db.execute("SELECT value > 0 FROM lsm_stats WHERE name = 'mapped_bytes'").fetchall(), flush=True)
for path in glob.glob('test.db-lsm/*/*.sst'): os.truncate(path, int(sys.argv[2]))
try: print(db.execute("SELECT count(*), sum(length(v)), min(k), max(k) FROM t").fetchall())
except sqlite3.Error as error: print(error)
"""
    wanted = filled(folder, "lsm_flush", "lsm_compact")
    path = store_files(folder, suffix=".sst")[0]
    shutil.copy(path, os.path.join(folder, "whole"))
    size, killed = os.path.getsize(path), 0
    for maps in (0, 1 << 28):
        for left in (0, 4096, size // 2, size - 1):
            what = f"maps of {maps} bytes, {left} of {size} bytes left"
            result = python(code, folder, maps, left, check=False)
            killed += maps > 0 and result.code != 0
            expect(result.code == 0 or (maps > 0 and (result.code == -7 or SLOW)), f"{what}: {result.code}: {result.out}")
            expect_in(f"[('v1',)] [({int(maps > 0)},)]", result.out)
            # One byte less than there was is one that no row needs.
            expect(result.code != 0 or os.path.basename(path) in result.out or left == size - 1, f"{what}: {result.out}")
            expect_clear(shell(SUM, cwd=folder), path, "nothing")
            shutil.copy(os.path.join(folder, "whole"), path)
    expect(killed > 0, "no map was ever read: this tests nothing")
    expect_equal(shell(SUM + "SELECT lsm_check();", cwd=folder).lines, [wanted, "ok"])
