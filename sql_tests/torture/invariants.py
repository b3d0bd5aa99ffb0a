"""What must hold in every state of the torture test's database, and the questions that find out.

accounts   LSM: transfers keep the sum
chain      LSM: row n's link is computed from row n - 1's; every transaction of every writer appends one row, and its kind says what else it did
stamps     LSM: rewritten as a whole by large transactions, so that all rows carry one stamp
marks      LSM: the markers of mixed transactions, the same as in
plain      an ordinary table
tables     an ordinary table: the LSM tables that come and go, and how many rows each has
"""
import hashlib

ACCOUNTS, BALANCE = 200, 1000

SCHEMA = """
CREATE TABLE plain(marker INTEGER PRIMARY KEY, who INTEGER);
CREATE TABLE tables(name TEXT PRIMARY KEY, rows INTEGER);
CREATE VIRTUAL TABLE accounts USING lsm(id INTEGER PRIMARY KEY, balance INTEGER, pad BLOB);
CREATE VIRTUAL TABLE chain USING lsm(n INTEGER PRIMARY KEY, who INTEGER, kind TEXT, pad BLOB, link TEXT);
CREATE VIRTUAL TABLE stamps USING lsm(part TEXT, id INTEGER, stamp INTEGER, pad BLOB, PRIMARY KEY (part, id));
CREATE VIRTUAL TABLE marks USING lsm(marker INTEGER PRIMARY KEY, who INTEGER);
"""


class Violation(Exception):
    """Something is there that must not be, or is not there."""


def expect(condition, text):
    if not condition:
        raise Violation(text)


def link(before, n, who, kind, pad):
    return hashlib.blake2b(f"{before}/{n}/{who}/{kind}/".encode() + bytes(pad), digest_size=10).hexdigest()


def fill(db):
    db.executescript("BEGIN IMMEDIATE;" + SCHEMA)
    db.executemany("INSERT INTO accounts VALUES (?, ?, x'')", [(i, BALANCE) for i in range(1, ACCOUNTS + 1)])
    db.execute("INSERT INTO chain VALUES (1, 0, 'first', x'', ?)", (link("", 1, 0, "first", b""),))
    db.execute("COMMIT")


def check_accounts(db):
    got = db.execute("SELECT count(*), sum(balance) FROM accounts").fetchone()
    expect(got == (ACCOUNTS, ACCOUNTS * BALANCE), f"accounts: {got[0]} with {got[1]} together")


def check_stamps(db):
    count, least, greatest, parts = db.execute("SELECT count(*), min(stamp), max(stamp), count(DISTINCT part) FROM stamps").fetchone()
    expect(least == greatest, f"stamps: {least} to {greatest} in one state, {count} rows")
    if count:
        wanted = db.execute("SELECT who FROM chain WHERE n = ? AND kind = 'bulk'", (greatest,)).fetchone()
        expect(wanted is not None, f"stamps: {greatest} is of no committed transaction")
    return count, greatest, parts


def check_chain(db, known=None, every=None):
    """Walk the chain from the row `known` (n, link) on, or from the first, and return the last (n, link). every(row) is called for each."""
    n, before = known if known is not None else (0, "")
    first = known is not None
    for row in db.execute("SELECT n, who, kind, pad, link FROM chain WHERE n >= ? ORDER BY n", (n,)):
        if first:
            expect(row[0] == n and row[4] == before, f"chain: row {n} was {before}, now the first is {row[0]} {row[4]}")
            first = False
            continue
        expect(row[0] == n + 1, f"chain: row {row[0]} follows {n}")
        expect(row[4] == link(before, *row[:4]), f"chain: row {row[0]} ({row[2]} by {row[1]}) does not fit on its predecessor")
        n, before = row[0], row[4]
        if every is not None:
            every(row)
    expect(not first, f"chain: row {n} is gone")
    return n, before


def check_mixed(db, whole=False):
    """Under main's write lock, or when nobody else is there: ordinary and LSM rows agree."""
    plain = db.execute("SELECT count(*), coalesce(max(marker), 0), coalesce(sum(marker), 0) FROM plain").fetchone()
    marks = db.execute("SELECT count(*), coalesce(max(marker), 0), coalesce(sum(marker), 0) FROM marks").fetchone()
    expect(plain == marks, f"mixed: ordinary rows (count, greatest, sum) {plain}, LSM rows {marks}")
    if whole:
        chain = db.execute("SELECT count(*) FROM chain WHERE kind = 'mixed'").fetchone()
        expect(chain[0] == plain[0], f"mixed: {plain[0]} markers, the chain says {chain[0]}")


def check_tables(db):
    """In one transaction: the tables that are there are those that are written down, with their rows."""
    named = dict(db.execute("SELECT name, rows FROM tables"))
    there = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage = 0 AND name LIKE 'come%'")}
    expect(there == set(named), f"tables: {sorted(there)} there, {sorted(named)} written down")
    for name in sorted(there):
        got = db.execute(f"SELECT count(*), min(v), max(v) FROM {name}").fetchone()
        expect(got[0] == named[name] and got[1] == got[2] == named[name], f"table {name}: {got} (count, least, greatest), written down {named[name]}")


def check_one_statement(db):
    """One statement sees one state of all LSM tables: the last mixed row of the chain and the greatest marker are of one transaction."""
    tail, marker = db.execute("SELECT (SELECT n FROM chain WHERE kind = 'mixed' ORDER BY n DESC LIMIT 1), (SELECT max(marker) FROM marks)").fetchone()
    expect(tail == marker, f"one statement sees the chain up to {tail} and the markers up to {marker}")
