"""What the SQL tests share: where the extension is, how to run the real shell on it, a place to work, and the counting.

LSM_SO            the library under test (default: ./lsm.so of this checkout)
LSM_HOST_PRELOAD  a sanitizer's runtime, preloaded into every host process
LSM_HOST_ENV      NAME=value for the host processes
LSM_SLOW          set under sanitizers: time limits are longer, sizes smaller
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXTENSION = os.path.abspath(os.environ.get("LSM_SO", os.path.join(ROOT, "lsm.so")))
SLOW = bool(os.environ.get("LSM_SLOW"))
TIMEOUT = 600 if SLOW else 120
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
    """Line numbers and error prefixes of the shell, which say nothing about the extension."""
    text = re.sub(r"^(Parse|Runtime) error near line \d+: ", "Error: ", text, flags=re.M)
    text = re.sub(r"^Error: near line \d+: ", "Error: ", text, flags=re.M)
    text = re.sub(r"^Error: stepping, ", "Error: ", text, flags=re.M)
    return text


def shell(sql, database="test.db", cwd=None, load=True, preload=True):
    """Run SQL through the sqlite3 shell, stderr among stdout."""
    done = subprocess.run(["sqlite3", "-batch", "-init", "/dev/null", database], input=((LOAD if load else "") + sql).encode(), cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, env=host_env() if preload else None)
    text = done.stdout.decode(errors="replace")
    text = "".join(line for line in text.splitlines(True) if not line.startswith("-- Loading resources from"))
    return Result(normalise(text), done.returncode)


def python(code, cwd, *arguments, check=True):
    """Run a program in Debian's python3 (another one may come first in PATH and lack loadable extensions)."""
    prelude = ("import sqlite3, sys, os\n"
               "def connect(name, **more):\n"
               "    db = sqlite3.connect(name, **more); db.enable_load_extension(True); db.load_extension(%r); return db\n" % EXTENSION[:-3])
    done = subprocess.run(["/usr/bin/python3", "-c", prelude + code, *map(str, arguments)], cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TIMEOUT, env=host_env())
    result = Result(done.stdout.decode(errors="replace"), done.returncode)
    if check and result.code != 0:
        raise AssertionError(f"python ended with {result.code}:\n{result.out}")
    return result


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
