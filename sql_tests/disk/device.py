"""A block device of the test's own: device.c's FILE under a loop device under a real file system; its log, and the images that a power cut could leave by it.

All of it is done as root in namespaces of its own (disk.py starts itself in them), so that mounts, loop devices and processes end with the test, however it ends.
"""
import os
import shutil
import struct
import subprocess

import harness

PROGRAM = os.path.join(harness.ROOT, "build/sql_tests/device")
RECORD = struct.Struct("=IIQ")
WRITE, FLUSH, FAILED_WRITE, FAILED_FLUSH = range(4)
MIB = 1 << 20
# File system: size of the device, how it is made (small journals, which go round), and the least piece in which it lets its own metadata be torn.
FILE_SYSTEMS = {
    "ext4": (32 * MIB, ["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0"], 512),
    "xfs": (64 * MIB, ["mkfs.xfs", "-q", "-f", "--unsupported"], 4096),
    "btrfs": (48 * MIB, ["mkfs.btrfs", "-q", "-f", "-M"], 4096),
}


def run(*command):
    """A program of the system's: it gets no sanitizer. Its words, if it fails."""
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    try: done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    except FileNotFoundError: return f"{command[0]} is not there"
    return "" if done.returncode == 0 else f"{' '.join(command)}: {done.stdout.decode(errors='replace').strip() or done.returncode}"


def must(*command):
    error = run(*command)
    harness.expect(not error, error)


class Unmountable(AssertionError):
    """The file system did not survive it."""


class Mount:
    """with Mount(file or image, folder): the file system in it, through a loop device that goes with the mount."""

    def __init__(self, image, folder):
        self.image, self.folder = image, folder
        os.makedirs(folder, exist_ok=True)

    def __enter__(self):
        error = run("mount", "-o", "loop,noatime", self.image, self.folder)
        if error: raise Unmountable(error)
        return self.folder

    def __exit__(self, *unused):
        error = run("umount", self.folder)
        if error:  # the failure that led here is to be seen, not this one
            run("umount", "-l", self.folder)
            print("      " + error, flush=True)


class Device:
    """with Device(folder, name of a file system): made anew and served. .path is what to mount, .log what happened so far."""

    def __init__(self, folder, kind):
        self.kind, self.folder = kind, folder
        self.path, self.image, self.first, self.log, self.mount = (os.path.join(folder, name) for name in ("device", "image", "first", "log", "mount"))
        size, make, _ = FILE_SYSTEMS[kind]
        os.makedirs(folder)
        with open(self.first, "wb") as file: file.truncate(size)
        with open(self.path, "wb"): pass
        if shutil.which(make[0]) is None: raise harness.Skip(f"{make[0]} is not there")
        must(*make, self.first)
        must("cp", "--sparse=always", self.first, self.image)

    def __enter__(self):
        self.process = subprocess.Popen([PROGRAM, self.path, self.image, self.log], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.process.stdout.readline() != b"ok\n":
            raise harness.Skip("no such device here: " + self.process.stderr.read().decode(errors="replace").strip())
        os.makedirs(self.mount)
        error = run("mount", "-o", "loop", self.path, self.mount)  # can it be mounted at all?
        if error:
            self.__exit__()
            raise harness.Skip("no loop device or file system here: " + error)
        must("umount", self.mount)
        return self

    def __exit__(self, *unused):
        run("umount", self.path)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def command(self, text):
        """As device.c says; done when this returns. Works in a forked child, too, as long as nobody else asks."""
        os.write(self.process.stdin.fileno(), text.encode() + b"\n")
        harness.expect_equal(os.read(self.process.stdout.fileno(), 64), b"ok\n", "the device")

    def position(self):
        """What has happened to the device until now stands before this place in the log."""
        return os.stat(self.log).st_size

    def failed(self):
        """How many writes and flushes have failed."""
        kinds = [kind for kind, _, _, _ in records(self.log)]
        return kinds.count(FAILED_WRITE), kinds.count(FAILED_FLUSH)


def records(log):
    """(kind, offset, where its bytes stand in the log, how many) of each record, in order."""
    found, at = [], 0
    with open(log, "rb") as file:
        while head := file.read(RECORD.size):
            kind, count, offset = RECORD.unpack(head)
            at += RECORD.size
            found.append((kind, offset, at, count))
            at += count
            file.seek(at)
    return found


class Cutter:
    """Images that a power cut could leave: everything up to a flush, and of what was written between it and the next one any part.

    until: the place in the log where it ends. flushes: the place behind each flush, as Device.position() counts; cut(k, ...) must be asked with growing k."""

    def __init__(self, device, scratch, until):
        self.scratch, self.base = scratch, os.path.join(device.folder, "base")
        self.least = FILE_SYSTEMS[device.kind][2]
        must("cp", "--sparse=always", device.first, self.base)
        self.log = open(device.log, "rb")
        self.epochs, self.flushes, self.applied = [[]], [], 0
        for kind, offset, at, count in records(device.log):
            if at > until: break
            if kind == WRITE: self.epochs[-1].append((offset, at, count))
            if kind == FLUSH:
                self.flushes.append(at)
                self.epochs.append([])

    def close(self):
        self.log.close()

    def sample(self, count, rng):
        """Numbers of flushes, in order: half of them at random, half before the epochs with the most writes."""
        every = list(range(len(self.flushes)))
        most = sorted(every, key=lambda k: -len(self.epochs[k + 1]))[:count - count // 2]
        return sorted(most + rng.sample(sorted(set(every) - set(most)), min(count // 2, len(every) - len(most))))

    def write(self, file, pieces):
        for offset, at, count in pieces:
            self.log.seek(at)
            file.seek(offset)
            file.write(self.log.read(count))

    def cut(self, k, rng):
        """Make the scratch image: the state of flush k, and a random part of what follows it. Returns what part, in words."""
        with open(self.base, "r+b") as file:
            while self.applied <= k:
                self.write(file, self.epochs[self.applied])
                self.applied += 1
        words, self.pieces = self.part(self.epochs[k + 1], rng)
        self.make()
        return f"flush {k}, of the {len(self.epochs[k + 1])} writes after it {words}"

    def make(self):
        """The scratch image as cut() made it, whatever has become of it."""
        must("cp", "--sparse=always", self.base, self.scratch)
        with open(self.scratch, "r+b") as file: self.write(file, self.pieces)

    def part(self, writes, rng):
        how = rng.randrange(6)
        if how == 0: return "none", []
        if how == 1: return "all", writes
        if how == 2:
            first = rng.randrange(len(writes) + 1)
            return f"the first {first}", writes[:first]
        if how == 3: return "any", [write for write in writes if rng.random() < 0.5]
        if how == 4:  # all but one
            lost = rng.randrange(len(writes)) if writes else 0
            return f"all but number {lost}", writes[:lost] + writes[lost + 1:]
        bytes_whole = rng.choice([self.least, 4096])
        kept, pieces = rng.choice((0.2, 0.5, 0.8)), []
        for offset, at, count in writes:
            pieces += [(offset + i, at + i, min(bytes_whole, count - i)) for i in range(0, count, bytes_whole) if rng.random() < kept]
        return f"{kept} of all pieces of {bytes_whole} bytes", pieces
