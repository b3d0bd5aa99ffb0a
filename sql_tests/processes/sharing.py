"""Several processes have one database open: who sees what, who waits for whom, who is refused."""
import time

from harness import Peer, expect, expect_equal, expect_in, need_sharing, shell, store_files

BUSY, BUSY_SNAPSHOT = 5, 517
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "


def pair(folder, **more):
    need_sharing(folder)
    a, b = Peer(folder, **more), Peer(folder, **more)
    a.run("PRAGMA journal_mode = WAL")
    a.run("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)")
    return a, b


def test_two_shells_read_and_write_at_once(folder):
    need_sharing(folder)
    with Peer(folder) as a:
        a.run("PRAGMA journal_mode = WAL")
        a.run("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)")
        a.run("INSERT INTO t VALUES ('a', 1)")
        expect_equal(shell("SELECT * FROM t; INSERT INTO t VALUES ('b', 2); UPDATE t SET v = 10 WHERE k = 'a';", cwd=folder).lines, ["a|1"])
        expect_equal(a.run("SELECT * FROM t"), [("a", 10), ("b", 2)])
        a.run("DELETE FROM t WHERE k = 'a'")
        expect_equal(shell("SELECT * FROM t; SELECT lsm_check();", cwd=folder).lines, ["b|2", "ok"])


def test_a_commit_is_seen_by_everybody_at_once(folder):
    a, b = pair(folder)
    with a, b:
        for i in range(200):
            writer, reader = (a, b) if i % 3 else (b, a)
            writer.run("INSERT INTO t VALUES (?, ?)", f"k{i:04}", i)
            expect_equal(reader.run("SELECT count(*), max(k) FROM t"), [(i + 1, f"k{i:04}")], "after a commit")
            if i % 50 == 49:
                (a if i % 100 == 49 else b).run("SELECT lsm_flush()")
        a.run("SELECT lsm_compact()")
        expect_equal(b.run("SELECT count(*), sum(v) FROM t"), [(200, 19900)])
        expect_equal((a.one("SELECT lsm_check()"), b.one("SELECT lsm_check()")), ("ok", "ok"))


def test_a_long_select_keeps_its_state_while_another_process_writes_flushes_and_merges(folder):
    a, b = pair(folder)
    with a, b:
        a.run(NUMBERS % 5000 + "INSERT INTO t SELECT printf('%05d', i), 0 FROM n")
        a.run("SELECT lsm_flush()")
        a.run("UPDATE t SET v = 1 WHERE k > '02500'")
        sql = "SELECT k, v FROM t ORDER BY k"
        got = b.start(sql, 10)
        files = set(store_files(folder, suffix=".sst"))
        for i in range(5):
            a.run("UPDATE t SET v = v + 10")
            a.run("DELETE FROM t WHERE k % 5 = ?", i)
            a.run("SELECT lsm_flush()")
            a.run("SELECT lsm_compact()")
        expect_equal(a.one("SELECT count(*) FROM t"), 0)
        expect(files <= set(store_files(folder, suffix=".sst")), "files that the SELECT stands on are gone")
        got += b.rest(sql)
        expect_equal(got, [(f"{i:05}", int(i > 2500)) for i in range(1, 5001)])
        expect_equal(b.one("SELECT count(*) FROM t"), 0)
        a.run("INSERT INTO t VALUES ('last', 1)")
        b.run("SELECT lsm_compact()")
    with Peer(folder) as c:
        c.run("SELECT lsm_compact()")  # or a merge may come between the list and the look
        named = {f"{row[0]:08}.sst" for row in c.run("SELECT number FROM lsm_files")}
    expect_equal({path.rsplit("/", 1)[1] for path in store_files(folder, suffix=".sst")}, named, "the files when all have closed")


def test_busy_timeout_waits_for_the_writer_of_another_process(folder):
    a, b = pair(folder)
    with a, b:
        a.run("BEGIN IMMEDIATE")
        a.run("INSERT INTO t VALUES ('a', 1)")
        b.send("INSERT INTO t VALUES ('b', 2)")
        time.sleep(0.2)
        expect_equal(a.run("SELECT * FROM t"), [("a", 1)])
        a.run("COMMIT")
        expect_equal(b.answer(), [])
        expect_equal(a.run("SELECT * FROM t"), [("a", 1), ("b", 2)])
        b.run("PRAGMA busy_timeout = 0")
        a.run("BEGIN IMMEDIATE")
        refused = b.refused("INSERT INTO t VALUES ('c', 3)")
        expect_equal(refused.code, BUSY)
        b.run("PRAGMA busy_timeout = 300")
        refused = b.refused("INSERT INTO t VALUES ('c', 3)")
        expect_equal(refused.code, BUSY)
        expect(refused.seconds >= 0.2, f"waited for {refused.seconds} s")
        expect_equal(b.run("SELECT count(*) FROM t"), [(2,)])
        a.run("ROLLBACK")
        b.run("INSERT INTO t VALUES ('c', 3)")


def test_what_is_not_committed_is_seen_by_nobody_else(folder):
    a, b = pair(folder)
    with a, b:
        a.run("INSERT INTO t VALUES ('a', 1)")
        a.run("BEGIN")
        a.run("UPDATE t SET v = 2")
        a.run(NUMBERS % 20000 + "INSERT INTO t SELECT 'x' || i, zeroblob(100) FROM n")
        expect_equal(b.run("SELECT count(*), min(v) FROM t"), [(1, 1)])
        a.run("ROLLBACK")
        expect_equal(b.run("SELECT count(*), min(v) FROM t"), [(1, 1)])
        expect_equal(a.run("SELECT count(*), min(v) FROM t"), [(1, 1)])


def test_a_transaction_that_read_before_another_process_wrote_is_refused(folder):
    a, b = pair(folder)
    with a, b:
        a.run("INSERT INTO t VALUES ('a', 1), ('b', 1)")
        sql = "SELECT k, v FROM t"
        a.run("BEGIN")
        expect_equal(a.start(sql, 1), [("a", 1)])
        b.run("UPDATE t SET v = 2")
        refused = a.refused("UPDATE t SET v = v + 1")
        expect_equal(refused.code, BUSY_SNAPSHOT)
        a.rest(sql)
        a.run("ROLLBACK")
        a.run("BEGIN IMMEDIATE")
        a.run("UPDATE t SET v = v + 1")
        a.run("COMMIT")
        expect_equal(b.run(sql), [("a", 3), ("b", 3)])


def test_begin_immediate_sees_the_predecessor_and_is_never_stale(folder):
    a, b = pair(folder)
    with a, b:
        a.run("INSERT INTO t VALUES ('n', 0)")
        for turn in range(100):
            for peer in (a, b):
                peer.send("BEGIN IMMEDIATE")
                peer.send("UPDATE t SET v = v + 1")
                peer.send("COMMIT")
            for peer in (a, b):
                for _ in range(3):
                    peer.answer()
        expect_equal(a.run("SELECT v FROM t"), [(200,)])


def test_tables_made_and_dropped_by_one_process_come_and_go_in_the_other(folder):
    a, b = pair(folder)
    with a, b:
        a.run("INSERT INTO t VALUES ('a', 1)")
        b.run("CREATE VIRTUAL TABLE u USING lsm(x INTEGER PRIMARY KEY, y)")
        b.run("INSERT INTO u VALUES (1, 'one')")
        expect_equal(a.run("SELECT * FROM t, u"), [("a", 1, 1, "one")])
        a.run("ALTER TABLE u RENAME TO w")
        expect_equal(b.run("SELECT * FROM w"), [(1, "one")])
        b.run("DROP TABLE w")
        expect_in("no such table", str(a.refused("SELECT * FROM w")))
        a.run("CREATE VIRTUAL TABLE w USING lsm(x INTEGER PRIMARY KEY, y)")
        expect_equal(b.run("SELECT * FROM w"), [])
        a.run("DROP TABLE t")
        a.run("DROP TABLE w")
        b.run("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)")
        b.run("INSERT INTO t VALUES ('new', 1)")
        expect_equal(a.run("SELECT * FROM t"), [("new", 1)])


def test_many_processes_come_and_go(folder):
    need_sharing(folder)
    peers = [Peer(folder) for _ in range(8)]
    try:
        peers[0].run("PRAGMA journal_mode = WAL")
        peers[0].run("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, who)")
        for turn in range(5):
            for who, peer in enumerate(peers):
                peer.send("INSERT INTO t(who) VALUES (?)", who)
            for peer in peers:
                peer.answer()
            for who, peer in enumerate(peers):
                expect_equal(peer.one("SELECT count(*) FROM t"), 8 * (turn + 1))
            peers[turn].close()  # opened again by its next statement
        expect_equal(peers[0].run("SELECT who, count(*) FROM t GROUP BY who"), [(who, 5) for who in range(8)])
    finally:
        for peer in peers:
            peer.end()
    expect_equal(shell("SELECT count(*) FROM t; SELECT lsm_check();", cwd=folder).lines, ["40", "ok"])


def test_an_attached_database_is_shared_too(folder):
    need_sharing(folder)
    with Peer(folder) as a, Peer(folder, "other.db") as b:
        b.run("CREATE VIRTUAL TABLE u USING lsm(k TEXT PRIMARY KEY, v)")
        a.run("ATTACH 'other.db' AS other")
        a.run("INSERT INTO other.u VALUES ('a', 1)")
        expect_equal(b.run("SELECT * FROM u"), [("a", 1)])
        b.run("INSERT INTO u VALUES ('b', 2)")
        expect_equal(a.one("SELECT count(*) FROM other.u"), 2)
        a.run("DETACH other")
        expect_equal(b.one("SELECT lsm_check()"), "ok")


def test_a_rollback_journal_shares_as_well(folder):
    need_sharing(folder)
    with Peer(folder) as a, Peer(folder) as b:
        expect_equal(a.one("PRAGMA journal_mode = DELETE"), "delete")
        a.run("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v)")
        for i in range(30):
            (a if i % 2 else b).run("INSERT INTO t(v) VALUES (?)", i)
            expect_equal((b if i % 2 else a).one("SELECT max(v) FROM t"), i)


def test_mixed_transactions_of_two_processes_agree(folder):
    a, b = pair(folder)
    with a, b:
        a.run("CREATE TABLE plain(k TEXT PRIMARY KEY, v)")
        for i in range(60):
            writer, other = (a, b) if i % 2 else (b, a)
            writer.run("BEGIN IMMEDIATE")
            writer.run("INSERT INTO t VALUES (?, ?)", f"k{i}", i)
            writer.run("INSERT INTO plain VALUES (?, ?)", f"k{i}", i)
            writer.run("ROLLBACK" if i % 7 == 3 else "COMMIT")
            other.run("BEGIN IMMEDIATE")
            expect_equal(other.run("SELECT * FROM t ORDER BY k"), other.run("SELECT * FROM plain ORDER BY k"))
            other.run("COMMIT")


def test_lsm_readers_shows_who_keeps_what_and_since_when(folder):
    a, b = pair(folder)
    with a, b:
        a.run(NUMBERS % 1000 + "INSERT INTO t SELECT i, i FROM n")
        a.run("SELECT lsm_compact()")
        sql = "SELECT k, v FROM t"
        b.start(sql, 1)
        a.run("DELETE FROM t WHERE v % 2")
        a.run("SELECT lsm_compact()")
        rows = a.run("SELECT pid, process, own, opened <= strftime('%Y-%m-%d %H:%M:%f'), views > 0, old_versions, oldest_seconds >= 0 FROM lsm_readers ORDER BY own")
        expect_equal(rows[0], (b.process.pid, "python3", 0, 1, 1, 1, 1))
        expect_equal(rows[1][:4], (a.process.pid, "python3", 1, 1))
        expect_equal(rows[1][5], 0, "versions the writer keeps")
        expect_equal(a.run("SELECT value FROM lsm_stats WHERE name IN ('mode', 'mode_reason', 'processes')"), [("shared",), (None,), (2,)])
        b.rest(sql)
        expect_equal(a.one("SELECT sum(old_versions) FROM lsm_readers"), 0)
        b.kill()
        expect_equal(a.run("SELECT pid FROM lsm_readers"), [(a.process.pid,)])


def test_exclusive_locking_keeps_other_processes_out_and_says_so(folder):
    need_sharing(folder)
    with Peer(folder) as a, Peer(folder, timeout=0.2) as b:
        a.run("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v)")
        a.run("INSERT INTO t VALUES ('a', 1)")
        a.close()
        a.run("PRAGMA locking_mode = EXCLUSIVE")
        expect_equal(a.run("SELECT * FROM t"), [("a", 1)])
        expect_equal(a.one("SELECT value FROM lsm_stats WHERE name = 'mode'"), "exclusive")
        refused = b.refused("SELECT * FROM t")
        expect_equal(refused.code & 255, BUSY)
        expect_in(f"process {a.process.pid} (python3)", str(refused))
        expect_in("exclusive", str(refused))
        a.close()
        expect_equal(b.run("SELECT * FROM t"), [("a", 1)])
        a.run("PRAGMA locking_mode = EXCLUSIVE")  # now it is the second one that wants the store for itself
        a.run("PRAGMA busy_timeout = 200")
        refused = a.refused("SELECT * FROM t")
        expect_equal(refused.code & 255, BUSY)
        expect(len(str(refused)) > 40, f"no reason: {refused}")
