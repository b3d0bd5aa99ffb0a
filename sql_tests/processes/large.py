"""Transactions many times larger than memory, in one process: long work inside one row's INSERT can be stopped, and seen to go on."""
import harness

PRELUDE = """
def reopen(): return connect("file:test.db?lsm_write_buffer=262144", uri=True, isolation_level=None, cached_statements=0)
a = reopen()
a.execute("PRAGMA journal_mode = WAL")
a.execute("CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v TEXT)")
calls = 0
def handler():
    global calls
    calls += 1
    return stop
# A row is far fewer instructions than this, and each is a statement of its own: what is counted happens while pieces are merged.
stop = 0
a.set_progress_handler(handler, 2000)
a.execute("BEGIN")
a.execute("INSERT INTO t VALUES (-1, 'first')")
def insert(rows):
    for i in rows:
        a.execute("INSERT INTO t VALUES (?, ?)", (i * 2654435761 % 4294967291, "%0100d" % i))
"""


def test_a_merge_of_pieces_calls_the_progress_handler(folder):
    harness.python(PRELUDE + """
insert(range(100000))
assert calls > 0
a.execute("COMMIT")
assert a.execute("SELECT count(*) FROM t").fetchone() == (100001,)
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
a.close()
""", folder)


def test_a_merge_of_pieces_is_interrupted_and_takes_the_transaction_with_it(folder):
    harness.python(PRELUDE + """
stop = 1
try:
    insert(range(100000))
    raise SystemExit("nothing was interrupted")
except sqlite3.OperationalError as error:
    assert "interrupted" in str(error), error
a.set_progress_handler(None, 0)
assert not a.in_transaction
assert a.execute("SELECT count(*) FROM t").fetchone() == (0,)
a.execute("INSERT INTO t VALUES (1, 'again')")
assert a.execute("SELECT lsm_check()").fetchone() == ("ok",)
a.close()
""", folder)


def test_a_connection_can_be_closed_in_a_transaction_whose_pieces_were_merged(folder):
    harness.python(PRELUDE + """
insert(range(100000))
assert calls > 0
a.close()
b = reopen()
assert b.execute("SELECT count(*) FROM t").fetchone() == (0,)
assert b.execute("SELECT lsm_check()").fetchone() == ("ok",)
""", folder)
