"""Every file of stores of several shapes flipped, cut, zeroed, shortened in the middle, lengthened, exchanged, swapped with another, set back to an older state and removed, seen from SQL.

A read gives the right rows, or an error that names the file (or, where files contradict each other, the store) and says what to do; tables whose bytes are not touched
stay readable; a write, a check and the next open do not make it worse; nothing crashes, and nothing takes for ever. LSM_DAMAGE=N does N times as much.
"""
import os

from harness import SLOW, URI_BUFFER, expect, expect_in, python, shell

AMOUNT = int(os.environ.get("LSM_DAMAGE", "1"))

TABLES = """PRAGMA journal_mode = WAL;
CREATE VIRTUAL TABLE t USING lsm(id INTEGER PRIMARY KEY, k TEXT UNIQUE, v, INDEX by_v(v));
CREATE VIRTUAL TABLE u USING lsm(d TEXT, ts INTEGER, x, PRIMARY KEY(d, ts DESC));
CREATE VIRTUAL TABLE w USING lsm(a, b);
"""
ROWS = """INSERT INTO t SELECT value + {0}, 'key' || (value + {0}), value % 50 FROM generate_series(1, {1});
INSERT INTO u SELECT 'dev' || (value % 7), value + {0}, printf('%.40c', 'x') || value FROM generate_series(1, {1});
INSERT INTO w SELECT value, printf('%.30c', 'w') || (value + {0}) FROM generate_series(1, {1});
"""
SHAPES = {
    "log": TABLES + ROWS.format(0, 30) + "DELETE FROM t WHERE id % 3 = 0; UPDATE w SET b = b || 'q' WHERE a < 9;",
    "flushed": TABLES + ROWS.format(0, 300) + "SELECT lsm_flush();" + "UPDATE t SET v = v + 1 WHERE id < 200; DELETE FROM u WHERE ts < 50; SELECT lsm_flush();" + ROWS.format(1000, 20),
    "compacted": TABLES + ROWS.format(0, 900) + "SELECT lsm_compact();",
    "levels": TABLES + ROWS.format(0, 700) + "SELECT lsm_compact();" + "DELETE FROM w WHERE a % 2 = 0; UPDATE u SET x = x || '!' WHERE ts % 5 = 0; SELECT lsm_flush();"
              + ROWS.format(5000, 100) + "SELECT lsm_flush();" + ROWS.format(9000, 10),
    "large transaction": TABLES + "BEGIN;" + ROWS.format(0, 1500) + "COMMIT;" + ROWS.format(5000, 5),
}

WORKER = r"""
import faulthandler, json, random, shutil, signal
faulthandler.enable()
uri, seed, amount = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
QUERIES = {"t": ["SELECT id, k, v FROM t ORDER BY id", "SELECT id, k, v FROM t ORDER BY id DESC", "SELECT v, id FROM t WHERE v >= 0 ORDER BY v, id"],
           "u": ["SELECT d, ts, x FROM u ORDER BY d, ts DESC", "SELECT d, ts, x FROM u ORDER BY d DESC, ts"],
           "w": ["SELECT rowid, a, b FROM w ORDER BY rowid", "SELECT count(*) FROM w"]}
POINTS = {"t": "SELECT k, v FROM t WHERE id = ?", "w": "SELECT a, b FROM w WHERE rowid = ?"}
ADVICE = ("restore", "salvage", "release", "put ", "close ", "lsm_accept", "remove", "DROP")

def read(db, sql, *parameters):
    # The rows up to the error, and the error.
    rows = []
    try:
        for row in db.execute(sql, parameters): rows.append(row)
        return rows, None
    except sqlite3.Error as error:
        return rows, str(error)

def open_db():
    return connect(uri, uri=True, isolation_level=None)

def all_files():
    return sorted(os.path.join(at, name) for at, _, names in os.walk('test.db-lsm') for name in names)

OLD = {path: open(path, 'rb').read() for path in all_files()}
db = open_db()
for sql in ("INSERT INTO w(a, b) VALUES (-1, 'newer')", "UPDATE t SET v = v + 1 WHERE id % 7 = 0", "DELETE FROM u WHERE ts % 11 = 0", sys.argv[4], "INSERT INTO w(a, b) VALUES (-2, 'newest')"): read(db, sql)
TRUE = {sql: read(db, sql)[0] for queries in QUERIES.values() for sql in queries}
KEYS = {"t": [row[0] for row in TRUE[QUERIES["t"][0]]], "w": [row[0] for row in TRUE[QUERIES["w"][0]]]}
PROBES = {table: rng.sample(KEYS[table], 8) + [-5, 10**9] for table in POINTS}
POINT_ROWS = {(table, key): read(db, POINTS[table], key)[0] for table in POINTS for key in PROBES[table]}
db.close()
CLEAN = {path: open(path, 'rb').read() for path in all_files()}
tally = {"right": 0, "errors": 0, "refused": 0}

def check_error(what, paths, text):
    path, names = paths[0], [os.path.basename(path) for path in paths]
    # A log, a manifest and CURRENT are held against each other; of a table file the name must be there.
    store = os.path.basename(os.path.dirname(path))
    assert any(name in text for name in names) or (not path.endswith('.sst') and store in text), f"{what}: the error does not name the file: {text}"
    assert any(word in text for word in ADVICE), f"{what}: the error does not say what to do: {text}"

def read_all(what, paths, db):
    failed = set()
    for table, queries in QUERIES.items():
        for sql in queries:
            rows, error = read(db, sql)
            if error is None:
                assert rows == TRUE[sql], f"{what}: wrong rows: {sql}: {len(rows)} for {len(TRUE[sql])}"
                continue
            assert rows == TRUE[sql][:len(rows)], f"{what}: wrong rows before the error: {sql}"
            check_error(what, paths, error)
            failed.add(table)
    for (table, key), true in POINT_ROWS.items():
        rows, error = read(db, POINTS[table], key)
        if error is None: assert rows == true, f"{what}: a wrong row: {table} {key}: {rows}"
        else: check_error(what, paths, error)
        if error is not None: failed.add(table)
    return failed

# also: what another file holds then, if it is changed, too.
def one(what, path, changed, also=None):
    for other, content in CLEAN.items():
        if not os.path.exists(other) or open(other, 'rb').read() != content: open(other, 'wb').write(content)
    for other in all_files():
        if other not in CLEAN: os.unlink(other)
    os.unlink(path)
    if changed is not None: open(path, 'wb').write(changed)
    if also is not None: open(also[0], 'wb').write(also[1])
    paths = (path,) if also is None else (path, also[0])
    signal.alarm(120)
    db = open_db()
    failed = read_all(what, paths, db)
    tally["refused" if len(failed) == 3 else "errors" if failed else "right"] += 1
    checked, error = read(db, "SELECT lsm_check()")
    if failed: assert error is not None or checked[0][0] != 'ok', f"{what}: a read fails, but lsm_check() says ok"
    # A write goes through or is refused; what is read then is as right as before, the new row included.
    _, error = read(db, "INSERT INTO w(rowid, a, b) VALUES(123456789, 'new', NULL)")
    if error is None: _, error = read(db, "DELETE FROM w WHERE rowid = 123456789")
    db.close()
    db = open_db()
    read_all(what + ", opened again", paths, db)
    db.close()
    signal.alarm(0)
    return failed

TABLES, spread = [path for path in CLEAN if path.endswith('.sst')], []
CHOSEN = rng.sample(TABLES, min(len(TABLES), 4))
for path, data in CLEAN.items():
    name, size = os.path.basename(path), len(data)
    if path in TABLES and path not in CHOSEN: continue
    one(f"{name} missing", path, None)
    if size == 0: continue
    one(f"{name} empty", path, b'')
    one(f"{name} all zeros", path, bytes(size))
    for _ in range(6 * amount):
        at, bit = rng.randrange(size), 1 << rng.randrange(8)
        failed = one(f"{name}: bit {bit} of byte {at} of {size} flipped", path, data[:at] + bytes([data[at] ^ bit]) + data[at + 1:])
        # A block has rows of one tree, or of neighbours, seldom of three; only what stands behind the data concerns all of the file.
        if path.endswith('.sst') and at < size * 0.6: spread.append(len(failed) > 2)
    for _ in range(3 * amount):
        at = rng.randrange(size)
        one(f"{name} cut at {at} of {size}", path, data[:at])
        one(f"{name}: 64 zeros at {at}", path, data[:at] + bytes(len(data[at:at + 64])) + data[at + 64:])
        one(f"{name}: 9 bytes gone at {at}", path, data[:at] + data[at + 9:])
        one(f"{name}: 512 bytes of noise at {at}", path, data[:at] + bytes(rng.randrange(256) for _ in data[at:at + 512]) + data[at + 512:])
    # A manifest that ends early may look like one that was being written to.
    for at in range(64, size, max(1, size // 12)) if name.startswith('MANIFEST') else (): one(f"{name} cut at {at} of {size}", path, data[:at])
    if name not in ('LOCK', 'SHM') and not name.endswith('.wal'):
        one(f"{name} with 100 bytes more", path, data + bytes([0x5a]) * 100)
    for other, content in CLEAN.items():
        if other != path and (other not in TABLES or other in CHOSEN) and os.path.splitext(other)[1] == os.path.splitext(path)[1] and name not in ('LOCK', 'SHM'):
            one(f"{os.path.basename(other)} in place of {name}", path, content)
assert sum(spread) * 2 <= len(spread) + 1, f"of {len(spread)} flipped bytes {sum(spread)} made more than two tables fail"
# Two files changed places, and two pieces of them, in one file and between two.
for first in CHOSEN:
    a = CLEAN[first]
    for second in CHOSEN[CHOSEN.index(first) + 1:]:
        b = CLEAN[second]
        one(f"{os.path.basename(first)} and {os.path.basename(second)} swapped", first, b, (second, a))
        for at in range(0, min(len(a), len(b)) - 512, max(512, min(len(a), len(b)) // (3 * amount))):
            one(f"512 bytes at {at} swapped between two files", first, a[:at] + b[at:at + 512] + a[at + 512:], (second, b[:at] + a[at:at + 512] + b[at + 512:]))
    for _ in range(2 * amount):
        x, y = sorted(rng.sample(range(0, len(a) - 256, 256), 2)) if len(a) > 1024 else (0, 0)
        if x != y: one(f"{os.path.basename(first)}: 256 bytes at {x} and at {y} swapped", first, a[:x] + a[y:y + 256] + a[x + 256:y] + a[x:x + 256] + a[y + 256:])
# A file of an older state among the newer ones.
stale = [path for path in OLD if path in CLEAN and OLD[path] != CLEAN[path] and os.path.basename(path) not in ('LOCK', 'SHM')]
assert stale
for path in stale: one(f"{os.path.basename(path)} as it was before", path, OLD[path])
for other, content in CLEAN.items(): open(other, 'wb').write(content)
db = open_db()
for sql, rows in TRUE.items(): assert read(db, sql) == (rows, None), 'the clean store is not what it was'
db.close()
print(json.dumps(tally))
"""


def damage_test(shape):
    def test(folder):
        done = shell(SHAPES[shape], database=URI_BUFFER, cwd=folder)
        expect("Error" not in done.out, done.out)
        seed = int(os.environ.get("LSM_TEST_SEED", "5"))
        print(f"seed {seed}")
        result = python(WORKER, folder, URI_BUFFER, seed, 1 if SLOW else AMOUNT, "SELECT 1" if shape == "log" else "SELECT lsm_flush()", check=False)
        expect(result.code == 0, f"{shape}: ended with {result.code}:\n{result.out[-3000:]}")
        expect_in('"right"', result.lines[-1])
        print(f"      {shape}: {result.lines[-1]}")
    return test


for name in SHAPES:
    globals()["test_" + name.replace(" ", "_")] = damage_test(name)
