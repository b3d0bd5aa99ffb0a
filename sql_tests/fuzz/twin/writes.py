"""Random writes whose outcome SQLite defines, whatever the order in which rows are found, and that docs/sql.md does not list as different."""
import sqlite3

from .companions import Companions
from .expressions import LITERALS, NAN, Scope

MODES = ["", "", "", " OR REPLACE", " OR REPLACE", " OR IGNORE", " OR FAIL", " OR ABORT", " OR ROLLBACK"]


class Writes(Companions):
    def __init__(self, rng, reads, options):
        self.rng, self.reads, self.options = rng, reads, options
        self.in_transaction = False

    def step(self, table, tables):
        rng = self.rng
        chance = rng.random()
        if chance < 0.5:
            made = self.insert(table)
        elif chance < 0.58:
            made = self.insert_select(table, tables)
        elif chance < 0.62:
            made = self.bulk(table)
        elif chance < 0.8:
            made = self.update(table, tables)
        elif chance < 0.91:
            made = self.delete(table, tables)
        elif chance < 0.95:
            made = self.rng.choice((self.insert_halfway, self.update_counted, self.delete_doubles, self.delete_first, self.insert_next, self.insert_failing, self.update_row))(table, tables)
        else:
            made = self.through(table)
        made["writes"] = True
        return made

    def scope(self, tables):
        scope = self.reads.scope(tables)
        scope.lists = all(len({name for name, _, _ in tree}) == len(tree) for table, _ in tables for tree in table.trees())
        return scope

    def mode(self, table):
        mode = self.rng.choice(MODES)
        if mode == " OR FAIL" and "AUTOINCREMENT" in table.body:
            return ""  # where it fails, SQLite forgets the numbers of the rows it keeps
        # An ordinary table forgets the number of a row that a statement with OR FAIL leaves behind.
        if mode == " OR FAIL" and "declare: AUTOINCREMENT" in table.features:
            return ""
        # With one connection the ordinary side's rollback would take the LSM side's transaction along.
        if mode == " OR ROLLBACK" and self.options["connections"] == 1 and self.in_transaction:
            return ""
        return mode

    def value(self, table, column, scope, alone, mode=""):
        """alone: the statement has one row, so an error within it leaves nothing half done."""
        rng = self.rng
        if table.kind == "ipk" and column.name == table.key[0]:
            if alone and rng.random() < 0.15:
                text = scope.value()
                # Behind the greatest SQLite takes rowids at random; the least it does not find by the real that equals it.
                shown = str(scope.params[text[1:]]) if text.startswith(":") else text
                return "-7" if "922337203685477580" in shown else text
            return rng.choice(("NULL", str(rng.randrange(-60, 60)), str(rng.randrange(200)), "'12'", "5.0")) if rng.random() < 0.95 else str(rng.randrange(10 ** 12))
        # A wrong type in a STRICT table under OR IGNORE, FAIL or ROLLBACK has another code: SQLite does not let a virtual table give both.
        if table.strict and (not alone or mode not in ("", " OR ABORT") or rng.random() < 0.7):
            return self.strict_value(column)
        if rng.random() < 0.01:
            return rng.choice(("zeroblob(3000)", "hex(zeroblob(2000))", "char(0)", "printf('%.*c', 20000, 'x')", "CAST(x'41ff42' AS TEXT)")) if rng.random() < 0.9 or column.default else "9e999 - 9e999"
        text = scope.value()
        # SQLite hands a virtual table NULL for a column that was left out.
        while column.default and (text == "NULL" or text.startswith(":") and scope.params[text[1:]] in (None, NAN)):
            text = rng.choice(LITERALS)
        return text

    def strict_value(self, column):
        rng = self.rng
        kind = column.type
        if not column.not_null and rng.random() < 0.1:
            return "NULL"
        return {"TEXT": rng.choice(("'a'", "'A'", "'b'", f"'k{rng.randrange(97)}'", "''")), "REAL": rng.choice(("1.5", "2", "-7.25")),
                "BLOB": rng.choice(("x''", "x'00ff'", "x'61'"))}.get(kind, str(rng.randrange(-40, 40)))

    def insert(self, table, returning=False):
        """returning: rather with RETURNING."""
        rng = self.rng
        scope = Scope(rng, self.reads.few)
        mode = self.mode(table)
        count = 1 if returning else rng.choice((1, 1, 1, 2, 3, 8, 25))
        columns = list(table.columns)
        form, named = rng.random(), ""
        if form < 0.25:
            columns = rng.sample(columns, rng.randrange(1, len(columns) + 1))
            named = f"({', '.join(column.name for column in columns)})"
        elif form < 0.33 and table.kind == "rowid":
            named = f"(rowid, {', '.join(column.name for column in columns)})"
        rows = []
        for _ in range(count):
            values = [self.value(table, column, scope, count == 1, mode) for column in columns]
            if named.startswith("(rowid"):
                values.insert(0, rng.choice(("NULL", str(rng.randrange(-20, 90)), str(rng.randrange(-20, 90)))))
            rows.append("(" + ", ".join(values) + ")")
        features = ["INSERT" + mode, "INSERT of several rows" if count > 1 else "INSERT of one row"]
        if form > 0.985 and not table.conflicts:
            return {"sql": f"INSERT{mode} INTO ${table.name} DEFAULT VALUES", "features": ["INSERT DEFAULT VALUES"]}
        verb = "REPLACE" if mode == " OR REPLACE" and rng.random() < 0.5 else "INSERT" + mode
        if count == 1 and rng.random() < (0.6 if returning else 0.2) and sqlite3.sqlite_version_info >= (3, 35):
            # Refused where other values would be shown than are stored.
            names = [column.name for column in table.columns]
            made = [f"typeof({rng.choice(names)})", f"coalesce({rng.choice(names)}, 'none') || '!'", f"{rng.choice(names)} AS r", f"quote({rng.choice(names)})"]
            shown = ", ".join(rng.choice(names + ["*"] + ["rowid"] * 3 * table.rowid + made * (rng.random() < 0.5)) for _ in range(rng.choice((1, 2))))
            return {"sql": f"{verb} INTO ${table.name}{named} VALUES {', '.join(rows)} RETURNING {shown}", "params": scope.params, "features": ["INSERT ... RETURNING"]}
        return {"sql": f"{verb} INTO ${table.name}{named} VALUES {', '.join(rows)}", "params": scope.params, "features": features}

    def guarded(self, table, column, text):
        """For a column of INSERT ... SELECT: no NULL where NULL means the default, no type that ends the statement half way."""
        if table.kind == "ipk" and column.name == table.key[0]:
            return f"CAST({text} AS INTEGER) % 1000" if self.rng.random() < 0.5 else "NULL"
        if column.default:
            text = f"coalesce({text}, 3)"
        if table.strict:
            kind = "INTEGER" if column.type in ("INT", "INTEGER", "ANY") else column.type
            text = f"CAST({text} AS {kind})"
        return text

    def insert_select(self, table, tables):
        rng = self.rng
        source = rng.choice(tables)
        scope = self.scope([(source, None)])
        names = [column.name for column in source.columns]
        if source is table and rng.random() < 0.4:
            picked = names
        else:
            picked = [rng.choice(names + [rng.choice(LITERALS), f"{rng.choice(names)} + 1", f"'z' || {rng.choice(names)}", "typeof(" + rng.choice(names) + ")"]) for _ in table.columns]
        picked = [self.guarded(table, column, text) for column, text in zip(table.columns, picked)]
        mode = self.mode(table)
        where = self.reads.where(scope)
        return {"sql": f"INSERT{mode} INTO ${table.name} SELECT {', '.join(picked)} FROM ${source.name}{where} ORDER BY {source.sure_order()} LIMIT {rng.choice((1, 5, 20, 200))}",
                "params": scope.params, "features": ["INSERT ... SELECT", "INSERT" + mode, *scope.features]}

    def bulk(self, table, count=None):
        """Many regular rows, so that the planner has choices and memtables roll."""
        rng = self.rng
        count = count or (rng.choice((50, 50, 200, 1500)) if rng.random() < self.options["bulk"] else 10)
        prime = rng.choice((7, 31, 101, 7919))
        makers = [f"(i * {prime}) % 997", f"'k' || (i * {prime} % 97)", "i / 4.0", "i", f"printf('%05d', i * {prime} % 3001)", "CASE i % 7 WHEN 0 THEN NULL ELSE -i END",
                  "CASE i % 9 WHEN 0 THEN i END", "CAST('b' || i AS BLOB)"]
        if self.options["bulk"] > 0.5:
            makers.append("printf('%d %.*c', i, 300, 'p')")
        picked = [self.guarded(table, column, self.one_of_few() if self.reads.few else rng.choice(makers)) for column in table.columns]
        return {"sql": f"WITH RECURSIVE n(i) AS (SELECT {rng.randrange(100)} UNION ALL SELECT i + 1 FROM n LIMIT {count}) INSERT OR IGNORE INTO ${table.name} SELECT {', '.join(picked)} FROM n",
                "features": ["INSERT of many rows", "WITH RECURSIVE"]}

    def one_of_few(self):
        """Of a number i, in no order that shows."""
        few, (a, b, c) = self.reads.few, (self.rng.randrange(1, 1000) for _ in range(3))
        return f"CASE (i + {a}) * (i + {b}) * {c} % 10007 % {len(few)} {' '.join(f'WHEN {at} THEN {value}' for at, value in enumerate(few))} END"

    def one_row(self, table, scope):
        """A condition that holds for one row at most, with a total order on both sides."""
        names, found = ", ".join(table.key_columns()), ", ".join(table.key)
        where = self.reads.where(scope, 0.6)
        return f" WHERE ({names}) = (SELECT {found} FROM ${table.name}{where} ORDER BY {table.sure_order()} LIMIT 1 OFFSET {self.rng.randrange(4)})"

    def update(self, table, tables):
        rng = self.rng
        scope = self.scope([(table, None)])
        sensitive = set(table.key) | {name for columns in table.unique for name in columns}
        names = [column.name for column in table.columns] + (["rowid"] if table.kind == "rowid" else [])
        chosen = rng.sample(names, rng.choice((1, 1, 2, min(3, len(names)))))
        if rng.random() < 0.6:
            chosen = [name for name in chosen if name not in sensitive] or chosen
        moving = bool(sensitive & set(chosen))
        mode = self.mode(table)
        # Several rows that move, or that end at the first bad one: the outcome would depend on the order of finding them.
        alone = moving or mode in (" OR FAIL", " OR REPLACE") or table.conflicts or table.strict
        sets = [f"{name} = {self.new_value(table, name, scope, alone, mode)}" for name in chosen]
        features = ["UPDATE" + mode] + (["UPDATE of key or unique columns"] if moving else [])
        if rng.random() < 0.1:
            return self.update_from(table, rng.choice(tables), chosen, mode)
        where = self.one_row(table, scope) if alone else self.reads.where(scope)
        return {"sql": f"UPDATE{mode} ${table.name} SET {', '.join(sets)}{where}", "params": scope.params, "features": features + sorted(scope.features), "several": not alone}

    def update_from(self, table, other, chosen, mode):
        """One row of the table takes values from one row of another: of the right types, for 3.40 does not say which columns are set, nor so whether CHECK comes before the rowid."""
        rng, scope = self.rng, Scope(self.rng, self.reads.few)
        alias = "u"
        sets = []
        for name in chosen:
            integer = name == "rowid" or (table.kind == "ipk" and name == table.key[0])
            column = None if integer else next(each for each in table.columns if each.name == name)
            taken = f"{alias}.{rng.choice(other.columns).name}" if rng.random() < 0.7 and not table.strict else "7" if integer else self.strict_value(column) if table.strict else self.value(table, column, scope, True, mode)
            sets.append(f"{name} = " + (f"CAST({taken} AS INTEGER) % 1000" if integer else taken))
        names = ", ".join(table.key_columns(f"${table.name}"))
        same = f"({names}) = (SELECT {', '.join(table.key)} FROM ${table.name} ORDER BY {table.sure_order()} LIMIT 1 OFFSET {rng.randrange(3)})"
        return {"sql": f"UPDATE{mode} ${table.name} SET {', '.join(sets)} FROM (SELECT * FROM ${other.name} ORDER BY {other.sure_order()} LIMIT 1 OFFSET {rng.randrange(2)}) AS {alias} "
                f"WHERE {same}", "params": scope.params, "features": ["UPDATE ... FROM", "UPDATE" + mode]}

    def new_value(self, table, name, scope, alone, mode):
        rng = self.rng
        if name == "rowid" or (table.kind == "ipk" and name == table.key[0]):
            return rng.choice((str(rng.randrange(-60, 90)), f"{name} + 1000", f"-{name}", f"{name} + 1", name))
        column = next(each for each in table.columns if each.name == name)
        if table.strict:
            return self.value(table, column, scope, alone, mode)
        form = rng.random()
        if form < (0.25 if column.default else 0.06):
            return "NULL"
        if form < 0.5:
            return self.value(table, column, scope, alone, mode)
        if form < 0.6:
            return rng.choice(table.columns).name
        if form < 0.7:
            return f"{name} || {rng.choice(('1', chr(39) + 'x' + chr(39)))}"
        if form < 0.8:
            return f"{name} + {rng.choice(('1', '0.5'))}"
        if form < 0.85:
            return f"(SELECT count(*) FROM ${table.name})"
        return scope.expression()

    def delete(self, table, tables):
        rng = self.rng
        scope = self.scope([(table, None)])
        features = ["DELETE"]
        if rng.random() < 0.2:
            # An ordinary table's DELETE goes wrong when the subquery's index is the tree it deletes from.
            others = [each for each in tables if each is not table]
            if not others:
                return self.delete(table, tables)
            other = rng.choice(others)
            inner = self.scope([(other, "i")])
            inner.params = scope.params
            # The plus: looked for as a rowid, the real beside the least integer is not found.
            where = f" WHERE {scope.column()} IN (SELECT +{inner.column()} FROM ${other.name} AS i{self.reads.where(inner, 0.8)})"
            features.append("DELETE with a subquery")
        elif rng.random() < 0.03:
            where = ""
            features.append("DELETE of all rows")
        else:
            where = " WHERE " + scope.condition()
            if rng.random() < 0.6:
                where += f" AND {scope.condition(1)}"
        return {"sql": f"DELETE FROM ${table.name}{where}", "params": scope.params, "features": features + sorted(scope.features)}

    def update_counted(self, table, tables):
        """A value from a subquery over the same table, row for row."""
        rng, scope = self.rng, self.scope([(table, None)])
        plain = [column.name for column in table.columns if column.name not in table.key and all(column.name not in columns for columns in table.unique)
                 and not column.checked and (not table.strict or column.type in ("INT", "INTEGER", "ANY"))]
        if not plain or table.conflicts or self.options["bulk"] > 0.5:
            return self.delete_first(table, tables)
        name, key = rng.choice(plain), table.key[0]
        value = rng.choice((f"(SELECT count(*) FROM ${table.name} AS i WHERE i.{key} <= ${table.name}.{key})", f"(SELECT count(*) FROM ${table.name} AS i WHERE i.{key} IS NOT ${table.name}.{key})"))
        # Not that column, which changes on the way.
        scope.columns = scope.key_columns = [each for each in scope.columns if each != name]
        return {"sql": f"UPDATE ${table.name} SET {name} = {value} WHERE {scope.column()} {rng.choice(('>', '<', '=', 'IS NOT'))} {scope.value()}", "params": scope.params,
                "features": ["UPDATE with a subquery over the same table"], "several": True}

    def delete_doubles(self, table, tables):
        """All but the first of the rows that are alike in a column."""
        if self.options["bulk"] > 0.5:  # many rows, and each one looks through all of them
            return self.delete_first(table, tables)
        name, total = self.rng.choice(table.columns).name, table.sure_order("i")
        key, same = ", ".join(table.key), f"i.{name} IS ${table.name}.{name}"
        return {"sql": f"DELETE FROM ${table.name} WHERE ({key}) IS NOT (SELECT {', '.join('i.' + each for each in table.key)} FROM ${table.name} AS i WHERE {same} ORDER BY {total} LIMIT 1)",
                "features": ["DELETE with a subquery over the same table"]}

    def delete_first(self, table, tables):
        rng, scope = self.rng, self.scope([(table, None)])
        key, where = ", ".join(table.key), self.reads.where(scope, 0.5)
        return {"sql": f"DELETE FROM ${table.name} WHERE ({key}) IN (SELECT {key} FROM ${table.name}{where} ORDER BY {table.sure_order()} LIMIT {rng.randrange(1, 6)})"
                if len(table.key) == 1 and table.rowid else f"DELETE FROM ${table.name}{self.one_row(table, scope)}", "params": scope.params, "features": ["DELETE with a subquery over the same table"]}

    def insert_next(self, table, tables):
        """The next number, as applications make it; from the table itself."""
        rng, scope = self.rng, Scope(self.rng, self.reads.few)
        if table.strict:
            return self.insert(table)
        values = [self.value(table, column, scope, True) for column in table.columns]
        at = rng.randrange(len(values)) if table.kind != "ipk" else [column.name for column in table.columns].index(table.key[0])
        if table.columns[at].default:
            return self.insert(table)
        name = table.columns[at].name
        values[at] = f"(SELECT coalesce(max(CAST({name} AS INTEGER) % 1000000), 0) + 1 FROM ${table.name})"
        mode = rng.choice(("", " OR IGNORE", " OR FAIL" if "AUTOINCREMENT" not in table.body else ""))
        return {"sql": f"INSERT{mode} INTO ${table.name} VALUES ({', '.join(values)})", "params": scope.params, "features": ["INSERT of the next number"]}

    def insert_failing(self, table, tables):
        """An expression that fails half way, which undoes the statement whatever its conflict mode."""
        rng, source = self.rng, self.rng.choice(tables)
        name = rng.choice(source.columns).name
        picked = [self.guarded(table, column, rng.choice(source.columns).name) for column in table.columns]
        at = rng.randrange(len(picked))
        failing = rng.choice((f"length(json({name}))", f"abs({name})", f"json_extract({name}, '$')"))
        picked[at] = self.guarded(table, table.columns[at], failing)
        if picked[at] == "NULL":
            picked[at] = f"CAST({failing} AS INTEGER) % 1000"
        mode = rng.choice((" OR IGNORE", " OR REPLACE")) if not table.conflicts else " OR IGNORE"
        scope = self.scope([(source, None)])
        where = f" WHERE {scope.condition()}" if rng.random() < 0.5 else ""
        return {"sql": f"INSERT{mode} INTO ${table.name} SELECT {', '.join(picked)} FROM ${source.name}{where} ORDER BY {source.sure_order()}", "params": scope.params,
                "features": ["INSERT of expressions that may fail half way"], "several": "any"}

    def insert_halfway(self, table, tables):
        """Some rows, and then an expression that fails: what was there of the statement must leave no trace."""
        rng, scope = self.rng, Scope(self.rng, self.reads.few)
        values = [self.value(table, column, scope, False) for column in table.columns]
        at = rng.randrange(len(values))
        values[at] = f"CASE WHEN key = {rng.choice((1, 2))} THEN abs(-9223372036854775808) ELSE {values[at]} END"
        mode = rng.choice(("", " OR IGNORE", " OR REPLACE")) if not table.conflicts else ""
        names = ", ".join(column.name for column in table.columns)
        return {"sql": f"INSERT{mode} INTO ${table.name}({names}) SELECT {', '.join(values)} FROM json_each('[0, 0, 0]')", "params": scope.params, "several": "any",
                "features": ["INSERT of expressions that may fail half way"]}

    def update_row(self, table, tables):
        """SET of a row value, of one row."""
        rng, scope = self.rng, self.scope([(table, None)])
        names = [column.name for column in table.columns if column.name not in table.key and not column.default]
        if len(names) < 2 or table.strict:
            return self.insert_next(table, tables)
        other, chosen = rng.choice(tables), rng.sample(names, 2)
        taken = ", ".join(f"o.{rng.choice(other.columns).name}" for _ in chosen)
        return {"sql": f"UPDATE{self.mode(table)} ${table.name} SET ({', '.join(chosen)}) = (SELECT {taken} FROM ${other.name} AS o ORDER BY {other.sure_order('o')} LIMIT 1){self.one_row(table, scope)}",
                "params": scope.params, "features": ["UPDATE SET of a row value"]}
