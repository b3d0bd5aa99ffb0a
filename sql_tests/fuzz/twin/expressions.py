"""Random values, conditions and expressions over the columns in reach."""
import sqlite3

LITERALS = ["NULL", "0", "1", "-1", "2", "3", "7", "42", "-42", "1.0", "2.5", "-0.5", "1e18", "9007199254740993", "9007199254740992.0", "-9223372036854775808", "''", "'a'", "'A'",
            "'b'", "'ab'", "'aB'", "'a '", "'b  '", "' a'", "'10'", "'2.50'", "'1e2'", "' 7 '", "'0x10'", "'zż'", "'%'", "x''", "x'00'", "x'6162'", "x'ff'", "9e999", "'k5'", "'K17'", "TRUE",
            "0.0", "-0.0", "-9e999", "0x1F", "9007199254740992", "9223372036854775807", "'é'", "'É'", "x'610062'", "'q' || char(0)", "CAST(x'61ff' AS TEXT)", "CAST(x'6100' AS TEXT)"]
NAN = float("nan")  # which is bound as NULL
BOUND = [None, 0, 1, -1, 3, 42, 2.5, 1.0, 1e300, 2 ** 62, "", "a", "A", "ab", "a ", "10", "a\x00b", "żółć", b"", b"\x00", b"ab", "k5", float("inf"), float("-inf"), NAN, -0.0, 2 ** 63 - 1, -2 ** 63,
         2 ** 53 + 1, b"a\x00b", "\x00q", "😀"]
if sqlite3.sqlite_version_info > (3, 46, 99):
    # Newer releases take a text in a numeric column for the number before its zero byte (docs/sql.md): nothing begins with one that could come behind a number.
    LITERALS = [text for text in LITERALS if text != "x'00'"]
    BOUND = [value for value in BOUND if value not in (b"\x00", "\x00q")]
# A table of few values has many rows alike: joins meet, lists are long, and what is nearly equal stands side by side.
ALIKE = ["NULL", "NULL", "0", "1", "2", "3", "5", "1.0", "0.0", "2.5", "-0.5", "'5'", "'05'", "'5.0'", "' 5'", "'5 '", "'1e1'", "10", "'10'", "'a0'", "'A0'", "'a0 '", "'a0  '", "'b1'", "'B1'", "'k'",
         "''", "x''", "x'35'", "x'6130'", "x'01'", "'a' || char(9)", "9007199254740993", "9007199254740992.0", "-9223372036854775808", "-9223372036854775808.0", "9223372036854775807",
         "9223372036854775807.0", "1e300"]
# Of one of these a round takes all.
FAMILIES = [["'a0'", "'A0'", "'a0 '", "'a0  '", "'A0 '"], ["'a0'", "'A0'", "'b1'", "'B1'", "'b1 '"], ["5", "'5'", "'05'", "'5.0'", "' 5'", "'5 '", "x'35'", "'-'"], ["0", "0.0", "-0.0", "'0'", "'-0.0'", "''", "x''"],
            ["9007199254740993", "9007199254740992.0", "9007199254740992", "'9007199254740993'"], ["9223372036854775807", "9223372036854775807.0", "-9223372036854775808", "-9223372036854775808.0", "'9223372036854775807'"],
            ["-9223372036854775808", "-9223372036854775808.0", "-9223372036854775807"],
            ["'a'", "x'61'", "CAST(x'6100' AS TEXT)", "x'6100'", "CAST(x'61ff' AS TEXT)", "CAST(x'6100ff' AS TEXT)", "'a '"], ["'é'", "'É'", "'e'", "'E'", "'😀'", "CAST(x'c3' AS TEXT)"]]
COMPARISONS = ["=", "=", "==", "<", "<=", ">", ">=", "IS", "!=", "IS NOT", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]


def few_of(rng):
    """The literals that most values of a round are taken from."""
    if rng.random() < 0.35:
        return rng.sample(ALIKE, rng.choice((4, 7, 12)))
    return rng.choice(FAMILIES) + rng.sample(ALIKE, rng.choice((1, 3, 6)))


class Scope:
    """The columns a query sees: (text to write, column or None for a rowid)."""

    def __init__(self, rng, few=()):
        self.rng, self.columns, self.key_columns, self.params, self.features = rng, [], [], {}, set()
        self.few = few        # the literals that most values of this round are taken from
        self.tables = []      # (table, alias)
        self.comma = []       # what joins with a comma want of WHERE
        self.lists = True     # row values may stand in lists, in which ordinary tables lose rows where an index has a column twice: a third opinion is asked of SELECTs only
        self.outside = None   # the scope around a correlated subquery
        self.version = 3040001

    def add(self, table, alias):
        before = alias + "." if alias else ""
        self.tables.append((table, alias))
        for column in table.columns:
            self.columns.append(before + column.name)
        if table.rowid and self.rng.random() < 0.5:
            self.columns.append(before + "rowid")
        self.key_columns += [before + name for name in table.key] + [before + name for columns in table.unique for name in columns]

    def column(self):
        return self.rng.choice(self.columns + self.key_columns * 2)

    def bound(self, value):
        name = f"p{len(self.params)}"
        self.params[name] = value
        return ":" + name

    def value(self, bindable=True):
        rng = self.rng
        if self.few and rng.random() < 0.8:
            return rng.choice(self.few)
        chance = rng.random()
        if chance < 0.15 and bindable:
            self.features.add("bound parameter")
            return self.bound(rng.choice(BOUND))
        if chance < 0.7:
            return rng.choice(LITERALS)
        if chance < 0.85:
            return str(rng.randrange(-60, 60))
        return f"'k{rng.randrange(97)}'"

    def literal_list(self, most=5):
        return ", ".join(self.value() for _ in range(self.rng.randrange(1, most)))

    def constant(self):
        """A value, or an expression without columns."""
        rng = self.rng
        form = rng.randrange(12)
        if form == 0:
            return f"{rng.randrange(50)} + {rng.randrange(9)}"
        if form == 1:
            return f"'a' || {self.value(False)}"
        if form == 2:
            return f"CAST({self.value(False)} AS {rng.choice(('TEXT', 'INTEGER', 'REAL', 'NUMERIC', 'BLOB'))})"
        if form == 3 and self.outside:
            self.features.add("correlated subquery")
            return self.outside.column()
        return self.value()

    def expression(self, depth=0):
        rng = self.rng
        form = rng.randrange(16)
        if depth > 1 or form < 5:
            return self.column()
        if form == 5:
            return self.value()
        one = self.expression(depth + 1)
        if form == 6:
            return f"{one} {rng.choice(('+', '-', '*', '||', '%', '/'))} {rng.choice((self.value(), self.column()))}"
        if form == 7:
            return f"typeof({one})"
        if form == 8:
            return f"CASE WHEN {self.condition(2)} THEN {one} ELSE {self.value()} END"
        if form == 9:
            return f"coalesce({one}, {self.value()})"
        if form == 10:
            return f"CAST({one} AS {rng.choice(('TEXT', 'INTEGER', 'REAL', 'NUMERIC', 'BLOB'))})"
        if form == 11:
            return f"{rng.choice(('length', 'upper', 'hex', 'quote', 'trim', 'unicode'))}({one})"
        if form == 12:
            return f"substr({one}, {rng.randrange(-3, 4)}, {rng.randrange(4)})"
        if form == 13:
            return f"({one} {rng.choice(COMPARISONS[:8])} {self.value()})"
        if form == 14:
            return f"-{one}" if not one.startswith("-") else one
        return f"nullif({one}, {self.value()})"

    def condition(self, depth=0):
        rng = self.rng
        chance = rng.random()
        if depth < 2 and chance < 0.4:
            joined = rng.choice((" AND ", " AND ", " AND ", " OR "))
            if joined == " OR ":
                self.features.add("OR")
            return "(" + joined.join(self.condition(depth + 1) for _ in range(rng.choice((2, 2, 3)))) + ")"
        if chance < 0.44:
            return f"NOT ({self.condition(depth + 1)})"
        name = self.column()
        form = rng.randrange(24)
        if form < 8:
            comparison = rng.choice(COMPARISONS)
            if rng.random() < 0.1:
                return f"{self.constant()} {comparison} {name}"
            collate = ""
            if rng.random() < 0.08:
                collate = " COLLATE " + rng.choice(("NOCASE", "BINARY", "RTRIM"))
                self.features.add("COLLATE in a condition")
            return f"{name}{collate} {comparison} {self.constant()}"
        return self.special_condition(name, form)

    def special_condition(self, name, form):
        rng = self.rng
        negated = rng.choice(("", "", "NOT "))
        if form in (8, 9):
            self.features.add("BETWEEN")
            return f"{name} {negated}BETWEEN {self.value()} AND {self.value()}"
        if form in (10, 11, 12):
            self.features.add("IN (list)")
            return f"{name} {negated}IN ({self.literal_list()})"
        if form in (13, 14):
            self.features.add("LIKE, GLOB")
            pattern = rng.choice(("a%", "A%", "a*", "%b", "1%", "k1%", "K*", "a_", "a", "*", "%", "k?", "[a-k]*", "-%", "2.5%"))
            if rng.random() < 0.1:
                return f"{name} {negated}{rng.choice(('LIKE', 'GLOB'))} {self.bound(pattern)}"
            escape = " ESCAPE '_'" if rng.random() < 0.05 else ""
            return f"{name} {negated}LIKE '{pattern}'{escape}" if escape and not pattern.endswith("_") else f"{name} {negated}{rng.choice(('LIKE', 'GLOB'))} '{pattern}'"
        if form in (15, 16):
            self.features.add("IS NULL")
            return f"{name} {rng.choice(('IS NULL', 'IS NOT NULL', 'ISNULL', 'NOTNULL'))}"
        if form in (17, 18):
            return self.row_value()
        if form == 19:
            return f"{name} {rng.choice(COMPARISONS)} {self.column()}"
        if form >= 22:
            return self.prefix()
        if form == 20:
            return f"{self.expression()} {rng.choice(COMPARISONS)} {self.value()}"
        return f"({name} = {self.value()} OR {self.column()} = {self.value()} OR {name} > {self.value()})"

    def prefix(self):
        """Conditions on the first columns of a key or an index, as a planner likes them."""
        rng = self.rng
        table, alias = rng.choice(self.tables)
        before = alias + "." if alias else ""
        names = [before + name for name in rng.choice([table.key] + table.unique + list(table.indexes.values()))]
        parts = []
        for name in names[:rng.randrange(1, len(names) + 1)]:
            form = rng.randrange(10)
            if form < 5:
                self.features.add("IN (list)" if parts == [] else "IN on a later column")
                parts.append(f"{name} IN ({self.literal_list(8)})")
            elif form < 7:
                parts.append(f"{name} {rng.choice(('=', '=', 'IS'))} {self.value()}")
            elif form == 7:
                self.features.add("IN (SELECT)")
                parts.append(f"{name} IN (SELECT {rng.choice(('value', 'value % 7', chr(39) + 'k' + chr(39) + ' || value'))} FROM json_each('[1, 2, 5, 7, 16, 42, null]'))")
            elif form == 8:
                parts.append(f"{name} IS NOT NULL")
            else:
                parts.append(f"{name} {rng.choice(('<', '<=', '>', '>='))} {self.value()}")
        return "(" + " AND ".join(parts) + ")"

    def row_value(self):
        rng = self.rng
        self.features.add("row values")
        table, alias = rng.choice(self.tables)
        before = alias + "." if alias else ""
        names = [before + name for name in (table.key if len(table.key) > 1 and rng.random() < 0.6 else [column.name for column in table.columns][:rng.choice((2, 2, 3))])]
        width = len(names)
        # Of (a, b) IN (...) over RIGHT and FULL JOIN SQLite loses rows, of ordinary tables too, where one column has an index.
        if rng.random() < 0.35 and self.lists and not self.features & {"RIGHT JOIN", "FULL JOIN"}:
            rows = ", ".join("(" + ", ".join(self.value() for _ in range(width)) + ")" for _ in range(rng.randrange(1, 4)))
            return f"({', '.join(names)}) IN (VALUES {rows})"
        return f"({', '.join(names)}) {rng.choice(('<', '<=', '>', '>=', '=', '!=', 'IS'))} ({', '.join(self.value() for _ in range(width))})"
