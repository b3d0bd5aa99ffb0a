"""A process of soak.py: two connections, one of them in a thread of its own, run random statements over tables whose size is bounded. worker.py EXTENSION SEED

It says "done N undone N refused N", with what it was refused for, when its standard input ends.
"""
import collections
import random
import sqlite3
import sys
import threading

KEYS = 20000
DATABASE = "file:soak.db?lsm_write_buffer=1048576"
# What may be refused to one among many: locks, an old state, a table or index that another one drops or makes.
EXPECTED = ("database is locked", "database table is locked", "another transaction", "out of date", "no such table", "no such index", "there is no index", "already exists", "there is already", "was dropped",
            "schema has changed", "UNIQUE constraint failed", "writes LSM tables", "snapshot", "in the meantime", "changed", "has committed", "roll back and start again")
extension, seed = sys.argv[1], int(sys.argv[2])
stop = threading.Event()
counts, refusals, mu = collections.Counter(), collections.Counter(), threading.Lock()


class Walker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.db = None

    def open(self):
        self.db = sqlite3.connect(DATABASE, uri=True, isolation_level=None, timeout=20, cached_statements=self.random.choice((0, 100)))
        self.db.enable_load_extension(True)
        self.db.load_extension(extension)
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("PRAGMA journal_size_limit = 4000000")

    def key(self):
        return self.random.randrange(KEYS)

    def text(self):
        return self.random.choice("abcdefgh") * self.random.randrange(10, 300)

    def statements(self):
        """One transaction, as a list of (sql, values)."""
        k, n, chance = self.key(), self.random.randrange(1, 200), self.random.random()
        if chance < 0.30:
            return [("INSERT OR REPLACE INTO events VALUES (?, ?, ?)", (self.key(), self.random.random(), self.text())) for _ in range(n)]
        if chance < 0.40:
            return [("UPDATE events SET at = at + 1, body = ? WHERE k BETWEEN ? AND ?", (self.text(), k, k + n))]
        if chance < 0.46:
            return [("DELETE FROM events WHERE k BETWEEN ? AND ?", (k, k + n)), ("INSERT OR REPLACE INTO plain VALUES (?, ?)", (k % 500, self.text()))]
        if chance < 0.50:
            return [("INSERT OR REPLACE INTO people(name, born) VALUES (?, ?)", (f"name {self.key() % 3000}", n)), ("SAVEPOINT s", ()),
                    ("DELETE FROM people WHERE born = ?", (n,)), ("ROLLBACK TO s", ()), ("RELEASE s", ())]
        if chance < 0.62:
            return [("SELECT count(*), sum(length(body)) FROM events WHERE at BETWEEN ? AND ?", (self.random.random(), self.random.random() + 1))]
        if chance < 0.72:
            return [("SELECT * FROM events WHERE k = ?", (self.key(),)) for _ in range(50)]
        if chance < 0.78:
            return [("SELECT count(*), max(p.born) FROM events e JOIN people p ON p.name = 'name ' || (e.k % 3000) WHERE e.k BETWEEN ? AND ?", (k, k + n))]
        if chance < 0.82:
            return [("SELECT body, count(*) FROM events GROUP BY substr(body, 1, 1) ORDER BY 2", ()), ("SELECT count(*) FROM plain", ())]
        if chance < 0.85:  # larger than a memtable: it goes to files
            return [("INSERT OR REPLACE INTO events SELECT (k * 7 + ?) % ?, at, body || 'x' FROM events", (k, KEYS)), ("UPDATE events SET body = substr(body, 1, 200)", ())]
        if chance < 0.87:
            return [(f"CREATE VIRTUAL TABLE IF NOT EXISTS short{n % 3} USING lsm(a, b UNIQUE)", ()), (f"INSERT OR IGNORE INTO short{n % 3} VALUES (1, ?)", (n,))]
        if chance < 0.89:
            return [(f"DROP TABLE IF EXISTS short{n % 3}", ())]
        if chance < 0.91:
            return [(self.random.choice(("SELECT lsm_create_index('people', 'by_born', 'born')", "SELECT lsm_drop_index('people', 'by_born')")), ())]
        if chance < 0.95:
            return [(f"SELECT lsm_delete_range('events', {k}, {k + n})", ())]
        return [(self.random.choice(("SELECT lsm_flush()", "SELECT lsm_compact()", "SELECT lsm_check()", "PRAGMA integrity_check", "PRAGMA wal_checkpoint(TRUNCATE)",
                                     "SELECT * FROM lsm_stats", "SELECT * FROM lsm_readers")), ())]

    def step(self):
        work = self.statements()
        together = len(work) > 1 or self.random.random() < 0.2
        try:
            if together:
                self.db.execute(self.random.choice(("BEGIN", "BEGIN IMMEDIATE")))
            for sql, values in work:
                rows = self.db.execute(sql, values).fetchall()
                if sql == "SELECT lsm_check()" and rows != [("ok",)]:
                    raise AssertionError(f"lsm_check: {rows}")
            if together:
                self.db.execute(self.random.choice(("COMMIT",) * 9 + ("ROLLBACK",)))
            return "done"
        except (sqlite3.OperationalError, sqlite3.IntegrityError) as error:
            if not any(word in str(error) for word in EXPECTED):
                raise
            with mu:
                refusals[str(error)[:60]] += 1
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            return "undone"

    def run(self):
        self.open()
        while not stop.is_set():
            what = self.step()
            with mu:
                counts[what] += 1
            if self.random.random() < 0.004:  # a new connection now and then
                self.db.close()
                self.open()
        self.db.close()


def guarded(walker):
    try:
        walker.run()
    except BaseException as error:  # the other thread and soak.py are to learn of it
        refusals["FAILED: " + repr(error)] += 1
        stop.set()


threads = [threading.Thread(target=guarded, args=(Walker(seed * 2 + i),)) for i in range(2)]
for thread in threads:
    thread.start()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
for thread in threads:
    thread.join()
print("done", counts["done"], "undone", counts["undone"], dict(refusals))
sys.exit(1 if any(text.startswith("FAILED") for text in refusals) else 0)
