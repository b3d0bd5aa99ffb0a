"""Random SELECTs whose result SQLite defines, up to what Sides.compare() leaves out."""
from .applications import Applications


class Reads(Applications):
    def step(self, tables):
        forms = [self.plain, self.plain, self.plain, self.plain, self.ordered, self.ordered, self.ordered, self.limited, self.limited, self.grouped, self.distinct, self.passed_over, self.passed_over,
                 self.extremes, self.joined, self.joined, self.derived, self.compound, self.window, self.with_subquery, self.with_subquery, self.common_table, self.counted,
                 self.declaration, self.outer_limit] + [self.application] * 10
        return self.rng.choice(forms)(tables)

    def plain(self, tables):
        table = self.rng.choice(tables)
        scope = self.scope([(table, None)])
        what = self.rng.choice(("*", "rowid, *" if table.rowid else "*", None)) or ", ".join(scope.expression() for _ in range(self.rng.randrange(1, 4)))
        where = self.where(scope)
        return self.made(scope, f"SELECT {what} FROM ${table.name}{where}")

    def order_terms(self, scope, table):
        """Some key columns, or any, each with a direction. Returns names and terms."""
        rng = self.rng
        mode = rng.random()
        if mode < 0.6:
            terms = table.key_terms[:rng.randrange(1, len(table.key_terms) + 1)]
            backwards = rng.random() < 0.5
            names = [term[0] for term in terms]
            directions = [(" DESC" if term[2] != backwards else "") for term in terms]
            if rng.random() < 0.3:
                directions = [rng.choice(("", " DESC")) for _ in terms]
        else:
            names = rng.sample([column.name for column in table.columns], rng.choice((1, 1, min(2, len(table.columns)))))
            directions = [rng.choice(("", "", " DESC", " DESC", " ASC", " NULLS LAST", " DESC NULLS FIRST")) for _ in names]
        return names, [name + direction for name, direction in zip(names, directions)]

    def ordered(self, tables):
        table = self.rng.choice(tables)
        scope = self.scope([(table, None)])
        names, terms = self.order_terms(scope, table)
        where = self.where(scope)
        return self.made(scope, f"SELECT {', '.join(names)}, * FROM ${table.name}{where} ORDER BY {', '.join(terms)}", ["ORDER BY"], order=len(names))

    def limited(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        where = self.where(scope)
        features = ["ORDER BY", "LIMIT, OFFSET"]
        if table.indexes and rng.random() < 0.25:
            names = rng.choice(list(table.indexes.values()))
            order = ", ".join(name + rng.choice(("", " DESC")) for name in names[:rng.randrange(1, 4)]) + ", " + table.total_order()
            features.append("ORDER BY columns of an index, up and down")
        elif rng.random() < 0.7:
            backwards = rng.random() < 0.4
            order = ", ".join(term[0] + (f" COLLATE {term[1]}" if len(term) == 4 and (term[3] or rng.random() < 0.1) else "") +
                              (" DESC" if term[2] != backwards else "") for term in table.key_terms)
        else:
            order = self.order_terms(scope, table)[1][0] + ", " + table.total_order()
        return self.made(scope, f"SELECT * FROM ${table.name}{where} ORDER BY {order}{self.limit(scope)}", features, order="exact")

    def limit(self, scope):
        rng = self.rng
        form = rng.randrange(8)
        if form < 3:
            return f" LIMIT {rng.randrange(20)}" + (f" OFFSET {rng.randrange(6)}" if form else "")
        if form == 3:
            return f" LIMIT {rng.randrange(6)}, {rng.randrange(20)}"
        if form == 4:
            return f" LIMIT -1 OFFSET {rng.choice((0, 3, -2, 500))}"
        if form == 5:
            return f" LIMIT (SELECT {rng.randrange(9)} + 1) OFFSET {rng.randrange(4)} * 2"
        scope.features.add("LIMIT, OFFSET: bound")
        scope.params.update(most=rng.choice((0, 1, 5, 40, -1)), past=rng.choice((0, 1, 7, -3)))
        return " LIMIT :most" + rng.choice(("", " OFFSET :past"))

    def counted(self, tables):
        scope, text = self.source(tables)
        column = scope.column()
        where = self.where(scope, 0.7)
        # What a sum is made of is an integer: the order of adding does not matter.
        return self.made(scope, f"SELECT count(*), count({column}), sum(length({column})), total(typeof({column}) = 'text'), count(DISTINCT {column}) FROM {text}{where}",
                         ["aggregates"])

    def extremes(self, tables):
        scope, text = self.source(tables)
        what = self.rng.choice(("min({0})", "max({0})", "min({0}), max({0})", "max({0}), count(*)")).format(scope.column())
        where = self.where(scope, 0.6)
        return self.made(scope, f"SELECT {what} FROM {text}{where}", ["min(), max()"], fold=True)

    def grouped(self, tables):
        rng = self.rng
        scope, text = self.source(tables)
        names = self.columns_of(scope, 3)
        counted = scope.column()
        where = self.where(scope, 0.5)
        having = " HAVING count(*) > 1" if rng.random() < 0.3 else ""
        order = " ORDER BY " + ", ".join(name + rng.choice(("", "", " DESC")) for name in names) if rng.random() < 0.5 else ""
        return self.made(scope, f"SELECT {', '.join(names)}, count(*), count({counted}), max(length({counted})) FROM {text}{where} GROUP BY {', '.join(names)}{having}{order}",
                         ["GROUP BY"] + ["GROUP BY over a join"] * (len(scope.tables) > 1), fold=True, order=len(names) if order else "any")

    def distinct(self, tables):
        rng = self.rng
        scope, text = self.source(tables)
        names = self.columns_of(scope, 3)
        where = self.where(scope, 0.5)
        order = f" ORDER BY {', '.join(name + rng.choice(('', '', ' DESC')) for name in names)}" + rng.choice(("", f" LIMIT {rng.randrange(9)}")) if rng.random() < 0.5 else ""
        return self.made(scope, f"SELECT DISTINCT {', '.join(names)} FROM {text}{where}{order}", ["DISTINCT"] + ["DISTINCT over a join"] * (len(scope.tables) > 1), fold=True,
                         order="exact" if order else "any")

    def passed_over(self, tables):
        """DISTINCT over the first columns of a key or an index, with conditions that tell apart what is equal there."""
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        columns = rng.choice([table.key] + list(table.indexes.values()) * 3)
        overlooking = {column.name for column in table.columns if column.collate in ("NOCASE", "RTRIM")}
        if rng.random() < 0.5:  # rather a key in which texts are equal that are not the same
            columns = rng.choice([each for each in [table.key] + list(table.indexes.values()) if each[0] in overlooking] or [columns])
        numeric = {column.name for column in table.columns if column.affinity in ("INTEGER", "NUMERIC")}
        if "-9223372036854775808" in self.few:  # rather one in which an integer and a real are alike
            columns = rng.choice([each for each in [table.key] + list(table.indexes.values()) if each[0] in numeric] or [columns])
        names = columns[:rng.choice((1, 1, 1, 2))]
        one = rng.choice(columns)
        texts = [text for text in self.few if text.startswith("'")] or ["'A'", "'aB'", "'K17'", "'a '", "'b  '", "'k1'", "'ab'"]
        exact = f"hex({names[0]}) IN (hex({rng.choice(texts)}), hex({rng.choice(texts)}))"
        if names[0] in numeric:
            exact = f"typeof({names[0]}) {rng.choice(('=', '<>'))} '{rng.choice(('real', 'integer'))}'"  # which tells the least integer from its real
        condition = rng.choice((exact, exact, exact, "", "", f"{one} GLOB '*[A-Z]*'", f"{one} = lower({one}) COLLATE BINARY", f"typeof({one}) <> '{rng.choice(('real', 'integer', 'text'))}'",
                                f"length({one}) > {rng.randrange(4)}", f"{one} > {scope.value()}", f"{one} IS NOT NULL", f"{rng.choice(table.columns).name} > {scope.value()}",
                                scope.prefix(), f"rowid % 3 = {rng.randrange(3)}" if table.rowid else ""))
        if rng.random() < 0.4:
            condition = exact
        order = rng.choice(("", "", " ORDER BY " + ", ".join(names), " ORDER BY " + ", ".join(name + " DESC" for name in names),
                            " ORDER BY " + ", ".join(names) + f" LIMIT {rng.randrange(9)}"))
        return self.made(scope, f"SELECT DISTINCT {', '.join(names)} FROM ${table.name}{' WHERE ' + condition if condition else ''}{order}",
                         ["DISTINCT", "DISTINCT over a key or an index"], fold=True, order="exact" if order else "any")

    def declaration(self, tables):
        table = self.rng.choice(tables)
        scope = self.scope([(table, None)])
        where = self.where(scope, 0.7)
        return self.made(scope, f"SELECT {', '.join(f'typeof({column.name}), {column.name}' for column in table.columns)} FROM ${table.name}{where}", ["typeof()"])

    def joined(self, tables):
        rng = self.rng
        count = rng.choice((2, 2, 2, 3))
        chosen = [(rng.choice(tables), f"j{i}") for i in range(count)]
        scope, text = self.join(chosen)
        if rng.random() < 0.25:
            self_where = self.where(scope, 0.9)
            return self.made(scope, f"SELECT count(*), sum(length({scope.columns[0]})), count({scope.columns[-1]}) FROM {text}{self_where}", ["join"])
        where = self.where(scope, 0.7 if count == 2 else 1)
        what = ", ".join(f"{alias}.*" for _, alias in chosen)
        if rng.random() < 0.4:
            order = ", ".join(table.total_order(alias, rng.choice(("", " DESC"))) for table, alias in chosen)
            return self.made(scope, f"SELECT {what} FROM {text}{where} ORDER BY {order} LIMIT {rng.randrange(1, 60)}", ["join", "ORDER BY", "LIMIT, OFFSET"], order="exact")
        # A product of large tables is cut: what is not ordered is counted.
        return self.made(scope, f"SELECT count(*), count({scope.columns[-1]}), sum(length({scope.columns[0]})), sum(length({scope.columns[-1]})) FROM {text}{where}", ["join"])

    def derived(self, tables):
        """Distinct or grouped rows of one table, joined with another. Which of several equal values stands for them must not matter to the join."""
        rng = self.rng
        one, other = rng.choice(tables), rng.choice(tables)
        inner, scope = self.scope([(one, "x")]), self.scope([(other, "b")])
        inner.params, inner.features = scope.params, scope.features
        names = [f"x.{column.name}" for column in one.columns if column.affinity in ("INTEGER", "REAL", "TEXT") and (column.collate or "BINARY") == "BINARY"] or [f"typeof(x.{one.columns[0].name})"]
        first, second = rng.choice(names), rng.choice(names)
        where = self.where(inner, 0.4)
        text = f"SELECT DISTINCT {first} AS p, {second} AS q FROM ${one.name} AS x{where}" if rng.random() < 0.7 else \
            f"SELECT {first} AS p, count(*) AS q FROM ${one.name} AS x{where} GROUP BY 1"
        what = f"{scope.column()} AS r"
        join = f"{rng.choice(('JOIN', 'LEFT JOIN'))} ${other.name} AS b ON {scope.column()} = a.{rng.choice('pq')}"
        return self.made(scope, f"SELECT a.p, a.q, {what} FROM ({text}) AS a {join}{self.where(scope, 0.3)}", ["join", "subquery", "DISTINCT or GROUP BY in FROM"], fold=True)

    def outer_limit(self, tables):
        """A LIMIT that must not be pushed through a filter or a join."""
        rng = self.rng
        one, other = rng.choice(tables), rng.choice(tables)
        scope = self.scope([(one, "x")])
        where = self.where(scope, 0.5)
        inner = f"SELECT * FROM ${one.name} AS x{where} ORDER BY {one.total_order('x')} LIMIT {rng.randrange(1, 12)} OFFSET {rng.randrange(3)}"
        return self.made(scope, f"SELECT count(*) FROM ({inner}) AS s JOIN ${other.name} AS y ON s.{rng.choice(one.columns).name} = y.{rng.choice(other.columns).name}",
                         ["join", "LIMIT, OFFSET", "subquery"])

    def compound(self, tables):
        rng = self.rng
        arms, width, scope = [], rng.choice((1, 1, 2)), self.scope([(tables[0], None)])
        operators = [rng.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT")) for _ in range(rng.choice((1, 1, 2)))]
        for _ in range(len(operators) + 1):
            arm, source = self.source(tables, scope.params)
            # An INTEGER PRIMARY KEY of an ordinary table has no collation for the others to differ from.
            without = {f"{alias}.{table.key[0]}" if alias else table.key[0] for table, alias in arm.tables if table.kind == "ipk"}
            columns = [name for name in arm.columns if name not in without]
            names = ", ".join(rng.choice(columns) for _ in range(width))
            arms.append(f"SELECT {names} FROM {source}{self.where(arm, 0.7)}")
            scope.features |= arm.features
        text = arms[0] + "".join(f" {operator} {arm}" for operator, arm in zip(operators, arms[1:]))
        order = "any"
        if rng.random() < 0.5:
            text += " ORDER BY " + ", ".join(str(i + 1) + rng.choice(("", " DESC")) for i in range(width)) + rng.choice(("", f" LIMIT {rng.randrange(12)}"))
            order = "exact"
        return self.made(scope, text, ["compound: " + each for each in operators], fold=True, order=order)

    def window(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        total = table.total_order(None, rng.choice(("", " DESC")))
        part = f"PARTITION BY {scope.column()} " if rng.random() < 0.6 else ""
        frame = rng.choice(("", "", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", " GROUPS 1 PRECEDING", " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW"))
        function = rng.choice(("row_number()", "rank()", "dense_rank()", f"lag({scope.column()})", f"lead({scope.column()}, 2, 'none')", f"first_value({scope.column()})",
                               "count(*)", f"sum(length({scope.column()}))", "ntile(3)", f"nth_value({scope.column()}, 2)"))
        order = total if "rank" not in function or rng.random() < 0.5 else scope.column()
        where = self.where(scope, 0.5)
        return self.made(scope, f"SELECT *, {function} OVER ({part}ORDER BY {order}{frame}) FROM ${table.name}{where}", ["window functions"])

    def with_subquery(self, tables):
        rng = self.rng
        table, other = rng.choice(tables), rng.choice(tables)
        scope = self.scope([(table, "o")])
        form = rng.randrange(5)
        inner = self.scope([(other, "i")], scope if form < 3 else None)
        inner.params, inner.features = scope.params, scope.features
        if form == 0:
            # SQLite 3.40 does not see the NULLs of an ordinary table's index on a DESC column: NOT IN gets a plus, which keeps it from the index.
            negated = rng.choice((False, True))
            text, feature = f"{scope.column()} {'NOT ' if negated else ''}IN (SELECT {'+' if negated else ''}{inner.column()} FROM ${other.name} AS i{self.where(inner, 0.6)})", "IN (SELECT)"
        elif form == 1:
            text, feature = f"{rng.choice(('', 'NOT '))}EXISTS (SELECT 1 FROM ${other.name} AS i WHERE {inner.column()} = {scope.column()}{' AND ' + inner.condition(1) if rng.random() < 0.5 else ''})", "EXISTS"
        elif form == 2:
            text = f"{scope.column()} {rng.choice(('=', '<', '>='))} (SELECT {inner.column()} FROM ${other.name} AS i{self.where(inner, 0.6)} ORDER BY {other.total_order('i')} LIMIT 1)"
            feature = "scalar subquery"
        elif form == 3:
            left, right = self.alike(table, other, 2)
            text, feature = f"({left}) IN (SELECT {right} FROM ${other.name} AS i{self.where(inner, 0.5)})", "row IN (SELECT)"
        else:
            counted, compared = inner.column(), inner.column()
            # SQLite takes a column that equals something for one value, also where a number equals several texts.
            what = "count(*)" if counted == compared else rng.choice(("count(*)", "count(*)", f"count(DISTINCT {counted})", f"max({counted})", f"min({counted})"))
            return self.made(scope, f"SELECT {'*, ' if what == 'count(*)' else ''}(SELECT {what} FROM ${other.name} AS i WHERE {compared} {rng.choice(('=', '<', 'IS'))} {scope.column()}) "
                             f"FROM ${table.name} AS o", ["scalar subquery", "correlated subquery"], fold=what != "count(*)")
        return self.made(scope, f"SELECT * FROM ${table.name} AS o WHERE {text}", [feature, "subquery"])

    def alike(self, table, other, width):
        """Pairs of columns of the same affinity, which is not TEXT: of rows with others SQLite compares some part by the wrong one, on both kinds of tables. The plus keeps
        it from using a table's own tree in the place of the subquery's rows, which goes wrong with ordinary tables clustered on their key."""
        pairs = [(f"o.{a.name}", f"+i.{b.name}") for a in table.columns for b in other.columns if a.affinity == b.affinity != "TEXT"] or [("1", "1")]
        chosen = [self.rng.choice(pairs) for _ in range(width)]
        return ", ".join(a for a, _ in chosen), ", ".join(b for _, b in chosen)

    def common_table(self, tables):
        rng = self.rng
        table = rng.choice(tables)
        scope = self.scope([(table, None)])
        if rng.random() < 0.4:
            return self.made(scope, f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rng.randrange(2, 30)}) SELECT n.i, t.* FROM n "
                             f"{rng.choice(('LEFT JOIN', 'JOIN'))} ${table.name} AS t ON t.{table.key[0]} = n.i", ["WITH RECURSIVE", "join"])
        hint = rng.choice(("", "", " MATERIALIZED", " NOT MATERIALIZED"))
        where = self.where(scope)
        return self.made(scope, f"WITH w AS{hint} (SELECT * FROM ${table.name}{where}) SELECT * FROM w UNION ALL SELECT * FROM w WHERE {rng.choice(table.columns).name} > {rng.randrange(9)}",
                         ["WITH"])
