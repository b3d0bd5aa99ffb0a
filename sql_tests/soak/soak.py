#!/usr/bin/env python3
"""soak.py [--minutes N] [--processes N] [--seed N]: mixed SQL load (worker.py) from several processes for a long time; nothing may grow.

The tables' size is bounded, so after a while everything else must be, too. Sixty times in a run, each process's resident memory, threads and open files are measured,
and the number and bytes of the store's files, of SQLite's and of temporary ones (deleted ones that are still open included). The median of the last third may exceed that of the
second a little only. At the end, PRAGMA integrity_check and lsm_check() are clean and the store's directory holds what it names and nothing else.
"""
import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE)]
import harness  # noqa: E402

SAMPLES = 60
# By how much the last third may be above the second: a factor, and an amount for what is small.
SLACK = {"resident KiB": (1.1, 4000), "threads": (1, 0), "descriptors": (1.25, 12), "store files": (1.4, 10), "store bytes": (1.3, 4 << 20), "database bytes": (1.3, 1 << 20),
         "temporary files": (1.3, 3), "temporary bytes": (1.5, 8 << 20)}
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE VIRTUAL TABLE events USING lsm(k INTEGER PRIMARY KEY, at REAL, body, INDEX by_at (at), INDEX by_body (body));
CREATE VIRTUAL TABLE people USING lsm(name TEXT PRIMARY KEY, born INTEGER NOT NULL DEFAULT 0 CHECK (born >= 0), UNIQUE (name COLLATE NOCASE));
CREATE TABLE plain(k INTEGER PRIMARY KEY, body);
"""
LAST_LOOK = """
import os
db = connect('soak.db', isolation_level=None)
assert db.execute('PRAGMA integrity_check').fetchall() == [('ok',)], 'integrity_check'
assert db.execute('SELECT lsm_check()').fetchall() == [('ok',)], db.execute('SELECT lsm_check()').fetchall()
db.execute('SELECT lsm_compact()').fetchall()
assert db.execute('SELECT lsm_check()').fetchall() == [('ok',)], 'after lsm_compact()'
named = {'%08d.sst' % row[0] for row in db.execute('SELECT number FROM lsm_files')}
rows = [db.execute('SELECT count(*) FROM ' + table).fetchone()[0] for table in ('events', 'people', 'plain')]
db.close()
(store,) = os.listdir('soak.db-lsm')
there = set(os.listdir('soak.db-lsm/' + store))
tables = {name for name in there if name.endswith('.sst')}
rest = [name for name in there - tables - {'CURRENT', 'LOCK', 'SHM', 'RESERVE'} if not name.endswith('.wal') and not name.startswith('MANIFEST-')]
assert tables == named and not rest, (tables ^ named, rest)
print('rows', *rows, 'table files', len(named))
"""


def size_of(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:  # removed meanwhile
        return None


def folder_of(path):
    sizes = [size_of(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names]
    return len(sizes), sum(size or 0 for size in sizes)


def measure(processes, folder, temporary):
    """A dictionary of figures; sums over the processes but for memory, which is the greatest."""
    figures = dict.fromkeys(SLACK, 0)
    for process in processes:
        at = f"/proc/{process.pid}"
        with open(f"{at}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
        figures["resident KiB"] = max(figures["resident KiB"], int(status["VmRSS"].split()[0]))
        figures["threads"] += int(status["Threads"])
        for number in os.listdir(f"{at}/fd"):
            try:
                deleted = os.readlink(f"{at}/fd/{number}").endswith(" (deleted)")
                figures["temporary files"] += deleted
                figures["temporary bytes"] += os.stat(f"{at}/fd/{number}").st_size if deleted else 0
                figures["descriptors"] += 1
            except FileNotFoundError:
                continue
    figures["store files"], figures["store bytes"] = folder_of(os.path.join(folder, "soak.db-lsm"))
    figures["database bytes"] = sum(size_of(os.path.join(folder, name)) or 0 for name in os.listdir(folder) if name.startswith("soak.db") and not name.endswith("-lsm"))
    files, size = folder_of(temporary)
    figures["temporary files"] += files
    figures["temporary bytes"] += size
    return figures


def judge(samples):
    """What grows, in words. The first third is the filling of tables and caches."""
    third = len(samples) // 3
    parts = samples[:third], samples[third:2 * third], samples[2 * third:]
    found = []
    print("{:16} {:>13} {:>13} {:>13} {:>13}".format("medians", "first third", "second", "last", "greatest"))
    for name, (factor, amount) in SLACK.items():
        first, before, after = (int(statistics.median(each[name] for each in part)) for part in parts)
        print(f"{name:16} {first:13} {before:13} {after:13} {max(each[name] for each in samples):13}")
        if after > before * factor + amount:
            found.append(f"{name} grew from {before} to {after}")
    return found


def soak(folder, minutes, processes, seed):
    temporary = os.path.join(folder, "tmp")
    os.mkdir(temporary)
    print(f"seed {seed}, {minutes} minutes, {processes} processes with 2 connections each", flush=True)
    harness.shell(SCHEMA, "soak.db", folder)
    env = {**harness.host_env(), "TMPDIR": temporary, "SQLITE_TMPDIR": temporary}
    working = [subprocess.Popen([shutil.which("python3", path="/usr/bin"), os.path.join(HERE, "worker.py"), harness.EXTENSION[:-3], str(seed * 100 + i)], cwd=folder, env=env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for i in range(processes)]
    samples, problems = [], []
    for _ in range(SAMPLES):
        time.sleep(minutes * 60 / SAMPLES)
        if any(process.poll() is not None for process in working):
            problems.append("a process has ended")
            break
        # The memory of a moment says little: the greatest of some.
        near = []
        for _ in range(5):
            near.append(measure(working, folder, temporary))
            time.sleep(0.1)
        samples.append({name: max(each[name] for each in near) for name in SLACK})
        print(" ".join(f"{name}={value}" for name, value in samples[-1].items()), flush=True)
    for process in working:
        out, _ = process.communicate(timeout=600)
        print(out.strip())
        if process.returncode != 0:
            problems.append(f"a process ended with {process.returncode}")
    if not problems:
        problems = judge(samples)
        print(harness.python(LAST_LOOK, folder).out.strip())
    return problems


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--processes", type=int, default=3)
    options.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    given = options.parse_args()
    folder = tempfile.mkdtemp(prefix="lsm-soak-")
    problems = soak(folder, given.minutes, given.processes, given.seed)
    for problem in problems:
        print("FAIL " + problem)
    if problems:
        print("the files are in " + folder)
    else:
        shutil.rmtree(folder)
    print(f"{0 if problems else 1} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
