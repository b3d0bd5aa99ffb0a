"""worker.py EXTENSION DATABASE BOARD SLOT SLOTS ROLE SEED OPTIONS: one process of the torture test, a writer or a reader, until the board says that
it ends, or until it is killed. What it says on stdout, a line each:

  ack N LINK       the transaction that appended row N of the chain was acknowledged
  gone N LINK      the transaction that would have appended it was rolled back or failed
  busy WHAT FROM TO CODE TEXT   SQLITE_BUSY or one of its kin, with the times of the call; WHAT: open, read, write, late (reads first, then writes), job
  did WHAT         after each turn that went well
  bad TEXT         something is there that must not be: the end of the test
"""
import os
import random
import resource
import sqlite3
import sys
import time
import traceback

import board
import invariants
from invariants import expect

THREADS = 2 if "libtsan" in os.environ.get("LD_PRELOAD", "") else 1  # its runtime starts one of its own beside our first
LOCKED = {5, 6, 15}  # SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL, with all their extended codes


def say(text):
    os.write(1, (text.replace("\n", " ")[:1500] + "\n").encode())  # shorter than PIPE_BUF: whole or not at all


class Worker:
    def __init__(self, extension, database, board_path, slot, slots, role, seed, options):
        self.extension, self.database, self.slot, self.role = extension, database, int(slot), role
        self.options = dict(each.split("=") for each in options.split(",") if each)
        self.board = board.Board(board_path, int(slots))
        self.rng = random.Random(seed)
        self.promises = self.options["promises"].split("+")
        self.timeout = float(self.options["timeout"])
        self.known = None  # the last row of the chain this process has seen
        self.what = "open"
        self.db = None

    # ---- the connection ----------------------------------------------------------------------------------------

    def open(self):
        self.what = "open"
        self.board.move(self.slot, board.OPENING)
        uri = f"file:{self.database}?lsm_write_buffer={self.options['buffer']}"
        self.db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=self.timeout)
        self.db.enable_load_extension(True)
        self.db.load_extension(self.extension)
        self.db.create_function("link", 5, invariants.link, deterministic=True)
        self.db.execute("PRAGMA wal_autocheckpoint = %d" % self.rng.choice((20, 200, 1000)))

    def close(self):
        self.board.move(self.slot, board.CLOSING)
        self.db.close()
        self.db = None
        store = os.path.basename(self.database) + "-lsm"
        held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        held = [path for path in held if store in path]
        expect(not held, f"after the last connection was closed this process has open: {held}")
        expect(len(os.listdir("/proc/self/task")) <= THREADS, "after the last connection was closed a thread is left")

    # ---- writing -----------------------------------------------------------------------------------------------

    def append(self, kind):
        """The row that every transaction appends to the chain; what it is afterwards acknowledged or disowned by."""
        n, before = self.db.execute("SELECT n, link FROM chain ORDER BY n DESC LIMIT 1").fetchone()
        if self.known is not None:
            expect(n >= self.known[0], f"chain: row {n} is the last in a writing transaction, {self.known[0]} was there before")
        pad = self.rng.randbytes(self.rng.choice((8, 10, 10, 100, 1000)))  # never the same link twice
        made = invariants.link(before, n + 1, self.slot, kind, pad)
        self.db.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?)", (n + 1, self.slot, kind, pad, made))
        return n + 1, made

    def commit(self, row):
        """With a rollback journal COMMIT fails while others read; then it can be tried again, with more rows, or be rolled back."""
        if self.options["journal"] != "WAL" and self.rng.random() < 0.5:
            self.db.execute("PRAGMA busy_timeout = 0")
            try:
                self.db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                if self.rng.random() < 0.5:
                    self.transfer()
            finally:
                self.db.execute(f"PRAGMA busy_timeout = {int(1000 * self.timeout)}")
        if self.db.in_transaction:
            self.db.execute("COMMIT")
        self.acknowledge(row)

    def acknowledge(self, row):
        self.board.put(self.slot, board.ACKED, row[0])
        say(f"ack {row[0]} {row[1]}")
        self.known = row

    def transaction(self, kind, work, begin="BEGIN IMMEDIATE"):
        """begin, work(), a row of the chain, COMMIT; whatever fails as it may is rolled back."""
        row = None
        self.what = "write" if begin == "BEGIN IMMEDIATE" else "late"
        self.board.move(self.slot, board.BULK if kind == "bulk" else board.WRITING)
        self.db.execute("PRAGMA synchronous = " + self.rng.choice(("OFF", "NORMAL", "FULL", "FULL")))
        try:
            self.db.execute(begin)
            if self.rng.random() < 0.5:
                work()
                row = self.append(kind)
            else:
                row = self.append(kind)
                work(row[0])
            if self.rng.random() < 0.05:
                self.db.execute("ROLLBACK")
                say(f"gone {row[0]} {row[1]}")
            else:
                self.commit(row)
        except sqlite3.Error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if row is not None:
                say(f"gone {row[0]} {row[1]}")
            raise

    def transfer(self, n=None):
        for _ in range(self.rng.choice((1, 1, 3, 30))):
            a, b = self.rng.sample(range(1, invariants.ACCOUNTS + 1), 2)
            amount = self.rng.randrange(1, 50)
            style = self.rng.random()
            if style < 0.6:
                self.db.execute("UPDATE accounts SET balance = balance - ? WHERE id = ?", (amount, a))
            else:
                balance = self.db.execute("SELECT balance FROM accounts WHERE id = ?", (a,)).fetchone()[0]
                if style < 0.8:
                    self.db.execute("DELETE FROM accounts WHERE id = ?", (a,))
                    self.db.execute("INSERT INTO accounts VALUES (?, ?, x'')", (a, balance - amount))
                else:
                    self.db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, randomblob(?))", (a, balance - amount, self.rng.randrange(300)))
            if self.rng.random() < 0.1:
                self.db.execute("SAVEPOINT s")
                self.db.execute("UPDATE accounts SET balance = balance * 2")
                self.db.execute("ROLLBACK TO s")
                self.db.execute("RELEASE s")
            self.db.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, b))

    def mixed(self, n=None):
        """The marker is the number of the row of the chain."""
        if n is None:
            n = self.db.execute("SELECT max(n) + 1 FROM chain").fetchone()[0]
        order = [("plain", n), ("marks", n)]
        self.rng.shuffle(order)
        for table, marker in order:
            self.db.execute(f"INSERT INTO {table} VALUES (?, ?)", (marker, self.slot))

    def bulk(self, n=None):
        """Rewrite all stamps: many times what memory holds of one transaction, in parts, some of them taken back and done again."""
        if n is None:
            n = self.db.execute("SELECT max(n) + 1 FROM chain").fetchone()[0]
        rows, size = int(self.options["bulk_rows"]), int(self.options["bulk_bytes"])
        for part in self.rng.sample(("a", "b", "c"), 3):
            for again in range(self.rng.choice((1, 1, 2))):
                if again or self.rng.random() < 0.5:
                    self.db.execute("SAVEPOINT p")
                order = self.rng.choice(("value", "-value", "value * 7919 % 10007"))
                self.db.execute("WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < ?) "
                                f"INSERT OR REPLACE INTO stamps SELECT ?, value, ?, randomblob(?) FROM c ORDER BY {order}",
                                (rows, part, -n if again else n, self.rng.randrange(size)))
                self.board.move(self.slot, board.BULK)
                if again:
                    self.db.execute("ROLLBACK TO p")

    def come_and_go(self, n=None):
        """Make, drop or rename a table."""
        there = [row[0] for row in self.db.execute("SELECT name FROM tables")]
        choice = self.rng.random()
        if len(there) < 2 or (choice < 0.4 and len(there) < 6):
            name, rows = f"come{self.rng.randrange(1 << 30)}", self.rng.choice((1, 10, 500))
            self.db.execute(f"CREATE VIRTUAL TABLE {name} USING lsm(k TEXT PRIMARY KEY, v INTEGER, pad BLOB)")
            self.db.execute("WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < ?1) "
                            f"INSERT INTO {name} SELECT 'key' || value, ?1, randomblob(50) FROM c", (rows,))
            self.db.execute("INSERT INTO tables VALUES (?, ?)", (name, rows))
        elif choice < 0.6:
            name, other = self.rng.choice(there), f"come{self.rng.randrange(1 << 30)}"
            self.db.execute(f"ALTER TABLE {name} RENAME TO {other}")
            self.db.execute("UPDATE tables SET name = ? WHERE name = ?", (other, name))
        else:
            name = self.rng.choice(there)
            self.db.execute(f"DROP TABLE {name}")
            self.db.execute("DELETE FROM tables WHERE name = ?", (name,))

    def deferred(self):
        """Read first, write on the strength of it: right, or SQLITE_BUSY or BUSY_SNAPSHOT at once; never a row built on an older state."""
        self.transaction("late", lambda n=None: time.sleep(self.rng.choice((0, 0.001, 0.01))), "BEGIN")

    def one_statement(self):
        """An autocommit statement that reads what it writes on."""
        self.what = "write"
        self.board.move(self.slot, board.WRITING)
        self.db.execute("PRAGMA synchronous = " + self.rng.choice(("OFF", "NORMAL", "FULL")))
        rows = self.db.execute("INSERT INTO chain SELECT n + 1, ?1, 'one', ?2, link(link, n + 1, ?1, 'one', ?2) FROM chain ORDER BY n DESC LIMIT 1 RETURNING n, link",
                               (self.slot, self.rng.randbytes(10))).fetchall()
        expect(len(rows) == 1, f"one statement: {rows}")
        self.acknowledge(rows[0])

    def function(self, name, doing):
        self.what = "job"
        self.board.move(self.slot, doing)
        got = self.db.execute(f"SELECT {name}()").fetchone()[0]
        expect(got == "ok", f"{name}(): {got}")

    def write(self):
        choice = self.rng.random()
        if choice < 0.40:
            self.transaction("transfer", self.transfer)
            return "transfer"
        if choice < 0.55:
            self.one_statement()
            return "one statement"
        if choice < 0.70 and "mixed" in self.promises:
            self.transaction("mixed", self.mixed)
            return "mixed"
        if choice < 0.77 and "twice" in self.promises:
            self.deferred()
            return "deferred"
        if choice < 0.80:
            self.transaction("bulk", self.bulk)
            return "bulk"
        if choice < 0.83 and "mixed" in self.promises:  # what tables there are is an ordinary table's business
            self.transaction("ddl", self.come_and_go)
            return "ddl"
        if choice < 0.86:
            self.function("lsm_flush", board.FLUSHING)
            return "flush"
        if choice < 0.87:
            self.function("lsm_compact", board.MERGING)
            return "compact"
        if choice < 0.98:
            return self.read()
        self.close()
        self.open()
        return "reopen"

    # ---- reading -----------------------------------------------------------------------------------------------

    def see_chain(self):
        """What anybody was told is committed before this view began is in it."""
        told = self.board.acked()
        self.known = invariants.check_chain(self.db, self.known if self.rng.random() < 0.98 else None)
        expect(self.known[0] >= told, f"chain: row {told} was acknowledged, the view begun later ends at {self.known[0]}")

    def read_locked(self):
        self.what = "write"
        self.db.execute("BEGIN IMMEDIATE")
        invariants.check_mixed(self.db)
        invariants.check_tables(self.db)
        self.see_chain()

    def read_mixed(self):
        """Whoever sees the ordinary row of a transaction sees its LSM row, too."""
        self.db.execute("BEGIN")
        plain = self.db.execute("SELECT coalesce(max(marker), 0), count(*) FROM plain").fetchone()
        marks = self.db.execute("SELECT coalesce(max(marker), 0), count(*) FROM marks").fetchone()
        expect(marks >= plain, f"mixed: ordinary rows (greatest, count) {plain}, then LSM rows {marks}")

    def read_twice(self):
        """Two looks within BEGIN and COMMIT see the same."""
        questions = ("SELECT n, link FROM chain ORDER BY n DESC LIMIT 3", "SELECT count(*), sum(balance), sum(id * balance) FROM accounts",
                     "SELECT count(*), max(marker) FROM marks", "SELECT count(*), max(stamp), sum(length(pad)) FROM stamps")
        self.db.execute("BEGIN")
        first = [self.db.execute(each).fetchall() for each in questions]
        for _ in range(self.rng.choice((1, 3))):
            time.sleep(self.rng.choice((0, 0.01, 0.1)))
            self.board.move(self.slot, board.READING)
            for question, wanted in zip(questions, first):
                got = self.db.execute(question).fetchall()
                expect(got == wanted, f"within one transaction {question} gave {wanted}, then {got}")
        expect(first[3][0][1] is None or first[3][0][1] <= first[0][0][0], "a stamp that is newer than the chain")

    def read_slowly(self):
        """A long SELECT, while others write, flush and merge: all rows of one transaction, in order, none twice."""
        last, stamp, count = ("", 0), None, 0
        limit = self.rng.choice((50, 500, 5000))
        for part, number, mark in self.db.execute("SELECT part, id, stamp FROM stamps ORDER BY part, id"):
            expect((part, number) > last, f"long SELECT: {part}{number} comes behind {last}")
            expect(stamp is None or mark == stamp, f"long SELECT: stamps {stamp} and {mark}")
            last, stamp, count = (part, number), mark, count + 1
            if count % limit == 0:
                time.sleep(0.01)
                self.board.move(self.slot, board.READING)
        expect(count == 0 or count == 3 * int(self.options["bulk_rows"]), f"long SELECT: {count} rows")

    def check(self):
        """Every byte is right, and no table file is there that nobody needs, while others write, die and leave things behind."""
        self.what = "job"
        got = self.db.execute("SELECT lsm_check()").fetchone()[0]
        if got != "ok":
            got = [row[0] for row in self.db.execute("SELECT problem FROM lsm_check")] or got
        expect(got == "ok", f"lsm_check: {got}")

    def read(self):
        self.what = "read"
        self.board.move(self.slot, board.READING)
        kinds = [
            ("accounts", lambda: invariants.check_accounts(self.db)), ("accounts", lambda: invariants.check_accounts(self.db)),
            ("one view", lambda: invariants.check_one_statement(self.db)), ("chain", self.see_chain), ("chain", self.see_chain),
            ("stamps", lambda: invariants.check_stamps(self.db)), ("slow", self.read_slowly), ("locked", self.read_locked)]
        if self.rng.random() < 0.1:
            kinds = [("checked", self.check)]
        if "mixed" in self.promises:
            kinds.append(("mixed", self.read_mixed))
        if "twice" in self.promises:
            kinds.append(("twice", self.read_twice))
        name, work = self.rng.choice(kinds)
        try:
            work()
        finally:
            if self.db.in_transaction:
                self.db.execute("COMMIT" if sys.exc_info()[0] is None else "ROLLBACK")
        return "read " + name

    # ---- the loop ----------------------------------------------------------------------------------------------

    def turn(self):
        if self.db is None:
            self.open()
        if self.role == "writer":
            return self.write()
        if self.rng.random() < 0.01:
            self.close()
            return "reopen"
        return self.read()

    def run(self):
        while not self.board.ending:
            begun = time.monotonic()
            try:
                say("did " + self.turn())
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 1)
                if code & 255 not in LOCKED:
                    raise
                say(f"busy {self.what} {begun:.3f} {time.monotonic():.3f} {code} {error}")
                if self.db is not None and self.db.in_transaction:
                    self.db.execute("ROLLBACK")
        if self.db is not None:
            self.close()


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    worker = Worker(*sys.argv[1:9])
    try:
        worker.run()
    except Exception:  # whatever it is, it is what the test looks for
        say("bad " + traceback.format_exc().replace("\n", " | "))
        sys.exit(3)


if __name__ == "__main__":
    main()
