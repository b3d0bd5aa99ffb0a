"""The files that processes agree by, SHM and LOCK, when they are lost, stale or damaged: what counts is in the log and in the manifest."""
import os
import random
import shutil

from harness import Peer, expect, expect_equal, expect_in, need_sharing, shell, store_files

BUSY = 5


def page(folder):
    need_sharing(folder)
    return store_files(folder, suffix="SHM")[0]


def opened(folder):
    a = Peer(folder)
    a.run("PRAGMA journal_mode = WAL")
    a.run("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)")
    a.run("INSERT INTO t VALUES (1, 'one')")
    return a


def test_a_page_left_over_from_a_crash_is_never_believed(folder):
    """A machine that crashed may leave anything there."""
    a = opened(folder)
    path = page(folder)
    with open(path, "rb") as file:
        stale = file.read()
    a.run("SELECT lsm_flush()")
    a.run("INSERT INTO t VALUES (2, 'two')")
    with open(path, "rb") as file:
        living = file.read()
    a.kill()
    rng = random.Random(3)
    flipped = bytearray(living)
    for _ in range(200):
        flipped[rng.randrange(4096)] ^= 1 << rng.randrange(8)
    count = 2
    for content in (stale, living, b"", living[:100], living[:4096], b"\xff" * len(living), b"\0" * len(living), rng.randbytes(len(living)), bytes(flipped), living * 3):
        with open(path, "wb") as file:
            file.write(content)
        with Peer(folder) as b, Peer(folder) as c:
            expect_equal(b.one("SELECT count(*) FROM t"), count)
            count += 1
            b.run("INSERT INTO t VALUES (?, 'more')", count)
            expect_equal(c.one("SELECT count(*) FROM t"), count)
            c.run("SELECT lsm_flush()")
            expect_equal((b.one("SELECT lsm_check()"), c.one("SELECT lsm_check()")), ("ok", "ok"))


def test_a_page_that_is_gone_is_made_anew_by_the_first(folder):
    with opened(folder):
        path = page(folder)
    if os.path.exists(path):
        os.unlink(path)
    expect_equal(shell("SELECT * FROM t; SELECT lsm_check();", cwd=folder).lines, ["1|one", "ok"])


def test_a_page_deleted_in_use_shuts_newcomers_out_until_all_have_closed(folder):
    with opened(folder) as a, Peer(folder) as b:
        path = page(folder)
        expect_equal(b.one("SELECT count(*) FROM t"), 1)
        os.unlink(path)
        a.run("INSERT INTO t VALUES (2, 'two')")
        b.run("INSERT INTO t VALUES (3, 'three')")
        expect_equal((a.one("SELECT count(*) FROM t"), b.one("SELECT count(*) FROM t")), (3, 3))
        with Peer(folder, timeout=0.2) as c:
            refused = c.refused("SELECT * FROM t")
            expect_equal(refused.code & 255, BUSY)
            expect_in("SHM", str(refused))
        a.run("INSERT INTO t VALUES (4, 'four')")
        expect_equal(b.one("SELECT count(*) FROM t"), 4)
    expect_equal(shell("SELECT count(*) FROM t; SELECT lsm_check();", cwd=folder).lines, ["4", "ok"])


def test_a_page_of_another_store_or_layout_is_refused_in_use(folder):
    with opened(folder) as a:
        path = page(folder)
        with open(path, "rb") as file:
            content = bytearray(file.read())
        content[8:12] = b"\x63\0\0\0"  # layout 99
        os.unlink(path)
        with open(path, "wb") as file:
            file.write(content)
        with Peer(folder, timeout=0.2) as c:
            refused = c.refused("SELECT * FROM t")
            expect_equal(refused.code & 255, BUSY)
            expect(len(str(refused)) > 40, f"no reason: {refused}")
        a.run("INSERT INTO t VALUES (2, 'two')")
    expect_equal(shell("SELECT count(*) FROM t;", cwd=folder).lines, ["2"])


def test_a_lock_file_deleted_in_use_does_not_let_two_in_that_know_nothing_of_each_other(folder):
    with opened(folder) as a:
        path = page(folder)
        os.unlink(os.path.join(os.path.dirname(path), "LOCK"))
        with Peer(folder, timeout=0.2) as c:
            refused = c.refused("SELECT * FROM t")
            expect_equal(refused.code & 255, BUSY)
            expect_in("LOCK", str(refused))
        expect_equal(a.one("SELECT count(*) FROM t"), 1)
    expect_equal(shell("SELECT count(*) FROM t; SELECT lsm_check();", cwd=folder).lines, ["1", "ok"])


def test_both_files_deleted_in_use_do_not_let_two_in_that_know_nothing_of_each_other(folder):
    with opened(folder) as a, Peer(folder) as b:
        store = os.path.dirname(page(folder))
        expect_equal(b.one("SELECT count(*) FROM t"), 1)
        for name in ("LOCK", "SHM"):
            os.unlink(os.path.join(store, name))
        for _ in range(2):
            with Peer(folder, timeout=0.2) as c:
                refused = c.refused("SELECT * FROM t")
                expect_equal(refused.code & 255, BUSY)
                expect_in("LOCK", str(refused))
            a.run("INSERT INTO t SELECT max(k) + 1, 'a' FROM t")
            b.run("INSERT INTO t SELECT max(k) + 1, 'b' FROM t")
            a.run("SELECT lsm_flush()")  # the manifest goes on, too
    expect_equal(shell("SELECT count(*) FROM t; SELECT lsm_check();", cwd=folder).lines, ["5", "ok"])


def test_a_store_moved_away_in_use_is_written_no_more(folder):
    """Its files are opened by name: behind a directory of the same name would be another store's."""
    with opened(folder) as a:
        page(folder)
        os.rename(os.path.join(folder, "test.db-lsm"), os.path.join(folder, "moved"))
        shutil.copytree(os.path.join(folder, "moved"), os.path.join(folder, "test.db-lsm"))
        for sql in ("SELECT lsm_flush()", "INSERT INTO t VALUES (2, 'two')"):
            expect_in("moved", str(a.refused(sql)))
        expect_equal(a.one("SELECT v FROM t"), "one")
    expect_equal(shell("SELECT * FROM t; SELECT lsm_check();", cwd=folder).lines, ["1|one", "ok"])


def test_the_page_copied_with_the_files_does_no_harm(folder):
    """A copy of the pair, made while nobody wrote, with the page of the living store in it."""
    with opened(folder):
        page(folder)
        shell("PRAGMA wal_checkpoint(TRUNCATE);", cwd=folder, load=False)
        os.mkdir(os.path.join(folder, "copy"))
        shutil.copy(os.path.join(folder, "test.db"), os.path.join(folder, "copy"))
        shutil.copytree(os.path.join(folder, "test.db-lsm"), os.path.join(folder, "copy", "test.db-lsm"))
        there = shell("SELECT * FROM t; INSERT INTO t VALUES (2, 'copy'); SELECT lsm_check();", cwd=os.path.join(folder, "copy"))
        expect_equal(there.lines, ["1|one", "ok"])
        expect_equal(shell("SELECT * FROM t;", cwd=folder).lines, ["1|one"])
