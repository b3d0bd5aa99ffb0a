"""APSW on Debian's python3: SQLite's own API, closer than the module sqlite3."""
import os
import sys
import threading

import apsw


def connect(timeout_ms=10000):
    db = apsw.Connection("test.db")
    db.setbusytimeout(timeout_ms)
    db.enableloadextension(True)
    db.loadextension(sys.argv[1])
    db.enableloadextension(False)
    return db


def one(db, sql, *values):
    return next(db.cursor().execute(sql, values))[0]


def run(db, *statements):
    for sql in statements:
        db.cursor().execute(sql)


def refused(db, sql):
    try:
        db.cursor().execute(sql).fetchall()
        return "no error"
    except apsw.Error as error:
        return str(error).split("Error: ", 1)[-1]


def in_thread():
    mine = connect()
    with mine:
        mine.cursor().executemany("INSERT INTO t(k) VALUES (?)", ((f"thread {n}",) for n in range(100)))
    mine.close()


COUNTS = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM o)"
ROWS = [("integer", 9223372036854775807), ("negative", -9007199254740993), ("real", 1.5), ("text", "it's zażółć"), ("日本", "😀𝄞"),
        ("blob", b"\x00\xff\x10"), ("null", None)]

db = connect()
print("sqlite", apsw.sqlitelibversion())
one(db, "PRAGMA journal_mode = WAL")
run(db, "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v, n INTEGER NOT NULL DEFAULT 7, INDEX by_n (n))", "CREATE TABLE o(k TEXT PRIMARY KEY, v)", "BEGIN")
for table in ("t", "o"):
    db.cursor().executemany(f"INSERT INTO {table}(k, v) VALUES (?, ?)", ROWS)
run(db, "COMMIT")
for k, v in db.cursor().execute("SELECT k, v FROM t ORDER BY k").fetchall():
    print("row", k, one(db, "SELECT typeof(?1) || ' ' || quote(?1)", v))
run(db, "BEGIN", "DELETE FROM t", "INSERT INTO o VALUES ('lost', 1)", "ROLLBACK")
print("rollback", one(db, COUNTS))
run(db, "BEGIN", "INSERT INTO t(k, v) VALUES ('c', 1)", "INSERT INTO o VALUES ('c', 1)", "COMMIT")
print("commit", one(db, COUNTS))
try:
    with db:
        run(db, "INSERT INTO t(k) VALUES ('d')")
        with db:  # a savepoint inside the other
            run(db, "SAVEPOINT s", "DELETE FROM t", "INSERT INTO t(k) VALUES ('lost')", "ROLLBACK TO s", "RELEASE s")
            run(db, "INSERT INTO t(k) VALUES ('lost')")
            raise KeyError
except KeyError:
    run(db, "INSERT INTO t(k) VALUES ('d')")
print("savepoint", one(db, COUNTS))
print("error", refused(db, "INSERT INTO t(k) VALUES ('c')"))
db.close()

db = connect()
print("reopened", one(db, COUNTS))
other = connect(0)
run(other, "INSERT INTO t(k) VALUES ('second')")
print("second", one(db, COUNTS))
run(db, "BEGIN IMMEDIATE", "INSERT INTO t(k) VALUES ('undone')")
print("error", refused(other, "INSERT INTO t(k) VALUES ('busy')"))
run(db, "ROLLBACK")
other.close()

thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
print("thread", one(db, "SELECT count(*) FROM t WHERE k LIKE 'thread%'"))

child = os.fork()
if child == 0:
    os._exit(0 if "before fork" in refused(db, "SELECT count(*) FROM t") else 1)
status = os.waitpid(child, 0)[1]
run(db, "INSERT INTO t(k) VALUES ('forked')")
print("fork", "refused" if status == 0 else "allowed", one(db, "SELECT count(*) FROM t WHERE k = 'forked'"))

run(db, "DELETE FROM t WHERE k LIKE 'thread%' OR k = 'forked'")
print("check", one(db, "SELECT lsm_check() || ' ' || count(*) FROM t"))
db.close()

db = connect()
run(db, "INSERT INTO t(k) VALUES ('left open')")
print("left open")
