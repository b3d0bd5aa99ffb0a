"""What SELECTs read: one table, or several joined ones."""
from .expressions import Scope


class Sources:
    def __init__(self, rng, version, few=()):
        self.rng, self.version, self.few = rng, version, few

    def scope(self, tables, outside=None):
        scope = Scope(self.rng, self.few)
        scope.version, scope.outside = self.version, outside
        for table, alias in tables:
            scope.add(table, alias)
        if outside:
            scope.params, scope.features = outside.params, outside.features
        return scope

    def where(self, scope, chance=0.88):
        """What a join with a comma left for it stands first."""
        terms = scope.comma + ([scope.condition()] if self.rng.random() < chance else [])
        return " WHERE " + " AND ".join(terms) if terms else ""

    @staticmethod
    def made(scope, sql, features=(), **more):
        return {"sql": sql, "params": scope.params, "features": sorted({"SELECT", *features} | scope.features), **more}

    def along_a_key(self, scope, right):
        """The first columns of a key or an index have one value each, the next one comes from another table."""
        rng = self.rng
        table = next(table for table, alias in scope.tables if alias == right)
        names = [f"{right}.{name}" for name in rng.choice([each for each in [table.key] + list(table.indexes.values()) if len(each) > 1] or [table.key])]
        at = rng.randrange(len(names))
        others = [name for name in scope.columns if not name.startswith(right + ".")]
        return " AND ".join([f"{name} {rng.choice(('=', '=', 'IS'))} {scope.value()}" for name in names[:at]] + [f"{names[at]} {rng.choice(('=', '=', '=', '>=', 'IS'))} {rng.choice(others)}"])

    def on(self, scope, right, kind):
        rng = self.rng
        chance = rng.random()
        if chance < 0.15:
            return scope.condition(1)
        if chance < 0.4:
            text = self.along_a_key(scope, right)
        else:
            text = f"{rng.choice(scope.key_columns if rng.random() < 0.5 else scope.columns)} {rng.choice(('=', '=', '=', 'IS', '<'))} "
            text += rng.choice([name for name in scope.columns * 2 + scope.key_columns if name.startswith(right + ".")])
        chance = rng.random()
        if chance < (0.65 if kind == "LEFT JOIN" else 0.2):
            # Of a table before, too, whose rows it must not leave out, and which may have an index that begins with it.
            firsts = [f"{alias}.{columns[0]}" for table, alias in scope.tables if alias != right for columns in table.indexes.values()]
            column = rng.choice(firsts) if firsts and rng.random() < 0.8 else scope.column()
            text += f" AND {column} IS {rng.choice(('NOT NULL', 'NOT NULL', 'NULL'))}"
        elif chance < 0.75:
            text += " AND " + scope.condition(1)
        return text

    def join(self, chosen, params=None):
        """(scope, text) of tables with their aliases, joined. params: of the statement that this becomes a part of."""
        rng = self.rng
        scope = self.scope(chosen[:1])
        scope.params = scope.params if params is None else params
        text = f"${chosen[0][0].name} AS {chosen[0][1]}"
        kinds = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "CROSS JOIN", ","] + ["RIGHT JOIN", "FULL JOIN"] * (self.version >= (3, 39) and rng.random() < 0.4)
        if "FULL JOIN" in kinds:
            kinds.remove(",")  # which binds less than JOIN: WHERE would leave out what they keep
        for table, alias in chosen[1:]:
            scope.add(table, alias)
            kind = rng.choice(kinds)
            scope.features.add("comma join" if kind == "," else kind)
            condition = self.on(scope, alias, kind)
            text += f"{'' if kind == ',' else ' '}{kind} ${table.name} AS {alias}"
            if kind == ",":
                scope.comma.append(condition)
            else:
                text += f" ON {condition}"
        return scope, text

    def source(self, tables, params=None):
        """(scope, text) of one table, without an alias, or of two or three joined ones."""
        rng = self.rng
        count = rng.choice((1, 1, 2, 2, 3)) if self.few else rng.choice((1, 1, 1, 1, 2))
        chosen = [(rng.choice(tables), f"j{i}") for i in range(count)]
        if count == 1:
            scope = self.scope([(chosen[0][0], None)])
            scope.params = scope.params if params is None else params
            return scope, f"${chosen[0][0].name}"
        scope, text = self.join(chosen, params)
        scope.features.add("join")
        return scope, text

    def columns_of(self, scope, most):
        """Some columns: of anywhere, or the first ones of a key or an index of one table."""
        rng = self.rng
        if rng.random() < 0.5:
            return [scope.column() for _ in range(rng.randrange(1, most + 1))]
        table, alias = rng.choice(scope.tables)
        names = rng.choice([table.key] + list(table.indexes.values()))
        return [f"{alias}.{name}" if alias else name for name in names[:rng.randrange(1, most + 1)]]
