#!/usr/bin/env python3
"""One history under many settings: `settings.py [--seconds N] [--rounds N] [--seed N]`. Prints the seed, and for a difference the shortest script that shows it.

fuzz.py makes up a history of SQL. Then a process for each of SETTINGS runs it on LSM tables alone, and every outcome must be the one it has with what is set when
nothing is set: rows, errors, changes() and its kin. The engine's own settings, which SQL cannot say, are those of settings_open.c."""
import argparse
import os
import pickle
import random
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fuzz  # noqa: E402
import harness  # noqa: E402
from twin.coverage import Coverage  # noqa: E402
from twin.schema import probe  # noqa: E402
from twin.sides import Difference, REFUSALS, Side, Sides  # noqa: E402

LIBRARY = os.path.join(harness.ROOT, "build", "release", "settings.so") if "LSM_SO" not in os.environ else os.path.join(os.path.dirname(harness.EXTENSION), "settings.so")
SMALL = 65536  # the smallest memtables
FEW_BLOCKS = "block_bytes=65536,compression=2"
MANY_BLOCKS = "block_bytes=512,file_bytes=65536,compression=0"
# buffer: lsm_write_buffer; engine: LSM_SETTINGS; pragmas: before anything else; journal, synchronous; memory: no file; cached: prepared statements kept;
# job, every: lsm_flush() or lsm_compact() after so many steps; jobs: False: not where the history has them; held: a SELECT of another connection is open all the time
SETTINGS = [
    ("nothing set", {}),
    ("small buffer", {"buffer": SMALL}),
    ("great buffer, no jobs", {"buffer": 1 << 30, "jobs": False}),
    ("small buffer, no thread", {"buffer": SMALL, "engine": "threads=0"}),
    ("small buffer, four threads", {"buffer": SMALL, "engine": "threads=4"}),
    ("small blocks and files", {"buffer": SMALL, "engine": MANY_BLOCKS}),
    ("small blocks, no thread", {"buffer": SMALL, "engine": MANY_BLOCKS + ",threads=0"}),
    ("large blocks, zstd", {"buffer": SMALL, "engine": FEW_BLOCKS}),
    ("no cache", {"buffer": SMALL, "engine": "cache_bytes=0"}),
    ("no cache, small blocks", {"engine": MANY_BLOCKS + ",cache_bytes=0", "job": "flush", "every": 5}),
    ("lz4, small blocks", {"buffer": SMALL, "engine": "block_bytes=600,compression=1"}),
    ("maps, not compressed", {"buffer": SMALL, "engine": "compression=0", "pragmas": ("mmap_size = 268435456",), "job": "flush", "every": 9}),
    ("maps, compressed", {"buffer": SMALL, "pragmas": ("mmap_size = 268435456",), "engine": "compression=2,cache_bytes=0", "job": "flush", "every": 9}),
    ("some maps", {"engine": MANY_BLOCKS, "pragmas": ("mmap_size = 70000",), "job": "flush", "every": 3}),
    ("flushed always", {"job": "flush", "every": 1}),
    ("merged often", {"job": "compact", "every": 6}),
    ("merged always, small blocks", {"job": "compact", "every": 2, "engine": MANY_BLOCKS}),
    ("an old view", {"buffer": SMALL, "held": True, "job": "flush", "every": 7}),
    ("WAL, FULL", {"synchronous": "FULL"}),
    ("WAL, NORMAL, checkpoints", {"synchronous": "NORMAL", "buffer": SMALL, "pragmas": ("wal_autocheckpoint = 1",)}),
    ("DELETE, FULL", {"journal": "DELETE", "synchronous": "FULL", "buffer": SMALL}),
    ("TRUNCATE, NORMAL", {"journal": "TRUNCATE", "synchronous": "NORMAL"}),
    ("PERSIST, EXTRA", {"journal": "PERSIST", "synchronous": "EXTRA", "job": "flush", "every": 4}),
    ("journal in memory", {"journal": "MEMORY", "buffer": SMALL}),
    ("exclusive, WAL", {"pragmas": ("locking_mode = EXCLUSIVE",), "buffer": SMALL}),
    ("exclusive, DELETE", {"pragmas": ("locking_mode = EXCLUSIVE",), "journal": "DELETE", "engine": MANY_BLOCKS}),
    ("pages of 512, no page cache", {"pragmas": ("page_size = 512", "cache_size = 1"), "journal": "DELETE"}),
    ("pages of 65536, no spill", {"pragmas": ("page_size = 65536", "cache_spill = OFF")}),
    ("auto_vacuum", {"pragmas": ("auto_vacuum = FULL", "secure_delete = ON"), "journal": "PERSIST", "buffer": SMALL}),
    ("temporary files", {"pragmas": ("temp_store = FILE", "auto_vacuum = INCREMENTAL"), "cached": 0}),
    ("temporary in memory", {"pragmas": ("temp_store = MEMORY", "cell_size_check = ON"), "cached": 500}),
    ("in memory", {"memory": True}),
    ("in memory, small blocks", {"memory": True, "engine": MANY_BLOCKS + ",cache_bytes=0", "job": "flush", "every": 3}),
]
TOGGLES = ("reverse_unordered_selects = OFF", "recursive_triggers = OFF", "case_sensitive_like = OFF", "automatic_index = ON")


class Alone:
    """A history on LSM tables, with a setting."""

    def __init__(self, options, setting, folder):
        self.options, self.setting, self.folder = options, setting, folder
        self.steps, self.facts = 0, {}
        self.open()

    def open(self):
        self.side, self.second, self.reader = Side(self.connect(), "", True), None, None

    def connect(self):
        setting, options = self.setting, self.options
        buffer = f"?lsm_write_buffer={setting['buffer']}" if "buffer" in setting else ""

        def place(name):
            return ":memory:" if setting.get("memory") else f"file:{self.folder}/{name}.db{buffer}"

        db = sqlite3.connect(place("main"), isolation_level=None, uri=True, cached_statements=setting.get("cached", 64))
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        db.enable_load_extension(True)
        db.load_extension(LIBRARY[:-3])
        if options["aux"]:
            db.execute(f"ATTACH '{place('aux')}' AS aux")
        for schema in ["main"] + ["aux"] * options["aux"]:
            for pragma in (*setting.get("pragmas", ()), f"synchronous = {setting.get('synchronous', 'OFF')}", f"journal_mode = {setting.get('journal', 'WAL')}"):
                db.execute(f"PRAGMA {schema}.{pragma}").fetchall()
        for pragma in options["pragmas"]:
            db.execute(pragma)
        return db

    def close(self):
        for (name, value) in self.side.db.execute("SELECT name, value FROM lsm_stats WHERE name IN ('flushes', 'merges', 'mapped_bytes', 'cache_misses')").fetchall() if self.steps else ():
            self.facts[name] = self.facts.get(name, 0) + value
        for db in (self.reader, self.second and self.second.db, self.side.db):
            if db is not None:
                db.close()

    def reopen(self):
        """Of a database in memory that would be the end: only what a connection has for itself begins anew."""
        if self.side.db.in_transaction:
            return
        if self.setting.get("memory"):
            for pragma in [f"PRAGMA {toggle}" for toggle in TOGGLES] + self.options["pragmas"]:
                self.side.db.execute(pragma)
        else:
            self.close()
            self.open()

    def run(self, step):
        """What a step does: an outcome of Side.run() or a tuple of such; None: nothing to compare."""
        self.steps += 1
        kind, db = step.get("kind", "both"), self.side.db
        if kind == "reopen":
            return self.reopen()
        if kind == "lsm" and not self.setting.get("jobs", True) and "lsm_check" not in step["sql"]:
            return None
        if kind == "other":
            self.second = self.second or Side(self.connect(), "", True)
            return self.second.run(step)
        if kind == "between":
            half = self.side.begin(step)
            return self.run(step["inner"]), self.side.rest(*half)
        before = db.total_changes
        outcome = self.side.run(step)
        if step.get("writes") and not self.setting.get("memory"):
            outcome += self.side.counters()[::2] + (db.total_changes - before,)
        if not db.in_transaction:
            self.tend()
        return outcome + (db.in_transaction,)

    def tend(self):
        setting, db = self.setting, self.side.db
        if "job" in setting and self.steps % setting["every"] == 0:
            db.execute(f"SELECT lsm_{setting['job']}()").fetchall()
        if setting.get("held") and self.reader is None:
            tables = db.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE %' ORDER BY 1").fetchall()
            if tables and db.execute(f"SELECT count(*) FROM \"{tables[0][0]}\"").fetchone()[0] > 2:
                self.reader = self.connect()
                self.held = self.reader.execute(f"SELECT * FROM \"{tables[0][0]}\"")
                self.held.fetchone()


def child(path, number):
    """Runs the histories of a file with SETTINGS[number]; the outcomes go to stdout."""
    with open(path, "rb") as file:
        histories = pickle.load(file)
    answers = []
    for options, log in histories:
        setting = SETTINGS[number][1]
        if options["pair"] and ("memory" in setting or "locking_mode = EXCLUSIVE" in setting.get("pragmas", ())):
            answers.append(None)
            continue
        with tempfile.TemporaryDirectory() as folder:
            alone = Alone(options, setting, folder)
            answers.append(([alone.run(step) for step in log], alone.facts))
            alone.close()
    sys.stdout.buffer.write(pickle.dumps(answers))


def outcomes(path, number):
    """A started process, for collect()."""
    env = dict(harness.host_env(), LSM_SETTINGS=SETTINGS[number][1].get("engine", ""))
    return subprocess.Popen(["/usr/bin/python3", os.path.abspath(__file__), "--child", path, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)


def collect(process):
    out, err = process.communicate(timeout=harness.TIMEOUT * 5)
    if process.returncode != 0:
        raise Difference(f"the process ended with {process.returncode}\n{err.decode(errors='replace')[-2000:]}")
    return pickle.loads(out)


def excused(outcome):
    """A SELECT that was given up, or a statement that asks for a CAST: both depend on the plan."""
    return outcome is not None and outcome[0] == "error" and (outcome[3] == "interrupted" or any(word in outcome[3] for word in REFUSALS))


def unequal(step, wanted, got):
    if wanted is None or got is None:
        return None
    if step.get("kind") == "between":
        return unequal(step["inner"], wanted[0], got[0]) or unequal(dict(step, kind="both"), wanted[1], got[1])
    if excused(wanted) or excused(got):
        return None
    rows = 4 if wanted[0] == "error" else 2
    if step.get("kind") in ("common", "lsm") and wanted[0] == got[0] == "rows" and "lsm_check" not in step["sql"]:
        return None
    problem = Sides.compare(step, wanted[:4 if wanted[0] == "error" else 2], got[:4 if got[0] == "error" else 2])
    if problem is not None:
        return problem.replace("ordinary:", "nothing set:").replace("only ordinary", "nothing set").replace("lsm:", "this:")
    if len(wanted) == len(got) and wanted[rows:] != got[rows:]:
        return f"changes(), last_insert_rowid(), total_changes(), in a transaction: {wanted[rows:]} and {got[rows:]}"
    return None


def differs(log, wanted, got):
    """(step, what) of the first difference, or None."""
    for step, one, other in zip(log, wanted, got):
        if step.get("writes") and (excused(one) != excused(other)):
            return None  # the rest has other tables to work on
        problem = unequal(step, one, other)
        if problem is not None:
            return step, problem
    return None


def replay(log, with_what):
    """For fuzz.shrink()."""
    options, number = with_what
    with tempfile.NamedTemporaryFile() as file:
        pickle.dump([(options, log)], file)
        file.flush()
        try:
            wanted, got = [collect(process)[0] for process in [outcomes(file.name, each) for each in (0, number)]]
        except Difference as error:
            return {"sql": "the end of the process"}, str(error)
        return differs(log, wanted[0], got[0])


def history(seed, extension, supported, pair, steps):
    """(options, steps) of a round of fuzz.py, as far as both kinds of tables agree. pair: a second connection takes part."""
    with tempfile.TemporaryDirectory() as folder:
        rng = random.Random(seed)
        fixed = {"connections": 2, "memory": False, "journal": "WAL" if pair else "DELETE", "bulk": rng.choice((0.3, 0.9))}
        played = fuzz.Round(seed, extension, folder, supported, Coverage(), fixed)
        try:
            played.play(steps)
        except Difference:
            pass  # for fuzz.py to find
        played.sides.close()
        return dict(played.options, pair=pair), played.log


def tell(seed, turn, number, found, options, log, seconds):
    print(f"DIFFERENCE: seed {seed}, round {turn}, setting {number}: {SETTINGS[number]}\n{found[0]['sql'][:500]}\n{found[1]}\n{options}")
    log, again = fuzz.shrink(log, (options, number), time.monotonic() + seconds, replay) if seconds > 0 else (log, None)
    print(f"the shortest script ({len(log)} steps{'' if again else '; it does not repeat'}):")
    for step in log[-40:]:
        print(f"  {(step.get('lsm') or step['sql']).replace('$', '')};" + (f"  -- {step['params']}"[:300] if step.get("params") else ""))
    if again:
        print(again[1])
    sys.stdout.flush()


def one_round(seed, turn, arguments, supported, facts):
    """The number of differences of two histories."""
    histories = [history(f"{seed}/{turn}/{pair}", arguments.extension, supported, pair, arguments.steps) for pair in (False, True)]
    with tempfile.NamedTemporaryFile() as file:
        pickle.dump(histories, file)
        file.flush()
        processes, answers, different = {}, {}, 0
        for number in list(range(len(SETTINGS))) + [None] * arguments.jobs:
            if number is not None:
                processes[number] = outcomes(file.name, number)
            if processes and (number is None or len(processes) > arguments.jobs):
                first = min(processes)
                try:
                    answers[first] = collect(processes.pop(first))
                except Difference as error:
                    print(f"DIFFERENCE: seed {seed}, round {turn}, setting {first}: {SETTINGS[first]}\n{error}")
                    different += 1
    for number, answer in answers.items():
        for at, (options, log) in enumerate(histories):
            if answer[at] is None or 0 not in answers:
                continue
            for name, value in answer[at][1].items():
                facts[name] = facts.get(name, 0) + value
            facts["statements"] = facts.get("statements", 0) + len(log)
            found = differs(log, answers[0][at][0], answer[at][0])
            if found is not None:
                different += 1
                tell(seed, turn, number, found, options, log, arguments.shrink if different < 3 else 0)
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extension", default=harness.EXTENSION[:-3])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1 << 60)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 30)))
    parser.add_argument("--shrink", type=float, default=fuzz.SHRINK_SECONDS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--round", type=int, help="this round of the seed only")
    parser.add_argument("--child", nargs=2)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], int(arguments.child[1]))
        return 0
    print(f"seed {arguments.seed}, SQLite {sqlite3.sqlite_version}", flush=True)
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(True)
    db.load_extension(arguments.extension)
    supported = probe(db, Coverage())
    started, different, facts = time.monotonic(), 0, {}
    turn = arguments.round or 0
    last = turn + 1 if arguments.round is not None else arguments.rounds
    while turn < last and (turn == 0 or time.monotonic() - started < arguments.seconds) and different < 10:
        different += one_round(arguments.seed, turn, arguments, supported, facts)
        turn += 1
    print(f"{turn} rounds of two histories under {len(SETTINGS)} settings, {time.monotonic() - started:.0f} s: " + ", ".join(f"{value:,} {name}" for name, value in sorted(facts.items())))
    print("equal" if different == 0 else f"{different} differences")
    return 1 if different else 0


def test_answers_do_not_depend_on_settings(folder):
    seed, seconds = os.environ.get("LSM_SEED", "7"), os.environ.get("LSM_SETTINGS_SECONDS", "0")
    harness.expect(os.path.exists(LIBRARY), f"{LIBRARY} is not there: run make {os.path.relpath(LIBRARY, harness.ROOT)}")
    done = subprocess.run(["/usr/bin/python3", os.path.abspath(__file__), "--seed", seed, "--seconds", seconds, "--shrink", "20", "--steps", "60" if seconds == "0" else "150"],
                          cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=harness.host_env())
    text = done.stdout.decode(errors="replace")
    harness.expect(done.returncode == 0 and text.strip().endswith("equal"), f"LSM_SEED={seed} exit {done.returncode}\n" + text[:5000])


if __name__ == "__main__":
    sys.exit(main())
