"""Random SQL on an ordinary table and on an LSM table of the same declaration, in one connection: every result, order, error, changes() and
last_insert_rowid() must be equal. The seed is printed with a failure; LSM_SEED repeats it, LSM_ROUNDS runs more."""
import os
import random
import sqlite3
import sys

VALUES = ["NULL", "0", "1", "-1", "2", "3", "7", "42", "-42", "1.0", "2.5", "-0.5", "1e18", "9007199254740993", "9007199254740992.0", "9223372036854775807", "''", "'a'", "'A'", "'b'", "'ab'",
          "'a '", "'10'", "'2.50'", "'zż'", "x''", "x'00'", "x'6162'", "x'ff'", "9e999"]
STRICT_TYPES = ["INT", "INTEGER", "TEXT", "REAL", "BLOB", "ANY"]
CHECKS = ["$c <> 'ab'", "typeof($c) <> 'blob'", "$c < 'b' OR $c IS NULL", "$c <> 42", "abs($c) < 1e6", "$c NOT IN (1, 'A')", "$c > $d OR $d IS NULL"]
TYPES = ["", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB"]


class Twins:
    def __init__(self, db, rng):
        self.db, self.rng, self.log = db, rng, []
        self.declare()

    def value(self):
        chosen = self.rng.choice(VALUES) if self.rng.random() < 0.8 else str(self.rng.randrange(-60, 60))
        # Above the greatest rowid SQLite takes random ones.
        return "8" if self.rowid and chosen == "9223372036854775807" else chosen

    def declare(self):
        rng = self.rng
        self.columns = [f"c{i}" for i in range(rng.randrange(2, 6))]
        parts = []
        kind = rng.choice(("rowid", "ipk", "clustered", "clustered", "clustered"))
        key = rng.sample(self.columns, rng.randrange(1, min(4, len(self.columns) + 1)))
        self.strict = strict = rng.random() < 0.2
        types = STRICT_TYPES if strict else TYPES
        for column in self.columns:
            # A single INTEGER key is an alias of the rowid, whatever the twin's WITHOUT ROWID says.
            declared_type = rng.choice([each for each in types if each != "INTEGER"] if kind == "clustered" and key == [column] else types)
            if kind == "ipk" and column == key[0]:
                parts.append(f"{column} INTEGER PRIMARY KEY" + rng.choice(("", " AUTOINCREMENT")))
                continue
            text = f"{column} {declared_type}"
            if rng.random() < 0.2:
                text += " NOT NULL"
            if rng.random() < 0.25:
                text += " COLLATE " + rng.choice(("NOCASE", "RTRIM", "BINARY"))
            if rng.random() < 0.1:
                check = rng.choice(CHECKS).replace("$c", column).replace("$d", rng.choice(self.columns))
                text += f" CHECK ({check})"
            parts.append(text)
        if kind == "clustered":
            parts.append("PRIMARY KEY (" + ", ".join(column + rng.choice(("", " COLLATE NOCASE", "")) + rng.choice(("", "", " DESC")) for column in key) + ")")
        self.rowid = kind != "clustered"
        self.key = key if kind == "clustered" else (["rowid"] if kind == "rowid" else [key[0]])
        body = ", ".join(parts)
        self.db.execute("DROP TABLE IF EXISTS plain_t")
        self.db.execute("DROP TABLE IF EXISTS lsm_t")
        options = ["WITHOUT ROWID"] * (not self.rowid) + ["STRICT"] * strict
        self.db.execute(f"CREATE TABLE plain_t({body}) " + ", ".join(options))
        self.db.execute(f"CREATE VIRTUAL TABLE lsm_t USING lsm({body}{', STRICT' * strict})")
        self.log = [body + ", STRICT" * strict]

    def run(self, sql, table):
        try:
            cursor = self.db.execute(sql.replace("$t", table))
            rows = cursor.fetchall()
            # Which of several equal values min() and max() show (1 and 1.0, 'a' and 'A') depends on the direction of the walk.
            if sql.startswith(("SELECT min", "SELECT max")):
                return "rows", [tuple(v.lower().rstrip(" ") if isinstance(v, str) else v for v in row) for row in rows]
            return "rows", [tuple((type(v).__name__, v) for v in row) for row in rows]
        except sqlite3.Error as error:
            # Under OR IGNORE, FAIL and ROLLBACK the code of a wrong type is another one; see docs/sql.md.
            code = 0 if str(error).startswith("cannot store") else getattr(error, "sqlite_errorcode", 0)
            return "error", code, str(error).replace(table, "$t")

    def both(self, sql, ordered=True):
        self.log.append(sql)
        results, after = [], []
        for table in ("plain_t", "lsm_t"):
            result = self.run(sql, table)
            if result[0] == "rows" and not ordered:
                result = ("rows", sorted(result[1], key=repr))
            results.append(result)
            after.append(self.db.execute("SELECT changes(), last_insert_rowid()").fetchone() if not sql.startswith("SELECT") else None)
        if results[0] != results[1] or after[0] != after[1]:
            raise AssertionError(f"different after {sql}\nordinary: {results[0]!r:.1500} {after[0]}\nlsm:      {results[1]!r:.1500} {after[1]}\n"
                                 "declared: " + self.log[0] + "\nlast statements:\n" + "\n".join(self.log[-12:]))

    def condition(self, depth=0):
        rng = self.rng
        names = self.columns + (["rowid"] if self.rowid else []) + self.key * 2
        chance = rng.random()
        if depth < 2 and chance < 0.45:
            return "(" + rng.choice((" AND ", " AND ", " AND ", " OR ")).join(self.condition(depth + 1) for _ in range(2)) + ")"
        name = rng.choice(names)
        form = rng.randrange(10)
        if form < 6:
            return f"{name} {rng.choice(('=', '=', '<', '<=', '>', '>=', 'IS', '!='))} {self.value()}"
        if form == 6:
            return f"{name} BETWEEN {self.value()} AND {self.value()}"
        if form == 7:
            return f"{name} IN ({', '.join(self.value() for _ in range(rng.randrange(1, 5)))})"
        if form == 8:
            return f"{name} {rng.choice(('LIKE', 'GLOB'))} '{rng.choice(('a%', 'A%', 'a*', '%b', '1%'))}'"
        return f"{name} IS {rng.choice(('', 'NOT '))}NULL"

    def write(self):
        rng = self.rng
        chance = rng.random()
        conflict = rng.choice(("", "", "", " OR IGNORE", " OR REPLACE", " OR FAIL", " OR ABORT"))
        if chance < 0.6:
            # The same goes for a value of the wrong type in a STRICT table.
            count = 1 if self.strict else rng.choice((1, 1, 3, 20))
            # "datatype mismatch" in the midst of a statement that cannot abort otherwise leaves half of it behind in an ordinary table. Not in ours.
            rows = ", ".join("(" + ", ".join(str(rng.randrange(-60, 60)) if self.rowid and count > 1 and column == self.key[0] else self.value()
                                             for column in self.columns) + ")" for _ in range(count))
            self.both(f"INSERT{conflict} INTO $t VALUES {rows}")
        elif chance < 0.7 and self.rowid and self.key[0] != self.columns[-1]:
            self.both(f"INSERT{conflict} INTO $t(rowid, {self.columns[-1]}) VALUES ({self.value()}, {self.value()})")
        elif chance < 0.85:
            fitting = [column for column, text in zip(self.columns, self.log[0].split(", ")) if " ANY" in text] if self.strict else self.columns
            if not fitting:
                return
            sets = ", ".join(f"{column} = {rng.choice((self.value(), rng.choice(self.columns), column + ' || 1', column + ' + 1'))}"
                             for column in rng.sample(fitting, min(len(fitting), rng.randrange(1, 3))))
            # Several rows changed in one statement that fails half way depend on the order of the walk: only statements that undo themselves.
            self.both(f"UPDATE $t SET {sets} WHERE {self.condition()}")
        elif chance < 0.95:
            self.both(f"DELETE FROM $t WHERE {self.condition()}")
        else:
            self.both(f"INSERT{'' if self.strict else conflict} INTO $t SELECT * FROM $t WHERE {self.condition()} ORDER BY {', '.join(self.key)} LIMIT 10")

    def read(self):
        rng = self.rng
        what = rng.choice(("*", "*", "count(*)", ", ".join(self.key), "min(" + self.key[0] + ")", "max(" + self.key[0] + ")"))
        if self.rowid and what == "*":
            what = "rowid, *"
        where = "" if rng.random() < 0.15 else " WHERE " + self.condition()
        whole = ", ".join(f"{name}{rng.choice((' DESC', ''))}" for name in self.key)
        if rng.random() < 0.3:
            direction = rng.choice(("", " DESC"))
            self.both(f"SELECT {what} FROM $t{where}" if what.startswith(("count", "min", "max")) else
                      f"SELECT {what} FROM $t{where} ORDER BY {whole}, {', '.join(c + direction for c in self.columns)} LIMIT {rng.randrange(1, 20)} OFFSET {rng.randrange(3)}")
        elif what.startswith(("count", "min", "max")):
            self.both(f"SELECT {what} FROM $t{where}")
        else:
            self.both(f"SELECT {what} FROM $t{where}", ordered=False)
            self.both(f"SELECT {what} FROM $t{where} ORDER BY {whole}, {', '.join(self.columns)}")

    def step(self):
        chance = self.rng.random()
        if chance < 0.5:
            self.write()
        elif chance < 0.9:
            self.read()
        elif chance < 0.94:
            self.transaction()
        elif chance < 0.96:
            sql = self.rng.choice(("SELECT lsm_flush()", "SELECT lsm_compact()"))
            self.log.append(sql)
            self.db.execute(sql).fetchall()

    def transaction(self):
        rng = self.rng
        self.simple("BEGIN")
        names = []
        for _ in range(rng.randrange(1, 15)):
            chance = rng.random()
            if chance < 0.15:
                names.append(f"s{len(names)}")
                self.simple("SAVEPOINT " + names[-1])
            elif chance < 0.25 and names:
                at = rng.randrange(len(names))
                self.simple("ROLLBACK TO " + names[at])
                del names[at + 1:]
            elif chance < 0.3 and names:
                at = rng.randrange(len(names))
                self.simple("RELEASE " + names[at])
                del names[at:]
            elif chance < 0.8:
                self.write()
            else:
                self.read()
        self.simple(rng.choice(("COMMIT", "COMMIT", "ROLLBACK")))

    def simple(self, sql):
        self.log.append(sql)
        self.db.execute(sql)


def connect(extension):
    db = sqlite3.connect("twins.db", isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(extension)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return db


def main():
    extension, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for turn in range(rounds):
        rng = random.Random(f"{seed}/{turn}")
        db = connect(extension)
        try:
            twins = Twins(db, rng)
            for _ in range(150):
                twins.step()
            twins.both("SELECT * FROM $t ORDER BY " + ", ".join(twins.key))
            db.close()
            db = twins.db = connect(extension)
            twins.both("SELECT * FROM $t ORDER BY " + ", ".join(twins.key))
            if turn % 10 == 9 and db.execute("SELECT lsm_check()").fetchall() != [("ok",)]:
                raise AssertionError("lsm_check: " + repr(db.execute("SELECT lsm_check()").fetchall()))
        except Exception:
            print(f"seed {seed}, round {turn} (of {rounds})", flush=True)
            raise
        db.close()
    print("equal")


def test_random_statements_agree(folder):
    """A slice of the random comparison."""
    import subprocess
    import harness
    seed = os.environ.get("LSM_SEED", str(random.SystemRandom().randrange(1 << 30)))
    rounds = os.environ.get("LSM_ROUNDS", "5" if harness.SLOW else "60")
    done = subprocess.run(["/usr/bin/python3", os.path.abspath(__file__), harness.EXTENSION[:-3], seed, rounds], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=3600, env=harness.host_env())
    text = done.stdout.decode(errors="replace")
    harness.expect(done.returncode == 0 and text.strip().endswith("equal"), f"LSM_SEED={seed} exit {done.returncode}\n" + text[-4000:])


if __name__ == "__main__":
    main()
