"""Ordinary tables whose triggers write a table, a view over it with INSTEAD OF triggers, and what is written through them."""
import re


class Companions:
    def companions(self, table):
        """The steps that make them."""
        rng, stem, place = self.rng, table.stem, table.place
        names = [column.name for column in table.columns]
        listed, new = ", ".join(names), ", ".join("new." + name for name in names)
        shown = listed + (", rowid AS old_rowid" if table.kind == "rowid" else "")
        key = " AND ".join(f"{term} IS old.{name}" for term, name in zip(table.key_columns(), table.key)).replace("old.rowid", "old.old_rowid")
        plain = [name for name in names if name not in table.key and all(name not in columns for columns in table.unique)]
        raised = ""
        if rng.random() < 0.4:
            # After FAIL an ordinary AUTOINCREMENT table gives numbers again (docs/sql.md).
            modes = ["IGNORE", "ABORT, 'no'"] + ["FAIL, 'no'"] * ("AUTOINCREMENT" not in table.body) + ["ROLLBACK, 'no'"] * (self.options["connections"] == 2)
            raised = f"SELECT RAISE({rng.choice(modes)}) WHERE new.{names[0]} IS {rng.choice(self.reads.few or ['42', '3', 'NULL'])}; "
        before, after = (raised, "") if rng.random() < 0.5 else ("", raised)
        insert = f"INSERT OR REPLACE INTO ${table.name}({listed}) VALUES ({new}); "
        steps = [f"CREATE TABLE {place}$src_{stem}({listed})",
                 f"CREATE TRIGGER {place}$st_{stem} AFTER INSERT ON $src_{stem} BEGIN {before}{insert}{after}END",
                 f"CREATE VIEW {place}$v_{stem} AS SELECT {shown} FROM ${table.name}",
                 f"CREATE TRIGGER {place}$vd_{stem} INSTEAD OF DELETE ON $v_{stem} BEGIN DELETE FROM ${table.name} WHERE {key}; END",
                 f"CREATE TRIGGER {place}$vi_{stem} INSTEAD OF INSERT ON $v_{stem} BEGIN INSERT OR IGNORE INTO ${table.name}({listed}) VALUES ({new}); END"]
        if rng.random() < 0.3:  # which starts itself again under PRAGMA recursive_triggers
            steps.append(f"CREATE TRIGGER {place}$sr_{stem} AFTER INSERT ON $src_{stem} WHEN (SELECT count(*) FROM $src_{stem}) % 5 BEGIN INSERT INTO $src_{stem} VALUES ({new}); END")
        if plain:
            steps.append(f"CREATE TRIGGER {place}$vu_{stem} INSTEAD OF UPDATE ON $v_{stem} BEGIN UPDATE ${table.name} SET {', '.join(f'{name} = new.{name}' for name in plain)} WHERE {key}; END")
        return [{"sql": sql, "features": ["DDL: views and triggers"]} for sql in steps + self.upserted(table, listed, new)]

    @staticmethod
    def upserted(table, listed, new):
        """A table for UPSERT, which SQLite refuses on virtual ones, with triggers that carry it on and note the counters."""
        stem, place = table.stem, table.place
        counted = f"INSERT INTO $log_{stem}(n, c) VALUES (new.n_, changes()); "
        numbered = f"INSERT INTO $log_{stem}(n, c, l) VALUES (new.n_, changes(), last_insert_rowid()); "
        insert = f"INSERT OR IGNORE INTO ${table.name}({listed}) VALUES ({new}); "
        return [f"CREATE TABLE {place}$log_{stem}(i INTEGER PRIMARY KEY, n, c, l)",
                f"CREATE TABLE {place}$up_{stem}(n_ INTEGER PRIMARY KEY, m_ UNIQUE, {listed})",
                f"CREATE TRIGGER {place}$ui_{stem} AFTER INSERT ON $up_{stem} BEGIN {insert}{numbered}END",
                f"CREATE TRIGGER {place}$uu_{stem} AFTER UPDATE ON $up_{stem} BEGIN DELETE FROM ${table.name} WHERE {table.columns[-1].name} IS old.{table.columns[-1].name}; {insert}{counted}END"]

    def through(self, table):
        """Through the view's INSTEAD OF triggers, or the trigger of an ordinary table."""
        rng = self.rng
        scope = self.scope([(table, None)])
        # A view has no rowid, though before 3.46 one could be named.
        scope.columns = scope.key_columns = [each for each in scope.columns if each != "rowid"]
        column = rng.choice(table.columns)
        form = rng.randrange(6)
        if form == 3 and table.indexes:
            # A row of several that breaks a unique index is met sooner or later: total_changes() tells.
            form = 2
        if form > 3:
            return self.upsert(table, scope)
        if form == 0:
            count = rng.choice((1, 3))
            rows = ", ".join("(" + ", ".join(self.value(table, each, scope, False) for each in table.columns) + ")" for _ in range(count))
            return {"sql": f"INSERT INTO $src_{table.stem} VALUES {rows}", "params": scope.params, "features": ["trigger of an ordinary table"]}
        if form == 1:
            values = ", ".join(self.value(table, each, scope, True, " OR IGNORE") for each in table.columns)
            return {"sql": f"INSERT INTO $v_{table.stem} VALUES ({values})", "params": scope.params, "features": ["INSTEAD OF INSERT"]}
        if form == 2:
            return {"sql": f"DELETE FROM $v_{table.stem} WHERE {column.name} = {scope.value()}", "params": scope.params, "features": ["INSTEAD OF DELETE"]}
        # The rowid of a view is the place in which its rows were found.
        where = re.sub(r"\browid\b", "old_rowid" if table.kind == "rowid" else table.key[0], scope.condition(2))
        return {"sql": f"UPDATE $v_{table.stem} SET {column.name} = {self.strict_value(column) if table.strict else self.value(table, column, scope, True)} WHERE {where}",
                "params": scope.params, "features": ["INSTEAD OF UPDATE"]}

    def upsert(self, table, scope):
        """UPSERT in its forms, on the ordinary table that hands its rows on."""
        rng, names = self.rng, [column.name for column in table.columns]
        rows = ", ".join("(" + ", ".join([str(rng.randrange(9)), str(rng.randrange(9))] + [self.value(table, each, scope, False) for each in table.columns]) + ")" for _ in range(rng.choice((1, 2, 4))))
        one, other = rng.choice(names), rng.choice(names)
        sets = rng.choice((f"{one} = excluded.{one}", f"{one} = excluded.{other}, {other} = {names[0]}" if one != other else f"{one} = excluded.{one}", f"({one}) = (SELECT excluded.{one})",
                           f"{one} = (SELECT count(*) FROM ${table.name})"))
        if table.strict or any(column.default for column in table.columns) or table.kind == "ipk":
            sets = ", ".join(f"{name} = excluded.{name}" for name in names)
        where = rng.choice(("", "", " WHERE excluded.n_ % 2", f" WHERE {one} IS NOT excluded.{one}", f" WHERE EXISTS (SELECT 1 FROM ${table.name} AS i WHERE i.{other} IS coalesce(excluded.{other}, NULL))"))  # a bare one SQLite may store as the number it is compared as
        update = f"DO UPDATE SET {sets}{where}"
        clause = rng.choice((f"ON CONFLICT(n_) {update}", f"ON CONFLICT(n_) {update} ON CONFLICT(m_) DO NOTHING", "ON CONFLICT DO NOTHING", f"ON CONFLICT(m_) DO NOTHING ON CONFLICT {update}",
                             f"ON CONFLICT(m_) DO UPDATE SET m_ = excluded.m_ + 10{where}"))
        if table.conflicts:  # which OR ABORT, as DO UPDATE hands on, does not reach in a virtual table (docs/sql.md)
            clause = "ON CONFLICT DO NOTHING"
        returning = rng.choice(("", "", " RETURNING n_, typeof(m_), " + one, " RETURNING *"))
        return {"sql": f"INSERT INTO $up_{table.stem} VALUES {rows} {clause}{returning}", "params": scope.params, "features": ["UPSERT whose triggers write the table"]}
