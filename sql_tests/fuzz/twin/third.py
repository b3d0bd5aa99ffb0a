"""A third opinion where an ordinary and an LSM table differ: the same query over the same rows, in tables without keys, indexes and constraints.

SQLite goes wrong on its own now and then, where an index, a key or an automatic index comes in: then the LSM table is right, and this shows it. It says nothing of
statements that fail."""
import re
import sqlite3

INSTRUCTIONS = 300_000_000


def literal(value):
    """(text in VALUES, what is bound to it). Text that is no UTF-8 does not pass through Python."""
    return ("CAST(? AS TEXT)", value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else ("?", value)


def copy(db, side, table, keyless):
    name, body, columns = table
    names = ", ".join(columns)
    if keyless and "rowid" in columns:
        body += ", rowid INTEGER"
    db.execute(f"CREATE TABLE {side.prefix}{name}({body})")
    for row in side.db.execute(f"SELECT {names} FROM {side.prefix}{name}").fetchall():
        written = [literal(value) for value in row]
        db.execute(f"INSERT INTO {side.prefix}{name}({names}) VALUES ({', '.join(text for text, _ in written)})", [value for _, value in written])


def sorted_for_sure(sql):
    """The same statement with a plus before the terms of each DISTINCT, ORDER BY and GROUP BY: WHERE b = 10 makes SQLite take a text b for one value that needs no order, '10' and '1e1' though
    it may be; its groups, and the rows of DISTINCT, are as many then as there are changes between them."""
    def plus(found):
        return found[1] + re.sub(r"(^|, )(?=[^0-9+( ])", r"\1+", found[2])
    sql = re.sub(r"(SELECT DISTINCT )([^()]*?)(?= FROM )", plus, sql)
    return re.sub(r"( (?:ORDER|GROUP) BY )([^()]*?)(?= HAVING | ORDER BY | LIMIT |\)|$)", plus, sql)


def ask(side, step, pragmas):
    """A sqlite3 connection that gives the opinion, or None. side: the ordinary one. step["plain"]: what Table.plain says of each table."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.text_factory = side.db.text_factory
    for pragma in pragmas:
        db.execute(pragma)
    db.execute("PRAGMA automatic_index = OFF")
    # A column of that name in the rowid's place, where no star would show it.
    keyless = "*" not in step["sql"].replace("count(*)", "")
    try:
        for table in step["plain"]:
            copy(db, side, table, keyless)
    except sqlite3.Error:
        db.close()
        return None
    return db


def without_automatic_index(side, step):
    """The answer of the LSM side without the automatic index that SQLite makes of a subquery in FROM, or None. 3.40 has a filter before it that takes texts of different lengths for
    different, also under RTRIM; 3.46 has not."""
    if sqlite3.sqlite_version_info >= (3, 46) or not any("RTRIM" in body for _, body, _ in step["plain"]):
        return None
    plan = side.db.execute("EXPLAIN QUERY PLAN " + step["sql"].replace("$", side.prefix), step.get("params", ())).fetchall()
    if not any("AUTOMATIC" in row[3] for row in plan):
        return None
    side.db.execute("PRAGMA automatic_index = OFF")
    answer = side.run(step)
    side.db.execute("PRAGMA automatic_index = ON")
    return answer
