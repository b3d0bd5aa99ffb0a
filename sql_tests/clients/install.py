"""make install into a folder of its own: what is there, loading by bare name, the manual pages, and make uninstall."""
import os
import shutil
import subprocess

from harness import ROOT, SHELL, SLOW, Skip, expect, expect_equal, expect_in, host_env


def make(folder, target):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-s", target, "DESTDIR=" + folder, "PREFIX=/opt/lsm"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect_equal(done.returncode, 0, done.stdout)


def files(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def test_installed_loaded_by_name_and_removed(folder):
    if SLOW or not shutil.which("make") or os.environ.get("LSM_SO"):
        raise Skip("needs make and the release build")
    make(folder, "install")
    there = files(folder)
    for name in ("lib/sqlite3/lsm.so", "lib/liblsm.so", "bin/lsmtool", "share/man/man7/lsm.7", "share/man/man1/lsmtool.1", "share/doc/sqlite-lsm/sql.md"):
        expect("opt/lsm/" + name in there, there)
    root = os.path.join(folder, "opt", "lsm")
    env = {**host_env(), "LD_LIBRARY_PATH": os.path.join(root, "lib") + ":" + os.environ.get("LD_LIBRARY_PATH", "")}
    script = ".load liblsm\nCREATE VIRTUAL TABLE t USING lsm(a);\nINSERT INTO t VALUES (1);\nSELECT a, lsm_check() FROM t;\n"
    loaded = subprocess.run([SHELL, "-batch", "-init", "/dev/null", "test.db"], input=script, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect_in("1|ok", loaded.stdout)
    tool = os.path.join(root, "bin", "lsmtool")
    expect_in("ok", subprocess.run([tool, "verify", "test.db"], cwd=folder, stdout=subprocess.PIPE, text=True).stdout)
    make(folder, "uninstall")
    expect_equal([name for name in files(folder) if name.startswith("opt/")], [])


def test_the_manual_pages_are_well_formed_and_say_what_help_says(folder):
    if not shutil.which("groff"):
        raise Skip("needs groff")
    for name in ("lsm.7", "lsmtool.1"):
        made = subprocess.run(["groff", "-ww", "-man", "-Tascii", "-P-cbou", os.path.join(ROOT, "docs", "man", name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        expect_equal((made.returncode, made.stderr), (0, ""), name)
        for word in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"):
            expect_in(word, made.stdout)
    tool = subprocess.run([os.path.join(ROOT, "lsmtool"), "--help"], stdout=subprocess.PIPE, text=True).stdout
    expect_equal(subprocess.run([os.path.join(ROOT, "lsmtool"), "verify", "--help"], stdout=subprocess.PIPE, text=True).stdout, tool)
    for command in ("show", "verify", "dump", "salvage", "--help", "--version"):
        expect_in(command, tool)
        expect_in(command, made.stdout)
    expect(max(map(len, tool.splitlines())) <= 84, "lsmtool --help is wider than a terminal")
    # The release stands in the pages, too.
    version = subprocess.run([os.path.join(ROOT, "lsmtool"), "--version"], stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    for name in ("lsm.7", "lsmtool.1"):
        with open(os.path.join(ROOT, "docs", "man", name), encoding="utf-8") as file:
            expect_in(f'"sqlite-lsm {version}"', file.read())
