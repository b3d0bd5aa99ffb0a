"""Databases that may only be read: by the connection, by the file's permissions, by the medium."""
import os
import shutil
import subprocess

from harness import EXTENSION, URI_BUFFER, Peer, Skip, expect, expect_equal, expect_in, host_env, need_sharing, shell

READONLY, CANTOPEN = 8, 14
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def fill(folder, journal="DELETE"):
    shell(f"PRAGMA journal_mode = {journal}; CREATE TABLE plain(a); CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v);"
          "INSERT INTO t SELECT value, 'row ' || value FROM generate_series(1, 500); SELECT lsm_flush();"
          "INSERT INTO t SELECT value, 'row ' || value FROM generate_series(501, 1000); DELETE FROM t WHERE k % 10 = 0;", cwd=folder)


def as_nobody(folder, name="test.db", **more):
    """A process with another user's rights, for whom the folder is there to read. It gets a copy of the library: ours may lie where it cannot look."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        raise Skip("only root can become somebody else, with setpriv")
    os.chmod(folder, 0o755)
    library = shutil.copy(EXTENSION, os.path.join(folder, "copy.so"))
    os.chmod(library, 0o755)
    return Peer(folder, name, command=NOBODY, extension=library, **more)


def expect_rows(peer):
    expect_equal(peer.run("SELECT count(*), sum(k), min(v), max(v) FROM t"), [(900, 450000, "row 1", "row 999")])
    expect_equal(peer.run("SELECT v FROM t WHERE k = 7"), [("row 7",)])
    expect_equal(peer.run("SELECT k FROM t ORDER BY k DESC LIMIT 2"), [(999,), (998,)])


def expect_writes_refused(peer):
    for sql in ("INSERT INTO t VALUES (1, 2)", "UPDATE t SET v = 1", "DELETE FROM t", "CREATE VIRTUAL TABLE u USING lsm(x)", "DROP TABLE t"):
        expect_equal(peer.refused(sql).code & 255, READONLY, sql)


def test_a_read_only_connection_reads_what_others_commit_and_writes_nothing(folder):
    fill(folder, "WAL")
    with Peer(folder, "file:test.db?mode=ro") as reader:
        expect_rows(reader)
        expect_writes_refused(reader)
        need_sharing(folder)
        shell("INSERT INTO t VALUES (2000, 'new');", cwd=folder)
        expect_equal(reader.one("SELECT max(k) FROM t"), 2000)


def test_query_only_reads_and_refuses_writes(folder):
    fill(folder, "WAL")
    with Peer(folder) as reader:
        reader.run("PRAGMA query_only = ON")
        expect_rows(reader)
        reader.run("BEGIN")
        expect_rows(reader)
        expect_rows(reader)
        reader.run("COMMIT")
        expect_writes_refused(reader)
        reader.run("PRAGMA query_only = OFF")
        reader.run("INSERT INTO t VALUES (2000, 'new')")


def test_query_only_between_a_write_and_its_commit_keeps_both_halves_together(folder):
    """SQLite lets the COMMIT of what was written before go through, and so it does where the token has to be written into the database file."""
    with Peer(folder) as a:
        for sql in ("PRAGMA journal_mode = WAL", "CREATE TABLE plain(k)", "CREATE VIRTUAL TABLE t USING lsm(k)"):
            a.run(sql)
        for both in (True, False):
            for sql in ("BEGIN", "INSERT INTO t VALUES (1)", "INSERT INTO plain VALUES (1)" if both else "SELECT 1", "PRAGMA query_only = ON", "COMMIT"):
                a.run(sql)
            expect_equal(a.run("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM plain)"), [(1 if both else 2, 1)])
            expect_equal(a.one("PRAGMA query_only"), 1)
            expect_equal(a.refused("INSERT INTO t VALUES (2)").code & 255, READONLY)
            a.run("PRAGMA query_only = OFF")
        expect_equal(a.one("SELECT lsm_check()"), "ok")
    expect_equal(shell("SELECT count(*) FROM t; SELECT count(*) FROM plain;", cwd=folder).lines, ["2", "1"])


def test_an_immutable_connection_reads_too(folder):
    """immutable=1 is about the database file: what SQLite then leaves out, locks and the WAL, the store has all the same."""
    fill(folder)
    with Peer(folder, "file:test.db?immutable=1") as reader:
        expect_rows(reader)
        expect_writes_refused(reader)


def every_byte(folder):
    """Of the database and its store: names, bytes, owners, times of change."""
    found = {}
    for path in [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("test.db")] + [os.path.join(at, name) for at, folders, names in
                                                                                                              os.walk(os.path.join(folder, "test.db-lsm")) for name in folders + names]:
        info = os.lstat(path)
        bytes_ = b""
        if os.path.isfile(path):
            with open(path, "rb") as file:
                bytes_ = file.read()
        found[path] = (bytes_, info.st_mode, info.st_uid, info.st_mtime_ns, info.st_ctime_ns)
    return found


def test_files_of_another_user_are_read_without_a_trace(folder):
    fill(folder)
    before = every_byte(folder)
    with as_nobody(folder) as reader:
        expect_rows(reader)
        expect_writes_refused(reader)
        expect_equal(reader.one("SELECT lsm_check()"), "ok")
    expect(every_byte(folder) == before, "something was written")


def test_files_that_nobody_may_change_are_read_without_a_trace(folder):
    """chattr +i, which stops root as well; and what a killed process has left, which nobody may recover there."""
    fill(folder)
    with Peer(folder, URI_BUFFER) as writer:
        writer.run(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) UPDATE t SET v = v WHERE k IN (SELECT i FROM n)")
        writer.run("BEGIN")
        writer.run("DELETE FROM t")
        writer.kill()
    for name in ("test.db-journal", "test.db-wal", "test.db-shm"):
        expect(not os.path.exists(os.path.join(folder, name)), f"{name} would have to be recovered by SQLite")
    paths = [os.path.join(folder, "test.db"), *(os.path.join(at, name) for at, folders, names in os.walk(os.path.join(folder, "test.db-lsm")) for name in ["."] + names)]
    if os.geteuid() != 0 or shutil.which("chattr") is None or subprocess.run(["chattr", "+i", *paths], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        subprocess.run(["chattr", "-i", *paths], stderr=subprocess.DEVNULL, check=False) if shutil.which("chattr") else None
        raise Skip("no file can be made immutable here")
    try:
        before = every_byte(folder)
        for name in ("test.db", "file:test.db?mode=ro"):
            with Peer(folder, name) as reader:
                expect_rows(reader)
                expect_writes_refused(reader)
                expect_equal(reader.one("SELECT lsm_check()"), "ok")
                expect_equal(reader.one("SELECT value FROM lsm_stats WHERE name = 'mode'"), "read only")
            expect(every_byte(folder) == before, "something was written")
    finally:
        subprocess.run(["chattr", "-i", *paths], check=True)
    expect_equal(shell("INSERT INTO t VALUES (2000, 'new'); SELECT count(*), lsm_check() FROM t;", cwd=folder).lines, ["901|ok"])


def test_a_reader_without_rights_has_the_state_it_opened_whatever_the_owner_does(folder):
    fill(folder)
    with as_nobody(folder) as reader:
        expect_rows(reader)
        shell("UPDATE t SET v = 'changed'; SELECT lsm_compact(); DELETE FROM t WHERE k > 500; SELECT lsm_compact();", cwd=folder)
        expect_rows(reader)
        reader.close()
        expect_equal(reader.run("SELECT count(*), max(v) FROM t"), [(450, "changed")])


def test_a_reader_without_rights_beside_a_living_writer(folder):
    fill(folder, "WAL")
    with Peer(folder) as writer:
        writer.run("INSERT INTO t VALUES (2000, 'new')")
        with as_nobody(folder) as reader:
            expect_equal(reader.one("SELECT max(k) FROM t"), 2000)
            writer.run("INSERT INTO t VALUES (2001, 'newer')")
            expect(reader.one("SELECT max(k) FROM t") in (2000, 2001), "neither the state of the opening nor a newer one")
            expect_writes_refused(reader)
            reader.close()
            expect_equal(reader.one("SELECT max(k) FROM t"), 2001)
        writer.run("INSERT INTO t VALUES (2002, 'newest')")


def test_a_store_that_may_not_even_be_read_says_so(folder):
    fill(folder)
    with as_nobody(folder) as reader:
        os.chmod(os.path.join(folder, "test.db-lsm"), 0o700)
        refused = reader.refused("SELECT * FROM t")
        expect_equal(refused.code & 255, CANTOPEN)
        expect_in("test.db-lsm", str(refused))
        expect_in("ermission", str(refused))
        expect_equal(reader.run("SELECT * FROM plain"), [])


def test_a_read_only_medium_is_read(folder):
    """The folder, mounted read-only over itself for one process."""
    fill(folder)
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
    # Debian's sh does not survive ThreadSanitizer's runtime, which is for the host alone.
    preload = host_env().get("LD_PRELOAD", "")
    inside = ["env", "LD_PRELOAD=", "unshare", "--mount", "sh", "-c", script, folder, "env", "LD_PRELOAD=" + preload]
    if subprocess.run([*inside, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("no mount namespace for us here")
    with Peer(folder, command=inside) as reader:
        expect_rows(reader)
        expect_writes_refused(reader)
        expect_equal(reader.one("SELECT lsm_check()"), "ok")
        expect_equal(reader.one("SELECT value FROM lsm_stats WHERE name = 'mode'"), "read only")
        reader.run("BEGIN")
        expect_rows(reader)
        reader.run("COMMIT")
    expect_equal(shell("INSERT INTO t VALUES (2000, 'new'); SELECT count(*) FROM t; SELECT lsm_check();", cwd=folder).lines, ["901", "ok"])
