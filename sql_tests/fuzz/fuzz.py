#!/usr/bin/env python3
"""Twin tables under random SQL: `fuzz.py [--seconds N] [--rounds N] [--seed N]`. Prints the seed, what was covered, and for a difference the shortest script
that shows it. As a test it runs a slice; `make fuzz-sql` runs FUZZ_SECONDS of it.

Every result, its order where one is asked for, error class, extended code, message, changes(), total_changes() and last_insert_rowid() must be equal."""
import argparse
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from twin.coverage import Coverage  # noqa: E402
from twin.expressions import LITERALS, few_of  # noqa: E402
from twin.reads import Reads  # noqa: E402
from twin.schema import Table, probe  # noqa: E402
from twin.sides import Difference, REFUSED, Sides  # noqa: E402
from twin.writes import Writes  # noqa: E402

SHRINK_SECONDS = 60


class Round:
    """One pair of databases and the steps made up for them."""

    def __init__(self, seed, extension, folder, supported, coverage, fixed=()):
        self.rng = random.Random(seed)
        self.supported, self.coverage, self.log = supported, coverage, []
        rng = self.rng
        self.options = {"connections": rng.choice((1, 2)), "memory": rng.random() < 0.4, "journal": rng.choice(("WAL", "WAL", "DELETE", "TRUNCATE")), "extension": extension,
                        "folder": folder, "bulk": rng.choice((0, 0, 0.3, 0.9)), "cached": rng.choice((0, 8, 128)), "aux": rng.random() < 0.3,
                        "pragmas": [pragma for pragma in ("PRAGMA case_sensitive_like = ON", "PRAGMA automatic_index = OFF", "PRAGMA mmap_size = 67108864", "PRAGMA reverse_unordered_selects = ON",
                                                          "PRAGMA recursive_triggers = ON", "PRAGMA trusted_schema = OFF", "PRAGMA cache_size = 20", "PRAGMA foreign_keys = ON") if rng.random() < 0.12]}
        if len(set(self.options["pragmas"]) & {"PRAGMA case_sensitive_like = ON", "PRAGMA trusted_schema = OFF"}) == 2:
            # Together they make LIKE in a CHECK an error, which SQLite finds when it prepares a statement and we when it runs.
            self.options["pragmas"].remove("PRAGMA trusted_schema = OFF")
        self.options.update(fixed)
        few = few_of(rng) if rng.random() < 0.55 else ()
        self.sides = Sides(self.options)
        self.reads = Reads(rng, sqlite3.sqlite_version_info, few)
        self.writes = Writes(rng, self.reads, self.options)
        self.tables, self.next_name, self.saved = [], 0, []
        self.asked = []        # SELECTs, some of which come again: a statement that was prepared before
        self.defined = False  # the transaction has changed definitions, which others do not know

    def run(self, step):
        self.log.append(step)
        overruled = self.sides.overruled
        outcome = self.sides.run(step)
        self.coverage.note(["SQLite's own: the ordinary table is wrong"] * (self.sides.overruled - overruled), True)
        if outcome == REFUSED and step.get("kind") != "create":
            why = self.sides.refusal[3]
            self.coverage.note(["given up: too long" if why == "interrupted" else "refused: asks for a CAST" if "CAST" in why else "refused: RETURNING of what is not stored"], True)
        elif step.get("features"):
            self.coverage.note(step["features"], self.sides.ok if step.get("kind", "both") == "both" else True, self.sides.count if step["sql"].startswith(("SELECT", "WITH")) else 0)
        return outcome

    def create(self):
        for _ in range(20):
            schema = self.rng.choice(["main", "main", "temp"] + ["aux"] * 3 * self.options["aux"])
            table = Table(f"t{self.next_name}", self.rng, self.supported, schema if self.rng.random() < 0.4 else "main", self.reads.few)
            self.next_name += 1
            if self.options["connections"] == 1 and any(each.endswith("ON CONFLICT ROLLBACK") for each in table.features):
                continue
            step = table.create_step()
            if self.run(step) == REFUSED:
                self.log.pop()
                self.coverage.refusal(self.sides.refusal[3][:70], step["lsm"][:200])
                continue
            self.coverage.note(table.features + ["CREATE"], True)
            self.tables.append(table)
            for made in self.writes.companions(table):
                self.run(made)
            if self.reads.few:
                self.run(dict(self.writes.bulk(table, self.rng.choice((10, 40, 40, 150, 500))), writes=True))
            return table
        raise Difference("no declaration was accepted")

    def index(self, table):
        """CREATE INDEX and lsm_create_index; or the dropping of one."""
        rng = self.rng
        added = sorted(name for name in table.indexes if not name.endswith("_d"))
        if added and rng.random() < 0.4:
            name = rng.choice(added)
            columns, _ = table.indexes.pop(name), table.index_orders.pop(name)
            table.unique = [each for each in table.unique if each is not columns]  # a constraint may have the same ones
            self.run({"sql": f"DROP INDEX ${name}", "lsm": f"SELECT lsm_drop_index('{table.schema}.${table.name}', '${name}')", "features": ["lsm_drop_index"], "rowless": True})
            return
        columns = table.some_columns()
        name, order = f"{table.name}_i{len(self.log)}", table.index_terms(columns)
        terms = table.terms_text(order)
        unique = "lsm_create_index, unique" in self.supported and rng.random() < 0.3
        quoted = terms.replace("'", "''")
        self.run({"sql": f"CREATE {'UNIQUE ' if unique else ''}INDEX {table.place}${name} ON ${table.name}({terms})", "rowless": True,
                  "lsm": f"SELECT lsm_create_index('{table.schema}.${table.name}', '${name}', '{quoted}'{', 1' if unique else ''})",
                  "features": ["lsm_create_index, unique" if unique else "lsm_create_index"]})
        if self.sides.ok:
            table.indexes[name], table.index_orders[name] = columns, order
            if unique:
                table.unique.append(columns)

    def step(self):
        rng = self.rng
        chance = rng.random()
        if chance < 0.4:
            self.write()
        elif chance < 0.88:
            self.read()
        elif chance < 0.92:
            self.transaction()
        elif chance < 0.95:
            schema = rng.choice(sorted({table.schema for table in self.tables}))
            self.run({"kind": "lsm", "sql": f"SELECT lsm_{rng.choice(('flush', 'flush', 'compact'))}('{schema}')", "features": ["flush, compact"]})
        elif chance < 0.955:
            self.reopen()
        elif chance < 0.958:
            self.maintenance()
        elif chance < 0.96:
            self.toggle()
        elif chance < 0.967:
            self.rename()
        elif chance < 0.975:
            self.definition()
        elif chance < 0.994 and "lsm_create_index" in self.supported:
            self.index(rng.choice(self.tables))
        else:
            self.delete_many(rng.choice(self.tables))

    def write(self):
        if self.rng.random() < 0.04:
            self.elsewhere()
            return
        table = self.rng.choice(self.tables)
        step = self.writes.step(table, self.tables)
        self.run(step)
        if not self.sides.ok and step["sql"].startswith("INSERT") and self.rng.random() < (0.9 if "abs(" in step["sql"] else 0.5):
            # A statement that has failed leaves nothing for the next one to stumble over.
            self.run(dict(self.writes.insert(table, True), writes=True))

    def question(self, tables):
        """A SELECT, with what a third opinion on it needs: not where tables of one name may stand in several databases."""
        step = self.reads.step(tables)
        return dict(step, plain=[table.plain for table in self.tables])

    def read(self):
        rng = self.rng
        chance = rng.random()
        if chance < 0.06:
            self.elsewhere()
        elif chance < 0.1 and self.asked:
            # Its tables may be others now, or gone.
            again = rng.choice(self.asked)
            self.run(dict(again, plain=[table.plain for table in self.tables], features=["a SELECT again"]))
        elif chance < 0.13:
            self.between()
        else:
            step = self.question(self.tables)
            self.asked = self.asked[-8:] + [step]
            self.run(step)

    def between(self):
        """A SELECT that stands half way while another one runs, or a write of a table that it does not read."""
        rng = self.rng
        table = rng.choice(self.tables)
        others = [each for each in self.tables if each is not table and "ON CONFLICT ROLLBACK" not in each.body]
        step = self.question([table])
        inner, features = self.question(self.tables), ["two SELECTs side by side"]
        if others and rng.random() < 0.7:
            inner, features = self.writes.step(rng.choice(others), others), ["a write while a SELECT of another table is open"]
            if "ROLLBACK" in inner["sql"] or "$src_" in inner["sql"]:  # which end the open SELECT, too
                return
        self.run(dict(step, kind="between", first=rng.choice((1, 2, 5)), inner=inner, features=features))

    def maintenance(self):
        """What is done to a database now and then."""
        rng = self.rng
        self.common(rng.choice(["ANALYZE", "PRAGMA main.wal_checkpoint(TRUNCATE)", "PRAGMA optimize", "REINDEX", "PRAGMA shrink_memory"] +
                               ["VACUUM"] * all(table.kind != "rowid" for table in self.tables)), "ANALYZE, VACUUM, REINDEX, checkpoints")

    def toggle(self):
        """PRAGMAs between statements that are prepared already."""
        rng = self.rng
        pragma = rng.choice(("PRAGMA reverse_unordered_selects", "PRAGMA recursive_triggers", "PRAGMA case_sensitive_like", "PRAGMA automatic_index"))
        if "PRAGMA trusted_schema = OFF" not in self.options["pragmas"]:
            self.run({"kind": "common", "rowless": True, "sql": f"{pragma} = {rng.choice(('ON', 'OFF'))}", "features": ["PRAGMAs between statements"]})

    def elsewhere(self):
        """A second connection, where readers and the writer do not meet: it writes only if nobody else can have begun to."""
        tables = [table for table in self.tables if table.schema != "temp"]
        if self.options["memory"] or self.options["journal"] != "WAL" or not tables or (self.sides.dbs[0].in_transaction and self.defined):
            return
        step = self.question(tables)
        if not self.sides.dbs[0].in_transaction and self.rng.random() < 0.5:
            step = self.writes.step(self.rng.choice(tables), tables)
        self.run(dict(step, kind="other", features=["second connection: " + ("write" if step.get("writes") else "read")]))

    def reopen(self, feature="reopening"):
        if all(table.schema != "temp" for table in self.tables):  # which would be gone
            self.run({"kind": "reopen", "sql": "-- reopen", "features": [feature]})

    def rename(self):
        table = self.rng.choice(self.tables)
        name = f"t{self.next_name}"
        self.next_name += 1
        self.defined = True
        self.run({"sql": f"ALTER TABLE {table.place}${table.name} RENAME TO ${name}", "features": ["ALTER TABLE RENAME TO"]})
        if self.sides.ok:
            table.name = name

    def delete_many(self, table):
        """All rows, or a range of the first key column: not a statement that writes as far as changes() goes."""
        rng = self.rng
        if rng.random() < 0.3:
            self.run({"sql": f"DELETE FROM ${table.name}", "lsm": f"SELECT lsm_truncate('{table.schema}.${table.name}')", "features": ["lsm_truncate"], "rowless": True})
            return
        low, high = (rng.choice(("NULL", rng.choice(LITERALS), rng.choice(LITERALS))) for _ in range(2))
        name, collation = table.key_terms[0][:2]
        column = name if name == "rowid" else f"{name} COLLATE {collation}"
        bounds = " AND ".join(f"{column} {operator} {bound}" for operator, bound in ((">=", low), ("<", high)) if bound != "NULL") or "1"
        self.run({"sql": f"DELETE FROM ${table.name} WHERE {bounds}", "lsm": f"SELECT lsm_delete_range('{table.schema}.${table.name}', {low}, {high})",
                  "features": ["lsm_delete_range"], "rowless": True})

    def definition(self):
        rng = self.rng
        self.defined = True
        if len(self.tables) > 1 and rng.random() < 0.5:
            at = rng.randrange(len(self.tables))
            # Outside of main it is refused if the transaction has written the table.
            if self.tables[at].schema != "main" and self.sides.dbs[0].in_transaction:
                return
            gone = self.tables.pop(at)
            self.run({"sql": f"DROP VIEW $v_{gone.stem}"})
            for name in ("src", "up", "log"):
                self.run({"sql": f"DROP TABLE {gone.place}${name}_{gone.stem}"})
            self.run({"sql": f"DROP TABLE ${gone.name}", "features": ["DROP TABLE"]})
        elif len(self.tables) < 4:
            self.create()

    def common(self, sql, feature):
        self.run({"kind": "common", "sql": sql, "features": [feature]})

    def transaction(self):
        rng = self.rng
        self.common(rng.choice(("BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT outer")), "BEGIN, COMMIT")
        started = self.log[-1]["sql"]
        self.writes.in_transaction, self.defined = True, False
        marks, base = [], [table.copy() for table in self.tables]
        for _ in range(rng.randrange(1, 18)):
            # OR ROLLBACK ends the transaction.
            if not self.sides.dbs[0].in_transaction:
                break
            self.inside(marks)
        if not self.sides.dbs[0].in_transaction:
            self.writes.in_transaction, self.tables = False, base
            return
        undone = rng.random() < 0.35
        if started == "SAVEPOINT outer":
            if undone:
                self.common("ROLLBACK TO outer", "ROLLBACK")
            undone = self.refused_commit("RELEASE outer", undone) or undone
            if self.sides.dbs[0].in_transaction:
                self.common("RELEASE outer", "RELEASE")
        else:
            undone = self.refused_commit("COMMIT", undone) or undone
            if self.sides.dbs[0].in_transaction:
                self.common("ROLLBACK" if undone else "COMMIT", "ROLLBACK" if undone else "BEGIN, COMMIT")
        self.writes.in_transaction = False
        if undone:
            self.tables = base

    def refused_commit(self, commit, undone):
        """A COMMIT that a deferred foreign key refuses leaves the transaction as it was; then there is the parent, or ROLLBACK: True."""
        rng = self.rng
        if "PRAGMA foreign_keys = ON" not in self.options["pragmas"] or undone or rng.random() < 0.4:
            return False
        number = len(self.log)
        self.common(f"INSERT INTO child_ VALUES ({number})", "COMMIT that a foreign key refuses")
        self.common(commit, "COMMIT that a foreign key refuses")
        self.read()
        if rng.random() < 0.5:
            self.write()
        if not self.sides.dbs[0].in_transaction:
            return True
        if rng.random() < 0.4:
            self.common("ROLLBACK", "ROLLBACK")
            return True
        self.common(f"INSERT INTO parent_ VALUES ({number})", "COMMIT that a foreign key refuses")
        return False

    def inside(self, marks):
        """One step of a transaction. marks: the savepoints that are open, with the tables there were."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.15:
            marks.append((rng.choice(("s0", "s1", "s2", "S0")), [table.copy() for table in self.tables]))
            self.common("SAVEPOINT " + marks[-1][0], "SAVEPOINT")
        elif chance < 0.25 and marks:
            at = self.innermost(marks)
            self.common("ROLLBACK TO " + marks[at][0], "ROLLBACK TO")
            self.tables = [table.copy() for table in marks[at][1]]
            del marks[at + 1:]
        elif chance < 0.3 and marks:
            at = self.innermost(marks)
            self.common("RELEASE " + marks[at][0], "RELEASE")
            del marks[at:]
        elif chance < 0.33:
            self.definition()
        elif chance < 0.34:
            self.rename()
        elif chance < 0.37 and "lsm_create_index" in self.supported:
            self.index(rng.choice(self.tables))
        elif chance < 0.39:
            self.delete_many(rng.choice(self.tables))
        elif chance < 0.75:
            self.write()
        else:
            self.read()

    def innermost(self, marks):
        """Of the savepoints of one name the last one."""
        name = self.rng.choice(marks)[0].lower()
        return max(at for at, mark in enumerate(marks) if mark[0].lower() == name)

    def check_all(self):
        for table in self.tables:
            what = "rowid, *" if table.rowid else "*"
            self.run({"sql": f"SELECT {what} FROM ${table.name} ORDER BY {table.total_order()}", "order": "exact", "features": ["the whole table"]})
            for name in ("log", "up"):
                self.run({"sql": f"SELECT * FROM {table.place}${name}_{table.stem} ORDER BY 1", "order": "exact", "features": ["changes(), last_insert_rowid() in triggers"]})
        if not self.options["memory"] or self.rng.random() < 0.5:
            for schema in sorted({table.schema for table in self.tables}):
                self.run({"kind": "lsm", "sql": f"SELECT lsm_check('{schema}')", "features": ["lsm_check"]})

    def play(self, steps):
        if "PRAGMA foreign_keys = ON" in self.options["pragmas"]:
            self.run({"kind": "common", "sql": "CREATE TABLE parent_(id INTEGER PRIMARY KEY)"})
            self.run({"kind": "common", "sql": "CREATE TABLE child_(p REFERENCES parent_ DEFERRABLE INITIALLY DEFERRED)"})
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            self.create()
        for _ in range(steps):
            self.step()
        self.check_all()
        self.reopen()
        if not self.options["memory"]:
            self.check_all()


def replay(log, options):
    """The difference that the steps show on new databases, or None."""
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(dict(options, folder=folder))
        try:
            for step in log:
                if sides.run(step) == REFUSED and step.get("kind") == "create":
                    return None
        except Difference as difference:
            return step, str(difference)
        finally:
            sides.close()
    return None


def kind_of(found):
    """What must stay when a script is cut: the same sort of statement, and an error or none."""
    return found[0]["sql"].split(" ")[0], "'error'" in found[1], "changes()" in found[1]


def shrink(log, options, deadline, replay=replay):
    """Leaves out steps while the difference stays."""
    found = replay(log, options)
    if found is None:
        return log, None
    wanted, size = kind_of(found), max(1, len(log) // 2)
    while time.monotonic() < deadline:
        at, shorter = 0, False
        while at < len(log) and time.monotonic() < deadline:
            fewer = log[:at] + log[at + size:]
            again = replay(fewer, options) if fewer else None
            if again is not None and kind_of(again) == wanted:
                log, found, shorter = fewer, again, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return log, found


def tell(seed, turn, error, played, shrink_seconds):
    print(f"DIFFERENCE: seed {seed}, round {turn}, SQLite {sqlite3.sqlite_version}\n{error}\n{played.options}")
    log, found = shrink(played.log, played.options, time.monotonic() + shrink_seconds) if shrink_seconds > 0 else (played.log, None)
    print(f"the shortest script ({len(log)} of {len(played.log)} steps{'' if found else '; it does not repeat'}):")
    for step in log[-40:]:
        params = f"  -- {step['params']}" if step.get("params") else ""
        print(f"  {step['sql']};{params}" + (f"  -- lsm: {step['lsm']}" if step.get("lsm") else ""))
    if found:
        print(found[1])
    sys.stdout.flush()


def run(seed, seconds, rounds, extension, steps, shrink_seconds, most=10, start=0):
    """The number of rounds with a difference."""
    coverage, started, turn, different, statements = Coverage(), time.monotonic(), start, 0, 0
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(extension)
    supported = probe(db, coverage)
    db.close()
    while turn < rounds and time.monotonic() - started < seconds and different < most:
        folder = tempfile.mkdtemp()
        played = Round(f"{seed}/{turn}", extension, folder, supported, coverage)
        try:
            played.play(steps)
        except Difference as error:
            lost = played.sides.temporary_is_damaged()
            played.sides.close()
            coverage.note(["given up: SQLite's own temporary tables are damaged"] * lost, True)
            if not lost:
                different += 1
                tell(seed, turn, error, played, shrink_seconds)
        else:
            played.sides.close()
        shutil.rmtree(folder, ignore_errors=True)
        statements += len(played.log)
        turn += 1
    print(coverage.report())
    print(f"seed {seed}: {turn} rounds, {statements:,} statements on both sides, {time.monotonic() - started:.0f} s, SQLite {sqlite3.sqlite_version}")
    print("equal" if different == 0 else f"{different} rounds are different")
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extension", default=os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "lsm"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1 << 60)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 30)))
    parser.add_argument("--shrink", type=float, default=SHRINK_SECONDS, help="seconds to look for a shorter script")
    parser.add_argument("--round", type=int, help="this round of the seed only")
    parser.add_argument("--first", action="store_true", help="stop at the first difference")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, SQLite {sqlite3.connect(':memory:').execute('SELECT sqlite_version()').fetchone()[0]}", flush=True)
    start = arguments.round or 0
    if arguments.round is not None:
        arguments.rounds = start + 1
    return 1 if run(arguments.seed, arguments.seconds, arguments.rounds, arguments.extension, arguments.steps, arguments.shrink, 1 if arguments.first else 10, start) else 0


def test_random_sql_agrees(folder):
    """A slice of the comparison, the same each time: what is new is for `make fuzz-sql` to find, not for whoever changes something else."""
    import subprocess
    import harness
    seed = os.environ.get("LSM_SEED", "508362693")
    done = subprocess.run(["/usr/bin/python3", os.path.abspath(__file__), "--extension", harness.EXTENSION[:-3], "--seed", seed, "--seconds", "12", "--shrink", "20"],
                          cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600, env=harness.host_env())
    text = done.stdout.decode(errors="replace")
    harness.expect(done.returncode == 0 and text.strip().endswith("equal"), f"LSM_SEED={seed} exit {done.returncode}\n" + text[:5000])


if __name__ == "__main__":
    sys.exit(main())
