"""A database copied, moved, deleted and created again, or without its store: told apart, with a message that says what to do."""
import os
import shutil

from harness import expect, expect_equal, expect_in, shell, store_files

FILL = "CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1), ('b', 2);"
READ = "SELECT * FROM t;"


def test_a_database_without_its_store_says_so(folder):
    shell(FILL, cwd=folder)
    shutil.rmtree(os.path.join(folder, "test.db-lsm"))
    result = shell(READ, cwd=folder)
    expect_in("Error", result.out)
    expect_in("test.db-lsm", result.out)
    written = shell("INSERT INTO t VALUES ('c', 3);", cwd=folder)
    expect_in("Error", written.out)
    expect(not os.path.exists(os.path.join(folder, "test.db-lsm")) or not store_files(folder), "a new empty store appeared in place of the lost one")


def test_a_copied_database_does_not_touch_the_original_store(folder):
    shell(FILL, cwd=folder)
    shutil.copy(os.path.join(folder, "test.db"), os.path.join(folder, "copy.db"))
    result = shell(READ, "copy.db", cwd=folder)
    expect_in("Error", result.out)
    expect_in("copy.db-lsm", result.out)
    expect_equal(shell(READ, cwd=folder).lines, ["a|1", "b|2"])


def test_database_and_store_copied_together_work_apart(folder):
    shell(FILL, cwd=folder)
    shutil.copy(os.path.join(folder, "test.db"), os.path.join(folder, "copy.db"))
    shutil.copytree(os.path.join(folder, "test.db-lsm"), os.path.join(folder, "copy.db-lsm"))
    expect_equal(shell("INSERT INTO t VALUES ('c', 3); " + READ, "copy.db", cwd=folder).lines, ["a|1", "b|2", "c|3"])
    expect_equal(shell(READ, cwd=folder).lines, ["a|1", "b|2"])


def test_database_and_store_moved_together_work(folder):
    shell(FILL, cwd=folder)
    os.mkdir(os.path.join(folder, "elsewhere"))
    os.rename(os.path.join(folder, "test.db"), os.path.join(folder, "elsewhere", "moved.db"))
    os.rename(os.path.join(folder, "test.db-lsm"), os.path.join(folder, "elsewhere", "moved.db-lsm"))
    expect_equal(shell(READ, "elsewhere/moved.db", cwd=folder).lines, ["a|1", "b|2"])


def test_a_deleted_and_recreated_database_starts_a_new_store(folder):
    shell(FILL, cwd=folder)
    os.remove(os.path.join(folder, "test.db"))
    result = shell("CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v); SELECT count(*) FROM t; INSERT INTO t VALUES ('new', 1); SELECT * FROM t;", cwd=folder)
    expect_equal(result.lines, ["0", "new|1"])
    expect_equal(shell(READ, cwd=folder).lines, ["new|1"])


def test_the_store_of_another_database_is_refused(folder):
    shell(FILL, cwd=folder)
    shell(FILL, "other.db", cwd=folder)
    shutil.rmtree(os.path.join(folder, "test.db-lsm"))
    shutil.copytree(os.path.join(folder, "other.db-lsm"), os.path.join(folder, "test.db-lsm"))
    expect_in("Error", shell(READ, cwd=folder).out)
    # Even under the right name the store knows whose it is.
    shutil.rmtree(os.path.join(folder, "test.db-lsm"))
    shell("DROP TABLE IF EXISTS x;", cwd=folder)
    ids = os.listdir(os.path.join(folder, "other.db-lsm"))
    wanted = shell(READ, cwd=folder).out
    expect_in("test.db-lsm", wanted)
    missing = [part for part in wanted.replace("/", " ").replace(":", " ").replace("'", " ").replace(",", " ").split() if len(part) == len(ids[0]) and part != ids[0]]
    if missing:
        os.makedirs(os.path.join(folder, "test.db-lsm"), exist_ok=True)
        shutil.copytree(os.path.join(folder, "other.db-lsm", ids[0]), os.path.join(folder, "test.db-lsm", missing[0]), dirs_exist_ok=True)
        result = shell(READ, cwd=folder)
        expect_in("Error", result.out)
        expect("a|1" not in result.lines, "rows of another database's store:\n" + result.out)


def test_an_older_copy_of_the_database_is_not_mixed_up(folder):
    """The table was dropped and created again after the copy was made: the copy names a tree that is not the present one."""
    shell(FILL, cwd=folder)
    shutil.copy(os.path.join(folder, "test.db"), os.path.join(folder, "old.db"))
    shell("DROP TABLE t; CREATE VIRTUAL TABLE t USING lsm(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('z', 26);", cwd=folder)
    shutil.copy(os.path.join(folder, "old.db"), os.path.join(folder, "test.db"))
    result = shell(READ, cwd=folder)
    expect("z|26" not in result.lines, "rows of another table:\n" + result.out)
    expect("a|1" in result.lines or "Error" in result.out, result.out)


def test_a_restored_shadow_table_with_nonsense_is_an_error(folder):
    shell(FILL, cwd=folder)
    names = shell("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 't\\_%' ESCAPE '\\';", cwd=folder, load=False).lines
    expect(names, "no shadow table found")
    for nonsense in ("NULL", "x''", "'nonsense'", "-1", "99999999999", "zeroblob(100000)"):
        shutil.rmtree(os.path.join(folder, "work"), ignore_errors=True)
        os.mkdir(os.path.join(folder, "work"))
        shutil.copy(os.path.join(folder, "test.db"), os.path.join(folder, "work", "test.db"))
        shutil.copytree(os.path.join(folder, "test.db-lsm"), os.path.join(folder, "work", "test.db-lsm"))
        work = os.path.join(folder, "work")
        columns = shell(f"SELECT name FROM pragma_table_info('{names[0]}');", cwd=work, load=False).lines
        for column in columns:
            shell(f"UPDATE OR IGNORE \"{names[0]}\" SET \"{column}\" = {nonsense};", cwd=work, load=False)
        result = shell(READ, cwd=work)
        expect(result.code in (0, 1), f"the shell ended with {result.code} at {nonsense}:\n{result.out}")
        expect("Error" in result.out or result.lines == ["a|1", "b|2"], f"at {nonsense}:\n{result.out}")
