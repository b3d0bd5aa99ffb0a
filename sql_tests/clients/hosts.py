"""Every client that can load extensions, through one scenario (programs/): create, bound inserts of all types, rollback, commit, savepoint, errors, close and reopen,
a second connection, a thread, a fork, and an end without closing. What they print must be programs/expected.txt, without what their language lacks.

Here run those that are on the machine and start quickly; tools/clients installs the others and runs all.
"""
import glob
import os
import re
import shutil
import subprocess

from harness import EXTENSION, LOAD, ROOT, SHELL, SLOW, Skip, expect, expect_equal, host_env, normalise, python

PROGRAMS = os.path.join(ROOT, "sql_tests", "clients", "programs")
BUILT = os.path.join(ROOT, "build", "clients")  # by `make build/clients/static`, and the programs of npm
PYTHON = "/usr/bin/python3"
BARE = EXTENSION[:-3]


class Client:
    """One host: its program and what runs it. lacks: what the language cannot do. quick: part of `make check`."""

    def __init__(self, name, program, command, packages=(), npm=(), lacks=(), quick=False, build=None, probe=None):
        self.name, self.program, self.command, self.packages, self.npm = name, program, command, packages, npm
        self.lacks, self.quick, self.build, self.probe = lacks, quick, build, probe

    @property
    def path(self):
        return os.path.join(PROGRAMS, self.program)

    def absent(self):
        """Why it cannot run here, or None."""
        first = self.build[0] if self.build else self.command(self)[0]
        if not (os.path.exists(first) or shutil.which(first)):
            return f"{os.path.basename(first)} is not installed"
        if self.probe is not None and subprocess.run(self.probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            return "its SQLite package is not installed"
        return None


def jar():
    return (glob.glob("/usr/share/java/sqlite-jdbc.jar") or [""])[0]


def jni():
    return ":".join(glob.glob("/usr/lib/*/jni") + ["/usr/lib/jni"])


CARGO = """[package]
name = "client"
version = "0.0.0"
edition = "2021"
[dependencies]
rusqlite = { version = "*", features = ["load_extension"] }
[[bin]]
name = "client"
path = "%s"
""" % os.path.join(PROGRAMS, "client.rs")
CARGO_CONFIG = '[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "/usr/share/cargo/registry"\n'


def build_rust(client, folder):
    os.makedirs(os.path.join(folder, ".cargo"))
    for name, text in (("Cargo.toml", CARGO), (".cargo/config.toml", CARGO_CONFIG)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return [*client.build, "build", "--offline", "--quiet"]


def build_ocaml(client, folder):
    shutil.copy(client.path, folder)
    return [*client.build, "ocamlopt", "-thread", "-package", "sqlite3,threads.posix,unix,str", "-linkpkg", client.program, "-o", "client"]


MADE = {"Client.java": lambda client, folder: [*client.build, "-encoding", "UTF-8", "-cp", jar(), "-d", folder, client.path],
        "client.go": lambda client, folder: [*client.build, "build", "-tags", "libsqlite3", "-o", "client", client.path],
        "client.rs": build_rust, "client.ml": build_ocaml}
BUILD_ENV = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "GOCACHE": os.path.join(BUILT, "go-cache")}

CLIENTS = [
    Client("python3", "python.py", lambda c: [PYTHON, c.path, BARE], ["python3"], quick=True),
    Client("python3-apsw", "python_apsw.py", lambda c: [PYTHON, c.path, BARE], ["python3-apsw"], quick=True, probe=[PYTHON, "-c", "import apsw"]),
    Client("perl", "perl.pl", lambda c: ["perl", c.path, BARE], ["perl", "libdbd-sqlite3-perl"], quick=True, probe=["perl", "-MDBD::SQLite", "-e1"]),
    Client("ruby", "ruby.rb", lambda c: ["ruby", c.path, BARE], ["ruby", "ruby-sqlite3"], quick=True, probe=["ruby", "-e", "require 'sqlite3'"]),
    Client("tcl", "tcl.tcl", lambda c: ["tclsh", c.path, BARE], ["tcl", "libsqlite3-tcl", "tcl-thread"], lacks=["fork"],
           probe=["sh", "-c", "echo 'package require sqlite3; package require Thread' | tclsh 2>&1 | (! grep -q find)"], quick=True),
    Client("php", "php.php", lambda c: ["php", "-d", "sqlite3.extension_dir=" + os.path.dirname(EXTENSION), c.path, BARE], ["php-cli", "php-sqlite3"],
           lacks=["thread"], quick=True, probe=["php", "-r", "exit(class_exists('SQLite3') ? 0 : 1);"]),
    Client("static-c", "static.c", lambda c: [os.path.join(BUILT, "static")], quick=True),
    Client("better-sqlite3", "better_sqlite3.mjs", lambda c: ["node", c.path, BARE], ["nodejs", "npm"], npm=["better-sqlite3"], lacks=["fork"]),
    Client("node-sqlite", "node_sqlite.mjs", lambda c: [os.path.join(BUILT, "node_modules", "node", "bin", "node"), c.path, BARE], ["nodejs", "npm"], npm=["node@24"], lacks=["fork"]),
    Client("deno", "node_sqlite.mjs", lambda c: [os.path.join(BUILT, "node_modules", ".bin", "deno"), "run", "-A", c.path, BARE], ["nodejs", "npm"], npm=["deno"], lacks=["fork"]),
    Client("bun", "bun.mjs", lambda c: [os.path.join(BUILT, "node_modules", ".bin", "bun"), c.path, BARE], ["nodejs", "npm"], npm=["bun"], lacks=["fork"]),
    Client("java", "Client.java", lambda c: ["java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Djava.library.path=" + jni(), "-cp", jar() + ":.", "Client", BARE],
           ["default-jdk-headless", "libxerial-sqlite-jdbc-java"], lacks=["fork"], build=["javac"], probe=["test", "-e", "/usr/share/java/sqlite-jdbc.jar"]),
    Client("go", "client.go", lambda c: ["./client", BARE], ["golang-go", "golang-github-mattn-go-sqlite3-dev", "libsqlite3-dev"], lacks=["fork"], build=["go"],
           probe=["test", "-d", "/usr/share/gocode/src/github.com/mattn/go-sqlite3"]),
    Client("rust", "client.rs", lambda c: ["target/debug/client", BARE], ["cargo", "librust-rusqlite-dev", "libsqlite3-dev"], build=["/usr/bin/cargo"],
           probe=["sh", "-c", "ls -d /usr/share/cargo/registry/rusqlite-*"]),
    Client("r", "client.R", lambda c: ["Rscript", "--encoding=UTF-8", c.path, BARE], ["r-base-core", "r-cran-rsqlite"], lacks=["thread"],
           probe=["Rscript", "-e", "library(RSQLite); library(bit64)"]),
    Client("ocaml", "client.ml", lambda c: ["./client", BARE], ["ocaml-nox", "ocaml-findlib", "libsqlite3-ocaml-dev"], build=["ocamlfind"],
           probe=["ocamlfind", "query", "sqlite3"]),
]

# What is known to refuse extensions, and what it says.
REFUSE = [
    Client("php-pdo", "pdo.php", lambda c: ["php", c.path, BARE], ["php-cli", "php-sqlite3"], probe=["php", "-r", "exit(class_exists('PDO') ? 0 : 1);"]),
    Client("lua", "lua.lua", lambda c: ["lua5.4", c.path, BARE], ["lua5.4", "lua-sql-sqlite3"], probe=["lua5.4", "-e", "require('luasql.sqlite3')"]),
]


def expected(lacks):
    with open(os.path.join(PROGRAMS, "expected.txt"), encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line.split()[0] not in lacks]


def start(command, folder, **more):
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=600,
                          env={**host_env(), "LC_ALL": "C.UTF-8", **more})


def play(client, folder):
    """Build and run one client in this folder. Returns the version of its SQLite."""
    if client.npm == ["better-sqlite3"]:
        os.symlink(install_better_sqlite3(), os.path.join(folder, "node_modules"))
    if client.build:
        made = start(MADE[client.program](client, folder), folder, **BUILD_ENV)
        expect_equal(made.returncode, 0, made.stdout.decode(errors="replace"))
    done = start(client.command(client), folder)
    lines = done.stdout.decode(errors="replace").splitlines()
    expect_equal(done.returncode, 0, "\n".join(lines))
    expect_equal(lines[1:], expected(client.lacks))
    after(folder)
    return lines[0].split()[-1]


def after(folder):
    """What a program that ended with its connection open leaves is whole."""
    result = python("db = connect('test.db'); print(db.execute(\"SELECT lsm_check(), count(*), sum(k = 'left open') FROM t\").fetchall())", folder)
    expect_equal(result.lines, ["[('ok', 11, 1)]"])


def install_better_sqlite3():
    """Once per checkout: npm builds it from source, which takes two minutes."""
    folder = os.path.join(ROOT, "build", "node")
    modules = os.path.join(folder, "node_modules")
    if os.path.isdir(os.path.join(modules, "better-sqlite3", "build")):
        return modules
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    package = "better-sqlite3@12" if int(version.lstrip("v").split(".")[0]) < 22 else "better-sqlite3"
    shutil.rmtree(folder, ignore_errors=True)
    said = npm_install(folder, [package])
    if not os.path.isdir(os.path.join(modules, "better-sqlite3", "build")):
        raise Skip("npm install failed: " + said)
    return modules


def npm_install(folder, packages):
    """Packages of npm, whose own scripts may fetch or build. Returns the last line that npm said."""
    os.makedirs(folder, exist_ok=True)
    allowed = ", ".join(f'"{name.split("@")[0]}": true' for name in packages)
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
        file.write('{"private": true, "allowScripts": {%s}}' % allowed)
    try:
        made = subprocess.run(["npm", "install", "--no-audit", "--no-fund", *packages], cwd=folder, capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        return "npm took too long"
    return (made.stderr.strip().splitlines() or made.stdout.strip().splitlines() or ["?"])[-1][:200]


def client_test(client):
    def test(folder):
        if SLOW and client.name != "python3":
            raise Skip("not under a sanitizer")
        reason = client.absent()
        if reason is not None:
            raise Skip(reason)
        play(client, folder)
    return test


for each in CLIENTS:
    if each.quick or each.name == "better-sqlite3":
        globals()["test_" + each.name.replace("-", "_")] = client_test(each)


def test_shell(folder):
    with open(os.path.join(PROGRAMS, "shell.sql"), encoding="utf-8") as file:
        script = file.read().replace("@EXTENSION", BARE)
    done = subprocess.run([SHELL, "-batch", "-init", "/dev/null", "test.db"], input=script.encode(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, env=host_env())
    lines = [re.sub(r"^Error: (.*?)( \(\d+\))?$", r"error \1", line) for line in normalise(done.stdout.decode()).splitlines()]
    lines = [line for line in lines if not line.startswith(("sqlite ", "10000", "wal", "-- Loading"))]
    expect_equal(lines, expected(["thread", "fork"]))
    after(folder)
