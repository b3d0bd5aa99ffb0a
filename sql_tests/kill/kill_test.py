#!/usr/bin/env python3
"""kill_test.py [--kills N] [--modes OFF,NORMAL,FULL] [--seed N]: kill -9 of a real process that writes through SQL.

For each mode one database is written by a process that acknowledges every COMMIT on a pipe and is killed at a random moment, N times over.
After each kill the database is opened and compared with a model: the rows are exactly those after transaction m, where m is the last
acknowledged one or the one after it (committed, not yet said); lsm_check() says ok. A kill leaves the page cache alone, so that nothing
acknowledged may be missing in any mode. Power cuts are what the strict in-memory environment of the unit tests is for.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
import model  # noqa: E402

READ = """
db = connect('test.db')
n = db.execute('SELECT coalesce(max(id), 0) FROM r').fetchone()[0]
print(n)
print(repr(dict(db.execute('SELECT k, v FROM t'))))
print(repr(dict(db.execute('SELECT id, v FROM r'))))
print([row[0] for row in db.execute('SELECT k FROM t ORDER BY k DESC')] == sorted((row[0] for row in db.execute('SELECT k FROM t')), reverse=True))
print(db.execute('SELECT lsm_check()').fetchall())
"""


def write_until_killed(folder, mode, seed, rng):
    """Run the writer, kill it some time after it has started to write (or sooner); the last number it acknowledged, or None."""
    process = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "writer.py"), harness.EXTENSION[:-3], "test.db", mode, str(seed)], cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.host_env())
    if rng.random() < 0.85:
        first = process.stdout.readline()
        if first != b"start\n":
            raise AssertionError("the writer did not start: " + process.stderr.read().decode(errors="replace"))
        time.sleep(rng.choice((0.002, 0.02, 0.1, 0.3)) * rng.random())
    else:  # somewhere in opening, recovery or the first commits
        time.sleep(0.02 + 0.2 * rng.random())
    process.send_signal(signal.SIGKILL)
    out, err = process.communicate()
    if process.returncode != -signal.SIGKILL:
        raise AssertionError(f"the writer ended by itself with {process.returncode}: {err.decode(errors='replace')}")
    numbers = [int(line) for line in out.split(b"\n")[:-1] if line.isdigit()]
    return numbers[-1] if numbers else None


def verify(folder, state, known, acknowledged, seed):
    """Compare the database with the model; the number of the last transaction found there."""
    if not os.path.exists(os.path.join(folder, "test.db")):
        return 0
    tables = harness.python("print(connect('test.db').execute(\"SELECT count(*) FROM sqlite_schema WHERE name IN ('t', 'r')\").fetchone()[0])", folder)
    if tables.lines != ["2"]:
        harness.expect(acknowledged is None, "acknowledged rows, but no tables")
        return 0
    lines = harness.python(READ, folder).lines
    found = int(lines[0])
    least = known if acknowledged is None else acknowledged
    harness.expect(least <= found, f"transaction {least} was acknowledged, the last one found is {found}")
    harness.expect(acknowledged is None or found <= acknowledged + 1, f"{acknowledged} acknowledged, but {found} found")
    for n in range(known + 1, found + 1):
        for operation in model.operations(seed, n):
            model.apply(state, operation)
    for name, got, wanted in (("t", eval(lines[1]), state[0]), ("r", eval(lines[2]), state[1])):  # printed by our own child
        missing = sorted(set(wanted.items()) - set(got.items()))[:5]
        extra = sorted(set(got.items()) - set(wanted.items()))[:5]
        harness.expect(not missing and not extra, f"after transaction {found}, table {name}: missing {missing}, too much {extra}")
    harness.expect_equal(lines[3], "True", "backward scan")
    harness.expect_equal(lines[4], "[('ok',)]", "lsm_check()")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--modes", default="OFF,NORMAL,FULL")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    passed = failed = 0
    for mode in options.modes.split(","):
        folder = tempfile.mkdtemp(prefix="lsm-kill-")
        rng = random.Random(f"{options.seed}/{mode}")
        state, known, done, begun = ({}, {}), 0, 0, time.monotonic()
        try:
            for done in range(1, options.kills + 1):
                acknowledged = write_until_killed(folder, mode, options.seed, rng)
                known = verify(folder, state, known, acknowledged, options.seed)
                passed += 1
            print(f"ok    {mode:6} {done} kills, {known} transactions, seed {options.seed}, {time.monotonic() - begun:.1f} s", flush=True)
            shutil.rmtree(folder)
        except Exception as error:  # any failure ends this mode; its files stay for the post-mortem
            failed += 1
            print(f"FAIL  {mode:6} kill {done}, seed {options.seed}, files kept in {folder}\n      {error}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
