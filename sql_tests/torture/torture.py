#!/usr/bin/env python3
"""torture.py [--seconds N] [--writers N] [--readers N] [--seed N] [--keep]: several processes over one database, killed and stopped at random.

Writers and readers (worker.py) check the invariants (invariants.py) in every view they take. Meanwhile processes are killed with -9 and started
again, stopped and continued, those that flush or merge preferred; now and then all die at once, and the shared page is deleted, cut or
filled with garbage before the next start, as after a crash of the machine. At the end: every acknowledged row is there and no disowned one, all
invariants hold, PRAGMA integrity_check and lsm_check() are clean, the store's directory holds what it names and nothing else; nobody was stuck,
nobody got SQLITE_BUSY without a cause.
"""
import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
import board  # noqa: E402

STUCK_SECONDS = 300 if harness.SLOW else 90  # a process that runs and has not moved for so long is stuck
BUSY_TIMEOUT = 10.0
PROCESSES = (3, 2)  # writers and readers
PROMISES = "mixed+twice"  # what is looked at: ordinary and LSM rows come together; BEGIN ... COMMIT sees one state
AT_WORK = (board.BULK, board.FLUSHING, board.MERGING, board.OPENING, board.CLOSING)

VERIFY = r"""
import os, sys
sys.path.insert(0, sys.argv[1])
import invariants
db = connect('test.db', isolation_level=None, timeout=30)
rows = {}
last = invariants.check_chain(db, None, lambda row: rows.__setitem__(row[0], row[4]))
acked = gone = 0
for line in open(sys.argv[2]):
    word, n, link = line.split()
    if word == 'ack':
        invariants.expect(rows.get(int(n)) == link, f'row {n} {link} was acknowledged, there is {rows.get(int(n))}')
        acked += 1
    else:
        invariants.expect(rows.get(int(n)) != link, f'row {n} {link} was rolled back and is there')
        gone += 1
invariants.check_accounts(db)
stamps = invariants.check_stamps(db)
invariants.check_one_statement(db)
db.execute('BEGIN IMMEDIATE')
invariants.check_mixed(db, True)
invariants.check_tables(db)
db.execute('COMMIT')
invariants.expect(db.execute('PRAGMA integrity_check').fetchall() == [('ok',)], 'integrity_check')
found = db.execute('SELECT problem FROM lsm_check').fetchall()
invariants.expect(not found, f'lsm_check: {found}')
invariants.expect(db.execute('SELECT lsm_compact()').fetchone()[0] == 'ok', 'lsm_compact')  # nothing is left to be merged while we look
names = ['%08d.sst' % row[0] for row in db.execute('SELECT number FROM lsm_files')]
db.close()
stores = os.listdir('test.db-lsm')
invariants.expect(len(stores) == 1, f'stores: {stores}')
there = set(os.listdir('test.db-lsm/' + stores[0]))
tables = {name for name in there if name.endswith('.sst')}
invariants.expect(tables == set(names), f'table files that nobody names: {sorted(tables - set(names))}; missing: {sorted(set(names) - tables)}')
logs = [name for name in there if name.endswith('.wal')]
manifests = [name for name in there if name.startswith('MANIFEST-')]
rest = there - tables - set(logs) - set(manifests) - {'CURRENT', 'LOCK', 'SHM', 'RESERVE'}
invariants.expect(len(logs) <= 1 and len(manifests) == 1 and not rest, f'left behind: {sorted(logs)}, {sorted(manifests)}, {sorted(rest)}')
print('rows', last[0], 'acknowledged', acked, 'undone', gone, 'stamps', stamps[0], 'files', len(names))
"""


class Process:
    """One slot, and whoever lives in it at the moment."""

    def __init__(self, torture, slot, role):
        self.torture, self.slot, self.role = torture, slot, role
        self.lives = self.acks = self.turns = 0
        self.child = self.listener = None
        self.stopped = self.killed = False

    def start(self):
        self.lives += 1
        self.stopped = self.killed = False
        t = self.torture
        options = f"timeout={BUSY_TIMEOUT},buffer={t.rng.choice(t.buffers)},bulk_rows={t.bulk_rows},bulk_bytes={t.bulk_bytes},"
        options += f"journal={t.journal},promises={t.promises}"
        self.child = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(HERE, "worker.py"), harness.EXTENSION[:-3], "test.db", t.board_path, str(self.slot), str(t.board.slots),
             self.role, f"{t.seed}/{self.slot}/{self.lives}", options], cwd=t.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.host_env())
        self.listener = threading.Thread(target=self.listen, args=(self.child,))
        self.listener.start()
        self.moved(True)

    def listen(self, child):
        for line in child.stdout:
            self.torture.heard(self, line.decode().rstrip("\n"))

    def moved(self, force=False):
        """True if it has moved since the last call; a process that stands still on purpose always has."""
        now, moves = time.monotonic(), self.torture.board.get(self.slot, board.MOVES)
        if force or self.stopped or moves != self.moves:
            self.moves, self.moved_at = moves, now
        return now - self.moved_at < STUCK_SECONDS

    def stop(self):
        self.child.send_signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)
        self.stopped = False
        self.moved(True)

    def kill(self):
        self.killed = True
        self.child.send_signal(signal.SIGKILL)
        self.buried()

    def buried(self):
        """Wait for its end, and see to it that it was the one it should have had."""
        code = self.child.wait()
        self.listener.join()
        error = self.child.stderr.read().decode(errors="replace")
        self.child.stderr.close()
        self.child.stdout.close()
        self.child = None
        if code != (-signal.SIGKILL if self.killed else 0):
            self.torture.fail(f"{self.role} {self.slot} ended with {code}: {error}{self.torture.backtrace() if code < 0 else ''}")


class Torture:
    def __init__(self, folder, seed, seconds, writers, readers, buffers=(65536, 65536, 262144), bulk_rows=300, bulk_bytes=1000, journal=None, promises=PROMISES, out=print):
        self.folder, self.seed, self.seconds, self.out = folder, seed, seconds, out
        self.buffers, self.bulk_rows, self.bulk_bytes = buffers, bulk_rows, bulk_bytes
        self.rng = random.Random(seed)
        self.promises = promises
        self.journal = journal or self.rng.choice(("WAL", "WAL", "WAL", "DELETE"))
        self.board_path = os.path.join(folder, "board")
        self.board = board.Board(self.board_path, writers + readers, create=True)
        self.processes = [Process(self, slot, "writer" if slot < writers else "reader") for slot in range(writers + readers)]
        self.lock = threading.Lock()
        # Guarded by lock.
        self.said = open(os.path.join(folder, "said"), "w", encoding="utf-8")
        self.did = collections.Counter()
        self.busy = []
        self.failures = []
        self.events = collections.Counter()
        self.disturbed = []  # times in which somebody was stopped, or died: reasons for others to wait

    # ---- what the processes say --------------------------------------------------------------------------------

    def fail(self, text):
        with self.lock:
            self.failures.append(text)

    def heard(self, process, line):
        word, _, rest = line.partition(" ")
        with self.lock:
            if word in ("ack", "gone"):
                self.said.write(line + "\n")
                self.did[word] += 1
                process.acks += word == "ack"
            elif word == "did":
                self.did[rest] += 1
                process.turns += 1
            elif word == "busy":
                what, begun, ended, code, text = rest.split(" ", 4)
                self.busy.append((what, float(begun), float(ended), int(code), f"{process.role} {process.slot}: {text}"))
            else:
                self.failures.append(f"{process.role} {process.slot}: {line}")

    def backtrace(self):
        """Of a process that crashed, where the system leaves core files in the working directory."""
        cores = [name for name in os.listdir(self.folder) if name.startswith("core")]
        return debugger("/usr/bin/python3", os.path.join(self.folder, cores[0])) if cores else ""

    def unexplained(self):
        """SQLITE_BUSY that nobody caused: what was refused at once although it should have waited, and waits that nobody was stopped for."""
        for what, begun, ended, code, text in self.busy:
            if what == "late":  # has read before: must not wait
                continue
            if not any(begun < until + 1 and since < ended + 1 for since, until in self.disturbed):
                yield f"{what} {ended - begun:.3f} s, {code}, {text}"

    # ---- disturbances ------------------------------------------------------------------------------------------

    def pick(self, running):
        at_work = [p for p in running if self.board.get(p.slot, board.DOING) in AT_WORK]
        return self.rng.choice(at_work if at_work and self.rng.random() < 0.6 else running)

    def rest(self, seconds):
        """Let them run for a while, and see that they move."""
        until = time.monotonic() + seconds
        while True:
            for process in self.processes:
                if process.child is None:
                    continue
                if not process.moved():
                    self.fail(f"{process.role} {process.slot} is stuck (doing {self.board.get(process.slot, board.DOING)}): {debugger('-p', str(process.child.pid))}")
                if process.child.poll() is not None:
                    process.buried()
            if self.failures or time.monotonic() >= until:
                return
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))

    def kill(self, victim):
        now = time.monotonic()
        self.events["kill"] += 1
        victim.kill()
        self.disturbed.append((now, now + 1))
        if self.rng.random() < 0.3:
            self.rest(self.rng.random())
        victim.start()

    def stop(self, victims, seconds):
        since = time.monotonic()
        for victim in victims:
            victim.stop()
            self.events["stop"] += 1
        self.rest(seconds)
        for victim in victims:
            if self.rng.random() < 0.15:
                victim.kill()
                self.events["kill"] += 1
                victim.start()
            else:
                victim.go_on()
        self.disturbed.append((since, time.monotonic()))

    def blackout(self):
        """All die at once; the shared page is as a crash of the machine may leave it, or gone."""
        now = time.monotonic()
        self.events["blackout"] += 1
        for process in self.processes:
            process.child.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.kill()
        for path in harness.store_files(self.folder, suffix="SHM"):
            harm = self.rng.choice(("none", "delete", "cut", "empty", "garbage", "bits"))
            size = os.path.getsize(path)
            if harm == "delete":
                os.unlink(path)
            elif harm in ("cut", "empty"):
                os.truncate(path, 0 if harm == "empty" else self.rng.randrange(size + 1))
            elif harm in ("garbage", "bits") and size:
                with open(path, "r+b") as file:
                    for _ in range(self.rng.choice((1, 100))):
                        file.seek(self.rng.randrange(size))
                        file.write(self.rng.randbytes(size if harm == "garbage" else 1)[:size - file.tell()])
        for process in self.processes:
            process.start()
        self.disturbed.append((now, time.monotonic() + 1))

    def disturb(self):
        running = [p for p in self.processes if p.child is not None]
        choice = self.rng.random()
        if choice < 0.45:
            self.kill(self.pick(running))
        elif choice < 0.75:
            self.stop([self.pick(running)], self.rng.choice((0.01, 0.1, 1)) * self.rng.random())
        elif choice < 0.80:
            self.stop(self.rng.sample(running, self.rng.randrange(len(running)) + 1), self.rng.random())
        elif choice < 0.82 and self.seconds >= 60:
            self.stop([self.pick(running)], self.rng.choice((4, 8, 15)))
        elif choice < 0.86:
            self.blackout()
        self.rest(self.rng.choice((0.02, 0.2, 1)) * self.rng.random() * max(1, 6 / len(self.processes)))

    # ---- the whole ---------------------------------------------------------------------------------------------

    def prepare(self):
        harness.python("sys.path.insert(0, sys.argv[1])\nimport invariants\ndb = connect('test.db', isolation_level=None)\n"
                       "db.execute('PRAGMA journal_mode = ' + sys.argv[2])\ninvariants.fill(db)", self.folder, HERE, self.journal)

    def end(self):
        """Everybody comes to an end by himself."""
        self.board.ending = True
        for process in self.processes:
            if process.child is not None and process.stopped:
                process.go_on()
        while any(p.child is not None for p in self.processes) and not self.failures:
            self.rest(0.1)
        for process in self.processes:
            if process.child is not None:  # there was a failure
                process.kill()

    def run(self):
        begun = time.monotonic()
        self.prepare()
        for process in self.processes:
            process.start()
        while time.monotonic() - begun < self.seconds and not self.failures:
            self.disturb()
        self.end()
        self.said.close()
        if self.failures:
            raise AssertionError("\n".join(self.failures[:10]))
        result = harness.python(VERIFY, self.folder, HERE, os.path.join(self.folder, "said")).lines[-1]
        unexplained = list(self.unexplained())
        harness.expect(not [each for each in unexplained if each.startswith(("read", "open"))] and len(unexplained) <= 3 + self.did["ack"] // 1000,
                       f"{len(unexplained)} times SQLITE_BUSY without a cause:\n" + "\n".join(unexplained[:10]))
        if self.seconds >= 60:
            harness.expect(all(p.acks if p.role == "writer" else p.turns for p in self.processes),
                           f"somebody never got anything done: {[(p.role, p.lives, p.acks, p.turns) for p in self.processes]}")
        self.out(f"{self.journal}, {result}; lives {sum(p.lives for p in self.processes)}, {dict(self.events)}, busy {len(self.busy)} ({len(unexplained)} without a cause)")
        self.out(f"{dict(sorted(self.did.items()))}")


def debugger(*what):
    """Where a process stands or stood, for the post-mortem."""
    if shutil.which("gdb") is None:
        return ""
    done = subprocess.run(["gdb", *what, "-batch", "-ex", "thread apply all backtrace 16"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return "\n" + done.stdout.decode(errors="replace")[-6000:]


def test_processes_killed_and_stopped_at_random_keep_every_invariant(folder):
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"      seed {seed}", flush=True)
    Torture(folder, seed, 15, PROCESSES[0], PROCESSES[1], out=lambda text: print("      " + text, flush=True)).run()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--writers", type=int, default=PROCESSES[0])
    parser.add_argument("--readers", type=int, default=PROCESSES[1])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--buffers", default="65536,65536,262144", help="write buffers of the processes, in bytes")
    parser.add_argument("--bulk-rows", type=int, default=300)
    parser.add_argument("--bulk-bytes", type=int, default=1000)
    parser.add_argument("--journal", help="journal_mode of the database; at random if not said")
    parser.add_argument("--promises", default=PROMISES, help="mixed+twice")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="lsm-torture-")
    print(f"seed {options.seed}, {options.writers} writers, {options.readers} readers, {options.seconds:.0f} s", flush=True)
    try:
        Torture(folder, options.seed, options.seconds, options.writers, options.readers, [int(each) for each in options.buffers.split(",")],
                options.bulk_rows, options.bulk_bytes, options.journal, options.promises).run()
    except Exception as error:  # any failure: its files stay for the post-mortem
        print(f"FAIL  files kept in {folder}\n      {str(error)[:20000]}\n0 passed, 1 failed", flush=True)
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
