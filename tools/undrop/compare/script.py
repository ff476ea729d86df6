"""Statements that turn one SQLite file into another: its definitions, and its rows."""

import re
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import exact, reading
from undrop.compare.comparison import TableChange
from undrop.compare.literal import literal
from undrop.compare.structure import NO_TEXT, TEXT, Clause, Table, fold
from undrop.errors import UndropError
from undrop.recipes import Action
from undrop.sqlitefile import check, connect, statement, virtual
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.compare.comparison import Comparison
    from undrop.sqlitefile.connect import Connection

ASIDE = "undrop_aside_"  # what a table is called while the one that takes its place is filled
CONSTANT = re.compile(r"NULL|[-+]?[\d.]+(e[-+]?\d+)?|'([^']|'')*'|x'[0-9a-f]*'", re.IGNORECASE)
"""A default that ALTER TABLE takes (sqlite.org/lang_altertable.html#altertabaddcol)."""
BEYOND = {"CHECK", "REFERENCES", "AS", "GENERATED", "UNIQUE", "PRIMARY", "COLLATE"}
"""What a column may say so that it is not added, but its table made anew."""
REBUILT = {"fts4", "fts5"}


class Thing(NamedTuple):
    """A line of ``sqlite_master``: a table, an index, a view or a trigger."""

    kind: str
    name: str
    table: str
    sql: str

    @property
    def statement(self) -> str:
        """With its end, which a comment in the last line would hide."""
        return f"{self.sql}\n;" if "--" in self.sql.rpartition("\n")[2] else f"{self.sql};"


class Script:
    """Reads the two files of a comparison (``files.compare``); then it has the statements."""

    exact = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        """Empty where nothing differs."""
        self.notes: list[str] = []
        """What differs, or may, and no statement says, for people."""

    def __call__(self, connection: "Connection", comparison: "Comparison") -> None:
        """Raises sqlite3.Error, UndropError."""
        for altered in (True, False):
            found = _Written(connection, comparison, altered=altered)
            lines, wrong = found.all()
            if not wrong:
                self.lines, self.notes = lines, found.notes
                return
        raise UndropError(
            f"no statements make these definitions of those: {wrong}",
            Action("diff", "A", "B", "--rows", typed=False),
        )


class _Written:
    """``altered``: a table whose definition differs is altered where that will do."""

    def __init__(
        self, connection: "Connection", comparison: "Comparison", *, altered: bool
    ) -> None:
        self.connection, self.altered = connection, altered
        self.notes = [
            f"{name} cannot be read here: its rows are not said" for name in comparison.unread
        ]
        self.old, self.new = _things(connection, "main"), _things(connection, "after")
        self.tables_before = reading.read(connection, "main", "").tables
        self.tables_after = reading.read(connection, "after", "").tables
        self.changes = {fold(c.now): c for c in comparison.tables if c.name and c.now}
        self.taken = {fold(change.name) for change in self.changes.values()}
        """Folded names before of tables that go by a name of theirs afterwards."""
        for name in self.tables_after.keys() & self.tables_before.keys() - self.taken:
            table = self.tables_before[name].name
            self.changes.setdefault(name, TableChange(table, self.tables_after[name].name))
        self.schema: list[str] = []
        """Statements that define something, in their order, and those that carry rows over."""
        self.rows: list[str] = []
        self.written = set[str]()
        """Folded names of tables whose rows may have become others."""
        self.stay = set[str]()
        """Folded names of tables afterwards that are no new ones, and so keep their indexes."""
        self.left: dict[str, str] = {}
        """By folded name of a table afterwards, what holds its rows so far, as it stands in SQL."""

    def all(self) -> tuple[list[str], str]:
        """The statements, and what of the definitions they would not make."""
        differ = set(self.old) != set(self.new)
        self._tables()
        for name, table in self.tables_after.items():
            self._rows(name, table)
        last = [*self._indexes_of_text(), *self._counters()]
        numbers = [*self._numbers()]
        if not (differ or self.rows or last or numbers):
            return [], ""
        first, again = [*self._dropped(every=differ)], [*self._defined(every=differ)]
        pragmas = ("ignore_check_constraints", "legacy_alter_table")
        lines = [
            "PRAGMA foreign_keys = OFF;",
            *(f"PRAGMA {name} = ON;" for name in pragmas),
            *("BEGIN;", *first, *self.schema, *self.rows, *last, *again, *numbers, "COMMIT;"),
            *(f"PRAGMA {name} = OFF;" for name in pragmas),
        ]
        return lines, self._tried([*first, *self.schema, *again])

    def _tables(self) -> None:
        """How each table comes to be defined as it is afterwards."""
        old = {fold(thing.name): thing for thing in self.old if thing.kind == "table"}
        new = {fold(thing.name): thing for thing in self.new if thing.kind == "table"}
        altered, aside, made, carried, virtuals = (list[str]() for _ in range(5))
        kept = set[str]()
        for name, thing in new.items():
            change = self.changes.get(name)
            before = old.get(fold(change.name)) if change else None
            if not change and name not in self.taken:
                before = old.get(name)
            if before == thing:
                kept.add(name)
                self.left[name] = f"main.{quoted(thing.name)}"
            elif virtual.module(thing.sql):
                virtuals.append(thing.statement)
            elif not (change and before) or virtual.module(before.sql):
                made.append(thing.statement)
            else:
                kept.add(fold(before.name))
                number = len(self.left)
                temporary, columns = self._simulated(number, thing, change)
                if temporary:
                    self.left[name] = temporary
                if temporary and self.altered and (steps := self._altered(before, thing, change)):
                    altered += steps
                    self.stay.add(name)
                    continue
                other = quoted(f"{ASIDE}{number}")
                aside.append(f"ALTER TABLE {quoted(before.name)} RENAME TO {other};")
                made.append(thing.statement)
                if temporary:
                    carried.append(
                        f"INSERT OR IGNORE INTO {quoted(thing.name)} {columns.format(other)};"
                    )
                carried.append(f"DROP TABLE {other};")
        gone = [thing for name, thing in old.items() if name not in kept]
        gone.sort(key=lambda thing: not virtual.module(thing.sql))
        dropped = [f"DROP TABLE {quoted(thing.name)};" for thing in gone]
        self.stay |= {name for name, left in self.left.items() if left.startswith("main.")}
        self.schema = [*dropped, *altered, *aside, *made, *carried, *virtuals]

    def _simulated(self, number: int, thing: Thing, change: TableChange) -> tuple[str, str]:
        """A temporary table with the rows as they would be carried over, and how they are.

        Nothing where they cannot be.
        """
        before, after = self.tables_before[fold(change.name)], self.tables_after[fold(thing.name)]
        now = {fold(one): fold(other) for one, other in change.renamed}
        passed = {fold(column) for column in (*change.gone_columns, *change.new_columns)}
        pairs = [
            (column.name, after.columns[now.get(name, name)].name)
            for name, column in before.columns.items()
            if column.hidden == 0
            and (name in now or name not in passed)
            and now.get(name, name) in {fold(c.name) for c in after.data}
        ]
        numbers = (before.rowid_name, after.rowid_name)
        if all(numbers) and not (before.key_is_rowid or after.key_is_rowid):
            pairs.append(numbers)
        order = before.rowid_name or ", ".join(quoted(column.name) for column in before.key)
        into, source = (", ".join(quoted(pair[side]) for pair in pairs) for side in (1, 0))
        columns = f"({into}) SELECT {source} FROM {{}} ORDER BY {order}"  # noqa: S608 - quoted
        token = statement.tokens(thing.sql)[2]
        name = f"temp.undrop_{number}"
        make = f"CREATE TABLE {name}{thing.sql[token.end() :]}"
        self.connection.execute(f"DROP TABLE IF EXISTS {name}")
        try:
            self.connection.execute(make)
            source = f"main.{quoted(before.name)}"
            self.connection.execute(f"INSERT OR IGNORE INTO {name} {columns.format(source)}")
        except sqlite3.Error:
            return "", ""
        return (name, columns) if pairs else ("", "")

    def _altered(self, before: Thing, thing: Thing, change: TableChange) -> list[str]:
        """ALTER statements that may make one definition of the other; none where they cannot."""
        name = quoted(thing.name)
        steps = [
            # SQLite writes the name down as it is spelt here.
            f"RENAME COLUMN {quoted(one)} TO {_said(thing.sql, other)[0]}"
            for one, other in change.renamed
        ]
        steps += [f"DROP COLUMN {quoted(column)}" for column in change.gone_columns]
        table = self.tables_after[fold(thing.name)]
        for column in change.new_columns:
            known, (_, words) = table.columns[fold(column)], _said(thing.sql, column)
            if (
                not words
                or BEYOND & {token[0].upper() for token in statement.tokens(words)}
                or (known.required and known.default is None)
                or not CONSTANT.fullmatch(known.default or "NULL")
            ):
                return []
            steps.append(f"ADD COLUMN {words}")
        renamed = [f"ALTER TABLE {quoted(before.name)} RENAME TO {name};"]
        return [
            *renamed * (before.name != thing.name),
            *(f"ALTER TABLE {name} {s};" for s in steps),
        ]

    def _rows(self, name: str, table: Table) -> None:
        """Have the table hold what it holds afterwards."""
        left, into = self.left.get(name, ""), quoted(table.name)
        if table.clauses.get(TEXT) == NO_TEXT:
            return
        names = exact.columns(table)
        gone, changed, added = list[str](), list[str](), list[exact.Row]()
        if not left:
            added = exact.every(self.connection, table)
        elif (
            left.startswith("main.")
            and len(names) <= exact.WIDE
            and exact.is_keyed(self.connection, table, left)
        ):
            before = self.tables_before[name]
            for old, new in exact.by_key(self.connection, before, table):
                if old and new and (step := self._update(table, names, old, new)):
                    changed.append(step)
                    continue
                if old:
                    gone.append(f"DELETE FROM {into} WHERE {_known(table, names, old)};")  # noqa: S608 - quoted
                if new:
                    added.append(new)
        else:
            for count, numbers, row in exact.by_row(self.connection, left, table):
                if count > 0:
                    few = ", ".join(numbers.split(",")[:count])
                    where = f"{table.rowid_name} IN ({few})" if few else _known(table, names, row)
                    gone.append(f"DELETE FROM {into} WHERE {where};")  # noqa: S608 - quoted
                added += [row] * -count
            if table.rowid and not table.rowid_name and (gone or added):  # none is known alone
                gone, added = [f"DELETE FROM {into};"], exact.every(self.connection, table)  # noqa: S608 - quoted
        columns = ", ".join(names)
        inserted = [
            f"INSERT INTO {into} ({columns}) VALUES ({', '.join(map(literal, row))});"  # noqa: S608 - quoted
            for row in added
        ]
        self.rows += [*gone, *changed, *inserted]
        if gone or changed or inserted:
            self.written.add(name)

    def _update(self, table: Table, names: list[str], old: exact.Row, new: exact.Row) -> str:
        """One UPDATE, where the key is the very same and no UNIQUE could be in its way."""
        known = _known(table, names, old)
        if table.virtual or known != _known(table, names, new):
            return ""
        pairs = zip(names, map(literal, old), map(literal, new), strict=True)
        changed = {name: now for name, before, now in pairs if before != now}
        if changed.keys() & self._unique(table):
            return ""
        changes = ", ".join(f"{name} = {now}" for name, now in changed.items())
        return f"UPDATE {quoted(table.name)} SET {changes} WHERE {known};"  # noqa: S608 - quoted

    def _unique(self, table: Table) -> set[str]:
        """Columns whose values other rows may not have as well, quoted."""
        sql = (
            "SELECT i.name, l.partial FROM pragma_index_list(?1, 'after') AS l, "
            """pragma_index_info(l.name, 'after') AS i WHERE l."unique" AND l.origin <> 'pk'"""
        )
        columns = self.connection.ask(sql, table.name)
        stored = {column.name for column in table.data}
        # A part of the rows, an expression or a generated column may depend on any of them.
        if any(partial or name not in stored for name, partial in columns):
            return {*exact.columns(table)}
        return {quoted(name) for name, _ in columns}

    def _indexes_of_text(self) -> "Iterator[str]":
        """Full-text indexes of what other tables keep are filled anew where that changed."""
        for thing in self.new:
            text = virtual.content(thing.sql) if thing.kind == "table" else None
            if text == "":
                self.notes.append(f"{thing.name} keeps no text: what it indexes is not said")
            if not text or virtual.module(thing.sql) not in REBUILT:
                continue
            table = fold(text)
            is_view = table not in self.tables_after
            changed = table in self.written or table not in self.stay
            if thing not in self.old or (self.rows if is_view else changed):
                yield f"INSERT INTO {quoted(thing.name)} ({quoted(thing.name)}) VALUES ('rebuild');"  # noqa: S608 - quoted

    def _counters(self) -> "Iterator[str]":
        """What AUTOINCREMENT gave out last."""
        sides = []
        for schema in ("main", "after"):
            there = f"SELECT 1 FROM {schema}.sqlite_master WHERE name = 'sqlite_sequence'"  # noqa: S608
            sql = f"SELECT name, seq FROM {schema}.sqlite_sequence"  # noqa: S608
            has = bool(self.connection.ask(there))
            sides.append(
                [", ".join(map(literal, r)) for r in exact.read(self.connection, sql)]
                if has
                else None
            )
        old, new = sides
        counting = {
            n for n, t in self.tables_after.items() if t.clauses.get(Clause("AUTOINCREMENT"))
        }
        touched = counting & self.written or counting - self.stay
        if new is None or not (counting or old is not None):
            return
        if touched or sorted(new) != sorted(old or []):
            yield "DELETE FROM sqlite_sequence;"
            yield from (f"INSERT INTO sqlite_sequence VALUES ({row});" for row in new)  # noqa: S608 - quoted

    def _dropped(self, *, every: bool) -> "Iterator[str]":
        """What would act on rows that are written, or is not there afterwards."""
        for thing in self.old:
            stays = thing in self.new
            if (
                (thing.kind == "trigger" and (every or fold(thing.table) in self.written))
                or (thing.kind == "view" and every)
                or (thing.kind == "index" and not stays)
            ):
                yield f"DROP {thing.kind.upper()} {quoted(thing.name)};"

    def _defined(self, *, every: bool) -> "Iterator[str]":
        """What is made, or made again, when the rows are there."""
        for thing in self.new:
            if (
                (thing.kind == "trigger" and (every or fold(thing.table) in self.written))
                or (thing.kind == "view" and every)
                or (
                    thing.kind == "index"
                    and (thing not in self.old or fold(thing.table) not in self.stay)
                )
            ):
                yield thing.statement

    def _numbers(self) -> "Iterator[str]":
        for name in ("user_version", "application_id"):
            old, new = (
                self.connection.ask(f"PRAGMA {schema}.{name}")[0][0] for schema in ("main", "after")
            )
            if old != new:
                yield f"PRAGMA {name} = {new};"

    def _tried(self, lines: list[str]) -> str:
        """What is wrong with these, run on the definitions alone; empty where nothing is."""
        with closing(_memory()) as memory, closing(_memory()) as empty:
            for thing in self.old:
                with suppress(sqlite3.Error):  # what needs another table, or a module
                    memory.execute(thing.sql)
            unknown = set()
            for thing in self.new:
                try:
                    empty.execute(thing.sql)
                except sqlite3.Error:
                    unknown.add(thing)
            try:
                for line in lines:
                    memory.execute(line)
            except sqlite3.Error as error:
                return f"SQLite says: {error}"
            wrong = set(_things(memory, "main")) ^ (set(self.new) - unknown)
            return ", ".join(sorted(f"{thing.kind} {thing.name}" for thing in wrong - unknown))


def _memory() -> "Connection":
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=connect.Connection)
    connection.execute("PRAGMA legacy_alter_table = ON")
    return connection


def _things(connection: "Connection", schema: str) -> list[Thing]:
    """What somebody has defined there; not what SQLite, a module or Litestream keeps."""
    kept = virtual.kept(connection, schema) | check.LITESTREAM
    sql = f"SELECT type, name, tbl_name, sql FROM {schema}.sqlite_master WHERE sql <> ''"  # noqa: S608
    things = (Thing(*row) for row in connection.ask(sql))
    return [
        thing
        for thing in things
        if thing.table not in kept and not thing.name.startswith("sqlite_")
    ]


def _known(table: Table, names: list[str], row: "Iterable[object]") -> str:
    """SQL for: it is this row, by its key; of a virtual table by its number."""
    values = dict(zip(names, row, strict=True))
    keys = names[:1] if table.virtual else [quoted(column.name) for column in table.key]
    binary = "" if table.virtual or table.key_is_rowid else " COLLATE BINARY"
    return " AND ".join(f"{key} = {literal(values[key])}{binary}" for key in keys)


def _said(sql: str, column: str) -> tuple[str, str]:
    """How a CREATE TABLE spells a column, and declares it; no declaration where it is not found."""
    parts = statement.split(statement.tokens(sql)[3:])
    for part in parts[:-1]:
        if fold(statement.unquoted(part[0][0])) == fold(column):
            return part[0][0], sql[part[0].start() : part[-1].end()]
    return quoted(column), ""
