"""What the SQL tests share: where the extension is, how to run the real shell on it, a place to work, and the counting.

LSM_SQLITE        a folder with another SQLite: its shell `sqlite3` and libsqlite3.so.0, for all hosts (tools/sqlites)
LSM_SO            the library under test (default: ./lsm.so of this checkout)
LSM_HOST_PRELOAD  a sanitizer's runtime, preloaded into every host process
LSM_HOST_ENV      NAME=value for the host processes
LSM_SLOW          set under sanitizers: time limits are longer, sizes smaller
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXTENSION = os.path.abspath(os.environ.get("LSM_SO", os.path.join(ROOT, "lsm.so")))
SHELL = "sqlite3"
if os.environ.get("LSM_SQLITE"):
    # Every host works in a folder of its own: a relative path would not be found there, and the library silently replaced by the system's.
    SHELL = os.path.join(os.path.abspath(os.environ["LSM_SQLITE"]), "sqlite3")
    os.environ["LD_LIBRARY_PATH"] = os.path.dirname(SHELL)
# 3.40, say.
VERSION = ".".join(subprocess.run([SHELL, "--version"], stdout=subprocess.PIPE).stdout.decode().split(".")[:2]) if shutil.which(SHELL) else ""
SLOW = bool(os.environ.get("LSM_SLOW"))
TIMEOUT = 600 if SLOW else 120
URI_BUFFER = "file:test.db?lsm_write_buffer=65536"  # the smallest memtables
LOAD = ".load " + EXTENSION[:-3] + "\n"


def host_env():
    env = dict(os.environ)
    if env.get("LSM_HOST_PRELOAD"):
        env["LD_PRELOAD"] = env["LSM_HOST_PRELOAD"]
    if env.get("LSM_HOST_ENV"):
        name, value = env["LSM_HOST_ENV"].split("=", 1)
        env[name] = value
    return env


class Result:
    def __init__(self, out, code):
        self.out, self.code = out, code

    @property
    def lines(self):
        return self.out.splitlines()


def normalise(text):
    """Line numbers and error prefixes of the shell, and what newer versions add to plans: they say nothing about the extension."""
    text = re.sub(r"^[| ]*[|`]--BLOOM FILTER ON .*\n", "", text, flags=re.M)
    text = re.sub(r"^(Parse|Runtime) error near line \d+: ", "Error: ", text, flags=re.M)
    text = re.sub(r"^Error:? near line \d+: ", "Error: ", text, flags=re.M)
    text = re.sub(r"^Error: stepping, ", "Error: ", text, flags=re.M)
    return text


def shell(sql, database="test.db", cwd=None, load=True, preload=True):
    """Run SQL through the sqlite3 shell, stderr among stdout."""
    done = subprocess.run([SHELL, "-batch", "-init", "/dev/null", database], input=((LOAD if load else "") + sql).encode(), cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, env=host_env() if preload else None)
    text = done.stdout.decode(errors="replace")
    text = "".join(line for line in text.splitlines(True) if not line.startswith("-- Loading resources from"))
    return Result(normalise(text), done.returncode)


# How a program of Debian's python3 begins (another one may come first in PATH and lack loadable extensions): connect() has the extension.
PRELUDE = ("import sqlite3, sys, os\n"
           "def connect(name, **more):\n"
           "    db = sqlite3.connect(name, **more); db.enable_load_extension(True); db.load_extension(%r); return db\n" % EXTENSION[:-3])


def python(code, cwd, *arguments, check=True, command=(), timeout=TIMEOUT):
    """Run PRELUDE and a program. command: what it is started with, e.g. in a mount namespace of its own."""
    done = subprocess.run([*command, "/usr/bin/python3", "-c", PRELUDE + code, *map(str, arguments)], cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, env=host_env())
    result = Result(done.stdout.decode(errors="replace"), done.returncode)
    if check and result.code != 0:
        raise AssertionError(f"python ended with {result.code}:\n{result.out}")
    return result


TWINS = """
def run(db, sql, *parameters):
    try:
        return db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorname", "") + ": " + str(error)
db = connect("test.db", isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
def both(ordinary, lsm):
    db.execute("CREATE TABLE o" + ordinary)
    db.execute("CREATE VIRTUAL TABLE l USING lsm" + lsm)
def same(sql, *parameters):
    answers = [run(db, sql.replace("$", name), *parameters) for name in "ol"]
    if isinstance(answers[1], str): answers[1] = answers[1].replace("l.", "o.")
    assert answers[0] == answers[1], (sql, str(answers[0])[:300], str(answers[1])[:300])
    return answers[0]
"""


def twins(code, cwd):
    """The same for programs about an ordinary table and an LSM table of the same declaration: both() makes them as o and l, same() runs a statement with $ for the name on each."""
    return python(TWINS + code, cwd)


PEER = r"""
import json, os, sqlite3, sys, time
extension, name, timeout = sys.argv[1:4]
db, cursors = None, {}
def connect():
    made = sqlite3.connect(name, uri=True, isolation_level=None, timeout=float(timeout))
    made.enable_load_extension(True)
    made.load_extension(extension)
    return made
def run(what, text, parameters):
    global db
    if what == 'close':
        cursors.clear()
        if db is not None: db.close()
        db = None
        return []
    if what == 'fork':  # a child that runs the statement on the parent's connection
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try: answer = [list(row) for row in db.execute(text)]
            except sqlite3.Error as error: answer = str(error)
            os.write(writing, json.dumps(answer).encode())
            if parameters: db.close()
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file: answer = file.read()
        return [answer, os.waitpid(child, 0)[1]]
    if db is None: db = connect()
    if what == 'many':
        db.executemany(text, parameters)
        return []
    if what == 'start':
        cursors[text] = db.execute(text)
        return [list(cursors[text].fetchone()) for _ in range(parameters[0])]
    if what == 'rest': return [list(row) for row in cursors.pop(text)]
    return [list(row) for row in db.execute(text, parameters)]
for line in sys.stdin:
    begun = time.monotonic()
    try: answer = {'rows': run(*json.loads(line))}
    except sqlite3.Error as error: answer = {'error': str(error), 'code': getattr(error, 'sqlite_errorcode', 1)}
    except TypeError as error: answer = {'error': 'fewer rows: ' + str(error), 'code': 0}
    answer['seconds'] = time.monotonic() - begun
    print(json.dumps(answer), flush=True)
if db is not None: db.close()
"""


class PeerError(Exception):
    def __init__(self, answer):
        super().__init__(answer["error"])
        self.code, self.seconds = answer["code"], answer["seconds"]


class Peer:
    """A process with a connection of its own, in autocommit: a = Peer(folder); rows = a.run(sql). With `with` it ends by itself.

    send() and answer() do what run() does in two steps; start(sql, n) reads n rows of a SELECT and leaves it open, rest(sql) reads the others.
    command: what the process is started with, e.g. another user's rights."""

    def __init__(self, cwd, name="test.db", timeout=30, command=(), extension=None):
        self.process = subprocess.Popen([*command, "/usr/bin/python3", "-c", PEER, (extension or EXTENSION)[:-3], name, str(timeout)], cwd=cwd,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=host_env())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()

    def send(self, sql, *parameters, what="run"):
        self.process.stdin.write(json.dumps([what, sql, list(parameters)]).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the process ended with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer)
        return [tuple(row) if isinstance(row, list) else row for row in answer["rows"]]

    def run(self, sql, *parameters, what="run"):
        self.send(sql, *parameters, what=what)
        return self.answer()

    def many(self, sql, rows):
        return self.run(sql, *[list(row) for row in rows], what="many")

    def start(self, sql, rows):
        return self.run(sql, rows, what="start")

    def rest(self, sql):
        return self.run(sql, what="rest")

    def one(self, sql, *parameters):
        return self.run(sql, *parameters)[0][0]

    def refused(self, sql, *parameters):
        """The error that the statement ends with."""
        try:
            rows = self.run(sql, *parameters)
        except PeerError as error:
            return error
        raise AssertionError(f"{sql} was not refused: {rows[:3]}")

    def close(self):
        self.run("", what="close")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def end(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.close()
                self.process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the process does not end") from None
            finally:
                self.process.stdout.close()


def need_sharing(folder):
    """Skips the test where the file system does not let two processes have a store open."""
    with Peer(folder, "probe.db") as a:
        a.run("CREATE VIRTUAL TABLE t USING lsm(k)")
        mode, why = (a.run("SELECT value FROM lsm_stats WHERE name = ?", name)[0][0] for name in ("mode", "mode_reason"))
    if mode != "shared":
        raise Skip(f"one process at a time has a store here: {why}")


def store_files(cwd, database="test.db", suffix=""):
    """Paths of the files of every store beside the database."""
    found = []
    for at, _, names in os.walk(os.path.join(cwd, database + "-lsm")):
        found += [os.path.join(at, name) for name in names if name.endswith(suffix)]
    return sorted(found)


class Skip(Exception):
    """Raised by a test that cannot run here; says why."""


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def expect_equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}\n  got:    {got!r}\n  wanted: {wanted!r}")


def expect_in(part, text):
    if part not in text:
        raise AssertionError(f"{part!r} is not in:\n{text}")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, test):
        """Run test(folder) in a new empty folder."""
        folder = tempfile.mkdtemp(prefix="lsm-sql-")
        try:
            test(folder)
            self.passed += 1
            print(f"ok    {name}", flush=True)
        except Skip as why:
            self.skipped += 1
            print(f"skip  {name}: {why}", flush=True)
        except Exception as error:  # a test may fail in any way: each counts once and the others go on
            self.failed += 1
            print(f"FAIL  {name}", flush=True)
            text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            print("      " + text[:6000].replace("\n", "\n      "), flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def finish(self):
        if self.skipped:
            print(f"({self.skipped} skipped)")
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
