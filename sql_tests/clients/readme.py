"""What the README shows is what happens."""
import os

from harness import EXTENSION, ROOT, expect, expect_equal, shell


def session():
    """(what is typed, what is printed) of the README's shell session."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        block = file.read().split("```console\n", 1)[1].split("```", 1)[0]
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
    expect_equal("\n".join(result.lines), "\n".join(printed), "the README's session")
