"""What the documents show is what happens: the README's session, the SQL of sql.md and operations.md, the example of the manual page."""
import os
import re

from harness import EXTENSION, ROOT, VERSION, expect, expect_equal, expect_in, shell

# For statements that need something to be there.
PREPARED = """ATTACH 'aux.db' AS aux;
CREATE VIRTUAL TABLE other USING lsm(id INTEGER PRIMARY KEY, value);
INSERT INTO other VALUES (1, 2), (3, 4);
"""


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def session():
    """(what is typed, what is printed) of the README's shell session."""
    block = read("README.md").split("```console\n", 1)[1].split("```", 1)[0]
    typed, printed = [], []
    for line in block.splitlines():
        if line.startswith(("sqlite> ", "   ...> ")):
            typed.append(line[8:])
        elif not line.startswith("$ "):
            printed.append(line)
    return typed, printed


def test_the_session_in_the_readme(folder):
    typed, printed = session()
    expect(typed[0] == ".load ./lsm", "the session begins with .load ./lsm")
    os.symlink(EXTENSION, os.path.join(folder, "lsm.so"))
    result = shell("\n".join(typed) + "\n", "app.db", folder, load=False)
    expect_equal(without_codes(result.lines), without_codes(printed), "the README's session")


def without_codes(lines):
    """Newer shells do not print the code of an error."""
    return re.sub(r"^(Error: .*) \(\d+\)$", r"\1", "\n".join(lines), flags=re.M)


def blocks_of_sql():
    found = re.findall(r"^```sql\n(.*?)^```", read("docs", "sql.md"), re.M | re.S)
    expect(len(found) >= 4, found)
    return found


def declaration():
    return next(block for block in blocks_of_sql() if block.startswith("CREATE VIRTUAL TABLE"))


def run(folder, script):
    os.symlink(EXTENSION, os.path.join(folder, "lsm.so"))
    result = shell(script, "app.db", folder, load=False)
    expect(not re.search("^(Parse |Runtime )?[Ee]rror", result.out, re.M) and result.code == 0, result.out)
    return result


def test_the_sql_of_sql_md_succeeds(folder):
    script = ""
    for block in blocks_of_sql():
        script += block
        if block.startswith(".load"):
            script += PREPARED
        if block.startswith("CREATE"):
            script += block.replace("TABLE readings", "TABLE aux.readings")
    run(folder, script + "SELECT lsm_check(), lsm_check('aux');\n")


def test_the_plans_of_sql_md_are_those_shown(folder):
    shown = re.search(r"^```\n(SCAN.*?)^```", read("docs", "sql.md"), re.M | re.S)[1].splitlines()
    queries = ["SELECT * FROM readings WHERE device = 'a' AND ts > 5 ORDER BY device DESC, ts", "SELECT * FROM readings WHERE kind = 'a' AND ts > 5",
               "SELECT * FROM (SELECT 1 AS x UNION ALL SELECT 2) AS few CROSS JOIN other ON other.value = few.x",
               "SELECT DISTINCT kind FROM readings"]
    expect(len(shown) == len(queries), "each plan that is shown needs a query here")
    out = run(folder, ".load ./lsm\n" + PREPARED + declaration() + "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO other SELECT i, i FROM n;\n"
              "INSERT INTO readings(device, ts, kind, value) SELECT id, id, 'k' || value % 5, NULL FROM other;\n" +
              "".join(f"EXPLAIN QUERY PLAN {query};\n" for query in queries)).out
    for line in shown:
        # The number says how, the words what; SQLite's own words around them change.
        expect_in(line.split(":", 1)[1] if VERSION < "3.53" else line.split(":", 1)[1].split(" ")[0], out)


def test_statements_within_the_text_succeed(folder):
    found = set()
    for name in ("sql.md", "operations.md"):
        found |= set(re.findall(r"`((?:SELECT|PRAGMA) [^`]*\b(?:lsm_\w+|journal_mode|integrity_check)\b[^`]*)`", read("docs", name)))
    expect(len(found) >= 8, found)
    run(folder, ".load ./lsm\n" + PREPARED + declaration() + "".join(statement + ";\n" for statement in sorted(found)))


def test_the_example_of_the_manual_page(folder):
    page = read("docs", "man", "lsm.7")
    example = page.split(".SH EXAMPLES\n.EX\n", 1)[1].split(".EE", 1)[0]
    result = run(folder, ".load ./lsm\n" + example)
    expect_equal(result.lines, ["s1|1700000000|20.5"])
