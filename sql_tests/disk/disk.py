#!/usr/bin/env python3
"""disk.py [cut] [fail] [--seconds N] [--states N] [--systems ext4,xfs,btrfs] [--seed N]: LSM and ordinary tables on a real file system whose block device is cut, or fails.

cut    A history of transactions is written to a new file system on a device that remembers every write and flush (device.c). Then, for a sample of the flushes, the image that a power cut
       could have left (everything up to the flush, any part of what followed, torn, too) is mounted, so that the file system recovers by its own journal, and must hold what the mode promises.
fail   Writes or flushes of the device fail while transactions are committed, flushed, merged; then it is healed. After the last close the file system is mounted anew: what was acknowledged is
       there, what was refused is not, also after a power cut at flushes meanwhile.

The seed decides about history, faults and cuts; the kernel's own threads write when they like, so that the same seed gives nearly the same run. Needs root, /dev/fuse and loop devices; starts itself
in namespaces of its own. The images of the first bad states are kept below build/log.
"""
import argparse
import collections
import itertools
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
import history  # noqa: E402
from device import FILE_SYSTEMS, PROGRAM, Cutter, Device, Mount, Unmountable, must, run  # noqa: E402

MODES = [("WAL", "FULL"), ("WAL", "NORMAL"), ("DELETE", "FULL"), ("DELETE", "NORMAL")]
NAMESPACES = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
IMAGES_KEPT = 3
SKIPPED = 77  # the exit status that says so
# What SQLite says of its own files; the last one is its word for EIO from a file system that has shut itself down, as XFS does.
SQLITES_WORDS = ("disk I/O error", "attempt to write a readonly database", "unable to open database file", "database disk image is malformed")


def in_child(function, *arguments):
    """Call it in a process of its own: what it returns, or the words in which it failed as an AssertionError."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try: answer = ("returned", function(*arguments))
        except (AssertionError, sqlite3.Error) as error: answer = ("failed", str(error))
        except BaseException: answer = ("failed", traceback.format_exc())
        with os.fdopen(writing, "w") as file: file.write(repr(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file: text = file.read()
    _, status = os.waitpid(child, 0)
    harness.expect(status == 0 and text, f"the process ended with {os.waitstatus_to_exitcode(status)}")
    how, answer = eval(text)  # of our own child
    harness.expect(how == "returned", answer)
    return answer


def required(record, mode, seed, place):
    """What must be there of what was acknowledged when the device's log was not longer than place (docs/sql.md, "Together with ordinary tables")."""
    done = sorted(n for n, at in record.acknowledged.items() if at <= place)
    kinds = {n: history.transaction(seed, n)[0] if n > 0 else "both" for n in done}
    def durable(n):
        if mode == ("WAL", "FULL"): return True
        if mode == ("WAL", "NORMAL"): return kinds[n] == "both"
        return kinds[n] != "ordinary"  # SQLite does not sync the directory after it has removed a journal
    while done and not durable(done[-1]): done.pop()
    return set(done)


class Disk:
    """Rounds of both kinds, one after the other, and what they gave."""

    def __init__(self, folder, verbose):
        self.folder, self.round, self.verbose = folder, 0, verbose
        self.states, self.found, self.refused, self.back, self.failed, self.bad = collections.Counter(), 0, 0, 0, 0, 0
        self.unmountable = self.older = 0
        self.mount, self.scratch = os.path.join(folder, "mount"), os.path.join(folder, "scratch")

    def new(self, system):
        self.round += 1
        folder = os.path.join(self.folder, f"round-{self.round}")
        return Device(folder, system), os.path.join(folder, "said")

    def look(self, where, what, image, *arguments, keep=None):
        """The file system in the image, recovered, and what is in it. keep: makes the image again, to be kept if it is bad."""
        self.states[where] += 1
        try:
            with Mount(image, self.mount) as folder: found, refused = in_child(history.look, folder, *arguments)
            self.found += found
            self.back += refused
            if self.verbose: print(f"      {where}: {what}: {found} transactions, {refused} of them refused", flush=True)
        except AssertionError as error:
            if isinstance(error, Unmountable) and "pieces of 512" in what:  # it takes a block of its own for written at once
                self.unmountable += 1
                return
            if arguments[3].first_fault is not None and "the database is older than the store" in str(error):  # SQLite's file lost it
                self.older += 1
                return
            self.bad += 1
            print(f"BAD   {where}: {what}: {error}", flush=True)
            if keep and self.bad <= IMAGES_KEPT:
                kept = os.path.join(harness.ROOT, "build/log", f"disk-{where.replace(' ', '-')}-{time.time():.0f}-{self.bad}.img")
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                keep()
                print("      " + (run("cp", "--sparse=always", image, kept) or kept), flush=True)

    def cuts(self, where, device, until, said, mode, seed, rng, states):
        """States that a power cut could have left while the device's log was written, until that place in it."""
        record, cutter = history.Record(said), Cutter(device, self.scratch, until)
        for k in cutter.sample(states, rng):
            words = cutter.cut(k, rng)
            needed = required(record, mode, seed, cutter.flushes[k])
            self.look(where, f"{words} (seed {seed})", self.scratch, mode, seed, needed, record, keep=cutter.make)
        cutter.close()

    def cut(self, system, mode, seed, states, transactions):
        where, rng = f"cut {system} {' '.join(mode)}", random.Random(seed)
        device, said = self.new(system)
        with device:
            with Mount(device.path, self.mount) as folder: in_child(history.work, folder, device, history.Record(said), mode, seed, transactions)
        self.cuts(where, device, device.position(), said, mode, seed, rng, states)
        shutil.rmtree(device.folder)

    def fail(self, system, mode, seed, states):
        where, rng = f"fail {system} {' '.join(mode)}", random.Random(seed)
        device, said = self.new(system)
        with device:
            with Mount(device.path, self.mount) as folder: in_child(history.work_on_failing, folder, device, history.Record(said), mode, seed)
            record, until = history.Record(said), device.position()
            needed = required(record, mode, seed, until)
            self.failed += sum(device.failed())
            self.refused += len(record.refused)
            if self.verbose: print(f"      {where}: seed {seed}, writes and flushes that failed: {device.failed()}", *record.errors, sep="\n        ", flush=True)
            for word, n, text in record.errors:
                harness.expect(word == "fault" or "/test.db" in text or text.endswith(SQLITES_WORDS), f"{where}: an error that names no file: {text} (seed {seed})")
            self.look(where, f"mounted again (seed {seed})", device.path, mode, seed, needed, record, True)
        self.cuts(where, device, until, said, mode, seed, rng, states)
        shutil.rmtree(device.folder)


def rounds(options):
    """All of it, in the namespaces: the exit status."""
    folder, rng, begun = options.folder, random.Random(options.seed), time.monotonic()
    print(f"      seed {options.seed}", flush=True)
    must("mount", "-t", "tmpfs", "-o", "size=2g", "none", folder)
    disk, skipped, systems = Disk(folder, options.verbose), {}, options.systems.split(",")
    turns = itertools.cycle([(system, mode) for system in systems for mode in MODES])
    for turn in range(sys.maxsize):
        over = time.monotonic() - begun >= options.seconds if options.seconds else turn >= len(systems) * len(MODES)
        if over or len(skipped) == len(systems): break
        system, mode = next(turns)
        if system not in skipped: one(disk, system, mode, rng, options, skipped)
    for system, why in skipped.items(): print(f"skip  {system}: {why}")
    if skipped and not disk.states and not disk.bad: return SKIPPED
    for where, states in sorted(disk.states.items()): print(f"      {where}: {states} states")
    if "fail" in options.kinds: print(f"      {disk.failed} writes and flushes failed, {disk.refused} transactions were refused; {disk.back} of these were in a state after a power cut, whole")
    if disk.older: print(f"      {disk.older} times SQLite's file lacked what SQLite had acknowledged after a failure, which the extension said")
    if disk.unmountable: print(f"      {disk.unmountable} times the file system did not survive blocks torn at 512 bytes")
    print(f"      {sum(disk.states.values())} states with {disk.found} transactions, {disk.bad} bad", flush=True)
    return 1 if disk.bad or not disk.states else 0


def one(disk, system, mode, rng, options, skipped):
    """A cut, and some failures where COMMIT promises that nothing is lost."""
    try:
        if "cut" in options.kinds: disk.cut(system, mode, rng.randrange(1 << 30), options.states, options.transactions)
        if "fail" in options.kinds and mode[1] == "FULL":
            for _ in range(options.faults): disk.fail(system, mode, rng.randrange(1 << 30), options.states // 10)
    except harness.Skip as why:
        skipped[system] = str(why)
    except AssertionError as error:
        disk.bad += 1
        print(f"BAD   {system} {' '.join(mode)}: {error}", flush=True)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=["cut", "fail"])
    parser.add_argument("--seconds", type=float, default=0, help="go on until they are over; if not said, once through all systems and modes")
    parser.add_argument("--states", type=int, default=120, help="of each history of transactions; a tenth of it after failures")
    parser.add_argument("--faults", type=int, default=6, help="histories with failing writes and flushes for each one that is cut, at FULL")
    parser.add_argument("--transactions", type=int, default=60)
    parser.add_argument("--systems", default=",".join(FILE_SYSTEMS))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LSM_TEST_SEED", random.SystemRandom().randrange(1 << 30))))
    parser.add_argument("--folder")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


def start(*words):
    """This program once more, as init of its own namespaces: what it leaves behind goes with it. Returns its exit status."""
    if os.geteuid() != 0: raise harness.Skip("only root can mount")
    for path in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(path): raise harness.Skip(f"{path} is not there")
    if error := run(*NAMESPACES, "true"): raise harness.Skip(f"namespaces of its own cannot be had here: {error}")
    if not os.path.exists(PROGRAM): raise harness.Skip("build/sql_tests/device is not there: make sql")
    folder = tempfile.mkdtemp(prefix="lsm-disk-")
    command = [*NAMESPACES, "/usr/bin/python3", __file__, "--folder", folder, *words]
    try:
        return subprocess.run(command, env=harness.host_env()).returncode
    finally:
        os.rmdir(folder)


def test_what_a_cut_block_device_leaves_on_ext4_holds_what_was_promised(folder):
    expect_right("cut", "--systems", "ext4", "--states", "4" if harness.SLOW else "8", "--transactions", "40")


def test_writes_and_flushes_of_the_device_that_fail_lose_nothing_on_ext4(folder):
    expect_right("fail", "--systems", "ext4", "--states", "20", "--faults", "1" if harness.SLOW else "3")


def expect_right(*words):
    status = start(*words)
    if status == SKIPPED: raise harness.Skip("no such device, loop device or file system here (above)")
    harness.expect(status == 0, f"it ended with {status}")


def main():
    options = arguments()
    if options.folder: return rounds(options)
    try: status = start(*sys.argv[1:])
    except harness.Skip as why:
        print(f"skip  {why}")
        status = SKIPPED
    print(f"{int(status == 0)} passed, {int(status not in (0, SKIPPED))} failed")
    return status if status != SKIPPED else 0


if __name__ == "__main__":
    sys.exit(main())
