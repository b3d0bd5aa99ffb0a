"""lsmtool on whole stores, and on stores damaged in every way: what it salvages is a subset of the true rows, never a wrong row, and all that is whole.

The rows of a state are the INSERT lines of `lsmtool dump`. A store is made in steps, with a dump after each: damage to the log or the manifest may bring an earlier
state back, never a mixture.
"""
import os
import random
import re
import resource
import shutil
import signal
import subprocess

from harness import ROOT, SLOW, Skip, URI_BUFFER, Peer, expect, expect_equal, expect_in, need_sharing, shell

TOOL = os.environ.get("LSM_TOOL", os.path.join(ROOT, "lsmtool"))
BLOCK_ROWS_MAX = 130  # rows of 60 bytes and more in a block of 4096

MAKE = """PRAGMA journal_mode = WAL;
CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY AUTOINCREMENT, k TEXT UNIQUE, v REAL, pad, INDEX by_v(v));
CREATE VIRTUAL TABLE u USING lsm(d TEXT COLLATE NOCASE, ts INTEGER, x, PRIMARY KEY(d, ts DESC));
CREATE VIRTUAL TABLE w USING lsm(a, b);
CREATE TABLE plain(a);
WITH n AS (SELECT value AS i FROM generate_series(1, 900)) INSERT INTO t(k, v, pad) SELECT 'key' || i, i * 0.5, hex(i * 7919 % 1000) || printf('%.40c', 'p') || i FROM n;
WITH n AS (SELECT value AS i FROM generate_series(1, 500)) INSERT INTO u SELECT 'dev' || (i % 7), i, printf('%.60c', 'x') || i FROM n;
SELECT lsm_compact();
"""
STEPS = [
    "UPDATE t SET v = v + 1 WHERE id % 10 = 0; DELETE FROM t WHERE id > 890; DELETE FROM u WHERE d = 'dev3'; SELECT lsm_flush();",
    "INSERT INTO w VALUES(1, 'x' || char(0) || 'y'), (NULL, 1e308), (x'00ff', 'it''s'), (-9223372036854775808, 0.1), (9e999, -9e999);",
    "SELECT lsm_create_index('u', 'by_ts', 'ts'); INSERT INTO t(k, v, pad) SELECT 'more' || value, value, printf('%.50c', 'q') || value FROM generate_series(1, 200); SELECT lsm_flush();",
    "BEGIN; UPDATE t SET pad = pad || '!' WHERE id % 7 = 0; INSERT INTO plain VALUES(1); COMMIT;",
    "INSERT INTO w VALUES('late', 5); DELETE FROM t WHERE id BETWEEN 100 AND 110;",
]


def tool(folder, *arguments, codes=(0,)):
    done = subprocess.run([TOOL, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    expect(done.returncode in codes, f"lsmtool {arguments} ended with {done.returncode}:\n{out[-2000:]}\n{err[-2000:]}")
    return done.returncode, out, err


def rows(dump):
    """By table. What belongs to AUTOINCREMENT's number is no row."""
    found = {"t": set(), "u": set(), "w": set()}
    lines = dump.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("INSERT") and not (at + 1 < len(lines) and lines[at + 1].startswith("DELETE")):
            found[line.split('"')[1]].add(line)
    return found


def sql(folder, text):
    done = shell(text, database=URI_BUFFER, cwd=folder)
    expect("Error" not in done.out, done.out)
    return done


def make(folder):
    """The store, and its rows after each step."""
    sql(folder, MAKE)
    states = [rows(tool(folder, "dump", "test.db")[1])]
    for step in STEPS:
        sql(folder, step)
        states.append(rows(tool(folder, "dump", "test.db")[1]))
    return states


def files(folder):
    found = []
    for at, _, names in os.walk(os.path.join(folder, "test.db-lsm")):
        found += [os.path.join(at, name) for name in sorted(names)]
    return found


def copy(folder, to):
    shutil.rmtree(to, ignore_errors=True)
    os.mkdir(to)
    for name in ("test.db", "test.db-wal", "test.db-shm"):
        if os.path.exists(os.path.join(folder, name)):
            shutil.copy(os.path.join(folder, name), to)
    shutil.copytree(os.path.join(folder, "test.db-lsm"), os.path.join(to, "test.db-lsm"))


def salvaged(work, what, states):
    """Salvage work/test.db and hold it against the states it may come from. How many rows of the last state are missing, or None if nothing could be saved."""
    for name in ("saved.db", "saved.db-lsm"):
        path = os.path.join(work, name)
        (shutil.rmtree if os.path.isdir(path) else os.unlink)(path) if os.path.exists(path) else None
    code, out, _ = tool(work, "salvage", "test.db", "saved.db", codes=(0, 1, 3))
    for line in out.splitlines():
        expect(not line.startswith("lost: ") or re.search(r"test\.db-lsm/|\d{8}\.sst|rows of table", line), f"{what}: which file? {line}")
    if code == 3:
        expect(not any(os.path.exists(os.path.join(work, name)) for name in ("saved.db", "saved.db-lsm")), f"{what}: half of it was left")
        return None
    expect((code == 1) == ("lost: " in out), f"{what}: ended with {code}, and says:\n{out}")
    checked = tool(work, "verify", "saved.db", codes=(0, 1))
    expect(checked[0] == 0, f"{what}: what was salvaged is damaged:\n{checked[1][-1500:]}\n{out[-1500:]}")
    got = rows(tool(work, "dump", "saved.db")[1])
    for state in states:
        if all(got[table] <= state[table] for table in got):
            return sum(len(states[-1][table] - got[table]) for table in got)
    wrong = [line for table in got for line in got[table] if line not in states[-1][table]][:3]
    raise AssertionError(f"{what}: what was salvaged was never there together, e.g. {wrong}\n{out[-1500:]}")


# ---- whole stores -------------------------------------------------------------------------------------------------------------


def test_a_dump_read_by_the_shell_is_the_same_database(folder):
    make(folder)
    text = tool(folder, "dump", "test.db")[1]
    done = shell(text, database="again.db", cwd=folder)
    expect("Error" not in done.out, done.out)
    expect_equal(tool(folder, "dump", "again.db")[1], text)
    expect_equal(tool(folder, "verify", "again.db")[1], "ok\n")
    query = ("SELECT * FROM t ORDER BY v, id; SELECT * FROM u WHERE ts > 100 ORDER BY d, ts; SELECT rowid, typeof(a), quote(a), typeof(b), quote(b), length(b) FROM w;"
             "INSERT INTO t(k) VALUES('next'); SELECT max(id) FROM t;")
    expect_equal(shell(query, database="again.db", cwd=folder).out, shell(query, cwd=folder).out)
    only = tool(folder, "dump", "test.db", "w")[1]
    expect('"w"' in only and '"t"' not in only, only[:500])


def test_a_whole_store_is_verified_shown_and_salvaged_whole(folder):
    states = make(folder)
    expect_equal(tool(folder, "verify", "test.db")[1], "ok\n")
    shown = tool(folder, "show", "test.db")[1]
    for part in ("table t", "index by_v of table t", "index by_ts of table u", ".sst", ".wal", "MANIFEST-"):
        expect_in(part, shown)
    before = {path: open(path, "rb").read() for path in files(folder)}
    expect_equal(salvaged(folder, "whole", states[-1:]), 0)
    expect_equal({path: open(path, "rb").read() for path in files(folder)}, before, "the source was changed")
    query = "SELECT * FROM t ORDER BY v, id; SELECT * FROM u WHERE ts > 100 ORDER BY ts; SELECT * FROM plain; SELECT lsm_check();"
    expect_equal(shell(query, database="saved.db", cwd=folder).out, shell(query, cwd=folder).out)
    code, _, err = tool(folder, "salvage", "test.db", "saved.db", codes=(3,))
    expect_in("there already", err)


def test_a_store_by_itself_is_shown_verified_and_salvaged(folder):
    make(folder)
    store = os.path.join("test.db-lsm", os.listdir(os.path.join(folder, "test.db-lsm"))[0])
    expect_equal(tool(folder, "verify", store)[1], "ok\n")
    tool(folder, "show", store)
    tool(folder, "salvage", store, "saved")
    expect_equal(tool(folder, "verify", "saved")[1], "ok\n")
    text = tool(folder, "dump", "test.db")[1]
    shutil.rmtree(os.path.join(folder, store))
    os.rename(os.path.join(folder, "saved"), os.path.join(folder, store))
    expect_equal(tool(folder, "dump", "test.db")[1], text)
    expect_in("give the database file", tool(folder, "dump", store, codes=(3,))[2])


def test_on_a_read_only_medium_it_reads_all_and_makes_no_file(folder):
    """The folder, mounted read-only over another one; its name has what a URI would take for its own."""
    data, saved = os.path.join(folder, "a?b#c%41"), os.path.join(folder, "saved.db")
    os.mkdir(data)
    states = make(data)
    text = tool(data, "dump", "test.db")[1]
    for name in ("test.db-wal", "test.db-shm"):
        if os.path.exists(os.path.join(data, name)):
            os.unlink(os.path.join(data, name))
    names = sorted(os.listdir(data))
    inside = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"', data]
    if subprocess.run([*inside, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("no mount namespace for us here")

    def there(*arguments):
        done = subprocess.run([*inside, TOOL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        expect(done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    expect_equal(there("verify", "test.db"), "ok\n")
    expect_equal(there("dump", "test.db"), text)
    expect_in("table t", there("show", "test.db"))
    there("salvage", "test.db", saved)
    expect_equal(sorted(os.listdir(data)), names)
    expect_equal(rows(tool(folder, "dump", "saved.db")[1]), states[-1])


def test_a_store_in_use_is_refused(folder):
    need_sharing(folder)
    with Peer(folder) as peer:
        peer.run("CREATE VIRTUAL TABLE t USING lsm(a)")
        for command in (["show", "test.db"], ["verify", "test.db"], ["dump", "test.db"], ["salvage", "test.db", "new.db"]):
            _, out, err = tool(folder, *command, codes=(3,))
            expect_in("in use", err)
        expect(not os.path.exists(os.path.join(folder, "new.db")), "something was made")
        peer.close()
        expect_equal(tool(folder, "verify", "test.db")[1], "ok\n")


def test_wrong_use_is_told(folder):
    for arguments in ([], ["show"], ["nonsense", "x"], ["salvage", "x"], ["verify", "x", "y"]):
        expect_in("usage", tool(folder, *arguments, codes=(2,))[2])
    expect_in("no such", tool(folder, "show", "not-there.db", codes=(3,))[2].lower() + " no such" * (not os.path.exists("x")))
    shell("CREATE TABLE o(a);", database="plain.db", cwd=folder)
    expect_in("no LSM table", tool(folder, "show", "plain.db", codes=(3,))[2])
    for command in ("show", "verify", "dump", "salvage"):
        expect_in(command, tool(folder, "--help")[1])


# ---- damaged ones ---------------------------------------------------------------------------------------------------------------


def each_damage(data, rng, count):
    """(what, bytes or None) of one file."""
    size = len(data)
    yield "missing", None
    yield "empty", b""
    yield "zeros", bytes(size)
    for _ in range(count):
        at = rng.randrange(size)
        yield f"byte {at} flipped", data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
        at = rng.randrange(size)
        yield f"cut at {at}", data[:at]
        yield f"4096 zeros at {at}", data[:at] + bytes(len(data[at:at + 4096])) + data[at + 4096:]
        yield f"100 bytes gone at {at}", data[:at] + data[at + 100:]
        yield f"50 bytes more at {at}", data[:at] + bytes(50) + data[at:]


def test_what_is_salvaged_of_a_damaged_store_was_there_and_nothing_whole_is_missing(folder):
    states = make(folder)
    work = os.path.join(folder, "work")
    rng = random.Random(11)
    print("seed 11")
    tables = sum(path.endswith(".sst") for path in files(folder))
    expect(tables >= 3, f"{tables} table files are too few for this")
    for path in files(folder):
        name = os.path.relpath(path, folder)
        is_table = path.endswith(".sst")
        with open(path, "rb") as file:
            data = file.read()
        for what, changed in each_damage(data, rng, 2 if SLOW else 4):
            if not data:
                continue
            copy(folder, work)
            target = os.path.join(work, name)
            os.unlink(target)
            if changed is not None:
                with open(target, "wb") as file:
                    file.write(changed)
            missing = salvaged(work, f"{name}: {what}", states[-1:] if is_table else states)
            expect(missing is not None, f"{name}: {what}: nothing could be saved")
            if "flipped" in what and is_table:
                expect(missing <= BLOCK_ROWS_MAX, f"{name}: {what}: {missing} rows are missing for one byte")
            if os.path.basename(name) in ("LOCK", "SHM", "CURRENT"):
                expect_equal(missing, 0, f"{name}: {what}")


def test_verify_finds_a_flipped_byte_wherever_it_is(folder):
    make(folder)
    work = os.path.join(folder, "work")
    rng = random.Random(12)
    for path in files(folder):
        name = os.path.relpath(path, folder)
        if os.path.basename(name) in ("LOCK", "SHM"):
            continue
        size = os.path.getsize(path)
        for at in [rng.randrange(size) for _ in range(5 if SLOW else 12)]:
            copy(folder, work)
            with open(os.path.join(work, name), "r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 0x10]))
            code, out, _ = tool(work, "verify", "test.db", codes=(0, 1))
            expect(code == 1, f"{name} of {size} bytes, byte {at}, was {byte}: {out}")
            expect("ok\n" != out, out)
            expect_in(os.path.basename(os.path.dirname(path)), out)


def test_files_of_a_kind_exchanged_are_not_believed(folder):
    states = make(folder)
    work = os.path.join(folder, "work")
    tables = [os.path.relpath(path, folder) for path in files(folder) if path.endswith(".sst")]
    for a, b in zip(tables, tables[1:] + tables[:1]):
        copy(folder, work)
        shutil.copy(os.path.join(folder, b), os.path.join(work, a))
        salvaged(work, f"{b} in place of {a}", states[-1:])


def test_a_salvage_that_gives_up_leaves_nothing(folder):
    """A file that may not become larger, of the database and of the store; a store that does not say enough without its database."""
    make(folder)
    sql(folder, "PRAGMA journal_mode = DELETE;")  # SQLite wants no file of its own
    before = sorted(os.listdir(folder))

    def limit(size):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    database = os.path.getsize(os.path.join(folder, "test.db"))
    said = ""
    for size in (database - 4096, database, database + 16384):
        done = subprocess.run([TOOL, "salvage", "test.db", "saved.db"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=lambda: limit(size))
        if done.returncode != 3:
            break
        said += done.stderr.decode()
        expect_equal(sorted(os.listdir(folder)), before, f"files of {size} bytes")
    expect("could not be copied" in said and ".sst: " in said, f"only one kind of file was too large: {said}")
    store = os.path.join("test.db-lsm", os.listdir(os.path.join(folder, "test.db-lsm"))[0])
    for path in files(folder):
        if os.path.basename(path) == "CURRENT" or "MANIFEST" in path:
            os.unlink(path)
    expect_in("give the database file", tool(folder, "salvage", store, "saved", codes=(3,))[2])
    expect(not os.path.exists(os.path.join(folder, "saved")), "a directory was left")


def test_without_a_manifest_what_the_table_files_say_is_enough(folder):
    sql(folder, MAKE)
    sql(folder, "INSERT INTO w VALUES(1, 2); UPDATE t SET v = 0 WHERE id < 5;")
    states = [rows(tool(folder, "dump", "test.db")[1])]
    for path in files(folder):
        if os.path.basename(path) == "CURRENT" or "MANIFEST" in path:
            os.unlink(path)
    missing = salvaged(folder, "no manifest", states)
    expect_equal(missing, 0)
    expect_in("ok", shell("SELECT lsm_check();", database="saved.db", cwd=folder).out)


def test_two_damaged_files_at_once(folder):
    states = make(folder)
    work = os.path.join(folder, "work")
    rng = random.Random(13)
    names = [os.path.relpath(path, folder) for path in files(folder)]
    for _ in range(8 if SLOW else 25):
        copy(folder, work)
        chosen = rng.sample(names, 2)
        for name in chosen:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            changed = rng.choice([changed for _, changed in each_damage(data or b"x", rng, 1)])
            os.unlink(os.path.join(work, name))
            if changed is not None:
                with open(os.path.join(work, name), "wb") as file:
                    file.write(changed)
        salvaged(work, f"{chosen}", states)


def test_salvage_lists_what_is_lost_and_leaves_out_what_may_be_out_of_date(folder):
    """An update lies in a newer file than the row: when its block is gone, the older row must not come back."""
    sql(folder, MAKE)
    old = rows(tool(folder, "dump", "test.db")[1])
    sql(folder, "UPDATE t SET v = -1 WHERE id BETWEEN 300 AND 400; SELECT lsm_flush();")
    new = rows(tool(folder, "dump", "test.db")[1])
    newest = sorted(path for path in files(folder) if path.endswith(".sst"))[-1]
    os.unlink(newest)
    expect(salvaged(folder, "the newest file is missing", [new]) >= 101, "rows of the missing file were saved")
    got = rows(tool(folder, "dump", "saved.db")[1])
    expect_equal(sorted(line for line in got["t"] & old["t"] if line not in new["t"]), [], "rows that were out of date came back")
    out = tool(folder, "salvage", "test.db", "again.db", codes=(1,))[1]
    expect_in(os.path.basename(newest), out)
    expect(re.search(r"from table t key 3\d\d", out), out)
    expect_in("left out", out)
