"""What is written to a disk that is cut or fails, who writes it, and what must be found afterwards. Runs in forked children of disk.py, which itself never loads the library.

The history is one of numbered transactions: over LSM tables, over ordinary ones, or over both, where both must get the same. Transaction n stores n itself, so that a state says which
transactions are in it.
"""
import ctypes
import os
import random
import sqlite3

import harness

LIBC = ctypes.CDLL(None, use_errno=True)
SYNC_FILE_RANGE_WRITE = 2
KEYS = 300
KINDS = {"both": ("l", "o"), "lsm": ("l",), "ordinary": ("o",)}
MIXTURES = [(6, 3, 1), (1, 9, 0), (3, 3, 3), (1, 0, 0)]  # how often, by seed
BEGINNING = """CREATE VIRTUAL TABLE l_keyed USING lsm(k TEXT PRIMARY KEY, v, INDEX by_v(v));
CREATE VIRTUAL TABLE l_rows USING lsm(id INTEGER PRIMARY KEY, v);
CREATE TABLE o_keyed(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE o_rows(id INTEGER PRIMARY KEY, v);"""


def connect(folder, journal, synchronous):
    db = sqlite3.connect(f"file:{folder}/test.db?lsm_write_buffer=65536", uri=True, isolation_level=None, timeout=30)
    db.enable_load_extension(True)
    db.load_extension(harness.EXTENSION[:-3])
    db.execute(f"PRAGMA journal_mode = {journal}").fetchall()
    db.execute(f"PRAGMA synchronous = {synchronous}")
    return db


def transaction(seed, n):
    """Its kind and its operations: ('put', k, v), ('delete', k), ('add', id, v)."""
    rng = random.Random(seed * 1000003 + n)
    kind = rng.choices(list(KINDS), MIXTURES[seed % len(MIXTURES)])[0]
    made = []
    for _ in range(rng.choice((1, 1, 2, 5, 20, 60, 150))):
        key = f"key{rng.randrange(KEYS):04d}"
        made.append(("put", key, f"{n}:" + rng.choice("abc") * rng.randrange(300)) if rng.random() < 0.8 else ("delete", key))
    return kind, [*made, ("add", n, f"row {n}")]


def apply(state, seed, n):
    """state: a dictionary for each table."""
    kind, operations = transaction(seed, n)
    for side in KINDS[kind]:
        for what, key, *value in operations:
            table = state[side + ("_rows" if what == "add" else "_keyed")]
            if what == "delete": table.pop(key, None)
            else: table[key] = value[0]


def execute(db, seed, n):
    """Everything of transaction n but its COMMIT."""
    kind, operations = transaction(seed, n)
    db.execute("BEGIN")
    for side in KINDS[kind]:
        for what, *values in operations:
            if what == "put": db.execute(f"INSERT OR REPLACE INTO {side}_keyed VALUES (?, ?)", values)
            elif what == "delete": db.execute(f"DELETE FROM {side}_keyed WHERE k = ?", values)
            else: db.execute(f"INSERT INTO {side}_rows VALUES (?, ?)", values)


class Record:
    """Which transactions were begun, acknowledged (with the place in the device's log at that moment) or refused, and what else was said; kept outside of the disk."""

    def __init__(self, path):
        self.path, self.begun, self.acknowledged, self.refused, self.errors = path, 0, {}, set(), []
        self.first_fault = self.sqlites_fault = None  # numbers of transactions
        if not os.path.exists(path): return
        with open(path, encoding="utf-8") as file:
            for line in file:
                word, n, rest = line.rstrip("\n").split(" ", 2)
                if word == "begin": self.begun = int(n)
                elif word == "done": self.acknowledged[int(n)] = int(rest)
                else:
                    self.errors.append((word, int(n), rest))
                    if word == "refused": self.refused.add(int(n))
                    if word == "refused" and self.sqlites_fault is None and rest.endswith("disk I/O error"): self.sqlites_fault = int(n)
                    if word == "fault" and self.first_fault is None: self.first_fault = int(n)

    def say(self, word, n, rest=""):
        with open(self.path, "a", encoding="utf-8") as file: file.write(f"{word} {n} {str(rest).replace(chr(10), ' ')}\n")


def push(folder, rng):
    """Let the kernel begin to write some files that nobody has synced, as it does after half a minute: writes, and no flush."""
    for at, _, names in os.walk(folder):
        for name in names:
            if rng.random() < 0.4:
                try: file = os.open(os.path.join(at, name), os.O_RDONLY)
                except FileNotFoundError: continue  # a merge has removed it
                LIBC.sync_file_range(file, ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE)
                os.close(file)


def disturb(db, folder, rng, journal):
    """What commits must not be hurt by."""
    if rng.random() < 0.3: push(folder, rng)
    chance = rng.random()
    if chance < 0.08: db.execute("SELECT lsm_flush()").fetchall()
    elif chance < 0.12: db.execute("SELECT lsm_compact()").fetchall()
    elif chance < 0.17 and journal == "WAL": db.execute("PRAGMA wal_checkpoint").fetchall()
    elif chance < 0.22:
        db.execute("BEGIN")
        for side in "lo": db.execute(f"INSERT OR REPLACE INTO {side}_keyed SELECT 'undone' || id, v FROM {side}_rows")
        db.execute("ROLLBACK")


def begin(folder, device, record, mode):
    """The tables, in one transaction: number 0."""
    db = connect(folder, *mode)
    record.say("begin", 0)
    db.execute("BEGIN")
    for sql in BEGINNING.split("\n"): db.execute(sql)
    db.execute("COMMIT")
    record.say("done", 0, device.position())
    return db


def work(folder, device, record, mode, seed, count):
    """Transactions 1 to count, flushes, merges, checkpoints, closings among them; the end is a close, or none."""
    rng = random.Random(seed)
    db = begin(folder, device, record, mode)
    for n in range(1, count + 1):
        record.say("begin", n)
        execute(db, seed, n)
        db.execute("COMMIT")
        record.say("done", n, device.position())
        disturb(db, folder, rng, mode[0])
        if rng.random() < 0.05:
            db.close()
            db = connect(folder, *mode)
    if rng.random() < 0.5: db.close()


def compare(db, seed, found):
    """All tables are as transactions found have made them."""
    state = {table: {} for table in ("l_keyed", "l_rows", "o_keyed", "o_rows")}
    for n in sorted(found): apply(state, seed, n)
    for table, rows in state.items():
        got = db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        if got != sorted(rows.items()):
            differ = sorted({row[0] for row in set(got) ^ set(rows.items())})
            raise AssertionError(f"{table} is not what transactions up to {max(found, default=0)} made it: {len(got)} rows for {len(rows)}, different: {differ[:10]}")


def check(db):
    for sql in ("SELECT lsm_check()", "PRAGMA integrity_check"):
        rows = db.execute(sql).fetchall()
        harness.expect(rows == [("ok",)], f"{sql}: {rows[:5]}")


def look(folder, mode, seed, required, record, exactly=False):
    """Which transactions are there: all that are required (numbers; 0: the tables), none of those acknowledged before the last one found is missing, each is in all of its tables; then that writing goes on.

    exactly: nothing that was refused and behind which anything was acknowledged. Returns how many were found and how many of these had been refused."""
    db = connect(folder, *mode)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema") if name[:2] in ("l_", "o_") and name[2:] in ("keyed", "rows")}
    if not tables:
        harness.expect(not required, f"no tables, and {max(required, default=0)} was acknowledged")
        db.close()
        return 0, 0
    harness.expect(len(tables) == 4, f"half of a transaction: {sorted(tables)}")
    ids = {side: {n for (n,) in db.execute(f"SELECT id FROM {side}_rows")} for side in "lo"}
    found = ids["l"] | ids["o"]
    for n in found:
        there = {side for side in "lo" if n in ids[side]}
        harness.expect(there == set(KINDS[transaction(seed, n)[0]]), f"transaction {n} ({transaction(seed, n)[0]}) is in {sorted(there)} only")
    # What SQLite's own files lose by writes that failed is SQLite's: it writes over what failed, as we did, and its log ends there at the next mount of ext4. Transactions over both go the way
    # of its log.
    def after(fault): return {n for n in record.acknowledged if fault is not None and n >= fault}
    sqlites = {n for n in after(record.first_fault) if transaction(seed, n)[0] == "ordinary"} | {n for n in after(record.sqlites_fault) if transaction(seed, n)[0] == "both"}
    lost = required - found - sqlites - {0}
    harness.expect(not lost, f"lost: {sorted(lost)} of {len(required)} acknowledged; there: {sorted(found)[-5:]}")
    # At WAL and NORMAL either kind has a log of its own; only transactions over both sync both.
    for sides in ("l", "o") if mode == ("WAL", "NORMAL") else ("lo",):
        last = max((max(ids[side], default=0) for side in sides))
        holes = {n for n in record.acknowledged if 0 < n < last and set(sides) & set(KINDS[transaction(seed, n)[0]])} - found - sqlites
        harness.expect(not holes, f"a hole: {sorted(holes)} are not there, {last} is")
    refused = found & record.refused
    # On a disk that could not be written any more nobody could take back what may have reached it.
    more = {n for n in found if n not in record.acknowledged and n < max(record.acknowledged)}
    harness.expect(not exactly or not more, f"there, refused, and others were acknowledged after it: {sorted(more)}")
    compare(db, seed, found)
    check(db)
    n = record.begun + 1  # and on it goes
    for each in (n, n + 1):
        execute(db, seed, each)
        db.execute("COMMIT")
    db.close()
    db = connect(folder, *mode)
    compare(db, seed, found | {n, n + 1})
    check(db)
    db.close()
    return len(found), len(refused)


FAULTS = ("writes 1", "writes 2", "writes 5", "writes -1", "flushes 1", "flushes 2", "flushes -1")
# No checkpoint: what SQLite has lost of its own file by a sync that failed it may sync in vain and believe, and call its file malformed later.
MOMENTS = ("commit", "commit", "statement", "flush", "compact")


def attempt(db, record, seed, n, before_commit=lambda: None):
    """Transaction n, which may be refused."""
    record.say("begin", n)
    try:
        execute(db, seed, n)
        before_commit()
        db.execute("COMMIT")
        return True
    except sqlite3.Error as error:
        record.say("refused", n, f"({transaction(seed, n)[0]}) {error}")
        try:
            if db.in_transaction: db.execute("ROLLBACK")
        except sqlite3.Error as second: record.say("rollback", n, second)
        return False


def work_on_failing(folder, device, record, mode, seed):
    """Transactions on a device of which writes or flushes fail for a while; then on the same connection when it is healed, and on new ones."""
    rng = random.Random(seed)
    db, n = begin(folder, device, record, mode), 0

    def attempts(count, before_commit=lambda: None):
        nonlocal n
        for _ in range(count):
            n += 1
            if attempt(db, record, seed, n, before_commit): record.say("done", n, device.position())

    attempts(rng.randrange(4, 16))
    for _ in range(2):
        fault, moment = rng.choice(FAULTS), rng.choice(MOMENTS)
        record.say("fault", n + 1, f"{fault} at {moment}")
        if moment == "commit": attempts(1, lambda: device.command(fault))
        else:
            device.command(fault)
            sql = {"flush": "SELECT lsm_flush()", "compact": "SELECT lsm_compact()", "statement": "SELECT 1"}[moment]
            try: db.execute(sql).fetchall()
            except sqlite3.Error as error: record.say("error", n, f"{sql}: {error}")
        attempts(rng.randrange(4))
        device.command("heal")
        attempts(4)
        try:
            db.close()
            db = connect(folder, *mode)
        except sqlite3.Error as error: return record.say("error", n, f"opening: {error}")
        attempts(4)
    db.close()
