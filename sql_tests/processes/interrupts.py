"""sqlite3_interrupt() at random moments: a statement has happened or not, and so has its transaction."""
from harness import SLOW, expect, expect_equal, python

RANDOM = """
import os, random, sqlite3, threading, time
seed = int(os.environ.get('LSM_TEST_SEED') or random.randrange(1 << 30))
print('seed', seed, flush=True)
chance = random.Random(seed)
db = connect('file:test.db?lsm_write_buffer=65536', uri=True, isolation_level=None, check_same_thread=False)
db.execute('PRAGMA journal_mode = WAL')
db.execute('PRAGMA synchronous = OFF')
db.execute('CREATE VIRTUAL TABLE l USING lsm(k INTEGER PRIMARY KEY, a NOT NULL, b, INDEX by_a (a), UNIQUE (b))')
db.execute('CREATE TABLE o(k INTEGER PRIMARY KEY, a NOT NULL, b UNIQUE)')

# Interrupts while `armed` is set, a moment after it was set.
armed, ended = threading.Event(), False
def interrupt():
    while True:
        armed.wait()
        if ended: return
        time.sleep(delay)
        while armed.is_set() and not ended:
            db.interrupt()
            time.sleep(0.0005)
thread = threading.Thread(target=interrupt, daemon=True)
thread.start()

def under_fire(sql):
    global delay
    delay = chance.choice((0, 0.0002, 0.001, 0.003, 0.01))
    armed.set()
    try:
        db.execute(sql).fetchall()
        return 'done'
    except sqlite3.Error as error:
        return 'interrupted' if str(error).endswith(': verification stopped') and error.sqlite_errorname == 'SQLITE_INTERRUPT' else str(error)
    finally:
        armed.clear()
        # What comes late meets an idle connection, or the next statement: let it pass.
        time.sleep(0.002)

def plain(sql):
    while True:
        try:
            return db.execute(sql).fetchall()
        except sqlite3.IntegrityError as error:
            return str(error)
        except sqlite3.OperationalError as error:
            assert str(error) == 'interrupted', (sql, error)

def statements(x):
    n = chance.randrange(1, 400)
    return chance.choice((
        f"WITH RECURSIVE n(i) AS (SELECT {x} UNION ALL SELECT i + 1 FROM n WHERE i < {x + n}) INSERT OR REPLACE INTO $ SELECT i, i % 17, hex(i * {n}) || 'x' FROM n",
        f'UPDATE $ SET a = a + 1 WHERE k % {n % 7 + 1} = 0',
        f"UPDATE $ SET b = b || 'y' WHERE k BETWEEN {x} AND {x + n}",
        f'UPDATE $ SET k = k + 1000000 WHERE k BETWEEN {x} AND {x + n // 8}',
        f'DELETE FROM $ WHERE a = {n % 20} OR k BETWEEN {x} AND {x + n // 2}',
        'SELECT count(*), sum(a), max(b) FROM $ WHERE a > 3 ORDER BY b'))

done = stopped = lost = 0
for step in range(int(sys.argv[1])):
    if not db.in_transaction and chance.random() < 0.3: plain('BEGIN')
    if chance.random() < 0.12:
        inside = db.in_transaction
        sql = chance.choice(('SELECT lsm_check()', "SELECT lsm_create_index('l', 'added', 'b, a')", "SELECT lsm_drop_index('l', 'added')", 'SELECT lsm_flush()', 'SELECT lsm_compact()'))
        said = under_fire(sql)
        assert said in ('done', 'interrupted') or any(word in said for word in ('writes LSM tables', 'index', 'UNIQUE constraint failed: l.b, l.a')), (sql, said)
        lost += inside and not db.in_transaction
    else:
        sql, inside = statements(chance.randrange(3000)), db.in_transaction
        # Both belong to one transaction: whatever is undone is undone for both.
        said = under_fire(sql.replace('$', 'l'))
        if said == 'interrupted':
            stopped += 1
            lost += inside and not db.in_transaction
        else:
            done += 1
            same = plain(sql.replace('$', 'o'))
            assert said == 'done' or said.replace('l.', 'o.') == same, (sql, said, same)
    if db.in_transaction and chance.random() < 0.3: plain(chance.choice(('COMMIT', 'COMMIT', 'ROLLBACK')))
    if step % 10 == 0 or not db.in_transaction:
        differ = plain('SELECT count(*) FROM (SELECT * FROM (SELECT * FROM l EXCEPT SELECT * FROM o) UNION ALL SELECT * FROM (SELECT * FROM o EXCEPT SELECT * FROM l))')
        assert differ == [(0,)], (step, sql, differ)
if db.in_transaction: plain('COMMIT')
ended = True
armed.set()
thread.join()
assert plain('SELECT lsm_check()') == [('ok',)]
assert plain('SELECT (SELECT count(*) FROM l) = (SELECT count(*) FROM o)') == [(1,)]
print(done, 'done', stopped, 'interrupted', lost, 'transactions undone')
assert done > 0 and stopped > 0
"""


def test_at_random_moments_what_is_interrupted_has_not_happened(folder):
    result = python(RANDOM, folder, 80 if SLOW else 250)
    expect(result.lines[-1].endswith("undone"), result.out)


def test_a_flush_that_waits_for_a_writer(folder):
    """Not interruptible it would end with SQLITE_BUSY after ten seconds."""
    result = python("""
import sqlite3, threading
writer, other = connect('test.db', isolation_level=None), connect('test.db', isolation_level=None, check_same_thread=False)
writer.execute('CREATE VIRTUAL TABLE t USING lsm(a)')
writer.execute('BEGIN'); writer.execute('INSERT INTO t VALUES (1)')
for sql in ('SELECT lsm_flush()', 'SELECT lsm_compact()'):
    threading.Timer(0.3, other.interrupt).start()
    try: print(other.execute(sql).fetchall())
    except sqlite3.OperationalError as error: print(error)
writer.execute('COMMIT')
print(other.execute('SELECT lsm_flush(), lsm_check(), count(*) FROM t').fetchall())
""", folder)
    expect_equal(result.lines, ["interrupted", "interrupted", "[('ok', 'ok', 1)]"])
