"""SELECTs as applications write them: values looked up, pages behind a key, patterns, collations asked for, lists joined, graphs walked, the best of a group."""
from .expressions import BOUND, LITERALS
from .sources import Sources

COLLATES = (" COLLATE NOCASE", " COLLATE RTRIM", " COLLATE BINARY")


class Applications(Sources):
    def application(self, tables):
        forms = [self.looked_up, self.looked_up, self.looked_up, self.in_tree_order, self.in_tree_order, self.collated, self.patterns, self.paged, self.listed, self.walked, self.windows, self.concatenated, self.missing,
                 self.failing, self.between_columns]
        return self.rng.choice(forms)(tables)

    def one_known(self, table, name, row=None):
        """A value that stands in the table, of which SQLite does not know when it plans. row: which one, counted from 0."""
        return f"(SELECT k.{name} FROM ${table.name} AS k ORDER BY {table.total_order('k')} LIMIT 1 OFFSET {self.rng.randrange(12) if row is None else row})"

    def looked_up(self, tables):
        """The first columns of a key or an index have one value each, the next one equals what comes at run time; in the order of what follows."""
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, "t")])
        trees = [[term[0] for term in tree] for tree in table.trees()]
        untyped = {column.name for column in table.columns if column.affinity == "BLOB"}
        wanted = [names for names in trees if len(names) > 1 and untyped & set(names[1:])] or [names for names in trees if len(names) > 1] or trees
        names = rng.choice(wanted)
        at, row = rng.randrange(1, len(names)) if len(names) > 1 else 0, rng.randrange(20)
        if rng.random() < 0.7:
            at = rng.choice([i for i, name in enumerate(names) if i > 0 and name in untyped] or [at])
        known = 0.7 if rng.random() < 0.7 else 0.2
        terms = [f"t.{name} {rng.choice(('=', '=', 'IS'))} {scope.value() if rng.random() > known else self.one_known(table, name, row)}" for name in names[:at]]
        source, form, other = f"${table.name} AS t", rng.randrange(7), rng.choice(tables)
        if form > 3 and rng.random() < 0.6:
            texts = {column.name for column in table.columns if column.affinity in ("TEXT", "BLOB")}
            names, at, terms = rng.choice([each for each in trees if each[0] in texts] or [names]), 0, []
        compared = [column.name for column in other.columns if column.affinity in ("BLOB", "INTEGER", "NUMERIC")] or [other.key[0]]
        operator = rng.choice(("=", "=", "=", "IS", ">=", "<", "<="))
        if form == 0:
            source = f"${other.name} AS o JOIN {source}" if rng.random() < 0.7 else f"{source} JOIN ${other.name} AS o"
            terms.append(f"t.{names[at]} {operator} o.{rng.choice(compared)}")
        elif form > 3:
            # Texts in columns of numbers: they make SQLite read those of the key as numbers.
            numeric = [column.name for column in other.columns if column.affinity in ("INTEGER", "NUMERIC", "REAL")] or compared
            terms.append(f"t.{names[at]} {rng.choice(('<', '<=', operator))} {self.one_known(other, rng.choice(numeric))}")
        else:
            value = self.one_known(table, names[at], row) if form < 3 else scope.bound(rng.choice([0, 1, 2, 5, 5.0, 10, -1, 2.5, 2 ** 53, "5", "a0"]))
            terms.append(f"t.{names[at]} {operator} {value if rng.random() < 0.8 else f'+{value}'}")
        if rng.random() < 0.2:
            terms.append(scope.condition(1))
        where, direction = " AND ".join(terms), rng.choice(("", "", " DESC"))
        shown = [f"t.{name}" for name in names[at if rng.random() < 0.7 else 0:]]
        form = rng.randrange(5)
        if form < 3:
            order, what = ", ".join(name + direction for name in shown), ", ".join(shown)
            if form == 0:
                what += ", t.*" + (", o.*" if " AS o" in source else "")
            return self.made(scope, f"SELECT {what} FROM {source} WHERE {where} ORDER BY {order}", ["a value known at run time behind constant columns"], order=len(shown))
        what = ("DISTINCT " + shown[0]) if form == 3 else f"{shown[0]}, count(*)"
        return self.made(scope, f"SELECT {what} FROM {source} WHERE {where}" + ("" if form == 3 else f" GROUP BY {shown[0]}"), ["a value known at run time behind constant columns"], fold=True)

    def in_tree_order(self, tables):
        """ORDER BY the terms of a key or an index as declared, or nearly so."""
        rng = self.rng
        # Behind the columns of an index stand those of the key.
        trees = [(table, tree if at == 0 else list(tree) + table.trees()[0]) for table in tables for at, tree in enumerate(table.trees())]
        repeating = [(table, tree) for table, tree in trees if len({name for name, _, _ in tree}) < len(tree)]
        table, tree = rng.choice(repeating if repeating and rng.random() < 0.8 else trees)
        scope, backwards = self.scope([(table, None)]), rng.random() < 0.4
        if rng.random() < 0.5:
            return self.each_once(table, scope, tree, backwards)
        chosen = list(tree[:rng.randrange(1, len(tree) + 1)])
        if rng.random() < 0.25:
            chosen = rng.sample(list(tree), len(chosen))
        terms = []
        for name, collate, descending in chosen:
            chance = rng.random()
            written = f" COLLATE {collate}" if collate and chance < 0.75 else rng.choice(COLLATES) if chance > 0.9 and name != "rowid" else ""
            terms.append(name + written + (" DESC" if descending != (backwards if rng.random() < 0.9 else not backwards) else "") +
                         (rng.choice((" NULLS FIRST", " NULLS LAST")) if rng.random() < 0.08 else ""))
        names = [name for name, _, _ in chosen]
        if rng.random() < 0.2 and len(chosen) > 1:
            first = rng.choice(LITERALS) if not self.few else rng.choice(self.few)
            scope.comma.append(f"{names[0]} = {first}")
            terms = terms[1:]
        return self.made(scope, f"SELECT {', '.join(names)} FROM ${table.name}{self.where(scope, 0.5)} ORDER BY {', '.join(terms)}, {table.total_order()}{rng.choice(('', '', self.limit(scope)))}",
                         ["ORDER BY the terms of a tree", "COLLATE in ORDER BY"], order="exact")

    def each_once(self, table, scope, tree, backwards):
        """The columns of a tree under their own collations, no one twice: what is between them must not matter."""
        rng, names, terms = self.rng, [], []
        for name, _, descending in tree:
            if name not in names:
                names.append(name)
                terms.append(name + (" DESC" if descending != backwards else ""))
        count = rng.randrange(1, len(names) + 1) if rng.random() < 0.5 else min(2, len(names))
        return self.made(scope, f"SELECT {', '.join(names[:count])} FROM ${table.name}{self.where(scope, 0.3)} ORDER BY {', '.join(terms[:count])}", ["ORDER BY the terms of a tree"], order=count)

    def collated(self, tables):
        """Collations asked for in the statement."""
        rng = self.rng
        table = rng.choice(tables)
        scope, collate = self.scope([(table, None)]), rng.choice(COLLATES)
        name, form, where = scope.column() + collate, rng.randrange(6), self.where(scope, 0.4)
        feature, add = ["COLLATE in the statement"], " AND " if where else " WHERE "
        if form == 0:
            return self.made(scope, f"SELECT DISTINCT {name} FROM ${table.name}{where}", feature, fold=True)
        if form == 1:
            return self.made(scope, f"SELECT {name}, count(*) FROM ${table.name}{where} GROUP BY {name}", feature, fold=True)
        if form == 2:
            return self.made(scope, f"SELECT * FROM ${table.name}{where}{add}{name} IN ({scope.literal_list(6)})", feature)
        if form == 3:
            return self.made(scope, f"SELECT * FROM ${table.name}{where}{add}{name} BETWEEN {scope.value()} AND {scope.value()}", feature)
        if form == 4:
            return self.made(scope, f"SELECT max({name}), min({name}), count(DISTINCT {name}) FROM ${table.name}{where}", feature, fold=True)
        return self.made(scope, f"SELECT count(*) FROM ${table.name} AS a JOIN ${table.name} AS b ON a.{table.columns[0].name} = b.{rng.choice(table.columns).name}{collate}", feature + ["join"])

    def patterns(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        name, other = scope.column(), rng.choice(table.columns).name
        text = rng.choice((f"{name} LIKE '50!%%' ESCAPE '!'", f"{name} LIKE 'a!_%' ESCAPE '!'", f"{name} LIKE 'a0%' ESCAPE '0'", f"{name} NOT LIKE {other}", f"{name} LIKE {other} || '%'", f"{name} LIKE '' || {other}",
                           f"like('a%', {name})", f"glob('[a-b]*', {name})", f"{name} GLOB '[^a]*'", f"{name} GLOB 'A*'", f"{name} GLOB '[]a]*'", f"{name} GLOB 'a0*'", f"{name} LIKE 'a0%'", f"{name} LIKE 'A0%'", f"{name} LIKE NULL",
                           f"{name} LIKE ''", f"{name} LIKE '5%'", f"{name} GLOB '5*'", f"{name} LIKE 'é%'", f"{name} GLOB 'é*'", f"{name} LIKE 'É%'", f"{name} LIKE char(97) || '%'",
                           f"{name} LIKE {scope.bound(rng.choice(('a%', 'A0%', 'k1_', '5%', '', '%', None, b'a%')))}", f"{name} GLOB {scope.bound(rng.choice(('a*', 'A0*', 'k1?', '5*', '[', '[a', None)))}",
                           f"instr({name}, 'a') > 0", f"substr({name}, 1, 1) = 'a'", f"{name} >= 'a' AND {name} < 'b'", f"upper({name}) = upper({other})"))
        return self.made(scope, f"SELECT * FROM ${table.name} WHERE {text}{' AND ' + scope.condition(1) if rng.random() < 0.3 else ''}", ["LIKE with ESCAPE, of columns, GLOB sets", "LIKE, GLOB"])

    def paged(self, tables):
        """The next page behind a row."""
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        names = ", ".join(table.key)
        descending = rng.choice((False, True))
        total = table.total_order(None, " DESC" if descending else "")
        row = f"(SELECT {names} FROM ${table.name} ORDER BY {total} LIMIT 1 OFFSET {rng.randrange(8)})"
        operator = rng.choice(("<", "<=")) if descending else rng.choice((">", ">="))
        where = f"({names}) {operator} {row}"
        if len(table.key) == 2 and rng.random() < 0.5:
            a, b = table.key
            one, two = self.one_known(table, a), self.one_known(table, b)
            where = f"{a} = {one} AND {b} {operator} {two} OR {a} {operator[0]} {one}"
        order = total if rng.random() < 0.6 else table.total_order()
        return self.made(scope, f"SELECT * FROM ${table.name} WHERE {where} ORDER BY {order} LIMIT {rng.randrange(1, 12)}", ["the next page behind a row"], order="exact")

    def listed(self, tables):
        """Lists of the application: VALUES, json_each(), IN over both, joined inside and outside."""
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, "t")])
        name, form = f"t.{rng.choice(table.key + [column.name for column in table.columns])}", rng.randrange(5)
        values = ", ".join(f"({scope.value(False)})" for _ in range(rng.randrange(1, 9)))
        bound = scope.bound(rng.choice(('[1, 2, 5, 2.5, "a0", "A0", null, "5", 42]', '["k5", "K17", "a ", 7, -1]', "[]", '[9007199254740993, 0.0, ""]'))) if form > 2 else ""
        condition = self.where(scope, 0.3)
        add = " AND " if condition else " WHERE "
        text = (f"SELECT count(*), count(t.{table.columns[-1].name}) FROM (VALUES {values}) AS v {rng.choice(('JOIN', 'LEFT JOIN', 'CROSS JOIN'))} ${table.name} AS t ON {name} = v.column1{condition}",
                f"SELECT t.* FROM ${table.name} AS t{condition}{add}{name} {rng.choice(('IN', 'NOT IN'))} (VALUES {values})",
                f"WITH v(x) AS (VALUES {values}) SELECT v.x, count(t.{table.columns[0].name}) FROM v LEFT JOIN ${table.name} AS t ON {name} {rng.choice(('=', 'IS', '<'))} v.x GROUP BY v.x",
                f"SELECT j.value, t.* FROM json_each({bound}) AS j {rng.choice(('JOIN', 'LEFT JOIN', 'CROSS JOIN'))} ${table.name} AS t ON {name} = j.value{condition}",
                f"SELECT t.* FROM ${table.name} AS t{condition}{add}{name} {rng.choice(('IN', 'NOT IN'))} (SELECT value FROM json_each({bound}))")[form]
        return self.made(scope, text, ["VALUES and json_each() joined and in lists"], fold=form == 2)

    def walked(self, tables):
        """A graph: from row to row by a value of the same numeric or no type."""
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, "t")])
        names = [column.name for column in table.columns if column.affinity in ("INTEGER", "BLOB") and (column.collate or "BINARY") == "BINARY"]
        if not names:
            return self.paged(tables)
        one = rng.choice(names)
        # What has no type of its own must stay so along the walk.
        other = rng.choice([column.name for column in table.columns if column.name in names and column.affinity == next(each.affinity for each in table.columns if each.name == one)])
        order = rng.choice(("", "", " ORDER BY 2", " ORDER BY 2 DESC"))
        text = f"WITH RECURSIVE w(x, d) AS (SELECT t.{one}, 0 FROM ${table.name} AS t{self.where(scope)} UNION SELECT t.{other}, w.d + 1 FROM w JOIN ${table.name} AS t ON t.{one} = w.x WHERE w.d < {rng.randrange(1, 5)}{order}) "
        text += rng.choice(("SELECT d, x FROM w", "SELECT d, count(*) FROM w GROUP BY d", f"SELECT count(*) FROM ${table.name} AS s WHERE s.{other} IN (SELECT +x FROM w)"))
        return self.made(scope, text, ["WITH RECURSIVE from row to row"], fold=True)

    def windows(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        name, total = scope.column(), table.total_order(None, rng.choice(("", " DESC")))
        frames = ("ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES", "GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS UNBOUNDED PRECEDING", "")
        form = rng.randrange(4)
        if form == 0:
            text = f"SELECT *, count(*) OVER (ORDER BY CAST({name} AS INTEGER) % 1000 RANGE BETWEEN {rng.randrange(4)} PRECEDING AND {rng.randrange(4)} FOLLOWING) FROM ${table.name}{self.where(scope, 0.4)}"
        elif form == 1:
            text = (f"SELECT *, count(*) FILTER (WHERE {scope.condition(1)}) OVER w, sum(length({name})) OVER (w {rng.choice(frames)}), last_value({scope.column()}) OVER w "
                    f"FROM ${table.name}{self.where(scope, 0.4)} WINDOW w AS (PARTITION BY {scope.column()} ORDER BY {total})")
        elif form == 2:
            text = f"SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {name} ORDER BY {total}) AS n_ FROM ${table.name}{self.where(scope, 0.4)}) WHERE n_ <= {rng.randrange(1, 4)}"
        else:
            text = f"SELECT *, row_number() OVER (ORDER BY {total}), percent_rank() OVER (ORDER BY {name}), lag({name}, 1) OVER (ORDER BY {total}) FROM ${table.name}{self.where(scope, 0.4)}"
        return self.made(scope, text, ["window functions", "window functions: FILTER, RANGE, WINDOW, best of a group"])

    def concatenated(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        name = scope.column()
        function = rng.choice((f"group_concat({name})", f"group_concat({name}, '')", f"json_group_array(quote({name}))", f"group_concat(DISTINCT typeof({name}))"))
        if "DISTINCT" in function:
            function = f"count(DISTINCT typeof({name}))"
        return self.made(scope, f"SELECT {function} FROM (SELECT * FROM ${table.name}{self.where(scope, 0.6)} ORDER BY {table.total_order()}{rng.choice(('', ' LIMIT 7'))})".replace("SELECT *", f"SELECT {name}", 1)
                         if "." not in name else f"SELECT count(*) FROM ${table.name}", ["group_concat(), json_group_array() of ordered rows"])

    def missing(self, tables):
        """Rows without a partner, written in three ways; NOT IN over what may hold NULL."""
        rng = self.rng
        table, other = rng.choice(tables), rng.choice(tables)
        scope = self.scope([(table, "t")])
        one, two = f"t.{rng.choice(table.columns).name}", f"o.{rng.choice(other.key + [column.name for column in other.columns])}"
        key = f"o.{other.key[0]}"
        text = rng.choice((f"SELECT t.* FROM ${table.name} AS t LEFT JOIN ${other.name} AS o ON {two} = {one} WHERE {key} IS NULL",
                           f"SELECT t.* FROM ${table.name} AS t WHERE NOT EXISTS (SELECT 1 FROM ${other.name} AS o WHERE {two} = {one})",
                           f"SELECT t.*, {one} NOT IN (SELECT +{two} FROM ${other.name} AS o) FROM ${table.name} AS t",
                           f"SELECT t.*, {one} IN (SELECT +{two} FROM ${other.name} AS o WHERE {two} IS NOT NULL) FROM ${table.name} AS t",
                           f"SELECT t.*, EXISTS (SELECT * FROM ${other.name} AS o WHERE {two} = {one}) FROM ${table.name} AS t",
                           f"SELECT t.*, (SELECT {key} FROM ${other.name} AS o WHERE {two} = {one} ORDER BY {other.total_order('o')} LIMIT 1) FROM ${table.name} AS t"))
        return self.made(scope, text, ["rows without a partner, NOT IN with NULL"])

    def failing(self, tables):
        """An expression that fails for some of the rows, for one or another reason."""
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        name = scope.column()
        what = rng.choice((f"abs({name})", f"json({name})", f"json_extract({name}, '$')", f"'x' LIKE 'y' ESCAPE {name}", f"substr('abc', {name}), zeroblob(abs({name}) % 9)", f"printf('%d %s', {name}, {name})",
                           f"json_extract('[1,2]', {name})", f"strftime('%Y', {name})", f"round({name}, 2)", f"{name} << 70, ~{name}, {name} & 255", f"char({name})", f"nullif({name}, 0x7fffffffffffffff)"))
        return self.made(scope, f"SELECT {what} FROM ${table.name}{self.where(scope, 0.6)}", ["expressions that may fail half way"], several="any")

    def between_columns(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        a, b, c = (scope.column() for _ in range(3))
        text = rng.choice((f"{a} BETWEEN {b} AND {c}", f"{a} NOT BETWEEN {b} AND {scope.value()}", f"{scope.value()} BETWEEN {a} AND {b}", f"({a}, {b}) BETWEEN ({scope.value()}, {scope.value()}) AND ({b}, {c})",
                           f"{a} IN ({b}, {c}, {scope.value()})", f"{scope.value()} IN ({a}, {b})", f"{a} = {b} OR {b} = {c}", f"CAST({a} AS INTEGER) = {b}", f"{a} IS {b}", f"({a}, {b}) = ({b}, {c})",
                           f"{a} BETWEEN {scope.bound(rng.choice(BOUND))} AND {scope.bound(rng.choice(BOUND))}"))
        return self.made(scope, f"SELECT * FROM ${table.name} WHERE {text}", ["BETWEEN and IN of columns, mixed types"])
