"""The two sides of a comparison, and what has to be equal.

A step is a dict: sql, and of these what is not the default: lsm (other SQL for the LSM side), params, kind, order, fold.
kind   both      on the ordinary side and on the LSM side; `$` before a name becomes the side's prefix
       other     the same on second connections to the same files
       common    once for each connection: BEGIN, SAVEPOINT, pragmas
       lsm       on the LSM side only: flush, compact
       create    both; a refusal by the LSM side is told to the caller
       reopen    closes and opens the connections
       between   `inner`, another step, while the SELECT of this one has given `first` of its rows
order  exact     the same rows in the same order
       any       the same rows
       a number  the same rows, and the first so many columns in the same order
rowless  rows are not compared
plain    what third.py needs to know of the tables that are read
several  the statement may break more than one constraint: the first one counts, whichever it is; "any": it may fail for other reasons, too
fold   which of several equal values is shown (1 or 1.0, 'a' or 'A' under NOCASE) depends on the order of reading and does not count
"""
import sqlite3

from . import third

REFUSED = "refused"
REFUSALS = ("CAST", "INSERT ... RETURNING would show")  # of what docs/sql.md lists
# Joins can be long. A statement is given up after so many instructions, on the ordinary side after many more.
INSTRUCTIONS = 3_000_000
FAILURES = (sqlite3.Error, OverflowError, UnicodeDecodeError)  # the last one for messages that show what is no UTF-8

NEGATIVE_ZERO = ("float", "-0.0")  # which Python takes for 0.0


class Difference(Exception):
    pass


def fold_value(value):
    if isinstance(value, str):
        return value.rstrip(" ").lower()
    if isinstance(value, float) and abs(value) <= 2 ** 63 and value == int(value):
        return int(value)
    return value


def fold_shown(value):
    return 0 if value == NEGATIVE_ZERO else fold_value(value[1])


def shown(value, fold):
    if fold:
        value = fold_value(value)
    return NEGATIVE_ZERO if value == 0 and str(value) == "-0.0" else (type(value).__name__, value)


class Side:
    def __init__(self, db, prefix, is_lsm=False, instructions=INSTRUCTIONS * 50):
        self.db, self.prefix, self.is_lsm = db, prefix, is_lsm
        self.instructions = INSTRUCTIONS if is_lsm else instructions

    def run(self, step):
        """('rows', rows) or ('error', class, extended code, message)"""
        return self.rest(*self.begin(dict(step, first=0)))

    def begin(self, step):
        """(cursor, its first rows, step), or (None, the error, step)."""
        left = [self.instructions // 10_000]

        def give_up():
            left[0] -= 1
            return left[0] < 0

        # An interrupted write would end the transaction.
        self.db.set_progress_handler(None if step.get("kind") == "lsm" or step.get("writes") else give_up, 10_000)
        sql = (step.get("lsm") if self.is_lsm else None) or step["sql"]
        try:
            cursor = self.db.execute(sql.replace("$", self.prefix), step.get("params", ()))
            return cursor, cursor.fetchmany(step["first"]) if step["first"] else [], step
        except FAILURES as error:
            return None, self.failure(error), step

    def failure(self, error):
        text = str(error).replace(self.prefix, "$") if self.prefix else str(error)
        return "error", type(error).__name__, getattr(error, "sqlite_errorcode", 0), text

    def rest(self, cursor, rows, step):
        """What run() returns, of a statement that begin() began."""
        if cursor is None:
            return rows
        try:
            rows = rows + cursor.fetchall()
        except FAILURES as error:
            return self.failure(error)
        if step.get("rowless"):  # what is DDL on one side is a SELECT on the other
            rows = []
        fold = step.get("fold")
        return "rows", [tuple(shown(value, fold) for value in row) for row in rows]

    def counters(self):
        return self.db.execute("SELECT changes(), total_changes(), last_insert_rowid()").fetchone()


class Sides:
    """One connection with both kinds of tables (names begin with o_ and l_), or two connections, whose names are equal."""

    def __init__(self, options):
        self.options = options
        self.dbs = []
        self.overruled = 0        # differences in which the ordinary table was wrong
        self.read_inside = False  # an LSM table was read in a transaction since something was counted
        self.open()

    def open(self):
        options = self.options
        if options["connections"] == 1:
            db = self.connect("both", True)
            self.dbs, self.ordinary, self.lsm = [db], Side(db, "o_"), Side(db, "l_", True)
        else:
            self.dbs = [self.connect("ordinary", False), self.connect("lsm", True)]
            self.ordinary, self.lsm = Side(self.dbs[0], ""), Side(self.dbs[1], "", True)
        self.others = None

    def other(self):
        """The two sides of second connections."""
        if self.others is None:
            if self.options["connections"] == 1:
                db = self.connect("both", True)
                self.others = [Side(db, "o_"), Side(db, "l_", True)]
            else:
                self.others = [Side(self.connect("ordinary", False), ""), Side(self.connect("lsm", True), "", True)]
        return self.others

    def connect(self, name, with_extension):
        options = self.options
        path = ":memory:" if options["memory"] else f"file:{options['folder']}/{name}.db?lsm_write_buffer=65536"
        db = sqlite3.connect(path, isolation_level=None, uri=not options["memory"], cached_statements=options.get("cached", 64))
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        if with_extension:
            db.enable_load_extension(True)
            db.load_extension(options["extension"])
        if not options["memory"]:
            db.execute("PRAGMA journal_mode = " + options["journal"])
        db.execute("PRAGMA synchronous = OFF")
        if options.get("aux"):
            db.execute(f"ATTACH '{':memory:' if options['memory'] else options['folder'] + '/' + name + '_aux.db'}' AS aux")
            if not options["memory"]:
                db.execute("PRAGMA aux.journal_mode = " + options["journal"])
            db.execute("PRAGMA aux.synchronous = OFF")
        db.execute("CREATE TEMP TABLE counted(n)")
        db.execute("INSERT INTO counted VALUES (0)")
        for pragma in options["pragmas"]:
            db.execute(pragma)
        return db

    def close(self):
        for side in self.others or ():
            side.db.close()
        self.others = None
        for db in self.dbs:
            db.close()

    def temporary_is_damaged(self):
        """After a ROLLBACK SQLite itself may leave indexes that do not fit their tables in the temporary database: seen with 3.40.1, 3.46.1 and 3.53.4 and no extension loaded."""
        try:
            found = self.dbs[0].execute("PRAGMA temp.integrity_check").fetchall()
        except sqlite3.Error:
            return True
        return any(line != "ok" and not line.startswith("LSM") for (text,) in found for line in text.split("\n"))

    def run(self, step):
        """True, or REFUSED. Raises Difference."""
        kind = step.get("kind", "both")
        if kind == "common":
            return self.common(step)
        if kind == "lsm":
            result = self.lsm.run(step)
            if result[0] == "error" and "COMMIT first" in result[3] and self.dbs[-1].in_transaction:
                return True
            if result[0] == "error":
                raise Difference(f"{step['sql']} fails: {result}")
            if step["sql"].startswith("SELECT lsm_check(") and result[1] != [(("str", "ok"),)]:
                raise Difference(f"lsm_check: {result[1]}")
            return True
        if kind == "reopen":
            # A database in memory ends with its connection; within a transaction there is nothing to compare.
            if not self.options["memory"] and not self.dbs[-1].in_transaction and not self.dbs[0].in_transaction:
                self.close()
                self.open()
            return True
        if kind == "other":
            return self.elsewhere(step)
        if kind == "between":
            return self.between(step)
        return self.both(step, kind)

    def elsewhere(self, step):
        ordinary, lsm = self.other()
        got = lsm.run(step)
        if got[0] == "error" and (got[3] == "interrupted" or any(word in got[3] for word in REFUSALS)):
            self.refusal = got
            return REFUSED
        wanted = ordinary.run(step)
        self.count, self.ok = len(wanted[1]) if wanted[0] == "rows" else 0, wanted[0] == "rows"
        problem = self.judge(step, ordinary, wanted, got)
        if problem is not None:
            raise Difference("second connections\n" + problem)
        return True

    def between(self, step):
        halves = [side.begin(step) for side in (self.ordinary, self.lsm)]
        self.read_inside = self.read_inside or self.dbs[-1].in_transaction
        self.run(step["inner"])
        wanted, got = [side.rest(*half) for side, half in zip((self.ordinary, self.lsm), halves)]
        if "interrupted" in (wanted[-1], got[-1]) or got[0] == "error" and any(word in got[3] for word in REFUSALS):
            self.refusal = got if got[0] == "error" else wanted
            return REFUSED
        self.count, self.ok = len(wanted[1]) if wanted[0] == "rows" else 0, wanted[0] == "rows"
        problem = self.judge(step, self.ordinary, wanted, got)
        if problem is not None:
            raise Difference(f"with this between its rows: {step['inner']['sql']}\n{problem}")
        return True

    def common(self, step):
        outcomes = []
        for db in self.dbs:
            outcomes.append(Side(db, "").run(step))
            if step["sql"] == "VACUUM":  # last_insert_rowid() is that of the last table's definition then
                db.execute("INSERT OR REPLACE INTO temp.counted(rowid, n) VALUES (1, 0)")
                self.forget_changes()
        if outcomes[0][:3] != outcomes[-1][:3]:
            raise Difference(f"ordinary: {outcomes[0]}\nlsm:      {outcomes[-1]}")
        return outcomes[0][0] == "rows"

    def both(self, step, kind):
        """The LSM side first: what it refuses by its documentation leaves both sides as they are."""
        before = self.lsm.counters()
        lsm = self.lsm.run(step)
        after_lsm = self.lsm.counters()
        if lsm[0] == "error" and (kind == "create" or lsm[3] == "interrupted" or any(word in lsm[3] for word in REFUSALS)):
            self.refusal = lsm
            if kind != "create":
                self.forget_changes()
            return REFUSED
        before_ordinary = self.ordinary.counters()
        ordinary = self.ordinary.run(step)
        if ordinary[0] == "error" and ordinary[3] == "interrupted" and not step.get("writes"):
            self.refusal = ordinary
            return REFUSED
        after = self.ordinary.counters()
        self.count = len(ordinary[1]) if ordinary[0] == "rows" else 0
        self.ok = ordinary[0] == "rows"
        problem = self.judge(step, self.ordinary, ordinary, lsm)
        if kind == "both" and problem is None and step.get("writes"):
            left = (after[0], after[1] - before_ordinary[1], after[2])
            right = (after_lsm[0], after_lsm[1] - before[1], after_lsm[2])
            if not self.ok and self.read_inside:
                # A statement that fails leaves changes() as it was, which the first SELECT of an LSM table after BEGIN has set to 0 (docs/sql.md).
                left, right = left[1:], right[1:]
            self.read_inside = self.read_inside and not self.ok
            if left != right:
                problem = f"changes(), total_changes(), last_insert_rowid()\nordinary: {left}\nlsm:      {right}"
        if problem is None and self.dbs[0].in_transaction != self.dbs[-1].in_transaction:
            problem = f"in a transaction: ordinary {self.dbs[0].in_transaction}, lsm {self.dbs[-1].in_transaction}"
        if problem is not None:
            raise Difference(problem)
        self.read_inside = self.read_inside or self.dbs[-1].in_transaction
        if not step.get("writes") and not step["sql"].startswith(("SELECT", "WITH")):
            # DDL of a virtual table counts the rows of its shadow table.
            self.forget_changes()
        return True

    def forget_changes(self):
        """What changes() says later must not depend on what was done on one side only."""
        for db in self.dbs:
            db.execute("UPDATE counted SET n = n + 1")
        self.read_inside = False

    def judge(self, step, side, ordinary, lsm):
        """What differs, or None; also where only the ordinary table is wrong."""
        problem = self.compare(step, ordinary, lsm)
        if problem is None or "plain" not in step or ordinary[0] != "rows" or lsm[0] != "rows":
            return problem
        db = third.ask(side, step, self.options["pragmas"])
        if db is None:
            return problem
        third_side = Side(db, side.prefix, instructions=third.INSTRUCTIONS)
        opinion, again = third_side.run(step), third.sorted_for_sure(step["sql"])
        opinions = [opinion] + ([third_side.run(dict(step, sql=again))] if again != step["sql"] else [])
        db.close()
        other = third.without_automatic_index(self.lsm if side is self.ordinary else self.others[1], step)
        if any(each[0] == "rows" and self.compare(step, each, lsm) is None for each in opinions) or (other is not None and other[0] == "rows" and self.compare(step, ordinary, other) is None):
            self.overruled += 1
            return None
        return problem + ("\nwithout keys and indexes as on the ordinary table" if opinion[0] == "rows" and self.compare(step, ordinary, opinion) is None else
                          f"\nwithout keys and indexes a third result: {opinion!r:.900}")

    @staticmethod
    def compare(step, ordinary, lsm):
        order = step.get("order", "any")
        if ordinary[0] == "rows" and lsm[0] == "rows":
            same = ordinary[1] == lsm[1]
            if not same and order != "exact":
                same = sorted(ordinary[1], key=repr) == sorted(lsm[1], key=repr)
                if same and order != "any":
                    same = all([fold_shown(each) for each in a[:order]] == [fold_shown(each) for each in b[:order]]
                               for a, b in zip(ordinary[1], lsm[1]))
        else:
            # Which of several bad rows an UPDATE meets first is not defined.
            same = ordinary == lsm or (step.get("several") and ordinary[0] == lsm[0] and (step["several"] == "any" or ordinary[2] & 255 == lsm[2] & 255 == 19))
        if same:
            return None
        if ordinary[0] == lsm[0] == "rows":
            left, right = list(ordinary[1]), []
            for row in lsm[1]:
                if row in left:
                    left.remove(row)
                else:
                    right.append(row)
            at = next((i for i, (a, b) in enumerate(zip(ordinary[1], lsm[1])) if a != b), 0)
            if not left and not right:
                return f"another order, from row {at}\nordinary: {ordinary[1][at:at + 3]!r:.500}\nlsm:      {lsm[1][at:at + 3]!r:.500}"
            return f"{len(ordinary[1])} and {len(lsm[1])} rows\nonly ordinary: {left[:5]!r:.900}\nonly lsm:      {right[:5]!r:.900}"
        return f"ordinary: {ordinary!r:.900}\nlsm:      {lsm!r:.900}"
