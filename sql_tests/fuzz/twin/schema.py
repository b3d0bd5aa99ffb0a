"""Random declarations over what docs/sql.md says is supported. What this library refuses is found out first, by asking."""
import copy

TYPES = ["", "", "", "INTEGER", "INT", "BIGINT", "UNSIGNED BIG INT", "TEXT", "VARCHAR(20)", "CLOB", "REAL", "DOUBLE PRECISION", "FLOAT", "NUMERIC", "DECIMAL(10,5)",
         "BOOLEAN", "DATE", "STRING", "BLOB", "FLOATING POINT", "CHARINT"]
DENSE_TYPES = ["", "", "TEXT", "TEXT", "VARCHAR(20)", "INT", "REAL", "NUMERIC"]
NUMBER_TYPES = ["", "INT", "INT", "NUMERIC", "NUMERIC", "REAL", "TEXT"]
STRICT_TYPES = ["INTEGER", "INT", "TEXT", "REAL", "BLOB", "ANY"]
COLLATIONS = ["BINARY", "NOCASE", "RTRIM"]
CONFLICTS = ["ABORT", "REPLACE", "FAIL", "IGNORE", "ROLLBACK"]
NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"]
ODD_NAMES = ['"two words"', '"Select"', "[br]", "`tick`", '"zażółć"', "użytkownik", '"quo""te"', "_u", '"1st"']

# feature: a declaration that needs it. WITHOUT ROWID is what the ordinary table gets beside it.
PROBES = {
    "CHECK (column)": "a INTEGER CHECK (a > 0), b",
    "CHECK (table)": "a, b, CHECK (a <> b)",
    "CHECK named": "a, b, CONSTRAINT ab CHECK (a <> b)",
    "UNIQUE (column)": "a UNIQUE, b",
    "UNIQUE (table)": "a, b, UNIQUE (b, a)",
    "UNIQUE, clustered": "a TEXT PRIMARY KEY, b, UNIQUE (b)",
    "INDEX (declared)": "a, b, INDEX i (b, a)",
    "AUTOINCREMENT": "a INTEGER PRIMARY KEY AUTOINCREMENT, b",
    "STRICT": "a INT, b TEXT, STRICT",
    "DEFAULT literal": "a, b INT NOT NULL DEFAULT 7",
    "DEFAULT (expression)": "a, b INT NOT NULL DEFAULT (3 + 4)",
    "DEFAULT without NOT NULL": "a, b INT DEFAULT 7",
    "comments": "a /* one */, b -- two\n, c",
    "quoted and unicode names": 'a, "two words", użytkownik TEXT',
    **{f"NOT NULL ON CONFLICT {each}": f"a, b NOT NULL ON CONFLICT {each}" for each in CONFLICTS},
    **{f"PRIMARY KEY ON CONFLICT {each}": f"a TEXT, b, PRIMARY KEY (a) ON CONFLICT {each}" for each in CONFLICTS},
    **{f"UNIQUE ON CONFLICT {each}": f"a UNIQUE ON CONFLICT {each}, b" for each in CONFLICTS},
}


def probe(db, coverage):
    """The features this library supports."""
    supported = set()
    for feature, body in PROBES.items():
        try:
            db.execute(f"CREATE VIRTUAL TABLE probe USING lsm({body})")
            db.execute("DROP TABLE probe")
            supported.add(feature)
        except Exception as error:  # its words go into the report
            coverage.refusal(feature, str(error)[:90])
    try:
        db.execute("CREATE VIRTUAL TABLE probe USING lsm(a, b)")
        db.execute("SELECT lsm_create_index('probe', 'i', 'a, b DESC')")
        supported.add("lsm_create_index")
        db.execute("SELECT lsm_create_index('probe', 'u', 'a', 1)")
        supported.add("lsm_create_index, unique")
    except Exception as error:
        coverage.refusal("lsm_create_index" if "lsm_create_index" not in supported else "lsm_create_index, unique", str(error)[:90])
    return supported


class Column:
    def __init__(self, name, declared_type):
        self.name, self.type = name, declared_type
        self.collate = None
        self.not_null = False
        self.default = False
        self.checked = False

    @property
    def affinity(self):
        name = self.type.upper()
        if "INT" in name:
            return "INTEGER"
        if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
            return "TEXT"
        if not name or "BLOB" in name or name == "ANY":
            return "BLOB"
        return "REAL" if any(part in name for part in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


class Table:
    """One declaration: columns, the key, and the steps that make it."""

    def __init__(self, name, rng, supported, schema="main", few=()):
        """few: the literals that most values are taken from. Then often columns of few types, collations and indexes, where what is nearly alike meets."""
        self.dense = bool(few) and rng.random() < 0.7
        self.dense_types = NUMBER_TYPES if sum(text[0] in "-0123456789" for text in few) * 2 > len(few) else DENSE_TYPES
        self.name, self.rng, self.supported = name, rng, supported
        self.stem = name       # what its companions are called after, whatever it is renamed to
        self.schema = schema
        self.features = []
        self.unique = []       # lists of column names that are unique, the key aside
        self.indexes = {}      # name: columns
        self.index_orders = {}  # name: (column, COLLATE or None, DESC or not), the repeated ones too
        self.conflicts = False  # an ON CONFLICT clause stands in the declaration
        self.strict = self.may("STRICT", 0.12)
        self.kind = rng.choice(("rowid", "ipk", "ipk", "clustered", "clustered", "clustered"))
        self.make_columns()
        self.make_key()
        self.body = self.make_body()
        if schema != "main":
            self.features.append("declare: in " + {"aux": "an attached database", "temp": "the temporary database"}[schema])

    def may(self, feature, chance):
        if feature in self.supported and self.rng.random() < chance:
            self.features.append("declare: " + feature)
            return True
        return False

    @property
    def place(self):
        """Before a name in CREATE."""
        return "" if self.schema == "main" else self.schema + "."

    @property
    def rowid(self):
        return self.kind != "clustered"

    def make_columns(self):
        rng = self.rng
        names = list(NAMES[:rng.choice((2, 3, 3, 4, 5, 7))])
        if self.may("quoted and unicode names", 0.2):
            for at in rng.sample(range(len(names)), 2):
                names[at] = rng.choice([each for each in ODD_NAMES if each not in names])
        self.columns = [Column(name, rng.choice(STRICT_TYPES if self.strict else self.dense_types if self.dense else TYPES)) for name in names]
        for column in self.columns:
            if rng.random() < (0.5 if self.dense else 0.35):
                column.collate = rng.choice(COLLATIONS)
                self.features.append("declare: COLLATE " + column.collate)

    def make_key(self):
        rng = self.rng
        if self.kind == "rowid":
            self.key, self.key_terms = ["rowid"], [("rowid", "BINARY", False)]
            return
        count = 1 if self.kind == "ipk" else rng.choice((2, 2, 3) if self.dense else (1, 1, 2, 2, 3))
        chosen = rng.sample(self.columns, min(count, len(self.columns)))
        self.key = [column.name for column in chosen]
        if self.kind == "ipk":
            chosen[0].type, chosen[0].collate = "INTEGER", None
            self.key_terms = [(chosen[0].name, "BINARY", False)]
            return
        if len(chosen) == 1 and chosen[0].type == "INTEGER":
            chosen[0].type = rng.choice(("INT", "TEXT"))
        # The first column once more, behind its first mention or at the end, under the same collation or another one.
        twice = rng.random() < (0.3 if self.dense else 0.1)
        if twice and self.dense and not self.strict:
            chosen[0].type, chosen[0].collate = rng.choice(("TEXT", "")), rng.choice(("NOCASE", "RTRIM"))
        self.key_terms = []
        for column in chosen:
            column.not_null = True
            collate = rng.choice(COLLATIONS) if rng.random() < (0.35 if self.dense else 0.2) and not (twice and self.dense) else None
            self.key_terms.append((column.name, collate or column.collate or "BINARY", rng.random() < 0.3, collate))
        if twice:
            column, collate, at = chosen[0], rng.choice(COLLATIONS + [None]), rng.choice((1, len(chosen)))
            if self.dense:
                collate, at = rng.choice([each for each in COLLATIONS if each != column.collate]), 1
            self.key.insert(at, column.name)
            self.key_terms.insert(at, (column.name, collate or column.collate or "BINARY", rng.random() < 0.3, collate))
            self.features.append("declare: a column twice in a key")

    def conflict_clause(self, constraint):
        rng = self.rng
        if rng.random() < 0.8:
            return ""
        mode = rng.choice(CONFLICTS)
        if not self.may(f"{constraint} ON CONFLICT {mode}", 1):
            return ""
        self.conflicts = self.conflicts or mode != "ABORT"
        return " ON CONFLICT " + mode

    def column_text(self, column):
        rng, name = self.rng, column.name
        if self.kind == "ipk" and name == self.key[0]:
            return name + " INTEGER PRIMARY KEY" + (" AUTOINCREMENT" if self.may("AUTOINCREMENT", 0.25) else self.conflict_clause("PRIMARY KEY"))
        text = f"{name} {column.type}".rstrip()
        in_key = name in self.key
        if (not in_key and rng.random() < 0.25) or (in_key and rng.random() < 0.3):
            column.not_null = True
            self.features.append("declare: NOT NULL")
            text += " NOT NULL" + self.conflict_clause("NOT NULL")
            if not in_key:
                text += self.default_text(column)
        if column.collate:
            text += " COLLATE " + column.collate
        if not in_key and self.may("UNIQUE (column)", 0.12):
            text += " UNIQUE" + self.conflict_clause("UNIQUE")
            self.unique.append([name])
        if self.may("CHECK (column)", 0.12):
            column.checked = True
            text += f" CHECK ({self.check(name)})"
        return text

    def default_text(self, column):
        strict = {"TEXT": "'dd'", "BLOB": "x'dd'", "REAL": "4.5"}.get(column.type, "4") if self.strict else None
        if self.may("DEFAULT literal", 0.3):
            column.default = True
            return " DEFAULT " + (strict or self.rng.choice(("7", "'seven'", "-7.5", "x'07'", "'7'", "TRUE")))
        if self.may("DEFAULT (expression)", 0.1):
            column.default = True
            return f" DEFAULT ({strict or self.rng.choice(('3 + 4', chr(39) + 'a' + chr(39) + ' || 7', 'abs(-3)'))})"
        return ""

    def check(self, name):
        return self.rng.choice((f"{name} IS NOT 3", f"{name} <> 'a'", f"typeof({name}) <> 'blob'", f"length({name}) < 30 OR {name} IS NULL", f"{name} NOT LIKE 'b%'",
                                f"{name} BETWEEN -1000 AND 'zzz'", f"{name} IS NULL OR {name} < 'm' OR {name} > 5", f"{name} NOT IN (7, 'ab', 2.5)"))

    def make_body(self):
        rng = self.rng
        parts = [self.column_text(column) for column in self.columns]
        if self.kind == "clustered":
            # The key of one column may stand with the column.
            name, _, descending, collate = self.key_terms[0]
            if len(self.key) == 1 and collate is None and rng.random() < 0.4:
                at = [column.name for column in self.columns].index(name)
                declared = f"{name} {self.columns[at].type}".rstrip()
                parts[at] = declared + " PRIMARY KEY" + (" DESC" if descending else "") + self.conflict_clause("PRIMARY KEY") + parts[at][len(declared):]
            else:
                terms = ", ".join(name + (f" COLLATE {collate}" if collate else "") + (" DESC" if descending else "") for name, _, descending, collate in self.key_terms)
                parts.append(f"PRIMARY KEY ({terms})" + self.conflict_clause("PRIMARY KEY"))
        parts += self.table_constraints()
        if self.may("comments", 0.05):
            parts[0] += " /* a, (comment */"
        self.features.append("declare: " + {"rowid": "no key", "ipk": "INTEGER PRIMARY KEY", "clustered": f"PRIMARY KEY of {len(self.key)}"}[self.kind])
        return ", ".join(parts)

    def some_columns(self):
        names = [column.name for column in self.columns]
        return self.rng.sample(names, self.rng.randrange(1, min(3, len(names)) + 1))

    def table_constraints(self):
        rng, parts = self.rng, []
        if self.may("UNIQUE (table)" if self.rowid else "UNIQUE, clustered", 0.2):
            columns = self.some_columns()
            parts.append(f"UNIQUE ({', '.join(columns)})" + self.conflict_clause("UNIQUE"))
            self.unique.append(columns)
        if self.may("CHECK (table)", 0.1):
            one, other = rng.choice(self.columns).name, rng.choice(self.columns).name
            name = "CONSTRAINT together " if self.may("CHECK named", 0.5) else ""
            parts.append(f"{name}CHECK ({one} IS NOT {other} OR {self.check(other)})")
        return parts

    def create_step(self):
        declared = ""
        if self.may("INDEX (declared)", 0.6 if self.dense else 0.25):
            columns, name = self.some_columns(), f"{self.name}_d"
            self.indexes[name], self.index_orders[name] = columns, self.index_terms(columns)
            declared = f", INDEX ${name} ({self.terms_text(self.index_orders[name])})"
        options = [each for each, wanted in (("WITHOUT ROWID", not self.rowid), ("STRICT", self.strict)) if wanted]
        return {"kind": "create", "sql": f"CREATE TABLE {self.place}${self.name}({self.body}) " + ", ".join(options),
                "lsm": f"CREATE VIRTUAL TABLE {self.place}${self.name} USING lsm({self.body}{declared}{', STRICT' if self.strict else ''})"}

    def index_terms(self, columns):
        rng = self.rng
        twice = [columns[0]] if rng.random() < (0.25 if self.dense else 0.08) else []
        self.features += ["declare: a column twice in a key"] * len(twice)
        return [(name, rng.choice(COLLATIONS) if rng.random() < 0.2 + 0.3 * len(twice) else None, rng.random() < 0.33) for name in (columns[:1] + twice + columns[1:] if rng.random() < 0.5 else columns + twice)]

    @staticmethod
    def terms_text(terms):
        return ", ".join(name + (f" COLLATE {collate}" if collate else "") + (" DESC" if descending else "") for name, collate, descending in terms)

    def trees(self):
        """The terms of the key and of each index, as index_terms() gives them."""
        return [[(term[0], term[3] if len(term) == 4 else None, term[2]) for term in self.key_terms]] + list(self.index_orders.values())

    @property
    def plain(self):
        """For third.py: (name, columns without keys, columns to copy)."""
        body = ", ".join(f"{column.name} {'' if column.type == 'ANY' else column.type}" + (f" COLLATE {column.collate}" if column.collate else "") for column in self.columns)
        return self.name, body, ["rowid"] * self.rowid + [column.name for column in self.columns]

    def copy(self):
        """What a rollback goes back to."""
        copied = copy.copy(self)
        copied.indexes, copied.index_orders, copied.unique = dict(self.indexes), dict(self.index_orders), list(self.unique)
        return copied

    def total_order(self, alias=None, direction=""):
        """ORDER BY terms that leave no two rows equal."""
        before = alias + "." if alias else ""
        return ", ".join(f"{before}{term[0]}" + ("" if term[0] == "rowid" else f" COLLATE {term[1]}") + direction for term in self.key_terms)

    def key_columns(self, alias=None):
        """The key's columns under the key's collations: equal ones are of one row, while several rows may be equal under those of the columns."""
        return self.total_order(alias).split(", ")

    def sure_order(self, alias=None):
        """For writes: the plus keeps SQLite from taking a term for one value that a condition only makes equal to a number, as '5' and '05' are."""
        return ", ".join("+" + term for term in self.key_columns(alias))
