"""How often each feature of docs/sql.md was used, how often with success, and what the library refused."""
from collections import Counter

# What docs/sql.md promises, one line each, and the features whose statements put it to the test; a feature may end in "*". "-": other tests do.
PROMISES = [
    ("types and affinities, typeof() of what is stored", ("typeof()", "declare: NOT NULL", "the whole table")),
    ("no key: rowids", ("declare: no key",)), ("INTEGER PRIMARY KEY", ("declare: INTEGER PRIMARY KEY",)), ("AUTOINCREMENT", ("declare: AUTOINCREMENT",)),
    ("clustered on any key, DESC, COLLATE", ("declare: PRIMARY KEY of *",)), ("a column twice in a key or an index", ("declare: a column twice in a key",)), ("STRICT", ("declare: STRICT",)),
    ("NOT NULL", ("declare: NOT NULL",)), ("DEFAULT", ("declare: DEFAULT*",)), ("CHECK", ("declare: CHECK*",)), ("COLLATE", ("declare: COLLATE*", "COLLATE in a condition")),
    ("UNIQUE", ("declare: UNIQUE (*", "declare: UNIQUE, clustered", "lsm_create_index, unique")), ("ON CONFLICT in the declaration", ("declare: * ON CONFLICT *",)),
    ("INDEX in the declaration", ("declare: INDEX (declared)",)), ("lsm_create_index(), lsm_drop_index()", ("lsm_create_index*", "lsm_drop_index")),
    ("quoted and unicode names, comments", ("declare: quoted and unicode names", "declare: comments")), ("temporary and attached databases", ("declare: in *",)),
    ("ALTER TABLE RENAME TO, DROP TABLE, in transactions too", ("ALTER TABLE RENAME TO", "DROP TABLE")),
    ("=, IS, <, <=, >, >= on key and indexes", ("SELECT",)), ("BETWEEN", ("BETWEEN",)), ("IN", ("IN *",)), ("IN on a later column", ("IN on a later column",)), ("IS NULL", ("IS NULL",)),
    ("LIKE, GLOB", ("LIKE, GLOB",)), ("OR", ("OR",)), ("row values", ("row values", "row IN (SELECT)")), ("bound parameters", ("bound parameter",)),
    ("ORDER BY, both ways", ("ORDER BY",)), ("ORDER BY up and down", ("ORDER BY columns of an index, up and down",)), ("LIMIT, OFFSET", ("LIMIT, OFFSET*",)),
    ("DISTINCT that passes rows over", ("DISTINCT over a key or an index",)), ("DISTINCT, GROUP BY, aggregates", ("DISTINCT", "GROUP BY", "aggregates")), ("min(), max()", ("min(), max()",)),
    ("joins, lookups", ("join", "JOIN", "LEFT JOIN", "CROSS JOIN", "comma join")), ("RIGHT and FULL JOIN, from SQLite 3.39 on", ("RIGHT JOIN", "FULL JOIN")),
    ("DISTINCT and GROUP BY over joins, in FROM", ("DISTINCT over a join", "GROUP BY over a join", "DISTINCT or GROUP BY in FROM")), ("subqueries", ("*subquery", "EXISTS")), ("compound SELECT", ("compound: *",)), ("window functions", ("window functions",)),
    ("WITH, WITH RECURSIVE", ("WITH*",)),
    ("INSERT of one, several, many rows", ("INSERT of *", "INSERT DEFAULT VALUES")), ("INSERT ... SELECT", ("INSERT ... SELECT",)), ("OR ABORT, FAIL, IGNORE, REPLACE, ROLLBACK", ("* OR *",)),
    ("INSERT ... RETURNING, or refused", ("INSERT ... RETURNING", "refused: RETURNING*")), ("UPDATE, of keys too", ("UPDATE", "UPDATE of key or unique columns")),
    ("UPDATE ... FROM", ("UPDATE ... FROM",)), ("DELETE", ("DELETE*",)), ("views with INSTEAD OF triggers", ("INSTEAD OF *",)), ("triggers of ordinary tables", ("trigger of an ordinary table",)),
    ("lsm_truncate(), lsm_delete_range()", ("lsm_truncate", "lsm_delete_range")),
    ("BEGIN, COMMIT, ROLLBACK", ("BEGIN, COMMIT", "ROLLBACK")), ("SAVEPOINT, ROLLBACK TO, RELEASE", ("SAVEPOINT", "ROLLBACK TO", "RELEASE")), ("a second connection", ("second connection: *",)),
    ("values known at run time behind constant columns", ("a value known at run time *",)), ("ORDER BY the terms of a key or an index", ("ORDER BY the terms of a tree",)),
    ("COLLATE in the statement: ORDER BY, DISTINCT, GROUP BY, IN, max()", ("COLLATE in the statement", "COLLATE in ORDER BY")), ("LIKE with ESCAPE, of columns; GLOB sets", ("LIKE with ESCAPE*",)),
    ("the next page behind a row", ("the next page behind a row",)), ("VALUES and json_each() joined and in lists", ("VALUES and *",)), ("WITH RECURSIVE from row to row", ("WITH RECURSIVE from *",)),
    ("window functions: FILTER, RANGE, WINDOW, best of a group", ("window functions: *",)), ("group_concat(), json_group_array() of ordered rows", ("group_concat()*",)),
    ("rows without a partner, NOT IN with NULL", ("rows without *",)), ("expressions that fail half way, in SELECT and INSERT", ("expressions that *", "INSERT of expressions *")),
    ("BETWEEN and IN of columns, mixed types", ("BETWEEN and IN *",)), ("UPDATE, DELETE, INSERT with subqueries over the same table", ("* over the same table", "INSERT of the next number")),
    ("UPDATE SET of a row value", ("UPDATE SET *",)), ("UPSERT of an ordinary table whose triggers write the table", ("UPSERT *",)),
    ("changes(), last_insert_rowid() in triggers", ("changes(), *",)), ("a SELECT prepared before the schema changed", ("a SELECT again",)),
    ("two SELECTs side by side, writes while one is open", ("two SELECTs *", "a write while *")), ("COMMIT that a deferred foreign key refuses", ("COMMIT that *",)),
    ("ANALYZE, VACUUM, REINDEX, checkpoints; PRAGMAs between statements", ("ANALYZE, *", "PRAGMAs *")),
    ("flushing, merging, reopening", ("flush, compact", "reopening")), ("lsm_check()", ("lsm_check",)),
    ("crashes, copies, several processes, interrupts, limits, authorizers", "-"), ("PRAGMA table_info, ANALYZE and what else differs", "-"),
]


def fits(feature, pattern):
    """A star stands for anything, once or twice."""
    parts = pattern.split("*")
    if len(parts) == 1 or not feature.startswith(parts[0]) or not feature.endswith(parts[-1]):
        return feature == pattern
    return all(part in feature for part in parts)


class Coverage:
    def __init__(self):
        self.used, self.succeeded, self.rows, self.refused = Counter(), Counter(), Counter(), {}

    def note(self, features, ok, rows=0):
        for feature in features:
            self.used[feature] += 1
            self.succeeded[feature] += ok
            self.rows[feature] += rows

    def refusal(self, feature, message):
        self.refused[feature] = message

    def report(self):
        lines = [f"{'feature':<44}{'statements':>11}{'succeeded':>11}{'rows':>12}"]
        for feature in sorted(self.used):
            lines.append(f"{feature:<44}{self.used[feature]:>11,}{self.succeeded[feature]:>11,}{self.rows[feature]:>12,}")
        for feature, message in sorted(self.refused.items()):
            lines.append(f"refused: {feature:<35} {message}")
        lines.append("what docs/sql.md promises, and the statements that put it to the test:")
        for promise, patterns in PROMISES:
            count = sum(self.used[feature] for feature in self.used if any(fits(feature, pattern) for pattern in patterns))
            lines.append(f"  {promise:<76}" + ("other tests" if patterns == "-" else f"{count:>11,}" if count else "  NOT COVERED"))
        return "\n".join(lines)
